// SPDX-License-Identifier: MIT
/* The keeper and its worker: what is asked, what is answered, and what the device asks of the frontend. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/vhost/keeper_parts.h"
#include "host/vhost/requests.h"

/* What a worker is to do for us, whatever the frontend knows. */
#define WORKER_PROTOCOL                                                                                                \
	(PROTOCOL_BIT(REPLY_ACK) | PROTOCOL_BIT(BACKEND_REQ) | PROTOCOL_BIT(CONFIG) |                                  \
	 PROTOCOL_BIT(CONFIGURE_MEM_SLOTS) | PROTOCOL_BIT(STATUS) | PROTOCOL_BIT(RESET_DEVICE) |                         \
	 PROTOCOL_BIT(INFLIGHT_SHMFD))

/* ---- to the worker ---- */

/* The link is of no use any more, so the worker isn't either. Not from inside the link's own handling. */
void keeper_replace_worker(struct loop_task *t)
{
	struct keeper *k = t->owner;

	k->replace_posted = false;
	/* One that is about to end does; one that is not must not serve on. First: to one that lives a closed link is the
	 * end of its guest, and it would clear what the next one is to go on with. */
	if (!k->leaving)
		worker_kill(&k->worker);
	message_socket_close(&k->link);
	message_socket_close(&k->worker_backend);
}

static void give_up_worker(struct keeper *k)
{
	if (!k->replace_posted)
		loop_post(k->loop, &k->replace_task);
	k->replace_posted = true;
}

static void expect(struct keeper *k, enum reply_for reply)
{
	k->replies[(k->reply_first + k->reply_count++) % MAX_REPLIES] = reply;
}

void keeper_ask(struct keeper *k, enum reply_for reply, uint32_t request, uint32_t flags, const void *payload,
		size_t bytes, const int *fds, unsigned fd_count)
{
	int err = k->reply_count < MAX_REPLIES
			  ? message_send_fds(&k->link, request, flags, payload, bytes, fds, fd_count)
			  : -ENOBUFS;

	if (err) {
		/* A worker that reads nothing hangs; it is watched, but what was lost here would be missed. */
		log_line(LOG_TOPIC_VHOST, LOG_DEBUG, "%s: request %u does not reach the worker: %s", k->config->name,
			 request, strerror(-err));
		give_up_worker(k);
		return;
	}
	expect(k, reply);
}

void keeper_ask_config(struct keeper *k, enum reply_for reply)
{
	const struct vhost_user_config c = {.size = k->config->config_bytes};

	keeper_ask(k, reply, VHOST_USER_GET_CONFIG, 0, &c, offsetof(struct vhost_user_config, data) + c.size, NULL, 0);
}

uint64_t keeper_worker_protocol(const struct keeper *k, uint64_t frontend)
{
	return WORKER_PROTOCOL | (frontend & (PROTOCOL_BIT(SHMEM) | PROTOCOL_BIT(SHARED_OBJECT))) |
	       (k->config->in_band ? frontend & PROTOCOL_BIT(INBAND_NOTIFICATIONS) : 0);
}

/* ---- the worker's requests ---- */

static int worker_asks(void *owner, struct message *m)
{
	struct keeper *k = owner;

	switch (m->header.request) {
	case VHOST_USER_BACKEND_CONFIG_CHANGE_MSG:
		keeper_ask_config(k, REPLY_CONFIG_CHANGED);
		return 0;
	case VHOST_USER_BACKEND_VRING_CALL:
	case VHOST_USER_BACKEND_VRING_ERR:
		if (m->header.size != sizeof(m->payload.state) ||
		    !(k->lease.protocol_features & PROTOCOL_BIT(INBAND_NOTIFICATIONS)))
			return -EPROTO;
		keeper_tell_frontend(k, m->header.request, &m->payload.state, sizeof(m->payload.state));
		return 0;
	case VHOST_USER_BACKEND_SHMEM_MAP:
	case VHOST_USER_BACKEND_SHMEM_UNMAP:
		return keeper_worker_maps(k, m);
	case VHOST_USER_BACKEND_SHARED_OBJECT_ADD:
	case VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE:
	case VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP:
		return keeper_worker_shares(k, m);
	default:
		return -EPROTO;
	}
}

static void worker_backend_ended(void *owner, int err, const char *why)
{
	(void)err;
	(void)why;
	give_up_worker(owner);
}

static const struct message_ops worker_backend_ops = {.received = worker_asks, .ended = worker_backend_ended};

static int open_worker_backend(struct keeper *k)
{
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	err = message_socket_open(&k->worker_backend, k->loop, pair[0], &worker_backend_ops, k);
	if (!err)
		err = message_send_fds(&k->link, VHOST_USER_SET_BACKEND_REQ_FD, 0, NULL, 0, &pair[1], 1);
	close(pair[1]);
	return err;
}

/* ---- the worker's answers ---- */

/* All is known that a frontend may ask for, and the worker has been told what there is. */
static void worker_is_ready(struct keeper *k)
{
	unsigned replies = 0;
	/* First: a device that is made again asks at once for what the one before had mapped half. */
	int err = open_worker_backend(k);

	if (!err)
		err = lease_repeat(&k->lease, &k->link, keeper_worker_protocol(k, k->lease.protocol_features), &replies);
	k->repeated_count = replies;
	while (!err && replies--)
		expect(k, REPLY_REPEATED);
	if (err) {
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "%s: the worker can't be told what the frontend lent: %s",
			 k->config->name, strerror(-err));
		give_up_worker(k);
		return;
	}
	k->ready = true;
	if (k->died_ns)
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "%s: worker %d took over after %llu ms", k->config->name,
			 (int)k->worker.pid, (unsigned long long)((loop_now_ns() - k->died_ns) / 1000000));
	k->died_ns = 0;
	if (k->is_waiting)
		keeper_send_waiting(k);
	if (!k->known) {
		k->known = true;
		message_socket_pause(&k->frontend, false);
	}
	if (k->listener >= 0 && !k->frontend.open && !k->listening)
		k->listening = !loop_add_fd(k->loop, &k->listen_watch, EPOLLIN);
}

/* *changed: it is another than before. */
static int take_config(struct keeper *k, const struct message *m, bool *changed)
{
	const struct vhost_user_config *c = &m->payload.config;

	if (m->header.size != offsetof(struct vhost_user_config, data) + k->config->config_bytes || c->offset ||
	    c->size != k->config->config_bytes)
		return -EPROTO;
	*changed = memcmp(k->space, c->data, c->size) != 0;
	memcpy(k->space, c->data, c->size);
	return 0;
}

static int link_received(void *owner, struct message *m)
{
	struct keeper *k = owner;
	enum reply_for what;
	bool changed, takes_over;

	if (!k->reply_count || m->fd_count)
		return -EPROTO;
	what = k->replies[k->reply_first];
	k->owed_ns = 0;
	k->reply_first = (k->reply_first + 1) % MAX_REPLIES;
	k->reply_count--;
	switch (what) {
	case REPLY_FEATURES:
		if (m->header.request != VHOST_USER_GET_FEATURES || m->header.size != sizeof(uint64_t))
			return -EPROTO;
		if (!k->known)
			k->features = m->payload.u64;
		return 0;
	case REPLY_QUEUES:
		if (m->header.request != VHOST_USER_GET_QUEUE_NUM || m->header.size != sizeof(uint64_t))
			return -EPROTO;
		if (!k->known)
			k->queues = m->payload.u64;
		return 0;
	case REPLY_SHMEM:
		if (m->header.request != VHOST_USER_GET_SHMEM_CONFIG || m->header.size != sizeof(k->shmem))
			return -EPROTO;
		if (!k->known)
			k->shmem = m->payload.shmem;
		return 0;
	case REPLY_CONFIG:
	case REPLY_CONFIG_CHANGED:
		if (m->header.request != VHOST_USER_GET_CONFIG || take_config(k, m, &changed))
			return -EPROTO;
		/* The one before may have died with a change that it told nobody. */
		takes_over = !k->ready && k->known;
		if (!k->ready)
			worker_is_ready(k);
		if ((what == REPLY_CONFIG_CHANGED || (takes_over && changed)) &&
		    k->lease.protocol_features & PROTOCOL_BIT(CONFIG))
			keeper_tell_frontend(k, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, NULL, 0);
		return 0;
	case REPLY_REPEATED:
		if (m->header.size != sizeof(uint64_t))
			return -EPROTO;
		/* It said why, and has told the guest. */
		if (m->payload.u64)
			log_line(LOG_TOPIC_VHOST, LOG_WARN,
				 "%s: a ring can't go on in the new worker; the guest has to reset the device",
				 k->config->name);
		/* The device was made again while it answered. */
		k->repeated_count--;
		keeper_settle_objects(k);
		return 0;
	case REPLY_FRONTEND:
		/* All that a worker is asked for a frontend is answered by 8 bytes: a number, or a ring and its position. */
		if (!k->is_waiting || m->header.request != k->waiting.header.request ||
		    m->header.size != sizeof(uint64_t))
			return -EPROTO;
		if (m->header.request == VHOST_USER_GET_VRING_BASE &&
		    m->payload.state.index != k->waiting.payload.state.index)
			return -EPROTO;
		keeper_answer_waiting(k, m);
		return 0;
	}
	return -EPROTO;
}

static void link_ended(void *owner, int err, const char *why)
{
	struct keeper *k = owner;

	/* What there is to say is said when the process is gone. */
	log_line(LOG_TOPIC_VHOST, LOG_DEBUG, "%s: link to the worker: %s%s", k->config->name, why,
		 err ? " (unexpected)" : "");
	give_up_worker(k);
}

static const struct message_ops link_ops = {.received = link_received, .ended = link_ended};

int keeper_open_link(struct keeper *k, int fd)
{
	int err;

	k->ready = k->leaving = false;
	k->reply_first = k->reply_count = 0;
	k->owed_ns = 0;
	k->link_count++;
	err = message_socket_open(&k->link, k->loop, fd, &link_ops, k);
	if (err)
		return err;
	keeper_ask(k, REPLY_FEATURES, VHOST_USER_GET_FEATURES, 0, NULL, 0, NULL, 0);
	keeper_ask(k, REPLY_QUEUES, VHOST_USER_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0);
	keeper_ask(k, REPLY_SHMEM, VHOST_USER_GET_SHMEM_CONFIG, 0, NULL, 0, NULL, 0);
	keeper_ask_config(k, REPLY_CONFIG);
	return 0;
}

void keeper_close_link(struct keeper *k)
{
	message_socket_close(&k->link);
	message_socket_close(&k->worker_backend);
	if (k->replace_posted)
		loop_unpost(k->loop, &k->replace_task);
	k->replace_posted = false;
}
