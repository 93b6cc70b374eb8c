// SPDX-License-Identifier: MIT
/*
 * What a frontend may ask: one row a request, with its size, its descriptors and its handler.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "host/vhost/inflight_fd.h"
#include "host/vhost/requests.h"
#include "host/vhost/session.h"
#include "protocol/virtio.h"

#define PROTOCOL_FEATURES \
	(VIRTIO_BIT(VHOST_USER_PROTOCOL_F_MQ) | VIRTIO_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) | \
	 VIRTIO_BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) | VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIG) | \
	 VIRTIO_BIT(VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD) | VIRTIO_BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) | \
	 VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | VIRTIO_BIT(VHOST_USER_PROTOCOL_F_STATUS))

#define ANSWERED 1 /* returned by handlers that sent, or will send, an answer of their own */

#define U64 sizeof(uint64_t)
#define STATE sizeof(struct vhost_user_vring_state)
#define INFLIGHT VHOST_USER_INFLIGHT_BYTES
#define CONFIG_HEAD offsetof(struct vhost_user_config, data)

static int reply(struct vhost_server *s, const struct message *m, const void *payload, size_t bytes)
{
	int err = message_send(&s->frontend, m->header.request, VHOST_USER_REPLY, payload, bytes);

	return err ? err : ANSWERED;
}

static int reply_u64(struct vhost_server *s, const struct message *m, uint64_t value)
{
	return reply(s, m, &value, sizeof(value));
}

static int get_features(struct vhost_server *s, struct message *m)
{
	return reply_u64(s, m, s->config.device->offered | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES));
}

static int set_features(struct vhost_server *s, struct message *m)
{
	return vhost_rings_set_features(&s->rings, m->payload.u64);
}

static int set_owner(struct vhost_server *s, struct message *m)
{
	(void)s;
	(void)m;
	return 0;
}

/* RESET_OWNER is older than RESET_DEVICE, and was never clear; both stop everything here. */
static int reset_device(struct vhost_server *s, struct message *m)
{
	(void)m;
	vhost_rings_reset(&s->rings);
	return 0;
}

uint64_t vhost_protocol_features(bool in_band, bool tracked, bool has_shmem, bool has_objects)
{
	return PROTOCOL_FEATURES | (in_band ? VIRTIO_BIT(VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS) : 0) |
	       (tracked ? VIRTIO_BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) : 0) |
	       (has_shmem ? VIRTIO_BIT(VHOST_USER_PROTOCOL_F_SHMEM) : 0) |
	       (has_objects ? VIRTIO_BIT(VHOST_USER_PROTOCOL_F_SHARED_OBJECT) : 0);
}

static uint64_t protocol_features(const struct vhost_server *s)
{
	return vhost_protocol_features(s->config.in_band, s->config.inflight, s->config.device->shmem.size_bytes,
				       s->config.objects);
}

static int get_protocol_features(struct vhost_server *s, struct message *m)
{
	return reply_u64(s, m, protocol_features(s));
}

static int set_protocol_features(struct vhost_server *s, struct message *m)
{
	if (m->payload.u64 & ~protocol_features(s))
		return -EINVAL;
	s->protocol_features = m->payload.u64;
	s->shmem.agreed = vhost_server_has(s, VHOST_USER_PROTOCOL_F_SHMEM);
	s->objects.agreed = vhost_server_has(s, VHOST_USER_PROTOCOL_F_SHARED_OBJECT);
	s->rings.in_band = vhost_server_has(s, VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS);
	return 0;
}

static int get_queue_num(struct vhost_server *s, struct message *m)
{
	return reply_u64(s, m, s->config.device->queue_count);
}

/* ---- memory ---- */

static int set_mem_table(struct vhost_server *s, struct message *m)
{
	const struct vhost_user_mem_table *t = &m->payload.table;

	if (t->count > VHOST_USER_MAX_REGIONS || m->fd_count != t->count ||
	    m->header.size < offsetof(struct vhost_user_mem_table, regions) + t->count * sizeof(t->regions[0]))
		return -EINVAL;
	return vhost_memory_replace(s->memory, t->regions, m->fds, t->count);
}

static int get_max_mem_slots(struct vhost_server *s, struct message *m)
{
	return reply_u64(s, m, VHOST_MEMORY_SLOTS);
}

static int add_mem_reg(struct vhost_server *s, struct message *m)
{
	return vhost_memory_add(s->memory, &m->payload.region.region, &m->fds[0]);
}

/* Some frontends send the descriptor here as well; the table closes it. */
static int rem_mem_reg(struct vhost_server *s, struct message *m)
{
	return vhost_memory_remove(s->memory, &m->payload.region.region);
}

/* ---- rings ---- */

static int set_vring_num(struct vhost_server *s, struct message *m)
{
	return vhost_rings_set_num(&s->rings, m->payload.state.index, m->payload.state.num);
}

static int set_vring_addr(struct vhost_server *s, struct message *m)
{
	return vhost_rings_set_addr(&s->rings, &m->payload.addr);
}

static int set_vring_base(struct vhost_server *s, struct message *m)
{
	return vhost_rings_set_base(&s->rings, m->payload.state.index, m->payload.state.num);
}

static int get_vring_base(struct vhost_server *s, struct message *m)
{
	int err = vhost_rings_pause(&s->rings, m->payload.state.index);

	if (err)
		return err;
	s->draining = true;
	s->drained_ring = m->payload.state.index;
	s->quiesce_ns = loop_now_ns() + DRAIN_GRACE_NS;
	s->drain_end_ns = loop_now_ns() + DRAIN_LIMIT_NS;
	message_socket_pause(&s->frontend, true);
	vhost_server_drained(s);
	return ANSWERED;
}

void vhost_server_drained(struct vhost_server *s)
{
	struct vhost_user_vring_state state = {.index = s->drained_ring};
	unsigned left = vhost_rings_in_flight(&s->rings, s->drained_ring);
	uint64_t now = loop_now_ns();

	if (left && s->quiesce_ns && now >= s->quiesce_ns) {
		log_line(LOG_TOPIC_VHOST, LOG_DEBUG, "ring %u stops: %u requests that wait are ended", s->drained_ring,
			 left);
		s->quiesce_ns = 0;
		vhost_rings_quiesce(&s->rings, s->drained_ring);
		left = vhost_rings_in_flight(&s->rings, s->drained_ring);
	}
	if (left && now < s->drain_end_ns) {
		loop_arm_timer(s->loop, &s->drain_timer, now + DRAIN_POLL_NS);
		return;
	}
	if (left)
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "ring %u stops with %u requests that take too long; they get no answer",
			 s->drained_ring, left);
	state.num = vhost_rings_park(&s->rings, s->drained_ring);
	s->draining = false;
	/* A frontend that is gone shows itself on the socket. */
	if (message_send(&s->frontend, VHOST_USER_GET_VRING_BASE, VHOST_USER_REPLY, &state, sizeof(state)))
		log_line(LOG_TOPIC_VHOST, LOG_DEBUG, "the frontend doesn't take the position of ring %u", s->drained_ring);
	message_socket_pause(&s->frontend, false);
}

/* The index of a ring whose descriptor came along, in m->fds[0]; -1 there if the message says that there is none. */
static int ring_fd(struct message *m, uint32_t *index)
{
	bool without = m->payload.u64 & VHOST_USER_VRING_NO_FD;

	if (m->fd_count != (without ? 0 : 1) || m->payload.u64 & ~(VHOST_USER_VRING_INDEX_MASK | VHOST_USER_VRING_NO_FD))
		return -EINVAL;
	*index = (uint32_t)(m->payload.u64 & VHOST_USER_VRING_INDEX_MASK);
	if (without)
		m->fds[0] = -1;
	return 0;
}

static int set_vring_kick(struct vhost_server *s, struct message *m)
{
	uint32_t index;
	int err = ring_fd(m, &index);

	if (err)
		return err;
	/* Without in-band notifications it would mean that we look at the ring all the time. */
	if (m->fds[0] < 0 && !vhost_server_has(s, VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS))
		return -EOPNOTSUPP;
	return vhost_rings_set_kick(&s->rings, index, &m->fds[0]);
}

static int set_vring_call(struct vhost_server *s, struct message *m)
{
	uint32_t index;
	int err = ring_fd(m, &index);

	return err ? err : vhost_rings_set_call(&s->rings, index, &m->fds[0]);
}

static int set_vring_err(struct vhost_server *s, struct message *m)
{
	uint32_t index;
	int err = ring_fd(m, &index);

	return err ? err : vhost_rings_set_error(&s->rings, index, &m->fds[0]);
}

static int set_vring_enable(struct vhost_server *s, struct message *m)
{
	if (m->payload.state.num > 1)
		return -EINVAL;
	return vhost_rings_enable(&s->rings, m->payload.state.index, m->payload.state.num);
}

static int vring_kick(struct vhost_server *s, struct message *m)
{
	if (!vhost_server_has(s, VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS))
		return -EINVAL;
	/* With in-band notifications and no descriptor this is also what starts a ring. */
	return vhost_rings_kick(&s->rings, m->payload.state.index);
}

/* ---- requests in flight ---- */

static int get_inflight_fd(struct vhost_server *s, struct message *m)
{
	struct vhost_user_inflight d = m->payload.inflight;
	int fd = s->config.inflight ? vhost_inflight_make(&d, s->config.device->queue_count) : -EOPNOTSUPP;
	int err;

	if (fd < 0)
		return fd;
	/* As long as the question was. */
	err = message_send_fds(&s->frontend, m->header.request, VHOST_USER_REPLY, &d, m->header.size, &fd, 1);
	close(fd);
	return err ? err : ANSWERED;
}

static int set_inflight_fd(struct vhost_server *s, struct message *m)
{
	struct vhost_inflight *i;
	int err = -EOPNOTSUPP;

	if (s->config.inflight)
		err = vhost_inflight_open(&m->payload.inflight, m->fds[0], s->config.device->queue_count, &i);
	if (err)
		return err;
	err = vhost_rings_set_inflight(&s->rings, i);
	if (err)
		vhost_inflight_close(i);
	return err;
}

/* ---- the rest ---- */

static int set_backend_req_fd(struct vhost_server *s, struct message *m)
{
	int fd = m->fds[0];

	m->fds[0] = -1;
	return vhost_server_open_backend(s, fd);
}

static int get_config(struct vhost_server *s, struct message *m)
{
	struct vhost_user_config *c = &m->payload.config;

	/* "Vhost device config space": on an error the answer has no payload. */
	if (c->size > VHOST_USER_MAX_CONFIG || m->header.size != CONFIG_HEAD + c->size ||
	    c->offset > VHOST_USER_MAX_CONFIG - c->size)
		return reply(s, m, NULL, 0);
	virtio_device_config(s->config.device, c->offset, c->data, c->size, false);
	return reply(s, m, c, CONFIG_HEAD + c->size);
}

static int set_config(struct vhost_server *s, struct message *m)
{
	struct vhost_user_config *c = &m->payload.config;

	if (c->size > VHOST_USER_MAX_CONFIG || m->header.size != CONFIG_HEAD + c->size ||
	    c->offset > VHOST_USER_MAX_CONFIG - c->size)
		return -EINVAL;
	virtio_device_config(s->config.device, c->offset, c->data, c->size, true);
	return 0;
}

static int gpu_set_socket(struct vhost_server *s, struct message *m)
{
	int fd = m->fds[0];

	if (!s->config.display)
		return -EOPNOTSUPP;
	m->fds[0] = -1;
	return s->config.display(s->config.owner, fd);
}

static int set_status(struct vhost_server *s, struct message *m)
{
	if (m->payload.u64 > UINT8_MAX)
		return -EINVAL;
	return vhost_rings_set_status(&s->rings, (uint8_t)m->payload.u64);
}

static int get_status(struct vhost_server *s, struct message *m)
{
	return reply_u64(s, m, vhost_rings_status(&s->rings));
}

/* Asked by the keeper before anything is negotiated; a frontend is told too, whether it can use it or not. */
static int get_shmem_config(struct vhost_server *s, struct message *m)
{
	const struct virtio_shmem_region *r = &s->config.device->shmem;
	struct vhost_user_shmem_config c = {.count = r->size_bytes != 0};

	c.sizes[r->id] = r->size_bytes;
	return reply(s, m, &c, sizeof(c));
}

/* The keeper has all objects, and does not ask. */
static int get_shared_object(struct vhost_server *s, struct message *m)
{
	(void)s;
	(void)m;
	return -EOPNOTSUPP;
}

static const struct request_row {
	uint32_t request;
	const char *name;
	uint16_t min_bytes, max_bytes;
	uint8_t min_fds, max_fds;
	int (*handle)(struct vhost_server *s, struct message *m); /* 0, ANSWERED or a negative errno */
} rows[] = {
	{VHOST_USER_GET_FEATURES, "GET_FEATURES", 0, 0, 0, 0, get_features},
	{VHOST_USER_SET_FEATURES, "SET_FEATURES", U64, U64, 0, 0, set_features},
	{VHOST_USER_SET_OWNER, "SET_OWNER", 0, 0, 0, 0, set_owner},
	{VHOST_USER_RESET_OWNER, "RESET_OWNER", 0, 0, 0, 0, reset_device},
	/* A frontend may send the whole array or only the part in use. */
	{VHOST_USER_SET_MEM_TABLE, "SET_MEM_TABLE", 8, sizeof(struct vhost_user_mem_table), 0, VHOST_USER_MAX_REGIONS,
	 set_mem_table},
	{VHOST_USER_SET_VRING_NUM, "SET_VRING_NUM", STATE, STATE, 0, 0, set_vring_num},
	{VHOST_USER_SET_VRING_ADDR, "SET_VRING_ADDR", sizeof(struct vhost_user_vring_addr),
	 sizeof(struct vhost_user_vring_addr), 0, 0, set_vring_addr},
	{VHOST_USER_SET_VRING_BASE, "SET_VRING_BASE", STATE, STATE, 0, 0, set_vring_base},
	{VHOST_USER_GET_VRING_BASE, "GET_VRING_BASE", STATE, STATE, 0, 0, get_vring_base},
	{VHOST_USER_SET_VRING_KICK, "SET_VRING_KICK", U64, U64, 0, 1, set_vring_kick},
	{VHOST_USER_SET_VRING_CALL, "SET_VRING_CALL", U64, U64, 0, 1, set_vring_call},
	{VHOST_USER_SET_VRING_ERR, "SET_VRING_ERR", U64, U64, 0, 1, set_vring_err},
	{VHOST_USER_GET_PROTOCOL_FEATURES, "GET_PROTOCOL_FEATURES", 0, 0, 0, 0, get_protocol_features},
	{VHOST_USER_SET_PROTOCOL_FEATURES, "SET_PROTOCOL_FEATURES", U64, U64, 0, 0, set_protocol_features},
	{VHOST_USER_GET_QUEUE_NUM, "GET_QUEUE_NUM", 0, 0, 0, 0, get_queue_num},
	{VHOST_USER_SET_VRING_ENABLE, "SET_VRING_ENABLE", STATE, STATE, 0, 0, set_vring_enable},
	{VHOST_USER_SET_BACKEND_REQ_FD, "SET_BACKEND_REQ_FD", 0, 0, 1, 1, set_backend_req_fd},
	{VHOST_USER_GET_CONFIG, "GET_CONFIG", CONFIG_HEAD, sizeof(struct vhost_user_config), 0, 0, get_config},
	{VHOST_USER_SET_CONFIG, "SET_CONFIG", CONFIG_HEAD, sizeof(struct vhost_user_config), 0, 0, set_config},
	{VHOST_USER_GET_INFLIGHT_FD, "GET_INFLIGHT_FD", INFLIGHT, sizeof(struct vhost_user_inflight), 0, 0,
	 get_inflight_fd},
	{VHOST_USER_SET_INFLIGHT_FD, "SET_INFLIGHT_FD", INFLIGHT, sizeof(struct vhost_user_inflight), 1, 1,
	 set_inflight_fd},
	{VHOST_USER_GPU_SET_SOCKET, "GPU_SET_SOCKET", 0, 0, 1, 1, gpu_set_socket},
	{VHOST_USER_RESET_DEVICE, "RESET_DEVICE", 0, 0, 0, 0, reset_device},
	{VHOST_USER_VRING_KICK, "VRING_KICK", STATE, STATE, 0, 0, vring_kick},
	{VHOST_USER_GET_MAX_MEM_SLOTS, "GET_MAX_MEM_SLOTS", 0, 0, 0, 0, get_max_mem_slots},
	{VHOST_USER_ADD_MEM_REG, "ADD_MEM_REG", sizeof(struct vhost_user_mem_reg), sizeof(struct vhost_user_mem_reg), 1,
	 1, add_mem_reg},
	{VHOST_USER_REM_MEM_REG, "REM_MEM_REG", sizeof(struct vhost_user_mem_reg), sizeof(struct vhost_user_mem_reg), 0,
	 1, rem_mem_reg},
	{VHOST_USER_SET_STATUS, "SET_STATUS", U64, U64, 0, 0, set_status},
	{VHOST_USER_GET_STATUS, "GET_STATUS", 0, 0, 0, 0, get_status},
	{VHOST_USER_GET_SHARED_OBJECT, "GET_SHARED_OBJECT", sizeof(struct vhost_user_object),
	 sizeof(struct vhost_user_object), 0, 0, get_shared_object},
	{VHOST_USER_GET_SHMEM_CONFIG, "GET_SHMEM_CONFIG", 0, 0, 0, 0, get_shmem_config},
};

static const struct request_row *find_row(uint32_t request)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].request == request)
			return &rows[i];
	}
	return NULL;
}

int vhost_request_check(const struct message *m)
{
	const struct request_row *row = find_row(m->header.request);

	if (!row) {
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "request %u is unknown; the frontend asks for what was not offered",
			 m->header.request);
		return -EPROTO;
	}
	if (m->header.size < row->min_bytes || m->header.size > row->max_bytes || m->fd_count < row->min_fds ||
	    m->fd_count > row->max_fds) {
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "%s with %u bytes and %u descriptors; %u to %u and %u to %u are right",
			 row->name, m->header.size, m->fd_count, row->min_bytes, row->max_bytes, row->min_fds, row->max_fds);
		return -EPROTO;
	}
	return 0;
}

bool vhost_request_replies(uint32_t request)
{
	static const uint32_t replies[] = {
		VHOST_USER_GET_FEATURES,      VHOST_USER_GET_PROTOCOL_FEATURES, VHOST_USER_GET_QUEUE_NUM,
		VHOST_USER_GET_CONFIG,	      VHOST_USER_GET_VRING_BASE,	VHOST_USER_GET_MAX_MEM_SLOTS,
		VHOST_USER_GET_STATUS,	      VHOST_USER_GET_INFLIGHT_FD,	VHOST_USER_GET_SHMEM_CONFIG,
		VHOST_USER_GET_SHARED_OBJECT,
	};

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		if (replies[i] == request)
			return true;
	}
	return false;
}

int vhost_server_request(struct vhost_server *s, struct message *m)
{
	const struct request_row *row = find_row(m->header.request);
	int result = vhost_request_check(m);

	if (result)
		return result;
	log_line(LOG_TOPIC_VHOST, LOG_TRACE, "%s 0x%llx", row->name, (unsigned long long)m->payload.u64);
	result = row->handle(s, m);
	vhost_server_reap(s);
	if (result == ANSWERED)
		return 0;
	if (result < 0)
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "%s 0x%llx: %s", row->name, (unsigned long long)m->payload.u64,
			 strerror(-result));
	/*
	 * Who asked for an answer is told and may go on; who did not would go on without knowing. Looked at afterwards:
	 * Linux asks for it in the very message that negotiates it.
	 */
	if (!(m->header.flags & VHOST_USER_NEED_REPLY) || !vhost_server_has(s, VHOST_USER_PROTOCOL_F_REPLY_ACK))
		return result;
	result = reply_u64(s, m, result < 0 ? (uint64_t)-result : 0);
	return result == ANSWERED ? 0 : result;
}
