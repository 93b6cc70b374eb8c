/* SPDX-License-Identifier: MIT */
/*
 * virtio over MMIO, version 2 (virtio 1.4, section 4.2). Registers are answered on the device's loop; doorbells come
 * by ioeventfd, interrupts go by irqfd (edge).
 */
#ifndef MULLION_VMM_VIRTIO_MMIO_H
#define MULLION_VMM_VIRTIO_MMIO_H

#include <stdint.h>

struct virtio_device;
struct virtio_mmio;
struct vm;

#define VIRTIO_MMIO_BYTES 0x1000u

/*
 * Put @d at @base with interrupt @gsi, and its shared memory, if it has any, at @shmem_base, before the first vCPU runs. Takes the device (destroy destroys it too) unless it
 * fails. Returns 0 or a negative errno.
 */
int virtio_mmio_create(struct vm *vm, struct virtio_device *d, uint64_t base, uint32_t gsi, uint64_t shmem_base,
		       struct virtio_mmio **out);
void virtio_mmio_destroy(struct virtio_mmio *t);

#endif
