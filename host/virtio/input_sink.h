/* SPDX-License-Identifier: MIT */
/*
 * Where a user's keys and pointer go, seen from whoever has a user: a display's window, a control socket. Values are
 * copied, nothing blocks, and a guest that takes no events costs its user events, not the caller time. Thread: any.
 */
#ifndef MULLION_HOST_VIRTIO_INPUT_SINK_H
#define MULLION_HOST_VIRTIO_INPUT_SINK_H

#include <stdbool.h>
#include <stdint.h>

/* Positions go from 0 to this, left to right and top to bottom of everything that is shown. */
#define INPUT_POSITION_MAX 32767

enum input_button { INPUT_BUTTON_LEFT = 1, INPUT_BUTTON_MIDDLE = 2, INPUT_BUTTON_RIGHT = 4 };

struct input_pointer {
	int32_t x, y;                      /* 0..INPUT_POSITION_MAX */
	unsigned buttons;                  /* held now: enum input_button */
	int32_t wheel, horizontal_wheel; /* steps: up and right are positive */
};

#define INPUT_FINGERS 10u

struct input_touch {
	unsigned finger; /* 0..INPUT_FINGERS - 1 */
	bool down;       /* on the screen, at: */
	int32_t x, y;    /* 0..INPUT_POSITION_MAX */
};

struct input_sink {
	const struct input_sink_ops *ops;
};

struct input_sink_ops {
	/* @code: KEY_* of <linux/input-event-codes.h> */
	void (*key)(struct input_sink *s, uint16_t code, bool down);
	void (*pointer)(struct input_sink *s, const struct input_pointer *p);
	/* A finger comes, moves, or goes; nothing happens in a guest without a touch screen. */
	void (*touch)(struct input_sink *s, const struct input_touch *t);
};

#endif
