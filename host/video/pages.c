// SPDX-License-Identifier: MIT
#include "host/video/pages.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/video/buffer.h"
#include "host/virtio/mem.h"

/* Each may become a mapping of its own, of which a process has 65530 by default: of one buffer, and of all together. */
#define MAX_PIECES 256u
#define MAX_ALL_PIECES 16384u

static atomic_uint all_pieces;

struct video_pages {
	atomic_uint holders;
	uint8_t *base; /* whole pages */
	size_t mapped_bytes;
	size_t skip; /* before the buffer's first byte */
	unsigned pieces;
	struct iovec piece[]; /* of guest memory, as the device sees it; base NULL: of a file */
};

/* Put @piece at @at, which is a page's multiple from p->base less p->skip. */
static bool map_piece(const struct guest_mem *mem, const struct iovec *piece, uint8_t *at)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), skip = (uintptr_t)at & (page - 1);
	const struct guest_mem_region *r;
	uint64_t gpa, left, offset;

	if (!guest_mem_address(mem, piece->iov_base, &gpa, &left) || left < piece->iov_len)
		return false;
	r = guest_mem_find(mem, gpa);
	if (!r || r->fd < 0)
		return false;
	offset = r->fd_offset + (gpa - r->gpa);
	if ((offset & (page - 1)) != skip)
		return false;
	/* Huge pages can't be mapped at any other page: then this fails. */
	return mmap(at - skip, piece->iov_len + skip, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, r->fd,
		    (off_t)(offset - skip)) != MAP_FAILED;
}

static void give_pieces(unsigned count)
{
	atomic_fetch_sub(&all_pieces, count);
}

/* Returns false if there are too many. Only loops take; a decoder's and an encoder's may at once. */
static bool take_pieces(unsigned count)
{
	if (atomic_fetch_add(&all_pieces, count) + count <= MAX_ALL_PIECES)
		return true;
	give_pieces(count);
	return false;
}

/* Room for @bytes, @skip of a page before them, in @pieces. NULL: there is none. */
static struct video_pages *reserve(unsigned pieces, size_t skip, size_t bytes)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct video_pages *p;

	if (pieces == 0 || pieces > MAX_PIECES || !take_pieces(pieces))
		return NULL;
	p = calloc(1, sizeof(*p) + pieces * sizeof(p->piece[0]));
	if (!p) {
		give_pieces(pieces);
		return NULL;
	}
	p->pieces = pieces;
	p->skip = skip;
	p->mapped_bytes = (skip + bytes + page - 1) & ~(page - 1);
	atomic_init(&p->holders, 1);
	p->base = mmap(NULL, p->mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->base == MAP_FAILED) {
		give_pieces(pieces);
		free(p);
		return NULL;
	}
	return p;
}

struct video_pages *video_pages_map(const struct guest_mem *mem, const struct video_buffer *b)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct video_pages *p;
	uint8_t *at;

	p = b->piece_count == 0 ? NULL
				: reserve(b->piece_count, (uintptr_t)b->pieces[0].iov_base & (page - 1), b->bytes);
	if (!p)
		return NULL;
	at = p->base + p->skip;
	for (unsigned i = 0; i < b->piece_count; i++) {
		/* The one before must have ended with a page. */
		if ((i > 0 && (uintptr_t)at & (page - 1)) || !map_piece(mem, &b->pieces[i], at)) {
			video_pages_unref(p);
			return NULL;
		}
		p->piece[i] = b->pieces[i];
		at += b->pieces[i].iov_len;
	}
	return p;
}

struct video_pages *video_pages_map_file(int fd, size_t offset, size_t bytes)
{
	struct video_pages *p = reserve(1, 0, bytes);

	if (p &&
	    mmap(p->base, bytes, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, (off_t)offset) == MAP_FAILED) {
		video_pages_unref(p);
		return NULL;
	}
	return p;
}

bool video_pages_are_of(const struct video_pages *p, const struct video_buffer *b)
{
	if (!p || p->pieces != b->piece_count)
		return false;
	for (unsigned i = 0; i < p->pieces; i++) {
		if (p->piece[i].iov_base != b->pieces[i].iov_base || p->piece[i].iov_len != b->pieces[i].iov_len)
			return false;
	}
	return true;
}

const uint8_t *video_pages_bytes(const struct video_pages *p)
{
	return p->base + p->skip;
}

struct video_pages *video_pages_ref(struct video_pages *p)
{
	atomic_fetch_add(&p->holders, 1);
	return p;
}

void video_pages_unref(struct video_pages *p)
{
	if (!p || atomic_fetch_sub(&p->holders, 1) != 1)
		return;
	munmap(p->base, p->mapped_bytes);
	give_pieces(p->pieces);
	free(p);
}
