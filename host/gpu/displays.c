// SPDX-License-Identifier: MIT
/*
 * The displays that the scanouts are shown on: the one of the configuration, and the vhost-user frontend's, which comes and
 * goes and knows its own sizes. What is asked of that one waits here for the answer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/display/vhost_gpu.h"
#include "host/gpu/device.h"

/* ---- showing ---- */

static bool has_remote(const struct gpu *g)
{
	return g->remote && display_vhost_gpu_is_connected(g->remote);
}

bool gpu_is_watched(const struct gpu *g)
{
	return (g->display && !g->display->ops->blind) || has_remote(g);
}

static void present(struct gpu *g, struct display_output *o, unsigned scanout, const struct display_frame *frame)
{
	int err = o->ops->present(o, scanout, frame);

	/* The guest did nothing wrong: the frame is lost, not the command. */
	if (err < 0)
		log_guest(LOG_TOPIC_GPU, &g->log_limit, "scanout %u: display %s did not take a frame: %s", scanout,
			  o->ops->name, strerror(-err));
}

void gpu_present(struct gpu *g, struct gpu_scanout *s, const struct display_frame *frame)
{
	if (g->display && !g->display->ops->blind)
		present(g, g->display, s->index, frame);
	if (g->remote)
		present(g, g->remote, s->index, frame);
}

/* ---- without a copy ---- */

/* A display that takes longer has its reasons, and the guest has none to wait for them. */
#define FLUSH_LIMIT_NS 100000000u

struct gpu_flush {
	struct gpu *gpu;
	struct gpu_command cmd;
	struct display_shown shown;
	struct loop_timer timer;
	bool waits;
	struct gpu_flush *next;
};

static void unlink_flush(struct gpu_flush *f)
{
	struct gpu_flush **at = &f->gpu->flushes;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	loop_cancel_timer(f->gpu->device.loop, &f->timer);
}

static void answer_flush(struct gpu_flush *f)
{
	unlink_flush(f);
	gpu_answer(f->gpu, &f->cmd, VIRTIO_GPU_RESP_OK_NODATA);
	free(f);
}

static void on_shown(struct display_shown *s)
{
	answer_flush(s->owner);
}

static void on_flush_timer(struct loop_timer *t)
{
	struct gpu_flush *f = t->owner;

	f->gpu->remote->ops->forget(f->gpu->remote, &f->shown);
	answer_flush(f);
}

struct gpu_flush *gpu_flush_begin(struct gpu *g, const struct gpu_command *cmd)
{
	struct gpu_flush *f = g->dmabuf && cmd->fenced && cmd->chain ? calloc(1, sizeof(*f)) : NULL;

	if (!f)
		return NULL;
	f->gpu = g;
	f->cmd = *cmd;
	f->shown = (struct display_shown){.shown = on_shown, .owner = f};
	f->timer = (struct loop_timer){.expired = on_flush_timer, .owner = f};
	f->next = g->flushes;
	g->flushes = f;
	return f;
}

uint32_t gpu_flush_end(struct gpu_flush *f, uint32_t code)
{
	if (!f)
		return code;
	if (f->waits && code == VIRTIO_GPU_RESP_OK_NODATA) {
		loop_arm_timer(f->gpu->device.loop, &f->timer, loop_now_ns() + FLUSH_LIMIT_NS);
		return GPU_PENDING;
	}
	if (f->waits)
		f->gpu->remote->ops->forget(f->gpu->remote, &f->shown);
	unlink_flush(f);
	free(f);
	return code;
}

static void end_flushes(struct gpu *g)
{
	while (g->flushes) {
		struct gpu_flush *f = g->flushes;

		g->flushes = f->next;
		g->remote->ops->forget(g->remote, &f->shown);
		loop_cancel_timer(g->device.loop, &f->timer);
		chain_finish(f->cmd.chain);
		free(f);
	}
}

bool gpu_present_buffer(struct gpu *g, struct gpu_scanout *s, const struct display_rect *changed,
			struct gpu_flush *flush)
{
	struct display_shown *shown = flush && !flush->waits ? &flush->shown : NULL;
	struct display_buffer buffer;
	struct display_rect damage;

	/* A display of the configuration needs pixels, and then they are there for both. */
	if (!g->dmabuf || !has_remote(g) || (g->display && !g->display->ops->blind) || s->picture.format ||
	    !g->renderer->ops->export_picture)
		return false;
	if (!gpu_scanout_damage(s, changed, &damage))
		return true;
	if (g->renderer->ops->export_picture(g->renderer, s->res, &buffer) < 0)
		return false;
	buffer.shown = s->picture.rect;
	if (g->remote->ops->present_buffer(g->remote, s->index, &buffer, &damage, shown) < 0)
		return false;
	if (shown)
		flush->waits = true;
	s->stale = true;
	g->stats.frames++;
	g->stats.dmabuf_frames++;
	return true;
}

/* ---- both ---- */

void gpu_tell_blank(struct gpu *g, struct gpu_scanout *s)
{
	if (g->display)
		g->display->ops->blank(g->display, s->index);
	if (g->remote)
		g->remote->ops->blank(g->remote, s->index);
}

void gpu_tell_cursor(struct gpu *g, struct gpu_scanout *s)
{
	if (g->display && g->display->ops->cursor)
		g->display->ops->cursor(g->display, s->index, &s->cursor);
	if (g->remote)
		g->remote->ops->cursor(g->remote, s->index, &s->cursor);
}

int gpu_read_frame(struct gpu *g, struct gpu_scanout *s, bool is_current, struct display_frame *frame)
{
	int err;

	if (!s->res)
		return -ENODATA;
	if (is_current && !s->stale) {
		gpu_scanout_frame(s, frame);
		return 0;
	}
	err = gpu_scanout_update(s, g->renderer, &s->picture.rect, frame);
	if (err < 0)
		return err;
	g->stats.pixel_copies++;
	g->stats.pixel_copy_bytes += (uint64_t)frame->width * frame->height * GPU_PIXEL_BYTES;
	return 0;
}

int gpu_set_display_socket(struct virtio_device *d, int fd)
{
	struct gpu *g = gpu_from_device(d);
	const bool was_watched = gpu_is_watched(g);
	int err = g->remote ? 0 : display_vhost_gpu_create(d->loop, &g->remote);

	if (err) {
		close(fd);
		return err;
	}
	err = display_vhost_gpu_connect(g->remote, fd);
	if (!err)
		log_line(LOG_TOPIC_GPU, LOG_INFO, "the frontend has a display; frames go there");
	for (unsigned i = 0; i < g->scanout_count && !err; i++) {
		struct gpu_scanout *s = &g->scanouts[i];
		struct display_cursor cursor = s->cursor;
		struct display_frame frame;

		if (gpu_read_frame(g, s, was_watched, &frame) == 0)
			present(g, g->remote, i, &frame);
		cursor.moved_only = false;
		if (cursor.pixels)
			g->remote->ops->cursor(g->remote, i, &cursor);
	}
	return err;
}

/* ---- asking ---- */

struct gpu_question {
	struct gpu *gpu;
	struct gpu_command cmd;
	struct display_question question;
	union {
		struct virtio_gpu_resp_display_info display_info;
		struct virtio_gpu_resp_edid edid;
	} answer; /* our own, then the display's */
	uint32_t code;
	struct gpu_question *next;
};

static void unlink_question(struct gpu_question *q)
{
	struct gpu_question **at = &q->gpu->questions;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
}

static void answered(struct display_question *question, const struct display_answer *a)
{
	struct gpu_question *q = question->owner;

	if (a && question->edid) {
		q->answer.edid.size = a->edid_bytes;
		memcpy(q->answer.edid.edid, a->edid, sizeof(q->answer.edid.edid));
	} else if (a) {
		for (unsigned i = 0; i < VIRTIO_GPU_MAX_SCANOUTS; i++) {
			struct virtio_gpu_display_one *mode = &q->answer.display_info.pmodes[i];
			const struct display_rect *r = &a->modes[i].rect;

			mode->enabled = i < q->gpu->scanout_count && a->modes[i].enabled;
			mode->r = mode->enabled ? (struct virtio_gpu_rect){r->x, r->y, r->width, r->height}
						: (struct virtio_gpu_rect){0};
		}
	}
	unlink_question(q);
	gpu_answer(q->gpu, &q->cmd, q->code);
	free(q);
}

uint32_t gpu_ask_display(struct gpu *g, struct gpu_command *cmd, uint32_t own)
{
	struct gpu_question *q = has_remote(g) && cmd->chain ? calloc(1, sizeof(*q)) : NULL;

	if (!q)
		return own;
	q->gpu = g;
	q->cmd = *cmd;
	q->code = own;
	memcpy((char *)&q->answer + sizeof(struct virtio_gpu_ctrl_hdr), cmd->answer, cmd->answer_bytes);
	q->cmd.answer = (char *)&q->answer + sizeof(struct virtio_gpu_ctrl_hdr);
	q->question = (struct display_question){
		.edid = cmd->type == VIRTIO_GPU_CMD_GET_EDID, .answered = answered, .owner = q};
	if (q->question.edid)
		q->question.scanout = cmd->u.edid.scanout;
	if (g->remote->ops->ask(g->remote, &q->question)) {
		free(q);
		return own;
	}
	q->next = g->questions;
	g->questions = q;
	return GPU_PENDING;
}

void gpu_answer_questions(struct gpu *g)
{
	while (g->questions) {
		struct gpu_question *q = g->questions;

		g->remote->ops->withdraw(g->remote, &q->question);
		answered(&q->question, NULL);
	}
}

void gpu_end_questions(struct gpu *g)
{
	end_flushes(g);
	while (g->questions) {
		struct gpu_question *q = g->questions;

		g->remote->ops->withdraw(g->remote, &q->question);
		g->questions = q->next;
		chain_finish(q->cmd.chain);
		free(q);
	}
}
