// SPDX-License-Identifier: MIT
/*
 * Pictures of 10 bits a sample on their way through both devices of virtio-media, by each codec of the host that takes
 * them; and the profiles that the devices list, which are those of the host's elements.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>

#include "host/video/gst_elements.h"
#include "tests/lib/codec_run.h"
#include "tests/lib/media_client.h"
#include "tests/lib/tap.h"
#include "tests/lib/video_world.h"

enum { FRAMES = 8, KEY_EACH = 5, WIDTH = 176, HEIGHT = 144, SAMPLES = WIDTH * HEIGHT * 3 / 2 };

static const struct {
	uint32_t fourcc;
	const char *name;
} formats[] = {
	{V4L2_PIX_FMT_H264, "h264"}, {V4L2_PIX_FMT_HEVC, "hevc"}, {V4L2_PIX_FMT_VP9, "vp9"}, {V4L2_PIX_FMT_AV1, "av1"}};

/* Picture @n, as P010 has the samples, without the empty bits below: slopes so gentle that 8 bits make steps of them. */
static void draw(uint16_t *p, unsigned n)
{
	for (unsigned y = 0; y < HEIGHT; y++) {
		for (unsigned x = 0; x < WIDTH; x++)
			*p++ = (uint16_t)(300 + (3 * x + 2 * y + 4 * n) / 4);
	}
	for (unsigned y = 0; y < HEIGHT / 2; y++) {
		for (unsigned x = 0; x < WIDTH; x++)
			*p++ = (uint16_t)(x % 2 ? 420 + (y + n) / 2 : 600 - x / 3);
	}
}

/* ---- encode ---- */

struct film {
	unsigned count;
	uint8_t *data[FRAMES];
	size_t bytes[FRAMES];
};

static void keep_packet(void *arg, const uint8_t *data, const struct virtio_media_event_dqbuf *e)
{
	struct film *f = arg;

	assert_true(f->count < FRAMES && e->planes[0].bytesused > 0);
	assert_int_equal(e->buffer.timestamp.tv_usec, f->count);
	/* That it was asked for goes through the conversion. */
	assert_true(f->count % KEY_EACH || e->buffer.flags & V4L2_BUF_FLAG_KEYFRAME);
	f->bytes[f->count] = e->planes[0].bytesused;
	f->data[f->count] = malloc(f->bytes[f->count]);
	assert_non_null(f->data[f->count]);
	memcpy(f->data[f->count], data, f->bytes[f->count]);
	f->count++;
}

static void free_film(struct film *f)
{
	for (unsigned n = 0; n < f->count; n++)
		free(f->data[n]);
}

static struct media_world *world(bool encoder)
{
	return media_world_create(&(struct video_world_options){
		.encoder = encoder, .codec = &codec_gst_ops, .timeout_ms = 60000, .memory_bytes = 32 << 20});
}

/* As pictures of @raw (P010, or NV12, which has the upper 8 bits), by the profile that @control sets; NULL: the first. */
static void encode(uint32_t fourcc, uint32_t raw, bool pages, struct v4l2_control *control, struct film *f)
{
	struct v4l2_control rate = {V4L2_CID_MPEG_VIDEO_BITRATE, 30000000};
	struct media_world *w = world(true);
	struct video_stats stats;
	struct media_client c;

	memset(f, 0, sizeof(*f));
	media_client_open(&c, w);
	c.shares_pages = pages;
	media_client_set_format(&c, MEDIA_CAPTURE, fourcc, WIDTH, HEIGHT);
	media_client_set_format(&c, MEDIA_OUTPUT, raw, WIDTH, HEIGHT);
	assert_int_equal(media_call(w, c.id, VIDIOC_S_CTRL, &rate), 0);
	if (control)
		assert_int_equal(media_call(w, c.id, VIDIOC_S_CTRL, control), 0);
	media_client_make_buffers(&c, MEDIA_OUTPUT);
	media_client_make_buffers(&c, MEDIA_CAPTURE);
	for (unsigned n = 0; n < FRAMES; n++) {
		struct v4l2_control key = {V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, 0};
		uint16_t samples[SAMPLES];
		uint8_t picture[2 * SAMPLES];

		if (n > 0 && n % KEY_EACH == 0)
			assert_int_equal(media_call(w, c.id, VIDIOC_S_CTRL, &key), 0);
		draw(samples, n);
		for (unsigned i = 0; i < SAMPLES; i++) {
			picture[raw == V4L2_PIX_FMT_P010 ? 2 * i : i] =
				(uint8_t)(raw == V4L2_PIX_FMT_P010 ? samples[i] << 6 : samples[i] >> 2);
			if (raw == V4L2_PIX_FMT_P010)
				picture[2 * i + 1] = (uint8_t)(samples[i] >> 2);
		}
		media_client_send(&c, picture, raw == V4L2_PIX_FMT_P010 ? 2 * SAMPLES : SAMPLES, n, keep_packet, f);
	}
	media_client_finish(&c, true, keep_packet, f);
	assert_int_equal(f->count, FRAMES);
	media_get_stats(w->device, &stats);
	printf("# %s: %.2f copies a picture\n", stats.codec.element, (double)stats.codec.copies / FRAMES);
	/* GStreamer puts the samples of P010 into the encoder's planes: once, and nobody else does. */
	if (raw == V4L2_PIX_FMT_P010 && strcmp(stats.codec.element, "av1enc") != 0)
		assert_int_equal(stats.codec.copies, FRAMES);
	media_world_destroy(w);
}

/* ---- decode ---- */

struct judge {
	unsigned count;
	double sum; /* of squared errors */
};

static void compare(void *arg, const uint8_t *data, const struct virtio_media_event_dqbuf *e)
{
	struct judge *j = arg;
	uint16_t samples[SAMPLES];

	assert_int_equal(e->buffer.timestamp.tv_usec, j->count);
	assert_int_equal(e->planes[0].bytesused, 2 * SAMPLES);
	draw(samples, j->count++);
	for (unsigned i = 0; i < SAMPLES; i++) {
		const int is = (data[2 * i] | data[2 * i + 1] << 8) >> 6, error = is - samples[i];

		j->sum += error * error;
	}
}

/* Decoded to P010: the PSNR of all samples together, in dB. */
static double decode(uint32_t fourcc, const struct film *f)
{
	struct media_world *w = world(false);
	struct judge j = {0};
	struct media_client c;

	media_client_open(&c, w);
	assert_int_equal(media_subscribe_to(w, c.id, V4L2_EVENT_SOURCE_CHANGE, 0, 0), 0);
	media_client_set_format(&c, MEDIA_OUTPUT, fourcc, WIDTH, HEIGHT);
	media_client_set_format(&c, MEDIA_CAPTURE, V4L2_PIX_FMT_P010, WIDTH, HEIGHT);
	media_client_make_buffers(&c, MEDIA_OUTPUT);
	for (unsigned n = 0; n < FRAMES; n++)
		media_client_send(&c, f->data[n], f->bytes[n], n, compare, &j);
	media_client_finish(&c, false, compare, &j);
	media_world_destroy(w);
	assert_int_equal(j.count, FRAMES);
	return j.sum == 0 ? 99 : 10 * log10(1023.0 * 1023.0 * FRAMES * SAMPLES / j.sum);
}

/* What the bitstream says of itself, by GStreamer's parser: bits a sample; 0: nothing. */
static int bits_of(const char *name, const struct film *f)
{
	const struct video_coded_format *format = video_coded_format_named(name);
	GstElement *pipeline, *in, *out;
	GstSample *sample;
	guint bits = 0;
	char text[300];

	snprintf(text, sizeof(text), "appsrc name=in format=time caps=%s ! %s ! appsink name=out sync=false",
		 format->caps, format->parser);
	pipeline = gst_parse_launch(text, NULL);
	assert_non_null(pipeline);
	in = gst_bin_get_by_name(GST_BIN(pipeline), "in");
	out = gst_bin_get_by_name(GST_BIN(pipeline), "out");
	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	for (unsigned n = 0; n < f->count; n++)
		gst_app_src_push_buffer(GST_APP_SRC(in), gst_buffer_new_memdup(f->data[n], f->bytes[n]));
	gst_app_src_end_of_stream(GST_APP_SRC(in));
	sample = gst_app_sink_pull_sample(GST_APP_SINK(out));
	assert_non_null(sample);
	gst_structure_get_uint(gst_caps_get_structure(gst_sample_get_caps(sample), 0), "bit-depth-luma", &bits);
	gst_sample_unref(sample);
	gst_element_set_state(pipeline, GST_STATE_NULL);
	gst_object_unref(in);
	gst_object_unref(out);
	gst_object_unref(pipeline);
	return (int)bits;
}

static bool can_both_ways(const char *name)
{
	const struct video_coded_format *format = video_coded_format_named(name);
	struct codec_abilities can;

	if (!codec_gst_ops.can(format, true, NULL) || !codec_gst_ops.can(format, false, NULL))
		return false;
	codec_gst_ops.abilities(format, true, NULL, &can);
	return can.wide;
}

/* More than 8 bits can say at all, if nothing else were lost: what is left of 8 is measured beside it. */
static void ten_bits_survive_the_way_through_both_devices(void **state)
{
	unsigned tried = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		double ten, eight;
		struct film f;

		if (!can_both_ways(formats[i].name)) {
			printf("# %s left out: no decoder, or no encoder of 10 bits\n", formats[i].name);
			continue;
		}
		encode(formats[i].fourcc, V4L2_PIX_FMT_NV12, false, NULL, &f);
		assert_int_equal(bits_of(formats[i].name, &f), 8);
		eight = decode(formats[i].fourcc, &f);
		free_film(&f);
		encode(formats[i].fourcc, V4L2_PIX_FMT_P010, i % 2, NULL, &f);
		assert_int_equal(bits_of(formats[i].name, &f), 10);
		ten = decode(formats[i].fourcc, &f);
		free_film(&f);
		printf("# %s: %.1f dB in 10 bits, %.1f dB in 8\n", formats[i].name, ten, eight);
		assert_true(ten > 35 && ten > eight + 1);
		tried++;
	}
	if (tried == 0)
		tap_skip("no encoder here takes 10 bits: install gstreamer1.0-plugins-bad, -good or -ugly");
}

/* As who wants it may have it. */
static void a_profile_of_ten_bits_makes_ten_of_pictures_of_eight(void **state)
{
	static const struct {
		uint32_t fourcc;
		const char *name;
		struct v4l2_control profile;
	} cases[] = {
		{V4L2_PIX_FMT_H264, "h264", {V4L2_CID_MPEG_VIDEO_H264_PROFILE, V4L2_MPEG_VIDEO_H264_PROFILE_HIGH_10}},
		{V4L2_PIX_FMT_HEVC, "hevc", {V4L2_CID_MPEG_VIDEO_HEVC_PROFILE, V4L2_MPEG_VIDEO_HEVC_PROFILE_MAIN_10}},
		{V4L2_PIX_FMT_VP9, "vp9", {V4L2_CID_MPEG_VIDEO_VP9_PROFILE, V4L2_MPEG_VIDEO_VP9_PROFILE_2}},
	};
	unsigned tried = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct v4l2_control profile = cases[i].profile;
		struct film f;
		double psnr;

		if (!can_both_ways(cases[i].name)) {
			printf("# %s left out: no decoder, or no encoder of 10 bits\n", cases[i].name);
			continue;
		}
		encode(cases[i].fourcc, V4L2_PIX_FMT_NV12, i % 2, &profile, &f);
		assert_int_equal(bits_of(cases[i].name, &f), 10);
		psnr = decode(cases[i].fourcc, &f);
		printf("# %s: %.1f dB\n", cases[i].name, psnr);
		assert_true(psnr > 35);
		free_film(&f);
		tried++;
	}
	if (tried == 0)
		tap_skip("no encoder here takes 10 bits: install gstreamer1.0-plugins-bad, -good or -ugly");
}

static void a_codec_of_eight_bits_is_given_no_more(void **state)
{
	struct v4l2_format f = {.type = MEDIA_OUTPUT};
	struct media_client c;
	struct media_world *w;

	(void)state;
	if (!can_both_ways("hevc") || !codec_gst_ops.can(video_coded_format_named("vp8"), true, NULL))
		tap_skip("no encoder of 10 bits, or none of VP8: install gstreamer1.0-plugins-bad and -good");
	w = world(true);
	media_client_open(&c, w);
	media_client_set_format(&c, MEDIA_CAPTURE, V4L2_PIX_FMT_HEVC, WIDTH, HEIGHT);
	media_client_set_format(&c, MEDIA_OUTPUT, V4L2_PIX_FMT_P010, WIDTH, HEIGHT);
	media_client_set_format(&c, MEDIA_CAPTURE, V4L2_PIX_FMT_VP8, WIDTH, HEIGHT);
	assert_int_equal(media_call(w, c.id, VIDIOC_G_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.pixelformat, V4L2_PIX_FMT_NV12);
	assert_int_equal(f.fmt.pix_mp.plane_fmt[0].sizeimage, SAMPLES);
	/* Not under buffers that were made for them. */
	media_client_set_format(&c, MEDIA_CAPTURE, V4L2_PIX_FMT_HEVC, WIDTH, HEIGHT);
	media_client_set_format(&c, MEDIA_OUTPUT, V4L2_PIX_FMT_P010, WIDTH, HEIGHT);
	media_client_make_buffers(&c, MEDIA_OUTPUT);
	f = (struct v4l2_format){.type = MEDIA_CAPTURE};
	f.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_VP8;
	assert_int_equal(media_call(w, c.id, VIDIOC_S_FMT, &f), -EBUSY);
	f = (struct v4l2_format){.type = MEDIA_OUTPUT};
	assert_int_equal(media_call(w, c.id, VIDIOC_G_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.pixelformat, V4L2_PIX_FMT_P010);
	media_world_destroy(w);
}

/* ---- what is listed ---- */

/* The choices of a session's menu, a bit each. */
static uint32_t menu_of(bool encoder, const char *element, uint32_t control)
{
	struct media_world *w = media_world_create(&(struct video_world_options){
		.encoder = encoder, .codec = &codec_gst_ops, .element = element, .memory_bytes = 32 << 20});
	struct v4l2_queryctrl q = {.id = control};
	uint32_t id, choices = 0;

	assert_int_equal(media_open(w, &id), 0);
	assert_int_equal(media_call(w, id, VIDIOC_QUERYCTRL, &q), 0);
	for (uint32_t i = 0; i < 32; i++) {
		struct v4l2_querymenu m = {.id = control, .index = i};

		if (media_call(w, id, VIDIOC_QUERYMENU, &m) == 0)
			choices |= 1u << i;
	}
	assert_true(choices >> q.default_value & 1);
	assert_int_equal(q.maximum, 31 - __builtin_clz(choices));
	media_world_destroy(w);
	return choices;
}

/* The same of virtio-video, by number less the format's first. */
static uint32_t profiles_of(bool encoder, const char *element, uint32_t format, uint32_t first)
{
	struct video_world *w = video_world_create(&(struct video_world_options){
		.encoder = encoder, .codec = &codec_gst_ops, .element = element, .memory_bytes = 32 << 20});
	struct {
		struct virtio_video_query_control c;
		struct virtio_video_query_control_format f;
	} request = {.c.control = VIRTIO_VIDEO_CONTROL_PROFILE, .f.format = format};
	struct {
		struct virtio_video_query_control_resp head;
		uint32_t values[32];
	} answer;
	uint32_t choices = 0;

	assert_int_equal(
		video_send(w, VIRTIO_VIDEO_CMD_QUERY_CONTROL, 0, &request, sizeof(request), &answer, sizeof(answer)),
		VIRTIO_VIDEO_RESP_OK_QUERY_CONTROL);
	for (uint32_t i = 0; i < answer.head.num; i++)
		choices |= 1u << (answer.values[i] - first);
	video_world_destroy(w);
	return choices;
}

static void profiles_are_those_of_the_element(void **state)
{
	enum {
		MAIN = 1 << V4L2_MPEG_VIDEO_HEVC_PROFILE_MAIN,
		STILL = 1 << V4L2_MPEG_VIDEO_HEVC_PROFILE_MAIN_STILL_PICTURE,
		MAIN_10 = 1 << V4L2_MPEG_VIDEO_HEVC_PROFILE_MAIN_10,
		/* All but Extended; and the same without 10 bits. */
		H264 = 0x37,
		H264_OF_8 = 0x17,
	};
	const bool says = GST_CHECK_VERSION(1, 26, 0);
	/* @video: as virtio-video numbers them, Main 10 before Main Still Picture; what is given to its encoders has 8 bits. */
	const struct {
		bool encoder;
		const char *element, *coded;
		uint32_t control, media, format, first, video;
	} cases[] = {
		{false, "avdec_h265", "hevc", V4L2_CID_MPEG_VIDEO_HEVC_PROFILE, MAIN | STILL | MAIN_10,
		 VIRTIO_VIDEO_FORMAT_HEVC, VIRTIO_VIDEO_PROFILE_HEVC_MAIN, 7},
		/* Its pads said nothing of profiles before GStreamer 1.26. */
		{false, "libde265dec", "hevc", V4L2_CID_MPEG_VIDEO_HEVC_PROFILE, says ? MAIN : MAIN | STILL,
		 VIRTIO_VIDEO_FORMAT_HEVC, VIRTIO_VIDEO_PROFILE_HEVC_MAIN, says ? 1 : 5},
		{true, "x265enc", "hevc", V4L2_CID_MPEG_VIDEO_HEVC_PROFILE, MAIN | MAIN_10, VIRTIO_VIDEO_FORMAT_HEVC,
		 VIRTIO_VIDEO_PROFILE_HEVC_MAIN, 1},
		{true, "vp9enc", "vp9", V4L2_CID_MPEG_VIDEO_VP9_PROFILE, 5, VIRTIO_VIDEO_FORMAT_VP9,
		 VIRTIO_VIDEO_PROFILE_VP9_PROFILE0, 1},
		{false, "avdec_h264", "h264", V4L2_CID_MPEG_VIDEO_H264_PROFILE, H264, VIRTIO_VIDEO_FORMAT_H264,
		 VIRTIO_VIDEO_PROFILE_H264_BASELINE, 0x1b},
		{true, "x264enc", "h264", V4L2_CID_MPEG_VIDEO_H264_PROFILE, H264, VIRTIO_VIDEO_FORMAT_H264,
		 VIRTIO_VIDEO_PROFILE_H264_BASELINE, 0xb},
		{true, "openh264enc", "h264", V4L2_CID_MPEG_VIDEO_H264_PROFILE, H264_OF_8, VIRTIO_VIDEO_FORMAT_H264,
		 VIRTIO_VIDEO_PROFILE_H264_BASELINE, 0xb},
	};
	unsigned tried = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!codec_gst_ops.can(video_coded_format_named(cases[i].coded), cases[i].encoder, cases[i].element)) {
			printf("# %s is not here\n", cases[i].element);
			continue;
		}
		assert_int_equal(menu_of(cases[i].encoder, cases[i].element, cases[i].control), cases[i].media);
		assert_int_equal(profiles_of(cases[i].encoder, cases[i].element, cases[i].format, cases[i].first),
				 cases[i].video);
		tried++;
	}
	if (tried == 0)
		tap_skip("none of these elements is here");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_bits_survive_the_way_through_both_devices),
		cmocka_unit_test(a_profile_of_ten_bits_makes_ten_of_pictures_of_eight),
		cmocka_unit_test(a_codec_of_eight_bits_is_given_no_more),
		cmocka_unit_test(profiles_are_those_of_the_element),
	};

	return codec_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
