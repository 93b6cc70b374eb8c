// SPDX-License-Identifier: MIT
#include "host/gpu/virgl_queries.h"

#include <stdlib.h>

#include "host/base/log.h"
#include "host/gpu/renderer.h"
#include "host/gpu/virgl_state.h"
#include "host/gpu/virgl_stream.h"
#include "host/virtio/journal.h"
#include "protocol/virgl.h"

struct virgl_query {
	uint32_t handle, resource;
};

static void add(struct virgl_queries *q, uint32_t handle, uint32_t resource)
{
	if (!q->ring)
		q->ring = calloc(VIRGL_QUERIES, sizeof(*q->ring));
	if (q->ring)
		q->ring[q->made++ % VIRGL_QUERIES] = (struct virgl_query){handle, resource};
}

/* A handle may be used again: the newest counts. */
static void give(const struct virgl_queries *q, const struct renderer_config *config, uint32_t ctx_id, uint32_t handle)
{
	const uint32_t count = q->made < VIRGL_QUERIES ? q->made : VIRGL_QUERIES;

	if (!q->ring)
		return;
	for (uint32_t i = 1; i <= count; i++) {
		const struct virgl_query *query = &q->ring[(q->made - i) % VIRGL_QUERIES];

		if (query->handle != handle)
			continue;
		config->query_lost(config->owner, ctx_id, query->resource);
		return;
	}
}

/*
 * Number @first of all that were made, and those after it, each under a key that the one after VIRGL_QUERIES more takes over:
 * what is not in the ring any more is not put first.
 */
static void keep(const struct virgl_queries *q, const struct renderer_config *config, uint32_t ctx_id, uint32_t first)
{
	bool fits = true;

	if (!config->journal || !q->ring)
		return;
	if (q->made - first > VIRGL_QUERIES)
		first = q->made - VIRGL_QUERIES;
	for (uint32_t i = first; i != q->made; i++) {
		const struct virgl_query *query = &q->ring[i % VIRGL_QUERIES];
		const struct journal_key key = {VIRGL_RECORD_OBJECT, {ctx_id, 0, i % VIRGL_QUERIES}};
		const uint32_t command[1 + VIRGL_WORDS_CREATE_QUERY] = {
			VIRGL_HEADER(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_QUERY, VIRGL_WORDS_CREATE_QUERY),
			query->handle, 0, 0, query->resource};

		/* Nobody's, or before the first that was restored. */
		if (query->resource != 0 && journal_put(config->journal, &key, command, sizeof(command)) < 0)
			fits = false;
	}
	if (!fits)
		log_guest(LOG_TOPIC_GPU, config->log_limit,
			  "context %u, which is lost: its queries do not all fit in the journal; after another death who "
			  "waits for one waits for ever",
			  ctx_id);
}

/* Call for every whole command. */
static void note(struct virgl_queries *q, const uint32_t *command)
{
	if ((*command & 0xff) == VIRGL_CCMD_CREATE_OBJECT && (*command >> 8 & 0xff) == VIRGL_OBJECT_QUERY &&
	    *command >> 16 >= VIRGL_WORDS_CREATE_QUERY)
		add(q, command[1], command[4]);
}

static bool is_whole(const uint32_t *words, size_t at, size_t count)
{
	return at < count && words[at] >> 16 < count - at;
}

static void note_all(struct virgl_queries *q, const uint32_t *words, size_t count)
{
	for (size_t at = 0; is_whole(words, at, count); at += 1 + (words[at] >> 16))
		note(q, words + at);
}

static void refused(struct virgl_queries *q, const struct renderer_config *config, uint32_t ctx_id,
		    const uint32_t *words, size_t count)
{
	const uint32_t before = q->made;
	/* No more are known, and each is looked for one by one. */
	uint32_t left = VIRGL_QUERIES;

	for (size_t at = 0; is_whole(words, at, count); at += 1 + (words[at] >> 16)) {
		note(q, words + at);
		if ((words[at] & 0xff) == VIRGL_CCMD_GET_QUERY_RESULT && words[at] >> 16 > 0 && left > 0) {
			give(q, config, ctx_id, words[at + 1]);
			left--;
		}
	}
	if (q->lost)
		keep(q, config, ctx_id, before);
}

void virgl_queries_follow(struct virgl_queries *q, const struct renderer_config *config, uint32_t ctx_id,
			  const struct virgl_stream *stream, int err, const uint32_t *words, size_t count)
{
	if (err < 0)
		refused(q, config, ctx_id, words, count);
	else if (stream->queries)
		note_all(q, words, count);
}

/* The handle is one of the sub-context's, which the ring does not tell from another's; and the record is there. */
static void give_asked(const struct renderer_config *config, uint32_t ctx_id, const struct journal_key *asked)
{
	const struct journal_key key = {VIRGL_RECORD_OBJECT, {ctx_id, asked->id[1], asked->id[2]}};
	size_t bytes;
	const uint32_t *command = journal_get(config->journal, &key, &bytes);

	if (command && bytes >= (1 + VIRGL_WORDS_CREATE_QUERY) * sizeof(*command) &&
	    (*command >> 8 & 0xff) == VIRGL_OBJECT_QUERY)
		config->query_lost(config->owner, ctx_id, command[4]);
}

void virgl_queries_restore(struct virgl_queries *q, const struct renderer_config *config, uint32_t ctx_id)
{
	struct journal_key key;
	const void *payload;
	size_t at = 0, bytes;

	while (config->journal && journal_next(config->journal, &at, &key, &payload, &bytes)) {
		if (key.type == VIRGL_RECORD_QUERY_ASKED && key.id[0] == ctx_id)
			give_asked(config, ctx_id, &key);
		if (key.type != VIRGL_RECORD_OBJECT || key.id[0] != ctx_id)
			continue;
		/* Those of a lost one have their keys again, and are there even if there is no room to put them once more. */
		if (!q->ring)
			q->made = key.id[2] % VIRGL_QUERIES;
		note_all(q, payload, bytes / sizeof(uint32_t));
	}
}

void virgl_queries_lose(struct virgl_queries *q, const struct renderer_config *config, uint32_t ctx_id)
{
	struct journal_key key;
	const void *payload;
	size_t at = 0, bytes;

	if (!q->ring)
		virgl_queries_restore(q, config, ctx_id);
	while (config->journal && journal_next(config->journal, &at, &key, &payload, &bytes)) {
		if (key.type == VIRGL_RECORD_QUERY_ASKED && key.id[0] == ctx_id)
			give(q, config, ctx_id, key.id[2]);
	}
	q->lost = true;
	keep(q, config, ctx_id, 0);
}

void virgl_queries_finish(struct virgl_queries *q)
{
	free(q->ring);
	*q = (struct virgl_queries){0};
}
