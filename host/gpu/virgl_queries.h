/* SPDX-License-Identifier: MIT */
/*
 * Queries of contexts that are lost, or made again. A guest's driver that wants a result (GL_QUERY_RESULT) looks for it in
 * its memory, where the host writes it, and it looks for ever: no error answer ends that. So whoever wants the result of a
 * query that was not and will not be executed gets one: 0.
 *
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_VIRGL_QUERIES_H
#define MULLION_HOST_GPU_VIRGL_QUERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct renderer_config;
struct virgl_query;
struct virgl_stream;

/* Which of a context's queries writes where. Embedded in it; zeroed: there are none. */
struct virgl_queries {
	struct virgl_query *ring; /* the last VIRGL_QUERIES of them; NULL before the first */
	uint32_t made;
	bool lost; /* the context is, and the journal is to have them */
};

#define VIRGL_QUERIES 4096u

/*
 * A submission was executed, and virgl_stream_check() left @stream; or it failed with @err, maybe before it was checked: then the
 * results that it asks for are given, the first VIRGL_QUERIES of them.
 */
void virgl_queries_follow(struct virgl_queries *q, const struct renderer_config *config, uint32_t ctx_id,
			  const struct virgl_stream *stream, int err, const uint32_t *words, size_t count);
/*
 * Those of @ctx_id that journal_next() has. The results that were asked for and are not there are given: what the process
 * before this one had counted is not known.
 */
void virgl_queries_restore(struct virgl_queries *q, const struct renderer_config *config, uint32_t ctx_id);
/*
 * Context @ctx_id is lost: give the results that it was asked for, as journal_next() has it, and let the journal have its
 * queries. The caller commits.
 */
void virgl_queries_lose(struct virgl_queries *q, const struct renderer_config *config, uint32_t ctx_id);
void virgl_queries_finish(struct virgl_queries *q);

#endif
