// SPDX-License-Identifier: MIT
#include "tests/lib/shared_pictures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "host/video/codec_fake.h"
#include "protocol/virtio_gpu.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA

void shared_create_2d(struct gpu3d *t, uint32_t id, uint32_t format, uint32_t width, uint32_t height)
{
	const struct virtio_gpu_resource_create_2d cmd = {.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_2D},
							  .resource_id = id,
							  .format = format,
							  .width = width,
							  .height = height};

	assert_int_equal(gpu3d_request(t, &cmd, sizeof(cmd), NULL, 0), OK);
}

int shared_try_uuid(struct gpu3d *t, uint32_t id, uint8_t uuid[16])
{
	const struct virtio_gpu_resource_assign_uuid cmd = {.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID},
							    .resource_id = id};
	struct virtio_gpu_resp_resource_uuid answer = {0};
	int code = gpu3d_request(t, &cmd, sizeof(cmd), &answer, sizeof(answer));

	memcpy(uuid, answer.uuid, sizeof(answer.uuid));
	return code;
}

void shared_assign_uuid(struct gpu3d *t, uint32_t id, uint8_t uuid[16])
{
	assert_int_equal(shared_try_uuid(t, id, uuid), VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
}

uint32_t shared_set_params(struct video_world *w, uint32_t queue, uint32_t format, uint32_t memory)
{
	struct virtio_video_get_params get = {.queue_type = queue};
	struct virtio_video_get_params_ext_resp resp;
	struct virtio_video_set_params_ext set;

	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_GET_PARAMS_EXT, 1, &get, sizeof(get), &resp, sizeof(resp)),
			 VIRTIO_VIDEO_RESP_OK_GET_PARAMS);
	set.params = resp.params;
	set.params.base.format = format;
	set.params.resource_type = memory;
	return video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS_EXT, 1, &set, sizeof(set), NULL, 0);
}

uint32_t shared_create_buffer(struct video_world *w, uint32_t queue, uint32_t id, uint32_t layout, uint32_t planes,
			      const uint32_t *entries, const uint8_t (*uuids)[16], unsigned count)
{
	struct {
		struct virtio_video_resource_create c;
		struct virtio_video_object_entry entries[4];
	} r = {.c = {.queue_type = queue, .resource_id = id, .planes_layout = layout, .num_planes = planes}};

	memcpy(r.c.num_entries, entries, planes * sizeof(*entries));
	memcpy(r.entries, uuids, count * sizeof(r.entries[0]));
	return video_send(w, VIRTIO_VIDEO_CMD_RESOURCE_CREATE, 1, &r, sizeof(r.c) + count * sizeof(r.entries[0]), NULL,
			  0);
}

uint32_t shared_create_output(struct video_world *w, uint32_t id, const uint8_t uuid[16])
{
	static const uint32_t one = 1;
	uint8_t uuids[1][16];

	memcpy(uuids[0], uuid, 16);
	return shared_create_buffer(w, VIDEO_OUT, id, VIRTIO_VIDEO_PLANES_LAYOUT_SINGLE_BUFFER, 1, &one,
				    (const uint8_t(*)[16])uuids, 1);
}

uint32_t shared_pixel(uint32_t value, uint32_t x, uint32_t y)
{
	return (uint32_t)fake_sample(value, 2, x, y) << 16 | (uint32_t)fake_sample(value, 1, x, y) << 8 |
	       fake_sample(value, 0, x, y);
}
