// SPDX-License-Identifier: MIT
/*
 * What a careless or hostile guest sends to the virgl renderer: contexts that go with everything alive, resets in
 * the middle of drawing, streams that are cut or ask too much. The device answers and draws again afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/virtio_gpu.h"
#include "tests/lib/gpu3d.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define TARGET (VIRGL_BIND_RENDER_TARGET | VIRGL_BIND_SAMPLER_VIEW)
#define BGRA VIRGL_FORMAT_B8G8R8A8_UNORM
#define SIZE 32u

static const char vertex_shader[] = "VERT\n"
				    "DCL IN[0]\n"
				    "DCL IN[1]\n"
				    "DCL OUT[0], POSITION\n"
				    "DCL OUT[1], GENERIC[0]\n"
				    "  0: MOV OUT[0], IN[0]\n"
				    "  1: MOV OUT[1], IN[1]\n"
				    "  2: END\n";

static const char color_shader[] = "FRAG\n"
				   "DCL IN[0], GENERIC[0], PERSPECTIVE\n"
				   "DCL OUT[0], COLOR\n"
				   "  0: MOV OUT[0], IN[0]\n"
				   "  1: END\n";

static const float whole[3][8] = {{-1, 1, 0, 1, 0, 1, 1, 1}, {3, 1, 0, 1, 0, 1, 1, 1}, {-1, -3, 0, 1, 0, 1, 1, 1}};

static struct gpu3d *t;
static const char *no_gpu;

static int start(void **state)
{
	const struct fake_guest_options options = {.memory_bytes = 64u << 20};

	(void)state;
	if (gpu3d_create(&t, &options, "virgl", &no_gpu) < 0)
		t = NULL;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	gpu3d_destroy(t);
	return 0;
}

static int boot(void **state)
{
	(void)state;
	if (t)
		gpu3d_boot(t);
	return 0;
}

static void need_gpu(void)
{
	if (t)
		return;
	print_message("no 3D here: %s\n", no_gpu);
	skip();
}

/* A whole scene from nothing in the current context: true if all its pixels are right. */
static bool draws(uint32_t first_id)
{
	struct gpu3d_resource target = gpu3d_texture(t, first_id, BGRA, TARGET, SIZE, SIZE, 0);
	struct gpu3d_resource buffer = gpu3d_buffer(t, first_id + 1, VIRGL_BIND_VERTEX_BUFFER, sizeof(whole));

	memcpy(buffer.pages, whole, sizeof(whole));
	if (gpu3d_upload(t, &buffer) != OK)
		return false;
	gpu3d_plain_state(t);
	gpu3d_draw_to(t, 4, &target, BGRA);
	gpu3d_shaders(t, 5, vertex_shader, 6, color_shader);
	gpu3d_vertices(t, 7, &buffer, 2);
	virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 3);
	if (gpu3d_submit(t) != OK || gpu3d_read_back(t, &target) != OK)
		return false;
	for (size_t i = 0; i < target.bytes; i += 4)
		if (memcmp(target.pages + i, "\xff\xff\x00\xff", 4) != 0)
			return false;
	return true;
}

/* ---- cases ---- */

static void context_goes_with_everything_alive(void **state)
{
	(void)state;
	need_gpu();
	for (uint32_t ctx = 2; ctx < 12; ctx++) {
		assert_int_equal(gpu3d_context(t, ctx, 0), OK);
		t->ctx = ctx;
		assert_true(draws(ctx * 10));
		virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 3);
		assert_int_equal(gpu3d_submit(t), OK);
		assert_int_equal(gpu3d_context_destroy(t, ctx), OK);
	}
	/* Its resources live on, for others. */
	t->ctx = 1;
	assert_int_equal(gpu3d_attach(t, 20), OK);
	assert_true(draws(500));
}

static void resource_goes_while_bound(void **state)
{
	(void)state;
	need_gpu();
	assert_true(draws(10));
	assert_int_equal(gpu3d_unref(t, 10), OK);
	assert_int_equal(gpu3d_unref(t, 11), OK);
	/* Whatever this answers, the next context draws. */
	virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 3);
	gpu3d_submit(t);
	assert_int_equal(gpu3d_context(t, 2, 0), OK);
	t->ctx = 2;
	assert_true(draws(20));
}

static void reset_in_the_middle_of_drawing(void **state)
{
	struct fake_request *requests[8];

	(void)state;
	need_gpu();
	for (unsigned round = 0; round < 5; round++) {
		assert_true(draws(10));
		for (unsigned i = 0; i < 8; i++) {
			for (unsigned n = 0; n < 50; n++)
				virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 3);
			requests[i] = gpu3d_submit_async(t, i + 1, -1);
		}
		fake_guest_reset(t->guest);
		for (unsigned i = 0; i < 8; i++)
			fake_guest_free_request(t->guest, requests[i]);
		gpu3d_boot(t);
	}
	assert_true(draws(10));
}

static void cut_stream_is_refused_whole(void **state)
{
	const uint32_t color[4] = {VIRGL_FLOAT_1, 0, 0, VIRGL_FLOAT_1};
	struct gpu3d_resource r;

	(void)state;
	need_gpu();
	r = gpu3d_texture(t, 10, BGRA, TARGET, SIZE, SIZE, 0);
	gpu3d_draw_to(t, 4, &r, BGRA);
	virgl_clear(&t->stream, PIPE_CLEAR_COLOR0, color, 0, 0);
	assert_int_equal(gpu3d_submit(t), OK);
	virgl_clear(&t->stream, PIPE_CLEAR_COLOR0, (const uint32_t[4]){0}, 0, 0);
	virgl_clear(&t->stream, PIPE_CLEAR_COLOR0, (const uint32_t[4]){0}, 0, 0);
	t->stream.used--;
	assert_int_equal(gpu3d_submit(t), VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	assert_int_equal(gpu3d_read_back(t, &r), OK);
	assert_memory_equal(r.pages, "\x00\x00\xff\xff", 4);
}

static void sub_contexts_are_limited(void **state)
{
	(void)state;
	need_gpu();
	for (uint32_t id = 1; id <= 64; id++)
		virgl_create_sub_context(&t->stream, id);
	assert_int_equal(gpu3d_submit(t), OK);
	virgl_create_sub_context(&t->stream, 65);
	assert_int_equal(gpu3d_submit(t), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	virgl_destroy_sub_context(&t->stream, 64);
	virgl_create_sub_context(&t->stream, 66);
	assert_int_equal(gpu3d_submit(t), OK);
	virgl_set_sub_context(&t->stream, 1);
	assert_true(draws(10));
}

static void unfinished_shader_is_not_bound(void **state)
{
	const uint32_t part[8] = {VIRGL_HEADER(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_SHADER, 7),
				  6,
				  PIPE_SHADER_FRAGMENT,
				  1000,
				  100,
				  0,
				  0x47415246,
				  0x4c43440a};

	(void)state;
	need_gpu();
	assert_true(draws(10));
	memcpy(t->words, part, sizeof(part));
	t->words[1] = 40;
	t->stream.used = 8;
	virgl_bind_shader(&t->stream, PIPE_SHADER_FRAGMENT, 40);
	virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 3);
	assert_int_equal(gpu3d_submit(t), VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	/* Nothing of it was executed, so the text may start again. */
	memcpy(t->words, part, sizeof(part));
	t->words[1] = 40;
	t->stream.used = 8;
	assert_int_equal(gpu3d_submit(t), OK);
	virgl_bind_shader(&t->stream, PIPE_SHADER_FRAGMENT, 40);
	assert_int_equal(gpu3d_submit(t), VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	/* More memory than the limit. */
	memcpy(t->words, part, sizeof(part));
	t->words[2] = PIPE_SHADER_VERTEX;
	t->words[3] = 0x7fffffff;
	t->stream.used = 8;
	assert_int_equal(gpu3d_submit(t), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
}

/* The library stops at the first command that it refuses: what follows was announced, but not done. */
static void refused_stream_finishes_no_shader(void **state)
{
	const uint32_t part[8] = {VIRGL_HEADER(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_SHADER, 7),
				  40,
				  PIPE_SHADER_FRAGMENT,
				  16,
				  100,
				  0,
				  0x47415246,
				  0x4c43440a};

	(void)state;
	need_gpu();
	assert_true(draws(10));
	memcpy(t->words, part, sizeof(part));
	t->stream.used = 8;
	assert_int_equal(gpu3d_submit(t), OK);
	/* No command has this number; then the rest of the shader. */
	t->words[0] = 0xff;
	memcpy(t->words + 1, part, sizeof(part));
	t->words[4] = VIRGL_SHADER_CONTINUED | 8;
	t->stream.used = 9;
	assert_int_equal(gpu3d_submit(t), VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	/* Were it bound, the library would follow a null pointer. */
	virgl_bind_shader(&t->stream, PIPE_SHADER_FRAGMENT, 40);
	virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 3);
	assert_true(gpu3d_submit(t) >= VIRTIO_GPU_RESP_ERR_UNSPEC);
	/* That context is lost, others are not. */
	assert_int_equal(gpu3d_context(t, 2, 0), OK);
	t->ctx = 2;
	assert_true(draws(20));
}

static void nonsense_resources_are_refused(void **state)
{
	static const struct gpu_resource_shape shapes[] = {
		{.target = 99, .format = BGRA, .bind = TARGET, .width = 8, .height = 8, .depth = 1, .array_size = 1},
		{.target = 2, .format = 100000, .bind = TARGET, .width = 8, .height = 8, .depth = 1, .array_size = 1},
		{.target = 2,
		 .format = BGRA,
		 .bind = TARGET,
		 .width = 1u << 31,
		 .height = 1u << 31,
		 .depth = 1,
		 .array_size = 1},
		{.target = 2, .format = BGRA, .bind = TARGET, .width = 0, .height = 0, .depth = 1, .array_size = 1},
		{.target = 3,
		 .format = BGRA,
		 .bind = TARGET,
		 .width = 8,
		 .height = 8,
		 .depth = 0xffffffff,
		 .array_size = 1},
		{.target = 2,
		 .format = BGRA,
		 .bind = TARGET,
		 .width = 8,
		 .height = 8,
		 .depth = 1,
		 .array_size = 1,
		 .last_level = 90},
		{.target = 2,
		 .format = BGRA,
		 .bind = TARGET,
		 .width = 8,
		 .height = 8,
		 .depth = 1,
		 .array_size = 1,
		 .nr_samples = 0x80000000},
		{.target = 4, .format = BGRA, .bind = TARGET, .width = 8, .height = 9, .depth = 1, .array_size = 6},
		{.target = 0, .format = 64, .bind = 0, .width = 0xffffffff, .height = 1, .depth = 1, .array_size = 1},
	};

	(void)state;
	need_gpu();
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (gpu3d_resource(t, 100 + (uint32_t)i, &shapes[i]) < VIRTIO_GPU_RESP_ERR_UNSPEC)
			fail_msg("shape %zu was taken", i);
	assert_true(draws(10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(context_goes_with_everything_alive, boot),
		cmocka_unit_test_setup(resource_goes_while_bound, boot),
		cmocka_unit_test_setup(reset_in_the_middle_of_drawing, boot),
		cmocka_unit_test_setup(cut_stream_is_refused_whole, boot),
		cmocka_unit_test_setup(sub_contexts_are_limited, boot),
		cmocka_unit_test_setup(unfinished_shader_is_not_bound, boot),
		cmocka_unit_test_setup(refused_stream_finishes_no_shader, boot),
		cmocka_unit_test_setup(nonsense_resources_are_refused, boot),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
