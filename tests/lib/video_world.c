// SPDX-License-Identifier: MIT
#include "tests/lib/video_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/base/loop.h"

#define WAIT_MS 60000

static bool speaks_agl;

static int choose_dialect(void **state)
{
	speaks_agl = *state != NULL;
	return 0;
}

int video_run_tests(const struct CMUnitTest *tests, size_t count)
{
	struct CMUnitTest *all = calloc(2 * count, sizeof(*all));
	char(*names)[120] = calloc(2 * count, sizeof(*names));
	int failed;

	if (!all || !names)
		abort();
	for (size_t i = 0; i < 2 * count; i++) {
		const bool agl = i >= count;

		all[i] = tests[i % count];
		snprintf(names[i], sizeof(names[i]), "%s%s", agl ? "agl: " : "", tests[i % count].name);
		all[i].name = names[i];
		all[i].setup_func = choose_dialect;
		all[i].initial_state = agl ? &speaks_agl : NULL;
	}
	failed = _cmocka_run_group_tests("video", all, 2 * count, NULL, NULL);
	free(all);
	free(names);
	return failed;
}

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
	config.objects = options->objects;
	config.dialect = options->dialect ? options->dialect
			 : speaks_agl	  ? &video_dialect_agl
					  : &video_dialect_chromeos;
	w->agl = config.dialect == &video_dialect_agl;
	if (options->timeout_ms)
		config.timeout_ms = options->timeout_ms;
	if (options->streams)
		config.limits.streams = options->streams;
	if (options->buffers)
		config.limits.buffers = options->buffers;
	if (options->buffer_entries)
		config.limits.buffer_entries = options->buffer_entries;
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
	/* A refused buffer has a body, whose flags say that it is none. */
	if (got.type >= VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION && type != VIRTIO_VIDEO_CMD_RESOURCE_QUEUE)
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
	const uint32_t type = w->agl ? VIRTIO_VIDEO_CMD_GET_PARAMS : VIRTIO_VIDEO_CMD_GET_PARAMS_EXT;

	/* The plain form is the beginning of the other. */
	assert_int_equal(video_send(w, type, stream, &c, sizeof(c), &r, sizeof(r)), VIRTIO_VIDEO_RESP_OK_GET_PARAMS);
	*out = r.params.base;
}

uint32_t video_format_number(const struct video_world *w, uint32_t format)
{
	return w->agl ? video_picture_format_find(format)->agl_number : format;
}

/* RESOURCE_ATTACH with one list. */
static uint32_t attach(struct video_world *w, uint32_t stream, uint32_t queue, uint32_t id,
		       const struct virtio_video_mem_entry *entries, uint32_t count)
{
	struct {
		struct virtio_video_agl_resource_attach c;
		struct virtio_video_agl_list list;
		struct virtio_video_mem_entry entries[];
	} *request = malloc(sizeof(*request) + count * sizeof(*entries));
	uint32_t code;

	assert_non_null(request);
	request->c = (struct virtio_video_agl_resource_attach){.queue_type = queue, .resource_id = id};
	request->list = (struct virtio_video_agl_list){.num_entries = count};
	memcpy(request->entries, entries, count * sizeof(*entries));
	code = video_send(w, VIRTIO_VIDEO_AGL_CMD_RESOURCE_ATTACH, stream, request,
			  sizeof(*request) + count * sizeof(*entries), NULL, 0);
	free(request);
	return code;
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
	uint8_t *request;
	uint32_t code;

	if (w->agl)
		return attach(w, stream, queue, id, entries, count);
	request = malloc(sizeof(c) + count * sizeof(*entries));
	assert_non_null(request);
	memcpy(request, &c, sizeof(c));
	memcpy(request + sizeof(c), entries, count * sizeof(*entries));
	code = video_send(w, VIRTIO_VIDEO_CMD_RESOURCE_CREATE, stream, request, sizeof(c) + count * sizeof(*entries), NULL, 0);
	free(request);
	return code;
}

uint32_t video_create_planes(struct video_world *w, uint32_t stream, uint32_t queue, uint32_t id, uint32_t planes,
			     const uint32_t *entries, const struct virtio_video_mem_entry *list)
{
	struct virtio_video_resource_create c = {
		.queue_type = queue,
		.resource_id = id,
		.planes_layout = VIRTIO_VIDEO_PLANES_LAYOUT_PER_PLANE,
		.num_planes = planes,
	};
	const struct virtio_video_agl_resource_attach a = {.queue_type = queue, .resource_id = id};
	uint8_t request[1024], *at = request + (w->agl ? sizeof(a) : sizeof(c));

	for (uint32_t i = 0; i < planes; i++) {
		const struct virtio_video_agl_list header = {.num_entries = entries[i]};
		const size_t bytes = entries[i] * sizeof(*list);

		assert_true((size_t)(at - request) + sizeof(header) + bytes <= sizeof(request));
		if (i < VIRTIO_VIDEO_MAX_PLANES) /* a test may want one too many */
			c.num_entries[i] = entries[i];
		if (w->agl) {
			memcpy(at, &header, sizeof(header));
			at += sizeof(header);
		}
		memcpy(at, list, bytes);
		at += bytes;
		list += entries[i];
	}
	if (w->agl)
		memcpy(request, &a, sizeof(a));
	else
		memcpy(request, &c, sizeof(c));
	return video_send(w, VIRTIO_VIDEO_CMD_RESOURCE_CREATE, stream, request, (size_t)(at - request), NULL, 0);
}

void video_force_keyframe(struct video_world *w, uint32_t stream)
{
	struct virtio_video_set_control key = {.control = VIRTIO_VIDEO_CONTROL_FORCE_KEYFRAME};

	w->key_frame = w->agl;
	if (!w->agl)
		assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_CONTROL, stream, &key, sizeof(key), NULL, 0),
				 VIDEO_OK);
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
	const struct virtio_video_agl_resource_queue agl = {
		.hdr = {VIRTIO_VIDEO_CMD_RESOURCE_QUEUE, stream},
		.queue_type = queue,
		.resource_id = id,
		.timestamp = timestamp,
		.data_sizes = {bytes},
		.flags = w->key_frame ? VIRTIO_VIDEO_AGL_ENQUEUE_FLAG_FORCE_KEY_FRAME : 0,
	};
	struct fake_request *r =
		w->agl ? fake_guest_add(w->guest, 0, &agl, sizeof(agl),
					sizeof(struct virtio_video_agl_resource_queue_resp))
		       : fake_guest_add(w->guest, 0, &c, sizeof(c), sizeof(struct virtio_video_resource_queue_resp));

	w->key_frame = false;
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

uint32_t video_flags(const struct video_world *w, uint32_t flags)
{
	return w->agl ? flags & ~(VIRTIO_VIDEO_BUFFER_FLAG_ERR | VIRTIO_VIDEO_BUFFER_FLAG_PFRAME) : flags;
}

static struct virtio_video_resource_queue_resp from_agl(const struct fake_request *r)
{
	static const uint32_t flags[] = {0, VIRTIO_VIDEO_BUFFER_FLAG_EOS, VIRTIO_VIDEO_BUFFER_FLAG_IFRAME};
	struct virtio_video_agl_resource_queue_resp resp = {0};

	memcpy(&resp, r->out, r->used_len < sizeof(resp) ? r->used_len : sizeof(resp));
	/* What drivers take for more than one thing never comes. */
	assert_true(resp.flags < sizeof(flags) / sizeof(flags[0]));
	return (struct virtio_video_resource_queue_resp){
		.hdr = resp.hdr, .timestamp = resp.timestamp, .flags = flags[resp.flags], .size = resp.data_sizes[0]};
}

struct virtio_video_resource_queue_resp video_response(const struct video_world *w, const struct fake_request *r)
{
	struct virtio_video_resource_queue_resp resp = {0};

	assert_true(r->used_len >= sizeof(resp.hdr));
	if (w->agl)
		return from_agl(r);
	memcpy(&resp, r->out, r->used_len < sizeof(resp) ? r->used_len : sizeof(resp));
	return resp;
}

struct virtio_video_resource_queue_resp video_wait(struct video_world *w, struct fake_request *r)
{
	struct virtio_video_resource_queue_resp resp;

	assert_int_equal(fake_guest_wait(w->guest, r, WAIT_MS), 0);
	resp = video_response(w, r);
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
