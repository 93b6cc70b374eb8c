/* SPDX-License-Identifier: MIT */
/*
 * A virtio device that another process serves over vhost-user (virtiofsd, qemu-storage-daemon ...). Status, features
 * and config space are answered here; the queues are the backend's: the guest's doorbells wake it directly, and it
 * interrupts the guest through the transport's eventfds.
 *
 * A backend that dies or breaks the protocol leaves a device that needs a reset; when the driver brings it up again,
 * the backend is looked for at the same socket.
 */
#ifndef MULLION_VMM_VHOST_USER_H
#define MULLION_VMM_VHOST_USER_H

#include <stdbool.h>
#include <stdint.h>

struct guest_mem;
struct loop;
struct shared_objects;
struct vhost_user_kind;
struct virtio_device;

struct vhost_user_setup {
	const struct vhost_user_kind *kind;
	const char *socket; /* where its process listens; with connect: what it is called in lines */
	/* Returns a connected socket, or a negative errno; called again when the process was lost. NULL: @socket is a path. */
	int (*connect)(void *owner);
	void *owner;
	/* Where it shares what the guest names by UUIDs, with devices that are given the same. NULL: it doesn't. Borrowed. */
	struct shared_objects *objects;
	const char *tag;    /* kinds with a tag: 1..VHOST_USER_TAG_MAX bytes */
	const uint8_t *mac; /* kinds with one; NULL: by chance */
	unsigned queues;    /* 0: one request queue */
};

/*
 * Connect and make the device. A call on @loop may wait VHOST_SESSION_LIMIT_NS for the backend: it should be a loop
 * for this device alone. @loop and @mem are borrowed. Returns 0 or a negative errno after one line that says why.
 * Thread: any; waits as long.
 */
int vhost_user_create(const struct vhost_user_setup *config, struct loop *loop, const struct guest_mem *mem,
		      struct virtio_device **out);

/* Where the process of @d listens, until @d is destroyed, and whether it is connected. @d: of the above. Thread: any. */
const char *vhost_user_socket(const struct virtio_device *d, bool *is_connected);

#endif
