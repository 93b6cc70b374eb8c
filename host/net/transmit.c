// SPDX-License-Identifier: MIT
/* From the guest to the backend (virtio 1.4, section 5.1.6.2). */
#include <errno.h>
#include <sys/epoll.h>

#include "host/net/device.h"

/* What is wrong with the offloads that the driver asks for in @h, or NULL. @bytes: of the frame. */
static const char *check_header(const struct net *n, struct virtio_net_hdr_v1 *h, size_t bytes)
{
	uint8_t type = h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	/* The other flags are for the other direction. */
	h->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->num_buffers = 0;
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		if (!virtio_device_has(&n->device, VIRTIO_NET_F_CSUM))
			return "a checksum to fill in, which was not negotiated";
		if ((size_t)h->csum_start + h->csum_offset + 2 > bytes)
			return "a checksum beyond its end";
	}
	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return NULL;
	if (!(type == VIRTIO_NET_HDR_GSO_TCPV4 && virtio_device_has(&n->device, VIRTIO_NET_F_HOST_TSO4)) &&
	    !(type == VIRTIO_NET_HDR_GSO_TCPV6 && virtio_device_has(&n->device, VIRTIO_NET_F_HOST_TSO6)))
		return "a segmentation that was not negotiated";
	if (h->gso_type & VIRTIO_NET_HDR_GSO_ECN && !virtio_device_has(&n->device, VIRTIO_NET_F_HOST_ECN))
		return "segmentation with ECN, which was not negotiated";
	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || !h->gso_size)
		return "segmentation without a checksum or a size";
	return NULL;
}

/* Copy and check the header, and collect the frame's ranges. NULL, or why the packet is dropped. */
static const char *prepare(struct net *n, struct chain *c)
{
	struct transmit *tx = &n->tx;
	struct reader *r = chain_reader(c);
	int ranges;

	tx->bytes = reader_left(r);
	if (read_obj(r, &tx->header))
		return "a header shorter than 12 bytes";
	tx->bytes = reader_left(r);
	if (tx->bytes < NET_MIN_FRAME || tx->bytes > NET_MAX_FRAME)
		return "a frame that is too short or too long";
	ranges = reader_iov(r, tx->bytes, tx->iov + 1, NET_MAX_IOV);
	if (ranges < 0)
		return "a frame in too many pieces";
	tx->count = 1 + ranges;
	/* writev() takes no more than IOV_MAX. */
	if (tx->count > 1024)
		return "a frame in too many pieces";
	return check_header(n, &tx->header, tx->bytes);
}

static void finish(struct net *n)
{
	struct chain *c = n->tx.chain;

	n->tx.chain = NULL;
	chain_finish(c);
}

/* The next packet to send, in n->tx. False: the guest has none. */
static bool next_packet(struct net *n)
{
	struct transmit *tx = &n->tx;

	while (!tx->chain) {
		const char *why;

		if (virtq_pop(n->device.queues[NET_TRANSMIT_QUEUE], &tx->chain) != 1) {
			tx->chain = NULL;
			return false;
		}
		why = prepare(n, tx->chain);
		if (!why)
			return true;
		log_guest(LOG_TOPIC_NET, &n->limit, "packet of %zu bytes with %s: dropped; fix the driver", tx->bytes,
			  why);
		n->counters.tx_dropped++;
		finish(n);
	}
	return true;
}

/* The guest has no more: see to what the backend still holds. */
static void flush_backend(struct net *n)
{
	int err = n->backend && n->backend->ops->flush ? n->backend->ops->flush(n->backend) : 0;

	if (err == -ENOLINK)
		net_link_down(n);
	net_watch(n, EPOLLOUT, err == -EAGAIN);
}

void net_transmit_pump(struct net *n)
{
	struct transmit *tx = &n->tx;

	for (unsigned i = 0; next_packet(n); i++) {
		int err;

		if (i == NET_TURN) {
			net_go_on_later(n);
			return;
		}
		err = n->backend ? n->backend->ops->send(n->backend, &tx->header, tx->iov, tx->count, tx->bytes)
				 : -ENOLINK;
		if (err == -EAGAIN) {
			net_watch(n, EPOLLOUT, true);
			return;
		}
		if (err == -ENOLINK) {
			net_link_down(n);
			n->counters.tx_dropped++;
		} else if (err) {
			n->counters.tx_dropped++;
			log_guest(LOG_TOPIC_NET, &n->limit, "%s: frame of %zu bytes dropped: %s%s", n->backend->name,
				  tx->bytes, strerror(-err),
				  err == -EIO ? ": set the interface up (ip link set NAME up)" : "");
		} else {
			n->counters.tx_packets++;
			n->counters.tx_bytes += tx->bytes;
		}
		finish(n);
	}
	flush_backend(n);
}

void net_transmit_reset(struct net *n)
{
	if (n->tx.chain)
		finish(n);
	/* A frame that was begun is sent to its end, for the sake of the framing. */
	flush_backend(n);
}
