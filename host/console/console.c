// SPDX-License-Identifier: MIT
#include "host/console/console.h"

#include <assert.h>
#include <errno.h>
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
#include "host/virtio/counters.h"
#include "host/virtio/device.h"
#include "protocol/virtio_console.h"

#define QUEUE_SIZE 64
#define RECEIVE_QUEUE 0
#define TRANSMIT_QUEUE 1
#define PIECE_BYTES 4096u
/* Pieces moved in one direction before the loop's other devices get their turn. */
#define TURN_PIECES 32u

struct console {
	struct virtio_device device;
	struct virtio_console_config config;
	struct console_counters counters;
	struct log_limit limit;
	struct stream in, out;

	struct loop_fd listener; /* fd -1: the backend is a pair of descriptors */
	bool listening;		 /* watched: there is no client */
	struct accept_backoff backoff;
	int client;
	struct sockaddr_un address;

	struct chain *receiving;    /* taken, nothing read into it yet */
	struct chain *sending;	    /* not all of its bytes are written */
	uint8_t piece[PIECE_BYTES]; /* of @sending; piece_at..piece_end is still to be written */
	size_t piece_at, piece_end;
	struct loop_task more;
	bool more_posted;
};

static const struct virtio_device_ops console_ops;

static struct console *console_from_device(const struct virtio_device *d)
{
	assert(d->ops == &console_ops);
	return (struct console *)(uintptr_t)d;
}

static void go_on_later(struct console *c)
{
	if (!c->more_posted)
		loop_post(c->device.loop, &c->more);
	c->more_posted = true;
}

/* ---- the backend ---- */

static void listen_again(struct console *c)
{
	if (c->listener.fd < 0 || c->listening)
		return;
	if (loop_add_fd(c->device.loop, &c->listener, EPOLLIN))
		log_line(LOG_TOPIC_CONSOLE, LOG_ERROR,
			 "%s: can't wait for clients any more: restart the machine's console", c->address.sun_path);
	else
		c->listening = true;
}

static void drop_client(struct console *c)
{
	stream_close(&c->in, &c->out);
	stream_close(&c->out, &c->in);
	if (c->client >= 0)
		close(c->client);
	c->client = -1;
}

/* The other end has gone: for good, or until the next client. */
static void hang_up(struct console *c, struct stream *s, ssize_t why)
{
	if (c->listener.fd >= 0) {
		log_line(LOG_TOPIC_CONSOLE, LOG_DEBUG, "%s: the client has gone", c->address.sun_path);
		drop_client(c);
		listen_again(c);
		/* Output that waited for it: the guest has no reason to kick again. */
		go_on_later(c);
		return;
	}
	if (why)
		log_line(LOG_TOPIC_CONSOLE, LOG_WARN, "%s: %s: the console goes on without it",
			 s == &c->in ? "input" : "output", strerror((int)-why));
	stream_close(s, s == &c->in ? &c->out : &c->in);
}

/* ---- input ---- */

/* The next buffer with room. NULL: the guest has posted none. */
static struct chain *next_buffer(struct console *c)
{
	while (!c->receiving) {
		struct chain *chain;

		if (virtq_pop(c->device.queues[RECEIVE_QUEUE], &chain) != 1)
			return NULL;
		if (writer_left(chain_writer(chain))) {
			c->receiving = chain;
		} else {
			log_guest(LOG_TOPIC_CONSOLE, &c->limit, "receive buffer without room; fix the driver");
			chain_finish(chain);
		}
	}
	return c->receiving;
}

static void pump_input(struct console *c)
{
	uint8_t bytes[PIECE_BYTES];

	for (unsigned i = 0; stream_is_open(&c->in); i++) {
		struct chain *chain = next_buffer(c);
		size_t room;
		ssize_t n;

		if (!chain) {
			/* The kick for the next buffer watches again. */
			stream_watch(&c->in, false);
			return;
		}
		if (i == TURN_PIECES) {
			if (!c->in.pollable)
				go_on_later(c);
			break;
		}
		room = writer_left(chain_writer(chain));
		n = stream_read(&c->in, bytes, room < sizeof(bytes) ? room : sizeof(bytes));
		if (n == -EAGAIN)
			break;
		if (n <= 0) {
			/* A terminal whose other side was closed reads EIO. */
			hang_up(c, &c->in, n == -EIO ? 0 : n);
			return;
		}
		c->counters.bytes_in += (uint64_t)n;
		c->receiving = NULL;
		if (writer_copy(chain_writer(chain), bytes, (size_t)n))
			c->counters.bytes_dropped += (uint64_t)n;
		chain_finish(chain);
	}
	stream_watch(&c->in, true);
}

/* ---- output ---- */

/* The next bytes to write, copied from the guest once. False: there are none. */
static bool next_piece(struct console *c)
{
	while (c->piece_at == c->piece_end) {
		struct reader *r;
		size_t n;

		if (!c->sending && virtq_pop(c->device.queues[TRANSMIT_QUEUE], &c->sending) != 1) {
			c->sending = NULL;
			return false;
		}
		r = chain_reader(c->sending);
		n = reader_left(r) < sizeof(c->piece) ? reader_left(r) : sizeof(c->piece);
		c->piece_at = 0;
		c->piece_end = n;
		if (n && !reader_copy(r, c->piece, n))
			return true;
		c->piece_end = 0;
		chain_finish(c->sending);
		c->sending = NULL;
	}
	return true;
}

static void pump_output(struct console *c)
{
	for (unsigned i = 0; next_piece(c); i++) {
		size_t left = c->piece_end - c->piece_at;
		ssize_t n;

		if (i == TURN_PIECES) {
			go_on_later(c);
			break;
		}
		if (!stream_is_open(&c->out)) {
			c->counters.bytes_dropped += left;
			c->piece_at = c->piece_end;
			continue;
		}
		n = stream_write(&c->out, c->piece + c->piece_at, left);
		if (n == -EAGAIN) {
			stream_watch(&c->out, true);
			return;
		}
		if (n < 0) {
			hang_up(c, &c->out, n);
			continue;
		}
		c->counters.bytes_out += (uint64_t)n;
		c->piece_at += (size_t)n;
	}
	stream_watch(&c->out, false);
}

static bool is_running(const struct console *c)
{
	return virtq_is_started(c->device.queues[TRANSMIT_QUEUE]);
}

static void in_ready(struct loop_fd *f, uint32_t events)
{
	(void)events;
	pump_input(f->owner);
}

static void out_ready(struct loop_fd *f, uint32_t events)
{
	(void)events;
	pump_output(f->owner);
}

static void run_more(struct loop_task *t)
{
	struct console *c = t->owner;

	c->more_posted = false;
	pump_input(c);
	pump_output(c);
}

/* ---- clients ---- */

static void client_ready(struct loop_fd *f, uint32_t events)
{
	struct console *c = f->owner;
	int fd = accept_or_back_off(&c->backoff, c->device.loop, f, SOCK_NONBLOCK, LOG_TOPIC_CONSOLE,
				    c->address.sun_path);
	int err;

	(void)events;
	if (fd < 0)
		return; /* it gave up meanwhile, or has to wait */
	err = stream_open(&c->in, c->device.loop, fd, false, in_ready, c);
	if (!err)
		err = stream_open(&c->out, c->device.loop, fd, true, out_ready, c);
	c->client = fd;
	if (err) {
		log_line(LOG_TOPIC_CONSOLE, LOG_WARN, "%s: can't serve a client: %s", c->address.sun_path,
			 strerror(-err));
		drop_client(c);
		return;
	}
	c->counters.clients++;
	log_line(LOG_TOPIC_CONSOLE, LOG_DEBUG, "%s: a client is here", c->address.sun_path);
	/* One at a time. */
	loop_remove_fd(c->device.loop, &c->listener);
	c->listening = false;
	if (is_running(c))
		pump_input(c);
}

/* A socket file that a dead program left behind may go; one that somebody listens on may not. */
static bool is_stale(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;
	bool stale;

	if (fd < 0)
		return false;
	stale = !lstat(address->sun_path, &st) && S_ISSOCK(st.st_mode) &&
		connect(fd, (const struct sockaddr *)address, sizeof(*address)) && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int open_listener(struct console *c, const char *path)
{
	int err;

	if (strlen(path) >= sizeof(c->address.sun_path)) {
		log_line(LOG_TOPIC_CONSOLE, LOG_ERROR,
			 "%s: a socket's path has at most %zu bytes: choose a shorter one", path,
			 sizeof(c->address.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	c->address.sun_family = AF_UNIX;
	strcpy(c->address.sun_path, path);
	c->listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->listener.fd < 0)
		goto fail;
	if (is_stale(&c->address))
		unlink(path);
	if (bind(c->listener.fd, (const struct sockaddr *)&c->address, sizeof(c->address)))
		goto fail;
	if (listen(c->listener.fd, 4)) {
		err = errno;
		unlink(path);
		errno = err;
		goto fail;
	}
	return 0;
fail:
	err = -errno;
	log_line(LOG_TOPIC_CONSOLE, LOG_ERROR, "%s: can't listen: %s%s", path, strerror(-err),
		 err == -EADDRINUSE ? ": another program listens there, or it is no socket; choose another path" : "");
	if (c->listener.fd >= 0)
		close(c->listener.fd);
	c->listener.fd = -1;
	return err;
}

static int open_descriptors(struct console *c, const struct console_config *config)
{
	int err = 0;

	if (config->in_fd >= 0)
		err = stream_open(&c->in, c->device.loop, config->in_fd, false, in_ready, c);
	if (!err && config->out_fd >= 0)
		err = stream_open(&c->out, c->device.loop, config->out_fd, true, out_ready, c);
	if (err)
		log_line(LOG_TOPIC_CONSOLE, LOG_ERROR, "can't use descriptors %d and %d: %s", config->in_fd,
			 config->out_fd, strerror(-err));
	return err;
}

/* ---- the device class ---- */

static int console_start(struct virtio_device *d)
{
	(void)d;
	return 0; /* the first kick of the receive queue starts the input */
}

static void console_kick(struct virtio_device *d, unsigned q)
{
	struct console *c = console_from_device(d);

	if (q == RECEIVE_QUEUE)
		pump_input(c);
	else if (!c->out.watched)
		pump_output(c);
}

static void console_reset(struct virtio_device *d)
{
	struct console *c = console_from_device(d);

	if (c->more_posted)
		loop_unpost(d->loop, &c->more);
	c->more_posted = false;
	stream_watch(&c->in, false);
	stream_watch(&c->out, false);
	if (c->receiving)
		chain_finish(c->receiving);
	if (c->sending)
		chain_finish(c->sending);
	c->receiving = NULL;
	c->sending = NULL;
	c->piece_at = 0;
	c->piece_end = 0;
}

/* Section 5.3.4: one character, before there are queues, for as long as there is room for it. */
static int emergency_write(struct console *c, const void *buf)
{
	uint8_t byte;

	memcpy(&byte, buf, 1);
	if (!stream_is_open(&c->out) || stream_write(&c->out, &byte, 1) != 1)
		c->counters.bytes_dropped++;
	else
		c->counters.bytes_out++;
	return 0;
}

static int console_config(struct virtio_device *d, uint32_t off, void *buf, size_t n, bool write)
{
	struct console *c = console_from_device(d);

	if (write)
		return off == offsetof(struct virtio_console_config, emerg_wr) && n ? emergency_write(c, buf) : -EINVAL;
	memcpy(buf, (const uint8_t *)&c->config + off, n);
	return 0;
}

static void console_destroy(struct virtio_device *d)
{
	struct console *c = console_from_device(d);

	drop_client(c);
	if (c->listener.fd >= 0) {
		if (c->listening)
			loop_remove_fd(d->loop, &c->listener);
		accept_backoff_end(&c->backoff);
		close(c->listener.fd);
		unlink(c->address.sun_path);
	}
	virtio_device_finish(d);
	free(c);
}

static const uint16_t console_queues[] = {QUEUE_SIZE, QUEUE_SIZE, 0};

static void console_count(struct virtio_device *d, struct counters *out)
{
	const struct console_counters *c = &console_from_device(d)->counters;

	counters_add(out, NULL, "bytes-in", c->bytes_in);
	counters_add(out, NULL, "bytes-out", c->bytes_out);
	counters_add(out, NULL, "bytes-dropped", c->bytes_dropped);
	counters_add(out, NULL, "clients", c->clients);
}

static const struct virtio_device_ops console_ops = {
	.name = "console",
	.id = VIRTIO_ID_CONSOLE,
	.features = VIRTIO_BIT(VIRTIO_CONSOLE_F_EMERG_WRITE),
	.queue_max = console_queues,
	.config_bytes = sizeof(struct virtio_console_config),
	.start = console_start,
	.kick = console_kick,
	.reset = console_reset,
	.config = console_config,
	.destroy = console_destroy,
	.count = console_count,
};

int console_create(const struct console_config *config, struct loop *loop, const struct guest_mem *mem,
		   struct virtio_device **out)
{
	struct console *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->client = -1;
	c->listener = (struct loop_fd){.fd = -1, .ready = client_ready, .owner = c};
	c->more.run = run_more;
	c->more.owner = c;
	c->config.cols = config->columns;
	c->config.rows = config->rows;
	c->config.max_nr_ports = 1;
	err = virtio_device_init(&c->device, &console_ops, console_ops.features | VIRTIO_BIT(VIRTIO_CONSOLE_F_SIZE),
				 loop, mem);
	if (err) {
		free(c);
		return err;
	}
	err = config->socket_path ? open_listener(c, config->socket_path) : open_descriptors(c, config);
	if (!err && config->socket_path) {
		listen_again(c);
		if (!c->listening)
			err = -EIO;
	}
	if (err) {
		console_destroy(&c->device);
		return err;
	}
	*out = &c->device;
	return 0;
}

void console_resize(struct virtio_device *d, uint16_t columns, uint16_t rows)
{
	struct console *c = console_from_device(d);

	if (c->config.cols == columns && c->config.rows == rows)
		return;
	c->config.cols = columns;
	c->config.rows = rows;
	virtio_device_config_changed(d);
}

const struct console_counters *console_counters(const struct virtio_device *d)
{
	return &console_from_device(d)->counters;
}
