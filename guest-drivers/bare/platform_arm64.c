// SPDX-License-Identifier: MIT
#include <linux/errno.h>

#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/platform.h"

/* PSCI 0.2 function numbers. */
#define PSCI_SYSTEM_OFF 0x84000008u
#define PSCI_SYSTEM_RESET 0x84000009u

#define BLOCK_DEVICE 0x0060000000000401ull /* as in start_arm64.S */
#define BLOCK_NORMAL 0x0060000000000705ull /* never executed */

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
	if (boot.pvpanic)
		mmio_write8((uintptr_t)boot.pvpanic, PLATFORM_PVPANIC_PANICKED);
	platform_power_off();
}

/* The start code's table, an entry a GiB; 0 in one: nothing is there. */
extern uint64_t page_table[512];

static int map(uint64_t base, uint64_t bytes, uint64_t kind)
{
	if (!bytes || base + bytes < base)
		return -EINVAL;
	if (kind == BLOCK_DEVICE && base + bytes <= PLATFORM_RAM_BASE)
		return 0;
	if (base < PLATFORM_MAPPED_BYTES)
		return -ENXIO;
	if ((base + bytes - 1) >> 30 >= 512)
		return -ENOMEM;
	for (uint64_t gib = base >> 30; gib <= (base + bytes - 1) >> 30; gib++) {
		if (page_table[gib] && page_table[gib] != (gib << 30 | kind))
			return -ENXIO;
		page_table[gib] = gib << 30 | kind;
	}
	/* An entry that was not valid is in no TLB. */
	__asm__ volatile("dsb ishst; isb" ::: "memory");
	return 0;
}

int platform_map_device(uint64_t base, uint64_t bytes)
{
	return map(base, bytes, BLOCK_DEVICE);
}

int platform_map_memory(uint64_t base, uint64_t bytes)
{
	return map(base, bytes, BLOCK_NORMAL);
}
