// SPDX-License-Identifier: MIT
/*
 * A GPU whose process is killed again and again while this guest writes to blobs of host memory, maps and unmaps them
 * (tests/bare/blob_recovery does that): what was written stays, and what is mapped stays where it is. A request that was
 * being executed fails: a map that fails did not happen, an unmap that fails did. Options: rounds=
 */
#include <linux/errno.h>

#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/report.h"
#include "tests/bare/check.h"

enum { SIZE = 64, PAGE = 65536, PICTURE = 1, MOVING = 2, PASSING = 3 };
#define MAPPABLE VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE
#define ORANGE 0xffff8000u /* B8G8R8A8: blue in the lowest byte */
#define BYTES (SIZE * SIZE * 4u)
#define WORDS 64u /* that are looked at */

static struct gpu g;
static volatile uint32_t *region;
static uint64_t region_bytes;
static unsigned refused, unanswered, wrong, moves;

static bool good(int rc)
{
	if (rc == -ETIMEDOUT || rc == -ENODEV)
		unanswered++;
	else if (rc)
		refused++;
	return !rc;
}

/* Until it works: what was made by a request that failed is not known. */
static bool make(uint32_t id, uint64_t bytes)
{
	for (unsigned i = 0; i < 100 && !unanswered; i++) {
		if (good(gpu_create_host_blob(&g, id, MAPPABLE, bytes)))
			return true;
		good(gpu_unref(&g, id));
	}
	return false;
}

static bool map(uint32_t id, uint64_t offset)
{
	for (unsigned i = 0; i < 100 && !unanswered; i++) {
		if (good(gpu_map_blob(&g, id, offset)))
			return true;
	}
	return false;
}

static void put(uint64_t offset, uint32_t seed)
{
	for (unsigned i = 0; i < WORDS; i++)
		region[offset / 4 + i * 64] = seed * 2654435761u + i;
}

static void expect(uint64_t offset, uint32_t seed)
{
	for (unsigned i = 0; i < WORDS; i++)
		wrong += region[offset / 4 + i * 64] != seed * 2654435761u + i;
}

static void expect_hole(uint64_t offset)
{
	for (unsigned i = 0; i < WORDS; i++)
		wrong += region[offset / 4 + i * 64] != 0;
}

static void show(void)
{
	const struct gpu_rect all = {0, 0, SIZE, SIZE};

	good(gpu_set_scanout_blob(&g, 0, PICTURE, all, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, SIZE, SIZE, SIZE * 4));
	good(gpu_flush(&g, PICTURE, all));
}

int main(void)
{
	unsigned rounds = (unsigned)boot_option_number("rounds", 100);
	uint64_t moving = 4 * PAGE, places;
	void *memory;
	int rc;

	report_start("blob_recovery");
	rc = gpu_open(&g, VIRTIO_ANY, 0, VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_BLOB));
	if (!report_check(!rc, "gpu_opens: error %d", rc))
		return report_end();
	rc = gpu_host_visible(&g, &memory, &region_bytes);
	if (!report_check(!rc, "host_visible_region_is_found: error %d", rc))
		return report_end();
	region = memory;
	places = region_bytes / PAGE - 8;
	rc = make(PICTURE, BYTES) && map(PICTURE, 0) && make(MOVING, PAGE) && map(MOVING, moving);
	if (!report_check(rc, "blobs_are_made")) /* the runner begins to kill now */
		return report_end();
	for (unsigned round = 1; round <= rounds && !unanswered; round++) {
		uint64_t next = (4 + round * 7919ull % places) * PAGE;

		put(moving, round);
		put(0, ~round);
		show();
		expect(moving, round);
		if (next != moving) {
			good(gpu_unmap_blob(&g, MOVING));
			expect_hole(moving);
			if (!map(MOVING, next))
				break;
			moving = next;
			moves++;
		}
		/* One that is made, mapped and thrown away; some are of a request that failed. */
		if (good(gpu_create_host_blob(&g, PASSING, MAPPABLE, PAGE)) &&
		    good(gpu_map_blob(&g, PASSING, region_bytes - PAGE)))
			put(region_bytes - PAGE, round);
		good(gpu_unref(&g, PASSING));
		expect(moving, round);
		expect(0, ~round);
	}
	report_check(!unanswered, "all_requests_are_answered: %u are not", unanswered);
	report_check(!wrong, "what_was_written_is_there: %u words are wrong", wrong);
	report_check(moves + 1 >= rounds, "the_blob_moved_each_time: %u of %u", moves, rounds);
	for (unsigned i = 0; i < SIZE * SIZE; i++)
		region[i] = ORANGE;
	for (unsigned i = 0; i < 3; i++)
		show();
	printf("# %u answers, %u refused, %u moves\n", g.answers, refused, moves);
	return report_end();
}
