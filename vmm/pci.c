// SPDX-License-Identifier: MIT
/*
 * The root bus (PCI Express Base 4.0, sections 7.2 and 7.5; PCI Local Bus 3.0, section 3.2.2.3.2 for the ports).
 */
#include "vmm/pci.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "vmm/irq.h"
#include "vmm/vm.h"

#define ECAM_FUNCTION_BYTES 4096u
#define ECAM_BUS_BYTES (PCI_SLOTS * 8u * ECAM_FUNCTION_BYTES)
#define PORT_CONFIG_ADDRESS 0xcf8u
#define PORT_CONFIG_DATA 0xcfcu
#define PORT_RESET_OFFSET 1u /* 0xcf9 */
#define RESET_CPU 0x04u
#define CONFIG_ADDRESS_ENABLE 0x80000000u
/*
 * BARs of up to this size go below 4 GiB even if they are 64-bit, so that a small guest reaches every register without
 * page tables for the window above its RAM. The guest may move them up.
 */
#define LOW_BAR_BYTES 0x100000u

struct pci_bus {
	struct vm *vm;
	struct pci_layout layout;
	pthread_mutex_t lock; /* configuration space of every function */
	struct pci_function *slots[PCI_SLOTS];
	struct pci_function bridge;
	uint64_t next32, next64; /* first free address of each window */
	uint32_t config_address;
	struct bus_range ecam, address_port, data_port;
	bool has_ecam, has_address_port, has_data_port;
	pthread_mutex_t intx_lock;
	unsigned intx_holders[4]; /* functions that assert each line */
	struct log_limit log;	  /* under the bus lock */
};

uint32_t pci_intx_gsi(const struct pci_layout *layout, unsigned slot, unsigned pin)
{
	return layout->intx_gsi[(slot + pin) % 4];
}

uint32_t pci_get(const struct pci_function *f, unsigned offset, unsigned size)
{
	uint32_t value = 0;

	assert(size <= 4 && offset + size <= PCI_CONFIG_BYTES);
	for (unsigned i = 0; i < size; i++)
		value |= (uint32_t)f->config[offset + i] << (8 * i);
	return value;
}

void pci_put(struct pci_function *f, unsigned offset, unsigned size, uint32_t value)
{
	assert(size <= 4 && offset + size <= PCI_CONFIG_BYTES);
	for (unsigned i = 0; i < size; i++)
		f->config[offset + i] = (uint8_t)(value >> (8 * i));
}

static void put_writable(struct pci_function *f, unsigned offset, unsigned size, uint32_t mask)
{
	for (unsigned i = 0; i < size; i++)
		f->writable[offset + i] = (uint8_t)(mask >> (8 * i));
}

void pci_function_init(struct pci_function *f, const struct pci_ids *ids, const struct pci_function_ops *ops,
		       void *owner)
{
	memset(f, 0, sizeof(*f));
	f->ops = ops;
	f->owner = owner;
	f->capability_end = PCI_STD_HEADER_SIZEOF;
	f->capability_link = PCI_CAPABILITY_LIST;
	for (unsigned i = 0; i < PCI_BARS; i++)
		f->bars[i].function = f;
	pci_put(f, PCI_VENDOR_ID, 2, ids->vendor);
	pci_put(f, PCI_DEVICE_ID, 2, ids->device);
	pci_put(f, PCI_CLASS_REVISION, 4, (ids->class_code << 8) | ids->revision);
	pci_put(f, PCI_SUBSYSTEM_VENDOR_ID, 2, ids->subsystem_vendor);
	pci_put(f, PCI_SUBSYSTEM_ID, 2, ids->subsystem);
	put_writable(f, PCI_COMMAND, 2,
		     PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
			     PCI_COMMAND_INTX_DISABLE);
	put_writable(f, PCI_CACHE_LINE_SIZE, 1, 0xff);
	put_writable(f, PCI_INTERRUPT_LINE, 1, 0xff);
}

unsigned pci_add_capability(struct pci_function *f, uint8_t id, unsigned size)
{
	unsigned offset = f->capability_end;

	assert(offset + size <= PCI_CONFIG_BYTES);
	f->config[offset + PCI_CAP_LIST_ID] = id;
	f->config[f->capability_link] = (uint8_t)offset;
	f->capability_link = offset + PCI_CAP_LIST_NEXT;
	f->capability_end = (offset + size + 3) & ~3u;
	pci_put(f, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	return offset;
}

void pci_set_bar(struct pci_function *f, unsigned bar, uint64_t size, bool is_64bit)
{
	unsigned offset = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint64_t mask = ~(size - 1);

	assert(size >= 4096 && (size & (size - 1)) == 0);
	assert(bar + is_64bit < PCI_BARS && (is_64bit || size <= 0x80000000u));
	f->bars[bar].size = size;
	f->bars[bar].is_64bit = is_64bit;
	pci_put(f, offset, 4, is_64bit ? PCI_BASE_ADDRESS_MEM_TYPE_64 : PCI_BASE_ADDRESS_MEM_TYPE_32);
	put_writable(f, offset, 4, (uint32_t)mask);
	if (is_64bit)
		put_writable(f, offset + 4, 4, (uint32_t)(mask >> 32));
}

/* ---- BARs ---- */

static uint64_t bar_register(const struct pci_function *f, unsigned bar)
{
	unsigned offset = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint64_t address = pci_get(f, offset, 4) & PCI_BASE_ADDRESS_MEM_MASK & 0xffffffffu;

	if (f->bars[bar].is_64bit)
		address |= (uint64_t)pci_get(f, offset + 4, 4) << 32;
	return address;
}

static bool in_window(uint64_t address, uint64_t size, uint64_t base, uint64_t window_size)
{
	return address >= base && size <= window_size && address - base <= window_size - size;
}

/*
 * The address that BAR @bar should be decoded at, or 0. The host bridge forwards its windows and nothing else: a BAR put
 * anywhere else, sizing with all ones included, answers nowhere.
 */
static uint64_t bar_target(const struct pci_function *f, unsigned bar)
{
	const struct pci_layout *l = &f->bus->layout;
	uint64_t address = bar_register(f, bar), size = f->bars[bar].size;

	if (!(pci_get(f, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY))
		return 0;
	if (in_window(address, size, l->mmio32_base, l->mmio32_size) ||
	    in_window(address, size, l->mmio64_base, l->mmio64_size))
		return address;
	return 0;
}

static void bar_access(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct pci_bar *bar = owner;
	struct pci_function *f = bar->function;

	f->ops->bar_access(f->owner, (unsigned)(bar - f->bars), offset, data, size, write);
}

static void unmap_bar(struct pci_function *f, unsigned i)
{
	struct pci_bar *bar = &f->bars[i];

	if (!bar->address)
		return;
	f->ops->bar_moved(f->owner, i, 0);
	bus_remove(vm_mmio(f->bus->vm), &bar->range);
	bar->address = 0;
}

static int map_bar(struct pci_function *f, unsigned i, uint64_t address)
{
	struct pci_bar *bar = &f->bars[i];
	int err;

	bar->range = (struct bus_range){.base = address, .size = bar->size, .access = bar_access, .owner = bar};
	err = bus_add(vm_mmio(f->bus->vm), &bar->range);
	if (err)
		return err;
	bar->address = address;
	f->ops->bar_moved(f->owner, i, address);
	return 0;
}

/*
 * Decode the BARs of @f where its registers say. One that overlaps another answers nowhere until that one has moved
 * away, hence the second part, over every function: a guest that swaps two BARs passes through such a state.
 */
static void update_bars(struct pci_function *f)
{
	struct pci_bus *b = f->bus;
	bool freed = false;

	for (unsigned i = 0; i < PCI_BARS; i++) {
		if (f->bars[i].size && f->bars[i].address && f->bars[i].address != bar_target(f, i)) {
			unmap_bar(f, i);
			freed = true;
		}
	}
	for (unsigned s = freed ? 0 : f->slot; s < (freed ? PCI_SLOTS : f->slot + 1); s++) {
		struct pci_function *g = b->slots[s];

		for (unsigned i = 0; g && i < PCI_BARS; i++) {
			uint64_t target = g->bars[i].size && !g->bars[i].address ? bar_target(g, i) : 0;

			if (target && map_bar(g, i, target))
				log_guest(LOG_TOPIC_VMM, &b->log,
					  "pci: slot %u: BAR %u at 0x%" PRIx64 " overlaps something else; not decoded",
					  s, i, target);
		}
	}
}

static int assign_bar(struct pci_bus *b, struct pci_function *f, unsigned i)
{
	struct pci_bar *bar = &f->bars[i];
	/* Where addresses are few there is no window above. */
	bool high = bar->is_64bit && bar->size > LOW_BAR_BYTES && b->layout.mmio64_size;
	uint64_t *next = high ? &b->next64 : &b->next32;
	uint64_t base = high ? b->layout.mmio64_base : b->layout.mmio32_base;
	uint64_t window = high ? b->layout.mmio64_size : b->layout.mmio32_size;
	uint64_t address = (*next + bar->size - 1) & ~(bar->size - 1);
	unsigned offset = PCI_BASE_ADDRESS_0 + 4 * i;

	if (!in_window(address, bar->size, base, window))
		return -ENOSPC;
	*next = address + bar->size;
	pci_put(f, offset, 4, pci_get(f, offset, 4) | (uint32_t)address);
	if (bar->is_64bit)
		pci_put(f, offset + 4, 4, (uint32_t)(address >> 32));
	return 0;
}

/* ---- configuration space ---- */

static bool overlaps(unsigned offset, unsigned size, unsigned field, unsigned field_size)
{
	return offset < field + field_size && field < offset + size;
}

/* Bytes of function @f; past the first 256 there is no extended capability (zero). */
static void config_read(struct pci_function *f, unsigned offset, uint8_t *data, unsigned size)
{
	if (offset < PCI_CONFIG_BYTES && f->ops)
		f->ops->config_read(f->owner, offset, size);
	for (unsigned i = 0; i < size; i++) {
		unsigned at = offset + i;

		data[i] = at < PCI_CONFIG_BYTES ? f->config[at] : 0;
		if (at == PCI_STATUS && atomic_load(&f->intx))
			data[i] |= PCI_STATUS_INTERRUPT;
	}
}

static void config_write(struct pci_function *f, unsigned offset, const uint8_t *data, unsigned size)
{
	for (unsigned i = 0; i < size; i++) {
		unsigned at = offset + i;

		if (at < PCI_CONFIG_BYTES)
			f->config[at] = (uint8_t)((f->config[at] & ~f->writable[at]) | (data[i] & f->writable[at]));
	}
	if (!f->ops || offset >= PCI_CONFIG_BYTES)
		return;
	if (overlaps(offset, size, PCI_COMMAND, 2) || overlaps(offset, size, PCI_BASE_ADDRESS_0, 4 * PCI_BARS))
		update_bars(f);
	f->ops->config_written(f->owner, offset, size);
}

/* One access of 1, 2 or 4 bytes; @slot_function is device << 3 | function. */
static void config_access(struct pci_bus *b, unsigned slot_function, unsigned offset, uint8_t *data, unsigned size,
			  bool write)
{
	struct pci_function *f = slot_function % 8 == 0 ? b->slots[slot_function / 8] : NULL;

	/* An access across the end of a function is split by no real bridge: nobody answers. */
	if (!f || offset + size > ECAM_FUNCTION_BYTES) {
		if (!write)
			memset(data, 0xff, size);
		return;
	}
	pthread_mutex_lock(&b->lock);
	if (write)
		config_write(f, offset, data, size);
	else
		config_read(f, offset, data, size);
	pthread_mutex_unlock(&b->lock);
}

static void ecam_access(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct pci_bus *b = owner;

	/* An 8-byte access reaches us as one; configuration space has none wider than 4. */
	for (unsigned done = 0; done < size; done += 4) {
		uint64_t at = offset + done;

		config_access(b, (unsigned)(at / ECAM_FUNCTION_BYTES), (unsigned)(at % ECAM_FUNCTION_BYTES),
			      (uint8_t *)data + done, size - done < 4 ? size - done : 4, write);
	}
}

/* 0xcf8: the address register takes whole 32-bit accesses only. A byte at 0xcf9 is the reset register (FADT). */
static void address_port_access(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct pci_bus *b = owner;

	if (size == 4) {
		pthread_mutex_lock(&b->lock);
		if (write)
			memcpy(&b->config_address, data, sizeof(b->config_address));
		else
			memcpy(data, &b->config_address, sizeof(b->config_address));
		pthread_mutex_unlock(&b->lock);
	} else if (!write) {
		memset(data, 0, size);
	} else if (size == 1 && offset == PORT_RESET_OFFSET && (*(uint8_t *)data & RESET_CPU)) {
		vm_end(b->vm, VM_END_REBOOT);
	}
}

static void data_port_access(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct pci_bus *b = owner;
	uint32_t address;

	pthread_mutex_lock(&b->lock);
	address = b->config_address;
	pthread_mutex_unlock(&b->lock);
	if (!(address & CONFIG_ADDRESS_ENABLE) || ((address >> 16) & 0xff) != 0) {
		if (!write)
			memset(data, 0xff, size);
		return;
	}
	config_access(b, (address >> 8) & 0xff, (address & 0xfc) + (unsigned)offset, data, size, write);
}

/* ---- functions and the bus ---- */

int pci_add_function(struct pci_bus *b, struct pci_function *f)
{
	unsigned slot = 0;
	int err = 0;

	while (slot < PCI_SLOTS && b->slots[slot])
		slot++;
	if (slot == PCI_SLOTS)
		return -ENOSPC;
	for (unsigned i = 0; i < PCI_BARS && !err; i++) {
		if (f->bars[i].size)
			err = assign_bar(b, f, i);
	}
	if (err)
		return err;
	f->bus = b;
	f->slot = slot;
	if (f->ops) {
		pci_put(f, PCI_INTERRUPT_PIN, 1, 1);
		pci_put(f, PCI_INTERRUPT_LINE, 1, pci_intx_gsi(&b->layout, slot, 0));
	}
	pci_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	pthread_mutex_lock(&b->lock);
	b->slots[slot] = f;
	for (unsigned i = 0; i < PCI_BARS && !err; i++) {
		if (f->bars[i].size)
			err = map_bar(f, i, bar_target(f, i));
	}
	pthread_mutex_unlock(&b->lock);
	if (err)
		pci_remove_function(f);
	return err;
}

void pci_remove_function(struct pci_function *f)
{
	struct pci_bus *b = f->bus;

	if (!b)
		return;
	pci_set_intx(f, false);
	pthread_mutex_lock(&b->lock);
	for (unsigned i = 0; i < PCI_BARS; i++)
		unmap_bar(f, i);
	b->slots[f->slot] = NULL;
	pthread_mutex_unlock(&b->lock);
	f->bus = NULL;
}

void pci_set_intx(struct pci_function *f, bool high)
{
	struct pci_bus *b = f->bus;
	unsigned *holders;

	if (!b)
		return;
	holders = &b->intx_holders[f->slot % 4];
	pthread_mutex_lock(&b->intx_lock);
	if (atomic_load(&f->intx) != high) {
		bool was = *holders > 0;

		atomic_store(&f->intx, high);
		*holders = high ? *holders + 1 : *holders - 1;
		if (was != (*holders > 0))
			irq_set_level(b->vm, pci_intx_gsi(&b->layout, f->slot, 0), high);
	}
	pthread_mutex_unlock(&b->intx_lock);
}

/* "QEMU PCIe host bridge", the one that drivers expect of a virtual root bus; it has no BAR and no interrupt. */
static const struct pci_ids bridge_ids = {
	.vendor = 0x1b36,
	.device = 0x0008,
	.subsystem_vendor = 0x1af4,
	.subsystem = 0x1100,
	.class_code = 0x060000, /* bridge, host */
};

static int add_range(struct bus *bus, struct bus_range *r, uint64_t base, uint64_t size,
		     void (*access)(void *, uint64_t, void *, unsigned, bool), void *owner, bool *added)
{
	int err;

	*r = (struct bus_range){.base = base, .size = size, .access = access, .owner = owner};
	err = bus_add(bus, r);
	*added = !err;
	return err;
}

int pci_bus_create(struct vm *vm, const struct pci_layout *layout, struct pci_bus **out)
{
	struct pci_bus *b = calloc(1, sizeof(*b));
	int err;

	*out = NULL;
	if (!b)
		return -ENOMEM;
	b->vm = vm;
	b->layout = *layout;
	b->next32 = layout->mmio32_base;
	b->next64 = layout->mmio64_base;
	pthread_mutex_init(&b->lock, NULL);
	pthread_mutex_init(&b->intx_lock, NULL);
	pci_function_init(&b->bridge, &bridge_ids, NULL, NULL);
	err = pci_add_function(b, &b->bridge);
	if (!err)
		err = add_range(vm_mmio(vm), &b->ecam, layout->ecam_base, ECAM_BUS_BYTES, ecam_access, b, &b->has_ecam);
	if (!err && layout->has_ports)
		err = add_range(vm_pio(vm), &b->address_port, PORT_CONFIG_ADDRESS, 4, address_port_access, b,
				&b->has_address_port);
	if (!err && layout->has_ports)
		err = add_range(vm_pio(vm), &b->data_port, PORT_CONFIG_DATA, 4, data_port_access, b, &b->has_data_port);
	if (err) {
		pci_bus_destroy(b);
		return err;
	}
	*out = b;
	return 0;
}

void pci_bus_destroy(struct pci_bus *b)
{
	if (!b)
		return;
	if (b->has_ecam)
		bus_remove(vm_mmio(b->vm), &b->ecam);
	if (b->has_address_port)
		bus_remove(vm_pio(b->vm), &b->address_port);
	if (b->has_data_port)
		bus_remove(vm_pio(b->vm), &b->data_port);
	pci_remove_function(&b->bridge);
	pthread_mutex_destroy(&b->lock);
	pthread_mutex_destroy(&b->intx_lock);
	free(b);
}
