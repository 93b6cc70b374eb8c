/* SPDX-License-Identifier: MIT */
/*
 * PCI functions: by configuration mechanism 1 on x86-64, memory-mapped (ECAM, bus 0 alone) on arm64. Addresses are
 * assigned by firmware or the VMM, not here.
 */
#ifndef MULLION_BARE_PCI_H
#define MULLION_BARE_PCI_H

#include <stdbool.h>
#include <stdint.h>

struct pci_function {
	uint8_t bus, slot, function;
	uint16_t vendor, device;
};

/* Call @found for each function until it returns false. Bridges are followed to the buses they name. */
void pci_scan(bool (*found)(const struct pci_function *f, void *arg), void *arg);

/* Configuration space; @offset is in bytes and aligned to the width. All ones where there is none. */
uint8_t pci_read8(const struct pci_function *f, unsigned offset);
uint16_t pci_read16(const struct pci_function *f, unsigned offset);
uint32_t pci_read32(const struct pci_function *f, unsigned offset);
void pci_write16(const struct pci_function *f, unsigned offset, uint16_t v);
void pci_write32(const struct pci_function *f, unsigned offset, uint32_t v);

/* The offset of the first capability with id @id behind @after (0: from the start), or 0. */
unsigned pci_capability(const struct pci_function *f, uint8_t id, unsigned after);

/* Let the function decode memory and be bus master. */
void pci_enable(const struct pci_function *f);

/* The address of memory BAR @bar; 0: it is none, or was never given one. */
uint64_t pci_bar(const struct pci_function *f, unsigned bar);

/*
 * Make @bytes at @offset of memory BAR @bar accessible and return where, or 0 when the BAR is not a memory BAR or
 * was never given an address.
 */
uintptr_t pci_map(const struct pci_function *f, unsigned bar, uint32_t offset, uint32_t bytes);

/* ---- MSI-X ---- */
struct pci_msix {
	unsigned capability; /* its offset, 0 when the function has none */
	unsigned entries;
	uintptr_t table;
};

/* Find and map the table; returns 0, or -ENOENT when there is none. All entries are left masked. */
int pci_msix_open(const struct pci_function *f, struct pci_msix *m);
/* Program entry @entry, below m->entries, and unmask it. */
void pci_msix_set(struct pci_msix *m, unsigned entry, uint64_t address, uint32_t data);
void pci_msix_mask(struct pci_msix *m, unsigned entry);
/* Send messages, or not; nothing for a function without MSI-X. */
void pci_msix_enable(const struct pci_function *f, struct pci_msix *m, bool on);
/* Let the function raise its interrupt pin, or not: it may be on another one's line. */
void pci_pin_enable(const struct pci_function *f, bool on);

#endif
