// SPDX-License-Identifier: MIT
/* Contexts, 3D resources, command streams and fences. */
#include <linux/errno.h>

#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/gpu.h"
#include "guest-drivers/bare/string.h"

int gpu_capset_info(struct gpu *g, uint32_t index, struct virtio_gpu_resp_capset_info *info)
{
	struct virtio_gpu_get_capset_info c = {.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET_INFO, .capset_index = index};

	return gpu_ask(g, &c, sizeof(c), (struct virtq_buffer){NULL, 0}, (struct virtq_buffer){info, sizeof(*info)},
		       VIRTIO_GPU_RESP_OK_CAPSET_INFO);
}

int gpu_capset(struct gpu *g, uint32_t id, uint32_t version, void *out, uint32_t bytes)
{
	struct virtio_gpu_get_capset c = {
		.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET, .capset_id = id, .capset_version = version};
	struct virtio_gpu_resp_capset *answer = alloc_zeroed(sizeof(*answer) + bytes, 0);
	struct gpu_request r = {
		.out = {{&c, sizeof(c)}}, .out_count = 1, .in = {answer, (uint32_t)sizeof(*answer) + bytes}};
	int rc;

	if (!answer)
		return -ENOMEM;
	rc = gpu_transact(g, VIRTIO_GPU_QUEUE_CONTROL, &r);
	rc = rc ? rc : gpu_judge(g, &r, VIRTIO_GPU_RESP_OK_CAPSET, sizeof(*answer));
	if (!rc) {
		rc = (int)(r.written - sizeof(*answer));
		memcpy(out, answer->capset_data, (size_t)rc);
	}
	alloc_free(answer);
	return rc;
}

int gpu_context_create(struct gpu *g, uint32_t context, uint32_t context_init, const char *name)
{
	struct virtio_gpu_ctx_create c = {.hdr = {.type = VIRTIO_GPU_CMD_CTX_CREATE, .ctx_id = context},
					  .context_init = context_init};
	size_t n = strlen(name);

	if (n > sizeof(c.debug_name))
		n = sizeof(c.debug_name);
	memcpy(c.debug_name, name, n);
	c.nlen = (uint32_t)n;
	return gpu_command(g, &c, sizeof(c));
}

int gpu_context_destroy(struct gpu *g, uint32_t context)
{
	struct virtio_gpu_ctx_destroy c = {.hdr = {.type = VIRTIO_GPU_CMD_CTX_DESTROY, .ctx_id = context}};

	return gpu_command(g, &c, sizeof(c));
}

int gpu_context_attach(struct gpu *g, uint32_t context, uint32_t resource)
{
	struct virtio_gpu_ctx_resource c = {.hdr = {.type = VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, .ctx_id = context},
					    .resource_id = resource};

	return gpu_command(g, &c, sizeof(c));
}

int gpu_context_detach(struct gpu *g, uint32_t context, uint32_t resource)
{
	struct virtio_gpu_ctx_resource c = {.hdr = {.type = VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, .ctx_id = context},
					    .resource_id = resource};

	return gpu_command(g, &c, sizeof(c));
}

int gpu_create_3d(struct gpu *g, uint32_t resource, const struct gpu_resource_3d *r)
{
	struct virtio_gpu_resource_create_3d c = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_3D,
						  .resource_id = resource,
						  .target = r->target,
						  .format = r->format,
						  .bind = r->bind,
						  .width = r->width,
						  .height = r->height,
						  .depth = r->depth,
						  .array_size = r->array_size,
						  .last_level = r->last_level,
						  .nr_samples = r->samples,
						  .flags = r->flags};

	return gpu_command(g, &c, sizeof(c));
}

static int transfer(struct gpu *g, uint32_t type, uint32_t context, uint32_t resource, const struct gpu_transfer_3d *t,
		    bool fenced)
{
	struct virtio_gpu_transfer_host_3d c = {.hdr = {.type = type, .ctx_id = context},
						.box = t->box,
						.offset = t->offset,
						.resource_id = resource,
						.level = t->level,
						.stride = t->stride,
						.layer_stride = t->layer_stride};

	if (fenced) {
		c.hdr.flags = VIRTIO_GPU_FLAG_FENCE;
		c.hdr.fence_id = ++g->fence_id;
	}
	return gpu_command(g, &c, sizeof(c));
}

int gpu_transfer_to_host_3d(struct gpu *g, uint32_t context, uint32_t resource, const struct gpu_transfer_3d *t)
{
	return transfer(g, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, context, resource, t, false);
}

int gpu_transfer_from_host_3d(struct gpu *g, uint32_t context, uint32_t resource, const struct gpu_transfer_3d *t)
{
	return transfer(g, VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, context, resource, t, true);
}

int gpu_post_submit(struct gpu *g, struct gpu_submission *s, uint32_t context, const uint32_t *commands, uint32_t bytes,
		    uint64_t fence_id, int ring)
{
	memset(s, 0, sizeof(*s));
	s->command.hdr.type = VIRTIO_GPU_CMD_SUBMIT_3D;
	s->command.hdr.ctx_id = context;
	s->command.hdr.flags = VIRTIO_GPU_FLAG_FENCE;
	s->command.hdr.fence_id = fence_id;
	if (ring >= 0) {
		s->command.hdr.flags |= VIRTIO_GPU_FLAG_INFO_RING_IDX;
		s->command.hdr.ring_idx = (uint8_t)ring;
	}
	s->command.size = bytes;
	s->request.out[0] = (struct virtq_buffer){&s->command, sizeof(s->command)};
	s->request.out[1] = (struct virtq_buffer){commands, bytes};
	s->request.out_count = bytes ? 2 : 1;
	s->request.in = (struct virtq_buffer){&s->answer, sizeof(s->answer)};
	return gpu_post(g, VIRTIO_GPU_QUEUE_CONTROL, &s->request);
}

int gpu_submit_3d(struct gpu *g, uint32_t context, const uint32_t *commands, uint32_t bytes)
{
	struct gpu_submission s;
	int rc = gpu_post_submit(g, &s, context, commands, bytes, ++g->fence_id, -1);

	if (!rc)
		rc = gpu_wait(g, &s.request);
	return rc ? rc : gpu_judge(g, &s.request, VIRTIO_GPU_RESP_OK_NODATA, sizeof(s.answer));
}
