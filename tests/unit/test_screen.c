// SPDX-License-Identifier: MIT
/*
 * Frames of a device in another process, shown on an output here: what the device's end of the protocol sends arrives whole,
 * also when another device goes on with it, and nonsense ends the connection and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/display/format.h"
#include "host/display/picture.h"
#include "host/display/screen.h"
#include "host/display/vhost_gpu.h"
#include "protocol/vhost_user_gpu.h"

#define WIDTH 300u
#define HEIGHT 200u

/* ---- an output that keeps what it is shown ---- */

struct shown {
	struct display_output base;
	struct picture pictures[DISPLAY_MAX_SCANOUTS];
	unsigned frames, blanks, cursors;
	struct display_cursor cursor;
	uint32_t first_cursor_pixel;
	bool destroyed;
};

static int present(struct display_output *o, unsigned scanout, const struct display_frame *f)
{
	struct shown *s = (struct shown *)o;
	struct picture *p = &s->pictures[scanout];
	const struct display_rect whole = {0, 0, f->width, f->height};

	assert_true(f->damage.width && f->damage.x + f->damage.width <= f->width);
	assert_true(f->damage.height && f->damage.y + f->damage.height <= f->height);
	assert_int_equal(picture_update(p, f, p->width == f->width && p->height == f->height ? &f->damage : &whole), 0);
	s->frames++;
	return 0;
}

static void blank(struct display_output *o, unsigned scanout)
{
	picture_finish(&((struct shown *)o)->pictures[scanout]);
	((struct shown *)o)->blanks++;
}

static void cursor(struct display_output *o, unsigned scanout, const struct display_cursor *c)
{
	struct shown *s = (struct shown *)o;

	(void)scanout;
	s->cursors++;
	s->cursor = *c;
	s->first_cursor_pixel = c->pixels ? c->pixels[0] : 0;
}

static void destroy(struct display_output *o)
{
	((struct shown *)o)->destroyed = true;
}

static const struct display_output_ops shown_ops = {
	.name = "shown", .present = present, .blank = blank, .cursor = cursor, .destroy = destroy};

/* ---- a device, the screen, and what it shows on ---- */

struct place {
	struct loop *loop;
	struct shown shown;
	struct screen *screen;
	struct display_output *device; /* NULL: the test writes to: */
	int fd;
};

static void run(struct place *p)
{
	/* Both ends of a big frame, which takes many turns. */
	for (unsigned i = 0; i < 400; i++)
		assert_int_equal(loop_run_once(p->loop, i < 395 ? 0 : 2), 0);
}

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	int pair[2];

	p->shown.base.ops = &shown_ops;
	assert_int_equal(loop_create("test", &p->loop), 0);
	assert_int_equal(screen_create(p->loop, &p->shown.base, &p->screen), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(screen_connect(p->screen, pair[0]), 0);
	p->fd = pair[1];
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	screen_destroy(p->screen);
	assert_true(p->shown.destroyed);
	display_destroy(p->device);
	if (p->fd >= 0)
		close(p->fd);
	for (unsigned i = 0; i < DISPLAY_MAX_SCANOUTS; i++)
		picture_finish(&p->shown.pictures[i]);
	loop_destroy(p->loop);
	free(p);
	return 0;
}

/* As each worker has the socket. */
static void start_device(struct place *p)
{
	display_destroy(p->device);
	assert_int_equal(display_vhost_gpu_create(p->loop, &p->device), 0);
	assert_int_equal(display_vhost_gpu_connect(p->device, dup(p->fd)), 0);
}

static uint32_t pixel(uint32_t i, uint32_t seed)
{
	return (i * 7 + seed * 977) * 2654435761u >> 8;
}

static void show(struct place *p, unsigned scanout, uint32_t width, uint32_t height, uint32_t seed, struct display_rect damage)
{
	uint32_t *pixels = malloc((size_t)width * height * 4);
	const struct display_frame f = {pixels, width, height, width * 4, DISPLAY_XRGB8888, damage};

	assert_non_null(pixels);
	for (uint32_t i = 0; i < width * height; i++)
		pixels[i] = pixel(i, seed);
	assert_int_equal(p->device->ops->present(p->device, scanout, &f), 0);
	free(pixels);
}

/* In @rect the scanout shows what @seed made, elsewhere what @other did. */
static void expect(const struct place *p, unsigned scanout, uint32_t width, uint32_t height, uint32_t seed,
		   struct display_rect rect, uint32_t other)
{
	const struct picture *picture = &p->shown.pictures[scanout];

	assert_int_equal(picture->width, width);
	assert_int_equal(picture->height, height);
	for (uint32_t i = 0; i < width * height; i++) {
		const uint32_t x = i % width, y = i / width;
		const bool in = x >= rect.x && x < rect.x + rect.width && y >= rect.y && y < rect.y + rect.height;

		if ((picture->pixels[i] ^ pixel(i, in ? seed : other)) & 0xffffff)
			fail_msg("pixel %u,%u", x, y);
	}
}

static void frames_arrive_and_go(void **state)
{
	static const struct display_rect whole = {0, 0, WIDTH, HEIGHT}, part = {17, 33, 100, 71}, all = {0, 0, 1280, 800};
	struct place *p = *state;

	start_device(p);
	show(p, 0, WIDTH, HEIGHT, 1, whole);
	run(p);
	expect(p, 0, WIDTH, HEIGHT, 1, whole, 0);
	show(p, 0, WIDTH, HEIGHT, 2, part);
	run(p);
	expect(p, 0, WIDTH, HEIGHT, 2, part, 1);
	show(p, 15, 1280, 800, 3, all);
	run(p);
	expect(p, 15, 1280, 800, 3, all, 0);
	expect(p, 0, WIDTH, HEIGHT, 2, part, 1);
	p->device->ops->blank(p->device, 15);
	run(p);
	assert_int_equal(p->shown.blanks, 1);
	assert_null(p->shown.pictures[15].pixels);
}

static void the_next_device_goes_on(void **state)
{
	static const struct display_rect whole = {0, 0, WIDTH, HEIGHT};
	struct place *p = *state;

	start_device(p);
	show(p, 0, WIDTH, HEIGHT, 1, whole);
	run(p);
	start_device(p);
	show(p, 0, WIDTH, HEIGHT, 2, whole);
	run(p);
	expect(p, 0, WIDTH, HEIGHT, 2, whole, 0);
	assert_int_equal(p->shown.blanks, 0);
}

/* A spare worker has the socket too, and is not to speak, nor to take an answer. */
static void a_device_that_shows_nothing_is_silent(void **state)
{
	static const uint32_t pixels[4] = {1, 2, 3, 4};
	const struct display_frame frame = {pixels, 2, 2, 8, DISPLAY_XRGB8888, {0, 0, 2, 2}};
	struct place *p = *state;
	char spec[16], byte = 7;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	snprintf(spec, sizeof(spec), "fd:%d", pair[1]);
	assert_int_equal(display_create(p->loop, spec, NULL, &p->device), 0);
	assert_int_equal(send(pair[0], &byte, 1, 0), 1);
	run(p);
	assert_int_equal(recv(pair[0], &byte, 1, MSG_DONTWAIT), -1);
	/* It has not taken the byte, and takes over now. */
	assert_int_equal(recv(pair[1], &byte, 1, MSG_DONTWAIT), 1);
	assert_int_equal(screen_connect(p->screen, pair[0]), 0);
	assert_int_equal(p->device->ops->present(p->device, 4, &frame), 0);
	run(p);
	assert_int_equal(p->shown.pictures[4].width, 2);
	assert_int_equal(display_create(p->loop, "fd:99999", NULL, &(struct display_output *){NULL}), -EBADF);
}

static void the_cursor_is_where_the_guest_has_it(void **state)
{
	struct display_cursor c = {.x = 50, .y = 40, .hot_x = 3, .hot_y = 60};
	uint32_t *image = calloc(64 * 64, 4);
	struct place *p = *state;

	image[0] = 0xff102030;
	c.pixels = image;
	start_device(p);
	p->device->ops->cursor(p->device, 1, &c);
	run(p);
	assert_int_equal(p->shown.cursor.x, 50);
	assert_int_equal(p->shown.cursor.y, 40);
	assert_int_equal(p->shown.cursor.hot_y, 60);
	assert_int_equal(p->shown.first_cursor_pixel, image[0]);
	c.x = 2;
	c.moved_only = true;
	p->device->ops->cursor(p->device, 1, &c);
	run(p);
	assert_int_equal(p->shown.cursor.x, 2);
	assert_true(p->shown.cursor.moved_only);
	c.pixels = NULL;
	p->device->ops->cursor(p->device, 1, &c);
	run(p);
	assert_null(p->shown.cursor.pixels);
	free(image);
}

/* ---- devices in the wrong hands ---- */

static void say(struct place *p, uint32_t request, uint32_t flags, uint32_t size, const uint32_t *words, size_t count)
{
	const struct vhost_user_gpu_header h = {request, flags, size};

	/* The other end may have hung up already. */
	send(p->fd, &h, sizeof(h), MSG_NOSIGNAL);
	send(p->fd, words, count * sizeof(*words), MSG_NOSIGNAL);
}

static bool is_cut(struct place *p)
{
	char byte;

	ssize_t n;

	run(p);
	n = recv(p->fd, &byte, 1, MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void nonsense_ends_the_connection(void **state)
{
	static const uint32_t zeros[4104];
	static const struct {
		uint32_t request, flags, size;
		uint32_t words[6];
		size_t count;
	} rows[] = {
		{99, 0, 0, {0}, 0},
		{VHOST_USER_GPU_GET_DISPLAY_INFO, 0, 0, {0}, 0},
		{VHOST_USER_GPU_SCANOUT, VHOST_USER_GPU_FLAG_REPLY, 12, {0, 8, 8}, 3},
		{VHOST_USER_GPU_SCANOUT, 0, 8, {0, 8}, 2},
		{VHOST_USER_GPU_SCANOUT, 0, 16, {0, 8, 8, 0}, 4},
		{VHOST_USER_GPU_SCANOUT, 0, 12, {16, 8, 8}, 3},
		{VHOST_USER_GPU_SCANOUT, 0, 12, {0, 16385, 8}, 3},
		{VHOST_USER_GPU_SCANOUT, 0, 12, {0, 0, 8}, 3},
		{VHOST_USER_GPU_UPDATE, 0, 24, {1, 0, 0, 1, 1}, 6}, /* nothing is shown there */
		{VHOST_USER_GPU_UPDATE, 0, 24, {0, 8, 0, 1, 1}, 6},
		{VHOST_USER_GPU_UPDATE, 0, 24, {0, 0, UINT32_MAX, 1, 1}, 6},
		{VHOST_USER_GPU_UPDATE, 0, 24, {0, 1, 1, UINT32_MAX, 1}, 6},
		{VHOST_USER_GPU_UPDATE, 0, 24, {0, 0, 0, 2, 1}, 6},
		{VHOST_USER_GPU_UPDATE, 0, 20, {0, 0, 0, 0, 0}, 5},
		{VHOST_USER_GPU_UPDATE, 0, 24, {16, 0, 0, 1, 1}, 6},
		{VHOST_USER_GPU_UPDATE, 0, UINT32_MAX, {0, 0, 0, 1, 1}, 6},
		{VHOST_USER_GPU_UPDATE, 0, 20 + 65540, {0, 0, 0, 1, 16385}, 6},
		{VHOST_USER_GPU_CURSOR_POS, 0, 12, {16, 0, 0}, 3},
		{VHOST_USER_GPU_CURSOR_POS_HIDE, 0, 12, {UINT32_MAX, 0, 0}, 3},
		{VHOST_USER_GPU_CURSOR_UPDATE, 0, 12, {0, 0, 0}, 3},
		{VHOST_USER_GPU_SET_PROTOCOL_FEATURES, 0, 8, {2, 0}, 2},
	};
	struct place *p = *state;
	int pair[2];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint32_t size[3] = {0, 8, 8};

		say(p, VHOST_USER_GPU_SCANOUT, 0, 12, size, 3);
		assert_false(is_cut(p));
		say(p, rows[i].request, rows[i].flags, rows[i].size, rows[i].words, rows[i].count);
		if (!is_cut(p))
			fail_msg("row %zu is taken", i);
		close(p->fd);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		assert_int_equal(screen_connect(p->screen, pair[0]), 0);
		p->fd = pair[1];
	}
	assert_int_equal(p->shown.frames, 0);
	/* All of the cursor's image, and an id that isn't one. */
	say(p, VHOST_USER_GPU_CURSOR_UPDATE, 0, 20 + 64 * 64 * 4, zeros, 5 + 64 * 64);
	assert_false(is_cut(p));
	assert_int_equal(p->shown.cursors, 1);
	say(p, VHOST_USER_GPU_CURSOR_UPDATE, 0, 20 + 64 * 64 * 4, (const uint32_t[5]){77}, 5);
	say(p, 0, 0, 0, zeros, 64 * 64);
	assert_true(is_cut(p));
	assert_int_equal(p->shown.cursors, 1);
}

/* Outputs tell it to others: viewers by VNC have no use for a point outside the image. */
static void a_hot_spot_is_in_the_image(void **state)
{
	static uint32_t words[5 + 64 * 64];
	struct place *p = *state;
	int pair[2];

	for (unsigned i = 0; i < 4; i++) {
		words[3] = i == 1 ? 64 : 63;
		words[4] = i == 2 ? UINT32_MAX : 63;
		say(p, VHOST_USER_GPU_CURSOR_UPDATE, 0, sizeof(words), words, 5 + 64 * 64);
		assert_int_equal(is_cut(p), i == 1 || i == 2);
		close(p->fd);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		assert_int_equal(screen_connect(p->screen, pair[0]), 0);
		p->fd = pair[1];
	}
	assert_int_equal(p->shown.cursors, 2);
}

static void update_corner(struct place *p, uint32_t scanout, uint32_t colour)
{
	const uint32_t words[6] = {scanout, 0, 0, 1, 1, colour};

	say(p, VHOST_USER_GPU_UPDATE, 0, sizeof(words), words, 6);
}

/* Pictures together have a limit, and what goes makes room. What the guest's user chose too big is not shown, no more. */
static void memory_is_limited(void **state)
{
	struct place *p = *state;

	for (uint32_t i = 0; i < 4; i++) {
		const uint32_t big[3] = {i, 16384, 1024};

		say(p, VHOST_USER_GPU_SCANOUT, 0, 12, big, 3);
	}
	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, (const uint32_t[3]){2, 0, 0}, 3);
	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, (const uint32_t[3]){9, 16384, 1023}, 3);
	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, (const uint32_t[3]){10, 16384, 1}, 3);
	update_corner(p, 10, 5);
	assert_false(is_cut(p));
	assert_int_equal(p->shown.pictures[10].pixels[0], 5);
	for (unsigned i = 0; i < 2; i++) {
		say(p, VHOST_USER_GPU_SCANOUT, 0, 12, (const uint32_t[3]){10, 16384, i ? 16384 : 2}, 3);
		update_corner(p, 10, 6);
		assert_false(is_cut(p));
		assert_int_equal(p->shown.frames, 1 + 2 * i);
		assert_int_equal(p->shown.blanks, 1 + i);
		say(p, VHOST_USER_GPU_SCANOUT, 0, 12, (const uint32_t[3]){10, 3, 2}, 3);
		update_corner(p, 10, 7);
		update_corner(p, 10, 8);
		assert_false(is_cut(p));
		assert_int_equal(p->shown.pictures[10].width, 3);
		assert_int_equal(p->shown.pictures[10].pixels[0], 8);
		p->shown.frames = 3;
	}
	/* It is when it is asked for once more and there is room. */
	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, (const uint32_t[3]){10, 16384, 2}, 3);
	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, (const uint32_t[3]){9, 0, 0}, 3);
	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, (const uint32_t[3]){10, 16384, 2}, 3);
	update_corner(p, 10, 9);
	assert_false(is_cut(p));
	assert_int_equal(p->shown.pictures[10].width, 16384);
	assert_int_equal(p->shown.pictures[10].pixels[0], 9);
	/* What lies outside what is not shown is nonsense all the same. */
	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, (const uint32_t[3]){10, 16384, 16384}, 3);
	say(p, VHOST_USER_GPU_UPDATE, 0, 24, (const uint32_t[6]){10, 16384, 2, 1, 1, 0}, 6);
	assert_true(is_cut(p));
}

/* Whatever sizes came in between: the output still has the picture of before. */
static void what_was_shown_is_taken_back(void **state)
{
	static const uint32_t size[3] = {0, 2, 1}, pixels[7] = {0, 0, 0, 2, 1, 1, 2}, other[3] = {0, 4, 4}, none[3] = {0, 0, 0};
	struct place *p = *state;

	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, size, 3);
	say(p, VHOST_USER_GPU_UPDATE, 0, 28, pixels, 7);
	run(p);
	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, other, 3);
	run(p);
	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, none, 3);
	assert_false(is_cut(p));
	assert_int_equal(p->shown.frames, 1);
	assert_int_equal(p->shown.blanks, 1);
	/* Once. */
	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, other, 3);
	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, none, 3);
	assert_false(is_cut(p));
	assert_int_equal(p->shown.blanks, 1);
}

/* Who keeps frames, like PNG files, gets the last one too, also when its end comes in the same breath. */
static void the_last_frame_is_shown_before_its_end(void **state)
{
	static const uint32_t size[3] = {0, 2, 1}, pixels[7] = {0, 0, 0, 2, 1, 1, 2}, other[3] = {0, 4, 4}, none[3] = {0, 0, 0};
	struct place *p = *state;

	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, size, 3);
	say(p, VHOST_USER_GPU_UPDATE, 0, 28, pixels, 7);
	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, other, 3);
	assert_false(is_cut(p));
	assert_int_equal(p->shown.frames, 1);
	assert_int_equal(p->shown.pictures[0].pixels[1], 2);
	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, size, 3);
	say(p, VHOST_USER_GPU_UPDATE, 0, 28, pixels, 7);
	say(p, VHOST_USER_GPU_SCANOUT, 0, 12, none, 3);
	assert_false(is_cut(p));
	assert_int_equal(p->shown.frames, 2);
	assert_int_equal(p->shown.blanks, 1);
}

/* A few bytes that cost as much as a whole picture: others on the loop have their turn after each. */
static void a_new_size_ends_the_turn(void **state)
{
	static const uint32_t pixel[6] = {0, 0, 0, 1, 1, 1};
	struct place *p = *state;

	for (uint32_t i = 0; i < 10; i++) {
		say(p, VHOST_USER_GPU_SCANOUT, 0, 12, (const uint32_t[3]){0, 2 + i, 1}, 3);
		say(p, VHOST_USER_GPU_UPDATE, 0, 24, pixel, 6);
	}
	for (unsigned i = 0; i <= 10; i++) {
		assert_int_equal(p->shown.frames, i ? i - 1 : 0);
		assert_int_equal(loop_run_once(p->loop, 0), 0);
	}
	assert_int_equal(p->shown.frames, 10);
	assert_int_equal(p->shown.pictures[0].width, 11);
}

static void a_message_may_come_byte_by_byte(void **state)
{
	const uint32_t words[] = {VHOST_USER_GPU_SCANOUT, 0, 12, 3, 2, 1, VHOST_USER_GPU_UPDATE, 0, 28, 3, 0, 0, 2, 1,
				  0x123456, 0x654321};
	struct place *p = *state;

	for (size_t i = 0; i < sizeof(words); i++) {
		assert_int_equal(send(p->fd, (const char *)words + i, 1, 0), 1);
		loop_run_once(p->loop, 0);
	}
	assert_false(is_cut(p));
	assert_int_equal(p->shown.frames, 1);
	assert_int_equal(p->shown.pictures[3].pixels[1] & 0xffffff, 0x654321);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		T(frames_arrive_and_go),
		T(the_next_device_goes_on),
		T(a_device_that_shows_nothing_is_silent),
		T(the_cursor_is_where_the_guest_has_it),
		T(nonsense_ends_the_connection),
		T(a_hot_spot_is_in_the_image),
		T(memory_is_limited),
		T(what_was_shown_is_taken_back),
		T(the_last_frame_is_shown_before_its_end),
		T(a_new_size_ends_the_turn),
		T(a_message_may_come_byte_by_byte),
	};

	return cmocka_run_group_tests_name("screen", tests, NULL, NULL);
}
