// SPDX-License-Identifier: MIT
/*
 * 2D: resources with scattered backing, partial transfers, scanout, cursor, EDID. The runner looks at the picture:
 * four quadrants red, green, blue and white, and a yellow square in the middle that came by a second transfer.
 * Options: width=, height= (of the display).
 */
#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/gpu.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/string.h"
#include "tests/bare/check.h"

enum { PICTURE = 1, CURSOR = 2, BLOB = 3 };
enum { CURSOR_SIZE = 64 };
#define RED 0xff0000u /* B8G8R8X8: blue in the lowest byte */
#define GREEN 0x00ff00u
#define BLUE 0x0000ffu
#define WHITE 0xffffffu
#define YELLOW 0xffff00u

static struct gpu g;
static uint32_t width, height;

static void fill(uint32_t *to, uint32_t n, uint32_t v)
{
	for (uint32_t i = 0; i < n; i++)
		to[i] = v;
}

static void displays(void)
{
	struct virtio_gpu_resp_display_info info = {.hdr.type = 0};
	struct virtio_gpu_resp_edid edid = {.size = 0};
	static const uint8_t magic[8] = {0, 255, 255, 255, 255, 255, 255, 0};
	uint8_t sum = 0;
	int rc;

	report_check(!gpu_display_info(&g, &info) && info.pmodes[0].enabled && info.pmodes[0].r.width == width &&
			     info.pmodes[0].r.height == height,
		     "display_0_is %ux%u, says %ux%u", width, height, info.pmodes[0].r.width, info.pmodes[0].r.height);
	report_check(g.scanouts == 1 && !info.pmodes[1].enabled, "there_is_one_scanout");
	rc = gpu_edid(&g, 0, &edid);
	report_check(!rc && edid.size >= 128 && edid.size % 128 == 0, "edid_comes: error %d, %u bytes", rc, edid.size);
	for (unsigned i = 0; i < 128; i++)
		sum = (uint8_t)(sum + edid.edid[i]);
	report_check(!memcmp(edid.edid, magic, 8) && sum == 0, "edid_is_whole");
	report_check((edid.edid[54 + 2] | (edid.edid[54 + 4] & 0xf0) << 4) == (int)width &&
			     (edid.edid[54 + 5] | (edid.edid[54 + 7] & 0xf0) << 4) == (int)height,
		     "edid_prefers_the_display_size");
	report_check(gpu_edid(&g, 15, &edid) == -6, "edid_of_no_scanout_is_an_error: 0x%x", g.answer); /* -ENXIO */
}

/* Rows of the picture lie in pages of odd order, each entry of its own length. */
static bool picture(void)
{
	uint32_t row = width * 4, n = height / 8, stripe = row * 8, rc_entries = 0;
	uint8_t *memory = alloc(row * height, PAGE_BYTES);
	struct virtio_gpu_mem_entry *e = alloc_zeroed((n + 1) * sizeof(*e), 0);
	uint8_t *at = memory;
	int rc;

	if (!report_check(memory && e, "picture_has_memory"))
		return false;
	/* Stripe 0 is last in memory, stripe 1 the one before it, and so on. */
	for (uint32_t i = 0; i < n; i++, rc_entries++) {
		at = memory + (n - 1 - i) * stripe;
		e[i].addr = dma_address(at);
		e[i].length = stripe;
		for (uint32_t y = 0; y < 8; y++) {
			uint32_t *p = (uint32_t *)(void *)(at + y * row);
			bool lower = i * 8 + y >= height / 2;

			fill(p, width / 2, lower ? BLUE : RED);
			fill(p + width / 2, width - width / 2, lower ? WHITE : GREEN);
		}
	}
	rc = gpu_create_2d(&g, PICTURE, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, width, height);
	check_gpu(&g, rc, "create_2d");
	rc = gpu_attach_pages(&g, PICTURE, e, n);
	report_check(!rc, "attach_%u_pieces: 0x%x", n, g.answer);
	rc = gpu_transfer_to_host_2d(&g, PICTURE, (struct gpu_rect){0, 0, width, height}, 0);
	check_gpu(&g, rc, "transfer_whole");

	/* The middle, 32x32, from another place in the backing: 16 rows of the first stripe on. */
	for (uint32_t y = 0; y < 32; y++) {
		uint32_t line = height / 2 - 16 + y;
		uint8_t *p = memory + (n - 1 - line / 8) * stripe + line % 8 * row;

		fill((uint32_t *)(void *)p + width / 2 - 16, 32, YELLOW);
	}
	rc = gpu_transfer_to_host_2d(&g, PICTURE, (struct gpu_rect){width / 2 - 16, height / 2 - 16, 32, 32},
				     (uint64_t)(height / 2 - 16) * row + (width / 2 - 16) * 4);
	check_gpu(&g, rc, "transfer_part");
	rc = gpu_set_scanout(&g, 0, PICTURE, (struct gpu_rect){0, 0, width, height});
	check_gpu(&g, rc, "set_scanout");
	rc = gpu_flush(&g, PICTURE, (struct gpu_rect){0, 0, width, height});
	check_gpu(&g, rc, "flush");
	rc = gpu_detach_backing(&g, PICTURE);
	check_gpu(&g, rc, "detach");
	/* Detached memory is the guest's again: what it holds now must not show. */
	memset(memory, 0, row * height);
	rc = gpu_flush(&g, PICTURE, (struct gpu_rect){0, 0, width, height});
	check_gpu(&g, rc, "flush_after_detach");
	alloc_free(e);
	alloc_free(memory);
	return true;
}

static void cursor(void)
{
	uint32_t *image = alloc(CURSOR_SIZE * CURSOR_SIZE * 4, PAGE_BYTES);
	struct gpu_rect all = {0, 0, CURSOR_SIZE, CURSOR_SIZE};

	if (!report_check(image != NULL, "cursor_has_memory"))
		return;
	fill(image, CURSOR_SIZE * CURSOR_SIZE, 0xff00ffffu);
	check_gpu(&g,
		  gpu_create_2d(&g, CURSOR, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, CURSOR_SIZE, CURSOR_SIZE) ||
			  gpu_attach_backing(&g, CURSOR, image, CURSOR_SIZE * CURSOR_SIZE * 4) ||
			  gpu_transfer_to_host_2d(&g, CURSOR, all, 0),
		  "cursor_image");
	report_check(!gpu_cursor_update(&g, 0, 8, 8, CURSOR, 1, 1), "cursor_shows");
	report_check(!gpu_cursor_move(&g, 0, 20, 20), "cursor_moves");
	report_check(!gpu_cursor_update(&g, 0, 0, 0, 0, 0, 0), "cursor_hides");
	check_gpu(&g, gpu_unref(&g, CURSOR), "cursor_image_goes");
	alloc_free(image);
}

static void formats(void)
{
	static const uint32_t all[] = {VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
				       VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM,
				       VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM,
				       VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		report_check(!gpu_create_2d(&g, 10 + i, all[i], 16, 16) && !gpu_unref(&g, 10 + i), "format_%u: 0x%x",
			     all[i], g.answer);
}

/* Guest memory shown as it is: no transfer. */
static void blob(void)
{
	uint32_t bytes = width * height * 4;
	uint32_t *memory = alloc(bytes, PAGE_BYTES);
	struct gpu_rect all = {0, 0, width, height};

	if (!report_check(memory != NULL, "blob_has_memory"))
		return;
	fill(memory, width * height, RED);
	check_gpu(&g, gpu_create_blob(&g, BLOB, VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE, memory, bytes), "blob_is_created");
	check_gpu(&g,
		  gpu_set_scanout_blob(&g, 0, BLOB, all, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, width, height, width * 4),
		  "blob_is_shown");
	check_gpu(&g, gpu_flush(&g, BLOB, all), "blob_is_flushed");
	report_check(gpu_set_scanout_blob(&g, 0, BLOB, all, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, width, height + 1,
					  width * 4) == -22, /* -EINVAL */
		     "blob_too_small_for_the_picture_is_an_error");
	check_gpu(&g, gpu_unref(&g, BLOB), "blob_goes");
	alloc_free(memory);
}

static void uuids(void)
{
	uint8_t a[16] = {0}, b[16] = {0};

	check_gpu(&g,
		  gpu_create_2d(&g, 20, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 16, 16) ||
			  gpu_create_2d(&g, 21, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 16, 16),
		  "resources_for_uuids");
	check_gpu(&g, gpu_assign_uuid(&g, 20, a), "uuid_is_assigned");
	check_gpu(&g, gpu_assign_uuid(&g, 21, b), "another_uuid_is_assigned");
	report_check(memcmp(a, b, 16) != 0, "uuids_differ");
	gpu_unref(&g, 20);
	gpu_unref(&g, 21);
}

int main(void)
{
	int rc;

	report_start("2d");
	width = (uint32_t)boot_option_number("width", 320);
	height = (uint32_t)boot_option_number("height", 200);
	rc = gpu_open(&g, VIRTIO_ANY, 0,
		      VIRTIO_BIT(VIRTIO_GPU_F_EDID) | VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_BLOB) |
			      VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_UUID));
	if (report_check(!rc, "gpu_opens: error %d", rc)) {
		displays();
		formats();
		cursor();
		if (virtio_has(&g.dev, VIRTIO_GPU_F_RESOURCE_BLOB))
			blob();
		else
			report_skip("blobs: the device does not offer them");
		if (virtio_has(&g.dev, VIRTIO_GPU_F_RESOURCE_UUID))
			uuids();
		else
			report_skip("UUIDs: the device does not offer them");
		picture();
		gpu_close(&g);
	}
	return report_end();
}
