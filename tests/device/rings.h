/* SPDX-License-Identifier: MIT */
/* The kinds of ring that every device test goes through. */
#ifndef MULLION_TESTS_DEVICE_RINGS_H
#define MULLION_TESTS_DEVICE_RINGS_H

#include "tests/lib/fake_guest.h"

static const struct fake_guest_options rings[] = {
	{.packed = false},
	{.packed = false, .event_idx = true, .indirect = true},
	{.packed = true},
	{.packed = true, .event_idx = true, .indirect = true},
};

#define RING_KINDS (sizeof(rings) / sizeof(*rings))

#endif
