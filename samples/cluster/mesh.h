/* SPDX-License-Identifier: MIT */
/*
 * Flat shapes as indexed triangles, in integers: lengths are 1/256 of a pixel (PX), angles 1/16384 of a turn,
 * clockwise from the x axis with y down. Edges are smooth without multisampling: every shape is a strip of
 * parallel rails whose outermost ones are transparent.
 */
#ifndef MULLION_SAMPLES_CLUSTER_MESH_H
#define MULLION_SAMPLES_CLUSTER_MESH_H

#include <stdbool.h>
#include <stdint.h>

#define PX(n) ((int32_t)((n)*256))
#define TURN 16384
#define DEGREES(n) ((int32_t)((n)*TURN / 360))
#define ONE_Q14 16384 /* 1.0 of a sine or a unit normal */

/* Lowest byte red: VIRGL_FORMAT_R8G8B8A8_UNORM. */
#define RGBA(r, g, b, a) ((uint32_t)(r) | (uint32_t)(g) << 8 | (uint32_t)(b) << 16 | (uint32_t)(a) << 24)
#define ALPHA(rgba, a) (((rgba)&0xffffffu) | (uint32_t)(a) << 24)

struct vertex {
	uint32_t x, y; /* bits of floats, pixels */
	uint32_t rgba;
};

struct mesh {
	struct vertex *vertices;
	uint16_t *indices;
	uint32_t vertex_count, vertex_max;
	uint32_t index_count, index_max;
	bool full; /* something did not fit */
};

/* What one draw call shows: indices first..first+count-1. */
struct part {
	uint32_t first, count;
};

/* One rail: its distance from the line, along the normal, and its colour at both ends of the line. */
struct rail {
	int32_t offset;
	uint32_t from, to;
};

int32_t sine(int32_t angle);   /* Q14 */
int32_t cosine(int32_t angle); /* Q14 */

/* A new part starts here; what is added until part_end() belongs to it. */
struct part part_start(const struct mesh *m);
void part_end(const struct mesh *m, struct part *p);

/* @count rails (at most 8) around an arc; a full disc is an arc of radius 0 whose offsets are radii. */
void mesh_arc(struct mesh *m, int32_t cx, int32_t cy, int32_t radius, int32_t from, int32_t to, unsigned segments,
	      const struct rail *rails, unsigned count);

/* @points of x, y pairs joined by mitred corners; closed ones join the last to the first. */
void mesh_polyline(struct mesh *m, const int32_t (*points)[2], unsigned n, bool closed, const struct rail *rails,
		   unsigned count);

/* A line of one colour, @width wide with soft edges. */
void mesh_stroke(struct mesh *m, const int32_t (*points)[2], unsigned n, bool closed, int32_t width, uint32_t rgba);

/* A ring of one colour, @width wide with soft edges. */
void mesh_ring(struct mesh *m, int32_t cx, int32_t cy, int32_t radius, int32_t width, int32_t from, int32_t to,
	       unsigned segments, uint32_t rgba);

/* A disc whose colour goes from @centre to @rim. */
void mesh_disc(struct mesh *m, int32_t cx, int32_t cy, int32_t radius, unsigned segments, uint32_t centre,
	       uint32_t rim);

/* A rectangle with a colour at the top and one at the bottom; hard edges. */
void mesh_rect(struct mesh *m, int32_t x, int32_t y, int32_t width, int32_t height, uint32_t top, uint32_t bottom);

#endif
