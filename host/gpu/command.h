/* SPDX-License-Identifier: MIT */
/*
 * From bytes in a ring to a checked command. Everything that can be judged from the request alone is judged here:
 * number, queue, negotiated feature, lengths, room for the answer, wrapping rectangles. What needs the device's
 * state (do the ids exist?) is left to the handlers.
 *
 * The request is copied out of guest memory once; nothing here or later reads those bytes again.
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_COMMAND_H
#define MULLION_HOST_GPU_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/virtio/chain.h"
#include "protocol/virtio_gpu.h"

struct gpu;
struct gpu_command;
struct gpu_range;

/* What a process that takes over does with a command that the one before it was executing when it died. */
enum gpu_again {
	GPU_AGAIN_NEVER, /* it draws or copies, and may be why: an error is the answer */
	/*
	 * It makes, frees or binds something, and is done again, if that was not tried before. What that process did of it is
	 * gone, and drivers take no notice of errors: they go on with a resource or a context that is not there, or that should
	 * be gone.
	 */
	GPU_AGAIN_ONCE,
	/*
	 * It changes nothing, or sets what it would set once more just the same, and the renderer has no part in that: so it counts
	 * as taken until it is answered.
	 */
	GPU_AGAIN_ALWAYS,
	/*
	 * Its handler commits to the journal what it is to set, and only then calls it executing: what is restored has that, and
	 * nothing is left to do.
	 */
	GPU_AGAIN_RESTORED,
};

/* One command: a row of the dispatch table (gpu.c). */
struct gpu_command_row {
	uint32_t type; /* VIRTIO_GPU_CMD_* */
	const char *name;
	uint16_t request_bytes; /* the fixed part, header included */
	uint16_t answer_bytes;  /* least room for the answer, header included; 0: needs none */
	uint8_t queue;
	uint8_t feature; /* VIRTIO_GPU_F_*, or GPU_ANY_FEATURES */
	/*
	 * Returns a VIRTIO_GPU_RESP_* code, or GPU_PENDING and gpu_answer() follows; never touches the header of the answer.
	 */
	uint32_t (*handler)(struct gpu *g, struct gpu_command *cmd);
	enum gpu_again again;
};

/* It is answered later; until then its chain is the handler's. */
#define GPU_PENDING 0u

#define GPU_ANY_FEATURES 0xffu

struct gpu_command {
	const struct gpu_command_row *row; /* NULL when the number is unknown or the header is short */
	/* The header's words. fenced and has_ring stay false when the header could not be read. */
	uint32_t type, ctx_id;
	uint64_t fence_id;
	uint8_t ring_idx;
	bool fenced;
	bool has_ring; /* ring_idx means something */
	uint64_t serial; /* of the request, for trace lines */
	struct chain *chain; /* the request; NULL when restored */
	struct reader *rest; /* behind the fixed part: memory entries, a command stream */
	const struct gpu_range *ranges; /* when restored (record.h): instead of memory entries in @rest */
	/* What the handler adds to the header of the answer; its memory lives until the answer is written. */
	const void *answer;
	size_t answer_bytes;
	size_t answer_room; /* bytes the guest left for that */
	union {
		struct virtio_gpu_ctrl_hdr hdr;
		struct virtio_gpu_resource_create_2d create_2d;
		struct virtio_gpu_resource_unref unref;
		struct virtio_gpu_set_scanout set_scanout;
		struct virtio_gpu_resource_flush flush;
		struct virtio_gpu_transfer_to_host_2d transfer_2d;
		struct virtio_gpu_resource_attach_backing attach;
		struct virtio_gpu_resource_detach_backing detach;
		struct virtio_gpu_get_capset_info capset_info;
		struct virtio_gpu_get_capset capset;
		struct virtio_gpu_cmd_get_edid edid;
		struct virtio_gpu_resource_assign_uuid uuid;
		struct virtio_gpu_resource_create_blob create_blob;
		struct virtio_gpu_set_scanout_blob set_scanout_blob;
		struct virtio_gpu_ctx_create ctx_create;
		struct virtio_gpu_ctx_resource ctx_resource;
		struct virtio_gpu_resource_create_3d create_3d;
		struct virtio_gpu_transfer_host_3d transfer_3d;
		struct virtio_gpu_cmd_submit submit;
		struct virtio_gpu_resource_map_blob map_blob;
		struct virtio_gpu_resource_unmap_blob unmap_blob;
		struct virtio_gpu_update_cursor cursor;
	} u;
	char why[120]; /* after a refusal: the reason and a hint */
};

/*
 * Read the request in @c, which came on queue number @queue, against the table @rows (ended by type 0) and the
 * negotiated @features. Returns 0, or the VIRTIO_GPU_RESP_ERR_* to answer with, and cmd->why says why.
 */
uint32_t gpu_command_decode(struct gpu_command *cmd, struct chain *c, unsigned queue, uint64_t features,
			    const struct gpu_command_row *rows);

/* "SET_SCANOUT", or "command 0x1234" by way of @buffer. */
const char *gpu_command_name(const struct gpu_command *cmd, char *buffer, size_t size);

#endif
