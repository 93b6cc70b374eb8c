// SPDX-License-Identifier: MIT
#include <linux/errno.h>

#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/string.h"
#include "tests/bare/canvas.h"

#define WORDS 4096
#define VERTEX_BYTES 4096

static const char vertex_shader[] = "VERT\nDCL IN[0]\nDCL IN[1]\nDCL OUT[0], POSITION\nDCL OUT[1], GENERIC[0]\n"
				    "  0: MOV OUT[0], IN[0]\n  1: MOV OUT[1], IN[1]\n  2: END\n";
/* The colour is the vertex's times the constant. */
static const char color_shader[] = "FRAG\nDCL IN[0], GENERIC[0], PERSPECTIVE\nDCL OUT[0], COLOR\nDCL CONST[0][0]\n"
				   "  0: MUL OUT[0], IN[0], CONST[0][0]\n  1: END\n";
static const char texture_shader[] = "FRAG\nDCL IN[0], GENERIC[0], PERSPECTIVE\nDCL OUT[0], COLOR\nDCL SAMP[0]\n"
				     "DCL SVIEW[0], 2D, FLOAT\n  0: TEX OUT[0], IN[0], SAMP[0], 2D\n  1: END\n";

static void set_up(struct canvas *c)
{
	static const struct virgl_vertex_element layout[] = {
		{.offset = 0, .format = VIRGL_FORMAT_R32G32B32A32_FLOAT},
		{.offset = 16, .format = VIRGL_FORMAT_R32G32B32A32_FLOAT},
	};
	static const uint32_t ones[4] = {VIRGL_FLOAT_1, VIRGL_FLOAT_1, VIRGL_FLOAT_1, VIRGL_FLOAT_1};
	struct virgl_vertex_buffer buffer = {.stride = 4 * CANVAS_VERTEX_WORDS, .resource = CANVAS_VERTICES};
	struct virgl_rasterizer scissored = virgl_rasterizer_default;
	uint32_t surface = CANVAS_SURFACE;
	struct virgl_encoder *e = &c->e;

	scissored.flags |= VIRGL_RS_SCISSOR;
	virgl_create_sub_context(e, 1);
	virgl_set_sub_context(e, 1);
	virgl_create_surface(e, CANVAS_SURFACE, CANVAS_PICTURE, VIRGL_FORMAT_B8G8R8A8_UNORM, 0, 0, 0);
	virgl_set_framebuffer(e, &surface, 1, 0);
	virgl_set_viewport_whole(e, c->width, c->height, true);
	virgl_create_blend(e, CANVAS_OVER, &virgl_blend_over);
	virgl_create_blend(e, CANVAS_OPAQUE, &virgl_blend_opaque);
	virgl_bind_object(e, VIRGL_OBJECT_BLEND, CANVAS_OPAQUE);
	virgl_create_rasterizer(e, CANVAS_PLAIN, &virgl_rasterizer_default);
	virgl_create_rasterizer(e, CANVAS_SCISSORED, &scissored);
	virgl_bind_object(e, VIRGL_OBJECT_RASTERIZER, CANVAS_PLAIN);
	virgl_create_dsa(e, CANVAS_DSA, &virgl_dsa_off);
	virgl_bind_object(e, VIRGL_OBJECT_DSA, CANVAS_DSA);
	virgl_create_shader(e, CANVAS_VERTEX_SHADER, PIPE_SHADER_VERTEX, vertex_shader);
	virgl_create_shader(e, CANVAS_COLOR_SHADER, PIPE_SHADER_FRAGMENT, color_shader);
	virgl_create_shader(e, CANVAS_TEXTURE_SHADER, PIPE_SHADER_FRAGMENT, texture_shader);
	virgl_bind_shader(e, PIPE_SHADER_VERTEX, CANVAS_VERTEX_SHADER);
	virgl_bind_shader(e, PIPE_SHADER_FRAGMENT, CANVAS_COLOR_SHADER);
	virgl_set_constants(e, PIPE_SHADER_FRAGMENT, ones, 4);
	virgl_create_vertex_elements(e, CANVAS_LAYOUT, layout, 2);
	virgl_bind_object(e, VIRGL_OBJECT_VERTEX_ELEMENTS, CANVAS_LAYOUT);
	virgl_set_vertex_buffers(e, &buffer, 1);
}

int canvas_create(struct canvas *c, struct gpu *g, uint32_t width, uint32_t height, uint32_t context_init)
{
	struct gpu_resource_3d picture = {.target = PIPE_TEXTURE_2D,
					  .format = VIRGL_FORMAT_B8G8R8A8_UNORM,
					  .bind = VIRGL_BIND_RENDER_TARGET | VIRGL_BIND_SAMPLER_VIEW |
						  VIRGL_BIND_SCANOUT,
					  .width = width,
					  .height = height,
					  .depth = 1,
					  .array_size = 1};
	struct gpu_resource_3d vertices = {.target = PIPE_BUFFER,
					   .format = VIRGL_FORMAT_R8_UNORM,
					   .bind = VIRGL_BIND_VERTEX_BUFFER,
					   .width = VERTEX_BYTES,
					   .height = 1,
					   .depth = 1,
					   .array_size = 1};
	int rc;

	*c = (struct canvas){.gpu = g, .width = width, .height = height};
	c->pixels = alloc_zeroed(width * height * 4, PAGE_BYTES);
	c->words = alloc(WORDS * 4, 16);
	if (!c->pixels || !c->words)
		return -ENOMEM;
	if ((rc = gpu_context_create(g, CANVAS_CONTEXT, context_init, "canvas")) ||
	    (rc = gpu_create_3d(g, CANVAS_PICTURE, &picture)) ||
	    (rc = gpu_attach_backing(g, CANVAS_PICTURE, c->pixels, width * height * 4)) ||
	    (rc = gpu_context_attach(g, CANVAS_CONTEXT, CANVAS_PICTURE)) ||
	    (rc = gpu_create_3d(g, CANVAS_VERTICES, &vertices)) ||
	    (rc = gpu_context_attach(g, CANVAS_CONTEXT, CANVAS_VERTICES)))
		return rc;
	canvas_begin(c);
	set_up(c);
	return canvas_submit(c);
}

void canvas_finish(struct canvas *c)
{
	alloc_free(c->words);
	alloc_free(c->pixels);
	*c = (struct canvas){0};
}

void canvas_begin(struct canvas *c)
{
	virgl_encoder_init(&c->e, c->words, WORDS);
}

int canvas_submit(struct canvas *c)
{
	if (c->e.failed)
		return -ENOSPC;
	return gpu_submit_3d(c->gpu, CANVAS_CONTEXT, c->words, (uint32_t)(c->e.used * 4));
}

void canvas_vertices(struct canvas *c, const uint32_t (*vertices)[CANVAS_VERTEX_WORDS], unsigned count)
{
	uint32_t bytes = count * (uint32_t)sizeof(vertices[0]);
	struct virgl_region to = {.width = bytes, .height = 1, .depth = 1};

	virgl_inline_write(&c->e, CANVAS_VERTICES, 0, &to, 0, 0, vertices, bytes);
}

int canvas_read(struct canvas *c)
{
	struct gpu_transfer_3d t = {.box = {.w = c->width, .h = c->height, .d = 1}, .stride = c->width * 4};

	memset(c->pixels, 0xcc, c->width * c->height * 4);
	return gpu_transfer_from_host_3d(c->gpu, CANVAS_CONTEXT, CANVAS_PICTURE, &t);
}
