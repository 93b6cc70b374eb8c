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

/* A codec that says what it has done when the test lets it. */
static bool is_at_work;
static struct codec_config made_with;

static void changed(void *owner)
{
	if (!is_at_work)
		made_with.changed(owner);
}

static int create(const struct codec_config *config, struct codec **out)
{
	struct codec_config c = *config;

	made_with = *config;
	c.changed = changed;
	return codec_fake_ops.create(&c, out);
}

static void end_work(void)
{
	is_at_work = false;
	made_with.changed(made_with.owner);
}

static void a_stop_leaves_guest_pages_alone(void **state)
{
	enum { BYTES = PLAYER_WIDTH * PLAYER_HEIGHT * 3 / 2 };
	static const uint8_t nothing[BYTES];
	struct codec_ops slow = codec_fake_ops;
	struct media_world *w;
	struct v4l2_buffer b = {.type = MEDIA_CAPTURE, .memory = V4L2_MEMORY_USERPTR, .length = 1};
	struct v4l2_plane plane = {.length = BYTES, .m.userptr = 0x7f0012345000};
	struct virtio_media_sg_entry entry = {.len = BYTES};
	struct virtio_media_event_dqbuf e;
	uint32_t count = 1, at[2];
	uint8_t *pages;
	struct player p;

	(void)state;
	slow.create = create;
	w = media_world_create(&(struct video_world_options){.codec = &slow, .timeout_ms = 50});
	entry.start = fake_guest_alloc(w->guest, BYTES, 4096);
	pages = fake_guest_ptr(w->guest, entry.start, BYTES);
	player_open(&p, w);
	player_feed(&p, 0);
	player_expect_change(&p);
	assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_USERPTR, &count), 0);
	is_at_work = true;
	assert_int_equal(media_call_long(w, p.id, VIDIOC_QBUF, &b, &plane, sizeof(plane), &entry, sizeof(entry)), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, true), 0);
	player_queue(&p, 1);
	media_settle(w);
	at[VIRTIO_MEDIA_QUEUE_COMMAND] = stop_ring(w, VIRTIO_MEDIA_QUEUE_COMMAND);
	at[VIRTIO_MEDIA_QUEUE_EVENT] = stop_ring(w, VIRTIO_MEDIA_QUEUE_EVENT);
	end_work();
	/* Nor is the codec given up for what it is not asked. */
	fake_guest_run_until(w->guest, NULL, NULL, 150);
	assert_memory_equal(pages, nothing, BYTES);
	start_ring(w, VIRTIO_MEDIA_QUEUE_EVENT, at[VIRTIO_MEDIA_QUEUE_EVENT]);
	media_settle(w);
	assert_memory_equal(pages, nothing, BYTES);
	start_ring(w, VIRTIO_MEDIA_QUEUE_COMMAND, at[VIRTIO_MEDIA_QUEUE_COMMAND]);
	e = media_dequeue(w, p.id, MEDIA_CAPTURE);
	assert_int_equal(e.buffer.flags, V4L2_BUF_FLAG_TIMESTAMP_COPY);
	player_check_nv12(pages, 0, PLAYER_WIDTH, PLAYER_HEIGHT);
	media_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_buffer_is_not_kept_over_a_stop),
		cmocka_unit_test(a_stop_leaves_guest_pages_alone),
	};

	return cmocka_run_group_tests_name("media stop", tests, NULL, NULL);
}
