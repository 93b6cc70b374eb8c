// SPDX-License-Identifier: MIT
#include "host/video/record.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/device.h"
#include "host/video/pages.h"
#include "host/virtio/journal.h"
#include "host/virtio/mem.h"

/* Types, with what their keys are. */
enum record_type {
	RECORD_STREAM = 1, /* stream */
	RECORD_HEADERS,	   /* stream; the parameter sets, as they are */
	RECORD_BUFFER,	   /* stream, queue, resource; the ranges follow */
};

struct stream_record {
	uint32_t coded;	  /* VIRTIO_VIDEO_FORMAT_* */
	uint32_t picture; /* row of format.h */
	uint32_t width, height; /* visible */
	uint32_t format_known;
	uint32_t active;	/* it has a codec, or had one that failed */
	uint32_t failure_told;	/* the guest knows that it failed */
	uint32_t plane_bytes[VIDEO_QUEUE_COUNT];
	uint32_t memory_types[VIDEO_QUEUE_COUNT];
	struct codec_controls controls;
	char tag[64];
};

/* Of guest-physical memory. */
struct range {
	uint64_t gpa, bytes;
};

struct buffer_record {
	uint32_t plane_count, range_count;
	struct {
		uint64_t offset, end;
	} planes[VIDEO_BUFFER_MAX_PLANES];
};

static struct journal_key stream_key(enum record_type type, uint32_t stream)
{
	return (struct journal_key){.type = (uint16_t)type, .id = {stream}};
}

static struct journal_key buffer_key(uint32_t stream, enum video_queue q, uint32_t id)
{
	return (struct journal_key){.type = RECORD_BUFFER, .id = {stream, q, id}};
}

/* ---- writing ---- */

static void put(struct video *v, const struct journal_key *key, const void *first, size_t first_bytes, const void *second,
		size_t second_bytes)
{
	int err = journal_put2(v->journal, key, first, first_bytes, second, second_bytes);

	if (!err)
		return;
	/* The old one says what is not so any more. */
	journal_drop(v->journal, key);
	log_guest(LOG_TOPIC_VIDEO, &v->log_limit, "stream %u: a %s is not kept for after a death: %s", key->id[0],
		  key->type == RECORD_BUFFER ? "buffer" : "stream", strerror(-err));
}

/* Unless that is what is there. */
static void put_changed(struct video *v, const struct journal_key *key, const void *payload, size_t bytes)
{
	size_t old_bytes;
	const void *old = journal_get(v->journal, key, &old_bytes);

	if (!old || old_bytes != bytes || memcmp(old, payload, bytes) != 0)
		put(v, key, payload, bytes, NULL, 0);
}

static uint32_t picture_row(const struct video_picture_format *format)
{
	uint32_t i = 0;

	while (video_picture_format_at(i) != format)
		i++;
	return i;
}

static void put_stream(struct video *v, struct video_stream_entry *e)
{
	const struct video_stream *s = e->stream;
	const struct journal_key key = stream_key(RECORD_STREAM, e->id);
	struct stream_record record;

	e->failure_told &= s->state == STREAM_FAILED;
	memset(&record, 0, sizeof(record));
	record.coded = s->coded->number;
	record.picture = picture_row(s->layout.format);
	record.width = s->visible_width;
	record.height = s->visible_height;
	/* What the guest was not told is told again. */
	record.format_known = s->format_known && !e->events[STREAM_EVENT_FORMAT];
	record.active = s->state != STREAM_IDLE;
	record.failure_told = e->failure_told;
	memcpy(record.memory_types, e->memory_types, sizeof(record.memory_types));
	for (unsigned q = 0; q < VIDEO_QUEUE_COUNT; q++)
		record.plane_bytes[q] = s->sides[q].plane_bytes;
	record.controls = s->controls;
	memcpy(record.tag, e->tag, sizeof(record.tag));
	put_changed(v, &key, &record, sizeof(record));
}

static void put_new_headers(struct video *v, struct video_stream_entry *e)
{
	const struct video_headers *h = &e->stream->headers;
	const struct journal_key key = stream_key(RECORD_HEADERS, e->id);

	if (h->changes == e->recorded_headers)
		return;
	e->recorded_headers = h->changes;
	put_changed(v, &key, h->data, h->bytes);
}

void video_record_stream(struct video *v, const struct video_command *cmd)
{
	struct video_stream_entry *e;

	if (!v->journal)
		return;
	e = video_find_stream(v, cmd->stream_id);
	put_stream(v, e);
	/* Those of another coded format are gone. */
	put_new_headers(v, e);
}

void video_record_stream_gone(struct video *v, const struct video_command *cmd)
{
	const uint32_t id = cmd->stream_id;

	if (v->journal)
		journal_drop_all(v->journal, RECORD_STREAM, RECORD_BUFFER, &id, 1);
}

/* The pieces of @b as the guest numbers them; they may lie across regions. Returns how many, 0 for more than @most. */
static uint32_t find_ranges(const struct video *v, const struct video_buffer *b, struct range *ranges, uint32_t most)
{
	uint32_t count = 0;

	for (unsigned i = 0; i < b->piece_count; i++) {
		const char *at = b->pieces[i].iov_base;
		uint64_t bytes = b->pieces[i].iov_len, left;

		for (; bytes > 0; count++) {
			if (count == most || !guest_mem_address(v->device.mem, at, &ranges[count].gpa, &left))
				return 0;
			ranges[count].bytes = left < bytes ? left : bytes;
			bytes -= ranges[count].bytes;
			at += ranges[count].bytes;
		}
	}
	return count;
}

void video_record_buffer(struct video *v, const struct video_command *cmd)
{
	const uint32_t id = cmd->u.resource_create.resource_id;
	const struct journal_key key = buffer_key(cmd->stream_id, cmd->queue, id);
	const struct video_buffer *b = stream_find_buffer(cmd->stream, cmd->queue, id);
	struct buffer_record record = {.plane_count = b->plane_count};
	struct range *ranges;
	uint32_t most;

	if (!v->journal)
		return;
	/* What was there under that number is no more. Objects are another device's, and not there in another process. */
	if (b->object_count > 0) {
		journal_drop(v->journal, &key);
		return;
	}
	most = b->piece_count + GUEST_MEM_MAX_REGIONS;
	ranges = calloc(most, sizeof(*ranges));
	record.range_count = ranges ? find_ranges(v, b, ranges, most) : 0;
	for (unsigned i = 0; i < b->plane_count; i++) {
		record.planes[i].offset = b->planes[i].offset;
		record.planes[i].end = b->planes[i].end;
	}
	if (record.range_count > 0)
		put(v, &key, &record, sizeof(record), ranges, record.range_count * sizeof(*ranges));
	else
		journal_drop(v->journal, &key);
	free(ranges);
}

void video_record_buffers_gone(struct video *v, const struct video_command *cmd)
{
	const uint32_t ids[] = {cmd->stream_id, cmd->queue};

	if (!v->journal)
		return;
	journal_drop_all(v->journal, RECORD_BUFFER, RECORD_BUFFER, ids, 2);
	video_record_stream(v, cmd);
}

void video_record_progress(struct video *v, struct video_stream_entry *e)
{
	const struct video_stream *s = e->stream;
	const unsigned now = s->state | (unsigned)s->format_known << 4 | (unsigned)e->events[STREAM_EVENT_FORMAT] << 5 |
			     (unsigned)e->failure_told << 6;

	if (!v->journal)
		return;
	if (now != e->recorded || s->visible_width != e->recorded_width || s->visible_height != e->recorded_height) {
		e->recorded = now;
		e->recorded_width = s->visible_width;
		e->recorded_height = s->visible_height;
		put_stream(v, e);
	}
	put_new_headers(v, e);
}

void video_record_commit(struct video *v, uint64_t tag)
{
	if (v->journal)
		journal_commit(v->journal, tag);
}

/* ---- reading ---- */

struct restore {
	struct video *v;
	unsigned streams, failed, buffers, left_out;
};

/* They are possible; but a bool may be anything yet. */
static void restore_controls(struct video_stream *s, const struct codec_controls *controls)
{
	uint8_t bytes[sizeof(*controls)];

	memcpy(bytes, controls, sizeof(bytes));
	bytes[offsetof(struct codec_controls, level_chosen)] &= 1;
	memcpy(&s->controls, bytes, sizeof(bytes));
}

static bool restore_stream(struct restore *r, const struct journal_key *key, const void *payload, size_t bytes)
{
	struct video *v = r->v;
	const struct stream_record *record = payload;
	const struct video_picture_format *picture;
	struct video_stream_entry *e;
	struct video_stream *s;

	if (bytes != sizeof(*record) || v->stream_count >= v->config.limits.streams || video_find_stream(v, key->id[0]) ||
	    !video_find_coded(v, record->coded))
		return false;
	picture = video_picture_format_at(record->picture);
	if (!picture || record->width < 1 || record->width > VIDEO_MAX_SIDE || record->height < 1 ||
	    record->height > VIDEO_MAX_SIDE)
		return false;
	for (unsigned q = 0; q < VIDEO_QUEUE_COUNT; q++) {
		if (record->plane_bytes[q] < VIDEO_MIN_CODED_BYTES || record->plane_bytes[q] > VIDEO_MAX_CODED_BYTES ||
		    !video_has_memory_type(v, record->memory_types[q]))
			return false;
	}
	e = video_add_stream(v, key->id[0], video_find_coded(v, record->coded));
	if (!e)
		return false;
	s = e->stream;
	if (v->config.encoder && !video_controls_are_possible(s, &record->controls)) {
		video_drop_stream(v, e);
		return false;
	}
	memcpy(e->memory_types, record->memory_types, sizeof(e->memory_types));
	memcpy(e->tag, record->tag, sizeof(e->tag) - 1);
	/* A decoder's can't be set. */
	if (v->config.encoder)
		restore_controls(s, &record->controls);
	for (unsigned q = 0; q < VIDEO_QUEUE_COUNT; q++)
		s->sides[q].plane_bytes = record->plane_bytes[q];
	stream_set_picture(s, picture, record->width, record->height);
	s->format_known = !v->config.encoder && record->format_known;
	if (record->active) {
		stream_lose_codec(s);
		e->failure_told = record->failure_told;
		e->events[STREAM_EVENT_ERROR] = !e->failure_told;
		r->failed++;
	}
	r->streams++;
	return true;
}

static bool restore_headers(struct restore *r, const struct journal_key *key, const void *payload, size_t bytes)
{
	struct video_stream_entry *e = video_find_stream(r->v, key->id[0]);

	if (!e || bytes > VIDEO_HEADERS_MAX)
		return false;
	memcpy(e->stream->headers.data, payload, bytes);
	e->stream->headers.bytes = bytes;
	return true;
}

/* The guest's memory behind @ranges. */
static bool fill_buffer(const struct video *v, struct video_buffer *b, const struct range *ranges, uint32_t count)
{
	b->pieces = calloc(count, sizeof(*b->pieces));
	for (uint32_t i = 0; b->pieces && i < count; i++) {
		void *host = guest_mem_range(v->device.mem, ranges[i].gpa, ranges[i].bytes);

		if (!host || ranges[i].bytes > v->config.limits.buffer_bytes - v->buffer_bytes - b->bytes)
			return false;
		b->pieces[b->piece_count++] = (struct iovec){host, ranges[i].bytes};
		b->bytes += ranges[i].bytes;
	}
	return b->pieces != NULL;
}

static bool place_planes(struct video_buffer *b, const struct buffer_record *record)
{
	if (record->plane_count < 1 || record->plane_count > VIDEO_BUFFER_MAX_PLANES)
		return false;
	b->plane_count = record->plane_count;
	for (unsigned i = 0; i < b->plane_count; i++) {
		if (record->planes[i].offset >= b->bytes || record->planes[i].end > b->bytes ||
		    record->planes[i].offset > record->planes[i].end)
			return false;
		b->planes[i].offset = record->planes[i].offset;
		b->planes[i].end = record->planes[i].end;
	}
	return true;
}

static bool restore_buffer(struct restore *r, const struct journal_key *key, const void *payload, size_t bytes)
{
	struct video *v = r->v;
	struct video_stream_entry *e = video_find_stream(v, key->id[0]);
	const struct buffer_record *record = payload;
	struct video_buffer *b;

	if (!e || key->id[1] >= VIDEO_QUEUE_COUNT || bytes < sizeof(*record) || record->range_count == 0 ||
	    record->range_count > v->config.limits.buffer_entries + GUEST_MEM_MAX_REGIONS ||
	    bytes != sizeof(*record) + record->range_count * sizeof(struct range) ||
	    e->stream->sides[key->id[1]].buffer_count >= v->config.limits.buffers ||
	    stream_find_buffer(e->stream, key->id[1], key->id[2]))
		return false;
	b = calloc(1, sizeof(*b));
	if (!b || !fill_buffer(v, b, (const struct range *)(record + 1), record->range_count) || !place_planes(b, record)) {
		video_buffer_destroy(b);
		return false;
	}
	b->id = key->id[2];
	if (v->config.encoder && key->id[1] == VIDEO_INPUT)
		b->pages = video_pages_map(v->device.mem, b);
	v->buffer_bytes += b->bytes;
	stream_add_buffer(e->stream, key->id[1], b);
	r->buffers++;
	return true;
}

/* In this order: what belongs to a stream comes after it. */
static const struct {
	enum record_type type;
	bool (*restore)(struct restore *r, const struct journal_key *key, const void *payload, size_t bytes);
} kinds[] = {
	{RECORD_STREAM, restore_stream},
	{RECORD_HEADERS, restore_headers},
	{RECORD_BUFFER, restore_buffer},
};

void video_restore(struct video *v)
{
	struct restore r = {.v = v};
	struct journal_stats stats;

	journal_get_stats(v->journal, &stats);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct journal_key key;
		const void *payload;
		size_t at = 0, bytes;

		while (journal_next(v->journal, &at, &key, &payload, &bytes)) {
			if (key.type != kinds[i].type || kinds[i].restore(&r, &key, payload, bytes))
				continue;
			journal_drop(v->journal, &key);
			r.left_out++;
		}
	}
	journal_restored(v->journal);
	journal_commit(v->journal, 0);
	if (stats.records > 0)
		log_line(LOG_TOPIC_VIDEO, LOG_INFO,
			 "made again after a death: %u streams with %u buffers, %u of them without the codec that they had",
			 r.streams, r.buffers, r.failed);
	if (r.left_out > 0)
		log_line(LOG_TOPIC_VIDEO, LOG_WARN, "%u streams or buffers could not be made again", r.left_out);
}
