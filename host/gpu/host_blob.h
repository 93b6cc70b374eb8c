/* SPDX-License-Identifier: MIT */
/*
 * Blobs in host memory, and the region in which the guest sees them (virtio 1.4, sections 5.7.6.8 and 5.7.6.10: shared
 * memory region 1, host visible). Such a blob is a piece of the device's shared heap (host/virtio/shared_heap.h): it has
 * a backing as a guest blob has, only that its pages are ours, so what reads guest blobs reads these. blob_id 0 says
 * that plain memory is meant; objects of a 3D context can't be exported on every host, and can't be mapped.
 *
 * What the home maps may be answered by another process. Meanwhile the control queue is held: Linux unmaps, unrefs
 * and maps again without waiting.
 *
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_HOST_BLOB_H
#define MULLION_HOST_GPU_HOST_BLOB_H

#include <stdbool.h>
#include <stdint.h>

#include "host/gpu/command.h"
#include "host/gpu/record.h"
#include "host/virtio/shmem.h"

struct gpu;
struct gpu_resource;
struct shared_heap;

/* Also in the journal (record.h): one that is neither mapped nor unmapped when a process dies is unmapped by the next. */
enum gpu_map_state { GPU_UNMAPPED, GPU_MAPPING, GPU_MAPPED, GPU_UNMAPPING };

/* Of a resource: what is the host's of it. */
struct gpu_host_blob {
	struct gpu_resource *res;
	uint64_t heap_offset, bytes; /* its piece: whole pages */
	enum gpu_map_state state;
	uint64_t map_offset; /* in the region */
	struct gpu_host_blob *next;
};

struct gpu_window {
	struct shared_heap *heap; /* NULL: no host blobs */
	struct gpu_host_blob *blobs;
	/* The one whose mapping is in progress; NULL: none is. */
	struct gpu_host_blob *busy;
	struct virtio_shmem_request request;
	struct gpu_command cmd; /* that waits for it; its chain is NULL when none does */
};

/*
 * When the device is made: make or open (@fd, not below 1) the heap of @bytes; 0: there are to be no host blobs. A host
 * that can't is no reason to fail. And the undo.
 */
void gpu_window_open(struct gpu *g, uint64_t bytes, int fd);
void gpu_window_close(struct gpu *g);
/* Before resources are dropped at a reset: what is in progress is forgotten. */
void gpu_window_reset(struct gpu *g);
/*
 * The request that waits for the home must not wait any longer: one that maps is refused, and unmapped should it be mapped
 * all the same; one that unmaps is done, since the home does in order what it is asked.
 */
void gpu_window_give_up(struct gpu *g);
/* A request must wait until the mapping in progress is done. */
static inline bool gpu_window_is_busy(const struct gpu_window *w)
{
	return w->busy;
}

/*
 * Give @res, a blob of res->size_bytes that was entered, its memory; @piece: the one it had in a process before. Returns 0
 * or a negative errno of shared_heap_take() or the table's.
 */
int gpu_host_blob_create(struct gpu *g, struct gpu_resource *res, const struct gpu_range *piece);
/* It goes. A mapping that is left goes with the reset that this is part of. No-op for other resources. */
void gpu_host_blob_drop(struct gpu *g, struct gpu_resource *res);
/* What the journal says of its mapping. */
void gpu_host_blob_restore(struct gpu *g, struct gpu_resource *res, uint32_t state, uint64_t map_offset);
/* After all was restored: unmap what was on its way when the process before this one died. */
void gpu_window_settle(struct gpu *g);

/* Whether @res is mapped (*mapped). If so: unmap it, drop it, and return GPU_PENDING or the answer of @cmd. */
uint32_t gpu_unref_mapped(struct gpu *g, struct gpu_command *cmd, struct gpu_resource *res, bool *mapped);

#endif
