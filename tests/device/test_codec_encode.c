// SPDX-License-Identifier: MIT
/*
 * What every encoder must do, of each codec backend: what it encodes decodes to nearly the same pictures, key frames where they were asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "host/video/gst_elements.h"
#include "tests/lib/codec_tests.h"
#include "tests/lib/round_trip.h"
#include "tests/lib/tap.h"

static void check_round_trip(const struct video_coded_format *format)
{
	struct video_world *w = codec_world(true);
	struct clip clip = {0};
	struct round_trip_quality q = {.worst = 99};
	struct client e, d = {.decoder = true, .each = round_trip_compare, .arg = &q};
	struct video_stats stats;

	round_trip_open(&e, w, 1, format, &clip);
	round_trip_send(&e, 0, CLIP_FRAMES);
	client_drain(&e);
	assert_int_equal(clip.count, CLIP_FRAMES);
	video_get_stats(w->device, &stats);
	video_world_destroy(w);

	w = codec_world(false);
	client_open(&d, w, 1, format, true);
	client_send_clip(&d, &clip);
	client_drain(&d);
	assert_int_equal(q.count, CLIP_FRAMES);
	printf("# %s: %s, worst PSNR %.1f dB\n", format->name, stats.codec.element, q.worst);
	assert_true(q.worst > ROUND_TRIP_PSNR);
	clip_free(&clip);
	video_world_destroy(w);
}

static void what_is_encoded_decodes_to_the_same(void **state)
{
	(void)state;
	codec_for_each_format(true, check_round_trip);
}

/* As codec=ELEMENT of --video has it. */
static void every_other_encoder_does_the_same(void **state)
{
	static const char *const names[] = {"openh264enc", NULL};

	(void)state;
	codec_for_each_other(true, names, check_round_trip);
}

/* libav has H.264 encoders for boards, which are there everywhere, and come before openh264enc by their rank. */
static void what_needs_a_board_is_not_taken_unless_named(void **state)
{
	const struct video_coded_format *h264 = video_coded_format_find(VIRTIO_VIDEO_FORMAT_H264);
	GstElementFactory *x264 = gst_element_factory_find("x264enc"), *best;
	guint rank = 0;

	(void)state;
	if (!codec_gst_ops.can(h264, true, "avenc_h264_omx"))
		tap_skip("no avenc_h264_omx: install gstreamer1.0-libav");
	/* As where gstreamer1.0-plugins-ugly is not installed. */
	if (x264) {
		rank = gst_plugin_feature_get_rank(GST_PLUGIN_FEATURE(x264));
		gst_plugin_feature_set_rank(GST_PLUGIN_FEATURE(x264), GST_RANK_NONE);
	}
	best = gst_elements_find(h264, true, NULL);
	if (x264)
		gst_plugin_feature_set_rank(GST_PLUGIN_FEATURE(x264), rank);
	if (best) {
		assert_string_not_equal(GST_OBJECT_NAME(best), "avenc_h264_omx");
		gst_object_unref(best);
	}
	if (x264)
		gst_object_unref(x264);
}

/* ---- an encoder that takes key frames 1024 pictures apart at most, as those of VA-API do ---- */

static guint key_int_max;

static void set_narrow(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
	(void)object;
	(void)id;
	(void)spec;
	key_int_max = g_value_get_uint(value);
}

static void init_narrow(gpointer class, gpointer data)
{
	(void)data;
	G_OBJECT_CLASS(class)->set_property = set_narrow;
	gst_element_class_set_static_metadata(class, "narrow", "Encoder/Video", "has a short way between key frames",
					      "Mullion");
	g_object_class_install_property(class, 1,
					g_param_spec_uint("key-int-max", "key-int-max", "0: as it likes", 0, 1024, 0,
							  G_PARAM_WRITABLE));
}

static void key_frames_are_as_far_apart_as_the_encoder_lets_them(void **state)
{
	const GTypeInfo info = {
		.class_size = sizeof(GstElementClass), .class_init = init_narrow, .instance_size = sizeof(GstElement)};
	struct codec_controls controls = {.bitrate = 1000000, .gop_size = 30};
	GstElement *e;

	(void)state;
	assert_true(gst_elements_init());
	gst_element_register(NULL, "mullion-narrow", GST_RANK_NONE,
			     g_type_register_static(GST_TYPE_ELEMENT, "MullionNarrow", &info, 0));
	e = gst_element_factory_make("mullion-narrow", NULL);
	assert_non_null(e);
	gst_object_ref_sink(e);
	gst_elements_set_up_encoder(e, &controls, false);
	assert_int_equal(key_int_max, 30);
	controls.gop_size = 0;
	gst_elements_set_up_encoder(e, &controls, false);
	assert_int_equal(key_int_max, 1024);
	controls.gop_size = 5000;
	key_int_max = 0;
	gst_elements_set_up_encoder(e, &controls, false);
	assert_int_equal(key_int_max, 1024);
	gst_object_unref(e);
}

int main(void)
{
	const struct CMUnitTest of_each[] = {
		cmocka_unit_test(what_is_encoded_decodes_to_the_same),
	};
	const struct CMUnitTest others[] = {
		cmocka_unit_test(every_other_encoder_does_the_same),
		cmocka_unit_test(what_needs_a_board_is_not_taken_unless_named),
		cmocka_unit_test(key_frames_are_as_far_apart_as_the_encoder_lets_them),
	};
	struct CMUnitTest tests[CODEC_BACKENDS * sizeof(of_each) / sizeof(of_each[0]) + sizeof(others) / sizeof(others[0])];
	const size_t count = codec_with_each_backend(of_each, sizeof(of_each) / sizeof(of_each[0]), tests);

	memcpy(tests + count, others, sizeof(others));
	return codec_run_tests(tests, count + sizeof(others) / sizeof(others[0]));
}
