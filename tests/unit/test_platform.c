// SPDX-License-Identifier: MIT
/* The devices that every PC has, as a guest's port accesses see them: serial port, clock, power control, pvpanic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/serial_reg.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "tests/lib/vm_stub.h"
#include "vmm/arch.h"

#define COM1 LAYOUT_PORT_SERIAL

struct fixture {
	char dir[32], path[64];
	struct vm *vm;
	struct platform *platform;
	int client; /* of the serial port's socket */
};

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

/* Sockets belong to the loop, which runs on a thread of its own here. */
static void create_platform(void *arg)
{
	struct fixture *f = arg;
	char spec[80];

	snprintf(spec, sizeof(spec), "socket:%s", f->path);
	assert_int_equal(arch_platform_create(f->vm, spec, &f->platform), 0);
}

static void destroy_platform(void *arg)
{
	struct fixture *f = arg;

	arch_platform_destroy(f->platform);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	strcpy(f->dir, "/tmp/mullion-port-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/serial", f->dir);
	f->vm = stub_create();
	loop_call(vm_loop(f->vm), create_platform, f);
	f->client = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(a.sun_path, f->path);
	assert_int_equal(connect(f->client, (struct sockaddr *)&a, sizeof(a)), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->client);
	/* The machine wants its lines low. */
	stub_out(f->vm, COM1 + UART_LCR, 1, 0);
	stub_out(f->vm, COM1 + UART_IER, 1, 0);
	stub_out(f->vm, LAYOUT_PORT_PM_EVENT + 2, 2, 0);
	loop_call(vm_loop(f->vm), destroy_platform, f);
	stub_destroy(f->vm);
	assert_int_equal(access(f->path, F_OK), -1);
	rmdir(f->dir);
	free(f);
	return 0;
}

/* ---- serial ---- */

static bool soon(struct fixture *f, bool (*what)(struct fixture *f))
{
	for (int i = 0; i < 5000; i++) {
		if (what(f))
			return true;
		usleep(1000);
	}
	return false;
}

static bool has_input(struct fixture *f)
{
	return stub_in(f->vm, COM1 + UART_LSR, 1) & UART_LSR_DR;
}

static bool can_send(struct fixture *f)
{
	return stub_in(f->vm, COM1 + UART_LSR, 1) & UART_LSR_THRE;
}

static void wait_for_client(struct fixture *f)
{
	/* A byte from the client proves that it is connected; output before would be dropped. */
	assert_int_equal(write(f->client, "!", 1), 1);
	assert_true(soon(f, has_input));
	assert_int_equal(stub_in(f->vm, COM1, 1), '!');
}

static void serial_passes_bytes_both_ways(void **state)
{
	struct fixture *f = *state;
	char text[8] = "";
	size_t n = 0;

	wait_for_client(f);
	for (const char *c = "hello"; *c; c++)
		stub_out(f->vm, COM1, 1, (uint8_t)*c);
	while (n < 5) {
		ssize_t got = read(f->client, text + n, sizeof(text) - n);

		assert_true(got > 0);
		n += (size_t)got;
	}
	assert_memory_equal(text, "hello", 5);
	assert_int_equal(write(f->client, "ab", 2), 2);
	assert_true(soon(f, has_input));
	assert_int_equal(stub_in(f->vm, COM1, 1), 'a');
	assert_true(soon(f, has_input));
	assert_int_equal(stub_in(f->vm, COM1, 1), 'b');
	assert_false(has_input(f));
}

static void serial_interrupts_follow_their_causes(void **state)
{
	struct fixture *f = *state;

	wait_for_client(f);
	assert_false(stub_level(f->vm, LAYOUT_GSI_SERIAL));
	/* An empty transmitter interrupts as soon as that is switched on, until IIR is read. */
	stub_out(f->vm, COM1 + UART_IER, 1, UART_IER_THRI);
	assert_true(stub_level(f->vm, LAYOUT_GSI_SERIAL));
	assert_int_equal(stub_in(f->vm, COM1 + UART_IIR, 1) & UART_IIR_ID, UART_IIR_THRI);
	assert_false(stub_level(f->vm, LAYOUT_GSI_SERIAL));
	assert_int_equal(stub_in(f->vm, COM1 + UART_IIR, 1) & 1, UART_IIR_NO_INT);
	stub_out(f->vm, COM1, 1, 'x');
	assert_true(stub_level(f->vm, LAYOUT_GSI_SERIAL));
	stub_out(f->vm, COM1 + UART_IER, 1, UART_IER_RDI);
	assert_false(stub_level(f->vm, LAYOUT_GSI_SERIAL));
	assert_int_equal(write(f->client, "y", 1), 1);
	assert_true(soon(f, has_input));
	assert_true(stub_level(f->vm, LAYOUT_GSI_SERIAL));
	assert_int_equal(stub_in(f->vm, COM1 + UART_IIR, 1) & UART_IIR_ID, UART_IIR_RDI);
	assert_int_equal(stub_in(f->vm, COM1, 1), 'y');
	assert_false(stub_level(f->vm, LAYOUT_GSI_SERIAL));
}

static void serial_looks_like_a_16550a(void **state)
{
	struct fixture *f = *state;

	/* What Linux's driver tries to find out what it has. */
	stub_out(f->vm, COM1 + UART_SCR, 1, 0x5a);
	assert_int_equal(stub_in(f->vm, COM1 + UART_SCR, 1), 0x5a);
	stub_out(f->vm, COM1 + UART_IER, 1, 0xff);
	assert_int_equal(stub_in(f->vm, COM1 + UART_IER, 1), 0x0f);
	stub_out(f->vm, COM1 + UART_IER, 1, 0);
	assert_int_equal(stub_in(f->vm, COM1 + UART_IIR, 1) & 0xc0, 0);
	stub_out(f->vm, COM1 + UART_FCR, 1, UART_FCR_ENABLE_FIFO);
	assert_int_equal(stub_in(f->vm, COM1 + UART_IIR, 1) & 0xc0, 0xc0);
	stub_out(f->vm, COM1 + UART_LCR, 1, UART_LCR_DLAB);
	stub_out(f->vm, COM1 + UART_DLL, 1, 0x34);
	stub_out(f->vm, COM1 + UART_DLM, 1, 0x12);
	assert_int_equal(stub_in(f->vm, COM1, 2), 0x1234);
	stub_out(f->vm, COM1 + UART_LCR, 1, 3);
	assert_int_equal(stub_in(f->vm, COM1 + UART_LCR, 1), 3);
	assert_int_equal(stub_in(f->vm, COM1 + UART_IER, 1), 0);
	/* Loop-back: outputs appear at the inputs, and bytes come back. */
	stub_out(f->vm, COM1 + UART_MCR, 1, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	assert_int_equal(stub_in(f->vm, COM1 + UART_MSR, 1) & 0xf0, UART_MSR_DCD | UART_MSR_CTS);
	stub_out(f->vm, COM1, 1, 'z');
	assert_int_equal(stub_in(f->vm, COM1, 1), 'z');
}

static void serial_waits_for_a_slow_reader(void **state)
{
	struct fixture *f = *state;
	enum { TOTAL = 600000 };
	uint32_t sent = 0, got = 0;
	uint8_t bytes[4096];

	wait_for_client(f);
	/* Until socket and queue are full, the transmitter says that it is not empty. */
	while (can_send(f)) {
		stub_out(f->vm, COM1, 1, (uint8_t)(sent % 251));
		assert_true(++sent < TOTAL);
	}
	while (got < TOTAL) {
		struct pollfd p = {.fd = f->client, .events = POLLIN};
		ssize_t n;

		for (int i = 0; i < 4096 && sent < TOTAL && can_send(f); i++)
			stub_out(f->vm, COM1, 1, (uint8_t)(sent++ % 251));
		assert_int_equal(poll(&p, 1, 5000), 1);
		n = read(f->client, bytes, sizeof(bytes));
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++, got++)
			assert_int_equal(bytes[i], got % 251);
		if (sent == TOTAL || got < sent)
			continue;
		assert_true(soon(f, can_send));
	}
}

static void serial_takes_more_than_it_can_hold(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[5000];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i % 253);
	assert_int_equal(write(f->client, bytes, sizeof(bytes)), sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		assert_true(soon(f, has_input));
		assert_int_equal(stub_in(f->vm, COM1, 1), bytes[i]);
	}
}

/* ---- clock ---- */

static unsigned cmos(struct fixture *f, uint8_t index)
{
	stub_out(f->vm, LAYOUT_PORT_RTC, 1, index);
	return stub_in(f->vm, LAYOUT_PORT_RTC + 1, 1);
}

static void set_cmos(struct fixture *f, uint8_t index, uint8_t value)
{
	stub_out(f->vm, LAYOUT_PORT_RTC, 1, index);
	stub_out(f->vm, LAYOUT_PORT_RTC + 1, 1, value);
}

static int bcd(unsigned v)
{
	return (int)((v >> 4) * 10 + (v & 15));
}

static time_t read_clock(struct fixture *f)
{
	struct tm t = {
		.tm_year = bcd(cmos(f, LAYOUT_CMOS_CENTURY)) * 100 + bcd(cmos(f, 9)) - 1900,
		.tm_mon = bcd(cmos(f, 8)) - 1,
		.tm_mday = bcd(cmos(f, 7)),
		.tm_hour = bcd(cmos(f, 4)),
		.tm_min = bcd(cmos(f, 2)),
		.tm_sec = bcd(cmos(f, 0)),
	};

	return timegm(&t);
}

static void clock_shows_the_time(void **state)
{
	struct fixture *f = *state;
	time_t before = time(NULL), shown = read_clock(f);

	/* A minute may have passed between the fields: one more try then shows it whole. */
	if (shown < before || shown > time(NULL))
		shown = read_clock(f);
	assert_in_range(shown, before, time(NULL));
	assert_int_equal(cmos(f, 0x0a) & 0x80, 0);
	assert_int_equal(cmos(f, 0x0b), 0x02);
	assert_int_equal(cmos(f, 0x0d), 0x80);
}

static void clock_can_be_set(void **state)
{
	struct fixture *f = *state;
	time_t shown;

	set_cmos(f, 0x0b, 0x82); /* hold */
	set_cmos(f, 0, 0x56);
	set_cmos(f, 2, 0x34);
	set_cmos(f, 4, 0x12);
	set_cmos(f, 7, 0x29);
	set_cmos(f, 8, 0x02);
	set_cmos(f, 9, 0x32);
	set_cmos(f, LAYOUT_CMOS_CENTURY, 0x20);
	set_cmos(f, 0x0b, 0x02);
	shown = read_clock(f);
	assert_in_range(shown, 1961670896, 1961670896 + 2); /* 2032-02-29 12:34:56 UTC */
	/* Twelve-hour and binary forms. */
	set_cmos(f, 0x0b, 0x00);
	assert_int_equal(cmos(f, 4), 0x92);
	set_cmos(f, 0x0b, 0x06);
	assert_int_equal(cmos(f, 2), 34);
	/* Other bytes are memory. */
	set_cmos(f, 0x40, 0xab);
	assert_int_equal(cmos(f, 0x40), 0xab);
	/* A year long gone is a year as well. */
	set_cmos(f, 0x0b, 0x82);
	set_cmos(f, 9, 0x26);
	set_cmos(f, LAYOUT_CMOS_CENTURY, 0x03);
	assert_int_equal(cmos(f, 9), 0x26);
	assert_int_equal(cmos(f, LAYOUT_CMOS_CENTURY), 0x03);
	set_cmos(f, 9, 0x47);
	assert_int_equal(cmos(f, 9), 0x47);
	assert_int_equal(cmos(f, LAYOUT_CMOS_CENTURY), 0x03);
}

/* ---- power ---- */

static void power_button_raises_the_sci(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(stub_in(f->vm, LAYOUT_PORT_PM_CONTROL, 2) & 1, 1);
	stub_out(f->vm, LAYOUT_PORT_PM_EVENT + 2, 2, 1 << 8);
	assert_int_equal(stub_in(f->vm, LAYOUT_PORT_PM_EVENT + 2, 2), 1 << 8);
	assert_false(stub_level(f->vm, LAYOUT_GSI_SCI));
	vm_power_button(f->vm);
	assert_true(stub_level(f->vm, LAYOUT_GSI_SCI));
	assert_int_equal(stub_in(f->vm, LAYOUT_PORT_PM_EVENT, 2), 1 << 8);
	/* Written zeroes clear nothing; ones do. */
	stub_out(f->vm, LAYOUT_PORT_PM_EVENT, 2, 0);
	assert_true(stub_level(f->vm, LAYOUT_GSI_SCI));
	stub_out(f->vm, LAYOUT_PORT_PM_EVENT, 2, 1 << 8);
	assert_false(stub_level(f->vm, LAYOUT_GSI_SCI));
	/* Pressed while switched off, it is seen when switched on. */
	stub_out(f->vm, LAYOUT_PORT_PM_EVENT + 2, 2, 0);
	vm_power_button(f->vm);
	assert_false(stub_level(f->vm, LAYOUT_GSI_SCI));
	stub_out(f->vm, LAYOUT_PORT_PM_EVENT + 2, 2, 1 << 8);
	assert_true(stub_level(f->vm, LAYOUT_GSI_SCI));
}

static void timer_counts_3_58_mhz(void **state)
{
	struct fixture *f = *state;
	struct timespec before, after;
	uint32_t first, ticks;
	double s;

	clock_gettime(CLOCK_MONOTONIC, &before);
	first = stub_in(f->vm, LAYOUT_PORT_PM_TIMER, 4);
	usleep(200000);
	ticks = stub_in(f->vm, LAYOUT_PORT_PM_TIMER, 4) - first;
	clock_gettime(CLOCK_MONOTONIC, &after);
	s = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
	assert_true(ticks >= 0.19 * 3579545);
	assert_true(ticks <= s * 3579545 + 2);
}

static void machine_ends_as_it_is_told(void **state)
{
	static const struct {
		uint16_t port;
		unsigned size;
		uint32_t value;
		bool ends;
		enum vm_end why;
	} cases[] = {
		{LAYOUT_PORT_PM_CONTROL, 2, 0x0400, false, 0},	/* a sleep type without the enable bit */
		{LAYOUT_PORT_PM_CONTROL, 2, 1 << 13, false, 0}, /* S0 */
		{LAYOUT_PORT_PM_CONTROL, 2, 5 << 10 | 1 << 13, true, VM_END_POWER_OFF},
		{LAYOUT_PORT_RESET, 1, 2, false, 0},
		{LAYOUT_PORT_RESET, 1, 6, true, VM_END_REBOOT},
		{0x64, 1, 0xfe, true, VM_END_REBOOT},
		{0x64, 1, 0xaa, false, 0},
		{LAYOUT_PORT_PVPANIC, 1, 2, false, 0},
		{LAYOUT_PORT_PVPANIC, 1, 1, true, VM_END_PANIC},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vm *vm = stub_create_still();
		struct platform *p;
		enum vm_end why;

		assert_int_equal(arch_platform_create(vm, "none", &p), 0);
		assert_int_equal(stub_in(vm, LAYOUT_PORT_PVPANIC, 1), 1);
		assert_int_equal(stub_in(vm, 0x64, 1), 0xff);
		stub_out(vm, cases[i].port, cases[i].size, cases[i].value);
		assert_int_equal(stub_ended(vm, &why), cases[i].ends);
		if (cases[i].ends)
			assert_int_equal(why, cases[i].why);
		arch_platform_destroy(p);
		stub_destroy(vm);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(serial_passes_bytes_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(serial_interrupts_follow_their_causes, setup, teardown),
		cmocka_unit_test_setup_teardown(serial_looks_like_a_16550a, setup, teardown),
		cmocka_unit_test_setup_teardown(serial_waits_for_a_slow_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(serial_takes_more_than_it_can_hold, setup, teardown),
		cmocka_unit_test_setup_teardown(clock_shows_the_time, setup, teardown),
		cmocka_unit_test_setup_teardown(clock_can_be_set, setup, teardown),
		cmocka_unit_test_setup_teardown(power_button_raises_the_sci, setup, teardown),
		cmocka_unit_test_setup_teardown(timer_counts_3_58_mhz, setup, teardown),
		cmocka_unit_test(machine_ends_as_it_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
