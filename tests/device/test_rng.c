// SPDX-License-Identifier: MIT
/* virtio-rng over fake guest memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/rng/rng.h"
#include "tests/device/rings.h"

static struct fake_guest *g;
static struct virtio_device *d;

static void begin(const struct fake_guest_options *options)
{
	g = fake_guest_create(options);
	assert_int_equal(rng_create(fake_guest_loop(g), fake_guest_mem(g), &d), 0);
	assert_int_equal(fake_guest_start(g, d), 0);
}

static void end(void)
{
	virtio_device_destroy(d);
	fake_guest_destroy(g);
}

/* 16 bytes that were never written have all bits of the fill pattern once in 2^128 runs. */
static bool is_filled(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i + 16 <= n; i += 16) {
		unsigned same = 0;

		for (size_t k = 0; k < 16; k++)
			same += bytes[i + k] == 0xa5;
		if (same == 16)
			return false;
	}
	return true;
}

static void fills_the_whole_buffer(void **state)
{
	static uint8_t one[RNG_MAX_BYTES], two[RNG_MAX_BYTES];
	static const size_t sizes[] = {16, 32, 255, 256, 257, 1000, RNG_MAX_BYTES};
	uint32_t used;

	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		begin(&rings[r]);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			assert_int_equal(fake_guest_request(g, 0, NULL, 0, one, sizes[i], &used), 0);
			assert_int_equal(used, sizes[i]);
			assert_true(is_filled(one, sizes[i]));
			assert_int_equal(fake_guest_request(g, 0, NULL, 0, two, sizes[i], &used), 0);
			assert_memory_not_equal(one, two, sizes[i]);
		}
		assert_int_equal(rng_counters(d)->requests, 14);
		end();
	}
}

static void a_hog_gets_a_bounded_answer(void **state)
{
	static uint8_t big[1 << 20];
	uint32_t used;

	(void)state;
	begin(NULL);
	assert_int_equal(fake_guest_request(g, 0, NULL, 0, big, sizeof(big), &used), 0);
	assert_int_equal(used, RNG_MAX_BYTES);
	assert_true(is_filled(big, RNG_MAX_BYTES));
	for (size_t i = RNG_MAX_BYTES; i < sizeof(big); i++)
		assert_int_equal(big[i], 0xa5);
	end();
}

static void a_buffer_without_room_is_given_back(void **state)
{
	uint32_t used = 7;

	(void)state;
	begin(NULL);
	assert_int_equal(fake_guest_request(g, 0, "abc", 3, NULL, 0, &used), 0);
	assert_int_equal(used, 0);
	assert_int_equal(fake_guest_request(g, 0, NULL, 0, NULL, 0, &used), 0);
	end();
}

static void request_of_32(void *arg)
{
	uint8_t bytes[32];
	uint32_t used;

	(void)arg;
	assert_int_equal(fake_guest_request(g, 0, NULL, 0, bytes, sizeof(bytes), &used), 0);
	assert_int_equal(used, sizeof(bytes));
	assert_true(is_filled(bytes, sizeof(bytes)));
}

static void a_buffer_may_be_split_anywhere(void **state)
{
	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		begin(&rings[r]);
		fake_guest_split_each(g, 0, 32, request_of_32, NULL);
		end();
	}
}

static void works_again_after_a_reset(void **state)
{
	uint8_t config[4] = {1, 1, 1, 1};

	(void)state;
	begin(NULL);
	request_of_32(NULL);
	fake_guest_reset(g);
	assert_int_equal(fake_guest_start(g, d), 0);
	request_of_32(NULL);
	/* There is no config space: it reads as zeroes. */
	fake_guest_read_config(g, 0, config, sizeof(config));
	assert_memory_equal(config, "\0\0\0\0", 4);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_the_whole_buffer),
		cmocka_unit_test(a_hog_gets_a_bounded_answer),
		cmocka_unit_test(a_buffer_without_room_is_given_back),
		cmocka_unit_test(a_buffer_may_be_split_anywhere),
		cmocka_unit_test(works_again_after_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
