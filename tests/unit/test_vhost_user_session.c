// SPDX-License-Identifier: MIT
/* What a vhost-user frontend does when the other end hangs up in the middle of anything, or answers nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "protocol/vhost_user.h"
#include "tests/lib/usage.h"
#include "vmm/shared_objects.h"
#include "vmm/vhost_user_session.h"

#define BIT(n) (1ull << (n))
#define FEATURES (BIT(32) | BIT(VHOST_USER_F_PROTOCOL_FEATURES))
#define PROTOCOL                                                                                                       \
	(BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |                                       \
	 BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) | BIT(VHOST_USER_PROTOCOL_F_CONFIG))
#define QUEUES 3u
#define REPLY (VHOST_USER_VERSION | VHOST_USER_REPLY)

/* One answer with a number, as on the wire. */
struct answer {
	uint32_t request, flags, size;
	uint32_t number[2];
};
#define ANSWER(r, n) {.request = (r), .flags = REPLY, .size = 8, .number = {(uint32_t)(n), (uint32_t)((n) >> 32)}}

/* What a good backend answers to vhost_session_open(). */
static const struct answer good[] = {
	ANSWER(VHOST_USER_GET_FEATURES, FEATURES), ANSWER(VHOST_USER_GET_PROTOCOL_FEATURES, PROTOCOL),
	ANSWER(VHOST_USER_SET_OWNER, 0ull),	   ANSWER(VHOST_USER_GET_QUEUE_NUM, (uint64_t)QUEUES),
	ANSWER(VHOST_USER_SET_BACKEND_REQ_FD, 0ull),
};
#define GOOD (sizeof(good) / sizeof(good[0]))

/* A backend that accepts one connection, says @size bytes whatever it is asked, with @fd_count descriptors, ends. */
struct peer {
	char path[64];
	int listener;
	const void *data;
	size_t size;
	unsigned fd_count;
	pthread_t thread;
};

static void *peer_run(void *arg)
{
	struct peer *p = arg;
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 16)];
		struct cmsghdr align;
	} control = {0};
	struct iovec v = {.iov_base = (void *)(uintptr_t)p->data, .iov_len = p->size};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	int fd = accept(p->listener, NULL, NULL);
	char byte[64];

	if (fd < 0)
		return NULL;
	if (p->fd_count) {
		struct cmsghdr *c;
		int fds[16];

		for (unsigned i = 0; i < p->fd_count; i++)
			fds[i] = STDERR_FILENO;
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * p->fd_count);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * p->fd_count);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * p->fd_count);
	}
	if (!p->size || sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)p->size)
		shutdown(fd, SHUT_WR);
	while (read(fd, byte, sizeof(byte)) > 0)
		;
	close(fd);
	return NULL;
}

/* Open a session with a backend that says @data. Returns what vhost_session_open() did. */
static int open_with(struct vhost_session *s, const void *data, size_t size, unsigned fd_count)
{
	struct peer p = {.data = data, .size = size, .fd_count = fd_count};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int err;

	snprintf(p.path, sizeof(p.path), "/tmp/mullion-test-%d.sock", (int)getpid());
	strcpy(a.sun_path, p.path);
	unlink(p.path);
	p.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(p.listener >= 0 && !bind(p.listener, (const struct sockaddr *)&a, sizeof(a)) && !listen(p.listener, 1));
	assert_int_equal(pthread_create(&p.thread, NULL, peer_run, &p), 0);
	*s = VHOST_SESSION_CLOSED;
	err = vhost_session_open(s, p.path, 0);
	if (err) {
		assert_int_equal(s->fd, -1);
		assert_int_equal(s->backend_fd, -1);
		assert_true(s->why[0]);
	} else {
		shutdown(s->fd, SHUT_WR);
	}
	assert_int_equal(pthread_join(p.thread, NULL), 0);
	close(p.listener);
	unlink(p.path);
	return err;
}

static void opens_with_a_good_backend(void **state)
{
	unsigned before = usage_count(getpid(), "fd");
	struct vhost_session s;

	(void)state;
	assert_int_equal(open_with(&s, good, sizeof(good), 0), 0);
	assert_int_equal(s.queue_limit, QUEUES);
	assert_true(vhost_session_can(&s, VHOST_USER_PROTOCOL_F_CONFIG));
	vhost_session_close(&s);
	assert_int_equal(usage_count(getpid(), "fd"), before);
}

static void hanging_up_at_every_byte_is_an_error(void **state)
{
	unsigned before = usage_count(getpid(), "fd");
	struct vhost_session s;

	(void)state;
	for (size_t cut = 0; cut < sizeof(good); cut++)
		assert_int_equal(open_with(&s, good, cut, 0), -EPIPE);
	assert_int_equal(usage_count(getpid(), "fd"), before);
}

static void wrong_answers_are_an_error(void **state)
{
	static const uint32_t sizes[] = {0, 1, 7, 9, 4096, 0x7fffffff, 0xffffffff};
	struct vhost_session s;

	(void)state;
	for (size_t i = 0; i < GOOD; i++) {
		struct answer bad[GOOD];

		for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			memcpy(bad, good, sizeof(good));
			bad[i].size = sizes[k];
			assert_int_equal(open_with(&s, bad, sizeof(bad), 0), -EPROTO);
		}
		memcpy(bad, good, sizeof(good));
		bad[i].request++;
		assert_int_equal(open_with(&s, bad, sizeof(bad), 0), -EPROTO);
		memcpy(bad, good, sizeof(good));
		bad[i].flags = VHOST_USER_VERSION;
		assert_int_equal(open_with(&s, bad, sizeof(bad), 0), -EPROTO);
		bad[i].flags = VHOST_USER_REPLY | 2;
		assert_int_equal(open_with(&s, bad, sizeof(bad), 0), -EPROTO);
	}
}

static void a_refusal_is_an_error(void **state)
{
	struct answer bad[GOOD];
	struct vhost_session s;

	(void)state;
	memcpy(bad, good, sizeof(good));
	bad[2].number[1] = 1;
	assert_int_equal(open_with(&s, bad, sizeof(bad), 0), -EREMOTEIO);
}

static void descriptors_nobody_asked_for_are_not_kept(void **state)
{
	unsigned before = usage_count(getpid(), "fd");
	struct vhost_session s;

	(void)state;
	assert_int_equal(open_with(&s, good, sizeof(good), 16), 0);
	vhost_session_close(&s);
	assert_int_equal(usage_count(getpid(), "fd"), before);
}

static void more_queues_than_the_word_holds_are_cut(void **state)
{
	struct answer many[GOOD];
	struct vhost_session s;

	(void)state;
	memcpy(many, good, sizeof(good));
	many[3].number[1] = 0xffffffff;
	assert_int_equal(open_with(&s, many, sizeof(many), 0), 0);
	assert_int_equal(s.queue_limit, 0xffff);
	vhost_session_close(&s);
}

/* A session after its beginning, whose backend has said @data and hung up; @asked: on its own channel. */
static void running(struct vhost_session *s, int peer[2], const void *data, size_t size, bool asked)
{
	int front[2], back[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, front), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, back), 0);
	*s = (struct vhost_session){.fd = front[0], .backend_fd = back[0], .features = FEATURES, .protocol = PROTOCOL};
	peer[0] = front[1];
	peer[1] = back[1];
	assert_int_equal(write(peer[asked], data, size), size);
	shutdown(peer[asked], SHUT_WR);
	vhost_session_allow(s);
}

static void stop(struct vhost_session *s, int peer[2])
{
	vhost_session_close(s);
	close(peer[0]);
	close(peer[1]);
}

static void config_space_of_another_size_is_an_error(void **state)
{
	uint8_t wire[12 + 12 + 8] = {0}, config[8];
	struct vhost_user_header h = {.request = VHOST_USER_GET_CONFIG, .flags = REPLY, .size = 12 + 8};
	struct vhost_user_config c = {.size = 8};
	struct vhost_session s;
	int peer[2];

	(void)state;
	for (unsigned wrong = 0; wrong < 4; wrong++) {
		struct vhost_user_header hw = h;
		struct vhost_user_config cw = c;

		hw.size += wrong == 1;
		cw.size += wrong == 2;
		cw.offset += wrong == 3;
		memcpy(wire, &hw, sizeof(hw));
		memcpy(wire + 12, &cw, 12);
		memcpy(wire + 24, "abcdefgh", 8);
		running(&s, peer, wire, sizeof(wire), false);
		assert_int_equal(vhost_session_get_config(&s, config, 8), wrong ? -EPROTO : 0);
		assert_int_equal(s.fd < 0, wrong != 0);
		stop(&s, peer);
	}
	assert_memory_equal(config, "abcdefgh", 8);
}

static void its_own_requests_may_be_cut_anywhere(void **state)
{
	const struct vhost_user_header h = {
		.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, .flags = VHOST_USER_VERSION, .size = 8};
	uint8_t wire[20] = {0};
	struct vhost_session s;
	bool changed;
	int peer[2];

	(void)state;
	memcpy(wire, &h, sizeof(h));
	for (size_t cut = 0; cut <= sizeof(wire); cut++) {
		running(&s, peer, wire, cut, true);
		assert_int_equal(vhost_session_asked(&s, &changed), 0);
		assert_int_equal(changed, cut == sizeof(wire));
		/* It hung up: that end is closed, the device's own connection is not. */
		assert_int_equal(s.backend_fd < 0, cut < sizeof(wire));
		assert_true(s.fd >= 0);
		stop(&s, peer);
	}
}

static void its_own_nonsense_disconnects_it(void **state)
{
	static const struct vhost_user_header bad[] = {
		{.request = 1, .flags = VHOST_USER_VERSION, .size = 4097},
		{.request = 1, .flags = VHOST_USER_VERSION, .size = 0xffffffff},
		{.request = 1, .flags = 0, .size = 0},
		{.request = 1, .flags = REPLY, .size = 0},
	};
	struct vhost_session s;
	bool changed;
	int peer[2];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		running(&s, peer, &bad[i], sizeof(bad[i]), true);
		assert_int_equal(vhost_session_asked(&s, &changed), -EPROTO);
		assert_int_equal(s.fd, -1);
		stop(&s, peer);
	}
	running(&s, peer, "x", 1, false);
	assert_int_equal(vhost_session_unasked(&s), -EPROTO);
	assert_int_equal(s.fd, -1);
	stop(&s, peer);
}

/* ---- shared memory ---- */

#define SHMEM_ID 9u
#define SHMEM_BYTES 0x100000ull

static struct {
	unsigned count;
	uint32_t request;
	struct virtio_shmem_request r;
	bool had_fd;
	int result;
} mapped;

static int map(void *owner, uint32_t request, struct virtio_shmem_request *r)
{
	assert_ptr_equal(owner, &mapped);
	mapped.count++;
	mapped.request = request;
	mapped.r = *r;
	mapped.had_fd = r->fd >= 0 && fcntl(r->fd, F_GETFD) >= 0;
	return mapped.result;
}

static void with_shmem(struct vhost_session *s)
{
	memset(&mapped, 0, sizeof(mapped));
	s->protocol |= BIT(VHOST_USER_PROTOCOL_F_SHMEM);
	s->shmem = (struct virtio_shmem_region){.id = SHMEM_ID, .size_bytes = SHMEM_BYTES};
	s->map = map;
	s->owner = &mapped;
}

/* Ask for a mapping on @fd, with @fd_count descriptors and @size bytes of @m. */
static void ask(int fd, uint32_t request, const struct vhost_user_shmem_map *m, uint32_t size, unsigned fd_count)
{
	const struct vhost_user_header h = {
		.request = request, .flags = VHOST_USER_VERSION | VHOST_USER_NEED_REPLY, .size = size};
	uint8_t wire[sizeof(h) + 2 * sizeof(*m)] = {0};
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 4)];
		struct cmsghdr align;
	} control = {0};
	struct iovec v = {.iov_base = wire, .iov_len = sizeof(h) + size};
	struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
	int fds[4];

	memcpy(wire, &h, sizeof(h));
	memcpy(wire + sizeof(h), m, sizeof(*m));
	for (unsigned i = 0; i < 4; i++)
		fds[i] = STDERR_FILENO;
	if (fd_count) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), fds, sizeof(int) * fd_count);
	}
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), sizeof(h) + size);
}

static uint64_t answered(int fd, uint32_t request)
{
	struct answer a;

	assert_int_equal(recv(fd, &a, sizeof(a), MSG_DONTWAIT), sizeof(a));
	assert_int_equal(a.request, request);
	assert_int_equal(a.flags, REPLY);
	return a.number[0] | (uint64_t)a.number[1] << 32;
}

static void its_maps_are_handed_on(void **state)
{
	const struct vhost_user_shmem_map good_map = {
		.id = SHMEM_ID, .offset = 0x4000, .length = 0x2000, .fd_offset = 0x1000, .flags = 1};
	unsigned before = usage_count(getpid(), "fd");
	struct vhost_user_shmem_map m = good_map;
	struct vhost_session s;
	bool changed;
	int peer[2];

	(void)state;
	running(&s, peer, "", 0, false);
	with_shmem(&s);
	ask(peer[1], VHOST_USER_BACKEND_SHMEM_MAP, &m, sizeof(m), 1);
	assert_int_equal(vhost_session_asked(&s, &changed), 0);
	assert_int_equal(answered(peer[1], VHOST_USER_BACKEND_SHMEM_MAP), 0);
	assert_int_equal(mapped.count, 1);
	assert_true(mapped.had_fd);
	assert_int_equal(mapped.request, VHOST_USER_BACKEND_SHMEM_MAP);
	assert_int_equal(mapped.r.offset, 0x4000);
	assert_int_equal(mapped.r.length, 0x2000);
	assert_int_equal(mapped.r.fd_offset, 0x1000);
	assert_true(mapped.r.writable);
	/* What is refused there is told. */
	mapped.result = -EEXIST;
	m.flags = 0;
	ask(peer[1], VHOST_USER_BACKEND_SHMEM_MAP, &m, sizeof(m), 4);
	assert_int_equal(vhost_session_asked(&s, &changed), 0);
	assert_int_equal(answered(peer[1], VHOST_USER_BACKEND_SHMEM_MAP), EEXIST);
	assert_false(mapped.r.writable);
	mapped.result = 0;
	/* Without a descriptor too: that it is none is found where it is used. */
	ask(peer[1], VHOST_USER_BACKEND_SHMEM_UNMAP, &m, sizeof(m), 0);
	assert_int_equal(vhost_session_asked(&s, &changed), 0);
	assert_int_equal(answered(peer[1], VHOST_USER_BACKEND_SHMEM_UNMAP), 0);
	assert_int_equal(mapped.request, VHOST_USER_BACKEND_SHMEM_UNMAP);
	assert_false(mapped.had_fd);
	assert_int_equal(mapped.count, 3);
	/* Another region, and flags that mean nothing. */
	m = good_map;
	m.id++;
	ask(peer[1], VHOST_USER_BACKEND_SHMEM_MAP, &m, sizeof(m), 1);
	assert_int_equal(vhost_session_asked(&s, &changed), 0);
	assert_int_equal(answered(peer[1], VHOST_USER_BACKEND_SHMEM_MAP), EINVAL);
	m = good_map;
	m.flags = 2;
	ask(peer[1], VHOST_USER_BACKEND_SHMEM_MAP, &m, sizeof(m), 1);
	assert_int_equal(vhost_session_asked(&s, &changed), 0);
	assert_int_equal(answered(peer[1], VHOST_USER_BACKEND_SHMEM_MAP), EINVAL);
	s.shmem.size_bytes = 0;
	m = good_map;
	ask(peer[1], VHOST_USER_BACKEND_SHMEM_MAP, &m, sizeof(m), 1);
	assert_int_equal(vhost_session_asked(&s, &changed), 0);
	assert_int_equal(answered(peer[1], VHOST_USER_BACKEND_SHMEM_MAP), EOPNOTSUPP);
	assert_int_equal(mapped.count, 3);
	/* Half of one is no request. */
	ask(peer[1], VHOST_USER_BACKEND_SHMEM_MAP, &m, sizeof(m) - 1, 1);
	assert_int_equal(vhost_session_asked(&s, &changed), -EPROTO);
	assert_int_equal(s.fd, -1);
	stop(&s, peer);
	assert_int_equal(usage_count(getpid(), "fd"), before);
}

/* A backend that answers only when it has been answered, as one does that must end what it has begun. */
static void *backend_in_need(void *arg)
{
	const struct vhost_user_shmem_map m = {.id = SHMEM_ID, .length = 0x1000};
	const struct answer base = ANSWER(VHOST_USER_GET_VRING_BASE, 0ull);
	const struct vhost_user_header changed = {
		.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, .flags = VHOST_USER_VERSION};
	int *peer = arg;
	struct answer a;

	if (write(peer[1], &changed, sizeof(changed)) != sizeof(changed))
		return NULL;
	ask(peer[1], VHOST_USER_BACKEND_SHMEM_MAP, &m, sizeof(m), 1);
	if (recv(peer[1], &a, sizeof(a), MSG_WAITALL) == sizeof(a) && !a.number[0] &&
	    write(peer[0], &base, sizeof(base)) == sizeof(base))
		return arg;
	return NULL;
}

static void it_is_served_while_its_answer_is_waited_for(void **state)
{
	struct vhost_session s;
	pthread_t thread;
	bool changed;
	int peer[2], back[2];
	void *well;

	(void)state;
	running(&s, peer, "", 0, true);
	/* Both ends are to be written to. */
	close(s.backend_fd);
	close(peer[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, back), 0);
	s.backend_fd = back[0];
	peer[1] = back[1];
	with_shmem(&s);
	s.features = BIT(32); /* one question for a stop */
	assert_int_equal(pthread_create(&thread, NULL, backend_in_need, peer), 0);
	assert_int_equal(vhost_session_stop_ring(&s, 0), 0);
	assert_int_equal(pthread_join(thread, &well), 0);
	assert_non_null(well);
	assert_int_equal(mapped.count, 1);
	/* And what it said besides is not forgotten. */
	assert_int_equal(vhost_session_asked(&s, &changed), 0);
	assert_true(changed);
	assert_int_equal(vhost_session_asked(&s, &changed), 0);
	assert_false(changed);
	stop(&s, peer);
}

static int shmem_with(const struct vhost_user_shmem_config *c, struct virtio_shmem_region *out)
{
	struct vhost_user_header h = {.request = VHOST_USER_GET_SHMEM_CONFIG, .flags = REPLY, .size = sizeof(*c)};
	uint8_t wire[sizeof(h) + sizeof(*c)];
	struct vhost_session s;
	int peer[2], err;

	memcpy(wire, &h, sizeof(h));
	memcpy(wire + sizeof(h), c, sizeof(*c));
	running(&s, peer, wire, sizeof(wire), false);
	err = vhost_session_get_shmem(&s);
	assert_int_equal(!err, s.fd >= 0);
	*out = s.shmem;
	stop(&s, peer);
	return err;
}

static void its_region_must_make_sense(void **state)
{
	static const uint64_t sizes[] = {1, 0x8000, 0x10001, 0x30000, 1ull << 35, UINT64_MAX, 1ull << 63};
	struct vhost_user_shmem_config c = {0};
	struct virtio_shmem_region r;

	(void)state;
	assert_int_equal(shmem_with(&c, &r), 0);
	assert_int_equal(r.size_bytes, 0);
	c.count = 77; /* what counts are the sizes */
	c.sizes[255] = 0x10000;
	assert_int_equal(shmem_with(&c, &r), 0);
	assert_int_equal(r.size_bytes, 0x10000);
	assert_int_equal(r.id, 255);
	c.sizes[0] = 0x10000;
	assert_int_equal(shmem_with(&c, &r), -EPROTO);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memset(&c, 0, sizeof(c));
		c.sizes[1] = sizes[i];
		assert_int_equal(shmem_with(&c, &r), -EPROTO);
	}
}

/* ---- shared objects ---- */

static const uint8_t object_name[16] = {0xab, 1, 2}, other_name[16] = {0xab, 1, 3};

static struct shared_objects *with_objects(struct vhost_session *s, int peer[2])
{
	running(s, peer, "", 0, true);
	s->protocol |= BIT(VHOST_USER_PROTOCOL_F_SHARED_OBJECT);
	assert_int_equal(shared_objects_create(&s->objects), 0);
	shared_objects_join(s->objects);
	return s->objects;
}

static void without_objects(struct vhost_session *s, int peer[2])
{
	struct shared_objects *t = s->objects;

	stop(s, peer);
	shared_objects_destroy(t);
}

/* One that may have said that it says no more. */
static void reopen(struct vhost_session *s, int peer[2])
{
	int back[2];

	close(s->backend_fd);
	close(peer[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, back), 0);
	s->backend_fd = back[0];
	peer[1] = back[1];
}

/* Say @request about @name, with @size bytes of it; @fd unless it is below 0. */
static void say(int to, uint32_t request, uint32_t flags, const uint8_t *name, uint32_t size, int fd)
{
	const struct vhost_user_header h = {.request = request, .flags = VHOST_USER_VERSION | flags, .size = size};
	uint8_t wire[sizeof(h) + 16];
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec v = {.iov_base = wire, .iov_len = sizeof(h) + size};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	memcpy(wire, &h, sizeof(h));
	memcpy(wire + sizeof(h), name, 16);
	if (fd >= 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof(fd));
		assert_int_equal(sendmsg(to, &m, MSG_NOSIGNAL), sizeof(h) + size);
		close(fd);
		return;
	}
	assert_int_equal(sendmsg(to, &m, MSG_NOSIGNAL), sizeof(h) + size);
}

static void announce(int peer[2], const uint8_t *name)
{
	say(peer[1], VHOST_USER_BACKEND_SHARED_OBJECT_ADD, VHOST_USER_NEED_REPLY, name, 16, -1);
}

static int sealed(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return fd;
}

/* What it was asked for when it was @request, and what it says to that. */
static void give(int peer[2], const uint8_t *name, int fd)
{
	say(peer[0], VHOST_USER_GET_SHARED_OBJECT, VHOST_USER_REPLY, name, 16, fd);
}

static void expect_question(int peer[2], const uint8_t *name)
{
	uint8_t wire[12 + 16];
	struct vhost_user_header h;

	assert_int_equal(recv(peer[0], wire, sizeof(wire), MSG_DONTWAIT), sizeof(wire));
	memcpy(&h, wire, sizeof(h));
	assert_int_equal(h.request, VHOST_USER_GET_SHARED_OBJECT);
	assert_int_equal(h.flags, VHOST_USER_VERSION);
	assert_int_equal(h.size, 16);
	assert_memory_equal(wire + 12, name, 16);
}

static void what_it_announces_is_asked_for(void **state)
{
	unsigned before = usage_count(getpid(), "fd");
	struct shared_objects *t;
	struct vhost_session s;
	bool changed;
	int peer[2], fd;
	char byte;

	(void)state;
	t = with_objects(&s, peer);
	reopen(&s, peer);
	announce(peer, object_name);
	assert_int_equal(vhost_session_asked(&s, &changed), 0);
	/* Not in the midst of another call, whose answer may be the next that comes. */
	assert_int_equal(recv(peer[0], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(s.announced_count, 1);
	give(peer, object_name, sealed());
	assert_int_equal(vhost_session_take_object(&s), 0);
	expect_question(peer, object_name);
	assert_int_equal(answered(peer[1], VHOST_USER_BACKEND_SHARED_OBJECT_ADD), 0);
	assert_int_equal(s.announced_count, 0);
	fd = shared_objects_find(t, object_name);
	assert_true(fd >= 0);
	close(fd);
	/* It finds it itself, as any other; the descriptor goes along. */
	say(peer[1], VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, VHOST_USER_NEED_REPLY, object_name, 16, -1);
	assert_int_equal(vhost_session_asked(&s, &changed), 0);
	assert_int_equal(answered(peer[1], VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP), 0);
	say(peer[1], VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, VHOST_USER_NEED_REPLY, other_name, 16, -1);
	assert_int_equal(vhost_session_asked(&s, &changed), 0);
	assert_int_equal(answered(peer[1], VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP), ENOENT);
	say(peer[1], VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE, 0, object_name, 16, -1);
	assert_int_equal(vhost_session_asked(&s, &changed), 0);
	assert_int_equal(recv(peer[1], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(shared_objects_find(t, object_name), -ENOENT);
	without_objects(&s, peer);
	assert_int_equal(usage_count(getpid(), "fd"), before);
}

static void what_it_may_not_share_is_refused(void **state)
{
	static const int stranger;
	unsigned before = usage_count(getpid(), "fd");
	struct shared_objects *t;
	struct vhost_session s;
	bool changed;
	int peer[2], fd;

	(void)state;
	t = with_objects(&s, peer);
	reopen(&s, peer);
	assert_int_equal(shared_objects_add(t, &stranger, other_name, sealed()), 0);
	/* Another one's name, nothing, and what may shrink. */
	const struct {
		const uint8_t *name;
		int fd, err;
	} cases[] = {{other_name, sealed(), EEXIST},
		     {object_name, -1, ENOENT},
		     {object_name, memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING), EPERM},
		     {object_name, open("/dev/null", O_RDONLY | O_CLOEXEC), EPERM}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		announce(peer, cases[i].name);
		assert_int_equal(vhost_session_asked(&s, &changed), 0);
		give(peer, cases[i].name, cases[i].fd);
		assert_int_equal(vhost_session_take_object(&s), 0);
		assert_int_equal(answered(peer[1], VHOST_USER_BACKEND_SHARED_OBJECT_ADD), cases[i].err);
		expect_question(peer, cases[i].name);
	}
	say(peer[1], VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE, VHOST_USER_NEED_REPLY, other_name, 16, -1);
	assert_int_equal(vhost_session_asked(&s, &changed), 0);
	assert_int_equal(answered(peer[1], VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE), EPERM);
	fd = shared_objects_find(t, other_name);
	assert_true(fd >= 0);
	close(fd);
	say(peer[1], VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, VHOST_USER_NEED_REPLY, other_name, 15, -1);
	assert_int_equal(vhost_session_asked(&s, &changed), 0);
	assert_int_equal(answered(peer[1], VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP), EINVAL);
	/* More at once than it waits for. */
	for (unsigned i = 0; i < VHOST_SESSION_MAX_ANNOUNCED + 1; i++) {
		announce(peer, object_name);
		assert_int_equal(vhost_session_asked(&s, &changed), 0);
	}
	assert_int_equal(answered(peer[1], VHOST_USER_BACKEND_SHARED_OBJECT_ADD), EBUSY);
	assert_int_equal(s.announced_count, VHOST_SESSION_MAX_ANNOUNCED);
	assert_true(s.fd >= 0);
	/* What was not agreed on. */
	s.protocol &= ~BIT(VHOST_USER_PROTOCOL_F_SHARED_OBJECT);
	announce(peer, object_name);
	assert_int_equal(vhost_session_asked(&s, &changed), 0);
	assert_int_equal(answered(peer[1], VHOST_USER_BACKEND_SHARED_OBJECT_ADD), EOPNOTSUPP);
	without_objects(&s, peer);
	assert_int_equal(usage_count(getpid(), "fd"), before);
}

static void a_wrong_object_disconnects_it(void **state)
{
	unsigned before = usage_count(getpid(), "fd");

	(void)state;
	for (unsigned wrong = 0; wrong < 4; wrong++) {
		struct vhost_session s;
		bool changed;
		int peer[2], fd;

		with_objects(&s, peer);
		reopen(&s, peer);
		assert_int_equal(shared_objects_add(s.objects, &s, other_name, sealed()), 0);
		announce(peer, object_name);
		assert_int_equal(vhost_session_asked(&s, &changed), 0);
		if (wrong < 3)
			say(peer[0], wrong == 0 ? VHOST_USER_GET_CONFIG : VHOST_USER_GET_SHARED_OBJECT,
			    wrong == 1 ? 0 : VHOST_USER_REPLY, object_name, wrong == 2 ? 15 : 16, sealed());
		shutdown(peer[0], SHUT_WR);
		assert_int_equal(vhost_session_take_object(&s), wrong < 3 ? -EPROTO : -EPIPE);
		assert_int_equal(s.fd, -1);
		assert_true(s.why[0]);
		/* Nothing of it is left. */
		fd = shared_objects_find(s.objects, other_name);
		assert_int_equal(fd, -ENOENT);
		without_objects(&s, peer);
	}
	assert_int_equal(usage_count(getpid(), "fd"), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_with_a_good_backend),
		cmocka_unit_test(hanging_up_at_every_byte_is_an_error),
		cmocka_unit_test(wrong_answers_are_an_error),
		cmocka_unit_test(a_refusal_is_an_error),
		cmocka_unit_test(descriptors_nobody_asked_for_are_not_kept),
		cmocka_unit_test(more_queues_than_the_word_holds_are_cut),
		cmocka_unit_test(config_space_of_another_size_is_an_error),
		cmocka_unit_test(its_own_requests_may_be_cut_anywhere),
		cmocka_unit_test(its_own_nonsense_disconnects_it),
		cmocka_unit_test(its_maps_are_handed_on),
		cmocka_unit_test(it_is_served_while_its_answer_is_waited_for),
		cmocka_unit_test(its_region_must_make_sense),
		cmocka_unit_test(what_it_announces_is_asked_for),
		cmocka_unit_test(what_it_may_not_share_is_refused),
		cmocka_unit_test(a_wrong_object_disconnects_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
