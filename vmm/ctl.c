// SPDX-License-Identifier: MIT
/* The control socket: clients, lines in, answers out. */
#include "vmm/ctl.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/accept.h"
#include "host/base/log.h"
#include "host/base/pool.h"
#include "vmm/ctl_path.h"
#include "vmm/ctl_request.h"
#include "vmm/vm.h"

#define READ_BYTES 4096u
#define READS_AT_ONCE 8u /* without a look at what else the loop has to do */
#define CALLS_MAX 64u

struct ctl_client {
	struct ctl *ctl;
	struct loop_fd socket;
	uint32_t watched; /* events */
	char *line;	  /* CTL_LINE_MAX bytes and a chunk: what was read and not run yet, */
	size_t from, to;  /* in between these */
	bool has_ended;	  /* the client writes no more */
	bool is_leaving;  /* no more lines: gone when all answers are written */
	bool is_dead;	  /* gone at the end of this event */
	char *output;	  /* CTL_OUTPUT_MAX bytes */
	size_t output_bytes;
	bool is_busy; /* a request has no answer yet */
	struct json_object *id;
	struct ctl_call *call; /* which works on it; NULL: none */
	const char *late;
	struct loop_timer limit;
	struct ctl_client *next;
};

struct ctl {
	struct ctl_config config;
	struct loop *loop;
	char path[PATH_MAX];
	struct loop_fd listener; /* fd -1: none */
	dev_t device;		 /* of the socket, so that no other is removed in its place */
	ino_t inode;
	uint64_t started_ns;
	struct accept_backoff backoff;
	struct ctl_client *clients;
	unsigned client_count;
	struct ctl_call *calls;
	unsigned call_count;
	struct pool *pool;
};

const struct ctl_config *ctl_client_config(const struct ctl_client *client)
{
	return &client->ctl->config;
}

uint64_t ctl_client_uptime_ns(const struct ctl_client *client)
{
	return loop_now_ns() - client->ctl->started_ns;
}

struct pool *ctl_pool(struct ctl_client *client)
{
	struct ctl *c = client->ctl;

	if (!c->pool && pool_create("ctl", 1, &c->pool))
		c->pool = NULL;
	return c->pool;
}

/* ---- answers ---- */

static void flush(struct ctl_client *client)
{
	size_t done = 0;

	while (done < client->output_bytes && !client->is_dead) {
		ssize_t n = send(client->socket.fd, client->output + done, client->output_bytes - done,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			done += (size_t)n;
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			break;
		else if (errno != EINTR)
			client->is_dead = true;
	}
	memmove(client->output, client->output + done, client->output_bytes - done);
	client->output_bytes -= done;
}

/* Takes @object. */
static void send_line(struct ctl_client *client, struct json_object *object)
{
	size_t n = 0;
	const char *text = object ? json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &n) : NULL;

	if (!text || client->output_bytes + n + 1 > CTL_OUTPUT_MAX) {
		log_line(LOG_TOPIC_VMM, LOG_WARN, "ctl: a client that doesn't read its answers is dropped");
		client->is_dead = true;
	} else {
		memcpy(client->output + client->output_bytes, text, n);
		client->output[client->output_bytes + n] = '\n';
		client->output_bytes += n + 1;
		flush(client);
	}
	json_object_put(object);
}

void ctl_set_id(struct ctl_client *client, struct json_object *id)
{
	json_object_put(client->id);
	client->id = id;
}

static void answer(struct ctl_client *client, bool ok, struct json_object *fields, const char *error)
{
	struct json_object *o = json_object_new_object();

	if (client->id)
		json_object_object_add(o, "id", client->id);
	client->id = NULL;
	json_object_object_add(o, "ok", json_object_new_boolean(ok));
	if (error)
		json_object_object_add(o, "error", json_object_new_string(error));
	if (fields) {
		struct json_object_iterator i = json_object_iter_begin(fields), end = json_object_iter_end(fields);

		for (; !json_object_iter_equal(&i, &end); json_object_iter_next(&i))
			json_object_object_add(o, json_object_iter_peek_name(&i),
					       json_object_get(json_object_iter_peek_value(&i)));
		json_object_put(fields);
	}
	loop_cancel_timer(client->ctl->loop, &client->limit);
	client->is_busy = false;
	send_line(client, o);
}

void ctl_answer(struct ctl_client *client, struct json_object *fields)
{
	answer(client, true, fields, NULL);
}

void ctl_refuse(struct ctl_client *client, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	answer(client, false, NULL, text);
}

/* ---- calls ---- */

static void call_came_back(struct loop_task *t);

bool ctl_defer(struct ctl_client *client, struct ctl_call *call, unsigned limit_s, const char *late)
{
	struct ctl *c = client->ctl;

	if (c->call_count == CALLS_MAX) {
		ctl_refuse(client, "%u requests are under way and don't end: try again later", CALLS_MAX);
		return false;
	}
	call->back.run = call_came_back;
	call->loop = c->loop;
	call->ctl = c;
	call->client = client;
	call->next = c->calls;
	c->calls = call;
	c->call_count++;
	client->call = call;
	client->late = late;
	loop_arm_timer(c->loop, &client->limit, loop_now_ns() + limit_s * 1000000000ull);
	return true;
}

void ctl_call_back(struct ctl_call *call)
{
	loop_post(call->loop, &call->back);
}

static void remove_call(struct ctl_call *call)
{
	struct ctl *c = call->ctl;
	struct ctl_call **p = &c->calls;

	while (*p != call)
		p = &(*p)->next;
	*p = call->next;
	c->call_count--;
}

/* Nobody waits for it any more. */
static void abandon_call(struct ctl_client *client)
{
	if (client->call)
		client->call->client = NULL;
	client->call = NULL;
}

/* ---- clients ---- */

static void remove_client(struct ctl_client *client)
{
	struct ctl *c = client->ctl;
	struct ctl_client **p = &c->clients;

	while (*p != client)
		p = &(*p)->next;
	*p = client->next;
	c->client_count--;
}

/* It is in no list any more. */
static void free_client(struct ctl_client *client)
{
	struct ctl *c = client->ctl;

	abandon_call(client);
	loop_cancel_timer(c->loop, &client->limit);
	loop_remove_fd(c->loop, &client->socket);
	close(client->socket.fd);
	json_object_put(client->id);
	free(client->line);
	free(client->output);
	free(client);
}

static void run_lines(struct ctl_client *client)
{
	while (!client->is_busy && !client->is_leaving && !client->is_dead) {
		const char *line = client->line + client->from;
		size_t left = client->to - client->from;
		const char *end = memchr(line, '\n', left);
		size_t n = end ? (size_t)(end - line) : left;

		if (n > CTL_LINE_MAX) {
			client->is_leaving = true;
			ctl_refuse(client, "a line of more than %u bytes: hanging up; write shorter ones",
				   CTL_LINE_MAX);
			break;
		}
		/* The last line may lack its end. */
		if (!end && (!client->has_ended || !left))
			break;
		client->from += n + (end != NULL);
		if (strspn(line, " \t\r") < n) {
			client->is_busy = true;
			ctl_run_line(client, line, n);
		}
	}
	memmove(client->line, client->line + client->from, client->to - client->from);
	client->to -= client->from;
	client->from = 0;
}

/* The end of every event that concerns @client, which may be gone afterwards. */
static void advance(struct ctl_client *client)
{
	uint32_t events = 0;

	run_lines(client);
	if (client->has_ended && !client->is_busy && !client->to)
		client->is_leaving = true;
	if (client->is_dead || (client->is_leaving && !client->is_busy && !client->output_bytes)) {
		remove_client(client);
		free_client(client);
		return;
	}
	/* Nothing is read while a request is under way: who writes faster than we answer waits. */
	if (!client->has_ended && !client->is_leaving && !client->is_busy)
		events |= EPOLLIN;
	if (client->output_bytes)
		events |= EPOLLOUT;
	if (events != client->watched) {
		client->watched = events;
		(void)loop_change_fd(client->ctl->loop, &client->socket, events);
	}
}

static void read_lines(struct ctl_client *client)
{
	for (unsigned i = 0; i < READS_AT_ONCE && client->to <= CTL_LINE_MAX; i++) {
		ssize_t n = recv(client->socket.fd, client->line + client->to, READ_BYTES, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
			return;
		if (n < 0)
			client->is_dead = true;
		if (n <= 0) {
			client->has_ended = true;
			return;
		}
		client->to += (size_t)n;
	}
}

static void client_ready(struct loop_fd *f, uint32_t events)
{
	struct ctl_client *client = f->owner;

	/* Both directions are closed: nobody is there to read an answer. */
	if (events & (EPOLLHUP | EPOLLERR) && !(events & EPOLLIN))
		client->is_dead = true;
	if (events & EPOLLOUT)
		flush(client);
	if (events & EPOLLIN)
		read_lines(client);
	advance(client);
}

static void client_waited(struct loop_timer *t)
{
	struct ctl_client *client = t->owner;

	abandon_call(client);
	ctl_refuse(client, "%s", client->late);
	advance(client);
}

static void call_came_back(struct loop_task *t)
{
	struct ctl_call *call = (struct ctl_call *)t; /* its first member */
	struct ctl_client *client = call->client;

	if (!call->finish(call, client))
		return;
	remove_call(call);
	free(call);
	if (client) {
		client->call = NULL;
		advance(client);
	}
}

void ctl_serve(struct ctl *c, int fd)
{
	struct ctl_client *client = calloc(1, sizeof(*client));
	struct json_object *greeting = json_object_new_object();

	if (client) {
		client->line = malloc(CTL_LINE_MAX + READ_BYTES);
		client->output = malloc(CTL_OUTPUT_MAX);
	}
	if (!client || !client->line || !client->output || !greeting)
		goto fail;
	client->ctl = c;
	client->socket = (struct loop_fd){.fd = fd, .ready = client_ready, .owner = client};
	client->limit = (struct loop_timer){.expired = client_waited, .owner = client};
	client->watched = EPOLLIN;
	if (loop_add_fd(c->loop, &client->socket, client->watched))
		goto fail;
	client->next = c->clients;
	c->clients = client;
	json_object_object_add(greeting, "mullion", json_object_new_string(MULLION_VERSION));
	json_object_object_add(greeting, "protocol", json_object_new_int(CTL_PROTOCOL));
	send_line(client, greeting);
	if (c->client_count++ >= CTL_CLIENTS_MAX) {
		client->is_leaving = true;
		ctl_refuse(client, "%u clients are connected: hang up one of them", CTL_CLIENTS_MAX);
	}
	advance(client);
	return;
fail:
	json_object_put(greeting);
	if (client) {
		free(client->line);
		free(client->output);
	}
	free(client);
	close(fd);
}

/* ---- the socket ---- */

static void accept_client(struct loop_fd *f, uint32_t events)
{
	struct ctl *c = f->owner;
	int fd = accept_or_back_off(&c->backoff, c->loop, f, SOCK_NONBLOCK, LOG_TOPIC_VMM, "ctl");

	(void)events;
	if (fd >= 0)
		ctl_serve(c, fd);
}

static int usual_path(struct ctl *c)
{
	char folder[PATH_MAX - 2 * CTL_NAME_MAX];
	int err = ctl_folder(folder, sizeof(folder), true);

	if (err) {
		log_line(LOG_TOPIC_VMM, LOG_WARN,
			 "ctl: %s: %s; name the control socket with --ctl PATH, or --ctl none for none", folder,
			 err == -EPERM ? "not a folder of this user alone" : strerror(-err));
		return err;
	}
	if (c->config.name)
		snprintf(c->path, sizeof(c->path), "%s/%s.sock", folder, c->config.name);
	else
		snprintf(c->path, sizeof(c->path), "%s/%u.sock", folder, (unsigned)getpid());
	return 0;
}

static int open_socket(struct ctl *c)
{
	struct stat st;
	int err, fd;

	/* One that is cut here is too long for a socket by far. */
	if (c->config.path)
		snprintf(c->path, sizeof(c->path), "%s", c->config.path);
	err = c->config.path ? 0 : usual_path(c);
	if (err)
		return err;
	fd = ctl_listen(c->path);
	if (fd < 0) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "ctl: can't listen at %.256s: %s; use %s", c->path,
			 fd == -EADDRINUSE     ? "another guest or file has that name"
			 : fd == -ENAMETOOLONG ? "too long for a socket"
					       : strerror(-fd),
			 fd == -EADDRINUSE     ? "another --name or --ctl PATH"
			 : fd == -ENAMETOOLONG ? "a shorter path"
					       : "another --ctl PATH, or none");
		return fd;
	}
	if (!lstat(c->path, &st)) {
		c->device = st.st_dev;
		c->inode = st.st_ino;
	}
	c->listener = (struct loop_fd){.fd = fd, .ready = accept_client, .owner = c};
	return loop_add_fd(c->loop, &c->listener, EPOLLIN);
}

int ctl_create(const struct ctl_config *config, struct ctl **out)
{
	struct ctl *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->config = *config;
	c->loop = vm_loop(config->vm);
	c->listener.fd = -1;
	c->started_ns = loop_now_ns();
	err = open_socket(c);
	if (err) {
		ctl_close(c);
		ctl_destroy(c);
		return err;
	}
	*out = c;
	return 0;
}

void ctl_close(struct ctl *c)
{
	struct ctl_client *client;
	struct stat st;

	if (!c)
		return;
	if (c->listener.fd >= 0) {
		loop_remove_fd(c->loop, &c->listener);
		accept_backoff_end(&c->backoff);
		close(c->listener.fd);
		if (!lstat(c->path, &st) && st.st_dev == c->device && st.st_ino == c->inode)
			unlink(c->path);
	}
	c->listener.fd = -1;
	while ((client = c->clients)) {
		c->clients = client->next;
		free_client(client);
	}
	/* What it still does may go to a device's loop. */
	pool_destroy(c->pool);
	c->pool = NULL;
}

void ctl_destroy(struct ctl *c)
{
	struct ctl_call *call;

	if (!c)
		return;
	while ((call = c->calls)) {
		c->calls = call->next;
		loop_unpost(c->loop, &call->back);
		if (call->cancel)
			call->cancel(call);
		free(call);
	}
	free(c);
}
