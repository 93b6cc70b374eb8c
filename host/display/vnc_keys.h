/* SPDX-License-Identifier: MIT */
/*
 * The keyboard of one VNC viewer. RFB (RFC 6143, section 7.5.4) sends characters, as X keysyms; guests want keys. So a
 * guest with a US layout is assumed, and Shift is pressed or let go around a key whose character needs it otherwise than
 * it is held. A viewer that knows QEMU's extended key events sends keys, and the guest's layout is its own business.
 *
 * Thread: the viewer's.
 */
#ifndef MULLION_HOST_DISPLAY_VNC_KEYS_H
#define MULLION_HOST_DISPLAY_VNC_KEYS_H

#include <linux/input-event-codes.h>
#include <stdbool.h>
#include <stdint.h>

struct input_sink;

struct vnc_keys {
	struct input_sink *sink;	 /* NULL: nobody takes keys */
	uint8_t held[(KEY_CNT + 7) / 8]; /* by KEY_*: what the viewer holds down, as the sink knows it */
	bool caps_lock;			 /* by what this viewer pressed */
};

/* Characters that no key of a US keyboard gives are left out. */
void vnc_keys_symbol(struct vnc_keys *k, uint32_t keysym, bool down);

/* @xt: an XT scan code, plus 0x80 when E0 stands before it; one that isn't in the table falls back to @keysym. */
void vnc_keys_scan_code(struct vnc_keys *k, uint32_t xt, uint32_t keysym, bool down);

/* The viewer has gone: let go what it held. */
void vnc_keys_release(struct vnc_keys *k);

#endif
