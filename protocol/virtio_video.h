/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * virtio-video: devices 30 (encoder) and 31 (decoder). The device numbers are in virtio 1.4, section 5; its text never
 * made it there. This file follows the third draft (RFC v3, virtio-dev, February 2020) and what the drivers of ChromeOS
 * added to it: the device name in the config space, virtio objects as buffers, GET_PARAMS_EXT and SET_PARAMS_EXT, and
 * the controls from FORCE_KEYFRAME on. Mullion calls it the dialect "chromeos". Later drafts (v4 to v9) are other
 * protocols that share its device numbers; nothing here is theirs.
 */
#ifndef MULLION_PROTOCOL_VIRTIO_VIDEO_H
#define MULLION_PROTOCOL_VIRTIO_VIDEO_H

#include <linux/types.h>

#ifndef VIRTIO_ID_VIDEO_ENCODER
#define VIRTIO_ID_VIDEO_ENCODER 30
#endif
#ifndef VIRTIO_ID_VIDEO_DECODER
#define VIRTIO_ID_VIDEO_DECODER 31
#endif

#define VIRTIO_VIDEO_QUEUE_COMMAND 0
#define VIRTIO_VIDEO_QUEUE_EVENT 1

/* Feature bits: buffers may be guest pages, in pieces, or virtio objects named by a UUID. */
#define VIRTIO_VIDEO_F_RESOURCE_GUEST_PAGES 0
#define VIRTIO_VIDEO_F_RESOURCE_NON_CONTIG 1
#define VIRTIO_VIDEO_F_RESOURCE_VIRTIO_OBJECT 2

#define VIRTIO_VIDEO_MAX_PLANES 8
#define VIRTIO_VIDEO_MAX_DESCS 64

struct virtio_video_config {
	__le32 version; /* 0 */
	__le32 max_caps_length; /* room that QUERY_CAPABILITY's answer needs; never 0 */
	__le32 max_resp_length; /* the same of every other answer; never 0 */
	__u8 device_name[32];   /* ChromeOS: becomes the name of the V4L2 card */
};

/* Commands. Those that may be answered late and out of order: STREAM_DRAIN, RESOURCE_QUEUE, QUEUE_CLEAR. */
#define VIRTIO_VIDEO_CMD_QUERY_CAPABILITY 0x0100
#define VIRTIO_VIDEO_CMD_STREAM_CREATE 0x0101
#define VIRTIO_VIDEO_CMD_STREAM_DESTROY 0x0102
#define VIRTIO_VIDEO_CMD_STREAM_DRAIN 0x0103
#define VIRTIO_VIDEO_CMD_RESOURCE_CREATE 0x0104
#define VIRTIO_VIDEO_CMD_RESOURCE_QUEUE 0x0105
#define VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL 0x0106
#define VIRTIO_VIDEO_CMD_QUEUE_CLEAR 0x0107
#define VIRTIO_VIDEO_CMD_GET_PARAMS 0x0108
#define VIRTIO_VIDEO_CMD_SET_PARAMS 0x0109
#define VIRTIO_VIDEO_CMD_QUERY_CONTROL 0x010a
#define VIRTIO_VIDEO_CMD_GET_CONTROL 0x010b
#define VIRTIO_VIDEO_CMD_SET_CONTROL 0x010c
#define VIRTIO_VIDEO_CMD_GET_PARAMS_EXT 0x010d /* ChromeOS; its drivers use nothing else */
#define VIRTIO_VIDEO_CMD_SET_PARAMS_EXT 0x010e

/* Answers; 0x0300 and above are errors. */
#define VIRTIO_VIDEO_RESP_OK_NODATA 0x0200
#define VIRTIO_VIDEO_RESP_OK_QUERY_CAPABILITY 0x0201
#define VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE 0x0202
#define VIRTIO_VIDEO_RESP_OK_GET_PARAMS 0x0203 /* of GET_PARAMS_EXT too */
#define VIRTIO_VIDEO_RESP_OK_QUERY_CONTROL 0x0204
#define VIRTIO_VIDEO_RESP_OK_GET_CONTROL 0x0205
#define VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION 0x0300
#define VIRTIO_VIDEO_RESP_ERR_OUT_OF_MEMORY 0x0301
#define VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID 0x0302
#define VIRTIO_VIDEO_RESP_ERR_INVALID_RESOURCE_ID 0x0303
#define VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER 0x0304
#define VIRTIO_VIDEO_RESP_ERR_UNSUPPORTED_CONTROL 0x0305

/* Every command and every answer begins so. The driver chooses stream ids; answers carry 0 there. */
struct virtio_video_cmd_hdr {
	__le32 type;
	__le32 stream_id;
};

/* ---- capabilities ---- */

#define VIRTIO_VIDEO_QUEUE_TYPE_INPUT 0x0100
#define VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT 0x0101

#define VIRTIO_VIDEO_PLANES_LAYOUT_SINGLE_BUFFER (1u << 0)
#define VIRTIO_VIDEO_PLANES_LAYOUT_PER_PLANE (1u << 1)

#define VIRTIO_VIDEO_FORMAT_ARGB8888 1
#define VIRTIO_VIDEO_FORMAT_BGRA8888 2
#define VIRTIO_VIDEO_FORMAT_NV12 3
#define VIRTIO_VIDEO_FORMAT_YUV420 4
#define VIRTIO_VIDEO_FORMAT_YVU420 5
#define VIRTIO_VIDEO_FORMAT_MPEG2 0x1000
#define VIRTIO_VIDEO_FORMAT_MPEG4 0x1001
#define VIRTIO_VIDEO_FORMAT_H264 0x1002
#define VIRTIO_VIDEO_FORMAT_HEVC 0x1003
#define VIRTIO_VIDEO_FORMAT_VP8 0x1004
#define VIRTIO_VIDEO_FORMAT_VP9 0x1005

struct virtio_video_query_capability {
	struct virtio_video_cmd_hdr hdr;
	__le32 queue_type;
	__le32 padding;
};

/* num_descs times: a format_desc, with num_frames format_frames behind it, each with num_rates ranges behind it. */
struct virtio_video_query_capability_resp {
	struct virtio_video_cmd_hdr hdr;
	__le32 num_descs;
	__le32 padding;
};

struct virtio_video_format_range {
	__le32 min;
	__le32 max;
	__le32 step;
	__le32 padding;
};

struct virtio_video_format_frame {
	struct virtio_video_format_range width;
	struct virtio_video_format_range height;
	__le32 num_rates;
	__le32 padding;
};

struct virtio_video_format_desc {
	__le64 mask; /* bit i: can be turned into format number i of the other queue */
	__le32 format;
	__le32 planes_layout; /* meaningless, as is plane_align, for coded formats */
	__le32 plane_align;
	__le32 num_frames;
};

/* ---- streams and their buffers ---- */

#define VIRTIO_VIDEO_MEM_TYPE_GUEST_PAGES 0
#define VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT 1

struct virtio_video_stream_create {
	struct virtio_video_cmd_hdr hdr;
	__le32 in_mem_type;
	__le32 out_mem_type;
	__le32 coded_format;
	__le32 padding;
	__u8 tag[64]; /* a name for people */
};

struct virtio_video_stream_destroy {
	struct virtio_video_cmd_hdr hdr;
};

struct virtio_video_stream_drain {
	struct virtio_video_cmd_hdr hdr;
};

/* Entries follow: those of plane 0, then those of plane 1 ... */
struct virtio_video_resource_create {
	struct virtio_video_cmd_hdr hdr;
	__le32 queue_type;
	__le32 resource_id;
	__le32 planes_layout;
	__le32 num_planes;
	__le32 plane_offsets[VIRTIO_VIDEO_MAX_PLANES]; /* of a SINGLE_BUFFER */
	__le32 num_entries[VIRTIO_VIDEO_MAX_PLANES];
};

struct virtio_video_mem_entry {
	__le64 addr;
	__le32 length;
	__le32 padding;
};

struct virtio_video_object_entry {
	__u8 uuid[16];
};

struct virtio_video_resource_queue {
	struct virtio_video_cmd_hdr hdr;
	__le32 queue_type;
	__le32 resource_id;
	__le64 timestamp; /* ns; 0 for the output queue */
	__le32 num_data_sizes;
	__le32 data_sizes[VIRTIO_VIDEO_MAX_PLANES];
	__le32 padding;
};

#define VIRTIO_VIDEO_BUFFER_FLAG_ERR (1u << 0)
#define VIRTIO_VIDEO_BUFFER_FLAG_EOS (1u << 1)
/* Encoders only. */
#define VIRTIO_VIDEO_BUFFER_FLAG_IFRAME (1u << 2)
#define VIRTIO_VIDEO_BUFFER_FLAG_PFRAME (1u << 3)
#define VIRTIO_VIDEO_BUFFER_FLAG_BFRAME (1u << 4)

struct virtio_video_resource_queue_resp {
	struct virtio_video_cmd_hdr hdr;
	__le64 timestamp; /* of an output buffer: that of the input it was made from */
	__le32 flags;
	__le32 size; /* bytes that an encoder wrote */
};

struct virtio_video_resource_destroy_all {
	struct virtio_video_cmd_hdr hdr;
	__le32 queue_type;
	__le32 padding;
};

struct virtio_video_queue_clear {
	struct virtio_video_cmd_hdr hdr;
	__le32 queue_type;
	__le32 padding;
};

/* ---- parameters ---- */

struct virtio_video_crop {
	__le32 left;
	__le32 top;
	__le32 width;
	__le32 height;
};

struct virtio_video_plane_format {
	__le32 plane_size;
	__le32 stride;
};

struct virtio_video_params {
	__le32 queue_type;
	__le32 format;
	__le32 frame_width;
	__le32 frame_height;
	__le32 min_buffers;
	__le32 max_buffers;
	struct virtio_video_crop crop;
	__le32 frame_rate; /* Hz */
	__le32 num_planes;
	struct virtio_video_plane_format plane_formats[VIRTIO_VIDEO_MAX_PLANES];
};

struct virtio_video_params_ext {
	struct virtio_video_params base;
	__le32 resource_type; /* VIRTIO_VIDEO_MEM_TYPE_* */
	__le32 padding;
};

struct virtio_video_get_params {
	struct virtio_video_cmd_hdr hdr;
	__le32 queue_type;
	__le32 padding;
};

struct virtio_video_get_params_resp {
	struct virtio_video_cmd_hdr hdr;
	struct virtio_video_params params;
};

struct virtio_video_get_params_ext_resp {
	struct virtio_video_cmd_hdr hdr;
	struct virtio_video_params_ext params;
};

struct virtio_video_set_params {
	struct virtio_video_cmd_hdr hdr;
	struct virtio_video_params params;
};

struct virtio_video_set_params_ext {
	struct virtio_video_cmd_hdr hdr;
	struct virtio_video_params_ext params;
};

/* ---- controls ---- */

#define VIRTIO_VIDEO_CONTROL_BITRATE 1
#define VIRTIO_VIDEO_CONTROL_PROFILE 2
#define VIRTIO_VIDEO_CONTROL_LEVEL 3
#define VIRTIO_VIDEO_CONTROL_FORCE_KEYFRAME 4 /* a button: is set without a value, can't be got */
#define VIRTIO_VIDEO_CONTROL_BITRATE_MODE 5
#define VIRTIO_VIDEO_CONTROL_BITRATE_PEAK 6
#define VIRTIO_VIDEO_CONTROL_PREPEND_SPSPPS_TO_IDR 7

#define VIRTIO_VIDEO_BITRATE_MODE_VBR 0
#define VIRTIO_VIDEO_BITRATE_MODE_CBR 1

#define VIRTIO_VIDEO_PROFILE_H264_BASELINE 0x100
#define VIRTIO_VIDEO_PROFILE_H264_MAIN 0x101
#define VIRTIO_VIDEO_PROFILE_H264_EXTENDED 0x102
#define VIRTIO_VIDEO_PROFILE_H264_HIGH 0x103
#define VIRTIO_VIDEO_PROFILE_H264_HIGH10 0x104
#define VIRTIO_VIDEO_PROFILE_H264_HIGH422 0x105
#define VIRTIO_VIDEO_PROFILE_H264_HIGH444PREDICTIVE 0x106
#define VIRTIO_VIDEO_PROFILE_H264_SCALABLEBASELINE 0x107
#define VIRTIO_VIDEO_PROFILE_H264_SCALABLEHIGH 0x108
#define VIRTIO_VIDEO_PROFILE_H264_STEREOHIGH 0x109
#define VIRTIO_VIDEO_PROFILE_H264_MULTIVIEWHIGH 0x10a
#define VIRTIO_VIDEO_PROFILE_HEVC_MAIN 0x200
#define VIRTIO_VIDEO_PROFILE_HEVC_MAIN10 0x201
#define VIRTIO_VIDEO_PROFILE_HEVC_MAIN_STILL_PICTURE 0x202
#define VIRTIO_VIDEO_PROFILE_VP8_PROFILE0 0x300
#define VIRTIO_VIDEO_PROFILE_VP8_PROFILE3 0x303
#define VIRTIO_VIDEO_PROFILE_VP9_PROFILE0 0x400
#define VIRTIO_VIDEO_PROFILE_VP9_PROFILE2 0x402
#define VIRTIO_VIDEO_PROFILE_VP9_PROFILE3 0x403

/* 1.0 1.1 1.2 1.3 2.0 2.1 2.2 3.0 3.1 3.2 4.0 4.1 4.2 5.0 5.1: there is no 1b, and nothing above 5.1. */
#define VIRTIO_VIDEO_LEVEL_H264_1_0 0x100
#define VIRTIO_VIDEO_LEVEL_H264_4_0 0x10a
#define VIRTIO_VIDEO_LEVEL_H264_5_1 0x10e

/* PROFILE and LEVEL: a format and padding follow. */
struct virtio_video_query_control {
	struct virtio_video_cmd_hdr hdr;
	__le32 control;
	__le32 padding;
};

struct virtio_video_query_control_format {
	__le32 format;
	__le32 padding;
};

/* num values follow, 4 bytes each. */
struct virtio_video_query_control_resp {
	struct virtio_video_cmd_hdr hdr;
	__le32 num;
	__le32 padding;
};

struct virtio_video_get_control {
	struct virtio_video_cmd_hdr hdr;
	__le32 control;
	__le32 padding;
};

struct virtio_video_control_value {
	__le32 value;
	__le32 padding;
};

struct virtio_video_get_control_resp {
	struct virtio_video_cmd_hdr hdr;
	struct virtio_video_control_value value;
};

/* A control_value follows, but for FORCE_KEYFRAME. */
struct virtio_video_set_control {
	struct virtio_video_cmd_hdr hdr;
	__le32 control;
	__le32 padding;
};

/* ---- events ---- */

#define VIRTIO_VIDEO_EVENT_ERROR 0x0100
#define VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED 0x0200

struct virtio_video_event {
	__le32 event_type;
	__le32 stream_id;
};

#endif
