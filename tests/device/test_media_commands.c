// SPDX-License-Identifier: MIT
/*
 * Every command and every ioctl of virtio-media with every answer it can have, over the fake codec.
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

#define ENCODER (&(struct video_world_options){.encoder = true})

static struct media_world *with_session(const struct video_world_options *options, uint32_t *id)
{
	struct media_world *w = media_world_create(options);

	assert_int_equal(media_open(w, id), 0);
	return w;
}

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
		struct media_world *w = with_session(kind == 2 ? ENCODER : NULL, &id);
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
		struct media_world *w = with_session(kind == 2 ? ENCODER : NULL, &id);
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

/* ---- formats ---- */

static unsigned list_formats(struct media_world *w, uint32_t id, uint32_t type, uint32_t *fourccs, uint32_t *flags)
{
	unsigned n = 0;

	for (;; n++) {
		struct v4l2_fmtdesc d = {.index = n, .type = type, .mbus_code = 7};
		int err = media_call(w, id, VIDIOC_ENUM_FMT, &d);

		if (err) {
			assert_int_equal(err, -EINVAL);
			return n;
		}
		assert_int_equal(d.index, n);
		assert_int_equal(d.type, type);
		assert_true(d.description[0] != 0 && d.description[31] == 0);
		assert_int_equal(d.mbus_code, 0);
		fourccs[n] = d.pixelformat;
		*flags = d.flags;
	}
}

static void formats_are_listed(void **state)
{
	/* Of decoder and encoder. */
	static const uint32_t coded[2][7] = {
		{V4L2_PIX_FMT_H264, V4L2_PIX_FMT_HEVC, V4L2_PIX_FMT_VP8, V4L2_PIX_FMT_VP9, V4L2_PIX_FMT_MPEG2,
		 V4L2_PIX_FMT_MPEG4, V4L2_PIX_FMT_AV1},
		{V4L2_PIX_FMT_H264, V4L2_PIX_FMT_HEVC, V4L2_PIX_FMT_VP8, V4L2_PIX_FMT_VP9, V4L2_PIX_FMT_AV1},
	};
	static const uint32_t raw[] = {V4L2_PIX_FMT_NV12,  V4L2_PIX_FMT_YUV420,	 V4L2_PIX_FMT_YVU420,
				       V4L2_PIX_FMT_NV12M, V4L2_PIX_FMT_YUV420M, V4L2_PIX_FMT_YVU420M};

	(void)state;
	for (unsigned encoder = 0; encoder < 2; encoder++) {
		uint32_t id, got[16], flags;
		struct media_world *w = with_session(encoder ? ENCODER : NULL, &id);

		assert_int_equal(list_formats(w, id, encoder ? MEDIA_CAPTURE : MEDIA_OUTPUT, got, &flags),
				 encoder ? 5 : 7);
		assert_memory_equal(got, coded[encoder], (encoder ? 5 : 7) * sizeof(*got));
		assert_int_equal(flags, V4L2_FMT_FLAG_COMPRESSED | (encoder ? 0 : V4L2_FMT_FLAG_DYN_RESOLUTION));
		assert_int_equal(list_formats(w, id, encoder ? MEDIA_OUTPUT : MEDIA_CAPTURE, got, &flags), COUNT(raw));
		assert_memory_equal(got, raw, sizeof(raw));
		assert_int_equal(flags, 0);
		assert_int_equal(list_formats(w, id, V4L2_BUF_TYPE_VIDEO_CAPTURE, got, &flags), 0);
		media_world_destroy(w);
	}
}

static int format(struct media_world *w, uint32_t id, unsigned long ioctl, uint32_t type, uint32_t fourcc,
		  uint32_t width, uint32_t height, struct v4l2_format *f)
{
	*f = (struct v4l2_format){.type = type};
	f->fmt.pix_mp.pixelformat = fourcc;
	f->fmt.pix_mp.width = width;
	f->fmt.pix_mp.height = height;
	f->fmt.pix_mp.colorspace = V4L2_COLORSPACE_SMPTE170M;
	return media_call(w, id, ioctl, f);
}

static void formats_are_adjusted_to_what_there_is(void **state)
{
	struct v4l2_pix_format_mplane *p;
	struct v4l2_format f;
	uint32_t id;
	struct media_world *w = with_session(NULL, &id);

	(void)state;
	p = &f.fmt.pix_mp;
	/* Nothing that is asked for is an error, but another buffer type. */
	assert_int_equal(format(w, id, VIDIOC_TRY_FMT, MEDIA_OUTPUT, 0x12345678, 0, 0, &f), 0);
	assert_int_equal(p->pixelformat, V4L2_PIX_FMT_H264);
	assert_true(p->width == 16 && p->height == 16 && p->num_planes == 1 && p->field == V4L2_FIELD_NONE);
	assert_int_equal(p->plane_fmt[0].sizeimage, 1 << 20);
	assert_int_equal(p->plane_fmt[0].bytesperline, 0);
	assert_int_equal(format(w, id, VIDIOC_TRY_FMT, MEDIA_OUTPUT, V4L2_PIX_FMT_VP9, 100000, 333, &f), 0);
	assert_true(p->pixelformat == V4L2_PIX_FMT_VP9 && p->width == 8192 && p->height == 334);
	/* TRY changed nothing. */
	f = (struct v4l2_format){.type = MEDIA_OUTPUT};
	assert_int_equal(media_call(w, id, VIDIOC_G_FMT, &f), 0);
	assert_true(p->pixelformat == V4L2_PIX_FMT_H264 && p->width == 640 && p->height == 480);
	for (uint32_t type = 0; type < 16; type++) {
		if (type == MEDIA_OUTPUT || type == MEDIA_CAPTURE)
			continue;
		assert_int_equal(format(w, id, VIDIOC_TRY_FMT, type, 0, 0, 0, &f), -EINVAL);
		assert_int_equal(format(w, id, VIDIOC_S_FMT, type, 0, 0, 0, &f), -EINVAL);
		assert_int_equal(format(w, id, VIDIOC_G_FMT, type, 0, 0, 0, &f), -EINVAL);
	}
	/* OUTPUT's size and colours are CAPTURE's too, and CAPTURE can't change them. */
	assert_int_equal(format(w, id, VIDIOC_S_FMT, MEDIA_OUTPUT, V4L2_PIX_FMT_VP8, 321, 200, &f), 0);
	assert_int_equal(format(w, id, VIDIOC_S_FMT, MEDIA_CAPTURE, V4L2_PIX_FMT_YUV420M, 1000, 1000, &f), 0);
	assert_true(p->pixelformat == V4L2_PIX_FMT_YUV420M && p->width == 322 && p->height == 200 &&
		    p->num_planes == 3);
	assert_int_equal(p->colorspace, V4L2_COLORSPACE_SMPTE170M);
	assert_true(p->plane_fmt[0].sizeimage == 322 * 200 && p->plane_fmt[0].bytesperline == 322);
	assert_true(p->plane_fmt[2].sizeimage == 161 * 100 && p->plane_fmt[2].bytesperline == 161);
	media_world_destroy(w);
}

static void an_encoders_size_is_its_outputs(void **state)
{
	uint32_t id;
	struct media_world *w = with_session(ENCODER, &id);
	struct v4l2_format f;

	(void)state;
	assert_int_equal(format(w, id, VIDIOC_S_FMT, MEDIA_CAPTURE, V4L2_PIX_FMT_VP8, 1, 1, &f), 0);
	assert_true(f.fmt.pix_mp.pixelformat == V4L2_PIX_FMT_VP8 && f.fmt.pix_mp.width == 640);
	assert_int_equal(format(w, id, VIDIOC_S_FMT, MEDIA_OUTPUT, V4L2_PIX_FMT_NV12, 320, 240, &f), 0);
	assert_int_equal(f.fmt.pix_mp.plane_fmt[0].sizeimage, 320 * 240 * 3 / 2);
	f = (struct v4l2_format){.type = MEDIA_CAPTURE};
	assert_int_equal(media_call(w, id, VIDIOC_G_FMT, &f), 0);
	assert_true(f.fmt.pix_mp.width == 320 && f.fmt.pix_mp.height == 240 &&
		    f.fmt.pix_mp.pixelformat == V4L2_PIX_FMT_VP8);
	media_world_destroy(w);
}

static void formats_stay_while_there_are_buffers(void **state)
{
	uint32_t id, count = 2, none = 0;
	struct media_world *w = with_session(NULL, &id);
	struct v4l2_format f;

	(void)state;
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(format(w, id, VIDIOC_S_FMT, MEDIA_OUTPUT, V4L2_PIX_FMT_VP8, 64, 64, &f), -EBUSY);
	assert_int_equal(format(w, id, VIDIOC_TRY_FMT, MEDIA_OUTPUT, V4L2_PIX_FMT_VP8, 64, 64, &f), 0);
	assert_int_equal(format(w, id, VIDIOC_S_FMT, MEDIA_CAPTURE, V4L2_PIX_FMT_NV12, 64, 64, &f), 0);
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &none), 0);
	assert_int_equal(format(w, id, VIDIOC_S_FMT, MEDIA_OUTPUT, V4L2_PIX_FMT_VP8, 64, 64, &f), 0);
	media_world_destroy(w);
}

static void an_encoder_at_work_keeps_its_formats(void **state)
{
	uint32_t id, count = 2;
	struct media_world *w = with_session(ENCODER, &id);
	struct v4l2_format f;

	(void)state;
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(media_queue_buffer(w, id, MEDIA_OUTPUT, 0, 0, 0), 0);
	assert_int_equal(media_stream(w, id, MEDIA_OUTPUT, true), 0);
	assert_int_equal(format(w, id, VIDIOC_S_FMT, MEDIA_CAPTURE, V4L2_PIX_FMT_VP8, 64, 64, &f), -EBUSY);
	assert_int_equal(format(w, id, VIDIOC_S_FMT, MEDIA_CAPTURE, V4L2_PIX_FMT_H264, 64, 64, &f), 0);
	assert_int_equal(media_stream(w, id, MEDIA_OUTPUT, false), 0);
	assert_int_equal(format(w, id, VIDIOC_S_FMT, MEDIA_CAPTURE, V4L2_PIX_FMT_VP8, 64, 64, &f), 0);
	media_world_destroy(w);
}

static void sizes_and_intervals_are_ranges(void **state)
{
	uint32_t id;
	struct media_world *w = with_session(ENCODER, &id);
	struct v4l2_frmsizeenum s = {.pixel_format = V4L2_PIX_FMT_H264};
	struct v4l2_frmivalenum v = {.pixel_format = V4L2_PIX_FMT_NV12, .width = 640, .height = 480};

	(void)state;
	assert_int_equal(media_call(w, id, VIDIOC_ENUM_FRAMESIZES, &s), 0);
	assert_int_equal(s.type, V4L2_FRMSIZE_TYPE_STEPWISE);
	assert_true(s.stepwise.min_width == 16 && s.stepwise.max_height == 8192 && s.stepwise.step_width == 2);
	s = (struct v4l2_frmsizeenum){.index = 1, .pixel_format = V4L2_PIX_FMT_H264};
	assert_int_equal(media_call(w, id, VIDIOC_ENUM_FRAMESIZES, &s), -EINVAL);
	s = (struct v4l2_frmsizeenum){.pixel_format = V4L2_PIX_FMT_RGB24};
	assert_int_equal(media_call(w, id, VIDIOC_ENUM_FRAMESIZES, &s), -EINVAL);
	assert_int_equal(media_call(w, id, VIDIOC_ENUM_FRAMEINTERVALS, &v), 0);
	assert_int_equal(v.type, V4L2_FRMIVAL_TYPE_CONTINUOUS);
	assert_true(v.stepwise.min.denominator == 240 && v.stepwise.max.denominator == 1);
	v = (struct v4l2_frmivalenum){.pixel_format = V4L2_PIX_FMT_NV12, .width = 8, .height = 480};
	assert_int_equal(media_call(w, id, VIDIOC_ENUM_FRAMEINTERVALS, &v), -EINVAL);
	v = (struct v4l2_frmivalenum){.index = 1, .pixel_format = V4L2_PIX_FMT_NV12, .width = 64, .height = 480};
	assert_int_equal(media_call(w, id, VIDIOC_ENUM_FRAMEINTERVALS, &v), -EINVAL);
	media_world_destroy(w);
}

static void rectangles_are_fixed(void **state)
{
	(void)state;
	for (unsigned encoder = 0; encoder < 2; encoder++) {
		const uint32_t type = encoder ? V4L2_BUF_TYPE_VIDEO_OUTPUT : V4L2_BUF_TYPE_VIDEO_CAPTURE;
		const uint32_t mine = encoder ? V4L2_SEL_TGT_CROP : V4L2_SEL_TGT_COMPOSE;
		uint32_t id;
		struct media_world *w = with_session(encoder ? ENCODER : NULL, &id);

		for (uint32_t target = 0; target < 0x110; target++) {
			const bool crop = target <= V4L2_SEL_TGT_CROP_BOUNDS;
			const bool compose = target >= V4L2_SEL_TGT_COMPOSE && target <= V4L2_SEL_TGT_COMPOSE_PADDED;
			struct v4l2_selection s = {.type = type, .target = target};

			assert_int_equal(media_call(w, id, VIDIOC_G_SELECTION, &s),
					 crop || (compose && !encoder) ? 0 : -EINVAL);
			if (crop)
				assert_true(s.r.left == 0 && s.r.top == 0 && s.r.width == 640 && s.r.height == 480);
			s = (struct v4l2_selection){.type = type, .target = target, .r = {8, 8, 16, 16}};
			assert_int_equal(media_call(w, id, VIDIOC_S_SELECTION, &s), target == mine ? 0 : -EINVAL);
			if (target == mine)
				assert_true(s.r.left == 0 && s.r.width == 640);
			s = (struct v4l2_selection){.type = encoder ? V4L2_BUF_TYPE_VIDEO_CAPTURE
								    : V4L2_BUF_TYPE_VIDEO_OUTPUT,
						    .target = target};
			assert_int_equal(media_call(w, id, VIDIOC_G_SELECTION, &s), -EINVAL);
		}
		media_world_destroy(w);
	}
}

static void frame_rates_are_whole(void **state)
{
	static const struct {
		struct v4l2_fract in;
		uint32_t rate;
	} rates[] = {
		{{1, 25}, 25}, {{1001, 30000}, 30},	      {{0, 0}, 30},	      {{5, 0}, 30}, {{1, 1000}, 240},
		{{100, 1}, 1}, {{0xffffffff, 0xffffffff}, 1}, {{1, 0xffffffff}, 240},
	};
	uint32_t id;
	struct media_world *w = with_session(ENCODER, &id);
	struct v4l2_streamparm p = {.type = MEDIA_OUTPUT};

	(void)state;
	assert_int_equal(media_call(w, id, VIDIOC_G_PARM, &p), 0);
	assert_int_equal(p.parm.output.capability, V4L2_CAP_TIMEPERFRAME);
	assert_int_equal(p.parm.output.timeperframe.denominator, 30);
	for (unsigned i = 0; i < COUNT(rates); i++) {
		p = (struct v4l2_streamparm){.type = MEDIA_OUTPUT, .parm.output.timeperframe = rates[i].in};
		assert_int_equal(media_call(w, id, VIDIOC_S_PARM, &p), 0);
		assert_int_equal(p.parm.output.timeperframe.numerator, 1);
		assert_int_equal(p.parm.output.timeperframe.denominator, rates[i].rate);
		if (i == 1)
			continue;
		p.parm.output.timeperframe = (struct v4l2_fract){1, 30};
		assert_int_equal(media_call(w, id, VIDIOC_S_PARM, &p), 0);
	}
	p = (struct v4l2_streamparm){.type = MEDIA_CAPTURE};
	assert_int_equal(media_call(w, id, VIDIOC_G_PARM, &p), -EINVAL);
	assert_int_equal(media_call(w, id, VIDIOC_S_PARM, &p), -EINVAL);
	media_world_destroy(w);
}

/* ---- buffers ---- */

static void buffers_are_made_and_given_up(void **state)
{
	uint32_t id, count = 100, none = 0;
	struct media_world *w = with_session(NULL, &id);
	struct v4l2_requestbuffers r = {.count = 1, .type = MEDIA_OUTPUT, .memory = V4L2_MEMORY_MMAP, .flags = 1};
	struct v4l2_plane planes[8];
	struct v4l2_buffer b;

	(void)state;
	assert_int_equal(media_call(w, id, VIDIOC_REQBUFS, &r), 0);
	assert_int_equal(r.capabilities, V4L2_BUF_CAP_SUPPORTS_MMAP | V4L2_BUF_CAP_SUPPORTS_USERPTR |
						 V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS);
	assert_int_equal(r.flags, 0);
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_USERPTR, &count), 0);
	assert_int_equal(count, 32);
	for (uint32_t memory = 0; memory < 6; memory++) {
		if (memory != V4L2_MEMORY_MMAP && memory != V4L2_MEMORY_USERPTR)
			assert_int_equal(media_request(w, id, MEDIA_OUTPUT, memory, &count), -EINVAL);
	}
	assert_int_equal(media_request(w, id, V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_MEMORY_MMAP, &count), -EINVAL);
	assert_int_equal(media_query(w, id, MEDIA_OUTPUT, 31, &b, planes, 8), 0);
	assert_int_equal(b.length, 1);
	assert_int_equal(b.memory, V4L2_MEMORY_USERPTR);
	assert_int_equal(media_query(w, id, MEDIA_OUTPUT, 32, &b, planes, 8), -EINVAL);
	assert_int_equal(media_query(w, id, V4L2_BUF_TYPE_VIDEO_OUTPUT, 0, &b, planes, 8), -EINVAL);
	assert_int_equal(media_query(w, id, MEDIA_OUTPUT, 0, &b, planes, 0), -EINVAL);
	assert_int_equal(media_stream(w, id, MEDIA_OUTPUT, true), 0);
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), -EBUSY);
	/* None is a STREAMOFF. */
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &none), 0);
	assert_int_equal(media_query(w, id, MEDIA_OUTPUT, 0, &b, planes, 1), -EINVAL);
	assert_int_equal(media_stream(w, id, MEDIA_OUTPUT, true), -EINVAL);
	assert_int_equal(media_stream(w, id, MEDIA_OUTPUT, false), 0);
	assert_int_equal(media_stream(w, id, V4L2_BUF_TYPE_VIDEO_OUTPUT, true), -EINVAL);
	assert_int_equal(media_stream(w, id, V4L2_BUF_TYPE_VIDEO_OUTPUT, false), -EINVAL);
	media_world_destroy(w);
}

static void limits_answer_no_memory(void **state)
{
	struct media_world *w =
		media_world_create(&(struct video_world_options){.buffer_bytes = 5 << 20, .buffers = 6});
	struct v4l2_create_buffers c = {.count = 3, .memory = V4L2_MEMORY_MMAP};
	uint32_t id, other, count = 4, more = 2;

	(void)state;
	assert_int_equal(media_open(w, &id), 0);
	assert_int_equal(media_open(w, &other), 0);
	/* 1 MiB each. */
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(count, 4);
	assert_int_equal(media_request(w, other, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &more), -ENOMEM);
	more = 1;
	assert_int_equal(media_request(w, other, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &more), 0);
	c.format.type = MEDIA_OUTPUT;
	assert_int_equal(media_call(w, id, VIDIOC_G_FMT, &c.format), 0);
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -ENOMEM);
	media_close(w, other);
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), 0);
	assert_int_equal(c.count, 1);
	assert_int_equal(c.index, 4);
	count = 100;
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_USERPTR, &count), 0);
	assert_int_equal(count, 6);
	media_world_destroy(w);
}

static void mapped_memory_counts_until_it_is_unmapped(void **state)
{
	struct media_world *w = media_world_create(&(struct video_world_options){.buffer_bytes = 3 << 20});
	uint32_t id, count = 2;
	uint64_t at;

	(void)state;
	assert_int_equal(media_open(w, &id), 0);
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(media_map(w, id, 0, true, &at, NULL), 0);
	media_close(w, id);
	assert_int_equal(media_open(w, &id), 0);
	count = 3;
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), -ENOMEM);
	assert_int_equal(media_unmap(w, at), 0);
	count = 3;
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	media_world_destroy(w);
}

static void created_buffers_are_added(void **state)
{
	uint32_t id;
	struct media_world *w = with_session(NULL, &id);
	struct v4l2_create_buffers c = {.memory = V4L2_MEMORY_MMAP}, good;
	struct v4l2_plane plane;
	struct v4l2_buffer b;

	(void)state;
	c.format.type = MEDIA_CAPTURE;
	assert_int_equal(media_call(w, id, VIDIOC_G_FMT, &c.format), 0);
	good = c;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), 0);
	assert_int_equal(c.index, 0);
	c = good;
	c.count = 3;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), 0);
	assert_true(c.index == 0 && c.count == 3);
	/* Larger ones are fine, of one plane and the same memory. */
	c = good;
	c.count = 2;
	c.format.fmt.pix_mp.plane_fmt[0].sizeimage += 1000;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), 0);
	assert_true(c.index == 3 && c.count == 2);
	assert_int_equal(media_query(w, id, MEDIA_CAPTURE, 4, &b, &plane, 1), 0);
	assert_int_equal(plane.length, 640 * 480 * 3 / 2 + 1000);
	c = good;
	c.count = 1;
	c.memory = V4L2_MEMORY_USERPTR;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -EINVAL);
	c = good;
	c.count = 1;
	c.format.fmt.pix_mp.plane_fmt[0].sizeimage--;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -EINVAL);
	c = good;
	c.count = 1;
	c.format.fmt.pix_mp.plane_fmt[0].sizeimage = 0xffffffff;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -EINVAL);
	c = good;
	c.count = 1;
	c.format.fmt.pix_mp.num_planes = 2;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -EINVAL);
	c = good;
	c.count = 1;
	c.memory = V4L2_MEMORY_DMABUF;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -EINVAL);
	c = good;
	c.count = 1;
	c.format.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -EINVAL);
	c = good;
	c.count = 0xffffffff;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), 0);
	assert_true(c.index == 5 && c.count == 27);
	c = good;
	c.count = 1;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -ENOBUFS);
	media_world_destroy(w);
}

static int queue(struct media_world *w, uint32_t id, const struct v4l2_buffer *change, struct v4l2_plane plane)
{
	struct v4l2_buffer b = *change;
	struct v4l2_plane planes[8] = {plane};

	return media_call_long(w, id, VIDIOC_QBUF, &b, planes, (b.length > 8 ? 8 : b.length) * sizeof(plane), NULL, 0);
}

static void what_is_queued_is_checked(void **state)
{
	const struct v4l2_buffer good = {.type = MEDIA_OUTPUT, .memory = V4L2_MEMORY_MMAP, .length = 1};
	const struct v4l2_plane plane = {.bytesused = 100};
	uint32_t id, count = 2;
	struct media_world *w = with_session(NULL, &id);
	struct v4l2_plane seen;
	struct v4l2_buffer b;

	(void)state;
	assert_int_equal(queue(w, id, &good, plane), -EINVAL);
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	b = good;
	b.index = 2;
	assert_int_equal(queue(w, id, &b, plane), -EINVAL);
	b = good;
	b.memory = V4L2_MEMORY_USERPTR;
	assert_int_equal(queue(w, id, &b, plane), -EINVAL);
	b = good;
	b.length = 0;
	assert_int_equal(queue(w, id, &b, plane), -EINVAL);
	b.length = 9;
	assert_int_equal(queue(w, id, &b, plane), -EINVAL);
	b = good;
	b.flags = V4L2_BUF_FLAG_REQUEST_FD;
	assert_int_equal(queue(w, id, &b, plane), -EBADR);
	assert_int_equal(queue(w, id, &good, (struct v4l2_plane){.bytesused = (1 << 20) + 1}), -EINVAL);
	assert_int_equal(queue(w, id, &good, (struct v4l2_plane){.bytesused = 100, .data_offset = 100}), -EINVAL);
	assert_int_equal(queue(w, id, &good, (struct v4l2_plane){.bytesused = 0xffffffff, .data_offset = 0xfffffff0}),
			 -EINVAL);
	/* More planes than it has are fine. */
	b = good;
	b.length = 8;
	assert_int_equal(queue(w, id, &b, (struct v4l2_plane){.bytesused = 100, .data_offset = 99}), 0);
	assert_int_equal(queue(w, id, &good, plane), -EINVAL);
	assert_int_equal(media_query(w, id, MEDIA_OUTPUT, 0, &b, &seen, 1), 0);
	assert_int_equal(b.flags, V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(seen.bytesused, 100);
	assert_int_equal(seen.data_offset, 99);
	media_world_destroy(w);
}

static void data_may_begin_behind_an_offset(void **state)
{
	const struct fake_header h = {FAKE_MAGIC, FAKE_PICTURE, 640, 480, 1};
	const struct v4l2_buffer b = {.type = MEDIA_OUTPUT, .memory = V4L2_MEMORY_MMAP, .length = 1};
	uint32_t id, count = 1;
	struct media_world *w = with_session(NULL, &id);
	uint64_t at;

	(void)state;
	assert_int_equal(media_subscribe_to(w, id, V4L2_EVENT_SOURCE_CHANGE, 0, 0), 0);
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(media_map(w, id, 0, true, &at, NULL), 0);
	memcpy(media_seen(w, at) + 77, &h, sizeof(h));
	assert_int_equal(media_stream(w, id, MEDIA_OUTPUT, true), 0);
	assert_int_equal(queue(w, id, &b, (struct v4l2_plane){.bytesused = 77 + sizeof(h), .data_offset = 77}), 0);
	assert_int_equal(media_dequeue_event(w, id).type, V4L2_EVENT_SOURCE_CHANGE);
	media_world_destroy(w);
}

/* ---- commands of codecs ---- */

static void codec_commands_are_start_and_stop(void **state)
{
	(void)state;
	for (unsigned encoder = 0; encoder < 2; encoder++) {
		uint32_t id;
		struct media_world *w = with_session(encoder ? ENCODER : NULL, &id);

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
	x.w = with_session(NULL, &x.id);
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
	struct media_world *w = with_session(NULL, &q.c.session_id);

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
	struct media_world *w = with_session(NULL, &id);
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
		cmocka_unit_test(formats_are_listed),
		cmocka_unit_test(formats_are_adjusted_to_what_there_is),
		cmocka_unit_test(an_encoders_size_is_its_outputs),
		cmocka_unit_test(formats_stay_while_there_are_buffers),
		cmocka_unit_test(an_encoder_at_work_keeps_its_formats),
		cmocka_unit_test(sizes_and_intervals_are_ranges),
		cmocka_unit_test(rectangles_are_fixed),
		cmocka_unit_test(frame_rates_are_whole),
		cmocka_unit_test(buffers_are_made_and_given_up),
		cmocka_unit_test(limits_answer_no_memory),
		cmocka_unit_test(mapped_memory_counts_until_it_is_unmapped),
		cmocka_unit_test(created_buffers_are_added),
		cmocka_unit_test(what_is_queued_is_checked),
		cmocka_unit_test(data_may_begin_behind_an_offset),
		cmocka_unit_test(codec_commands_are_start_and_stop),
		cmocka_unit_test(requests_may_be_cut_at_every_byte),
		cmocka_unit_test(planes_need_room),
		cmocka_unit_test(event_buffers_that_are_short_lose_the_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
