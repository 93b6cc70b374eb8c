// SPDX-License-Identifier: MIT
/*
 * Pictures in and out of a stream: order, timestamps, layouts, sizes.
 * Over the fake codec, whose input says what it does (host/video/codec_fake.h); in both dialects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/codec_fake.h"
#include "tests/lib/film.h"

#define ERR VIRTIO_VIDEO_BUFFER_FLAG_ERR
#define EOS VIRTIO_VIDEO_BUFFER_FLAG_EOS
#define CHANGED VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED

/* ---- pictures ---- */

static void pictures_come_out_in_order_with_their_timestamps(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct fake_request *r[FILM_OUTPUTS];
	struct virtio_video_params p;
	struct video_stats stats;
	struct film s;

	(void)state;
	film_start(&s, w, 7);
	video_read_params(w, 7, VIDEO_OUT, &p);
	assert_int_equal(p.frame_width, FILM_WIDTH);
	assert_int_equal(p.frame_height, FILM_HEIGHT);
	assert_int_equal(p.crop.width, FILM_WIDTH);
	assert_true(p.min_buffers >= 1 && p.max_buffers >= p.min_buffers);
	for (uint32_t i = 0; i < FILM_OUTPUTS; i++)
		r[i] = film_want(&s, i);
	for (uint32_t i = 1; i <= FILM_OUTPUTS; i++)
		film_feed_and_wait(&s, i);
	for (uint32_t i = 0; i < FILM_OUTPUTS; i++)
		film_expect_picture(&s, r[i], i, i, FILM_WIDTH, FILM_HEIGHT);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 7), VIDEO_OK);
	video_get_stats(w->device, &stats);
	assert_int_equal(stats.codec.frames_in, FILM_OUTPUTS + 1);
	assert_int_equal(stats.codec.frames_out, FILM_OUTPUTS);
	assert_int_equal(stats.codec.copies, FILM_OUTPUTS); /* one each */
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
		struct film s;

		film_make(&s, w, 1);
		film_feed_and_wait(&s, 3);
		film_expect_event(w, CHANGED, 1);
		video_read_params(w, 1, VIDEO_OUT, &c.params);
		c.params.format = video_format_number(w, k ? VIRTIO_VIDEO_FORMAT_YVU420 : VIRTIO_VIDEO_FORMAT_YUV420);
		assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &c, sizeof(c), NULL, 0), VIDEO_OK);
		film_make_outputs(&s);
		r = film_want(&s, 0);
		film_feed_and_wait(&s, 4);
		assert_int_equal(video_wait(w, r).flags, 0);
		check_planar(fake_guest_ptr(w->guest, s.out[0], FILM_OUTPUT_BYTES), 3, k ? yv12 : i420, FILM_WIDTH,
			     FILM_HEIGHT);
		video_world_destroy(w);
	}
}

/* All planes of what GET_PARAMS names, once that was set again, as drivers do: one buffer that ends with its last byte. */
static uint32_t named_bytes(struct video_world *w, uint32_t queue, uint32_t format)
{
	struct virtio_video_set_params c = {0};
	uint32_t bytes = 0;

	for (unsigned i = 0; i < 2; i++) {
		video_read_params(w, 1, queue, &c.params);
		c.params.format = format;
		c.params.frame_width = FILM_WIDTH;
		c.params.frame_height = FILM_HEIGHT;
		assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &c, sizeof(c), NULL, 0), VIDEO_OK);
	}
	video_read_params(w, 1, queue, &c.params);
	assert_int_equal(c.params.format, format);
	/* Formats of V4L2 that AGL's driver makes of these have one plane, and it makes as many as are named. */
	if (w->agl)
		assert_int_equal(c.params.num_planes, 1);
	for (unsigned i = 0; i < c.params.num_planes; i++)
		bytes += c.params.plane_formats[i].plane_size;
	return bytes;
}

static void a_buffer_of_the_size_that_parameters_name_holds_a_picture(void **state)
{
	static const uint32_t formats[] = {VIRTIO_VIDEO_FORMAT_NV12, VIRTIO_VIDEO_FORMAT_YUV420,
					   VIRTIO_VIDEO_FORMAT_YVU420};

	(void)state;
	for (unsigned k = 0; k < 6; k++) {
		const bool encoder = k >= 3;
		struct video_world *w = video_world_create(&(struct video_world_options){.encoder = encoder});
		const uint32_t format = video_format_number(w, formats[k % 3]), queue = encoder ? VIDEO_IN : VIDEO_OUT;
		struct virtio_video_resource_queue_resp resp;
		struct fake_request *r;
		struct film s;
		uint32_t bytes;

		if (encoder) {
			assert_int_equal(video_create_stream(w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
		} else {
			film_make(&s, w, 1);
			film_feed_and_wait(&s, 3);
			film_expect_event(w, CHANGED, 1);
		}
		bytes = named_bytes(w, queue, format);
		assert_int_equal(bytes, FILM_WIDTH * FILM_HEIGHT * 3 / 2);
		assert_int_equal(video_create_buffer(w, 1, queue, 50, bytes - 1, NULL), VIDEO_OK);
		resp = video_wait(w, video_queue(w, 1, queue, 50, bytes, 0));
		assert_int_equal(resp.hdr.type, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER);
		assert_int_equal(video_create_buffer(w, 1, queue, 50, bytes, NULL), VIDEO_OK);
		r = video_queue(w, 1, queue, 50, bytes, 0);
		if (!encoder)
			film_feed_and_wait(&s, 4);
		resp = video_wait(w, r);
		assert_int_equal(resp.hdr.type, VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE);
		assert_int_equal(resp.flags, 0);
		if (w->agl && !encoder)
			assert_int_equal(resp.size, bytes);
		video_world_destroy(w);
	}
}

static void a_picture_may_lie_in_pieces_and_in_planes_of_their_own(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct virtio_video_mem_entry e[5];
	static const uint32_t entries[] = {3, 2};
	struct {
		struct virtio_video_resource_create c;
		struct virtio_video_mem_entry e;
	} request = {
		.c = {.queue_type = VIDEO_OUT,
		      .resource_id = 52,
		      .planes_layout = VIRTIO_VIDEO_PLANES_LAYOUT_SINGLE_BUFFER,
		      .num_planes = 2,
		      .num_entries = {1},
		      .plane_offsets = {0, FILM_WIDTH * FILM_HEIGHT + 512}},
	};
	static const uint32_t lengths[] = {1000, 1, FILM_WIDTH * FILM_HEIGHT - 1001, 700,
					   FILM_WIDTH * FILM_HEIGHT / 2 - 700};
	uint8_t whole[FILM_WIDTH * FILM_HEIGHT * 3 / 2], *at = whole;
	struct film s;

	(void)state;
	film_start(&s, w, 1);
	for (unsigned i = 0; i < 5; i++)
		e[i] = (struct virtio_video_mem_entry){.addr = fake_guest_alloc_high(w->guest, lengths[i] + 3, 1),
						       .length = lengths[i]};
	assert_int_equal(video_create_planes(w, 1, VIDEO_OUT, 50, 2, entries, e), VIDEO_OK);
	assert_int_equal(video_create_scattered(w, 1, VIDEO_OUT, 51, e, 5), VIDEO_OK);
	for (uint32_t id = 50; id < 52; id++) {
		struct fake_request *r = film_want(&s, id);

		film_feed_and_wait(&s, id - 49);
		assert_int_equal(video_wait(w, r).flags, 0);
		at = whole;
		for (unsigned i = 0; i < 5; at += e[i++].length)
			memcpy(at, fake_guest_ptr(w->guest, e[i].addr, e[i].length), e[i].length);
		memcpy(fake_guest_ptr(w->guest, s.out[0], sizeof(whole)), whole, sizeof(whole));
		film_check_nv12(&s, 0, id - 50, FILM_WIDTH, FILM_HEIGHT);
	}
	/* Two planes in one buffer, with a gap between them. Dialect agl can't say that. */
	if (w->agl) {
		video_world_destroy(w);
		return;
	}
	request.e = (struct virtio_video_mem_entry){.addr = s.out[1], .length = FILM_OUTPUT_BYTES};
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_RESOURCE_CREATE, 1, &request, sizeof(request), NULL, 0),
			 VIDEO_OK);
	{
		struct fake_request *r = film_want(&s, 52);
		uint8_t *p = fake_guest_ptr(w->guest, s.out[1], FILM_OUTPUT_BYTES);

		film_feed_and_wait(&s, 3);
		assert_int_equal(video_wait(w, r).flags, 0);
		memmove(p + FILM_WIDTH * FILM_HEIGHT, p + FILM_WIDTH * FILM_HEIGHT + 512, FILM_WIDTH * FILM_HEIGHT / 2);
		film_check_nv12(&s, 1, 2, FILM_WIDTH, FILM_HEIGHT);
	}
	video_world_destroy(w);
}

static uint32_t set(struct video_world *w, struct virtio_video_set_params *c)
{
	return video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, c, sizeof(*c), NULL, 0);
}

static void check_size(struct video_world *w, uint32_t width, uint32_t height)
{
	struct virtio_video_params p;

	video_read_params(w, 1, VIDEO_IN, &p);
	assert_int_equal(p.frame_width, width);
	assert_int_equal(p.frame_height, height);
	video_read_params(w, 1, VIDEO_OUT, &p);
	assert_int_equal(p.frame_width, (width + 1) & ~1u);
	assert_int_equal(p.frame_height, (height + 1) & ~1u);
	assert_int_equal(p.crop.width, width);
	assert_int_equal(p.crop.height, height);
}

static void a_decoder_has_the_size_that_is_set_until_the_bitstream_tells(void **state)
{
	static const uint32_t sizes[][4] = {
		{352, 288, 352, 288}, {0, 288, 352, 288},   {353, 0, 352, 288},	    {0, 0, 352, 288},
		{353, 101, 353, 101}, {1, 70000, 32, 8192}, {~0u, ~0u, 8192, 8192}, {352, 288, 352, 288},
	};
	struct video_world *w = video_world_create(NULL);
	struct virtio_video_set_params c = {0};
	struct virtio_video_params *p = &c.params;
	struct film s;

	(void)state;
	assert_int_equal(video_create_stream(w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	video_read_params(w, 1, VIDEO_IN, p);
	check_size(w, 640, 480);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		p->frame_width = sizes[i][0];
		p->frame_height = sizes[i][1];
		assert_int_equal(set(w, &c), VIDEO_OK);
		check_size(w, sizes[i][2], sizes[i][3]);
	}
	/* Nothing is changed under buffers that were made. */
	assert_int_equal(video_create_buffer(w, 1, VIDEO_OUT, 1, 352 * 288 * 3 / 2, NULL), VIDEO_OK);
	p->frame_width = p->frame_height = 64;
	assert_int_equal(set(w, &c), VIDEO_OK);
	check_size(w, 352, 288);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);

	/* Told by the bitstream, it stays, even while no codec is there. */
	film_make(&s, w, 1);
	film_feed_and_wait(&s, 0);
	film_expect_event(w, CHANGED, 1);
	check_size(w, FILM_WIDTH, FILM_HEIGHT);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_IN), VIDEO_OK);
	p->frame_width = p->frame_height = 128;
	assert_int_equal(set(w, &c), VIDEO_OK);
	check_size(w, FILM_WIDTH, FILM_HEIGHT);
	/* That of another format is not known yet. */
	p->format = VIRTIO_VIDEO_FORMAT_VP8;
	assert_int_equal(set(w, &c), VIDEO_OK);
	check_size(w, 128, 128);
	video_world_destroy(w);
}

static void buffers_made_for_the_size_that_was_set_are_filled_if_it_is_right(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct video_world *w = video_world_create(NULL);
		struct virtio_video_set_params c = {0};
		struct fake_request *r, *event;
		struct film s;

		film_make(&s, w, 1);
		assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_IN), VIDEO_OK);
		video_read_params(w, 1, VIDEO_IN, &c.params);
		c.params.frame_width = FILM_WIDTH + 2 * k;
		c.params.frame_height = FILM_HEIGHT;
		assert_int_equal(set(w, &c), VIDEO_OK);
		for (uint32_t i = 0; i < FILM_INPUTS; i++)
			assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, i, 4096, &s.in[i]), VIDEO_OK);
		film_make_outputs(&s);
		event = video_post_event(w);
		r = film_want(&s, 0);
		film_feed_and_wait(&s, 0);
		film_feed_and_wait(&s, 1);
		video_settle(w);
		assert_int_equal(event->done, k == 1);
		assert_int_equal(r->done, k == 0);
		if (k == 0)
			film_expect_picture(&s, r, 0, 0, FILM_WIDTH, FILM_HEIGHT);
		video_world_destroy(w);
	}
}

static void odd_sizes_are_rounded_up_and_cropped(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct virtio_video_params p;
	struct fake_request *r;
	struct film s;

	(void)state;
	film_make(&s, w, 1);
	film_expect_flags(w, film_feed(&s, FAKE_PICTURE, 35, 33, 1), 0);
	film_expect_event(w, CHANGED, 1);
	video_read_params(w, 1, VIDEO_OUT, &p);
	assert_int_equal(p.frame_width, 36);
	assert_int_equal(p.frame_height, 34);
	assert_int_equal(p.crop.width, 35);
	assert_int_equal(p.crop.height, 33);
	film_make_outputs(&s);
	r = film_want(&s, 0);
	film_expect_flags(w, film_feed(&s, FAKE_PICTURE, 35, 33, 2), 0);
	assert_int_equal(video_wait(w, r).flags, 0);
	{
		const uint8_t *y = fake_guest_ptr(w->guest, s.out[0], FILM_OUTPUT_BYTES), *uv = y + 36 * 34;

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
	struct film s;

	(void)state;
	film_make(&s, w, 1);
	for (unsigned i = 0; i < FILM_INPUTS; i++)
		r[i] = film_feed_picture(&s, i);
	video_settle(w);
	/* What is back can be queued again, until the codec is full. */
	while (r[taken % FILM_INPUTS]->done && taken < 64) {
		fake_guest_free_request(w->guest, r[taken % FILM_INPUTS]);
		r[taken % FILM_INPUTS] = film_feed_picture(&s, FILM_INPUTS + taken);
		taken++;
		video_settle(w);
	}
	assert_true(taken >= 4 && taken < 16);
	video_world_destroy(w);
}

/* ---- encoder ---- */

static void an_encoder_marks_key_frames_and_keeps_every_sample(void **state)
{
	struct video_world *w = video_world_create(&(struct video_world_options){.encoder = true});
	const size_t size = FILM_WIDTH * FILM_HEIGHT * 3 / 2, packet = sizeof(struct fake_header) + size;
	struct virtio_video_set_params c = {.params = {.queue_type = VIDEO_IN,
						       .format = video_format_number(w, VIRTIO_VIDEO_FORMAT_YUV420),
						       .frame_width = FILM_WIDTH,
						       .frame_height = FILM_HEIGHT}};
	struct virtio_video_resource_queue_resp resp;
	struct fake_request *out[5], *drain;
	uint64_t in, to;
	uint8_t *picture;

	(void)state;
	assert_int_equal(video_create_stream(w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
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
			video_force_keyframe(w, 1);
		assert_int_equal(video_wait(w, video_queue(w, 1, VIDEO_IN, 0, (uint32_t)size, 10 + i)).timestamp,
				 10 + i);
	}
	drain = video_drain(w, 1);
	for (uint32_t i = 0; i < 3; i++) {
		resp = video_wait(w, out[i]);
		assert_int_equal(resp.flags, video_flags(w, i == 0 || i == 2 ? VIRTIO_VIDEO_BUFFER_FLAG_IFRAME
									     : VIRTIO_VIDEO_BUFFER_FLAG_PFRAME));
		assert_int_equal(resp.size, packet);
		assert_int_equal(resp.timestamp, 10 + i);
	}
	/* The packet had no room, and is lost. */
	resp = video_wait(w, out[3]);
	assert_int_equal(resp.flags, video_flags(w, ERR | VIRTIO_VIDEO_BUFFER_FLAG_PFRAME));
	assert_int_equal(resp.size, 0);
	film_expect_flags(w, out[4], EOS);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	video_world_destroy(w);
}

static void an_encoder_takes_planes_of_their_own_and_with_gaps(void **state)
{
	const uint32_t luma = FILM_WIDTH * FILM_HEIGHT, chroma = luma / 4, gap = 512;
	struct video_world *w = video_world_create(&(struct video_world_options){.encoder = true});
	struct virtio_video_set_params c = {.params = {.queue_type = VIDEO_IN,
						       .format = video_format_number(w, VIRTIO_VIDEO_FORMAT_YUV420),
						       .frame_width = FILM_WIDTH,
						       .frame_height = FILM_HEIGHT}};
	static const uint32_t entries[] = {2, 1, 1};
	const uint32_t lengths[] = {100, luma - 100, chroma, chroma};
	struct virtio_video_mem_entry e[4];
	struct {
		struct virtio_video_resource_create c;
		struct virtio_video_mem_entry e;
	} single = {.c = {.queue_type = VIDEO_IN,
			  .resource_id = 1,
			  .planes_layout = VIRTIO_VIDEO_PLANES_LAYOUT_SINGLE_BUFFER,
			  .num_planes = 3,
			  .num_entries = {1},
			  .plane_offsets = {gap, 2 * gap + luma, 3 * gap + luma + chroma}}};
	const size_t packet = sizeof(struct fake_header) + luma * 3 / 2;
	uint64_t to;

	(void)state;
	assert_int_equal(video_create_stream(w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &c, sizeof(c), NULL, 0), VIDEO_OK);
	for (unsigned i = 0; i < 4; i++) {
		e[i] = (struct virtio_video_mem_entry){.addr = fake_guest_alloc_high(w->guest, lengths[i] + 3, 1),
						       .length = lengths[i]};
		memset(fake_guest_ptr(w->guest, e[i].addr, lengths[i]), (int)(i < 2 ? 1 : i), lengths[i]);
	}
	assert_int_equal(video_create_planes(w, 1, VIDEO_IN, 0, 3, entries, e), VIDEO_OK);
	/* One plane is missing, and one is too small. */
	assert_int_equal(video_create_planes(w, 1, VIDEO_IN, 2, 2, entries, e), VIDEO_OK);
	assert_int_equal(video_wait(w, video_queue(w, 1, VIDEO_IN, 2, 0, 0)).hdr.type,
			 VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER);
	e[3].length--;
	assert_int_equal(video_create_planes(w, 1, VIDEO_IN, 3, 3, entries, e), VIDEO_OK);
	assert_int_equal(video_wait(w, video_queue(w, 1, VIDEO_IN, 3, 0, 0)).hdr.type,
			 VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER);
	if (!w->agl) {
		single.e.length = 3 * gap + luma + 2 * chroma;
		single.e.addr = fake_guest_alloc(w->guest, single.e.length, 1);
		for (unsigned i = 0; i < 3; i++)
			memset(fake_guest_ptr(w->guest, single.e.addr + single.c.plane_offsets[i], i ? chroma : luma),
			       (int)i + 1, i ? chroma : luma);
		assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_RESOURCE_CREATE, 1, &single, sizeof(single), NULL, 0),
				 VIDEO_OK);
	}
	assert_int_equal(video_create_buffer(w, 1, VIDEO_OUT, 0, packet, &to), VIDEO_OK);
	for (uint32_t id = 0; id < (w->agl ? 1 : 2); id++) {
		struct fake_request *out = video_queue(w, 1, VIDEO_OUT, 0, 0, 0);
		const uint8_t *p =
			fake_guest_ptr(w->guest, to + sizeof(struct fake_header), packet - sizeof(struct fake_header));

		assert_int_equal(video_wait(w, video_queue(w, 1, VIDEO_IN, id, 0, id)).flags, 0);
		assert_int_equal(video_wait(w, out).size, packet);
		for (uint32_t i = 0; i < luma + 2 * chroma; i++)
			assert_int_equal(p[i], i < luma ? 1 : i < luma + chroma ? 2 : 3);
	}
	video_world_destroy(w);
}

/* All or nothing. The rate is taken where the rest stays as it is, even while there are buffers. */
static void params_that_are_refused_change_nothing(void **state)
{
	struct video_world *w = video_world_create(&(struct video_world_options){.encoder = true});
	struct virtio_video_set_params c = {0};
	struct virtio_video_params p;

	(void)state;
	assert_int_equal(video_create_stream(w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	video_read_params(w, 1, VIDEO_OUT, &c.params);
	c.params.format = 0x1fff;
	c.params.frame_rate = 50;
	assert_int_equal(set(w, &c), VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER);
	video_read_params(w, 1, VIDEO_OUT, &p);
	assert_int_equal(p.frame_rate, 30);
	assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, 1, 640 * 720, NULL), VIDEO_OK);
	video_read_params(w, 1, VIDEO_IN, &c.params);
	c.params.frame_width = 320;
	c.params.frame_rate = 50;
	assert_int_equal(set(w, &c), VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER);
	video_read_params(w, 1, VIDEO_IN, &p);
	assert_int_equal(p.frame_width, 640);
	assert_int_equal(p.frame_rate, 30);
	c.params.frame_width = 640;
	assert_int_equal(set(w, &c), VIDEO_OK);
	video_read_params(w, 1, VIDEO_OUT, &p);
	assert_int_equal(p.frame_rate, 50);
	video_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_come_out_in_order_with_their_timestamps),
		cmocka_unit_test(planar_formats_have_their_chroma_in_place),
		cmocka_unit_test(a_buffer_of_the_size_that_parameters_name_holds_a_picture),
		cmocka_unit_test(a_picture_may_lie_in_pieces_and_in_planes_of_their_own),
		cmocka_unit_test(a_decoder_has_the_size_that_is_set_until_the_bitstream_tells),
		cmocka_unit_test(buffers_made_for_the_size_that_was_set_are_filled_if_it_is_right),
		cmocka_unit_test(odd_sizes_are_rounded_up_and_cropped),
		cmocka_unit_test(input_waits_while_the_guest_takes_no_pictures),
		cmocka_unit_test(params_that_are_refused_change_nothing),
		cmocka_unit_test(an_encoder_takes_planes_of_their_own_and_with_gaps),
		cmocka_unit_test(an_encoder_marks_key_frames_and_keeps_every_sample),
	};

	return video_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
