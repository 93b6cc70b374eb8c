/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables: RSDP, XSDT, FADT, FACS, MADT, MCFG, DSDT (specification 6.5, chapter 5).
 */
#ifndef MULLION_VMM_X86_64_TABLES_H
#define MULLION_VMM_X86_64_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/pci.h"

struct tables_config {
	unsigned cpus;
	unsigned mmio_slots; /* virtio-mmio devices, at slots 0..n-1 */
	bool has_pci;
	struct pci_layout pci;
};

/*
 * Write all tables into @to, @room bytes that the guest sees at @gpa (a multiple of 64), and tell where the RSDP is.
 * Returns 0, or -ENOSPC after a line.
 */
int tables_build(const struct tables_config *config, void *to, size_t room, uint64_t gpa, uint64_t *rsdp);

#endif
