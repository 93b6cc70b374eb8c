/* SPDX-License-Identifier: MIT */
/*
 * From bytes in a ring to a checked command. Everything that can be judged from the request alone is judged here:
 * number, lengths, room for the answer, queue and memory types, counts. What needs the device's state (do the ids exist?)
 * is left to the handlers.
 *
 * The request is copied out of guest memory once; nothing here or later reads those bytes again.
 * Thread: the device's loop.
 */
#ifndef MULLION_HOST_VIDEO_COMMAND_H
#define MULLION_HOST_VIDEO_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/video/stream.h"
#include "host/virtio/chain.h"
#include "protocol/virtio_video.h"
#include "protocol/virtio_video_agl.h"

struct video;
struct video_command;
struct video_stream_entry;

/* One command: a row of a dialect's table (dialect.h). */
struct video_command_row {
	uint32_t type; /* VIRTIO_VIDEO_CMD_* */
	const char *name;
	uint16_t request_bytes; /* the fixed part, header included */
	uint16_t answer_bytes;  /* least room for the answer, header included */
	bool has_stream;        /* header.stream_id names one that exists */
	bool has_queue;         /* a queue type follows the header */
	/*
	 * What else the request alone tells; it may bring the request into the form that the handler reads. Returns 0 or a
	 * VIRTIO_VIDEO_RESP_ERR_* code after filling cmd->why. NULL: nothing.
	 */
	uint32_t (*check)(struct video_command *cmd);
	const char *short_hint; /* for the log, when the request is too short; NULL: none */
	/*
	 * Whoever was at it when the process died does it again: it reads, or only lets go of things. Others fail then: what
	 * they did is not known.
	 */
	bool repeatable;
	/* What it changed is recorded (record.h), if it succeeded. NULL: nothing. */
	void (*record)(struct video *v, const struct video_command *cmd);
	/* Returns a VIRTIO_VIDEO_RESP_* code, or VIDEO_PENDING after keeping cmd->chain; never writes the header. */
	uint32_t (*handler)(struct video *v, struct video_command *cmd);
};

#define VIDEO_PENDING 0u

struct video_command {
	const struct video_command_row *row; /* NULL when the number is unknown or the header is short */
	uint32_t type, stream_id;
	uint64_t serial; /* of the request, for trace lines */
	struct chain *chain;
	struct reader *rest;         /* behind the fixed part */
	/* Of dialect agl: */
	bool has_lists; /* RESOURCE_CREATE: to the end of the request, each plane is a list that says how long it is */
	bool force_keyframe;	     /* RESOURCE_QUEUE */
	struct video_stream *stream; /* when row->has_stream */
	struct video_stream_entry *entry; /* its, likewise */
	enum video_queue queue;      /* when row->has_queue */
	/* What the handler adds to the header of the answer; its memory lives until the answer is written. */
	const void *answer;
	size_t answer_bytes;
	union {
		struct virtio_video_cmd_hdr hdr;
		struct virtio_video_query_capability query_capability;
		struct virtio_video_stream_create stream_create;
		struct virtio_video_resource_create resource_create;
		struct virtio_video_resource_queue resource_queue;
		struct virtio_video_agl_resource_attach agl_attach;
		struct virtio_video_agl_resource_queue agl_queue;
		struct virtio_video_get_params get_params;
		struct virtio_video_set_params set_params;
		struct virtio_video_set_params_ext set_params_ext;
		struct virtio_video_query_control query_control;
		struct virtio_video_get_control get_control;
		struct virtio_video_set_control set_control;
	} u;
	char why[160]; /* after a refusal: the reason and a hint */
};

/*
 * Read the request in @c against the table @rows (ended by type 0). Returns 0, or the VIRTIO_VIDEO_RESP_ERR_* to answer
 * with, and cmd->why says why.
 */
uint32_t video_command_decode(struct video_command *cmd, struct chain *c, const struct video_command_row *rows);

/* For rows: counts, types and layouts of those commands. */
uint32_t video_check_stream_create(struct video_command *cmd);
uint32_t video_check_resource_create(struct video_command *cmd);
uint32_t video_check_resource_queue(struct video_command *cmd);
uint32_t video_check_set_params(struct video_command *cmd);

/* "STREAM_CREATE", or "command 0x1234" by way of @buffer. */
const char *video_command_name(const struct video_command *cmd, char *buffer, size_t size);

#endif
