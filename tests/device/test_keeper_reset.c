// SPDX-License-Identifier: MIT
/*
 * Workers that die while the guest resets the device, or rings are stopped and started.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "host/base/step.h"
#include "protocol/vhost_user.h"
#include "tests/device/rings.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"
#include "tests/lib/keeper_world.h"
#include "tests/lib/vhost_peer.h"

/* The guest's driver starts over, and the worker dies, or does not come to the end of it. */
static void a_death_during_a_reset_is_made_good(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		struct keeper_world w;

		keeper_world_begin(&w, &rings[kind], KEEPER_WELL);
		w.peer->say_reset = kind & 1;
		w.peer->say_status = kind & 2;
		keeper_world_start(&w);
		for (unsigned i = 0; i < 4; i++) {
			struct fake_request *left;
			const uint8_t number = 200;

			assert_true(keeper_world_serve(&w, 0, 0, i ? keeper_world_die : NULL) <= 1);
			/* Not answered when it all begins anew. */
			keeper_world_stop(&w);
			left = fake_guest_add(w.peer->guest, 1, &number, 1, 4);
			fake_guest_kick(w.peer->guest, 1);
			/* Once by its time limit. */
			if (i || kind)
				keeper_world_die(&w);
			assert_int_equal(fake_guest_start(w.peer->guest, &w.peer->device), 0);
			assert_true(left->lost);
			fake_guest_free_request(w.peer->guest, left);
			assert_int_equal(keeper_world_serve(&w, 1, 50, NULL), 0);
		}
		/* The one that was told of the rings first may have done them. */
		assert_true(w.shared->executed[200] <= 4);
		assert_int_equal(keeper_world_end(&w), 0);
	}
}

/* Half way through one: some rings are stopped, some are not. */
static void a_death_half_way_through_a_reset_is_made_good(void **state)
{
	(void)state;
#ifndef MULLION_STEPS
	print_message("SKIP: built without STEPS=1, so nothing dies at a step\n");
	skip();
#endif
	for (unsigned rings_stopped = 1; rings_stopped <= ECHO_QUEUES; rings_stopped++) {
		for (unsigned how = 0; how < 2 * RING_KINDS; how++) {
			struct keeper_world w;

			keeper_world_begin_dying(&w, &rings[how / 2], STEP_STOPPED, rings_stopped);
			w.peer->say_reset = how % 2;
			keeper_world_start(&w);
			for (unsigned q = 0; q < ECHO_QUEUES; q++)
				assert_int_equal(keeper_world_serve(&w, q, 16 * q, NULL), 0);
			assert_int_equal(w.shared->workers, 1);
			assert_int_equal(fake_guest_start(w.peer->guest, &w.peer->device), 0);
			for (unsigned q = 0; q < ECHO_QUEUES; q++)
				assert_int_equal(keeper_world_serve(&w, q, 16 * q + 64, NULL), 0);
			assert_int_equal(w.shared->workers, 2);
			assert_int_equal(keeper_world_end(&w), 0);
		}
	}
}

/* The messages of a whole session, with the worker killed at each of them. */
static void a_death_during_any_message_is_made_good(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		struct keeper_world w;
		uint8_t space[8];

		keeper_world_begin(&w, &rings[round], KEEPER_WELL);
		assert_true(vhost_peer_handshake(w.peer));
		keeper_world_die(&w);
		assert_int_equal(fake_guest_start(w.peer->guest, &w.peer->device), 0);
		keeper_world_serve(&w, 0, 0, keeper_world_die);
		for (unsigned q = 0; q < ECHO_QUEUES; q++) {
			/* Sent while the worker dies: the answer comes from the next one, or from the memory. */
			if (q == round)
				keeper_world_die(&w);
			virtio_device_stop_queue(&w.peer->device, q);
		}
		fake_guest_read_config(w.peer->guest, 0, space, sizeof(space));
		w.peer->resume = true;
		for (unsigned q = 0; q < ECHO_QUEUES; q++) {
			if (q == round)
				keeper_world_die(&w);
			assert_int_equal(virtio_device_start_queue(&w.peer->device, q,
								   &fake_guest_ring(w.peer->guest, q)->setup),
					 0);
		}
		assert_true(keeper_world_serve(&w, round, 50, NULL) <= 1);
		assert_int_equal(keeper_world_end(&w), 0);
	}
}

static void a_ring_that_is_disabled_is_not_forgotten(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		const struct vhost_user_vring_state off = {.index = 0, .num = 0};
		struct keeper_world w;

		keeper_world_begin(&w, &rings[kind], KEEPER_WELL);
		keeper_world_start(&w);
		assert_int_equal(keeper_world_serve(&w, 0, 0, NULL), 0);
		assert_int_equal(vhost_peer_tell(w.peer, VHOST_USER_SET_VRING_ENABLE, &off, sizeof(off), NULL, 0), 0);
		keeper_world_die(&w);
		/* As QEMU stops a device: the next worker knows where the ring stands. */
		virtio_device_stop_queue(&w.peer->device, 0);
		if (!rings[kind].packed)
			assert_int_equal(w.peer->base[0], KEEPER_REQUESTS);
		w.peer->resume = true;
		assert_int_equal(
			virtio_device_start_queue(&w.peer->device, 0, &fake_guest_ring(w.peer->guest, 0)->setup), 0);
		assert_int_equal(keeper_world_serve(&w, 0, 50, NULL), 0);
		assert_int_equal(w.shared->workers, 2);
		assert_int_equal(keeper_world_end(&w), 0);
	}
}

static bool has_successor(void *arg)
{
	struct keeper_world *w = arg;

	return w->shared->starts >= 2;
}

/* The device has stopped its rings by itself: the next one stops them in the same place, and takes a reset. */
static void a_guest_that_broke_its_ring_gets_its_reset(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 2; kind++) {
		struct keeper_world w;
		const uint16_t far = 9999;
		const struct fake_ring *ring;

		keeper_world_begin(&w, &rings[kind], KEEPER_WELL);
		keeper_world_start(&w);
		assert_int_equal(keeper_world_serve(&w, 0, 0, NULL), 0);
		assert_int_equal(keeper_world_serve(&w, 1, 0, NULL), 0);
		ring = fake_guest_ring(w.peer->guest, 1);
		memcpy((uint8_t *)fake_guest_ptr(w.peer->guest, ring->setup.driver_gpa, 4) + 2, &far, sizeof(far));
		fake_guest_force_kick(w.peer->guest, 1);
		fake_guest_run_until(w.peer->guest, NULL, NULL, 50);
		keeper_world_die(&w);
		assert_true(fake_guest_run_until(w.peer->guest, has_successor, &w, 30000));
		/* And one after it, which learns it all from the keeper. */
		keeper_world_die(&w);
		assert_int_equal(fake_guest_start(w.peer->guest, &w.peer->device), 0);
		assert_int_equal(keeper_world_serve(&w, 1, 50, NULL), 0);
		assert_int_equal(keeper_world_end(&w), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_death_during_a_reset_is_made_good),
		cmocka_unit_test(a_death_half_way_through_a_reset_is_made_good),
		cmocka_unit_test(a_death_during_any_message_is_made_good),
		cmocka_unit_test(a_ring_that_is_disabled_is_not_forgotten),
		cmocka_unit_test(a_guest_that_broke_its_ring_gets_its_reset),
	};

	return cmocka_run_group_tests_name("keeper reset", tests, NULL, NULL);
}
