// SPDX-License-Identifier: MIT
/*
 * The 3D renderer's resources: what they are to virglrenderer, their backing, transfers, and the pictures in them that
 * displays show.
 */
#include <errno.h>
#include <stdlib.h>

#include <virglrenderer.h>

#include "host/gpu/format.h"
#include "host/gpu/virgl_device.h"
#include "host/gpu/virgl_library.h"
#include "protocol/virgl.h"

/* Each is a descriptor of this process, and a screen takes two or three: a guest that shows more at a time gets copies. */
#define MAX_EXPORTED 64u

/* What resource->renderer points to. */
struct resource {
	bool described;		      /* picture is filled in */
	struct virgl_picture picture; /* texture 0: can't be read as a picture */
	bool exported;		      /* that was tried, once */
	struct display_buffer buffer; /* id 0: it can't be */
	void *image; /* a 2D resource of a format that the library lacks: the 2D renderer's, else NULL */
	struct virgl_share share;
};

static int create_blob(struct gpu_resource *res)
{
	const struct virgl_renderer_resource_create_blob_args args = {
		.res_handle = res->id,
		.blob_mem = VIRGL_RENDERER_BLOB_MEM_GUEST,
		.size = res->size_bytes,
		.iovecs = res->backing,
		.num_iovs = res->backing_count,
	};

	/* Of a host blob the pages are ours, and otherwise it is the same to the library. */
	return virgl_library_error(virgl_renderer_resource_create_blob(&args));
}

/*
 * 2D formats that the library lacks are kept by the CPU. The 2D renderer's calls see their own object in
 * res->renderer meanwhile.
 */
static int create_image(struct gpu_resource *res, struct resource *own)
{
	int err = renderer_2d_ops.resource_create(NULL, res);

	own->image = res->renderer;
	return err;
}

static int image_upload(struct gpu_resource *res, struct resource *own, const struct renderer_transfer *t)
{
	int err;

	res->renderer = own->image;
	err = renderer_2d_ops.transfer_to_host(NULL, res, t);
	res->renderer = own;
	return err;
}

static int image_read(struct gpu_resource *res, struct resource *own, const struct renderer_box *box, void *dst,
		      uint32_t dst_stride)
{
	int err;

	res->renderer = own->image;
	err = renderer_2d_ops.read_pixels(NULL, res, box, dst, dst_stride);
	res->renderer = own;
	return err;
}

static const struct resource *own_of(const struct gpu_resource *res)
{
	return res->renderer;
}

int virgl_resource_create(struct renderer *r, struct gpu_resource *res)
{
	struct virgl *v = virgl_from(r);
	const struct gpu_resource_shape *s = &res->shape;
	struct virgl_renderer_resource_create_args args = {
		.handle = res->id,
		.target = s->target,
		.format = s->format,
		.bind = s->bind,
		.width = s->width,
		.height = s->height,
		.depth = s->depth,
		.array_size = s->array_size,
		.last_level = s->last_level,
		.nr_samples = s->nr_samples,
		.flags = s->flags,
	};
	const struct gpu_format *format = gpu_format_find(s->format);
	struct resource *own = calloc(1, sizeof(*own));
	int err;

	if (!own)
		return -ENOMEM;
	virgl_enter(v);
	switch (res->kind) {
	case GPU_RESOURCE_BLOB:
		own->described = true; /* as nothing that could be read */
		err = create_blob(res);
		break;
	case GPU_RESOURCE_2D:
		args.target = PIPE_TEXTURE_2D;
		args.bind = VIRGL_BIND_RENDER_TARGET | VIRGL_BIND_SAMPLER_VIEW | VIRGL_BIND_SCANOUT;
		args.depth = args.array_size = 1;
		args.last_level = args.nr_samples = args.flags = 0;
		virgl_library_quiet(true);
		err = virgl_library_error(virgl_renderer_resource_create(&args, NULL, 0));
		virgl_library_quiet(false);
		if (err == -EINVAL)
			err = create_image(res, own);
		break;
	case GPU_RESOURCE_3D:
	default:
		err = virgl_library_error(virgl_renderer_resource_create(&args, NULL, 0));
		break;
	}
	if (err < 0) {
		free(own);
		return err;
	}
	own->picture.opaque = format && !format->has_alpha;
	res->renderer = own;
	return 0;
}

int virgl_resource_share(struct renderer *r, struct gpu_resource *res, bool is_old)
{
	struct virgl *v = virgl_from(r);
	struct resource *own = res->renderer;
	int err;

	if (own->image) {
		res->renderer = own->image;
		err = renderer_2d_ops.resource_share(NULL, res, is_old);
		res->renderer = own;
		return err;
	}
	return virgl_shares_add(&v->shares, &own->share, res);
}

int virgl_resource_unshare(struct renderer *r, struct gpu_resource *res)
{
	struct resource *own = res->renderer;
	int err = 0;

	if (own->image) {
		res->renderer = own->image;
		err = renderer_2d_ops.resource_unshare(NULL, res);
		res->renderer = own;
		return err;
	}
	virgl_shares_remove(&virgl_from(r)->shares, &own->share);
	return 0;
}

void virgl_resource_destroy(struct renderer *r, struct gpu_resource *res)
{
	struct resource *own = res->renderer;

	if (!own)
		return;
	virgl_shares_remove(&virgl_from(r)->shares, &own->share);
	virgl_enter(virgl_from(r));
	if (own->buffer.id)
		virgl_from(r)->exported--;
	virgl_pixels_finish_buffer(&own->buffer);
	if (own->image) {
		res->renderer = own->image;
		renderer_2d_ops.resource_destroy(NULL, res);
	} else {
		virgl_renderer_resource_unref(res->id);
	}
	free(own);
	res->renderer = NULL;
}

/* The library keeps the array; the resource keeps it until backing_detach(). */
int virgl_backing_attach(struct renderer *r, struct gpu_resource *res)
{
	if (own_of(res)->image)
		return 0;
	virgl_enter(virgl_from(r));
	return virgl_library_error(
		virgl_renderer_resource_attach_iov((int)res->id, res->backing, (int)res->backing_count));
}

void virgl_backing_detach(struct renderer *r, struct gpu_resource *res)
{
	if (own_of(res)->image)
		return;
	virgl_enter(virgl_from(r));
	virgl_renderer_resource_detach_iov((int)res->id, NULL, NULL);
}

static struct virgl_box box_of(const struct renderer_box *b)
{
	return (struct virgl_box){.x = b->x, .y = b->y, .z = b->z, .w = b->width, .h = b->height, .d = b->depth};
}

int virgl_transfer_to_host(struct renderer *r, struct gpu_resource *res, const struct renderer_transfer *t)
{
	struct virgl *v = virgl_from(r);
	struct resource *own = res->renderer;
	struct virgl_box box = box_of(&t->box);

	/* The library asserts that there is a backing. */
	if (!res->backing)
		return -EINVAL;
	if (own->image)
		return image_upload(res, own, t);
	virgl_enter(v);
	/* In the order in which they were written. */
	v->base.object_uploads += virgl_shares_take_over(&own->share);
	return virgl_library_error(virgl_renderer_transfer_write_iov(res->id, t->ctx_id, (int)t->level, t->stride,
								     t->layer_stride, &box, t->offset, NULL, 0));
}

int virgl_transfer_from_host(struct renderer *r, struct gpu_resource *res, const struct renderer_transfer *t)
{
	struct virgl *v = virgl_from(r);
	struct virgl_box box = box_of(&t->box);

	if (!res->backing || own_of(res)->image)
		return -EINVAL;
	virgl_enter(v);
	v->base.object_uploads += virgl_shares_take_over_all(v->shares);
	v->has_read = true;
	return virgl_library_error(virgl_renderer_transfer_read_iov(res->id, t->ctx_id, t->level, t->stride,
								    t->layer_stride, &box, t->offset, NULL, 0));
}

/* ---- pixels ---- */

/* What a display shows is up to date, and it is known which texture that is. */
static void prepare_picture(struct virgl *v, struct resource *own, const struct gpu_resource *res)
{
	virgl_enter(v);
	v->base.object_uploads += virgl_shares_take_over(&own->share);
	/* A guest that submits nothing shows what was there, or nothing. */
	virgl_look_for_reset(v);
	if (!own->described)
		virgl_pixels_describe(&own->picture, res);
	own->described = true;
}

int virgl_read_pixels(struct renderer *r, struct gpu_resource *res, const struct renderer_box *box, void *dst,
		      uint32_t dst_stride)
{
	struct virgl *v = virgl_from(r);
	struct resource *own = res->renderer;

	if (!own || box->x > res->shape.width || box->width > res->shape.width - box->x || box->y > res->shape.height ||
	    box->height > res->shape.height - box->y)
		return -EINVAL;
	if (box->width == 0 || box->height == 0)
		return 0;
	if (own->image)
		return image_read(res, own, box, dst, dst_stride);
	prepare_picture(v, own, res);
	if (!own->picture.texture)
		return -EINVAL;
	return virgl_pixels_read(&v->pixels, &own->picture, box->x, box->y, box->width, box->height, dst, dst_stride);
}

int virgl_export_picture(struct renderer *r, struct gpu_resource *res, struct display_buffer *out)
{
	struct virgl *v = virgl_from(r);
	struct resource *own = res->renderer;

	if (own->image || !gpu_format_find(res->shape.format))
		return -ENOTSUP;
	prepare_picture(v, own, res);
	if (own->picture.texture && !own->exported && v->exported < MAX_EXPORTED) {
		own->exported = true;
		if (virgl_pixels_export(&v->pixels, &own->picture, &own->buffer) == 0)
			v->exported++;
	}
	if (!own->buffer.id)
		return -ENOTSUP;
	virgl_pixels_flush();
	*out = own->buffer;
	return 0;
}
