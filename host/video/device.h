/* SPDX-License-Identifier: MIT */
/*
 * Inside the virtio-video device: what video.c and the command handlers share. Nothing outside host/video includes this.
 * Thread: the device's loop.
 */
#ifndef MULLION_HOST_VIDEO_DEVICE_H
#define MULLION_HOST_VIDEO_DEVICE_H

#include "host/base/log.h"
#include "host/video/command.h"
#include "host/video/stream.h"
#include "host/video/video.h"
#include "host/virtio/device.h"

/* Config space: max_caps_length and max_resp_length, and so the longest answer. */
#define VIDEO_ANSWER_MAX 1024u

/* Of a coded buffer, and of one access unit: the host makes a copy. */
#define VIDEO_MIN_CODED_BYTES 4096u
#define VIDEO_MAX_CODED_BYTES (32u << 20)

struct journal;

struct video_stream_entry {
	struct video_stream *stream;
	uint32_t id;
	bool events[STREAM_EVENT_COUNT]; /* wait for a buffer of the event queue */
	uint32_t memory_types[VIDEO_QUEUE_COUNT]; /* of the next buffers: VIRTIO_VIDEO_MEM_TYPE_* */
	char tag[64];
	bool failure_told; /* the guest had the ERROR event for the state in which the stream is */
	/* What its records say (record.c). */
	unsigned recorded, recorded_headers;
	uint32_t recorded_width, recorded_height;
	struct video_stream_entry *next;
};

struct video {
	struct virtio_device device;
	struct video_config config;
	char element[48]; /* config.element */
	struct video_stream_entry *streams;
	unsigned stream_count;
	uint64_t buffer_bytes; /* of all streams */
	/* Coded formats that the host can do: rows of format.h. */
	struct video_offer offers[VIDEO_MAX_CODED];
	unsigned offer_count;
	/* The answer behind its header; one at a time, until the answer point copied it out. */
	uint8_t answer[VIDEO_ANSWER_MAX];
	struct video_stats stats;
	struct journal *journal;    /* NULL: none */
	struct journal *unrestored; /* until the first start */
	uint64_t found_tag;	    /* of the last request that the process before this one has done; 0: none */
	uint64_t refuse_until_ns;   /* no streams are made before; 0: they are */
	uint64_t serial;
	struct log_limit log_limit;
};

/* Refuse @cmd: logs "video: NAME: reason", within the guest's budget, and returns @code for the handler to return. */
uint32_t video_refuse(struct video *v, const struct video_command *cmd, uint32_t code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

struct video_stream_entry *video_find_stream(struct video *v, uint32_t id);
/* A new one; @id is not in use. NULL: no memory. */
struct video_stream_entry *video_add_stream(struct video *v, uint32_t id, const struct video_coded_format *coded);
/* Cancels all that waits in it. */
void video_drop_stream(struct video *v, struct video_stream_entry *e);

/* May buffers be of VIRTIO_VIDEO_MEM_TYPE_@type? */
bool video_has_memory_type(const struct video *v, uint32_t type);

/* The row of @number if this device offers it, or NULL. */
const struct video_coded_format *video_find_coded(const struct video *v, uint32_t number);
const struct video_offer *video_find_offer(const struct video *v, uint32_t number);

/* The picture format that the dialect calls @number, or NULL. */
const struct video_picture_format *video_find_picture(const struct video *v, uint32_t number);

/* Every value of @controls is one that SET_CONTROL or SET_PARAMS of @s could have set. */
bool video_controls_are_possible(const struct video *v, const struct video_stream *s,
				 const struct codec_controls *controls);

/* Handlers: a VIRTIO_VIDEO_RESP_* code each. commands_stream.c: */
uint32_t video_query_capability(struct video *v, struct video_command *cmd);
uint32_t video_stream_create(struct video *v, struct video_command *cmd);
uint32_t video_stream_destroy(struct video *v, struct video_command *cmd);
uint32_t video_stream_drain(struct video *v, struct video_command *cmd);
uint32_t video_queue_clear(struct video *v, struct video_command *cmd);
uint32_t video_resource_create(struct video *v, struct video_command *cmd);
uint32_t video_resource_queue(struct video *v, struct video_command *cmd);
uint32_t video_resource_destroy_all(struct video *v, struct video_command *cmd);
/* commands_params.c: */
uint32_t video_get_params(struct video *v, struct video_command *cmd);
uint32_t video_set_params(struct video *v, struct video_command *cmd);
uint32_t video_query_control(struct video *v, struct video_command *cmd);
uint32_t video_get_control(struct video *v, struct video_command *cmd);
uint32_t video_set_control(struct video *v, struct video_command *cmd);

#endif
