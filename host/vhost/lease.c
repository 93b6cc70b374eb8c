// SPDX-License-Identifier: MIT
#include "host/vhost/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "host/vhost/rings.h"
#include "protocol/virtio.h"

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* @fd -1: there is none any more. */
static int replace_fd(int *at, int fd)
{
	int copy = -1;

	if (fd >= 0) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (copy < 0)
			return -errno;
	}
	close_fd(at);
	*at = copy;
	return 0;
}

void lease_init(struct lease *l)
{
	memset(l, 0, sizeof(*l));
	l->display = l->inflight_fd = -1;
	for (unsigned i = 0; i < LEASE_MAX_RINGS; i++)
		l->rings[i] = (struct lease_ring){.kick = -1, .call = -1, .error = -1};
}

static void forget_regions(struct lease *l)
{
	for (unsigned i = 0; i < l->region_count; i++)
		close_fd(&l->regions[i].fd);
	l->region_count = 0;
}

void lease_end(struct lease *l)
{
	forget_regions(l);
	for (unsigned i = 0; i < LEASE_MAX_RINGS; i++) {
		close_fd(&l->rings[i].kick);
		close_fd(&l->rings[i].call);
		close_fd(&l->rings[i].error);
	}
	close_fd(&l->display);
	close_fd(&l->inflight_fd);
	lease_init(l);
}

/* ---- what is said ---- */

static int note_features(struct lease *l, const struct message *m)
{
	l->features = m->payload.u64;
	l->has_features = true;
	return 0;
}

static int note_protocol(struct lease *l, const struct message *m)
{
	l->protocol_features = m->payload.u64;
	return 0;
}

/* The device is as new; interrupts keep their descriptors (host/vhost/rings.h). */
static int note_reset(struct lease *l, const struct message *m)
{
	(void)m;
	for (unsigned i = 0; i < LEASE_MAX_RINGS; i++) {
		struct lease_ring *r = &l->rings[i];

		close_fd(&r->kick);
		r->has_addr = r->has_base = r->has_kick = r->enabled = r->started = false;
		r->base = 0;
	}
	l->status = 0;
	l->was_enabled = false;
	return 0;
}

/* As the device server has it (host/vhost/rings.c). */
static bool is_startable(const struct lease *l, const struct lease_ring *r)
{
	bool in_band = l->protocol_features & VIRTIO_BIT(VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS);

	return l->has_features && r->has_num && r->has_addr && (r->has_kick || in_band) &&
	       (r->enabled || !(l->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES))) &&
	       (!l->has_status || vhost_status_is_ready(l->status));
}

bool lease_any_ring_runs(const struct lease *l)
{
	for (unsigned i = 0; i < LEASE_MAX_RINGS; i++) {
		if (lease_ring_runs(l, i))
			return true;
	}
	return false;
}

static int note_status(struct lease *l, const struct message *m)
{
	if (m->payload.u64 > UINT8_MAX)
		return -EINVAL;
	l->has_status = true;
	/* 0 with all rings stopped before is a machine that pauses. */
	if (!m->payload.u64 && lease_any_ring_runs(l))
		return note_reset(l, m);
	l->status = (uint8_t)m->payload.u64;
	return 0;
}

static int add_region(struct lease *l, const struct vhost_user_region *region, int fd)
{
	struct lease_region *r = &l->regions[l->region_count];
	int err;

	if (l->region_count == LEASE_MAX_REGIONS)
		return -ENOSPC;
	*r = (struct lease_region){.region = *region, .fd = -1};
	err = fd < 0 ? -EINVAL : replace_fd(&r->fd, fd);
	if (!err)
		l->region_count++;
	return err;
}

static int note_table(struct lease *l, const struct message *m)
{
	const struct vhost_user_mem_table *t = &m->payload.table;
	int err = 0;

	if (t->count > VHOST_USER_MAX_REGIONS || m->fd_count != t->count ||
	    m->header.size < offsetof(struct vhost_user_mem_table, regions) + t->count * sizeof(t->regions[0]))
		return -EINVAL;
	forget_regions(l);
	for (uint32_t i = 0; i < t->count && !err; i++)
		err = add_region(l, &t->regions[i], m->fds[i]);
	return err;
}

static int note_add_region(struct lease *l, const struct message *m)
{
	return m->fd_count == 1 ? add_region(l, &m->payload.region.region, m->fds[0]) : -EINVAL;
}

static int note_remove_region(struct lease *l, const struct message *m)
{
	const struct vhost_user_region *gone = &m->payload.region.region;

	for (unsigned i = 0; i < l->region_count; i++) {
		const struct vhost_user_region *r = &l->regions[i].region;

		if (r->gpa != gone->gpa || r->size != gone->size || r->user != gone->user)
			continue;
		close_fd(&l->regions[i].fd);
		l->regions[i] = l->regions[--l->region_count];
		return 0;
	}
	return -ENOENT;
}

static struct lease_ring *find(struct lease *l, uint32_t index)
{
	return index < LEASE_MAX_RINGS ? &l->rings[index] : NULL;
}

static int note_num(struct lease *l, const struct message *m)
{
	struct lease_ring *r = find(l, m->payload.state.index);

	if (!r)
		return -EINVAL;
	r->num = m->payload.state.num;
	r->has_num = true;
	return 0;
}

static int note_addr(struct lease *l, const struct message *m)
{
	struct lease_ring *r = find(l, m->payload.addr.index);

	if (!r)
		return -EINVAL;
	r->addr = m->payload.addr;
	r->has_addr = true;
	return 0;
}

static int note_base(struct lease *l, const struct message *m)
{
	struct lease_ring *r = find(l, m->payload.state.index);

	if (!r)
		return -EINVAL;
	/* A driver that starts over, or another one: see vhost_rings_set_base(), which drops all rings in the first case too. */
	if (r->started)
		note_reset(l, m);
	else if (r->base && m->payload.state.num != r->base && !lease_any_ring_runs(l))
		l->was_enabled = false;
	r->base = m->payload.state.num;
	r->has_base = true;
	return 0;
}

static int note_enable(struct lease *l, const struct message *m)
{
	struct lease_ring *r = find(l, m->payload.state.index);

	if (!r)
		return -EINVAL;
	r->enabled = m->payload.state.num;
	l->was_enabled |= r->enabled;
	return 0;
}

/* The ring that a descriptor is for, and the descriptor or -1. */
static struct lease_ring *find_for_fd(struct lease *l, const struct message *m, int *fd)
{
	bool without = m->payload.u64 & VHOST_USER_VRING_NO_FD;

	if (m->fd_count != (without ? 0 : 1))
		return NULL;
	*fd = without ? -1 : m->fds[0];
	return find(l, (uint32_t)(m->payload.u64 & VHOST_USER_VRING_INDEX_MASK));
}

static int note_kick(struct lease *l, const struct message *m)
{
	int fd, err;
	struct lease_ring *r = find_for_fd(l, m, &fd);

	if (!r)
		return -EINVAL;
	err = replace_fd(&r->kick, fd);
	r->has_kick = !err;
	return err;
}

static int note_call(struct lease *l, const struct message *m)
{
	int fd;
	struct lease_ring *r = find_for_fd(l, m, &fd);

	return r ? replace_fd(&r->call, fd) : -EINVAL;
}

static int note_error(struct lease *l, const struct message *m)
{
	int fd;
	struct lease_ring *r = find_for_fd(l, m, &fd);

	return r ? replace_fd(&r->error, fd) : -EINVAL;
}

static int note_display(struct lease *l, const struct message *m)
{
	return m->fd_count == 1 ? replace_fd(&l->display, m->fds[0]) : -EINVAL;
}

static int note_inflight(struct lease *l, const struct message *m)
{
	int err = m->fd_count == 1 ? replace_fd(&l->inflight_fd, m->fds[0]) : -EINVAL;

	if (!err)
		l->inflight = m->payload.inflight;
	return err;
}

static const struct {
	uint32_t request;
	int (*note)(struct lease *l, const struct message *m);
} rows[] = {
	{VHOST_USER_SET_FEATURES, note_features},     {VHOST_USER_SET_PROTOCOL_FEATURES, note_protocol},
	{VHOST_USER_RESET_OWNER, note_reset},	      {VHOST_USER_RESET_DEVICE, note_reset},
	{VHOST_USER_SET_MEM_TABLE, note_table},	      {VHOST_USER_ADD_MEM_REG, note_add_region},
	{VHOST_USER_REM_MEM_REG, note_remove_region}, {VHOST_USER_SET_VRING_NUM, note_num},
	{VHOST_USER_SET_VRING_ADDR, note_addr},	      {VHOST_USER_SET_VRING_BASE, note_base},
	{VHOST_USER_SET_VRING_KICK, note_kick},	      {VHOST_USER_SET_VRING_CALL, note_call},
	{VHOST_USER_SET_VRING_ERR, note_error},	      {VHOST_USER_SET_VRING_ENABLE, note_enable},
	{VHOST_USER_SET_STATUS, note_status},	      {VHOST_USER_GPU_SET_SOCKET, note_display},
	{VHOST_USER_SET_INFLIGHT_FD, note_inflight},
};

/* What starts a ring is that nothing is missing any more, whichever message came last. */
static void note_starts(struct lease *l)
{
	for (unsigned i = 0; i < LEASE_MAX_RINGS; i++)
		l->rings[i].started |= is_startable(l, &l->rings[i]);
	/* Also where nobody said that it is enabled since another driver began: it was before, or needs not be. */
	l->was_enabled |= lease_any_ring_runs(l);
}

int lease_note(struct lease *l, const struct message *m)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].request == m->header.request) {
			int err = rows[i].note(l, m);

			if (!err)
				note_starts(l);
			return err;
		}
	}
	return 0;
}

void lease_note_stop(struct lease *l, uint32_t index, uint32_t base)
{
	struct lease_ring *r = find(l, index);

	if (!r)
		return;
	close_fd(&r->kick);
	r->has_addr = r->has_kick = r->started = false;
	r->base = base;
	r->has_base = true;
}

void lease_note_position(struct lease *l, uint32_t index, uint32_t base)
{
	struct lease_ring *r = find(l, index);

	if (!r)
		return;
	r->base = base;
	r->has_base = true;
}

/* ---- what follows from it ---- */

bool lease_ring_runs(const struct lease *l, unsigned index)
{
	return l->rings[index].started;
}

bool lease_has_state(const struct lease *l)
{
	return l->was_enabled || lease_any_ring_runs(l);
}

/* ---- saying it again ---- */

static int repeat_ring_fd(struct message_socket *to, uint32_t request, uint32_t flags, unsigned index, int fd)
{
	uint64_t value = index | (fd < 0 ? VHOST_USER_VRING_NO_FD : 0);

	return message_send_fds(to, request, flags, &value, sizeof(value), &fd, fd < 0 ? 0 : 1);
}

static int repeat_state(struct message_socket *to, uint32_t request, uint32_t flags, unsigned index, uint32_t num)
{
	const struct vhost_user_vring_state state = {.index = index, .num = num};

	return message_send(to, request, flags, &state, sizeof(state));
}

static uint32_t ask(unsigned *replies)
{
	++*replies;
	return VHOST_USER_NEED_REPLY;
}

/* Interrupts and errors first, and what starts the ring last. */
static int repeat_ring(const struct lease *l, unsigned index, struct message_socket *to, unsigned *replies)
{
	const struct lease_ring *r = &l->rings[index];
	int err = 0;

	if (r->error >= 0)
		err = repeat_ring_fd(to, VHOST_USER_SET_VRING_ERR, 0, index, r->error);
	if (!err && r->call >= 0)
		err = repeat_ring_fd(to, VHOST_USER_SET_VRING_CALL, 0, index, r->call);
	if (!err && r->has_num)
		err = repeat_state(to, VHOST_USER_SET_VRING_NUM, 0, index, r->num);
	if (!err && r->has_base)
		err = repeat_state(to, VHOST_USER_SET_VRING_BASE, 0, index, r->base);
	if (!err && r->has_addr)
		err = message_send(to, VHOST_USER_SET_VRING_ADDR, ask(replies), &r->addr, sizeof(r->addr));
	if (!err && r->has_kick)
		err = repeat_ring_fd(to, VHOST_USER_SET_VRING_KICK, ask(replies), index, r->kick);
	/* One that was disabled while it ran is started all the same: what is in flight on it must come to an end. */
	if (!err && (r->enabled || r->started))
		err = repeat_state(to, VHOST_USER_SET_VRING_ENABLE, ask(replies), index, 1);
	if (!err && !r->enabled && r->started)
		err = repeat_state(to, VHOST_USER_SET_VRING_ENABLE, ask(replies), index, 0);
	return err;
}

int lease_repeat(const struct lease *l, struct message_socket *to, uint64_t protocol_features, unsigned *replies)
{
	int err = message_send(to, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &protocol_features, sizeof(protocol_features));

	*replies = 0;
	if (!err && l->has_features)
		err = message_send(to, VHOST_USER_SET_FEATURES, 0, &l->features, sizeof(l->features));
	if (!err && l->display >= 0)
		err = message_send_fds(to, VHOST_USER_GPU_SET_SOCKET, 0, NULL, 0, &l->display, 1);
	for (unsigned i = 0; i < l->region_count && !err; i++) {
		const struct vhost_user_mem_reg region = {.region = l->regions[i].region};

		err = message_send_fds(to, VHOST_USER_ADD_MEM_REG, 0, &region, sizeof(region), &l->regions[i].fd, 1);
	}
	if (!err && l->inflight_fd >= 0)
		err = message_send_fds(to, VHOST_USER_SET_INFLIGHT_FD, 0, &l->inflight, sizeof(l->inflight), &l->inflight_fd, 1);
	if (!err && l->has_status) {
		const uint64_t status = l->status;

		err = message_send(to, VHOST_USER_SET_STATUS, 0, &status, sizeof(status));
	}
	for (unsigned i = 0; i < LEASE_MAX_RINGS && !err; i++)
		err = repeat_ring(l, i, to, replies);
	return err;
}
