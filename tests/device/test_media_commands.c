// SPDX-License-Identifier: MIT
/*
 * Commands of virtio-media, and what becomes of those that are wrong, short or without room, over the fake codec.
 * Formats and buffers have files of their own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "tests/lib/media_world.h"

#define ENCODER (&(struct video_world_options){.encoder = true})

/* A request of any form; returns its status, or 1 if the answer has no header. */
static int raw_request(struct media_world *w, const void *in, size_t in_bytes, size_t room)
{
	struct virtio_media_resp_header h;
	uint8_t answer[1024];
	uint32_t used;

	assert_true(room <= sizeof(answer));
	assert_int_equal(fake_guest_request(w->guest, 0, in, in_bytes, answer, room, &used), 0);
	if (used < sizeof(h))
		return 1;
	memcpy(&h, answer, sizeof(h));
	return -(int)h.status;
}

/* ---- config space, sessions ---- */

static void config_space_says_what_it_is(void **state)
{
	(void)state;
	for (unsigned encoder = 0; encoder < 2; encoder++) {
		struct media_world *w = media_world_create(encoder ? ENCODER : NULL);
		struct virtio_media_config c;

		fake_guest_read_config(w->guest, 0, &c, sizeof(c));
		assert_int_equal(c.device_caps,
				 V4L2_CAP_VIDEO_M2M_MPLANE | V4L2_CAP_STREAMING | V4L2_CAP_EXT_PIX_FORMAT);
		assert_int_equal(c.device_type, 0);
		assert_string_equal((char *)c.card, encoder ? "mullion encoder" : "mullion decoder");
		assert_int_equal(w->device->ops->id, 48);
		media_world_destroy(w);
	}
}

static void sessions_have_numbers_of_their_own(void **state)
{
	struct media_world *w = media_world_create(&(struct video_world_options){.streams = 2});
	struct v4l2_format f = {.type = MEDIA_OUTPUT};
	uint32_t id[17];

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(media_open(w, &id[i]), 0);
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(id[i], id[k]);
	}
	assert_int_equal(media_open(w, &id[16]), -ENOMEM);
	assert_int_equal(media_call(w, id[1], VIDIOC_G_FMT, &f), 0);
	media_close(w, id[1]);
	assert_int_equal(media_call(w, id[1], VIDIOC_G_FMT, &f), -EINVAL);
	assert_int_equal(media_open(w, &id[1]), 0);
	assert_int_equal(media_open(w, &id[16]), -ENOMEM);
	/* Of one that isn't there: nothing happens. */
	media_close(w, 77);
	media_world_destroy(w);
}

static void so_many_run_at_a_time(void **state)
{
	struct media_world *w = media_world_create(&(struct video_world_options){.streams = 2});
	struct video_stats stats;
	uint32_t id[3], count;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(media_open(w, &id[i]), 0);
		count = 1;
		assert_int_equal(media_request(w, id[i], MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
		assert_int_equal(media_request(w, id[i], MEDIA_CAPTURE, V4L2_MEMORY_MMAP, &count), 0);
		assert_int_equal(media_stream(w, id[i], MEDIA_CAPTURE, true), 0);
		assert_int_equal(media_stream(w, id[i], MEDIA_OUTPUT, true), i < 2 ? 0 : -ENOMEM);
	}
	/* Twice is once, and off is off. */
	assert_int_equal(media_stream(w, id[0], MEDIA_OUTPUT, true), 0);
	video_get_stats(w->device, &stats);
	assert_int_equal(stats.streams, 2);
	media_close(w, id[1]);
	assert_int_equal(media_stream(w, id[2], MEDIA_OUTPUT, true), 0);
	assert_int_equal(media_stream(w, id[0], MEDIA_OUTPUT, false), 0);
	assert_int_equal(media_stream(w, id[0], MEDIA_OUTPUT, false), 0);
	video_get_stats(w->device, &stats);
	assert_int_equal(stats.streams, 1);
	media_world_destroy(w);
}

static void short_and_unknown_commands_are_refused(void **state)
{
	static const struct {
		uint32_t cmd;
		size_t bytes, room;
	} commands[] = {
		{VIRTIO_MEDIA_CMD_OPEN, 8, 16},
		{VIRTIO_MEDIA_CMD_IOCTL, 16, 8},
		{VIRTIO_MEDIA_CMD_MMAP, 20, 24},
		{VIRTIO_MEDIA_CMD_MUNMAP, 16, 8},
	};
	struct media_world *w = media_world_create(NULL);
	uint32_t words[8] = {0}, id;

	(void)state;
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		words[0] = commands[i].cmd;
		assert_int_equal(raw_request(w, words, commands[i].bytes - 1, 64), -EINVAL);
		assert_int_equal(raw_request(w, words, commands[i].bytes, 7), 1);
		if (commands[i].room > 8)
			assert_int_equal(raw_request(w, words, commands[i].bytes, commands[i].room - 1), -EINVAL);
	}
	words[0] = VIRTIO_MEDIA_CMD_CLOSE;
	assert_int_equal(raw_request(w, words, 15, 64), 1);
	for (uint32_t cmd = 6; cmd < 200; cmd += 97) {
		words[0] = cmd;
		assert_int_equal(raw_request(w, words, sizeof(words), 64), -ENOTTY);
	}
	words[0] = 0;
	assert_int_equal(raw_request(w, words, sizeof(words), 64), -ENOTTY);
	words[0] = 0xffffffff;
	assert_int_equal(raw_request(w, words, sizeof(words), 64), -ENOTTY);
	for (size_t n = 0; n < 8; n++)
		assert_int_equal(raw_request(w, words, n, 64), -EINVAL);
	assert_int_equal(raw_request(w, words, 8, 0), 1);
	assert_int_equal(media_open(w, &id), 0);
	media_world_destroy(w);
}

/* ---- ioctls ---- */

/* What this kind of device has. */
#define BOTH 3
static const struct {
	unsigned long ioctl;
	unsigned kinds; /* 1 decoder, 2 encoder */
} ioctls[] = {
	{VIDIOC_ENUM_FMT, BOTH},	  {VIDIOC_G_FMT, BOTH},	       {VIDIOC_S_FMT, BOTH},
	{VIDIOC_TRY_FMT, BOTH},		  {VIDIOC_REQBUFS, BOTH},      {VIDIOC_CREATE_BUFS, BOTH},
	{VIDIOC_QUERYBUF, BOTH},	  {VIDIOC_QBUF, BOTH},	       {VIDIOC_STREAMON, BOTH},
	{VIDIOC_STREAMOFF, BOTH},	  {VIDIOC_G_PARM, 2},	       {VIDIOC_S_PARM, 2},
	{VIDIOC_G_SELECTION, BOTH},	  {VIDIOC_S_SELECTION, BOTH},  {VIDIOC_ENUM_FRAMESIZES, BOTH},
	{VIDIOC_ENUM_FRAMEINTERVALS, 2},  {VIDIOC_ENCODER_CMD, 2},     {VIDIOC_TRY_ENCODER_CMD, 2},
	{VIDIOC_DECODER_CMD, 1},	  {VIDIOC_TRY_DECODER_CMD, 1}, {VIDIOC_SUBSCRIBE_EVENT, BOTH},
	{VIDIOC_UNSUBSCRIBE_EVENT, BOTH}, {VIDIOC_QUERYCTRL, BOTH},    {VIDIOC_QUERY_EXT_CTRL, BOTH},
	{VIDIOC_QUERYMENU, BOTH},	  {VIDIOC_G_CTRL, BOTH},       {VIDIOC_S_CTRL, BOTH},
	{VIDIOC_G_EXT_CTRLS, BOTH},	  {VIDIOC_S_EXT_CTRLS, BOTH},  {VIDIOC_TRY_EXT_CTRLS, BOTH},
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_there(uint32_t code, unsigned kind)
{
	for (unsigned i = 0; i < COUNT(ioctls); i++) {
		if (_IOC_NR(ioctls[i].ioctl) == code)
			return ioctls[i].kinds & kind;
	}
	return false;
}

/* QUERYCAP, DQBUF, DQEVENT, G_JPEGCOMP and LOG_STATUS are among them. */
static void other_ioctls_are_none_of_a_codecs(void **state)
{
	(void)state;
	for (unsigned kind = 1; kind <= 2; kind++) {
		uint32_t id;
		struct media_world *w = media_world_open(kind == 2 ? ENCODER : NULL, &id);
		uint8_t request[16 + 256] = {0};

		for (uint32_t code = 0; code < 300; code++) {
			const struct virtio_media_cmd_ioctl c = {{VIRTIO_MEDIA_CMD_IOCTL, 0}, id, code};

			memcpy(request, &c, sizeof(c));
			if (!is_there(code, kind))
				assert_int_equal(raw_request(w, request, sizeof(request), 300), -ENOTTY);
		}
		media_world_destroy(w);
	}
}

static void payloads_and_their_room_must_be_whole(void **state)
{
	(void)state;
	for (unsigned kind = 1; kind <= 2; kind++) {
		uint32_t id;
		struct media_world *w = media_world_open(kind == 2 ? ENCODER : NULL, &id);
		uint8_t request[16 + 256] = {0};

		for (unsigned i = 0; i < COUNT(ioctls); i++) {
			const struct virtio_media_cmd_ioctl c = {
				{VIRTIO_MEDIA_CMD_IOCTL, 0}, id, _IOC_NR(ioctls[i].ioctl)};
			const size_t bytes = _IOC_SIZE(ioctls[i].ioctl);

			if (!(ioctls[i].kinds & kind))
				continue;
			memcpy(request, &c, sizeof(c));
			assert_int_equal(raw_request(w, request, 16 + bytes - 1, 8 + bytes), -EINVAL);
			if (_IOC_DIR(ioctls[i].ioctl) & _IOC_READ)
				assert_int_equal(raw_request(w, request, 16 + bytes, 8 + bytes - 1), -EINVAL);
			assert_int_equal(raw_request(w, request, 16 + bytes, 7), 1);
		}
		media_world_destroy(w);
	}
}

/* ---- commands of codecs ---- */

static void codec_commands_are_start_and_stop(void **state)
{
	(void)state;
	for (unsigned encoder = 0; encoder < 2; encoder++) {
		uint32_t id;
		struct media_world *w = media_world_open(encoder ? ENCODER : NULL, &id);

		for (uint32_t cmd = 0; cmd < 6; cmd++) {
			struct v4l2_decoder_cmd d = {.cmd = cmd, .flags = 0xff, .start.speed = 7};
			struct v4l2_encoder_cmd e = {.cmd = cmd, .flags = 0xff};
			const int expected = cmd < 2 ? 0 : -EINVAL;

			if (encoder) {
				assert_int_equal(media_call(w, id, VIDIOC_TRY_ENCODER_CMD, &e), expected);
				assert_int_equal(e.flags, cmd < 2 ? 0 : 0xff);
			} else {
				assert_int_equal(media_call(w, id, VIDIOC_TRY_DECODER_CMD, &d), expected);
				assert_true(cmd >= 2 || (d.flags == 0 && d.start.speed == 0));
			}
			assert_int_equal(media_command(w, id, encoder, cmd), expected);
		}
		media_world_destroy(w);
	}
}

/* ---- requests in pieces ---- */

struct split {
	struct media_world *w;
	uint32_t id;
	uint64_t page;
};

static void queue_and_take_back(void *arg)
{
	struct split *x = arg;
	struct v4l2_buffer b = {.type = MEDIA_OUTPUT, .memory = V4L2_MEMORY_USERPTR, .length = 1};
	struct v4l2_plane plane = {.bytesused = 20, .length = 1 << 20, .m.userptr = 0xabcdef};
	struct virtio_media_sg_entry e[2] = {{.start = x->page, .len = 1 << 19}, {.start = x->page, .len = 1 << 19}};
	uint32_t type = MEDIA_OUTPUT;

	assert_int_equal(media_call_long(x->w, x->id, VIDIOC_QBUF, &b, &plane, sizeof(plane), e, sizeof(e)), 0);
	assert_int_equal(b.flags, V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(plane.m.userptr, 0xabcdef);
	assert_int_equal(plane.length, 1 << 20);
	assert_int_equal(media_call(x->w, x->id, VIDIOC_STREAMOFF, &type), 0);
}

static void requests_may_be_cut_at_every_byte(void **state)
{
	struct split x;
	uint32_t count = 1;

	(void)state;
	x.w = media_world_open(NULL, &x.id);
	x.page = fake_guest_alloc(x.w->guest, 1 << 19, 4096);
	assert_int_equal(media_request(x.w, x.id, MEDIA_OUTPUT, V4L2_MEMORY_USERPTR, &count), 0);
	fake_guest_split_each(x.w->guest, 0, 16 + 88 + 64 + 32 + 8 + 88 + 64, queue_and_take_back, &x);
	media_world_destroy(x.w);
}

static void planes_need_room(void **state)
{
	struct {
		struct virtio_media_cmd_ioctl c;
		struct v4l2_buffer b;
		struct v4l2_plane p[2];
	} q = {.c = {{VIRTIO_MEDIA_CMD_IOCTL, 0}, 0, _IOC_NR(VIDIOC_QUERYBUF)},
	       .b = {.type = MEDIA_OUTPUT, .length = 2}};
	uint32_t count = 1;
	struct media_world *w = media_world_open(NULL, &q.c.session_id);

	(void)state;
	assert_int_equal(media_request(w, q.c.session_id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(raw_request(w, &q, sizeof(q), 8 + 88 + 128), 0);
	assert_int_equal(raw_request(w, &q, sizeof(q) - 1, 8 + 88 + 128), -EINVAL);
	assert_int_equal(raw_request(w, &q, sizeof(q), 8 + 88 + 127), -EINVAL);
	media_world_destroy(w);
}

static void event_buffers_that_are_short_lose_the_event(void **state)
{
	uint32_t id, count = 1;
	struct media_world *w = media_world_open(NULL, &id);
	struct fake_request *r;

	(void)state;
	/* Take away the large ones. */
	media_world_restart(w);
	assert_int_equal(media_open(w, &id), 0);
	for (unsigned i = 0; i < MEDIA_WORLD_EVENTS; i++) {
		struct v4l2_event_subscription e = {.type = V4L2_EVENT_CTRL,
						    .id = V4L2_CID_MPEG_VIDEO_H264_PROFILE,
						    .flags = V4L2_EVENT_SUB_FL_SEND_INITIAL};

		assert_int_equal(media_call(w, id, VIDIOC_SUBSCRIBE_EVENT, &e), 0);
	}
	fake_guest_poll(w->guest, 1);
	r = fake_guest_add(w->guest, 1, NULL, 0, 100);
	fake_guest_kick(w->guest, 1);
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(media_stream(w, id, MEDIA_OUTPUT, true), 0);
	assert_int_equal(media_queue_buffer(w, id, MEDIA_OUTPUT, 0, 0, 0), 0);
	assert_int_equal(fake_guest_wait(w->guest, r, 1000), 0);
	assert_int_equal(r->used_len, 0);
	fake_guest_free_request(w->guest, r);
	/* The buffer is the guest's all the same. */
	assert_int_equal(media_queue_buffer(w, id, MEDIA_OUTPUT, 0, 0, 0), 0);
	media_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_space_says_what_it_is),
		cmocka_unit_test(sessions_have_numbers_of_their_own),
		cmocka_unit_test(so_many_run_at_a_time),
		cmocka_unit_test(short_and_unknown_commands_are_refused),
		cmocka_unit_test(other_ioctls_are_none_of_a_codecs),
		cmocka_unit_test(payloads_and_their_room_must_be_whole),
		cmocka_unit_test(codec_commands_are_start_and_stop),
		cmocka_unit_test(requests_may_be_cut_at_every_byte),
		cmocka_unit_test(planes_need_room),
		cmocka_unit_test(event_buffers_that_are_short_lose_the_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
