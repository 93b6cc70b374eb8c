/* SPDX-License-Identifier: MIT */
/*
 * The newest picture of a scanout of vhost_gpu.c, and a pass over it: a rectangle that goes out in pieces, from its top. A
 * pass is of one picture, even if newer ones come meanwhile; a scene that moves would be shown in strips of many.
 * Thread: the loop.
 */
#ifndef MULLION_HOST_DISPLAY_REMOTE_PIXELS_H
#define MULLION_HOST_DISPLAY_REMOTE_PIXELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/display/display.h"
#include "host/display/picture.h"

/* Zeroed: nothing. */
struct remote_pixels {
	struct picture newest;
	struct display_rect pass; /* what is left of it; height 0: nothing */
	struct picture kept;	  /* has the pass, if @newest was changed there */
	bool pass_is_kept;
};

/*
 * Take @damage of @frame, or all of it, and then no pass goes on, if it is of another size. A pass that goes on is of what
 * was there before: what is left of it is copied first, once. Without memory for that it is of both pictures. Returns 0,
 * -EINVAL for a format that display_format_find() doesn't know, -ENOMEM.
 */
int remote_pixels_take(struct remote_pixels *p, const struct display_frame *frame, const struct display_rect *damage);
/* Begin a pass, when none goes on. @rect lies inside the picture. */
void remote_pixels_begin(struct remote_pixels *p, const struct display_rect *rect);
/*
 * Write as many rows of the pass to @to as fit, DRM_FORMAT_XRGB8888 without gaps; one fits always. *out: which they were.
 * Returns the bytes; 0: no pass goes on.
 */
size_t remote_pixels_put(struct remote_pixels *p, void *to, size_t capacity_bytes, struct display_rect *out);
/* Leave the pass where it is. */
void remote_pixels_end_pass(struct remote_pixels *p);
void remote_pixels_finish(struct remote_pixels *p);

#endif
