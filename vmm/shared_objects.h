/* SPDX-License-Identifier: MIT */
/*
 * The virtio objects of one guest (virtio 1.4, section 2.11) whose devices are in processes of their own: which device's
 * process announced which UUID, and the memory that it gave for it. Others that ask for the UUID are given that memory.
 * Whoever asks is answered at once: no thread waits for another device's.
 *
 * What a process says is hostile: it can only add UUIDs that are nobody's, up to a limit, and take back its own; and what it gives
 * must be a sealed memfd. Thread: any, for every call.
 */
#ifndef MULLION_VMM_SHARED_OBJECTS_H
#define MULLION_VMM_SHARED_OBJECTS_H

#include <stdint.h>

#define SHARED_OBJECTS_UUID_BYTES 16u
/* Of one owner; each is a descriptor. */
#define SHARED_OBJECTS_MAX 256u

struct shared_objects;

int shared_objects_create(struct shared_objects **out);
/* NULL is fine. */
void shared_objects_destroy(struct shared_objects *t);

/* A driver may look for objects from now on, or one doesn't any more. What is there stays. */
void shared_objects_join(struct shared_objects *t);
void shared_objects_leave(struct shared_objects *t);

/*
 * @owner, whatever stands for it, shares @fd (taken, also on failure; -1: it has none after all) as @uuid. Returns 0, -EEXIST
 * (that UUID is there, whoever's it is), -ENODEV (nobody would look for it: a Linux guest names all sorts of buffers),
 * -ENOSPC (too many), -EPERM (no memfd that can't shrink), -ENOENT (no @fd), -ENOMEM.
 */
int shared_objects_add(struct shared_objects *t, const void *owner, const uint8_t uuid[SHARED_OBJECTS_UUID_BYTES],
		       int fd);
/* Returns 0, -ENOENT, or -EPERM for another one's. */
int shared_objects_remove(struct shared_objects *t, const void *owner, const uint8_t uuid[SHARED_OBJECTS_UUID_BYTES]);
/* All of its. */
void shared_objects_drop(struct shared_objects *t, const void *owner);
/* A descriptor of the caller's own, -ENOENT, or another negative errno. */
int shared_objects_find(struct shared_objects *t, const uint8_t uuid[SHARED_OBJECTS_UUID_BYTES]);

#endif
