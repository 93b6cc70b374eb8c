/* SPDX-License-Identifier: MIT */
/*
 * A guest's keyboard and pointers as one input sink: keys go to its first keyboard, the pointer to its first tablet, or
 * as a finger to its touch screen, or as movement to its mouse.
 */
#ifndef MULLION_HOST_INPUT_SEAT_H
#define MULLION_HOST_INPUT_SEAT_H

#include "host/input/input.h"
#include "host/virtio/input_sink.h"

struct input_seat;

int input_seat_create(struct input_seat **out);
/* Nobody may use the sink any more. The devices stay. NULL is fine. */
void input_seat_destroy(struct input_seat *s);

/* @d outlives the seat's use. Thread: any, before the sink is handed out. */
void input_seat_add(struct input_seat *s, enum input_kind kind, struct virtio_device *d);

/* Whether the guest has a device of @kind here. Thread: any. */
bool input_seat_has(const struct input_seat *s, enum input_kind kind);

struct input_sink *input_seat_sink(struct input_seat *s);

#endif
