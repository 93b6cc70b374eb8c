/* SPDX-License-Identifier: MIT */
/*
 * A guest's program that codes films by virtio-media, over real codecs: one session with MMAP buffers on both queues, or
 * guest pages on OUTPUT, which takes each change of size. For cmocka tests: each call asserts that it succeeds.
 */
#ifndef MULLION_TESTS_LIB_MEDIA_CLIENT_H
#define MULLION_TESTS_LIB_MEDIA_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/media_world.h"

enum {
	MEDIA_CLIENT_BUFFERS = 4,
	MEDIA_CLIENT_ALL = (1 << MEDIA_CLIENT_BUFFERS) - 1,
	MEDIA_CLIENT_CODED_BYTES = 1 << 18
};

struct media_client {
	struct media_world *w;
	uint32_t id;
	uint32_t coded_bytes;		      /* of a bitstream buffer; MEDIA_CLIENT_CODED_BYTES unless changed */
	uint64_t at[2][MEDIA_CLIENT_BUFFERS]; /* OUTPUT, CAPTURE */
	/* OUTPUT of guest pages instead (USERPTR): chosen before its buffers are made. */
	bool shares_pages;
	uint64_t gpa[MEDIA_CLIENT_BUFFERS];
	uint32_t page_bytes;
	unsigned capture_count; /* 0: MEDIA_CLIENT_BUFFERS */
	/* CAPTURE of guest pages, chosen likewise. */
	bool captures_in_pages;
	uint64_t capture_gpa[MEDIA_CLIENT_BUFFERS];
	uint32_t capture_bytes;
	unsigned free_inputs; /* a bit each */
	bool ended;	      /* the event said so */
};

/* What the codec gave. */
typedef void media_client_fn(void *arg, const uint8_t *data, const struct virtio_media_event_dqbuf *e);

/* A session that hears of the end. */
void media_client_open(struct media_client *c, struct media_world *w);
/* S_FMT, which takes the format as it is. */
void media_client_set_format(struct media_client *c, uint32_t type, uint32_t fourcc, uint32_t width, uint32_t height);
/* QBUF of a CAPTURE buffer. Returns what it says. */
int media_client_queue_capture(struct media_client *c, uint32_t index);
/* REQBUFS and MMAP; buffers of CAPTURE are queued; then STREAMON. */
void media_client_make_buffers(struct media_client *c, uint32_t type);
/* The same, or what REQBUFS or MMAP fails with, as it does for want of memory. */
int media_client_try_buffers(struct media_client *c, uint32_t type);
/* STREAMOFF, and all that made them undone. */
void media_client_drop_buffers(struct media_client *c, uint32_t type);
/* An MMAP buffer as the guest sees it. */
uint8_t *media_client_memory(struct media_client *c, uint32_t type, uint32_t index);
/* Take one event. Returns true when a STOP is over. */
bool media_client_serve(struct media_client *c, media_client_fn *each, void *arg);
/* Put @data into the next OUTPUT buffer that is free; serves until there is one. */
void media_client_send(struct media_client *c, const void *data, size_t bytes, uint64_t time_us, media_client_fn *each,
		       void *arg);
/* STOP, and serve to the end. */
void media_client_finish(struct media_client *c, bool encoder, media_client_fn *each, void *arg);

#endif
