/* SPDX-License-Identifier: MIT */
/*
 * The guest's memory map as a device sees it: ranges of guest-physical addresses backed by mapped descriptors.
 * In a VMM it is fixed before a device starts; afterwards read-only, so any thread may look up. Over vhost-user it
 * changes while devices run (guest_mem_swap()): then only the device's loop may look up.
 */
#ifndef MULLION_HOST_VIRTIO_MEM_H
#define MULLION_HOST_VIRTIO_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct guest_mem;

/* Most regions a map can hold; vhost-user frontends send up to 509, a VMM 2 or 3. */
#define GUEST_MEM_MAX_REGIONS 512

struct guest_mem_region {
	uint64_t gpa;
	uint64_t size_bytes;
	uint8_t *host;      /* where the range is mapped in this process */
	int fd;             /* memfd behind it, or -1; borrowed from whoever added it */
	uint64_t fd_offset; /* of the first byte, in @fd */
};

int guest_mem_create(struct guest_mem **out);
void guest_mem_destroy(struct guest_mem *m); /* unmaps nothing: whoever mapped the regions does */

/*
 * Add a region. Returns 0, -EINVAL for an empty or wrapping range, -EEXIST if it overlaps another, -ENOSPC past
 * GUEST_MEM_MAX_REGIONS, -ENOMEM.
 */
int guest_mem_add(struct guest_mem *m, const struct guest_mem_region *region);

/* Exchange what two maps hold, in one step as their users on this thread see it. */
void guest_mem_swap(struct guest_mem *a, struct guest_mem *b);
void guest_mem_clear(struct guest_mem *m);

/* The whole of [gpa, gpa + size) as one host range, or NULL unless it lies inside one region. @size 0: NULL. */
void *guest_mem_range(const struct guest_mem *m, uint64_t gpa, uint64_t size_bytes);

/*
 * The way back: the guest-physical address of @host, and in *left how many bytes of its region lie from there on. False if
 * it is not guest memory.
 */
bool guest_mem_address(const struct guest_mem *m, const void *host, uint64_t *gpa, uint64_t *left);

/* Of guest-physical memory. */
struct guest_mem_range {
	uint64_t gpa, bytes;
};

/*
 * The same for @pieces, each of which may lie across regions. Returns how many ranges that are, -E2BIG for more than @most, or
 * -EFAULT.
 */
int guest_mem_ranges(const struct guest_mem *m, const struct iovec *pieces, unsigned count,
		     struct guest_mem_range *ranges, unsigned most);

/* The first region at or above @gpa, or NULL: to go through all of them in order. */
const struct guest_mem_region *guest_mem_next(const struct guest_mem *m, uint64_t gpa);

/* The region that holds @gpa, or NULL. */
const struct guest_mem_region *guest_mem_find(const struct guest_mem *m, uint64_t gpa);

#endif
