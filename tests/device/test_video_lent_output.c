// SPDX-License-Identifier: MIT
/*
 * Buffers of virtio-video that a decoder writes its pictures to, ahead of their turn: each is answered once, and only when it
 * is written no more. Over the fake codec, which writes as soon as it can; in both dialects. (More of it is in
 * test_media_lending.c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/lib/film.h"

#define ERR VIRTIO_VIDEO_BUFFER_FLAG_ERR
#define EOS VIRTIO_VIDEO_BUFFER_FLAG_EOS

enum { OUTPUTS = 4 };

/* Stream 1 with OUTPUTS buffers in the codec, where picture 0 is. */
static struct video_world *start(struct film *s, struct fake_request *out[OUTPUTS])
{
	struct video_world *w;

	codec_fake_lends = true;
	w = video_world_create(NULL);
	film_start(s, w, 1);
	for (uint32_t i = 0; i < OUTPUTS; i++)
		out[i] = film_want(s, i);
	return w;
}

static void end(struct video_world *w)
{
	video_world_destroy(w);
	codec_fake_lends = false;
}

static void mark(struct film *s, uint32_t i)
{
	memset(fake_guest_ptr(s->w->guest, s->out[i], FILM_OUTPUT_BYTES), 0xa5, FILM_OUTPUT_BYTES);
}

static void check_mark(struct film *s, uint32_t i)
{
	const uint8_t *at = fake_guest_ptr(s->w->guest, s->out[i], FILM_OUTPUT_BYTES);

	for (size_t n = 0; n < FILM_OUTPUT_BYTES; n++)
		assert_int_equal(at[n], 0xa5);
}

static void pictures_come_in_lent_buffers(void **state)
{
	struct fake_request *out[OUTPUTS];
	struct video_stats stats;
	struct video_world *w;
	struct film s;

	(void)state;
	w = start(&s, out);
	for (uint32_t i = 0; i < 3 * OUTPUTS; i++) {
		film_feed_and_wait(&s, i + 1);
		film_expect_picture(&s, out[i % OUTPUTS], i % OUTPUTS, i, FILM_WIDTH, FILM_HEIGHT);
		out[i % OUTPUTS] = film_want(&s, i % OUTPUTS);
	}
	video_get_stats(w->device, &stats);
	assert_int_equal(stats.codec.imported, 3 * OUTPUTS);
	assert_int_equal(stats.codec.copies, 0);
	end(w);
}

static void a_clear_takes_them_from_the_codec(void **state)
{
	struct fake_request *out[OUTPUTS];
	struct video_world *w;
	struct film s;

	(void)state;
	w = start(&s, out);
	film_feed_and_wait(&s, 1);
	film_expect_picture(&s, out[0], 0, 0, FILM_WIDTH, FILM_HEIGHT);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	for (uint32_t i = 1; i < OUTPUTS; i++)
		film_expect_flags(w, out[i], ERR);
	for (uint32_t i = 0; i < OUTPUTS; i++)
		mark(&s, i);
	film_feed_and_wait(&s, 2);
	film_feed_and_wait(&s, 3);
	video_settle(w);
	for (uint32_t i = 0; i < OUTPUTS; i++)
		check_mark(&s, i);
	/* What was in the codec is lost. */
	out[3] = film_want(&s, 3);
	film_expect_picture(&s, out[3], 3, 2, FILM_WIDTH, FILM_HEIGHT);
	end(w);
}

static void the_end_of_a_stream_answers_them(void **state)
{
	struct fake_request *out[OUTPUTS];
	struct video_world *w;
	struct film s;

	(void)state;
	w = start(&s, out);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
	for (uint32_t i = 0; i < OUTPUTS; i++)
		film_expect_flags(w, out[i], ERR);
	end(w);
}

static void destroying_the_buffers_takes_them_from_the_codec(void **state)
{
	struct fake_request *out[OUTPUTS];
	struct video_world *w;
	struct film s;

	(void)state;
	w = start(&s, out);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_OUT), VIDEO_OK);
	for (uint32_t i = 0; i < OUTPUTS; i++) {
		film_expect_flags(w, out[i], ERR);
		mark(&s, i);
	}
	film_feed_and_wait(&s, 1);
	film_feed_and_wait(&s, 2);
	video_settle(w);
	for (uint32_t i = 0; i < OUTPUTS; i++)
		check_mark(&s, i);
	end(w);
}

static void a_drain_ends_with_one_that_is_empty(void **state)
{
	struct fake_request *out[OUTPUTS], *drain;
	struct video_world *w;
	struct film s;

	(void)state;
	w = start(&s, out);
	film_feed_and_wait(&s, 1);
	drain = video_drain(w, 1);
	film_expect_picture(&s, out[0], 0, 0, FILM_WIDTH, FILM_HEIGHT);
	film_expect_picture(&s, out[1], 1, 1, FILM_WIDTH, FILM_HEIGHT);
	film_expect_flags(w, out[2], EOS);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	assert_false(out[3]->done);
	film_feed_and_wait(&s, 2);
	film_feed_and_wait(&s, 3);
	film_expect_picture(&s, out[3], 3, 2, FILM_WIDTH, FILM_HEIGHT);
	end(w);
}

/* Nobody can have them in one piece. */
static void odd_pieces_get_copies(void **state)
{
	struct video_world *w;
	struct fake_request *out;
	struct video_stats stats;
	struct film s;

	(void)state;
	codec_fake_lends = true;
	w = video_world_create(NULL);
	film_start(&s, w, 1);
	{
		const struct virtio_video_mem_entry pieces[2] = {
			{.addr = fake_guest_alloc(w->guest, 5000, 8), .length = 5000},
			{.addr = fake_guest_alloc(w->guest, FILM_OUTPUT_BYTES, 8), .length = FILM_OUTPUT_BYTES - 5000}};

		assert_int_equal(video_create_scattered(w, 1, VIDEO_OUT, 0, pieces, 2), VIDEO_OK);
	}
	out = film_want(&s, 0);
	film_feed_and_wait(&s, 1);
	film_expect_flags(w, out, 0);
	video_get_stats(w->device, &stats);
	assert_int_equal(stats.codec.imported, 0);
	assert_int_equal(stats.codec.copies, 1);
	end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_come_in_lent_buffers),
		cmocka_unit_test(a_clear_takes_them_from_the_codec),
		cmocka_unit_test(the_end_of_a_stream_answers_them),
		cmocka_unit_test(destroying_the_buffers_takes_them_from_the_codec),
		cmocka_unit_test(a_drain_ends_with_one_that_is_empty),
		cmocka_unit_test(odd_pieces_get_copies),
	};

	return video_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
