// SPDX-License-Identifier: MIT
/*
 * What is drawn is what is shown: 2D resources, guest blobs, scanouts and cursors, pixel by pixel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host/gpu/format.h"
#include "host/gpu/scanout.h"
#include "tests/lib/gpu_world.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define BGRX VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define RGB 0xffffffu

/* A picture with a different colour at each place. */
static uint32_t colour(uint32_t x, uint32_t y)
{
	return ((x * 37 + y * 5) & 0xff) << 16 | ((y * 29 + x) & 0xff) << 8 | ((x ^ y) * 3 & 0xff);
}

static void fill(uint32_t *pixels, uint32_t width, uint32_t height, uint32_t seed)
{
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++)
			pixels[y * width + x] = colour(x + seed, y);
	}
}

/* The pixel @rgb as its format puts it into memory: the name lists the components byte by byte. */
static void encode(const struct gpu_format *format, uint32_t rgb, uint8_t alpha, uint8_t out[4])
{
	for (unsigned i = 0; i < 4; i++) {
		switch (format->name[i * 2]) {
		case 'R':
			out[i] = (uint8_t)(rgb >> 16);
			break;
		case 'G':
			out[i] = (uint8_t)(rgb >> 8);
			break;
		case 'B':
			out[i] = (uint8_t)rgb;
			break;
		default:
			out[i] = alpha;
			break;
		}
	}
}

static void every_format_is_shown_as_drawn(void **state)
{
	const uint32_t width = 33, height = 7;
	const struct gpu_format *format;
	unsigned count = 0;

	(void)state;
	for (unsigned i = 0; (format = gpu_format_at(i)) != NULL; i++, count++) {
		struct gpu_world *w = gpu_world_create(NULL);
		const struct shown *s = &w->display->shown[0];
		uint8_t *bytes;

		assert_int_equal(gpu_create_2d(w, 5, format->number, width, height), OK);
		bytes = (uint8_t *)gpu_back(w, 5, (size_t)width * height * 4, NULL);
		for (uint32_t p = 0; p < width * height; p++)
			encode(format, colour(p % width, p / width), (uint8_t)p, bytes + (size_t)p * 4);
		assert_int_equal(gpu_transfer(w, 5, gpu_rect(0, 0, width, height), 0), OK);
		assert_int_equal(gpu_scan(w, 0, 5, gpu_rect(0, 0, width, height)), OK);
		assert_int_equal(gpu_flush(w, 5, gpu_rect(0, 0, width, height)), OK);
		assert_int_equal(s->frames, 1);
		assert_int_equal(s->width, width);
		assert_int_equal(s->height, height);
		for (uint32_t p = 0; p < width * height; p++)
			assert_int_equal(s->pixels[p] & RGB, colour(p % width, p / width));
		gpu_world_destroy(w);
	}
	assert_int_equal(count, 8);
}

/* Resource 1 of the given size with a backing, on scanout 0; returns the backing. */
static uint32_t *screen(struct gpu_world *w, uint32_t width, uint32_t height)
{
	uint32_t *pixels;

	assert_int_equal(gpu_create_2d(w, 1, BGRX, width, height), OK);
	pixels = gpu_back(w, 1, (size_t)width * height * 4, NULL);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, width, height)), OK);
	return pixels;
}

static void a_transfer_moves_its_rectangle_and_nothing_else(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	const struct shown *s = &w->display->shown[0];
	const uint32_t width = 40, height = 30;
	uint32_t *pixels = screen(w, width, height);

	(void)state;
	fill(pixels, width, height, 0);
	/* The rows of the rectangle lie in the backing as the whole picture does, from its first pixel on. */
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(11, 7, 9, 5), (7 * width + 11) * 4), OK);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, width, height)), OK);
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			bool inside = x >= 11 && x < 20 && y >= 7 && y < 12;

			assert_int_equal(s->pixels[y * width + x] & RGB, inside ? colour(x, y) : 0);
		}
	}
	/* From another place of the backing: the offset counts, not the rectangle. */
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, 3, 2), (4 * width + 5) * 4), OK);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, width, height)), OK);
	assert_int_equal(s->pixels[0] & RGB, colour(5, 4));
	assert_int_equal(s->pixels[width + 2] & RGB, colour(7, 5));
	/* Nothing to move is no error. */
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(40, 30, 0, 0), 0), OK);
	gpu_world_destroy(w);
}

/* @bytes of guest memory in @count pieces of odd lengths that don't touch each other, in falling order. */
static void scatter(struct gpu_world *w, size_t bytes, struct virtio_gpu_mem_entry *entries, uint32_t count)
{
	size_t left = bytes;

	for (uint32_t i = 0; i < count; i++) {
		size_t length = i + 1 == count ? left : left / (count - i) / 2 * 2 + 1;

		entries[i] = (struct virtio_gpu_mem_entry){.addr = fake_guest_alloc(w->guest, length + 7, 4), .length = (uint32_t)length};
		left -= length;
	}
}

static void put_scattered(struct gpu_world *w, const struct virtio_gpu_mem_entry *entries, size_t offset, const void *src,
			  size_t n)
{
	const uint8_t *from = src;

	for (; n > 0; entries++) {
		size_t chunk;

		if (offset >= entries->length) {
			offset -= entries->length;
			continue;
		}
		chunk = entries->length - offset < n ? entries->length - offset : n;
		memcpy(fake_guest_ptr(w->guest, entries->addr + offset, chunk), from, chunk);
		from += chunk;
		n -= chunk;
		offset = 0;
	}
}

static void a_backing_may_lie_anywhere(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	const struct shown *s = &w->display->shown[0];
	const uint32_t width = 50, height = 20;
	struct virtio_gpu_mem_entry entries[17];
	uint32_t picture[50 * 20];

	(void)state;
	assert_int_equal(gpu_create_2d(w, 1, BGRX, width, height), OK);
	scatter(w, sizeof(picture), entries, 17);
	/* One of them above 4 GiB. */
	entries[3].addr = fake_guest_alloc_high(w->guest, entries[3].length, 4);
	assert_int_equal(gpu_attach(w, 1, entries, 17), OK);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, width, height)), OK);
	fill(picture, width, height, 9);
	put_scattered(w, entries, 0, picture, sizeof(picture));
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, width, height), 0), OK);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, width, height)), OK);
	for (uint32_t p = 0; p < width * height; p++)
		assert_int_equal(s->pixels[p] & RGB, picture[p]);
	gpu_world_destroy(w);
}

static void a_scanout_shows_its_part_of_the_resource(void **state)
{
	struct gpu_world *w = gpu_world_create(&(struct gpu_world_options){.scanouts = 3});
	const uint32_t width = 60, height = 40;
	uint32_t *pixels;

	(void)state;
	assert_int_equal(gpu_create_2d(w, 1, BGRX, width, height), OK);
	pixels = gpu_back(w, 1, (size_t)width * height * 4, NULL);
	fill(pixels, width, height, 0);
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, width, height), 0), OK);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, 30, 40)), OK);
	assert_int_equal(gpu_scan(w, 2, 1, gpu_rect(20, 10, 40, 30)), OK);
	/* Left of scanout 2: only 0 shows it. */
	assert_int_equal(gpu_flush(w, 1, gpu_rect(2, 3, 5, 6)), OK);
	assert_int_equal(w->display->shown[0].frames, 1);
	assert_int_equal(w->display->shown[2].frames, 0);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(25, 12, 10, 4)), OK);
	assert_int_equal(w->display->shown[0].frames, 2);
	assert_int_equal(w->display->shown[1].frames, 0);
	assert_int_equal(w->display->shown[2].frames, 1);
	/* The first frame is whole, whatever was flushed; the next ones say what changed. */
	assert_int_equal(w->display->shown[2].damage.width, 40);
	assert_int_equal(w->display->shown[2].damage.height, 30);
	assert_memory_equal(&w->display->shown[0].damage, (&(struct display_rect){25, 12, 5, 4}), sizeof(struct display_rect));
	for (unsigned i = 0; i < 3; i += 2) {
		const struct shown *s = &w->display->shown[i];
		const uint32_t left = i == 2 ? 20 : 0, top = i == 2 ? 10 : 0;

		for (uint32_t p = 0; p < s->width * s->height; p++)
			assert_int_equal(s->pixels[p] & RGB, colour(p % s->width + left, p / s->width + top));
	}
	assert_int_equal(gpu_flush(w, 1, gpu_rect(25, 12, 10, 4)), OK);
	assert_memory_equal(&w->display->shown[2].damage, (&(struct display_rect){5, 2, 10, 4}), sizeof(struct display_rect));
	gpu_world_destroy(w);
}

/* A page flip: the other resource's flush says little, but all of it is shown. */
static void a_page_flip_shows_the_whole_new_picture(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	const struct shown *s = &w->display->shown[0];
	const uint32_t width = 16, height = 16;

	(void)state;
	for (uint32_t id = 1; id <= 2; id++) {
		uint32_t *pixels;

		assert_int_equal(gpu_create_2d(w, id, BGRX, width, height), OK);
		pixels = gpu_back(w, id, (size_t)width * height * 4, NULL);
		fill(pixels, width, height, id * 100);
		assert_int_equal(gpu_transfer(w, id, gpu_rect(0, 0, width, height), 0), OK);
	}
	for (uint32_t i = 0; i < 6; i++) {
		uint32_t id = i % 2 + 1;

		assert_int_equal(gpu_scan(w, 0, id, gpu_rect(0, 0, width, height)), OK);
		assert_int_equal(gpu_flush(w, id, gpu_rect(1, 1, 1, 1)), OK);
		assert_int_equal(s->frames, i + 1);
		assert_int_equal(s->damage.width, width);
		for (uint32_t p = 0; p < width * height; p++)
			assert_int_equal(s->pixels[p] & RGB, colour(p % width + id * 100, p / width));
	}
	/* A resource that is not shown changes nothing. */
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, width, height)), OK);
	assert_int_equal(s->frames, 6);
	gpu_world_destroy(w);
}

static void a_scanout_goes_blank(void **state)
{
	struct gpu_world *w = gpu_world_create(&(struct gpu_world_options){.scanouts = 2});

	(void)state;
	screen(w, 20, 20);
	assert_int_equal(gpu_scan(w, 1, 1, gpu_rect(0, 0, 20, 20)), OK);
	assert_int_equal(gpu_scan(w, 0, 0, gpu_rect(0, 0, 0, 0)), OK);
	assert_int_equal(w->display->shown[0].blanks, 1);
	assert_int_equal(w->display->shown[1].blanks, 0);
	/* Off already. */
	assert_int_equal(gpu_scan(w, 0, 0, gpu_rect(0, 0, 0, 0)), OK);
	assert_int_equal(w->display->shown[0].blanks, 1);
	/* The resource goes: so does the picture. */
	assert_int_equal(gpu_unref(w, 1), OK);
	assert_int_equal(w->display->shown[1].blanks, 1);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 20, 20)), VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	assert_int_equal(w->display->shown[1].frames, 0);
	gpu_world_destroy(w);
}

static void a_display_that_fails_is_not_the_guests_fault(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);

	(void)state;
	screen(w, 20, 20);
	w->display->fail = -EIO;
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 20, 20)), OK);
	w->display->fail = 0;
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 20, 20)), OK);
	assert_int_equal(w->display->shown[0].frames, 1);
	gpu_world_destroy(w);
}

static void detached_pages_are_not_read(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	const struct shown *s = &w->display->shown[0];
	uint32_t *pixels = screen(w, 10, 10);

	(void)state;
	fill(pixels, 10, 10, 3);
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, 10, 10), 0), OK);
	assert_int_equal(gpu_detach(w, 1), OK);
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, 10, 10), 0), VIRTIO_GPU_RESP_ERR_UNSPEC);
	fill(pixels, 10, 10, 77);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 10, 10)), OK);
	assert_int_equal(s->pixels[57] & RGB, colour(7 + 3, 5));
	/* And attached again, elsewhere. */
	pixels = gpu_back(w, 1, 400, NULL);
	fill(pixels, 10, 10, 50);
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, 10, 10), 0), OK);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 10, 10)), OK);
	assert_int_equal(s->pixels[57] & RGB, colour(7 + 50, 5));
	gpu_world_destroy(w);
}

/* ---- blobs ---- */

static uint32_t scan_blob(struct gpu_world *w, uint32_t id, struct virtio_gpu_rect r, uint32_t width, uint32_t height,
			  uint32_t format, uint32_t stride, uint32_t offset)
{
	struct virtio_gpu_set_scanout_blob c = {
		.r = r, .resource_id = id, .width = width, .height = height, .format = format, .strides = {stride}, .offsets = {offset},
	};

	return gpu_command(w, VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, &c, sizeof(c));
}

static void a_guest_blob_is_shown_where_it_lies(void **state)
{
	const uint32_t width = 37, height = 23, stride = 37 * 4 + 20, offset = 64;
	const size_t size = offset + stride * height;

	(void)state;
	/* In one piece, in many, and in so many that rows are split; all formats in turn. */
	for (uint32_t pieces = 1; pieces <= 41; pieces += 5) {
		const struct gpu_format *format = gpu_format_at(pieces / 5 % 8);
		struct gpu_world *w = gpu_world_create(NULL);
		const struct shown *s = &w->display->shown[0];
		struct virtio_gpu_mem_entry entries[41];

		scatter(w, size, entries, pieces);
		assert_int_equal(gpu_create_blob(w, 9, size, entries, pieces), OK);
		for (uint32_t y = 0; y < height; y++) {
			for (uint32_t x = 0; x < width; x++) {
				uint8_t pixel[4];

				encode(format, colour(x, y), 0x55, pixel);
				put_scattered(w, entries, offset + y * stride + x * 4, pixel, 4);
			}
		}
		assert_int_equal(scan_blob(w, 9, gpu_rect(5, 3, 30, 20), width, height, format->number, stride, offset), OK);
		assert_int_equal(gpu_flush(w, 9, gpu_rect(0, 0, width, height)), OK);
		assert_int_equal(s->width, 30);
		for (uint32_t p = 0; p < 30 * 20; p++)
			assert_int_equal(s->pixels[p] & RGB, colour(p % 30 + 5, p / 30 + 3));
		/* No transfer is needed: the next flush shows what the guest has written since, where it says so. */
		for (uint32_t y = 0; y < height; y++) {
			const uint8_t white[4] = {0xff, 0xff, 0xff, 0xff};

			put_scattered(w, entries, offset + y * stride + 10 * 4, white, 4);
		}
		assert_int_equal(gpu_flush(w, 9, gpu_rect(10, 5, 1, 4)), OK);
		for (uint32_t y = 0; y < 20; y++)
			assert_int_equal(s->pixels[y * 30 + 5] & RGB, y >= 2 && y < 6 ? RGB : colour(10, y + 3));
		gpu_world_destroy(w);
	}
}

/* Larger than a band, so that several are read. */
static void a_large_scattered_blob_is_whole(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	const uint32_t width = 640, height = 480;
	const size_t size = (size_t)width * height * 4;
	struct virtio_gpu_mem_entry entries[300];
	uint32_t *picture = malloc(size);

	(void)state;
	assert_non_null(picture);
	fill(picture, width, height, 0);
	scatter(w, size, entries, 300);
	put_scattered(w, entries, 0, picture, size);
	assert_int_equal(gpu_create_blob(w, 9, size, entries, 300), OK);
	assert_int_equal(scan_blob(w, 9, gpu_rect(0, 0, width, height), width, height, BGRX, width * 4, 0), OK);
	assert_int_equal(gpu_flush(w, 9, gpu_rect(0, 0, width, height)), OK);
	for (uint32_t p = 0; p < width * height; p++) {
		if ((w->display->shown[0].pixels[p] & RGB) != picture[p])
			fail_msg("pixel %u is %06x, not %06x", p, w->display->shown[0].pixels[p] & RGB, picture[p]);
	}
	free(picture);
	gpu_world_destroy(w);
}

static void a_blob_goes_off_the_screen_like_any_resource(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	struct virtio_gpu_mem_entry entry = {.addr = fake_guest_alloc(w->guest, 4096, 4096), .length = 4096};

	(void)state;
	assert_int_equal(gpu_create_blob(w, 9, 4096, &entry, 1), OK);
	assert_int_equal(scan_blob(w, 9, gpu_rect(0, 0, 16, 16), 16, 16, BGRX, 64, 0), OK);
	assert_int_equal(gpu_flush(w, 9, gpu_rect(0, 0, 16, 16)), OK);
	assert_int_equal(scan_blob(w, 0, gpu_rect(0, 0, 0, 0), 0, 0, 0, 0, 0), OK);
	assert_int_equal(w->display->shown[0].blanks, 1);
	assert_int_equal(gpu_flush(w, 9, gpu_rect(0, 0, 16, 16)), OK);
	assert_int_equal(w->display->shown[0].frames, 1);
	assert_int_equal(scan_blob(w, 9, gpu_rect(0, 0, 16, 16), 16, 16, BGRX, 64, 0), OK);
	assert_int_equal(gpu_unref(w, 9), OK);
	assert_int_equal(w->display->shown[0].blanks, 2);
	gpu_world_destroy(w);
}

/* ---- cursor ---- */

static void send_cursor(struct gpu_world *w, uint32_t type, uint32_t scanout, uint32_t id, uint32_t x, uint32_t y,
			uint32_t hot_x, uint32_t hot_y)
{
	struct virtio_gpu_update_cursor c = {
		.hdr = {.type = type}, .pos = {.scanout_id = scanout, .x = x, .y = y}, .resource_id = id, .hot_x = hot_x, .hot_y = hot_y,
	};
	uint32_t used = 1;

	/* As drivers send it: no room for an answer. */
	assert_int_equal(fake_guest_request(w->guest, 1, &c, sizeof(c), NULL, 0, &used), 0);
	assert_int_equal(used, 0);
}

static void the_cursor_keeps_its_alpha_and_follows(void **state)
{
	struct gpu_world *w = gpu_world_create(&(struct gpu_world_options){.scanouts = 2});
	const struct shown *s = &w->display->shown[1];
	struct gpu_stats stats;
	uint32_t *pixels;

	(void)state;
	assert_int_equal(gpu_create_2d(w, 3, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, 64, 64), OK);
	pixels = gpu_back(w, 3, 64 * 64 * 4, NULL);
	for (uint32_t p = 0; p < 64 * 64; p++)
		pixels[p] = p << 18 | p;
	assert_int_equal(gpu_transfer(w, 3, gpu_rect(0, 0, 64, 64), 0), OK);
	send_cursor(w, VIRTIO_GPU_CMD_UPDATE_CURSOR, 1, 3, 100, 50, 4, 6);
	assert_int_equal(s->cursors, 1);
	/* The wire has the image's corner, the display the hot spot. */
	assert_int_equal(s->cursor.x, 104);
	assert_int_equal(s->cursor.y, 56);
	assert_false(s->cursor.moved_only);
	for (uint32_t p = 0; p < 64 * 64; p++)
		assert_int_equal(s->cursor_pixels[p], p << 18 | p);
	/* The image is a copy: gone with the next update, not with its resource. */
	assert_int_equal(gpu_unref(w, 3), OK);
	send_cursor(w, VIRTIO_GPU_CMD_MOVE_CURSOR, 1, 0, (uint32_t)-3, 7, 0, 0);
	assert_int_equal(s->cursors, 2);
	assert_int_equal(s->cursor.x, 1);
	assert_int_equal(s->cursor.y, 13);
	assert_true(s->cursor.moved_only);
	assert_int_equal(s->cursor_pixels[77], 77u << 18 | 77);
	send_cursor(w, VIRTIO_GPU_CMD_UPDATE_CURSOR, 1, 0, 0, 0, 0, 0);
	assert_null(s->cursor.pixels);
	assert_int_equal(w->display->shown[0].cursors, 0);
	gpu_get_stats(w->device, &stats);
	assert_int_equal(stats.errors, 0);
	gpu_world_destroy(w);
}

static void a_cursor_may_be_a_blob(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	struct virtio_gpu_mem_entry entries[3];
	uint32_t picture[64 * 64];

	(void)state;
	for (uint32_t p = 0; p < 64 * 64; p++)
		picture[p] = p * 2654435761u;
	scatter(w, sizeof(picture), entries, 3);
	put_scattered(w, entries, 0, picture, sizeof(picture));
	assert_int_equal(gpu_create_blob(w, 9, sizeof(picture), entries, 3), OK);
	send_cursor(w, VIRTIO_GPU_CMD_UPDATE_CURSOR, 0, 9, 0, 0, 63, 63);
	assert_memory_equal(w->display->shown[0].cursor_pixels, picture, sizeof(picture));
	gpu_world_destroy(w);
}

static void a_bad_cursor_leaves_the_old_one(void **state)
{
	static const struct {
		uint32_t type, scanout, id, hot_x, hot_y;
	} cases[] = {
		{VIRTIO_GPU_CMD_UPDATE_CURSOR, 1, 3, 0, 0},  /* no scanout 1 */
		{VIRTIO_GPU_CMD_MOVE_CURSOR, 16, 3, 0, 0},   /* nor 16 */
		{VIRTIO_GPU_CMD_UPDATE_CURSOR, 0, 77, 0, 0}, /* no resource */
		{VIRTIO_GPU_CMD_UPDATE_CURSOR, 0, 4, 0, 0},  /* not 64x64 */
		{VIRTIO_GPU_CMD_UPDATE_CURSOR, 0, 5, 0, 0},  /* blob too small */
		{VIRTIO_GPU_CMD_UPDATE_CURSOR, 0, 3, 64, 0}, /* hot spot outside */
		{VIRTIO_GPU_CMD_UPDATE_CURSOR, 0, 3, 0, 64},
		{VIRTIO_GPU_CMD_RESOURCE_UNREF, 0, 3, 0, 0}, /* wrong queue */
	};
	struct gpu_world *w = gpu_world_create(NULL);
	struct virtio_gpu_mem_entry entry = {.addr = fake_guest_alloc(w->guest, 4096, 4096), .length = 4096};
	struct gpu_stats stats;

	(void)state;
	assert_int_equal(gpu_create_2d(w, 3, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, 64, 64), OK);
	assert_int_equal(gpu_create_2d(w, 4, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, 64, 32), OK);
	assert_int_equal(gpu_create_blob(w, 5, 4096, &entry, 1), OK);
	send_cursor(w, VIRTIO_GPU_CMD_UPDATE_CURSOR, 0, 3, 9, 9, 1, 1);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		send_cursor(w, cases[i].type, cases[i].scanout, cases[i].id, 30, 30, cases[i].hot_x, cases[i].hot_y);
	assert_int_equal(w->display->shown[0].cursors, 1);
	gpu_get_stats(w->device, &stats);
	assert_int_equal(stats.errors, sizeof(cases) / sizeof(cases[0]));
	gpu_world_destroy(w);
}

/* ---- the rest ---- */

static void a_uuid_is_random_and_stays(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	struct virtio_gpu_resp_resource_uuid answers[3];

	(void)state;
	assert_int_equal(gpu_create_2d(w, 1, BGRX, 4, 4), OK);
	assert_int_equal(gpu_create_2d(w, 2, BGRX, 4, 4), OK);
	for (unsigned i = 0; i < 3; i++) {
		struct virtio_gpu_resource_assign_uuid c = {.resource_id = i == 2 ? 2 : 1};

		assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, &c, sizeof(c), &answers[i], sizeof(answers[i])),
				 VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
		assert_int_equal(w->used, sizeof(answers[i]));
		assert_int_equal(answers[i].uuid[6] >> 4, 4);
		assert_int_equal(answers[i].uuid[8] >> 6, 2);
	}
	assert_memory_equal(answers[0].uuid, answers[1].uuid, 16);
	assert_memory_not_equal(answers[0].uuid, answers[2].uuid, 16);
	gpu_world_destroy(w);
}

static void pixels_are_counted(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	struct gpu_stats stats;

	(void)state;
	screen(w, 20, 20);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 20, 20)), OK);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(3, 3, 5, 2)), OK);
	gpu_get_stats(w->device, &stats);
	assert_int_equal(stats.frames, 2);
	assert_int_equal(stats.pixel_copies, 2);
	assert_int_equal(stats.pixel_copy_bytes, 20 * 20 * 4 + 5 * 2 * 4);
	assert_int_equal(stats.commands, 5);
	assert_int_equal(stats.errors, 0);
	gpu_world_destroy(w);
}

/* Of a guest with more than 8 GiB: where rows lie is beyond what pixman reckons in. */
static void blob_rows_far_apart(void **state)
{
	const uint32_t rows = 12000, stride = 1u << 20;
	const size_t bytes = (size_t)rows * stride;
	const struct gpu_picture picture = {
		.format = gpu_format_find(VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM), .width = 1, .height = rows, .stride_bytes = stride};
	const struct display_rect all = {0, 0, 1, rows};
	uint32_t *out = calloc(rows, sizeof(*out));
	uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct iovec piece = {memory, bytes};
	const struct gpu_resource res = {.backing = &piece, .backing_count = 1, .backing_bytes = bytes};

	(void)state;
	assert_non_null(out);
	if (memory == MAP_FAILED) {
		free(out);
		skip();
	}
	for (size_t y = 8190; y < rows; y += 953)
		memcpy(memory + y * stride, (const uint8_t[4]){0xff, (uint8_t)y, (uint8_t)(y >> 8), 0x12}, 4);
	assert_int_equal(gpu_blob_read(&res, &picture, &all, out, sizeof(*out)), 0);
	for (uint32_t y = 8190; y < rows; y += 953)
		assert_int_equal(out[y], 0xff000012u | (y & 0xff) << 16 | (y >> 8) << 8);
	assert_int_equal(out[rows - 1], 0);
	munmap(memory, bytes);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format_is_shown_as_drawn),
		cmocka_unit_test(a_transfer_moves_its_rectangle_and_nothing_else),
		cmocka_unit_test(a_backing_may_lie_anywhere),
		cmocka_unit_test(a_scanout_shows_its_part_of_the_resource),
		cmocka_unit_test(a_page_flip_shows_the_whole_new_picture),
		cmocka_unit_test(a_scanout_goes_blank),
		cmocka_unit_test(a_display_that_fails_is_not_the_guests_fault),
		cmocka_unit_test(detached_pages_are_not_read),
		cmocka_unit_test(a_guest_blob_is_shown_where_it_lies),
		cmocka_unit_test(a_large_scattered_blob_is_whole),
		cmocka_unit_test(a_blob_goes_off_the_screen_like_any_resource),
		cmocka_unit_test(the_cursor_keeps_its_alpha_and_follows),
		cmocka_unit_test(a_cursor_may_be_a_blob),
		cmocka_unit_test(a_bad_cursor_leaves_the_old_one),
		cmocka_unit_test(a_uuid_is_random_and_stays),
		cmocka_unit_test(pixels_are_counted),
		cmocka_unit_test(blob_rows_far_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
