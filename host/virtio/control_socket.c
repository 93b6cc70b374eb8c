// SPDX-License-Identifier: MIT
#include "host/virtio/control_socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control_data {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int control_send(int socket, const struct control_message *m, int fd)
{
	union control_data data = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)m, .iov_len = sizeof(*m)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (fd >= 0) {
		struct cmsghdr *c;

		h.msg_control = &data;
		h.msg_controllen = sizeof(data);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	do {
		n = sendmsg(socket, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* An empty message, which a hostile peer may send, reads as the end does. */
static bool is_gone(int socket)
{
	struct pollfd p = {.fd = socket, .events = POLLRDHUP};

	return poll(&p, 1, 0) == 1 && p.revents & (POLLHUP | POLLRDHUP);
}

int control_receive(int socket, struct control_message *m, int *fd)
{
	union control_data data;
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	/* Room for one descriptor, and not for the padding behind it, where a second would fit: the kernel closes what is more. */
	struct msghdr h = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &data, .msg_controllen = CMSG_LEN(sizeof(int))};
	struct cmsghdr *c;
	ssize_t n;

	*fd = -1;
	do {
		n = recvmsg(socket, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&h);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(c), sizeof(int));
	if ((size_t)n == sizeof(*m) && !(h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return 0;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return n == 0 && is_gone(socket) ? -EPIPE : -EBADMSG;
}
