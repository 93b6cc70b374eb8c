/* SPDX-License-Identifier: MIT */
/*
 * Fences of the virgl renderer. virglrenderer retires fences in the order in which they were made, whatever context
 * they belong to, from a thread of its own that waits for the GPU. So one queue here holds what is waited for, on
 * whichever timeline, and the library's fence is a 32-bit number of that queue.
 *
 * The library's per-context fences are not used: it has ring 0 only, and destroying a context while its fence is
 * being retired lets the thread use freed memory (0.10.4).
 *
 * Thread: the gpu loop, but for virgl_fences_retired().
 */
#ifndef MULLION_HOST_GPU_VIRGL_FENCES_H
#define MULLION_HOST_GPU_VIRGL_FENCES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/base/loop.h"
#include "host/gpu/renderer.h"

struct virgl_fence;

/* Private; embedded in the renderer. */
struct virgl_fences {
	const struct renderer_config *config;
	void (*enter)(void *owner); /* makes the library's context current */
	void *owner;
	struct virgl_fence *ring; /* oldest at head; @capacity is a power of 2 */
	uint32_t capacity, head, tail;
	uint32_t last_id;
	atomic_uint retired;	 /* the newest id that the library reported */
	atomic_bool woken;	 /* wake was written and not read yet */
	struct loop_fd wake;	 /* an eventfd: unlike a posted task it can be taken back */
	struct loop_fd poll;	 /* the library wants virgl_renderer_poll() */
	struct loop_timer timer; /* instead, where it has no such descriptor */
	bool software;		 /* the CPU draws */
	unsigned unlooked;	 /* then: so many fences are left to the library, as one took long */
	unsigned back_off;	 /* what that was set to last */
	bool has_wake, has_poll;
	bool paused;
};

/* Before virgl_renderer_init(). @config and @enter are used later. @software: the CPU draws. Returns 0 or a negative errno. */
int virgl_fences_init(struct virgl_fences *f, const struct renderer_config *config, bool software,
		      void (*enter)(void *owner), void *owner);
/* After it: watch what the library offers. Returns 0 or a negative errno. */
int virgl_fences_start(struct virgl_fences *f);
/* Stop watching; then free. Zeroed storage is fine. The library must not call virgl_fences_retired() after finish. */
void virgl_fences_stop(struct virgl_fences *f);
void virgl_fences_finish(struct virgl_fences *f);

/* As renderer_ops.create_fence. @ask: what was done last waited for the GPU, so that it may be done with all. */
int virgl_fences_add(struct virgl_fences *f, const struct renderer_timeline *timeline, uint64_t seq, bool ask);
/* A context was destroyed. */
void virgl_fences_context_gone(struct virgl_fences *f);
/* Forget what is waited for. */
void virgl_fences_forget(struct virgl_fences *f);
/* As renderer_ops.pause. */
void virgl_fences_pause(struct virgl_fences *f, bool paused);
/* Wait until the library waits for nothing any more. False when the GPU does not finish in 5 s. */
bool virgl_fences_drain(struct virgl_fences *f);

/* The library's write_fence callback. Never blocks, never allocates. Thread: any one. */
void virgl_fences_retired(struct virgl_fences *f, uint32_t id);

#endif
