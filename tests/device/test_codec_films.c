// SPDX-License-Identifier: MIT
/*
 * Films that Debian packages ship, made by cameras and programs of others: the first pictures of each are, bit for bit,
 * what the same decoder makes of them outside. VIDEO_FILMS is the folder that the packages are unpacked in, if not /.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gst/app/gstappsink.h>
#include <gst/gst.h>

#include "host/video/codec.h"
#include "protocol/virtio_video.h"
#include "tests/lib/codec_tests.h"
#include "tests/lib/tap.h"

#define SAMPLES "/usr/share/forensics-samples/original-files/"
#define SAMPLES_PACKAGE "no film: install forensics-samples-files"

static const struct film {
	const char *path, *missing;
	uint32_t format;
	uint32_t width, height;
} films[] = {
	/* A phone's, High profile; a converter's with reordered pictures; the same in an AVI; */
	{SAMPLES "movie1/VID_20191220_170832.mp4", SAMPLES_PACKAGE, VIRTIO_VIDEO_FORMAT_H264, 1920, 1080},
	{SAMPLES "movie2/movie-hello.mp4", SAMPLES_PACKAGE, VIRTIO_VIDEO_FORMAT_H264, 1280, 720},
	{SAMPLES "movie2/movie-hello.avi", SAMPLES_PACKAGE, VIRTIO_VIDEO_FORMAT_H264, 1024, 576},
	{SAMPLES "movie2/movie-hello.mpeg", SAMPLES_PACKAGE, VIRTIO_VIDEO_FORMAT_MPEG2, 640, 480},
	{"/usr/share/help/C/gnome-help/figures/display-dual-monitors.webm", "no film: install gnome-user-docs",
	 VIRTIO_VIDEO_FORMAT_VP8, 1024, 768},
};

/* The first access units in the film at @path. */
static void read_film(const char *path, const struct video_coded_format *format, struct clip *c)
{
	char text[700];
	GError *error = NULL;
	GstElement *pipeline, *sink;
	GstSample *sample;

	memset(c, 0, sizeof(*c));
	snprintf(text, sizeof(text), "filesrc location=%s ! parsebin ! %s%s%s ! appsink name=out sync=false", path,
		 format->parser ? format->parser : "", format->parser ? " ! " : "", format->caps);
	pipeline = gst_parse_launch(text, &error);
	if (error)
		fail_msg("%s: %s", text, error->message);
	sink = gst_bin_get_by_name(GST_BIN(pipeline), "out");
	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	while (c->count < CLIP_MAX_PACKETS && (sample = gst_app_sink_pull_sample(GST_APP_SINK(sink)))) {
		GstBuffer *b = gst_sample_get_buffer(sample);
		const size_t n = gst_buffer_get_size(b);

		c->data[c->count] = malloc(n);
		assert_non_null(c->data[c->count]);
		gst_buffer_extract(b, 0, c->data[c->count], n);
		c->bytes[c->count++] = n;
		gst_sample_unref(sample);
		assert_true(n <= CLIENT_CODED_BYTES);
	}
	gst_element_set_state(pipeline, GST_STATE_NULL);
	gst_object_unref(sink);
	gst_object_unref(pipeline);
}

static void check_film(const struct film *film)
{
	const struct video_coded_format *format = video_coded_format_find(film->format);
	struct sums ours = {0}, outside;
	struct client c = {.decoder = true, .each = client_sum_picture, .arg = &ours};
	const char *folder = getenv("VIDEO_FILMS");
	struct video_world *w;
	struct clip clip;
	char path[400];

	snprintf(path, sizeof(path), "%s%s", folder ? folder : "", film->path);
	if (access(path, R_OK) < 0)
		tap_skip(film->missing);
	if (!codec_gst_ops.can(format, false, NULL))
		tap_skip("no decoder: mullion doctor names the package");
	read_film(path, format, &clip);
	assert_true(clip.count >= 30);
	clip_decode_outside(format, &clip, "NV12", &outside);
	w = codec_world(false);
	client_open(&c, w, 1, format, true);
	client_send_clip(&c, &clip);
	client_drain(&c);
	assert_true(c.ended);
	assert_false(c.failed);
	assert_int_equal(c.formats, 1);
	assert_int_equal(c.params.crop.width, film->width);
	assert_int_equal(c.params.crop.height, film->height);
	printf("# %s: %u pictures of %u access units\n", film->path, ours.count, clip.count);
	assert_int_equal(ours.count, outside.count);
	assert_true(ours.count >= 30);
	for (unsigned i = 0; i < ours.count; i++)
		assert_int_equal(ours.sum[i], outside.sum[i]);
	clip_free(&clip);
	video_world_destroy(w);
}

static void film_of_a_phone(void **state)
{
	(void)state;
	check_film(&films[0]);
}

static void film_with_reordered_pictures(void **state)
{
	(void)state;
	check_film(&films[1]);
}

static void film_in_an_avi(void **state)
{
	(void)state;
	check_film(&films[2]);
}

static void film_in_mpeg2(void **state)
{
	(void)state;
	check_film(&films[3]);
}

static void film_in_vp8(void **state)
{
	(void)state;
	check_film(&films[4]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(film_of_a_phone), cmocka_unit_test(film_with_reordered_pictures),
		cmocka_unit_test(film_in_an_avi),  cmocka_unit_test(film_in_mpeg2),
		cmocka_unit_test(film_in_vp8),
	};

	return codec_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
