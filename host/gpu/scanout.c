// SPDX-License-Identifier: MIT
#include "host/gpu/scanout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	*out = (struct display_frame){
		.pixels = s->frame,
		.width = shown->width,
		.height = shown->height,
		.stride_bytes = stride,
		.fourcc = DRM_FORMAT_XRGB8888,
		.damage = {part.x - shown->x, part.y - shown->y, part.width, part.height},
	};
	return 1;
}

/* The piece of the backing that holds @offset: *piece is it, *skip the bytes of it before @offset. */
static bool find_piece(const struct gpu_resource *res, uint64_t offset, unsigned *piece, uint64_t *skip)
{
	for (unsigned i = 0; i < res->backing_count; i++) {
		if (offset < res->backing[i].iov_len) {
			*piece = i;
			*skip = offset;
			return true;
		}
		offset -= res->backing[i].iov_len;
	}
	return false;
}

/* As gpu_backing_read() from a place already found, which moves on: so a picture's rows cost one walk in all. */
static void read_on(const struct gpu_resource *res, unsigned *piece, uint64_t *skip, void *dst, size_t n)
{
	char *to = dst;

	while (n > 0) {
		const struct iovec *v = &res->backing[*piece];
		size_t chunk = v->iov_len - *skip;

		if (chunk > n)
			chunk = n;
		memcpy(to, (const char *)v->iov_base + *skip, chunk);
		to += chunk;
		n -= chunk;
		*skip += chunk;
		if (*skip == v->iov_len) {
			(*piece)++;
			*skip = 0;
		}
	}
}

static void skip_on(const struct gpu_resource *res, unsigned *piece, uint64_t *skip, uint64_t n)
{
	*skip += n;
	while (*piece < res->backing_count && *skip >= res->backing[*piece].iov_len)
		*skip -= res->backing[(*piece)++].iov_len;
}

int gpu_backing_read(const struct gpu_resource *res, uint64_t offset, void *dst, size_t n)
{
	unsigned piece;
	uint64_t skip;

	if (n == 0)
		return 0;
	if (n > res->backing_bytes || offset > res->backing_bytes - n || !find_piece(res, offset, &piece, &skip))
		return -EINVAL;
	read_on(res, &piece, &skip, dst, n);
	return 0;
}

int gpu_blob_read(const struct gpu_resource *res, const struct gpu_picture *picture, const struct display_rect *rect,
		  void *dst, uint32_t dst_stride)
{
	const uint64_t row_bytes = (uint64_t)rect->width * GPU_PIXEL_BYTES, stride = picture->stride_bytes;
	uint64_t start, end, skip;
	uint32_t band_rows;
	unsigned piece;
	char *band;
	int err = 0;

	if (rect->width == 0 || rect->height == 0)
		return 0;
	start = picture->offset + rect->y * stride + (uint64_t)rect->x * GPU_PIXEL_BYTES;
	end = start + (rect->height - 1) * stride + row_bytes;
	if (end > res->backing_bytes || !find_piece(res, start, &piece, &skip))
		return -EINVAL;
	if (res->backing[piece].iov_len - skip >= end - start) {
		const char *src = (const char *)res->backing[piece].iov_base + skip;

		if ((uintptr_t)src % GPU_PIXEL_BYTES == 0)
			return gpu_format_convert(picture->format, src, picture->stride_bytes, dst, dst_stride, rect->width,
						  rect->height);
	}

	band_rows = row_bytes < BAND_BYTES ? (uint32_t)(BAND_BYTES / row_bytes) : 1;
	if (band_rows > rect->height)
		band_rows = rect->height;
	band = malloc((size_t)row_bytes * band_rows);
	if (!band)
		return -ENOMEM;
	for (uint32_t y = 0; y < rect->height && err == 0; y += band_rows) {
		uint32_t rows = rect->height - y < band_rows ? rect->height - y : band_rows;

		for (uint32_t i = 0; i < rows; i++) {
			read_on(res, &piece, &skip, band + i * row_bytes, (size_t)row_bytes);
			if (y + i + 1 < rect->height)
				skip_on(res, &piece, &skip, stride - row_bytes);
		}
		err = gpu_format_convert(picture->format, band, (uint32_t)row_bytes, (char *)dst + (size_t)y * dst_stride,
					 dst_stride, rect->width, rows);
	}
	free(band);
	return err;
}
