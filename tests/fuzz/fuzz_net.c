// SPDX-License-Identifier: MIT
/*
 * virtio-net over a stream socket: packets and buffers of any bytes and sizes from the guest, any bytes from the other
 * side. Framing towards the other side must hold, and after a reset packets must pass, unless the link went down.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/net/net.h"
#include "protocol/virtio_net.h"
#include "tests/fuzz/requests.h"

#define HEADER sizeof(struct virtio_net_hdr_v1)
#define MAX_FRAME 65554u

enum operation { OP_SEND, OP_BUFFER, OP_FRAME, OP_BYTES, OP_READ, OP_TURN, OP_RESET, OP_COUNT };

struct world {
	struct requests r;
	struct virtio_device *d;
	int peer;
	/* What came out of the device so far, as far as it is not a whole frame. */
	uint8_t out[4 + MAX_FRAME];
	size_t have;
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* Read what the device sent; every frame must have a possible length. */
static void read_frames(struct world *w)
{
	ssize_t n;

	while ((n = read(w->peer, w->out + w->have, sizeof(w->out) - w->have)) > 0) {
		w->have += (size_t)n;
		while (w->have >= 4) {
			uint32_t length;

			memcpy(&length, w->out, 4);
			length = ntohl(length);
			check(length >= 14 && length <= MAX_FRAME);
			if (w->have < 4 + length)
				break;
			memmove(w->out, w->out + 4 + length, w->have - 4 - length);
			w->have -= 4 + length;
		}
	}
}

static void step(struct world *w, struct fuzz_input *in)
{
	uint8_t op = fuzz_u8(in), bytes[4 + 255] = {0};
	uint32_t length;

	switch (op % OP_COUNT) {
	case OP_SEND:
		requests_add(&w->r, 1, bytes, op & 0x80 ? HEADER : 0, op & 0x40 ? 60000 : 200, 8, in);
		break;
	case OP_BUFFER:
		requests_add(&w->r, 0, NULL, 0, op & 0x80 ? 4 : 0, op & 0x40 ? 2000 : 100, in);
		break;
	case OP_FRAME: /* a good one */
		length = 14 + fuzz_u8(in) % 242u;
		memset(bytes + 4, op, length - 1);
		length = htonl(length);
		memcpy(bytes, &length, 4);
		(void)!send(w->peer, bytes, 4 + ntohl(length), MSG_NOSIGNAL);
		break;
	case OP_BYTES:
		length = 1 + (op >> 3) % 8u;
		fuzz_take(in, bytes, length);
		(void)!send(w->peer, bytes, length, MSG_NOSIGNAL);
		break;
	case OP_READ:
		read_frames(w);
		break;
	case OP_TURN:
		requests_turn(&w->r);
		break;
	case OP_RESET:
		requests_restart(&w->r, w->d);
		break;
	}
}

static bool link_is_up(struct world *w)
{
	struct virtio_net_config space;

	fake_guest_read_config(w->r.g, 0, &space, sizeof(space));
	return space.status & VIRTIO_NET_S_LINK_UP;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	struct fuzz_input in = {.data = data, .left = size};
	uint8_t kind = fuzz_u8(&in), packet[HEADER + 60] = {0};
	struct fake_guest_options options = {.packed = kind & 1,
					     .event_idx = kind & 2,
					     .indirect = kind & 4,
					     .memory_bytes = 8 << 20,
					     .refuse = kind & 8 ? VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF) : 0};
	struct net_config config = {.name = "fuzz"};
	int pair[2];

	memset(&w, 0, sizeof(w));
	w.r.g = fake_guest_create(&options);
	check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
	w.peer = pair[0];
	config.socket_fd = pair[1];
	check(!net_create(&config, fake_guest_loop(w.r.g), fake_guest_mem(w.r.g), &w.d));
	check(!fake_guest_start(w.r.g, w.d));
	while (in.left)
		step(&w, &in);
	requests_restart(&w.r, w.d);
	/* Make room for a packet, which must then be taken: by the other side, or by nobody when the link is down. */
	for (int i = 0; i < 64 && link_is_up(&w); i++) {
		read_frames(&w);
		requests_turn(&w.r);
	}
	read_frames(&w);
	check(!fake_guest_request(w.r.g, 1, packet, sizeof(packet), NULL, 0, NULL));
	read_frames(&w);
	if (link_is_up(&w))
		check(!w.have);
	virtio_device_destroy(w.d);
	fake_guest_destroy(w.r.g);
	close(w.peer);
	return 0;
}

static uint8_t operation(enum operation op, uint8_t high)
{
	for (unsigned v = high; v < 256; v++)
		if (v % OP_COUNT == op)
			return (uint8_t)v;
	return (uint8_t)op;
}

/* Packets both ways, small and large, with a reset half way. */
size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	static const uint16_t sizes[] = {60, 199, 1514, 59000};
	uint8_t *p = buf;

	if (index >= 16 || cap < 1024)
		return 0;
	*p++ = (uint8_t)index;
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t send[] = {operation(OP_SEND, i > 1 ? 0xc0 : 0x80),
					(uint8_t)(i * 5),
					(uint8_t)sizes[i],
					(uint8_t)(sizes[i] >> 8),
					0,
					0};

		memcpy(p, send, sizeof(send));
		p += sizeof(send);
		memset(p, 0x11, 60);
		p += 60;
		for (unsigned b = 0; b < 2; b++) {
			const uint8_t buffer[] = {operation(OP_BUFFER, i ? 0x40 : 0), (uint8_t)(i * 3),	   0, 0,
						  (uint8_t)(i ? 0xd0 : 100),	      (uint8_t)(i ? 7 : 0)};

			memcpy(p, buffer, sizeof(buffer));
			p += sizeof(buffer);
		}
		*p++ = operation(OP_FRAME, 0);
		*p++ = (uint8_t)(50 * i);
		*p++ = operation(OP_TURN, 0);
		*p++ = operation(OP_READ, 0);
		*p++ = operation(i == 2 ? OP_RESET : OP_TURN, 0);
	}
	return (size_t)(p - buf);
}

const unsigned fuzz_runs = 5000;
