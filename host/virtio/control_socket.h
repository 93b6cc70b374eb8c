/* SPDX-License-Identifier: MIT */
/*
 * What a user asks of a device between two processes: what it counted (host/virtio/counters.h), and
 * host/virtio/display_control.h where it has displays. Messages on SOCK_SEQPACKET sockets, one struct each. The asker is
 * the program with the user. Its own socket leads to the keeper, which says by CONTROL_WORKER which worker there is now, and
 * sends along the socket on which that one is asked. So nobody but the keeper says who is there, and what a worker does to
 * its socket goes with it.
 *
 * A worker may die with requests that it has not answered. The asker repeats them when it hears of the next one. All of them
 * may be repeated: modes are set, a file is written from its beginning.
 *
 * Both ends are of one build. The asker must take each field of a worker's for a hostile one: a guest may have taken it over.
 * Thread: any, one at a time an end.
 */
#ifndef MULLION_HOST_VIRTIO_CONTROL_SOCKET_H
#define MULLION_HOST_VIRTIO_CONTROL_SOCKET_H

#include <stdint.h>

#include "host/virtio/display_control.h"

enum control_kind {
	CONTROL_WORKER = 1, /* comes with the socket of a worker that begins */
	CONTROL_STATUS,
	CONTROL_MODE,
	CONTROL_SCREENSHOT, /* comes with the file to write */
	/*
	 * Comes with a file of sizeof(struct counters), sealed in its size, to write one into: it is long for a
	 * message.
	 */
	CONTROL_COUNTERS,
};

struct control_message {
	uint32_t kind;
	uint32_t sequence;		     /* the asker's; an answer has that of its request */
	int32_t err;			     /* of an answer: 0 or a negative errno */
	uint32_t worker_pid, deaths;	     /* CONTROL_WORKER */
	uint32_t display, width, height;     /* CONTROL_MODE, CONTROL_SCREENSHOT */
	struct display_device_status status; /* an answer to CONTROL_STATUS */
};

/* What the user set, to begin a worker with; kept by the keeper, written by the worker. */
struct control_mode {
	uint32_t is_set, width, height;
};

/*
 * Send @m and a copy of descriptor @fd (-1: none). Never waits. Returns 0, -EAGAIN when the other end does not read, or
 * another negative errno when it is gone.
 */
int control_send(int socket, const struct control_message *m, int fd);

/*
 * Take one message; a descriptor that came along goes to *fd, the caller's (-1: none, as with all errors). Never waits.
 * Returns 0, -EAGAIN, -EBADMSG for one that is no message (dropped; go on), or another negative errno when the other end is
 * gone.
 */
int control_receive(int socket, struct control_message *m, int *fd);

#endif
