/* SPDX-License-Identifier: MIT */
/* What the tests of codecs behind the device share: of GStreamer's, and of what every codec backend must do. */
#ifndef MULLION_TESTS_LIB_CODEC_TESTS_H
#define MULLION_TESTS_LIB_CODEC_TESTS_H

#include "tests/lib/clip.h"
#include "tests/lib/codec_run.h"
#include "tests/lib/video_client.h"

/* A codec backend, and what it takes to test it. */
struct codec_backend {
	const char *name;
	const struct codec_ops *ops;
	/* As clip_can_make(), clip_make() and clip_decode_outside(), which the last one does to NV12. */
	bool (*can_make)(const struct video_coded_format *format);
	void (*make)(const struct video_coded_format *format, unsigned width, unsigned height, struct clip *c);
	void (*decode_outside)(const struct video_coded_format *format, const struct clip *c, struct sums *sums);
};

/* A row for each of host/video's; GStreamer's is the first. */
enum { CODEC_BACKENDS = 2 };
extern const struct codec_backend codec_backends[CODEC_BACKENDS];
/* The one that the calls below are about; the first, but for tests that were made by codec_with_each_backend(). */
extern const struct codec_backend *codec_tested;

/* Put each of the @count @tests into @out once for each backend, with its name. Returns how many those are. */
size_t codec_with_each_backend(const struct CMUnitTest *tests, size_t count, struct CMUnitTest *out);

/* Run @fn for each format that the device decodes (and encodes, if @encoder) here and of which clips can be made. */
void codec_for_each_format(bool encoder, void (*fn)(const struct video_coded_format *format));

/*
 * Run @fn for each format with each of the elements @names (ended by NULL) that is here and does it: decoders or encoders made by
 * the calls below are that one then, and clip_decoder names the decoder.
 */
void codec_for_each_other(bool encoder, const char *const *names, void (*fn)(const struct video_coded_format *format));

/* A device with the backend's codecs, and a guest with 64 MiB. */
struct video_world *codec_world(bool encoder);
struct video_world *codec_world_of(bool encoder, const struct video_dialect *dialect);

#endif
