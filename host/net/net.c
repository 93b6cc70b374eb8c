// SPDX-License-Identifier: MIT
#include "host/net/net.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "host/net/device.h"
#include "host/virtio/counters.h"

static const struct virtio_device_ops net_ops;

static struct net *net_from_device(const struct virtio_device *d)
{
	assert(d->ops == &net_ops);
	return (struct net *)(uintptr_t)d;
}

/* ---- for receive.c and transmit.c ---- */

void net_watch(struct net *n, uint32_t event, bool on)
{
	uint32_t events = on ? n->watched | event : n->watched & ~event;
	struct loop *l = n->device.loop;
	int err = 0;

	if (!n->backend || events == n->watched)
		return;
	/* Out of the loop altogether when nothing is wanted: a hang-up is reported even so, again and again. */
	if (!events)
		loop_remove_fd(l, &n->watch);
	else if (n->watched)
		err = loop_change_fd(l, &n->watch, events);
	else
		err = loop_add_fd(l, &n->watch, events);
	if (err)
		log_line(LOG_TOPIC_NET, LOG_ERROR, "%s: can't be watched: %s", n->backend->name, strerror(-err));
	else
		n->watched = events;
}

void net_go_on_later(struct net *n)
{
	if (!n->more_posted)
		loop_post(n->device.loop, &n->more);
	n->more_posted = true;
}

static void close_backend(struct net *n)
{
	if (!n->backend)
		return;
	net_watch(n, EPOLLIN | EPOLLOUT, false);
	n->backend->ops->destroy(n->backend);
	n->backend = NULL;
}

void net_link_down(struct net *n)
{
	if (!n->backend)
		return;
	log_line(LOG_TOPIC_NET, LOG_WARN,
		 "%s: has gone: the link is down, the guest goes on without it; restart the machine to reconnect",
		 n->backend->name);
	close_backend(n);
	n->config.status &= (uint16_t)~VIRTIO_NET_S_LINK_UP;
	virtio_device_config_changed(&n->device);
	/* Packets that waited for it are dropped: a guest whose ring is full does not kick again. */
	net_go_on_later(n);
}

static void run_more(struct loop_task *t)
{
	struct net *n = t->owner;

	n->more_posted = false;
	net_receive_pump(n);
	net_transmit_pump(n);
}

static void backend_ready(struct loop_fd *f, uint32_t events)
{
	struct net *n = f->owner;

	/* Of an error or a hang-up, read or write tell more. */
	if (events & ~(uint32_t)EPOLLOUT)
		net_receive_pump(n);
	if (events & ~(uint32_t)EPOLLIN)
		net_transmit_pump(n);
}

/* ---- the device class ---- */

static int net_start(struct virtio_device *d)
{
	struct net *n = net_from_device(d);
	int err = n->backend ? n->backend->ops->start(n->backend, d->negotiated) : 0;

	net_receive_start(n);
	return err;
}

static void net_kick(struct virtio_device *d, unsigned q)
{
	struct net *n = net_from_device(d);

	if (q == NET_RECEIVE_QUEUE)
		net_receive_pump(n);
	else if (!(n->watched & EPOLLOUT))
		net_transmit_pump(n);
}

static void net_reset(struct virtio_device *d)
{
	struct net *n = net_from_device(d);

	net_receive_reset(n);
	/* This may find that the link is down. */
	net_transmit_reset(n);
	if (n->more_posted)
		loop_unpost(d->loop, &n->more);
	n->more_posted = false;
}

static int net_config_access(struct virtio_device *d, uint32_t off, void *buf, size_t bytes, bool write)
{
	struct net *n = net_from_device(d);

	if (write)
		return -EINVAL; /* nothing in it is the driver's, section 5.1.4 */
	memcpy(buf, (const uint8_t *)&n->config + off, bytes);
	return 0;
}

static void net_destroy(struct virtio_device *d)
{
	struct net *n = net_from_device(d);

	close_backend(n);
	virtio_device_finish(d);
	free(n->rx.spill);
	free(n);
}

static const uint16_t net_queues[] = {NET_QUEUE_SIZE, NET_QUEUE_SIZE, 0};

static void net_count(struct virtio_device *d, struct counters *out)
{
	const struct net_counters *c = &net_from_device(d)->counters;

	counters_add(out, NULL, "packets-in", c->rx_packets);
	counters_add(out, NULL, "bytes-in", c->rx_bytes);
	counters_add(out, NULL, "dropped-in", c->rx_dropped);
	counters_add(out, NULL, "packets-out", c->tx_packets);
	counters_add(out, NULL, "bytes-out", c->tx_bytes);
	counters_add(out, NULL, "dropped-out", c->tx_dropped);
}

static const struct virtio_device_ops net_ops = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.features = VIRTIO_BIT(VIRTIO_NET_F_MAC) | VIRTIO_BIT(VIRTIO_NET_F_STATUS) | VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF),
	.queue_max = net_queues,
	.config_bytes = sizeof(struct virtio_net_config),
	.start = net_start,
	.kick = net_kick,
	.reset = net_reset,
	.config = net_config_access,
	.destroy = net_destroy,
	.count = net_count,
};

/* Locally administered, for one station: from the machine's name (FNV-1a), or by chance. */
static void choose_mac(uint8_t *mac, const struct net_config *config)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	if (config->mac) {
		memcpy(mac, config->mac, ETH_ALEN);
		return;
	}
	if (config->name)
		for (const char *c = config->name; *c; c++)
			hash = (hash ^ (uint8_t)*c) * 0x100000001b3ull;
	else if (getrandom(&hash, sizeof(hash), GRND_NONBLOCK) != sizeof(hash))
		hash ^= loop_now_ns();
	memcpy(mac, &hash, ETH_ALEN);
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
}

static int check_config(const struct net_config *config)
{
	int ways = !!config->tap + !!config->socket_path + (config->socket_fd >= 0);

	if (ways != 1) {
		log_line(LOG_TOPIC_NET, LOG_ERROR, "%s: give either a tap interface or passt's socket",
			 ways ? "more than one backend" : "no backend");
		return -EINVAL;
	}
	if (config->mac && config->mac[0] & 1) {
		log_line(LOG_TOPIC_NET, LOG_ERROR, "MAC address %02x:...: is for a group: the first byte must be even",
			 config->mac[0]);
		return -EINVAL;
	}
	if (config->mtu && config->mtu < 68) {
		log_line(LOG_TOPIC_NET, LOG_ERROR, "MTU %u: 68 to 65535 are possible", config->mtu);
		return -EINVAL;
	}
	return 0;
}

int net_create(const struct net_config *config, struct loop *loop, const struct guest_mem *mem,
	       struct virtio_device **out)
{
	struct net_backend *backend;
	struct net *n;
	uint64_t features = net_ops.features;
	int err = check_config(config);

	if (err)
		return err;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	err = -ENOMEM;
	n->rx.spill = malloc(NET_MAX_PACKET);
	if (!n->rx.spill)
		goto fail;
	if (config->tap)
		err = tap_open(config->tap, &backend);
	else if (config->socket_path)
		err = passt_connect(config->socket_path, &backend);
	else
		err = passt_adopt(config->socket_fd, &backend);
	if (err)
		goto fail;
	choose_mac(n->config.mac, config);
	n->config.status = VIRTIO_NET_S_LINK_UP;
	n->config.max_virtqueue_pairs = 1;
	n->config.mtu = config->mtu;
	features |= backend->features | (config->mtu ? VIRTIO_BIT(VIRTIO_NET_F_MTU) : 0);
	err = virtio_device_init(&n->device, &net_ops, features, loop, mem);
	if (err) {
		/* A descriptor that was handed over goes back with the error. */
		if (config->socket_fd >= 0)
			backend->fd = -1;
		backend->ops->destroy(backend);
		goto fail;
	}
	n->backend = backend;
	n->watch = (struct loop_fd){.fd = backend->fd, .ready = backend_ready, .owner = n};
	n->more.run = run_more;
	n->more.owner = n;
	*out = &n->device;
	return 0;
fail:
	free(n->rx.spill);
	free(n);
	return err;
}

const struct net_counters *net_counters(const struct virtio_device *d)
{
	return &net_from_device(d)->counters;
}

const uint8_t *net_mac(const struct virtio_device *d)
{
	return net_from_device(d)->config.mac;
}
