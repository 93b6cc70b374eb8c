// SPDX-License-Identifier: MIT
#include "host/virtio/object.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "host/virtio/mem.h"

struct virtio_objects {
	pthread_mutex_t lock; /* held for a walk along the list */
	struct virtio_object *first;
	const struct virtio_objects_home_ops *home; /* NULL: none */
	void *home_owner;
	const struct guest_mem *mem;
};

#define TAIL_MAGIC 0x4a424f4du /* "MOBJ" */
#define TAIL_WRITE_ONLY 1u
#define TAIL_PAGES 2u /* what lies before it is a list of struct guest_mem_range, and @bytes is how many these have */
/* More than a resource of the GPU has. */
#define RANGES_MAX 262144u

/* The end of a memfd: what another process has to know of it, which is sent nothing but the descriptor. */
struct virtio_object_tail {
	uint32_t magic, flags;
	uint64_t bytes; /* before the tail, but for what aligns it */
	char order[8];
	uint32_t width, height, stride_bytes;
	atomic_uint writes;
};
_Static_assert(sizeof(struct virtio_object_tail) == 40 && sizeof(atomic_uint) == sizeof(uint32_t),
	       "one layout for all processes");

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

static size_t tail_offset(size_t bytes)
{
	return (bytes + 7) & ~(size_t)7;
}

static size_t file_bytes(size_t bytes)
{
	return tail_offset(bytes) + sizeof(struct virtio_object_tail);
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

/* A file of @size bytes, which has room for the tail. */
static int map_memory(struct virtio_object *o, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	o->pieces[0] = (struct iovec){at, size - sizeof(*o->tail)};
	o->tail = (struct virtio_object_tail *)(void *)((char *)at + o->pieces[0].iov_len);
	o->writes = &o->tail->writes;
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

static void write_tail(struct virtio_object *o)
{
	struct virtio_object_tail *t = o->tail;

	t->magic = TAIL_MAGIC;
	t->flags = o->is_write_only ? TAIL_WRITE_ONLY : 0;
	t->bytes = o->bytes;
	memcpy(t->order, o->shape.order, sizeof(o->shape.order));
	t->width = o->shape.width;
	t->height = o->shape.height;
	t->stride_bytes = o->shape.stride_bytes;
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
		err = map_memory(o, file_bytes(bytes));
	if (err < 0) {
		virtio_object_put(o);
		return err;
	}
	o->bytes = o->pieces[0].iov_len = bytes;
	write_tail(o);
	*out = o;
	return 0;
}

/*
 * A file that may shrink, or whose pages may not be there when they are touched (huge pages of a pool), would end this
 * process. Sealed first: the size can't change any more when it is looked at.
 */
static int check_file(int fd, size_t *size)
{
	const int seals = fcntl(fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st;

	if (seals < 0 || (seals & SEALS) != SEALS || fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC ||
	    fstat(fd, &st) < 0)
		return -EPERM;
	if (st.st_size < (off_t)sizeof(struct virtio_object_tail) + 1 || st.st_size % 8 != 0 ||
	    (uint64_t)st.st_size > UINT32_MAX)
		return -EINVAL;
	*size = (size_t)st.st_size;
	return 0;
}

/* Returns 0, or -EIO for a file that is not read as its size says. */
static int read_file(int fd, void *to, size_t bytes, size_t at)
{
	return pread(fd, to, bytes, (off_t)at) == (ssize_t)bytes ? 0 : -EIO;
}

/* @t is the copy that counts: whoever has the memory may write there at any time. */
static int import_memory(int fd, size_t size, const struct virtio_object_tail *t, struct virtio_object **out)
{
	const size_t room = size - sizeof(*t);
	struct virtio_object *o;
	int err;

	if (t->bytes == 0 || t->bytes > room || tail_offset((size_t)t->bytes) != room)
		return -EINVAL;
	o = make(1);
	if (!o)
		return -ENOMEM;
	memcpy(o->shape.order, t->order, sizeof(o->shape.order));
	o->shape.width = t->width;
	o->shape.height = t->height;
	o->shape.stride_bytes = t->stride_bytes;
	o->is_write_only = t->flags & TAIL_WRITE_ONLY;
	o->bytes = (size_t)t->bytes;
	o->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	err = o->fd < 0 ? -errno : is_inside(&o->shape, o->bytes) ? map_memory(o, size) : -EINVAL;
	if (err < 0) {
		virtio_object_put(o);
		return err;
	}
	o->pieces[0].iov_len = o->bytes;
	*out = o;
	return 0;
}

static int find_pages(struct virtio_object *o, const struct guest_mem_range *ranges, const struct guest_mem *mem)
{
	for (unsigned i = 0; i < o->piece_count; i++) {
		void *host = guest_mem_range(mem, ranges[i].gpa, ranges[i].bytes);

		if (!host || ranges[i].bytes > UINT32_MAX - o->bytes)
			return -EINVAL;
		o->pieces[i] = (struct iovec){host, ranges[i].bytes};
		o->bytes += ranges[i].bytes;
	}
	return 0;
}

static int import_pages(int fd, size_t size, const struct virtio_object_tail *t, const struct guest_mem *mem,
			struct virtio_object **out)
{
	const size_t count = (size - sizeof(*t)) / sizeof(struct guest_mem_range);
	struct virtio_object *o = NULL;
	struct guest_mem_range *ranges;
	int err = -ENOMEM;

	if (!mem || count == 0 || count > RANGES_MAX || count * sizeof(*ranges) + sizeof(*t) != size)
		return -EINVAL;
	ranges = malloc(count * sizeof(*ranges));
	if (ranges)
		o = make((unsigned)count);
	if (o)
		err = read_file(fd, ranges, count * sizeof(*ranges), 0);
	if (err == 0)
		err = find_pages(o, ranges, mem);
	free(ranges);
	if (err < 0) {
		virtio_object_put(o);
		return err;
	}
	*out = o;
	return 0;
}

int virtio_object_import(int fd, const struct guest_mem *mem, struct virtio_object **out)
{
	struct virtio_object_tail t;
	size_t size;
	int err = check_file(fd, &size);

	if (err == 0)
		err = read_file(fd, &t, sizeof(t), size - sizeof(t));
	if (err == 0 && t.magic != TAIL_MAGIC)
		err = -EINVAL;
	if (err == 0)
		err = t.flags & TAIL_PAGES ? import_pages(fd, size, &t, mem, out) : import_memory(fd, size, &t, out);
	if (fd >= 0)
		close(fd);
	return err;
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

void virtio_objects_set_home(struct virtio_objects *t, const struct virtio_objects_home_ops *ops, void *owner,
			     const struct guest_mem *mem)
{
	t->home = ops;
	t->home_owner = owner;
	t->mem = mem;
}

bool virtio_objects_are_shared(const struct virtio_objects *t)
{
	return t && (!t->home || t->home->is_open(t->home_owner));
}

/* Nobody writes there any more: the other is to read what we wrote. */
static int make_list(struct virtio_object *o, const struct guest_mem_range *ranges, unsigned count)
{
	const struct virtio_object_tail t = {.magic = TAIL_MAGIC, .flags = TAIL_PAGES, .bytes = o->bytes};
	const size_t bytes = count * sizeof(*ranges);
	int fd = memfd_create("mullion-pages", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (pwrite(fd, ranges, bytes, 0) != (ssize_t)bytes || pwrite(fd, &t, sizeof(t), (off_t)bytes) != sizeof(t))
		err = -EIO;
	else if (fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_WRITE) < 0)
		err = -errno;
	if (err < 0)
		close(fd);
	else
		o->fd = fd;
	return err;
}

static int describe_pages(struct virtio_object *o, const struct guest_mem *mem)
{
	const unsigned most = o->piece_count + GUEST_MEM_MAX_REGIONS;
	struct guest_mem_range *ranges;
	int count;

	if (!mem)
		return -EFAULT;
	ranges = malloc(most * sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	count = guest_mem_ranges(mem, o->pieces, o->piece_count, ranges, most < RANGES_MAX ? most : RANGES_MAX);
	if (count > 0)
		count = make_list(o, ranges, (unsigned)count);
	else if (count == 0)
		count = -EFAULT;
	free(ranges);
	return count;
}

/* Where @o is, or the end of the list. With the lock. */
static struct virtio_object **find_link(struct virtio_objects *t, const struct virtio_object *o)
{
	struct virtio_object **at = &t->first;

	while (*at && *at != o)
		at = &(*at)->next;
	return at;
}

int virtio_objects_publish(struct virtio_objects *t, struct virtio_object *o, const uint8_t uuid[VIRTIO_UUID_BYTES])
{
	bool is_there;

	pthread_mutex_lock(&t->lock);
	is_there = *find_link(t, o);
	pthread_mutex_unlock(&t->lock);
	/* A second time in the list it would be the end of it. */
	if (is_there)
		return -EEXIST;
	memcpy(o->uuid, uuid, VIRTIO_UUID_BYTES);
	if (o->tail)
		write_tail(o);
	if (t->home) {
		int err = o->fd < 0 ? describe_pages(o, t->mem) : 0;

		if (err == 0)
			err = t->home->add(t->home_owner, o);
		if (err < 0)
			return err;
	}
	pthread_mutex_lock(&t->lock);
	o->next = t->first;
	t->first = o;
	pthread_mutex_unlock(&t->lock);
	return 0;
}

void virtio_objects_withdraw(struct virtio_objects *t, struct virtio_object *o)
{
	struct virtio_object **at;
	bool was_there;

	pthread_mutex_lock(&t->lock);
	at = find_link(t, o);
	was_there = *at;
	if (was_there)
		*at = o->next;
	pthread_mutex_unlock(&t->lock);
	if (was_there && t->home)
		t->home->remove(t->home_owner, o);
}

static struct virtio_object *find_elsewhere(struct virtio_objects *t, const uint8_t uuid[VIRTIO_UUID_BYTES])
{
	struct virtio_object *o;
	int fd = t->home->look_up(t->home_owner, uuid);

	if (fd < 0 || virtio_object_import(fd, t->mem, &o) < 0)
		return NULL;
	memcpy(o->uuid, uuid, VIRTIO_UUID_BYTES);
	return o;
}

static struct virtio_object *find_here(struct virtio_objects *t, const uint8_t uuid[VIRTIO_UUID_BYTES])
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

struct virtio_object *virtio_objects_find(struct virtio_objects *t, const uint8_t uuid[VIRTIO_UUID_BYTES])
{
	struct virtio_object *o = find_here(t, uuid);

	if (o || !t->home)
		return o;
	o = find_elsewhere(t, uuid);
	/* What is mapped needs none, and a guest has its codec hold thousands. */
	if (o && o->fd >= 0) {
		close(o->fd);
		o->fd = -1;
	}
	return o;
}

struct virtio_object *virtio_objects_find_again(struct virtio_objects *t, const uint8_t uuid[VIRTIO_UUID_BYTES])
{
	struct virtio_object *o = find_here(t, uuid);

	return o || !t->home ? o : find_elsewhere(t, uuid);
}

void virtio_object_put(struct virtio_object *o)
{
	if (!o || atomic_fetch_sub(&o->references, 1) != 1)
		return;
	if (o->tail) {
		char *at = o->pieces[0].iov_base;

		munmap(at, (size_t)((char *)(o->tail + 1) - at));
	}
	if (o->fd >= 0)
		close(o->fd);
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
