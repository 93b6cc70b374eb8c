// SPDX-License-Identifier: MIT
/*
 * virtio-console over a socket pair: requests of any bytes on both queues, input, a reader that stops and goes on,
 * resets, config writes. No byte may be made up, and after a reset text must pass.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/console/console.h"
#include "protocol/virtio_console.h"
#include "tests/fuzz/requests.h"

enum operation { OP_WRITE, OP_BUFFER, OP_TYPE, OP_READ, OP_TURN, OP_RESET, OP_CONFIG, OP_SIZE, OP_COUNT };

struct world {
	struct requests r;
	struct virtio_device *d;
	int peer;
	uint64_t typed, seen;
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void read_all(struct world *w)
{
	uint8_t bytes[4096];
	ssize_t n;

	while ((n = read(w->peer, bytes, sizeof(bytes))) > 0)
		w->seen += (uint64_t)n;
}

static void step(struct world *w, struct fuzz_input *in)
{
	uint8_t op = fuzz_u8(in), bytes[64];
	uint32_t offset;
	ssize_t n;

	switch (op % OP_COUNT) {
	case OP_WRITE:
		requests_add(&w->r, 1, NULL, 0, op & 0x80 ? 60000 : 300, 4, in);
		break;
	case OP_BUFFER:
		requests_add(&w->r, 0, NULL, 0, op & 0x80 ? 4 : 0, 200, in);
		break;
	case OP_TYPE:
		fuzz_take(in, bytes, sizeof(bytes));
		n = write(w->peer, bytes, 1 + (op >> 3));
		w->typed += n > 0 ? (uint64_t)n : 0;
		break;
	case OP_READ:
		read_all(w);
		break;
	case OP_TURN:
		requests_turn(&w->r);
		break;
	case OP_RESET:
		requests_restart(&w->r, w->d);
		break;
	case OP_CONFIG:
		offset = fuzz_u8(in) % 20;
		fuzz_take(in, bytes, 8);
		virtio_device_config(w->d, offset, bytes, 1 + (op >> 5), op & 0x10);
		break;
	case OP_SIZE:
		console_resize(w->d, fuzz_u16(in), op);
		break;
	}
	check(console_counters(w->d)->bytes_in <= w->typed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .left = size};
	uint8_t kind = fuzz_u8(&in);
	struct fake_guest_options options = {
		.packed = kind & 1, .event_idx = kind & 2, .indirect = kind & 4, .memory_bytes = 8 << 20};
	struct console_config config = {0};
	struct world w = {.r.g = fake_guest_create(&options)};
	int pair[2];

	check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	w.peer = pair[0];
	fcntl(w.peer, F_SETFL, O_NONBLOCK);
	config.in_fd = pair[1];
	config.out_fd = pair[1];
	check(!console_create(&config, fake_guest_loop(w.r.g), fake_guest_mem(w.r.g), &w.d));
	check(!fake_guest_start(w.r.g, w.d));
	while (in.left)
		step(&w, &in);
	requests_restart(&w.r, w.d);
	read_all(&w);
	check(w.seen == console_counters(w.d)->bytes_out);
	check(!fake_guest_request(w.r.g, 1, "text", 4, NULL, 0, NULL));
	read_all(&w);
	check(w.seen == console_counters(w.d)->bytes_out && !console_counters(w.d)->bytes_dropped);
	virtio_device_destroy(w.d);
	fake_guest_destroy(w.r.g);
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static uint8_t operation(enum operation op, uint8_t high)
{
	return (uint8_t)(high + op); /* high is a multiple of OP_COUNT */
}

/* Text both ways, more than the socket takes, and a reset. */
size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	uint8_t *p = buf;

	if (index >= 8 || cap < 1024)
		return 0;
	*p++ = (uint8_t)index;
	for (unsigned i = 0; i < 6; i++) {
		const uint8_t text[] = {operation(OP_WRITE, i > 2 ? 0x80 : 0),
					(uint8_t)i,
					(uint8_t)(i * 40),
					(uint8_t)(i > 2 ? 200 : 0),
					0,
					0};
		const uint8_t buffer[] = {operation(OP_BUFFER, 0), (uint8_t)i, 0, 0, 20, 0};

		memcpy(p, text, sizeof(text));
		p += sizeof(text);
		memset(p, 'a', 64);
		p += i ? 64 : 0;
		memcpy(p, buffer, sizeof(buffer));
		p += sizeof(buffer);
		*p++ = operation(OP_TYPE, 24);
		memset(p, 'b', 64);
		p += 64;
		*p++ = operation(OP_TURN, 0);
		*p++ = operation(i == 4 ? OP_RESET : i & 1 ? OP_READ : OP_TURN, 0);
	}
	return (size_t)(p - buf);
}

const unsigned fuzz_runs = 5000;
