// SPDX-License-Identifier: MIT
/* The split ring (section 2.7), and what both kinds share. */
#include <linux/errno.h>

#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/virtio.h"
#include "guest-drivers/bare/virtq.h"

#define USED_ALIGN 64u

int virtq_create(struct virtio_dev *d, unsigned index, uint16_t size, uint64_t features, struct virtq **out,
		 struct virtio_queue_setup *setup)
{
	struct virtq *q = alloc_zeroed(sizeof(*q), 0);

	*out = NULL;
	if (!q)
		return -ENOMEM;
	q->dev = d;
	q->index = index;
	q->size = size;
	q->free = size;
	q->packed = features & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	q->event_idx = features & VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX);
	q->indirect = features & VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC);
	q->slots = alloc_zeroed(size * sizeof(*q->slots), 0);
	q->memory = alloc_zeroed(vring_size(size, USED_ALIGN), PAGE_BYTES);
	if (q->indirect)
		q->tables = alloc_zeroed((size_t)size * VIRTQ_INDIRECT_MAX * sizeof(struct vring_desc), 16);
	if (!q->slots || !q->memory || (q->indirect && !q->tables)) {
		virtq_destroy(q);
		return -ENOMEM;
	}
	for (uint16_t i = 0; i < size; i++)
		q->slots[i].next = (uint16_t)(i + 1);

	setup->size = size;
	if (q->packed) {
		virtq_packed_layout(q);
		setup->descriptors = dma_address(q->ring);
		setup->driver_area = dma_address(q->driver_event);
		setup->device_area = dma_address(q->device_event);
	} else {
		vring_init(&q->split, size, q->memory, USED_ALIGN);
		q->avail_event = (const volatile __virtio16 *)(const void *)(q->split.used->ring + size);
		setup->descriptors = dma_address(q->split.desc);
		setup->driver_area = dma_address(q->split.avail);
		setup->device_area = dma_address(q->split.used);
	}
	*out = q;
	return 0;
}

void virtq_destroy(struct virtq *q)
{
	if (!q)
		return;
	alloc_free(q->tables);
	alloc_free(q->memory);
	alloc_free(q->slots);
	alloc_free(q);
}

static void fill(struct vring_desc *d, const struct virtq_buffer *b, bool write, bool more, uint16_t next)
{
	d->addr = dma_address(b->at);
	d->len = b->bytes;
	d->flags = (uint16_t)((write ? VRING_DESC_F_WRITE : 0) | (more ? VRING_DESC_F_NEXT : 0));
	d->next = next;
}

static int split_add(struct virtq *q, const struct virtq_buffer *b, unsigned out, unsigned in, void *token)
{
	unsigned n = out + in;
	bool indirect = q->indirect && n > 1 && n <= VIRTQ_INDIRECT_MAX;
	uint16_t head = q->free_head, at = head, need = (uint16_t)(indirect ? 1 : n);

	if (q->free < need)
		return -ENOSPC;
	if (indirect) {
		struct vring_desc *table = (struct vring_desc *)q->tables + (size_t)head * VIRTQ_INDIRECT_MAX;

		for (unsigned i = 0; i < n; i++)
			fill(&table[i], &b[i], i >= out, i + 1 < n, (uint16_t)(i + 1));
		q->split.desc[head] = (struct vring_desc){.addr = dma_address(table),
							  .len = (uint32_t)(n * sizeof(*table)),
							  .flags = VRING_DESC_F_INDIRECT};
		at = q->slots[head].next;
	} else {
		for (unsigned i = 0; i < n; i++) {
			uint16_t next = q->slots[at].next;

			fill(&q->split.desc[at], &b[i], i >= out, i + 1 < n, next);
			at = next;
		}
	}
	q->free_head = at;
	virtq_hold(q, head, need, b, out, in, token);
	q->split.avail->ring[q->avail_index % q->size] = head;
	q->avail_index++;
	/* The device may look as soon as it sees the index: what it leads to must be there before. */
	barrier_write();
	*(volatile __virtio16 *)&q->split.avail->idx = q->avail_index;
	return 0;
}

static bool split_wants_kick(struct virtq *q)
{
	uint16_t told = q->avail_told;

	q->avail_told = q->avail_index;
	if (told == q->avail_index)
		return false;
	if (q->event_idx)
		return vring_need_event(*q->avail_event, q->avail_index, told);
	return !(*(volatile __virtio16 *)&q->split.used->flags & VRING_USED_F_NO_NOTIFY);
}

static void *split_get(struct virtq *q, uint32_t *written)
{
	const volatile struct vring_used_elem *e = &q->split.used->ring[q->used_index % q->size];
	struct virtq_slot *slot;
	uint32_t id, bytes;
	uint16_t last;

	if (*(volatile __virtio16 *)&q->split.used->idx == q->used_index)
		return NULL;
	barrier_read(); /* pairs with the device's release of the used index */
	id = e->id;
	bytes = e->len;
	slot = virtq_returned(q, id);
	q->used_index++;
	if (q->event_idx) {
		*(volatile __virtio16 *)&vring_used_event(&q->split) = q->used_index;
		barrier_full(); /* ask for the next interrupt before looking whether there is one more */
	}
	last = (uint16_t)id;
	for (uint16_t i = 1; i < slot->used; i++)
		last = q->slots[last].next;
	q->slots[last].next = q->free_head;
	q->free_head = (uint16_t)id;
	return virtq_release(q, slot, bytes, written);
}

void virtq_hold(struct virtq *q, uint16_t id, uint16_t entries, const struct virtq_buffer *b, unsigned out, unsigned in,
		void *token)
{
	struct virtq_slot *slot = &q->slots[id];
	uint64_t room = 0;

	for (unsigned i = out; i < out + in; i++)
		room += b[i].bytes;
	slot->token = token;
	slot->room = room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
	slot->used = entries;
	q->free = (uint16_t)(q->free - entries);
}

struct virtq_slot *virtq_returned(struct virtq *q, uint32_t id)
{
	if (id >= q->size || !q->slots[id].token)
		panic("virtq %u: the device returned request %u, which it does not hold", q->index, id);
	return &q->slots[id];
}

void *virtq_release(struct virtq *q, struct virtq_slot *slot, uint32_t bytes, uint32_t *written)
{
	void *token = slot->token;

	slot->token = NULL;
	q->free = (uint16_t)(q->free + slot->used);
	if (written)
		*written = bytes < slot->room ? bytes : slot->room;
	return token;
}

int virtq_add(struct virtq *q, const struct virtq_buffer *b, unsigned out, unsigned in, void *token)
{
	if (!token || out + in == 0 || out + in > q->size)
		return -EINVAL;
	return q->packed ? virtq_packed_add(q, b, out, in, token) : split_add(q, b, out, in, token);
}

void virtq_kick(struct virtq *q)
{
	/* The device must see the new entries, or we must see that it still wants a doorbell. */
	barrier_full();
	if (q->packed ? virtq_packed_wants_kick(q) : split_wants_kick(q)) {
		q->kicks++;
		q->dev->ops->notify(q->dev, q->index);
	}
}

void *virtq_get(struct virtq *q, uint32_t *written)
{
	return q->packed ? virtq_packed_get(q, written) : split_get(q, written);
}
