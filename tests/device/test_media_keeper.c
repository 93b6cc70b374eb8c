// SPDX-License-Identifier: MIT
/*
 * mullion-video with virtio-media, without its main(): a keeper, and real workers with GStreamer's codecs in their sandbox,
 * which die while a guest decodes by mapped buffers. The frontend and the guest are the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/base/step.h"
#include "tests/lib/media_keeper.h"
#include "tests/lib/media_player.h"
#include "tests/lib/tap.h"

static const struct video_keeper_options decoder = {
	.device = "kind=decoder,proto=virtio-media,timeout=60,codec=avdec_h264"};

static void a_guest_decodes_from_inside_the_sandbox(void **state)
{
	struct media_keeper m;

	(void)state;
	media_keeper_begin(&m, &decoder);
	media_keeper_decode_exactly(&m);
	media_keeper_decode_exactly(&m);
	assert_int_equal(fake_shmem_count(&m.w.home), 0);
	assert_int_equal(m.k.shared->workers, 1);
	assert_int_equal(media_keeper_end(&m), 0);
}

/* Parts of files that process @pid may execute. */
static unsigned libraries(pid_t pid)
{
	char path[32], line[512];
	unsigned count = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		count += strstr(line, " r-xp ") && strstr(line, ".so");
	fclose(maps);
	return count;
}

/* One black picture of 32x32. */
static const uint8_t av1[] = {0x12, 0x00, 0x0a, 0x0b, 0x00, 0x00, 0x00, 0x02, 0x27, 0xff, 0xc1,
			      0xff, 0xf9, 0x80, 0x40, 0x32, 0x0e, 0x10, 0x80, 0x80, 0x01, 0x00,
			      0x00, 0x00, 0x2f, 0x3a, 0xc5, 0x8a, 0x7a, 0x5f, 0xc0};

/* The sandbox is locked when a guest comes: what decodes it must have been loaded before. */
static void a_format_that_virtio_video_lacks_is_decoded_there_too(void **state)
{
	struct virtio_media_event_dqbuf e;
	struct media_keeper m;
	struct player p = {.w = &m.w};
	unsigned loaded;

	(void)state;
	media_keeper_begin(&m, &decoder);
	if (!video_keeper_log_has(&m.k, " av1 ")) {
		assert_int_equal(media_keeper_end(&m), 0);
		tap_skip("no decoder of AV1: gstreamer1.0-plugins-bad");
	}
	loaded = libraries(video_keeper_worker(&m.k, 0));
	assert_true(loaded > 0);
	assert_int_equal(media_open(&m.w, &p.id), 0);
	player_set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_AV1, 32, 32);
	assert_int_equal(media_subscribe_to(&m.w, p.id, V4L2_EVENT_SOURCE_CHANGE, 0, 0), 0);
	player_make_buffers(&p, MEDIA_OUTPUT, PLAYER_INPUTS, p.in, p.in_at);
	assert_int_equal(media_stream(&m.w, p.id, MEDIA_OUTPUT, true), 0);
	memcpy(p.in[0], av1, sizeof(av1));
	assert_int_equal(media_queue_buffer(&m.w, p.id, MEDIA_OUTPUT, 0, sizeof(av1), 1), 0);
	player_expect_change(&p);
	player_expect_size(&p, 32, 32);
	player_start_capture(&p);
	assert_int_equal(media_command(&m.w, p.id, false, V4L2_DEC_CMD_STOP), 0);
	e = media_dequeue(&m.w, p.id, MEDIA_CAPTURE);
	assert_false(e.buffer.flags & V4L2_BUF_FLAG_ERROR);
	assert_int_equal(e.planes[0].bytesused, 32 * 32 * 3 / 2);
	for (unsigned i = 0; i < 32 * 32 * 3 / 2; i++)
		assert_int_equal(p.out[e.buffer.index][i], i < 32 * 32 ? 16 : 128);
	assert_int_equal(libraries(video_keeper_worker(&m.k, 0)), loaded);
	assert_int_equal(m.k.shared->workers, 1);
	assert_int_equal(media_keeper_end(&m), 0);
}

/* The session is there, its mappings are, and it goes on when it is restarted; a new one decodes too. */
static void a_session_whose_worker_died_has_failed_until_it_is_restarted(void **state)
{
	struct media_keeper m;

	(void)state;
	media_keeper_begin(&m, &decoder);
	for (unsigned round = 0; round < 4; round++) {
		struct v4l2_format f = {.type = MEDIA_CAPTURE};
		struct media_client c;

		media_client_open(&c, &m);
		for (unsigned i = 0; i < 5 + 4 * round; i++)
			media_client_send(&c, i);
		assert_false(c.failed);
		while (!c.has_outputs)
			media_client_serve(&c);
		memcpy(c.in[0] + 100000, "stays", 6);
		video_keeper_die(&m.k);
		media_client_take_back(&c);
		assert_true(c.failed);
		assert_string_equal((char *)c.in[0] + 100000, "stays");
		assert_int_equal(media_queue_buffer(&m.w, c.id, MEDIA_OUTPUT, 0, 100, 0), -EIO);
		assert_int_equal(media_queue_buffer(&m.w, c.id, MEDIA_CAPTURE, 0, 0, 0), -EIO);
		assert_int_equal(media_command(&m.w, c.id, false, V4L2_DEC_CMD_STOP), -EIO);
		assert_int_equal(media_call(&m.w, c.id, VIDIOC_G_FMT, &f), 0);
		assert_int_equal(f.fmt.pix_mp.width, CLIP_WIDTH);
		/* Another one does not mind. */
		media_keeper_decode_exactly(&m);
		assert_true(media_client_restart(&c));
		assert_true(media_client_play(&c));
		video_keeper_check_exact(&c.sums);
		media_client_close(&c);
	}
	assert_int_equal(fake_shmem_count(&m.w.home), 0);
	assert_int_equal(m.k.shared->workers, 5);
	assert_int_equal(media_keeper_end(&m), 0);
}

static void a_session_without_a_codec_goes_on_unseen(void **state)
{
	struct media_keeper m;
	struct media_client c;

	(void)state;
	media_keeper_begin(&m, &decoder);
	media_client_open(&c, &m);
	video_keeper_settle_death(&m.k);
	assert_true(media_client_play(&c));
	video_keeper_check_exact(&c.sums);
	/* Drained: it has none again. Its buffers wait. */
	video_keeper_settle_death(&m.k);
	assert_int_equal(media_events_left(&m.w, c.id), 0);
	assert_false(c.failed);
	assert_true(media_client_restart(&c));
	assert_true(media_client_play(&c));
	video_keeper_check_exact(&c.sums);
	media_client_close(&c);
	assert_int_equal(media_keeper_end(&m), 0);
}

/* A sanitizer makes a start of GStreamer a matter of seconds, and a clip too. */
#ifdef __SANITIZE_ADDRESS__
enum { DEATHS = 8, LIFE_MS = 6000 };
#else
enum { DEATHS = 20, LIFE_MS = 400 };
#endif

/* How often keeper and workers have said @what. */
static unsigned said(const struct media_keeper *m, const char *what)
{
	char text[4096 + 1];
	unsigned count = 0;
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fileno(m->k.log), text, sizeof(text) - 1, at)) > 0) {
		const char *line = text;

		text[n] = '\0';
		while ((line = strstr(line, what))) {
			count++;
			line += strlen(what);
		}
		/* What lies across two parts is whole in the next. */
		at += n < (ssize_t)sizeof(text) - 1 ? n : n - (ssize_t)strlen(what) + 1;
	}
	return count;
}

/*
 * Kills workers, each at a moment that no two have in common: every other one while it starts, though not before it begins,
 * since no guest gets there; the rest when they have taken over, or no command would be answered.
 */
static pid_t begin_killing(struct media_keeper *m, unsigned seed)
{
	const pid_t killer = fork();

	assert_true(killer >= 0);
	if (killer)
		return killer;
	/* Nor does it keep the keeper's frontend there. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned kills = 0, begun = 0;; kills++) {
		unsigned told;
		pid_t worker;

		while (m->k.shared->workers == begun)
			usleep(500);
		told = said(m, "took over");
		begun = m->k.shared->workers;
		/* The first has nothing to take over. */
		while (kills > 0 && kills % 2 == 0 && said(m, "took over") == told)
			usleep(2000);
		worker = video_keeper_worker(&m->k, 0);
		usleep((unsigned)rand_r(&seed) % (LIFE_MS * 1000));
		if (worker > 1)
			kill(worker, SIGKILL);
	}
}

static void end_killing(pid_t killer)
{
	kill(killer, SIGKILL);
	waitpid(killer, NULL, 0);
}

/* Whole clips are right, what was lost was said, and sessions outlive it all. */
static void a_worker_may_die_at_any_moment(void **state)
{
	enum { MAX_CLIPS = 20000, CLIPS_A_SESSION = 5 };
	unsigned whole = 0, lost = 0, clips = 0;
	struct media_client c = {0};
	struct media_keeper m;
	pid_t killer;

	(void)state;
	media_keeper_begin(&m, &decoder);
	media_keeper_decode_exactly(&m);
	killer = begin_killing(&m, 1);
	while (m.k.shared->workers <= DEATHS && clips < MAX_CLIPS) {
		if (clips++ % CLIPS_A_SESSION == 0) {
			if (c.m)
				media_client_close(&c);
			media_client_open(&c, &m);
		}
		if (media_client_play(&c)) {
			video_keeper_check_exact(&c.sums);
			whole++;
		} else {
			media_client_take_back(&c);
			lost++;
		}
		while (!media_client_restart(&c))
			;
	}
	end_killing(killer);
	if (!media_client_play(&c)) {
		media_client_take_back(&c);
		assert_true(media_client_restart(&c) && media_client_play(&c));
	}
	video_keeper_check_exact(&c.sums);
	media_client_close(&c);
	printf("# %u clips whole, %u lost; %u workers\n", whole, lost, m.k.shared->workers);
	assert_true(whole > 0 && lost > 0 && m.k.shared->workers > DEATHS);
	media_keeper_decode_exactly(&m);
	assert_int_equal(fake_shmem_count(&m.w.home), 0);
	assert_int_equal(media_keeper_end(&m), 0);
}

/* In the midst of the clip. */
static void play_half(struct media_client *c, struct media_keeper *m)
{
	media_client_open(c, m);
	for (unsigned i = 0; i < CLIP_FRAMES / 2; i++)
		media_client_send(c, i);
	while (!c->has_outputs)
		media_client_serve(c);
	assert_false(c->failed);
}

static void a_worker_that_hangs_is_replaced_in_time(void **state)
{
	struct media_keeper m;
	struct media_client c;

	(void)state;
	media_keeper_begin(&m, &(struct video_keeper_options){.device = decoder.device, .hang_s = 2});
	play_half(&c, &m);
	video_keeper_signal_worker(&m.k, SIGSTOP);
	media_client_take_back(&c);
	assert_true(c.failed);
	assert_int_equal(m.k.shared->workers, 2);
	assert_true(media_client_restart(&c));
	assert_true(media_client_play(&c));
	video_keeper_check_exact(&c.sums);
	media_client_close(&c);
	assert_int_equal(media_keeper_end(&m), 0);
}

/* It knows the shared memory too. */
static void the_spare_worker_takes_over(void **state)
{
	struct media_keeper m;

	(void)state;
	media_keeper_begin(&m, &(struct video_keeper_options){.device = decoder.device, .spare = true});
	for (unsigned round = 0; round < 2; round++) {
		struct media_client c;
		pid_t spare;

		play_half(&c, &m);
		for (unsigned i = 0; i < 6000 && m.k.shared->spares == round; i++)
			usleep(5000);
		assert_int_equal(m.k.shared->spares, round + 1);
		spare = video_keeper_worker(&m.k, 1);
		assert_true(spare > 0);
		video_keeper_die(&m.k);
		media_client_take_back(&c);
		assert_true(c.failed);
		assert_int_equal(video_keeper_worker(&m.k, 0), spare);
		assert_true(media_client_restart(&c));
		assert_true(media_client_play(&c));
		video_keeper_check_exact(&c.sums);
		media_client_close(&c);
	}
	assert_int_equal(media_keeper_end(&m), 0);
}

static void after_many_deaths_no_streams_are_switched_on_for_a_while(void **state)
{
	uint32_t id, count = 2, made[2];
	struct media_keeper m;

	(void)state;
	media_keeper_begin(&m, &(struct video_keeper_options){.device = decoder.device, .max_deaths = 2});
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(media_open(&m.w, &made[i]), 0);
		video_keeper_settle_death(&m.k);
	}
	assert_int_equal(media_request(&m.w, made[0], MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(media_stream(&m.w, made[0], MEDIA_OUTPUT, true), -EIO);
	/* Those that only look may. */
	assert_int_equal(media_open(&m.w, &id), 0);
	assert_int_equal(id, made[1] + 1);
	media_close(&m.w, made[1]);
	assert_int_equal(media_keeper_end(&m), 0);
}

/* ---- the encoder ---- */

struct encoding {
	struct player p;
	unsigned queued[2]; /* OUTPUT, CAPTURE: a bit each */
	unsigned packets;
	bool failed, ended;
};

static void take_event(struct encoding *e)
{
	const struct media_event event = media_next_event(e->p.w, e->p.id);
	const struct virtio_media_event_dqbuf *d = &event.u.dqbuf;
	const bool is_capture = d->buffer.type == MEDIA_CAPTURE;

	assert_int_equal(event.u.hdr.event, VIRTIO_MEDIA_EVT_DQBUF);
	assert_true(e->queued[is_capture] >> d->buffer.index & 1);
	e->queued[is_capture] &= ~(1u << d->buffer.index);
	e->failed |= (d->buffer.flags & V4L2_BUF_FLAG_ERROR) != 0;
	e->ended |= (d->buffer.flags & V4L2_BUF_FLAG_LAST) != 0;
	if (!is_capture || e->failed || e->ended)
		return;
	/* A start code. */
	assert_memory_equal(e->p.out[d->buffer.index], "\0\0\0\1", 4);
	e->packets++;
	/* It may have died since. */
	if (media_queue_buffer(e->p.w, e->p.id, MEDIA_CAPTURE, d->buffer.index, 0, 0) == 0)
		e->queued[1] |= 1u << d->buffer.index;
	else
		e->failed = true;
}

static void encode_pictures(struct encoding *e, unsigned count)
{
	const uint32_t bytes = CLIP_WIDTH * CLIP_HEIGHT * 3 / 2;

	for (unsigned n = 0; n < count; n++) {
		uint32_t i = 0;

		while (e->queued[0] == (1u << PLAYER_INPUTS) - 1)
			take_event(e);
		while (e->queued[0] >> i & 1)
			i++;
		memset(e->p.in[i], (int)(20 + 9 * n), bytes);
		assert_int_equal(media_queue_buffer(e->p.w, e->p.id, MEDIA_OUTPUT, i, bytes, n), 0);
		e->queued[0] |= 1u << i;
	}
}

static void start_queues(struct encoding *e)
{
	for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
		player_want(&e->p, i);
	e->queued[0] = 0;
	e->queued[1] = (1u << PLAYER_OUTPUTS) - 1;
	e->packets = 0;
	e->failed = e->ended = false;
	assert_int_equal(media_stream(e->p.w, e->p.id, MEDIA_CAPTURE, true), 0);
	assert_int_equal(media_stream(e->p.w, e->p.id, MEDIA_OUTPUT, true), 0);
}

static void an_encoder_goes_on_when_it_is_restarted(void **state)
{
	struct media_keeper m;
	struct encoding e = {.p = {.w = &m.w}};

	(void)state;
	media_keeper_begin(&m, &(struct video_keeper_options){.device = "kind=encoder,proto=virtio-media,timeout=60"});
	assert_int_equal(media_open(&m.w, &e.p.id), 0);
	player_set_format(&e.p, MEDIA_CAPTURE, V4L2_PIX_FMT_H264, CLIP_WIDTH, CLIP_HEIGHT);
	player_set_format(&e.p, MEDIA_OUTPUT, V4L2_PIX_FMT_YUV420, CLIP_WIDTH, CLIP_HEIGHT);
	player_make_buffers(&e.p, MEDIA_OUTPUT, PLAYER_INPUTS, e.p.in, e.p.in_at);
	player_make_buffers(&e.p, MEDIA_CAPTURE, PLAYER_OUTPUTS, e.p.out, e.p.out_at);
	for (unsigned round = 0; round < 3; round++) {
		start_queues(&e);
		encode_pictures(&e, 9);
		if (round == 1) {
			video_keeper_die(&m.k);
			while (e.queued[0] || e.queued[1])
				take_event(&e);
			assert_true(e.failed);
		} else {
			assert_int_equal(media_command(&m.w, e.p.id, true, V4L2_ENC_CMD_STOP), 0);
			while (!e.ended)
				take_event(&e);
			assert_false(e.failed);
			assert_int_equal(e.packets, 9);
		}
		assert_int_equal(media_stream(&m.w, e.p.id, MEDIA_OUTPUT, false), 0);
		assert_int_equal(media_stream(&m.w, e.p.id, MEDIA_CAPTURE, false), 0);
		while (media_events_left(&m.w, e.p.id) > 0)
			media_next_event(&m.w, e.p.id);
	}
	assert_int_equal(m.k.shared->workers, 2);
	assert_int_equal(media_keeper_end(&m), 0);
}

/* ---- deaths at numbered steps ---- */

#ifdef MULLION_STEPS
/* From the middle of a clip on: the client sees to it that each buffer comes back once. */
static void check_stream(struct media_keeper *m, unsigned step, unsigned number)
{
	const unsigned before = m->k.shared->workers;
	struct media_client c;

	play_half(&c, m);
	video_keeper_arm(&m->k, step, number);
	for (unsigned i = CLIP_FRAMES / 2; i < CLIP_FRAMES && !c.failed; i++)
		media_client_send(&c, i);
	while (!c.failed && c.queued[0])
		media_client_serve(&c);
	if (c.failed)
		media_client_take_back(&c);
	media_client_restart(&c);
	c.failed = false;
	video_keeper_expect_death(&m->k, before);
	while (!media_client_restart(&c))
		;
	assert_true(media_client_play(&c));
	video_keeper_check_exact(&c.sums);
	media_client_close(&c);
}

/* What was answered well is so, what was refused is not, and each is done once. */
static void check_commands(struct media_keeper *m, unsigned step, unsigned number)
{
	const unsigned before = m->k.shared->workers, mapped = fake_shmem_count(&m->w.home);
	uint32_t id[2], count = 2;
	struct v4l2_plane plane;
	struct v4l2_buffer b;
	uint64_t at;
	int err;

	video_keeper_arm(&m->k, step, number);
	for (unsigned i = 0; i < 2; i++) {
		err = media_open(&m->w, &id[i]);
		assert_true(err == 0 || err == -EIO);
		if (err)
			assert_int_equal(media_open(&m->w, &id[i]), 0);
	}
	assert_int_not_equal(id[0], id[1]);
	err = media_request(&m->w, id[0], MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count);
	assert_true(err == 0 || err == -EIO);
	assert_int_equal(media_query(&m->w, id[0], MEDIA_OUTPUT, 1, &b, &plane, 1), err ? -EINVAL : 0);
	if (err)
		assert_int_equal(media_request(&m->w, id[0], MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	err = media_map(&m->w, id[0], 0, true, &at, NULL);
	assert_true(err == 0 || err == -EIO);
	if (err)
		assert_int_equal(media_map(&m->w, id[0], 0, true, &at, NULL), 0);
	memcpy(media_seen(&m->w, at), "stays", 6);
	err = media_queue_buffer(&m->w, id[0], MEDIA_OUTPUT, 1, 100, 1);
	assert_true(err == 0 || err == -EIO);
	/* It dies once. */
	if (err)
		assert_int_equal(media_queue_buffer(&m->w, id[0], MEDIA_OUTPUT, 1, 100, 1), 0);
	err = media_queue_buffer(&m->w, id[0], MEDIA_OUTPUT, 1, 100, 1);
	assert_true(err == -EINVAL || err == -EIO);
	/* What only lets go is done whoever dies. */
	assert_int_equal(media_stream(&m->w, id[0], MEDIA_OUTPUT, false), 0);
	assert_string_equal((char *)media_seen(&m->w, at), "stays");
	assert_int_equal(media_unmap(&m->w, at), 0);
	assert_int_equal(media_unmap(&m->w, at), -EINVAL);
	for (unsigned i = 0; i < 2; i++) {
		media_close(&m->w, id[i]);
		assert_int_equal(media_query(&m->w, id[i], MEDIA_OUTPUT, 1, &b, &plane, 1), -EINVAL);
	}
	/* Enough of them for the step to be reached. */
	while (m->k.shared->workers == before && number-- > 0)
		assert_int_equal(media_query(&m->w, id[0], MEDIA_OUTPUT, 1, &b, &plane, 1), -EINVAL);
	video_keeper_expect_death(&m->k, before);
	assert_int_equal(media_query(&m->w, id[0], MEDIA_OUTPUT, 1, &b, &plane, 1), -EINVAL);
	assert_int_equal(fake_shmem_count(&m->w.home), mapped);
}
#endif

static void a_worker_that_dies_at_a_step_is_replaced(void **state)
{
#ifdef MULLION_STEPS
	struct media_keeper m;

	(void)state;
	/* Process 1 of a world of its own can't kill itself: without a sandbox. */
	media_keeper_begin(&m, &(struct video_keeper_options){.device = decoder.device, .mode = SANDBOX_OFF});
	for (unsigned step = 0; step < STEP_RECOVERING; step++) {
		for (unsigned number = 1 + step % 4; number < 13; number += 6)
			check_stream(&m, step, number);
	}
	media_keeper_decode_exactly(&m);
	assert_int_equal(fake_shmem_count(&m.w.home), 0);
	assert_int_equal(media_keeper_end(&m), 0);
#else
	(void)state;
	tap_skip("needs a build with STEPS=1");
#endif
}

static void a_command_at_work_is_done_once_or_not_at_all(void **state)
{
#ifdef MULLION_STEPS
	struct media_keeper m;

	(void)state;
	media_keeper_begin(&m, &(struct video_keeper_options){.device = decoder.device, .mode = SANDBOX_OFF});
	for (unsigned step = 0; step < STEP_RECOVERING; step++) {
		for (unsigned number = 1 + step % 3; number <= 12; number += 4)
			check_commands(&m, step, number);
	}
	media_keeper_decode_exactly(&m);
	assert_int_equal(media_keeper_end(&m), 0);
#else
	(void)state;
	tap_skip("needs a build with STEPS=1");
#endif
}

int main(void)
{
	/* One alone, to look into it. */
	const char *only = getenv("VIDEO_TEST");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_decodes_from_inside_the_sandbox),
		cmocka_unit_test(a_format_that_virtio_video_lacks_is_decoded_there_too),
		cmocka_unit_test(a_session_whose_worker_died_has_failed_until_it_is_restarted),
		cmocka_unit_test(a_session_without_a_codec_goes_on_unseen),
		cmocka_unit_test(a_worker_may_die_at_any_moment),
		cmocka_unit_test(a_worker_that_hangs_is_replaced_in_time),
		cmocka_unit_test(the_spare_worker_takes_over),
		cmocka_unit_test(after_many_deaths_no_streams_are_switched_on_for_a_while),
		cmocka_unit_test(an_encoder_goes_on_when_it_is_restarted),
		cmocka_unit_test(a_worker_that_dies_at_a_step_is_replaced),
		cmocka_unit_test(a_command_at_work_is_done_once_or_not_at_all),
	};

	cmocka_set_test_filter(only);
	return cmocka_run_group_tests_name("media keeper", tests, video_keeper_set_up, video_keeper_tear_down);
}
