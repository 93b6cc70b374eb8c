// SPDX-License-Identifier: MIT
/*
 * From records to a stream. The order is: sub-contexts by number; in each its objects, then its states, both in the order
 * in which they came, then its queries. Objects refer to resources only, states to objects and resources.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host/gpu/virgl_state.h"
#include "host/virtio/journal.h"
#include "protocol/virgl.h"

struct piece {
	uint16_t type; /* enum virgl_record */
	uint32_t sub, third;
	size_t sequence;
	const uint32_t *words;
	size_t count;
};

struct rebuild {
	struct journal *journal;
	uint32_t ctx_id;
	struct piece *pieces;
	size_t piece_count, piece_capacity;
	uint32_t *words;
	size_t count, capacity;
	/* Handles of the sub-context at hand, in order. */
	uint32_t *handles;
	size_t handle_count;
};

/* What a state's words refer to: from @first on, @step apart (0: one). */
struct references {
	enum { NOTHING, OBJECTS, RESOURCES } to;
	uint8_t first, step;
	bool all; /* without one of them the command is left out; else that one is 0 */
};

static const struct references references[] = {
	[VIRGL_CCMD_BIND_OBJECT] = {OBJECTS, 0, 0, false},
	[VIRGL_CCMD_SET_FRAMEBUFFER_STATE] = {OBJECTS, 1, 1, false},
	[VIRGL_CCMD_SET_VERTEX_BUFFERS] = {RESOURCES, 2, 3, false},
	[VIRGL_CCMD_SET_SAMPLER_VIEWS] = {OBJECTS, 2, 1, false},
	[VIRGL_CCMD_SET_INDEX_BUFFER] = {RESOURCES, 0, 0, true},
	[VIRGL_CCMD_BIND_SAMPLER_STATES] = {OBJECTS, 2, 1, false},
	[VIRGL_CCMD_SET_STREAMOUT_TARGETS] = {OBJECTS, 1, 1, true},
	[VIRGL_CCMD_SET_RENDER_CONDITION] = {OBJECTS, 0, 0, true},
	[VIRGL_CCMD_SET_UNIFORM_BUFFER] = {RESOURCES, 4, 0, false},
	[VIRGL_CCMD_BIND_SHADER] = {OBJECTS, 0, 0, false},
	[VIRGL_CCMD_SET_SHADER_BUFFERS] = {RESOURCES, 4, 3, false},
	[VIRGL_CCMD_SET_SHADER_IMAGES] = {RESOURCES, 6, 5, false},
	[VIRGL_CCMD_SET_ATOMIC_BUFFERS] = {RESOURCES, 3, 3, false},
};

/* Which word of a create command names a resource; 0: none. The header is word 0. */
static const uint8_t object_resource[] = {
	[VIRGL_OBJECT_SAMPLER_VIEW] = 2,     [VIRGL_OBJECT_SURFACE] = 2,      [VIRGL_OBJECT_QUERY] = 4,
	[VIRGL_OBJECT_STREAMOUT_TARGET] = 2, [VIRGL_OBJECT_MSAA_SURFACE] = 2,
};

/* ---- the words ---- */

static int add(struct rebuild *r, const uint32_t *words, size_t count)
{
	if (!count)
		return 0;
	if (r->count + count > r->capacity) {
		size_t capacity = 2 * (r->count + count) + 256;
		uint32_t *larger = realloc(r->words, capacity * sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		r->words = larger;
		r->capacity = capacity;
	}
	memcpy(r->words + r->count, words, count * sizeof(*words));
	r->count += count;
	return 0;
}

static int add_one(struct rebuild *r, uint32_t command, uint32_t word)
{
	const uint32_t words[2] = {VIRGL_HEADER(command, 0, 1), word};

	return add(r, words, 2);
}

static bool has_resource(const struct rebuild *r, uint32_t id)
{
	const struct journal_key key = {GPU_RECORD_ATTACHMENT, {r->ctx_id, id}};

	return journal_has(r->journal, &key);
}

static int by_number(const void *a, const void *b)
{
	const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static bool has_object(const struct rebuild *r, uint32_t handle)
{
	return r->handle_count > 0 && bsearch(&handle, r->handles, r->handle_count, sizeof(handle), by_number) != NULL;
}

/* One whole command that creates an object, or several for a long shader. */
static bool is_create(const struct piece *p)
{
	for (size_t at = 0; at < p->count; at += 1 + (p->words[at] >> 16)) {
		if ((p->words[at] & 0xff) != VIRGL_CCMD_CREATE_OBJECT || p->words[at] >> 16 == 0 ||
		    (p->words[at] >> 16) > p->count - at - 1 || p->words[at + 1] != p->third ||
		    (at > 0 && (p->words[at] >> 8 & 0xff) != VIRGL_OBJECT_SHADER))
			return false;
	}
	return p->count > 0;
}

static int add_object(struct rebuild *r, const struct piece *p)
{
	const uint32_t type = p->count ? p->words[0] >> 8 & 0xff : 0;
	uint32_t at;

	if (!is_create(p))
		return -EINVAL;
	at = type < sizeof(object_resource) ? object_resource[type] : 0;
	/* Its resource is gone: nobody has a name for what it holds any more. */
	if (at != 0 && (at >= p->count || !has_resource(r, p->words[at])))
		return 0;
	r->handles[r->handle_count++] = p->third;
	return add(r, p->words, p->count);
}

static int add_state(struct rebuild *r, const struct piece *p)
{
	const uint32_t command = p->count ? p->words[0] & 0xff : 0;
	const struct references *ref;
	const size_t start = r->count;
	int err;

	if (p->count == 0 || p->count != 1 + (p->words[0] >> 16))
		return -EINVAL;
	err = add(r, p->words, p->count);
	if (err < 0 || command >= sizeof(references) / sizeof(references[0]) || references[command].to == NOTHING)
		return err;
	ref = &references[command];
	for (size_t i = 1 + ref->first; i < p->count; i += ref->step ? ref->step : p->count) {
		uint32_t *id = &r->words[start + i];

		if (*id == 0 || (ref->to == OBJECTS ? has_object(r, *id) : has_resource(r, *id)))
			continue;
		if (ref->all) {
			r->count = start;
			break;
		}
		*id = 0;
	}
	return 0;
}

/*
 * One that is on goes on, with what is counted from here. One whose result was asked for was done: that it was ever begun
 * is what conditional rendering asks of it. The result is not asked for again: see virgl_queries_restore().
 */
static int add_query(struct rebuild *r, const struct piece *p)
{
	int err;

	if (!has_object(r, p->third))
		return 0;
	if (p->count == 0 || p->count != 1 + (p->words[0] >> 16))
		return -EINVAL;
	if (p->type == VIRGL_RECORD_QUERY_ON)
		return add(r, p->words, p->count);
	err = add_one(r, VIRGL_CCMD_BEGIN_QUERY, p->third);
	return err < 0 ? err : add_one(r, VIRGL_CCMD_END_QUERY, p->third);
}

/* ---- the pieces ---- */

static int by_order(const void *a, const void *b)
{
	const struct piece *left = a, *right = b;

	if (left->sub != right->sub)
		return left->sub < right->sub ? -1 : 1;
	/* A query that is on and one that is asked for: asked for first, as GL has one on at a time. */
	if (left->type != right->type) {
		const bool queries = left->type >= VIRGL_RECORD_QUERY_ON && right->type >= VIRGL_RECORD_QUERY_ON;

		return (left->type < right->type) != queries ? -1 : 1;
	}
	return left->sequence < right->sequence ? -1 : 1;
}

static int collect(struct rebuild *r, uint32_t *current)
{
	struct journal_key key;
	const void *payload;
	size_t at = 0, bytes;
	int err;

	while (journal_next(r->journal, &at, &key, &payload, &bytes)) {
		const uint32_t *words = payload;

		if (key.type < GPU_RECORD_VIRGL || key.id[0] != r->ctx_id)
			continue;
		if (key.type == VIRGL_RECORD_TOO_LARGE || key.type == VIRGL_RECORD_IN_PART)
			return -ENODATA;
		if (bytes % sizeof(*words) != 0 || bytes < 2 * sizeof(*words) || key.type >= VIRGL_RECORD_LAST)
			return -EINVAL;
		if (key.type == VIRGL_RECORD_CURRENT) {
			*current = words[1];
			continue;
		}
		if (key.type == VIRGL_RECORD_RESOURCE_TYPE) {
			if (bytes / sizeof(*words) != 1 + (words[0] >> 16))
				return -EINVAL;
			if (!has_resource(r, key.id[1]))
				continue;
			err = add(r, words, bytes / sizeof(*words));
			if (err < 0)
				return err;
			continue;
		}
		if (key.type == VIRGL_RECORD_WAITING) {
			if ((words[0] & 0xff) != VIRGL_CCMD_PIPE_RESOURCE_CREATE ||
			    bytes / sizeof(*words) != 1 + (words[0] >> 16))
				return -EINVAL;
			err = add(r, words, bytes / sizeof(*words));
			if (err < 0)
				return err;
			continue;
		}
		if (r->piece_count == r->piece_capacity) {
			size_t capacity = r->piece_capacity ? 2 * r->piece_capacity : 256;
			struct piece *larger = realloc(r->pieces, capacity * sizeof(*larger));

			if (!larger)
				return -ENOMEM;
			r->pieces = larger;
			r->piece_capacity = capacity;
		}
		r->pieces[r->piece_count++] =
			(struct piece){key.type, key.id[1], key.id[2], at, words, bytes / sizeof(*words)};
	}
	return 0;
}

static int add_piece(struct rebuild *r, const struct piece *p)
{
	switch (p->type) {
	case VIRGL_RECORD_OBJECT:
		return add_object(r, p);
	case VIRGL_RECORD_STATE:
		return add_state(r, p);
	case VIRGL_RECORD_QUERY_ON:
	case VIRGL_RECORD_QUERY_ASKED:
		return add_query(r, p);
	default:
		return 0;
	}
}

static int add_pieces(struct rebuild *r)
{
	int err = 0;

	for (size_t i = 0; i < r->piece_count && err == 0; i++) {
		const struct piece *p = &r->pieces[i];

		if (i == 0 || p->sub != p[-1].sub) {
			r->handle_count = 0;
			/* Each but the first one was created. */
			if (p->sub != 0 && p->type != VIRGL_RECORD_SUB_CONTEXT)
				return -EINVAL;
			if (p->sub != 0)
				err = add_one(r, VIRGL_CCMD_CREATE_SUB_CTX, p->sub);
			if (err == 0)
				err = add_one(r, VIRGL_CCMD_SET_SUB_CTX, p->sub);
		}
		/* All objects are there. */
		if (i > 0 && p->type != VIRGL_RECORD_OBJECT && p[-1].type == VIRGL_RECORD_OBJECT)
			qsort(r->handles, r->handle_count, sizeof(*r->handles), by_number);
		if (err == 0)
			err = add_piece(r, p);
	}
	return err;
}

int virgl_state_build(struct journal *j, uint32_t ctx_id, uint32_t **words, size_t *count)
{
	struct rebuild r = {.journal = j, .ctx_id = ctx_id};
	uint32_t current = 0;
	int err = collect(&r, &current);

	if (err == 0 && r.piece_count > 0) {
		r.handles = malloc(r.piece_count * sizeof(*r.handles));
		if (!r.handles)
			err = -ENOMEM;
		else
			qsort(r.pieces, r.piece_count, sizeof(*r.pieces), by_order);
	}
	if (err == 0)
		err = add_pieces(&r);
	if (err == 0 && r.piece_count > 0)
		err = add_one(&r, VIRGL_CCMD_SET_SUB_CTX, current);
	free(r.handles);
	free(r.pieces);
	if (err < 0) {
		free(r.words);
		return err;
	}
	*words = r.words;
	*count = r.count;
	return 0;
}
