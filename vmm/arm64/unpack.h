/* SPDX-License-Identifier: MIT */
/*
 * Packed kernels, which arm64 leaves to the loader to unpack. Thread: main, before the guest runs.
 */
#ifndef MULLION_VMM_ARM64_UNPACK_H
#define MULLION_VMM_ARM64_UNPACK_H

#include <stdint.h>

struct image_file;
struct packer;

/* The packer of a file that starts with @head (4 bytes at least), or of that name in a zboot header; NULL: none of ours. */
const struct packer *packer_of(const uint8_t *head);
const struct packer *packer_named(const char *name);

/*
 * Unpack @bytes at @offset of the file to @to, where @room bytes are: no more is written, and what is taken of the host's
 * memory beside doesn't depend on the file but for a limit. Returns the unpacked size, or a negative errno after a line.
 */
int64_t unpack(const struct packer *p, const struct image_file *f, uint64_t offset, uint64_t bytes, uint8_t *to,
	       uint64_t room);

#endif
