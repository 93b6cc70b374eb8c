/* SPDX-License-Identifier: MIT */
/*
 * A 16550A serial port (UART), as PCs have. Registers are answered on the vCPU's thread under a lock of its own, so a
 * byte costs one exit and no thread switch; the host's end is a struct character.
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
