/* SPDX-License-Identifier: MIT */
/*
 * A small encoder of the virgl command stream (protocol/virgl.h): it writes the words of a SUBMIT_3D into a buffer
 * of the caller's. Freestanding, integers only: every float is passed as its IEEE 754 bits (virgl_float() makes
 * them from fixed point), so it runs where no floating point unit can be used.
 *
 * A command that does not fit is left out whole and sets @failed, which stays set until virgl_encoder_init(), so
 * one check before submitting is enough. Handles of objects are chosen by the caller: any non-zero number, unique
 * in the sub-context whatever the object's type. Resources are named by their virtio-gpu ids and must be attached
 * to the context. Thread: any one at a time per encoder.
 */
#ifndef MULLION_GUEST_DRIVERS_BARE_VIRGL_H
#define MULLION_GUEST_DRIVERS_BARE_VIRGL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/virgl.h"

struct virgl_encoder {
	uint32_t *words;
	size_t capacity, used; /* words */
	bool failed;
};

/* Start over with an empty buffer of @capacity words. The buffer stays the caller's. */
void virgl_encoder_init(struct virgl_encoder *e, uint32_t *words, size_t capacity);

/* ---- numbers ---- */

/* IEEE 754 bits of common values. */
#define VIRGL_FLOAT_0 0x00000000u
#define VIRGL_FLOAT_HALF 0x3f000000u
#define VIRGL_FLOAT_1 0x3f800000u
#define VIRGL_FLOAT_MINUS_1 0xbf800000u
#define VIRGL_DOUBLE_0 0ull
#define VIRGL_DOUBLE_1 0x3ff0000000000000ull

/* The float nearest to @value / 2^@fraction_bits (towards zero past 24 significant bits); @fraction_bits 0..62. */
uint32_t virgl_float(int32_t value, unsigned fraction_bits);

/* ---- sub-contexts: one is enough for a program; @id is chosen by the caller, not 0 ---- */
void virgl_create_sub_context(struct virgl_encoder *e, uint32_t id);
void virgl_set_sub_context(struct virgl_encoder *e, uint32_t id);
void virgl_destroy_sub_context(struct virgl_encoder *e, uint32_t id);

/* ---- objects ---- */

struct virgl_blend_target {
	bool enable;
	uint8_t rgb_func, rgb_src, rgb_dst; /* enum pipe_blend_func, enum pipe_blendfactor */
	uint8_t alpha_func, alpha_src, alpha_dst;
	uint8_t colormask; /* PIPE_MASK_*; 0 writes nothing */
};

struct virgl_blend {
	uint32_t flags; /* VIRGL_BLEND_*; without INDEPENDENT target 0 counts for all */
	uint32_t logicop;
	struct virgl_blend_target targets[VIRGL_MAX_COLOR_BUFFERS];
};

/* Overwrite; and source over destination, with colours not multiplied by alpha. */
extern const struct virgl_blend virgl_blend_opaque;
extern const struct virgl_blend virgl_blend_over;

void virgl_create_blend(struct virgl_encoder *e, uint32_t handle, const struct virgl_blend *blend);

struct virgl_rasterizer {
	uint32_t flags; /* VIRGL_RS_*, enum pipe_face << VIRGL_RS_CULL_SHIFT */
	uint32_t point_size, line_width;
	uint32_t sprite_coord_enable;
	uint32_t offset_units, offset_scale, offset_clamp;
};

/* Filled triangles, no culling, no scissor, depth clip, pixel centres at one half. */
extern const struct virgl_rasterizer virgl_rasterizer_default;

void virgl_create_rasterizer(struct virgl_encoder *e, uint32_t handle, const struct virgl_rasterizer *rs);

struct virgl_stencil {
	bool enable;
	uint8_t func, fail_op, zpass_op, zfail_op; /* enum pipe_func, enum pipe_stencil_op */
	uint8_t value_mask, write_mask;
};

struct virgl_dsa {
	bool depth_enable, depth_write;
	uint8_t depth_func;		 /* enum pipe_func */
	struct virgl_stencil stencil[2]; /* front, back */
};

/* No depth and no stencil test. */
extern const struct virgl_dsa virgl_dsa_off;

void virgl_create_dsa(struct virgl_encoder *e, uint32_t handle, const struct virgl_dsa *dsa);

struct virgl_vertex_element {
	uint32_t offset;	/* bytes, in the vertex */
	uint32_t divisor;	/* 0: per vertex */
	uint32_t vertex_buffer; /* index into virgl_set_vertex_buffers() */
	uint32_t format;	/* enum virgl_format */
};

void virgl_create_vertex_elements(struct virgl_encoder *e, uint32_t handle, const struct virgl_vertex_element *elements,
				  unsigned count);

/* A shader from TGSI text; @type is enum pipe_shader_type. */
void virgl_create_shader(struct virgl_encoder *e, uint32_t handle, uint32_t type, const char *text);

/*
 * The same in parts, for texts longer than the buffer: encodes what fits from byte @done on and returns how much
 * of the text (terminator included) is encoded now. Call again in the next submission until virgl_shader_bytes()
 * is reached; nothing else may create a shader of this type meanwhile. Fails when not even 4 bytes fit.
 */
size_t virgl_create_shader_part(struct virgl_encoder *e, uint32_t handle, uint32_t type, const char *text, size_t done);
size_t virgl_shader_bytes(const char *text);

struct virgl_sampler_view {
	uint32_t resource, format, target; /* enum virgl_format, enum pipe_target */
	uint32_t first_layer, last_layer, first_level, last_level;
	uint8_t swizzle[4]; /* enum pipe_swizzle */
};

void virgl_create_sampler_view(struct virgl_encoder *e, uint32_t handle, const struct virgl_sampler_view *view);
/* The common case: level 0 of a 2D texture, channels as they are. */
void virgl_create_texture_view(struct virgl_encoder *e, uint32_t handle, uint32_t resource, uint32_t format);

struct virgl_sampler_state {
	uint8_t wrap_s, wrap_t, wrap_r;		    /* enum pipe_wrap */
	uint8_t min_filter, mip_filter, mag_filter; /* enum pipe_filter, enum pipe_mipfilter */
	bool compare;
	uint8_t compare_func; /* enum pipe_func */
	uint32_t lod_bias, min_lod, max_lod;
	uint32_t border_color[4];
};

/* Clamp to edge, no mipmaps, nearest texel; and the same with linear filtering. */
extern const struct virgl_sampler_state virgl_sampler_nearest;
extern const struct virgl_sampler_state virgl_sampler_linear;

void virgl_create_sampler_state(struct virgl_encoder *e, uint32_t handle, const struct virgl_sampler_state *state);

/* What can be drawn to: one level of @resource, layers first..last. */
void virgl_create_surface(struct virgl_encoder *e, uint32_t handle, uint32_t resource, uint32_t format, uint32_t level,
			  uint32_t first_layer, uint32_t last_layer);

/* Blend, rasterizer, DSA, vertex elements; @type is enum virgl_object_type. Handle 0 unbinds. */
void virgl_bind_object(struct virgl_encoder *e, uint32_t type, uint32_t handle);
void virgl_bind_shader(struct virgl_encoder *e, uint32_t type, uint32_t handle);
void virgl_destroy_object(struct virgl_encoder *e, uint32_t type, uint32_t handle);

/* ---- state ---- */

/* @colors: handles of surfaces; @depth: one, or 0. */
void virgl_set_framebuffer(struct virgl_encoder *e, const uint32_t *colors, unsigned count, uint32_t depth);

/* Window coordinate = ndc * scale + translate, for x, y, z. */
void virgl_set_viewport(struct virgl_encoder *e, const uint32_t scale[3], const uint32_t translate[3]);
/*
 * The viewport that maps -1..1 to a whole @width x @height picture and depth to 0..1. @flip: ndc y = 1 is row 0
 * (what a scanout shows at the top) instead of the last row.
 */
void virgl_set_viewport_whole(struct virgl_encoder *e, uint32_t width, uint32_t height, bool flip);
/* Takes effect with VIRGL_RS_SCISSOR. Pixels min <= x < max; each below 65536. */
void virgl_set_scissor(struct virgl_encoder *e, uint32_t min_x, uint32_t min_y, uint32_t max_x, uint32_t max_y);

struct virgl_vertex_buffer {
	uint32_t stride, offset, resource;
};

void virgl_set_vertex_buffers(struct virgl_encoder *e, const struct virgl_vertex_buffer *buffers, unsigned count);
/* @index_bytes: 1, 2 or 4. Resource 0 unbinds. */
void virgl_set_index_buffer(struct virgl_encoder *e, uint32_t resource, uint32_t index_bytes, uint32_t offset);
/* CONST[0][0..]: @count words, four to a register, for shader @type. */
void virgl_set_constants(struct virgl_encoder *e, uint32_t type, const uint32_t *values, unsigned count);
/* CONST[@index] of shader @type comes from @bytes at @offset of a buffer resource. */
void virgl_set_uniform_buffer(struct virgl_encoder *e, uint32_t type, uint32_t index, uint32_t resource,
			      uint32_t offset, uint32_t bytes);
void virgl_set_sampler_views(struct virgl_encoder *e, uint32_t type, uint32_t first, const uint32_t *handles,
			     unsigned count);
void virgl_bind_sampler_states(struct virgl_encoder *e, uint32_t type, uint32_t first, const uint32_t *handles,
			       unsigned count);
void virgl_set_stencil_ref(struct virgl_encoder *e, uint8_t front, uint8_t back);
void virgl_set_blend_color(struct virgl_encoder *e, const uint32_t rgba[4]);
void virgl_set_sample_mask(struct virgl_encoder *e, uint32_t mask);

/* ---- drawing ---- */

/* @buffers: PIPE_CLEAR_*; @rgba: floats, or integers for an integer surface; @depth: the bits of a double. */
void virgl_clear(struct virgl_encoder *e, uint32_t buffers, const uint32_t rgba[4], uint64_t depth, uint32_t stencil);

struct virgl_draw {
	uint32_t mode;	       /* enum pipe_prim */
	uint32_t start, count; /* indexed: start is ignored by renderers; give virgl_set_index_buffer() an offset */
	bool indexed;
	int32_t index_bias;
	uint32_t instances, start_instance; /* instances 0 is taken as 1 */
	bool primitive_restart;
	uint32_t restart_index;
	uint32_t min_index, max_index; /* of the vertices used; max 0: start + count - 1, or no bound if indexed */
};

void virgl_draw(struct virgl_encoder *e, const struct virgl_draw *draw);
/* Vertices start..start+count-1, no index buffer. */
void virgl_draw_arrays(struct virgl_encoder *e, uint32_t mode, uint32_t start, uint32_t count);

/* ---- moving data ---- */

struct virgl_region {
	uint32_t x, y, z, width, height, depth; /* depth 1 for a 2D picture; buffers: x and width are bytes */
};

/* Put @bytes at @data into level @level of @resource; rows @stride bytes apart (0: packed). */
void virgl_inline_write(struct virgl_encoder *e, uint32_t resource, uint32_t level, const struct virgl_region *to,
			uint32_t stride, uint32_t layer_stride, const void *data, size_t bytes);

struct virgl_blit_side {
	uint32_t resource, level, format;
	/* Width and height may be negative to mirror: the region then ends before it starts. */
	int32_t x, y, z, width, height, depth;
};

struct virgl_blit {
	uint32_t mask;	 /* PIPE_MASK_* */
	uint32_t filter; /* enum pipe_filter */
	uint32_t flags;	 /* VIRGL_BLIT_* */
	uint32_t scissor_min_x, scissor_min_y, scissor_max_x, scissor_max_y;
	struct virgl_blit_side dst, src;
};

/* Scale, convert or resolve samples from one resource to another. */
void virgl_blit(struct virgl_encoder *e, const struct virgl_blit *blit);

/* Copy as it is, same format and size. */
void virgl_copy_region(struct virgl_encoder *e, uint32_t dst, uint32_t dst_level, uint32_t dst_x, uint32_t dst_y,
		       uint32_t dst_z, uint32_t src, uint32_t src_level, const struct virgl_region *from);

/*
 * Move between a resource and its backing pages inside the stream, at @offset of the backing; @direction is
 * VIRGL_TRANSFER_*. The same as TRANSFER_TO/FROM_HOST_3D without a round trip of its own.
 */
void virgl_transfer(struct virgl_encoder *e, uint32_t direction, uint32_t resource, uint32_t level,
		    const struct virgl_region *box, uint32_t stride, uint32_t layer_stride, uint32_t offset);

#endif
