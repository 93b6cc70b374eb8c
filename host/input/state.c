// SPDX-License-Identifier: MIT
#include "host/input/state.h"

#include <stddef.h>

static bool is_down(const struct input_state *s, unsigned code)
{
	return s->keys[code / 8] >> (code % 8) & 1;
}

static void apply_key(struct input_state *s, const struct input_event_value *e)
{
	if (e->code >= KEY_CNT)
		return;
	if (e->value)
		s->keys[e->code / 8] |= (uint8_t)(1u << (e->code % 8));
	else
		s->keys[e->code / 8] &= (uint8_t)~(1u << (e->code % 8));
}

static void apply_axis(struct input_state *s, const struct input_event_value *e)
{
	struct input_slot *slot = s->slot < INPUT_SLOTS ? &s->slots[s->slot] : NULL;

	if (e->code < ABS_MT_SLOT)
		s->axes[e->code] = e->value;
	else if (e->code == ABS_MT_SLOT)
		s->slot = e->value >= 0 && e->value < (int32_t)INPUT_SLOTS ? (unsigned)e->value : INPUT_SLOTS;
	else if (slot && e->code == ABS_MT_TRACKING_ID)
		slot->id = e->value < 0 || e->value == INT32_MAX ? 0 : e->value + 1;
	else if (slot && e->code == ABS_MT_POSITION_X)
		slot->x = e->value;
	else if (slot && e->code == ABS_MT_POSITION_Y)
		slot->y = e->value;
}

void input_state_apply(struct input_state *s, const struct input_event_value *e)
{
	if (e->type == EV_KEY)
		apply_key(s, e);
	else if (e->type == EV_ABS)
		apply_axis(s, e);
}

struct list {
	struct input_event_value *events;
	unsigned count, cap;
};

static void add(struct list *l, uint16_t type, unsigned code, int32_t value)
{
	if (l->count < l->cap)
		l->events[l->count++] = (struct input_event_value){type, (uint16_t)code, value};
}

static void diff_slot(struct list *l, unsigned n, const struct input_slot *from, const struct input_slot *to)
{
	if (from->id == to->id && from->x == to->x && from->y == to->y)
		return;
	add(l, EV_ABS, ABS_MT_SLOT, (int32_t)n);
	/* A finger that was lifted and another that came: Linux wants to see both. */
	if (from->id != to->id && from->id && to->id)
		add(l, EV_ABS, ABS_MT_TRACKING_ID, -1);
	if (from->id != to->id)
		add(l, EV_ABS, ABS_MT_TRACKING_ID, to->id - 1);
	if (from->x != to->x)
		add(l, EV_ABS, ABS_MT_POSITION_X, to->x);
	if (from->y != to->y)
		add(l, EV_ABS, ABS_MT_POSITION_Y, to->y);
}

unsigned input_state_diff(const struct input_state *from, const struct input_state *to, struct input_event_value *events,
			  unsigned cap)
{
	struct list l = {.events = events, .cap = cap};
	unsigned keys;

	/* What is let go comes first, in case there is no room for all. */
	for (unsigned i = 0; i < KEY_CNT; i++) {
		if (is_down(from, i) && !is_down(to, i))
			add(&l, EV_KEY, i, 0);
	}
	keys = l.count;
	for (unsigned i = 0; i < INPUT_SLOTS; i++)
		diff_slot(&l, i, &from->slots[i], &to->slots[i]);
	/* What follows goes on about the finger that its sender has in mind. */
	if (to->slot < INPUT_SLOTS && (l.count > keys || from->slot != to->slot))
		add(&l, EV_ABS, ABS_MT_SLOT, (int32_t)to->slot);
	for (unsigned i = 0; i < ABS_MT_SLOT; i++) {
		if (from->axes[i] != to->axes[i])
			add(&l, EV_ABS, i, to->axes[i]);
	}
	for (unsigned i = 0; i < KEY_CNT; i++) {
		if (!is_down(from, i) && is_down(to, i))
			add(&l, EV_KEY, i, 1);
	}
	return l.count;
}
