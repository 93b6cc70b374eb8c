// SPDX-License-Identifier: MIT
/*
 * The pictures are rings that move (zone plates), which give a codec something to do; the coded form has one key frame
 * and no reordered pictures. The file: 32-bit count, count 32-bit sizes, the packets, the pictures.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gst/app/gstappsink.h>
#include <gst/gst.h>

#include "tests/bench/video_side.h"

#define SOURCE                                                                                                         \
	"videotestsrc num-buffers=%d pattern=zone-plate kx2=20 ky2=20 kt=2 ! "                                         \
	"video/x-raw,format=I420,width=%d,height=%d,framerate=30/1 ! %s ! appsink name=out sync=false"
#define PACKETS 60
#define ENCODER                                                                                                        \
	"x264enc speed-preset=veryfast bframes=0 key-int-max=1000 bitrate=8000 ! "                                     \
	"video/x-h264,profile=high,stream-format=byte-stream,alignment=au"

static uint8_t *copy(GstBuffer *b, size_t *bytes)
{
	uint8_t *data;

	*bytes = gst_buffer_get_size(b);
	data = malloc(*bytes);
	if (!data)
		exit(1);
	gst_buffer_extract(b, 0, data, *bytes);
	return data;
}

/* What comes out of @element, up to @max buffers. Returns how many. */
static unsigned run(const char *element, unsigned count, unsigned max, uint8_t **data, size_t *bytes)
{
	char text[600];
	GstElement *pipeline, *sink;
	GstSample *sample;
	unsigned n = 0;

	snprintf(text, sizeof(text), SOURCE, (int)count, VIDEO_WIDTH, VIDEO_HEIGHT, element);
	pipeline = gst_parse_launch(text, NULL);
	if (!pipeline)
		return 0;
	sink = gst_bin_get_by_name(GST_BIN(pipeline), "out");
	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	while (sink && n < max && (sample = gst_app_sink_pull_sample(GST_APP_SINK(sink)))) {
		data[n] = copy(gst_sample_get_buffer(sample), &bytes[n]);
		n++;
		gst_sample_unref(sample);
	}
	gst_element_set_state(pipeline, GST_STATE_NULL);
	if (sink)
		gst_object_unref(sink);
	gst_object_unref(pipeline);
	return n;
}

static bool write_all(FILE *f, const struct video_material *m)
{
	uint32_t number = m->packet_count;
	bool ok = fwrite(&number, sizeof(number), 1, f) == 1;

	for (unsigned i = 0; ok && i < m->packet_count; i++) {
		number = (uint32_t)m->packet_bytes[i];
		ok = fwrite(&number, sizeof(number), 1, f) == 1;
	}
	for (unsigned i = 0; ok && i < m->packet_count; i++)
		ok = fwrite(m->packets[i], m->packet_bytes[i], 1, f) == 1;
	for (unsigned i = 0; ok && i < VIDEO_PICTURES; i++)
		ok = fwrite(m->pictures[i], VIDEO_PICTURE_BYTES, 1, f) == 1;
	return ok;
}

const char *video_material_make(const char *path)
{
	struct video_material m = {0};
	size_t bytes[VIDEO_PICTURES];
	char part[4096];
	FILE *f;

	if (video_material_load(path, &m))
		return NULL;
	gst_init(NULL, NULL);
	m.packet_count = run(ENCODER, PACKETS, VIDEO_MAX_PACKETS, m.packets, m.packet_bytes);
	if (m.packet_count == 0)
		return "no x264enc makes a clip (package gstreamer1.0-plugins-ugly)";
	if (run("identity", VIDEO_PICTURES, VIDEO_PICTURES, m.pictures, bytes) != VIDEO_PICTURES ||
	    bytes[0] != VIDEO_PICTURE_BYTES)
		return "no videotestsrc makes pictures (package gstreamer1.0-plugins-base)";
	snprintf(part, sizeof(part), "%s.part", path);
	f = fopen(part, "wb");
	if (!f || !write_all(f, &m) || fclose(f) || rename(part, path))
		return "the clip can't be written to the build folder";
	return NULL;
}

static uint8_t *read_some(FILE *f, size_t bytes)
{
	uint8_t *data = malloc(bytes);

	if (data && fread(data, bytes, 1, f) == 1)
		return data;
	free(data);
	return NULL;
}

bool video_material_load(const char *path, struct video_material *out)
{
	FILE *f = fopen(path, "rb");
	uint32_t sizes[VIDEO_MAX_PACKETS], count;
	bool ok = f && fread(&count, sizeof(count), 1, f) == 1 && count >= 1 && count <= VIDEO_MAX_PACKETS &&
		  fread(sizes, sizeof(*sizes), count, f) == count;

	*out = (struct video_material){0};
	for (unsigned i = 0; ok && i < count; i++) {
		out->packet_bytes[i] = sizes[i];
		out->packets[i] = sizes[i] >= 1 && sizes[i] <= VIDEO_PACKET_BYTES ? read_some(f, sizes[i]) : NULL;
		ok = out->packets[i] != NULL;
		out->packet_count++;
	}
	for (unsigned i = 0; ok && i < VIDEO_PICTURES; i++) {
		out->pictures[i] = read_some(f, VIDEO_PICTURE_BYTES);
		ok = out->pictures[i] != NULL;
	}
	if (f)
		fclose(f);
	return ok;
}
