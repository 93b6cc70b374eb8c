// SPDX-License-Identifier: MIT
#include "tests/lib/net_world.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/net/net.h"

void net_world_begin(struct net_world *w, const struct fake_guest_options *options)
{
	struct fake_guest_options larger = options ? *options : (struct fake_guest_options){0};
	struct net_config config = {.name = "test"};
	int pair[2];

	larger.memory_bytes = 32u << 20;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w->peer = pair[0];
	fcntl(w->peer, F_SETFL, O_NONBLOCK);
	config.socket_fd = pair[1];
	w->guest = fake_guest_create(&larger);
	assert_int_equal(net_create(&config, fake_guest_loop(w->guest), fake_guest_mem(w->guest), &w->device), 0);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
}

void net_world_end(struct net_world *w)
{
	virtio_device_destroy(w->device);
	fake_guest_destroy(w->guest);
	if (w->peer >= 0)
		close(w->peer);
}

void net_world_run(struct net_world *w, int ms)
{
	fake_guest_run_until(w->guest, NULL, NULL, ms);
}

void net_fill(uint8_t *frame, size_t n, uint8_t seed)
{
	for (size_t i = 0; i < n; i++)
		frame[i] = (uint8_t)(seed + i * 13 + (i >> 7));
}

size_t net_on_the_wire(uint8_t *to, size_t bytes, uint8_t seed)
{
	uint32_t length = htonl((uint32_t)bytes);

	memcpy(to, &length, 4);
	net_fill(to + 4, bytes, seed);
	return bytes + 4;
}

/* ---- to the guest ---- */

void net_world_push(struct net_world *w, const uint8_t *bytes, size_t n)
{
	assert_int_equal(write(w->peer, bytes, n), n);
}

struct fake_request *net_world_post(struct net_world *w, size_t room)
{
	struct fake_request *r = fake_guest_add(w->guest, NET_RECEIVE, NULL, 0, room);

	fake_guest_kick(w->guest, NET_RECEIVE);
	return r;
}

void net_check_packet(const struct fake_request *r, size_t bytes, uint8_t seed)
{
	static uint8_t frame[NET_MAX_FRAME];
	struct virtio_net_hdr_v1 header = {.num_buffers = 1};

	net_fill(frame, bytes, seed);
	assert_true(r->done);
	assert_int_equal(r->used_len, NET_HEADER + bytes);
	assert_memory_equal(r->out, &header, NET_HEADER);
	assert_memory_equal(r->out + NET_HEADER, frame, bytes);
	/* Not a byte more. */
	for (size_t i = NET_HEADER + bytes; i < r->out_cap; i++)
		assert_int_equal(r->out[i], 0xa5);
}

void net_world_receive_one(void *world)
{
	static uint8_t wire[256];
	struct net_world *w = world;
	struct fake_request *r = net_world_post(w, NET_HEADER + 100);
	size_t n = net_on_the_wire(wire, 60, 3);

	net_world_push(w, wire, n);
	assert_int_equal(fake_guest_wait(w->guest, r, 5000), 0);
	net_check_packet(r, 60, 3);
	fake_guest_free_request(w->guest, r);
}

/* ---- from the guest ---- */

uint8_t net_packet[NET_HEADER + NET_MAX_FRAME + 64];

size_t net_make_packet(size_t bytes, uint8_t seed)
{
	memset(net_packet, 0, NET_HEADER);
	net_fill(net_packet + NET_HEADER, bytes, seed);
	return NET_HEADER + bytes;
}

size_t net_world_pull(struct net_world *w, uint8_t *to, size_t n)
{
	size_t have = 0;
	ssize_t got;

	while (have < n && (got = read(w->peer, to + have, n - have)) > 0)
		have += (size_t)got;
	return have;
}

void net_world_expect_frame(struct net_world *w, size_t bytes, uint8_t seed)
{
	static uint8_t wire[NET_MAX_FRAME + 8], found[NET_MAX_FRAME + 8];
	size_t n = net_on_the_wire(wire, bytes, seed);

	assert_int_equal(net_world_pull(w, found, n), n);
	assert_memory_equal(found, wire, n);
}

void net_world_send_one(void *world)
{
	struct net_world *w = world;

	assert_int_equal(fake_guest_request(w->guest, NET_TRANSMIT, net_packet, net_make_packet(60, 9), NULL, 0, NULL),
			 0);
	net_world_expect_frame(w, 60, 9);
}
