// SPDX-License-Identifier: MIT
/*
 * What a stream does with its buffers: drain, clear, changes of size, events.
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
#define CHANGED VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED

/* ---- drain ---- */

static void drain_waits_for_queued_input(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *in[4], *out[6], *drain;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	for (uint32_t i = 0; i < 4; i++)
		in[i] = film_feed_picture(&s, i + 1);
	drain = video_drain(w, 1);
	video_settle(w);
	assert_false(drain->done);
	for (uint32_t i = 0; i < 6; i++)
		out[i] = film_want(&s, i);
	assert_int_equal(fake_guest_wait(w->guest, drain, 10000), 0);
	/* The end comes in a buffer of its own, before the answer to the drain. */
	assert_true(out[5]->sequence < drain->sequence);
	assert_true(out[4]->sequence < out[5]->sequence);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(video_wait(w, in[i]).flags, 0);
	for (uint32_t i = 0; i < 5; i++)
		film_expect_picture(&s, out[i], i, i, FILM_WIDTH, FILM_HEIGHT);
	film_expect_flags(w, out[5], EOS);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	/* And on it goes. */
	out[0] = film_want(&s, 0);
	film_feed_and_wait(&s, 20);
	film_feed_and_wait(&s, 21);
	film_expect_picture(&s, out[0], 0, 20, FILM_WIDTH, FILM_HEIGHT);
	video_world_destroy(w);
}

static void drain_with_nothing_queued_is_answered_at_once(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out;
	struct film s;

	(void)state;
	film_make(&s, w, 1);
	film_make_outputs(&s);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DRAIN, 1), VIDEO_OK);
	/* The driver waits for a marked buffer: the next one is. */
	film_expect_flags(w, film_want(&s, 0), EOS);
	out = film_want(&s, 0);
	video_settle(w);
	assert_false(out->done);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DRAIN, 1), VIDEO_OK);
	assert_true(out->done);
	film_expect_flags(w, out, EOS);
	video_world_destroy(w);
}

static void nothing_is_taken_while_draining(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *drain;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	drain = video_drain(w, 1);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DRAIN, 1), INVALID_OPERATION);
	assert_int_equal(video_wait(w, film_feed_picture(&s, 1)).hdr.type, INVALID_OPERATION);
	assert_false(drain->done);
	film_expect_flags(w, film_want(&s, 0), 0);
	film_expect_flags(w, film_want(&s, 1), EOS);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	video_world_destroy(w);
}

/* ---- clear ---- */

static void clear_gives_everything_back_and_is_answered_last(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *in[FILM_INPUTS], *drain, *clear;
	struct virtio_video_queue_clear c = {.hdr = {VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1}, .queue_type = VIDEO_IN};
	unsigned cancelled = 0;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	for (uint32_t i = 0; i < FILM_INPUTS; i++)
		in[i] = film_feed_picture(&s, i);
	drain = video_drain(w, 1);
	clear = fake_guest_add(w->guest, 0, &c, sizeof(c), 8);
	fake_guest_kick(w->guest, 0);
	assert_int_equal(fake_guest_wait(w->guest, clear, 1000), 0);
	assert_true(drain->done && drain->sequence < clear->sequence);
	for (uint32_t i = 0; i < FILM_INPUTS; i++) {
		assert_true(in[i]->done && in[i]->sequence < clear->sequence);
		cancelled += video_wait(w, in[i]).flags == video_flags(w, ERR);
	}
	assert_true(cancelled > 0);
	assert_int_equal(video_wait(w, drain).hdr.type, INVALID_OPERATION);
	assert_int_equal(video_wait(w, clear).hdr.type, VIDEO_OK);
	video_world_destroy(w);
}

static void a_seek_shows_nothing_of_before(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out, *event;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	film_feed_and_wait(&s, 1);
	film_feed_and_wait(&s, 2);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_IN), VIDEO_OK);
	out = film_want(&s, 0);
	event = video_post_event(w);
	film_feed_and_wait(&s, 30);
	film_feed_and_wait(&s, 31);
	film_expect_picture(&s, out, 0, 30, FILM_WIDTH, FILM_HEIGHT);
	/* The size is the same: no event. */
	video_settle(w);
	assert_false(event->done);
	video_world_destroy(w);
}

static void clearing_the_output_loses_no_picture(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	out = film_want(&s, 0);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	film_expect_flags(w, out, ERR);
	film_feed_and_wait(&s, 1);
	film_expect_picture(&s, film_want(&s, 3), 3, 0, FILM_WIDTH, FILM_HEIGHT);
	video_world_destroy(w);
}

static void clearing_the_output_cancels_a_drain(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *drain, *out;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	drain = video_drain(w, 1);
	video_settle(w);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	assert_int_equal(video_wait(w, drain).hdr.type, INVALID_OPERATION);
	out = film_want(&s, 0);
	film_feed_and_wait(&s, 5);
	film_feed_and_wait(&s, 6);
	film_expect_picture(&s, out, 0, 5, FILM_WIDTH, FILM_HEIGHT);
	video_world_destroy(w);
}

static void a_drain_that_did_not_reach_the_codec_is_cancelled_alone(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *in[FILM_INPUTS], *drain, *out[FILM_OUTPUTS];
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	/* More than the codec takes while nobody takes its pictures. */
	for (uint32_t i = 0; i < FILM_INPUTS; i++) {
		in[i] = film_feed_picture(&s, i + 1);
		video_settle(w);
	}
	for (uint32_t i = 0; i < FILM_INPUTS; i++) {
		assert_true(in[i]->done);
		fake_guest_free_request(w->guest, in[i]);
		in[i] = film_feed_picture(&s, i + 1 + FILM_INPUTS);
		video_settle(w);
	}
	drain = video_drain(w, 1);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	assert_int_equal(video_wait(w, drain).hdr.type, INVALID_OPERATION);
	for (uint32_t i = 0; i < FILM_OUTPUTS; i++)
		out[i] = film_want(&s, i);
	for (uint32_t i = 0; i < FILM_OUTPUTS; i++)
		film_expect_picture(&s, out[i], i, i, FILM_WIDTH, FILM_HEIGHT);
	for (uint32_t i = 0; i < FILM_INPUTS; i++)
		assert_int_equal(video_wait(w, in[i]).flags, 0);
	video_world_destroy(w);
}

static void dropping_resources_gives_the_queued_ones_back(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	out = film_want(&s, 0);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_OUT), VIDEO_OK);
	film_expect_flags(w, out, ERR);
	assert_int_equal(video_wait(w, film_want(&s, 0)).hdr.type, VIRTIO_VIDEO_RESP_ERR_INVALID_RESOURCE_ID);
	film_make_outputs(&s);
	film_feed_and_wait(&s, 1);
	film_expect_picture(&s, film_want(&s, 0), 0, 0, FILM_WIDTH, FILM_HEIGHT);
	video_world_destroy(w);
}

/* As Linux drivers do for VIDIOC_REQBUFS with another count. */
static void a_resource_that_is_not_queued_can_be_made_anew(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out;
	uint64_t old, gpa;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	film_feed_and_wait(&s, 1);
	film_expect_picture(&s, film_want(&s, 0), 0, 0, FILM_WIDTH, FILM_HEIGHT);
	old = s.out[0];
	assert_int_equal(video_create_buffer(w, 1, VIDEO_OUT, 0, FILM_OUTPUT_BYTES, &s.out[0]), VIDEO_OK);
	assert_int_not_equal(s.out[0], old);
	film_feed_and_wait(&s, 2);
	film_expect_picture(&s, film_want(&s, 0), 0, 1, FILM_WIDTH, FILM_HEIGHT);
	/* One that is queued stays what it is. */
	out = film_want(&s, 0);
	assert_int_equal(video_create_buffer(w, 1, VIDEO_OUT, 0, FILM_OUTPUT_BYTES, &gpa),
			 VIRTIO_VIDEO_RESP_ERR_INVALID_RESOURCE_ID);
	film_feed_and_wait(&s, 3);
	film_expect_picture(&s, out, 0, 2, FILM_WIDTH, FILM_HEIGHT);
	video_world_destroy(w);
}

/* ---- another size ---- */

static void a_new_size_waits_for_new_buffers(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *old[3], *new[2], *event;
	struct virtio_video_params p;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	for (uint32_t i = 0; i < 3; i++)
		old[i] = film_want(&s, i);
	event = video_post_event(w);
	film_feed_and_wait(&s, 1);
	video_settle(w);
	assert_false(event->done);
	film_expect_flags(w, film_feed(&s, FAKE_PICTURE, 96, 80, 2), 0);
	film_expect_flags(w, film_feed(&s, FAKE_PICTURE, 96, 80, 3), 0);
	/* Both of the old size came out before. */
	assert_int_equal(video_wait_event(w, event).event_type, CHANGED);
	film_expect_picture(&s, old[0], 0, 0, FILM_WIDTH, FILM_HEIGHT);
	film_expect_picture(&s, old[1], 1, 1, FILM_WIDTH, FILM_HEIGHT);
	video_read_params(w, 1, VIDEO_OUT, &p);
	assert_int_equal(p.frame_width, 96);
	video_settle(w);
	assert_false(old[2]->done);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	film_expect_flags(w, old[2], ERR);
	new[0] = film_want(&s, 4);
	new[1] = film_want(&s, 5);
	film_expect_picture(&s, new[0], 4, 2, 96, 80);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
	film_expect_flags(w, new[1], ERR);
	video_world_destroy(w);
}

/* Nothing of the queue is cleared or destroyed: it was not streaming. */
static void buffers_made_anew_are_for_the_new_size(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	film_expect_flags(w, film_feed(&s, FAKE_PICTURE, 96, 80, 1), 0);
	film_expect_picture(&s, film_want(&s, 0), 0, 0, FILM_WIDTH, FILM_HEIGHT);
	film_expect_event(w, CHANGED, 1);
	film_make_outputs(&s);
	film_expect_flags(w, film_feed(&s, FAKE_PICTURE, 96, 80, 2), 0);
	film_expect_picture(&s, film_want(&s, 0), 0, 1, 96, 80);
	video_world_destroy(w);
}

static void buffers_too_small_for_the_new_size_are_refused(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct virtio_video_resource_queue_resp resp;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	film_expect_flags(w, film_feed(&s, FAKE_PICTURE, 256, 256, 1), 0);
	film_expect_flags(w, film_want(&s, 0), 0);
	film_expect_event(w, CHANGED, 1);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	/* Drivers that only look at the flags must not take it for a picture. */
	resp = video_wait(w, film_want(&s, 0));
	assert_int_equal(resp.hdr.type, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER);
	assert_int_equal(resp.flags, video_flags(w, ERR));
	video_world_destroy(w);
}

static void a_drain_lasts_over_a_change_of_size(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *drain, *out;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	film_expect_flags(w, film_feed(&s, FAKE_PICTURE, 96, 80, 1), 0);
	drain = video_drain(w, 1);
	film_expect_picture(&s, film_want(&s, 0), 0, 0, FILM_WIDTH, FILM_HEIGHT);
	film_expect_event(w, CHANGED, 1);
	out = film_want(&s, 1);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	film_expect_flags(w, out, ERR);
	assert_false(drain->done);
	film_expect_picture(&s, film_want(&s, 2), 2, 1, 96, 80);
	film_expect_flags(w, film_want(&s, 3), EOS);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	video_world_destroy(w);
}

/* ---- events ---- */

static void events_wait_for_a_buffer(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct film a, b;
	struct fake_request *r, *small;

	(void)state;
	film_make(&a, w, 1);
	film_make(&b, w, 2);
	film_feed_and_wait(&a, 0);
	film_feed_and_wait(&b, 0);
	video_settle(w);
	/* The size of B changes again before anybody looked: one event says so. */
	film_expect_flags(w, film_feed(&b, FAKE_PICTURE, 32, 32, 1), 0);
	film_make_outputs(&b);
	film_expect_flags(w, film_want(&b, 0), 0);
	video_settle(w);
	film_expect_event(w, CHANGED, 2);
	film_expect_event(w, CHANGED, 1);
	r = video_post_event(w);
	video_settle(w);
	assert_false(r->done);
	/* A buffer without room loses its event, and nothing else. */
	film_expect_flags(w, film_feed(&a, FAKE_ERROR, 0, 0, 0), 0);
	assert_int_equal(video_wait_event(w, r).stream_id, 1);
	small = fake_guest_add(w->guest, 1, NULL, 0, 4);
	fake_guest_kick(w->guest, 1);
	film_expect_flags(w, film_feed(&b, FAKE_ERROR, 0, 0, 0), 0);
	assert_int_equal(fake_guest_wait(w->guest, small, 1000), 0);
	assert_int_equal(small->used_len, 0);
	fake_guest_free_request(w->guest, small);
	assert_int_equal(video_create_stream(w, 3, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	video_world_destroy(w);
}

static void a_stream_that_is_gone_sends_no_events(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *r;
	struct film s;

	(void)state;
	film_make(&s, w, 1);
	film_feed_and_wait(&s, 0);
	video_settle(w);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
	r = video_post_event(w);
	video_settle(w);
	assert_false(r->done);
	video_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drain_waits_for_queued_input),
		cmocka_unit_test(drain_with_nothing_queued_is_answered_at_once),
		cmocka_unit_test(nothing_is_taken_while_draining),
		cmocka_unit_test(clear_gives_everything_back_and_is_answered_last),
		cmocka_unit_test(a_seek_shows_nothing_of_before),
		cmocka_unit_test(clearing_the_output_loses_no_picture),
		cmocka_unit_test(clearing_the_output_cancels_a_drain),
		cmocka_unit_test(a_drain_that_did_not_reach_the_codec_is_cancelled_alone),
		cmocka_unit_test(dropping_resources_gives_the_queued_ones_back),
		cmocka_unit_test(a_resource_that_is_not_queued_can_be_made_anew),
		cmocka_unit_test(a_new_size_waits_for_new_buffers),
		cmocka_unit_test(buffers_made_anew_are_for_the_new_size),
		cmocka_unit_test(buffers_too_small_for_the_new_size_are_refused),
		cmocka_unit_test(a_drain_lasts_over_a_change_of_size),
		cmocka_unit_test(events_wait_for_a_buffer),
		cmocka_unit_test(a_stream_that_is_gone_sends_no_events),
	};

	return video_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
