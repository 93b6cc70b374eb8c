/* SPDX-License-Identifier: MIT */
/*
 * What virgl contexts hold, kept as records of the journal (record.h) so that a new process can make them again: their
 * sub-contexts, in each of them the create command of every live object and the last of every state command, and
 * which queries are wanted. Draws are not kept; they only say which resources have content that is on the GPU alone
 * (content.h).
 *
 * Commands are kept as they came, so what comes out is a stream as a driver writes it; references to what is gone by then
 * (a destroyed view that is still bound) are taken out of it. Not kept: results of queries (they are 0), video codecs,
 * debug flags.
 *
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_VIRGL_STATE_H
#define MULLION_HOST_GPU_VIRGL_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "host/gpu/record.h"
#include "host/gpu/virgl_stream.h"

/* Types of records, with their keys; payloads are whole commands. All come from the guest. */
enum virgl_record {
	VIRGL_RECORD_TOO_LARGE = GPU_RECORD_VIRGL, /* context; nothing else of it is kept */
	VIRGL_RECORD_IN_PART,			   /* context; of its last submission not all is kept */
	VIRGL_RECORD_RESOURCE_TYPE,		   /* context, resource */
	VIRGL_RECORD_WAITING, /* context, blob_id; PIPE_RESOURCE_CREATE without a resource so far */
	VIRGL_RECORD_CURRENT, /* context; SET_SUB_CTX */
	/* From here on all belong to a sub-context, which is their second id; 0 is the one every context starts with. */
	VIRGL_RECORD_SUB_CONTEXT, /* CREATE_SUB_CTX */
	VIRGL_RECORD_OBJECT,	  /* handle; all parts of a long shader, one after the other */
	VIRGL_RECORD_STATE,	  /* a number that says which state: virgl_state.c */
	VIRGL_RECORD_QUERY_ON,	  /* handle; BEGIN_QUERY */
	VIRGL_RECORD_QUERY_ASKED, /* handle; GET_QUERY_RESULT */
	VIRGL_RECORD_LAST,
};

struct gpu_content;
struct journal;
struct virgl_state;

int virgl_state_create(struct journal *j, struct gpu_content *content, struct virgl_state **out);
void virgl_state_destroy(struct virgl_state *s); /* NULL is fine */

/*
 * Record a submission that was checked and executed. @stream: as it was before virgl_stream_check(), is changed. A context
 * that does not fit in the journal is not kept from then on; virgl_state_build() says so.
 */
void virgl_state_record(struct virgl_state *s, uint32_t ctx_id, struct virgl_stream *stream, const uint32_t *words,
			size_t count);

/* An object of PIPE_RESOURCE_CREATE has its resource. */
void virgl_state_taken(struct virgl_state *s, uint32_t ctx_id, uint32_t blob_id);

/*
 * Take out of a submission what is neither kept nor an upload: what draws, computes or reads. Returns how many words are
 * left. It needn't have been checked: where it makes no sense it is left as it is.
 */
size_t virgl_state_without_draws(uint32_t *words, size_t count);

/*
 * The stream that makes what journal_next() of @j has of the context, in *words (from malloc(); NULL if there is nothing).
 * Which resources are attached to it is asked of journal_has(). Returns 0, -ENOMEM, -ENODATA when the context was too large to be kept or a
 * submission was kept in part, -EINVAL when a record makes no sense.
 */
int virgl_state_build(struct journal *j, uint32_t ctx_id, uint32_t **words, size_t *count);

#endif
