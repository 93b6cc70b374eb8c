// SPDX-License-Identifier: MIT
/*
 * A worker that a guest took over, in its sandbox, does what it may not: it ends or fails, and the guest does not notice. And
 * one whose driver ends it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/device/rings.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"
#include "tests/lib/keeper_world.h"
#include "tests/lib/tap.h"

/* What came of an act that did not come back; else 0 it was done, or an errno. */
#define CAME_NOT_BACK -1

/* ---- what a worker may not do; harmless where it may ---- */

static int or_errno(long result)
{
	return result < 0 ? errno : 0;
}

static int make_socket(void)
{
	return or_errno(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int start_program(void)
{
	char *const argv[] = {(char *)(uintptr_t) "true", NULL};

	return or_errno(execve("/usr/bin/true", argv, argv + 1));
}

static int trace(void)
{
	return or_errno(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int start_process(void)
{
	const long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return or_errno(pid);
}

static int signal_another(void)
{
	return or_errno(kill(getppid(), 0));
}

static int read_memory_of_another(void)
{
	return or_errno(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
}

static int write_password_file(void)
{
	return or_errno(open("/etc/passwd", O_WRONLY | O_APPEND | O_CLOEXEC));
}

static int read_password_file(void)
{
	return or_errno(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static const struct {
	const char *name;
	int (*act)(void);
	bool kills; /* else it gets an error, and goes on */
} forbidden[] = {
	{"socket", make_socket, true},
	{"execve", start_program, true},
	{"ptrace", trace, true},
	{"fork", start_process, true},
	{"kill", signal_another, true},
	{"process_vm_readv", read_memory_of_another, true},
	{"writing /etc/passwd", write_password_file, false},
	{"reading /etc/passwd", read_password_file, false},
};

static void do_forbidden(struct keeper_shared *s)
{
	s->result = forbidden[s->act].act();
}

/* ---- the test ---- */

/* One that a guest took over, in the midst of its requests. */
static void what_a_worker_may_not_do_ends_it_or_fails_and_the_guest_goes_on(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		struct keeper_world w;

		keeper_world_begin(&w, &rings[i % RING_KINDS], KEEPER_IN_SANDBOX);
		w.shared->act = i;
		w.shared->result = CAME_NOT_BACK;
		w.shared->taken_over = do_forbidden;
		keeper_world_start(&w);
		/* A request before: the first worker is ready then, and has said what its sandbox lacks. */
		assert_int_equal(keeper_world_serve(&w, 0, 100, NULL), 0);
		if (*w.shared->missing) {
			printf("# without %s\n", w.shared->missing);
			keeper_world_end(&w);
			tap_skip("the sandbox is not complete on this host");
		}
		/* At most the request in which it happened is lost, and it is not done again. */
		if (keeper_world_serve(&w, 0, 0, NULL) != forbidden[i].kills)
			fail_msg("%s: it was not the one request that got an error", forbidden[i].name);
		if (w.shared->workers != (forbidden[i].kills ? 2 : 1) ||
		    (forbidden[i].kills ? w.shared->result != CAME_NOT_BACK : w.shared->result <= 0) ||
		    keeper_world_log_has(&w, "that its sandbox forbids") != forbidden[i].kills)
			fail_msg("%s: %u workers, result %d", forbidden[i].name, w.shared->workers, w.shared->result);
		for (unsigned n = 0; n < 4; n++)
			assert_int_equal(keeper_world_serve(&w, n % ECHO_QUEUES, 16 * n + 128, NULL), 0);
		assert_int_equal(keeper_world_end(&w), 0);
	}
}

/* ---- drivers that end their process by themselves ---- */

static int abort_like_a_driver(void)
{
	abort();
}

static int exit_like_a_driver(void)
{
	exit(1);
}

static const int *volatile nowhere = (const int *)(uintptr_t)0x1000;

static int follow_a_wild_pointer(void)
{
	signal(SIGSEGV, SIG_DFL);
	return *nowhere;
}

static const struct {
	const char *name;
	int (*act)(void);
} faults[] = {
	{"abort", abort_like_a_driver},
	{"exit", exit_like_a_driver},
	{"a wild pointer", follow_a_wild_pointer},
};

static void fail_in_driver(struct keeper_shared *s)
{
	s->result = faults[s->act].act();
}

/* In the sandbox, where the worker is process 1 of a world of its own, which no signal ends by its default. */
static void a_driver_that_ends_its_worker_loses_one_request(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct keeper_world w;

		keeper_world_begin(&w, &rings[i % RING_KINDS], KEEPER_IN_SANDBOX);
		w.shared->act = i;
		w.shared->result = CAME_NOT_BACK;
		w.shared->taken_over = fail_in_driver;
		keeper_world_start(&w);
		assert_int_equal(keeper_world_serve(&w, 0, 100, NULL), 0);
		if (keeper_world_serve(&w, 0, 0, NULL) != 1 || w.shared->workers != 2 ||
		    w.shared->result != CAME_NOT_BACK)
			fail_msg("%s: %u workers, result %d", faults[i].name, w.shared->workers, w.shared->result);
#ifndef __SANITIZE_ADDRESS__ /* which looks for leaks at the end, in ways that the sandbox forbids */
		assert_false(keeper_world_log_has(&w, "that its sandbox forbids"));
#endif
		for (unsigned n = 0; n < 4; n++)
			assert_int_equal(keeper_world_serve(&w, n % ECHO_QUEUES, 16 * n + 128, NULL), 0);
		assert_int_equal(keeper_world_end(&w), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_worker_may_not_do_ends_it_or_fails_and_the_guest_goes_on),
		cmocka_unit_test(a_driver_that_ends_its_worker_loses_one_request),
	};

	return cmocka_run_group_tests_name("keeper sandbox", tests, NULL, NULL);
}
