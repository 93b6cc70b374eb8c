// SPDX-License-Identifier: MIT
/*
 * A vhost-user frontend that says anything. The input is a list of steps: a byte that says how (which request, how many
 * descriptors, whether it is cut or sent as raw bytes), the payload's length, the payload. Between steps the guest's side
 * of a ring may be kicked.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/vhost/server.h"
#include "protocol/virtio.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/vhost_peer.h"

#define MAX_STEPS 96
#define RAM 65536u
#define USER 0x10000u

const unsigned fuzz_runs = 30000;

enum { FDS = 3, CUT = 4, RAW = 8, KICK = 16, ACK = 32 };

struct step {
	uint8_t how, request, bytes;
	uint8_t payload[40];
};

static size_t put(uint8_t *buf, size_t at, uint8_t how, uint8_t request, const void *payload, uint8_t bytes)
{
	buf[at] = how;
	buf[at + 1] = request;
	buf[at + 2] = bytes;
	memcpy(buf + at + 3, payload, bytes);
	return at + 3 + bytes;
}

/* A frontend that brings one ring up and kicks it. */
size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	const uint64_t features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES) |
				  (index & 1 ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0);
	const uint64_t protocol = index & 2 ? 0x1b3a9 : 0x2208, zero = 0, ready = 15;
	const struct vhost_user_mem_reg region = {.region = {0, RAM, USER, 0}};
	const struct vhost_user_vring_addr addr = {.desc = USER, .avail = USER + 0x1000, .used = USER + 0x2000};
	const struct vhost_user_vring_state num = {0, 16}, base = {0, 0}, on = {0, 1};
	const struct vhost_user_inflight inflight = {2 * 8256, 0x8000, 2, 256, 0};
	struct vhost_user_config c = {.size = 8};
	size_t n = 0;

	if (index > 3 || cap < 512)
		return 0;
	n = put(buf, n, 0, VHOST_USER_GET_FEATURES, "", 0);
	n = put(buf, n, 0, VHOST_USER_SET_PROTOCOL_FEATURES, &protocol, 8);
	n = put(buf, n, 0, VHOST_USER_SET_FEATURES, &features, 8);
	n = put(buf, n, 1, VHOST_USER_ADD_MEM_REG, &region, sizeof(region));
	if (index & 2) {
		n = put(buf, n, 0, VHOST_USER_GET_INFLIGHT_FD, &inflight, sizeof(inflight));
		n = put(buf, n, 1, VHOST_USER_SET_INFLIGHT_FD, &inflight, sizeof(inflight));
	}
	n = put(buf, n, 0, VHOST_USER_SET_VRING_NUM, &num, sizeof(num));
	n = put(buf, n, 0, VHOST_USER_SET_VRING_BASE, &base, sizeof(base));
	n = put(buf, n, 0, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr));
	n = put(buf, n, 2, VHOST_USER_SET_VRING_CALL, &zero, 8);
	n = put(buf, n, 2, VHOST_USER_SET_VRING_KICK, &zero, 8);
	n = put(buf, n, 0, VHOST_USER_SET_VRING_ENABLE, &on, sizeof(on));
	n = put(buf, n, 0, VHOST_USER_SET_STATUS, &ready, 8);
	n = put(buf, n, KICK, VHOST_USER_GET_CONFIG, &c, 20);
	n = put(buf, n, 0, VHOST_USER_GET_VRING_BASE, &base, sizeof(base));
	return put(buf, n, 0, VHOST_USER_RESET_DEVICE, "", 0);
}

static void drain(int fd)
{
	char buffer[4096];

	while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		;
}

static void take(struct vhost_peer *p, const struct step *s, int ram, int event)
{
	const int fds[3] = {ram, event, ram};
	/* 1: memory, 2: an eventfd, 3: all of them. */
	const unsigned what = s->how & FDS, count = what == 3 ? 3 : what ? 1 : 0;
	const uint64_t one = 1;

	if (s->how & RAW) {
		if (send(p->fd, s->payload, s->bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return;
	} else {
		vhost_peer_send(p, s->request, s->how & ACK ? VHOST_USER_NEED_REPLY : 0, s->payload, s->bytes,
				what == 2 ? &fds[1] : fds, count);
	}
	if (s->how & KICK && write(event, &one, sizeof(one)) < 0)
		return;
	if (!(s->how & CUT))
		vhost_peer_settle(p);
	drain(p->fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct fake_guest_options options = {.memory_bytes = 65536};
	struct vhost_peer *p = vhost_peer_create(&options, false, true);
	struct fuzz_input in = {data, size};
	int ram = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING), event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	uint16_t avail[3] = {0, 2, 0};

	log_set_levels("error");
	/* Sealed, so that it may be memory for requests in flight too; what the device reads and writes there is then the guest's. */
	if (ram < 0 || event < 0 || ftruncate(ram, RAM) < 0 || fcntl(ram, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
		abort();
	/* One descriptor, made available; the rest of the memory is zeros. */
	if (pwrite(ram, &(struct vring_desc){0x3000, 16, 0, 0}, 16, 0) != 16 || pwrite(ram, avail, sizeof(avail), 0x1000) < 0)
		abort();
	for (unsigned i = 0; i < MAX_STEPS && in.left; i++) {
		struct step s = {.how = fuzz_u8(&in), .request = fuzz_u8(&in), .bytes = fuzz_u8(&in)};

		if (s.bytes > sizeof(s.payload))
			s.bytes = sizeof(s.payload);
		fuzz_take(&in, s.payload, s.bytes);
		take(p, &s, ram, event);
	}
	close(ram);
	close(event);
	vhost_peer_destroy(p);
	return 0;
}
