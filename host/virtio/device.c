// SPDX-License-Identifier: MIT
#include "host/virtio/device.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "protocol/virtio.h"

/*
 * What every device offers for its rings. ACCESS_PLATFORM is not among them: devices see guest-physical addresses as
 * they are, and a driver that must not assume so gets the bit from the @offered of its device. IN_ORDER neither:
 * requests end when they end.
 */
#define RING_FEATURES \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_RING_PACKED) | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
	 VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX))

/* The bits that a driver may set; NEEDS_RESET is the device's. */
#define DRIVER_STATUS \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK | \
	 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_FAILED)

int virtio_device_init(struct virtio_device *d, const struct virtio_device_ops *ops, uint64_t offered,
		       struct loop *loop, const struct guest_mem *mem)
{
	memset(d, 0, sizeof(*d));
	d->ops = ops;
	d->loop = loop;
	d->mem = mem;
	d->offered = ops->outside ? offered : offered | RING_FEATURES;
	while (ops->queue_max[d->queue_count]) {
		unsigned i = d->queue_count;
		int err;

		assert(i < VIRTIO_DEVICE_MAX_QUEUES);
		err = virtq_create(d, i, ops->queue_max[i], &d->queues[i]);
		if (err) {
			virtio_device_finish(d);
			return err;
		}
		d->queue_count++;
	}
	return 0;
}

void virtio_device_finish(struct virtio_device *d)
{
	for (unsigned i = 0; i < d->queue_count; i++)
		virtq_destroy(d->queues[i]);
	d->queue_count = 0;
}

static int start_queue(struct virtio_device *d, unsigned q, const struct virtq_setup *setup)
{
	return d->ops->outside ? d->ops->outside->start_queue(d, q, setup) : virtq_start(d->queues[q], setup);
}

static void stop_queue(struct virtio_device *d, unsigned q)
{
	if (d->ops->outside)
		d->ops->outside->stop_queue(d, q);
	else
		virtq_stop(d->queues[q]);
}

static void stop_queues(struct virtio_device *d)
{
	for (unsigned i = 0; i < d->queue_count; i++)
		stop_queue(d, i);
}

static void reset(struct virtio_device *d)
{
	/* Queues first: chains that the device finishes now must not reach the guest any more. */
	stop_queues(d);
	for (unsigned i = 0; i < d->queue_count; i++)
		virtq_forget_left(d->queues[i]);
	d->status = 0;
	d->negotiated = 0;
	d->broken = false;
	if (d->ops->reset)
		d->ops->reset(d);
	if (d->shmem_home)
		d->shmem_home->reset(d->shmem_owner);
}

void virtio_device_destroy(struct virtio_device *d)
{
	if (!d)
		return;
	assert(loop_is_current(d->loop));
	reset(d);
	d->ops->destroy(d);
}

void virtio_device_set_transport(struct virtio_device *d, const struct virtio_transport_ops *ops, void *owner)
{
	d->transport = ops;
	d->transport_owner = owner;
}

void virtio_device_config_changed(struct virtio_device *d)
{
	d->config_generation++;
	/* Section 2.1.2: no notification before DRIVER_OK. */
	if (d->transport && d->status & VIRTIO_CONFIG_S_DRIVER_OK)
		d->transport->config_changed(d->transport_owner);
}

void virtio_device_progress(struct virtio_device *d)
{
	if (d->transport && d->transport->progress)
		d->transport->progress(d->transport_owner);
}

static void set_broken(struct virtio_device *d)
{
	stop_queues(d);
	d->broken = true;
	d->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	virtio_device_config_changed(d);
}

void virtio_device_break(struct virtio_device *d, const char *why)
{
	if (d->broken)
		return;
	log_guest(LOG_TOPIC_VIRTIO, &d->log_limit, "%s: %s: the device stops until the driver resets it", d->ops->name,
		  why);
	set_broken(d);
}

void virtio_device_break_queue(struct virtio_device *d, unsigned q, const char *why)
{
	if (d->broken)
		return;
	log_guest(LOG_TOPIC_VIRTIO, &d->log_limit, "%s: queue %u: %s: the device stops until the driver resets it",
		  d->ops->name, q, why);
	set_broken(d);
}

void virtio_device_set_features(struct virtio_device *d, uint64_t features)
{
	if (!(d->status & VIRTIO_CONFIG_S_FEATURES_OK))
		d->negotiated = features;
}

static bool features_ok(struct virtio_device *d)
{
	uint64_t unknown = d->negotiated & ~d->offered;

	if (unknown) {
		log_guest(LOG_TOPIC_VIRTIO, &d->log_limit, "%s: the driver wants features 0x%llx, which were not offered",
			  d->ops->name, (unsigned long long)unknown);
		return false;
	}
	if (!virtio_device_has(d, VIRTIO_F_VERSION_1)) {
		log_guest(LOG_TOPIC_VIRTIO, &d->log_limit,
			  "%s: the driver is older than virtio 1.0 (VERSION_1 not accepted): use a newer one", d->ops->name);
		return false;
	}
	return true;
}

static void start(struct virtio_device *d, const struct virtq_setup *setups)
{
	int err;

	for (unsigned i = 0; i < d->queue_count; i++) {
		if (!setups[i].size)
			continue;
		if (start_queue(d, i, &setups[i])) {
			virtio_device_break_queue(d, i, "size, alignment or place of its rings is wrong");
			return;
		}
	}
	err = d->ops->start ? d->ops->start(d) : 0;
	if (err) {
		/* The host's trouble, but the driver can try as often as it likes. */
		log_guest(LOG_TOPIC_VIRTIO, &d->log_limit, "%s: could not start: %s", d->ops->name, strerror(-err));
		if (!d->broken)
			set_broken(d);
		return;
	}
	/* Some drivers fill a queue, and notify, before DRIVER_OK. */
	for (unsigned i = 0; i < d->queue_count; i++)
		virtio_device_kick(d, i);
}

void virtio_device_set_status(struct virtio_device *d, uint8_t status, const struct virtq_setup *setups)
{
	uint8_t added;

	assert(loop_is_current(d->loop));
	if (!status) {
		reset(d);
		return;
	}
	/* Section 2.1.1: a driver clears bits by a reset only. */
	added = (uint8_t)(status & DRIVER_STATUS & ~d->status);
	if (added & VIRTIO_CONFIG_S_FEATURES_OK && !features_ok(d))
		added &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK && !((d->status | added) & VIRTIO_CONFIG_S_FEATURES_OK)) {
		log_guest(LOG_TOPIC_VIRTIO, &d->log_limit, "%s: the driver sets DRIVER_OK without FEATURES_OK: ignored",
			  d->ops->name);
		added &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
	}
	d->status |= added;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK && !d->broken)
		start(d, setups);
}

void virtio_device_kick(struct virtio_device *d, unsigned q)
{
	if (q < d->queue_count && d->status & VIRTIO_CONFIG_S_DRIVER_OK && !d->broken &&
	    (d->ops->outside || virtq_is_started(d->queues[q])))
		d->ops->kick(d, q);
}

int virtio_device_start_queue(struct virtio_device *d, unsigned q, const struct virtq_setup *setup)
{
	int err;

	assert(loop_is_current(d->loop));
	if (q >= d->queue_count || d->broken)
		return -EINVAL;
	err = start_queue(d, q, setup);
	if (!err)
		virtio_device_kick(d, q);
	return err;
}

void virtio_device_stop_queue(struct virtio_device *d, unsigned q)
{
	assert(loop_is_current(d->loop));
	if (q >= d->queue_count)
		return;
	stop_queue(d, q);
	if (d->ops->stopped)
		d->ops->stopped(d, q);
}

void virtio_device_quiesce_queue(struct virtio_device *d, unsigned q)
{
	assert(loop_is_current(d->loop));
	if (q < d->queue_count && d->ops->quiesce && virtq_is_started(d->queues[q]))
		d->ops->quiesce(d, q);
}

void virtio_device_config(struct virtio_device *d, uint32_t off, void *buf, size_t n, bool write)
{
	uint32_t end = d->ops->config_bytes;
	size_t inside = off < end ? end - off : 0;

	if (inside > n)
		inside = n;
	if (!write)
		memset(buf, 0, n);
	/* A write that is not wholly inside is none. */
	if (!inside || (write && inside < n) || !d->ops->config)
		return;
	if (d->ops->config(d, off, buf, inside, write)) {
		if (write)
			log_guest(LOG_TOPIC_VIRTIO, &d->log_limit,
				  "%s: config space: %zu bytes at %u may not be written as the driver did: ignored",
				  d->ops->name, n, off);
		else
			memset(buf, 0, n);
	}
}
