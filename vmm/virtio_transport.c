// SPDX-License-Identifier: MIT
#include "vmm/virtio_transport.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "protocol/virtio.h"
#include "vmm/event.h"
#include "vmm/shmem.h"

static void reset_queues(struct virtio_transport *t)
{
	for (unsigned i = 0; i < t->device->queue_count; i++) {
		struct transport_queue *q = &t->queues[i];

		q->setup = (struct virtq_setup){.size = virtq_max_size(t->device->queues[i])};
		q->enabled = false;
	}
}

static void doorbell_rang(struct loop_fd *f, uint32_t events)
{
	struct transport_queue *q = f->owner;
	uint64_t count;

	(void)events;
	/* -EAGAIN: the ring that woke us was consumed together with an earlier one. */
	if (read(q->doorbell, &count, sizeof(count)) == (ssize_t)sizeof(count))
		virtio_device_kick(q->transport->device, q->index);
}

static void call_rang(struct loop_fd *f, uint32_t events)
{
	struct transport_queue *q = f->owner;
	struct virtio_device *d = q->transport->device;

	(void)events;
	/* A process that still writes after its device stopped interrupts nobody. */
	if (event_take(q->call) && d->transport && d->status & VIRTIO_CONFIG_S_DRIVER_OK && !d->broken)
		d->transport->interrupt(d->transport_owner, q->index);
}

void transport_watch_call(struct virtio_transport *t, unsigned queue, bool watched)
{
	struct transport_queue *q = &t->queues[queue];
	int err = 0;

	if (q->call < 0 || watched == !!q->call_watch.ready)
		return;
	if (watched) {
		q->call_watch = (struct loop_fd){.fd = q->call, .ready = call_rang, .owner = q};
		err = loop_add_fd(t->device->loop, &q->call_watch, EPOLLIN);
	} else {
		loop_remove_fd(t->device->loop, &q->call_watch);
	}
	if (err)
		log_line(LOG_TOPIC_VIRTIO, LOG_ERROR, "%s: queue %u: its interrupts can't be watched and are lost: %s",
			 t->device->ops->name, queue, strerror(-err));
	if (err || !watched)
		q->call_watch.ready = NULL;
}

struct attach {
	struct virtio_transport *t;
	const struct virtio_transport_ops *ops;
	void *owner;
	int err;
};

static void detach_on_loop(void *arg)
{
	struct virtio_transport *t = arg;

	if (t->device->ops->outside)
		t->device->ops->outside->attach(t->device, NULL);
	for (unsigned i = 0; i < t->device->queue_count; i++) {
		struct transport_queue *q = &t->queues[i];

		transport_watch_call(t, i, false);
		if (!q->watch.ready)
			continue;
		loop_remove_fd(t->device->loop, &q->watch);
		q->watch.ready = NULL;
	}
}

/* The doorbells are the other process's to read. */
static void attach_outside(struct attach *a)
{
	struct virtio_transport *t = a->t;
	struct virtio_queue_fds fds[VIRTIO_DEVICE_MAX_QUEUES];

	for (unsigned i = 0; i < t->device->queue_count; i++) {
		fds[i] = (struct virtio_queue_fds){.doorbell = t->queues[i].doorbell, .call = t->queues[i].call};
		transport_watch_call(t, i, true);
	}
	a->err = t->device->ops->outside->attach(t->device, fds);
	if (a->err)
		detach_on_loop(t);
}

static void attach_on_loop(void *arg)
{
	struct attach *a = arg;
	struct virtio_transport *t = a->t;

	if (t->device->ops->outside)
		attach_outside(a);
	for (unsigned i = 0; i < t->device->queue_count && !t->device->ops->outside; i++) {
		struct transport_queue *q = &t->queues[i];

		q->watch = (struct loop_fd){.fd = q->doorbell, .ready = doorbell_rang, .owner = q};
		a->err = loop_add_fd(t->device->loop, &q->watch, EPOLLIN);
		if (a->err) {
			q->watch.ready = NULL;
			detach_on_loop(t);
			return;
		}
	}
	if (a->err)
		return;
	reset_queues(t);
	virtio_device_set_transport(t->device, a->ops, a->owner);
}

static void close_doorbells(struct virtio_transport *t)
{
	for (unsigned i = 0; i < t->device->queue_count; i++) {
		if (t->queues[i].doorbell >= 0)
			close(t->queues[i].doorbell);
		if (t->queues[i].call >= 0)
			close(t->queues[i].call);
		t->queues[i].doorbell = -1;
		t->queues[i].call = -1;
	}
}

/* Before the window goes. */
static void leave_window(void *arg)
{
	struct virtio_transport *t = arg;

	virtio_device_set_shmem_home(t->device, NULL, NULL);
	shmem_window_destroy(t->window);
	t->window = NULL;
}

int transport_init(struct virtio_transport *t, struct vm *vm, struct virtio_device *device,
		   const struct virtio_transport_ops *ops, void *owner)
{
	struct attach a = {.t = t, .ops = ops, .owner = owner};

	assert(device->queue_count <= VIRTIO_DEVICE_MAX_QUEUES);
	memset(t, 0, sizeof(*t));
	t->vm = vm;
	t->device = device;
	for (unsigned i = 0; i < VIRTIO_DEVICE_MAX_QUEUES; i++)
		t->queues[i] = (struct transport_queue){.transport = t, .index = i, .doorbell = -1, .call = -1};
	for (unsigned i = 0; i < device->queue_count && !a.err; i++) {
		t->queues[i].doorbell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (t->queues[i].doorbell >= 0 && device->ops->outside)
			t->queues[i].call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (t->queues[i].doorbell < 0 || (device->ops->outside && t->queues[i].call < 0))
			a.err = -errno;
	}
	if (!a.err)
		a.err = shmem_window_create(vm, device, &t->window);
	if (!a.err)
		loop_call(device->loop, attach_on_loop, &a);
	if (a.err) {
		loop_call(device->loop, leave_window, t);
		close_doorbells(t);
		t->device = NULL;
	}
	return a.err;
}

static void release_on_loop(void *arg)
{
	struct virtio_transport *t = arg;

	detach_on_loop(t);
	close_doorbells(t);
	leave_window(t);
	virtio_device_set_transport(t->device, NULL, NULL);
}

static void destroy_on_loop(void *arg)
{
	struct virtio_transport *t = arg;

	detach_on_loop(t);
	close_doorbells(t);
	virtio_device_destroy(t->device);
	shmem_window_destroy(t->window);
	t->window = NULL;
}

void transport_finish(struct virtio_transport *t, bool keep_device)
{
	if (t->device)
		loop_call(t->device->loop, keep_device ? release_on_loop : destroy_on_loop, t);
	t->device = NULL;
}

uint32_t transport_device_features(const struct virtio_transport *t)
{
	if (t->device_feature_select > 1)
		return 0;
	return (uint32_t)(t->device->offered >> (32 * t->device_feature_select));
}

uint32_t transport_driver_features(const struct virtio_transport *t)
{
	if (t->driver_feature_select > 1)
		return 0;
	return (uint32_t)(t->driver_features >> (32 * t->driver_feature_select));
}

void transport_set_driver_features(struct virtio_transport *t, uint32_t word)
{
	unsigned shift = 32 * (t->driver_feature_select & 1);

	if (t->driver_feature_select > 1)
		return;
	t->driver_features = (t->driver_features & ~(0xffffffffull << shift)) | ((uint64_t)word << shift);
	virtio_device_set_features(t->device, t->driver_features);
}

void transport_set_status(struct virtio_transport *t, uint8_t status)
{
	struct virtq_setup setups[VIRTIO_DEVICE_MAX_QUEUES] = {0};

	for (unsigned i = 0; i < t->device->queue_count; i++) {
		if (t->queues[i].enabled)
			setups[i] = t->queues[i].setup;
	}
	virtio_device_set_status(t->device, status, setups);
	if (status == 0) {
		t->device_feature_select = 0;
		t->driver_feature_select = 0;
		t->driver_features = 0;
		t->queue_select = 0;
		reset_queues(t);
	}
}

struct transport_queue *transport_selected(struct virtio_transport *t)
{
	return t->queue_select < t->device->queue_count ? &t->queues[t->queue_select] : NULL;
}

/* The selected queue if its registers may be written now. */
static struct transport_queue *writable_queue(struct virtio_transport *t)
{
	struct transport_queue *q = transport_selected(t);

	if (q && q->enabled) {
		log_guest(LOG_TOPIC_VIRTIO, &t->log,
			  "%s: queue %u: register written while the queue is enabled; ignored", t->device->ops->name,
			  q->index);
		return NULL;
	}
	return q;
}

void transport_set_queue_size(struct virtio_transport *t, uint32_t size)
{
	struct transport_queue *q = writable_queue(t);

	if (!q)
		return;
	if (size == 0 || size > virtq_max_size(t->device->queues[q->index])) {
		log_guest(LOG_TOPIC_VIRTIO, &t->log, "%s: queue %u: size %u is not 1..%u; ignored",
			  t->device->ops->name, q->index, size, virtq_max_size(t->device->queues[q->index]));
		return;
	}
	q->setup.size = (uint16_t)size;
}

static uint64_t *area_of(struct transport_queue *q, enum transport_area area)
{
	switch (area) {
	case TRANSPORT_DESC:
		return &q->setup.desc_gpa;
	case TRANSPORT_DRIVER:
		return &q->setup.driver_gpa;
	case TRANSPORT_DEVICE:
		break;
	}
	return &q->setup.device_gpa;
}

void transport_set_queue_address(struct virtio_transport *t, enum transport_area area, bool high, uint32_t word)
{
	struct transport_queue *q = writable_queue(t);
	uint64_t *gpa;

	if (!q)
		return;
	gpa = area_of(q, area);
	if (high)
		*gpa = (*gpa & 0xffffffffu) | ((uint64_t)word << 32);
	else
		*gpa = (*gpa & ~0xffffffffull) | word;
}

uint32_t transport_queue_address(struct virtio_transport *t, enum transport_area area, bool high)
{
	struct transport_queue *q = transport_selected(t);

	if (!q)
		return 0;
	return (uint32_t)(*area_of(q, area) >> (high ? 32 : 0));
}

void transport_enable_queue(struct virtio_transport *t, bool enable)
{
	struct transport_queue *q = transport_selected(t);
	struct virtio_device *d = t->device;
	bool running = (d->status & VIRTIO_CONFIG_S_DRIVER_OK) && !d->broken;

	if (!q || q->enabled == enable)
		return;
	q->enabled = enable;
	if (!running)
		return;
	if (!enable)
		virtio_device_stop_queue(d, q->index);
	else if (virtio_device_start_queue(d, q->index, &q->setup))
		virtio_device_break(d, "queue enabled after DRIVER_OK with a wrong size or address");
}

void transport_notify(struct virtio_transport *t, uint32_t queue)
{
	if (queue < t->device->queue_count)
		virtio_device_kick(t->device, queue);
	else
		log_guest(LOG_TOPIC_VIRTIO, &t->log, "%s: doorbell for queue %u of %u; ignored", t->device->ops->name,
			  queue, t->device->queue_count);
}
