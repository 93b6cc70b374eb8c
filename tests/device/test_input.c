// SPDX-License-Identifier: MIT
/* virtio-input over fake guest memory: what it says it is, whole reports in order, and what a slow guest gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/input.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/input/evdev.h"
#include "host/input/seat.h"
#include "tests/device/rings.h"

#define BUFFERS 64

static struct fake_guest *g;
static struct virtio_device *d;
static struct fake_request *posted[BUFFERS];

static void begin(const struct fake_guest_options *options, enum input_kind kind)
{
	const struct input_config config = {.kind = kind};

	g = fake_guest_create(options);
	assert_int_equal(input_create(&config, fake_guest_loop(g), fake_guest_mem(g), &d), 0);
	assert_int_equal(fake_guest_start(g, d), 0);
	memset(posted, 0, sizeof(posted));
}

static void end(void)
{
	virtio_device_destroy(d);
	fake_guest_device_is_gone(g);
	fake_guest_destroy(g);
}

static void post(unsigned n)
{
	for (unsigned i = 0; i < BUFFERS && n; i++) {
		if (posted[i])
			continue;
		posted[i] = fake_guest_add(g, VIRTIO_INPUT_QUEUE_EVENT, NULL, 0, 8);
		n--;
	}
	fake_guest_kick(g, VIRTIO_INPUT_QUEUE_EVENT);
}

/* Take the events that came, in the order they came, @cap at most. */
static unsigned fetch(struct virtio_input_event *events, unsigned cap)
{
	unsigned n = 0;

	fake_guest_run_until(g, NULL, NULL, 5);
	fake_guest_poll(g, VIRTIO_INPUT_QUEUE_EVENT);
	while (n < cap) {
		unsigned first = BUFFERS;

		for (unsigned i = 0; i < BUFFERS; i++) {
			if (posted[i] && posted[i]->done &&
			    (first == BUFFERS || posted[i]->sequence < posted[first]->sequence))
				first = i;
		}
		if (first == BUFFERS)
			break;
		assert_int_equal(posted[first]->used_len, 8);
		memcpy(&events[n++], posted[first]->out, 8);
		fake_guest_free_request(g, posted[first]);
		posted[first] = NULL;
	}
	return n;
}

static void assert_event(const struct virtio_input_event *e, unsigned type, unsigned code, int32_t value)
{
	assert_int_equal(e->type, type);
	assert_int_equal(e->code, code);
	assert_int_equal((int32_t)e->value, value);
}

static bool key(uint16_t code, int32_t value)
{
	const struct input_event_value e = {EV_KEY, code, value};

	return input_report(d, &e, 1);
}

static uint8_t select_config(uint8_t select, uint8_t subsel, uint8_t *payload)
{
	uint8_t selectors[2] = {select, subsel}, whole[136];

	virtio_device_config(d, 0, &selectors[0], 1, true);
	virtio_device_config(d, 1, &selectors[1], 1, true);
	fake_guest_read_config(g, 0, whole, sizeof(whole));
	assert_int_equal(whole[0], select);
	assert_int_equal(whole[1], subsel);
	memcpy(payload, whole + 8, 128);
	return whole[2];
}

static bool bit(const uint8_t *bits, unsigned n)
{
	return bits[n / 8] >> (n % 8) & 1;
}

static void says_what_it_is(void **state)
{
	struct virtio_input_absinfo axis;
	uint8_t p[128], wrong[4] = {1, 2, 3, 4};

	(void)state;
	begin(NULL, INPUT_KEYBOARD);
	assert_int_equal(select_config(VIRTIO_INPUT_CFG_ID_NAME, 0, p), strlen("Mullion keyboard"));
	assert_memory_equal(p, "Mullion keyboard", strlen("Mullion keyboard") + 1);
	assert_int_equal(select_config(VIRTIO_INPUT_CFG_ID_SERIAL, 0, p), strlen("keyboard0"));
	assert_int_equal(select_config(VIRTIO_INPUT_CFG_ID_DEVIDS, 0, p), 8);
	assert_int_equal(select_config(VIRTIO_INPUT_CFG_EV_BITS, EV_KEY, p), KEY_MICMUTE / 8 + 1);
	assert_true(bit(p, KEY_A) && bit(p, KEY_MICMUTE) && !bit(p, KEY_RESERVED));
	assert_int_equal(select_config(VIRTIO_INPUT_CFG_EV_BITS, EV_REP, p), 1);
	assert_int_equal(select_config(VIRTIO_INPUT_CFG_EV_BITS, EV_LED, p), 1);
	assert_int_equal(select_config(VIRTIO_INPUT_CFG_EV_BITS, EV_ABS, p), 0);
	assert_int_equal(select_config(VIRTIO_INPUT_CFG_ABS_INFO, ABS_X, p), 0);
	/* What doesn't exist has size 0, whatever the selectors say. */
	for (unsigned s = 0; s < 256; s++) {
		if (s >= EV_CNT)
			assert_int_equal(select_config(VIRTIO_INPUT_CFG_EV_BITS, (uint8_t)s, p), 0);
		if (s > VIRTIO_INPUT_CFG_ABS_INFO)
			assert_int_equal(select_config((uint8_t)s, 0, p), 0);
	}
	/* The rest of the space is read-only. */
	select_config(VIRTIO_INPUT_CFG_ID_NAME, 0, p);
	virtio_device_config(d, 2, wrong, sizeof(wrong), true);
	assert_int_equal(select_config(VIRTIO_INPUT_CFG_ID_NAME, 0, p), strlen("Mullion keyboard"));
	end();

	begin(NULL, INPUT_MULTITOUCH);
	assert_int_equal(select_config(VIRTIO_INPUT_CFG_PROP_BITS, 0, p), 1);
	assert_true(bit(p, INPUT_PROP_DIRECT));
	assert_int_equal(select_config(VIRTIO_INPUT_CFG_EV_BITS, EV_ABS, p), ABS_MT_TRACKING_ID / 8 + 1);
	assert_int_equal(select_config(VIRTIO_INPUT_CFG_ABS_INFO, ABS_MT_SLOT, p), sizeof(axis));
	memcpy(&axis, p, sizeof(axis));
	assert_int_equal(axis.max, INPUT_SLOTS - 1);
	end();
}

static void reports_arrive_whole_and_in_order(void **state)
{
	struct virtio_input_event e[BUFFERS];

	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		unsigned interrupts;

		begin(&rings[r], INPUT_KEYBOARD);
		post(BUFFERS);
		interrupts = fake_guest_interrupts(g, VIRTIO_INPUT_QUEUE_EVENT);
		assert_true(key(KEY_A, 1));
		assert_true(key(KEY_A, 0));
		assert_true(key(KEY_LEFTSHIFT, 1));
		assert_int_equal(fetch(e, BUFFERS), 6);
		assert_event(&e[0], EV_KEY, KEY_A, 1);
		assert_event(&e[1], EV_SYN, SYN_REPORT, 0);
		assert_event(&e[2], EV_KEY, KEY_A, 0);
		assert_event(&e[4], EV_KEY, KEY_LEFTSHIFT, 1);
		assert_event(&e[5], EV_SYN, SYN_REPORT, 0);
		/* One for all of them, not one each. */
		assert_int_equal(fake_guest_interrupts(g, VIRTIO_INPUT_QUEUE_EVENT), interrupts + 1);
		end();
	}
}

static void a_report_waits_for_buffers(void **state)
{
	struct virtio_input_event e[BUFFERS];

	(void)state;
	begin(NULL, INPUT_KEYBOARD);
	assert_true(key(KEY_B, 1));
	assert_true(key(KEY_B, 0));
	assert_int_equal(fetch(e, BUFFERS), 0);
	post(1);
	assert_int_equal(fetch(e, BUFFERS), 1);
	assert_event(&e[0], EV_KEY, KEY_B, 1);
	post(BUFFERS);
	assert_int_equal(fetch(e, BUFFERS), 3);
	assert_event(&e[0], EV_SYN, SYN_REPORT, 0);
	assert_event(&e[1], EV_KEY, KEY_B, 0);
	assert_event(&e[2], EV_SYN, SYN_REPORT, 0);
	end();
}

static void what_a_device_does_not_have_is_left_out(void **state)
{
	const struct input_event_value mixed[] = {{EV_REL, REL_X, 5}, {EV_KEY, KEY_C, 1}, {EV_KEY, BTN_LEFT, 1}, {200, 3, 1}};
	struct virtio_input_event e[BUFFERS];

	(void)state;
	begin(NULL, INPUT_KEYBOARD);
	post(BUFFERS);
	assert_true(input_report(d, mixed, 4));
	assert_true(input_report(d, mixed, 1));
	assert_int_equal(fetch(e, BUFFERS), 2);
	assert_event(&e[0], EV_KEY, KEY_C, 1);
	assert_event(&e[1], EV_SYN, SYN_REPORT, 0);
	end();
}

/* A guest that stops fetching: the queue fills up, then whole reports go, and no key stays stuck. */
static void a_full_queue_drops_whole_reports(void **state)
{
	struct virtio_input_event e[BUFFERS];
	struct input_counters c;
	bool a_down = false, shift_down = false;
	unsigned accepted = 0, n, syns = 0, since_syn = 0;

	(void)state;
	begin(NULL, INPUT_KEYBOARD);
	assert_true(key(KEY_LEFTSHIFT, 1));
	for (unsigned i = 0; i < INPUT_QUEUE_MAX; i++)
		accepted += key(KEY_A, !(i % 2));
	assert_int_equal(accepted, INPUT_QUEUE_MAX / 2 - 1);
	/* The last that fits presses A; both are let go in reports that are dropped, and D is pressed. */
	assert_false(key(KEY_A, 0));
	assert_false(key(KEY_LEFTSHIFT, 0));
	assert_false(key(KEY_D, 1));
	do {
		post(BUFFERS);
		n = fetch(e, BUFFERS);
		for (unsigned i = 0; i < n; i++) {
			if (e[i].type == EV_SYN) {
				assert_true(since_syn > 0);
				since_syn = 0;
				syns++;
				continue;
			}
			since_syn++;
			assert_int_equal(e[i].type, EV_KEY);
			if (e[i].code == KEY_A)
				a_down = e[i].value;
			if (e[i].code == KEY_LEFTSHIFT)
				shift_down = e[i].value;
		}
	} while (n);
	assert_int_equal(since_syn, 0);
	assert_int_equal(syns, accepted + 1 + 1); /* shift, and what changed meanwhile */
	assert_false(a_down || shift_down);
	input_get_counters(d, &c);
	assert_int_equal(c.reports, syns);
	assert_int_equal(c.dropped_reports, INPUT_QUEUE_MAX - accepted + 3);
	/* All is as before. */
	assert_true(key(KEY_D, 0));
	post(BUFFERS);
	assert_int_equal(fetch(e, BUFFERS), 2);
	assert_event(&e[0], EV_KEY, KEY_D, 0);
	end();
}

static void fingers_survive_a_full_queue(void **state)
{
	const struct input_event_value down[] = {{EV_ABS, ABS_MT_SLOT, 1},
						 {EV_ABS, ABS_MT_TRACKING_ID, 7},
						 {EV_ABS, ABS_MT_POSITION_X, 100},
						 {EV_ABS, ABS_MT_POSITION_Y, 200}};
	const struct input_event_value move[] = {{EV_ABS, ABS_MT_POSITION_X, 101}};
	const struct input_event_value up[] = {{EV_ABS, ABS_MT_TRACKING_ID, -1}};
	struct virtio_input_event e[BUFFERS], last = {0};
	unsigned n, slot = 0;
	int32_t id = -1;

	(void)state;
	begin(NULL, INPUT_MULTITOUCH);
	assert_true(input_report(d, down, 4));
	while (input_report(d, move, 1))
		;
	assert_false(input_report(d, up, 1));
	do {
		post(BUFFERS);
		n = fetch(e, BUFFERS);
		for (unsigned i = 0; i < n; i++) {
			if (e[i].type == EV_ABS && e[i].code == ABS_MT_SLOT)
				slot = e[i].value;
			if (e[i].type == EV_ABS && e[i].code == ABS_MT_TRACKING_ID && slot == 1)
				id = (int32_t)e[i].value;
			last = e[i];
		}
	} while (n);
	assert_int_equal(id, -1);
	assert_event(&last, EV_SYN, SYN_REPORT, 0);
	end();
}

static void a_new_driver_learns_what_is_held(void **state)
{
	struct virtio_input_event e[BUFFERS];

	(void)state;
	begin(NULL, INPUT_KEYBOARD);
	assert_true(key(KEY_E, 1));
	fake_guest_reset(g);
	assert_false(key(KEY_F, 1));
	assert_int_equal(fake_guest_start(g, d), 0);
	memset(posted, 0, sizeof(posted));
	post(BUFFERS);
	assert_int_equal(fetch(e, BUFFERS), 3);
	assert_event(&e[0], EV_KEY, KEY_E, 1);
	assert_event(&e[1], EV_KEY, KEY_F, 1);
	assert_event(&e[2], EV_SYN, SYN_REPORT, 0);
	end();
}

static void lights_come_back(void **state)
{
	const struct virtio_input_event on = {EV_LED, LED_CAPSL, 1}, off = {EV_LED, LED_CAPSL, 0};
	struct input_counters c;

	(void)state;
	begin(NULL, INPUT_KEYBOARD);
	assert_int_equal(fake_guest_request(g, VIRTIO_INPUT_QUEUE_STATUS, &on, sizeof(on), NULL, 0, NULL), 0);
	input_get_counters(d, &c);
	assert_int_equal(c.leds, 1u << LED_CAPSL);
	assert_int_equal(fake_guest_request(g, VIRTIO_INPUT_QUEUE_STATUS, &on, 7, NULL, 0, NULL), 0);
	assert_int_equal(fake_guest_request(g, VIRTIO_INPUT_QUEUE_STATUS, &off, sizeof(off), NULL, 0, NULL), 0);
	input_get_counters(d, &c);
	assert_int_equal(c.leds, 0);
	assert_int_equal(c.status_events, 2);
	end();
}

static void a_buffer_without_room_is_given_back(void **state)
{
	struct virtio_input_event e[BUFFERS];
	struct fake_request *small;

	(void)state;
	begin(NULL, INPUT_KEYBOARD);
	small = fake_guest_add(g, VIRTIO_INPUT_QUEUE_EVENT, NULL, 0, 7);
	post(4);
	assert_true(key(KEY_G, 1));
	assert_int_equal(fetch(e, BUFFERS), 2);
	assert_event(&e[0], EV_KEY, KEY_G, 1);
	assert_true(small->done);
	assert_int_equal(small->used_len, 0);
	end();
}

static void an_event_buffer_may_be_split_anywhere(void **state)
{
	struct virtio_input_event e[BUFFERS];

	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		begin(&rings[r], INPUT_KEYBOARD);
		for (size_t at = 1; at < 8; at++) {
			fake_guest_set_split(g, at, 0);
			post(2);
			assert_true(key(KEY_H, at % 2 != 0));
			assert_int_equal(fetch(e, BUFFERS), 2);
			assert_event(&e[0], EV_KEY, KEY_H, at % 2 != 0);
			assert_event(&e[1], EV_SYN, SYN_REPORT, 0);
		}
		end();
	}
}

static void the_seat_speaks_each_pointers_language(void **state)
{
	struct virtio_input_event e[BUFFERS];
	struct input_pointer p = {.x = 1000, .y = 40000, .buttons = INPUT_BUTTON_LEFT, .wheel = -1};
	struct input_seat *s;

	(void)state;
	for (enum input_kind kind = INPUT_TABLET; kind <= INPUT_MOUSE; kind++) {
		begin(NULL, kind);
		post(BUFFERS);
		assert_int_equal(input_seat_create(&s), 0);
		input_seat_add(s, kind, d);
		input_seat_sink(s)->ops->key(input_seat_sink(s), KEY_A, true); /* no keyboard: nothing */
		input_seat_sink(s)->ops->pointer(input_seat_sink(s), &p);
		if (kind == INPUT_TABLET) {
			assert_int_equal(fetch(e, BUFFERS), 5);
			assert_event(&e[0], EV_ABS, ABS_X, 1000);
			assert_event(&e[1], EV_ABS, ABS_Y, INPUT_POSITION_MAX);
			assert_event(&e[2], EV_KEY, BTN_LEFT, 1);
			assert_event(&e[3], EV_REL, REL_WHEEL, -1);
		} else if (kind == INPUT_MULTITOUCH) {
			assert_int_equal(fetch(e, BUFFERS), 8);
			assert_event(&e[0], EV_ABS, ABS_MT_SLOT, 0);
			assert_event(&e[1], EV_ABS, ABS_MT_TRACKING_ID, 0);
			assert_event(&e[2], EV_ABS, ABS_MT_POSITION_X, 1000);
			assert_event(&e[4], EV_KEY, BTN_TOUCH, 1);
		} else {
			assert_int_equal(fetch(e, BUFFERS), 5);
			assert_event(&e[0], EV_REL, REL_X, 1000 * 2048 / INPUT_POSITION_MAX);
			assert_event(&e[1], EV_REL, REL_Y, 2048);
			assert_event(&e[2], EV_KEY, BTN_LEFT, 1);
		}
		input_seat_destroy(s);
		end();
	}
}

struct seen {
	struct input_event_value events[16];
	unsigned n, reports;
};

static void see(void *owner, const struct input_event_value *events, unsigned n)
{
	struct seen *s = owner;

	for (unsigned i = 0; i < n && s->n < 16; i++)
		s->events[s->n++] = events[i];
	s->reports++;
}

/* The host's evdev stream, as its kernel writes it; the ioctls need a real node. */
static void the_hosts_events_become_reports(void **state)
{
	static const struct input_event stream[] = {
		{.type = EV_KEY, .code = KEY_A, .value = 1},
		{.type = EV_KEY, .code = KEY_B, .value = 1},
		{.type = EV_SYN, .code = SYN_REPORT},
		{.type = EV_KEY, .code = KEY_A, .value = 0},
		{.type = EV_SYN, .code = SYN_DROPPED},
		{.type = EV_KEY, .code = KEY_C, .value = 1},
		{.type = EV_SYN, .code = SYN_REPORT},
		{.type = EV_KEY, .code = KEY_D, .value = 1},
		{.type = EV_SYN, .code = SYN_REPORT},
	};
	static struct evdev_reader r;
	struct seen s = {.n = 0};
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	for (size_t i = 0; i < sizeof(stream) / sizeof(*stream); i++) {
		assert_int_equal(write(fds[1], &stream[i], sizeof(stream[i])), sizeof(stream[i]));
		assert_int_equal(evdev_read(&r, fds[0], see, &s), 0);
	}
	assert_int_equal(s.reports, 2);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.events[1].code, KEY_B);
	assert_int_equal(s.events[2].code, KEY_D);
	assert_true(r.lost_events);
	close(fds[1]);
	assert_int_equal(evdev_read(&r, fds[0], see, &s), -ENODEV);
	close(fds[0]);
}

static void what_is_no_evdev_node_is_refused(void **state)
{
	const struct input_config missing = {.kind = INPUT_MOUSE, .evdev = "/nowhere/event0"};
	const struct input_config wrong = {.kind = INPUT_MOUSE, .evdev = "/dev/null"};
	struct virtio_device *none;

	(void)state;
	g = fake_guest_create(NULL);
	assert_int_equal(input_create(&missing, fake_guest_loop(g), fake_guest_mem(g), &none), -ENOENT);
	assert_int_equal(input_create(&wrong, fake_guest_loop(g), fake_guest_mem(g), &none), -ENOTTY);
	fake_guest_destroy(g);
}

static void touch(struct input_seat *s, unsigned finger, bool down, int32_t x)
{
	const struct input_touch t = {.finger = finger, .down = down, .x = x, .y = 5};

	input_seat_sink(s)->ops->touch(input_seat_sink(s), &t);
}

static void fingers_come_and_go_on_their_own(void **state)
{
	struct virtio_input_event e[BUFFERS];
	struct input_seat *s;

	(void)state;
	begin(NULL, INPUT_MULTITOUCH);
	post(BUFFERS);
	assert_int_equal(input_seat_create(&s), 0);
	touch(s, 0, true, 1); /* nobody's screen: nothing */
	assert_false(input_seat_has(s, INPUT_MULTITOUCH));
	input_seat_add(s, INPUT_MULTITOUCH, d);
	assert_true(input_seat_has(s, INPUT_MULTITOUCH));
	touch(s, 9, false, 1); /* was never there: nothing */
	touch(s, INPUT_FINGERS, true, 1);
	touch(s, 3, true, 40000);
	assert_int_equal(fetch(e, BUFFERS), 8);
	assert_event(&e[0], EV_ABS, ABS_MT_SLOT, 3);
	assert_event(&e[1], EV_ABS, ABS_MT_TRACKING_ID, 0);
	assert_event(&e[2], EV_ABS, ABS_MT_POSITION_X, INPUT_POSITION_MAX);
	assert_event(&e[3], EV_ABS, ABS_MT_POSITION_Y, 5);
	assert_event(&e[4], EV_KEY, BTN_TOUCH, 1);
	assert_event(&e[5], EV_ABS, ABS_X, INPUT_POSITION_MAX);
	/* The second is not the one of the plain axes, and no touch begins. */
	post(BUFFERS);
	touch(s, 5, true, 7);
	assert_int_equal(fetch(e, BUFFERS), 5);
	assert_event(&e[1], EV_ABS, ABS_MT_TRACKING_ID, 1);
	touch(s, 3, false, 0);
	assert_int_equal(fetch(e, BUFFERS), 3);
	assert_event(&e[0], EV_ABS, ABS_MT_SLOT, 3);
	assert_event(&e[1], EV_ABS, ABS_MT_TRACKING_ID, -1);
	touch(s, 5, false, 0);
	assert_int_equal(fetch(e, BUFFERS), 4);
	assert_event(&e[2], EV_KEY, BTN_TOUCH, 0);
	input_seat_destroy(s);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_it_is),
		cmocka_unit_test(reports_arrive_whole_and_in_order),
		cmocka_unit_test(a_report_waits_for_buffers),
		cmocka_unit_test(what_a_device_does_not_have_is_left_out),
		cmocka_unit_test(a_full_queue_drops_whole_reports),
		cmocka_unit_test(fingers_survive_a_full_queue),
		cmocka_unit_test(a_new_driver_learns_what_is_held),
		cmocka_unit_test(lights_come_back),
		cmocka_unit_test(a_buffer_without_room_is_given_back),
		cmocka_unit_test(an_event_buffer_may_be_split_anywhere),
		cmocka_unit_test(the_seat_speaks_each_pointers_language),
		cmocka_unit_test(fingers_come_and_go_on_their_own),
		cmocka_unit_test(the_hosts_events_become_reports),
		cmocka_unit_test(what_is_no_evdev_node_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
