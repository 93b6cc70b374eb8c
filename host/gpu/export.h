/* SPDX-License-Identifier: MIT */
/*
 * Resources as virtio objects (host/virtio/object.h), for other devices of the same guest: blobs of guest pages with
 * these, pictures of the eight 2D formats with memory of the host. Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_EXPORT_H
#define MULLION_HOST_GPU_EXPORT_H

#include "host/gpu/device.h"

/*
 * @res gets a UUID: publish it, if it can be shared and there is somebody to share it with. Returns 0, also if it can't,
 * or the code to answer with when there is no memory for it.
 */
uint32_t gpu_export_resource(struct gpu *g, const struct gpu_command *cmd, struct gpu_resource *res);

/*
 * @res was made again, with its UUID: what it was shared as by the process before is kept (host/vhost/keeper.h), and so is
 * what others have written there and write from now on. Without it, or if it isn't the same any more, others don't find @res.
 */
void gpu_export_again(struct gpu *g, struct gpu_resource *res);
/* Another device wrote its picture there: whatever the backing has is taken to be older. */
bool gpu_export_has_content(const struct gpu_resource *res);

/* Nobody finds it any more; no-op for one that is not shared. Call it after the renderer's resource_destroy. */
void gpu_withdraw_resource(struct gpu *g, struct gpu_resource *res);

#endif
