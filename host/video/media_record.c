// SPDX-License-Identifier: MIT
/*
 * Sessions, buffers and mappings as records of a journal, and what a new process makes of them.
 */
#include <errno.h>
#include <string.h>

#include "host/video/media.h"
#include "host/virtio/journal.h"
#include "host/virtio/shared_heap.h"

/* Types, with what their keys are. */
enum record_type {
	RECORD_SESSION = 1, /* session */
	RECORD_HEADERS,	    /* session; the parameter sets, as they are */
	RECORD_BUFFER,	    /* session, queue, index; in the order in which those that are queued were */
	RECORD_MAPPING,	    /* page of the window; struct media_mapping_record */
	RECORD_DONE,	    /* 0; media.done_tags */
};

/* Notes that wait, and other bits of a session. */
enum {
	BIT_EOS_WAITS = 1,
	BIT_SOURCE_CHANGE_WAITS = 1 << 1,
	BIT_WANTS_EOS = 1 << 2,
	BIT_WANTS_SOURCE_CHANGE = 1 << 3,
	BIT_LEVEL_CHOSEN = 1 << 4,
	BIT_FAILED = 1 << 5,
	BIT_STOPPED = 1 << 6,
	BIT_ACTIVE = 1 << 7, /* it has a codec, or had one that failed */
	BIT_FORMAT_KNOWN = 1 << 8,
	BIT_OUTPUT_HELD = 1 << 9,
	BIT_MARK_OWED = 1 << 10,
	BIT_END_OWED = 1 << 11,
};

struct session_record {
	uint32_t bits;
	uint32_t coded, raw;	/* V4L2_PIX_FMT_* */
	uint32_t width, height; /* visible */
	uint32_t coded_bytes, frame_rate;
	uint32_t space, encoding, quantization, transfer;
	uint32_t event_sequence;
	struct {
		uint32_t streaming, memory, plane_count, sequence;
	} queues[VIDEO_QUEUE_COUNT];
	int32_t controls[MEDIA_CONTROL_ROWS];
	uint32_t wants_control[MEDIA_CONTROL_ROWS];
	uint32_t controls_wait; /* a bit each */
};

/* Of a buffer; the others say its state. */
#define KEPT_FLAGS                                                                                                     \
	(MEDIA_COPIED_FLAGS | V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_PFRAME | V4L2_BUF_FLAG_BFRAME |                   \
	 V4L2_BUF_FLAG_ERROR | V4L2_BUF_FLAG_LAST)

/* Whose a buffer is. */
enum { OWNER_GUEST, OWNER_DEVICE, OWNER_TOLD };

struct buffer_record {
	uint64_t place, memory_bytes; /* MMAP: of its memory */
	uint64_t timestamp_ns;
	uint32_t owner;
	uint32_t flags, sequence;
	uint32_t zero;
	struct v4l2_timecode timecode;
	struct {
		uint64_t offset, userptr;
		uint32_t length, bytes_used, data_offset, zero;
	} planes[MEDIA_MAX_PLANES];
};

static struct journal_key session_key(enum record_type type, const struct media_session *s)
{
	return (struct journal_key){.type = (uint16_t)type, .id = {s->id}};
}

static struct journal_key buffer_key(const struct media_session *s, enum video_queue q, unsigned index)
{
	return (struct journal_key){.type = RECORD_BUFFER, .id = {s->id, q, index}};
}

/* ---- writing ---- */

static void put(struct media *m, const struct journal_key *key, const void *payload, size_t bytes)
{
	int err = journal_put(m->journal, key, payload, bytes);

	if (!err)
		return;
	/* The old one says what is not so any more. */
	journal_drop(m->journal, key);
	log_guest(LOG_TOPIC_VIDEO, &m->log_limit, "session %u: a %s is not kept for after a death: %s", key->id[0],
		  key->type == RECORD_BUFFER	? "buffer"
		  : key->type == RECORD_MAPPING ? "mapping"
						: "session",
		  strerror(-err));
}

/* Unless that is what is there. */
static void put_changed(struct media *m, const struct journal_key *key, const void *payload, size_t bytes)
{
	size_t old_bytes;
	const void *old = journal_get(m->journal, key, &old_bytes);

	if (!old || old_bytes != bytes || memcmp(old, payload, bytes) != 0)
		put(m, key, payload, bytes);
}

static uint32_t bit(bool is, uint32_t value)
{
	return is ? value : 0;
}

static uint32_t session_bits(const struct media_session *s)
{
	const struct video_stream *stream = s->stream;

	return bit(s->eos.waiting, BIT_EOS_WAITS) | bit(s->source_change.waiting, BIT_SOURCE_CHANGE_WAITS) |
	       bit(s->wants_eos, BIT_WANTS_EOS) | bit(s->wants_source_change, BIT_WANTS_SOURCE_CHANGE) |
	       bit(s->level_chosen, BIT_LEVEL_CHOSEN) | bit(s->failed, BIT_FAILED) | bit(s->stopped, BIT_STOPPED) |
	       bit(stream->state != STREAM_IDLE, BIT_ACTIVE) | bit(stream->format_known, BIT_FORMAT_KNOWN) |
	       bit(stream->output_held, BIT_OUTPUT_HELD) | bit(stream->mark_owed, BIT_MARK_OWED) |
	       bit(stream->end_owed, BIT_END_OWED);
}

static void record_headers(struct media_session *s)
{
	const struct video_headers *h = &s->stream->headers;
	const struct journal_key key = session_key(RECORD_HEADERS, s);

	if (h->changes == s->recorded_headers)
		return;
	s->recorded_headers = h->changes;
	put_changed(s->media, &key, h->data, h->bytes);
}

void media_record_session(struct media_session *s)
{
	const struct video_stream *stream = s->stream;
	const struct journal_key key = session_key(RECORD_SESSION, s);
	struct session_record r;

	if (!s->media->journal)
		return;
	memset(&r, 0, sizeof(r));
	r.bits = session_bits(s);
	r.coded = s->coded->fourcc;
	r.raw = s->raw->fourcc;
	r.width = stream->visible_width;
	r.height = stream->visible_height;
	r.coded_bytes = s->coded_bytes;
	r.frame_rate = stream->controls.frame_rate;
	r.space = s->color.space;
	r.encoding = s->color.encoding;
	r.quantization = s->color.quantization;
	r.transfer = s->color.transfer;
	r.event_sequence = s->event_sequence;
	for (unsigned q = 0; q < VIDEO_QUEUE_COUNT; q++) {
		r.queues[q].streaming = s->queues[q].streaming;
		r.queues[q].memory = s->queues[q].memory;
		r.queues[q].plane_count = s->queues[q].plane_count;
		r.queues[q].sequence = s->queues[q].sequence;
	}
	memcpy(r.controls, s->controls, sizeof(r.controls));
	memcpy(r.wants_control, s->wants_control, sizeof(r.wants_control));
	for (unsigned i = 0; i < MEDIA_CONTROL_ROWS; i++)
		r.controls_wait |= bit(s->control[i].waiting, 1u << i);
	put_changed(s->media, &key, &r, sizeof(r));
	record_headers(s);
}

void media_record_session_gone(struct media_session *s)
{
	const struct journal_key session = session_key(RECORD_SESSION, s), headers = session_key(RECORD_HEADERS, s);

	if (!s->media->journal)
		return;
	journal_drop(s->media->journal, &session);
	journal_drop(s->media->journal, &headers);
}

void media_record_buffer(struct media_session *s, enum video_queue q, const struct media_buffer *b)
{
	const struct journal_key key = buffer_key(s, q, b->core->id);
	struct buffer_record r;

	if (!s->media->journal)
		return;
	memset(&r, 0, sizeof(r));
	if (b->memory) {
		r.place = b->memory->place;
		r.memory_bytes = b->memory->bytes;
	}
	r.owner = b->state == MEDIA_FREE ? OWNER_GUEST : b->state == MEDIA_DONE ? OWNER_TOLD : OWNER_DEVICE;
	r.flags = b->flags;
	r.sequence = b->sequence;
	r.timestamp_ns = b->timestamp_ns;
	r.timecode = b->timecode;
	for (unsigned i = 0; i < s->queues[q].plane_count; i++) {
		r.planes[i].offset = b->planes[i].offset;
		r.planes[i].userptr = b->planes[i].userptr;
		r.planes[i].length = b->planes[i].length;
		r.planes[i].bytes_used = b->planes[i].bytes_used;
		r.planes[i].data_offset = b->planes[i].data_offset;
	}
	put_changed(s->media, &key, &r, sizeof(r));
}

void media_record_buffer_gone(struct media_session *s, enum video_queue q, unsigned index)
{
	const struct journal_key key = buffer_key(s, q, index);

	if (s->media->journal)
		journal_drop(s->media->journal, &key);
}

void media_record_mapping(struct media *m, uint64_t offset, const struct media_mapping_record *r)
{
	const struct journal_key key = {.type = RECORD_MAPPING, .id = {(uint32_t)(offset / MEDIA_PAGE_BYTES)}};

	if (!m->journal)
		return;
	if (r)
		put(m, &key, r, sizeof(*r));
	else
		journal_drop(m->journal, &key);
}

void media_record_commit(struct media *m, uint64_t tag)
{
	if (m->journal)
		journal_commit(m->journal, tag);
}

/* ---- reading ---- */

struct restore {
	struct media *m;
	unsigned sessions, failed, buffers, mappings, left_out;
};

/* What the queues are made of, and whether they are on. The buffers come later. */
static bool restore_queues(struct media_session *s, const struct session_record *r)
{
	for (unsigned q = 0; q < VIDEO_QUEUE_COUNT; q++) {
		if (r->queues[q].memory > V4L2_MEMORY_USERPTR || r->queues[q].plane_count > MEDIA_MAX_PLANES)
			return false;
	}
	for (unsigned q = 0; q < VIDEO_QUEUE_COUNT; q++) {
		struct media_queue *queue = &s->queues[q];

		queue->memory = r->queues[q].memory;
		queue->plane_count = r->queues[q].plane_count;
		queue->sequence = r->queues[q].sequence;
		queue->streaming = r->queues[q].streaming;
	}
	s->media->running += s->queues[VIDEO_INPUT].streaming;
	return true;
}

static void restore_notes(struct media_session *s, const struct session_record *r)
{
	s->wants_eos = r->bits & BIT_WANTS_EOS;
	s->wants_source_change = r->bits & BIT_WANTS_SOURCE_CHANGE;
	s->event_sequence = r->event_sequence;
	if (r->bits & BIT_SOURCE_CHANGE_WAITS)
		media_post_note(s->media, &s->source_change);
	if (r->bits & BIT_EOS_WAITS)
		media_post_note(s->media, &s->eos);
	for (unsigned i = 0; i < MEDIA_CONTROL_ROWS; i++) {
		/* Those that nobody wants are of no control. */
		if (r->controls_wait >> i & 1 && s->wants_control[i])
			media_post_note(s->media, &s->control[i]);
	}
}

static bool restore_format(struct media_session *s, const struct session_record *r)
{
	const struct media_coded_format *named = media_find_coded(s->media, r->coded);
	const struct video_coded_format *coded = named ? media_format_of(s->media, named) : NULL;
	const struct media_raw_format *raw = coded ? media_find_raw(s->media, coded, r->raw) : NULL;

	if (!raw || !media_coded_bytes_are_good(r->coded_bytes) || !media_frame_rate_is_good(r->frame_rate) ||
	    r->width < 1 || r->width > VIDEO_MAX_SIDE || r->height < 1 || r->height > VIDEO_MAX_SIDE)
		return false;
	s->coded = named;
	s->raw = raw;
	s->coded_bytes = r->coded_bytes;
	s->color.space = r->space;
	s->color.encoding = (uint8_t)r->encoding;
	s->color.quantization = (uint8_t)r->quantization;
	s->color.transfer = (uint8_t)r->transfer;
	stream_set_coded(s->stream, coded);
	stream_set_picture(s->stream, media_picture_of(raw), r->width, r->height);
	s->level_chosen = r->bits & BIT_LEVEL_CHOSEN;
	s->stream->controls.frame_rate = r->frame_rate;
	return media_restore_controls(s, r->controls, r->wants_control);
}

static bool restore_session(struct restore *x, const struct journal_key *key, const void *payload, size_t bytes)
{
	const struct session_record *r = payload;
	struct media *m = x->m;
	struct media_session *s;

	if (bytes != sizeof(*r) || key->id[0] == 0 || media_find_session(m, key->id[0]) ||
	    m->session_count >= m->config.limits.streams * MEDIA_SESSIONS_A_STREAM ||
	    (r->queues[VIDEO_INPUT].streaming && m->running >= m->config.limits.streams) ||
	    media_session_open_as(m, key->id[0], &s) < 0)
		return false;
	if (!restore_format(s, r) || !restore_queues(s, r)) {
		media_session_close(s);
		return false;
	}
	s->stream->format_known = !m->config.encoder && r->bits & BIT_FORMAT_KNOWN;
	s->stream->output_held = !m->config.encoder && r->bits & BIT_OUTPUT_HELD;
	s->stream->mark_owed = s->stream->output_held && r->bits & BIT_MARK_OWED;
	s->stream->end_owed = r->bits & BIT_END_OWED;
	s->stopped = r->bits & BIT_STOPPED;
	s->failed = r->bits & BIT_FAILED;
	restore_notes(s, r);
	if (r->bits & BIT_ACTIVE) {
		stream_lose_codec(s->stream);
		s->lost = !s->failed;
		x->failed += s->lost;
		s->failed = true;
	}
	/* Numbers go on where they were. */
	if (key->id[0] > m->last_id)
		m->last_id = key->id[0];
	x->sessions++;
	return true;
}

static bool restore_headers(struct restore *x, const struct journal_key *key, const void *payload, size_t bytes)
{
	struct media_session *s = media_find_session(x->m, key->id[0]);

	if (!s || bytes > VIDEO_HEADERS_MAX)
		return false;
	memcpy(s->stream->headers.data, payload, bytes);
	s->stream->headers.bytes = bytes;
	return true;
}

/* As many as the format has: it can't change while there are buffers. In memory they lie as media_add_buffer() places them. */
static bool planes_are_good(const struct media_session *s, enum video_queue q, const struct buffer_record *r,
			    uint32_t *sizes)
{
	const struct media_queue *queue = &s->queues[q];
	uint64_t offset = r->planes[0].offset;

	if (queue->plane_count != media_plane_sizes(s, q, sizes))
		return false;
	for (unsigned i = 0; i < queue->plane_count; i++) {
		const uint32_t length = r->planes[i].length;

		if (r->planes[i].bytes_used > length)
			return false;
		sizes[i] = length;
		/* Guest pages are as many as it queues; they are no memory of ours, and are queued anew. */
		if (queue->memory != V4L2_MEMORY_MMAP)
			continue;
		if (length > MEDIA_MAX_PLANE_BYTES || r->planes[i].offset != offset || offset % MEDIA_PAGE_BYTES ||
		    offset > r->memory_bytes || media_whole_pages(length) > r->memory_bytes - offset)
			return false;
		offset += media_whole_pages(length);
	}
	return true;
}

/* What is queued, and what the guest is to be told of. */
static void restore_owner(struct media_session *s, enum video_queue q, struct media_buffer *b, uint32_t owner)
{
	struct media_queue *queue = &s->queues[q];
	/* A stream that failed gave back what it had; what it would have had of OUTPUT too. */
	const bool lost = s->failed && (q == VIDEO_INPUT || queue->streaming);

	if (owner == OWNER_TOLD) {
		b->state = MEDIA_DONE;
		media_post_note(s->media, &b->note);
		return;
	}
	if (owner != OWNER_DEVICE)
		return;
	if (!lost && queue->memory == V4L2_MEMORY_MMAP && media_place(s, q, b) == 0) {
		b->core->timestamp = b->timestamp_ns;
		if (q == VIDEO_INPUT)
			media_keep_stamp(s, b);
		media_pend(queue, b);
		return;
	}
	b->flags |= V4L2_BUF_FLAG_ERROR;
	media_buffer_done(s, q, b);
}

/* Number @index, which is the next. */
static bool restore_buffer(struct media_session *s, enum video_queue q, unsigned index, const struct buffer_record *r)
{
	struct media_queue *queue = &s->queues[q];
	struct media_memory *memory = NULL;
	uint32_t sizes[MEDIA_MAX_PLANES];
	struct media_buffer *b;
	int err = 0;

	if (index >= s->media->config.limits.buffers || queue->memory == 0 || !planes_are_good(s, q, r, sizes))
		return false;
	if (queue->memory == V4L2_MEMORY_MMAP)
		err = media_memory_again(&s->media->store, r->place, r->memory_bytes, &memory);
	if (err == 0)
		err = media_add_buffer(s, q, sizes, memory, (size_t)r->planes[0].offset);
	media_memory_drop(memory);
	if (err < 0)
		return false;
	b = queue->buffers[index];
	for (unsigned i = 0; i < queue->plane_count; i++) {
		b->planes[i].userptr = r->planes[i].userptr;
		b->planes[i].bytes_used = r->planes[i].bytes_used;
		b->planes[i].data_offset = r->planes[i].data_offset;
	}
	b->flags = r->flags & KEPT_FLAGS;
	b->sequence = r->sequence;
	b->timestamp_ns = r->timestamp_ns;
	b->timecode = r->timecode;
	return true;
}

/* By their numbers: whose they are comes in the order of the records. */
static void restore_buffers(struct restore *x, struct media_session *s, enum video_queue q)
{
	for (unsigned i = 0; i < MEDIA_MAX_BUFFERS; i++) {
		const struct journal_key key = buffer_key(s, q, i);
		struct buffer_record r;
		size_t bytes;
		const void *payload = journal_get(x->m->journal, &key, &bytes);

		if (!payload || bytes != sizeof(r))
			break;
		memcpy(&r, payload, sizeof(r));
		if (!restore_buffer(s, q, i, &r))
			break;
		x->buffers++;
	}
	if (s->queues[q].count == 0)
		s->queues[q].memory = 0;
}

static bool restore_buffer_owner(struct restore *x, const struct journal_key *key, const void *payload, size_t bytes)
{
	struct media_session *s = media_find_session(x->m, key->id[0]);
	const struct buffer_record *r = payload;

	if (!s || key->id[1] >= VIDEO_QUEUE_COUNT || key->id[2] >= s->queues[key->id[1]].count || bytes != sizeof(*r))
		return false;
	restore_owner(s, key->id[1], s->queues[key->id[1]].buffers[key->id[2]], r->owner);
	return true;
}

static bool restore_mapping(struct restore *x, const struct journal_key *key, const void *payload, size_t bytes)
{
	struct media *m = x->m;

	if (bytes != sizeof(struct media_mapping_record) ||
	    media_window_restore(&m->window, &m->store, key->id[0] * (uint64_t)MEDIA_PAGE_BYTES, payload) < 0)
		return false;
	x->mappings++;
	return true;
}

bool media_was_done(const struct media *m, struct chain *c)
{
	const uint64_t tag = chain_tag(c);

	for (unsigned i = 0; chain_stage(c) == CHAIN_EXECUTING && tag != 0 && i < MEDIA_DONE_TAGS; i++) {
		if (m->done_tags[i] == tag)
			chain_was_applied(c);
	}
	return chain_stage(c) == CHAIN_APPLIED;
}

/* The next process must know too: the journal's last tag will be another by then. */
static void add_done(struct media *m, uint64_t tag)
{
	const struct journal_key key = {.type = RECORD_DONE};

	for (unsigned i = 0; i < MEDIA_DONE_TAGS; i++) {
		if (tag == 0 || m->done_tags[i] == tag)
			return;
	}
	/* The oldest goes. */
	memmove(&m->done_tags[1], m->done_tags, sizeof(m->done_tags) - sizeof(m->done_tags[0]));
	m->done_tags[0] = tag;
	put(m, &key, m->done_tags, sizeof(m->done_tags));
}

static bool restore_done(struct restore *x, const struct journal_key *key, const void *payload, size_t bytes)
{
	if (bytes != sizeof(x->m->done_tags) || key->id[0] != 0)
		return false;
	memcpy(x->m->done_tags, payload, bytes);
	return true;
}

/* Every record of @type through @restore; those that it has no use for go. */
static void restore_each(struct restore *x, enum record_type type,
			 bool (*restore)(struct restore *x, const struct journal_key *key, const void *payload,
					 size_t bytes))
{
	struct journal_key key;
	const void *payload;
	size_t at = 0, bytes;

	while (journal_next(x->m->journal, &at, &key, &payload, &bytes)) {
		if (key.type != type)
			continue;
		if (!restore(x, &key, payload, bytes)) {
			journal_drop(x->m->journal, &key);
			x->left_out++;
		}
		virtio_device_progress(&x->m->device);
	}
}

/*
 * A buffer that comes back in error tells the guest that the stream has failed. One that has none there yet waits for the
 * size of its pictures: it is told to look, and hears when it does.
 */
static void tell_loss(struct media_session *s)
{
	for (unsigned q = 0; q < VIDEO_QUEUE_COUNT; q++) {
		for (unsigned i = 0; i < s->queues[q].count; i++) {
			const struct media_buffer *b = s->queues[q].buffers[i];

			if (b->state == MEDIA_DONE && b->flags & V4L2_BUF_FLAG_ERROR)
				return;
		}
	}
	if (s->wants_source_change && !s->queues[VIDEO_OUTPUT].streaming)
		media_post_note(s->media, &s->source_change);
}

void media_restore(struct media *m)
{
	struct restore x = {.m = m};

	restore_each(&x, RECORD_DONE, restore_done);
	add_done(m, journal_last_tag(m->journal));
	restore_each(&x, RECORD_SESSION, restore_session);
	restore_each(&x, RECORD_HEADERS, restore_headers);
	for (struct media_session *s = m->sessions; s; s = s->next) {
		for (unsigned q = 0; q < VIDEO_QUEUE_COUNT; q++)
			restore_buffers(&x, s, q);
		virtio_device_progress(&m->device);
	}
	restore_each(&x, RECORD_BUFFER, restore_buffer_owner);
	restore_each(&x, RECORD_MAPPING, restore_mapping);
	shared_heap_trim(m->store.heap);
	journal_restored(m->journal);
	for (struct media_session *s = m->sessions; s; s = s->next) {
		/* Not what waits on OUTPUT: a codec is made by what the guest does. */
		media_feed(s, VIDEO_OUTPUT);
		if (s->lost)
			tell_loss(s);
		media_record_session(s);
		virtio_device_progress(&m->device);
	}
	media_window_settle(&m->window);
	media_record_commit(m, 0);
	if (x.sessions > 0 || x.mappings > 0)
		log_line(LOG_TOPIC_VIDEO, LOG_INFO,
			 "made again after a death: %u sessions with %u buffers and %u mappings, %u of them without "
			 "the codec "
			 "that they had",
			 x.sessions, x.buffers, x.mappings, x.failed);
	if (x.left_out > 0)
		log_line(LOG_TOPIC_VIDEO, LOG_WARN, "%u sessions, buffers or mappings could not be made again",
			 x.left_out);
}
