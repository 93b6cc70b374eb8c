/* SPDX-License-Identifier: MIT */
/*
 * The guest's rendering contexts: their ids and which capset each speaks. The renderer keeps the rest.
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_CONTEXT_H
#define MULLION_HOST_GPU_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * So many processes may die over a context, one after the other, before it is lost: a program that kills each of them would
 * else take 3D from all (keeper.h: max_deaths). One would do for that, but a driver's crash can't be told from anything
 * else that ends a process, and a program that has done nothing wrong should live on. A context has got on
 * after so many submissions, not after one: programs make several for a frame, of which one may be the deadly one.
 */
#define GPU_CONTEXT_DEATHS 3u
#define GPU_CONTEXT_GOT_ON 4u

/* What one attached resource takes of the host's memory, here and in the renderer: any may be attached to each context. */
#define GPU_ATTACHMENT_BYTES 128u

struct gpu_context {
	uint32_t id; /* the guest's, never 0 */
	uint32_t capset_id;
	bool lost;	 /* what it holds is not known */
	uint32_t deaths; /* of processes that were at work on it, since it last got on */
	unsigned done;	 /* submissions since the last of them */
	char name[64];
	/* Private to context.c. */
	uint32_t *attached; /* ids of resources, in order */
	unsigned attached_count, attached_room;
	struct gpu_context *next;
};

struct gpu_context_table;

int gpu_context_table_create(uint32_t limit, struct gpu_context_table **out);
/* The table must be empty. NULL is fine. */
void gpu_context_table_destroy(struct gpu_context_table *t);

/* Returns 0, -EEXIST (id taken), -EINVAL (id 0), -ENOSPC (the limit), -ENOMEM. */
int gpu_context_add(struct gpu_context_table *t, uint32_t id, struct gpu_context **out);
struct gpu_context *gpu_context_find(const struct gpu_context_table *t, uint32_t id);
void gpu_context_remove(struct gpu_context_table *t, struct gpu_context *ctx);
/* Any context, or NULL when there is none. */
struct gpu_context *gpu_context_first(const struct gpu_context_table *t);
/* The one after @ctx, in no order that means anything, or NULL. */
struct gpu_context *gpu_context_next(const struct gpu_context_table *t, const struct gpu_context *ctx);

/* Resource @id is attached to it from now on. Returns 0, also if it was before, or -ENOMEM. */
int gpu_context_attach(struct gpu_context *ctx, uint32_t id);
/* Not any more. Returns whether it was. */
bool gpu_context_detach(struct gpu_context *ctx, uint32_t id);
bool gpu_context_has(const struct gpu_context *ctx, uint32_t id);
/* How many are. */
unsigned gpu_context_attachments(const struct gpu_context *ctx);

#endif
