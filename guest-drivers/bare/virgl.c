// SPDX-License-Identifier: MIT
#include "guest-drivers/bare/virgl.h"

/* ---- words ---- */

void virgl_encoder_init(struct virgl_encoder *e, uint32_t *words, size_t capacity)
{
	e->words = words;
	e->capacity = capacity;
	e->used = 0;
	e->failed = false;
}

/* Room for a command of @words after its header: returns where they go, or NULL. */
static uint32_t *begin(struct virgl_encoder *e, uint32_t command, uint32_t object, size_t words)
{
	uint32_t *w;

	if (e->failed || words > VIRGL_COMMAND_MAX_WORDS || e->capacity - e->used < words + 1) {
		e->failed = true;
		return NULL;
	}
	w = e->words + e->used;
	w[0] = VIRGL_HEADER(command, object, words);
	e->used += words + 1;
	return w + 1;
}

static void command1(struct virgl_encoder *e, uint32_t command, uint32_t object, uint32_t a)
{
	uint32_t *w = begin(e, command, object, 1);

	if (w)
		w[0] = a;
}

static void copy_words(uint32_t *dst, const uint32_t *src, size_t count)
{
	for (size_t i = 0; i < count; i++)
		dst[i] = src[i];
}

/* Bytes into words, low byte first; the last word is filled up with zeros. */
static void copy_bytes(uint32_t *dst, const uint8_t *src, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 4) {
		uint32_t word = 0;

		for (size_t j = 0; j < 4 && i + j < bytes; j++)
			word |= (uint32_t)src[i + j] << (8 * j);
		dst[i / 4] = word;
	}
}

uint32_t virgl_float(int32_t value, unsigned fraction_bits)
{
	uint32_t sign = value < 0 ? 0x80000000u : 0;
	uint32_t magnitude = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
	unsigned top;

	if (!magnitude)
		return 0;
	top = 31u - (unsigned)__builtin_clz(magnitude);
	if (top > 23)
		magnitude >>= top - 23;
	else
		magnitude <<= 23 - top;
	return sign | (127 + top - fraction_bits) << 23 | (magnitude & 0x7fffffu);
}

/* ---- sub-contexts ---- */

void virgl_create_sub_context(struct virgl_encoder *e, uint32_t id)
{
	command1(e, VIRGL_CCMD_CREATE_SUB_CTX, 0, id);
}

void virgl_set_sub_context(struct virgl_encoder *e, uint32_t id)
{
	command1(e, VIRGL_CCMD_SET_SUB_CTX, 0, id);
}

void virgl_destroy_sub_context(struct virgl_encoder *e, uint32_t id)
{
	command1(e, VIRGL_CCMD_DESTROY_SUB_CTX, 0, id);
}

/* ---- objects ---- */

const struct virgl_blend virgl_blend_opaque = {
	.targets[0] = {.colormask = PIPE_MASK_RGBA},
};

const struct virgl_blend virgl_blend_over = {
	.targets[0] =
		{
			.enable = true,
			.rgb_func = PIPE_BLEND_ADD,
			.rgb_src = PIPE_BLENDFACTOR_SRC_ALPHA,
			.rgb_dst = PIPE_BLENDFACTOR_INV_SRC_ALPHA,
			.alpha_func = PIPE_BLEND_ADD,
			.alpha_src = PIPE_BLENDFACTOR_ONE,
			.alpha_dst = PIPE_BLENDFACTOR_INV_SRC_ALPHA,
			.colormask = PIPE_MASK_RGBA,
		},
};

void virgl_create_blend(struct virgl_encoder *e, uint32_t handle, const struct virgl_blend *blend)
{
	uint32_t *w = begin(e, VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_BLEND, VIRGL_WORDS_CREATE_BLEND);

	if (!w)
		return;
	w[0] = handle;
	w[1] = blend->flags;
	w[2] = blend->logicop;
	for (unsigned i = 0; i < VIRGL_MAX_COLOR_BUFFERS; i++) {
		const struct virgl_blend_target *t = &blend->targets[i];

		w[3 + i] = (uint32_t)t->enable | (uint32_t)t->rgb_func << 1 | (uint32_t)t->rgb_src << 4 |
			   (uint32_t)t->rgb_dst << 9 | (uint32_t)t->alpha_func << 14 | (uint32_t)t->alpha_src << 17 |
			   (uint32_t)t->alpha_dst << 22 | (uint32_t)t->colormask << 27;
	}
}

const struct virgl_rasterizer virgl_rasterizer_default = {
	.flags = VIRGL_RS_DEPTH_CLIP | VIRGL_RS_HALF_PIXEL_CENTER,
	.point_size = VIRGL_FLOAT_1,
	.line_width = VIRGL_FLOAT_1,
};

void virgl_create_rasterizer(struct virgl_encoder *e, uint32_t handle, const struct virgl_rasterizer *rs)
{
	uint32_t *w = begin(e, VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_RASTERIZER, VIRGL_WORDS_CREATE_RASTERIZER);

	if (!w)
		return;
	w[0] = handle;
	w[1] = rs->flags;
	w[2] = rs->point_size;
	w[3] = rs->sprite_coord_enable;
	w[4] = 0x0000ffffu; /* line stipple pattern, factor, user clip planes: none */
	w[5] = rs->line_width;
	w[6] = rs->offset_units;
	w[7] = rs->offset_scale;
	w[8] = rs->offset_clamp;
}

const struct virgl_dsa virgl_dsa_off = {.depth_func = PIPE_FUNC_ALWAYS};

void virgl_create_dsa(struct virgl_encoder *e, uint32_t handle, const struct virgl_dsa *dsa)
{
	uint32_t *w = begin(e, VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_DSA, VIRGL_WORDS_CREATE_DSA);

	if (!w)
		return;
	w[0] = handle;
	w[1] = (uint32_t)dsa->depth_enable | (uint32_t)dsa->depth_write << 1 | (uint32_t)dsa->depth_func << 2;
	for (unsigned i = 0; i < 2; i++) {
		const struct virgl_stencil *s = &dsa->stencil[i];

		w[2 + i] = (uint32_t)s->enable | (uint32_t)s->func << 1 | (uint32_t)s->fail_op << 4 |
			   (uint32_t)s->zpass_op << 7 | (uint32_t)s->zfail_op << 10 | (uint32_t)s->value_mask << 13 |
			   (uint32_t)s->write_mask << 21;
	}
	w[4] = 0; /* alpha reference: the alpha test is never enabled here */
}

void virgl_create_vertex_elements(struct virgl_encoder *e, uint32_t handle, const struct virgl_vertex_element *elements,
				  unsigned count)
{
	uint32_t *w;

	if (count > VIRGL_MAX_VERTEX_ELEMENTS) {
		e->failed = true;
		return;
	}
	w = begin(e, VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_VERTEX_ELEMENTS, 1 + 4 * (size_t)count);
	if (!w)
		return;
	w[0] = handle;
	for (unsigned i = 0; i < count; i++) {
		w[1 + 4 * i] = elements[i].offset;
		w[2 + 4 * i] = elements[i].divisor;
		w[3 + 4 * i] = elements[i].vertex_buffer;
		w[4 + 4 * i] = elements[i].format;
	}
}

size_t virgl_shader_bytes(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	return n + 1;
}

/*
 * The text travels with its terminator. The first command's offset word is the whole length; when that is more
 * than its own text, continuations follow, whose offset words say where they go. All parts but the last are whole
 * words.
 */
size_t virgl_create_shader_part(struct virgl_encoder *e, uint32_t handle, uint32_t type, const char *text, size_t done)
{
	size_t total = virgl_shader_bytes(text);
	size_t left = total - done;
	size_t room = e->capacity - e->used;
	uint32_t *w;

	if (done >= total)
		return total;
	room = room > VIRGL_WORDS_CREATE_SHADER + 1 ? room - VIRGL_WORDS_CREATE_SHADER - 1 : 0;
	if (room > VIRGL_COMMAND_MAX_WORDS - VIRGL_WORDS_CREATE_SHADER)
		room = VIRGL_COMMAND_MAX_WORDS - VIRGL_WORDS_CREATE_SHADER;
	if (left > room * 4)
		left = room * 4;
	/* A first part without text would be taken for a whole shader of no text. */
	if (!left) {
		e->failed = true;
		return done;
	}
	w = begin(e, VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_SHADER, VIRGL_WORDS_CREATE_SHADER + (left + 3) / 4);
	if (!w)
		return done;
	w[0] = handle;
	w[1] = type;
	w[2] = done ? (uint32_t)done | VIRGL_SHADER_CONTINUED : (uint32_t)total;
	/* Only sizes the decoder's array: a token takes two characters of text at least. */
	w[3] = (uint32_t)(total / 2 + 16);
	w[4] = 0; /* no stream output */
	copy_bytes(w + VIRGL_WORDS_CREATE_SHADER, (const uint8_t *)text + done, left);
	return done + left;
}

void virgl_create_shader(struct virgl_encoder *e, uint32_t handle, uint32_t type, const char *text)
{
	size_t total = virgl_shader_bytes(text);
	size_t used = e->used;
	size_t done = 0;

	while (done < total && !e->failed)
		done = virgl_create_shader_part(e, handle, type, text, done);
	if (e->failed)
		e->used = used;
}

void virgl_create_sampler_view(struct virgl_encoder *e, uint32_t handle, const struct virgl_sampler_view *view)
{
	uint32_t *w = begin(e, VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_SAMPLER_VIEW, VIRGL_WORDS_CREATE_SAMPLER_VIEW);

	if (!w)
		return;
	w[0] = handle;
	w[1] = view->resource;
	w[2] = view->format | view->target << 24;
	w[3] = view->first_layer | view->last_layer << 16;
	w[4] = view->first_level | view->last_level << 8;
	w[5] = (uint32_t)view->swizzle[0] | (uint32_t)view->swizzle[1] << 3 | (uint32_t)view->swizzle[2] << 6 |
	       (uint32_t)view->swizzle[3] << 9;
}

void virgl_create_texture_view(struct virgl_encoder *e, uint32_t handle, uint32_t resource, uint32_t format)
{
	const struct virgl_sampler_view view = {
		.resource = resource,
		.format = format,
		.target = PIPE_TEXTURE_2D,
		.swizzle = {PIPE_SWIZZLE_RED, PIPE_SWIZZLE_GREEN, PIPE_SWIZZLE_BLUE, PIPE_SWIZZLE_ALPHA},
	};

	virgl_create_sampler_view(e, handle, &view);
}

const struct virgl_sampler_state virgl_sampler_nearest = {
	.wrap_s = PIPE_TEX_WRAP_CLAMP_TO_EDGE,
	.wrap_t = PIPE_TEX_WRAP_CLAMP_TO_EDGE,
	.wrap_r = PIPE_TEX_WRAP_CLAMP_TO_EDGE,
	.mip_filter = PIPE_TEX_MIPFILTER_NONE,
};

const struct virgl_sampler_state virgl_sampler_linear = {
	.wrap_s = PIPE_TEX_WRAP_CLAMP_TO_EDGE,
	.wrap_t = PIPE_TEX_WRAP_CLAMP_TO_EDGE,
	.wrap_r = PIPE_TEX_WRAP_CLAMP_TO_EDGE,
	.min_filter = PIPE_TEX_FILTER_LINEAR,
	.mip_filter = PIPE_TEX_MIPFILTER_NONE,
	.mag_filter = PIPE_TEX_FILTER_LINEAR,
};

void virgl_create_sampler_state(struct virgl_encoder *e, uint32_t handle, const struct virgl_sampler_state *state)
{
	uint32_t *w = begin(e, VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_SAMPLER_STATE, VIRGL_WORDS_CREATE_SAMPLER_STATE);

	if (!w)
		return;
	w[0] = handle;
	w[1] = (uint32_t)state->wrap_s | (uint32_t)state->wrap_t << 3 | (uint32_t)state->wrap_r << 6 |
	       (uint32_t)state->min_filter << 9 | (uint32_t)state->mip_filter << 11 |
	       (uint32_t)state->mag_filter << 13 | (uint32_t)state->compare << 15 | (uint32_t)state->compare_func << 16;
	w[2] = state->lod_bias;
	w[3] = state->min_lod;
	w[4] = state->max_lod;
	copy_words(w + 5, state->border_color, 4);
}

void virgl_create_surface(struct virgl_encoder *e, uint32_t handle, uint32_t resource, uint32_t format, uint32_t level,
			  uint32_t first_layer, uint32_t last_layer)
{
	uint32_t *w = begin(e, VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_SURFACE, VIRGL_WORDS_CREATE_SURFACE);

	if (!w)
		return;
	w[0] = handle;
	w[1] = resource;
	w[2] = format;
	w[3] = level;
	w[4] = first_layer | last_layer << 16;
}

void virgl_bind_object(struct virgl_encoder *e, uint32_t type, uint32_t handle)
{
	command1(e, VIRGL_CCMD_BIND_OBJECT, type, handle);
}

void virgl_destroy_object(struct virgl_encoder *e, uint32_t type, uint32_t handle)
{
	command1(e, VIRGL_CCMD_DESTROY_OBJECT, type, handle);
}

void virgl_bind_shader(struct virgl_encoder *e, uint32_t type, uint32_t handle)
{
	uint32_t *w = begin(e, VIRGL_CCMD_BIND_SHADER, 0, 2);

	if (!w)
		return;
	w[0] = handle;
	w[1] = type;
}

/* ---- state ---- */

void virgl_set_framebuffer(struct virgl_encoder *e, const uint32_t *colors, unsigned count, uint32_t depth)
{
	uint32_t *w;

	if (count > VIRGL_MAX_COLOR_BUFFERS) {
		e->failed = true;
		return;
	}
	w = begin(e, VIRGL_CCMD_SET_FRAMEBUFFER_STATE, 0, 2 + count);
	if (!w)
		return;
	w[0] = count;
	w[1] = depth;
	copy_words(w + 2, colors, count);
}

void virgl_set_viewport(struct virgl_encoder *e, const uint32_t scale[3], const uint32_t translate[3])
{
	uint32_t *w = begin(e, VIRGL_CCMD_SET_VIEWPORT_STATE, 0, 7);

	if (!w)
		return;
	w[0] = 0; /* first slot */
	copy_words(w + 1, scale, 3);
	copy_words(w + 4, translate, 3);
}

void virgl_set_viewport_whole(struct virgl_encoder *e, uint32_t width, uint32_t height, bool flip)
{
	const uint32_t half_width = virgl_float((int32_t)width, 1);
	const uint32_t half_height = virgl_float((int32_t)height, 1);
	const uint32_t scale[3] = {half_width, flip ? half_height | 0x80000000u : half_height, VIRGL_FLOAT_HALF};
	const uint32_t translate[3] = {half_width, half_height, VIRGL_FLOAT_HALF};

	virgl_set_viewport(e, scale, translate);
}

void virgl_set_scissor(struct virgl_encoder *e, uint32_t min_x, uint32_t min_y, uint32_t max_x, uint32_t max_y)
{
	uint32_t *w = begin(e, VIRGL_CCMD_SET_SCISSOR_STATE, 0, 3);

	if (!w)
		return;
	w[0] = 0; /* first slot */
	w[1] = (min_x & 0xffff) | min_y << 16;
	w[2] = (max_x & 0xffff) | max_y << 16;
}

void virgl_set_vertex_buffers(struct virgl_encoder *e, const struct virgl_vertex_buffer *buffers, unsigned count)
{
	uint32_t *w;

	if (count > VIRGL_MAX_VERTEX_ELEMENTS) {
		e->failed = true;
		return;
	}
	w = begin(e, VIRGL_CCMD_SET_VERTEX_BUFFERS, 0, 3 * (size_t)count);
	if (!w)
		return;
	for (unsigned i = 0; i < count; i++) {
		w[3 * i] = buffers[i].stride;
		w[3 * i + 1] = buffers[i].offset;
		w[3 * i + 2] = buffers[i].resource;
	}
}

void virgl_set_index_buffer(struct virgl_encoder *e, uint32_t resource, uint32_t index_bytes, uint32_t offset)
{
	uint32_t *w = begin(e, VIRGL_CCMD_SET_INDEX_BUFFER, 0, resource ? 3 : 1);

	if (!w)
		return;
	w[0] = resource;
	if (!resource)
		return;
	w[1] = index_bytes;
	w[2] = offset;
}

void virgl_set_constants(struct virgl_encoder *e, uint32_t type, const uint32_t *values, unsigned count)
{
	uint32_t *w = begin(e, VIRGL_CCMD_SET_CONSTANT_BUFFER, 0, 2 + (size_t)count);

	if (!w)
		return;
	w[0] = type;
	w[1] = 0; /* index: always the first */
	copy_words(w + 2, values, count);
}

void virgl_set_uniform_buffer(struct virgl_encoder *e, uint32_t type, uint32_t index, uint32_t resource,
			      uint32_t offset, uint32_t bytes)
{
	uint32_t *w = begin(e, VIRGL_CCMD_SET_UNIFORM_BUFFER, 0, VIRGL_WORDS_UNIFORM_BUFFER);

	if (!w)
		return;
	w[0] = type;
	w[1] = index;
	w[2] = offset;
	w[3] = bytes;
	w[4] = resource;
}

static void set_handles(struct virgl_encoder *e, uint32_t command, uint32_t type, uint32_t first,
			const uint32_t *handles, unsigned count)
{
	uint32_t *w = begin(e, command, 0, 2 + (size_t)count);

	if (!w)
		return;
	w[0] = type;
	w[1] = first;
	copy_words(w + 2, handles, count);
}

void virgl_set_sampler_views(struct virgl_encoder *e, uint32_t type, uint32_t first, const uint32_t *handles,
			     unsigned count)
{
	set_handles(e, VIRGL_CCMD_SET_SAMPLER_VIEWS, type, first, handles, count);
}

void virgl_bind_sampler_states(struct virgl_encoder *e, uint32_t type, uint32_t first, const uint32_t *handles,
			       unsigned count)
{
	set_handles(e, VIRGL_CCMD_BIND_SAMPLER_STATES, type, first, handles, count);
}

void virgl_set_stencil_ref(struct virgl_encoder *e, uint8_t front, uint8_t back)
{
	command1(e, VIRGL_CCMD_SET_STENCIL_REF, 0, (uint32_t)front | (uint32_t)back << 8);
}

void virgl_set_blend_color(struct virgl_encoder *e, const uint32_t rgba[4])
{
	uint32_t *w = begin(e, VIRGL_CCMD_SET_BLEND_COLOR, 0, 4);

	if (w)
		copy_words(w, rgba, 4);
}

void virgl_set_sample_mask(struct virgl_encoder *e, uint32_t mask)
{
	command1(e, VIRGL_CCMD_SET_SAMPLE_MASK, 0, mask);
}

/* ---- drawing ---- */

void virgl_clear(struct virgl_encoder *e, uint32_t buffers, const uint32_t rgba[4], uint64_t depth, uint32_t stencil)
{
	uint32_t *w = begin(e, VIRGL_CCMD_CLEAR, 0, VIRGL_WORDS_CLEAR);

	if (!w)
		return;
	w[0] = buffers;
	copy_words(w + 1, rgba, 4);
	w[5] = (uint32_t)depth;
	w[6] = (uint32_t)(depth >> 32);
	w[7] = stencil;
}

void virgl_draw(struct virgl_encoder *e, const struct virgl_draw *draw)
{
	uint32_t *w = begin(e, VIRGL_CCMD_DRAW_VBO, 0, VIRGL_WORDS_DRAW_VBO);
	uint32_t max = draw->max_index;

	if (!w)
		return;
	if (!max)
		max = draw->indexed ? UINT32_MAX : draw->start + draw->count - 1;
	w[0] = draw->start;
	w[1] = draw->count;
	w[2] = draw->mode;
	w[3] = draw->indexed;
	w[4] = draw->instances ? draw->instances : 1;
	w[5] = (uint32_t)draw->index_bias;
	w[6] = draw->start_instance;
	w[7] = draw->primitive_restart;
	w[8] = draw->restart_index;
	w[9] = draw->min_index;
	w[10] = max;
	w[11] = 0; /* the count does not come from stream output */
}

void virgl_draw_arrays(struct virgl_encoder *e, uint32_t mode, uint32_t start, uint32_t count)
{
	const struct virgl_draw draw = {.mode = mode, .start = start, .count = count, .min_index = start};

	virgl_draw(e, &draw);
}

/* ---- moving data ---- */

static void put_region(uint32_t *w, const struct virgl_region *r)
{
	w[0] = r->x;
	w[1] = r->y;
	w[2] = r->z;
	w[3] = r->width;
	w[4] = r->height;
	w[5] = r->depth;
}

void virgl_inline_write(struct virgl_encoder *e, uint32_t resource, uint32_t level, const struct virgl_region *to,
			uint32_t stride, uint32_t layer_stride, const void *data, size_t bytes)
{
	uint32_t *w;

	if (bytes > 4 * (size_t)VIRGL_COMMAND_MAX_WORDS) {
		e->failed = true;
		return;
	}
	w = begin(e, VIRGL_CCMD_RESOURCE_INLINE_WRITE, 0, VIRGL_WORDS_INLINE_WRITE + (bytes + 3) / 4);
	if (!w)
		return;
	w[0] = resource;
	w[1] = level;
	w[2] = 0; /* usage: the decoder does not look at it */
	w[3] = stride;
	w[4] = layer_stride;
	put_region(w + 5, to);
	copy_bytes(w + VIRGL_WORDS_INLINE_WRITE, data, bytes);
}

static void put_blit_side(uint32_t *w, const struct virgl_blit_side *s)
{
	w[0] = s->resource;
	w[1] = s->level;
	w[2] = s->format;
	w[3] = (uint32_t)s->x;
	w[4] = (uint32_t)s->y;
	w[5] = (uint32_t)s->z;
	w[6] = (uint32_t)s->width;
	w[7] = (uint32_t)s->height;
	w[8] = (uint32_t)s->depth;
}

void virgl_blit(struct virgl_encoder *e, const struct virgl_blit *blit)
{
	uint32_t *w = begin(e, VIRGL_CCMD_BLIT, 0, VIRGL_WORDS_BLIT);

	if (!w)
		return;
	w[0] = (blit->mask & 0xff) | (blit->filter & 3) << 8 | blit->flags;
	w[1] = (blit->scissor_min_x & 0xffff) | blit->scissor_min_y << 16;
	w[2] = (blit->scissor_max_x & 0xffff) | blit->scissor_max_y << 16;
	put_blit_side(w + 3, &blit->dst);
	put_blit_side(w + 12, &blit->src);
}

void virgl_copy_region(struct virgl_encoder *e, uint32_t dst, uint32_t dst_level, uint32_t dst_x, uint32_t dst_y,
		       uint32_t dst_z, uint32_t src, uint32_t src_level, const struct virgl_region *from)
{
	uint32_t *w = begin(e, VIRGL_CCMD_RESOURCE_COPY_REGION, 0, VIRGL_WORDS_COPY_REGION);

	if (!w)
		return;
	w[0] = dst;
	w[1] = dst_level;
	w[2] = dst_x;
	w[3] = dst_y;
	w[4] = dst_z;
	w[5] = src;
	w[6] = src_level;
	put_region(w + 7, from);
}

void virgl_transfer(struct virgl_encoder *e, uint32_t direction, uint32_t resource, uint32_t level,
		    const struct virgl_region *box, uint32_t stride, uint32_t layer_stride, uint32_t offset)
{
	uint32_t *w = begin(e, VIRGL_CCMD_TRANSFER3D, 0, VIRGL_WORDS_TRANSFER3D);

	if (!w)
		return;
	w[0] = resource;
	w[1] = level;
	w[2] = 0; /* usage: the decoder does not look at it */
	w[3] = stride;
	w[4] = layer_stride;
	put_region(w + 5, box);
	w[11] = offset;
	w[12] = direction;
}
