// SPDX-License-Identifier: MIT
/*
 * Requests in flight in the frontend's memory (INFLIGHT_SHMFD): the device's process is gone with all it knew, another one
 * gets the memory, and the driver's requests come back all the same, each once.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/base/log.h"
#include "host/virtio/inflight.h"
#include "host/virtio/queue.h"
#include "protocol/virtio.h"
#include "tests/device/rings.h"
#include "tests/lib/vhost_peer.h"

#define REQUESTS 12u
#define SIZE 256u

struct world {
	struct vhost_peer *peer;
	struct fake_request *requests[REQUESTS];
	struct chain *held[REQUESTS];
	uint8_t order[REQUESTS]; /* in which the device saw them */
	unsigned count;
	bool answers; /* at once, else it holds them */
};

static void answer(struct chain *c, uint8_t number)
{
	const uint8_t word = (uint8_t)(number + 'a');

	assert_int_equal(writer_copy(chain_writer(c), &word, 1), 0);
	chain_finish(c);
}

static void handle(struct echo *e, unsigned queue, struct chain *c)
{
	struct world *w = e->owner;
	uint8_t number;

	assert_int_equal(queue, 0);
	assert_int_equal(chain_stage(c), CHAIN_TAKEN);
	assert_int_equal(read_obj(chain_reader(c), &number), 0);
	assert_true(w->count < REQUESTS && number < REQUESTS);
	w->held[w->count] = w->answers ? NULL : c;
	w->order[w->count++] = number;
	if (w->answers)
		answer(c, number);
}

static void begin(struct world *w, const struct fake_guest_options *options)
{
	*w = (struct world){.peer = vhost_peer_create(options, false, false)};
	w->peer->echo->handle = handle;
	w->peer->echo->owner = w;
	assert_true(vhost_peer_handshake(w->peer));
	assert_true(w->peer->protocol & VIRTIO_BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD));
	assert_true(vhost_peer_get_inflight(w->peer, SIZE));
	assert_int_equal(fake_guest_start(w->peer->guest, &w->peer->device), 0);
	/* Chains of several descriptors, or tables. */
	fake_guest_set_split(w->peer->guest, 1, 2);
}

static void end(struct world *w)
{
	for (unsigned i = 0; i < REQUESTS; i++)
		fake_guest_free_request(w->peer->guest, w->requests[i]);
	vhost_peer_destroy(w->peer);
}

static void add(struct world *w, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		const uint8_t number[3] = {(uint8_t)i};

		w->requests[i] = fake_guest_add(w->peer->guest, 0, number, sizeof(number), 4);
	}
}

static void serve(struct world *w)
{
	fake_guest_force_kick(w->peer->guest, 0);
	vhost_peer_settle(w->peer);
}

/* Answer the request that the device saw as number @at. */
static void answer_held(struct world *w, unsigned at)
{
	answer(w->held[at], w->order[at]);
	w->held[at] = NULL;
}

/* What is held of a ring that is gone. */
static void let_go(struct world *w)
{
	for (unsigned i = 0; i < w->count; i++) {
		if (w->held[i])
			chain_finish(w->held[i]);
	}
	w->count = 0;
}

/* Another process takes the place of the one that was: a frontend that could not ask where the rings stood says anything. */
static void start_over(struct world *w)
{
	struct vhost_peer *p = w->peer;

	vhost_peer_restart(p);
	let_go(w);
	p->resume = true;
	for (unsigned q = 0; q < ECHO_QUEUES; q++)
		p->base[q] = 77;
	assert_true(vhost_peer_handshake(p));
	for (unsigned q = 0; q < ECHO_QUEUES; q++) {
		/* Queue 0 alone was in use. */
		if (q)
			p->base[q] = p->device.negotiated & VIRTIO_BIT(VIRTIO_F_RING_PACKED) ? 0x80008000 : 0;
		assert_int_equal(virtio_device_start_queue(&p->device, q, &fake_guest_ring(p->guest, q)->setup), 0);
	}
	vhost_peer_settle(p);
}

static void all_came_back(struct world *w)
{
	vhost_peer_settle(w->peer);
	fake_guest_poll(w->peer->guest, 0);
	for (unsigned i = 0; i < REQUESTS; i++) {
		assert_true(w->requests[i]->done);
		assert_false(w->requests[i]->lost);
		assert_int_equal(w->requests[i]->used_len, 1);
		assert_int_equal(w->requests[i]->out[0], 'a' + i);
	}
}

/* Many laps, so that places and entries are those of others before. */
static void run_in(struct world *w, unsigned laps)
{
	w->answers = true;
	for (unsigned lap = 0; lap < laps; lap++) {
		w->count = 0;
		add(w, 0, REQUESTS);
		serve(w);
		all_came_back(w);
		for (unsigned i = 0; i < REQUESTS; i++)
			fake_guest_free_request(w->peer->guest, w->requests[i]);
	}
	w->answers = false;
	w->count = 0;
}

static void what_had_no_answer_is_done_again_in_order(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		for (unsigned laps = 0; laps < 40; laps += 13) {
			struct world w;
			unsigned expect = 0;

			begin(&w, &rings[kind]);
			run_in(&w, laps);
			add(&w, 0, 8);
			serve(&w);
			assert_int_equal(w.count, 8);
			/* Answered out of their order; seen or not seen by the driver. */
			answer_held(&w, 5);
			answer_held(&w, 0);
			answer_held(&w, 6);
			if (laps % 2)
				fake_guest_poll(w.peer->guest, 0);
			/* Not yet seen by the device. */
			add(&w, 8, REQUESTS);
			start_over(&w);
			/* 1 2 3 4 7, and the new ones after them. */
			assert_int_equal(w.count, 9);
			for (unsigned i = 0; i < w.count; i++) {
				expect += expect == 0 || expect == 5 || expect == 6;
				expect += expect == 6;
				assert_int_equal(w.order[i], expect);
				expect++;
			}
			/* And once more, with some of the same. */
			answer_held(&w, 8);
			answer_held(&w, 1);
			w.answers = true;
			start_over(&w);
			assert_int_equal(w.count, 7);
			all_came_back(&w);
			end(&w);
		}
	}
}

static void nothing_in_flight_is_done_again_after_a_stop_or_a_reset(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		struct world w;

		begin(&w, &rings[kind]);
		run_in(&w, 3);
		/* A new driver in the same connection, with requests of the old one in flight. */
		add(&w, 0, 4);
		serve(&w);
		assert_int_equal(w.count, 4);
		w.peer->say_reset = true;
		w.peer->resume = false;
		assert_int_equal(fake_guest_start(w.peer->guest, &w.peer->device), 0);
		let_go(&w);
		for (unsigned i = 0; i < 4; i++)
			fake_guest_free_request(w.peer->guest, w.requests[i]);
		w.answers = true;
		add(&w, 0, REQUESTS);
		serve(&w);
		assert_int_equal(w.count, REQUESTS);
		all_came_back(&w);
		start_over(&w);
		assert_int_equal(w.count, 0);
		end(&w);
	}
}

static uint64_t give(struct vhost_peer *p, const struct vhost_user_inflight *d, int fd)
{
	return vhost_peer_tell(p, VHOST_USER_SET_INFLIGHT_FD, d, sizeof(*d), &fd, 1);
}

static void a_memory_that_does_not_fit_is_refused(void **state)
{
	struct vhost_peer *p = vhost_peer_create(NULL, false, false);
	struct vhost_user_inflight good, d;
	int plain = memfd_create("plain", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	FILE *unsealed = tmpfile();
	int pipes[2];

	(void)state;
	log_set_levels("error");
	assert_true(vhost_peer_handshake(p));
	assert_true(vhost_peer_get_inflight(p, SIZE));
	good = p->inflight;
	assert_int_equal(good.num_queues, ECHO_QUEUES);
	assert_int_equal(good.queue_size, SIZE);
	assert_true(good.mmap_size >= ECHO_QUEUES * (sizeof(struct vhost_user_inflight_packed) +
						     SIZE * sizeof(struct vhost_user_inflight_packed_desc)));
	assert_int_equal(give(p, &good, p->inflight_fd), 0);
	for (unsigned i = 0; i < 10; i++) {
		d = good;
		switch (i) {
		case 0:
			d.num_queues = 0;
			break;
		case 1:
			d.num_queues = ECHO_QUEUES + 1;
			break;
		case 2:
			d.queue_size = 0;
			break;
		case 3:
			d.queue_size = INFLIGHT_MAX_SIZE + 1;
			break;
		case 4:
			d.queue_size = SIZE + 64; /* more than was made */
			break;
		case 5:
			d.mmap_size--;
			break;
		case 6:
			d.mmap_size = UINT64_MAX;
			break;
		case 7:
			d.mmap_offset = 8;
			break;
		case 8:
			d.mmap_offset = 4096; /* ends behind the file */
			break;
		case 9:
			d.mmap_offset = UINT64_MAX - 4095;
			break;
		}
		assert_int_equal(give(p, &d, p->inflight_fd), EINVAL);
	}
	/* One that may be made shorter, and descriptors of other things. */
	assert_int_equal(ftruncate(plain, (off_t)good.mmap_size), 0);
	assert_non_null(unsealed);
	assert_int_equal(ftruncate(fileno(unsealed), (off_t)good.mmap_size), 0);
	assert_int_equal(give(p, &good, plain), EPERM);
	assert_int_equal(give(p, &good, fileno(unsealed)), EPERM);
	assert_int_equal(fcntl(plain, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(give(p, &good, plain), 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(give(p, &good, pipes[0]), EINVAL);
	/* Not while rings run; and a ring that is larger than the memory has room for does not start. */
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	assert_int_equal(give(p, &good, p->inflight_fd), EBUSY);
	/* Ask for what no device has. */
	assert_false(vhost_peer_get_inflight(p, INFLIGHT_MAX_SIZE + 1));
	assert_true(vhost_peer_is_dropped(p));
	vhost_peer_disconnect(p);
	fclose(unsealed);
	close(plain);
	close(pipes[0]);
	close(pipes[1]);
	virtio_device_finish(&p->device);
	vhost_peer_destroy(p);
}

/* Every word of a region, wrong in turn: the ring starts or does not, and gives what it has within its bounds. */
static void nonsense_in_the_memory_is_refused_or_harmless(void **state)
{
	static const uint16_t values[] = {0, 1, 2, 0xff, 0x100, 0x7fff, 0x8000, 0xffff};

	(void)state;
	log_set_levels("error");
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		struct world w;
		struct virtq_setup setup;
		unsigned refused = 0;
		uint8_t *at, before[1024];

		begin(&w, &rings[kind]);
		run_in(&w, 2);
		add(&w, 0, REQUESTS);
		serve(&w);
		assert_int_equal(w.count, REQUESTS);
		at = mmap(NULL, w.peer->inflight.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, w.peer->inflight_fd, 0);
		assert_ptr_not_equal(at, MAP_FAILED);
		memcpy(before, at, sizeof(before));
		setup = fake_guest_ring(w.peer->guest, 0)->setup;
		for (size_t word = 0; word < sizeof(before) / 2; word++) {
			for (unsigned v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
				struct virtq *q = w.peer->echo->device.queues[0];
				struct chain *c;

				/* Of all chains that are held, none belongs to a ring any more. */
				virtq_stop(q);
				memset(w.peer->tracked, 0, sizeof(*w.peer->tracked));
				memcpy(at, before, sizeof(before));
				memcpy(at + 2 * word, &values[v], 2);
				if (virtq_start(q, &setup)) {
					refused++;
					continue;
				}
				for (unsigned i = 0; i < 2 * REQUESTS && virtq_pop(q, &c) == 1; i++)
					chain_finish(c);
			}
		}
		if (refused < 50)
			fail_msg("ring kind %u: only %u of the wrong words were refused", kind, refused);
		munmap(at, w.peer->inflight.mmap_size);
		virtq_stop(w.peer->echo->device.queues[0]);
		let_go(&w);
		fake_guest_reset(w.peer->guest);
		end(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_had_no_answer_is_done_again_in_order),
		cmocka_unit_test(nothing_in_flight_is_done_again_after_a_stop_or_a_reset),
		cmocka_unit_test(a_memory_that_does_not_fit_is_refused),
		cmocka_unit_test(nonsense_in_the_memory_is_refused_or_harmless),
	};

	return cmocka_run_group_tests_name("vhost_inflight", tests, NULL, NULL);
}
