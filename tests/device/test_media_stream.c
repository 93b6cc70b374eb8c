// SPDX-License-Identifier: MIT
/*
 * A virtio-media session at work: decoding and encoding, drain, seek, changes of size, trouble, MMAP buffers and shared
 * pages. Over the fake codec, whose input says what it does (host/video/codec_fake.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/codec_fake.h"
#include "tests/lib/media_world.h"

enum { INPUTS = 4, OUTPUTS = 4, WIDTH = 64, HEIGHT = 48 };

#define STOP 1u
#define START 0u
_Static_assert(V4L2_DEC_CMD_STOP == STOP && V4L2_DEC_CMD_START == START, "one name for both kinds");
_Static_assert(V4L2_ENC_CMD_STOP == STOP && V4L2_ENC_CMD_START == START, "one name for both kinds");

struct player {
	struct media_world *w;
	uint32_t id;
	uint8_t *in[INPUTS], *out[OUTPUTS]; /* as the guest sees them */
	uint64_t in_at[INPUTS], out_at[OUTPUTS];
	uint32_t next_in;
};

static void make_buffers(struct player *p, uint32_t type, uint32_t count, uint8_t **seen, uint64_t *at)
{
	uint32_t made = count;

	assert_int_equal(media_request(p->w, p->id, type, V4L2_MEMORY_MMAP, &made), 0);
	assert_int_equal(made, count);
	for (uint32_t i = 0; i < count; i++) {
		struct v4l2_plane plane;
		struct v4l2_buffer b;
		uint64_t bytes;

		assert_int_equal(media_query(p->w, p->id, type, i, &b, &plane, 1), 0);
		assert_int_equal(media_map(p->w, p->id, plane.m.mem_offset, true, &at[i], &bytes), 0);
		assert_int_equal(bytes, plane.length);
		seen[i] = media_seen(p->w, at[i]);
	}
}

static void set_format(struct player *p, uint32_t type, uint32_t fourcc, uint32_t width, uint32_t height)
{
	struct v4l2_format f = {.type = type};

	f.fmt.pix_mp.pixelformat = fourcc;
	f.fmt.pix_mp.width = width;
	f.fmt.pix_mp.height = height;
	f.fmt.pix_mp.num_planes = 1;
	f.fmt.pix_mp.plane_fmt[0].sizeimage = 1 << 16;
	assert_int_equal(media_call(p->w, p->id, VIDIOC_S_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.pixelformat, fourcc);
}

/* A session whose OUTPUT is on. */
static void open_player(struct player *p, struct media_world *w)
{
	*p = (struct player){.w = w};
	assert_int_equal(media_open(w, &p->id), 0);
	set_format(p, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, WIDTH, HEIGHT);
	assert_int_equal(media_subscribe_to(w, p->id, V4L2_EVENT_SOURCE_CHANGE, 0, 0), 0);
	assert_int_equal(media_subscribe_to(w, p->id, V4L2_EVENT_EOS, 0, 0), 0);
	make_buffers(p, MEDIA_OUTPUT, INPUTS, p->in, p->in_at);
	assert_int_equal(media_stream(w, p->id, MEDIA_OUTPUT, true), 0);
}

static void queue_unit(struct player *p, uint32_t unit, uint32_t width, uint32_t height, uint32_t value)
{
	const struct fake_header h = {FAKE_MAGIC, unit, width, height, value};
	const uint32_t i = p->next_in++ % INPUTS;

	memcpy(p->in[i], &h, sizeof(h));
	assert_int_equal(media_queue_buffer(p->w, p->id, MEDIA_OUTPUT, i, sizeof(h), 1000000 + value), 0);
}

static void queue_picture(struct player *p, uint32_t value)
{
	queue_unit(p, FAKE_PICTURE, WIDTH, HEIGHT, value);
}

/* The OUTPUT buffer comes back as it was queued. */
static void expect_input(struct player *p, uint32_t flags)
{
	const struct virtio_media_event_dqbuf e = media_dequeue(p->w, p->id, MEDIA_OUTPUT);

	assert_int_equal(e.buffer.flags, flags | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(e.planes[0].bytesused, sizeof(struct fake_header));
	assert_int_equal(e.buffer.length, 1);
}

static void feed(struct player *p, uint32_t value)
{
	queue_picture(p, value);
	expect_input(p, 0);
}

static void want(struct player *p, uint32_t i)
{
	assert_int_equal(media_queue_buffer(p->w, p->id, MEDIA_CAPTURE, i, 0, 0), 0);
}

static void expect_change(struct player *p)
{
	const struct v4l2_event e = media_dequeue_event(p->w, p->id);

	assert_int_equal(e.type, V4L2_EVENT_SOURCE_CHANGE);
	assert_int_equal(e.u.src_change.changes, V4L2_EVENT_SRC_CH_RESOLUTION);
}

static void expect_size(struct player *p, uint32_t width, uint32_t height)
{
	struct v4l2_format f = {.type = MEDIA_CAPTURE};
	struct v4l2_selection r = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .target = V4L2_SEL_TGT_COMPOSE};

	assert_int_equal(media_call(p->w, p->id, VIDIOC_G_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.width, (width + 1) & ~1u);
	assert_int_equal(f.fmt.pix_mp.height, (height + 1) & ~1u);
	assert_int_equal(media_call(p->w, p->id, VIDIOC_G_SELECTION, &r), 0);
	assert_int_equal(r.r.width, width);
	assert_int_equal(r.r.height, height);
}

static void start_capture(struct player *p)
{
	make_buffers(p, MEDIA_CAPTURE, OUTPUTS, p->out, p->out_at);
	for (uint32_t i = 0; i < OUTPUTS; i++)
		want(p, i);
	assert_int_equal(media_stream(p->w, p->id, MEDIA_CAPTURE, true), 0);
}

static void stop_capture(struct player *p)
{
	uint32_t none = 0;

	assert_int_equal(media_stream(p->w, p->id, MEDIA_CAPTURE, false), 0);
	for (uint32_t i = 0; i < OUTPUTS; i++)
		assert_int_equal(media_unmap(p->w, p->out_at[i]), 0);
	assert_int_equal(media_request(p->w, p->id, MEDIA_CAPTURE, V4L2_MEMORY_MMAP, &none), 0);
}

/* A decoder that was told its size and has buffers for it; picture 0 is in the codec. */
static void start_player(struct player *p, struct media_world *w)
{
	open_player(p, w);
	feed(p, 0);
	expect_change(p);
	expect_size(p, WIDTH, HEIGHT);
	start_capture(p);
}

static void check_nv12(const uint8_t *at, uint32_t value, uint32_t width, uint32_t height)
{
	const uint8_t *uv = at + (size_t)width * height;

	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			assert_int_equal(at[y * width + x], fake_sample(value, 0, x, y));
			assert_int_equal(uv[y / 2 * width + x], fake_sample(value, 1 + x % 2, x / 2, y / 2));
		}
	}
}

/* Returns the buffer's index. */
static uint32_t expect_picture_of(struct player *p, uint32_t value, uint32_t width, uint32_t height, uint32_t flags)
{
	const struct virtio_media_event_dqbuf e = media_dequeue(p->w, p->id, MEDIA_CAPTURE);

	assert_int_equal(e.buffer.flags, flags | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(e.buffer.timestamp.tv_sec, 1);
	assert_int_equal(e.buffer.timestamp.tv_usec, value);
	assert_int_equal(e.planes[0].bytesused, width * height * 3 / 2);
	assert_int_equal(e.planes[0].data_offset, 0);
	check_nv12(p->out[e.buffer.index], value, width, height);
	return e.buffer.index;
}

static uint32_t expect_picture(struct player *p, uint32_t value)
{
	return expect_picture_of(p, value, WIDTH, HEIGHT, 0);
}

static void expect_last(struct player *p)
{
	const struct virtio_media_event_dqbuf e = media_dequeue(p->w, p->id, MEDIA_CAPTURE);

	assert_int_equal(e.buffer.flags, V4L2_BUF_FLAG_LAST | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(e.planes[0].bytesused, 0);
}

static void expect_end(struct player *p)
{
	/* The event comes first. */
	assert_int_equal(media_dequeue_event(p->w, p->id).type, V4L2_EVENT_EOS);
	expect_last(p);
}

static void no_events(struct player *p)
{
	assert_int_equal(media_events_left(p->w, p->id), 0);
}

static void requeue(struct player *p, uint32_t i)
{
	want(p, i);
}

/* ---- decoding ---- */

static void pictures_come_out_in_order_with_their_time(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	start_player(&p, w);
	for (uint32_t n = 1; n < 20; n++) {
		feed(&p, n);
		requeue(&p, expect_picture(&p, n - 1));
	}
	assert_int_equal(media_command(w, p.id, false, STOP), 0);
	expect_picture(&p, 19);
	expect_end(&p);
	no_events(&p);
	media_world_destroy(w);
}

static void sequence_numbers_count_each_queue(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	start_player(&p, w);
	for (uint32_t n = 1; n < 4; n++) {
		queue_picture(&p, n);
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
	start_player(&p, w);
	queue_unit(&p, FAKE_DAMAGED, WIDTH, HEIGHT, 1);
	feed(&p, 2);
	expect_picture(&p, 0);
	expect_picture_of(&p, 1, WIDTH, HEIGHT, V4L2_BUF_FLAG_ERROR);
	media_world_destroy(w);
}

static void time_codes_go_along(void **state)
{
	struct media_world *w = media_world_create(NULL);
	const struct fake_header h = {FAKE_MAGIC, FAKE_PICTURE, WIDTH, HEIGHT, 1};
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
	start_player(&p, w);
	memcpy(p.in[1], &h, sizeof(h));
	assert_int_equal(media_call_long(w, p.id, VIDIOC_QBUF, &b, &plane, sizeof(plane), NULL, 0), 0);
	assert_int_equal(b.flags, V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_TIMESTAMP_COPY | V4L2_BUF_FLAG_TIMECODE |
					  V4L2_BUF_FLAG_TSTAMP_SRC_SOE);
	assert_int_equal(b.sequence, 0);
	e = media_dequeue(w, p.id, MEDIA_OUTPUT);
	assert_memory_equal(&e.buffer.timecode, &code, sizeof(code));
	p.next_in = 2;
	feed(&p, 2);
	expect_picture(&p, 0);
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
	open_player(&p, w);
	feed(&p, 0);
	expect_change(&p);
	set_format(&p, MEDIA_CAPTURE, V4L2_PIX_FMT_NV12M, WIDTH, HEIGHT);
	assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_MMAP, &one), 0);
	assert_int_equal(media_query(w, p.id, MEDIA_CAPTURE, 0, &b, planes, 1), -EINVAL);
	assert_int_equal(media_query(w, p.id, MEDIA_CAPTURE, 0, &b, planes, 2), 0);
	assert_int_equal(b.length, 2);
	assert_int_equal(planes[0].length, WIDTH * HEIGHT);
	assert_int_equal(planes[1].length, WIDTH * HEIGHT / 2);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(media_map(w, p.id, planes[i].m.mem_offset, false, &at[i], NULL), 0);
	b.memory = V4L2_MEMORY_MMAP;
	assert_int_equal(media_call_long(w, p.id, VIDIOC_QBUF, &b, planes, sizeof(planes), NULL, 0), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, true), 0);
	feed(&p, 1);
	assert_int_equal(media_dequeue(w, p.id, MEDIA_CAPTURE).planes[1].bytesused, WIDTH * HEIGHT / 2);
	for (uint32_t i = 0; i < WIDTH * HEIGHT / 2; i++) {
		const uint32_t x = i % WIDTH, y = i / WIDTH;

		assert_int_equal(media_seen(w, at[0])[i], fake_sample(0, 0, x, y));
		assert_int_equal(media_seen(w, at[1])[i], fake_sample(0, 1 + x % 2, x / 2, y));
	}
	media_world_destroy(w);
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

static void shared_pages_are_the_guests_own(void **state)
{
	enum {
		PIECE = 1000,
		PIECES = WIDTH * HEIGHT * 3 / 2 / PIECE + 1,
		BYTES = WIDTH * HEIGHT * 3 / 2,
		CODED = 1 << 16
	};
	struct media_world *w = media_world_create(NULL);
	uint64_t in, out[PIECES];
	uint8_t picture[PIECES * PIECE];
	struct player p = {.w = w};
	uint32_t count = 2;

	(void)state;
	assert_int_equal(media_open(w, &p.id), 0);
	set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, WIDTH, HEIGHT);
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
		const struct fake_header h = {FAKE_MAGIC, FAKE_PICTURE, WIDTH, HEIGHT, n + 5};
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
	check_nv12(picture, 5, WIDTH, HEIGHT);
	/* The last entry had more than the plane. */
	for (size_t i = BYTES; i < sizeof(picture); i++)
		assert_int_equal(picture[i], 0xee);
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
	set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, WIDTH, HEIGHT);
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

/* ---- drain ---- */

static void a_drain_ends_with_the_last_flag_and_holds_what_comes_after(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	start_player(&p, w);
	queue_picture(&p, 1);
	assert_int_equal(media_command(w, p.id, false, STOP), 0);
	expect_input(&p, 0);
	requeue(&p, expect_picture(&p, 0));
	requeue(&p, expect_picture(&p, 1));
	expect_end(&p);
	/* It is accepted, and waits. */
	queue_picture(&p, 2);
	queue_picture(&p, 3);
	no_events(&p);
	assert_int_equal(media_command(w, p.id, false, START), 0);
	expect_input(&p, 0);
	expect_input(&p, 0);
	expect_picture(&p, 2);
	media_world_destroy(w);
}

static void a_second_stop_is_busy_and_then_nothing(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;
	uint32_t i;

	(void)state;
	start_player(&p, w);
	for (uint32_t n = 1; n < 4; n++)
		feed(&p, n);
	i = expect_picture(&p, 0);
	expect_picture(&p, 1);
	expect_picture(&p, 2);
	queue_picture(&p, 4);
	expect_input(&p, 0);
	expect_picture(&p, 3);
	/* There is no buffer for picture 4. */
	assert_int_equal(media_command(w, p.id, false, STOP), 0);
	media_settle(w);
	assert_int_equal(media_command(w, p.id, false, STOP), -EBUSY);
	assert_int_equal(media_command(w, p.id, false, START), -EBUSY);
	requeue(&p, i);
	expect_picture(&p, 4);
	no_events(&p);
	requeue(&p, i);
	expect_end(&p);
	assert_int_equal(media_command(w, p.id, false, STOP), 0);
	no_events(&p);
	media_world_destroy(w);
}

static void a_drain_of_nothing_ends_with_the_next_buffer(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	open_player(&p, w);
	assert_int_equal(media_command(w, p.id, false, STOP), 0);
	no_events(&p);
	start_capture(&p);
	assert_int_equal(media_next_event(w, p.id).u.event.event.type, V4L2_EVENT_EOS);
	expect_last(&p);
	no_events(&p);
	media_world_destroy(w);
}

static void a_drain_before_capture_is_on_goes_on(void **state)
{
	struct media_world *w = media_world_create(NULL);
	uint32_t none = 0;
	struct player p;

	(void)state;
	open_player(&p, w);
	feed(&p, 0);
	feed(&p, 1);
	assert_int_equal(media_command(w, p.id, false, STOP), 0);
	expect_change(&p);
	/* As clients do before they make buffers. */
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, false), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_MMAP, &none), 0);
	start_capture(&p);
	expect_picture(&p, 0);
	expect_picture(&p, 1);
	expect_end(&p);
	media_world_destroy(w);
}

static void stopping_what_is_off_does_nothing(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p = {.w = w};

	(void)state;
	assert_int_equal(media_open(w, &p.id), 0);
	assert_int_equal(media_subscribe_to(w, p.id, V4L2_EVENT_EOS, 0, 0), 0);
	assert_int_equal(media_command(w, p.id, false, STOP), 0);
	assert_int_equal(media_command(w, p.id, false, START), 0);
	no_events(&p);
	media_world_destroy(w);
}

static void restarting_capture_ends_a_stop(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	start_player(&p, w);
	assert_int_equal(media_command(w, p.id, false, STOP), 0);
	expect_picture(&p, 0);
	expect_end(&p);
	queue_picture(&p, 7);
	no_events(&p);
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, false), 0);
	expect_input(&p, 0);
	queue_picture(&p, 8);
	expect_input(&p, 0);
	for (uint32_t i = 0; i < OUTPUTS; i++)
		want(&p, i);
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, true), 0);
	expect_picture(&p, 7);
	media_world_destroy(w);
}

/* ---- seek ---- */

static void a_seek_returns_the_input_and_forgets_what_was_decoded(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	start_player(&p, w);
	feed(&p, 1);
	expect_picture(&p, 0);
	queue_unit(&p, FAKE_HANG, WIDTH, HEIGHT, 2);
	queue_picture(&p, 3);
	media_settle(w);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
	/* All of them are the guest's again, without a word. */
	while (media_events_left(w, p.id))
		media_next_event(w, p.id);
	for (uint32_t i = 0; i < INPUTS; i++) {
		struct v4l2_plane plane;
		struct v4l2_buffer b;

		assert_int_equal(media_query(w, p.id, MEDIA_OUTPUT, i, &b, &plane, 1), 0);
		assert_int_equal(b.flags, V4L2_BUF_FLAG_TIMESTAMP_COPY);
	}
	queue_picture(&p, 10);
	queue_picture(&p, 11);
	no_events(&p);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	expect_input(&p, 0);
	expect_input(&p, 0);
	expect_picture(&p, 10);
	no_events(&p);
	media_world_destroy(w);
}

static void a_seek_in_a_drain_ends_it_without_an_end(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	start_player(&p, w);
	queue_unit(&p, FAKE_HANG, WIDTH, HEIGHT, 1);
	assert_int_equal(media_command(w, p.id, false, STOP), 0);
	media_settle(w);
	assert_int_equal(media_command(w, p.id, false, STOP), -EBUSY);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	while (media_events_left(w, p.id))
		assert_int_equal(media_next_event(w, p.id).u.dqbuf.buffer.flags & V4L2_BUF_FLAG_LAST, 0);
	feed(&p, 3);
	feed(&p, 4);
	expect_picture(&p, 3);
	media_world_destroy(w);
}

/* ---- changes of size ---- */

static void a_new_size_ends_the_old_one_with_the_last_flag(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	start_player(&p, w);
	queue_unit(&p, FAKE_PICTURE, 95, 33, 1);
	queue_unit(&p, FAKE_PICTURE, 95, 33, 2);
	expect_picture(&p, 0);
	expect_last(&p);
	expect_change(&p);
	expect_size(&p, 95, 33);
	expect_input(&p, 0);
	expect_input(&p, 0);
	no_events(&p);
	stop_capture(&p);
	start_capture(&p);
	{
		const struct virtio_media_event_dqbuf e = media_dequeue(w, p.id, MEDIA_CAPTURE);

		assert_int_equal(e.planes[0].bytesused, 96 * 34 * 3 / 2);
		assert_int_equal(e.buffer.timestamp.tv_usec, 1);
		assert_int_equal(p.out[e.buffer.index][94 + 32 * 96], fake_sample(1, 0, 94, 32));
	}
	no_events(&p);
	media_world_destroy(w);
}

static void a_drain_goes_on_behind_a_new_size(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	start_player(&p, w);
	queue_unit(&p, FAKE_PICTURE, 32, 32, 1);
	assert_int_equal(media_command(w, p.id, false, STOP), 0);
	expect_picture(&p, 0);
	expect_last(&p);
	expect_change(&p);
	stop_capture(&p);
	start_capture(&p);
	expect_picture_of(&p, 1, 32, 32, 0);
	expect_end(&p);
	media_world_destroy(w);
}

static void start_goes_on_with_buffers_that_are_large_enough(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	start_player(&p, w);
	queue_unit(&p, FAKE_PICTURE, 32, 32, 1);
	queue_unit(&p, FAKE_PICTURE, 32, 32, 2);
	expect_picture(&p, 0);
	expect_last(&p);
	expect_change(&p);
	assert_int_equal(media_command(w, p.id, false, START), 0);
	{
		const struct virtio_media_event_dqbuf e = media_dequeue(w, p.id, MEDIA_CAPTURE);

		assert_int_equal(e.buffer.timestamp.tv_usec, 1);
		assert_int_equal(e.planes[0].bytesused, 32 * 32 * 3 / 2);
		check_nv12(p.out[e.buffer.index], 1, 32, 32);
	}
	media_world_destroy(w);
}

static void start_returns_buffers_that_are_too_small(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	start_player(&p, w);
	queue_unit(&p, FAKE_PICTURE, 128, 128, 1);
	queue_unit(&p, FAKE_PICTURE, 128, 128, 2);
	expect_picture(&p, 0);
	expect_last(&p);
	expect_change(&p);
	assert_int_equal(media_command(w, p.id, false, START), 0);
	for (uint32_t i = 0; i < OUTPUTS - 2; i++) {
		const struct virtio_media_event_dqbuf e = media_dequeue(w, p.id, MEDIA_CAPTURE);

		assert_int_equal(e.buffer.flags, V4L2_BUF_FLAG_ERROR | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	}
	/* And so does QBUF, when the queue is on. */
	want(&p, 0);
	assert_int_equal(media_dequeue(w, p.id, MEDIA_CAPTURE).buffer.flags,
			 V4L2_BUF_FLAG_ERROR | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	stop_capture(&p);
	start_capture(&p);
	expect_picture_of(&p, 1, 128, 128, 0);
	media_world_destroy(w);
}

static void the_size_that_was_set_is_no_change(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	open_player(&p, w);
	start_capture(&p);
	feed(&p, 0);
	feed(&p, 1);
	expect_change(&p);
	expect_picture(&p, 0);
	no_events(&p);
	media_world_destroy(w);
}

static void a_first_size_that_was_not_set_is_a_change(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	open_player(&p, w);
	start_capture(&p);
	queue_unit(&p, FAKE_PICTURE, 96, 96, 0);
	queue_unit(&p, FAKE_PICTURE, 96, 96, 1);
	expect_change(&p);
	expect_last(&p);
	stop_capture(&p);
	start_capture(&p);
	expect_picture_of(&p, 0, 96, 96, 0);
	media_world_destroy(w);
}

static void buffers_of_a_size_that_went_are_returned(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	open_player(&p, w);
	start_capture(&p);
	/* OUTPUT's format sets the size of CAPTURE, whose buffers are made already. */
	{
		uint32_t none = 0;

		assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
		assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &none), 0);
		set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, 256, 256);
		make_buffers(&p, MEDIA_OUTPUT, INPUTS, p.in, p.in_at);
		assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	}
	queue_unit(&p, FAKE_PICTURE, 256, 256, 0);
	queue_unit(&p, FAKE_PICTURE, 256, 256, 1);
	expect_change(&p);
	expect_last(&p);
	media_world_destroy(w);
}

static void a_size_that_was_set_anew_is_announced_to_old_buffers(void **state)
{
	struct media_world *w = media_world_create(NULL);
	uint32_t none = 0;
	struct player p;

	(void)state;
	start_player(&p, w);
	feed(&p, 1);
	expect_picture(&p, 0);
	/* CAPTURE stays on, with buffers of the first size in the stream. */
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &none), 0);
	set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, 256, 256);
	make_buffers(&p, MEDIA_OUTPUT, INPUTS, p.in, p.in_at);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	p.next_in = 0;
	queue_unit(&p, FAKE_PICTURE, 256, 256, 2);
	queue_unit(&p, FAKE_PICTURE, 256, 256, 3);
	expect_change(&p);
	expect_last(&p);
	stop_capture(&p);
	start_capture(&p);
	expect_picture_of(&p, 2, 256, 256, 0);
	media_world_destroy(w);
}

/* ---- trouble ---- */

static void a_failed_codec_returns_everything_until_output_restarts(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	start_player(&p, w);
	queue_unit(&p, FAKE_ERROR, WIDTH, HEIGHT, 1);
	expect_input(&p, 0);
	for (uint32_t i = 0; i < OUTPUTS; i++)
		assert_int_equal(media_dequeue(w, p.id, MEDIA_CAPTURE).buffer.flags,
				 V4L2_BUF_FLAG_ERROR | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(media_queue_buffer(w, p.id, MEDIA_OUTPUT, 0, 20, 0), -EIO);
	assert_int_equal(media_queue_buffer(w, p.id, MEDIA_CAPTURE, 0, 0, 0), -EIO);
	assert_int_equal(media_command(w, p.id, false, STOP), -EIO);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	want(&p, 0);
	feed(&p, 5);
	feed(&p, 6);
	expect_picture(&p, 5);
	media_world_destroy(w);
}

static void a_hanging_codec_is_given_up_in_time(void **state)
{
	struct media_world *w = media_world_create(&(struct video_world_options){.timeout_ms = 60});
	struct player p;

	(void)state;
	start_player(&p, w);
	queue_unit(&p, FAKE_HANG, WIDTH, HEIGHT, 1);
	expect_input(&p, 0);
	media_settle(w);
	queue_picture(&p, 2);
	assert_int_equal(media_command(w, p.id, false, STOP), 0);
	/* Held back by the drain. */
	queue_picture(&p, 3);
	expect_input(&p, V4L2_BUF_FLAG_ERROR);
	expect_input(&p, V4L2_BUF_FLAG_ERROR);
	assert_int_equal(media_command(w, p.id, false, STOP), -EIO);
	media_world_destroy(w);
}

static void closing_forgets_all_that_waits(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p, other;
	uint32_t id;

	(void)state;
	start_player(&p, w);
	start_player(&other, w);
	id = p.id;
	queue_picture(&p, 1);
	queue_unit(&p, FAKE_HANG, WIDTH, HEIGHT, 2);
	media_close(w, id);
	assert_int_equal(media_queue_buffer(w, id, MEDIA_OUTPUT, 0, 20, 0), -EINVAL);
	feed(&other, 1);
	expect_picture(&other, 0);
	media_world_destroy(w);
}

static void events_wait_for_buffers(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p[8];

	(void)state;
	/* More events at once than the driver has buffers for. */
	for (unsigned i = 0; i < 8; i++)
		start_player(&p[i], w);
	for (unsigned i = 0; i < 8; i++) {
		for (uint32_t n = 1; n < 4; n++)
			queue_picture(&p[i], n);
	}
	for (unsigned i = 0; i < 8; i++) {
		for (uint32_t n = 1; n < 4; n++) {
			expect_input(&p[i], 0);
			expect_picture(&p[i], n - 1);
		}
		no_events(&p[i]);
	}
	media_world_destroy(w);
}

static void a_reset_forgets_everything(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct player p;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		start_player(&p, w);
		queue_picture(&p, 1);
		media_world_restart(w);
		assert_int_equal(media_queue_buffer(w, p.id, MEDIA_OUTPUT, 0, 20, 0), -EINVAL);
		assert_int_equal(media_unmap(w, p.in_at[0]), -EINVAL);
	}
	start_player(&p, w);
	feed(&p, 1);
	expect_picture(&p, 0);
	media_world_destroy(w);
}

/* ---- encoding ---- */

static void open_encoder(struct player *p, struct media_world *w)
{
	*p = (struct player){.w = w};
	assert_int_equal(media_open(w, &p->id), 0);
	set_format(p, MEDIA_CAPTURE, V4L2_PIX_FMT_H264, WIDTH, HEIGHT);
	set_format(p, MEDIA_OUTPUT, V4L2_PIX_FMT_YUV420, WIDTH, HEIGHT);
	assert_int_equal(media_subscribe_to(w, p->id, V4L2_EVENT_EOS, 0, 0), 0);
	make_buffers(p, MEDIA_OUTPUT, INPUTS, p->in, p->in_at);
	assert_int_equal(media_stream(w, p->id, MEDIA_OUTPUT, true), 0);
	start_capture(p);
}

static void queue_raw(struct player *p, uint32_t value)
{
	const uint32_t i = p->next_in++ % INPUTS;

	memset(p->in[i], (int)value, WIDTH * HEIGHT * 3 / 2);
	assert_int_equal(media_queue_buffer(p->w, p->id, MEDIA_OUTPUT, i, WIDTH * HEIGHT * 3 / 2, 1000000 + value), 0);
}

static void expect_packet(struct player *p, uint32_t value, uint32_t flags, bool forced)
{
	const struct virtio_media_event_dqbuf e = media_dequeue(p->w, p->id, MEDIA_CAPTURE);
	const uint8_t *packet = p->out[e.buffer.index];
	struct fake_header h;

	assert_int_equal(e.buffer.flags, flags | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(e.buffer.timestamp.tv_usec, value);
	assert_int_equal(e.planes[0].bytesused, sizeof(h) + WIDTH * HEIGHT * 3 / 2);
	memcpy(&h, packet, sizeof(h));
	assert_int_equal(h.magic, FAKE_MAGIC);
	assert_int_equal(h.unit == FAKE_KEY_PICTURE, forced);
	for (size_t i = sizeof(h); i < e.planes[0].bytesused; i++)
		assert_int_equal(packet[i], value);
}

static void packets_come_out_with_their_kind(void **state)
{
	struct media_world *w = media_world_create(&(struct video_world_options){.encoder = true});
	struct v4l2_ext_control c = {.id = V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME};
	struct v4l2_ext_controls list = {.count = 1};
	struct player p;

	(void)state;
	open_encoder(&p, w);
	queue_raw(&p, 0);
	expect_packet(&p, 0, V4L2_BUF_FLAG_KEYFRAME, false);
	queue_raw(&p, 1);
	expect_packet(&p, 1, V4L2_BUF_FLAG_PFRAME, false);
	assert_int_equal(media_call_long(w, p.id, VIDIOC_S_EXT_CTRLS, &list, &c, sizeof(c), NULL, 0), 0);
	queue_raw(&p, 2);
	expect_packet(&p, 2, V4L2_BUF_FLAG_KEYFRAME, true);
	queue_raw(&p, 3);
	expect_packet(&p, 3, V4L2_BUF_FLAG_PFRAME, false);
	media_world_destroy(w);
}

static void an_encoder_drains_and_starts_again(void **state)
{
	struct media_world *w = media_world_create(&(struct video_world_options){.encoder = true});
	struct player p;

	(void)state;
	open_encoder(&p, w);
	queue_raw(&p, 0);
	assert_int_equal(media_command(w, p.id, true, STOP), 0);
	expect_packet(&p, 0, V4L2_BUF_FLAG_KEYFRAME, false);
	expect_end(&p);
	assert_int_equal(media_dequeue(w, p.id, MEDIA_OUTPUT).planes[0].bytesused, WIDTH * HEIGHT * 3 / 2);
	queue_raw(&p, 1);
	no_events(&p);
	assert_int_equal(media_command(w, p.id, true, START), 0);
	expect_packet(&p, 1, V4L2_BUF_FLAG_KEYFRAME, false);
	media_world_destroy(w);
}

/* ---- the window ---- */

static void mappings_live_until_they_are_unmapped(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct v4l2_plane plane;
	struct v4l2_buffer b;
	uint64_t again, read_only;
	struct player p;

	(void)state;
	open_player(&p, w);
	assert_int_equal(w->home.maps, INPUTS);
	assert_int_equal(media_query(w, p.id, MEDIA_OUTPUT, 0, &b, &plane, 1), 0);
	assert_int_equal(media_map(w, p.id, plane.m.mem_offset, true, &again, NULL), 0);
	assert_int_equal(again, p.in_at[0]);
	assert_int_equal(w->home.maps, INPUTS);
	/* Without leave to write it is another. */
	assert_int_equal(media_map(w, p.id, plane.m.mem_offset, false, &read_only, NULL), 0);
	assert_int_not_equal(read_only, again);
	p.in[0][7] = 0x77;
	assert_int_equal(media_seen(w, read_only)[7], 0x77);
	media_close(w, p.id);
	assert_int_equal(p.in[0][7], 0x77);
	assert_int_equal(media_unmap(w, again), 0);
	assert_int_equal(w->home.unmaps, 0);
	assert_int_equal(media_unmap(w, again), 0);
	assert_int_equal(w->home.unmaps, 1);
	assert_int_equal(media_unmap(w, again), -EINVAL);
	assert_int_equal(media_unmap(w, read_only + 4096), -EINVAL);
	assert_int_equal(media_unmap(w, read_only), 0);
	/* The first place is free again. */
	open_player(&p, w);
	assert_int_equal(p.in_at[0], again);
	media_world_destroy(w);
}

static void offsets_name_planes_that_are_there(void **state)
{
	struct media_world *w = media_world_create(NULL);
	uint32_t count = 1;
	struct player p;
	uint64_t at;

	(void)state;
	open_player(&p, w);
	assert_int_equal(media_map(w, p.id + 1, 0, true, &at, NULL), -EINVAL);
	assert_int_equal(media_map(w, p.id, 1, true, &at, NULL), -EINVAL);
	assert_int_equal(media_map(w, p.id, 1 << 16, true, &at, NULL), -EINVAL);
	assert_int_equal(media_map(w, p.id, INPUTS * 8 << 16, true, &at, NULL), -EINVAL);
	assert_int_equal(media_map(w, p.id, 32 * 8 << 16, true, &at, NULL), -EINVAL);
	assert_int_equal(media_map(w, p.id, 0xffff0000, true, &at, NULL), -EINVAL);
	assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_USERPTR, &count), 0);
	assert_int_equal(media_map(w, p.id, 32 * 8 << 16, true, &at, NULL), -EINVAL);
	media_close(w, p.id);
	assert_int_equal(media_open(w, &p.id), 0);
	set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, WIDTH, HEIGHT);
	assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	w->home.fail = -EOPNOTSUPP;
	assert_int_equal(media_map(w, p.id, 0, true, &at, NULL), -EOPNOTSUPP);
	assert_int_equal(media_map(w, p.id, 0, true, &at, NULL), 0);
	media_world_destroy(w);
}

static void *add_map(struct media_world *w, uint32_t session)
{
	const struct virtio_media_cmd_mmap c = {{VIRTIO_MEDIA_CMD_MMAP, 0}, session, VIRTIO_MEDIA_MMAP_FLAG_RW, 0};
	struct fake_request *r = fake_guest_add(w->guest, 0, &c, sizeof(c), sizeof(struct virtio_media_resp_mmap));

	fake_guest_kick(w->guest, 0);
	media_settle(w);
	return r;
}

static void expect_status(struct media_world *w, struct fake_request *r, int err)
{
	struct virtio_media_resp_header h;

	assert_int_equal(fake_guest_wait(w->guest, r, 1000), 0);
	assert_true(r->used_len >= sizeof(h));
	memcpy(&h, r->out, sizeof(h));
	assert_int_equal(h.status, -err);
	fake_guest_free_request(w->guest, r);
}

static void answer_home(struct media_world *w)
{
	while (fake_shmem_answer(&w->home))
		;
}

static void a_home_may_answer_later(void **state)
{
	struct media_world *w = media_world_create(NULL);
	const struct virtio_media_cmd_munmap c = {{VIRTIO_MEDIA_CMD_MUNMAP, 0}, 0};
	struct fake_request *first, *second;
	uint32_t count = 1;
	struct player p = {.w = w};

	(void)state;
	assert_int_equal(media_open(w, &p.id), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	w->home.later = true;
	first = add_map(w, p.id);
	second = add_map(w, p.id);
	assert_false(first->done || second->done);
	assert_int_equal(w->home.count, 1);
	/* Nothing else waits for it, and a mapping that isn't there yet can't be undone. */
	assert_int_equal(media_unmap(w, 0), -EINVAL);
	media_close(w, p.id);
	answer_home(w);
	expect_status(w, first, 0);
	expect_status(w, second, 0);
	/* The first of two goes at once. */
	assert_int_equal(media_unmap(w, 0), 0);
	first = fake_guest_add(w->guest, 0, &c, sizeof(c), sizeof(struct virtio_media_resp_munmap));
	fake_guest_kick(w->guest, 0);
	media_settle(w);
	assert_false(first->done);
	assert_int_equal(media_unmap(w, 0), -EINVAL);
	answer_home(w);
	expect_status(w, first, 0);
	/* And one that fails. */
	assert_int_equal(media_open(w, &p.id), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	first = add_map(w, p.id);
	w->home.size = 0;
	answer_home(w);
	expect_status(w, first, -ERANGE);
	w->home.size = w->device->shmem.size_bytes;
	/* A reset takes back what was asked. */
	first = add_map(w, p.id);
	assert_int_equal(w->home.count, 1);
	media_world_restart(w);
	assert_int_equal(w->home.cancels, 1);
	fake_guest_free_request(w->guest, first);
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
		cmocka_unit_test(shared_pages_are_the_guests_own),
		cmocka_unit_test(shared_pages_must_be_there),
		cmocka_unit_test(a_drain_ends_with_the_last_flag_and_holds_what_comes_after),
		cmocka_unit_test(a_second_stop_is_busy_and_then_nothing),
		cmocka_unit_test(a_drain_of_nothing_ends_with_the_next_buffer),
		cmocka_unit_test(a_drain_before_capture_is_on_goes_on),
		cmocka_unit_test(stopping_what_is_off_does_nothing),
		cmocka_unit_test(restarting_capture_ends_a_stop),
		cmocka_unit_test(a_seek_returns_the_input_and_forgets_what_was_decoded),
		cmocka_unit_test(a_seek_in_a_drain_ends_it_without_an_end),
		cmocka_unit_test(a_new_size_ends_the_old_one_with_the_last_flag),
		cmocka_unit_test(a_drain_goes_on_behind_a_new_size),
		cmocka_unit_test(start_goes_on_with_buffers_that_are_large_enough),
		cmocka_unit_test(start_returns_buffers_that_are_too_small),
		cmocka_unit_test(the_size_that_was_set_is_no_change),
		cmocka_unit_test(a_first_size_that_was_not_set_is_a_change),
		cmocka_unit_test(buffers_of_a_size_that_went_are_returned),
		cmocka_unit_test(a_size_that_was_set_anew_is_announced_to_old_buffers),
		cmocka_unit_test(a_failed_codec_returns_everything_until_output_restarts),
		cmocka_unit_test(a_hanging_codec_is_given_up_in_time),
		cmocka_unit_test(closing_forgets_all_that_waits),
		cmocka_unit_test(events_wait_for_buffers),
		cmocka_unit_test(a_reset_forgets_everything),
		cmocka_unit_test(packets_come_out_with_their_kind),
		cmocka_unit_test(an_encoder_drains_and_starts_again),
		cmocka_unit_test(mappings_live_until_they_are_unmapped),
		cmocka_unit_test(offsets_name_planes_that_are_there),
		cmocka_unit_test(a_home_may_answer_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
