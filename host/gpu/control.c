// SPDX-License-Identifier: MIT
/*
 * What a user asks of the device (host/virtio/display_control.h). A screenshot is read on the gpu loop, at the cost of
 * one frame, and encoded on a thread of its own.
 */
#include "host/gpu/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/base/loop.h"
#include "host/base/pool.h"
#include "host/display/picture.h"
#include "host/gpu/device.h"

struct gpu_shots {
	struct gpu *gpu;
	struct pool *pool;
	struct display_screenshot *first; /* the one in work, if busy, then those that wait */
	bool busy;
	struct picture picture;
	struct pool_job job;
	struct loop_task written;
};

/* ---- screenshots ---- */

static int take(struct gpu_shots *shots, unsigned display)
{
	struct gpu *g = shots->gpu;
	struct display_frame frame;
	struct display_rect whole;
	int err;

	if (display >= g->scanout_count)
		return -EINVAL;
	err = gpu_read_frame(g, &g->scanouts[display], gpu_is_watched(g), &frame);
	if (err < 0)
		return err;
	whole = (struct display_rect){0, 0, frame.width, frame.height};
	err = picture_update(&shots->picture, &frame, &whole);
	if (!err)
		picture_draw_cursor(&shots->picture, &g->scanouts[display].cursor);
	return err;
}

static void write_picture(struct pool_job *j)
{
	struct gpu_shots *shots = j->owner;

	shots->first->err = picture_write_png_fd(&shots->picture, shots->first->fd);
	loop_post(shots->gpu->device.loop, &shots->written);
}

static void end_first(struct gpu_shots *shots, int err)
{
	struct display_screenshot *s = shots->first;

	shots->first = s->next;
	s->err = err;
	s->done(s);
}

/* Until one is being written or none waits. */
static void start_next(struct gpu_shots *shots)
{
	while (shots->first && !shots->busy) {
		int err = take(shots, shots->first->display);

		if (!err && !shots->pool)
			err = pool_create("screenshot", 1, &shots->pool);
		if (err) {
			end_first(shots, err);
			continue;
		}
		shots->first->width = shots->picture.width;
		shots->first->height = shots->picture.height;
		shots->busy = true;
		pool_submit(shots->pool, &shots->job);
	}
}

static void end_writing(struct gpu_shots *shots)
{
	shots->busy = false;
	picture_finish(&shots->picture); /* they are rare, and big */
	end_first(shots, shots->first->err);
}

static void on_written(struct loop_task *t)
{
	struct gpu_shots *shots = t->owner;

	end_writing(shots);
	start_next(shots);
}

static void screenshot(void *device, struct display_screenshot *s)
{
	struct gpu *g = gpu_from_device(device);
	struct gpu_shots *shots = g->shots;
	struct display_screenshot **end;

	if (!shots) {
		shots = calloc(1, sizeof(*shots));
		if (!shots) {
			s->err = -ENOMEM;
			s->done(s);
			return;
		}
		shots->gpu = g;
		shots->job = (struct pool_job){.work = write_picture, .owner = shots};
		shots->written = (struct loop_task){.run = on_written, .owner = shots};
		g->shots = shots;
	}
	s->next = NULL;
	for (end = &shots->first; *end;)
		end = &(*end)->next;
	*end = s;
	start_next(shots);
}

void gpu_shots_destroy(struct gpu_shots *shots)
{
	if (!shots)
		return;
	/* Afterwards the picture that was being written is written, and its task posted. */
	pool_destroy(shots->pool);
	loop_unpost(shots->gpu->device.loop, &shots->written);
	if (shots->busy)
		end_writing(shots);
	while (shots->first)
		end_first(shots, -ECANCELED);
	picture_finish(&shots->picture);
	free(shots);
}

/* ---- the rest ---- */

static int set_mode(void *device, unsigned display, uint32_t width, uint32_t height)
{
	return gpu_set_mode(device, display, &(struct gpu_mode){width, height});
}

static int get_status(void *device, struct display_device_status *out)
{
	const struct gpu *g = gpu_from_device(device);

	*out = (struct display_device_status){
		.display_count = g->scanout_count,
		.commands = g->stats.commands,
		.errors = g->stats.errors,
		.fences = g->stats.fences,
		.frames = g->stats.frames,
		.pixel_copies = g->stats.pixel_copies,
		.pixel_copy_bytes = g->stats.pixel_copy_bytes,
	};
	snprintf(out->renderer, sizeof(out->renderer), "%s", g->renderer->ops->name);
	for (unsigned i = 0; i < g->scanout_count; i++) {
		const struct gpu_scanout *s = &g->scanouts[i];

		out->displays[i] = (struct display_status){
			.width = s->mode.width,
			.height = s->mode.height,
			.shown_width = s->res ? s->picture.rect.width : 0,
			.shown_height = s->res ? s->picture.rect.height : 0,
		};
	}
	return 0;
}

const struct display_control_ops gpu_display_control = {
	.get_status = get_status,
	.set_mode = set_mode,
	.screenshot = screenshot,
};
