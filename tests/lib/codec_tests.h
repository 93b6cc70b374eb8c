/* SPDX-License-Identifier: MIT */
/* What the tests of GStreamer's codecs behind the device share. */
#ifndef MULLION_TESTS_LIB_CODEC_TESTS_H
#define MULLION_TESTS_LIB_CODEC_TESTS_H

#include "tests/lib/clip.h"
#include "tests/lib/codec_run.h"
#include "tests/lib/video_client.h"

/* Run @fn for each format that the device decodes (and encodes, if @encoder) here and of which clips can be made. */
void codec_for_each_format(bool encoder, void (*fn)(const struct video_coded_format *format));

/*
 * Run @fn for each format with each of the elements @names (ended by NULL) that is here and does it: decoders or encoders made by
 * the calls below are that one then, and clip_decoder names the decoder.
 */
void codec_for_each_other(bool encoder, const char *const *names, void (*fn)(const struct video_coded_format *format));

/* A device with GStreamer's codecs, and a guest with 64 MiB. */
struct video_world *codec_world(bool encoder);
struct video_world *codec_world_of(bool encoder, const struct video_dialect *dialect);

#endif
