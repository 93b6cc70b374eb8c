/* SPDX-License-Identifier: MIT */
/*
 * An input device of the host, by its evdev node. Thread: one at a time.
 */
#ifndef MULLION_HOST_INPUT_EVDEV_H
#define MULLION_HOST_INPUT_EVDEV_H

#include <stddef.h>

#include "host/input/input.h"

/*
 * Open the node at @path for the guest alone and read what it is into @identity. Returns its descriptor (non-blocking),
 * or a negative errno after a line that says what to do: it isn't there, isn't evdev, is no @kind, may not be opened.
 */
int evdev_open(const char *path, enum input_kind kind, struct input_identity *identity);

/* Collects events to reports; zeroed storage is ready. */
struct evdev_reader {
	struct input_event_value events[INPUT_REPORT_MAX];
	unsigned count;
	bool skipping;    /* until the next SYN_REPORT: the kernel dropped events, or the report was too long */
	bool lost_events; /* set then; whoever sees it asks the device what is held, and clears it */
};

/*
 * Read what @fd has, 64 events at most; @report is called for each whole report. Returns 0, -ENODEV when the device is
 * gone, or another negative errno.
 */
int evdev_read(struct evdev_reader *r, int fd, void (*report)(void *owner, const struct input_event_value *e, unsigned n),
	       void *owner);

/* The keys held on @fd, KEY_CNT bits in @keys. Returns 0 or a negative errno. */
int evdev_keys(int fd, uint8_t *keys, size_t bytes);

/* Switch a light on @fd, or make a sound. */
void evdev_write(int fd, uint16_t type, uint16_t code, int32_t value);

#endif
