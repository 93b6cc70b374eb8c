// SPDX-License-Identifier: MIT
#include <linux/errno.h>

#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/platform.h"

#define PM_TIMER_HZ 3579545u
#define PM_TIMER_MASK 0xffffffu /* 24 bits at least */
#define MEASURE_TICKS 7200u	/* about 2 ms */

static uint64_t tsc_start;
static uint64_t us_per_tsc_q40; /* microseconds a count, times 2^40 */

static uint64_t tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

void clock_init(void)
{
	uint32_t from = port_read32(PLATFORM_PM_TIMER_PORT) & PM_TIMER_MASK, ticks = 0, last = 0, stuck = 0;
	uint64_t t0 = tsc(), t1;

	while (ticks < MEASURE_TICKS) {
		last = ticks;
		ticks = (port_read32(PLATFORM_PM_TIMER_PORT) - from) & PM_TIMER_MASK;
		stuck = ticks == last ? stuck + 1 : 0;
		if (stuck > 10000)
			panic("clock: no ACPI PM timer counts at port 0x%x; clock_us() needs one",
			      PLATFORM_PM_TIMER_PORT);
	}
	t1 = tsc();
	us_per_tsc_q40 = ((((uint64_t)ticks * 1000000u) << 20) / PM_TIMER_HZ << 20) / (t1 - t0);
	tsc_start = t0;
}

uint64_t clock_us(void)
{
	return (uint64_t)((unsigned __int128)(tsc() - tsc_start) * us_per_tsc_q40 >> 40);
}

#define TABLE_BYTES 4096u
#define PRESENT_WRITABLE 0x3u
#define LARGE_UNCACHED 0x9bu /* 2 MiB page, write-through and cache-disable */
#define LARGE_CACHED 0x83u
#define LARGE_BYTES 0x200000ull
#define ENTRY_ADDRESS 0x000ffffffffff000ull
#define TABLES_REACH (1ull << 47) /* the lower half of the addresses of four levels */

/* The table that @entry points to, made if there is none. */
static uint64_t *table_below(uint64_t *entry)
{
	uint64_t *t;

	if (*entry & 1)
		return (uint64_t *)(uintptr_t)(*entry & ENTRY_ADDRESS);
	t = alloc_zeroed(TABLE_BYTES, TABLE_BYTES);
	if (t)
		*entry = (uint64_t)(uintptr_t)t | PRESENT_WRITABLE;
	return t;
}

/* The tables are the loader's or the start code's; both lie in mapped RAM and have nothing above 4 GiB. */
static int map(uint64_t base, uint64_t bytes, uint64_t kind)
{
	uint64_t *top, *level3, *level2;

	if (!bytes || base + bytes < base)
		return -EINVAL;
	if (base + bytes > TABLES_REACH)
		return -ENOMEM;
	__asm__("movq %%cr3, %0" : "=r"(top));
	top = (uint64_t *)((uintptr_t)top & ENTRY_ADDRESS);
	for (uint64_t at = base & ~(LARGE_BYTES - 1); at < base + bytes; at += LARGE_BYTES) {
		if (at < PLATFORM_MAPPED_BYTES)
			continue;
		level3 = table_below(&top[(at >> 39) & 511]);
		level2 = level3 ? table_below(&level3[(at >> 30) & 511]) : NULL;
		if (!level2)
			return -ENOMEM;
		level2[(at >> 21) & 511] = at | kind;
		__asm__ volatile("invlpg (%0)" ::"r"((uintptr_t)at) : "memory");
	}
	return 0;
}

int platform_map_device(uint64_t base, uint64_t bytes)
{
	return map(base, bytes, LARGE_UNCACHED);
}

int platform_map_memory(uint64_t base, uint64_t bytes)
{
	return map(base, bytes, LARGE_CACHED);
}

static _Noreturn void halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

void platform_power_off(void)
{
	port_write16(PLATFORM_PM1A_CNT_PORT, (uint16_t)(PLATFORM_SLP_TYP_S5 << 10 | PLATFORM_SLP_EN));
	port_write16(PLATFORM_PM1A_CNT_PORT, (uint16_t)(PLATFORM_SLP_TYP_S5_QEMU << 10 | PLATFORM_SLP_EN));
	halt();
}

void platform_reset(void)
{
	port_write8(PLATFORM_RESET_PORT, PLATFORM_RESET_VALUE);
	halt();
}

void platform_panicked(void)
{
	port_write8(PLATFORM_PVPANIC_PORT, PLATFORM_PVPANIC_PANICKED);
	platform_power_off();
}
