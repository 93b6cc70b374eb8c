/* SPDX-License-Identifier: MIT */
/*
 * A disk image: a raw file or a block device, and the system calls on it. Nothing here knows virtio.
 *
 * An open image is locked (an open file description lock over the whole file): shared when read-only, exclusive
 * otherwise, so that two machines never write one image. Thread: image_read() and the calls below it block and
 * may run on any number of threads at once; open and close on one.
 */
#ifndef MULLION_HOST_BLOCK_IMAGE_H
#define MULLION_HOST_BLOCK_IMAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct image;

struct image_info {
	uint64_t size_bytes;	 /* whole sectors of 512 only */
	uint32_t logical_bytes;	 /* smallest unit of access, 512..4096 */
	uint32_t physical_bytes; /* unit without read-modify-write, a power of 2 times logical_bytes */
	uint32_t optimal_bytes;	 /* best size of a long transfer, 0: unknown */
	bool read_only;
	bool can_discard;
};

/*
 * Open and lock @path. Returns 0 or a negative errno after one line that names the file and the cure: not there,
 * no permission, neither a file nor a block device, empty, in use by another machine (-EBUSY).
 */
int image_open(const char *path, bool read_only, struct image **out);
void image_close(struct image *i);
const struct image_info *image_info(const struct image *i);

/*
 * Transfer all of @v (which is used up) at @offset. Every 1 MiB @cancel is looked at: -ECANCELED when set. Returns
 * 0 or a negative errno; -EIO also for a file that has become shorter than its size at opening.
 */
int image_read(struct image *i, struct iovec *v, int count, uint64_t offset, const atomic_bool *cancel);
int image_write(struct image *i, struct iovec *v, int count, uint64_t offset, const atomic_bool *cancel);

/* What writes returned before this call began is on stable storage when it returns 0. */
int image_flush(struct image *i);

/* Free the range's storage; it then reads as zeroes. -EOPNOTSUPP where the file system can't. @cancel: each 64 MiB. */
int image_discard(struct image *i, uint64_t offset, uint64_t bytes, const atomic_bool *cancel);

/* Make the range read as zeroes, by freeing its storage where @unmap and the host allow it. As a write, it lengthens a file. */
int image_zero(struct image *i, uint64_t offset, uint64_t bytes, bool unmap, const atomic_bool *cancel);

#endif
