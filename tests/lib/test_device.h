/* SPDX-License-Identifier: MIT */
/*
 * A device for transport tests: two queues, eight bytes of config space, shared memory, and a count of what happened. A kick takes
 * what is on the queue, if its rings are sound, and then interrupts, so that a test sees the whole way.
 */
#ifndef MULLION_TESTS_LIB_TEST_DEVICE_H
#define MULLION_TESTS_LIB_TEST_DEVICE_H

#include <stdatomic.h>

#include "host/virtio/device.h"

#define TEST_DEVICE_ID 4u
#define TEST_DEVICE_QUEUE_SIZE 64u
#define TEST_DEVICE_CONFIG 8u
#define TEST_DEVICE_FEATURE 7u
#define TEST_DEVICE_SHMEM 3u
#define TEST_DEVICE_SHMEM_BYTES 0x200000u

struct test_device {
	struct virtio_device base;
	uint8_t config[TEST_DEVICE_CONFIG];
	atomic_uint kicks[2];
	atomic_uint starts, resets;
	unsigned *destroyed; /* counted up when the device goes; NULL: not watched */
	struct virtio_queue_fds fds[2]; /* of one outside */
};

struct test_device *test_device_create(struct loop *loop, const struct guest_mem *mem);
/* As if another process served it: it takes nothing from the queues, and interrupts by the eventfd of one whose kick comes here. */
struct test_device *test_device_create_outside(struct loop *loop, const struct guest_mem *mem);

#endif
