/* SPDX-License-Identifier: MIT */
/*
 * A virtio-media device over fake guest memory, with its driver's side and a home for its shared memory. For cmocka
 * tests; a call whose result is not returned asserts what it expects. Results are 0 or a negative errno, as the device
 * says.
 */
#ifndef MULLION_TESTS_LIB_MEDIA_WORLD_H
#define MULLION_TESTS_LIB_MEDIA_WORLD_H

#include "host/video/video.h"
#include "host/virtio/journal.h"
#include "protocol/virtio_media.h"
#include "tests/lib/fake_guest.h"
#include "tests/lib/fake_shmem.h"
#include "tests/lib/video_world.h"

#define MEDIA_OUTPUT V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE
#define MEDIA_CAPTURE V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
#define MEDIA_WORLD_EVENTS 16u
#define MEDIA_WORLD_DEATHS 8u

struct media_event {
	union {
		struct virtio_media_event_header hdr;
		struct virtio_media_event_dqbuf dqbuf;
		struct virtio_media_event_event event;
	} u;
	uint32_t bytes;
};

struct media_world {
	struct fake_guest *guest;
	struct virtio_device *device;
	/* Events that came and that nobody took. */
	struct fake_request *posted[MEDIA_WORLD_EVENTS];
	struct media_event events[256];
	unsigned event_count;
	unsigned empty_events; /* buffers for them that came back with nothing */
	struct fake_shmem home;
	/* Of a world that keeps. */
	struct video_config config;
	int journal_fd, shared_fd;
	struct journal *journal;
	/* Those of before, as their deaths left them. */
	struct {
		struct virtio_device *device;
		struct journal *journal;
	} dead[MEDIA_WORLD_DEATHS];
	unsigned deaths;
};

/* As video_world_create(). */
struct media_world *media_world_create(const struct video_world_options *options);
/* The same, with one session open, whose id is *@session. */
struct media_world *media_world_open(const struct video_world_options *options, uint32_t *session);
void media_world_destroy(struct media_world *w);
/* Reset the device and bring it up again; events and mappings are gone. */
void media_world_restart(struct media_world *w);

/*
 * The process of the device has died, and another one goes on with what is in w->journal_fd and w->shared_fd. Requests that
 * were in flight are lost; the home keeps what was mapped.
 */
void media_world_take_over(struct media_world *w);
/* Likewise, and the event queue's kick is late: commands come first. */
void media_world_take_over_late(struct media_world *w);
/* Take the events that came, and post their buffers without a word to the device. */
void media_world_collect(struct media_world *w);
/* Buffers for events: done by itself above. */
void media_post_events(struct media_world *w);

/* OPEN; *@session is its id. */
int media_open(struct media_world *w, uint32_t *session);
void media_close(struct media_world *w, uint32_t session);
/* An ioctl of fixed size: VIDIOC_*, with its payload, which holds the answer afterwards. */
int media_call(struct media_world *w, uint32_t session, unsigned long ioctl, void *payload);
/* The same with what follows the payload both ways, and what only the device reads. */
int media_call_long(struct media_world *w, uint32_t session, unsigned long ioctl, void *payload, void *tail,
		    size_t tail_bytes, const void *more, size_t more_bytes);

/* MMAP and MUNMAP. *@at is where in the shared memory; media_seen() is where the guest sees it. */
int media_map(struct media_world *w, uint32_t session, uint32_t offset, bool writable, uint64_t *at, uint64_t *bytes);
int media_unmap(struct media_world *w, uint64_t at);
uint8_t *media_seen(struct media_world *w, uint64_t at);

/* ---- V4L2 ---- */

int media_stream(struct media_world *w, uint32_t session, uint32_t type, bool on);
/* REQBUFS; *@count is how many were made. */
int media_request(struct media_world *w, uint32_t session, uint32_t type, uint32_t memory, uint32_t *count);
int media_query(struct media_world *w, uint32_t session, uint32_t type, uint32_t index, struct v4l2_buffer *b,
		struct v4l2_plane *planes, unsigned plane_count);
/* QBUF of a buffer with one plane. @bytes and @timestamp_us are of OUTPUT. */
int media_queue_buffer(struct media_world *w, uint32_t session, uint32_t type, uint32_t index, uint32_t bytes,
		       uint64_t timestamp_us);
/* SUBSCRIBE_EVENT */
int media_subscribe_to(struct media_world *w, uint32_t session, uint32_t type, uint32_t id, uint32_t flags);
/* DECODER_CMD or ENCODER_CMD */
int media_command(struct media_world *w, uint32_t session, bool encoder, uint32_t command);

/* Let the device do what it can, and take what it says. */
void media_settle(struct media_world *w);
/* The oldest event of the session that nobody took; waits for it. */
struct media_event media_next_event(struct media_world *w, uint32_t session);
/* The next buffer that comes back on that queue; waits for it. Other events stay. */
struct virtio_media_event_dqbuf media_dequeue(struct media_world *w, uint32_t session, uint32_t type);
/* The next V4L2 event, likewise. */
struct v4l2_event media_dequeue_event(struct media_world *w, uint32_t session);
/* Nobody took this many events of the session. */
unsigned media_events_left(struct media_world *w, uint32_t session);

#endif
