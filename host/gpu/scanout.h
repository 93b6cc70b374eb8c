/* SPDX-License-Identifier: MIT */
/*
 * What each display shows: which part of which resource, and our copy of that picture (the frame). Pixels are read
 * from the renderer, or for a blob from its pages, once per flush and only where they changed.
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_SCANOUT_H
#define MULLION_HOST_GPU_SCANOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "host/display/display.h"
#include "host/gpu/format.h"
#include "host/gpu/gpu.h"
#include "host/gpu/resource.h"

struct renderer;

#define GPU_CURSOR_SIZE 64u

/* How a scanout reads its resource. */
struct gpu_picture {
	struct display_rect rect; /* what is shown, in the resource's pixels */
	/* A blob has no shape of its own; format is NULL for any other resource and the rest means nothing. */
	const struct gpu_format *format;
	uint32_t width, height, stride_bytes, offset;
};

struct gpu_scanout {
	unsigned index;
	struct gpu_mode mode;     /* what the host offers */
	struct gpu_resource *res; /* NULL: shows nothing */
	struct gpu_picture picture;
	uint32_t *frame; /* picture.rect.width x height, DRM_FORMAT_XRGB8888, rows without gaps */
	uint64_t frame_bytes; /* allocated, and charged to the resource table */
	bool stale;	      /* the frame shows something else: whoever needs it reads all of it */
	struct display_cursor cursor;
	uint32_t cursor_pixels[GPU_CURSOR_SIZE * GPU_CURSOR_SIZE];
};

/*
 * Show @picture of @res; the caller checked that it lies inside the resource. Returns 0, or -ENOSPC (memory limit)
 * or -ENOMEM and the scanout shows what it showed.
 */
int gpu_scanout_set(struct gpu_scanout *s, struct gpu_resource_table *t, struct gpu_resource *res,
		    const struct gpu_picture *picture);

/* Show nothing and free the frame. */
void gpu_scanout_off(struct gpu_scanout *s, struct gpu_resource_table *t);

/* What of @changed, in the resource's pixels, the scanout shows, counted from the corner of that; false: nothing. */
bool gpu_scanout_damage(const struct gpu_scanout *s, const struct display_rect *changed, struct display_rect *out);

/*
 * @changed (in the resource's pixels, may lie outside the scanout) was drawn: bring the frame up to date. Returns 1
 * with the frame to present, 0 when nothing shown changed, or a negative errno of the renderer.
 */
int gpu_scanout_update(struct gpu_scanout *s, struct renderer *r, const struct display_rect *changed,
		       struct display_frame *out);

/* The frame as it is; the scanout shows something. */
void gpu_scanout_frame(const struct gpu_scanout *s, struct display_frame *out);

/*
 * Copy @rect of a blob laid out as @picture says to @dst. The guest may be writing meanwhile, which can only spoil
 * its own picture. Returns 0, -EINVAL past the blob's end, -ENOMEM.
 */
int gpu_blob_read(const struct gpu_resource *res, const struct gpu_picture *picture, const struct display_rect *rect,
		  void *dst, uint32_t dst_stride);

#endif
