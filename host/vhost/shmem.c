// SPDX-License-Identifier: MIT
#include "host/vhost/shmem.h"

#include <errno.h>

#include "host/vhost/messages.h"
#include "host/virtio/device.h"

static int ask(struct vhost_shmem *s, uint32_t kind, const struct vhost_user_shmem_map *map, int fd,
	       struct virtio_shmem_request *r)
{
	int err;

	if (!s->agreed || !s->socket->open)
		return -EOPNOTSUPP;
	if (s->next - s->first == VHOST_SHMEM_MAX_ASKED)
		return -ENOSPC;
	err = message_send_fds(s->socket, kind, VHOST_USER_NEED_REPLY, map, sizeof(*map), &fd, fd < 0 ? 0 : 1);
	if (err)
		return -EIO;
	if (r)
		r->home = s->next;
	s->questions[s->next++ % VHOST_SHMEM_MAX_ASKED] =
		(struct vhost_shmem_question){.request = r, .kind = kind, .map = *map};
	return -EINPROGRESS;
}

static int shmem_map(void *owner, struct virtio_shmem_request *r)
{
	struct vhost_shmem *s = owner;
	const struct vhost_user_shmem_map map = {
		.id = s->device->shmem.id,
		.fd_offset = r->fd_offset,
		.offset = r->offset,
		.length = r->length,
		.flags = r->writable ? VHOST_USER_SHMEM_WRITABLE : 0,
	};

	return r->fd < 0 ? -EPERM : ask(s, VHOST_USER_BACKEND_SHMEM_MAP, &map, r->fd, r);
}

static int shmem_unmap(void *owner, struct virtio_shmem_request *r)
{
	struct vhost_shmem *s = owner;
	const struct vhost_user_shmem_map map = {.id = s->device->shmem.id, .offset = r->offset, .length = r->length};

	return ask(s, VHOST_USER_BACKEND_SHMEM_UNMAP, &map, -1, r);
}

static void shmem_cancel(void *owner, struct virtio_shmem_request *r)
{
	struct vhost_shmem *s = owner;
	struct vhost_shmem_question *q = &s->questions[r->home % VHOST_SHMEM_MAX_ASKED];

	if (r->home - s->first < s->next - s->first && q->request == r)
		q->request = NULL;
}

/* The frontend unmaps all by itself. */
static void shmem_reset(void *owner)
{
	(void)owner;
}

const struct virtio_shmem_ops vhost_shmem_ops = {
	.map = shmem_map,
	.unmap = shmem_unmap,
	.cancel = shmem_cancel,
	.reset = shmem_reset,
};

int vhost_shmem_answered(struct vhost_shmem *s, const struct message *m)
{
	struct vhost_shmem_question q;
	int err;

	if (m->header.request != VHOST_USER_BACKEND_SHMEM_MAP && m->header.request != VHOST_USER_BACKEND_SHMEM_UNMAP)
		return 0;
	if (s->first == s->next)
		return -EPROTO;
	q = s->questions[s->first % VHOST_SHMEM_MAX_ASKED];
	if (m->header.request != q.kind || !(m->header.flags & VHOST_USER_REPLY) ||
	    m->header.size != sizeof(m->payload.u64))
		return -EPROTO;
	s->first++;
	/* Frontends answer with whatever is not 0; ours with an errno. */
	err = !m->payload.u64 ? 0 : m->payload.u64 < 4096 ? -(int)m->payload.u64 : -EIO;
	if (q.request)
		q.request->done(q.request, err);
	else if (!err && q.kind == VHOST_USER_BACKEND_SHMEM_MAP)
		(void)ask(s, VHOST_USER_BACKEND_SHMEM_UNMAP, &q.map, -1, NULL);
	return 0;
}

void vhost_shmem_end(struct vhost_shmem *s)
{
	/* Who is told may ask again, and is refused. */
	while (s->first != s->next) {
		struct virtio_shmem_request *r = s->questions[s->first++ % VHOST_SHMEM_MAX_ASKED].request;

		if (r)
			r->done(r, -EIO);
	}
}
