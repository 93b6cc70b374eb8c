/* SPDX-License-Identifier: MIT */
/*
 * The device tree that tells an arm64 guest what its machine has: fdt.c writes ours, fdt_file.c takes the user's. Files are
 * untrusted: one that is broken, or too large, ends in a line. Thread: main, before the guest runs.
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
	bool has_pmu;
	bool aarch32; /* the guest is a 32-bit kernel */
	unsigned mmio_slots; /* virtio-mmio devices, at slots 0..n-1 */
	bool has_pci;
	struct pci_layout pci;
	const char *append;
	uint64_t initrd, initrd_bytes; /* 0 bytes: none */
	uint8_t seed[64];              /* random */
};

/* Write the tree to @to. Returns 0, or -ENOSPC if @room bytes are too few. */
int fdt_build(const struct fdt_config *c, void *to, size_t room);

/*
 * The user's own tree of the file @path in its place. What belongs to this start is set in it: the memory, and in /chosen
 * the command line (where one was given), the initrd and the seeds. All else must describe the machine, as a tree written
 * by --dump-fdt does. Returns 0, or a negative errno after a line that names the file.
 */
int fdt_load(const struct fdt_config *c, const char *path, void *to, size_t room);

/* Add the overlay of the file @path to the tree at @fdt. As fdt_load(); the tree is of no use after an error. */
int fdt_add_overlay(const char *path, void *fdt, size_t room);

#endif
