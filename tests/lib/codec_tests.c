// SPDX-License-Identifier: MIT
#include "tests/lib/codec_tests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "host/video/gst_elements.h"
#include "tests/lib/tap.h"

static const char *encoder_of_worlds; /* NULL: the one that the device takes */

void codec_for_each_other(bool encoder, const char *const *names, void (*fn)(const struct video_coded_format *format))
{
	const char **named = encoder ? &encoder_of_worlds : &clip_decoder;
	const struct video_coded_format *format;
	unsigned count = 0;

	for (unsigned i = 0; (format = video_coded_format_at(i)) != NULL; i++) {
		for (unsigned n = 0; names[n]; n++) {
			if (format->number == 0 || (encoder && format->decode_only) || !clip_can_make(format) ||
			    !codec_gst_ops.can(format, false, NULL) || !codec_gst_ops.can(format, encoder, names[n]))
				continue;
			*named = names[n];
			fn(format);
			*named = NULL;
			count++;
		}
	}
	if (count == 0)
		tap_skip("none of these elements is here");
}

void codec_for_each_format(bool encoder, void (*fn)(const struct video_coded_format *format))
{
	const struct video_coded_format *format;
	unsigned count = 0;

	for (unsigned i = 0; (format = video_coded_format_at(i)) != NULL; i++) {
		/* The others are no formats of this device. */
		if (format->number == 0 || (encoder && format->decode_only))
			continue;
		if (!codec_gst_ops.can(format, false, NULL) || !clip_can_make(format) ||
		    (encoder && !codec_gst_ops.can(format, true, NULL))) {
			printf("# %s left out: no decoder or no encoder\n", format->name);
			continue;
		}
		fn(format);
		count++;
	}
	if (count == 0)
		tap_skip("no format has a decoder and an encoder: install gstreamer1.0-libav and -plugins-good, -bad, "
			 "-ugly");
}

struct video_world *codec_world_of(bool encoder, const struct video_dialect *dialect)
{
	return video_world_create(&(struct video_world_options){.encoder = encoder,
								.dialect = dialect,
								.codec = &codec_gst_ops,
								.element = encoder ? encoder_of_worlds : clip_decoder,
								.timeout_ms = 60000,
								.memory_bytes = 64 << 20});
}

struct video_world *codec_world(bool encoder)
{
	return codec_world_of(encoder, NULL);
}
