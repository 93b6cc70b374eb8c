// SPDX-License-Identifier: MIT
/*
 * --display vnc: what the guest gets of viewers' keys and pointers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <rfb/keysym.h>
#include <signal.h>
#include <stdio.h>

#include "host/display/format.h"
#include "tests/lib/vnc_world.h"

/* ---- what the guest gets ---- */

static void keys_arrive_with_the_shift_they_need(void **state)
{
	struct vnc_place *p = *state;
	struct vnc_watcher v;

	vnc_create_here(p, "");
	vnc_look(&v, p);
	vnc_type(&v, 'a');
	vnc_assert_keys(p, &v, "+30 -30 ");
	vnc_type(&v, 'A'); /* a viewer without keys of its own */
	vnc_assert_keys(p, &v, "+42 +30 -42 -30 ");
	SendKeyEvent(v.client, XK_Shift_R, TRUE);
	vnc_type(&v, '!');
	vnc_type(&v, 'Q');
	vnc_assert_keys(p, &v, "+54 +2 -2 +16 -16 ");
	vnc_type(&v, '1'); /* on a French keyboard it is shifted */
	vnc_assert_keys(p, &v, "-54 +2 +54 -2 ");
	SendKeyEvent(v.client, XK_Shift_R, FALSE);
	vnc_assert_keys(p, &v, "-54 ");
	/* Caps Lock turns letters over, and nothing else. */
	vnc_type(&v, XK_Caps_Lock);
	vnc_type(&v, 'A');
	vnc_type(&v, 'a');
	vnc_type(&v, '+');
	vnc_assert_keys(p, &v, "+58 -58 +30 -30 +42 +30 -42 -30 +42 +13 -42 -13 ");
	vnc_type(&v, XK_Return);
	vnc_type(&v, XK_F12);
	vnc_type(&v, XK_KP_7);
	vnc_type(&v, XK_KP_Home);
	vnc_type(&v, XK_KP_Add);
	vnc_type(&v, XK_Super_L);
	vnc_type(&v, 0x1008ff13);
	vnc_assert_keys(p, &v, "+28 -28 +88 -88 +8 -8 +102 -102 +78 -78 +125 -125 +115 -115 ");
	/* On no key; AltGr; nonsense. */
	vnc_type(&v, XK_adiaeresis);
	vnc_type(&v, XK_ISO_Level3_Shift);
	vnc_type(&v, 0xffffffff);
	vnc_type(&v, 0);
	vnc_type(&v, '~');
	vnc_assert_keys(p, &v, "+42 +41 -42 -41 ");
	vnc_leave(&v);
}

static bool offers_scan_codes(struct vnc_watcher *v, const void *what)
{
	(void)what;
	return SupportsClient2Server(v->client, 255);
}

static void keys_arrive_by_scan_code(void **state)
{
	static const struct {
		uint32_t scan_code;
		const char *keys;
	} cases[] = {
		{0x15, "+21 -21 "},	  {0x56, "+86 -86 "},	{0x58, "+88 -88 "},   {0x9c, "+96 -96 "},
		{0xdb, "+125 -125 "},	  {0xb8, "+100 -100 "}, {0xc8, "+103 -103 "}, {0xc6, "+119 -119 "},
		{0x54, "+99 -99 "},	  {0, "+44 -44 "}, /* none: by the character */
		{0x12345678, "+44 -44 "},
	};
	struct vnc_place *p = *state;
	struct vnc_watcher v;

	vnc_create_here(p, "");
	vnc_look(&v, p);
	assert_true(vnc_wait_for(&v, offers_scan_codes, NULL));
	/* What a German keyboard has at the US one's Y is a Z. */
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SendExtendedKeyEvent(v.client, 'z', cases[i].scan_code, TRUE);
		SendExtendedKeyEvent(v.client, 'z', cases[i].scan_code, FALSE);
		vnc_assert_keys(p, &v, cases[i].keys);
	}
	vnc_leave(&v);
}

static void who_leaves_lets_go(void **state)
{
	struct vnc_place *p = *state;
	struct input_pointer q;
	struct vnc_watcher v;

	vnc_create_here(p, "");
	vnc_show(p);
	vnc_look(&v, p);
	SendKeyEvent(v.client, XK_Control_L, TRUE);
	SendKeyEvent(v.client, XK_Alt_L, TRUE);
	SendKeyEvent(v.client, 'x', TRUE);
	SendKeyEvent(v.client, 'x', TRUE); /* repeated, as viewers do */
	SendPointerEvent(v.client, 10, 10, rfbButton1Mask);
	q = vnc_pointer_event(p, &v, 0);
	assert_int_equal(q.buttons, INPUT_BUTTON_LEFT);
	vnc_leave(&v);
	q = vnc_pointer_event(p, NULL, 1);
	assert_int_equal(q.buttons, 0);
	vnc_assert_keys(p, NULL, "+29 +56 +45 -29 -45 -56 ");
}

static void the_pointer_arrives(void **state)
{
	static const struct {
		int x, y, mask;
		struct input_pointer expected;
	} cases[] = {
		/* the middle of the first and the last pixel: 16384 / 100 and 199 * 16384 / 100, and likewise of 50 */
		{0, 0, 0, {163, 327, 0, 0, 0}},
		{99, 49, 0, {32604, 32440, 0, 0, 0}},
		{10, 10, 1, {3440, 6881, INPUT_BUTTON_LEFT, 0, 0}},
		{10, 10, 2, {3440, 6881, INPUT_BUTTON_MIDDLE, 0, 0}},
		{10, 10, 4, {3440, 6881, INPUT_BUTTON_RIGHT, 0, 0}},
		{10, 10, 8, {3440, 6881, 0, 1, 0}},
		{10, 10, 0, {3440, 6881, 0, 0, 0}},
		{10, 10, 16, {3440, 6881, 0, -1, 0}},
		{10, 10, 32, {3440, 6881, 0, 0, -1}},
		{10, 10, 64 + 5, {3440, 6881, INPUT_BUTTON_LEFT | INPUT_BUTTON_RIGHT, 0, 1}},
		{65535, 65535, 0, {3440, 6881, 0, 0, 0}}, /* outside: where it was */
	};
	struct vnc_place *p = *state;
	struct vnc_watcher v;

	vnc_create_here(p, "");
	assert_int_equal(vnc_present(p, 0, DISPLAY_XRGB8888, 100, 50, (struct display_rect){0, 0, 100, 50}), 0);
	vnc_look(&v, p);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct input_pointer got;

		SendPointerEvent(v.client, cases[i].x, cases[i].y, cases[i].mask);
		got = vnc_pointer_event(p, &v, i);
		assert_memory_equal(&got, &cases[i].expected, sizeof(got));
	}
	vnc_leave(&v);
}

static void scanouts_have_sockets_and_lie_side_by_side(void **state)
{
	struct vnc_place *p = *state;
	struct input_pointer q;
	char path[128];
	struct vnc_watcher v;

	vnc_create_here(p, "");
	assert_int_equal(vnc_present(p, 0, DISPLAY_XRGB8888, 100, 50, (struct display_rect){0, 0, 100, 50}), 0);
	assert_int_equal(vnc_present(p, 3, DISPLAY_XRGB8888, 300, 100, (struct display_rect){0, 0, 300, 100}), 0);
	snprintf(path, sizeof(path), "%s-3", p->socket);
	vnc_new_client(&v, path, 0);
	vnc_attach(&v);
	assert_true(vnc_sees(&v, p->pixels, 300, 100));
	assert_string_equal(v.client->desktopName, "Mullion, display 3");
	SendPointerEvent(v.client, 100, 50, 0);
	q = vnc_pointer_event(p, &v, 0);
	assert_int_equal(q.x, 401 * 32768 / 800);
	assert_int_equal(q.y, 101 * 32768 / 200);
	vnc_leave(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VNC_CASE(keys_arrive_with_the_shift_they_need),
		VNC_CASE(keys_arrive_by_scan_code),
		VNC_CASE(who_leaves_lets_go),
		VNC_CASE(the_pointer_arrives),
		VNC_CASE(scanouts_have_sockets_and_lie_side_by_side),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
