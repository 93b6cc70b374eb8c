// SPDX-License-Identifier: MIT
/* virtio-net's packets to the guest, with a socket pair in the place of passt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/net/net.h"
#include "protocol/virtio_net.h"
#include "tests/device/rings.h"
#include "tests/lib/net_world.h"

static struct net_world w;

static void receive_buffers_may_be_split_anywhere(void **state)
{
	struct fake_guest_options options;

	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		for (int merge = 0; merge < 2; merge++) {
			options = rings[r];
			options.refuse = merge ? 0 : VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF);
			net_world_begin(&w, &options);
			fake_guest_split_each(w.guest, NET_RECEIVE, NET_HEADER + 100, net_world_receive_one, &w);
			assert_int_equal(net_counters(w.device)->rx_dropped, 0);
			net_world_end(&w);
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
		total += net_on_the_wire(wire + total, sizes[i], i);
	net_world_begin(&w, &rings[1]);
	for (size_t cut = 0; cut <= total; cut++) {
		for (int i = 0; i < 3; i++)
			r[i] = net_world_post(&w, NET_HEADER + 128);
		net_world_push(&w, wire, cut);
		net_world_run(&w, 1);
		net_world_push(&w, wire + cut, total - cut);
		for (uint8_t i = 0; i < 3; i++) {
			assert_int_equal(fake_guest_wait(w.guest, r[i], 5000), 0);
			net_check_packet(r[i], sizes[i], i);
			fake_guest_free_request(w.guest, r[i]);
		}
	}
	/* And byte by byte. */
	for (int i = 0; i < 3; i++)
		r[i] = net_world_post(&w, NET_HEADER + 128);
	for (size_t i = 0; i < total; i++) {
		net_world_push(&w, wire + i, 1);
		net_world_run(&w, 1);
	}
	for (uint8_t i = 0; i < 3; i++) {
		assert_int_equal(fake_guest_wait(w.guest, r[i], 5000), 0);
		net_check_packet(r[i], sizes[i], i);
		fake_guest_free_request(w.guest, r[i]);
	}
	net_world_end(&w);
}

static void packets_wait_for_buffers(void **state)
{
	uint8_t wire[128];
	struct fake_request *r;

	(void)state;
	for (size_t k = 0; k < RING_KINDS; k++) {
		net_world_begin(&w, &rings[k]);
		for (uint8_t i = 0; i < 10; i++)
			net_world_push(&w, wire, net_on_the_wire(wire, 64, i));
		net_world_run(&w, 5);
		assert_int_equal(net_counters(w.device)->rx_packets, 0);
		for (uint8_t i = 0; i < 10; i++) {
			r = net_world_post(&w, 1600);
			assert_int_equal(fake_guest_wait(w.guest, r, 5000), 0);
			net_check_packet(r, 64, i);
			fake_guest_free_request(w.guest, r);
		}
		assert_int_equal(net_counters(w.device)->rx_packets, 10);
		net_world_end(&w);
	}
}

static void a_packet_is_spread_over_merged_buffers(void **state)
{
	static uint8_t wire[NET_MAX_FRAME + 4], found[NET_HEADER + NET_MAX_FRAME], frame[NET_MAX_FRAME];
	static const size_t sizes[] = {2000, 1524, 1525, 9000, 65535, NET_MAX_FRAME, 60};
	struct fake_request *r[64];

	(void)state;
	for (size_t k = 0; k < RING_KINDS; k++) {
		net_world_begin(&w, &rings[k]);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			size_t packet = NET_HEADER + sizes[i], buffers = (packet + 1535) / 1536, at = 0;
			struct virtio_net_hdr_v1 header = {.num_buffers = (uint16_t)buffers};

			for (int b = 0; b < 64; b++)
				r[b] = net_world_post(&w, 1536);
			net_on_the_wire(wire, sizes[i], (uint8_t)i);
			for (size_t sent = 0; sent < sizes[i] + 4; net_world_run(&w, 1)) {
				ssize_t n = write(w.peer, wire + sent, sizes[i] + 4 - sent);

				assert_true(n > 0 || errno == EAGAIN);
				sent += n > 0 ? (size_t)n : 0;
			}
			assert_int_equal(fake_guest_wait(w.guest, r[buffers - 1], 5000), 0);
			for (size_t b = 0; b < 64; b++) {
				assert_int_equal(r[b]->done, b < buffers);
				if (b >= buffers)
					continue;
				assert_int_equal(r[b]->used_len, b + 1 < buffers ? 1536 : packet - at);
				memcpy(found + at, r[b]->out, r[b]->used_len);
				at += r[b]->used_len;
			}
			net_fill(frame, sizes[i], (uint8_t)i);
			assert_memory_equal(found, &header, NET_HEADER);
			assert_memory_equal(found + NET_HEADER, frame, sizes[i]);
			fake_guest_reset(w.guest);
			for (int b = 0; b < 64; b++)
				fake_guest_free_request(w.guest, r[b]);
			assert_int_equal(fake_guest_start(w.guest, w.device), 0);
		}
		net_world_end(&w);
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

		net_world_begin(&w, &rings[k]);
		for (int i = 0; i < 4; i++)
			r[i] = net_world_post(&w, 1024);
		before = fake_guest_interrupts(w.guest, NET_RECEIVE);
		net_world_push(&w, wire, net_on_the_wire(wire, 4 * 1024 - NET_HEADER, 1));
		assert_int_equal(fake_guest_wait(w.guest, r[0], 5000), 0);
		for (int i = 0; i < 4; i++)
			assert_true(r[i]->done);
		assert_int_equal(fake_guest_interrupts(w.guest, NET_RECEIVE), before + 1);
		for (int i = 0; i < 4; i++)
			fake_guest_free_request(w.guest, r[i]);
		net_world_end(&w);
	}
}

static void a_large_packet_waits_for_more_buffers(void **state)
{
	static uint8_t wire[8192], frame[4000];
	struct fake_request *r[3];

	(void)state;
	net_world_begin(&w, &rings[1]);
	net_world_push(&w, wire, net_on_the_wire(wire, 4000, 7));
	r[0] = net_world_post(&w, 1500);
	net_world_run(&w, 5);
	r[1] = net_world_post(&w, 1500);
	net_world_run(&w, 5);
	assert_false(r[0]->done);
	r[2] = net_world_post(&w, 1500);
	for (int i = 0; i < 3; i++)
		assert_int_equal(fake_guest_wait(w.guest, r[i], 50), 0);
	net_fill(frame, 4000, 7);
	assert_int_equal(r[0]->out[10], 3);
	assert_memory_equal(r[0]->out + NET_HEADER, frame, 1500 - NET_HEADER);
	assert_memory_equal(r[1]->out, frame + 1500 - NET_HEADER, 1500);
	assert_int_equal(r[2]->used_len, 4000 + NET_HEADER - 3000);
	assert_memory_equal(r[2]->out, frame + 3000 - NET_HEADER, 4000 + NET_HEADER - 3000);
	for (int i = 0; i < 3; i++)
		fake_guest_free_request(w.guest, r[i]);
	net_world_end(&w);
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
		net_world_begin(&w, &options);
		r = net_world_post(&w, 1526);
		net_world_push(&w, wire, net_on_the_wire(wire, 1515, 1));
		net_world_push(&w, wire, net_on_the_wire(wire, 1514, 2));
		assert_int_equal(fake_guest_wait(w.guest, r, 5000), 0);
		net_check_packet(r, 1514, 2);
		fake_guest_free_request(w.guest, r);
		assert_int_equal(net_counters(w.device)->rx_dropped, 1);
		assert_int_equal(net_counters(w.device)->rx_packets, 1);
		net_world_end(&w);
	}
}

static void buffers_without_room_are_given_back(void **state)
{
	struct fake_request *r;

	(void)state;
	net_world_begin(&w, NULL);
	r = fake_guest_add(w.guest, NET_RECEIVE, "x", 1, 0);
	fake_guest_kick(w.guest, NET_RECEIVE);
	assert_int_equal(fake_guest_wait(w.guest, r, 5000), 0);
	fake_guest_free_request(w.guest, r);
	net_world_receive_one(&w);
	net_world_end(&w);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
