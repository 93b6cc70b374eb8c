// SPDX-License-Identifier: MIT
#include "vmm/shared_objects.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct shared_object {
	const void *owner;
	uint8_t uuid[SHARED_OBJECTS_UUID_BYTES];
	int fd;
	struct shared_object *next;
};

struct shared_objects {
	pthread_mutex_t lock; /* of the list; nothing is waited for with it */
	struct shared_object *first;
	unsigned users;
};

int shared_objects_create(struct shared_objects **out)
{
	struct shared_objects *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	*out = t;
	return 0;
}

static void take_out(struct shared_object **at)
{
	struct shared_object *o = *at;

	*at = o->next;
	close(o->fd);
	free(o);
}

void shared_objects_destroy(struct shared_objects *t)
{
	if (!t)
		return;
	while (t->first)
		take_out(&t->first);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void shared_objects_join(struct shared_objects *t)
{
	pthread_mutex_lock(&t->lock);
	t->users++;
	pthread_mutex_unlock(&t->lock);
}

void shared_objects_leave(struct shared_objects *t)
{
	pthread_mutex_lock(&t->lock);
	t->users--;
	pthread_mutex_unlock(&t->lock);
}

/* Where @uuid is, or the end of the list. */
static struct shared_object **find(struct shared_objects *t, const uint8_t *uuid)
{
	struct shared_object **at = &t->first;

	while (*at && memcmp((*at)->uuid, uuid, SHARED_OBJECTS_UUID_BYTES) != 0)
		at = &(*at)->next;
	return at;
}

/* Whoever is given it maps it: it must not become shorter, and be nothing but memory. */
static int check_descriptor(int fd)
{
	const int seals = fd < 0 ? 0 : fcntl(fd, F_GET_SEALS);

	if (fd < 0)
		return -ENOENT;
	return seals >= 0 && seals & F_SEAL_SHRINK ? 0 : -EPERM;
}

/* With the lock. */
static int link_in(struct shared_objects *t, struct shared_object *o)
{
	unsigned count = 0;

	if (*find(t, o->uuid))
		return -EEXIST;
	for (const struct shared_object *other = t->first; other; other = other->next)
		count += other->owner == o->owner;
	if (!t->users)
		return -ENODEV;
	if (count >= SHARED_OBJECTS_MAX)
		return -ENOSPC;
	o->next = t->first;
	t->first = o;
	return 0;
}

int shared_objects_add(struct shared_objects *t, const void *owner, const uint8_t uuid[SHARED_OBJECTS_UUID_BYTES],
		       int fd)
{
	struct shared_object *o = malloc(sizeof(*o));
	int err = o ? check_descriptor(fd) : -ENOMEM;

	if (!err) {
		*o = (struct shared_object){.owner = owner, .fd = fd};
		memcpy(o->uuid, uuid, sizeof(o->uuid));
		pthread_mutex_lock(&t->lock);
		err = link_in(t, o);
		pthread_mutex_unlock(&t->lock);
	}
	if (!err)
		return 0;
	if (fd >= 0)
		close(fd);
	free(o);
	return err;
}

int shared_objects_remove(struct shared_objects *t, const void *owner, const uint8_t uuid[SHARED_OBJECTS_UUID_BYTES])
{
	struct shared_object **at;
	int err = -ENOENT;

	pthread_mutex_lock(&t->lock);
	at = find(t, uuid);
	if (*at)
		err = (*at)->owner == owner ? 0 : -EPERM;
	if (!err)
		take_out(at);
	pthread_mutex_unlock(&t->lock);
	return err;
}

void shared_objects_drop(struct shared_objects *t, const void *owner)
{
	struct shared_object **at;

	pthread_mutex_lock(&t->lock);
	for (at = &t->first; *at;) {
		if ((*at)->owner == owner)
			take_out(at);
		else
			at = &(*at)->next;
	}
	pthread_mutex_unlock(&t->lock);
}

int shared_objects_find(struct shared_objects *t, const uint8_t uuid[SHARED_OBJECTS_UUID_BYTES])
{
	struct shared_object *o;
	int fd = -ENOENT;

	pthread_mutex_lock(&t->lock);
	o = *find(t, uuid);
	if (o) {
		fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 0);
		fd = fd < 0 ? -errno : fd;
	}
	pthread_mutex_unlock(&t->lock);
	return fd;
}
