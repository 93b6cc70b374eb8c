// SPDX-License-Identifier: MIT
/*
 * As test_media_keeper.c: a guest that decodes by mapped buffers while workers die, many of them, at any moment and at each
 * step. Which codecs a worker has is the other's matter; with one alone it is there sooner.
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

/*
 * A worker that is killed leaks nothing, and what one that ends would is looked for in the other test: the slow unwinder that it
 * takes (codec_leaks.c) makes each start of GStreamer longer by a half.
 */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static void begin(struct media_keeper *m, enum sandbox_mode mode)
{
	static const char device[] = "kind=decoder,proto=virtio-media,timeout=60";
	static char one_codec[sizeof(device) + 32];

	snprintf(one_codec, sizeof(one_codec), "%s%s", device, video_keeper_film->has_libav ? ",codec=avdec_h264" : "");
	media_keeper_begin(m, &(struct video_keeper_options){.device = one_codec, .mode = mode});
}

/* A sanitizer makes a start of GStreamer a matter of seconds, and a clip too. */
#ifdef __SANITIZE_ADDRESS__
enum { DEATHS = 8, LIFE_MS = 3000 };
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

/* Has worker @pid taken over? The keeper's processes have the numbers that it says here, too. */
static bool took_over(const struct media_keeper *m, pid_t pid)
{
	char text[48];

	snprintf(text, sizeof(text), "worker %d took over", (int)pid);
	return said(m, text) > 0;
}

static volatile sig_atomic_t is_over;

static void on_term(int signal)
{
	(void)signal;
	is_over = 1;
}

/*
 * Kills workers, each at a moment that no two have in common: every other one while it starts, though not before it begins,
 * since no guest gets there; the rest when they have taken over and answered something, or on a slow machine, where that is
 * long after, a command might see any number of them go. It ends when the last one that it killed has been replaced.
 */
static void kill_workers(const struct media_keeper *m, unsigned seed, unsigned life_ms)
{
	for (unsigned kills = 0, begun = 0;; kills++) {
		/* The first has nothing to take over. */
		const bool has_served = kills > 0 && kills % 2 == 0;
		unsigned answers;
		pid_t worker;

		while (m->k.shared->workers == begun)
			usleep(500);
		begun = m->k.shared->workers;
		/* A keeper buries one before it makes the next. */
		while ((worker = video_keeper_worker(&m->k, 0)) <= 1)
			usleep(500);
		while (!is_over && has_served && !took_over(m, worker))
			usleep(2000);
		answers = m->k.shared->answers;
		while (!is_over && has_served && m->k.shared->answers == answers)
			usleep(2000);
		if (!is_over)
			usleep((unsigned)rand_r(&seed) % (life_ms * 1000));
		if (is_over)
			return;
		kill(worker, SIGKILL);
	}
}

static pid_t begin_killing(const struct media_keeper *m, unsigned seed, unsigned life_ms)
{
	const pid_t killer = fork();

	assert_true(killer >= 0);
	if (killer)
		return killer;
	/* Nor does it keep the keeper's frontend there. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, on_term);
	kill_workers(m, seed, life_ms);
	_exit(0);
}

/* And wait for the one that is there now to serve: no other dies. */
static void end_killing(const struct media_keeper *m, pid_t killer)
{
	int status;

	kill(killer, SIGTERM);
	assert_int_equal(waitpid(killer, &status, 0), killer);
	assert_int_equal(status, 0);
	while (!took_over(m, video_keeper_worker(&m->k, 0)))
		usleep(2000);
}

/* Whole clips are right, what was lost was said, and sessions outlive it all. */
static void a_worker_may_die_at_any_moment(void **state)
{
	enum { MAX_CLIPS = 20000, CLIPS_A_SESSION = 5 };
	unsigned whole = 0, lost = 0, clips = 0;
	struct media_client c = {0};
	struct media_keeper m;
	unsigned clip_ms;
	uint64_t began;
	pid_t killer;

	(void)state;
	begin(&m, SANDBOX_AUTO);
	media_keeper_decode_exactly(&m);
	began = loop_now_ns();
	media_keeper_decode_exactly(&m);
	clip_ms = (unsigned)((loop_now_ns() - began) / 1000000);
	/* A guest on a busy machine comes to no end of any clip otherwise. */
	killer = begin_killing(&m, 1, 4 * clip_ms > LIFE_MS ? 4 * clip_ms : LIFE_MS);
	while ((m.k.shared->workers <= DEATHS || !whole || !lost) && clips < MAX_CLIPS) {
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
	end_killing(&m, killer);
	if (!media_client_play(&c)) {
		media_client_take_back(&c);
		assert_true(media_client_restart(&c) && media_client_play(&c));
	}
	video_keeper_check_exact(&c.sums);
	media_client_close(&c);
	printf("# %u clips whole, %u lost; %u workers; one takes %u ms\n", whole, lost, m.k.shared->workers, clip_ms);
	assert_true(whole > 0 && lost > 0 && m.k.shared->workers > DEATHS);
	media_keeper_decode_exactly(&m);
	assert_int_equal(fake_shmem_count(&m.w.home), 0);
	assert_int_equal(media_keeper_end(&m), 0);
}

/* ---- deaths at numbered steps ---- */

#ifdef MULLION_STEPS
/* From the middle of a clip on: the client sees to it that each buffer comes back once. */
static void check_stream(struct media_keeper *m, unsigned step, unsigned number)
{
	const unsigned before = m->k.shared->workers;
	struct media_client c;

	media_client_play_half(&c, m);
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
	begin(&m, SANDBOX_OFF);
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
	begin(&m, SANDBOX_OFF);
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
		cmocka_unit_test(a_worker_may_die_at_any_moment),
		cmocka_unit_test(a_worker_that_dies_at_a_step_is_replaced),
		cmocka_unit_test(a_command_at_work_is_done_once_or_not_at_all),
	};

	cmocka_set_test_filter(only);
	return cmocka_run_group_tests_name("media deaths", tests, video_keeper_set_up, video_keeper_tear_down);
}
