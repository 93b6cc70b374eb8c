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
	double alone, beside;

	need_program();
	assert_int_equal(gpu_neighbour_start(&victim, program, whole, &steady), 0);
	alone = gpu_neighbour_rate(&victim, 1500);
	assert_int_equal(gpu_neighbour_start(&hog, program, options, &greedy), 0);
	beside = gpu_neighbour_rate(&victim, 1500);
	printf("# %.1f frames/s alone, %.1f beside one that drew %u\n", alone, beside, gpu_neighbour_frames(&hog));
	assert_true(beside > 0.6 * alone);
	gpu_neighbour_stop(&hog);
	gpu_neighbour_stop(&victim);
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

static void a_share_is_a_limit_and_not_the_end(void **state)
{
	static const char *const fifth[] = {"--gpu", "renderer=virgl,share=20", NULL};
	struct gpu_neighbour n;
	double free_rate, limited;

	(void)state;
	need_program();
	assert_int_equal(gpu_neighbour_start(&n, program, whole, &greedy), 0);
	free_rate = gpu_neighbour_rate(&n, 1500);
	gpu_neighbour_stop(&n);
	assert_int_equal(gpu_neighbour_start(&n, program, fifth, &greedy), 0);
	limited = gpu_neighbour_rate(&n, 3000);
	gpu_neighbour_stop(&n);
	printf("# %.1f frames/s without a limit, %.1f with a fifth of the time\n", free_rate, limited);
	assert_true(limited > 0);
	assert_true(limited < 0.6 * free_rate);
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
