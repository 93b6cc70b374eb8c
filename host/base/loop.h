/* SPDX-License-Identifier: MIT */
/*
 * One thread's event loop: descriptors, timers, and tasks posted from other threads.
 *
 * A loop owns the devices that live on it, so they need no locks. Nothing that runs on a loop may block: long
 * work goes to host/base/pool.h and comes back by loop_post(). Descriptors, timers and tasks are embedded in
 * their owner, so no call here allocates except loop_create().
 */
#ifndef MULLION_HOST_BASE_LOOP_H
#define MULLION_HOST_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* Create a loop; @name is its thread's name (15 bytes at most). Returns 0 or a negative errno. Thread: any. */
int loop_create(const char *name, struct loop **out);

/* Stop and join the thread if there is one, then free. Tasks still posted are not run. NULL is fine. */
void loop_destroy(struct loop *l);

/* Run on a thread of its own, until loop_stop(). Returns 0 or a negative errno. */
int loop_start(struct loop *l);

/* Run on the calling thread until loop_stop(). Returns 0 or a negative errno of epoll. */
int loop_run(struct loop *l);

/*
 * Handle what is ready now, waiting up to @timeout_ms (-1: forever) for the first event; for tests and programs that
 * keep the loop on their own thread. Returns 0 or a negative errno of epoll.
 */
int loop_run_once(struct loop *l, int timeout_ms);

/* Make loop_run() return (or the loop's thread end) after the current callback. Thread: any. */
void loop_stop(struct loop *l);

/* True on the loop's own thread; also while no thread runs it, since nobody else can then be on it. */
bool loop_is_current(const struct loop *l);

/* A watched descriptor. */
struct loop_fd {
	int fd;
	/* @events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as epoll reports them. */
	void (*ready)(struct loop_fd *f, uint32_t events);
	void *owner;
};

/*
 * Watch f->fd for @events (EPOLLIN, EPOLLOUT, EPOLLET). The caller keeps the descriptor and @f until
 * loop_remove_fd(). Regular files cannot be watched (-EPERM). Thread: loop, or before it runs.
 */
int loop_add_fd(struct loop *l, struct loop_fd *f, uint32_t events);
int loop_change_fd(struct loop *l, struct loop_fd *f, uint32_t events);

/* After this returns f->ready is not called again, not even for an event already fetched. */
void loop_remove_fd(struct loop *l, struct loop_fd *f);

/* A one-shot timer; zeroed storage with @expired set is ready. */
struct loop_timer {
	void (*expired)(struct loop_timer *t);
	void *owner;
	uint64_t due_ns;         /* private: 0 when not armed */
	struct loop_timer *next; /* private */
};

/* Call t->expired once at @due_ns (loop_now_ns() clock); arming again moves it. Thread: loop. */
void loop_arm_timer(struct loop *l, struct loop_timer *t, uint64_t due_ns);
void loop_cancel_timer(struct loop *l, struct loop_timer *t);
uint64_t loop_now_ns(void); /* CLOCK_MONOTONIC */

/* Something to run on the loop; the owner allocates it, and may not post it again before it ran. */
struct loop_task {
	void (*run)(struct loop_task *t);
	void *owner;
	struct loop_task *next; /* private */
};

/* Queue @t to run on the loop, in the order of posting. Never blocks, never fails. Thread: any. */
void loop_post(struct loop *l, struct loop_task *t);

/*
 * Take back a task that did not run yet, so that its owner may be freed. True if it was still queued. Nobody may be
 * posting @t meanwhile. Thread: loop.
 */
bool loop_unpost(struct loop *l, struct loop_task *t);

/*
 * Run @fn(@arg) on the loop and wait until it returned; called directly when already on the loop or when no
 * thread runs it. The loop must never wait for the calling thread, nor be stopped meanwhile. Thread: any.
 */
void loop_call(struct loop *l, void (*fn)(void *arg), void *arg);

#endif
