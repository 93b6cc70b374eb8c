// SPDX-License-Identifier: MIT
#include "tests/lib/died_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/virtio/chain.h"
#include "host/virtio/device.h"
#include "host/virtio/inflight.h"
#include "host/virtio/queue.h"
#include "tests/lib/fake_guest.h"

static void require(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "died_request: %s\n", what);
	abort();
}

struct fake_request *died_request(struct fake_guest *g, struct virtio_device *d, const void *in, size_t in_len,
				  size_t out_cap)
{
	struct virtq_setup setup = fake_guest_ring(g, 0)->setup;
	struct virtq *q = d->queues[0];
	struct fake_request *r;
	/* As long as the queue, which is not ours: until the process ends. */
	struct inflight_ring *ring =
		mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	require(ring != MAP_FAILED, "no memory");
	virtq_stop(q);
	require(virtq_track(q, ring) == 0 && virtq_start(q, &setup) == 0, "the queue can't be tracked");
	r = fake_guest_add(g, 0, in, in_len, out_cap);
	require(r, "no room");
	fflush(NULL);
	pid = fork();
	require(pid >= 0, "no process");
	if (pid == 0) {
		struct chain *c;

		if (virtq_pop(q, &c) == 1)
			chain_set_stage(c, CHAIN_EXECUTING);
		_exit(0);
	}
	require(waitpid(pid, &status, 0) == pid && status == 0, "the other process");
	setup.resume = true;
	require(virtq_start(q, &setup) == 0, "the queue can't go on");
	require(virtq_has_left(q), "the other process left nothing");
	fake_guest_force_kick(g, 0);
	return r;
}
