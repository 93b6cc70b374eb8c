/* SPDX-License-Identifier: MIT */
/*
 * Virtio objects: buffers that one device exports and another imports, named by a UUID (virtio 1.4, section 2.11).
 * virtio-gpu exports a resource by RESOURCE_ASSIGN_UUID; virtio-video writes pictures into it or reads them from it.
 * What is shared is memory of the host, or guest pages; no copy goes through the guest.
 *
 * A table belongs to one guest. Devices of it, on whatever threads, find each other's objects there; an object lives
 * until the last of them put it. Its fields are constant from virtio_objects_publish() on. The memory behind it may be
 * written by one device while another reads, if the guest asks for that: it spoils a picture, nothing more.
 *
 * Where each device is in a process of its own, a table is of one device, and has a home that tells others of its objects
 * and finds theirs. An object is then sent as a memfd, which says itself what it is: behind its bytes lies a description, which
 * whoever takes it copies once and checks. Guest pages are sent as a list of where they are in the guest's memory, which the
 * other has as well.
 *
 * Thread: any, for every call; of a table with a home the device's loop alone.
 */
#ifndef MULLION_HOST_VIRTIO_OBJECT_H
#define MULLION_HOST_VIRTIO_OBJECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define VIRTIO_UUID_BYTES 16u

/* What lies in it: one picture, rows from the top. */
struct virtio_object_shape {
	char order
		[5]; /* its components in the order of their bytes, X for one that means nothing: "BGRX"; "": no picture */
	uint32_t width, height; /* pixels */
	uint32_t stride_bytes;
};

struct virtio_object {
	uint8_t uuid[VIRTIO_UUID_BYTES];
	struct virtio_object_shape shape;
	struct iovec *pieces;
	unsigned piece_count;
	size_t bytes; /* of all pieces together */
	int fd; /* for another process: the sealed memfd that it is in, or that says which guest pages it is; -1: none */
	/* The exporter takes over what is written, but what it draws itself is not to be seen here. */
	bool is_write_only;
	/* The rest is object.c's. */
	struct virtio_object_tail *tail; /* of the memfd, behind the bytes; NULL: guest pages */
	atomic_uint *writes;		 /* in the tail, so that all who have it count in one place; else own_writes */
	atomic_uint own_writes, references;
	struct virtio_object *next;
};

struct guest_mem;
struct virtio_objects;

int virtio_objects_create(struct virtio_objects **out);
/* No object is published any more. NULL is fine. */
void virtio_objects_destroy(struct virtio_objects *t);

/*
 * Make an object, which the caller holds: of memory of the host, zeroed, @bytes long; or of guest pages, which stay in
 * place as long as the guest lives (@pieces are copied). @shape NULL: it is no picture. Returns 0 or a negative errno.
 */
int virtio_object_create(const struct virtio_object_shape *shape, size_t bytes, struct virtio_object **out);
int virtio_object_create_on(const struct iovec *pieces, unsigned count, struct virtio_object **out);

/*
 * The object that @fd (taken, also on failure) is, which another process sent, maybe a hostile one: file system, seals,
 * size and description are checked, so that nobody can cut off what is mapped here, and guest pages are looked up in @mem
 * (NULL: there are none). Returns 0, -EPERM (no sealed memfd), -EINVAL (a description that doesn't fit, or what is no guest
 * memory), or another negative errno.
 */
int virtio_object_import(int fd, const struct guest_mem *mem, struct virtio_object **out);

/* What a home does. Thread: the device's loop. */
struct virtio_objects_home_ops {
	bool (*is_open)(void *owner); /* there may be others */
	/* Both wait a moment for the answer. Others may look for it: returns 0 or a negative errno. */
	int (*add)(void *owner, const struct virtio_object *o);
	int (*look_up)(void *owner, const uint8_t uuid[VIRTIO_UUID_BYTES]); /* a descriptor or a negative errno */
	void (*remove)(void *owner, const struct virtio_object *o);	    /* one that was added */
};

/* @ops NULL: the table has no home (any more). @mem: the guest's; borrowed while there is one. */
void virtio_objects_set_home(struct virtio_objects *t, const struct virtio_objects_home_ops *ops, void *owner,
			     const struct guest_mem *mem);

/* Whether there is anybody to share with. @t NULL: there is not. */
bool virtio_objects_are_shared(const struct virtio_objects *t);

/*
 * Let others find it by @uuid, until virtio_objects_withdraw(). The table holds nothing: withdraw before the last put. Returns
 * 0, -EEXIST if it is published already and stays so, or of a table with a home: -EFAULT for pages that are not the guest's,
 * -E2BIG for too many, or what its op returns; then it is not published.
 */
int virtio_objects_publish(struct virtio_objects *t, struct virtio_object *o, const uint8_t uuid[VIRTIO_UUID_BYTES]);
/* No-op for one that is not published. */
void virtio_objects_withdraw(struct virtio_objects *t, struct virtio_object *o);

/* The object of that name, here or elsewhere, which the caller holds from now on, or NULL. From elsewhere: it has no @fd. */
struct virtio_object *virtio_objects_find(struct virtio_objects *t, const uint8_t uuid[VIRTIO_UUID_BYTES]);
/* The same with its @fd, for who publishes it again: a process before this one did. */
struct virtio_object *virtio_objects_find_again(struct virtio_objects *t, const uint8_t uuid[VIRTIO_UUID_BYTES]);
/* Hold it no longer. NULL is fine. */
void virtio_object_put(struct virtio_object *o);

/*
 * An importer has written: virtio_object_writes() of the exporter then differs from what it was, and all that was written
 * before can be read.
 */
void virtio_object_written(struct virtio_object *o);
unsigned virtio_object_writes(struct virtio_object *o);

#endif
