// SPDX-License-Identifier: MIT
/*
 * A keeper whose worker says anything, and whose frontend is one that makes use of all there is. The input is a list of steps: a
 * byte that says who does what, and for a message the request, its flags, which descriptors, and the payload. Answers to what
 * the keeper asks may be those of a good worker, so that it gets on.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/base/log.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/keeper_inside.h"

#define MAX_STEPS 128

const unsigned fuzz_runs = 2000;

enum step_kind {
	STEP_ANSWER,   /* the worker, as it should */
	STEP_LINK,     /* the worker says something on the link, */
	STEP_BACKEND,  /* or on its channel for requests */
	STEP_RAW,      /* bytes on the link */
	STEP_MEMORY,   /* it writes to the memory that it shares with the keeper */
	STEP_FRONTEND, /* the frontend says something */
	STEP_REPLY,    /* the frontend answers on the channel for requests */
	STEP_DIE,      /* the worker */
	STEP_CLOSE,    /* the worker closes its channel for requests */
	STEP_KINDS,
};

struct step {
	uint8_t kind, request, flags, fd, bytes;
	uint8_t payload[64];
};

struct world {
	struct keeper_inside inside;
	/* Of each kind one: none, memory that is sealed, an eventfd, memory that is not. */
	int fds[4];
};

static size_t put(uint8_t *buf, size_t at, enum step_kind kind, uint8_t request, uint8_t flags, uint8_t fd,
		  const void *payload, uint8_t bytes)
{
	const uint8_t head[] = {(uint8_t)kind, request, flags, fd, bytes};

	memcpy(buf + at, head, sizeof(head));
	memcpy(buf + at + sizeof(head), payload, bytes);
	return at + sizeof(head) + bytes;
}

static size_t put_answers(uint8_t *buf, size_t at, unsigned count)
{
	while (count--)
		at = put(buf, at, STEP_ANSWER, 0, 0, 0, "", 0);
	return at;
}

static size_t put_asked(uint8_t *buf, size_t at, uint8_t request, uint8_t fd, const void *payload, uint8_t bytes)
{
	at = put(buf, at, STEP_FRONTEND, request, VHOST_USER_NEED_REPLY, fd, payload, bytes);
	return put_answers(buf, at, 1);
}

/* A ring runs; the worker shares, looks up, maps and says that the config space changed; it dies, or says what it may not. */
size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	const uint64_t features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	const uint64_t protocol = PROTOCOL_BIT(REPLY_ACK) | PROTOCOL_BIT(BACKEND_REQ) | PROTOCOL_BIT(CONFIG) |
				  PROTOCOL_BIT(STATUS) | PROTOCOL_BIT(SHARED_OBJECT) | PROTOCOL_BIT(SHMEM) |
				  PROTOCOL_BIT(INBAND_NOTIFICATIONS) | PROTOCOL_BIT(CONFIGURE_MEM_SLOTS);
	const uint64_t zero = 0, ready = 15;
	const struct vhost_user_mem_reg region = {.region = {0, 65536, 65536, 0}};
	const struct vhost_user_vring_addr addr = {.desc = 65536, .avail = 0x11000, .used = 0x12000};
	const struct vhost_user_vring_state num = {0, 16}, on = {0, 1}, ring = {0, 0};
	const struct vhost_user_object name = {.uuid = {1, 2, 3}}, other = {.uuid = {4}};
	const struct vhost_user_shmem_map map = {.length = 4096};
	const struct vhost_user_config config = {.size = 8};
	size_t n = 0;

	if (index > 3 || cap < 2048)
		return 0;
	n = put_answers(buf, n, 8);
	n = put_asked(buf, n, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &protocol, 8);
	n = put(buf, n, STEP_FRONTEND, VHOST_USER_SET_BACKEND_REQ_FD, VHOST_USER_NEED_REPLY, 0, "", 0);
	n = put_asked(buf, n, VHOST_USER_SET_FEATURES, 0, &features, 8);
	n = put_asked(buf, n, VHOST_USER_ADD_MEM_REG, 1, &region, sizeof(region));
	n = put_asked(buf, n, VHOST_USER_SET_STATUS, 0, &ready, 8);
	n = put_asked(buf, n, VHOST_USER_SET_VRING_NUM, 0, &num, sizeof(num));
	n = put_asked(buf, n, VHOST_USER_SET_VRING_ADDR, 0, &addr, sizeof(addr));
	n = put_asked(buf, n, VHOST_USER_SET_VRING_KICK, 2, &zero, 8);
	n = put_asked(buf, n, VHOST_USER_SET_VRING_ENABLE, 0, &on, sizeof(on));
	n = put(buf, n, STEP_BACKEND, VHOST_USER_BACKEND_SHARED_OBJECT_ADD, VHOST_USER_NEED_REPLY, 1, &name,
		sizeof(name));
	n = put(buf, n, STEP_REPLY, VHOST_USER_BACKEND_SHARED_OBJECT_ADD, VHOST_USER_REPLY, 0, &zero, 8);
	n = put(buf, n, STEP_BACKEND, VHOST_USER_BACKEND_SHMEM_MAP, VHOST_USER_NEED_REPLY, 1, &map, sizeof(map));
	n = put(buf, n, STEP_REPLY, VHOST_USER_BACKEND_SHMEM_MAP, VHOST_USER_REPLY, 0, &zero, 8);
	n = put(buf, n, STEP_BACKEND, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0, 0, "", 0);
	n = put_answers(buf, n, 1);
	n = put(buf, n, STEP_FRONTEND, VHOST_USER_GET_SHARED_OBJECT, 0, 0, &name, sizeof(name));
	n = put(buf, n, STEP_BACKEND, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, VHOST_USER_NEED_REPLY, 0, &other,
		sizeof(other));
	if (index & 1) {
		n = put(buf, n, STEP_DIE, 0, 0, 0, "", 0);
		n = put_answers(buf, n, 24);
		n = put(buf, n, STEP_BACKEND, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, VHOST_USER_NEED_REPLY, 0, &name,
			sizeof(name));
	}
	n = put(buf, n, STEP_REPLY, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, VHOST_USER_REPLY, 1, &zero, 8);
	n = put(buf, n, STEP_FRONTEND, VHOST_USER_GET_CONFIG, 0, 0, &config, 20);
	n = put_asked(buf, n, VHOST_USER_SET_CONFIG, 0, &config, 20);
	n = put(buf, n, STEP_BACKEND, VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE, 0, 0, &name, sizeof(name));
	n = put(buf, n, STEP_FRONTEND, VHOST_USER_GET_VRING_BASE, 0, 0, &ring, sizeof(ring));
	if (index & 2) {
		n = put(buf, n, STEP_MEMORY, 0, 0, 0, &zero, 8);
		n = put(buf, n, STEP_LINK, VHOST_USER_GET_VRING_BASE, VHOST_USER_REPLY, 0, &zero, 8);
		return put(buf, n, STEP_RAW, 0, 0, 0, "nonsense", 8);
	}
	n = put_answers(buf, n, 1);
	return put_asked(buf, n, VHOST_USER_RESET_DEVICE, 0, "", 0);
}

/* All that the other end has to say, with its descriptors. */
static void drain(int fd)
{
	struct vhost_user_header h;
	uint8_t payload[MESSAGE_MAX_BYTES];
	int with;

	while (fd >= 0 && keeper_inside_hear(fd, &h, payload, sizeof(payload), &with)) {
		if (with >= 0)
			close(with);
	}
}

/* The frontend's channel for a device's requests. */
static void give_backend(struct keeper_inside *i, uint32_t flags)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	keeper_inside_say(i->frontend, VHOST_USER_SET_BACKEND_REQ_FD, flags, NULL, 0, pair[1]);
	close(pair[1]);
	if (i->frontend_backend >= 0)
		close(i->frontend_backend);
	i->frontend_backend = pair[0];
}

static void take(struct world *w, const struct step *s)
{
	struct keeper_inside *i = &w->inside;
	const int fd = w->fds[s->fd % 4];

	switch ((enum step_kind)(s->kind % STEP_KINDS)) {
	case STEP_ANSWER:
		keeper_inside_answer(i);
		break;
	case STEP_LINK:
		keeper_inside_say(i->link, s->request, s->flags, s->payload, s->bytes, fd);
		break;
	case STEP_BACKEND:
		keeper_inside_say(i->worker_backend, s->request, s->flags, s->payload, s->bytes, fd);
		break;
	case STEP_RAW:
		if (send(i->link, s->payload, s->bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return;
		break;
	case STEP_MEMORY:
		/* Of rings 0 to 2, at their head: whether it is active, and where it stopped. */
		memcpy((uint8_t *)&i->keeper.memory->rings[s->request % 3] + s->flags % 24, s->payload, s->bytes);
		break;
	case STEP_FRONTEND:
		if (s->request == VHOST_USER_SET_BACKEND_REQ_FD)
			give_backend(i, s->flags);
		else
			keeper_inside_say(i->frontend, s->request, s->flags, s->payload, s->bytes, fd);
		break;
	case STEP_REPLY:
		keeper_inside_say(i->frontend_backend, s->request, s->flags, s->payload, s->bytes, fd);
		break;
	case STEP_DIE:
		keeper_inside_replace_worker(i);
		break;
	case STEP_CLOSE:
		if (i->worker_backend >= 0)
			close(i->worker_backend);
		i->worker_backend = -1;
		break;
	case STEP_KINDS:
		break;
	}
	keeper_inside_turn(i);
	/* As keeper.c would: what is given up is replaced, for as long as there is a frontend. */
	if (keeper_inside_gave_up(i) && i->keeper.frontend.open)
		keeper_inside_replace_worker(i);
	keeper_inside_turn(i);
	drain(i->frontend);
	drain(i->frontend_backend);
	drain(i->worker_backend);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	static struct world w;

	log_set_levels("error");
	w.fds[0] = -1;
	w.fds[1] = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	w.fds[2] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w.fds[3] = memfd_create("open", MFD_CLOEXEC);
	if (w.fds[1] < 0 || w.fds[2] < 0 || w.fds[3] < 0 || ftruncate(w.fds[1], 65536) < 0 ||
	    fcntl(w.fds[1], F_ADD_SEALS, F_SEAL_SHRINK) < 0)
		abort();
	keeper_inside_begin(&w.inside);
	for (unsigned n = 0; n < MAX_STEPS && in.left; n++) {
		struct step s = {.kind = fuzz_u8(&in)};

		s.request = fuzz_u8(&in);
		s.flags = fuzz_u8(&in);
		s.fd = fuzz_u8(&in);
		s.bytes = fuzz_u8(&in);
		if (s.bytes > sizeof(s.payload))
			s.bytes = sizeof(s.payload);
		fuzz_take(&in, s.payload, s.bytes);
		take(&w, &s);
	}
	keeper_inside_end(&w.inside);
	for (unsigned i = 1; i < 4; i++)
		close(w.fds[i]);
	return 0;
}
