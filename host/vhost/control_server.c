// SPDX-License-Identifier: MIT
#include "host/vhost/control_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/virtio/counters.h"
#include "host/virtio/device.h"

/* At a time; each has a descriptor. */
#define MAX_SHOTS 16u

struct control_shot {
	struct display_screenshot shot;
	struct control_server *server; /* NULL: not in use */
	uint32_t sequence;
};

struct control_server {
	struct control_server_config config;
	struct loop *loop;    /* of the device, which may be gone */
	struct loop_fd watch; /* ready NULL: the asker is gone */
	struct control_shot shots[MAX_SHOTS];
	struct counters counters; /* on their way to a file */
};

static void end(struct control_server *s)
{
	if (!s->watch.ready)
		return;
	loop_remove_fd(s->loop, &s->watch);
	s->watch.ready = NULL;
}

static void answer(struct control_server *s, const struct control_message *m)
{
	int err = s->watch.ready ? control_send(s->config.socket, m, -1) : 0;

	if (err)
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "control: an answer is lost: %s", strerror(-err));
}

static void do_status(struct control_server *s, struct control_message *m, int *fd)
{
	(void)fd;
	m->err = s->config.displays->get_status(s->config.device, &m->status);
	answer(s, m);
}

static void do_mode(struct control_server *s, struct control_message *m, int *fd)
{
	(void)fd;
	m->err = s->config.displays->set_mode(s->config.device, m->display, m->width, m->height);
	if (!m->err && m->display < DISPLAY_CONTROL_MAX)
		s->config.modes[m->display] = (struct control_mode){1, m->width, m->height};
	answer(s, m);
}

static void shot_done(struct display_screenshot *shot)
{
	struct control_shot *c = shot->owner;
	struct control_message m = {
		.kind = CONTROL_SCREENSHOT,
		.sequence = c->sequence,
		.err = shot->err,
		.display = shot->display,
		.width = shot->width,
		.height = shot->height,
	};

	/* First: whoever has the answer looks at the file. */
	close(shot->fd);
	answer(c->server, &m);
	c->server = NULL;
}

/* Takes *@fd. */
static void do_screenshot(struct control_server *s, struct control_message *m, int *fd)
{
	struct control_shot *c = s->shots;

	while (c < s->shots + MAX_SHOTS && c->server)
		c++;
	if (*fd < 0 || c == s->shots + MAX_SHOTS) {
		m->err = *fd < 0 ? -EBADF : -EBUSY;
		answer(s, m);
		return;
	}
	*c = (struct control_shot){
		.shot = {.display = m->display, .fd = *fd, .done = shot_done, .owner = c},
		.server = s,
		.sequence = m->sequence,
	};
	*fd = -1;
	s->config.displays->screenshot(s->config.device, &c->shot);
}

/* A device that counts nothing says so. */
static void do_counters(struct control_server *s, struct control_message *m, int *fd)
{
	ssize_t n;

	memset(&s->counters, 0, sizeof(s->counters));
	if (s->config.device->ops->count)
		s->config.device->ops->count(s->config.device, &s->counters);
	n = pwrite(*fd, &s->counters, sizeof(s->counters), 0);
	m->err = n < 0 ? -errno : n < (ssize_t)sizeof(s->counters) ? -ENOSPC : 0;
	answer(s, m);
}

static const struct {
	uint32_t kind;
	void (*act)(struct control_server *s, struct control_message *m, int *fd);
	bool needs_displays;
} rows[] = {
	{CONTROL_STATUS, do_status, true},
	{CONTROL_MODE, do_mode, true},
	{CONTROL_SCREENSHOT, do_screenshot, true},
	{CONTROL_COUNTERS, do_counters, false},
};

static void ready(struct loop_fd *f, uint32_t events)
{
	struct control_server *s = f->owner;
	struct control_message m;
	int fd, err = control_receive(f->fd, &m, &fd);

	(void)events;
	if (err == -EAGAIN || err == -EBADMSG)
		return;
	if (err) {
		end(s);
		return;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].kind != m.kind)
			continue;
		if (rows[i].needs_displays && !s->config.displays) {
			m.err = -EOPNOTSUPP;
			answer(s, &m);
		} else {
			rows[i].act(s, &m, &fd);
		}
	}
	if (fd >= 0)
		close(fd);
}

/* They are checked as those of a user are: the worker before may have been taken over. */
static void restore_modes(struct control_server *s)
{
	for (unsigned i = 0; i < DISPLAY_CONTROL_MAX; i++) {
		const struct control_mode mode = s->config.modes[i];

		if (mode.is_set && s->config.displays->set_mode(s->config.device, i, mode.width, mode.height))
			log_line(LOG_TOPIC_VHOST, LOG_WARN, "control: display %u can't be given the size that it had", i);
	}
}

int control_server_create(const struct control_server_config *config, struct control_server **out)
{
	struct control_server *s = calloc(1, sizeof(*s));
	int err = -ENOMEM;

	if (!s)
		goto fail;
	s->config = *config;
	s->loop = config->device->loop;
	s->watch = (struct loop_fd){.fd = config->socket, .ready = ready, .owner = s};
	err = loop_add_fd(s->loop, &s->watch, EPOLLIN);
	if (err)
		goto fail;
	if (config->displays)
		restore_modes(s);
	*out = s;
	return 0;
fail:
	free(s);
	close(config->socket);
	return err;
}

void control_server_destroy(struct control_server *s)
{
	if (!s)
		return;
	end(s);
	close(s->config.socket);
	free(s);
}
