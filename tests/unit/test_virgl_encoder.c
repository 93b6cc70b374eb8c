// SPDX-License-Identifier: MIT
/* The encoder stays inside its buffer whatever it is asked, and its numbers are right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guest-drivers/bare/virgl.h"

#define WORDS 700u
#define GUARD 0xdeadbeefu

/* One of everything. */
static void encode_all(struct virgl_encoder *e)
{
	static const uint32_t handles[3] = {7, 8, 9};
	static const struct virgl_vertex_element elements[3] = {{0, 0, 0, 31}, {16, 0, 0, 31}, {32, 1, 1, 28}};
	static const struct virgl_vertex_buffer buffers[2] = {{32, 0, 1}, {4, 8, 2}};
	static const struct virgl_region region = {.x = 1, .width = 5, .height = 1, .depth = 1};
	static const struct virgl_blit blit = {.mask = PIPE_MASK_RGBA, .dst = {.resource = 1}, .src = {.resource = 2}};

	virgl_create_sub_context(e, 1);
	virgl_create_blend(e, 1, &virgl_blend_over);
	virgl_create_rasterizer(e, 2, &virgl_rasterizer_default);
	virgl_create_dsa(e, 3, &virgl_dsa_off);
	virgl_create_vertex_elements(e, 4, elements, 3);
	virgl_create_shader(e, 5, PIPE_SHADER_VERTEX,
			    "VERT\nDCL IN[0]\nDCL OUT[0], POSITION\n  0: MOV OUT[0], IN[0]\n  1: END\n");
	virgl_create_texture_view(e, 6, 1, VIRGL_FORMAT_B8G8R8A8_UNORM);
	virgl_create_sampler_state(e, 7, &virgl_sampler_linear);
	virgl_create_surface(e, 8, 1, VIRGL_FORMAT_B8G8R8A8_UNORM, 0, 0, 0);
	virgl_set_framebuffer(e, handles, 3, 0);
	virgl_set_viewport_whole(e, 640, 480, true);
	virgl_set_scissor(e, 0, 0, 10, 10);
	virgl_set_vertex_buffers(e, buffers, 2);
	virgl_set_index_buffer(e, 3, 2, 0);
	virgl_set_constants(e, PIPE_SHADER_VERTEX, handles, 3);
	virgl_set_sampler_views(e, PIPE_SHADER_FRAGMENT, 0, handles, 3);
	virgl_clear(e, PIPE_CLEAR_COLOR0, (const uint32_t[4]){0}, VIRGL_DOUBLE_1, 0);
	virgl_draw_arrays(e, PIPE_PRIM_TRIANGLES, 0, 3);
	virgl_inline_write(e, 1, 0, &region, 0, 0, "hello", 5);
	virgl_blit(e, &blit);
	virgl_copy_region(e, 1, 0, 0, 0, 0, 2, 0, &region);
	virgl_transfer(e, VIRGL_TRANSFER_TO_HOST, 1, 0, &region, 0, 0, 0);
}

/* Headers count exactly the words that follow. Returns the commands, or 0. */
static unsigned walk(const struct virgl_encoder *e)
{
	unsigned commands = 0;
	size_t at = 0;

	while (at < e->used) {
		at += 1 + (e->words[at] >> 16);
		commands++;
	}
	return at == e->used ? commands : 0;
}

static void every_capacity_is_kept(void **state)
{
	uint32_t words[WORDS + 1];
	struct virgl_encoder e;
	size_t needed;

	(void)state;
	virgl_encoder_init(&e, words, WORDS);
	encode_all(&e);
	assert_false(e.failed);
	assert_int_equal(walk(&e), 22);
	needed = e.used;
	for (size_t capacity = 0; capacity < needed; capacity++) {
		words[capacity] = GUARD;
		virgl_encoder_init(&e, words, capacity);
		encode_all(&e);
		assert_true(e.failed);
		assert_true(e.used <= capacity);
		assert_true(e.used == 0 || walk(&e) > 0);
		assert_int_equal(words[capacity], GUARD);
	}
}

static void oversized_lists_fail(void **state)
{
	uint32_t words[WORDS];
	struct virgl_encoder e;

	(void)state;
	virgl_encoder_init(&e, words, WORDS);
	virgl_set_framebuffer(&e, words, VIRGL_MAX_COLOR_BUFFERS + 1, 0);
	assert_true(e.failed);
	virgl_encoder_init(&e, words, WORDS);
	virgl_inline_write(&e, 1, 0, &(const struct virgl_region){0}, 0, 0, words, SIZE_MAX - 2);
	assert_true(e.failed);
	assert_int_equal(e.used, 0);
}

static void fixed_point_becomes_float(void **state)
{
	static const struct {
		int32_t value;
		unsigned fraction;
		float expected;
	} cases[] = {
		{0, 0, 0.0f},
		{1, 0, 1.0f},
		{-1, 0, -1.0f},
		{1, 1, 0.5f},
		{-3, 2, -0.75f},
		{640, 1, 320.0f},
		{65536, 16, 1.0f},
		{INT32_MIN, 0, -2147483648.0f},
		{16777215, 0, 16777215.0f},
		{1, 24, 1.0f / 16777216.0f},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t bits = virgl_float(cases[i].value, cases[i].fraction);

		assert_memory_equal(&bits, &cases[i].expected, 4);
	}
}

static void shader_parts_add_up(void **state)
{
	static char text[3000];
	uint32_t words[WORDS];
	char joined[3004];
	struct virgl_encoder e;
	size_t done = 0, at = 0;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	for (size_t i = 0; i + 1 < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	while (done < virgl_shader_bytes(text)) {
		size_t before = done;

		virgl_encoder_init(&e, words, 100);
		done = virgl_create_shader_part(&e, 9, PIPE_SHADER_FRAGMENT, text, done);
		assert_false(e.failed);
		assert_true(done > before);
		assert_int_equal(words[1], 9);
		assert_int_equal(words[3], before ? before | VIRGL_SHADER_CONTINUED : sizeof(text));
		memcpy(joined + at, words + 6, (e.used - 6) * 4);
		at += (e.used - 6) * 4;
	}
	assert_int_equal(done, sizeof(text));
	assert_memory_equal(joined, text, sizeof(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_capacity_is_kept),
		cmocka_unit_test(oversized_lists_fail),
		cmocka_unit_test(fixed_point_becomes_float),
		cmocka_unit_test(shader_parts_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
