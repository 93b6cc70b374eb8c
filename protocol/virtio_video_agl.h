/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * virtio-video as the drivers of OpenSynergy and Automotive Grade Linux speak it: RFC v3 (protocol/virtio_video.h) but for
 * what is here. It has no objects, no GET_PARAMS_EXT and SET_PARAMS_EXT, and of the controls only BITRATE, PROFILE and
 * LEVEL. Nothing in the config space tells the two apart. Mullion calls it the dialect "agl".
 */
#ifndef MULLION_PROTOCOL_VIRTIO_VIDEO_AGL_H
#define MULLION_PROTOCOL_VIRTIO_VIDEO_AGL_H

#include "protocol/virtio_video.h"

/* In place of RESOURCE_CREATE and RESOURCE_DESTROY_ALL. The latter differs in its name alone. */
#define VIRTIO_VIDEO_AGL_CMD_RESOURCE_ATTACH 0x0104
#define VIRTIO_VIDEO_AGL_CMD_QUEUE_DETACH_RESOURCES 0x0106

#define VIRTIO_VIDEO_AGL_FORMAT_ARGB8888 1
#define VIRTIO_VIDEO_AGL_FORMAT_BGRA8888 2
#define VIRTIO_VIDEO_AGL_FORMAT_RGBA8888 3
#define VIRTIO_VIDEO_AGL_FORMAT_NV12 4
#define VIRTIO_VIDEO_AGL_FORMAT_YUV420 5
#define VIRTIO_VIDEO_AGL_FORMAT_YVU420 6
#define VIRTIO_VIDEO_AGL_FORMAT_YUV422 7 /* the drivers make it V4L2's YUYV */

/* A list follows for each plane, to the end of the request. */
struct virtio_video_agl_resource_attach {
	struct virtio_video_cmd_hdr hdr;
	__le32 queue_type;
	__le32 resource_id;
};

/* num_entries virtio_video_mem_entry follow. */
struct virtio_video_agl_list {
	__le32 num_entries;
	__le32 padding;
};

#define VIRTIO_VIDEO_AGL_ENQUEUE_FLAG_FORCE_KEY_FRAME (1u << 0) /* from draft v4, whose layout this is */

struct virtio_video_agl_resource_queue {
	struct virtio_video_cmd_hdr hdr;
	__le32 queue_type;
	__le32 resource_id;
	__le32 flags; /* VIRTIO_VIDEO_AGL_ENQUEUE_FLAG_* */
	__le32 padding;
	__le64 timestamp;
	__le32 data_sizes[VIRTIO_VIDEO_MAX_PLANES];
};

/*
 * Numbers, but the drivers test them as if they were bits: they never see ERR, and take PFRAME for the end of the stream
 * too. So a device sends none of these two. Nothing else in the answer shows an error either: not its code, and a
 * decoder's picture has the bytes of GET_PARAMS, whatever data_sizes say. The ERROR event does, and ends the stream.
 */
#define VIRTIO_VIDEO_AGL_DEQUEUE_FLAG_ERR 0
#define VIRTIO_VIDEO_AGL_DEQUEUE_FLAG_EOS 1
#define VIRTIO_VIDEO_AGL_DEQUEUE_FLAG_KEY_FRAME 2
#define VIRTIO_VIDEO_AGL_DEQUEUE_FLAG_PFRAME 3
#define VIRTIO_VIDEO_AGL_DEQUEUE_FLAG_BFRAME 4

struct virtio_video_agl_resource_queue_resp {
	struct virtio_video_cmd_hdr hdr;
	__le32 flags;
	__le32 padding;
	__le64 timestamp;
	__le32 data_sizes[VIRTIO_VIDEO_MAX_PLANES];
};

#endif
