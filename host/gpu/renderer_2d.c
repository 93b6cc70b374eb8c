// SPDX-License-Identifier: MIT
/*
 * The renderer that is always there: 2D resources are plain memory, pixman converts formats. Nothing here waits,
 * so it has no fences of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/gpu/backing.h"
#include "host/gpu/format.h"
#include "host/gpu/renderer.h"
#include "host/virtio/object.h"
#include "protocol/virtio.h"
#include "protocol/virtio_gpu.h"

struct image {
	const struct gpu_format *format;
	uint32_t width, height, stride_bytes;
	uint8_t *pixels;
	bool is_shared; /* they are the object's */
};

static int create(const struct renderer_config *config, struct renderer **out, char *why, size_t why_size)
{
	struct renderer *r = calloc(1, sizeof(*r));

	(void)config;
	if (!r) {
		snprintf(why, why_size, "2d: out of memory");
		return -ENOMEM;
	}
	r->ops = &renderer_2d_ops;
	snprintf(why, why_size, "2d (pixman, no OpenGL for the guest)");
	*out = r;
	return 0;
}

static void destroy(struct renderer *r)
{
	free(r);
}

static uint64_t features(struct renderer *r)
{
	(void)r;
	return VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_UUID) | VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_BLOB);
}

static int capset_info(struct renderer *r, uint32_t index, struct renderer_capset *out)
{
	(void)r;
	(void)index;
	(void)out;
	return -ENOENT;
}

static int resource_create(struct renderer *r, struct gpu_resource *res)
{
	const struct gpu_format *format;
	struct image *image;

	(void)r;
	switch (res->kind) {
	case GPU_RESOURCE_BLOB: /* guest pages: scanout.c reads them where they are */
		return 0;
	case GPU_RESOURCE_2D:
		break;
	case GPU_RESOURCE_3D:
	default:
		return -ENOTSUP;
	}
	format = gpu_format_find(res->shape.format);
	if (!format)
		return -EINVAL;
	image = calloc(1, sizeof(*image));
	if (!image)
		return -ENOMEM;
	image->pixels = calloc(res->shape.height, (size_t)res->shape.width * GPU_PIXEL_BYTES);
	if (!image->pixels) {
		free(image);
		return -ENOMEM;
	}
	image->format = format;
	image->width = res->shape.width;
	image->height = res->shape.height;
	image->stride_bytes = res->shape.width * GPU_PIXEL_BYTES;
	res->renderer = image;
	return 0;
}

static void resource_destroy(struct renderer *r, struct gpu_resource *res)
{
	struct image *image = res->renderer;

	(void)r;
	if (image && !image->is_shared)
		free(image->pixels);
	free(image);
	res->renderer = NULL;
}

/* The picture moves into the object, or is there. */
static int resource_share(struct renderer *r, struct gpu_resource *res, bool is_old)
{
	struct image *image = res->renderer;
	uint8_t *there = res->object->pieces[0].iov_base;

	(void)r;
	if (!image)
		return -ENOTSUP;
	if (!is_old)
		memcpy(there, image->pixels, (size_t)image->stride_bytes * image->height);
	free(image->pixels);
	image->pixels = there;
	image->is_shared = true;
	return 0;
}

static int resource_unshare(struct renderer *r, struct gpu_resource *res)
{
	struct image *image = res->renderer;
	const size_t bytes = (size_t)image->stride_bytes * image->height;
	uint8_t *pixels = malloc(bytes);

	(void)r;
	if (!pixels)
		return -ENOMEM;
	memcpy(pixels, image->pixels, bytes);
	image->pixels = pixels;
	image->is_shared = false;
	return 0;
}

static bool box_is_inside(const struct image *image, const struct renderer_box *box)
{
	return box->x <= image->width && box->width <= image->width - box->x && box->y <= image->height &&
	       box->height <= image->height - box->y;
}

/* The rows lie in the backing as the whole picture does: @offset is the first pixel's, the stride the image's. */
static int transfer_to_host(struct renderer *r, struct gpu_resource *res, const struct renderer_transfer *t)
{
	struct image *image = res->renderer;

	(void)r;
	if (!image || !box_is_inside(image, &t->box))
		return -EINVAL;
	return gpu_backing_read_rows(res, t->offset, image->stride_bytes, (size_t)t->box.width * GPU_PIXEL_BYTES, t->box.height,
				     image->pixels + (size_t)t->box.y * image->stride_bytes +
					     (size_t)t->box.x * GPU_PIXEL_BYTES,
				     image->stride_bytes);
}

static int read_pixels(struct renderer *r, struct gpu_resource *res, const struct renderer_box *box, void *dst,
		       uint32_t dst_stride)
{
	const struct image *image = res->renderer;

	(void)r;
	if (!image || !box_is_inside(image, box))
		return -EINVAL;
	return gpu_format_convert(image->format,
				  image->pixels + (size_t)box->y * image->stride_bytes + (size_t)box->x * GPU_PIXEL_BYTES,
				  image->stride_bytes, dst, dst_stride, box->width, box->height);
}

static void reset(struct renderer *r)
{
	(void)r; /* it knows nothing but resources, and they are gone */
}

const struct renderer_ops renderer_2d_ops = {
	.name = "2d",
	.create = create,
	.destroy = destroy,
	.features = features,
	.capset_info = capset_info,
	.resource_create = resource_create,
	.resource_destroy = resource_destroy,
	.resource_share = resource_share,
	.resource_unshare = resource_unshare,
	.transfer_to_host = transfer_to_host,
	.read_pixels = read_pixels,
	.reset = reset,
};
