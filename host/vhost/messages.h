/* SPDX-License-Identifier: MIT */
/*
 * A stream socket on which whole messages come and go: a vhost_user_header, that many bytes, and descriptors. Reading
 * never waits: a peer that sends half a message holds up nobody but itself. What the peer does not read is kept, and
 * meanwhile nothing more is taken from it.
 *
 * Thread: the loop, for every call.
 */
#ifndef MULLION_HOST_VHOST_MESSAGES_H
#define MULLION_HOST_VHOST_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/loop.h"
#include "protocol/vhost_user.h"

#define MESSAGE_MAX_BYTES 2056u /* of a payload: the answer to GET_SHMEM_CONFIG */
#define MESSAGE_MAX_FDS 8u     /* SET_MEM_TABLE */
#define MESSAGE_OUT_BYTES 8192u

struct message {
	struct vhost_user_header header;
	union {
		uint8_t bytes[MESSAGE_MAX_BYTES];
		uint64_t u64;
		struct vhost_user_vring_state state;
		struct vhost_user_vring_addr addr;
		struct vhost_user_mem_table table;
		struct vhost_user_mem_reg region;
		struct vhost_user_config config;
		struct vhost_user_inflight inflight;
		struct vhost_user_shmem_config shmem;
		struct vhost_user_shmem_map map;
		struct vhost_user_object object;
	} payload; /* header.size bytes of it came from the peer, the rest is zero */
	int fds[MESSAGE_MAX_FDS];
	unsigned fd_count;
};

struct message_ops {
	/*
	 * A whole message. Take a descriptor by setting its place to -1; the others are closed afterwards. A negative
	 * errno ends the connection.
	 */
	int (*received)(void *owner, struct message *m);
	/*
	 * The connection ended: 0 when the peer closed it between two messages, else a negative errno; @why says it in
	 * words. The socket is still to be closed, here or later.
	 */
	void (*ended)(void *owner, int err, const char *why);
};

struct message_socket {
	struct loop *loop;
	const struct message_ops *ops;
	void *owner;
	struct loop_fd watch;
	bool open, watched, paused, ended;
	struct message in;
	size_t have; /* bytes of @in, header included */
	size_t out_at, out_bytes;
	uint8_t out[MESSAGE_OUT_BYTES];
};

/* Take @fd (closed also on failure) and read from it. Returns 0 or a negative errno. */
int message_socket_open(struct message_socket *s, struct loop *loop, int fd, const struct message_ops *ops, void *owner);
/* Close it and what descriptors came with half a message. No op is called any more. A zeroed @s is fine. */
void message_socket_close(struct message_socket *s);

/*
 * Send a message with @bytes of @payload (at most MESSAGE_MAX_BYTES). Returns 0, also when the peer has to read first, -ENOBUFS when it
 * has not read for too long, -EPIPE when it is gone; the caller ends the connection then.
 */
int message_send(struct message_socket *s, uint32_t request, uint32_t flags, const void *payload, size_t bytes);

/*
 * The same with @count descriptors (at most MESSAGE_MAX_FDS), which stay the caller's. The peer must have read all that
 * was sent before: -ENOBUFS if it has not, or if its socket has no room.
 */
int message_send_fds(struct message_socket *s, uint32_t request, uint32_t flags, const void *payload, size_t bytes,
		     const int *fds, unsigned count);

/*
 * Wait up to @timeout_ms for something to happen on it, and handle that: for an owner that needs an answer to go on, also
 * from inside an op of this socket's or of another one's. Returns 0, or -EPIPE when the connection has ended.
 */
int message_socket_turn(struct message_socket *s, int timeout_ms);

/* Take no further message until it is called with false; one that came is handled after. */
void message_socket_pause(struct message_socket *s, bool paused);

#endif
