/* SPDX-License-Identifier: MIT */
/*
 * What a vhost-user frontend has lent and said: features, memory, rings, as data. The keeper notes every message here,
 * and says all of it again to the next worker when one has died.
 *
 * What can't be understood is refused; the rest is for the worker to judge, since it is the worker's memory that is
 * mapped and the worker's rings that are started. Thread: the keeper's loop.
 */
#ifndef MULLION_HOST_VHOST_LEASE_H
#define MULLION_HOST_VHOST_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/vhost/messages.h"

#define LEASE_MAX_RINGS 16u
/* So few that all is said without waiting for the worker to read: a socket holds about 200 KiB. */
#define LEASE_MAX_REGIONS 128u

struct lease_region {
	struct vhost_user_region region;
	int fd; /* a descriptor of our own */
};

struct lease_ring {
	bool has_num, has_addr, has_base, has_kick, enabled;
	bool started; /* and not stopped since; disabled, it only pauses */
	uint32_t num, base;
	struct vhost_user_vring_addr addr;
	int kick, call, error; /* descriptors of our own; -1: none */
};

struct lease {
	bool has_features, has_status;
	bool was_enabled; /* a ring was, or ran, since the device was new */
	uint64_t features, protocol_features;
	uint8_t status;
	unsigned region_count;
	struct lease_region regions[LEASE_MAX_REGIONS];
	struct lease_ring rings[LEASE_MAX_RINGS];
	struct vhost_user_inflight inflight;
	int inflight_fd; /* VHOST_USER_SET_INFLIGHT_FD; -1: none */
	int display; /* VHOST_USER_GPU_SET_SOCKET; -1: none */
};

void lease_init(struct lease *l);
/* Forget everything and close all descriptors. */
void lease_end(struct lease *l);

/*
 * Note what @m says, if it is one of the messages that say something that lasts. Its descriptors are copied, not taken.
 * Returns 0, -EINVAL for what makes no sense (index, count, size), -ENOENT (REM_MEM_REG), -ENOSPC, or the errno of dup().
 */
int lease_note(struct lease *l, const struct message *m);

/* The frontend stopped ring @index, which stands at @base: the answer of GET_VRING_BASE. */
void lease_note_stop(struct lease *l, uint32_t index, uint32_t base);
/* The device itself stopped ring @index at @base (a broken ring, half a reset): it is to go on from there. */
void lease_note_position(struct lease *l, uint32_t index, uint32_t base);

/* A device with this lease is at work, or was when the machine paused: it has state. */
bool lease_has_state(const struct lease *l);
bool lease_any_ring_runs(const struct lease *l);
/* Ring @index was started and not stopped since; it may be disabled. */
bool lease_ring_runs(const struct lease *l, unsigned index);

/*
 * Say all of it on @to, in an order in which a device server takes it. @protocol_features: as for a frontend that agreed
 * on these, REPLY_ACK among them: where a ring is, and what starts it, is to be answered, since a ring that can't go on (the
 * guest broke it, or its memory was taken away) is no reason to end the connection. *replies is how many answers will come.
 * Returns 0 or what message_send_fds() returns.
 */
#define LEASE_MAX_REPLIES (4 * LEASE_MAX_RINGS)
int lease_repeat(const struct lease *l, struct message_socket *to, uint64_t protocol_features, unsigned *replies);

#endif
