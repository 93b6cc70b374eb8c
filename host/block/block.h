/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk (virtio 1.4, section 5.2): one disk over a raw file or a block device.
 *
 * Reads, writes, discards and flushes run on worker threads straight between the image and guest memory; the loop
 * only checks requests and answers them. Requests that run at the same time finish in any order, as on any disk.
 *
 * What a flush promises: every write that was *answered* before the flush was taken off the ring is on stable
 * storage when the flush is answered (section 5.2.6.2). It says nothing about writes still in flight. A driver
 * that negotiates neither FLUSH nor CONFIG_WCE, or that turns the cache off by the writeback field, gets every write
 * committed before its answer.
 *
 * Reset: requests that no worker has begun are dropped. A worker inside a read, write, discard or zeroing is waited
 * for, because it uses guest memory, or would change sectors that the next driver is about to write; it looks for
 * a reset every 1 MiB (transfers) or 64 MiB (discards), so the wait is that of one such piece on the host's disk, per
 * worker. A flush touches neither and is not waited for. Thread: the device's loop.
 */
#ifndef MULLION_HOST_BLOCK_BLOCK_H
#define MULLION_HOST_BLOCK_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct guest_mem;
struct loop;
struct virtio_device;

/* Strings are copied. */
struct block_config {
	const char *path;   /* raw image or block device */
	const char *serial; /* what the guest reads by GET_ID, 20 bytes count; NULL: none */
	bool read_only;
	unsigned threads; /* transfers at once, 1..16; 0: 4 */
};

struct block_counters {
	uint64_t reads, writes, flushes, discards, zeroings;
	uint64_t bytes_read, bytes_written;
	uint64_t errors; /* answers other than OK */
};

/* Returns 0 or a negative errno after one line that names the image and the cure (image.h). */
int block_create(const struct block_config *config, struct loop *loop, const struct guest_mem *mem,
		 struct virtio_device **out);

/* Valid until the device is destroyed. */
const struct block_counters *block_counters(const struct virtio_device *d);

#endif
