// SPDX-License-Identifier: MIT
#include "tests/lib/vm_stub.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/virtio/mem.h"
#include "vmm/bus.h"
#include "vmm/irq.h"

#define MAX_FDS 256
#define MAX_GSIS 128
#define FIRST_MSI 24
#define MAX_SLOTS 8

struct doorbell {
	uint64_t address, value;
	unsigned size;
	bool pio, match;
	int fd; /* -1: free */
};

struct line {
	bool level, is_msi, routed;
	uint64_t address;
	uint32_t data;
	int fd; /* -1: none */
};

struct vm {
	struct bus *mmio, *pio;
	struct loop *loop;
	struct guest_mem *mem;
	uint8_t *ram;
	pthread_mutex_t lock; /* loop and guest threads both come here */
	struct doorbell doorbells[MAX_FDS];
	struct line lines[MAX_GSIS];
	struct {
		uint64_t gpa, bytes; /* 0: free */
		void *host;
	} slots[MAX_SLOTS];
	uint32_t slot_count;
	bool ended;
	enum vm_end why;
};

struct vm *stub_create_still(void)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	struct guest_mem_region region = {.gpa = STUB_RAM, .size_bytes = STUB_RAM_BYTES, .fd = -1};

	if (!vm || loop_create("vm", &vm->loop) || guest_mem_create(&vm->mem))
		abort();
	vm->ram = calloc(1, STUB_RAM_BYTES);
	region.host = vm->ram;
	if (!vm->ram || guest_mem_add(vm->mem, &region))
		abort();
	pthread_mutex_init(&vm->lock, NULL);
	for (unsigned i = 0; i < MAX_FDS; i++)
		vm->doorbells[i].fd = -1;
	for (unsigned i = 0; i < MAX_GSIS; i++)
		vm->lines[i].fd = -1;
	if (bus_create("mmio", &vm->mmio) || bus_create("pio", &vm->pio))
		abort();
	return vm;
}

void stub_destroy(struct vm *vm)
{
	if (stub_ioeventfds(vm))
		abort();
	for (unsigned i = 0; i < MAX_GSIS; i++) {
		if (vm->lines[i].fd >= 0 || vm->lines[i].is_msi || vm->lines[i].level)
			abort();
	}
	for (unsigned i = 0; i < MAX_SLOTS; i++) {
		if (vm->slots[i].bytes)
			abort();
	}
	loop_destroy(vm->loop);
	guest_mem_destroy(vm->mem);
	free(vm->ram);
	bus_destroy(vm->mmio);
	bus_destroy(vm->pio);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

struct vm *stub_create(void)
{
	struct vm *vm = stub_create_still();

	if (loop_start(vm->loop))
		abort();
	return vm;
}

uint8_t *stub_ram(struct vm *vm)
{
	return vm->ram;
}

bool stub_wait(atomic_uint *counter, unsigned least)
{
	for (unsigned i = 0; i < 5000 && atomic_load(counter) < least; i++)
		usleep(1000);
	return atomic_load(counter) >= least;
}

struct bus *vm_mmio(struct vm *vm)
{
	return vm->mmio;
}

struct bus *vm_pio(struct vm *vm)
{
	return vm->pio;
}

struct loop *vm_loop(struct vm *vm)
{
	return vm->loop;
}

const struct guest_mem *vm_mem(const struct vm *vm)
{
	return vm->mem;
}

void vm_end(struct vm *vm, enum vm_end why)
{
	vm->ended = true;
	vm->why = why;
}

bool stub_ended(const struct vm *vm, enum vm_end *why)
{
	*why = vm->why;
	return vm->ended;
}

/* ---- memory slots ---- */

uint32_t vm_new_slot(struct vm *vm)
{
	if (vm->slot_count == MAX_SLOTS)
		abort();
	return vm->slot_count++;
}

/* KVM wants a slot gone before it is somewhere else, and no two in one place. */
int vm_set_slot(struct vm *vm, uint32_t slot, uint64_t gpa, void *host, uint64_t bytes)
{
	if (slot >= vm->slot_count)
		abort();
	if (!bytes != !!vm->slots[slot].bytes)
		return -EINVAL;
	for (unsigned i = 0; bytes && i < vm->slot_count; i++) {
		if (vm->slots[i].bytes && gpa < vm->slots[i].gpa + vm->slots[i].bytes && vm->slots[i].gpa < gpa + bytes)
			return -EEXIST;
	}
	vm->slots[slot].gpa = gpa;
	vm->slots[slot].bytes = bytes;
	vm->slots[slot].host = host;
	return 0;
}

void *stub_slot(const struct vm *vm, uint64_t gpa)
{
	for (unsigned i = 0; i < vm->slot_count; i++) {
		if (vm->slots[i].bytes && vm->slots[i].gpa == gpa)
			return vm->slots[i].host;
	}
	return NULL;
}

/* ---- doorbells ---- */

static int add_doorbell(struct vm *vm, struct doorbell d)
{
	int err = -ENOSPC;

	pthread_mutex_lock(&vm->lock);
	for (unsigned i = 0; i < MAX_FDS; i++) {
		struct doorbell *o = &vm->doorbells[i];

		/* KVM refuses two that the same write could ring. */
		if (o->fd >= 0 && o->pio == d.pio && o->address == d.address &&
		    (!o->match || !d.match || o->value == d.value)) {
			err = -EEXIST;
			break;
		}
	}
	for (unsigned i = 0; i < MAX_FDS && err == -ENOSPC; i++) {
		if (vm->doorbells[i].fd < 0) {
			vm->doorbells[i] = d;
			err = 0;
		}
	}
	pthread_mutex_unlock(&vm->lock);
	return err;
}

static void remove_doorbell(struct vm *vm, struct doorbell d)
{
	bool found = false;

	pthread_mutex_lock(&vm->lock);
	for (unsigned i = 0; i < MAX_FDS && !found; i++) {
		struct doorbell *o = &vm->doorbells[i];

		if (o->fd == d.fd && o->address == d.address && o->size == d.size && o->pio == d.pio &&
		    o->match == d.match && (!d.match || o->value == d.value)) {
			o->fd = -1;
			found = true;
		}
	}
	pthread_mutex_unlock(&vm->lock);
	if (!found)
		abort(); /* taken away what was never there */
}

int vm_add_ioeventfd(struct vm *vm, uint64_t address, unsigned size, bool pio, int eventfd)
{
	return add_doorbell(vm, (struct doorbell){.address = address, .size = size, .pio = pio, .fd = eventfd});
}

int vm_add_ioeventfd_match(struct vm *vm, uint64_t address, unsigned size, bool pio, uint64_t value, int eventfd)
{
	return add_doorbell(
		vm,
		(struct doorbell){
			.address = address, .size = size, .pio = pio, .fd = eventfd, .match = true, .value = value});
}

void vm_remove_ioeventfd(struct vm *vm, uint64_t address, unsigned size, bool pio, int eventfd)
{
	remove_doorbell(vm, (struct doorbell){.address = address, .size = size, .pio = pio, .fd = eventfd});
}

void vm_remove_ioeventfd_match(struct vm *vm, uint64_t address, unsigned size, bool pio, uint64_t value, int eventfd)
{
	remove_doorbell(
		vm,
		(struct doorbell){
			.address = address, .size = size, .pio = pio, .fd = eventfd, .match = true, .value = value});
}

unsigned stub_ioeventfds(const struct vm *vm)
{
	unsigned count = 0;

	for (unsigned i = 0; i < MAX_FDS; i++)
		count += vm->doorbells[i].fd >= 0;
	return count;
}

/* ---- interrupts ---- */

int irq_set_level(struct vm *vm, uint32_t gsi, bool high)
{
	vm->lines[gsi].level = high;
	return 0;
}

int irq_add_fd(struct vm *vm, uint32_t gsi, int eventfd)
{
	if (vm->lines[gsi].fd >= 0)
		return -EBUSY;
	vm->lines[gsi].fd = eventfd;
	return 0;
}

void irq_remove_fd(struct vm *vm, uint32_t gsi, int eventfd)
{
	if (vm->lines[gsi].fd != eventfd)
		abort();
	vm->lines[gsi].fd = -1;
}

int irq_msi_alloc(struct vm *vm, uint32_t requester, uint32_t *gsi)
{
	(void)requester;
	for (uint32_t i = FIRST_MSI; i < MAX_GSIS; i++) {
		if (!vm->lines[i].is_msi) {
			vm->lines[i] = (struct line){.is_msi = true, .fd = -1};
			*gsi = i;
			return 0;
		}
	}
	return -ENOSPC;
}

void irq_msi_free(struct vm *vm, uint32_t gsi)
{
	if (!vm->lines[gsi].is_msi || vm->lines[gsi].fd >= 0)
		abort();
	vm->lines[gsi].is_msi = false;
}

int irq_msi_route(struct vm *vm, uint32_t gsi, uint64_t address, uint32_t data)
{
	if (!vm->lines[gsi].is_msi)
		abort();
	vm->lines[gsi].routed = true;
	vm->lines[gsi].address = address;
	vm->lines[gsi].data = data;
	return 0;
}

bool stub_level(const struct vm *vm, uint32_t gsi)
{
	return vm->lines[gsi].level;
}

uint64_t stub_edges(struct vm *vm, uint32_t gsi)
{
	uint64_t count = 0;

	if (vm->lines[gsi].fd < 0 || read(vm->lines[gsi].fd, &count, sizeof(count)) != (ssize_t)sizeof(count))
		return 0;
	return count;
}

uint32_t stub_msi_gsi(const struct vm *vm, uint64_t address, uint32_t data)
{
	for (uint32_t i = FIRST_MSI; i < MAX_GSIS; i++) {
		const struct line *l = &vm->lines[i];

		if (l->is_msi && l->routed && l->address == address && l->data == data)
			return i;
	}
	return 0;
}

/* ---- the guest's accesses ---- */

static bool ring(struct vm *vm, uint64_t address, unsigned size, bool pio, uint64_t value)
{
	uint64_t one = 1;
	bool rang = false;

	pthread_mutex_lock(&vm->lock);
	for (unsigned i = 0; i < MAX_FDS && !rang; i++) {
		const struct doorbell *d = &vm->doorbells[i];

		rang = d->fd >= 0 && d->pio == pio && d->address == address && (!d->size || d->size == size) &&
		       (!d->match || d->value == value);
		if (rang && write(d->fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
			abort();
	}
	pthread_mutex_unlock(&vm->lock);
	return rang;
}

uint64_t stub_read(struct vm *vm, uint64_t address, unsigned size)
{
	uint64_t value = 0;

	bus_access(vm->mmio, address, &value, size, false);
	return value;
}

void stub_write_exit(struct vm *vm, uint64_t address, unsigned size, uint64_t value)
{
	bus_access(vm->mmio, address, &value, size, true);
}

void stub_write(struct vm *vm, uint64_t address, unsigned size, uint64_t value)
{
	if (!ring(vm, address, size, false, value))
		stub_write_exit(vm, address, size, value);
}

uint32_t stub_in(struct vm *vm, uint16_t port, unsigned size)
{
	uint32_t value = 0;

	bus_access(vm->pio, port, &value, size, false);
	return value;
}

void stub_out(struct vm *vm, uint16_t port, unsigned size, uint32_t value)
{
	if (!ring(vm, port, size, true, value))
		bus_access(vm->pio, port, &value, size, true);
}
