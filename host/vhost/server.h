/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user device server: lends one device to one frontend at a time. Frontends may go away at any byte and come
 * back; the device is reset in between. Whoever connects while another is served waits in the socket's backlog.
 *
 * Thread: the device's loop, which also serves the socket.
 */
#ifndef MULLION_HOST_VHOST_SERVER_H
#define MULLION_HOST_VHOST_SERVER_H

#include <stdbool.h>

struct guest_mem;
struct inflight_ring;
struct virtio_device;
struct virtio_objects;
struct vhost_server;

struct vhost_server_config {
	struct virtio_device *device; /* borrowed; the server becomes its transport */
	struct guest_mem *mem;        /* the map that the device looks at; borrowed, empty */
	const char *socket_path;      /* to listen on; a socket that nobody listens on any more is replaced */
	int fd;                       /* or a socket, listening or connected; taken; -1: none */
	/*
	 * Offer notifications by messages. User Mode Linux takes them when it can, but then waits for an answer to every
	 * kick: only its simulated time needs that.
	 */
	bool in_band;
	struct inflight_ring *inflight; /* one a queue, to keep what is in flight in (virtq_track()); NULL: nowhere */
	/*
	 * The device's, which gets a home here (objects.h): only where the frontend is a keeper. Borrowed; NULL: none are
	 * shared.
	 */
	struct virtio_objects *objects;
	/* VHOST_USER_GPU_SET_SOCKET: the frontend's display. Takes @fd. NULL: such a request is refused. */
	int (*display)(void *owner, int fd);
	/* A frontend's first message is here, before it is looked at. NULL: nothing. */
	void (*begun)(void *owner);
	/* The device is at a long work, and a step of it is done (virtio_device_progress()). NULL: nothing. */
	void (*progress)(void *owner);
	/* There will be no other frontend: the connected socket that was given has ended. NULL: nothing. */
	void (*ended)(void *owner);
	void *owner;
};

/* Returns 0, or a negative errno after a line that says what is wrong. */
int vhost_server_create(const struct vhost_server_config *config, struct vhost_server **out);
/*
 * Reset the device and let go of it and of all guest memory; removes the socket that was made. The device must have no
 * request outstanding after its reset. NULL is fine.
 */
void vhost_server_destroy(struct vhost_server *s);
bool vhost_server_is_connected(const struct vhost_server *s);

#endif
