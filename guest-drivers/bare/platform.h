/* SPDX-License-Identifier: MIT */
/*
 * What the rest of the library needs of a machine. platform_x86_64.c and platform_arm64.c provide it; a port to
 * another board or onto an RTOS replaces one of them. Single CPU: nothing here is safe to call from two.
 */
#ifndef MULLION_BARE_PLATFORM_H
#define MULLION_BARE_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#include "guest-drivers/bare/platform_x86_64.h"
#elif defined(__aarch64__)
#include "guest-drivers/bare/platform_arm64.h"
#else
#error "guest-drivers/bare knows x86-64 and arm64; write platform_<arch>.h, platform_<arch>.c and start_<arch>.S"
#endif

/* The program: called once by the start code. 0 powers the machine off, anything else is a panic(). */
int main(void);

/* Turn the machine off, or start it again. Neither returns. */
_Noreturn void platform_power_off(void);
_Noreturn void platform_reset(void);

/*
 * Say what is wrong on the console (printf format), tell the machine that the guest panicked where it has a way
 * to be told, and stop.
 */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The part of panic() that a machine provides: tell it, and stop. */
_Noreturn void platform_panicked(void);

/*
 * Microseconds since start, never going back. Costs a few instructions where the CPU has a counter of known
 * rate (arm64), one CPU counter read scaled by a rate measured at start on x86-64.
 */
uint64_t clock_us(void);

/* Measure what clock_us() needs. Called once by the start code, before main(). */
void clock_init(void);

/*
 * Make @bytes of device registers at physical @base accessible at the same address. Returns 0, -EINVAL for a range that is
 * empty or goes round the end of all addresses, -ENOMEM when page tables for them can't be had, or -ENXIO where memory is
 * mapped already.
 */
int platform_map_device(uint64_t base, uint64_t bytes);
/*
 * The same for memory that isn't RAM but behaves like it: cached, and read and written in any size. -ENXIO where registers
 * are mapped already.
 */
int platform_map_memory(uint64_t base, uint64_t bytes);

/* The address by which devices reach @p. Memory is identity-mapped here; an RTOS translates. */
static inline uint64_t dma_address(const volatile void *p)
{
	return (uint64_t)(uintptr_t)p;
}

#endif
