// SPDX-License-Identifier: MIT
#include "vmm/arm64/space.h"

#include "vmm/arm64/layout.h"

#define GIB (1024ull * 1024 * 1024)
#define WINDOW_BITS 36u
#define SLOT_MAX (8192 * GIB - 2 * GIB) /* a memory slot has at most 2^31 - 1 pages */

struct space_window space_pci64(unsigned bits, uint64_t memory_bytes)
{
	uint64_t top = LAYOUT_LOW_RAM + memory_bytes;

	if (bits < WINDOW_BITS)
		return (struct space_window){0};
	return (struct space_window){
		.base = (top + LAYOUT_PCI_MMIO64_SIZE - 1) / LAYOUT_PCI_MMIO64_SIZE * LAYOUT_PCI_MMIO64_SIZE,
		.size = LAYOUT_PCI_MMIO64_SIZE,
	};
}

uint64_t space_max_memory(unsigned bits)
{
	/* The top multiple of the window's size is the window's. */
	uint64_t bytes = (1ull << bits) - LAYOUT_LOW_RAM - (bits < WINDOW_BITS ? 0 : LAYOUT_PCI_MMIO64_SIZE);

	return bytes < SLOT_MAX ? bytes : SLOT_MAX;
}
