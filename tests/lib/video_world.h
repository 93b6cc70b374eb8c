/* SPDX-License-Identifier: MIT */
/*
 * A virtio-video device over fake guest memory, with its driver's side: one call a command. For cmocka tests; a call
 * whose result is not returned asserts what it expects.
 */
#ifndef MULLION_TESTS_LIB_VIDEO_WORLD_H
#define MULLION_TESTS_LIB_VIDEO_WORLD_H

#include "host/video/dialect.h"
#include "host/video/video.h"
#include "protocol/virtio_video.h"
#include "tests/lib/fake_guest.h"

#define VIDEO_OK VIRTIO_VIDEO_RESP_OK_NODATA
#define VIDEO_IN VIRTIO_VIDEO_QUEUE_TYPE_INPUT
#define VIDEO_OUT VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT

struct CMUnitTest;

struct video_world_options {
	bool encoder;
	const struct video_dialect *dialect; /* NULL: that of the run (video_run_tests()) */
	const struct codec_ops *codec; /* NULL: the fake one */
	struct virtio_objects *objects; /* NULL: guest pages only */
	const char *element;
	unsigned timeout_ms;  /* 0: the default */
	unsigned streams, buffers, buffer_entries; /* limits; 0: the default */
	uint64_t buffer_bytes;
	size_t memory_bytes; /* of the guest; 0: 16 MiB */
	bool keeps;	     /* virtio-media: a journal, for media_world_take_over() */
};

struct video_world {
	struct fake_guest *guest;
	struct virtio_device *device;
	bool key_frame; /* agl: the next video_queue() asks for one */
	bool agl;	/* the driver speaks dialect agl: the calls below do, and turn answers into the other's form */
};

/*
 * Run all of @tests in dialect chromeos and again in dialect agl: worlds that they make speak it. Returns how many failed.
 */
int video_run_tests(const struct CMUnitTest *tests, size_t count);

struct video_world *video_world_create(const struct video_world_options *options); /* NULL: all zero */
void video_world_destroy(struct video_world *w);

/* Send a command and wait for its answer, whose code is returned. @answer may be NULL. */
uint32_t video_send(struct video_world *w, uint32_t type, uint32_t stream, void *request, size_t bytes, void *answer,
		    size_t answer_bytes);

/* STREAM_CREATE with guest pages on both sides. */
uint32_t video_create_stream(struct video_world *w, uint32_t stream, uint32_t coded);
/* Commands that are only a header, or a header and a queue. */
uint32_t video_simple(struct video_world *w, uint32_t type, uint32_t stream);
uint32_t video_queue_command(struct video_world *w, uint32_t type, uint32_t stream, uint32_t queue);
void video_read_params(struct video_world *w, uint32_t stream, uint32_t queue, struct virtio_video_params *out);

/* A buffer in one piece of fresh guest memory, whose address is *@gpa. */
uint32_t video_create_buffer(struct video_world *w, uint32_t stream, uint32_t queue, uint32_t id, size_t bytes,
			     uint64_t *gpa);
/* What the dialect calls the format VIRTIO_VIDEO_FORMAT_*. */
uint32_t video_format_number(const struct video_world *w, uint32_t format);
/* The same in @count pieces that lie apart. */
uint32_t video_create_scattered(struct video_world *w, uint32_t stream, uint32_t queue, uint32_t id,
				const struct virtio_video_mem_entry *entries, uint32_t count);

/* A buffer with memory of its own for each of @planes planes, which have entries[i] of @list each, in order. */
uint32_t video_create_planes(struct video_world *w, uint32_t stream, uint32_t queue, uint32_t id, uint32_t planes,
			     const uint32_t *entries, const struct virtio_video_mem_entry *list);

/* An encoder's next input becomes a key frame. */
void video_force_keyframe(struct video_world *w, uint32_t stream);

/* RESOURCE_QUEUE and STREAM_DRAIN without waiting. */
struct fake_request *video_queue(struct video_world *w, uint32_t stream, uint32_t queue, uint32_t id, uint32_t bytes,
				 uint64_t timestamp);
struct fake_request *video_drain(struct video_world *w, uint32_t stream);
/*
 * Let the device work until @r is answered; aborts the test if it is not. Frees @r. Flags are VIRTIO_VIDEO_BUFFER_FLAG_*;
 * dialect agl has no ERR and no PFRAME: video_flags() takes them out of what a test expects.
 */
struct virtio_video_resource_queue_resp video_wait(struct video_world *w, struct fake_request *r);
uint32_t video_flags(const struct video_world *w, uint32_t flags);
/* The answer of @r, which is there. */
struct virtio_video_resource_queue_resp video_response(const struct video_world *w, const struct fake_request *r);
/* Let the device do what it can without anything new from the guest. */
void video_settle(struct video_world *w);

/* Post a buffer for one event. */
struct fake_request *video_post_event(struct video_world *w);
/* Wait for it, and free it. */
struct virtio_video_event video_wait_event(struct video_world *w, struct fake_request *r);

#endif
