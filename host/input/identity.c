// SPDX-License-Identifier: MIT
/* What the built-in devices are: the config tables of virtio 1.4, section 5.8.4. */
#include <stdio.h>
#include <string.h>

#include "host/input/input.h"
#include "host/virtio/input_sink.h"

#define BUS_VIRTUAL_NUMBER 0x06 /* BUS_VIRTUAL of <linux/input.h> */
/* Ours: the maker is no USB or PCI company; drivers don't choose by these. */
#define VENDOR 0x6d75

static const char *const kind_names[INPUT_KIND_COUNT] = {
	[INPUT_KEYBOARD] = "keyboard",
	[INPUT_TABLET] = "tablet",
	[INPUT_MULTITOUCH] = "multitouch",
	[INPUT_MOUSE] = "mouse",
};

const char *input_kind_name(enum input_kind kind)
{
	return kind_names[kind];
}

static void set(uint8_t *bitmap, unsigned code)
{
	bitmap[code / 8] |= (uint8_t)(1u << (code % 8));
}

static void set_range(uint8_t *bitmap, unsigned first, unsigned last)
{
	for (unsigned i = first; i <= last; i++)
		set(bitmap, i);
}

static void axis(struct input_identity *d, unsigned code, uint32_t max)
{
	set(d->events[EV_ABS], code);
	d->axes[code] = (struct virtio_input_absinfo){.max = max};
}

static void keyboard(struct input_identity *d)
{
	/* All keys of <linux/input-event-codes.h> below the buttons. */
	set_range(d->events[EV_KEY], KEY_ESC, KEY_MICMUTE);
	set_range(d->events[EV_LED], LED_NUML, LED_SCROLLL);
	/* The guest repeats held keys itself. */
	set_range(d->events[EV_REP], REP_DELAY, REP_PERIOD);
}

static void tablet(struct input_identity *d)
{
	set_range(d->events[EV_KEY], BTN_LEFT, BTN_MIDDLE);
	set(d->events[EV_REL], REL_WHEEL);
	set(d->events[EV_REL], REL_HWHEEL);
	axis(d, ABS_X, INPUT_POSITION_MAX);
	axis(d, ABS_Y, INPUT_POSITION_MAX);
	set(d->properties, INPUT_PROP_POINTER);
}

static void multitouch(struct input_identity *d)
{
	set(d->events[EV_KEY], BTN_TOUCH);
	/* The plain axes are the first finger's, for programs that know only one. */
	axis(d, ABS_X, INPUT_POSITION_MAX);
	axis(d, ABS_Y, INPUT_POSITION_MAX);
	axis(d, ABS_MT_SLOT, INPUT_SLOTS - 1);
	axis(d, ABS_MT_TRACKING_ID, 65535);
	axis(d, ABS_MT_POSITION_X, INPUT_POSITION_MAX);
	axis(d, ABS_MT_POSITION_Y, INPUT_POSITION_MAX);
	set(d->properties, INPUT_PROP_DIRECT);
}

static void mouse(struct input_identity *d)
{
	set_range(d->events[EV_KEY], BTN_LEFT, BTN_MIDDLE);
	set(d->events[EV_REL], REL_X);
	set(d->events[EV_REL], REL_Y);
	set(d->events[EV_REL], REL_WHEEL);
	set(d->events[EV_REL], REL_HWHEEL);
	set(d->properties, INPUT_PROP_POINTER);
}

void input_identity_init(struct input_identity *identity, enum input_kind kind, unsigned number)
{
	static void (*const fill[INPUT_KIND_COUNT])(struct input_identity *) = {
		[INPUT_KEYBOARD] = keyboard,
		[INPUT_TABLET] = tablet,
		[INPUT_MULTITOUCH] = multitouch,
		[INPUT_MOUSE] = mouse,
	};

	memset(identity, 0, sizeof(*identity));
	snprintf(identity->name, sizeof(identity->name), "Mullion %s", kind_names[kind]);
	snprintf(identity->serial, sizeof(identity->serial), "%s%u", kind_names[kind], number);
	identity->ids = (struct virtio_input_devids){BUS_VIRTUAL_NUMBER, VENDOR, (uint16_t)(kind + 1), 1};
	fill[kind](identity);
}
