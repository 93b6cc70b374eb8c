// SPDX-License-Identifier: MIT
#include "host/vhost/messages.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A peer with much to say must not keep the loop from its other work. */
#define MESSAGES_A_TURN 32u

static void close_fds(struct message *m)
{
	for (unsigned i = 0; i < m->fd_count; i++) {
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	}
	m->fd_count = 0;
}

static void begin(struct message_socket *s)
{
	close_fds(&s->in);
	memset(&s->in, 0, sizeof(s->in));
	s->have = 0;
}

/* Keep the descriptors that came along; false if they are too many for a message. */
static bool take_fds(struct message *m, struct msghdr *h)
{
	bool fit = !(h->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (m->fd_count < MESSAGE_MAX_FDS) {
				m->fds[m->fd_count++] = fd;
			} else {
				close(fd);
				fit = false;
			}
		}
	}
	return fit;
}

/* Read up to @bytes into @to. How many came, 0 for end of stream, or a negative errno. */
static ssize_t read_some(struct message_socket *s, void *to, size_t bytes)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(MESSAGE_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = to, .iov_len = bytes};
	struct msghdr h = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	do {
		n = recvmsg(s->watch.fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (!take_fds(&s->in, &h))
		return -E2BIG;
	return n;
}

/* Hang-ups are reported as long as it is watched. */
static void unwatch(struct message_socket *s)
{
	if (s->watched)
		loop_remove_fd(s->loop, &s->watch);
	s->watched = false;
}

static int end(struct message_socket *s, int err, const char *why)
{
	s->ended = true;
	unwatch(s);
	s->ops->ended(s->owner, err, why);
	return -EPIPE;
}

/* Go on with the message in progress: 1 when it is whole, 0 to wait, negative when the connection ended. */
static int receive(struct message_socket *s)
{
	const size_t header = sizeof(s->in.header);

	for (;;) {
		size_t whole = header;
		uint8_t *to;
		ssize_t n;

		if (s->have >= header) {
			if ((s->in.header.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION)
				return end(s, -EPROTO, "a message of another version of the protocol");
			if (s->in.header.size > MESSAGE_MAX_BYTES)
				return end(s, -EPROTO, "a message that is too long");
			whole += s->in.header.size;
			if (s->have == whole)
				return 1;
		}
		/* Never past the end of the header or of the message: descriptors belong to the bytes they come with. */
		to = s->have < header ? (uint8_t *)&s->in.header + s->have : s->in.payload.bytes + (s->have - header);
		n = read_some(s, to, whole - s->have);
		if (n == -EAGAIN || n == -EWOULDBLOCK)
			return 0;
		if (n == -E2BIG)
			return end(s, -EPROTO, "a message with too many descriptors");
		if (n < 0)
			return end(s, (int)n, strerror((int)-n));
		if (n == 0)
			return s->have ? end(s, -EPROTO, "it closed the socket in the middle of a message")
				       : end(s, 0, "it closed the socket");
		s->have += (size_t)n;
	}
}

static int flush(struct message_socket *s)
{
	while (s->out_bytes) {
		ssize_t n = send(s->watch.fd, s->out + s->out_at, s->out_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (n < 0)
			return -EPIPE;
		s->out_at += (size_t)n;
		s->out_bytes -= (size_t)n;
	}
	s->out_at = 0;
	return 0;
}

static void watch(struct message_socket *s)
{
	uint32_t events = 0;

	if (s->out_bytes)
		events = EPOLLOUT;
	else if (!s->paused)
		events = EPOLLIN;
	loop_change_fd(s->loop, &s->watch, events);
}

static void ready(struct loop_fd *f, uint32_t events)
{
	struct message_socket *s = f->owner;
	unsigned turn = MESSAGES_A_TURN;

	if (flush(s)) {
		end(s, -EPIPE, "it closed the socket without reading an answer");
		return;
	}
	/* Hang-ups are reported whether asked for or not. */
	if (s->paused && events & (EPOLLHUP | EPOLLERR)) {
		end(s, -EPIPE, "it closed the socket before it got an answer");
		return;
	}
	while (!s->paused && !s->out_bytes && turn--) {
		int got = receive(s);
		struct message m;
		int err;

		if (got < 0)
			return;
		if (got == 0)
			break;
		/* The handler may take a turn of its own. */
		m = s->in;
		s->in.fd_count = 0;
		begin(s);
		err = s->ops->received(s->owner, &m);
		close_fds(&m);
		/* It may have sent something, and found out. */
		if (s->ended)
			return;
		if (err < 0) {
			end(s, err, strerror(-err));
			return;
		}
	}
	watch(s);
}

int message_socket_turn(struct message_socket *s, int timeout_ms)
{
	struct pollfd p = {.events = POLLIN};

	if (!s->open || s->ended)
		return -EPIPE;
	p.fd = s->watch.fd;
	if (s->out_bytes)
		p.events = POLLOUT;
	/* Both kinds of events have the same numbers. */
	if (poll(&p, 1, timeout_ms) == 1)
		ready(&s->watch, (uint32_t)p.revents);
	return s->open && !s->ended ? 0 : -EPIPE;
}

int message_socket_open(struct message_socket *s, struct loop *loop, int fd, const struct message_ops *ops, void *owner)
{
	int flags = fcntl(fd, F_GETFL);
	int err;

	memset(s, 0, sizeof(*s));
	s->loop = loop;
	s->ops = ops;
	s->owner = owner;
	s->watch = (struct loop_fd){.fd = fd, .ready = ready, .owner = s};
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		err = -errno;
	else
		err = loop_add_fd(loop, &s->watch, EPOLLIN);
	if (err) {
		close(fd);
		return err;
	}
	s->open = true;
	s->watched = true;
	return 0;
}

void message_socket_close(struct message_socket *s)
{
	if (!s->open)
		return;
	unwatch(s);
	close(s->watch.fd);
	begin(s);
	s->open = false;
	s->ended = true;
}

int message_send(struct message_socket *s, uint32_t request, uint32_t flags, const void *payload, size_t bytes)
{
	struct vhost_user_header header = {request, VHOST_USER_VERSION | flags, (uint32_t)bytes};
	int err;

	assert(bytes <= MESSAGE_MAX_BYTES);
	if (!s->open || s->ended)
		return -EPIPE;
	if (s->out_at) {
		memmove(s->out, s->out + s->out_at, s->out_bytes);
		s->out_at = 0;
	}
	if (s->out_bytes + sizeof(header) + bytes > sizeof(s->out))
		return -ENOBUFS;
	memcpy(s->out + s->out_bytes, &header, sizeof(header));
	if (bytes)
		memcpy(s->out + s->out_bytes + sizeof(header), payload, bytes);
	s->out_bytes += sizeof(header) + bytes;
	err = flush(s);
	if (!err)
		watch(s);
	return err;
}

int message_send_fds(struct message_socket *s, uint32_t request, uint32_t flags, const void *payload, size_t bytes,
		     const int *fds, unsigned count)
{
	struct vhost_user_header header = {request, VHOST_USER_VERSION | flags, (uint32_t)bytes};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(MESSAGE_MAX_FDS * sizeof(int))];
	} control = {0};
	struct iovec iov[2] = {{&header, sizeof(header)}, {(void *)(uintptr_t)payload, bytes}};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = bytes ? 2 : 1};
	ssize_t n;

	assert(bytes <= MESSAGE_MAX_BYTES && count <= MESSAGE_MAX_FDS);
	if (!count)
		return message_send(s, request, flags, payload, bytes);
	if (!s->open || s->ended)
		return -EPIPE;
	if (s->out_bytes)
		return -ENOBUFS;
	h.msg_control = &control;
	h.msg_controllen = CMSG_SPACE(count * sizeof(int));
	control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.align), fds, count * sizeof(int));
	do {
		n = sendmsg(s->watch.fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -ENOBUFS : -EPIPE;
	/* A part of a message can't be taken back, and the rest would have to wait: the connection is of no use. */
	return (size_t)n == sizeof(header) + bytes ? 0 : -EPIPE;
}

void message_socket_pause(struct message_socket *s, bool paused)
{
	s->paused = paused;
	if (s->open && !s->ended)
		watch(s);
}
