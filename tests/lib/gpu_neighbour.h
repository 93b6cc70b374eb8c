/* SPDX-License-Identifier: MIT */
/*
 * Guests beside each other: each is a process with a fake guest in it that draws in 3D by a mullion-gpu of its own, as the
 * guests of one machine do. For what one of them can do to the others.
 */
#ifndef MULLION_TESTS_LIB_GPU_NEIGHBOUR_H
#define MULLION_TESTS_LIB_GPU_NEIGHBOUR_H

#include <stdint.h>
#include <sys/types.h>

struct gpu_neighbour_shared;

struct gpu_neighbour_load {
	uint32_t size;	   /* of the square that is drawn on, in pixels */
	unsigned draws;	   /* of a frame: how often all of it is drawn */
	unsigned ahead;	   /* frames that are not waited for: 1: each is drawn before the next is sent */
	unsigned pace_us; /* a frame begins so long after the one before; 0: as soon as there is room */
};

struct gpu_neighbour {
	pid_t pid;
	struct gpu_neighbour_shared *shared;
};

/*
 * Start a guest that draws until it is stopped, by @program (the path of mullion-gpu) with @options (ended by NULL) besides
 * --fd. Returns 0 once its first frame is drawn, or -1 if it drew none within 60 s.
 */
int gpu_neighbour_start(struct gpu_neighbour *n, const char *program, const char *const *options,
			const struct gpu_neighbour_load *load);
/* Frames drawn since it was started. */
unsigned gpu_neighbour_frames(const struct gpu_neighbour *n);
/* Frames a second, over the next @ms. */
double gpu_neighbour_rate(const struct gpu_neighbour *n, unsigned ms);
/* The longest that a frame took since the last call, in microseconds. */
unsigned gpu_neighbour_longest_us(struct gpu_neighbour *n);
void gpu_neighbour_stop(struct gpu_neighbour *n);

#endif
