// SPDX-License-Identifier: MIT
/* Registers as in Arm DDI 0224 (PrimeCell Real Time Clock PL031), chapter 3. */
#include "vmm/arm64/pl031.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/bus.h"
#include "vmm/vm.h"

enum {
	DR = 0x000,
	MR = 0x004,
	LR = 0x008,
	CR = 0x00c,
	IDS = 0xfe0,
};

struct pl031 {
	struct vm *vm;
	struct bus_range range;
	_Atomic uint32_t offset_s; /* the guest's clock less the host's, in 32 bits that wrap */
	_Atomic uint32_t match, load;
};

static uint32_t read_register(struct pl031 *p, uint64_t offset)
{
	static const uint8_t ids[] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

	switch (offset) {
	case DR:
		return (uint32_t)time(NULL) + atomic_load(&p->offset_s);
	case MR:
		return atomic_load(&p->match);
	case LR:
		return atomic_load(&p->load);
	case CR:
		return 1; /* it runs */
	}
	if (offset >= IDS && offset < IDS + 4 * sizeof(ids))
		return ids[(offset - IDS) / 4];
	return 0;
}

static void access_pl031(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct pl031 *p = owner;
	uint32_t value = 0;

	if (!write)
		value = read_register(p, offset);
	if (!write)
		memset(data, 0, size);
	memcpy(write ? (void *)&value : data, write ? data : (void *)&value, size < 4 ? size : 4);
	if (write && offset == MR)
		atomic_store(&p->match, value);
	if (write && offset == LR) {
		atomic_store(&p->load, value);
		atomic_store(&p->offset_s, value - (uint32_t)time(NULL));
	}
}

int pl031_create(struct vm *vm, uint64_t base, struct pl031 **out)
{
	struct pl031 *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->vm = vm;
	p->range = (struct bus_range){.base = base, .size = PL031_BYTES, .access = access_pl031, .owner = p};
	err = bus_add(vm_mmio(vm), &p->range);
	if (err) {
		free(p);
		return err;
	}
	*out = p;
	return 0;
}

void pl031_destroy(struct pl031 *p)
{
	if (!p)
		return;
	bus_remove(vm_mmio(p->vm), &p->range);
	free(p);
}
