// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/base/loop.h"

#define MS 1000000ull

static struct loop *create(void)
{
	struct loop *l;

	assert_int_equal(loop_create("test-loop", &l), 0);
	return l;
}

static void stop(struct loop_timer *t)
{
	loop_stop(t->owner);
}

/* Run @l on this thread for @ms. */
static void run_for(struct loop *l, unsigned ms)
{
	struct loop_timer t = { .expired = stop, .owner = l };

	loop_arm_timer(l, &t, loop_now_ns() + ms * MS);
	assert_int_equal(loop_run(l), 0);
	/* On a busy machine the time may be over before the first round. */
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(loop_run_once(l, 0), 0);
}

/* ---- tasks ---- */

struct note {
	struct loop_task task;
	struct loop *l;
	unsigned number;
	unsigned repeat; /* post itself again so often */
};

static unsigned order[64];
static unsigned order_count;

static void write_down(struct loop_task *t)
{
	struct note *n = t->owner;

	order[order_count++] = n->number;
	if (n->repeat) {
		n->repeat--;
		loop_post(n->l, t);
	}
}

static void tasks_run_in_the_order_of_posting(void **state)
{
	struct loop *l = create();
	struct note n[8];

	(void)state;
	order_count = 0;
	for (unsigned i = 0; i < 8; i++) {
		n[i] = (struct note){ .task = { .run = write_down, .owner = &n[i] }, .l = l, .number = i };
		loop_post(l, &n[i].task);
	}
	/* A task may post itself: it comes after those that are there. */
	n[0].repeat = 1;
	run_for(l, 1);
	assert_int_equal(order_count, 9);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(order[i], i);
	assert_int_equal(order[8], 0);
	loop_destroy(l);
}

static void a_task_can_be_taken_back(void **state)
{
	struct loop *l = create();
	struct note n[3];

	(void)state;
	order_count = 0;
	for (unsigned i = 0; i < 3; i++) {
		n[i] = (struct note){ .task = { .run = write_down, .owner = &n[i] }, .l = l, .number = i };
		loop_post(l, &n[i].task);
	}
	assert_true(loop_unpost(l, &n[1].task));
	assert_false(loop_unpost(l, &n[1].task));
	assert_int_equal(loop_run_once(l, 1000), 0);
	assert_int_equal(order_count, 2);
	assert_int_equal(order[1], 2);
	assert_false(loop_unpost(l, &n[2].task));
	loop_destroy(l);
}

static void stop_task(struct loop_task *t)
{
	loop_stop(t->owner);
}

static void tasks_left_by_a_stop_run_later(void **state)
{
	struct loop *l = create();
	struct note n = { .task = { .run = write_down, .owner = &n }, .l = l, .number = 5 };
	struct loop_task s = { .run = stop_task, .owner = l };

	(void)state;
	order_count = 0;
	loop_post(l, &s);
	loop_post(l, &n.task);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(order_count, 0);
	run_for(l, 1);
	assert_int_equal(order_count, 1);
	/* Asked to stop before it runs, it doesn't. */
	loop_stop(l);
	assert_int_equal(loop_run(l), 0);
	loop_destroy(l);
}

#define POSTERS 4u
#define POSTS 2000u

struct posted {
	struct loop_task task;
	unsigned thread;
	unsigned number;
};

static struct loop *shared;
static struct posted posts[POSTERS][POSTS];
static unsigned next_number[POSTERS]; /* loop only */
static unsigned wrong_order;
static atomic_uint ran;

static void check_order(struct loop_task *t)
{
	struct posted *p = t->owner;

	wrong_order += p->number != next_number[p->thread]++;
	atomic_fetch_add(&ran, 1);
}

static void *poster(void *arg)
{
	struct posted *p = arg;

	for (unsigned i = 0; i < POSTS; i++) {
		p[i].task = (struct loop_task){ .run = check_order, .owner = &p[i] };
		p[i].number = i;
		loop_post(shared, &p[i].task);
	}
	return NULL;
}

static void every_post_from_every_thread_runs_once(void **state)
{
	pthread_t threads[POSTERS];

	(void)state;
	shared = create();
	assert_int_equal(loop_start(shared), 0);
	for (unsigned i = 0; i < POSTERS; i++) {
		for (unsigned k = 0; k < POSTS; k++)
			posts[i][k].thread = i;
		assert_int_equal(pthread_create(&threads[i], NULL, poster, posts[i]), 0);
	}
	for (unsigned i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < 5000 && atomic_load(&ran) < POSTERS * POSTS; i++)
		usleep(1000);
	loop_destroy(shared);
	assert_int_equal(atomic_load(&ran), POSTERS * POSTS);
	assert_int_equal(wrong_order, 0);
}

/* ---- calls ---- */

struct call {
	struct loop *l;
	unsigned count;
	bool on_loop;
};

static void called(void *arg)
{
	struct call *c = arg;

	c->count++;
	c->on_loop = loop_is_current(c->l);
}

static void called_within(void *arg)
{
	struct call *c = arg;

	loop_call(c->l, called, c);
}

static void a_call_waits_for_its_result(void **state)
{
	struct call c = { .l = create() };

	(void)state;
	/* Nobody runs it: directly. */
	assert_true(loop_is_current(c.l));
	loop_call(c.l, called, &c);
	assert_int_equal(c.count, 1);
	assert_int_equal(loop_start(c.l), 0);
	assert_false(loop_is_current(c.l));
	for (unsigned i = 0; i < 1000; i++)
		loop_call(c.l, called, &c);
	assert_int_equal(c.count, 1001);
	assert_true(c.on_loop);
	loop_call(c.l, called_within, &c);
	assert_int_equal(c.count, 1002);
	loop_destroy(c.l);
}

/* ---- timers ---- */

struct alarm {
	struct loop_timer timer;
	struct loop *l;
	unsigned number;
	uint64_t again_ns; /* arm itself again, so far from now */
	unsigned repeat;
	struct loop_timer *cancel;
};

static void ring(struct loop_timer *t)
{
	struct alarm *a = t->owner;

	order[order_count++] = a->number;
	if (a->cancel)
		loop_cancel_timer(a->l, a->cancel);
	if (a->repeat) {
		a->repeat--;
		loop_arm_timer(a->l, t, a->again_ns ? loop_now_ns() + a->again_ns : 0);
	}
}

static void make_alarms(struct loop *l, struct alarm *a, unsigned count)
{
	order_count = 0;
	for (unsigned i = 0; i < count; i++)
		a[i] = (struct alarm){ .timer = { .expired = ring, .owner = &a[i] }, .l = l, .number = i };
}

static void timers_expire_in_the_order_of_their_times(void **state)
{
	static const unsigned ms[] = { 9, 3, 6, 3, 0, 12 };
	static const unsigned expect[] = { 4, 1, 3, 2, 0, 5 };
	struct loop *l = create();
	struct alarm a[6];
	uint64_t begin = loop_now_ns();

	(void)state;
	make_alarms(l, a, 6);
	for (unsigned i = 0; i < 6; i++)
		loop_arm_timer(l, &a[i].timer, begin + ms[i] * MS);
	run_for(l, 20);
	assert_true(loop_now_ns() - begin >= 20 * MS);
	assert_int_equal(order_count, 6);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(order[i], expect[i]);
	loop_destroy(l);
}

static void timers_move_and_are_cancelled(void **state)
{
	struct loop *l = create();
	struct alarm a[4];
	uint64_t begin = loop_now_ns();

	(void)state;
	make_alarms(l, a, 4);
	for (unsigned i = 0; i < 4; i++)
		loop_arm_timer(l, &a[i].timer, begin + (1 + i) * MS);
	/* 0 behind the others; 1 never; 2 takes back 3 when it comes. */
	loop_arm_timer(l, &a[0].timer, begin + 8 * MS);
	loop_cancel_timer(l, &a[1].timer);
	loop_cancel_timer(l, &a[1].timer);
	a[2].cancel = &a[3].timer;
	run_for(l, 15);
	assert_int_equal(order_count, 2);
	assert_int_equal(order[0], 2);
	assert_int_equal(order[1], 0);
	loop_destroy(l);
}

/* A timer that arms itself for a time that has passed must not keep the loop to itself. */
static void a_timer_that_is_always_due_leaves_room(void **state)
{
	struct loop *l = create();
	struct alarm a[1];
	struct note n = { .task = { .run = write_down, .owner = &n }, .l = l, .number = 77 };

	(void)state;
	make_alarms(l, a, 1);
	a[0].repeat = 40;
	loop_arm_timer(l, &a[0].timer, 0);
	loop_post(l, &n.task);
	/* On a busy machine a while. */
	for (unsigned tries = 0; tries < 1000 && order_count < 42; tries++)
		run_for(l, 10);
	assert_int_equal(order_count, 42);
	/* Not after all forty. */
	assert_true(order[0] == 77 || order[1] == 77 || order[2] == 77);
	/* Later than anybody will see. */
	loop_arm_timer(l, &a[0].timer, UINT64_MAX);
	run_for(l, 1);
	assert_int_equal(order_count, 42);
	loop_destroy(l);
}

/* ---- descriptors ---- */

struct watched {
	struct loop_fd f;
	struct loop *l;
	unsigned count;
	uint32_t events;
	struct watched *remove; /* when ready, stop to watch this one */
};

static void ready(struct loop_fd *f, uint32_t events)
{
	struct watched *w = f->owner;
	uint64_t value;

	w->count++;
	w->events = events;
	if (events & EPOLLIN && read(f->fd, &value, sizeof(value)) < 0)
		fail();
	if (w->remove)
		loop_remove_fd(w->l, &w->remove->f);
}

static void watch(struct loop *l, struct watched *w)
{
	*w = (struct watched){ .l = l, .f = { .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .ready = ready } };
	w->f.owner = w;
	assert_true(w->f.fd >= 0);
	assert_int_equal(loop_add_fd(l, &w->f, EPOLLIN), 0);
}

static void signal_fd(struct watched *w)
{
	assert_int_equal(eventfd_write(w->f.fd, 1), 0);
}

static void a_ready_descriptor_is_reported(void **state)
{
	struct loop *l = create();
	struct watched w;

	(void)state;
	watch(l, &w);
	assert_int_equal(loop_run_once(l, 0), 0);
	assert_int_equal(w.count, 0);
	signal_fd(&w);
	assert_int_equal(loop_run_once(l, 1000), 0);
	assert_int_equal(w.count, 1);
	assert_int_equal(w.events, EPOLLIN);
	assert_int_equal(loop_run_once(l, 0), 0);
	assert_int_equal(w.count, 1);
	assert_int_equal(loop_change_fd(l, &w.f, EPOLLOUT), 0);
	assert_int_equal(loop_run_once(l, 1000), 0);
	assert_int_equal(w.events, EPOLLOUT);
	loop_remove_fd(l, &w.f);
	assert_int_equal(loop_run_once(l, 0), 0);
	assert_int_equal(w.count, 2);
	assert_int_equal(loop_change_fd(l, &w.f, EPOLLIN), -ENOENT);
	close(w.f.fd);
	loop_destroy(l);
}

static void a_removed_descriptor_is_silent_at_once(void **state)
{
	struct loop *l = create();
	struct watched w[2];

	(void)state;
	/* Both ready in one round: whoever comes first removes the other. */
	watch(l, &w[0]);
	watch(l, &w[1]);
	w[0].remove = &w[1];
	w[1].remove = &w[0];
	signal_fd(&w[0]);
	signal_fd(&w[1]);
	assert_int_equal(loop_run_once(l, 1000), 0);
	assert_int_equal(loop_run_once(l, 0), 0);
	assert_int_equal(w[0].count + w[1].count, 1);
	close(w[0].f.fd);
	close(w[1].f.fd);
	loop_destroy(l);
}

static void a_descriptor_may_remove_itself(void **state)
{
	struct loop *l = create();
	struct watched w;

	(void)state;
	watch(l, &w);
	w.remove = &w;
	signal_fd(&w);
	assert_int_equal(loop_run_once(l, 1000), 0);
	signal_fd(&w);
	assert_int_equal(loop_run_once(l, 0), 0);
	assert_int_equal(w.count, 1);
	close(w.f.fd);
	loop_destroy(l);
}

static void a_regular_file_is_refused(void **state)
{
	struct loop *l = create();
	struct loop_fd f = { .fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), .ready = ready };

	(void)state;
	assert_true(f.fd >= 0);
	assert_int_equal(loop_add_fd(l, &f, EPOLLIN), -EPERM);
	close(f.fd);
	loop_destroy(l);
}

/* ---- life ---- */

static void a_loop_ends_and_starts_again(void **state)
{
	struct loop *l = create();
	struct call c = { .l = l };

	(void)state;
	assert_int_equal(loop_start(l), 0);
	loop_call(l, called, &c);
	assert_true(c.on_loop);
	loop_destroy(l);
	loop_destroy(NULL);

	/* On this thread, stopped from another. */
	l = create();
	for (unsigned i = 0; i < 3; i++)
		run_for(l, 1);
	loop_destroy(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tasks_run_in_the_order_of_posting),
		cmocka_unit_test(a_task_can_be_taken_back),
		cmocka_unit_test(tasks_left_by_a_stop_run_later),
		cmocka_unit_test(every_post_from_every_thread_runs_once),
		cmocka_unit_test(a_call_waits_for_its_result),
		cmocka_unit_test(timers_expire_in_the_order_of_their_times),
		cmocka_unit_test(timers_move_and_are_cancelled),
		cmocka_unit_test(a_timer_that_is_always_due_leaves_room),
		cmocka_unit_test(a_ready_descriptor_is_reported),
		cmocka_unit_test(a_removed_descriptor_is_silent_at_once),
		cmocka_unit_test(a_descriptor_may_remove_itself),
		cmocka_unit_test(a_regular_file_is_refused),
		cmocka_unit_test(a_loop_ends_and_starts_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
