/* SPDX-License-Identifier: MIT */
/*
 * At which step another process is to die, told in memory that it shares with the test.
 */
#ifndef MULLION_TESTS_LIB_STEP_ARM_H
#define MULLION_TESTS_LIB_STEP_ARM_H

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* Write "@step:@number" for step_die_at() to @at, where the other looks until there is something: its first byte comes last. */
static inline void step_arm(char *at, size_t bytes, unsigned step, unsigned number)
{
	char text[32];
	const size_t n = (size_t)snprintf(text, sizeof(text), "%u:%u", step, number) + 1;

	memcpy(at + 1, text + 1, (n < bytes ? n : bytes) - 1);
	atomic_thread_fence(memory_order_release);
	*(volatile char *)at = text[0];
}

#endif
