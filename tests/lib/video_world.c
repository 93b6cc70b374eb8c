// SPDX-License-Identifier: MIT
#include "tests/lib/video_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/base/loop.h"

#define WAIT_MS 60000

struct video_world *video_world_create(const struct video_world_options *options)
{
	static const struct video_world_options defaults;
	struct video_world *w = calloc(1, sizeof(*w));
	struct video_config config;

	assert_non_null(w);
	options = options ? options : &defaults;
	video_config_init(&config);
	config.encoder = options->encoder;
	config.codec = options->codec ? options->codec : &codec_fake_ops;
	config.element = options->element;
	if (options->timeout_ms)
		config.timeout_ms = options->timeout_ms;
	if (options->streams)
		config.limits.streams = options->streams;
	if (options->buffers)
		config.limits.buffers = options->buffers;
	if (options->buffer_bytes)
		config.limits.buffer_bytes = options->buffer_bytes;
	w->guest = fake_guest_create(&(struct fake_guest_options){.memory_bytes = options->memory_bytes});
	assert_int_equal(video_create(&config, fake_guest_loop(w->guest), fake_guest_mem(w->guest), &w->device), 0);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	return w;
}

void video_world_destroy(struct video_world *w)
{
	virtio_device_destroy(w->device);
	fake_guest_destroy(w->guest);
	free(w);
}

uint32_t video_send(struct video_world *w, uint32_t type, uint32_t stream, void *request, size_t bytes, void *answer,
		    size_t answer_bytes)
{
	const struct virtio_video_cmd_hdr header = {.type = type, .stream_id = stream};
	struct virtio_video_cmd_hdr got;
	uint8_t own[128];
	uint32_t used;

	memcpy(request, &header, sizeof(header));
	answer_bytes = answer ? answer_bytes : sizeof(own);
	answer = answer ? answer : own;
	assert_int_equal(fake_guest_request(w->guest, 0, request, bytes, answer, answer_bytes, &used), 0);
	assert_true(used >= sizeof(got));
	memcpy(&got, answer, sizeof(got));
	assert_int_equal(got.stream_id, 0);
	if (got.type >= VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION)
		assert_int_equal(used, sizeof(got));
	return got.type;
}

uint32_t video_create_stream(struct video_world *w, uint32_t stream, uint32_t coded)
{
	struct virtio_video_stream_create c = {.coded_format = coded, .tag = "test"};

	return video_send(w, VIRTIO_VIDEO_CMD_STREAM_CREATE, stream, &c, sizeof(c), NULL, 0);
}

uint32_t video_simple(struct video_world *w, uint32_t type, uint32_t stream)
{
	struct virtio_video_cmd_hdr c;

	return video_send(w, type, stream, &c, sizeof(c), NULL, 0);
}

uint32_t video_queue_command(struct video_world *w, uint32_t type, uint32_t stream, uint32_t queue)
{
	struct virtio_video_queue_clear c = {.queue_type = queue};

	return video_send(w, type, stream, &c, sizeof(c), NULL, 0);
}

void video_read_params(struct video_world *w, uint32_t stream, uint32_t queue, struct virtio_video_params *out)
{
	struct virtio_video_get_params c = {.queue_type = queue};
	struct virtio_video_get_params_ext_resp r;

	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_GET_PARAMS_EXT, stream, &c, sizeof(c), &r, sizeof(r)),
			 VIRTIO_VIDEO_RESP_OK_GET_PARAMS);
	*out = r.params.base;
}

uint32_t video_create_scattered(struct video_world *w, uint32_t stream, uint32_t queue, uint32_t id,
				const struct virtio_video_mem_entry *entries, uint32_t count)
{
	struct virtio_video_resource_create c = {
		.queue_type = queue,
		.resource_id = id,
		.planes_layout = VIRTIO_VIDEO_PLANES_LAYOUT_SINGLE_BUFFER,
		.num_planes = 1,
		.num_entries = {count},
	};
	uint8_t *request = malloc(sizeof(c) + count * sizeof(*entries));
	uint32_t code;

	assert_non_null(request);
	memcpy(request, &c, sizeof(c));
	memcpy(request + sizeof(c), entries, count * sizeof(*entries));
	code = video_send(w, VIRTIO_VIDEO_CMD_RESOURCE_CREATE, stream, request, sizeof(c) + count * sizeof(*entries), NULL, 0);
	free(request);
	return code;
}

uint32_t video_create_buffer(struct video_world *w, uint32_t stream, uint32_t queue, uint32_t id, size_t bytes,
			     uint64_t *gpa)
{
	struct virtio_video_mem_entry entry = {.addr = fake_guest_alloc(w->guest, bytes, 4096), .length = (uint32_t)bytes};

	if (gpa)
		*gpa = entry.addr;
	return video_create_scattered(w, stream, queue, id, &entry, 1);
}

struct fake_request *video_queue(struct video_world *w, uint32_t stream, uint32_t queue, uint32_t id, uint32_t bytes,
				 uint64_t timestamp)
{
	struct virtio_video_resource_queue c = {
		.hdr = {VIRTIO_VIDEO_CMD_RESOURCE_QUEUE, stream},
		.queue_type = queue,
		.resource_id = id,
		.timestamp = timestamp,
		.num_data_sizes = 1,
		.data_sizes = {bytes},
	};
	struct fake_request *r =
		fake_guest_add(w->guest, 0, &c, sizeof(c), sizeof(struct virtio_video_resource_queue_resp));

	fake_guest_kick(w->guest, 0);
	return r;
}

struct fake_request *video_drain(struct video_world *w, uint32_t stream)
{
	struct virtio_video_stream_drain c = {.hdr = {VIRTIO_VIDEO_CMD_STREAM_DRAIN, stream}};
	struct fake_request *r = fake_guest_add(w->guest, 0, &c, sizeof(c), sizeof(struct virtio_video_cmd_hdr));

	fake_guest_kick(w->guest, 0);
	return r;
}

struct virtio_video_resource_queue_resp video_wait(struct video_world *w, struct fake_request *r)
{
	struct virtio_video_resource_queue_resp resp = {0};

	assert_int_equal(fake_guest_wait(w->guest, r, WAIT_MS), 0);
	assert_true(r->used_len >= sizeof(resp.hdr));
	memcpy(&resp, r->out, r->used_len < sizeof(resp) ? r->used_len : sizeof(resp));
	fake_guest_free_request(w->guest, r);
	return resp;
}

void video_settle(struct video_world *w)
{
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(loop_run_once(fake_guest_loop(w->guest), 0), 0);
	/* Takes in what was used, and returns at once. */
	fake_guest_run_until(w->guest, NULL, NULL, 0);
}

struct fake_request *video_post_event(struct video_world *w)
{
	struct fake_request *r = fake_guest_add(w->guest, 1, NULL, 0, sizeof(struct virtio_video_event));

	fake_guest_kick(w->guest, 1);
	return r;
}

struct virtio_video_event video_wait_event(struct video_world *w, struct fake_request *r)
{
	struct virtio_video_event event;

	assert_int_equal(fake_guest_wait(w->guest, r, WAIT_MS), 0);
	assert_int_equal(r->used_len, sizeof(event));
	memcpy(&event, r->out, sizeof(event));
	fake_guest_free_request(w->guest, r);
	return event;
}
