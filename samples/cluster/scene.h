/* SPDX-License-Identifier: MIT */
/* The instrument cluster as geometry: built once, drawn by parts. */
#ifndef MULLION_SAMPLES_CLUSTER_SCENE_H
#define MULLION_SAMPLES_CLUSTER_SCENE_H

#include "samples/cluster/font.h"
#include "samples/cluster/mesh.h"

#define SCENE_WIDTH 800
#define SCENE_HEIGHT 480

enum { DIAL_SPEED, DIAL_REVS, DIAL_COUNT };

#define DIAL_FROM DEGREES(135)
#define DIAL_SWEEP DEGREES(270)
#define TRAIL_SEGMENTS 135 /* of two degrees */
#define TRAIL_INDICES 12   /* a segment: three rails */

struct dial {
	int32_t x, y;  /* centre, whole pixels */
	int32_t full;  /* the value at the end of the scale */
	int32_t major; /* a numbered mark every so much */
	int32_t minor; /* marks between two of them */
	int32_t number_divisor;
	int32_t red_from; /* the scale is red from here on */
	uint32_t accent;
	const char *unit;
};

extern const struct dial dials[DIAL_COUNT];

struct scene {
	struct part backdrop;		   /* all that never moves */
	struct part trail[DIAL_COUNT];	   /* TRAIL_SEGMENTS * TRAIL_INDICES indices: draw as many as the value says */
	struct part needle;		   /* points along x, around the origin */
	struct part digits[10], dot;	   /* around the origin, for the big readout */
	struct part gears[6];		   /* P, 1..5 around the origin */
	struct part symbols[SYMBOL_COUNT]; /* in place */
};

/* Fill @m and @s; m->full tells whether it fitted. */
void scene_build(struct mesh *m, struct scene *s);

#endif
