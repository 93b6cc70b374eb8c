// SPDX-License-Identifier: MIT
#include "host/virtio/shared_heap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BITS 64u

struct shared_heap {
	int fd;
	uint8_t *at;
	uint64_t size, page, page_count;
	uint64_t *taken; /* a bit a page */
};

int shared_heap_memfd(uint64_t bytes)
{
	int fd = memfd_create("shared-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static uint64_t page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t shared_heap_pages(uint64_t bytes)
{
	uint64_t page = page_bytes();

	return bytes > UINT64_MAX - page ? UINT64_MAX / page * page : (bytes + page - 1) / page * page;
}

int shared_heap_open(int fd, struct shared_heap **out)
{
	struct shared_heap *h = calloc(1, sizeof(*h));
	struct stat st;
	int err = -ENOMEM;

	if (!h)
		return -ENOMEM;
	h->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (h->fd < 0 || fstat(h->fd, &st) < 0) {
		err = -errno;
		goto fail;
	}
	h->page = page_bytes();
	h->size = (uint64_t)st.st_size / h->page * h->page;
	h->page_count = h->size / h->page;
	h->taken = calloc((size_t)(h->page_count / BITS + 1), sizeof(*h->taken));
	if (!h->taken)
		goto fail;
	h->at = mmap(NULL, h->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, h->fd, 0);
	if (h->at == MAP_FAILED) {
		h->at = NULL;
		err = -errno;
		goto fail;
	}
	*out = h;
	return 0;
fail:
	shared_heap_close(h);
	return err;
}

void shared_heap_close(struct shared_heap *h)
{
	if (!h)
		return;
	if (h->at)
		munmap(h->at, h->size);
	if (h->fd >= 0)
		close(h->fd);
	free(h->taken);
	free(h);
}

uint64_t shared_heap_size(const struct shared_heap *h)
{
	return h->size;
}

int shared_heap_fd(const struct shared_heap *h)
{
	return h->fd;
}

void *shared_heap_at(const struct shared_heap *h, uint64_t offset)
{
	return h->at + offset;
}

static bool is_taken(const struct shared_heap *h, uint64_t page)
{
	return h->taken[page / BITS] >> (page % BITS) & 1;
}

static void mark(struct shared_heap *h, uint64_t first, uint64_t count, bool taken)
{
	for (uint64_t page = first; page < first + count; page++) {
		uint64_t bit = 1ull << (page % BITS);

		if (taken)
			h->taken[page / BITS] |= bit;
		else
			h->taken[page / BITS] &= ~bit;
	}
}

/* The end of the run of pages from @first on that are all taken, or all free. */
static uint64_t end_of_run(const struct shared_heap *h, uint64_t first)
{
	bool taken = is_taken(h, first);
	uint64_t page = first + 1;

	while (page < h->page_count) {
		if (page % BITS == 0 && h->taken[page / BITS] == (taken ? ~0ull : 0))
			page += BITS;
		else if (is_taken(h, page) == taken)
			page++;
		else
			break;
	}
	return page < h->page_count ? page : h->page_count;
}

static int punch(struct shared_heap *h, uint64_t first, uint64_t count)
{
	return fallocate(h->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(first * h->page),
			 (off_t)(count * h->page)) < 0
		       ? -errno
		       : 0;
}

int shared_heap_take(struct shared_heap *h, uint64_t bytes, uint64_t *offset)
{
	uint64_t need = shared_heap_pages(bytes) / h->page;
	int err;

	if (!bytes)
		return -EINVAL;
	for (uint64_t first = 0, end; first < h->page_count; first = end) {
		end = end_of_run(h, first);
		if (is_taken(h, first) || end - first < need)
			continue;
		/* Who had it before may have left something there. */
		err = punch(h, first, need);
		if (err)
			return err;
		mark(h, first, need, true);
		*offset = first * h->page;
		return 0;
	}
	return -ENOSPC;
}

int shared_heap_take_again(struct shared_heap *h, uint64_t offset, uint64_t bytes)
{
	uint64_t first = offset / h->page, count = bytes / h->page;

	if (!bytes || offset % h->page || bytes % h->page || first >= h->page_count || count > h->page_count - first)
		return -EINVAL;
	if (is_taken(h, first) || end_of_run(h, first) - first < count)
		return -EEXIST;
	mark(h, first, count, true);
	return 0;
}

void shared_heap_give(struct shared_heap *h, uint64_t offset, uint64_t bytes)
{
	uint64_t first = offset / h->page, count = shared_heap_pages(bytes) / h->page;

	mark(h, first, count, false);
	/* If it can't, the memory goes when the piece is taken next. */
	(void)punch(h, first, count);
}

void shared_heap_trim(struct shared_heap *h)
{
	for (uint64_t first = 0, end; first < h->page_count; first = end) {
		end = end_of_run(h, first);
		if (!is_taken(h, first))
			(void)punch(h, first, end - first);
	}
}
