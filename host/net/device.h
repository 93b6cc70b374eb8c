/* SPDX-License-Identifier: MIT */
/* What the files of the network card share; nobody else includes this. Thread: the device's loop. */
#ifndef MULLION_HOST_NET_DEVICE_H
#define MULLION_HOST_NET_DEVICE_H

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/net/backend.h"
#include "host/net/net.h"
#include "host/virtio/device.h"
#include "protocol/virtio_net.h"

#define NET_QUEUE_SIZE 256
#define NET_RECEIVE_QUEUE 0
#define NET_TRANSMIT_QUEUE 1
/* Ranges of one chain: a whole ring and an indirect table. */
#define NET_MAX_IOV ((int)(NET_QUEUE_SIZE + VIRTQ_INDIRECT_MAX))
/* Packets moved in one direction before the loop's other devices get their turn. */
#define NET_TURN 64u

/* Buffers taken from the guest and not yet filled, in order. */
struct receive {
	struct chain *chains[NET_QUEUE_SIZE];
	uint32_t bytes[NET_QUEUE_SIZE]; /* of each */
	int ranges[NET_QUEUE_SIZE];	/* of each, in iov */
	unsigned count;
	size_t capacity;
	struct iovec iov[2 * NET_MAX_IOV];
	int iov_count;
	size_t need; /* the most a packet can take */
	/* A packet that the buffers at hand were too small for: its rest is in spill until the guest posts more. */
	size_t held_bytes, held_at; /* held_bytes 0: none; spill begins at held_at of the packet */
	struct loop_timer patience; /* runs while patient */
	bool patient;
	uint8_t *spill; /* NET_MAX_PACKET */
};

/* The packet that the backend can't take yet. */
struct transmit {
	struct chain *chain; /* NULL: none */
	struct virtio_net_hdr_v1 header;
	size_t bytes;
	int count; /* of iov, with the backend's first entry */
	struct iovec iov[1 + NET_MAX_IOV];
};

struct net {
	struct virtio_device device;
	struct virtio_net_config config;
	struct net_counters counters;
	struct log_limit limit;
	struct net_backend *backend; /* NULL: the link is down */
	struct loop_fd watch;
	uint32_t watched; /* events; 0: not in the loop */
	struct loop_task more;
	bool more_posted;
	struct receive rx;
	struct transmit tx;
};

/* Have the backend's descriptor watched for @event (EPOLLIN or EPOLLOUT), or no longer. */
void net_watch(struct net *n, uint32_t event, bool on);
/* Go on with both directions after the loop's other work. */
void net_go_on_later(struct net *n);
/* The backend has gone. */
void net_link_down(struct net *n);

void net_receive_start(struct net *n);
/* Move packets until there are no more, or no buffers, or the turn is over. */
void net_receive_pump(struct net *n);
void net_receive_reset(struct net *n);

void net_transmit_pump(struct net *n);
void net_transmit_reset(struct net *n);

#endif
