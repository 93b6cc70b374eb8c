/* SPDX-License-Identifier: MIT */
/*
 * The requests in flight of one queue as vhost-user has them ("Inflight I/O tracking", INFLIGHT_SHMFD), in memory that the
 * frontend keeps: when all processes of a device are gone, another device finds there what to do again. It is a second copy
 * of what inflight.h keeps, without how far each request got: what is taken over from here begins anew.
 *
 * The memory is the frontend's and may have been written by a process that a guest had taken over. It is read once, when
 * a ring starts, and checked; after that it is only written, and what is needed again is kept here.
 *
 * Used by the virtqueue alone. Thread: the device's loop.
 */
#ifndef MULLION_HOST_VIRTIO_INFLIGHT_REGION_H
#define MULLION_HOST_VIRTIO_INFLIGHT_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inflight;
struct inflight_region;

/* Bytes of a queue's region for rings of @size: enough for both kinds of ring, and a multiple of 64. */
size_t inflight_region_bytes(uint16_t size);

/* @shared: inflight_region_bytes(@size) bytes, aligned to 8, borrowed. 0 or -ENOMEM. */
int inflight_region_create(void *shared, uint16_t size, struct inflight_region **out);
/* What the memory says stays. NULL is fine. */
void inflight_region_destroy(struct inflight_region *r);

/* The largest ring that the memory can speak of. */
uint16_t inflight_region_size(const struct inflight_region *r);
/* The memory speaks of a ring of @size; false if it says nothing, or speaks of another. */
bool inflight_region_is_for(const struct inflight_region *r, uint16_t size);

/*
 * Where a ring of @size stood according to the memory, before the last requests that were given back: packed rings only,
 * with the wrap counter in bit 15. -EINVAL if that is nowhere.
 */
int inflight_region_packed_position(const struct inflight_region *r, uint16_t size, uint16_t *used);

/*
 * Have @f hold what is in flight on a ring of @size, each as just taken, in their order. @at: what
 * inflight_region_packed_position() said, which isn't read again; packed rings only. @shown: split rings: the used index
 * that the driver sees; packed rings: whether the entry at @at was shown as used.
 * Returns how many requests that are, or -EINVAL if the memory makes no sense; then nothing has happened.
 */
int inflight_region_take_over(struct inflight_region *r, struct inflight *f, uint16_t size, bool packed, uint16_t at,
			      uint16_t shown);

/*
 * From here on the memory says what @f has: a ring that was begun or taken over and stands at @used. Should all processes
 * die while it is written, nothing is in flight for the next.
 */
void inflight_region_begin(struct inflight_region *r, const struct inflight *f, bool packed, uint16_t used);
/* The ring was stopped: nothing is in flight. */
void inflight_region_end(struct inflight_region *r);

/* @slot of @f was taken. */
void inflight_region_take(struct inflight_region *r, const struct inflight *f, unsigned slot);
/* @slot is among those that will be shown to the driver next; before anything else is said of that. */
void inflight_region_give(struct inflight_region *r, unsigned slot);
/* All of those were named; the ring will stand at @used with them. */
void inflight_region_showing(struct inflight_region *r, uint16_t used);
/* The driver can see them: @slot is done with; and when each was named, the ring stands at @used. */
void inflight_region_given(struct inflight_region *r, unsigned slot);
void inflight_region_shown(struct inflight_region *r, uint16_t used);

#endif
