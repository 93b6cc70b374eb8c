// SPDX-License-Identifier: MIT
/* The devices that every arm64 machine has, as a guest's accesses see them: serial port, power button. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "tests/lib/vm_stub.h"
#include "vmm/arch.h"
#include "vmm/arm64/pl011.h"
#include "vmm/arm64/pl061.h"

#define POWER (1u << LAYOUT_GPIO_POWER)
/* The data register's address says which lines are meant. */
#define DATA(lines) (LAYOUT_GPIO + ((lines) << 2))
#define DIR (LAYOUT_GPIO + 0x400)
#define IBE (LAYOUT_GPIO + 0x408)
#define IEV (LAYOUT_GPIO + 0x40c)
#define IE (LAYOUT_GPIO + 0x410)
#define RIS (LAYOUT_GPIO + 0x414)
#define IC (LAYOUT_GPIO + 0x41c)

static void (*press)(void *owner);
static void *press_owner;

void vm_set_power_button(struct vm *vm, void (*fn)(void *owner), void *owner)
{
	(void)vm;
	press = fn;
	press_owner = owner;
}

bool vm_power_button(struct vm *vm)
{
	(void)vm;
	press(press_owner);
	return true;
}

struct fixture {
	struct vm *vm;
	struct pl061 *gpio;
	struct pl011 *uart;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->vm = stub_create_still();
	assert_int_equal(pl061_create(f->vm, LAYOUT_GPIO, LAYOUT_GSI_GPIO, LAYOUT_GPIO_POWER, &f->gpio), 0);
	assert_int_equal(pl011_create(f->vm, LAYOUT_UART, LAYOUT_GSI_UART, "none", &f->uart), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	/* The machine wants its lines low. */
	stub_write(f->vm, IE, 4, 0);
	stub_write(f->vm, LAYOUT_UART + 0x38, 4, 0);
	pl061_destroy(f->gpio);
	pl011_destroy(f->uart);
	assert_null(press);
	stub_destroy(f->vm);
	free(f);
	return 0;
}

static void press_lasts_until_it_is_read(void **state)
{
	struct fixture *f = *state;

	stub_write(f->vm, IBE, 4, POWER);
	stub_write(f->vm, IE, 4, POWER);
	assert_int_equal(stub_read(f->vm, DATA(POWER), 4), 0);
	vm_power_button(f->vm);
	assert_true(stub_level(f->vm, LAYOUT_GSI_GPIO));
	stub_write(f->vm, IC, 4, POWER);
	assert_false(stub_level(f->vm, LAYOUT_GSI_GPIO));
	/* Other lines may be read meanwhile. */
	assert_int_equal(stub_read(f->vm, DATA(0xffu & ~POWER), 4), 0);
	/* Both edges are told: the release follows the reading. */
	assert_int_equal(stub_read(f->vm, DATA(POWER), 4), POWER);
	assert_true(stub_level(f->vm, LAYOUT_GSI_GPIO));
	stub_write(f->vm, IC, 4, POWER);
	assert_int_equal(stub_read(f->vm, DATA(POWER), 4), 0);
	assert_false(stub_level(f->vm, LAYOUT_GSI_GPIO));
	/* And again. */
	vm_power_button(f->vm);
	assert_true(stub_level(f->vm, LAYOUT_GSI_GPIO));
}

static void edges_are_told_as_asked(void **state)
{
	struct fixture *f = *state;

	stub_write(f->vm, IE, 4, POWER);
	/* Falling edges by default. */
	vm_power_button(f->vm);
	assert_int_equal(stub_read(f->vm, RIS, 4), 0);
	stub_read(f->vm, DATA(POWER), 4);
	assert_int_equal(stub_read(f->vm, RIS, 4), POWER);
	stub_write(f->vm, IC, 4, POWER);
	stub_write(f->vm, IEV, 4, POWER);
	vm_power_button(f->vm);
	assert_int_equal(stub_read(f->vm, RIS, 4), POWER);
	stub_write(f->vm, IC, 4, POWER);
	stub_read(f->vm, DATA(POWER), 4);
	assert_int_equal(stub_read(f->vm, RIS, 4), 0);
}

static void outputs_keep_what_was_written(void **state)
{
	struct fixture *f = *state;

	stub_write(f->vm, DIR, 4, 0x03);
	stub_write(f->vm, DATA(0x02), 4, 0xff);
	assert_int_equal(stub_read(f->vm, DATA(0xff), 4), 0x02);
	stub_write(f->vm, DATA(0x01), 4, 0xff);
	assert_int_equal(stub_read(f->vm, DATA(0xff), 4), 0x03);
	assert_int_equal(stub_read(f->vm, LAYOUT_GPIO + 0xfe0, 4), 0x61);
}

static void serial_port_loops_back(void **state)
{
	struct fixture *f = *state;

	stub_write(f->vm, LAYOUT_UART + 0x30, 4, 0x381); /* on, looped */
	stub_write(f->vm, LAYOUT_UART + 0x38, 4, 1 << 4);
	assert_false(stub_level(f->vm, LAYOUT_GSI_UART));
	stub_write(f->vm, LAYOUT_UART, 1, 'x');
	assert_true(stub_level(f->vm, LAYOUT_GSI_UART));
	assert_int_equal(stub_read(f->vm, LAYOUT_UART, 4), 'x');
	assert_false(stub_level(f->vm, LAYOUT_GSI_UART));
	assert_int_equal(stub_read(f->vm, LAYOUT_UART + 0x18, 4) & 0x10, 0x10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(press_lasts_until_it_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(edges_are_told_as_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(outputs_keep_what_was_written, setup, teardown),
		cmocka_unit_test_setup_teardown(serial_port_loops_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
