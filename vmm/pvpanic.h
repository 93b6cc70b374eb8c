/* SPDX-License-Identifier: MIT */
/*
 * pvpanic: the register by which a guest tells that its kernel panicked (QEMU, docs/specs/pvpanic). Ends the VM.
 */
#ifndef MULLION_VMM_PVPANIC_H
#define MULLION_VMM_PVPANIC_H

#include <stdint.h>

struct bus;
struct pvpanic;
struct vm;

/* @bus: vm_pio() or vm_mmio(). */
int pvpanic_create(struct vm *vm, struct bus *bus, uint64_t address, struct pvpanic **out);
void pvpanic_destroy(struct pvpanic *p);

#endif
