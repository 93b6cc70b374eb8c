/* SPDX-License-Identifier: MIT */
/*
 * What the files of the virtqueue share; nobody else includes this but their unit test. queue.c has the queue's life, chain.c the
 * cursors, queue_split.c and queue_packed.c the two ring formats behind struct ring_ops.
 */
#ifndef MULLION_HOST_VIRTIO_RING_H
#define MULLION_HOST_VIRTIO_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "host/base/loop.h"
#include "host/virtio/chain.h"
#include "host/virtio/device.h"
#include "host/virtio/inflight.h"
#include "host/virtio/inflight_region.h"
#include "host/virtio/mem.h"
#include "host/virtio/queue.h"
#include "protocol/virtio.h"

/* A cursor over iovecs; the reader's part of a chain comes first, then the writer's. */
struct cursor {
	const struct iovec *v; /* the entry the cursor is in */
	size_t offset;         /* in *v */
	size_t left;           /* bytes to the end */
};

struct reader {
	struct cursor at;
};

struct writer {
	struct cursor at;
	uint32_t total;
};

struct chain {
	struct virtq *q;
	uint64_t generation; /* of the queue, when popped */
	struct chain *next_free;
	void *owner;
	uint16_t id;          /* split: index of the head; packed: buffer ID */
	uint16_t descriptors; /* ring entries that it takes: 1 on a split ring */
	unsigned slot;        /* of the queue's inflight, if it has one */
	enum chain_stage stage;
	uint32_t answered;    /* device-writable bytes that a process before this one wrote */
	struct reader reader;
	struct writer writer;
	/* While it is being built. */
	unsigned count;     /* iovecs filled */
	unsigned readable;  /* of them, those for the reader */
	bool saw_writable;
	uint64_t bytes;
	uint64_t read_bytes;
	uint64_t last_gpa; /* of the last descriptor seen, for the log */
	uint32_t last_bytes;
	struct iovec *iov; /* never NULL */
	unsigned capacity; /* grows to the longest chain seen, kept when the chain is recycled */
};

struct ring_ops {
	/* The areas were checked and mapped; set up the rest. Returns 0 or -EINVAL for a bad position. */
	int (*start)(struct virtq *q, const struct virtq_setup *setup);
	/* 1: @c is filled. 0: nothing there. -EPROTO: *why says what is wrong. */
	int (*fetch)(struct virtq *q, struct chain *c, const char **why);
	/* The next fetch() will find something. */
	bool (*has_more)(const struct virtq *q);
	/* Let the driver notify again; then true if buffers came before it could see that. */
	bool (*enable_notify)(struct virtq *q);
	void (*disable_notify)(struct virtq *q);
	/* Write @n > 0 used entries, seen by the driver all at once; true if it wants an interrupt for them. */
	bool (*complete)(struct virtq *q, struct chain *const *c, unsigned n);
	uint32_t (*position)(const struct virtq *q);
	/* Where the used entry goes that comes after the next @ahead ones. */
	uint16_t (*used_position)(const struct virtq *q, unsigned ahead);
	/* Taking over a ring: it stands at @used, and the requests in flight take @in_flight entries. */
	void (*stand)(struct virtq *q, uint16_t used, unsigned in_flight);
	/* Fill @c again from what is known of it. Returns NULL, or what is wrong. */
	const char *(*fetch_again)(struct virtq *q, struct chain *c, const struct inflight_slot *s);
	/*
	 * What the driver sees of used entries: split: their index; packed: whether the one at position @at is there. Before
	 * the queue has a position.
	 */
	uint16_t (*shown)(struct virtq *q, uint16_t at);
	/* The used entries that follow the queue's position were shown already. NULL: writing them again does no harm. */
	bool (*is_published)(const struct virtq *q);
};

extern const struct ring_ops ring_split_ops;
extern const struct ring_ops ring_packed_ops;

struct virtq {
	struct virtio_device *device;
	const struct guest_mem *mem;
	const struct ring_ops *ops; /* not NULL: started */
	unsigned index;
	uint16_t max_size;

	uint16_t size;
	bool event_idx;
	bool indirect;
	/* Host addresses of the three areas; the guest may write them at any moment. */
	uint8_t *desc;
	uint8_t *driver_area;
	uint8_t *device_area;

	uint16_t avail;     /* split: next entry, counting freely; packed: next slot */
	uint16_t avail_end; /* split: avail->idx as last read */
	uint16_t used;      /* split: used->idx; packed: next slot */
	bool avail_wrap;    /* packed */
	bool used_wrap;     /* packed */
	bool notify_off;    /* the driver was told not to notify */
	bool paused;        /* by virtq_pause() */
	bool held;	    /* by virtq_hold() */
	bool resume_posted; /* virtq_drain() gave way to the loop and goes on later */
	unsigned taken;     /* packed: ring entries of chains in flight */
	unsigned in_flight; /* of this generation */

	struct inflight *inflight; /* NULL: requests are not tracked */
	struct inflight_region *region; /* the same for the frontend; NULL: it has no such memory */

	uint64_t generation;  /* counts starts */
	unsigned outstanding; /* chains of any generation that are not finished */
	struct chain *free_chains;
	struct loop_task resume;
	bool destroyed; /* by virtq_destroy() with chains outstanding; the last chain frees the queue */
};

/*
 * Copy from guest memory, each byte once: without the barrier the compiler might read the source again where it
 * reads @dst, and find there what was not checked.
 */
static inline void copy_once(void *dst, const void *guest, size_t n)
{
	memcpy(dst, guest, n);
	__asm__ volatile("" : : "r"(dst) : "memory");
}

/* Make room for more iovecs; false if the host has no memory. */
bool chain_grow(struct chain *c);

/* Begin to fill @c. */
static inline void chain_begin(struct chain *c)
{
	c->count = 0;
	c->readable = 0;
	c->saw_writable = false;
	c->bytes = 0;
	c->read_bytes = 0;
	c->last_gpa = 0;
	c->last_bytes = 0;
}

/* Add one descriptor's range. Returns NULL, or what is wrong with it. */
const char *chain_add(struct chain *c, uint64_t gpa, uint32_t bytes, bool writable);

/* All descriptors are in: set the cursors to the start. */
void chain_ready(struct chain *c);

/* Its first @n device-writable bytes (no more than there are) were written by a process before this one. */
void chain_skip_written(struct chain *c, uint32_t n);

/* Most entries of an indirect table of @q. See queue.h for why it is not the queue size. */
static inline unsigned virtq_indirect_max(const struct virtq *q)
{
	return q->size > VIRTQ_INDIRECT_MAX ? q->size : VIRTQ_INDIRECT_MAX;
}

#endif
