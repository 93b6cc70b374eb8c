// SPDX-License-Identifier: MIT
/*
 * The keeper and shared memory: it passes on what the worker wants mapped, and the answers. What is mapped is the
 * frontend's and stays when a worker dies; the device's journal says to the next one what that was.
 */
#include <errno.h>
#include <linux/magic.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "host/vhost/keeper_parts.h"

static void answer(struct keeper *k, const struct keeper_map *map, uint64_t result)
{
	/* One that does not read its answers hangs, and is watched. */
	if (map->link == k->link_count && k->worker_backend.open)
		(void)message_send(&k->worker_backend, map->request, VHOST_USER_REPLY, &result, sizeof(result));
}

/*
 * Not every frontend looks; memory that is touched where its file has ended, or where there are no huge pages left for it, is
 * the end of the machine.
 */
static bool stays(int fd, const struct vhost_user_shmem_map *map)
{
	struct statfs fs;
	struct stat st;

	return keeper_is_memory(fd) && fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC && fstat(fd, &st) == 0 &&
	       map->fd_offset <= (uint64_t)st.st_size && map->length <= (uint64_t)st.st_size - map->fd_offset;
}

int keeper_worker_maps(struct keeper *k, struct message *m)
{
	const struct keeper_map map = {.link = k->link_count, .request = m->header.request};
	bool with_fd = map.request == VHOST_USER_BACKEND_SHMEM_MAP;
	int err = 0;

	if (m->header.size != sizeof(m->payload.map) || m->fd_count != (with_fd ? 1 : 0) ||
	    !(m->header.flags & VHOST_USER_NEED_REPLY) || !(k->lease.protocol_features & PROTOCOL_BIT(SHMEM)))
		return -EPROTO;
	if (k->map_count == KEEPER_MAX_MAPS) {
		err = -ENOSPC;
	} else if (!k->backend.open) {
		err = -EOPNOTSUPP;
	} else if (with_fd && !stays(m->fds[0], &m->payload.map)) {
		err = -EPERM;
	} else if (message_send_fds(&k->backend, map.request, VHOST_USER_NEED_REPLY, &m->payload.map,
				  sizeof(m->payload.map), m->fds, m->fd_count)) {
		/* It ends here: half of a message may be there, and those before this one are to be answered before it. */
		keeper_close_backend(k);
		err = -EIO;
	}
	if (err)
		answer(k, &map, (uint64_t)-err);
	else
		k->maps[(k->map_first + k->map_count++) % KEEPER_MAX_MAPS] = map;
	return 0;
}

static struct keeper_map take_first(struct keeper *k)
{
	struct keeper_map map = k->maps[k->map_first];

	k->map_first = (k->map_first + 1) % KEEPER_MAX_MAPS;
	k->map_count--;
	return map;
}

int keeper_frontend_mapped(struct keeper *k, const struct message *m)
{
	struct keeper_map map;

	/* What answers other requests of ours was not asked for. */
	if (m->header.request != VHOST_USER_BACKEND_SHMEM_MAP && m->header.request != VHOST_USER_BACKEND_SHMEM_UNMAP)
		return 0;
	/* What can't be right is nobody's answer: all that wait get theirs when the channel ends. */
	if (!k->map_count || m->header.size != sizeof(m->payload.u64) || !(m->header.flags & VHOST_USER_REPLY) ||
	    k->maps[k->map_first].request != m->header.request)
		return -EPROTO;
	map = take_first(k);
	answer(k, &map, m->payload.u64);
	return 0;
}

void keeper_close_backend(struct keeper *k)
{
	message_socket_close(&k->backend);
	while (k->map_count) {
		struct keeper_map map = take_first(k);

		answer(k, &map, EIO);
	}
	keeper_end_questions(k);
}
