// SPDX-License-Identifier: MIT
#include "host/gpu/context.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 64u

struct gpu_context_table {
	uint32_t limit, count;
	struct gpu_context *buckets[BUCKETS];
};

int gpu_context_table_create(uint32_t limit, struct gpu_context_table **out)
{
	struct gpu_context_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->limit = limit;
	*out = t;
	return 0;
}

void gpu_context_table_destroy(struct gpu_context_table *t)
{
	if (!t)
		return;
	assert(t->count == 0);
	free(t);
}

int gpu_context_add(struct gpu_context_table *t, uint32_t id, struct gpu_context **out)
{
	struct gpu_context *ctx;

	if (id == 0)
		return -EINVAL;
	if (gpu_context_find(t, id))
		return -EEXIST;
	if (t->count >= t->limit)
		return -ENOSPC;
	ctx = calloc(1, sizeof(*ctx));
	if (!ctx)
		return -ENOMEM;
	ctx->id = id;
	ctx->next = t->buckets[id % BUCKETS];
	t->buckets[id % BUCKETS] = ctx;
	t->count++;
	*out = ctx;
	return 0;
}

struct gpu_context *gpu_context_find(const struct gpu_context_table *t, uint32_t id)
{
	struct gpu_context *ctx = t->buckets[id % BUCKETS];

	while (ctx && ctx->id != id)
		ctx = ctx->next;
	return ctx;
}

void gpu_context_remove(struct gpu_context_table *t, struct gpu_context *ctx)
{
	struct gpu_context **link = &t->buckets[ctx->id % BUCKETS];

	while (*link && *link != ctx)
		link = &(*link)->next;
	assert(*link);
	*link = ctx->next;
	t->count--;
	free(ctx->attached);
	free(ctx);
}

/* Where @id is among the attached, or would be. */
static unsigned place_of(const struct gpu_context *ctx, uint32_t id)
{
	unsigned first = 0, end = ctx->attached_count;

	while (first < end) {
		const unsigned middle = first + (end - first) / 2;

		if (ctx->attached[middle] < id)
			first = middle + 1;
		else
			end = middle;
	}
	return first;
}

static bool is_at(const struct gpu_context *ctx, unsigned at, uint32_t id)
{
	return at < ctx->attached_count && ctx->attached[at] == id;
}

bool gpu_context_has(const struct gpu_context *ctx, uint32_t id)
{
	return is_at(ctx, place_of(ctx, id), id);
}

unsigned gpu_context_attachments(const struct gpu_context *ctx)
{
	return ctx->attached_count;
}

int gpu_context_attach(struct gpu_context *ctx, uint32_t id)
{
	const unsigned at = place_of(ctx, id);

	if (is_at(ctx, at, id))
		return 0;
	if (ctx->attached_count == ctx->attached_room) {
		const unsigned room = ctx->attached_room ? 2 * ctx->attached_room : 16;
		uint32_t *larger = realloc(ctx->attached, room * sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		ctx->attached = larger;
		ctx->attached_room = room;
	}
	memmove(&ctx->attached[at + 1], &ctx->attached[at], (ctx->attached_count - at) * sizeof(*ctx->attached));
	ctx->attached[at] = id;
	ctx->attached_count++;
	return 0;
}

bool gpu_context_detach(struct gpu_context *ctx, uint32_t id)
{
	const unsigned at = place_of(ctx, id);

	if (!is_at(ctx, at, id))
		return false;
	ctx->attached_count--;
	memmove(&ctx->attached[at], &ctx->attached[at + 1], (ctx->attached_count - at) * sizeof(*ctx->attached));
	return true;
}

static struct gpu_context *first_from(const struct gpu_context_table *t, unsigned bucket)
{
	for (; bucket < BUCKETS; bucket++) {
		if (t->buckets[bucket])
			return t->buckets[bucket];
	}
	return NULL;
}

struct gpu_context *gpu_context_first(const struct gpu_context_table *t)
{
	return first_from(t, 0);
}

struct gpu_context *gpu_context_next(const struct gpu_context_table *t, const struct gpu_context *ctx)
{
	return ctx->next ? ctx->next : first_from(t, ctx->id % BUCKETS + 1);
}
