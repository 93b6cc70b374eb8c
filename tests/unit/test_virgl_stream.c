// SPDX-License-Identifier: MIT
/* What is refused of a command stream before virglrenderer sees it; and that a refusal changes nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guest-drivers/bare/virgl.h"
#include "host/gpu/virgl_stream.h"

#define WORDS 512u

static struct virgl_stream stream;
static uint32_t words[WORDS];
static struct virgl_encoder e;

static int fresh(void **state)
{
	(void)state;
	memset(&stream, 0, sizeof(stream));
	virgl_encoder_init(&e, words, WORDS);
	return 0;
}

/* Check what was encoded, and start over. */
static int check(void)
{
	int err = virgl_stream_check(&stream, words, e.used);

	virgl_encoder_init(&e, words, WORDS);
	return err;
}

/* A shader command: offset word @offset, @count words of text. */
static void put_shader(uint32_t handle, uint32_t type, uint32_t offset, uint32_t count)
{
	uint32_t *w = words + e.used;

	w[0] = VIRGL_HEADER(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_SHADER, 5 + count);
	w[1] = handle;
	w[2] = type;
	w[3] = offset;
	w[4] = 100;
	w[5] = 0;
	memset(w + 6, 0, count * 4);
	e.used += 6 + count;
}

static void every_cut_is_refused(void **state)
{
	size_t whole;

	(void)state;
	virgl_create_sub_context(&e, 3);
	virgl_clear(&e, PIPE_CLEAR_COLOR0, (const uint32_t[4]){0}, 0, 0);
	virgl_draw_arrays(&e, PIPE_PRIM_TRIANGLES, 0, 3);
	whole = e.used;
	for (size_t count = 0; count <= whole; count++) {
		bool at_border = count == 0 || count == 2 || count == 11 || count == whole;

		memset(&stream, 0, sizeof(stream));
		assert_int_equal(virgl_stream_check(&stream, words, count), at_border ? 0 : -EINVAL);
		assert_int_equal(stream.count, at_border && count > 0 ? 1 : 0);
	}
}

static void sub_contexts_are_counted(void **state)
{
	(void)state;
	for (uint32_t id = 1; id <= VIRGL_STREAM_SUB_CONTEXTS; id++)
		virgl_create_sub_context(&e, id);
	virgl_create_sub_context(&e, 5);
	virgl_create_sub_context(&e, 0);
	assert_int_equal(check(), 0);
	virgl_create_sub_context(&e, 1000);
	assert_int_equal(check(), -ENOMEM);
	virgl_destroy_sub_context(&e, 999);
	virgl_destroy_sub_context(&e, 1);
	virgl_create_sub_context(&e, 1000);
	assert_int_equal(check(), 0);
	assert_int_equal(stream.count, VIRGL_STREAM_SUB_CONTEXTS);
}

static void partial_shader_may_not_be_used(void **state)
{
	(void)state;
	virgl_create_sub_context(&e, 1);
	put_shader(7, PIPE_SHADER_FRAGMENT, 30, 4);
	assert_int_equal(check(), 0);
	virgl_bind_shader(&e, PIPE_SHADER_FRAGMENT, 7);
	assert_int_equal(check(), -EINVAL);
	/* Linked is used, too. */
	words[0] = VIRGL_HEADER(VIRGL_CCMD_LINK_SHADER, 0, 6);
	memcpy(words + 1, (const uint32_t[6]){0, 7, 0, 0, 0, 0}, 24);
	e.used = 7;
	assert_int_equal(check(), -EINVAL);
	/* Another sub-context's 7 is another object. */
	virgl_set_sub_context(&e, 0);
	virgl_bind_shader(&e, PIPE_SHADER_FRAGMENT, 7);
	virgl_set_sub_context(&e, 1);
	assert_int_equal(check(), 0);
	/* Only the next part, then it may. */
	put_shader(7, PIPE_SHADER_FRAGMENT, 12 | VIRGL_SHADER_CONTINUED, 4);
	assert_int_equal(check(), -EINVAL);
	put_shader(8, PIPE_SHADER_FRAGMENT, 10, 3);
	assert_int_equal(check(), -EINVAL);
	put_shader(7, PIPE_SHADER_FRAGMENT, 16 | VIRGL_SHADER_CONTINUED, 5);
	assert_int_equal(check(), -EINVAL);
	put_shader(7, PIPE_SHADER_FRAGMENT, 16 | VIRGL_SHADER_CONTINUED, 4);
	virgl_bind_shader(&e, PIPE_SHADER_FRAGMENT, 7);
	assert_int_equal(check(), 0);
}

static void shader_sizes_are_limited(void **state)
{
	(void)state;
	put_shader(7, PIPE_SHADER_VERTEX, VIRGL_STREAM_SHADER_BYTES + 1, 4);
	assert_int_equal(check(), -ENOMEM);
	put_shader(7, PIPE_SHADER_VERTEX, 0x7fffffff, 4);
	assert_int_equal(check(), -ENOMEM);
	put_shader(7, 6, 4, 4);
	assert_int_equal(check(), -EINVAL);
	/* Stream outputs that the command has no room for. */
	put_shader(7, PIPE_SHADER_VERTEX, 4, 4);
	words[5] = 2;
	assert_int_equal(check(), -EINVAL);
	put_shader(7, PIPE_SHADER_VERTEX, 4, 4);
	words[5] = 0xffffffff;
	assert_int_equal(check(), -EINVAL);
	/* In a compute shader that word is a size. */
	put_shader(7, PIPE_SHADER_COMPUTE, 4, 4);
	words[5] = 0xffffffff;
	assert_int_equal(check(), 0);
}

static void reading_is_noticed(void **state)
{
	const struct virgl_region box = {.width = 1, .height = 1, .depth = 1};
	uint32_t *copy;

	(void)state;
	virgl_draw_arrays(&e, PIPE_PRIM_TRIANGLES, 0, 3);
	virgl_transfer(&e, VIRGL_TRANSFER_TO_HOST, 5, 0, &box, 0, 0, 0);
	assert_int_equal(check(), 0);
	assert_false(stream.reads);
	virgl_transfer(&e, VIRGL_TRANSFER_FROM_HOST, 5, 0, &box, 0, 0, 0);
	virgl_draw_arrays(&e, PIPE_PRIM_TRIANGLES, 0, 3);
	assert_int_equal(check(), 0);
	assert_true(stream.reads);
	virgl_draw_arrays(&e, PIPE_PRIM_TRIANGLES, 0, 3);
	assert_int_equal(check(), 0);
	assert_false(stream.reads);
	for (uint32_t from = 0; from < 2; from++) {
		copy = words + e.used;
		memset(copy, 0, (1 + VIRGL_WORDS_COPY_TRANSFER3D) * sizeof(*copy));
		copy[0] = VIRGL_HEADER(VIRGL_CCMD_COPY_TRANSFER3D, 0, VIRGL_WORDS_COPY_TRANSFER3D);
		copy[14] = from ? VIRGL_COPY_TRANSFER_FROM_HOST : 1;
		e.used += 1 + VIRGL_WORDS_COPY_TRANSFER3D;
		assert_int_equal(check(), 0);
		assert_int_equal(stream.reads, from);
	}
	/* Too short to say where to. */
	words[0] = VIRGL_HEADER(VIRGL_CCMD_TRANSFER3D, 0, 1);
	words[1] = 5;
	e.used = 2;
	assert_int_equal(check(), 0);
	assert_false(stream.reads);
}

/* Whole commands, all of them once and in order, and none smaller than asked for but the last. */
static void pieces_are_whole_commands(void **state)
{
	size_t at[40], commands = 0;

	(void)state;
	while (e.used + 14 <= 300 && commands < 40) {
		at[commands++] = e.used;
		if (commands % 3)
			virgl_set_sub_context(&e, 1);
		else
			virgl_draw_arrays(&e, PIPE_PRIM_TRIANGLES, 0, 3);
	}
	for (size_t least = 1; least <= e.used + 1; least++) {
		size_t begin = 0, next = 0;

		while (begin < e.used) {
			size_t piece = virgl_stream_piece(words + begin, e.used - begin, least);

			assert_true(piece > 0 && piece <= e.used - begin);
			assert_true(piece >= least || begin + piece == e.used);
			/* Without its last command it would be too small. */
			while (next < commands && at[next] < begin + piece)
				next++;
			assert_true(next == commands ? begin + piece == e.used : begin + piece == at[next]);
			assert_true(at[next - 1] - begin < least);
			begin += piece;
		}
	}
}

static void name_object(uint32_t blob_id, uint32_t words_after)
{
	uint32_t *w = words + e.used;

	w[0] = VIRGL_HEADER(VIRGL_CCMD_PIPE_RESOURCE_CREATE, 0, words_after);
	for (uint32_t i = 1; i <= words_after; i++)
		w[i] = 100 * blob_id + i;
	if (words_after == VIRGL_WORDS_PIPE_RESOURCE_CREATE)
		w[words_after] = blob_id;
	e.used += 1 + words_after;
}

static void objects_wait_for_their_resource(void **state)
{
	struct gpu_resource_shape shape;

	(void)state;
	for (uint32_t id = 1; id <= VIRGL_STREAM_OBJECTS; id++)
		name_object(id, VIRGL_WORDS_PIPE_RESOURCE_CREATE);
	assert_int_equal(check(), 0);
	assert_true(stream.creates);
	name_object(1000, VIRGL_WORDS_PIPE_RESOURCE_CREATE);
	assert_int_equal(check(), -ENOMEM);
	name_object(3, VIRGL_WORDS_PIPE_RESOURCE_CREATE);
	assert_int_equal(check(), 0);
	assert_int_equal(virgl_stream_take(&stream, 1000, &shape), -ENOENT);
	/* Only half of a blob_id comes in the stream. */
	assert_int_equal(virgl_stream_take(&stream, UINT64_C(1) << 32 | 3, &shape), -ENOENT);
	assert_int_equal(virgl_stream_take(&stream, 3, &shape), 0);
	assert_int_equal(shape.target, 301);
	assert_int_equal(shape.format, 302);
	assert_int_equal(shape.bind, 303);
	assert_int_equal(shape.width, 304);
	assert_int_equal(shape.height, 305);
	assert_int_equal(shape.depth, 306);
	assert_int_equal(shape.array_size, 307);
	assert_int_equal(shape.last_level, 308);
	assert_int_equal(shape.nr_samples, 309);
	assert_int_equal(shape.flags, 310);
	assert_int_equal(virgl_stream_take(&stream, 3, &shape), -ENOENT);
	for (uint32_t id = 1; id <= VIRGL_STREAM_OBJECTS; id++)
		assert_int_equal(virgl_stream_take(&stream, id, &shape), id == 3 ? -ENOENT : 0);
	virgl_draw_arrays(&e, PIPE_PRIM_TRIANGLES, 0, 3);
	assert_int_equal(check(), 0);
	assert_false(stream.creates);
	for (uint32_t length = 1; length < 20; length++) {
		name_object(1, length);
		assert_int_equal(check(), length == VIRGL_WORDS_PIPE_RESOURCE_CREATE ? 0 : -EINVAL);
	}
}

static void objects_are_hidden(void **state)
{
	uint32_t before[WORDS];

	(void)state;
	virgl_draw_arrays(&e, PIPE_PRIM_TRIANGLES, 0, 3);
	name_object(7, VIRGL_WORDS_PIPE_RESOURCE_CREATE);
	virgl_create_sub_context(&e, 48);
	memcpy(before, words, sizeof(before));
	virgl_stream_hide(words, e.used);
	before[1 + VIRGL_WORDS_DRAW_VBO] = VIRGL_HEADER(VIRGL_CCMD_NOP, 0, VIRGL_WORDS_PIPE_RESOURCE_CREATE);
	assert_memory_equal(words, before, e.used * sizeof(words[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_cut_is_refused, fresh),
		cmocka_unit_test_setup(sub_contexts_are_counted, fresh),
		cmocka_unit_test_setup(partial_shader_may_not_be_used, fresh),
		cmocka_unit_test_setup(shader_sizes_are_limited, fresh),
		cmocka_unit_test_setup(reading_is_noticed, fresh),
		cmocka_unit_test_setup(pieces_are_whole_commands, fresh),
		cmocka_unit_test_setup(objects_wait_for_their_resource, fresh),
		cmocka_unit_test_setup(objects_are_hidden, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
