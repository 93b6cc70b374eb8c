/* SPDX-License-Identifier: MIT */
/*
 * Access units of H.264 and HEVC whose guest puts them into buffers in parts: slice by slice, or cut anywhere. Decoders
 * take a whole one at a time, and that is how nearly all guests send them: V4L2 wants it so. So the parts are put together,
 * and who sends no parts waits for nothing but once: an access unit is over when the next one begins, and so the first
 * one is held until the second input says which kind of guest this is.
 *
 * What is held for some time is to be flushed: a guest may wait for a picture before it sends more.
 *
 * Thread: the device's loop, for every call.
 */
#ifndef MULLION_HOST_VIDEO_UNITS_H
#define MULLION_HOST_VIDEO_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/video/format.h"

enum video_units_guest { VIDEO_UNITS_UNKNOWN, VIDEO_UNITS_WHOLE, VIDEO_UNITS_PARTS };

/* Marks of torn pictures that did not come out yet; of more the oldest are forgotten. */
#define VIDEO_UNITS_TORN 32u

struct video_unit {
	uint8_t *data; /* from malloc() */
	size_t bytes;
	uint64_t timestamp; /* of the input that its first slice began in */
};

struct video_units {
	enum video_headers_kind kind;
	enum video_units_guest guest;
	struct video_unit held; /* data NULL: nothing */
	size_t start;		/* in it: what was before has gone out */
	size_t room, looked_at;
	bool has_slice;	   /* in what is held */
	bool is_annex_b;   /* a start code was seen where an input began */
	bool is_flushed;   /* what is held goes out, whatever it is */
	unsigned parts;	   /* of what is held */
	unsigned units;	   /* that the last input has ended so far */
	unsigned whole;	   /* units of one part, in a row */
	bool was_torn;	   /* an input went on with the access unit of one that had gone out: two pictures are wrong */
	bool is_marked;	   /* the last input is one of those */
	unsigned torn_count; /* of them, those that were not asked for */
	uint64_t torn[VIDEO_UNITS_TORN]; /* their timestamps, oldest first */
	uint64_t previous; /* the last input's */
};

/* Forget everything, for a bitstream with such headers. Zeroed memory is one of none, whose units are taken as they are. */
void video_units_reset(struct video_units *u, enum video_headers_kind kind);
/* Forget what is held: a seek. */
void video_units_drop(struct video_units *u);

/*
 * Another input: @unit is @u's from now on, also on failure. Then take what came of it until there is nothing.
 * Returns 0 or -ENOMEM.
 */
int video_units_add(struct video_units *u, struct video_unit unit);
/* An access unit to decode, which is the caller's; false: there is none. */
bool video_units_take(struct video_units *u, struct video_unit *out);

/* What is held is all that there is: the next take() has it. */
void video_units_flush(struct video_units *u);
static inline bool video_units_holds(const struct video_units *u)
{
	return u->held.data != NULL;
}

/* Is the picture of @timestamp one that was torn in two? Each is told of once, as timestamps may come again. */
bool video_units_take_torn(struct video_units *u, uint64_t timestamp);
/* Nothing comes out any more of what has gone out so far: later pictures with such timestamps are others. */
void video_units_forget_torn(struct video_units *u);

#endif
