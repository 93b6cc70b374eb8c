// SPDX-License-Identifier: MIT
/* The split ring: virtio 1.4, section 2.7. */
#include <errno.h>
#include <stdatomic.h>

#include "host/virtio/ring.h"

/* A 16-bit word of a ring. The areas are aligned (virtq_start()). */
static _Atomic uint16_t *word(uint8_t *area, size_t offset)
{
	return (_Atomic uint16_t *)(void *)(area + offset);
}

static _Atomic uint16_t *avail_flags(const struct virtq *q)
{
	return word(q->driver_area, 0);
}

static _Atomic uint16_t *avail_idx(const struct virtq *q)
{
	return word(q->driver_area, 2);
}

static _Atomic uint16_t *avail_entry(const struct virtq *q, uint16_t at)
{
	return word(q->driver_area, 4 + 2 * (size_t)(at & (q->size - 1)));
}

static _Atomic uint16_t *used_event(const struct virtq *q)
{
	return word(q->driver_area, 4 + 2 * (size_t)q->size);
}

static _Atomic uint16_t *used_flags(const struct virtq *q)
{
	return word(q->device_area, 0);
}

static _Atomic uint16_t *used_idx(const struct virtq *q)
{
	return word(q->device_area, 2);
}

/* Two words of 32 bits: the entries are aligned to 4 only. */
static _Atomic uint32_t *used_entry(const struct virtq *q, uint16_t at)
{
	return (_Atomic uint32_t *)(void *)(q->device_area + 4 + 8 * (size_t)(at & (q->size - 1)));
}

static _Atomic uint16_t *avail_event(const struct virtq *q)
{
	return word(q->device_area, 4 + 8 * (size_t)q->size);
}

static int split_start(struct virtq *q, const struct virtq_setup *setup)
{
	q->avail = 0;
	q->used = 0;
	if (setup->resume) {
		q->avail = (uint16_t)setup->position;
		q->used = atomic_load_explicit(used_idx(q), memory_order_relaxed);
		/* What was in flight is lost or answered by whoever had it: never more than a ring of it. */
		if ((uint16_t)(q->avail - q->used) > q->size)
			return -EINVAL;
	}
	q->avail_end = q->avail;
	atomic_store_explicit(used_flags(q), 0, memory_order_relaxed);
	if (q->event_idx)
		atomic_store_explicit(avail_event(q), q->avail, memory_order_relaxed);
	return 0;
}

/* An indirect table (section 2.7.5.3): a chain of its own, linked by next. */
static const char *add_table(struct virtq *q, struct chain *c, const struct vring_desc *indirect)
{
	unsigned count = indirect->len / (unsigned)sizeof(struct vring_desc);
	const uint8_t *table;
	unsigned at = 0;

	c->last_gpa = indirect->addr;
	c->last_bytes = indirect->len;
	if (!q->indirect)
		return "an indirect descriptor, which was not negotiated";
	if (indirect->flags & VRING_DESC_F_NEXT)
		return "an indirect descriptor with a next one";
	if (!count || indirect->len % sizeof(struct vring_desc))
		return "an indirect table whose length is no multiple of 16, or 0";
	if (count > virtq_indirect_max(q))
		return "an indirect table that is too long";
	table = guest_mem_range(q->mem, indirect->addr, indirect->len);
	if (!table)
		return "an indirect table is not (wholly) in one region of guest memory";
	for (unsigned links = 0;; links++) {
		struct vring_desc d;
		const char *why;

		if (links == count)
			return "a loop in an indirect table";
		copy_once(&d, table + at * sizeof(d), sizeof(d));
		if (d.flags & VRING_DESC_F_INDIRECT)
			return "an indirect table inside an indirect table";
		why = chain_add(c, d.addr, d.len, d.flags & VRING_DESC_F_WRITE);
		if (why)
			return why;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return NULL;
		if (d.next >= count)
			return "a next index outside its indirect table";
		at = d.next;
	}
}

static const char *add_chain(struct virtq *q, struct chain *c, unsigned at)
{
	for (unsigned links = 0;; links++) {
		struct vring_desc d;
		const char *why;

		if (at >= q->size)
			return links ? "a next index outside the ring" : "an available index outside the ring";
		if (links == q->size)
			return "a loop in a descriptor chain";
		copy_once(&d, q->desc + at * sizeof(d), sizeof(d));
		if (d.flags & VRING_DESC_F_INDIRECT)
			return add_table(q, c, &d);
		why = chain_add(c, d.addr, d.len, d.flags & VRING_DESC_F_WRITE);
		if (why || !(d.flags & VRING_DESC_F_NEXT))
			return why;
		at = d.next;
	}
}

static int split_fetch(struct virtq *q, struct chain *c, const char **why)
{
	if (q->avail == q->avail_end) {
		/* Acquire: pairs with the driver's release of avail->idx. Entries below idx are whole. */
		uint16_t end = atomic_load_explicit(avail_idx(q), memory_order_acquire);

		if ((uint16_t)(end - q->avail) > q->size) {
			*why = "the available index moved by more than the ring has";
			return -EPROTO;
		}
		q->avail_end = end;
		if (q->avail == end)
			return 0;
	}
	/* An honest driver has at least one descriptor for each; this also bounds what a device can hold. */
	if (q->in_flight >= q->size) {
		*why = "more requests than the ring has descriptors";
		return -EPROTO;
	}
	c->id = atomic_load_explicit(avail_entry(q, q->avail), memory_order_relaxed);
	c->descriptors = 1;
	*why = add_chain(q, c, c->id);
	if (*why)
		return -EPROTO;
	q->avail++;
	return 1;
}

static bool split_has_more(const struct virtq *q)
{
	return atomic_load_explicit(avail_idx(q), memory_order_relaxed) != q->avail;
}

static void split_disable_notify(struct virtq *q)
{
	q->notify_off = true;
	/* With EVENT_IDX the event index stays where it is, behind the driver, which is as good. */
	if (!q->event_idx)
		atomic_store_explicit(used_flags(q), VRING_USED_F_NO_NOTIFY, memory_order_relaxed);
}

static bool split_enable_notify(struct virtq *q)
{
	if (q->event_idx)
		atomic_store_explicit(avail_event(q), q->avail, memory_order_relaxed);
	else if (q->notify_off)
		atomic_store_explicit(used_flags(q), 0, memory_order_relaxed);
	else
		return false;
	q->notify_off = false;
	/* Pairs with the driver's barrier between its avail->idx and its look at the event index or flags. */
	atomic_thread_fence(memory_order_seq_cst);
	return split_has_more(q);
}

static bool split_complete(struct virtq *q, struct chain *const *c, unsigned n)
{
	uint16_t old = q->used;

	for (unsigned i = 0; i < n; i++) {
		_Atomic uint32_t *entry = used_entry(q, q->used++);

		atomic_store_explicit(&entry[0], c[i]->id, memory_order_relaxed);
		atomic_store_explicit(&entry[1], chain_written(c[i]), memory_order_relaxed);
	}
	/* Release: the entries, and what the device wrote into the buffers, are there before the index says so. */
	atomic_store_explicit(used_idx(q), q->used, memory_order_release);
	/* Pairs with the driver's barrier between its event index or flags and its look at used->idx. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!q->event_idx)
		return !(atomic_load_explicit(avail_flags(q), memory_order_relaxed) & VRING_AVAIL_F_NO_INTERRUPT);
	return vring_need_event(atomic_load_explicit(used_event(q), memory_order_relaxed), q->used, old);
}

static uint32_t split_position(const struct virtq *q)
{
	return q->avail;
}

static uint16_t split_used_position(const struct virtq *q, unsigned ahead)
{
	return (uint16_t)(q->used + ahead);
}

static void split_stand(struct virtq *q, uint16_t used, unsigned in_flight)
{
	q->used = used;
	q->avail = (uint16_t)(used + in_flight);
	q->avail_end = q->avail;
	if (q->event_idx)
		atomic_store_explicit(avail_event(q), q->avail, memory_order_relaxed);
}

static const char *split_fetch_again(struct virtq *q, struct chain *c, const struct inflight_slot *s)
{
	(void)s;
	return add_chain(q, c, c->id);
}

static uint16_t split_shown(struct virtq *q, uint16_t at)
{
	(void)at;
	return atomic_load_explicit(used_idx(q), memory_order_acquire);
}

const struct ring_ops ring_split_ops = {
	.start = split_start,
	.fetch = split_fetch,
	.has_more = split_has_more,
	.enable_notify = split_enable_notify,
	.disable_notify = split_disable_notify,
	.complete = split_complete,
	.position = split_position,
	.used_position = split_used_position,
	.stand = split_stand,
	.fetch_again = split_fetch_again,
	.shown = split_shown,
};
