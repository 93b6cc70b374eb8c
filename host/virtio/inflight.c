// SPDX-License-Identifier: MIT
#include "host/virtio/inflight.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/step.h"

#define WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)
#define NONE INFLIGHT_MAX_SIZE

struct inflight {
	struct inflight_ring *shared;
	uint16_t size;
	bool packed;
	uint64_t counter; /* of the last request taken */
	/* Slots and entries that are free; each list holds what the memory does not use. */
	unsigned free_slots, free_entries; /* heads; NONE: empty */
	uint16_t next_slot[INFLIGHT_MAX_SIZE];
	unsigned kept_first, kept_last; /* entries of the request that is being fetched */
	unsigned descriptors;
	/* What is to be taken over: slot numbers, finishing ones first, each part in its order. */
	unsigned queue[INFLIGHT_MAX_SIZE];
	struct inflight_slot copy[INFLIGHT_MAX_SIZE]; /* of every slot, as it was checked */
	unsigned queued, finishing, at;
	uint16_t stands; /* the ring's position then; what is shared is read once */
};

/*
 * Everything before it is there when a process that takes over sees it. Only the compiler could change the order: what
 * a killed process has stored is seen, what it has not isn't.
 */
static void store_stage(struct inflight_slot *s, uint32_t stage)
{
	atomic_store_explicit((_Atomic uint32_t *)&s->stage, stage, memory_order_release);
}

int inflight_create(struct inflight_ring *shared, struct inflight **out)
{
	struct inflight *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->shared = shared;
	*out = f;
	return 0;
}

void inflight_destroy(struct inflight *f)
{
	free(f);
}

bool inflight_is_active(const struct inflight *f)
{
	return atomic_load_explicit((_Atomic uint32_t *)&f->shared->active, memory_order_acquire) == 1;
}

/* @used[i]: slot or entry i is in use. */
static unsigned link_free(uint16_t *next, const bool *used, unsigned count)
{
	unsigned first = NONE;

	for (unsigned i = count; i-- > 0;) {
		if (used && used[i])
			continue;
		next[i] = (uint16_t)first;
		first = i;
	}
	return first;
}

int inflight_refill(struct inflight *f, uint16_t size, bool packed, uint16_t used)
{
	struct inflight_ring *s = f->shared;

	if (!size || size > INFLIGHT_MAX_SIZE)
		return -EINVAL;
	inflight_end(f, used);
	f->size = size;
	f->packed = packed;
	f->counter = s->counter;
	f->descriptors = 0;
	f->queued = f->at = f->finishing = 0;
	f->kept_first = f->kept_last = NONE;
	f->free_slots = link_free(f->next_slot, NULL, size);
	f->free_entries = link_free(s->next_entry, NULL, size);
	for (unsigned i = 0; i < size; i++)
		s->slots[i].stage = INFLIGHT_FREE;
	s->size = size;
	s->packed = packed;
	s->used = used;
	return 0;
}

void inflight_activate(struct inflight *f)
{
	atomic_store_explicit((_Atomic uint32_t *)&f->shared->active, 1, memory_order_release);
}

int inflight_begin(struct inflight *f, uint16_t size, bool packed, uint16_t used)
{
	int err = inflight_refill(f, size, packed, used);

	if (!err)
		inflight_activate(f);
	return err;
}

void inflight_end(struct inflight *f, uint32_t position)
{
	f->shared->stopped_at = position;
	atomic_store_explicit((_Atomic uint32_t *)&f->shared->active, 0, memory_order_release);
}

/* ---- taking over ---- */

/* Positions as numbers that grow by one from entry to entry, modulo modulus(). */
static unsigned linear(const struct inflight *f, uint16_t position)
{
	if (!f->packed)
		return position;
	return (position & (WRAP - 1)) + (position & WRAP ? 0 : f->size);
}

static unsigned distance(const struct inflight *f, uint16_t from, uint16_t to)
{
	unsigned modulus = f->packed ? 2u * f->size : 0x10000u;

	return (linear(f, to) + modulus - linear(f, from)) % modulus;
}

static bool is_position(const struct inflight *f, uint32_t position)
{
	return position <= UINT16_MAX && (!f->packed || (position & (WRAP - 1)) < f->size);
}

/* The descriptors of a packed request: a chain of entries, none of them anybody else's. */
static bool claim_entries(struct inflight *f, const struct inflight_slot *s, bool *taken)
{
	unsigned at = s->first_entry;

	for (unsigned i = 0; i < s->descriptors; i++) {
		if (at >= f->size || taken[at])
			return false;
		taken[at] = true;
		at = f->shared->next_entry[at];
	}
	return true;
}

static bool is_good(const struct inflight *f, const struct inflight_slot *s)
{
	if (s->stage > INFLIGHT_FINISHING || !s->counter || !s->descriptors || s->descriptors > f->size)
		return false;
	if (!f->packed && (s->descriptors != 1 || s->id >= f->size))
		return false;
	return s->stage != INFLIGHT_FINISHING || is_position(f, s->position);
}

static void insert(struct inflight *f, unsigned from, unsigned slot,
		   bool (*before)(const struct inflight *f, unsigned a, unsigned b))
{
	unsigned i = f->queued++;

	for (; i > from && before(f, slot, f->queue[i - 1]); i--)
		f->queue[i] = f->queue[i - 1];
	f->queue[i] = slot;
}

static bool is_taken_before(const struct inflight *f, unsigned a, unsigned b)
{
	return f->copy[a].counter < f->copy[b].counter;
}

static bool is_placed_before(const struct inflight *f, unsigned a, unsigned b)
{
	return distance(f, f->stands, f->copy[a].position) < distance(f, f->stands, f->copy[b].position);
}

int inflight_recover(struct inflight *f, uint16_t size, bool packed, uint16_t *used)
{
	struct inflight_ring *s = f->shared;
	bool slot_taken[INFLIGHT_MAX_SIZE] = {false}, entry_taken[INFLIGHT_MAX_SIZE] = {false};
	uint32_t stands = s->used;

	step_reached(STEP_RECOVERING);
	f->size = size;
	f->packed = packed;
	if (!size || size > INFLIGHT_MAX_SIZE || s->size != size || s->packed != packed || !is_position(f, stands))
		return -EINVAL;
	f->stands = (uint16_t)stands;
	f->counter = s->counter;
	f->descriptors = 0;
	f->queued = f->at = 0;
	f->kept_first = f->kept_last = NONE;
	for (unsigned i = 0; i < size; i++) {
		f->copy[i] = s->slots[i];
		if (f->copy[i].stage == INFLIGHT_FREE)
			continue;
		if (!is_good(f, &f->copy[i]))
			return -EINVAL;
		/* Stored before the slot was; the other way round nothing would come out wrong but the order. */
		if (f->copy[i].counter > f->counter)
			f->counter = f->copy[i].counter;
		if (f->copy[i].stage == INFLIGHT_FINISHING) {
			/* Behind the ring's position: it was given back, and only its slot was not freed. */
			unsigned ahead = distance(f, f->stands, f->copy[i].position);

			if (ahead >= size) {
				store_stage(&s->slots[i], INFLIGHT_FREE);
				continue;
			}
			insert(f, 0, i, is_placed_before);
		}
		slot_taken[i] = true;
		f->descriptors += f->copy[i].descriptors;
		if (f->descriptors > size || (packed && !claim_entries(f, &f->copy[i], entry_taken)))
			return -EINVAL;
	}
	f->finishing = f->queued;
	for (unsigned i = 0; i < size; i++) {
		if (slot_taken[i] && f->copy[i].stage != INFLIGHT_FINISHING)
			insert(f, f->finishing, i, is_taken_before);
	}
	f->free_slots = link_free(f->next_slot, slot_taken, size);
	f->free_entries = link_free(s->next_entry, entry_taken, size);
	*used = (uint16_t)stands;
	return 0;
}

bool inflight_finishing(struct inflight *f, struct inflight_slot *out)
{
	if (f->at == f->finishing)
		return false;
	*out = f->copy[f->queue[f->at++]];
	return true;
}

void inflight_recovered(struct inflight *f, uint16_t used)
{
	inflight_set_used(f, used);
	for (unsigned i = 0; i < f->finishing; i++)
		inflight_free(f, f->queue[i]);
	step_reached(STEP_RECOVERED);
}

uint16_t inflight_size(const struct inflight *f)
{
	return f->size;
}

unsigned inflight_descriptors(const struct inflight *f)
{
	return f->descriptors;
}

bool inflight_next(struct inflight *f, unsigned *slot, struct inflight_slot *out)
{
	if (f->at == f->queued)
		return false;
	*slot = f->queue[f->at++];
	*out = f->copy[*slot];
	return true;
}

bool inflight_has_next(const struct inflight *f)
{
	return f->at != f->queued;
}

bool inflight_left(const struct inflight *f, unsigned i, unsigned *slot)
{
	if (f->finishing + i >= f->queued)
		return false;
	*slot = f->queue[f->finishing + i];
	return true;
}

void inflight_look(const struct inflight *f, unsigned slot, struct inflight_slot *out)
{
	*out = f->copy[slot];
}

/* ---- entries of packed rings ---- */

void inflight_keep(struct inflight *f, const struct vring_packed_desc *d)
{
	unsigned entry = f->free_entries;

	/* The ring refuses more descriptors than it has before they are kept. */
	assert(entry != NONE);
	f->free_entries = f->shared->next_entry[entry];
	f->shared->entries[entry] = *d;
	f->shared->next_entry[entry] = NONE;
	if (f->kept_first == NONE)
		f->kept_first = entry;
	else
		f->shared->next_entry[f->kept_last] = (uint16_t)entry;
	f->kept_last = entry;
}

void inflight_entry(const struct inflight *f, uint16_t *at, struct vring_packed_desc *out)
{
	*out = f->shared->entries[*at];
	*at = f->shared->next_entry[*at];
}

static void free_entries(struct inflight *f, unsigned first, unsigned count)
{
	unsigned last = first;

	for (unsigned i = 1; i < count; i++)
		last = f->shared->next_entry[last];
	f->shared->next_entry[last] = (uint16_t)f->free_entries;
	f->free_entries = first;
}

/* ---- the life of a request ---- */

unsigned inflight_take(struct inflight *f, uint16_t id, uint16_t descriptors)
{
	unsigned slot = f->free_slots;
	struct inflight_slot *s = &f->shared->slots[slot];

	assert(slot != NONE);
	f->free_slots = f->next_slot[slot];
	s->id = id;
	s->descriptors = descriptors;
	s->written = 0;
	s->position = 0;
	s->first_entry = f->packed ? (uint16_t)f->kept_first : 0;
	s->counter = ++f->counter;
	f->shared->counter = f->counter;
	store_stage(s, INFLIGHT_TAKEN);
	f->kept_first = f->kept_last = NONE;
	f->descriptors += descriptors;
	/* What the other process reads is not what this one goes by: the copy can't be changed from outside. */
	f->copy[slot] = *s;
	step_reached(STEP_TAKEN);
	return slot;
}

void inflight_set_stage(struct inflight *f, unsigned slot, enum inflight_stage stage, uint32_t written)
{
	f->shared->slots[slot].written = written;
	store_stage(&f->shared->slots[slot], stage);
	step_reached(stage == INFLIGHT_EXECUTING ? STEP_EXECUTING : STEP_APPLIED);
}

void inflight_set_written(struct inflight *f, unsigned slot, uint32_t written)
{
	atomic_store_explicit((_Atomic uint32_t *)&f->shared->slots[slot].written, written, memory_order_release);
}

uint64_t inflight_counter(const struct inflight *f, unsigned slot)
{
	return f->copy[slot].counter;
}

void inflight_set_finishing(struct inflight *f, unsigned slot, uint32_t written, uint16_t position)
{
	struct inflight_slot *s = &f->shared->slots[slot];

	s->written = written;
	s->position = position;
	store_stage(s, INFLIGHT_FINISHING);
	step_reached(STEP_FINISHING);
}

void inflight_set_used(struct inflight *f, uint16_t used)
{
	atomic_store_explicit((_Atomic uint32_t *)&f->shared->used, used, memory_order_release);
	step_reached(STEP_COUNTED);
}

void inflight_free(struct inflight *f, unsigned slot)
{
	const struct inflight_slot *s = &f->copy[slot];

	store_stage(&f->shared->slots[slot], INFLIGHT_FREE);
	if (f->packed)
		free_entries(f, s->first_entry, s->descriptors);
	f->descriptors -= s->descriptors;
	f->next_slot[slot] = (uint16_t)f->free_slots;
	f->free_slots = slot;
}
