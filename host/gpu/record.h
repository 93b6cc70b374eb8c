/* SPDX-License-Identifier: MIT */
/*
 * The device's state as records of a journal (host/virtio/journal.h): what the guest made and set, so that a new
 * process can make it again. A handler records what it did after it succeeded; the answer point commits all of it at
 * once. Without a journal these calls do nothing.
 *
 * A record that does not fit (limits.journal_bytes) is left out, and the old one of its key with it: the guest goes on,
 * but that object is not there after a death. It is counted and logged.
 *
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_RECORD_H
#define MULLION_HOST_GPU_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/gpu/resource.h"
#include "host/virtio/journal.h"

struct gpu;
struct gpu_context;
struct gpu_scanout;
struct virtio_gpu_update_cursor;

/* Types, with what their keys are. Payloads are below, or where another file is named. */
enum gpu_record_type {
	GPU_RECORD_RESOURCE = 1, /* resource; a blob's ranges follow, of a host blob its piece of the heap */
	GPU_RECORD_BACKING,	 /* resource; struct gpu_range, as many as there are */
	GPU_RECORD_LEVEL,	 /* resource, level: content.h */
	GPU_RECORD_SCANOUT,	 /* index */
	GPU_RECORD_CURSOR,	 /* scanout */
	GPU_RECORD_CURSOR_PLACE, /* scanout */
	GPU_RECORD_CURSOR_ASKED, /* scanout; there while the image is being read */
	GPU_RECORD_CAPSET,	 /* index: struct renderer_capset */
	GPU_RECORD_TRIED,	 /* a request's tag, in two halves; no payload */
	/* From here on all belong to a context, which is their first id. */
	GPU_RECORD_CONTEXT,    /* context */
	GPU_RECORD_ATTACHMENT, /* context, resource; no payload */
	GPU_RECORD_VIRGL,      /* and up to LAST: virgl_state.c */
	GPU_RECORD_LAST = GPU_RECORD_VIRGL + 15,
};

/* Of guest-physical memory. */
struct gpu_range {
	uint64_t gpa, bytes;
};

struct gpu_resource_record {
	uint32_t kind; /* enum gpu_resource_kind */
	uint32_t blob_mem, blob_flags;
	uint32_t has_uuid;
	uint64_t blob_id, size_bytes;
	struct gpu_resource_shape shape;
	uint8_t uuid[16];
	uint64_t map_offset; /* of a host blob, in the host-visible region */
	uint32_t map_state;  /* enum gpu_map_state */
	uint32_t zero;
};

struct gpu_context_record {
	uint32_t capset_id;
	uint32_t lost;
	uint32_t deaths;
	char name[64];
};

struct gpu_scanout_record {
	uint32_t resource;
	uint32_t format; /* of a blob's picture, else 0 */
	uint32_t x, y, width, height;
	uint32_t picture_width, picture_height, stride_bytes, offset;
};

struct gpu_cursor_record {
	uint32_t hot_x, hot_y;
	uint32_t pixels[64 * 64];
};

struct gpu_cursor_place_record {
	uint32_t x, y; /* of the hot spot */
};

/* As UPDATE_CURSOR has it. */
struct gpu_cursor_asked_record {
	uint32_t resource;
	uint32_t hot_x, hot_y;
	uint32_t x, y; /* of the image's corner */
};

/* A resource as it is, its UUID included; a blob with its ranges. */
void gpu_record_resource(struct gpu *g, const struct gpu_resource *res);
/* Where its backing is; none: it was detached. */
void gpu_record_backing(struct gpu *g, const struct gpu_resource *res);
/* Everything about it, before it goes. */
void gpu_record_resource_gone(struct gpu *g, const struct gpu_resource *res);
void gpu_record_context(struct gpu *g, const struct gpu_context *ctx);
/* With what belongs to it. */
void gpu_record_context_gone(struct gpu *g, uint32_t ctx_id);
void gpu_record_attachment(struct gpu *g, uint32_t ctx_id, uint32_t resource_id, bool attached);
/* What it shows now. */
void gpu_record_scanout(struct gpu *g, const struct gpu_scanout *s);
/*
 * The cursor's image is about to be read as @w says: who takes over does that first of all, and no one after him. Commit
 * afterwards.
 */
void gpu_record_cursor_asked(struct gpu *g, const struct virtio_gpu_update_cursor *w);
/* What the scanout has for a cursor now; nothing is asked any more. */
void gpu_record_cursor(struct gpu *g, const struct gpu_scanout *s);
void gpu_record_cursor_place(struct gpu *g, const struct gpu_scanout *s);

/* What the driver that starts now is told of the renderer's capsets, for a process that has no such renderer. */
void gpu_record_capsets(struct gpu *g);

/* All of it counts from now on. @tag: the request's (chain_tag()), 0 for none. */
void gpu_record_commit(struct gpu *g, uint64_t tag);
/*
 * The request with @tag was being executed by a process that died, and is about to be done again. False: that was tried before,
 * or can't be recorded.
 */
bool gpu_record_try(struct gpu *g, uint64_t tag);
/* It is answered. */
void gpu_record_tried(struct gpu *g, uint64_t tag);
/* The guest was reset: nothing is recorded. */
void gpu_record_clear(struct gpu *g);

/*
 * What the context holds is not known any more: its submissions are refused from now on, also after the next death.
 * No-op for a context that doesn't exist. Commit afterwards.
 */
void gpu_mark_lost(struct gpu *g, uint32_t ctx_id);

/*
 * Make again what @j holds, and go on recording there. What is not possible is left out, with a line for each kind that
 * says how many. @j was written by a process that the guest may have taken over, so all of it is checked as
 * requests are.
 */
void gpu_restore(struct gpu *g, struct journal *j);

#endif
