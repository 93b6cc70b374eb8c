// SPDX-License-Identifier: MIT
#include "host/video/warm_up.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/video/buffer.h"
#include "host/video/codec.h"
#include "host/video/picture.h"
#include "protocol/virtio_video.h"

#define LIMIT_NS 10000000000ull
#define LOOK_MS 20
/* What encoders are given. Some take no less. */
#define SIDE 128u

/* One black picture of 32x32 in each format. */
/* clang-format off */
static const uint8_t h264[] = {
	0x00, 0x00, 0x00, 0x01, 0x67, 0x42, 0xd0, 0x0b, 0xda, 0x25, 0xb0, 0x16, 0xa0, 0xc0, 0xc0, 0xd4, 0xa0, 0x00, 0x00,
	0x03, 0x00, 0x20, 0x00, 0x00, 0x07, 0x91, 0xe2, 0x44, 0xd4, 0x00, 0x00, 0x00, 0x01, 0x68, 0xce, 0x3c, 0x80, 0x00,
	0x00, 0x00, 0x01, 0x65, 0x88, 0x84, 0x06, 0xa8, 0x93, 0x0a, 0x00, 0x03, 0xfb, 0xf2, 0x4f, 0x5d, 0x78,
};
static const uint8_t hevc[] = {
	0x00, 0x00, 0x00, 0x01, 0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00,
	0x03, 0x00, 0x00, 0x03, 0x00, 0x3f, 0xba, 0x02, 0x40, 0x00, 0x00, 0x00, 0x01, 0x42, 0x01, 0x01, 0x01, 0x60, 0x00,
	0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3f, 0xa0, 0x42, 0x08, 0x59, 0x6e, 0x92, 0x93,
	0x0b, 0xff, 0xc0, 0x00, 0x40, 0x00, 0x5a, 0x83, 0x03, 0x03, 0x02, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03,
	0x00, 0x3c, 0x10, 0x00, 0x00, 0x00, 0x01, 0x44, 0x01, 0xc0, 0x71, 0x81, 0x12, 0x00, 0x00, 0x00, 0x01, 0x28, 0x01,
	0xac, 0x1a, 0xe0, 0xf0, 0x6b, 0x10, 0xcf, 0xfe, 0x26, 0x14, 0xf0,
};
static const uint8_t vp8[] = {
	0x30, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x20, 0x00, 0x20, 0x00, 0x00, 0x47, 0x08, 0x85, 0x85, 0x88, 0x99, 0x84, 0x88,
	0x02, 0x02, 0x00, 0x07, 0x90, 0xf3, 0xc9, 0xc0, 0xfe, 0xff, 0xab, 0x50, 0x80,
};
static const uint8_t vp9[] = {
	0x82, 0x49, 0x83, 0x42, 0x20, 0x01, 0xf0, 0x01, 0xf6, 0x06, 0x38, 0x24, 0x1c, 0x18, 0x42, 0x00, 0x00, 0x20, 0x40,
	0x00, 0x22, 0xdb, 0xff, 0xff, 0xa5, 0x13, 0xfb, 0x82, 0x94, 0xde, 0x8f, 0x15, 0x4a, 0xb7, 0x6d, 0x27, 0xfd, 0x54,
	0xfd, 0x19, 0xed, 0x94, 0x52, 0xd3, 0x71, 0xd2, 0x6c, 0xc8, 0xfe, 0xa6, 0xf7, 0x65, 0x4c, 0xbc, 0x26, 0x0d, 0xdf,
	0xff, 0xf7, 0x09, 0xe8, 0x74, 0x7a, 0x6a, 0x05, 0x57, 0xd1, 0x26, 0x5a, 0x85, 0xbf, 0x7a, 0x0e, 0xd6, 0x8b, 0xb1,
	0xe3, 0xd9, 0xcf, 0x19, 0xad, 0xcc, 0xcc, 0xda, 0x8f, 0xea, 0x6d, 0x28, 0xfa, 0x42, 0x30, 0x07, 0xb1, 0x23, 0x40,
};
/* clang-format on */

static const struct {
	uint32_t format;
	const uint8_t *data;
	size_t bytes;
} samples[] = {
	{VIRTIO_VIDEO_FORMAT_H264, h264, sizeof(h264)},
	{VIRTIO_VIDEO_FORMAT_HEVC, hevc, sizeof(hevc)},
	{VIRTIO_VIDEO_FORMAT_VP8, vp8, sizeof(vp8)},
	{VIRTIO_VIDEO_FORMAT_VP9, vp9, sizeof(vp9)},
};

static void changed(void *owner)
{
	/* It is looked at all the time. */
	(void)owner;
}

static int decode_sample(struct codec *c, const struct codec_config *config)
{
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		uint8_t *copy;

		if (samples[i].format != config->coded->number)
			continue;
		copy = malloc(samples[i].bytes);
		if (!copy)
			return -1;
		memcpy(copy, samples[i].data, samples[i].bytes);
		return c->ops->decode(c, copy, samples[i].bytes, 1) ? -1 : 1;
	}
	return 0;
}

static int encode_grey(struct codec *c, const struct codec_config *config)
{
	const size_t bytes = config->layout->total_bytes;
	uint8_t *pixels = malloc(bytes);
	struct iovec piece = {pixels, bytes};
	const struct video_buffer b = {
		.pieces = &piece, .piece_count = 1, .bytes = bytes, .plane_count = 1, .planes = {{0, bytes}}};
	int result = -1;

	if (pixels) {
		memset(pixels, 128, bytes);
		result = c->ops->encode(c, &b, 1, true) ? -1 : 1;
	}
	free(pixels);
	return result;
}

/* Until it is done with what it was given, or the time is over. Returns what it said last. */
static enum codec_output_kind wait_for_output(struct codec *c, struct loop *loop, uint64_t end_ns)
{
	struct codec_output out = {.kind = CODEC_NOTHING};

	while (out.kind == CODEC_NOTHING && loop_now_ns() < end_ns) {
		loop_run_once(loop, LOOK_MS);
		c->ops->output(c, &out);
		if (out.kind == CODEC_FORMAT) {
			c->ops->take(c, NULL, NULL, NULL);
			out.kind = CODEC_NOTHING;
		}
	}
	return out.kind;
}

/* NULL, or what is wrong. */
static const char *run_codec(const struct codec_config *config, const struct codec_ops *ops)
{
	const uint64_t end_ns = loop_now_ns() + LIMIT_NS;
	enum codec_output_kind kind = CODEC_NOTHING;
	struct codec *c;
	int given = -1;

	if (ops->create(config, &c))
		return "it can't be made";
	while (!ops->has_room(c) && loop_now_ns() < end_ns) {
		loop_run_once(config->loop, LOOK_MS);
	}
	if (ops->has_room(c))
		given = config->encoder ? encode_grey(c, config) : decode_sample(c, config);
	if (given >= 0) {
		ops->drain(c);
		kind = given > 0 ? wait_for_output(c, config->loop, end_ns) : CODEC_FRAME;
	}
	ops->destroy(c);
	while (ops->stopping && ops->stopping() > 0 && loop_now_ns() < end_ns)
		loop_run_once(config->loop, LOOK_MS);
	return kind == CODEC_FRAME ? NULL : given < 0 ? "it takes nothing" : "it gives nothing";
}

unsigned video_warm_up(const struct codec_ops *ops, bool encoder, const char *element, struct loop *loop)
{
	const struct video_coded_format *format;
	struct video_layout layout;
	unsigned good = 0;

	video_layout_init(&layout, video_picture_format_at(0), SIDE, SIDE);
	for (unsigned i = 0; (format = video_coded_format_at(i)) != NULL; i++) {
		const struct codec_config config = {
			.encoder = encoder,
			.coded = format,
			.element = element,
			.layout = &layout,
			.controls = {.bitrate = 1000000,
				     .peak_bitrate = 2000000,
				     .profile = format->profiles[0].number,
				     .level = format->last_level,
				     .frame_rate = 30,
				     .repeat_headers = 1},
			.loop = loop,
			.changed = changed,
		};
		const char *wrong;

		if (format->number == 0 || (encoder && format->decode_only) || !ops->can(format, encoder, element))
			continue;
		wrong = run_codec(&config, ops);
		good += !wrong;
		if (wrong)
			log_line(LOG_TOPIC_VIDEO, LOG_WARN, "the %s of %s does not work here: %s", encoder ? "encoder" : "decoder",
				 format->name, wrong);
	}
	return good;
}
