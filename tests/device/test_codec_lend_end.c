// SPDX-License-Identifier: MIT
/*
 * The end of a decoder of GStreamer's whose driver may be writing to a guest's buffers: whoever wants them back waits until it was
 * stopped, and if it is not, the process ends. No codec runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/video/buffer.h"
#include "host/video/gst_lend.h"
#include "host/video/gst_pipeline.h"

static const struct video_buffer buffer;

/* A decoder that has one buffer, which its driver has where @held. */
static struct codec_gst *make(bool held)
{
	struct codec_gst *g = calloc(1, sizeof(*g));
	pthread_condattr_t attributes;

	assert_non_null(g);
	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&g->loans_changed, &attributes);
	pthread_condattr_destroy(&attributes);
	sem_init(&g->stop, 0, 0);
	g->may_lend = true;
	g->lending = GST_LENDING_ON;
	g->loans[0] = (struct loan){.codec = g, .buffer = &buffer, .held = held};
	return g;
}

static void *stop(void *data)
{
	struct codec_gst *g = data;

	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	pthread_mutex_lock(&g->lock);
	g->stopped = true;
	pthread_cond_broadcast(&g->loans_changed);
	while (g->is_waited_for)
		pthread_cond_wait(&g->loans_changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

static void nobody_waits_for_what_the_driver_has_not(void **state)
{
	struct codec_gst *g = make(false);

	(void)state;
	assert_false(gst_lend_end(g));
	gst_pipeline_free(g);
}

static void buffers_are_back_when_the_driver_was_stopped(void **state)
{
	struct codec_gst *g = make(true);
	const uint64_t began = loop_now_ns();
	pthread_t thread;

	(void)state;
	assert_true(gst_lend_end(g));
	assert_int_equal(pthread_create(&thread, NULL, stop, g), 0);
	gst_lend_wait(g);
	assert_true(loop_now_ns() - began >= 50000000);
	pthread_join(thread, NULL);
	gst_pipeline_free(g);
}

static void a_driver_that_does_not_stop_ends_the_process(void **state)
{
	const uint64_t began = loop_now_ns();
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		struct codec_gst *g = make(true);

		gst_lend_wait(gst_lend_end(g) ? g : NULL);
		_exit(EXIT_SUCCESS);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
	/* A guest waits 5 s for an answer, which another process has to give. */
	assert_true(loop_now_ns() - began < 3000000000u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_waits_for_what_the_driver_has_not),
		cmocka_unit_test(buffers_are_back_when_the_driver_was_stopped),
		cmocka_unit_test(a_driver_that_does_not_stop_ends_the_process),
	};

	return cmocka_run_group_tests_name("codec lend end", tests, NULL, NULL);
}
