// SPDX-License-Identifier: MIT
/*
 * Resources: creation, backing pages, transfers in 2D, UUIDs, blobs (virtio 1.4, section 5.7.6.8).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "host/gpu/backing.h"
#include "host/gpu/device.h"
#include "host/gpu/export.h"
#include "host/virtio/mem.h"
#include "host/virtio/shared_heap.h"
#include "protocol/virgl.h"

#define KNOWN_BLOB_FLAGS                                                                                               \
	((uint32_t)(VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE | VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE |                          \
		    VIRTIO_GPU_BLOB_FLAG_USE_CROSS_DEVICE))

static struct gpu_resource *find_resource(struct gpu *g, const struct gpu_command *cmd, uint32_t id, uint32_t *code)
{
	struct gpu_resource *res = gpu_resource_find(g->resources, id);

	if (!res)
		*code = gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, "no resource %u; create it first", id);
	return res;
}

/* Enter resource @id of @bytes into the table, or say why not. */
static struct gpu_resource *add_resource(struct gpu *g, const struct gpu_command *cmd, uint32_t id, uint64_t bytes,
					 uint32_t *code)
{
	struct gpu_resource *res = NULL;

	switch (gpu_resource_add(g->resources, id, bytes, &res)) {
	case 0:
		break;
	case -EINVAL:
		*code = gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, "resource 0 means none; use another number");
		break;
	case -EEXIST:
		*code = gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, "resource %u exists; unref it first", id);
		break;
	case -ENOSPC:
		*code = gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY,
				   "resource %u of %llu bytes is over the limit (%u of %u resources, %llu of %llu bytes in use)", id,
				   (unsigned long long)bytes, gpu_resource_count(g->resources), g->limits.resources,
				   (unsigned long long)gpu_resource_bytes(g->resources),
				   (unsigned long long)g->limits.resource_bytes);
		break;
	default:
		*code = gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY, "resource %u: the host has no memory", id);
		break;
	}
	return res;
}

/* Hand a filled-in resource to the renderer; takes it out again if that fails. */
static uint32_t render_resource(struct gpu *g, const struct gpu_command *cmd, struct gpu_resource *res)
{
	const uint32_t id = res->id;
	int err = g->renderer->ops->resource_create(g->renderer, res);

	if (err < 0) {
		gpu_host_blob_drop(g, res);
		gpu_resource_remove(g->resources, res);
		return gpu_renderer_failed(g, cmd, err, "resource", id);
	}
	gpu_record_resource(g, res);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t gpu_resource_create_2d(struct gpu *g, struct gpu_command *cmd)
{
	const struct virtio_gpu_resource_create_2d *w = &cmd->u.create_2d;
	struct gpu_resource *res;
	uint32_t code = 0;

	if (!gpu_format_find(w->format))
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "resource %u: format %u is none of the 8 2D formats", w->resource_id, w->format);
	if (w->width == 0 || w->height == 0 || w->width > GPU_MAX_SIZE || w->height > GPU_MAX_SIZE)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "resource %u: %ux%u; 1..%u each way",
				  w->resource_id, w->width, w->height, GPU_MAX_SIZE);
	res = add_resource(g, cmd, w->resource_id, (uint64_t)w->width * w->height * GPU_PIXEL_BYTES, &code);
	if (!res)
		return code;
	res->kind = GPU_RESOURCE_2D;
	res->shape = (struct gpu_resource_shape){
		.target = PIPE_TEXTURE_2D,
		.format = w->format,
		.bind = VIRGL_BIND_RENDER_TARGET,
		.width = w->width,
		.height = w->height,
		.depth = 1,
		.array_size = 1,
		.flags = VIRTIO_GPU_RESOURCE_FLAG_Y_0_TOP,
	};
	return render_resource(g, cmd, res);
}

/*
 * Host memory that a 3D resource takes, rounded up: mip levels add a third at most, so twice the base is counted.
 * Returns false if that is over any limit by itself.
 */
static bool bytes_of_3d(const struct virtio_gpu_resource_create_3d *w, uint64_t *out)
{
	const uint32_t factors[] = {w->height, w->depth, w->array_size, w->nr_samples, w->last_level ? 2 : 1,
				    w->target == PIPE_BUFFER ? 1 : gpu_format_3d_pixel_bytes(w->format)};
	uint64_t bytes = w->width;

	for (unsigned i = 0; i < sizeof(factors) / sizeof(factors[0]); i++) {
		/* Samples and array size may be 0, which means 1. */
		if (factors[i] != 0 && __builtin_mul_overflow(bytes, (uint64_t)factors[i], &bytes))
			return false;
	}
	*out = bytes;
	return true;
}

uint32_t gpu_make_3d(struct gpu *g, const struct gpu_command *cmd, const struct virtio_gpu_resource_create_3d *w,
		     const struct virtio_gpu_resource_create_blob *blob)
{
	struct gpu_resource *res;
	uint64_t bytes;
	uint32_t code = 0;

	if (w->width == 0 || w->height == 0 || w->depth == 0)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "resource %u: %ux%ux%u has no size",
				  w->resource_id, w->width, w->height, w->depth);
	if (w->last_level >= 32)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "resource %u: %u levels; 31 is the last",
				  w->resource_id, w->last_level);
	if (!bytes_of_3d(w, &bytes))
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY, "resource %u: its size is over 64 bits",
				  w->resource_id);
	res = add_resource(g, cmd, w->resource_id, bytes, &code);
	if (!res)
		return code;
	res->kind = GPU_RESOURCE_3D;
	res->shape = (struct gpu_resource_shape){
		.target = w->target,
		.format = w->format,
		.bind = w->bind,
		.width = w->width,
		.height = w->height,
		.depth = w->depth,
		.array_size = w->array_size,
		.last_level = w->last_level,
		.nr_samples = w->nr_samples,
		.flags = w->flags,
	};
	if (blob) {
		res->blob_mem = blob->blob_mem;
		res->blob_flags = blob->blob_flags;
		res->blob_id = blob->blob_id;
		res->size_bytes = blob->size;
	}
	return render_resource(g, cmd, res);
}

uint32_t gpu_resource_create_3d(struct gpu *g, struct gpu_command *cmd)
{
	return gpu_make_3d(g, cmd, &cmd->u.create_3d, NULL);
}

/* Memory entry @index, which is the next one. False: command.c was wrong, and they are not all there. */
static bool next_range(struct gpu_command *cmd, uint32_t index, struct gpu_range *out)
{
	struct virtio_gpu_mem_entry entry = {0};
	bool there = true;

	if (cmd->ranges) {
		*out = cmd->ranges[index];
	} else {
		there = read_obj(cmd->rest, &entry) == 0;
		*out = (struct gpu_range){entry.addr, entry.length};
	}
	return there;
}

/*
 * Read @count memory entries of the request into the resource. All of them must be guest memory; what touches in
 * host memory is joined, so a buffer of contiguous pages ends up as one range.
 */
static uint32_t read_backing(struct gpu *g, struct gpu_command *cmd, struct gpu_resource *res, uint32_t count)
{
	struct iovec *backing;
	unsigned used = 0;
	size_t bytes = 0;

	if (count > g->limits.backing_entries)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY, "resource %u: %u memory entries; the limit is %u",
				  res->id, count, g->limits.backing_entries);
	backing = calloc(count ? count : 1, sizeof(*backing));
	if (!backing)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY, "resource %u: the host has no memory", res->id);
	for (uint32_t i = 0; i < count; i++) {
		struct gpu_range range;
		char *host = NULL;

		if (next_range(cmd, i, &range))
			host = guest_mem_range(g->device.mem, range.gpa, range.bytes);
		if (!host) {
			free(backing);
			return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
					  "resource %u: memory entry %u (%llu bytes at 0x%llx) is not guest memory", res->id, i,
					  (unsigned long long)range.bytes, (unsigned long long)range.gpa);
		}
		bytes += range.bytes;
		if (used > 0 && (char *)backing[used - 1].iov_base + backing[used - 1].iov_len == host)
			backing[used - 1].iov_len += range.bytes;
		else
			backing[used++] = (struct iovec){host, range.bytes};
	}
	if (gpu_resource_set_backing(g->resources, res, backing, used, bytes) < 0) {
		free(backing);
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY,
				  "resource %u: a list of %u pieces is over the limit (%llu of %llu bytes in use)", res->id, used,
				  (unsigned long long)gpu_resource_bytes(g->resources),
				  (unsigned long long)g->limits.resource_bytes);
	}
	return 0;
}

/* Plain memory of the host's (host_blob.h). A restored one has the piece that it had in place of memory entries. */
static uint32_t create_host_blob(struct gpu *g, struct gpu_command *cmd)
{
	const struct virtio_gpu_resource_create_blob *w = &cmd->u.create_blob;
	struct gpu_resource *res;
	uint32_t code = 0;
	int err;

	if (!g->window.heap)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_UNSPEC,
				  "resource %u: this device has no host blobs (host-visible=0); use blob_mem GUEST",
				  w->resource_id);
	if ((w->blob_flags & ~KNOWN_BLOB_FLAGS) != 0 || w->size == 0 || w->nr_entries != (cmd->ranges ? 1 : 0))
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "resource %u: flags 0x%x, size %llu, %u memory entries: unknown flag, no size, or entries, "
				  "which are for guest memory",
				  w->resource_id, w->blob_flags, (unsigned long long)w->size, w->nr_entries);
	res = add_resource(g, cmd, w->resource_id, shared_heap_pages(w->size), &code);
	if (!res)
		return code;
	res->kind = GPU_RESOURCE_BLOB;
	res->blob_mem = w->blob_mem;
	res->blob_flags = w->blob_flags;
	res->size_bytes = w->size;
	err = gpu_host_blob_create(g, res, cmd->ranges);
	if (err) {
		gpu_resource_remove(g->resources, res);
		return gpu_refuse(g, cmd,
				  err == -EINVAL || err == -EEXIST ? VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
								   : VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY,
				  "resource %u: %llu bytes of host memory, of %llu (host-visible=) for all: %s",
				  w->resource_id, (unsigned long long)w->size,
				  (unsigned long long)shared_heap_size(g->window.heap), strerror(-err));
	}
	return render_resource(g, cmd, res);
}

static int attach(struct gpu *g, struct gpu_resource *res)
{
	return g->renderer->ops->backing_attach ? g->renderer->ops->backing_attach(g->renderer, res) : 0;
}

/* Pages in which the guest has a copy of @res, by transfers. */
static uint32_t add_shadow(struct gpu *g, struct gpu_command *cmd, struct gpu_resource *res)
{
	uint32_t code = read_backing(g, cmd, res, cmd->u.create_blob.nr_entries);
	int err;

	if (code != 0)
		return code;
	err = attach(g, res);
	if (err < 0) {
		gpu_resource_drop_backing(g->resources, res);
		return gpu_renderer_failed(g, cmd, err, "resource", res->id);
	}
	gpu_record_backing(g, res);
	return 0;
}

/*
 * What a submission of the context has named by PIPE_RESOURCE_CREATE. It is as any 3D resource is, but that SET_SCANOUT_BLOB
 * shows it: the GPU's driver chooses how it lies in memory, so it can't be mapped.
 */
static uint32_t create_object_blob(struct gpu *g, struct gpu_command *cmd)
{
	const struct virtio_gpu_resource_create_blob *w = &cmd->u.create_blob;
	const struct gpu_context *ctx = gpu_context_find(g->contexts, cmd->ctx_id);
	const bool shadowed = w->blob_mem == VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST;
	struct virtio_gpu_resource_create_3d made;
	struct gpu_resource_shape s;
	uint32_t code;

	if (!ctx)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID,
				  "resource %u: no context %u; create it first", w->resource_id, cmd->ctx_id);
	if ((w->blob_flags & ~KNOWN_BLOB_FLAGS) != 0 || w->size == 0 || shadowed != (w->nr_entries > 0))
		return gpu_refuse(
			g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u: flags 0x%x, size %llu, %u memory entries: unknown flag, no size, or entries, "
			"which are for blobs of both memories alone",
			w->resource_id, w->blob_flags, (unsigned long long)w->size, w->nr_entries);
	if (w->blob_flags & VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE)
		return gpu_refuse(
			g, cmd, VIRTIO_GPU_RESP_ERR_UNSPEC,
			"resource %u: objects of a context can't be mapped: leave USE_MAPPABLE out, or take blob_id 0, "
			"which is plain memory",
			w->resource_id);
	if (ctx->lost || !g->renderer->ops->object_take ||
	    g->renderer->ops->object_take(g->renderer, cmd->ctx_id, w->blob_id, &s) < 0)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "resource %u: context %u has no object of blob_id %llu that waits for a resource",
				  w->resource_id, cmd->ctx_id, (unsigned long long)w->blob_id);
	made = (struct virtio_gpu_resource_create_3d){
		.resource_id = w->resource_id,
		.target = s.target,
		.format = s.format,
		.bind = s.bind,
		.width = s.width,
		.height = s.height,
		.depth = s.depth,
		.array_size = s.array_size,
		.last_level = s.last_level,
		.nr_samples = s.nr_samples,
		.flags = s.flags,
	};
	code = gpu_make_3d(g, cmd, &made, w);
	if (code == VIRTIO_GPU_RESP_OK_NODATA && shadowed) {
		struct gpu_resource *res = gpu_resource_find(g->resources, w->resource_id);
		const uint32_t wrong = add_shadow(g, cmd, res);

		if (wrong != 0) {
			gpu_drop_resource(g, res);
			code = wrong;
		}
	}
	return code;
}

uint32_t gpu_resource_create_blob(struct gpu *g, struct gpu_command *cmd)
{
	const struct virtio_gpu_resource_create_blob *w = &cmd->u.create_blob;
	struct gpu_resource *res;
	uint32_t code = 0;

	if (w->blob_id != 0 &&
	    (w->blob_mem == VIRTIO_GPU_BLOB_MEM_HOST3D || w->blob_mem == VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST))
		return create_object_blob(g, cmd);
	if (w->blob_mem == VIRTIO_GPU_BLOB_MEM_HOST3D)
		return create_host_blob(g, cmd);
	if (w->blob_mem == VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_UNSPEC,
				  "resource %u: blobs of both memories are objects of a context, and blob_id is 0",
				  w->resource_id);
	if (w->blob_mem != VIRTIO_GPU_BLOB_MEM_GUEST || (w->blob_flags & ~KNOWN_BLOB_FLAGS) != 0 || w->size == 0)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "resource %u: blob_mem %u, flags 0x%x, size %llu: unknown value or no size", w->resource_id,
				  w->blob_mem, w->blob_flags, (unsigned long long)w->size);
	/* Guest memory is the guest's: it does not count against host bytes. */
	res = add_resource(g, cmd, w->resource_id, 0, &code);
	if (!res)
		return code;
	res->kind = GPU_RESOURCE_BLOB;
	res->blob_mem = w->blob_mem;
	res->blob_flags = w->blob_flags;
	res->blob_id = w->blob_id;
	res->size_bytes = w->size;
	code = read_backing(g, cmd, res, w->nr_entries);
	if (code == 0 && res->backing_bytes < w->size)
		code = gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "resource %u: size %llu, but its memory entries have %zu bytes", res->id,
				  (unsigned long long)w->size, res->backing_bytes);
	if (code != 0) {
		gpu_resource_remove(g->resources, res);
		return code;
	}
	return render_resource(g, cmd, res);
}

uint32_t gpu_resource_unref(struct gpu *g, struct gpu_command *cmd)
{
	uint32_t code = VIRTIO_GPU_RESP_OK_NODATA;
	struct gpu_resource *res = find_resource(g, cmd, cmd->u.unref.resource_id, &code);
	uint32_t unmapped;
	bool was_mapped;

	if (!res)
		return code;
	/* The guest must not see, where it was, what the piece is used for next. */
	unmapped = gpu_unref_mapped(g, cmd, res, &was_mapped);
	if (was_mapped)
		return unmapped;
	gpu_drop_resource(g, res);
	return code;
}

uint32_t gpu_resource_assign_uuid(struct gpu *g, struct gpu_command *cmd)
{
	struct virtio_gpu_resp_resource_uuid *answer = &g->answer.uuid;
	uint32_t code = VIRTIO_GPU_RESP_OK_RESOURCE_UUID;
	struct gpu_resource *res = find_resource(g, cmd, cmd->u.uuid.resource_id, &code);
	uint32_t shared;

	if (!res)
		return code;
	if (!res->has_uuid) {
		if (getrandom(res->uuid, sizeof(res->uuid), 0) != (ssize_t)sizeof(res->uuid))
			return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_UNSPEC, "resource %u: the host has no random numbers", res->id);
		/* RFC 9562, section 5.4: version 4, variant 10. */
		res->uuid[6] = (uint8_t)((res->uuid[6] & 0x0f) | 0x40);
		res->uuid[8] = (uint8_t)((res->uuid[8] & 0x3f) | 0x80);
		shared = gpu_export_resource(g, cmd, res);
		if (shared != 0)
			return shared;
		res->has_uuid = true;
		gpu_record_resource(g, res);
	}
	for (unsigned i = 0; i < sizeof(res->uuid); i++)
		answer->uuid[i] = res->uuid[i];
	gpu_answer_with(cmd, answer);
	return code;
}

/*
 * A buffer for the host's results (of queries) is memory of virglrenderer's own, which it writes to the pages that
 * are attached, and takes over from those that are detached. One that was made again has nothing, where the guest has
 * results: so it is given what they are first, by pages that the guest does not see.
 */
static int attach_again(struct gpu *g, struct gpu_resource *res)
{
	struct iovec own = {.iov_len = res->shape.width}, *const backing = res->backing;
	const unsigned count = res->backing_count;
	int err;

	if (res->kind != GPU_RESOURCE_3D || res->shape.target != PIPE_BUFFER || res->shape.bind != VIRGL_BIND_CUSTOM ||
	    !g->renderer->ops->backing_attach)
		return attach(g, res);
	own.iov_base = calloc(1, own.iov_len);
	if (!own.iov_base)
		return -ENOMEM;
	res->backing = &own;
	res->backing_count = 1;
	err = attach(g, res);
	res->backing = backing;
	res->backing_count = count;
	if (err == 0) {
		const size_t bytes = own.iov_len < res->backing_bytes ? own.iov_len : res->backing_bytes;

		err = gpu_backing_read(res, 0, own.iov_base, bytes);
		g->renderer->ops->backing_detach(g->renderer, res);
	}
	free(own.iov_base);
	return err < 0 ? err : attach(g, res);
}

uint32_t gpu_resource_attach_backing(struct gpu *g, struct gpu_command *cmd)
{
	const struct virtio_gpu_resource_attach_backing *w = &cmd->u.attach;
	uint32_t code = VIRTIO_GPU_RESP_OK_NODATA;
	struct gpu_resource *res = find_resource(g, cmd, w->resource_id, &code);
	int err;

	if (!res)
		return code;
	/* What is restored has a backing for a reason. */
	if (gpu_is_blob(res) && !cmd->ranges)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID,
				  "resource %u is a blob; its pages came with RESOURCE_CREATE_BLOB", res->id);
	if (res->backing)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_UNSPEC, "resource %u has a backing; detach it first", res->id);
	if (w->nr_entries == 0)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "resource %u: no memory entries", res->id);
	code = read_backing(g, cmd, res, w->nr_entries);
	if (code != 0)
		return code;
	err = cmd->ranges ? attach_again(g, res) : attach(g, res);
	if (err < 0) {
		gpu_resource_drop_backing(g->resources, res);
		return gpu_renderer_failed(g, cmd, err, "resource", res->id);
	}
	gpu_record_backing(g, res);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t gpu_resource_detach_backing(struct gpu *g, struct gpu_command *cmd)
{
	uint32_t code = VIRTIO_GPU_RESP_OK_NODATA;
	struct gpu_resource *res = find_resource(g, cmd, cmd->u.detach.resource_id, &code);

	if (!res)
		return code;
	if (gpu_is_blob(res))
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, "resource %u is a blob; unref it instead",
				  res->id);
	if (!res->backing)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_UNSPEC, "resource %u has no backing", res->id);
	if (g->renderer->ops->backing_detach)
		g->renderer->ops->backing_detach(g->renderer, res);
	gpu_content_detached(g->content, res);
	gpu_resource_drop_backing(g->resources, res);
	gpu_record_backing(g, res);
	return code;
}

uint32_t gpu_transfer_to_host_2d(struct gpu *g, struct gpu_command *cmd)
{
	const struct virtio_gpu_transfer_to_host_2d *w = &cmd->u.transfer_2d;
	uint32_t code = VIRTIO_GPU_RESP_OK_NODATA;
	struct gpu_resource *res = find_resource(g, cmd, w->resource_id, &code);
	struct renderer_transfer transfer;
	uint64_t stride, bytes;
	int err;

	/* Linux sends this for its dumb buffers even when they are blobs, which are read where they are. */
	if (!res || res->kind == GPU_RESOURCE_BLOB)
		return code;
	if (res->kind != GPU_RESOURCE_2D)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, "resource %u is not a 2D resource", res->id);
	if (!res->backing)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_UNSPEC, "resource %u has no backing; attach one first", res->id);
	if (w->r.x + w->r.width > res->shape.width || w->r.y + w->r.height > res->shape.height)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "%ux%u at %u,%u is not in resource %u of %ux%u",
				  w->r.width, w->r.height, w->r.x, w->r.y, res->id, res->shape.width, res->shape.height);
	if (w->r.width == 0 || w->r.height == 0)
		return code;
	stride = (uint64_t)res->shape.width * GPU_PIXEL_BYTES;
	bytes = stride * (w->r.height - 1) + (uint64_t)w->r.width * GPU_PIXEL_BYTES;
	if (bytes > res->backing_bytes || w->offset > res->backing_bytes - bytes)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				  "resource %u: %llu bytes from offset %llu, but its backing has %zu", res->id,
				  (unsigned long long)bytes, (unsigned long long)w->offset, res->backing_bytes);
	transfer = (struct renderer_transfer){
		.stride = (uint32_t)stride,
		.offset = w->offset,
		.box = {w->r.x, w->r.y, 0, w->r.width, w->r.height, 1},
	};
	err = g->renderer->ops->transfer_to_host(g->renderer, res, &transfer);
	if (err < 0)
		return gpu_renderer_failed(g, cmd, err, "resource", res->id);
	gpu_content_uploaded(g->content, res->id, &transfer);
	return code;
}
