// SPDX-License-Identifier: MIT
/*
 * What a stream does with its buffers: order, drain, clear, changes of size, trouble. Over the fake codec, whose input
 * says what it does (host/video/codec_fake.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/codec_fake.h"
#include "tests/lib/video_world.h"

#define H264 VIRTIO_VIDEO_FORMAT_H264
#define ERR VIRTIO_VIDEO_BUFFER_FLAG_ERR
#define EOS VIRTIO_VIDEO_BUFFER_FLAG_EOS
#define INVALID_OPERATION VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION
#define DONE VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE
#define CHANGED VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED

enum { INPUTS = 8, OUTPUTS = 8, WIDTH = 64, HEIGHT = 48, OUTPUT_BYTES = 128 * 128 * 2 };

/* One stream with buffers on both sides. */
struct stream {
	struct video_world *w;
	uint32_t id;
	uint64_t in[INPUTS], out[OUTPUTS];
	uint32_t next_in;
};

static void make_outputs(struct stream *s)
{
	for (uint32_t i = 0; i < OUTPUTS; i++)
		assert_int_equal(video_create_buffer(s->w, s->id, VIDEO_OUT, i, OUTPUT_BYTES, &s->out[i]), VIDEO_OK);
}

static void make_stream(struct stream *s, struct video_world *w, uint32_t id)
{
	*s = (struct stream){.w = w, .id = id};
	assert_int_equal(video_create_stream(w, id, H264), VIDEO_OK);
	for (uint32_t i = 0; i < INPUTS; i++)
		assert_int_equal(video_create_buffer(w, id, VIDEO_IN, i, 4096, &s->in[i]), VIDEO_OK);
}

static struct fake_request *feed_unit(struct stream *s, uint32_t unit, uint32_t width, uint32_t height, uint32_t value)
{
	const struct fake_header h = {FAKE_MAGIC, unit, width, height, value};
	const uint32_t i = s->next_in++ % INPUTS;

	memcpy(fake_guest_ptr(s->w->guest, s->in[i], sizeof(h)), &h, sizeof(h));
	return video_queue(s->w, s->id, VIDEO_IN, i, sizeof(h), value * 1000ull);
}

static struct fake_request *feed_picture(struct stream *s, uint32_t value)
{
	return feed_unit(s, FAKE_PICTURE, WIDTH, HEIGHT, value);
}

static void feed_and_wait(struct stream *s, uint32_t value)
{
	struct virtio_video_resource_queue_resp r = video_wait(s->w, feed_picture(s, value));

	assert_int_equal(r.hdr.type, DONE);
	assert_int_equal(r.flags, 0);
	assert_int_equal(r.timestamp, 0);
}

static struct fake_request *want(struct stream *s, uint32_t i)
{
	return video_queue(s->w, s->id, VIDEO_OUT, i, 0, 0);
}

static void expect_flags(struct video_world *w, struct fake_request *r, uint32_t flags)
{
	struct virtio_video_resource_queue_resp resp = video_wait(w, r);

	assert_int_equal(resp.hdr.type, DONE);
	assert_int_equal(resp.flags, flags);
	assert_int_equal(resp.size, 0);
}

static void expect_event(struct video_world *w, uint32_t type, uint32_t stream)
{
	struct virtio_video_event e = video_wait_event(w, video_post_event(w));

	assert_int_equal(e.event_type, type);
	assert_int_equal(e.stream_id, stream);
}

/* A stream whose first format was announced and which has buffers for it: picture 0 is in the codec. */
static void start(struct stream *s, struct video_world *w, uint32_t id)
{
	make_stream(s, w, id);
	feed_and_wait(s, 0);
	expect_event(w, CHANGED, id);
	make_outputs(s);
}

static void check_nv12(struct stream *s, uint32_t i, uint32_t value, uint32_t width, uint32_t height)
{
	const uint8_t *p = fake_guest_ptr(s->w->guest, s->out[i], OUTPUT_BYTES);
	const uint8_t *uv = p + (size_t)width * height;

	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			assert_int_equal(p[y * width + x], fake_sample(value, 0, x, y));
			assert_int_equal(uv[y / 2 * width + x], fake_sample(value, 1 + x % 2, x / 2, y / 2));
		}
	}
}

static void expect_picture(struct stream *s, struct fake_request *r, uint32_t i, uint32_t value, uint32_t width,
			   uint32_t height)
{
	struct virtio_video_resource_queue_resp resp = video_wait(s->w, r);

	assert_int_equal(resp.flags, 0);
	assert_int_equal(resp.timestamp, value * 1000ull);
	check_nv12(s, i, value, width, height);
}

/* ---- pictures ---- */

static void pictures_come_out_in_order_with_their_timestamps(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *r[OUTPUTS];
	struct virtio_video_params p;
	struct video_stats stats;
	struct stream s;

	(void)state;
	start(&s, w, 7);
	video_read_params(w, 7, VIDEO_OUT, &p);
	assert_int_equal(p.frame_width, WIDTH);
	assert_int_equal(p.frame_height, HEIGHT);
	assert_int_equal(p.crop.width, WIDTH);
	assert_true(p.min_buffers >= 1 && p.max_buffers >= p.min_buffers);
	for (uint32_t i = 0; i < OUTPUTS; i++)
		r[i] = want(&s, i);
	for (uint32_t i = 1; i <= OUTPUTS; i++)
		feed_and_wait(&s, i);
	for (uint32_t i = 0; i < OUTPUTS; i++)
		expect_picture(&s, r[i], i, i, WIDTH, HEIGHT);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 7), VIDEO_OK);
	video_get_stats(w->device, &stats);
	assert_int_equal(stats.codec.frames_in, OUTPUTS + 1);
	assert_int_equal(stats.codec.frames_out, OUTPUTS);
	assert_int_equal(stats.codec.copies, OUTPUTS); /* one each */
	assert_int_equal(stats.events, 1);
	video_world_destroy(w);
}

static void check_planar(const uint8_t *p, uint32_t value, const unsigned *order, uint32_t width, uint32_t height)
{
	for (unsigned i = 0; i < 3; i++) {
		const uint32_t w = i ? width / 2 : width, rows = i ? height / 2 : height;

		for (uint32_t y = 0; y < rows; y++) {
			for (uint32_t x = 0; x < w; x++)
				assert_int_equal(*p++, fake_sample(value, order[i], x, y));
		}
	}
}

static void planar_formats_have_their_chroma_in_place(void **state)
{
	static const unsigned i420[] = {0, 1, 2}, yv12[] = {0, 2, 1};

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct video_world *w = video_world_create(NULL);
		struct virtio_video_set_params c = {0};
		struct fake_request *r;
		struct stream s;

		make_stream(&s, w, 1);
		feed_and_wait(&s, 3);
		expect_event(w, CHANGED, 1);
		video_read_params(w, 1, VIDEO_OUT, &c.params);
		c.params.format = k ? VIRTIO_VIDEO_FORMAT_YVU420 : VIRTIO_VIDEO_FORMAT_YUV420;
		assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &c, sizeof(c), NULL, 0), VIDEO_OK);
		make_outputs(&s);
		r = want(&s, 0);
		feed_and_wait(&s, 4);
		assert_int_equal(video_wait(w, r).flags, 0);
		check_planar(fake_guest_ptr(w->guest, s.out[0], OUTPUT_BYTES), 3, k ? yv12 : i420, WIDTH, HEIGHT);
		video_world_destroy(w);
	}
}

static void a_picture_may_lie_in_pieces_and_in_planes_of_their_own(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct virtio_video_mem_entry e[5];
	struct {
		struct virtio_video_resource_create c;
		struct virtio_video_mem_entry e[5];
	} request = {
		.c = {.queue_type = VIDEO_OUT, .planes_layout = VIRTIO_VIDEO_PLANES_LAYOUT_PER_PLANE, .num_planes = 2,
		      .num_entries = {3, 2}},
	};
	static const uint32_t lengths[] = {1000, 1, WIDTH * HEIGHT - 1001, 700, WIDTH * HEIGHT / 2 - 700};
	uint8_t whole[WIDTH * HEIGHT * 3 / 2], *at = whole;
	struct stream s;

	(void)state;
	start(&s, w, 1);
	for (unsigned i = 0; i < 5; i++) {
		e[i] = (struct virtio_video_mem_entry){.addr = fake_guest_alloc_high(w->guest, lengths[i] + 3, 1), .length = lengths[i]};
		request.e[i] = e[i];
	}
	request.c.resource_id = 50;
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_RESOURCE_CREATE, 1, &request, sizeof(request), NULL, 0), VIDEO_OK);
	assert_int_equal(video_create_scattered(w, 1, VIDEO_OUT, 51, e, 5), VIDEO_OK);
	for (uint32_t id = 50; id < 52; id++) {
		struct fake_request *r = want(&s, id);

		feed_and_wait(&s, id - 49);
		assert_int_equal(video_wait(w, r).flags, 0);
		at = whole;
		for (unsigned i = 0; i < 5; at += e[i++].length)
			memcpy(at, fake_guest_ptr(w->guest, e[i].addr, e[i].length), e[i].length);
		memcpy(fake_guest_ptr(w->guest, s.out[0], sizeof(whole)), whole, sizeof(whole));
		check_nv12(&s, 0, id - 50, WIDTH, HEIGHT);
	}
	/* Two planes in one buffer, with a gap between them. */
	request.c.resource_id = 52;
	request.c.planes_layout = VIRTIO_VIDEO_PLANES_LAYOUT_SINGLE_BUFFER;
	request.c.num_entries[0] = 1;
	request.c.num_entries[1] = 0;
	request.c.plane_offsets[1] = WIDTH * HEIGHT + 512;
	request.e[0] = (struct virtio_video_mem_entry){.addr = s.out[1], .length = OUTPUT_BYTES};
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_RESOURCE_CREATE, 1, &request, sizeof(request), NULL, 0), VIDEO_OK);
	{
		struct fake_request *r = want(&s, 52);
		uint8_t *p = fake_guest_ptr(w->guest, s.out[1], OUTPUT_BYTES);

		feed_and_wait(&s, 3);
		assert_int_equal(video_wait(w, r).flags, 0);
		memmove(p + WIDTH * HEIGHT, p + WIDTH * HEIGHT + 512, WIDTH * HEIGHT / 2);
		check_nv12(&s, 1, 2, WIDTH, HEIGHT);
	}
	video_world_destroy(w);
}

static void odd_sizes_are_rounded_up_and_cropped(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct virtio_video_params p;
	struct fake_request *r;
	struct stream s;

	(void)state;
	make_stream(&s, w, 1);
	expect_flags(w, feed_unit(&s, FAKE_PICTURE, 35, 33, 1), 0);
	expect_event(w, CHANGED, 1);
	video_read_params(w, 1, VIDEO_OUT, &p);
	assert_int_equal(p.frame_width, 36);
	assert_int_equal(p.frame_height, 34);
	assert_int_equal(p.crop.width, 35);
	assert_int_equal(p.crop.height, 33);
	make_outputs(&s);
	r = want(&s, 0);
	expect_flags(w, feed_unit(&s, FAKE_PICTURE, 35, 33, 2), 0);
	assert_int_equal(video_wait(w, r).flags, 0);
	{
		const uint8_t *y = fake_guest_ptr(w->guest, s.out[0], OUTPUT_BYTES), *uv = y + 36 * 34;

		assert_int_equal(y[32 * 36 + 34], fake_sample(1, 0, 34, 32));
		assert_int_equal(uv[16 * 36 + 34], fake_sample(1, 1, 17, 16));
		assert_int_equal(uv[16 * 36 + 35], fake_sample(1, 2, 17, 16));
	}
	video_world_destroy(w);
}

static void input_waits_while_the_guest_takes_no_pictures(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *r[64];
	unsigned taken = 0;
	struct stream s;

	(void)state;
	make_stream(&s, w, 1);
	for (unsigned i = 0; i < INPUTS; i++)
		r[i] = feed_picture(&s, i);
	video_settle(w);
	/* What is back can be queued again, until the codec is full. */
	while (r[taken % INPUTS]->done && taken < 64) {
		fake_guest_free_request(w->guest, r[taken % INPUTS]);
		r[taken % INPUTS] = feed_picture(&s, INPUTS + taken);
		taken++;
		video_settle(w);
	}
	assert_true(taken >= 4 && taken < 16);
	video_world_destroy(w);
}

/* ---- drain ---- */

static void drain_waits_for_queued_input(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *in[4], *out[6], *drain;
	struct stream s;

	(void)state;
	start(&s, w, 1);
	for (uint32_t i = 0; i < 4; i++)
		in[i] = feed_picture(&s, i + 1);
	drain = video_drain(w, 1);
	video_settle(w);
	assert_false(drain->done);
	for (uint32_t i = 0; i < 6; i++)
		out[i] = want(&s, i);
	assert_int_equal(fake_guest_wait(w->guest, drain, 10000), 0);
	/* The end comes in a buffer of its own, before the answer to the drain. */
	assert_true(out[5]->sequence < drain->sequence);
	assert_true(out[4]->sequence < out[5]->sequence);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(video_wait(w, in[i]).flags, 0);
	for (uint32_t i = 0; i < 5; i++)
		expect_picture(&s, out[i], i, i, WIDTH, HEIGHT);
	expect_flags(w, out[5], EOS);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	/* And on it goes. */
	out[0] = want(&s, 0);
	feed_and_wait(&s, 20);
	feed_and_wait(&s, 21);
	expect_picture(&s, out[0], 0, 20, WIDTH, HEIGHT);
	video_world_destroy(w);
}

static void drain_with_nothing_queued_is_answered_at_once(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out;
	struct stream s;

	(void)state;
	make_stream(&s, w, 1);
	make_outputs(&s);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DRAIN, 1), VIDEO_OK);
	/* The driver waits for a marked buffer: the next one is. */
	expect_flags(w, want(&s, 0), EOS);
	out = want(&s, 0);
	video_settle(w);
	assert_false(out->done);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DRAIN, 1), VIDEO_OK);
	assert_true(out->done);
	expect_flags(w, out, EOS);
	video_world_destroy(w);
}

static void nothing_is_taken_while_draining(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *drain;
	struct stream s;

	(void)state;
	start(&s, w, 1);
	drain = video_drain(w, 1);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DRAIN, 1), INVALID_OPERATION);
	assert_int_equal(video_wait(w, feed_picture(&s, 1)).hdr.type, INVALID_OPERATION);
	assert_false(drain->done);
	expect_flags(w, want(&s, 0), 0);
	expect_flags(w, want(&s, 1), EOS);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	video_world_destroy(w);
}

/* ---- clear ---- */

static void clear_gives_everything_back_and_is_answered_last(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *in[INPUTS], *drain, *clear;
	struct virtio_video_queue_clear c = {.hdr = {VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1}, .queue_type = VIDEO_IN};
	unsigned cancelled = 0;
	struct stream s;

	(void)state;
	start(&s, w, 1);
	for (uint32_t i = 0; i < INPUTS; i++)
		in[i] = feed_picture(&s, i);
	drain = video_drain(w, 1);
	clear = fake_guest_add(w->guest, 0, &c, sizeof(c), 8);
	fake_guest_kick(w->guest, 0);
	assert_int_equal(fake_guest_wait(w->guest, clear, 1000), 0);
	assert_true(drain->done && drain->sequence < clear->sequence);
	for (uint32_t i = 0; i < INPUTS; i++) {
		assert_true(in[i]->done && in[i]->sequence < clear->sequence);
		cancelled += video_wait(w, in[i]).flags == ERR;
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
	struct stream s;

	(void)state;
	start(&s, w, 1);
	feed_and_wait(&s, 1);
	feed_and_wait(&s, 2);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_IN), VIDEO_OK);
	out = want(&s, 0);
	event = video_post_event(w);
	feed_and_wait(&s, 30);
	feed_and_wait(&s, 31);
	expect_picture(&s, out, 0, 30, WIDTH, HEIGHT);
	/* The size is the same: no event. */
	video_settle(w);
	assert_false(event->done);
	video_world_destroy(w);
}

static void clearing_the_output_loses_no_picture(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out;
	struct stream s;

	(void)state;
	start(&s, w, 1);
	out = want(&s, 0);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	expect_flags(w, out, ERR);
	feed_and_wait(&s, 1);
	expect_picture(&s, want(&s, 3), 3, 0, WIDTH, HEIGHT);
	video_world_destroy(w);
}

static void clearing_the_output_cancels_a_drain(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *drain, *out;
	struct stream s;

	(void)state;
	start(&s, w, 1);
	drain = video_drain(w, 1);
	video_settle(w);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	assert_int_equal(video_wait(w, drain).hdr.type, INVALID_OPERATION);
	out = want(&s, 0);
	feed_and_wait(&s, 5);
	feed_and_wait(&s, 6);
	expect_picture(&s, out, 0, 5, WIDTH, HEIGHT);
	video_world_destroy(w);
}

static void a_drain_that_did_not_reach_the_codec_is_cancelled_alone(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *in[INPUTS], *drain, *out[OUTPUTS];
	struct stream s;

	(void)state;
	start(&s, w, 1);
	/* More than the codec takes while nobody takes its pictures. */
	for (uint32_t i = 0; i < INPUTS; i++) {
		in[i] = feed_picture(&s, i + 1);
		video_settle(w);
	}
	for (uint32_t i = 0; i < INPUTS; i++) {
		assert_true(in[i]->done);
		fake_guest_free_request(w->guest, in[i]);
		in[i] = feed_picture(&s, i + 1 + INPUTS);
		video_settle(w);
	}
	drain = video_drain(w, 1);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	assert_int_equal(video_wait(w, drain).hdr.type, INVALID_OPERATION);
	for (uint32_t i = 0; i < OUTPUTS; i++)
		out[i] = want(&s, i);
	for (uint32_t i = 0; i < OUTPUTS; i++)
		expect_picture(&s, out[i], i, i, WIDTH, HEIGHT);
	for (uint32_t i = 0; i < INPUTS; i++)
		assert_int_equal(video_wait(w, in[i]).flags, 0);
	video_world_destroy(w);
}

static void dropping_resources_gives_the_queued_ones_back(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out;
	struct stream s;

	(void)state;
	start(&s, w, 1);
	out = want(&s, 0);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_OUT), VIDEO_OK);
	expect_flags(w, out, ERR);
	assert_int_equal(video_wait(w, want(&s, 0)).hdr.type, VIRTIO_VIDEO_RESP_ERR_INVALID_RESOURCE_ID);
	make_outputs(&s);
	feed_and_wait(&s, 1);
	expect_picture(&s, want(&s, 0), 0, 0, WIDTH, HEIGHT);
	video_world_destroy(w);
}

/* ---- another size ---- */

static void a_new_size_waits_for_new_buffers(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *old[3], *new[2], *event;
	struct virtio_video_params p;
	struct stream s;

	(void)state;
	start(&s, w, 1);
	for (uint32_t i = 0; i < 3; i++)
		old[i] = want(&s, i);
	event = video_post_event(w);
	feed_and_wait(&s, 1);
	video_settle(w);
	assert_false(event->done);
	expect_flags(w, feed_unit(&s, FAKE_PICTURE, 96, 80, 2), 0);
	expect_flags(w, feed_unit(&s, FAKE_PICTURE, 96, 80, 3), 0);
	/* Both of the old size came out before. */
	assert_int_equal(video_wait_event(w, event).event_type, CHANGED);
	expect_picture(&s, old[0], 0, 0, WIDTH, HEIGHT);
	expect_picture(&s, old[1], 1, 1, WIDTH, HEIGHT);
	video_read_params(w, 1, VIDEO_OUT, &p);
	assert_int_equal(p.frame_width, 96);
	video_settle(w);
	assert_false(old[2]->done);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	expect_flags(w, old[2], ERR);
	new[0] = want(&s, 4);
	new[1] = want(&s, 5);
	expect_picture(&s, new[0], 4, 2, 96, 80);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
	expect_flags(w, new[1], ERR);
	video_world_destroy(w);
}

static void buffers_too_small_for_the_new_size_are_refused(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct stream s;

	(void)state;
	start(&s, w, 1);
	expect_flags(w, feed_unit(&s, FAKE_PICTURE, 256, 256, 1), 0);
	expect_flags(w, want(&s, 0), 0);
	expect_event(w, CHANGED, 1);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	assert_int_equal(video_wait(w, want(&s, 0)).hdr.type, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER);
	video_world_destroy(w);
}

static void a_drain_lasts_over_a_change_of_size(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *drain, *out;
	struct stream s;

	(void)state;
	start(&s, w, 1);
	expect_flags(w, feed_unit(&s, FAKE_PICTURE, 96, 80, 1), 0);
	drain = video_drain(w, 1);
	expect_picture(&s, want(&s, 0), 0, 0, WIDTH, HEIGHT);
	expect_event(w, CHANGED, 1);
	out = want(&s, 1);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	expect_flags(w, out, ERR);
	assert_false(drain->done);
	expect_picture(&s, want(&s, 2), 2, 1, 96, 80);
	expect_flags(w, want(&s, 3), EOS);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	video_world_destroy(w);
}

/* ---- events ---- */

static void events_wait_for_a_buffer(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct stream a, b;
	struct fake_request *r, *small;

	(void)state;
	make_stream(&a, w, 1);
	make_stream(&b, w, 2);
	feed_and_wait(&a, 0);
	feed_and_wait(&b, 0);
	video_settle(w);
	/* The size of B changes again before anybody looked: one event says so. */
	expect_flags(w, feed_unit(&b, FAKE_PICTURE, 32, 32, 1), 0);
	make_outputs(&b);
	expect_flags(w, want(&b, 0), 0);
	video_settle(w);
	expect_event(w, CHANGED, 2);
	expect_event(w, CHANGED, 1);
	r = video_post_event(w);
	video_settle(w);
	assert_false(r->done);
	/* A buffer without room loses its event, and nothing else. */
	expect_flags(w, feed_unit(&a, FAKE_ERROR, 0, 0, 0), 0);
	assert_int_equal(video_wait_event(w, r).stream_id, 1);
	small = fake_guest_add(w->guest, 1, NULL, 0, 4);
	fake_guest_kick(w->guest, 1);
	expect_flags(w, feed_unit(&b, FAKE_ERROR, 0, 0, 0), 0);
	assert_int_equal(fake_guest_wait(w->guest, small, 1000), 0);
	assert_int_equal(small->used_len, 0);
	fake_guest_free_request(w->guest, small);
	assert_int_equal(video_create_stream(w, 3, H264), VIDEO_OK);
	video_world_destroy(w);
}

static void a_stream_that_is_gone_sends_no_events(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *r;
	struct stream s;

	(void)state;
	make_stream(&s, w, 1);
	feed_and_wait(&s, 0);
	video_settle(w);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
	r = video_post_event(w);
	video_settle(w);
	assert_false(r->done);
	video_world_destroy(w);
}

/* ---- trouble ---- */

static void after_trouble(struct stream *s, struct fake_request *event)
{
	struct video_world *w = s->w;
	struct fake_request *out;

	assert_int_equal(video_wait_event(w, event).event_type, VIRTIO_VIDEO_EVENT_ERROR);
	assert_int_equal(video_wait(w, feed_picture(s, 5)).hdr.type, INVALID_OPERATION);
	assert_int_equal(video_wait(w, want(s, 5)).hdr.type, INVALID_OPERATION);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DRAIN, 1), INVALID_OPERATION);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_IN), VIDEO_OK);
	/* As good as new. */
	out = want(s, 0);
	feed_and_wait(s, 10);
	feed_and_wait(s, 11);
	expect_picture(s, out, 0, 10, WIDTH, HEIGHT);
}

static void a_codec_that_hangs_is_given_up(void **state)
{
	struct video_world *w = video_world_create(&(struct video_world_options){.timeout_ms = 30});
	struct fake_request *out, *drain, *event;
	struct stream s, other;

	(void)state;
	start(&s, w, 1);
	start(&other, w, 2);
	out = want(&s, 0);
	event = video_post_event(w);
	expect_flags(w, feed_unit(&s, FAKE_HANG, 0, 0, 0), 0);
	drain = video_drain(w, 1);
	expect_flags(w, out, ERR);
	assert_int_equal(video_wait(w, drain).hdr.type, INVALID_OPERATION);
	after_trouble(&s, event);
	feed_and_wait(&other, 1);
	expect_picture(&other, want(&other, 0), 0, 0, WIDTH, HEIGHT);
	video_world_destroy(w);
}

static void a_codec_that_hangs_delays_no_clear_and_no_destroy(void **state)
{
	/* The time that it has is not over when the test ends. */
	struct video_world *w = video_world_create(&(struct video_world_options){.timeout_ms = 1000000});
	struct fake_request *in[INPUTS];
	struct stream s;

	(void)state;
	start(&s, w, 1);
	for (unsigned round = 0; round < 2; round++) {
		expect_flags(w, feed_unit(&s, FAKE_HANG, 0, 0, 0), 0);
		video_settle(w);
		for (uint32_t i = 0; i < 4; i++)
			in[i] = feed_picture(&s, i);
		if (round == 0)
			assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_IN), VIDEO_OK);
		else
			assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
		for (uint32_t i = 0; i < 4; i++)
			expect_flags(w, in[i], ERR);
	}
	video_world_destroy(w);
}

static void a_guest_that_takes_nothing_is_no_hang(void **state)
{
	struct video_world *w = video_world_create(&(struct video_world_options){.timeout_ms = 20});
	struct fake_request *drain, *event;
	struct stream s;

	(void)state;
	start(&s, w, 1);
	event = video_post_event(w);
	drain = video_drain(w, 1);
	fake_guest_run_until(w->guest, NULL, NULL, 60);
	assert_false(drain->done);
	assert_false(event->done);
	expect_flags(w, want(&s, 0), 0);
	fake_guest_run_until(w->guest, NULL, NULL, 60);
	assert_false(drain->done);
	expect_flags(w, want(&s, 1), EOS);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	video_world_destroy(w);
}

static void a_codec_that_fails_ends_its_stream_only(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out[2], *event;
	struct stream s;

	(void)state;
	start(&s, w, 1);
	event = video_post_event(w);
	expect_flags(w, feed_unit(&s, FAKE_ERROR, 0, 0, 0), 0);
	video_settle(w);
	out[0] = feed_picture(&s, 3);
	assert_int_equal(video_wait(w, out[0]).hdr.type, INVALID_OPERATION);
	after_trouble(&s, event);
	video_world_destroy(w);
}

static void a_damaged_picture_is_marked(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out[2];
	struct stream s;

	(void)state;
	start(&s, w, 1);
	out[0] = want(&s, 0);
	out[1] = want(&s, 1);
	expect_flags(w, feed_unit(&s, FAKE_DAMAGED, WIDTH, HEIGHT, 1), 0);
	feed_and_wait(&s, 2);
	expect_flags(w, out[0], 0);
	assert_int_equal(video_wait(w, out[1]).flags, ERR);
	video_world_destroy(w);
}

static void garbage_gives_no_picture_and_no_trouble(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out;
	struct stream s;

	(void)state;
	start(&s, w, 1);
	out = want(&s, 0);
	memset(fake_guest_ptr(w->guest, s.in[1], 4096), 0x5a, 4096);
	expect_flags(w, video_queue(w, 1, VIDEO_IN, 1, 4096, 0), 0);
	expect_flags(w, video_queue(w, 1, VIDEO_IN, 1, 1, 0), 0);
	expect_flags(w, feed_unit(&s, FAKE_PICTURE, 100000, 100000, 1), 0);
	feed_and_wait(&s, 1);
	expect_picture(&s, out, 0, 0, WIDTH, HEIGHT);
	video_world_destroy(w);
}

static void a_codec_that_breaks_is_replaced_unseen(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out, *event, *drain;
	struct stream s;

	(void)state;
	start(&s, w, 1);
	event = video_post_event(w);
	out = want(&s, 0);
	expect_flags(w, feed_unit(&s, FAKE_BROKEN, 0, 0, 0), 0);
	video_settle(w);
	feed_and_wait(&s, 7);
	feed_and_wait(&s, 8);
	expect_picture(&s, out, 0, 7, WIDTH, HEIGHT);
	/* At the end too. */
	out = want(&s, 1);
	expect_flags(w, feed_unit(&s, FAKE_BROKEN, 0, 0, 0), 0);
	drain = video_drain(w, 1);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	expect_flags(w, out, EOS);
	assert_false(event->done);
	video_world_destroy(w);
}

static void a_drain_without_output_buffers_ends(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct stream s;

	(void)state;
	make_stream(&s, w, 1);
	memset(fake_guest_ptr(w->guest, s.in[0], 64), 1, 64);
	expect_flags(w, video_queue(w, 1, VIDEO_IN, 0, 64, 0), 0);
	assert_int_equal(video_wait(w, video_drain(w, 1)).hdr.type, VIDEO_OK);
	make_outputs(&s);
	expect_flags(w, want(&s, 0), EOS);
	video_world_destroy(w);
}

static void reset_and_destroy_end_whatever_waits(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct stream s;

	(void)state;
	for (uint32_t round = 0; round < 3; round++) {
		start(&s, w, 1);
		want(&s, 1);
		want(&s, 2);
		for (uint32_t i = 0; i < INPUTS; i++)
			feed_picture(&s, i);
		video_drain(w, 1);
		video_post_event(w);
		assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	}
	start(&s, w, 1);
	want(&s, 1);
	video_drain(w, 1);
	video_world_destroy(w);
}

static void eight_streams_run_side_by_side(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *out[8][4];
	struct stream s[8];

	(void)state;
	for (uint32_t i = 0; i < 8; i++)
		start(&s[i], w, 100 + i);
	for (uint32_t k = 0; k < 4; k++) {
		for (uint32_t i = 0; i < 8; i++) {
			out[i][k] = want(&s[i], k);
			feed_and_wait(&s[i], 1 + k + i);
		}
	}
	for (uint32_t i = 0; i < 8; i++) {
		for (uint32_t k = 0; k < 4; k++)
			expect_picture(&s[i], out[i][k], k, k ? k + i : 0, WIDTH, HEIGHT);
	}
	video_world_destroy(w);
}

/* ---- encoder ---- */

static void an_encoder_marks_key_frames_and_keeps_every_sample(void **state)
{
	struct video_world *w = video_world_create(&(struct video_world_options){.encoder = true});
	struct virtio_video_set_control key = {.control = VIRTIO_VIDEO_CONTROL_FORCE_KEYFRAME};
	const size_t size = WIDTH * HEIGHT * 3 / 2, packet = sizeof(struct fake_header) + size;
	struct virtio_video_set_params c = {.params = {.queue_type = VIDEO_IN, .format = VIRTIO_VIDEO_FORMAT_YUV420,
						       .frame_width = WIDTH, .frame_height = HEIGHT}};
	struct virtio_video_resource_queue_resp resp;
	struct fake_request *out[5], *drain;
	uint64_t in, to;
	uint8_t *picture;

	(void)state;
	assert_int_equal(video_create_stream(w, 1, H264), VIDEO_OK);
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &c, sizeof(c), NULL, 0), VIDEO_OK);
	assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, 0, size, &in), VIDEO_OK);
	picture = fake_guest_ptr(w->guest, in, size);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(video_create_buffer(w, 1, VIDEO_OUT, i, i == 3 ? packet - 1 : packet, &to), VIDEO_OK);
		out[i] = video_queue(w, 1, VIDEO_OUT, i, 0, 0);
	}
	for (uint32_t i = 0; i < 4; i++) {
		memset(picture, (int)(i + 1), size);
		if (i == 2)
			assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_CONTROL, 1, &key, sizeof(key), NULL, 0), VIDEO_OK);
		assert_int_equal(video_wait(w, video_queue(w, 1, VIDEO_IN, 0, (uint32_t)size, 10 + i)).timestamp, 10 + i);
	}
	drain = video_drain(w, 1);
	for (uint32_t i = 0; i < 3; i++) {
		resp = video_wait(w, out[i]);
		assert_int_equal(resp.flags, i == 0 || i == 2 ? VIRTIO_VIDEO_BUFFER_FLAG_IFRAME : VIRTIO_VIDEO_BUFFER_FLAG_PFRAME);
		assert_int_equal(resp.size, packet);
		assert_int_equal(resp.timestamp, 10 + i);
	}
	/* The packet had no room, and is lost. */
	assert_true(video_wait(w, out[3]).flags & ERR);
	expect_flags(w, out[4], EOS);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	video_world_destroy(w);
}

/* ---- every command in every state ---- */

enum state { IDLE, RUNNING, DRAINING, FAILED, STATES };

static void reach(struct stream *s, struct video_world *w, enum state to)
{
	make_stream(s, w, 1);
	if (to == IDLE) {
		make_outputs(s);
		return;
	}
	feed_and_wait(s, 0);
	video_settle(w);
	make_outputs(s);
	if (to == DRAINING)
		video_drain(w, 1);
	if (to == FAILED)
		expect_flags(w, feed_unit(s, FAKE_ERROR, 0, 0, 0), 0);
	video_settle(w);
}

static uint32_t do_command(struct stream *s, unsigned n)
{
	struct virtio_video_set_params c = {0};
	struct virtio_video_set_control set = {.control = VIRTIO_VIDEO_CONTROL_FORCE_KEYFRAME};
	struct virtio_video_get_control get = {.control = VIRTIO_VIDEO_CONTROL_PROFILE};
	struct video_world *w = s->w;
	struct fake_request *r;
	uint32_t code;

	switch (n) {
	case 0:
		return video_create_stream(w, 1, H264);
	case 1:
		return video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1);
	case 2:
	case 3:
	case 4:
		r = n == 2 ? video_drain(w, 1) : n == 3 ? feed_picture(s, 9) : want(s, 0);
		video_settle(w);
		/* Not answered: taken. */
		code = VIDEO_OK;
		if (r->done && r->used_len == 8)
			memcpy(&code, r->out, sizeof(code));
		return code;
	case 5:
	case 6:
		return video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, n == 5 ? VIDEO_IN : VIDEO_OUT);
	case 7:
	case 8:
		return video_queue_command(w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, n == 7 ? VIDEO_IN : VIDEO_OUT);
	case 9:
		return video_create_buffer(w, 1, VIDEO_IN, 99, 64, NULL);
	case 10:
		video_read_params(w, 1, VIDEO_IN, &c.params);
		return video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &c, sizeof(c), NULL, 0);
	case 11:
		return video_send(w, VIRTIO_VIDEO_CMD_SET_CONTROL, 1, &set, sizeof(set), NULL, 0);
	default:
		return video_send(w, VIRTIO_VIDEO_CMD_GET_CONTROL, 1, &get, sizeof(get), NULL, 0);
	}
}

static void every_command_has_its_answer_in_every_state(void **state)
{
	enum { OP = INVALID_OPERATION, PARAM = VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER, OK = VIDEO_OK };
	enum { STREAM = VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID, VALUE = VIRTIO_VIDEO_RESP_OK_GET_CONTROL };
	static const uint32_t expected[][STATES] = {
		/*          IDLE    RUNNING DRAINING FAILED */
		/* create */ {STREAM, STREAM, STREAM, STREAM},
		/* destroy */ {OK, OK, OK, OK},
		/* drain */ {OK, OK, OP, OP},
		/* queue in */ {OK, OK, OP, OP},
		/* queue out */ {OK, OK, OK, OP},
		/* clear in */ {OK, OK, OK, OK},
		/* clear out */ {OK, OK, OK, OK},
		/* drop in */ {OK, OK, OK, OK},
		/* drop out */ {OK, OK, OK, OK},
		/* new resource */ {OK, OK, OK, OK},
		/* params */ {PARAM, PARAM, PARAM, PARAM},
		/* set control */ {OP, OP, OP, OP},
		/* get control */ {VALUE, VALUE, VALUE, VALUE},
	};

	(void)state;
	for (unsigned n = 0; n < sizeof(expected) / sizeof(expected[0]); n++) {
		for (unsigned k = 0; k < STATES; k++) {
			struct video_world *w = video_world_create(&(struct video_world_options){.memory_bytes = 4 << 20});
			struct stream s;
			uint32_t code;

			reach(&s, w, (enum state)k);
			code = do_command(&s, n);
			if (code != expected[n][k])
				fail_msg("command %u in state %u: 0x%x", n, k, code);
			/* The device is well. */
			video_settle(w);
			assert_int_equal(video_create_stream(w, 2, H264), VIDEO_OK);
			video_world_destroy(w);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_come_out_in_order_with_their_timestamps),
		cmocka_unit_test(planar_formats_have_their_chroma_in_place),
		cmocka_unit_test(a_picture_may_lie_in_pieces_and_in_planes_of_their_own),
		cmocka_unit_test(odd_sizes_are_rounded_up_and_cropped),
		cmocka_unit_test(input_waits_while_the_guest_takes_no_pictures),
		cmocka_unit_test(drain_waits_for_queued_input),
		cmocka_unit_test(drain_with_nothing_queued_is_answered_at_once),
		cmocka_unit_test(nothing_is_taken_while_draining),
		cmocka_unit_test(clear_gives_everything_back_and_is_answered_last),
		cmocka_unit_test(a_seek_shows_nothing_of_before),
		cmocka_unit_test(clearing_the_output_loses_no_picture),
		cmocka_unit_test(clearing_the_output_cancels_a_drain),
		cmocka_unit_test(a_drain_that_did_not_reach_the_codec_is_cancelled_alone),
		cmocka_unit_test(dropping_resources_gives_the_queued_ones_back),
		cmocka_unit_test(a_new_size_waits_for_new_buffers),
		cmocka_unit_test(buffers_too_small_for_the_new_size_are_refused),
		cmocka_unit_test(a_drain_lasts_over_a_change_of_size),
		cmocka_unit_test(events_wait_for_a_buffer),
		cmocka_unit_test(a_stream_that_is_gone_sends_no_events),
		cmocka_unit_test(a_codec_that_hangs_is_given_up),
		cmocka_unit_test(a_codec_that_hangs_delays_no_clear_and_no_destroy),
		cmocka_unit_test(a_guest_that_takes_nothing_is_no_hang),
		cmocka_unit_test(a_codec_that_fails_ends_its_stream_only),
		cmocka_unit_test(a_damaged_picture_is_marked),
		cmocka_unit_test(garbage_gives_no_picture_and_no_trouble),
		cmocka_unit_test(a_codec_that_breaks_is_replaced_unseen),
		cmocka_unit_test(a_drain_without_output_buffers_ends),
		cmocka_unit_test(reset_and_destroy_end_whatever_waits),
		cmocka_unit_test(eight_streams_run_side_by_side),
		cmocka_unit_test(an_encoder_marks_key_frames_and_keeps_every_sample),
		cmocka_unit_test(every_command_has_its_answer_in_every_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
