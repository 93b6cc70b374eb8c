/* SPDX-License-Identifier: MIT */
/*
 * Short clips that the host's encoders make, and what its decoders make of them outside of any device. For cmocka tests;
 * calls assert that they succeed.
 */
#ifndef MULLION_TESTS_LIB_CLIP_H
#define MULLION_TESTS_LIB_CLIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/video/format.h"

enum { CLIP_WIDTH = 176, CLIP_HEIGHT = 144, CLIP_FRAMES = 20, CLIP_MAX_PACKETS = 64 };

struct clip {
	unsigned count;
	uint8_t *data[CLIP_MAX_PACKETS];
	size_t bytes[CLIP_MAX_PACKETS];
};

/* Is the encoder here that makes clips of @format? */
bool clip_can_make(const struct video_coded_format *format);
/* Does it take pictures in the format @raw? */
bool clip_can_make_of(const struct video_coded_format *format, const char *raw);
/* CLIP_FRAMES pictures. @raw: what goes into the encoder, by GStreamer's name; clip_make() takes I420. */
void clip_make_of(const struct video_coded_format *format, unsigned width, unsigned height, const char *raw,
		  struct clip *c);
void clip_make(const struct video_coded_format *format, unsigned width, unsigned height, struct clip *c);
/* The same with slices in each picture; of H.264 and HEVC. */
void clip_make_sliced(const struct video_coded_format *format, unsigned width, unsigned height, struct clip *c);
void clip_free(struct clip *c);

/* One checksum a picture, in order. */
struct sums {
	unsigned count;
	uint64_t sum[2 * CLIP_MAX_PACKETS];
};

uint64_t sums_of(const void *data, size_t n);

/* The decoder of what follows, by GStreamer's name; NULL: the one that the device takes. */
extern const char *clip_decoder;

/* That decoder, run by GStreamer alone; pictures in the format @picture, by its name there. */
void clip_decode_outside(const struct video_coded_format *format, const struct clip *c, const char *picture,
			 struct sums *sums);

#endif
