// SPDX-License-Identifier: MIT
#include "vmm/character.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/base/accept.h"
#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/console/stream.h"
#include "vmm/terminal.h"

#define OUTPUT_BYTES 16384u /* power of 2 */
#define INPUT_BYTES 256u
#define INPUT_READS 16u /* without a look at what else the loop has to do */

struct character {
	const struct character_ops *ops;
	void *owner;
	struct loop *loop;
	bool is_terminal;
	struct terminal_filter filter;
	struct stream in, out;
	struct loop_fd listener; /* fd -1: none */
	struct accept_backoff backoff;
	char *socket_path;
	struct loop_task flush_task, resume_task;

	pthread_mutex_t lock; /* all below */
	uint8_t output[OUTPUT_BYTES];
	uint32_t head, tail;		  /* free-running; head - tail bytes are queued */
	bool flush_posted, resume_posted; /* the task is in the loop and may not be posted again */
	bool out_blocked;		  /* the stream's readiness flushes next */
	bool was_full;
};

static const char socket_prefix[] = "socket:";

bool character_spec_is_valid(const char *spec)
{
	size_t n = sizeof(socket_prefix) - 1;

	return !strcmp(spec, "stdio") || !strcmp(spec, "none") || (!strncmp(spec, socket_prefix, n) && spec[n]);
}

/* ---- output ---- */

bool character_write(struct character *c, uint8_t byte)
{
	bool ok, post = false;

	pthread_mutex_lock(&c->lock);
	if (c->head - c->tail < OUTPUT_BYTES) {
		c->output[c->head++ % OUTPUT_BYTES] = byte;
		post = !c->flush_posted && !c->out_blocked;
		c->flush_posted |= post;
	}
	ok = c->head - c->tail < OUTPUT_BYTES;
	if (!ok)
		c->was_full = true;
	pthread_mutex_unlock(&c->lock);
	if (post)
		loop_post(c->loop, &c->flush_task);
	return ok;
}

/* While the stream's readiness is awaited, writers need not wake the loop. */
static void set_blocked(struct character *c, bool blocked)
{
	pthread_mutex_lock(&c->lock);
	c->out_blocked = blocked;
	pthread_mutex_unlock(&c->lock);
}

/*
 * Move what is queued now and can be moved without blocking; what comes meanwhile has a flush of its own, so a guest
 * that never stops writing does not keep the loop from its other work. Returns true when nothing is left.
 */
static bool flush(struct character *c)
{
	bool tell, is_empty;
	uint32_t end;

	pthread_mutex_lock(&c->lock);
	end = c->head;
	pthread_mutex_unlock(&c->lock);
	/* Only the loop moves the tail. */
	while (c->tail != end) {
		uint32_t at = c->tail % OUTPUT_BYTES;
		uint32_t n = end - c->tail;
		ssize_t done;

		if (n > OUTPUT_BYTES - at)
			n = OUTPUT_BYTES - at;
		done = stream_is_open(&c->out) ? stream_write(&c->out, c->output + at, n) : (ssize_t)n;
		if (done == -EAGAIN) {
			set_blocked(c, true);
			stream_watch(&c->out, true);
			break;
		}
		if (done < 0) {
			stream_close(&c->out, &c->in); /* the reader has gone: the guest goes on */
			set_blocked(c, false);
			continue;
		}
		pthread_mutex_lock(&c->lock);
		c->tail += (uint32_t)done;
		pthread_mutex_unlock(&c->lock);
	}
	pthread_mutex_lock(&c->lock);
	is_empty = c->head == c->tail;
	tell = c->was_full && c->head - c->tail < OUTPUT_BYTES / 2;
	if (tell)
		c->was_full = false;
	pthread_mutex_unlock(&c->lock);
	if (tell)
		c->ops->drained(c->owner);
	return is_empty;
}

static void run_flush(struct loop_task *t)
{
	struct character *c = t->owner;

	pthread_mutex_lock(&c->lock);
	c->flush_posted = false;
	pthread_mutex_unlock(&c->lock);
	flush(c);
}

static void out_ready(struct loop_fd *f, uint32_t events)
{
	struct character *c = f->owner;

	(void)events;
	stream_watch(&c->out, false);
	set_blocked(c, false);
	flush(c);
}

/* ---- input ---- */

static void drop_client(struct character *c)
{
	stream_close(&c->in, &c->out);
	if (!c->socket_path)
		return;
	stream_close(&c->out, &c->in);
	set_blocked(c, false);
	(void)loop_change_fd(c->loop, &c->listener, EPOLLIN);
	/* What it did not take: nobody else would look, and a guest that waits for room writes no more. */
	flush(c);
}

/*
 * Read while the device has room, and for a while only: the loop has other work. A file can't be watched, so it is read
 * to its end here.
 */
static void take_input(struct character *c)
{
	uint8_t bytes[INPUT_BYTES];
	unsigned share = INPUT_READS;

	while (stream_is_open(&c->in)) {
		size_t room = c->ops->room(c->owner);
		size_t n = room < sizeof(bytes) ? room : sizeof(bytes);
		ssize_t got;

		if (!n) {
			stream_watch(&c->in, false);
			return;
		}
		if (!share--) {
			character_resume(c);
			return;
		}
		got = stream_read(&c->in, bytes, n);
		if (got == -EAGAIN) {
			stream_watch(&c->in, true);
			return;
		}
		if (got <= 0) {
			drop_client(c);
			return;
		}
		n = (size_t)got;
		if (c->is_terminal) {
			switch (terminal_filter(&c->filter, bytes, &n)) {
			case TERMINAL_QUIT:
				c->ops->quit(c->owner);
				return;
			case TERMINAL_POWER_BUTTON:
				c->ops->power_button(c->owner);
				break;
			case TERMINAL_NONE:
				break;
			}
		}
		if (n)
			c->ops->input(c->owner, bytes, n);
	}
}

static void in_ready(struct loop_fd *f, uint32_t events)
{
	(void)events;
	take_input(f->owner);
}

static void run_resume(struct loop_task *t)
{
	struct character *c = t->owner;

	pthread_mutex_lock(&c->lock);
	c->resume_posted = false;
	pthread_mutex_unlock(&c->lock);
	take_input(c);
}

void character_resume(struct character *c)
{
	bool post;

	pthread_mutex_lock(&c->lock);
	post = !c->resume_posted;
	c->resume_posted = true;
	pthread_mutex_unlock(&c->lock);
	if (post)
		loop_post(c->loop, &c->resume_task);
}

/* ---- the other ends ---- */

static int open_streams(struct character *c, int in_fd, int out_fd)
{
	int err = stream_open(&c->out, c->loop, out_fd, true, out_ready, c);

	if (err == -EBADF)
		err = 0; /* closed by whoever started us: output goes nowhere */
	if (!err && stream_open(&c->in, c->loop, in_fd, false, in_ready, c))
		c->in.loop = NULL; /* no input then */
	if (err)
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "can't use standard output: %s", strerror(-err));
	return err;
}

static void accept_client(struct loop_fd *f, uint32_t events)
{
	struct character *c = f->owner;
	int fd = accept_or_back_off(&c->backoff, c->loop, f, SOCK_NONBLOCK, LOG_TOPIC_VMM, c->socket_path);

	(void)events;
	if (fd < 0)
		return;
	if (!open_streams(c, fd, fd)) {
		(void)loop_change_fd(c->loop, &c->listener, 0); /* the next waits in the queue */
		take_input(c);
		flush(c);
	}
	close(fd);
}

static int listen_at(struct character *c, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, err;

	if (strlen(path) >= sizeof(a.sun_path)) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "%s: a socket's path has at most %zu bytes", path,
			 sizeof(a.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		err = -errno;
		goto fail;
	}
	/* A socket that nobody answers was left by a program that died. */
	if (!lstat(path, &st) && S_ISSOCK(st.st_mode) && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 &&
	    errno == ECONNREFUSED)
		unlink(path);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4) < 0) {
		err = -errno;
		goto fail;
	}
	c->socket_path = strdup(path);
	c->listener = (struct loop_fd){.fd = fd, .ready = accept_client, .owner = c};
	err = c->socket_path ? loop_add_fd(c->loop, &c->listener, EPOLLIN) : -ENOMEM;
	if (!err)
		return 0;
	c->listener.fd = -1;
fail:
	if (fd >= 0)
		close(fd);
	log_line(LOG_TOPIC_VMM, LOG_ERROR, "%s: can't listen there: %s%s", path, strerror(-err),
		 err == -EADDRINUSE ? " by another program, or it isn't a socket; use another path"
				    : "; use another path");
	return err;
}

int character_create(const char *spec, struct loop *loop, const struct character_ops *ops, void *owner,
		     struct character **out)
{
	struct character *c = calloc(1, sizeof(*c));
	int err = 0;

	if (!c)
		return -ENOMEM;
	c->ops = ops;
	c->owner = owner;
	c->loop = loop;
	c->listener.fd = -1;
	c->flush_task = (struct loop_task){.run = run_flush, .owner = c};
	c->resume_task = (struct loop_task){.run = run_resume, .owner = c};
	pthread_mutex_init(&c->lock, NULL);
	if (!strcmp(spec, "stdio")) {
		c->is_terminal = terminal_raw();
		err = open_streams(c, STDIN_FILENO, STDOUT_FILENO);
		if (!err)
			character_resume(c);
	} else if (!strncmp(spec, socket_prefix, sizeof(socket_prefix) - 1)) {
		err = listen_at(c, spec + sizeof(socket_prefix) - 1);
	}
	if (err) {
		character_destroy(c);
		return err;
	}
	*out = c;
	return 0;
}

void character_destroy(struct character *c)
{
	if (!c)
		return;
	for (int tries = 0; tries < 10 && !flush(c); tries++) {
		struct pollfd p = {.fd = c->out.watch.fd, .events = POLLOUT};

		stream_watch(&c->out, false);
		if (stream_is_open(&c->out))
			poll(&p, 1, 100);
	}
	loop_unpost(c->loop, &c->flush_task);
	loop_unpost(c->loop, &c->resume_task);
	stream_close(&c->in, &c->out);
	stream_close(&c->out, &c->in);
	if (c->listener.fd >= 0) {
		loop_remove_fd(c->loop, &c->listener);
		accept_backoff_end(&c->backoff);
		close(c->listener.fd);
	}
	if (c->socket_path)
		unlink(c->socket_path);
	free(c->socket_path);
	if (c->is_terminal)
		terminal_restore();
	pthread_mutex_destroy(&c->lock);
	free(c);
}
