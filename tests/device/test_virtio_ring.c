// SPDX-License-Identifier: MIT
/*
 * Honest drivers on every kind of ring: each test runs on split and packed rings, with and without EVENT_IDX and
 * indirect descriptors. Hostile drivers are in test_virtio_bad_ring.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/loop.h"
#include "protocol/virtio.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"

struct world {
	struct fake_guest *g;
	struct echo *e;
	struct chain *held[512];
	unsigned held_count;
	struct fake_request *added[10];
	size_t in_len;
	size_t out_cap;
};

static struct world *world_create(const struct fake_guest_options *options)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->g = fake_guest_create(options);
	assert_int_equal(echo_create(fake_guest_loop(w->g), fake_guest_mem(w->g), &w->e), 0);
	w->e->owner = w;
	assert_int_equal(fake_guest_start(w->g, &w->e->device), 0);
	return w;
}

static void world_destroy(struct world *w)
{
	virtio_device_destroy(&w->e->device);
	fake_guest_destroy(w->g);
	free(w);
}

/* Run @test on every kind of ring. */
static void each_kind(void (*test)(struct world *w))
{
	for (unsigned i = 0; i < 8; i++) {
		struct fake_guest_options options = { .packed = i & 1, .event_idx = i & 2, .indirect = i & 4 };
		struct world *w = world_create(&options);

		test(w);
		world_destroy(w);
	}
}

static void fill(uint8_t *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + seed + (i >> 8));
}

/* One request of in_len bytes with out_cap bytes of room: the answer is what fits, and no more. */
static void echo_once(void *arg)
{
	struct world *w = arg;
	static unsigned seed;
	uint8_t in[2048];
	uint8_t out[2048];
	size_t expect = w->in_len < w->out_cap ? w->in_len : w->out_cap;
	uint32_t used = 12345;

	fill(in, w->in_len, seed++);
	assert_int_equal(fake_guest_request(w->g, 0, in, w->in_len, out, w->out_cap, &used), 0);
	assert_int_equal(used, expect);
	assert_memory_equal(in, out, expect);
	for (size_t i = expect; i < w->out_cap; i++)
		assert_int_equal(out[i], 0xa5);
}

static void echo_lengths(struct world *w)
{
	static const size_t lengths[] = { 0, 1, 2, 24, 511, 512, 513, 2048 };
	size_t count = sizeof(lengths) / sizeof(lengths[0]);

	for (size_t i = 0; i < count * count; i++) {
		w->in_len = lengths[i / count];
		w->out_cap = lengths[i % count];
		echo_once(w);
	}
	assert_int_equal(virtq_in_flight(w->e->device.queues[0]), 0);
}

static void requests_of_every_length_come_back(void **state)
{
	(void)state;
	each_kind(echo_lengths);
}

static void echo_cut(struct world *w)
{
	w->in_len = 40;
	w->out_cap = 48;
	fake_guest_split_each(w->g, 0, w->in_len + w->out_cap, echo_once, w);
	w->in_len = 700;
	w->out_cap = 600;
	fake_guest_set_split(w->g, 0, 11);
	echo_once(w);
	fake_guest_set_split(w->g, 0, 0);
}

static void a_request_may_be_cut_anywhere(void **state)
{
	(void)state;
	each_kind(echo_cut);
}

/* Queue 2 has 24 (packed) or 16 entries: wraps often, at changing places. */
static void wrap(struct world *w)
{
	for (unsigned i = 0; i < 5000; i++) {
		uint32_t in = i * 2654435761u;
		uint32_t out = 0;
		uint32_t used;

		fake_guest_set_split(w->g, 0, i % 5);
		assert_int_equal(fake_guest_request(w->g, 2, &in, sizeof(in), &out, sizeof(out), &used), 0);
		assert_int_equal(out, in);
		assert_int_equal(used, 4);
	}
	fake_guest_set_split(w->g, 0, 0);
	/* Over 16 bits of index, which only split rings have. */
	for (unsigned i = 0; !virtio_device_has(&w->e->device, VIRTIO_F_RING_PACKED) && i < 66000; i++) {
		uint8_t c = (uint8_t)i;
		uint8_t out = 0;

		assert_int_equal(fake_guest_request(w->g, 2, &c, 1, &out, 1, NULL), 0);
		assert_int_equal(out, c);
	}
}

static void rings_wrap_around(void **state)
{
	(void)state;
	each_kind(wrap);
}

/* The ring full of requests in one kick, then again from where that left it. */
static void full(struct world *w)
{
	struct fake_request *r[256];
	unsigned n;

	for (unsigned round = 0; round < 3; round++) {
		for (n = 0; fake_guest_has_room(w->g, 0, 4, 4); n++) {
			uint32_t in = n;

			assert_in_range(n, 0, 255);
			r[n] = fake_guest_add(w->g, 0, &in, 4, 4);
		}
		assert_in_range(n, 128, 256);
		fake_guest_kick(w->g, 0);
		for (unsigned i = 0; i < n; i++) {
			uint32_t out;

			assert_int_equal(fake_guest_wait(w->g, r[i], 1000), 0);
			memcpy(&out, r[i]->out, 4);
			assert_int_equal(out, i);
			fake_guest_free_request(w->g, r[i]);
		}
		/* One more moves the start of the next round. */
		w->in_len = 3;
		w->out_cap = 3;
		echo_once(w);
	}
}

static void a_full_ring_is_emptied(void **state)
{
	(void)state;
	each_kind(full);
}

static void hold(struct echo *e, unsigned queue, struct chain *c)
{
	struct world *w = e->owner;

	(void)queue;
	assert_in_range(w->held_count, 0, 511);
	assert_null(chain_owner(c));
	chain_set_owner(c, w);
	w->held[w->held_count++] = c;
}

/* A device may finish requests in any order, and the driver reuses their descriptors meanwhile. */
static void any_order(struct world *w)
{
	struct fake_request *r[64];
	uint64_t last = 0;

	w->e->handle = hold;
	for (unsigned round = 0; round < 200; round++) {
		unsigned n = 1 + round % 7;

		w->held_count = 0;
		for (unsigned i = 0; i < n; i++)
			r[i] = fake_guest_add(w->g, 1, &i, sizeof(i), sizeof(i));
		fake_guest_kick(w->g, 1);
		fake_guest_run_until(w->g, NULL, NULL, 0);
		assert_int_equal(w->held_count, n);
		assert_int_equal(virtq_in_flight(w->e->device.queues[1]), n);
		/* Last first. */
		for (unsigned i = n; i-- > 0;) {
			assert_ptr_equal(chain_owner(w->held[i]), w);
			echo_answer(w->held[i]);
		}
		for (unsigned i = n; i-- > 0;) {
			unsigned out;

			assert_int_equal(fake_guest_wait(w->g, r[i], 1000), 0);
			assert_true(r[i]->sequence > last);
			last = r[i]->sequence;
			memcpy(&out, r[i]->out, sizeof(out));
			assert_int_equal(out, i);
			fake_guest_free_request(w->g, r[i]);
		}
	}
	w->e->handle = NULL;
}

static void requests_may_be_finished_in_any_order(void **state)
{
	(void)state;
	each_kind(any_order);
}

/* A reset with requests in flight: finishing them later only frees, and the next driver starts from nothing. */
static void reset_in_flight(struct world *w)
{
	struct fake_request *r[5];
	struct chain *old[5];

	for (unsigned round = 0; round < 10; round++) {
		w->e->handle = hold;
		w->held_count = 0;
		for (unsigned i = 0; i < 5; i++)
			r[i] = fake_guest_add(w->g, 0, "abc", 3, 3);
		fake_guest_kick(w->g, 0);
		assert_int_equal(w->held_count, 5);
		fake_guest_reset(w->g);
		assert_int_equal(virtq_in_flight(w->e->device.queues[0]), 0);
		for (unsigned i = 0; i < 5; i++) {
			assert_true(r[i]->done && r[i]->lost);
			fake_guest_free_request(w->g, r[i]);
			old[i] = w->held[i];
		}
		w->e->handle = NULL;
		assert_int_equal(fake_guest_start(w->g, &w->e->device), 0);
		w->in_len = 9;
		w->out_cap = 9;
		echo_once(w);
		for (unsigned i = 0; i < 5; i++) {
			unsigned interrupts = fake_guest_interrupts(w->g, 0);

			/* The bytes are there still, but the ring is another. */
			assert_int_equal(reader_left(chain_reader(old[i])), 3);
			chain_finish(old[i]);
			assert_int_equal(fake_guest_interrupts(w->g, 0), interrupts);
		}
		assert_int_equal(virtq_in_flight(w->e->device.queues[0]), 0);
		echo_once(w);
	}
}

static void a_reset_forgets_requests_in_flight(void **state)
{
	(void)state;
	each_kind(reset_in_flight);
}

static void destroy_in_flight(struct world *w)
{
	struct virtio_device *d = &w->e->device;
	struct fake_request *r;

	w->e->handle = hold;
	r = fake_guest_add(w->g, 0, "abc", 3, 3);
	fake_guest_kick(w->g, 0);
	assert_int_equal(w->held_count, 1);
	virtio_device_destroy(d);
	chain_finish(w->held[0]);
	assert_int_equal(echo_create(fake_guest_loop(w->g), fake_guest_mem(w->g), &w->e), 0);
	w->e->owner = w;
	assert_int_equal(fake_guest_start(w->g, &w->e->device), 0);
	fake_guest_free_request(w->g, r);
}

static void a_chain_outlives_its_device(void **state)
{
	(void)state;
	each_kind(destroy_in_flight);
}

/* While the device works through the ring it wants no kicks; afterwards it wants the next. */
static void kick_from_handler(struct echo *e, unsigned queue, struct chain *c)
{
	struct world *w = e->owner;

	if (w->held_count < 10) {
		w->added[w->held_count++] = fake_guest_add(w->g, queue, "x", 1, 1);
		fake_guest_kick(w->g, queue);
	}
	echo_answer(c);
}

static bool eleven(void *arg)
{
	struct world *w = arg;

	return w->e->requests == 11;
}

static void suppression(struct world *w)
{
	struct fake_request *first;
	unsigned kicks;

	w->e->handle = kick_from_handler;
	first = fake_guest_add(w->g, 0, "x", 1, 1);
	fake_guest_kick(w->g, 0);
	assert_int_equal(fake_guest_wait(w->g, first, 1000), 0);
	fake_guest_free_request(w->g, first);
	assert_true(fake_guest_run_until(w->g, eleven, w, 1000));
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(fake_guest_wait(w->g, w->added[i], 1000), 0);
		fake_guest_free_request(w->g, w->added[i]);
	}
	assert_int_equal(fake_guest_kicks(w->g, 0), 1);
	assert_int_equal(fake_guest_kicks_saved(w->g, 0), 10);
	w->e->handle = NULL;
	kicks = fake_guest_kicks(w->g, 0);
	w->in_len = 1;
	w->out_cap = 1;
	echo_once(w);
	assert_int_equal(fake_guest_kicks(w->g, 0), kicks + 1);
}

static void kicks_are_saved_while_the_device_works(void **state)
{
	(void)state;
	each_kind(suppression);
}

static void look_ahead(struct world *w)
{
	struct virtq *q = w->e->device.queues[0];
	struct fake_request *r[3];
	struct chain *c;

	assert_false(virtq_has_more(q));
	r[0] = fake_guest_add(w->g, 0, "x", 1, 1);
	r[1] = fake_guest_add(w->g, 0, "y", 1, 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(virtq_has_more(q));
		assert_int_equal(virtq_pop(q, &c), 1);
		echo_answer(c);
	}
	assert_false(virtq_has_more(q));
	r[2] = fake_guest_add(w->g, 0, "z", 1, 1);
	virtq_pause(q, true);
	assert_false(virtq_has_more(q));
	virtq_pause(q, false);
	/* Looking takes nothing and mutes nobody. */
	assert_true(virtq_has_more(q));
	fake_guest_kick(w->g, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(fake_guest_wait(w->g, r[i], 1000), 0);
		fake_guest_free_request(w->g, r[i]);
	}
	assert_int_equal(fake_guest_kicks(w->g, 0), 1);
}

static void what_waits_is_seen_without_taking_it(void **state)
{
	(void)state;
	each_kind(look_ahead);
}

static void masked(struct world *w)
{
	struct fake_request *r;
	unsigned before = fake_guest_interrupts(w->g, 0);

	fake_guest_mask_interrupts(w->g, 0, true);
	for (unsigned i = 0; i < 600; i++) {
		r = fake_guest_add(w->g, 0, "x", 1, 1);
		fake_guest_kick(w->g, 0);
		assert_int_equal(fake_guest_poll(w->g, 0), 1);
		fake_guest_free_request(w->g, r);
	}
	assert_int_equal(fake_guest_interrupts(w->g, 0), before);
	fake_guest_mask_interrupts(w->g, 0, false);
	w->in_len = 1;
	w->out_cap = 1;
	echo_once(w);
	assert_int_equal(fake_guest_interrupts(w->g, 0), before + 1);
}

static void no_interrupts_when_the_driver_wants_none(void **state)
{
	(void)state;
	each_kind(masked);
}

static void one_interrupt(struct world *w)
{
	bool event_idx = virtio_device_has(&w->e->device, VIRTIO_RING_F_EVENT_IDX);
	struct fake_request *r[8];

	/* Over the end of the ring at every place. */
	for (unsigned round = 1; round < 100; round++) {
		unsigned n = 3 + round % 5;
		unsigned before = fake_guest_interrupts(w->g, 2);

		for (unsigned i = 0; i < n; i++)
			r[i] = fake_guest_add(w->g, 2, "x", 1, 1);
		fake_guest_kick(w->g, 2);
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(fake_guest_wait(w->g, r[i], 1000), 0);
			fake_guest_free_request(w->g, r[i]);
		}
		/* With EVENT_IDX the driver asked for the next used element only. */
		assert_int_equal(fake_guest_interrupts(w->g, 2) - before, event_idx ? 1 : n);
	}
}

static void event_idx_saves_interrupts(void **state)
{
	(void)state;
	each_kind(one_interrupt);
}

/* A driver on one thread, the device on another: what the barriers are for. */
static void threads(struct world *w)
{
	struct fake_request *r[16] = { 0 };
	unsigned sent = 0;

	assert_int_equal(loop_start(fake_guest_loop(w->g)), 0);
	for (unsigned i = 0; i < 2000; i++) {
		struct fake_request **slot = &r[i % 16];

		if (*slot) {
			unsigned expect = i - 16;

			assert_int_equal(fake_guest_wait(w->g, *slot, 10000), 0);
			assert_int_equal((*slot)->used_len, sizeof(expect));
			assert_memory_equal((*slot)->out, &expect, sizeof(expect));
			fake_guest_free_request(w->g, *slot);
		}
		*slot = fake_guest_add(w->g, 0, &sent, sizeof(sent), sizeof(sent));
		sent++;
		fake_guest_kick(w->g, 0);
	}
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(fake_guest_wait(w->g, r[i], 10000), 0);
		fake_guest_free_request(w->g, r[i]);
	}
	loop_stop(fake_guest_loop(w->g));
	/* Until the thread is gone the device is its own. */
	while (!loop_is_current(fake_guest_loop(w->g)))
		fake_guest_run_until(w->g, NULL, NULL, 1);
}

static void driver_and_device_on_two_threads(void **state)
{
	(void)state;
	each_kind(threads);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_of_every_length_come_back),
		cmocka_unit_test(a_request_may_be_cut_anywhere),
		cmocka_unit_test(rings_wrap_around),
		cmocka_unit_test(a_full_ring_is_emptied),
		cmocka_unit_test(requests_may_be_finished_in_any_order),
		cmocka_unit_test(a_reset_forgets_requests_in_flight),
		cmocka_unit_test(a_chain_outlives_its_device),
		cmocka_unit_test(kicks_are_saved_while_the_device_works),
		cmocka_unit_test(what_waits_is_seen_without_taking_it),
		cmocka_unit_test(no_interrupts_when_the_driver_wants_none),
		cmocka_unit_test(event_idx_saves_interrupts),
		cmocka_unit_test(driver_and_device_on_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
