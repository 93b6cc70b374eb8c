// SPDX-License-Identifier: MIT
#include "host/base/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "host/base/thread.h"

#define EVENTS_AT_ONCE 32

struct loop {
	int epoll_fd;
	int wake_fd;
	int timer_fd;
	char name[16];
	pthread_t thread;
	bool has_thread; /* loop_start() was called; joined by loop_destroy() */
	atomic_bool running;
	atomic_bool stopping;

	/* Posted by any thread, newest first; the loop takes the whole stack and appends it to the pending list. */
	_Atomic(struct loop_task *) posted;
	struct loop_task *pending;

	struct loop_timer *timers; /* by due time, then by order of arming */
	uint64_t expiring_ns;      /* not 0 while timers expire: what is armed meanwhile waits for the next round */

	/* Fetched events; those from event_next on are still to be handled, even by a later loop_run(). */
	struct epoll_event events[EVENTS_AT_ONCE];
	int event_next;
	int event_count;
};

/* The loop that runs on this thread. */
static _Thread_local const struct loop *current;

uint64_t loop_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static int watch(struct loop *l, int op, int fd, uint32_t events, void *ptr)
{
	struct epoll_event e = { .events = events, .data.ptr = ptr };

	return epoll_ctl(l->epoll_fd, op, fd, &e) < 0 ? -errno : 0;
}

static void free_loop(struct loop *l)
{
	if (l->timer_fd >= 0)
		close(l->timer_fd);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	free(l);
}

int loop_create(const char *name, struct loop **out)
{
	struct loop *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->epoll_fd < 0 || l->wake_fd < 0 || l->timer_fd < 0) {
		err = -errno;
		goto fail;
	}
	err = watch(l, EPOLL_CTL_ADD, l->wake_fd, EPOLLIN, &l->wake_fd);
	if (!err)
		err = watch(l, EPOLL_CTL_ADD, l->timer_fd, EPOLLIN, &l->timer_fd);
	if (err)
		goto fail;
	*out = l;
	return 0;
fail:
	free_loop(l);
	return err;
}

void loop_destroy(struct loop *l)
{
	if (!l)
		return;
	assert(current != l);
	if (l->has_thread) {
		loop_stop(l);
		pthread_join(l->thread, NULL);
	}
	assert(!atomic_load(&l->running));
	free_loop(l);
}

/* ---- tasks ---- */

static void wake(struct loop *l)
{
	uint64_t one = 1;

	/* EAGAIN means that the counter is full, hence the loop already due to wake. */
	if (write(l->wake_fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);
}

static void take_posted(struct loop *l)
{
	/* Acquire: pairs with the release of loop_post(); what the poster wrote before is seen by the task. */
	struct loop_task *t = atomic_exchange_explicit(&l->posted, NULL, memory_order_acquire);
	struct loop_task *oldest = NULL;
	struct loop_task **end = &l->pending;

	while (t) {
		struct loop_task *next = t->next;

		t->next = oldest;
		oldest = t;
		t = next;
	}
	while (*end)
		end = &(*end)->next;
	*end = oldest;
}

static void run_tasks(struct loop *l)
{
	struct loop_task *last;

	take_posted(l);
	/* Up to what was posted by now: tasks that post themselves again don't starve descriptors. */
	for (last = l->pending; last && last->next;)
		last = last->next;
	while (l->pending && !atomic_load_explicit(&l->stopping, memory_order_relaxed)) {
		struct loop_task *t = l->pending;
		bool is_last = t == last;

		l->pending = t->next;
		t->next = NULL;
		t->run(t); /* may free t */
		if (is_last)
			break;
	}
	/* What is left has its wake still to come: that of the stop, or of the post that an unpost took over. */
}

void loop_post(struct loop *l, struct loop_task *t)
{
	struct loop_task *head = atomic_load_explicit(&l->posted, memory_order_relaxed);

	do {
		t->next = head;
	} while (!atomic_compare_exchange_weak_explicit(&l->posted, &head, t, memory_order_release,
							memory_order_relaxed));
	/* Whoever found the stack empty wakes the loop for all that follow until it is taken. */
	if (!head)
		wake(l);
}

bool loop_unpost(struct loop *l, struct loop_task *t)
{
	assert(loop_is_current(l));
	take_posted(l);
	for (struct loop_task **p = &l->pending; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			t->next = NULL;
			return true;
		}
	}
	return false;
}

struct call {
	struct loop_task task;
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
};

static void run_call(struct loop_task *t)
{
	struct call *c = t->owner;

	c->fn(c->arg);
	sem_post(&c->done);
}

void loop_call(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct call c = { .task = { .run = run_call, .owner = &c }, .fn = fn, .arg = arg };

	if (loop_is_current(l)) {
		fn(arg);
		return;
	}
	sem_init(&c.done, 0, 0);
	loop_post(l, &c.task);
	while (sem_wait(&c.done) < 0)
		assert(errno == EINTR);
	sem_destroy(&c.done);
}

/* ---- timers ---- */

static void set_timer_fd(struct loop *l)
{
	uint64_t due = l->timers ? l->timers->due_ns : 0; /* 0 disarms */
	struct itimerspec when = {
		.it_value = { .tv_sec = (time_t)(due / 1000000000ull), .tv_nsec = (long)(due % 1000000000ull) },
	};

	int err = timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);

	assert(!err);
	(void)err;
}

static bool unlink_timer(struct loop *l, struct loop_timer *t)
{
	for (struct loop_timer **p = &l->timers; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			t->next = NULL;
			t->due_ns = 0;
			return true;
		}
	}
	return false;
}

void loop_arm_timer(struct loop *l, struct loop_timer *t, uint64_t due_ns)
{
	struct loop_timer *first = l->timers;
	uint64_t first_due = first ? first->due_ns : 0;
	struct loop_timer **p = &l->timers;

	assert(loop_is_current(l));
	if (t->due_ns)
		unlink_timer(l, t);
	/* What timerfd takes: a positive number of seconds. 2^62 ns are 146 years. */
	if (due_ns > 1ull << 62)
		due_ns = 1ull << 62;
	if (due_ns <= l->expiring_ns)
		due_ns = l->expiring_ns + 1;
	t->due_ns = due_ns ? due_ns : 1;
	while (*p && (*p)->due_ns <= t->due_ns)
		p = &(*p)->next;
	t->next = *p;
	*p = t;
	if (!l->expiring_ns && (l->timers != first || l->timers->due_ns != first_due))
		set_timer_fd(l);
}

void loop_cancel_timer(struct loop *l, struct loop_timer *t)
{
	bool was_first = l->timers == t;

	assert(loop_is_current(l));
	if (t->due_ns && unlink_timer(l, t) && was_first && !l->expiring_ns)
		set_timer_fd(l);
}

static void run_timers(struct loop *l)
{
	uint64_t now = loop_now_ns();

	l->expiring_ns = now;
	while (l->timers && l->timers->due_ns <= now && !atomic_load_explicit(&l->stopping, memory_order_relaxed)) {
		struct loop_timer *t = l->timers;

		l->timers = t->next;
		t->next = NULL;
		t->due_ns = 0;
		t->expired(t); /* may free t */
	}
	l->expiring_ns = 0;
	set_timer_fd(l);
}

/* ---- descriptors ---- */

int loop_add_fd(struct loop *l, struct loop_fd *f, uint32_t events)
{
	assert(f->ready);
	return watch(l, EPOLL_CTL_ADD, f->fd, events, f);
}

int loop_change_fd(struct loop *l, struct loop_fd *f, uint32_t events)
{
	return watch(l, EPOLL_CTL_MOD, f->fd, events, f);
}

void loop_remove_fd(struct loop *l, struct loop_fd *f)
{
	assert(loop_is_current(l));
	/* ENOENT and EBADF: it was not watched (any more), which is what the caller wants. */
	(void)watch(l, EPOLL_CTL_DEL, f->fd, 0, NULL);
	for (int i = l->event_next; i < l->event_count; i++)
		if (l->events[i].data.ptr == f)
			l->events[i].data.ptr = NULL;
}

static void handle_event(struct loop *l, const struct epoll_event *e)
{
	uint64_t count;

	if (e->data.ptr == &l->wake_fd) {
		/* Read before the stack is taken: a post after that wakes the loop again. */
		if (read(l->wake_fd, &count, sizeof(count)) < 0)
			assert(errno == EAGAIN);
		run_tasks(l);
	} else if (e->data.ptr == &l->timer_fd) {
		if (read(l->timer_fd, &count, sizeof(count)) < 0)
			assert(errno == EAGAIN || errno == ECANCELED);
		run_timers(l);
	} else if (e->data.ptr) {
		struct loop_fd *f = e->data.ptr;

		f->ready(f, e->events);
	}
}

/* ---- running ---- */

/* Handle what is ready; with nothing ready wait up to @timeout_ms (-1: forever). */
static int run_round(struct loop *l, int timeout_ms)
{
	if (l->event_next == l->event_count) {
		int n = epoll_wait(l->epoll_fd, l->events, EVENTS_AT_ONCE, timeout_ms);

		if (n < 0)
			return errno == EINTR ? 0 : -errno;
		l->event_next = 0;
		l->event_count = n;
	}
	while (l->event_next < l->event_count && !atomic_load_explicit(&l->stopping, memory_order_relaxed)) {
		struct epoll_event e = l->events[l->event_next++];

		handle_event(l, &e);
	}
	return 0;
}

static int run_until_stopped(struct loop *l)
{
	const struct loop *outer = current;
	int err = 0;

	assert(current != l);
	current = l;
	while (!err && !atomic_load_explicit(&l->stopping, memory_order_acquire))
		err = run_round(l, -1);
	current = outer;
	atomic_store(&l->stopping, false);
	atomic_store(&l->running, false);
	return err;
}

int loop_run(struct loop *l)
{
	assert(!atomic_load(&l->running));
	atomic_store(&l->running, true);
	return run_until_stopped(l);
}

int loop_run_once(struct loop *l, int timeout_ms)
{
	const struct loop *outer = current;
	int err = 0;

	assert(current != l && !atomic_load(&l->running));
	atomic_store(&l->running, true);
	current = l;
	if (!atomic_load_explicit(&l->stopping, memory_order_acquire))
		err = run_round(l, timeout_ms);
	current = outer;
	atomic_store(&l->running, false);
	return err;
}

static void *thread_main(void *arg)
{
	struct loop *l = arg;

	pthread_setname_np(pthread_self(), l->name);
	run_until_stopped(l);
	return NULL;
}

int loop_start(struct loop *l)
{
	int err;

	assert(!l->has_thread && !atomic_load(&l->running));
	/* Before the thread exists: from now on loop_call() must post. */
	atomic_store(&l->running, true);
	err = thread_start(&l->thread, thread_main, l);
	if (err) {
		atomic_store(&l->running, false);
		return err;
	}
	l->has_thread = true;
	return 0;
}

void loop_stop(struct loop *l)
{
	atomic_store_explicit(&l->stopping, true, memory_order_release);
	wake(l);
}

bool loop_is_current(const struct loop *l)
{
	return current == l || !atomic_load(&l->running);
}
