/* SPDX-License-Identifier: MIT */
/*
 * Memory of MMAP buffers, and the window in which the guest sees it: shared memory region 0. A mapping lives until the
 * guest unmaps it, whatever becomes of the buffer and the session (virtio 1.4, section 5.22.6.1), and so does its
 * memory. Thread: the device's loop, for every call.
 */
#ifndef MULLION_HOST_VIDEO_MEDIA_WINDOW_H
#define MULLION_HOST_VIDEO_MEDIA_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/virtio/shmem.h"

struct chain;
struct virtio_device;

/* Places in memory and window are multiples of that: a page of any guest. */
#define MEDIA_PAGE_BYTES 0x10000u
/* Of addresses; memory is taken when buffers are made. */
#define MEDIA_WINDOW_BYTES (512ull << 20)

static inline size_t media_whole_pages(size_t bytes)
{
	return (bytes + MEDIA_PAGE_BYTES - 1) & ~(size_t)(MEDIA_PAGE_BYTES - 1);
}

struct media_memory;
struct shared_heap;

/* What all buffers of a device take of the host, and how much they may. */
struct media_store {
	uint64_t used_bytes, max_bytes;
	struct shared_heap *heap; /* that the memories are pieces of: it may outlive this process */
	struct media_memory *memories;
	unsigned memory_count;
};

/* How large the heap is to be for buffers of @max_bytes. */
uint64_t media_heap_bytes(uint64_t max_bytes);
/* @fd: its memory, borrowed; below 1: it makes its own. Returns 0 or a negative errno. */
int media_store_open(struct media_store *s, uint64_t max_bytes, int fd);
/* All memories are gone. */
void media_store_close(struct media_store *s);
bool media_store_take(struct media_store *s, uint64_t bytes);
void media_store_give(struct media_store *s, uint64_t bytes);

/* A piece of the heap; freed with its last user. */
struct media_memory {
	struct media_store *store;
	uint64_t place; /* in the heap */
	uint8_t *host;
	size_t bytes;
	unsigned users;
	struct media_memory *next;
};

/* @bytes: whole pages. The caller is its user. Returns 0 or -ENOMEM. */
int media_memory_create(struct media_store *s, size_t bytes, struct media_memory **out);
/*
 * The one of @bytes at @place that a process before this one had, with what is in it; the caller is one more of its users.
 * Returns 0, -EINVAL if that can't have been, or -ENOMEM.
 */
int media_memory_again(struct media_store *s, uint64_t place, uint64_t bytes, struct media_memory **out);
void media_memory_hold(struct media_memory *m);
void media_memory_drop(struct media_memory *m); /* NULL is fine */

struct media_mapping;

/* A mapping, as a process that takes over is to find it. */
struct media_mapping_record {
	uint64_t place, memory_bytes; /* of the memory that it keeps */
	uint64_t offset, bytes;	      /* of the plane in that */
	uint32_t users;		      /* times that the guest was told where it is; 0: the home was asked for it */
	uint32_t writable;
};

struct media_window {
	struct virtio_device *device;
	struct media_mapping *mappings; /* by offset */
	unsigned count;
	/* A map or unmap that could not be answered at once is done. @bytes: as the plane has. @c of unmapped: NULL: nobody waits. */
	void (*mapped)(struct virtio_device *d, struct chain *c, int err, uint64_t offset, uint64_t bytes);
	void (*unmapped)(struct virtio_device *d, struct chain *c, int err);
	/* What is mapped at @offset is another; NULL: nothing. Before one of the above, and before the home is asked. */
	void (*changed)(struct virtio_device *d, uint64_t offset, const struct media_mapping_record *r);
};

/* Declares the device's region. */
void media_window_init(struct media_window *w, struct virtio_device *d);

/*
 * Map the plane of @bytes at @offset of @memory, or find where it is mapped already. w->mapped is called for @c, maybe
 * before this returns.
 */
void media_window_map(struct media_window *w, struct chain *c, struct media_memory *memory, size_t offset,
		      uint64_t bytes, bool writable);
/* Undo one map at @at. w->unmapped is called for @c, maybe before this returns. */
void media_window_unmap(struct media_window *w, struct chain *c, uint64_t at);

/*
 * Nobody may wait any longer. What the home was asked for goes on: a mapping is undone when it comes, unless it was asked for
 * anew, and what was to be unmapped will be.
 */
void media_window_give_up(struct media_window *w);

/* What was mapped at @offset in a process before this one. Returns 0, -EINVAL if that can't have been, or -ENOMEM. */
int media_window_restore(struct media_window *w, struct media_store *s, uint64_t offset,
			 const struct media_mapping_record *r);
/* After all was restored: unmap what no guest was told of. */
void media_window_settle(struct media_window *w);

/* The device was reset: nothing is mapped, and what waits is given back unanswered. */
void media_window_reset(struct media_window *w);

#endif
