/* SPDX-License-Identifier: MIT */
/*
 * Virtio objects: buffers that one device exports and another imports, named by a UUID (virtio 1.4, section 2.11).
 * virtio-gpu exports a resource by RESOURCE_ASSIGN_UUID; virtio-video writes pictures into it or reads them from it.
 * What is shared is memory of the host, or guest pages; no copy goes through the guest.
 *
 * A table belongs to one guest. Devices of it, on whatever threads, find each other's objects there; an object lives
 * until the last of them put it. Its fields are constant from virtio_objects_publish() on. The memory behind it may be
 * written by one device while another reads, if the guest asks for that: it spoils a picture, nothing more. Nothing is
 * parsed there.
 *
 * Thread: any, for every call.
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
	int fd;	      /* the sealed memfd that it is, for another process to map; -1: guest pages */
	/* The exporter takes over what is written, but what it draws itself is not to be seen here. */
	bool is_write_only;
	/* The rest is object.c's. */
	atomic_uint *writes; /* behind the bytes in the memfd, so that all who have it count in one place; else own_writes */
	atomic_uint own_writes, references;
	struct virtio_object *next;
};

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
 * The object whose @fd (taken, also on failure), @shape and @bytes another process sent, which may be a hostile one: size
 * and seals are checked, so that nobody can cut off what is mapped here. Returns 0, -EPERM (not sealed), -EINVAL (a
 * shape or size that doesn't fit), or another negative errno.
 */
int virtio_object_import(const struct virtio_object_shape *shape, size_t bytes, int fd, struct virtio_object **out);

/* Let others find it by @uuid, until virtio_objects_withdraw(). The table holds nothing: withdraw before the last put. */
void virtio_objects_publish(struct virtio_objects *t, struct virtio_object *o, const uint8_t uuid[VIRTIO_UUID_BYTES]);
void virtio_objects_withdraw(struct virtio_objects *t, struct virtio_object *o);

/* The object of that name, which the caller holds from now on, or NULL. */
struct virtio_object *virtio_objects_find(struct virtio_objects *t, const uint8_t uuid[VIRTIO_UUID_BYTES]);
/* Hold it no longer. NULL is fine. */
void virtio_object_put(struct virtio_object *o);

/*
 * An importer has written: virtio_object_writes() of the exporter then differs from what it was, and all that was written
 * before can be read.
 */
void virtio_object_written(struct virtio_object *o);
unsigned virtio_object_writes(struct virtio_object *o);

#endif
