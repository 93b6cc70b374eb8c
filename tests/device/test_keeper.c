// SPDX-License-Identifier: MIT
/*
 * The keeper and its workers, which die, hang or talk nonsense, and a guest that is not to notice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/base/step.h"
#include "protocol/vhost_user.h"
#include "tests/device/rings.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"
#include "tests/lib/keeper_world.h"
#include "tests/lib/vhost_peer.h"

static void a_guest_does_not_notice_that_workers_die(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		struct keeper_world w;
		unsigned lost = 0;

		keeper_world_begin(&w, &rings[kind], KEEPER_WELL);
		keeper_world_start(&w);
		for (unsigned i = 0; i < 4; i++) {
			lost += keeper_world_serve(&w, i % ECHO_QUEUES, 16 * i, NULL);
			assert_int_equal(lost, 0);
		}
		for (unsigned i = 0; i < 4; i++)
			lost += keeper_world_serve(&w, i % ECHO_QUEUES, 16 * i, keeper_world_die);
		/* At most the one that was executing. */
		assert_true(lost <= 4);
		assert_true(w.shared->workers >= 4);
		assert_false(w.shared->degraded);
		assert_int_equal(keeper_world_end(&w), 0);
	}
}

static void a_worker_that_dies_at_a_step_is_replaced(void **state)
{
	(void)state;
#ifndef MULLION_STEPS
	print_message("SKIP: built without STEPS=1, so nothing dies at a step\n");
	skip();
#endif
	for (unsigned n = 0; n < STEP_RECOVERING * RING_KINDS; n++) {
		const unsigned step = n / RING_KINDS;
		struct keeper_world w;

		if (step == STEP_EXECUTED || step == STEP_RECORDED)
			continue; /* the echo device passes neither */
		keeper_world_begin_dying(&w, &rings[n % RING_KINDS], step, 5);
		keeper_world_start(&w);
		assert_true(keeper_world_serve(&w, 0, 0, NULL) <= 1);
		assert_int_equal(w.shared->workers, 2);
		assert_int_equal(keeper_world_serve(&w, 0, 100, NULL), 0);
		assert_int_equal(keeper_world_end(&w), 0);
	}
}

/* A change that the worker before may not have told is told by the keeper, one that isn't is not. */
static void another_config_space_is_told(void **state)
{
	static const enum keeper_mood moods[] = {KEEPER_WELL, KEEPER_COUNTS_IN_CONFIG};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct vhost_user_header header = {0};
		struct vhost_answer status;
		struct keeper_world w;
		ssize_t n;

		keeper_world_begin(&w, &rings[0], moods[i]);
		keeper_world_start(&w);
		keeper_world_serve(&w, 0, 0, keeper_world_die);
		/* The worker may have served before the keeper told; the keeper tells before it answers. */
		assert_true(vhost_peer_call(w.peer, VHOST_USER_GET_STATUS, NULL, 0, &status));
		n = recv(w.peer->backend_fd, &header, sizeof(header), MSG_DONTWAIT);
		assert_int_equal(n, i ? (ssize_t)sizeof(header) : -1);
		assert_int_equal(header.request, i ? VHOST_USER_BACKEND_CONFIG_CHANGE_MSG : 0);
		assert_int_equal(keeper_world_end(&w), 0);
	}
}

static void a_worker_that_hangs_is_replaced(void **state)
{
	struct keeper_world w;

	(void)state;
	keeper_world_begin(&w, &rings[1], KEEPER_WELL);
	keeper_world_start(&w);
	assert_true(keeper_world_serve(&w, 0, 0, keeper_world_stop) <= 1);
	assert_int_equal(w.shared->workers, 2);
	assert_int_equal(keeper_world_end(&w), 0);
}

/* The process runs, but never comes back from the device. */
static void never_end(struct keeper_shared *s)
{
	for (;;)
		s->result++;
}

static void a_command_without_end_is_ended_and_not_done_again(void **state)
{
	struct keeper_world w;

	(void)state;
	keeper_world_begin(&w, &rings[3], KEEPER_WELL);
	w.shared->taken_over = never_end;
	keeper_world_start(&w);
	/* That one, and none behind it. */
	assert_int_equal(keeper_world_serve(&w, 0, 0, NULL), 1);
	assert_int_equal(w.shared->executed[KEEPER_TAKEN_OVER], 1);
	assert_int_equal(w.shared->workers, 2);
	assert_true(keeper_world_log_has(&w, "does not come to the end of its work"));
	assert_int_equal(keeper_world_serve(&w, 1, 50, NULL), 0);
	assert_int_equal(keeper_world_end(&w), 0);
}

static bool is_seen(void *arg)
{
	struct keeper_world *w = ((void **)arg)[0];
	const struct fake_request *r = ((void **)arg)[1];

	fake_guest_poll(w->peer->guest, 0);
	return r->done;
}

static void pretend(struct keeper_shared *s)
{
	s->result = 1;
	keeper_world_pretend();
}

static bool is_pretending(void *arg)
{
	return ((struct keeper_world *)arg)->shared->result == 1;
}

/* The frontend waits for the answer, and its machine with it. */
static void ask_status(struct keeper_world *w)
{
	struct vhost_answer a;

	assert_true(fake_guest_run_until(w->peer->guest, is_pretending, w, 30000));
	assert_true(vhost_peer_call(w->peer, VHOST_USER_GET_STATUS, NULL, 0, &a));
}

static void one_that_keeps_its_pulse_but_answers_nothing_is_replaced(void **state)
{
	struct keeper_world w;

	(void)state;
	keeper_world_begin(&w, &rings[2], KEEPER_WELL);
	w.shared->taken_over = pretend;
	keeper_world_start(&w);
	assert_int_equal(keeper_world_serve(&w, 0, 0, ask_status), 1);
	assert_int_equal(w.shared->workers, 2);
	assert_true(keeper_world_log_has(&w, "the worker does not answer"));
	assert_int_equal(keeper_world_serve(&w, 0, 50, NULL), 0);
	assert_int_equal(keeper_world_end(&w), 0);
}

/* All that there was takes longer to make again than a turn may take, and than an answer. */
static void a_device_that_is_made_again_slowly_does_not_hang(void **state)
{
	struct keeper_world w;

	(void)state;
	keeper_world_begin(&w, &rings[0], KEEPER_BEGINS_SLOWLY);
	w.shared->act = 5;
	keeper_world_start(&w);
	keeper_world_serve(&w, 0, 0, keeper_world_die);
	assert_int_equal(w.shared->workers, 2);
	assert_false(keeper_world_log_has(&w, "it is killed"));
	/* It is no licence for later. */
	keeper_world_serve(&w, 0, 50, keeper_world_stop);
	assert_int_equal(w.shared->workers, 3);
	assert_int_equal(keeper_world_end(&w), 0);
}

static void one_that_hangs_while_it_makes_a_device_again_is_replaced(void **state)
{
	struct keeper_world w;

	(void)state;
	keeper_world_begin(&w, &rings[0], KEEPER_BEGINS_SLOWLY);
	w.shared->act = 300;
	keeper_world_start(&w);
	keeper_world_serve(&w, 0, 0, keeper_world_die);
	assert_int_equal(w.shared->workers, 3);
	assert_true(keeper_world_log_has(&w, "does not come to the end of its work"));
	assert_int_equal(keeper_world_end(&w), 0);
}

static void a_ring_without_descriptors_goes_on_too(void **state)
{
	struct keeper_world w;

	(void)state;
	keeper_world_begin(&w, &rings[1], KEEPER_IN_BAND);
	w.peer->in_band = true;
	keeper_world_start(&w);
	for (uint8_t i = 0; i < 6; i++) {
		struct fake_request *r = fake_guest_add(w.peer->guest, 0, &i, 1, 4);

		fake_guest_kick(w.peer->guest, 0);
		assert_true(fake_guest_run_until(w.peer->guest, is_seen, (void *[]){&w, r}, 30000));
		assert_false(r->lost);
		assert_int_equal(r->out[0], i + 1);
		assert_int_equal(w.shared->executed[i], 1);
		fake_guest_free_request(w.peer->guest, r);
		if (i % 2)
			keeper_world_die(&w);
	}
	assert_int_equal(keeper_world_end(&w), 0);
}

static void a_worker_that_can_not_start_ends_the_program(void **state)
{
	struct keeper_world w;

	(void)state;
	keeper_world_begin(&w, NULL, KEEPER_CAN_NOT_START);
	assert_int_equal(keeper_world_end_by_itself(&w), 7);
}

/* The first one: nothing is known of the device yet, so there is nothing to go on with. */
static void a_first_worker_that_talks_nonsense_ends_the_program(void **state)
{
	struct keeper_world w;

	(void)state;
	keeper_world_begin(&w, NULL, KEEPER_TALKS_NONSENSE);
	assert_int_equal(keeper_world_end_by_itself(&w), EXIT_FAILURE);
}

static void a_later_worker_that_talks_nonsense_is_replaced(void **state)
{
	struct keeper_world w;

	(void)state;
	keeper_world_begin(&w, &rings[1], KEEPER_WELL);
	keeper_world_start(&w);
	w.shared->mood = KEEPER_TALKS_NONSENSE;
	/* The second talks sense, the third doesn't, the fourth does. */
	keeper_world_serve(&w, 0, 0, keeper_world_die);
	keeper_world_serve(&w, 0, 50, keeper_world_die);
	assert_int_equal(w.shared->workers, 4);
	assert_int_equal(keeper_world_end(&w), 0);
}

/* In the worker: its child outlives it for a moment, and is the keeper's then. */
static void leave_an_orphan(struct keeper_shared *s)
{
	int ends[2];
	char end;
	pid_t orphan;

	if (pipe(ends) || (orphan = fork()) < 0)
		_exit(1);
	if (orphan > 0) {
		s->result = orphan;
		_exit(1);
	}
	close(ends[1]);
	/* The worker's end of it goes with the worker. */
	_exit(read(ends[0], &end, 1) != 0);
}

/* Of a process: 'Z' when nobody has waited for it, 0 when it is gone. */
static char process_state(pid_t pid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%*d %*s %c", &state) != 1)
		state = 0;
	fclose(f);
	return state;
}

static bool is_gone(void *arg)
{
	return process_state(*(pid_t *)arg) == 0;
}

static void what_dead_workers_leave_behind_does_not_pile_up(void **state)
{
	struct keeper_world w;
	pid_t orphan;

	(void)state;
	keeper_world_begin(&w, &rings[0], KEEPER_WELL);
	w.shared->taken_over = leave_an_orphan;
	keeper_world_start(&w);
	assert_int_equal(keeper_world_serve(&w, 0, 0, NULL), 1);
	orphan = w.shared->result;
	assert_true(orphan > 0);
	assert_true(fake_guest_run_until(w.peer->guest, is_gone, &orphan, 30000));
	assert_int_equal(keeper_world_serve(&w, 0, 50, NULL), 0);
	assert_int_equal(keeper_world_end(&w), 0);
}

static void many_deaths_end_in_doing_with_less_then_in_giving_up(void **state)
{
	struct keeper_world w;

	(void)state;
	keeper_world_begin(&w, NULL, KEEPER_WELL);
	keeper_world_start(&w);
	for (unsigned i = 0; i < 5; i++)
		keeper_world_serve(&w, 0, 16 * i, keeper_world_die);
	keeper_world_serve(&w, 0, 100, NULL);
	assert_true(w.shared->degraded);
	w.shared->mood = KEEPER_DIES_WHEN_READY;
	keeper_world_die(&w);
	assert_int_equal(keeper_world_end_by_itself(&w), EXIT_FAILURE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_does_not_notice_that_workers_die),
		cmocka_unit_test(a_worker_that_dies_at_a_step_is_replaced),
		cmocka_unit_test(another_config_space_is_told),
		cmocka_unit_test(a_worker_that_hangs_is_replaced),
		cmocka_unit_test(a_command_without_end_is_ended_and_not_done_again),
		cmocka_unit_test(one_that_keeps_its_pulse_but_answers_nothing_is_replaced),
		cmocka_unit_test(a_device_that_is_made_again_slowly_does_not_hang),
		cmocka_unit_test(one_that_hangs_while_it_makes_a_device_again_is_replaced),
		cmocka_unit_test(a_ring_without_descriptors_goes_on_too),
		cmocka_unit_test(a_worker_that_can_not_start_ends_the_program),
		cmocka_unit_test(a_first_worker_that_talks_nonsense_ends_the_program),
		cmocka_unit_test(a_later_worker_that_talks_nonsense_is_replaced),
		cmocka_unit_test(what_dead_workers_leave_behind_does_not_pile_up),
		cmocka_unit_test(many_deaths_end_in_doing_with_less_then_in_giving_up),
	};

	return cmocka_run_group_tests_name("keeper", tests, NULL, NULL);
}
