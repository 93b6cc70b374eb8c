// SPDX-License-Identifier: MIT
/* The packed ring (section 2.8). Slots are buffer ids; the free ones are chained from free_head. */
#include <linux/errno.h>

#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/virtq.h"

#define FLAG_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define FLAG_USED (1u << VRING_PACKED_DESC_F_USED)
#define WRAP_BIT (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

void virtq_packed_layout(struct virtq *q)
{
	q->ring = q->memory;
	q->driver_event = (void *)(q->ring + q->size);
	q->device_event = q->driver_event + 1;
	q->avail_wrap = true;
	q->used_wrap = true;
	if (q->event_idx) {
		q->driver_event->off_wrap = WRAP_BIT; /* entry 0 of the first round */
		q->driver_event->flags = VRING_PACKED_EVENT_FLAG_DESC;
	}
}

static uint16_t available_flags(const struct virtq *q)
{
	return (uint16_t)(q->avail_wrap ? FLAG_AVAIL : FLAG_USED);
}

int virtq_packed_add(struct virtq *q, const struct virtq_buffer *b, unsigned out, unsigned in, void *token)
{
	unsigned n = out + in;
	bool indirect = q->indirect && n > 1 && n <= VIRTQ_INDIRECT_MAX;
	uint16_t need = (uint16_t)(indirect ? 1 : n), first = q->next_avail, first_flags = 0, id = q->free_head;

	if (q->free < need)
		return -ENOSPC;
	q->free_head = q->slots[id].next;
	virtq_hold(q, id, need, b, out, in, token);

	if (indirect) {
		struct vring_packed_desc *table =
			(struct vring_packed_desc *)q->tables + (size_t)id * VIRTQ_INDIRECT_MAX;

		for (unsigned i = 0; i < n; i++)
			table[i] = (struct vring_packed_desc){.addr = dma_address(b[i].at),
							      .len = b[i].bytes,
							      .flags = i >= out ? VRING_DESC_F_WRITE : 0};
		n = 1;
	}
	for (unsigned i = 0; i < n; i++) {
		struct vring_packed_desc *d = &q->ring[q->next_avail];
		uint16_t flags = available_flags(q);

		if (indirect) {
			d->addr = dma_address((struct vring_packed_desc *)q->tables + (size_t)id * VIRTQ_INDIRECT_MAX);
			d->len = (uint32_t)((out + in) * sizeof(*d));
			flags |= VRING_DESC_F_INDIRECT;
		} else {
			d->addr = dma_address(b[i].at);
			d->len = b[i].bytes;
			flags |= (uint16_t)((i >= out ? VRING_DESC_F_WRITE : 0) | (i + 1 < n ? VRING_DESC_F_NEXT : 0));
		}
		d->id = id;
		if (i == 0)
			first_flags = flags;
		else
			d->flags = flags;
		if (++q->next_avail == q->size) {
			q->next_avail = 0;
			q->avail_wrap = !q->avail_wrap;
		}
	}
	/* The first entry's flags hand the whole chain over, so they come last. */
	barrier_write();
	*(volatile __le16 *)&q->ring[first].flags = first_flags;
	q->added = (uint16_t)(q->added + need);
	return 0;
}

bool virtq_packed_wants_kick(struct virtq *q)
{
	/* Both halves at once: an offset that is older than the flags would be taken for the one they speak of. */
	const uint32_t wish = *(const volatile uint32_t *)(const volatile void *)q->device_event;
	uint16_t off_wrap = (uint16_t)wish, flags = wish >> 16 & 3, added = q->added, event;

	q->added = 0;
	if (!added)
		return false;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	/* Section 2.8.10: an offset of the previous round lies one ring behind. */
	event = off_wrap & (uint16_t)~WRAP_BIT;
	if (!!(off_wrap & WRAP_BIT) != q->avail_wrap)
		event = (uint16_t)(event - q->size);
	return vring_need_event(event, q->next_avail, (uint16_t)(q->next_avail - added));
}

static bool is_used(const struct virtq *q)
{
	uint16_t flags = *(volatile __le16 *)&q->ring[q->next_used].flags;

	return !!(flags & FLAG_AVAIL) == q->used_wrap && !!(flags & FLAG_USED) == q->used_wrap;
}

void *virtq_packed_get(struct virtq *q, uint32_t *written)
{
	const volatile struct vring_packed_desc *d = &q->ring[q->next_used];
	struct virtq_slot *slot;
	uint32_t bytes;
	uint16_t id;

	if (!is_used(q))
		return NULL;
	barrier_read(); /* pairs with the device's release of the flags */
	id = d->id;
	bytes = d->len;
	slot = virtq_returned(q, id);
	q->next_used = (uint16_t)(q->next_used + slot->used);
	if (q->next_used >= q->size) {
		q->next_used = (uint16_t)(q->next_used - q->size);
		q->used_wrap = !q->used_wrap;
	}
	if (q->event_idx) {
		*(volatile __le16 *)&q->driver_event->off_wrap =
			(uint16_t)(q->next_used | (q->used_wrap ? WRAP_BIT : 0));
		barrier_full(); /* ask for the next interrupt before looking whether there is one more */
	}
	slot->next = q->free_head;
	q->free_head = id;
	return virtq_release(q, slot, bytes, written);
}
