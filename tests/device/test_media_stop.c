// SPDX-License-Identifier: MIT
/*
 * Virtio-media's rings stop without a reset, as a frontend stops them for a pause, a snapshot or a migration: nothing is with the
 * device then, and the guest's memory is left alone until they run again. Over the fake codec.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/virtio/inflight.h"
#include "tests/lib/media_player.h"

/* As vhost-user has it; returns where the ring stands. */
static uint32_t stop_ring(struct media_world *w, unsigned q)
{
	uint32_t at;

	virtq_pause(w->device->queues[q], true);
	virtio_device_quiesce_queue(w->device, q);
	assert_int_equal(virtq_in_flight(w->device->queues[q]), 0);
	at = virtq_position(w->device->queues[q]);
	virtio_device_stop_queue(w->device, q);
	return at;
}

static void start_ring(struct media_world *w, unsigned q, uint32_t at)
{
	struct virtq_setup setup = fake_guest_ring(w->guest, q)->setup;

	setup.resume = true;
	setup.position = at;
	assert_int_equal(virtio_device_start_queue(w->device, q, &setup), 0);
}

/* It is one that the process before this one had taken, and for which there was nothing yet. */
static void an_event_buffer_is_not_kept_over_a_stop(void **state)
{
	static struct inflight_ring ring, left;
	struct media_world *w = media_world_create(NULL);
	struct virtq *q = w->device->queues[VIRTIO_MEDIA_QUEUE_EVENT];
	struct chain *c;
	struct player p;
	uint32_t at;

	(void)state;
	fake_guest_reset(w->guest);
	assert_int_equal(virtq_track(q, &ring), 0);
	media_world_restart(w);
	at = virtq_position(q);
	assert_int_equal(virtq_pop(q, &c), 1);
	left = ring;
	virtio_device_stop_queue(w->device, VIRTIO_MEDIA_QUEUE_EVENT);
	chain_finish(c);
	ring = left;
	start_ring(w, VIRTIO_MEDIA_QUEUE_EVENT, at);
	assert_int_equal(virtq_in_flight(q), 1);
	at = stop_ring(w, VIRTIO_MEDIA_QUEUE_EVENT);
	media_settle(w);
	start_ring(w, VIRTIO_MEDIA_QUEUE_EVENT, at);
	media_settle(w);
	assert_int_equal(w->empty_events, 1);
	/* Every event comes. */
	player_start(&p, w);
	player_feed(&p, 1);
	player_expect_picture(&p, 0);
	media_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_buffer_is_not_kept_over_a_stop),
	};

	return cmocka_run_group_tests_name("media stop", tests, NULL, NULL);
}
