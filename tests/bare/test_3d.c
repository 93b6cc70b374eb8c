// SPDX-License-Identifier: MIT
/*
 * Draws by virgl, reads the pixels back and compares them one by one. Ends with a picture on scanout 0 for the
 * runner to look at: a green triangle, lower left, on blue.
 */
#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/string.h"
#include "tests/bare/canvas.h"
#include "tests/bare/check.h"

enum { SIZE = 64, TEXTURE = 10, COPY = 11, INDICES = 12, CELLS = 4 };
enum { VIEW = CANVAS_FREE, SAMPLER };
#define F0 VIRGL_FLOAT_0
#define F1 VIRGL_FLOAT_1
#define M1 VIRGL_FLOAT_MINUS_1
#define HALF VIRGL_FLOAT_HALF
#define BLUE 0xff0000ffu /* B8G8R8A8 read as a word: alpha, red, green, blue */
#define GREEN 0xff00ff00u
#define WHITE 0xffffffffu

static struct gpu g;
static struct canvas c;
static const uint32_t blue[4] = {F0, F0, F1, F1};

static void clear(void)
{
	virgl_clear(&c.e, PIPE_CLEAR_COLOR0, blue, VIRGL_DOUBLE_1, 0);
}

/* Compare every pixel with what @want says; 0 from it means any. */
static void compare(const char *name, uint32_t (*want)(uint32_t x, uint32_t y))
{
	unsigned wrong = 0;
	uint32_t wrong_x = 0, wrong_y = 0, got = 0;

	int rc = canvas_read(&c);

	if (!report_check(!rc, "%s: is read back: error %d, answer 0x%x", name, rc, g.answer))
		return;
	for (uint32_t y = 0; y < SIZE; y++) {
		for (uint32_t x = 0; x < SIZE; x++) {
			uint32_t w = want(x, y);

			if (!w || c.pixels[y * SIZE + x] == w || wrong++)
				continue;
			wrong_x = x;
			wrong_y = y;
			got = c.pixels[y * SIZE + x];
		}
	}
	report_check(!wrong, "%s: pixels are right: %u wrong, first at %u,%u is 0x%08x", name, wrong, wrong_x, wrong_y,
		     got);
}

static uint32_t is_blue(uint32_t x, uint32_t y)
{
	(void)x, (void)y;
	return BLUE;
}

static uint32_t is_triangle(uint32_t x, uint32_t y)
{
	return x < y ? GREEN : x > y ? BLUE : 0; /* the diagonal may go either way */
}

static const uint32_t triangle[3][CANVAS_VERTEX_WORDS] = {
	{M1, M1, F0, F1, F0, F1, F0, F1},
	{F1, M1, F0, F1, F0, F1, F0, F1},
	{M1, F1, F0, F1, F0, F1, F0, F1},
};

static void draw_triangle(void)
{
	canvas_begin(&c);
	clear();
	canvas_vertices(&c, triangle, 3);
	virgl_draw_arrays(&c.e, PIPE_PRIM_TRIANGLES, 0, 3);
	check_gpu(&g, canvas_submit(&c), "triangle: runs");
}

static uint32_t is_scissored(uint32_t x, uint32_t y)
{
	return x >= 8 && x < 40 && y >= 16 && y < 24 ? WHITE : BLUE;
}

/* A strip over the whole picture; the last four words are a texture coordinate or a colour. */
static const uint32_t whole[4][CANVAS_VERTEX_WORDS] = {
	{M1, F1, F0, F1, F0, F0, F0, F1},
	{M1, M1, F0, F1, F0, F1, F0, F1},
	{F1, F1, F0, F1, F1, F0, F0, F1},
	{F1, M1, F0, F1, F1, F1, F0, F1},
};

static void scissor(void)
{
	uint32_t white[4][CANVAS_VERTEX_WORDS];

	memcpy(white, whole, sizeof(white));
	for (int i = 0; i < 4; i++)
		white[i][4] = white[i][5] = white[i][6] = F1;
	canvas_begin(&c);
	clear();
	canvas_vertices(&c, (const uint32_t(*)[CANVAS_VERTEX_WORDS])white, 4);
	virgl_bind_object(&c.e, VIRGL_OBJECT_RASTERIZER, CANVAS_SCISSORED);
	virgl_set_scissor(&c.e, 8, 16, 40, 24);
	virgl_draw_arrays(&c.e, PIPE_PRIM_TRIANGLE_STRIP, 0, 4);
	virgl_bind_object(&c.e, VIRGL_OBJECT_RASTERIZER, CANVAS_PLAIN);
	check_gpu(&g, canvas_submit(&c), "scissor: runs");
	compare("scissor", is_scissored);
}

static uint32_t is_half_blended(uint32_t x, uint32_t y)
{
	uint32_t p = c.pixels[y * SIZE + x];
	uint32_t red = (p >> 16) & 255, green = (p >> 8) & 255, low = p & 255;

	/* Half of yellow over blue, give or take the rounding. */
	return red >= 127 && red <= 128 && green >= 127 && green <= 128 && low >= 127 && low <= 128 ? 0 : 0x7f7f7fu;
}

static void blend_and_constants(void)
{
	static const uint32_t half_yellow[4] = {F1, F1, F0, HALF}, ones[4] = {F1, F1, F1, F1};
	uint32_t white[4][CANVAS_VERTEX_WORDS];

	memcpy(white, whole, sizeof(white));
	for (int i = 0; i < 4; i++)
		white[i][4] = white[i][5] = white[i][6] = F1;
	canvas_begin(&c);
	clear();
	canvas_vertices(&c, (const uint32_t(*)[CANVAS_VERTEX_WORDS])white, 4);
	virgl_set_constants(&c.e, PIPE_SHADER_FRAGMENT, half_yellow, 4);
	virgl_bind_object(&c.e, VIRGL_OBJECT_BLEND, CANVAS_OVER);
	virgl_draw_arrays(&c.e, PIPE_PRIM_TRIANGLE_STRIP, 0, 4);
	virgl_bind_object(&c.e, VIRGL_OBJECT_BLEND, CANVAS_OPAQUE);
	virgl_set_constants(&c.e, PIPE_SHADER_FRAGMENT, ones, 4);
	check_gpu(&g, canvas_submit(&c), "blend: runs");
	compare("blend", is_half_blended);
}

static uint32_t texel(uint32_t x, uint32_t y)
{
	return 0xff000000u | (x * 60 + 10) << 16 | (y * 50 + 20) << 8 | ((x ^ y) & 1 ? 200 : 40);
}

static uint32_t is_textured(uint32_t x, uint32_t y)
{
	return texel(x * CELLS / SIZE, y * CELLS / SIZE);
}

static void texture(void)
{
	static const struct gpu_resource_3d r = {.target = PIPE_TEXTURE_2D,
						 .format = VIRGL_FORMAT_B8G8R8A8_UNORM,
						 .bind = VIRGL_BIND_SAMPLER_VIEW,
						 .width = CELLS,
						 .height = CELLS,
						 .depth = 1,
						 .array_size = 1};
	/* In the backing: a gap of 64 bytes in front, rows of 32 bytes. */
	struct gpu_transfer_3d t = {.box = {.w = CELLS, .h = CELLS, .d = 1}, .offset = 64, .stride = 32};
	uint32_t *memory = alloc_zeroed(PAGE_BYTES, PAGE_BYTES), view = VIEW, sampler = SAMPLER;

	if (!report_check(memory != NULL, "texture: has memory"))
		return;
	for (uint32_t y = 0; y < CELLS; y++)
		for (uint32_t x = 0; x < CELLS; x++)
			memory[16 + y * 8 + x] = texel(x, y);
	check_gpu(&g,
		  gpu_create_3d(&g, TEXTURE, &r) || gpu_attach_backing(&g, TEXTURE, memory, PAGE_BYTES) ||
			  gpu_context_attach(&g, CANVAS_CONTEXT, TEXTURE) ||
			  gpu_transfer_to_host_3d(&g, CANVAS_CONTEXT, TEXTURE, &t),
		  "texture: is uploaded");
	canvas_begin(&c);
	clear();
	canvas_vertices(&c, whole, 4);
	virgl_create_texture_view(&c.e, VIEW, TEXTURE, VIRGL_FORMAT_B8G8R8A8_UNORM);
	virgl_create_sampler_state(&c.e, SAMPLER, &virgl_sampler_nearest);
	virgl_set_sampler_views(&c.e, PIPE_SHADER_FRAGMENT, 0, &view, 1);
	virgl_bind_sampler_states(&c.e, PIPE_SHADER_FRAGMENT, 0, &sampler, 1);
	virgl_bind_shader(&c.e, PIPE_SHADER_FRAGMENT, CANVAS_TEXTURE_SHADER);
	virgl_draw_arrays(&c.e, PIPE_PRIM_TRIANGLE_STRIP, 0, 4);
	virgl_bind_shader(&c.e, PIPE_SHADER_FRAGMENT, CANVAS_COLOR_SHADER);
	check_gpu(&g, canvas_submit(&c), "texture: runs");
	compare("texture", is_textured);
}

static uint32_t is_blitted(uint32_t x, uint32_t y)
{
	if (x < 32 && y < 32)
		return texel(x / 8, y / 8); /* scaled by eight */
	if (x >= 40 && x < 44 && y >= 40 && y < 44)
		return texel(x - 40, y - 40); /* copied as it is */
	return BLUE;
}

static void blit_and_copy(void)
{
	struct virgl_blit b = {.mask = PIPE_MASK_RGBA,
			       .filter = PIPE_TEX_FILTER_NEAREST,
			       .dst = {.resource = CANVAS_PICTURE,
				       .format = VIRGL_FORMAT_B8G8R8A8_UNORM,
				       .width = 32,
				       .height = 32,
				       .depth = 1},
			       .src = {.resource = TEXTURE,
				       .format = VIRGL_FORMAT_B8G8R8A8_UNORM,
				       .width = CELLS,
				       .height = CELLS,
				       .depth = 1}};
	struct virgl_region from = {.width = CELLS, .height = CELLS, .depth = 1};

	canvas_begin(&c);
	clear();
	virgl_blit(&c.e, &b);
	virgl_copy_region(&c.e, CANVAS_PICTURE, 0, 40, 40, 0, TEXTURE, 0, &from);
	check_gpu(&g, canvas_submit(&c), "blit: runs");
	compare("blit", is_blitted);
}

static void indexed(void)
{
	static const uint16_t order[4] = {9, 0, 1, 2};
	static const struct gpu_resource_3d r = {.target = PIPE_BUFFER,
						 .format = VIRGL_FORMAT_R8_UNORM,
						 .bind = VIRGL_BIND_INDEX_BUFFER,
						 .width = sizeof(order),
						 .height = 1,
						 .depth = 1,
						 .array_size = 1};
	struct virgl_region all = {.width = sizeof(order), .height = 1, .depth = 1};
	struct virgl_draw d = {.mode = PIPE_PRIM_TRIANGLES, .count = 3, .indexed = true};

	check_gpu(&g, gpu_create_3d(&g, INDICES, &r) || gpu_context_attach(&g, CANVAS_CONTEXT, INDICES),
		  "indexed: buffer");
	canvas_begin(&c);
	clear();
	canvas_vertices(&c, triangle, 3);
	virgl_inline_write(&c.e, INDICES, 0, &all, 0, 0, order, sizeof(order));
	virgl_set_index_buffer(&c.e, INDICES, 2, 2); /* behind the first */
	virgl_draw(&c.e, &d);
	check_gpu(&g, canvas_submit(&c), "indexed: runs");
	compare("indexed", is_triangle);
}

/* 8x4 pixels at 16,40 of the triangle, to the middle of the backing with a stride of their own. */
static void part_of_a_picture(void)
{
	struct gpu_transfer_3d t = {.box = {.x = 16, .y = 40, .w = 8, .h = 4, .d = 1}, .offset = 4096, .stride = 48};
	unsigned right = 0, touched = 0;

	memset(c.pixels, 0, SIZE * SIZE * 4);
	check_gpu(&g, gpu_transfer_from_host_3d(&g, CANVAS_CONTEXT, CANVAS_PICTURE, &t), "part: is read back");
	for (uint32_t i = 0; i < SIZE * SIZE; i++) {
		uint32_t at = i - 1024, y = at / 12, x = at % 12;

		if (i >= 1024 && y < 4 && x < 8)
			right += c.pixels[i] == GREEN;
		else
			touched += c.pixels[i] != 0;
	}
	report_check(right == 32, "part: pixels are right: %u of 32", right);
	report_check(!touched, "part: nothing beside it is written: %u", touched);
}

static void capsets(void)
{
	static uint32_t words[1024];
	unsigned found = 0;

	for (uint32_t i = 0; i < g.capsets; i++) {
		struct virtio_gpu_resp_capset_info info;
		int came = gpu_capset_info(&g, i, &info);

		if (!report_check(!came, "capset %u: is told: error %d", i, came))
			continue;
		if (info.capset_id != VIRTIO_GPU_CAPSET_VIRGL && info.capset_id != VIRTIO_GPU_CAPSET_VIRGL2)
			continue;
		came = info.capset_max_size <= sizeof(words)
			       ? gpu_capset(&g, info.capset_id, info.capset_max_version, words, info.capset_max_size)
			       : -1;
		/* Its first word is the version of the format. */
		report_check(came == (int)info.capset_max_size && words[0] == info.capset_id,
			     "capset %u: id %u, %d bytes, version %u", i, info.capset_id, came, words[0]);
		found++;
	}
	report_check(found >= 1, "there is a virgl capset among %u", g.capsets);
}

int main(void)
{
	struct gpu_rect all = {0, 0, SIZE, SIZE};
	int rc;

	report_start("3d");
	rc = gpu_open(&g, VIRTIO_ANY, 0, VIRTIO_BIT(VIRTIO_GPU_F_VIRGL) | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC));
	if (!report_check(!rc, "gpu_opens: error %d", rc))
		return report_end();
	if (!virtio_has(&g.dev, VIRTIO_GPU_F_VIRGL))
		return report_skip_all("the GPU has no 3D: the host has no OpenGL that works");
	capsets();
	rc = canvas_create(&c, &g, SIZE, SIZE, 0);
	if (report_check(!rc, "canvas: error %d, answer 0x%x", rc, g.answer)) {
		canvas_begin(&c);
		clear();
		check_gpu(&g, canvas_submit(&c), "clear: runs");
		compare("clear", is_blue);
		draw_triangle();
		compare("triangle", is_triangle);
		scissor();
		blend_and_constants();
		texture();
		blit_and_copy();
		indexed();
		part_of_a_picture();
		draw_triangle();
		check_gpu(&g, gpu_set_scanout(&g, 0, CANVAS_PICTURE, all), "set_scanout");
		check_gpu(&g, gpu_flush(&g, CANVAS_PICTURE, all), "flush");
	}
	gpu_close(&g);
	return report_end();
}
