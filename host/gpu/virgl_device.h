/* SPDX-License-Identifier: MIT */
/*
 * Inside the 3D renderer: what renderer_virgl.c and its resources (virgl_resources.c) share. Nothing else includes this.
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_VIRGL_DEVICE_H
#define MULLION_HOST_GPU_VIRGL_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/gpu/renderer.h"
#include "host/gpu/virgl_fences.h"
#include "host/gpu/virgl_pixels.h"
#include "host/gpu/virgl_shares.h"
#include "host/gpu/virgl_state.h"
#include "host/gpu/virgl_submit.h"

struct context; /* renderer_virgl.c */
struct gpu_egl;

struct virgl {
	struct renderer base;
	struct renderer_config config;
	struct gpu_egl *egl;
	struct virgl_pixels pixels;
	struct virgl_fences fences;
	struct virgl_flushes flushes;
	struct virgl_state *state; /* NULL: no journal */
	bool started;		   /* virgl_renderer_init() was successful */
	bool software;		   /* the CPU draws */
	bool entered;		   /* the library's context is current on the loop's thread */
	bool has_read; /* the last submission or transfer read a picture, for which the GPU had to be waited for */
	struct context *contexts;
	unsigned sub_contexts; /* that the guest made, of all of them */
	uint64_t object_bytes; /* what their objects take */
	struct virgl_share *shares;
	uint64_t looked_ns; /* when it was seen last that the GPU was not reset */
	bool was_reset;
	unsigned exported; /* resources that have a descriptor */
};

static inline struct virgl *virgl_from(struct renderer *r)
{
	return (struct virgl *)r;
}

/*
 * Before the library is called: the first time on the loop's thread this takes over what the renderer's creation left without
 * a thread.
 */
void virgl_enter(struct virgl *v);
/* Was the GPU reset? Looks seldom enough to be asked for each picture. With a journal it does not return then. */
bool virgl_look_for_reset(struct virgl *v);

/* virgl_resources.c: as renderer_ops has them. */
int virgl_resource_create(struct renderer *r, struct gpu_resource *res);
void virgl_resource_destroy(struct renderer *r, struct gpu_resource *res);
int virgl_resource_share(struct renderer *r, struct gpu_resource *res, bool is_old);
int virgl_resource_unshare(struct renderer *r, struct gpu_resource *res);
int virgl_backing_attach(struct renderer *r, struct gpu_resource *res);
void virgl_backing_detach(struct renderer *r, struct gpu_resource *res);
int virgl_transfer_to_host(struct renderer *r, struct gpu_resource *res, const struct renderer_transfer *t);
int virgl_transfer_from_host(struct renderer *r, struct gpu_resource *res, const struct renderer_transfer *t);
int virgl_read_pixels(struct renderer *r, struct gpu_resource *res, const struct renderer_box *box, void *dst,
		      uint32_t dst_stride);
int virgl_export_picture(struct renderer *r, struct gpu_resource *res, struct display_buffer *out);

#endif
