/* SPDX-License-Identifier: MIT */
/*
 * The pixel formats that frames come in, by their DRM_FORMAT_* numbers ("XR24" in bytes). Thread: any.
 */
#ifndef MULLION_HOST_DISPLAY_FORMAT_H
#define MULLION_HOST_DISPLAY_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#define DISPLAY_FOURCC(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define DISPLAY_XRGB8888 DISPLAY_FOURCC('X', 'R', '2', '4')
#define DISPLAY_ARGB8888 DISPLAY_FOURCC('A', 'R', '2', '4')
#define DISPLAY_XBGR8888 DISPLAY_FOURCC('X', 'B', '2', '4')
#define DISPLAY_ABGR8888 DISPLAY_FOURCC('A', 'B', '2', '4')

struct display_format {
	uint32_t fourcc;
	const char *name;
	uint8_t bytes; /* a pixel */
	/* Where 8-bit components lie in the little-endian pixel. */
	uint8_t red_shift, green_shift, blue_shift;
	bool has_alpha; /* in bits 24..31 */
};

/* NULL when @fourcc is none of ours. */
const struct display_format *display_format_find(uint32_t fourcc);

/* Convert @n pixels of any of the formats to XRGB8888; bits 24..31 of the result mean nothing. */
void display_format_to_xrgb(const struct display_format *format, const uint32_t *src, uint32_t *dst, uint32_t n);

#endif
