// SPDX-License-Identifier: MIT
/*
 * The host's GPU is reset, as its driver's kernel part does when it hangs: contexts say so, and what is drawn afterwards is
 * lost without a word. Here it is the GL function by which they say it that is the test's. Processes are children of this
 * one, which knows no OpenGL.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <epoxy/egl.h>
#include <epoxy/gl.h>

#include "host/gpu/egl.h"
#include "host/virtio/journal.h"
#include "protocol/virtio_gpu.h"
#include "tests/lib/gpu3d_test.h"
#include "tests/lib/journal_open.h"
#include "tests/lib/tap.h"

#define NO_3D 77
#define SAYS_NOTHING 78
#define GOOD 42
#define UNSPEC VIRTIO_GPU_RESP_ERR_UNSPEC
/* Longer than the device goes without looking. */
#define LOOK_US 70000

/* ---- in a child ---- */

static GLenum reset_status = GL_NO_ERROR;
static __eglMustCastToProperFunctionPointerType(EPOXY_CALLSPEC *real_address)(const char *name);

static GLenum EPOXY_CALLSPEC get_status(void)
{
	return reset_status;
}

static __eglMustCastToProperFunctionPointerType EPOXY_CALLSPEC find_address(const char *name)
{
	if (!strncmp(name, "glGetGraphicsResetStatus", strlen("glGetGraphicsResetStatus")))
		return (__eglMustCastToProperFunctionPointerType)get_status;
	return real_address(name);
}

static void require(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "test: %s\n", what);
	_exit(99);
}

/* A device that draws, with the test's function; ends the process where there is none. */
static struct gpu3d *start(struct fake_guest *guest, int journal_fd)
{
	struct journal *j = NULL;
	struct gpu_egl *egl;
	struct gpu3d *t;
	const char *why;
	char text[256];

	/* libepoxy looks it up at its first use. */
	eglGetProcAddress("eglInitialize");
	real_address = epoxy_eglGetProcAddress;
	epoxy_eglGetProcAddress = find_address;
	if (gpu_egl_create(NULL, &egl, text, sizeof(text)))
		_exit(NO_3D);
	if (!gpu_egl_info(egl)->tells_reset)
		_exit(SAYS_NOTHING);
	gpu_egl_destroy(egl);
	require(journal_fd < 0 || journal_open(journal_fd, &j) == 0, "opening the journal");
	require(gpu3d_create_on(&t, guest, "virgl", j, &why) == 0, "a device");
	return t;
}

static int submit_something(struct gpu3d *t)
{
	virgl_set_sample_mask(&t->stream, ~0u);
	return gpu3d_submit(t);
}

/* ---- processes ---- */

static struct fake_guest *guest;
static int journal_fd;

static int run(void (*work)(struct gpu3d *t), bool with_journal, bool first)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct gpu3d *t;

		tap_begin_child();
		t = start(guest, with_journal ? journal_fd : -1);
		if (first)
			gpu3d_boot(t);
		else
			gpu3d_take_over(t, 16u << 20);
		work(t);
		_exit(GOOD);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_3D)
		tap_skip("no 3D here");
	if (WEXITSTATUS(status) == SAYS_NOTHING)
		tap_skip("this driver's contexts do not say when they were lost");
	return WEXITSTATUS(status);
}

static int setup(void **state)
{
	(void)state;
	guest = fake_guest_create(&(struct fake_guest_options){.memory_bytes = 64u << 20});
	journal_fd = journal_memfd(8u << 20);
	return journal_fd < 0;
}

static int teardown(void **state)
{
	(void)state;
	close(journal_fd);
	fake_guest_destroy(guest);
	return 0;
}

/* ---- cases ---- */

static void draw_and_lose_all(struct gpu3d *t)
{
	require(gpu3d_context(t, 2, 0) == OK, "a second context");
	require(gpu3d_draws(t, 10), "drawing");
	usleep(LOOK_US);
	require(gpu3d_draws(t, 20), "drawing when it looked and found nothing");
	reset_status = GL_INNOCENT_CONTEXT_RESET;
	usleep(LOOK_US);
	require(submit_something(t) == UNSPEC, "the first submission afterwards");
	reset_status = GL_NO_ERROR;
	/* The status is told once; what is lost stays lost, in every context. */
	require(submit_something(t) == UNSPEC, "the next one");
	t->ctx = 2;
	require(submit_something(t) == UNSPEC, "that of another context");
	/* What needs no context goes on. */
	t->ctx = 1;
	require(gpu3d_context_destroy(t, 2) == OK, "destroying a context");
	gpu3d_texture(t, 30, BGRA, TARGET, 8, 8, 0);
}

static void without_a_journal_contexts_are_lost(void **state)
{
	(void)state;
	assert_int_equal(run(draw_and_lose_all, false, true), GOOD);
}

static void draw_then_reset(struct gpu3d *t)
{
	require(gpu3d_draws(t, 10), "drawing");
	reset_status = GL_GUILTY_CONTEXT_RESET;
	usleep(LOOK_US);
	submit_something(t);
	/* Not reached. */
}

static void go_on(struct gpu3d *t)
{
	require(submit_something(t) == OK, "the context that was there");
	require(gpu3d_draws(t, 40), "drawing in it");
}

/* Its keeper sees that it ended, and starts another. */
static void with_one_the_process_ends_and_another_goes_on(void **state)
{
	(void)state;
	assert_int_equal(run(draw_then_reset, true, true), EXIT_FAILURE);
	assert_int_equal(run(go_on, true, false), GOOD);
}

static void show_then_reset(struct gpu3d *t)
{
	struct gpu3d_resource r = gpu3d_texture(t, 10, BGRA, TARGET | VIRGL_BIND_SCANOUT, 8, 8, 0);

	require(gpu3d_upload(t, &r) == OK, "a picture");
	require(gpu3d_set_scanout(t, r.id, 8, 8) == OK && gpu3d_flush(t, r.id, 0, 0, 8, 8) == OK, "showing it");
	reset_status = GL_INNOCENT_CONTEXT_RESET;
	usleep(LOOK_US);
	gpu3d_flush(t, r.id, 0, 0, 8, 8);
	/* Not reached. */
}

static void a_guest_that_submits_nothing_goes_on_too(void **state)
{
	(void)state;
	assert_int_equal(run(show_then_reset, true, true), EXIT_FAILURE);
	assert_int_equal(run(go_on, true, false), GOOD);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(without_a_journal_contexts_are_lost),
		CASE(with_one_the_process_ends_and_another_goes_on),
		CASE(a_guest_that_submits_nothing_goes_on_too),
	};

	return cmocka_run_group_tests_name("gpu_virgl_reset", tests, NULL, NULL);
}
