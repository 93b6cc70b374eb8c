// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Static checks of what crosses the line: sizes and offsets as the specification's tables give them. Nothing here
 * runs; the file is compiled in every world that uses the headers.
 */
#include <stddef.h>

#include "protocol/vhost_user.h"
#include "protocol/vhost_user_gpu.h"
#include "protocol/virtio.h"
#include "protocol/virtio_gpu.h"
#include "protocol/virtio_input.h"
#include "protocol/virtio_media.h"
#include "protocol/virtio_video.h"
#include "protocol/virtio_video_agl.h"

/* Wire fields are read as they are. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "Mullion runs on little-endian machines only");

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " is not " #bytes " bytes")
#define AT(type, field, offset) \
	_Static_assert(offsetof(type, field) == (offset), #type "." #field " is not at " #offset)

/* vhost-user.rst: "VIRTIO Shared Memory Region configuration", "MMAP request". */
SIZE(struct vhost_user_shmem_config, 8 + 256 * 8);
AT(struct vhost_user_shmem_config, sizes, 8);
SIZE(struct vhost_user_shmem_map, 40);
AT(struct vhost_user_shmem_map, fd_offset, 8);
AT(struct vhost_user_shmem_map, offset, 16);
AT(struct vhost_user_shmem_map, length, 24);
AT(struct vhost_user_shmem_map, flags, 32);

/* vhost-user-gpu.rst: "Wire format", "Payload types". */
SIZE(struct vhost_user_gpu_header, 12);
AT(struct vhost_user_gpu_header, size, 8);
SIZE(struct vhost_user_gpu_cursor_pos, 12);
SIZE(struct vhost_user_gpu_cursor_update, 20 + 64 * 64 * 4);
AT(struct vhost_user_gpu_cursor_update, hot_x, 12);
SIZE(struct vhost_user_gpu_scanout, 12);
SIZE(struct vhost_user_gpu_update, 20);
SIZE(struct vhost_user_gpu_edid_request, 4);
SIZE(struct vhost_user_gpu_dmabuf_scanout, 40);
AT(struct vhost_user_gpu_dmabuf_scanout, fd_drm_fourcc, 36);
SIZE(struct vhost_user_gpu_dmabuf_scanout2, 48);
AT(struct vhost_user_gpu_dmabuf_scanout2, modifier, 40);

/* Section 2.7: split rings. */
SIZE(struct vring_desc, 16);
AT(struct vring_desc, addr, 0);
AT(struct vring_desc, len, 8);
AT(struct vring_desc, flags, 12);
AT(struct vring_desc, next, 14);
AT(struct vring_avail, flags, 0);
AT(struct vring_avail, idx, 2);
AT(struct vring_avail, ring, 4);
AT(struct vring_used, flags, 0);
AT(struct vring_used, idx, 2);
AT(struct vring_used, ring, 4);
SIZE(struct vring_used_elem, 8);
AT(struct vring_used_elem, len, 4);

/* Section 2.8: packed rings. */
SIZE(struct vring_packed_desc, 16);
AT(struct vring_packed_desc, addr, 0);
AT(struct vring_packed_desc, len, 8);
AT(struct vring_packed_desc, id, 12);
AT(struct vring_packed_desc, flags, 14);
SIZE(struct vring_packed_desc_event, 4);
AT(struct vring_packed_desc_event, off_wrap, 0);
AT(struct vring_packed_desc_event, flags, 2);

/* Section 5.7: GPU device. */
SIZE(struct virtio_gpu_config, 16);
SIZE(struct virtio_gpu_ctrl_hdr, 24);
AT(struct virtio_gpu_ctrl_hdr, type, 0);
AT(struct virtio_gpu_ctrl_hdr, flags, 4);
AT(struct virtio_gpu_ctrl_hdr, fence_id, 8);
AT(struct virtio_gpu_ctrl_hdr, ctx_id, 16);
AT(struct virtio_gpu_ctrl_hdr, ring_idx, 20);
SIZE(struct virtio_gpu_cursor_pos, 16);
SIZE(struct virtio_gpu_update_cursor, 56);
SIZE(struct virtio_gpu_rect, 16);
SIZE(struct virtio_gpu_resource_unref, 32);
SIZE(struct virtio_gpu_resource_create_2d, 40);
SIZE(struct virtio_gpu_set_scanout, 48);
SIZE(struct virtio_gpu_resource_flush, 48);
SIZE(struct virtio_gpu_transfer_to_host_2d, 56);
AT(struct virtio_gpu_transfer_to_host_2d, offset, 40);
SIZE(struct virtio_gpu_mem_entry, 16);
SIZE(struct virtio_gpu_resource_attach_backing, 32);
SIZE(struct virtio_gpu_resource_detach_backing, 32);
SIZE(struct virtio_gpu_display_one, 24);
SIZE(struct virtio_gpu_resp_display_info, 24 + 16 * 24);
SIZE(struct virtio_gpu_box, 24);
SIZE(struct virtio_gpu_transfer_host_3d, 72);
SIZE(struct virtio_gpu_resource_create_3d, 72);
SIZE(struct virtio_gpu_ctx_create, 96);
AT(struct virtio_gpu_ctx_create, context_init, 28);
SIZE(struct virtio_gpu_ctx_destroy, 24);
SIZE(struct virtio_gpu_ctx_resource, 32);
SIZE(struct virtio_gpu_cmd_submit, 32);
SIZE(struct virtio_gpu_get_capset_info, 32);
SIZE(struct virtio_gpu_resp_capset_info, 40);
SIZE(struct virtio_gpu_get_capset, 32);
SIZE(struct virtio_gpu_cmd_get_edid, 32);
SIZE(struct virtio_gpu_resp_edid, 24 + 8 + 1024);
SIZE(struct virtio_gpu_resource_assign_uuid, 32);
SIZE(struct virtio_gpu_resp_resource_uuid, 40);
SIZE(struct virtio_gpu_resource_create_blob, 56);
AT(struct virtio_gpu_resource_create_blob, blob_id, 40);
SIZE(struct virtio_gpu_set_scanout_blob, 96);
SIZE(struct virtio_gpu_resource_map_blob, 40);
SIZE(struct virtio_gpu_resp_map_info, 32);
SIZE(struct virtio_gpu_resource_unmap_blob, 32);

SIZE(struct vhost_user_header, 12);
SIZE(struct vhost_user_vring_state, 8);
SIZE(struct vhost_user_vring_addr, 40);
AT(struct vhost_user_vring_addr, log, 32);
SIZE(struct vhost_user_region, 32);
SIZE(struct vhost_user_mem_table, 8 + 8 * 32);
SIZE(struct vhost_user_mem_reg, 40);
SIZE(struct vhost_user_config, 12 + 256);
SIZE(struct vhost_user_object, 16);
SIZE(struct vhost_user_inflight, 24);
AT(struct vhost_user_inflight, queue_size, 18);
SIZE(struct vhost_user_inflight_split_desc, 16);
AT(struct vhost_user_inflight_split_desc, counter, 8);
SIZE(struct vhost_user_inflight_split, 16);
AT(struct vhost_user_inflight_split, used_idx, 14);
SIZE(struct vhost_user_inflight_packed_desc, 32);
AT(struct vhost_user_inflight_packed_desc, addr, 24);
SIZE(struct vhost_user_inflight_packed, 32);
AT(struct vhost_user_inflight_packed, old_used_wrap_counter, 21);

/* Section 5.8.4: input. */
SIZE(struct virtio_input_absinfo, 20);
SIZE(struct virtio_input_devids, 8);
SIZE(struct virtio_input_event, 8);
AT(struct virtio_input_event, code, 2);
AT(struct virtio_input_event, value, 4);
SIZE(struct virtio_input_config, 136);
AT(struct virtio_input_config, subsel, 1);
AT(struct virtio_input_config, size, 2);
AT(struct virtio_input_config, u, 8);

/* virtio-video, RFC v3 and the additions of ChromeOS. */
SIZE(struct virtio_video_config, 44);
SIZE(struct virtio_video_cmd_hdr, 8);
SIZE(struct virtio_video_query_capability, 16);
SIZE(struct virtio_video_query_capability_resp, 16);
SIZE(struct virtio_video_format_range, 16);
SIZE(struct virtio_video_format_frame, 40);
SIZE(struct virtio_video_format_desc, 24);
AT(struct virtio_video_format_desc, format, 8);
SIZE(struct virtio_video_stream_create, 88);
AT(struct virtio_video_stream_create, coded_format, 16);
AT(struct virtio_video_stream_create, tag, 24);
SIZE(struct virtio_video_stream_destroy, 8);
SIZE(struct virtio_video_stream_drain, 8);
SIZE(struct virtio_video_resource_create, 88);
AT(struct virtio_video_resource_create, queue_type, 8);
AT(struct virtio_video_resource_create, planes_layout, 16);
AT(struct virtio_video_resource_create, plane_offsets, 24);
AT(struct virtio_video_resource_create, num_entries, 56);
SIZE(struct virtio_video_mem_entry, 16);
SIZE(struct virtio_video_object_entry, 16);
SIZE(struct virtio_video_resource_queue, 64);
AT(struct virtio_video_resource_queue, timestamp, 16);
AT(struct virtio_video_resource_queue, num_data_sizes, 24);
AT(struct virtio_video_resource_queue, data_sizes, 28);
AT(struct virtio_video_resource_queue, padding, 60);
SIZE(struct virtio_video_resource_queue_resp, 24);
AT(struct virtio_video_resource_queue_resp, flags, 16);
SIZE(struct virtio_video_resource_destroy_all, 16);
SIZE(struct virtio_video_queue_clear, 16);
SIZE(struct virtio_video_params, 112);
AT(struct virtio_video_params, crop, 24);
AT(struct virtio_video_params, frame_rate, 40);
AT(struct virtio_video_params, plane_formats, 48);
SIZE(struct virtio_video_params_ext, 120);
AT(struct virtio_video_params_ext, resource_type, 112);
SIZE(struct virtio_video_get_params, 16);
SIZE(struct virtio_video_get_params_resp, 120);
SIZE(struct virtio_video_get_params_ext_resp, 128);
SIZE(struct virtio_video_set_params, 120);
SIZE(struct virtio_video_set_params_ext, 128);
SIZE(struct virtio_video_query_control, 16);
SIZE(struct virtio_video_query_control_format, 8);
SIZE(struct virtio_video_query_control_resp, 16);
SIZE(struct virtio_video_get_control, 16);
SIZE(struct virtio_video_get_control_resp, 16);
SIZE(struct virtio_video_set_control, 16);
SIZE(struct virtio_video_control_value, 8);
SIZE(struct virtio_video_event, 8);

/* virtio-video, dialect agl. */
SIZE(struct virtio_video_agl_resource_attach, 16);
SIZE(struct virtio_video_agl_list, 8);
SIZE(struct virtio_video_agl_resource_queue, 64);
AT(struct virtio_video_agl_resource_queue, timestamp, 24);
AT(struct virtio_video_agl_resource_queue, data_sizes, 32);
SIZE(struct virtio_video_agl_resource_queue_resp, 56);
AT(struct virtio_video_agl_resource_queue_resp, timestamp, 16);
/* Section 5.22: media, and what it carries. */
SIZE(struct virtio_media_config, 40);
SIZE(struct virtio_media_cmd_open, 8);
SIZE(struct virtio_media_resp_open, 16);
SIZE(struct virtio_media_cmd_close, 16);
SIZE(struct virtio_media_cmd_ioctl, 16);
SIZE(struct virtio_media_resp_ioctl, 8);
SIZE(struct virtio_media_sg_entry, 16);
SIZE(struct virtio_media_cmd_mmap, 20);
SIZE(struct virtio_media_resp_mmap, 24);
AT(struct virtio_media_resp_mmap, len, 16);
SIZE(struct virtio_media_cmd_munmap, 16);
SIZE(struct virtio_media_resp_munmap, 8);
SIZE(struct virtio_media_event_error, 16);
SIZE(struct virtio_media_event_dqbuf, 8 + 88 + 8 * 64);
SIZE(struct virtio_media_event_event, 8 + 136);
SIZE(struct v4l2_buffer, 88);
AT(struct v4l2_buffer, timestamp, 24);
AT(struct v4l2_buffer, m, 64);
SIZE(struct v4l2_plane, 64);
AT(struct v4l2_plane, m, 8);
AT(struct v4l2_plane, data_offset, 16);
SIZE(struct v4l2_capability, 104);
SIZE(struct v4l2_fmtdesc, 64);
SIZE(struct v4l2_format, 208);
AT(struct v4l2_format, fmt, 8);
SIZE(struct v4l2_pix_format_mplane, 192);
AT(struct v4l2_pix_format_mplane, plane_fmt, 20);
SIZE(struct v4l2_requestbuffers, 20);
SIZE(struct v4l2_create_buffers, 256);
SIZE(struct v4l2_selection, 64);
SIZE(struct v4l2_streamparm, 204);
SIZE(struct v4l2_frmsizeenum, 44);
SIZE(struct v4l2_frmivalenum, 52);
SIZE(struct v4l2_decoder_cmd, 72);
SIZE(struct v4l2_encoder_cmd, 40);
SIZE(struct v4l2_event_subscription, 32);
SIZE(struct v4l2_event, 136);
AT(struct v4l2_event, u, 8);
SIZE(struct v4l2_event_ctrl, 40);
SIZE(struct v4l2_ext_control, 20);
SIZE(struct v4l2_ext_controls, 32);
AT(struct v4l2_ext_controls, controls, 24);
SIZE(struct v4l2_control, 8);
SIZE(struct v4l2_queryctrl, 68);
SIZE(struct v4l2_query_ext_ctrl, 232);
SIZE(struct v4l2_querymenu, 44);
