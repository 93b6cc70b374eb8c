// SPDX-License-Identifier: MIT
/*
 * The controls of virtio-media, and the events that a session asks for, over the fake codec.
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
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct media_world *with_session(const struct video_world_options *options, uint32_t *id)
{
	struct media_world *w = media_world_create(options);

	assert_int_equal(media_open(w, id), 0);
	return w;
}

/* ---- controls ---- */

static const uint32_t decoder_controls[] = {
	V4L2_CID_USER_CLASS,
	V4L2_CID_MIN_BUFFERS_FOR_CAPTURE,
	V4L2_CID_CODEC_CLASS,
	V4L2_CID_MPEG_VIDEO_H264_PROFILE,
	V4L2_CID_MPEG_VIDEO_VP8_PROFILE,
	V4L2_CID_MPEG_VIDEO_VP9_PROFILE,
	V4L2_CID_MPEG_VIDEO_HEVC_PROFILE,
};
static const uint32_t encoder_controls[] = {
	V4L2_CID_USER_CLASS,
	V4L2_CID_MIN_BUFFERS_FOR_OUTPUT,
	V4L2_CID_CODEC_CLASS,
	V4L2_CID_MPEG_VIDEO_B_FRAMES,
	V4L2_CID_MPEG_VIDEO_GOP_SIZE,
	V4L2_CID_MPEG_VIDEO_BITRATE_MODE,
	V4L2_CID_MPEG_VIDEO_BITRATE,
	V4L2_CID_MPEG_VIDEO_BITRATE_PEAK,
	V4L2_CID_MPEG_VIDEO_HEADER_MODE,
	V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER,
	V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME,
	V4L2_CID_MPEG_VIDEO_H264_LEVEL,
	V4L2_CID_MPEG_VIDEO_H264_PROFILE,
	V4L2_CID_MPEG_VIDEO_VP8_PROFILE,
	V4L2_CID_MPEG_VIDEO_VP9_PROFILE,
	V4L2_CID_MPEG_VIDEO_HEVC_PROFILE,
};

static void controls_are_listed_in_order(void **state)
{
	(void)state;
	for (unsigned encoder = 0; encoder < 2; encoder++) {
		const uint32_t *expected = encoder ? encoder_controls : decoder_controls;
		const unsigned count = encoder ? COUNT(encoder_controls) : COUNT(decoder_controls);
		uint32_t id, last = 0;
		struct media_world *w = with_session(encoder ? ENCODER : NULL, &id);

		for (unsigned i = 0; i <= count; i++) {
			struct v4l2_query_ext_ctrl e = {.id = last | V4L2_CTRL_FLAG_NEXT_CTRL |
							      V4L2_CTRL_FLAG_NEXT_COMPOUND};
			struct v4l2_queryctrl q = {.id = last | V4L2_CTRL_FLAG_NEXT_CTRL};

			assert_int_equal(media_call(w, id, VIDIOC_QUERY_EXT_CTRL, &e), i < count ? 0 : -EINVAL);
			assert_int_equal(media_call(w, id, VIDIOC_QUERYCTRL, &q), i < count ? 0 : -EINVAL);
			if (i == count)
				break;
			assert_int_equal(e.id, expected[i]);
			assert_int_equal(q.id, expected[i]);
			assert_true(e.type == q.type && e.minimum == q.minimum && e.maximum == q.maximum &&
				    e.flags == q.flags);
			assert_true(e.elems == 1 && e.elem_size == 4 && e.nr_of_dims == 0 && e.name[0]);
			assert_string_equal(e.name, (char *)q.name);
			last = e.id;
			q = (struct v4l2_queryctrl){.id = expected[i]};
			assert_int_equal(media_call(w, id, VIDIOC_QUERYCTRL, &q), 0);
		}
		media_world_destroy(w);
	}
}

static void unknown_controls_are_refused(void **state)
{
	uint32_t id;
	struct media_world *w = with_session(NULL, &id);
	struct v4l2_query_ext_ctrl e = {.id = V4L2_CID_BRIGHTNESS};
	struct v4l2_queryctrl q = {.id = V4L2_CID_BRIGHTNESS};
	struct v4l2_control c = {.id = V4L2_CID_MPEG_VIDEO_BITRATE};

	(void)state;
	assert_int_equal(media_call(w, id, VIDIOC_QUERY_EXT_CTRL, &e), -EINVAL);
	assert_int_equal(media_call(w, id, VIDIOC_QUERYCTRL, &q), -EINVAL);
	e.id = V4L2_CTRL_FLAG_NEXT_COMPOUND;
	assert_int_equal(media_call(w, id, VIDIOC_QUERY_EXT_CTRL, &e), -EINVAL);
	/* An encoder's. */
	assert_int_equal(media_call(w, id, VIDIOC_G_CTRL, &c), -EINVAL);
	assert_int_equal(media_call(w, id, VIDIOC_S_CTRL, &c), -EINVAL);
	media_world_destroy(w);
}

static void menus_have_names(void **state)
{
	uint32_t id;
	struct media_world *w = with_session(ENCODER, &id);

	(void)state;
	for (uint32_t i = 0; i < 8; i++) {
		const bool there = i <= V4L2_MPEG_VIDEO_H264_PROFILE_HIGH && i != V4L2_MPEG_VIDEO_H264_PROFILE_EXTENDED;
		struct v4l2_querymenu m = {.id = V4L2_CID_MPEG_VIDEO_H264_PROFILE, .index = i};

		assert_int_equal(media_call(w, id, VIDIOC_QUERYMENU, &m), there ? 0 : -EINVAL);
		if (i == V4L2_MPEG_VIDEO_H264_PROFILE_HIGH)
			assert_string_equal((char *)m.name, "High");
		m = (struct v4l2_querymenu){.id = V4L2_CID_MPEG_VIDEO_BITRATE, .index = i};
		assert_int_equal(media_call(w, id, VIDIOC_QUERYMENU, &m), -EINVAL);
		m = (struct v4l2_querymenu){.id = V4L2_CID_MPEG_VIDEO_H264_PROFILE, .index = 1u << (i + 24)};
		assert_int_equal(media_call(w, id, VIDIOC_QUERYMENU, &m), -EINVAL);
	}
	media_world_destroy(w);
}

static void values_are_brought_in_range_or_refused(void **state)
{
	static const struct {
		uint32_t id;
		int32_t value;
		int err;
		int32_t becomes;
	} sets[] = {
		{V4L2_CID_MPEG_VIDEO_BITRATE, 1234567, 0, 1234567},
		{V4L2_CID_MPEG_VIDEO_BITRATE, -5, 0, 1000},
		{V4L2_CID_MPEG_VIDEO_BITRATE, 0x7fffffff, 0, 500000000},
		{V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER, 77, 0, 1},
		{V4L2_CID_MPEG_VIDEO_BITRATE_MODE, V4L2_MPEG_VIDEO_BITRATE_MODE_CBR, 0,
		 V4L2_MPEG_VIDEO_BITRATE_MODE_CBR},
		{V4L2_CID_MPEG_VIDEO_BITRATE_MODE, 2, -ERANGE, V4L2_MPEG_VIDEO_BITRATE_MODE_CBR},
		{V4L2_CID_MPEG_VIDEO_BITRATE_MODE, -1, -ERANGE, V4L2_MPEG_VIDEO_BITRATE_MODE_CBR},
		{V4L2_CID_MPEG_VIDEO_H264_PROFILE, V4L2_MPEG_VIDEO_H264_PROFILE_HIGH, 0,
		 V4L2_MPEG_VIDEO_H264_PROFILE_HIGH},
		{V4L2_CID_MPEG_VIDEO_H264_PROFILE, V4L2_MPEG_VIDEO_H264_PROFILE_EXTENDED, -EINVAL,
		 V4L2_MPEG_VIDEO_H264_PROFILE_HIGH},
		{V4L2_CID_MIN_BUFFERS_FOR_OUTPUT, 3, -EACCES, 2},
	};
	uint32_t id;
	struct media_world *w = with_session(ENCODER, &id);
	struct v4l2_control c = {.id = V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME};

	(void)state;
	for (unsigned i = 0; i < COUNT(sets); i++) {
		c = (struct v4l2_control){sets[i].id, sets[i].value};
		assert_int_equal(media_call(w, id, VIDIOC_S_CTRL, &c), sets[i].err);
		if (!sets[i].err)
			assert_int_equal(c.value, sets[i].becomes);
		c.value = 0;
		assert_int_equal(media_call(w, id, VIDIOC_G_CTRL, &c), 0);
		assert_int_equal(c.value, sets[i].becomes);
	}
	c = (struct v4l2_control){.id = V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME};
	assert_int_equal(media_call(w, id, VIDIOC_G_CTRL, &c), -EACCES);
	assert_int_equal(media_call(w, id, VIDIOC_S_CTRL, &c), 0);
	c = (struct v4l2_control){.id = V4L2_CID_CODEC_CLASS};
	assert_int_equal(media_call(w, id, VIDIOC_G_CTRL, &c), -EACCES);
	assert_int_equal(media_call(w, id, VIDIOC_S_CTRL, &c), -EACCES);
	media_world_destroy(w);
}

static int ext(struct media_world *w, uint32_t id, unsigned long ioctl, uint32_t which, struct v4l2_ext_control *c,
	       uint32_t count, uint32_t *wrong)
{
	struct v4l2_ext_controls x = {.which = which, .count = count, .controls = (void *)0x1234560};
	int err = media_call_long(w, id, ioctl, &x, c, count * sizeof(*c), NULL, 0);

	assert_ptr_equal(x.controls, (void *)0x1234560);
	assert_int_equal(x.count, count);
	if (wrong)
		*wrong = x.error_idx;
	return err;
}

static void controls_are_set_together_or_not_at_all(void **state)
{
	struct v4l2_ext_control c[3] = {
		{.id = V4L2_CID_MPEG_VIDEO_BITRATE, .value = 2000000},
		{.id = V4L2_CID_MPEG_VIDEO_BITRATE_MODE, .value = 9},
		{.id = V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER, .value = 0},
	};
	uint32_t id, wrong;
	struct media_world *w = with_session(ENCODER, &id);
	const uint32_t user = V4L2_CTRL_CLASS_USER, codec = V4L2_CTRL_CLASS_CODEC;

	(void)state;
	assert_int_equal(ext(w, id, VIDIOC_S_EXT_CTRLS, 0, c, 3, &wrong), -ERANGE);
	assert_int_equal(wrong, 3);
	assert_int_equal(ext(w, id, VIDIOC_TRY_EXT_CTRLS, 0, c, 3, &wrong), -ERANGE);
	assert_int_equal(wrong, 1);
	assert_int_equal(ext(w, id, VIDIOC_G_EXT_CTRLS, 0, c, 3, &wrong), 0);
	assert_true(c[0].value == 4000000 && c[1].value == 0 && c[2].value == 1);
	c[0].value = 2000001;
	assert_int_equal(ext(w, id, VIDIOC_TRY_EXT_CTRLS, codec, c, 3, NULL), 0);
	assert_int_equal(ext(w, id, VIDIOC_S_EXT_CTRLS, codec, c, 1, NULL), 0);
	assert_int_equal(ext(w, id, VIDIOC_G_EXT_CTRLS, codec, c, 3, NULL), 0);
	assert_int_equal(c[0].value, 2000001);
	assert_int_equal(ext(w, id, VIDIOC_G_EXT_CTRLS, V4L2_CTRL_WHICH_DEF_VAL, c, 3, NULL), 0);
	assert_int_equal(c[0].value, 4000000);
	/* Another class, requests, defaults that are set, none at all, an unknown one, one that can't be read. */
	assert_int_equal(ext(w, id, VIDIOC_G_EXT_CTRLS, user, c, 1, NULL), -EINVAL);
	assert_int_equal(ext(w, id, VIDIOC_G_EXT_CTRLS, V4L2_CTRL_WHICH_REQUEST_VAL, c, 1, NULL), -EINVAL);
	assert_int_equal(ext(w, id, VIDIOC_S_EXT_CTRLS, V4L2_CTRL_WHICH_DEF_VAL, c, 1, NULL), -EINVAL);
	assert_int_equal(ext(w, id, VIDIOC_G_EXT_CTRLS, 0, c, 0, NULL), 0);
	assert_int_equal(ext(w, id, VIDIOC_G_EXT_CTRLS, codec, c, 0, NULL), 0);
	assert_int_equal(ext(w, id, VIDIOC_S_EXT_CTRLS, V4L2_CTRL_CLASS_CAMERA, c, 0, NULL), -EINVAL);
	c[1].id = V4L2_CID_BRIGHTNESS;
	assert_int_equal(ext(w, id, VIDIOC_G_EXT_CTRLS, 0, c, 3, &wrong), -EINVAL);
	assert_int_equal(wrong, 3);
	c[1].id = V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME;
	assert_int_equal(ext(w, id, VIDIOC_G_EXT_CTRLS, 0, c, 3, NULL), -EACCES);
	assert_int_equal(ext(w, id, VIDIOC_S_EXT_CTRLS, 0, c, 3, NULL), 0);
	media_world_destroy(w);
}

static void a_count_without_controls_is_refused(void **state)
{
	struct v4l2_ext_controls x = {.count = 5};
	struct v4l2_ext_control c[4] = {{.id = V4L2_CID_MPEG_VIDEO_BITRATE}};
	uint32_t id;
	struct media_world *w = with_session(ENCODER, &id);

	(void)state;
	assert_int_equal(media_call_long(w, id, VIDIOC_G_EXT_CTRLS, &x, c, sizeof(c), NULL, 0), -EINVAL);
	x.count = 1025;
	assert_int_equal(media_call_long(w, id, VIDIOC_G_EXT_CTRLS, &x, c, sizeof(c), NULL, 0), -EINVAL);
	x.count = 0xffffffff;
	assert_int_equal(media_call_long(w, id, VIDIOC_S_EXT_CTRLS, &x, c, sizeof(c), NULL, 0), -EINVAL);
	media_world_destroy(w);
}

/* ---- events ---- */

static void events_are_subscribed_one_by_one(void **state)
{
	(void)state;
	for (unsigned encoder = 0; encoder < 2; encoder++) {
		const uint32_t control = encoder ? V4L2_CID_MPEG_VIDEO_BITRATE : V4L2_CID_MPEG_VIDEO_H264_PROFILE;
		uint32_t id;
		struct media_world *w = with_session(encoder ? ENCODER : NULL, &id);
		struct v4l2_event_subscription all = {.type = V4L2_EVENT_ALL};
		struct v4l2_event e;

		assert_int_equal(media_subscribe_to(w, id, V4L2_EVENT_EOS, 0, 0), 0);
		assert_int_equal(media_subscribe_to(w, id, V4L2_EVENT_SOURCE_CHANGE, 0, 0), encoder ? -EINVAL : 0);
		assert_int_equal(media_subscribe_to(w, id, V4L2_EVENT_VSYNC, 0, 0), -EINVAL);
		assert_int_equal(media_subscribe_to(w, id, V4L2_EVENT_ALL, 0, 0), -EINVAL);
		assert_int_equal(media_subscribe_to(w, id, V4L2_EVENT_CTRL, V4L2_CID_BRIGHTNESS, 0), -EINVAL);
		assert_int_equal(media_subscribe_to(w, id, V4L2_EVENT_CTRL, control, 0), 0);
		assert_int_equal(media_events_left(w, id), 0);
		assert_int_equal(media_subscribe_to(w, id, V4L2_EVENT_CTRL, control, V4L2_EVENT_SUB_FL_SEND_INITIAL),
				 0);
		e = media_dequeue_event(w, id);
		assert_int_equal(e.type, V4L2_EVENT_CTRL);
		assert_int_equal(e.id, control);
		assert_int_equal(e.u.ctrl.changes, V4L2_EVENT_CTRL_CH_VALUE | V4L2_EVENT_CTRL_CH_FLAGS);
		assert_int_equal(e.u.ctrl.value, encoder ? 4000000 : 0);
		assert_int_equal(media_subscribe_to(w, id, V4L2_EVENT_CTRL, V4L2_CID_CODEC_CLASS,
						    V4L2_EVENT_SUB_FL_SEND_INITIAL),
				 0);
		assert_int_equal(media_events_left(w, id), 0);
		assert_int_equal(media_call(w, id, VIDIOC_UNSUBSCRIBE_EVENT, &all), 0);
		media_world_destroy(w);
	}
}

static void a_change_is_told_to_who_wants_its_own(void **state)
{
	struct v4l2_control c = {.id = V4L2_CID_MPEG_VIDEO_BITRATE, .value = 5000000};
	struct v4l2_event_subscription e = {.type = V4L2_EVENT_CTRL, .id = V4L2_CID_MPEG_VIDEO_BITRATE};
	uint32_t id;
	struct media_world *w = with_session(ENCODER, &id);
	struct v4l2_event event;

	(void)state;
	assert_int_equal(media_subscribe_to(w, id, V4L2_EVENT_CTRL, c.id, 0), 0);
	assert_int_equal(media_call(w, id, VIDIOC_S_CTRL, &c), 0);
	assert_int_equal(media_events_left(w, id), 0);
	assert_int_equal(media_subscribe_to(w, id, V4L2_EVENT_CTRL, c.id, V4L2_EVENT_SUB_FL_ALLOW_FEEDBACK), 0);
	/* The same value is no change. */
	assert_int_equal(media_call(w, id, VIDIOC_S_CTRL, &c), 0);
	assert_int_equal(media_events_left(w, id), 0);
	c.value = 6000000;
	assert_int_equal(media_call(w, id, VIDIOC_S_CTRL, &c), 0);
	event = media_dequeue_event(w, id);
	assert_int_equal(event.u.ctrl.value, 6000000);
	assert_int_equal(media_call(w, id, VIDIOC_UNSUBSCRIBE_EVENT, &e), 0);
	c.value = 7000000;
	assert_int_equal(media_call(w, id, VIDIOC_S_CTRL, &c), 0);
	assert_int_equal(media_events_left(w, id), 0);
	media_world_destroy(w);
}

struct split {
	struct media_world *w;
	uint32_t id;
};

static void set_two(void *arg)
{
	struct split *x = arg;
	struct v4l2_ext_control c[2] = {{.id = V4L2_CID_MPEG_VIDEO_BITRATE, .value = 300000},
					{.id = V4L2_CID_MPEG_VIDEO_BITRATE_MODE, .value = 7}};
	uint32_t wrong;

	assert_int_equal(ext(x->w, x->id, VIDIOC_TRY_EXT_CTRLS, 0, c, 2, &wrong), -ERANGE);
	assert_int_equal(wrong, 1);
}

static void controls_may_be_cut_at_every_byte(void **state)
{
	struct split x;

	(void)state;
	x.w = with_session(ENCODER, &x.id);
	fake_guest_split_each(x.w->guest, 0, 16 + 32 + 40 + 8 + 32 + 40, set_two, &x);
	media_world_destroy(x.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(controls_are_listed_in_order),
		cmocka_unit_test(unknown_controls_are_refused),
		cmocka_unit_test(menus_have_names),
		cmocka_unit_test(values_are_brought_in_range_or_refused),
		cmocka_unit_test(controls_are_set_together_or_not_at_all),
		cmocka_unit_test(a_count_without_controls_is_refused),
		cmocka_unit_test(events_are_subscribed_one_by_one),
		cmocka_unit_test(a_change_is_told_to_who_wants_its_own),
		cmocka_unit_test(controls_may_be_cut_at_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
