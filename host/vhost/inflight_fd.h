/* SPDX-License-Identifier: MIT */
/*
 * The frontend's memory for requests in flight (VHOST_USER_GET_INFLIGHT_FD and SET_INFLIGHT_FD): a descriptor that it
 * gets from us, keeps while we are gone, and gives to whoever takes our place. What is in there is host/virtio/inflight_region.h's.
 *
 * Thread: the loop of the device or of the keeper.
 */
#ifndef MULLION_HOST_VHOST_INFLIGHT_FD_H
#define MULLION_HOST_VHOST_INFLIGHT_FD_H

#include "host/virtio/device.h"
#include "protocol/vhost_user.h"

struct inflight_region;
struct vhost_inflight;

/*
 * Make one for @d->num_queues rings of @d->queue_size; the other fields are filled. Returns a sealed memfd, or -EINVAL
 * for numbers that a device with @queues can't have, or what memfd_create() says.
 */
int vhost_inflight_make(struct vhost_user_inflight *d, unsigned queues);

/*
 * Map what a frontend gave: @fd (borrowed) as @d says. Returns 0, -EINVAL for what does not fit (numbers, a place outside
 * of the file or not at a page, a file that is none), -EPERM for one that can be made shorter under our feet, or -ENOMEM.
 */
int vhost_inflight_open(const struct vhost_user_inflight *d, int fd, unsigned queues, struct vhost_inflight **out);
/* No queue refers to it any more. NULL is fine. */
void vhost_inflight_close(struct vhost_inflight *i);
/* The region of queue @index; NULL: it has none. */
struct inflight_region *vhost_inflight_region(const struct vhost_inflight *i, unsigned index);

#endif
