/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The display protocol of vhost-user-gpu: the device (backend) shows its scanouts on a display of the VMM (frontend), over
 * the socket that came with VHOST_USER_GPU_SET_SOCKET. Numbers and layouts as in QEMU's docs/interop/vhost-user-gpu.rst.
 * The backend asks, the frontend answers; all fields are in the host's byte order.
 */
#ifndef MULLION_PROTOCOL_VHOST_USER_GPU_H
#define MULLION_PROTOCOL_VHOST_USER_GPU_H

#include <stdint.h>

/* "Header": @size counts the payload behind it. */
struct vhost_user_gpu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
};

#define VHOST_USER_GPU_FLAG_REPLY (1u << 2)

/* "Protocol features" */
#define VHOST_USER_GPU_PROTOCOL_F_EDID 0
#define VHOST_USER_GPU_PROTOCOL_F_DMABUF2 1

/* "Message types". Answered: 1 with a u64, 3 with virtio_gpu_resp_display_info, 10 with nothing, 11 with virtio_gpu_resp_edid. */
#define VHOST_USER_GPU_GET_PROTOCOL_FEATURES 1u
#define VHOST_USER_GPU_SET_PROTOCOL_FEATURES 2u
#define VHOST_USER_GPU_GET_DISPLAY_INFO 3u
#define VHOST_USER_GPU_CURSOR_POS 4u
#define VHOST_USER_GPU_CURSOR_POS_HIDE 5u
#define VHOST_USER_GPU_CURSOR_UPDATE 6u
#define VHOST_USER_GPU_SCANOUT 7u
#define VHOST_USER_GPU_UPDATE 8u
#define VHOST_USER_GPU_DMABUF_SCANOUT 9u
#define VHOST_USER_GPU_DMABUF_UPDATE 10u
#define VHOST_USER_GPU_GET_EDID 11u
#define VHOST_USER_GPU_DMABUF_SCANOUT2 12u

/* Of the image's top left corner. */
struct vhost_user_gpu_cursor_pos {
	uint32_t scanout_id;
	uint32_t x, y;
};

struct vhost_user_gpu_cursor_update {
	struct vhost_user_gpu_cursor_pos pos;
	uint32_t hot_x, hot_y;
	uint32_t data[64 * 64]; /* DRM_FORMAT_ARGB8888 */
};

/* 0 x 0: the scanout shows nothing. */
struct vhost_user_gpu_scanout {
	uint32_t scanout_id;
	uint32_t width, height;
};

/* Followed by width x height pixels of DRM_FORMAT_XRGB8888, rows without gaps. */
struct vhost_user_gpu_update {
	uint32_t scanout_id;
	uint32_t x, y, width, height;
};

struct vhost_user_gpu_edid_request {
	uint32_t scanout_id;
};

/* With a descriptor of the dma-buf, whose first plane begins at byte 0; without one the scanout has none any more. */
struct vhost_user_gpu_dmabuf_scanout {
	uint32_t scanout_id;
	uint32_t x, y, width, height; /* the part that is shown */
	uint32_t fd_width, fd_height, fd_stride, fd_flags;
	int32_t fd_drm_fourcc;
};

/* fd_flags: the picture's top row is the buffer's last. */
#define VHOST_USER_GPU_DMABUF_Y_0_TOP (1u << 0)

/* As above, with DMABUF2. */
struct vhost_user_gpu_dmabuf_scanout2 {
	struct vhost_user_gpu_dmabuf_scanout dmabuf_scanout;
	uint64_t modifier;
};

#endif
