// SPDX-License-Identifier: MIT
/* Virtio-media sessions whose codec fails or hangs, that are closed or reset, and events without buffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "tests/lib/media_player.h"

static void a_failed_codec_returns_everything_until_output_restarts(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_queue_unit(&p, FAKE_ERROR, PLAYER_WIDTH, PLAYER_HEIGHT, 1);
	player_expect_input(&p, 0);
	for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
		assert_int_equal(media_dequeue(w, p.id, MEDIA_CAPTURE).buffer.flags,
				 V4L2_BUF_FLAG_ERROR | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(media_queue_buffer(w, p.id, MEDIA_OUTPUT, 0, 20, 0), -EIO);
	assert_int_equal(media_queue_buffer(w, p.id, MEDIA_CAPTURE, 0, 0, 0), -EIO);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), -EIO);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	player_want(&p, 0);
	player_feed(&p, 5);
	player_feed(&p, 6);
	player_expect_picture(&p, 5);
	media_world_destroy(w);
}

static void a_hanging_codec_is_given_up_in_time(void **state)
{
	struct media_world *w = media_world_create(&(struct video_world_options){.timeout_ms = 60});
	struct player p;

	(void)state;
	player_start(&p, w);
	player_queue_unit(&p, FAKE_HANG, PLAYER_WIDTH, PLAYER_HEIGHT, 1);
	player_expect_input(&p, 0);
	media_settle(w);
	player_queue(&p, 2);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	/* Held back by the drain. */
	player_queue(&p, 3);
	player_expect_input(&p, V4L2_BUF_FLAG_ERROR);
	player_expect_input(&p, V4L2_BUF_FLAG_ERROR);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), -EIO);
	media_world_destroy(w);
}

static void closing_forgets_all_that_waits(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p, other;
	uint32_t id;

	(void)state;
	player_start(&p, w);
	player_start(&other, w);
	id = p.id;
	player_queue(&p, 1);
	player_queue_unit(&p, FAKE_HANG, PLAYER_WIDTH, PLAYER_HEIGHT, 2);
	media_close(w, id);
	assert_int_equal(media_queue_buffer(w, id, MEDIA_OUTPUT, 0, 20, 0), -EINVAL);
	player_feed(&other, 1);
	player_expect_picture(&other, 0);
	media_world_destroy(w);
}

static void events_wait_for_buffers(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p[8];

	(void)state;
	/* More events at once than the driver has buffers for. */
	for (unsigned i = 0; i < 8; i++)
		player_start(&p[i], w);
	for (unsigned i = 0; i < 8; i++) {
		for (uint32_t n = 1; n < 4; n++)
			player_queue(&p[i], n);
	}
	for (unsigned i = 0; i < 8; i++) {
		for (uint32_t n = 1; n < 4; n++) {
			player_expect_input(&p[i], 0);
			player_expect_picture(&p[i], n - 1);
		}
		player_expect_nothing(&p[i]);
	}
	media_world_destroy(w);
}

static void a_reset_forgets_everything(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		player_start(&p, w);
		player_queue(&p, 1);
		media_world_restart(w);
		assert_int_equal(media_queue_buffer(w, p.id, MEDIA_OUTPUT, 0, 20, 0), -EINVAL);
		assert_int_equal(media_unmap(w, p.in_at[0]), -EINVAL);
	}
	player_start(&p, w);
	player_feed(&p, 1);
	player_expect_picture(&p, 0);
	media_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failed_codec_returns_everything_until_output_restarts),
		cmocka_unit_test(a_hanging_codec_is_given_up_in_time),
		cmocka_unit_test(closing_forgets_all_that_waits),
		cmocka_unit_test(events_wait_for_buffers),
		cmocka_unit_test(a_reset_forgets_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
