// SPDX-License-Identifier: MIT
/*
 * A vhost-user backend that says anything, to a frontend that asks anything. A call that fails must leave nothing
 * open and a reason; one that succeeds, a session that goes on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/vhost_user.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/shared_objects.h"
#include "vmm/vhost_user_session.h"

#define CALLS_MAX 12u

enum call {
	CALL_GET_CONFIG,
	CALL_SET_CONFIG,
	CALL_FEATURES,
	CALL_STOP,
	CALL_ASKED,
	CALL_SHMEM,
	CALL_OBJECT,
	CALL_UNASKED,
	CALL_COUNT
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

static int map(void *owner, uint32_t request, struct virtio_shmem_request *r)
{
	(void)owner;
	check(request == VHOST_USER_BACKEND_SHMEM_MAP || request == VHOST_USER_BACKEND_SHMEM_UNMAP);
	return r->offset & 1 ? -EINVAL : 0;
}

static int call(struct vhost_session *s, uint8_t op)
{
	uint8_t config[VHOST_USER_MAX_CONFIG] = {0};
	uint32_t size = 1 + op % VHOST_USER_MAX_CONFIG;
	bool changed;

	switch (op % CALL_COUNT) {
	case CALL_GET_CONFIG:
		return vhost_session_get_config(s, config, size);
	case CALL_SET_CONFIG:
		return vhost_session_set_config(s, 0, config, size);
	case CALL_FEATURES:
		return vhost_session_set_features(s, op);
	case CALL_STOP:
		return vhost_session_stop_ring(s, op / CALL_COUNT);
	case CALL_ASKED:
		return vhost_session_asked(s, &changed);
	case CALL_SHMEM:
		return vhost_session_get_shmem(s);
	case CALL_OBJECT:
		return s->announced_count ? vhost_session_take_object(s) : vhost_session_asked(s, &changed);
	default:
		return vhost_session_unasked(s);
	}
}

/* All that the backend will ever say is in the socket before the first question. */
static void say(int fd, struct fuzz_input *in, size_t n)
{
	n = n < in->left ? n : in->left;
	check(write(fd, in->data, n) == (ssize_t)n && !shutdown(fd, SHUT_WR));
	in->data += n;
	in->left -= n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .left = size};
	uint8_t kind = fuzz_u8(&in), calls[CALLS_MAX];
	struct vhost_session s = {.features = kind & 1 ? 1ull << VHOST_USER_F_PROTOCOL_FEATURES : 0,
				  .protocol = (kind & 2 ? 1ull << VHOST_USER_PROTOCOL_F_REPLY_ACK : 0) |
					      (kind & 8 ? 1ull << VHOST_USER_PROTOCOL_F_SHARED_OBJECT : 0),
				  .shmem = {.id = 1, .size_bytes = kind & 4 ? 0x100000 : 0},
				  .map = map};
	unsigned count = kind % CALLS_MAX + 1;
	int front[2], back[2], err = 0;

	struct shared_objects *objects;

	check(!shared_objects_create(&objects));
	shared_objects_join(objects);
	s.objects = objects;
	check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, front));
	check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, back));
	s.fd = front[0];
	s.backend_fd = back[0];
	fuzz_take(&in, calls, sizeof(calls));
	say(back[1], &in, fuzz_u8(&in));
	say(front[1], &in, in.left);
	vhost_session_allow(&s);
	for (unsigned i = 0; i < count && !err; i++) {
		err = call(&s, calls[i]);
		check(err <= 0 && (!err == (s.fd >= 0)) && (!err || (s.why[0] && s.backend_fd < 0)));
	}
	vhost_session_close(&s);
	shared_objects_destroy(objects);
	close(front[1]);
	close(back[1]);
	return 0;
}

/* An object is announced, and there is an answer to the question for it. Returns the end. */
static uint8_t *seed_object(uint8_t *p)
{
	struct vhost_user_header h = {.request = VHOST_USER_BACKEND_SHARED_OBJECT_ADD,
				      .flags = VHOST_USER_VERSION | VHOST_USER_NEED_REPLY,
				      .size = sizeof(struct vhost_user_object)};

	*p++ = sizeof(h) + sizeof(struct vhost_user_object);
	for (unsigned i = 0; i < 2; i++) {
		memcpy(p, &h, sizeof(h));
		p += sizeof(h) + h.size;
		h.request = VHOST_USER_GET_SHARED_OBJECT;
		h.flags = VHOST_USER_VERSION | VHOST_USER_REPLY;
	}
	return p;
}

/* One call a seed, with the answer that it wants. */
size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	static const uint32_t requests[CALL_COUNT] = {VHOST_USER_GET_CONFIG,
						      VHOST_USER_SET_CONFIG,
						      VHOST_USER_SET_FEATURES,
						      VHOST_USER_GET_VRING_BASE,
						      VHOST_USER_BACKEND_SHMEM_MAP,
						      VHOST_USER_GET_SHMEM_CONFIG,
						      VHOST_USER_BACKEND_SHARED_OBJECT_ADD,
						      0};
	struct vhost_user_header h = {.flags = VHOST_USER_VERSION | VHOST_USER_REPLY, .size = 8};
	unsigned op = index % CALL_COUNT;
	uint8_t *p = buf;

	if (index >= 4 * CALL_COUNT || cap < 4096)
		return 0;
	memset(buf, 0, 4096);
	*p++ = (uint8_t)(index / CALL_COUNT) | 4 | 8;
	*p = (uint8_t)op;
	if (op == CALL_OBJECT)
		p[1] = (uint8_t)op; /* hear of it, then ask for it */
	p += CALLS_MAX;
	h.request = requests[op];
	if (op == CALL_OBJECT)
		return (size_t)(seed_object(p) - buf);
	if (op == CALL_ASKED)
		h.flags = VHOST_USER_VERSION | VHOST_USER_NEED_REPLY;
	if (op == CALL_GET_CONFIG)
		h.size = 12 + 1;
	if (op == CALL_ASKED)
		h.size = sizeof(struct vhost_user_shmem_map);
	if (op == CALL_SHMEM)
		h.size = sizeof(struct vhost_user_shmem_config);
	*p++ = op == CALL_ASKED ? 12 + sizeof(struct vhost_user_shmem_map) : 0;
	memcpy(p, &h, sizeof(h));
	p += sizeof(h);
	if (op == CALL_GET_CONFIG)
		p[4] = 1; /* struct vhost_user_config: size */
	if (op == CALL_ASKED)
		p[0] = 1; /* struct vhost_user_shmem_map: id */
	if (op == CALL_SHMEM)
		p[8 + 8 * 3 + 2] = 1; /* 0x10000 bytes of region 3 */
	return (size_t)(p + h.size - buf);
}
