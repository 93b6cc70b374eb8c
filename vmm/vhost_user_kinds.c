// SPDX-License-Identifier: MIT
#include "vmm/vhost_user_kinds.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stddef.h>
#include <string.h>

#include "protocol/virtio_media.h"
#include "protocol/virtio_video.h"

#define BIT(n) (1ull << (n))
/* Bits @from to @to. */
#define BITS(from, to) ((~0ull >> (63 - (to))) & (~0ull << (from)))

/* Section 5.11.3 */
#define FS_F_NOTIFICATION 0
#define FS_CONFIG_BYTES 40u
/* Section 5.2.4, to the end of what WRITE_ZEROES has; backends refuse to give more than they know. */
#define BLK_CONFIG_BYTES 60u
#define BLK_F_SECURE_ERASE 16
#define BLK_F_ZONED 17
/* Section 5.10.4, 5.8.4 */
#define VSOCK_CONFIG_BYTES 8u
#define INPUT_CONFIG_BYTES 136u
/* Section 5.7.4 */
#define GPU_CONFIG_BYTES 16u
/* protocol/virtio_video.h */
#define VIDEO_CONFIG_BYTES ((uint32_t)sizeof(struct virtio_video_config))
/* protocol/virtio_media.h */
#define MEDIA_CONFIG_BYTES ((uint32_t)sizeof(struct virtio_media_config))

/*
 * Section 5.1.3: no control queue is there, and what needs one is hidden with it; so are an MTU and a link status,
 * which the backend doesn't tell, and everything newer than segmentation offload.
 */
#define NET_HIDDEN                                                                                                     \
	(BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_NET_F_STATUS) |                   \
	 BITS(VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_MAC_ADDR) | BITS(50, 53) | BITS(57, 63))

static const struct vhost_user_kind kinds[] = {
	{.name = "fs",
	 .device_name = "vhost-user fs",
	 .id = VIRTIO_ID_FS,
	 .queue_size = 1024,
	 .fixed_queues = 1, /* for requests that can't wait */
	 .request_queues = 8,
	 .config_bytes = FS_CONFIG_BYTES,
	 .own_config = true,
	 .has_tag = true,
	 .hidden = BIT(FS_F_NOTIFICATION)},
	{.name = "blk",
	 .device_name = "vhost-user blk",
	 .id = VIRTIO_ID_BLOCK,
	 .queue_size = 128,
	 .request_queues = 8,
	 .config_bytes = BLK_CONFIG_BYTES,
	 .hidden = BIT(BLK_F_SECURE_ERASE) | BIT(BLK_F_ZONED)},
	{.name = "net",
	 .device_name = "vhost-user net",
	 .id = VIRTIO_ID_NET,
	 .queue_size = 256,
	 .fixed_queues = 2,
	 .config_bytes = offsetof(struct virtio_net_config, mtu),
	 .own_config = true,
	 .has_mac = true,
	 .hidden = NET_HIDDEN},
	{.name = "rng", .device_name = "vhost-user rng", .id = VIRTIO_ID_RNG, .queue_size = 64, .fixed_queues = 1},
	{.name = "vsock",
	 .device_name = "vhost-user vsock",
	 .id = VIRTIO_ID_VSOCK,
	 .queue_size = 128,
	 .fixed_queues = 3,
	 .config_bytes = VSOCK_CONFIG_BYTES},
	{.name = "gpu",
	 .device_name = "vhost-user gpu",
	 .id = VIRTIO_ID_GPU,
	 .queue_size = 256,
	 .fixed_queues = 2,
	 .config_bytes = GPU_CONFIG_BYTES},
	{.name = "video-decoder",
	 .device_name = "vhost-user video decoder",
	 .id = VIRTIO_ID_VIDEO_DECODER,
	 .queue_size = 1024,
	 .fixed_queues = 2,
	 .config_bytes = VIDEO_CONFIG_BYTES},
	{.name = "video-encoder",
	 .device_name = "vhost-user video encoder",
	 .id = VIRTIO_ID_VIDEO_ENCODER,
	 .queue_size = 1024,
	 .fixed_queues = 2,
	 .config_bytes = VIDEO_CONFIG_BYTES},
	{.name = "media",
	 .device_name = "vhost-user media",
	 .id = VIRTIO_ID_MEDIA,
	 .queue_size = 256,
	 .fixed_queues = 2,
	 .config_bytes = MEDIA_CONFIG_BYTES},
	{.name = "input",
	 .device_name = "vhost-user input",
	 .id = VIRTIO_ID_INPUT,
	 .queue_size = 64,
	 .fixed_queues = 2,
	 .config_bytes = INPUT_CONFIG_BYTES},
};

const struct vhost_user_kind *vhost_user_find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}
