/* SPDX-License-Identifier: MIT */
/*
 * The parameter sets of an H.264 or HEVC stream, remembered. After a seek or a drain a stream goes on with a new codec,
 * and the guest may go on with any picture: many streams carry their parameter sets once, at the start. And encoders write
 * them as they like, the guest has its own wishes.
 * Thread: the device's loop, for every call.
 */
#ifndef MULLION_HOST_VIDEO_HEADERS_H
#define MULLION_HOST_VIDEO_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/video/format.h"

/* More than that is not remembered. Real ones take under 200 bytes. */
#define VIDEO_HEADERS_MAX 4096u

struct video_headers {
	size_t bytes;
	unsigned changes; /* how often some were found, or forgotten */
	uint8_t data[VIDEO_HEADERS_MAX]; /* in Annex B form, start codes included */
};

/* Where in @data the next start code 00 00 01 is, at or after @from; @bytes: there is none. */
size_t video_headers_find(const uint8_t *data, size_t bytes, size_t from);

/*
 * Look through @data, one access unit in Annex B form (the host's own copy), and remember the parameter sets in it.
 * Those that begin a new sequence replace all older ones. Returns true if it has any that do.
 */
bool video_headers_scan(struct video_headers *h, enum video_headers_kind kind, const uint8_t *data, size_t bytes);

/* Has @data, one access unit, parameter sets that begin a new sequence? */
bool video_headers_begins(enum video_headers_kind kind, const uint8_t *data, size_t bytes);

/*
 * The next part of @data, in Annex B form, from *@at on that is no parameter set: returns where it starts, and how long it
 * is in @n; *@at goes behind it. NULL at the end.
 */
const uint8_t *video_headers_skip(enum video_headers_kind kind, const uint8_t *data, size_t bytes, size_t *at,
				  size_t *n);

/*
 * Leave out what follows an end of sequence or of stream in its NAL unit, which is its header alone (H.264 7.3.2.5 and
 * 7.3.2.6, HEVC 7.3.2.6 and 7.3.2.7), zeros included. @data: one access unit in Annex B form; returns how long it is then. The
 * h264parse of GStreamer 1.26 follows a null pointer when there is anything.
 */
size_t video_headers_cut_ends(enum video_headers_kind kind, uint8_t *data, size_t bytes);

/* Where in @data parameter sets may be put: behind an access unit delimiter, if it begins with one. */
size_t video_headers_place(enum video_headers_kind kind, const uint8_t *data, size_t bytes);

#endif
