/* SPDX-License-Identifier: MIT */
/* A request that a process died over, for tests of what the next one makes of it. Thread: the test's only one. */
#ifndef MULLION_TESTS_LIB_DIED_REQUEST_H
#define MULLION_TESTS_LIB_DIED_REQUEST_H

#include <stddef.h>

struct fake_guest;
struct fake_request;
struct virtio_device;

/*
 * As fake_guest_add() on queue 0, and @d, which has taken over and had no request on it yet, finds that the process before
 * it was executing that one.
 */
struct fake_request *died_request(struct fake_guest *g, struct virtio_device *d, const void *in, size_t in_len,
				  size_t out_cap);

#endif
