/* SPDX-License-Identifier: MIT */
/*
 * A picture on the GPU that a scanout of vhost_gpu.c shows, and its way to the frontend. Thread: the loop.
 */
#ifndef MULLION_HOST_DISPLAY_REMOTE_BUFFER_H
#define MULLION_HOST_DISPLAY_REMOTE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/display/display.h"
#include "protocol/vhost_user_gpu.h"

/* Zeroed: nothing. */
struct remote_buffer {
	struct display_buffer shown; /* id 0: nothing; its descriptor is ours until it is sent, then -1 */
	bool due;		     /* to be told: that this is shown, or nothing any more */
};

static inline bool remote_buffer_is_shown(const struct remote_buffer *b)
{
	return b->shown.id != 0;
}

bool remote_buffer_is(const struct remote_buffer *b, const struct display_buffer *other);
/* Show @buffer, whose descriptor stays the caller's. Returns 0, or a negative errno and @b is as it was. */
int remote_buffer_show(struct remote_buffer *b, const struct display_buffer *buffer);
/* Show nothing; no-op if it does. */
void remote_buffer_end(struct remote_buffer *b);
/* The frontend is gone. */
void remote_buffer_finish(struct remote_buffer *b);

/* What is due, as a message: it is not any more. *fd (-1: none) goes with it, and is the caller's. */
void remote_buffer_tell(struct remote_buffer *b, unsigned scanout, struct vhost_user_gpu_dmabuf_scanout2 *out, int *fd);

/* As send(), without waiting; @fd (-1: none) goes with the first byte. */
ssize_t remote_buffer_send(int socket, const void *bytes, size_t count, int fd);

/* Tell all on the list, which is empty then; take one off it that may be there. */
void remote_buffer_tell_shown(struct display_shown **list);
void remote_buffer_forget(struct display_shown **list, const struct display_shown *shown);

#endif
