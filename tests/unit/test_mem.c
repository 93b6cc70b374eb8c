// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "host/virtio/mem.h"

static uint8_t backing[0x10000];

static int add(struct guest_mem *m, uint64_t gpa, uint64_t size, size_t at)
{
	const struct guest_mem_region r = { .gpa = gpa, .size_bytes = size, .host = backing + at, .fd = 7,
					    .fd_offset = at };

	return guest_mem_add(m, &r);
}

static struct guest_mem *create(void)
{
	struct guest_mem *m;

	assert_int_equal(guest_mem_create(&m), 0);
	return m;
}

static void host_addresses_map_back(void **state)
{
	struct guest_mem *m = create();
	uint64_t gpa, left;

	(void)state;
	assert_int_equal(add(m, 0x100000000, 0x1000, 0x4000), 0);
	assert_int_equal(add(m, 0x1000, 0x2000, 0), 0);
	assert_true(guest_mem_address(m, backing + 0x1fff, &gpa, &left));
	assert_int_equal(gpa, 0x2fff);
	assert_int_equal(left, 1);
	assert_true(guest_mem_address(m, backing + 0x4000, &gpa, &left));
	assert_int_equal(gpa, 0x100000000);
	assert_int_equal(left, 0x1000);
	assert_false(guest_mem_address(m, backing + 0x2000, &gpa, &left));
	assert_false(guest_mem_address(m, backing + 0x3fff, &gpa, &left));
	assert_false(guest_mem_address(m, NULL, &gpa, &left));
	guest_mem_destroy(m);
}

/* A piece may lie across regions that are beside each other in this process only. */
static void pieces_map_back_to_ranges(void **state)
{
	struct guest_mem *m = create();
	const struct iovec pieces[] = {{backing + 0x800, 0x1000}, {backing + 0x1800, 0}, {backing, 0x10}};
	const struct iovec beyond = {backing + 0x1ff0, 0x20};
	struct guest_mem_range r[3];

	(void)state;
	assert_int_equal(add(m, 0x100000000, 0x1000, 0), 0);
	assert_int_equal(add(m, 0x1000, 0x1000, 0x1000), 0);
	assert_int_equal(guest_mem_ranges(m, pieces, 3, r, 3), 3);
	assert_int_equal(r[0].gpa, 0x100000800);
	assert_int_equal(r[0].bytes, 0x800);
	assert_int_equal(r[1].gpa, 0x1000);
	assert_int_equal(r[1].bytes, 0x800);
	assert_int_equal(r[2].gpa, 0x100000000);
	assert_int_equal(r[2].bytes, 0x10);
	assert_int_equal(guest_mem_ranges(m, pieces, 3, r, 2), -E2BIG);
	assert_int_equal(guest_mem_ranges(m, &beyond, 1, r, 3), -EFAULT);
	assert_int_equal(guest_mem_ranges(m, pieces, 0, r, 3), 0);
	guest_mem_destroy(m);
}

static void ranges_map_to_their_region(void **state)
{
	struct guest_mem *m = create();

	(void)state;
	assert_null(guest_mem_range(m, 0, 1));
	assert_null(guest_mem_find(m, 0));
	assert_int_equal(add(m, 0x100000000, 0x1000, 0x4000), 0);
	assert_int_equal(add(m, 0x1000, 0x2000, 0), 0);
	assert_ptr_equal(guest_mem_range(m, 0x1000, 1), backing);
	assert_ptr_equal(guest_mem_range(m, 0x1000, 0x2000), backing);
	assert_ptr_equal(guest_mem_range(m, 0x2fff, 1), backing + 0x1fff);
	assert_ptr_equal(guest_mem_range(m, 0x100000fff, 1), backing + 0x4fff);
	assert_int_equal(guest_mem_find(m, 0x100000000)->fd_offset, 0x4000);
	guest_mem_destroy(m);
}

static void ranges_outside_are_refused(void **state)
{
	struct guest_mem *m = create();

	(void)state;
	assert_int_equal(add(m, 0x1000, 0x2000, 0), 0);
	assert_null(guest_mem_range(m, 0x1000, 0));
	assert_null(guest_mem_range(m, 0xfff, 1));
	assert_null(guest_mem_range(m, 0xfff, 2));
	assert_null(guest_mem_range(m, 0x3000, 1));
	assert_null(guest_mem_range(m, 0x1000, 0x2001));
	assert_null(guest_mem_range(m, 0x2fff, 2));
	assert_null(guest_mem_range(m, 0x1001, UINT64_MAX));
	assert_null(guest_mem_range(m, UINT64_MAX, 1));
	assert_null(guest_mem_range(m, UINT64_MAX - 1, 0x1003));
	guest_mem_destroy(m);
}

/* Adjacent for the guest is not adjacent for the host. */
static void a_range_across_two_regions_is_refused(void **state)
{
	struct guest_mem *m = create();

	(void)state;
	assert_int_equal(add(m, 0x1000, 0x1000, 0), 0);
	assert_int_equal(add(m, 0x2000, 0x1000, 0x8000), 0);
	assert_null(guest_mem_range(m, 0x1fff, 2));
	assert_ptr_equal(guest_mem_range(m, 0x1fff, 1), backing + 0xfff);
	assert_ptr_equal(guest_mem_range(m, 0x2000, 1), backing + 0x8000);
	guest_mem_destroy(m);
}

static void bad_regions_are_refused(void **state)
{
	struct guest_mem *m = create();
	const struct guest_mem_region none = { .gpa = 0, .size_bytes = 16 };

	(void)state;
	assert_int_equal(guest_mem_add(m, &none), -EINVAL);
	assert_int_equal(add(m, 0x1000, 0, 0), -EINVAL);
	assert_int_equal(add(m, UINT64_MAX, 2, 0), -EINVAL);
	assert_int_equal(add(m, 0x1000, UINT64_MAX, 0), -EINVAL);
	assert_int_equal(add(m, 0x1000, 0x1000, 0), 0);
	assert_int_equal(add(m, 0x1000, 0x1000, 0), -EEXIST);
	assert_int_equal(add(m, 0x1fff, 1, 0), -EEXIST);
	assert_int_equal(add(m, 0, 0x1001, 0), -EEXIST);
	assert_int_equal(add(m, 0, 0x4000, 0), -EEXIST);
	assert_int_equal(add(m, 0, 0x1000, 0), 0);
	assert_int_equal(add(m, 0x2000, 0x1000, 0), 0);
	/* The last page there is. */
	assert_int_equal(add(m, UINT64_MAX - 0xfff, 0x1000, 0), 0);
	assert_ptr_equal(guest_mem_range(m, UINT64_MAX, 1), backing + 0xfff);
	assert_null(guest_mem_range(m, UINT64_MAX, 2));
	guest_mem_destroy(m);
}

static void as_many_regions_as_the_limit(void **state)
{
	struct guest_mem *m = create();

	(void)state;
	/* From both ends to the middle, so that they must be sorted. */
	for (unsigned i = 0; i < GUEST_MEM_MAX_REGIONS; i++) {
		unsigned at = i % 2 ? GUEST_MEM_MAX_REGIONS - 1 - i / 2 : i / 2;

		assert_int_equal(add(m, at * 0x100ull, 0x80, at), 0);
	}
	assert_int_equal(add(m, 0x1000000, 0x80, 0), -ENOSPC);
	for (unsigned i = 0; i < GUEST_MEM_MAX_REGIONS; i++) {
		assert_ptr_equal(guest_mem_range(m, i * 0x100ull + 0x7f, 1), backing + i + 0x7f);
		assert_null(guest_mem_range(m, i * 0x100ull + 0x80, 1));
	}
	guest_mem_destroy(m);
	guest_mem_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_map_to_their_region),
		cmocka_unit_test(host_addresses_map_back),
		cmocka_unit_test(pieces_map_back_to_ranges),
		cmocka_unit_test(ranges_outside_are_refused),
		cmocka_unit_test(a_range_across_two_regions_is_refused),
		cmocka_unit_test(bad_regions_are_refused),
		cmocka_unit_test(as_many_regions_as_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
