/* SPDX-License-Identifier: MIT */
/*
 * The scenes that bench_gpu draws twice: natively by EGL and OpenGL, and as virgl commands through the device. Same
 * size, vertices, constants and arithmetic; the pictures are compared before anything is timed.
 */
#ifndef MULLION_TESTS_BENCH_GPU_SCENE_H
#define MULLION_TESTS_BENCH_GPU_SCENE_H

#include <stddef.h>
#include <stdint.h>

enum gpu_scene_kind {
	GPU_SCENE_DRAWS, /* 1000 discs of 12 triangles, each a draw with constants of its own */
	GPU_SCENE_FILL,	 /* one quad, a long fragment shader */
};

struct gpu_scene {
	enum gpu_scene_kind kind;
	uint32_t width, height;
	unsigned draws;
	unsigned iterations; /* of the fragment shader's loop, unrolled */
};

extern const struct gpu_scene gpu_scenes[3];

#define GPU_SCENE_COLUMNS 40u  /* of the grid that the discs lie in; 25 rows */
#define GPU_SCENE_SEGMENTS 12u /* of a disc */
#define GPU_SCENE_VERTICES (3u * GPU_SCENE_SEGMENTS)

/* The constants of draw @i: offset x and y, red, green. */
void gpu_scene_constants(unsigned i, float out[4]);
/* Positions: a disc, or two triangles that cover everything. Returns how many vertices of 4 floats. */
unsigned gpu_scene_vertices(const struct gpu_scene *s, float out[GPU_SCENE_VERTICES][4]);

/* ---- natively; in a process of its own, because virglrenderer's contexts are current in the other ---- */

struct gpu_native;

/* Returns 0 or -1 after printing why; *renderer is what draws. */
int gpu_native_create(const struct gpu_scene *s, struct gpu_native **out, const char **renderer);
void gpu_native_destroy(struct gpu_native *n);
/* Draw a frame and wait until it is done. */
void gpu_native_frame(struct gpu_native *n);
/* Four bytes a pixel, red first. */
void gpu_native_read(struct gpu_native *n, void *pixels);

/* ---- through the device ---- */

struct gpu_through;

/* @journal_bytes: the size of the device's journal; 0: none. */
int gpu_through_create(const struct gpu_scene *s, size_t journal_bytes, struct gpu_through **out);
void gpu_through_destroy(struct gpu_through *d);
void gpu_through_frame(struct gpu_through *d);
void gpu_through_read(struct gpu_through *d, void *pixels);

#endif
