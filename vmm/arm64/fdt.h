/* SPDX-License-Identifier: MIT */
/*
 * The device tree that tells an arm64 guest what its machine has. Thread: main, before the guest runs.
 */
#ifndef MULLION_VMM_ARM64_FDT_H
#define MULLION_VMM_ARM64_FDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/pci.h"

struct fdt_config {
	uint64_t memory_bytes;
	unsigned cpus;
	const uint64_t *mpidr; /* affinity of each */
	unsigned gic_version;  /* 2 or 3 */
	bool has_its;
	unsigned mmio_slots; /* virtio-mmio devices, at slots 0..n-1 */
	bool has_pci;
	struct pci_layout pci;
	const char *append;
	uint64_t initrd, initrd_bytes; /* 0 bytes: none */
	uint8_t seed[64];              /* random */
};

/* Write the tree to @to. Returns 0, or -ENOSPC if @room bytes are too few. */
int fdt_build(const struct fdt_config *c, void *to, size_t room);

#endif
