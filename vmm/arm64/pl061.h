/* SPDX-License-Identifier: MIT */
/*
 * Arm's PL061: eight input or output lines (GPIO), of which the machine uses one, its power button, as QEMU's virt machine
 * does; nothing is attached to the others. A press raises the line until the guest has read it: no pulse that a
 * slow guest could miss.
 */
#ifndef MULLION_VMM_ARM64_PL061_H
#define MULLION_VMM_ARM64_PL061_H

#include <stdint.h>

#define PL061_BYTES 0x1000u

struct pl061;
struct vm;

/* At @base with interrupt @gsi; it becomes the machine's power button on line @power. Before the first vCPU runs. */
int pl061_create(struct vm *vm, uint64_t base, uint32_t gsi, unsigned power, struct pl061 **out);
void pl061_destroy(struct pl061 *p);

#endif
