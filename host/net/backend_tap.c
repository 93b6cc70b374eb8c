// SPDX-License-Identifier: MIT
/* A tap interface: the kernel's IFF_VNET_HDR header is the one of virtio, so packets pass as they are. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/net/backend.h"

#define TUN_DEVICE "/dev/net/tun"
/* More than an interface's queue holds. */
#define STALE_PACKETS 2048

#define FAIL(...) log_line(LOG_TOPIC_NET, LOG_ERROR, __VA_ARGS__)

static int set_offload(int fd, unsigned int flags)
{
	return ioctl(fd, TUNSETOFFLOAD, (unsigned long)flags) ? -errno : 0;
}

static int tap_start(struct net_backend *b, uint64_t features)
{
	unsigned int flags = 0;
	uint8_t scrap[64];
	int err;

	if (features & VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM)) {
		flags = TUN_F_CSUM;
		if (features & VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4))
			flags |= TUN_F_TSO4;
		if (features & VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6))
			flags |= TUN_F_TSO6;
		if (flags != TUN_F_CSUM && (features & VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN)))
			flags |= TUN_F_TSO_ECN;
	}
	err = set_offload(b->fd, flags);
	if (err)
		FAIL("tap %s: can't set offloads 0x%x: %s", b->name, flags, strerror(-err));
	/* What waits was offloaded as the last driver liked it. A short read takes the whole packet off. */
	for (int i = 0; i < STALE_PACKETS && read(b->fd, scrap, sizeof(scrap)) > 0; i++)
		;
	return err;
}

static ssize_t tap_receive(struct net_backend *b, const struct iovec *v, int count)
{
	ssize_t n;

	do {
		n = readv(b->fd, v, count);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	/* EBADFD: the interface was deleted. EIO: it is down, which may pass. */
	return errno == EBADFD ? -ENOLINK : -EAGAIN;
}

static int tap_send(struct net_backend *b, const struct virtio_net_hdr_v1 *header, struct iovec *v, int count,
		    size_t bytes)
{
	ssize_t n;

	(void)bytes;
	v[0].iov_base = (void *)(uintptr_t)header;
	v[0].iov_len = sizeof(*header);
	do {
		n = writev(b->fd, v, count);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	return errno == EBADFD ? -ENOLINK : -errno;
}

static void tap_destroy(struct net_backend *b)
{
	close(b->fd);
	free(b);
}

static const struct net_backend_ops tap_ops = {
	.start = tap_start,
	.receive = tap_receive,
	.send = tap_send,
	.destroy = tap_destroy,
};

static uint32_t interface_mtu(const char *name)
{
	struct ifreq r = {0};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return 1500;
	memcpy(r.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	err = ioctl(fd, SIOCGIFMTU, &r);
	close(fd);
	return err || r.ifr_mtu <= 0 || r.ifr_mtu > 65535 ? 1500 : (uint32_t)r.ifr_mtu;
}

static uint64_t probe_offloads(int fd)
{
	uint64_t features = 0;

	if (set_offload(fd, TUN_F_CSUM))
		return 0;
	features |= VIRTIO_BIT(VIRTIO_NET_F_CSUM) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM);
	if (!set_offload(fd, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN))
		features |= VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO4) |
			    VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6) | VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO6) |
			    VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN) | VIRTIO_BIT(VIRTIO_NET_F_HOST_ECN);
	(void)set_offload(fd, 0);
	return features;
}

int tap_open(const char *name, struct net_backend **out)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int header_bytes = NET_HEADER_BYTES;
	struct net_backend *b;
	int fd, err;

	if (!*name || strlen(name) >= IFNAMSIZ) {
		FAIL("tap %s: the name of an interface has 1 to %d bytes", name, IFNAMSIZ - 1);
		return -EINVAL;
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		err = -errno;
		FAIL("%s: %s: load the kernel module tun, or use passt's socket", TUN_DEVICE, strerror(-err));
		goto fail;
	}
	memcpy(r.ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, &r)) {
		err = -errno;
		FAIL("tap %s: %s: %s", name, strerror(-err),
		     err == -EPERM
			     ? "have it made for you (ip tuntap add dev NAME mode tap user YOU), or use passt's socket"
		     : err == -EBUSY ? "another program uses it; choose another interface"
		     : err == -EINVAL
			     ? "it exists and is no tap, or was made with other flags (multi_queue); make it anew"
			     : "choose another interface");
		goto fail;
	}
	if (ioctl(fd, TUNSETVNETHDRSZ, &header_bytes)) {
		err = -errno;
		FAIL("tap %s: no virtio header of %d bytes: %s: use a newer kernel, or passt's socket", name,
		     header_bytes, strerror(-err));
		goto fail;
	}
	b->ops = &tap_ops;
	b->fd = fd;
	snprintf(b->name, sizeof(b->name), "tap %s", name);
	b->features = probe_offloads(fd);
	b->max_frame = interface_mtu(name) + NET_MIN_FRAME + 4;
	*out = b;
	return 0;
fail:
	if (fd >= 0)
		close(fd);
	free(b);
	return err;
}
