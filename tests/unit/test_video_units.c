// SPDX-License-Identifier: MIT
/* Access units put together from inputs that are parts of them: which come out, when, and under whose timestamp. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/units.h"

#define SPS 0, 0, 0, 1, 0x67, 1, 2, 3
#define FIRST(n) 0, 0, 0, 1, 0x65, 0x88, n, n
#define NEXT(n) 0, 0, 1, 0x65, 0x40, n, n

/* Three of two slices each, the first and the last with parameters before. */
static const uint8_t film[] = {SPS, FIRST(1), NEXT(1), FIRST(2), NEXT(2), SPS, FIRST(3), NEXT(3)};
static const size_t ends[] = {23, 38, sizeof(film)};
/* HEVC's: video parameters, a first slice, another, and the next picture. */
static const uint8_t hevc[] = {0, 0, 1,	   0x40, 1,    0xc, 0, 0, 1, 0x26, 1, 0xaf, 7, 0,
			       0, 1, 0x26, 1,	 0x2f, 7,   0, 0, 1, 0x02, 1, 0xd0, 7};

struct out {
	uint8_t data[2 * sizeof(film)];
	size_t bytes;
	unsigned count;
	size_t ends[16];
	uint64_t stamps[16];
};

static void take(struct video_units *u, struct out *o)
{
	struct video_unit unit;

	while (video_units_take(u, &unit)) {
		assert_true(o->count < 16 && o->bytes + unit.bytes <= sizeof(o->data));
		memcpy(o->data + o->bytes, unit.data, unit.bytes);
		o->bytes += unit.bytes;
		o->ends[o->count] = o->bytes;
		o->stamps[o->count++] = unit.timestamp;
		free(unit.data);
	}
}

static void add(struct video_units *u, const uint8_t *data, size_t bytes, uint64_t timestamp, struct out *o)
{
	struct video_unit unit = {malloc(bytes), bytes, timestamp};

	assert_non_null(unit.data);
	memcpy(unit.data, data, bytes);
	assert_int_equal(video_units_add(u, unit), 0);
	take(u, o);
}

static void check_film(struct video_units *u, struct out *o)
{
	video_units_flush(u);
	take(u, o);
	assert_int_equal(o->bytes, sizeof(film));
	assert_memory_equal(o->data, film, sizeof(film));
	assert_int_equal(o->count, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(o->ends[i], ends[i]);
	assert_false(video_units_holds(u));
}

static void units_cut_anywhere_come_out_whole(void **state)
{
	(void)state;
	/* At every byte, and in pieces of every size that say what they are. */
	for (size_t n = 5; n < sizeof(film); n++) {
		struct video_units u = {0};
		struct out two = {0}, many = {0};

		video_units_reset(&u, VIDEO_HEADERS_H264);
		for (size_t at = 0; at < sizeof(film); at += n)
			add(&u, film + at, at + n < sizeof(film) ? n : sizeof(film) - at, at, &many);
		/* Slice for slice, and then one with the next picture's first: that looks like whole ones. */
		if (n < ends[0] && n != 16)
			check_film(&u, &many);
		video_units_reset(&u, VIDEO_HEADERS_H264);
		add(&u, film, n < ends[0] ? n : ends[0], 1, &two);
		if (n < ends[0])
			add(&u, film + n, ends[0] - n, 1, &two);
		assert_int_equal(two.count, 0);
		add(&u, film + ends[0], ends[1] - ends[0], 2, &two);
		/* Parameters by themselves are no part of a picture. */
		assert_int_equal(two.count, n < ends[0] && n != 8 && n != 9 ? 1 : 2);
		add(&u, film + ends[1], ends[2] - ends[1], 3, &two);
		check_film(&u, &two);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(two.stamps[i], i + 1);
	}
}

static void whole_units_wait_only_for_the_second(void **state)
{
	struct video_units u = {0};
	struct out o = {0};

	(void)state;
	video_units_reset(&u, VIDEO_HEADERS_H264);
	add(&u, film, ends[0], 1, &o);
	assert_int_equal(o.count, 0);
	assert_true(video_units_holds(&u));
	add(&u, film + ends[0], ends[1] - ends[0], 2, &o);
	assert_int_equal(o.count, 2);
	add(&u, film + ends[1], ends[2] - ends[1], 3, &o);
	assert_int_equal(o.count, 3);
	check_film(&u, &o);
}

static void who_waits_for_pictures_waits_once(void **state)
{
	struct video_units u = {0};
	struct out o = {0};

	(void)state;
	video_units_reset(&u, VIDEO_HEADERS_H264);
	add(&u, film, ends[0], 1, &o);
	/* The time is over. */
	video_units_flush(&u);
	take(&u, &o);
	assert_int_equal(o.count, 1);
	add(&u, film + ends[0], ends[1] - ends[0], 2, &o);
	assert_int_equal(o.count, 2);
	video_units_reset(&u, VIDEO_HEADERS_H264);
}

static void pictures_torn_in_two_are_known(void **state)
{
	struct video_units u = {0};
	struct out o = {0};

	(void)state;
	video_units_reset(&u, VIDEO_HEADERS_H264);
	add(&u, film, ends[0], 1, &o);
	add(&u, film + ends[0], 8, 2, &o);
	assert_int_equal(o.count, 2);
	assert_false(video_units_take_torn(&u, 2));
	add(&u, film + ends[0] + 8, ends[1] - ends[0] - 8, 9, &o);
	assert_false(video_units_take_torn(&u, 1) || video_units_take_torn(&u, 3));
	assert_true(video_units_take_torn(&u, 2) && video_units_take_torn(&u, 9));
	/* Later ones with the same timestamps are good. */
	assert_false(video_units_take_torn(&u, 2) || video_units_take_torn(&u, 9));
	/* From now on they are put together. */
	add(&u, film + ends[1], 16, 3, &o);
	assert_int_equal(o.count, 3);
	add(&u, film + ends[1] + 16, ends[2] - ends[1] - 16, 3, &o);
	video_units_flush(&u);
	take(&u, &o);
	assert_int_equal(o.count, 4);
	assert_int_equal(o.ends[2], ends[1]);
	assert_int_equal(o.ends[3], ends[2]);
	/* This one's second part comes after the time was over. */
	add(&u, film + ends[1] + 16, ends[2] - ends[1] - 16, 4, &o);
	assert_true(video_units_take_torn(&u, 4) && video_units_take_torn(&u, 3));
	video_units_drop(&u);
	/* Until enough came whole in a row. */
	for (unsigned i = 0; i < 20; i++) {
		o = (struct out){0};
		add(&u, film, ends[0], 100 + i, &o);
		assert_int_equal(o.count, i == 0 ? 0 : i == 7 ? 2 : 1);
		if (o.count > 0)
			assert_int_equal(o.stamps[o.count - 1], i < 7 ? 99 + i : 100 + i);
	}
	video_units_reset(&u, VIDEO_HEADERS_H264);
}

/* Parts that come too late, one after the other: decoders give their pictures only when they have some more. */
static void each_torn_picture_is_known_once(void **state)
{
	struct video_units u = {0};
	struct out o = {0};

	(void)state;
	video_units_reset(&u, VIDEO_HEADERS_H264);
	add(&u, film, ends[0], 1, &o);
	video_units_flush(&u);
	take(&u, &o);
	for (uint64_t i = 2; i < 8; i++) {
		o = (struct out){0};
		add(&u, film + ends[0], 8, i, &o);
		video_units_flush(&u);
		take(&u, &o);
		for (unsigned k = 0; k < 2; k++) {
			add(&u, film + ends[0] + 8, ends[1] - ends[0] - 8, i, &o);
			video_units_flush(&u);
			take(&u, &o);
		}
	}
	/* As many as the parts that a decoder may have taken for pictures. */
	for (uint64_t i = 2; i < 8; i++) {
		assert_true(video_units_take_torn(&u, i) && video_units_take_torn(&u, i) &&
			    video_units_take_torn(&u, i));
		assert_false(video_units_take_torn(&u, i));
	}
	/* A guest that sends nothing but such costs no more than that. */
	for (uint64_t i = 0; i < 1000; i++) {
		add(&u, film + ends[0] + 8, ends[1] - ends[0] - 8, 100 + i, &o);
		video_units_flush(&u);
		o = (struct out){0};
		take(&u, &o);
	}
	assert_true(video_units_take_torn(&u, 1099) && !video_units_take_torn(&u, 100));
	/* With the codec goes what it has not given. */
	video_units_forget_torn(&u);
	assert_false(video_units_take_torn(&u, 1098));
	video_units_reset(&u, VIDEO_HEADERS_H264);
}

static void hevc_is_put_together_too(void **state)
{
	(void)state;
	for (size_t n = 4; n < 20; n++) {
		struct video_units u = {0};
		struct out o = {0};

		video_units_reset(&u, VIDEO_HEADERS_HEVC);
		add(&u, hevc, n, 1, &o);
		add(&u, hevc + n, 20 - n, 1, &o);
		assert_int_equal(o.count, 0);
		add(&u, hevc + 20, sizeof(hevc) - 20, 2, &o);
		video_units_flush(&u);
		take(&u, &o);
		assert_int_equal(o.count, 2);
		assert_int_equal(o.ends[0], 20);
		assert_int_equal(o.ends[1], sizeof(hevc));
		assert_memory_equal(o.data, hevc, sizeof(hevc));
	}
}

/* Formats without such units, and nonsense. */
static void anything_else_passes(void **state)
{
	static const enum video_headers_kind kinds[] = {VIDEO_HEADERS_NONE, VIDEO_HEADERS_H264, VIDEO_HEADERS_HEVC};

	(void)state;
	for (unsigned k = 0; k < 3; k++) {
		struct video_units u = {0};
		struct out o = {0};

		video_units_reset(&u, kinds[k]);
		for (uint64_t i = 0; i < 5; i++) {
			add(&u, (const uint8_t *)"nonsense", 8, i, &o);
			assert_int_equal(o.count, i + 1);
			assert_int_equal(o.stamps[i], i);
		}
		assert_false(video_units_holds(&u));
	}
}

/* What may stand behind a picture, or before one, in a buffer of its own. */
static void what_is_no_picture_tears_none(void **state)
{
	static const uint8_t end_of_sequence[] = {0, 0, 0, 1, 0x0a}, filler[] = {0, 0, 0, 1, 0x0c, 0xff, 0xff, 0x80};
	struct video_units u = {0};
	struct out o = {0};

	(void)state;
	video_units_reset(&u, VIDEO_HEADERS_H264);
	add(&u, film, ends[0], 1, &o);
	add(&u, film + ends[0], ends[1] - ends[0], 2, &o);
	add(&u, filler, sizeof(filler), 3, &o);
	add(&u, end_of_sequence, sizeof(end_of_sequence), 4, &o);
	assert_int_equal(o.count, 4);
	assert_false(video_units_take_torn(&u, 2));
	/* Nor are those that follow waited for. */
	add(&u, film, ends[0], 5, &o);
	assert_int_equal(o.count, 5);
	video_units_reset(&u, VIDEO_HEADERS_H264);
}

static void a_picture_has_the_time_of_its_slice_not_of_its_parameters(void **state)
{
	struct video_units u = {0};
	struct out o = {0};

	(void)state;
	video_units_reset(&u, VIDEO_HEADERS_H264);
	add(&u, film, 8, 100, &o);
	add(&u, film + 8, ends[0] - 8, 7, &o);
	add(&u, film + ends[0], ends[1] - ends[0], 8, &o);
	add(&u, film + ends[1], ends[2] - ends[1], 9, &o);
	check_film(&u, &o);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(o.stamps[i], 7 + i);
}

/* More than is held, but it is known where one ends. */
static void large_pictures_are_two(void **state)
{
	static const uint8_t first[] = {FIRST(1)};
	const size_t sizes[] = {2000000, 300000};
	struct video_units u = {0};
	struct video_unit unit, out;

	(void)state;
	video_units_reset(&u, VIDEO_HEADERS_H264);
	for (unsigned i = 0; i < 2; i++) {
		unit = (struct video_unit){malloc(sizes[i]), sizes[i], i + 1};
		assert_non_null(unit.data);
		memset(unit.data, 0x55, sizes[i]);
		memcpy(unit.data, first, sizeof(first));
		assert_int_equal(video_units_add(&u, unit), 0);
		if (i == 0)
			assert_false(video_units_take(&u, &out));
	}
	for (unsigned i = 0; i < 2; i++) {
		assert_true(video_units_take(&u, &out));
		assert_int_equal(out.bytes, sizes[i]);
		assert_int_equal(out.timestamp, i + 1);
		free(out.data);
	}
	assert_false(video_units_take(&u, &out));
}

/* A guest's, which is not to make a decoder's queue of a million. */
static void thousands_in_one_input_come_out_as_few(void **state)
{
	static const uint8_t picture[] = {FIRST(1)};
	const size_t bytes = 2000 * sizeof(picture);
	struct video_units u = {0};
	struct video_unit unit = {0}, out;
	struct out none = {0};
	size_t taken = 0, count = 0;

	(void)state;
	video_units_reset(&u, VIDEO_HEADERS_H264);
	/* First that this guest sends parts. */
	add(&u, film, 23 - 7, 1, &none);
	add(&u, film + 23 - 7, 7, 1, &none);
	assert_int_equal(u.guest, VIDEO_UNITS_PARTS);
	unit = (struct video_unit){malloc(bytes), bytes, 2};
	assert_non_null(unit.data);
	for (size_t i = 0; i < bytes; i++)
		unit.data[i] = picture[i % sizeof(picture)];
	assert_int_equal(video_units_add(&u, unit), 0);
	while (video_units_take(&u, &out)) {
		/* What was held before comes first. */
		if (count++ > 0)
			assert_memory_equal(out.data, picture, sizeof(picture));
		taken += out.bytes;
		free(out.data);
	}
	assert_int_equal(taken, 23 + bytes);
	assert_true(count > 3 && count < 40);
	/* The next one is as ever. */
	memset(&none, 0, sizeof(none));
	add(&u, film, sizeof(film), 3, &none);
	assert_int_equal(none.count, 2);
	check_film(&u, &none);
}

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % n;
}

/* Bytes that make start codes, slices and parameters of all kinds, in any order. */
static void fill(uint8_t *data, size_t bytes)
{
	static const uint8_t likely[] = {0, 0, 0, 0, 1, 1, 0x65, 0x41, 0x67, 0x68, 9, 0x26, 0x40, 0x02, 0x80, 0x7f};

	for (size_t i = 0; i < bytes; i++)
		data[i] = random_below(8) ? likely[random_below(sizeof(likely))] : (uint8_t)random_below(256);
}

/* Whatever comes, in inputs of any size, and whenever it is flushed: no byte is lost, or comes twice. */
static void what_goes_in_comes_out(void **state)
{
	enum { ROUNDS = 3000, INPUTS = 40, MOST = 300 };
	static uint8_t in[INPUTS * MOST], out[sizeof(in)];

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct video_units u = {0};
		struct video_unit unit;
		size_t given = 0, taken = 0;
		unsigned count = 0;

		video_units_reset(&u, round % 2 ? VIDEO_HEADERS_H264 : VIDEO_HEADERS_HEVC);
		for (unsigned i = 0; i < INPUTS; i++) {
			const size_t bytes = 1 + random_below(1 + random_below(MOST));

			fill(in + given, bytes);
			unit = (struct video_unit){malloc(bytes), bytes, i};
			assert_non_null(unit.data);
			memcpy(unit.data, in + given, bytes);
			given += bytes;
			assert_int_equal(video_units_add(&u, unit), 0);
			do {
				while (video_units_take(&u, &unit)) {
					assert_true(unit.bytes > 0 && unit.bytes <= given - taken &&
						    unit.timestamp <= i);
					memcpy(out + taken, unit.data, unit.bytes);
					taken += unit.bytes;
					count++;
					free(unit.data);
				}
				video_units_take_torn(&u, random_below(i + 1));
				if (i + 1 < INPUTS && random_below(8))
					break;
				video_units_flush(&u);
			} while (video_units_holds(&u));
		}
		assert_int_equal(taken, given);
		assert_memory_equal(out, in, given);
		assert_true(count >= 1);
		assert_false(video_units_holds(&u));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_cut_anywhere_come_out_whole),
		cmocka_unit_test(whole_units_wait_only_for_the_second),
		cmocka_unit_test(who_waits_for_pictures_waits_once),
		cmocka_unit_test(pictures_torn_in_two_are_known),
		cmocka_unit_test(each_torn_picture_is_known_once),
		cmocka_unit_test(hevc_is_put_together_too),
		cmocka_unit_test(what_is_no_picture_tears_none),
		cmocka_unit_test(a_picture_has_the_time_of_its_slice_not_of_its_parameters),
		cmocka_unit_test(large_pictures_are_two),
		cmocka_unit_test(thousands_in_one_input_come_out_as_few),
		cmocka_unit_test(anything_else_passes),
		cmocka_unit_test(what_goes_in_comes_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
