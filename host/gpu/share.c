// SPDX-License-Identifier: MIT
#include "host/gpu/share.h"

/* What may be used at once by a guest that was idle: about a frame, so that one that draws now and then never waits. */
#define BURST_NS 20000000
/* Work that goes on while it waits (fences) is looked at again so soon at the earliest. */
#define AGAIN_NS 1000000u

static void expired(struct loop_timer *t)
{
	struct gpu_share *s = t->owner;

	if (!gpu_share_is_spent(s))
		s->resume(s->owner);
}

void gpu_share_init(struct gpu_share *s, struct loop *loop, unsigned percent, void (*resume)(void *owner), void *owner)
{
	*s = (struct gpu_share){.loop = loop,
				.percent = percent,
				.last_ns = loop_now_ns(),
				.credit_ns = BURST_NS,
				.timer = {.expired = expired, .owner = s},
				.resume = resume,
				.owner = owner};
}

void gpu_share_finish(struct gpu_share *s)
{
	if (s->loop)
		loop_cancel_timer(s->loop, &s->timer);
}

/* Credit grows at all times, and busy time takes from it. */
static void reckon(struct gpu_share *s)
{
	const uint64_t now = loop_now_ns();
	const int64_t passed = (int64_t)(now - s->last_ns);

	s->last_ns = now;
	s->credit_ns += passed / 100 * (int64_t)s->percent;
	if (s->busy)
		s->credit_ns -= passed;
	if (s->credit_ns > BURST_NS)
		s->credit_ns = BURST_NS;
}

void gpu_share_set_busy(struct gpu_share *s, bool busy)
{
	if (!gpu_share_is_limited(s) || busy == s->busy)
		return;
	reckon(s);
	s->busy = busy;
}

bool gpu_share_is_spent(struct gpu_share *s)
{
	uint64_t wait;

	if (!gpu_share_is_limited(s))
		return false;
	reckon(s);
	if (s->credit_ns >= 0)
		return false;
	wait = (uint64_t)-s->credit_ns / s->percent * 100;
	loop_arm_timer(s->loop, &s->timer, s->last_ns + (wait < AGAIN_NS ? AGAIN_NS : wait));
	return true;
}
