// SPDX-License-Identifier: MIT
/*
 * --display vnc: what viewers see.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/display/format.h"
#include "tests/lib/usage.h"
#include "tests/lib/vnc_world.h"

/* ---- what viewers see ---- */

static void every_format_is_seen_exactly(void **state)
{
	static const struct {
		uint32_t fourcc;
		bool red_first;
	} formats[] = {
		{DISPLAY_XRGB8888, false},
		{DISPLAY_ARGB8888, false},
		{DISPLAY_XBGR8888, true},
		{DISPLAY_ABGR8888, true},
	};
	struct vnc_place *p = *state;
	struct vnc_watcher v;

	vnc_create_here(p, "");
	vnc_look(&v, p);
	for (unsigned f = 0; f < 4; f++) {
		uint32_t *expected = malloc(sizeof(p->pixels));

		assert_non_null(expected);
		vnc_paint(p, f * 0x112233);
		memcpy(expected, p->pixels, sizeof(p->pixels));
		for (unsigned i = 0; i < VNC_WIDTH * VNC_HEIGHT; i++) {
			const uint32_t x = p->pixels[i];

			if (formats[f].red_first)
				p->pixels[i] = (x & 0xff) << 16 | (x & 0xff00) | x >> 16;
			p->pixels[i] |= (x * 7) << 24; /* means nothing */
		}
		assert_int_equal(vnc_present(p, 0, formats[f].fourcc, VNC_WIDTH, VNC_HEIGHT,
					     (struct display_rect){0, 0, VNC_WIDTH, VNC_HEIGHT}),
				 0);
		assert_true(vnc_sees(&v, expected, VNC_WIDTH, VNC_HEIGHT));
		free(expected);
	}
	vnc_leave(&v);
	assert_int_equal(
		vnc_present(p, 0, DISPLAY_FOURCC('N', 'V', '1', '2'), VNC_WIDTH, VNC_HEIGHT, (struct display_rect){0}),
		-EINVAL);
}

static void every_encoding_gives_the_same_pixels(void **state)
{
	static const char *const encodings[] = {"raw", "rre", "corre", "hextile", "zlib", "zrle", "tight", "ultra"};
	struct vnc_place *p = *state;
	struct vnc_watcher v;

	vnc_create_here(p, "");
	vnc_show(p);
	for (unsigned e = 0; e < sizeof(encodings) / sizeof(encodings[0]); e++) {
		vnc_new_client(&v, p->socket, 0)->appData.encodingsString = encodings[e];
		vnc_attach(&v);
		assert_true(vnc_sees_all(&v, p));
		vnc_leave(&v);
	}
}

static void only_the_damage_is_sent(void **state)
{
	static const struct display_rect damage = {40, 50, 60, 70};
	struct vnc_place *p = *state;
	uint32_t *before = malloc(sizeof(p->pixels));
	struct vnc_watcher v;
	unsigned updates;

	assert_non_null(before);
	vnc_create_here(p, "");
	vnc_show(p);
	vnc_look(&v, p);
	assert_true(vnc_sees_all(&v, p));
	memcpy(before, p->pixels, sizeof(p->pixels));
	/* All changes, and a part of it is told. */
	vnc_paint(p, 0x777777);
	updates = v.updates;
	assert_int_equal(vnc_present(p, 0, DISPLAY_XRGB8888, VNC_WIDTH, VNC_HEIGHT, damage), 0);
	for (uint32_t y = damage.y; y < damage.y + damage.height; y++)
		memcpy(&before[y * VNC_WIDTH + damage.x], &p->pixels[y * VNC_WIDTH + damage.x], damage.width * 4);
	assert_true(vnc_sees(&v, before, VNC_WIDTH, VNC_HEIGHT));
	assert_int_equal(v.updates, updates + 1);
	assert_memory_equal(&v.last, &damage, sizeof(damage));
	vnc_leave(&v);
	free(before);
}

static void a_new_size_reaches_the_viewer(void **state)
{
	struct vnc_place *p = *state;
	struct vnc_watcher v;

	vnc_create_here(p, "");
	vnc_look(&v, p);
	assert_int_equal(v.client->width, 640);
	vnc_show(p);
	assert_true(vnc_sees_all(&v, p));
	assert_int_equal(vnc_present(p, 0, DISPLAY_XRGB8888, 100, 130, (struct display_rect){0, 0, 1, 1}), 0);
	assert_true(vnc_sees(&v, p->pixels, 100, 130));
	vnc_show(p);
	assert_true(vnc_sees_all(&v, p));
	vnc_leave(&v);
}

static bool shows_top_left(struct vnc_watcher *v, const void *what)
{
	const struct vnc_view *w = what;

	for (uint32_t y = 0; y < (uint32_t)v->client->height; y++) {
		for (uint32_t x = 0; x < (uint32_t)v->client->width; x++) {
			if (vnc_pixel(v, x, y) !=
			    (x < w->width && y < w->height ? w->pixels[y * w->width + x] & 0xffffff : 0))
				return false;
		}
	}
	return true;
}

/* It knows raw pixels, and nothing else. */
static void look_at_fixed_size(struct vnc_watcher *v, struct vnc_place *p)
{
	static const char only_raw[] = {2, 0, 0, 1, 0, 0, 0, 0};

	vnc_create_here(p, "");
	vnc_show(p);
	vnc_look(v, p);
	assert_true(WriteToRFBServer(v->client, only_raw, sizeof(only_raw)));
	/* Messages are taken in turn: after the key the server knows that, too. */
	vnc_type(v, 'a');
	vnc_assert_keys(p, v, "+30 -30 ");
}

static void a_viewer_of_fixed_size_sees_what_fits(void **state)
{
	struct vnc_place *p = *state;
	struct vnc_watcher v;

	look_at_fixed_size(&v, p);
	assert_true(vnc_sees_all(&v, p));
	assert_int_equal(vnc_present(p, 0, DISPLAY_XRGB8888, 100, 130, (struct display_rect){0, 0, 100, 130}), 0);
	assert_true(vnc_wait_for(&v, shows_top_left, &(struct vnc_view){p->pixels, 100, 130}));
	assert_int_equal(vnc_present(p, 0, DISPLAY_XRGB8888, 500, 120, (struct display_rect){0, 0, 500, 120}), 0);
	assert_true(vnc_wait_for(&v, shows_top_left, &(struct vnc_view){p->pixels, 500, 120}));
	assert_int_equal(v.client->width, VNC_WIDTH);
	vnc_leave(&v);
}

/* The library would keep each of these for ever, and look through them all each time. */
static void a_viewer_of_fixed_size_costs_nothing_for_what_it_cannot_see(void **state)
{
	struct vnc_place *p = *state;
	struct vnc_watcher v;
	size_t bytes;

	look_at_fixed_size(&v, p);
	assert_int_equal(vnc_present(p, 0, DISPLAY_XRGB8888, 500, 120, (struct display_rect){0, 0, 500, 120}), 0);
	assert_true(vnc_wait_for(&v, shows_top_left, &(struct vnc_view){p->pixels, 500, 120}));
	bytes = mallinfo2().uordblks;
	/* The pause is for its thread, or they would add up to one. */
	for (uint32_t i = 0; i < 3000; i++, usleep(100))
		assert_int_equal(vnc_present(p, 0, DISPLAY_XRGB8888, 500, 120,
					     (struct display_rect){330 + i * 7 % 160, i * 11 % 100, 5, 1 + i % 17}),
				 0);
	if (USAGE_MEMORY_TELLS)
		assert_true(mallinfo2().uordblks < bytes + 65536);
	vnc_paint(p, 0x123456);
	assert_int_equal(vnc_present(p, 0, DISPLAY_XRGB8888, 500, 120, (struct display_rect){0, 0, 500, 120}), 0);
	assert_true(vnc_wait_for(&v, shows_top_left, &(struct vnc_view){p->pixels, 500, 120}));
	vnc_leave(&v);
}

static bool is_black_with_words(struct vnc_watcher *v, const void *what)
{
	unsigned grey = 0, black = 0, all = (unsigned)(v->client->width * v->client->height);

	(void)what;
	for (unsigned i = 0; i < all; i++) {
		uint32_t x = vnc_pixel(v, i, 0);

		black += x == 0;
		grey += x == 0x808080;
	}
	return grey > 500 && grey + black == all;
}

static void a_guest_that_shows_nothing_is_said_to(void **state)
{
	struct vnc_place *p = *state;
	struct vnc_watcher v;

	vnc_create_here(p, "");
	vnc_look(&v, p);
	assert_true(vnc_wait_for(&v, is_black_with_words, NULL));
	vnc_show(p);
	assert_true(vnc_sees_all(&v, p));
	vnc_blank(p);
	assert_true(vnc_wait_for(&v, is_black_with_words, NULL));
	assert_int_equal(v.client->width, VNC_WIDTH);
	/* Then again: a part would do for the picture that was there before. */
	assert_int_equal(vnc_present(p, 0, DISPLAY_XRGB8888, VNC_WIDTH, VNC_HEIGHT, (struct display_rect){0, 0, 1, 1}),
			 0);
	assert_true(vnc_sees_all(&v, p));
	vnc_leave(&v);
}

static void a_picture_too_big_for_viewers_is_refused(void **state)
{
	struct vnc_place *p = *state;

	vnc_create_here(p, "");
	assert_int_equal(vnc_present(p, 0, DISPLAY_XRGB8888, 16384, 2049, (struct display_rect){0, 0, 1, 1}), -E2BIG);
	assert_int_equal(vnc_present(p, 0, DISPLAY_XRGB8888, 1, 16385, (struct display_rect){0, 0, 1, 1}), -E2BIG);
}

static bool has_shape(struct vnc_watcher *v, const void *what)
{
	return v->shapes >= *(const unsigned *)what;
}

/* An image of one row of red, half of it at 60% alpha and premultiplied, the rest transparent. */
static void paint_cursor(uint32_t image[64 * 64])
{
	memset(image, 0, 64 * 64 * sizeof(*image));
	for (unsigned x = 0; x < 10; x++)
		image[2 * 64 + x] = x < 5 ? 0xffff0000 : 0x99990000;
}

static void the_viewer_gets_the_cursor(void **state)
{
	struct vnc_place *p = *state;
	uint32_t image[64 * 64];
	struct display_cursor c = {20, 30, 3, 4, image, false};
	unsigned wanted = 1;
	struct vnc_watcher v;

	vnc_create_here(p, "");
	vnc_show(p);
	paint_cursor(image);
	vnc_new_client(&v, p->socket, 0)->appData.useRemoteCursor = TRUE;
	vnc_attach(&v);
	assert_true(vnc_sees_all(&v, p));
	assert_int_equal(v.shapes, 0);
	vnc_set_cursor(p, &c);
	assert_true(vnc_wait_for(&v, has_shape, &wanted));
	assert_int_equal(v.hot_x, 3);
	assert_int_equal(v.hot_y, 4);
	for (unsigned i = 0; i < 64 * 64; i++) {
		assert_int_equal(v.client->rcMask[i], image[i] != 0);
		if (image[i])
			assert_int_equal(((uint32_t *)(void *)v.client->rcSource)[i] & 0xffffff, 0xff0000);
	}
	/* It draws it itself. */
	vnc_paint(p, 5);
	vnc_show(p);
	assert_true(vnc_sees_all(&v, p));
	vnc_leave(&v);
}

/* What a viewer sees that doesn't draw @c, the image of paint_cursor(), itself: to be freed. */
static uint32_t *with_cursor(const struct vnc_place *p, const struct display_cursor *c)
{
	uint32_t *all = malloc(sizeof(p->pixels));

	assert_non_null(all);
	memcpy(all, p->pixels, sizeof(p->pixels));
	for (unsigned x = 0; x < 10; x++) {
		uint32_t *to = &all[(c->y - c->hot_y + 2) * VNC_WIDTH + c->x - c->hot_x + x];
		const uint32_t g = *to >> 8 & 0xff, b = *to & 0xff;

		if (x < 5)
			*to = 0xff0000;
		else /* 102 / 255 of what is under it */
			*to = ((0x99 + ((*to >> 16 & 0xff) * 102 + 127) / 255) << 16) | (g * 102 + 127) / 255 << 8 |
			      (b * 102 + 127) / 255;
	}
	return all;
}

static void a_cursor_is_drawn_for_who_cannot(void **state)
{
	struct vnc_place *p = *state;
	uint32_t image[64 * 64], *expected;
	struct display_cursor c = {20, 30, 3, 4, image, false};
	struct vnc_watcher v;

	vnc_create_here(p, "");
	vnc_show(p);
	paint_cursor(image);
	vnc_new_client(&v, p->socket, 0)->appData.useRemoteCursor = FALSE;
	vnc_attach(&v);
	assert_true(vnc_sees_all(&v, p));
	vnc_set_cursor(p, &c);
	for (unsigned turn = 0; turn < 3; turn++) {
		expected = with_cursor(p, &c);
		assert_true(vnc_sees(&v, expected, VNC_WIDTH, VNC_HEIGHT));
		free(expected);
		/* Once it moves, once the picture changes under it. */
		if (turn == 0) {
			c.x = 150;
			c.moved_only = true;
			vnc_set_cursor(p, &c);
		} else {
			vnc_paint(p, 0x123456);
			vnc_show(p);
		}
	}
	c = (struct display_cursor){0};
	vnc_set_cursor(p, &c);
	assert_true(vnc_sees_all(&v, p));
	vnc_leave(&v);
}

/* The guest had it before the viewer came, who may change its mind about who draws it, too. */
static void a_cursor_is_drawn_once(void **state)
{
	struct vnc_place *p = *state;
	uint32_t image[64 * 64], *expected;
	struct display_cursor c = {200, 130, 0, 1, image, false};
	struct vnc_watcher v;
	unsigned wanted = 1;

	vnc_create_here(p, "");
	vnc_show(p);
	paint_cursor(image);
	vnc_set_cursor(p, &c);
	expected = with_cursor(p, &c);
	vnc_new_client(&v, p->socket, 0)->appData.useRemoteCursor = FALSE;
	vnc_attach(&v);
	assert_true(vnc_sees(&v, expected, VNC_WIDTH, VNC_HEIGHT));
	for (unsigned turn = 0; turn < 2; turn++) {
		v.client->appData.useRemoteCursor = turn == 0;
		assert_true(SetFormatAndEncodings(v.client));
		vnc_show(p);
		if (turn == 0)
			assert_true(vnc_sees_all(&v, p) && vnc_wait_for(&v, has_shape, &wanted));
		else
			assert_true(vnc_sees(&v, expected, VNC_WIDTH, VNC_HEIGHT));
	}
	vnc_leave(&v);
	free(expected);
}

/* Scanout @number shows a picture as big as can be, then a small one or nothing. */
struct big_picture {
	struct vnc_place *place;
	unsigned number;
	bool then_small;
};

static void show_big(void *arg)
{
	static const uint32_t row[8192];
	const struct big_picture *b = arg;
	struct display_output *o = b->place->output;
	struct display_frame f = {row, 8192, 4096, 0, DISPLAY_XRGB8888, {0, 0, 1, 1}};

	assert_int_equal(o->ops->present(o, b->number, &f), 0);
	f.width = f.height = 100;
	if (b->then_small)
		assert_int_equal(o->ops->present(o, b->number, &f), 0);
	else
		o->ops->blank(o, b->number);
}

/* The guest's limit is one of all that it shows at a time. */
static void pictures_of_before_take_no_memory(void **state)
{
	struct vnc_place *p = *state;
	struct vnc_watcher v;
	size_t bytes;

	vnc_create_here(p, "");
	bytes = mallinfo2().hblkhd;
	for (unsigned i = 0; i < 4; i++)
		loop_call(p->loop, show_big, &(struct big_picture){p, i, i % 2});
	if (USAGE_MEMORY_TELLS)
		assert_true(mallinfo2().hblkhd < bytes + (16 << 20));
	/* Who looks later is told all the same. */
	vnc_look(&v, p);
	assert_true(vnc_wait_for(&v, is_black_with_words, NULL));
	vnc_leave(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VNC_CASE(every_format_is_seen_exactly),
		VNC_CASE(every_encoding_gives_the_same_pixels),
		VNC_CASE(only_the_damage_is_sent),
		VNC_CASE(a_new_size_reaches_the_viewer),
		VNC_CASE(a_viewer_of_fixed_size_sees_what_fits),
		VNC_CASE(a_viewer_of_fixed_size_costs_nothing_for_what_it_cannot_see),
		VNC_CASE(a_guest_that_shows_nothing_is_said_to),
		VNC_CASE(a_picture_too_big_for_viewers_is_refused),
		VNC_CASE(the_viewer_gets_the_cursor),
		VNC_CASE(a_cursor_is_drawn_for_who_cannot),
		VNC_CASE(a_cursor_is_drawn_once),
		VNC_CASE(pictures_of_before_take_no_memory),
	};

	signal(SIGPIPE, SIG_IGN);
	mallopt(M_ARENA_MAX, 1); /* mallinfo2() tells of no others */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
