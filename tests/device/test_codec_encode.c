// SPDX-License-Identifier: MIT
/*
 * What every encoder must do: what it encodes decodes to nearly the same pictures, key frames where they were asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "tests/lib/codec_tests.h"
#include "tests/lib/round_trip.h"

static void check_round_trip(const struct video_coded_format *format)
{
	struct video_world *w = codec_world(true);
	struct clip clip = {0};
	struct round_trip_quality q = {.worst = 99};
	struct client e, d = {.decoder = true, .each = round_trip_compare, .arg = &q};
	struct video_stats stats;

	round_trip_open(&e, w, 1, format, &clip);
	round_trip_send(&e, 0, CLIP_FRAMES);
	client_drain(&e);
	assert_int_equal(clip.count, CLIP_FRAMES);
	video_get_stats(w->device, &stats);
	video_world_destroy(w);

	w = codec_world(false);
	client_open(&d, w, 1, format, true);
	client_send_clip(&d, &clip);
	client_drain(&d);
	assert_int_equal(q.count, CLIP_FRAMES);
	printf("# %s: %s, worst PSNR %.1f dB\n", format->name, stats.codec.element, q.worst);
	assert_true(q.worst > ROUND_TRIP_PSNR);
	clip_free(&clip);
	video_world_destroy(w);
}

static void what_is_encoded_decodes_to_the_same(void **state)
{
	(void)state;
	codec_for_each_format(true, check_round_trip);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_encoded_decodes_to_the_same),
	};

	return codec_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
