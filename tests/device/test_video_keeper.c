// SPDX-License-Identifier: MIT
/*
 * mullion-video without its main(): a keeper, and real workers with GStreamer's codecs in their sandbox, which die, hang
 * and do what they may not while a guest decodes. The frontend, the guest and the user are the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/base/step.h"
#include "host/virtio/counters.h"
#include "tests/lib/stuck_decoder.h"
#include "tests/lib/tap.h"
#include "tests/lib/video_keeper.h"
#include "vmm/isolate_control.h"

static const struct video_keeper_options decoder = {.device = "kind=decoder,timeout=60"};

/* ---- the guest ---- */

/* Half of the clip, with pictures in flight: then @disturb, and what follows from it. */
static void disturb_in_mid_stream(struct video_keeper *w, uint32_t id, unsigned packets,
				  void (*disturb)(struct video_keeper *w), struct client *c, struct sums *sums)
{
	video_keeper_open_stream(w, id, c, sums);
	for (unsigned i = 0; i < packets; i++)
		client_send(c, video_keeper_film->clip.data[i], video_keeper_film->clip.bytes[i],
			    CLIENT_FIRST_STAMP + i);
	/* Or it was not in the codec yet, and nothing is lost. */
	while (!c->formats)
		client_look(c);
	disturb(w);
	video_keeper_expect_failure(c);
}

static void a_stream_whose_worker_died_has_failed_and_a_new_one_decodes(void **state)
{
	struct video_keeper w;
	struct client c;
	struct sums sums;

	(void)state;
	video_keeper_begin(&w, &decoder);
	video_keeper_decode_exactly(&w, 1);
	for (unsigned round = 0; round < 6; round++) {
		disturb_in_mid_stream(&w, 10 + round, 3 + 3 * round, video_keeper_die, &c, &sums);
		video_keeper_close_stream(&w, &c);
		video_keeper_decode_exactly(&w, 20 + round);
	}
	assert_int_equal(w.shared->workers, 7);
	assert_int_equal(video_keeper_end(&w), 0);
}

static void a_worker_that_dies_between_looks_loses_no_answer(void **state)
{
	unsigned seed = 1;
	struct video_keeper w;

	(void)state;
	video_keeper_begin(&w, &decoder);
	for (uint32_t id = 1; id < 9; id++) {
		const unsigned packets = (unsigned)rand_r(&seed) % CLIP_FRAMES;
		struct client c;
		struct sums sums;

		video_keeper_open_stream(&w, id, &c, &sums);
		for (unsigned i = 0; i < CLIP_FRAMES && !c.failed; i++) {
			if (i == packets)
				video_keeper_die(&w);
			client_send(&c, video_keeper_film->clip.data[i], video_keeper_film->clip.bytes[i],
				    CLIENT_FIRST_STAMP + i);
		}
		if (!c.failed)
			client_drain(&c);
		/* It died with something in it, or the guest got all. */
		if (!c.failed)
			video_keeper_check_exact(&sums);
		else
			video_keeper_expect_failure(&c);
		video_keeper_close_stream(&w, &c);
	}
	video_keeper_decode_exactly(&w, 100);
	assert_int_equal(video_keeper_end(&w), 0);
}

static void a_stream_without_a_codec_goes_on_unseen(void **state)
{
	struct video_keeper w;
	struct client c;
	struct sums sums;

	(void)state;
	video_keeper_begin(&w, &decoder);
	video_keeper_open_stream(&w, 1, &c, &sums);
	video_keeper_settle_death(&w);
	assert_true(video_keeper_decode(&c));
	video_keeper_check_exact(&sums);
	/* Drained: it has none again. */
	for (unsigned i = 0; i < CLIENT_OUTPUTS; i++)
		assert_false(c.output[i]->done);
	assert_int_equal(video_keeper_end(&w), 0);
}

static void a_failed_stream_goes_on_when_it_is_cleared(void **state)
{
	struct video_keeper w;
	struct client c;
	struct sums sums;

	(void)state;
	video_keeper_begin(&w, &decoder);
	disturb_in_mid_stream(&w, 1, 12, video_keeper_die, &c, &sums);
	client_clear_input(&c);
	assert_int_equal(video_queue_command(&w.video, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	/* Its buffers are still known, and its size: no event comes. */
	c.failed = false;
	for (uint32_t i = 0; i < CLIENT_OUTPUTS; i++) {
		fake_guest_free_request(w.video.guest, c.output[i]);
		c.output[i] = video_queue(&w.video, 1, VIDEO_OUT, i, 0, 0);
	}
	memset(&sums, 0, sizeof(sums));
	assert_true(video_keeper_decode(&c));
	video_keeper_check_exact(&sums);
	assert_int_equal(c.formats, 1);
	/* And once more: it is told anew. */
	client_send(&c, video_keeper_film->clip.data[0], video_keeper_film->clip.bytes[0], CLIENT_FIRST_STAMP);
	client_send(&c, video_keeper_film->clip.data[1], video_keeper_film->clip.bytes[1], CLIENT_FIRST_STAMP);
	/* One that was not in the codec yet would not be lost. */
	assert_true(fake_guest_run_until(w.video.guest, video_keeper_all_taken, &c, 60000));
	video_keeper_die(&w);
	video_keeper_expect_failure(&c);
	assert_int_equal(video_keeper_end(&w), 0);
}

static void a_failure_is_told_once(void **state)
{
	struct video_keeper w;
	struct client c;
	struct sums sums;

	(void)state;
	video_keeper_begin(&w, &decoder);
	disturb_in_mid_stream(&w, 1, 8, video_keeper_die, &c, &sums);
	video_keeper_settle_death(&w);
	video_keeper_settle_death(&w);
	/* Other streams are there, and this one still has failed. */
	assert_int_equal(video_simple(&w.video, VIRTIO_VIDEO_CMD_STREAM_DRAIN, 1),
			 VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION);
	assert_false(c.event->done);
	assert_int_equal(video_simple(&w.video, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
	assert_int_equal(video_keeper_end(&w), 0);
}

static void hang(struct video_keeper *w)
{
	video_keeper_signal_worker(w, SIGSTOP);
}

static void a_worker_that_hangs_is_replaced_in_time(void **state)
{
	struct video_keeper w;
	struct client c;
	struct sums sums;

	(void)state;
	video_keeper_begin(&w, &(struct video_keeper_options){.device = "kind=decoder,timeout=60", .hang_s = 2});
	disturb_in_mid_stream(&w, 1, 8, hang, &c, &sums);
	video_keeper_close_stream(&w, &c);
	video_keeper_decode_exactly(&w, 2);
	assert_int_equal(video_keeper_end(&w), 0);
}

static void misbehave_now(struct video_keeper *w)
{
	w->shared->forbidden = true;
}

static void what_a_worker_may_not_do_ends_it_and_the_guest_goes_on(void **state)
{
	struct video_keeper w;
	struct client c;
	struct sums sums;

	(void)state;
	video_keeper_begin(&w, &decoder);
	video_keeper_decode_exactly(&w, 1);
	if (!video_keeper_log_has(&w, "sandbox: complete")) {
		video_keeper_end(&w);
		tap_skip("the sandbox is not complete on this host");
	}
	disturb_in_mid_stream(&w, 2, 8, misbehave_now, &c, &sums);
	assert_true(video_keeper_log_has(&w, "that its sandbox forbids"));
	assert_int_equal(w.shared->workers, 2);
	video_keeper_close_stream(&w, &c);
	video_keeper_decode_exactly(&w, 3);
	assert_int_equal(video_keeper_end(&w), 0);
}

/* What was in flight is lost as with any other death, but a new stream needs no start of a process. */
static void the_spare_worker_takes_over(void **state)
{
	struct video_keeper w;

	(void)state;
	video_keeper_begin(&w, &(struct video_keeper_options){.device = "kind=decoder,timeout=60", .spare = true});
	video_keeper_decode_exactly(&w, 1);
	for (uint32_t round = 0; round < 2; round++) {
		struct client c;
		struct sums sums;
		pid_t spare;

		for (unsigned i = 0; i < 6000 && w.shared->spares == round; i++)
			usleep(5000);
		assert_int_equal(w.shared->spares, round + 1);
		spare = video_keeper_worker(&w, 1);
		assert_true(spare > 0);
		disturb_in_mid_stream(&w, 10 + round, 8, video_keeper_die, &c, &sums);
		assert_int_equal(video_keeper_worker(&w, 0), spare);
		video_keeper_close_stream(&w, &c);
		video_keeper_decode_exactly(&w, 20 + round);
		assert_int_equal(video_keeper_worker(&w, 0), spare);
	}
	assert_int_equal(video_keeper_end(&w), 0);
}

/* ---- a user ---- */

struct question {
	const struct counter_source *of;
	struct counters answer;
	int err;
};

static void run_question(void *arg)
{
	struct question *q = arg;

	q->err = q->of->count(q->of->owner, &q->answer);
}

static const struct counter *find(const struct counters *c, const char *part, const char *name)
{
	for (uint32_t i = 0; i < c->count; i++) {
		if (!strcmp(c->list[i].part, part) && !strcmp(c->list[i].name, name))
			return &c->list[i];
	}
	fail_msg("no counter %s of \"%s\"", name, part);
	return NULL;
}

static void a_user_hears_from_the_sandbox_what_the_codec_did(void **state)
{
	struct question *q = calloc(1, sizeof(*q));
	struct isolate_control *control;
	struct client c;
	struct sums sums;
	struct video_keeper w;

	(void)state;
	assert_non_null(q);
	assert_int_equal(isolate_control_create(&control), 0);
	q->of = isolate_control_counters(control);
	video_keeper_begin(&w, &(struct video_keeper_options){.device = "kind=decoder,timeout=60",
							      .control = isolate_control_connect(control)});
	for (uint32_t life = 0; life < 2; life++) {
		video_keeper_open_stream(&w, 1 + life, &c, &sums);
		assert_true(video_keeper_decode(&c));
		loop_call(q->of->loop, run_question, q);
		assert_int_equal(q->err, 0);
		assert_int_equal(find(&q->answer, "", "deaths")->value, life);
		assert_int_equal(find(&q->answer, "", "frames-out")->value, video_keeper_film->sums.count);
		assert_non_null(strstr(find(&q->answer, "", "element")->text, "264"));
		assert_string_equal(find(&q->answer, life ? "stream 2" : "stream 1", "format")->text, "h264");
		video_keeper_close_stream(&w, &c);
		if (!life)
			video_keeper_settle_death(&w);
	}
	isolate_control_destroy(control);
	assert_int_equal(video_keeper_end(&w), 0);
	free(q);
}

static void a_codec_that_does_not_stop_takes_its_worker_with_it(void **state)
{
	struct video_keeper w;
	struct client c;
	struct sums sums;

	(void)state;
	video_keeper_begin(&w,
			   &(struct video_keeper_options){.device = "kind=decoder,codec=" STUCK_DECODER ",timeout=2"});
	w.shared->stuck = true;
	video_keeper_open_stream(&w, 1, &c, &sums);
	client_send(&c, video_keeper_film->clip.data[0], video_keeper_film->clip.bytes[0], CLIENT_FIRST_STAMP);
	client_send(&c, video_keeper_film->clip.data[1], video_keeper_film->clip.bytes[1], CLIENT_FIRST_STAMP);
	/* Nobody waits for it. */
	assert_int_equal(video_simple(&w.video, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
	for (unsigned i = 0; i < 6000 && w.shared->workers < 2; i++) {
		w.shared->stuck = w.shared->workers < 2;
		usleep(10000);
	}
	w.shared->stuck = false;
	assert_int_equal(w.shared->workers, 2);
	assert_true(video_keeper_log_has(&w, "has not stopped within 1.5 s"));
	/* The next one serves. */
	assert_int_equal(video_create_stream(&w.video, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	assert_int_equal(video_keeper_end(&w), 0);
}

static void after_many_deaths_no_streams_are_made_for_a_while(void **state)
{
	struct video_keeper w;

	(void)state;
	video_keeper_begin(&w, &(struct video_keeper_options){.device = "kind=decoder", .max_deaths = 2});
	assert_int_equal(video_create_stream(&w.video, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	video_keeper_settle_death(&w);
	assert_int_equal(video_create_stream(&w.video, 2, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	video_keeper_settle_death(&w);
	assert_int_equal(video_create_stream(&w.video, 3, VIRTIO_VIDEO_FORMAT_H264),
			 VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION);
	/* Those there are stay. */
	assert_int_equal(video_create_stream(&w.video, 2, VIRTIO_VIDEO_FORMAT_H264),
			 VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID);
	assert_int_equal(video_simple(&w.video, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
	assert_int_equal(video_keeper_end(&w), 0);
}

/* ---- a machine that pauses ---- */

/* As QEMU's stop. What was queued comes back at once, and what the codec still does reaches nobody. */
static void stop_rings(struct video_keeper *w, struct client *c)
{
	uint64_t before[CLIENT_OUTPUTS];

	while (!c->has_outputs)
		client_look(c);
	/* An input that the codec has not looked at yet would be refused. */
	assert_true(fake_guest_run_until(w->video.guest, video_keeper_all_taken, c, 60000));
	for (unsigned q = 0; q < 2; q++)
		virtio_device_stop_queue(&w->peer->device, q);
	vhost_peer_settle(w->peer);
	fake_guest_poll(w->video.guest, 0);
	for (unsigned i = 0; i < CLIENT_OUTPUTS; i++) {
		assert_true(c->output[i]->done && !c->output[i]->lost);
		before[i] = sums_of(fake_guest_ptr(w->video.guest, c->out[i], c->picture_bytes), c->picture_bytes);
	}
	usleep(200000);
	for (unsigned i = 0; i < CLIENT_OUTPUTS; i++)
		assert_true(before[i] ==
			    sums_of(fake_guest_ptr(w->video.guest, c->out[i], c->picture_bytes), c->picture_bytes));
}

/* And its cont. */
static void start_rings(struct video_keeper *w)
{
	w->peer->resume = true;
	for (unsigned q = 0; q < 2; q++)
		assert_int_equal(
			virtio_device_start_queue(&w->peer->device, q, &fake_guest_ring(w->video.guest, q)->setup), 0);
}

static void a_machine_that_pauses_loses_no_picture(void **state)
{
	struct video_keeper w;
	struct client c;
	struct sums sums;

	(void)state;
	video_keeper_begin(&w, &decoder);
	video_keeper_open_stream(&w, 1, &c, &sums);
	for (unsigned i = 0; i < video_keeper_film->clip.count; i++) {
		client_send(&c, video_keeper_film->clip.data[i], video_keeper_film->clip.bytes[i],
			    CLIENT_FIRST_STAMP + i);
		if (i == 5 || i == 6 || i == 10) {
			stop_rings(&w, &c);
			start_rings(&w);
		}
	}
	client_drain(&c);
	assert_false(c.failed);
	video_keeper_check_exact(&sums);
	assert_int_equal(c.formats, 1);
	video_keeper_close_stream(&w, &c);
	assert_int_equal(w.shared->workers, 1);
	assert_false(video_keeper_log_has(&w, "they get no answer"));
	assert_int_equal(video_keeper_end(&w), 0);
}

static void a_worker_that_dies_in_a_pause_is_replaced(void **state)
{
	struct video_keeper w;
	struct client c;
	struct sums sums;

	(void)state;
	video_keeper_begin(&w, &decoder);
	for (uint32_t round = 0; round < 2; round++) {
		video_keeper_open_stream(&w, 1 + round, &c, &sums);
		for (unsigned i = 0; i < 6; i++)
			client_send(&c, video_keeper_film->clip.data[i], video_keeper_film->clip.bytes[i],
				    CLIENT_FIRST_STAMP + i);
		stop_rings(&w, &c);
		video_keeper_settle_death(&w);
		start_rings(&w);
		video_keeper_expect_failure(&c);
		video_keeper_close_stream(&w, &c);
	}
	video_keeper_decode_exactly(&w, 10);
	assert_int_equal(w.shared->workers, 3);
	assert_int_equal(video_keeper_end(&w), 0);
}

/* ---- deaths at numbered steps ---- */

#ifdef MULLION_STEPS
/* From the middle of a clip on; the one that takes over dies at step @second, STEP_COUNT: it does not. */
static void check_stream(struct video_keeper *w, uint32_t id, unsigned step, unsigned number, unsigned second)
{
	const unsigned before = w->shared->workers;
	struct client c;
	struct sums sums;

	video_keeper_open_stream(w, id, &c, &sums);
	for (unsigned i = 0; i < CLIP_FRAMES && !c.failed; i++) {
		if (i == 5) {
			while (!c.formats)
				client_look(&c);
			if (second != STEP_COUNT)
				video_keeper_arm_next(w, second, 1);
			video_keeper_arm(w, step, number);
		}
		client_send(&c, video_keeper_film->clip.data[i], video_keeper_film->clip.bytes[i],
			    CLIENT_FIRST_STAMP + i);
	}
	if (!c.failed)
		client_drain(&c);
	if (!c.failed)
		video_keeper_check_exact(&sums);
	else
		video_keeper_expect_failure(&c);
	video_keeper_close_stream(w, &c);
	video_keeper_expect_deaths(w, before, second == STEP_COUNT ? 1 : 2);
}

/* Whoever dies meanwhile: a buffer that is not there can't be queued. */
static bool has_output(struct video_keeper *w, uint32_t stream, uint32_t id)
{
	struct fake_request *r = video_queue(&w->video, stream, VIDEO_OUT, id, 0, 0);

	assert_int_equal(video_queue_command(&w->video, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, stream, VIDEO_OUT), VIDEO_OK);
	return video_wait(&w->video, r).hdr.type != VIRTIO_VIDEO_RESP_ERR_INVALID_RESOURCE_ID;
}

/* What was answered OK is there, what was refused is not, and each is done once. */
static void check_commands(struct video_keeper *w, unsigned step, unsigned number)
{
	enum { OK = VIDEO_OK, DIED = VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION };
	const unsigned before = w->shared->workers;
	struct fake_request *waits;
	bool is_there = false;
	uint32_t code;

	/* Older than they are, and answered by the next process before it looks at them. */
	assert_int_equal(video_create_stream(&w->video, 2, VIRTIO_VIDEO_FORMAT_H264), OK);
	assert_int_equal(video_create_buffer(&w->video, 2, VIDEO_OUT, 0, 4096, NULL), OK);
	waits = video_queue(&w->video, 2, VIDEO_OUT, 0, 0, 0);
	video_keeper_arm(w, step, number);
	code = video_create_stream(&w->video, 1, VIRTIO_VIDEO_FORMAT_H264);
	assert_true(code == OK || code == DIED);
	assert_int_equal(video_create_stream(&w->video, 1, VIRTIO_VIDEO_FORMAT_H264),
			 code == OK ? VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID : OK);
	/* The second time it is made anew, if it is there. */
	for (unsigned i = 0; i < 2; i++) {
		code = video_create_buffer(&w->video, 1, VIDEO_OUT, 7, 4096, NULL);
		assert_true(code == OK || code == DIED);
		is_there |= code == OK;
		assert_int_equal(has_output(w, 1, 7), is_there);
	}
	/* What only lets go is done whoever dies. */
	assert_int_equal(video_queue_command(&w->video, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_OUT), OK);
	assert_int_equal(video_simple(&w->video, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), OK);
	assert_int_equal(video_simple(&w->video, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1),
			 VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID);
	video_keeper_expect_death(w, before);
	assert_int_equal(video_simple(&w->video, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 2), OK);
	video_wait(&w->video, waits);
}
#endif

static void a_worker_that_dies_at_a_step_is_replaced(void **state)
{
#ifdef MULLION_STEPS
	struct video_keeper w;
	uint32_t id = 1;

	(void)state;
	/* Process 1 of a world of its own can't kill itself: without a sandbox. */
	video_keeper_begin(&w,
			   &(struct video_keeper_options){.device = "kind=decoder,timeout=60", .mode = SANDBOX_OFF});
	for (unsigned step = 0; step < STEP_RECOVERING; step++) {
		for (unsigned number = 1; number < 11; number += 9)
			check_stream(&w, id++, step, number, STEP_COUNT);
	}
	video_keeper_decode_exactly(&w, id);
	assert_int_equal(video_keeper_end(&w), 0);
#else
	(void)state;
	tap_skip("needs a build with STEPS=1");
#endif
}

/* Twice in a row: the second one dies at a step in its turn, or while it puts right what the first left behind. */
static void two_workers_that_die_in_a_row_are_replaced(void **state)
{
#ifdef MULLION_STEPS
	struct video_keeper w;
	uint32_t id = 1;

	(void)state;
	video_keeper_begin(&w,
			   &(struct video_keeper_options){.device = "kind=decoder,timeout=60", .mode = SANDBOX_OFF});
	/* A start takes seconds under a sanitizer: some steps of a request, and both of a recovery. */
	for (unsigned second = 0; second <= STEP_RECOVERED; second += second < STEP_COUNTED ? 4 : 1)
		check_stream(&w, id++, (5 * second) % STEP_RECOVERING, 1 + second % 3, second);
	video_keeper_decode_exactly(&w, id);
	assert_int_equal(video_keeper_end(&w), 0);
#else
	(void)state;
	tap_skip("needs a build with STEPS=1");
#endif
}

static void a_command_at_work_is_done_once_or_not_at_all(void **state)
{
#ifdef MULLION_STEPS
	/* The stream is made, the buffer is, it is queued, it is made anew. */
	static const unsigned numbers[] = {1, 3, 4, 6};
	struct video_keeper w;

	(void)state;
	video_keeper_begin(&w,
			   &(struct video_keeper_options){.device = "kind=decoder,timeout=60", .mode = SANDBOX_OFF});
	for (unsigned step = 0; step < STEP_RECOVERING; step++) {
		for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
			check_commands(&w, step, numbers[i]);
	}
	video_keeper_decode_exactly(&w, 2);
	assert_int_equal(video_keeper_end(&w), 0);
#else
	(void)state;
	tap_skip("needs a build with STEPS=1");
#endif
}

/* ---- */

int main(void)
{
	/* One alone, to look into it. */
	const char *only = getenv("VIDEO_TEST");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_whose_worker_died_has_failed_and_a_new_one_decodes),
		cmocka_unit_test(a_worker_that_dies_between_looks_loses_no_answer),
		cmocka_unit_test(a_stream_without_a_codec_goes_on_unseen),
		cmocka_unit_test(a_failed_stream_goes_on_when_it_is_cleared),
		cmocka_unit_test(a_failure_is_told_once),
		cmocka_unit_test(a_worker_that_hangs_is_replaced_in_time),
		cmocka_unit_test(what_a_worker_may_not_do_ends_it_and_the_guest_goes_on),
		cmocka_unit_test(the_spare_worker_takes_over),
		cmocka_unit_test(a_user_hears_from_the_sandbox_what_the_codec_did),
		cmocka_unit_test(a_codec_that_does_not_stop_takes_its_worker_with_it),
		cmocka_unit_test(after_many_deaths_no_streams_are_made_for_a_while),
		cmocka_unit_test(a_machine_that_pauses_loses_no_picture),
		cmocka_unit_test(a_worker_that_dies_in_a_pause_is_replaced),
		cmocka_unit_test(a_worker_that_dies_at_a_step_is_replaced),
		cmocka_unit_test(two_workers_that_die_in_a_row_are_replaced),
		cmocka_unit_test(a_command_at_work_is_done_once_or_not_at_all),
	};

	cmocka_set_test_filter(only);
	return cmocka_run_group_tests_name("video keeper", tests, video_keeper_set_up, video_keeper_tear_down);
}
