// SPDX-License-Identifier: MIT
#include "vmm/vhost_user_session.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/virtio/mem.h"
#include "host/virtio/queue.h"
#include "protocol/vhost_user.h"
#include "vmm/shared_objects.h"

#define BIT(n) (1ull << (n))
#define PROTOCOL_WANTED                                                                                                \
	(BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |                                       \
	 BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) | BIT(VHOST_USER_PROTOCOL_F_CONFIG) |                                  \
	 BIT(VHOST_USER_PROTOCOL_F_SHMEM))
/* Of a request of the backend; the longest that the protocol has are far shorter. */
#define BACKEND_PAYLOAD_MAX 4096u
/* Both wrap counters of a packed ring begin at 1. */
#define PACKED_START 0x80008000u

/* ---- failing ---- */

static int fail(struct vhost_session *s, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int fail(struct vhost_session *s, int err, const char *format, ...)
{
	va_list args;

	/* The first reason counts: what fails next fails for want of a connection. */
	if (s->fd < 0 && s->why[0])
		return err;
	va_start(args, format);
	vsnprintf(s->why, sizeof(s->why), format, args);
	va_end(args);
	vhost_session_close(s);
	return err;
}

static const char *name_of(uint32_t request)
{
	static const char *const names[] = {
		[VHOST_USER_GET_FEATURES] = "GET_FEATURES",
		[VHOST_USER_SET_FEATURES] = "SET_FEATURES",
		[VHOST_USER_SET_OWNER] = "SET_OWNER",
		[VHOST_USER_SET_MEM_TABLE] = "SET_MEM_TABLE",
		[VHOST_USER_SET_VRING_NUM] = "SET_VRING_NUM",
		[VHOST_USER_SET_VRING_ADDR] = "SET_VRING_ADDR",
		[VHOST_USER_SET_VRING_BASE] = "SET_VRING_BASE",
		[VHOST_USER_GET_VRING_BASE] = "GET_VRING_BASE",
		[VHOST_USER_SET_VRING_KICK] = "SET_VRING_KICK",
		[VHOST_USER_SET_VRING_CALL] = "SET_VRING_CALL",
		[VHOST_USER_SET_VRING_ERR] = "SET_VRING_ERR",
		[VHOST_USER_GET_PROTOCOL_FEATURES] = "GET_PROTOCOL_FEATURES",
		[VHOST_USER_SET_PROTOCOL_FEATURES] = "SET_PROTOCOL_FEATURES",
		[VHOST_USER_GET_QUEUE_NUM] = "GET_QUEUE_NUM",
		[VHOST_USER_SET_VRING_ENABLE] = "SET_VRING_ENABLE",
		[VHOST_USER_SET_BACKEND_REQ_FD] = "SET_BACKEND_REQ_FD",
		[VHOST_USER_GET_CONFIG] = "GET_CONFIG",
		[VHOST_USER_SET_CONFIG] = "SET_CONFIG",
		[VHOST_USER_GET_SHARED_OBJECT] = "GET_SHARED_OBJECT",
		[VHOST_USER_GET_SHMEM_CONFIG] = "GET_SHMEM_CONFIG",
	};

	return request < sizeof(names) / sizeof(names[0]) && names[request] ? names[request] : "a request";
}

/* ---- bytes ---- */

static void allow(struct vhost_session *s, uint64_t limit_ns)
{
	s->limit_ns = limit_ns;
	s->deadline_ns = loop_now_ns() + limit_ns;
}

void vhost_session_allow(struct vhost_session *s)
{
	allow(s, VHOST_SESSION_LIMIT_NS);
}

static int serve(struct vhost_session *s);

/*
 * Until @fd is ready for @events. What the backend asks on its own channel is served meanwhile: it may answer us only
 * when it has its own answer. Returns 0, -ETIMEDOUT, or the negative errno of a session that was disconnected.
 */
static int wait_for(struct vhost_session *s, int fd, short events)
{
	uint64_t now = loop_now_ns();

	while (now < s->deadline_ns) {
		struct pollfd p[2] = {{.fd = fd, .events = events},
				      {.fd = fd == s->fd ? s->backend_fd : -1, .events = POLLIN}};
		int n = poll(p, 2, (int)((s->deadline_ns - now + 999999) / 1000000)), err = 0;

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && p[0].revents)
			return 0;
		if (n > 0)
			err = serve(s);
		if (err)
			return err;
		now = loop_now_ns();
	}
	return -ETIMEDOUT;
}

/* Returns 0, -ETIMEDOUT, -EPIPE when the peer has gone, or another negative errno. */
static int send_all(struct vhost_session *s, int to, const void *data, size_t size, const int *fds, unsigned fd_count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * VHOST_USER_MAX_REGIONS)];
		struct cmsghdr align;
	} control = {0};
	struct iovec v = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	if (fd_count) {
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_count);
	}
	while (v.iov_len) {
		ssize_t n = sendmsg(to, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		int err;

		if (n > 0) {
			/* The descriptors went with the first byte. */
			m.msg_control = NULL;
			m.msg_controllen = 0;
			v.iov_base = (char *)v.iov_base + n;
			v.iov_len -= (size_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return errno == ECONNRESET ? -EPIPE : -errno;
		err = wait_for(s, to, POLLOUT);
		if (err)
			return err;
	}
	return 0;
}

/* Descriptors that come along are dropped by the kernel: nothing is asked here that is answered with one. */
static int receive_all(struct vhost_session *s, int from, void *to, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = recv(from, (char *)to + have, size - have, MSG_DONTWAIT);
		int err;

		if (n > 0) {
			have += (size_t)n;
			continue;
		}
		if (n == 0)
			return -EPIPE;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return errno == ECONNRESET ? -EPIPE : -errno;
		err = wait_for(s, from, POLLIN);
		if (err)
			return err;
	}
	return 0;
}

/*
 * The header of a message on @from, and the descriptor that came with it; -1: none. More than one are closed. -EAGAIN: nothing is
 * there.
 */
static int receive_header(struct vhost_session *s, int from, struct vhost_user_header *h, int *fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec v = {.iov_base = h, .iov_len = sizeof(*h)};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(from, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c;

	*fd = -1;
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	for (c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL; c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++) {
			int got;

			memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(got));
			if (*fd < 0)
				*fd = got;
			else
				close(got);
		}
	}
	if (n == 0)
		return -EPIPE;
	return (size_t)n == sizeof(*h) ? 0 : receive_all(s, from, (char *)h + n, sizeof(*h) - (size_t)n);
}

static int fail_transfer(struct vhost_session *s, uint32_t request, int err)
{
	if (err == -ETIMEDOUT)
		return fail(s, err, "no answer to %s within %u s: %s", name_of(request),
			    (unsigned)(s->limit_ns / 1000000000ull),
			    request == VHOST_USER_GET_FEATURES ? "does it serve another guest, or is it stuck?"
							       : "is it stuck?");
	if (err == -EPIPE)
		return fail(s, err, "it hung up at %s: see its own messages, and start it again", name_of(request));
	return fail(s, err, "%s: %s", name_of(request), strerror(-err));
}

/* ---- messages ---- */

struct message {
	struct vhost_user_header header;
	union {
		uint64_t number;
		struct vhost_user_vring_state state;
		struct vhost_user_vring_addr address;
		struct vhost_user_mem_table table;
		struct vhost_user_config config;
		struct vhost_user_shmem_config shmem;
		struct vhost_user_object object;
	} payload;
};
_Static_assert(sizeof(struct vhost_user_header) == 12, "as on the wire");

static int send_with_fds(struct vhost_session *s, struct message *m, const int *fds, unsigned fd_count)
{
	/* The payload's alignment leaves a hole behind the header. */
	uint8_t wire[sizeof(struct message)];
	int err;

	if (s->fd < 0)
		return -ENOTCONN;
	m->header.flags |= VHOST_USER_VERSION;
	memcpy(wire, &m->header, sizeof(m->header));
	memcpy(wire + sizeof(m->header), &m->payload, m->header.size);
	err = send_all(s, s->fd, wire, sizeof(m->header) + m->header.size, fds, fd_count);
	return err ? fail_transfer(s, m->header.request, err) : 0;
}

/* The rest of the answer to @request, whose header is there. */
static int receive_payload(struct vhost_session *s, uint32_t request, struct message *m, uint32_t size,
			   bool may_be_empty)
{
	int err;

	if (m->header.request != request || !(m->header.flags & VHOST_USER_REPLY) ||
	    (m->header.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION)
		return fail(s, -EPROTO,
			    "its answer to %s begins with request %" PRIu32 ", flags 0x%" PRIx32
			    ": does it speak vhost-user?",
			    name_of(request), m->header.request, m->header.flags);
	if (m->header.size != size && !(may_be_empty && !m->header.size))
		return fail(s, -EPROTO, "its answer to %s has %" PRIu32 " bytes instead of %" PRIu32, name_of(request),
			    m->header.size, size);
	err = receive_all(s, s->fd, &m->payload, m->header.size);
	return err ? fail_transfer(s, request, err) : 0;
}

/* The answer to @request with a payload of @size bytes, or of none if @may_be_empty. */
static int receive_reply(struct vhost_session *s, uint32_t request, struct message *m, uint32_t size, bool may_be_empty)
{
	int err = receive_all(s, s->fd, &m->header, sizeof(m->header));

	return err ? fail_transfer(s, request, err) : receive_payload(s, request, m, size, may_be_empty);
}

/* Send what has no answer of its own; where the backend can acknowledge, it does. */
static int tell(struct vhost_session *s, struct message *m, const int *fds, unsigned fd_count)
{
	bool acknowledged = vhost_session_can(s, VHOST_USER_PROTOCOL_F_REPLY_ACK);
	uint32_t request = m->header.request;
	int err;

	if (acknowledged)
		m->header.flags |= VHOST_USER_NEED_REPLY;
	err = send_with_fds(s, m, fds, fd_count);
	if (err || !acknowledged)
		return err;
	err = receive_reply(s, request, m, sizeof(m->payload.number), false);
	if (!err && m->payload.number)
		err = fail(s, -EREMOTEIO, "it refuses %s (%" PRIu64 "): see its own messages", name_of(request),
			   m->payload.number);
	return err;
}

static int tell_number(struct vhost_session *s, uint32_t request, uint64_t number)
{
	struct message m = {.header = {.request = request, .size = sizeof(number)}, .payload.number = number};

	return tell(s, &m, NULL, 0);
}

static int tell_state(struct vhost_session *s, uint32_t request, unsigned index, uint32_t number)
{
	struct message m = {
		.header = {.request = request, .size = sizeof(m.payload.state)},
		.payload.state = {.index = index, .num = number},
	};

	return tell(s, &m, NULL, 0);
}

static int tell_fd(struct vhost_session *s, uint32_t request, unsigned index, int fd)
{
	struct message m = {.header = {.request = request, .size = sizeof(m.payload.number)}, .payload.number = index};

	return tell(s, &m, &fd, 1);
}

static int ask_number(struct vhost_session *s, uint32_t request, uint64_t *number)
{
	struct message m = {.header.request = request};
	int err = send_with_fds(s, &m, NULL, 0);

	if (!err)
		err = receive_reply(s, request, &m, sizeof(m.payload.number), false);
	if (!err)
		*number = m.payload.number;
	return err;
}

/* ---- the beginning ---- */

/* A program that is just starting has no socket yet, or has one that it doesn't listen on yet. */
static bool may_come(int err)
{
	return err == ENOENT || err == ECONNREFUSED;
}

static int dial(struct vhost_session *s, const char *path, uint64_t patience_ns)
{
	static const struct timespec a_moment = {.tv_nsec = 20000000};
	const uint64_t end = loop_now_ns() + patience_ns;
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		return fail(s, -ENAMETOOLONG, "a socket's path has at most %zu bytes: choose a shorter one",
			    sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	/* Not to wait: a listener whose queue is full is as good as none. */
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return fail(s, -errno, "no socket: %s", strerror(errno));
	while (connect(s->fd, (const struct sockaddr *)&address, sizeof(address))) {
		if (!may_come(errno) || loop_now_ns() >= end)
			return fail(s, -errno, "can't connect: %s: start the device's program first", strerror(errno));
		(void)nanosleep(&a_moment, NULL);
	}
	return 0;
}

/* A socket pair, one end of which the backend gets for its own requests. */
static int give_backend_fd(struct vhost_session *s)
{
	struct message m = {.header.request = VHOST_USER_SET_BACKEND_REQ_FD};
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return fail(s, -errno, "no socket pair: %s", strerror(errno));
	s->backend_fd = pair[0];
	err = tell(s, &m, &pair[1], 1);
	close(pair[1]);
	return err;
}

/* Learn what the backend can do. */
static int greet(struct vhost_session *s)
{
	uint64_t number = 0;
	int err = ask_number(s, VHOST_USER_GET_FEATURES, &s->features);

	if (!err && s->features & BIT(VHOST_USER_F_PROTOCOL_FEATURES)) {
		uint64_t agreed;

		err = ask_number(s, VHOST_USER_GET_PROTOCOL_FEATURES, &number);
		agreed = number & (PROTOCOL_WANTED | (s->objects ? BIT(VHOST_USER_PROTOCOL_F_SHARED_OBJECT) : 0));
		if (!err)
			err = tell_number(s, VHOST_USER_SET_PROTOCOL_FEATURES, agreed);
		if (!err)
			s->protocol = agreed;
	}
	if (!err) {
		struct message m = {.header.request = VHOST_USER_SET_OWNER};

		err = tell(s, &m, NULL, 0);
	}
	if (!err && vhost_session_can(s, VHOST_USER_PROTOCOL_F_MQ)) {
		err = ask_number(s, VHOST_USER_GET_QUEUE_NUM, &number);
		s->queue_limit = number > 0xffff ? 0xffff : (unsigned)number;
	}
	if (!err && vhost_session_can(s, VHOST_USER_PROTOCOL_F_BACKEND_REQ))
		err = give_backend_fd(s);
	return err;
}

static struct vhost_session closed(const struct vhost_session *s)
{
	struct vhost_session c = VHOST_SESSION_CLOSED;

	c.objects = s->objects;
	return c;
}

int vhost_session_open(struct vhost_session *s, const char *path, uint64_t patience_ns)
{
	int err;

	*s = closed(s);
	err = dial(s, path, patience_ns);
	vhost_session_allow(s);
	return err ? err : greet(s);
}

int vhost_session_open_fd(struct vhost_session *s, int fd)
{
	*s = closed(s);
	if (fd < 0)
		return fail(s, fd, "its program can't be started: %s", strerror(-fd));
	s->fd = fd;
	allow(s, VHOST_SESSION_START_NS);
	return greet(s);
}

void vhost_session_close(struct vhost_session *s)
{
	if (s->fd >= 0)
		close(s->fd);
	if (s->backend_fd >= 0)
		close(s->backend_fd);
	s->fd = -1;
	s->backend_fd = -1;
	s->announced_count = 0;
	if (s->objects)
		shared_objects_drop(s->objects, s);
}

/* ---- config space ---- */

int vhost_session_get_config(struct vhost_session *s, void *to, uint32_t size)
{
	uint32_t bytes = (uint32_t)offsetof(struct vhost_user_config, data) + size;
	struct message m = {
		.header = {.request = VHOST_USER_GET_CONFIG, .size = bytes},
		.payload.config.size = size,
	};
	int err = send_with_fds(s, &m, NULL, 0);

	if (!err)
		err = receive_reply(s, VHOST_USER_GET_CONFIG, &m, bytes, true);
	if (err)
		return err;
	if (!m.header.size || m.payload.config.offset || m.payload.config.size != size)
		return fail(s, -EPROTO, "it gives no config space of %" PRIu32 " bytes: is it another kind of device?",
			    size);
	memcpy(to, m.payload.config.data, size);
	return 0;
}

int vhost_session_get_shmem(struct vhost_session *s)
{
	struct message m = {.header.request = VHOST_USER_GET_SHMEM_CONFIG};
	int err = send_with_fds(s, &m, NULL, 0);

	if (!err)
		err = receive_reply(s, VHOST_USER_GET_SHMEM_CONFIG, &m, sizeof(m.payload.shmem), false);
	if (err)
		return err;
	s->shmem = (struct virtio_shmem_region){0};
	for (unsigned id = 0; id < VHOST_USER_SHMEM_IDS; id++) {
		uint64_t size = m.payload.shmem.sizes[id];

		if (!size)
			continue;
		/* No device of virtio 1.4 has two, and no transport here has room for a second. */
		if (s->shmem.size_bytes || !virtio_shmem_size_is_good(size))
			return fail(s, -EPROTO,
				    "its shared memory region %u of %" PRIu64 " bytes is a second one, or of a size that "
				    "can't be",
				    id, size);
		s->shmem = (struct virtio_shmem_region){.id = (uint8_t)id, .size_bytes = size};
	}
	return 0;
}

int vhost_session_set_config(struct vhost_session *s, uint32_t offset, const void *from, uint32_t size)
{
	struct message m = {
		.header = {.request = VHOST_USER_SET_CONFIG,
			   .size = (uint32_t)offsetof(struct vhost_user_config, data) + size},
		.payload.config = {.offset = offset, .size = size},
	};

	memcpy(m.payload.config.data, from, size);
	return tell(s, &m, NULL, 0);
}

/* ---- running ---- */

int vhost_session_set_features(struct vhost_session *s, uint64_t features)
{
	return tell_number(s, VHOST_USER_SET_FEATURES,
			   features | (s->features & BIT(VHOST_USER_F_PROTOCOL_FEATURES)));
}

int vhost_session_set_memory(struct vhost_session *s, const struct guest_mem *mem)
{
	struct message m = {.header.request = VHOST_USER_SET_MEM_TABLE};
	struct vhost_user_mem_table *t = &m.payload.table;
	const struct guest_mem_region *r = guest_mem_next(mem, 0);
	int fds[VHOST_USER_MAX_REGIONS];

	for (; r; r = guest_mem_next(mem, r->gpa + r->size_bytes)) {
		if (t->count == VHOST_USER_MAX_REGIONS || r->fd < 0)
			return fail(s, -ENOTSUP, "guest memory can't be shared with it");
		fds[t->count] = r->fd;
		t->regions[t->count++] = (struct vhost_user_region){
			.gpa = r->gpa,
			.size = r->size_bytes,
			.user = (uintptr_t)r->host,
			.mmap_offset = r->fd_offset,
		};
	}
	m.header.size = (uint32_t)(offsetof(struct vhost_user_mem_table, regions) + t->count * sizeof(t->regions[0]));
	return tell(s, &m, fds, t->count);
}

int vhost_session_start_ring(struct vhost_session *s, const struct guest_mem *mem, const struct vhost_ring *ring)
{
	const struct virtq_setup *setup = ring->setup;
	struct message m = {
		.header = {.request = VHOST_USER_SET_VRING_ADDR, .size = sizeof(m.payload.address)},
		.payload.address =
			{
				.index = ring->index,
				.desc = (uintptr_t)guest_mem_range(mem, setup->desc_gpa, 1),
				.used = (uintptr_t)guest_mem_range(mem, setup->device_gpa, 1),
				.avail = (uintptr_t)guest_mem_range(mem, setup->driver_gpa, 1),
			},
	};
	int err = tell_state(s, VHOST_USER_SET_VRING_NUM, ring->index, setup->size);

	if (!err)
		err = tell_state(s, VHOST_USER_SET_VRING_BASE, ring->index, ring->packed ? PACKED_START : 0);
	if (!err)
		err = tell(s, &m, NULL, 0);
	if (!err)
		err = tell_fd(s, VHOST_USER_SET_VRING_ERR, ring->index, ring->error);
	if (!err)
		err = tell_fd(s, VHOST_USER_SET_VRING_CALL, ring->index, ring->call);
	if (!err)
		err = tell_fd(s, VHOST_USER_SET_VRING_KICK, ring->index, ring->kick);
	/* Without protocol features a ring runs from its kick descriptor on. */
	if (!err && s->features & BIT(VHOST_USER_F_PROTOCOL_FEATURES))
		err = tell_state(s, VHOST_USER_SET_VRING_ENABLE, ring->index, 1);
	return err;
}

int vhost_session_stop_ring(struct vhost_session *s, unsigned index)
{
	struct message m = {
		.header = {.request = VHOST_USER_GET_VRING_BASE, .size = sizeof(m.payload.state)},
		.payload.state.index = index,
	};
	int err = 0;

	if (s->features & BIT(VHOST_USER_F_PROTOCOL_FEATURES))
		err = tell_state(s, VHOST_USER_SET_VRING_ENABLE, index, 0);
	if (!err)
		err = send_with_fds(s, &m, NULL, 0);
	if (!err)
		err = receive_reply(s, VHOST_USER_GET_VRING_BASE, &m, sizeof(m.payload.state), false);
	if (!err && m.payload.state.index != index)
		err = fail(s, -EPROTO, "its answer to GET_VRING_BASE is about queue %" PRIu32 " instead of %u",
			   m.payload.state.index, index);
	return err;
}

/* ---- what the backend says by itself ---- */

int vhost_session_unasked(struct vhost_session *s)
{
	char byte;
	ssize_t n = recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n > 0)
		return fail(s, -EPROTO, "it speaks without being asked: does it speak vhost-user?");
	return fail(s, -EPIPE, "its process has gone: see its own messages, and start it again");
}

/* What it wants mapped or unmapped: form here, all the rest where the mapping is done. Returns 0 or a negative errno. */
static int map(struct vhost_session *s, uint32_t request, const struct vhost_user_shmem_map *wants, int fd)
{
	struct virtio_shmem_request r = {
		.offset = wants->offset,
		.length = wants->length,
		.fd = fd,
		.fd_offset = wants->fd_offset,
		.writable = wants->flags & VHOST_USER_SHMEM_WRITABLE,
	};

	if (!s->shmem.size_bytes || !s->map)
		return -EOPNOTSUPP;
	if (wants->id != s->shmem.id || wants->flags & ~VHOST_USER_SHMEM_WRITABLE)
		return -EINVAL;
	return s->map(s->owner, request, &r);
}

/* Answer a request of its own: @err, and @fd unless that is below 0. */
static int say(struct vhost_session *s, uint32_t request, int err, int fd)
{
	struct {
		struct vhost_user_header header;
		uint32_t number[2];
	} reply = {0};

	reply.header = (struct vhost_user_header){
		.request = request, .flags = VHOST_USER_VERSION | VHOST_USER_REPLY, .size = sizeof(uint64_t)};
	reply.number[0] = (uint32_t)-err;
	err = send_all(s, s->backend_fd, &reply, sizeof(reply), &fd, fd < 0 ? 0 : 1);
	return err ? fail(s, err, "it doesn't take the answer to its own request: %s", strerror(-err)) : 0;
}

/*
 * What it says of shared objects. Returns 0 or a negative errno, which it is told; -EINPROGRESS: later. @fd gets what it looks for,
 * if it is there.
 */
static int share(struct vhost_session *s, const struct vhost_user_header *h, const uint8_t *uuid, bool wants_answer,
		 int *fd)
{
	struct vhost_session_object *o = &s->announced[s->announced_count];

	if (!vhost_session_can(s, VHOST_USER_PROTOCOL_F_SHARED_OBJECT))
		return -EOPNOTSUPP;
	if (h->size != SHARED_OBJECTS_UUID_BYTES)
		return -EINVAL;
	switch (h->request) {
	case VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE:
		return shared_objects_remove(s->objects, s, uuid);
	case VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP:
		*fd = shared_objects_find(s->objects, uuid);
		return *fd < 0 ? *fd : 0;
	default:
		if (s->announced_count == VHOST_SESSION_MAX_ANNOUNCED)
			return -EBUSY;
		memcpy(o->uuid, uuid, sizeof(o->uuid));
		o->wants_answer = wants_answer;
		s->announced_count++;
		return -EINPROGRESS;
	}
}

/* Answer one request that was read whole. */
static int answer(struct vhost_session *s, const struct vhost_user_header *h, const uint8_t *payload, int fd)
{
	bool wants_answer = h->flags & VHOST_USER_NEED_REPLY && vhost_session_can(s, VHOST_USER_PROTOCOL_F_REPLY_ACK);
	struct vhost_user_shmem_map wants;
	int err = -EOPNOTSUPP, found = -1;

	switch (h->request) {
	case VHOST_USER_BACKEND_CONFIG_CHANGE_MSG:
		s->changed = true;
		err = 0;
		break;
	case VHOST_USER_BACKEND_SHMEM_MAP:
	case VHOST_USER_BACKEND_SHMEM_UNMAP:
		if (h->size != sizeof(wants))
			return fail(s, -EPROTO, "its request to map shared memory has %" PRIu32 " bytes instead of %zu",
				    h->size, sizeof(wants));
		memcpy(&wants, payload, sizeof(wants));
		err = map(s, h->request, &wants, fd);
		break;
	case VHOST_USER_BACKEND_SHARED_OBJECT_ADD:
	case VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE:
	case VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP:
		err = share(s, h, payload, wants_answer, &found);
		break;
	default:
		break;
	}
	err = wants_answer && err != -EINPROGRESS ? say(s, h->request, err, found) : 0;
	if (found >= 0)
		close(found);
	return err;
}

/* Which descriptor it has for @uuid: *fd, the caller's; -1: none. */
static int get_object(struct vhost_session *s, const uint8_t *uuid, int *fd)
{
	struct message m = {.header = {.request = VHOST_USER_GET_SHARED_OBJECT, .size = sizeof(m.payload.object)}};
	int err;

	*fd = -1;
	memcpy(m.payload.object.uuid, uuid, sizeof(m.payload.object.uuid));
	err = send_with_fds(s, &m, NULL, 0);
	while (!err) {
		err = receive_header(s, s->fd, &m.header, fd);
		if (err != -EAGAIN && err != -EINTR)
			break;
		err = wait_for(s, s->fd, POLLIN);
	}
	if (err && s->fd >= 0)
		err = fail_transfer(s, VHOST_USER_GET_SHARED_OBJECT, err);
	if (!err)
		err = receive_payload(s, VHOST_USER_GET_SHARED_OBJECT, &m, sizeof(m.payload.object), false);
	if (err && *fd >= 0)
		close(*fd);
	return err;
}

int vhost_session_take_object(struct vhost_session *s)
{
	const struct vhost_session_object o = s->announced[0];
	int fd, err;

	memmove(s->announced, s->announced + 1, --s->announced_count * sizeof(o));
	err = get_object(s, o.uuid, &fd);
	if (err)
		return err;
	err = shared_objects_add(s->objects, s, o.uuid, fd);
	/* It has not been answered: that it ended its side meanwhile is found out elsewhere. */
	return o.wants_answer && s->backend_fd >= 0 ? say(s, VHOST_USER_BACKEND_SHARED_OBJECT_ADD, err, -1) : 0;
}

/* Take one request of the backend's, if one is there. */
static int serve(struct vhost_session *s)
{
	struct vhost_user_header h;
	uint8_t payload[BACKEND_PAYLOAD_MAX];
	int fd = -1, err = receive_header(s, s->backend_fd, &h, &fd);

	if (err == -EAGAIN || err == -EINTR)
		return 0;
	if (!err && ((h.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION || h.flags & VHOST_USER_REPLY ||
		     h.size > sizeof(payload)))
		err = fail(s, -EPROTO,
			   "it asks request %" PRIu32 ", flags 0x%" PRIx32 ", %" PRIu32
			   " bytes: does it speak vhost-user?",
			   h.request, h.flags, h.size);
	if (!err)
		err = receive_all(s, s->backend_fd, payload, h.size);
	if (!err)
		err = answer(s, &h, payload, fd);
	if (fd >= 0)
		close(fd);
	if (err == -EPIPE && s->fd >= 0) {
		/* It closes that end first when it ends, or because it has no use for it. */
		close(s->backend_fd);
		s->backend_fd = -1;
		return 0;
	}
	return err ? fail(s, err, "its own request stops in the middle: %s", strerror(-err)) : 0;
}

int vhost_session_asked(struct vhost_session *s, bool *changed)
{
	int err = s->backend_fd < 0 ? 0 : serve(s);

	*changed = s->changed && !err;
	s->changed = false;
	return err;
}
