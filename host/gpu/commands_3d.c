// SPDX-License-Identifier: MIT
/*
 * Capsets, rendering contexts, transfers in 3D and command streams (virtio 1.4, section 5.7.6.8). Negotiated
 * feature bits were checked before, so the renderer has the ops used here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/step.h"
#include "host/gpu/device.h"

static bool capset_at(struct gpu *g, uint32_t index, struct renderer_capset *out)
{
	if (!g->degraded)
		return g->renderer->ops->capset_info(g->renderer, index, out) == 0;
	if (index >= GPU_LOST_CAPSETS || g->lost_capsets[index].id == 0)
		return false;
	*out = g->lost_capsets[index];
	return true;
}

/*
 * Linux takes no error for an answer here, and waits 5 seconds for another at its start. So a driver that was told by the process
 * before how many there are gets what that one had said. It is refused their content (gpu.c), for which it takes zeros without
 * waiting: Mesa's EGL does not start with those on the GPU. With the content it would, send what nobody draws, and wait for
 * results of queries.
 */
uint32_t gpu_get_capset_info(struct gpu *g, struct gpu_command *cmd)
{
	struct virtio_gpu_resp_capset_info *info = &g->answer.capset_info;
	struct renderer_capset capset;

	if (!capset_at(g, cmd->u.capset_info.capset_index, &capset))
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "no capset at index %u; there are %u",
				  cmd->u.capset_info.capset_index, g->capset_count);
	memset(info, 0, sizeof(*info));
	info->capset_id = capset.id;
	info->capset_max_version = capset.max_version;
	info->capset_max_size = capset.max_size;
	gpu_answer_with(cmd, info);
	return VIRTIO_GPU_RESP_OK_CAPSET_INFO;
}

static bool find_capset(struct gpu *g, uint32_t id, struct renderer_capset *out)
{
	for (uint32_t i = 0; i < g->capset_count; i++) {
		if (g->renderer->ops->capset_info(g->renderer, i, out) == 0 && out->id == id)
			return true;
	}
	return false;
}

uint32_t gpu_get_capset(struct gpu *g, struct gpu_command *cmd)
{
	const struct virtio_gpu_get_capset *w = &cmd->u.capset;
	struct renderer_capset capset;
	int err;

	if (!find_capset(g, w->capset_id, &capset) || w->capset_version > capset.max_version)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "no capset %u of version %u; GET_CAPSET_INFO lists them", w->capset_id, w->capset_version);
	if (cmd->answer_room < capset.max_size)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "room for %zu bytes; capset %u has %u",
				  cmd->answer_room, capset.id, capset.max_size);
	if (capset.max_size > g->capset_buffer_bytes)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_UNSPEC, "capset %u grew since start-up", capset.id);
	memset(g->capset_buffer, 0, capset.max_size);
	err = g->renderer->ops->capset(g->renderer, w->capset_id, w->capset_version, g->capset_buffer, capset.max_size);
	if (err < 0)
		return gpu_renderer_failed(g, cmd, err, "capset", capset.id);
	cmd->answer = g->capset_buffer;
	cmd->answer_bytes = capset.max_size;
	return VIRTIO_GPU_RESP_OK_CAPSET;
}

static struct gpu_context *find_context(struct gpu *g, const struct gpu_command *cmd, uint32_t *code)
{
	struct gpu_context *ctx = gpu_context_find(g->contexts, cmd->ctx_id);

	if (!ctx)
		*code = gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID, "no context %u; create it first", cmd->ctx_id);
	return ctx;
}

/* The guest's name for a context, fit for logs: printable and ended. */
static void clean_name(const struct virtio_gpu_ctx_create *w, char name[64])
{
	size_t n = w->nlen < 63 ? w->nlen : 63, i;

	for (i = 0; i < n && w->debug_name[i] != '\0'; i++)
		name[i] = w->debug_name[i] >= ' ' && w->debug_name[i] <= '~' ? w->debug_name[i] : '?';
	name[i] = '\0';
}

uint32_t gpu_ctx_create(struct gpu *g, struct gpu_command *cmd)
{
	const struct virtio_gpu_ctx_create *w = &cmd->u.ctx_create;
	uint32_t capset_id = 0;
	char name[64];

	/* Without the feature the word is padding. */
	if (virtio_device_has(&g->device, VIRTIO_GPU_F_CONTEXT_INIT)) {
		capset_id = w->context_init & VIRTIO_GPU_CONTEXT_INIT_CAPSET_ID_MASK;
		if (w->context_init != capset_id)
			return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
					  "context %u: context_init 0x%x names no capset of this device", cmd->ctx_id,
					  w->context_init);
	}
	clean_name(w, name);
	return gpu_make_context(g, cmd, capset_id, name);
}

uint32_t gpu_make_context(struct gpu *g, const struct gpu_command *cmd, uint32_t capset_id, const char *name)
{
	struct renderer_capset capset;
	struct gpu_context *ctx;
	int err;

	if (capset_id != 0 && !find_capset(g, capset_id, &capset))
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "context %u: this device has no capset %u",
				  cmd->ctx_id, capset_id);
	err = gpu_context_add(g->contexts, cmd->ctx_id, &ctx);
	if (err == -EINVAL)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID, "context 0 means none; use another number");
	if (err == -EEXIST)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID, "context %u exists; destroy it first",
				  cmd->ctx_id);
	if (err < 0)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY, "context %u is over the limit of %u", cmd->ctx_id,
				  g->limits.contexts);
	ctx->capset_id = capset_id;
	memcpy(ctx->name, name, sizeof(ctx->name));
	err = g->renderer->ops->context_create(g->renderer, ctx->id, capset_id, name);
	if (err < 0) {
		gpu_context_remove(g->contexts, ctx);
		return gpu_renderer_failed(g, cmd, err, "context", cmd->ctx_id);
	}
	gpu_record_context(g, ctx);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t gpu_ctx_destroy(struct gpu *g, struct gpu_command *cmd)
{
	uint32_t code = VIRTIO_GPU_RESP_OK_NODATA;
	struct gpu_context *ctx = find_context(g, cmd, &code);

	if (ctx)
		gpu_drop_context(g, ctx);
	return code;
}

/* The context and the resource that a command names, or NULL and the answer in *code. */
static struct gpu_context *find_pair(struct gpu *g, const struct gpu_command *cmd, struct gpu_resource **res,
				     uint32_t *code)
{
	const uint32_t id = cmd->u.ctx_resource.resource_id;
	struct gpu_context *ctx = find_context(g, cmd, code);

	if (!ctx)
		return NULL;
	*res = gpu_resource_find(g->resources, id);
	if (!*res)
		*code = gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, "context %u: no resource %u; create it first",
				   cmd->ctx_id, id);
	return *res ? ctx : NULL;
}

uint32_t gpu_ctx_attach_resource(struct gpu *g, struct gpu_command *cmd)
{
	uint32_t code = VIRTIO_GPU_RESP_OK_NODATA;
	struct gpu_resource *res;
	struct gpu_context *ctx = find_pair(g, cmd, &res, &code);
	bool is_new;
	int err;

	if (!ctx)
		return code;
	is_new = !gpu_context_has(ctx, res->id);
	if (is_new && gpu_resource_charge(g->resources, GPU_ATTACHMENT_BYTES) < 0)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY,
				  "context %u: one more resource attached is over the limit (%llu of %llu bytes in use)",
				  cmd->ctx_id, (unsigned long long)gpu_resource_bytes(g->resources),
				  (unsigned long long)g->limits.resource_bytes);
	err = g->renderer->ops->context_attach(g->renderer, cmd->ctx_id, res);
	if (err >= 0) {
		err = gpu_context_attach(ctx, res->id);
		if (err < 0)
			g->renderer->ops->context_detach(g->renderer, cmd->ctx_id, res);
	}
	if (err < 0) {
		gpu_resource_uncharge(g->resources, is_new ? GPU_ATTACHMENT_BYTES : 0);
		return gpu_renderer_failed(g, cmd, err, "resource", res->id);
	}
	gpu_record_attachment(g, cmd->ctx_id, res->id, true);
	return code;
}

uint32_t gpu_ctx_detach_resource(struct gpu *g, struct gpu_command *cmd)
{
	uint32_t code = VIRTIO_GPU_RESP_OK_NODATA;
	struct gpu_resource *res;
	struct gpu_context *ctx = find_pair(g, cmd, &res, &code);

	if (!ctx)
		return code;
	g->renderer->ops->context_detach(g->renderer, cmd->ctx_id, res);
	if (gpu_context_detach(ctx, res->id))
		gpu_resource_uncharge(g->resources, GPU_ATTACHMENT_BYTES);
	gpu_record_attachment(g, cmd->ctx_id, res->id, false);
	return code;
}

static uint32_t level_size(uint32_t size, uint32_t level)
{
	return size >> level ? size >> level : 1;
}

static bool box_is_inside(const struct virtio_gpu_transfer_host_3d *w, const struct gpu_resource_shape *shape)
{
	uint32_t layers;

	/* Before anything is shifted by it: last_level is below 32. */
	if (w->level > shape->last_level)
		return false;
	layers = level_size(shape->depth, w->level);
	if (shape->array_size > layers)
		layers = shape->array_size;
	/* command.c saw that no sum wraps. */
	return w->box.x + w->box.w <= level_size(shape->width, w->level) &&
	       w->box.y + w->box.h <= level_size(shape->height, w->level) && w->box.z + w->box.d <= layers;
}

static uint32_t transfer_3d(struct gpu *g, struct gpu_command *cmd,
			    int (*op)(struct renderer *r, struct gpu_resource *res, const struct renderer_transfer *t),
			    void (*made)(struct gpu_content *c, uint32_t resource_id, const struct renderer_transfer *t))
{
	const struct virtio_gpu_transfer_host_3d *w = &cmd->u.transfer_3d;
	uint32_t code = VIRTIO_GPU_RESP_OK_NODATA;
	struct renderer_transfer transfer;
	struct gpu_resource *res;
	int err;

	if (cmd->ctx_id != 0 && !find_context(g, cmd, &code))
		return code;
	res = gpu_resource_find(g->resources, w->resource_id);
	if (!res)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, "no resource %u; create it first",
				  w->resource_id);
	if (res->kind != GPU_RESOURCE_BLOB && !box_is_inside(w, &res->shape))
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "%ux%ux%u at %u,%u,%u of level %u is not in resource %u", w->box.w, w->box.h, w->box.d, w->box.x,
				  w->box.y, w->box.z, w->level, res->id);
	if (!res->backing)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_UNSPEC, "resource %u has no backing; attach one first", res->id);
	if (w->offset >= res->backing_bytes)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "resource %u: offset %llu, but its backing has %zu bytes", res->id,
				  (unsigned long long)w->offset, res->backing_bytes);
	transfer = (struct renderer_transfer){
		.ctx_id = cmd->ctx_id,
		.level = w->level,
		.stride = w->stride,
		.layer_stride = w->layer_stride,
		.offset = w->offset,
		.box = {w->box.x, w->box.y, w->box.z, w->box.w, w->box.h, w->box.d},
	};
	err = op(g->renderer, res, &transfer);
	if (err < 0)
		return gpu_renderer_failed(g, cmd, err, "resource", res->id);
	made(g->content, res->id, &transfer);
	return code;
}

uint32_t gpu_transfer_to_host_3d(struct gpu *g, struct gpu_command *cmd)
{
	return transfer_3d(g, cmd, g->renderer->ops->transfer_to_host, gpu_content_uploaded);
}

uint32_t gpu_transfer_from_host_3d(struct gpu *g, struct gpu_command *cmd)
{
	return transfer_3d(g, cmd, g->renderer->ops->transfer_from_host, gpu_content_downloaded);
}

/*
 * The context, and what is for it in g->submit_buffer, where the guest can't rewrite it: the renderer parses these bytes
 * more than once. NULL: *code says why not.
 */
static struct gpu_context *take_commands(struct gpu *g, struct gpu_command *cmd, uint32_t *code)
{
	const size_t bytes = cmd->u.submit.size;
	struct gpu_context *ctx = find_context(g, cmd, code);

	if (!ctx)
		return NULL;
	if (bytes > g->limits.command_bytes) {
		*code = gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY, "context %u: %zu bytes; the limit is %u",
				   cmd->ctx_id, bytes, g->limits.command_bytes);
		return NULL;
	}
	if (bytes > g->submit_buffer_bytes) {
		void *larger = realloc(g->submit_buffer, bytes);

		if (!larger) {
			*code = gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY,
					   "context %u: the host has no memory for %zu bytes", cmd->ctx_id, bytes);
			return NULL;
		}
		g->submit_buffer = larger;
		g->submit_buffer_bytes = bytes;
	}
	if (reader_copy(cmd->rest, g->submit_buffer, bytes) < 0) {
		*code = gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "context %u: %zu bytes are not there",
				   cmd->ctx_id, bytes);
		return NULL;
	}
	return ctx;
}

uint32_t gpu_submit_3d(struct gpu *g, struct gpu_command *cmd)
{
	const size_t bytes = cmd->u.submit.size;
	uint32_t code = VIRTIO_GPU_RESP_OK_NODATA;
	struct gpu_context *ctx = take_commands(g, cmd, &code);
	int err = 0;

	if (!ctx)
		return code;
	if (bytes > 0)
		err = g->renderer->ops->submit(g->renderer, cmd->ctx_id, g->submit_buffer, bytes);
	if (ctx->lost)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_UNSPEC, "context %u was lost when the GPU's process died", ctx->id);
	if (err < 0)
		return gpu_renderer_failed(g, cmd, err, "context", cmd->ctx_id);
	if (bytes > 0 && ctx->deaths > 0 && ++ctx->done == GPU_CONTEXT_GOT_ON) {
		ctx->deaths = 0;
		gpu_record_context(g, ctx);
	}
	return code;
}

/*
 * The draws are what most likely was at work, so they are not done again: a picture is missing, or a part of it. But what
 * the guest sends next refers to what was made and set here, and without it would find the context in error. That may be
 * what the process died of, too, so the death is counted first.
 */
void gpu_submit_3d_skipped(struct gpu *g, struct gpu_command *cmd)
{
	const struct renderer_ops *ops = g->renderer->ops;
	const size_t bytes = cmd->u.submit.size;
	uint32_t code;
	struct gpu_context *ctx = take_commands(g, cmd, &code);

	if (!ctx)
		return;
	ctx->deaths++;
	ctx->done = 0;
	gpu_record_context(g, ctx);
	gpu_record_commit(g, 0);
	step_reached(STEP_REBUILDING);
	if (ctx->lost || ctx->deaths >= GPU_CONTEXT_DEATHS || !ops->submit_without_draws) {
		gpu_mark_lost(g, ctx->id);
		if (bytes > 0)
			ops->submit(g->renderer, ctx->id, g->submit_buffer, bytes);
	} else if (bytes && ops->submit_without_draws(g->renderer, ctx->id, g->submit_buffer, bytes) < 0) {
		gpu_mark_lost(g, ctx->id);
	} else {
		log_guest(LOG_TOPIC_GPU, &g->log_limit,
			  "context %u (%s): what a submission of %zu bytes drew is left out", ctx->id, ctx->name,
			  bytes);
	}
}
