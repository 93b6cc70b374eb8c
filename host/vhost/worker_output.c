// SPDX-License-Identifier: MIT
#include "host/vhost/worker_output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"

#define LINE_BYTES 512u
#define LAST_LINES 32u
/* A driver that aborts says a page or two. */
#define BURST 200u
#define NS_PER_LINE 500000000ull
/* More than a pipe holds; but one that writes all the time must not keep the loop. */
#define READS_AT_ONCE 32u

struct line {
	char text[LINE_BYTES];
	size_t bytes;
};

struct worker_output {
	struct loop *loop;
	struct loop_fd pipe;
	bool is_watched;	      /* it has not ended */
	struct line line;	      /* begun, and not ended */
	unsigned held_back;	      /* since one was passed on */
	struct line last[LAST_LINES]; /* of those: a ring */
};

/* Of all workers together: one that dies and comes again has no more. */
static struct log_limit limit;

/* Who asks for so many lines is to have them: a worker writes one for each request then. */
static bool is_limited(void)
{
	for (unsigned t = 0; t < LOG_TOPIC_COUNT; t++) {
		if (log_enabled((enum log_topic)t, LOG_DEBUG))
			return false;
	}
	return true;
}

/*
 * Nobody is to wait because of a worker: where standard error has no room, its lines are held back. At debug the keeper waits,
 * as it does for its own lines.
 */
static bool has_room(void)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && p.revents & POLLOUT;
}

/* One write() a line, as in host/base/log.c. */
static void write_line(const struct line *l)
{
	char out[4 * LINE_BYTES + 2];
	size_t used = 0;

	for (size_t i = 0; i < l->bytes; i++) {
		const unsigned char c = (unsigned char)l->text[i];

		if ((c >= 0x20 && c < 0x7f) || c == '\t')
			out[used++] = (char)c;
		else
			used += (size_t)snprintf(out + used, 5, "\\x%02x", c);
	}
	out[used++] = '\n';
	/* Nobody to tell when standard error is gone. */
	if (write(STDERR_FILENO, out, used) < 0)
		return;
}

static void say_held_back(unsigned count, const char *what)
{
	if (count && has_room())
		log_line(LOG_TOPIC_VHOST, LOG_WARN,
			 "%u lines of a worker were held back%s; MULLION_LOG=vhost:debug shows all", count, what);
}

static void end_line(struct worker_output *o)
{
	/* The limit first: a flood is not to cost a system call a line. */
	if (is_limited() && (!log_limit_passes(&limit, BURST, NS_PER_LINE) || !has_room())) {
		struct line *l = &o->last[o->held_back++ % LAST_LINES];

		memcpy(l->text, o->line.text, o->line.bytes);
		l->bytes = o->line.bytes;
	} else {
		say_held_back(o->held_back, "");
		o->held_back = 0;
		write_line(&o->line);
	}
	o->line.bytes = 0;
}

static void take(struct worker_output *o, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\n' || o->line.bytes == LINE_BYTES)
			end_line(o);
		if (bytes[i] != '\n')
			o->line.text[o->line.bytes++] = bytes[i];
	}
}

void worker_output_read(struct worker_output *o)
{
	char bytes[4096];
	ssize_t n = o->is_watched;

	for (unsigned i = 0; i < READS_AT_ONCE && n > 0; i++) {
		n = read(o->pipe.fd, bytes, sizeof(bytes));
		if (n > 0)
			take(o, bytes, (size_t)n);
	}
	/* It closed its ends: this one is ready for ever. */
	if (n == 0 && o->is_watched) {
		loop_remove_fd(o->loop, &o->pipe);
		o->is_watched = false;
	}
}

static void is_ready(struct loop_fd *f, uint32_t events)
{
	(void)events;
	worker_output_read(f->owner);
}

int worker_output_fd(const struct worker_output *o)
{
	return o->is_watched ? o->pipe.fd : -1;
}

int worker_output_create(struct loop *loop, struct worker_output **out, int *worker_end)
{
	struct worker_output *o = calloc(1, sizeof(*o));
	int ends[2], err;

	if (!o || pipe2(ends, O_CLOEXEC) < 0) {
		err = o ? -errno : -ENOMEM;
		free(o);
		return err;
	}
	o->loop = loop;
	o->pipe = (struct loop_fd){.fd = ends[0], .ready = is_ready, .owner = o};
	/* Of our end alone: a driver waits until its words are taken. */
	err = fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : loop_add_fd(loop, &o->pipe, EPOLLIN);
	if (err) {
		close(ends[0]);
		close(ends[1]);
		free(o);
		return err;
	}
	o->is_watched = true;
	*worker_end = ends[1];
	*out = o;
	return 0;
}

void worker_output_destroy(struct worker_output *o)
{
	if (!o)
		return;
	worker_output_read(o);
	if (o->line.bytes)
		end_line(o);
	say_held_back(o->held_back, ", and these were the last");
	for (unsigned i = o->held_back > LAST_LINES ? o->held_back - LAST_LINES : 0; i < o->held_back; i++) {
		if (has_room())
			write_line(&o->last[i % LAST_LINES]);
	}
	if (o->is_watched)
		loop_remove_fd(o->loop, &o->pipe);
	close(o->pipe.fd);
	free(o);
}

void worker_output_redirect(int worker_end)
{
	dup2(worker_end, STDOUT_FILENO);
	dup2(worker_end, STDERR_FILENO);
	/* As on a terminal: what it says last must not stay behind. */
	setvbuf(stdout, NULL, _IOLBF, 0);
}
