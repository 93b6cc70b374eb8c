// SPDX-License-Identifier: MIT
/*
 * The register block of virtio 1.4, section 4.2.2. Everything but the interrupt registers is answered on the
 * device's loop. InterruptStatus and InterruptACK are one atomic word answered on the vCPU's own thread: a guest
 * reads them at every interrupt, and two thread switches there would cost more than the interrupt.
 */
#include "vmm/virtio_mmio.h"

#include <errno.h>
#include <linux/virtio_mmio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "protocol/virtio.h"
#include "vmm/bus.h"
#include "vmm/irq.h"
#include "vmm/shmem.h"
#include "vmm/virtio_transport.h"
#include "vmm/vm.h"

/* Absent from the oldest kernel headers we build with. */
#ifndef VIRTIO_MMIO_QUEUE_RESET
#define VIRTIO_MMIO_QUEUE_RESET 0x0c0
#endif
#ifndef VIRTIO_MMIO_SHM_SEL
#define VIRTIO_MMIO_SHM_SEL 0x0ac
#define VIRTIO_MMIO_SHM_LEN_LOW 0x0b0
#define VIRTIO_MMIO_SHM_LEN_HIGH 0x0b4
#define VIRTIO_MMIO_SHM_BASE_LOW 0x0b8
#define VIRTIO_MMIO_SHM_BASE_HIGH 0x0bc
#endif

struct virtio_mmio {
	struct virtio_transport transport;
	struct bus_range range;
	uint64_t base;
	uint32_t gsi;
	int irqfd;
	bool on_bus, on_gsi;
	unsigned ioeventfds; /* how many queues have theirs */
	_Atomic uint32_t interrupt_status;
	uint64_t shmem_base; /* of the region whose id is the device's; 0: nowhere */
	uint32_t shmem_select;
};

/* One access on its way to the loop. */
struct access {
	struct virtio_mmio *m;
	uint32_t offset;
	uint8_t *data;
	unsigned size;
	bool write;
};

static void raise_interrupt(struct virtio_mmio *m, uint32_t bit)
{
	uint64_t one = 1;

	/* Before the edge: the guest's handler reads the bit first and returns if it is not there. */
	atomic_fetch_or(&m->interrupt_status, bit);
	/* It can only fail with the counter at its maximum, when an edge is already on its way. */
	if (write(m->irqfd, &one, sizeof(one)) < 0)
		log_line(LOG_TOPIC_VIRTIO, LOG_ERROR, "%s: cannot signal its interrupt: %s",
			 m->transport.device->ops->name, strerror(errno));
}

static void mmio_interrupt(void *owner, unsigned queue)
{
	(void)queue;
	raise_interrupt(owner, VIRTIO_MMIO_INT_VRING);
}

static void mmio_config_changed(void *owner)
{
	raise_interrupt(owner, VIRTIO_MMIO_INT_CONFIG);
}

static const struct virtio_transport_ops mmio_transport_ops = {
	.interrupt = mmio_interrupt,
	.config_changed = mmio_config_changed,
};

/* The four registers of the selected region: a length and a base of all ones where there is none (section 4.2.2). */
static uint32_t read_shmem(const struct virtio_mmio *m, uint32_t offset)
{
	const struct virtio_shmem_region *r = &m->transport.device->shmem;
	bool there = r->size_bytes && m->shmem_base && m->shmem_select == r->id;
	uint64_t length = there ? r->size_bytes : ~0ull, base = there ? m->shmem_base : ~0ull;

	switch (offset) {
	case VIRTIO_MMIO_SHM_LEN_LOW:
		return (uint32_t)length;
	case VIRTIO_MMIO_SHM_LEN_HIGH:
		return (uint32_t)(length >> 32);
	case VIRTIO_MMIO_SHM_BASE_LOW:
		return (uint32_t)base;
	default:
		return (uint32_t)(base >> 32);
	}
}

static uint32_t read_register(struct virtio_mmio *m, uint32_t offset)
{
	struct virtio_transport *t = &m->transport;
	struct transport_queue *q = transport_selected(t);

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return VIRTIO_MMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VIRTIO_MMIO_VERSION_MODERN;
	case VIRTIO_MMIO_DEVICE_ID:
		return t->device->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return MULLION_MMIO_VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return transport_device_features(t);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return q ? virtq_max_size(t->device->queues[q->index]) : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return q && q->enabled;
	case VIRTIO_MMIO_STATUS:
		return t->device->status;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return read_shmem(m, offset);
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return t->device->config_generation;
	default:
		/* Write-only and unknown registers; QueueReset is one, its feature is not offered. */
		return 0;
	}
}

static void write_register(struct virtio_mmio *m, uint32_t offset, uint32_t value)
{
	struct virtio_transport *t = &m->transport;

	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		t->device_feature_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		transport_set_driver_features(t, value);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		t->driver_feature_select = value;
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		t->queue_select = value;
		break;
	case VIRTIO_MMIO_QUEUE_NUM:
		transport_set_queue_size(t, value);
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		if (value <= 1)
			transport_enable_queue(t, value == 1);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		transport_notify(t, value);
		break;
	case VIRTIO_MMIO_STATUS:
		transport_set_status(t, (uint8_t)value);
		if ((uint8_t)value == 0) {
			atomic_store(&m->interrupt_status, 0);
			m->shmem_select = 0;
		}
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		transport_set_queue_address(t, TRANSPORT_DESC, offset == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		transport_set_queue_address(t, TRANSPORT_DRIVER, offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		transport_set_queue_address(t, TRANSPORT_DEVICE, offset == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
		break;
	case VIRTIO_MMIO_SHM_SEL:
		m->shmem_select = value;
		break;
	case VIRTIO_MMIO_QUEUE_RESET:
		break;
	default:
		log_guest(LOG_TOPIC_VIRTIO, &t->log, "%s: write to register 0x%03x, which has none; ignored",
			  t->device->ops->name, offset);
		break;
	}
}

static void access_on_loop(void *arg)
{
	struct access *a = arg;
	struct virtio_transport *t = &a->m->transport;
	uint32_t value = 0;

	if (a->offset >= VIRTIO_MMIO_CONFIG) {
		if (!a->write)
			memset(a->data, 0, a->size);
		virtio_device_config(t->device, a->offset - VIRTIO_MMIO_CONFIG, a->data, a->size, a->write);
	} else if (a->size != 4 || a->offset % 4) {
		/* Section 4.2.2.2: the driver must use aligned 32-bit accesses here. */
		log_guest(LOG_TOPIC_VIRTIO, &t->log,
			  "%s: %u-byte %s at register 0x%03x; only aligned 4-byte ones count", t->device->ops->name,
			  a->size, a->write ? "write" : "read", a->offset);
		if (!a->write)
			memset(a->data, 0, a->size);
	} else if (a->write) {
		memcpy(&value, a->data, sizeof(value));
		write_register(a->m, a->offset, value);
	} else {
		value = read_register(a->m, a->offset);
		memcpy(a->data, &value, sizeof(value));
	}
}

static void mmio_access(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct virtio_mmio *m = owner;
	struct access a = {.m = m, .offset = (uint32_t)offset, .data = data, .size = size, .write = write};
	uint32_t value;

	if (offset == VIRTIO_MMIO_INTERRUPT_STATUS && size == 4 && !write) {
		value = atomic_load(&m->interrupt_status);
		memcpy(data, &value, sizeof(value));
	} else if (offset == VIRTIO_MMIO_INTERRUPT_ACK && size == 4 && write) {
		memcpy(&value, data, sizeof(value));
		atomic_fetch_and(&m->interrupt_status, ~value);
	} else {
		loop_call(m->transport.device->loop, access_on_loop, &a);
	}
}

static void destroy(struct virtio_mmio *m, bool keep_device)
{
	if (m->on_bus)
		bus_remove(vm_mmio(m->transport.vm), &m->range);
	while (m->ioeventfds > 0) {
		m->ioeventfds--;
		vm_remove_ioeventfd_match(m->transport.vm, m->base + VIRTIO_MMIO_QUEUE_NOTIFY, 4, false, m->ioeventfds,
					  m->transport.queues[m->ioeventfds].doorbell);
	}
	if (m->on_gsi)
		irq_remove_fd(m->transport.vm, m->gsi, m->irqfd);
	transport_finish(&m->transport, keep_device);
	if (m->irqfd >= 0)
		close(m->irqfd);
	free(m);
}

int virtio_mmio_create(struct vm *vm, struct virtio_device *d, uint64_t base, uint32_t gsi, uint64_t shmem_base,
		       struct virtio_mmio **out)
{
	struct virtio_mmio *m = calloc(1, sizeof(*m));
	int err;

	*out = NULL;
	if (!m)
		return -ENOMEM;
	m->base = base;
	m->gsi = gsi;
	m->irqfd = -1;
	err = transport_init(&m->transport, vm, d, &mmio_transport_ops, m);
	if (err)
		goto fail;
	m->irqfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (m->irqfd < 0) {
		err = -errno;
		goto fail;
	}
	err = irq_add_fd(vm, gsi, m->irqfd);
	if (err)
		goto fail;
	m->on_gsi = true;
	for (; m->ioeventfds < d->queue_count; m->ioeventfds++) {
		err = vm_add_ioeventfd_match(vm, base + VIRTIO_MMIO_QUEUE_NOTIFY, 4, false, m->ioeventfds,
					     m->transport.queues[m->ioeventfds].doorbell);
		if (err)
			goto fail;
	}
	m->range = (struct bus_range){.base = base, .size = VIRTIO_MMIO_BYTES, .access = mmio_access, .owner = m};
	err = bus_add(vm_mmio(vm), &m->range);
	if (err)
		goto fail;
	m->on_bus = true;
	if (m->transport.window && shmem_base) {
		err = shmem_window_place(m->transport.window, shmem_base);
		if (err)
			goto fail;
		m->shmem_base = shmem_base;
	}
	*out = m;
	return 0;

fail:
	destroy(m, true);
	return err;
}

void virtio_mmio_destroy(struct virtio_mmio *m)
{
	if (m)
		destroy(m, false);
}
