/* SPDX-License-Identifier: MIT */
/*
 * Arm's PL011 serial port: the registers over a struct uart.
 */
#ifndef MULLION_VMM_ARM64_PL011_H
#define MULLION_VMM_ARM64_PL011_H

#include <stdint.h>

#define PL011_BYTES 0x1000u

struct pl011;
struct vm;

/* Put a port at @base with interrupt @gsi; @spec as in character.h. Before the first vCPU runs. */
int pl011_create(struct vm *vm, uint64_t base, uint32_t gsi, const char *spec, struct pl011 **out);
void pl011_destroy(struct pl011 *p);

#endif
