// SPDX-License-Identifier: MIT
#include "host/gpu/virgl_objects.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "protocol/virgl.h"

#define FIRST_ROOM 64u

struct virgl_object_slot {
	uint32_t handle, bytes; /* bytes 0: free */
};

/* ---- one sub-context: slots by handle, a collision goes to the next free one ---- */

static uint32_t place_of(const struct virgl_object_table *t, uint32_t handle)
{
	return handle * 2654435761u & (t->room - 1);
}

static uint32_t find(const struct virgl_object_table *t, uint32_t handle)
{
	uint32_t at = place_of(t, handle);

	while (t->slots[at].bytes && t->slots[at].handle != handle)
		at = (at + 1) & (t->room - 1);
	return at;
}

static int set_room(struct virgl_object_table *t, uint32_t room)
{
	struct virgl_object_table other = *t;

	other.room = room;
	other.slots = calloc(room, sizeof(*other.slots));
	if (!other.slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->room; i++) {
		if (t->slots[i].bytes)
			other.slots[find(&other, t->slots[i].handle)] = t->slots[i];
	}
	free(t->slots);
	*t = other;
	return 0;
}

static int make_room(struct virgl_object_table *t)
{
	if (2 * t->count < t->room)
		return 0;
	return set_room(t, t->room ? 2 * t->room : FIRST_ROOM);
}

/* What many objects took counts for none once they are destroyed, and a guest may do that in each of its sub-contexts. */
static void give_room_back(struct virgl_object_table *t)
{
	if (t->room > FIRST_ROOM && 8 * t->count < t->room)
		(void)set_room(t, t->room / 2);
}

/* The library puts it in the place of one of that handle. */
static int put(struct virgl_object_table *t, uint32_t handle, uint32_t bytes)
{
	struct virgl_object_slot *slot;
	int err = make_room(t);

	if (err)
		return err;
	slot = &t->slots[find(t, handle)];
	t->count += slot->bytes == 0;
	t->bytes += bytes;
	t->bytes -= slot->bytes;
	*slot = (struct virgl_object_slot){handle, bytes};
	return 0;
}

static void drop(struct virgl_object_table *t, uint32_t handle)
{
	uint32_t hole, at;

	if (t->count == 0)
		return;
	hole = at = find(t, handle);
	if (!t->slots[hole].bytes)
		return;
	t->bytes -= t->slots[hole].bytes;
	t->count--;
	/* Those behind it that were looked for across it move up. */
	for (;;) {
		at = (at + 1) & (t->room - 1);
		if (!t->slots[at].bytes)
			break;
		if (((at - place_of(t, t->slots[at].handle)) & (t->room - 1)) < ((at - hole) & (t->room - 1)))
			continue;
		t->slots[hole] = t->slots[at];
		hole = at;
	}
	t->slots[hole].bytes = 0;
	give_room_back(t);
}

/* ---- a context ---- */

static unsigned find_table(const struct virgl_objects *o, uint32_t sub)
{
	unsigned i = 0;

	while (i < o->count && o->tables[i].sub != sub)
		i++;
	return i;
}

static struct virgl_object_table *table_of(struct virgl_objects *o, uint32_t sub)
{
	const unsigned i = find_table(o, sub);

	if (i == o->count) {
		/* There are no more than sub-contexts. */
		assert(i < sizeof(o->tables) / sizeof(o->tables[0]));
		o->tables[o->count++] = (struct virgl_object_table){.sub = sub};
	}
	return &o->tables[i];
}

static void drop_table(struct virgl_objects *o, uint32_t sub)
{
	const unsigned i = find_table(o, sub);

	if (sub == 0 || i == o->count)
		return;
	o->bytes -= o->tables[i].bytes;
	free(o->tables[i].slots);
	o->tables[i] = o->tables[--o->count];
}

/* Of a CREATE_OBJECT; 0: it adds to one that was counted whole. */
static uint32_t bytes_of(uint32_t header, const uint32_t *w, size_t length)
{
	const uint32_t sent = VIRGL_OBJECT_BYTES + (uint32_t)length * 4;
	uint32_t text;

	if ((header >> 8 & 0xff) != VIRGL_OBJECT_SHADER || length < VIRGL_WORDS_CREATE_SHADER)
		return sent;
	if (w[2] & VIRGL_SHADER_CONTINUED)
		return 0;
	/* Of a long one only the first part is there, and the stream's check saw that the rest is within its limit. */
	text = VIRGL_OBJECT_BYTES + (w[2] & ~VIRGL_SHADER_CONTINUED);
	return sent > text ? sent : text;
}

uint64_t virgl_objects_wanted(const uint32_t *words, size_t count)
{
	uint64_t bytes = 0;

	for (size_t at = 0; at < count; at += 1 + (words[at] >> 16)) {
		if ((words[at] & 0xff) == VIRGL_CCMD_CREATE_OBJECT && words[at] >> 16 > 0)
			bytes += bytes_of(words[at], words + at + 1, words[at] >> 16);
	}
	return bytes;
}

static int create(struct virgl_objects *o, uint32_t sub, uint32_t header, const uint32_t *w, size_t length)
{
	const uint32_t bytes = bytes_of(header, w, length);
	struct virgl_object_table *t = table_of(o, sub);
	const uint64_t before = t->bytes;
	int err = bytes ? put(t, w[0], bytes) : 0;

	o->bytes += t->bytes;
	o->bytes -= before;
	return err;
}

static void destroy(struct virgl_objects *o, uint32_t sub, uint32_t handle)
{
	struct virgl_object_table *t = table_of(o, sub);
	const uint64_t before = t->bytes;

	drop(t, handle);
	o->bytes -= before - t->bytes;
}

int virgl_objects_follow(struct virgl_objects *o, struct virgl_stream *stream, const uint32_t *words, size_t count)
{
	uint32_t sub = stream->subs[stream->current].id;
	int err = 0;

	for (size_t at = 0; at < count && !err; at += 1 + (words[at] >> 16)) {
		const uint32_t *w = words + at + 1;
		const size_t length = words[at] >> 16;

		if (length == 0)
			continue;
		switch (words[at] & 0xff) {
		case VIRGL_CCMD_CREATE_OBJECT:
			err = create(o, sub, words[at], w, length);
			break;
		case VIRGL_CCMD_DESTROY_OBJECT:
			destroy(o, sub, w[0]);
			break;
		case VIRGL_CCMD_CREATE_SUB_CTX:
		case VIRGL_CCMD_SET_SUB_CTX:
		case VIRGL_CCMD_DESTROY_SUB_CTX:
			if ((words[at] & 0xff) == VIRGL_CCMD_DESTROY_SUB_CTX)
				drop_table(o, w[0]);
			virgl_stream_follow(stream, words[at], w, length);
			sub = stream->subs[stream->current].id;
			break;
		default:
			break;
		}
	}
	return err;
}

void virgl_objects_finish(struct virgl_objects *o)
{
	for (unsigned i = 0; i < o->count; i++)
		free(o->tables[i].slots);
	*o = (struct virgl_objects){0};
}
