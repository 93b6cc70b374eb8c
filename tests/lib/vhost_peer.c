// SPDX-License-Identifier: MIT
#include "tests/lib/vhost_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/vhost/server.h"
#include "host/virtio/inflight.h"
#include "protocol/virtio.h"
#include "protocol/virtio_gpu.h"
#include "protocol/virtio_media.h"
#include "protocol/virtio_video.h"

/* As long as a keeper gives its worker to start (host/vhost/keeper.c): where all is slow that may be what it takes. */
#define START_PATIENCE_NS 120000000000ull
#define TRANSPORT_BITS VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "# vhost peer: %s: %s\n", what, strerror(errno));
	abort();
}

static void must(bool good, const char *what)
{
	if (!good)
		die(what);
}

static struct loop *loop_of(struct vhost_peer *p)
{
	return fake_guest_loop(p->guest);
}

/* ---- messages ---- */

void vhost_peer_settle(struct vhost_peer *p)
{
	/* Posted work and closed sockets take a few rounds. */
	for (unsigned i = 0; i < 8; i++) {
		if (loop_run_once(loop_of(p), 0))
			die("loop");
	}
}

bool vhost_peer_send(struct vhost_peer *p, uint32_t request, uint32_t flags, const void *payload, size_t bytes,
		     const int *fds, unsigned count)
{
	struct vhost_user_header header = {request, VHOST_USER_VERSION | flags, (uint32_t)bytes};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control;
	struct iovec iov[2] = {{&header, sizeof(header)}, {(void *)(uintptr_t)payload, bytes}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = bytes ? 2 : 1};

	if (count) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	return sendmsg(p->fd, &m, MSG_NOSIGNAL) == (ssize_t)(sizeof(header) + bytes);
}

static bool read_whole(struct vhost_peer *p, int fd, void *to, size_t bytes)
{
	uint64_t end = loop_now_ns() + p->patience_ns;
	uint8_t *at = to;

	while (bytes) {
		ssize_t n = recv(fd, at, bytes, MSG_DONTWAIT);

		if (n > 0) {
			at += n;
			bytes -= (size_t)n;
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR) || loop_now_ns() > end) {
			return false;
		} else if (loop_run_once(loop_of(p), 1)) {
			die("loop");
		}
	}
	return true;
}

static bool read_answer(struct vhost_peer *p, int fd, struct vhost_answer *out)
{
	memset(out, 0, sizeof(*out));
	if (!read_whole(p, fd, &out->header, sizeof(out->header)))
		return false;
	if (out->header.size > sizeof(out->payload))
		die("an answer that is too long");
	return read_whole(p, fd, &out->payload, out->header.size);
}

bool vhost_peer_receive(struct vhost_peer *p, struct vhost_answer *out)
{
	return read_answer(p, p->fd, out);
}

bool vhost_peer_is_dropped(struct vhost_peer *p)
{
	char byte[64];
	ssize_t n;

	vhost_peer_settle(p);
	do {
		n = recv(p->fd, byte, sizeof(byte), MSG_DONTWAIT);
	} while (n > 0);
	return n == 0 || errno == ECONNRESET || errno == EPIPE;
}

bool vhost_peer_call(struct vhost_peer *p, uint32_t request, const void *payload, size_t bytes, struct vhost_answer *out)
{
	return vhost_peer_send(p, request, 0, payload, bytes, NULL, 0) && vhost_peer_receive(p, out) &&
	       out->header.request == request && out->header.flags == (VHOST_USER_VERSION | VHOST_USER_REPLY);
}

uint64_t vhost_peer_tell(struct vhost_peer *p, uint32_t request, const void *payload, size_t bytes, const int *fds,
			 unsigned count)
{
	struct vhost_answer a;

	if (!vhost_peer_send(p, request, VHOST_USER_NEED_REPLY, payload, bytes, fds, count) || !vhost_peer_receive(p, &a))
		return UINT64_MAX;
	return a.header.request == request && a.header.size == sizeof(a.payload.u64) ? a.payload.u64 : UINT64_MAX;
}

/* ---- the handshake ---- */

bool vhost_peer_handshake(struct vhost_peer *p)
{
	struct vhost_answer a;
	int pair[2];

	if (!vhost_peer_call(p, VHOST_USER_GET_FEATURES, NULL, 0, &a))
		return false;
	p->features = a.payload.u64;
	if (!vhost_peer_call(p, VHOST_USER_GET_PROTOCOL_FEATURES, NULL, 0, &a))
		return false;
	p->protocol = a.payload.u64;
	if (!p->say_status)
		p->protocol &= ~VIRTIO_BIT(VHOST_USER_PROTOCOL_F_STATUS);
	if (!p->in_band)
		p->protocol &= ~VIRTIO_BIT(VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS);
	if (!vhost_peer_send(p, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &p->protocol, sizeof(p->protocol), NULL, 0))
		return false;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	if (p->backend_fd >= 0)
		close(p->backend_fd);
	p->backend_fd = pair[0];
	if (vhost_peer_tell(p, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1)) {
		close(pair[1]);
		return false;
	}
	close(pair[1]);
	return true;
}

bool vhost_peer_get_inflight(struct vhost_peer *p, uint16_t size)
{
	const struct vhost_user_inflight ask = {.num_queues = ECHO_QUEUES, .queue_size = size};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct vhost_user_header header;
	struct iovec iov = {&header, sizeof(header)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	uint64_t end = loop_now_ns() + p->patience_ns;
	ssize_t n;

	if (!vhost_peer_send(p, VHOST_USER_GET_INFLIGHT_FD, 0, &ask, sizeof(ask), NULL, 0))
		return false;
	while ((n = recvmsg(p->fd, &m, MSG_DONTWAIT)) < 0 && errno == EAGAIN && loop_now_ns() < end)
		must(!loop_run_once(loop_of(p), 1), "loop");
	if (n != sizeof(header) || header.size != sizeof(p->inflight) || !CMSG_FIRSTHDR(&m))
		return false;
	if (p->inflight_fd >= 0)
		close(p->inflight_fd);
	memcpy(&p->inflight_fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return read_whole(p, p->fd, &p->inflight, sizeof(p->inflight));
}

uint64_t vhost_peer_set_memory(struct vhost_peer *p)
{
	struct vhost_user_mem_table t = {0};
	const struct guest_mem_region *r;
	int fds[VHOST_USER_MAX_REGIONS];
	uint64_t gpa = 0;

	while ((r = guest_mem_next(fake_guest_mem(p->guest), gpa)) != NULL) {
		fds[t.count] = r->fd;
		t.regions[t.count++] = (struct vhost_user_region){
			.gpa = r->gpa, .size = r->size_bytes, .user = VHOST_PEER_USER + r->gpa, .mmap_offset = r->fd_offset};
		gpa = r->gpa + r->size_bytes;
	}
	return vhost_peer_tell(p, VHOST_USER_SET_MEM_TABLE, &t, sizeof(t), fds, t.count);
}

/* ---- the device that the fake guest sees ---- */

static struct vhost_peer *from_device(struct virtio_device *d)
{
	return (struct vhost_peer *)d;
}

static bool tell_state(struct vhost_peer *p, uint32_t request, uint32_t index, uint32_t num)
{
	const struct vhost_user_vring_state s = {index, num};

	return !vhost_peer_tell(p, request, &s, sizeof(s), NULL, 0);
}

static bool tell_fd(struct vhost_peer *p, uint32_t request, uint32_t index, int fd)
{
	uint64_t word = index | (fd < 0 ? VHOST_USER_VRING_NO_FD : 0);

	return !vhost_peer_tell(p, request, &word, sizeof(word), &fd, fd >= 0);
}

static void called(struct loop_fd *f, uint32_t events)
{
	struct vhost_peer *p = f->owner;
	uint64_t count;

	(void)events;
	if (read(f->fd, &count, sizeof(count)) == (ssize_t)sizeof(count) && p->device.transport)
		p->device.transport->interrupt(p->device.transport_owner, (unsigned)(f - p->call_watch));
}

static void new_event(struct vhost_peer *p, unsigned q)
{
	if (p->kick[q] >= 0)
		return;
	p->kick[q] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->call[q] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->error[q] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->call_watch[q] = (struct loop_fd){.fd = p->call[q], .ready = called, .owner = p};
	must(p->kick[q] >= 0 && p->call[q] >= 0 && p->error[q] >= 0, "eventfd");
	must(!loop_add_fd(loop_of(p), &p->call_watch[q], EPOLLIN), "watch");
}

static int start_queue(struct virtio_device *d, unsigned q, const struct virtq_setup *s)
{
	struct vhost_peer *p = from_device(d);
	const struct vhost_user_vring_addr addr = {
		.index = q,
		.desc = VHOST_PEER_USER + s->desc_gpa,
		.avail = VHOST_PEER_USER + s->driver_gpa,
		.used = VHOST_PEER_USER + s->device_gpa,
	};
	uint64_t features = d->negotiated | TRANSPORT_BITS;

	new_event(p, q);
	if (q == 0) {
		must(!vhost_peer_tell(p, VHOST_USER_SET_FEATURES, &features, sizeof(features), NULL, 0), "SET_FEATURES");
		must(!vhost_peer_set_memory(p), "SET_MEM_TABLE");
		if (p->inflight_fd >= 0)
			must(!vhost_peer_tell(p, VHOST_USER_SET_INFLIGHT_FD, &p->inflight, sizeof(p->inflight),
					      &p->inflight_fd, 1),
			     "SET_INFLIGHT_FD");
	}
	must(tell_state(p, VHOST_USER_SET_VRING_NUM, q, s->size), "SET_VRING_NUM");
	must(tell_state(p, VHOST_USER_SET_VRING_BASE, q, p->resume ? p->base[q] : 0), "SET_VRING_BASE");
	must(!vhost_peer_tell(p, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), "SET_VRING_ADDR");
	if (!p->in_band) {
		must(tell_fd(p, VHOST_USER_SET_VRING_CALL, q, p->call[q]), "SET_VRING_CALL");
		must(tell_fd(p, VHOST_USER_SET_VRING_KICK, q, p->kick[q]), "SET_VRING_KICK");
	}
	must(tell_fd(p, VHOST_USER_SET_VRING_ERR, q, p->error[q]), "SET_VRING_ERR");
	must(tell_state(p, VHOST_USER_SET_VRING_ENABLE, q, 1), "SET_VRING_ENABLE");
	return 0;
}

static void stop_queue(struct virtio_device *d, unsigned q)
{
	struct vhost_peer *p = from_device(d);
	const struct vhost_user_vring_state s = {.index = q};
	struct vhost_answer a;

	if (p->fd < 0 || p->kick[q] < 0)
		return;
	must(vhost_peer_call(p, VHOST_USER_GET_VRING_BASE, &s, sizeof(s), &a), "GET_VRING_BASE");
	p->base[q] = a.payload.state.num;
}

static void tell_status(struct vhost_peer *p, uint64_t status)
{
	must(!vhost_peer_tell(p, VHOST_USER_SET_STATUS, &status, sizeof(status), NULL, 0), "SET_STATUS");
}

static int start(struct virtio_device *d)
{
	struct vhost_peer *p = from_device(d);

	if (p->say_status)
		tell_status(p, d->status);
	return 0;
}

static void kick(struct virtio_device *d, unsigned q)
{
	struct vhost_peer *p = from_device(d);
	const uint64_t one = 1;

	if (p->in_band)
		must(tell_state(p, VHOST_USER_VRING_KICK, q, 0), "VRING_KICK");
	else
		must(write(p->kick[q], &one, sizeof(one)) == sizeof(one), "kick");
}

static void reset(struct virtio_device *d)
{
	struct vhost_peer *p = from_device(d);

	if (p->fd < 0)
		return;
	if (p->say_reset)
		must(!vhost_peer_tell(p, VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0), "RESET_DEVICE");
	if (p->say_status)
		tell_status(p, 0);
}

static int config(struct virtio_device *d, uint32_t off, void *buf, size_t n, bool write)
{
	struct vhost_peer *p = from_device(d);
	struct vhost_user_config c = {.offset = off, .size = (uint32_t)n};
	const size_t head = offsetof(struct vhost_user_config, data);
	struct vhost_answer a;

	if (write) {
		memcpy(c.data, buf, n);
		return vhost_peer_tell(p, VHOST_USER_SET_CONFIG, &c, head + n, NULL, 0) ? -EINVAL : 0;
	}
	must(vhost_peer_call(p, VHOST_USER_GET_CONFIG, &c, head + n, &a) && a.header.size == head + n, "GET_CONFIG");
	memcpy(buf, a.payload.config.data, n);
	return 0;
}

static void destroy(struct virtio_device *d)
{
	(void)d;
}

static const struct virtio_outside_ops outside_ops = {.start_queue = start_queue, .stop_queue = stop_queue};

static const uint16_t queue_max[] = {256, 64, 24, 0};

static const struct virtio_device_ops peer_ops = {
	.name = "peer",
	.queue_max = queue_max,
	.config_bytes = 8,
	.start = start,
	.kick = kick,
	.reset = reset,
	.config = config,
	.destroy = destroy,
	.outside = &outside_ops,
};

/* ---- construction ---- */

static int take_display(void *owner, int fd)
{
	struct vhost_peer *p = owner;

	if (p->display_fd >= 0)
		close(p->display_fd);
	p->display_fd = fd;
	return 0;
}

static void server_ended(void *owner)
{
	((struct vhost_peer *)owner)->ended = true;
}

/* All but the server. */
static struct vhost_peer *make(const struct fake_guest_options *options, const struct virtio_device_ops *ops, bool in_band)
{
	struct vhost_peer *p = calloc(1, sizeof(*p));

	must(p, "memory");
	p->fd = p->backend_fd = p->display_fd = p->inflight_fd = -1;
	p->patience_ns = 1000000000ull;
	for (unsigned i = 0; i < ECHO_QUEUES; i++)
		p->kick[i] = p->call[i] = p->error[i] = -1;
	p->in_band = in_band;
	p->guest = fake_guest_create(options);
	must(!guest_mem_create(&p->mem) && !echo_create(loop_of(p), p->mem, &p->echo), "device");
	p->served = &p->echo->device;
	virtio_device_set_shmem(&p->echo->device, VHOST_PEER_SHMEM, VHOST_PEER_SHMEM_BYTES);
	must(!virtio_device_init(&p->device, ops, p->echo->device.offered, loop_of(p), fake_guest_mem(p->guest)),
	     "virtio_device_init");
	return p;
}

static void make_server(struct vhost_peer *p)
{
	struct vhost_server_config c = {
		.fd = -1, .in_band = p->in_band, .display = take_display, .ended = server_ended, .owner = p};
	int pair[2] = {-1, -1};

	p->tracked = calloc(ECHO_QUEUES, sizeof(*p->tracked));
	must(p->tracked, "memory");
	if (*p->path) {
		c.socket_path = p->path;
	} else {
		must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
		p->fd = pair[0];
		c.fd = pair[1];
	}
	c.device = p->served;
	c.mem = p->mem;
	c.inflight = p->tracked;
	must(!vhost_server_create(&c, &p->server), "server");
}

struct vhost_peer *vhost_peer_create(const struct fake_guest_options *options, bool listen, bool in_band)
{
	static unsigned serial;
	struct vhost_peer *p = make(options, &peer_ops, in_band);

	if (listen)
		snprintf(p->path, sizeof(p->path), "/tmp/mullion-vhost-%d-%u.sock", (int)getpid(), serial++);
	make_server(p);
	return p;
}

struct vhost_peer *vhost_peer_create_serving(const struct fake_guest_options *options,
					     int (*create)(void *arg, struct loop *loop, const struct guest_mem *mem,
							   struct virtio_device **out),
					     void *arg)
{
	static struct virtio_device_ops ops;
	struct vhost_peer *p = make(options, &peer_ops, false);

	p->patience_ns = START_PATIENCE_NS;
	must(!create(arg, loop_of(p), p->mem, &p->served), "device");
	ops = peer_ops;
	ops.queue_max = p->served->ops->queue_max;
	ops.config_bytes = p->served->ops->config_bytes;
	virtio_device_finish(&p->device);
	must(!virtio_device_init(&p->device, &ops, p->served->offered, loop_of(p), fake_guest_mem(p->guest)),
	     "virtio_device_init");
	make_server(p);
	must(vhost_peer_handshake(p), "handshake");
	return p;
}

void vhost_peer_reconnect(struct vhost_peer *p, int fd)
{
	vhost_peer_disconnect(p);
	p->fd = fd;
}

void vhost_peer_restart(struct vhost_peer *p)
{
	void (*handle)(struct echo *e, unsigned queue, struct chain *c) = p->echo->handle;
	void *owner = p->echo->owner;

	vhost_server_destroy(p->server);
	virtio_device_destroy(&p->echo->device);
	free(p->tracked);
	vhost_peer_disconnect(p);
	must(!echo_create(loop_of(p), p->mem, &p->echo), "device");
	p->served = &p->echo->device;
	p->echo->handle = handle;
	p->echo->owner = owner;
	make_server(p);
}

struct vhost_peer *vhost_peer_create_remote(const struct fake_guest_options *options, int fd)
{
	struct vhost_peer *p = make(options, &peer_ops, false);

	p->fd = fd;
	p->patience_ns = START_PATIENCE_NS;
	return p;
}

static struct vhost_peer *create_for(const struct fake_guest_options *options, int fd, const uint16_t *queues,
				     uint32_t config_bytes)
{
	static struct virtio_device_ops ops;
	struct vhost_peer *p;

	ops = peer_ops;
	ops.queue_max = queues;
	ops.config_bytes = config_bytes;
	p = make(options, &ops, false);
	p->fd = fd;
	p->patience_ns = START_PATIENCE_NS;
	must(vhost_peer_handshake(p), "handshake");
	p->device.offered = p->features & ~TRANSPORT_BITS;
	return p;
}

struct vhost_peer *vhost_peer_create_gpu(const struct fake_guest_options *options, int fd)
{
	static const uint16_t queues[] = {256, 16, 0};

	return create_for(options, fd, queues, sizeof(struct virtio_gpu_config));
}

struct vhost_peer *vhost_peer_create_video(const struct fake_guest_options *options, int fd)
{
	static const uint16_t queues[] = {256, 64, 0};

	return create_for(options, fd, queues, sizeof(struct virtio_video_config));
}

struct vhost_peer *vhost_peer_create_media(const struct fake_guest_options *options, int fd)
{
	static const uint16_t queues[] = {256, 64, 0};

	return create_for(options, fd, queues, sizeof(struct virtio_media_config));
}

void vhost_peer_connect(struct vhost_peer *p)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, p->path, strlen(p->path) + 1);
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(p->fd >= 0 && !connect(p->fd, (struct sockaddr *)&address, sizeof(address)), "connect");
}

void vhost_peer_disconnect(struct vhost_peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	if (p->backend_fd >= 0)
		close(p->backend_fd);
	p->fd = p->backend_fd = -1;
	vhost_peer_settle(p);
}

void vhost_peer_destroy(struct vhost_peer *p)
{
	vhost_server_destroy(p->server);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	if (p->served != &p->echo->device)
		virtio_device_destroy(p->served);
	virtio_device_destroy(&p->echo->device);
	virtio_device_finish(&p->device);
	for (unsigned i = 0; i < ECHO_QUEUES; i++) {
		if (p->kick[i] < 0)
			continue;
		loop_remove_fd(loop_of(p), &p->call_watch[i]);
		close(p->kick[i]);
		close(p->call[i]);
		close(p->error[i]);
	}
	if (p->backend_fd >= 0)
		close(p->backend_fd);
	if (p->display_fd >= 0)
		close(p->display_fd);
	if (p->inflight_fd >= 0)
		close(p->inflight_fd);
	free(p->tracked);
	guest_mem_destroy(p->mem);
	fake_guest_device_is_gone(p->guest);
	fake_guest_destroy(p->guest);
	free(p);
}
