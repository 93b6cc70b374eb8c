// SPDX-License-Identifier: MIT
/* The driver's side of split and packed rings (virtio 1.2, 2.7 and 2.8), and what a hostile driver writes there. */
#include <stdlib.h>
#include <string.h>

#include "protocol/virtio.h"
#include "tests/lib/fake_guest_parts.h"

static _Atomic uint16_t *word(uint8_t *area, size_t offset)
{
	return (_Atomic uint16_t *)(void *)(area + offset);
}

void fake_ring_set_event(struct fake_guest *g, struct queue *q)
{
	if (g->options.packed) {
		uint32_t event = (uint32_t)VRING_PACKED_EVENT_FLAG_ENABLE << 16;

		if (q->masked)
			event = (uint32_t)VRING_PACKED_EVENT_FLAG_DISABLE << 16;
		else if (g->options.event_idx)
			event = (uint32_t)VRING_PACKED_EVENT_FLAG_DESC << 16 | (q->used_wrap ? 0x8000u : 0) | q->used;
		atomic_store((_Atomic uint32_t *)(void *)q->ring.driver, event);
	} else if (g->options.event_idx) {
		/* Half the numbers away: not before the next poll. */
		atomic_store(word(q->ring.driver, 4 + 2u * q->ring.size),
			     (uint16_t)(q->masked ? q->used + 0x8000u : q->used));
	} else {
		atomic_store(word(q->ring.driver, 0), (uint16_t)(q->masked ? VRING_AVAIL_F_NO_INTERRUPT : 0));
	}
	atomic_thread_fence(memory_order_seq_cst);
}

void fake_ring_make(struct fake_guest *g, unsigned index)
{
	struct queue *q = &g->queues[index];
	struct fake_ring *r = &q->ring;
	unsigned size = virtq_max_size(g->device->queues[index]);

	memset(q, 0, sizeof(*q));
	if (g->options.queue_size && g->options.queue_size < size)
		size = g->options.queue_size;
	while (!g->options.packed && size & (size - 1))
		size &= size - 1;
	r->size = (uint16_t)size;
	q->desc_bytes = 16u * size;
	q->driver_bytes = g->options.packed ? 4 : 6 + 2u * size;
	q->device_bytes = g->options.packed ? 4 : 6 + 8u * size;
	r->setup.size = r->size;
	r->setup.desc_gpa = fake_guest_alloc(g, q->desc_bytes, PAGE);
	r->setup.driver_gpa = fake_guest_alloc(g, q->driver_bytes, PAGE);
	r->setup.device_gpa = fake_guest_alloc(g, q->device_bytes, PAGE);
	r->desc = fake_guest_ptr(g, r->setup.desc_gpa, q->desc_bytes);
	r->driver = fake_guest_ptr(g, r->setup.driver_gpa, q->driver_bytes);
	r->device = fake_guest_ptr(g, r->setup.device_gpa, q->device_bytes);
	q->free_slots = size;
	q->by_id = fake_guest_must_alloc(size, sizeof(*q->by_id));
	q->next_free = fake_guest_must_alloc(size, sizeof(*q->next_free));
	for (unsigned i = 0; i < size; i++)
		q->next_free[i] = (uint16_t)(i + 1);
	q->avail_wrap = true;
	q->used_wrap = true;
}

void fake_ring_free(struct fake_guest *g, struct queue *q)
{
	free(q->by_id);
	free(q->next_free);
	fake_guest_free_aligned(g, q->ring.setup.desc_gpa, q->desc_bytes, PAGE);
	fake_guest_free_aligned(g, q->ring.setup.driver_gpa, q->driver_bytes, PAGE);
	fake_guest_free_aligned(g, q->ring.setup.device_gpa, q->device_bytes, PAGE);
}

bool fake_request_uses_table(const struct fake_guest *g, unsigned count)
{
	return g->options.indirect && count > 1;
}

static void put_split(const struct queue *q, unsigned index, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	struct vring_desc d = { .addr = gpa, .len = len, .flags = flags, .next = next };

	memcpy(q->ring.desc + 16u * index, &d, sizeof(d));
}

/* The table of an indirect request, either kind; returns its address. */
static uint64_t make_table(struct fake_guest *g, struct fake_request_parts *p)
{
	uint8_t *table;

	p->table_bytes = 16u * p->count;
	p->table_gpa = fake_guest_alloc(g, p->table_bytes, 16);
	table = fake_guest_ptr(g, p->table_gpa, p->table_bytes);
	for (unsigned i = 0; i < p->count; i++) {
		struct vring_desc d = { .addr = p->pieces[i].gpa, .len = p->pieces[i].len };
		struct vring_packed_desc e = { .addr = p->pieces[i].gpa, .len = p->pieces[i].len };

		d.flags = p->pieces[i].writable ? VRING_DESC_F_WRITE : 0;
		e.flags = d.flags;
		if (i + 1 < p->count) {
			d.flags |= VRING_DESC_F_NEXT;
			d.next = (uint16_t)(i + 1);
		}
		if (g->options.packed)
			memcpy(table + 16u * i, &e, sizeof(e));
		else
			memcpy(table + 16u * i, &d, sizeof(d));
	}
	return p->table_gpa;
}

/* Descriptors as the ring takes them: one for a table, else one a piece (a request of nothing: one of no bytes). */
struct entry {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags;
};

static struct entry entry_of(struct fake_guest *g, struct fake_request_parts *p, unsigned i)
{
	struct entry e = { 0 };

	if (fake_request_uses_table(g, p->count)) {
		e.gpa = make_table(g, p);
		e.len = (uint32_t)p->table_bytes;
		e.flags = VRING_DESC_F_INDIRECT;
	} else if (p->count) {
		e.gpa = p->pieces[i].gpa;
		e.len = p->pieces[i].len;
		e.flags = p->pieces[i].writable ? VRING_DESC_F_WRITE : 0;
	}
	if (i + 1 < p->slots)
		e.flags |= VRING_DESC_F_NEXT;
	return e;
}

static void add_split(struct fake_guest *g, struct queue *q, struct fake_request_parts *p)
{
	uint16_t at = q->first_free;

	p->id = at;
	for (unsigned i = 0; i < p->slots; i++) {
		struct entry e = entry_of(g, p, i);

		put_split(q, at, e.gpa, e.len, e.flags, q->next_free[at]);
		at = q->next_free[at];
	}
	q->first_free = at;
	atomic_store_explicit(word(q->ring.driver, 4 + 2u * (q->avail & (q->ring.size - 1u))), p->id,
			      memory_order_relaxed);
	q->avail++;
	atomic_store_explicit(word(q->ring.driver, 2), q->avail, memory_order_release);
}

static uint16_t packed_flags(bool wrap)
{
	return (uint16_t)(wrap ? 1u << VRING_PACKED_DESC_F_AVAIL : 1u << VRING_PACKED_DESC_F_USED);
}

static void add_packed(struct fake_guest *g, struct queue *q, struct fake_request_parts *p)
{
	_Atomic uint16_t *head = word(q->ring.desc, 16u * q->avail + 14);
	uint16_t head_flags = 0;

	for (p->id = 0; q->by_id[p->id]; p->id++)
		;
	for (unsigned i = 0; i < p->slots; i++) {
		struct entry e = entry_of(g, p, i);
		struct vring_packed_desc d = { .addr = e.gpa, .len = e.len, .id = p->id };

		d.flags = (uint16_t)(e.flags | packed_flags(q->avail_wrap));
		/* The head's flags last of all. */
		memcpy(q->ring.desc + 16u * q->avail, &d, 14);
		if (i)
			atomic_store_explicit(word(q->ring.desc, 16u * q->avail + 14), d.flags, memory_order_relaxed);
		else
			head_flags = d.flags;
		if (++q->avail == q->ring.size) {
			q->avail = 0;
			q->avail_wrap = !q->avail_wrap;
		}
	}
	atomic_store_explicit(head, head_flags, memory_order_release);
}

void fake_ring_add(struct fake_guest *g, struct queue *q, struct fake_request_parts *p)
{
	if (g->options.packed)
		add_packed(g, q, p);
	else
		add_split(g, q, p);
}

bool fake_ring_wants_kick(struct fake_guest *g, struct queue *q)
{
	uint32_t event;
	uint16_t at;

	/* Pairs with the device's barrier between its event index or flags and its look at the ring. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!g->options.packed) {
		if (!g->options.event_idx)
			return !(atomic_load(word(q->ring.device, 0)) & VRING_USED_F_NO_NOTIFY);
		return vring_need_event(atomic_load(word(q->ring.device, 4 + 8u * q->ring.size)), q->avail,
					(uint16_t)(q->avail - q->added));
	}
	event = atomic_load((_Atomic uint32_t *)(void *)q->ring.device);
	if (event >> 16 == VRING_PACKED_EVENT_FLAG_DISABLE)
		return false;
	if (event >> 16 == VRING_PACKED_EVENT_FLAG_ENABLE)
		return true;
	at = event & 0x7fff;
	if (!!(event & 0x8000) != q->avail_wrap)
		at = (uint16_t)(at - q->ring.size);
	return vring_need_event(at, q->avail, (uint16_t)(q->avail - q->added));
}

bool fake_ring_next_used(struct fake_guest *g, struct queue *q, uint32_t *id, uint32_t *len)
{
	struct vring_packed_desc d;
	uint16_t flags;

	if (!g->options.packed) {
		struct vring_used_elem e;

		if (atomic_load_explicit(word(q->ring.device, 2), memory_order_acquire) == q->used)
			return false;
		memcpy(&e, q->ring.device + 4 + 8u * (q->used & (q->ring.size - 1u)), sizeof(e));
		*id = e.id;
		*len = e.len;
		return true;
	}
	flags = atomic_load_explicit(word(q->ring.desc, 16u * q->used + 14), memory_order_acquire);
	if (!!(flags & 1u << VRING_PACKED_DESC_F_AVAIL) != q->used_wrap ||
	    !!(flags & 1u << VRING_PACKED_DESC_F_USED) != q->used_wrap)
		return false;
	memcpy(&d, q->ring.desc + 16u * q->used, sizeof(d));
	*id = d.id;
	*len = flags & VRING_DESC_F_WRITE ? d.len : 0;
	return true;
}

void fake_ring_give_back(struct fake_guest *g, struct queue *q, struct fake_request_parts *p)
{
	if (!g->options.packed) {
		uint16_t last = p->id;

		for (unsigned i = 1; i < p->slots; i++)
			last = q->next_free[last];
		q->next_free[last] = q->first_free;
		q->first_free = p->id;
		q->used++;
		return;
	}
	q->used = (uint16_t)(q->used + p->slots);
	if (q->used >= q->ring.size) {
		q->used = (uint16_t)(q->used - q->ring.size);
		q->used_wrap = !q->used_wrap;
	}
}

/* ---- a hostile driver ---- */

const struct fake_ring *fake_guest_ring(struct fake_guest *g, unsigned queue)
{
	return &g->queues[queue].ring;
}

void fake_guest_put(struct fake_guest *g, unsigned queue, unsigned index, uint64_t gpa, uint32_t len, uint16_t flags,
		    uint16_t next)
{
	struct queue *q = &g->queues[queue];
	struct vring_packed_desc d = { .addr = gpa, .len = len, .id = next };

	if (!g->options.packed) {
		put_split(q, index, gpa, len, flags, next);
		return;
	}
	d.flags = (uint16_t)(flags | packed_flags(true));
	memcpy(q->ring.desc + 16u * index, &d, sizeof(d));
}

void fake_guest_publish(struct fake_guest *g, unsigned queue, uint16_t head)
{
	struct queue *q = &g->queues[queue];

	atomic_store(word(q->ring.driver, 4 + 2u * (q->avail & (q->ring.size - 1u))), head);
	q->avail++;
	atomic_store_explicit(word(q->ring.driver, 2), q->avail, memory_order_release);
}
