/* SPDX-License-Identifier: MIT */
/* What the 3D tests share: a context, a picture to draw into and read back, and the state to draw plainly. */
#ifndef MULLION_TESTS_BARE_CANVAS_H
#define MULLION_TESTS_BARE_CANVAS_H

#include "guest-drivers/bare/gpu.h"
#include "guest-drivers/bare/virgl.h"

enum { CANVAS_CONTEXT = 1, CANVAS_PICTURE = 1, CANVAS_VERTICES = 2 };
/* Handles from this on are the test's. */
enum {
	CANVAS_SURFACE = 1,
	CANVAS_OVER,
	CANVAS_OPAQUE,
	CANVAS_PLAIN,
	CANVAS_SCISSORED,
	CANVAS_DSA,
	CANVAS_LAYOUT,
	CANVAS_VERTEX_SHADER,
	CANVAS_COLOR_SHADER,
	CANVAS_TEXTURE_SHADER,
	CANVAS_FREE
};
#define CANVAS_VERTEX_WORDS 8 /* x y z w, and four more for the shader */

struct canvas {
	struct gpu *gpu;
	uint32_t width, height;
	uint32_t *pixels; /* the picture's backing: B8G8R8A8, filled by canvas_read() */
	struct virgl_encoder e;
	uint32_t *words;
};

/* Make it all on @g, which was opened with VIRTIO_GPU_F_VIRGL. Returns 0, or what the GPU said. */
int canvas_create(struct canvas *c, struct gpu *g, uint32_t width, uint32_t height, uint32_t context_init);
/* The GPU was closed, or is going to be. */
void canvas_finish(struct canvas *c);

/* Start a stream, and run it. */
void canvas_begin(struct canvas *c);
int canvas_submit(struct canvas *c);
/* Put @count vertices into the vertex buffer, as part of the stream (128 at most). */
void canvas_vertices(struct canvas *c, const uint32_t (*vertices)[CANVAS_VERTEX_WORDS], unsigned count);
/* Bring the picture to c->pixels. */
int canvas_read(struct canvas *c);

#endif
