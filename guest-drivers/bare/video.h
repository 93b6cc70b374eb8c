/* SPDX-License-Identifier: MIT */
/*
 * virtio-video (protocol/virtio_video.h), driver side, decoders and encoders alike. Ids of streams and resources are the
 * caller's to choose. Memory that is given to the device stays the caller's and must live until the resource is dropped;
 * what is queued is not touched until it is done.
 *
 * Each call sends one command and waits for its answer, but for video_queue() and video_drain(), which post it. They
 * return 0, or what the answer says: -EPERM (not in this state), -ENOMEM, -ESRCH (no such stream), -ENOENT (no such
 * resource), -EINVAL (parameter), -EOPNOTSUPP (control), -EPROTO (an answer of the wrong kind); or -ETIMEDOUT and -ENODEV
 * when the device does not answer or asks for a reset: then it has been stopped, and video_open() is the way back.
 *
 * A decoder, in short: video_stream_create(); resources for input, queue coded data; wait for the event
 * VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED, video_get_params() of the output; resources for output, queue them;
 * at the end video_drain(): a buffer with VIRTIO_VIDEO_BUFFER_FLAG_EOS comes last.
 *
 * An encoder: video_stream_create(); video_set_params() of the input, with format, size and rate; controls; resources for both
 * queues; queue output, then pictures. Packets come with their size, and the same end (tests/bare/test_video_encode.c).
 */
#ifndef MULLION_BARE_VIDEO_H
#define MULLION_BARE_VIDEO_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-drivers/bare/virtio.h"
#include "guest-drivers/bare/virtq.h"
#include "protocol/virtio_video.h"

#define VIDEO_TIMEOUT_US 20000000u
#define VIDEO_EVENTS 4u

/* One command that is not waited for. */
struct video_request {
	union {
		struct virtio_video_cmd_hdr hdr;
		struct virtio_video_resource_queue queue;
		struct virtio_video_stream_drain drain;
	} command;
	struct virtio_video_resource_queue_resp answer; /* of a drain only the header; what did not come is 0 */
	uint32_t written;
	bool done;
};

struct video {
	struct virtio_dev dev;
	struct virtio_video_config config;
	uint32_t answer; /* type of the last answer that a waiting call got */
	bool stopped;	 /* or not opened */
	struct virtio_video_event posted[VIDEO_EVENTS]; /* where the device writes */
	struct virtio_video_event events[VIDEO_EVENTS]; /* came, not taken */
	unsigned event_count;
};

/* Find the @index-th device @id (VIRTIO_ID_VIDEO_DECODER or _ENCODER) on @kind of transport and start it. */
int video_open(struct video *v, uint32_t id, enum virtio_kind kind, unsigned index);
/* Reset the device: everything made on it is gone. */
void video_close(struct video *v);

/* @coded: VIRTIO_VIDEO_FORMAT_*. Buffers are guest pages. */
int video_stream_create(struct video *v, uint32_t stream, uint32_t coded, const char *name);
int video_stream_destroy(struct video *v, uint32_t stream);

/* @queue: VIRTIO_VIDEO_QUEUE_TYPE_* */
int video_get_params(struct video *v, uint32_t stream, uint32_t queue, struct virtio_video_params *params);
int video_set_params(struct video *v, uint32_t stream, const struct virtio_video_params *params);
/* The same, and @memory (VIRTIO_VIDEO_MEM_TYPE_*) is what its next resources are made of. */
int video_set_params_ext(struct video *v, uint32_t stream, const struct virtio_video_params *params, uint32_t memory);
int video_set_control(struct video *v, uint32_t stream, uint32_t control, uint32_t value);

/* Lend the stream @memory as resource @id, all planes in it. */
int video_resource_create(struct video *v, uint32_t stream, uint32_t queue, uint32_t id, const void *memory, uint32_t bytes);
/* The object that another device calls @uuid as resource @id. Needs VIRTIO_VIDEO_F_RESOURCE_VIRTIO_OBJECT. */
int video_resource_create_object(struct video *v, uint32_t stream, uint32_t queue, uint32_t id, const uint8_t uuid[16]);
int video_resource_destroy_all(struct video *v, uint32_t stream, uint32_t queue);
int video_queue_clear(struct video *v, uint32_t stream, uint32_t queue);

/* Queue resource @id; r->done when it is back, and r->answer says how. @bytes and @timestamp are of input. */
int video_queue(struct video *v, struct video_request *r, uint32_t stream, uint32_t queue, uint32_t id, uint32_t bytes,
		uint64_t timestamp);
int video_drain(struct video *v, struct video_request *r, uint32_t stream);

/* Take what is done, and events. */
void video_poll(struct video *v);
/* The oldest event, if there is one. */
bool video_take_event(struct video *v, struct virtio_video_event *event);
/* Wait until @done(@arg) holds; video_poll() is called before each look. */
int video_wait(struct video *v, bool (*done)(void *arg), void *arg);

#endif
