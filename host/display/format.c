// SPDX-License-Identifier: MIT
#include "host/display/format.h"

#include <stddef.h>

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
