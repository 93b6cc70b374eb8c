// SPDX-License-Identifier: MIT
#include <linux/errno.h>
#include <linux/pci_regs.h>

#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/pci.h"
#include "guest-drivers/bare/platform.h"

#define MAX_CAPABILITIES 48 /* as many as fit into 192 bytes: ends a looping list */

#if defined(__x86_64__)

static uint16_t select(const struct pci_function *f, unsigned offset)
{
	port_write32(PLATFORM_PCI_ADDRESS_PORT, 1u << 31 | (uint32_t)f->bus << 16 | (uint32_t)f->slot << 11 |
							(uint32_t)f->function << 8 | (offset & 0xfc));
	return (uint16_t)(PLATFORM_PCI_DATA_PORT + (offset & 3));
}

uint8_t pci_read8(const struct pci_function *f, unsigned offset)
{
	return port_read8(select(f, offset));
}
uint16_t pci_read16(const struct pci_function *f, unsigned offset)
{
	return port_read16(select(f, offset));
}
uint32_t pci_read32(const struct pci_function *f, unsigned offset)
{
	return port_read32(select(f, offset));
}

void pci_write16(const struct pci_function *f, unsigned offset, uint16_t v)
{
	port_write16(select(f, offset), v);
}

void pci_write32(const struct pci_function *f, unsigned offset, uint32_t v)
{
	port_write32(select(f, offset), v);
}

#else

/* A register's address, or 0: no such function can be. */
static uintptr_t ecam(const struct pci_function *f, unsigned offset)
{
	uint64_t at = boot.pci_ecam + ((uint64_t)f->slot << 15) + ((uint64_t)f->function << 12);

	return !boot.pci_ecam || f->bus || platform_map_device(at, 4096) ? 0 : (uintptr_t)(at + offset);
}

uint8_t pci_read8(const struct pci_function *f, unsigned offset)
{
	uintptr_t at = ecam(f, offset);

	return at ? mmio_read8(at) : 0xff;
}
uint16_t pci_read16(const struct pci_function *f, unsigned offset)
{
	uintptr_t at = ecam(f, offset);

	return at ? mmio_read16(at) : 0xffff;
}
uint32_t pci_read32(const struct pci_function *f, unsigned offset)
{
	uintptr_t at = ecam(f, offset);

	return at ? mmio_read32(at) : 0xffffffffu;
}

void pci_write16(const struct pci_function *f, unsigned offset, uint16_t v)
{
	uintptr_t at = ecam(f, offset);

	if (at)
		mmio_write16(at, v);
}

void pci_write32(const struct pci_function *f, unsigned offset, uint32_t v)
{
	uintptr_t at = ecam(f, offset);

	if (at)
		mmio_write32(at, v);
}

#endif

/* Returns false when the caller's function said stop. */
static bool scan_bus(uint8_t bus, unsigned depth, bool (*found)(const struct pci_function *, void *), void *arg)
{
	for (uint8_t slot = 0; slot < 32; slot++) {
		for (uint8_t function = 0; function < 8; function++) {
			struct pci_function f = {.bus = bus, .slot = slot, .function = function};
			uint32_t id = pci_read32(&f, PCI_VENDOR_ID);
			uint8_t type;

			if (id == 0xffffffffu) {
				if (function == 0)
					break;
				continue;
			}
			f.vendor = (uint16_t)id;
			f.device = (uint16_t)(id >> 16);
			if (!found(&f, arg))
				return false;
			type = pci_read8(&f, PCI_HEADER_TYPE);
			if ((type & 0x7f) == PCI_HEADER_TYPE_BRIDGE && depth < 8) {
				uint8_t secondary = pci_read8(&f, PCI_SECONDARY_BUS);

				if (secondary > bus && !scan_bus(secondary, depth + 1, found, arg))
					return false;
			}
			if (function == 0 && !(type & 0x80))
				break;
		}
	}
	return true;
}

void pci_scan(bool (*found)(const struct pci_function *f, void *arg), void *arg)
{
	scan_bus(0, 0, found, arg);
}

unsigned pci_capability(const struct pci_function *f, uint8_t id, unsigned after)
{
	unsigned at;

	if (!(pci_read16(f, PCI_STATUS) & PCI_STATUS_CAP_LIST))
		return 0;
	at = pci_read8(f, after ? after + 1 : PCI_CAPABILITY_LIST) & 0xfcu;
	for (unsigned n = 0; at >= 0x40 && n < MAX_CAPABILITIES; n++) {
		if (pci_read8(f, at) == id)
			return at;
		at = pci_read8(f, at + 1) & 0xfcu;
	}
	return 0;
}

void pci_enable(const struct pci_function *f)
{
	pci_write16(f, PCI_COMMAND, pci_read16(f, PCI_COMMAND) | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

uint64_t pci_bar(const struct pci_function *f, unsigned bar)
{
	unsigned at = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint64_t base;
	uint32_t low;

	if (bar > 5)
		return 0;
	low = pci_read32(f, at);
	if (low & PCI_BASE_ADDRESS_SPACE_IO)
		return 0;
	base = low & ~0xfu;
	if ((low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64) {
		if (bar == 5)
			return 0;
		base |= (uint64_t)pci_read32(f, at + 4) << 32;
	}
	return base;
}

uintptr_t pci_map(const struct pci_function *f, unsigned bar, uint32_t offset, uint32_t bytes)
{
	uint64_t base = pci_bar(f, bar);

	if (!base || platform_map_device(base + offset, bytes))
		return 0;
	return (uintptr_t)(base + offset);
}

int pci_msix_open(const struct pci_function *f, struct pci_msix *m)
{
	uint32_t where;

	*m = (struct pci_msix){.capability = pci_capability(f, PCI_CAP_ID_MSIX, 0)};
	if (!m->capability)
		return -ENOENT;
	m->entries = (pci_read16(f, m->capability + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_QSIZE) + 1u;
	where = pci_read32(f, m->capability + PCI_MSIX_TABLE);
	m->table =
		pci_map(f, where & PCI_MSIX_TABLE_BIR, where & PCI_MSIX_TABLE_OFFSET, m->entries * PCI_MSIX_ENTRY_SIZE);
	if (!m->table)
		return -ENOENT;
	for (unsigned i = 0; i < m->entries; i++)
		pci_msix_mask(m, i);
	return 0;
}

void pci_msix_set(struct pci_msix *m, unsigned entry, uint64_t address, uint32_t data)
{
	uintptr_t at = m->table + entry * PCI_MSIX_ENTRY_SIZE;

	mmio_write32(at + PCI_MSIX_ENTRY_LOWER_ADDR, (uint32_t)address);
	mmio_write32(at + PCI_MSIX_ENTRY_UPPER_ADDR, (uint32_t)(address >> 32));
	mmio_write32(at + PCI_MSIX_ENTRY_DATA, data);
	mmio_write32(at + PCI_MSIX_ENTRY_VECTOR_CTRL, 0);
}

void pci_msix_mask(struct pci_msix *m, unsigned entry)
{
	mmio_write32(m->table + entry * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL, PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

void pci_pin_enable(const struct pci_function *f, bool on)
{
	uint16_t command = pci_read16(f, PCI_COMMAND) & (uint16_t)~PCI_COMMAND_INTX_DISABLE;

	pci_write16(f, PCI_COMMAND, on ? command : command | PCI_COMMAND_INTX_DISABLE);
}

void pci_msix_enable(const struct pci_function *f, struct pci_msix *m, bool on)
{
	unsigned at = m->capability + PCI_MSIX_FLAGS;
	uint16_t flags;

	if (!m->capability)
		return;
	flags = pci_read16(f, at) & (uint16_t) ~(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_write16(f, at, on ? flags | PCI_MSIX_FLAGS_ENABLE : flags);
}
