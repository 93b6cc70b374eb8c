// SPDX-License-Identifier: MIT
#include "vmm/pvpanic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "vmm/bus.h"
#include "vmm/vm.h"

#define PANICKED 1u /* the only event announced: a crash kernel (bit 1) goes on by itself */

struct pvpanic {
	struct vm *vm;
	struct bus *bus;
	struct bus_range range;
};

static void access_pvpanic(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct pvpanic *p = owner;
	uint8_t *event = data;

	(void)offset;
	if (!write) {
		memset(data, 0, size);
		*event = PANICKED;
	} else if (*event & PANICKED) {
		log_line(LOG_TOPIC_VMM, LOG_INFO, "the guest's kernel panicked");
		vm_end(p->vm, VM_END_PANIC);
	}
}

int pvpanic_create(struct vm *vm, struct bus *bus, uint64_t address, struct pvpanic **out)
{
	struct pvpanic *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->vm = vm;
	p->bus = bus;
	p->range = (struct bus_range){.base = address, .size = 1, .access = access_pvpanic, .owner = p};
	err = bus_add(bus, &p->range);
	if (err) {
		free(p);
		return err;
	}
	*out = p;
	return 0;
}

void pvpanic_destroy(struct pvpanic *p)
{
	if (!p)
		return;
	bus_remove(p->bus, &p->range);
	free(p);
}
