/* SPDX-License-Identifier: MIT */
/*
 * Reading a picture out of a texture: in a context of our own, so that no guest's OpenGL state is touched.
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_VIRGL_PIXELS_H
#define MULLION_HOST_GPU_VIRGL_PIXELS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/display/display.h"
#include "host/gpu/egl.h"

struct gpu_resource;

struct virgl_pixels {
	struct gpu_egl *egl;
	unsigned framebuffer; /* in gpu_egl_own_context() */
	bool reads_bgra;
};

/* Returns 0 or -EIO. The calling thread has no context current afterwards. */
int virgl_pixels_init(struct virgl_pixels *p, struct gpu_egl *egl);
void virgl_pixels_finish(struct virgl_pixels *p); /* zeroed storage is fine */

struct virgl_picture {
	unsigned texture; /* GL_TEXTURE_2D */
	uint32_t width, height;
	bool flip;   /* row 0 of the picture is the texture's last */
	bool opaque; /* alpha means nothing: 0xff is put */
};

/* Ask the library which texture @res is; @picture, but for @opaque, stays zeroed for one that can't be read as a picture. */
void virgl_pixels_describe(struct virgl_picture *picture, const struct gpu_resource *res);

/*
 * The picture's texture as a dma-buf that displays can use, without a copy, until finish_buffer(). Returns 0, -ENOTSUP
 * (not with this driver, or this texture), -EIO.
 */
int virgl_pixels_export(struct virgl_pixels *p, const struct virgl_picture *picture, struct display_buffer *out);
void virgl_pixels_finish_buffer(struct display_buffer *b); /* zeroed storage is fine */

/* What the current context and, before, others have drawn will be in what a display reads from now on. */
void virgl_pixels_flush(void);

/*
 * Copy a rectangle, inside the picture, to @dst as DRM_FORMAT_ARGB8888 rows. What the current context drew before is
 * in it; that context is current again afterwards. Returns 0, -EINVAL (not a format that can be read), -EIO.
 */
int virgl_pixels_read(struct virgl_pixels *p, const struct virgl_picture *picture, uint32_t x, uint32_t y,
		      uint32_t width, uint32_t height, void *dst, uint32_t dst_stride);

#endif
