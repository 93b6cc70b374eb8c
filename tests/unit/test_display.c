// SPDX-License-Identifier: MIT
/*
 * Displays: which there are, and that png writes the frames it was given, with the cursor, whole, and never waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/display/display.h"
#include "host/display/format.h"

struct place {
	char path[64];
	struct loop *loop;
};

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	strcpy(p->path, "/tmp/mullion-png-XXXXXX");
	assert_non_null(mkdtemp(p->path));
	assert_int_equal(loop_create("test", &p->loop), 0);
	*state = p;
	return 0;
}

static unsigned empty(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned count = 0;

	while (d && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		unlinkat(dirfd(d), e->d_name, 0);
		count++;
	}
	if (d)
		closedir(d);
	return count;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	char sub[80];

	snprintf(sub, sizeof(sub), "%s/new", p->path);
	empty(sub);
	rmdir(sub);
	empty(p->path);
	rmdir(p->path);
	loop_destroy(p->loop);
	free(p);
	return 0;
}

static struct display_output *png_display(struct place *p, const char *rest)
{
	struct display_output *o;
	char spec[128];

	snprintf(spec, sizeof(spec), "png:%s/new%s", p->path, rest);
	assert_int_equal(display_create(p->loop, spec, NULL, &o), 0);
	return o;
}

static int show(struct display_output *o, unsigned scanout, const uint32_t *pixels, uint32_t width, uint32_t height,
		struct display_rect damage)
{
	struct display_frame f = {pixels, width, height, width * 4, DISPLAY_XRGB8888, damage};

	return o->ops->present(o, scanout, &f);
}

/* The picture in a file, as 0xRRGGBB; NULL when there is no such file. */
static uint32_t *load(struct place *p, const char *name, uint32_t *width, uint32_t *height)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	uint32_t *pixels;
	uint8_t *rgb;
	char path[128];

	snprintf(path, sizeof(path), "%s/new/%s", p->path, name);
	if (!png_image_begin_read_from_file(&image, path))
		return NULL;
	image.format = PNG_FORMAT_RGB;
	rgb = malloc(PNG_IMAGE_SIZE(image));
	pixels = malloc((size_t)image.width * image.height * 4);
	assert_true(rgb && pixels);
	assert_true(png_image_finish_read(&image, NULL, rgb, 0, NULL));
	for (uint32_t i = 0; i < image.width * image.height; i++)
		pixels[i] = (uint32_t)rgb[i * 3] << 16 | (uint32_t)rgb[i * 3 + 1] << 8 | rgb[i * 3 + 2];
	*width = image.width;
	*height = image.height;
	free(rgb);
	return pixels;
}

/* Let the loop take in what the writer finished. */
static void settle(struct place *p)
{
	for (unsigned i = 0; i < 20; i++)
		loop_run_once(p->loop, 5);
}

static void specs_are_read_and_wrong_ones_refused(void **state)
{
	struct place *p = *state;
	static const struct {
		const char *spec;
		int err;
	} cases[] = {
		{"vga", -EINVAL}, {"", -EINVAL}, {"png", -EINVAL}, {"png:", -EINVAL}, {"png:,every=3", -EINVAL}, {"none:x", -EINVAL},
		{"png:/tmp,every=0", -EINVAL}, {"png:/tmp,every=x", -EINVAL}, {"png:/tmp,every=-1", -EINVAL}, {"png:/tmp,evry=2", -EINVAL},
		{"png:/tmp,every=99999999999999999999999", -EINVAL}, {"png:/nonexistent/deeper", -ENOENT}, {"png:/dev/null", -ENOTDIR},
	};
	struct display_output *o;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(display_create(p->loop, cases[i].spec, NULL, &o), cases[i].err);
	assert_int_equal(display_create(p->loop, NULL, NULL, &o), 0);
	assert_string_equal(o->ops->name, "none");
	assert_true(o->ops->blind);
	o->ops->cursor(o, 0, &(struct display_cursor){0});
	o->ops->blank(o, 0);
	display_destroy(o);
	display_destroy(NULL);
	/* A directory that exists, with a comma in its name. */
	o = png_display(p, ",x");
	display_destroy(o);
	{
		char path[80];

		snprintf(path, sizeof(path), "%s/new,x", p->path);
		assert_int_equal(rmdir(path), 0);
	}
}

static void a_frame_becomes_a_file(void **state)
{
	struct place *p = *state;
	struct display_output *o = png_display(p, "");
	uint32_t pixels[33 * 20], *read, width, height;

	for (uint32_t i = 0; i < 33 * 20; i++)
		pixels[i] = 0xab000000 | i * 12345;
	assert_int_equal(show(o, 0, pixels, 33, 20, (struct display_rect){0, 0, 33, 20}), 0);
	/* The frame was lent: what happens to it afterwards does not matter. */
	memset(pixels, 0, sizeof(pixels));
	/* A disk may be slow. */
	read = NULL;
	for (unsigned i = 0; i < 300 && !read; i++) {
		settle(p);
		read = load(p, "scanout0-000001.png", &width, &height);
	}
	assert_non_null(read);
	assert_int_equal(width, 33);
	assert_int_equal(height, 20);
	for (uint32_t i = 0; i < 33 * 20; i++)
		assert_int_equal(read[i], (i * 12345) & 0xffffff);
	free(read);
	display_destroy(o);
	assert_non_null(read = load(p, "scanout0-000001.png", &width, &height));
	free(read);
}

static void every_nth_and_the_last_are_written(void **state)
{
	struct place *p = *state;
	struct display_output *o = png_display(p, ",every=4");
	const bool written[] = {false, true, false, false, false, true, false, false, false, true, false, true};
	uint32_t width, height;

	for (uint32_t i = 1; i <= 11; i++) {
		uint32_t pixel = i * 0x10101;

		assert_int_equal(show(o, 3, &pixel, 1, 1, (struct display_rect){0, 0, 1, 1}), 0);
		settle(p);
	}
	display_destroy(o);
	for (uint32_t i = 1; i <= 11; i++) {
		uint32_t *read;
		char name[32];

		snprintf(name, sizeof(name), "scanout3-%06u.png", i);
		read = load(p, name, &width, &height);
		assert_int_equal(read != NULL, written[i]);
		if (read)
			assert_int_equal(read[0], i * 0x10101);
		free(read);
	}
}

static void only_the_damage_is_taken(void **state)
{
	struct place *p = *state;
	struct display_output *o = png_display(p, "");
	uint32_t pixels[10 * 10], *read, width, height;

	for (uint32_t i = 0; i < 100; i++)
		pixels[i] = 0x111111;
	assert_int_equal(show(o, 0, pixels, 10, 10, (struct display_rect){0, 0, 10, 10}), 0);
	for (uint32_t i = 0; i < 100; i++)
		pixels[i] = 0x222222;
	assert_int_equal(show(o, 0, pixels, 10, 10, (struct display_rect){3, 4, 2, 5}), 0);
	/* Another size: everything is new, whatever the damage says. */
	assert_int_equal(show(o, 0, pixels, 5, 20, (struct display_rect){0, 0, 1, 1}), 0);
	display_destroy(o);
	read = load(p, "scanout0-000002.png", &width, &height);
	assert_non_null(read);
	for (uint32_t i = 0; i < 100; i++) {
		bool inside = i % 10 >= 3 && i % 10 < 5 && i / 10 >= 4 && i / 10 < 9;

		assert_int_equal(read[i], inside ? 0x222222 : 0x111111);
	}
	free(read);
	read = load(p, "scanout0-000003.png", &width, &height);
	assert_non_null(read);
	assert_int_equal(width, 5);
	assert_int_equal(height, 20);
	assert_int_equal(read[99], 0x222222);
	free(read);
}

static void the_cursor_is_blended_over_the_picture(void **state)
{
	struct place *p = *state;
	struct display_output *o = png_display(p, "");
	static uint32_t pixels[100 * 80], image[64 * 64];
	struct display_cursor cursor = {.x = 2, .y = 3, .hot_x = 5, .hot_y = 5, .pixels = image};
	uint32_t *read, width, height;

	for (uint32_t i = 0; i < 100 * 80; i++)
		pixels[i] = 0x646464;
	/* Left half opaque red, right half half-transparent white, bottom row nothing. */
	for (uint32_t i = 0; i < 64 * 64; i++)
		image[i] = i / 64 == 63 ? 0 : i % 64 < 32 ? 0xffff0000 : 0x80808080;
	o->ops->cursor(o, 0, &cursor);
	assert_int_equal(show(o, 0, pixels, 100, 80, (struct display_rect){0, 0, 100, 80}), 0);
	cursor.moved_only = true;
	cursor.x = 95;
	cursor.y = 79;
	o->ops->cursor(o, 0, &cursor);
	assert_int_equal(show(o, 0, pixels, 100, 80, (struct display_rect){0, 0, 100, 80}), 0);
	o->ops->cursor(o, 0, &(struct display_cursor){0});
	assert_int_equal(show(o, 0, pixels, 100, 80, (struct display_rect){0, 0, 1, 1}), 0);
	display_destroy(o);

	read = load(p, "scanout0-000001.png", &width, &height);
	assert_non_null(read);
	/* The image's corner is at -3,-2. */
	for (uint32_t i = 0; i < 100 * 80; i++) {
		const uint32_t x = i % 100, y = i / 100;

		if (x >= 61 || y >= 61)
			assert_int_equal(read[i], 0x646464);
		else if (x < 29)
			assert_int_equal(read[i], 0xff0000);
		else /* 128 + 100 * 127 / 255 */
			assert_int_equal(read[i], 0xb2b2b2);
	}
	free(read);
	read = load(p, "scanout0-000002.png", &width, &height);
	assert_non_null(read);
	assert_int_equal(read[79 * 100 + 99], 0xff0000);
	assert_int_equal(read[73 * 100 + 99], 0x646464);
	free(read);
	read = load(p, "scanout0-000003.png", &width, &height);
	assert_non_null(read);
	for (uint32_t i = 0; i < 100 * 80; i++)
		assert_int_equal(read[i], 0x646464);
	free(read);
}

/* Nobody runs the loop, so no slot is free again: the rest is dropped, except the last. */
static void a_slow_writer_costs_frames_not_time(void **state)
{
	struct place *p = *state;
	struct display_output *o = png_display(p, "");
	uint32_t pixel, *read, width, height;
	char path[80];

	for (pixel = 1; pixel <= 50; pixel++)
		assert_int_equal(show(o, 0, &pixel, 1, 1, (struct display_rect){0, 0, 1, 1}), 0);
	o->ops->blank(o, 0);
	display_destroy(o);
	read = load(p, "scanout0-000050.png", &width, &height);
	assert_non_null(read);
	assert_int_equal(read[0], 50);
	free(read);
	snprintf(path, sizeof(path), "%s/new", p->path);
	assert_int_equal(empty(path), 8 + 1);
}

static void a_full_disk_is_no_reason_to_stop(void **state)
{
	struct place *p = *state;
	struct display_output *o = png_display(p, "");
	uint32_t pixel = 7, *read, width, height;
	char path[128];

	/* The file's place is taken by a directory: as root, permissions would not stop it. */
	snprintf(path, sizeof(path), "%s/new/scanout0-000001.png.part", p->path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(show(o, 0, &pixel, 1, 1, (struct display_rect){0, 0, 1, 1}), 0);
	settle(p);
	assert_int_equal(show(o, 0, &pixel, 1, 1, (struct display_rect){0, 0, 1, 1}), 0);
	display_destroy(o);
	rmdir(path);
	assert_null(load(p, "scanout0-000001.png", &width, &height));
	read = load(p, "scanout0-000002.png", &width, &height);
	assert_non_null(read);
	free(read);
}

/* A worker that takes over from one that died, with or without having waited for it, and a machine that runs again. */
static void pictures_that_are_there_are_left_alone(void **state)
{
	static const struct display_rect all = {0, 0, 1, 1};
	static const char *const others[] = {"scanout0-000009.png.part",
					     "scanout0-x.png",
					     "scanout16-000040.png",
					     "scanout1-000041.jpg",
					     "scanout1-18446744073709551615.png",
					     "scanout1-99999999999999999999999.png"};
	struct place *p = *state;
	struct display_output *first = png_display(p, ",every=2"), *spare = png_display(p, ",every=2");
	uint32_t pixel, *read, width, height;
	char path[128];

	for (pixel = 1; pixel <= 4; pixel++)
		assert_int_equal(show(first, 0, &pixel, 1, 1, all), 0);
	display_destroy(first);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		snprintf(path, sizeof(path), "%s/new/%s", p->path, others[i]);
		assert_int_equal(close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
	}
	for (pixel = 11; pixel <= 13; pixel++) {
		assert_int_equal(show(spare, 0, &pixel, 1, 1, all), 0);
		assert_int_equal(show(spare, 1, &pixel, 1, 1, all), 0);
	}
	display_destroy(spare);
	/* Every second one and the last, of both. */
	for (unsigned number = 1; number <= 8; number++) {
		static const uint32_t wanted[] = {1, 0, 3, 4, 11, 0, 13, 0};

		snprintf(path, sizeof(path), "scanout0-%06u.png", number);
		read = load(p, path, &width, &height);
		assert_int_equal(read != NULL, wanted[number - 1] != 0);
		assert_true(!read || *read == wanted[number - 1]);
		free(read);
	}
	assert_non_null(read = load(p, "scanout1-000001.png", &width, &height));
	assert_int_equal(*read, 11);
	free(read);
}

static void a_format_nobody_knows_is_refused(void **state)
{
	struct place *p = *state;
	struct display_output *o = png_display(p, "");
	uint32_t pixel = 0x00112233;
	struct display_frame f = {&pixel, 1, 1, 4, DISPLAY_FOURCC('N', 'V', '1', '2'), {0, 0, 1, 1}};
	uint32_t *read, width, height;

	assert_int_equal(o->ops->present(o, 0, &f), -EINVAL);
	f.fourcc = DISPLAY_XBGR8888;
	assert_int_equal(o->ops->present(o, 0, &f), 0);
	display_destroy(o);
	read = load(p, "scanout0-000001.png", &width, &height);
	assert_non_null(read);
	assert_int_equal(read[0], 0x332211);
	free(read);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(specs_are_read_and_wrong_ones_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_frame_becomes_a_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(every_nth_and_the_last_are_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_the_damage_is_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_cursor_is_blended_over_the_picture, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_slow_writer_costs_frames_not_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_full_disk_is_no_reason_to_stop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pictures_that_are_there_are_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_format_nobody_knows_is_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
