// SPDX-License-Identifier: MIT
#include "vmm/bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct bus {
	const char *name;
	pthread_mutex_t lock; /* the list and every range's user count; not held during an access */
	pthread_cond_t idle;
	struct bus_range *ranges; /* by base */
};

int bus_create(const char *name, struct bus **out)
{
	struct bus *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->name = name;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->idle, NULL);
	*out = b;
	return 0;
}

void bus_destroy(struct bus *b)
{
	if (!b)
		return;
	pthread_cond_destroy(&b->idle);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

int bus_add(struct bus *b, struct bus_range *r)
{
	struct bus_range **at;
	int err = 0;

	if (!r->size || r->base > UINT64_MAX - (r->size - 1))
		return -EINVAL;
	pthread_mutex_lock(&b->lock);
	for (at = &b->ranges; *at && (*at)->base <= r->base; at = &(*at)->next)
		if (r->base - (*at)->base < (*at)->size)
			err = -EEXIST;
	if (*at && (*at)->base - r->base < r->size)
		err = -EEXIST;
	if (!err) {
		r->users = 0;
		r->next = *at;
		*at = r;
	}
	pthread_mutex_unlock(&b->lock);
	return err;
}

void bus_remove(struct bus *b, struct bus_range *r)
{
	struct bus_range **at;

	pthread_mutex_lock(&b->lock);
	for (at = &b->ranges; *at && *at != r; at = &(*at)->next)
		;
	if (*at)
		*at = r->next;
	while (r->users)
		pthread_cond_wait(&b->idle, &b->lock);
	pthread_mutex_unlock(&b->lock);
}

bool bus_access(struct bus *b, uint64_t address, void *data, unsigned size, bool write)
{
	struct bus_range *r;

	pthread_mutex_lock(&b->lock);
	for (r = b->ranges; r && r->base <= address; r = r->next)
		if (address - r->base < r->size)
			break;
	if (r && (r->base > address || r->size - (address - r->base) < size))
		r = NULL;
	if (r)
		r->users++;
	pthread_mutex_unlock(&b->lock);
	if (!r) {
		if (!write)
			memset(data, 0xff, size);
		return false;
	}
	r->access(r->owner, address - r->base, data, size, write);
	pthread_mutex_lock(&b->lock);
	if (!--r->users)
		pthread_cond_broadcast(&b->idle);
	pthread_mutex_unlock(&b->lock);
	return true;
}
