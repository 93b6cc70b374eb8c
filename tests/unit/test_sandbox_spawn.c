// SPDX-License-Identifier: MIT
/* How the sandbox's processes begin and end, whatever they may do meanwhile (test_sandbox.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/elsewhere.h"
#include "tests/lib/sandbox_plan.h"

static int act_end(struct sandbox *s)
{
	(void)s;
	return 7;
}

static void exit_status_comes_through(void **state)
{
	struct sandbox_plan p = {.config = {.profile = &sandbox_gpu}, .act = act_end};

	(void)state;
	assert_int_equal(sandbox_plan_run(&p), 7);
	p.config.mode = SANDBOX_OFF;
	assert_int_equal(sandbox_plan_run(&p), 7);
}

static void *wait_long(void *arg)
{
	(void)arg;
	pause();
	return NULL;
}

static int worker_with_thread(struct sandbox *s, void *arg)
{
	pthread_t thread;
	int keep[1] = {0};

	(void)arg;
	if (pthread_create(&thread, NULL, wait_long, NULL))
		return 1;
	return sandbox_prepare(s, keep, 0) == -EBUSY ? GOOD : 2;
}

static void threads_from_before_are_refused(void **state)
{
	const struct sandbox_config config = {.profile = &sandbox_gpu};
	struct sandbox_child child;
	struct sandbox *s;

	(void)state;
	assert_int_equal(sandbox_create(&config, &s), 0);
	assert_int_equal(sandbox_spawn(s, worker_with_thread, NULL, &child), 0);
	assert_int_equal(elsewhere_wait(child.pid), GOOD);
	close(child.pidfd);
	sandbox_destroy(s);
}

static int act_wait(struct sandbox *s)
{
	(void)s;
	poll(NULL, 0, -1);
	return 1;
}

/* The parent dies without a word: kill -9. */
static void worker_dies_with_its_parent(void **state)
{
	struct pollfd end = {.events = POLLIN};
	int ends[2], word;
	pid_t parent;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	parent = fork();
	if (parent == 0) {
		const struct sandbox_plan p = {.config = {.profile = &sandbox_gpu}, .act = act_wait};
		struct sandbox_child child;
		struct sandbox *s;

		if (sandbox_create(&p.config, &s) ||
		    sandbox_spawn(s, sandbox_plan_work, (void *)(uintptr_t)&p, &child) ||
		    write(ends[1], &child.pid, sizeof(int)) != sizeof(int))
			_exit(1);
		pause();
		_exit(2);
	}
	assert_int_equal(read(ends[0], &word, sizeof(word)), sizeof(word));
	end.fd = (int)syscall(SYS_pidfd_open, word, 0);
	assert_true(end.fd >= 0);
	kill(parent, SIGKILL);
	assert_int_equal(elsewhere_wait(parent), -SIGKILL);
	assert_int_equal(poll(&end, 1, 60000), 1);
	close(end.fd);
	close(ends[0]);
	close(ends[1]);
}

/* The first child of @parent's, once it is there; 0: @parent, a child of ours, has ended. */
static pid_t first_child(pid_t parent)
{
	siginfo_t end = {0};
	char path[64];
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	while (pid == 0 && end.si_pid == 0) {
		FILE *f = fopen(path, "re");

		assert_non_null(f);
		if (fscanf(f, "%d", &pid) != 1)
			pid = 0;
		fclose(f);
		assert_int_equal(waitid(P_PID, (id_t)parent, &end, WEXITED | WNOHANG | WNOWAIT), 0);
	}
	return pid;
}

/* What a kernel that is out of memory does, or a hasty administrator. */
static void a_child_that_is_killed_while_it_is_made_is_made_again(void **state)
{
	enum { ROUNDS = 30 };
	unsigned hits = 0;

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		const pid_t parent = fork();
		pid_t child;

		if (parent == 0) {
			const struct sandbox_plan p = {.config = {.profile = &sandbox_gpu}, .act = act_wait};
			struct sandbox_child made;
			struct sandbox *s;

			_exit(sandbox_create(&p.config, &s) ||
			      sandbox_spawn(s, sandbox_plan_work, (void *)(uintptr_t)&p, &made) || made.pid <= 0);
		}
		child = first_child(parent);
		hits += child && kill(child, SIGKILL) == 0;
		assert_int_equal(elsewhere_wait(parent), 0);
	}
	assert_true(hits > ROUNDS / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exit_status_comes_through),
		cmocka_unit_test(threads_from_before_are_refused),
		cmocka_unit_test(worker_dies_with_its_parent),
		cmocka_unit_test(a_child_that_is_killed_while_it_is_made_is_made_again),
	};

	return cmocka_run_group_tests_name("sandbox spawn", tests, NULL, NULL);
}
