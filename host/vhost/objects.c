// SPDX-License-Identifier: MIT
#include "host/vhost/objects.h"

#include <errno.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/vhost/messages.h"

static void drop_fd(struct vhost_objects *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* Wait until there is no question without an answer. */
static int settle(struct vhost_objects *s, uint64_t deadline_ns)
{
	while (s->is_asked) {
		const uint64_t now = loop_now_ns();

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		if (message_socket_turn(s->socket, (int)((deadline_ns - now + 999999) / 1000000)))
			return -EIO;
	}
	return 0;
}

static int ask(struct vhost_objects *s, uint32_t request, const uint8_t *uuid, int fd)
{
	const uint64_t deadline_ns = loop_now_ns() + VHOST_OBJECTS_LIMIT_NS;
	int err;

	if (!s->agreed || !s->socket->open)
		return -EOPNOTSUPP;
	/* The question before may have one that came too late; until it does, nobody waits again. */
	if (s->is_asked && (message_socket_turn(s->socket, 0) || s->is_asked))
		return -EBUSY;
	drop_fd(s);
	err = message_send_fds(s->socket, request, VHOST_USER_NEED_REPLY, uuid, sizeof(struct vhost_user_object), &fd,
			       fd < 0 ? 0 : 1);
	if (err)
		return err;
	s->request = request;
	s->is_asked = true;
	err = settle(s, deadline_ns);
	if (err == -ETIMEDOUT)
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "no answer about a shared object within %u ms",
			 (unsigned)(VHOST_OBJECTS_LIMIT_NS / 1000000));
	if (err || !s->result)
		return err;
	/* Frontends answer with whatever is not 0; ours with an errno. */
	return s->result < 4096 ? -(int)s->result : -EIO;
}

static bool objects_is_open(void *owner)
{
	const struct vhost_objects *s = owner;

	return s->agreed && s->socket->open;
}

/* One that is announced and not answered in time is found later; it is to be taken back all the same. */
static int objects_add(void *owner, const struct virtio_object *o)
{
	int err = ask(owner, VHOST_USER_BACKEND_SHARED_OBJECT_ADD, o->uuid, o->fd);

	return err == -ETIMEDOUT ? 0 : err;
}

static int objects_look_up(void *owner, const uint8_t uuid[VIRTIO_UUID_BYTES])
{
	struct vhost_objects *s = owner;
	int err = ask(s, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, uuid, -1);
	int fd = s->fd;

	if (err)
		return err;
	s->fd = -1;
	return fd < 0 ? -ENOENT : fd;
}

/* No answer is wanted: one that can't be told that it is gone has other troubles, or is. */
static void objects_remove(void *owner, const struct virtio_object *o)
{
	struct vhost_objects *s = owner;

	if (objects_is_open(s))
		(void)message_send(s->socket, VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE, 0, o->uuid,
				   sizeof(struct vhost_user_object));
}

const struct virtio_objects_home_ops vhost_objects_ops = {
	.is_open = objects_is_open,
	.add = objects_add,
	.look_up = objects_look_up,
	.remove = objects_remove,
};

int vhost_objects_answered(struct vhost_objects *s, struct message *m)
{
	if (m->header.request != VHOST_USER_BACKEND_SHARED_OBJECT_ADD &&
	    m->header.request != VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP)
		return 0;
	if (!s->is_asked || m->header.request != s->request || !(m->header.flags & VHOST_USER_REPLY) ||
	    m->header.size != sizeof(m->payload.u64))
		return -EPROTO;
	s->is_asked = false;
	s->result = m->payload.u64;
	if (m->fd_count == 1 && m->header.request == VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP) {
		s->fd = m->fds[0];
		m->fds[0] = -1;
	}
	return 0;
}

void vhost_objects_end(struct vhost_objects *s)
{
	s->is_asked = false;
	s->result = EIO;
	drop_fd(s);
}
