// SPDX-License-Identifier: MIT
#include "host/gpu/export.h"

#include <errno.h>
#include <string.h>

#include "host/gpu/format.h"
#include "host/virtio/object.h"

/* "B8G8R8X8" is "BGRX". */
static void read_order(char order[5], const char *name)
{
	for (unsigned i = 0; i < 4; i++)
		order[i] = name[2 * i];
	order[4] = '\0';
}

/* A picture of memory of the host, which the renderer fills and takes over. */
static int make_picture(struct gpu *g, struct gpu_resource *res, const struct gpu_format *format)
{
	struct virtio_object_shape shape = {.width = res->shape.width,
					    .height = res->shape.height,
					    .stride_bytes = res->shape.width * GPU_PIXEL_BYTES};
	const size_t bytes = (size_t)shape.stride_bytes * shape.height;
	int err;

	read_order(shape.order, format->name);
	if (gpu_resource_charge(g->resources, bytes) < 0)
		return -ENOSPC;
	err = virtio_object_create(&shape, bytes, &res->object);
	if (err == 0)
		err = g->renderer->ops->resource_share(g->renderer, res);
	if (err == 0)
		return 0;
	gpu_resource_uncharge(g->resources, bytes);
	virtio_object_put(res->object);
	res->object = NULL;
	return err;
}

uint32_t gpu_export_resource(struct gpu *g, const struct gpu_command *cmd, struct gpu_resource *res)
{
	const struct gpu_format *format = gpu_format_find(res->shape.format);
	int err;

	/* A blob of the heap gives its memory back whoever else has it. */
	if (!g->objects || res->object || res->host)
		return 0;
	if (res->kind == GPU_RESOURCE_BLOB)
		err = virtio_object_create_on(res->backing, res->backing_count, &res->object);
	else if (format && g->renderer->ops->resource_share)
		err = make_picture(g, res, format);
	else
		return 0;
	if (err == -ENOTSUP)
		return 0;
	if (err < 0)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY,
				  "resource %u: no memory to share it: %s (%llu of %llu bytes in use)", res->id,
				  strerror(-err), (unsigned long long)gpu_resource_bytes(g->resources),
				  (unsigned long long)g->limits.resource_bytes);
	virtio_objects_publish(g->objects, res->object, res->uuid);
	return 0;
}

void gpu_withdraw_resource(struct gpu *g, struct gpu_resource *res)
{
	if (!res->object)
		return;
	virtio_objects_withdraw(g->objects, res->object);
	if (res->kind != GPU_RESOURCE_BLOB)
		gpu_resource_uncharge(g->resources, res->object->bytes);
	virtio_object_put(res->object);
	res->object = NULL;
}
