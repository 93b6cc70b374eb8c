// SPDX-License-Identifier: MIT
/*
 * A guest that reads and writes anything anywhere: both transports, configuration space, BARs and MSI-X. The input is a
 * list of accesses, 8 bytes each: what, size, 16-bit offset, 32-bit value; with one byte behind them, the devices are served
 * by another process.
 */
#include <linux/pci_regs.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "protocol/virtio.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/test_device.h"
#include "tests/lib/vm_stub.h"
#include "vmm/pci.h"
#include "vmm/virtio_mmio.h"
#include "vmm/virtio_pci.h"

#define MMIO 0xe8000000ull
#define ECAM 0xe0000000ull
#define WINDOW 0xc0000000ull
#define MAX_ACCESSES 512

const unsigned fuzz_runs = 20000;

static const struct pci_layout layout = {
	.ecam_base = ECAM,
	.mmio32_base = WINDOW,
	.mmio32_size = 0x10000000,
	.mmio64_base = 0x800000000,
	.mmio64_size = 0x100000000,
	.intx_gsi = {16, 17, 18, 19},
	.has_ports = true,
};

struct step {
	uint8_t what, size;
	uint16_t offset;
	uint32_t value;
};

enum { MMIO_REGISTER, MMIO_ANY, PCI_CONFIG, PCI_ECAM, PCI_BAR0, PCI_MSIX, PORT, RAM, READ = 8, EXIT = 16 };

/* A driver that brings each device up, as far as its first request. */
static const struct step driver[] = {
	{MMIO_REGISTER, 2, VIRTIO_MMIO_STATUS, 3},
	{MMIO_REGISTER, 2, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1},
	{MMIO_REGISTER, 2, VIRTIO_MMIO_DRIVER_FEATURES, 1},
	{MMIO_REGISTER, 2, VIRTIO_MMIO_STATUS, 11},
	{MMIO_REGISTER, 2, VIRTIO_MMIO_QUEUE_NUM, 16},
	{MMIO_REGISTER, 2, VIRTIO_MMIO_QUEUE_DESC_LOW, STUB_RAM},
	{MMIO_REGISTER, 2, VIRTIO_MMIO_QUEUE_AVAIL_LOW, STUB_RAM + 0x1000},
	{MMIO_REGISTER, 2, VIRTIO_MMIO_QUEUE_USED_LOW, STUB_RAM + 0x2000},
	{MMIO_REGISTER, 2, VIRTIO_MMIO_QUEUE_READY, 1},
	{MMIO_REGISTER, 2, VIRTIO_MMIO_STATUS, 15},
	{MMIO_REGISTER | EXIT, 2, VIRTIO_MMIO_QUEUE_NOTIFY, 0},
	{PCI_CONFIG, 1, 0x009a, PCI_MSIX_FLAGS_ENABLE}, /* message control, as the capabilities lie now */
	{PCI_MSIX, 2, 0, 0xfee00000},
	{PCI_MSIX, 2, 8, 0x41},
	{PCI_MSIX, 2, 12, 0},
	{PCI_BAR0, 0, VIRTIO_PCI_COMMON_STATUS, 3},
	{PCI_BAR0, 2, VIRTIO_PCI_COMMON_GFSELECT, 1},
	{PCI_BAR0, 2, VIRTIO_PCI_COMMON_GF, 1},
	{PCI_BAR0, 0, VIRTIO_PCI_COMMON_STATUS, 11},
	{PCI_BAR0, 1, VIRTIO_PCI_COMMON_Q_MSIX, 0},
	{PCI_BAR0, 2, VIRTIO_PCI_COMMON_Q_DESCLO, STUB_RAM + 0x4000},
	{PCI_BAR0, 2, VIRTIO_PCI_COMMON_Q_AVAILLO, STUB_RAM + 0x5000},
	{PCI_BAR0, 2, VIRTIO_PCI_COMMON_Q_USEDLO, STUB_RAM + 0x6000},
	{PCI_BAR0, 1, VIRTIO_PCI_COMMON_Q_ENABLE, 1},
	{PCI_BAR0, 0, VIRTIO_PCI_COMMON_STATUS, 15},
	{RAM, 0, 0x5002, 1}, /* one entry in the available ring */
	{PCI_BAR0 | EXIT, 1, 0x3000, 0},
	{PCI_MSIX, 2, 12, 1},
	{PCI_BAR0 | EXIT, 1, 0x3000, 0},
	{PCI_MSIX | READ, 2, 0x800, 0},
	{PCI_CONFIG, 2, PCI_BASE_ADDRESS_0, 0xffffffff},
	{PCI_CONFIG, 2, PCI_BASE_ADDRESS_0, 0xc0100000},
	{PORT, 2, 0, 0x80000800},
	{PORT | READ, 2, 4, 0},
};

size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	if (index > 1 || sizeof(driver) + index > cap)
		return 0;
	memcpy(buf, driver, sizeof(driver));
	memset(buf + sizeof(driver), 0, index);
	return sizeof(driver) + index;
}

static uint64_t bar(struct vm *vm, unsigned number)
{
	uint64_t at = stub_read(vm, ECAM + (1u << 15) + PCI_BASE_ADDRESS_0 + 4 * number, 8);

	return number == 0 ? at & ~0xfull : at & 0xfffffff0u;
}

static void take(struct vm *vm, const struct step *s)
{
	unsigned size = 1u << (s->size & 3);
	uint64_t value = s->value, at = 0;

	/* The second half of an 8-byte value repeats the first. */
	value |= value << 32;
	switch (s->what & 7) {
	case MMIO_REGISTER: /* aligned registers, where most of the meaning is */
		at = MMIO + (s->offset & 0xfc);
		size = 4;
		break;
	case MMIO_ANY:
		at = MMIO + s->offset % 0x1000;
		break;
	case PCI_CONFIG:
		at = ECAM + (1u << 15) + s->offset % 0x200;
		break;
	case PCI_ECAM:
		at = ECAM + s->offset * 16;
		break;
	case PCI_BAR0:
		at = bar(vm, 0) + (s->offset & 0x303f);
		break;
	case PCI_MSIX:
		at = bar(vm, 2) + s->offset % 0x900;
		break;
	case PORT:
		if (!(s->what & READ))
			stub_out(vm, (uint16_t)(0xcf8 + s->offset % 8), size > 4 ? 4 : size, s->value);
		else
			stub_in(vm, (uint16_t)(0xcf8 + s->offset % 8), size > 4 ? 4 : size);
		return;
	default:
		memcpy(stub_ram(vm) + s->offset % (STUB_RAM_BYTES - 4), &s->value, 4);
		return;
	}
	if (s->what & READ)
		stub_read(vm, at, size);
	else if (s->what & EXIT)
		stub_write_exit(vm, at, size, value);
	else
		stub_write(vm, at, size, value);
}

/* What must hold whatever the guest did. */
static void check(const struct test_device *d)
{
	uint8_t status = d->base.status;

	if ((status & VIRTIO_CONFIG_S_DRIVER_OK) && !(status & VIRTIO_CONFIG_S_FEATURES_OK))
		abort();
	if ((status & VIRTIO_CONFIG_S_FEATURES_OK) && (d->base.negotiated & ~d->base.offered))
		abort();
	for (unsigned q = 0; q < 2; q++) {
		if (virtq_is_started(d->base.queues[q]) && (!(status & VIRTIO_CONFIG_S_DRIVER_OK) || d->base.broken))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const bool outside = size % sizeof(struct step) == 1;
	struct vm *vm = stub_create_still();
	struct test_device *devices[2];
	struct virtio_mmio *mmio;
	struct virtio_pci *pci;
	struct pci_bus *bus;

	log_set_levels("error");
	for (unsigned i = 0; i < 2; i++)
		devices[i] = outside ? test_device_create_outside(vm_loop(vm), vm_mem(vm))
				     : test_device_create(vm_loop(vm), vm_mem(vm));
	if (pci_bus_create(vm, &layout, &bus) || virtio_mmio_create(vm, &devices[0]->base, MMIO, 5, 1ull << 40, &mmio) ||
	    virtio_pci_create(vm, bus, &devices[1]->base, &pci))
		abort();
	for (unsigned i = 0; i < MAX_ACCESSES && size >= sizeof(struct step); i++) {
		struct step s;

		memcpy(&s, data, sizeof(s));
		data += sizeof(s);
		size -= sizeof(s);
		take(vm, &s);
		check(devices[0]);
		check(devices[1]);
	}
	virtio_pci_destroy(pci);
	virtio_mmio_destroy(mmio);
	pci_bus_destroy(bus);
	stub_destroy(vm);
	return 0;
}
