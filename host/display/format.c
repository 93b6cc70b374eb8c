// SPDX-License-Identifier: MIT
#include "host/display/format.h"

#include <stddef.h>
#include <string.h>

static const struct display_format formats[] = {
	{DISPLAY_XRGB8888, "XRGB8888", 4, 16, 8, 0, false},
	{DISPLAY_ARGB8888, "ARGB8888", 4, 16, 8, 0, true},
	{DISPLAY_XBGR8888, "XBGR8888", 4, 0, 8, 16, false},
	{DISPLAY_ABGR8888, "ABGR8888", 4, 0, 8, 16, true},
};

const struct display_format *display_format_find(uint32_t fourcc)
{
	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (formats[i].fourcc == fourcc)
			return &formats[i];
	}
	return NULL;
}

void display_format_to_xrgb(const struct display_format *format, const uint32_t *src, uint32_t *dst, uint32_t n)
{
	if (format->red_shift == 16 && format->green_shift == 8 && format->blue_shift == 0) {
		memcpy(dst, src, n * sizeof(*dst));
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		dst[i] = (src[i] >> format->red_shift & 0xff) << 16 | (src[i] >> format->green_shift & 0xff) << 8 |
			 (src[i] >> format->blue_shift & 0xff);
}
