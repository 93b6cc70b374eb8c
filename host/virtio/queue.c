// SPDX-License-Identifier: MIT
#include "host/virtio/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/base/log.h"
#include "host/base/step.h"
#include "host/virtio/ring.h"

/*
 * Chains that were in flight at a reset and that a device still holds (a disk read on another thread): a driver that
 * resets in a loop must not pile them up without limit.
 */
#define STALE_FACTOR 4u

static void resume(struct loop_task *t)
{
	struct virtq *q = t->owner;

	q->resume_posted = false;
	virtio_device_kick(q->device, q->index);
}

int virtq_create(struct virtio_device *d, unsigned index, uint16_t max_size, struct virtq **out)
{
	struct virtq *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	assert(max_size >= 1 && max_size <= 32768);
	q->device = d;
	q->mem = d->mem;
	q->index = index;
	q->max_size = max_size;
	q->resume.run = resume;
	q->resume.owner = q;
	*out = q;
	return 0;
}

static void free_queue(struct virtq *q)
{
	while (q->free_chains) {
		struct chain *c = q->free_chains;

		q->free_chains = c->next_free;
		free(c->iov);
		free(c);
	}
	inflight_destroy(q->inflight);
	free(q);
}

int virtq_track(struct virtq *q, struct inflight_ring *shared)
{
	assert(!q->ops && !q->inflight);
	return inflight_create(shared, &q->inflight);
}

void virtq_set_region(struct virtq *q, struct inflight_region *r)
{
	assert(!r || (!q->ops && q->inflight));
	q->region = r;
}

void virtq_destroy(struct virtq *q)
{
	if (!q)
		return;
	virtq_stop(q);
	q->destroyed = true;
	if (!q->outstanding)
		free_queue(q);
}

uint16_t virtq_max_size(const struct virtq *q)
{
	return q->max_size;
}

static uint8_t *map_area(const struct virtq *q, uint64_t gpa, uint64_t bytes, uintptr_t align)
{
	uint8_t *host = guest_mem_range(q->mem, gpa, bytes);

	/* The host address too: ring words are accessed as atomics. */
	return gpa % align || (uintptr_t)host % align ? NULL : host;
}

/*
 * Give back what the process before this one was about to: all of it at once, since the driver may have seen all of it
 * already, and may not see less. The ring stands before it.
 */
static int finish_left(struct virtq *q)
{
	struct chain *again = calloc(q->size, sizeof(*again));
	struct chain **list = calloc(q->size, sizeof(struct chain *));
	unsigned n = 0, descriptors = 0;
	struct inflight_slot s;
	int err = again && list ? 0 : -ENOMEM;

	while (!err && inflight_finishing(q->inflight, &s)) {
		if (s.position != q->ops->used_position(q, descriptors))
			err = -EINVAL;
		descriptors += s.descriptors;
		again[n] = (struct chain){.id = s.id, .descriptors = s.descriptors, .writer.total = s.written};
		list[n] = &again[n];
		n++;
	}
	if (!err && n) {
		if (q->ops->is_published && q->ops->is_published(q))
			q->ops->stand(q, q->ops->used_position(q, descriptors), 0);
		else
			/* Whether the driver wants to hear of it is not the question: it may have been told or not. */
			(void)q->ops->complete(q, list, n);
		step_reached(STEP_PUBLISHED);
	}
	free(list);
	free(again);
	return err;
}

/*
 * Go on with the ring that a process before this one had: what it was about to give back is given back, the rest comes
 * out of virtq_pop() again.
 */
static int take_over(struct virtq *q, bool packed)
{
	uint16_t used;
	int err = inflight_recover(q->inflight, q->size, packed, &used);

	if (err)
		return err;
	q->taken = inflight_descriptors(q->inflight);
	q->ops->stand(q, used, q->taken);
	err = finish_left(q);
	if (err)
		return err;
	used = q->ops->used_position(q, 0);
	inflight_recovered(q->inflight, used);
	q->taken = inflight_descriptors(q->inflight);
	q->ops->stand(q, used, q->taken);
	if (q->device->transport)
		q->device->transport->interrupt(q->device->transport_owner, q->index);
	return 0;
}

/* What all processes before this one left is what a process before this one left. */
static int take_in(struct virtq *q, bool packed)
{
	uint16_t at = 0;
	int n = packed ? inflight_region_packed_position(q->region, q->size, &at) : 0;

	if (!n)
		n = inflight_region_take_over(q->region, q->inflight, q->size, packed, at, q->ops->shown(q, at));
	if (n > 0)
		log_line(LOG_TOPIC_VIRTIO, LOG_INFO, "%s: queue %u: %d requests of before are done again",
			 q->device->ops->name, q->index, n);
	if (n >= 0)
		return 0;
	log_line(LOG_TOPIC_VIRTIO, LOG_ERROR,
		 "%s: queue %u: what the frontend kept of its requests in flight makes no sense: reset the device, or restart "
		 "the guest",
		 q->device->ops->name, q->index);
	return -EBADMSG;
}

/* Without a ring; what is in flight stays where it is kept. */
static void forget(struct virtq *q)
{
	q->ops = NULL;
	q->paused = q->held = false;
	q->generation++;
	q->in_flight = 0;
	if (q->resume_posted) {
		loop_unpost(q->device->loop, &q->resume);
		q->resume_posted = false;
	}
}

int virtq_start(struct virtq *q, const struct virtq_setup *setup)
{
	const struct virtio_device *d = q->device;
	bool packed = virtio_device_has(d, VIRTIO_F_RING_PACKED);
	const struct virtq_setup fresh = {.size = setup->size};
	uint64_t n = setup->size;
	bool recover, left;
	int err;

	forget(q);
	if (!n || n > q->max_size || (!packed && (n & (n - 1))))
		return -EINVAL;
	q->desc = map_area(q, setup->desc_gpa, 16 * n, 16);
	if (packed) {
		q->driver_area = map_area(q, setup->driver_gpa, sizeof(struct vring_packed_desc_event), 4);
		q->device_area = map_area(q, setup->device_gpa, sizeof(struct vring_packed_desc_event), 4);
	} else {
		/* flags, idx, ring[n], and the event index at the end of each */
		q->driver_area = map_area(q, setup->driver_gpa, 6 + 2 * n, 2);
		q->device_area = map_area(q, setup->device_gpa, 6 + 8 * n, 4);
	}
	if (!q->desc || !q->driver_area || !q->device_area || (q->inflight && n > INFLIGHT_MAX_SIZE) ||
	    (q->region && n > inflight_region_size(q->region)))
		return -EINVAL;
	q->size = setup->size;
	q->event_idx = virtio_device_has(d, VIRTIO_RING_F_EVENT_IDX);
	q->indirect = virtio_device_has(d, VIRTIO_RING_F_INDIRECT_DESC);
	q->notify_off = false;
	q->taken = 0;
	q->in_flight = 0;
	q->ops = packed ? &ring_packed_ops : &ring_split_ops;
	recover = q->inflight && inflight_is_active(q->inflight);
	left = !recover && q->region && inflight_region_is_for(q->region, q->size);
	err = q->ops->start(q, recover || left ? &fresh : setup);
	if (!err && left)
		err = take_in(q, packed);
	if (!err && (recover || left))
		err = take_over(q, packed);
	else if (!err && q->inflight)
		err = inflight_begin(q->inflight, q->size, packed, q->ops->used_position(q, 0));
	if (!err && q->region)
		inflight_region_begin(q->region, q->inflight, packed, q->ops->used_position(q, 0));
	if (err)
		q->ops = NULL;
	return err;
}

bool virtq_is_started(const struct virtq *q)
{
	return q->ops;
}

void virtq_stop(struct virtq *q)
{
	/* First: with this alone gone, the other still says all. */
	if (q->region && q->ops)
		inflight_region_end(q->region);
	/* A ring that never ran here may still be waiting for a process that goes on with it. */
	if (q->inflight && q->ops)
		inflight_end(q->inflight, q->ops->position(q));
	if (q->ops)
		step_reached(STEP_STOPPED);
	forget(q);
}

void virtq_forget_left(struct virtq *q)
{
	if (q->region && !q->ops)
		inflight_region_end(q->region);
	if (q->inflight && !q->ops && inflight_is_active(q->inflight))
		inflight_end(q->inflight, 0);
}

static struct chain *get_chain(struct virtq *q)
{
	struct chain *c = q->free_chains;

	if (c) {
		q->free_chains = c->next_free;
	} else {
		if (q->outstanding >= STALE_FACTOR * q->max_size)
			return NULL;
		c = calloc(1, sizeof(*c));
		if (!c || !chain_grow(c)) {
			free(c);
			return NULL;
		}
		c->q = q;
	}
	q->outstanding++;
	return c;
}

static void put_chain(struct chain *c)
{
	struct virtq *q = c->q;

	c->next_free = q->free_chains;
	q->free_chains = c;
	q->outstanding--;
}

/* What the author of a driver needs to find the fault. */
static void break_ring(struct virtq *q, const struct chain *c, const char *why)
{
	char text[256];

	snprintf(text, sizeof(text), "%s (available entry %u, last descriptor 0x%llx, %u bytes)", why, q->avail,
		 c ? (unsigned long long)c->last_gpa : 0, c ? c->last_bytes : 0);
	virtio_device_break_queue(q->device, q->index, text);
}

bool virtq_has_left(const struct virtq *q)
{
	return q->ops && q->inflight && inflight_has_next(q->inflight);
}

bool virtq_has_more(const struct virtq *q)
{
	return q->ops && !q->paused && !q->held && (virtq_has_left(q) || q->ops->has_more(q));
}

/* A request of the process before this one: 1, 0 if there is none, or -EPROTO. */
static int fetch_left(struct virtq *q, struct chain *c, const char **why)
{
	struct inflight_slot s;

	if (!q->inflight || !inflight_next(q->inflight, &c->slot, &s))
		return 0;
	c->id = s.id;
	c->descriptors = s.descriptors;
	c->stage = s.stage == INFLIGHT_APPLIED ? CHAIN_APPLIED : s.stage == INFLIGHT_EXECUTING ? CHAIN_EXECUTING : CHAIN_TAKEN;
	*why = q->ops->fetch_again(q, c, &s);
	if (*why)
		return -EPROTO;
	chain_ready(c);
	c->answered = s.written;
	if (c->stage == CHAIN_APPLIED)
		chain_skip_written(c, s.written);
	return 1;
}

static int fetch_new(struct virtq *q, struct chain *c, const char **why)
{
	int result = q->ops->fetch(q, c, why);

	/* Nothing twice means a driver that took back what it showed; it may be told nothing, but not looped for. */
	if (!result && q->ops->enable_notify(q))
		result = q->ops->fetch(q, c, why);
	if (result != 1)
		return result;
	step_reached(STEP_FETCHED);
	c->stage = CHAIN_TAKEN;
	if (q->inflight)
		c->slot = inflight_take(q->inflight, c->id, c->descriptors);
	if (q->region)
		inflight_region_take(q->region, q->inflight, c->slot);
	chain_ready(c);
	return 1;
}

int virtq_pop(struct virtq *q, struct chain **out)
{
	const char *why = "the host has no memory for a chain, or a device holds too many";
	struct chain *c;
	int result;

	if (!q->ops)
		return q->device->broken ? -EPROTO : 0;
	if (q->paused || q->held)
		return 0;
	c = get_chain(q);
	result = -EPROTO;
	if (c) {
		chain_begin(c);
		result = fetch_left(q, c, &why);
		if (!result)
			result = fetch_new(q, c, &why);
	}
	if (result == 1) {
		c->generation = q->generation;
		q->in_flight++;
		*out = c;
		return 1;
	}
	if (result < 0)
		break_ring(q, c, why);
	if (c)
		put_chain(c);
	return result;
}

/* So that a process that takes over knows which used entries go where. */
static void say_finishing(struct virtq *q, struct chain *const *c, unsigned n)
{
	unsigned ahead = 0;

	for (unsigned i = 0; i < n && q->region; i++) {
		inflight_region_give(q->region, c[i]->slot);
		ahead += c[i]->descriptors;
	}
	if (q->region)
		inflight_region_showing(q->region, q->ops->used_position(q, ahead));
	ahead = 0;
	for (unsigned i = 0; i < n; i++) {
		inflight_set_finishing(q->inflight, c[i]->slot, chain_written(c[i]), q->ops->used_position(q, ahead));
		ahead += c[i]->descriptors;
	}
}

static void say_finished(struct virtq *q, struct chain *const *c, unsigned n)
{
	for (unsigned i = 0; i < n && q->region; i++)
		inflight_region_given(q->region, c[i]->slot);
	if (q->region)
		inflight_region_shown(q->region, q->ops->used_position(q, 0));
	inflight_set_used(q->inflight, q->ops->used_position(q, 0));
	for (unsigned i = 0; i < n; i++)
		inflight_free(q->inflight, c[i]->slot);
}

void chain_finish_all(struct chain *const *c, unsigned n)
{
	struct virtq *q = c[0]->q;
	struct virtio_device *d = q->device;
	bool interrupt = false;

	/* All of them were popped since the last reset of the queue, or none. */
	if (c[0]->generation == q->generation) {
		if (q->inflight)
			say_finishing(q, c, n);
		interrupt = q->ops->complete(q, c, n);
		step_reached(STEP_PUBLISHED);
		if (q->inflight)
			say_finished(q, c, n);
		q->in_flight -= n;
	}
	for (unsigned i = 0; i < n; i++)
		put_chain(c[i]);
	if (interrupt && d->transport)
		d->transport->interrupt(d->transport_owner, q->index);
	else if (q->destroyed && !q->outstanding)
		free_queue(q);
}

void chain_finish(struct chain *c)
{
	chain_finish_all(&c, 1);
}

enum chain_stage chain_stage(const struct chain *c)
{
	return c->stage;
}

void chain_set_stage(struct chain *c, enum chain_stage stage)
{
	struct virtq *q = c->q;

	if (!q->inflight || c->generation != q->generation)
		return;
	assert(stage > c->stage);
	c->stage = stage;
	inflight_set_stage(q->inflight, c->slot, stage == CHAIN_APPLIED ? INFLIGHT_APPLIED : INFLIGHT_EXECUTING,
			   stage == CHAIN_APPLIED ? chain_written(c) : 0);
}

void chain_keep_answer(struct chain *c)
{
	if (c->q->inflight && c->generation == c->q->generation)
		inflight_set_written(c->q->inflight, c->slot, chain_written(c));
	step_reached(STEP_EXECUTED);
}

void chain_was_applied(struct chain *c)
{
	assert(c->stage == CHAIN_EXECUTING);
	chain_skip_written(c, c->answered);
	chain_set_stage(c, CHAIN_APPLIED);
}

uint64_t chain_tag(const struct chain *c)
{
	const struct virtq *q = c->q;

	if (!q->inflight || c->generation != q->generation)
		return 0;
	return (uint64_t)q->index << 56 | inflight_counter(q->inflight, c->slot);
}

static void drain_again(struct virtq *q)
{
	if (q->resume_posted)
		return;
	q->resume_posted = true;
	loop_post(q->device->loop, &q->resume);
}

void virtq_hold(struct virtq *q, bool held)
{
	if (q->held && !held && q->ops)
		drain_again(q);
	q->held = held && q->ops;
}

void virtq_drain(struct virtq *q, void (*handle)(void *owner, struct chain *c), void *owner)
{
	uint64_t generation = q->generation;
	/* A driver that refills the ring as fast as it is emptied must not keep the loop from its other work. */
	unsigned share = 2u * q->size;

	if (!q->ops || q->paused || q->held)
		return;
	q->ops->disable_notify(q);
	while (q->ops && q->generation == generation && !q->held) {
		struct chain *c;

		if (!share--) {
			drain_again(q);
			return;
		}
		/* Nothing there: notifications are on again. */
		if (virtq_pop(q, &c) != 1)
			return;
		handle(owner, c);
	}
}

uint32_t virtq_position(const struct virtq *q)
{
	return q->ops ? q->ops->position(q) : 0;
}

unsigned virtq_in_flight(const struct virtq *q)
{
	return q->in_flight;
}

unsigned virtq_outstanding(const struct virtq *q)
{
	return q->outstanding;
}

void virtq_pause(struct virtq *q, bool paused)
{
	q->paused = q->ops && paused;
}

void virtq_raise_max_size(struct virtq *q, uint16_t max_size)
{
	assert(!q->ops && !q->outstanding && max_size <= 32768);
	if (max_size > q->max_size)
		q->max_size = max_size;
}
