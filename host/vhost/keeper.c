// SPDX-License-Identifier: MIT
#include "host/vhost/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/vhost/lease.h"
#include "host/vhost/listener.h"
#include "host/vhost/messages.h"
#include "host/vhost/requests.h"
#include "host/vhost/worker.h"
#include "host/virtio/journal.h"
#include "protocol/virtio.h"

#define WATCH_NS 500000000ull
/* A driver and its compiler may be slow to start where all is emulated. */
#define START_LIMIT_NS 120000000000ull
#define STOP_LIMIT_MS 10000
#define DEATHS_NS 60000000000ull

#define PROTOCOL_BIT(name) VIRTIO_BIT(VHOST_USER_PROTOCOL_F_##name)
/* What a worker is to do for us, whatever the frontend knows. */
#define WORKER_PROTOCOL                                                                                                \
	(PROTOCOL_BIT(REPLY_ACK) | PROTOCOL_BIT(BACKEND_REQ) | PROTOCOL_BIT(CONFIG) |                                  \
	 PROTOCOL_BIT(CONFIGURE_MEM_SLOTS) | PROTOCOL_BIT(STATUS) | PROTOCOL_BIT(RESET_DEVICE))

/* What a reply of the worker is for. The worker answers in the order of the questions. */
enum reply_for {
	REPLY_FEATURES,
	REPLY_QUEUES,
	REPLY_CONFIG,	      /* refresh the copy of the config space */
	REPLY_CONFIG_CHANGED, /* the same, then tell the frontend */
	REPLY_FRONTEND,	      /* the message that waits */
};
#define MAX_REPLIES 32u

struct keeper {
	const struct keeper_config *config;
	struct loop *loop;
	struct loop_fd signals; /* fd -1: none */
	int status;		/* of the program */

	int listener; /* -1: none */
	bool listening;
	struct loop_fd listen_watch;
	bool one_frontend; /* there will be no other */

	struct message_socket frontend;
	struct message_socket backend; /* the frontend's channel for a device's requests; not open: none */
	struct lease lease;
	/* A message of the frontend's that the worker has to answer; until then no other is taken. */
	struct message waiting;
	bool is_waiting;
	struct loop_task drop_task; /* the frontend left */
	bool drop_posted;

	struct worker worker;
	bool ready;   /* it answered what we asked first */
	bool leaving; /* it is to end, with its guest */
	struct message_socket link;
	struct message_socket worker_backend;
	enum reply_for replies[MAX_REPLIES];
	unsigned reply_first, reply_count;
	struct loop_timer watch_timer;
	struct loop_task replace_task; /* the link broke */
	bool replace_posted;

	struct worker_memory *memory;
	int journal;		     /* -1: none */
	uint64_t *deaths; /* when, the last 2 * max_deaths of them: a ring */
	unsigned death_count;
	uint64_t died_ns;	     /* the worker that is replaced now; 0: none is */

	/* The same for every worker, but the config space. */
	bool known;
	uint64_t features;
	uint64_t queues;
	uint8_t space[VHOST_USER_MAX_CONFIG];
};

static int start_worker(struct keeper *k);

/* ---- to the worker ---- */

/* The link is of no use any more, so the worker isn't either. Not from inside the link's own handling. */
static void replace(struct loop_task *t)
{
	struct keeper *k = t->owner;

	k->replace_posted = false;
	message_socket_close(&k->link);
	message_socket_close(&k->worker_backend);
	/* One that is about to end does; one that is not must not serve on. */
	if (!k->leaving)
		worker_kill(&k->worker);
}

static void give_up_worker(struct keeper *k)
{
	if (!k->replace_posted)
		loop_post(k->loop, &k->replace_task);
	k->replace_posted = true;
}

static void ask(struct keeper *k, enum reply_for reply, uint32_t request, uint32_t flags, const void *payload,
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
	k->replies[(k->reply_first + k->reply_count++) % MAX_REPLIES] = reply;
}

static void ask_config(struct keeper *k, enum reply_for reply)
{
	const struct vhost_user_config c = {.size = k->config->config_bytes};

	ask(k, reply, VHOST_USER_GET_CONFIG, 0, &c, offsetof(struct vhost_user_config, data) + c.size, NULL, 0);
}

static uint64_t worker_protocol(const struct keeper *k, uint64_t frontend)
{
	return WORKER_PROTOCOL | (k->config->in_band ? frontend & PROTOCOL_BIT(INBAND_NOTIFICATIONS) : 0);
}

/* ---- the worker's requests ---- */

static void tell_frontend(struct keeper *k, uint32_t request, const void *payload, size_t bytes)
{
	if (!k->backend.open)
		return;
	if (message_send(&k->backend, request, 0, payload, bytes)) {
		log_line(LOG_TOPIC_VHOST, LOG_WARN,
			 "%s: the frontend does not read our requests; its channel for them is closed",
			 k->config->name);
		message_socket_close(&k->backend);
	}
}

static int worker_asks(void *owner, struct message *m)
{
	struct keeper *k = owner;

	switch (m->header.request) {
	case VHOST_USER_BACKEND_CONFIG_CHANGE_MSG:
		ask_config(k, REPLY_CONFIG_CHANGED);
		return 0;
	case VHOST_USER_BACKEND_VRING_CALL:
	case VHOST_USER_BACKEND_VRING_ERR:
		if (m->header.size != sizeof(m->payload.state))
			return -EPROTO;
		tell_frontend(k, m->header.request, &m->payload.state, sizeof(m->payload.state));
		return 0;
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

/* ---- the frontend's messages ---- */

static void forget_waiting(struct keeper *k)
{
	for (unsigned i = 0; i < k->waiting.fd_count; i++)
		close(k->waiting.fds[i]);
	k->waiting.fd_count = 0;
	k->is_waiting = false;
}

static void end_waiting(struct keeper *k)
{
	forget_waiting(k);
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

static void send_waiting(struct keeper *k)
{
	struct message *m = &k->waiting;
	/* All are answered, so that what was refused is known, and what was not is noted. */
	uint32_t flags = vhost_request_replies(m->header.request) ? 0 : VHOST_USER_NEED_REPLY;

	if (m->header.request == VHOST_USER_SET_PROTOCOL_FEATURES) {
		uint64_t features = worker_protocol(k, m->payload.u64);

		ask(k, REPLY_FRONTEND, m->header.request, flags, &features, sizeof(features), NULL, 0);
		return;
	}
	ask(k, REPLY_FRONTEND, m->header.request, flags, &m->payload, m->header.size, m->fds, m->fd_count);
}

/* The worker has answered the waiting message with @m. */
static void answer_waiting(struct keeper *k, const struct message *m)
{
	const struct message *w = &k->waiting;
	bool wants = w->header.flags & VHOST_USER_NEED_REPLY && k->lease.protocol_features & PROTOCOL_BIT(REPLY_ACK);
	uint64_t result = m->payload.u64;

	if (vhost_request_replies(w->header.request)) {
		if (w->header.request == VHOST_USER_GET_VRING_BASE)
			lease_note_stop(&k->lease, m->payload.state.index, m->payload.state.num);
		reply(k, w->header.request, &m->payload, m->header.size);
		end_waiting(k);
		return;
	}
	if (!result)
		result = (uint64_t)-lease_note(&k->lease, w);
	/* Looked at afterwards too: it may be asked for in the very message that negotiates it. */
	wants = wants ||
		(w->header.flags & VHOST_USER_NEED_REPLY && k->lease.protocol_features & PROTOCOL_BIT(REPLY_ACK));
	if (!result && w->header.request == VHOST_USER_SET_CONFIG)
		ask_config(k, REPLY_CONFIG);
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
		send_waiting(k);
	return 0;
}

static int answer_u64(struct keeper *k, const struct message *m, uint64_t value)
{
	reply(k, m->header.request, &value, sizeof(value));
	return 0;
}

static int get_features(struct keeper *k, struct message *m)
{
	return answer_u64(k, m, k->features);
}

static int get_protocol_features(struct keeper *k, struct message *m)
{
	return answer_u64(k, m, vhost_protocol_features(k->config->in_band));
}

static int get_queue_num(struct keeper *k, struct message *m)
{
	return answer_u64(k, m, k->queues);
}

static int get_max_mem_slots(struct keeper *k, struct message *m)
{
	return answer_u64(k, m, LEASE_MAX_REGIONS);
}

static int set_owner(struct keeper *k, struct message *m)
{
	if (m->header.flags & VHOST_USER_NEED_REPLY && k->lease.protocol_features & PROTOCOL_BIT(REPLY_ACK))
		return answer_u64(k, m, 0);
	return 0;
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

static void backend_ended(void *owner, int err, const char *why)
{
	struct keeper *k = owner;

	(void)err;
	log_line(LOG_TOPIC_VHOST, LOG_DEBUG, "%s: channel for our requests: %s", k->config->name, why);
	message_socket_close(&k->backend);
}

static int backend_received(void *owner, struct message *m)
{
	(void)owner;
	(void)m;
	/* We ask for no answers. */
	return 0;
}

static const struct message_ops backend_ops = {.received = backend_received, .ended = backend_ended};

static int set_backend_req_fd(struct keeper *k, struct message *m)
{
	int fd = m->fds[0], err;

	m->fds[0] = -1;
	message_socket_close(&k->backend);
	err = message_socket_open(&k->backend, k->loop, fd, &backend_ops, k);
	if (m->header.flags & VHOST_USER_NEED_REPLY && k->lease.protocol_features & PROTOCOL_BIT(REPLY_ACK))
		return answer_u64(k, m, (uint64_t)-err);
	return err;
}

/* What is answered here; everything else goes to the worker. */
static const struct {
	uint32_t request;
	int (*handle)(struct keeper *k, struct message *m);
} rows[] = {
	{VHOST_USER_GET_FEATURES, get_features},
	{VHOST_USER_GET_PROTOCOL_FEATURES, get_protocol_features},
	{VHOST_USER_GET_QUEUE_NUM, get_queue_num},
	{VHOST_USER_GET_MAX_MEM_SLOTS, get_max_mem_slots},
	{VHOST_USER_SET_OWNER, set_owner},
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
		log_line(LOG_TOPIC_VHOST, LOG_INFO, "%s: the frontend left", k->config->name);
	frontend_is_lost(k);
}

static const struct message_ops frontend_ops = {.received = frontend_received, .ended = frontend_ended};

/* ---- the worker's answers ---- */

/* All is known that a frontend may ask for, and the worker has been told what there is. */
static void worker_is_ready(struct keeper *k)
{
	int err = lease_repeat(&k->lease, &k->link, worker_protocol(k, k->lease.protocol_features));

	if (!err)
		err = open_worker_backend(k);
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
		send_waiting(k);
	if (!k->known) {
		k->known = true;
		message_socket_pause(&k->frontend, false);
	}
	if (k->listener >= 0 && !k->frontend.open && !k->listening)
		k->listening = !loop_add_fd(k->loop, &k->listen_watch, EPOLLIN);
}

static int take_config(struct keeper *k, const struct message *m)
{
	const struct vhost_user_config *c = &m->payload.config;

	if (m->header.size != offsetof(struct vhost_user_config, data) + k->config->config_bytes || c->offset ||
	    c->size != k->config->config_bytes)
		return -EPROTO;
	memcpy(k->space, c->data, c->size);
	return 0;
}

static int link_received(void *owner, struct message *m)
{
	struct keeper *k = owner;
	enum reply_for what;

	if (!k->reply_count || m->fd_count)
		return -EPROTO;
	what = k->replies[k->reply_first];
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
	case REPLY_CONFIG:
	case REPLY_CONFIG_CHANGED:
		if (m->header.request != VHOST_USER_GET_CONFIG || take_config(k, m))
			return -EPROTO;
		if (!k->ready)
			worker_is_ready(k);
		else if (what == REPLY_CONFIG_CHANGED && k->lease.protocol_features & PROTOCOL_BIT(CONFIG))
			tell_frontend(k, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, NULL, 0);
		return 0;
	case REPLY_FRONTEND:
		if (!k->is_waiting || m->header.request != k->waiting.header.request)
			return -EPROTO;
		answer_waiting(k, m);
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

/* ---- the life of a worker ---- */

/* Rings that no worker is to go on with: those that don't run. */
static void clear_stale_rings(struct keeper *k)
{
	/* The message that waits may have started or stopped one already. */
	if (k->is_waiting)
		return;
	for (unsigned i = 0; i < LEASE_MAX_RINGS; i++) {
		if (!lease_ring_runs(&k->lease, i))
			atomic_store((_Atomic uint32_t *)&k->memory->rings[i].active, 0);
	}
}

static int fresh_journal(struct keeper *k)
{
	if (k->journal >= 0)
		close(k->journal);
	k->journal = -1;
	if (!k->config->journal_bytes)
		return 0;
	k->journal = journal_memfd(k->config->journal_bytes);
	return k->journal < 0 ? k->journal : 0;
}

static unsigned recent_deaths(const struct keeper *k, uint64_t now)
{
	unsigned count = 0;

	for (unsigned i = 0; i < 2 * k->config->max_deaths; i++)
		count += k->deaths[i] && now - k->deaths[i] < DEATHS_NS;
	return count;
}

static int start_worker(struct keeper *k)
{
	struct worker_place place = {.memory = k->memory};
	int pair[2], err = 0;

	place.degraded = recent_deaths(k, loop_now_ns()) >= k->config->max_deaths;
	clear_stale_rings(k);
	if (!lease_has_state(&k->lease) && !k->is_waiting)
		err = fresh_journal(k);
	if (err)
		return err;
	place.journal = k->journal;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	place.link = pair[1];
	if (place.degraded)
		log_line(LOG_TOPIC_VHOST, LOG_ERROR,
			 "%s: %u workers died within a minute: the next does without what may be the reason",
			 k->config->name, recent_deaths(k, loop_now_ns()));
	err = worker_start(&k->worker, k->config->work, k->config->owner, &place);
	close(pair[1]);
	if (err) {
		close(pair[0]);
		return err;
	}
	k->ready = k->leaving = false;
	k->reply_first = k->reply_count = 0;
	err = message_socket_open(&k->link, k->loop, pair[0], &link_ops, k);
	if (err) {
		worker_kill(&k->worker);
		return 0;
	}
	ask(k, REPLY_FEATURES, VHOST_USER_GET_FEATURES, 0, NULL, 0, NULL, 0);
	ask(k, REPLY_QUEUES, VHOST_USER_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0);
	ask_config(k, REPLY_CONFIG);
	return 0;
}

static void end_program(struct keeper *k, int status)
{
	k->status = status;
	loop_stop(k->loop);
}

/* A ring that the worker had stopped, and then died before it could say where. */
static void answer_stopped_ring(struct keeper *k)
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

static void say_death(const struct keeper *k, int status)
{
	if (WIFSIGNALED(status))
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "%s: the worker died (signal %d, %s): another one takes over",
			 k->config->name, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "%s: the worker ended (status %d): another one takes over",
			 k->config->name, WEXITSTATUS(status));
}

static void worker_ended(void *owner, int status)
{
	struct keeper *k = owner;
	uint64_t now = loop_now_ns();
	int err;

	message_socket_close(&k->link);
	message_socket_close(&k->worker_backend);
	if (k->replace_posted)
		loop_unpost(k->loop, &k->replace_task);
	k->replace_posted = false;
	if (k->leaving) {
		memset(k->memory, 0, sizeof(*k->memory));
		memset(k->deaths, 0, 2 * k->config->max_deaths * sizeof(*k->deaths));
	} else {
		if (!k->known) {
			/* It said why. */
			end_program(k, WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
			return;
		}
		say_death(k, status);
		k->deaths[k->death_count++ % (2 * k->config->max_deaths)] = now;
		if (!k->died_ns)
			k->died_ns = now;
		if (recent_deaths(k, now) == 2 * k->config->max_deaths) {
			log_line(LOG_TOPIC_VHOST, LOG_ERROR, "%s: no worker lives long enough; giving up",
				 k->config->name);
			end_program(k, EXIT_FAILURE);
			return;
		}
		answer_stopped_ring(k);
	}
	err = start_worker(k);
	if (err) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "%s: no worker can be started: %s", k->config->name,
			 strerror(-err));
		end_program(k, EXIT_FAILURE);
	}
}

static void watch_worker(struct loop_timer *t)
{
	struct keeper *k = t->owner;
	uint64_t now = loop_now_ns();
	uint64_t pulse = atomic_load((_Atomic uint64_t *)&k->memory->pulse_ns);
	uint64_t limit = pulse ? k->config->hang_ns : START_LIMIT_NS;
	uint64_t since = pulse ? pulse : k->worker.started_ns;

	/* It is a hostile word too: one from the future is as good as none. */
	if (k->worker.pid && limit && (since > now || now - since > limit)) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR,
			 "%s: the worker does not come to the end of its work for %llu s: it is killed",
			 k->config->name, (unsigned long long)(limit / 1000000000u));
		worker_kill(&k->worker);
	}
	loop_arm_timer(k->loop, t, now + WATCH_NS);
}

/* ---- frontends come and go ---- */

static void drop_frontend(struct loop_task *t)
{
	struct keeper *k = t->owner;

	k->drop_posted = false;
	message_socket_close(&k->frontend);
	message_socket_close(&k->backend);
	forget_waiting(k);
	lease_end(&k->lease);
	if (k->one_frontend) {
		end_program(k, EXIT_SUCCESS);
		return;
	}
	/* The next guest gets a worker that knows nothing of this one. */
	k->leaving = true;
	k->ready = false;
	message_socket_close(&k->link);
	message_socket_close(&k->worker_backend);
}

static int take_frontend(struct keeper *k, int fd)
{
	int err = message_socket_open(&k->frontend, k->loop, fd, &frontend_ops, k);

	if (err)
		return err;
	if (!k->known)
		message_socket_pause(&k->frontend, true);
	log_line(LOG_TOPIC_VHOST, LOG_INFO, "%s: a frontend is here", k->config->name);
	return 0;
}

static void somebody_connects(struct loop_fd *f, uint32_t events)
{
	struct keeper *k = f->owner;
	int fd = accept4(k->listener, NULL, NULL, SOCK_CLOEXEC);
	int err;

	(void)events;
	if (fd < 0)
		return;
	err = take_frontend(k, fd);
	if (err) {
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "%s: a frontend could not be taken: %s", k->config->name,
			 strerror(-err));
		return;
	}
	loop_remove_fd(k->loop, &k->listen_watch);
	k->listening = false;
}

/* ---- the program ---- */

static void signalled(struct loop_fd *f, uint32_t events)
{
	(void)events;
	end_program(f->owner, EXIT_SUCCESS);
}

static int watch_signals(struct keeper *k)
{
	sigset_t set;

	/* Sockets that a peer has closed are told by errors. */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	k->signals = (struct loop_fd){.ready = signalled, .owner = k};
	k->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (k->signals.fd < 0)
		return -errno;
	return loop_add_fd(k->loop, &k->signals, EPOLLIN);
}

static int open_socket(struct keeper *k)
{
	int listens = 0;
	socklen_t bytes = sizeof(listens);

	if (k->config->fd < 0)
		return vhost_listen(k->config->socket_path, &k->listener);
	if (getsockopt(k->config->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) < 0) {
		int err = -errno;

		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "descriptor %d is no socket: %s", k->config->fd, strerror(-err));
		return err;
	}
	/* What was inherited without it must not go on to the worker's children. */
	fcntl(k->config->fd, F_SETFD, FD_CLOEXEC);
	if (listens) {
		k->listener = k->config->fd;
		return 0;
	}
	k->one_frontend = true;
	return take_frontend(k, k->config->fd);
}

static int construct(struct keeper *k)
{
	int err = loop_create(k->config->name, &k->loop);

	if (err)
		return err;
	k->worker = (struct worker){.loop = k->loop, .ended = worker_ended, .owner = k};
	k->watch_timer = (struct loop_timer){.expired = watch_worker, .owner = k};
	k->drop_task = (struct loop_task){.run = drop_frontend, .owner = k};
	k->replace_task = (struct loop_task){.run = replace, .owner = k};
	err = watch_signals(k);
	if (!err)
		err = worker_memory_create(&k->memory);
	if (!err)
		err = open_socket(k);
	if (err)
		return err;
	k->listen_watch = (struct loop_fd){.fd = k->listener, .ready = somebody_connects, .owner = k};
	watch_worker(&k->watch_timer);
	return start_worker(k);
}

static void destruct(struct keeper *k)
{
	message_socket_close(&k->frontend);
	message_socket_close(&k->backend);
	message_socket_close(&k->link);
	message_socket_close(&k->worker_backend);
	/* Its link is closed: it writes what there is to write, and ends. */
	worker_stop(&k->worker, STOP_LIMIT_MS);
	forget_waiting(k);
	lease_end(&k->lease);
	if (k->listener >= 0) {
		close(k->listener);
		if (k->config->fd < 0)
			unlink(k->config->socket_path);
	}
	if (k->journal >= 0)
		close(k->journal);
	worker_memory_destroy(k->memory);
	if (k->signals.fd >= 0)
		close(k->signals.fd);
	loop_destroy(k->loop);
	free(k->deaths);
	free(k);
}

int keeper_run(const struct keeper_config *config)
{
	struct keeper *k = calloc(1, sizeof(*k));
	int status, err;

	if (!k)
		return EXIT_FAILURE;
	k->config = config;
	k->listener = k->journal = k->signals.fd = -1;
	lease_init(&k->lease);
	k->deaths = calloc(2 * (size_t)config->max_deaths, sizeof(*k->deaths));
	err = k->deaths ? construct(k) : -ENOMEM;
	if (!err)
		err = loop_run(k->loop);
	if (err)
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "%s: can't go on: %s", config->name, strerror(-err));
	status = err ? EXIT_FAILURE : k->status;
	destruct(k);
	return status;
}
