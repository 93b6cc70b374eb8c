/* SPDX-License-Identifier: MIT */
/*
 * Arm's PL031 clock: seconds since 1970, the host's until the guest sets it. It has no interrupt, so no alarm.
 */
#ifndef MULLION_VMM_ARM64_PL031_H
#define MULLION_VMM_ARM64_PL031_H

#include <stdint.h>

#define PL031_BYTES 0x1000u

struct pl031;
struct vm;

int pl031_create(struct vm *vm, uint64_t base, struct pl031 **out);
void pl031_destroy(struct pl031 *p);

#endif
