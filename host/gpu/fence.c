// SPDX-License-Identifier: MIT
#include "host/gpu/fence.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "host/virtio/chain.h"

#define BUCKETS 128u

struct waiting {
	struct waiting *next;
	struct chain *chain;
	uint64_t seq;
};

/* Exists only while something waits on it. */
struct timeline {
	struct timeline *next;
	struct renderer_timeline key;
	struct waiting *first, *last;
	unsigned count;
};

struct gpu_fences {
	uint64_t last_seq;
	unsigned count;
	struct timeline *buckets[BUCKETS];
};

static bool same_key(const struct renderer_timeline *a, const struct renderer_timeline *b)
{
	return a->ctx_id == b->ctx_id && a->ring_idx == b->ring_idx && a->has_ring == b->has_ring;
}

static unsigned bucket_of(const struct renderer_timeline *key)
{
	return (key->ctx_id * 67u + key->ring_idx + (key->has_ring ? 1u : 0u)) % BUCKETS;
}

/* The link that holds the timeline, so that it can be taken out; it points to NULL when there is none. */
static struct timeline **find(struct gpu_fences *f, const struct renderer_timeline *key)
{
	struct timeline **link = &f->buckets[bucket_of(key)];

	while (*link && !same_key(&(*link)->key, key))
		link = &(*link)->next;
	return link;
}

/* Finish what is due on *@link; takes the timeline out when it is empty then. Returns whether it did. */
static bool finish_until(struct gpu_fences *f, struct timeline **link, uint64_t seq)
{
	struct timeline *t = *link;

	while (t->first && t->first->seq <= seq) {
		struct waiting *w = t->first;

		t->first = w->next;
		t->count--;
		f->count--;
		chain_finish(w->chain);
		free(w);
	}
	if (t->first)
		return false;
	*link = t->next;
	free(t);
	return true;
}

int gpu_fences_create(struct gpu_fences **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

void gpu_fences_destroy(struct gpu_fences *f)
{
	if (!f)
		return;
	assert(f->count == 0);
	free(f);
}

unsigned gpu_fences_waiting(const struct gpu_fences *f, const struct renderer_timeline *timeline)
{
	const struct timeline *t;

	if (!timeline)
		return f->count;
	for (t = f->buckets[bucket_of(timeline)]; t; t = t->next) {
		if (same_key(&t->key, timeline))
			return t->count;
	}
	return 0;
}

static int append(struct gpu_fences *f, const struct renderer_timeline *key, struct chain *c, uint64_t seq)
{
	struct timeline **link = find(f, key);
	struct waiting *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	if (!*link) {
		*link = calloc(1, sizeof(**link));
		if (!*link) {
			free(w);
			return -ENOMEM;
		}
		(*link)->key = *key;
	}
	w->chain = c;
	w->seq = seq;
	if ((*link)->first)
		(*link)->last->next = w;
	else
		(*link)->first = w;
	(*link)->last = w;
	(*link)->count++;
	f->count++;
	return 0;
}

uint64_t gpu_fences_next(struct gpu_fences *f)
{
	return ++f->last_seq;
}

int gpu_fences_hold(struct gpu_fences *f, const struct renderer_timeline *timeline, struct chain *c, uint64_t seq)
{
	assert(seq == f->last_seq);
	return append(f, timeline, c, seq);
}

int gpu_fences_follow(struct gpu_fences *f, const struct renderer_timeline *timeline, struct chain *c)
{
	struct timeline *t = *find(f, timeline);

	if (!t) {
		chain_finish(c);
		return 0;
	}
	return append(f, timeline, c, t->last->seq);
}

void gpu_fences_done(struct gpu_fences *f, const struct renderer_timeline *timeline, uint64_t seq)
{
	struct timeline **link = find(f, timeline);

	if (*link)
		finish_until(f, link, seq);
}

void gpu_fences_end_context(struct gpu_fences *f, uint32_t ctx_id)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct timeline **link = &f->buckets[i];

		while (*link) {
			if (!(*link)->key.has_ring || (*link)->key.ctx_id != ctx_id || !finish_until(f, link, UINT64_MAX))
				link = &(*link)->next;
		}
	}
}

void gpu_fences_reset(struct gpu_fences *f)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		while (f->buckets[i])
			finish_until(f, &f->buckets[i], UINT64_MAX);
	}
	assert(f->count == 0);
}
