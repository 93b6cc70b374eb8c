// SPDX-License-Identifier: MIT
#include "host/video/dialect.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "host/video/device.h"
#include "host/video/record.h"
#include "protocol/virtio.h"

#define BYTES(type) ((uint16_t)sizeof(struct type))
#define HEADER BYTES(virtio_video_cmd_hdr)
#define ROW(command, request, answer, stream, queue, function, ...) \
	{.type = VIRTIO_VIDEO_CMD_##command, .name = #command, .request_bytes = BYTES(request), .answer_bytes = answer, \
	 .has_stream = stream, .has_queue = queue, .handler = function, ##__VA_ARGS__}

/* What both say alike. */
#define COMMON_ROWS \
	ROW(QUERY_CAPABILITY, virtio_video_query_capability, BYTES(virtio_video_query_capability_resp), false, true, \
	    video_query_capability, .repeatable = true), \
	ROW(STREAM_CREATE, virtio_video_stream_create, HEADER, false, false, video_stream_create, \
	    .check = video_check_stream_create, .record = video_record_stream), \
	ROW(STREAM_DESTROY, virtio_video_stream_destroy, HEADER, true, false, video_stream_destroy, .repeatable = true, \
	    .record = video_record_stream_gone), \
	ROW(STREAM_DRAIN, virtio_video_stream_drain, HEADER, true, false, video_stream_drain), \
	ROW(QUEUE_CLEAR, virtio_video_queue_clear, HEADER, true, true, video_queue_clear, .repeatable = true, \
	    .record = video_record_stream), \
	ROW(GET_PARAMS, virtio_video_get_params, BYTES(virtio_video_get_params_resp), true, true, video_get_params, \
	    .repeatable = true), \
	ROW(SET_PARAMS, virtio_video_set_params, HEADER, true, true, video_set_params, \
	    .check = video_check_set_params, .record = video_record_stream), \
	ROW(QUERY_CONTROL, virtio_video_query_control, BYTES(virtio_video_query_control_resp), false, false, \
	    video_query_control, .repeatable = true), \
	ROW(GET_CONTROL, virtio_video_get_control, BYTES(virtio_video_get_control_resp), true, false, video_get_control, \
	    .repeatable = true), \
	ROW(SET_CONTROL, virtio_video_set_control, HEADER, true, false, video_set_control, .record = video_record_stream)

/* ---- chromeos ---- */

static const struct video_command_row chromeos_rows[] = {
	COMMON_ROWS,
	ROW(RESOURCE_CREATE, virtio_video_resource_create, HEADER, true, true, video_resource_create,
	    .check = video_check_resource_create, .record = video_record_buffer,
	    .short_hint = "; is it a driver of Automotive Grade Linux? Then start with dialect=agl"),
	ROW(RESOURCE_QUEUE, virtio_video_resource_queue, BYTES(virtio_video_resource_queue_resp), true, true,
	    video_resource_queue, .check = video_check_resource_queue),
	ROW(RESOURCE_DESTROY_ALL, virtio_video_resource_destroy_all, HEADER, true, true, video_resource_destroy_all,
	    .repeatable = true, .record = video_record_buffers_gone),
	ROW(GET_PARAMS_EXT, virtio_video_get_params, BYTES(virtio_video_get_params_ext_resp), true, true, video_get_params,
	    .repeatable = true),
	ROW(SET_PARAMS_EXT, virtio_video_set_params_ext, HEADER, true, true, video_set_params,
	    .check = video_check_set_params, .record = video_record_stream),
	{0},
};

static uint32_t chromeos_picture_number(const struct video_picture_format *format)
{
	return format->number;
}

static size_t chromeos_queue_answer(const struct video_stream *s, enum video_queue q, const struct stream_done *done, void *out)
{
	const struct virtio_video_resource_queue_resp resp = {
		.timestamp = done->timestamp,
		.size = done->bytes,
		.flags = (done->error ? VIRTIO_VIDEO_BUFFER_FLAG_ERR : 0) | (done->end ? VIRTIO_VIDEO_BUFFER_FLAG_EOS : 0) |
			 (done->key_frame ? VIRTIO_VIDEO_BUFFER_FLAG_IFRAME : 0) |
			 (done->delta_frame ? VIRTIO_VIDEO_BUFFER_FLAG_PFRAME : 0),
	};

	(void)s;
	(void)q;
	memcpy(out, &resp.timestamp, sizeof(resp) - sizeof(resp.hdr));
	return sizeof(resp) - sizeof(resp.hdr);
}

const struct video_dialect video_dialect_chromeos = {
	.name = "chromeos",
	.features = VIRTIO_BIT(VIRTIO_VIDEO_F_RESOURCE_GUEST_PAGES) | VIRTIO_BIT(VIRTIO_VIDEO_F_RESOURCE_NON_CONTIG) |
		    VIRTIO_BIT(VIRTIO_VIDEO_F_RESOURCE_VIRTIO_OBJECT),
	.rows = chromeos_rows,
	.last_control = VIRTIO_VIDEO_CONTROL_PREPEND_SPSPPS_TO_IDR,
	.picture_number = chromeos_picture_number,
	.queue_answer = chromeos_queue_answer,
};

/* ---- agl ---- */

/* Into the form of RESOURCE_CREATE; planes and entries are counted when they are read. */
static uint32_t check_attach(struct video_command *cmd)
{
	const struct virtio_video_agl_resource_attach w = cmd->u.agl_attach;

	cmd->has_lists = true;
	cmd->u.resource_create = (struct virtio_video_resource_create){
		.hdr = w.hdr, .queue_type = w.queue_type, .resource_id = w.resource_id};
	if (reader_left(cmd->rest) < sizeof(struct virtio_video_agl_list)) {
		snprintf(cmd->why, sizeof(cmd->why), "no list of memory entries follows; send one for each plane");
		return VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER;
	}
	return 0;
}

/* Into the form of RESOURCE_QUEUE. */
static uint32_t check_agl_queue(struct video_command *cmd)
{
	const struct virtio_video_agl_resource_queue w = cmd->u.agl_queue;

	if (w.flags & ~VIRTIO_VIDEO_AGL_ENQUEUE_FLAG_FORCE_KEY_FRAME) {
		snprintf(cmd->why, sizeof(cmd->why), "flags 0x%x; 1 (a key frame, please) is all there is", w.flags);
		return VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER;
	}
	cmd->force_keyframe = w.flags & VIRTIO_VIDEO_AGL_ENQUEUE_FLAG_FORCE_KEY_FRAME;
	cmd->u.resource_queue = (struct virtio_video_resource_queue){
		.hdr = w.hdr,
		.queue_type = w.queue_type,
		.resource_id = w.resource_id,
		.timestamp = w.timestamp,
		/* The request has no count. Coded data is one plane; pictures are whole whatever is said. */
		.num_data_sizes = 1,
	};
	memcpy(cmd->u.resource_queue.data_sizes, w.data_sizes, sizeof(w.data_sizes));
	return 0;
}

static const struct video_command_row agl_rows[] = {
	COMMON_ROWS,
	{.type = VIRTIO_VIDEO_AGL_CMD_RESOURCE_ATTACH, .name = "RESOURCE_ATTACH",
	 .request_bytes = BYTES(virtio_video_agl_resource_attach), .answer_bytes = HEADER, .has_stream = true,
	 .has_queue = true, .check = check_attach, .record = video_record_buffer, .handler = video_resource_create},
	{.type = VIRTIO_VIDEO_CMD_RESOURCE_QUEUE, .name = "RESOURCE_QUEUE",
	 .request_bytes = BYTES(virtio_video_agl_resource_queue), .answer_bytes = BYTES(virtio_video_agl_resource_queue_resp),
	 .has_stream = true, .has_queue = true, .check = check_agl_queue, .handler = video_resource_queue},
	{.type = VIRTIO_VIDEO_AGL_CMD_QUEUE_DETACH_RESOURCES, .name = "QUEUE_DETACH_RESOURCES",
	 .request_bytes = BYTES(virtio_video_resource_destroy_all), .answer_bytes = HEADER, .has_stream = true,
	 .has_queue = true, .repeatable = true, .record = video_record_buffers_gone, .handler = video_resource_destroy_all},
	{0},
};

static uint32_t agl_picture_number(const struct video_picture_format *format)
{
	return format->agl_number;
}

static size_t agl_queue_answer(const struct video_stream *s, enum video_queue q, const struct stream_done *done, void *out)
{
	struct virtio_video_agl_resource_queue_resp resp = {.timestamp = done->timestamp};

	/* One at most: see the protocol header for what these drivers do with the others. */
	resp.flags = done->end ? VIRTIO_VIDEO_AGL_DEQUEUE_FLAG_EOS
		   : done->key_frame ? VIRTIO_VIDEO_AGL_DEQUEUE_FLAG_KEY_FRAME : 0;
	if (s->config.encoder)
		resp.data_sizes[0] = done->bytes;
	else if (q == VIDEO_OUTPUT && !done->end && !done->error)
		resp.data_sizes[0] = s->layout.total_bytes;
	memcpy(out, &resp.flags, sizeof(resp) - sizeof(resp.hdr));
	return sizeof(resp) - sizeof(resp.hdr);
}

const struct video_dialect video_dialect_agl = {
	.name = "agl",
	.features = VIRTIO_BIT(VIRTIO_VIDEO_F_RESOURCE_GUEST_PAGES) | VIRTIO_BIT(VIRTIO_VIDEO_F_RESOURCE_NON_CONTIG),
	.rows = agl_rows,
	.last_control = VIRTIO_VIDEO_CONTROL_LEVEL,
	.picture_number = agl_picture_number,
	.names_one_plane = true,
	.queue_answer = agl_queue_answer,
};
