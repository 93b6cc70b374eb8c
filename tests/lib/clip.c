// SPDX-License-Identifier: MIT
#include "tests/lib/clip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gst/app/gstappsink.h>
#include <gst/gst.h>

#include "host/video/gst_elements.h"

const char *clip_decoder;

void clip_free(struct clip *c)
{
	for (unsigned i = 0; i < c->count; i++)
		free(c->data[i]);
	c->count = 0;
}

/* Run a pipeline that ends in "appsink name=out" and give each buffer to @each. */
static void run_pipeline(const char *text, void (*each)(void *arg, GstBuffer *buffer), void *arg)
{
	GError *error = NULL;
	GstElement *pipeline = gst_parse_launch(text, &error), *sink;
	GstSample *sample;

	if (error)
		fail_msg("%s: %s", text, error->message);
	sink = gst_bin_get_by_name(GST_BIN(pipeline), "out");
	g_object_set(sink, "sync", FALSE, NULL);
	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	while ((sample = gst_app_sink_pull_sample(GST_APP_SINK(sink)))) {
		each(arg, gst_sample_get_buffer(sample));
		gst_sample_unref(sample);
	}
	gst_element_set_state(pipeline, GST_STATE_NULL);
	gst_object_unref(sink);
	gst_object_unref(pipeline);
}

static void add_packet(void *arg, GstBuffer *buffer)
{
	struct clip *c = arg;
	gpointer copy;
	gsize bytes;

	assert_true(c->count < CLIP_MAX_PACKETS);
	gst_buffer_extract_dup(buffer, 0, (gsize)-1, &copy, &bytes);
	c->data[c->count] = malloc(bytes);
	assert_non_null(c->data[c->count]);
	memcpy(c->data[c->count], copy, bytes);
	c->bytes[c->count++] = bytes;
	g_free(copy);
}

/* Encoders for the clips of each format, with reordered pictures where it has them. */
static const struct {
	const char *format, *element, *properties;
	const char *sliced; /* what makes slices of pictures; NULL: nothing does */
} encoders[] = {
	{"h264", "x264enc", "bframes=2 key-int-max=10 speed-preset=veryfast bitrate=800", "option-string=slices=3"},
	{"hevc", "x265enc", "key-int-max=10 speed-preset=ultrafast bitrate=800 log-level=none",
	 "option-string=slices=3"},
	{"vp8", "vp8enc", "deadline=1 keyframe-max-dist=10 target-bitrate=800000", NULL},
	{"vp9", "vp9enc", "deadline=1 cpu-used=8 keyframe-max-dist=10 target-bitrate=800000", NULL},
	{"mpeg2", "mpeg2enc", "format=3 bitrate=800 min-gop-size=5 max-gop-size=10 ! mpegvideoparse", NULL},
	{"mpeg4", "avenc_mpeg4", "gop-size=10 bitrate=800000 max-bframes=2", NULL},
	{"av1", "av1enc",
	 "cpu-used=8 usage-profile=realtime end-usage=cbr target-bitrate=800 keyframe-max-dist=10 lag-in-frames=0",
	 NULL},
	{"jpeg", "jpegenc", "quality=90", NULL},
};

static unsigned row_of(const struct video_coded_format *format)
{
	for (unsigned i = 0; i < sizeof(encoders) / sizeof(encoders[0]); i++) {
		if (strcmp(encoders[i].format, format->name) == 0)
			return i;
	}
	fail_msg("no encoder is named here for %s", format->name);
	return 0;
}

bool clip_can_make(const struct video_coded_format *format)
{
	GstElementFactory *factory = gst_element_factory_find(encoders[row_of(format)].element);

	if (factory)
		gst_object_unref(factory);
	return factory != NULL;
}

bool clip_can_make_of(const struct video_coded_format *format, const char *raw)
{
	GstElementFactory *factory = gst_element_factory_find(encoders[row_of(format)].element);
	GstCaps *caps = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, raw, NULL);
	bool can = factory && gst_element_factory_can_sink_any_caps(factory, caps);

	gst_caps_unref(caps);
	if (factory)
		gst_object_unref(factory);
	return can;
}

static void make(const struct video_coded_format *format, unsigned width, unsigned height, const char *raw,
		 const char *more, struct clip *c)
{
	const unsigned row = row_of(format);
	char text[600];

	memset(c, 0, sizeof(*c));
	snprintf(text, sizeof(text),
		 "videotestsrc num-buffers=%u pattern=ball ! video/x-raw,format=%s,width=%u,height=%u,framerate=30/1 ! "
		 "%s %s %s ! "
		 "%s ! appsink name=out",
		 CLIP_FRAMES, raw, width, height, encoders[row].element, encoders[row].properties, more, format->caps);
	run_pipeline(text, add_packet, c);
	assert_true(c->count >= CLIP_FRAMES);
}

void clip_make_of(const struct video_coded_format *format, unsigned width, unsigned height, const char *raw,
		  struct clip *c)
{
	make(format, width, height, raw, "", c);
}

void clip_make_sliced(const struct video_coded_format *format, unsigned width, unsigned height, struct clip *c)
{
	const char *more = encoders[row_of(format)].sliced;

	assert_non_null(more);
	make(format, width, height, "I420", more, c);
}

uint64_t sums_of(const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t h = 14695981039346656037ull;

	while (n--)
		h = (h ^ *p++) * 1099511628211ull;
	return h;
}

static void add_sum(void *arg, GstBuffer *buffer)
{
	struct sums *s = arg;
	GstMapInfo map;

	assert_true(s->count < 2 * CLIP_MAX_PACKETS);
	assert_true(gst_buffer_map(buffer, &map, GST_MAP_READ));
	s->sum[s->count++] = sums_of(map.data, map.size);
	gst_buffer_unmap(buffer, &map);
}

void clip_make(const struct video_coded_format *format, unsigned width, unsigned height, struct clip *c)
{
	clip_make_of(format, width, height, "I420", c);
}

void clip_decode_outside(const struct video_coded_format *format, const struct clip *c, const char *picture,
			 struct sums *sums)
{
	GstElementFactory *factory = gst_elements_find(format, false, clip_decoder);
	GstElement *pipeline, *src, *sink;
	char text[400];
	GstSample *sample;

	memset(sums, 0, sizeof(*sums));
	snprintf(text, sizeof(text),
		 "appsrc name=in format=time caps=%s ! %s%s%s ! videoconvert ! video/x-raw,format=%s ! appsink "
		 "name=out sync=false",
		 format->caps, format->parser ? format->parser : "", format->parser ? " ! " : "",
		 GST_OBJECT_NAME(factory), picture);
	gst_object_unref(factory);
	pipeline = gst_parse_launch(text, NULL);
	assert_non_null(pipeline);
	src = gst_bin_get_by_name(GST_BIN(pipeline), "in");
	sink = gst_bin_get_by_name(GST_BIN(pipeline), "out");
	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	for (unsigned i = 0; i < c->count; i++) {
		GstBuffer *b = gst_buffer_new_memdup(c->data[i], c->bytes[i]);
		GstFlowReturn flow;

		GST_BUFFER_PTS(b) = i * (GST_SECOND / 30);
		g_signal_emit_by_name(src, "push-buffer", b, &flow);
		gst_buffer_unref(b);
	}
	g_signal_emit_by_name(src, "end-of-stream", &(GstFlowReturn){0});
	while ((sample = gst_app_sink_pull_sample(GST_APP_SINK(sink)))) {
		add_sum(sums, gst_sample_get_buffer(sample));
		gst_sample_unref(sample);
	}
	gst_element_set_state(pipeline, GST_STATE_NULL);
	gst_object_unref(src);
	gst_object_unref(sink);
	gst_object_unref(pipeline);
}
