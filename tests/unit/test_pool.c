// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/base/pool.h"

#define JOBS 1000u

struct job {
	struct pool_job job;
	struct loop_task done;
	struct loop *l;
	unsigned number;
};

static atomic_uint worked;
static unsigned done_count; /* loop only */
static unsigned order[JOBS];

static void done(struct loop_task *t)
{
	(void)t;
	if (++done_count == JOBS)
		loop_stop(((struct job *)t->owner)->l);
}

static void work(struct pool_job *j)
{
	struct job *job = j->owner;

	order[atomic_fetch_add(&worked, 1)] = job->number;
	if (job->l)
		loop_post(job->l, &job->done);
}

static struct job *make_jobs(struct loop *l)
{
	struct job *jobs = calloc(JOBS, sizeof(*jobs));

	assert_non_null(jobs);
	atomic_store(&worked, 0);
	done_count = 0;
	for (unsigned i = 0; i < JOBS; i++)
		jobs[i] = (struct job){ .job = { .work = work, .owner = &jobs[i] }, .l = l, .number = i,
					.done = { .run = done, .owner = &jobs[i] } };
	return jobs;
}

static void results_come_back_to_the_loop(void **state)
{
	struct loop *l;
	struct pool *p;
	struct job *jobs;

	(void)state;
	assert_int_equal(loop_create("test", &l), 0);
	assert_int_equal(pool_create("test-pool", 4, &p), 0);
	jobs = make_jobs(l);
	for (unsigned i = 0; i < JOBS; i++)
		pool_submit(p, &jobs[i].job);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(done_count, JOBS);
	pool_destroy(p);
	loop_destroy(l);
	free(jobs);
}

static void one_thread_works_in_order_and_destroy_waits(void **state)
{
	struct pool *p;
	struct job *jobs = make_jobs(NULL);

	(void)state;
	assert_int_equal(pool_create("one", 1, &p), 0);
	for (unsigned i = 0; i < JOBS; i++)
		pool_submit(p, &jobs[i].job);
	pool_destroy(p);
	assert_int_equal(atomic_load(&worked), JOBS);
	for (unsigned i = 0; i < JOBS; i++)
		assert_int_equal(order[i], i);
	free(jobs);
	pool_destroy(NULL);
}

static sem_t met;

static void meet(struct pool_job *j)
{
	struct timespec end;

	(void)j;
	/* Passes only while another of these runs as well. */
	sem_post(&met);
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 5;
	for (int value = 0; value < 2; usleep(100)) {
		struct timespec now;

		sem_getvalue(&met, &value);
		clock_gettime(CLOCK_REALTIME, &now);
		if (now.tv_sec > end.tv_sec)
			return;
	}
	atomic_fetch_add(&worked, 1);
}

static void threads_work_at_the_same_time(void **state)
{
	struct pool_job jobs[2] = { { .work = meet }, { .work = meet } };
	struct pool *p;

	(void)state;
	sem_init(&met, 0, 0);
	atomic_store(&worked, 0);
	assert_int_equal(pool_create("two", 2, &p), 0);
	pool_submit(p, &jobs[0]);
	pool_submit(p, &jobs[1]);
	pool_destroy(p);
	assert_int_equal(atomic_load(&worked), 2);
	sem_destroy(&met);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_come_back_to_the_loop),
		cmocka_unit_test(one_thread_works_in_order_and_destroy_waits),
		cmocka_unit_test(threads_work_at_the_same_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
