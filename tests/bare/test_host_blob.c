// SPDX-License-Identifier: MIT
/*
 * Blobs in host memory in the host-visible region: what is written there is seen by the host, holes are harmless, and no
 * order of commands does harm. The runner looks at the picture.
 */
#include <linux/errno.h>

#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/string.h"
#include "tests/bare/check.h"

enum { SIZE = 64, PAGE = 65536, PICTURE = 1, OTHER = 2, SMALL = 3, PLAIN = 4 };
#define MAPPABLE VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE
#define RED 0xffff0000u /* B8G8R8A8: blue in the lowest byte */
#define GREEN 0xff00ff00u
#define BLUE 0xff0000ffu
#define BYTES (SIZE * SIZE * 4u)

static struct gpu g;
static volatile uint32_t *region;
static uint64_t region_bytes;

static volatile uint32_t *at(uint64_t offset)
{
	return region + offset / 4;
}

static unsigned not_zero(uint64_t offset, uint64_t bytes)
{
	unsigned n = 0;

	for (uint64_t i = 0; i < bytes; i += 1024)
		n += *at(offset + i) != 0;
	return n;
}

static void holes(void)
{
	report_check((region_bytes & (region_bytes - 1)) == 0 && region_bytes >= 0x100000, "region_has_a_size: 0x%llx",
		     (unsigned long long)region_bytes);
	report_check(!not_zero(0, 4 * PAGE) && !not_zero(region_bytes / 2, PAGE) &&
			     !not_zero(region_bytes - PAGE, PAGE),
		     "holes_read_as_zeros");
}

/* Three stripes, and what the host shows of them is the runner's to see. */
static void draw(volatile uint32_t *pixels)
{
	for (unsigned i = 0; i < SIZE * SIZE; i++)
		pixels[i] = i < SIZE * 16 ? RED : i < SIZE * 48 ? GREEN : BLUE;
}

static unsigned wrong(const volatile uint32_t *pixels)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SIZE * SIZE; i++)
		n += pixels[i] != (i < SIZE * 16 ? RED : i < SIZE * 48 ? GREEN : BLUE);
	return n;
}

static void show(void)
{
	const struct gpu_rect all = {0, 0, SIZE, SIZE};

	check_gpu(&g, gpu_set_scanout_blob(&g, 0, PICTURE, all, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, SIZE, SIZE, SIZE * 4),
		  "blob_is_shown");
	check_gpu(&g, gpu_flush(&g, PICTURE, all), "blob_is_flushed");
}

static void mapping(void)
{
	check_gpu(&g, gpu_create_host_blob(&g, PICTURE, MAPPABLE, BYTES), "host_blob_is_made");
	check_gpu(&g, gpu_map_blob(&g, PICTURE, 2 * PAGE), "blob_is_mapped");
	report_check(!not_zero(2 * PAGE, BYTES), "a_new_blob_is_zero");
	draw(at(2 * PAGE));
	report_check(!wrong(at(2 * PAGE)), "what_is_written_is_read");
	show();
	check_gpu(&g, gpu_unmap_blob(&g, PICTURE), "blob_is_unmapped");
	report_check(!not_zero(2 * PAGE, BYTES), "where_it_was_is_a_hole");
	check_gpu(&g, gpu_map_blob(&g, PICTURE, region_bytes - PAGE), "blob_is_mapped_at_the_end");
	report_check(!wrong(at(region_bytes - PAGE)), "its_content_is_as_it_was");
	report_check(!not_zero(2 * PAGE, BYTES), "and_not_where_it_was_before");
}

static void hostile_orders(void)
{
	report_check(gpu_map_blob(&g, PICTURE, 0) == -EIO, "mapped_twice_is_refused");
	report_check(gpu_map_blob(&g, 99, 0) == -ENOENT, "no_such_resource_is_refused");
	check_gpu(&g, gpu_create_host_blob(&g, OTHER, MAPPABLE, 2 * PAGE), "another_blob_is_made");
	check_gpu(&g, gpu_create_host_blob(&g, PLAIN, 0, PAGE), "one_that_is_not_to_be_mapped_is_made");
	report_check(gpu_map_blob(&g, OTHER, region_bytes - PAGE) == -EINVAL, "past_the_end_is_refused");
	report_check(gpu_map_blob(&g, OTHER, region_bytes - 2 * PAGE) == -EINVAL, "an_overlap_is_refused");
	report_check(gpu_map_blob(&g, OTHER, region_bytes) == -EINVAL, "the_end_is_refused");
	report_check(gpu_map_blob(&g, OTHER, ~0ull - 0xffff) == -EINVAL, "a_wrap_is_refused");
	report_check(gpu_map_blob(&g, OTHER, 512) == -EINVAL, "half_a_page_is_refused");
	report_check(gpu_map_blob(&g, PLAIN, 0) == -EINVAL, "one_that_is_not_to_be_mapped_is_refused");
	report_check(gpu_unmap_blob(&g, OTHER) == -EIO, "unmapping_nothing_is_refused");
	report_check(gpu_unmap_blob(&g, PLAIN) == -EIO && gpu_unmap_blob(&g, 99) == -ENOENT, "nor_what_never_was");
	report_check(gpu_create_host_blob(&g, SMALL, MAPPABLE, region_bytes * 2) == -ENOMEM, "too_much_is_refused");
	report_check(gpu_create_host_blob(&g, SMALL, MAPPABLE, ~0ull) == -ENOMEM, "far_too_much_is_refused");
	report_check(gpu_create_host_blob(&g, SMALL, MAPPABLE, 0) == -EINVAL, "nothing_is_refused");
	report_check(!wrong(at(region_bytes - PAGE)), "and_the_picture_is_as_it_was");

	/* Side by side, unref while mapped, and another one where it was. */
	check_gpu(&g, gpu_map_blob(&g, OTHER, region_bytes - 3 * PAGE), "side_by_side_is_fine");
	for (unsigned i = 0; i < 2 * PAGE / 4; i += 256)
		*at(region_bytes - 3 * PAGE + i * 4) = 0x5a5a5a5a;
	check_gpu(&g, gpu_unref(&g, OTHER), "a_mapped_blob_goes");
	report_check(!not_zero(region_bytes - 3 * PAGE, 2 * PAGE), "its_mapping_goes_too");
	check_gpu(&g, gpu_create_host_blob(&g, SMALL, MAPPABLE, PAGE), "a_small_blob_is_made");
	check_gpu(&g, gpu_map_blob(&g, SMALL, region_bytes - 2 * PAGE), "it_is_mapped_in_its_place");
	report_check(!not_zero(region_bytes - 2 * PAGE, PAGE), "old_contents_are_not_seen");
}

/* Many small ones, as a desktop has them; an odd stride so that holes are left. */
static void many(void)
{
	unsigned bad = 0;

	for (uint32_t i = 0; i < 64; i++) {
		if (gpu_create_host_blob(&g, 100 + i, MAPPABLE, 4096 + i) ||
		    gpu_map_blob(&g, 100 + i, (4 + 3 * (uint64_t)i) * PAGE))
			bad++;
		else
			*at((4 + 3 * (uint64_t)i) * PAGE) = 0x1000 + i;
	}
	for (uint32_t i = 0; i < 64; i++)
		bad += *at((4 + 3 * (uint64_t)i) * PAGE) != 0x1000 + i;
	for (uint32_t i = 0; i < 64; i += 2)
		bad += gpu_unref(&g, 100 + i) != 0;
	for (uint32_t i = 0; i < 64; i++)
		bad += *at((4 + 3 * (uint64_t)i) * PAGE) != (i % 2 ? 0x1000 + i : 0);
	report_check(!bad, "many_mappings_are_kept_apart: %u are wrong", bad);
}

static void reset(void)
{
	int rc;

	gpu_close(&g);
	report_check(!not_zero(region_bytes - 3 * PAGE, 3 * PAGE) && !not_zero(0, 200 * PAGE), "a_reset_unmaps_all");
	rc = gpu_open(&g, VIRTIO_ANY, 0, VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_BLOB));
	report_check(!rc, "gpu_opens_again: error %d", rc);
	report_check(gpu_map_blob(&g, PICTURE, 0) == -ENOENT, "blobs_are_gone");
	check_gpu(&g, gpu_create_host_blob(&g, PICTURE, MAPPABLE, BYTES), "one_is_made_again");
	check_gpu(&g, gpu_map_blob(&g, PICTURE, 0), "and_mapped");
	report_check(!not_zero(0, BYTES), "in_zeros");
	draw(at(0));
	show();
}

/* Last: what a guest reads of a hole that it wrote to is its own. */
static void writes_to_holes(void)
{
	for (uint64_t i = PAGE; i < region_bytes; i += region_bytes / 64)
		*at(i) = 0xdeadbeef;
	report_check(true, "holes_can_be_written");
	report_check(!wrong(at(0)), "and_the_picture_is_not_touched");
	check_gpu(&g, gpu_flush(&g, PICTURE, (struct gpu_rect){0, 0, SIZE, SIZE}), "the_last_picture_is_flushed");
}

int main(void)
{
	void *memory;
	int rc;

	report_start("host_blob");
	rc = gpu_open(&g, VIRTIO_ANY, 0, VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_BLOB));
	if (!report_check(!rc, "gpu_opens: error %d", rc))
		return report_end();
	rc = gpu_host_visible(&g, &memory, &region_bytes);
	if (!report_check(!rc, "host_visible_region_is_found: error %d", rc))
		return report_end();
	region = memory;
	holes();
	mapping();
	hostile_orders();
	many();
	reset();
	writes_to_holes();
	return report_end();
}
