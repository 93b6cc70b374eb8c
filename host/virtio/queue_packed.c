// SPDX-License-Identifier: MIT
/* The packed ring: virtio 1.4, section 2.8. */
#include <errno.h>
#include <stdatomic.h>

#include "host/virtio/ring.h"

#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED (1u << VRING_PACKED_DESC_F_USED)
#define WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

static uint8_t *slot(const struct virtq *q, unsigned at)
{
	return q->desc + at * sizeof(struct vring_packed_desc);
}

static _Atomic uint16_t *slot_flags(const struct virtq *q, unsigned at)
{
	return (_Atomic uint16_t *)(void *)(slot(q, at) + offsetof(struct vring_packed_desc, flags));
}

/* Both halves of an event suppression structure at once, so that neither is seen without the other. */
static _Atomic uint32_t *event_word(uint8_t *area)
{
	return (_Atomic uint32_t *)(void *)area;
}

static uint16_t with_wrap(uint16_t at, bool wrap)
{
	return (uint16_t)(at | (wrap ? WRAP : 0));
}

/* Move a position by @n slots; @n is at most the ring size. */
static void advance(const struct virtq *q, uint16_t *at, bool *wrap, unsigned n)
{
	unsigned moved = *at + n;

	if (moved >= q->size) {
		moved -= q->size;
		*wrap = !*wrap;
	}
	*at = (uint16_t)moved;
}

static int packed_start(struct virtq *q, const struct virtq_setup *setup)
{
	q->avail = 0;
	q->used = 0;
	q->avail_wrap = true;
	q->used_wrap = true;
	if (setup->resume) {
		uint16_t avail = (uint16_t)setup->position;
		uint16_t used = (uint16_t)(setup->position >> 16);

		q->avail = avail & (WRAP - 1);
		q->avail_wrap = avail & WRAP;
		q->used = used & (WRAP - 1);
		q->used_wrap = used & WRAP;
		if (q->avail >= q->size || q->used >= q->size)
			return -EINVAL;
	}
	atomic_store_explicit(event_word(q->device_area), VRING_PACKED_EVENT_FLAG_ENABLE << 16, memory_order_relaxed);
	return 0;
}

static bool is_available(const struct virtq *q, unsigned flags)
{
	return !!(flags & AVAIL) == q->avail_wrap && !!(flags & USED) != q->avail_wrap;
}

/* An indirect table (section 2.8.7): its descriptors in order; of their flags only WRITE means something. */
static const char *add_table(struct virtq *q, struct chain *c, const struct vring_packed_desc *indirect)
{
	unsigned count = indirect->len / (unsigned)sizeof(*indirect);
	const uint8_t *table;

	c->last_gpa = indirect->addr;
	c->last_bytes = indirect->len;
	if (!q->indirect)
		return "an indirect descriptor, which was not negotiated";
	if (!count || indirect->len % sizeof(*indirect))
		return "an indirect table whose length is no multiple of 16, or 0";
	if (count > virtq_indirect_max(q))
		return "an indirect table that is too long";
	table = guest_mem_range(q->mem, indirect->addr, indirect->len);
	if (!table)
		return "an indirect table is not (wholly) in one region of guest memory";
	for (unsigned i = 0; i < count; i++) {
		struct vring_packed_desc d;
		const char *why;

		copy_once(&d, table + i * sizeof(d), sizeof(d));
		if (d.flags & VRING_DESC_F_INDIRECT)
			return "an indirect table inside an indirect table";
		why = chain_add(c, d.addr, d.len, d.flags & VRING_DESC_F_WRITE);
		if (why)
			return why;
	}
	return NULL;
}

/* One descriptor of a chain, number @count of it. Returns NULL, or what is wrong. */
static const char *add_descriptor(struct virtq *q, struct chain *c, const struct vring_packed_desc *d, unsigned count)
{
	if (!(d->flags & VRING_DESC_F_INDIRECT))
		return chain_add(c, d->addr, d->len, d->flags & VRING_DESC_F_WRITE);
	if (count || d->flags & VRING_DESC_F_NEXT)
		return "an indirect descriptor in a chain";
	return add_table(q, c, d);
}

static int packed_fetch(struct virtq *q, struct chain *c, const char **why)
{
	/* Acquire: pairs with the driver's release of the head's flags, which it writes after all else of the chain. */
	uint16_t head_flags = atomic_load_explicit(slot_flags(q, q->avail), memory_order_acquire);
	uint16_t at = q->avail;
	bool wrap = q->avail_wrap;

	if (!is_available(q, head_flags))
		return 0;
	for (unsigned count = 0;;) {
		struct vring_packed_desc d;

		/* Also what bounds the chains in flight: slots come back only when a chain is finished. */
		if (q->taken + count == q->size) {
			*why = "more descriptors than the ring has";
			return -EPROTO;
		}
		if (count) {
			copy_once(&d, slot(q, at), sizeof(d));
		} else {
			copy_once(&d, slot(q, at), offsetof(struct vring_packed_desc, flags));
			d.flags = head_flags;
		}
		*why = add_descriptor(q, c, &d, count);
		if (*why)
			return -EPROTO;
		if (q->inflight)
			inflight_keep(q->inflight, &d);
		advance(q, &at, &wrap, 1);
		count++;
		if (d.flags & VRING_DESC_F_NEXT)
			continue;
		/* The buffer ID is that of the last descriptor. */
		c->id = d.id;
		c->descriptors = (uint16_t)count;
		q->taken += count;
		q->avail = at;
		q->avail_wrap = wrap;
		return 1;
	}
}

/* From the copies: used entries of other requests may lie where its descriptors were. */
static const char *packed_fetch_again(struct virtq *q, struct chain *c, const struct inflight_slot *s)
{
	uint16_t at = s->first_entry;

	for (unsigned count = 0; count < s->descriptors; count++) {
		struct vring_packed_desc d;
		const char *why;

		inflight_entry(q->inflight, &at, &d);
		why = add_descriptor(q, c, &d, count);
		if (why)
			return why;
	}
	return NULL;
}

static bool packed_has_more(const struct virtq *q)
{
	return is_available(q, atomic_load_explicit(slot_flags(q, q->avail), memory_order_relaxed));
}

static void packed_disable_notify(struct virtq *q)
{
	q->notify_off = true;
	atomic_store_explicit(event_word(q->device_area), VRING_PACKED_EVENT_FLAG_DISABLE << 16, memory_order_relaxed);
}

static bool packed_enable_notify(struct virtq *q)
{
	uint32_t event = VRING_PACKED_EVENT_FLAG_ENABLE << 16;

	if (q->event_idx)
		event = VRING_PACKED_EVENT_FLAG_DESC << 16 | with_wrap(q->avail, q->avail_wrap);
	else if (!q->notify_off)
		return false;
	q->notify_off = false;
	atomic_store_explicit(event_word(q->device_area), event, memory_order_relaxed);
	/* Pairs with the driver's barrier between its descriptor and its look at the event structure. */
	atomic_thread_fence(memory_order_seq_cst);
	return packed_has_more(q);
}

static bool wants_interrupt(const struct virtq *q, uint16_t old, bool old_wrap)
{
	uint32_t word = atomic_load_explicit(event_word(q->driver_area), memory_order_relaxed);
	unsigned flags = word >> 16 & 3;
	/* Positions of the current lap count from 0, those of the lap before are negative. */
	uint16_t event = word & (WRAP - 1);
	bool event_wrap = word & WRAP;

	if (flags == VRING_PACKED_EVENT_FLAG_DISABLE)
		return false;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !q->event_idx)
		return true;
	if (event_wrap != q->used_wrap)
		event = (uint16_t)(event - q->size);
	if (old_wrap != q->used_wrap)
		old = (uint16_t)(old - q->size);
	return vring_need_event(event, q->used, old);
}

/* All of the used descriptor at the queue's position but its flags, which are returned. */
static uint16_t write_used(struct virtq *q, const struct chain *c)
{
	uint8_t *used = slot(q, q->used);
	uint32_t written = chain_written(c);
	uint16_t flags = (uint16_t)((q->used_wrap ? AVAIL | USED : 0) | (written ? VRING_DESC_F_WRITE : 0));

	memcpy(used + offsetof(struct vring_packed_desc, len), &written, sizeof(written));
	memcpy(used + offsetof(struct vring_packed_desc, id), &c->id, sizeof(c->id));
	advance(q, &q->used, &q->used_wrap, c->descriptors);
	q->taken -= c->descriptors;
	return flags;
}

static bool packed_complete(struct virtq *q, struct chain *const *c, unsigned n)
{
	uint16_t old = q->used;
	bool old_wrap = q->used_wrap;
	uint16_t flags = write_used(q, c[0]);

	for (unsigned i = 1; i < n; i++) {
		uint16_t at = q->used;

		atomic_store_explicit(slot_flags(q, at), write_used(q, c[i]), memory_order_relaxed);
	}
	/*
	 * Release: what the device wrote into buffers and descriptors is there before the flags say so. The first flags
	 * last: the driver looks at no descriptor before it has seen that the one before is used.
	 */
	atomic_store_explicit(slot_flags(q, old), flags, memory_order_release);
	/* Pairs with the driver's barrier between its event structure and its look at the flags. */
	atomic_thread_fence(memory_order_seq_cst);
	return wants_interrupt(q, old, old_wrap);
}

static uint32_t packed_position(const struct virtq *q)
{
	return (uint32_t)with_wrap(q->used, q->used_wrap) << 16 | with_wrap(q->avail, q->avail_wrap);
}

static uint16_t packed_used_position(const struct virtq *q, unsigned ahead)
{
	uint16_t at = q->used;
	bool wrap = q->used_wrap;

	advance(q, &at, &wrap, ahead);
	return with_wrap(at, wrap);
}

static void packed_stand(struct virtq *q, uint16_t used, unsigned in_flight)
{
	q->used = used & (WRAP - 1);
	q->used_wrap = used & WRAP;
	q->avail = q->used;
	q->avail_wrap = q->used_wrap;
	advance(q, &q->avail, &q->avail_wrap, in_flight);
}

/* The driver may have seen the used entry already, and made the place available again, one lap later. */
static bool packed_is_published(const struct virtq *q)
{
	unsigned flags = atomic_load_explicit(slot_flags(q, q->used), memory_order_acquire);

	return !!(flags & AVAIL) != q->used_wrap || !!(flags & USED) == q->used_wrap;
}

static uint16_t packed_shown(struct virtq *q, uint16_t at)
{
	packed_stand(q, at, 0);
	return packed_is_published(q);
}

const struct ring_ops ring_packed_ops = {
	.start = packed_start,
	.fetch = packed_fetch,
	.has_more = packed_has_more,
	.enable_notify = packed_enable_notify,
	.disable_notify = packed_disable_notify,
	.complete = packed_complete,
	.position = packed_position,
	.used_position = packed_used_position,
	.stand = packed_stand,
	.fetch_again = packed_fetch_again,
	.shown = packed_shown,
	.is_published = packed_is_published,
};
