/* SPDX-License-Identifier: MIT */
/*
 * What fits into the guest-physical addresses that the host can give, from 32 bits (small cores) to 52. Thread: any.
 */
#ifndef MULLION_VMM_ARM64_SPACE_H
#define MULLION_VMM_ARM64_SPACE_H

#include <stdint.h>

struct space_window {
	uint64_t base, size;
};

/*
 * The 64-bit PCI window over @memory_bytes of RAM: at the first multiple of its size. Of size 0 with fewer than 36 bits,
 * where RAM would have no room beside it; the 32-bit window has room for every device that mullion has itself.
 */
struct space_window space_pci64(unsigned bits, uint64_t memory_bytes);
/* Most bytes of RAM. */
uint64_t space_max_memory(unsigned bits);

#endif
