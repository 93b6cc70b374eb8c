// SPDX-License-Identifier: MIT
#include "host/video/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "host/virtio/object.h"

#define DEFAULT_WIDTH 640u
#define DEFAULT_HEIGHT 480u
#define DEFAULT_CODED_BYTES (1u << 20)
#define DEFAULT_BITRATE 4000000u
/* A part of an access unit waits for the next one for such a part of what a codec may take. */
#define PARTS_OF_TIMEOUT 100u

/* ---- state ---- */

static const bool may_enter[STREAM_STATE_COUNT][STREAM_STATE_COUNT] = {
	[STREAM_IDLE] = {[STREAM_RUNNING] = true, [STREAM_DRAINING] = true, [STREAM_FAILED] = true},
	[STREAM_RUNNING] = {[STREAM_IDLE] = true, [STREAM_DRAINING] = true, [STREAM_FAILED] = true},
	[STREAM_DRAINING] = {[STREAM_IDLE] = true, [STREAM_RUNNING] = true, [STREAM_FAILED] = true},
	[STREAM_FAILED] = {[STREAM_IDLE] = true},
};

static void stream_enter(struct video_stream *s, enum stream_state to)
{
	assert(may_enter[s->state][to]);
	if (log_enabled(LOG_TOPIC_VIDEO, LOG_TRACE))
		log_line(LOG_TOPIC_VIDEO, LOG_TRACE, "stream %u: %s -> %s", s->config.id, 
			 stream_state_name(s->state), stream_state_name(to));
	s->state = to;
}

/* ---- queues ---- */

static void push(struct stream_side *side, struct video_buffer *b)
{
	b->queued = true;
	b->next_queued = NULL;
	*side->last_queued = b;
	side->last_queued = &b->next_queued;
}

static struct video_buffer *pop(struct stream_side *side)
{
	struct video_buffer *b = side->first_queued;

	side->first_queued = b->next_queued;
	if (!side->first_queued)
		side->last_queued = &side->first_queued;
	b->queued = false;
	return b;
}

static void finish_first(struct video_stream *s, enum video_queue q, const struct stream_done *done)
{
	s->config.front->buffer_done(s->config.owner, s, q, pop(&s->sides[q]), done);
}

static void cancel_queued(struct video_stream *s, enum video_queue q)
{
	static const struct stream_done cancelled = {.error = true};

	while (s->sides[q].first_queued)
		finish_first(s, q, &cancelled);
}

static void end_drain(struct video_stream *s, bool cancelled)
{
	void *request = s->drain_request;

	s->drain_request = NULL;
	s->drain_sent = false;
	s->config.front->drain_done(s->config.owner, s, request, cancelled);
}

/* ---- the codec ---- */

static void pump(struct video_stream *s, bool codec_spoke);

static void on_changed(void *owner)
{
	pump(owner, true);
}

/* A decoder's pictures are written, not read. */
static bool lends_output(const struct video_stream *s)
{
	return s->lent && !s->config.encoder;
}

/* Out of the list of what the codec has. */
static struct video_buffer *take_lent(struct video_stream *s, const struct video_buffer *which)
{
	struct video_buffer **at = &s->lent, *b;

	while (*at != which)
		at = &(*at)->next_queued;
	b = *at;
	*at = b->next_queued;
	b->queued = false;
	return b;
}

static void give_back(struct video_stream *s, enum video_queue q, const struct video_buffer *which,
		      const struct stream_done *done)
{
	s->config.front->buffer_done(s->config.owner, s, q, take_lent(s, which), done);
}

/* An input that the codec has read. */
static void give_input_back(struct video_stream *s, const struct video_buffer *which, bool error)
{
	const struct stream_done done = {.timestamp = which->timestamp, .error = error};

	give_back(s, VIDEO_INPUT, which, &done);
}

/* An output in which there will be no picture: it was queued before those that are. Returns where the next belongs. */
static struct video_buffer **queue_again(struct video_stream *s, const struct video_buffer *which, struct video_buffer **at)
{
	struct stream_side *side = &s->sides[VIDEO_OUTPUT];
	struct video_buffer *b = take_lent(s, which);

	b->queued = true;
	b->next_queued = *at;
	*at = b;
	if (!b->next_queued)
		side->last_queued = &b->next_queued;
	return &b->next_queued;
}

/* Returns true if there was one. */
static bool give_back_released(struct video_stream *s)
{
	struct video_buffer **at = &s->sides[VIDEO_OUTPUT].first_queued;
	const struct video_buffer *b;
	bool any = false;

	while (s->lent && (b = s->codec->ops->released(s->codec))) {
		if (s->config.encoder)
			give_input_back(s, b, false);
		else
			at = queue_again(s, b, at);
		any = true;
	}
	return any;
}

static void lend_first(struct video_stream *s, enum video_queue q)
{
	struct video_buffer *b = pop(&s->sides[q]), **end = &s->lent;

	while (*end)
		end = &(*end)->next_queued;
	*end = b;
	b->next_queued = NULL;
	b->queued = true;
}

static void let_go_of_codec(struct video_stream *s)
{
	struct video_buffer **at = &s->sides[VIDEO_OUTPUT].first_queued;

	if (!s->codec)
		return;
	give_back_released(s);
	/* It may read on; nobody sees what it makes of them. */
	while (s->config.encoder && s->lent)
		give_input_back(s, s->lent, true);
	stream_add_running_stats(s, s->config.stats);
	stream_add_running_stats(s, &s->stats);
	s->codec->ops->destroy(s->codec);
	s->codec = NULL;
	/* But it writes no more. */
	while (s->lent)
		at = queue_again(s, s->lent, at);
	free(s->lead);
	s->lead = NULL;
	video_units_forget_torn(&s->units);
}

/* Another codec goes on with the bitstream, at the next key frame; a drain ends with what came out so far. */
static void go_on_without_codec(struct video_stream *s)
{
	let_go_of_codec(s);
	s->drain_sent = false;
	if (s->state == STREAM_RUNNING)
		stream_enter(s, STREAM_IDLE);
}

/* Nothing that was put in is of use any more. */
static void forget_input(struct video_stream *s)
{
	let_go_of_codec(s);
	video_units_drop(&s->units);
	s->units_due = false;
	loop_cancel_timer(s->config.loop, &s->units_timer);
}

static void fail(struct video_stream *s, const char *why)
{
	log_line(LOG_TOPIC_VIDEO, LOG_WARN, "stream %u: %s; the guest is told and may clear it and go on", s->config.id, why);
	forget_input(s);
	stream_enter(s, STREAM_FAILED);
	cancel_queued(s, VIDEO_INPUT);
	cancel_queued(s, VIDEO_OUTPUT);
	if (s->drain_request)
		end_drain(s, true);
	s->config.front->event(s->config.owner, s, STREAM_EVENT_ERROR);
}

static int make_codec(struct video_stream *s)
{
	const struct video_headers *h = &s->headers;
	int err;
	struct codec_config c = {
		.encoder = s->config.encoder,
		.coded = s->coded,
		.element = s->config.element,
		.layout = &s->layout,
		.first = s->sides[VIDEO_INPUT].first_queued,
		.may_lend = !s->config.encoder && !s->lends_no_more,
		.controls = s->controls,
		.loop = s->config.loop,
		.changed = on_changed,
		.owner = s,
	};

	if (!s->config.encoder && h->bytes > 0) {
		s->lead = malloc(h->bytes);
		if (!s->lead)
			return -ENOMEM;
		memcpy(s->lead, h->data, h->bytes);
		s->lead_bytes = h->bytes;
	}
	err = s->config.codec->create(&c, &s->codec);
	if (err < 0) {
		free(s->lead);
		s->lead = NULL;
	} else if (s->state == STREAM_IDLE) {
		stream_enter(s, STREAM_RUNNING);
	}
	return err;
}

/* The first access unit for a codec: with the parameter sets of the one before, unless it brings its own. */
static int put_lead(struct video_stream *s, struct video_unit *unit)
{
	uint8_t *data = NULL;
	int err = 0;

	if (!video_headers_begins(s->coded->headers, unit->data, unit->bytes)) {
		data = realloc(s->lead, s->lead_bytes + unit->bytes);
		err = data ? 0 : -ENOMEM;
	}
	if (data) {
		memcpy(data + s->lead_bytes, unit->data, unit->bytes);
		free(unit->data);
		*unit = (struct video_unit){data, s->lead_bytes + unit->bytes, unit->timestamp};
	} else {
		free(s->lead);
	}
	s->lead = NULL;
	return err;
}

/* Give the codec the access units that are whole. */
static int decode_units(struct video_stream *s)
{
	struct video_unit unit;
	int err = 0;

	while (err == 0 && video_units_take(&s->units, &unit)) {
		unit.bytes = video_headers_cut_ends(s->coded->headers, unit.data, unit.bytes);
		/* Parameter sets that came in parts are whole now. */
		if (s->units.guest == VIDEO_UNITS_PARTS)
			video_headers_scan(&s->headers, s->coded->headers, unit.data, unit.bytes);
		if (s->lead)
			err = put_lead(s, &unit);
		if (err == 0)
			err = s->codec->ops->decode(s->codec, unit.data, unit.bytes, unit.timestamp);
		else
			free(unit.data);
	}
	return err;
}

static int decode_part(struct video_stream *s, uint8_t *data, size_t bytes, uint64_t timestamp)
{
	const bool was_torn = s->units.was_torn;
	int err = video_units_add(&s->units, (struct video_unit){data, bytes, timestamp});

	s->units_due = false;
	if (err == 0)
		err = decode_units(s);
	if (s->units.was_torn && !was_torn)
		log_line(LOG_TOPIC_VIDEO, LOG_WARN,
			 "stream %u: a picture came in parts and is damaged; one buffer for each access unit, please; "
			 "from now on they are put together", s->config.id);
	if (video_units_holds(&s->units))
		loop_arm_timer(s->config.loop, &s->units_timer,
			       loop_now_ns() + s->config.timeout_ms * 1000000ull / PARTS_OF_TIMEOUT);
	else
		loop_cancel_timer(s->config.loop, &s->units_timer);
	return err;
}

/* No more of it came in time. */
static void on_units_timer(struct loop_timer *t)
{
	struct video_stream *s = t->owner;

	s->units_due = true;
	pump(s, false);
}

/* The host's own copy of a bitstream. */
static int decode(struct video_stream *s, const struct video_buffer *b)
{
	struct video_cursor from;
	uint8_t *data = malloc(b->data_bytes);

	if (!data)
		return -ENOMEM;
	video_cursor_init(&from, b, b->planes[0].offset);
	video_cursor_read(&from, data, b->data_bytes);
	video_headers_scan(&s->headers, s->coded->headers, data, b->data_bytes);
	return decode_part(s, data, b->data_bytes, b->timestamp);
}

/* What is held of an access unit, as it is. Returns false if the stream failed. */
static bool decode_held(struct video_stream *s, bool *progress)
{
	int err;

	s->units_due = false;
	if (!video_units_holds(&s->units))
		return true;
	*progress = true;
	/* The one before may have ended by itself. */
	err = s->codec ? 0 : make_codec(s);
	video_units_flush(&s->units);
	if (err == 0)
		err = decode_units(s);
	if (err < 0)
		fail(s, strerror(-err));
	return err == 0;
}

/* Give the codec what it has room for. Returns false if the stream failed. */
static bool feed(struct video_stream *s, bool *progress)
{
	struct stream_side *side = &s->sides[VIDEO_INPUT];

	if (s->units_due && !side->first_queued && (!s->codec || s->codec->ops->has_room(s->codec)) &&
	    !decode_held(s, progress))
		return false;
	while (side->first_queued) {
		struct video_buffer *b = side->first_queued;
		struct stream_done done = {.timestamp = s->config.encoder ? b->timestamp : 0};
		int err;

		/* Nothing in it: an old way to say that the end has come. */
		if (b->data_bytes == 0) {
			finish_first(s, VIDEO_INPUT, &done);
			continue;
		}
		err = s->codec ? 0 : make_codec(s);
		if (err == 0 && !s->codec->ops->has_room(s->codec))
			return true;
		if (err == 0)
			err = s->config.encoder ? s->codec->ops->encode(s->codec, b, b->timestamp, b->force_keyframe)
						: decode(s, b);
		if (err < 0) {
			fail(s, err == -ENOTSUP ? "this host has no such codec" : strerror(-err));
			return false;
		}
		*progress = true;
		if (err == CODEC_LENT)
			lend_first(s, VIDEO_INPUT);
		else
			finish_first(s, VIDEO_INPUT, &done);
	}
	if (s->state == STREAM_DRAINING && !s->drain_sent && (s->codec || video_units_holds(&s->units))) {
		if (!decode_held(s, progress))
			return false;
		s->drain_sent = true;
		s->codec->ops->drain(s->codec);
		*progress = true;
	}
	return true;
}

/* Return an empty buffer as the end. Returns false if there is none. */
static bool mark_end(struct video_stream *s)
{
	static const struct stream_done end = {.end = true};

	if (!s->sides[VIDEO_OUTPUT].first_queued)
		return false;
	finish_first(s, VIDEO_OUTPUT, &end);
	return true;
}

/* Everything is out: mark an empty buffer, then answer. Returns false while there is no buffer to mark. */
static bool finish_drain(struct video_stream *s)
{
	/* The buffers there are go with the old size, and a mark in one of them with the buffer. */
	if (s->output_held)
		return false;
	/* All that are queued may wait in the codec for pictures, of which none comes. */
	if (!s->sides[VIDEO_OUTPUT].first_queued && lends_output(s))
		let_go_of_codec(s);
	if (!mark_end(s)) {
		if (!s->drain_was_empty && s->sides[VIDEO_OUTPUT].buffers)
			return false;
		s->end_owed = true;
	}
	let_go_of_codec(s);
	stream_enter(s, STREAM_IDLE);
	end_drain(s, false);
	return true;
}

/* Have the output buffers room for a picture: those that are queued, or all? */
static bool output_fits(const struct video_stream *s, bool queued)
{
	const struct stream_side *side = &s->sides[VIDEO_OUTPUT];
	const struct video_buffer *b = queued ? side->first_queued : side->buffers;

	while (b && video_layout_fits(&s->layout, b))
		b = queued ? b->next_queued : b->next;
	return !b;
}

/* Returns false if the stream failed: pictures of that size are more than it can have. */
static bool announce(struct video_stream *s, const struct codec_output *out)
{
	const bool same = out->width == s->visible_width && out->height == s->visible_height;

	if (out->width == 0 || out->height == 0 || out->width > VIDEO_MAX_SIDE || out->height > VIDEO_MAX_SIDE) {
		fail(s, "its pictures are larger than 8192 each way");
		return false;
	}
	if (s->format_known && same)
		return true;
	stream_set_picture(s, s->layout.format, out->width, out->height);
	s->format_known = true;
	/* Made for the size that was set, which is right: nothing has changed, and some clients would not clear them. */
	if (!s->config.marks_changes && same && s->sides[VIDEO_OUTPUT].buffers && output_fits(s, false))
		return true;
	s->output_held = s->sides[VIDEO_OUTPUT].buffers != NULL;
	if (s->config.marks_changes && same && output_fits(s, true))
		s->output_held = false;
	s->config.front->event(s->config.owner, s, STREAM_EVENT_FORMAT);
	if (s->config.marks_changes && s->output_held)
		s->mark_owed = !mark_end(s);
	return true;
}

static void deliver_frame(struct video_stream *s, const struct codec_output *out)
{
	const struct video_buffer *b = out->buffer ? out->buffer : s->sides[VIDEO_OUTPUT].first_queued;
	size_t bytes = 0;
	int err = s->codec->ops->take(s->codec, b, s->config.encoder ? NULL : &s->layout, &bytes);
	struct stream_done done = {
		.timestamp = out->timestamp,
		.bytes = s->config.encoder ? (uint32_t)bytes : 0,
		.error = video_units_take_torn(&s->units, out->timestamp) || err < 0 || out->damaged,
		.key_frame = s->config.encoder && out->key_frame,
		.delta_frame = s->config.encoder && !out->key_frame,
	};

	if (err < 0)
		log_line(LOG_TOPIC_VIDEO, LOG_WARN, "stream %u: buffer %u: %s", s->config.id, b->id,
			 err == -ENOSPC ? "too small for the packet, which is lost; use larger ones" : strerror(-err));
	for (unsigned i = 0; err == 0 && i < b->object_count; i++)
		virtio_object_written(b->objects[i]);
	if (out->buffer)
		give_back(s, VIDEO_OUTPUT, b, &done);
	else
		finish_first(s, VIDEO_OUTPUT, &done);
}

/* Give the codec what is queued, if it wants to have pictures written there. */
static void lend_output(struct video_stream *s, bool *progress)
{
	const struct stream_side *side = &s->sides[VIDEO_OUTPUT];

	while (s->codec && !s->config.encoder && s->codec->ops->lend && !s->output_held && s->format_known &&
	       side->first_queued) {
		const int err = s->codec->ops->lend(s->codec, side->first_queued, &s->layout);

		if (err == 0)
			return;
		*progress = true;
		if (err == CODEC_LENT) {
			lend_first(s, VIDEO_OUTPUT);
		} else {
			s->lends_no_more = true;
			go_on_without_codec(s);
		}
	}
}

/* Hand out what the codec has, to the buffers that the guest queued. Returns false if the stream failed. */
static bool deliver(struct video_stream *s, struct codec_output *out, bool *progress)
{
	while (s->codec) {
		s->codec->ops->output(s->codec, out);
		/* Nobody asked for it: the bitstream says so, or the codec is at its own end. Another one goes on. */
		if (out->kind == CODEC_END && !s->drain_sent)
			out->kind = CODEC_BROKEN;
		switch (out->kind) {
		case CODEC_NOTHING:
			return true;
		case CODEC_FORMAT:
			/* What is before the change went out already; what comes after waits for new buffers. */
			give_back_released(s);
			if (!announce(s, out))
				return false;
			s->codec->ops->take(s->codec, NULL, NULL, NULL);
			break;
		case CODEC_FRAME:
			if (s->output_held || (!out->buffer && !s->sides[VIDEO_OUTPUT].first_queued))
				return true;
			deliver_frame(s, out);
			break;
		case CODEC_END:
			if (!finish_drain(s))
				return true;
			break;
		case CODEC_BROKEN:
			s->lends_no_more |= lends_output(s);
			go_on_without_codec(s);
			break;
		case CODEC_FAILED:
			s->lends_no_more |= lends_output(s);
			fail(s, "the codec failed");
			return false;
		}
		*progress = true;
	}
	return true;
}

static void on_watchdog(struct loop_timer *t)
{
	struct video_stream *s = t->owner;

	s->watching = false;
	s->lends_no_more |= lends_output(s);
	fail(s, "the codec did nothing for too long and was given up");
}

/*
 * Something waits for the codec, and the codec has nothing that waits for the guest. The time runs anew whenever the
 * codec says or does anything.
 */
static void watch(struct video_stream *s, bool waiting, bool moved)
{
	if (!waiting && s->watching) {
		loop_cancel_timer(s->config.loop, &s->watchdog);
		s->watching = false;
	} else if (waiting && (moved || !s->watching)) {
		loop_arm_timer(s->config.loop, &s->watchdog, loop_now_ns() + s->config.timeout_ms * 1000000ull);
		s->watching = true;
	}
}

/* Does the codec wait for buffers that the guest could queue? One that has them all hangs. */
static bool waits_for_guest(const struct video_stream *s, const struct codec_output *out)
{
	unsigned lent = 0;

	for (const struct video_buffer *b = s->lent; b; b = b->next_queued)
		lent++;
	return out->starves && (lent == 0 || lent < s->sides[VIDEO_OUTPUT].buffer_count);
}

/* Move everything on as far as it goes. */
static void pump(struct video_stream *s, bool codec_spoke)
{
	struct codec_output out = {.kind = CODEC_NOTHING};
	bool moved = codec_spoke, progress = true, waiting;

	if (s->paused)
		return;
	/* The front may pause it when it is told of something. */
	while (progress && !s->paused && s->state != STREAM_FAILED) {
		progress = s->codec && give_back_released(s);
		if (!feed(s, &progress) || !deliver(s, &out, &progress))
			break;
		lend_output(s, &progress);
		if (s->state == STREAM_DRAINING && !s->codec && !s->sides[VIDEO_INPUT].first_queued)
			progress |= finish_drain(s);
		moved |= progress;
	}
	waiting = s->drain_sent || s->sides[VIDEO_INPUT].first_queued || (s->config.encoder && s->lent);
	watch(s, s->codec && !s->paused && out.kind == CODEC_NOTHING && waiting && !waits_for_guest(s, &out), moved);
}

/* ---- what the front asks ---- */

int stream_create(const struct stream_config *config, struct video_stream **out)
{
	struct video_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->config = *config;
	for (unsigned q = 0; q < VIDEO_QUEUE_COUNT; q++) {
		s->sides[q].last_queued = &s->sides[q].first_queued;
		s->sides[q].plane_bytes = DEFAULT_CODED_BYTES;
	}
	s->watchdog = (struct loop_timer){.expired = on_watchdog, .owner = s};
	s->units_timer = (struct loop_timer){.expired = on_units_timer, .owner = s};
	s->controls = (struct codec_controls){
		.bitrate = DEFAULT_BITRATE,
		.peak_bitrate = DEFAULT_BITRATE * 2,
		.frame_rate = STREAM_FRAME_RATE,
		.gop_size = CODEC_GOP_SIZE,
		.repeat_headers = 1,
	};
	stream_set_coded(s, config->coded);
	stream_set_picture(s, video_picture_format_at(0), DEFAULT_WIDTH, DEFAULT_HEIGHT);
	*out = s;
	return 0;
}

void stream_destroy(struct video_stream *s)
{
	if (!s)
		return;
	stream_drop_buffers(s, VIDEO_INPUT);
	stream_drop_buffers(s, VIDEO_OUTPUT);
	loop_cancel_timer(s->config.loop, &s->watchdog);
	forget_input(s);
	free(s);
}

void stream_lose_codec(struct video_stream *s)
{
	stream_enter(s, STREAM_FAILED);
}

void stream_drop_buffers(struct video_stream *s, enum video_queue q)
{
	struct stream_side *side = &s->sides[q];

	if (q == VIDEO_INPUT || side->first_queued || s->output_held || lends_output(s))
		stream_clear(s, q);
	while (side->buffers) {
		struct video_buffer *b = side->buffers;

		side->buffers = b->next;
		side->buffer_count--;
		video_buffer_destroy(b);
	}
	/* A drain may have waited for one of them to mark. */
	if (q == VIDEO_OUTPUT)
		pump(s, false);
}

/* A picture must fit, or the buffer is none. A decoder's is judged once the guest was told the size. */
static bool fits(const struct video_stream *s, enum video_queue q, const struct video_buffer *b)
{
	if (q == stream_coded_queue(s))
		return true;
	if (!s->config.encoder && (!s->format_known || s->output_held))
		return true;
	return video_layout_fits(&s->layout, b);
}

int stream_queue_input(struct video_stream *s, struct video_buffer *b)
{
	if (s->state == STREAM_FAILED)
		return -EPIPE;
	if (s->state == STREAM_DRAINING)
		return -EBUSY;
	if (!fits(s, VIDEO_INPUT, b))
		return -EMSGSIZE;
	if (s->force_keyframe) {
		b->force_keyframe = true;
		s->force_keyframe = false;
	}
	push(&s->sides[VIDEO_INPUT], b);
	s->end_owed = false;
	pump(s, false);
	return 0;
}

int stream_queue_output(struct video_stream *s, struct video_buffer *b)
{
	if (s->state == STREAM_FAILED)
		return -EPIPE;
	if (!fits(s, VIDEO_OUTPUT, b))
		return -EMSGSIZE;
	push(&s->sides[VIDEO_OUTPUT], b);
	if (s->mark_owed || s->end_owed) {
		*(s->mark_owed ? &s->mark_owed : &s->end_owed) = false;
		mark_end(s);
		return 0;
	}
	pump(s, false);
	return 0;
}

int stream_drain(struct video_stream *s, void *request)
{
	if (s->state == STREAM_FAILED)
		return -EPIPE;
	if (s->state == STREAM_DRAINING)
		return -EBUSY;
	s->drain_was_empty = !s->codec && !s->sides[VIDEO_INPUT].first_queued && !video_units_holds(&s->units);
	s->drain_request = request;
	stream_enter(s, STREAM_DRAINING);
	pump(s, false);
	return 0;
}

void stream_clear(struct video_stream *s, enum video_queue q)
{
	const bool cut_drain = s->state == STREAM_DRAINING && (q == VIDEO_INPUT || !s->output_held);
	/* What was put into the codec is given up. After a drain it could take no more anyway. */
	const bool restart = q == VIDEO_INPUT || (cut_drain && s->drain_sent) || lends_output(s);

	if (lends_output(s))
		forget_input(s);
	cancel_queued(s, q);
	s->end_owed = false;
	if (q == VIDEO_OUTPUT)
		s->output_held = s->mark_owed = false;
	if (restart)
		forget_input(s);
	if (cut_drain)
		end_drain(s, true);
	/* Pictures that the codec had written into buffers of the old size are lost; the drain is not: it is sent again, or ends. */
	if (restart && s->state == STREAM_DRAINING && !cut_drain)
		s->drain_sent = false;
	else if (restart && s->state != STREAM_IDLE)
		stream_enter(s, STREAM_IDLE);
	else if (cut_drain && !restart)
		stream_enter(s, s->codec ? STREAM_RUNNING : STREAM_IDLE);
	watch(s, false, false);
	pump(s, false);
}

void stream_cancel(struct video_stream *s)
{
	const bool draining = s->state == STREAM_DRAINING;

	if (lends_output(s))
		forget_input(s);
	cancel_queued(s, VIDEO_INPUT);
	cancel_queued(s, VIDEO_OUTPUT);
	if (s->lent || s->drain_sent)
		forget_input(s);
	if (draining)
		end_drain(s, true);
	if (draining && s->codec)
		stream_enter(s, STREAM_RUNNING);
	else if (!s->codec && (draining || s->state == STREAM_RUNNING))
		stream_enter(s, STREAM_IDLE);
	watch(s, false, false);
}

void stream_pause(struct video_stream *s, bool paused)
{
	if (paused && lends_output(s))
		go_on_without_codec(s);
	s->paused = paused;
	watch(s, false, false);
	pump(s, true);
}

void stream_keep_output(struct video_stream *s)
{
	static const struct stream_done too_small = {.error = true};

	if (!s->output_held)
		return;
	s->output_held = s->mark_owed = false;
	for (struct video_buffer *b = s->sides[VIDEO_OUTPUT].first_queued, *end = NULL; b != end;
	     b = s->sides[VIDEO_OUTPUT].first_queued) {
		if (!video_layout_fits(&s->layout, b)) {
			finish_first(s, VIDEO_OUTPUT, &too_small);
			continue;
		}
		end = end ? end : b;
		push(&s->sides[VIDEO_OUTPUT], pop(&s->sides[VIDEO_OUTPUT]));
	}
	pump(s, false);
}
