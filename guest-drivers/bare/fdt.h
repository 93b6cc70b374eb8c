/* SPDX-License-Identifier: MIT */
/*
 * A reader of flattened device trees (Devicetree Specification 0.4, chapter 5), one pass, nothing unpacked. Enough
 * for trees whose addresses and sizes below the root are two cells each, as virtual machines have them.
 */
#ifndef MULLION_BARE_FDT_H
#define MULLION_BARE_FDT_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a device tree starts at @fdt. */
bool fdt_is(const void *fdt);

struct fdt_property {
	const char *node; /* name with unit address, "" for the root */
	unsigned depth;	  /* of the node: 0 is the root */
	uint32_t node_id; /* differs from node to node */
	const char *name;
	const uint8_t *value;
	uint32_t bytes;
};

/* Call @found for each property in order, until it returns false. */
void fdt_walk(const void *fdt, bool (*found)(const struct fdt_property *p, void *arg), void *arg);

/* The @index-th 32-bit or 64-bit number of a property's value; 0 behind its end. */
uint32_t fdt_u32(const struct fdt_property *p, unsigned index);
uint64_t fdt_u64(const struct fdt_property *p, unsigned index);

#endif
