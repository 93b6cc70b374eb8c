/* SPDX-License-Identifier: MIT */
/*
 * EDID 1.4 for a display that has any size: base block, and a DisplayID extension when the size does not fit a
 * detailed timing descriptor. Thread: any.
 */
#ifndef MULLION_HOST_GPU_EDID_H
#define MULLION_HOST_GPU_EDID_H

#include <stddef.h>
#include <stdint.h>

#define EDID_BLOCK_BYTES 128u
#define EDID_MAX_BYTES (2 * EDID_BLOCK_BYTES)

struct edid_info {
	uint32_t width, height; /* preferred mode, pixels; 1..16384 */
	unsigned number;        /* of the display: name "Mullion N", serial */
};

/* A detailed timing, in pixels and lines. */
struct edid_timing {
	uint32_t clock_khz;
	uint32_t h_active, h_front, h_sync, h_total;
	uint32_t v_active, v_front, v_sync, v_total;
};

/*
 * 60 Hz timing of any size by the rules of VESA CVT with reduced blanking; where that is more than an EDID can say
 * (16384x16384) the rate is halved until it fits.
 */
void edid_timing_reduced(uint32_t width, uint32_t height, struct edid_timing *out);

/* Fill @out; returns the bytes used: 128 or 256. */
size_t edid_generate(const struct edid_info *info, uint8_t out[EDID_MAX_BYTES]);

#endif
