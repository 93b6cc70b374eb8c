/* SPDX-License-Identifier: MIT */
/*
 * One PCI Express root bus with endpoints only: configuration space by ECAM and, on x86-64, by ports 0xcf8/0xcfc;
 * BARs in the 32-bit and 64-bit windows of layout.h, assigned before the guest starts (firmware's job, and we are
 * it) and movable by the guest.
 * Thread: any; configuration accesses are serialized by the bus's own lock.
 */
#ifndef MULLION_VMM_PCI_H
#define MULLION_VMM_PCI_H

#include <stdbool.h>
#include <stdint.h>

struct pci_bus;
struct vm;

/* Where the bus sits in the guest's address space; written into ACPI tables or the FDT as well. */
struct pci_layout {
	uint64_t ecam_base;      /* 1 MiB: one bus */
	uint64_t mmio32_base, mmio32_size;
	uint64_t mmio64_base, mmio64_size;
	uint32_t intx_gsi[4];    /* INTA..INTD of slot 0; slot n rotates */
	bool has_ports;          /* 0xcf8/0xcfc */
};

int pci_bus_create(struct vm *vm, const struct pci_layout *layout, struct pci_bus **out);
void pci_bus_destroy(struct pci_bus *b);

/* The GSI that pin @pin (0: INTA) of device @slot raises; what _PRT must say too. */
uint32_t pci_intx_gsi(const struct pci_layout *layout, unsigned slot, unsigned pin);

#endif
