// SPDX-License-Identifier: MIT
/* A virtio-media decoder at work: pictures and their time, shared pages, drain and seek. Over the fake codec. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "tests/lib/media_player.h"

/* ---- decoding ---- */

static void pictures_come_out_in_order_with_their_time(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	for (uint32_t n = 1; n < 20; n++) {
		player_feed(&p, n);
		player_want(&p, player_expect_picture(&p, n - 1));
	}
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	player_expect_picture(&p, 19);
	player_expect_end(&p);
	player_expect_nothing(&p);
	media_world_destroy(w);
}

static void sequence_numbers_count_each_queue(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	for (uint32_t n = 1; n < 4; n++) {
		player_queue(&p, n);
		assert_int_equal(media_dequeue(w, p.id, MEDIA_OUTPUT).buffer.sequence, n);
		assert_int_equal(media_dequeue(w, p.id, MEDIA_CAPTURE).buffer.sequence, n - 1);
	}
	media_world_destroy(w);
}

static void a_damaged_picture_has_the_error_flag(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_queue_unit(&p, FAKE_DAMAGED, PLAYER_WIDTH, PLAYER_HEIGHT, 1);
	player_feed(&p, 2);
	player_expect_picture(&p, 0);
	player_expect_picture_of(&p, 1, PLAYER_WIDTH, PLAYER_HEIGHT, V4L2_BUF_FLAG_ERROR);
	media_world_destroy(w);
}

static void time_codes_go_along(void **state)
{
	struct media_world *w = media_world_create(NULL);
	const struct fake_header h = {FAKE_MAGIC, FAKE_PICTURE, PLAYER_WIDTH, PLAYER_HEIGHT, 1};
	const struct v4l2_timecode code = {V4L2_TC_TYPE_30FPS, V4L2_TC_USERBITS_8BITCHARS, 1, 2, 3, 4, "tst"};
	struct v4l2_buffer b = {.type = MEDIA_OUTPUT,
				.index = 1,
				.memory = V4L2_MEMORY_MMAP,
				.length = 1,
				.flags = V4L2_BUF_FLAG_TIMECODE | V4L2_BUF_FLAG_TSTAMP_SRC_SOE |
					 V4L2_BUF_FLAG_NO_CACHE_CLEAN,
				.timestamp = {3, 4},
				.timecode = code};
	struct v4l2_plane plane = {.bytesused = sizeof(h)};
	struct virtio_media_event_dqbuf e;
	struct player p;

	(void)state;
	player_start(&p, w);
	memcpy(p.in[1], &h, sizeof(h));
	assert_int_equal(media_call_long(w, p.id, VIDIOC_QBUF, &b, &plane, sizeof(plane), NULL, 0), 0);
	assert_int_equal(b.flags, V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_TIMESTAMP_COPY | V4L2_BUF_FLAG_TIMECODE |
					  V4L2_BUF_FLAG_TSTAMP_SRC_SOE);
	assert_int_equal(b.sequence, 0);
	e = media_dequeue(w, p.id, MEDIA_OUTPUT);
	assert_memory_equal(&e.buffer.timecode, &code, sizeof(code));
	p.next_in = 2;
	player_feed(&p, 2);
	player_expect_picture(&p, 0);
	e = media_dequeue(w, p.id, MEDIA_CAPTURE);
	assert_int_equal(e.buffer.flags,
			 V4L2_BUF_FLAG_TIMESTAMP_COPY | V4L2_BUF_FLAG_TIMECODE | V4L2_BUF_FLAG_TSTAMP_SRC_SOE);
	assert_memory_equal(&e.buffer.timecode, &code, sizeof(code));
	assert_int_equal(e.buffer.timestamp.tv_sec, 3);
	assert_int_equal(e.buffer.timestamp.tv_usec, 4);
	media_world_destroy(w);
}

static void planes_may_lie_apart(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct v4l2_plane planes[2];
	struct v4l2_buffer b = {0};
	uint64_t at[2];
	struct player p;
	uint32_t one = 1;

	(void)state;
	player_open(&p, w);
	player_feed(&p, 0);
	player_expect_change(&p);
	player_set_format(&p, MEDIA_CAPTURE, V4L2_PIX_FMT_NV12M, PLAYER_WIDTH, PLAYER_HEIGHT);
	assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_MMAP, &one), 0);
	assert_int_equal(media_query(w, p.id, MEDIA_CAPTURE, 0, &b, planes, 1), -EINVAL);
	assert_int_equal(media_query(w, p.id, MEDIA_CAPTURE, 0, &b, planes, 2), 0);
	assert_int_equal(b.length, 2);
	assert_int_equal(planes[0].length, PLAYER_WIDTH * PLAYER_HEIGHT);
	assert_int_equal(planes[1].length, PLAYER_WIDTH * PLAYER_HEIGHT / 2);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(media_map(w, p.id, planes[i].m.mem_offset, false, &at[i], NULL), 0);
	b.memory = V4L2_MEMORY_MMAP;
	assert_int_equal(media_call_long(w, p.id, VIDIOC_QBUF, &b, planes, sizeof(planes), NULL, 0), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, true), 0);
	player_feed(&p, 1);
	assert_int_equal(media_dequeue(w, p.id, MEDIA_CAPTURE).planes[1].bytesused, PLAYER_WIDTH * PLAYER_HEIGHT / 2);
	for (uint32_t i = 0; i < PLAYER_WIDTH * PLAYER_HEIGHT / 2; i++) {
		const uint32_t x = i % PLAYER_WIDTH, y = i / PLAYER_WIDTH;

		assert_int_equal(media_seen(w, at[0])[i], fake_sample(0, 0, x, y));
		assert_int_equal(media_seen(w, at[1])[i], fake_sample(0, 1 + x % 2, x / 2, y));
	}
	media_world_destroy(w);
}

static void pictures_come_out_in_every_format(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLAYER_RAWS; i++) {
		struct media_world *w = media_world_create(NULL);
		struct player_picture picture;
		struct virtio_media_event_dqbuf e;
		struct player p;
		uint32_t one = 1;

		player_open(&p, w);
		player_feed(&p, 0);
		player_expect_change(&p);
		player_set_format(&p, MEDIA_CAPTURE, player_raws[i].fourcc, PLAYER_WIDTH, PLAYER_HEIGHT);
		assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_MMAP, &one), 0);
		player_map_picture(&p, MEDIA_CAPTURE, 0, &player_raws[i], &picture);
		assert_int_equal(media_call_long(w, p.id, VIDIOC_QBUF, &picture.buffer, picture.planes,
						 picture.buffer.length * sizeof(picture.planes[0]), NULL, 0),
				 0);
		assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, true), 0);
		player_feed(&p, 1);
		e = media_dequeue(w, p.id, MEDIA_CAPTURE);
		assert_int_equal(e.buffer.length, picture.buffer.length);
		for (uint32_t k = 0; k < e.buffer.length; k++)
			assert_int_equal(e.planes[k].bytesused, picture.planes[k].length);
		for (unsigned k = 0; k < 3; k++) {
			for (uint32_t y = 0; y < PLAYER_HEIGHT / (k ? 2 : 1); y++) {
				for (uint32_t x = 0; x < PLAYER_WIDTH / (k ? 2 : 1); x++)
					assert_int_equal(*player_sample(&picture, k, x, y), fake_sample(0, k, x, y));
			}
		}
		media_world_destroy(w);
	}
}

/* ---- shared pages ---- */

/* QBUF of one plane in pieces of @piece bytes that lie apart. */
static int queue_pages(struct player *p, uint32_t type, uint32_t index, const uint64_t *gpas, unsigned count,
		       uint32_t piece, uint32_t length, uint32_t used)
{
	struct v4l2_buffer b = {.index = index, .type = type, .memory = V4L2_MEMORY_USERPTR, .length = 1};
	struct v4l2_plane plane = {.bytesused = used, .length = length, .m.userptr = 0x7f0012345000};
	struct virtio_media_sg_entry e[64] = {0};
	int err;

	for (unsigned i = 0; i < count; i++)
		e[i] = (struct virtio_media_sg_entry){.start = gpas[i], .len = piece};
	err = media_call_long(p->w, p->id, VIDIOC_QBUF, &b, &plane, sizeof(plane), e, count * sizeof(e[0]));
	if (!err)
		assert_int_equal(plane.m.userptr, 0x7f0012345000);
	return err;
}

static void ten_bits_have_words_of_their_own(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct virtio_media_event_dqbuf e;
	const uint8_t *at;
	struct player p;

	(void)state;
	player_open(&p, w);
	player_feed(&p, 5);
	player_expect_change(&p);
	player_set_format(&p, MEDIA_CAPTURE, V4L2_PIX_FMT_P010, PLAYER_WIDTH, PLAYER_HEIGHT);
	player_start_capture(&p);
	player_feed(&p, 6);
	e = media_dequeue(w, p.id, MEDIA_CAPTURE);
	assert_int_equal(e.planes[0].bytesused, PLAYER_WIDTH * PLAYER_HEIGHT * 3);
	at = p.out[e.buffer.index];
	for (uint32_t y = 0; y < PLAYER_HEIGHT * 3 / 2; y++) {
		for (uint32_t x = 0; x < PLAYER_WIDTH; x++, at += 2) {
			const bool luma = y < PLAYER_HEIGHT;

			assert_int_equal(at[0], 0);
			assert_int_equal(at[1], fake_sample(5, luma ? 0 : 1 + x % 2, luma ? x : x / 2,
							    luma ? y : y - PLAYER_HEIGHT));
		}
	}
	media_world_destroy(w);
}

static void shared_pages_are_the_guests_own(void **state)
{
	enum {
		PIECE = 1000,
		PIECES = PLAYER_WIDTH * PLAYER_HEIGHT * 3 / 2 / PIECE + 1,
		BYTES = PLAYER_WIDTH * PLAYER_HEIGHT * 3 / 2,
		CODED = 1 << 16
	};
	struct media_world *w = media_world_create(NULL);
	uint64_t in, out[PIECES];
	uint8_t picture[PIECES * PIECE];
	struct player p = {.w = w};
	uint32_t count = 2;

	(void)state;
	assert_int_equal(media_open(w, &p.id), 0);
	player_set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, PLAYER_WIDTH, PLAYER_HEIGHT);
	assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_USERPTR, &count), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_USERPTR, &count), 0);
	in = fake_guest_alloc(w->guest, CODED, 4096);
	for (unsigned i = 0; i < PIECES; i++) {
		out[i] = fake_guest_alloc(w->guest, PIECE + 24, 8);
		memset(fake_guest_ptr(w->guest, out[i], PIECE), 0xee, PIECE);
	}
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, true), 0);
	for (uint32_t n = 0; n < 2; n++) {
		const struct fake_header h = {FAKE_MAGIC, FAKE_PICTURE, PLAYER_WIDTH, PLAYER_HEIGHT, n + 5};
		struct virtio_media_event_dqbuf e;

		memcpy(fake_guest_ptr(w->guest, in, sizeof(h)), &h, sizeof(h));
		assert_int_equal(queue_pages(&p, MEDIA_OUTPUT, n, &in, 1, CODED, CODED, sizeof(h)), 0);
		e = media_dequeue(w, p.id, MEDIA_OUTPUT);
		assert_int_equal(e.planes[0].m.userptr, 0x7f0012345000);
		assert_int_equal(e.buffer.memory, V4L2_MEMORY_USERPTR);
	}
	assert_int_equal(queue_pages(&p, MEDIA_CAPTURE, 1, out, PIECES, PIECE, BYTES, 0), 0);
	assert_int_equal(media_dequeue(w, p.id, MEDIA_CAPTURE).planes[0].bytesused, BYTES);
	for (unsigned i = 0; i < PIECES; i++)
		memcpy(picture + i * PIECE, fake_guest_ptr(w->guest, out[i], PIECE), PIECE);
	player_check_nv12(picture, 5, PLAYER_WIDTH, PLAYER_HEIGHT);
	/* The last entry had more than the plane. */
	for (size_t i = BYTES; i < sizeof(picture); i++)
		assert_int_equal(picture[i], 0xee);
	media_world_destroy(w);
}

/* As MMAP's: a client that goes on with the buffers that it has until one is marked as the last. */
static void shared_pages_of_an_old_size_are_taken_behind_it(void **state)
{
	enum { SMALL = PLAYER_WIDTH * PLAYER_HEIGHT * 3 / 2, LARGE = SMALL * 4, CODED = 1 << 16 };
	static const struct fake_header units[] = {
		{FAKE_MAGIC, FAKE_PICTURE, PLAYER_WIDTH, PLAYER_HEIGHT, 1},
		{FAKE_MAGIC, FAKE_PICTURE, PLAYER_WIDTH * 2, PLAYER_HEIGHT * 2, 2},
		{FAKE_MAGIC, FAKE_PICTURE, PLAYER_WIDTH * 2, PLAYER_HEIGHT * 2, 3},
	};
	struct media_world *w = media_world_create(NULL);
	struct player p = {.w = w};
	uint32_t count = 3, none = 0;
	uint64_t in[3], out;

	(void)state;
	assert_int_equal(media_open(w, &p.id), 0);
	assert_int_equal(media_subscribe_to(w, p.id, V4L2_EVENT_SOURCE_CHANGE, 0, 0), 0);
	player_set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, PLAYER_WIDTH, PLAYER_HEIGHT);
	assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_USERPTR, &count), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_USERPTR, &count), 0);
	out = fake_guest_alloc(w->guest, LARGE, 4096);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, true), 0);
	/* Before the change it would be too small. */
	assert_int_equal(queue_pages(&p, MEDIA_CAPTURE, 0, &out, 1, LARGE, SMALL - 1, 0), -EINVAL);
	assert_int_equal(queue_pages(&p, MEDIA_CAPTURE, 0, &out, 1, LARGE, SMALL, 0), 0);
	for (uint32_t n = 0; n < 3; n++) {
		in[n] = fake_guest_alloc(w->guest, CODED, 4096);
		memcpy(fake_guest_ptr(w->guest, in[n], sizeof(units[n])), &units[n], sizeof(units[n]));
		assert_int_equal(queue_pages(&p, MEDIA_OUTPUT, n, &in[n], 1, CODED, CODED, sizeof(units[n])), 0);
	}
	player_expect_change(&p);
	assert_int_equal(media_dequeue(w, p.id, MEDIA_CAPTURE).planes[0].bytesused, SMALL);
	player_expect_change(&p);
	assert_int_equal(queue_pages(&p, MEDIA_CAPTURE, 1, &out, 1, LARGE, SMALL, 0), 0);
	assert_int_equal(media_dequeue(w, p.id, MEDIA_CAPTURE).buffer.flags,
			 V4L2_BUF_FLAG_LAST | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(queue_pages(&p, MEDIA_CAPTURE, 2, &out, 1, LARGE, SMALL, 0), 0);
	/* One of no bytes at all is too small, too. */
	assert_int_equal(queue_pages(&p, MEDIA_CAPTURE, 0, &out, 1, LARGE, 0, 0), 0);
	assert_int_equal(media_command(w, p.id, false, PLAYER_START), 0);
	for (unsigned n = 0; n < 2; n++) {
		const struct virtio_media_event_dqbuf e = media_dequeue(w, p.id, MEDIA_CAPTURE);

		assert_int_equal(e.buffer.flags, V4L2_BUF_FLAG_ERROR | V4L2_BUF_FLAG_TIMESTAMP_COPY);
		assert_int_equal(e.planes[0].bytesused, n ? 0 : SMALL);
	}
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, false), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_USERPTR, &none), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_USERPTR, &count), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, true), 0);
	assert_int_equal(queue_pages(&p, MEDIA_CAPTURE, 0, &out, 1, LARGE, SMALL, 0), -EINVAL);
	assert_int_equal(queue_pages(&p, MEDIA_CAPTURE, 0, &out, 1, LARGE, LARGE, 0), 0);
	assert_int_equal(media_dequeue(w, p.id, MEDIA_CAPTURE).planes[0].bytesused, LARGE);
	player_check_nv12(fake_guest_ptr(w->guest, out, LARGE), 2, PLAYER_WIDTH * 2, PLAYER_HEIGHT * 2);
	media_world_destroy(w);
}

static void shared_pages_must_be_there(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p = {.w = w};
	uint64_t in, wrong = 0x7000000000ull;
	uint32_t count = 1;

	(void)state;
	assert_int_equal(media_open(w, &p.id), 0);
	player_set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, PLAYER_WIDTH, PLAYER_HEIGHT);
	assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_USERPTR, &count), 0);
	in = fake_guest_alloc(w->guest, 1 << 16, 4096);
	assert_int_equal(queue_pages(&p, MEDIA_OUTPUT, 0, &wrong, 1, 1 << 16, 1 << 16, 20), -EINVAL);
	/* Too few bytes of entries, an empty one, a plane that is too short, more used than there is. */
	assert_int_equal(queue_pages(&p, MEDIA_OUTPUT, 0, &in, 1, 4096, 1 << 16, 20), -EINVAL);
	assert_int_equal(queue_pages(&p, MEDIA_OUTPUT, 0, &in, 1, 0, 1 << 16, 20), -EINVAL);
	assert_int_equal(queue_pages(&p, MEDIA_OUTPUT, 0, &in, 0, 0, 1 << 16, 20), -EINVAL);
	assert_int_equal(queue_pages(&p, MEDIA_OUTPUT, 0, &in, 1, 4096, 4096, 20), -EINVAL);
	assert_int_equal(queue_pages(&p, MEDIA_OUTPUT, 0, &in, 1, 1 << 16, 1 << 16, (1 << 16) + 1), -EINVAL);
	assert_int_equal(queue_pages(&p, MEDIA_OUTPUT, 0, &in, 1, 1 << 16, 1 << 16, 20), 0);
	media_world_destroy(w);
}

/* More pieces than a buffer may have, and more coded data than is looked at at once; both fit into the guest's memory. */
static void pieces_and_coded_data_have_limits(void **state)
{
	enum { PIECE = 4 << 20, PIECES = 9, MOST = 32 << 20 };
	struct media_world *w = media_world_create(&(struct video_world_options){.buffer_entries = PIECES});
	struct player p = {.w = w};
	uint64_t in[PIECES + 1];
	uint32_t count = 1;

	(void)state;
	assert_int_equal(media_open(w, &p.id), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_USERPTR, &count), 0);
	in[0] = fake_guest_alloc(w->guest, PIECE, 4096);
	for (unsigned i = 1; i <= PIECES; i++)
		in[i] = in[0];
	assert_int_equal(queue_pages(&p, MEDIA_OUTPUT, 0, in, PIECES + 1, PIECE, (PIECES + 1) * PIECE, 20), -ENOMEM);
	assert_int_equal(queue_pages(&p, MEDIA_OUTPUT, 0, in, PIECES, PIECE, PIECES * PIECE, MOST + 1), -ENOMEM);
	assert_int_equal(queue_pages(&p, MEDIA_OUTPUT, 0, in, PIECES, PIECE, PIECES * PIECE, MOST), 0);
	media_world_destroy(w);
}

/* ---- drain ---- */

static void a_drain_ends_with_the_last_flag_and_holds_what_comes_after(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_queue(&p, 1);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	player_expect_input(&p, 0);
	player_want(&p, player_expect_picture(&p, 0));
	player_want(&p, player_expect_picture(&p, 1));
	player_expect_end(&p);
	/* It is accepted, and waits. */
	player_queue(&p, 2);
	player_queue(&p, 3);
	player_expect_nothing(&p);
	assert_int_equal(media_command(w, p.id, false, PLAYER_START), 0);
	player_expect_input(&p, 0);
	player_expect_input(&p, 0);
	player_expect_picture(&p, 2);
	media_world_destroy(w);
}

static void a_second_stop_is_busy_and_then_nothing(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;
	uint32_t i;

	(void)state;
	player_start(&p, w);
	for (uint32_t n = 1; n < 4; n++)
		player_feed(&p, n);
	i = player_expect_picture(&p, 0);
	player_expect_picture(&p, 1);
	player_expect_picture(&p, 2);
	player_queue(&p, 4);
	player_expect_input(&p, 0);
	player_expect_picture(&p, 3);
	/* There is no buffer for picture 4. */
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	media_settle(w);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), -EBUSY);
	assert_int_equal(media_command(w, p.id, false, PLAYER_START), -EBUSY);
	player_want(&p, i);
	player_expect_picture(&p, 4);
	player_expect_nothing(&p);
	player_want(&p, i);
	player_expect_end(&p);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	player_expect_nothing(&p);
	media_world_destroy(w);
}

static void a_drain_of_nothing_ends_with_the_next_buffer(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_open(&p, w);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	player_expect_nothing(&p);
	/* Until then it is at work. */
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), -EBUSY);
	assert_int_equal(media_command(w, p.id, false, PLAYER_START), -EBUSY);
	player_start_capture(&p);
	assert_int_equal(media_next_event(w, p.id).u.event.event.type, V4L2_EVENT_EOS);
	player_expect_last(&p);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	player_expect_nothing(&p);
	media_world_destroy(w);
}

static void a_drain_before_capture_is_on_goes_on(void **state)
{
	struct media_world *w = media_world_create(NULL);
	uint32_t none = 0;
	struct player p;

	(void)state;
	player_open(&p, w);
	player_feed(&p, 0);
	player_feed(&p, 1);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	player_expect_change(&p);
	/* As clients do before they make buffers. */
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, false), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_MMAP, &none), 0);
	player_start_capture(&p);
	player_expect_picture(&p, 0);
	player_expect_picture(&p, 1);
	player_expect_end(&p);
	media_world_destroy(w);
}

static void stopping_what_is_off_does_nothing(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p = {.w = w};

	(void)state;
	assert_int_equal(media_open(w, &p.id), 0);
	assert_int_equal(media_subscribe_to(w, p.id, V4L2_EVENT_EOS, 0, 0), 0);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	assert_int_equal(media_command(w, p.id, false, PLAYER_START), 0);
	player_expect_nothing(&p);
	media_world_destroy(w);
}

static void restarting_capture_ends_a_stop(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	player_expect_picture(&p, 0);
	player_expect_end(&p);
	player_queue(&p, 7);
	player_expect_nothing(&p);
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, false), 0);
	player_expect_input(&p, 0);
	player_queue(&p, 8);
	player_expect_input(&p, 0);
	for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
		player_want(&p, i);
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, true), 0);
	player_expect_picture(&p, 7);
	media_world_destroy(w);
}

/* ---- seek ---- */

static void a_seek_returns_the_input_and_forgets_what_was_decoded(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_feed(&p, 1);
	player_expect_picture(&p, 0);
	player_queue_unit(&p, FAKE_HANG, PLAYER_WIDTH, PLAYER_HEIGHT, 2);
	player_queue(&p, 3);
	media_settle(w);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
	/* All of them are the guest's again, without a word. */
	while (media_events_left(w, p.id))
		media_next_event(w, p.id);
	for (uint32_t i = 0; i < PLAYER_INPUTS; i++) {
		struct v4l2_plane plane;
		struct v4l2_buffer b;

		assert_int_equal(media_query(w, p.id, MEDIA_OUTPUT, i, &b, &plane, 1), 0);
		assert_int_equal(b.flags, V4L2_BUF_FLAG_TIMESTAMP_COPY);
	}
	player_queue(&p, 10);
	player_queue(&p, 11);
	player_expect_nothing(&p);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	player_expect_input(&p, 0);
	player_expect_input(&p, 0);
	player_expect_picture(&p, 10);
	player_expect_nothing(&p);
	media_world_destroy(w);
}

static void a_seek_in_a_drain_ends_it_without_an_end(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_queue_unit(&p, FAKE_HANG, PLAYER_WIDTH, PLAYER_HEIGHT, 1);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	media_settle(w);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), -EBUSY);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	while (media_events_left(w, p.id))
		assert_int_equal(media_next_event(w, p.id).u.dqbuf.buffer.flags & V4L2_BUF_FLAG_LAST, 0);
	player_feed(&p, 3);
	player_feed(&p, 4);
	player_expect_picture(&p, 3);
	media_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_come_out_in_order_with_their_time),
		cmocka_unit_test(sequence_numbers_count_each_queue),
		cmocka_unit_test(a_damaged_picture_has_the_error_flag),
		cmocka_unit_test(time_codes_go_along),
		cmocka_unit_test(planes_may_lie_apart),
		cmocka_unit_test(pictures_come_out_in_every_format),
		cmocka_unit_test(ten_bits_have_words_of_their_own),
		cmocka_unit_test(shared_pages_are_the_guests_own),
		cmocka_unit_test(shared_pages_of_an_old_size_are_taken_behind_it),
		cmocka_unit_test(shared_pages_must_be_there),
		cmocka_unit_test(pieces_and_coded_data_have_limits),
		cmocka_unit_test(a_drain_ends_with_the_last_flag_and_holds_what_comes_after),
		cmocka_unit_test(a_second_stop_is_busy_and_then_nothing),
		cmocka_unit_test(a_drain_of_nothing_ends_with_the_next_buffer),
		cmocka_unit_test(a_drain_before_capture_is_on_goes_on),
		cmocka_unit_test(stopping_what_is_off_does_nothing),
		cmocka_unit_test(restarting_capture_ends_a_stop),
		cmocka_unit_test(a_seek_returns_the_input_and_forgets_what_was_decoded),
		cmocka_unit_test(a_seek_in_a_drain_ends_it_without_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
