/* SPDX-License-Identifier: MIT */
/*
 * vmm/vm.h and vmm/irq.h without KVM, for tests of the transports: the real buses, and a record of what KVM was asked
 * to do. A guest access goes to an ioeventfd first and to the bus otherwise, as in KVM.
 */
#ifndef MULLION_TESTS_LIB_VM_STUB_H
#define MULLION_TESTS_LIB_VM_STUB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/vm.h"

/* Guest memory of each: one region, zeroed. */
#define STUB_RAM 0x10000ull
#define STUB_RAM_BYTES 0x10000ull

/* With a loop that runs on a thread of its own: vm_loop(). */
struct vm *stub_create(void);
/* With a loop that no thread runs, so that calls to it are direct and doorbells stay unread. */
struct vm *stub_create_still(void);
uint8_t *stub_ram(struct vm *vm);
void stub_destroy(struct vm *vm); /* asserts that everything registered was taken away again */

/* Wait until *@counter is at least @least, 5 s at most. */
bool stub_wait(atomic_uint *counter, unsigned least);

/* What a guest's load or store does; returns all ones where nobody answers. @size 1, 2, 4 or 8. */
uint64_t stub_read(struct vm *vm, uint64_t address, unsigned size);
void stub_write(struct vm *vm, uint64_t address, unsigned size, uint64_t value);
uint32_t stub_in(struct vm *vm, uint16_t port, unsigned size);
void stub_out(struct vm *vm, uint16_t port, unsigned size, uint32_t value);
/* The same write, never taken by an ioeventfd. */
void stub_write_exit(struct vm *vm, uint64_t address, unsigned size, uint64_t value);

/* Where memory that was shown at @gpa (vm_set_slot()) is in this process; NULL: nothing is. */
void *stub_slot(const struct vm *vm, uint64_t gpa);

unsigned stub_ioeventfds(const struct vm *vm); /* registered now */
bool stub_level(const struct vm *vm, uint32_t gsi);
/* Edges that irqfds of @gsi sent since the last call. */
uint64_t stub_edges(struct vm *vm, uint32_t gsi);
/* The GSI whose MSI route is this message, or 0. */
uint32_t stub_msi_gsi(const struct vm *vm, uint64_t address, uint32_t data);
bool stub_ended(const struct vm *vm, enum vm_end *why);

#endif
