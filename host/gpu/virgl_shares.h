/* SPDX-License-Identifier: MIT */
/*
 * Textures into which another device of the guest writes: it does so in memory, from where the picture is taken over when the
 * texture is about to be used. The library's context is current in calls that take over.
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_VIRGL_SHARES_H
#define MULLION_HOST_GPU_VIRGL_SHARES_H

#include "host/gpu/resource.h"

/* Embedded in what the renderer keeps of a resource; zeroed: nobody else writes there. */
struct virgl_share {
	struct gpu_resource *resource; /* whose this is; else NULL */
	unsigned taken_over;	       /* virtio_object_writes() of what is in the texture */
	struct virgl_share *next;
};

/* From now on @s, at the head of the list @all, is of @res. Returns 0 or -ENOTSUP: not a picture. */
int virgl_shares_add(struct virgl_share **all, struct virgl_share *s, struct gpu_resource *res);
void virgl_shares_remove(struct virgl_share **all, struct virgl_share *s); /* one that is not there is fine */

/* What another device wrote since the last time goes into the texture. Return how many pictures that were. */
unsigned virgl_shares_take_over(struct virgl_share *s);
unsigned virgl_shares_take_over_all(struct virgl_share *all);

#endif
