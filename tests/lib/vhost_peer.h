/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user frontend for tests of host/vhost: an echo device behind the real server, on the loop of a fake guest and
 * so on the test's own thread. Messages can be sent in any shape; or the peer is a virtio_device itself, to be started
 * with fake_guest_start(), and then the fake guest's rings are served through the socket.
 */
#ifndef MULLION_TESTS_LIB_VHOST_PEER_H
#define MULLION_TESTS_LIB_VHOST_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/loop.h"
#include "host/virtio/device.h"
#include "host/virtio/mem.h"
#include "protocol/vhost_user.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"

struct inflight_ring;
struct vhost_server;

/* Guest addresses plus this are the user addresses that the peer speaks of. */
#define VHOST_PEER_USER 0x700000000000ull

/* The echo device's shared memory region. */
#define VHOST_PEER_SHMEM 3u
#define VHOST_PEER_SHMEM_BYTES 0x100000ull

struct vhost_peer {
	struct virtio_device device; /* first: the device as the fake guest sees it */
	struct fake_guest *guest;
	struct guest_mem *mem; /* the server's */
	struct echo *echo;
	struct virtio_device *served; /* by the server: the echo, or another */
	struct vhost_server *server;
	char path[64];  /* of the server's socket; "": a socketpair */
	int fd;         /* -1: not connected */
	int backend_fd; /* our end of SET_BACKEND_REQ_FD; -1: none */
	uint64_t features, protocol;
	bool say_reset;  /* a reset of the guest is told by RESET_DEVICE */
	bool say_status; /* the driver's status is told */
	bool in_band;    /* kicks and interrupts are messages */
	uint64_t patience_ns; /* how long an answer may take */
	bool ended;      /* the server says that there will be no other frontend */
	int display_fd;  /* as the server handed it over; -1 */
	uint32_t base[ECHO_QUEUES];   /* where rings stopped, and go on if resume is set */
	bool resume;
	int inflight_fd; /* of vhost_peer_get_inflight(); given back when rings start; -1: none */
	struct vhost_user_inflight inflight;
	struct inflight_ring *tracked; /* the server's own, one a queue */
	int kick[ECHO_QUEUES], call[ECHO_QUEUES], error[ECHO_QUEUES];
	struct loop_fd call_watch[ECHO_QUEUES];
};

struct vhost_answer {
	struct vhost_user_header header;
	union {
		uint8_t bytes[sizeof(struct vhost_user_shmem_config)];
		uint64_t u64;
		struct vhost_user_vring_state state;
		struct vhost_user_config config;
	} payload;
};

/* @options of the fake guest; @listen: the server has a path, and the peer must connect. */
struct vhost_peer *vhost_peer_create(const struct fake_guest_options *options, bool listen, bool in_band);
/* The same, connected and after the handshake, in front of a device that @create makes, with what it is given. */
struct vhost_peer *vhost_peer_create_serving(const struct fake_guest_options *options,
					     int (*create)(void *arg, struct loop *loop, const struct guest_mem *mem,
							   struct virtio_device **out),
					     void *arg);
/* The server is in another process, at the other end of @fd (taken); p->echo serves nothing. */
struct vhost_peer *vhost_peer_create_remote(const struct fake_guest_options *options, int fd);
/* The same in front of a GPU, after the handshake. */
struct vhost_peer *vhost_peer_create_gpu(const struct fake_guest_options *options, int fd);
struct vhost_peer *vhost_peer_create_video(const struct fake_guest_options *options, int fd);
struct vhost_peer *vhost_peer_create_media(const struct fake_guest_options *options, int fd);
/* The server of vhost_peer_create() without a path, and all it knew, are gone; there is another one, and we are connected. */
void vhost_peer_restart(struct vhost_peer *p);
/* Connected to @fd (taken) instead: what was at the other end is gone. */
void vhost_peer_reconnect(struct vhost_peer *p, int fd);
/* Destroys the server first. */
void vhost_peer_destroy(struct vhost_peer *p);

/* Connect to the server's path. */
void vhost_peer_connect(struct vhost_peer *p);
void vhost_peer_disconnect(struct vhost_peer *p);
/* Let the server see what came, until it has nothing more to do. */
void vhost_peer_settle(struct vhost_peer *p);
/* True once the server closed our connection. Reads what is left in it. */
bool vhost_peer_is_dropped(struct vhost_peer *p);

/* Send @bytes of @payload and @count descriptors (borrowed). True if the socket took it whole. */
bool vhost_peer_send(struct vhost_peer *p, uint32_t request, uint32_t flags, const void *payload, size_t bytes,
		     const int *fds, unsigned count);
/* The next answer; false when the server closed the connection instead, or said nothing for a second. */
bool vhost_peer_receive(struct vhost_peer *p, struct vhost_answer *out);
/* Send and receive. */
bool vhost_peer_call(struct vhost_peer *p, uint32_t request, const void *payload, size_t bytes, struct vhost_answer *out);
/* Send with NEED_REPLY (REPLY_ACK is negotiated); the answer's value, or UINT64_MAX if there was none. */
uint64_t vhost_peer_tell(struct vhost_peer *p, uint32_t request, const void *payload, size_t bytes, const int *fds,
			 unsigned count);

/* The features' part of the handshake, with REPLY_ACK. False when the connection was closed. */
bool vhost_peer_handshake(struct vhost_peer *p);
/* GET_INFLIGHT_FD for rings of @size. */
bool vhost_peer_get_inflight(struct vhost_peer *p, uint16_t size);
/* SET_MEM_TABLE with the fake guest's memory: what its acknowledgement says. */
uint64_t vhost_peer_set_memory(struct vhost_peer *p);

#endif
