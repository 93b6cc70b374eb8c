/* SPDX-License-Identifier: MIT */
/*
 * The virtqueue, device side: split (virtio 1.4, section 2.7) and packed (section 2.8) behind one interface.
 * queue.c is the only file that touches descriptor, driver and device areas.
 *
 * Thread: the loop of the device, for every call.
 */
#ifndef MULLION_HOST_VIRTIO_QUEUE_H
#define MULLION_HOST_VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/virtio/chain.h"

struct virtq;
struct virtio_device;

/* What the driver wrote into the transport's registers. */
struct virtq_setup {
	uint16_t size; /* split: a power of 2; packed: any; 1..max */
	uint64_t desc_gpa;
	uint64_t driver_gpa; /* split: available ring; packed: driver event suppression */
	uint64_t device_gpa; /* split: used ring; packed: device event suppression */
};

int virtq_create(struct virtio_device *d, unsigned index, uint16_t max_size, struct virtq **out);
void virtq_destroy(struct virtq *q);

unsigned virtq_index(const struct virtq *q);
uint16_t virtq_max_size(const struct virtq *q);

/*
 * Start the queue with the device's negotiated features (RING_PACKED, EVENT_IDX, INDIRECT_DESC, ...). Returns 0,
 * -EINVAL when size, alignment or a range is wrong (the ring areas must lie in guest memory).
 */
int virtq_start(struct virtq *q, const struct virtq_setup *setup) MUST_CHECK;
bool virtq_is_started(const struct virtq *q);

/* Forget the ring. Chains popped before may still be finished: they are freed without touching guest memory. */
void virtq_stop(struct virtq *q);

/*
 * Take the next request. 1: *out is it. 0: the ring is empty. -EPROTO: the driver broke the ring; the device was
 * marked (virtio_device_break()) and the queue gives nothing more.
 * Every descriptor is read exactly once into host memory; then: index in range, at most queue-size links, readable
 * before writable, each range whole inside one region, total within 32 bits, indirect tables only if negotiated
 * and never nested.
 */
int virtq_pop(struct virtq *q, struct chain **out) MUST_CHECK;

/*
 * Pop and hand out every request until the ring is really empty, with the driver's notifications suppressed
 * meanwhile; on return they are on again. @handle owns each chain. Stops when the device breaks or resets.
 */
void virtq_drain(struct virtq *q, void (*handle)(void *owner, struct chain *c), void *owner);

/* Ring state that outlives a device process (vhost-user GET_VRING_BASE): next avail index and wrap counters. */
uint32_t virtq_position(const struct virtq *q);

/* Chains popped and not finished. */
unsigned virtq_in_flight(const struct virtq *q);

#endif
