/* SPDX-License-Identifier: MIT */
/*
 * Interrupts into the guest by global system interrupt number (GSI). Low GSIs are the pins of the irqchip (x86-64:
 * IOAPIC 0..23; arm64: shared peripheral interrupts); MSI vectors get GSIs above them, each a route to an address and
 * a datum.
 * Thread: any.
 */
#ifndef MULLION_VMM_IRQ_H
#define MULLION_VMM_IRQ_H

#include <stdbool.h>
#include <stdint.h>

struct vm;

/* Drive a pin (level-triggered lines: serial, INTx, SCI). */
int irq_set_level(struct vm *vm, uint32_t gsi, bool high);

/* Have a write to @eventfd raise @gsi as an edge, without an exit to user space. */
int irq_add_fd(struct vm *vm, uint32_t gsi, int eventfd);
void irq_remove_fd(struct vm *vm, uint32_t gsi, int eventfd);

/* Take a GSI for an MSI vector of PCI function @requester (slot << 3 | function); -ENOSPC when KVM has no more. */
int irq_msi_alloc(struct vm *vm, uint32_t requester, uint32_t *gsi);
void irq_msi_free(struct vm *vm, uint32_t gsi);
/* Where @gsi's message goes; takes effect at once. Before the first call it goes nowhere. */
int irq_msi_route(struct vm *vm, uint32_t gsi, uint64_t address, uint32_t data);

#endif
