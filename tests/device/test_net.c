// SPDX-License-Identifier: MIT
/* virtio-net's packets from the guest, resets and the link, with a socket pair in the place of passt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <errno.h>
#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/net/net.h"
#include "protocol/virtio_net.h"
#include "tests/device/rings.h"
#include "tests/lib/net_world.h"

static struct net_world w;

static void packets_may_be_split_anywhere(void **state)
{
	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		net_world_begin(&w, &rings[r]);
		fake_guest_split_each(w.guest, NET_TRANSMIT, NET_HEADER + 60, net_world_send_one, &w);
		assert_int_equal(net_counters(w.device)->tx_dropped, 0);
		net_world_end(&w);
	}
}

static void packets_of_any_allowed_size_are_sent(void **state)
{
	static const size_t sizes[] = {14, 15, 1514, 9000, 65535, NET_MAX_FRAME};
	uint8_t byte;

	(void)state;
	net_world_begin(&w, &rings[3]);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		assert_int_equal(fake_guest_request(w.guest, NET_TRANSMIT, net_packet, net_make_packet(sizes[i], 1),
						    NULL, 0, NULL),
				 0);
		net_world_expect_frame(&w, sizes[i], 1);
	}
	assert_int_equal(net_counters(w.device)->tx_packets, 6);
	/* Others are dropped, and nothing of them is sent. */
	for (size_t n = 0; n < NET_HEADER + 14; n++)
		assert_int_equal(fake_guest_request(w.guest, NET_TRANSMIT, net_packet, n, NULL, 0, NULL), 0);
	assert_int_equal(fake_guest_request(w.guest, NET_TRANSMIT, net_packet, net_make_packet(NET_MAX_FRAME + 1, 1),
					    NULL, 0, NULL),
			 0);
	assert_int_equal(net_world_pull(&w, &byte, 1), 0);
	assert_int_equal(net_counters(w.device)->tx_dropped, NET_HEADER + 14 + 1);
	net_world_send_one(&w);
	net_world_end(&w);
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
	size_t n = net_make_packet(60, 1);
	uint8_t byte;

	(void)state;
	net_world_begin(&w, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		memcpy(net_packet, &bad[i], NET_HEADER);
		assert_int_equal(fake_guest_request(w.guest, NET_TRANSMIT, net_packet, n, NULL, 0, NULL), 0);
	}
	assert_int_equal(net_world_pull(&w, &byte, 1), 0);
	assert_int_equal(net_counters(w.device)->tx_dropped, sizeof(bad) / sizeof(*bad));
	net_world_end(&w);
}

/* So large that the socket takes a part of one. */
static void large_packets_may_be_taken_in_part(void **state)
{
	static uint8_t wire[40 * 60004], found[sizeof(wire)];
	static struct fake_request *r[40];
	size_t have;

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		net_on_the_wire(wire + i * 60004, 60000, (uint8_t)i);
	net_world_begin(&w, &rings[3]);
	for (unsigned i = 0; i < 40; i++)
		r[i] = fake_guest_add(w.guest, NET_TRANSMIT, net_packet, net_make_packet(60000, (uint8_t)i), 0);
	fake_guest_kick(w.guest, NET_TRANSMIT);
	for (have = 0; have < sizeof(wire);) {
		/* A little at a time, so that what is left over is sent in parts, too. */
		size_t n =
			net_world_pull(&w, found + have, sizeof(found) - have < 10000 ? sizeof(found) - have : 10000);

		have += n;
		if (!n)
			net_world_run(&w, 1);
	}
	assert_memory_equal(found, wire, sizeof(wire));
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(fake_guest_wait(w.guest, r[i], 5000), 0);
		fake_guest_free_request(w.guest, r[i]);
	}
	net_world_end(&w);
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
		net_world_begin(&w, &options);
		for (int round = 0; round < 3; round++) {
			n = 0;
			for (unsigned i = 0; i < 256; i++) {
				in[i] = fake_guest_add(w.guest, NET_RECEIVE, NULL, 0, 128);
				out[i] = fake_guest_add(w.guest, NET_TRANSMIT, net_packet,
							net_make_packet(64, (uint8_t)i), 0);
				n += net_on_the_wire(wire + n, 64, (uint8_t)i);
			}
			net_world_push(&w, wire, n);
			fake_guest_kick(w.guest, NET_RECEIVE);
			fake_guest_kick(w.guest, NET_TRANSMIT);
			/* The first turn is over, and not everything is done. */
			fake_guest_poll(w.guest, NET_TRANSMIT);
			assert_true(out[0]->done);
			assert_false(out[255]->done);
			if (round == 1) {
				fake_guest_reset(w.guest);
				assert_int_equal(fake_guest_start(w.guest, w.device), 0);
				for (unsigned i = 0; i < 256; i++) {
					fake_guest_free_request(w.guest, in[i]);
					fake_guest_free_request(w.guest, out[i]);
				}
				/* What came for the driver before is for the next one. */
				for (unsigned i = net_counters(w.device)->rx_packets % 256; i < 256; i++) {
					in[i] = net_world_post(&w, 128);
					assert_int_equal(fake_guest_wait(w.guest, in[i], 5000), 0);
					net_check_packet(in[i], 64, (uint8_t)i);
					fake_guest_free_request(w.guest, in[i]);
				}
				while (net_world_pull(&w, wire, sizeof(wire)))
					net_world_run(&w, 1);
				continue;
			}
			for (unsigned i = 0; i < 256; i++) {
				assert_int_equal(fake_guest_wait(w.guest, in[i], 5000), 0);
				assert_int_equal(fake_guest_wait(w.guest, out[i], 5000), 0);
				net_check_packet(in[i], 64, (uint8_t)i);
				net_world_expect_frame(&w, 64, (uint8_t)i);
				fake_guest_free_request(w.guest, in[i]);
				fake_guest_free_request(w.guest, out[i]);
			}
		}
		net_world_end(&w);
	}
}

/* Let the device do all it can with what was written, however long that takes: nobody else takes part. Is @r done then? */
static bool is_done_at_last(const struct fake_request *r)
{
	for (unsigned i = 0; i < 50 && !r->done; i++) {
		assert_int_equal(loop_run_once(fake_guest_loop(w.guest), 0), 0);
		net_world_run(&w, 0);
	}
	return r->done;
}

/* More than the buffer between socket and guest holds, in frames that lie across its end. */
static void a_long_stream_arrives_whole(void **state)
{
	static uint8_t wire[1 << 20], frame[NET_MAX_FRAME];
	size_t sizes[64], total = 0, sent = 0, merged = 0;
	unsigned frames = 0;

	(void)state;
	for (frames = 0; frames < 64; frames++) {
		sizes[frames] = 14 + frames * 7919u % 20000;
		if (total + 4 + sizes[frames] > sizeof(wire))
			break;
		total += net_on_the_wire(wire + total, sizes[frames], (uint8_t)frames);
	}
	net_world_begin(&w, &rings[1]);
	for (unsigned f = 0; f < frames; f++) {
		size_t packet_bytes = NET_HEADER + sizes[f], at = 0;
		static uint8_t found[NET_HEADER + NET_MAX_FRAME];

		while (at < packet_bytes) {
			struct fake_request *r = net_world_post(&w, 2048);

			do {
				ssize_t n = write(w.peer, wire + sent, total - sent);

				sent += n > 0 ? (size_t)n : 0;
				/* Merged buffers appear together: post until it is enough. */
				if (!is_done_at_last(r)) {
					static struct fake_request *more[64];
					unsigned count = 0;

					more[count++] = r;
					while (!is_done_at_last(more[0])) {
						assert_true(count < 64);
						more[count++] = net_world_post(&w, 2048);
					}
					for (unsigned i = 0; i < count; i++) {
						assert_true(more[i]->done);
						memcpy(found + at, more[i]->out, more[i]->used_len);
						at += more[i]->used_len;
						if (i)
							fake_guest_free_request(w.guest, more[i]);
					}
					merged += count > 1;
				} else {
					memcpy(found + at, r->out, r->used_len);
					at += r->used_len;
				}
			} while (!r->done);
			fake_guest_free_request(w.guest, r);
		}
		assert_int_equal(at, packet_bytes);
		net_fill(frame, sizes[f], (uint8_t)f);
		assert_memory_equal(found + NET_HEADER, frame, sizes[f]);
	}
	assert_int_equal(sent, total);
	assert_true(merged > 10);
	net_world_end(&w);
}

static void packets_in_very_many_pieces(void **state)
{
	struct fake_guest_options options = {.indirect = true};
	static uint8_t wire[3000];
	struct fake_request *r, *first;

	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		options.packed = packed;
		net_world_begin(&w, &options);
		fake_guest_set_split(w.guest, 0, 1);
		r = net_world_post(&w, 1024);
		net_world_push(&w, wire, net_on_the_wire(wire, 1000, 1));
		assert_int_equal(fake_guest_wait(w.guest, r, 5000), 0);
		net_check_packet(r, 1000, 1);
		fake_guest_free_request(w.guest, r);
		assert_int_equal(
			fake_guest_request(w.guest, NET_TRANSMIT, net_packet, net_make_packet(1000, 5), NULL, 0, NULL),
			0);
		net_world_expect_frame(&w, 1000, 5);
		/* As many as there can be: 1011 bytes of 1 byte each, and two such buffers for one packet. */
		fake_guest_set_split(w.guest, 0, 2);
		first = net_world_post(&w, 2000);
		r = net_world_post(&w, 2000);
		net_world_push(&w, wire, net_on_the_wire(wire, 2500, 1));
		assert_int_equal(fake_guest_wait(w.guest, r, 5000), 0);
		assert_int_equal(r->used_len, 2500 + NET_HEADER - 2000);
		assert_int_equal(first->used_len, 2000);
		fake_guest_free_request(w.guest, first);
		fake_guest_free_request(w.guest, r);
		net_world_end(&w);
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
		net_on_the_wire(wire + i * 9004, 9000, (uint8_t)i);
	for (size_t k = 1; k < RING_KINDS; k += 2) {
		net_world_begin(&w, &rings[k]);
		for (unsigned i = 0; i < 200; i++)
			r[i] = fake_guest_add(w.guest, NET_TRANSMIT, net_packet, net_make_packet(9000, (uint8_t)i), 0);
		fake_guest_kick(w.guest, NET_TRANSMIT);
		net_world_run(&w, 20);
		for (done = 0; done < 200 && r[done]->done;)
			done++;
		assert_in_range(done, 1, 199);
		net_world_receive_one(&w);
		for (have = 0; have < sizeof(wire); net_world_run(&w, 1)) {
			size_t n = net_world_pull(&w, found + have, sizeof(found) - have);

			assert_true(n);
			have += n;
		}
		assert_memory_equal(found, wire, sizeof(wire));
		for (unsigned i = 0; i < 200; i++) {
			assert_int_equal(fake_guest_wait(w.guest, r[i], 5000), 0);
			fake_guest_free_request(w.guest, r[i]);
		}
		assert_int_equal(net_counters(w.device)->tx_packets, 200);
		net_world_end(&w);
	}
}

static void a_reset_keeps_the_framing(void **state)
{
	static struct fake_request *r[40];
	static uint8_t found[40 * 60004 + 104];
	size_t have = 0, at = 0;
	unsigned frames = 0;

	(void)state;
	net_world_begin(&w, &rings[1]);
	for (unsigned i = 0; i < 40; i++)
		r[i] = fake_guest_add(w.guest, NET_TRANSMIT, net_packet, net_make_packet(60000, (uint8_t)i), 0);
	fake_guest_kick(w.guest, NET_TRANSMIT);
	net_world_run(&w, 5);
	fake_guest_reset(w.guest);
	for (unsigned i = 0; i < 40; i++)
		fake_guest_free_request(w.guest, r[i]);
	assert_int_equal(fake_guest_start(w.guest, w.device), 0);
	/* The next driver's packet is a frame of its own behind what was begun before. */
	r[0] = fake_guest_add(w.guest, NET_TRANSMIT, net_packet, net_make_packet(100, 250), 0);
	fake_guest_kick(w.guest, NET_TRANSMIT);
	while (!r[0]->done) {
		have += net_world_pull(&w, found + have, sizeof(found) - have);
		net_world_run(&w, 1);
	}
	have += net_world_pull(&w, found + have, sizeof(found) - have);
	while (at < have) {
		uint32_t length;

		memcpy(&length, found + at, 4);
		length = ntohl(length);
		net_fill(net_packet, length, length == 100 ? 250 : (uint8_t)frames);
		assert_true(length == 60000 || (length == 100 && at + 104 == have));
		assert_memory_equal(found + at + 4, net_packet, length);
		at += 4 + length;
		frames++;
	}
	assert_int_equal(at, have);
	assert_in_range(frames, 2, 40);
	fake_guest_free_request(w.guest, r[0]);
	net_world_end(&w);
}

static void a_reset_takes_buffers_back(void **state)
{
	struct fake_request *r[8];

	(void)state;
	for (size_t k = 0; k < RING_KINDS; k++) {
		net_world_begin(&w, &rings[k]);
		for (int round = 0; round < 3; round++) {
			for (int i = 0; i < 8; i++)
				r[i] = net_world_post(&w, 2048);
			fake_guest_reset(w.guest);
			for (int i = 0; i < 8; i++) {
				assert_true(r[i]->lost);
				fake_guest_free_request(w.guest, r[i]);
			}
			assert_int_equal(fake_guest_start(w.guest, w.device), 0);
			net_world_send_one(&w);
			net_world_receive_one(&w);
		}
		net_world_end(&w);
	}
}

/* ---- the other side ---- */

static uint16_t link_status(void)
{
	struct virtio_net_config space;

	fake_guest_read_config(w.guest, 0, &space, sizeof(space));
	return space.status;
}

static void the_link_goes_down_with_the_peer(void **state)
{
	struct fake_request *r;
	unsigned changes;

	(void)state;
	for (size_t k = 0; k < RING_KINDS; k++) {
		net_world_begin(&w, &rings[k]);
		assert_int_equal(link_status(), VIRTIO_NET_S_LINK_UP);
		changes = fake_guest_config_changes(w.guest);
		r = net_world_post(&w, 2048);
		close(w.peer);
		w.peer = -1;
		net_world_run(&w, 5);
		assert_int_equal(link_status(), 0);
		assert_int_equal(fake_guest_config_changes(w.guest), changes + 1);
		/* The guest may go on sending; nothing comes of it. */
		for (int i = 0; i < 3; i++)
			assert_int_equal(fake_guest_request(w.guest, NET_TRANSMIT, net_packet, net_make_packet(60, 1),
							    NULL, 0, NULL),
					 0);
		assert_int_equal(net_counters(w.device)->tx_dropped, 3);
		assert_false(r->done);
		fake_guest_reset(w.guest);
		fake_guest_free_request(w.guest, r);
		assert_int_equal(fake_guest_start(w.guest, w.device), 0);
		assert_int_equal(
			fake_guest_request(w.guest, NET_TRANSMIT, net_packet, net_make_packet(60, 1), NULL, 0, NULL),
			0);
		net_world_end(&w);
	}
	/* Noticed by sending as well. */
	net_world_begin(&w, NULL);
	close(w.peer);
	w.peer = -1;
	assert_int_equal(fake_guest_request(w.guest, NET_TRANSMIT, net_packet, net_make_packet(60, 1), NULL, 0, NULL),
			 0);
	assert_int_equal(link_status(), 0);
	net_world_end(&w);
}

/* A peer that says its last word and takes no more: the guest may have no room to kick again. */
static void packets_that_wait_go_with_the_link(void **state)
{
	static struct fake_request *r[200];
	struct fake_request *in;

	(void)state;
	net_world_begin(&w, NULL);
	for (unsigned i = 0; i < 200; i++)
		r[i] = fake_guest_add(w.guest, NET_TRANSMIT, net_packet, net_make_packet(9000, (uint8_t)i), 0);
	fake_guest_kick(w.guest, NET_TRANSMIT);
	in = net_world_post(&w, 2048);
	net_world_run(&w, 20);
	assert_false(r[199]->done);
	assert_int_equal(shutdown(w.peer, SHUT_WR), 0);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(fake_guest_wait(w.guest, r[i], 1000), 0);
		fake_guest_free_request(w.guest, r[i]);
	}
	assert_int_equal(link_status(), 0);
	assert_in_range(net_counters(w.device)->tx_dropped, 1, 199);
	fake_guest_reset(w.guest);
	fake_guest_free_request(w.guest, in);
	net_world_end(&w);
}

static void nonsense_from_the_peer_ends_the_link(void **state)
{
	static const uint32_t lengths[] = {0, 13, NET_MAX_FRAME + 1, 0x80000000u, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		uint32_t length = htonl(lengths[i]);
		struct fake_request *r;

		net_world_begin(&w, NULL);
		r = net_world_post(&w, 2048);
		net_world_push(&w, (uint8_t *)&length, 4);
		net_world_run(&w, 5);
		assert_int_equal(link_status(), 0);
		assert_false(r->done);
		fake_guest_reset(w.guest);
		fake_guest_free_request(w.guest, r);
		net_world_end(&w);
	}
}

static void the_address_is_ours_and_stays(void **state)
{
	struct virtio_net_config space;
	uint8_t first[6];

	(void)state;
	net_world_begin(&w, NULL);
	fake_guest_read_config(w.guest, 0, &space, sizeof(space));
	assert_int_equal(space.mac[0] & 3, 2);
	memcpy(first, space.mac, 6);
	assert_memory_equal(first, net_mac(w.device), 6);
	assert_false(w.device->offered & VIRTIO_BIT(VIRTIO_NET_F_MTU));
	assert_false(w.device->offered & VIRTIO_BIT(VIRTIO_NET_F_CSUM));
	/* Not for the driver to write. */
	virtio_device_config(w.device, 0, &space, 1, true);
	net_world_end(&w);
	net_world_begin(&w, NULL);
	fake_guest_read_config(w.guest, 0, &space, sizeof(space));
	assert_memory_equal(first, space.mac, 6);
	net_world_end(&w);
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
		cmocka_unit_test(packets_that_wait_go_with_the_link),
		cmocka_unit_test(nonsense_from_the_peer_ends_the_link),
		cmocka_unit_test(the_address_is_ours_and_stays),
		cmocka_unit_test(bad_configurations_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
