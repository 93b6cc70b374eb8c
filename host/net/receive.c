// SPDX-License-Identifier: MIT
/*
 * From the backend to the guest (virtio 1.4, section 5.1.6.3 and 5.1.6.4).
 *
 * Packets are read straight into guest buffers. How long one is shows only afterwards, so buffers for the longest are
 * taken ahead where they may be merged; a spill buffer of our own follows them, so that a packet is never cut short.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "host/net/device.h"

/* How long a packet waits for more buffers. A guest that has posted all it has would else wait for ever. */
#define PATIENCE_NS 100000000ull

static bool merges(const struct net *n)
{
	return virtio_device_has(&n->device, VIRTIO_NET_F_MRG_RXBUF);
}

/* Take buffers until they hold @need bytes, or one if they are not merged. */
static void take_buffers(struct net *n, size_t need)
{
	struct receive *rx = &n->rx;
	struct chain *c;

	while (rx->count < NET_QUEUE_SIZE && (merges(n) ? rx->capacity < need : !rx->count) &&
	       rx->iov_count <= NET_MAX_IOV && virtq_pop(n->device.queues[NET_RECEIVE_QUEUE], &c) == 1) {
		size_t room = writer_left(chain_writer(c));
		int ranges = writer_iov(chain_writer(c), room, rx->iov + rx->iov_count, NET_MAX_IOV);

		if (ranges <= 0) {
			log_guest(LOG_TOPIC_NET, &n->limit,
				  "receive buffer without room, or in over %d pieces; fix the driver", NET_MAX_IOV);
			chain_finish(c);
			continue;
		}
		rx->chains[rx->count] = c;
		rx->bytes[rx->count] = (uint32_t)room;
		rx->ranges[rx->count++] = ranges;
		rx->iov_count += ranges;
		rx->capacity += room;
	}
}

/* Give the first @count buffers to the guest with a packet of @bytes in them. */
static void finish_buffers(struct net *n, unsigned count, size_t bytes)
{
	struct receive *rx = &n->rx;
	int ranges = 0;

	n->counters.rx_packets++;
	n->counters.rx_bytes += bytes - NET_HEADER_BYTES;
	for (unsigned i = 0; i < count; i++) {
		size_t part = bytes < rx->bytes[i] ? bytes : rx->bytes[i];

		chain_set_written(rx->chains[i], (uint32_t)part);
		bytes -= part;
		ranges += rx->ranges[i];
		rx->capacity -= rx->bytes[i];
	}
	chain_finish_all(rx->chains, count);
	rx->count -= count;
	rx->iov_count -= ranges;
	memmove(rx->chains, rx->chains + count, rx->count * sizeof(*rx->chains));
	memmove(rx->bytes, rx->bytes + count, rx->count * sizeof(*rx->bytes));
	memmove(rx->ranges, rx->ranges + count, rx->count * sizeof(*rx->ranges));
	memmove(rx->iov, rx->iov + ranges, (size_t)rx->iov_count * sizeof(*rx->iov));
}

static void drop_held(struct net *n)
{
	n->counters.rx_dropped++;
	n->rx.held_bytes = 0;
	log_guest(LOG_TOPIC_NET, &n->limit,
		  "a packet is larger than the guest's receive buffers: dropped; post more or larger ones");
}

/*
 * The packet of held_bytes is in the buffers up to held_at, the rest in the spill buffer. True if it is out of the
 * way: with the guest, or dropped.
 */
static bool deliver(struct net *n)
{
	struct receive *rx = &n->rx;
	size_t bytes = rx->held_bytes, covered = 0;
	uint16_t buffers = 0;

	take_buffers(n, bytes);
	if (bytes > rx->capacity) {
		if (merges(n))
			return false;
		drop_held(n);
		return true;
	}
	if (bytes > rx->held_at)
		iov_scatter(rx->iov, rx->held_at, rx->spill, bytes - rx->held_at);
	while (covered < bytes)
		covered += rx->bytes[buffers++];
	/* Section 5.1.6.4.1: always set, and 1 where buffers are not merged. */
	iov_scatter(rx->iov, offsetof(struct virtio_net_hdr_v1, num_buffers), &buffers, sizeof(buffers));
	rx->held_bytes = 0;
	finish_buffers(n, buffers, bytes);
	return true;
}

/* Returns 0, or what the backend's receive() returns instead of a size. */
static int receive_one(struct net *n)
{
	struct receive *rx = &n->rx;
	/* One entry is kept for the spill; readv() takes no more than IOV_MAX. */
	int count = merges(n) ? rx->iov_count : rx->ranges[0];
	struct iovec *end, saved;
	size_t direct = 0;
	ssize_t bytes;

	if (count > 1023)
		count = 1023;
	for (int i = 0; i < count; i++)
		direct += rx->iov[i].iov_len;
	end = rx->iov + count;
	saved = *end;
	*end = (struct iovec){.iov_base = rx->spill, .iov_len = NET_MAX_PACKET};
	bytes = n->backend->ops->receive(n->backend, rx->iov, count + 1);
	*end = saved;
	if (bytes < 0)
		return (int)bytes;
	if ((size_t)bytes <= NET_HEADER_BYTES || (size_t)bytes > NET_MAX_PACKET) {
		n->counters.rx_dropped++;
		return 0;
	}
	rx->held_bytes = (size_t)bytes;
	rx->held_at = direct;
	return 0;
}

static void wait_for_buffers(struct net *n)
{
	net_watch(n, EPOLLIN, false);
	if (n->rx.held_bytes && !n->rx.patient) {
		loop_arm_timer(n->device.loop, &n->rx.patience, loop_now_ns() + PATIENCE_NS);
		n->rx.patient = true;
	}
}

static void stop_waiting(struct net *n)
{
	if (n->rx.patient)
		loop_cancel_timer(n->device.loop, &n->rx.patience);
	n->rx.patient = false;
}

static void out_of_patience(struct loop_timer *t)
{
	struct net *n = t->owner;

	n->rx.patient = false;
	if (n->rx.held_bytes && !deliver(n))
		drop_held(n);
	net_receive_pump(n);
}

void net_receive_pump(struct net *n)
{
	struct receive *rx = &n->rx;

	if (!virtq_is_started(n->device.queues[NET_RECEIVE_QUEUE]))
		return;
	for (unsigned i = 0; n->backend; i++) {
		int err;

		if (rx->held_bytes && !deliver(n)) {
			wait_for_buffers(n);
			return;
		}
		stop_waiting(n);
		take_buffers(n, rx->need);
		if (!rx->count) {
			wait_for_buffers(n);
			return;
		}
		if (i == NET_TURN) {
			net_go_on_later(n);
			return;
		}
		err = receive_one(n);
		if (err == -EAGAIN) {
			net_watch(n, EPOLLIN, true);
			return;
		}
		if (err)
			net_link_down(n);
	}
}

void net_receive_start(struct net *n)
{
	struct receive *rx = &n->rx;
	bool large = virtio_device_has(&n->device, VIRTIO_NET_F_GUEST_TSO4) ||
		     virtio_device_has(&n->device, VIRTIO_NET_F_GUEST_TSO6);

	rx->patience.expired = out_of_patience;
	rx->patience.owner = n;
	rx->need = NET_MAX_PACKET;
	if (!large && n->backend && n->backend->max_frame < NET_MAX_FRAME)
		rx->need = NET_HEADER_BYTES + n->backend->max_frame;
}

void net_receive_reset(struct net *n)
{
	struct receive *rx = &n->rx;

	net_watch(n, EPOLLIN, false);
	stop_waiting(n);
	for (unsigned i = 0; i < rx->count; i++)
		chain_finish(rx->chains[i]);
	rx->count = 0;
	rx->iov_count = 0;
	rx->capacity = 0;
	rx->held_bytes = 0;
}
