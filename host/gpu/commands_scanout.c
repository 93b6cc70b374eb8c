// SPDX-License-Identifier: MIT
/*
 * Displays: what the guest learns of them, what it shows on them, the cursor (virtio 1.4, sections 5.7.6.8, 5.7.6.10).
 */
#include <string.h>

#include "host/gpu/backing.h"
#include "host/gpu/device.h"
#include "host/gpu/edid.h"

uint32_t gpu_get_display_info(struct gpu *g, struct gpu_command *cmd)
{
	struct virtio_gpu_resp_display_info *info = &g->answer.display_info;
	uint32_t x = 0;

	memset(info, 0, sizeof(*info));
	for (unsigned i = 0; i < g->scanout_count; i++) {
		const struct gpu_mode *mode = &g->scanouts[i].mode;

		if (mode->width == 0)
			continue;
		/* Side by side, so that a guest that obeys the positions gets one wide desktop. */
		info->pmodes[i].r.x = x;
		info->pmodes[i].r.width = mode->width;
		info->pmodes[i].r.height = mode->height;
		info->pmodes[i].enabled = 1;
		x += mode->width;
	}
	gpu_answer_with(cmd, info);
	return gpu_ask_display(g, cmd, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
}

static struct gpu_scanout *find_scanout(struct gpu *g, uint32_t id)
{
	return id < g->scanout_count ? &g->scanouts[id] : NULL;
}

static uint32_t no_scanout(struct gpu *g, const struct gpu_command *cmd, uint32_t id)
{
	return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID, "no scanout %u; %u is the last", id,
			  g->scanout_count - 1);
}

uint32_t gpu_get_edid(struct gpu *g, struct gpu_command *cmd)
{
	const struct gpu_scanout *s = find_scanout(g, cmd->u.edid.scanout);
	struct virtio_gpu_resp_edid *edid = &g->answer.edid;

	if (!s)
		return no_scanout(g, cmd, cmd->u.edid.scanout);
	memset(edid, 0, sizeof(*edid));
	if (s->mode.width != 0) {
		const struct edid_info info = {s->mode.width, s->mode.height, s->index};

		edid->size = (uint32_t)edid_generate(&info, edid->edid);
	}
	gpu_answer_with(cmd, edid);
	return gpu_ask_display(g, cmd, VIRTIO_GPU_RESP_OK_EDID);
}

static uint32_t show(struct gpu *g, const struct gpu_command *cmd, struct gpu_scanout *s, struct gpu_resource *res,
		     const struct gpu_picture *picture)
{
	int err = gpu_scanout_set(s, g->resources, res, picture);

	if (err < 0)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY,
				  "scanout %u: no memory for a frame of %ux%u; free resources or raise memory=", s->index,
				  picture->rect.width, picture->rect.height);
	gpu_record_scanout(g, s);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static bool rect_is_inside(const struct virtio_gpu_rect *r, uint32_t width, uint32_t height)
{
	return r->x <= width && r->width <= width - r->x && r->y <= height && r->height <= height - r->y;
}

uint32_t gpu_set_scanout(struct gpu *g, struct gpu_command *cmd)
{
	const struct virtio_gpu_set_scanout *w = &cmd->u.set_scanout;
	struct gpu_scanout *s = find_scanout(g, w->scanout_id);
	struct gpu_picture picture;
	struct gpu_resource *res;

	if (!s)
		return no_scanout(g, cmd, w->scanout_id);
	if (w->resource_id == 0) {
		gpu_blank_scanout(g, s);
		return VIRTIO_GPU_RESP_OK_NODATA;
	}
	res = gpu_resource_find(g->resources, w->resource_id);
	if (!res)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, "scanout %u: no resource %u; create it first",
				  w->scanout_id, w->resource_id);
	if (gpu_is_blob(res))
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID,
				  "scanout %u: resource %u is a blob; use SET_SCANOUT_BLOB", w->scanout_id, w->resource_id);
	if (w->r.width == 0 || w->r.height == 0 || w->r.width > GPU_MAX_SIZE || w->r.height > GPU_MAX_SIZE ||
	    !rect_is_inside(&w->r, res->shape.width, res->shape.height))
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "scanout %u: %ux%u at %u,%u is not in resource %u of %ux%u", w->scanout_id, w->r.width,
				  w->r.height, w->r.x, w->r.y, res->id, res->shape.width, res->shape.height);
	memset(&picture, 0, sizeof(picture)); /* compared as bytes: no stray padding */
	picture.rect = (struct display_rect){w->r.x, w->r.y, w->r.width, w->r.height};
	return show(g, cmd, s, res, &picture);
}

/* An object of a context, whose size and format are known, and whose stride is the host's affair. */
static uint32_t show_object(struct gpu *g, const struct gpu_command *cmd, struct gpu_scanout *s,
			    struct gpu_resource *res, const struct gpu_format *format)
{
	const struct virtio_gpu_set_scanout_blob *w = &cmd->u.set_scanout_blob;
	const struct gpu_format *own = gpu_format_find(res->shape.format);
	struct gpu_picture picture;

	if (!own || !gpu_format_is_alike(own, format) || w->width > res->shape.width || w->height > res->shape.height ||
	    w->offsets[0] != 0)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "scanout %u: a picture of %ux%u, format %u, from byte %u on; resource %u is one of "
				  "%ux%u, format %u",
				  w->scanout_id, w->width, w->height, w->format, w->offsets[0], res->id,
				  res->shape.width, res->shape.height, res->shape.format);
	memset(&picture, 0, sizeof(picture));
	picture.rect = (struct display_rect){w->r.x, w->r.y, w->r.width, w->r.height};
	return show(g, cmd, s, res, &picture);
}

uint32_t gpu_set_scanout_blob(struct gpu *g, struct gpu_command *cmd)
{
	const struct virtio_gpu_set_scanout_blob *w = &cmd->u.set_scanout_blob;
	struct gpu_scanout *s = find_scanout(g, w->scanout_id);
	const struct gpu_format *format;
	struct gpu_picture picture;
	struct gpu_resource *res;
	uint64_t end;

	if (!s)
		return no_scanout(g, cmd, w->scanout_id);
	if (w->resource_id == 0) {
		gpu_blank_scanout(g, s);
		return VIRTIO_GPU_RESP_OK_NODATA;
	}
	res = gpu_resource_find(g->resources, w->resource_id);
	if (!res)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, "scanout %u: no resource %u; create it first",
				  w->scanout_id, w->resource_id);
	if (!gpu_is_blob(res))
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID,
				  "scanout %u: resource %u is not a blob; use SET_SCANOUT", w->scanout_id, w->resource_id);
	format = gpu_format_find(w->format);
	if (!format)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "scanout %u: format %u is none of the 8 that scanouts take", w->scanout_id, w->format);
	if (w->width == 0 || w->height == 0 || w->width > GPU_MAX_SIZE || w->height > GPU_MAX_SIZE)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "scanout %u: picture of %ux%u; 1..%u each way",
				  w->scanout_id, w->width, w->height, GPU_MAX_SIZE);
	if (w->r.width == 0 || w->r.height == 0 || !rect_is_inside(&w->r, w->width, w->height))
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "scanout %u: %ux%u at %u,%u is not in the picture of %ux%u", w->scanout_id, w->r.width,
				  w->r.height, w->r.x, w->r.y, w->width, w->height);
	if (res->kind == GPU_RESOURCE_3D)
		return show_object(g, cmd, s, res, format);
	if (w->strides[0] < w->width * GPU_PIXEL_BYTES || w->strides[0] % GPU_PIXEL_BYTES != 0 ||
	    w->offsets[0] % GPU_PIXEL_BYTES != 0)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "scanout %u: stride %u, offset %u: both multiples of 4, stride at least %u", w->scanout_id,
				  w->strides[0], w->offsets[0], w->width * GPU_PIXEL_BYTES);
	for (unsigned i = 1; i < 4; i++) {
		if (w->strides[i] != 0 || w->offsets[i] != 0)
			return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
					  "scanout %u: plane %u has a stride or offset; the format has one plane", w->scanout_id, i);
	}
	end = w->offsets[0] + (uint64_t)w->strides[0] * (w->height - 1) + (uint64_t)w->width * GPU_PIXEL_BYTES;
	if (end > res->size_bytes || end > res->backing_bytes)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "scanout %u: the picture ends at byte %llu, resource %u at %llu", w->scanout_id,
				  (unsigned long long)end, res->id, (unsigned long long)res->size_bytes);

	memset(&picture, 0, sizeof(picture));
	picture.rect = (struct display_rect){w->r.x, w->r.y, w->r.width, w->r.height};
	picture.format = format;
	picture.width = w->width;
	picture.height = w->height;
	picture.stride_bytes = w->strides[0];
	picture.offset = w->offsets[0];
	return show(g, cmd, s, res, &picture);
}

static uint32_t present(struct gpu *g, const struct gpu_command *cmd, struct gpu_scanout *s,
			const struct display_rect *changed, struct gpu_flush *flush)
{
	struct display_frame frame;
	int err;

	if (!gpu_is_watched(g)) {
		g->stats.frames++;
		return VIRTIO_GPU_RESP_OK_NODATA;
	}
	if (gpu_present_buffer(g, s, changed, flush))
		return VIRTIO_GPU_RESP_OK_NODATA;
	err = gpu_scanout_update(s, g->renderer, changed, &frame);
	if (err < 0)
		return gpu_renderer_failed(g, cmd, err, "resource", s->res->id);
	if (err == 0)
		return VIRTIO_GPU_RESP_OK_NODATA;
	g->stats.frames++;
	g->stats.pixel_copies++;
	g->stats.pixel_copy_bytes += (uint64_t)frame.damage.width * frame.damage.height * GPU_PIXEL_BYTES;
	gpu_present(g, s, &frame);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t gpu_resource_flush(struct gpu *g, struct gpu_command *cmd)
{
	const struct virtio_gpu_resource_flush *w = &cmd->u.flush;
	const struct display_rect changed = {w->r.x, w->r.y, w->r.width, w->r.height};
	struct gpu_resource *res = gpu_resource_find(g->resources, w->resource_id);
	uint32_t code = VIRTIO_GPU_RESP_OK_NODATA;
	struct gpu_flush *flush;

	if (!res)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, "no resource %u; create it first",
				  w->resource_id);
	/* A blob has no size but the one each scanout gives it, and updates are cut to that. */
	if (res->kind != GPU_RESOURCE_BLOB && !rect_is_inside(&w->r, res->shape.width, res->shape.height))
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "%ux%u at %u,%u is not in resource %u of %ux%u",
				  w->r.width, w->r.height, w->r.x, w->r.y, res->id, res->shape.width, res->shape.height);
	flush = gpu_flush_begin(g, cmd);
	for (unsigned i = 0; i < g->scanout_count && code == VIRTIO_GPU_RESP_OK_NODATA; i++) {
		if (g->scanouts[i].res == res)
			code = present(g, cmd, &g->scanouts[i], &changed, flush);
	}
	return gpu_flush_end(flush, code);
}

/* The wire has the image's top left corner, which may lie left of or above the screen (negative). */
static void place_cursor(struct gpu_scanout *s, const struct virtio_gpu_cursor_pos *pos)
{
	s->cursor.x = pos->x + s->cursor.hot_x;
	s->cursor.y = pos->y + s->cursor.hot_y;
}

/* From here on the renderer has a part in it, which may be the end of this process: the next one knows what was wanted. */
static void begin_cursor(struct gpu *g, const struct gpu_command *cmd)
{
	/* What is restored was tried by the process before: once is enough. */
	if (!cmd->chain)
		return;
	gpu_record_cursor_asked(g, &cmd->u.cursor);
	gpu_record_commit(g, 0);
	if (chain_stage(cmd->chain) == CHAIN_TAKEN)
		chain_set_stage(cmd->chain, CHAIN_EXECUTING);
}

static int read_cursor(struct gpu *g, struct gpu_resource *res, struct gpu_scanout *s)
{
	const struct renderer_box box = {0, 0, 0, GPU_CURSOR_SIZE, GPU_CURSOR_SIZE, 1};

	if (res->kind == GPU_RESOURCE_BLOB)
		return gpu_backing_read(res, 0, s->cursor_pixels, sizeof(s->cursor_pixels));
	return g->renderer->ops->read_pixels(g->renderer, res, &box, s->cursor_pixels,
					     GPU_CURSOR_SIZE * GPU_PIXEL_BYTES);
}

uint32_t gpu_update_cursor(struct gpu *g, struct gpu_command *cmd)
{
	const struct virtio_gpu_update_cursor *w = &cmd->u.cursor;
	struct gpu_scanout *s = find_scanout(g, w->pos.scanout_id);
	struct gpu_resource *res;
	int err;

	if (!s)
		return no_scanout(g, cmd, w->pos.scanout_id);
	if (w->resource_id == 0) {
		s->cursor = (struct display_cursor){0};
		gpu_record_cursor(g, s);
		gpu_record_commit(g, 0);
		gpu_tell_cursor(g, s);
		return VIRTIO_GPU_RESP_OK_NODATA;
	}
	res = gpu_resource_find(g->resources, w->resource_id);
	if (!res)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, "no resource %u; create it first",
				  w->resource_id);
	if (w->hot_x >= GPU_CURSOR_SIZE || w->hot_y >= GPU_CURSOR_SIZE)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "hot spot %u,%u is outside the image of 64x64",
				  w->hot_x, w->hot_y);
	if (res->kind == GPU_RESOURCE_BLOB) {
		/* A blob says nothing of its layout: 64 rows of B8G8R8A8 without gaps, as drivers use it. */
		if (res->size_bytes < sizeof(s->cursor_pixels))
			return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
					  "resource %u has %llu bytes; a cursor image has %zu", res->id,
					  (unsigned long long)res->size_bytes, sizeof(s->cursor_pixels));
	} else if (res->shape.width != GPU_CURSOR_SIZE || res->shape.height != GPU_CURSOR_SIZE) {
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "resource %u is %ux%u; a cursor is 64x64",
				  res->id, res->shape.width, res->shape.height);
	}
	begin_cursor(g, cmd);
	err = read_cursor(g, res, s);
	if (err < 0) {
		gpu_record_cursor(g, s);
		return gpu_renderer_failed(g, cmd, err, "resource", res->id);
	}
	s->cursor.hot_x = w->hot_x;
	s->cursor.hot_y = w->hot_y;
	s->cursor.pixels = s->cursor_pixels;
	s->cursor.moved_only = false;
	place_cursor(s, &w->pos);
	gpu_record_cursor(g, s);
	gpu_tell_cursor(g, s);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t gpu_move_cursor(struct gpu *g, struct gpu_command *cmd)
{
	const struct virtio_gpu_update_cursor *w = &cmd->u.cursor;
	struct gpu_scanout *s = find_scanout(g, w->pos.scanout_id);

	if (!s)
		return no_scanout(g, cmd, w->pos.scanout_id);
	place_cursor(s, &w->pos);
	s->cursor.moved_only = true;
	gpu_record_cursor_place(g, s);
	gpu_tell_cursor(g, s);
	return VIRTIO_GPU_RESP_OK_NODATA;
}
