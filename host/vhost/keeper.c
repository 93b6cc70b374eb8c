// SPDX-License-Identifier: MIT
#include "host/vhost/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/descriptors.h"
#include "host/vhost/keeper_parts.h"
#include "host/vhost/listener.h"
#include "host/virtio/journal.h"
#include "host/virtio/shared_heap.h"

#define WATCH_NS 500000000ull
/* A driver and its compiler may be slow to start where all is emulated. */
#define START_LIMIT_NS 120000000000ull
/* An answer takes a few turns of the worker's loop, and each may take as long as one that does not hang. */
#define TURNS_AN_ANSWER 3u
/* But in the turn in which a device is made again it is all that the guest had made, one by one. */
#define AGAIN_LIMIT_NS 120000000000ull
#define STOP_LIMIT_MS 10000
#define DEATHS_NS 60000000000ull

void keeper_close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* ---- the life of a worker ---- */

/* What the lease and the memory of the worker before say of the rings must fit. */
static void reconcile_rings(struct keeper *k)
{
	for (unsigned i = 0; i < LEASE_MAX_RINGS; i++) {
		struct inflight_ring *ring = &k->memory->rings[i];
		bool active = atomic_load((_Atomic uint32_t *)&ring->active) == 1;

		/* The guest broke it, or the worker died half way through a reset. */
		if (lease_ring_runs(&k->lease, i) && !active)
			lease_note_position(&k->lease, i, ring->stopped_at);
		/* No worker is to go on with it; but the message that waits may have started it already. */
		if (!lease_ring_runs(&k->lease, i) && !k->is_waiting)
			atomic_store((_Atomic uint32_t *)&ring->active, 0);
	}
}

/* The next guest's worker shares nothing with the one before, nor with what that may have left behind. */
static int fresh_memory(struct keeper *k)
{
	struct worker_memory *fresh;
	int err = worker_memory_create(&fresh);

	if (err)
		return err;
	worker_memory_destroy(k->memory);
	k->memory = fresh;
	return 0;
}

/* What a device keeps of its guest, and what it lends to it. */
static int fresh_state(struct keeper *k)
{
	keeper_close_fd(k->journal);
	keeper_close_fd(k->shared);
	k->journal = k->shared = -1;
	if (k->config->journal_bytes) {
		k->journal = journal_memfd(k->config->journal_bytes);
		if (k->journal < 0)
			return k->journal;
	}
	if (k->config->shared_bytes) {
		k->shared = shared_heap_memfd(k->config->shared_bytes);
		if (k->shared < 0)
			return k->shared;
	}
	return 0;
}

static unsigned recent_deaths(const struct keeper *k, uint64_t now)
{
	unsigned count = 0;

	for (unsigned i = 0; i < 2 * k->config->max_deaths; i++)
		count += k->deaths[i] && now - k->deaths[i] < DEATHS_NS;
	return count;
}

int keeper_make_control(const struct keeper *k, int *ours, int *its)
{
	int pair[2] = {-1, -1};

	if (k->config->control >= 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*ours = pair[0];
	*its = pair[1];
	return 0;
}

/*
 * Who asks is told who the worker is, and where it is asked; again later, if that can't go: the socket may be full, or
 * too many descriptors of the user's be on their way (host/base/descriptors.h).
 */
static void tell_of_worker(struct keeper *k)
{
	const struct control_message m = {
		.kind = CONTROL_WORKER,
		.worker_pid = (uint32_t)k->worker.pid,
		.deaths = k->death_count,
	};

	if (k->control < 0 || control_send(k->config->control, &m, k->control))
		return;
	close(k->control);
	k->control = -1;
}

/* The worker is there, at the other end of @link; who asks it on behalf of the user does so on @control. */
static int begin_with(struct keeper *k, int link, int control)
{
	k->pulse = k->still_ns = 0;
	k->unbegun = lease_has_state(&k->lease) || k->is_waiting;
	keeper_close_fd(k->control);
	k->control = control;
	tell_of_worker(k);
	/* Without a link it is of no use; its end is told as any other. */
	if (keeper_open_link(k, link))
		worker_kill(&k->worker);
	return 0;
}

static int start_worker(struct keeper *k)
{
	struct worker_place place = {
		.memory = k->memory,
		.sandbox = k->config->sandbox,
		.screen = k->config->screen,
	};
	int pair[2], control, err = 0;

	place.degraded = recent_deaths(k, loop_now_ns()) >= k->config->max_deaths;
	reconcile_rings(k);
	if (place.degraded || (!lease_has_state(&k->lease) && !k->is_waiting))
		keeper_drop_spare(k);
	if (!lease_has_state(&k->lease) && !k->is_waiting) {
		keeper_drop_left_objects(k);
		err = fresh_state(k);
	}
	if (err)
		return err;
	if (keeper_take_spare(k, &pair[0], &control))
		return begin_with(k, pair[0], control);
	place.journal = k->journal;
	place.shared = k->shared;
	err = keeper_make_control(k, &control, &place.control);
	if (err)
		return err;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		err = -errno;
		keeper_close_fd(control);
		keeper_close_fd(place.control);
		return err;
	}
	place.link = pair[1];
	if (place.degraded)
		log_line(LOG_TOPIC_VHOST, LOG_ERROR,
			 "%s: %u workers died within a minute: the next does without what may be the reason",
			 k->config->name, recent_deaths(k, loop_now_ns()));
	err = worker_start(&k->worker, k->config->work, k->config->owner, &place);
	close(pair[1]);
	keeper_close_fd(place.control);
	if (err) {
		close(pair[0]);
		keeper_close_fd(control);
		return err;
	}
	return begin_with(k, pair[0], control);
}

void keeper_end_program(struct keeper *k, int status)
{
	k->status = status;
	loop_stop(k->loop);
}

static void say_death(const struct keeper *k, int status)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		log_line(LOG_TOPIC_VHOST, LOG_ERROR,
			 "%s: the worker made a system call that its sandbox forbids (the kernel's log has its number), and "
			 "was killed: another one takes over",
			 k->config->name);
	else if (WIFSIGNALED(status))
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
	int err = 0;

	keeper_close_link(k);
	if (k->leaving) {
		err = fresh_memory(k);
		memset(k->deaths, 0, 2 * k->config->max_deaths * sizeof(*k->deaths));
		k->died_ns = 0;
	} else {
		if (!k->known) {
			/* It said why, unless it could not. */
			if (WIFSIGNALED(status))
				log_line(LOG_TOPIC_VHOST, LOG_ERROR, "%s: the worker died at its start (signal %d, %s)",
					 k->config->name, WTERMSIG(status), strsignal(WTERMSIG(status)));
			keeper_end_program(k, WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status)
										       : EXIT_FAILURE);
			return;
		}
		say_death(k, status);
		/* One that ends by itself saw that the GPU was reset (renderer_virgl.c); that took the spare's contexts, too. */
		if (WIFEXITED(status))
			keeper_drop_spare(k);
		k->deaths[k->death_count++ % (2 * k->config->max_deaths)] = now;
		if (!k->died_ns)
			k->died_ns = now;
		if (recent_deaths(k, now) == 2 * k->config->max_deaths) {
			log_line(LOG_TOPIC_VHOST, LOG_ERROR, "%s: no worker lives long enough; giving up",
				 k->config->name);
			keeper_end_program(k, EXIT_FAILURE);
			return;
		}
		keeper_answer_stopped_ring(k);
		keeper_leave_objects(k);
	}
	if (!err)
		err = start_worker(k);
	if (err) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "%s: no worker can be started: %s", k->config->name,
			 strerror(-err));
		keeper_end_program(k, EXIT_FAILURE);
	}
}

/*
 * Processes that lost the one that made them became ours with sandbox_spawn(): what is left of them goes. The first of the
 * dead may be one whose own watch is to see it; the others then wait for the next time.
 */
static void bury_orphans(const struct keeper *k)
{
	siginfo_t dead;

	for (;;) {
		dead.si_pid = 0;
		if (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) || !dead.si_pid ||
		    dead.si_pid == k->worker.pid || dead.si_pid == k->spare.pid)
			return;
		waitpid(dead.si_pid, NULL, 0);
	}
}

/* For how long an answer of the worker's may be waited for; 0: for ever. */
static uint64_t answer_limit(const struct keeper *k)
{
	const uint64_t limit = TURNS_AN_ANSWER * k->config->hang_ns;

	if (!k->ready)
		return START_LIMIT_NS;
	return limit && k->unbegun && limit < AGAIN_LIMIT_NS ? AGAIN_LIMIT_NS : limit;
}

static void watch_worker(struct loop_timer *t)
{
	struct keeper *k = t->owner;
	/* It is a hostile word: what counts is that it changes. */
	uint64_t pulse = atomic_load((_Atomic uint64_t *)&k->memory->pulse_ns);
	uint64_t now = loop_now_ns();
	uint64_t passed = now - k->watched_ns;
	uint64_t limit = pulse ? k->config->hang_ns : START_LIMIT_NS;
	uint64_t owed_limit = answer_limit(k);

	/* While we did not run (a debugger, a machine that was suspended), the worker may not have run either. */
	passed = passed < 2 * WATCH_NS ? passed : WATCH_NS;
	k->still_ns = pulse == k->pulse ? k->still_ns + passed : 0;
	k->owed_ns = k->link.open && k->reply_count ? k->owed_ns + passed : 0;
	k->pulse = pulse;
	k->watched_ns = now;
	if (k->worker.pid && limit && k->still_ns > limit) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR,
			 "%s: the worker does not come to the end of its work for %llu s: it is killed",
			 k->config->name, (unsigned long long)(limit / 1000000000u));
		worker_kill(&k->worker);
	} else if (k->worker.pid && owed_limit && k->owed_ns > owed_limit) {
		/* One that a guest took over may keep the pulse, and have the frontend wait for ever. */
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "%s: the worker does not answer for %llu s: it is killed",
			 k->config->name, (unsigned long long)(owed_limit / 1000000000u));
		k->owed_ns = 0;
		worker_kill(&k->worker);
	} else if (k->worker.pid && k->leaving && now - k->left_ns > STOP_LIMIT_MS * 1000000ull) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "%s: the worker does not end with its frontend: it is killed",
			 k->config->name);
		worker_kill(&k->worker);
	}
	bury_orphans(k);
	keeper_look_for_spare(k);
	tell_of_worker(k);
	loop_arm_timer(k->loop, t, now + WATCH_NS);
}

/* ---- the program ---- */

static void signalled(struct loop_fd *f, uint32_t events)
{
	(void)events;
	keeper_end_program(f->owner, EXIT_SUCCESS);
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
	int listens = 0, err;
	socklen_t bytes = sizeof(listens);

	if (k->config->fd < 0) {
		err = vhost_listen(k->config->socket_path, &k->listener);
		k->explained = err < 0;
		return err;
	}
	if (getsockopt(k->config->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) < 0) {
		err = -errno;
		k->explained = true;
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "descriptor %d is no socket: %s", k->config->fd, strerror(-err));
		return err;
	}
	/* What was inherited without it must not go on to the worker's children. */
	fcntl(k->config->fd, F_SETFD, FD_CLOEXEC);
	if (listens) {
		vhost_listen_without_waiting(k->config->fd);
		k->listener = k->config->fd;
		return 0;
	}
	k->one_frontend = true;
	return keeper_take_frontend(k, k->config->fd);
}

static int construct(struct keeper *k)
{
	int err = loop_create(k->config->name, &k->loop);

	if (err)
		return err;
	k->worker = (struct worker){.loop = k->loop, .ended = worker_ended, .owner = k};
	k->watch_timer = (struct loop_timer){.expired = watch_worker, .owner = k};
	k->drop_task = (struct loop_task){.run = keeper_drop_frontend, .owner = k};
	k->replace_task = (struct loop_task){.run = keeper_replace_worker, .owner = k};
	err = watch_signals(k);
	if (!err)
		err = worker_memory_create(&k->memory);
	if (!err)
		err = open_socket(k);
	if (err)
		return err;
	k->listen_watch = (struct loop_fd){.fd = k->listener, .ready = keeper_somebody_connects, .owner = k};
	watch_worker(&k->watch_timer);
	return start_worker(k);
}

static void destruct(struct keeper *k)
{
	int status;

	message_socket_close(&k->frontend);
	message_socket_close(&k->backend);
	keeper_close_link(k);
	keeper_end_spare(k);
	/* Its link is closed: it writes what there is to write, and ends. */
	status = worker_stop(&k->worker, STOP_LIMIT_MS);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "%s: the worker did not end by itself and was killed", k->config->name);
	else if (WIFSIGNALED(status))
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "%s: the worker died at its end (signal %d, %s)", k->config->name,
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	keeper_forget_waiting(k);
	keeper_forget_objects(k);
	lease_end(&k->lease);
	if (k->listener >= 0) {
		accept_backoff_end(&k->listen_backoff);
		close(k->listener);
		if (k->config->fd < 0)
			unlink(k->config->socket_path);
	}
	keeper_close_fd(k->journal);
	keeper_close_fd(k->shared);
	worker_memory_destroy(k->memory);
	keeper_close_fd(k->control);
	keeper_close_fd(k->config->control);
	keeper_close_fd(k->config->screen);
	keeper_close_fd(k->signals.fd);
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
	/* More than any worker, of whatever guest: it must be able to tell its own of memory. */
	descriptors_allow_all();
	k->config = config;
	k->listener = k->journal = k->shared = k->control = k->signals.fd = -1;
	/* The workers' children are not to have them. */
	if (config->control >= 0)
		fcntl(config->control, F_SETFD, FD_CLOEXEC);
	if (config->screen >= 0)
		fcntl(config->screen, F_SETFD, FD_CLOEXEC);
	lease_init(&k->lease);
	k->deaths = calloc(2 * (size_t)config->max_deaths, sizeof(*k->deaths));
	err = k->deaths ? construct(k) : -ENOMEM;
	if (!err)
		err = loop_run(k->loop);
	if (err && !k->explained)
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "%s: can't go on: %s", config->name, strerror(-err));
	status = err ? EXIT_FAILURE : k->status;
	destruct(k);
	return status;
}
