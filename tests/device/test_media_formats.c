// SPDX-License-Identifier: MIT
/* V4L2 formats, sizes, rectangles and frame rates of virtio-media. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "tests/lib/media_world.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ENCODER (&(struct video_world_options){.encoder = true})

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
	static const uint32_t coded[2][10] = {
		{V4L2_PIX_FMT_H264, V4L2_PIX_FMT_HEVC, V4L2_PIX_FMT_VP8, V4L2_PIX_FMT_VP9, V4L2_PIX_FMT_MPEG2,
		 V4L2_PIX_FMT_MPEG4, V4L2_PIX_FMT_AV1, V4L2_PIX_FMT_JPEG, V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_FWHT},
		{V4L2_PIX_FMT_H264, V4L2_PIX_FMT_HEVC, V4L2_PIX_FMT_VP8, V4L2_PIX_FMT_VP9, V4L2_PIX_FMT_AV1,
		 V4L2_PIX_FMT_FWHT},
	};
	static const uint32_t raw[] = {V4L2_PIX_FMT_NV12,  V4L2_PIX_FMT_YUV420,	 V4L2_PIX_FMT_YVU420,
				       V4L2_PIX_FMT_NV12M, V4L2_PIX_FMT_YUV420M, V4L2_PIX_FMT_YVU420M,
				       V4L2_PIX_FMT_P010};

	(void)state;
	for (unsigned encoder = 0; encoder < 2; encoder++) {
		uint32_t id, got[16], flags;
		struct media_world *w = media_world_open(encoder ? ENCODER : NULL, &id);

		assert_int_equal(list_formats(w, id, encoder ? MEDIA_CAPTURE : MEDIA_OUTPUT, got, &flags),
				 encoder ? 6 : 10);
		assert_memory_equal(got, coded[encoder], (encoder ? 6 : 10) * sizeof(*got));
		assert_int_equal(flags, V4L2_FMT_FLAG_COMPRESSED | (encoder ? 0 : V4L2_FMT_FLAG_DYN_RESOLUTION));
		/* No encoder is given 10 bits. */
		assert_int_equal(list_formats(w, id, encoder ? MEDIA_OUTPUT : MEDIA_CAPTURE, got, &flags),
				 COUNT(raw) - encoder);
		assert_memory_equal(got, raw, sizeof(raw) - encoder * sizeof(*raw));
		assert_int_equal(flags, 0);
		assert_int_equal(list_formats(w, id, V4L2_BUF_TYPE_VIDEO_CAPTURE, got, &flags), 0);
		media_world_destroy(w);
	}
}

static int format_of(struct media_world *w, uint32_t id, unsigned long ioctl, uint32_t type, uint32_t fourcc,
		     uint32_t width, uint32_t height, uint32_t colorspace, struct v4l2_format *f)
{
	*f = (struct v4l2_format){.type = type};
	f->fmt.pix_mp.pixelformat = fourcc;
	f->fmt.pix_mp.width = width;
	f->fmt.pix_mp.height = height;
	f->fmt.pix_mp.colorspace = colorspace;
	return media_call(w, id, ioctl, f);
}

static int format(struct media_world *w, uint32_t id, unsigned long ioctl, uint32_t type, uint32_t fourcc,
		  uint32_t width, uint32_t height, struct v4l2_format *f)
{
	return format_of(w, id, ioctl, type, fourcc, width, height, V4L2_COLORSPACE_SMPTE170M, f);
}

static void formats_are_adjusted_to_what_there_is(void **state)
{
	struct v4l2_pix_format_mplane *p;
	struct v4l2_format f;
	uint32_t id;
	struct media_world *w = media_world_open(NULL, &id);

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

static void jpeg_has_two_names_and_its_own_colours(void **state)
{
	static const uint32_t names[] = {V4L2_PIX_FMT_JPEG, V4L2_PIX_FMT_MJPEG};
	uint32_t id;
	struct media_world *w = media_world_open(NULL, &id);
	struct v4l2_format f;

	(void)state;
	for (unsigned i = 0; i < COUNT(names); i++) {
		assert_int_equal(format_of(w, id, VIDIOC_S_FMT, MEDIA_OUTPUT, names[i], 64, 64, 0, &f), 0);
		assert_true(f.fmt.pix_mp.pixelformat == names[i] && f.fmt.pix_mp.colorspace == V4L2_COLORSPACE_JPEG);
		f = (struct v4l2_format){.type = MEDIA_OUTPUT};
		assert_int_equal(media_call(w, id, VIDIOC_G_FMT, &f), 0);
		assert_int_equal(f.fmt.pix_mp.pixelformat, names[i]);
		f = (struct v4l2_format){.type = MEDIA_CAPTURE};
		assert_int_equal(media_call(w, id, VIDIOC_G_FMT, &f), 0);
		assert_int_equal(f.fmt.pix_mp.colorspace, V4L2_COLORSPACE_JPEG);
	}
	/* What the guest says goes, and the next format has its own again. */
	assert_int_equal(format(w, id, VIDIOC_S_FMT, MEDIA_OUTPUT, V4L2_PIX_FMT_JPEG, 64, 64, &f), 0);
	assert_int_equal(f.fmt.pix_mp.colorspace, V4L2_COLORSPACE_SMPTE170M);
	assert_int_equal(format_of(w, id, VIDIOC_S_FMT, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, 64, 64, 0, &f), 0);
	assert_int_equal(f.fmt.pix_mp.colorspace, V4L2_COLORSPACE_REC709);
	media_world_destroy(w);
}

static void ten_bits_are_of_formats_that_have_them(void **state)
{
	uint32_t id, got[16], flags;
	struct media_world *w = media_world_open(NULL, &id);
	struct v4l2_frmsizeenum s = {.pixel_format = V4L2_PIX_FMT_P010};
	struct v4l2_format f;
	uint32_t count = 2;

	(void)state;
	assert_int_equal(media_call(w, id, VIDIOC_ENUM_FRAMESIZES, &s), 0);
	assert_int_equal(format(w, id, VIDIOC_S_FMT, MEDIA_CAPTURE, V4L2_PIX_FMT_P010, 0, 0, &f), 0);
	assert_true(f.fmt.pix_mp.pixelformat == V4L2_PIX_FMT_P010 && f.fmt.pix_mp.num_planes == 1);
	assert_int_equal(f.fmt.pix_mp.plane_fmt[0].bytesperline, 640 * 2);
	assert_int_equal(f.fmt.pix_mp.plane_fmt[0].sizeimage, 640 * 480 * 3);
	/* They stay with another that has them, and go with one that has not. */
	assert_int_equal(format(w, id, VIDIOC_S_FMT, MEDIA_OUTPUT, V4L2_PIX_FMT_VP9, 320, 200, &f), 0);
	f = (struct v4l2_format){.type = MEDIA_CAPTURE};
	assert_int_equal(media_call(w, id, VIDIOC_G_FMT, &f), 0);
	assert_true(f.fmt.pix_mp.pixelformat == V4L2_PIX_FMT_P010 &&
		    f.fmt.pix_mp.plane_fmt[0].sizeimage == 320 * 200 * 3);
	/* But not under buffers that were made for them; nothing else changes then. */
	assert_int_equal(media_request(w, id, MEDIA_CAPTURE, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(
		format_of(w, id, VIDIOC_S_FMT, MEDIA_OUTPUT, V4L2_PIX_FMT_VP8, 320, 200, V4L2_COLORSPACE_JPEG, &f),
		-EBUSY);
	f = (struct v4l2_format){.type = MEDIA_CAPTURE};
	assert_int_equal(media_call(w, id, VIDIOC_G_FMT, &f), 0);
	assert_true(f.fmt.pix_mp.pixelformat == V4L2_PIX_FMT_P010 &&
		    f.fmt.pix_mp.colorspace == V4L2_COLORSPACE_SMPTE170M);
	assert_int_equal(format(w, id, VIDIOC_S_FMT, MEDIA_OUTPUT, V4L2_PIX_FMT_VP9, 320, 200, &f), 0);
	count = 0;
	assert_int_equal(media_request(w, id, MEDIA_CAPTURE, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(format(w, id, VIDIOC_S_FMT, MEDIA_OUTPUT, V4L2_PIX_FMT_VP8, 320, 200, &f), 0);
	f = (struct v4l2_format){.type = MEDIA_CAPTURE};
	assert_int_equal(media_call(w, id, VIDIOC_G_FMT, &f), 0);
	assert_true(f.fmt.pix_mp.pixelformat == V4L2_PIX_FMT_NV12 &&
		    f.fmt.pix_mp.plane_fmt[0].sizeimage == 320 * 200 * 3 / 2);
	assert_int_equal(list_formats(w, id, MEDIA_CAPTURE, got, &flags), 6);
	assert_int_equal(format(w, id, VIDIOC_TRY_FMT, MEDIA_CAPTURE, V4L2_PIX_FMT_P010, 0, 0, &f), 0);
	assert_int_equal(f.fmt.pix_mp.pixelformat, V4L2_PIX_FMT_NV12);
	s = (struct v4l2_frmsizeenum){.pixel_format = V4L2_PIX_FMT_P010};
	assert_int_equal(media_call(w, id, VIDIOC_ENUM_FRAMESIZES, &s), -EINVAL);
	media_world_destroy(w);
}

static void an_encoders_size_is_its_outputs(void **state)
{
	uint32_t id;
	struct media_world *w = media_world_open(ENCODER, &id);
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
	struct media_world *w = media_world_open(NULL, &id);
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
	struct media_world *w = media_world_open(ENCODER, &id);
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
	struct media_world *w = media_world_open(ENCODER, &id);
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
		struct media_world *w = media_world_open(encoder ? ENCODER : NULL, &id);

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

/* A client may set CAPTURE first, as V4L2 has it, and leave the room for packets to the device. */
static void packets_have_room_for_the_pictures_that_are_set(void **state)
{
	uint32_t id, count = 1;
	struct media_world *w = media_world_open(ENCODER, &id);
	struct v4l2_format coded = {.type = MEDIA_CAPTURE}, raw = {.type = MEDIA_OUTPUT};

	(void)state;
	coded.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_H264;
	raw.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_NV12;
	raw.fmt.pix_mp.width = 4096;
	raw.fmt.pix_mp.height = 2304;
	assert_int_equal(media_call(w, id, VIDIOC_S_FMT, &coded), 0);
	assert_int_equal(coded.fmt.pix_mp.plane_fmt[0].sizeimage, 1 << 20);
	assert_int_equal(media_call(w, id, VIDIOC_S_FMT, &raw), 0);
	assert_int_equal(media_call(w, id, VIDIOC_G_FMT, &coded), 0);
	assert_int_equal(coded.fmt.pix_mp.plane_fmt[0].sizeimage, 4096 * 2304 * 3 / 4);
	/* It follows them, but what a client asked for stays where that is enough. */
	raw.fmt.pix_mp.width = 640;
	assert_int_equal(media_call(w, id, VIDIOC_S_FMT, &raw), 0);
	assert_int_equal(media_call(w, id, VIDIOC_G_FMT, &coded), 0);
	assert_int_equal(coded.fmt.pix_mp.plane_fmt[0].sizeimage, 640 * 2304 * 3 / 4);
	coded.fmt.pix_mp.plane_fmt[0].sizeimage = 4 << 20;
	assert_int_equal(media_call(w, id, VIDIOC_S_FMT, &coded), 0);
	raw.fmt.pix_mp.width = 320;
	assert_int_equal(media_call(w, id, VIDIOC_S_FMT, &raw), 0);
	assert_int_equal(media_call(w, id, VIDIOC_G_FMT, &coded), 0);
	assert_int_equal(coded.fmt.pix_mp.plane_fmt[0].sizeimage, 4 << 20);
	/* Less is what a client asks for; and nothing changes under buffers that were made. */
	coded.fmt.pix_mp.plane_fmt[0].sizeimage = 1 << 20;
	assert_int_equal(media_call(w, id, VIDIOC_S_FMT, &coded), 0);
	assert_int_equal(media_request(w, id, MEDIA_CAPTURE, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(media_call(w, id, VIDIOC_S_FMT, &raw), 0);
	assert_int_equal(media_call(w, id, VIDIOC_G_FMT, &coded), 0);
	assert_int_equal(coded.fmt.pix_mp.plane_fmt[0].sizeimage, 1 << 20);
	media_world_destroy(w);
}

static void frame_rates_are_whole(void **state)
{
	static const struct {
		struct v4l2_fract in;
		uint32_t rate;
	} rates[] = {
		{{1, 25}, 25},		{{1001, 30000}, 30},	{{0, 0}, 30},  {{5, 0}, 30},
		{{1, 1000}, 240},	{{4, UINT32_MAX}, 240}, {{100, 1}, 1}, {{0xffffffff, 0xffffffff}, 1},
		{{1, 0xffffffff}, 240},
	};
	uint32_t id;
	struct media_world *w = media_world_open(ENCODER, &id);
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
		/* Zero resets it, as V4L2 has it. */
		p.parm.output.timeperframe = (struct v4l2_fract){1, 50};
		assert_int_equal(media_call(w, id, VIDIOC_S_PARM, &p), 0);
	}
	p = (struct v4l2_streamparm){.type = MEDIA_CAPTURE};
	assert_int_equal(media_call(w, id, VIDIOC_G_PARM, &p), -EINVAL);
	assert_int_equal(media_call(w, id, VIDIOC_S_PARM, &p), -EINVAL);
	media_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_are_listed),
		cmocka_unit_test(formats_are_adjusted_to_what_there_is),
		cmocka_unit_test(jpeg_has_two_names_and_its_own_colours),
		cmocka_unit_test(ten_bits_are_of_formats_that_have_them),
		cmocka_unit_test(an_encoders_size_is_its_outputs),
		cmocka_unit_test(formats_stay_while_there_are_buffers),
		cmocka_unit_test(an_encoder_at_work_keeps_its_formats),
		cmocka_unit_test(sizes_and_intervals_are_ranges),
		cmocka_unit_test(rectangles_are_fixed),
		cmocka_unit_test(packets_have_room_for_the_pictures_that_are_set),
		cmocka_unit_test(frame_rates_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
