// SPDX-License-Identifier: MIT
/* What a user asks of the GPU device: displays plugged in and out, screenshots, counters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/gpu/control.h"
#include "tests/lib/gpu_world.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define BGRX VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define WIDTH 40u
#define HEIGHT 30u

struct shot {
	struct display_screenshot base;
	char path[40];
	bool done;
};

static void on_done(struct display_screenshot *s)
{
	struct shot *shot = (struct shot *)s;

	assert_false(shot->done);
	shot->done = true;
}

static void take(struct gpu_world *w, struct shot *shot, unsigned display)
{
	strcpy(shot->path, "/tmp/mullion-shot-XXXXXX");
	shot->done = false;
	shot->base = (struct display_screenshot){.display = display, .done = on_done, .fd = mkstemp(shot->path)};
	assert_true(shot->base.fd >= 0);
	gpu_display_control.screenshot(w->device, &shot->base);
}

static bool is_done(void *arg)
{
	return ((struct shot *)arg)->done;
}

static int finish(struct gpu_world *w, struct shot *shot)
{
	assert_true(fake_guest_run_until(w->guest, is_done, shot, 5000));
	return shot->base.err;
}

static void forget(struct shot *shot)
{
	close(shot->base.fd);
	unlink(shot->path);
}

/* The pixel at @x, @y of the file, as 0xrrggbb. */
static uint32_t pixel(const struct shot *shot, uint32_t x, uint32_t y)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	uint32_t value;
	uint8_t *rgb;

	assert_int_equal(png_image_begin_read_from_file(&image, shot->path), 1);
	assert_int_equal(image.width, shot->base.width);
	assert_int_equal(image.height, shot->base.height);
	image.format = PNG_FORMAT_RGB;
	rgb = malloc(PNG_IMAGE_SIZE(image));
	assert_int_equal(png_image_finish_read(&image, NULL, rgb, 0, NULL), 1);
	rgb += ((size_t)y * image.width + x) * 3;
	value = (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
	free(rgb - ((size_t)y * image.width + x) * 3);
	return value;
}

/* Scanout 0 shows resource 1, whose pixels these are. */
static uint32_t *show(struct gpu_world *w)
{
	uint32_t *pixels;

	assert_int_equal(gpu_create_2d(w, 1, BGRX, WIDTH, HEIGHT), OK);
	pixels = gpu_back(w, 1, WIDTH * HEIGHT * 4, NULL);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, WIDTH, HEIGHT)), OK);
	return pixels;
}

static void draw(struct gpu_world *w, uint32_t *pixels, uint32_t rgb)
{
	for (unsigned i = 0; i < WIDTH * HEIGHT; i++)
		pixels[i] = rgb;
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, WIDTH, HEIGHT), 0), OK);
}

static void a_screenshot_is_what_is_shown(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	struct gpu_stats before, after;
	struct shot shot;
	uint32_t *pixels;

	(void)state;
	pixels = show(w);
	draw(w, pixels, 0x123456);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, WIDTH, HEIGHT)), OK);
	/* Drawn, but not flushed: the display doesn't show it, nor does the picture, which costs no further copy. */
	draw(w, pixels, 0xffffff);
	gpu_get_stats(w->device, &before);
	take(w, &shot, 0);
	assert_int_equal(finish(w, &shot), 0);
	gpu_get_stats(w->device, &after);
	assert_int_equal(before.pixel_copies, after.pixel_copies);
	assert_int_equal(shot.base.width, WIDTH);
	assert_int_equal(shot.base.height, HEIGHT);
	assert_int_equal(pixel(&shot, 0, 0), 0x123456);
	assert_int_equal(pixel(&shot, WIDTH - 1, HEIGHT - 1), 0x123456);
	forget(&shot);
	gpu_world_destroy(w);
}

static void a_screenshot_needs_no_display(void **state)
{
	struct gpu_world *w = gpu_world_create(&(struct gpu_world_options){.blind = true});
	struct shot shot;
	uint32_t *pixels;

	(void)state;
	pixels = show(w);
	draw(w, pixels, 0x0000ff);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, WIDTH, HEIGHT)), OK);
	for (unsigned i = 0; i < 2; i++) {
		take(w, &shot, 0);
		assert_int_equal(finish(w, &shot), 0);
		assert_int_equal(pixel(&shot, WIDTH - 1, HEIGHT - 1), i ? 0xff0000 : 0x0000ff);
		forget(&shot);
		/* And it is never the one of before. */
		draw(w, pixels, 0xff0000);
		assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 1, 1)), OK);
	}
	gpu_world_destroy(w);
}

static void what_shows_nothing_has_no_picture(void **state)
{
	struct gpu_world *w = gpu_world_create(&(struct gpu_world_options){.scanouts = 2});
	struct shot shot;

	(void)state;
	take(w, &shot, 0);
	assert_int_equal(finish(w, &shot), -ENODATA);
	forget(&shot);
	take(w, &shot, 2);
	assert_int_equal(finish(w, &shot), -EINVAL);
	forget(&shot);
	gpu_world_destroy(w);
}

static void screenshots_wait_their_turn(void **state)
{
	struct gpu_world *w = gpu_world_create(&(struct gpu_world_options){.scanouts = 2});
	struct shot shots[6];

	(void)state;
	draw(w, show(w), 0x808080);
	for (unsigned i = 0; i < 6; i++)
		take(w, &shots[i], i == 3); /* that one shows nothing */
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(finish(w, &shots[i]), i == 3 ? -ENODATA : 0);
		if (i != 3)
			assert_int_equal(pixel(&shots[i], 1, 1), 0x808080);
		forget(&shots[i]);
	}
	gpu_world_destroy(w);
}

static void a_device_that_goes_ends_its_screenshots(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	struct shot shots[3];

	(void)state;
	draw(w, show(w), 0x808080);
	for (unsigned i = 0; i < 3; i++)
		take(w, &shots[i], 0);
	gpu_world_destroy(w);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(shots[i].done);
		assert_int_equal(shots[i].base.err, i ? -ECANCELED : 0);
		forget(&shots[i]);
	}
}

static void a_full_disk_is_told(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	struct shot shot = {.base = {.done = on_done}};

	(void)state;
	draw(w, show(w), 0x808080);
	shot.base.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	if (shot.base.fd < 0)
		skip();
	gpu_display_control.screenshot(w->device, &shot.base);
	assert_int_equal(finish(w, &shot), -ENOSPC);
	close(shot.base.fd);
	gpu_world_destroy(w);
}

static void status_follows_displays(void **state)
{
	struct gpu_world *w = gpu_world_create(&(struct gpu_world_options){.scanouts = 2});
	struct display_device_status s;

	(void)state;
	show(w);
	assert_int_equal(gpu_display_control.set_mode(w->device, 1, 0, 0), 0);
	assert_int_equal(gpu_display_control.set_mode(w->device, 2, 640, 480), -EINVAL);
	assert_int_equal(gpu_display_control.set_mode(w->device, 1, 640, DISPLAY_CONTROL_SIZE_MAX + 1), -EINVAL);
	gpu_display_control.get_status(w->device, &s);
	assert_string_equal(s.renderer, "2d");
	assert_int_equal(s.display_count, 2);
	assert_int_equal(s.displays[0].width, 1280);
	assert_int_equal(s.displays[0].shown_width, WIDTH);
	assert_int_equal(s.displays[1].width, 0);
	assert_int_equal(s.displays[1].shown_width, 0);
	assert_int_equal(s.commands, 3);
	gpu_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_screenshot_is_what_is_shown),
		cmocka_unit_test(a_screenshot_needs_no_display),
		cmocka_unit_test(what_shows_nothing_has_no_picture),
		cmocka_unit_test(screenshots_wait_their_turn),
		cmocka_unit_test(a_device_that_goes_ends_its_screenshots),
		cmocka_unit_test(a_full_disk_is_told),
		cmocka_unit_test(status_follows_displays),
	};

	return cmocka_run_group_tests_name("gpu_control", tests, NULL, NULL);
}
