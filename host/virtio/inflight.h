/* SPDX-License-Identifier: MIT */
/*
 * The requests in flight, in memory that outlives the process of the device: which were taken off a ring, how far each
 * got, and where the ring stands. A process that takes over goes on exactly there: no request is lost, none is done
 * or given back twice.
 *
 * The memory belongs to somebody else (host/vhost/keeper.c) and starts out as zeros. A process reads it once, when a
 * ring starts, and checks it as it checks a guest's words: who wrote it may have been taken over by the guest.
 *
 * Used by the virtqueue alone (queue.c and the ring formats); devices see chain_stage(). Thread: the device's loop.
 */
#ifndef MULLION_HOST_VIRTIO_INFLIGHT_H
#define MULLION_HOST_VIRTIO_INFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/virtio.h"

struct inflight;

/* The largest ring that can be tracked; what a vhost-user frontend may set up. */
#define INFLIGHT_MAX_SIZE 1024u

/* How far a request got. Stored: the numbers are the memory's format. */
enum inflight_stage {
	INFLIGHT_FREE = 0,
	INFLIGHT_TAKEN = 1,	/* off the ring; nothing was done */
	INFLIGHT_EXECUTING = 2, /* the device was at it */
	INFLIGHT_APPLIED = 3,	/* all is done and answered in guest memory; it waits to be given back */
	INFLIGHT_FINISHING = 4, /* being given back: its used entry may be on the ring or not */
};

struct inflight_slot {
	uint32_t stage;
	uint16_t id;	      /* split: the head's index; packed: the buffer ID */
	uint16_t descriptors; /* ring entries that it takes: 1 on a split ring */
	uint32_t written;     /* bytes in the device-writable part; from APPLIED on for certain */
	uint16_t position;    /* FINISHING: where its used entry goes, as the ring counts */
	uint16_t first_entry; /* packed: the first of its descriptors in entries[] */
	uint64_t counter;     /* requests in the order in which they were taken; never 0 */
};

/* One ring's part of the memory. */
struct inflight_ring {
	uint32_t active; /* started and not stopped: what follows holds */
	uint16_t size;
	uint16_t packed;
	uint32_t used;	     /* position of the next used entry; packed: with the wrap counter in bit 15 */
	uint32_t stopped_at; /* not active: virtq_position() when it was stopped */
	uint64_t counter;    /* of the last request taken; goes on when the ring starts again */
	struct inflight_slot slots[INFLIGHT_MAX_SIZE];
	/* Packed rings: the descriptors, which the ring itself may lose to used entries. */
	struct vring_packed_desc entries[INFLIGHT_MAX_SIZE];
	uint16_t next_entry[INFLIGHT_MAX_SIZE];
};

/* Bytes of the memory for a device of @queues. */
static inline size_t inflight_bytes(unsigned queues)
{
	return queues * sizeof(struct inflight_ring);
}

/* @shared is borrowed. */
int inflight_create(struct inflight_ring *shared, struct inflight **out);
/* What the memory says stays. NULL is fine. */
void inflight_destroy(struct inflight *f);

/* A process before this one left an active ring here. */
bool inflight_is_active(const struct inflight *f);
/* A ring begins with nothing in flight. @size: 1..INFLIGHT_MAX_SIZE, else -EINVAL. */
int inflight_begin(struct inflight *f, uint16_t size, bool packed, uint16_t used);
/*
 * The same for a ring that does not begin with nothing (inflight_region.h): until it is activated, what is taken is not
 * there for a process that takes over.
 */
int inflight_refill(struct inflight *f, uint16_t size, bool packed, uint16_t used);
void inflight_activate(struct inflight *f);
/* The ring was stopped at @position (virtq_position()): what was in flight means nothing any more. */
void inflight_end(struct inflight *f, uint32_t position);

/*
 * Take over what a process before this one left. Returns 0 and *used is where the ring stands as the memory has it, or
 * -EINVAL if the memory makes no sense for a ring of @size. Then inflight_finishing() first, and inflight_next() until
 * it has no more.
 */
int inflight_recover(struct inflight *f, uint16_t size, bool packed, uint16_t *used);
/* Next request (in ring order) whose used entry may or may not have been written: write it (again). False: no more. */
bool inflight_finishing(struct inflight *f, struct inflight_slot *out);
/* The ring stands at @used now, behind all of those. */
void inflight_recovered(struct inflight *f, uint16_t used);
/* Ring entries that the requests take which are still in flight. */
unsigned inflight_descriptors(const struct inflight *f);
/* The slot of request @i of those that inflight_next() began with. False: there are not so many. */
bool inflight_left(const struct inflight *f, unsigned i, unsigned *slot);
/* Of the ring that was begun or taken over. */
uint16_t inflight_size(const struct inflight *f);
/* What @slot, which is in use, says; its stage is that of the beginning. */
void inflight_look(const struct inflight *f, unsigned slot, struct inflight_slot *out);
/* Next request to go on with, in the order in which they were taken; *slot names it from here on. False: no more. */
bool inflight_next(struct inflight *f, unsigned *slot, struct inflight_slot *out);
bool inflight_has_next(const struct inflight *f);

/* While a request is fetched: keep a descriptor of it (packed rings). The first call after inflight_take() begins anew. */
void inflight_keep(struct inflight *f, const struct vring_packed_desc *d);
/* The descriptors of @slot, one by one: *at begins as first_entry. */
void inflight_entry(const struct inflight *f, uint16_t *at, struct vring_packed_desc *out);

/* A request was taken. Returns its slot; there is one, since no more are in flight than the ring has entries. */
unsigned inflight_take(struct inflight *f, uint16_t id, uint16_t descriptors);
void inflight_set_stage(struct inflight *f, unsigned slot, enum inflight_stage stage, uint32_t written);
/* Before the stage is set to APPLIED; an EXECUTING request may have it already. */
void inflight_set_written(struct inflight *f, unsigned slot, uint32_t written);
/* Unique among all requests of the ring, across its stops. */
uint64_t inflight_counter(const struct inflight *f, unsigned slot);
/* Its used entry is about to be written at @position. */
void inflight_set_finishing(struct inflight *f, unsigned slot, uint32_t written, uint16_t position);
/* The used entries of all finishing requests are on the ring, which stands at @used now; then each is to be freed. */
void inflight_set_used(struct inflight *f, uint16_t used);
void inflight_free(struct inflight *f, unsigned slot);

#endif
