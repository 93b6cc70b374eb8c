/* SPDX-License-Identifier: MIT */
/*
 * pvpanic: the port by which a guest tells that its kernel panicked (QEMU, docs/specs/pvpanic). Ends the VM.
 */
#ifndef MULLION_VMM_PVPANIC_H
#define MULLION_VMM_PVPANIC_H

#include <stdint.h>

struct pvpanic;
struct vm;

int pvpanic_create(struct vm *vm, uint16_t port, struct pvpanic **out);
void pvpanic_destroy(struct pvpanic *p);

#endif
