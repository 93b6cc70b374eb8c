/* SPDX-License-Identifier: MIT */
/*
 * virtio-rng (virtio 1.4, section 5.4): random bytes for the guest from the host kernel's getrandom().
 *
 * A request gets RNG_MAX_BYTES at most, however big its buffer is, so that a guest that asks for much can't hold up
 * the other devices of the loop. A short answer is allowed by section 5.4.6.1; drivers ask again.
 * Thread: the device's loop.
 */
#ifndef MULLION_HOST_RNG_RNG_H
#define MULLION_HOST_RNG_RNG_H

#include <stdint.h>

struct guest_mem;
struct loop;
struct virtio_device;

#define RNG_MAX_BYTES 4096u

struct rng_counters {
	uint64_t requests;
	uint64_t bytes;
};

/* Returns 0, -ENOMEM, or -EAGAIN after a line that says so while the host's own generator is not seeded yet. */
int rng_create(struct loop *loop, const struct guest_mem *mem, struct virtio_device **out);

/* Valid until the device is destroyed. */
const struct rng_counters *rng_counters(const struct virtio_device *d);

#endif
