/* SPDX-License-Identifier: MIT */
/*
 * What draws: `2d` (pixman) and `virgl` (virglrenderer) behind one ops table. gpu.c checks every guest value that
 * the virtio text lets it check (ids, sizes, rectangles against the resource, limits) before it calls here; a
 * renderer checks what only it can know.
 *
 * All ops return 0 or a negative errno, which gpu.c turns into the protocol's answer: -EINVAL INVALID_PARAMETER,
 * -ENOMEM OUT_OF_MEMORY, -ENOENT INVALID_CONTEXT_ID, anything else UNSPEC. Optional ops may be NULL: then the
 * command is answered UNSPEC and the feature is not offered.
 *
 * Thread: the gpu loop, for every call and every GL call made inside.
 */
#ifndef MULLION_HOST_GPU_RENDERER_H
#define MULLION_HOST_GPU_RENDERER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/gpu/resource.h"

struct display_buffer;
struct gpu_content;
struct journal;
struct log_limit;
struct loop;

struct renderer_box {
	uint32_t x, y, z, width, height, depth;
};

/* A transfer between backing pages and the renderer's copy (TRANSFER_TO_HOST_*, TRANSFER_FROM_HOST_3D). */
struct renderer_transfer {
	uint32_t ctx_id; /* 0: none */
	uint32_t level;
	uint32_t stride, layer_stride; /* bytes; 0: tightly packed */
	uint64_t offset;               /* into the backing */
	struct renderer_box box;
};

struct renderer_capset {
	uint32_t id; /* VIRTIO_GPU_CAPSET_* */
	uint32_t max_version;
	uint32_t max_size; /* bytes */
};

/* A fence that gpu.c asked for. @seq is our own: it only grows, per timeline; guest fence ids never come here. */
struct renderer_timeline {
	uint32_t ctx_id;   /* 0: the global timeline */
	uint8_t ring_idx;  /* 0 unless ring_idx was given */
	bool has_ring;     /* VIRTIO_GPU_FLAG_INFO_RING_IDX was set */
};

struct renderer_config {
	struct loop *loop;
	const char *render_node; /* NULL: choose by the ladder */
	const struct gpu_limits *limits;
	/*
	 * Where a renderer keeps what contexts hold, as GPU_RECORD_VIRGL records and above (record.h), and says what its
	 * streams do to resources. gpu.c commits. NULL, both: no journal.
	 */
	struct journal *journal;
	struct gpu_content *content;
	/*
	 * Every fence of @timeline up to and including @seq is done. Called on the gpu loop only (a renderer that learns
	 * of it on another thread posts first), never from inside create_fence.
	 */
	void (*fence_done)(void *owner, const struct renderer_timeline *timeline, uint64_t seq);
	/*
	 * Who uses context @ctx_id waits for the result of a query in the backing of @resource_id, and that will not be
	 * found: give it one, if the resource is attached to the context. The number is the guest's, and was not checked.
	 */
	void (*query_lost)(void *owner, uint32_t ctx_id, uint32_t resource_id);
	/* A step of context_restore, which may take long, is done. Called from inside it only. */
	void (*progress)(void *owner);
	/* The guest has sent more, so it does more than wait for an answer. Called from inside create_fence only. */
	bool (*has_more)(void *owner);
	struct log_limit *log_limit; /* for lines that the guest causes */
	void *owner;
};

struct renderer {
	const struct renderer_ops *ops;
	uint64_t object_uploads; /* what resource_share() led to */
};

struct renderer_ops {
	const char *name; /* as in --gpu renderer=name */
	/*
	 * Start. @why (at least 160 bytes) gets what was chosen and on what ("virgl on EGL surfaceless, llvmpipe ...") or,
	 * on failure, the reason and what to do. One 3D renderer a process: a second gets -EBUSY.
	 */
	int (*create)(const struct renderer_config *config, struct renderer **out, char *why, size_t why_size);
	void (*destroy)(struct renderer *r);
	/* VIRTIO_GPU_F_* bits this renderer can serve (VIRGL, CONTEXT_INIT, RESOURCE_BLOB, RESOURCE_UUID). */
	uint64_t (*features)(struct renderer *r);
	/* Capset number @index, or -ENOENT past the last. */
	int (*capset_info)(struct renderer *r, uint32_t index, struct renderer_capset *out);
	/* Fill @buffer (@size = the capset's max_size, zeroed) with version @version of capset @id. */
	int (*capset)(struct renderer *r, uint32_t id, uint32_t version, void *buffer, size_t size);

	/*
	 * res->shape is checked and filled for 2D too; for blobs the blob words, and their backing is there already (no
	 * backing_attach follows; backing_detach is called before resource_destroy as for all). Sets res->renderer.
	 */
	int (*resource_create)(struct renderer *r, struct gpu_resource *res);
	void (*resource_destroy)(struct renderer *r, struct gpu_resource *res);
	/*
	 * What RESOURCE_CREATE_BLOB is to make of the object @blob_id that a submission of the context named; the object is gone
	 * then. -ENOENT: there is none. Optional.
	 */
	int (*object_take)(struct renderer *r, uint32_t ctx_id, uint64_t blob_id, struct gpu_resource_shape *out);
	/*
	 * Another device may write the picture of @res, and maybe read it, in res->object: put what it shows there, if
	 * that is new, else show what is there (@is_old). From now on show what is there; or, if the picture must be somewhere else, set is_write_only and
	 * take over what was written (virtio_object_writes()) before each use. res->object lives until
	 * resource_destroy(). -ENOTSUP: this one can't be shared. Optional.
	 */
	int (*resource_share)(struct renderer *r, struct gpu_resource *res, bool is_old);
	/* Nobody else may write it after all: res->object goes. Returns 0, or -ENOMEM and it is used on. With the above. */
	int (*resource_unshare)(struct renderer *r, struct gpu_resource *res);
	/* res->backing was attached, or is about to be detached (both optional). */
	int (*backing_attach)(struct renderer *r, struct gpu_resource *res);
	void (*backing_detach)(struct renderer *r, struct gpu_resource *res);
	int (*transfer_to_host)(struct renderer *r, struct gpu_resource *res, const struct renderer_transfer *t);
	int (*transfer_from_host)(struct renderer *r, struct gpu_resource *res, const struct renderer_transfer *t);

	/*
	 * Copy a rectangle of the resource's picture (level 0) to @dst as DRM_FORMAT_XRGB8888 rows, top row first. Where
	 * the resource has alpha it goes into the X byte (cursors need it), else 0xff.
	 * Called for scanouts and cursors; the only copy of a frame without dma-buf. Never called for blobs.
	 */
	int (*read_pixels)(struct renderer *r, struct gpu_resource *res, const struct renderer_box *box, void *dst,
			   uint32_t dst_stride);

	/*
	 * The resource's picture (level 0) as it is on the GPU, for a display to show without a copy: what was drawn so far
	 * is in it, and what follows will be. All but @out->shown is filled in; the descriptor is lent until
	 * resource_destroy(). -ENOTSUP: this one can't be had so. Optional.
	 */
	int (*export_picture)(struct renderer *r, struct gpu_resource *res, struct display_buffer *out);

	/* 3D. @capset_id 0: the classic virgl context. @name: NUL-terminated, printable, 63 bytes at most. */
	int (*context_create)(struct renderer *r, uint32_t ctx_id, uint32_t capset_id, const char *name);
	void (*context_destroy)(struct renderer *r, uint32_t ctx_id);
	int (*context_attach)(struct renderer *r, uint32_t ctx_id, struct gpu_resource *res);
	void (*context_detach)(struct renderer *r, uint32_t ctx_id, struct gpu_resource *res);
	/* @commands: the renderer's own copy (gpu.c copied it out of guest memory); @bytes is a multiple of 4. */
	int (*submit)(struct renderer *r, uint32_t ctx_id, void *commands, size_t bytes);
	/*
	 * A submission that was being executed when another process died: what it made, set and uploaded, but not what it
	 * drew, computed or read. @commands are changed. An error: the context is lost. Optional.
	 */
	int (*submit_without_draws)(struct renderer *r, uint32_t ctx_id, void *commands, size_t bytes);
	/*
	 * The context is lost, in this process or one before: give what the guest waits for and can't be told by an error. From now
	 * on submit() does that, and fails. Optional.
	 */
	void (*context_lose)(struct renderer *r, uint32_t ctx_id);
	/*
	 * Give a new context, whose resources are attached and filled, what the journal's records say it held. An error:
	 * it is lost, and gpu.c submits nothing to it. Optional.
	 */
	int (*context_restore)(struct renderer *r, uint32_t ctx_id);
	/*
	 * Call fence_done(@timeline, @seq or later) once everything before is finished, and return 0; or return 1: it is,
	 * and there will be no call. Optional: NULL means at once.
	 */
	int (*create_fence)(struct renderer *r, const struct renderer_timeline *timeline, uint64_t seq);

	/*
	 * While paused, memory of the guest's is not written by what earlier calls led to: that comes when it is paused no
	 * more. Calls that write it are not made meanwhile. NULL: there is nothing of the kind.
	 */
	void (*pause)(struct renderer *r, bool paused);

	/*
	 * Forget the guest: contexts are gone, resources were destroyed by gpu.c before; fence_done of older fences is
	 * not called any more.
	 */
	void (*reset)(struct renderer *r);
	/* Counters for stats and tests: copies of pixels made, bytes; NULL-able. */
};

/*
 * Start the first of @list (NULL-terminated) that works, or the one called @name if that is not "auto". Prints one
 * line that says which it is and why. Returns 0, or a negative errno after printing why not.
 */
int renderer_start(const struct renderer_ops *const *list, const char *name, const struct renderer_config *config,
		   struct renderer **out);

/* For `mullion doctor`: what EGL and virglrenderer offer here; @report as in host/virtio/module.h. Thread: any. */
void renderer_virgl_doctor(void (*report)(void *owner, const char *verdict, const char *name, const char *text,
					  const char *cure),
			   void *owner);

/* In the order of the start-up ladder, NULL-terminated; the array is the truth. */
extern const struct renderer_ops *const renderers[];
extern const struct renderer_ops renderer_2d_ops;
extern const struct renderer_ops renderer_virgl_ops;

#endif
