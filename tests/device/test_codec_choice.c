// SPDX-License-Identifier: MIT
/*
 * Which element a codec is: hardware before software, then by rank, unless one is named; on a host whose only elements are
 * those that this test registers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <gst/gst.h>

#include "host/video/codec.h"
#include "host/video/gst_elements.h"
#include "protocol/virtio_video.h"
#include "tests/lib/no_plugins.h"

struct element {
	const char *name, *class;
	guint rank;
	const char *coded;
	bool encoder;
};

static const struct element elements[] = {
	{"softvp8dec", "Codec/Decoder/Video", GST_RANK_PRIMARY + 100, "video/x-vp8", false},
	{"hardvp8dec", "Codec/Decoder/Video/Hardware", GST_RANK_MARGINAL, "video/x-vp8", false},
	{"betterhardvp8dec", "Codec/Decoder/Video/Hardware", GST_RANK_SECONDARY, "video/x-vp8", false},
	{"unrankedhardvp8dec", "Codec/Decoder/Video/Hardware", GST_RANK_NONE, "video/x-vp8", false},
	{"softvp8enc", "Codec/Encoder/Video", GST_RANK_PRIMARY, "video/x-vp8", true},
	{"hardvp8enc", "Codec/Encoder/Video/Hardware", GST_RANK_MARGINAL, "video/x-vp8", true},
	{"softvp9dec", "Codec/Decoder/Video", GST_RANK_MARGINAL, "video/x-vp9", false},
	{"bettersoftvp9dec", "Codec/Decoder/Video", GST_RANK_SECONDARY, "video/x-vp9", false},
	{"hardh264enc", "Codec/Encoder/Video/Hardware", GST_RANK_PRIMARY,
	 "video/x-h264,stream-format=byte-stream,alignment=au", true},
	{"avenc_h264_omx", "Codec/Encoder/Video/Hardware", GST_RANK_PRIMARY + 50,
	 "video/x-h264,stream-format=byte-stream,alignment=au", true},
};

static void add_template(GstElementClass *class, const char *name, GstPadDirection direction, const char *text)
{
	GstCaps *caps = gst_caps_from_string(text);

	gst_element_class_add_pad_template(class, gst_pad_template_new(name, direction, GST_PAD_ALWAYS, caps));
	gst_caps_unref(caps);
}

static void init_class(gpointer class, gpointer data)
{
	const struct element *e = data;

	gst_element_class_set_static_metadata(class, e->name, e->class, "does nothing", "Mullion");
	add_template(class, "sink", GST_PAD_SINK, e->encoder ? "video/x-raw" : e->coded);
	add_template(class, "src", GST_PAD_SRC, e->encoder ? e->coded : "video/x-raw");
}

static int register_all(void **state)
{
	(void)state;
	if (!gst_elements_init())
		return -1;
	for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); i++) {
		const GTypeInfo info = {.class_size = sizeof(GstElementClass),
					.class_init = init_class,
					.class_data = &elements[i],
					.instance_size = sizeof(GstElement)};
		char type[64];

		snprintf(type, sizeof(type), "MullionTest%zu", i);
		if (!gst_element_register(NULL, elements[i].name, elements[i].rank,
					  g_type_register_static(GST_TYPE_ELEMENT, type, &info, 0)))
			return -1;
	}
	return 0;
}

static void expect(uint32_t format, bool encoder, const char *named, const char *chosen)
{
	GstElementFactory *f = gst_elements_find(video_coded_format_find(format), encoder, named);

	if (!chosen) {
		assert_null(f);
		return;
	}
	assert_non_null(f);
	assert_string_equal(GST_OBJECT_NAME(f), chosen);
	assert_int_equal(gst_elements_is_hardware(f), strstr(chosen, "hard") || strstr(chosen, "omx"));
	gst_object_unref(f);
}

static void hardware_comes_first_then_the_rank(void **state)
{
	(void)state;
	expect(VIRTIO_VIDEO_FORMAT_VP8, false, NULL, "betterhardvp8dec");
	expect(VIRTIO_VIDEO_FORMAT_VP8, true, NULL, "hardvp8enc");
	expect(VIRTIO_VIDEO_FORMAT_VP9, false, NULL, "bettersoftvp9dec");
	/* What has a driver of its own on boards only has to be named. */
	expect(VIRTIO_VIDEO_FORMAT_H264, true, NULL, "hardh264enc");
	expect(VIRTIO_VIDEO_FORMAT_VP9, true, NULL, NULL);
	expect(VIRTIO_VIDEO_FORMAT_HEVC, false, NULL, NULL);
}

static void one_that_is_named_is_taken_if_it_can(void **state)
{
	(void)state;
	expect(VIRTIO_VIDEO_FORMAT_VP8, false, "softvp8dec", "softvp8dec");
	expect(VIRTIO_VIDEO_FORMAT_VP8, false, "unrankedhardvp8dec", "unrankedhardvp8dec");
	expect(VIRTIO_VIDEO_FORMAT_H264, true, "avenc_h264_omx", "avenc_h264_omx");
	expect(VIRTIO_VIDEO_FORMAT_VP9, false, "softvp8dec", NULL);
	expect(VIRTIO_VIDEO_FORMAT_VP8, false, "nothing", NULL);
}

static unsigned seen;

static void take_line(void *owner, const char *verdict, const char *name, const char *text, const char *cure)
{
	static const struct {
		const char *name, *verdict, *text;
	} lines[] = {
		{"decode vp8", "ok", "betterhardvp8dec (hardware)"}, {"encode vp8", "ok", "hardvp8enc (hardware)"},
		{"decode vp9", "ok", "bettersoftvp9dec (software)"}, {"encode vp9", "warn", NULL},
		{"decode hevc", "warn", NULL},
	};

	(void)owner;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (strcmp(lines[i].name, name) != 0)
			continue;
		assert_string_equal(verdict, lines[i].verdict);
		if (lines[i].text)
			assert_string_equal(text, lines[i].text);
		assert_int_equal(*cure != '\0', lines[i].text == NULL);
		seen |= 1u << i;
	}
}

static void doctor_says_which_and_of_what_kind(void **state)
{
	(void)state;
	codec_gst_ops.doctor(take_line, NULL);
	assert_int_equal(seen, 0x1f);
}

/* As a process does that follows too many which died. It does not go back, so this is the last case. */
static void hardware_is_left_when_it_is_too_much_trouble(void **state)
{
	(void)state;
	gst_elements_leave_hardware();
	expect(VIRTIO_VIDEO_FORMAT_VP8, false, NULL, "softvp8dec");
	expect(VIRTIO_VIDEO_FORMAT_VP8, true, NULL, "softvp8enc");
	expect(VIRTIO_VIDEO_FORMAT_H264, true, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hardware_comes_first_then_the_rank),
		cmocka_unit_test(one_that_is_named_is_taken_if_it_can),
		cmocka_unit_test(doctor_says_which_and_of_what_kind),
		cmocka_unit_test(hardware_is_left_when_it_is_too_much_trouble),
	};
	char registry[NO_PLUGINS_PATH_BYTES];
	int failed;

	if (no_plugins_begin(registry))
		return 1;
	failed = cmocka_run_group_tests_name("codec_choice", tests, register_all, NULL);
	no_plugins_end(registry);
	return failed;
}
