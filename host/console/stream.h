/* SPDX-License-Identifier: MIT */
/*
 * One direction of a console's backend: a descriptor that never blocks the loop, whatever it is (terminal, pipe,
 * file, socket). Thread: loop.
 */
#ifndef MULLION_HOST_CONSOLE_STREAM_H
#define MULLION_HOST_CONSOLE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/base/loop.h"

/* Zeroed storage is a closed stream. */
struct stream {
	struct loop_fd watch;
	struct loop *loop; /* NULL: closed */
	uint32_t events;
	bool watched;
	bool pollable; /* a file or /dev/null is always ready and can't be watched */
	int shared_fd; /* its flags are put back at closing; -1: none */
	int shared_flags;
};

/*
 * Open a stream on what @fd refers to; @fd stays the caller's and must stay open until stream_close(). Its file is
 * opened once more where possible, because O_NONBLOCK on @fd itself would reach other programs on the same terminal; else
 * O_NONBLOCK is set until closing. @ready runs while the stream is watched. Returns 0 or a negative errno.
 */
int stream_open(struct stream *s, struct loop *loop, int fd, bool output,
		void (*ready)(struct loop_fd *f, uint32_t events), void *owner);
/* @other: the other direction. While that is open, O_NONBLOCK, which may be set for both, is left for it to put back. */
void stream_close(struct stream *s, struct stream *other);
bool stream_is_open(const struct stream *s);

/* Call ready() when bytes can be moved, or no longer. No effect if the stream is closed or can't be watched. */
void stream_watch(struct stream *s, bool on);

/* Bytes moved; 0: end of input; -EAGAIN: not now; another negative errno: broken. */
ssize_t stream_read(struct stream *s, void *buf, size_t n);
ssize_t stream_write(struct stream *s, const void *buf, size_t n);

#endif
