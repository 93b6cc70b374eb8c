// SPDX-License-Identifier: MIT
/*
 * Codecs that hang, fail and break; garbage; resets; many streams.
 * Over the fake codec, whose input says what it does (host/video/codec_fake.h); in both dialects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/codec_fake.h"
#include "tests/lib/film.h"

#define ERR VIRTIO_VIDEO_BUFFER_FLAG_ERR
#define EOS VIRTIO_VIDEO_BUFFER_FLAG_EOS
#define INVALID_OPERATION VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION

/* ---- trouble ---- */

static void after_trouble(struct film *s, struct fake_request *event)
{
	struct video_world *w = s->w;
	struct fake_request *out;

	assert_int_equal(video_wait_event(w, event).event_type, VIRTIO_VIDEO_EVENT_ERROR);
	assert_int_equal(video_wait(w, film_feed_picture(s, 5)).hdr.type, INVALID_OPERATION);
	assert_int_equal(video_wait(w, film_want(s, 5)).hdr.type, INVALID_OPERATION);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DRAIN, 1), INVALID_OPERATION);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_IN), VIDEO_OK);
	/* As good as new. */
	out = film_want(s, 0);
	film_feed_and_wait(s, 10);
	film_feed_and_wait(s, 11);
	film_expect_picture(s, out, 0, 10, FILM_WIDTH, FILM_HEIGHT);
}

static void a_codec_that_hangs_is_given_up(void **state)
{
	struct video_world *w = video_world_create(&(struct video_world_options){.timeout_ms = 30});
	struct fake_request *out, *drain, *event;
	struct film s, other;

	(void)state;
	film_start(&s, w, 1);
	film_start(&other, w, 2);
	out = film_want(&s, 0);
	event = video_post_event(w);
	film_expect_flags(w, film_feed(&s, FAKE_HANG, 0, 0, 0), 0);
	drain = video_drain(w, 1);
	film_expect_flags(w, out, ERR);
	assert_int_equal(video_wait(w, drain).hdr.type, INVALID_OPERATION);
	after_trouble(&s, event);
	film_feed_and_wait(&other, 1);
	film_expect_picture(&other, film_want(&other, 0), 0, 0, FILM_WIDTH, FILM_HEIGHT);
	video_world_destroy(w);
}

static void a_codec_that_hangs_delays_no_clear_and_no_destroy(void **state)
{
	/* The time that it has is not over when the test ends. */
	struct video_world *w = video_world_create(&(struct video_world_options){.timeout_ms = 1000000});
	struct fake_request *in[FILM_INPUTS];
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	for (unsigned round = 0; round < 2; round++) {
		film_expect_flags(w, film_feed(&s, FAKE_HANG, 0, 0, 0), 0);
		video_settle(w);
		for (uint32_t i = 0; i < 4; i++)
			in[i] = film_feed_picture(&s, i);
		if (round == 0)
			assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_IN), VIDEO_OK);
		else
			assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
		for (uint32_t i = 0; i < 4; i++)
			film_expect_flags(w, in[i], ERR);
	}
	video_world_destroy(w);
}

static void a_guest_that_takes_nothing_is_no_hang(void **state)
{
	struct video_world *w = video_world_create(&(struct video_world_options){.timeout_ms = 20});
	struct fake_request *drain, *event;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	event = video_post_event(w);
	drain = video_drain(w, 1);
	fake_guest_run_until(w->guest, NULL, NULL, 60);
	assert_false(drain->done);
	assert_false(event->done);
	film_expect_flags(w, film_want(&s, 0), 0);
	fake_guest_run_until(w->guest, NULL, NULL, 60);
	assert_false(drain->done);
	film_expect_flags(w, film_want(&s, 1), EOS);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	video_world_destroy(w);
}

static void a_codec_that_fails_ends_its_stream_only(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out[2], *event;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	event = video_post_event(w);
	film_expect_flags(w, film_feed(&s, FAKE_ERROR, 0, 0, 0), 0);
	video_settle(w);
	out[0] = film_feed_picture(&s, 3);
	assert_int_equal(video_wait(w, out[0]).hdr.type, INVALID_OPERATION);
	after_trouble(&s, event);
	video_world_destroy(w);
}

static void a_damaged_picture_is_marked(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out[2];
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	out[0] = film_want(&s, 0);
	out[1] = film_want(&s, 1);
	film_expect_flags(w, film_feed(&s, FAKE_DAMAGED, FILM_WIDTH, FILM_HEIGHT, 1), 0);
	film_feed_and_wait(&s, 2);
	film_expect_flags(w, out[0], 0);
	assert_int_equal(video_wait(w, out[1]).flags, video_flags(w, ERR));
	video_world_destroy(w);
}

static void a_picture_that_is_too_large_ends_its_stream_only(void **state)
{
	static const uint32_t sizes[][2] = {{8194, 48}, {64, 8194}, {16384, 16384}};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct video_world *w = video_world_create(NULL);
		struct fake_request *event, *out[2];
		struct film s, other;

		film_start(&s, w, 1);
		film_start(&other, w, 2);
		event = video_post_event(w);
		out[0] = film_want(&s, 0);
		out[1] = film_want(&s, 1);
		film_expect_flags(w, film_feed(&s, FAKE_PICTURE, sizes[i][0], sizes[i][1], 1), 0);
		film_expect_picture(&s, out[0], 0, 0, FILM_WIDTH, FILM_HEIGHT);
		film_expect_flags(w, out[1], ERR);
		after_trouble(&s, event);
		film_feed_and_wait(&other, 1);
		film_expect_picture(&other, film_want(&other, 0), 0, 0, FILM_WIDTH, FILM_HEIGHT);
		video_world_destroy(w);
	}
}

/* Its guest has waited for all that it queued; after a clear of its input it goes on. */
static void an_encoder_that_hangs_or_fails_is_given_up(void **state)
{
	static const uint32_t units[] = {FAKE_HANG, FAKE_ERROR};
	const uint32_t bytes = FILM_WIDTH * FILM_HEIGHT * 3 / 2;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct video_world *w =
			video_world_create(&(struct video_world_options){.encoder = true, .timeout_ms = 30});
		struct virtio_video_set_params c = {
			.params = {.queue_type = VIDEO_IN,
				   .format = video_format_number(w, VIRTIO_VIDEO_FORMAT_YUV420),
				   .frame_width = FILM_WIDTH,
				   .frame_height = FILM_HEIGHT}};
		struct film s = {.w = w, .id = 1};
		struct fake_request *in, *out, *drain, *event = video_post_event(w);
		struct virtio_video_resource_queue_resp resp;

		assert_int_equal(video_create_stream(w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
		assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &c, sizeof(c), NULL, 0), VIDEO_OK);
		for (uint32_t k = 0; k < FILM_INPUTS; k++)
			assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, k, bytes, &s.in[k]), VIDEO_OK);
		film_make_outputs(&s);
		out = film_want(&s, 0);
		in = film_feed(&s, units[i], 0, 0, 1);
		drain = video_drain(w, 1);
		assert_int_equal(video_wait(w, out).flags, video_flags(w, ERR));
		assert_int_equal(video_wait(w, drain).hdr.type, INVALID_OPERATION);
		video_wait(w, in);
		assert_int_equal(video_wait_event(w, event).event_type, VIRTIO_VIDEO_EVENT_ERROR);
		assert_int_equal(video_wait(w, film_feed_picture(&s, 5)).hdr.type, INVALID_OPERATION);
		assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_IN), VIDEO_OK);
		out = film_want(&s, 1);
		film_feed_picture(&s, 6);
		resp = video_wait(w, out);
		assert_int_equal(resp.flags, video_flags(w, VIRTIO_VIDEO_BUFFER_FLAG_IFRAME));
		assert_int_equal(resp.size, sizeof(struct fake_header) + bytes);
		video_world_destroy(w);
	}
}

static void garbage_gives_no_picture_and_no_trouble(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	out = film_want(&s, 0);
	memset(fake_guest_ptr(w->guest, s.in[1], 4096), 0x5a, 4096);
	film_expect_flags(w, video_queue(w, 1, VIDEO_IN, 1, 4096, 0), 0);
	film_expect_flags(w, video_queue(w, 1, VIDEO_IN, 1, 1, 0), 0);
	film_expect_flags(w, film_feed(&s, FAKE_PICTURE, 100000, 100000, 1), 0);
	film_feed_and_wait(&s, 1);
	film_expect_picture(&s, out, 0, 0, FILM_WIDTH, FILM_HEIGHT);
	video_world_destroy(w);
}

static void a_codec_that_breaks_is_replaced_unseen(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out, *event, *drain;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	event = video_post_event(w);
	out = film_want(&s, 0);
	film_expect_flags(w, film_feed(&s, FAKE_BROKEN, 0, 0, 0), 0);
	video_settle(w);
	film_feed_and_wait(&s, 7);
	film_feed_and_wait(&s, 8);
	film_expect_picture(&s, out, 0, 7, FILM_WIDTH, FILM_HEIGHT);
	/* At the end too. */
	out = film_want(&s, 1);
	film_expect_flags(w, film_feed(&s, FAKE_BROKEN, 0, 0, 0), 0);
	drain = video_drain(w, 1);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	film_expect_flags(w, out, EOS);
	assert_false(event->done);
	video_world_destroy(w);
}

/* The first part of an access unit that waits for more when the codec ends by itself is not lost. */
static void what_waits_for_its_end_outlives_a_codec(void **state)
{
	static const uint8_t part[40] = {0, 0, 0, 1, 0x65, 0x88, 1, 2};
	struct video_world *w = video_world_create(NULL);
	struct fake_request *broken, *drain;
	struct video_stats before, after;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	video_get_stats(w->device, &before);
	broken = film_feed(&s, FAKE_BROKEN, 0, 0, 0);
	memcpy(fake_guest_ptr(w->guest, s.in[7], sizeof(part)), part, sizeof(part));
	film_expect_flags(w, video_queue(w, 1, VIDEO_IN, 7, sizeof(part), 0), 0);
	film_expect_flags(w, broken, 0);
	video_settle(w);
	/* It is something to drain: the end is marked before that is answered. */
	drain = video_drain(w, 1);
	fake_guest_run_until(w->guest, NULL, NULL, 50);
	assert_false(drain->done);
	film_expect_flags(w, film_want(&s, 1), EOS);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	video_get_stats(w->device, &after);
	assert_int_equal(after.codec.bytes_in - before.codec.bytes_in, sizeof(struct fake_header) + sizeof(part));
	video_world_destroy(w);
}

/* Bytes that the next codec gets for the first slice of a picture without parameters, which is all that is sent. */
static uint64_t bytes_after_a_drain(struct film *s)
{
	static const uint8_t slice[8] = {0, 0, 0, 1, 0x65, 0x88, 3, 4};
	struct video_stats before, after;
	struct video_world *w = s->w;
	struct fake_request *out;

	video_get_stats(w->device, &before);
	memcpy(fake_guest_ptr(w->guest, s->in[6], sizeof(slice)), slice, sizeof(slice));
	film_expect_flags(w, video_queue(w, 1, VIDEO_IN, 6, sizeof(slice), 0), 0);
	out = film_want(s, 0);
	assert_int_equal(video_wait(w, video_drain(w, 1)).hdr.type, VIDEO_OK);
	film_expect_flags(w, out, EOS);
	video_get_stats(w->device, &after);
	return after.codec.bytes_in - before.codec.bytes_in;
}

/* For the next codec they are remembered as they are when they have come together. */
static void parameters_that_came_in_parts_are_kept_whole(void **state)
{
	static const uint8_t unit[] = {0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 0, 1, 0x65, 0x88, 1, 2};

	(void)state;
	for (size_t n = 5; n <= 8; n++) {
		struct video_world *w = video_world_create(NULL);
		struct fake_request *out[2];
		struct film s;

		film_start(&s, w, 1);
		memcpy(fake_guest_ptr(w->guest, s.in[6], n), unit, n);
		film_expect_flags(w, video_queue(w, 1, VIDEO_IN, 6, (uint32_t)n, 0), 0);
		memcpy(fake_guest_ptr(w->guest, s.in[7], sizeof(unit) - n), unit + n, sizeof(unit) - n);
		film_expect_flags(w, video_queue(w, 1, VIDEO_IN, 7, (uint32_t)(sizeof(unit) - n), 0), 0);
		out[0] = film_want(&s, 1);
		out[1] = film_want(&s, 2);
		assert_int_equal(video_wait(w, video_drain(w, 1)).hdr.type, VIDEO_OK);
		film_expect_picture(&s, out[0], 1, 0, FILM_WIDTH, FILM_HEIGHT);
		film_expect_flags(w, out[1], EOS);
		/* The set with a start code of three bytes, without the zero of the next one; and the slice. */
		assert_int_equal(bytes_after_a_drain(&s), 7 + 8);
		video_world_destroy(w);
	}
}

static void an_end_that_nobody_asked_for_is_none(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	film_expect_flags(w, film_feed(&s, FAKE_END, 0, 0, 0), 0);
	video_settle(w);
	out = film_want(&s, 0);
	film_feed_and_wait(&s, 7);
	film_feed_and_wait(&s, 8);
	film_expect_picture(&s, out, 0, 7, FILM_WIDTH, FILM_HEIGHT);
	video_world_destroy(w);
}

static void a_drain_without_output_buffers_ends(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct film s;

	(void)state;
	film_make(&s, w, 1);
	memset(fake_guest_ptr(w->guest, s.in[0], 64), 1, 64);
	film_expect_flags(w, video_queue(w, 1, VIDEO_IN, 0, 64, 0), 0);
	assert_int_equal(video_wait(w, video_drain(w, 1)).hdr.type, VIDEO_OK);
	film_make_outputs(&s);
	film_expect_flags(w, film_want(&s, 0), EOS);
	video_world_destroy(w);
}

static void a_drain_ends_when_its_last_output_buffer_goes(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *drain;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	film_expect_flags(w, film_feed(&s, FAKE_BROKEN, 0, 0, 0), 0);
	drain = video_drain(w, 1);
	video_settle(w);
	/* There are buffers, and none is queued that could be marked. */
	assert_false(drain->done);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_OUT), VIDEO_OK);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	film_make_outputs(&s);
	film_expect_flags(w, film_want(&s, 0), EOS);
	video_world_destroy(w);
}

static void reset_and_destroy_end_whatever_waits(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct film s;

	(void)state;
	for (uint32_t round = 0; round < 3; round++) {
		film_start(&s, w, 1);
		film_want(&s, 1);
		film_want(&s, 2);
		for (uint32_t i = 0; i < FILM_INPUTS; i++)
			film_feed_picture(&s, i);
		video_drain(w, 1);
		video_post_event(w);
		assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	}
	film_start(&s, w, 1);
	film_want(&s, 1);
	video_drain(w, 1);
	video_world_destroy(w);
}

static void eight_streams_run_side_by_side(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out[8][4];
	struct film s[8];

	(void)state;
	for (uint32_t i = 0; i < 8; i++)
		film_start(&s[i], w, 100 + i);
	for (uint32_t k = 0; k < 4; k++) {
		for (uint32_t i = 0; i < 8; i++) {
			out[i][k] = film_want(&s[i], k);
			film_feed_and_wait(&s[i], 1 + k + i);
		}
	}
	for (uint32_t i = 0; i < 8; i++) {
		for (uint32_t k = 0; k < 4; k++)
			film_expect_picture(&s[i], out[i][k], k, k ? k + i : 0, FILM_WIDTH, FILM_HEIGHT);
	}
	video_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_codec_that_hangs_is_given_up),
		cmocka_unit_test(a_codec_that_hangs_delays_no_clear_and_no_destroy),
		cmocka_unit_test(a_guest_that_takes_nothing_is_no_hang),
		cmocka_unit_test(a_codec_that_fails_ends_its_stream_only),
		cmocka_unit_test(a_damaged_picture_is_marked),
		cmocka_unit_test(a_picture_that_is_too_large_ends_its_stream_only),
		cmocka_unit_test(an_encoder_that_hangs_or_fails_is_given_up),
		cmocka_unit_test(garbage_gives_no_picture_and_no_trouble),
		cmocka_unit_test(a_codec_that_breaks_is_replaced_unseen),
		cmocka_unit_test(what_waits_for_its_end_outlives_a_codec),
		cmocka_unit_test(parameters_that_came_in_parts_are_kept_whole),
		cmocka_unit_test(an_end_that_nobody_asked_for_is_none),
		cmocka_unit_test(a_drain_without_output_buffers_ends),
		cmocka_unit_test(a_drain_ends_when_its_last_output_buffer_goes),
		cmocka_unit_test(reset_and_destroy_end_whatever_waits),
		cmocka_unit_test(eight_streams_run_side_by_side),
	};

	return video_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
