// SPDX-License-Identifier: MIT
/*
 * Parameters and controls. What a driver sets is adjusted to what is possible, as in V4L2: it reads them back.
 */
#include <string.h>

#include "host/video/device.h"
#include "host/video/dialect.h"

#define MIN_SIDE 32u
#define MAX_FRAME_RATE 240u
/* The device copies, so a codec holds no buffer of the guest: one being filled and one with the guest. */
#define MIN_PICTURE_BUFFERS 2u
#define MAX_BUFFERS 32u

static uint32_t clamp(uint32_t value, uint32_t min, uint32_t max)
{
	return value < min ? min : value > max ? max : value;
}

/* ---- parameters ---- */

static void fill_coded(const struct video_stream *s, struct virtio_video_params *p, enum video_queue q)
{
	p->format = s->coded->number;
	p->frame_width = s->visible_width;
	p->frame_height = s->visible_height;
	p->min_buffers = 1;
	p->num_planes = 1;
	p->plane_formats[0].plane_size = s->sides[q].plane_bytes;
}

static void fill_planes(const struct video_layout *layout, bool as_one, struct virtio_video_params *p)
{
	if (as_one) {
		p->num_planes = 1;
		p->plane_formats[0].plane_size = layout->total_bytes;
		p->plane_formats[0].stride = layout->planes[0].stride_bytes;
		return;
	}
	p->num_planes = layout->format->planes;
	for (unsigned i = 0; i < p->num_planes; i++) {
		p->plane_formats[i].plane_size = layout->planes[i].size_bytes;
		p->plane_formats[i].stride = layout->planes[i].stride_bytes;
	}
}

static void fill_picture(const struct video *v, const struct video_stream *s, struct virtio_video_params *p)
{
	p->format = v->config.dialect->picture_number(s->layout.format);
	p->frame_width = s->layout.width;
	p->frame_height = s->layout.height;
	p->min_buffers = s->config.encoder ? 1 : MIN_PICTURE_BUFFERS;
	p->crop.width = s->visible_width;
	p->crop.height = s->visible_height;
	fill_planes(&s->layout, v->config.dialect->names_one_plane, p);
}

uint32_t video_get_params(struct video *v, struct video_command *cmd)
{
	/* The plain form is the beginning of the other. */
	struct virtio_video_params_ext params = {.resource_type = cmd->entry->memory_types[cmd->queue]};
	const struct video_stream *s = cmd->stream;

	params.base.queue_type = cmd->u.get_params.queue_type;
	params.base.max_buffers = MAX_BUFFERS;
	params.base.frame_rate = s->config.encoder ? s->controls.frame_rate : 0;
	if (cmd->queue == stream_coded_queue(s))
		fill_coded(s, &params.base, cmd->queue);
	else
		fill_picture(v, s, &params.base);
	memcpy(v->answer, &params, sizeof(params));
	cmd->answer = v->answer;
	cmd->answer_bytes = cmd->type == VIRTIO_VIDEO_CMD_GET_PARAMS ? sizeof(params.base) : sizeof(params);
	return VIRTIO_VIDEO_RESP_OK_GET_PARAMS;
}

/*
 * A size that the driver has from a container, say: it stands in for that of the bitstream, as long as this has told none and
 * nothing was made for another. Drivers that know of none say 0, or what they read here.
 */
static void expect_size(struct video_stream *s, const struct virtio_video_params *p)
{
	if (s->config.encoder || s->format_known || s->sides[VIDEO_OUTPUT].buffers || p->frame_width == 0 ||
	    p->frame_height == 0)
		return;
	stream_set_picture(s, s->layout.format, clamp(p->frame_width, MIN_SIDE, VIDEO_MAX_SIDE),
			   clamp(p->frame_height, MIN_SIDE, VIDEO_MAX_SIDE));
}

static uint32_t set_coded(struct video *v, struct video_command *cmd, const struct virtio_video_params *p)
{
	const struct video_coded_format *coded = video_find_coded(v, p->format);
	struct video_stream *s = cmd->stream;

	if (!coded)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
				    "coded format 0x%x is not offered; see QUERY_CAPABILITY", p->format);
	if (coded != s->coded)
		stream_set_coded(s, coded);
	expect_size(s, p);
	if (p->num_planes > 0 && p->plane_formats[0].plane_size > 0)
		s->sides[cmd->queue].plane_bytes = clamp(p->plane_formats[0].plane_size, VIDEO_MIN_CODED_BYTES, VIDEO_MAX_CODED_BYTES);
	return VIRTIO_VIDEO_RESP_OK_NODATA;
}

static uint32_t set_picture(const struct video *v, struct video_command *cmd, const struct virtio_video_params *p)
{
	const struct video_picture_format *format = video_find_picture(v, p->format);
	struct video_stream *s = cmd->stream;
	uint32_t width = s->visible_width, height = s->visible_height;

	/* A decoder's size is the bitstream's. */
	if (s->config.encoder) {
		width = clamp(p->frame_width, MIN_SIDE, VIDEO_MAX_SIDE) & ~1u;
		height = clamp(p->frame_height, MIN_SIDE, VIDEO_MAX_SIDE) & ~1u;
		/* Room for a key frame that hardly compresses. */
		s->sides[VIDEO_OUTPUT].plane_bytes = clamp(width * height, s->sides[VIDEO_OUTPUT].plane_bytes, VIDEO_MAX_CODED_BYTES);
	}
	stream_set_picture(s, format ? format : s->layout.format, width, height);
	return VIRTIO_VIDEO_RESP_OK_NODATA;
}

/* The frame rate of an encoder may change while it runs. */
static void set_rate(struct video_stream *s, const struct virtio_video_params *p)
{
	if (!s->config.encoder || p->frame_rate == 0 || p->frame_rate == s->controls.frame_rate)
		return;
	s->controls.frame_rate = clamp(p->frame_rate, 1, MAX_FRAME_RATE);
	stream_apply_controls(s);
}

uint32_t video_set_params(struct video *v, struct video_command *cmd)
{
	const struct virtio_video_params *p = &cmd->u.set_params.params;
	const bool coded = cmd->queue == stream_coded_queue(cmd->stream);
	struct video_stream *s = cmd->stream;
	uint32_t code;

	if (cmd->type == VIRTIO_VIDEO_CMD_SET_PARAMS_EXT &&
	    !video_has_memory_type(v, cmd->u.set_params_ext.params.resource_type))
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
				    "buffers as virtio objects were not offered; use guest pages");
	if (s->sides[cmd->queue].buffers || (coded && s->state != STREAM_IDLE)) {
		const bool moves = cmd->type == VIRTIO_VIDEO_CMD_SET_PARAMS_EXT &&
				   cmd->u.set_params_ext.params.resource_type != cmd->entry->memory_types[cmd->queue];

		/* Drivers set what they got before: no harm. */
		if (!moves && s->config.encoder &&
		    p->format == (coded ? s->coded->number : v->config.dialect->picture_number(s->layout.format)) &&
		    (coded || (p->frame_width == s->layout.width && p->frame_height == s->layout.height))) {
			set_rate(s, p);
			return VIRTIO_VIDEO_RESP_OK_NODATA;
		}
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
				    "the queue has resources; RESOURCE_DESTROY_ALL goes first");
	}
	code = coded ? set_coded(v, cmd, p) : set_picture(v, cmd, p);
	if (code != VIRTIO_VIDEO_RESP_OK_NODATA)
		return code;
	set_rate(s, p);
	if (cmd->type == VIRTIO_VIDEO_CMD_SET_PARAMS_EXT)
		cmd->entry->memory_types[cmd->queue] = cmd->u.set_params_ext.params.resource_type;
	return code;
}

/* ---- controls ---- */

/* Those with a value. */
static const struct control {
	uint32_t number;
	size_t offset; /* of the value in struct codec_controls, 32 bits each */
	uint32_t min, max; /* of encoders; PROFILE and LEVEL depend on the format */
	bool of_decoders;
} controls[] = {
	{VIRTIO_VIDEO_CONTROL_BITRATE, offsetof(struct codec_controls, bitrate), 1000, 1000000000, false},
	{VIRTIO_VIDEO_CONTROL_BITRATE_PEAK, offsetof(struct codec_controls, peak_bitrate), 1000, 2000000000, false},
	{VIRTIO_VIDEO_CONTROL_BITRATE_MODE, offsetof(struct codec_controls, bitrate_mode), 0, 1, false},
	{VIRTIO_VIDEO_CONTROL_PREPEND_SPSPPS_TO_IDR, offsetof(struct codec_controls, repeat_headers), 0, 1, false},
	{VIRTIO_VIDEO_CONTROL_PROFILE, offsetof(struct codec_controls, profile), 0, UINT32_MAX, true},
	{VIRTIO_VIDEO_CONTROL_LEVEL, offsetof(struct codec_controls, level), 0, UINT32_MAX, true},
};

static const struct control *find_control(const struct video *v, const struct video_stream *s, uint32_t number)
{
	for (unsigned i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
		const struct control *c = &controls[i];

		if (c->number == number && number <= v->config.dialect->last_control &&
		    (c->of_decoders || s->config.encoder) &&
		    (number != VIRTIO_VIDEO_CONTROL_PROFILE || s->coded->profiles[0].number != 0) &&
		    (number != VIRTIO_VIDEO_CONTROL_LEVEL || s->coded->last_level != 0) &&
		    (number != VIRTIO_VIDEO_CONTROL_PREPEND_SPSPPS_TO_IDR || s->coded->headers != VIDEO_HEADERS_NONE))
			return c;
	}
	return NULL;
}

static uint32_t refuse_control(struct video *v, const struct video_command *cmd, uint32_t number)
{
	return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_UNSUPPORTED_CONTROL, "no control %u here", number);
}

uint32_t video_query_control(struct video *v, struct video_command *cmd)
{
	const uint32_t number = cmd->u.query_control.control;
	struct virtio_video_query_control_format w;
	struct virtio_video_query_control_resp resp = {0};
	const struct video_coded_format *coded;
	const struct video_offer *offer;
	uint32_t values[32];

	if (number != VIRTIO_VIDEO_CONTROL_PROFILE && number != VIRTIO_VIDEO_CONTROL_LEVEL)
		return refuse_control(v, cmd, number);
	if (read_obj(cmd->rest, &w) < 0)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER, "the format is missing behind control %u",
				    number);
	offer = video_find_offer(v, w.format);
	if (!offer)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER, "coded format 0x%x is not offered", w.format);
	coded = offer->coded;
	if (number == VIRTIO_VIDEO_CONTROL_PROFILE) {
		for (unsigned i = 0; i < VIDEO_MAX_PROFILES; i++) {
			if (offer->can.profiles >> i & 1)
				values[resp.num++] = coded->profiles[i].number;
		}
	} else {
		for (uint32_t i = 0; i < 32; i++) {
			if (offer->can.levels >> i & 1)
				values[resp.num++] = coded->first_level + i;
		}
	}
	if (resp.num == 0)
		return refuse_control(v, cmd, number);
	memcpy(v->answer, &resp.num, sizeof(resp) - sizeof(resp.hdr));
	memcpy(v->answer + sizeof(resp) - sizeof(resp.hdr), values, resp.num * sizeof(values[0]));
	cmd->answer = v->answer;
	cmd->answer_bytes = sizeof(resp) - sizeof(resp.hdr) + resp.num * sizeof(values[0]);
	return VIRTIO_VIDEO_RESP_OK_QUERY_CONTROL;
}

uint32_t video_get_control(struct video *v, struct video_command *cmd)
{
	const uint32_t number = cmd->u.get_control.control;
	const struct control *c = find_control(v, cmd->stream, number);
	struct virtio_video_control_value value = {0};

	if (number == VIRTIO_VIDEO_CONTROL_FORCE_KEYFRAME && number <= v->config.dialect->last_control)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER, "FORCE_KEYFRAME is a button: it has no value");
	if (!c)
		return refuse_control(v, cmd, number);
	memcpy(&value.value, (const char *)&cmd->stream->controls + c->offset, sizeof(value.value));
	memcpy(v->answer, &value, sizeof(value));
	cmd->answer = v->answer;
	cmd->answer_bytes = sizeof(value);
	return VIRTIO_VIDEO_RESP_OK_GET_CONTROL;
}

static bool is_allowed(const struct video *v, const struct video_stream *s, const struct control *c, uint32_t value)
{
	const struct video_offer *offer = video_find_offer(v, s->coded->number);

	if (c->number == VIRTIO_VIDEO_CONTROL_PROFILE) {
		const struct video_profile *profile = video_profile_find(s->coded, value);

		/* What they are at first may be none that the codec lists. */
		return profile &&
		       (profile == s->coded->profiles || offer->can.profiles >> (profile - s->coded->profiles) & 1);
	}
	if (c->number == VIRTIO_VIDEO_CONTROL_LEVEL)
		return value == VIRTIO_VIDEO_LEVEL_H264_4_0 ||
		       (value >= s->coded->first_level && value <= s->coded->last_level &&
			offer->can.levels >> (value - s->coded->first_level) & 1);
	return value >= c->min && value <= c->max;
}

bool video_controls_are_possible(const struct video *v, const struct video_stream *s,
				 const struct codec_controls *values)
{
	for (unsigned i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
		const struct control *c = &controls[i];
		const bool is_none = (c->number == VIRTIO_VIDEO_CONTROL_PROFILE && s->coded->profiles[0].number == 0) ||
				     (c->number == VIRTIO_VIDEO_CONTROL_LEVEL && s->coded->last_level == 0);
		uint32_t value;

		memcpy(&value, (const char *)values + c->offset, sizeof(value));
		if (is_none ? value != 0 : !is_allowed(v, s, c, value))
			return false;
	}
	return values->frame_rate >= 1 && values->frame_rate <= MAX_FRAME_RATE;
}

uint32_t video_set_control(struct video *v, struct video_command *cmd)
{
	const uint32_t number = cmd->u.set_control.control;
	const struct control *c = find_control(v, cmd->stream, number);
	struct virtio_video_control_value w;

	if (!v->config.encoder)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION, "a decoder has no controls to set");
	if (number == VIRTIO_VIDEO_CONTROL_FORCE_KEYFRAME && number <= v->config.dialect->last_control) {
		cmd->stream->force_keyframe = true;
		return VIRTIO_VIDEO_RESP_OK_NODATA;
	}
	if (!c)
		return refuse_control(v, cmd, number);
	if (read_obj(cmd->rest, &w) < 0)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER, "the value is missing behind control %u",
				    number);
	if (!is_allowed(v, cmd->stream, c, w.value))
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER, "control %u can't be %u", number, w.value);
	memcpy((char *)&cmd->stream->controls + c->offset, &w.value, sizeof(w.value));
	cmd->stream->controls.level_chosen |= number == VIRTIO_VIDEO_CONTROL_LEVEL;
	stream_apply_controls(cmd->stream);
	return VIRTIO_VIDEO_RESP_OK_NODATA;
}
