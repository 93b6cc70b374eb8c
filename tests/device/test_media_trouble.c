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

/* Each buffer of @type comes back, once. Returns how many did without the flag for an error. */
static unsigned expect_all_back(struct player *p, uint32_t type, unsigned count)
{
	unsigned seen = 0, good = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct virtio_media_event_dqbuf e = media_dequeue(p->w, p->id, type);

		assert_false(seen >> e.buffer.index & 1);
		seen |= 1u << e.buffer.index;
		good += !(e.buffer.flags & V4L2_BUF_FLAG_ERROR);
	}
	return good;
}

static bool is_broken;

static int create_broken(const struct codec_config *config, struct codec **out)
{
	return is_broken ? -EAGAIN : codec_fake_ops.create(config, out);
}

/* With all that was queued before: the codec can't be made, or fails with what it is given first. */
static void a_codec_that_fails_at_streamon_returns_each_buffer_once(void **state)
{
	struct codec_ops broken = codec_fake_ops;

	(void)state;
	broken.create = create_broken;
	for (unsigned round = 0; round < 4; round++) {
		const bool capture_last = round & 1, can_be_made = round & 2;
		struct media_world *w = media_world_create(&(struct video_world_options){.codec = &broken});
		struct player p;
		unsigned good, late;

		player_open(&p, w);
		assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
		player_make_buffers(&p, MEDIA_CAPTURE, PLAYER_OUTPUTS, p.out, p.out_at);
		for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
			player_want(&p, i);
		is_broken = !can_be_made;
		player_queue_unit(&p, FAKE_ERROR, PLAYER_WIDTH, PLAYER_HEIGHT, 1);
		player_queue(&p, 2);
		player_queue(&p, 3);
		assert_int_equal(media_stream(w, p.id, capture_last ? MEDIA_OUTPUT : MEDIA_CAPTURE, true), 0);
		assert_int_equal(media_stream(w, p.id, capture_last ? MEDIA_CAPTURE : MEDIA_OUTPUT, true), 0);
		good = expect_all_back(&p, MEDIA_OUTPUT, 3);
		assert_true(can_be_made ? good >= 1 : good == 0);
		if (!capture_last)
			assert_int_equal(expect_all_back(&p, MEDIA_CAPTURE, PLAYER_OUTPUTS), 0);
		media_settle(w);
		/* Those that it had not got when it failed wait in their queue. */
		late = media_events_left(w, p.id);
		assert_true(late == 0 || (capture_last && late == PLAYER_OUTPUTS));
		assert_int_equal(expect_all_back(&p, MEDIA_CAPTURE, late), 0);
		assert_int_equal(media_queue_buffer(w, p.id, MEDIA_OUTPUT, 0, 20, 0), -EIO);
		assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, false), 0);
		assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
		player_expect_nothing(&p);
		is_broken = false;
		for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
			player_want(&p, i);
		assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, true), 0);
		assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
		player_feed(&p, 5);
		player_feed(&p, 6);
		player_expect_picture(&p, 5);
		assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
		media_world_destroy(w);
	}
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
		cmocka_unit_test(a_codec_that_fails_at_streamon_returns_each_buffer_once),
		cmocka_unit_test(closing_forgets_all_that_waits),
		cmocka_unit_test(events_wait_for_buffers),
		cmocka_unit_test(a_reset_forgets_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
