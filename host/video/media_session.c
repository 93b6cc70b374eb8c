// SPDX-License-Identifier: MIT
/*
 * Sessions: V4L2's stateful codec (the kernel's dev-decoder.rst and dev-encoder.rst) on a stream of the session core.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/media.h"

/* ---- what the stream says ---- */

/* Give @b what its input had. */
static void copy_stamp(const struct media_session *s, struct media_buffer *b)
{
	/* The last one first. */
	for (unsigned i = 1; i <= MEDIA_STAMPS; i++) {
		const struct media_stamp *stamp = &s->stamps[(s->next_stamp - i) % MEDIA_STAMPS];

		if (stamp->timestamp_ns != b->timestamp_ns)
			continue;
		b->flags |= stamp->flags;
		b->timecode = stamp->timecode;
		return;
	}
}

/* The codec did something. In a command it counts when that does. */
static void progress(struct media_session *s)
{
	media_record_session(s);
	if (!s->media->hold_notes)
		media_record_commit(s->media, 0);
}

static void on_buffer_done(void *owner, struct video_stream *stream, enum video_queue q, struct video_buffer *core,
			   const struct stream_done *done)
{
	struct media_session *s = owner;
	struct media_queue *queue = &s->queues[q];
	struct media_buffer *b = queue->buffers[core->id];
	uint32_t sizes[MEDIA_MAX_PLANES];

	b->state = MEDIA_FREE;
	/* Told by whoever clears it. */
	if (queue->clearing)
		return;
	b->flags |= done->error ? V4L2_BUF_FLAG_ERROR : 0u;
	if (q == VIDEO_OUTPUT) {
		b->flags |= (done->end ? V4L2_BUF_FLAG_LAST : 0u) | (done->key_frame ? V4L2_BUF_FLAG_KEYFRAME : 0u) |
			    (done->delta_frame ? V4L2_BUF_FLAG_PFRAME : 0u);
		b->timestamp_ns = done->timestamp;
		if (!done->end)
			copy_stamp(s, b);
		/* Before the buffer: who has that looks for the event. An old size ends without. */
		else if (s->wants_eos && !stream_output_is_held(stream))
			media_post_note(s->media, &s->eos);
		/* A buffer may be larger than its picture; one in error smaller, if it was made for another size. */
		media_plane_sizes(s, q, sizes);
		for (unsigned i = 0; i < queue->plane_count; i++) {
			struct media_plane *p = &b->planes[i];

			p->data_offset = 0;
			p->bytes_used = done->end ? 0 : sizes[i] < p->length ? sizes[i] : p->length;
		}
		if (s->media->config.encoder)
			b->planes[0].bytes_used = done->bytes;
	}
	media_buffer_done(s, q, b);
	progress(s);
}

static void on_drain_done(void *owner, struct video_stream *stream, void *request, bool cancelled)
{
	struct media_session *s = owner;

	(void)stream;
	(void)request;
	s->draining = false;
	if (!cancelled)
		s->stopped = true;
	progress(s);
}

/* The stream gave back what it had; what waits for it can't go there. */
void media_session_failed(struct media_session *s)
{
	s->failed = true;
	while (s->queues[VIDEO_INPUT].first_pending) {
		struct media_buffer *b = s->queues[VIDEO_INPUT].first_pending;

		s->queues[VIDEO_INPUT].first_pending = b->next_pending;
		b->flags |= V4L2_BUF_FLAG_ERROR;
		media_buffer_done(s, VIDEO_INPUT, b);
	}
	s->queues[VIDEO_INPUT].last_pending = &s->queues[VIDEO_INPUT].first_pending;
}

void media_session_lose(struct media_session *s)
{
	if (s->queues[VIDEO_OUTPUT].streaming)
		stream_clear(s->stream, VIDEO_OUTPUT);
	stream_lose_codec(s->stream);
	media_session_failed(s);
}

static void on_event(void *owner, struct video_stream *stream, enum stream_event event)
{
	struct media_session *s = owner;

	(void)stream;
	if (event == STREAM_EVENT_FORMAT) {
		if (s->wants_source_change)
			media_post_note(s->media, &s->source_change);
	} else {
		media_session_failed(s);
	}
	progress(s);
}

static const struct stream_front_ops front_ops = {
	.buffer_done = on_buffer_done,
	.drain_done = on_drain_done,
	.event = on_event,
};

void media_buffer_done(struct media_session *s, enum video_queue q, struct media_buffer *b)
{
	b->state = MEDIA_DONE;
	b->sequence = s->queues[q].sequence++;
	media_record_buffer(s, q, b);
	media_post_note(s->media, &b->note);
}

/* ---- open and close ---- */

struct media_session *media_find_session(const struct media *m, uint32_t id)
{
	struct media_session *s = m->sessions;

	while (s && s->id != id)
		s = s->next;
	return s;
}

int media_session_open(struct media *m, struct media_session **out)
{
	do
		m->last_id++;
	while (m->last_id == 0 || media_find_session(m, m->last_id));
	return media_session_open_as(m, m->last_id, out);
}

int media_session_open_as(struct media *m, uint32_t id, struct media_session **out)
{
	struct media_session *s = calloc(1, sizeof(*s));
	const struct stream_config config = {
		.id = id,
		.encoder = m->config.encoder,
		.coded = m->offers[0].coded,
		.codec = m->config.codec,
		.element = m->config.element,
		.timeout_ms = m->config.timeout_ms,
		.marks_changes = true,
		.loop = m->device.loop,
		.front = &front_ops,
		.owner = s,
		.stats = &m->stats.codec,
	};

	if (!s)
		return -ENOMEM;
	s->id = id;
	s->media = m;
	if (stream_create(&config, &s->stream) < 0) {
		free(s);
		return -ENOMEM;
	}
	for (unsigned q = 0; q < VIDEO_QUEUE_COUNT; q++)
		s->queues[q].last_pending = &s->queues[q].first_pending;
	s->eos = (struct media_note){.kind = MEDIA_NOTE_EOS, .session = s};
	s->source_change = (struct media_note){.kind = MEDIA_NOTE_SOURCE_CHANGE, .session = s};
	media_init_formats(s);
	media_init_controls(s);
	s->next = m->sessions;
	m->sessions = s;
	m->session_count++;
	*out = s;
	return 0;
}

void media_session_close(struct media_session *s)
{
	struct media *m = s->media;
	struct media_session **at = &m->sessions;

	for (unsigned q = 0; q < VIDEO_QUEUE_COUNT; q++) {
		media_stop_queue(s, q);
		media_free_buffers(s, q);
	}
	stream_destroy(s->stream);
	media_drop_note(m, &s->eos);
	media_drop_note(m, &s->source_change);
	for (unsigned i = 0; i < MEDIA_CONTROL_ROWS; i++)
		media_drop_note(m, &s->control[i]);
	media_record_session_gone(s);
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	m->session_count--;
	free(s);
}

/* ---- queues ---- */

bool media_find_queue(uint32_t type, enum video_queue *q)
{
	*q = type == V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE ? VIDEO_INPUT : VIDEO_OUTPUT;
	return type == V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE || type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
}

void media_pend(struct media_queue *queue, struct media_buffer *b)
{
	b->state = MEDIA_PENDING;
	b->next_pending = NULL;
	*queue->last_pending = b;
	queue->last_pending = &b->next_pending;
}

static bool may_feed(const struct media_session *s, enum video_queue q)
{
	if (!s->queues[q].streaming || s->failed)
		return false;
	return q == VIDEO_OUTPUT || (!s->draining && !s->stopped);
}

void media_feed(struct media_session *s, enum video_queue q)
{
	struct media_queue *queue = &s->queues[q];

	while (queue->first_pending && may_feed(s, q)) {
		struct media_buffer *b = queue->first_pending;
		int err;

		queue->first_pending = b->next_pending;
		if (!queue->first_pending)
			queue->last_pending = &queue->first_pending;
		b->state = MEDIA_QUEUED;
		err = q == VIDEO_INPUT ? stream_queue_input(s->stream, b->core)
				       : stream_queue_output(s->stream, b->core);
		if (err == 0)
			continue;
		log_guest(LOG_TOPIC_VIDEO, &s->media->log_limit,
			  "session %u: buffer %u is not what the format needs; see G_FMT", s->id, b->core->id);
		b->flags |= V4L2_BUF_FLAG_ERROR;
		media_buffer_done(s, q, b);
	}
}

void media_stop_queue(struct media_session *s, enum video_queue q)
{
	struct media_queue *queue = &s->queues[q];

	/* The stream has none of a queue that is off, and a drain that begins before CAPTURE is on must go on. */
	if (queue->streaming || (q == VIDEO_OUTPUT && stream_output_is_held(s->stream))) {
		queue->clearing = true;
		stream_clear(s->stream, q);
		queue->clearing = false;
	}
	s->media->running -= q == VIDEO_INPUT && queue->streaming;
	queue->streaming = false;
	queue->first_pending = NULL;
	queue->last_pending = &queue->first_pending;
	for (unsigned i = 0; i < queue->count; i++) {
		media_drop_note(s->media, &queue->buffers[i]->note);
		queue->buffers[i]->state = MEDIA_FREE;
		queue->buffers[i]->flags = 0;
		queue->buffers[i]->sequence = 0;
		queue->buffers[i]->timestamp_ns = 0;
		media_record_buffer(s, q, queue->buffers[i]);
	}
	queue->sequence = 0;
	/*
	 * A STOP that came to its end without a CAPTURE buffer to mark, maybe just now, when those of an old size went, is not
	 * over for the guest: an input that the stream had before the next buffer would undo it.
	 */
	s->stopped = q == VIDEO_OUTPUT && stream_end_is_owed(s->stream);
	if (q != VIDEO_INPUT)
		return;
	s->failed = false;
	/* Of a stream without a size it would tell that it failed, which is over. */
	if (!s->stream->format_known)
		media_drop_note(s->media, &s->source_change);
}

int media_streamon(struct media_session *s, struct media_ioctl *i)
{
	enum video_queue q;

	if (!media_find_queue((uint32_t)i->u.number, &q) || s->queues[q].count == 0)
		return MEDIA_REFUSE(i, -EINVAL, "buffer type %d, which is none of a codec's or has no buffers",
				    i->u.number);
	if (q == VIDEO_INPUT && !s->queues[q].streaming) {
		if (s->media->refuse_until_ns > loop_now_ns())
			return MEDIA_REFUSE(
				i, -EIO, "the process that decodes and encodes died too often; try again in %llu s",
				(unsigned long long)((s->media->refuse_until_ns - loop_now_ns()) / 1000000000u + 1));
		if (s->media->running >= s->media->config.limits.streams)
			return MEDIA_REFUSE(i, -ENOMEM, "%u streams are running; see the option streams",
					    s->media->running);
		s->media->running++;
	}
	s->queues[q].streaming = true;
	media_feed(s, VIDEO_OUTPUT);
	media_feed(s, VIDEO_INPUT);
	return 0;
}

int media_streamoff(struct media_session *s, struct media_ioctl *i)
{
	enum video_queue q;

	if (!media_find_queue((uint32_t)i->u.number, &q))
		return MEDIA_REFUSE(i, -EINVAL, "buffer type %d; 9 is CAPTURE, 10 is OUTPUT", i->u.number);
	media_stop_queue(s, q);
	/* A codec that this makes may be what the process before this one died of. */
	if (!s->media->again)
		media_feed(s, VIDEO_INPUT);
	return 0;
}

/* ---- stop and start ---- */

static int stop(struct media_session *s, struct media_ioctl *i)
{
	int err;

	if (s->draining || stream_end_is_owed(s->stream))
		return MEDIA_REFUSE(i, -EBUSY, "a STOP is at work; wait for the buffer with the LAST flag");
	/* There is nothing to wait for. */
	if (s->stopped || !s->queues[VIDEO_INPUT].streaming)
		return 0;
	s->draining = true;
	err = stream_drain(s->stream, s);
	if (err < 0) {
		s->draining = false;
		return MEDIA_REFUSE(i, -EIO, "the stream has failed; restart the OUTPUT queue");
	}
	return 0;
}

static int start(struct media_session *s, struct media_ioctl *i)
{
	const bool held = stream_output_is_held(s->stream);

	if ((s->draining && !held) || stream_end_is_owed(s->stream))
		return MEDIA_REFUSE(i, -EBUSY, "a STOP is at work; wait for the buffer with the LAST flag");
	/* Behind a change of size it says that the buffers will do: the STOP goes on with them. */
	if (!s->draining)
		s->stopped = false;
	stream_keep_output(s->stream);
	media_feed(s, VIDEO_OUTPUT);
	media_feed(s, VIDEO_INPUT);
	return 0;
}

int media_try_decoder_cmd(struct media_session *s, struct media_ioctl *i)
{
	struct v4l2_decoder_cmd *c = &i->u.decoder_cmd;

	(void)s;
	if (c->cmd != V4L2_DEC_CMD_START && c->cmd != V4L2_DEC_CMD_STOP)
		return MEDIA_REFUSE(i, -EINVAL, "command %u; there are START and STOP", c->cmd);
	*c = (struct v4l2_decoder_cmd){.cmd = c->cmd};
	return 0;
}

int media_decoder_cmd(struct media_session *s, struct media_ioctl *i)
{
	int err = media_try_decoder_cmd(s, i);

	if (err < 0)
		return err;
	return i->u.decoder_cmd.cmd == V4L2_DEC_CMD_STOP ? stop(s, i) : start(s, i);
}

int media_try_encoder_cmd(struct media_session *s, struct media_ioctl *i)
{
	struct v4l2_encoder_cmd *c = &i->u.encoder_cmd;

	(void)s;
	if (c->cmd != V4L2_ENC_CMD_START && c->cmd != V4L2_ENC_CMD_STOP)
		return MEDIA_REFUSE(i, -EINVAL, "command %u; there are START and STOP", c->cmd);
	*c = (struct v4l2_encoder_cmd){.cmd = c->cmd};
	return 0;
}

int media_encoder_cmd(struct media_session *s, struct media_ioctl *i)
{
	int err = media_try_encoder_cmd(s, i);

	if (err < 0)
		return err;
	return i->u.encoder_cmd.cmd == V4L2_ENC_CMD_STOP ? stop(s, i) : start(s, i);
}
