/* SPDX-License-Identifier: MIT */
/*
 * One PCI Express root bus with endpoints only: configuration space by ECAM and, on x86-64, by ports 0xcf8/0xcfc;
 * BARs in the windows of struct pci_layout, assigned before the guest starts (firmware's job, and we are it) and
 * movable by the guest. Slot 0 is a host bridge.
 *
 * Thread: any, for every call; configuration accesses are serialized by the bus's own lock.
 *
 * What waits for what (no cycle):
 *   vCPU, configuration access:  bus lock -> a device's loop (loop_call), bus_remove(), KVM's ioctls
 *   vCPU, BAR access:            a device's loop; never the bus lock
 *   device's loop:               the INTx lock (a leaf: held for one irq_set_level()); never the bus lock, no vCPU
 * bus_remove() waits for accesses to the BAR that moves; those wait for the loop alone, so they end. That is why
 * MSI-X state and everything else that the loop needs for an interrupt lives on the loop, and a configuration write
 * that changes it (MSI-X control, INTx disable) is carried there with loop_call() while the bus lock is held.
 */
#ifndef MULLION_VMM_PCI_H
#define MULLION_VMM_PCI_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"

struct pci_bus;
struct pci_function;
struct vm;

#define PCI_SLOTS 32
#define PCI_BARS 6
#define PCI_CONFIG_BYTES 256 /* what follows up to 4096 reads as "no extended capability" */

/* Where the bus sits in the guest's address space; written into ACPI tables or the FDT as well. */
struct pci_layout {
	uint64_t ecam_base; /* 1 MiB: one bus */
	uint64_t mmio32_base, mmio32_size;
	uint64_t mmio64_base, mmio64_size;
	uint32_t intx_gsi[4]; /* INTA..INTD of slot 0; slot n rotates */
	bool has_ports;	      /* 0xcf8/0xcfc; 0xcf9 between them is the reset register */
};

int pci_bus_create(struct vm *vm, const struct pci_layout *layout, struct pci_bus **out);
void pci_bus_destroy(struct pci_bus *b);

/* The GSI that pin @pin (0: INTA) of device @slot raises; what _PRT must say too. */
uint32_t pci_intx_gsi(const struct pci_layout *layout, unsigned slot, unsigned pin);

/* ---- for functions (the devices on the bus) ---- */

struct pci_function_ops {
	/* The guest touched BAR @bar. On a vCPU's thread without the bus lock: hand it to the loop. */
	void (*bar_access)(void *owner, unsigned bar, uint64_t offset, void *data, unsigned size, bool write);
	/* BAR @bar is now decoded at @address, or nowhere (0). Bus lock held. */
	void (*bar_moved)(void *owner, unsigned bar, uint64_t address);
	/* Bytes [offset, offset + size) of f->config are about to be read, or were written. Bus lock held. */
	void (*config_read)(void *owner, unsigned offset, unsigned size);
	void (*config_written)(void *owner, unsigned offset, unsigned size);
};

struct pci_bar {
	uint64_t size; /* a power of 2 of at least 4096; 0: not there */
	bool is_64bit;
	uint64_t address; /* where it is decoded now; 0: nowhere */
	struct bus_range range;
	struct pci_function *function;
};

/* Embedded in its owner; zeroed, then filled by pci_function_init() and the calls after it. */
struct pci_function {
	const struct pci_function_ops *ops;
	void *owner;
	struct pci_bus *bus;
	unsigned slot;
	uint8_t config[PCI_CONFIG_BYTES];   /* as read */
	uint8_t writable[PCI_CONFIG_BYTES]; /* bits the guest may change */
	struct pci_bar bars[PCI_BARS];
	unsigned capability_end;  /* where the next capability goes */
	unsigned capability_link; /* offset of the pointer that will name it */
	atomic_bool intx;	  /* INTx asserted: status register bit 3 */
};

struct pci_ids {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* class, subclass, programming interface: 0xccsspp */
	uint8_t revision;
};

void pci_function_init(struct pci_function *f, const struct pci_ids *ids, const struct pci_function_ops *ops,
		       void *owner);
/* Append a capability of @size bytes, id and link included. Returns its offset; there must be room (assert). */
unsigned pci_add_capability(struct pci_function *f, uint8_t id, unsigned size);
/* A memory BAR, not prefetchable; a 64-bit one takes the register after it as well. */
void pci_set_bar(struct pci_function *f, unsigned bar, uint64_t size, bool is_64bit);

/*
 * Put @f into the next free slot, give its BARs addresses and decode them. Returns 0, -ENOSPC when slots or window are
 * full, or a negative errno of the bus. Before the first vCPU runs.
 */
int pci_add_function(struct pci_bus *b, struct pci_function *f);
/* Take it off the bus. Not added: nothing happens. vCPUs must be gone. */
void pci_remove_function(struct pci_function *f);

/* Assert or release INTA of @f. Lines are shared: one is high while any function holds it. */
void pci_set_intx(struct pci_function *f, bool high);

/* Little-endian fields of f->config; bus lock held, or before pci_add_function(). */
uint32_t pci_get(const struct pci_function *f, unsigned offset, unsigned size);
void pci_put(struct pci_function *f, unsigned offset, unsigned size, uint32_t value);

#endif
