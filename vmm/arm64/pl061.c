// SPDX-License-Identifier: MIT
/* Registers as in Arm DDI 0190 (PrimeCell General Purpose Input/Output PL061), chapter 3. */
#include "vmm/arm64/pl061.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/bus.h"
#include "vmm/irq.h"
#include "vmm/vm.h"

enum {
	DATA_END = 0x400, /* data: the address's bits 9..2 say which lines are meant */
	DIR = 0x400,	  /* 1: output */
	IS = 0x404,	  /* 1: level, 0: edge */
	IBE = 0x408,	  /* 1: both edges */
	IEV = 0x40c,	  /* 1: rising edge or high level */
	IE = 0x410,
	RIS = 0x414,
	MIS = 0x418,
	IC = 0x41c,
	AFSEL = 0x420,
	IDS = 0xfe0,
};

struct pl061 {
	struct vm *vm;
	uint32_t gsi;
	uint8_t power; /* the line's bit */
	struct bus_range range;

	pthread_mutex_t lock; /* all below */
	uint8_t input, output, dir, is, ibe, iev, ie, afsel;
	uint8_t edges; /* seen and not cleared */
	bool line;     /* as KVM knows it */
};

static uint8_t levels(const struct pl061 *p)
{
	return (uint8_t)((p->input & ~p->dir) | (p->output & p->dir));
}

static uint8_t raw_status(const struct pl061 *p)
{
	return (uint8_t)((p->edges & ~p->is) | (~(levels(p) ^ p->iev) & p->is));
}

static void update_line(struct pl061 *p)
{
	bool level = raw_status(p) & p->ie;

	if (level == p->line)
		return;
	p->line = level;
	(void)irq_set_level(p->vm, p->gsi, level);
}

/* What the lines showed was @before; note the edges that the guest asks for. */
static void note_edges(struct pl061 *p, uint8_t before)
{
	uint8_t now = levels(p), changed = now ^ before;

	p->edges |= (uint8_t)(changed & ~p->is & (p->ibe | ~(now ^ p->iev)));
}

static uint8_t read_data(struct pl061 *p, uint8_t mask)
{
	uint8_t before = levels(p);

	if (mask & p->power & ~p->dir) {
		p->input &= (uint8_t)~p->power;
		note_edges(p, before);
	}
	return before & mask;
}

static uint8_t read_register(struct pl061 *p, uint64_t offset)
{
	static const uint8_t ids[] = {0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

	if (offset < DATA_END)
		return read_data(p, (uint8_t)(offset >> 2));
	switch (offset) {
	case DIR:
		return p->dir;
	case IS:
		return p->is;
	case IBE:
		return p->ibe;
	case IEV:
		return p->iev;
	case IE:
		return p->ie;
	case RIS:
		return raw_status(p);
	case MIS:
		return raw_status(p) & p->ie;
	case AFSEL:
		return p->afsel;
	}
	return offset >= IDS && offset < IDS + 4 * sizeof(ids) ? ids[(offset - IDS) / 4] : 0;
}

static void write_register(struct pl061 *p, uint64_t offset, uint8_t value)
{
	uint8_t before = levels(p), mask = (uint8_t)(offset >> 2);

	if (offset < DATA_END) {
		p->output = (uint8_t)((p->output & ~mask) | (value & mask));
		note_edges(p, before);
		return;
	}
	switch (offset) {
	case DIR:
		p->dir = value;
		note_edges(p, before);
		break;
	case IS:
		p->is = value;
		break;
	case IBE:
		p->ibe = value;
		break;
	case IEV:
		p->iev = value;
		break;
	case IE:
		p->ie = value;
		break;
	case IC:
		p->edges &= (uint8_t)~value;
		break;
	case AFSEL:
		p->afsel = value;
		break;
	}
}

static void access_pl061(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct pl061 *p = owner;
	uint8_t value;

	pthread_mutex_lock(&p->lock);
	if (write) {
		memcpy(&value, data, 1);
		write_register(p, offset, value);
	} else {
		value = read_register(p, offset);
		memset(data, 0, size);
		memcpy(data, &value, 1);
	}
	update_line(p);
	pthread_mutex_unlock(&p->lock);
}

static void press(void *owner)
{
	struct pl061 *p = owner;
	uint8_t before;

	pthread_mutex_lock(&p->lock);
	before = levels(p);
	p->input |= p->power;
	note_edges(p, before);
	update_line(p);
	pthread_mutex_unlock(&p->lock);
}

int pl061_create(struct vm *vm, uint64_t base, uint32_t gsi, unsigned power, struct pl061 **out)
{
	struct pl061 *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->vm = vm;
	p->gsi = gsi;
	p->power = (uint8_t)(1u << power);
	pthread_mutex_init(&p->lock, NULL);
	p->range = (struct bus_range){.base = base, .size = PL061_BYTES, .access = access_pl061, .owner = p};
	err = bus_add(vm_mmio(vm), &p->range);
	if (err) {
		pthread_mutex_destroy(&p->lock);
		free(p);
		return err;
	}
	vm_set_power_button(vm, press, p);
	*out = p;
	return 0;
}

void pl061_destroy(struct pl061 *p)
{
	if (!p)
		return;
	vm_set_power_button(p->vm, NULL, NULL);
	bus_remove(vm_mmio(p->vm), &p->range);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
