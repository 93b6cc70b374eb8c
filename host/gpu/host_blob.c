// SPDX-License-Identifier: MIT
#include "host/gpu/host_blob.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/gpu/device.h"
#include "host/virtio/shared_heap.h"

/* ---- the heap ---- */

void gpu_window_open(struct gpu *g, uint64_t bytes, int fd)
{
	int own = -1, err = 0;

	if (!bytes)
		return;
	if (fd < 1) {
		own = shared_heap_memfd(bytes);
		err = own < 0 ? own : 0;
	}
	if (!err)
		err = shared_heap_open(own < 0 ? fd : own, &g->window.heap);
	if (own >= 0)
		close(own);
	if (err)
		log_line(LOG_TOPIC_GPU, LOG_WARN, "no host-visible memory for the guest: %s", strerror(-err));
}

void gpu_window_close(struct gpu *g)
{
	shared_heap_close(g->window.heap);
	g->window.heap = NULL;
}

/* ---- blobs ---- */

int gpu_host_blob_create(struct gpu *g, struct gpu_resource *res, const struct gpu_range *piece)
{
	struct gpu_window *w = &g->window;
	struct gpu_host_blob *b = calloc(1, sizeof(*b));
	struct iovec *backing = calloc(1, sizeof(*backing));
	int err = -ENOMEM;

	if (!b || !backing)
		goto fail;
	b->res = res;
	b->bytes = shared_heap_pages(res->size_bytes);
	if (!piece) {
		err = shared_heap_take(w->heap, b->bytes, &b->heap_offset);
	} else {
		b->heap_offset = piece->gpa;
		err = piece->bytes == b->bytes ? shared_heap_take_again(w->heap, piece->gpa, piece->bytes) : -EINVAL;
	}
	if (err)
		goto fail;
	*backing = (struct iovec){shared_heap_at(w->heap, b->heap_offset), b->bytes};
	err = gpu_resource_set_backing(g->resources, res, backing, 1, b->bytes);
	if (err) {
		shared_heap_give(w->heap, b->heap_offset, b->bytes);
		goto fail;
	}
	b->next = w->blobs;
	w->blobs = b;
	res->host = b;
	return 0;
fail:
	free(backing);
	free(b);
	return err;
}

void gpu_host_blob_drop(struct gpu *g, struct gpu_resource *res)
{
	struct gpu_host_blob **at = &g->window.blobs, *b = res->host;

	if (!b)
		return;
	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	shared_heap_give(g->window.heap, b->heap_offset, b->bytes);
	res->host = NULL;
	free(b);
}

/* ---- mapping ---- */

/* What the next process must know before the home does. */
static void enter(struct gpu *g, struct gpu_host_blob *b, enum gpu_map_state state)
{
	b->state = state;
	gpu_record_resource(g, b->res);
}

static uint32_t map_is_done(struct gpu *g, struct gpu_host_blob *b, struct gpu_command *cmd, int err)
{
	uint32_t code = VIRTIO_GPU_RESP_ERR_UNSPEC;

	enter(g, b, err ? GPU_UNMAPPED : GPU_MAPPED);
	if (!err) {
		g->answer.map_info = (struct virtio_gpu_resp_map_info){.map_info = VIRTIO_GPU_MAP_CACHE_CACHED};
		gpu_answer_with(cmd, &g->answer.map_info);
		return VIRTIO_GPU_RESP_OK_MAP_INFO;
	}
	if (err == -EINVAL || err == -ERANGE || err == -EEXIST)
		code = VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	else if (err == -ENOSPC || err == -ENOMEM)
		code = VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	return gpu_refuse(g, cmd, code, "resource %u: %llu bytes at offset 0x%llx of the host-visible region: %s", b->res->id,
			  (unsigned long long)b->bytes, (unsigned long long)b->map_offset,
			  err == -EEXIST	? "another blob is mapped there"
			  : err == -EOPNOTSUPP ? "this VMM has no such region"
					       : strerror(-err));
}

/* What was not there is as good as unmapped. */
static uint32_t unmap_is_done(struct gpu *g, struct gpu_host_blob *b, struct gpu_command *cmd, int err)
{
	uint32_t id = b->res->id;

	enter(g, b, GPU_UNMAPPED);
	if (cmd->type == VIRTIO_GPU_CMD_RESOURCE_UNREF)
		gpu_drop_resource(g, b->res);
	if (!err || err == -ENOENT)
		return VIRTIO_GPU_RESP_OK_NODATA;
	return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_UNSPEC, "resource %u can't be unmapped: %s", id, strerror(-err));
}

static uint32_t is_done(struct gpu *g, struct gpu_host_blob *b, struct gpu_command *cmd, int err)
{
	return b->state == GPU_MAPPING ? map_is_done(g, b, cmd, err) : unmap_is_done(g, b, cmd, err);
}

/* The home has answered. */
static void answered(struct virtio_shmem_request *r, int err)
{
	struct gpu *g = r->owner;
	struct gpu_window *w = &g->window;
	struct gpu_host_blob *b = w->busy;
	struct gpu_command cmd = w->cmd;

	w->busy = NULL;
	w->cmd.chain = NULL;
	if (cmd.chain) {
		gpu_answer(g, &cmd, is_done(g, b, &cmd, err));
	} else {
		/* What nobody waits for must not be there. */
		enter(g, b, b->state == GPU_MAPPING && !err ? GPU_UNMAPPING : GPU_UNMAPPED);
		gpu_window_settle(g);
	}
	if (!w->busy)
		virtq_hold(g->device.queues[VIRTIO_GPU_QUEUE_CONTROL], false);
}

/* Ask the home. Returns what it does. */
static int ask(struct gpu *g, struct gpu_host_blob *b, enum gpu_map_state state)
{
	struct gpu_window *w = &g->window;
	int err;

	enter(g, b, state);
	gpu_record_commit(g, 0);
	w->request = (struct virtio_shmem_request){
		.offset = b->map_offset,
		.length = b->bytes,
		.fd = shared_heap_fd(w->heap),
		.fd_offset = b->heap_offset,
		.writable = true,
		.done = answered,
		.owner = g,
	};
	err = state == GPU_MAPPING ? virtio_shmem_map(&g->device, &w->request)
				   : virtio_shmem_unmap(&g->device, &w->request);
	if (err == -EINPROGRESS) {
		w->busy = b;
		virtq_hold(g->device.queues[VIRTIO_GPU_QUEUE_CONTROL], true);
	}
	return err;
}

/* The same for @cmd: GPU_PENDING, or its answer. */
static uint32_t begin(struct gpu *g, struct gpu_command *cmd, struct gpu_host_blob *b, enum gpu_map_state state)
{
	int err = ask(g, b, state);

	if (err != -EINPROGRESS)
		return is_done(g, b, cmd, err);
	g->window.cmd = *cmd;
	return GPU_PENDING;
}

void gpu_window_reset(struct gpu *g)
{
	struct gpu_window *w = &g->window;

	if (!w->busy)
		return;
	virtio_shmem_cancel(&g->device, &w->request);
	w->busy = NULL;
	if (w->cmd.chain)
		chain_finish(w->cmd.chain);
	w->cmd.chain = NULL;
}

void gpu_window_give_up(struct gpu *g)
{
	struct gpu_window *w = &g->window;
	struct gpu_command cmd = w->cmd;

	if (!w->busy || !cmd.chain)
		return;
	if (w->busy->state != GPU_MAPPING) {
		virtio_shmem_cancel(&g->device, &w->request);
		answered(&w->request, 0);
		return;
	}
	w->cmd.chain = NULL;
	gpu_answer(g, &cmd,
		   gpu_refuse(g, &cmd, VIRTIO_GPU_RESP_ERR_UNSPEC,
			      "resource %u: the VMM stops the device, and has not mapped it", w->busy->res->id));
}

/* ---- after a death ---- */

void gpu_host_blob_restore(struct gpu *g, struct gpu_resource *res, uint32_t state, uint64_t map_offset)
{
	(void)g;
	if (!res->host)
		return;
	res->host->state = state == GPU_MAPPED ? GPU_MAPPED : state == GPU_UNMAPPED ? GPU_UNMAPPED : GPU_UNMAPPING;
	res->host->map_offset = map_offset;
}

void gpu_window_settle(struct gpu *g)
{
	for (struct gpu_host_blob *b = g->window.blobs; b; b = b->next) {
		if (b->state != GPU_UNMAPPING)
			continue;
		if (ask(g, b, GPU_UNMAPPING) == -EINPROGRESS)
			return;
		enter(g, b, GPU_UNMAPPED);
	}
	gpu_record_commit(g, 0);
}

/* ---- commands ---- */

/* Section 5.7.6.8: the driver chooses where in the region. */
uint32_t gpu_resource_map_blob(struct gpu *g, struct gpu_command *cmd)
{
	const struct virtio_gpu_resource_map_blob *w = &cmd->u.map_blob;
	const struct gpu_resource *res = gpu_resource_find(g->resources, w->resource_id);
	uint64_t region = g->device.shmem.size_bytes;

	if (!res)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, "no resource %u; create it first",
				  w->resource_id);
	if (!res->host || !(res->blob_flags & VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE))
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "resource %u can't be mapped: only blobs of host memory with USE_MAPPABLE can", res->id);
	if (res->host->state != GPU_UNMAPPED)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_UNSPEC, "resource %u is mapped at offset 0x%llx already", res->id,
				  (unsigned long long)res->host->map_offset);
	if (w->offset >= region || res->host->bytes > region - w->offset || shared_heap_pages(w->offset) != w->offset)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "resource %u: offset 0x%llx: whole pages, and %llu bytes in a region of %llu", res->id,
				  (unsigned long long)w->offset, (unsigned long long)res->host->bytes,
				  (unsigned long long)region);
	res->host->map_offset = w->offset;
	return begin(g, cmd, res->host, GPU_MAPPING);
}

uint32_t gpu_resource_unmap_blob(struct gpu *g, struct gpu_command *cmd)
{
	uint32_t id = cmd->u.unmap_blob.resource_id;
	const struct gpu_resource *res = gpu_resource_find(g->resources, id);

	if (!res)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, "no resource %u; create it first", id);
	if (!res->host || res->host->state != GPU_MAPPED)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_UNSPEC, "resource %u is not mapped", id);
	return begin(g, cmd, res->host, GPU_UNMAPPING);
}

uint32_t gpu_unref_mapped(struct gpu *g, struct gpu_command *cmd, struct gpu_resource *res, bool *mapped)
{
	*mapped = res->host && res->host->state != GPU_UNMAPPED;
	return *mapped ? begin(g, cmd, res->host, GPU_UNMAPPING) : 0;
}
