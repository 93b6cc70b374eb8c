// SPDX-License-Identifier: MIT
#include "host/video/count.h"

#include <stdio.h>

#include "host/video/stream.h"
#include "host/video/video.h"
#include "host/virtio/counters.h"

/* Which element ran, and what it did. */
static void count_codec(struct counters *out, const char *part, bool encoder, const struct codec_stats *s)
{
	if (s->element[0]) {
		counters_add_text(out, part, "element", s->element);
		counters_add_flag(out, part, "hardware", s->hardware);
	}
	counters_add(out, part, "frames-in", s->frames_in);
	counters_add(out, part, "bytes-in", s->bytes_in);
	counters_add(out, part, "frames-out", s->frames_out);
	counters_add(out, part, "bytes-out", s->bytes_out);
	counters_add(out, part, "imported", s->imported);
	counters_add(out, part, "copies", s->copies);
	counters_add_ratio(out, part, "copies-per-frame", s->copies, encoder ? s->frames_in : s->frames_out);
}

void video_count_stream(struct counters *out, const struct video_stream *s)
{
	struct codec_stats stats;
	char part[24];

	snprintf(part, sizeof(part), "stream %u", s->config.id);
	counters_add_text(out, part, "format", s->coded->name);
	counters_add_text(out, part, "state", stream_state_name(s->state));
	counters_add(out, part, "width", s->visible_width);
	counters_add(out, part, "height", s->visible_height);
	stream_get_stats(s, &stats);
	count_codec(out, part, s->config.encoder, &stats);
}

void video_count_device(struct counters *out, bool encoder, const struct video_stats *s)
{
	counters_add(out, NULL, "commands", s->commands);
	counters_add(out, NULL, "errors", s->errors);
	counters_add(out, NULL, "events", s->events);
	counters_add(out, NULL, "streams", s->streams);
	count_codec(out, NULL, encoder, &s->codec);
}
