/* SPDX-License-Identifier: MIT */
/*
 * The worker's end of host/virtio/control_socket.h: says what a device counted, does what the user asks of its displays
 * where it has some, and notes the modes that were set where the next worker finds them. Thread: the device's loop.
 */
#ifndef MULLION_HOST_VHOST_CONTROL_SERVER_H
#define MULLION_HOST_VHOST_CONTROL_SERVER_H

#include "host/virtio/control_socket.h"

struct control_server;
struct virtio_device;

struct control_server_config {
	int socket;	     /* taken */
	/* Borrowed, as is what follows. It may go first, when its loop has stopped, and ends its screenshots then. */
	struct virtio_device *device;
	const struct display_control_ops *displays; /* of it; NULL: it has none */
	struct control_mode *modes; /* [DISPLAY_CONTROL_MAX], in memory that outlives this process */
};

/* Give the device the modes that were set before, then serve. Returns 0 or a negative errno; the socket is closed then. */
int control_server_create(const struct control_server_config *config, struct control_server **out);
/* NULL is fine. */
void control_server_destroy(struct control_server *s);

#endif
