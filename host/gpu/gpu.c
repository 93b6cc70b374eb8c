// SPDX-License-Identifier: MIT
/*
 * The virtio-gpu device: queues, config space, dispatch, and the one place that answers.
 */
#include "host/gpu/gpu.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/step.h"
#include "host/gpu/device.h"
#include "host/gpu/export.h"
#include "host/virtio/counters.h"
#include "protocol/virgl.h"
#include "protocol/virtio.h"

#define ROOM(type) ((uint16_t)sizeof(struct type))
#define HEADER ROOM(virtio_gpu_ctrl_hdr)
#define ROW(name, request, answer, feature, handler) \
	{VIRTIO_GPU_CMD_##name, #name, ROOM(request), answer, VIRTIO_GPU_QUEUE_CONTROL, feature, handler, GPU_AGAIN_NEVER}
/* It makes, frees or binds something. */
#define OBJECT_ROW(name, request, answer, feature, handler) \
	{VIRTIO_GPU_CMD_##name, #name, ROOM(request), answer, VIRTIO_GPU_QUEUE_CONTROL, feature, handler, GPU_AGAIN_ONCE}
#define QUESTION_ROW(name, request, answer, feature, handler) \
	{VIRTIO_GPU_CMD_##name, #name, ROOM(request), ROOM(answer), VIRTIO_GPU_QUEUE_CONTROL, feature, handler, \
	 GPU_AGAIN_ALWAYS}
#define CURSOR_ROW(name, handler, again) \
	{VIRTIO_GPU_CMD_##name, #name, ROOM(virtio_gpu_update_cursor), 0, VIRTIO_GPU_QUEUE_CURSOR, GPU_ANY_FEATURES, handler, again}

static const struct gpu_command_row rows[] = {
	QUESTION_ROW(GET_DISPLAY_INFO, virtio_gpu_ctrl_hdr, virtio_gpu_resp_display_info, GPU_ANY_FEATURES,
		     gpu_get_display_info),
	QUESTION_ROW(GET_EDID, virtio_gpu_cmd_get_edid, virtio_gpu_resp_edid, VIRTIO_GPU_F_EDID, gpu_get_edid),
	OBJECT_ROW(RESOURCE_CREATE_2D, virtio_gpu_resource_create_2d, HEADER, GPU_ANY_FEATURES, gpu_resource_create_2d),
	OBJECT_ROW(RESOURCE_UNREF, virtio_gpu_resource_unref, HEADER, GPU_ANY_FEATURES, gpu_resource_unref),
	OBJECT_ROW(SET_SCANOUT, virtio_gpu_set_scanout, HEADER, GPU_ANY_FEATURES, gpu_set_scanout),
	ROW(RESOURCE_FLUSH, virtio_gpu_resource_flush, HEADER, GPU_ANY_FEATURES, gpu_resource_flush),
	ROW(TRANSFER_TO_HOST_2D, virtio_gpu_transfer_to_host_2d, HEADER, GPU_ANY_FEATURES, gpu_transfer_to_host_2d),
	OBJECT_ROW(RESOURCE_ATTACH_BACKING, virtio_gpu_resource_attach_backing, HEADER, GPU_ANY_FEATURES,
		   gpu_resource_attach_backing),
	OBJECT_ROW(RESOURCE_DETACH_BACKING, virtio_gpu_resource_detach_backing, HEADER, GPU_ANY_FEATURES,
		   gpu_resource_detach_backing),
	OBJECT_ROW(RESOURCE_ASSIGN_UUID, virtio_gpu_resource_assign_uuid, ROOM(virtio_gpu_resp_resource_uuid),
		   VIRTIO_GPU_F_RESOURCE_UUID, gpu_resource_assign_uuid),
	OBJECT_ROW(RESOURCE_CREATE_BLOB, virtio_gpu_resource_create_blob, HEADER, VIRTIO_GPU_F_RESOURCE_BLOB,
		   gpu_resource_create_blob),
	OBJECT_ROW(SET_SCANOUT_BLOB, virtio_gpu_set_scanout_blob, HEADER, VIRTIO_GPU_F_RESOURCE_BLOB,
		   gpu_set_scanout_blob),
	OBJECT_ROW(RESOURCE_MAP_BLOB, virtio_gpu_resource_map_blob, ROOM(virtio_gpu_resp_map_info),
		   VIRTIO_GPU_F_RESOURCE_BLOB, gpu_resource_map_blob),
	OBJECT_ROW(RESOURCE_UNMAP_BLOB, virtio_gpu_resource_unmap_blob, HEADER, VIRTIO_GPU_F_RESOURCE_BLOB,
		   gpu_resource_unmap_blob),
	/* Linux takes what comes for the answer, an error too, and never asks again: programs would get what is no capset. */
	QUESTION_ROW(GET_CAPSET_INFO, virtio_gpu_get_capset_info, virtio_gpu_resp_capset_info, VIRTIO_GPU_F_VIRGL,
		     gpu_get_capset_info),
	QUESTION_ROW(GET_CAPSET, virtio_gpu_get_capset, virtio_gpu_ctrl_hdr, VIRTIO_GPU_F_VIRGL, gpu_get_capset),
	OBJECT_ROW(CTX_CREATE, virtio_gpu_ctx_create, HEADER, VIRTIO_GPU_F_VIRGL, gpu_ctx_create),
	OBJECT_ROW(CTX_DESTROY, virtio_gpu_ctx_destroy, HEADER, VIRTIO_GPU_F_VIRGL, gpu_ctx_destroy),
	OBJECT_ROW(CTX_ATTACH_RESOURCE, virtio_gpu_ctx_resource, HEADER, VIRTIO_GPU_F_VIRGL, gpu_ctx_attach_resource),
	OBJECT_ROW(CTX_DETACH_RESOURCE, virtio_gpu_ctx_resource, HEADER, VIRTIO_GPU_F_VIRGL, gpu_ctx_detach_resource),
	OBJECT_ROW(RESOURCE_CREATE_3D, virtio_gpu_resource_create_3d, HEADER, VIRTIO_GPU_F_VIRGL,
		   gpu_resource_create_3d),
	ROW(TRANSFER_TO_HOST_3D, virtio_gpu_transfer_host_3d, HEADER, VIRTIO_GPU_F_VIRGL, gpu_transfer_to_host_3d),
	ROW(TRANSFER_FROM_HOST_3D, virtio_gpu_transfer_host_3d, HEADER, VIRTIO_GPU_F_VIRGL, gpu_transfer_from_host_3d),
	ROW(SUBMIT_3D, virtio_gpu_cmd_submit, HEADER, VIRTIO_GPU_F_VIRGL, gpu_submit_3d),
	/* Drivers leave no room for an answer on the cursor queue. */
	CURSOR_ROW(UPDATE_CURSOR, gpu_update_cursor, GPU_AGAIN_RESTORED),
	CURSOR_ROW(MOVE_CURSOR, gpu_move_cursor, GPU_AGAIN_ALWAYS),
	{0},
};

static const struct virtio_device_ops gpu_ops;

struct gpu *gpu_from_device(struct virtio_device *d)
{
	assert(d->ops == &gpu_ops);
	return (struct gpu *)d;
}

/* ---- refusals ---- */

uint32_t gpu_refuse(struct gpu *g, const struct gpu_command *cmd, uint32_t code, const char *format, ...)
{
	char why[200], name[24];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	log_guest(LOG_TOPIC_GPU, &g->log_limit, "%s: %s", gpu_command_name(cmd, name, sizeof(name)), why);
	return code;
}

uint32_t gpu_renderer_failed(struct gpu *g, const struct gpu_command *cmd, int err, const char *what, uint32_t id)
{
	uint32_t code;

	switch (err) {
	case -EINVAL:
		code = VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
		break;
	case -ENOMEM:
		code = VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
		break;
	case -ENOENT:
		code = VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
		break;
	default:
		code = VIRTIO_GPU_RESP_ERR_UNSPEC;
		break;
	}
	return gpu_refuse(g, cmd, code, "%s %u: renderer %s: %s", what, id, g->renderer->ops->name, strerror(-err));
}

/* ---- the answer point ---- */

/* The timeline that @cmd's fence is on, or false when it names one that can't exist. */
static bool timeline_of(struct gpu *g, const struct gpu_command *cmd, struct renderer_timeline *out)
{
	memset(out, 0, sizeof(*out));
	if (!cmd->has_ring)
		return true;
	out->ctx_id = cmd->ctx_id;
	out->ring_idx = cmd->ring_idx;
	out->has_ring = true;
	return gpu_context_find(g->contexts, cmd->ctx_id) != NULL;
}

/*
 * Hand a fenced request, already answered in guest memory, back to the driver when its turn on the timeline comes.
 * A failed one waits as well: drivers take its fence id as "everything up to here is done".
 */
static void finish_fenced(struct gpu *g, const struct gpu_command *cmd, struct chain *c, bool failed)
{
	struct renderer *r = g->renderer;
	struct renderer_timeline timeline;
	uint64_t seq;
	int err;

	g->stats.fences++;
	/* A ring of a context that is gone (this very command may have destroyed it) has nothing left to wait for. */
	if (!r->ops->create_fence || !timeline_of(g, cmd, &timeline)) {
		chain_finish(c);
		return;
	}
	seq = gpu_fences_next(g->fences);
	if (failed) {
		err = gpu_fences_follow(g->fences, &timeline, c);
	} else {
		err = r->ops->create_fence(r, &timeline, seq);
		if (err < 0) {
			log_guest(LOG_TOPIC_GPU, &g->log_limit, "context %u ring %u: no fence: %s", timeline.ctx_id,
				  timeline.ring_idx, strerror(-err));
			err = gpu_fences_follow(g->fences, &timeline, c);
		} else if (err > 0) {
			err = gpu_fences_follow(g->fences, &timeline, c);
		} else {
			err = gpu_fences_hold(g->fences, &timeline, c, seq);
		}
	}
	/* Too early is better than never: the driver waits for it. */
	if (err < 0)
		chain_finish(c);
}

/* It was answered in guest memory. */
static void give_back(struct gpu *g, const struct gpu_command *cmd, struct chain *c, bool failed)
{
	if (cmd->fenced)
		finish_fenced(g, cmd, c, failed);
	else
		chain_finish(c);
}

void gpu_answer(struct gpu *g, struct gpu_command *cmd, uint32_t code)
{
	struct chain *c = cmd->chain;
	const bool failed = code >= VIRTIO_GPU_RESP_ERR_UNSPEC;
	struct virtio_gpu_ctrl_hdr header = {.type = code};
	struct writer *w = chain_writer(c);

	if (failed)
		g->stats.errors++;
	if (log_enabled(LOG_TOPIC_GPU, LOG_TRACE))
		log_line(LOG_TOPIC_GPU, LOG_TRACE, "#%llu answer 0x%x", (unsigned long long)cmd->serial, code);
	if (chain_stage(c) == CHAIN_TAKEN)
		chain_set_stage(c, CHAIN_EXECUTING);
	/* Section 5.7.6.7: an answer to a fenced request carries the fence back. */
	if (cmd->fenced) {
		header.flags = VIRTIO_GPU_FLAG_FENCE;
		header.fence_id = cmd->fence_id;
		header.ctx_id = cmd->ctx_id;
		if (cmd->has_ring) {
			header.flags |= VIRTIO_GPU_FLAG_INFO_RING_IDX;
			header.ring_idx = cmd->ring_idx;
		}
	}
	/* No room: the driver learns from the used length 0. A refusal for lack of room was logged already. */
	if (write_obj(w, &header) == 0 && !failed && cmd->answer_bytes > 0 &&
	    writer_copy(w, cmd->answer, cmd->answer_bytes) < 0)
		log_guest(LOG_TOPIC_GPU, &g->log_limit, "%s: answer cut: no room", cmd->row->name);
	chain_keep_answer(c);
	gpu_record_tried(g, chain_tag(c));
	gpu_record_commit(g, chain_tag(c));
	step_reached(STEP_RECORDED);
	chain_set_stage(c, CHAIN_APPLIED);
	give_back(g, cmd, c, failed);
}

/* ---- dispatch ---- */

/*
 * The process that executed it died: what it did of it is not known, so it is not done again. A flush, which may only have
 * waited for the display, is done: all screens have been painted since, and what is restored has been.
 */
static uint32_t answer_unknown(struct gpu *g, struct gpu_command *cmd)
{
	if (cmd->type == VIRTIO_GPU_CMD_RESOURCE_FLUSH || cmd->row->again == GPU_AGAIN_RESTORED)
		return VIRTIO_GPU_RESP_OK_NODATA;
	if (cmd->type == VIRTIO_GPU_CMD_SUBMIT_3D)
		gpu_submit_3d_skipped(g, cmd);
	return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_UNSPEC, "context %u: the process that executed it died", cmd->ctx_id);
}

/* A process that dies at @row's command leaves it executing from the start on: it can't be taken for one that nobody began. */
static bool executes_at_once(const struct gpu_command_row *row)
{
	return row->again == GPU_AGAIN_NEVER || row->again == GPU_AGAIN_ONCE;
}

/* The next process may do it, if it was not tried before. */
static bool may_be_tried(const struct gpu_command_row *row)
{
	return row->again == GPU_AGAIN_ONCE || row->again == GPU_AGAIN_ALWAYS;
}

static void handle(struct gpu *g, struct chain *c, unsigned queue)
{
	struct gpu_command cmd;
	uint32_t code;

	code = gpu_command_decode(&cmd, c, queue, g->device.negotiated, rows);
	cmd.serial = ++g->serial;
	cmd.chain = c;
	g->stats.commands++;
	if (log_enabled(LOG_TOPIC_GPU, LOG_TRACE)) {
		char name[24];

		log_line(LOG_TOPIC_GPU, LOG_TRACE, "#%llu %s context %u%s fence %llu", (unsigned long long)cmd.serial,
			 gpu_command_name(&cmd, name, sizeof(name)), cmd.ctx_id, cmd.fenced ? "" : " no",
			 (unsigned long long)cmd.fence_id);
	}
	if (chain_stage(c) == CHAIN_EXECUTING && g->journal && journal_last_tag(g->journal) == chain_tag(c))
		chain_was_applied(c);
	if (chain_stage(c) == CHAIN_APPLIED) {
		give_back(g, &cmd, c, false);
		return;
	}
	if (chain_stage(c) == CHAIN_EXECUTING && code == 0 &&
	    !(may_be_tried(cmd.row) && gpu_record_try(g, chain_tag(c)))) {
		gpu_answer(g, &cmd, answer_unknown(g, &cmd));
		return;
	}
	if (chain_stage(c) == CHAIN_TAKEN && (code != 0 || executes_at_once(cmd.row)))
		chain_set_stage(c, CHAIN_EXECUTING);
	if (code != 0)
		gpu_refuse(g, &cmd, code, "%s", cmd.why);
	else if (g->degraded && cmd.row->feature == VIRTIO_GPU_F_VIRGL && cmd.type != VIRTIO_GPU_CMD_GET_CAPSET_INFO)
		code = gpu_refuse(g, &cmd, VIRTIO_GPU_RESP_ERR_UNSPEC,
				  "3D is off: the process that draws died too often; start the machine anew for another try");
	else if (cmd.fenced && gpu_fences_waiting(g->fences, NULL) >= g->limits.pending)
		code = gpu_refuse(g, &cmd, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY, "%u fenced requests wait already",
				  g->limits.pending);
	else if (cmd.fenced && cmd.has_ring && cmd.type != VIRTIO_GPU_CMD_CTX_CREATE &&
		 !gpu_context_find(g->contexts, cmd.ctx_id))
		code = gpu_refuse(g, &cmd, VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID,
				  "fence on ring %u of context %u, which doesn't exist; create it first", cmd.ring_idx, cmd.ctx_id);
	else
		code = cmd.row->handler(g, &cmd);
	if (code != GPU_PENDING)
		gpu_answer(g, &cmd, code);
}

static void handle_control(void *owner, struct chain *c)
{
	handle(owner, c, VIRTIO_GPU_QUEUE_CONTROL);
}

static void handle_cursor(void *owner, struct chain *c)
{
	handle(owner, c, VIRTIO_GPU_QUEUE_CURSOR);
}

static void on_fence_done(void *owner, const struct renderer_timeline *timeline, uint64_t seq)
{
	struct gpu *g = owner;

	gpu_fences_done(g->fences, timeline, seq);
	gpu_share_set_busy(&g->share, gpu_fences_waiting(g->fences, NULL));
}

/*
 * The guest reads what its resource begins with until the state says that there is a result. What is not the context's (any
 * more) is another program's: the renderer, which looks after that, has not seen this query, or does not look at it again.
 */
static void on_query_lost(void *owner, uint32_t ctx_id, uint32_t resource_id)
{
	struct gpu *g = owner;
	const struct gpu_context *ctx = gpu_context_find(g->contexts, ctx_id);
	const struct gpu_resource *res = gpu_resource_find(g->resources, resource_id);
	struct virgl_query_result *at;

	if (!ctx || !gpu_context_has(ctx, resource_id))
		return;
	if (!res || res->backing_count == 0 || res->backing[0].iov_len < sizeof(*at))
		return;
	at = res->backing[0].iov_base;
	/* One that is there already stays, and a guest's driver has them at whole words. */
	if ((uintptr_t)at % _Alignof(struct virgl_query_result) ||
	    __atomic_load_n(&at->state, __ATOMIC_RELAXED) == VIRGL_QUERY_DONE)
		return;
	at->result = 0;
	at->result_bytes = sizeof(at->result);
	/* Release: the guest sees the result before the state. */
	__atomic_store_n(&at->state, VIRGL_QUERY_DONE, __ATOMIC_RELEASE);
}

static void on_progress(void *owner)
{
	virtio_device_progress(&((struct gpu *)owner)->device);
}

static bool has_more(void *owner)
{
	const struct gpu *g = owner;

	return virtq_has_more(g->device.queues[VIRTIO_GPU_QUEUE_CONTROL]);
}

/* ---- what the guest made, unmade ---- */

void gpu_blank_scanout(struct gpu *g, struct gpu_scanout *s)
{
	if (!s->res)
		return;
	gpu_scanout_off(s, g->resources);
	gpu_record_scanout(g, s);
	gpu_tell_blank(g, s);
}

void gpu_drop_resource(struct gpu *g, struct gpu_resource *res)
{
	for (unsigned i = 0; i < g->scanout_count; i++) {
		if (g->scanouts[i].res == res)
			gpu_blank_scanout(g, &g->scanouts[i]);
	}
	for (struct gpu_context *ctx = gpu_context_first(g->contexts); ctx; ctx = gpu_context_next(g->contexts, ctx)) {
		if (!gpu_context_detach(ctx, res->id))
			continue;
		gpu_resource_uncharge(g->resources, GPU_ATTACHMENT_BYTES);
		gpu_record_attachment(g, ctx->id, res->id, false);
	}
	gpu_record_resource_gone(g, res);
	if (res->backing && g->renderer->ops->backing_detach)
		g->renderer->ops->backing_detach(g->renderer, res);
	g->renderer->ops->resource_destroy(g->renderer, res);
	gpu_withdraw_resource(g, res);
	gpu_host_blob_drop(g, res);
	gpu_resource_remove(g->resources, res);
}

void gpu_drop_context(struct gpu *g, struct gpu_context *ctx)
{
	const uint32_t id = ctx->id;

	gpu_record_context_gone(g, id);
	g->renderer->ops->context_destroy(g->renderer, id);
	gpu_resource_uncharge(g->resources, (uint64_t)GPU_ATTACHMENT_BYTES * gpu_context_attachments(ctx));
	gpu_context_remove(g->contexts, ctx);
	gpu_fences_end_context(g->fences, id);
}

/* ---- device ops ---- */

/* Whoever wrote there before has died. Without it the device goes on, and starts again after a death. */
static int load(struct journal *j)
{
	int err = journal_load(j);

	if (err)
		log_line(LOG_TOPIC_GPU, LOG_ERROR, "the journal can't be read: %s", strerror(-err));
	return err;
}

/* The guest's memory is there now, and none of its requests was looked at. */
static int start(struct virtio_device *d)
{
	struct gpu *g = gpu_from_device(d);
	struct journal *j = g->unrestored;

	g->unrestored = NULL;
	if (j && load(j) == 0)
		gpu_restore(g, j);
	gpu_record_capsets(g);
	gpu_record_commit(g, 0);
	return 0;
}

/* Take requests until there are none, or the guest's share is spent. The share also bounds how long the loop is kept. */
static void drain_share(struct gpu *g)
{
	struct virtq *q = g->device.queues[VIRTIO_GPU_QUEUE_CONTROL];
	struct chain *c;

	while (!gpu_share_is_spent(&g->share) && virtq_pop(q, &c) == 1) {
		gpu_share_set_busy(&g->share, true);
		handle(g, c, VIRTIO_GPU_QUEUE_CONTROL);
		gpu_share_set_busy(&g->share, gpu_fences_waiting(g->fences, NULL));
	}
}

static void resume_share(void *owner)
{
	virtio_device_kick(&((struct gpu *)owner)->device, VIRTIO_GPU_QUEUE_CONTROL);
}

static void pause_renderer(struct gpu *g, bool paused)
{
	if (paused != g->paused && g->renderer->ops->pause)
		g->renderer->ops->pause(g->renderer, paused);
	g->paused = paused;
}

static void kick(struct virtio_device *d, unsigned q)
{
	struct gpu *g = gpu_from_device(d);

	if (q == VIRTIO_GPU_QUEUE_CONTROL)
		pause_renderer(g, false);
	if (q == VIRTIO_GPU_QUEUE_CONTROL && gpu_window_is_busy(&g->window))
		virtq_hold(d->queues[q], true);
	if (q == VIRTIO_GPU_QUEUE_CONTROL && gpu_share_is_limited(&g->share))
		drain_share(g);
	else
		virtq_drain(d->queues[q], q == VIRTIO_GPU_QUEUE_CURSOR ? handle_cursor : handle_control, g);
}

static void reset(struct virtio_device *d)
{
	struct gpu *g = gpu_from_device(d);
	struct journal *journal = g->unrestored ? g->unrestored : g->journal;

	if (journal && load(journal))
		journal = NULL;
	/* In one step: a death on the way leaves all of it or nothing. */
	g->journal = journal;
	gpu_record_clear(g);
	g->journal = g->unrestored = NULL;
	memset(g->lost_capsets, 0, sizeof(g->lost_capsets));
	pause_renderer(g, false);
	gpu_window_reset(g);
	while (gpu_context_first(g->contexts))
		gpu_drop_context(g, gpu_context_first(g->contexts));
	while (gpu_resource_first(g->resources))
		gpu_drop_resource(g, gpu_resource_first(g->resources));
	gpu_end_questions(g);
	gpu_fences_reset(g->fences);
	g->renderer->ops->reset(g->renderer);
	gpu_share_set_busy(&g->share, false);
	for (unsigned i = 0; i < g->scanout_count; i++) {
		struct gpu_scanout *s = &g->scanouts[i];

		if (!s->cursor.pixels)
			continue;
		s->cursor = (struct display_cursor){0};
		gpu_tell_cursor(g, s);
	}
	g->events = 0;
	g->journal = journal;
}

/*
 * A frontend that stops rings answers no questions of ours meanwhile, and a picture may take seconds to draw: its fence is
 * given back too early, as the driver waits for it (finish_fenced()).
 */
static void quiesce(struct virtio_device *d, unsigned q)
{
	struct gpu *g = gpu_from_device(d);

	if (q != VIRTIO_GPU_QUEUE_CONTROL)
		return;
	/* Their requests may have fences. */
	gpu_window_give_up(g);
	gpu_answer_questions(g);
	gpu_fences_reset(g->fences);
	gpu_share_set_busy(&g->share, false);
}

/* A query of the guest's may have its result later. */
static void stopped(struct virtio_device *d, unsigned q)
{
	if (q == VIRTIO_GPU_QUEUE_CONTROL)
		pause_renderer(gpu_from_device(d), true);
}

/* Section 5.7.4: only events_clear can be written; each 1 in it clears that event. */
static int config(struct virtio_device *d, uint32_t off, void *buf, size_t n, bool write)
{
	struct gpu *g = gpu_from_device(d);
	struct virtio_gpu_config space = {
		.events_read = g->events,
		.num_scanouts = g->scanout_count,
		.num_capsets = g->capset_count,
	};

	if (off > sizeof(space) || n > sizeof(space) - off)
		return -EINVAL;
	if (!write) {
		memcpy(buf, (const char *)&space + off, n);
		return 0;
	}
	if (off < offsetof(struct virtio_gpu_config, events_clear) ||
	    off + n > offsetof(struct virtio_gpu_config, num_scanouts))
		return -EINVAL;
	memcpy((char *)&space + off, buf, n);
	g->events &= ~space.events_clear;
	return 0;
}

static void destroy(struct virtio_device *d)
{
	struct gpu *g = gpu_from_device(d);

	gpu_share_finish(&g->share);
	gpu_shots_destroy(g->shots);
	if (g->renderer)
		g->renderer->ops->destroy(g->renderer);
	gpu_end_questions(g);
	display_destroy(g->remote);
	display_destroy(g->display);
	gpu_fences_destroy(g->fences);
	gpu_content_destroy(g->content);
	gpu_context_table_destroy(g->contexts);
	gpu_resource_table_destroy(g->resources);
	gpu_window_close(g);
	free(g->capset_buffer);
	free(g->submit_buffer);
	virtio_device_finish(d);
	free(g);
}

/* Section 5.7.2. Mesa keeps many small command buffers in flight, the cursor few. */
static const uint16_t queue_sizes[] = {256, 16, 0};

static void count(struct virtio_device *d, struct counters *out)
{
	const struct gpu *g = gpu_from_device(d);

	counters_add_text(out, NULL, "renderer", g->renderer->ops->name);
	counters_add(out, NULL, "commands", g->stats.commands);
	counters_add(out, NULL, "errors", g->stats.errors);
	counters_add(out, NULL, "fences", g->stats.fences);
	counters_add(out, NULL, "frames", g->stats.frames);
	counters_add(out, NULL, "dmabuf-frames", g->stats.dmabuf_frames);
	counters_add(out, NULL, "pixel-copies", g->stats.pixel_copies);
	counters_add(out, NULL, "pixel-copy-bytes", g->stats.pixel_copy_bytes);
	counters_add_ratio(out, NULL, "copies-per-frame", g->stats.pixel_copies, g->stats.frames);
	counters_add(out, NULL, "unrecorded", g->stats.unrecorded);
}

static const struct virtio_device_ops gpu_ops = {
	.name = "gpu",
	.id = VIRTIO_ID_GPU,
	.features = VIRTIO_BIT(VIRTIO_GPU_F_EDID),
	.queue_max = queue_sizes,
	.config_bytes = sizeof(struct virtio_gpu_config),
	.start = start,
	.count = count,
	.kick = kick,
	.reset = reset,
	.quiesce = quiesce,
	.stopped = stopped,
	.config = config,
	.destroy = destroy,
};

/* ---- construction ---- */

/* Count the capsets and make room for the biggest. */
static int count_capsets(struct gpu *g)
{
	struct renderer_capset capset;

	while (g->renderer->ops->capset_info(g->renderer, g->capset_count, &capset) == 0) {
		g->capset_count++;
		if (capset.max_size > g->capset_buffer_bytes)
			g->capset_buffer_bytes = capset.max_size;
	}
	if (g->capset_buffer_bytes == 0)
		return 0;
	g->capset_buffer = malloc(g->capset_buffer_bytes);
	return g->capset_buffer ? 0 : -ENOMEM;
}

#define RENDERER_FEATURES \
	(VIRTIO_BIT(VIRTIO_GPU_F_VIRGL) | VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_UUID) | \
	 VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_BLOB) | VIRTIO_BIT(VIRTIO_GPU_F_CONTEXT_INIT))

/* What the renderer offers, without features whose ops it lacks. */
static uint64_t renderer_features(const struct gpu *g)
{
	const struct renderer_ops *ops = g->renderer->ops;
	uint64_t features = ops->features(g->renderer);

	/* What a driver has accepted it can't be refused later. */
	if (g->degraded)
		return RENDERER_FEATURES;
	if (!ops->capset || !ops->context_create || !ops->context_destroy || !ops->context_attach ||
	    !ops->context_detach || !ops->submit || !ops->transfer_from_host)
		features &= ~(VIRTIO_BIT(VIRTIO_GPU_F_VIRGL) | VIRTIO_BIT(VIRTIO_GPU_F_CONTEXT_INIT));
	return features & RENDERER_FEATURES;
}

int gpu_create(const struct gpu_config *config_in, struct loop *loop, const struct guest_mem *mem,
	       struct virtio_device **out)
{
	struct renderer_config rc = {.loop = loop,
				     .render_node = config_in->render_node,
				     .fence_done = on_fence_done,
				     .query_lost = on_query_lost,
				     .progress = on_progress,
				     .has_more = has_more};
	struct gpu *g;
	int err;

	if (config_in->scanouts < 1 || config_in->scanouts > VIRTIO_GPU_MAX_SCANOUTS) {
		log_line(LOG_TOPIC_GPU, LOG_ERROR, "%u scanouts; 1 to %u are possible", config_in->scanouts,
			 VIRTIO_GPU_MAX_SCANOUTS);
		return -EINVAL;
	}
	if (config_in->share < GPU_SHARE_MIN || config_in->share > 100) {
		log_line(LOG_TOPIC_GPU, LOG_ERROR, "a share of %u percent; %u to 100 are possible", config_in->share,
			 GPU_SHARE_MIN);
		return -EINVAL;
	}
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->limits = config_in->limits;
	g->objects = config_in->objects;
	g->scanout_count = config_in->scanouts;
	for (unsigned i = 0; i < g->scanout_count; i++) {
		g->scanouts[i].index = i;
		g->scanouts[i].mode = config_in->modes[i];
	}
	rc.limits = &g->limits;
	rc.log_limit = &g->log_limit;
	rc.owner = g;
	err = gpu_resource_table_create(&g->limits, &g->resources);
	if (err < 0)
		goto free_gpu;
	err = gpu_context_table_create(g->limits.contexts, &g->contexts);
	if (err < 0)
		goto free_resources;
	err = config_in->journal ? gpu_content_create(config_in->journal, g->resources, &g->content) : 0;
	if (err < 0)
		goto free_contexts;
	err = gpu_fences_create(&g->fences);
	if (err < 0)
		goto free_content;
	rc.journal = config_in->journal;
	rc.content = g->content;
	g->dmabuf = config_in->dmabuf;
	g->degraded = config_in->degraded;
	err = renderer_start(config_in->renderers ? config_in->renderers : renderers,
			     g->degraded ? renderer_2d_ops.name : config_in->renderer, &rc, &g->renderer);
	if (err < 0)
		goto free_fences;
	err = count_capsets(g);
	if (err < 0)
		goto free_renderer;
	err = virtio_device_init(&g->device, &gpu_ops, gpu_ops.features | renderer_features(g), loop, mem);
	if (err < 0)
		goto free_capsets;
	gpu_share_init(&g->share, loop, config_in->share, resume_share, g);
	gpu_window_open(g, config_in->host_visible_bytes, config_in->shared_fd);
	if (g->window.heap)
		virtio_device_set_shmem(&g->device, VIRTIO_GPU_SHM_ID_HOST_VISIBLE, config_in->host_visible_bytes);
	g->display = config_in->display;
	g->unrestored = config_in->journal;
	*out = &g->device;
	return 0;

free_capsets:
	free(g->capset_buffer);
free_renderer:
	g->renderer->ops->destroy(g->renderer);
free_fences:
	gpu_fences_destroy(g->fences);
free_content:
	gpu_content_destroy(g->content);
free_contexts:
	gpu_context_table_destroy(g->contexts);
free_resources:
	gpu_resource_table_destroy(g->resources);
free_gpu:
	free(g);
	return err;
}

int gpu_set_mode(struct virtio_device *d, unsigned scanout, const struct gpu_mode *mode)
{
	struct gpu *g = gpu_from_device(d);
	const bool none = mode->width == 0 && mode->height == 0;

	if (scanout >= g->scanout_count || (!none && (mode->width == 0 || mode->height == 0)) ||
	    mode->width > GPU_MAX_SIZE || mode->height > GPU_MAX_SIZE)
		return -EINVAL;
	g->scanouts[scanout].mode = *mode;
	g->events |= VIRTIO_GPU_EVENT_DISPLAY;
	virtio_device_config_changed(d);
	return 0;
}

void gpu_get_stats(struct virtio_device *d, struct gpu_stats *out)
{
	const struct gpu *g = gpu_from_device(d);

	*out = g->stats;
	out->object_uploads = g->renderer->object_uploads;
}
