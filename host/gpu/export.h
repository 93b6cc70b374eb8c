/* SPDX-License-Identifier: MIT */
/*
 * Resources as virtio objects (host/virtio/object.h), for other devices of the same guest: blobs of guest pages with
 * these, pictures of the eight 2D formats with memory of the host. Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_EXPORT_H
#define MULLION_HOST_GPU_EXPORT_H

#include "host/gpu/device.h"

/*
 * @res has a UUID: publish it, if it can be shared and there is somebody to share it with. Returns 0, also if it can't,
 * or the code to answer with when there is no memory for it.
 */
uint32_t gpu_export_resource(struct gpu *g, const struct gpu_command *cmd, struct gpu_resource *res);

/* Nobody finds it any more; no-op for one that is not shared. Call it after the renderer's resource_destroy. */
void gpu_withdraw_resource(struct gpu *g, struct gpu_resource *res);

#endif
