// SPDX-License-Identifier: MIT
#include "host/video/units.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/headers.h"

/* More is no access unit, and goes out as it is. */
#define MAX_HELD (2u << 20)
#define MAX_ROOM_AHEAD (256u << 10)
/* More in one input is no bitstream of anybody's, and its rest goes out as it is. */
#define MAX_UNITS 32u
/* So many whole ones in a row, and nobody waits any more: the parts were errors of transmission. */
#define ENOUGH_WHOLE 8u

/* What a NAL unit is to the access unit that it is in. */
enum nal {
	NAL_REST,  /* nothing new */
	NAL_BEGIN, /* no slice, but only before the first */
	NAL_SLICE,
	NAL_FIRST_SLICE,
};

/* Bytes behind the start code that nal_of() looks at. */
static size_t nal_head(enum video_headers_kind kind)
{
	return kind == VIDEO_HEADERS_H264 ? 2 : 3;
}

/*
 * H.264 7.4.1.2.3 and 7.3.3 (a slice begins with the number of its first macroblock: 0 is one bit, set); HEVC 7.4.2.4.4
 * and 7.3.6.1 (first_slice_segment_in_pic_flag).
 */
static enum nal nal_of(enum video_headers_kind kind, const uint8_t *p)
{
	if (kind == VIDEO_HEADERS_H264) {
		const unsigned type = p[0] & 0x1f;

		if (type == 1 || type == 2 || type == 5)
			return p[1] & 0x80 ? NAL_FIRST_SLICE : NAL_SLICE;
		/* 14 is before each slice of some streams. */
		return (type >= 6 && type <= 9) || (type >= 15 && type <= 18) ? NAL_BEGIN : NAL_REST;
	} else {
		const unsigned type = p[0] >> 1 & 0x3f;

		if (type < 32)
			return p[2] & 0x80 ? NAL_FIRST_SLICE : NAL_SLICE;
		return (type >= 32 && type <= 35) || type == 39 || (type >= 41 && type <= 44) ||
				       (type >= 48 && type <= 55)
			       ? NAL_BEGIN
			       : NAL_REST;
	}
}

/* Zeros and a start code. */
static bool begins_with_nal(const uint8_t *data, size_t bytes)
{
	size_t zeros = 0;

	while (zeros < bytes && data[zeros] == 0)
		zeros++;
	return zeros >= 2 && zeros < bytes && data[zeros] == 1;
}

/*
 * Does an input of these bytes go on with a picture that the one before began? Slices may come in any order (H.264's ASO), so
 * a picture's first one anywhere makes it a unit of its own; without any it has what may stand behind a picture, or before.
 */
static bool goes_on(const struct video_units *u, const uint8_t *data, size_t bytes)
{
	bool has_slice = false;

	if (!begins_with_nal(data, bytes))
		return u->is_annex_b;
	for (size_t at = video_headers_find(data, bytes, 0); at + 3 + nal_head(u->kind) <= bytes;
	     at = video_headers_find(data, bytes, at + 3)) {
		const enum nal nal = nal_of(u->kind, data + at + 3);

		if (nal == NAL_FIRST_SLICE)
			return false;
		has_slice |= nal == NAL_SLICE;
	}
	return has_slice;
}

void video_units_drop(struct video_units *u)
{
	free(u->held.data);
	u->held = (struct video_unit){0};
	u->start = u->room = u->looked_at = 0;
	u->parts = 0;
	u->has_slice = u->is_flushed = u->was_torn = u->is_marked = false;
	u->torn_count = 0;
}

void video_units_reset(struct video_units *u, enum video_headers_kind kind)
{
	video_units_drop(u);
	*u = (struct video_units){.kind = kind};
}

/* What is held begins where its memory does. */
static void close_up(struct video_units *u)
{
	if (u->start == 0)
		return;
	memmove(u->held.data, u->held.data + u->start, u->held.bytes - u->start);
	u->held.bytes -= u->start;
	u->looked_at -= u->start;
	u->start = 0;
}

/* Put @unit behind what is held. */
static int hold(struct video_units *u, struct video_unit unit)
{
	uint8_t *data;

	u->parts++;
	if (!u->held.data) {
		u->held = unit;
		u->room = unit.bytes;
		return 0;
	}
	close_up(u);
	if (u->room - u->held.bytes < unit.bytes) {
		const size_t needed = u->held.bytes + unit.bytes;
		const size_t room = needed + (needed < MAX_ROOM_AHEAD ? needed : MAX_ROOM_AHEAD);

		data = realloc(u->held.data, room);
		if (!data) {
			free(unit.data);
			return -ENOMEM;
		}
		u->held.data = data;
		u->room = room;
	}
	memcpy(u->held.data + u->held.bytes, unit.data, unit.bytes);
	u->held.bytes += unit.bytes;
	free(unit.data);
	return 0;
}

static void drop_mark(struct video_units *u, unsigned i)
{
	u->torn_count--;
	memmove(&u->torn[i], &u->torn[i + 1], (u->torn_count - i) * sizeof(u->torn[0]));
}

static void add_mark(struct video_units *u, uint64_t timestamp)
{
	if (u->torn_count == VIDEO_UNITS_TORN)
		drop_mark(u, 0);
	u->torn[u->torn_count++] = timestamp;
}

/* The pictures of the input before and of one at @timestamp are of one access unit, but the first has gone out. */
static void mark_torn(struct video_units *u, uint64_t timestamp)
{
	u->was_torn = true;
	/* Once, of more than two parts. */
	if (!u->is_marked)
		add_mark(u, u->previous);
	add_mark(u, timestamp);
}

int video_units_add(struct video_units *u, struct video_unit unit)
{
	bool more = false, torn = false;

	if (u->kind != VIDEO_HEADERS_NONE) {
		more = goes_on(u, unit.data, unit.bytes);
		u->is_annex_b |= !more && begins_with_nal(unit.data, unit.bytes);
	}
	switch (u->guest) {
	case VIDEO_UNITS_UNKNOWN:
		if (!u->is_annex_b)
			u->is_flushed = true;
		else if (more)
			u->guest = VIDEO_UNITS_PARTS;
		else if (u->has_slice)
			u->guest = VIDEO_UNITS_WHOLE;
		break;
	case VIDEO_UNITS_WHOLE:
		/* Its beginning is gone; from now on such are waited for. */
		if (more) {
			torn = true;
			u->guest = VIDEO_UNITS_PARTS;
			u->is_flushed = true;
			u->whole = 0;
		}
		break;
	case VIDEO_UNITS_PARTS:
		/* This one came too late. */
		torn = more && !u->held.data;
		u->whole = more || u->parts > 1 ? 0 : u->whole + 1;
		if (u->whole >= ENOUGH_WHOLE)
			u->guest = VIDEO_UNITS_WHOLE;
		break;
	}
	if (torn)
		mark_torn(u, unit.timestamp);
	u->is_marked = torn;
	u->previous = unit.timestamp;
	u->units = 0;
	if (u->held.bytes - u->start + unit.bytes > MAX_HELD)
		u->is_flushed = true;
	/* Parameter sets have come before it. */
	if (u->held.data && !u->has_slice)
		u->held.timestamp = unit.timestamp;
	return hold(u, unit);
}

/* Where the access unit that is held ends: there the next one begins. 0: not yet. */
static size_t find_end(struct video_units *u)
{
	const uint8_t *data = u->held.data;
	const size_t bytes = u->held.bytes;
	size_t at = video_headers_find(data, bytes, u->looked_at), end = 0;

	while (end == 0 && at + 3 + nal_head(u->kind) <= bytes) {
		const enum nal nal = nal_of(u->kind, data + at + 3);

		if (u->has_slice && (nal == NAL_BEGIN || nal == NAL_FIRST_SLICE)) {
			end = at;
			break;
		}
		u->has_slice |= nal == NAL_SLICE || nal == NAL_FIRST_SLICE;
		at = video_headers_find(data, bytes, at + 3);
	}
	/* A start code may be cut, too. */
	u->looked_at = at < bytes ? at : bytes > u->start + 2 ? bytes - 2 : u->start;
	while (end > u->start && data[end - 1] == 0)
		end--;
	return end;
}

static bool take_all(struct video_units *u, struct video_unit *out)
{
	close_up(u);
	*out = u->held;
	u->held = (struct video_unit){0};
	u->parts = 0;
	u->looked_at = 0;
	u->has_slice = false;
	return true;
}

bool video_units_take(struct video_units *u, struct video_unit *out)
{
	size_t end;

	if (!u->held.data) {
		u->is_flushed = false;
		return false;
	}
	/* The usual way: nothing was held. */
	if (u->kind == VIDEO_HEADERS_NONE || (u->parts == 1 && (u->is_flushed || u->guest == VIDEO_UNITS_WHOLE)))
		return take_all(u, out);
	end = find_end(u);
	if (end == 0)
		return u->is_flushed && take_all(u, out);
	*out = (struct video_unit){malloc(end - u->start), end - u->start, u->held.timestamp};
	/* Then they go together, which a decoder may survive. */
	if (!out->data)
		return take_all(u, out);
	memcpy(out->data, u->held.data + u->start, out->bytes);
	u->held.timestamp = u->previous;
	u->start = u->looked_at = end;
	u->has_slice = false;
	u->parts = 1;
	u->is_flushed |= ++u->units == MAX_UNITS;
	return true;
}

void video_units_flush(struct video_units *u)
{
	u->is_flushed = u->held.data != NULL;
	/* Until something goes on with it. */
	if (u->held.data && u->guest == VIDEO_UNITS_UNKNOWN)
		u->guest = VIDEO_UNITS_WHOLE;
}

bool video_units_take_torn(struct video_units *u, uint64_t timestamp)
{
	for (unsigned i = 0; i < u->torn_count; i++) {
		if (u->torn[i] != timestamp)
			continue;
		drop_mark(u, i);
		return true;
	}
	return false;
}

void video_units_forget_torn(struct video_units *u)
{
	/* What is held may be the rest of one. */
	if (!u->held.data)
		u->torn_count = 0;
}
