// SPDX-License-Identifier: MIT
#include "host/video/record.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/device.h"
#include "host/video/dialect.h"
#include "host/video/pages.h"
#include "host/virtio/journal.h"
#include "host/virtio/mem.h"
#include "host/virtio/object.h"

/* Types, with what their keys are. */
enum record_type {
	RECORD_STREAM = 1, /* stream */
	RECORD_HEADERS,	   /* stream; the parameter sets, as they are */
	RECORD_BUFFER,	   /* stream, queue, resource; the ranges follow, or the names of the objects */
};

struct stream_record {
	uint32_t coded;	  /* VIRTIO_VIDEO_FORMAT_* */
	uint32_t picture; /* row of format.h */
	uint32_t width, height; /* visible */
	uint32_t format_known;
	uint32_t active;	/* it has a codec, or had one that failed */
	uint32_t failure_told;	/* the guest knows that it failed */
	uint32_t end_owed;	/* a drain was answered, and the next output buffer is to be marked */
	uint32_t plane_bytes[VIDEO_QUEUE_COUNT];
	uint32_t memory_types[VIDEO_QUEUE_COUNT];
	struct codec_controls controls;
	char tag[64];
};

struct buffer_record {
	uint32_t plane_count, range_count;
	uint32_t object_count, zero; /* one of the two is 0 */
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

/* Of a stream's record, what changes without a command that sets something. */
static unsigned progress_of(const struct video_stream_entry *e)
{
	const struct video_stream *s = e->stream;

	return s->state | (unsigned)s->format_known << 4 | (unsigned)e->events[STREAM_EVENT_FORMAT] << 5 |
	       (unsigned)e->failure_told << 6 | (unsigned)s->end_owed << 7;
}

static void put_stream(struct video *v, struct video_stream_entry *e)
{
	const struct video_stream *s = e->stream;
	const struct journal_key key = stream_key(RECORD_STREAM, e->id);
	struct stream_record record;

	e->failure_told &= s->state == STREAM_FAILED;
	e->recorded = progress_of(e);
	e->recorded_width = s->visible_width;
	e->recorded_height = s->visible_height;
	memset(&record, 0, sizeof(record));
	record.coded = s->coded->number;
	record.picture = picture_row(s->layout.format);
	record.width = s->visible_width;
	record.height = s->visible_height;
	/* What the guest was not told is told again. */
	record.format_known = s->format_known && !e->events[STREAM_EVENT_FORMAT];
	record.active = s->state != STREAM_IDLE;
	record.failure_told = e->failure_told;
	record.end_owed = s->end_owed;
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

/* What another device has lent is looked for again. */
static void record_objects(struct video *v, const struct journal_key *key, const struct buffer_record *record,
			   const struct video_buffer *b)
{
	uint8_t names[VIDEO_BUFFER_MAX_PLANES][VIRTIO_UUID_BYTES];

	for (unsigned i = 0; i < b->object_count; i++)
		memcpy(names[i], b->objects[i]->uuid, sizeof(names[i]));
	put(v, key, record, sizeof(*record), names, b->object_count * sizeof(names[0]));
}

void video_record_buffer(struct video *v, const struct video_command *cmd)
{
	const uint32_t id = cmd->u.resource_create.resource_id;
	const struct journal_key key = buffer_key(cmd->stream_id, cmd->queue, id);
	const struct video_buffer *b = stream_find_buffer(cmd->stream, cmd->queue, id);
	struct buffer_record record = {.plane_count = b->plane_count, .object_count = b->object_count};
	struct guest_mem_range *ranges;
	uint32_t most;
	int count;

	if (!v->journal)
		return;
	for (unsigned i = 0; i < b->plane_count; i++) {
		record.planes[i].offset = b->planes[i].offset;
		record.planes[i].end = b->planes[i].end;
	}
	if (b->object_count > 0) {
		record_objects(v, &key, &record, b);
		return;
	}
	most = b->piece_count + GUEST_MEM_MAX_REGIONS;
	ranges = calloc(most, sizeof(*ranges));
	count = ranges ? guest_mem_ranges(v->device.mem, b->pieces, b->piece_count, ranges, most) : 0;
	record.range_count = count > 0 ? (uint32_t)count : 0;
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

	if (!v->journal)
		return;
	if (progress_of(e) != e->recorded || s->visible_width != e->recorded_width ||
	    s->visible_height != e->recorded_height)
		put_stream(v, e);
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
	struct codec_controls controls;
	struct video_stream *s;

	if (bytes != sizeof(*record) || v->stream_count >= v->config.limits.streams || video_find_stream(v, key->id[0]) ||
	    !video_find_coded(v, record->coded))
		return false;
	picture = video_picture_format_at(record->picture);
	if (!picture || v->config.dialect->picture_number(picture) == 0 || record->width < 1 ||
	    record->width > VIDEO_MAX_SIDE || record->height < 1 || record->height > VIDEO_MAX_SIDE)
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
	memcpy(&controls, &record->controls, sizeof(controls));
	/* The element of the process before had more of them: this one may have no hardware. */
	if (!video_controls_are_possible(v, s, &controls)) {
		controls.profile = s->controls.profile;
		controls.level = s->controls.level;
	}
	if (v->config.encoder && !video_controls_are_possible(v, s, &controls)) {
		video_drop_stream(v, e);
		return false;
	}
	memcpy(e->memory_types, record->memory_types, sizeof(e->memory_types));
	memcpy(e->tag, record->tag, sizeof(e->tag) - 1);
	/* A decoder's can't be set. */
	if (v->config.encoder)
		restore_controls(s, &controls);
	for (unsigned q = 0; q < VIDEO_QUEUE_COUNT; q++)
		s->sides[q].plane_bytes = record->plane_bytes[q];
	stream_set_picture(s, picture, record->width, record->height);
	s->format_known = !v->config.encoder && record->format_known;
	s->end_owed = record->end_owed;
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
static bool fill_buffer(const struct video *v, struct video_buffer *b, const struct guest_mem_range *ranges,
			uint32_t count)
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

/* As read_object() of commands_stream.c: the object may be another one now, or gone. */
static bool find_objects(const struct video *v, struct video_buffer *b, const uint8_t (*names)[VIRTIO_UUID_BYTES],
			 uint32_t count, bool is_input)
{
	for (uint32_t i = 0; i < count; i++) {
		struct virtio_object *o = v->config.objects ? virtio_objects_find(v->config.objects, names[i]) : NULL;
		struct iovec *pieces;

		if (!o)
			return false;
		b->objects[b->object_count++] = o;
		if ((o->is_write_only && is_input) ||
		    o->piece_count > v->config.limits.buffer_entries - b->piece_count ||
		    o->bytes > v->config.limits.buffer_bytes - v->buffer_bytes - b->bytes)
			return false;
		pieces = realloc(b->pieces, (b->piece_count + o->piece_count) * sizeof(*pieces));
		if (!pieces)
			return false;
		b->pieces = pieces;
		memcpy(b->pieces + b->piece_count, o->pieces, o->piece_count * sizeof(*pieces));
		b->piece_count += o->piece_count;
		b->bytes += o->bytes;
	}
	return true;
}

/* The memory that @record and what follows it in @bytes name. */
static bool find_memory(const struct video *v, struct video_buffer *b, const struct buffer_record *record, size_t bytes,
			bool is_input)
{
	const void *rest = record + 1;

	bytes -= sizeof(*record);
	if (record->object_count > 0)
		return record->range_count == 0 && record->object_count <= VIDEO_BUFFER_MAX_PLANES &&
		       bytes == record->object_count * VIRTIO_UUID_BYTES &&
		       find_objects(v, b, rest, record->object_count, is_input);
	return record->range_count > 0 &&
	       record->range_count <= v->config.limits.buffer_entries + GUEST_MEM_MAX_REGIONS &&
	       bytes == record->range_count * sizeof(struct guest_mem_range) &&
	       fill_buffer(v, b, rest, record->range_count);
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

	if (!e || key->id[1] >= VIDEO_QUEUE_COUNT || bytes < sizeof(*record) ||
	    e->stream->sides[key->id[1]].buffer_count >= v->config.limits.buffers ||
	    stream_find_buffer(e->stream, key->id[1], key->id[2]))
		return false;
	b = calloc(1, sizeof(*b));
	if (!b || !find_memory(v, b, record, bytes, key->id[1] == VIDEO_INPUT) || !place_planes(b, record)) {
		video_buffer_destroy(b);
		return false;
	}
	b->id = key->id[2];
	if (b->object_count == 0 && video_may_be_lent(v->offers, v->offer_count, v->config.encoder, e->stream->coded,
						      key->id[1] == VIDEO_INPUT))
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
			if (key.type != kinds[i].type)
				continue;
			if (!kinds[i].restore(&r, &key, payload, bytes)) {
				journal_drop(v->journal, &key);
				r.left_out++;
			}
			virtio_device_progress(&v->device);
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
