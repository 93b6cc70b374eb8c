// SPDX-License-Identifier: MIT
#include "host/vhost/rings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/vhost/inflight_fd.h"
#include "host/vhost/memory.h"
#include "protocol/virtio.h"

#define PROTOCOL_BIT VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)
/*
 * Not the device's. QEMU offers RING_RESET whatever the backend offers: such a reset is between it and the driver, and
 * what comes here is a ring that stops and starts.
 */
#define TRANSPORT_BITS (PROTOCOL_BIT | VIRTIO_BIT(VIRTIO_F_RING_RESET))
#define READY (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void drop_kick(struct vhost_ring *q)
{
	if (q->watched)
		loop_remove_fd(q->rings->device->loop, &q->watch);
	q->watched = false;
	q->has_kick = false;
	close_fd(&q->kick);
}

/* Signals go to eventfds, or sockets (User Mode Linux); a peer that reads nothing must not hold us up. */
static void signal_fd(int fd)
{
	const uint64_t one = 1;

	/* A full counter or socket has its wakeup on the way already; a peer that is gone needs none. */
	if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN && errno != EPIPE)
		log_line(LOG_TOPIC_VHOST, LOG_DEBUG, "a signal could not be sent: %s", strerror(errno));
}

static int without_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

static struct vhost_ring *find(struct vhost_rings *r, uint32_t index)
{
	return index < r->device->queue_count ? &r->ring[index] : NULL;
}

void vhost_rings_init(struct vhost_rings *r, struct virtio_device *device, struct vhost_memory *memory)
{
	memset(r, 0, sizeof(*r));
	r->device = device;
	r->memory = memory;
	for (unsigned i = 0; i < VIRTIO_DEVICE_MAX_QUEUES; i++)
		r->ring[i] = (struct vhost_ring){.rings = r, .index = i, .kick = -1, .call = -1, .error = -1};
}

void vhost_rings_reset(struct vhost_rings *r)
{
	/* Also one that never started: it may hold what a process before this one left. */
	virtio_device_set_status(r->device, 0, NULL);
	r->status = 0;
	for (unsigned i = 0; i < r->device->queue_count; i++) {
		struct vhost_ring *q = &r->ring[i];

		drop_kick(q);
		q->running = false;
		q->parked = false;
		q->enabled = false;
		q->has_addr = false;
		q->base = 0;
	}
}

/*
 * Another driver is at work than before all rings stopped. What the frontend has said since (a ring that stops loses its
 * addresses and its kick descriptor) is about the new one: of the rings that come before the one that shows it, and the status.
 */
static void begin_anew(struct vhost_rings *r)
{
	virtio_device_set_status(r->device, 0, NULL);
	for (unsigned i = 0; i < r->device->queue_count; i++)
		r->ring[i].parked = false;
}

static void drop_inflight(struct vhost_rings *r)
{
	for (unsigned i = 0; i < r->device->queue_count; i++)
		virtq_set_region(r->device->queues[i], NULL);
	vhost_inflight_close(r->inflight);
	r->inflight = NULL;
}

void vhost_rings_forget(struct vhost_rings *r)
{
	drop_inflight(r);
	vhost_rings_reset(r);
	r->features = 0;
	r->has_features = false;
	r->has_status = false;
	r->in_band = false;
	for (unsigned i = 0; i < r->device->queue_count; i++) {
		r->ring[i].size = 0;
		close_fd(&r->ring[i].call);
		close_fd(&r->ring[i].error);
	}
}

static bool any_running(const struct vhost_rings *r)
{
	for (unsigned i = 0; i < r->device->queue_count; i++) {
		if (r->ring[i].running)
			return true;
	}
	return false;
}

/* ---- start ---- */

static bool is_startable(const struct vhost_ring *q)
{
	const struct vhost_rings *r = q->rings;

	/* Section "Ring states": without the protocol's features a ring is enabled from the start. */
	return !q->running && q->size && q->has_addr && (q->has_kick || r->in_band) && r->has_features &&
	       (q->enabled || !(r->features & PROTOCOL_BIT)) && (!r->has_status || vhost_status_is_ready(r->status));
}

static int ring_setup(const struct vhost_ring *q, struct virtq_setup *s)
{
	const struct vhost_memory *m = q->rings->memory;
	bool packed = q->rings->features & VIRTIO_BIT(VIRTIO_F_RING_PACKED);

	*s = (struct virtq_setup){.size = q->size};
	if (!vhost_memory_translate(m, q->addr.desc, &s->desc_gpa) ||
	    !vhost_memory_translate(m, q->addr.avail, &s->driver_gpa) ||
	    !vhost_memory_translate(m, q->addr.used, &s->device_gpa))
		return -EINVAL;
	s->position = q->base;
	/* 0 is where a split ring begins, but not a packed one; frontends that don't know say 0 for a fresh one. */
	s->resume = q->parked || (packed ? q->base != 0 : true);
	return 0;
}

static int start(struct vhost_ring *q)
{
	struct vhost_rings *r = q->rings;
	struct virtio_device *d = r->device;
	struct virtq_setup setups[VIRTIO_DEVICE_MAX_QUEUES] = {0};
	int err = ring_setup(q, &setups[q->index]);

	if (err)
		return err;
	if (d->broken && !any_running(r))
		begin_anew(r);
	if (q->size > virtq_max_size(d->queues[q->index])) {
		/* What a reset left with the device must be done with first; frontends try again. */
		if (virtq_outstanding(d->queues[q->index]))
			return -EBUSY;
		virtq_raise_max_size(d->queues[q->index], VHOST_RING_MAX_SIZE);
	}
	if (d->status & VIRTIO_CONFIG_S_DRIVER_OK) {
		err = virtio_device_start_queue(d, q->index, &setups[q->index]);
	} else {
		virtio_device_set_features(d, r->features & ~TRANSPORT_BITS);
		virtio_device_set_status(d, READY, setups);
		if (!(d->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
			virtio_device_set_status(d, 0, NULL);
			return -EPROTO;
		}
		/* Kicks the queue as well; the ring counts as running by then, for interrupts. */
		q->running = true;
		virtio_device_set_status(d, READY | VIRTIO_CONFIG_S_DRIVER_OK, setups);
		err = d->broken ? -EPROTO : 0;
	}
	q->running = !err;
	if (!err) {
		q->parked = false;
		log_line(LOG_TOPIC_VHOST, LOG_DEBUG, "ring %u of %u entries runs from 0x%x", q->index, q->size, q->base);
	}
	return err;
}

static int try_start(struct vhost_ring *q)
{
	int err = is_startable(q) ? start(q) : 0;

	if (err) {
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "ring %u can't start: %s", q->index,
			 err == -EINVAL ? "its size or alignment is wrong, or it does not lie in the memory table" : strerror(-err));
		if (q->error >= 0)
			signal_fd(q->error);
	}
	return err;
}

/* ---- what the frontend says ---- */

int vhost_rings_set_features(struct vhost_rings *r, uint64_t features)
{
	struct virtio_device *d = r->device;

	if (features & ~(d->offered | TRANSPORT_BITS))
		return -EINVAL;
	if (any_running(r))
		return features == r->features ? 0 : -EBUSY;
	/* Other features are another driver's. */
	if (d->status && (features & ~TRANSPORT_BITS) != d->negotiated)
		vhost_rings_reset(r);
	r->features = features;
	r->has_features = true;
	return 0;
}

int vhost_rings_set_status(struct vhost_rings *r, uint8_t status)
{
	int err = 0;

	r->has_status = true;
	if (!status) {
		bool parked = !any_running(r);

		/* QEMU says 0 when the machine is only paused, too; see above for how a new driver is told. */
		if (parked)
			r->status = 0;
		else
			vhost_rings_reset(r);
		return 0;
	}
	r->status = status;
	for (unsigned i = 0; i < r->device->queue_count && !err; i++)
		err = try_start(&r->ring[i]);
	return err;
}

uint8_t vhost_rings_status(const struct vhost_rings *r)
{
	return r->status | (r->device->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

int vhost_rings_set_num(struct vhost_rings *r, uint32_t index, uint32_t num)
{
	struct vhost_ring *q = find(r, index);

	if (!q || !num || num > VHOST_RING_MAX_SIZE)
		return -EINVAL;
	if (q->running && num != q->size)
		return -EBUSY;
	q->size = (uint16_t)num;
	return 0;
}

int vhost_rings_set_addr(struct vhost_rings *r, const struct vhost_user_vring_addr *addr)
{
	struct vhost_ring *q = find(r, addr->index);
	uint64_t gpa;

	if (!q)
		return -EINVAL;
	if (q->running)
		return addr->desc == q->addr.desc && addr->avail == q->addr.avail && addr->used == q->addr.used ? 0 : -EBUSY;
	if (!vhost_memory_translate(r->memory, addr->desc, &gpa) || !vhost_memory_translate(r->memory, addr->avail, &gpa) ||
	    !vhost_memory_translate(r->memory, addr->used, &gpa)) {
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "ring %u can't start: it does not lie in the memory table", q->index);
		if (q->error >= 0)
			signal_fd(q->error);
		return -EINVAL;
	}
	q->addr = *addr;
	q->has_addr = true;
	return 0;
}

int vhost_rings_set_base(struct vhost_rings *r, uint32_t index, uint32_t base)
{
	struct vhost_ring *q = find(r, index);

	if (!q)
		return -EINVAL;
	/*
	 * A driver that starts over without having stopped (User Mode Linux), or another one than before the stop; the
	 * stop may have been another process's, which the keeper repeated with the position alone.
	 */
	if (q->running)
		vhost_rings_reset(r);
	else if ((q->parked || q->base) && base != q->base && !any_running(r))
		begin_anew(r);
	q->base = base;
	return 0;
}

static void kicked(struct loop_fd *f, uint32_t events)
{
	struct vhost_ring *q = f->owner;
	uint64_t count;
	ssize_t n = read(q->kick, &count, sizeof(count));

	(void)events;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		/* Not an eventfd, and closed: it would be ready for ever. */
		loop_remove_fd(q->rings->device->loop, &q->watch);
		q->watched = false;
		return;
	}
	if (n > 0 && q->running)
		virtio_device_kick(q->rings->device, q->index);
}

int vhost_rings_set_kick(struct vhost_rings *r, uint32_t index, int *fd)
{
	struct vhost_ring *q = find(r, index);
	int err;

	if (!q)
		return -EINVAL;
	if (*fd >= 0) {
		err = without_blocking(*fd);
		if (err)
			return err;
	}
	drop_kick(q);
	if (*fd >= 0) {
		q->watch = (struct loop_fd){.fd = *fd, .ready = kicked, .owner = q};
		err = loop_add_fd(r->device->loop, &q->watch, EPOLLIN);
		if (err)
			return err;
		q->watched = true;
	}
	q->kick = *fd;
	q->has_kick = true;
	*fd = -1;
	return try_start(q);
}

static int replace_fd(int *at, int *fd)
{
	int err = *fd >= 0 ? without_blocking(*fd) : 0;

	if (err)
		return err;
	close_fd(at);
	*at = *fd;
	*fd = -1;
	return 0;
}

int vhost_rings_set_call(struct vhost_rings *r, uint32_t index, int *fd)
{
	struct vhost_ring *q = find(r, index);
	int err = q ? replace_fd(&q->call, fd) : -EINVAL;

	/* What was signalled on the old one may have been lost. */
	if (!err && q->call >= 0 && q->running)
		signal_fd(q->call);
	return err;
}

int vhost_rings_set_error(struct vhost_rings *r, uint32_t index, int *fd)
{
	struct vhost_ring *q = find(r, index);

	return q ? replace_fd(&q->error, fd) : -EINVAL;
}

int vhost_rings_enable(struct vhost_rings *r, uint32_t index, bool enable)
{
	struct vhost_ring *q = find(r, index);

	if (!q)
		return -EINVAL;
	q->enabled = enable;
	if (!q->running)
		return try_start(q);
	virtq_pause(r->device->queues[index], !enable);
	if (enable)
		virtio_device_kick(r->device, index);
	return 0;
}

int vhost_rings_kick(struct vhost_rings *r, uint32_t index)
{
	struct vhost_ring *q = find(r, index);

	if (!q)
		return -EINVAL;
	if (!q->running)
		return try_start(q);
	virtio_device_kick(r->device, index);
	return 0;
}

int vhost_rings_set_inflight(struct vhost_rings *r, struct vhost_inflight *i)
{
	if (any_running(r))
		return -EBUSY;
	drop_inflight(r);
	r->inflight = i;
	for (unsigned q = 0; q < r->device->queue_count; q++)
		virtq_set_region(r->device->queues[q], vhost_inflight_region(i, q));
	return 0;
}

/* ---- stop ---- */

int vhost_rings_pause(struct vhost_rings *r, uint32_t index)
{
	if (!find(r, index))
		return -EINVAL;
	virtq_pause(r->device->queues[index], true);
	return 0;
}

unsigned vhost_rings_in_flight(const struct vhost_rings *r, uint32_t index)
{
	return r->ring[index].running ? virtq_in_flight(r->device->queues[index]) : 0;
}

void vhost_rings_quiesce(struct vhost_rings *r, uint32_t index)
{
	if (r->ring[index].running)
		virtio_device_quiesce_queue(r->device, index);
}

uint32_t vhost_rings_park(struct vhost_rings *r, uint32_t index)
{
	struct vhost_ring *q = &r->ring[index];
	struct virtq *queue = r->device->queues[index];

	if (q->running) {
		/* A device that broke has stopped its queues, and will be reset. */
		if (virtq_is_started(queue)) {
			q->base = virtq_position(queue);
			q->parked = true;
		}
		virtio_device_stop_queue(r->device, index);
		q->running = false;
	}
	drop_kick(q);
	q->has_addr = false;
	return q->base;
}

bool vhost_rings_idle(const struct vhost_rings *r)
{
	for (unsigned i = 0; i < r->device->queue_count; i++) {
		if (virtq_outstanding(r->device->queues[i]))
			return false;
	}
	return true;
}

/* ---- signals ---- */

bool vhost_rings_call(struct vhost_rings *r, unsigned index)
{
	if (r->ring[index].call < 0)
		return false;
	signal_fd(r->ring[index].call);
	return true;
}

void vhost_rings_report_error(struct vhost_rings *r)
{
	for (unsigned i = 0; i < r->device->queue_count; i++) {
		if (r->ring[i].error >= 0)
			signal_fd(r->ring[i].error);
	}
}
