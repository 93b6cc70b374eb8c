/* SPDX-License-Identifier: MIT */
/*
 * A bench program prints one JSON object per row on standard output, with bench_print(); tests/bench/run makes the
 * table and $O/bench.json of them. Take the runs of a pair (ours, the peer's) in turns, and print medians.
 */
#ifndef MULLION_TESTS_BENCH_BENCH_H
#define MULLION_TESTS_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_row {
	const char *id; /* "vmm.rss_mib" */
	double value;
	const char *unit;
	double goal;
	bool higher_is_better;
	const char *peer; /* what the peer is; NULL: none */
	double peer_value;
	unsigned runs; /* 0: could not be measured; value is null then, and @note says why */
	double min, max;
	const char *note; /* NULL: none */
};

void bench_print(const struct bench_row *row);
/* A row that this machine can't measure. */
void bench_print_missing(const char *id, const char *unit, double goal, bool higher_is_better, const char *why);

/*
 * Put this process and what it starts before everything else on the machine, so that other load doesn't count. Returns
 * what a note should say about it.
 */
const char *bench_take_priority(void);

uint64_t bench_now_ns(void);
/* Processor time of this process, all threads. */
uint64_t bench_cpu_ns(void);
/* Sorts @values. */
double bench_median(double *values, size_t count);

#endif
