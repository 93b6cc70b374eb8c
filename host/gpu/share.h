/* SPDX-License-Identifier: MIT */
/*
 * A guest's share of the renderer: the part of all time in which its commands may execute or its fences be waited for. One
 * that would use more waits, its requests in the ring, so that work without end leaves the rest of the time to other guests.
 * What one command takes is never cut; it is paid back before the next begins.
 *
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_SHARE_H
#define MULLION_HOST_GPU_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/base/loop.h"

#define GPU_SHARE_MIN 5u /* percent */

struct gpu_share {
	struct loop *loop;
	unsigned percent;
	bool busy;	    /* since the last reckoning */
	uint64_t last_ns;   /* when that was */
	int64_t credit_ns;  /* of busy time; below 0: it waits */
	struct loop_timer timer;
	void (*resume)(void *owner); /* it may go on */
	void *owner;
};

/* @percent: GPU_SHARE_MIN to 100; 100: there is no limit, and all that follows does nothing. */
void gpu_share_init(struct gpu_share *s, struct loop *loop, unsigned percent, void (*resume)(void *owner), void *owner);
/* @resume is not called any more. */
void gpu_share_finish(struct gpu_share *s);

/* The guest's work begins to be, or is no longer, under way. */
void gpu_share_set_busy(struct gpu_share *s, bool busy);

/* The share is used up: take nothing more; @resume will be called. False without a limit. */
bool gpu_share_is_spent(struct gpu_share *s);

static inline bool gpu_share_is_limited(const struct gpu_share *s)
{
	return s->percent < 100;
}

#endif
