// SPDX-License-Identifier: MIT
/*
 * A keeper's notes of a frontend that says anything, and what they say to a worker: whoever notes that in turn has the
 * same notes. The input is a list of messages: request, descriptors and size, payload.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/vhost/lease.h"
#include "host/vhost/requests.h"
#include "protocol/virtio.h"
#include "tests/fuzz/fuzz.h"

#define MAX_MESSAGES 96u
#define PROTOCOL VIRTIO_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK)

const unsigned fuzz_runs = 20000;

static size_t put(uint8_t *buf, size_t at, uint8_t request, uint8_t fds, const void *payload, uint8_t bytes)
{
	buf[at] = request;
	buf[at + 1] = fds;
	buf[at + 2] = bytes;
	memcpy(buf + at + 3, payload, bytes);
	return at + 3 + bytes;
}

/* A ring that runs; then one that is disabled, stopped, or reset. */
size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	const uint64_t features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	const uint64_t protocol = 0x1a3a9, zero = 0, ready = 15;
	const struct vhost_user_mem_reg region = {.region = {0, 65536, 65536, 0}};
	const struct vhost_user_vring_addr addr = {.desc = 65536, .avail = 0x11000, .used = 0x12000};
	const struct vhost_user_vring_state num = {0, 16}, base = {0, 7}, on = {0, 1}, off = {0, 0};
	size_t n = 0;

	if (index > 3 || cap < 512)
		return 0;
	n = put(buf, n, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &protocol, 8);
	n = put(buf, n, VHOST_USER_SET_FEATURES, 0, &features, 8);
	n = put(buf, n, VHOST_USER_ADD_MEM_REG, 1, &region, sizeof(region));
	n = put(buf, n, VHOST_USER_SET_STATUS, 0, &ready, 8);
	n = put(buf, n, VHOST_USER_SET_VRING_NUM, 0, &num, sizeof(num));
	n = put(buf, n, VHOST_USER_SET_VRING_BASE, 0, &base, sizeof(base));
	n = put(buf, n, VHOST_USER_SET_VRING_ADDR, 0, &addr, sizeof(addr));
	n = put(buf, n, VHOST_USER_SET_VRING_CALL, 1, &zero, 8);
	n = put(buf, n, VHOST_USER_SET_VRING_ERR, 1, &zero, 8);
	n = put(buf, n, VHOST_USER_SET_VRING_KICK, 1, &zero, 8);
	n = put(buf, n, VHOST_USER_SET_VRING_ENABLE, 0, &on, sizeof(on));
	n = put(buf, n, VHOST_USER_GPU_SET_SOCKET, 1, "", 0);
	if (index == 1)
		n = put(buf, n, VHOST_USER_SET_VRING_ENABLE, 0, &off, sizeof(off));
	if (index == 2)
		n = put(buf, n, VHOST_USER_GET_VRING_BASE, 0, &base, sizeof(base));
	if (index == 3)
		n = put(buf, n, VHOST_USER_RESET_DEVICE, 0, "", 0);
	return n;
}

static void say(struct lease *l, struct fuzz_input *in, int event)
{
	struct message m = {.header.request = fuzz_u8(in)};
	unsigned fds = fuzz_u8(in);

	m.header.size = fuzz_u8(in);
	fuzz_take(in, m.payload.bytes, m.header.size);
	m.fd_count = fds % (MESSAGE_MAX_FDS + 1);
	for (unsigned i = 0; i < m.fd_count; i++)
		m.fds[i] = event;
	/* As the keeper: nothing of another form gets here. */
	if (vhost_request_check(&m))
		return;
	if (m.header.request == VHOST_USER_GET_VRING_BASE)
		lease_note_stop(l, m.payload.state.index, m.payload.state.num);
	else if (lease_note(l, &m) > 0)
		abort();
	(void)lease_has_state(l);
}

/* ---- a worker that notes what it is told ---- */

static unsigned asked;

static int received(void *owner, struct message *m)
{
	asked += !!(m->header.flags & VHOST_USER_NEED_REPLY);
	if (vhost_request_check(m) || lease_note(owner, m))
		abort();
	return 0;
}

static void ended(void *owner, int err, const char *why)
{
	(void)owner;
	(void)why;
	if (err)
		abort();
}

static const struct message_ops ops = {.received = received, .ended = ended};

static void compare(const struct lease *a, const struct lease *b)
{
	if (a->has_features != b->has_features || a->features != b->features || a->has_status != b->has_status ||
	    a->status != b->status || a->region_count != b->region_count || (a->display < 0) != (b->display < 0))
		abort();
	for (unsigned i = 0; i < a->region_count; i++) {
		if (memcmp(&a->regions[i].region, &b->regions[i].region, sizeof(a->regions[i].region)))
			abort();
	}
	for (unsigned i = 0; i < LEASE_MAX_RINGS; i++) {
		const struct lease_ring *r = &a->rings[i], *s = &b->rings[i];

		if (r->has_num != s->has_num || r->has_addr != s->has_addr || r->has_base != s->has_base ||
		    r->has_kick != s->has_kick || r->enabled != s->enabled || (r->has_num && r->num != s->num) ||
		    (r->has_base && r->base != s->base) ||
		    (r->has_addr && memcmp(&r->addr, &s->addr, sizeof(r->addr))) || (r->kick < 0) != (s->kick < 0) ||
		    (r->call < 0) != (s->call < 0) || (r->error < 0) != (s->error < 0))
			abort();
	}
}

static void repeat(const struct lease *l)
{
	struct message_socket to = {0}, from = {0};
	unsigned replies;
	struct lease heard;
	struct loop *loop;
	int pair[2];

	lease_init(&heard);
	asked = 0;
	if (loop_create("fuzz", &loop) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
	    message_socket_open(&to, loop, pair[0], &ops, &heard) ||
	    message_socket_open(&from, loop, pair[1], &ops, &heard))
		abort();
	if (lease_repeat(l, &to, PROTOCOL, &replies))
		abort();
	/* 32 messages at a time. */
	for (unsigned i = 0; i < 16; i++)
		loop_run_once(loop, 0);
	if (asked != replies || replies > LEASE_MAX_REPLIES)
		abort();
	compare(l, &heard);
	message_socket_close(&to);
	message_socket_close(&from);
	lease_end(&heard);
	loop_destroy(loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	int event = eventfd(0, EFD_CLOEXEC);
	struct lease l;

	log_set_levels("error");
	if (event < 0)
		abort();
	lease_init(&l);
	for (unsigned i = 0; i < MAX_MESSAGES && in.left; i++)
		say(&l, &in, event);
	repeat(&l);
	lease_end(&l);
	close(event);
	return 0;
}
