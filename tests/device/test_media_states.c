// SPDX-License-Identifier: MIT
/*
 * Every command and every ioctl of virtio-media in every state of a session, of a decoder and of an encoder. Over the fake
 * codec, whose input says what it does (host/video/codec_fake.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "tests/lib/media_player.h"

/*
 * OPENED    nothing was set.
 * READY     OUTPUT has buffers.
 * WAITING   OUTPUT is on; no size is known, CAPTURE has no buffers.
 * RUNNING   both are on.
 * DRAINING  a STOP waits for a buffer that it can mark.
 * STOPPED   it has come to its end.
 * FAILED    the codec gave up.
 */
enum state { OPENED, READY, WAITING, RUNNING, DRAINING, STOPPED, FAILED, STATES };

static const char *const state_names[] = {"opened", "ready", "waiting", "running", "draining", "stopped", "failed"};

#define RAW_BYTES (PLAYER_WIDTH * PLAYER_HEIGHT * 3 / 2)

static bool of_encoder; /* the device of the row at work */

/* ---- how a session gets there ---- */

static void reach_decoder(struct player *p, struct media_world *w, enum state to)
{
	*p = (struct player){.w = w};
	switch (to) {
	case OPENED:
	case READY:
		assert_int_equal(media_open(w, &p->id), 0);
		if (to == READY)
			player_make_buffers(p, MEDIA_OUTPUT, PLAYER_INPUTS, p->in, p->in_at);
		return;
	case WAITING:
		player_open(p, w);
		return;
	default:
		player_start(p, w);
		break;
	}
	/* Until no CAPTURE buffer is left. */
	for (uint32_t i = 0; to == DRAINING && i < PLAYER_OUTPUTS; i++) {
		player_feed(p, i + 1);
		player_expect_picture(p, i);
	}
	if (to == DRAINING || to == STOPPED)
		assert_int_equal(media_command(w, p->id, false, PLAYER_STOP), 0);
	if (to == STOPPED) {
		player_expect_picture(p, 0);
		player_expect_end(p);
	}
	if (to == FAILED)
		player_queue_unit(p, FAKE_ERROR, PLAYER_WIDTH, PLAYER_HEIGHT, 1);
	media_settle(w);
}

static void encode(struct player *p, uint32_t value)
{
	const uint32_t i = p->next_in++ % PLAYER_INPUTS;

	memset(p->in[i], (int)value, RAW_BYTES);
	assert_int_equal(media_queue_buffer(p->w, p->id, MEDIA_OUTPUT, i, RAW_BYTES, 1000000 + value), 0);
	media_dequeue(p->w, p->id, MEDIA_OUTPUT);
	media_dequeue(p->w, p->id, MEDIA_CAPTURE);
}

static void reach_encoder(struct player *p, struct media_world *w, enum state to)
{
	*p = (struct player){.w = w};
	assert_int_equal(media_open(w, &p->id), 0);
	if (to == OPENED)
		return;
	player_set_format(p, MEDIA_CAPTURE, V4L2_PIX_FMT_H264, PLAYER_WIDTH, PLAYER_HEIGHT);
	player_set_format(p, MEDIA_OUTPUT, V4L2_PIX_FMT_YUV420, PLAYER_WIDTH, PLAYER_HEIGHT);
	player_make_buffers(p, MEDIA_OUTPUT, PLAYER_INPUTS, p->in, p->in_at);
	if (to == READY)
		return;
	assert_int_equal(media_stream(w, p->id, MEDIA_OUTPUT, true), 0);
	if (to == WAITING)
		return;
	player_start_capture(p);
	encode(p, 0);
	for (uint32_t i = 1; to == DRAINING && i < PLAYER_OUTPUTS; i++)
		encode(p, i);
	if (to == DRAINING || to == STOPPED)
		assert_int_equal(media_command(w, p->id, true, PLAYER_STOP), 0);
	if (to == STOPPED)
		player_expect_last(p);
	if (to == FAILED)
		player_queue_unit(p, FAKE_ERROR, PLAYER_WIDTH, PLAYER_HEIGHT, 1);
	media_settle(w);
}

/* ---- the commands ---- */

static int open_another(struct player *p)
{
	uint32_t id;

	return media_open(p->w, &id);
}

/* What is closed is not there any more. */
static int close_it(struct player *p)
{
	struct v4l2_format f = {.type = MEDIA_CAPTURE};

	media_close(p->w, p->id);
	return media_call(p->w, p->id, VIDIOC_G_FMT, &f);
}

static int map(struct player *p)
{
	uint64_t at, bytes;

	return media_map(p->w, p->id, 0, true, &at, &bytes);
}

static int unmap(struct player *p)
{
	return media_unmap(p->w, p->in_at[0]);
}

/* ---- the ioctls ---- */

static int enum_fmt(struct player *p)
{
	struct v4l2_fmtdesc d = {.type = MEDIA_CAPTURE};

	return media_call(p->w, p->id, VIDIOC_ENUM_FMT, &d);
}

static int g_fmt(struct player *p)
{
	struct v4l2_format f = {.type = MEDIA_CAPTURE};

	return media_call(p->w, p->id, VIDIOC_G_FMT, &f);
}

/* What is set, or tried, is what was got. */
static int say_fmt(struct player *p, unsigned long ioctl, uint32_t type)
{
	struct v4l2_format f = {.type = type};

	assert_int_equal(media_call(p->w, p->id, VIDIOC_G_FMT, &f), 0);
	return media_call(p->w, p->id, ioctl, &f);
}

static int s_fmt_output(struct player *p)
{
	return say_fmt(p, VIDIOC_S_FMT, MEDIA_OUTPUT);
}

static int s_fmt_capture(struct player *p)
{
	return say_fmt(p, VIDIOC_S_FMT, MEDIA_CAPTURE);
}

static int try_fmt(struct player *p)
{
	return say_fmt(p, VIDIOC_TRY_FMT, MEDIA_OUTPUT);
}

static int reqbufs(struct player *p, uint32_t type, uint32_t count)
{
	return media_request(p->w, p->id, type, V4L2_MEMORY_MMAP, &count);
}

static int reqbufs_output(struct player *p)
{
	return reqbufs(p, MEDIA_OUTPUT, 2);
}

static int reqbufs_capture(struct player *p)
{
	return reqbufs(p, MEDIA_CAPTURE, 2);
}

static int reqbufs_no_output(struct player *p)
{
	return reqbufs(p, MEDIA_OUTPUT, 0);
}

static int reqbufs_no_capture(struct player *p)
{
	return reqbufs(p, MEDIA_CAPTURE, 0);
}

static int create_bufs(struct player *p)
{
	struct v4l2_create_buffers c = {.count = 1, .memory = V4L2_MEMORY_MMAP, .format = {.type = MEDIA_CAPTURE}};

	assert_int_equal(media_call(p->w, p->id, VIDIOC_G_FMT, &c.format), 0);
	return media_call(p->w, p->id, VIDIOC_CREATE_BUFS, &c);
}

static int querybuf(struct player *p)
{
	struct v4l2_plane plane;
	struct v4l2_buffer b;

	return media_query(p->w, p->id, MEDIA_OUTPUT, 0, &b, &plane, 1);
}

static int qbuf_output(struct player *p)
{
	return media_queue_buffer(p->w, p->id, MEDIA_OUTPUT, p->next_in % PLAYER_INPUTS, 20, 0);
}

static int qbuf_capture(struct player *p)
{
	return media_queue_buffer(p->w, p->id, MEDIA_CAPTURE, 0, 0, 0);
}

static int output_on(struct player *p)
{
	return media_stream(p->w, p->id, MEDIA_OUTPUT, true);
}

static int capture_on(struct player *p)
{
	return media_stream(p->w, p->id, MEDIA_CAPTURE, true);
}

static int output_off(struct player *p)
{
	return media_stream(p->w, p->id, MEDIA_OUTPUT, false);
}

static int capture_off(struct player *p)
{
	return media_stream(p->w, p->id, MEDIA_CAPTURE, false);
}

static int parm(struct player *p, unsigned long ioctl)
{
	struct v4l2_streamparm c = {.type = MEDIA_OUTPUT};

	c.parm.output.timeperframe = (struct v4l2_fract){1, 25};
	return media_call(p->w, p->id, ioctl, &c);
}

static int g_parm(struct player *p)
{
	return parm(p, VIDIOC_G_PARM);
}

static int s_parm(struct player *p)
{
	return parm(p, VIDIOC_S_PARM);
}

/* Of the picture side. */
static int selection(struct player *p, unsigned long ioctl)
{
	struct v4l2_selection x = {.type = of_encoder ? V4L2_BUF_TYPE_VIDEO_OUTPUT : V4L2_BUF_TYPE_VIDEO_CAPTURE,
				   .target = of_encoder ? V4L2_SEL_TGT_CROP : V4L2_SEL_TGT_COMPOSE,
				   .r = {0, 0, 32, 32}};

	return media_call(p->w, p->id, ioctl, &x);
}

static int g_selection(struct player *p)
{
	return selection(p, VIDIOC_G_SELECTION);
}

static int s_selection(struct player *p)
{
	return selection(p, VIDIOC_S_SELECTION);
}

static int enum_framesizes(struct player *p)
{
	struct v4l2_frmsizeenum f = {.pixel_format = V4L2_PIX_FMT_NV12};

	return media_call(p->w, p->id, VIDIOC_ENUM_FRAMESIZES, &f);
}

static int enum_frameintervals(struct player *p)
{
	struct v4l2_frmivalenum f = {.pixel_format = V4L2_PIX_FMT_NV12, .width = 64, .height = 64};

	return media_call(p->w, p->id, VIDIOC_ENUM_FRAMEINTERVALS, &f);
}

static int decoder_stop(struct player *p)
{
	return media_command(p->w, p->id, false, PLAYER_STOP);
}

static int decoder_start(struct player *p)
{
	return media_command(p->w, p->id, false, PLAYER_START);
}

static int try_decoder_stop(struct player *p)
{
	struct v4l2_decoder_cmd c = {.cmd = PLAYER_STOP};

	return media_call(p->w, p->id, VIDIOC_TRY_DECODER_CMD, &c);
}

static int encoder_stop(struct player *p)
{
	return media_command(p->w, p->id, true, PLAYER_STOP);
}

static int encoder_start(struct player *p)
{
	return media_command(p->w, p->id, true, PLAYER_START);
}

static int try_encoder_stop(struct player *p)
{
	struct v4l2_encoder_cmd c = {.cmd = PLAYER_STOP};

	return media_call(p->w, p->id, VIDIOC_TRY_ENCODER_CMD, &c);
}

static int subscribe(struct player *p)
{
	return media_subscribe_to(p->w, p->id, V4L2_EVENT_EOS, 0, 0);
}

static int unsubscribe(struct player *p)
{
	struct v4l2_event_subscription e = {.type = V4L2_EVENT_EOS};

	return media_call(p->w, p->id, VIDIOC_UNSUBSCRIBE_EVENT, &e);
}

/* One that the device has; a decoder's can't be set. */
static uint32_t control(void)
{
	return of_encoder ? V4L2_CID_MPEG_VIDEO_BITRATE : V4L2_CID_MIN_BUFFERS_FOR_CAPTURE;
}

static int queryctrl(struct player *p)
{
	struct v4l2_queryctrl q = {.id = V4L2_CTRL_FLAG_NEXT_CTRL};

	return media_call(p->w, p->id, VIDIOC_QUERYCTRL, &q);
}

static int query_ext_ctrl(struct player *p)
{
	struct v4l2_query_ext_ctrl q = {.id = V4L2_CTRL_FLAG_NEXT_CTRL};

	return media_call(p->w, p->id, VIDIOC_QUERY_EXT_CTRL, &q);
}

static int querymenu(struct player *p)
{
	struct v4l2_querymenu m = {.id = V4L2_CID_MPEG_VIDEO_H264_PROFILE};

	return media_call(p->w, p->id, VIDIOC_QUERYMENU, &m);
}

static int g_ctrl(struct player *p)
{
	struct v4l2_control c = {.id = control()};

	return media_call(p->w, p->id, VIDIOC_G_CTRL, &c);
}

static int s_ctrl(struct player *p)
{
	struct v4l2_control c = {.id = control(), .value = 2000000};

	return media_call(p->w, p->id, VIDIOC_S_CTRL, &c);
}

static int ext_ctrls(struct player *p, unsigned long ioctl)
{
	struct v4l2_ext_control c = {.id = control(), .value = 2000000};
	struct v4l2_ext_controls list = {.count = 1};

	return media_call_long(p->w, p->id, ioctl, &list, &c, sizeof(c), NULL, 0);
}

static int g_ext_ctrls(struct player *p)
{
	return ext_ctrls(p, VIDIOC_G_EXT_CTRLS);
}

static int s_ext_ctrls(struct player *p)
{
	return ext_ctrls(p, VIDIOC_S_EXT_CTRLS);
}

static int try_ext_ctrls(struct player *p)
{
	return ext_ctrls(p, VIDIOC_TRY_EXT_CTRLS);
}

/* No codec has a tuner. */
static int g_tuner(struct player *p)
{
	struct v4l2_tuner t = {0};

	return media_call(p->w, p->id, VIDIOC_G_TUNER, &t);
}

/* ---- what they are answered ---- */

struct row {
	const char *name;
	int (*call)(struct player *p);
	int expected[STATES];
};

/* clang-format off */
#define ALWAYS(result) {result, result, result, result, result, result, result}
/* clang-format on */

/* As V4L2's stateful decoder and encoder have it (the kernel's dev-decoder.rst and dev-encoder.rst). */
static const struct row decoder_rows[] = {
	/* clang-format off */
	/*                                            OPENED   READY    WAITING  RUNNING  DRAINING STOPPED  FAILED */
	{"OPEN", open_another,                       ALWAYS(0)},
	{"CLOSE", close_it,                          ALWAYS(-EINVAL)},
	{"MMAP", map,                                {-EINVAL, 0,       0,       0,       0,       0,       0}},
	{"MUNMAP", unmap,                            {-EINVAL, 0,       0,       0,       0,       0,       0}},
	{"ENUM_FMT", enum_fmt,                       ALWAYS(0)},
	{"G_FMT", g_fmt,                             ALWAYS(0)},
	{"S_FMT OUTPUT", s_fmt_output,               {0,       -EBUSY,  -EBUSY,  -EBUSY,  -EBUSY,  -EBUSY,  -EBUSY}},
	{"S_FMT CAPTURE", s_fmt_capture,             {0,       0,       0,       -EBUSY,  -EBUSY,  -EBUSY,  -EBUSY}},
	{"TRY_FMT", try_fmt,                         ALWAYS(0)},
	{"REQBUFS OUTPUT", reqbufs_output,           {0,       0,       -EBUSY,  -EBUSY,  -EBUSY,  -EBUSY,  -EBUSY}},
	{"REQBUFS CAPTURE", reqbufs_capture,         {0,       0,       0,       -EBUSY,  -EBUSY,  -EBUSY,  -EBUSY}},
	{"REQBUFS no OUTPUT", reqbufs_no_output,     ALWAYS(0)},
	{"REQBUFS no CAPTURE", reqbufs_no_capture,   ALWAYS(0)},
	{"CREATE_BUFS", create_bufs,                 ALWAYS(0)},
	{"QUERYBUF", querybuf,                       {-EINVAL, 0,       0,       0,       0,       0,       0}},
	{"QBUF OUTPUT", qbuf_output,                 {-EINVAL, 0,       0,       0,       0,       0,       -EIO}},
	/* RUNNING: it is queued. */
	{"QBUF CAPTURE", qbuf_capture,               {-EINVAL, -EINVAL, -EINVAL, -EINVAL, 0,       0,       -EIO}},
	{"STREAMON OUTPUT", output_on,               {-EINVAL, 0,       0,       0,       0,       0,       0}},
	{"STREAMON CAPTURE", capture_on,             {-EINVAL, -EINVAL, -EINVAL, 0,       0,       0,       0}},
	{"STREAMOFF OUTPUT", output_off,             ALWAYS(0)},
	{"STREAMOFF CAPTURE", capture_off,           ALWAYS(0)},
	{"G_SELECTION", g_selection,                 ALWAYS(0)},
	{"S_SELECTION", s_selection,                 ALWAYS(0)},
	{"ENUM_FRAMESIZES", enum_framesizes,         ALWAYS(0)},
	{"DECODER_CMD STOP", decoder_stop,           {0,       0,       0,       0,       -EBUSY,  0,       -EIO}},
	{"DECODER_CMD START", decoder_start,         {0,       0,       0,       0,       -EBUSY,  0,       0}},
	{"TRY_DECODER_CMD", try_decoder_stop,        ALWAYS(0)},
	{"SUBSCRIBE_EVENT", subscribe,               ALWAYS(0)},
	{"UNSUBSCRIBE_EVENT", unsubscribe,           ALWAYS(0)},
	{"QUERYCTRL", queryctrl,                     ALWAYS(0)},
	{"QUERY_EXT_CTRL", query_ext_ctrl,           ALWAYS(0)},
	{"QUERYMENU", querymenu,                     ALWAYS(0)},
	{"G_CTRL", g_ctrl,                           ALWAYS(0)},
	{"S_CTRL", s_ctrl,                           ALWAYS(-EACCES)},
	{"G_EXT_CTRLS", g_ext_ctrls,                 ALWAYS(0)},
	{"S_EXT_CTRLS", s_ext_ctrls,                 ALWAYS(-EACCES)},
	{"TRY_EXT_CTRLS", try_ext_ctrls,             ALWAYS(-EACCES)},
	{"G_PARM", g_parm,                           ALWAYS(-ENOTTY)},
	{"S_PARM", s_parm,                           ALWAYS(-ENOTTY)},
	{"ENUM_FRAMEINTERVALS", enum_frameintervals, ALWAYS(-ENOTTY)},
	{"ENCODER_CMD STOP", encoder_stop,           ALWAYS(-ENOTTY)},
	{"ENCODER_CMD START", encoder_start,         ALWAYS(-ENOTTY)},
	{"TRY_ENCODER_CMD", try_encoder_stop,        ALWAYS(-ENOTTY)},
	{"G_TUNER", g_tuner,                         ALWAYS(-ENOTTY)},
	/* clang-format on */
};

static const struct row encoder_rows[] = {
	/* clang-format off */
	/*                                            OPENED   READY    WAITING  RUNNING  DRAINING STOPPED  FAILED */
	{"OPEN", open_another,                       ALWAYS(0)},
	{"CLOSE", close_it,                          ALWAYS(-EINVAL)},
	{"MMAP", map,                                {-EINVAL, 0,       0,       0,       0,       0,       0}},
	{"MUNMAP", unmap,                            {-EINVAL, 0,       0,       0,       0,       0,       0}},
	{"ENUM_FMT", enum_fmt,                       ALWAYS(0)},
	{"G_FMT", g_fmt,                             ALWAYS(0)},
	{"S_FMT OUTPUT", s_fmt_output,               {0,       -EBUSY,  -EBUSY,  -EBUSY,  -EBUSY,  -EBUSY,  -EBUSY}},
	{"S_FMT CAPTURE", s_fmt_capture,             {0,       0,       0,       -EBUSY,  -EBUSY,  -EBUSY,  -EBUSY}},
	{"TRY_FMT", try_fmt,                         ALWAYS(0)},
	{"REQBUFS OUTPUT", reqbufs_output,           {0,       0,       -EBUSY,  -EBUSY,  -EBUSY,  -EBUSY,  -EBUSY}},
	{"REQBUFS CAPTURE", reqbufs_capture,         {0,       0,       0,       -EBUSY,  -EBUSY,  -EBUSY,  -EBUSY}},
	{"REQBUFS no OUTPUT", reqbufs_no_output,     ALWAYS(0)},
	{"REQBUFS no CAPTURE", reqbufs_no_capture,   ALWAYS(0)},
	{"CREATE_BUFS", create_bufs,                 ALWAYS(0)},
	{"QUERYBUF", querybuf,                       {-EINVAL, 0,       0,       0,       0,       0,       0}},
	{"QBUF OUTPUT", qbuf_output,                 {-EINVAL, 0,       0,       0,       0,       0,       -EIO}},
	/* RUNNING and STOPPED: the first of them came back. */
	{"QBUF CAPTURE", qbuf_capture,               {-EINVAL, -EINVAL, -EINVAL, 0,       0,       0,       -EIO}},
	{"STREAMON OUTPUT", output_on,               {-EINVAL, 0,       0,       0,       0,       0,       0}},
	{"STREAMON CAPTURE", capture_on,             {-EINVAL, -EINVAL, -EINVAL, 0,       0,       0,       0}},
	{"STREAMOFF OUTPUT", output_off,             ALWAYS(0)},
	{"STREAMOFF CAPTURE", capture_off,           ALWAYS(0)},
	{"G_SELECTION", g_selection,                 ALWAYS(0)},
	{"S_SELECTION", s_selection,                 ALWAYS(0)},
	{"ENUM_FRAMESIZES", enum_framesizes,         ALWAYS(0)},
	{"ENUM_FRAMEINTERVALS", enum_frameintervals, ALWAYS(0)},
	{"G_PARM", g_parm,                           ALWAYS(0)},
	{"S_PARM", s_parm,                           ALWAYS(0)},
	{"ENCODER_CMD STOP", encoder_stop,           {0,       0,       0,       0,       -EBUSY,  0,       -EIO}},
	{"ENCODER_CMD START", encoder_start,         {0,       0,       0,       0,       -EBUSY,  0,       0}},
	{"TRY_ENCODER_CMD", try_encoder_stop,        ALWAYS(0)},
	{"SUBSCRIBE_EVENT", subscribe,               ALWAYS(0)},
	{"UNSUBSCRIBE_EVENT", unsubscribe,           ALWAYS(0)},
	{"QUERYCTRL", queryctrl,                     ALWAYS(0)},
	{"QUERY_EXT_CTRL", query_ext_ctrl,           ALWAYS(0)},
	{"QUERYMENU", querymenu,                     ALWAYS(0)},
	{"G_CTRL", g_ctrl,                           ALWAYS(0)},
	{"S_CTRL", s_ctrl,                           ALWAYS(0)},
	{"G_EXT_CTRLS", g_ext_ctrls,                 ALWAYS(0)},
	{"S_EXT_CTRLS", s_ext_ctrls,                 ALWAYS(0)},
	{"TRY_EXT_CTRLS", try_ext_ctrls,             ALWAYS(0)},
	{"DECODER_CMD STOP", decoder_stop,           ALWAYS(-ENOTTY)},
	{"DECODER_CMD START", decoder_start,         ALWAYS(-ENOTTY)},
	{"TRY_DECODER_CMD", try_decoder_stop,        ALWAYS(-ENOTTY)},
	{"G_TUNER", g_tuner,                         ALWAYS(-ENOTTY)},
	/* clang-format on */
};

static void check(const struct row *row, enum state state)
{
	struct media_world *w = media_world_create(&(struct video_world_options){.encoder = of_encoder});
	struct player p, other;
	int err;

	(of_encoder ? reach_encoder : reach_decoder)(&p, w, state);
	err = row->call(&p);
	if (err != row->expected[state])
		fail_msg("%s of %s session that is %s: %d instead of %d", row->name,
			 of_encoder ? "an encoder's" : "a decoder's", state_names[state], err, row->expected[state]);
	/* The device is well, and another session is at work beside this one. */
	media_settle(w);
	(of_encoder ? reach_encoder : reach_decoder)(&other, w, RUNNING);
	media_close(w, p.id);
	media_settle(w);
	media_world_destroy(w);
}

static void every_command_has_its_answer_in_every_state(void **state)
{
	(void)state;
	of_encoder = false;
	for (unsigned n = 0; n < sizeof(decoder_rows) / sizeof(decoder_rows[0]); n++) {
		for (unsigned k = 0; k < STATES; k++)
			check(&decoder_rows[n], (enum state)k);
	}
}

static void and_of_an_encoder(void **state)
{
	(void)state;
	of_encoder = true;
	for (unsigned n = 0; n < sizeof(encoder_rows) / sizeof(encoder_rows[0]); n++) {
		for (unsigned k = 0; k < STATES; k++)
			check(&encoder_rows[n], (enum state)k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_has_its_answer_in_every_state),
		cmocka_unit_test(and_of_an_encoder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
