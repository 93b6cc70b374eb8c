// SPDX-License-Identifier: MIT
/* virtio-net over fake guest memory, with a socket pair in the place of passt. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/base/loop.h"
#include "host/net/net.h"
#include "protocol/virtio_net.h"
#include "tests/device/rings.h"

#define RECEIVE 0
#define TRANSMIT 1
#define HEADER sizeof(struct virtio_net_hdr_v1)
#define MAX_FRAME 65554u

static struct fake_guest *g;
static struct virtio_device *d;
static int peer; /* passt's end */

static void begin(const struct fake_guest_options *options)
{
	struct fake_guest_options larger = options ? *options : (struct fake_guest_options){0};
	struct net_config config = {.name = "test"};
	int pair[2];

	larger.memory_bytes = 32u << 20;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	peer = pair[0];
	fcntl(peer, F_SETFL, O_NONBLOCK);
	config.socket_fd = pair[1];
	g = fake_guest_create(&larger);
	assert_int_equal(net_create(&config, fake_guest_loop(g), fake_guest_mem(g), &d), 0);
	assert_int_equal(fake_guest_start(g, d), 0);
}

static void end(void)
{
	virtio_device_destroy(d);
	fake_guest_destroy(g);
	if (peer >= 0)
		close(peer);
}

static void let_it_run(int ms)
{
	fake_guest_run_until(g, NULL, NULL, ms);
}

static void fill(uint8_t *frame, size_t n, uint8_t seed)
{
	for (size_t i = 0; i < n; i++)
		frame[i] = (uint8_t)(seed + i * 13 + (i >> 7));
}

/* ---- to the guest ---- */

/* A frame as it is on the socket; returns its size there. */
static size_t on_the_wire(uint8_t *to, size_t bytes, uint8_t seed)
{
	uint32_t length = htonl((uint32_t)bytes);

	memcpy(to, &length, 4);
	fill(to + 4, bytes, seed);
	return bytes + 4;
}

static void push(const uint8_t *bytes, size_t n)
{
	assert_int_equal(write(peer, bytes, n), n);
}

static struct fake_request *post(size_t room)
{
	struct fake_request *r = fake_guest_add(g, RECEIVE, NULL, 0, room);

	fake_guest_kick(g, RECEIVE);
	return r;
}

/* One buffer with a whole packet in it. */
static void check_packet(const struct fake_request *r, size_t bytes, uint8_t seed)
{
	static uint8_t frame[MAX_FRAME];
	struct virtio_net_hdr_v1 header = {.num_buffers = 1};

	fill(frame, bytes, seed);
	assert_true(r->done);
	assert_int_equal(r->used_len, HEADER + bytes);
	assert_memory_equal(r->out, &header, HEADER);
	assert_memory_equal(r->out + HEADER, frame, bytes);
	/* Not a byte more. */
	for (size_t i = HEADER + bytes; i < r->out_cap; i++)
		assert_int_equal(r->out[i], 0xa5);
}

static void receive_one(void *arg)
{
	static uint8_t wire[256];
	struct fake_request *r = post(HEADER + 100);
	size_t n = on_the_wire(wire, 60, 3);

	(void)arg;
	push(wire, n);
	assert_int_equal(fake_guest_wait(g, r, 5000), 0);
	check_packet(r, 60, 3);
	fake_guest_free_request(g, r);
}

static void receive_buffers_may_be_split_anywhere(void **state)
{
	struct fake_guest_options options;

	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		for (int merge = 0; merge < 2; merge++) {
			options = rings[r];
			options.refuse = merge ? 0 : VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF);
			begin(&options);
			fake_guest_split_each(g, RECEIVE, HEADER + 100, receive_one, NULL);
			assert_int_equal(net_counters(d)->rx_dropped, 0);
			end();
		}
	}
}

static void frames_may_arrive_cut_anywhere(void **state)
{
	static const size_t sizes[] = {14, 60, 100};
	uint8_t wire[512];
	struct fake_request *r[3];
	size_t total = 0;

	(void)state;
	for (uint8_t i = 0; i < 3; i++)
		total += on_the_wire(wire + total, sizes[i], i);
	begin(&rings[1]);
	for (size_t cut = 0; cut <= total; cut++) {
		for (int i = 0; i < 3; i++)
			r[i] = post(HEADER + 128);
		push(wire, cut);
		let_it_run(1);
		push(wire + cut, total - cut);
		for (uint8_t i = 0; i < 3; i++) {
			assert_int_equal(fake_guest_wait(g, r[i], 5000), 0);
			check_packet(r[i], sizes[i], i);
			fake_guest_free_request(g, r[i]);
		}
	}
	/* And byte by byte. */
	for (int i = 0; i < 3; i++)
		r[i] = post(HEADER + 128);
	for (size_t i = 0; i < total; i++) {
		push(wire + i, 1);
		let_it_run(1);
	}
	for (uint8_t i = 0; i < 3; i++) {
		assert_int_equal(fake_guest_wait(g, r[i], 5000), 0);
		check_packet(r[i], sizes[i], i);
		fake_guest_free_request(g, r[i]);
	}
	end();
}

static void packets_wait_for_buffers(void **state)
{
	uint8_t wire[128];
	struct fake_request *r;

	(void)state;
	for (size_t k = 0; k < RING_KINDS; k++) {
		begin(&rings[k]);
		for (uint8_t i = 0; i < 10; i++)
			push(wire, on_the_wire(wire, 64, i));
		let_it_run(5);
		assert_int_equal(net_counters(d)->rx_packets, 0);
		for (uint8_t i = 0; i < 10; i++) {
			r = post(1600);
			assert_int_equal(fake_guest_wait(g, r, 5000), 0);
			check_packet(r, 64, i);
			fake_guest_free_request(g, r);
		}
		assert_int_equal(net_counters(d)->rx_packets, 10);
		end();
	}
}

static void a_packet_is_spread_over_merged_buffers(void **state)
{
	static uint8_t wire[MAX_FRAME + 4], found[HEADER + MAX_FRAME], frame[MAX_FRAME];
	static const size_t sizes[] = {2000, 1524, 1525, 9000, 65535, MAX_FRAME, 60};
	struct fake_request *r[64];

	(void)state;
	for (size_t k = 0; k < RING_KINDS; k++) {
		begin(&rings[k]);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			size_t packet = HEADER + sizes[i], buffers = (packet + 1535) / 1536, at = 0;
			struct virtio_net_hdr_v1 header = {.num_buffers = (uint16_t)buffers};

			for (int b = 0; b < 64; b++)
				r[b] = post(1536);
			on_the_wire(wire, sizes[i], (uint8_t)i);
			for (size_t sent = 0; sent < sizes[i] + 4; let_it_run(1)) {
				ssize_t n = write(peer, wire + sent, sizes[i] + 4 - sent);

				assert_true(n > 0 || errno == EAGAIN);
				sent += n > 0 ? (size_t)n : 0;
			}
			assert_int_equal(fake_guest_wait(g, r[buffers - 1], 5000), 0);
			for (size_t b = 0; b < 64; b++) {
				assert_int_equal(r[b]->done, b < buffers);
				if (b >= buffers)
					continue;
				assert_int_equal(r[b]->used_len, b + 1 < buffers ? 1536 : packet - at);
				memcpy(found + at, r[b]->out, r[b]->used_len);
				at += r[b]->used_len;
			}
			fill(frame, sizes[i], (uint8_t)i);
			assert_memory_equal(found, &header, HEADER);
			assert_memory_equal(found + HEADER, frame, sizes[i]);
			fake_guest_reset(g);
			for (int b = 0; b < 64; b++)
				fake_guest_free_request(g, r[b]);
			assert_int_equal(fake_guest_start(g, d), 0);
		}
		end();
	}
}

/* With the buffers masked from the driver until the first is there: then the others must be there, too. */
static void merged_buffers_appear_all_at_once(void **state)
{
	static uint8_t wire[8192];
	struct fake_request *r[4];

	(void)state;
	for (size_t k = 0; k < RING_KINDS; k++) {
		unsigned before;

		begin(&rings[k]);
		for (int i = 0; i < 4; i++)
			r[i] = post(1024);
		before = fake_guest_interrupts(g, RECEIVE);
		push(wire, on_the_wire(wire, 4 * 1024 - HEADER, 1));
		assert_int_equal(fake_guest_wait(g, r[0], 5000), 0);
		for (int i = 0; i < 4; i++)
			assert_true(r[i]->done);
		assert_int_equal(fake_guest_interrupts(g, RECEIVE), before + 1);
		for (int i = 0; i < 4; i++)
			fake_guest_free_request(g, r[i]);
		end();
	}
}

static void a_large_packet_waits_for_more_buffers(void **state)
{
	static uint8_t wire[8192], frame[4000];
	struct fake_request *r[3];

	(void)state;
	begin(&rings[1]);
	push(wire, on_the_wire(wire, 4000, 7));
	r[0] = post(1500);
	let_it_run(5);
	r[1] = post(1500);
	let_it_run(5);
	assert_false(r[0]->done);
	r[2] = post(1500);
	for (int i = 0; i < 3; i++)
		assert_int_equal(fake_guest_wait(g, r[i], 50), 0);
	fill(frame, 4000, 7);
	assert_int_equal(r[0]->out[10], 3);
	assert_memory_equal(r[0]->out + HEADER, frame, 1500 - HEADER);
	assert_memory_equal(r[1]->out, frame + 1500 - HEADER, 1500);
	assert_int_equal(r[2]->used_len, 4000 + HEADER - 3000);
	assert_memory_equal(r[2]->out, frame + 3000 - HEADER, 4000 + HEADER - 3000);
	for (int i = 0; i < 3; i++)
		fake_guest_free_request(g, r[i]);
	end();
}

static void a_packet_too_large_for_all_buffers_is_dropped(void **state)
{
	static uint8_t wire[8192];
	struct fake_guest_options options;
	struct fake_request *r;

	(void)state;
	for (size_t k = 0; k < 2 * RING_KINDS; k++) {
		options = rings[k / 2];
		options.refuse = k & 1 ? VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF) : 0;
		begin(&options);
		r = post(1526);
		push(wire, on_the_wire(wire, 1515, 1));
		push(wire, on_the_wire(wire, 1514, 2));
		assert_int_equal(fake_guest_wait(g, r, 5000), 0);
		check_packet(r, 1514, 2);
		fake_guest_free_request(g, r);
		assert_int_equal(net_counters(d)->rx_dropped, 1);
		assert_int_equal(net_counters(d)->rx_packets, 1);
		end();
	}
}

static void buffers_without_room_are_given_back(void **state)
{
	struct fake_request *r;

	(void)state;
	begin(NULL);
	r = fake_guest_add(g, RECEIVE, "x", 1, 0);
	fake_guest_kick(g, RECEIVE);
	assert_int_equal(fake_guest_wait(g, r, 5000), 0);
	fake_guest_free_request(g, r);
	receive_one(NULL);
	end();
}

/* ---- from the guest ---- */

static size_t pull(uint8_t *to, size_t n)
{
	size_t have = 0;
	ssize_t got;

	while (have < n && (got = read(peer, to + have, n - have)) > 0)
		have += (size_t)got;
	return have;
}

static uint8_t packet[HEADER + MAX_FRAME + 64];

static size_t make_packet(size_t bytes, uint8_t seed)
{
	memset(packet, 0, HEADER);
	fill(packet + HEADER, bytes, seed);
	return HEADER + bytes;
}

static void expect_frame(size_t bytes, uint8_t seed)
{
	static uint8_t wire[MAX_FRAME + 8], found[MAX_FRAME + 8];
	size_t n = on_the_wire(wire, bytes, seed);

	assert_int_equal(pull(found, n), n);
	assert_memory_equal(found, wire, n);
}

static void send_one(void *arg)
{
	(void)arg;
	assert_int_equal(fake_guest_request(g, TRANSMIT, packet, make_packet(60, 9), NULL, 0, NULL), 0);
	expect_frame(60, 9);
}

static void packets_may_be_split_anywhere(void **state)
{
	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		begin(&rings[r]);
		fake_guest_split_each(g, TRANSMIT, HEADER + 60, send_one, NULL);
		assert_int_equal(net_counters(d)->tx_dropped, 0);
		end();
	}
}

static void packets_of_any_allowed_size_are_sent(void **state)
{
	static const size_t sizes[] = {14, 15, 1514, 9000, 65535, MAX_FRAME};
	uint8_t byte;

	(void)state;
	begin(&rings[3]);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		assert_int_equal(fake_guest_request(g, TRANSMIT, packet, make_packet(sizes[i], 1), NULL, 0, NULL), 0);
		expect_frame(sizes[i], 1);
	}
	assert_int_equal(net_counters(d)->tx_packets, 6);
	/* Others are dropped, and nothing of them is sent. */
	for (size_t n = 0; n < HEADER + 14; n++)
		assert_int_equal(fake_guest_request(g, TRANSMIT, packet, n, NULL, 0, NULL), 0);
	assert_int_equal(fake_guest_request(g, TRANSMIT, packet, make_packet(MAX_FRAME + 1, 1), NULL, 0, NULL), 0);
	assert_int_equal(pull(&byte, 1), 0);
	assert_int_equal(net_counters(d)->tx_dropped, HEADER + 14 + 1);
	send_one(NULL);
	end();
}

static void offloads_that_were_not_negotiated_are_refused(void **state)
{
	static const struct virtio_net_hdr_v1 bad[] = {
		{.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 14, .csum_offset = 2},
		{.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1448},
		{.gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 1448},
		{.gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = 1448},
		{.gso_type = VIRTIO_NET_HDR_GSO_ECN},
		{.gso_type = 0x7f},
	};
	size_t n = make_packet(60, 1);
	uint8_t byte;

	(void)state;
	begin(NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		memcpy(packet, &bad[i], HEADER);
		assert_int_equal(fake_guest_request(g, TRANSMIT, packet, n, NULL, 0, NULL), 0);
	}
	assert_int_equal(pull(&byte, 1), 0);
	assert_int_equal(net_counters(d)->tx_dropped, sizeof(bad) / sizeof(*bad));
	end();
}

/* So large that the socket takes a part of one. */
static void large_packets_may_be_taken_in_part(void **state)
{
	static uint8_t wire[40 * 60004], found[sizeof(wire)];
	static struct fake_request *r[40];
	size_t have;

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		on_the_wire(wire + i * 60004, 60000, (uint8_t)i);
	begin(&rings[3]);
	for (unsigned i = 0; i < 40; i++)
		r[i] = fake_guest_add(g, TRANSMIT, packet, make_packet(60000, (uint8_t)i), 0);
	fake_guest_kick(g, TRANSMIT);
	for (have = 0; have < sizeof(wire);) {
		/* A little at a time, so that what is left over is sent in parts, too. */
		size_t n = pull(found + have, sizeof(found) - have < 10000 ? sizeof(found) - have : 10000);

		have += n;
		if (!n)
			let_it_run(1);
	}
	assert_memory_equal(found, wire, sizeof(wire));
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(fake_guest_wait(g, r[i], 5000), 0);
		fake_guest_free_request(g, r[i]);
	}
	end();
}

/* Many at once, both ways: they don't keep the loop, and all arrive in order. */
static void bursts_are_handled_in_turns(void **state)
{
	struct fake_guest_options options = {.indirect = true, .event_idx = true};
	static struct fake_request *out[256], *in[256];
	static uint8_t wire[256 * 68];
	size_t n = 0;

	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		options.packed = packed;
		begin(&options);
		for (int round = 0; round < 3; round++) {
			n = 0;
			for (unsigned i = 0; i < 256; i++) {
				in[i] = fake_guest_add(g, RECEIVE, NULL, 0, 128);
				out[i] = fake_guest_add(g, TRANSMIT, packet, make_packet(64, (uint8_t)i), 0);
				n += on_the_wire(wire + n, 64, (uint8_t)i);
			}
			push(wire, n);
			fake_guest_kick(g, RECEIVE);
			fake_guest_kick(g, TRANSMIT);
			/* The first turn is over, and not everything is done. */
			fake_guest_poll(g, TRANSMIT);
			assert_true(out[0]->done);
			assert_false(out[255]->done);
			if (round == 1) {
				fake_guest_reset(g);
				assert_int_equal(fake_guest_start(g, d), 0);
				for (unsigned i = 0; i < 256; i++) {
					fake_guest_free_request(g, in[i]);
					fake_guest_free_request(g, out[i]);
				}
				/* What came for the driver before is for the next one. */
				for (unsigned i = net_counters(d)->rx_packets % 256; i < 256; i++) {
					in[i] = post(128);
					assert_int_equal(fake_guest_wait(g, in[i], 5000), 0);
					check_packet(in[i], 64, (uint8_t)i);
					fake_guest_free_request(g, in[i]);
				}
				while (pull(wire, sizeof(wire)))
					let_it_run(1);
				continue;
			}
			for (unsigned i = 0; i < 256; i++) {
				assert_int_equal(fake_guest_wait(g, in[i], 5000), 0);
				assert_int_equal(fake_guest_wait(g, out[i], 5000), 0);
				check_packet(in[i], 64, (uint8_t)i);
				expect_frame(64, (uint8_t)i);
				fake_guest_free_request(g, in[i]);
				fake_guest_free_request(g, out[i]);
			}
		}
		end();
	}
}

/* Let the device do all it can with what was written, however long that takes: nobody else takes part. Is @r done then? */
static bool is_done_at_last(const struct fake_request *r)
{
	for (unsigned i = 0; i < 50 && !r->done; i++) {
		assert_int_equal(loop_run_once(fake_guest_loop(g), 0), 0);
		let_it_run(0);
	}
	return r->done;
}

/* More than the buffer between socket and guest holds, in frames that lie across its end. */
static void a_long_stream_arrives_whole(void **state)
{
	static uint8_t wire[1 << 20], frame[MAX_FRAME];
	size_t sizes[64], total = 0, sent = 0, merged = 0;
	unsigned frames = 0;

	(void)state;
	for (frames = 0; frames < 64; frames++) {
		sizes[frames] = 14 + frames * 7919u % 20000;
		if (total + 4 + sizes[frames] > sizeof(wire))
			break;
		total += on_the_wire(wire + total, sizes[frames], (uint8_t)frames);
	}
	begin(&rings[1]);
	for (unsigned f = 0; f < frames; f++) {
		size_t packet_bytes = HEADER + sizes[f], at = 0;
		static uint8_t found[HEADER + MAX_FRAME];

		while (at < packet_bytes) {
			struct fake_request *r = post(2048);

			do {
				ssize_t n = write(peer, wire + sent, total - sent);

				sent += n > 0 ? (size_t)n : 0;
				/* Merged buffers appear together: post until it is enough. */
				if (!is_done_at_last(r)) {
					static struct fake_request *more[64];
					unsigned count = 0;

					more[count++] = r;
					while (!is_done_at_last(more[0])) {
						assert_true(count < 64);
						more[count++] = post(2048);
					}
					for (unsigned i = 0; i < count; i++) {
						assert_true(more[i]->done);
						memcpy(found + at, more[i]->out, more[i]->used_len);
						at += more[i]->used_len;
						if (i)
							fake_guest_free_request(g, more[i]);
					}
					merged += count > 1;
				} else {
					memcpy(found + at, r->out, r->used_len);
					at += r->used_len;
				}
			} while (!r->done);
			fake_guest_free_request(g, r);
		}
		assert_int_equal(at, packet_bytes);
		fill(frame, sizes[f], (uint8_t)f);
		assert_memory_equal(found + HEADER, frame, sizes[f]);
	}
	assert_int_equal(sent, total);
	assert_true(merged > 10);
	end();
}

static void packets_in_very_many_pieces(void **state)
{
	struct fake_guest_options options = {.indirect = true};
	static uint8_t wire[3000];
	struct fake_request *r, *first;

	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		options.packed = packed;
		begin(&options);
		fake_guest_set_split(g, 0, 1);
		r = post(1024);
		push(wire, on_the_wire(wire, 1000, 1));
		assert_int_equal(fake_guest_wait(g, r, 5000), 0);
		check_packet(r, 1000, 1);
		fake_guest_free_request(g, r);
		assert_int_equal(fake_guest_request(g, TRANSMIT, packet, make_packet(1000, 5), NULL, 0, NULL), 0);
		expect_frame(1000, 5);
		/* As many as there can be: 1011 bytes of 1 byte each, and two such buffers for one packet. */
		fake_guest_set_split(g, 0, 2);
		first = post(2000);
		r = post(2000);
		push(wire, on_the_wire(wire, 2500, 1));
		assert_int_equal(fake_guest_wait(g, r, 5000), 0);
		assert_int_equal(r->used_len, 2500 + HEADER - 2000);
		assert_int_equal(first->used_len, 2000);
		fake_guest_free_request(g, first);
		fake_guest_free_request(g, r);
		end();
	}
}

/* The socket is full: packets wait, whole, in order, and the loop does other things. */
static void sending_waits_for_the_peer(void **state)
{
	static uint8_t wire[200 * 9004], found[sizeof(wire)];
	static struct fake_request *r[200];
	unsigned done = 0;
	size_t have;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		on_the_wire(wire + i * 9004, 9000, (uint8_t)i);
	for (size_t k = 1; k < RING_KINDS; k += 2) {
		begin(&rings[k]);
		for (unsigned i = 0; i < 200; i++)
			r[i] = fake_guest_add(g, TRANSMIT, packet, make_packet(9000, (uint8_t)i), 0);
		fake_guest_kick(g, TRANSMIT);
		let_it_run(20);
		for (done = 0; done < 200 && r[done]->done;)
			done++;
		assert_in_range(done, 1, 199);
		receive_one(NULL);
		for (have = 0; have < sizeof(wire); let_it_run(1)) {
			size_t n = pull(found + have, sizeof(found) - have);

			assert_true(n);
			have += n;
		}
		assert_memory_equal(found, wire, sizeof(wire));
		for (unsigned i = 0; i < 200; i++) {
			assert_int_equal(fake_guest_wait(g, r[i], 5000), 0);
			fake_guest_free_request(g, r[i]);
		}
		assert_int_equal(net_counters(d)->tx_packets, 200);
		end();
	}
}

static void a_reset_keeps_the_framing(void **state)
{
	static struct fake_request *r[40];
	static uint8_t found[40 * 60004 + 104];
	size_t have = 0, at = 0;
	unsigned frames = 0;

	(void)state;
	begin(&rings[1]);
	for (unsigned i = 0; i < 40; i++)
		r[i] = fake_guest_add(g, TRANSMIT, packet, make_packet(60000, (uint8_t)i), 0);
	fake_guest_kick(g, TRANSMIT);
	let_it_run(5);
	fake_guest_reset(g);
	for (unsigned i = 0; i < 40; i++)
		fake_guest_free_request(g, r[i]);
	assert_int_equal(fake_guest_start(g, d), 0);
	/* The next driver's packet is a frame of its own behind what was begun before. */
	r[0] = fake_guest_add(g, TRANSMIT, packet, make_packet(100, 250), 0);
	fake_guest_kick(g, TRANSMIT);
	while (!r[0]->done) {
		have += pull(found + have, sizeof(found) - have);
		let_it_run(1);
	}
	have += pull(found + have, sizeof(found) - have);
	while (at < have) {
		uint32_t length;

		memcpy(&length, found + at, 4);
		length = ntohl(length);
		fill(packet, length, length == 100 ? 250 : (uint8_t)frames);
		assert_true(length == 60000 || (length == 100 && at + 104 == have));
		assert_memory_equal(found + at + 4, packet, length);
		at += 4 + length;
		frames++;
	}
	assert_int_equal(at, have);
	assert_in_range(frames, 2, 40);
	fake_guest_free_request(g, r[0]);
	end();
}

static void a_reset_takes_buffers_back(void **state)
{
	struct fake_request *r[8];

	(void)state;
	for (size_t k = 0; k < RING_KINDS; k++) {
		begin(&rings[k]);
		for (int round = 0; round < 3; round++) {
			for (int i = 0; i < 8; i++)
				r[i] = post(2048);
			fake_guest_reset(g);
			for (int i = 0; i < 8; i++) {
				assert_true(r[i]->lost);
				fake_guest_free_request(g, r[i]);
			}
			assert_int_equal(fake_guest_start(g, d), 0);
			send_one(NULL);
			receive_one(NULL);
		}
		end();
	}
}

/* ---- the other side ---- */

static uint16_t link_status(void)
{
	struct virtio_net_config space;

	fake_guest_read_config(g, 0, &space, sizeof(space));
	return space.status;
}

static void the_link_goes_down_with_the_peer(void **state)
{
	struct fake_request *r;
	unsigned changes;

	(void)state;
	for (size_t k = 0; k < RING_KINDS; k++) {
		begin(&rings[k]);
		assert_int_equal(link_status(), VIRTIO_NET_S_LINK_UP);
		changes = fake_guest_config_changes(g);
		r = post(2048);
		close(peer);
		peer = -1;
		let_it_run(5);
		assert_int_equal(link_status(), 0);
		assert_int_equal(fake_guest_config_changes(g), changes + 1);
		/* The guest may go on sending; nothing comes of it. */
		for (int i = 0; i < 3; i++)
			assert_int_equal(fake_guest_request(g, TRANSMIT, packet, make_packet(60, 1), NULL, 0, NULL), 0);
		assert_int_equal(net_counters(d)->tx_dropped, 3);
		assert_false(r->done);
		fake_guest_reset(g);
		fake_guest_free_request(g, r);
		assert_int_equal(fake_guest_start(g, d), 0);
		assert_int_equal(fake_guest_request(g, TRANSMIT, packet, make_packet(60, 1), NULL, 0, NULL), 0);
		end();
	}
	/* Noticed by sending as well. */
	begin(NULL);
	close(peer);
	peer = -1;
	assert_int_equal(fake_guest_request(g, TRANSMIT, packet, make_packet(60, 1), NULL, 0, NULL), 0);
	assert_int_equal(link_status(), 0);
	end();
}

static void nonsense_from_the_peer_ends_the_link(void **state)
{
	static const uint32_t lengths[] = {0, 13, MAX_FRAME + 1, 0x80000000u, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		uint32_t length = htonl(lengths[i]);
		struct fake_request *r;

		begin(NULL);
		r = post(2048);
		push((uint8_t *)&length, 4);
		let_it_run(5);
		assert_int_equal(link_status(), 0);
		assert_false(r->done);
		fake_guest_reset(g);
		fake_guest_free_request(g, r);
		end();
	}
}

static void the_address_is_ours_and_stays(void **state)
{
	struct virtio_net_config space;
	uint8_t first[6];

	(void)state;
	begin(NULL);
	fake_guest_read_config(g, 0, &space, sizeof(space));
	assert_int_equal(space.mac[0] & 3, 2);
	memcpy(first, space.mac, 6);
	assert_memory_equal(first, net_mac(d), 6);
	assert_false(d->offered & VIRTIO_BIT(VIRTIO_NET_F_MTU));
	assert_false(d->offered & VIRTIO_BIT(VIRTIO_NET_F_CSUM));
	/* Not for the driver to write. */
	virtio_device_config(d, 0, &space, 1, true);
	end();
	begin(NULL);
	fake_guest_read_config(g, 0, &space, sizeof(space));
	assert_memory_equal(first, space.mac, 6);
	end();
}

static void bad_configurations_are_refused(void **state)
{
	struct fake_guest *h = fake_guest_create(NULL);
	struct net_config config = {.socket_fd = -1};
	struct virtio_net_config space;
	struct virtio_device *out;
	int pair[2];

	(void)state;
#define CREATE() net_create(&config, fake_guest_loop(h), fake_guest_mem(h), &out)
	assert_int_equal(CREATE(), -EINVAL);
	config.socket_path = "/tmp/mullion-no-passt-here";
	assert_int_equal(CREATE(), -ENOENT);
	config.tap = "tap0";
	assert_int_equal(CREATE(), -EINVAL);
	config.socket_path = NULL;
	config.tap = "a-name-much-too-long";
	assert_int_equal(CREATE(), -EINVAL);
	config.tap = NULL;
	assert_int_equal(pipe(pair), 0);
	config.socket_fd = pair[0];
	assert_int_equal(CREATE(), -EINVAL);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	config.socket_fd = pair[0];
	config.mtu = 67;
	assert_int_equal(CREATE(), -EINVAL);
	config.mtu = 9000;
	config.mac = (const uint8_t[]){1, 2, 3, 4, 5, 6};
	assert_int_equal(CREATE(), -EINVAL);
	config.mac = (const uint8_t[]){2, 2, 3, 4, 5, 6};
	assert_int_equal(CREATE(), 0);
	virtio_device_config(out, 0, &space, sizeof(space), false);
	assert_int_equal(space.mtu, 9000);
	assert_memory_equal(space.mac, config.mac, 6);
	virtio_device_destroy(out);
	close(pair[1]);
	fake_guest_destroy(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(receive_buffers_may_be_split_anywhere),
		cmocka_unit_test(frames_may_arrive_cut_anywhere),
		cmocka_unit_test(packets_wait_for_buffers),
		cmocka_unit_test(a_packet_is_spread_over_merged_buffers),
		cmocka_unit_test(merged_buffers_appear_all_at_once),
		cmocka_unit_test(a_large_packet_waits_for_more_buffers),
		cmocka_unit_test(a_packet_too_large_for_all_buffers_is_dropped),
		cmocka_unit_test(buffers_without_room_are_given_back),
		cmocka_unit_test(packets_may_be_split_anywhere),
		cmocka_unit_test(packets_of_any_allowed_size_are_sent),
		cmocka_unit_test(offloads_that_were_not_negotiated_are_refused),
		cmocka_unit_test(sending_waits_for_the_peer),
		cmocka_unit_test(large_packets_may_be_taken_in_part),
		cmocka_unit_test(bursts_are_handled_in_turns),
		cmocka_unit_test(a_long_stream_arrives_whole),
		cmocka_unit_test(packets_in_very_many_pieces),
		cmocka_unit_test(a_reset_keeps_the_framing),
		cmocka_unit_test(a_reset_takes_buffers_back),
		cmocka_unit_test(the_link_goes_down_with_the_peer),
		cmocka_unit_test(nonsense_from_the_peer_ends_the_link),
		cmocka_unit_test(the_address_is_ours_and_stays),
		cmocka_unit_test(bad_configurations_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
