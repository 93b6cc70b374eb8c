// SPDX-License-Identifier: MIT
/*
 * What the journal costs: a frame of 1000 draws, each with constants of its own, by a device with a journal and by one
 * without. The two are processes of their own and take turns of a few frames, so that other load meets both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/gpu/resource.h"
#include "tests/bench/bench.h"
#include "tests/bench/gpu_scene.h"

#define ROUNDS 101u
#define FRAMES 4u /* of a turn */

struct side {
	pid_t process;
	int to, from;
};

/* Answers each byte with the nanoseconds of CPU that a turn took, all threads together, and its wall time. */
static void draw(size_t journal_bytes, int in, int out)
{
	struct gpu_through *d;
	char go;

	if (gpu_through_create(&gpu_scenes[0], journal_bytes, &d) < 0)
		exit(1);
	for (unsigned i = 0; i < 2 * FRAMES; i++)
		gpu_through_frame(d);
	while (read(in, &go, 1) == 1 && go == 'g') {
		struct timespec before, after;
		uint64_t result[2], begin = bench_now_ns();

		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
		for (unsigned i = 0; i < FRAMES; i++)
			gpu_through_frame(d);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
		result[0] = (uint64_t)((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec);
		result[1] = bench_now_ns() - begin;
		if (write(out, result, sizeof(result)) != (ssize_t)sizeof(result))
			exit(1);
	}
	gpu_through_destroy(d);
	exit(0);
}

static struct side start(size_t journal_bytes)
{
	int to_child[2], from_child[2];
	struct side s;

	if (pipe(to_child) < 0 || pipe(from_child) < 0)
		exit(1);
	fflush(NULL);
	s.process = fork();
	if (s.process < 0)
		exit(1);
	if (s.process == 0) {
		close(to_child[1]);
		close(from_child[0]);
		draw(journal_bytes, to_child[0], from_child[1]);
	}
	close(to_child[0]);
	close(from_child[1]);
	s.to = to_child[1];
	s.from = from_child[0];
	return s;
}

static bool turn(const struct side *s, uint64_t result[2])
{
	return write(s->to, "g", 1) == 1 && read(s->from, result, 2 * sizeof(*result)) == 2 * (ssize_t)sizeof(*result);
}

static void stop(const struct side *s)
{
	int status;

	if (write(s->to, "q", 1) == 1)
		close(s->to);
	close(s->from);
	waitpid(s->process, &status, 0);
}

int main(void)
{
	static double costs[ROUNDS], wall_costs[ROUNDS], with_ms[ROUNDS], without_ms[ROUNDS];
	struct bench_row row = {.id = "gpu.journal_cost", .unit = "ratio", .goal = 0.03};
	struct side with, without;
	char note[256];
	unsigned i;

	log_set_levels("warn");
	without = start(0);
	with = start((size_t)gpu_limits_default.journal_bytes);
	for (i = 0; i < ROUNDS; i++) {
		uint64_t a[2], b[2];
		/* Neither is always the one that comes after the other. */
		const struct side *order[2] = {i % 2 ? &with : &without, i % 2 ? &without : &with};

		if (!turn(order[0], i % 2 ? a : b) || !turn(order[1], i % 2 ? b : a))
			break;
		costs[i] = (double)a[0] / (double)b[0] - 1;
		wall_costs[i] = (double)a[1] / (double)b[1] - 1;
		with_ms[i] = (double)a[1] / 1e6 / FRAMES;
		without_ms[i] = (double)b[1] / 1e6 / FRAMES;
	}
	stop(&with);
	stop(&without);
	if (i < ROUNDS) {
		bench_print_missing(row.id, row.unit, row.goal, false, "no OpenGL on this host");
		return 0;
	}
	row.value = bench_median(costs, ROUNDS);
	row.runs = ROUNDS;
	row.min = costs[0];
	row.max = costs[ROUNDS - 1];
	row.peer = "the same device without a journal, ms a frame";
	row.peer_value = bench_median(without_ms, ROUNDS);
	snprintf(note, sizeof(note),
		 "CPU time of %u draws a frame, medians of turns of %u frames; wall time: %.2f ms with, cost %.3f",
		 gpu_scenes[0].draws, FRAMES, bench_median(with_ms, ROUNDS), bench_median(wall_costs, ROUNDS));
	row.note = note;
	bench_print(&row);
	return 0;
}
