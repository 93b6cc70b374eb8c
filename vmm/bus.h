/* SPDX-License-Identifier: MIT */
/*
 * An address space of device registers (one for MMIO, one for port I/O): ranges and who answers for them.
 * Thread: any; look-ups from vCPU threads run beside each other, and beside changes (a PCI BAR that moves).
 */
#ifndef MULLION_VMM_BUS_H
#define MULLION_VMM_BUS_H

#include <stdbool.h>
#include <stdint.h>

struct bus;

/* Embedded in its owner. */
struct bus_range {
	uint64_t base, size;
	/*
	 * @offset into the range, @size 1, 2, 4 or 8 bytes at @data, all inside the range. Called on a vCPU thread; hand
	 * it to the device's loop by loop_call() where state is touched.
	 */
	void (*access)(void *owner, uint64_t offset, void *data, unsigned size, bool write);
	void *owner;
	struct bus_range *next; /* private */
	unsigned users;		/* private: accesses that run now */
};

int bus_create(const char *name, struct bus **out);
void bus_destroy(struct bus *b);

/* Returns 0, -EEXIST if @r overlaps another range, -EINVAL for an empty or wrapping one. */
int bus_add(struct bus *b, struct bus_range *r);
/* After this returns r->access is not running and not called again. Not from inside an access of the same range. */
void bus_remove(struct bus *b, struct bus_range *r);

/* Do one access. Returns false if nobody answers: reads give all ones, writes are dropped. */
bool bus_access(struct bus *b, uint64_t address, void *data, unsigned size, bool write);

#endif
