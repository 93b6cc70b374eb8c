/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * virtio 1.4, section 5.22: the media device, number 48. It carries V4L2 ioctls: their payloads are the structures of
 * <linux/videodev2.h> as 64-bit little-endian machines lay them out, which check.c asserts.
 */
#ifndef MULLION_PROTOCOL_VIRTIO_MEDIA_H
#define MULLION_PROTOCOL_VIRTIO_MEDIA_H

#include <linux/types.h>
#if !__STDC_HOSTED__
/* Bare machines have no C library; this is all that videodev2.h wants of one. */
#define _SYS_TIME_H 1
struct timeval {
	__s64 tv_sec, tv_usec;
};
struct timespec {
	__s64 tv_sec, tv_nsec;
};
#endif
#include <linux/videodev2.h>

/* Headers before Linux 6.2 lack it. */
#ifndef V4L2_PIX_FMT_AV1
#define V4L2_PIX_FMT_AV1 v4l2_fourcc('A', 'V', '0', '1')
#endif

#ifndef VIRTIO_ID_MEDIA
#define VIRTIO_ID_MEDIA 48
#endif

#define VIRTIO_MEDIA_QUEUE_COMMAND 0
#define VIRTIO_MEDIA_QUEUE_EVENT 1

/* Shared memory region in which MMAP buffers appear. */
#define VIRTIO_MEDIA_SHM_MMAP 0

struct virtio_media_config {
	__le32 device_caps; /* V4L2_CAP_* */
	__le32 device_type; /* Linux' enum vfl_devnode_type: 0 is a video device */
	__u8 card[32];      /* ends with a zero unless it has all 32 */
};

#define VIRTIO_MEDIA_CMD_OPEN 1
#define VIRTIO_MEDIA_CMD_CLOSE 2 /* has no answer */
#define VIRTIO_MEDIA_CMD_IOCTL 3
#define VIRTIO_MEDIA_CMD_MMAP 4
#define VIRTIO_MEDIA_CMD_MUNMAP 5

struct virtio_media_cmd_header {
	__le32 cmd;
	__le32 reserved;
};

struct virtio_media_resp_header {
	__le32 status; /* 0, or a positive errno of Linux */
	__le32 reserved;
};

struct virtio_media_cmd_open {
	struct virtio_media_cmd_header hdr;
};

struct virtio_media_resp_open {
	struct virtio_media_resp_header hdr;
	__le32 session_id;
	__le32 reserved;
};

struct virtio_media_cmd_close {
	struct virtio_media_cmd_header hdr;
	__le32 session_id;
	__le32 reserved;
};

/*
 * What _IOW ioctls take lies behind the command, what _IOR ioctls give behind the answer, of _IOWR ioctls both. Behind
 * a v4l2_buffer its planes, behind v4l2_ext_controls its controls; then, towards the device only, struct
 * virtio_media_sg_entry for each pointer to the guest's pages, as many as its length needs.
 */
struct virtio_media_cmd_ioctl {
	struct virtio_media_cmd_header hdr;
	__le32 session_id;
	__le32 code; /* _IOC_NR() of VIDIOC_* */
};

struct virtio_media_resp_ioctl {
	struct virtio_media_resp_header hdr;
};

struct virtio_media_sg_entry {
	__le64 start; /* guest-physical */
	__le32 len;
	__le32 reserved;
};

#define VIRTIO_MEDIA_MMAP_FLAG_RW (1u << 0)

struct virtio_media_cmd_mmap {
	struct virtio_media_cmd_header hdr;
	__le32 session_id;
	__le32 flags;
	__le32 offset; /* of the plane: m.mem_offset as QUERYBUF tells it */
};

struct virtio_media_resp_mmap {
	struct virtio_media_resp_header hdr;
	__le64 driver_addr; /* offset in the shared memory region */
	__le64 len;
};

struct virtio_media_cmd_munmap {
	struct virtio_media_cmd_header hdr;
	__le64 driver_addr;
};

struct virtio_media_resp_munmap {
	struct virtio_media_resp_header hdr;
};

/* Events. */
#define VIRTIO_MEDIA_EVT_ERROR 0
#define VIRTIO_MEDIA_EVT_DQBUF 1
#define VIRTIO_MEDIA_EVT_EVENT 2

struct virtio_media_event_header {
	__le32 event;
	__le32 session_id;
};

/* The session is over; it is still to be closed. */
struct virtio_media_event_error {
	struct virtio_media_event_header hdr;
	__le32 error; /* errno; the specification's name for it is a macro of C */
	__le32 reserved;
};

#define VIRTIO_MEDIA_MAX_PLANES 8

struct virtio_media_event_dqbuf {
	struct virtio_media_event_header hdr;
	struct v4l2_buffer buffer;
	struct v4l2_plane planes[VIRTIO_MEDIA_MAX_PLANES];
};

struct virtio_media_event_event {
	struct virtio_media_event_header hdr;
	struct v4l2_event event;
};

#endif
