/* SPDX-License-Identifier: MIT */
/*
 * Host memory that a device lends to its guest through its shared memory region (shmem.h): pieces of one sealed memfd.
 * One descriptor serves all of them, and what is in them outlives the device's process when a keeper holds it: which
 * piece is whose is for the device's journal to say.
 *
 * Thread: the device's loop.
 */
#ifndef MULLION_HOST_VIRTIO_SHARED_HEAP_H
#define MULLION_HOST_VIRTIO_SHARED_HEAP_H

#include <stdint.h>

struct shared_heap;

/* A memfd of @bytes, sealed so that a home maps it. It takes memory only where it is written. Returns it or a negative errno. */
int shared_heap_memfd(uint64_t bytes);

/* Use @fd (the caller's, copied), of whose content nothing is known yet. Returns 0 or a negative errno. */
int shared_heap_open(int fd, struct shared_heap **out);
/* NULL is fine. */
void shared_heap_close(struct shared_heap *h);

/* All of it; what a piece takes of it: whole pages of the host's. */
uint64_t shared_heap_size(const struct shared_heap *h);
uint64_t shared_heap_pages(uint64_t bytes);

/* A piece of @bytes, in zeros. Returns 0, -EINVAL (no bytes), -ENOSPC, or an errno of the memory. */
int shared_heap_take(struct shared_heap *h, uint64_t bytes, uint64_t *offset);
/* A piece that a process before this one had, as it left it. Returns 0, -EINVAL (not pages of it), -EEXIST. */
int shared_heap_take_again(struct shared_heap *h, uint64_t offset, uint64_t bytes);
/* Give it back, and its memory to the host. */
void shared_heap_give(struct shared_heap *h, uint64_t offset, uint64_t bytes);

/* What is not taken (any more) goes back to the host: after all was taken again. */
void shared_heap_trim(struct shared_heap *h);

/* For the home: the descriptor, in which a piece is at its offset. And where it is in this process. */
int shared_heap_fd(const struct shared_heap *h);
void *shared_heap_at(const struct shared_heap *h, uint64_t offset);

#endif
