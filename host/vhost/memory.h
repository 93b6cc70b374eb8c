/* SPDX-License-Identifier: MIT */
/*
 * The guest's memory as a vhost-user frontend lends it: files, mapped here, and changed while the device runs. A region
 * that stays keeps its mapping. One that goes disappears from the guest's map at once, but what a device still holds of
 * it (requests, pixels of a resource) must not fault: it stays mapped until vhost_memory_reap().
 *
 * Thread: the device's loop.
 */
#ifndef MULLION_HOST_VHOST_MEMORY_H
#define MULLION_HOST_VHOST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/vhost_user.h"

struct guest_mem;
struct vhost_memory;

/* How many regions a frontend may add one by one. Fewer than GUEST_MEM_MAX_REGIONS. */
#define VHOST_MEMORY_SLOTS 509u

/* @mem is the map that the device looks at; borrowed, empty. */
int vhost_memory_create(struct guest_mem *mem, struct vhost_memory **out);
/* The device is gone or was reset, with no request outstanding. */
void vhost_memory_destroy(struct vhost_memory *m);

/*
 * Exchange the whole table: @count regions, each with a descriptor in @fds, which are taken (set to -1) on success.
 * Returns 0 and the new table holds, or a negative errno and the old one does: -EINVAL for a range that wraps or lies
 * outside its file, or a descriptor that is no file; -EEXIST for an overlap; -ENOSPC; what mmap says.
 */
int vhost_memory_replace(struct vhost_memory *m, const struct vhost_user_region *regions, int *fds, unsigned count);
/* The same with one region more, or one less (-ENOENT if there is no such region). */
int vhost_memory_add(struct vhost_memory *m, const struct vhost_user_region *region, int *fd);
int vhost_memory_remove(struct vhost_memory *m, const struct vhost_user_region *region);
/* All regions go. */
void vhost_memory_clear(struct vhost_memory *m);

/* Guest address of a user address; false if no region has it. */
bool vhost_memory_translate(const struct vhost_memory *m, uint64_t user, uint64_t *gpa);

/* Unmap what went: nothing of the device refers to guest memory any more. */
void vhost_memory_reap(struct vhost_memory *m);
/* How many mappings wait for that. */
unsigned vhost_memory_retired(const struct vhost_memory *m);

#endif
