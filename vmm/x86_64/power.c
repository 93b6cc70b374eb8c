// SPDX-License-Identifier: MIT
#include "vmm/x86_64/power.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/loop.h"
#include "vmm/bus.h"
#include "vmm/irq.h"
#include "vmm/vm.h"
#include "vmm/x86_64/layout.h"

/* PM1 status and enable (section 4.8.3.1) */
#define PM1_POWER_BUTTON (1u << 8)
#define PM1_STATUS_BITS (PM1_POWER_BUTTON | 1u << 0 | 1u << 4 | 1u << 5 | 1u << 10 | 1u << 15)
/* PM1 control (section 4.8.3.2) */
#define PM1_SCI_ENABLE (1u << 0)
#define PM1_SLEEP_TYPE(v) (((v) >> 10) & 7)
#define PM1_SLEEP_ENABLE (1u << 13)
#define PM_TIMER_HZ 3579545u

#define RESET_CPU (1u << 2) /* of port 0xcf9: a change of this bit to 1 resets */
#define PORT_KEYBOARD_COMMAND 0x64
#define KEYBOARD_PULSE_RESET 0xfe

struct power {
	struct vm *vm;
	struct bus_range event, control, timer, reset, keyboard;
	pthread_mutex_t lock; /* all below */
	uint16_t status, enable;
	bool line;
};

static void update_line(struct power *p)
{
	bool level = p->status & p->enable & PM1_STATUS_BITS;

	if (level == p->line)
		return;
	p->line = level;
	(void)irq_set_level(p->vm, LAYOUT_GSI_SCI, level);
}

static void press(void *owner)
{
	struct power *p = owner;

	pthread_mutex_lock(&p->lock);
	p->status |= PM1_POWER_BUTTON;
	update_line(p);
	pthread_mutex_unlock(&p->lock);
}

/* Status at 0 and enable at 2, each two bytes, read and written in any pieces. */
static void access_event(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct power *p = owner;
	uint8_t bytes[4];
	uint16_t value;

	pthread_mutex_lock(&p->lock);
	if (!write) {
		memcpy(bytes, &p->status, 2);
		memcpy(bytes + 2, &p->enable, 2);
		memcpy(data, bytes + offset, size);
	} else {
		/* Ones clear status bits: bytes that aren't written count as zeroes there. */
		memset(bytes, 0, 2);
		memcpy(bytes + 2, &p->enable, 2);
		memcpy(bytes + offset, data, size);
		memcpy(&value, bytes, 2);
		p->status &= (uint16_t)~value;
		memcpy(&p->enable, bytes + 2, 2);
		update_line(p);
	}
	pthread_mutex_unlock(&p->lock);
}

static void access_control(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct power *p = owner;
	/* ACPI mode from the start: there is no firmware to hand over from. */
	uint8_t bytes[2] = {PM1_SCI_ENABLE, 0};
	unsigned value;

	if (!write) {
		memcpy(data, bytes + offset, size);
		return;
	}
	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes + offset, data, size);
	value = bytes[0] | (unsigned)bytes[1] << 8;
	if ((value & PM1_SLEEP_ENABLE) && PM1_SLEEP_TYPE(value) == LAYOUT_S5_SLEEP_TYPE)
		vm_end(p->vm, VM_END_POWER_OFF);
}

static void access_timer(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	uint64_t now = loop_now_ns();
	uint32_t ticks = (uint32_t)(now / 1000000000u * PM_TIMER_HZ + now % 1000000000u * PM_TIMER_HZ / 1000000000u);

	(void)owner;
	if (!write)
		memcpy(data, (uint8_t *)&ticks + offset, size);
}

static void access_reset(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct power *p = owner;
	const uint8_t *value = data;

	(void)offset;
	if (!write)
		memset(data, 0, size);
	else if (*value & RESET_CPU)
		vm_end(p->vm, VM_END_REBOOT);
}

/* Reads say that nobody is there, as they do where no keyboard controller is. */
static void access_keyboard(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct power *p = owner;
	const uint8_t *value = data;

	(void)offset;
	if (!write)
		memset(data, 0xff, size);
	else if (*value == KEYBOARD_PULSE_RESET)
		vm_end(p->vm, VM_END_REBOOT);
}

static int add(struct power *p, struct bus_range *r, uint64_t base, uint64_t size,
	       void (*access)(void *owner, uint64_t offset, void *data, unsigned n, bool write))
{
	int err;

	*r = (struct bus_range){.base = base, .size = size, .access = access, .owner = p};
	err = bus_add(vm_pio(p->vm), r);
	if (err)
		r->size = 0;
	return err;
}

static void remove_range(struct power *p, struct bus_range *r)
{
	if (r->size)
		bus_remove(vm_pio(p->vm), r);
}

int power_create(struct vm *vm, struct power **out)
{
	struct power *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->vm = vm;
	pthread_mutex_init(&p->lock, NULL);
	err = add(p, &p->event, LAYOUT_PORT_PM_EVENT, 4, access_event);
	if (!err)
		err = add(p, &p->control, LAYOUT_PORT_PM_CONTROL, 2, access_control);
	if (!err)
		err = add(p, &p->timer, LAYOUT_PORT_PM_TIMER, 4, access_timer);
	if (!err)
		err = add(p, &p->reset, LAYOUT_PORT_RESET, 1, access_reset);
	/* Where there is a PCI bus, the port lies inside its address register, and the bus does the same as this. */
	if (err == -EEXIST)
		err = 0;
	if (!err)
		err = add(p, &p->keyboard, PORT_KEYBOARD_COMMAND, 1, access_keyboard);
	if (err) {
		power_destroy(p);
		return err;
	}
	vm_set_power_button(vm, press, p);
	*out = p;
	return 0;
}

void power_destroy(struct power *p)
{
	if (!p)
		return;
	vm_set_power_button(p->vm, NULL, NULL);
	remove_range(p, &p->event);
	remove_range(p, &p->control);
	remove_range(p, &p->timer);
	remove_range(p, &p->reset);
	remove_range(p, &p->keyboard);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
