/* SPDX-License-Identifier: MIT */
/*
 * The guest's rendering contexts: their ids and which capset each speaks. The renderer keeps the rest.
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_CONTEXT_H
#define MULLION_HOST_GPU_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

struct gpu_context {
	uint32_t id; /* the guest's, never 0 */
	uint32_t capset_id;
	bool lost; /* a process died over it: what it holds is not known */
	char name[64];
	struct gpu_context *next; /* private to context.c */
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

#endif
