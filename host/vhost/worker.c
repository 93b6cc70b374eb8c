// SPDX-License-Identifier: MIT
#include "host/vhost/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/vhost/sandbox.h"
#include "host/vhost/worker_output.h"

#define PULSE_NS 250000000ull

int worker_memory_create(struct worker_memory **out)
{
	int fd = memfd_create("mullion-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *at;
	int err = 0;

	if (fd < 0)
		return -errno;
	/* A worker that made it shorter would kill the keeper with it. */
	if (ftruncate(fd, sizeof(struct worker_memory)) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		err = -errno;
	} else {
		at = mmap(NULL, sizeof(struct worker_memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (at == MAP_FAILED)
			err = -errno;
		else
			*out = at;
	}
	close(fd);
	return err;
}

void worker_memory_still(struct worker_memory *m)
{
	atomic_store((_Atomic uint64_t *)&m->pulse_ns, 0);
}

void worker_memory_destroy(struct worker_memory *m)
{
	if (m)
		munmap(m, sizeof(*m));
}

/* ---- the process ---- */

static int order(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Close all descriptors but the standard ones and @keep[@count]. */
static void close_others(int *keep, unsigned count)
{
	int next = STDERR_FILENO + 1;

	qsort(keep, count, sizeof(*keep), order);
	for (unsigned i = 0; i < count; i++) {
		if (keep[i] < next)
			continue;
		if (keep[i] > next)
			close_range((unsigned)next, (unsigned)keep[i] - 1, 0);
		next = keep[i] + 1;
	}
	close_range((unsigned)next, ~0u, 0);
}

struct life {
	int (*work)(void *owner, const struct worker_place *place);
	void *owner;
	const struct worker_place *place;
	int output;
};

static int live(struct sandbox *s, void *arg)
{
	const struct life *l = arg;
	const int others[] = {l->place->journal, l->place->shared, l->place->control, l->place->screen};
	int keep[1 + sizeof(others) / sizeof(others[0])] = {l->place->link};
	unsigned count = 1;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (others[i] >= 0)
			keep[count++] = others[i];
	}
	worker_output_redirect(l->output);
	/* Also where the sandbox does nothing: the frontend's socket must end with the keeper. */
	close_others(keep, count);
	if (sandbox_prepare(s, keep, count))
		return EXIT_FAILURE;
	return l->work(l->owner, l->place);
}

static int reap(struct worker *w)
{
	int status = 0;

	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		;
	loop_remove_fd(w->loop, &w->watch);
	close(w->watch.fd);
	worker_output_destroy(w->output);
	w->output = NULL;
	w->pid = 0;
	return status;
}

static void process_ended(struct loop_fd *f, uint32_t events)
{
	struct worker *w = f->owner;

	(void)events;
	w->ended(w->owner, reap(w));
}

int worker_start(struct worker *w, int (*work)(void *owner, const struct worker_place *place), void *work_owner,
		 const struct worker_place *place)
{
	struct life life = {work, work_owner, place, -1};
	struct sandbox_child child;
	int err;

	if (!place->spare)
		worker_memory_still(place->memory);
	err = worker_output_create(w->loop, &w->output, &life.output);
	if (err)
		return err;
	err = sandbox_spawn(place->sandbox, live, &life, &child);
	close(life.output);
	if (err)
		goto no_output;
	w->watch = (struct loop_fd){.fd = child.pidfd, .ready = process_ended, .owner = w};
	err = loop_add_fd(w->loop, &w->watch, EPOLLIN);
	if (err) {
		kill(child.pid, SIGKILL);
		waitpid(child.pid, NULL, 0);
		close(child.pidfd);
		goto no_output;
	}
	w->pid = child.pid;
	return 0;

no_output:
	worker_output_destroy(w->output);
	w->output = NULL;
	return err;
}

int worker_take(struct worker *to, struct worker *from)
{
	int err;

	loop_remove_fd(from->loop, &from->watch);
	to->watch = (struct loop_fd){.fd = from->watch.fd, .ready = process_ended, .owner = to};
	err = loop_add_fd(to->loop, &to->watch, EPOLLIN);
	if (err) {
		kill(from->pid, SIGKILL);
		waitpid(from->pid, NULL, 0);
		close(from->watch.fd);
		worker_output_destroy(from->output);
	} else {
		to->pid = from->pid;
		to->output = from->output;
	}
	from->output = NULL;
	from->pid = 0;
	return err;
}

void worker_kill(struct worker *w)
{
	if (w->pid)
		kill(w->pid, SIGKILL);
}

int worker_stop(struct worker *w, int timeout_ms)
{
	const uint64_t end = loop_now_ns() + (uint64_t)timeout_ms * 1000000u;
	struct pollfd p[2] = {{.fd = w->watch.fd, .events = POLLIN}, {.events = POLLIN}};
	uint64_t now;

	if (!w->pid)
		return 0;
	/* What it says at its end must have room, or it would not come to it. */
	while (!p[0].revents && (now = loop_now_ns()) < end) {
		p[1].fd = worker_output_fd(w->output);
		if (poll(p, 2, (int)((end - now) / 1000000u) + 1) > 0)
			worker_output_read(w->output);
	}
	if (!p[0].revents)
		worker_kill(w);
	return reap(w);
}

/* ---- in the worker ---- */

void worker_pulse_beat(struct worker_pulse *p)
{
	atomic_store((_Atomic uint64_t *)&p->memory->pulse_ns, loop_now_ns());
}

static void beat(struct loop_timer *t)
{
	struct worker_pulse *p = t->owner;

	worker_pulse_beat(p);
	loop_arm_timer(p->loop, t, loop_now_ns() + PULSE_NS);
}

void worker_pulse_start(struct worker_pulse *p, struct worker_memory *m, struct loop *loop)
{
	*p = (struct worker_pulse){.memory = m, .loop = loop, .timer = {.expired = beat, .owner = p}};
	beat(&p->timer);
}
