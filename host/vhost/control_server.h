/* SPDX-License-Identifier: MIT */
/*
 * The worker's end of host/virtio/control_socket.h: does what the user asks of a device with displays, and notes the modes
 * that were set where the next worker finds them. Thread: the device's loop.
 */
#ifndef MULLION_HOST_VHOST_CONTROL_SERVER_H
#define MULLION_HOST_VHOST_CONTROL_SERVER_H

#include "host/virtio/control_socket.h"

struct control_server;

struct control_server_config {
	int socket;	     /* taken */
	uint64_t generation; /* requests for other workers than this are dropped */
	/* The displays; borrowed, as is what follows. The device may go first, and ends its screenshots then. */
	struct display_control control;
	struct control_mode *modes; /* [DISPLAY_CONTROL_MAX], in memory that outlives this process */
};

/* Give the device the modes that were set before, then serve. Returns 0 or a negative errno; the socket is closed then. */
int control_server_create(const struct control_server_config *config, struct control_server **out);
/* NULL is fine. */
void control_server_destroy(struct control_server *s);

#endif
