// SPDX-License-Identifier: MIT
#include "vmm/isolate_control.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/virtio/control_socket.h"
#include "host/virtio/counters.h"

/* For one request, the start of another worker included; the control socket's clients are told a second later. */
#define CALL_LIMIT_NS 4000000000ull
/*
 * For counters, which are asked of up to three devices in turn (GPU, decoder, encoder) before those clients are told.
 */
#define COUNT_LIMIT_NS 1500000000ull
#define MAX_SHOTS 16u
#define MAX_ERRNO 4095

struct isolate_control {
	struct display_control control;
	struct counter_source counters;
	struct loop_fd keeper;		/* fd -1: not connected */
	struct loop_fd worker;		/* fd -1: none is there */
	uint32_t worker_pid, deaths;
	uint32_t sequence;		/* of the last request */
	struct control_message *call;	/* waited for now, then its answer; NULL: none */
	int call_fd;			/* that goes with it; -1: none */
	bool answered;
	struct {
		struct display_screenshot *shot; /* NULL: free */
		uint32_t sequence;
	} shots[MAX_SHOTS];
	struct log_limit log_limit;
};

/* ---- requests ---- */

/* One that can't go now goes to the next worker, or is missed in time. */
static void send_call(struct isolate_control *c)
{
	if (c->worker.fd >= 0)
		control_send(c->worker.fd, c->call, c->call_fd);
}

static void send_shot(struct isolate_control *c, unsigned i)
{
	const struct control_message m = {
		.kind = CONTROL_SCREENSHOT,
		.sequence = c->shots[i].sequence,
		.display = c->shots[i].shot->display,
	};

	if (c->worker.fd >= 0)
		control_send(c->worker.fd, &m, c->shots[i].shot->fd);
}

static void end_shot(struct isolate_control *c, unsigned i, int err)
{
	struct display_screenshot *shot = c->shots[i].shot;

	c->shots[i].shot = NULL;
	shot->err = err;
	shot->done(shot);
}

static void drop(struct isolate_control *c, struct loop_fd *f)
{
	if (f->fd < 0)
		return;
	loop_remove_fd(c->control.loop, f);
	close(f->fd);
	f->fd = -1;
}

/* Takes @fd, also on failure. */
static int watch(struct isolate_control *c, struct loop_fd *f, int fd)
{
	int err;

	f->fd = fd;
	err = loop_add_fd(c->control.loop, f, EPOLLIN);
	if (!err)
		return 0;
	close(fd);
	f->fd = -1;
	return err;
}

static void disconnect(struct isolate_control *c)
{
	drop(c, &c->worker);
	drop(c, &c->keeper);
	for (unsigned i = 0; i < MAX_SHOTS; i++) {
		if (c->shots[i].shot)
			end_shot(c, i, -ECANCELED);
	}
}

/* ---- the keeper ---- */

/* Takes @fd, the worker's socket. */
static void take_worker(struct isolate_control *c, const struct control_message *m, int fd)
{
	/* What the one before had to say is asked of this one. */
	drop(c, &c->worker);
	if (watch(c, &c->worker, fd))
		return;
	c->worker_pid = m->worker_pid;
	c->deaths = m->deaths;
	if (c->call && !c->answered)
		send_call(c);
	for (unsigned i = 0; i < MAX_SHOTS; i++) {
		struct display_screenshot *shot = c->shots[i].shot;

		/* The one before may have written some of it. */
		if (shot && ftruncate(shot->fd, 0) == 0 && lseek(shot->fd, 0, SEEK_SET) == 0)
			send_shot(c, i);
	}
}

static void hear_keeper(struct isolate_control *c)
{
	struct control_message m;
	int fd, err = control_receive(c->keeper.fd, &m, &fd);

	if (!err && m.kind == CONTROL_WORKER && fd >= 0)
		take_worker(c, &m, fd);
	else if (fd >= 0)
		close(fd);
	if (err && err != -EAGAIN && err != -EBADMSG)
		disconnect(c);
}

static void keeper_ready(struct loop_fd *f, uint32_t events)
{
	(void)events;
	hear_keeper(f->owner);
}

/* ---- a worker's answers, all of them hostile ---- */

static void take_screenshot(struct isolate_control *c, const struct control_message *m)
{
	for (unsigned i = 0; i < MAX_SHOTS; i++) {
		if (!c->shots[i].shot || c->shots[i].sequence != m->sequence)
			continue;
		c->shots[i].shot->width = m->width;
		c->shots[i].shot->height = m->height;
		end_shot(c, i, m->err);
	}
}

static void take(struct isolate_control *c, struct control_message *m)
{
	struct display_device_status *s = &m->status;

	if (m->err > 0 || m->err < -MAX_ERRNO)
		m->err = -EPROTO;
	if (s->display_count > DISPLAY_CONTROL_MAX)
		s->display_count = DISPLAY_CONTROL_MAX;
	/* It ends up on a user's terminal. */
	s->renderer[sizeof(s->renderer) - 1] = '\0';
	counters_make_printable(s->renderer);
	if (m->kind == CONTROL_SCREENSHOT) {
		take_screenshot(c, m);
	} else if (c->call && !c->answered && m->kind == c->call->kind && m->sequence == c->call->sequence) {
		*c->call = *m;
		c->answered = true;
	}
}

/* One message, if there is one. One that is gone is followed by another, of which the keeper tells. */
static void hear_worker(struct isolate_control *c)
{
	struct control_message m;
	int fd, err = control_receive(c->worker.fd, &m, &fd);

	if (fd >= 0)
		close(fd);
	if (err == -EBADMSG)
		log_guest(LOG_TOPIC_VMM, &c->log_limit, "a device's process sent nonsense on its control socket");
	else if (!err)
		take(c, &m);
	else if (err != -EAGAIN)
		drop(c, &c->worker);
}

static void worker_ready(struct loop_fd *f, uint32_t events)
{
	(void)events;
	hear_worker(f->owner);
}

/* Send @m, with a copy of @fd (-1: none), and wait for its answer, which takes its place. Returns what that says. */
static int call(struct isolate_control *c, struct control_message *m, int fd, uint64_t limit_ns)
{
	const uint64_t due = loop_now_ns() + limit_ns;
	uint64_t now;

	assert(!c->call);
	c->call = m;
	c->call_fd = fd;
	c->answered = false;
	m->sequence = ++c->sequence;
	send_call(c);
	while (c->keeper.fd >= 0 && !c->answered && (now = loop_now_ns()) < due) {
		struct pollfd p[] = {{.fd = c->keeper.fd, .events = POLLIN}, {.fd = c->worker.fd, .events = POLLIN}};

		if (poll(p, 2, (int)((due - now) / 1000000 + 1)) <= 0)
			continue;
		/* First: what it says was said before the next one is heard of. */
		if (p[1].revents)
			hear_worker(c);
		if (p[0].revents)
			hear_keeper(c);
	}
	c->call = NULL;
	if (c->answered)
		return m->err;
	return c->keeper.fd < 0 ? -EPIPE : -ETIMEDOUT;
}

/* ---- ops ---- */

static int get_status(void *owner, struct display_device_status *out)
{
	struct isolate_control *c = owner;
	struct control_message m = {.kind = CONTROL_STATUS};
	int err = call(c, &m, -1, CALL_LIMIT_NS);

	if (err)
		memset(out, 0, sizeof(*out));
	else
		*out = m.status;
	out->is_isolated = true;
	out->worker_pid = c->worker_pid;
	out->deaths = c->deaths;
	return err;
}

static int set_mode(void *owner, unsigned display, uint32_t width, uint32_t height)
{
	struct control_message m = {.kind = CONTROL_MODE, .display = display, .width = width, .height = height};

	return call(owner, &m, -1, CALL_LIMIT_NS);
}

static void screenshot(void *owner, struct display_screenshot *shot)
{
	struct isolate_control *c = owner;
	unsigned i = 0;

	while (i < MAX_SHOTS && c->shots[i].shot)
		i++;
	if (c->keeper.fd < 0 || i == MAX_SHOTS) {
		shot->err = c->keeper.fd < 0 ? -EPIPE : -EBUSY;
		shot->done(shot);
		return;
	}
	c->shots[i].shot = shot;
	c->shots[i].sequence = ++c->sequence;
	send_shot(c, i);
}

static const struct display_control_ops ops = {get_status, set_mode, screenshot};

/* A file for counters; the other end can't give it another size. Returns it, or a negative errno. */
static int make_file(void)
{
	int fd = memfd_create("counters", MFD_CLOEXEC | MFD_ALLOW_SEALING), err;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sizeof(struct counters)) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int count(void *owner, struct counters *out)
{
	struct isolate_control *c = owner;
	struct control_message m = {.kind = CONTROL_COUNTERS};
	struct counters *theirs = calloc(1, sizeof(*theirs));
	int fd = theirs ? make_file() : -ENOMEM;
	int err = fd < 0 ? fd : call(c, &m, fd, COUNT_LIMIT_NS);

	memset(out, 0, sizeof(*out));
	counters_add(out, NULL, "deaths", c->deaths);
	if (!err && pread(fd, theirs, sizeof(*theirs), 0) != (ssize_t)sizeof(*theirs))
		err = -EPROTO;
	if (!err) {
		counters_check(theirs);
		out->left_out = theirs->left_out;
		for (uint32_t i = 0; i < theirs->count; i++) {
			if (out->count < COUNTERS_MAX)
				out->list[out->count++] = theirs->list[i];
			else
				out->left_out++;
		}
	}
	if (fd >= 0)
		close(fd);
	free(theirs);
	return err;
}

/* ---- construction ---- */

int isolate_control_create(struct isolate_control **out)
{
	struct isolate_control *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->keeper = (struct loop_fd){.fd = -1, .ready = keeper_ready, .owner = c};
	c->worker = (struct loop_fd){.fd = -1, .ready = worker_ready, .owner = c};
	c->control = (struct display_control){.ops = &ops, .owner = c};
	err = loop_create("control", &c->control.loop);
	if (!err)
		err = loop_start(c->control.loop);
	if (err) {
		loop_destroy(c->control.loop);
		free(c);
		return err;
	}
	c->counters = (struct counter_source){.count = count, .owner = c, .loop = c->control.loop};
	*out = c;
	return 0;
}

static void run_disconnect(void *arg)
{
	disconnect(arg);
}

void isolate_control_destroy(struct isolate_control *c)
{
	if (!c)
		return;
	loop_call(c->control.loop, run_disconnect, c);
	loop_destroy(c->control.loop);
	free(c);
}

struct adoption {
	struct isolate_control *control;
	int fd, err;
};

static void adopt(void *arg)
{
	struct adoption *a = arg;
	struct isolate_control *c = a->control;

	disconnect(c);
	a->err = watch(c, &c->keeper, a->fd);
}

int isolate_control_connect(struct isolate_control *c)
{
	struct adoption a = {.control = c};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	a.fd = pair[0];
	loop_call(c->control.loop, adopt, &a);
	if (!a.err)
		return pair[1];
	close(pair[1]);
	return a.err;
}

const struct display_control *isolate_control_display(const struct isolate_control *c)
{
	return &c->control;
}

const struct counter_source *isolate_control_counters(const struct isolate_control *c)
{
	return &c->counters;
}
