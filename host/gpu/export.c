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

static struct virtio_object_shape shape_of(const struct gpu_resource *res, const struct gpu_format *format)
{
	struct virtio_object_shape shape = {.width = res->shape.width,
					    .height = res->shape.height,
					    .stride_bytes = res->shape.width * GPU_PIXEL_BYTES};

	read_order(shape.order, format->name);
	return shape;
}

/* A picture of memory of the host, which the renderer fills and takes over. */
static int make_picture(struct gpu *g, struct gpu_resource *res, const struct gpu_format *format)
{
	const struct virtio_object_shape shape = shape_of(res, format);
	const size_t bytes = (size_t)shape.stride_bytes * shape.height;
	int err;

	if (gpu_resource_charge(g->resources, bytes) < 0)
		return -ENOSPC;
	err = virtio_object_create(&shape, bytes, &res->object);
	if (err == 0)
		err = g->renderer->ops->resource_share(g->renderer, res, false);
	if (err == 0)
		return 0;
	gpu_resource_uncharge(g->resources, bytes);
	virtio_object_put(res->object);
	res->object = NULL;
	return err;
}

static int make_object(struct gpu *g, struct gpu_resource *res)
{
	const struct gpu_format *format = gpu_format_find(res->shape.format);

	if (res->kind == GPU_RESOURCE_BLOB)
		return virtio_object_create_on(res->backing, res->backing_count, &res->object);
	return format && g->renderer->ops->resource_share ? make_picture(g, res, format) : -ENOTSUP;
}

static void drop_object(struct gpu *g, struct gpu_resource *res)
{
	if (res->kind != GPU_RESOURCE_BLOB)
		gpu_resource_uncharge(g->resources, res->object->bytes);
	virtio_object_put(res->object);
	res->object = NULL;
}

/* What others don't find is not kept, if there is memory to have the picture elsewhere. */
static int publish(struct gpu *g, struct gpu_resource *res)
{
	int err = virtio_objects_publish(g->objects, res->object, res->uuid);

	if (err < 0 && (res->kind == GPU_RESOURCE_BLOB || g->renderer->ops->resource_unshare(g->renderer, res) == 0))
		drop_object(g, res);
	return err;
}

uint32_t gpu_export_resource(struct gpu *g, const struct gpu_command *cmd, struct gpu_resource *res)
{
	int err = 0;

	/* A blob of the heap gives its memory back whoever else has it. */
	if (!virtio_objects_are_shared(g->objects) || res->host)
		return 0;
	if (!res->object)
		err = make_object(g, res);
	if (err == 0)
		err = publish(g, res);
	if (err == -ENOMEM || err == -ENOSPC)
		return gpu_refuse(g, cmd, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY,
				  "resource %u: no memory to share it, or too many are: %s (%llu of %llu bytes in use)",
				  res->id, strerror(-err), (unsigned long long)gpu_resource_bytes(g->resources),
				  (unsigned long long)g->limits.resource_bytes);
	if (err < 0 && err != -ENOTSUP && err != -ENODEV)
		log_guest(LOG_TOPIC_GPU, &g->log_limit, "resource %u has a UUID, but other devices don't find it: %s",
			  res->id, strerror(-err));
	return 0;
}

/* Written by a process that the guest may have taken over, or by one that it was shared with. */
static bool fits(const struct virtio_object *o, const struct virtio_object_shape *shape)
{
	return o->bytes == (size_t)shape->stride_bytes * shape->height &&
	       memcmp(o->shape.order, shape->order, sizeof(shape->order)) == 0 && o->shape.width == shape->width &&
	       o->shape.height == shape->height && o->shape.stride_bytes == shape->stride_bytes;
}

void gpu_export_again(struct gpu *g, struct gpu_resource *res)
{
	const struct gpu_format *format = gpu_format_find(res->shape.format);
	struct virtio_object_shape shape;
	struct virtio_object *o;

	if (!virtio_objects_are_shared(g->objects) || res->host)
		return;
	/* Its pages are where they were. */
	if (res->kind == GPU_RESOURCE_BLOB && make_object(g, res) == 0)
		publish(g, res);
	if (res->kind == GPU_RESOURCE_BLOB || !format || !g->renderer->ops->resource_share)
		return;
	o = virtio_objects_find_again(g->objects, res->uuid);
	shape = shape_of(res, format);
	if (!o || !fits(o, &shape) || gpu_resource_charge(g->resources, o->bytes) < 0) {
		virtio_object_put(o);
		return;
	}
	/* It may be another renderer that made it. */
	o->is_write_only = false;
	res->object = o;
	if (g->renderer->ops->resource_share(g->renderer, res, true) < 0) {
		gpu_resource_uncharge(g->resources, o->bytes);
		virtio_object_put(o);
		res->object = NULL;
		return;
	}
	publish(g, res);
}

bool gpu_export_has_content(const struct gpu_resource *res)
{
	return res->object && virtio_object_writes(res->object) != 0;
}

void gpu_withdraw_resource(struct gpu *g, struct gpu_resource *res)
{
	if (!res->object)
		return;
	virtio_objects_withdraw(g->objects, res->object);
	drop_object(g, res);
}
