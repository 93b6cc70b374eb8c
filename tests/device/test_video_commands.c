// SPDX-License-Identifier: MIT
/*
 * Every command of virtio-video with every answer it can have, in both dialects, over the fake codec.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/codec_fake.h"
#include "tests/lib/video_world.h"

#define H264 VIRTIO_VIDEO_FORMAT_H264
#define NV12 VIRTIO_VIDEO_FORMAT_NV12
#define INVALID_OPERATION VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION
#define OUT_OF_MEMORY VIRTIO_VIDEO_RESP_ERR_OUT_OF_MEMORY
#define INVALID_STREAM VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID
#define INVALID_RESOURCE VIRTIO_VIDEO_RESP_ERR_INVALID_RESOURCE_ID
#define INVALID_PARAMETER VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER
#define UNSUPPORTED_CONTROL VIRTIO_VIDEO_RESP_ERR_UNSUPPORTED_CONTROL

static struct video_world *with_stream(const struct video_world_options *options)
{
	struct video_world *w = video_world_create(options);

	assert_int_equal(video_create_stream(w, 1, H264), VIDEO_OK);
	return w;
}

/* ---- capabilities ---- */

struct capability {
	struct virtio_video_format_desc desc;
	struct virtio_video_format_frame frame;
	struct virtio_video_format_range rate;
};

struct capabilities {
	struct virtio_video_query_capability_resp resp;
	struct capability list[8];
};

/* They follow one another, each as long as it says. */
static void query(struct video_world *w, uint32_t queue, struct capabilities *out)
{
	struct virtio_video_query_capability c = {.queue_type = queue};
	uint8_t answer[sizeof(*out)] = {0};
	const uint8_t *at = answer + sizeof(out->resp);

	memset(out, 0, sizeof(*out));
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_QUERY_CAPABILITY, 0, &c, sizeof(c), answer, sizeof(answer)),
			 VIRTIO_VIDEO_RESP_OK_QUERY_CAPABILITY);
	memcpy(&out->resp, answer, sizeof(out->resp));
	assert_in_range(out->resp.num_descs, 1, sizeof(out->list) / sizeof(out->list[0]));
	for (unsigned i = 0; i < out->resp.num_descs; i++) {
		struct capability *k = &out->list[i];
		const size_t head = offsetof(struct capability, rate);

		memcpy(k, at, head);
		assert_in_range(k->frame.num_rates, 0, 1);
		at += head;
		memcpy(&k->rate, at, k->frame.num_rates * sizeof(k->rate));
		at += k->frame.num_rates * sizeof(k->rate);
	}
}

static void check_capabilities(struct capabilities *c, uint32_t count, uint32_t others, bool encoder)
{
	assert_int_equal(c->resp.num_descs, count);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(c->list[i].desc.mask, (1u << others) - 1);
		assert_int_equal(c->list[i].desc.planes_layout, VIRTIO_VIDEO_PLANES_LAYOUT_SINGLE_BUFFER);
		assert_int_equal(c->list[i].desc.num_frames, 1);
		assert_int_equal(c->list[i].frame.num_rates, encoder ? 1 : 0);
		assert_true(c->list[i].frame.width.min <= 64 && c->list[i].frame.width.max >= 4096);
		assert_int_equal(c->list[i].frame.width.step, encoder ? 2 : 1);
		assert_true(!encoder || (c->list[i].rate.min <= 30 && c->list[i].rate.max >= 60));
	}
}

static void capabilities_name_all_formats(void **state)
{
	(void)state;
	for (unsigned encoder = 0; encoder < 2; encoder++) {
		struct video_world *w = video_world_create(&(struct video_world_options){.encoder = encoder});
		struct capabilities c;

		/* Encoders make no MPEG-2 and MPEG-4. */
		const uint32_t coded = encoder ? 4 : 6, pictures = w->agl ? 7 : 5;

		query(w, encoder ? VIDEO_OUT : VIDEO_IN, &c);
		check_capabilities(&c, coded, pictures, encoder);
		assert_int_equal(c.list[0].desc.format, H264);
		assert_int_equal(c.list[3].desc.format, VIRTIO_VIDEO_FORMAT_VP9);
		if (!encoder)
			assert_int_equal(c.list[5].desc.format, VIRTIO_VIDEO_FORMAT_MPEG4);
		query(w, encoder ? VIDEO_IN : VIDEO_OUT, &c);
		check_capabilities(&c, pictures, coded, encoder);
		assert_int_equal(c.list[0].desc.format, video_format_number(w, NV12));
		for (uint32_t i = 0; i < pictures; i++)
			assert_in_range(c.list[i].desc.format, 1, pictures);
		video_world_destroy(w);
	}
}

static void config_space_says_how_long_answers_are(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct virtio_video_config c;

	(void)state;
	fake_guest_read_config(w->guest, 0, &c, sizeof(c));
	assert_int_equal(c.version, 0);
	assert_int_equal(c.max_caps_length, 1024);
	assert_int_equal(c.max_resp_length, 1024);
	assert_string_equal((char *)c.device_name, "mullion decoder");
	video_world_destroy(w);
}

static void an_answer_without_room_is_an_error_and_the_queue_goes_on(void **state)
{
	struct video_world *w = video_world_create(NULL);
	struct virtio_video_query_capability c = {.queue_type = VIDEO_IN};
	struct virtio_video_cmd_hdr header = {VIRTIO_VIDEO_CMD_QUERY_CAPABILITY, 0};
	uint8_t answer[64];
	uint32_t used;

	(void)state;
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_QUERY_CAPABILITY, 0, &c, sizeof(c), answer, 40), INVALID_PARAMETER);
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_QUERY_CAPABILITY, 0, &c, sizeof(c), answer, 8), INVALID_PARAMETER);
	/* Not even a header fits. */
	c.hdr = header;
	assert_int_equal(fake_guest_request(w->guest, 0, &c, sizeof(c), answer, 7, &used), 0);
	assert_int_equal(used, 0);
	assert_int_equal(fake_guest_request(w->guest, 0, &c, sizeof(c), NULL, 0, &used), 0);
	assert_int_equal(video_create_stream(w, 1, H264), VIDEO_OK);
	video_world_destroy(w);
}

/* ---- form ---- */

static void short_and_unknown_commands_are_refused(void **state)
{
	/* 0: the dialect has no such command. */
	static const struct {
		uint32_t type;
		size_t bytes, agl_bytes;
	} commands[] = {
		{VIRTIO_VIDEO_CMD_QUERY_CAPABILITY, 16, 16},	 {VIRTIO_VIDEO_CMD_STREAM_CREATE, 88, 88},
		{VIRTIO_VIDEO_CMD_RESOURCE_CREATE, 88, 24},	 {VIRTIO_VIDEO_CMD_RESOURCE_QUEUE, 64, 64},
		{VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 16, 16}, {VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 16, 16},
		{VIRTIO_VIDEO_CMD_GET_PARAMS, 16, 16},		 {VIRTIO_VIDEO_CMD_SET_PARAMS, 120, 120},
		{VIRTIO_VIDEO_CMD_GET_PARAMS_EXT, 16, 0},	 {VIRTIO_VIDEO_CMD_SET_PARAMS_EXT, 128, 0},
		{VIRTIO_VIDEO_CMD_QUERY_CONTROL, 16, 16},	 {VIRTIO_VIDEO_CMD_GET_CONTROL, 16, 16},
		{VIRTIO_VIDEO_CMD_SET_CONTROL, 16, 16},
	};
	struct video_world *w = with_stream(NULL);
	uint8_t request[256] = {0}, answer[1024];
	struct virtio_video_cmd_hdr got;
	uint32_t used;

	(void)state;
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const size_t bytes = w->agl ? commands[i].agl_bytes : commands[i].bytes;

		/* A queue is there, so it is the length that is wrong. */
		request[9] = 1;
		assert_int_equal(video_send(w, commands[i].type, 1, request, bytes ? bytes - 1 : 128, answer, sizeof(answer)),
				 bytes ? INVALID_PARAMETER : INVALID_OPERATION);
	}
	assert_int_equal(video_send(w, 0x10f, 1, request, sizeof(request), NULL, 0), INVALID_OPERATION);
	assert_int_equal(video_send(w, 0, 1, request, sizeof(request), NULL, 0), INVALID_OPERATION);
	for (size_t n = 0; n < 8; n++) {
		assert_int_equal(fake_guest_request(w->guest, 0, request, n, &got, sizeof(got), &used), 0);
		assert_int_equal(used, 8);
		assert_int_equal(got.type, INVALID_PARAMETER);
	}
	video_world_destroy(w);
}

static void queue_types_are_checked(void **state)
{
	static const uint32_t commands[] = {
		VIRTIO_VIDEO_CMD_QUERY_CAPABILITY, VIRTIO_VIDEO_CMD_RESOURCE_CREATE,  VIRTIO_VIDEO_CMD_RESOURCE_QUEUE,
		VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, VIRTIO_VIDEO_CMD_QUEUE_CLEAR,  VIRTIO_VIDEO_CMD_GET_PARAMS,
		VIRTIO_VIDEO_CMD_SET_PARAMS,	   VIRTIO_VIDEO_CMD_GET_PARAMS_EXT,   VIRTIO_VIDEO_CMD_SET_PARAMS_EXT,
	};
	struct video_world *w = with_stream(NULL);

	(void)state;
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (w->agl && commands[i] >= VIRTIO_VIDEO_CMD_GET_PARAMS_EXT)
			continue;
		for (uint32_t queue = 0; queue <= 0x102; queue += queue == 0 ? 0xff : 3) {
			uint32_t request[64] = {0, 0, queue};

			assert_int_equal(video_send(w, commands[i], 1, request, sizeof(request), NULL, 0), INVALID_PARAMETER);
		}
	}
	video_world_destroy(w);
}

static void a_stream_that_is_not_there_is_named(void **state)
{
	struct video_world *w = with_stream(NULL);
	uint32_t request[64] = {0, 0, VIDEO_IN};

	(void)state;
	for (uint32_t type = VIRTIO_VIDEO_CMD_STREAM_DESTROY; type <= VIRTIO_VIDEO_CMD_SET_PARAMS_EXT; type++) {
		uint32_t expect = type == VIRTIO_VIDEO_CMD_QUERY_CONTROL ? UNSUPPORTED_CONTROL : INVALID_STREAM;

		if (w->agl && type >= VIRTIO_VIDEO_CMD_GET_PARAMS_EXT)
			expect = INVALID_OPERATION;
		request[2] = VIDEO_IN;
		if (type == VIRTIO_VIDEO_CMD_RESOURCE_CREATE) {
			request[4] = 1;
			request[5] = 1;
		}
		assert_int_equal(video_send(w, type, 2, request, sizeof(request), NULL, 0), expect);
		memset(request, 0, sizeof(request));
	}
	video_world_destroy(w);
}

/* ---- streams ---- */

static void streams_are_made_once_and_from_what_is_offered(void **state)
{
	struct video_world *w = with_stream(NULL);
	struct virtio_video_stream_create c = {.coded_format = H264};

	(void)state;
	assert_int_equal(video_create_stream(w, 1, H264), INVALID_STREAM);
	assert_int_equal(video_create_stream(w, 0, VIRTIO_VIDEO_FORMAT_VP8), VIDEO_OK);
	assert_int_equal(video_create_stream(w, 0xffffffff, VIRTIO_VIDEO_FORMAT_HEVC), VIDEO_OK);
	assert_int_equal(video_create_stream(w, 3, NV12), INVALID_PARAMETER);
	assert_int_equal(video_create_stream(w, 3, 0x1234), INVALID_PARAMETER);
	c.in_mem_type = 2;
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_STREAM_CREATE, 3, &c, sizeof(c), NULL, 0), INVALID_PARAMETER);
	c.in_mem_type = 0;
	c.out_mem_type = 2;
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_STREAM_CREATE, 3, &c, sizeof(c), NULL, 0), INVALID_PARAMETER);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), INVALID_STREAM);
	assert_int_equal(video_create_stream(w, 1, H264), VIDEO_OK);
	video_world_destroy(w);
}

/* ChromeOS's driver asks for objects always, and looks at what it got. */
static void a_stream_with_objects_that_are_not_offered_has_guest_pages(void **state)
{
	struct video_world *w = with_stream(NULL);
	struct virtio_video_stream_create c = {.coded_format = H264,
					       .in_mem_type = VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT,
					       .out_mem_type = VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT};

	(void)state;
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_STREAM_CREATE, 3, &c, sizeof(c), NULL, 0), VIDEO_OK);
	for (uint32_t queue = VIDEO_IN; queue <= VIDEO_OUT; queue++) {
		struct virtio_video_get_params get = {.queue_type = queue};
		struct virtio_video_get_params_ext_resp got;

		assert_int_equal(video_create_buffer(w, 3, queue, 1, 4096, NULL), VIDEO_OK);
		if (w->agl)
			continue;
		assert_int_equal(
			video_send(w, VIRTIO_VIDEO_CMD_GET_PARAMS_EXT, 3, &get, sizeof(get), &got, sizeof(got)),
			VIRTIO_VIDEO_RESP_OK_GET_PARAMS);
		assert_int_equal(got.params.resource_type, VIRTIO_VIDEO_MEM_TYPE_GUEST_PAGES);
	}
	video_world_destroy(w);
}

static void limits_answer_out_of_memory(void **state)
{
	struct video_world *w = video_world_create(
		&(struct video_world_options){.streams = 2, .buffers = 3, .buffer_bytes = 100000});

	(void)state;
	assert_int_equal(video_create_stream(w, 1, H264), VIDEO_OK);
	assert_int_equal(video_create_stream(w, 2, H264), VIDEO_OK);
	assert_int_equal(video_create_stream(w, 3, H264), OUT_OF_MEMORY);
	for (uint32_t id = 0; id < 3; id++)
		assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, id, 1000, NULL), VIDEO_OK);
	assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, 3, 1000, NULL), OUT_OF_MEMORY);
	assert_int_equal(video_create_buffer(w, 1, VIDEO_OUT, 3, 97001, NULL), OUT_OF_MEMORY);
	assert_int_equal(video_create_buffer(w, 1, VIDEO_OUT, 3, 97000, NULL), VIDEO_OK);
	assert_int_equal(video_create_buffer(w, 2, VIDEO_OUT, 1, 1, NULL), OUT_OF_MEMORY);
	/* One that is made anew counts once, and if it can't be made the old one counts. */
	assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, 2, 1000, NULL), VIDEO_OK);
	assert_int_equal(video_create_buffer(w, 1, VIDEO_OUT, 3, 97001, NULL), OUT_OF_MEMORY);
	assert_int_equal(video_create_buffer(w, 1, VIDEO_OUT, 3, 97000, NULL), VIDEO_OK);
	assert_int_equal(video_create_buffer(w, 2, VIDEO_OUT, 1, 1, NULL), OUT_OF_MEMORY);
	/* What is given back can be used again. */
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_OUT), VIDEO_OK);
	assert_int_equal(video_create_buffer(w, 2, VIDEO_OUT, 1, 97000, NULL), VIDEO_OK);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 2), VIDEO_OK);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
	assert_int_equal(video_create_stream(w, 9, H264), VIDEO_OK);
	assert_int_equal(video_create_buffer(w, 9, VIDEO_OUT, 1, 100000, NULL), VIDEO_OK);
	video_world_destroy(w);
}

static uint32_t queue_code(struct video_world *w, uint32_t queue, uint32_t id, uint32_t bytes)
{
	return video_wait(w, video_queue(w, 1, queue, id, bytes, 0)).hdr.type;
}

/* More pieces than a buffer may have, and more coded data than is looked at at once; both fit into the guest's memory. */
static void pieces_and_coded_data_have_limits(void **state)
{
	enum { PIECE = 4 << 20, PIECES = 9, MOST = 32 << 20 };
	struct video_world *w = with_stream(&(struct video_world_options){.buffer_entries = PIECES});
	struct virtio_video_mem_entry entries[PIECES + 1];

	(void)state;
	entries[0] = (struct virtio_video_mem_entry){.addr = fake_guest_alloc(w->guest, PIECE, 4096), .length = PIECE};
	for (unsigned i = 1; i <= PIECES; i++)
		entries[i] = entries[0];
	assert_int_equal(video_create_scattered(w, 1, VIDEO_IN, 1, entries, PIECES + 1), OUT_OF_MEMORY);
	assert_int_equal(video_create_scattered(w, 1, VIDEO_IN, 1, entries, PIECES), VIDEO_OK);
	assert_int_equal(queue_code(w, VIDEO_IN, 1, MOST + 1), OUT_OF_MEMORY);
	assert_int_equal(queue_code(w, VIDEO_IN, 1, MOST), VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE);
	video_world_destroy(w);
}

/* ---- resources ---- */

static void memory_of_resources_is_checked(void **state)
{
	struct video_world *w = with_stream(NULL);
	const uint64_t low = fake_guest_alloc(w->guest, 4096, 4096), high = fake_guest_alloc_high(w->guest, 100, 1);
	const struct {
		uint32_t queue, id, planes, entries[9];
		struct virtio_video_mem_entry list[9];
		uint32_t code;
	} cases[] = {
		{VIDEO_IN, 5, 1, {2}, {{low, 4096, 0}, {1ull << 60, 16, 0}}, INVALID_PARAMETER},
		{VIDEO_IN, 5, 1, {2}, {{low, 4096, 0}, {~0ull, 0xffffffff, 0}}, INVALID_PARAMETER},
		{VIDEO_IN, 5, 1, {2}, {{low, 4096, 0}, {low, 0, 0}}, INVALID_PARAMETER},
		{VIDEO_IN, 5, 2, {1, 1}, {{low, 4096, 0}, {high, 1ul << 30, 0}}, INVALID_PARAMETER},
		{VIDEO_IN, 5, 1, {0}, {{0}}, INVALID_PARAMETER},
		{VIDEO_IN, 5, 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {{low, 1, 0}, {low, 1, 0}, {low, 1, 0}, {low, 1, 0}, {low, 1, 0},
		 {low, 1, 0}, {low, 1, 0}, {low, 1, 0}, {low, 1, 0}}, INVALID_PARAMETER},
		{VIDEO_IN, 5, 1, {2}, {{low, 4096, 0}, {high, 100, 0}}, VIDEO_OK},
		/* Again, with other memory: Linux drivers do that. */
		{VIDEO_IN, 5, 1, {1}, {{low, 4096, 0}}, VIDEO_OK},
		/* The two queues have numbers of their own. */
		{VIDEO_OUT, 5, 1, {2}, {{low, 4096, 0}, {high, 100, 0}}, VIDEO_OK},
		{VIDEO_OUT, 6, 2, {1, 1}, {{low, 4096, 0}, {high, 100, 0}}, VIDEO_OK},
		{VIDEO_OUT, 7, 8, {1, 1, 1, 1, 1, 1, 1, 1}, {{low, 1, 0}, {low, 1, 0}, {low, 1, 0}, {low, 1, 0}, {low, 1, 0},
		 {low, 1, 0}, {low, 1, 0}, {low, 1, 0}}, VIDEO_OK},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t code = video_create_planes(w, 1, cases[i].queue, cases[i].id, cases[i].planes, cases[i].entries,
						    cases[i].list);

		if (code != cases[i].code)
			fail_msg("case %u: 0x%x", i, code);
	}
	video_world_destroy(w);
}

static uint32_t create(struct video_world *w, struct virtio_video_resource_create *c,
		       const struct virtio_video_mem_entry *entries, uint32_t count)
{
	uint8_t request[sizeof(*c) + 16 * sizeof(*entries)];

	memcpy(request, c, sizeof(*c));
	memcpy(request + sizeof(*c), entries, count * sizeof(*entries));
	return video_send(w, VIRTIO_VIDEO_CMD_RESOURCE_CREATE, 1, request, sizeof(*c) + count * sizeof(*entries), NULL, 0);
}

/* What only dialect chromeos can say. */
static void layouts_and_counts_are_checked(void **state)
{
	struct video_world *w = with_stream(&(struct video_world_options){.dialect = &video_dialect_chromeos});
	const struct virtio_video_resource_create good = {
		.queue_type = VIDEO_IN, .resource_id = 5, .planes_layout = 1, .num_planes = 1, .num_entries = {2}};
	struct virtio_video_mem_entry entries[2] = {{.addr = fake_guest_alloc(w->guest, 4096, 4096), .length = 4096},
						    {.addr = fake_guest_alloc_high(w->guest, 100, 1), .length = 100}};
	static const struct {
		size_t offset; /* of the word that is wrong */
		uint32_t value;
	} cases[] = {
		{offsetof(struct virtio_video_resource_create, num_entries), 0},
		{offsetof(struct virtio_video_resource_create, num_entries), 3},
		{offsetof(struct virtio_video_resource_create, num_entries), 0xffffffff},
		{offsetof(struct virtio_video_resource_create, num_planes), 0},
		{offsetof(struct virtio_video_resource_create, num_planes), 9},
		{offsetof(struct virtio_video_resource_create, planes_layout), 0},
		{offsetof(struct virtio_video_resource_create, planes_layout), 3},
		{offsetof(struct virtio_video_resource_create, plane_offsets), 4196},
	};
	struct virtio_video_resource_create c;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		c = good;
		memcpy((char *)&c + cases[i].offset, &cases[i].value, sizeof(cases[i].value));
		assert_int_equal(create(w, &c, entries, 2), INVALID_PARAMETER);
	}
	c = good;
	assert_int_equal(create(w, &c, entries, 2), VIDEO_OK);
	video_world_destroy(w);
}

/* What only dialect agl can say: lists that are longer than the request, and half a header behind the last. */
static void lists_are_checked(void **state)
{
	struct video_world *w = with_stream(&(struct video_world_options){.dialect = &video_dialect_agl});
	struct {
		struct virtio_video_agl_resource_attach c;
		struct virtio_video_agl_list list;
		struct virtio_video_mem_entry entry;
		struct virtio_video_agl_list second;
	} r = {.c = {.queue_type = VIDEO_IN, .resource_id = 5}, .entry = {.addr = fake_guest_alloc(w->guest, 64, 64), .length = 64}};
	const size_t one = sizeof(r) - sizeof(r.second);

	(void)state;
	for (uint32_t n = 0; n < 4; n++) {
		r.list.num_entries = n == 3 ? 0xffffffff : n;
		if (n != 1)
			assert_int_equal(video_send(w, VIRTIO_VIDEO_AGL_CMD_RESOURCE_ATTACH, 1, &r, one, NULL, 0), INVALID_PARAMETER);
	}
	r.list.num_entries = 1;
	for (size_t more = 1; more <= sizeof(r.second); more++)
		assert_int_equal(video_send(w, VIRTIO_VIDEO_AGL_CMD_RESOURCE_ATTACH, 1, &r, one + more, NULL, 0), INVALID_PARAMETER);
	assert_int_equal(video_send(w, VIRTIO_VIDEO_AGL_CMD_RESOURCE_ATTACH, 1, &r, one, NULL, 0), VIDEO_OK);
	video_world_destroy(w);
}

static void queueing_is_checked(void **state)
{
	struct video_world *w = with_stream(NULL);
	struct virtio_video_resource_queue c = {.queue_type = VIDEO_IN, .resource_id = 1};
	struct virtio_video_agl_resource_queue a = {.queue_type = VIDEO_IN, .resource_id = 1};
	struct fake_request *r;

	(void)state;
	assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, 1, 1000, NULL), VIDEO_OK);
	assert_int_equal(video_create_buffer(w, 1, VIDEO_OUT, 1, 640 * 480 * 3 / 2, NULL), VIDEO_OK);
	assert_int_equal(queue_code(w, VIDEO_IN, 2, 10), INVALID_RESOURCE);
	assert_int_equal(queue_code(w, VIDEO_OUT, 2, 0), INVALID_RESOURCE);
	assert_int_equal(queue_code(w, VIDEO_IN, 1, 1001), INVALID_PARAMETER);
	for (uint32_t sizes = 0; sizes <= 9; sizes += sizes == 0 ? 2 : 7) {
		c.num_data_sizes = sizes;
		if (!w->agl)
			assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_RESOURCE_QUEUE, 1, &c, sizeof(c), NULL, 0), INVALID_PARAMETER);
	}
	for (uint32_t flags = 2; w->agl && flags != 0; flags <<= 1) {
		a.flags = flags;
		assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_RESOURCE_QUEUE, 1, &a, sizeof(a), NULL, 0), INVALID_PARAMETER);
	}
	/* No room for the answer. */
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_RESOURCE_QUEUE, 1, &c, sizeof(c), &(uint64_t){0}, 8),
			 INVALID_PARAMETER);
	r = video_queue(w, 1, VIDEO_OUT, 1, 0, 0);
	video_settle(w);
	assert_false(r->done);
	assert_int_equal(queue_code(w, VIDEO_OUT, 1, 0), INVALID_PARAMETER);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	assert_int_equal(video_wait(w, r).flags, video_flags(w, VIRTIO_VIDEO_BUFFER_FLAG_ERR));
	/* An empty input buffer comes back as it went. */
	assert_int_equal(queue_code(w, VIDEO_IN, 1, 0), VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE);
	video_world_destroy(w);
}

/* ---- parameters ---- */

static uint32_t set(struct video_world *w, const struct virtio_video_params *p)
{
	struct virtio_video_set_params c = {.params = *p};

	return video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &c, sizeof(c), NULL, 0);
}

static void both_pairs_of_params_say_the_same(void **state)
{
	struct video_world *w = with_stream(NULL);
	struct virtio_video_get_params c = {.queue_type = VIDEO_OUT};
	struct virtio_video_get_params_resp plain;
	struct virtio_video_get_params_ext_resp ext;

	(void)state;
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_GET_PARAMS, 1, &c, sizeof(c), &plain, sizeof(plain)),
			 VIRTIO_VIDEO_RESP_OK_GET_PARAMS);
	assert_int_equal(plain.params.queue_type, VIDEO_OUT);
	assert_int_equal(plain.params.format, video_format_number(w, NV12));
	assert_int_equal(plain.params.num_planes, w->agl ? 1 : 2);
	assert_int_equal(plain.params.plane_formats[0].stride, 640);
	assert_int_equal(plain.params.plane_formats[0].plane_size, w->agl ? 640 * 720 : 640 * 480);
	assert_int_equal(plain.params.plane_formats[1].stride, w->agl ? 0 : 640);
	assert_int_equal(plain.params.plane_formats[1].plane_size, w->agl ? 0 : 640 * 240);
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_GET_PARAMS_EXT, 1, &c, sizeof(c), &ext, sizeof(ext)),
			 w->agl ? INVALID_OPERATION : VIRTIO_VIDEO_RESP_OK_GET_PARAMS);
	if (!w->agl) {
		assert_memory_equal(&plain.params, &ext.params.base, sizeof(plain.params));
		assert_int_equal(ext.params.resource_type, VIRTIO_VIDEO_MEM_TYPE_GUEST_PAGES);
		/* No room for the longer one. */
		assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_GET_PARAMS_EXT, 1, &c, sizeof(c), &plain, sizeof(plain)),
				 INVALID_PARAMETER);
	}
	/* Nor for half of the shorter. */
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_GET_PARAMS, 1, &c, sizeof(c), &plain, sizeof(plain) - 1),
			 INVALID_PARAMETER);
	video_world_destroy(w);
}

static void a_decoder_adjusts_what_is_set(void **state)
{
	struct video_world *w = with_stream(NULL);
	struct virtio_video_set_params_ext ext = {.params.resource_type = 1};
	struct virtio_video_params p, q;

	(void)state;
	video_read_params(w, 1, VIDEO_IN, &p);
	assert_int_equal(p.format, H264);
	assert_int_equal(p.num_planes, 1);
	p.format = VIRTIO_VIDEO_FORMAT_VP8;
	p.plane_formats[0].plane_size = 12345;
	assert_int_equal(set(w, &p), VIDEO_OK);
	video_read_params(w, 1, VIDEO_IN, &q);
	assert_int_equal(q.format, VIRTIO_VIDEO_FORMAT_VP8);
	assert_int_equal(q.plane_formats[0].plane_size, 12345);
	p.format = NV12;
	assert_int_equal(set(w, &p), INVALID_PARAMETER);
	p.num_planes = 9;
	assert_int_equal(set(w, &p), INVALID_PARAMETER);

	video_read_params(w, 1, VIDEO_OUT, &p);
	p.format = video_format_number(w, VIRTIO_VIDEO_FORMAT_YUV420);
	p.frame_width = 4000;
	assert_int_equal(set(w, &p), VIDEO_OK);
	video_read_params(w, 1, VIDEO_OUT, &q);
	assert_int_equal(q.format, video_format_number(w, VIRTIO_VIDEO_FORMAT_YUV420));
	assert_int_equal(q.num_planes, w->agl ? 1 : 3);
	assert_int_equal(q.plane_formats[0].stride, 640);
	assert_int_equal(q.frame_width, 640); /* the bitstream's business */
	p.format = 99;
	assert_int_equal(set(w, &p), VIDEO_OK);
	video_read_params(w, 1, VIDEO_OUT, &q);
	assert_int_equal(q.format, video_format_number(w, VIRTIO_VIDEO_FORMAT_YUV420));

	ext.params.base = q;
	for (uint32_t type = 0; !w->agl && type < 3; type++) {
		ext.params.resource_type = type;
		assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS_EXT, 1, &ext, sizeof(ext), NULL, 0),
				 type == 0 ? VIDEO_OK : INVALID_PARAMETER);
	}
	/* Not under the buffers that were made by them. */
	assert_int_equal(video_create_buffer(w, 1, VIDEO_OUT, 1, 4096, NULL), VIDEO_OK);
	assert_int_equal(set(w, &q), INVALID_PARAMETER);
	assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, 1, 4096, NULL), VIDEO_OK);
	video_read_params(w, 1, VIDEO_IN, &q);
	assert_int_equal(set(w, &q), INVALID_PARAMETER);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_IN), VIDEO_OK);
	assert_int_equal(set(w, &q), VIDEO_OK);
	video_world_destroy(w);
}

static void an_encoder_takes_size_and_rate(void **state)
{
	struct video_world *w = with_stream(&(struct video_world_options){.encoder = true});
	struct virtio_video_params p, q;

	(void)state;
	video_read_params(w, 1, VIDEO_IN, &p);
	assert_int_equal(p.frame_rate, 30);
	p.frame_width = 1921;
	p.frame_height = 5;
	p.frame_rate = 50;
	assert_int_equal(set(w, &p), VIDEO_OK);
	video_read_params(w, 1, VIDEO_IN, &q);
	assert_int_equal(q.frame_width, 1920);
	assert_int_equal(q.frame_height, 32);
	assert_int_equal(q.frame_rate, 50);
	assert_int_equal(q.num_planes, w->agl ? 1 : 2);
	assert_int_equal(q.plane_formats[0].plane_size, w->agl ? 1920 * 48 : 1920 * 32);
	video_read_params(w, 1, VIDEO_OUT, &q);
	assert_int_equal(q.format, H264);
	assert_int_equal(q.frame_width, 1920);
	assert_true(q.plane_formats[0].plane_size >= 1920 * 32);
	/* A picture must fit into an input buffer. */
	assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, 1, 1920 * 48 - 1, NULL), VIDEO_OK);
	assert_int_equal(queue_code(w, VIDEO_IN, 1, 1920 * 48 - 1), INVALID_PARAMETER);
	video_world_destroy(w);
}

/* ---- controls ---- */

static uint32_t query_control(struct video_world *w, uint32_t control, uint32_t format, uint32_t *values, uint32_t *count)
{
	struct {
		struct virtio_video_query_control c;
		struct virtio_video_query_control_format f;
	} request = {.c.control = control, .f.format = format};
	struct {
		struct virtio_video_query_control_resp r;
		uint32_t values[32];
	} answer;
	uint32_t code =
		video_send(w, VIRTIO_VIDEO_CMD_QUERY_CONTROL, 0, &request, sizeof(request), &answer, sizeof(answer));

	if (code == VIRTIO_VIDEO_RESP_OK_QUERY_CONTROL && values) {
		*count = answer.r.num;
		memcpy(values, answer.values, answer.r.num * sizeof(*values));
	}
	return code;
}

static uint32_t get_control(struct video_world *w, uint32_t control, uint32_t *value)
{
	struct virtio_video_get_control c = {.control = control};
	struct virtio_video_get_control_resp r;
	uint32_t code = video_send(w, VIRTIO_VIDEO_CMD_GET_CONTROL, 1, &c, sizeof(c), &r, sizeof(r));

	if (code == VIRTIO_VIDEO_RESP_OK_GET_CONTROL)
		*value = r.value.value;
	return code;
}

static uint32_t set_control(struct video_world *w, uint32_t control, uint32_t value)
{
	struct {
		struct virtio_video_set_control c;
		struct virtio_video_control_value v;
	} request = {.c.control = control, .v.value = value};

	return video_send(w, VIRTIO_VIDEO_CMD_SET_CONTROL, 1, &request, sizeof(request), NULL, 0);
}

static void controls_can_be_asked_for(void **state)
{
	struct video_world *w = with_stream(NULL);
	struct virtio_video_query_control c = {.control = VIRTIO_VIDEO_CONTROL_PROFILE};
	uint32_t values[32], count;

	(void)state;
	assert_int_equal(query_control(w, VIRTIO_VIDEO_CONTROL_PROFILE, H264, values, &count),
			 VIRTIO_VIDEO_RESP_OK_QUERY_CONTROL);
	assert_int_equal(count, 4);
	assert_int_equal(values[0], VIRTIO_VIDEO_PROFILE_H264_BASELINE);
	assert_int_equal(values[3], VIRTIO_VIDEO_PROFILE_H264_HIGH10);
	assert_int_equal(query_control(w, VIRTIO_VIDEO_CONTROL_LEVEL, H264, values, &count),
			 VIRTIO_VIDEO_RESP_OK_QUERY_CONTROL);
	assert_int_equal(count, 15);
	assert_int_equal(values[14], VIRTIO_VIDEO_LEVEL_H264_5_1);
	assert_int_equal(query_control(w, VIRTIO_VIDEO_CONTROL_LEVEL, VIRTIO_VIDEO_FORMAT_VP8, NULL, NULL),
			 UNSUPPORTED_CONTROL);
	assert_int_equal(query_control(w, VIRTIO_VIDEO_CONTROL_LEVEL, NV12, NULL, NULL), INVALID_PARAMETER);
	assert_int_equal(query_control(w, VIRTIO_VIDEO_CONTROL_BITRATE, H264, NULL, NULL), UNSUPPORTED_CONTROL);
	assert_int_equal(query_control(w, 99, H264, NULL, NULL), UNSUPPORTED_CONTROL);
	/* Without a format. */
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_QUERY_CONTROL, 0, &c, sizeof(c), NULL, 0), INVALID_PARAMETER);
	video_world_destroy(w);
}

static void a_decoder_has_a_profile_and_nothing_to_set(void **state)
{
	struct video_world *w = with_stream(NULL);
	uint32_t value;

	(void)state;
	assert_int_equal(get_control(w, VIRTIO_VIDEO_CONTROL_PROFILE, &value), VIRTIO_VIDEO_RESP_OK_GET_CONTROL);
	assert_int_equal(value, VIRTIO_VIDEO_PROFILE_H264_BASELINE);
	assert_int_equal(get_control(w, VIRTIO_VIDEO_CONTROL_LEVEL, &value), VIRTIO_VIDEO_RESP_OK_GET_CONTROL);
	assert_int_equal(get_control(w, VIRTIO_VIDEO_CONTROL_BITRATE, &value), UNSUPPORTED_CONTROL);
	assert_int_equal(get_control(w, 99, &value), UNSUPPORTED_CONTROL);
	assert_int_equal(set_control(w, VIRTIO_VIDEO_CONTROL_PROFILE, VIRTIO_VIDEO_PROFILE_H264_HIGH), INVALID_OPERATION);
	video_world_destroy(w);
}

static void an_encoder_remembers_its_controls(void **state)
{
	static const struct {
		uint32_t control, good, bad;
	} cases[] = {
		{VIRTIO_VIDEO_CONTROL_BITRATE, 2000000, 0},
		{VIRTIO_VIDEO_CONTROL_BITRATE_PEAK, 3000000, 1},
		{VIRTIO_VIDEO_CONTROL_BITRATE_MODE, VIRTIO_VIDEO_BITRATE_MODE_CBR, 2},
		{VIRTIO_VIDEO_CONTROL_PROFILE, VIRTIO_VIDEO_PROFILE_H264_HIGH, VIRTIO_VIDEO_PROFILE_HEVC_MAIN},
		{VIRTIO_VIDEO_CONTROL_LEVEL, VIRTIO_VIDEO_LEVEL_H264_5_1, VIRTIO_VIDEO_LEVEL_H264_5_1 + 1},
		{VIRTIO_VIDEO_CONTROL_PREPEND_SPSPPS_TO_IDR, 0, 2},
	};
	struct video_world *w = with_stream(&(struct video_world_options){.encoder = true});
	struct virtio_video_set_control c = {.control = VIRTIO_VIDEO_CONTROL_FORCE_KEYFRAME};
	uint32_t value;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (w->agl && cases[i].control > VIRTIO_VIDEO_CONTROL_LEVEL) {
			/* The dialect has three. */
			assert_int_equal(set_control(w, cases[i].control, cases[i].good), UNSUPPORTED_CONTROL);
			assert_int_equal(get_control(w, cases[i].control, &value), UNSUPPORTED_CONTROL);
			continue;
		}
		assert_int_equal(set_control(w, cases[i].control, cases[i].good), VIDEO_OK);
		assert_int_equal(set_control(w, cases[i].control, cases[i].bad), INVALID_PARAMETER);
		assert_int_equal(get_control(w, cases[i].control, &value), VIRTIO_VIDEO_RESP_OK_GET_CONTROL);
		assert_int_equal(value, cases[i].good);
	}
	/* A button: no value goes either way. */
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_CONTROL, 1, &c, sizeof(c), NULL, 0),
			 w->agl ? UNSUPPORTED_CONTROL : VIDEO_OK);
	assert_int_equal(get_control(w, VIRTIO_VIDEO_CONTROL_FORCE_KEYFRAME, &value),
			 w->agl ? UNSUPPORTED_CONTROL : INVALID_PARAMETER);
	c.control = VIRTIO_VIDEO_CONTROL_BITRATE;
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_CONTROL, 1, &c, sizeof(c), NULL, 0), INVALID_PARAMETER);
	assert_int_equal(set_control(w, 99, 1), UNSUPPORTED_CONTROL);
	/* A format without levels. */
	assert_int_equal(video_create_stream(w, 2, VIRTIO_VIDEO_FORMAT_VP8), VIDEO_OK);
	c.control = VIRTIO_VIDEO_CONTROL_LEVEL;
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_CONTROL, 2, &c, sizeof(c), NULL, 0), UNSUPPORTED_CONTROL);
	video_world_destroy(w);
}

/* ---- cut anywhere ---- */

static struct video_world *split_world;

static void send_create(void *arg)
{
	uint32_t *id = arg;
	struct virtio_video_mem_entry entries[2] = {{.addr = 0x1000, .length = 64}, {.addr = 0x2000, .length = 64}};

	assert_int_equal(video_create_scattered(split_world, 1, VIDEO_IN, ++*id, entries, 2), VIDEO_OK);
}

static void send_get_params(void *arg)
{
	struct virtio_video_params p;

	(void)arg;
	video_read_params(split_world, 1, VIDEO_OUT, &p);
	assert_int_equal(p.num_planes, split_world->agl ? 1 : 2);
	assert_int_equal(p.plane_formats[0].stride, 640);
}

static void requests_may_be_cut_at_every_byte(void **state)
{
	uint32_t id = 0;

	(void)state;
	split_world = with_stream(&(struct video_world_options){.buffers = 1000});
	fake_guest_split_each(split_world->guest, 0, sizeof(struct virtio_video_resource_create) + 32 + 128, send_create, &id);
	fake_guest_split_each(split_world->guest, 0, sizeof(struct virtio_video_get_params) + 128, send_get_params, NULL);
	video_world_destroy(split_world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capabilities_name_all_formats),
		cmocka_unit_test(config_space_says_how_long_answers_are),
		cmocka_unit_test(an_answer_without_room_is_an_error_and_the_queue_goes_on),
		cmocka_unit_test(short_and_unknown_commands_are_refused),
		cmocka_unit_test(queue_types_are_checked),
		cmocka_unit_test(a_stream_that_is_not_there_is_named),
		cmocka_unit_test(streams_are_made_once_and_from_what_is_offered),
		cmocka_unit_test(a_stream_with_objects_that_are_not_offered_has_guest_pages),
		cmocka_unit_test(limits_answer_out_of_memory),
		cmocka_unit_test(pieces_and_coded_data_have_limits),
		cmocka_unit_test(memory_of_resources_is_checked),
		cmocka_unit_test(layouts_and_counts_are_checked),
		cmocka_unit_test(lists_are_checked),
		cmocka_unit_test(queueing_is_checked),
		cmocka_unit_test(both_pairs_of_params_say_the_same),
		cmocka_unit_test(a_decoder_adjusts_what_is_set),
		cmocka_unit_test(an_encoder_takes_size_and_rate),
		cmocka_unit_test(controls_can_be_asked_for),
		cmocka_unit_test(a_decoder_has_a_profile_and_nothing_to_set),
		cmocka_unit_test(an_encoder_remembers_its_controls),
		cmocka_unit_test(requests_may_be_cut_at_every_byte),
	};

	return video_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
