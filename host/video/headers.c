// SPDX-License-Identifier: MIT
#include "host/video/headers.h"

#include <string.h>

/* H.264 has numbers for 32 sets of one kind and 256 of the other. Of more at once nobody looks whether they are there already. */
#define MAX_SETS 288u

enum unit { UNIT_OTHER, UNIT_SEQUENCE, UNIT_PICTURE, UNIT_DELIMITER, UNIT_END };

/* H.264 table 7-1, HEVC table 7-1: VPS and SPS begin a sequence, a PPS belongs to it; what ends one has nothing in it. */
static enum unit unit_of(enum video_headers_kind kind, uint8_t first)
{
	if (kind == VIDEO_HEADERS_H264) {
		const unsigned type = first & 0x1f;

		return type == 7		  ? UNIT_SEQUENCE
		       : type == 8		  ? UNIT_PICTURE
		       : type == 9		  ? UNIT_DELIMITER
		       : type == 10 || type == 11 ? UNIT_END
						  : UNIT_OTHER;
	}
	if (kind == VIDEO_HEADERS_HEVC) {
		const unsigned type = first >> 1 & 0x3f;

		return type == 32 || type == 33	  ? UNIT_SEQUENCE
		       : type == 34		  ? UNIT_PICTURE
		       : type == 35		  ? UNIT_DELIMITER
		       : type == 36 || type == 37 ? UNIT_END
						  : UNIT_OTHER;
	}
	return UNIT_OTHER;
}

static bool is_parameters(enum unit unit)
{
	return unit == UNIT_SEQUENCE || unit == UNIT_PICTURE;
}

size_t video_headers_find(const uint8_t *data, size_t bytes, size_t from)
{
	while (from + 3 <= bytes) {
		if (data[from + 2] > 1)
			from += 3;
		else if (data[from] == 0 && data[from + 1] == 0 && data[from + 2] == 1)
			return from;
		else
			from++;
	}
	return bytes;
}

/* Where the unit whose start code is at @start ends: before the zeros of the next start code. */
static size_t unit_end(const uint8_t *data, size_t bytes, size_t start)
{
	size_t end = start + 3 < bytes ? video_headers_find(data, bytes, start + 3) : bytes;

	while (end < bytes && end > start + 3 && data[end - 1] == 0)
		end--;
	return end;
}

/* Where the same set stands already; h->bytes: nowhere. */
static size_t find_set(const struct video_headers *h, const uint8_t *set, size_t bytes)
{
	size_t at, end;

	for (at = 0; at < h->bytes; at = end) {
		end = video_headers_find(h->data, h->bytes, at + 3);
		if (end - at == bytes && memcmp(h->data + at, set, bytes) == 0)
			break;
	}
	return at;
}

static void remove_set(struct video_headers *h, size_t at, size_t bytes)
{
	memmove(h->data + at, h->data + at + bytes, h->bytes - at - bytes);
	h->bytes -= bytes;
}

bool video_headers_scan(struct video_headers *h, enum video_headers_kind kind, const uint8_t *data, size_t bytes)
{
	unsigned sets = 0;
	bool begun = false;
	size_t known, n;

	if (kind == VIDEO_HEADERS_NONE)
		return false;
	for (size_t at = video_headers_find(data, bytes, 0), end; at + 3 < bytes; at = end) {
		enum unit unit = unit_of(kind, data[at + 3]);

		end = video_headers_find(data, bytes, at + 3);
		if (!is_parameters(unit))
			continue;
		h->changes++;
		if (unit == UNIT_SEQUENCE && !begun) {
			begun = true;
			h->bytes = 0;
		}
		n = unit_end(data, bytes, at) - at;
		/* Many that say nothing new would leave no room for one that does. */
		known = sets++ < MAX_SETS ? find_set(h, data + at, n) : h->bytes;
		if (known < h->bytes && unit == UNIT_SEQUENCE)
			continue; /* others refer to it, and stand behind it */
		/* What came last counts for a decoder. */
		if (known < h->bytes)
			remove_set(h, known, n);
		if (n <= sizeof(h->data) - h->bytes) {
			memcpy(h->data + h->bytes, data + at, n);
			h->bytes += n;
		}
	}
	return begun;
}

bool video_headers_begins(enum video_headers_kind kind, const uint8_t *data, size_t bytes)
{
	if (kind == VIDEO_HEADERS_NONE)
		return false;
	for (size_t at = video_headers_find(data, bytes, 0); at + 3 < bytes;
	     at = video_headers_find(data, bytes, at + 3)) {
		if (unit_of(kind, data[at + 3]) == UNIT_SEQUENCE)
			return true;
	}
	return false;
}

const uint8_t *video_headers_skip(enum video_headers_kind kind, const uint8_t *data, size_t bytes, size_t *at,
				  size_t *n)
{
	while (*at < bytes) {
		const size_t from = *at, start = video_headers_find(data, bytes, from);

		*at = unit_end(data, bytes, start);
		if (start + 3 < bytes && is_parameters(unit_of(kind, data[start + 3])))
			continue;
		*n = *at - from;
		return data + from;
	}
	return NULL;
}

size_t video_headers_place(enum video_headers_kind kind, const uint8_t *data, size_t bytes)
{
	const size_t start = video_headers_find(data, bytes, 0);

	return start + 3 < bytes && unit_of(kind, data[start + 3]) == UNIT_DELIMITER ? unit_end(data, bytes, start) : 0;
}

size_t video_headers_cut_ends(enum video_headers_kind kind, uint8_t *data, size_t bytes)
{
	const size_t head = kind == VIDEO_HEADERS_H264 ? 1 : 2;
	size_t kept = 0, from = 0; /* what was before @from is kept, in so many bytes */

	if (kind == VIDEO_HEADERS_NONE)
		return bytes;
	for (size_t at = video_headers_find(data, bytes, 0), next; at + 3 + head < bytes; at = next) {
		const size_t end = at + 3 + head;

		next = video_headers_find(data, bytes, at + 3);
		if (unit_of(kind, data[at + 3]) != UNIT_END || next <= end)
			continue;
		memmove(data + kept, data + from, end - from);
		kept += end - from;
		from = next;
	}
	if (from > 0)
		memmove(data + kept, data + from, bytes - from);
	return kept + bytes - from;
}
