// SPDX-License-Identifier: MIT
#include "tests/lib/codec_tests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/codec_fake.h"
#include "host/video/gst_elements.h"
#include "tests/lib/tap.h"

/* ---- backends ---- */

static void decode_to_nv12(const struct video_coded_format *format, const struct clip *c, struct sums *sums)
{
	clip_decode_outside(format, c, "NV12", sums);
}

static bool fake_can_make(const struct video_coded_format *format)
{
	(void)format;
	return true;
}

static void fake_make(const struct video_coded_format *format, unsigned width, unsigned height, struct clip *c)
{
	(void)format;
	memset(c, 0, sizeof(*c));
	for (; c->count < CLIP_FRAMES; c->count++) {
		const struct fake_header h = {FAKE_MAGIC, FAKE_PICTURE, width, height, width + c->count};

		c->data[c->count] = malloc(sizeof(h));
		assert_non_null(c->data[c->count]);
		memcpy(c->data[c->count], &h, sizeof(h));
		c->bytes[c->count] = sizeof(h);
	}
}

/* The rows of luma, then those of U and V by turns. */
static void fake_decode_outside(const struct video_coded_format *format, const struct clip *c, struct sums *sums)
{
	static uint8_t picture[CLIP_WIDTH * CLIP_HEIGHT * 3 / 2];

	(void)format;
	for (sums->count = 0; sums->count < c->count; sums->count++) {
		uint8_t *p = picture;
		struct fake_header h;

		memcpy(&h, c->data[sums->count], sizeof(h));
		assert_true((size_t)h.width * h.height * 3 / 2 <= sizeof(picture));
		for (uint32_t y = 0; y < h.height * 3 / 2; y++) {
			for (uint32_t x = 0; x < h.width; x++)
				*p++ = y < h.height ? fake_sample(h.value, 0, x, y)
						    : fake_sample(h.value, 1 + x % 2, x / 2, y - h.height);
		}
		sums->sum[sums->count] = sums_of(picture, (size_t)(p - picture));
	}
}

const struct codec_backend codec_backends[CODEC_BACKENDS] = {
	{"gst", &codec_gst_ops, clip_can_make, clip_make, decode_to_nv12},
	{"fake", &codec_fake_ops, fake_can_make, fake_make, fake_decode_outside},
};
const struct codec_backend *codec_tested = &codec_backends[0];

static int choose_backend(void **state)
{
	codec_tested = *state;
	return 0;
}

static int choose_none(void **state)
{
	(void)state;
	codec_tested = &codec_backends[0];
	return 0;
}

size_t codec_with_each_backend(const struct CMUnitTest *tests, size_t count, struct CMUnitTest *out)
{
	static char names[CODEC_BACKENDS * 16][96];

	assert_true(CODEC_BACKENDS * count <= sizeof(names) / sizeof(names[0]));
	for (size_t i = 0; i < CODEC_BACKENDS * count; i++) {
		const struct codec_backend *b = &codec_backends[i / count];

		snprintf(names[i], sizeof(names[i]), "%s: %s", b->name, tests[i % count].name);
		out[i] = tests[i % count];
		out[i].name = names[i];
		out[i].setup_func = choose_backend;
		out[i].teardown_func = choose_none;
		out[i].initial_state = (void *)(uintptr_t)b;
	}
	return CODEC_BACKENDS * count;
}

/* ---- */

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
		if (!codec_tested->ops->can(format, false, NULL) || !codec_tested->can_make(format) ||
		    (encoder && !codec_tested->ops->can(format, true, NULL))) {
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
								.codec = codec_tested->ops,
								.element = encoder ? encoder_of_worlds : clip_decoder,
								.timeout_ms = 60000,
								.memory_bytes = 64 << 20});
}

struct video_world *codec_world(bool encoder)
{
	return codec_world_of(encoder, NULL);
}
