// SPDX-License-Identifier: MIT
/*
 * A decoder behind a vhost-user frontend that stops its rings (GET_VRING_BASE) while buffers are queued, and starts them
 * again where they stood or anew. The codec is the fake one, which gives out nothing, or takes nothing, when the test says
 * so, and then goes on at any moment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/video/codec.h"
#include "host/virtio/mem.h"
#include "protocol/virtio.h"
#include "tests/lib/film.h"
#include "tests/lib/vhost_peer.h"

#define ERR VIRTIO_VIDEO_BUFFER_FLAG_ERR
#define CANCELLED VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION
#define FORMAT_EVENT VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED

/* ---- a codec that waits for the test ---- */

struct slow_codec {
	struct codec base;
	struct codec *fake;
	struct codec_config config;
};

static struct slow_codec *slow; /* the one there is */
static unsigned slow_made;
static bool withholds, is_full;

static struct codec *fake_of(struct codec *c)
{
	return ((struct slow_codec *)c)->fake;
}

static void slow_destroy(struct codec *c)
{
	codec_fake_ops.destroy(fake_of(c));
	slow = NULL;
	free(c);
}

static bool slow_has_room(struct codec *c)
{
	return !is_full && codec_fake_ops.has_room(fake_of(c));
}

static int slow_decode(struct codec *c, uint8_t *data, size_t bytes, uint64_t timestamp)
{
	return codec_fake_ops.decode(fake_of(c), data, bytes, timestamp);
}

static void slow_drain(struct codec *c)
{
	codec_fake_ops.drain(fake_of(c));
}

static void slow_output(struct codec *c, struct codec_output *out)
{
	*out = (struct codec_output){.kind = CODEC_NOTHING};
	if (!withholds)
		codec_fake_ops.output(fake_of(c), out);
}

static int slow_take(struct codec *c, const struct video_buffer *buffer, const struct video_layout *layout,
		     size_t *bytes)
{
	return codec_fake_ops.take(fake_of(c), buffer, layout, bytes);
}

static void slow_stats(const struct codec *c, struct codec_stats *out)
{
	codec_fake_ops.stats(((const struct slow_codec *)c)->fake, out);
}

static bool slow_can(const struct video_coded_format *coded, bool encoder, const char *element)
{
	return codec_fake_ops.can(coded, encoder, element);
}

static void slow_abilities(const struct video_coded_format *coded, bool encoder, const char *element,
			   struct codec_abilities *out)
{
	codec_fake_ops.abilities(coded, encoder, element, out);
}

static int slow_create(const struct codec_config *config, struct codec **out);

static const struct codec_ops slow_ops = {
	.name = "slow",
	.can = slow_can,
	.abilities = slow_abilities,
	.create = slow_create,
	.destroy = slow_destroy,
	.has_room = slow_has_room,
	.decode = slow_decode,
	.drain = slow_drain,
	.output = slow_output,
	.take = slow_take,
	.stats = slow_stats,
};

static int slow_create(const struct codec_config *config, struct codec **out)
{
	struct slow_codec *s = calloc(1, sizeof(*s));
	int err = s ? codec_fake_ops.create(config, &s->fake) : -ENOMEM;

	if (err) {
		free(s);
		return err;
	}
	assert_null(slow);
	s->base.ops = &slow_ops;
	s->config = *config;
	slow = s;
	slow_made++;
	*out = &s->base;
	return 0;
}

/* It has something to say. */
static void let_codec_speak(void)
{
	withholds = is_full = false;
	if (slow)
		slow->config.changed(slow->config.owner);
}

/* ---- the frontend ---- */

static int create_decoder(void *arg, struct loop *loop, const struct guest_mem *mem, struct virtio_device **out)
{
	struct video_config config;

	(void)arg;
	video_config_init(&config);
	config.codec = &slow_ops;
	config.dialect = &video_dialect_chromeos;
	/* A busy machine may be slower than the codec may be. */
	config.timeout_ms = 60000;
	return video_create(&config, loop, mem, out);
}

/* The decoder, and stream 1 with picture 0 in its codec. */
static struct vhost_peer *begin(bool packed, struct video_world *w, struct film *f)
{
	const struct fake_guest_options o = {
		.packed = packed, .event_idx = true, .indirect = true, .queue_size = 64, .memory_bytes = 4 << 20};
	struct vhost_peer *p;

	withholds = is_full = false;
	slow_made = 0;
	p = vhost_peer_create_serving(&o, create_decoder, NULL);
	*w = (struct video_world){.guest = p->guest, .device = &p->device};
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	film_start(f, w, 1);
	return p;
}

static void stop(struct vhost_peer *p)
{
	for (unsigned q = 0; q < p->device.queue_count; q++) {
		virtio_device_stop_queue(&p->device, q);
		assert_false(virtq_is_started(p->served->queues[q]));
		/* The position is behind everything, and nothing is the device's any more. */
		assert_int_equal(virtq_outstanding(p->served->queues[q]), 0);
	}
	/* The interrupts are on their way. */
	vhost_peer_settle(p);
	for (unsigned q = 0; q < p->device.queue_count; q++)
		fake_guest_poll(p->guest, q);
}

static void go_on(struct vhost_peer *p)
{
	p->resume = true;
	for (unsigned q = 0; q < p->device.queue_count; q++)
		assert_int_equal(virtio_device_start_queue(&p->device, q, &fake_guest_ring(p->guest, q)->setup), 0);
}

/* All of the guest's memory, rings and answers too. Free the result. */
static uint8_t *copy_memory(struct vhost_peer *p, size_t *bytes)
{
	const struct guest_mem_region *r;
	uint8_t *copy = NULL;
	uint64_t gpa = 0;

	*bytes = 0;
	while ((r = guest_mem_next(fake_guest_mem(p->guest), gpa)) != NULL) {
		copy = realloc(copy, *bytes + r->size_bytes);
		assert_non_null(copy);
		memcpy(copy + *bytes, r->host, r->size_bytes);
		*bytes += r->size_bytes;
		gpa = r->gpa + r->size_bytes;
	}
	return copy;
}

/* The codec says all it has while the rings stand: the guest sees nothing of it. */
static void check_silence(struct vhost_peer *p)
{
	const unsigned interrupts = fake_guest_interrupts(p->guest, 0) + fake_guest_interrupts(p->guest, 1);
	size_t bytes, again;
	uint8_t *before = copy_memory(p, &bytes), *after;

	let_codec_speak();
	for (unsigned i = 0; i < 5; i++)
		vhost_peer_settle(p);
	after = copy_memory(p, &again);
	assert_int_equal(bytes, again);
	assert_memory_equal(before, after, bytes);
	assert_int_equal(fake_guest_interrupts(p->guest, 0) + fake_guest_interrupts(p->guest, 1), interrupts);
	free(before);
	free(after);
}

/* It was given back at the stop, with that answer. */
static void expect_returned(struct video_world *w, struct fake_request *r, uint32_t type, uint32_t flags)
{
	struct virtio_video_resource_queue_resp resp;

	assert_true(r->done && !r->lost);
	resp = video_response(w, r);
	assert_int_equal(resp.hdr.type, type);
	if (type == VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE)
		assert_int_equal(resp.flags, flags);
	fake_guest_free_request(w->guest, r);
}

/* ---- */

static void buffers_that_wait_come_back_and_no_picture_is_lost(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct fake_request *want[5], *event;
		struct video_world w;
		struct film f;
		struct vhost_peer *p = begin(packed, &w, &f);

		event = video_post_event(&w);
		for (uint32_t round = 0; round < 3; round++) {
			const uint32_t first = round * 3;

			withholds = true;
			for (uint32_t i = 0; i < 5; i++)
				want[i] = film_want(&f, i);
			for (uint32_t i = 1; i < 4; i++)
				film_feed_and_wait(&f, first + i);
			stop(p);
			for (uint32_t i = 0; i < 5; i++)
				expect_returned(&w, want[i], VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE, ERR);
			check_silence(p);
			/* What a driver has to say meanwhile waits in its ring. */
			want[0] = film_want(&f, 4);
			want[1] = film_want(&f, 3);
			go_on(p);
			want[2] = film_want(&f, 2);
			for (uint32_t i = 0; i < 3; i++)
				film_expect_picture(&f, want[i], 4 - i, first + i, FILM_WIDTH, FILM_HEIGHT);
		}
		/* The same codec all the time, and the same size. */
		assert_int_equal(slow_made, 1);
		assert_false(event->done);
		vhost_peer_destroy(p);
	}
}

/* The guest knows that they were not decoded, and that the drain was not one. */
static void inputs_and_a_drain_that_wait_are_answered(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct fake_request *in[3], *want, *drain;
		struct video_world w;
		struct film f;
		struct vhost_peer *p = begin(packed, &w, &f);

		is_full = true;
		for (uint32_t i = 0; i < 3; i++)
			in[i] = film_feed_picture(&f, 10 + i);
		drain = video_drain(&w, 1);
		stop(p);
		for (uint32_t i = 0; i < 3; i++)
			expect_returned(&w, in[i], VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE, ERR);
		expect_returned(&w, drain, CANCELLED, 0);
		check_silence(p);
		go_on(p);
		/* What was in the codec is still there, and the drain can be asked for again. */
		assert_int_equal(slow_made, 1);
		film_feed_and_wait(&f, 1);
		want = film_want(&f, 0);
		film_expect_picture(&f, want, 0, 0, FILM_WIDTH, FILM_HEIGHT);
		drain = video_drain(&w, 1);
		want = film_want(&f, 1);
		film_expect_picture(&f, want, 1, 1, FILM_WIDTH, FILM_HEIGHT);
		film_expect_flags(&w, film_want(&f, 2), VIRTIO_VIDEO_BUFFER_FLAG_EOS);
		assert_int_equal(video_wait(&w, drain).hdr.type, VIDEO_OK);
		vhost_peer_destroy(p);
	}
}

/* It takes no more inputs, so it can't go on. */
static void a_codec_that_is_being_drained_is_let_go(void **state)
{
	struct fake_request *want[2], *drain;
	struct video_world w;
	struct film f;
	struct vhost_peer *p = begin(false, &w, &f);

	(void)state;
	withholds = true;
	want[0] = film_want(&f, 0);
	drain = video_drain(&w, 1);
	stop(p);
	expect_returned(&w, want[0], VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE, ERR);
	expect_returned(&w, drain, CANCELLED, 0);
	assert_null(slow);
	check_silence(p);
	go_on(p);
	/* The next input makes one. */
	want[0] = film_want(&f, 0);
	want[1] = film_want(&f, 1);
	film_feed_and_wait(&f, 20);
	film_feed_and_wait(&f, 21);
	assert_int_equal(slow_made, 2);
	film_expect_picture(&f, want[0], 0, 20, FILM_WIDTH, FILM_HEIGHT);
	drain = video_drain(&w, 1);
	film_expect_picture(&f, want[1], 1, 21, FILM_WIDTH, FILM_HEIGHT);
	film_expect_flags(&w, film_want(&f, 2), VIRTIO_VIDEO_BUFFER_FLAG_EOS);
	assert_int_equal(video_wait(&w, drain).hdr.type, VIDEO_OK);
	vhost_peer_destroy(p);
}

/* What the codec says of it meanwhile is told when the rings go on. */
static void a_new_size_is_announced_after_the_stop(void **state)
{
	struct fake_request *want, *event;
	struct video_world w;
	struct film f;
	struct vhost_peer *p = begin(false, &w, &f);

	(void)state;
	event = video_post_event(&w);
	withholds = true;
	want = film_want(&f, 0);
	assert_int_equal(video_wait(&w, film_feed(&f, FAKE_PICTURE, 128, 96, 1)).flags, 0);
	stop(p);
	expect_returned(&w, want, VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE, ERR);
	check_silence(p);
	go_on(p);
	/* The last of the old size comes before it. */
	film_expect_picture(&f, film_want(&f, 0), 0, 0, FILM_WIDTH, FILM_HEIGHT);
	assert_int_equal(video_wait_event(&w, event).event_type, FORMAT_EVENT);
	/* Held for the new size, and stopped again. */
	want = film_want(&f, 0);
	assert_int_equal(video_wait(&w, film_feed(&f, FAKE_PICTURE, 128, 96, 2)).flags, 0);
	stop(p);
	expect_returned(&w, want, VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE, ERR);
	check_silence(p);
	go_on(p);
	want = film_want(&f, 0);
	video_settle(&w);
	assert_false(want->done);
	assert_int_equal(video_queue_command(&w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	assert_int_equal(video_wait(&w, want).flags, ERR);
	film_expect_picture(&f, film_want(&f, 1), 1, 1, 128, 96);
	vhost_peer_destroy(p);
}

static void another_driver_after_the_stop_finds_a_new_device(void **state)
{
	(void)state;
	for (unsigned say_reset = 0; say_reset < 2; say_reset++) {
		struct video_world w;
		struct film f;
		struct vhost_peer *p = begin(say_reset, &w, &f);
		struct fake_request *want;

		p->say_reset = say_reset;
		withholds = true;
		film_want(&f, 0);
		film_feed_and_wait(&f, 1);
		/* Stops the rings, and begins at the start of new ones. */
		assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
		assert_null(slow);
		withholds = false;
		assert_int_equal(video_simple(&w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1),
				 VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID);
		film_start(&f, &w, 1);
		film_feed_and_wait(&f, 1);
		want = film_want(&f, 3);
		film_expect_picture(&f, want, 3, 0, FILM_WIDTH, FILM_HEIGHT);
		vhost_peer_destroy(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffers_that_wait_come_back_and_no_picture_is_lost),
		cmocka_unit_test(inputs_and_a_drain_that_wait_are_answered),
		cmocka_unit_test(a_codec_that_is_being_drained_is_let_go),
		cmocka_unit_test(a_new_size_is_announced_after_the_stop),
		cmocka_unit_test(another_driver_after_the_stop_finds_a_new_device),
	};

	log_set_levels("error");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
