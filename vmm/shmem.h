/* SPDX-License-Identifier: MIT */
/*
 * The guest's view of a device's shared memory region (host/virtio/shmem.h): one KVM memory slot, backed by one mapping
 * of this process. A few pages of scratch memory lie behind all of its holes, again and again, so that a guest that
 * touches one faults nobody and takes no memory; descriptors are mapped over that, and scratch again when they go.
 *
 * This is the home of every device of this machine, and of those that other processes serve: whoever asks, whatever is
 * asked is checked here.
 */
#ifndef MULLION_VMM_SHMEM_H
#define MULLION_VMM_SHMEM_H

#include <stdint.h>

struct shmem_window;
struct virtio_device;
struct vm;

/*
 * Make the window of @device's region and become its home. *out is NULL if the device has none. Returns 0, or a negative
 * errno after a line. Thread: any, before the first vCPU runs.
 */
int shmem_window_create(struct vm *vm, struct virtio_device *device, struct shmem_window **out);
/* The device is gone, or has no home any more. NULL is fine. Thread: any, after the vCPUs. */
void shmem_window_destroy(struct shmem_window *w);

/*
 * Have the guest see the window at @gpa, a multiple of its size where no RAM is, or (0) nowhere. Returns 0 or a negative
 * errno after a line: it is nowhere then. Thread: any, one at a time.
 */
int shmem_window_place(struct shmem_window *w, uint64_t gpa);

#endif
