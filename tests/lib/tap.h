/* SPDX-License-Identifier: MIT */
/*
 * Skipping with a reason, in the way that tests/run reads, and children of a test. Include after <cmocka.h>.
 */
#ifndef MULLION_TESTS_LIB_TAP_H
#define MULLION_TESTS_LIB_TAP_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* The machine lacks what the whole program needs: call before cmocka_run_group_tests(). */
static inline _Noreturn void tap_skip_all(const char *reason)
{
	printf("1..0 # SKIP %s\n", reason);
	exit(0);
}

/* The machine lacks what this test needs: ends the test. */
#define tap_skip(reason) (printf("# skip: %s\n", (reason)), fflush(stdout), skip())

/* First thing in a child: one that crashes would go on with the tests that follow, by cmocka's handlers. */
static inline void tap_begin_child(void)
{
	static const int crashes[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS};

	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		signal(crashes[i], SIG_DFL);
}

#endif
