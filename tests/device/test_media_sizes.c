// SPDX-License-Identifier: MIT
/* Changes of size in a virtio-media decoder, and which buffers go on after them. Over the fake codec. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "tests/lib/media_player.h"

static void a_new_size_ends_the_old_one_with_the_last_flag(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_queue_unit(&p, FAKE_PICTURE, 95, 33, 1);
	player_queue_unit(&p, FAKE_PICTURE, 95, 33, 2);
	player_expect_new_size(&p, 0);
	player_expect_size(&p, 95, 33);
	player_expect_input(&p, 0);
	player_expect_input(&p, 0);
	player_expect_nothing(&p);
	player_stop_capture(&p);
	player_start_capture(&p);
	{
		const struct virtio_media_event_dqbuf e = media_dequeue(w, p.id, MEDIA_CAPTURE);

		assert_int_equal(e.planes[0].bytesused, 96 * 34 * 3 / 2);
		assert_int_equal(e.buffer.timestamp.tv_usec, 1);
		assert_int_equal(p.out[e.buffer.index][94 + 32 * 96], fake_sample(1, 0, 94, 32));
	}
	player_expect_nothing(&p);
	media_world_destroy(w);
}

static void a_drain_goes_on_behind_a_new_size(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_queue_unit(&p, FAKE_PICTURE, 32, 32, 1);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	player_expect_new_size(&p, 0);
	player_stop_capture(&p);
	player_start_capture(&p);
	player_expect_picture_of(&p, 1, 32, 32, 0);
	player_expect_end(&p);
	media_world_destroy(w);
}

/* Buffers of the old size go back with their queue; a mark in one of them would be lost there. */
static void a_drain_without_pictures_of_the_new_size_ends_behind_it(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_queue_unit(&p, FAKE_PICTURE, 32, 32, 1);
	/* With it goes the only picture of that size. */
	player_queue_unit(&p, FAKE_BROKEN, 32, 32, 2);
	player_expect_new_size(&p, 0);
	player_expect_input(&p, 0);
	player_expect_input(&p, 0);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	player_expect_nothing(&p);
	player_stop_capture(&p);
	player_start_capture(&p);
	player_expect_end(&p);
	media_world_destroy(w);
}

/* A size that was told, a codec that is gone, and nothing in the stream. */
static void open_without_codec(struct player *p, struct media_world *w)
{
	player_start(p, w);
	player_queue_unit(p, FAKE_PICTURE, 32, 32, 1);
	player_queue_unit(p, FAKE_BROKEN, 32, 32, 2);
	player_expect_picture(p, 0);
	player_expect_last(p);
	player_expect_change(p);
	player_expect_input(p, 0);
	player_expect_input(p, 0);
	/* An access unit may go on in the next buffer: the codec has the last one when none came. */
	fake_guest_run_until(w->guest, NULL, NULL, 150);
}

static void expect_end_before_next_input(struct player *p)
{
	player_expect_nothing(p);
	player_start_capture(p);
	player_expect_end(p);
	player_expect_nothing(p);
	assert_int_equal(media_command(p->w, p->id, false, PLAYER_START), 0);
	player_expect_input(p, 0);
	player_queue_unit(p, FAKE_PICTURE, 32, 32, 4);
	player_expect_input(p, 0);
	player_expect_picture_of(p, 3, 32, 32, 0);
}

static void what_is_sent_behind_a_stop_does_not_undo_it(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	open_without_codec(&p, w);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	/* Before CAPTURE is off, or when it is. */
	player_queue_unit(&p, FAKE_PICTURE, 32, 32, 3);
	player_stop_capture(&p);
	expect_end_before_next_input(&p);
	media_world_destroy(w);

	w = media_world_create(NULL);
	open_without_codec(&p, w);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	player_stop_capture(&p);
	player_queue_unit(&p, FAKE_PICTURE, 32, 32, 3);
	expect_end_before_next_input(&p);
	media_world_destroy(w);

	/* CAPTURE is on before it has buffers that are queued. */
	w = media_world_create(NULL);
	open_without_codec(&p, w);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, false), 0);
	player_queue_unit(&p, FAKE_PICTURE, 32, 32, 3);
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, true), 0);
	player_expect_nothing(&p);
	assert_int_equal(media_command(w, p.id, false, PLAYER_START), -EBUSY);
	player_want(&p, 0);
	player_expect_end(&p);
	assert_int_equal(media_command(w, p.id, false, PLAYER_START), 0);
	player_expect_input(&p, 0);
	media_world_destroy(w);
}

static void start_leaves_a_drain_behind_a_new_size(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_queue_unit(&p, FAKE_PICTURE, 32, 32, 1);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	player_expect_new_size(&p, 0);
	player_expect_input(&p, 0);
	/* Sent behind the STOP: it waits for the START that ends it. */
	player_queue_unit(&p, FAKE_PICTURE, 32, 32, 2);
	assert_int_equal(media_command(w, p.id, false, PLAYER_START), 0);
	player_expect_picture_of(&p, 1, 32, 32, 0);
	player_expect_end(&p);
	player_expect_nothing(&p);
	assert_int_equal(media_command(w, p.id, false, PLAYER_START), 0);
	player_expect_input(&p, 0);
	media_world_destroy(w);
}

static void start_goes_on_with_buffers_that_are_large_enough(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_queue_unit(&p, FAKE_PICTURE, 32, 32, 1);
	player_queue_unit(&p, FAKE_PICTURE, 32, 32, 2);
	player_expect_new_size(&p, 0);
	assert_int_equal(media_command(w, p.id, false, PLAYER_START), 0);
	{
		const struct virtio_media_event_dqbuf e = media_dequeue(w, p.id, MEDIA_CAPTURE);

		assert_int_equal(e.buffer.timestamp.tv_usec, 1);
		assert_int_equal(e.planes[0].bytesused, 32 * 32 * 3 / 2);
		player_check_nv12(p.out[e.buffer.index], 1, 32, 32);
	}
	media_world_destroy(w);
}

static void start_returns_buffers_that_are_too_small(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_queue_unit(&p, FAKE_PICTURE, 128, 128, 1);
	player_queue_unit(&p, FAKE_PICTURE, 128, 128, 2);
	player_expect_new_size(&p, 0);
	assert_int_equal(media_command(w, p.id, false, PLAYER_START), 0);
	for (uint32_t i = 0; i < PLAYER_OUTPUTS - 2; i++) {
		const struct virtio_media_event_dqbuf e = media_dequeue(w, p.id, MEDIA_CAPTURE);

		assert_int_equal(e.buffer.flags, V4L2_BUF_FLAG_ERROR | V4L2_BUF_FLAG_TIMESTAMP_COPY);
		/* Clients copy so many bytes out of their mapping. */
		assert_true(e.planes[0].bytesused <= e.planes[0].length);
	}
	/* And so does QBUF, when the queue is on. */
	player_want(&p, 0);
	assert_int_equal(media_dequeue(w, p.id, MEDIA_CAPTURE).buffer.flags,
			 V4L2_BUF_FLAG_ERROR | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	player_stop_capture(&p);
	player_start_capture(&p);
	player_expect_picture_of(&p, 1, 128, 128, 0);
	media_world_destroy(w);
}

static void the_size_that_was_set_is_no_change(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_open(&p, w);
	player_start_capture(&p);
	player_feed(&p, 0);
	player_feed(&p, 1);
	player_expect_change(&p);
	player_expect_picture(&p, 0);
	player_expect_nothing(&p);
	media_world_destroy(w);
}

static void a_first_size_that_was_not_set_is_a_change(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_open(&p, w);
	player_start_capture(&p);
	player_queue_unit(&p, FAKE_PICTURE, 96, 96, 0);
	player_queue_unit(&p, FAKE_PICTURE, 96, 96, 1);
	player_expect_change(&p);
	player_expect_last(&p);
	player_stop_capture(&p);
	player_start_capture(&p);
	player_expect_picture_of(&p, 0, 96, 96, 0);
	media_world_destroy(w);
}

static void buffers_of_a_size_that_went_are_returned(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_open(&p, w);
	player_start_capture(&p);
	/* OUTPUT's format sets the size of CAPTURE, whose buffers are made already. */
	{
		uint32_t none = 0;

		assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
		assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &none), 0);
		player_set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, 256, 256);
		player_make_buffers(&p, MEDIA_OUTPUT, PLAYER_INPUTS, p.in, p.in_at);
		assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	}
	player_queue_unit(&p, FAKE_PICTURE, 256, 256, 0);
	player_queue_unit(&p, FAKE_PICTURE, 256, 256, 1);
	player_expect_change(&p);
	player_expect_last(&p);
	media_world_destroy(w);
}

static void a_size_that_was_set_anew_is_announced_to_old_buffers(void **state)
{
	struct media_world *w = media_world_create(NULL);
	uint32_t none = 0;
	struct player p;

	(void)state;
	player_start(&p, w);
	player_feed(&p, 1);
	player_expect_picture(&p, 0);
	/* CAPTURE stays on, with buffers of the first size in the stream. */
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &none), 0);
	player_set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, 256, 256);
	player_make_buffers(&p, MEDIA_OUTPUT, PLAYER_INPUTS, p.in, p.in_at);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	p.next_in = 0;
	player_queue_unit(&p, FAKE_PICTURE, 256, 256, 2);
	player_queue_unit(&p, FAKE_PICTURE, 256, 256, 3);
	player_expect_change(&p);
	player_expect_last(&p);
	player_stop_capture(&p);
	player_start_capture(&p);
	player_expect_picture_of(&p, 2, 256, 256, 0);
	media_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_size_ends_the_old_one_with_the_last_flag),
		cmocka_unit_test(a_drain_goes_on_behind_a_new_size),
		cmocka_unit_test(a_drain_without_pictures_of_the_new_size_ends_behind_it),
		cmocka_unit_test(what_is_sent_behind_a_stop_does_not_undo_it),
		cmocka_unit_test(start_leaves_a_drain_behind_a_new_size),
		cmocka_unit_test(start_goes_on_with_buffers_that_are_large_enough),
		cmocka_unit_test(start_returns_buffers_that_are_too_small),
		cmocka_unit_test(the_size_that_was_set_is_no_change),
		cmocka_unit_test(a_first_size_that_was_not_set_is_a_change),
		cmocka_unit_test(buffers_of_a_size_that_went_are_returned),
		cmocka_unit_test(a_size_that_was_set_anew_is_announced_to_old_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
