// SPDX-License-Identifier: MIT
#include "host/base/pool.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/base/thread.h"

#define MAX_THREADS 64

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct pool_job *first;
	struct pool_job **last;
	bool stopping;
	unsigned count;
	char name[16];
	pthread_t threads[MAX_THREADS];
};

static void *worker(void *arg)
{
	struct pool *p = arg;

	pthread_setname_np(pthread_self(), p->name);
	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct pool_job *j = p->first;

		if (!j) {
			if (p->stopping)
				break;
			pthread_cond_wait(&p->wake, &p->lock);
			continue;
		}
		p->first = j->next;
		if (!p->first)
			p->last = &p->first;
		pthread_mutex_unlock(&p->lock);
		j->work(j); /* may free j */
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int pool_create(const char *name, unsigned threads, struct pool **out)
{
	struct pool *p;
	int err = 0;

	assert(threads >= 1 && threads <= MAX_THREADS);
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	p->last = &p->first;
	snprintf(p->name, sizeof(p->name), "%s", name);
	while (p->count < threads && !err) {
		err = thread_start(&p->threads[p->count], worker, p);
		p->count += !err;
	}
	if (err) {
		pool_destroy(p);
		return err;
	}
	*out = p;
	return 0;
}

void pool_submit(struct pool *p, struct pool_job *j)
{
	j->next = NULL;
	pthread_mutex_lock(&p->lock);
	*p->last = j;
	p->last = &j->next;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

void pool_destroy(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->count; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
