// SPDX-License-Identifier: MIT
/*
 * The device's own share of a request: from the pop to the used entry and the decision about an interrupt, for a
 * request of one readable and one writable descriptor of which nothing is read or written. The driver's side (fill the
 * ring, take in what was used) runs between the measured batches.
 */
#include <stdio.h>
#include <stdlib.h>

#include "host/base/loop.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"

#define RUNS 15u
#define BATCHES 500u
#define BATCH 128u

static void fail(const char *what)
{
	fprintf(stderr, "bench_virtio_request: %s\n", what);
	exit(1);
}

/* Nanoseconds a request, over BATCHES full rings. */
static double run(struct fake_guest *g, struct virtq *q)
{
	struct fake_request *requests[BATCH];
	uint64_t total = 0;

	for (unsigned batch = 0; batch < BATCHES; batch++) {
		uint64_t begin;
		unsigned count = 0;
		struct chain *c;

		for (unsigned i = 0; i < BATCH; i++)
			requests[i] = fake_guest_add(g, 0, "0123456789abcdef", 16, 16);
		begin = loop_now_ns();
		while (virtq_pop(q, &c) == 1) {
			chain_finish(c);
			count++;
		}
		total += loop_now_ns() - begin;
		if (count != BATCH || fake_guest_poll(g, 0) != BATCH)
			fail("requests were lost");
		for (unsigned i = 0; i < BATCH; i++)
			fake_guest_free_request(g, requests[i]);
	}
	return (double)total / (BATCHES * BATCH);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(void)
{
	static const char *const names[] = {"split", "packed"};
	double ns[2][RUNS];

	/* Run by run in turn, so that both see the same machine. */
	for (unsigned i = 0; i < RUNS; i++) {
		for (unsigned packed = 0; packed < 2; packed++) {
			struct fake_guest_options options = {.packed = packed, .event_idx = true};
			struct fake_guest *g = fake_guest_create(&options);
			struct echo *e;

			if (echo_create(fake_guest_loop(g), fake_guest_mem(g), &e) || fake_guest_start(g, &e->device))
				fail("the device did not start");
			ns[packed][i] = run(g, e->device.queues[0]);
			virtio_device_destroy(&e->device);
			fake_guest_destroy(g);
		}
	}
	for (unsigned packed = 0; packed < 2; packed++) {
		qsort(ns[packed], RUNS, sizeof(ns[packed][0]), compare);
		printf("{\"id\":\"virtio.request_ns.%s\",\"value\":%.1f,\"unit\":\"ns\",\"goal\":200,\"better\":"
		       "\"lower\","
		       "\"peer\":null,\"peer_value\":null,\"runs\":%u,\"min\":%.1f,\"max\":%.1f,\"note\":\"median of "
		       "runs of "
		       "%u requests of two descriptors, EVENT_IDX, one interrupt in %u\"}\n",
		       names[packed], ns[packed][RUNS / 2], RUNS, ns[packed][0], ns[packed][RUNS - 1], BATCHES * BATCH,
		       BATCH);
	}
	return 0;
}
