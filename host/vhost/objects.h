/* SPDX-License-Identifier: MIT */
/*
 * The home of a device's virtio objects (host/virtio/object.h) in a device server whose frontend is a keeper: what the
 * device publishes is announced by VHOST_USER_BACKEND_SHARED_OBJECT_ADD, what it looks for is asked by LOOKUP, on the channel
 * for our requests. Unlike a frontend the keeper is given the descriptor with ADD, since it keeps it for after our death.
 *
 * There is one question at a time, and the device waits for the answer: nobody on the way waits for a device. A frontend that
 * does not answer costs that wait once: there are no more questions, and what they were for is refused, until it has.
 *
 * Thread: the device's loop.
 */
#ifndef MULLION_HOST_VHOST_OBJECTS_H
#define MULLION_HOST_VHOST_OBJECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/virtio/object.h"

struct message;
struct message_socket;

/* So long a device waits for an answer: less than its keeper takes for a hang. */
#define VHOST_OBJECTS_LIMIT_NS 1000000000ull

/* Zeroed, but for @socket and @fd -1. */
struct vhost_objects {
	struct message_socket *socket; /* where to ask; closed: -EOPNOTSUPP */
	bool agreed;		       /* VHOST_USER_PROTOCOL_F_SHARED_OBJECT */
	/* The last question, */
	bool is_asked; /* which has no answer yet, */
	uint32_t request;
	uint64_t result; /* and its answer */
	int fd;		 /* -1: none */
};

/* For virtio_objects_set_home(), with a struct vhost_objects. */
extern const struct virtio_objects_home_ops vhost_objects_ops;

/*
 * @m came on the socket. What is no answer to us has no meaning. Returns 0, or -EPROTO for an answer that is not the one to
 * our question.
 */
int vhost_objects_answered(struct vhost_objects *s, struct message *m);
/* Nobody will answer any more. The socket is closed already. */
void vhost_objects_end(struct vhost_objects *s);

#endif
