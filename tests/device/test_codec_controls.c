// SPDX-License-Identifier: MIT
/*
 * What an encoder's controls do: profile and level are in the H.264 bitstream, parameter sets come before each key frame or
 * once, the bitrate makes packets smaller, and its mode and peak reach the elements.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/gst_elements.h"
#include "host/video/headers.h"
#include "tests/lib/codec_tests.h"
#include "tests/lib/tap.h"

enum { WIDTH = 176, HEIGHT = 144, BYTES = WIDTH * HEIGHT * 3 / 2, FRAMES = 12 };

static uint32_t set_control(struct video_world *w, uint32_t control, uint32_t value)
{
	struct {
		struct virtio_video_set_control c;
		struct virtio_video_control_value v;
	} request = {.c.control = control, .v.value = value};

	return video_send(w, VIRTIO_VIDEO_CMD_SET_CONTROL, 1, &request, sizeof(request), NULL, 0);
}

static void keep_packet(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp)
{
	struct clip *clip = c->arg;

	assert_true(clip->count < CLIP_MAX_PACKETS);
	clip->data[clip->count] = malloc(resp->size);
	assert_non_null(clip->data[clip->count]);
	memcpy(clip->data[clip->count], data, resp->size);
	clip->bytes[clip->count++] = resp->size;
}

/* Noise that is the same each time. */
static void noise_picture(uint8_t *p, unsigned n)
{
	uint32_t state = n + 1;

	for (size_t i = 0; i < BYTES; i++) {
		state = state * 1664525 + 1013904223;
		p[i] = (uint8_t)(96 + (state >> 26));
	}
}

struct setting {
	uint32_t control, value;
};

/* Encode FRAMES pictures; a key frame each 4. */
static void encode(const struct video_coded_format *format, const struct setting *settings, unsigned count,
		   struct clip *clip)
{
	struct video_world *w = codec_world(true);
	struct client e = {.each = keep_packet, .arg = clip, .picture_bytes = BYTES};
	struct virtio_video_set_params p = {.params = {.queue_type = VIDEO_IN,
						       .format = VIRTIO_VIDEO_FORMAT_NV12,
						       .frame_width = WIDTH,
						       .frame_height = HEIGHT,
						       .frame_rate = 30}};
	uint8_t picture[BYTES];

	memset(clip, 0, sizeof(*clip));
	client_open(&e, w, 1, format, false);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_IN), VIDEO_OK);
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &p, sizeof(p), NULL, 0), VIDEO_OK);
	for (uint32_t i = 0; i < CLIENT_INPUTS; i++)
		assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, i, BYTES, &e.in[i]), VIDEO_OK);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(set_control(w, settings[i].control, settings[i].value), VIDEO_OK);
	for (unsigned i = 0; i < FRAMES; i++) {
		if (i % 4 == 0)
			video_force_keyframe(w, 1);
		noise_picture(picture, i);
		client_send(&e, picture, BYTES, i);
	}
	client_drain(&e);
	assert_int_equal(clip->count, FRAMES);
	video_world_destroy(w);
}

static const struct video_coded_format *find_or_skip(uint32_t number)
{
	const struct video_coded_format *format = video_coded_format_find(number);

	if (!codec_gst_ops.can(format, true, NULL) || !codec_gst_ops.can(format, false, NULL))
		tap_skip("no encoder or no decoder: install gstreamer1.0-plugins-ugly, -bad and gstreamer1.0-libav");
	return format;
}

/* H.264's sequence parameter set in a packet, behind its NAL byte, or NULL. */
static const uint8_t *find_sps(const struct clip *c, unsigned i)
{
	for (size_t at = 0; at + 7 < c->bytes[i]; at++) {
		const uint8_t *p = c->data[i] + at;

		if (p[0] == 0 && p[1] == 0 && p[2] == 1 && (p[3] & 0x1f) == 7)
			return p + 4;
	}
	return NULL;
}

static bool is_x264(void)
{
	GstElementFactory *f = gst_elements_find(video_coded_format_find(VIRTIO_VIDEO_FORMAT_H264), true, NULL);
	bool is = strcmp(GST_OBJECT_NAME(f), "x264enc") == 0;

	gst_object_unref(f);
	return is;
}

static void check_profile_and_level(const struct video_coded_format *h264, bool has_level)
{
	static const struct {
		uint32_t profile, level;
		uint8_t profile_idc, level_idc;
	} cases[] = {
		{VIRTIO_VIDEO_PROFILE_H264_BASELINE, VIRTIO_VIDEO_LEVEL_H264_1_0 + 3, 66, 13},
		{VIRTIO_VIDEO_PROFILE_H264_MAIN, VIRTIO_VIDEO_LEVEL_H264_4_0, 77, 40},
		{VIRTIO_VIDEO_PROFILE_H264_HIGH, VIRTIO_VIDEO_LEVEL_H264_5_1, 100, 51},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* So that the level is high enough. */
		const struct setting settings[] = {{VIRTIO_VIDEO_CONTROL_BITRATE, 150000},
						   {VIRTIO_VIDEO_CONTROL_BITRATE_PEAK, 200000},
						   {VIRTIO_VIDEO_CONTROL_PROFILE, cases[i].profile},
						   {VIRTIO_VIDEO_CONTROL_LEVEL, cases[i].level}};
		const uint8_t *sps;
		struct clip clip;

		encode(h264, settings, 4, &clip);
		sps = find_sps(&clip, 0);
		assert_non_null(sps);
		assert_int_equal(sps[0], cases[i].profile_idc);
		if (has_level)
			assert_int_equal(sps[2], cases[i].level_idc);
		clip_free(&clip);
	}
}

static void profile_and_level_are_in_the_bitstream(void **state)
{
	const bool has_level = is_x264();

	(void)state;
	check_profile_and_level(find_or_skip(VIRTIO_VIDEO_FORMAT_H264), has_level);
	if (!has_level)
		printf("# levels left out: the best H.264 encoder here is not told any\n");
}

/* What is more than a level's own, or than any level's, it takes for a higher one, and goes on. */
static void check_other(const struct video_coded_format *format)
{
	static const uint32_t bitrates[][2] = {{2000000, 4000000}, {2000000, 2000000000}};

	check_profile_and_level(format, true);
	for (unsigned i = 0; i < sizeof(bitrates) / sizeof(bitrates[0]); i++) {
		const struct setting settings[] = {{VIRTIO_VIDEO_CONTROL_BITRATE, bitrates[i][0]},
						   {VIRTIO_VIDEO_CONTROL_BITRATE_PEAK, bitrates[i][1]},
						   {VIRTIO_VIDEO_CONTROL_LEVEL, VIRTIO_VIDEO_LEVEL_H264_1_0}};
		const uint8_t *sps;
		struct clip clip;

		encode(format, settings, 3, &clip);
		sps = find_sps(&clip, 0);
		assert_non_null(sps);
		assert_true(sps[2] > 10);
		clip_free(&clip);
	}
}

static void another_encoder_puts_them_there_too(void **state)
{
	static const char *const names[] = {"openh264enc", NULL};

	(void)state;
	codec_for_each_other(true, names, check_other);
}

static bool has_parameter_sets(const struct video_coded_format *format, const struct clip *c, unsigned i)
{
	struct video_headers h = {0};

	return video_headers_scan(&h, format->headers, c->data[i], c->bytes[i]);
}

static void check_parameter_sets(uint32_t number)
{
	const struct video_coded_format *format = find_or_skip(number);
	struct sums sums[2];

	for (uint32_t repeat = 0; repeat < 2; repeat++) {
		const struct setting setting = {VIRTIO_VIDEO_CONTROL_PREPEND_SPSPPS_TO_IDR, repeat};
		struct clip clip;

		encode(format, &setting, 1, &clip);
		for (unsigned i = 0; i < FRAMES; i++)
			assert_int_equal(has_parameter_sets(format, &clip, i), i == 0 || (i % 4 == 0 && repeat));
		clip_decode_outside(format, &clip, "NV12", &sums[repeat]);
		assert_int_equal(sums[repeat].count, FRAMES);
		clip_free(&clip);
	}
	assert_memory_equal(sums[0].sum, sums[1].sum, FRAMES * sizeof(sums[0].sum[0]));
}

static void h264_parameter_sets_come_once_or_with_each_key_frame(void **state)
{
	(void)state;
	check_parameter_sets(VIRTIO_VIDEO_FORMAT_H264);
}

static void hevc_parameter_sets_come_once_or_with_each_key_frame(void **state)
{
	(void)state;
	check_parameter_sets(VIRTIO_VIDEO_FORMAT_HEVC);
}

static void check_bitrate(const struct video_coded_format *format)
{
	size_t bytes[2] = {0};

	for (unsigned k = 0; k < 2; k++) {
		const struct setting settings[] = {{VIRTIO_VIDEO_CONTROL_BITRATE_MODE, VIRTIO_VIDEO_BITRATE_MODE_CBR},
						   {VIRTIO_VIDEO_CONTROL_BITRATE, k ? 4000000 : 200000},
						   {VIRTIO_VIDEO_CONTROL_BITRATE_PEAK, 4000000}};
		struct clip clip;

		encode(format, settings, 3, &clip);
		for (unsigned i = 0; i < clip.count; i++)
			bytes[k] += clip.bytes[i];
		clip_free(&clip);
	}
	printf("# %s: %zu bytes at 0.2 Mbit/s, %zu at 4\n", format->name, bytes[0], bytes[1]);
	assert_true(2 * bytes[1] > 3 * bytes[0]);
}

static void a_lower_bitrate_makes_less(void **state)
{
	(void)state;
	codec_for_each_format(true, check_bitrate);
}

static void mode_and_peak_reach_the_elements(void **state)
{
	static const struct {
		const char *element, *property, *vbr, *cbr;
	} cases[] = {
		{"x264enc", "vbv-buf-capacity", "10000", "600"},
		{"x264enc", "bitrate", "2000", "2000"},
		{"x265enc", "option-string", "\"vbv-maxrate\\=3000:vbv-bufsize\\=3000\"",
		 "\"vbv-maxrate\\=2000:vbv-bufsize\\=2000\""},
		{"x265enc", "bitrate", "2000", "2000"},
		{"openh264enc", "max-bitrate", "3000000", "2000000"},
		{"openh264enc", "bitrate", "2000000", "2000000"},
		{"vp8enc", "end-usage", "0", "1"},
		{"vp8enc", "target-bitrate", "2000000", "2000000"},
		{"vp9enc", "end-usage", "0", "1"},
		{"av1enc", "end-usage", "0", "1"},
		{"av1enc", "target-bitrate", "2000", "2000"},
	};
	struct codec_controls c = {.bitrate = 2000000, .peak_bitrate = 3000000, .frame_rate = 30};
	unsigned tried = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned cbr = 0; cbr < 2; cbr++) {
			GstElement *e = gst_element_factory_make(cases[i].element, NULL);
			GValue value = G_VALUE_INIT;
			char *text;

			if (!e) {
				printf("# no %s\n", cases[i].element);
				break;
			}
			c.bitrate_mode = cbr ? VIRTIO_VIDEO_BITRATE_MODE_CBR : VIRTIO_VIDEO_BITRATE_MODE_VBR;
			gst_elements_set_up_encoder(e, &c, false);
			g_value_init(
				&value,
				g_object_class_find_property(G_OBJECT_GET_CLASS(e), cases[i].property)->value_type);
			g_object_get_property(G_OBJECT(e), cases[i].property, &value);
			text = G_VALUE_HOLDS_ENUM(&value) ? g_strdup_printf("%d", g_value_get_enum(&value))
							  : gst_value_serialize(&value);
			assert_string_equal(text, cbr ? cases[i].cbr : cases[i].vbr);
			g_free(text);
			g_value_unset(&value);
			gst_object_unref(gst_object_ref_sink(e));
			tried++;
		}
	}
	if (tried == 0)
		tap_skip("none of the encoders that are told is installed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(profile_and_level_are_in_the_bitstream),
		cmocka_unit_test(another_encoder_puts_them_there_too),
		cmocka_unit_test(h264_parameter_sets_come_once_or_with_each_key_frame),
		cmocka_unit_test(hevc_parameter_sets_come_once_or_with_each_key_frame),
		cmocka_unit_test(a_lower_bitrate_makes_less),
		cmocka_unit_test(mode_and_peak_reach_the_elements),
	};

	return codec_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
