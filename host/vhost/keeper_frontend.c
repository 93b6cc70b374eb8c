// SPDX-License-Identifier: MIT
/* The keeper and its frontend: what is answered here, what the worker answers, and how frontends come and go. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/vhost/inflight_fd.h"
#include "host/vhost/keeper_parts.h"
#include "host/vhost/requests.h"

/* ---- the frontend's messages ---- */

void keeper_forget_waiting(struct keeper *k)
{
	for (unsigned i = 0; i < k->waiting.fd_count; i++)
		close(k->waiting.fds[i]);
	k->waiting.fd_count = 0;
	k->is_waiting = false;
}

static void end_waiting(struct keeper *k)
{
	keeper_forget_waiting(k);
	message_socket_pause(&k->frontend, false);
}

static void frontend_is_lost(struct keeper *k)
{
	if (!k->drop_posted)
		loop_post(k->loop, &k->drop_task);
	k->drop_posted = true;
}

static void reply(struct keeper *k, uint32_t request, const void *payload, size_t bytes)
{
	if (message_send(&k->frontend, request, VHOST_USER_REPLY, payload, bytes))
		frontend_is_lost(k);
}

void keeper_send_waiting(struct keeper *k)
{
	struct message *m = &k->waiting;
	/* All are answered, so that what was refused is known, and what was not is noted. */
	uint32_t flags = vhost_request_replies(m->header.request) ? 0 : VHOST_USER_NEED_REPLY;

	if (m->header.request == VHOST_USER_SET_PROTOCOL_FEATURES) {
		uint64_t features = keeper_worker_protocol(k, m->payload.u64);

		keeper_ask(k, REPLY_FRONTEND, m->header.request, flags, &features, sizeof(features), NULL, 0);
		return;
	}
	keeper_ask(k, REPLY_FRONTEND, m->header.request, flags, &m->payload, m->header.size, m->fds, m->fd_count);
}

/* The worker has answered the waiting message with @m. */
void keeper_answer_waiting(struct keeper *k, const struct message *m)
{
	const struct message *w = &k->waiting;
	bool wants = w->header.flags & VHOST_USER_NEED_REPLY && k->lease.protocol_features & PROTOCOL_BIT(REPLY_ACK);
	uint64_t result = m->payload.u64;

	if (vhost_request_replies(w->header.request)) {
		if (w->header.request == VHOST_USER_GET_VRING_BASE)
			lease_note_stop(&k->lease, w->payload.state.index, m->payload.state.num);
		reply(k, w->header.request, &m->payload, m->header.size);
		end_waiting(k);
		return;
	}
	if (!result)
		result = (uint64_t)-lease_note(&k->lease, w);
	keeper_settle_objects(k);
	/* Looked at afterwards too: it may be asked for in the very message that negotiates it. */
	wants = wants ||
		(w->header.flags & VHOST_USER_NEED_REPLY && k->lease.protocol_features & PROTOCOL_BIT(REPLY_ACK));
	if (!result && w->header.request == VHOST_USER_SET_CONFIG)
		keeper_ask_config(k, REPLY_CONFIG);
	if (wants) {
		reply(k, w->header.request, &result, sizeof(result));
	} else if (result) {
		log_line(LOG_TOPIC_VHOST, LOG_WARN,
			 "%s: the frontend is dropped: its request %u failed (%s), and it asked for no answer",
			 k->config->name, w->header.request, result <= 4095 ? strerror((int)result) : "unknown");
		frontend_is_lost(k);
	}
	end_waiting(k);
}

/* To be answered by the worker, now or as soon as there is one. */
static int pass_on(struct keeper *k, struct message *m)
{
	k->waiting = *m;
	k->is_waiting = true;
	/* They are ours from here on. */
	m->fd_count = 0;
	message_socket_pause(&k->frontend, true);
	if (k->ready)
		keeper_send_waiting(k);
	return 0;
}

static int answer_u64(struct keeper *k, const struct message *m, uint64_t value)
{
	reply(k, m->header.request, &value, sizeof(value));
	return 0;
}

/* What was done here with @m: 0 or a negative errno. Who asked for an answer is told; who did not is dropped with an error. */
static int acknowledge(struct keeper *k, const struct message *m, int err)
{
	if (m->header.flags & VHOST_USER_NEED_REPLY && k->lease.protocol_features & PROTOCOL_BIT(REPLY_ACK))
		return answer_u64(k, m, (uint64_t)-err);
	return err;
}

static int get_features(struct keeper *k, struct message *m)
{
	return answer_u64(k, m, k->features);
}

static uint64_t protocol_features(const struct keeper *k)
{
	return vhost_protocol_features(k->config->in_band, true, k->shmem.count, k->config->has_objects);
}

static int get_protocol_features(struct keeper *k, struct message *m)
{
	return answer_u64(k, m, protocol_features(k));
}

/* The worker is told others than the frontend, so it can't say that they were not offered. */
static int set_protocol_features(struct keeper *k, struct message *m)
{
	const uint64_t unknown = m->payload.u64 & ~protocol_features(k);

	if (!unknown)
		return pass_on(k, m);
	log_line(LOG_TOPIC_VHOST, LOG_WARN,
		 "%s: the frontend wants protocol features 0x%llx, which were not offered: refused", k->config->name,
		 (unsigned long long)unknown);
	return acknowledge(k, m, -EINVAL);
}

static int get_queue_num(struct keeper *k, struct message *m)
{
	return answer_u64(k, m, k->queues);
}

static int get_shmem_config(struct keeper *k, struct message *m)
{
	reply(k, m->header.request, &k->shmem, sizeof(k->shmem));
	return 0;
}

static int get_max_mem_slots(struct keeper *k, struct message *m)
{
	return answer_u64(k, m, LEASE_MAX_REGIONS);
}

static int get_inflight_fd(struct keeper *k, struct message *m)
{
	struct vhost_user_inflight d = m->payload.inflight;
	int fd = vhost_inflight_make(&d, (unsigned)k->queues);
	int err;

	if (fd < 0)
		return fd;
	err = message_send_fds(&k->frontend, m->header.request, VHOST_USER_REPLY, &d, m->header.size, &fd, 1);
	close(fd);
	return err;
}

static int set_owner(struct keeper *k, struct message *m)
{
	return acknowledge(k, m, 0);
}

static int get_config(struct keeper *k, struct message *m)
{
	struct vhost_user_config *c = &m->payload.config;
	const size_t head = offsetof(struct vhost_user_config, data);

	if (c->size > VHOST_USER_MAX_CONFIG || m->header.size != head + c->size ||
	    c->offset > VHOST_USER_MAX_CONFIG - c->size) {
		reply(k, m->header.request, NULL, 0);
		return 0;
	}
	memcpy(c->data, k->space + c->offset, c->size);
	reply(k, m->header.request, c, head + c->size);
	return 0;
}

/* One more than was offered must not be the worker's and not ours. */
static int add_mem_reg(struct keeper *k, struct message *m)
{
	if (k->lease.region_count < LEASE_MAX_REGIONS)
		return pass_on(k, m);
	log_line(LOG_TOPIC_VHOST, LOG_WARN,
		 "%s: the frontend has more than %u pieces of memory: refused; give the guest fewer, larger ones",
		 k->config->name, LEASE_MAX_REGIONS);
	return acknowledge(k, m, -ENOSPC);
}

static void backend_ended(void *owner, int err, const char *why)
{
	struct keeper *k = owner;

	(void)err;
	log_line(LOG_TOPIC_VHOST, LOG_DEBUG, "%s: channel for our requests: %s", k->config->name, why);
	keeper_close_backend(k);
}

static int backend_received(void *owner, struct message *m)
{
	int err = keeper_frontend_mapped(owner, m);

	return err ? err : keeper_frontend_shared(owner, m);
}

static const struct message_ops backend_ops = {.received = backend_received, .ended = backend_ended};

static int set_backend_req_fd(struct keeper *k, struct message *m)
{
	int fd = m->fds[0], err;

	m->fds[0] = -1;
	keeper_close_backend(k);
	err = message_socket_open(&k->backend, k->loop, fd, &backend_ops, k);
	return acknowledge(k, m, err);
}

/* What is answered here; everything else goes to the worker. */
static const struct {
	uint32_t request;
	int (*handle)(struct keeper *k, struct message *m);
} rows[] = {
	{VHOST_USER_GET_FEATURES, get_features},
	{VHOST_USER_GET_PROTOCOL_FEATURES, get_protocol_features},
	{VHOST_USER_SET_PROTOCOL_FEATURES, set_protocol_features},
	{VHOST_USER_GET_QUEUE_NUM, get_queue_num},
	{VHOST_USER_GET_MAX_MEM_SLOTS, get_max_mem_slots},
	{VHOST_USER_GET_INFLIGHT_FD, get_inflight_fd},
	{VHOST_USER_GET_SHMEM_CONFIG, get_shmem_config},
	{VHOST_USER_GET_SHARED_OBJECT, keeper_get_object},
	{VHOST_USER_SET_OWNER, set_owner},
	{VHOST_USER_ADD_MEM_REG, add_mem_reg},
	{VHOST_USER_GET_CONFIG, get_config},
	{VHOST_USER_SET_BACKEND_REQ_FD, set_backend_req_fd},
};

static int frontend_received(void *owner, struct message *m)
{
	struct keeper *k = owner;
	int err = vhost_request_check(m);

	if (err)
		return err;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].request == m->header.request)
			return rows[i].handle(k, m);
	}
	return pass_on(k, m);
}

static void frontend_ended(void *owner, int err, const char *why)
{
	struct keeper *k = owner;

	if (err)
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "%s: the frontend is dropped: %s", k->config->name, why);
	else
		log_line(LOG_TOPIC_VHOST, k->one_frontend ? LOG_DEBUG : LOG_INFO, "%s: the frontend left", k->config->name);
	frontend_is_lost(k);
}

static const struct message_ops frontend_ops = {.received = frontend_received, .ended = frontend_ended};

/* A ring that the worker had stopped, and then died before it could say where. */
void keeper_answer_stopped_ring(struct keeper *k)
{
	struct vhost_user_vring_state state = {.index = k->waiting.payload.state.index};
	const struct inflight_ring *ring;

	if (!k->is_waiting || k->waiting.header.request != VHOST_USER_GET_VRING_BASE ||
	    state.index >= LEASE_MAX_RINGS || !lease_ring_runs(&k->lease, state.index))
		return;
	ring = &k->memory->rings[state.index];
	if (ring->active)
		return;
	state.num = ring->stopped_at;
	lease_note_stop(&k->lease, state.index, state.num);
	reply(k, VHOST_USER_GET_VRING_BASE, &state, sizeof(state));
	end_waiting(k);
}

void keeper_tell_frontend(struct keeper *k, uint32_t request, const void *payload, size_t bytes)
{
	if (!k->backend.open)
		return;
	if (message_send(&k->backend, request, 0, payload, bytes)) {
		log_line(LOG_TOPIC_VHOST, LOG_WARN,
			 "%s: the frontend does not read our requests; its channel for them is closed",
			 k->config->name);
		keeper_close_backend(k);
	}
}

/* ---- frontends come and go ---- */

void keeper_drop_frontend(struct loop_task *t)
{
	struct keeper *k = t->owner;

	k->drop_posted = false;
	message_socket_close(&k->frontend);
	keeper_close_backend(k);
	keeper_forget_waiting(k);
	keeper_forget_objects(k);
	lease_end(&k->lease);
	keeper_drop_spare(k);
	if (k->one_frontend) {
		keeper_end_program(k, EXIT_SUCCESS);
		return;
	}
	/* The next guest gets a worker that knows nothing of this one. */
	k->leaving = true;
	k->left_ns = loop_now_ns();
	k->ready = false;
	keeper_close_link(k);
}

int keeper_take_frontend(struct keeper *k, int fd)
{
	int err = message_socket_open(&k->frontend, k->loop, fd, &frontend_ops, k);

	if (err)
		return err;
	if (!k->known)
		message_socket_pause(&k->frontend, true);
	log_line(LOG_TOPIC_VHOST, k->one_frontend ? LOG_DEBUG : LOG_INFO, "%s: a frontend is here", k->config->name);
	return 0;
}

void keeper_somebody_connects(struct loop_fd *f, uint32_t events)
{
	struct keeper *k = f->owner;
	int fd = accept_or_back_off(&k->listen_backoff, k->loop, f, 0, LOG_TOPIC_VHOST, k->config->name);
	int err;

	(void)events;
	if (fd < 0)
		return;
	err = keeper_take_frontend(k, fd);
	if (err) {
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "%s: a frontend could not be taken: %s", k->config->name,
			 strerror(-err));
		return;
	}
	loop_remove_fd(k->loop, &k->listen_watch);
	k->listening = false;
}
