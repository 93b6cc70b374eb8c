// SPDX-License-Identifier: MIT
/* The PCI root bus: configuration space, BARs, shared interrupt lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/vm_stub.h"
#include "vmm/pci.h"

#define ECAM 0xe0000000ull
#define WINDOW 0xc0000000ull
#define WINDOW_BYTES 0x100000ull
#define HIGH 0x800000000ull
#define HIGH_BYTES 0x10000000ull

static const struct pci_layout layout = {
	.ecam_base = ECAM,
	.mmio32_base = WINDOW,
	.mmio32_size = WINDOW_BYTES,
	.mmio64_base = HIGH,
	.mmio64_size = HIGH_BYTES,
	.intx_gsi = {16, 17, 18, 19},
	.has_ports = true,
};

/* A function whose BARs answer with their number and offset, and remember the last write. */
struct card {
	struct pci_function function;
	uint64_t where[PCI_BARS];
	uint64_t written;
	unsigned config_writes;
};

struct fixture {
	struct vm *vm;
	struct pci_bus *bus;
	struct card cards[2];
};

static void bar_access(void *owner, unsigned bar, uint64_t offset, void *data, unsigned size, bool write)
{
	struct card *c = owner;
	uint64_t value = (uint64_t)bar << 16 | offset;

	if (write) {
		c->written = 0;
		memcpy(&c->written, data, size);
	} else {
		memcpy(data, &value, size);
	}
}

static void bar_moved(void *owner, unsigned bar, uint64_t address)
{
	((struct card *)owner)->where[bar] = address;
}

static void config_read(void *owner, unsigned offset, unsigned size)
{
	(void)owner;
	(void)offset;
	(void)size;
}

static void config_written(void *owner, unsigned offset, unsigned size)
{
	(void)offset;
	(void)size;
	((struct card *)owner)->config_writes++;
}

static const struct pci_function_ops ops = {bar_access, bar_moved, config_read, config_written};
static const struct pci_ids ids = {
	.vendor = 0x1af4,
	.device = 0x1044,
	.subsystem_vendor = 0x1af4,
	.subsystem = 0x1100,
	.class_code = 0xff0000,
	.revision = 1,
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->vm = stub_create();
	assert_int_equal(pci_bus_create(f->vm, &layout, &f->bus), 0);
	for (unsigned i = 0; i < 2; i++) {
		pci_function_init(&f->cards[i].function, &ids, &ops, &f->cards[i]);
		pci_set_bar(&f->cards[i].function, 0, 0x4000, true);
		pci_set_bar(&f->cards[i].function, 2, 0x1000, false);
		pci_set_bar(&f->cards[i].function, 4, 0x200000, true);
		assert_int_equal(pci_add_function(f->bus, &f->cards[i].function), 0);
		assert_int_equal(f->cards[i].function.slot, i + 1);
	}
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	pci_remove_function(&f->cards[0].function);
	pci_remove_function(&f->cards[1].function);
	pci_bus_destroy(f->bus);
	stub_destroy(f->vm);
	free(f);
	return 0;
}

static uint64_t config_address(unsigned slot, unsigned offset)
{
	return ECAM + (slot << 15) + offset;
}

static uint32_t get(struct fixture *f, unsigned slot, unsigned offset, unsigned size)
{
	return (uint32_t)stub_read(f->vm, config_address(slot, offset), size);
}

static void put(struct fixture *f, unsigned slot, unsigned offset, unsigned size, uint32_t value)
{
	stub_write(f->vm, config_address(slot, offset), size, value);
}

static void a_host_bridge_comes_first(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 0, PCI_CLASS_DEVICE, 2), 0x0600);
	assert_int_not_equal(get(f, 0, PCI_VENDOR_ID, 2), 0xffff);
	assert_int_equal(get(f, 0, PCI_HEADER_TYPE, 1), 0);
	/* It has no BARs: sizing finds none. */
	put(f, 0, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	assert_int_equal(get(f, 0, PCI_BASE_ADDRESS_0, 4), 0);
}

static void nobody_answers_for_other_functions(void **state)
{
	struct fixture *f = *state;

	for (unsigned slot = 3; slot < 32; slot++)
		assert_int_equal(get(f, slot, 0, 4), 0xffffffff);
	for (unsigned function = 1; function < 8; function++) {
		assert_int_equal(stub_read(f->vm, config_address(1, function << 12), 4), 0xffffffff);
		stub_write(f->vm, config_address(1, (function << 12) + PCI_COMMAND), 2, 0);
	}
	assert_int_equal(get(f, 1, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
}

static void accesses_of_any_size_and_place(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 1, 0, 4), 0x10441af4);
	assert_int_equal(get(f, 1, 1, 1), 0x1a);
	assert_int_equal(get(f, 1, 1, 2), 0x441a);
	assert_int_equal(stub_read(f->vm, config_address(1, 0), 8) & 0xffffffff, 0x10441af4);
	assert_int_equal(stub_read(f->vm, config_address(1, 0), 8) >> 32, get(f, 1, 4, 4));
	assert_int_equal(get(f, 1, 0xfe, 4), 0);  /* across the end of the first 256 bytes */
	assert_int_equal(get(f, 1, 0x100, 4), 0); /* no extended capabilities */
	assert_int_equal(get(f, 1, 0xffe, 4), 0xffffffff);
	put(f, 1, 0xfe, 4, 0xffffffff);
	put(f, 1, 0x100, 4, 0xffffffff);
	put(f, 1, 0xffd, 4, 0xffffffff);
	assert_int_equal(get(f, 1, 0x100, 4), 0);
	assert_int_equal(get(f, 2, 0, 4), 0x10441af4);
	/* What may not be written stays. */
	put(f, 1, 0, 4, 0);
	put(f, 1, PCI_STATUS, 2, 0xffff);
	put(f, 1, PCI_INTERRUPT_PIN, 1, 9);
	assert_int_equal(get(f, 1, 0, 4), 0x10441af4);
	assert_int_equal(get(f, 1, PCI_INTERRUPT_PIN, 1), 1);
}

static void ports_reach_the_same_registers(void **state)
{
	struct fixture *f = *state;

	stub_out(f->vm, 0xcf8, 4, 0x80000800);
	assert_int_equal(stub_in(f->vm, 0xcf8, 4), 0x80000800);
	assert_int_equal(stub_in(f->vm, 0xcfc, 4), 0x10441af4);
	assert_int_equal(stub_in(f->vm, 0xcfe, 2), 0x1044);
	stub_out(f->vm, 0xcf8, 4, 0x80000800 + PCI_INTERRUPT_LINE);
	stub_out(f->vm, 0xcfc, 1, 0x5a);
	assert_int_equal(get(f, 1, PCI_INTERRUPT_LINE, 1), 0x5a);
	/* Byte writes do not reach the address register; without its enable bit nobody answers. */
	stub_out(f->vm, 0xcf8, 1, 0);
	assert_int_equal(stub_in(f->vm, 0xcf8, 4), 0x80000800 + PCI_INTERRUPT_LINE);
	stub_out(f->vm, 0xcf8, 4, 0x00000800);
	assert_int_equal(stub_in(f->vm, 0xcfc, 4), 0xffffffff);
	stub_out(f->vm, 0xcf8, 4, 0x80010800); /* bus 1 */
	assert_int_equal(stub_in(f->vm, 0xcfc, 4), 0xffffffff);
}

static void the_reset_register_lies_between_them(void **state)
{
	struct fixture *f = *state;
	enum vm_end why;

	stub_out(f->vm, 0xcf9, 1, 0x02);
	assert_false(stub_ended(f->vm, &why));
	stub_out(f->vm, 0xcf9, 1, 0x06);
	assert_true(stub_ended(f->vm, &why));
	assert_int_equal(why, VM_END_REBOOT);
}

static void bars_have_addresses_from_the_start(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 2; i++) {
		const struct card *c = &f->cards[i];

		assert_in_range(c->where[0], WINDOW, WINDOW + WINDOW_BYTES - 0x4000);
		assert_in_range(c->where[2], WINDOW, WINDOW + WINDOW_BYTES - 0x1000);
		assert_in_range(c->where[4], HIGH, HIGH + HIGH_BYTES - 0x200000);
		assert_int_equal(c->where[0] % 0x4000, 0);
		assert_int_equal(get(f, i + 1, PCI_BASE_ADDRESS_0, 4), c->where[0] | PCI_BASE_ADDRESS_MEM_TYPE_64);
		assert_int_equal(get(f, i + 1, PCI_BASE_ADDRESS_2, 4), c->where[2]);
		assert_int_equal(get(f, i + 1, PCI_BASE_ADDRESS_5, 4), c->where[4] >> 32);
		assert_int_equal(stub_read(f->vm, c->where[2] + 0x10, 4), 0x20010);
		stub_write(f->vm, c->where[4] + 8, 8, 0x1122334455667788);
		assert_int_equal(c->written, 0x1122334455667788);
	}
}

static void sizing_finds_the_size(void **state)
{
	struct fixture *f = *state;
	uint64_t before = f->cards[0].where[0];
	uint32_t saved = get(f, 1, PCI_BASE_ADDRESS_0, 4);

	put(f, 1, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	put(f, 1, PCI_BASE_ADDRESS_1, 4, 0xffffffff);
	assert_int_equal(get(f, 1, PCI_BASE_ADDRESS_0, 4), 0xffffc000 | PCI_BASE_ADDRESS_MEM_TYPE_64);
	assert_int_equal(get(f, 1, PCI_BASE_ADDRESS_1, 4), 0xffffffff);
	assert_int_equal(f->cards[0].where[0], 0);
	put(f, 1, PCI_BASE_ADDRESS_1, 4, 0);
	put(f, 1, PCI_BASE_ADDRESS_0, 4, saved);
	assert_int_equal(f->cards[0].where[0], before);
	put(f, 1, PCI_BASE_ADDRESS_2, 4, 0xffffffff);
	assert_int_equal(get(f, 1, PCI_BASE_ADDRESS_2, 4), 0xfffff000);
	put(f, 1, PCI_BASE_ADDRESS_3, 4, 0xffffffff);
	assert_int_equal(get(f, 1, PCI_BASE_ADDRESS_3, 4), 0);
	put(f, 1, PCI_ROM_ADDRESS, 4, 0xffffffff);
	assert_int_equal(get(f, 1, PCI_ROM_ADDRESS, 4), 0);
}

static void a_bar_moves_with_its_register(void **state)
{
	struct fixture *f = *state;
	uint64_t old = f->cards[0].where[2];

	put(f, 1, PCI_BASE_ADDRESS_2, 4, WINDOW + 0x80000);
	assert_int_equal(f->cards[0].where[2], WINDOW + 0x80000);
	assert_int_equal(stub_read(f->vm, old, 4), 0xffffffff);
	assert_int_equal(stub_read(f->vm, WINDOW + 0x80004, 4), 0x20004);
	/* Byte by byte as well, and to above 4 GiB. */
	put(f, 1, PCI_BASE_ADDRESS_0, 4, 0);
	put(f, 1, PCI_BASE_ADDRESS_1, 1, HIGH >> 32);
	put(f, 1, PCI_BASE_ADDRESS_0 + 3, 1, 0x0f);
	assert_int_equal(f->cards[0].where[0], HIGH + 0x0f000000);
	assert_int_equal(stub_read(f->vm, HIGH + 0x0f000010, 4), 0x10);
}

static void nothing_is_decoded_outside_the_windows(void **state)
{
	struct fixture *f = *state;
	static const uint32_t outside[] = {
		0, 0x1000, 0xb0000000, 0xe0000000, 0xfee00000, 0xfffff000, (uint32_t)(WINDOW + WINDOW_BYTES)};

	for (unsigned i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		put(f, 1, PCI_BASE_ADDRESS_2, 4, outside[i]);
		assert_int_equal(get(f, 1, PCI_BASE_ADDRESS_2, 4), outside[i]);
		assert_int_equal(f->cards[0].where[2], 0);
	}
	put(f, 1, PCI_BASE_ADDRESS_1, 4, 0xffffffff); /* BAR 0 near the end of all addresses */
	put(f, 1, PCI_BASE_ADDRESS_0, 4, 0xfffffff0);
	assert_int_equal(f->cards[0].where[0], 0);
}

static void the_command_register_gates_decoding(void **state)
{
	struct fixture *f = *state;
	uint64_t at = f->cards[0].where[2];

	put(f, 1, PCI_COMMAND, 2, 0);
	assert_int_equal(f->cards[0].where[0] | f->cards[0].where[2] | f->cards[0].where[4], 0);
	assert_int_equal(stub_read(f->vm, at, 4), 0xffffffff);
	/* Moves while decoding is off take effect when it is on again. */
	put(f, 1, PCI_BASE_ADDRESS_2, 4, WINDOW + 0x90000);
	put(f, 1, PCI_COMMAND, 2, 0xffff);
	assert_int_equal(f->cards[0].where[2], WINDOW + 0x90000);
	assert_int_equal(get(f, 1, PCI_COMMAND, 2) & PCI_COMMAND_IO, 0);
}

static void overlapping_bars_wait_for_room(void **state)
{
	struct fixture *f = *state;
	uint64_t a = f->cards[0].where[2], b = f->cards[1].where[2];

	put(f, 1, PCI_BASE_ADDRESS_2, 4, (uint32_t)b);
	assert_int_equal(f->cards[0].where[2], 0);
	assert_int_equal(f->cards[1].where[2], b);
	put(f, 2, PCI_BASE_ADDRESS_2, 4, (uint32_t)a);
	assert_int_equal(f->cards[1].where[2], a);
	assert_int_equal(f->cards[0].where[2], b);
}

static void a_shared_line_is_high_while_one_holds_it(void **state)
{
	struct fixture *f = *state;
	static struct card more[4];

	/* Slot 5 shares its line with slot 1. */
	for (unsigned i = 0; i < 3; i++) {
		pci_function_init(&more[i].function, &ids, &ops, &more[i]);
		assert_int_equal(pci_add_function(f->bus, &more[i].function), 0);
	}
	assert_int_equal(more[2].function.slot, 5);
	assert_int_equal(pci_intx_gsi(&layout, 1, 0), 17);
	assert_int_equal(pci_intx_gsi(&layout, 5, 0), 17);
	assert_int_equal(pci_intx_gsi(&layout, 3, 2), 17);
	pci_set_intx(&f->cards[0].function, true);
	pci_set_intx(&f->cards[0].function, true);
	assert_true(get(f, 1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	assert_false(get(f, 5, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	pci_set_intx(&more[2].function, true);
	assert_true(stub_level(f->vm, 17));
	assert_false(stub_level(f->vm, 16));
	pci_set_intx(&f->cards[0].function, false);
	assert_true(stub_level(f->vm, 17));
	/* A function that goes lets go of its line. */
	for (unsigned i = 0; i < 3; i++)
		pci_remove_function(&more[i].function);
	assert_false(stub_level(f->vm, 17));
}

static void a_full_bus_takes_no_more(void **state)
{
	struct fixture *f = *state;
	struct card *more = calloc(PCI_SLOTS, sizeof(*more));
	unsigned added = 0;

	pci_function_init(&more[31].function, &ids, &ops, &more[31]);
	pci_set_bar(&more[31].function, 0, 0x80000000, false); /* larger than its window */
	assert_int_equal(pci_add_function(f->bus, &more[31].function), -28);
	for (; added < 30; added++) {
		pci_function_init(&more[added].function, &ids, &ops, &more[added]);
		if (pci_add_function(f->bus, &more[added].function))
			break;
	}
	assert_int_equal(added, 29);
	while (added > 0)
		pci_remove_function(&more[--added].function);
	free(more);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_host_bridge_comes_first),
		TEST(nobody_answers_for_other_functions),
		TEST(accesses_of_any_size_and_place),
		TEST(ports_reach_the_same_registers),
		TEST(the_reset_register_lies_between_them),
		TEST(bars_have_addresses_from_the_start),
		TEST(sizing_finds_the_size),
		TEST(a_bar_moves_with_its_register),
		TEST(nothing_is_decoded_outside_the_windows),
		TEST(the_command_register_gates_decoding),
		TEST(overlapping_bars_wait_for_room),
		TEST(a_shared_line_is_high_while_one_holds_it),
		TEST(a_full_bus_takes_no_more),
	};

	return cmocka_run_group_tests_name("pci", tests, NULL, NULL);
}
