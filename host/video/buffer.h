/* SPDX-License-Identifier: MIT */
/*
 * One buffer that the guest lent to a stream: where its bytes lie in guest memory or in an object that another device
 * exports, and the copies to and from there.
 * The guest may rewrite them at any moment: nothing is parsed there.
 * Thread: the device's loop, for every call.
 */
#ifndef MULLION_HOST_VIDEO_BUFFER_H
#define MULLION_HOST_VIDEO_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define VIDEO_BUFFER_MAX_PLANES 8u

struct virtio_object;

struct video_buffer {
	uint32_t id;
	struct iovec *pieces; /* of guest memory, or of the objects' memory; the buffer's own list */
	unsigned piece_count;
	size_t bytes; /* of all pieces together */
	struct video_pages *pages; /* of a picture that a codec may read or write in place; NULL: it may not */
	unsigned plane_count;
	struct {
		size_t offset, end; /* in those bytes */
	} planes[VIDEO_BUFFER_MAX_PLANES];
	/* A buffer of virtio objects: one for each plane or one for all, which it holds. */
	struct virtio_object *objects[VIDEO_BUFFER_MAX_PLANES];
	unsigned object_count;

	/* While it is queued. */
	bool queued;
	size_t data_bytes;    /* input: what is in it */
	uint64_t timestamp;   /* input: goes along with what is made of it */
	bool force_keyframe;  /* encoder input */
	void *request;        /* of the front: what to answer */
	struct video_buffer *next_queued; /* or lent to the codec (stream.c) */

	struct video_buffer *next; /* in the stream's list */
};

/* Frees the list of pieces too, lets go of the pages, and puts the objects. NULL is fine. */
void video_buffer_destroy(struct video_buffer *b);

/* The @n bytes at @offset, if they lie together in memory; NULL if not. They are there. */
uint8_t *video_buffer_range(const struct video_buffer *b, size_t offset, size_t n);

/* A place in a buffer. It walks the pieces once, however many rows are copied. */
struct video_cursor {
	const struct video_buffer *buffer;
	unsigned piece;
	size_t skip; /* bytes of it that lie before the cursor */
};

/* At @offset, at most b->bytes. */
void video_cursor_init(struct video_cursor *c, const struct video_buffer *b, size_t offset);

/* Copy or pass over @n bytes, which must be there. */
void video_cursor_write(struct video_cursor *c, const void *src, size_t n);
void video_cursor_read(struct video_cursor *c, void *dst, size_t n);
void video_cursor_skip(struct video_cursor *c, size_t n);

#endif
