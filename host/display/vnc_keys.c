// SPDX-License-Identifier: MIT
#include "host/display/vnc_keys.h"

#include <rfb/keysym.h>
#include <stddef.h>
#include <string.h>

#include "host/base/log.h"
#include "host/virtio/input_sink.h"

/* How Shift must be for a character; keys that are no characters don't care. */
enum shift { ANY, PLAIN, SHIFTED };

/* XF86 keysyms (XF86keysym.h of X11), which rfb/keysym.h leaves out: 0x1008ff00 and a byte. */
#define XF86(n) (0x1008ff00u | (n))

struct key {
	uint16_t code;
	uint8_t shift; /* enum shift */
};

/* 0x20..0x7e: what a US keyboard prints. */
static const struct key ascii[] = {
	{KEY_SPACE, ANY},
	{KEY_1, SHIFTED},
	{KEY_APOSTROPHE, SHIFTED},
	{KEY_3, SHIFTED},
	{KEY_4, SHIFTED},
	{KEY_5, SHIFTED},
	{KEY_7, SHIFTED},
	{KEY_APOSTROPHE, PLAIN},
	{KEY_9, SHIFTED},
	{KEY_0, SHIFTED},
	{KEY_8, SHIFTED},
	{KEY_EQUAL, SHIFTED},
	{KEY_COMMA, PLAIN},
	{KEY_MINUS, PLAIN},
	{KEY_DOT, PLAIN},
	{KEY_SLASH, PLAIN},
	{KEY_0, PLAIN},
	{KEY_1, PLAIN},
	{KEY_2, PLAIN},
	{KEY_3, PLAIN},
	{KEY_4, PLAIN},
	{KEY_5, PLAIN},
	{KEY_6, PLAIN},
	{KEY_7, PLAIN},
	{KEY_8, PLAIN},
	{KEY_9, PLAIN},
	{KEY_SEMICOLON, SHIFTED},
	{KEY_SEMICOLON, PLAIN},
	{KEY_COMMA, SHIFTED},
	{KEY_EQUAL, PLAIN},
	{KEY_DOT, SHIFTED},
	{KEY_SLASH, SHIFTED},
	{KEY_2, SHIFTED},
	{KEY_A, SHIFTED},
	{KEY_B, SHIFTED},
	{KEY_C, SHIFTED},
	{KEY_D, SHIFTED},
	{KEY_E, SHIFTED},
	{KEY_F, SHIFTED},
	{KEY_G, SHIFTED},
	{KEY_H, SHIFTED},
	{KEY_I, SHIFTED},
	{KEY_J, SHIFTED},
	{KEY_K, SHIFTED},
	{KEY_L, SHIFTED},
	{KEY_M, SHIFTED},
	{KEY_N, SHIFTED},
	{KEY_O, SHIFTED},
	{KEY_P, SHIFTED},
	{KEY_Q, SHIFTED},
	{KEY_R, SHIFTED},
	{KEY_S, SHIFTED},
	{KEY_T, SHIFTED},
	{KEY_U, SHIFTED},
	{KEY_V, SHIFTED},
	{KEY_W, SHIFTED},
	{KEY_X, SHIFTED},
	{KEY_Y, SHIFTED},
	{KEY_Z, SHIFTED},
	{KEY_LEFTBRACE, PLAIN},
	{KEY_BACKSLASH, PLAIN},
	{KEY_RIGHTBRACE, PLAIN},
	{KEY_6, SHIFTED},
	{KEY_MINUS, SHIFTED},
	{KEY_GRAVE, PLAIN},
	{KEY_A, PLAIN},
	{KEY_B, PLAIN},
	{KEY_C, PLAIN},
	{KEY_D, PLAIN},
	{KEY_E, PLAIN},
	{KEY_F, PLAIN},
	{KEY_G, PLAIN},
	{KEY_H, PLAIN},
	{KEY_I, PLAIN},
	{KEY_J, PLAIN},
	{KEY_K, PLAIN},
	{KEY_L, PLAIN},
	{KEY_M, PLAIN},
	{KEY_N, PLAIN},
	{KEY_O, PLAIN},
	{KEY_P, PLAIN},
	{KEY_Q, PLAIN},
	{KEY_R, PLAIN},
	{KEY_S, PLAIN},
	{KEY_T, PLAIN},
	{KEY_U, PLAIN},
	{KEY_V, PLAIN},
	{KEY_W, PLAIN},
	{KEY_X, PLAIN},
	{KEY_Y, PLAIN},
	{KEY_Z, PLAIN},
	{KEY_LEFTBRACE, SHIFTED},
	{KEY_BACKSLASH, SHIFTED},
	{KEY_RIGHTBRACE, SHIFTED},
	{KEY_GRAVE, SHIFTED},
};

static const struct {
	uint32_t keysym;
	struct key key;
} others[] = {
	{XK_BackSpace, {KEY_BACKSPACE, ANY}},
	{XK_Tab, {KEY_TAB, ANY}},
	{XK_ISO_Left_Tab, {KEY_TAB, ANY}}, /* what X makes of Shift and Tab */
	{XK_Linefeed, {KEY_LINEFEED, ANY}},
	{XK_Return, {KEY_ENTER, ANY}},
	{XK_Pause, {KEY_PAUSE, ANY}},
	{XK_Break, {KEY_PAUSE, ANY}},
	{XK_Scroll_Lock, {KEY_SCROLLLOCK, ANY}},
	{XK_Sys_Req, {KEY_SYSRQ, ANY}},
	{XK_Print, {KEY_SYSRQ, ANY}},
	{XK_Escape, {KEY_ESC, ANY}},
	{XK_Delete, {KEY_DELETE, ANY}},
	{XK_Home, {KEY_HOME, ANY}},
	{XK_Left, {KEY_LEFT, ANY}},
	{XK_Up, {KEY_UP, ANY}},
	{XK_Right, {KEY_RIGHT, ANY}},
	{XK_Down, {KEY_DOWN, ANY}},
	{XK_Page_Up, {KEY_PAGEUP, ANY}},
	{XK_Page_Down, {KEY_PAGEDOWN, ANY}},
	{XK_End, {KEY_END, ANY}},
	{XK_Insert, {KEY_INSERT, ANY}},
	{XK_Undo, {KEY_UNDO, ANY}},
	{XK_Redo, {KEY_REDO, ANY}},
	{XK_Find, {KEY_FIND, ANY}},
	{XK_Help, {KEY_HELP, ANY}},
	{XK_Menu, {KEY_COMPOSE, ANY}},
	{XK_Num_Lock, {KEY_NUMLOCK, ANY}},
	{XK_KP_Enter, {KEY_KPENTER, ANY}},
	{XK_KP_Equal, {KEY_KPEQUAL, ANY}},
	{XK_KP_Multiply, {KEY_KPASTERISK, ANY}},
	{XK_KP_Add, {KEY_KPPLUS, ANY}},
	{XK_KP_Separator, {KEY_KPCOMMA, ANY}},
	{XK_KP_Subtract, {KEY_KPMINUS, ANY}},
	{XK_KP_Divide, {KEY_KPSLASH, ANY}},
	/* What these keys of a keypad do hangs on the guest's Num Lock, and what the viewer meant doesn't. */
	{XK_KP_Decimal, {KEY_DOT, PLAIN}},
	{XK_KP_0, {KEY_0, PLAIN}},
	{XK_KP_1, {KEY_1, PLAIN}},
	{XK_KP_2, {KEY_2, PLAIN}},
	{XK_KP_3, {KEY_3, PLAIN}},
	{XK_KP_4, {KEY_4, PLAIN}},
	{XK_KP_5, {KEY_5, PLAIN}},
	{XK_KP_6, {KEY_6, PLAIN}},
	{XK_KP_7, {KEY_7, PLAIN}},
	{XK_KP_8, {KEY_8, PLAIN}},
	{XK_KP_9, {KEY_9, PLAIN}},
	{XK_KP_Home, {KEY_HOME, ANY}},
	{XK_KP_Up, {KEY_UP, ANY}},
	{XK_KP_Page_Up, {KEY_PAGEUP, ANY}},
	{XK_KP_Left, {KEY_LEFT, ANY}},
	{XK_KP_Begin, {KEY_KP5, ANY}},
	{XK_KP_Right, {KEY_RIGHT, ANY}},
	{XK_KP_End, {KEY_END, ANY}},
	{XK_KP_Down, {KEY_DOWN, ANY}},
	{XK_KP_Page_Down, {KEY_PAGEDOWN, ANY}},
	{XK_KP_Insert, {KEY_INSERT, ANY}},
	{XK_KP_Delete, {KEY_DELETE, ANY}},
	{XK_F1, {KEY_F1, ANY}},
	{XK_F2, {KEY_F2, ANY}},
	{XK_F3, {KEY_F3, ANY}},
	{XK_F4, {KEY_F4, ANY}},
	{XK_F5, {KEY_F5, ANY}},
	{XK_F6, {KEY_F6, ANY}},
	{XK_F7, {KEY_F7, ANY}},
	{XK_F8, {KEY_F8, ANY}},
	{XK_F9, {KEY_F9, ANY}},
	{XK_F10, {KEY_F10, ANY}},
	{XK_F11, {KEY_F11, ANY}},
	{XK_F12, {KEY_F12, ANY}},
	{XK_F13, {KEY_F13, ANY}},
	{XK_F14, {KEY_F14, ANY}},
	{XK_F15, {KEY_F15, ANY}},
	{XK_F16, {KEY_F16, ANY}},
	{XK_F17, {KEY_F17, ANY}},
	{XK_F18, {KEY_F18, ANY}},
	{XK_F19, {KEY_F19, ANY}},
	{XK_F20, {KEY_F20, ANY}},
	{XK_F21, {KEY_F21, ANY}},
	{XK_F22, {KEY_F22, ANY}},
	{XK_F23, {KEY_F23, ANY}},
	{XK_F24, {KEY_F24, ANY}},
	{XK_Shift_L, {KEY_LEFTSHIFT, ANY}},
	{XK_Shift_R, {KEY_RIGHTSHIFT, ANY}},
	{XK_Control_L, {KEY_LEFTCTRL, ANY}},
	{XK_Control_R, {KEY_RIGHTCTRL, ANY}},
	{XK_Caps_Lock, {KEY_CAPSLOCK, ANY}},
	{XK_Meta_L, {KEY_LEFTMETA, ANY}},
	{XK_Meta_R, {KEY_RIGHTMETA, ANY}},
	{XK_Super_L, {KEY_LEFTMETA, ANY}},
	{XK_Super_R, {KEY_RIGHTMETA, ANY}},
	{XK_Alt_L, {KEY_LEFTALT, ANY}},
	{XK_Alt_R, {KEY_RIGHTALT, ANY}},
	/* Of Latin-1 beyond ASCII, what stands on a key where it is printed. */
	{XK_nobreakspace, {KEY_SPACE, ANY}},
	{XK_acute, {KEY_APOSTROPHE, PLAIN}},
	{XK_diaeresis, {KEY_APOSTROPHE, SHIFTED}},
	{XK_yen, {KEY_YEN, ANY}},
	/* Dead keys, as on the international US layout. */
	{XK_dead_grave, {KEY_GRAVE, PLAIN}},
	{XK_dead_acute, {KEY_APOSTROPHE, PLAIN}},
	{XK_dead_circumflex, {KEY_6, SHIFTED}},
	{XK_dead_tilde, {KEY_GRAVE, SHIFTED}},
	{XK_dead_diaeresis, {KEY_APOSTROPHE, SHIFTED}},
	{XF86(0x02), {KEY_BRIGHTNESSUP, ANY}},
	{XF86(0x03), {KEY_BRIGHTNESSDOWN, ANY}},
	{XF86(0x11), {KEY_VOLUMEDOWN, ANY}},
	{XF86(0x12), {KEY_MUTE, ANY}},
	{XF86(0x13), {KEY_VOLUMEUP, ANY}},
	{XF86(0x14), {KEY_PLAYPAUSE, ANY}},
	{XF86(0x15), {KEY_STOPCD, ANY}},
	{XF86(0x16), {KEY_PREVIOUSSONG, ANY}},
	{XF86(0x17), {KEY_NEXTSONG, ANY}},
	{XF86(0x18), {KEY_HOMEPAGE, ANY}},
	{XF86(0x19), {KEY_MAIL, ANY}},
	{XF86(0x1b), {KEY_SEARCH, ANY}},
	{XF86(0x1d), {KEY_CALC, ANY}},
	{XF86(0x26), {KEY_BACK, ANY}},
	{XF86(0x27), {KEY_FORWARD, ANY}},
	{XF86(0x29), {KEY_REFRESH, ANY}},
	{XF86(0x2a), {KEY_POWER, ANY}},
	{XF86(0x2f), {KEY_SLEEP, ANY}},
	{XF86(0x31), {KEY_PAUSECD, ANY}},
};

/* Where XT scan codes and KEY_* differ; the first 0x58 are the same, but for SysRq. */
static const struct {
	uint8_t xt;
	uint16_t code;
} scan_codes[] = {
	{0x54, KEY_SYSRQ},    {0x59, KEY_KPEQUAL},    {0x5c, KEY_KPCOMMA},
	{0x64, KEY_F13},      {0x65, KEY_F14},	      {0x66, KEY_F15},
	{0x67, KEY_F16},      {0x68, KEY_F17},	      {0x69, KEY_F18},
	{0x6a, KEY_F19},      {0x6b, KEY_F20},	      {0x6c, KEY_F21},
	{0x6d, KEY_F22},      {0x6e, KEY_F23},	      {0x70, KEY_KATAKANAHIRAGANA},
	{0x73, KEY_RO},	      {0x76, KEY_F24},	      {0x77, KEY_HIRAGANA},
	{0x78, KEY_KATAKANA}, {0x79, KEY_HENKAN},     {0x7b, KEY_MUHENKAN},
	{0x7d, KEY_YEN},      {0x7e, KEY_KPCOMMA},    {0x90, KEY_PREVIOUSSONG},
	{0x99, KEY_NEXTSONG}, {0x9c, KEY_KPENTER},    {0x9d, KEY_RIGHTCTRL},
	{0xa0, KEY_MUTE},     {0xa1, KEY_CALC},	      {0xa2, KEY_PLAYPAUSE},
	{0xa4, KEY_STOPCD},   {0xae, KEY_VOLUMEDOWN}, {0xb0, KEY_VOLUMEUP},
	{0xb2, KEY_HOMEPAGE}, {0xb5, KEY_KPSLASH},    {0xb7, KEY_SYSRQ},
	{0xb8, KEY_RIGHTALT}, {0xc5, KEY_NUMLOCK},    {0xc6, KEY_PAUSE},
	{0xc7, KEY_HOME},     {0xc8, KEY_UP},	      {0xc9, KEY_PAGEUP},
	{0xcb, KEY_LEFT},     {0xcd, KEY_RIGHT},      {0xcf, KEY_END},
	{0xd0, KEY_DOWN},     {0xd1, KEY_PAGEDOWN},   {0xd2, KEY_INSERT},
	{0xd3, KEY_DELETE},   {0xdb, KEY_LEFTMETA},   {0xdc, KEY_RIGHTMETA},
	{0xdd, KEY_COMPOSE},  {0xde, KEY_POWER},      {0xdf, KEY_SLEEP},
	{0xe3, KEY_WAKEUP},   {0xe5, KEY_SEARCH},     {0xe6, KEY_BOOKMARKS},
	{0xe7, KEY_REFRESH},  {0xe8, KEY_STOP},	      {0xe9, KEY_FORWARD},
	{0xea, KEY_BACK},     {0xeb, KEY_COMPUTER},   {0xec, KEY_MAIL},
	{0xed, KEY_MEDIA},
};

static bool is_held(const struct vnc_keys *k, uint16_t code)
{
	return k->held[code / 8] >> code % 8 & 1;
}

static void report(struct vnc_keys *k, uint16_t code, bool down)
{
	if (k->sink)
		k->sink->ops->key(k->sink, code, down);
}

static void press(struct vnc_keys *k, uint16_t code, bool down)
{
	/* A viewer repeats a key that is held; guests do that themselves. */
	if (is_held(k, code) == down)
		return;
	k->held[code / 8] ^= (uint8_t)(1u << code % 8);
	if (code == KEY_CAPSLOCK && down)
		k->caps_lock = !k->caps_lock;
	report(k, code, down);
}

static const struct key *find_key(uint32_t keysym)
{
	if (keysym >= 0x20 && keysym - 0x20 < sizeof(ascii) / sizeof(ascii[0]))
		return &ascii[keysym - 0x20];
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (others[i].keysym == keysym)
			return &others[i].key;
	}
	return NULL;
}

/* Press @code as if Shift were held, or as if it weren't, whatever the viewer does with it. */
static void press_with(struct vnc_keys *k, uint16_t code, bool shifted)
{
	const bool left = is_held(k, KEY_LEFTSHIFT), right = is_held(k, KEY_RIGHTSHIFT);

	if ((left || right) == shifted) {
		press(k, code, true);
		return;
	}
	if (shifted)
		report(k, KEY_LEFTSHIFT, true);
	if (left)
		report(k, KEY_LEFTSHIFT, false);
	if (right)
		report(k, KEY_RIGHTSHIFT, false);
	press(k, code, true);
	if (right)
		report(k, KEY_RIGHTSHIFT, true);
	if (left)
		report(k, KEY_LEFTSHIFT, true);
	if (shifted)
		report(k, KEY_LEFTSHIFT, false);
}

void vnc_keys_symbol(struct vnc_keys *k, uint32_t keysym, bool down)
{
	const struct key *key = find_key(keysym);
	bool shifted;

	if (!key) {
		/* AltGr is in the character that the viewer made with it. */
		if (keysym != XK_ISO_Level3_Shift && keysym != XK_Mode_switch && down)
			log_line(LOG_TOPIC_DISPLAY, LOG_DEBUG, "vnc: keysym 0x%x is on no key of a US keyboard",
				 keysym);
		return;
	}
	if (!down || key->shift == ANY || is_held(k, key->code)) {
		press(k, key->code, down);
		return;
	}
	shifted = key->shift == SHIFTED;
	if ((keysym >= XK_a && keysym <= XK_z) || (keysym >= XK_A && keysym <= XK_Z))
		shifted ^= k->caps_lock;
	press_with(k, key->code, shifted);
}

void vnc_keys_scan_code(struct vnc_keys *k, uint32_t xt, uint32_t keysym, bool down)
{
	for (size_t i = 0; i < sizeof(scan_codes) / sizeof(scan_codes[0]); i++) {
		if (scan_codes[i].xt == xt) {
			press(k, scan_codes[i].code, down);
			return;
		}
	}
	if (xt >= KEY_ESC && xt <= KEY_F12)
		press(k, (uint16_t)xt, down);
	else
		vnc_keys_symbol(k, keysym, down);
}

void vnc_keys_release(struct vnc_keys *k)
{
	for (uint16_t code = 0; code < KEY_CNT; code++)
		press(k, code, false);
}
