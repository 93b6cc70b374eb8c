// SPDX-License-Identifier: MIT
/*
 * A process that serves a ring dies, at each step that a request passes, and another one goes on: no request is lost,
 * none is done twice or given back twice. The guest is in the parent, the devices that die are in children; what is in
 * flight lies in memory that all share.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/step.h"
#include "host/virtio/inflight.h"
#include "host/virtio/inflight_region.h"
#include "host/virtio/queue.h"
#include "protocol/vhost_user.h"
#include "tests/device/rings.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"
#include "tests/lib/tap.h"

#define REQUESTS 6u
#define LOST 'x' /* the answer to a request that was executing when its process died */

/* Seen by the processes of one run. */
struct shared {
	struct inflight_ring ring[ECHO_QUEUES];
	unsigned executed[REQUESTS];
	unsigned processes;
	uint64_t frontend[4096]; /* memory of a vhost-user frontend's, for queue 0 */
};

struct world {
	struct shared *shared;
	struct fake_guest *g;
	struct echo *e;
	struct virtq_setup setup;
	struct fake_request *requests[REQUESTS];
	bool backwards; /* requests are given back in the opposite order */
	bool together;	/* all of them at once */
	struct inflight_region *region; /* in shared->frontend; NULL: unused */
	struct chain *held[REQUESTS];
	unsigned held_count;
};

static void answer(struct chain *c, char answer)
{
	assert_int_equal(writer_copy(chain_writer(c), &answer, 1), 0);
	step_reached(STEP_EXECUTED);
	step_reached(STEP_RECORDED);
	chain_set_stage(c, CHAIN_APPLIED);
}

/* A request is its own number; its answer is the number plus 'a'. */
static void handle(struct echo *e, unsigned queue, struct chain *c)
{
	struct world *w = e->owner;
	uint8_t number;

	assert_int_equal(queue, 0);
	assert_int_equal(read_obj(chain_reader(c), &number), 0);
	assert_true(number < REQUESTS);
	switch (chain_stage(c)) {
	case CHAIN_TAKEN:
		chain_set_stage(c, CHAIN_EXECUTING);
		w->shared->executed[number]++;
		answer(c, (char)('a' + number));
		break;
	case CHAIN_EXECUTING:
		answer(c, LOST);
		break;
	case CHAIN_APPLIED:
		assert_int_equal(chain_written(c), 1);
		break;
	}
	w->held[w->held_count++] = c;
}

static void create_with(struct world *w, const struct fake_guest_options *options, bool backwards, bool region)
{
	*w = (struct world){.backwards = backwards, .g = fake_guest_create(options)};
	w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(w->shared, MAP_FAILED);
	assert_int_equal(echo_create(fake_guest_loop(w->g), fake_guest_mem(w->g), &w->e), 0);
	w->e->handle = handle;
	w->e->owner = w;
	for (unsigned i = 0; i < ECHO_QUEUES; i++)
		assert_int_equal(virtq_track(w->e->device.queues[i], &w->shared->ring[i]), 0);
	if (region) {
		assert_true(inflight_region_bytes(256) <= sizeof(w->shared->frontend));
		assert_int_equal(inflight_region_create(w->shared->frontend, 256, &w->region), 0);
		virtq_set_region(w->e->device.queues[0], w->region);
	}
	assert_int_equal(fake_guest_start(w->g, &w->e->device), 0);
	w->setup = fake_guest_ring(w->g, 0)->setup;
	/* Split so that chains have several descriptors, or a table. */
	fake_guest_set_split(w->g, 1, 2);
	for (unsigned i = 0; i < REQUESTS; i++) {
		const uint8_t number[3] = {(uint8_t)i};

		w->requests[i] = fake_guest_add(w->g, 0, number, sizeof(number), 4);
	}
}

static void create(struct world *w, const struct fake_guest_options *options, bool backwards)
{
	create_with(w, options, backwards, false);
}

static void destroy(struct world *w)
{
	for (unsigned i = 0; i < REQUESTS; i++)
		fake_guest_free_request(w->g, w->requests[i]);
	virtio_device_destroy(&w->e->device);
	fake_guest_destroy(w->g);
	inflight_region_destroy(w->region);
	munmap(w->shared, sizeof(*w->shared));
}

/* What a process does: go on with the ring if another had it, and serve it. */
static void serve(struct world *w)
{
	if (w->shared->processes++) {
		struct virtq_setup setup = w->setup;

		setup.resume = true;
		assert_int_equal(virtq_start(w->e->device.queues[0], &setup), 0);
	}
	fake_guest_force_kick(w->g, 0);
	if (w->together && w->held_count)
		chain_finish_all(w->held, w->held_count);
	for (unsigned i = 0; i < w->held_count && !w->together; i++)
		chain_finish(w->held[w->backwards ? w->held_count - 1 - i : i]);
	w->held_count = 0;
}

/* Serve in a process that dies at @step, the @nth time. True if it did; false if it came through. */
static bool serve_and_die(struct world *w, unsigned step, unsigned nth)
{
	char at[32];
	int status;
	pid_t pid;

	snprintf(at, sizeof(at), "%u:%u", step, nth);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		tap_begin_child();
		step_die_at(at);
		serve(w);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return true;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

static unsigned count_done(const struct world *w)
{
	unsigned count = 0;

	for (unsigned i = 0; i < REQUESTS; i++)
		count += w->requests[i]->done;
	return count;
}

/* Each came back once (the guest aborts for a second time) and was done once, or not at all and says so. */
static unsigned check(struct world *w)
{
	unsigned lost = 0;

	assert_int_equal(count_done(w), REQUESTS);
	for (unsigned i = 0; i < REQUESTS; i++) {
		const struct fake_request *r = w->requests[i];

		assert_false(r->lost);
		assert_int_equal(r->used_len, 1);
		/* Once, or it is not known whether. */
		assert_true(w->shared->executed[i] == 1 || (!w->shared->executed[i] && r->out[0] == LOST));
		if (r->out[0] == LOST)
			lost++;
		else
			assert_int_equal(r->out[0], 'a' + i);
	}
	return lost;
}

static void need_steps(void)
{
#ifndef MULLION_STEPS
	print_message("SKIP: built without STEPS=1, so nothing dies at a step\n");
	skip();
#endif
}

static void a_death_at_any_step_loses_and_repeats_nothing(void **state)
{
	unsigned deaths = 0;

	(void)state;
	need_steps();
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		for (unsigned step = 0; step < STEP_RECOVERING; step++) {
			for (unsigned run = 0; run < 2 * REQUESTS; run++) {
				struct world w;

				create(&w, &rings[kind], run % 2);
				deaths += serve_and_die(&w, step, run / 2 + 1);
				/* The driver takes what it was given before anybody goes on. */
				if (run % 3 == 0)
					fake_guest_poll(w.g, 0);
				serve(&w);
				fake_guest_poll(w.g, 0);
				assert_true(check(&w) <= 1);
				destroy(&w);
			}
		}
	}
	assert_int_equal(deaths, RING_KINDS * STEP_RECOVERING * 2 * REQUESTS);
}

static unsigned read_used_index(struct world *w)
{
	uint16_t index;

	memcpy(&index, (uint8_t *)fake_guest_ptr(w->g, w->setup.device_gpa, 4) + 2, sizeof(index));
	return index;
}

/* A driver that has seen an index of used entries must not see a smaller one, and all that go together or none. */
static void what_is_given_back_together_is_seen_together(void **state)
{
	static const unsigned steps[] = {STEP_FINISHING, STEP_PUBLISHED, STEP_COUNTED};

	(void)state;
	need_steps();
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		for (unsigned step = 0; step < sizeof(steps) / sizeof(steps[0]); step++) {
			for (unsigned take = 0; take < 2; take++) {
				struct world w;
				unsigned seen, done;

				create(&w, &rings[kind], false);
				w.together = true;
				assert_true(
					serve_and_die(&w, steps[step], steps[step] == STEP_FINISHING ? REQUESTS : 1));
				if (take)
					fake_guest_poll(w.g, 0);
				done = count_done(&w);
				assert_true(done == 0 || done == REQUESTS);
				seen = rings[kind].packed ? 0 : read_used_index(&w);
				/* The next one dies as soon as it has shown anything. */
				serve_and_die(&w, STEP_PUBLISHED, 1);
				if (!rings[kind].packed) {
					assert_int_equal(read_used_index(&w), REQUESTS);
					assert_true(seen <= REQUESTS);
				}
				fake_guest_poll(w.g, 0);
				assert_int_equal(count_done(&w), REQUESTS);
				serve(&w);
				fake_guest_poll(w.g, 0);
				assert_int_equal(check(&w), 0);
				destroy(&w);
			}
		}
	}
}

/* The second one dies while it takes over, or at the same or another step. */
static void two_deaths_in_a_row_lose_and_repeat_nothing(void **state)
{
	(void)state;
	need_steps();
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		for (unsigned first = 0; first < STEP_RECOVERING; first++) {
			for (unsigned second = 0; second < STEP_COUNT; second++) {
				struct world w;

				create(&w, &rings[kind], second % 2);
				assert_true(serve_and_die(&w, first, 3));
				serve_and_die(&w, second, 1);
				if (second % 3 == 0)
					fake_guest_poll(w.g, 0);
				serve(&w);
				fake_guest_poll(w.g, 0);
				assert_true(check(&w) <= 2);
				destroy(&w);
			}
		}
	}
}

/* Each came back once (the guest aborts for a second time); what had no answer was done again. */
static void check_again(struct world *w)
{
	assert_int_equal(count_done(w), REQUESTS);
	for (unsigned i = 0; i < REQUESTS; i++) {
		assert_false(w->requests[i]->lost);
		assert_int_equal(w->requests[i]->used_len, 1);
		/* Given up by one that took over from the device's own memory: it may not have been begun. */
		if (w->requests[i]->out[0] == LOST)
			continue;
		assert_int_equal(w->requests[i]->out[0], 'a' + i);
		/* By the one that died, the next one, or both of them. */
		assert_in_range(w->shared->executed[i], 1, 3);
	}
}

/* Of all that the device kept nothing is left; what the frontend keeps is enough. */
static void what_the_frontend_keeps_makes_good_the_death_of_all(void **state)
{
	(void)state;
	need_steps();
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		for (unsigned step = 0; step < STEP_RECOVERING; step++) {
			for (unsigned run = 0; run < 2 * REQUESTS; run++) {
				struct world w;

				create_with(&w, &rings[kind], run % 2, true);
				w.together = run % 4 == 3;
				assert_true(serve_and_die(&w, step,
							  w.together && step >= STEP_PUBLISHED ? 1 : run / 2 + 1));
				if (run % 3 == 0)
					fake_guest_poll(w.g, 0);
				memset(w.shared->ring, 0, sizeof(w.shared->ring));
				/* The next one may die as well, and what it leaves is taken up by one of its kind. */
				if (run % 5 == 0)
					serve_and_die(&w, step, 1);
				serve(&w);
				fake_guest_poll(w.g, 0);
				check_again(&w);
				destroy(&w);
			}
		}
	}
}

/* A process died and another went on from what the device keeps; then all die. The frontend's memory has followed. */
static void what_the_frontend_keeps_follows_a_takeover(void **state)
{
	(void)state;
	need_steps();
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		for (unsigned first = 0; first < STEP_RECOVERING; first++) {
			/* All pairs, in two kinds of ring each. */
			for (unsigned second = (first + kind) % 2; second < STEP_RECOVERING; second += 2) {
				struct world w;

				create_with(&w, &rings[kind], second % 2, true);
				assert_true(serve_and_die(&w, first, 3));
				serve_and_die(&w, second, 1 + first % 3);
				if (second % 3 == 0)
					fake_guest_poll(w.g, 0);
				memset(w.shared->ring, 0, sizeof(w.shared->ring));
				serve(&w);
				fake_guest_poll(w.g, 0);
				check_again(&w);
				destroy(&w);
			}
		}
	}
}

/* What decided whether an entry was shown is where the ring goes on, whatever the memory says by then. */
static void where_the_ring_stood_is_read_once(void **state)
{
	static const uint16_t changed[] = {5, 7, 8, 0xffff};
	const uint16_t stood = 3 | 1u << VRING_PACKED_EVENT_F_WRAP_CTR;

	(void)state;
	for (unsigned i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
		struct vhost_user_inflight_packed *p = calloc(1, inflight_region_bytes(8));
		struct inflight_ring *ring = calloc(1, sizeof(*ring));
		struct inflight_region *r;
		struct inflight *f;
		uint16_t at, used;

		assert_true(p && ring);
		assert_int_equal(inflight_create(ring, &f), 0);
		assert_int_equal(inflight_region_create(p, 8, &r), 0);
		assert_int_equal(inflight_begin(f, 8, true, stood), 0);
		inflight_region_begin(r, f, true, stood);
		assert_int_equal(inflight_region_packed_position(r, 8, &at), 0);
		assert_int_equal(at, stood);
		p->old_used_idx = changed[i];
		assert_int_equal(inflight_region_take_over(r, f, 8, true, at, false), 0);
		assert_int_equal(inflight_recover(f, 8, true, &used), 0);
		assert_int_equal(used, stood);
		inflight_region_destroy(r);
		inflight_destroy(f);
		free(ring);
		free(p);
	}
}

/* Without a death the memory changes nothing, and the next ring begins anew. */
static void a_ring_that_was_stopped_is_not_taken_over(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		struct world w;

		create(&w, &rings[kind], false);
		serve(&w);
		fake_guest_poll(w.g, 0);
		assert_int_equal(check(&w), 0);
		assert_int_equal(w.shared->ring[0].active, 1);
		virtq_stop(w.e->device.queues[0]);
		assert_int_equal(w.shared->ring[0].active, 0);
		destroy(&w);
	}
}

/* Every word of the memory, wrong in turn: the ring starts or is refused, and serves what it has within its bounds. */
static void nonsense_in_the_memory_is_refused_or_harmless(void **state)
{
	static const uint32_t values[] = {0, 1, 2, 4, 5, 0x3ff, 0x400, 0xffff, 0x10000, 0x7fffffff, 0xffffffff};
	unsigned refused = 0;

	(void)state;
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		struct world w;
		struct inflight_ring before;
		const size_t slots = offsetof(struct inflight_ring, slots);

		create(&w, &rings[kind], false);
		/* Some requests in flight, none finished. */
		fake_guest_force_kick(w.g, 0);
		before = w.shared->ring[0];
		for (size_t at = 0; at < slots + 3 * sizeof(struct inflight_slot); at += 4) {
			for (unsigned v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
				struct virtq_setup setup = w.setup;
				struct virtq *q = w.e->device.queues[0];

				w.shared->ring[0] = before;
				memcpy((char *)&w.shared->ring[0] + at, &values[v], 4);
				setup.resume = true;
				if (virtq_start(q, &setup)) {
					refused++;
					continue;
				}
				for (unsigned i = 0; i < 2 * REQUESTS; i++) {
					struct chain *c;

					if (virtq_pop(q, &c) != 1)
						break;
					assert_true(chain_written(c) <= 4);
					chain_finish(c);
				}
			}
		}
		assert_true(refused > 50);
		/* A reset ends even what can't be taken over. */
		virtq_stop(w.e->device.queues[0]);
		w.shared->ring[0] = before;
		w.shared->ring[0].size = 0;
		virtio_device_set_status(&w.e->device, 0, NULL);
		assert_int_equal(w.shared->ring[0].active, 0);
		for (unsigned i = 0; i < w.held_count; i++)
			chain_finish(w.held[i]);
		fake_guest_reset(w.g);
		destroy(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_death_at_any_step_loses_and_repeats_nothing),
		cmocka_unit_test(what_is_given_back_together_is_seen_together),
		cmocka_unit_test(two_deaths_in_a_row_lose_and_repeat_nothing),
		cmocka_unit_test(what_the_frontend_keeps_makes_good_the_death_of_all),
		cmocka_unit_test(what_the_frontend_keeps_follows_a_takeover),
		cmocka_unit_test(where_the_ring_stood_is_read_once),
		cmocka_unit_test(a_ring_that_was_stopped_is_not_taken_over),
		cmocka_unit_test(nonsense_in_the_memory_is_refused_or_harmless),
	};

	return cmocka_run_group_tests_name("virtio_takeover", tests, NULL, NULL);
}
