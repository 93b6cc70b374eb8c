// SPDX-License-Identifier: MIT
#include "host/vhost/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/virtio/mem.h"

/* A frontend that exchanges tables in a loop must not use up the address space. */
#define MAX_RETIRED 4096u

/* Shared by tables that have the same region; unmapped when the last of them and the retired list are done with it. */
struct mapping {
	struct vhost_user_region at;
	dev_t device;
	ino_t inode;
	int fd;
	void *base; /* of the mapping, which begins at a multiple of the file's pages */
	size_t bytes;
	uint8_t *host; /* of the region's first byte */
	unsigned users;
	struct mapping *next_retired;
};

struct table {
	unsigned count;
	struct mapping *of[VHOST_MEMORY_SLOTS];
};

struct vhost_memory {
	struct guest_mem *mem;
	struct table now;
	struct table next; /* only while it is put together */
	struct mapping *retired;
	unsigned retired_count;
};

static void unmap(struct mapping *p)
{
	munmap(p->base, p->bytes);
	close(p->fd);
	free(p);
}

int vhost_memory_create(struct guest_mem *mem, struct vhost_memory **out)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(*out)->mem = mem;
	return 0;
}

static bool wraps(uint64_t start, uint64_t size)
{
	return start + size < start;
}

/* Map @region of @fd; takes @fd on success. */
static int map(const struct vhost_user_region *region, int fd, const struct stat *st, struct mapping **out)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t skip;
	struct mapping *p;

	/* Files of huge pages are mapped from a multiple of those. */
	if (st->st_blksize > 0 && (uint64_t)st->st_blksize > page && !(st->st_blksize & (st->st_blksize - 1)))
		page = (uint64_t)st->st_blksize;
	skip = region->mmap_offset & (page - 1);
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->bytes = region->size + skip;
	p->base = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		       (off_t)(region->mmap_offset - skip));
	if (p->base == MAP_FAILED) {
		int err = -errno;

		free(p);
		return err;
	}
	/* Guest memory is no part of a core dump of ours. */
	madvise(p->base, p->bytes, MADV_DONTDUMP);
	p->at = *region;
	p->device = st->st_dev;
	p->inode = st->st_ino;
	p->fd = fd;
	p->host = (uint8_t *)p->base + skip;
	*out = p;
	return 0;
}

static bool same_region(const struct vhost_user_region *a, const struct vhost_user_region *b)
{
	return a->gpa == b->gpa && a->size == b->size && a->user == b->user && a->mmap_offset == b->mmap_offset;
}

/* Put @region into the next table, with the mapping that the current one has of it, or a new one. */
static int take(struct vhost_memory *m, const struct vhost_user_region *region, int *fd)
{
	struct mapping *p = NULL;
	struct stat st;
	int err;

	if (m->next.count == VHOST_MEMORY_SLOTS)
		return -ENOSPC;
	if (!region->size || wraps(region->gpa, region->size) || wraps(region->user, region->size) ||
	    wraps(region->mmap_offset, region->size))
		return -EINVAL;
	if (fstat(*fd, &st) < 0)
		return -errno;
	/* A page past the end of the file would be a SIGBUS when it is touched. */
	if (!S_ISREG(st.st_mode) || region->mmap_offset + region->size > (uint64_t)st.st_size)
		return -EINVAL;
	for (unsigned i = 0; i < m->now.count && !p; i++) {
		struct mapping *old = m->now.of[i];

		if (same_region(&old->at, region) && old->device == st.st_dev && old->inode == st.st_ino)
			p = old;
	}
	if (!p) {
		err = map(region, *fd, &st, &p);
		if (err)
			return err;
		*fd = -1;
	}
	assert(p);
	p->users++;
	m->next.of[m->next.count++] = p;
	return 0;
}

/* Drop a table; mappings that nobody uses any more are retired, or unmapped when nobody can have seen them. */
static void drop(struct vhost_memory *m, struct table *t, bool seen)
{
	for (unsigned i = 0; i < t->count; i++) {
		struct mapping *p = t->of[i];

		if (--p->users)
			continue;
		if (seen) {
			p->next_retired = m->retired;
			m->retired = p;
			m->retired_count++;
		} else {
			unmap(p);
		}
	}
	t->count = 0;
}

/* Make the next table the current one, in the eyes of the device too. */
static int commit(struct vhost_memory *m)
{
	struct guest_mem *map;
	struct table old;
	int err;

	if (m->retired_count + m->now.count > MAX_RETIRED)
		return -ENOSPC;
	err = guest_mem_create(&map);
	for (unsigned i = 0; i < m->next.count && !err; i++) {
		const struct mapping *p = m->next.of[i];

		err = guest_mem_add(map, &(struct guest_mem_region){.gpa = p->at.gpa,
								    .size_bytes = p->at.size,
								    .host = p->host,
								    .fd = p->fd,
								    .fd_offset = p->at.mmap_offset});
	}
	if (!err) {
		guest_mem_swap(m->mem, map);
		old = m->now;
		m->now = m->next;
		m->next.count = 0;
		drop(m, &old, true);
	}
	guest_mem_destroy(map);
	return err;
}

static int finish(struct vhost_memory *m, int err)
{
	if (!err)
		err = commit(m);
	drop(m, &m->next, false);
	return err;
}

int vhost_memory_replace(struct vhost_memory *m, const struct vhost_user_region *regions, int *fds, unsigned count)
{
	int err = 0;

	for (unsigned i = 0; i < count && !err; i++)
		err = take(m, &regions[i], &fds[i]);
	return finish(m, err);
}

/* The next table begins as the current one without @but, if that is not NULL. */
static bool copy_table(struct vhost_memory *m, const struct vhost_user_region *but)
{
	bool found = false;

	for (unsigned i = 0; i < m->now.count; i++) {
		struct mapping *p = m->now.of[i];

		if (but && p->at.gpa == but->gpa && p->at.size == but->size && p->at.user == but->user) {
			found = true;
			continue;
		}
		p->users++;
		m->next.of[m->next.count++] = p;
	}
	return found;
}

int vhost_memory_add(struct vhost_memory *m, const struct vhost_user_region *region, int *fd)
{
	copy_table(m, NULL);
	return finish(m, take(m, region, fd));
}

int vhost_memory_remove(struct vhost_memory *m, const struct vhost_user_region *region)
{
	return finish(m, copy_table(m, region) ? 0 : -ENOENT);
}

void vhost_memory_clear(struct vhost_memory *m)
{
	guest_mem_clear(m->mem);
	drop(m, &m->now, true);
}

bool vhost_memory_translate(const struct vhost_memory *m, uint64_t user, uint64_t *gpa)
{
	for (unsigned i = 0; i < m->now.count; i++) {
		const struct vhost_user_region *at = &m->now.of[i]->at;

		if (user >= at->user && user - at->user < at->size) {
			*gpa = at->gpa + (user - at->user);
			return true;
		}
	}
	return false;
}

void vhost_memory_reap(struct vhost_memory *m)
{
	while (m->retired) {
		struct mapping *p = m->retired;

		m->retired = p->next_retired;
		unmap(p);
	}
	m->retired_count = 0;
}

unsigned vhost_memory_retired(const struct vhost_memory *m)
{
	return m->retired_count;
}

void vhost_memory_destroy(struct vhost_memory *m)
{
	if (!m)
		return;
	vhost_memory_clear(m);
	vhost_memory_reap(m);
	free(m);
}
