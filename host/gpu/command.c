// SPDX-License-Identifier: MIT
#include "host/gpu/command.h"

#include <stdio.h>
#include <string.h>

#define REFUSE(cmd, code, ...) (snprintf((cmd)->why, sizeof((cmd)->why), __VA_ARGS__), (uint32_t)(code))

static uint32_t check_rect(struct gpu_command *cmd, const struct virtio_gpu_rect *r)
{
	if (r->x + r->width < r->x || r->y + r->height < r->y)
		return REFUSE(cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "rectangle %ux%u at %u,%u wraps around 32 bits",
			      r->width, r->height, r->x, r->y);
	return 0;
}

static uint32_t check_entries(struct gpu_command *cmd, uint32_t count)
{
	size_t left = reader_left(cmd->rest);

	if (count > left / sizeof(struct virtio_gpu_mem_entry))
		return REFUSE(cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			      "%u memory entries announced, %zu bytes follow; send 16 bytes for each", count, left);
	return 0;
}

static uint32_t check_box(struct gpu_command *cmd, const struct virtio_gpu_box *b)
{
	if (b->x + b->w < b->x || b->y + b->h < b->y || b->z + b->d < b->z)
		return REFUSE(cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "box wraps around 32 bits");
	return 0;
}

static uint32_t check_form(struct gpu_command *cmd)
{
	size_t left;

	switch (cmd->type) {
	case VIRTIO_GPU_CMD_SET_SCANOUT:
		return check_rect(cmd, &cmd->u.set_scanout.r);
	case VIRTIO_GPU_CMD_SET_SCANOUT_BLOB:
		return check_rect(cmd, &cmd->u.set_scanout_blob.r);
	case VIRTIO_GPU_CMD_RESOURCE_FLUSH:
		return check_rect(cmd, &cmd->u.flush.r);
	case VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D:
		return check_rect(cmd, &cmd->u.transfer_2d.r);
	case VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D:
	case VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D:
		return check_box(cmd, &cmd->u.transfer_3d.box);
	case VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING:
		return check_entries(cmd, cmd->u.attach.nr_entries);
	case VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB:
		return check_entries(cmd, cmd->u.create_blob.nr_entries);
	case VIRTIO_GPU_CMD_CTX_CREATE:
		if (cmd->u.ctx_create.nlen > sizeof(cmd->u.ctx_create.debug_name))
			return REFUSE(cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "name of %u bytes; 64 is the most",
				      cmd->u.ctx_create.nlen);
		return 0;
	case VIRTIO_GPU_CMD_SUBMIT_3D:
		left = reader_left(cmd->rest);
		if (cmd->u.submit.size > left)
			return REFUSE(cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "%u bytes announced, %zu follow",
				      cmd->u.submit.size, left);
		if (cmd->u.submit.size % 4 != 0)
			return REFUSE(cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				      "%u bytes; a command stream is a multiple of 4", cmd->u.submit.size);
		return 0;
	default:
		return 0;
	}
}

static const struct gpu_command_row *find_row(const struct gpu_command_row *rows, uint32_t type)
{
	for (; rows->type != 0; rows++) {
		if (rows->type == type)
			return rows;
	}
	return NULL;
}

uint32_t gpu_command_decode(struct gpu_command *cmd, struct chain *c, unsigned queue, uint64_t features,
			    const struct gpu_command_row *rows)
{
	struct reader *r = chain_reader(c);
	size_t room = writer_left(chain_writer(c)), length = reader_left(r);
	const struct gpu_command_row *row;

	memset(cmd, 0, sizeof(*cmd));
	cmd->rest = r;
	if (read_obj(r, &cmd->u.hdr) < 0)
		return REFUSE(cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "request of %zu bytes; a header has 24", length);
	cmd->type = cmd->u.hdr.type;
	cmd->ctx_id = cmd->u.hdr.ctx_id;
	cmd->fence_id = cmd->u.hdr.fence_id;
	cmd->ring_idx = cmd->u.hdr.ring_idx;
	cmd->fenced = cmd->u.hdr.flags & VIRTIO_GPU_FLAG_FENCE;
	/* Section 5.7.6.7: the flag exists only with the feature. */
	cmd->has_ring = (features >> VIRTIO_GPU_F_CONTEXT_INIT & 1) && (cmd->u.hdr.flags & VIRTIO_GPU_FLAG_INFO_RING_IDX);

	row = find_row(rows, cmd->type);
	if (!row)
		return REFUSE(cmd, VIRTIO_GPU_RESP_ERR_UNSPEC, "no such command");
	cmd->row = row;
	if (row->queue != queue)
		return REFUSE(cmd, VIRTIO_GPU_RESP_ERR_UNSPEC, "came on queue %u; send it on queue %u", queue, row->queue);
	if (row->feature != GPU_ANY_FEATURES && !(features >> row->feature & 1))
		return REFUSE(cmd, VIRTIO_GPU_RESP_ERR_UNSPEC, "needs feature bit %u, which was not negotiated", row->feature);
	if (room < row->answer_bytes)
		return REFUSE(cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "%zu bytes for the answer; it has %u", room,
			      row->answer_bytes);
	cmd->answer_room = room > sizeof(struct virtio_gpu_ctrl_hdr) ? room - sizeof(struct virtio_gpu_ctrl_hdr) : 0;
	if (reader_copy(r, (char *)&cmd->u + sizeof(cmd->u.hdr), row->request_bytes - sizeof(cmd->u.hdr)) < 0)
		return REFUSE(cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "request of %zu bytes; the command has %u", length,
			      row->request_bytes);
	if (cmd->has_ring && cmd->ring_idx >= VIRTIO_GPU_RING_COUNT) {
		/* No such timeline: the answer can't wait on it. */
		cmd->has_ring = false;
		return REFUSE(cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "ring index %u; 63 is the last", cmd->ring_idx);
	}
	return check_form(cmd);
}

const char *gpu_command_name(const struct gpu_command *cmd, char *buffer, size_t size)
{
	if (cmd->row)
		return cmd->row->name;
	snprintf(buffer, size, "command 0x%x", cmd->type);
	return buffer;
}
