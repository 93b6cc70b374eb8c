/* SPDX-License-Identifier: MIT */
/*
 * What mullion loads (mullion-display.so) to show the frames of an isolated device on an output that needs what the device's
 * sandbox takes away: host/display/screen.h. It takes host/base from the program that loads it.
 */
#ifndef MULLION_HOST_VIRTIO_SCREEN_MODULE_H
#define MULLION_HOST_VIRTIO_SCREEN_MODULE_H

#include <stdint.h>

#define SCREEN_MODULE_ABI 1u
#define SCREEN_MODULE_SYMBOL "mullion_screen_module"

struct input_sink;
struct loop;
struct screen;

/* Thread: the loop given at creation, for every call. */
struct screen_module {
	uint32_t abi; /* first; SCREEN_MODULE_ABI, anything else is refused */
	/*
	 * Make the output that @spec names, with a screen on it; @input takes what its user types, and outlives it. Prints
	 * one line and returns a negative errno on failure.
	 */
	int (*create)(struct loop *loop, const char *spec, struct input_sink *input, struct screen **out);
	/* Show what comes on the socket @fd (taken), instead of what came before. Returns 0 or a negative errno. */
	int (*connect)(struct screen *s, int fd);
	void (*destroy)(struct screen *s);
};

#endif
