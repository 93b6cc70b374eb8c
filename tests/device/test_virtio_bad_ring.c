// SPDX-License-Identifier: MIT
/*
 * Drivers that break the ring: the device stops with NEEDS_RESET, tells the driver once, hands no chain to the device
 * model, and works again after a reset. One row per way to break it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/loop.h"
#include "host/virtio/mem.h"
#include "protocol/virtio.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
#define TABLE_ENTRIES 2048u
#define MEMORY (256u << 10)
#define LOW_END (0x1000ull + MEMORY / 2)
#define HIGH 0x100000000ull

struct world {
	struct fake_guest *g;
	struct echo *e;
	bool packed;
	uint64_t data;  /* a page */
	uint64_t table; /* TABLE_ENTRIES descriptors */
};

static struct world world_create(bool packed, bool indirect)
{
	struct fake_guest_options options = { .packed = packed, .indirect = indirect, .memory_bytes = MEMORY,
					      .queue_size = 16 };
	struct world w = { .g = fake_guest_create(&options), .packed = packed };

	w.data = fake_guest_alloc(w.g, 4096, 4096);
	w.table = fake_guest_alloc_high(w.g, TABLE_ENTRIES * 16, 16);
	assert_int_equal(echo_create(fake_guest_loop(w.g), fake_guest_mem(w.g), &w.e), 0);
	assert_int_equal(fake_guest_start(w.g, &w.e->device), 0);
	return w;
}

static void world_destroy(struct world *w)
{
	virtio_device_destroy(&w->e->device);
	fake_guest_destroy(w->g);
}

/* Entry @index of the table, in the format of the ring. */
static void put_table(struct world *w, unsigned index, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	struct vring_desc d = { .addr = gpa, .len = len, .flags = flags, .next = next };
	struct vring_packed_desc e = { .addr = gpa, .len = len, .flags = flags };
	uint8_t *to = fake_guest_ptr(w->g, w->table + 16u * index, 16);

	if (w->packed)
		memcpy(to, &e, sizeof(e));
	else
		memcpy(to, &d, sizeof(d));
}

static void put(struct world *w, unsigned index, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	fake_guest_put(w->g, 0, index, gpa, len, flags, w->packed ? 7 : next);
}

/* Make the chain at descriptor 0 available (packed: it is already). */
static void go(struct world *w)
{
	if (!w->packed)
		fake_guest_publish(w->g, 0, 0);
	fake_guest_force_kick(w->g, 0);
}

static void expect_broken(struct world *w)
{
	uint8_t out[3];

	assert_int_equal(w->e->requests, 0);
	assert_true(w->e->device.broken);
	assert_true(w->e->device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(fake_guest_config_changes(w->g), 1);
	/* Nothing more happens, on no queue. */
	fake_guest_force_kick(w->g, 0);
	fake_guest_force_kick(w->g, 1);
	assert_int_equal(fake_guest_config_changes(w->g), 1);
	assert_int_equal(fake_guest_interrupts(w->g, 0), 0);
	for (unsigned i = 0; i < w->e->device.queue_count; i++)
		assert_false(virtq_is_started(w->e->device.queues[i]));
	/* A reset heals it. */
	assert_int_equal(fake_guest_start(w->g, &w->e->device), 0);
	assert_false(w->e->device.broken);
	assert_int_equal(fake_guest_request(w->g, 0, "abc", 3, out, 3, NULL), 0);
	assert_memory_equal(out, "abc", 3);
}

static void expect_fine(struct world *w)
{
	assert_int_equal(w->e->requests, 1);
	assert_false(w->e->device.broken);
	assert_int_equal(fake_guest_interrupts(w->g, 0), 1);
}

/* ---- rows: what the driver does; run on split and packed rings ---- */

static void unmapped_address(struct world *w)
{
	put(w, 0, 0x10, 16, 0, 0);
}

static void address_between_the_regions(struct world *w)
{
	put(w, 0, LOW_END, 1, 0, 0);
}

static void range_leaves_its_region(struct world *w)
{
	put(w, 0, LOW_END - 8, 9, 0, 0);
}

static void range_spans_into_all_memory(struct world *w)
{
	put(w, 0, 0x1000, UINT32_MAX, 0, 0);
}

static void range_wraps_around_the_address_space(struct world *w)
{
	put(w, 0, UINT64_MAX - 7, 16, 0, 0);
}

static void range_ends_at_the_top_of_the_address_space(struct world *w)
{
	put(w, 0, UINT64_MAX, 1, WRITE, 0);
}

static void second_descriptor_is_unmapped(struct world *w)
{
	put(w, 0, w->data, 16, NEXT, 1);
	put(w, 1, HIGH - 1, 16, WRITE, 0);
}

static void readable_after_writable(struct world *w)
{
	put(w, 0, w->data, 16, WRITE | NEXT, 1);
	put(w, 1, w->data, 16, 0, 0);
}

static void empty_readable_after_writable(struct world *w)
{
	put(w, 0, w->data, 16, WRITE | NEXT, 1);
	put(w, 1, w->data, 0, 0, 0);
}

static void chain_without_end(struct world *w)
{
	for (unsigned i = 0; i < 16; i++)
		put(w, i, w->data, 1, NEXT, (uint16_t)((i + 1) % 16));
}

static void indirect_not_negotiated(struct world *w)
{
	put_table(w, 0, w->data, 16, 0, 0);
	put(w, 0, w->table, 16, INDIRECT, 0);
}

struct row {
	const char *name;
	void (*make)(struct world *w);
};

static void run_rows(const struct row *rows, size_t count, bool packed, bool indirect)
{
	for (size_t i = 0; i < count; i++) {
		struct world w = world_create(packed, indirect);

		print_message("# %s, %s\n", packed ? "packed" : "split", rows[i].name);
		rows[i].make(&w);
		go(&w);
		expect_broken(&w);
		world_destroy(&w);
	}
}

#define ROW(name) { #name, name }
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct row common[] = {
	ROW(unmapped_address),
	ROW(address_between_the_regions),
	ROW(range_leaves_its_region),
	ROW(range_spans_into_all_memory),
	ROW(range_wraps_around_the_address_space),
	ROW(range_ends_at_the_top_of_the_address_space),
	ROW(second_descriptor_is_unmapped),
	ROW(readable_after_writable),
	ROW(empty_readable_after_writable),
	ROW(chain_without_end),
	ROW(indirect_not_negotiated),
};

static void bad_descriptors_break_the_device(void **state)
{
	(void)state;
	run_rows(common, COUNT(common), false, false);
	run_rows(common, COUNT(common), true, false);
	/* The last row is no fault once it is negotiated. */
	run_rows(common, COUNT(common) - 1, false, true);
	run_rows(common, COUNT(common) - 1, true, true);
}

/* ---- indirect tables ---- */

static void table_of_no_bytes(struct world *w)
{
	put(w, 0, w->table, 0, INDIRECT, 0);
}

static void table_of_odd_length(struct world *w)
{
	put_table(w, 0, w->data, 16, 0, 0);
	put(w, 0, w->table, 17, INDIRECT, 0);
}

static void table_unmapped(struct world *w)
{
	put(w, 0, LOW_END - 8, 16, INDIRECT, 0);
}

static void table_too_long(struct world *w)
{
	for (unsigned i = 0; i < TABLE_ENTRIES; i++)
		put_table(w, i, w->data, 1, i + 1 < TABLE_ENTRIES ? NEXT : 0, (uint16_t)(i + 1));
	put(w, 0, w->table, (VIRTQ_INDIRECT_MAX + 1) * 16, INDIRECT, 0);
}

static void table_of_four_gigabytes(struct world *w)
{
	put(w, 0, w->table, 0xfffffff0, INDIRECT, 0);
}

static void table_in_a_table(struct world *w)
{
	put_table(w, 0, w->table, 16, INDIRECT, 0);
	put(w, 0, w->table, 16, INDIRECT, 0);
}

static void table_with_a_next_descriptor(struct world *w)
{
	put_table(w, 0, w->data, 16, 0, 0);
	put(w, 0, w->table, 16, INDIRECT | NEXT, 1);
	put(w, 1, w->data, 16, WRITE, 0);
}

static void table_entry_unmapped(struct world *w)
{
	put_table(w, 0, w->data, 16, NEXT, 1);
	put_table(w, 1, 8, 16, WRITE, 0);
	put(w, 0, w->table, 32, INDIRECT, 0);
}

static void table_readable_after_writable(struct world *w)
{
	put_table(w, 0, w->data, 16, WRITE | NEXT, 1);
	put_table(w, 1, w->data, 16, 0, 0);
	put(w, 0, w->table, 32, INDIRECT, 0);
}

static const struct row tables[] = {
	ROW(table_of_no_bytes),
	ROW(table_of_odd_length),
	ROW(table_unmapped),
	ROW(table_too_long),
	ROW(table_of_four_gigabytes),
	ROW(table_in_a_table),
	ROW(table_with_a_next_descriptor),
	ROW(table_entry_unmapped),
	ROW(table_readable_after_writable),
};

static void bad_indirect_tables_break_the_device(void **state)
{
	(void)state;
	run_rows(tables, COUNT(tables), false, true);
	run_rows(tables, COUNT(tables), true, true);
}

/* Needs regions large enough for 1024 ranges to pass 32 bits: 4 MiB each. */
static void a_chain_of_4_gib_breaks_the_device(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct fake_guest_options options = { .packed = packed, .indirect = true, .memory_bytes = 16u << 20,
						      .queue_size = 16 };
		struct world w = { .g = fake_guest_create(&options), .packed = packed };
		const uint32_t piece = 4u << 20;

		w.table = fake_guest_alloc(w.g, 1024 * 16, 16);
		assert_int_equal(echo_create(fake_guest_loop(w.g), fake_guest_mem(w.g), &w.e), 0);
		assert_int_equal(fake_guest_start(w.g, &w.e->device), 0);
		for (unsigned i = 0; i < 1024; i++)
			put_table(&w, i, HIGH, piece, (uint16_t)(WRITE | (i + 1 < 1024 ? NEXT : 0)),
				  (uint16_t)(i + 1));
		/* One byte less than 2^32 is fine. */
		put_table(&w, 1023, HIGH, piece - 1, WRITE, 0);
		put(&w, 0, w.table, 1024 * 16, INDIRECT, 0);
		go(&w);
		expect_fine(&w);
		world_destroy(&w);

		w.g = fake_guest_create(&options);
		w.table = fake_guest_alloc(w.g, 1024 * 16, 16);
		assert_int_equal(echo_create(fake_guest_loop(w.g), fake_guest_mem(w.g), &w.e), 0);
		assert_int_equal(fake_guest_start(w.g, &w.e->device), 0);
		for (unsigned i = 0; i < 1024; i++)
			put_table(&w, i, HIGH, piece, (uint16_t)(WRITE | (i + 1 < 1024 ? NEXT : 0)),
				  (uint16_t)(i + 1));
		put(&w, 0, w.table, 1024 * 16, INDIRECT, 0);
		go(&w);
		expect_broken(&w);
		world_destroy(&w);
	}
}

/* ---- split only ---- */

static void head_outside_the_ring(struct world *w)
{
	fake_guest_publish(w->g, 0, 16);
	fake_guest_force_kick(w->g, 0);
}

static void next_outside_the_ring(struct world *w)
{
	put(w, 0, w->data, 16, NEXT, 16);
}

static void descriptor_links_to_itself(struct world *w)
{
	put(w, 0, w->data, 0, NEXT, 0);
}

static void available_index_jumps(struct world *w)
{
	uint16_t idx = 17;

	put(w, 0, w->data, 16, 0, 0);
	memcpy(fake_guest_ring(w->g, 0)->driver + 2, &idx, 2);
	fake_guest_force_kick(w->g, 0);
}

static void available_index_goes_back(struct world *w)
{
	uint16_t idx = 0xffff;

	memcpy(fake_guest_ring(w->g, 0)->driver + 2, &idx, 2);
	fake_guest_force_kick(w->g, 0);
}

static void table_links_to_itself(struct world *w)
{
	put_table(w, 0, w->data, 4, NEXT, 0);
	put(w, 0, w->table, 64, INDIRECT, 0);
}

static void table_links_outside(struct world *w)
{
	put_table(w, 0, w->data, 4, NEXT, 4);
	put(w, 0, w->table, 64, INDIRECT, 0);
}

static const struct row split_rows[] = {
	ROW(head_outside_the_ring),     ROW(next_outside_the_ring),     ROW(descriptor_links_to_itself),
	ROW(available_index_jumps),     ROW(available_index_goes_back), ROW(table_links_to_itself),
	ROW(table_links_outside),
};

static void bad_split_rings_break_the_device(void **state)
{
	(void)state;
	run_rows(split_rows, COUNT(split_rows), false, true);
}

/* ---- packed only ---- */

static void table_in_the_middle_of_a_list(struct world *w)
{
	put_table(w, 0, w->data, 16, 0, 0);
	put(w, 0, w->data, 16, NEXT, 0);
	put(w, 1, w->table, 16, INDIRECT, 0);
}

static const struct row packed_rows[] = {
	ROW(table_in_the_middle_of_a_list),
};

static void bad_packed_rings_break_the_device(void **state)
{
	(void)state;
	run_rows(packed_rows, COUNT(packed_rows), true, true);
}

/* ---- a driver that takes descriptors back while the device still has them ---- */

static struct chain *held[64];
static unsigned held_count;

static void hold(struct echo *e, unsigned queue, struct chain *c)
{
	(void)e;
	(void)queue;
	assert_in_range(held_count, 0, 63);
	held[held_count++] = c;
}

static void requests_beyond_the_ring_break_the_device(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct world w = world_create(packed, false);
		uint8_t out[3];

		w.e->handle = hold;
		held_count = 0;
		for (unsigned lap = 0; lap < 2; lap++) {
			for (unsigned i = 0; i < 16; i++) {
				if (packed) {
					struct vring_packed_desc d = { .addr = w.data, .len = 8, .id = (uint16_t)i };

					d.flags = lap ? 1u << VRING_PACKED_DESC_F_USED : 1u << VRING_PACKED_DESC_F_AVAIL;
					memcpy(fake_guest_ring(w.g, 0)->desc + 16 * i, &d, 16);
				} else {
					put(&w, i, w.data, 8, 0, 0);
					fake_guest_publish(w.g, 0, (uint16_t)i);
				}
			}
			fake_guest_force_kick(w.g, 0);
		}
		assert_int_equal(held_count, 16);
		assert_true(w.e->device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
		/* The device model gives back what it has, to nobody. */
		while (held_count)
			chain_finish(held[--held_count]);
		assert_int_equal(fake_guest_interrupts(w.g, 0), 0);
		w.e->handle = NULL;
		assert_int_equal(fake_guest_start(w.g, &w.e->device), 0);
		assert_int_equal(fake_guest_request(w.g, 0, "abc", 3, out, 3, NULL), 0);
		world_destroy(&w);
	}
}

/* Resets with requests in flight that the device model never gives back: bounded, then refused. */
static void stale_requests_are_bounded(void **state)
{
	struct chain *stale[2000];
	unsigned count = 0;
	struct world w = world_create(false, false);

	(void)state;
	w.e->handle = hold;
	for (unsigned round = 0; round < 1000 && !w.e->device.broken; round++) {
		held_count = 0;
		assert_int_equal(fake_guest_start(w.g, &w.e->device), 0);
		put(&w, 0, w.data, 8, 0, 0);
		for (unsigned i = 0; i < 16; i++)
			fake_guest_publish(w.g, 0, 0);
		fake_guest_force_kick(w.g, 0);
		while (held_count)
			stale[count++] = held[--held_count];
	}
	assert_true(w.e->device.broken);
	assert_in_range(count, 256, 4 * 256);
	while (count)
		chain_finish(stale[--count]);
	assert_int_equal(fake_guest_start(w.g, &w.e->device), 0);
	put(&w, 0, w.data, 8, 0, 0);
	fake_guest_publish(w.g, 0, 0);
	fake_guest_force_kick(w.g, 0);
	assert_int_equal(held_count, 1);
	chain_finish(held[0]);
	world_destroy(&w);
}

/* ---- what looks odd but is allowed ---- */

static void descriptors_of_no_bytes_are_passed_over(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct world w = world_create(packed, false);
		struct reader *r;

		w.e->handle = hold;
		held_count = 0;
		memcpy(fake_guest_ptr(w.g, w.data, 4), "abcd", 4);
		put(&w, 0, 0xdead0000dead0000, 0, NEXT, 1);
		put(&w, 1, w.data, 2, NEXT, 2);
		put(&w, 2, UINT64_MAX, 0, NEXT, 3);
		put(&w, 3, w.data + 2, 2, NEXT, 4);
		put(&w, 4, 0, 0, WRITE, 0);
		go(&w);
		assert_int_equal(held_count, 1);
		r = chain_reader(held[0]);
		assert_int_equal(reader_left(r), 4);
		assert_int_equal(writer_left(chain_writer(held[0])), 0);
		chain_finish(held[0]);
		expect_fine(&w);
		world_destroy(&w);
	}
}

static void a_chain_of_the_whole_ring_is_fine(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct world w = world_create(packed, false);

		for (unsigned i = 0; i < 16; i++)
			put(&w, i, w.data + i, 1, i == 15 ? WRITE : NEXT, (uint16_t)(i + 1));
		go(&w);
		expect_fine(&w);
		world_destroy(&w);
	}
}

/* Longer than the queue, as Linux makes them; the last byte of a region is memory as well. */
static void a_long_table_is_fine(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct world w = world_create(packed, true);
		unsigned n = VIRTQ_INDIRECT_MAX;

		for (unsigned i = 0; i < n; i++)
			put_table(&w, i, LOW_END - 1, 1, i + 1 < n ? NEXT : WRITE, (uint16_t)(i + 1));
		put(&w, 0, w.table, 16 * n, INDIRECT | WRITE, 0);
		go(&w);
		expect_fine(&w);
		world_destroy(&w);
	}
}

/* Split only (section 2.7.5.3.2): descriptors before the one that names the table. */
static void a_table_may_end_a_split_chain(void **state)
{
	struct world w = world_create(false, true);

	(void)state;
	w.e->handle = hold;
	held_count = 0;
	put_table(&w, 3, w.data, 5, NEXT, 1);
	put_table(&w, 1, w.data, 7, WRITE, 0);
	put_table(&w, 0, w.data, 11, NEXT, 3);
	put(&w, 0, w.data, 13, NEXT, 9);
	put(&w, 9, w.table, 64, INDIRECT, 0);
	go(&w);
	assert_int_equal(held_count, 1);
	assert_int_equal(reader_left(chain_reader(held[0])), 13 + 11 + 5);
	assert_int_equal(writer_left(chain_writer(held[0])), 7);
	chain_finish(held[0]);
	expect_fine(&w);
	world_destroy(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_descriptors_break_the_device),
		cmocka_unit_test(bad_indirect_tables_break_the_device),
		cmocka_unit_test(a_chain_of_4_gib_breaks_the_device),
		cmocka_unit_test(bad_split_rings_break_the_device),
		cmocka_unit_test(bad_packed_rings_break_the_device),
		cmocka_unit_test(requests_beyond_the_ring_break_the_device),
		cmocka_unit_test(stale_requests_are_bounded),
		cmocka_unit_test(descriptors_of_no_bytes_are_passed_over),
		cmocka_unit_test(a_chain_of_the_whole_ring_is_fine),
		cmocka_unit_test(a_long_table_is_fine),
		cmocka_unit_test(a_table_may_end_a_split_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
