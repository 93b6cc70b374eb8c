// SPDX-License-Identifier: MIT
#include "host/virtio/inflight_region.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "host/virtio/inflight.h"
#include "protocol/vhost_user.h"

#define WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)
#define REGION_ALIGN 64u

struct inflight_region {
	union {
		struct vhost_user_inflight_head *head;
		struct vhost_user_inflight_split *split;
		struct vhost_user_inflight_packed *packed;
	} at;
	uint16_t size;
	bool is_packed;
	/* Our own copies of what the memory says of its lists: @size ends one. */
	uint16_t free_head;
	uint16_t shown; /* packed: where the ring stands for the driver */
	uint16_t next[INFLIGHT_MAX_SIZE];
	uint16_t entry[INFLIGHT_MAX_SIZE]; /* by slot: its place, or first entry */
	uint16_t last[INFLIGHT_MAX_SIZE];  /* by slot: its last entry; packed */
	/* What was found there, in the order of its counters; entries of packed rings one behind the other. */
	unsigned found;
	struct {
		uint64_t counter;
		uint16_t id, descriptors, first;
	} request[INFLIGHT_MAX_SIZE];
};

/*
 * In order with all stores before: a process that takes over sees what a killed one has stored, and only the compiler
 * could change the order.
 */
static void store8(uint8_t *to, uint8_t value)
{
	atomic_store_explicit((_Atomic uint8_t *)to, value, memory_order_release);
}

static void store16(uint16_t *to, uint16_t value)
{
	atomic_store_explicit((_Atomic uint16_t *)to, value, memory_order_release);
}

/* Once, whatever the compiler thinks of reading it again: what was checked is what is used. */
static uint8_t load8(const uint8_t *from)
{
	return atomic_load_explicit((_Atomic uint8_t *)(uintptr_t)from, memory_order_acquire);
}

static uint16_t load16(const uint16_t *from)
{
	return atomic_load_explicit((_Atomic uint16_t *)(uintptr_t)from, memory_order_acquire);
}

size_t inflight_region_bytes(uint16_t size)
{
	size_t bytes = sizeof(struct vhost_user_inflight_packed) + size * sizeof(struct vhost_user_inflight_packed_desc);

	_Static_assert(sizeof(struct vhost_user_inflight_packed_desc) >= sizeof(struct vhost_user_inflight_split_desc) &&
			       sizeof(struct vhost_user_inflight_packed) >= sizeof(struct vhost_user_inflight_split),
		       "a region for packed rings holds the other kind");
	return (bytes + REGION_ALIGN - 1) / REGION_ALIGN * REGION_ALIGN;
}

int inflight_region_create(void *shared, uint16_t size, struct inflight_region **out)
{
	struct inflight_region *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	assert(size && size <= INFLIGHT_MAX_SIZE);
	r->at.head = shared;
	r->size = size;
	*out = r;
	return 0;
}

void inflight_region_destroy(struct inflight_region *r)
{
	free(r);
}

uint16_t inflight_region_size(const struct inflight_region *r)
{
	return r->size;
}

bool inflight_region_is_for(const struct inflight_region *r, uint16_t size)
{
	return size <= r->size && load16(&r->at.head->version) == VHOST_USER_INFLIGHT_VERSION &&
	       load16(&r->at.head->desc_num) == size;
}

/* ---- taking over ---- */

/* Both halves of a position are one number here, as in the event structures of a ring. */
static int read_position(unsigned size, uint16_t at, uint8_t wrap, uint16_t *position)
{
	if (at >= size || wrap > 1)
		return -EINVAL;
	*position = (uint16_t)(at | (wrap ? WRAP : 0));
	return 0;
}

int inflight_region_packed_position(const struct inflight_region *r, uint16_t size, uint16_t *used)
{
	const struct vhost_user_inflight_packed *p = r->at.packed;

	return read_position(size, load16(&p->old_used_idx), load8(&p->old_used_wrap_counter), used);
}

static void insert(struct inflight_region *r, uint64_t counter, uint16_t id, uint16_t descriptors, uint16_t first)
{
	unsigned i = r->found++;

	for (; i && counter < r->request[i - 1].counter; i--)
		r->request[i] = r->request[i - 1];
	r->request[i].counter = counter;
	r->request[i].id = id;
	r->request[i].descriptors = descriptors;
	r->request[i].first = first;
}

/* "When reconnecting", for split rings. */
static int find_split(struct inflight_region *r, unsigned size, uint16_t shown)
{
	const struct vhost_user_inflight_split *s = r->at.split;
	bool is_used[INFLIGHT_MAX_SIZE] = {false};
	uint16_t left = (uint16_t)(shown - load16(&s->used_idx)), at = load16(&s->last_batch_head);

	/* More than there are can't have been one batch. */
	if (left > size)
		return -EINVAL;
	for (; left; left--) {
		if (at >= size || is_used[at])
			return -EINVAL;
		is_used[at] = true;
		at = load16(&s->desc[at].next);
	}
	for (unsigned i = 0; i < size; i++) {
		const uint8_t inflight = load8(&s->desc[i].inflight);

		if (inflight > 1)
			return -EINVAL;
		if (inflight && !is_used[i])
			insert(r, s->desc[i].counter, (uint16_t)i, 1, 0);
	}
	return 0;
}

/* The entries of a request, into r->next; -EINVAL if they are not its own alone. */
static int find_entries(struct inflight_region *r, unsigned size, unsigned head, bool *is_taken)
{
	const struct vhost_user_inflight_packed *p = r->at.packed;
	uint16_t count = load16(&p->desc[head].num), at = (uint16_t)head, last = at;

	if (!count || count > size)
		return -EINVAL;
	for (uint16_t i = 0; i < count; i++) {
		if (at >= size || is_taken[at])
			return -EINVAL;
		is_taken[at] = true;
		r->next[at] = load16(&p->desc[at].next);
		last = at;
		at = r->next[at];
	}
	/* The buffer ID is that of the last descriptor. */
	insert(r, p->desc[head].counter, p->desc[last].id, count, (uint16_t)head);
	return 0;
}

static int find_packed(struct inflight_region *r, unsigned size, uint16_t old, bool shown, uint16_t *used)
{
	const struct vhost_user_inflight_packed *p = r->at.packed;
	bool is_taken[INFLIGHT_MAX_SIZE] = {false}, is_free[INFLIGHT_MAX_SIZE] = {false};
	uint16_t now, at;
	int err = read_position(size, load16(&p->used_idx), load8(&p->used_wrap_counter), &now);

	if (err)
		return err;
	/* Shown, but perhaps not yet crossed off; else it is as if nothing of it had happened. */
	shown = shown && now != old;
	*used = shown ? now : old;
	at = load16(shown ? &p->free_head : &p->old_free_head);
	for (unsigned n = 0; at < size; n++) {
		if (n == size || is_taken[at])
			return -EINVAL;
		is_free[at] = is_taken[at] = true;
		at = load16(&p->desc[at].next);
	}
	for (unsigned i = 0; i < size && !err; i++) {
		const uint8_t inflight = load8(&p->desc[i].inflight);

		if (inflight > 1)
			err = -EINVAL;
		else if (inflight && !is_free[i])
			err = find_entries(r, size, i, is_taken);
	}
	return err;
}

static void refill(struct inflight_region *r, struct inflight *f, bool packed)
{
	const struct vhost_user_inflight_packed *p = r->at.packed;

	for (unsigned i = 0; i < r->found; i++) {
		uint16_t at = r->request[i].first;

		for (unsigned n = 0; packed && n < r->request[i].descriptors; n++) {
			const struct vring_packed_desc d = {
				p->desc[at].addr, p->desc[at].len, p->desc[at].id, p->desc[at].flags};

			inflight_keep(f, &d);
			at = r->next[at];
		}
		(void)inflight_take(f, r->request[i].id, r->request[i].descriptors);
	}
}

int inflight_region_take_over(struct inflight_region *r, struct inflight *f, uint16_t size, bool packed, uint16_t at,
			      uint16_t shown)
{
	uint16_t used = shown;
	int err;

	assert(size && size <= r->size);
	r->found = 0;
	err = packed ? find_packed(r, size, at, shown, &used) : find_split(r, size, shown);
	if (!err)
		err = inflight_refill(f, size, packed, used);
	if (err)
		return err;
	refill(r, f, packed);
	inflight_activate(f);
	return (int)r->found;
}

/* ---- while the ring runs ---- */

static void add_split(struct inflight_region *r, unsigned slot, uint16_t id, uint64_t counter)
{
	struct vhost_user_inflight_split_desc *d = &r->at.split->desc[id];

	r->entry[slot] = id;
	d->counter = counter;
	store8(&d->inflight, 1);
}

static void set_next(struct inflight_region *r, uint16_t at, uint16_t next)
{
	r->next[at] = next;
	store16(&r->at.packed->desc[at].next, next);
}

static void add_packed(struct inflight_region *r, const struct inflight *f, unsigned slot, const struct inflight_slot *s)
{
	struct vhost_user_inflight_packed *p = r->at.packed;
	uint16_t from = s->first_entry, head = r->free_head, at = head, last = head;

	p->desc[head].counter = s->counter;
	p->desc[head].num = s->descriptors;
	store8(&p->desc[head].inflight, 1);
	for (unsigned i = 0; i < s->descriptors; i++) {
		struct vhost_user_inflight_packed_desc *e = &p->desc[at];
		struct vring_packed_desc d;

		inflight_entry(f, &from, &d);
		e->addr = d.addr;
		e->len = d.len;
		e->flags = d.flags;
		e->id = d.id;
		last = at;
		at = r->next[at];
	}
	p->desc[head].last = last;
	r->entry[slot] = head;
	r->last[slot] = last;
	r->free_head = at;
	store16(&p->free_head, at);
	/* Until here it is in the free list, and so not in flight. */
	store16(&p->old_free_head, at);
}

void inflight_region_take(struct inflight_region *r, const struct inflight *f, unsigned slot)
{
	struct inflight_slot s;

	inflight_look(f, slot, &s);
	if (r->is_packed)
		add_packed(r, f, slot, &s);
	else
		add_split(r, slot, s.id, s.counter);
}

void inflight_region_begin(struct inflight_region *r, const struct inflight *f, bool packed, uint16_t used)
{
	unsigned slot, size = inflight_size(f);

	store16(&r->at.head->version, 0);
	/* What follows isn't in order with it by itself. */
	atomic_signal_fence(memory_order_seq_cst);
	memset((uint8_t *)r->at.head + sizeof(*r->at.head), 0, inflight_region_bytes(r->size) - sizeof(*r->at.head));
	r->is_packed = packed;
	r->at.head->features = 0;
	r->at.head->desc_num = (uint16_t)size;
	if (packed) {
		for (unsigned i = 0; i < size; i++)
			set_next(r, (uint16_t)i, (uint16_t)(i + 1));
	}
	r->free_head = 0;
	for (unsigned i = 0; inflight_left(f, i, &slot); i++)
		inflight_region_take(r, f, slot);
	inflight_region_shown(r, used);
	store16(&r->at.head->version, VHOST_USER_INFLIGHT_VERSION);
}

void inflight_region_end(struct inflight_region *r)
{
	store16(&r->at.head->version, 0);
}

void inflight_region_give(struct inflight_region *r, unsigned slot)
{
	if (r->is_packed) {
		set_next(r, r->last[slot], r->free_head);
		r->free_head = r->entry[slot];
		store16(&r->at.packed->free_head, r->free_head);
	} else {
		struct vhost_user_inflight_split *s = r->at.split;

		/* The list is only followed for as many as were shown. */
		s->desc[r->entry[slot]].next = r->free_head;
		r->free_head = r->entry[slot];
		store16(&s->last_batch_head, r->free_head);
	}
}

/* All four parts of two positions at once: half of one would be a place where the ring never stood. */
static void store_positions(struct inflight_region *r, uint16_t used, uint16_t old)
{
	struct vhost_user_inflight_packed *p = r->at.packed;
	union {
		uint64_t all;
		struct {
			uint16_t used, old;
			uint8_t wrap, old_wrap, padding[2];
		} part;
	} word = {.part = {used & (WRAP - 1), old & (WRAP - 1), used & WRAP ? 1 : 0, old & WRAP ? 1 : 0, {0}}};

	_Static_assert(offsetof(struct vhost_user_inflight_packed, used_idx) % 8 == 0, "it is one aligned word");
	r->shown = old;
	atomic_store_explicit((_Atomic uint64_t *)(void *)&p->used_idx, word.all, memory_order_release);
}

void inflight_region_showing(struct inflight_region *r, uint16_t used)
{
	if (r->is_packed)
		store_positions(r, used, r->shown);
}

void inflight_region_given(struct inflight_region *r, unsigned slot)
{
	if (r->is_packed)
		store8(&r->at.packed->desc[r->entry[slot]].inflight, 0);
	else
		store8(&r->at.split->desc[r->entry[slot]].inflight, 0);
}

void inflight_region_shown(struct inflight_region *r, uint16_t used)
{
	struct vhost_user_inflight_packed *p = r->at.packed;

	if (!r->is_packed) {
		store16(&r->at.split->used_idx, used);
		return;
	}
	store16(&p->old_free_head, r->free_head);
	store_positions(r, used, used);
}
