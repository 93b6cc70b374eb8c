// SPDX-License-Identifier: MIT
#include "host/gpu/scanout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/gpu/backing.h"
#include "host/gpu/renderer.h"

#define DRM_FORMAT_XRGB8888 0x34325258u /* "XR24" */

/* Blob rows that are not one piece of host memory are gathered in bands of this size. */
#define BAND_BYTES (256u << 10)

int gpu_scanout_set(struct gpu_scanout *s, struct gpu_resource_table *t, struct gpu_resource *res,
		    const struct gpu_picture *picture)
{
	uint64_t bytes = (uint64_t)picture->rect.width * picture->rect.height * GPU_PIXEL_BYTES;
	uint64_t old = s->frame_bytes;
	uint32_t *frame;
	int err;

	if (bytes != old) {
		/* The old frame goes in any case, so only what is above it has to fit. */
		err = bytes > old ? gpu_resource_charge(t, bytes - old) : 0;
		if (err < 0)
			return err;
		frame = calloc(1, (size_t)bytes);
		if (!frame) {
			if (bytes > old)
				gpu_resource_uncharge(t, bytes - old);
			return -ENOMEM;
		}
		if (bytes < old)
			gpu_resource_uncharge(t, old - bytes);
		free(s->frame);
		s->frame = frame;
		s->frame_bytes = bytes;
		s->stale = true;
	}
	if (s->res != res || memcmp(&s->picture, picture, sizeof(*picture)) != 0)
		s->stale = true;
	s->res = res;
	s->picture = *picture;
	return 0;
}

void gpu_scanout_off(struct gpu_scanout *s, struct gpu_resource_table *t)
{
	free(s->frame);
	gpu_resource_uncharge(t, s->frame_bytes);
	s->frame = NULL;
	s->frame_bytes = 0;
	s->res = NULL;
	memset(&s->picture, 0, sizeof(s->picture));
}

static bool intersect(const struct display_rect *a, const struct display_rect *b, struct display_rect *out)
{
	uint32_t left = a->x > b->x ? a->x : b->x, top = a->y > b->y ? a->y : b->y;
	uint32_t a_right = a->x + a->width, b_right = b->x + b->width;
	uint32_t a_bottom = a->y + a->height, b_bottom = b->y + b->height;
	uint32_t right = a_right < b_right ? a_right : b_right, bottom = a_bottom < b_bottom ? a_bottom : b_bottom;

	if (left >= right || top >= bottom)
		return false;
	*out = (struct display_rect){left, top, right - left, bottom - top};
	return true;
}

bool gpu_scanout_damage(const struct gpu_scanout *s, const struct display_rect *changed, struct display_rect *out)
{
	if (!intersect(&s->picture.rect, changed, out))
		return false;
	out->x -= s->picture.rect.x;
	out->y -= s->picture.rect.y;
	return true;
}

void gpu_scanout_frame(const struct gpu_scanout *s, struct display_frame *out)
{
	const struct display_rect *shown = &s->picture.rect;

	*out = (struct display_frame){
		.pixels = s->frame,
		.width = shown->width,
		.height = shown->height,
		.stride_bytes = shown->width * GPU_PIXEL_BYTES,
		.fourcc = DRM_FORMAT_XRGB8888,
		.damage = {0, 0, shown->width, shown->height},
	};
}

int gpu_scanout_update(struct gpu_scanout *s, struct renderer *r, const struct display_rect *changed,
		       struct display_frame *out)
{
	const struct display_rect *shown = &s->picture.rect;
	uint32_t stride = shown->width * GPU_PIXEL_BYTES;
	struct display_rect part;
	uint32_t *dst;
	int err;

	if (!intersect(shown, changed, &part))
		return 0;
	if (s->stale)
		part = *shown;
	dst = s->frame + (size_t)(part.y - shown->y) * shown->width + (part.x - shown->x);
	if (s->picture.format) {
		err = gpu_blob_read(s->res, &s->picture, &part, dst, stride);
	} else {
		const struct renderer_box box = {part.x, part.y, 0, part.width, part.height, 1};

		err = r->ops->read_pixels(r, s->res, &box, dst, stride);
	}
	if (err < 0)
		return err;
	s->stale = false;
	gpu_scanout_frame(s, out);
	out->damage = (struct display_rect){part.x - shown->x, part.y - shown->y, part.width, part.height};
	return 1;
}

int gpu_blob_read(const struct gpu_resource *res, const struct gpu_picture *picture, const struct display_rect *rect,
		  void *dst, uint32_t dst_stride)
{
	const size_t row_bytes = (size_t)rect->width * GPU_PIXEL_BYTES;
	const uint64_t stride = picture->stride_bytes;
	struct gpu_backing_cursor c;
	uint32_t band_rows;
	const void *whole;
	char *band;
	int err;

	if (rect->width == 0 || rect->height == 0)
		return 0;
	err = gpu_backing_seek(&c, res, picture->offset + rect->y * stride + (uint64_t)rect->x * GPU_PIXEL_BYTES,
			       (rect->height - 1) * stride + row_bytes);
	if (err < 0)
		return err;
	whole = gpu_backing_whole(&c);
	/* pixman reckons the place of a row in an int. */
	if (whole && (uintptr_t)whole % GPU_PIXEL_BYTES == 0 && rect->height * stride <= INT32_MAX)
		return gpu_format_convert(picture->format, whole, picture->stride_bytes, dst, dst_stride, rect->width,
					  rect->height);

	band_rows = row_bytes < BAND_BYTES ? (uint32_t)(BAND_BYTES / row_bytes) : 1;
	if (band_rows > rect->height)
		band_rows = rect->height;
	band = malloc(row_bytes * band_rows);
	if (!band)
		return -ENOMEM;
	for (uint32_t y = 0; y < rect->height && err == 0; y += band_rows) {
		uint32_t rows = rect->height - y < band_rows ? rect->height - y : band_rows;

		for (uint32_t i = 0; i < rows; i++) {
			if (y + i > 0)
				gpu_backing_skip(&c, stride - row_bytes);
			gpu_backing_take(&c, band + i * row_bytes, row_bytes);
		}
		err = gpu_format_convert(picture->format, band, (uint32_t)row_bytes, (char *)dst + (size_t)y * dst_stride,
					 dst_stride, rect->width, rows);
	}
	free(band);
	return err;
}
