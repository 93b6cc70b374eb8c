// SPDX-License-Identifier: MIT
#include "host/input/seat.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* Of the whole width: what a mouse counts when the pointer crosses it. */
#define MOUSE_RANGE 2048

struct input_seat {
	struct input_sink base;
	struct virtio_device *devices[INPUT_KIND_COUNT]; /* the first of each kind */
	pthread_mutex_t lock;                            /* what the pointer was last, and the fingers */
	struct input_pointer last;
	bool fingers[INPUT_SLOTS]; /* that are down */
	int32_t next_id;
};

static_assert(INPUT_SLOTS == INPUT_FINGERS, "a slot for each finger");

static const struct {
	unsigned button;
	uint16_t code;
} buttons[] = {
	{INPUT_BUTTON_LEFT, BTN_LEFT},
	{INPUT_BUTTON_MIDDLE, BTN_MIDDLE},
	{INPUT_BUTTON_RIGHT, BTN_RIGHT},
};

struct report {
	struct input_event_value events[16];
	unsigned n;
};

static void add(struct report *r, uint16_t type, uint16_t code, int32_t value)
{
	r->events[r->n++] = (struct input_event_value){type, code, value};
}

static void add_wheels(struct report *r, const struct input_pointer *p)
{
	if (p->wheel)
		add(r, EV_REL, REL_WHEEL, p->wheel);
	if (p->horizontal_wheel)
		add(r, EV_REL, REL_HWHEEL, p->horizontal_wheel);
}

static void add_buttons(struct report *r, unsigned before, unsigned now)
{
	for (size_t i = 0; i < sizeof(buttons) / sizeof(*buttons); i++) {
		if ((before ^ now) & buttons[i].button)
			add(r, EV_KEY, buttons[i].code, (now & buttons[i].button) != 0);
	}
}

static void add_tablet(struct report *r, const struct input_pointer *before, const struct input_pointer *p)
{
	add(r, EV_ABS, ABS_X, p->x);
	add(r, EV_ABS, ABS_Y, p->y);
	add_buttons(r, before->buttons, p->buttons);
	add_wheels(r, p);
}

/* The lowest finger that is down, or INPUT_SLOTS. */
static unsigned first_finger(const struct input_seat *s)
{
	unsigned i = 0;

	while (i < INPUT_SLOTS && !s->fingers[i])
		i++;
	return i;
}

/* Also for those who know one finger only: BTN_TOUCH and the plain axes, which follow the first. */
static void add_touch(struct input_seat *s, struct report *r, const struct input_touch *t)
{
	const bool was_down = s->fingers[t->finger], was_touched = first_finger(s) < INPUT_SLOTS;

	if (!was_down && !t->down)
		return;
	s->fingers[t->finger] = t->down;
	add(r, EV_ABS, ABS_MT_SLOT, (int32_t)t->finger);
	if (!t->down) {
		add(r, EV_ABS, ABS_MT_TRACKING_ID, -1);
		if (first_finger(s) == INPUT_SLOTS)
			add(r, EV_KEY, BTN_TOUCH, 0);
		return;
	}
	if (!was_down) {
		add(r, EV_ABS, ABS_MT_TRACKING_ID, s->next_id);
		s->next_id = (s->next_id + 1) & 0xffff;
	}
	add(r, EV_ABS, ABS_MT_POSITION_X, t->x);
	add(r, EV_ABS, ABS_MT_POSITION_Y, t->y);
	if (!was_touched)
		add(r, EV_KEY, BTN_TOUCH, 1);
	if (first_finger(s) == t->finger) {
		add(r, EV_ABS, ABS_X, t->x);
		add(r, EV_ABS, ABS_Y, t->y);
	}
}

/* Positions are scaled before they are subtracted, so that small steps add up. */
static int32_t moved(int32_t from, int32_t to)
{
	return to * MOUSE_RANGE / INPUT_POSITION_MAX - from * MOUSE_RANGE / INPUT_POSITION_MAX;
}

static void add_mouse(struct report *r, const struct input_pointer *before, const struct input_pointer *p)
{
	int32_t x = moved(before->x, p->x), y = moved(before->y, p->y);

	if (x)
		add(r, EV_REL, REL_X, x);
	if (y)
		add(r, EV_REL, REL_Y, y);
	add_buttons(r, before->buttons, p->buttons);
	add_wheels(r, p);
}

static int32_t inside(int32_t v)
{
	return v < 0 ? 0 : v > INPUT_POSITION_MAX ? INPUT_POSITION_MAX : v;
}

static void pointer(struct input_sink *base, const struct input_pointer *given)
{
	struct input_seat *s = (struct input_seat *)base;
	struct input_pointer p = *given;
	struct virtio_device *to;
	struct report r = {.n = 0};

	p.x = inside(p.x);
	p.y = inside(p.y);
	pthread_mutex_lock(&s->lock);
	if (s->devices[INPUT_TABLET]) {
		to = s->devices[INPUT_TABLET];
		add_tablet(&r, &s->last, &p);
	} else if (s->devices[INPUT_MULTITOUCH]) {
		/* The left button is the first finger; without it there is nothing to tell. */
		const struct input_touch t = {.down = p.buttons & INPUT_BUTTON_LEFT, .x = p.x, .y = p.y};

		to = s->devices[INPUT_MULTITOUCH];
		add_touch(s, &r, &t);
	} else {
		to = s->devices[INPUT_MOUSE];
		add_mouse(&r, &s->last, &p);
	}
	s->last = p;
	if (to && r.n)
		input_report(to, r.events, r.n);
	pthread_mutex_unlock(&s->lock);
}

static void key(struct input_sink *base, uint16_t code, bool down)
{
	struct input_seat *s = (struct input_seat *)base;
	const struct input_event_value e = {EV_KEY, code, down};

	if (s->devices[INPUT_KEYBOARD])
		input_report(s->devices[INPUT_KEYBOARD], &e, 1);
}

static void touch(struct input_sink *base, const struct input_touch *given)
{
	struct input_seat *s = (struct input_seat *)base;
	struct virtio_device *to = s->devices[INPUT_MULTITOUCH];
	struct input_touch t = *given;
	struct report r = {.n = 0};

	if (!to || t.finger >= INPUT_SLOTS)
		return;
	t.x = inside(t.x);
	t.y = inside(t.y);
	pthread_mutex_lock(&s->lock);
	add_touch(s, &r, &t);
	if (r.n)
		input_report(to, r.events, r.n);
	pthread_mutex_unlock(&s->lock);
}

static const struct input_sink_ops seat_ops = {.key = key, .pointer = pointer, .touch = touch};

int input_seat_create(struct input_seat **out)
{
	struct input_seat *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->base.ops = &seat_ops;
	pthread_mutex_init(&s->lock, NULL);
	*out = s;
	return 0;
}

void input_seat_destroy(struct input_seat *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void input_seat_add(struct input_seat *s, enum input_kind kind, struct virtio_device *d)
{
	if (!s->devices[kind])
		s->devices[kind] = d;
}

bool input_seat_has(const struct input_seat *s, enum input_kind kind)
{
	return s->devices[kind] != NULL;
}

struct input_sink *input_seat_sink(struct input_seat *s)
{
	return &s->base;
}
