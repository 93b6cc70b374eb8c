// SPDX-License-Identifier: MIT
#include "host/gpu/virgl_stream.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "protocol/virgl.h"

static unsigned find(const struct virgl_stream *s, uint32_t id)
{
	unsigned i = 1;

	while (i <= s->count && s->subs[i].id != id)
		i++;
	return i;
}

static int create_sub_context(struct virgl_stream *s, uint32_t id)
{
	unsigned i = find(s, id);

	/* Id 0 and ids that exist: the library does nothing. */
	if (id == 0 || i <= s->count)
		return 0;
	if (s->count == VIRGL_STREAM_SUB_CONTEXTS)
		return -ENOMEM;
	s->count++;
	/* The library makes the new one current. */
	s->current = i;
	s->subs[i] = (struct virgl_stream_sub_context){.id = id};
	return 0;
}

static void set_sub_context(struct virgl_stream *s, uint32_t id)
{
	unsigned i = find(s, id);

	if (id == 0)
		s->current = 0;
	else if (i <= s->count)
		s->current = i;
}

static void destroy_sub_context(struct virgl_stream *s, uint32_t id)
{
	unsigned i = find(s, id);

	if (id == 0 || i > s->count)
		return;
	if (s->current == i)
		s->current = 0;
	else if (s->current == s->count)
		s->current = i;
	s->subs[i] = s->subs[s->count--];
}

/* @w: the words after the header. */
static int create_shader(struct virgl_stream *s, const uint32_t *w, size_t length)
{
	struct virgl_stream_shader *partial;
	uint32_t outputs, offset, text_words, total;

	if (length < VIRGL_WORDS_CREATE_SHADER || w[1] >= VIRGL_STREAM_SHADER_TYPES)
		return -EINVAL;
	partial = &s->subs[s->current].partial[w[1]];
	outputs = w[1] == PIPE_SHADER_COMPUTE ? 0 : w[4];
	/* Stream output: four strides, two words an output. */
	if (outputs > VIRGL_MAX_STREAM_OUTPUTS || length < VIRGL_WORDS_CREATE_SHADER + (outputs ? 4 + 2 * outputs : 0))
		return -EINVAL;
	text_words = (uint32_t)length - VIRGL_WORDS_CREATE_SHADER - (outputs ? 4 + 2 * outputs : 0);
	offset = w[2] & ~VIRGL_SHADER_CONTINUED;
	if (w[2] & VIRGL_SHADER_CONTINUED) {
		if (partial->handle == 0 || partial->handle != w[0] || partial->done != offset)
			return -EINVAL;
		partial->done += text_words * 4;
		if (partial->done > partial->total)
			return -EINVAL;
		if (partial->done == partial->total)
			partial->handle = 0;
		return 0;
	}
	if (partial->handle != 0)
		return -EINVAL;
	total = offset / 4 * 4 + (offset % 4 ? 4 : 0);
	if (total <= text_words * 4)
		return 0;
	if (total > VIRGL_STREAM_SHADER_BYTES)
		return -ENOMEM;
	*partial = (struct virgl_stream_shader){.handle = w[0], .done = text_words * 4, .total = total};
	return 0;
}

static bool is_partial(const struct virgl_stream *s, uint32_t handle)
{
	for (unsigned i = 0; i < VIRGL_STREAM_SHADER_TYPES; i++)
		if (handle != 0 && s->subs[s->current].partial[i].handle == handle)
			return true;
	return false;
}

static unsigned find_object(const struct virgl_stream *s, uint64_t blob_id)
{
	unsigned i = 0;

	while (i < s->object_count && s->objects[i].blob_id != blob_id)
		i++;
	return i;
}

/* A second one of the same number takes the place of the first, which nobody has a name for any more. */
static int create_object(struct virgl_stream *s, const uint32_t *w, size_t length)
{
	unsigned i;

	if (length != VIRGL_WORDS_PIPE_RESOURCE_CREATE)
		return -EINVAL;
	i = find_object(s, w[10]);
	if (i == VIRGL_STREAM_OBJECTS)
		return -ENOMEM;
	if (i == s->object_count)
		s->object_count++;
	s->objects[i] = (struct virgl_stream_object){
		.blob_id = w[10],
		.shape =
			{
				.target = w[0],
				.format = w[1],
				.bind = w[2],
				.width = w[3],
				.height = w[4],
				.depth = w[5],
				.array_size = w[6],
				.last_level = w[7],
				.nr_samples = w[8],
				.flags = w[9],
			},
	};
	s->creates = true;
	return 0;
}

static int check_command(struct virgl_stream *s, uint32_t header, const uint32_t *w, size_t length)
{
	if (length == 0)
		return 0;
	switch (header & 0xff) {
	case VIRGL_CCMD_CREATE_SUB_CTX:
		return create_sub_context(s, w[0]);
	case VIRGL_CCMD_SET_SUB_CTX:
		set_sub_context(s, w[0]);
		return 0;
	case VIRGL_CCMD_DESTROY_SUB_CTX:
		destroy_sub_context(s, w[0]);
		s->handles = true;
		return 0;
	case VIRGL_CCMD_DESTROY_OBJECT:
		s->handles = true;
		return 0;
	case VIRGL_CCMD_CREATE_OBJECT:
		s->handles = true;
		s->queries |= (header >> 8 & 0xff) == VIRGL_OBJECT_QUERY;
		return (header >> 8 & 0xff) == VIRGL_OBJECT_SHADER ? create_shader(s, w, length) : 0;
	case VIRGL_CCMD_BIND_SHADER:
		return is_partial(s, w[0]) ? -EINVAL : 0;
	case VIRGL_CCMD_LINK_SHADER:
		for (size_t i = 0; i < length; i++)
			if (is_partial(s, w[i]))
				return -EINVAL;
		return 0;
	case VIRGL_CCMD_PIPE_RESOURCE_CREATE:
		return create_object(s, w, length);
	case VIRGL_CCMD_TRANSFER3D:
		s->reads |= length >= VIRGL_WORDS_TRANSFER3D && w[12] == VIRGL_TRANSFER_FROM_HOST;
		return 0;
	case VIRGL_CCMD_COPY_TRANSFER3D:
		s->reads |= length >= VIRGL_WORDS_COPY_TRANSFER3D && w[13] & VIRGL_COPY_TRANSFER_FROM_HOST;
		return 0;
	default:
		return 0;
	}
}

void virgl_stream_follow(struct virgl_stream *s, uint32_t header, const uint32_t *w, size_t length)
{
	const uint32_t command = header & 0xff;

	if (command == VIRGL_CCMD_CREATE_SUB_CTX || command == VIRGL_CCMD_SET_SUB_CTX || command == VIRGL_CCMD_DESTROY_SUB_CTX)
		check_command(s, header, w, length);
}

int virgl_stream_check(struct virgl_stream *s, const uint32_t *words, size_t count)
{
	struct virgl_stream now = *s;

	now.reads = now.creates = now.queries = now.handles = false;
	for (size_t at = 0; at < count;) {
		size_t length = words[at] >> 16;
		int err;

		if (length > count - at - 1)
			return -EINVAL;
		err = check_command(&now, words[at], words + at + 1, length);
		if (err < 0)
			return err;
		at += 1 + length;
	}
	*s = now;
	return 0;
}

size_t virgl_stream_piece(const uint32_t *words, size_t count, size_t least)
{
	size_t piece = 0;

	while (piece < count && piece < least)
		piece += 1 + (words[piece] >> 16);
	return piece;
}

int virgl_stream_take(struct virgl_stream *s, uint64_t blob_id, struct gpu_resource_shape *out)
{
	unsigned i = find_object(s, blob_id);

	if (i == s->object_count)
		return -ENOENT;
	*out = s->objects[i].shape;
	s->object_count--;
	memmove(&s->objects[i], &s->objects[i + 1], (s->object_count - i) * sizeof(s->objects[i]));
	return 0;
}

void virgl_stream_hide(uint32_t *words, size_t count)
{
	for (size_t at = 0; at < count; at += 1 + (words[at] >> 16)) {
		if ((words[at] & 0xff) == VIRGL_CCMD_PIPE_RESOURCE_CREATE)
			words[at] = VIRGL_HEADER(VIRGL_CCMD_NOP, 0, words[at] >> 16);
	}
}
