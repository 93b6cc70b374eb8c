/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * virtio 1.4, section 5.7: the GPU device. <linux/virtio_gpu.h> (Linux 6.1 and later) has the wire structures;
 * here is what it lacks.
 */
#ifndef MULLION_PROTOCOL_VIRTIO_GPU_H
#define MULLION_PROTOCOL_VIRTIO_GPU_H

#include <linux/virtio_gpu.h>

/* Section 5.7.2: the two queues. */
#define VIRTIO_GPU_QUEUE_CONTROL 0
#define VIRTIO_GPU_QUEUE_CURSOR 1

/* Section 5.7.6.8: VIRTIO_GPU_CMD_CTX_CREATE, context_init: the low byte names the capset. */
#ifndef VIRTIO_GPU_CONTEXT_INIT_CAPSET_ID_MASK
#define VIRTIO_GPU_CONTEXT_INIT_CAPSET_ID_MASK 0x000000ff
#endif

/* Section 5.7.6.7: ring_idx is valid below this. */
#define VIRTIO_GPU_RING_COUNT 64

#ifndef VIRTIO_GPU_CAPSET_VENUS
#define VIRTIO_GPU_CAPSET_VENUS 4
#endif
#ifndef VIRTIO_GPU_CAPSET_DRM
#define VIRTIO_GPU_CAPSET_DRM 6
#endif

#endif
