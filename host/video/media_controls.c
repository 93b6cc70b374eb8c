// SPDX-License-Identifier: MIT
/*
 * V4L2's controls, one row each, and the events that a session asked for.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/video/media.h"
#include "protocol/virtio_video.h"

#define MAX_BITRATE 500000000
#define MAX_GOP_SIZE 1000000

struct control {
	uint32_t id;
	const char *name;
	uint8_t kinds; /* MEDIA_DECODER | MEDIA_ENCODER */
	uint32_t type, flags;
	int32_t min, max, initial;
	uint64_t choices; /* of a menu that does not depend on the codec: a bit each */
	const char *const *menu;
	uint32_t format; /* VIRTIO_VIDEO_FORMAT_* that it is about; 0: any */
	/* What a menu's choices are to the codec, from numbers[0] on; 0: there is none. */
	const uint32_t *numbers;
	/* Tell the encoder. NULL: there is nothing to tell. */
	void (*apply)(struct video_stream *stream, int32_t value, const struct control *c);
};

static void apply_bitrate(struct video_stream *stream, int32_t value, const struct control *c)
{
	(void)c;
	stream->controls.bitrate = (uint32_t)value;
}

static void apply_peak(struct video_stream *stream, int32_t value, const struct control *c)
{
	(void)c;
	stream->controls.peak_bitrate = (uint32_t)value;
}

static void apply_mode(struct video_stream *stream, int32_t value, const struct control *c)
{
	stream->controls.bitrate_mode = c->numbers[value];
}

static void apply_gop(struct video_stream *stream, int32_t value, const struct control *c)
{
	(void)c;
	stream->controls.gop_size = (uint32_t)value;
}

static void apply_repeat(struct video_stream *stream, int32_t value, const struct control *c)
{
	(void)c;
	stream->controls.repeat_headers = (uint32_t)value;
}

static void apply_key(struct video_stream *stream, int32_t value, const struct control *c)
{
	(void)value;
	(void)c;
	stream->force_keyframe = true;
}

static void apply_profile(struct video_stream *stream, int32_t value, const struct control *c)
{
	stream->controls.profile = c->numbers[value];
}

static void apply_level(struct video_stream *stream, int32_t value, const struct control *c)
{
	stream->controls.level = c->numbers[value];
}

static const char *const header_menu[] = {"Separate Buffer", "Joined With 1st Frame"};
static const char *const mode_menu[] = {"Variable Bitrate", "Constant Bitrate"};
static const uint32_t mode_numbers[] = {VIRTIO_VIDEO_BITRATE_MODE_VBR, VIRTIO_VIDEO_BITRATE_MODE_CBR};
static const char *const h264_profile_menu[] = {"Baseline", "Constrained Baseline", "Main", "Extended", "High",
						"High 10"};
static const uint32_t h264_profile_numbers[] = {
	[V4L2_MPEG_VIDEO_H264_PROFILE_BASELINE] = VIRTIO_VIDEO_PROFILE_H264_BASELINE,
	[V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE] = VIRTIO_VIDEO_PROFILE_H264_BASELINE,
	[V4L2_MPEG_VIDEO_H264_PROFILE_MAIN] = VIRTIO_VIDEO_PROFILE_H264_MAIN,
	[V4L2_MPEG_VIDEO_H264_PROFILE_HIGH] = VIRTIO_VIDEO_PROFILE_H264_HIGH,
	[V4L2_MPEG_VIDEO_H264_PROFILE_HIGH_10] = VIRTIO_VIDEO_PROFILE_H264_HIGH10,
};
static const char *const h264_level_menu[] = {"1", "1b",  "1.1", "1.2", "1.3", "2",   "2.1", "2.2",
					      "3", "3.1", "3.2", "4",	"4.1", "4.2", "5",   "5.1"};
static const uint32_t h264_level_numbers[] = {
	[V4L2_MPEG_VIDEO_H264_LEVEL_1_0] = 0x100, [V4L2_MPEG_VIDEO_H264_LEVEL_1_1] = 0x101,
	[V4L2_MPEG_VIDEO_H264_LEVEL_1_2] = 0x102, [V4L2_MPEG_VIDEO_H264_LEVEL_1_3] = 0x103,
	[V4L2_MPEG_VIDEO_H264_LEVEL_2_0] = 0x104, [V4L2_MPEG_VIDEO_H264_LEVEL_2_1] = 0x105,
	[V4L2_MPEG_VIDEO_H264_LEVEL_2_2] = 0x106, [V4L2_MPEG_VIDEO_H264_LEVEL_3_0] = 0x107,
	[V4L2_MPEG_VIDEO_H264_LEVEL_3_1] = 0x108, [V4L2_MPEG_VIDEO_H264_LEVEL_3_2] = 0x109,
	[V4L2_MPEG_VIDEO_H264_LEVEL_4_0] = 0x10a, [V4L2_MPEG_VIDEO_H264_LEVEL_4_1] = 0x10b,
	[V4L2_MPEG_VIDEO_H264_LEVEL_4_2] = 0x10c, [V4L2_MPEG_VIDEO_H264_LEVEL_5_0] = 0x10d,
	[V4L2_MPEG_VIDEO_H264_LEVEL_5_1] = 0x10e,
};
static const char *const hevc_profile_menu[] = {"Main", "Main Still Picture", "Main 10"};
static const uint32_t hevc_profile_numbers[] = {
	[V4L2_MPEG_VIDEO_HEVC_PROFILE_MAIN] = VIRTIO_VIDEO_PROFILE_HEVC_MAIN,
	[V4L2_MPEG_VIDEO_HEVC_PROFILE_MAIN_STILL_PICTURE] = VIRTIO_VIDEO_PROFILE_HEVC_MAIN_STILL_PICTURE,
	[V4L2_MPEG_VIDEO_HEVC_PROFILE_MAIN_10] = VIRTIO_VIDEO_PROFILE_HEVC_MAIN10,
};
static const char *const vp8_profile_menu[] = {"0"};
static const uint32_t vp8_profile_numbers[] = {VIRTIO_VIDEO_PROFILE_VP8_PROFILE0};
static const char *const vp9_profile_menu[] = {"0", "1", "2"};
static const uint32_t vp9_profile_numbers[] = {
	[V4L2_MPEG_VIDEO_VP9_PROFILE_0] = VIRTIO_VIDEO_PROFILE_VP9_PROFILE0,
	[V4L2_MPEG_VIDEO_VP9_PROFILE_2] = VIRTIO_VIDEO_PROFILE_VP9_PROFILE2,
};

#define LAST(menu) ((int32_t)(sizeof(menu) / sizeof((menu)[0])) - 1)
/* A menu of one format, of what the codec can. Decoders only show what they take. */
#define PROFILE(v4l2, label, kind, menu_flags, names, codec_numbers, wire)                                             \
	{                                                                                                              \
		.id = V4L2_CID_MPEG_VIDEO_##v4l2, .name = label, .kinds = kind, .type = V4L2_CTRL_TYPE_MENU,           \
		.flags = menu_flags, .max = LAST(names), .menu = names, .numbers = codec_numbers,                      \
		.format = VIRTIO_VIDEO_FORMAT_##wire, .apply = apply_profile,                                          \
	}
#define PROFILES(v4l2, label, names, codec_numbers, wire)                                                              \
	PROFILE(v4l2, label, MEDIA_DECODER, V4L2_CTRL_FLAG_READ_ONLY, names, codec_numbers, wire),                     \
		PROFILE(v4l2, label, MEDIA_ENCODER, 0, names, codec_numbers, wire)

#define CLASS(number, label)                                                                                           \
	{                                                                                                              \
		.id = number, .name = label, .kinds = MEDIA_CODEC, .type = V4L2_CTRL_TYPE_CTRL_CLASS,                  \
		.flags = V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_WRITE_ONLY,                                         \
	}

/* In the order of their numbers, as V4L2 lists them. */
static const struct control controls[] = {
	CLASS(V4L2_CID_USER_CLASS, "User Controls"),
	{.id = V4L2_CID_MIN_BUFFERS_FOR_CAPTURE,
	 .name = "Min Number of Capture Buffers",
	 .kinds = MEDIA_DECODER,
	 .type = V4L2_CTRL_TYPE_INTEGER,
	 .flags = V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_VOLATILE,
	 .min = 1,
	 .max = 32,
	 .initial = 2},
	{.id = V4L2_CID_MIN_BUFFERS_FOR_OUTPUT,
	 .name = "Min Number of Output Buffers",
	 .kinds = MEDIA_ENCODER,
	 .type = V4L2_CTRL_TYPE_INTEGER,
	 .flags = V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_VOLATILE,
	 .min = 1,
	 .max = 32,
	 .initial = 2},
	CLASS(V4L2_CID_CODEC_CLASS, "Codec Controls"),
	/* Pictures come out in their order, each at once. */
	{.id = V4L2_CID_MPEG_VIDEO_B_FRAMES,
	 .name = "Video B Frames",
	 .kinds = MEDIA_ENCODER,
	 .type = V4L2_CTRL_TYPE_INTEGER},
	{.id = V4L2_CID_MPEG_VIDEO_GOP_SIZE,
	 .name = "Video GOP Size",
	 .kinds = MEDIA_ENCODER,
	 .type = V4L2_CTRL_TYPE_INTEGER,
	 .max = MAX_GOP_SIZE,
	 .initial = CODEC_GOP_SIZE,
	 .apply = apply_gop},
	{.id = V4L2_CID_MPEG_VIDEO_BITRATE_MODE,
	 .name = "Video Bitrate Mode",
	 .kinds = MEDIA_ENCODER,
	 .type = V4L2_CTRL_TYPE_MENU,
	 .max = LAST(mode_menu),
	 .choices = 3,
	 .menu = mode_menu,
	 .numbers = mode_numbers,
	 .apply = apply_mode},
	{.id = V4L2_CID_MPEG_VIDEO_BITRATE,
	 .name = "Video Bitrate",
	 .kinds = MEDIA_ENCODER,
	 .type = V4L2_CTRL_TYPE_INTEGER,
	 .min = 1000,
	 .max = MAX_BITRATE,
	 .initial = 4000000,
	 .apply = apply_bitrate},
	{.id = V4L2_CID_MPEG_VIDEO_BITRATE_PEAK,
	 .name = "Video Peak Bitrate",
	 .kinds = MEDIA_ENCODER,
	 .type = V4L2_CTRL_TYPE_INTEGER,
	 .min = 1000,
	 .max = MAX_BITRATE,
	 .initial = 8000000,
	 .apply = apply_peak},
	{.id = V4L2_CID_MPEG_VIDEO_HEADER_MODE,
	 .name = "Sequence Header Mode",
	 .kinds = MEDIA_ENCODER,
	 .type = V4L2_CTRL_TYPE_MENU,
	 .max = LAST(header_menu),
	 .initial = V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME,
	 .choices = 1 << V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME,
	 .menu = header_menu},
	{.id = V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER,
	 .name = "Repeat Sequence Header",
	 .kinds = MEDIA_ENCODER,
	 .type = V4L2_CTRL_TYPE_BOOLEAN,
	 .max = 1,
	 .initial = 1,
	 .apply = apply_repeat},
	{.id = V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME,
	 .name = "Force Key Frame",
	 .kinds = MEDIA_ENCODER,
	 .type = V4L2_CTRL_TYPE_BUTTON,
	 .flags = V4L2_CTRL_FLAG_WRITE_ONLY | V4L2_CTRL_FLAG_EXECUTE_ON_WRITE,
	 .apply = apply_key},
	{.id = V4L2_CID_MPEG_VIDEO_H264_LEVEL,
	 .name = "H264 Level",
	 .kinds = MEDIA_ENCODER,
	 .type = V4L2_CTRL_TYPE_MENU,
	 .max = LAST(h264_level_menu),
	 .initial = V4L2_MPEG_VIDEO_H264_LEVEL_4_0,
	 .menu = h264_level_menu,
	 .numbers = h264_level_numbers,
	 .format = VIRTIO_VIDEO_FORMAT_H264,
	 .apply = apply_level},
	PROFILES(H264_PROFILE, "H264 Profile", h264_profile_menu, h264_profile_numbers, H264),
	PROFILES(VP8_PROFILE, "VP8 Profile", vp8_profile_menu, vp8_profile_numbers, VP8),
	PROFILES(VP9_PROFILE, "VP9 Profile", vp9_profile_menu, vp9_profile_numbers, VP9),
	PROFILES(HEVC_PROFILE, "HEVC Profile", hevc_profile_menu, hevc_profile_numbers, HEVC),
};
#define CONTROL_COUNT (sizeof(controls) / sizeof(controls[0]))
_Static_assert(CONTROL_COUNT <= MEDIA_CONTROL_ROWS, "a session has a value for each control");

/* Can the codec do choice number @number of @c, which is of its format? */
static bool can(const struct video_offer *offer, const struct control *c, uint32_t number)
{
	const struct video_profile *profile;

	if (number == 0)
		return false;
	if (c->apply == apply_level)
		return offer->can.levels >> (number - offer->coded->first_level) & 1;
	profile = video_profile_find(offer->coded, number);
	return profile && offer->can.profiles >> (profile - offer->coded->profiles) & 1;
}

/* Of a menu: what of it this device has, a bit each. */
static uint64_t choices_of(const struct media *m, const struct control *c)
{
	uint64_t choices = c->choices;

	for (unsigned i = 0; c->format != 0 && i < m->offer_count; i++) {
		for (int32_t k = 0; c->format == m->offers[i].coded->number && k <= c->max; k++)
			choices |= (uint64_t)can(&m->offers[i], c, c->numbers[k]) << k;
	}
	return choices;
}

/* Does this device have it? A menu of a format only if the host does the format. */
static bool has_control(const struct media *m, const struct control *c)
{
	if (!(c->kinds & (m->config.encoder ? MEDIA_ENCODER : MEDIA_DECODER)))
		return false;
	return c->format == 0 || choices_of(m, c) != 0;
}

static int32_t max_of(const struct media *m, const struct control *c)
{
	return c->format == 0 ? c->max : 63 - __builtin_clzll(choices_of(m, c));
}

/* The first choice where what the row says is none. */
static int32_t initial_of(const struct media *m, const struct control *c)
{
	if (c->format == 0 || choices_of(m, c) >> c->initial & 1)
		return c->initial;
	return __builtin_ctzll(choices_of(m, c));
}

/* The row of @id, or CONTROL_COUNT. */
static unsigned find_control(const struct media *m, uint32_t id)
{
	unsigned i = 0;

	while (i < CONTROL_COUNT && (controls[i].id != id || !has_control(m, &controls[i])))
		i++;
	return i;
}

/* The first row behind @id, of any class. */
static unsigned next_control(const struct media *m, uint32_t id)
{
	unsigned i = 0;

	while (i < CONTROL_COUNT && (controls[i].id <= id || !has_control(m, &controls[i])))
		i++;
	return i;
}

void media_init_controls(struct media_session *s)
{
	for (unsigned i = 0; i < CONTROL_COUNT; i++) {
		s->controls[i] = has_control(s->media, &controls[i]) ? initial_of(s->media, &controls[i]) : 0;
		s->control[i] = (struct media_note){.kind = MEDIA_NOTE_CONTROL, .session = s, .index = i};
	}
	media_apply_controls(s);
}

static void apply(struct media_session *s, unsigned row)
{
	const struct control *c = &controls[row];

	if (c->apply && (c->format == 0 || c->format == s->stream->coded->number))
		c->apply(s->stream, s->controls[row], c);
	if (c->apply == apply_level && c->format == s->stream->coded->number)
		s->stream->controls.level_chosen = s->level_chosen;
}

void media_apply_controls(struct media_session *s)
{
	for (unsigned i = 0; i < CONTROL_COUNT; i++) {
		/* A button is no state. */
		if (has_control(s->media, &controls[i]) && controls[i].type != V4L2_CTRL_TYPE_BUTTON)
			apply(s, i);
	}
}

/* ---- what there is ---- */

/* By number, or the next one, which V4L2's flags ask for. */
static unsigned look_up(struct media_session *s, uint32_t id)
{
	if (!(id & (V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND)))
		return find_control(s->media, id);
	/* None is compound. */
	if (!(id & V4L2_CTRL_FLAG_NEXT_CTRL))
		return CONTROL_COUNT;
	return next_control(s->media, id & ~(V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND));
}

static int32_t step_of(const struct control *c)
{
	return c->type != V4L2_CTRL_TYPE_BUTTON && c->type != V4L2_CTRL_TYPE_CTRL_CLASS;
}

int media_queryctrl(struct media_session *s, struct media_ioctl *i)
{
	struct v4l2_queryctrl *q = &i->u.queryctrl;
	const unsigned row = look_up(s, q->id);
	const struct control *c = &controls[row];

	if (row == CONTROL_COUNT)
		return -EINVAL; /* or the end of the list */
	*q = (struct v4l2_queryctrl){
		.id = c->id,
		.type = c->type,
		.minimum = c->min,
		.maximum = max_of(s->media, c),
		.step = step_of(c),
		.default_value = initial_of(s->media, c),
		.flags = c->flags,
	};
	snprintf((char *)q->name, sizeof(q->name), "%s", c->name);
	return 0;
}

int media_query_ext_ctrl(struct media_session *s, struct media_ioctl *i)
{
	struct v4l2_query_ext_ctrl *q = &i->u.query_ext_ctrl;
	const unsigned row = look_up(s, q->id);
	const struct control *c = &controls[row];

	if (row == CONTROL_COUNT)
		return -EINVAL;
	*q = (struct v4l2_query_ext_ctrl){
		.id = c->id,
		.type = c->type,
		.minimum = c->min,
		.maximum = max_of(s->media, c),
		.step = (__u64)step_of(c),
		.default_value = initial_of(s->media, c),
		.flags = c->flags,
		.elem_size = sizeof(int32_t),
		.elems = 1,
	};
	snprintf(q->name, sizeof(q->name), "%s", c->name);
	return 0;
}

int media_querymenu(struct media_session *s, struct media_ioctl *i)
{
	struct v4l2_querymenu *q = &i->u.querymenu;
	const unsigned row = find_control(s->media, q->id);
	const struct control *c = &controls[row];
	const uint32_t id = q->id, index = q->index;

	if (row == CONTROL_COUNT || !c->menu || index > (uint32_t)c->max || !(choices_of(s->media, c) >> index & 1))
		return -EINVAL; /* no such choice */
	*q = (struct v4l2_querymenu){.id = id, .index = index};
	snprintf((char *)q->name, sizeof(q->name), "%s", c->menu[index]);
	return 0;
}

/* ---- values ---- */

/* Bring *@value to what the control can have. Returns 0, -ERANGE, or -EINVAL for a choice that is not offered. */
static int check_value(const struct media *m, const struct control *c, int32_t *value)
{
	switch (c->type) {
	case V4L2_CTRL_TYPE_INTEGER:
		*value = *value < c->min ? c->min : *value > c->max ? c->max : *value;
		return 0;
	case V4L2_CTRL_TYPE_BOOLEAN:
		*value = *value != 0;
		return 0;
	case V4L2_CTRL_TYPE_MENU:
		if (*value < 0 || *value > max_of(m, c))
			return -ERANGE;
		return choices_of(m, c) >> *value & 1 ? 0 : -EINVAL;
	default:
		*value = 0;
		return 0;
	}
}

static void set_value(struct media_session *s, unsigned row, int32_t value)
{
	const bool changed = s->controls[row] != value;

	s->controls[row] = value;
	/* Even to what it is: until then the encoder takes the one that fits. */
	s->level_chosen |= controls[row].apply == apply_level;
	apply(s, row);
	/* Whoever changes it is told only if it asked for that. */
	if (changed && s->wants_control[row] & V4L2_EVENT_SUB_FL_ALLOW_FEEDBACK)
		media_post_note(s->media, &s->control[row]);
}

int media_g_ctrl(struct media_session *s, struct media_ioctl *i)
{
	const unsigned row = find_control(s->media, i->u.control.id);

	if (row == CONTROL_COUNT)
		return MEDIA_REFUSE(i, -EINVAL, "no control 0x%x", i->u.control.id);
	if (controls[row].flags & V4L2_CTRL_FLAG_WRITE_ONLY)
		return MEDIA_REFUSE(i, -EACCES, "%s can't be read", controls[row].name);
	i->u.control.value = s->controls[row];
	return 0;
}

int media_s_ctrl(struct media_session *s, struct media_ioctl *i)
{
	const unsigned row = find_control(s->media, i->u.control.id);
	int err;

	if (row == CONTROL_COUNT)
		return MEDIA_REFUSE(i, -EINVAL, "no control 0x%x", i->u.control.id);
	if (controls[row].flags & V4L2_CTRL_FLAG_READ_ONLY)
		return MEDIA_REFUSE(i, -EACCES, "%s can't be set", controls[row].name);
	err = check_value(s->media, &controls[row], &i->u.control.value);
	if (err < 0)
		return MEDIA_REFUSE(i, err, "%s can't be %d", controls[row].name, i->u.control.value);
	set_value(s, row, i->u.control.value);
	stream_apply_controls(s->stream);
	return 0;
}

bool media_restore_controls(struct media_session *s, const int32_t *values, const uint32_t *wants)
{
	for (unsigned i = 0; i < CONTROL_COUNT; i++) {
		int32_t value = values[i];

		if (!has_control(s->media, &controls[i]))
			continue;
		if (check_value(s->media, &controls[i], &value) < 0) {
			if (value < 0 || value > controls[i].max)
				return false;
			/* The element of the process before had more choices: this one may have no hardware. */
			value = initial_of(s->media, &controls[i]);
		}
		s->controls[i] = value;
		s->wants_control[i] = wants[i] & MEDIA_SUBSCRIBED ? wants[i] : 0;
	}
	media_apply_controls(s);
	return true;
}

/* Is there any control of that class? */
static bool has_class(const struct media *m, uint32_t which)
{
	for (unsigned i = 0; i < CONTROL_COUNT; i++) {
		if (has_control(m, &controls[i]) && V4L2_CTRL_ID2WHICH(controls[i].id) == which)
			return true;
	}
	return false;
}

/* One of the controls of G, S and TRY: may it be, and what is its value? */
static int check_control(const struct media_session *s, const struct media_ioctl *i, struct v4l2_ext_control *e)
{
	const uint32_t which = i->u.ext_controls.which;
	const unsigned row = find_control(s->media, e->id);
	const bool get = i->row->code == _IOC_NR(VIDIOC_G_EXT_CTRLS);
	const struct control *c = &controls[row];
	int32_t value = e->value;
	int err;

	if (row == CONTROL_COUNT)
		return -EINVAL;
	if (which != V4L2_CTRL_WHICH_CUR_VAL && which != V4L2_CTRL_WHICH_DEF_VAL && which != V4L2_CTRL_ID2WHICH(e->id))
		return -EINVAL;
	if (get) {
		if (c->flags & V4L2_CTRL_FLAG_WRITE_ONLY)
			return -EACCES;
		e->value = which == V4L2_CTRL_WHICH_DEF_VAL ? initial_of(s->media, c) : s->controls[row];
		return 0;
	}
	if (c->flags & V4L2_CTRL_FLAG_READ_ONLY)
		return -EACCES;
	err = check_value(s->media, c, &value);
	e->value = value;
	return err;
}

/*
 * All of them are looked at before one is set; error_idx says which was wrong only where nothing would have been set.
 */
int media_ext_ctrls(struct media_session *s, struct media_ioctl *i)
{
	const bool set = i->row->code == _IOC_NR(VIDIOC_S_EXT_CTRLS),
		   try = i->row->code == _IOC_NR(VIDIOC_TRY_EXT_CTRLS);
	struct v4l2_ext_controls *x = &i->u.ext_controls;
	struct v4l2_ext_control *list = s->media->controls;
	int err = 0;

	if (x->count > MEDIA_MAX_CONTROLS)
		return MEDIA_REFUSE(i, -EINVAL, "%u controls; %u are the most", x->count, MEDIA_MAX_CONTROLS);
	i->tail = list;
	i->tail_bytes = x->count * sizeof(*list);
	if (reader_copy(i->rest, list, i->tail_bytes) < 0 || i->room < sizeof(*x) + i->tail_bytes) {
		i->tail_bytes = 0;
		return MEDIA_REFUSE(i, -EINVAL,
				    "%u controls must follow, in the request and in the room for the answer", x->count);
	}
	i->answer_anyway = true;
	x->error_idx = x->count;
	x->reserved[0] = 0;
	if (x->which == V4L2_CTRL_WHICH_REQUEST_VAL || ((set || try) && x->which == V4L2_CTRL_WHICH_DEF_VAL))
		return MEDIA_REFUSE(i, -EINVAL, "values 0x%x are not there", x->which);
	if (x->count == 0)
		return x->which == V4L2_CTRL_WHICH_CUR_VAL || x->which == V4L2_CTRL_WHICH_DEF_VAL ||
				       has_class(s->media, x->which)
			       ? 0
			       : MEDIA_REFUSE(i, -EINVAL, "no controls of class 0x%x", x->which);
	for (uint32_t k = 0; !err && k < x->count; k++) {
		err = check_control(s, i, &list[k]);
		if (err < 0) {
			x->error_idx = try ? k : x->count;
			return MEDIA_REFUSE(i, err,
					    "control 0x%x: unknown, of another class, or a value that it can't have",
					    list[k].id);
		}
	}
	for (uint32_t k = 0; set && k < x->count; k++)
		set_value(s, find_control(s->media, list[k].id), list[k].value);
	if (set)
		stream_apply_controls(s->stream);
	return 0;
}

/* ---- events ---- */

void media_describe_control(const struct media_session *s, unsigned row, struct v4l2_event *event)
{
	const struct control *c = &controls[row];

	event->type = V4L2_EVENT_CTRL;
	event->id = c->id;
	event->u.ctrl = (struct v4l2_event_ctrl){
		.changes = V4L2_EVENT_CTRL_CH_FLAGS |
			   (c->flags & V4L2_CTRL_FLAG_WRITE_ONLY ? 0u : V4L2_EVENT_CTRL_CH_VALUE),
		.type = c->type,
		.value = s->controls[row],
		.flags = c->flags,
		.minimum = c->min,
		.maximum = max_of(s->media, c),
		.step = step_of(c),
		.default_value = initial_of(s->media, c),
	};
}

int media_subscribe(struct media_session *s, struct media_ioctl *i)
{
	const struct v4l2_event_subscription *e = &i->u.subscription;
	unsigned row;

	switch (e->type) {
	case V4L2_EVENT_EOS:
		s->wants_eos = true;
		return 0;
	case V4L2_EVENT_SOURCE_CHANGE:
		if (s->media->config.encoder)
			break;
		s->wants_source_change = true;
		return 0;
	case V4L2_EVENT_CTRL:
		row = find_control(s->media, e->id);
		if (row == CONTROL_COUNT)
			return MEDIA_REFUSE(i, -EINVAL, "no control 0x%x", e->id);
		s->wants_control[row] = MEDIA_SUBSCRIBED | e->flags;
		if (!(e->flags & V4L2_EVENT_SUB_FL_SEND_INITIAL) || controls[row].type == V4L2_CTRL_TYPE_CTRL_CLASS)
			return 0;
		media_post_note(s->media, &s->control[row]);
		/* Drivers look for it when they have the answer. */
		media_send_notes(s->media);
		return 0;
	}
	return MEDIA_REFUSE(i, -EINVAL, "event %u is none of this device's", e->type);
}

static void unsubscribe_control(struct media_session *s, unsigned row)
{
	s->wants_control[row] = 0;
	media_drop_note(s->media, &s->control[row]);
}

int media_unsubscribe(struct media_session *s, struct media_ioctl *i)
{
	const struct v4l2_event_subscription *e = &i->u.subscription;
	const bool all = e->type == V4L2_EVENT_ALL;
	const unsigned row = e->type == V4L2_EVENT_CTRL ? find_control(s->media, e->id) : CONTROL_COUNT;

	if (all || e->type == V4L2_EVENT_EOS) {
		s->wants_eos = false;
		media_drop_note(s->media, &s->eos);
	}
	if (all || e->type == V4L2_EVENT_SOURCE_CHANGE) {
		s->wants_source_change = false;
		media_drop_note(s->media, &s->source_change);
	}
	if (row < CONTROL_COUNT)
		unsubscribe_control(s, row);
	for (unsigned k = 0; all && k < CONTROL_COUNT; k++)
		unsubscribe_control(s, k);
	return 0;
}
