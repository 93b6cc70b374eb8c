// SPDX-License-Identifier: MIT
/* What video devices say that they did: of each stream, and in all, also when streams and codecs have come and gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "host/video/codec_fake.h"
#include "host/virtio/counters.h"
#include "tests/lib/media_world.h"
#include "tests/lib/video_world.h"

enum { WIDTH = 64, HEIGHT = 48, PICTURE_BYTES = WIDTH * HEIGHT * 3 / 2 };

static struct counters counters;

static void count_device(struct virtio_device *d)
{
	memset(&counters, 0, sizeof(counters));
	d->ops->count(d, &counters);
	assert_int_equal(counters.left_out, 0);
}

static void count(struct video_world *w)
{
	count_device(w->device);
}

static const struct counter *find(const char *part, const char *name)
{
	for (uint32_t i = 0; i < counters.count; i++) {
		if (!strcmp(counters.list[i].part, part) && !strcmp(counters.list[i].name, name))
			return &counters.list[i];
	}
	return NULL;
}

static uint64_t number(const char *part, const char *name)
{
	const struct counter *c = find(part, name);

	if (!c)
		fail_msg("no counter %s of '%s'", name, part);
	return c->value;
}

static void is_text(const char *part, const char *name, const char *text)
{
	const struct counter *c = find(part, name);

	assert_non_null(c);
	assert_int_equal(c->kind, COUNTER_TEXT);
	assert_string_equal(c->text, text);
}

/* Decode @n pictures and drain, with fresh buffers. */
static void decode(struct video_world *w, uint32_t stream, unsigned n)
{
	const struct fake_header h = {FAKE_MAGIC, FAKE_PICTURE, WIDTH, HEIGHT, 1};
	struct fake_request *outputs[8], *drain;
	uint64_t in;

	assert_int_equal(video_create_buffer(w, stream, VIDEO_IN, 1, sizeof(h), &in), VIDEO_OK);
	memcpy(fake_guest_ptr(w->guest, in, sizeof(h)), &h, sizeof(h));
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(video_wait(w, video_queue(w, stream, VIDEO_IN, 1, sizeof(h), i)).flags, 0);
		/* The first one tells the size. */
		video_settle(w);
		for (uint32_t k = 0; i == 0 && k <= n; k++) {
			assert_int_equal(video_create_buffer(w, stream, VIDEO_OUT, k, PICTURE_BYTES, NULL), VIDEO_OK);
			outputs[k] = video_queue(w, stream, VIDEO_OUT, k, 0, 0);
		}
	}
	drain = video_drain(w, stream);
	for (unsigned i = 0; i <= n; i++)
		video_wait(w, outputs[i]);
	video_wait(w, drain);
}

static void a_stream_says_what_its_codecs_did(void **state)
{
	struct video_world *w = video_world_create(NULL);

	(void)state;
	assert_int_equal(video_create_stream(w, 7, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	count(w);
	is_text("stream 7", "format", "h264");
	is_text("stream 7", "state", "idle");
	assert_int_equal(number("", "streams"), 1);
	assert_int_equal(number("stream 7", "frames-in"), 0);
	/* None ran yet, and no frame to divide by. */
	assert_null(find("stream 7", "element"));
	assert_null(find("stream 7", "copies-per-frame"));

	decode(w, 7, 3);
	count(w);
	is_text("stream 7", "element", "fake");
	assert_int_equal(find("stream 7", "hardware")->kind, COUNTER_FLAG);
	assert_int_equal(number("stream 7", "width"), WIDTH);
	assert_int_equal(number("stream 7", "frames-in"), 3);
	assert_int_equal(number("stream 7", "bytes-in"), 3 * sizeof(struct fake_header));
	assert_int_equal(number("stream 7", "frames-out"), 3);
	assert_int_equal(number("stream 7", "copies-per-frame"), 1000);
	assert_int_equal(number("", "buffer-bytes"), sizeof(struct fake_header) + 4 * PICTURE_BYTES);
	video_world_destroy(w);
}

static void the_device_remembers_streams_that_are_gone(void **state)
{
	struct video_world *w = video_world_create(NULL);
	uint64_t commands;

	(void)state;
	for (uint32_t stream = 1; stream <= 3; stream++) {
		assert_int_equal(video_create_stream(w, stream, VIRTIO_VIDEO_FORMAT_VP8), VIDEO_OK);
		decode(w, stream, 2);
		count(w);
		assert_int_equal(number("", "frames-out"), 2 * stream);
		assert_int_equal(number("", "streams"), 1);
		assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, stream), VIDEO_OK);
	}
	count(w);
	assert_int_equal(number("", "frames-in"), 6);
	assert_int_equal(number("", "frames-out"), 6);
	assert_int_equal(number("", "copies"), 6);
	assert_int_equal(number("", "streams"), 0);
	assert_int_equal(number("", "buffer-bytes"), 0);
	is_text("", "element", "fake");
	assert_int_equal(number("", "errors"), 0);
	commands = number("", "commands");
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID);
	count(w);
	assert_int_equal(number("", "errors"), 1);
	assert_int_equal(number("", "commands"), commands + 1);
	video_world_destroy(w);
}

/* A codec that still runs counts too, once. */
static void a_codec_at_work_is_counted_in_both_places(void **state)
{
	const struct fake_header h = {FAKE_MAGIC, FAKE_PICTURE, WIDTH, HEIGHT, 1};
	struct video_world *w = video_world_create(NULL);
	uint64_t in;

	(void)state;
	assert_int_equal(video_create_stream(w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, 1, sizeof(h), &in), VIDEO_OK);
	memcpy(fake_guest_ptr(w->guest, in, sizeof(h)), &h, sizeof(h));
	video_wait(w, video_queue(w, 1, VIDEO_IN, 1, sizeof(h), 0));
	count(w);
	is_text("stream 1", "state", "running");
	assert_int_equal(number("stream 1", "frames-in"), 1);
	assert_int_equal(number("", "frames-in"), 1);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_IN), VIDEO_OK);
	count(w);
	is_text("stream 1", "state", "idle");
	assert_int_equal(number("stream 1", "frames-in"), 1);
	assert_int_equal(number("", "frames-in"), 1);
	video_world_destroy(w);
}

/* Of virtio-media many may be open that do nothing: they leave room for those that do. */
static void sessions_that_do_nothing_are_only_a_number(void **state)
{
	struct media_world *w = media_world_create(NULL);
	char part[24];
	uint32_t id;

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		uint32_t count = 1;

		assert_int_equal(media_open(w, &id), 0);
		if (i != 3)
			continue;
		snprintf(part, sizeof(part), "stream %u", id);
		assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
		assert_int_equal(media_stream(w, id, MEDIA_OUTPUT, true), 0);
	}
	count_device(w->device);
	assert_int_equal(number("", "sessions"), 100);
	assert_int_equal(number("", "streams"), 1);
	assert_true(number("", "buffer-bytes") > 0);
	is_text(part, "state", "idle");
	for (uint32_t i = 0; i < counters.count; i++)
		assert_true(!*counters.list[i].part || !strcmp(counters.list[i].part, part));
	media_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_says_what_its_codecs_did),
		cmocka_unit_test(the_device_remembers_streams_that_are_gone),
		cmocka_unit_test(a_codec_at_work_is_counted_in_both_places),
		cmocka_unit_test(sessions_that_do_nothing_are_only_a_number),
	};

	return cmocka_run_group_tests_name("video_count", tests, NULL, NULL);
}
