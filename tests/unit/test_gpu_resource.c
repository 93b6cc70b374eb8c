// SPDX-License-Identifier: MIT
/*
 * The tables behind the device: resources, contexts, formats, and what they count.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "host/gpu/backing.h"
#include "host/gpu/context.h"
#include "host/gpu/format.h"
#include "host/gpu/resource.h"

static struct gpu_resource_table *table(uint32_t resources, uint64_t bytes)
{
	struct gpu_limits limits = gpu_limits_default;
	struct gpu_resource_table *t;

	limits.resources = resources;
	limits.resource_bytes = bytes;
	assert_int_equal(gpu_resource_table_create(&limits, &t), 0);
	return t;
}

static void resources_are_found_until_removed(void **state)
{
	struct gpu_resource_table *t = table(5000, 1u << 30);
	struct gpu_resource *res;

	(void)state;
	/* Ids that share buckets, and the last one. */
	for (uint32_t i = 0; i < 3000; i++) {
		assert_int_equal(gpu_resource_add(t, i * 1024 + 1, 10, &res), 0);
		assert_int_equal(res->id, i * 1024 + 1);
		assert_null(res->backing);
	}
	assert_int_equal(gpu_resource_add(t, UINT32_MAX, 10, &res), 0);
	assert_int_equal(gpu_resource_count(t), 3001);
	assert_int_equal(gpu_resource_bytes(t), 30010);
	assert_int_equal(gpu_resource_add(t, 1025, 10, &res), -EEXIST);
	assert_int_equal(gpu_resource_add(t, 0, 10, &res), -EINVAL);
	assert_null(gpu_resource_find(t, 0));
	assert_null(gpu_resource_find(t, 2));
	gpu_resource_remove(t, gpu_resource_find(t, 1025));
	assert_null(gpu_resource_find(t, 1025));
	assert_non_null(gpu_resource_find(t, 2049));
	while ((res = gpu_resource_first(t)) != NULL)
		gpu_resource_remove(t, res);
	assert_int_equal(gpu_resource_count(t), 0);
	assert_int_equal(gpu_resource_bytes(t), 0);
	gpu_resource_table_destroy(t);
	gpu_resource_table_destroy(NULL);
}

static void limits_hold_without_overflow(void **state)
{
	struct gpu_resource_table *t = table(3, 1000);
	struct gpu_resource *res;

	(void)state;
	assert_int_equal(gpu_resource_add(t, 1, 1001, &res), -ENOSPC);
	assert_int_equal(gpu_resource_add(t, 1, UINT64_MAX, &res), -ENOSPC);
	assert_int_equal(gpu_resource_add(t, 1, 600, &res), 0);
	assert_int_equal(gpu_resource_add(t, 2, UINT64_MAX - 500, &res), -ENOSPC);
	assert_int_equal(gpu_resource_add(t, 2, 401, &res), -ENOSPC);
	assert_int_equal(gpu_resource_charge(t, 300), 0);
	assert_int_equal(gpu_resource_add(t, 2, 101, &res), -ENOSPC);
	assert_int_equal(gpu_resource_add(t, 2, 100, &res), 0);
	/* What is charged stays what was charged, whatever the device makes of size_bytes. */
	res->size_bytes = 5;
	assert_int_equal(gpu_resource_charge(t, 1), -ENOSPC);
	gpu_resource_remove(t, res);
	gpu_resource_uncharge(t, 300);
	assert_int_equal(gpu_resource_bytes(t), 600);
	assert_int_equal(gpu_resource_add(t, 2, 0, &res), 0);
	assert_int_equal(gpu_resource_add(t, 3, 0, &res), 0);
	assert_int_equal(gpu_resource_add(t, 4, 0, &res), -ENOSPC);
	while ((res = gpu_resource_first(t)) != NULL)
		gpu_resource_remove(t, res);
	gpu_resource_table_destroy(t);
}

static void contexts_are_found_until_removed(void **state)
{
	struct gpu_context_table *t;
	struct gpu_context *ctx;

	(void)state;
	assert_int_equal(gpu_context_table_create(200, &t), 0);
	for (uint32_t i = 1; i <= 200; i++)
		assert_int_equal(gpu_context_add(t, i * 64, &ctx), 0);
	assert_int_equal(gpu_context_add(t, 1, &ctx), -ENOSPC);
	assert_int_equal(gpu_context_add(t, 64, &ctx), -EEXIST);
	assert_int_equal(gpu_context_add(t, 0, &ctx), -EINVAL);
	gpu_context_remove(t, gpu_context_find(t, 128));
	assert_null(gpu_context_find(t, 128));
	assert_int_equal(gpu_context_find(t, 192)->id, 192);
	while ((ctx = gpu_context_first(t)) != NULL)
		gpu_context_remove(t, ctx);
	gpu_context_table_destroy(t);
}

static void contexts_know_what_is_attached_to_them(void **state)
{
	struct gpu_context_table *t;
	struct gpu_context *ctx;

	(void)state;
	assert_int_equal(gpu_context_table_create(1, &t), 0);
	assert_int_equal(gpu_context_add(t, 1, &ctx), 0);
	assert_false(gpu_context_has(ctx, 0));
	assert_false(gpu_context_detach(ctx, 7));
	/* In an order of their own, and each twice. */
	for (uint32_t i = 0; i < 400; i++)
		assert_int_equal(gpu_context_attach(ctx, i * 77 % 200 + 1), 0);
	assert_int_equal(gpu_context_attach(ctx, UINT32_MAX), 0);
	for (uint32_t id = 1; id <= 200; id += 3)
		assert_true(gpu_context_detach(ctx, id));
	for (uint32_t id = 0; id <= 201; id++)
		assert_int_equal(gpu_context_has(ctx, id), id >= 1 && id <= 200 && id % 3 != 1);
	assert_true(gpu_context_has(ctx, UINT32_MAX));
	assert_false(gpu_context_detach(ctx, 1));
	gpu_context_remove(t, ctx);
	gpu_context_table_destroy(t);
}

static void formats_convert_to_argb(void **state)
{
	/* Memory bytes 10 20 30 40, by each format's name. */
	static const struct {
		uint32_t number, argb;
	} expected[] = {
		{1, 0x40302010}, {2, 0xff302010}, {3, 0x10203040}, {4, 0xff203040},
		{67, 0x40102030}, {68, 0xff403020}, {121, 0x10403020}, {134, 0xff102030},
	};
	const uint8_t bytes[16] = {0x10, 0x20, 0x30, 0x40, 0x10, 0x20, 0x30, 0x40, 0, 0, 0, 0, 0x10, 0x20, 0x30, 0x40};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		const struct gpu_format *f = gpu_format_find(expected[i].number);
		uint32_t out[4] = {1, 2, 3, 4};

		assert_non_null(f);
		assert_ptr_equal(gpu_format_at(i), f);
		assert_int_equal(gpu_format_convert(f, bytes, 8, out, 8, 1, 2), 0);
		assert_int_equal(out[0], expected[i].argb);
		assert_int_equal(out[1], 2);
		assert_int_equal(out[2], f->has_alpha ? 0 : 0xff000000);
		assert_int_equal(out[3], 4);
		assert_int_equal(gpu_format_convert(f, bytes, 6, out, 8, 1, 2), -EINVAL);
		assert_int_equal(gpu_format_convert(f, bytes, 8, out, 8, 40000, 1), -EINVAL);
		assert_int_equal(gpu_format_convert(f, bytes, 8, out, 8, 0, 2), 0);
	}
	assert_null(gpu_format_at(8));
	assert_null(gpu_format_find(5));
}

static void wide_formats_count_in_full(void **state)
{
	(void)state;
	assert_int_equal(gpu_format_3d_pixel_bytes(1), 4);
	assert_int_equal(gpu_format_3d_pixel_bytes(94), 8);   /* R16G16B16A16_FLOAT */
	assert_int_equal(gpu_format_3d_pixel_bytes(31), 16);  /* R32G32B32A32_FLOAT */
	assert_int_equal(gpu_format_3d_pixel_bytes(200), 16); /* R32G32B32A32_SINT */
}

static void a_backing_is_read_across_its_pieces(void **state)
{
	char a[] = "abc", b[] = "defgh", c[] = "i";
	struct iovec v[] = {{a, 3}, {b, 5}, {c, 1}};
	struct gpu_resource res = {.backing = v, .backing_count = 3, .backing_bytes = 9};
	char out[16];

	(void)state;
	for (size_t from = 0; from <= 9; from++) {
		for (size_t n = 0; from + n <= 9; n++) {
			memset(out, '.', sizeof(out));
			assert_int_equal(gpu_backing_read(&res, from, out, n), 0);
			assert_memory_equal(out, &"abcdefghi"[from], n);
			assert_int_equal(out[n], '.');
		}
		assert_int_equal(gpu_backing_read(&res, from, out, 10 - from), -EINVAL);
	}
	assert_int_equal(gpu_backing_read(&res, UINT64_MAX, out, 1), -EINVAL);
	assert_int_equal(gpu_backing_read(&res, UINT64_MAX, out, 2), -EINVAL);
}

static void rows_are_read_by_their_stride(void **state)
{
	char a[] = "abc", b[] = "defgh", c[] = "ijkl";
	struct iovec v[] = {{a, 3}, {b, 5}, {c, 4}};
	struct gpu_resource res = {.backing = v, .backing_count = 3, .backing_bytes = 12};
	struct gpu_backing_cursor cursor;
	char out[] = "............";

	(void)state;
	assert_int_equal(gpu_backing_read_rows(&res, 1, 5, 2, 3, out, 3), -EINVAL);
	assert_int_equal(gpu_backing_read_rows(&res, 0, 5, 2, 3, out, 3), 0);
	assert_string_equal(out, "ab.fg.kl....");
	assert_int_equal(gpu_backing_read_rows(&res, 2, 3, 3, 3, out, 3), 0);
	assert_string_equal(out, "cdefghijk...");
	assert_int_equal(gpu_backing_read_rows(&res, 99, 3, 3, 0, out, 3), 0);
	assert_int_equal(gpu_backing_read_rows(&res, 0, UINT64_MAX / 2, 1, 3, out, 1), -EINVAL);
	assert_int_equal(gpu_backing_seek(&cursor, &res, 4, 4), 0);
	assert_ptr_equal(gpu_backing_whole(&cursor), b + 1);
	assert_int_equal(gpu_backing_seek(&cursor, &res, 4, 5), 0);
	assert_null(gpu_backing_whole(&cursor));
	/* The very end holds nothing. */
	assert_int_equal(gpu_backing_seek(&cursor, &res, 12, 0), 0);
	assert_null(gpu_backing_whole(&cursor));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resources_are_found_until_removed),
		cmocka_unit_test(limits_hold_without_overflow),
		cmocka_unit_test(contexts_are_found_until_removed),
		cmocka_unit_test(contexts_know_what_is_attached_to_them),
		cmocka_unit_test(formats_convert_to_argb),
		cmocka_unit_test(wide_formats_count_in_full),
		cmocka_unit_test(a_backing_is_read_across_its_pieces),
		cmocka_unit_test(rows_are_read_by_their_stride),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
