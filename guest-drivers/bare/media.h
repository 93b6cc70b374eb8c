/* SPDX-License-Identifier: MIT */
/*
 * virtio-media (protocol/virtio_media.h), driver side: sessions, V4L2's ioctls, MMAP buffers seen in the device's
 * shared memory, and events. What the ioctls mean is V4L2's business, and the kernel's documents of stateful codecs say
 * it.
 *
 * Each call sends one command and waits for its answer. They return 0, the negative errno that the device answers,
 * -EPROTO for an answer that is too short or whose status is no errno, or -ETIMEDOUT and -ENODEV when the device does not answer or asks for a
 * reset: then it has been stopped, and media_open() is the way back.
 */
#ifndef MULLION_BARE_MEDIA_H
#define MULLION_BARE_MEDIA_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-drivers/bare/virtio.h"
#include "guest-drivers/bare/virtq.h"
#include "protocol/virtio_media.h"

#define MEDIA_TIMEOUT_US 20000000u
#define MEDIA_EVENTS 8u

/* Which it is, hdr.event says. */
union media_event {
	struct virtio_media_event_header hdr;
	struct virtio_media_event_error error;
	struct virtio_media_event_dqbuf dqbuf;
	struct virtio_media_event_event event;
};

struct media {
	struct virtio_dev dev;
	struct virtio_media_config config;
	bool stopped; /* or not opened */
	void *window; /* the shared memory; NULL: the device has none, and MMAP buffers can't be seen */
	uint64_t window_bytes;
	union media_event posted[MEDIA_EVENTS]; /* where the device writes */
	union media_event events[MEDIA_EVENTS]; /* came, not taken */
	unsigned event_count;
};

/* Find the @index-th device on @kind of transport and start it. */
int media_open(struct media *m, enum virtio_kind kind, unsigned index);
/* Reset the device: everything made on it is gone. */
void media_close(struct media *m);

int media_session_open(struct media *m, uint32_t *session);
int media_session_close(struct media *m, uint32_t session);

/* VIDIOC_*, with its payload, which holds the answer afterwards. */
int media_ioctl(struct media *m, uint32_t session, unsigned long ioctl, void *payload);
/* The same with @planes behind a v4l2_buffer, b->length of them; MMAP buffers only. */
int media_buffer_ioctl(struct media *m, uint32_t session, unsigned long ioctl, struct v4l2_buffer *b,
		       struct v4l2_plane *planes);

/* See the plane whose m.mem_offset QUERYBUF told as @offset, to read and write: *@at, and its length in *@bytes. */
int media_map(struct media *m, uint32_t session, uint32_t offset, void **at, uint64_t *bytes);
int media_unmap(struct media *m, void *at);

/* Take in what came. */
void media_poll(struct media *m);
/* The oldest event, if there is one. */
bool media_take_event(struct media *m, union media_event *event);
/* Wait for it. */
int media_wait_event(struct media *m, union media_event *event);

#endif
