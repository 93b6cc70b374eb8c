// SPDX-License-Identifier: MIT
/* A stream socket on which each frame follows its length (32 bits, big-endian): passt, or QEMU's "stream" back end. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/net/backend.h"

#define LENGTH_BYTES 4u
#define FRAME_BYTES (LENGTH_BYTES + NET_MAX_FRAME)
/* Room for one frame of any size, and for many small ones in one read. */
#define IN_BYTES (2 * FRAME_BYTES)

#define FAIL(...) log_line(LOG_TOPIC_NET, LOG_ERROR, __VA_ARGS__)

struct passt {
	struct net_backend backend;
	size_t in_at, in_end;	  /* received and not taken yet */
	size_t tail_at, tail_end; /* of a frame of which the socket took only a part */
	uint8_t in[IN_BYTES];
	uint8_t tail[FRAME_BYTES];
};

static struct passt *passt_from_backend(struct net_backend *b)
{
	return (struct passt *)b;
}

static int passt_start(struct net_backend *b, uint64_t features)
{
	(void)b;
	(void)features;
	return 0; /* frames that wait are as good as new ones */
}

/* The next whole frame in the buffer: its size, 0 if it is not whole yet, -EPROTO. */
static ssize_t next_frame(const struct passt *p)
{
	size_t have = p->in_end - p->in_at;
	uint32_t bytes;

	if (have < LENGTH_BYTES)
		return 0;
	memcpy(&bytes, p->in + p->in_at, sizeof(bytes));
	bytes = ntohl(bytes);
	if (bytes < NET_MIN_FRAME || bytes > NET_MAX_FRAME) {
		log_line(LOG_TOPIC_NET, LOG_WARN,
			 "%s: sent a frame of %" PRIu32 " bytes (%u to %u are possible): is it passt?", p->backend.name,
			 bytes, NET_MIN_FRAME, NET_MAX_FRAME);
		return -EPROTO;
	}
	return have < LENGTH_BYTES + bytes ? 0 : (ssize_t)bytes;
}

/* Returns 0, -EAGAIN or -ENOLINK. */
static int read_more(struct passt *p)
{
	ssize_t n;

	if (p->in_at == p->in_end) {
		p->in_at = 0;
		p->in_end = 0;
	} else if (p->in_at > IN_BYTES - FRAME_BYTES) {
		/* Only when the frame that begins there might not fit. */
		memmove(p->in, p->in + p->in_at, p->in_end - p->in_at);
		p->in_end -= p->in_at;
		p->in_at = 0;
	}
	do {
		n = recv(p->backend.fd, p->in + p->in_end, IN_BYTES - p->in_end, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		p->in_end += (size_t)n;
		return 0;
	}
	return n < 0 && errno == EAGAIN ? -EAGAIN : -ENOLINK;
}

static ssize_t passt_receive(struct net_backend *b, const struct iovec *v, int count)
{
	static const struct virtio_net_hdr_v1 header;
	struct passt *p = passt_from_backend(b);
	ssize_t bytes;

	(void)count;
	while (!(bytes = next_frame(p))) {
		int err = read_more(p);

		if (err)
			return err;
	}
	if (bytes < 0)
		return -ENOLINK;
	iov_scatter(v, 0, &header, sizeof(header));
	iov_scatter(v, sizeof(header), p->in + p->in_at + LENGTH_BYTES, (size_t)bytes);
	p->in_at += LENGTH_BYTES + (size_t)bytes;
	return (ssize_t)sizeof(header) + bytes;
}

static ssize_t push(struct passt *p, struct iovec *v, int count)
{
	struct msghdr m = {.msg_iov = v, .msg_iovlen = (size_t)count};
	ssize_t n;

	do {
		n = sendmsg(p->backend.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == ENOBUFS ? -EAGAIN : -ENOLINK;
}

/* Send what is left of the last frame. Returns 0 when nothing is left. */
static int push_tail(struct passt *p)
{
	while (p->tail_at < p->tail_end) {
		struct iovec v = {.iov_base = p->tail + p->tail_at, .iov_len = p->tail_end - p->tail_at};
		ssize_t n = push(p, &v, 1);

		if (n < 0)
			return (int)n;
		p->tail_at += (size_t)n;
	}
	return 0;
}

/* Keep what follows the first @sent bytes, so that the guest's buffers need not wait and framing holds at a reset. */
static void keep_tail(struct passt *p, const struct iovec *v, int count, size_t sent)
{
	p->tail_at = 0;
	p->tail_end = 0;
	for (; count; v++, count--) {
		size_t skip = sent < v->iov_len ? sent : v->iov_len;

		sent -= skip;
		assert(v->iov_len - skip <= sizeof(p->tail) - p->tail_end);
		memcpy(p->tail + p->tail_end, (const uint8_t *)v->iov_base + skip, v->iov_len - skip);
		p->tail_end += v->iov_len - skip;
	}
}

static int passt_send(struct net_backend *b, const struct virtio_net_hdr_v1 *header, struct iovec *v, int count,
		      size_t bytes)
{
	struct passt *p = passt_from_backend(b);
	uint32_t length = htonl((uint32_t)bytes);
	int err = push_tail(p);
	ssize_t n;

	(void)header; /* no offload is offered, so it says nothing */
	if (err)
		return err;
	v[0].iov_base = &length;
	v[0].iov_len = sizeof(length);
	n = push(p, v, count);
	if (n < 0)
		return (int)n;
	if ((size_t)n < sizeof(length) + bytes)
		keep_tail(p, v, count, (size_t)n);
	return 0;
}

static int passt_flush(struct net_backend *b)
{
	return push_tail(passt_from_backend(b));
}

static void passt_destroy(struct net_backend *b)
{
	close(b->fd);
	free(passt_from_backend(b));
}

static const struct net_backend_ops passt_ops = {
	.start = passt_start,
	.receive = passt_receive,
	.send = passt_send,
	.flush = passt_flush,
	.destroy = passt_destroy,
};

int passt_adopt(int fd, struct net_backend **out)
{
	struct passt *p = calloc(1, sizeof(*p));
	int kind = 0;
	socklen_t n = sizeof(kind);

	if (!p)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &n) || kind != SOCK_STREAM) {
		FAIL("descriptor %d is no stream socket: give passt's end of a socket pair", fd);
		free(p);
		return -EINVAL;
	}
	p->backend.ops = &passt_ops;
	p->backend.fd = fd;
	p->backend.max_frame = NET_MAX_FRAME;
	snprintf(p->backend.name, sizeof(p->backend.name), "socket %d", fd);
	*out = &p->backend;
	return 0;
}

int passt_connect(const char *path, struct net_backend **out)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, err;

	if (strlen(path) >= sizeof(address.sun_path)) {
		FAIL("%s: a socket's path has at most %zu bytes: choose a shorter one", path,
		     sizeof(address.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address))) {
		err = -errno;
		FAIL("%s: can't connect: %s: start passt first (passt --socket %s)", path, strerror(-err), path);
		goto fail;
	}
	err = passt_adopt(fd, out);
	if (err)
		goto fail;
	snprintf((*out)->name, sizeof((*out)->name), "%s", path);
	return 0;
fail:
	if (fd >= 0)
		close(fd);
	return err;
}
