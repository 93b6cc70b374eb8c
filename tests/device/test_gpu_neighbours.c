// SPDX-License-Identifier: MIT
/*
 * Two guests on one machine, each with a mullion-gpu of its own. One draws without end, as fast as it is let; the other
 * shows a picture 30 times a second. Rates are compared with each other, never with a clock's idea of fast: other programs
 * run here too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/gpu/egl.h"
#include "tests/lib/gpu_neighbour.h"
#include "tests/lib/program_path.h"
#include "tests/lib/tap.h"

static const struct gpu_neighbour_load greedy = {.size = 256, .draws = 40, .ahead = 16};
static const struct gpu_neighbour_load steady = {.size = 128, .draws = 4, .ahead = 1, .pace_us = 33333};

static char program[512];

static int find_program(void **state)
{
	(void)state;
	return program_path("mullion-gpu", program, sizeof(program)) ? 0 : -1;
}

static void need_program(void)
{
	struct gpu_egl *egl;
	char why[256];

	if (access(program, X_OK))
		tap_skip("mullion-gpu is not built in this folder");
	if (gpu_egl_create(NULL, &egl, why, sizeof(why)))
		tap_skip("no OpenGL here");
	gpu_egl_destroy(egl);
}

static const char *const whole[] = {"--gpu", "renderer=virgl", NULL};

static void leaves_its_frames(const char *const *options)
{
	struct gpu_neighbour victim, hog;
	double alone, beside, after;

	need_program();
	assert_int_equal(gpu_neighbour_start(&victim, program, whole, &steady), 0);
	alone = gpu_neighbour_rate(&victim, 1500);
	assert_int_equal(gpu_neighbour_start(&hog, program, options, &greedy), 0);
	beside = gpu_neighbour_rate(&victim, 1500);
	printf("# %.1f frames/s alone, %.1f beside one that drew %u", alone, beside, gpu_neighbour_frames(&hog));
	gpu_neighbour_stop(&hog);
	/* What the machine has got to do besides may have begun meanwhile. */
	after = gpu_neighbour_rate(&victim, 1500);
	printf(", %.1f alone again\n", after);
	gpu_neighbour_stop(&victim);
	assert_true(beside > 0.6 * (after < alone ? after : alone));
}

static void a_greedy_guest_leaves_the_other_its_frames(void **state)
{
	(void)state;
	leaves_its_frames(whole);
}

static void and_so_does_one_that_is_held_to_a_share(void **state)
{
	static const char *const half[] = {"--gpu", "renderer=virgl,share=50", NULL};

	(void)state;
	leaves_its_frames(half);
}

/* Side by side, so that whatever else the machine does it does to both. */
static void a_share_is_a_limit_and_not_the_end(void **state)
{
	static const char *const fifth[] = {"--gpu", "renderer=virgl,share=20", NULL};
	struct gpu_neighbour without, with;
	double ratio = 1;
	unsigned begun;

	(void)state;
	need_program();
	assert_int_equal(gpu_neighbour_start(&without, program, whole, &greedy), 0);
	assert_int_equal(gpu_neighbour_start(&with, program, fifth, &greedy), 0);
	begun = gpu_neighbour_frames(&with);
	/* A moment in which the one without a limit hardly ran says nothing. */
	for (unsigned tries = 0; tries < 5 && ratio >= 0.6; tries++) {
		const unsigned before = gpu_neighbour_frames(&without);
		const double limited = gpu_neighbour_rate(&with, 2000) * 2;
		const unsigned drawn = gpu_neighbour_frames(&without) - before;

		printf("# %u frames without a limit, %.0f with a fifth of the time\n", drawn, limited);
		ratio = limited / (drawn + 1);
	}
	for (unsigned i = 0; i < 600 && gpu_neighbour_frames(&with) == begun; i++)
		usleep(100000);
	assert_true(gpu_neighbour_frames(&with) > begun);
	gpu_neighbour_stop(&with);
	gpu_neighbour_stop(&without);
	assert_true(ratio < 0.6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_greedy_guest_leaves_the_other_its_frames),
		cmocka_unit_test(and_so_does_one_that_is_held_to_a_share),
		cmocka_unit_test(a_share_is_a_limit_and_not_the_end),
	};

	return cmocka_run_group_tests_name("gpu_neighbours", tests, find_program, NULL);
}
