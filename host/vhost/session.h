/* SPDX-License-Identifier: MIT */
/*
 * Inside the device server: what server.c and requests.c share of the connection. Nobody else includes this.
 */
#ifndef MULLION_HOST_VHOST_SESSION_H
#define MULLION_HOST_VHOST_SESSION_H

#include "host/base/accept.h"
#include "host/base/log.h"
#include "host/vhost/memory.h"
#include "host/vhost/messages.h"
#include "host/vhost/objects.h"
#include "host/vhost/rings.h"
#include "host/vhost/server.h"
#include "host/vhost/shmem.h"

/*
 * GET_VRING_BASE waits for requests in flight: so long for those that end by themselves, and so long at most for all, since
 * QEMU's main loop waits with it.
 */
#define DRAIN_GRACE_NS 250000000ull
#define DRAIN_LIMIT_NS 500000000ull
#define DRAIN_POLL_NS 1000000ull

struct vhost_server {
	struct vhost_server_config config;
	struct loop *loop;
	struct vhost_memory *memory;
	struct vhost_rings rings;

	int listener; /* -1: none */
	struct accept_backoff listen_backoff;
	struct loop_fd listen_watch;
	bool listening; /* watched */
	char *path;	/* of the socket that we made; NULL: none */

	bool connected;
	bool begun; /* it said something */
	struct message_socket frontend;
	struct message_socket backend; /* our own requests to the frontend; not open: none */
	struct vhost_shmem shmem;      /* of the device: what is asked on it */
	struct vhost_objects objects;
	uint64_t protocol_features; /* as acknowledged */

	/* GET_VRING_BASE that is not answered yet. */
	bool draining;
	uint32_t drained_ring;
	uint64_t quiesce_ns; /* when the device is to answer what is left; 0: it was told */
	uint64_t drain_end_ns;
	struct loop_timer drain_timer;

	struct loop_timer reap_timer; /* unmaps memory once the device has let go of it */
	struct loop_task drop_task;   /* ends the connection outside of a message's own handling */
	bool drop_posted;
};

static inline bool vhost_server_has(const struct vhost_server *s, unsigned feature)
{
	return (s->protocol_features >> feature) & 1;
}

/* Handle one whole message: 0, or a negative errno after a line about it that ends the connection. */
int vhost_server_request(struct vhost_server *s, struct message *m);
/* Answer the GET_VRING_BASE that waits, if it is time. */
void vhost_server_drained(struct vhost_server *s);
/* Unmap what was taken away, now or when the device has let go of it. */
void vhost_server_reap(struct vhost_server *s);
/* Take the frontend's channel for our requests. */
int vhost_server_open_backend(struct vhost_server *s, int fd);

#endif
