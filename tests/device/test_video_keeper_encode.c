// SPDX-License-Identifier: MIT
/*
 * An encoder in mullion-video's sandbox, whose worker dies while a guest encodes: what a new stream encodes decodes, in a
 * sandbox too, to nearly the same pictures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "tests/lib/round_trip.h"
#include "tests/lib/video_keeper.h"

/* What an encoder stream of its own makes of all pictures. */
static void encode(struct video_keeper *w, uint32_t id, struct clip *packets)
{
	struct client c;

	round_trip_open(&c, &w->video, id, video_keeper_h264(), packets);
	video_keeper_lend_event(w, &c);
	round_trip_send(&c, 0, CLIP_FRAMES);
	assert_false(c.failed);
	client_drain(&c);
	assert_false(c.failed);
	assert_int_equal(packets->count, CLIP_FRAMES);
	video_keeper_close_stream(w, &c);
}

static void check_decoded(const struct clip *packets)
{
	struct round_trip_quality q = {.worst = 99};
	struct client c = {.decoder = true, .each = round_trip_compare, .arg = &q};
	struct video_keeper w;

	video_keeper_begin(&w, &(struct video_keeper_options){.device = "kind=decoder,timeout=60"});
	client_open(&c, &w.video, 1, video_keeper_h264(), true);
	client_send_clip(&c, packets);
	client_drain(&c);
	assert_false(c.failed);
	assert_int_equal(q.count, CLIP_FRAMES);
	printf("# worst PSNR %.1f dB\n", q.worst);
	assert_true(q.worst > ROUND_TRIP_PSNR);
	assert_int_equal(video_keeper_end(&w), 0);
}

static void an_encoder_whose_worker_died_has_failed_and_a_new_one_encodes(void **state)
{
	struct clip before = {0}, half = {0}, after = {0};
	struct video_keeper w;
	struct client c;

	(void)state;
	video_keeper_begin(&w, &(struct video_keeper_options){.device = "kind=encoder,timeout=60"});
	encode(&w, 1, &before);
	round_trip_open(&c, &w.video, 2, video_keeper_h264(), &half);
	video_keeper_lend_event(&w, &c);
	round_trip_send(&c, 0, CLIP_FRAMES / 2);
	/* Or it was not in the codec yet, and nothing is lost. */
	while (!half.count)
		client_look(&c);
	assert_int_equal(w.shared->workers, 1);
	video_keeper_die(&w);
	video_keeper_expect_failure(&c);
	assert_int_equal(w.shared->workers, 2);
	assert_true(half.count < CLIP_FRAMES);
	video_keeper_close_stream(&w, &c);
	encode(&w, 3, &after);
	assert_int_equal(video_keeper_end(&w), 0);
	check_decoded(&before);
	check_decoded(&after);
	clip_free(&before);
	clip_free(&half);
	clip_free(&after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_encoder_whose_worker_died_has_failed_and_a_new_one_encodes),
	};

	return cmocka_run_group_tests_name("video keeper, encoder", tests, video_keeper_set_up, video_keeper_tear_down);
}
