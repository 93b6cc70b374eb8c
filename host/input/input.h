/* SPDX-License-Identifier: MIT */
/*
 * virtio-input (virtio 1.4, section 5.8): keyboards and pointers for the guest.
 *
 * Events travel in reports: what changed at one moment, ended by SYN_REPORT. A report is queued whole or not at all; the
 * queue is bounded, and what a guest doesn't fetch stays in it. When it is full, reports are dropped, and once the guest
 * has fetched all there is, it gets one report of what changed meanwhile: keys let go, fingers lifted. So no key stays
 * stuck, whatever was lost. What a mouse moved while the queue was full is lost.
 *
 * Thread: the device's loop, except where a line says otherwise.
 */
#ifndef MULLION_HOST_INPUT_INPUT_H
#define MULLION_HOST_INPUT_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/virtio_input.h"

struct guest_mem;
struct loop;
struct virtio_device;

/* Events of a report at most, the SYN_REPORT that ends it not counted. */
#define INPUT_REPORT_MAX 255u
/* Events that wait for the guest at most. */
#define INPUT_QUEUE_MAX 2048u
#define INPUT_SLOTS 10u

enum input_kind {
	INPUT_KEYBOARD,
	INPUT_TABLET,     /* a pointer with absolute positions, buttons and wheels */
	INPUT_MULTITOUCH, /* a touch screen of INPUT_SLOTS fingers */
	INPUT_MOUSE,      /* relative */
	INPUT_KIND_COUNT,
};

const char *input_kind_name(enum input_kind kind);

#define INPUT_BITMAP_BYTES 128u

/* What the device says it is: the tables of section 5.8.4. */
struct input_identity {
	char name[128], serial[128]; /* end with a 0 byte unless they fill the field */
	struct virtio_input_devids ids;
	uint8_t properties[INPUT_BITMAP_BYTES];
	uint8_t events[EV_CNT][INPUT_BITMAP_BYTES]; /* codes by type */
	struct virtio_input_absinfo axes[ABS_CNT];
};

/* What a device of @kind is; @number counts those of the kind, for its serial number. */
void input_identity_init(struct input_identity *identity, enum input_kind kind, unsigned number);

struct input_config {
	enum input_kind kind;
	unsigned number; /* of its kind, from 0 */
	/* An evdev node of the host (/dev/input/event3) whose events the guest gets, and nobody else; NULL: none. */
	const char *evdev;
};

/* Returns 0 or a negative errno after one line with the cure. Thread: any, before @loop runs, or @loop's. */
int input_create(const struct input_config *config, struct loop *loop, const struct guest_mem *mem,
		 struct virtio_device **out);

struct input_event_value {
	uint16_t type, code; /* EV_*, KEY_* and so on; no SYN_REPORT */
	int32_t value;
};

/*
 * Queue one report of @n events, INPUT_REPORT_MAX at most. Events of types and codes that the device doesn't have are
 * left out, and so is a report without any left. Copies, never blocks. Returns false when the report was dropped.
 * Thread: any.
 */
bool input_report(struct virtio_device *d, const struct input_event_value *events, unsigned n);

struct input_counters {
	uint64_t reports, dropped_reports; /* queued; dropped */
	uint64_t events;                   /* given to the guest, with SYN_REPORTs */
	uint64_t status_events;            /* from the guest: lights and sounds */
	uint64_t leds;                     /* which lights are on, by LED_* */
};

void input_get_counters(struct virtio_device *d, struct input_counters *out);

#endif
