/* SPDX-License-Identifier: MIT */
/*
 * virtio-net (virtio 1.4, section 5.1): one network card with one queue pair, over a tap interface or over a stream
 * socket that speaks the framing of passt and of QEMU's "stream" back end (each frame after its length, 32 bits,
 * big-endian).
 *
 * With a tap, packets go straight between the kernel and guest memory, and checksums and segmentation are left to
 * the kernel as far as it and the driver agree. When the other side can't take more, sending waits for it; when the
 * guest has no buffers, packets wait in the kernel. If the other side goes away the link is down (feature STATUS)
 * and what the guest sends is dropped; the guest goes on. Thread: the device's loop.
 */
#ifndef MULLION_HOST_NET_NET_H
#define MULLION_HOST_NET_NET_H

#include <stdint.h>

struct guest_mem;
struct loop;
struct virtio_device;

/* One of @tap, @socket_path and @socket_fd says what is behind the card. Strings are copied. */
struct net_config {
	const char *tap;	 /* name of a tap interface; made if we may */
	const char *socket_path; /* UNIX socket that passt listens on */
	int socket_fd;		 /* a connected stream socket, or -1; the device owns it once it is created */
	const uint8_t *mac;	 /* 6 bytes; NULL: made from @name, or by chance without one */
	const char *name;	 /* of the machine, so that it keeps its address; may be NULL */
	uint16_t mtu;		 /* advice to the guest, 68..65535; 0: none */
};

struct net_counters {
	uint64_t rx_packets, rx_bytes, rx_dropped;
	uint64_t tx_packets, tx_bytes, tx_dropped;
};

/* Returns 0 or a negative errno after one line that names the interface or socket and the cure. */
int net_create(const struct net_config *config, struct loop *loop, const struct guest_mem *mem,
	       struct virtio_device **out);

/* Valid until the device is destroyed. */
const struct net_counters *net_counters(const struct virtio_device *d);
const uint8_t *net_mac(const struct virtio_device *d);

#endif
