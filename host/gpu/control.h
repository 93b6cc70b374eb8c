/* SPDX-License-Identifier: MIT */
/*
 * The virtio-gpu device as host/virtio/display_control.h wants it. Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_CONTROL_H
#define MULLION_HOST_GPU_CONTROL_H

#include "host/virtio/display_control.h"

struct gpu_shots;

extern const struct display_control_ops gpu_display_control;

/* End all screenshots of a device that goes; its renderer is still there. NULL is fine. */
void gpu_shots_destroy(struct gpu_shots *shots);

#endif
