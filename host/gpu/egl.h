/* SPDX-License-Identifier: MIT */
/*
 * An EGL display to draw on, without a window: chosen by the start-up ladder, with OpenGL contexts that share
 * textures and buffers with each other.
 *
 * Thread: the gpu loop, unless a line says otherwise.
 */
#ifndef MULLION_HOST_GPU_EGL_H
#define MULLION_HOST_GPU_EGL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gpu_egl;

struct gpu_egl_info {
	const char *rung; /* "render node", "EGL device", "EGL surfaceless", "EGL software device" */
	char node[64];	  /* of the rungs that have one: /dev/dri/renderD128; else empty */
	char gl_renderer[96], gl_version[96];
	int major, minor;
	bool gles;     /* OpenGL ES instead of desktop OpenGL (core profile) */
	bool software; /* the CPU draws */
	bool dmabuf_export, dmabuf_import;
	bool tells_reset; /* gpu_egl_was_reset() can tell */
};

/*
 * Climb the ladder: render node by GBM, EGL device (hardware), EGL surfaceless, EGL device (software). With
 * @render_node only that node is tried. @why gets what was chosen and why each rung above it was not, or on
 * failure what was tried; on failure it ends with what to do. Returns 0, or -ENODEV, -ENOMEM.
 */
int gpu_egl_create(const char *render_node, struct gpu_egl **out, char *why, size_t why_size);
/* All contexts must be gone, but for one that is current on no thread. NULL is fine. */
void gpu_egl_destroy(struct gpu_egl *e);

const struct gpu_egl_info *gpu_egl_info(const struct gpu_egl *e);

/*
 * A context of the version in gpu_egl_info(), sharing objects with all others; NULL when EGL has none left.
 * Thread: any, as for the next three.
 */
void *gpu_egl_context_create(struct gpu_egl *e);
void gpu_egl_context_destroy(struct gpu_egl *e, void *context);
/* Make @context the calling thread's; NULL leaves it without. Returns 0 or -EIO. */
int gpu_egl_make_current(struct gpu_egl *e, void *context);
/* The calling thread's context, or NULL. */
void *gpu_egl_current(struct gpu_egl *e);

/*
 * Was the GPU reset, so that the calling thread's context is lost with all that it held? False where the driver does not
 * tell. Without a context: undefined.
 */
bool gpu_egl_was_reset(struct gpu_egl *e);

/* A texture's level 0 as others can use it: one plane, from byte 0. */
struct gpu_egl_buffer {
	int fd; /* a dma-buf */
	uint32_t stride_bytes, fourcc;
	uint64_t modifier;
};

/*
 * Export the 2D @texture; our own context is current. The caller has the descriptor. Returns 0, -ENOTSUP (not with this
 * driver, or not this texture), or -EIO.
 */
int gpu_egl_export(struct gpu_egl *e, unsigned texture, struct gpu_egl_buffer *out);

/* Our own context, which the renderer library never sees: for reading pixels without touching a guest's state. */
void *gpu_egl_own_context(struct gpu_egl *e);

#endif
