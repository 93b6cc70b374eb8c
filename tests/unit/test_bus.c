// SPDX-License-Identifier: MIT
/* Address spaces of registers: who answers, at every edge, and removal while an access runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "vmm/bus.h"

struct record {
	unsigned calls;
	uint64_t offset;
	unsigned size;
	bool write;
	uint64_t value;
};

static void access_record(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct record *r = owner;

	r->calls++;
	r->offset = offset;
	r->size = size;
	r->write = write;
	if (write) {
		r->value = 0;
		memcpy(&r->value, data, size);
	} else {
		memset(data, 0x5a, size);
	}
}

static struct bus_range range(struct record *r, uint64_t base, uint64_t size)
{
	return (struct bus_range){.base = base, .size = size, .access = access_record, .owner = r};
}

static void ranges_answer_inside_and_only_there(void **state)
{
	struct record low = {0}, high = {0};
	struct bus_range a = range(&low, 0x1000, 0x10), b = range(&high, 0x1010, 0x10);
	struct bus *bus;
	uint64_t v;

	(void)state;
	assert_int_equal(bus_create("test", &bus), 0);
	assert_int_equal(bus_add(bus, &b), 0);
	assert_int_equal(bus_add(bus, &a), 0);
	v = 0;
	assert_true(bus_access(bus, 0x1000, &v, 4, false));
	assert_int_equal(v, 0x5a5a5a5a);
	assert_int_equal(low.offset, 0);
	v = 0x1122334455667788;
	assert_true(bus_access(bus, 0x1018, &v, 8, true));
	assert_int_equal(high.offset, 8);
	assert_int_equal(high.size, 8);
	assert_true(high.write);
	assert_int_equal(high.value, 0x1122334455667788);
	/* Before, after, and over the edge between the two. */
	v = 0;
	assert_false(bus_access(bus, 0xfff, &v, 1, false));
	assert_int_equal(v, 0xff);
	assert_false(bus_access(bus, 0x1020, &v, 8, false));
	assert_int_equal(v, UINT64_MAX);
	assert_false(bus_access(bus, 0x100e, &v, 4, true));
	assert_int_equal(low.calls, 1);
	assert_int_equal(high.calls, 1);
	bus_remove(bus, &a);
	assert_false(bus_access(bus, 0x1000, &v, 4, false));
	assert_true(bus_access(bus, 0x1010, &v, 4, false));
	bus_destroy(bus);
}

static void overlaps_are_refused(void **state)
{
	struct record r = {0};
	struct bus_range first = range(&r, 0x1000, 0x1000);
	static const struct {
		uint64_t base, size;
		int result;
	} cases[] = {
		{0x1000, 0x1000, -EEXIST}, {0x0fff, 2, -EEXIST}, {0x1fff, 1, -EEXIST},	   {0x0800, 0x4000, -EEXIST},
		{0x1800, 1, -EEXIST},	   {0x2000, 1, 0},	 {0x0fff, 1, 0},	   {0x3000, 0, -EINVAL},
		{UINT64_MAX, 2, -EINVAL},  {UINT64_MAX, 1, 0},	 {0, UINT64_MAX, -EEXIST},
	};
	struct bus *bus;

	(void)state;
	assert_int_equal(bus_create("test", &bus), 0);
	assert_int_equal(bus_add(bus, &first), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bus_range other = range(&r, cases[i].base, cases[i].size);

		assert_int_equal(bus_add(bus, &other), cases[i].result);
		if (!cases[i].result)
			bus_remove(bus, &other);
	}
	bus_remove(bus, &first);
	bus_destroy(bus);
}

struct slow {
	struct bus *bus;
	atomic_bool inside, go_on, removed;
	struct bus_range range, other;
};

static void access_slow(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct slow *s = owner;

	(void)offset;
	(void)data;
	(void)size;
	(void)write;
	atomic_store(&s->inside, true);
	while (!atomic_load(&s->go_on))
		usleep(100);
	/* A register that moves another range, as a BAR's does. */
	bus_remove(s->bus, &s->other);
	assert_false(atomic_load(&s->removed));
}

static void *reader(void *arg)
{
	struct slow *s = arg;
	uint64_t v;

	assert_true(bus_access(s->bus, s->range.base, &v, 4, false));
	return NULL;
}

static void *remover(void *arg)
{
	struct slow *s = arg;

	bus_remove(s->bus, &s->range);
	atomic_store(&s->removed, true);
	return NULL;
}

static void removal_waits_for_a_running_access(void **state)
{
	struct slow s = {0};
	struct record r = {0};
	pthread_t threads[2];
	uint64_t v;

	(void)state;
	assert_int_equal(bus_create("test", &s.bus), 0);
	s.range = (struct bus_range){.base = 0x1000, .size = 16, .access = access_slow, .owner = &s};
	s.other = range(&r, 0x2000, 16);
	assert_int_equal(bus_add(s.bus, &s.range), 0);
	assert_int_equal(bus_add(s.bus, &s.other), 0);
	pthread_create(&threads[0], NULL, reader, &s);
	while (!atomic_load(&s.inside))
		usleep(100);
	pthread_create(&threads[1], NULL, remover, &s);
	usleep(20000);
	assert_false(atomic_load(&s.removed));
	/* The bus goes on meanwhile. */
	assert_true(bus_access(s.bus, 0x2000, &v, 4, false));
	atomic_store(&s.go_on, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	assert_true(atomic_load(&s.removed));
	assert_false(bus_access(s.bus, 0x1000, &v, 4, false));
	assert_false(bus_access(s.bus, 0x2000, &v, 4, false));
	bus_destroy(s.bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_answer_inside_and_only_there),
		cmocka_unit_test(overlaps_are_refused),
		cmocka_unit_test(removal_waits_for_a_running_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
