/* SPDX-License-Identifier: MIT */
/*
 * The home of a device's shared memory (host/virtio/shmem.h) in a device server: the frontend is asked to map, by
 * VHOST_USER_BACKEND_SHMEM_MAP and UNMAP on the channel for our requests, and answers in the order of the questions.
 *
 * Thread: the device's loop.
 */
#ifndef MULLION_HOST_VHOST_SHMEM_H
#define MULLION_HOST_VHOST_SHMEM_H

#include <stdbool.h>
#include <stdint.h>

#include "host/virtio/shmem.h"
#include "protocol/vhost_user.h"

struct message;
struct message_socket;
struct virtio_device;

/* More than a device has requests in its queues. */
#define VHOST_SHMEM_MAX_ASKED 512u

/* Zeroed, but for @device and @socket: nothing is asked. */
struct vhost_shmem {
	struct virtio_device *device;
	struct message_socket *socket; /* where to ask; closed: -EOPNOTSUPP */
	bool agreed;		       /* VHOST_USER_PROTOCOL_F_SHMEM */
	/* A ring of what is not answered yet, by the number of the question. */
	uint64_t first, next;
	struct vhost_shmem_question {
		struct virtio_shmem_request *request; /* NULL: cancelled */
		uint32_t kind;
		struct vhost_user_shmem_map map;
	} questions[VHOST_SHMEM_MAX_ASKED];
};

/* For virtio_device_set_shmem_home(), with a struct vhost_shmem. */
extern const struct virtio_shmem_ops vhost_shmem_ops;

/*
 * @m came on the socket. What is no answer to us has no meaning. Returns 0, or -EPROTO for an answer that is not the one to
 * the oldest question.
 */
int vhost_shmem_answered(struct vhost_shmem *s, const struct message *m);
/* Nobody will answer any more: what is in progress fails with -EIO. The socket is closed already. */
void vhost_shmem_end(struct vhost_shmem *s);

#endif
