// SPDX-License-Identifier: MIT
#include "host/virtio/chain.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "host/virtio/ring.h"

/* ---- building ---- */

bool chain_grow(struct chain *c)
{
	unsigned capacity = c->capacity ? 2 * c->capacity : 8;
	struct iovec *grown = realloc(c->iov, capacity * sizeof(*grown));

	if (!grown)
		return false;
	c->iov = grown;
	c->capacity = capacity;
	return true;
}

const char *chain_add(struct chain *c, uint64_t gpa, uint32_t bytes, bool writable)
{
	void *host;

	c->last_gpa = gpa;
	c->last_bytes = bytes;
	if (writable)
		c->saw_writable = true;
	else if (c->saw_writable)
		return "a readable descriptor follows a writable one";
	/* Of no use, but not forbidden either: an address of no bytes is never followed. */
	if (!bytes)
		return NULL;
	c->bytes += bytes;
	if (c->bytes > UINT32_MAX)
		return "a chain of more than 2^32 - 1 bytes";
	host = guest_mem_range(c->q->mem, gpa, bytes);
	if (!host)
		return "a buffer is not (wholly) in one region of guest memory";
	if (c->count == c->capacity && !chain_grow(c))
		return "the host has no memory for the chain";
	c->iov[c->count].iov_base = host;
	c->iov[c->count].iov_len = bytes;
	c->count++;
	if (!writable) {
		c->readable++;
		c->read_bytes += bytes;
	}
	return NULL;
}

void chain_ready(struct chain *c)
{
	c->owner = NULL;
	c->reader.at = (struct cursor){ .v = c->iov, .left = c->read_bytes };
	c->writer.at = (struct cursor){ .v = c->iov + c->readable, .left = c->bytes - c->read_bytes };
	c->writer.total = (uint32_t)(c->bytes - c->read_bytes);
}

/* ---- cursors ---- */

/* The next range of at most @n bytes; moves over it. There are at least @n > 0 bytes left. */
static struct iovec take(struct cursor *at, size_t n)
{
	struct iovec v = { .iov_base = (uint8_t *)at->v->iov_base + at->offset,
			   .iov_len = at->v->iov_len - at->offset };

	if (v.iov_len > n) {
		v.iov_len = n;
		at->offset += n;
	} else {
		at->v++;
		at->offset = 0;
	}
	at->left -= v.iov_len;
	return v;
}

static int take_iov(struct cursor *at, size_t n, struct iovec *v, int cap, int too_short)
{
	struct cursor begin = *at;
	int count = 0;

	if (n > at->left)
		return too_short;
	while (n) {
		if (count == cap) {
			*at = begin;
			return -E2BIG;
		}
		v[count] = take(at, n);
		n -= v[count++].iov_len;
	}
	return count;
}

struct reader *chain_reader(struct chain *c)
{
	return &c->reader;
}

struct writer *chain_writer(struct chain *c)
{
	return &c->writer;
}

size_t reader_left(const struct reader *r)
{
	return r->at.left;
}

size_t writer_left(const struct writer *w)
{
	return w->at.left;
}

int reader_copy(struct reader *r, void *dst, size_t n)
{
	uint8_t *to = dst;

	if (n > r->at.left)
		return -ENODATA;
	while (n) {
		struct iovec v = take(&r->at, n);

		copy_once(to, v.iov_base, v.iov_len);
		to += v.iov_len;
		n -= v.iov_len;
	}
	return 0;
}

int reader_skip(struct reader *r, size_t n)
{
	if (n > r->at.left)
		return -ENODATA;
	while (n)
		n -= take(&r->at, n).iov_len;
	return 0;
}

int reader_iov(struct reader *r, size_t n, struct iovec *v, int cap)
{
	return take_iov(&r->at, n, v, cap, -ENODATA);
}

int writer_copy(struct writer *w, const void *src, size_t n)
{
	const uint8_t *from = src;

	if (n > w->at.left)
		return -ENOSPC;
	while (n) {
		struct iovec v = take(&w->at, n);

		memcpy(v.iov_base, from, v.iov_len);
		from += v.iov_len;
		n -= v.iov_len;
	}
	return 0;
}

int writer_iov(struct writer *w, size_t n, struct iovec *v, int cap)
{
	return take_iov(&w->at, n, v, cap, -ENOSPC);
}

uint32_t chain_written(const struct chain *c)
{
	return c->writer.total - (uint32_t)c->writer.at.left;
}

void chain_skip_written(struct chain *c, uint32_t n)
{
	size_t left = n < c->writer.at.left ? n : c->writer.at.left;

	while (left)
		left -= take(&c->writer.at, left).iov_len;
}

void chain_set_written(struct chain *c, uint32_t n)
{
	assert(n <= chain_written(c));
	c->writer.total = n + (uint32_t)c->writer.at.left;
}

void chain_set_owner(struct chain *c, void *owner)
{
	c->owner = owner;
}

void *chain_owner(const struct chain *c)
{
	return c->owner;
}
