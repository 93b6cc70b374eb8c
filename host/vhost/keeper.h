/* SPDX-License-Identifier: MIT */
/*
 * The keeper: the part of a device program that a guest can't reach. It holds the socket of the vhost-user frontend, what
 * the frontend has lent (lease.h), and the memory in which a device keeps its state; the device itself is in a worker
 * (worker.h), to which the frontend's messages are passed on. A worker that dies or hangs is replaced: the next
 * one is told the lease and goes on with the state. The frontend and the guest see nothing of it.
 *
 * What is the same for every worker (features, queues) and the config space is answered here at once.
 *
 * Thread: one, which keeper_run() runs the loop on. There must be no other in the process.
 */
#ifndef MULLION_HOST_VHOST_KEEPER_H
#define MULLION_HOST_VHOST_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sandbox;
struct worker_place;

#define KEEPER_MAX_DEATHS 10000u

struct keeper_config {
	const char *name;	 /* "gpu", for log lines and the process list */
	const char *socket_path; /* to listen on */
	int fd;			 /* or a socket, listening or connected; taken; -1: none */
	bool in_band;		 /* offer notifications by messages */
	/* Sockets, taken; -1: none. Who is at the other end of @control is told of each worker (host/virtio/control_socket.h). */
	int control;
	int screen;		 /* each worker is handed this one (worker.h) */
	uint32_t config_bytes;	 /* of the device's config space */
	size_t journal_bytes;	 /* 0: the device keeps no journal, and a death resets it */
	bool has_objects;	 /* it shares virtio objects (objects.h) with other devices of the guest */
	uint64_t shared_bytes;	 /* what it lends from host memory (host/virtio/shared_heap.h); 0: nothing */
	/* After so many deaths in a minute the next worker is degraded; after twice as many there is none. 1.. */
	unsigned max_deaths;
	uint64_t hang_ns;	 /* a worker whose loop does not come round for so long is killed; 0: never */
	bool spare;		 /* keep a worker ready that takes the place of one that dies (place->spare) */
	struct sandbox *sandbox; /* that workers are to live in; borrowed */
	/*
	 * What a worker does, in a process of its own: make the device, serve place->link with it (vhost_server_create() with
	 * place->memory->rings) until the server has ended, keep the pulse, and lock
	 * place->sandbox before that. A spare one keeps no pulse and reads no journal before the server has begun. Returns the exit status: 0, or another after a line
	 * that says why it could not begin.
	 */
	int (*work)(void *owner, const struct worker_place *place);
	void *owner;
};

/*
 * Serve until SIGTERM or SIGINT, or until the connected socket that was given has ended. Returns the exit status of the
 * program.
 */
int keeper_run(const struct keeper_config *config);

#endif
