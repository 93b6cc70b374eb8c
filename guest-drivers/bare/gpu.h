/* SPDX-License-Identifier: MIT */
/*
 * virtio-gpu (section 5.7), driver side. Ids of resources and contexts are the caller's to choose, not 0. Sizes and
 * rectangles are in pixels, strides and offsets in bytes. Memory that is given to the device (backing pages, command
 * streams of requests still in flight) stays the caller's and must live until it is detached or answered.
 *
 * Each call sends one command and waits for its answer, unless its name says post. They return 0, or what the
 * answer says: -EIO (ERR_UNSPEC), -ENOMEM, -ENXIO (no such scanout), -ENOENT (no such resource), -ESRCH (no such context),
 * -EINVAL (invalid parameter), -EPROTO (an answer of the wrong kind); or -ETIMEDOUT and -ENODEV when the device does not answer
 * or asks for a reset: then it has been stopped, and gpu_open() is the way back.
 */
#ifndef MULLION_BARE_GPU_H
#define MULLION_BARE_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest-drivers/bare/virtio.h"
#include "guest-drivers/bare/virtq.h"
#include "protocol/virtio_gpu.h"

#define GPU_TIMEOUT_US 20000000u

struct gpu {
	struct virtio_dev dev;
	uint32_t scanouts, capsets;
	uint32_t answer;   /* type of the last answer that a waiting call got (VIRTIO_GPU_RESP_*); 0: it had none */
	uint32_t answers;  /* taken by gpu_poll() so far */
	uint64_t fence_id; /* the last one that gpu_submit_3d() used */
	bool stopped;	   /* or not opened */
};

/* A rectangle is a value here; the wire has the same layout. */
struct gpu_rect {
	uint32_t x, y, width, height;
};

/*
 * Find the @index-th GPU on @kind of transport and start it with those of @features (VIRTIO_BIT of VIRTIO_GPU_F_* and
 * ring features) that it offers. Returns 0, -ENODEV, or what virtio_start() returns. virtio_has(&g->dev, ...) tells
 * what was agreed.
 */
int gpu_open(struct gpu *g, enum virtio_kind kind, unsigned index, uint64_t features);
/* Reset the device: everything made on it is gone. */
void gpu_close(struct gpu *g);

/* ---- requests ---- */

/* One command: filled by the caller, not touched until done. */
struct gpu_request {
	struct virtq_buffer out[3]; /* what the device reads: the command, then bulk data */
	unsigned out_count;
	struct virtq_buffer in; /* where the answer goes, a struct virtio_gpu_ctrl_hdr at least */
	uint32_t written;	/* bytes of answer */
	uint32_t order;		/* the how-many-th answer of this device it was, from 1 */
	bool done;
};

/* Queue @r on @queue (VIRTIO_GPU_QUEUE_*) and ring the doorbell. -ENOSPC: the ring is full, gpu_poll() first. */
int gpu_post(struct gpu *g, unsigned queue, struct gpu_request *r);
/* Take all finished requests; returns how many. */
unsigned gpu_poll(struct gpu *g);
/* Wait until @r is done. */
int gpu_wait(struct gpu *g, struct gpu_request *r);
/* Post and wait. The answer lies at r->in; its type is not judged. */
int gpu_transact(struct gpu *g, unsigned queue, struct gpu_request *r);
/*
 * Send the command at @command with @tail behind it, as a buffer of its own unless it is empty, and expect an answer of
 * type @expected, whole, in @answer.
 */
int gpu_ask(struct gpu *g, const void *command, uint32_t bytes, struct virtq_buffer tail, struct virtq_buffer answer,
	    uint32_t expected);
/* Send the command at @command and expect an answer without data. */
int gpu_command(struct gpu *g, const void *command, uint32_t bytes);
/* What the answer of @r, which is done, says when one of type @expected and @least bytes would be right. */
int gpu_judge(struct gpu *g, const struct gpu_request *r, uint32_t expected, uint32_t least);

/* ---- displays ---- */
int gpu_display_info(struct gpu *g, struct virtio_gpu_resp_display_info *info);
/* The EDID of @scanout: @edid->size bytes are valid. Needs VIRTIO_GPU_F_EDID. */
int gpu_edid(struct gpu *g, uint32_t scanout, struct virtio_gpu_resp_edid *edid);
/* Show @r of @resource on @scanout; resource 0 turns the scanout off. */
int gpu_set_scanout(struct gpu *g, uint32_t scanout, uint32_t resource, struct gpu_rect r);
/* Tell the display that @r of @resource changed. */
int gpu_flush(struct gpu *g, uint32_t resource, struct gpu_rect r);
/* Show a 64x64 resource as cursor with its hot spot at (hot_x, hot_y); resource 0 hides it. No answer to judge. */
int gpu_cursor_update(struct gpu *g, uint32_t scanout, uint32_t x, uint32_t y, uint32_t resource, uint32_t hot_x,
		      uint32_t hot_y);
int gpu_cursor_move(struct gpu *g, uint32_t scanout, uint32_t x, uint32_t y);

/* ---- resources ---- */
/* @format is one of VIRTIO_GPU_FORMAT_*. */
int gpu_create_2d(struct gpu *g, uint32_t resource, uint32_t format, uint32_t width, uint32_t height);
int gpu_unref(struct gpu *g, uint32_t resource);
/* Lend the resource guest memory: one range, or @n ranges by address. */
int gpu_attach_backing(struct gpu *g, uint32_t resource, const void *memory, uint32_t bytes);
int gpu_attach_pages(struct gpu *g, uint32_t resource, const struct virtio_gpu_mem_entry *entries, uint32_t n);
int gpu_detach_backing(struct gpu *g, uint32_t resource);
/* Copy @r from the backing, whose first pixel of @r is at @offset, to the host's copy. */
int gpu_transfer_to_host_2d(struct gpu *g, uint32_t resource, struct gpu_rect r, uint64_t offset);
/* Needs VIRTIO_GPU_F_RESOURCE_UUID. */
int gpu_assign_uuid(struct gpu *g, uint32_t resource, uint8_t uuid[16]);
/* A resource that is guest memory (VIRTIO_GPU_BLOB_MEM_GUEST). Needs VIRTIO_GPU_F_RESOURCE_BLOB. */
int gpu_create_blob(struct gpu *g, uint32_t resource, uint32_t flags, const void *memory, uint64_t bytes);
/*
 * The device's host-visible region. -ENOENT when it has none; see virtio_shmem(). A blob of host memory is made without
 * pages of the guest's, and mapped with VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE at an offset of the region that is a multiple of the
 * page size of either side.
 */
int gpu_host_visible(struct gpu *g, void **at, uint64_t *bytes);
int gpu_create_host_blob(struct gpu *g, uint32_t resource, uint32_t flags, uint64_t bytes);
int gpu_map_blob(struct gpu *g, uint32_t resource, uint64_t offset);
int gpu_unmap_blob(struct gpu *g, uint32_t resource);
int gpu_set_scanout_blob(struct gpu *g, uint32_t scanout, uint32_t resource, struct gpu_rect r, uint32_t format,
			 uint32_t width, uint32_t height, uint32_t stride);

/* ---- 3D: needs VIRTIO_GPU_F_VIRGL ---- */

struct gpu_resource_3d {
	uint32_t target; /* PIPE_*, bind and format: protocol/virgl.h */
	uint32_t format;
	uint32_t bind;
	uint32_t width, height, depth, array_size;
	uint32_t last_level;
	uint32_t samples;
	uint32_t flags; /* VIRTIO_GPU_RESOURCE_FLAG_* */
};

/* A part of a 3D resource and where it lies in the backing. stride and layer_stride 0: tightly packed. */
struct gpu_transfer_3d {
	struct virtio_gpu_box box;
	uint64_t offset;
	uint32_t level;
	uint32_t stride, layer_stride;
};

int gpu_capset_info(struct gpu *g, uint32_t index, struct virtio_gpu_resp_capset_info *info);
/* Copy capset @id at @version to @out; the device writes @bytes at most. Returns the bytes that came, or an errno. */
int gpu_capset(struct gpu *g, uint32_t id, uint32_t version, void *out, uint32_t bytes);

/* @context_init: 0, or a capset id where VIRTIO_GPU_F_CONTEXT_INIT was agreed. @name is for the host's messages. */
int gpu_context_create(struct gpu *g, uint32_t context, uint32_t context_init, const char *name);
int gpu_context_destroy(struct gpu *g, uint32_t context);
/* Let the context's commands name the resource. */
int gpu_context_attach(struct gpu *g, uint32_t context, uint32_t resource);
int gpu_context_detach(struct gpu *g, uint32_t context, uint32_t resource);

int gpu_create_3d(struct gpu *g, uint32_t resource, const struct gpu_resource_3d *r);
int gpu_transfer_to_host_3d(struct gpu *g, uint32_t context, uint32_t resource, const struct gpu_transfer_3d *t);
/* Returns after the pixels are in the backing: the command is fenced. */
int gpu_transfer_from_host_3d(struct gpu *g, uint32_t context, uint32_t resource, const struct gpu_transfer_3d *t);

/* Run a command stream (virgl.h writes them) and wait until the host has drawn it: the command is fenced. */
int gpu_submit_3d(struct gpu *g, uint32_t context, const uint32_t *commands, uint32_t bytes);

/* A submission that is not waited for. @commands and *s stay untouched until s->request.done. */
struct gpu_submission {
	struct gpu_request request;
	struct virtio_gpu_cmd_submit command;
	struct virtio_gpu_ctrl_hdr answer;
};

/*
 * Post a stream with fence @fence_id on @ring of the context, or with @ring < 0 on the global timeline. Ring indexes need
 * VIRTIO_GPU_F_CONTEXT_INIT. The answer comes when the host is done with all work before it on that ring.
 */
int gpu_post_submit(struct gpu *g, struct gpu_submission *s, uint32_t context, const uint32_t *commands, uint32_t bytes,
		    uint64_t fence_id, int ring);

#endif
