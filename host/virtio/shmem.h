/* SPDX-License-Identifier: MIT */
/*
 * The shared memory region of a device (virtio 1.4, section 2.10): a window of guest-physical addresses into which the
 * device maps descriptors. The device declares the region; its home (the VMM's process, or a vhost-user server whose
 * frontend does it) gives it a place and maps. Holes read as zeros, and a guest may write to them without effect on
 * anybody but itself.
 *
 * One region a device: no device of virtio 1.4 has two.
 *
 * For a device:
 *   - virtio_device_set_shmem() when it is made, before a transport is bound.
 *   - virtio_shmem_map() and virtio_shmem_unmap() with a request of its own, which stays where it is until it is done. A
 *     home in this process is done when the call returns (0); another process's answer comes later (-EINPROGRESS, then
 *     r->done). The device tells its guest of a mapping only when it is done.
 *   - Its reset op cancels what is in progress. All mappings are gone after a reset, without a word of the device's.
 *   - What is mapped belongs to the home: it outlives the worker that asked for it, and the descriptor that was given.
 *
 * Thread: the device's loop, for every call and every op.
 */
#ifndef MULLION_HOST_VIRTIO_SHMEM_H
#define MULLION_HOST_VIRTIO_SHMEM_H

#include <stdbool.h>
#include <stdint.h>

struct virtio_device;

/* Sizes of regions are powers of two from this on: a page of any host. */
#define VIRTIO_SHMEM_MIN_BYTES 0x10000ull
#define VIRTIO_SHMEM_MAX_BYTES (16ull << 30)

struct virtio_shmem_region {
	uint8_t id;	     /* VIRTIO_GPU_SHM_ID_HOST_VISIBLE ... */
	uint64_t size_bytes; /* 0: the device has none */
};

/* A piece of the region; the caller's until it is done. */
struct virtio_shmem_request {
	uint64_t offset, length; /* in the region; whole pages of the host's. For unmap: exactly what was mapped. */
	/* Of a map: */
	int fd; /* borrowed for the call: a memfd with F_SEAL_SHRINK, of fd_offset + length bytes or more */
	uint64_t fd_offset; /* whole pages */
	bool writable;	    /* false: the guest reads what is there; what it writes, it alone sees */
	/* Called once for each call that returned -EINPROGRESS: 0 or a negative errno. */
	void (*done)(struct virtio_shmem_request *r, int err);
	void *owner;
	uint64_t home; /* private to the home */
};

/*
 * What a home does. Each returns 0, -EINPROGRESS, or: -EINVAL (not whole pages, empty), -ERANGE (past the region's or the
 * descriptor's end), -EEXIST (something is mapped there), -ENOENT (no mapping is exactly this), -EPERM (the descriptor
 * may shrink, or is no memfd), -ENOSPC (too many mappings), -EOPNOTSUPP (the frontend has no regions), -EIO.
 */
struct virtio_shmem_ops {
	int (*map)(void *owner, struct virtio_shmem_request *r);
	int (*unmap)(void *owner, struct virtio_shmem_request *r);
	/* Forget @r, which is in progress. A map that succeeds all the same is undone. */
	void (*cancel)(void *owner, struct virtio_shmem_request *r);
	/* The device was reset: nothing is mapped. */
	void (*reset)(void *owner);
};

/* ---- for devices ---- */
/* Declare the region, once. @size_bytes: a power of two, within the limits above. */
void virtio_device_set_shmem(struct virtio_device *d, uint8_t id, uint64_t size_bytes);
int virtio_shmem_map(struct virtio_device *d, struct virtio_shmem_request *r);
int virtio_shmem_unmap(struct virtio_device *d, struct virtio_shmem_request *r);
/* No-op for a request that is not in progress. */
void virtio_shmem_cancel(struct virtio_device *d, struct virtio_shmem_request *r);

/* ---- for homes ---- */
/* Whether a region of @size_bytes can be. */
bool virtio_shmem_size_is_good(uint64_t size_bytes);
/* NULL: there is none (any more). Without one the requests above return -EOPNOTSUPP. */
void virtio_device_set_shmem_home(struct virtio_device *d, const struct virtio_shmem_ops *ops, void *owner);

#endif
