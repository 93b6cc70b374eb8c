/* SPDX-License-Identifier: MIT */
/*
 * A display that gives the frames of scanout 0 to the test, and shows nothing else. Thread: the device's loop.
 */
#ifndef MULLION_TESTS_LIB_FRAME_OUTPUT_H
#define MULLION_TESTS_LIB_FRAME_OUTPUT_H

#include "host/display/display.h"

/* @frame is lent until @show returns. NULL: no memory. */
struct display_output *frame_output_create(void (*show)(void *owner, const struct display_frame *frame), void *owner);

#endif
