// SPDX-License-Identifier: MIT
#include "host/video/command.h"

#include <stdio.h>
#include <string.h>

#define REFUSE(cmd, code, ...) (snprintf((cmd)->why, sizeof((cmd)->why), __VA_ARGS__), (uint32_t)(code))

uint32_t video_check_stream_create(struct video_command *cmd)
{
	const struct virtio_video_stream_create *w = &cmd->u.stream_create;

	if (w->in_mem_type > VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT || w->out_mem_type > VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT)
		return REFUSE(cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER, "memory types %u and %u; 0 is guest pages",
			      w->in_mem_type, w->out_mem_type);
	return 0;
}

uint32_t video_check_resource_create(struct video_command *cmd)
{
	const struct virtio_video_resource_create *w = &cmd->u.resource_create;
	size_t left = reader_left(cmd->rest) / sizeof(struct virtio_video_mem_entry);

	if (w->planes_layout != VIRTIO_VIDEO_PLANES_LAYOUT_SINGLE_BUFFER &&
	    w->planes_layout != VIRTIO_VIDEO_PLANES_LAYOUT_PER_PLANE)
		return REFUSE(cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
			      "planes layout 0x%x; 1 is a single buffer, 2 one for each plane", w->planes_layout);
	if (w->num_planes < 1 || w->num_planes > VIRTIO_VIDEO_MAX_PLANES)
		return REFUSE(cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER, "%u planes; 1 to 8", w->num_planes);
	for (unsigned i = 0; i < w->num_planes; i++) {
		if (w->num_entries[i] > left)
			return REFUSE(cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
				      "plane %u announces %u memory entries, %zu follow; send 16 bytes for each", i,
				      w->num_entries[i], left);
		left -= w->num_entries[i];
	}
	return 0;
}

uint32_t video_check_resource_queue(struct video_command *cmd)
{
	const struct virtio_video_resource_queue *w = &cmd->u.resource_queue;

	if (w->num_data_sizes > VIRTIO_VIDEO_MAX_PLANES)
		return REFUSE(cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER, "%u data sizes; 8 are the most",
			      w->num_data_sizes);
	return 0;
}

uint32_t video_check_set_params(struct video_command *cmd)
{
	if (cmd->u.set_params.params.num_planes > VIRTIO_VIDEO_MAX_PLANES)
		return REFUSE(cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER, "%u planes; 8 are the most",
			      cmd->u.set_params.params.num_planes);
	if (cmd->type == VIRTIO_VIDEO_CMD_SET_PARAMS_EXT &&
	    cmd->u.set_params_ext.params.resource_type > VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT)
		return REFUSE(cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER, "memory type %u; 0 is guest pages",
			      cmd->u.set_params_ext.params.resource_type);
	return 0;
}

static const struct video_command_row *find_row(const struct video_command_row *rows, uint32_t type)
{
	for (; rows->type != 0; rows++) {
		if (rows->type == type)
			return rows;
	}
	return NULL;
}

uint32_t video_command_decode(struct video_command *cmd, struct chain *c, const struct video_command_row *rows)
{
	struct reader *r = chain_reader(c);
	const size_t room = writer_left(chain_writer(c)), length = reader_left(r);
	const struct video_command_row *row;

	memset(cmd, 0, sizeof(*cmd));
	cmd->chain = c;
	cmd->rest = r;
	if (read_obj(r, &cmd->u.hdr) < 0)
		return REFUSE(cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER, "request of %zu bytes; a header has 8", length);
	cmd->type = cmd->u.hdr.type;
	cmd->stream_id = cmd->u.hdr.stream_id;
	row = find_row(rows, cmd->type);
	if (!row)
		return REFUSE(cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION, "no such command");
	cmd->row = row;
	if (room < row->answer_bytes)
		return REFUSE(cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER, "%zu bytes for the answer; it has %u", room,
			      row->answer_bytes);
	if (reader_copy(r, (char *)&cmd->u + sizeof(cmd->u.hdr), row->request_bytes - sizeof(cmd->u.hdr)) < 0)
		return REFUSE(cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
			      "request of %zu bytes; the command has %u%s", length, row->request_bytes,
			      row->short_hint ? row->short_hint : "");
	if (row->has_queue) {
		/* In every command that has one it comes first. */
		const uint32_t type = cmd->u.get_params.queue_type;

		if (type != VIRTIO_VIDEO_QUEUE_TYPE_INPUT && type != VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT)
			return REFUSE(cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
				      "queue type 0x%x; 0x100 is input, 0x101 output", type);
		cmd->queue = type == VIRTIO_VIDEO_QUEUE_TYPE_INPUT ? VIDEO_INPUT : VIDEO_OUTPUT;
	}
	return row->check ? row->check(cmd) : 0;
}

const char *video_command_name(const struct video_command *cmd, char *buffer, size_t size)
{
	if (cmd->row)
		return cmd->row->name;
	snprintf(buffer, size, "command 0x%x", cmd->type);
	return buffer;
}
