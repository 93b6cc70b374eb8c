/* SPDX-License-Identifier: MIT */
/*
 * A frame kept in one format, with the cursor drawn on it, and written as a PNG file. Thread: any, one at a time.
 */
#ifndef MULLION_HOST_DISPLAY_PICTURE_H
#define MULLION_HOST_DISPLAY_PICTURE_H

#include <stddef.h>
#include <stdint.h>

#include "host/display/display.h"

struct picture {
	uint32_t width, height;
	size_t capacity_bytes; /* allocated */
	uint32_t *pixels;      /* DRM_FORMAT_XRGB8888, rows without gaps; bits 24..31 mean nothing */
};

/* What the pixels take. */
size_t picture_bytes(const struct picture *p);

/* Take on a size; the pixels are undefined then. Returns 0 or -ENOMEM, and @p is as it was. */
int picture_resize(struct picture *p, uint32_t width, uint32_t height);

/*
 * Copy @rect of @frame into @p, which takes on the frame's size (then the rest of it is undefined, so pass the whole
 * picture). Returns 0, -EINVAL for a format that display_format_find() doesn't know, -ENOMEM.
 */
int picture_update(struct picture *p, const struct display_frame *frame, const struct display_rect *rect);

/* Make @p a copy of @from. Returns 0 or -ENOMEM. */
int picture_copy(struct picture *p, const struct picture *from);

/* Copy what of @rect lies inside both pictures. */
void picture_copy_rect(struct picture *p, const struct picture *from, const struct display_rect *rect);

/* Blend the cursor's image over the picture where they meet. */
void picture_draw_cursor(struct picture *p, const struct display_cursor *cursor);

/*
 * Write @p to @path through "@path.part" and a rename, so that a file of that name is always whole. Returns 0 or a
 * negative errno.
 */
int picture_write_png(const struct picture *p, const char *path);

/* Write @p to the empty file @fd, which stays open. Returns 0 or a negative errno. */
int picture_write_png_fd(const struct picture *p, int fd);

void picture_finish(struct picture *p);

/* Let @into hold @r as well. One that is empty holds nothing. */
void display_rect_join(struct display_rect *into, const struct display_rect *r);

#endif
