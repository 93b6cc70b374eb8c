// SPDX-License-Identifier: MIT
#include "host/video/buffer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/virtio/object.h"

void video_buffer_destroy(struct video_buffer *b)
{
	if (!b)
		return;
	for (unsigned i = 0; i < b->object_count; i++)
		virtio_object_put(b->objects[i]);
	free(b->pieces);
	free(b);
}

uint8_t *video_buffer_range(const struct video_buffer *b, size_t offset, size_t n)
{
	assert(offset <= b->bytes && n <= b->bytes - offset);
	for (unsigned i = 0; i < b->piece_count; i++) {
		const struct iovec *v = &b->pieces[i];

		if (offset < v->iov_len)
			return n <= v->iov_len - offset ? (uint8_t *)v->iov_base + offset : NULL;
		offset -= v->iov_len;
	}
	return NULL;
}

void video_cursor_init(struct video_cursor *c, const struct video_buffer *b, size_t offset)
{
	assert(offset <= b->bytes);
	*c = (struct video_cursor){.buffer = b};
	video_cursor_skip(c, offset);
}

/* The next range of at most @n bytes; the cursor goes behind it. */
static uint8_t *next_range(struct video_cursor *c, size_t *n)
{
	const struct iovec *v;
	uint8_t *at;

	assert(c->piece < c->buffer->piece_count);
	v = &c->buffer->pieces[c->piece];
	at = (uint8_t *)v->iov_base + c->skip;
	if (*n >= v->iov_len - c->skip) {
		*n = v->iov_len - c->skip;
		c->piece++;
		c->skip = 0;
	} else {
		c->skip += *n;
	}
	return at;
}

void video_cursor_write(struct video_cursor *c, const void *src, size_t n)
{
	const uint8_t *from = src;

	while (n > 0) {
		size_t part = n;
		uint8_t *to = next_range(c, &part);

		memcpy(to, from, part);
		from += part;
		n -= part;
	}
}

void video_cursor_read(struct video_cursor *c, void *dst, size_t n)
{
	uint8_t *to = dst;

	while (n > 0) {
		size_t part = n;
		const uint8_t *from = next_range(c, &part);

		memcpy(to, from, part);
		to += part;
		n -= part;
	}
}

void video_cursor_skip(struct video_cursor *c, size_t n)
{
	while (n > 0) {
		size_t part = n;

		next_range(c, &part);
		n -= part;
	}
}
