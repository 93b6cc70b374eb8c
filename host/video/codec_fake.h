/* SPDX-License-Identifier: MIT */
/*
 * The coded format of the fake codec. Every access unit is a header, and for a picture either its I420 samples or
 * nothing: then they are made from @value. The fake encoder writes what the fake decoder reads; a picture whose first samples
 * are a header makes it hang or fail, if that says so.
 */
#ifndef MULLION_HOST_VIDEO_CODEC_FAKE_H
#define MULLION_HOST_VIDEO_CODEC_FAKE_H

#include <stdbool.h>
#include <stdint.h>

#define FAKE_MAGIC 0x454b4146u /* "FAKE" */

enum fake_unit {
	FAKE_PICTURE = 1,
	FAKE_DAMAGED, /* a picture that is reported as damaged */
	FAKE_HANG,    /* the codec does nothing from here on */
	FAKE_ERROR,   /* the codec fails */
	FAKE_KEY_PICTURE,
	FAKE_BROKEN,  /* the codec can't go on with this bitstream */
	FAKE_END,     /* the codec says that it is at its end, though it was not drained */
};

struct fake_header {
	uint32_t magic;
	uint32_t unit;
	uint32_t width, height;
	uint32_t value;
};

/* Decoders write in buffers that are lent, as soon as a picture is known, and wait for them: as drivers do. At first not. */
extern bool codec_fake_lends;
/* And it gives none back before it is destroyed, though it wants them no more. At first not. */
extern bool codec_fake_keeps;

/* Sample @x, @y of plane @plane (Y, U, V; in packed formats byte @plane of a pixel) of the picture made from @value. */
uint8_t fake_sample(uint32_t value, unsigned plane, uint32_t x, uint32_t y);

#endif
