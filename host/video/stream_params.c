// SPDX-License-Identifier: MIT
/* What there is to a stream beside its queues: names, statistics, parameters. */
#include "host/video/stream.h"

#include <assert.h>
#include <string.h>

#include "protocol/virtio_video.h"

static const char *const state_names[STREAM_STATE_COUNT] = {
	[STREAM_IDLE] = "idle",
	[STREAM_RUNNING] = "running",
	[STREAM_DRAINING] = "draining",
	[STREAM_FAILED] = "failed",
};

const char *stream_state_name(enum stream_state state)
{
	return state_names[state];
}

static void add_stats(struct codec_stats *sum, const struct codec_stats *s)
{
	memcpy(sum->element, s->element, sizeof(sum->element));
	sum->hardware = s->hardware;
	sum->frames_in += s->frames_in;
	sum->frames_out += s->frames_out;
	sum->bytes_in += s->bytes_in;
	sum->bytes_out += s->bytes_out;
	sum->imported += s->imported;
	sum->copies += s->copies;
}

void stream_add_running_stats(const struct video_stream *s, struct codec_stats *sum)
{
	struct codec_stats stats = {0};

	if (!s->codec)
		return;
	s->codec->ops->stats(s->codec, &stats);
	add_stats(sum, &stats);
}

void stream_get_stats(const struct video_stream *s, struct codec_stats *out)
{
	*out = s->stats;
	stream_add_running_stats(s, out);
}

struct video_buffer *stream_find_buffer(const struct video_stream *s, enum video_queue q, uint32_t id)
{
	for (struct video_buffer *b = s->sides[q].buffers; b; b = b->next) {
		if (b->id == id)
			return b;
	}
	return NULL;
}

void stream_add_buffer(struct video_stream *s, enum video_queue q, struct video_buffer *b)
{
	b->next = s->sides[q].buffers;
	s->sides[q].buffers = b;
	s->sides[q].buffer_count++;
}

void stream_drop_buffer(struct video_stream *s, enum video_queue q, struct video_buffer *b)
{
	struct video_buffer **at = &s->sides[q].buffers;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	s->sides[q].buffer_count--;
	video_buffer_destroy(b);
	if (q == VIDEO_OUTPUT && !s->sides[q].first_queued)
		s->output_held = s->mark_owed = false;
}

void stream_set_picture(struct video_stream *s, const struct video_picture_format *format, uint32_t width, uint32_t height)
{
	/* Buffers that there are were made for the size before: who has a codec next is told, even if it is this one. */
	if (!s->codec && (width != s->visible_width || height != s->visible_height))
		s->format_known = false;
	video_layout_init(&s->layout, format, width, height);
	s->visible_width = width;
	s->visible_height = height;
}

void stream_set_coded(struct video_stream *s, const struct video_coded_format *coded)
{
	assert(!s->codec);
	s->coded = coded;
	s->headers.changes += s->headers.bytes > 0;
	s->headers.bytes = 0;
	video_units_reset(&s->units, s->config.encoder ? VIDEO_HEADERS_NONE : coded->headers);
	s->format_known = false;
	s->controls.profile = coded->profiles[0].number;
	s->controls.level = coded->last_level ? VIRTIO_VIDEO_LEVEL_H264_4_0 : 0;
	s->controls.level_chosen = false;
}

void stream_apply_controls(struct video_stream *s)
{
	if (s->codec)
		s->codec->ops->control(s->codec, &s->controls);
}
