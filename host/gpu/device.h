/* SPDX-License-Identifier: MIT */
/*
 * Inside the virtio-gpu device: what gpu.c and the command handlers share. Nothing outside host/gpu includes this.
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_DEVICE_H
#define MULLION_HOST_GPU_DEVICE_H

#include "host/base/log.h"
#include "host/gpu/command.h"
#include "host/gpu/content.h"
#include "host/gpu/context.h"
#include "host/gpu/control.h"
#include "host/gpu/fence.h"
#include "host/gpu/gpu.h"
#include "host/gpu/host_blob.h"
#include "host/gpu/record.h"
#include "host/gpu/renderer.h"
#include "host/gpu/resource.h"
#include "host/gpu/scanout.h"
#include "host/gpu/share.h"
#include "host/virtio/device.h"

/* Biggest side of a 2D resource or a blob's picture; pixman's coordinates end at 32767. */
#define GPU_MAX_SIZE 16384u

/* Room for as many as there are of a renderer's, and more. */
#define GPU_LOST_CAPSETS 8u

struct gpu_flush; /* displays.c */

struct gpu {
	struct virtio_device device;
	struct gpu_limits limits;
	struct renderer *renderer;
	struct display_output *display; /* NULL: none */
	struct display_output *remote;	/* the vhost-user frontend's (host/display/vhost_gpu.h); NULL: none was given yet */
	struct gpu_question *questions; /* commands that wait for an answer of @remote */
	struct gpu_flush *flushes;	/* fenced ones that wait until it showed the picture */
	struct gpu_resource_table *resources;
	struct virtio_objects *objects; /* of the guest; NULL: none */
	struct gpu_window window; /* blobs in host memory, and their mappings */
	struct gpu_context_table *contexts;
	struct gpu_fences *fences;
	struct journal *journal;     /* NULL: none, or not yet restored */
	struct journal *unrestored;  /* until the driver is ready: what a process before this one left */
	struct gpu_content *content; /* NULL without a journal */
	unsigned tries;		     /* requests that are being done again after a death (record.h) */
	struct gpu_share share;
	bool dmabuf;   /* frames go to @remote without a copy, if they can */
	bool paused;   /* the renderer is, while the control queue is stopped */
	bool degraded; /* no 3D although it is offered */
	unsigned scanout_count;
	struct gpu_scanout scanouts[VIRTIO_GPU_MAX_SCANOUTS];
	uint32_t events; /* config space: events_read */
	unsigned capset_count;
	struct renderer_capset lost_capsets[GPU_LOST_CAPSETS]; /* degraded: what the driver counts on; id 0: nothing */
	void *capset_buffer; /* the biggest capset's size */
	size_t capset_buffer_bytes;
	void *submit_buffer; /* grows to what was needed, limits.command_bytes at most */
	size_t submit_buffer_bytes;
	/* Answers behind the header; one at a time, until the answer point copied it out. */
	union {
		struct virtio_gpu_resp_display_info display_info;
		struct virtio_gpu_resp_edid edid;
		struct virtio_gpu_resp_capset_info capset_info;
		struct virtio_gpu_resp_resource_uuid uuid;
		struct virtio_gpu_resp_map_info map_info;
	} answer;
	struct gpu_stats stats;
	uint64_t serial;
	struct log_limit log_limit;
	struct gpu_shots *shots; /* NULL until the first screenshot */
};

/* @d is a virtio-gpu device. */
struct gpu *gpu_from_device(struct virtio_device *d);

/* Refuse @cmd: logs "gpu: NAME: reason", within the guest's budget, and returns @code for the handler to return. */
uint32_t gpu_refuse(struct gpu *g, const struct gpu_command *cmd, uint32_t code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* As gpu_refuse(), with the code that renderer.h names for the negative errno @err. @what: "resource 7" */
uint32_t gpu_renderer_failed(struct gpu *g, const struct gpu_command *cmd, int err, const char *what, uint32_t id);

/* Answer with everything in @object behind its header. */
#define gpu_answer_with(cmd, object) \
	((cmd)->answer = (const char *)(object) + sizeof(struct virtio_gpu_ctrl_hdr), \
	 (cmd)->answer_bytes = sizeof(*(object)) - sizeof(struct virtio_gpu_ctrl_hdr))

/* RESOURCE_CREATE_BLOB made it. */
static inline bool gpu_is_blob(const struct gpu_resource *res)
{
	return res->blob_mem != 0;
}

/* RESOURCE_CREATE_3D as @w says; @blob: it is what RESOURCE_CREATE_BLOB makes of an object of a context; else NULL. */
uint32_t gpu_make_3d(struct gpu *g, const struct gpu_command *cmd, const struct virtio_gpu_resource_create_3d *w,
		     const struct virtio_gpu_resource_create_blob *blob);

/* Take a resource out of the renderer, off the scanouts and out of the table. */
void gpu_drop_resource(struct gpu *g, struct gpu_resource *res);

/* Take a context out of the renderer and the table, and finish what waits on its rings. */
void gpu_drop_context(struct gpu *g, struct gpu_context *ctx);

/* Show nothing on @s; no-op if it shows nothing. */
void gpu_blank_scanout(struct gpu *g, struct gpu_scanout *s);

/* Enter context cmd->ctx_id and make it in the renderer. Returns the answer's code. */
uint32_t gpu_make_context(struct gpu *g, const struct gpu_command *cmd, uint32_t capset_id, const char *name);

/* Answer a command whose handler returned GPU_PENDING, and finish its chain. */
void gpu_answer(struct gpu *g, struct gpu_command *cmd, uint32_t code);

/* displays.c: somebody looks, so pixels must be read. */
bool gpu_is_watched(const struct gpu *g);
/* Show @frame of @s, or nothing, or its cursor. */
void gpu_present(struct gpu *g, struct gpu_scanout *s, const struct display_frame *frame);
/*
 * The same without a copy, from the GPU itself: what of @changed, in the resource's pixels, @s shows. @flush: the fenced
 * command that waits for it, at the first call; NULL: none. False if that can't be: not with this resource, this host, or this
 * display.
 */
bool gpu_present_buffer(struct gpu *g, struct gpu_scanout *s, const struct display_rect *changed,
			struct gpu_flush *flush);
/*
 * For @cmd, if it is to wait; else NULL. Then gpu_flush_end(): GPU_PENDING, or @code if something was wrong or there is
 * nothing to wait for.
 */
struct gpu_flush *gpu_flush_begin(struct gpu *g, const struct gpu_command *cmd);
uint32_t gpu_flush_end(struct gpu_flush *f, uint32_t code);
void gpu_tell_blank(struct gpu *g, struct gpu_scanout *s);
void gpu_tell_cursor(struct gpu *g, struct gpu_scanout *s);
/*
 * All of what @s shows now; @is_current: the frame was kept up to date. Returns 0, -ENODATA (nothing), or a negative errno
 * of the renderer.
 */
int gpu_read_frame(struct gpu *g, struct gpu_scanout *s, bool is_current, struct display_frame *frame);
/*
 * Have the frontend's display answer GET_DISPLAY_INFO or GET_EDID. Returns GPU_PENDING, or @own: what the handler has put
 * into @cmd is the answer.
 */
uint32_t gpu_ask_display(struct gpu *g, struct gpu_command *cmd, uint32_t own);
/* What waits for answers gets our own; flushes wait no longer than a stop of the rings does. */
void gpu_answer_questions(struct gpu *g);
/* Finish what waits for answers, and flushes; the guest is not told any. */
void gpu_end_questions(struct gpu *g);

/* Handlers: a VIRTIO_GPU_RESP_* code each. commands_scanout.c: */
uint32_t gpu_get_display_info(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_get_edid(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_set_scanout(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_set_scanout_blob(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_resource_flush(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_update_cursor(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_move_cursor(struct gpu *g, struct gpu_command *cmd);
/* commands_resource.c: */
uint32_t gpu_resource_create_2d(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_resource_create_3d(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_resource_create_blob(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_resource_unref(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_resource_assign_uuid(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_resource_attach_backing(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_resource_detach_backing(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_transfer_to_host_2d(struct gpu *g, struct gpu_command *cmd);
/* host_blob.c: */
uint32_t gpu_resource_map_blob(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_resource_unmap_blob(struct gpu *g, struct gpu_command *cmd);
/* commands_3d.c: */
uint32_t gpu_get_capset_info(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_get_capset(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_ctx_create(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_ctx_destroy(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_ctx_attach_resource(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_ctx_detach_resource(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_transfer_to_host_3d(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_transfer_from_host_3d(struct gpu *g, struct gpu_command *cmd);
uint32_t gpu_submit_3d(struct gpu *g, struct gpu_command *cmd);
/* One that a process died over: its draws are left out, or its context is lost. */
void gpu_submit_3d_skipped(struct gpu *g, struct gpu_command *cmd);

#endif
