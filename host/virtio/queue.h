/* SPDX-License-Identifier: MIT */
/*
 * The virtqueue, device side: split (virtio 1.4, section 2.7) and packed (section 2.8) behind one interface.
 * Only queue_split.c and queue_packed.c touch descriptor, driver and device areas.
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

/*
 * Most entries of an indirect table, unless the queue is larger still. The specification allows as many as the queue
 * has (section 2.7.5.3.1), but Linux fills longer ones when its queue is small: virtio-gpu maps a large command
 * buffer page by page.
 */
#define VIRTQ_INDIRECT_MAX 1024u

/* What the driver wrote into the transport's registers. */
struct virtq_setup {
	uint16_t size; /* split: a power of 2; packed: any; 1..max */
	uint64_t desc_gpa;
	uint64_t driver_gpa; /* split: available ring; packed: driver event suppression */
	uint64_t device_gpa; /* split: used ring; packed: device event suppression */
	bool resume;         /* go on at @position (vhost-user) instead of at the start of a fresh ring */
	uint32_t position;   /* from virtq_position() */
};

int virtq_create(struct virtio_device *d, unsigned index, uint16_t max_size, struct virtq **out);
/* Stops it first. Chains not finished yet may still be, on the same thread; the last one frees the queue. */
void virtq_destroy(struct virtq *q);

struct inflight_ring;

/*
 * Keep what is in flight in @shared (host/virtio/inflight.h), which is borrowed until the queue is destroyed. If it
 * holds an active ring when the queue is started, the queue goes on where that one was, whatever setup->position
 * says. Rings of up to INFLIGHT_MAX_SIZE only. Before the queue is started.
 */
int virtq_track(struct virtq *q, struct inflight_ring *shared);

struct inflight_region;

/*
 * Say the same in @r, which is the frontend's (host/virtio/inflight_region.h) and borrowed; NULL: no more, and what it says
 * stays. If it speaks of requests in flight when the queue is started, and the memory of virtq_track() holds no active ring,
 * they come out of virtq_pop() first, whatever setup->position says. Only for a queue that is tracked; not NULL only while it is
 * stopped.
 */
void virtq_set_region(struct virtq *q, struct inflight_region *r);

uint16_t virtq_max_size(const struct virtq *q);

/*
 * Start the queue with the device's negotiated features (RING_PACKED, EVENT_IDX, INDIRECT_DESC, ...). Returns 0,
 * -EINVAL when size, alignment or a range is wrong (the ring areas must lie in guest memory), or when what a process
 * before this one left of it makes no sense; -EBADMSG, after a line, when what the frontend kept of it (virtq_set_region())
 * doesn't.
 */
int virtq_start(struct virtq *q, const struct virtq_setup *setup) MUST_CHECK;
bool virtq_is_started(const struct virtq *q);

/* Forget the ring. Chains popped before may still be finished: they are freed without touching guest memory. */
void virtq_stop(struct virtq *q);

/*
 * Take the next request. 1: *out is it. 0: the ring is empty (or the queue not started, or held) and the driver will
 * notify when it is not. -EPROTO: the driver broke the ring; the device was
 * marked (virtio_device_break()) and the queue gives nothing more.
 * Every descriptor is read exactly once into host memory; then: index in range, at most queue-size links (of an
 * indirect table VIRTQ_INDIRECT_MAX), readable before writable, each range whole inside one region, total within
 * 32 bits, indirect tables only if negotiated and never nested. Descriptors of no bytes are passed over. At most
 * queue-size chains are in flight.
 */
int virtq_pop(struct virtq *q, struct chain **out) MUST_CHECK;

/*
 * Pop and hand out every request until the ring is really empty, with the driver's notifications suppressed
 * meanwhile; on return they are on again. @handle owns each chain. Stops when the device breaks, resets or holds the queue. After
 * twice the queue size it gives way to the loop's other work and the device's kick op is called again soon.
 */
void virtq_drain(struct virtq *q, void (*handle)(void *owner, struct chain *c), void *owner);

/*
 * Ring state that outlives a device process (vhost-user GET_VRING_BASE): next avail index; packed: with its wrap
 * counter in bit 15, and the same of the used side above. 0 when stopped: ask before.
 */
uint32_t virtq_position(const struct virtq *q);

/*
 * What a process before this one left in flight means nothing any more: the device is reset. No-op without tracking, or
 * once the queue was started.
 */
void virtq_forget_left(struct virtq *q);

/* Requests that a process before this one had in flight are still to come out of virtq_pop(), before any other. */
bool virtq_has_left(const struct virtq *q);

/* virtq_pop() would find something. Unlike it, this leaves the driver's notifications as they are. */
bool virtq_has_more(const struct virtq *q);

/* Chains popped and not finished. */
unsigned virtq_in_flight(const struct virtq *q);

/* The same, those of before a reset included: while there are any, the device may still touch their memory. */
unsigned virtq_outstanding(const struct virtq *q);

/* While paused a started queue gives nothing, but chains may be finished. Starting and stopping end it. */
void virtq_pause(struct virtq *q, bool paused);

/*
 * While held, virtq_drain() hands out nothing: a device has a request that it must answer before it looks at the next. When
 * it is let go, the device's kick op is called soon. Starting and stopping let it go too.
 */
void virtq_hold(struct virtq *q, bool held);

/*
 * Let the driver make the queue larger than the device asked for: vhost-user frontends choose sizes without being
 * told a limit. Only while it is stopped and nothing is outstanding; @max_size: up to 32768.
 */
void virtq_raise_max_size(struct virtq *q, uint16_t max_size);

#endif
