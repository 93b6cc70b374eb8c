// SPDX-License-Identifier: MIT
#include <linux/errno.h>

#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/platform.h"

/* PSCI 0.2 function numbers. */
#define PSCI_SYSTEM_OFF 0x84000008u
#define PSCI_SYSTEM_RESET 0x84000009u

static uint64_t counter_start, counter_hz;

static uint64_t counter(void)
{
	uint64_t v;

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(v)::"memory");
	return v;
}

void clock_init(void)
{
	__asm__("mrs %0, cntfrq_el0" : "=r"(counter_hz));
	if (!counter_hz)
		panic("clock: CNTFRQ_EL0 is 0; the loader must set the counter's rate");
	counter_start = counter();
}

uint64_t clock_us(void)
{
	uint64_t ticks = counter() - counter_start;

	return ticks / counter_hz * 1000000u + ticks % counter_hz * 1000000u / counter_hz;
}

static void psci(uint32_t function)
{
	register uint64_t x0 __asm__("x0") = function;

	if (boot.psci_by_smc)
		__asm__ volatile("smc #0" : "+r"(x0)::"x1", "x2", "x3", "memory");
	else
		__asm__ volatile("hvc #0" : "+r"(x0)::"x1", "x2", "x3", "memory");
}

static _Noreturn void halt(void)
{
	for (;;)
		__asm__ volatile("wfi");
}

void platform_power_off(void)
{
	psci(PSCI_SYSTEM_OFF);
	halt();
}

void platform_reset(void)
{
	psci(PSCI_SYSTEM_RESET);
	halt();
}

void platform_panicked(void)
{
	platform_power_off();
}

int platform_map_device(uint64_t base, uint64_t bytes)
{
	/* The start code maps the first GiB as device memory; more is not needed on these machines. */
	return base + bytes <= PLATFORM_RAM_BASE ? 0 : -ENOMEM;
}
