// SPDX-License-Identifier: MIT
/*
 * From bytes to a command: what the decoder takes, what it refuses and with which words, cut anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "host/gpu/command.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"

#define BAD VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
#define UNSPEC VIRTIO_GPU_RESP_ERR_UNSPEC
#define ALL_FEATURES 0x1full

static const struct gpu_command_row rows[] = {
	{VIRTIO_GPU_CMD_SET_SCANOUT, "SET_SCANOUT", sizeof(struct virtio_gpu_set_scanout), 24, 0, GPU_ANY_FEATURES, NULL, false},
	{VIRTIO_GPU_CMD_SUBMIT_3D, "SUBMIT_3D", sizeof(struct virtio_gpu_cmd_submit), 24, 0, VIRTIO_GPU_F_VIRGL, NULL, false},
	{VIRTIO_GPU_CMD_GET_EDID, "GET_EDID", sizeof(struct virtio_gpu_cmd_get_edid), 1056, 0, VIRTIO_GPU_F_EDID, NULL, false},
	{VIRTIO_GPU_CMD_MOVE_CURSOR, "MOVE_CURSOR", sizeof(struct virtio_gpu_update_cursor), 0, 1, GPU_ANY_FEATURES, NULL, false},
	{0},
};

struct world {
	struct fake_guest *guest;
	struct echo *device;
	uint64_t features;
	/* What came of the last request. */
	struct gpu_command cmd;
	uint32_t code;
	uint8_t rest[64];
	size_t rest_bytes;
};

static void handle(struct echo *e, unsigned queue, struct chain *c)
{
	struct world *w = e->owner;

	w->code = gpu_command_decode(&w->cmd, c, queue, w->features, rows);
	w->rest_bytes = reader_left(w->cmd.rest);
	assert_true(w->rest_bytes <= sizeof(w->rest));
	assert_int_equal(reader_copy(w->cmd.rest, w->rest, w->rest_bytes), 0);
	chain_finish(c);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->guest = fake_guest_create(NULL);
	assert_int_equal(echo_create(fake_guest_loop(w->guest), fake_guest_mem(w->guest), &w->device), 0);
	w->device->handle = handle;
	w->device->owner = w;
	w->features = ALL_FEATURES;
	assert_int_equal(fake_guest_start(w->guest, &w->device->device), 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	virtio_device_destroy(&w->device->device);
	fake_guest_destroy(w->guest);
	free(w);
	return 0;
}

static uint32_t decode(struct world *w, unsigned queue, const void *request, size_t bytes, size_t room)
{
	uint8_t out[1100];

	w->code = 12345;
	assert_int_equal(fake_guest_request(w->guest, queue, request, bytes, out, room, NULL), 0);
	/* A refusal says why, whatever it is. */
	assert_true((w->code == 0) == (w->cmd.why[0] == '\0'));
	return w->code;
}

static void cut_once(void *arg)
{
	struct world *w = arg;
	struct {
		struct virtio_gpu_cmd_submit c;
		uint8_t commands[16];
	} request = {
		.c.hdr = {
			.type = VIRTIO_GPU_CMD_SUBMIT_3D, .flags = VIRTIO_GPU_FLAG_FENCE | VIRTIO_GPU_FLAG_INFO_RING_IDX,
			.fence_id = 0xfedcba9876543210, .ctx_id = 0x89abcdef, .ring_idx = 63,
		},
		.c.size = 16,
		.commands = "sixteen of bytes",
	};

	assert_int_equal(decode(w, 0, &request, sizeof(request), 24), 0);
	assert_ptr_equal(w->cmd.row, &rows[1]);
	assert_int_equal(w->cmd.type, VIRTIO_GPU_CMD_SUBMIT_3D);
	assert_true(w->cmd.fenced && w->cmd.has_ring);
	assert_true(w->cmd.fence_id == 0xfedcba9876543210);
	assert_int_equal(w->cmd.ctx_id, 0x89abcdef);
	assert_int_equal(w->cmd.ring_idx, 63);
	assert_int_equal(w->cmd.u.submit.size, 16);
	assert_int_equal(w->cmd.answer_room, 0);
	assert_int_equal(w->rest_bytes, 16);
	assert_memory_equal(w->rest, "sixteen of bytes", 16);
}

static void a_request_may_be_cut_anywhere(void **state)
{
	struct world *w = *state;

	fake_guest_split_each(w->guest, 0, sizeof(struct virtio_gpu_cmd_submit) + 16 + 24, cut_once, w);
}

static void flags_are_what_features_make_of_them(void **state)
{
	struct world *w = *state;
	struct virtio_gpu_set_scanout c = {.hdr = {.type = VIRTIO_GPU_CMD_SET_SCANOUT, .flags = 0xfffffffe, .ring_idx = 200}};

	/* Rings only with CONTEXT_INIT; unknown flags are nobody's business. */
	w->features = ALL_FEATURES & ~(1ull << VIRTIO_GPU_F_CONTEXT_INIT);
	assert_int_equal(decode(w, 0, &c, sizeof(c), 24), 0);
	assert_false(w->cmd.fenced || w->cmd.has_ring);
	w->features = ALL_FEATURES;
	assert_int_equal(decode(w, 0, &c, sizeof(c), 24), BAD);
	assert_false(w->cmd.has_ring);
	assert_string_equal(w->cmd.why, "ring index 200; 63 is the last");
}

static void what_is_wrong_is_said(void **state)
{
	struct world *w = *state;
	struct virtio_gpu_set_scanout c = {.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT};
	struct virtio_gpu_cmd_get_edid edid = {.hdr.type = VIRTIO_GPU_CMD_GET_EDID};
	char name[24];

	assert_int_equal(decode(w, 0, &c, 7, 24), BAD);
	assert_string_equal(w->cmd.why, "request of 7 bytes; a header has 24");
	assert_null(w->cmd.row);
	assert_int_equal(decode(w, 0, &c, 47, 24), BAD);
	assert_string_equal(w->cmd.why, "request of 47 bytes; the command has 48");
	assert_string_equal(gpu_command_name(&w->cmd, name, sizeof(name)), "SET_SCANOUT");
	assert_int_equal(decode(w, 0, &c, sizeof(c), 23), BAD);
	assert_int_equal(decode(w, 0, &edid, sizeof(edid), 1055), BAD);
	assert_string_equal(w->cmd.why, "1055 bytes for the answer; it has 1056");
	assert_int_equal(decode(w, 0, &edid, sizeof(edid), 1060), 0);
	assert_int_equal(w->cmd.answer_room, 1036);
	assert_int_equal(decode(w, 1, &edid, sizeof(edid), 1060), UNSPEC);
	assert_string_equal(w->cmd.why, "came on queue 1; send it on queue 0");
	w->features = 0;
	assert_int_equal(decode(w, 0, &edid, sizeof(edid), 1060), UNSPEC);
	assert_string_equal(w->cmd.why, "needs feature bit 1, which was not negotiated");
	c.hdr.type = 0x777;
	assert_int_equal(decode(w, 0, &c, sizeof(c), 24), UNSPEC);
	assert_string_equal(gpu_command_name(&w->cmd, name, sizeof(name)), "command 0x777");
	c.hdr.type = 0; /* the table's end is no command */
	assert_int_equal(decode(w, 0, &c, sizeof(c), 24), UNSPEC);
}

static void a_cursor_command_needs_no_room(void **state)
{
	struct world *w = *state;
	struct virtio_gpu_update_cursor c = {.hdr.type = VIRTIO_GPU_CMD_MOVE_CURSOR};

	assert_int_equal(decode(w, 1, &c, sizeof(c), 0), 0);
	assert_int_equal(decode(w, 1, &c, sizeof(c), 24), 0);
	assert_int_equal(decode(w, 1, &c, sizeof(c) - 1, 0), BAD);
	assert_int_equal(decode(w, 0, &c, sizeof(c), 24), UNSPEC);
}

static void rectangles_and_lengths_do_not_wrap(void **state)
{
	struct world *w = *state;
	struct virtio_gpu_set_scanout c = {.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT, .r = {1, 1, UINT32_MAX, 1}};
	struct {
		struct virtio_gpu_cmd_submit c;
		uint8_t commands[8];
	} submit = {.c.hdr.type = VIRTIO_GPU_CMD_SUBMIT_3D};

	assert_int_equal(decode(w, 0, &c, sizeof(c), 24), BAD);
	c.r = (struct virtio_gpu_rect){1, 1, 1, UINT32_MAX};
	assert_int_equal(decode(w, 0, &c, sizeof(c), 24), BAD);
	c.r = (struct virtio_gpu_rect){1, 1, UINT32_MAX - 1, UINT32_MAX - 1};
	assert_int_equal(decode(w, 0, &c, sizeof(c), 24), 0);
	for (uint32_t n = 0; n < 16; n++) {
		submit.c.size = n;
		assert_int_equal(decode(w, 0, &submit, sizeof(submit), 24), n % 4 == 0 && n <= 8 ? 0 : BAD);
	}
	submit.c.size = UINT32_MAX - 3;
	assert_int_equal(decode(w, 0, &submit, sizeof(submit), 24), BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_request_may_be_cut_anywhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(flags_are_what_features_make_of_them, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_said, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_cursor_command_needs_no_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rectangles_and_lengths_do_not_wrap, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
