/* SPDX-License-Identifier: MIT */
/*
 * What is behind a network card. A packet is a struct virtio_net_hdr_v1 followed by an Ethernet frame.
 * Thread: the device's loop, for everything. No call blocks.
 */
#ifndef MULLION_HOST_NET_BACKEND_H
#define MULLION_HOST_NET_BACKEND_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "protocol/virtio_net.h"

#define NET_HEADER_BYTES sizeof(struct virtio_net_hdr_v1)
#define NET_MIN_FRAME 14u
/* Section 5.1.6.3.1: 65550 is the largest frame with segmentation offload; 4 more for a VLAN tag. */
#define NET_MAX_FRAME (65550u + 4u)
#define NET_MAX_PACKET (NET_HEADER_BYTES + NET_MAX_FRAME)

struct net_backend;

struct net_backend_ops {
	/* The driver is there and has negotiated @features; forget packets that came for the one before it. */
	int (*start)(struct net_backend *b, uint64_t features);
	/*
	 * Take the next packet into @v, which has room for NET_MAX_PACKET. Returns its size, -EAGAIN if there is none,
	 * -ENOLINK if there never will be one again.
	 */
	ssize_t (*receive)(struct net_backend *b, const struct iovec *v, int count);
	/*
	 * Send @header and the frame in @v[1..count), of @bytes; @v[0] is scratch. Returns 0 (all of it is taken; @v may
	 * be reused), -EAGAIN (nothing of it: try again when the descriptor is writable), -ENOLINK as above, or another
	 * negative errno for a packet that can't be sent and is to be dropped.
	 */
	int (*send)(struct net_backend *b, const struct virtio_net_hdr_v1 *header, struct iovec *v, int count,
		    size_t bytes);
	/*
	 * Go on with what send() has taken and the other side has not. Returns 0 when nothing is left, -EAGAIN (call again
	 * when the descriptor is writable), -ENOLINK. NULL: nothing is ever left.
	 */
	int (*flush)(struct net_backend *b);
	void (*destroy)(struct net_backend *b);
};

struct net_backend {
	const struct net_backend_ops *ops;
	int fd;		    /* to watch */
	char name[128];	    /* for log lines */
	uint64_t features;  /* offloads that it has, as VIRTIO_NET_F_* */
	uint32_t max_frame; /* largest frame without segmentation offload */
};

/* Both return 0 or a negative errno after one line with the cure. @fd is owned from success on. */
int tap_open(const char *name, struct net_backend **out);
int passt_connect(const char *path, struct net_backend **out);
int passt_adopt(int fd, struct net_backend **out);

/* Copy @n bytes to @offset in @v; there must be room. */
static inline void iov_scatter(const struct iovec *v, size_t offset, const void *src, size_t n)
{
	const uint8_t *from = src;

	for (; offset >= v->iov_len && n; v++)
		offset -= v->iov_len;
	while (n) {
		size_t piece = v->iov_len - offset < n ? v->iov_len - offset : n;

		memcpy((uint8_t *)v->iov_base + offset, from, piece);
		from += piece;
		n -= piece;
		offset = 0;
		v++;
	}
}

#endif
