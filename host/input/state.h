/* SPDX-License-Identifier: MIT */
/*
 * What is held down on an input device: keys and fingers. Two of these compared say what a guest must be told.
 * Thread: any, one at a time.
 */
#ifndef MULLION_HOST_INPUT_STATE_H
#define MULLION_HOST_INPUT_STATE_H

#include "host/input/input.h"

struct input_slot {
	int32_t id; /* of the finger, plus 1; 0: none */
	int32_t x, y;
};

struct input_state {
	uint8_t keys[(KEY_CNT + 7) / 8];
	int32_t axes[ABS_MT_SLOT]; /* the axes of one value */
	struct input_slot slots[INPUT_SLOTS];
	unsigned slot; /* that the next finger events are about; INPUT_SLOTS: one that we don't follow */
};

void input_state_apply(struct input_state *s, const struct input_event_value *e);

/* Write the events that lead from @from to @to, @cap at most. Returns how many. */
unsigned input_state_diff(const struct input_state *from, const struct input_state *to, struct input_event_value *events,
			  unsigned cap);

#endif
