// SPDX-License-Identifier: MIT
/*
 * What every codec must do, run for each backend and each format that this host has: what the device decodes is, bit for
 * bit, what the same elements decode outside; what it encodes decodes to nearly the same pictures; seeks, changes of size,
 * eight streams at once; and bitstreams that are cut and broken.
 *
 * VIDEO_MUTATIONS is the number of broken bitstreams (default 100 a format), VIDEO_SEED their random seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gst/app/gstappsink.h>
#include <gst/gst.h>

#include "host/base/loop.h"
#include "host/video/gst_elements.h"
#include "tests/lib/tap.h"
#include "tests/lib/video_world.h"

enum { WIDTH = 176, HEIGHT = 144, FRAMES = 20, INPUTS = 4, OUTPUTS = 4, MAX_PACKETS = 64, CODED_BYTES = 1 << 18,
       MAX_PICTURE_BYTES = 4 << 20 };

#define EOS VIRTIO_VIDEO_BUFFER_FLAG_EOS
#define ERR VIRTIO_VIDEO_BUFFER_FLAG_ERR

/* ---- clips: made by the host's encoders, outside of the device ---- */

struct clip {
	unsigned count;
	uint8_t *data[MAX_PACKETS];
	size_t bytes[MAX_PACKETS];
};

static void free_clip(struct clip *c)
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

	assert_true(c->count < MAX_PACKETS);
	gst_buffer_extract_dup(buffer, 0, (gsize)-1, &copy, &bytes);
	c->data[c->count] = malloc(bytes);
	assert_non_null(c->data[c->count]);
	memcpy(c->data[c->count], copy, bytes);
	c->bytes[c->count++] = bytes;
	g_free(copy);
}

/* An encoder for the clips of each format, with reordered pictures where it has them. */
static const char *clip_encoder(const struct video_coded_format *format)
{
	switch (format->number) {
	case VIRTIO_VIDEO_FORMAT_H264:
		return "x264enc bframes=2 key-int-max=10 speed-preset=veryfast bitrate=800";
	case VIRTIO_VIDEO_FORMAT_HEVC:
		return "x265enc key-int-max=10 speed-preset=ultrafast bitrate=800 log-level=none";
	case VIRTIO_VIDEO_FORMAT_VP8:
		return "vp8enc deadline=1 keyframe-max-dist=10 target-bitrate=800000";
	default:
		return "vp9enc deadline=1 cpu-used=8 keyframe-max-dist=10 target-bitrate=800000";
	}
}

static void make_clip(const struct video_coded_format *format, unsigned width, unsigned height, struct clip *c)
{
	char text[600];

	memset(c, 0, sizeof(*c));
	snprintf(text, sizeof(text),
		 "videotestsrc num-buffers=%u pattern=ball ! video/x-raw,format=I420,width=%u,height=%u,framerate=30/1 ! %s ! "
		 "%s ! appsink name=out",
		 FRAMES, width, height, clip_encoder(format), format->caps);
	run_pipeline(text, add_packet, c);
	assert_true(c->count >= FRAMES);
}

/* ---- checksums ---- */

struct sums {
	unsigned count;
	uint64_t sum[2 * MAX_PACKETS];
};

static uint64_t checksum(const void *data, size_t n)
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

	assert_true(s->count < 2 * MAX_PACKETS);
	assert_true(gst_buffer_map(buffer, &map, GST_MAP_READ));
	s->sum[s->count++] = checksum(map.data, map.size);
	gst_buffer_unmap(buffer, &map);
}

/* The same decoder, run by GStreamer alone on a file. */
static void decode_outside(const struct video_coded_format *format, const struct clip *c, struct sums *sums)
{
	GstElementFactory *factory = gst_elements_find(format, false, NULL);
	GstElement *pipeline, *src, *sink;
	char text[400];
	GstSample *sample;

	memset(sums, 0, sizeof(*sums));
	snprintf(text, sizeof(text),
		 "appsrc name=in format=time caps=%s ! %s%s%s ! videoconvert ! video/x-raw,format=NV12 ! appsink name=out sync=false",
		 format->caps, format->parser ? format->parser : "", format->parser ? " ! " : "", GST_OBJECT_NAME(factory));
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

/* ---- a V4L2-like client of one stream ---- */

struct client {
	struct video_world *w;
	uint32_t id;
	bool decoder;
	size_t picture_bytes;
	uint64_t in[INPUTS], out[OUTPUTS];
	struct fake_request *input[INPUTS], *output[OUTPUTS], *event, *drain;
	bool has_outputs, failed, ended;
	unsigned formats;
	struct virtio_video_params params;
	/* What came. */
	void (*each)(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp);
	void *arg;
};

static void make_outputs(struct client *c)
{
	const size_t bytes = c->decoder ? c->picture_bytes : CODED_BYTES;

	for (uint32_t i = 0; i < OUTPUTS; i++) {
		assert_int_equal(video_create_buffer(c->w, c->id, VIDEO_OUT, i, bytes, &c->out[i]), VIDEO_OK);
		c->output[i] = video_queue(c->w, c->id, VIDEO_OUT, i, 0, 0);
	}
	c->has_outputs = true;
}

static void drop_outputs(struct client *c)
{
	const size_t bytes = c->decoder ? c->picture_bytes : CODED_BYTES;

	assert_int_equal(video_queue_command(c->w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, c->id, VIDEO_OUT), VIDEO_OK);
	for (uint32_t i = 0; i < OUTPUTS; i++) {
		assert_true(c->output[i]->done);
		fake_guest_free_request(c->w->guest, c->output[i]);
		fake_guest_free(c->w->guest, c->out[i], bytes);
	}
	c->has_outputs = false;
}

static void take_output(struct client *c, uint32_t i)
{
	struct virtio_video_resource_queue_resp resp;

	memcpy(&resp, c->output[i]->out, sizeof(resp));
	fake_guest_free_request(c->w->guest, c->output[i]);
	if (resp.flags & EOS)
		c->ended = true;
	else if (!(resp.flags & ERR) && c->each)
		c->each(c, fake_guest_ptr(c->w->guest, c->out[i], c->decoder ? c->picture_bytes : CODED_BYTES), &resp);
	c->output[i] = video_queue(c->w, c->id, VIDEO_OUT, i, 0, 0);
}

static void take_event(struct client *c)
{
	struct virtio_video_event e = video_wait_event(c->w, c->event);

	c->event = video_post_event(c->w);
	assert_int_equal(e.stream_id, c->id);
	if (e.event_type == VIRTIO_VIDEO_EVENT_ERROR) {
		c->failed = true;
		return;
	}
	c->formats++;
	if (c->has_outputs)
		drop_outputs(c);
	video_read_params(c->w, c->id, VIDEO_OUT, &c->params);
	c->picture_bytes = 0;
	for (unsigned i = 0; i < c->params.num_planes; i++)
		c->picture_bytes += c->params.plane_formats[i].plane_size;
	/* A broken header may announce more than this guest has. */
	if (c->picture_bytes > MAX_PICTURE_BYTES)
		c->failed = true;
	else
		make_outputs(c);
}

/* One look at everything that the device may have answered; in the order of the answers. */
static void look(struct client *c)
{
	fake_guest_run_until(c->w->guest, NULL, NULL, 1);
	for (;;) {
		uint32_t first = OUTPUTS;

		for (uint32_t i = 0; c->has_outputs && i < OUTPUTS; i++) {
			if (c->output[i]->done && (first == OUTPUTS || c->output[i]->sequence < c->output[first]->sequence))
				first = i;
		}
		if (first == OUTPUTS || c->failed)
			break;
		take_output(c, first);
	}
	if (c->event && c->event->done)
		take_event(c);
}

static void open_client(struct client *c, struct video_world *w, uint32_t id, const struct video_coded_format *format,
			bool events)
{
	c->w = w;
	c->id = id;
	assert_int_equal(video_create_stream(w, id, format->number), VIDEO_OK);
	for (uint32_t i = 0; i < INPUTS; i++) {
		const size_t bytes = c->decoder ? CODED_BYTES : c->picture_bytes;

		assert_int_equal(video_create_buffer(w, id, VIDEO_IN, i, bytes, &c->in[i]), VIDEO_OK);
	}
	if (events)
		c->event = video_post_event(w);
	if (!c->decoder)
		make_outputs(c);
}

/* Send one input as soon as a buffer is free. */
static void send(struct client *c, const void *data, size_t bytes, uint64_t timestamp)
{
	uint32_t free_one = INPUTS;

	while (free_one == INPUTS) {
		for (uint32_t i = 0; i < INPUTS && free_one == INPUTS; i++) {
			if (!c->input[i] || c->input[i]->done)
				free_one = i;
		}
		look(c);
		if (c->failed)
			return;
	}
	fake_guest_free_request(c->w->guest, c->input[free_one]);
	memcpy(fake_guest_ptr(c->w->guest, c->in[free_one], bytes ? bytes : 1), data, bytes);
	c->input[free_one] = video_queue(c->w, c->id, VIDEO_IN, free_one, (uint32_t)bytes, timestamp);
}

static void drain(struct client *c)
{
	const time_t end = time(NULL) + 120;

	c->ended = false;
	c->drain = video_drain(c->w, c->id);
	while (!c->drain->done && !c->failed) {
		look(c);
		assert_true(time(NULL) < end);
	}
	look(c);
	if (!c->failed) {
		assert_int_equal(c->drain->out[0] | c->drain->out[1] << 8, VIDEO_OK);
		fake_guest_free_request(c->w->guest, c->drain);
	}
	c->drain = NULL;
}

static void send_clip(struct client *c, const struct clip *clip)
{
	for (unsigned i = 0; i < clip->count; i++)
		send(c, clip->data[i], clip->bytes[i], 5000000000ull + i);
}

/* ---- cases, each for every format ---- */

static void for_each_format(void (*fn)(const struct video_coded_format *format))
{
	const struct video_coded_format *format;
	unsigned count = 0;

	for (unsigned i = 0; (format = video_coded_format_at(i)) != NULL; i++) {
		if (!codec_gst_ops.can(format, false, NULL) || !codec_gst_ops.can(format, true, NULL)) {
			printf("# %s left out: no decoder or no encoder\n", format->name);
			continue;
		}
		fn(format);
		count++;
	}
	if (count == 0)
		tap_skip("no format has a decoder and an encoder: install gstreamer1.0-libav and -plugins-good, -bad, -ugly");
}

static struct video_world *world(bool encoder)
{
	return video_world_create(
		&(struct video_world_options){.encoder = encoder, .codec = &codec_gst_ops, .timeout_ms = 60000, .memory_bytes = 64 << 20});
}

static void sum_picture(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp)
{
	struct sums *s = c->arg;

	/* Every picture goes back to an input. */
	assert_true(resp->timestamp >= 5000000000ull && resp->timestamp < 5000000000ull + 2 * MAX_PACKETS);
	assert_true(s->count < 2 * MAX_PACKETS);
	s->sum[s->count++] = checksum(data, c->picture_bytes);
}

static void check_decode(const struct video_coded_format *format)
{
	struct video_world *w = world(false);
	struct sums ours = {0}, outside;
	struct client c = {.decoder = true, .each = sum_picture, .arg = &ours};
	struct video_stats stats;
	struct clip clip;

	make_clip(format, WIDTH, HEIGHT, &clip);
	decode_outside(format, &clip, &outside);
	open_client(&c, w, 1, format, true);
	send_clip(&c, &clip);
	drain(&c);
	assert_true(c.ended);
	assert_false(c.failed);
	assert_int_equal(c.formats, 1);
	assert_int_equal(c.params.crop.width, WIDTH);
	assert_int_equal(c.params.crop.height, HEIGHT);
	assert_int_equal(ours.count, outside.count);
	assert_int_equal(ours.count, FRAMES);
	for (unsigned i = 0; i < ours.count; i++)
		assert_int_equal(ours.sum[i], outside.sum[i]);
	video_get_stats(w->device, &stats);
	printf("# %s: %s, %s, %u pictures, %.2f copies a picture\n", format->name, stats.codec.element,
	       stats.codec.hardware ? "hardware" : "software", ours.count,
	       (double)stats.codec.copies / (double)stats.codec.frames_out);
	assert_int_equal(stats.codec.copies, stats.codec.frames_out);
	free_clip(&clip);
	video_world_destroy(w);
}

static void pictures_are_those_of_the_codec_alone(void **state)
{
	(void)state;
	for_each_format(check_decode);
}

/* Timestamps come out in the order of the pictures, and each once. */
static void check_stamp(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp)
{
	bool *seen = c->arg;

	(void)data;
	assert_false(seen[resp->timestamp - 5000000000ull]);
	seen[resp->timestamp - 5000000000ull] = true;
}

static void check_timestamps(const struct video_coded_format *format)
{
	struct video_world *w = world(false);
	bool seen[2 * MAX_PACKETS] = {0};
	struct client c = {.decoder = true, .each = check_stamp, .arg = seen};
	unsigned count = 0;
	struct clip clip;

	make_clip(format, WIDTH, HEIGHT, &clip);
	open_client(&c, w, 1, format, true);
	send_clip(&c, &clip);
	drain(&c);
	for (unsigned i = 0; i < 2 * MAX_PACKETS; i++)
		count += seen[i];
	assert_int_equal(count, FRAMES);
	free_clip(&clip);
	video_world_destroy(w);
}

static void every_picture_has_its_own_timestamp(void **state)
{
	(void)state;
	for_each_format(check_timestamps);
}

static void check_resize(const struct video_coded_format *format)
{
	struct video_world *w = world(false);
	struct sums ours = {0}, outside[2];
	struct client c = {.decoder = true, .each = sum_picture, .arg = &ours};
	struct clip clip[2];

	make_clip(format, WIDTH, HEIGHT, &clip[0]);
	make_clip(format, 96, 80, &clip[1]);
	open_client(&c, w, 1, format, true);
	for (unsigned i = 0; i < 2; i++) {
		decode_outside(format, &clip[i], &outside[i]);
		send_clip(&c, &clip[i]);
	}
	drain(&c);
	assert_true(c.ended);
	assert_int_equal(c.formats, 2);
	assert_int_equal(c.params.crop.width, 96);
	assert_int_equal(ours.count, outside[0].count + outside[1].count);
	for (unsigned i = 0; i < ours.count; i++)
		assert_int_equal(ours.sum[i], outside[i / FRAMES].sum[i % FRAMES]);
	free_clip(&clip[0]);
	free_clip(&clip[1]);
	video_world_destroy(w);
}

static void the_size_may_change_in_mid_stream(void **state)
{
	(void)state;
	for_each_format(check_resize);
}

static void clear_input(struct client *c)
{
	assert_int_equal(video_queue_command(c->w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, c->id, VIDEO_IN), VIDEO_OK);
	for (unsigned i = 0; i < INPUTS; i++) {
		assert_true(!c->input[i] || c->input[i]->done);
		fake_guest_free_request(c->w->guest, c->input[i]);
		c->input[i] = NULL;
	}
}

static void check_seek(const struct video_coded_format *format)
{
	struct video_world *w = world(false);
	struct sums ours = {0}, outside;
	struct client c = {.decoder = true};
	struct clip clip;

	make_clip(format, WIDTH, HEIGHT, &clip);
	decode_outside(format, &clip, &outside);
	open_client(&c, w, 1, format, true);
	/* Away in the middle, twice, then all of it. */
	for (unsigned n = 3; n < 13; n += 6) {
		for (unsigned i = 0; i < n; i++)
			send(&c, clip.data[i], clip.bytes[i], i);
		clear_input(&c);
	}
	look(&c);
	c.each = sum_picture;
	c.arg = &ours;
	send_clip(&c, &clip);
	drain(&c);
	assert_int_equal(ours.count, outside.count);
	for (unsigned i = 0; i < ours.count; i++)
		assert_int_equal(ours.sum[i], outside.sum[i]);
	/* And once more after the drain. */
	ours.count = 0;
	send_clip(&c, &clip);
	drain(&c);
	assert_int_equal(ours.count, outside.count);
	free_clip(&clip);
	video_world_destroy(w);
}

static void a_seek_begins_anew(void **state)
{
	(void)state;
	for_each_format(check_seek);
}

/* ---- encode ---- */

static void test_picture(uint8_t *p, unsigned n)
{
	for (unsigned y = 0; y < HEIGHT; y++) {
		for (unsigned x = 0; x < WIDTH; x++)
			p[y * WIDTH + x] = (uint8_t)(60 + (x + 2 * n) / 2 + y / 4);
	}
	for (unsigned y = 0; y < HEIGHT / 2; y++) {
		for (unsigned x = 0; x < WIDTH; x++)
			p[WIDTH * HEIGHT + y * WIDTH + x] = (uint8_t)(x % 2 ? 100 + y / 2 : 140 - x / 4);
	}
}

static double psnr(const uint8_t *a, const uint8_t *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (a[i] - b[i]) * (a[i] - b[i]);
	return sum == 0 ? 99 : 10 * log10(255.0 * 255.0 * (double)n / sum);
}

static void keep_packet(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp)
{
	struct clip *clip = c->arg;

	assert_true(clip->count < MAX_PACKETS && resp->size > 0);
	/* The first, and the one that was asked for. */
	if (clip->count == 0 || clip->count == 10)
		assert_int_equal(resp->flags, VIRTIO_VIDEO_BUFFER_FLAG_IFRAME);
	assert_int_equal(resp->timestamp, 700 + clip->count);
	clip->data[clip->count] = malloc(resp->size);
	assert_non_null(clip->data[clip->count]);
	memcpy(clip->data[clip->count], data, resp->size);
	clip->bytes[clip->count++] = resp->size;
}

struct compare {
	unsigned count;
	double worst;
};

static void compare_picture(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp)
{
	uint8_t expected[WIDTH * HEIGHT * 3 / 2];
	struct compare *cmp = c->arg;
	double value;

	assert_int_equal(resp->timestamp, 5000000000ull + cmp->count);
	test_picture(expected, cmp->count++);
	value = psnr(data, expected, sizeof(expected));
	cmp->worst = value < cmp->worst ? value : cmp->worst;
}

static uint32_t set_bitrate(struct video_world *w, uint32_t bitrate)
{
	struct {
		struct virtio_video_set_control c;
		struct virtio_video_control_value v;
	} request = {.c.control = VIRTIO_VIDEO_CONTROL_BITRATE, .v.value = bitrate};

	return video_send(w, VIRTIO_VIDEO_CMD_SET_CONTROL, 1, &request, sizeof(request), NULL, 0);
}

static void check_round_trip(const struct video_coded_format *format)
{
	struct video_world *w = world(true);
	struct clip clip = {0};
	struct compare cmp = {.worst = 99};
	struct client e = {.each = keep_packet, .arg = &clip, .picture_bytes = WIDTH * HEIGHT * 3 / 2};
	struct client d = {.decoder = true, .each = compare_picture, .arg = &cmp};
	struct virtio_video_set_control key = {.control = VIRTIO_VIDEO_CONTROL_FORCE_KEYFRAME};
	struct virtio_video_set_params p = {.params = {.queue_type = VIDEO_IN, .format = VIRTIO_VIDEO_FORMAT_NV12,
						       .frame_width = WIDTH, .frame_height = HEIGHT, .frame_rate = 30}};
	uint8_t picture[WIDTH * HEIGHT * 3 / 2];
	struct video_stats stats;

	/* The size goes before the buffers. */
	assert_int_equal(video_create_stream(w, 2, format->number), VIDEO_OK);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 2), VIDEO_OK);
	open_client(&e, w, 1, format, false);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_IN), VIDEO_OK);
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &p, sizeof(p), NULL, 0), VIDEO_OK);
	for (uint32_t i = 0; i < INPUTS; i++)
		assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, i, sizeof(picture), &e.in[i]), VIDEO_OK);
	assert_int_equal(set_bitrate(w, 500000), VIDEO_OK);
	for (unsigned i = 0; i < FRAMES; i++) {
		if (i == 10)
			assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_CONTROL, 1, &key, sizeof(key), NULL, 0), VIDEO_OK);
		test_picture(picture, i);
		send(&e, picture, sizeof(picture), 700 + i);
	}
	drain(&e);
	assert_int_equal(clip.count, FRAMES);
	video_get_stats(w->device, &stats);
	video_world_destroy(w);

	w = world(false);
	open_client(&d, w, 1, format, true);
	send_clip(&d, &clip);
	drain(&d);
	assert_int_equal(cmp.count, FRAMES);
	printf("# %s: %s, worst PSNR %.1f dB\n", format->name, stats.codec.element, cmp.worst);
	assert_true(cmp.worst > 35);
	free_clip(&clip);
	video_world_destroy(w);
}

static void what_is_encoded_decodes_to_the_same(void **state)
{
	(void)state;
	for_each_format(check_round_trip);
}

/* ---- many, and bad ---- */

static void eight_streams_decode_side_by_side(void **state)
{
	const struct video_coded_format *format = video_coded_format_find(VIRTIO_VIDEO_FORMAT_H264);
	struct video_world *w = world(false);
	struct sums ours[8] = {0}, outside;
	struct client c[8] = {0};
	struct clip clip;

	(void)state;
	if (!codec_gst_ops.can(format, false, NULL) || !codec_gst_ops.can(format, true, NULL))
		tap_skip("no H.264: install gstreamer1.0-libav and gstreamer1.0-plugins-ugly");
	make_clip(format, WIDTH, HEIGHT, &clip);
	decode_outside(format, &clip, &outside);
	for (uint32_t i = 0; i < 8; i++) {
		struct virtio_video_event e;

		c[i] = (struct client){.decoder = true, .each = sum_picture, .arg = &ours[i]};
		open_client(&c[i], w, i, format, false);
		/* One at a time until its size is known: events name no client here. */
		for (unsigned k = 0; k < INPUTS; k++)
			send(&c[i], clip.data[k], clip.bytes[k], 5000000000ull + k);
		e = video_wait_event(w, video_post_event(w));
		assert_int_equal(e.event_type, VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED);
		assert_int_equal(e.stream_id, i);
		c[i].picture_bytes = WIDTH * HEIGHT * 3 / 2;
		make_outputs(&c[i]);
	}
	for (unsigned k = INPUTS; k < clip.count; k++) {
		for (uint32_t i = 0; i < 8; i++)
			send(&c[i], clip.data[k], clip.bytes[k], 5000000000ull + k);
	}
	for (uint32_t i = 0; i < 8; i++) {
		drain(&c[i]);
		assert_int_equal(ours[i].count, outside.count);
		for (unsigned k = 0; k < outside.count; k++)
			assert_int_equal(ours[i].sum[k], outside.sum[k]);
	}
	free_clip(&clip);
	video_world_destroy(w);
}

static uint32_t random_state;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % n;
}

/* Flip bits, cut, repeat, leave out. */
static void send_mutated(struct client *c, const struct clip *clip)
{
	static uint8_t copy[CODED_BYTES];

	for (unsigned i = 0; i < clip->count && !c->failed; i++) {
		size_t n = clip->bytes[i];

		memcpy(copy, clip->data[i], n);
		switch (random_below(6)) {
		case 0:
			continue;
		case 1:
			n = random_below((uint32_t)n + 1);
			break;
		case 2:
			send(c, copy, n, i);
			break;
		case 3:
			for (uint32_t k = random_below(30); n > 0 && k > 0; k--)
				copy[random_below((uint32_t)n)] ^= (uint8_t)(1u << random_below(8));
			break;
		case 4:
			/* The headers. */
			for (uint32_t k = random_below(8); n > 0 && k > 0; k--)
				copy[random_below(n < 40 ? (uint32_t)n : 40)] = (uint8_t)random_below(256);
			break;
		default:
			break;
		}
		send(c, copy, n, i);
	}
}

static unsigned number_from_env(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void check_mutations(const struct video_coded_format *format)
{
	const unsigned runs = number_from_env("VIDEO_MUTATIONS", 100) / FRAMES + 1;
	struct sums ours = {0}, outside;
	struct video_world *w = world(false);
	struct clip clip;

	random_state = number_from_env("VIDEO_SEED", 1) * 2654435761u + format->number;
	make_clip(format, WIDTH, HEIGHT, &clip);
	decode_outside(format, &clip, &outside);
	for (unsigned run = 0; run < runs; run++) {
		struct client c = {.decoder = true};

		open_client(&c, w, 1, format, true);
		send_mutated(&c, &clip);
		if (!c.failed && random_below(2))
			drain(&c);
		assert_int_equal(fake_guest_start(w->guest, w->device), 0);
		video_world_destroy(w);
		w = world(false);
	}
	/* The device is well. */
	{
		struct client c = {.decoder = true, .each = sum_picture, .arg = &ours};

		open_client(&c, w, 1, format, true);
		send_clip(&c, &clip);
		drain(&c);
	}
	assert_int_equal(ours.count, outside.count);
	assert_int_equal(ours.sum[FRAMES - 1], outside.sum[FRAMES - 1]);
	printf("# %s: %u broken access units\n", format->name, runs * FRAMES);
	free_clip(&clip);
	video_world_destroy(w);
}

static void broken_bitstreams_break_nothing_else(void **state)
{
	(void)state;
	for_each_format(check_mutations);
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

static void wait_for_codecs(void)
{
	for (unsigned i = 0; i < 3000 && codec_gst_ops.stopping() > 0; i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_are_those_of_the_codec_alone),
		cmocka_unit_test(every_picture_has_its_own_timestamp),
		cmocka_unit_test(the_size_may_change_in_mid_stream),
		cmocka_unit_test(a_seek_begins_anew),
		cmocka_unit_test(what_is_encoded_decodes_to_the_same),
		cmocka_unit_test(eight_streams_decode_side_by_side),
		cmocka_unit_test(broken_bitstreams_break_nothing_else),
		cmocka_unit_test(an_element_can_be_forced),
	};
	int failed;

	if (!gst_elements_init())
		tap_skip_all("GStreamer does not start");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	wait_for_codecs();
	return failed;
}
