/* SPDX-License-Identifier: MIT */
/*
 * Processes that draw and die (SIGKILL), one after the other, with the same guest memory and journal, for cmocka tests. Each is a
 * child of the test, which knows no OpenGL. Thread: the test's only one.
 */
#ifndef MULLION_TESTS_LIB_GPU3D_DEATHS_H
#define MULLION_TESTS_LIB_GPU3D_DEATHS_H

#include <stdbool.h>

#include "host/base/step.h"

struct fake_guest;
struct gpu3d;

struct gpu3d_deaths {
	struct fake_guest *guest;
	int journal_fd;
	unsigned dies_at; /* an enum step: processes do, the first time that they are there */
	struct {
		bool ended; /* it did all that it was to do */
		char log[8192];
	} *last; /* process */
};

/* Of the case at hand. */
extern struct gpu3d_deaths gpu3d_deaths;

/* Setup and teardown of each case. */
int gpu3d_deaths_setup(void **state);
int gpu3d_deaths_teardown(void **state);

/*
 * Run @work with a device in *t, in a child that is then killed. The first boots the guest, others take over. Skips the case where
 * there is no 3D, and fails it if the child ends in another way.
 */
void gpu3d_process(struct gpu3d **t, bool first, bool with_journal, void (*work)(void));
/* In a child: ends it, and so fails the case, unless @good. */
void gpu3d_require(bool good, const char *what);

#endif
