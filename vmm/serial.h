/* SPDX-License-Identifier: MIT */
/*
 * A 16550A serial port, as PCs have: the registers over a struct uart.
 */
#ifndef MULLION_VMM_SERIAL_H
#define MULLION_VMM_SERIAL_H

#include <stdint.h>

struct serial;
struct vm;

/* Put a port at I/O port @base with interrupt @gsi; @spec as in character.h. Before the first vCPU runs. */
int serial_create(struct vm *vm, uint16_t base, uint32_t gsi, const char *spec, struct serial **out);
void serial_destroy(struct serial *s);

#endif
