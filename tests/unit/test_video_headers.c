// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "host/video/headers.h"

/* H.264: a delimiter, both parameter sets, a slice with zeros at its end, a slice. */
#define AUD 0, 0, 0, 1, 9, 0xf0
#define SPS 0, 0, 0, 1, 0x67, 66, 0, 13
#define PPS 0, 0, 1, 0x68, 1, 2
#define SLICE 0, 0, 1, 0x65, 5, 6, 7, 0, 0
#define SLICE2 0, 0, 1, 0x41, 8

static const uint8_t all[] = {AUD, SPS, PPS, SLICE, SLICE2};

static void scan_remembers_parameter_sets(void **state)
{
	static const uint8_t sets[] = {0, 0, 1, 0x67, 66, 0, 13, PPS}, none[] = {AUD, SLICE};
	struct video_headers h = {0};

	(void)state;
	assert_true(video_headers_scan(&h, VIDEO_HEADERS_H264, all, sizeof(all)));
	assert_int_equal(h.bytes, sizeof(sets));
	assert_memory_equal(h.data, sets, sizeof(sets));
	assert_false(video_headers_scan(&h, VIDEO_HEADERS_H264, none, sizeof(none)));
	assert_int_equal(h.bytes, sizeof(sets));
	assert_false(video_headers_scan(&h, VIDEO_HEADERS_NONE, all, sizeof(all)));
}

/* What is left of the first @bytes bytes without parameter sets. */
static size_t strip(const uint8_t *data, size_t bytes, uint8_t *out)
{
	size_t at = 0, n, used = 0;
	const uint8_t *part;

	while ((part = video_headers_skip(VIDEO_HEADERS_H264, data, bytes, &at, &n)) != NULL) {
		assert_true(n > 0 && part >= data && part + n <= data + bytes);
		memcpy(out + used, part, n);
		used += n;
	}
	return used;
}

static void skip_leaves_parameter_sets_out(void **state)
{
	static const uint8_t rest[] = {AUD, SLICE, SLICE2}, plain[] = {1, 2, 3};
	uint8_t out[sizeof(all)];

	(void)state;
	assert_int_equal(strip(all, sizeof(all), out), sizeof(rest));
	assert_memory_equal(out, rest, sizeof(rest));
	assert_int_equal(strip(plain, sizeof(plain), out), sizeof(plain));
	/* Cut anywhere it stays inside. */
	for (size_t n = 0; n < sizeof(all); n++)
		assert_true(strip(all, n, out) <= n);
}

static void place_is_behind_a_delimiter(void **state)
{
	static const uint8_t aud[] = {AUD}, plain[] = {SLICE};

	(void)state;
	assert_int_equal(video_headers_place(VIDEO_HEADERS_H264, all, sizeof(all)), sizeof(aud));
	assert_int_equal(video_headers_place(VIDEO_HEADERS_H264, plain, sizeof(plain)), 0);
	assert_int_equal(video_headers_place(VIDEO_HEADERS_H264, aud, 4), 0);
	assert_int_equal(video_headers_place(VIDEO_HEADERS_HEVC, all, sizeof(all)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scan_remembers_parameter_sets),
		cmocka_unit_test(skip_leaves_parameter_sets_out),
		cmocka_unit_test(place_is_behind_a_delimiter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
