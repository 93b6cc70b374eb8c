// SPDX-License-Identifier: MIT
#include "tests/bench/bench.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void put_text(const char *key, const char *text)
{
	printf(", \"%s\": ", key);
	if (!text) {
		fputs("null", stdout);
		return;
	}
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void put_number(const char *key, double value, bool known)
{
	if (known)
		printf(", \"%s\": %.6g", key, value);
	else
		printf(", \"%s\": null", key);
}

void bench_print(const struct bench_row *r)
{
	printf("{\"id\": \"%s\"", r->id);
	put_number("value", r->value, r->runs > 0);
	put_text("unit", r->unit);
	put_number("goal", r->goal, true);
	put_text("better", r->higher_is_better ? "higher" : "lower");
	put_text("peer", r->peer);
	put_number("peer_value", r->peer_value, r->runs > 0 && r->peer);
	printf(", \"runs\": %u", r->runs);
	put_number("min", r->min, r->runs > 0);
	put_number("max", r->max, r->runs > 0);
	put_text("note", r->note);
	puts("}");
	fflush(stdout);
}

void bench_print_missing(const char *id, const char *unit, double goal, bool higher_is_better, const char *why)
{
	bench_print(&(struct bench_row){
		.id = id, .unit = unit, .goal = goal, .higher_is_better = higher_is_better, .note = why});
}

const char *bench_take_priority(void)
{
	struct sched_param p = {.sched_priority = 1};

	return sched_setscheduler(0, SCHED_FIFO, &p) ? "at the priority of any program" : "at real-time priority, both";
}

uint64_t bench_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

uint64_t bench_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double bench_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}
