// SPDX-License-Identifier: MIT
/*
 * What every decoder must do, run for each codec backend and each format that this host has: what the device decodes is, bit
 * for bit, what the same codec decodes outside; timestamps, changes of size, seeks; eight streams at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gst/video/video.h>

#include "tests/lib/codec_tests.h"
#include "tests/lib/tap.h"

/* ---- GStreamer's own, and counted: it allocates, and is not for every picture ---- */

static _Thread_local unsigned caps_read; /* those of elements are read by other threads */

gboolean gst_video_info_from_caps(GstVideoInfo *info, const GstCaps *caps)
{
	gboolean (*real)(GstVideoInfo * info, const GstCaps *caps) = dlsym(RTLD_NEXT, "gst_video_info_from_caps");

	caps_read++;
	return real(info, caps);
}

/* ---- */

static void check_decode(const struct video_coded_format *format)
{
	struct video_world *w = codec_world(false);
	struct sums ours = {0}, outside;
	struct client c = {.decoder = true, .each = client_sum_picture, .arg = &ours};
	struct video_stats stats;
	struct clip clip;

	codec_tested->make(format, CLIP_WIDTH, CLIP_HEIGHT, &clip);
	codec_tested->decode_outside(format, &clip, &outside);
	caps_read = 0;
	client_open(&c, w, 1, format, true);
	client_send_clip(&c, &clip);
	client_drain(&c);
	if (codec_tested->ops == &codec_gst_ops)
		assert_in_range(caps_read, 1, CLIP_FRAMES / 2);
	assert_true(c.ended);
	assert_false(c.failed);
	assert_int_equal(c.formats, 1);
	assert_int_equal(c.params.crop.width, CLIP_WIDTH);
	assert_int_equal(c.params.crop.height, CLIP_HEIGHT);
	assert_int_equal(ours.count, outside.count);
	assert_int_equal(ours.count, CLIP_FRAMES);
	for (unsigned i = 0; i < ours.count; i++)
		assert_int_equal(ours.sum[i], outside.sum[i]);
	video_get_stats(w->device, &stats);
	printf("# %s: %s, %s, %u pictures, %.2f copies a picture\n", format->name, stats.codec.element,
	       stats.codec.hardware ? "hardware" : "software", ours.count,
	       (double)stats.codec.copies / (double)stats.codec.frames_out);
	assert_int_equal(stats.codec.copies, stats.codec.frames_out);
	clip_free(&clip);
	video_world_destroy(w);
}

static void pictures_are_those_of_the_codec_alone(void **state)
{
	(void)state;
	codec_for_each_format(false, check_decode);
}

/* Timestamps come out in the order of the pictures, and each once. */
static void check_stamp(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp)
{
	bool *seen = c->arg;

	(void)data;
	assert_false(seen[resp->timestamp - CLIENT_FIRST_STAMP]);
	seen[resp->timestamp - CLIENT_FIRST_STAMP] = true;
}

static void check_timestamps(const struct video_coded_format *format)
{
	struct video_world *w = codec_world(false);
	bool seen[2 * CLIP_MAX_PACKETS] = {0};
	struct client c = {.decoder = true, .each = check_stamp, .arg = seen};
	unsigned count = 0;
	struct clip clip;

	codec_tested->make(format, CLIP_WIDTH, CLIP_HEIGHT, &clip);
	client_open(&c, w, 1, format, true);
	client_send_clip(&c, &clip);
	client_drain(&c);
	for (unsigned i = 0; i < 2 * CLIP_MAX_PACKETS; i++)
		count += seen[i];
	assert_int_equal(count, CLIP_FRAMES);
	clip_free(&clip);
	video_world_destroy(w);
}

static void every_picture_has_its_own_timestamp(void **state)
{
	(void)state;
	codec_for_each_format(false, check_timestamps);
}

static void check_resize(const struct video_coded_format *format)
{
	struct video_world *w = codec_world(false);
	struct sums ours = {0}, outside[2];
	struct client c = {.decoder = true, .each = client_sum_picture, .arg = &ours};
	struct clip clip[2];

	codec_tested->make(format, CLIP_WIDTH, CLIP_HEIGHT, &clip[0]);
	codec_tested->make(format, 96, 80, &clip[1]);
	client_open(&c, w, 1, format, true);
	for (unsigned i = 0; i < 2; i++) {
		codec_tested->decode_outside(format, &clip[i], &outside[i]);
		client_send_clip(&c, &clip[i]);
	}
	client_drain(&c);
	assert_true(c.ended);
	assert_int_equal(c.formats, 2);
	assert_int_equal(c.params.crop.width, 96);
	assert_int_equal(ours.count, outside[0].count + outside[1].count);
	for (unsigned i = 0; i < ours.count; i++)
		assert_int_equal(ours.sum[i], outside[i / CLIP_FRAMES].sum[i % CLIP_FRAMES]);
	clip_free(&clip[0]);
	clip_free(&clip[1]);
	video_world_destroy(w);
}

static void the_size_may_change_in_mid_stream(void **state)
{
	(void)state;
	codec_for_each_format(false, check_resize);
}

static void check_seek(const struct video_coded_format *format)
{
	struct video_world *w = codec_world(false);
	struct sums ours = {0}, outside;
	struct client c = {.decoder = true};
	struct clip clip;

	codec_tested->make(format, CLIP_WIDTH, CLIP_HEIGHT, &clip);
	codec_tested->decode_outside(format, &clip, &outside);
	client_open(&c, w, 1, format, true);
	/* Away in the middle, twice, then all of it. */
	for (unsigned n = 3; n < 13; n += 6) {
		for (unsigned i = 0; i < n; i++)
			client_send(&c, clip.data[i], clip.bytes[i], i);
		client_clear_input(&c);
	}
	client_look(&c);
	c.each = client_sum_picture;
	c.arg = &ours;
	client_send_clip(&c, &clip);
	client_drain(&c);
	assert_int_equal(ours.count, outside.count);
	for (unsigned i = 0; i < ours.count; i++)
		assert_int_equal(ours.sum[i], outside.sum[i]);
	/* And once more after the drain. */
	ours.count = 0;
	client_send_clip(&c, &clip);
	client_drain(&c);
	assert_int_equal(ours.count, outside.count);
	clip_free(&clip);
	video_world_destroy(w);
}

static void a_seek_begins_anew(void **state)
{
	(void)state;
	codec_for_each_format(false, check_seek);
}

static void check_all(const struct video_coded_format *format)
{
	check_decode(format);
	check_timestamps(format);
	check_seek(format);
	/* Its last two pictures before a change of size never come, without the device either. */
	if (strcmp(clip_decoder, "openh264dec") != 0)
		check_resize(format);
}

/* As codec=ELEMENT of --video has it. */
static void every_other_decoder_does_the_same(void **state)
{
	static const char *const names[] = {"openh264dec",     "libde265dec", "avdec_vp8", "avdec_vp9",
					    "avdec_mpegvideo", "mpeg2dec",    NULL};

	(void)state;
	codec_for_each_other(false, names, check_all);
}

static void eight_streams_decode_side_by_side(void **state)
{
	const struct video_coded_format *format = video_coded_format_find(VIRTIO_VIDEO_FORMAT_H264);
	struct video_world *w = codec_world(false);
	struct sums ours[8] = {0}, outside;
	struct client c[8] = {0};
	struct clip clip;

	(void)state;
	if (!codec_tested->ops->can(format, false, NULL) || !codec_tested->can_make(format))
		tap_skip("no H.264: install gstreamer1.0-libav and gstreamer1.0-plugins-ugly");
	codec_tested->make(format, CLIP_WIDTH, CLIP_HEIGHT, &clip);
	codec_tested->decode_outside(format, &clip, &outside);
	for (uint32_t i = 0; i < 8; i++) {
		struct virtio_video_event e;

		c[i] = (struct client){.decoder = true, .each = client_sum_picture, .arg = &ours[i]};
		client_open(&c[i], w, i, format, false);
		/* One at a time until its size is known: events name no client here. */
		for (unsigned k = 0; k < CLIENT_INPUTS; k++)
			client_send(&c[i], clip.data[k], clip.bytes[k], CLIENT_FIRST_STAMP + k);
		e = video_wait_event(w, video_post_event(w));
		assert_int_equal(e.event_type, VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED);
		assert_int_equal(e.stream_id, i);
		c[i].picture_bytes = CLIP_WIDTH * CLIP_HEIGHT * 3 / 2;
		client_make_outputs(&c[i]);
	}
	for (unsigned k = CLIENT_INPUTS; k < clip.count; k++) {
		for (uint32_t i = 0; i < 8; i++)
			client_send(&c[i], clip.data[k], clip.bytes[k], CLIENT_FIRST_STAMP + k);
	}
	for (uint32_t i = 0; i < 8; i++) {
		client_drain(&c[i]);
		assert_int_equal(ours[i].count, outside.count);
		for (unsigned k = 0; k < outside.count; k++)
			assert_int_equal(ours[i].sum[k], outside.sum[k]);
	}
	clip_free(&clip);
	video_world_destroy(w);
}

static void an_element_can_be_forced(void **state)
{
	struct video_world *w;
	struct virtio_video_query_capability c = {.queue_type = VIDEO_IN};
	struct virtio_video_query_capability_resp r[64];

	(void)state;
	if (!codec_gst_ops.can(video_coded_format_find(VIRTIO_VIDEO_FORMAT_VP8), false, "vp8dec"))
		tap_skip("no vp8dec: install gstreamer1.0-plugins-good");
	w = video_world_create(&(struct video_world_options){.codec = &codec_gst_ops, .element = "vp8dec"});
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_QUERY_CAPABILITY, 0, &c, sizeof(c), r, sizeof(r)),
			 VIRTIO_VIDEO_RESP_OK_QUERY_CAPABILITY);
	assert_int_equal(r[0].num_descs, 1);
	assert_int_equal(video_create_stream(w, 1, VIRTIO_VIDEO_FORMAT_H264), VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER);
	assert_int_equal(video_create_stream(w, 1, VIRTIO_VIDEO_FORMAT_VP8), VIDEO_OK);
	video_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest of_each[] = {
		cmocka_unit_test(pictures_are_those_of_the_codec_alone),
		cmocka_unit_test(every_picture_has_its_own_timestamp),
		cmocka_unit_test(the_size_may_change_in_mid_stream),
		cmocka_unit_test(a_seek_begins_anew),
		cmocka_unit_test(eight_streams_decode_side_by_side),
	};
	struct CMUnitTest tests[CODEC_BACKENDS * sizeof(of_each) / sizeof(of_each[0]) + 2];
	size_t count = codec_with_each_backend(of_each, sizeof(of_each) / sizeof(of_each[0]), tests);

	tests[count++] = (struct CMUnitTest)cmocka_unit_test(every_other_decoder_does_the_same);
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(an_element_can_be_forced);
	return codec_run_tests(tests, count);
}
