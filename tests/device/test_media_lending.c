// SPDX-License-Identifier: MIT
/*
 * Buffers that a virtio-media decoder writes its pictures to, ahead of their turn: each comes back once, with a picture or
 * without, and only when it is written no more. Over the fake codec, which writes as soon as it can.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "tests/lib/media_player.h"

static void check_copies(struct media_world *w, unsigned lent, unsigned copied)
{
	struct video_stats stats;

	media_get_stats(w->device, &stats);
	assert_int_equal(stats.codec.imported, lent);
	assert_int_equal(stats.codec.copies, copied);
}

/* Nobody writes to them while they are the guest's. */
static void mark(struct player *p)
{
	for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
		memset(p->out[i], 0xa5, PLAYER_WIDTH * PLAYER_HEIGHT * 3 / 2);
}

static void check_marks(struct player *p)
{
	media_settle(p->w);
	for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++) {
		for (size_t n = 0; n < PLAYER_WIDTH * PLAYER_HEIGHT * 3 / 2; n++)
			assert_int_equal(p->out[i][n], 0xa5);
	}
}

static void pictures_come_in_lent_buffers(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	for (uint32_t n = 1; n < 20; n++) {
		player_feed(&p, n);
		player_want(&p, player_expect_picture(&p, n - 1));
	}
	player_expect_nothing(&p);
	check_copies(w, 19, 0);
	media_world_destroy(w);
}

/* For longer than a codec may do nothing. */
static void a_guest_may_keep_them(void **state)
{
	struct media_world *w = media_world_create(&(struct video_world_options){.timeout_ms = 60});
	struct player p;
	uint32_t had[PLAYER_OUTPUTS];

	(void)state;
	player_start(&p, w);
	for (uint32_t n = 1; n <= PLAYER_OUTPUTS; n++) {
		player_feed(&p, n);
		had[n - 1] = player_expect_picture(&p, n - 1);
	}
	player_queue(&p, PLAYER_OUTPUTS + 1);
	player_queue(&p, PLAYER_OUTPUTS + 2);
	player_expect_input(&p, 0);
	player_expect_input(&p, 0);
	for (unsigned i = 0; i < 20; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		media_settle(w);
	}
	player_expect_nothing(&p);
	for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
		player_want(&p, had[i]);
	player_expect_picture(&p, PLAYER_OUTPUTS);
	player_expect_picture(&p, PLAYER_OUTPUTS + 1);
	player_expect_nothing(&p);
	media_world_destroy(w);
}

/* STREAMOFF of CAPTURE. */
static void a_cleared_queue_has_all_of_them_back(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_feed(&p, 1);
	player_want(&p, player_expect_picture(&p, 0));
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, false), 0);
	mark(&p);
	player_feed(&p, 2);
	player_feed(&p, 3);
	check_marks(&p);
	player_expect_nothing(&p);
	/* QBUF refuses what is queued. */
	for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
		player_want(&p, i);
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, true), 0);
	/* What was in the codec is lost. */
	player_feed(&p, 4);
	player_want(&p, player_expect_picture(&p, 2));
	player_want(&p, player_expect_picture(&p, 3));
	player_expect_nothing(&p);
	media_world_destroy(w);
}

/* STREAMOFF of OUTPUT: the buffers of CAPTURE stay queued. */
static void a_seek_goes_on_with_them(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	for (uint32_t n = 1; n < 4; n++)
		player_feed(&p, n);
	for (uint32_t n = 0; n < 3; n++)
		player_want(&p, player_expect_picture(&p, n));
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	/* As many as there are. */
	for (uint32_t n = 10; n < 11 + PLAYER_OUTPUTS; n++)
		player_feed(&p, n);
	for (uint32_t n = 10; n < 10 + PLAYER_OUTPUTS; n++)
		player_expect_picture(&p, n);
	player_expect_nothing(&p);
	check_copies(w, 3 + PLAYER_OUTPUTS, 0);
	media_world_destroy(w);
}

static void a_drain_ends_with_one_that_is_empty(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_feed(&p, 1);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	player_want(&p, player_expect_picture(&p, 0));
	player_want(&p, player_expect_picture(&p, 1));
	player_expect_end(&p);
	player_expect_nothing(&p);
	assert_int_equal(media_command(w, p.id, false, PLAYER_START), 0);
	/* One of four is the guest's. */
	for (uint32_t n = 2; n < 6; n++)
		player_feed(&p, n);
	for (uint32_t n = 2; n < 5; n++)
		player_expect_picture(&p, n);
	player_expect_nothing(&p);
	media_world_destroy(w);
}

static void a_new_size_has_none_of_the_old_one(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_feed(&p, 1);
	player_want(&p, player_expect_picture(&p, 0));
	player_queue_unit(&p, FAKE_PICTURE, 96, 32, 2);
	player_queue_unit(&p, FAKE_PICTURE, 96, 32, 3);
	player_expect_new_size(&p, 1);
	player_expect_size(&p, 96, 32);
	player_expect_input(&p, 0);
	player_expect_input(&p, 0);
	mark(&p);
	check_marks(&p);
	player_expect_nothing(&p);
	player_stop_capture(&p);
	player_start_capture(&p);
	player_expect_picture_of(&p, 2, 96, 32, 0);
	player_expect_nothing(&p);
	media_world_destroy(w);
}

/* A driver may be late with them: what it had is lost, but not the end of the drain. */
static void a_drain_goes_on_behind_a_new_size(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;
	uint32_t i;

	(void)state;
	codec_fake_keeps = true;
	player_start(&p, w);
	player_feed(&p, 1);
	i = player_expect_picture(&p, 0);
	player_queue_unit(&p, FAKE_PICTURE, 96, 32, 2);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	media_settle(w);
	player_want(&p, i);
	player_expect_picture(&p, 1);
	player_expect_change(&p);
	player_expect_input(&p, 0);
	player_stop_capture(&p);
	player_start_capture(&p);
	player_expect_end(&p);
	player_expect_nothing(&p);
	assert_int_equal(media_command(w, p.id, false, PLAYER_START), 0);
	player_queue_unit(&p, FAKE_PICTURE, 96, 32, 3);
	player_queue_unit(&p, FAKE_PICTURE, 96, 32, 4);
	player_expect_picture_of(&p, 3, 96, 32, 0);
	codec_fake_keeps = false;
	media_world_destroy(w);
}

static void a_hanging_codec_gives_them_back(void **state)
{
	struct media_world *w = media_world_create(&(struct video_world_options){.timeout_ms = 60});
	struct player p;

	(void)state;
	player_start(&p, w);
	player_queue_unit(&p, FAKE_HANG, PLAYER_WIDTH, PLAYER_HEIGHT, 1);
	player_expect_input(&p, 0);
	media_settle(w);
	player_queue(&p, 2);
	player_expect_input(&p, V4L2_BUF_FLAG_ERROR);
	for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
		assert_int_equal(media_dequeue(w, p.id, MEDIA_CAPTURE).buffer.flags,
				 V4L2_BUF_FLAG_ERROR | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	player_expect_nothing(&p);
	/* The next one gets no more of them. */
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
		player_want(&p, i);
	player_feed(&p, 3);
	player_feed(&p, 4);
	player_expect_picture(&p, 3);
	check_copies(w, 0, 1);
	media_world_destroy(w);
}

static void who_closes_has_lent_nothing(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p, other;

	(void)state;
	player_start(&p, w);
	player_start(&other, w);
	player_feed(&p, 1);
	media_close(w, p.id);
	mark(&p);
	player_feed(&other, 1);
	player_expect_picture(&other, 0);
	check_marks(&p);
	media_world_destroy(w);
}

/* While the queues are stopped nobody writes to the guest's memory. */
static void a_pause_takes_them_from_the_codec(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct virtq *queue = w->device->queues[VIRTIO_MEDIA_QUEUE_COMMAND];
	struct virtq_setup setup = fake_guest_ring(w->guest, VIRTIO_MEDIA_QUEUE_COMMAND)->setup;
	struct player p;

	(void)state;
	player_start(&p, w);
	player_feed(&p, 1);
	player_want(&p, player_expect_picture(&p, 0));
	virtq_pause(queue, true);
	virtio_device_quiesce_queue(w->device, VIRTIO_MEDIA_QUEUE_COMMAND);
	setup.resume = true;
	setup.position = virtq_position(queue);
	virtio_device_stop_queue(w->device, VIRTIO_MEDIA_QUEUE_COMMAND);
	mark(&p);
	check_marks(&p);
	assert_int_equal(virtio_device_start_queue(w->device, VIRTIO_MEDIA_QUEUE_COMMAND, &setup), 0);
	/* The next kick is the end of it; what was in the codec is lost. */
	player_feed(&p, 2);
	player_feed(&p, 3);
	player_expect_picture(&p, 2);
	player_expect_nothing(&p);
	media_world_destroy(w);
}

static int lends(void **state)
{
	(void)state;
	codec_fake_lends = true;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_come_in_lent_buffers),
		cmocka_unit_test(a_guest_may_keep_them),
		cmocka_unit_test(a_cleared_queue_has_all_of_them_back),
		cmocka_unit_test(a_seek_goes_on_with_them),
		cmocka_unit_test(a_drain_ends_with_one_that_is_empty),
		cmocka_unit_test(a_new_size_has_none_of_the_old_one),
		cmocka_unit_test(a_drain_goes_on_behind_a_new_size),
		cmocka_unit_test(a_hanging_codec_gives_them_back),
		cmocka_unit_test(who_closes_has_lent_nothing),
		cmocka_unit_test(a_pause_takes_them_from_the_codec),
	};

	return cmocka_run_group_tests(tests, lends, NULL);
}
