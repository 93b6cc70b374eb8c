// SPDX-License-Identifier: MIT
#include "host/video/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/video/buffer.h"
#include "host/virtio/mem.h"

/* Each may become a mapping of its own, of which a process has 65530 by default: of one buffer, and of all together. */
#define MAX_PIECES 256u
#define MAX_ALL_PIECES 16384u

static atomic_uint all_pieces;

/* Bytes of a file, and where the device sees them; NULL: by these pages only. */
struct piece {
	const void *host;
	int fd;
	size_t offset, bytes;
};

struct video_pages {
	atomic_uint holders;
	uint8_t *base; /* whole pages */
	size_t mapped_bytes;
	size_t skip; /* before the buffer's first byte */
	bool asked;  /* for the dma-buf */
	int dmabuf;  /* -1: none */
	unsigned pieces;
	struct piece piece[];
};

/* Find @v in the file behind guest memory, and put it at @at, which is a page's multiple from p->base less p->skip. */
static bool map_piece(const struct guest_mem *mem, const struct iovec *v, uint8_t *at, struct piece *out)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), skip = (uintptr_t)at & (page - 1);
	const struct guest_mem_region *r;
	uint64_t gpa, left;

	if (!guest_mem_address(mem, v->iov_base, &gpa, &left) || left < v->iov_len)
		return false;
	r = guest_mem_find(mem, gpa);
	if (!r || r->fd < 0)
		return false;
	*out = (struct piece){v->iov_base, r->fd, r->fd_offset + (gpa - r->gpa), v->iov_len};
	if ((out->offset & (page - 1)) != skip)
		return false;
	/* Huge pages can't be mapped at any other page: then this fails. */
	return mmap(at - skip, out->bytes + skip, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, out->fd,
		    (off_t)(out->offset - skip)) != MAP_FAILED;
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
	p->dmabuf = -1;
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
		if ((i > 0 && (uintptr_t)at & (page - 1)) || !map_piece(mem, &b->pieces[i], at, &p->piece[i])) {
			video_pages_unref(p);
			return NULL;
		}
		at += b->pieces[i].iov_len;
	}
	return p;
}

/* As video_pages_map_file(), with PROT_*. */
static struct video_pages *map_file(int fd, size_t offset, size_t bytes, int protection)
{
	struct video_pages *p = reserve(1, 0, bytes);

	if (!p)
		return NULL;
	if (mmap(p->base, bytes, protection, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, (off_t)offset) == MAP_FAILED) {
		video_pages_unref(p);
		return NULL;
	}
	p->piece[0] = (struct piece){NULL, fd, offset, bytes};
	return p;
}

struct video_pages *video_pages_map_file(int fd, size_t offset, size_t bytes)
{
	return map_file(fd, offset, bytes, PROT_READ);
}

bool video_pages_are_of(const struct video_pages *p, const struct video_buffer *b)
{
	if (!p || p->pieces != b->piece_count)
		return false;
	for (unsigned i = 0; i < p->pieces; i++) {
		if (p->piece[i].host != b->pieces[i].iov_base || p->piece[i].bytes != b->pieces[i].iov_len)
			return false;
	}
	return true;
}

/* Of whole pages only: all pieces but the last end with one, and that one's rest is its file's, too. */
static int make_dmabuf(const struct video_pages *p)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int device = p->skip == 0 ? open("/dev/udmabuf", O_RDWR | O_CLOEXEC) : -1, fd = -1;
	struct udmabuf_create_list *list = NULL;

	if (device >= 0)
		list = calloc(1, sizeof(*list) + p->pieces * sizeof(list->list[0]));
	if (list) {
		list->flags = UDMABUF_FLAGS_CLOEXEC;
		list->count = p->pieces;
		for (unsigned i = 0; i < p->pieces; i++)
			list->list[i] = (struct udmabuf_create_item){
				.memfd = (__u32)p->piece[i].fd,
				.offset = p->piece[i].offset,
				.size = (p->piece[i].bytes + page - 1) & ~(page - 1),
			};
		fd = ioctl(device, UDMABUF_CREATE_LIST, list);
		if (fd < 0)
			log_line(LOG_TOPIC_VIDEO, LOG_DEBUG, "no dma-buf of %u pieces: %s", p->pieces, strerror(errno));
		free(list);
	}
	if (device >= 0)
		close(device);
	return fd;
}

int video_pages_dmabuf(struct video_pages *p)
{
	if (!p)
		return -1;
	if (!p->asked)
		p->dmabuf = make_dmabuf(p);
	p->asked = true;
	return p->dmabuf;
}

size_t video_pages_dmabuf_bytes(const struct video_pages *p)
{
	return p->mapped_bytes;
}

struct video_pages *video_pages_create(size_t bytes)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) & ~(page - 1);
	int fd = memfd_create("mullion-picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct video_pages *p = NULL;

	if (fd < 0)
		return NULL;
	/* What may shrink is no memory for a driver. */
	if (ftruncate(fd, (off_t)whole) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0)
		p = map_file(fd, 0, bytes, PROT_READ | PROT_WRITE);
	if (p && video_pages_dmabuf(p) < 0) {
		video_pages_unref(p);
		p = NULL;
	}
	/* The mapping and the dma-buf keep it. */
	close(fd);
	return p;
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
	if (p->dmabuf >= 0)
		close(p->dmabuf);
	give_pieces(p->pieces);
	free(p);
}
