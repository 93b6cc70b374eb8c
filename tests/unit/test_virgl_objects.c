// SPDX-License-Identifier: MIT
/* What is counted of the objects that a command stream makes and destroys, by handle and sub-context. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest-drivers/bare/virgl.h"
#include "host/gpu/virgl_objects.h"
#include "protocol/virgl.h"

#define WORDS 4096u
/* An object of two words. */
#define SMALL (VIRGL_OBJECT_BYTES + 8u)

static struct virgl_objects objects;
static struct virgl_stream stream;
static uint32_t words[WORDS];
static struct virgl_encoder e;

static int fresh(void **state)
{
	(void)state;
	virgl_objects_finish(&objects);
	memset(&stream, 0, sizeof(stream));
	virgl_encoder_init(&e, words, WORDS);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	virgl_objects_finish(&objects);
	return 0;
}

static void put(uint32_t command, uint32_t type, const uint32_t *w, uint32_t count)
{
	words[e.used] = VIRGL_HEADER(command, type, count);
	memcpy(words + e.used + 1, w, count * sizeof(*w));
	e.used += 1 + count;
}

static void create(uint32_t handle)
{
	put(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_BLEND, (const uint32_t[]){handle, 0}, 2);
}

static void destroy(uint32_t handle)
{
	put(VIRGL_CCMD_DESTROY_OBJECT, VIRGL_OBJECT_BLEND, &handle, 1);
}

/* Check and follow what was put, and start over. */
static void follow(void)
{
	struct virgl_stream before = stream;

	assert_int_equal(virgl_stream_check(&stream, words, e.used), 0);
	assert_true(stream.handles);
	assert_int_equal(virgl_objects_follow(&objects, &before, words, e.used), 0);
	assert_int_equal(before.current, stream.current);
	virgl_encoder_init(&e, words, WORDS);
}

static void what_is_destroyed_counts_no_more(void **state)
{
	(void)state;
	create(7);
	create(8);
	assert_int_equal(virgl_objects_wanted(words, e.used), 2 * SMALL);
	destroy(7);
	follow();
	assert_int_equal(objects.bytes, SMALL);
	destroy(7);
	destroy(9);
	/* Another of that handle takes its place. */
	create(8);
	follow();
	assert_int_equal(objects.bytes, SMALL);
	destroy(8);
	follow();
	assert_int_equal(objects.bytes, 0);
}

static void sub_contexts_have_handles_of_their_own(void **state)
{
	(void)state;
	create(7);
	virgl_create_sub_context(&e, 5);
	create(7);
	create(8);
	virgl_set_sub_context(&e, 0);
	destroy(8);
	follow();
	assert_int_equal(objects.bytes, 3 * SMALL);
	virgl_destroy_sub_context(&e, 5);
	virgl_destroy_sub_context(&e, 0);
	virgl_destroy_sub_context(&e, 6);
	follow();
	assert_int_equal(objects.bytes, SMALL);
	/* As many as there may be, and again. */
	for (unsigned round = 0; round < 3; round++) {
		for (uint32_t id = 1; id <= VIRGL_STREAM_SUB_CONTEXTS; id++) {
			virgl_create_sub_context(&e, id);
			create(id);
		}
		follow();
		assert_int_equal(objects.bytes, (1 + VIRGL_STREAM_SUB_CONTEXTS) * SMALL);
		for (uint32_t id = 1; id <= VIRGL_STREAM_SUB_CONTEXTS; id++)
			virgl_destroy_sub_context(&e, id);
		follow();
		assert_int_equal(objects.bytes, SMALL);
	}
}

static void a_long_shader_counts_whole_and_once(void **state)
{
	const uint32_t total = 4000;
	uint32_t w[5 + 10] = {9, PIPE_SHADER_FRAGMENT, total, 100, 0};

	(void)state;
	put(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_SHADER, w, 15);
	assert_int_equal(virgl_objects_wanted(words, e.used), VIRGL_OBJECT_BYTES + total);
	follow();
	assert_int_equal(objects.bytes, VIRGL_OBJECT_BYTES + total);
	w[2] = 40 | VIRGL_SHADER_CONTINUED;
	put(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_SHADER, w, 15);
	assert_int_equal(virgl_objects_wanted(words, e.used), 0);
	follow();
	assert_int_equal(objects.bytes, VIRGL_OBJECT_BYTES + total);
	destroy(9);
	follow();
	assert_int_equal(objects.bytes, 0);
}

/* Handles that collide, in a random order, against a plain array. */
static void any_order_of_handles_adds_up(void **state)
{
	static uint8_t there[256];
	uint64_t random = 7;
	unsigned count = 0;

	(void)state;
	memset(there, 0, sizeof(there));
	for (unsigned i = 0; i < 50000; i++) {
		uint32_t which, handle;

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		which = (uint32_t)(random >> 40) % 256;
		/* Half of them differ in the high bits alone. */
		handle = which < 128 ? which + 1 : which << 20;
		if (random >> 33 & 1) {
			create(handle);
			count += !there[which];
			there[which] = 1;
		} else {
			destroy(handle);
			count -= there[which];
			there[which] = 0;
		}
		follow();
		assert_int_equal(objects.bytes, count * SMALL);
	}
}

/* Else each sub-context keeps room for as many as the limit lets in, one after the other. */
static void room_of_what_is_destroyed_is_given_back(void **state)
{

	(void)state;
	for (uint32_t handle = 1; handle <= 20000; handle++) {
		create(handle);
		follow();
	}
	assert_true(objects.tables[0].room > 20000);
	for (uint32_t handle = 20000; handle > 1; handle--) {
		destroy(handle);
		follow();
		assert_true(objects.tables[0].room > 2 * objects.tables[0].count);
	}
	assert_int_equal(objects.bytes, SMALL);
	assert_true(objects.tables[0].room <= 64);
	create(1);
	destroy(1);
	follow();
	assert_int_equal(objects.bytes, 0);
}

#define CASE(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_destroyed_counts_no_more),
		CASE(sub_contexts_have_handles_of_their_own),
		CASE(a_long_shader_counts_whole_and_once),
		CASE(any_order_of_handles_adds_up),
		CASE(room_of_what_is_destroyed_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, finish);
}
