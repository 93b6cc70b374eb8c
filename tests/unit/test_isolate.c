// SPDX-License-Identifier: MIT
/*
 * A device's program, started and started again: the real one, found in the build folder.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "tests/lib/tap.h"
#include "vmm/isolate.h"
#include "vmm/module.h"

/* vmm/module.c looks beside this program, which isn't where the others are. */
int module_program(const char *name, char *path, size_t bytes)
{
	char self[PATH_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	snprintf(path, bytes, "%s/../../mullion-%s", dirname(self), name);
	return access(path, X_OK) ? -ENOENT : 0;
}

int module_load_screen(const struct screen_module **out)
{
	(void)out;
	return -ENOENT;
}

/* Child number @number of this thread, the oldest first. */
static pid_t find_program(unsigned number)
{
	FILE *f = fopen("/proc/thread-self/children", "re");
	int pid = 0;

	if (!f)
		tap_skip("no /proc/thread-self/children in this kernel");
	for (unsigned n = 0; n <= number; n++)
		assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	return pid;
}

/* A thread of the guest's waits for the new one meanwhile. */
static void a_program_that_hangs_is_replaced_at_once(void **state)
{
	static const char *const arguments[] = {"--sandbox", "off", NULL};
	struct isolate *i;
	uint64_t begin;
	int first, second;
	pid_t hung;

	(void)state;
	if (!isolate_is_possible("gpu"))
		tap_skip("no mullion-gpu: its libraries are missing (make deps)");
	assert_int_equal(isolate_create("gpu", "renderer=2d", NULL, arguments, NULL, &i), 0);
	first = isolate_connect(i);
	assert_true(first >= 0);
	hung = find_program(0);
	assert_int_equal(kill(hung, SIGSTOP), 0);
	close(first);
	begin = loop_now_ns();
	second = isolate_connect(i);
	assert_true(second >= 0);
	assert_true(loop_now_ns() - begin < 5000000000ull);
	assert_int_equal(kill(hung, 0), -1);
	assert_int_not_equal(find_program(0), hung);
	close(second);
	isolate_destroy(i, loop_now_ns() + ISOLATE_END_NS);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* The end of a machine waits once, however many hang. */
static void programs_that_hang_are_waited_for_side_by_side(void **state)
{
	static const char *const arguments[] = {"--sandbox", "off", NULL};
	struct isolate *i[2];
	uint64_t begin;
	int sockets[2];

	(void)state;
	if (!isolate_is_possible("gpu"))
		tap_skip("no mullion-gpu: its libraries are missing (make deps)");
	for (unsigned n = 0; n < 2; n++) {
		assert_int_equal(isolate_create("gpu", "renderer=2d", NULL, arguments, NULL, &i[n]), 0);
		sockets[n] = isolate_connect(i[n]);
		assert_true(sockets[n] >= 0);
		assert_int_equal(kill(find_program(n), SIGSTOP), 0);
	}
	close(sockets[0]);
	close(sockets[1]);
	begin = loop_now_ns();
	for (unsigned n = 0; n < 2; n++)
		isolate_destroy(i[n], begin + 2000000000ull);
	assert_in_range(loop_now_ns() - begin, 1900000000ull, 3500000000ull);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_that_hangs_is_replaced_at_once),
		cmocka_unit_test(programs_that_hang_are_waited_for_side_by_side),
	};

	return cmocka_run_group_tests_name("isolate", tests, NULL, NULL);
}
