/* SPDX-License-Identifier: MIT */
/*
 * A home for a device's shared memory (host/virtio/shmem.h) that does what a VMM does, on a table instead of a guest's
 * addresses: at once, or when the test says so, as another process would. Aborts when the device does what its contract
 * forbids. Thread: the device's loop.
 */
#ifndef MULLION_TESTS_LIB_FAKE_SHMEM_H
#define MULLION_TESTS_LIB_FAKE_SHMEM_H

#include "host/virtio/device.h"

#define FAKE_SHMEM_MAPPINGS 64u
#define FAKE_SHMEM_WAITING 16u

struct fake_shmem {
	uint64_t size;
	bool later; /* requests wait for fake_shmem_answer() */
	int fail;   /* the next request does, with this errno, once */
	struct {
		uint64_t offset, length; /* 0: free */
		uint8_t *at;
	} mappings[FAKE_SHMEM_MAPPINGS];
	struct fake_shmem_waiting {
		struct virtio_shmem_request *request; /* NULL: cancelled */
		struct virtio_shmem_request copy;
		bool map;
	} waiting[FAKE_SHMEM_WAITING];
	unsigned count; /* that wait */
	unsigned maps, unmaps, cancels, resets;
};

/* Be the home of @d, from zeroed storage. A second device (after a death) finds what the first had mapped. */
void fake_shmem_settle(struct fake_shmem *h, struct virtio_device *d);
/* Unmap all. */
void fake_shmem_finish(struct fake_shmem *h);
/* Answer the oldest request that waits. False: none does. */
bool fake_shmem_answer(struct fake_shmem *h);
/* What the guest sees at @offset; NULL: a hole. */
uint8_t *fake_shmem_at(const struct fake_shmem *h, uint64_t offset);
unsigned fake_shmem_count(const struct fake_shmem *h);

#endif
