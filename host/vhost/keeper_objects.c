// SPDX-License-Identifier: MIT
/*
 * The keeper and virtio objects: what a worker shares with other devices of the guest is a memfd each, which is kept here. So
 * the frontend is answered at once, whatever the worker is busy with; and an object outlives the worker that made it,
 * with what others write to it meanwhile: the next worker looks for it, and has it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "host/vhost/keeper_parts.h"

static struct keeper_object *find(struct keeper *k, const struct vhost_user_object *name)
{
	for (unsigned i = 0; i < k->object_count; i++) {
		if (!memcmp(&k->objects[i].name, name, sizeof(*name)))
			return &k->objects[i];
	}
	return NULL;
}

static void drop(struct keeper *k, struct keeper_object *o)
{
	close(o->fd);
	*o = k->objects[--k->object_count];
}

/* One that does not read its answers hangs, and is watched. */
static void answer(struct keeper *k, unsigned link, uint32_t request, uint64_t result, int fd)
{
	if (link == k->link_count && k->worker_backend.open)
		(void)message_send_fds(&k->worker_backend, request, VHOST_USER_REPLY, &result, sizeof(result), &fd,
				       fd < 0 ? 0 : 1);
}

static bool is_agreed(const struct keeper *k)
{
	return k->lease.protocol_features & PROTOCOL_BIT(SHARED_OBJECT);
}

/* Returns 0 if there will be an answer, or a negative errno. */
static int ask_frontend(struct keeper *k, uint32_t request, const struct vhost_user_object *name)
{
	/* What it would not answer is not asked. */
	if (!k->backend.open || !(k->lease.protocol_features & PROTOCOL_BIT(REPLY_ACK)))
		return -EOPNOTSUPP;
	if (k->question_count == KEEPER_MAX_QUESTIONS)
		return -EBUSY;
	if (message_send(&k->backend, request, VHOST_USER_NEED_REPLY, name, sizeof(*name))) {
		/* Half of it may be there. */
		keeper_close_backend(k);
		return -EIO;
	}
	k->questions[k->question_count++] =
		(struct keeper_question){.link = k->link_count, .request = request, .name = *name};
	return 0;
}

bool keeper_is_memory(int fd)
{
	const int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && seals & F_SEAL_SHRINK;
}

static int add(struct keeper *k, struct message *m)
{
	struct keeper_object *o = find(k, &m->payload.object);
	int err;

	/* It was made again. */
	if (o && o->is_left) {
		o->is_left = false;
		return 0;
	}
	if (o)
		return -EEXIST;
	if (!keeper_is_memory(m->fds[0]))
		return -EPERM;
	if (k->object_count == KEEPER_MAX_OBJECTS)
		return -ENOSPC;
	/* First: the frontend asks for it before it answers. */
	k->objects[k->object_count++] = (struct keeper_object){.name = m->payload.object, .fd = m->fds[0]};
	m->fds[0] = -1;
	err = ask_frontend(k, m->header.request, &m->payload.object);
	if (!err)
		return -EINPROGRESS;
	drop(k, &k->objects[k->object_count - 1]);
	return err;
}

int keeper_worker_shares(struct keeper *k, struct message *m)
{
	const uint32_t request = m->header.request;
	const bool with_fd = request == VHOST_USER_BACKEND_SHARED_OBJECT_ADD;
	struct keeper_object *o;
	int err, fd = -1;

	if (m->header.size != sizeof(m->payload.object) || m->fd_count != (with_fd ? 1 : 0) || !is_agreed(k) ||
	    !(m->header.flags & VHOST_USER_NEED_REPLY) != (request == VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE))
		return -EPROTO;
	o = find(k, &m->payload.object);
	if (request == VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE) {
		if (o) {
			drop(k, o);
			keeper_tell_frontend(k, request, &m->payload.object, sizeof(m->payload.object));
		}
		return 0;
	}
	if (with_fd) {
		err = add(k, m);
	} else if (o) {
		/* Its own, from a life before. */
		err = 0;
		fd = o->fd;
	} else {
		err = ask_frontend(k, request, &m->payload.object);
		err = err ? err : -EINPROGRESS;
	}
	if (err != -EINPROGRESS)
		answer(k, k->link_count, request, (uint64_t)-err, fd);
	return 0;
}

int keeper_frontend_shared(struct keeper *k, struct message *m)
{
	struct keeper_question q;
	struct keeper_object *o;
	unsigned i = 0;

	/* What answers other requests of ours was not asked for. */
	if (m->header.request != VHOST_USER_BACKEND_SHARED_OBJECT_ADD &&
	    m->header.request != VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP)
		return 0;
	/* To the oldest of its kind. */
	while (i < k->question_count && k->questions[i].request != m->header.request)
		i++;
	if (i == k->question_count || m->header.size != sizeof(m->payload.u64) || !(m->header.flags & VHOST_USER_REPLY))
		return -EPROTO;
	q = k->questions[i];
	memmove(&k->questions[i], &k->questions[i + 1], (--k->question_count - i) * sizeof(q));
	o = q.request == VHOST_USER_BACKEND_SHARED_OBJECT_ADD && m->payload.u64 ? find(k, &q.name) : NULL;
	if (o)
		drop(k, o);
	answer(k, q.link, q.request, m->payload.u64,
	       q.request == VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP && m->fd_count == 1 ? m->fds[0] : -1);
	return 0;
}

int keeper_get_object(struct keeper *k, struct message *m)
{
	const struct keeper_object *o = find(k, &m->payload.object);

	if (!is_agreed(k))
		return -EPROTO;
	return message_send_fds(&k->frontend, m->header.request, VHOST_USER_REPLY, &m->payload.object,
				sizeof(m->payload.object), o ? &o->fd : NULL, o ? 1 : 0);
}

void keeper_leave_objects(struct keeper *k)
{
	for (unsigned i = 0; i < k->object_count; i++)
		k->objects[i].is_left = true;
}

void keeper_settle_objects(struct keeper *k)
{
	if (k->repeated_count > 0 || !lease_any_ring_runs(&k->lease))
		return;
	k->unbegun = false;
	keeper_drop_left_objects(k);
}

void keeper_drop_left_objects(struct keeper *k)
{
	for (unsigned i = k->object_count; i-- > 0;) {
		struct vhost_user_object name = k->objects[i].name;

		if (!k->objects[i].is_left)
			continue;
		drop(k, &k->objects[i]);
		keeper_tell_frontend(k, VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE, &name, sizeof(name));
	}
}

void keeper_forget_objects(struct keeper *k)
{
	while (k->object_count)
		drop(k, &k->objects[0]);
}

void keeper_end_questions(struct keeper *k)
{
	while (k->question_count) {
		struct keeper_question q = k->questions[--k->question_count];

		answer(k, q.link, q.request, EIO, -1);
	}
}
