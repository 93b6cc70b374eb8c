// SPDX-License-Identifier: MIT
/*
 * Commands that arrive together, so that none waits for the one before: drains in and behind drains, clears in drains,
 * buffers between. All sequences of four, with and without a picture in the codec. Each command is answered once, as
 * its place in the sequence allows, and afterwards the stream decodes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/lib/film.h"

enum { LENGTH = 4, SEQUENCES = 5 * 5 * 5 * 5 };

#define INVALID_OPERATION VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION
#define DONE VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE

enum command { DRAIN, CLEAR_IN, CLEAR_OUT, QUEUE_IN, QUEUE_OUT };

static const char letters[] = "DciIO";

/* Put command @c on the ring; @n: which buffer. */
static struct fake_request *add(struct film *s, enum command c, uint32_t n)
{
	const struct fake_header h = {FAKE_MAGIC, FAKE_PICTURE, FILM_WIDTH, FILM_HEIGHT, n};
	struct virtio_video_resource_queue queue = {.hdr = {VIRTIO_VIDEO_CMD_RESOURCE_QUEUE, s->id}, .resource_id = n};
	struct virtio_video_queue_clear clear = {.hdr = {VIRTIO_VIDEO_CMD_QUEUE_CLEAR, s->id},
						 .queue_type = c == CLEAR_IN ? VIDEO_IN : VIDEO_OUT};
	const struct virtio_video_cmd_hdr drain = {VIRTIO_VIDEO_CMD_STREAM_DRAIN, s->id};

	switch (c) {
	case DRAIN:
		return fake_guest_add(s->w->guest, 0, &drain, sizeof(drain), sizeof(drain));
	case CLEAR_IN:
	case CLEAR_OUT:
		return fake_guest_add(s->w->guest, 0, &clear, sizeof(clear), sizeof(drain));
	case QUEUE_IN:
		memcpy(fake_guest_ptr(s->w->guest, s->in[n], sizeof(h)), &h, sizeof(h));
		queue.num_data_sizes = 1;
		queue.data_sizes[0] = sizeof(h);
		break;
	case QUEUE_OUT:
		break;
	}
	queue.queue_type = c == QUEUE_IN ? VIDEO_IN : VIDEO_OUT;
	return fake_guest_add(s->w->guest, 0, &queue, sizeof(queue), sizeof(struct virtio_video_resource_queue_resp));
}

static uint32_t code_of(const struct fake_request *r)
{
	uint32_t code;

	memcpy(&code, r->out, sizeof(code));
	return code;
}

/* What may come back for place @i of the sequence, by what is known before it. */
static bool is_right(const enum command *c, unsigned i, uint32_t code)
{
	bool may_drain = false;

	/* A drain that is still there refuses; whether it is depends on how far it came. */
	for (unsigned k = 0; k < i; k++) {
		if (c[k] == DRAIN)
			may_drain = true;
		if (c[k] == CLEAR_IN)
			may_drain = false;
	}
	switch (c[i]) {
	case DRAIN:
		return code == VIDEO_OK || code == INVALID_OPERATION;
	case CLEAR_IN:
	case CLEAR_OUT:
		return code == VIDEO_OK;
	case QUEUE_IN:
		return code == DONE || (code == INVALID_OPERATION && may_drain);
	default:
		return code == DONE;
	}
}

static void run(struct video_world *w, uint32_t id, const enum command *c, bool in_work)
{
	struct fake_request *r[LENGTH];
	char text[LENGTH + 1] = "";
	unsigned ends = 0, drained = 0;
	struct film s;

	film_make(&s, w, id);
	if (in_work) {
		film_feed_and_wait(&s, 0);
		video_settle(w);
	}
	film_make_outputs(&s);
	for (unsigned i = 0; i < LENGTH; i++) {
		text[i] = letters[c[i]];
		r[i] = add(&s, c[i], i);
	}
	fake_guest_kick(w->guest, 0);
	video_settle(w);
	/* What still waits does so for a buffer or an input: clears end it. */
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, id, VIDEO_OUT), VIDEO_OK);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, id, VIDEO_IN), VIDEO_OK);
	for (unsigned i = 0; i < LENGTH; i++) {
		if (!r[i]->done)
			fail_msg("%s: command %u has no answer", text, i);
		if (!is_right(c, i, code_of(r[i])))
			fail_msg("%s: command %u is answered 0x%x", text, i, code_of(r[i]));
		if (c[i] == QUEUE_OUT && video_response(w, r[i]).flags & VIRTIO_VIDEO_BUFFER_FLAG_EOS)
			ends++;
		drained += c[i] == DRAIN && code_of(r[i]) == VIDEO_OK;
		fake_guest_free_request(w->guest, r[i]);
	}
	if (ends > drained)
		fail_msg("%s: %u ends of %u drains", text, ends, drained);
	/* It goes on. The picture may be its first, whose size is new: the clear says that the buffers are for that. */
	film_feed_and_wait(&s, 3);
	video_settle(w);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, id, VIDEO_OUT), VIDEO_OK);
	r[0] = film_want(&s, 6);
	r[1] = film_want(&s, 7);
	r[2] = video_drain(w, id);
	assert_int_equal(video_wait(w, r[0]).flags, 0);
	assert_int_equal(video_wait(w, r[1]).flags, VIRTIO_VIDEO_BUFFER_FLAG_EOS);
	assert_int_equal(video_wait(w, r[2]).hdr.type, VIDEO_OK);
	film_check_nv12(&s, 6, 3, FILM_WIDTH, FILM_HEIGHT);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, id), VIDEO_OK);
}

static void run_all(bool in_work)
{
	for (unsigned n = 0; n < SEQUENCES; n++) {
		const enum command c[LENGTH] = {n % 5, n / 5 % 5, n / 25 % 5, n / 125 % 5};
		struct video_world *w = video_world_create(&(struct video_world_options){.memory_bytes = 4 << 20});

		run(w, 1, c, in_work);
		video_world_destroy(w);
	}
}

static void commands_in_a_batch_are_each_answered_once(void **state)
{
	(void)state;
	run_all(false);
}

static void also_when_a_picture_is_in_the_codec(void **state)
{
	(void)state;
	run_all(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_in_a_batch_are_each_answered_once),
		cmocka_unit_test(also_when_a_picture_is_in_the_codec),
	};

	return cmocka_run_group_tests_name("video_batch", tests, NULL, NULL);
}
