// SPDX-License-Identifier: MIT
/*
 * What a guest that draws without end costs the guest beside it, each on a mullion-gpu of its own: the frames of one that
 * draws as fast as it can, with such a neighbour that is held to a quarter of the time, as a part of what it has alone; and
 * with one that is not held to anything.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/lib/gpu_neighbour.h"
#include "tests/lib/program_path.h"

enum { RUNS = 5, MS = 700 };

static const struct gpu_neighbour_load greedy = {.size = 512, .draws = 60, .ahead = 16};
static const struct gpu_neighbour_load busy = {.size = 256, .draws = 24, .ahead = 1};
static const char *const whole[] = {"--gpu", "renderer=virgl", NULL};
static const char *const quarter[] = {"--gpu", "renderer=virgl,share=25", NULL};
static char program[512];

/* A part of the frames a second that @victim has alone; below 0: no. */
static double beside(const struct gpu_neighbour *victim, const char *const *options)
{
	struct gpu_neighbour hog;
	double alone = gpu_neighbour_rate(victim, MS), with;

	if (gpu_neighbour_start(&hog, program, options, &greedy))
		return -1;
	with = gpu_neighbour_rate(victim, MS);
	gpu_neighbour_stop(&hog);
	return alone > 0 ? with / alone : -1;
}

int main(void)
{
	static char text[160];
	struct bench_row row = {.id = "gpu.fairness",
				.unit = "",
				.goal = 0.8,
				.higher_is_better = true,
				.runs = RUNS,
				.peer = "no limit",
				.note = text};
	double limited[RUNS], unlimited[RUNS];
	struct gpu_neighbour victim;

	/* Not bench_take_priority(): it is the everyday scheduler that shares the CPUs out. */
	snprintf(text, sizeof(text), "one guest beside one that draws without end with --gpu share=25; %s",
		 setpriority(PRIO_PROCESS, 0, -15) ? "both beside whatever else runs here" : "both at nice -15");
	if (!program_path("mullion-gpu", program, sizeof(program)) || access(program, X_OK) ||
	    gpu_neighbour_start(&victim, program, whole, &busy)) {
		bench_print_missing(row.id, row.unit, row.goal, true, "no mullion-gpu that draws in 3D here");
		return 0;
	}
	for (unsigned i = 0; i < RUNS; i++) {
		limited[i] = beside(&victim, quarter);
		unlimited[i] = beside(&victim, whole);
		if (limited[i] < 0 || unlimited[i] < 0) {
			fprintf(stderr, "bench_gpu_fairness: a guest does not draw\n");
			return 1;
		}
	}
	gpu_neighbour_stop(&victim);
	row.value = bench_median(limited, RUNS);
	row.min = limited[0];
	row.max = limited[RUNS - 1];
	row.peer_value = bench_median(unlimited, RUNS);
	bench_print(&row);
	return 0;
}
