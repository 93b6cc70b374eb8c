/* SPDX-License-Identifier: MIT */
/* A virtio-net device and its guest over fake memory, and the other side of its socket. For cmocka tests: calls assert. */
#ifndef MULLION_TESTS_LIB_NET_WORLD_H
#define MULLION_TESTS_LIB_NET_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "host/virtio/device.h"
#include "protocol/virtio_net.h"
#include "tests/lib/fake_guest.h"

#define NET_RECEIVE 0
#define NET_TRANSMIT 1
#define NET_HEADER sizeof(struct virtio_net_hdr_v1)
#define NET_MAX_FRAME 65554u

struct net_world {
	struct fake_guest *guest;
	struct virtio_device *device;
	int peer; /* passt's end; a test that closes it says -1 */
};

/* @options: NULL for a split ring; the guest has 32 MiB whatever they say. */
void net_world_begin(struct net_world *w, const struct fake_guest_options *options);
void net_world_end(struct net_world *w);
void net_world_run(struct net_world *w, int ms);

/* A frame's bytes. */
void net_fill(uint8_t *frame, size_t n, uint8_t seed);
/* A frame as it is on the socket; returns its size there. */
size_t net_on_the_wire(uint8_t *to, size_t bytes, uint8_t seed);

/* ---- to the guest ---- */

void net_world_push(struct net_world *w, const uint8_t *bytes, size_t n);
struct fake_request *net_world_post(struct net_world *w, size_t room);
/* One buffer with a whole packet in it. */
void net_check_packet(const struct fake_request *r, size_t bytes, uint8_t seed);
/* @world: a struct net_world; for fake_guest_split_each(), as is net_world_send_one(). */
void net_world_receive_one(void *world);

/* ---- from the guest ---- */

extern uint8_t net_packet[];
/* In net_packet; returns its size. */
size_t net_make_packet(size_t bytes, uint8_t seed);
/* What has come on the socket; returns how much, at most @n. */
size_t net_world_pull(struct net_world *w, uint8_t *to, size_t n);
void net_world_expect_frame(struct net_world *w, size_t bytes, uint8_t seed);
void net_world_send_one(void *world);

#endif
