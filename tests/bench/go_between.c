// SPDX-License-Identifier: MIT
/*
 * Between a frontend and QEMU's contrib vhost-user-gpu, which expects from its frontend what only QEMU does: a display
 * socket, and to be told how many displays there are. Messages pass as they are, but for the number of displays in the
 * config space; rings and memory are between the two alone.
 *
 *	go_between LISTEN_PATH DEVICE_PATH
 *
 * Ends when either side does.
 */
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol/vhost_user.h"
#include "protocol/vhost_user_gpu.h"
#include "protocol/virtio_gpu.h"

enum { FDS = 8, WIDTH = 320, HEIGHT = 240, MESSAGE_BYTES = 4096 };

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(a.sun_path)) {
		fprintf(stderr, "go_between: %s: too long for a socket\n", path);
		exit(2);
	}
	strcpy(a.sun_path, path);
	return a;
}

static void read_all(int fd, void *data, size_t bytes)
{
	uint8_t *at = data;

	while (bytes > 0) {
		ssize_t n = read(fd, at, bytes);

		if (n < 0)
			die("read");
		if (n == 0)
			exit(0);
		at += n;
		bytes -= (size_t)n;
	}
}

static void send_with(int to, const void *data, size_t bytes, const int *fds, unsigned count)
{
	union {
		char bytes[CMSG_SPACE(FDS * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec v = {(void *)(uintptr_t)data, bytes};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	if (count) {
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	if (sendmsg(to, &m, MSG_NOSIGNAL) != (ssize_t)bytes)
		die("send");
}

/* One whole message with its descriptors. */
static void pass(int from, int to)
{
	static uint8_t message[MESSAGE_BYTES];
	union {
		char bytes[CMSG_SPACE(FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct vhost_user_header *h = (void *)message;
	struct iovec v = {message, sizeof(*h)};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(from, &m, MSG_CMSG_CLOEXEC);
	unsigned count = 0;
	int fds[FDS];

	if (n <= 0)
		exit(0);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			memcpy(fds, CMSG_DATA(c), count * sizeof(int));
		}
	}
	read_all(from, message + n, sizeof(*h) - (size_t)n);
	if (h->size > sizeof(message) - sizeof(*h)) {
		fprintf(stderr, "go_between: a message of %u bytes\n", h->size);
		exit(1);
	}
	read_all(from, h + 1, h->size);
	if (h->request == VHOST_USER_GET_CONFIG && (h->flags & VHOST_USER_REPLY)) {
		const size_t at = offsetof(struct virtio_gpu_config, num_scanouts);
		struct vhost_user_config *c = (void *)(h + 1);
		const uint32_t displays = 1;

		if (c->offset <= at && c->offset + c->size >= at + sizeof(displays))
			memcpy(c->data + at - c->offset, &displays, sizeof(displays));
	}
	send_with(to, message, sizeof(*h) + h->size, fds, count);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}

static void answer(int display, uint32_t request, const void *payload, uint32_t bytes)
{
	struct vhost_user_gpu_header h = {.request = request, .flags = VHOST_USER_GPU_FLAG_REPLY, .size = bytes};

	send_with(display, &h, sizeof(h), NULL, 0);
	if (bytes)
		send_with(display, payload, bytes, NULL, 0);
}

/* The display: one of fixed size that looks at nothing. */
static void serve_display(int display)
{
	static struct virtio_gpu_resp_display_info info = {
		.hdr.type = VIRTIO_GPU_RESP_OK_DISPLAY_INFO,
		.pmodes[0] = {.r = {.width = WIDTH, .height = HEIGHT}, .enabled = 1},
	};
	static struct virtio_gpu_resp_edid edid = {.hdr.type = VIRTIO_GPU_RESP_OK_EDID};
	const uint64_t features = 0;
	struct vhost_user_gpu_header h;
	char skipped[4096];

	read_all(display, &h, sizeof(h));
	for (uint32_t left = h.size; left > 0;) {
		uint32_t n = left < sizeof(skipped) ? left : (uint32_t)sizeof(skipped);

		read_all(display, skipped, n);
		left -= n;
	}
	switch (h.request) {
	case VHOST_USER_GPU_GET_PROTOCOL_FEATURES:
		answer(display, h.request, &features, sizeof(features));
		break;
	case VHOST_USER_GPU_GET_DISPLAY_INFO:
		answer(display, h.request, &info, sizeof(info));
		break;
	case VHOST_USER_GPU_GET_EDID:
		answer(display, h.request, &edid, sizeof(edid));
		break;
	case VHOST_USER_GPU_DMABUF_UPDATE:
		answer(display, h.request, NULL, 0);
		break;
	default:
		break;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un here, there;
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    device = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int frontend, pair[2];
	struct vhost_user_header give = {.request = VHOST_USER_GPU_SET_SOCKET, .flags = VHOST_USER_VERSION};

	if (argc != 3) {
		fprintf(stderr, "usage: go_between LISTEN_PATH DEVICE_PATH\n");
		return 2;
	}
	here = address(argv[1]);
	there = address(argv[2]);
	if (bind(listener, (struct sockaddr *)&here, sizeof(here)) || listen(listener, 1))
		die(argv[1]);
	frontend = accept(listener, NULL, NULL);
	if (frontend < 0)
		die("accept");
	if (connect(device, (struct sockaddr *)&there, sizeof(there)))
		die(argv[2]);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		die("socketpair");
	send_with(device, &give, sizeof(give), &pair[1], 1);
	close(pair[1]);
	for (;;) {
		struct pollfd p[3] = {{frontend, POLLIN, 0}, {device, POLLIN, 0}, {pair[0], POLLIN, 0}};

		if (poll(p, 3, -1) < 0)
			die("poll");
		if (p[2].revents)
			serve_display(pair[0]);
		if (p[1].revents)
			pass(device, frontend);
		if (p[0].revents)
			pass(frontend, device);
	}
}
