/* SPDX-License-Identifier: MIT */
/*
 * A first triangle: it makes a driver load its compiler and start its threads before the sandbox closes
 * (host/vhost/sandbox.h) and before a guest waits for its first frame, and shows that the driver draws.
 *
 * Thread: the gpu loop; no context may be current.
 */
#ifndef MULLION_HOST_GPU_WARM_UP_H
#define MULLION_HOST_GPU_WARM_UP_H

#include <stddef.h>

struct gpu_egl;

/* Returns 0, or -EIO and @why says what did not work. */
int gpu_warm_up(struct gpu_egl *egl, char *why, size_t why_size);

#endif
