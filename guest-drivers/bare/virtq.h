/* SPDX-License-Identifier: MIT */
/*
 * A virtqueue, split or packed, seen by the driver. Buffers are borrowed by the device from virtq_add() until
 * virtq_get() returns their token.
 */
#ifndef MULLION_BARE_VIRTQ_H
#define MULLION_BARE_VIRTQ_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/virtio.h"

struct virtio_dev;
struct virtio_queue_setup;

#define VIRTQ_INDIRECT_MAX 8 /* descriptors in an indirect table; longer chains go into the ring itself */

struct virtq_buffer {
	const void *at;
	uint32_t bytes;
};

/* What is remembered of a request by its id: the split ring's head index, or the packed ring's buffer id. */
struct virtq_slot {
	void *token;   /* NULL: free */
	uint32_t room; /* bytes that the device may write */
	uint16_t next; /* free slots (split: free descriptors) are chained */
	uint16_t used; /* ring entries that this request takes */
};

/* Open, so that a test can write a ring that no driver would. */
struct virtq {
	struct virtio_dev *dev;
	unsigned index;
	uint16_t size;
	bool packed, event_idx, indirect;
	uint16_t free;	    /* ring entries */
	uint16_t free_head; /* of slots, and of descriptors in a split ring */
	struct virtq_slot *slots;
	void *memory, *tables; /* allocations: rings, and indirect tables (one of VIRTQ_INDIRECT_MAX a slot) */
	uint64_t kicks;	       /* doorbells rung */

	/* Split, section 2.7. */
	struct vring split;
	const volatile __virtio16
		*avail_event; /* behind the used ring: after which entry the device wants a doorbell */
	uint16_t avail_index; /* next to fill */
	uint16_t avail_told;  /* what the device was last told about */
	uint16_t used_index;  /* next to take */

	/* Packed, section 2.8. */
	struct vring_packed_desc *ring;
	struct vring_packed_desc_event *driver_event;
	const volatile struct vring_packed_desc_event *device_event;
	uint16_t next_avail, next_used;
	bool avail_wrap, used_wrap;
	uint16_t added; /* entries made available since the last doorbell */
};

/* Make the ring for queue @index and say in @setup where its parts are. Returns 0 or -ENOMEM. */
int virtq_create(struct virtio_dev *d, unsigned index, uint16_t size, uint64_t features, struct virtq **out,
		 struct virtio_queue_setup *setup);
/* The device must have been reset. NULL is fine. */
void virtq_destroy(struct virtq *q);

/*
 * Queue one request: @out buffers for the device to read, then @in buffers for it to write, of @b. @token, not NULL,
 * comes back from virtq_get(). The device learns of it with virtq_kick(). Returns 0, -ENOSPC when the ring is full
 * (take finished ones first), -EINVAL for an empty or oversized request.
 */
int virtq_add(struct virtq *q, const struct virtq_buffer *b, unsigned out, unsigned in, void *token);

/* Ring the doorbell if the device wants it for what was added since the last call. */
void virtq_kick(struct virtq *q);

/*
 * The token of the next finished request and the bytes that the device wrote, or NULL. It is not believed to have written
 * more than there was room for. One that returns what it does not hold makes this a panic().
 */
void *virtq_get(struct virtq *q, uint32_t *written);

/* ---- for both kinds of ring ---- */

/* Give slot @id, which is free, to a request that takes @entries of the ring. */
void virtq_hold(struct virtq *q, uint16_t id, uint16_t entries, const struct virtq_buffer *b, unsigned out, unsigned in,
		void *token);
/* The device says that it is done with request @id. */
struct virtq_slot *virtq_returned(struct virtq *q, uint32_t id);
/* ... and wrote @bytes. Returns the token; the slot is not chained to the free ones yet. */
void *virtq_release(struct virtq *q, struct virtq_slot *slot, uint32_t bytes, uint32_t *written);

/* ---- virtq_packed.c ---- */
void virtq_packed_layout(struct virtq *q);
int virtq_packed_add(struct virtq *q, const struct virtq_buffer *b, unsigned out, unsigned in, void *token);
bool virtq_packed_wants_kick(struct virtq *q);
void *virtq_packed_get(struct virtq *q, uint32_t *written);

#endif
