// SPDX-License-Identifier: MIT
/* The device class: feature negotiation, status, reset, config space (virtio 1.4, sections 2.1, 2.2, 2.5, 3.1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "host/base/loop.h"
#include "host/virtio/mem.h"
#include "protocol/virtio.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"

#define ACKNOWLEDGE VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER VIRTIO_CONFIG_S_DRIVER
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define DRIVER_OK VIRTIO_CONFIG_S_DRIVER_OK
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define FAILED VIRTIO_CONFIG_S_FAILED
#define VERSION_1 VIRTIO_BIT(VIRTIO_F_VERSION_1)

static const struct virtq_setup none[ECHO_QUEUES];
static struct fake_guest *g;
static struct echo *e;
static struct virtio_device *d;

static int setup(void **state)
{
	(void)state;
	g = fake_guest_create(NULL);
	if (echo_create(fake_guest_loop(g), fake_guest_mem(g), &e))
		return -1;
	d = &e->device;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	virtio_device_destroy(d);
	fake_guest_destroy(g);
	return 0;
}

static void the_class_offers_ring_features(void **state)
{
	(void)state;
	assert_int_equal(d->offered, VERSION_1 | VIRTIO_BIT(VIRTIO_F_RING_PACKED) |
					     VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
					     VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) | VIRTIO_BIT(ECHO_FEATURE));
	assert_int_equal(d->queue_count, ECHO_QUEUES);
	assert_int_equal(d->status, 0);
}

static void negotiate(uint64_t features, uint8_t expect)
{
	virtio_device_set_status(d, 0, NULL);
	virtio_device_set_status(d, ACKNOWLEDGE, NULL);
	virtio_device_set_status(d, ACKNOWLEDGE | DRIVER, NULL);
	virtio_device_set_features(d, features);
	virtio_device_set_status(d, ACKNOWLEDGE | DRIVER | FEATURES_OK, NULL);
	assert_int_equal(d->status, ACKNOWLEDGE | DRIVER | expect);
}

static void features_must_make_sense(void **state)
{
	(void)state;
	negotiate(VERSION_1, FEATURES_OK);
	negotiate(d->offered, FEATURES_OK);
	assert_true(virtio_device_has(d, ECHO_FEATURE));
	/* VERSION_1 missing; not offered, low and high */
	negotiate(0, 0);
	negotiate(d->offered & ~VERSION_1, 0);
	negotiate(VERSION_1 | VIRTIO_BIT(0), 0);
	negotiate(VERSION_1 | VIRTIO_BIT(63), 0);
	negotiate(VERSION_1 | VIRTIO_BIT(VIRTIO_F_IN_ORDER), 0);
	/* A driver that was refused may ask for less. */
	virtio_device_set_features(d, VERSION_1);
	virtio_device_set_status(d, ACKNOWLEDGE | DRIVER | FEATURES_OK, NULL);
	assert_int_equal(d->status, ACKNOWLEDGE | DRIVER | FEATURES_OK);
}

static void features_are_final_once_accepted(void **state)
{
	(void)state;
	negotiate(VERSION_1, FEATURES_OK);
	virtio_device_set_features(d, d->offered);
	assert_false(virtio_device_has(d, ECHO_FEATURE));
	assert_int_equal(d->negotiated, VERSION_1);
	virtio_device_set_status(d, 0, NULL);
	assert_int_equal(d->negotiated, 0);
}

static void driver_ok_needs_features_ok(void **state)
{
	(void)state;
	virtio_device_set_status(d, ACKNOWLEDGE | DRIVER, NULL);
	virtio_device_set_status(d, ACKNOWLEDGE | DRIVER | DRIVER_OK, none);
	assert_int_equal(d->status, ACKNOWLEDGE | DRIVER);
	assert_int_equal(e->starts, 0);
	/* Refused features and DRIVER_OK in one write. */
	virtio_device_set_features(d, 0);
	virtio_device_set_status(d, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK, none);
	assert_int_equal(d->status, ACKNOWLEDGE | DRIVER);
	assert_int_equal(e->starts, 0);
}

static void bits_are_cleared_by_a_reset_only(void **state)
{
	(void)state;
	negotiate(VERSION_1, FEATURES_OK);
	virtio_device_set_status(d, ACKNOWLEDGE, NULL);
	assert_int_equal(d->status, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	virtio_device_set_status(d, d->status | FAILED, NULL);
	assert_int_equal(d->status, ACKNOWLEDGE | DRIVER | FEATURES_OK | FAILED);
	/* NEEDS_RESET and unknown bits are not the driver's to set. */
	virtio_device_set_status(d, 0xff & ~DRIVER_OK, NULL);
	assert_int_equal(d->status, ACKNOWLEDGE | DRIVER | FEATURES_OK | FAILED);
	virtio_device_set_status(d, 0, NULL);
	assert_int_equal(d->status, 0);
}

static void the_device_starts_once(void **state)
{
	(void)state;
	assert_int_equal(fake_guest_start(g, d), 0);
	assert_int_equal(e->starts, 1);
	fake_guest_set_status(g, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	assert_int_equal(e->starts, 1);
	assert_int_equal(fake_guest_start(g, d), 0);
	assert_int_equal(e->starts, 2);
}

static void queues_without_a_size_stay_off(void **state)
{
	(void)state;
	negotiate(VERSION_1, FEATURES_OK);
	virtio_device_set_status(d, d->status | DRIVER_OK, none);
	assert_true(d->status & DRIVER_OK);
	assert_int_equal(e->starts, 1);
	assert_false(virtq_is_started(d->queues[0]));
	virtio_device_kick(d, 0);
	assert_int_equal(e->kicks, 0);
}

static void a_queue_in_the_wrong_place_breaks_the_device(void **state)
{
	const struct virtq_setup bad[ECHO_QUEUES] = { { .size = 16, .desc_gpa = 0x1000, .driver_gpa = 0x2000,
							.device_gpa = UINT64_MAX - 3 } };

	(void)state;
	negotiate(VERSION_1, FEATURES_OK);
	virtio_device_set_status(d, d->status | DRIVER_OK, bad);
	assert_int_equal(d->status, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK | NEEDS_RESET);
	assert_int_equal(e->starts, 0);
	assert_false(virtq_is_started(d->queues[0]));
	assert_int_equal(fake_guest_start(g, d), 0);
}

static void a_device_that_cannot_start_needs_a_reset(void **state)
{
	(void)state;
	e->start_result = -ENOMEM;
	assert_int_equal(fake_guest_start(g, d), -EPIPE);
	assert_int_equal(fake_guest_config_changes(g), 1);
	assert_int_equal(fake_guest_request(g, 0, "a", 1, NULL, 0, NULL), -EPIPE);
	e->start_result = 0;
	assert_int_equal(fake_guest_start(g, d), 0);
	assert_int_equal(fake_guest_request(g, 0, "a", 1, NULL, 0, NULL), 0);
}

static void kicks_wait_for_driver_ok(void **state)
{
	const struct virtq_setup s = { .size = 16, .desc_gpa = fake_guest_alloc(g, 4096, 4096),
				       .driver_gpa = fake_guest_alloc(g, 4096, 4096),
				       .device_gpa = fake_guest_alloc(g, 4096, 4096) };

	(void)state;
	negotiate(VERSION_1, FEATURES_OK);
	assert_int_equal(virtio_device_start_queue(d, 0, &s), 0);
	assert_true(virtq_is_started(d->queues[0]));
	virtio_device_kick(d, 0);
	assert_int_equal(e->kicks, 0);
	assert_int_equal(fake_guest_start(g, d), 0);
	/* One for each queue at the start: the driver may have filled them before. */
	assert_int_equal(e->kicks, ECHO_QUEUES);
	virtio_device_kick(d, ECHO_QUEUES);
	virtio_device_kick(d, UINT32_MAX);
	assert_int_equal(e->kicks, ECHO_QUEUES);
}

static void a_reset_is_told_to_the_device_each_time(void **state)
{
	unsigned before;

	(void)state;
	assert_int_equal(fake_guest_start(g, d), 0);
	before = e->resets;
	for (unsigned i = 0; i < 3; i++)
		fake_guest_reset(g);
	assert_int_equal(e->resets, before + 3);
	for (unsigned i = 0; i < ECHO_QUEUES; i++)
		assert_false(virtq_is_started(d->queues[i]));
}

static void break_in_handler(struct echo *self, unsigned queue, struct chain *c)
{
	(void)queue;
	virtio_device_break(&self->device, "the test says so");
	chain_finish(c);
}

static void a_break_stops_everything_until_reset(void **state)
{
	(void)state;
	assert_int_equal(fake_guest_start(g, d), 0);
	e->handle = break_in_handler;
	fake_guest_add(g, 0, "a", 1, 1);
	fake_guest_add(g, 0, "b", 1, 1);
	fake_guest_kick(g, 0);
	/* The second was not popped any more, the first not given back. */
	assert_int_equal(e->requests, 1);
	assert_int_equal(fake_guest_poll(g, 0), 0);
	assert_int_equal(fake_guest_config_changes(g), 1);
	virtio_device_break(d, "again");
	assert_int_equal(fake_guest_config_changes(g), 1);
	assert_int_equal(virtio_device_start_queue(d, 0, &fake_guest_ring(g, 0)->setup), -EINVAL);
	fake_guest_reset(g);
	e->handle = NULL;
	assert_int_equal(fake_guest_start(g, d), 0);
	assert_int_equal(fake_guest_request(g, 0, "a", 1, NULL, 0, NULL), 0);
}

static void a_config_change_is_told_once_the_driver_is_there(void **state)
{
	uint32_t generation = d->config_generation;

	(void)state;
	virtio_device_config_changed(d);
	assert_int_equal(fake_guest_config_changes(g), 0);
	assert_int_equal(d->config_generation, generation + 1);
	assert_int_equal(fake_guest_start(g, d), 0);
	virtio_device_config_changed(d);
	assert_int_equal(fake_guest_config_changes(g), 1);
	assert_int_equal(d->config_generation, generation + 2);
}

static void config_accesses_stay_inside(void **state)
{
	uint8_t buf[16];

	(void)state;
	memset(buf, 0xee, sizeof(buf));
	virtio_device_config(d, 0, buf, 8, false);
	assert_memory_equal(buf, "\1\2\3\4\5\6\7\10", 8);
	/* Past the end: zeros. */
	memset(buf, 0xee, sizeof(buf));
	virtio_device_config(d, 6, buf, 4, false);
	assert_memory_equal(buf, "\7\10\0\0\xee", 5);
	memset(buf, 0xee, sizeof(buf));
	virtio_device_config(d, 8, buf, 4, false);
	assert_memory_equal(buf, "\0\0\0\0\xee", 5);
	virtio_device_config(d, UINT32_MAX, buf, 8, false);
	assert_memory_equal(buf, "\0\0\0\0\0\0\0\0", 8);
	virtio_device_config(d, 3, buf, 0, false);

	virtio_device_config(d, 0, (uint8_t[]){ 42 }, 1, true);
	assert_int_equal(e->config[0], 42);
	virtio_device_config(d, 1, (uint8_t[]){ 42 }, 1, true);
	assert_int_equal(e->config[1], 2);
	virtio_device_config(d, 7, (uint8_t[]){ 42, 42 }, 2, true);
	assert_int_equal(e->config[7], 8);
	virtio_device_config(d, 7, (uint8_t[]){ 42 }, 1, true);
	assert_int_equal(e->config[7], 42);
	virtio_device_config(d, UINT32_MAX, (uint8_t[]){ 42 }, 1, true);
}

/* A driver that fills the ring as fast as it is emptied. */
static unsigned endless;

static void add_another(struct echo *self, unsigned queue, struct chain *c)
{
	(void)self;
	chain_finish(c);
	if (endless) {
		endless--;
		fake_guest_poll(g, queue);
		fake_guest_add(g, queue, "x", 1, 0);
	}
}

static unsigned when_it_ran;

static void other_work(struct loop_task *t)
{
	(void)t;
	when_it_ran = e->requests;
}

static bool all_done(void *arg)
{
	(void)arg;
	return !endless && virtq_in_flight(d->queues[2]) == 0 && e->requests == 201;
}

static void a_busy_queue_leaves_room_for_other_work(void **state)
{
	struct loop_task other = { .run = other_work };

	(void)state;
	assert_int_equal(fake_guest_start(g, d), 0);
	e->handle = add_another;
	endless = 200;
	when_it_ran = 0;
	loop_post(fake_guest_loop(g), &other);
	fake_guest_add(g, 2, "x", 1, 0);
	fake_guest_kick(g, 2);
	assert_int_equal(e->requests, 32);
	assert_true(fake_guest_run_until(g, all_done, NULL, 1000));
	assert_in_range(when_it_ran, 32, 64);

	/* A reset, and the end of the device, while it is to go on. */
	endless = 200;
	fake_guest_add(g, 2, "x", 1, 0);
	fake_guest_kick(g, 2);
	fake_guest_reset(g);
	endless = 0;
	e->requests = 0;
	fake_guest_run_until(g, NULL, NULL, 2);
	assert_int_equal(e->requests, 0);
	assert_int_equal(fake_guest_start(g, d), 0);
	endless = 200;
	fake_guest_add(g, 2, "x", 1, 0);
	fake_guest_kick(g, 2);
	assert_int_equal(e->requests, 32);
	virtio_device_destroy(d);
	endless = 0;
	assert_int_equal(loop_run_once(fake_guest_loop(g), 0), 0);
	assert_int_equal(echo_create(fake_guest_loop(g), fake_guest_mem(g), &e), 0);
	d = &e->device;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_class_offers_ring_features),
		TEST(features_must_make_sense),
		TEST(features_are_final_once_accepted),
		TEST(driver_ok_needs_features_ok),
		TEST(bits_are_cleared_by_a_reset_only),
		TEST(the_device_starts_once),
		TEST(queues_without_a_size_stay_off),
		TEST(a_queue_in_the_wrong_place_breaks_the_device),
		TEST(a_device_that_cannot_start_needs_a_reset),
		TEST(kicks_wait_for_driver_ok),
		TEST(a_reset_is_told_to_the_device_each_time),
		TEST(a_break_stops_everything_until_reset),
		TEST(a_config_change_is_told_once_the_driver_is_there),
		TEST(config_accesses_stay_inside),
		TEST(a_busy_queue_leaves_room_for_other_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
