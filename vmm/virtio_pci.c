// SPDX-License-Identifier: MIT
/*
 * The modern PCI transport: virtio 1.4, section 4.1. The structures lie in BAR 0, MSI-X in BAR 2. pci.h says which
 * thread may wait for what.
 */
#include "vmm/virtio_pci.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/virtio.h"
#include "vmm/irq.h"
#include "vmm/msix.h"
#include "vmm/pci.h"
#include "vmm/shmem.h"
#include "vmm/virtio_transport.h"
#include "vmm/vm.h"

#define REGISTER_BAR 0u
#define REGISTER_BAR_BYTES 0x4000u
#define MSIX_BAR 2u
#define SHMEM_BAR 4u /* the whole region is its own BAR */
/* Each structure has a page of its own in BAR 0. */
#define COMMON_OFFSET 0x0000u
#define ISR_OFFSET 0x1000u
#define DEVICE_OFFSET 0x2000u
#define NOTIFY_OFFSET 0x3000u
#define STRUCTURE_BYTES 0x1000u
#define NOTIFY_MULTIPLIER 4u

#define COMMON_NO_VECTOR VIRTIO_MSI_NO_VECTOR
#define ISR_QUEUE 0x1u
#define ISR_CONFIG 0x2u

/* PCI Express capability, version 2 (section 7.5.3): a root complex integrated endpoint, so without a link. */
#define EXPRESS_BYTES 0x3cu
#define EXPRESS_FLAGS (2u | (PCI_EXP_TYPE_RC_END << 4))
#define EXPRESS_ROLE_BASED_ERRORS 0x8000u

/* struct virtio_pci_cap64: kernel headers before 5.8 end without it. */
#define CAP_ID 5u
#define CAP64_LENGTH_HI 20u
#define CAP64_BYTES 24u
#ifndef VIRTIO_PCI_CAP_SHARED_MEMORY_CFG
#define VIRTIO_PCI_CAP_SHARED_MEMORY_CFG 8
#endif

/* struct virtio_pci_common_cfg as of 1.4; older kernel headers end before the last fields. */
struct common_config {
	uint32_t device_feature_select;
	uint32_t device_feature;
	uint32_t driver_feature_select;
	uint32_t driver_feature;
	uint16_t config_msix_vector;
	uint16_t num_queues;
	uint8_t device_status;
	uint8_t config_generation;
	uint16_t queue_select;
	uint16_t queue_size;
	uint16_t queue_msix_vector;
	uint16_t queue_enable;
	uint16_t queue_notify_off;
	uint32_t queue_area[3][2]; /* by enum transport_area; low word first */
	uint16_t queue_notify_config_data;
	uint16_t queue_reset;
	uint16_t admin_queue_index;
	uint16_t admin_queue_num;
};
_Static_assert(sizeof(struct common_config) == 64, "virtio 1.4, section 4.1.4.3");
_Static_assert(offsetof(struct common_config, queue_area) == 32, "virtio 1.4, section 4.1.4.3");

struct virtio_pci {
	struct virtio_transport transport;
	struct pci_function function;
	unsigned msix_capability, window_capability;
	uint64_t notify_base;  /* where the doorbells are decoded; 0: nowhere. Bus lock. */
	unsigned notify_count; /* ioeventfds there. Bus lock. */

	/* On the loop: */
	struct msix msix;
	bool intx_disabled;
	uint8_t isr;
	uint16_t config_vector;
	uint16_t queue_vector[VIRTIO_DEVICE_MAX_QUEUES];
	/* Of a device that is served outside: where KVM takes its call eventfd to, past the loop. */
	struct direct_call {
		bool on;
		uint32_t gsi;
	} direct[VIRTIO_DEVICE_MAX_QUEUES];
};

/* ---- interrupts ---- */

static void update_intx(struct virtio_pci *p)
{
	pci_set_intx(&p->function, p->isr && !p->msix.enabled && !p->intx_disabled);
}

static void raise_interrupt(struct virtio_pci *p, uint16_t vector, uint8_t isr)
{
	if (p->msix.enabled) {
		if (vector != COMMON_NO_VECTOR)
			msix_signal(&p->msix, vector);
		return;
	}
	p->isr |= isr;
	update_intx(p);
}

static void pci_interrupt(void *owner, unsigned queue)
{
	struct virtio_pci *p = owner;

	raise_interrupt(p, p->queue_vector[queue], ISR_QUEUE);
}

static void pci_config_changed(void *owner)
{
	struct virtio_pci *p = owner;

	raise_interrupt(p, p->config_vector, ISR_CONFIG);
}

static const struct virtio_transport_ops pci_transport_ops = {
	.interrupt = pci_interrupt,
	.config_changed = pci_config_changed,
};

/* Past the loop while @queue's message may be sent; through it, which sets pending bits and the line, otherwise. */
static void update_call(struct virtio_pci *p, unsigned queue)
{
	struct virtio_transport *t = &p->transport;
	struct direct_call *c = &p->direct[queue];
	uint32_t gsi = 0;
	bool open = msix_is_open(&p->msix, p->queue_vector[queue], &gsi);

	if (c->on && (!open || gsi != c->gsi)) {
		irq_remove_fd(t->vm, c->gsi, t->queues[queue].call);
		c->on = false;
	}
	if (open && !c->on) {
		transport_watch_call(t, queue, false);
		/* Without one an interrupt still works, with a turn of the loop in between. */
		c->on = !irq_add_fd(t->vm, gsi, t->queues[queue].call);
		c->gsi = gsi;
	}
	transport_watch_call(t, queue, !c->on);
}

/* Vectors, masks or routes may have changed. */
static void update_calls(struct virtio_pci *p)
{
	if (!p->transport.device->ops->outside)
		return;
	for (unsigned i = 0; i < p->transport.device->queue_count; i++)
		update_call(p, i);
}

static void end_calls(void *arg)
{
	struct virtio_pci *p = arg;

	for (unsigned i = 0; i < p->transport.device->queue_count; i++) {
		if (p->direct[i].on)
			irq_remove_fd(p->transport.vm, p->direct[i].gsi, p->transport.queues[i].call);
		p->direct[i].on = false;
	}
}

static void reset_registers(struct virtio_pci *p)
{
	p->isr = 0;
	p->config_vector = COMMON_NO_VECTOR;
	for (unsigned i = 0; i < VIRTIO_DEVICE_MAX_QUEUES; i++)
		p->queue_vector[i] = COMMON_NO_VECTOR;
	update_calls(p);
	update_intx(p);
}

/* ---- common configuration, section 4.1.4.3 ---- */

static void read_common(struct virtio_pci *p, unsigned offset, uint8_t *data, unsigned size)
{
	struct virtio_transport *t = &p->transport;
	struct transport_queue *q = transport_selected(t);
	struct common_config c = {
		.device_feature_select = t->device_feature_select,
		.device_feature = transport_device_features(t),
		.driver_feature_select = t->driver_feature_select,
		.driver_feature = transport_driver_features(t),
		.config_msix_vector = p->config_vector,
		.num_queues = (uint16_t)t->device->queue_count,
		.device_status = t->device->status,
		.config_generation = (uint8_t)t->device->config_generation,
		.queue_select = (uint16_t)t->queue_select,
		.queue_msix_vector = COMMON_NO_VECTOR,
	};

	if (q) {
		c.queue_size = q->setup.size;
		c.queue_msix_vector = p->queue_vector[q->index];
		c.queue_enable = q->enabled;
		c.queue_notify_off = (uint16_t)q->index;
		c.queue_notify_config_data = (uint16_t)q->index;
		for (unsigned area = TRANSPORT_DESC; area <= TRANSPORT_DEVICE; area++) {
			c.queue_area[area][0] = transport_queue_address(t, area, false);
			c.queue_area[area][1] = transport_queue_address(t, area, true);
		}
	}
	memset(data, 0, size);
	if (offset < sizeof(c))
		memcpy(data, (uint8_t *)&c + offset, size < sizeof(c) - offset ? size : sizeof(c) - offset);
}

static uint16_t checked_vector(const struct virtio_pci *p, uint32_t vector)
{
	return vector < p->msix.count ? (uint16_t)vector : COMMON_NO_VECTOR;
}

/* The field at @offset if it is @size bytes wide gets @value. Returns false if there is no such field to write. */
static bool write_common(struct virtio_pci *p, unsigned offset, uint32_t value, unsigned size)
{
	struct virtio_transport *t = &p->transport;
	struct transport_queue *q = transport_selected(t);
	unsigned area = (offset - (unsigned)offsetof(struct common_config, queue_area)) / 4;

#define IS(field)                                                                                                      \
	(offset == offsetof(struct common_config, field) && size == sizeof(((struct common_config *)0)->field))
	if (IS(device_feature_select)) {
		t->device_feature_select = value;
	} else if (IS(driver_feature_select)) {
		t->driver_feature_select = value;
	} else if (IS(driver_feature)) {
		transport_set_driver_features(t, value);
	} else if (IS(config_msix_vector)) {
		p->config_vector = checked_vector(p, value);
	} else if (IS(device_status)) {
		transport_set_status(t, (uint8_t)value);
		if (value == 0)
			reset_registers(p);
	} else if (IS(queue_select)) {
		t->queue_select = value;
	} else if (IS(queue_size)) {
		transport_set_queue_size(t, value);
	} else if (IS(queue_msix_vector)) {
		if (q) {
			p->queue_vector[q->index] = checked_vector(p, value);
			update_calls(p);
		}
	} else if (IS(queue_enable)) {
		/* Section 4.1.4.3.2: 0 must not be written; only a reset disables a queue. */
		if (value == 1)
			transport_enable_queue(t, true);
	} else if (offset >= offsetof(struct common_config, queue_area) && area < 6 && offset % 4 == 0 && size == 4) {
		transport_set_queue_address(t, area / 2, area % 2, value);
	} else {
		return false;
	}
#undef IS
	return true;
}

/* ---- BAR 0 ---- */

/* One access on its way to the loop. */
struct access {
	struct virtio_pci *p;
	unsigned bar;
	uint32_t offset;
	uint8_t *data;
	unsigned size;
	bool write;
};

static void access_common(struct access *a)
{
	struct virtio_transport *t = &a->p->transport;
	uint32_t word[2] = {0, 0};

	if (!a->write) {
		read_common(a->p, a->offset - COMMON_OFFSET, a->data, a->size);
		return;
	}
	memcpy(word, a->data, a->size);
	/* A 64-bit address written at once: the specification has drivers write two halves, some don't. */
	if (a->size == 8 ? !write_common(a->p, a->offset, word[0], 4) || !write_common(a->p, a->offset + 4, word[1], 4)
			 : !write_common(a->p, a->offset, word[0], a->size))
		log_guest(LOG_TOPIC_VIRTIO, &t->log, "%s: %u-byte write at 0x%02x of the common configuration; ignored",
			  t->device->ops->name, a->size, a->offset);
}

static void access_registers(struct access *a)
{
	struct virtio_pci *p = a->p;
	struct virtio_transport *t = &p->transport;

	switch (a->offset / STRUCTURE_BYTES) {
	case COMMON_OFFSET / STRUCTURE_BYTES:
		access_common(a);
		return;
	case ISR_OFFSET / STRUCTURE_BYTES:
		if (a->write)
			return;
		memset(a->data, 0, a->size);
		if (a->offset == ISR_OFFSET) {
			a->data[0] = p->isr;
			p->isr = 0;
			update_intx(p);
		}
		return;
	case DEVICE_OFFSET / STRUCTURE_BYTES:
		if (!a->write)
			memset(a->data, 0, a->size);
		virtio_device_config(t->device, a->offset - DEVICE_OFFSET, a->data, a->size, a->write);
		return;
	default:
		/* Only what KVM did not take as an ioeventfd comes here. */
		if (a->write)
			transport_notify(t, (a->offset - NOTIFY_OFFSET) / NOTIFY_MULTIPLIER);
		else
			memset(a->data, 0, a->size);
	}
}

static void access_on_loop(void *arg)
{
	struct access *a = arg;

	if (a->bar == REGISTER_BAR) {
		access_registers(a);
		return;
	}
	/* It is memory, and nothing comes here, unless KVM had no room for it. */
	if (a->bar == SHMEM_BAR) {
		if (!a->write)
			memset(a->data, 0, a->size);
		return;
	}
	msix_access(&a->p->msix, a->offset, a->data, a->size, a->write);
	if (a->write)
		update_calls(a->p);
}

static void bar_access(void *owner, unsigned bar, uint64_t offset, void *data, unsigned size, bool write)
{
	struct virtio_pci *p = owner;
	struct access a = {p, bar, (uint32_t)offset, data, size, write};

	loop_call(p->transport.device->loop, access_on_loop, &a);
}

/* The doorbells move with BAR 0, the shared memory with its own. Bus lock held. */
static void bar_moved(void *owner, unsigned bar, uint64_t address)
{
	struct virtio_pci *p = owner;
	struct virtio_transport *t = &p->transport;

	/* It said why; nothing is there then. */
	if (bar == SHMEM_BAR)
		(void)shmem_window_place(t->window, address);
	if (bar != REGISTER_BAR)
		return;
	while (p->notify_count > 0) {
		p->notify_count--;
		vm_remove_ioeventfd(t->vm, p->notify_base + p->notify_count * NOTIFY_MULTIPLIER, 0, false,
				    t->queues[p->notify_count].doorbell);
	}
	p->notify_base = address ? address + NOTIFY_OFFSET : 0;
	while (address && p->notify_count < t->device->queue_count) {
		/* Without one a doorbell still works, as an exit. */
		if (vm_add_ioeventfd(t->vm, p->notify_base + p->notify_count * NOTIFY_MULTIPLIER, 0, false,
				     t->queues[p->notify_count].doorbell))
			break;
		p->notify_count++;
	}
}

/* ---- configuration space ---- */

/*
 * The window of VIRTIO_PCI_CAP_PCI_CFG (section 4.1.4.9): the guest names BAR, offset and length in the capability and
 * the access happens when it touches pci_cfg_data. Bus lock held; the access itself never takes it.
 */
static void access_window(struct virtio_pci *p, bool write)
{
	struct pci_function *f = &p->function;
	unsigned cap = p->window_capability;
	unsigned data = cap + (unsigned)offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);
	unsigned bar = f->config[cap + offsetof(struct virtio_pci_cap, bar)];
	uint32_t offset = pci_get(f, cap + (unsigned)offsetof(struct virtio_pci_cap, offset), 4);
	uint32_t length = pci_get(f, cap + (unsigned)offsetof(struct virtio_pci_cap, length), 4);
	uint64_t size = bar == REGISTER_BAR ? REGISTER_BAR_BYTES : bar == MSIX_BAR ? MSIX_BAR_BYTES : 0;

	if ((length != 1 && length != 2 && length != 4) || offset % length || offset >= size)
		return;
	bar_access(p, bar, offset, f->config + data, length, write);
}

static bool touches(unsigned offset, unsigned size, unsigned field, unsigned field_size)
{
	return offset < field + field_size && field < offset + size;
}

static void config_read(void *owner, unsigned offset, unsigned size)
{
	struct virtio_pci *p = owner;

	if (touches(offset, size, p->window_capability + (unsigned)offsetof(struct virtio_pci_cfg_cap, pci_cfg_data),
		    4))
		access_window(p, false);
}

struct control {
	struct virtio_pci *p;
	bool msix_enabled, msix_masked, intx_disabled;
};

static void set_control_on_loop(void *arg)
{
	struct control *c = arg;
	struct virtio_pci *p = c->p;

	p->intx_disabled = c->intx_disabled;
	if (p->msix.enabled != c->msix_enabled || p->msix.masked != c->msix_masked)
		msix_set_control(&p->msix, c->msix_enabled, c->msix_masked);
	update_calls(p);
	update_intx(p);
}

static void config_written(void *owner, unsigned offset, unsigned size)
{
	struct virtio_pci *p = owner;
	struct pci_function *f = &p->function;

	if (touches(offset, size, PCI_COMMAND, 2) || touches(offset, size, p->msix_capability + PCI_MSIX_FLAGS, 2)) {
		uint32_t flags = pci_get(f, p->msix_capability + PCI_MSIX_FLAGS, 2);
		struct control c = {
			.p = p,
			.msix_enabled = flags & PCI_MSIX_FLAGS_ENABLE,
			.msix_masked = flags & PCI_MSIX_FLAGS_MASKALL,
			.intx_disabled = pci_get(f, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE,
		};

		loop_call(p->transport.device->loop, set_control_on_loop, &c);
	}
	if (touches(offset, size, p->window_capability + (unsigned)offsetof(struct virtio_pci_cfg_cap, pci_cfg_data),
		    4))
		access_window(p, true);
}

static const struct pci_function_ops function_ops = {
	.bar_access = bar_access,
	.bar_moved = bar_moved,
	.config_read = config_read,
	.config_written = config_written,
};

/* Class, subclass, interface: what a driver or `lspci` takes the device for; nothing depends on it. */
static uint32_t class_of(uint32_t virtio_id)
{
	switch (virtio_id) {
	case VIRTIO_ID_NET:
		return 0x020000; /* network, Ethernet */
	case VIRTIO_ID_BLOCK:
		return 0x010000; /* storage, SCSI: what virtio disks have always said */
	case VIRTIO_ID_CONSOLE:
	case VIRTIO_ID_VSOCK:
		return 0x078000; /* communication, other */
	case VIRTIO_ID_GPU:
		return 0x038000; /* display, other */
	case VIRTIO_ID_INPUT:
		return 0x098000; /* input, other */
	case VIRTIO_ID_SOUND:
		return 0x040100; /* multimedia, audio */
	case VIRTIO_ID_VIDEO_ENCODER:
	case VIRTIO_ID_VIDEO_DECODER:
		return 0x048000; /* multimedia, other */
	case VIRTIO_ID_FS:
		return 0x018000; /* storage, other */
	default:
		return 0xff0000; /* unassigned */
	}
}

static unsigned add_structure(struct virtio_pci *p, uint8_t type, unsigned offset, unsigned length, unsigned size)
{
	struct pci_function *f = &p->function;
	unsigned cap = pci_add_capability(f, PCI_CAP_ID_VNDR, size);

	f->config[cap + offsetof(struct virtio_pci_cap, cap_len)] = (uint8_t)size;
	f->config[cap + offsetof(struct virtio_pci_cap, cfg_type)] = type;
	f->config[cap + offsetof(struct virtio_pci_cap, bar)] = REGISTER_BAR;
	pci_put(f, cap + (unsigned)offsetof(struct virtio_pci_cap, offset), 4, offset);
	pci_put(f, cap + (unsigned)offsetof(struct virtio_pci_cap, length), 4, length);
	return cap;
}

/* Section 4.1.4.7: offset and length have their upper halves behind the capability. */
static void add_shmem(struct virtio_pci *p)
{
	const struct virtio_shmem_region *r = &p->transport.device->shmem;
	unsigned cap = add_structure(p, VIRTIO_PCI_CAP_SHARED_MEMORY_CFG, 0, (unsigned)r->size_bytes, CAP64_BYTES);

	p->function.config[cap + offsetof(struct virtio_pci_cap, bar)] = SHMEM_BAR;
	p->function.config[cap + CAP_ID] = r->id;
	pci_put(&p->function, cap + CAP64_LENGTH_HI, 4, (uint32_t)(r->size_bytes >> 32));
	pci_set_bar(&p->function, SHMEM_BAR, r->size_bytes, true);
}

static void fill_config_space(struct virtio_pci *p)
{
	const struct virtio_device *d = p->transport.device;
	struct pci_function *f = &p->function;
	const struct pci_ids ids = {
		.vendor = VIRTIO_PCI_VENDOR,
		.device = (uint16_t)(VIRTIO_PCI_DEVICE_BASE + d->ops->id),
		.subsystem_vendor = VIRTIO_PCI_VENDOR,
		.subsystem = (uint16_t)(VIRTIO_PCI_DEVICE_BASE + d->ops->id),
		.class_code = class_of(d->ops->id),
		.revision = 1,
	};
	unsigned cap;

	pci_function_init(f, &ids, &function_ops, p);
	pci_set_bar(f, REGISTER_BAR, REGISTER_BAR_BYTES, true);
	pci_set_bar(f, MSIX_BAR, MSIX_BAR_BYTES, false);
	if (p->transport.window)
		add_shmem(p);

	add_structure(p, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_OFFSET, sizeof(struct common_config),
		      sizeof(struct virtio_pci_cap));
	add_structure(p, VIRTIO_PCI_CAP_ISR_CFG, ISR_OFFSET, 1, sizeof(struct virtio_pci_cap));
	if (d->ops->config_bytes)
		add_structure(p, VIRTIO_PCI_CAP_DEVICE_CFG, DEVICE_OFFSET, d->ops->config_bytes,
			      sizeof(struct virtio_pci_cap));
	cap = add_structure(p, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_OFFSET, NOTIFY_MULTIPLIER * d->queue_count,
			    sizeof(struct virtio_pci_notify_cap));
	pci_put(f, cap + (unsigned)offsetof(struct virtio_pci_notify_cap, notify_off_multiplier), 4, NOTIFY_MULTIPLIER);
	cap = add_structure(p, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, sizeof(struct virtio_pci_cfg_cap));
	f->writable[cap + offsetof(struct virtio_pci_cap, bar)] = 0xff;
	memset(f->writable + cap + offsetof(struct virtio_pci_cap, offset), 0xff, 12); /* offset, length, data */
	p->window_capability = cap;

	cap = pci_add_capability(f, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	pci_put(f, cap + PCI_MSIX_FLAGS, 2, p->msix.count - 1);
	f->writable[cap + PCI_MSIX_FLAGS + 1] = (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8;
	pci_put(f, cap + PCI_MSIX_TABLE, 4, MSIX_TABLE_OFFSET | MSIX_BAR);
	pci_put(f, cap + PCI_MSIX_PBA, 4, MSIX_PENDING_OFFSET | MSIX_BAR);
	p->msix_capability = cap;

	cap = pci_add_capability(f, PCI_CAP_ID_EXP, EXPRESS_BYTES);
	pci_put(f, cap + PCI_EXP_FLAGS, 2, EXPRESS_FLAGS);
	pci_put(f, cap + PCI_EXP_DEVCAP, 4, EXPRESS_ROLE_BASED_ERRORS);
}

static void destroy(struct virtio_pci *p, bool keep_device)
{
	pci_remove_function(&p->function);
	if (p->transport.device)
		loop_call(p->transport.device->loop, end_calls, p);
	transport_finish(&p->transport, keep_device);
	msix_finish(&p->msix);
	free(p);
}

int virtio_pci_create(struct vm *vm, struct pci_bus *bus, struct virtio_device *d, struct virtio_pci **out)
{
	struct virtio_pci *p = calloc(1, sizeof(*p));
	int err;

	*out = NULL;
	if (!p)
		return -ENOMEM;
	msix_init(&p->msix, vm, d->ops->name, d->queue_count + 1);
	err = transport_init(&p->transport, vm, d, &pci_transport_ops, p);
	if (err)
		goto fail;
	fill_config_space(p);
	reset_registers(p);
	err = pci_add_function(bus, &p->function);
	if (err)
		goto fail;
	p->msix.requester = p->function.slot << 3;
	*out = p;
	return 0;

fail:
	destroy(p, true);
	return err;
}

void virtio_pci_destroy(struct virtio_pci *p)
{
	if (p)
		destroy(p, false);
}
