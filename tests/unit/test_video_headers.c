// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
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

/* Some encoders write them before each picture. */
static void sets_that_come_again_take_no_room(void **state)
{
	static const uint8_t again[] = {PPS, SLICE2}, other[] = {0, 0, 1, 0x68, 1, 2, 3, SLICE2};
	static const uint8_t sets[] = {0, 0, 1, 0x67, 66, 0, 13, PPS, 0, 0, 1, 0x68, 1, 2, 3};
	static const uint8_t turned[] = {0, 0, 1, 0x67, 66, 0, 13, 0, 0, 1, 0x68, 1, 2, 3, PPS};
	struct video_headers h = {0};

	(void)state;
	video_headers_scan(&h, VIDEO_HEADERS_H264, all, sizeof(all));
	for (unsigned i = 0; i < VIDEO_HEADERS_MAX; i++)
		assert_false(video_headers_scan(&h, VIDEO_HEADERS_H264, again, sizeof(again)));
	video_headers_scan(&h, VIDEO_HEADERS_H264, other, sizeof(other));
	assert_int_equal(h.bytes, sizeof(sets));
	assert_memory_equal(h.data, sets, sizeof(sets));
	/* What came last counts for a decoder; and one is not the beginning of another. */
	video_headers_scan(&h, VIDEO_HEADERS_H264, again, sizeof(again));
	assert_int_equal(h.bytes, sizeof(turned));
	assert_memory_equal(h.data, turned, sizeof(turned));
	video_headers_scan(&h, VIDEO_HEADERS_H264, again, sizeof(again));
	assert_memory_equal(h.data, turned, sizeof(turned));
}

/* In one access unit. A picture's set refers to the sequence's, which a decoder has to know by then. */
static void a_sequences_set_stays_before_those_that_refer_to_it(void **state)
{
	static const uint8_t twice[] = {SPS, PPS, SPS, SLICE}, once[] = {SPS, PPS, SLICE};
	struct video_headers h = {0}, wanted = {0};

	(void)state;
	assert_true(video_headers_scan(&h, VIDEO_HEADERS_H264, twice, sizeof(twice)));
	assert_true(video_headers_scan(&wanted, VIDEO_HEADERS_H264, once, sizeof(once)));
	assert_int_equal(h.bytes, wanted.bytes);
	assert_memory_equal(h.data, wanted.data, h.bytes);
}

static void check_cut(enum video_headers_kind kind, const uint8_t *in, size_t bytes, const uint8_t *out, size_t left)
{
	/* As much as there is, for sanitizers. */
	uint8_t *data = malloc(bytes ? bytes : 1);

	assert_non_null(data);
	memcpy(data, in, bytes);
	assert_int_equal(video_headers_cut_ends(kind, data, bytes), left);
	assert_memory_equal(data, out, left);
	free(data);
}

static void an_end_has_nothing_in_it(void **state)
{
	static const uint8_t in[] = {AUD, SLICE, 0, 0, 1, 11, 5, 6, 7, 8, SLICE2, 0, 0, 1, 10, 0, 0, 0, 0};
	static const uint8_t out[] = {AUD, SLICE, 0, 0, 1, 11, SLICE2, 0, 0, 1, 10};
	/* HEVC: a slice, an end of stream (37) and one of a sequence (36). */
	static const uint8_t in5[] = {0, 0, 1, 2, 1, 9, 0, 0, 1, 0x4a, 1, 7, 0, 0, 1, 0x48, 1, 0, 0, 1, 0x48};
	static const uint8_t out5[] = {0, 0, 1, 2, 1, 9, 0, 0, 1, 0x4a, 1, 0, 0, 1, 0x48, 1, 0, 0, 1, 0x48};

	(void)state;
	check_cut(VIDEO_HEADERS_H264, in, sizeof(in), out, sizeof(out));
	check_cut(VIDEO_HEADERS_H264, out, sizeof(out), out, sizeof(out));
	check_cut(VIDEO_HEADERS_H264, all, sizeof(all), all, sizeof(all));
	check_cut(VIDEO_HEADERS_HEVC, in5, sizeof(in5), out5, sizeof(out5));
	check_cut(VIDEO_HEADERS_NONE, in, sizeof(in), in, sizeof(in));
	for (size_t bytes = 0; bytes <= 4; bytes++)
		check_cut(VIDEO_HEADERS_H264, out + sizeof(out) - 4, bytes, out + sizeof(out) - 4, bytes);
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
		cmocka_unit_test(sets_that_come_again_take_no_room),
		cmocka_unit_test(a_sequences_set_stays_before_those_that_refer_to_it),
		cmocka_unit_test(an_end_has_nothing_in_it),
		cmocka_unit_test(skip_leaves_parameter_sets_out),
		cmocka_unit_test(place_is_behind_a_delimiter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
