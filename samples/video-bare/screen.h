/* SPDX-License-Identifier: MIT */
/*
 * Where a decoder's pictures go: into pictures of the GPU, if the two devices share buffers, else into memory of this
 * machine, from which they are copied. Calls return 0, or an error of gpu.h or video.h.
 */
#ifndef MULLION_SAMPLES_VIDEO_BARE_SCREEN_H
#define MULLION_SAMPLES_VIDEO_BARE_SCREEN_H

#include "guest-drivers/bare/gpu.h"
#include "guest-drivers/bare/video.h"

enum { SCREEN_OUTPUTS = 3 };

struct screen {
	struct gpu gpu;
	struct video *video;
	uint32_t stream;
	bool shares;
	struct virtio_video_params params; /* of the stream's output */
	uint8_t *out[SCREEN_OUTPUTS];	   /* without sharing: what the codec writes to, */
	uint32_t *pixels;		   /* and what the GPU's picture is made of */
};

/* Find the GPU, for stream @stream of @v. */
int screen_open(struct screen *s, struct video *v, uint32_t stream);
/* The size of the stream is known: make its output resources, 0 to SCREEN_OUTPUTS - 1. */
int screen_start(struct screen *s);
/* Show what the codec put into output resource @i. */
int screen_show(struct screen *s, uint32_t i);

#endif
