// SPDX-License-Identifier: MIT
#include "host/virtio/object.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct virtio_objects {
	pthread_mutex_t lock; /* held for a walk along the list */
	struct virtio_object *first;
};

int virtio_objects_create(struct virtio_objects **out)
{
	struct virtio_objects *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	*out = t;
	return 0;
}

void virtio_objects_destroy(struct virtio_objects *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static struct virtio_object *make(unsigned count)
{
	struct virtio_object *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->fd = -1;
	o->writes = &o->own_writes;
	atomic_init(&o->references, 1);
	o->pieces = calloc(count, sizeof(*o->pieces));
	o->piece_count = count;
	if (!o->pieces) {
		free(o);
		return NULL;
	}
	return o;
}

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* The counter lies behind the bytes. */
static size_t counter_offset(size_t bytes)
{
	return (bytes + sizeof(atomic_uint) - 1) / sizeof(atomic_uint) * sizeof(atomic_uint);
}

static size_t file_bytes(size_t bytes)
{
	return counter_offset(bytes) + sizeof(atomic_uint);
}

/* Anonymous memory that another process can be given: it can't be cut short under whoever has it mapped. */
static int make_memory(struct virtio_object *o, size_t bytes)
{
	o->fd = memfd_create("mullion-object", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (o->fd < 0)
		return -errno;
	if (ftruncate(o->fd, (off_t)file_bytes(bytes)) < 0 || fcntl(o->fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	return 0;
}

static int map_memory(struct virtio_object *o, size_t bytes)
{
	void *at = mmap(NULL, file_bytes(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	o->pieces[0] = (struct iovec){at, bytes};
	o->bytes = bytes;
	o->writes = (atomic_uint *)(void *)((char *)at + counter_offset(bytes));
	return 0;
}

/* Does a picture of that shape lie in @bytes? All pictures here have 4 bytes a pixel. */
static bool is_inside(const struct virtio_object_shape *s, size_t bytes)
{
	if (s->order[0] == '\0')
		return true;
	return s->order[4] == '\0' && s->width > 0 && s->height > 0 && s->stride_bytes / 4 >= s->width &&
	       (uint64_t)s->stride_bytes * (s->height - 1) + (uint64_t)s->width * 4 <= bytes;
}

int virtio_object_create(const struct virtio_object_shape *shape, size_t bytes, struct virtio_object **out)
{
	struct virtio_object *o = make(1);
	int err;

	if (!o)
		return -ENOMEM;
	if (shape)
		o->shape = *shape;
	err = make_memory(o, bytes);
	if (err == 0)
		err = map_memory(o, bytes);
	if (err < 0) {
		virtio_object_put(o);
		return err;
	}
	*out = o;
	return 0;
}

int virtio_object_import(const struct virtio_object_shape *shape, size_t bytes, int fd, struct virtio_object **out)
{
	struct virtio_object *o = make(1);
	struct stat st;
	int err = 0, seals = fcntl(fd, F_GET_SEALS);

	if (!o) {
		close(fd);
		return -ENOMEM;
	}
	o->fd = fd;
	if (shape)
		o->shape = *shape;
	/* Sealed first: the size can't change any more when it is looked at. */
	if (seals < 0 || (seals & SEALS) != SEALS || (seals & F_SEAL_WRITE))
		err = -EPERM;
	else if (fstat(fd, &st) < 0 || bytes == 0 || bytes > SIZE_MAX / 2 || st.st_size < 0 ||
		 (uint64_t)st.st_size != file_bytes(bytes) || !is_inside(&o->shape, bytes))
		err = -EINVAL;
	if (err == 0)
		err = map_memory(o, bytes);
	if (err < 0) {
		virtio_object_put(o);
		return err;
	}
	*out = o;
	return 0;
}

int virtio_object_create_on(const struct iovec *pieces, unsigned count, struct virtio_object **out)
{
	struct virtio_object *o = make(count);

	if (!o)
		return -ENOMEM;
	memcpy(o->pieces, pieces, count * sizeof(*pieces));
	for (unsigned i = 0; i < count; i++)
		o->bytes += pieces[i].iov_len;
	*out = o;
	return 0;
}

void virtio_objects_publish(struct virtio_objects *t, struct virtio_object *o, const uint8_t uuid[VIRTIO_UUID_BYTES])
{
	memcpy(o->uuid, uuid, VIRTIO_UUID_BYTES);
	pthread_mutex_lock(&t->lock);
	o->next = t->first;
	t->first = o;
	pthread_mutex_unlock(&t->lock);
}

void virtio_objects_withdraw(struct virtio_objects *t, struct virtio_object *o)
{
	struct virtio_object **at;

	pthread_mutex_lock(&t->lock);
	for (at = &t->first; *at && *at != o; at = &(*at)->next)
		;
	if (*at)
		*at = o->next;
	pthread_mutex_unlock(&t->lock);
}

struct virtio_object *virtio_objects_find(struct virtio_objects *t, const uint8_t uuid[VIRTIO_UUID_BYTES])
{
	struct virtio_object *o;

	pthread_mutex_lock(&t->lock);
	for (o = t->first; o && memcmp(o->uuid, uuid, VIRTIO_UUID_BYTES) != 0; o = o->next)
		;
	/* Under the lock: who withdraws it puts it afterwards. */
	if (o)
		atomic_fetch_add(&o->references, 1);
	pthread_mutex_unlock(&t->lock);
	return o;
}

void virtio_object_put(struct virtio_object *o)
{
	if (!o || atomic_fetch_sub(&o->references, 1) != 1)
		return;
	if (o->fd >= 0) {
		if (o->pieces[0].iov_base)
			munmap(o->pieces[0].iov_base, file_bytes(o->bytes));
		close(o->fd);
	}
	free(o->pieces);
	free(o);
}

void virtio_object_written(struct virtio_object *o)
{
	/* Release: pairs with the acquire below. */
	atomic_fetch_add_explicit(o->writes, 1, memory_order_release);
}

unsigned virtio_object_writes(struct virtio_object *o)
{
	return atomic_load_explicit(o->writes, memory_order_acquire);
}
