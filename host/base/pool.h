/* SPDX-License-Identifier: MIT */
/*
 * A few worker threads for work that blocks (disk, PNG encoding), so that loops don't.
 */
#ifndef MULLION_HOST_BASE_POOL_H
#define MULLION_HOST_BASE_POOL_H

struct pool;

/* Embedded in its owner, who keeps it until work() has returned. */
struct pool_job {
	void (*work)(struct pool_job *j); /* on a worker thread; end with a loop_post() of the result */
	void *owner;
	struct pool_job *next; /* private */
};

/* @threads: 1..64, started at once. @name: their name, 15 bytes at most. Returns 0 or a negative errno. */
int pool_create(const char *name, unsigned threads, struct pool **out);

/* Queue @j; jobs start in order. Never blocks, never fails. Thread: any. */
void pool_submit(struct pool *p, struct pool_job *j);

/* Finish every queued job, join the threads, free. NULL is fine. */
void pool_destroy(struct pool *p);

#endif
