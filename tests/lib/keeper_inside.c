// SPDX-License-Identifier: MIT
#include "tests/lib/keeper_inside.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/vhost/requests.h"

enum { CONFIG_BYTES = 8, QUEUES = 2 };

static void make_pair(int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
}

static void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void begin_worker(struct keeper_inside *i)
{
	int pair[2];

	make_pair(pair);
	i->link = pair[1];
	if (keeper_open_link(&i->keeper, pair[0]))
		abort();
}

void keeper_inside_begin(struct keeper_inside *i)
{
	struct keeper *k = &i->keeper;
	int pair[2];

	memset(i, 0, sizeof(*i));
	i->config = (struct keeper_config){
		.name = "inside", .config_bytes = CONFIG_BYTES, .has_objects = true, .in_band = true, .max_deaths = 5};
	i->frontend_backend = i->link = i->worker_backend = -1;
	k->config = &i->config;
	k->listener = k->journal = k->shared = k->control = k->signals.fd = -1;
	k->one_frontend = true;
	k->drop_task = (struct loop_task){.run = keeper_drop_frontend, .owner = k};
	k->replace_task = (struct loop_task){.run = keeper_replace_worker, .owner = k};
	lease_init(&k->lease);
	if (loop_create("keeper", &k->loop) || worker_memory_create(&k->memory))
		abort();
	make_pair(pair);
	i->frontend = pair[1];
	if (keeper_take_frontend(k, pair[0]))
		abort();
	begin_worker(i);
}

void keeper_inside_end(struct keeper_inside *i)
{
	struct keeper *k = &i->keeper;

	message_socket_close(&k->frontend);
	keeper_close_backend(k);
	keeper_close_link(k);
	keeper_forget_waiting(k);
	keeper_forget_objects(k);
	if (k->drop_posted)
		loop_unpost(k->loop, &k->drop_task);
	lease_end(&k->lease);
	worker_memory_destroy(k->memory);
	loop_destroy(k->loop);
	drop(&i->frontend);
	drop(&i->frontend_backend);
	drop(&i->link);
	drop(&i->worker_backend);
}

void keeper_inside_turn(struct keeper_inside *i)
{
	for (unsigned n = 0; n < 4; n++)
		loop_run_once(i->keeper.loop, 0);
	/* It signals and waits for what it made, which is nothing here. */
	assert(!i->keeper.worker.pid && !i->keeper.spare.pid);
}

void keeper_inside_replace_worker(struct keeper_inside *i)
{
	keeper_close_link(&i->keeper);
	keeper_answer_stopped_ring(&i->keeper);
	keeper_leave_objects(&i->keeper);
	drop(&i->link);
	drop(&i->worker_backend);
	begin_worker(i);
}

bool keeper_inside_gave_up(const struct keeper_inside *i)
{
	return !i->keeper.link.open;
}

void keeper_inside_say(int socket, uint32_t request, uint32_t flags, const void *payload, size_t bytes, int fd)
{
	struct vhost_user_header h = {request, VHOST_USER_VERSION | flags, (uint32_t)bytes};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.align = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov[] = {{&h, sizeof(h)}, {(void *)(uintptr_t)payload, bytes}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = bytes ? 2 : 1};

	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
	}
	(void)sendmsg(socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool keeper_inside_hear(int socket, struct vhost_user_header *h, void *payload, size_t size, int *fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(VHOST_USER_MAX_REGIONS * sizeof(int))];
	} control;
	struct iovec iov = {h, sizeof(*h)};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};

	*fd = -1;
	if (recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(*h))
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
			drop(fd);
			memcpy(fd, CMSG_DATA(c) + at, sizeof(*fd));
		}
	}
	if (h->size > size || (h->size && recv(socket, payload, h->size, MSG_DONTWAIT) != (ssize_t)h->size)) {
		drop(fd);
		return false;
	}
	return true;
}

bool keeper_inside_answer(struct keeper_inside *i)
{
	const struct vhost_user_shmem_config lends = {.count = 1, .sizes = {1 << 20}};
	struct vhost_user_header h;
	uint8_t payload[MESSAGE_MAX_BYTES] = {0};
	uint64_t number = 0;
	size_t bytes;
	int fd;

	if (!keeper_inside_hear(i->link, &h, payload, sizeof(payload), &fd))
		return false;
	bytes = h.size;
	if (h.request == VHOST_USER_SET_BACKEND_REQ_FD) {
		drop(&i->worker_backend);
		i->worker_backend = fd;
		fd = -1;
	}
	drop(&fd);
	if (h.request == VHOST_USER_GET_FEATURES)
		number = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	else if (h.request == VHOST_USER_GET_QUEUE_NUM)
		number = QUEUES;
	if (h.request == VHOST_USER_GET_SHMEM_CONFIG) {
		bytes = sizeof(lends);
		memcpy(payload, &lends, sizeof(lends));
	}
	if (h.request == VHOST_USER_GET_SHMEM_CONFIG || h.request == VHOST_USER_GET_CONFIG ||
	    h.request == VHOST_USER_GET_VRING_BASE)
		keeper_inside_say(i->link, h.request, VHOST_USER_REPLY, payload, bytes, -1);
	else if (h.flags & VHOST_USER_NEED_REPLY || vhost_request_replies(h.request))
		keeper_inside_say(i->link, h.request, VHOST_USER_REPLY, &number, sizeof(number), -1);
	return true;
}

void keeper_inside_answer_all(struct keeper_inside *i)
{
	keeper_inside_turn(i);
	while (i->link >= 0 && keeper_inside_answer(i))
		keeper_inside_turn(i);
}
