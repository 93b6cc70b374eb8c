/* SPDX-License-Identifier: MIT */
/*
 * Fenced requests that wait for the renderer: one timeline per (context, ring index), completed in ring order.
 *
 * The guest's fence ids are only echoed in answers; they order nothing here, because a hostile or restarted guest
 * may repeat or decrease them. What orders is our own number, which grows over all timelines and never starts
 * again: after a reset every new fence has a number above all older ones, so a callback that comes too late names
 * nothing that waits.
 *
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_FENCE_H
#define MULLION_HOST_GPU_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/gpu/renderer.h"

struct chain;
struct gpu_fences;

int gpu_fences_create(struct gpu_fences **out);
/* Nothing may wait any more: see gpu_fences_reset(). NULL is fine. */
void gpu_fences_destroy(struct gpu_fences *f);

/* Requests waiting on @timeline, or on all (NULL). */
unsigned gpu_fences_waiting(const struct gpu_fences *f, const struct renderer_timeline *timeline);

/* A new number, above all that were given out. */
uint64_t gpu_fences_next(struct gpu_fences *f);

/*
 * Keep @c, whose answer is already written, until gpu_fences_done() reaches @seq (the newest of gpu_fences_next()).
 * The request joins the end of @timeline. Returns 0, or -ENOMEM and the chain is still the caller's.
 */
int gpu_fences_hold(struct gpu_fences *f, const struct renderer_timeline *timeline, struct chain *c, uint64_t seq);

/*
 * As gpu_fences_hold(), for a request of which nothing needs to be waited for itself (it failed, or is done): it is done
 * with the request before it. If there is none, the chain is finished at once. Returns as gpu_fences_hold().
 */
int gpu_fences_follow(struct gpu_fences *f, const struct renderer_timeline *timeline, struct chain *c);

/* Everything on @timeline up to and including @seq is done: finish those chains, oldest first. */
void gpu_fences_done(struct gpu_fences *f, const struct renderer_timeline *timeline, uint64_t seq);

/* Context @ctx_id is gone: what waits on its rings is finished. */
void gpu_fences_end_context(struct gpu_fences *f, uint32_t ctx_id);

/* Finish everything. */
void gpu_fences_reset(struct gpu_fences *f);

#endif
