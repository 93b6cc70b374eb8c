// SPDX-License-Identifier: MIT
#include "host/gpu/virgl_fences.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <epoxy/gl.h>
#include <virglrenderer.h>

#include "host/gpu/virgl_library.h"

#define DRAIN_NS 5000000000ull
/* Polling where the library has no fence thread. */
#define POLL_NS 1000000ull
/*
 * Where the CPU draws, a fence is looked for so long at once, as the library's thread and then the loop's would have to be
 * woken for it. After one that took longer some are left to the library, as frames are like those before them: 1, 3, 7, ... at
 * most so many.
 */
#define LOOK_NS 500000ull
#define MAX_UNLOOKED 63u

struct virgl_fence {
	uint32_t id; /* the library's */
	struct renderer_timeline timeline;
	uint64_t seq;
};

void virgl_fences_retired(struct virgl_fences *f, uint32_t id)
{
	/* Release: what the GPU finished before happens before the guest hears of it. */
	atomic_store_explicit(&f->retired, id, memory_order_release);
	if (!atomic_exchange(&f->woken, true))
		eventfd_write(f->wake.fd, 1);
}

static bool is_at_or_before(uint32_t id, uint32_t other)
{
	return (int32_t)(other - id) >= 0;
}

static void wake_ready(struct loop_fd *w, uint32_t events)
{
	struct virgl_fences *f = w->owner;
	eventfd_t count;
	uint32_t retired;

	(void)events;
	eventfd_read(w->fd, &count);
	/* Cleared first: a fence that retires from here on wakes again. */
	atomic_store(&f->woken, false);
	retired = atomic_load_explicit(&f->retired, memory_order_acquire);
	while (f->head != f->tail) {
		const struct virgl_fence fence = f->ring[f->head & (f->capacity - 1)];

		if (!is_at_or_before(fence.id, retired))
			break;
		f->head++;
		f->config->fence_done(f->config->owner, &fence.timeline, fence.seq);
	}
}

static int make_room(struct virgl_fences *f)
{
	uint32_t count = f->tail - f->head;
	uint32_t capacity = f->capacity ? f->capacity * 2 : 64;
	struct virgl_fence *grown;

	if (count < f->capacity)
		return 0;
	grown = calloc(capacity, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		grown[i] = f->ring[(f->head + i) & (f->capacity - 1)];
	free(f->ring);
	f->ring = grown;
	f->capacity = capacity;
	f->head = 0;
	f->tail = count;
	return 0;
}

static void poll_later(struct virgl_fences *f)
{
	if (!f->has_poll && !f->paused && f->head != f->tail)
		loop_arm_timer(f->config->loop, &f->timer, loop_now_ns() + POLL_NS);
}

static void poll_ready(struct loop_fd *p, uint32_t events)
{
	struct virgl_fences *f = p->owner;

	(void)events;
	f->enter(f->owner);
	/* Checks queries for the fence thread, which waits meanwhile; or retires fences where it doesn't itself. */
	virgl_renderer_poll();
}

static void poll_expired(struct loop_timer *t)
{
	struct virgl_fences *f = t->owner;

	f->enter(f->owner);
	virgl_renderer_poll();
	poll_later(f);
}

int virgl_fences_init(struct virgl_fences *f, const struct renderer_config *config, bool software,
		      void (*enter)(void *owner), void *owner)
{
	f->config = config;
	f->software = software;
	f->enter = enter;
	f->owner = owner;
	f->timer = (struct loop_timer){.expired = poll_expired, .owner = f};
	f->poll = (struct loop_fd){.fd = -1, .ready = poll_ready, .owner = f};
	f->wake = (struct loop_fd){.ready = wake_ready, .owner = f};
	f->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return f->wake.fd < 0 ? -errno : 0;
}

int virgl_fences_start(struct virgl_fences *f)
{
	int err = loop_add_fd(f->config->loop, &f->wake, EPOLLIN);

	if (err < 0)
		return err;
	f->has_wake = true;
	f->poll.fd = virgl_renderer_get_poll_fd();
	if (f->poll.fd < 0)
		return 0;
	err = loop_add_fd(f->config->loop, &f->poll, EPOLLIN);
	f->has_poll = err == 0;
	return err;
}

void virgl_fences_stop(struct virgl_fences *f)
{
	if (!f->config)
		return;
	loop_cancel_timer(f->config->loop, &f->timer);
	if (f->has_wake)
		loop_remove_fd(f->config->loop, &f->wake);
	if (f->has_poll)
		loop_remove_fd(f->config->loop, &f->poll);
	f->has_wake = f->has_poll = false;
}

void virgl_fences_finish(struct virgl_fences *f)
{
	if (!f->config)
		return;
	if (f->wake.fd >= 0)
		close(f->wake.fd);
	free(f->ring);
	*f = (struct virgl_fences){0};
}

/* A guest that has sent more does not wait, and neither does the loop. */
static bool may_look(const struct virgl_fences *f)
{
	return f->software && f->unlooked == 0 && !f->config->has_more(f->config->owner);
}

/* Until @sync is there or it takes too long. The threads that draw may need this CPU. */
static GLenum look_for(struct virgl_fences *f, GLsync sync)
{
	const uint64_t until = loop_now_ns() + LOOK_NS;
	GLenum state = GL_TIMEOUT_EXPIRED;

	while (may_look(f)) {
		sched_yield();
		state = glClientWaitSync(sync, 0, 0);
		if (state != GL_TIMEOUT_EXPIRED) {
			f->back_off = 0;
			break;
		}
		if (loop_now_ns() >= until)
			f->unlooked = f->back_off = f->back_off < MAX_UNLOOKED ? 2 * f->back_off + 1 : MAX_UNLOOKED;
	}
	return state;
}

/* Has the GPU done all that it was given in the current context? */
static bool is_done(struct virgl_fences *f)
{
	GLsync sync = glFenceSync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
	GLenum state = sync ? glClientWaitSync(sync, GL_SYNC_FLUSH_COMMANDS_BIT, 0) : GL_WAIT_FAILED;

	if (state == GL_TIMEOUT_EXPIRED)
		state = look_for(f, sync);
	glDeleteSync(sync);
	if (state != GL_ALREADY_SIGNALED && state != GL_CONDITION_SATISFIED)
		return false;
	/* Queries before it have their results in guest memory first, as with the library's own fences. */
	virgl_renderer_poll();
	return true;
}

int virgl_fences_add(struct virgl_fences *f, const struct renderer_timeline *timeline, uint64_t seq, bool ask)
{
	int err;

	/* The fence thread's turn, and then the loop's, would take longer than the rest of a small picture. */
	if ((ask || may_look(f)) && is_done(f))
		return 1;
	err = make_room(f);
	if (err < 0)
		return err;
	err = virgl_library_error(virgl_renderer_create_fence((int)(f->last_id + 1), 0));
	if (err < 0)
		return err;
	f->last_id++;
	if (f->unlooked > 0)
		f->unlooked--;
	f->ring[f->tail++ & (f->capacity - 1)] =
		(struct virgl_fence){.id = f->last_id, .timeline = *timeline, .seq = seq};
	poll_later(f);
	return 0;
}

/*
 * The library forgets the fence being waited for when any context is destroyed (without ASYNC_FENCE_CB, 0.10.4). One
 * more behind all others retires them too.
 */
void virgl_fences_context_gone(struct virgl_fences *f)
{
	if (f->head != f->tail && virgl_renderer_create_fence((int)(f->last_id + 1), 0) == 0)
		f->last_id++;
}

/* Ids go on counting up, so a fence of before that retires later completes nothing. */
void virgl_fences_forget(struct virgl_fences *f)
{
	f->head = f->tail;
	loop_cancel_timer(f->config->loop, &f->timer);
}

/* Results of queries are written when the library is polled; its fence thread waits for that with what comes after them. */
void virgl_fences_pause(struct virgl_fences *f, bool paused)
{
	f->paused = paused;
	if (paused) {
		loop_cancel_timer(f->config->loop, &f->timer);
		if (f->has_poll)
			loop_remove_fd(f->config->loop, &f->poll);
		f->has_poll = false;
		return;
	}
	/* The timer does as well. */
	f->has_poll = f->poll.fd >= 0 && loop_add_fd(f->config->loop, &f->poll, EPOLLIN) == 0;
	poll_later(f);
}

bool virgl_fences_drain(struct virgl_fences *f)
{
	const struct timespec pause = {.tv_nsec = 200000};
	uint64_t until = loop_now_ns() + DRAIN_NS;

	/* One behind all others: see virgl_fences_context_gone(). */
	if (atomic_load(&f->retired) != f->last_id && virgl_renderer_create_fence((int)(f->last_id + 1), 0) == 0)
		f->last_id++;
	while (atomic_load(&f->retired) != f->last_id) {
		if (loop_now_ns() > until)
			return false;
		virgl_renderer_poll();
		nanosleep(&pause, NULL);
	}
	return true;
}
