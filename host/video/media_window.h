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

/* What all buffers of a device take of the host, and how much they may. */
struct media_store {
	uint64_t used_bytes, max_bytes;
	unsigned memories; /* each has a descriptor */
};

bool media_store_take(struct media_store *s, uint64_t bytes);
void media_store_give(struct media_store *s, uint64_t bytes);

/* A sealed memfd; freed with its last user. */
struct media_memory {
	struct media_store *store;
	int fd;
	uint8_t *host;
	size_t bytes;
	unsigned users;
};

/* @bytes: whole pages. The caller is its user. Returns 0 or -ENOMEM. */
int media_memory_create(struct media_store *s, size_t bytes, struct media_memory **out);
void media_memory_hold(struct media_memory *m);
void media_memory_drop(struct media_memory *m); /* NULL is fine */

struct media_mapping;

struct media_window {
	struct virtio_device *device;
	struct media_mapping *mappings; /* by offset */
	unsigned count;
	/* A map or unmap that could not be answered at once is done. @bytes: as the plane has. */
	void (*mapped)(struct virtio_device *d, struct chain *c, int err, uint64_t offset, uint64_t bytes);
	void (*unmapped)(struct virtio_device *d, struct chain *c, int err);
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

/* The device was reset: nothing is mapped, and what waits is given back unanswered. */
void media_window_reset(struct media_window *w);

#endif
