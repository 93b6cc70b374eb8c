// SPDX-License-Identifier: MIT
/* What a guest draws with virgl commands is what it reads back and what the display gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/virtio_gpu.h"
#include "tests/lib/gpu3d_test.h"

#define SIZE 64u

static const char texture_shader[] = "FRAG\n"
				     "DCL IN[0], GENERIC[0], PERSPECTIVE\n"
				     "DCL OUT[0], COLOR\n"
				     "DCL SAMP[0]\n"
				     "DCL SVIEW[0], 2D, FLOAT\n"
				     "  0: TEX OUT[0], IN[0], SAMP[0], 2D\n"
				     "  1: END\n";

static const char constant_shader[] = "FRAG\n"
				      "DCL OUT[0], COLOR\n"
				      "DCL CONST[0][0]\n"
				      "  0: MOV OUT[0], CONST[0][0]\n"
				      "  1: END\n";

static struct gpu3d *t;

/* ---- helpers ---- */

static uint32_t pixel_at(const struct gpu3d_resource *r, uint32_t x, uint32_t y)
{
	uint32_t pixel;

	memcpy(&pixel, r->pages + (size_t)y * r->stride + (size_t)x * 4, 4);
	return pixel;
}

/* Within one step a channel: drivers may round differently. */
static bool is_near(uint32_t a, uint32_t b)
{
	for (unsigned shift = 0; shift < 32; shift += 8) {
		int d = (int)(a >> shift & 0xff) - (int)(b >> shift & 0xff);

		if (d < -1 || d > 1)
			return false;
	}
	return true;
}

static void assert_pixel(const struct gpu3d_resource *r, uint32_t x, uint32_t y, uint32_t expected)
{
	uint32_t pixel = pixel_at(r, x, y);

	if (!is_near(pixel, expected))
		fail_msg("pixel %u,%u is %08x, not %08x", x, y, pixel, expected);
}

static void put_vertices(struct gpu3d_resource *buffer, const float (*vertices)[8], unsigned count)
{
	memcpy(buffer->pages, vertices, sizeof(float[8]) * count);
	assert_int_equal(gpu3d_upload(t, buffer), OK);
}

static void clear_to(float red, float green, float blue, float alpha)
{
	const uint32_t rgba[4] = {gpu3d_bits(red), gpu3d_bits(green), gpu3d_bits(blue), gpu3d_bits(alpha)};

	virgl_clear(&t->stream, PIPE_CLEAR_COLOR0, rgba, VIRGL_DOUBLE_1, 0);
}

/* Two triangles over the whole target; the second attribute runs from 0,0 at the top left to 1,1. */
static const float whole[6][8] = {
	{-1, 1, 0, 1, 0, 0, 0, 1}, {1, 1, 0, 1, 1, 0, 0, 1},  {-1, -1, 0, 1, 0, 1, 0, 1},
	{1, 1, 0, 1, 1, 0, 0, 1},  {1, -1, 0, 1, 1, 1, 0, 1}, {-1, -1, 0, 1, 0, 1, 0, 1},
};

/* A target with plain state and a buffer of @count vertices, ready to draw. */
static struct gpu3d_resource scene(const char *fragment, const float (*vertices)[8], unsigned count)
{
	struct gpu3d_resource target = gpu3d_texture(t, 10, BGRA, TARGET, SIZE, SIZE, 0);
	struct gpu3d_resource buffer = gpu3d_buffer(t, 11, VIRGL_BIND_VERTEX_BUFFER, sizeof(float[8]) * count);

	put_vertices(&buffer, vertices, count);
	gpu3d_plain_state(t);
	gpu3d_draw_to(t, 4, &target, BGRA);
	gpu3d_shaders(t, 5, gpu3d_vertex_shader, 6, fragment);
	gpu3d_vertices(t, 7, &buffer, 2);
	clear_to(0, 0, 0, 1);
	return target;
}

static void draw_and_read(struct gpu3d_resource *target, unsigned count)
{
	if (count > 0)
		virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, count);
	assert_int_equal(gpu3d_submit(t), OK);
	assert_int_equal(gpu3d_read_back(t, target), OK);
}

/* A picture in which every pixel is different. */
static void paint(struct gpu3d_resource *r, uint32_t seed)
{
	uint32_t pixel = seed;

	for (size_t i = 0; i < r->bytes; i += 4) {
		pixel = pixel * 1664525u + 1013904223u;
		memcpy(r->pages + i, &pixel, 4);
	}
}

/* ---- cases ---- */

static void clear_fills_every_pixel(void **state)
{
	struct gpu3d_resource target;

	(void)state;
	t = gpu3d_needed();
	target = gpu3d_texture(t, 10, BGRA, TARGET, SIZE, SIZE, 0);
	gpu3d_draw_to(t, 4, &target, BGRA);
	clear_to(1.0f, 0.5f, 0.25f, 1.0f);
	draw_and_read(&target, 0);
	for (uint32_t y = 0; y < SIZE; y++)
		for (uint32_t x = 0; x < SIZE; x++)
			assert_pixel(&target, x, y, 0xffff8040);
}

static void triangle_covers_its_half(void **state)
{
	/* Bottom left half of the picture, green. */
	static const float half[3][8] = {
		{-1, 1, 0, 1, 0, 1, 0, 1}, {1, -1, 0, 1, 0, 1, 0, 1}, {-1, -1, 0, 1, 0, 1, 0, 1}};
	struct gpu3d_resource target;
	unsigned covered = 0;

	(void)state;
	t = gpu3d_needed();
	target = scene(gpu3d_color_shader, half, 3);
	draw_and_read(&target, 3);
	for (uint32_t y = 0; y < SIZE; y++)
		for (uint32_t x = 0; x < SIZE; x++) {
			if (x != y)
				assert_pixel(&target, x, y, x < y ? 0xff00ff00 : 0xff000000);
			covered += pixel_at(&target, x, y) == 0xff00ff00;
		}
	/* The diagonal belongs to one side or the other, by the driver's rule. */
	assert_in_range(covered, SIZE * (SIZE - 1) / 2, SIZE * (SIZE + 1) / 2);
}

static void colours_are_interpolated_in_full_precision(void **state)
{
	struct gpu3d_resource target;

	(void)state;
	t = gpu3d_needed();
	target = scene(gpu3d_color_shader, whole, 6);
	draw_and_read(&target, 6);
	for (uint32_t y = 0; y < SIZE; y++)
		for (uint32_t x = 0; x < SIZE; x++) {
			uint32_t red = (uint32_t)(((float)x + 0.5f) / SIZE * 255.0f + 0.5f);
			uint32_t green = (uint32_t)(((float)y + 0.5f) / SIZE * 255.0f + 0.5f);

			assert_pixel(&target, x, y, 0xff000000 | red << 16 | green << 8);
		}
}

static void texture_shows_its_texels(void **state)
{
	const uint32_t view = 20, sampler = 21;
	struct gpu3d_resource target, texture;

	(void)state;
	t = gpu3d_needed();
	texture = gpu3d_texture(t, 12, BGRA, VIRGL_BIND_SAMPLER_VIEW, 16, 16, 0);
	paint(&texture, 7);
	assert_int_equal(gpu3d_upload(t, &texture), OK);
	target = scene(texture_shader, whole, 6);
	virgl_create_texture_view(&t->stream, view, texture.id, BGRA);
	virgl_set_sampler_views(&t->stream, PIPE_SHADER_FRAGMENT, 0, &view, 1);
	virgl_create_sampler_state(&t->stream, sampler, &virgl_sampler_nearest);
	virgl_bind_sampler_states(&t->stream, PIPE_SHADER_FRAGMENT, 0, &sampler, 1);
	draw_and_read(&target, 6);
	for (uint32_t y = 0; y < SIZE; y++)
		for (uint32_t x = 0; x < SIZE; x++)
			assert_int_equal(pixel_at(&target, x, y), pixel_at(&texture, x / 4, y / 4));
}

static void constants_and_indices_and_scissor(void **state)
{
	static const uint16_t indices[6] = {0, 1, 2, 1, 4, 2};
	const uint32_t color[4] = {gpu3d_bits(0.2f), gpu3d_bits(0.4f), gpu3d_bits(0.6f), gpu3d_bits(1.0f)};
	const struct virgl_draw draw = {.mode = PIPE_PRIM_TRIANGLES, .count = 6, .indexed = true, .max_index = 5};
	struct virgl_rasterizer rs = virgl_rasterizer_default;
	struct gpu3d_resource target, buffer;

	(void)state;
	t = gpu3d_needed();
	target = scene(constant_shader, whole, 6);
	buffer = gpu3d_buffer(t, 12, VIRGL_BIND_INDEX_BUFFER, sizeof(indices));
	memcpy(buffer.pages, indices, sizeof(indices));
	assert_int_equal(gpu3d_upload(t, &buffer), OK);
	rs.flags |= VIRGL_RS_SCISSOR;
	virgl_create_rasterizer(&t->stream, 20, &rs);
	virgl_bind_object(&t->stream, VIRGL_OBJECT_RASTERIZER, 20);
	virgl_set_scissor(&t->stream, 8, 16, 24, 40);
	virgl_set_constants(&t->stream, PIPE_SHADER_FRAGMENT, color, 4);
	virgl_set_index_buffer(&t->stream, buffer.id, 2, 0);
	virgl_draw(&t->stream, &draw);
	draw_and_read(&target, 0);
	for (uint32_t y = 0; y < SIZE; y++)
		for (uint32_t x = 0; x < SIZE; x++)
			assert_pixel(&target, x, y, x >= 8 && x < 24 && y >= 16 && y < 40 ? 0xff336699 : 0xff000000);
}

/* Where the CPU draws, it is executed in pieces and flushed between some of them. */
static void a_long_submission_is_drawn_in_order(void **state)
{
	enum { DRAWS = 2000 };
	struct virgl_rasterizer rs = virgl_rasterizer_default;
	uint32_t rgba[4] = {VIRGL_FLOAT_0, VIRGL_FLOAT_0, VIRGL_FLOAT_0, VIRGL_FLOAT_1};
	struct gpu3d_resource target;

	(void)state;
	t = gpu3d_needed();
	target = scene(constant_shader, whole, 6);
	rs.flags |= VIRGL_RS_SCISSOR;
	virgl_create_rasterizer(&t->stream, 20, &rs);
	virgl_bind_object(&t->stream, VIRGL_OBJECT_RASTERIZER, 20);
	/* Each over what came before it but for the rows that are finished. */
	for (unsigned i = 0; i < DRAWS; i++) {
		rgba[0] = gpu3d_bits((float)(i % 256) / 255.0f);
		rgba[1] = gpu3d_bits((float)(i / 256) / 255.0f);
		virgl_set_constants(&t->stream, PIPE_SHADER_FRAGMENT, rgba, 4);
		virgl_set_scissor(&t->stream, 0, i * SIZE / DRAWS, SIZE, SIZE);
		virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 6);
	}
	draw_and_read(&target, 0);
	for (uint32_t y = 0; y < SIZE; y++) {
		const uint32_t last = ((y + 1) * DRAWS + SIZE - 1) / SIZE - 1;

		assert_pixel(&target, y, y, 0xff000000 | last % 256 << 16 | last / 256 << 8);
	}
}

static void blending_and_depth_order(void **state)
{
	/* Near and opaque green first, then far and half transparent white: the depth test keeps the green. */
	static const float both[6][8] = {
		{-1, 1, -0.5f, 1, 0, 1, 0, 1},	 {1, -1, -0.5f, 1, 0, 1, 0, 1},	 {-1, -1, -0.5f, 1, 0, 1, 0, 1},
		{-1, 1, 0.5f, 1, 1, 1, 1, 0.5f}, {3, 1, 0.5f, 1, 1, 1, 1, 0.5f}, {-1, -3, 0.5f, 1, 1, 1, 1, 0.5f},
	};
	const struct virgl_dsa dsa = {.depth_enable = true, .depth_write = true, .depth_func = PIPE_FUNC_LESS};
	const uint32_t surface = 4, depth_surface = 20, zero[4] = {0};
	struct gpu3d_resource target, depth;

	(void)state;
	t = gpu3d_needed();
	target = scene(gpu3d_color_shader, both, 6);
	depth = gpu3d_texture(t, 12, VIRGL_FORMAT_Z24X8_UNORM, VIRGL_BIND_DEPTH_STENCIL, SIZE, SIZE, 0);
	virgl_create_surface(&t->stream, depth_surface, depth.id, VIRGL_FORMAT_Z24X8_UNORM, 0, 0, 0);
	virgl_set_framebuffer(&t->stream, &surface, 1, depth_surface);
	virgl_create_dsa(&t->stream, 21, &dsa);
	virgl_bind_object(&t->stream, VIRGL_OBJECT_DSA, 21);
	virgl_create_blend(&t->stream, 22, &virgl_blend_over);
	virgl_bind_object(&t->stream, VIRGL_OBJECT_BLEND, 22);
	virgl_clear(&t->stream, PIPE_CLEAR_DEPTH, zero, VIRGL_DOUBLE_1, 0);
	draw_and_read(&target, 6);
	assert_pixel(&target, 4, SIZE - 4, 0xff00ff00);
	assert_pixel(&target, SIZE - 4, 4, 0xff808080);
}

static void blit_scales_and_copy_copies(void **state)
{
	const struct virgl_region part = {.x = 4, .y = 2, .width = 8, .height = 6, .depth = 1};
	struct gpu3d_resource from, to;
	struct virgl_blit blit = {
		.mask = PIPE_MASK_RGBA,
		.src = {.resource = 10, .format = BGRA, .width = 16, .height = 16, .depth = 1},
		.dst = {.resource = 11, .format = BGRA, .width = 32, .height = 32, .depth = 1},
	};

	(void)state;
	t = gpu3d_needed();
	from = gpu3d_texture(t, 10, BGRA, TARGET, 16, 16, 0);
	to = gpu3d_texture(t, 11, BGRA, TARGET, SIZE, SIZE, 0);
	paint(&from, 3);
	assert_int_equal(gpu3d_upload(t, &from), OK);
	virgl_blit(&t->stream, &blit);
	virgl_copy_region(&t->stream, to.id, 0, 40, 50, 0, from.id, 0, &part);
	draw_and_read(&to, 0);
	for (uint32_t y = 0; y < 32; y++)
		for (uint32_t x = 0; x < 32; x++)
			assert_int_equal(pixel_at(&to, x, y), pixel_at(&from, x / 2, y / 2));
	for (uint32_t y = 0; y < part.height; y++)
		for (uint32_t x = 0; x < part.width; x++)
			assert_int_equal(pixel_at(&to, 40 + x, 50 + y), pixel_at(&from, part.x + x, part.y + y));
}

static void inline_write_and_stream_transfer(void **state)
{
	const struct virgl_region part = {.x = 5, .y = 9, .width = 3, .height = 2, .depth = 1};
	const struct virgl_region all = {.width = 16, .height = 16, .depth = 1};
	const uint32_t pixels[6] = {0xff000001, 0xff000002, 0xff000003, 0xff000004, 0xff000005, 0xff000006};
	struct gpu3d_resource r;

	(void)state;
	t = gpu3d_needed();
	r = gpu3d_texture(t, 10, BGRA, TARGET, 16, 16, 0);
	paint(&r, 5);
	virgl_transfer(&t->stream, VIRGL_TRANSFER_TO_HOST, r.id, 0, &all, r.stride, 0, 0);
	virgl_inline_write(&t->stream, r.id, 0, &part, 12, 0, pixels, sizeof(pixels));
	assert_int_equal(gpu3d_submit(t), OK);
	memset(r.pages, 0, r.bytes);
	virgl_transfer(&t->stream, VIRGL_TRANSFER_FROM_HOST, r.id, 0, &all, r.stride, 0, 0);
	assert_int_equal(gpu3d_submit(t), OK);
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(pixel_at(&r, part.x + i % 3, part.y + i / 3), pixels[i]);
	assert_int_not_equal(pixel_at(&r, 0, 0), 0);
}

static void samples_are_resolved(void **state)
{
	static const float half[3][8] = {
		{-1, 1, 0, 1, 1, 1, 1, 1}, {1, -0.9f, 0, 1, 1, 1, 1, 1}, {-1, -1, 0, 1, 1, 1, 1, 1}};
	const struct gpu_resource_shape shape = {
		.target = PIPE_TEXTURE_2D,
		.format = BGRA,
		.bind = TARGET,
		.width = SIZE,
		.height = SIZE,
		.depth = 1,
		.array_size = 1,
		.nr_samples = 4,
	};
	const struct virgl_blit resolve = {
		.mask = PIPE_MASK_RGBA,
		.src = {.resource = 12, .format = BGRA, .width = SIZE, .height = SIZE, .depth = 1},
		.dst = {.resource = 10, .format = BGRA, .width = SIZE, .height = SIZE, .depth = 1},
	};
	struct gpu3d_resource target, many = {.id = 12, .width = SIZE, .height = SIZE};
	struct virgl_rasterizer rs = virgl_rasterizer_default;
	unsigned between = 0;

	(void)state;
	t = gpu3d_needed();
	if (gpu3d_resource(t, many.id, &shape) != OK) {
		print_message("4 samples a pixel: not on this host\n");
		skip();
	}
	assert_int_equal(gpu3d_attach(t, many.id), OK);
	target = scene(gpu3d_color_shader, half, 3);
	rs.flags |= VIRGL_RS_MULTISAMPLE;
	virgl_create_rasterizer(&t->stream, 20, &rs);
	virgl_bind_object(&t->stream, VIRGL_OBJECT_RASTERIZER, 20);
	gpu3d_draw_to(t, 21, &many, BGRA);
	clear_to(0, 0, 0, 1);
	virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 3);
	virgl_blit(&t->stream, &resolve);
	draw_and_read(&target, 0);
	assert_pixel(&target, 2, SIZE - 3, 0xffffffff);
	assert_pixel(&target, SIZE - 3, 2, 0xff000000);
	for (uint32_t i = 0; i < SIZE * SIZE; i++) {
		uint32_t level = pixel_at(&target, i % SIZE, i / SIZE) & 0xff;

		between += level > 0x10 && level < 0xf0;
	}
	assert_in_range(between, SIZE / 4, SIZE * 4);
}

static void long_shader_comes_in_parts(void **state)
{
	enum { MOVES = 300, LINE = 40 };
	char *text = malloc(MOVES * LINE + 256);
	size_t at, done = 0, parts = 0;
	struct gpu3d_resource target;
	uint32_t small[512];

	(void)state;
	if (!t)
		free(text);
	t = gpu3d_needed();
	assert_non_null(text);
	at = (size_t)sprintf(text, "FRAG\nDCL IN[0], GENERIC[0], PERSPECTIVE\nDCL OUT[0], COLOR\nDCL TEMP[0..1]\n"
				   "  0: MOV TEMP[0], IN[0]\n");
	for (unsigned i = 1; i <= MOVES; i++)
		at += (size_t)sprintf(text + at, "%u: MOV TEMP[%u].xyzw, TEMP[%u].yzwx\n", i, i % 2, (i + 1) % 2);
	sprintf(text + at, "%u: MOV OUT[0], TEMP[%u]\n%u: END\n", MOVES + 1, MOVES % 2, MOVES + 2);

	target = scene(gpu3d_color_shader, whole, 6);
	assert_int_equal(gpu3d_submit(t), OK);
	while (done < virgl_shader_bytes(text)) {
		struct virgl_encoder e;

		virgl_encoder_init(&e, small, sizeof(small) / sizeof(small[0]));
		done = virgl_create_shader_part(&e, 30, PIPE_SHADER_FRAGMENT, text, done);
		assert_false(e.failed);
		memcpy(t->words, small, e.used * 4);
		t->stream.used = e.used;
		assert_int_equal(gpu3d_submit(t), OK);
		parts++;
	}
	free(text);
	assert_in_range(parts, 4, 20);
	virgl_bind_shader(&t->stream, PIPE_SHADER_FRAGMENT, 30);
	draw_and_read(&target, 6);
	/* 300 rotations by one of four channels: as it was. */
	assert_pixel(&target, SIZE - 1, SIZE - 1, 0xfffdfd00);
	assert_pixel(&target, 0, 0, 0xff020200);
}

static void scanout_shows_top_row_first(void **state)
{
	struct gpu3d_resource r;
	uint32_t inside, outside;

	(void)state;
	t = gpu3d_needed();
	r = gpu3d_texture(t, 10, BGRA, TARGET | VIRGL_BIND_SCANOUT, 100, 50, 0);
	paint(&r, 11);
	assert_int_equal(gpu3d_upload(t, &r), OK);
	assert_int_equal(gpu3d_set_scanout(t, r.id, 100, 50), OK);
	assert_int_equal(gpu3d_flush(t, r.id, 0, 0, 100, 50), OK);
	assert_int_equal(t->screen->width, 100);
	assert_int_equal(t->screen->height, 50);
	for (uint32_t i = 0; i < 100 * 50; i++)
		assert_int_equal(t->screen->pixels[i] & 0xffffff, pixel_at(&r, i % 100, i / 100) & 0xffffff);
	/* A flush of a part brings that part. */
	outside = t->screen->pixels[0];
	gpu3d_draw_to(t, 4, &r, BGRA);
	clear_to(1, 0, 0, 1);
	assert_int_equal(gpu3d_submit(t), OK);
	assert_int_equal(gpu3d_flush(t, r.id, 10, 20, 30, 10), OK);
	inside = t->screen->pixels[25 * 100 + 15];
	assert_int_equal(inside & 0xffffff, 0xff0000);
	assert_int_equal(t->screen->pixels[0], outside);
	assert_int_equal(t->screen->frames, 2);
}

static void scanout_of_a_flipped_resource(void **state)
{
	const struct gpu_resource_shape shape = {
		.target = PIPE_TEXTURE_2D,
		.format = BGRA,
		.bind = TARGET | VIRGL_BIND_SCANOUT,
		.width = 32,
		.height = 16,
		.depth = 1,
		.array_size = 1,
		.flags = VIRGL_RESOURCE_Y_0_TOP,
	};
	struct gpu3d_resource r = {.id = 10, .width = 32, .height = 16, .stride = 128};

	(void)state;
	t = gpu3d_needed();
	assert_int_equal(gpu3d_resource(t, r.id, &shape), OK);
	assert_int_equal(gpu3d_attach_backing(t, &r, 128 * 16), OK);
	paint(&r, 13);
	t->ctx = 0;
	assert_int_equal(gpu3d_upload(t, &r), OK);
	assert_int_equal(gpu3d_set_scanout(t, r.id, 32, 16), OK);
	assert_int_equal(gpu3d_flush(t, r.id, 0, 0, 32, 16), OK);
	for (uint32_t i = 0; i < 32 * 16; i++)
		assert_int_equal(t->screen->pixels[i] & 0xffffff, pixel_at(&r, i % 32, i / 32) & 0xffffff);
}

static void reading_a_frame_leaves_the_guests_state(void **state)
{
	struct gpu3d_resource target;

	(void)state;
	t = gpu3d_needed();
	target = scene(gpu3d_color_shader, whole, 6);
	virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 6);
	assert_int_equal(gpu3d_submit(t), OK);
	assert_int_equal(gpu3d_set_scanout(t, target.id, SIZE, SIZE), OK);
	assert_int_equal(gpu3d_flush(t, target.id, 0, 0, SIZE, SIZE), OK);
	/* The same state draws again, without being set again. */
	clear_to(0, 0, 0, 1);
	draw_and_read(&target, 6);
	assert_pixel(&target, SIZE - 1, 0, 0xfffd0200);
	assert_int_equal(gpu3d_flush(t, target.id, 0, 0, SIZE, SIZE), OK);
	assert_int_equal(t->screen->pixels[SIZE - 1] & 0xffffff, pixel_at(&target, SIZE - 1, 0) & 0xffffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GPU3D_CASE(clear_fills_every_pixel),
		GPU3D_CASE(triangle_covers_its_half),
		GPU3D_CASE(colours_are_interpolated_in_full_precision),
		GPU3D_CASE(texture_shows_its_texels),
		GPU3D_CASE(constants_and_indices_and_scissor),
		GPU3D_CASE(a_long_submission_is_drawn_in_order),
		GPU3D_CASE(blending_and_depth_order),
		GPU3D_CASE(blit_scales_and_copy_copies),
		GPU3D_CASE(inline_write_and_stream_transfer),
		GPU3D_CASE(samples_are_resolved),
		GPU3D_CASE(long_shader_comes_in_parts),
		GPU3D_CASE(scanout_shows_top_row_first),
		GPU3D_CASE(scanout_of_a_flipped_resource),
		GPU3D_CASE(reading_a_frame_leaves_the_guests_state),
	};

	return cmocka_run_group_tests(tests, gpu3d_start, gpu3d_stop);
}
