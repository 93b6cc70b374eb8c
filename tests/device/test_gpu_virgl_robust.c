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
#include "tests/lib/gpu3d_test.h"

static struct gpu3d *t;

static void context_goes_with_everything_alive(void **state)
{
	(void)state;
	t = gpu3d_needed();
	for (uint32_t ctx = 2; ctx < 12; ctx++) {
		assert_int_equal(gpu3d_context(t, ctx, 0), OK);
		t->ctx = ctx;
		assert_true(gpu3d_draws(t, ctx * 10));
		virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 3);
		assert_int_equal(gpu3d_submit(t), OK);
		assert_int_equal(gpu3d_context_destroy(t, ctx), OK);
	}
	/* Its resources live on, for others. */
	t->ctx = 1;
	assert_int_equal(gpu3d_attach(t, 20), OK);
	assert_true(gpu3d_draws(t, 500));
}

static void resource_goes_while_bound(void **state)
{
	(void)state;
	t = gpu3d_needed();
	assert_true(gpu3d_draws(t, 10));
	assert_int_equal(gpu3d_unref(t, 10), OK);
	assert_int_equal(gpu3d_unref(t, 11), OK);
	/* Whatever this answers, the next context draws. */
	virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 3);
	gpu3d_submit(t);
	assert_int_equal(gpu3d_context(t, 2, 0), OK);
	t->ctx = 2;
	assert_true(gpu3d_draws(t, 20));
}

static void reset_in_the_middle_of_drawing(void **state)
{
	struct fake_request *requests[8];

	(void)state;
	t = gpu3d_needed();
	for (unsigned round = 0; round < 5; round++) {
		assert_true(gpu3d_draws(t, 10));
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
	assert_true(gpu3d_draws(t, 10));
}

static void cut_stream_is_refused_whole(void **state)
{
	const uint32_t color[4] = {VIRGL_FLOAT_1, 0, 0, VIRGL_FLOAT_1};
	struct gpu3d_resource r;

	(void)state;
	t = gpu3d_needed();
	r = gpu3d_texture(t, 10, BGRA, TARGET, 32, 32, 0);
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
	t = gpu3d_needed();
	for (uint32_t id = 1; id <= 64; id++)
		virgl_create_sub_context(&t->stream, id);
	assert_int_equal(gpu3d_submit(t), OK);
	virgl_create_sub_context(&t->stream, 65);
	assert_int_equal(gpu3d_submit(t), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	virgl_destroy_sub_context(&t->stream, 64);
	virgl_create_sub_context(&t->stream, 66);
	assert_int_equal(gpu3d_submit(t), OK);
	virgl_set_sub_context(&t->stream, 1);
	assert_true(gpu3d_draws(t, 10));
}

static int make_sub_contexts(uint32_t first, uint32_t last)
{
	for (uint32_t id = first; id <= last; id++)
		virgl_create_sub_context(&t->stream, id);
	return gpu3d_submit(t);
}

/* Each is an OpenGL context of the host, which takes megabytes of some drivers. */
static void sub_contexts_of_all_contexts_are_limited(void **state)
{
	(void)state;
	t = gpu3d_needed();
	/* 512 with the one that a program's context begins with here. */
	for (uint32_t ctx = 1; ctx <= 16; ctx++) {
		if (ctx > 1)
			assert_int_equal(gpu3d_context(t, ctx, 0), OK);
		t->ctx = ctx;
		assert_int_equal(make_sub_contexts(2, 32), OK);
	}
	assert_int_equal(make_sub_contexts(33, 33), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	/* It draws all the same, and what goes makes room. */
	virgl_set_sub_context(&t->stream, 1);
	assert_true(gpu3d_draws(t, 10));
	virgl_destroy_sub_context(&t->stream, 2);
	assert_int_equal(make_sub_contexts(33, 33), OK);
	assert_int_equal(make_sub_contexts(34, 34), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	assert_int_equal(gpu3d_context_destroy(t, 3), OK);
	assert_int_equal(make_sub_contexts(34, 64), OK);
	assert_int_equal(gpu3d_context(t, 3, 0), OK);
	t->ctx = 3;
	assert_int_equal(make_sub_contexts(2, 2), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
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
	t = gpu3d_needed();
	assert_true(gpu3d_draws(t, 10));
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

/* The first part of a shader of 16 MiB, for which the library takes memory at once. */
static int begin_large_shader(uint32_t type)
{
	const uint32_t part[8] = {
		VIRGL_HEADER(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_SHADER, 7), 40 + type, type, 16u << 20, 100, 0,
		0x47415246, 0x4c43440a};

	memcpy(t->words + t->stream.used, part, sizeof(part));
	t->stream.used += 8;
	return gpu3d_submit(t);
}

static void objects_are_limited(void **state)
{
	const uint32_t types[] = {PIPE_SHADER_VERTEX, PIPE_SHADER_FRAGMENT};

	(void)state;
	t = gpu3d_needed();
	assert_int_equal(gpu3d_context(t, 2, 0), OK);
	/* 31 in two contexts are just less than 512 MiB. */
	for (uint32_t i = 0; i < 31; i++) {
		t->ctx = 1 + i % 2;
		if (i / 2 % 2 == 0)
			virgl_create_sub_context(&t->stream, 2 + i / 4);
		assert_int_equal(begin_large_shader(types[i / 2 % 2]), OK);
	}
	t->ctx = 2;
	assert_int_equal(begin_large_shader(PIPE_SHADER_FRAGMENT), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	/* It draws all the same, and what goes makes room: a sub-context, or a context. */
	virgl_set_sub_context(&t->stream, 1);
	assert_true(gpu3d_draws(t, 10));
	virgl_destroy_sub_context(&t->stream, 2);
	assert_int_equal(gpu3d_submit(t), OK);
	assert_int_equal(begin_large_shader(PIPE_SHADER_FRAGMENT), OK);
	assert_int_equal(begin_large_shader(PIPE_SHADER_VERTEX), OK);
	virgl_create_sub_context(&t->stream, 40);
	assert_int_equal(begin_large_shader(PIPE_SHADER_FRAGMENT), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	assert_int_equal(gpu3d_context_destroy(t, 1), OK);
	virgl_create_sub_context(&t->stream, 40);
	assert_int_equal(begin_large_shader(PIPE_SHADER_FRAGMENT), OK);
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
	t = gpu3d_needed();
	assert_true(gpu3d_draws(t, 10));
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
	assert_true(gpu3d_draws(t, 20));
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
	t = gpu3d_needed();
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (gpu3d_resource(t, 100 + (uint32_t)i, &shapes[i]) < VIRTIO_GPU_RESP_ERR_UNSPEC)
			fail_msg("shape %zu was taken", i);
	assert_true(gpu3d_draws(t, 10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GPU3D_CASE(context_goes_with_everything_alive), GPU3D_CASE(resource_goes_while_bound),
		GPU3D_CASE(reset_in_the_middle_of_drawing),	GPU3D_CASE(cut_stream_is_refused_whole),
		GPU3D_CASE(sub_contexts_are_limited),		GPU3D_CASE(unfinished_shader_is_not_bound),
		GPU3D_CASE(refused_stream_finishes_no_shader),	GPU3D_CASE(nonsense_resources_are_refused),
		GPU3D_CASE(sub_contexts_of_all_contexts_are_limited), GPU3D_CASE(objects_are_limited),
	};

	return cmocka_run_group_tests(tests, gpu3d_start, gpu3d_stop);
}
