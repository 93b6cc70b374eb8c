// SPDX-License-Identifier: MIT
/* A device's rings through a vhost-user socket: start, stop, go on, memory that changes, drivers that come and go. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/base/log.h"
#include "host/vhost/server.h"
#include "protocol/virtio.h"
#include "tests/device/rings.h"
#include "tests/lib/vhost_peer.h"

static struct vhost_peer *begin(const struct fake_guest_options *options, bool listen)
{
	struct vhost_peer *p = vhost_peer_create(options, listen, false);

	if (listen)
		vhost_peer_connect(p);
	assert_true(vhost_peer_handshake(p));
	return p;
}

static void echoes(struct vhost_peer *p, unsigned queue, unsigned seed)
{
	uint8_t in[300], out[300];
	uint32_t used;

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7 + seed);
	assert_int_equal(fake_guest_request(p->guest, queue, in, sizeof(in), out, sizeof(out), &used), 0);
	assert_int_equal(used, sizeof(out));
	assert_memory_equal(in, out, sizeof(in));
}

static void requests_are_served_on_every_kind_of_ring(void **state)
{
	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		struct vhost_peer *p = begin(&rings[r], false);

		assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
		assert_int_equal(p->echo->starts, 1);
		/* Several laps of the smallest ring. */
		for (unsigned i = 0; i < 600; i++)
			echoes(p, i % ECHO_QUEUES, i);
		vhost_peer_destroy(p);
	}
}

static void notifications_may_be_messages(void **state)
{
	struct fake_guest_options o = {0};
	struct vhost_peer *p = vhost_peer_create(&o, false, true);
	struct fake_request *r;
	struct vhost_answer a;

	(void)state;
	assert_true(vhost_peer_handshake(p));
	assert_true(p->protocol & VIRTIO_BIT(VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS));
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	r = fake_guest_add(p->guest, 1, "hello", 5, 5);
	fake_guest_kick(p->guest, 1);
	/* It interrupts by a message on the other channel. */
	assert_int_equal(recv(p->backend_fd, &a.header, sizeof(a.header), 0), sizeof(a.header));
	assert_int_equal(recv(p->backend_fd, &a.payload, sizeof(a.payload.state), 0), sizeof(a.payload.state));
	assert_int_equal(a.header.request, VHOST_USER_BACKEND_VRING_CALL);
	assert_int_equal(a.payload.state.index, 1);
	assert_int_equal(fake_guest_poll(p->guest, 1), 1);
	assert_memory_equal(r->out, "hello", 5);
	vhost_peer_destroy(p);
}

static void a_stopped_ring_goes_on_where_it_was(void **state)
{
	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		struct vhost_peer *p = begin(&rings[r], false);
		const struct virtq_setup *setup;
		unsigned resets;

		assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
		for (unsigned i = 0; i < 100; i++)
			echoes(p, 1, i);
		resets = p->echo->resets;
		/* As a machine that is paused: all rings stop, all go on, the driver knows nothing of it. */
		for (unsigned i = 0; i < 5; i++) {
			for (unsigned q = 0; q < ECHO_QUEUES; q++)
				virtio_device_stop_queue(&p->device, q);
			assert_false(virtq_is_started(p->echo->device.queues[1]));
			p->resume = true;
			for (unsigned q = 0; q < ECHO_QUEUES; q++) {
				setup = &fake_guest_ring(p->guest, q)->setup;
				assert_int_equal(virtio_device_start_queue(&p->device, q, setup), 0);
			}
			for (unsigned k = 0; k < 50; k++)
				echoes(p, k % ECHO_QUEUES, k);
		}
		assert_int_equal(p->echo->resets, resets);
		assert_int_equal(p->echo->starts, 1);
		vhost_peer_destroy(p);
	}
}

static void a_new_driver_gets_a_fresh_device(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 4; how++) {
		struct fake_guest_options o = {.packed = how & 1};
		struct vhost_peer *p = begin(&o, false);

		p->say_reset = how & 2;
		for (unsigned i = 1; i <= 5; i++) {
			unsigned resets = p->echo->resets;

			assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
			echoes(p, 0, i);
			echoes(p, 2, i);
			if (i > 1)
				assert_true(p->echo->resets > resets);
			assert_int_equal(p->echo->starts, i);
		}
		vhost_peer_destroy(p);
	}
}

/* A process that took over was told the position of a ring that had been stopped before, no more. */
static void another_position_is_another_driver_s(void **state)
{
	struct vhost_peer *p = begin(NULL, false);
	struct vhost_user_vring_state base = {.index = 1, .num = 5};
	unsigned resets;

	(void)state;
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_BASE, &base, sizeof(base), NULL, 0), 0);
	resets = p->echo->resets;
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_BASE, &base, sizeof(base), NULL, 0), 0);
	assert_int_equal(p->echo->resets, resets);
	base.num = 0;
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_BASE, &base, sizeof(base), NULL, 0), 0);
	assert_int_equal(p->echo->resets, resets + 1);
	vhost_peer_destroy(p);
}

static void say_state(struct vhost_peer *p, uint32_t request, unsigned q, uint32_t num)
{
	const struct vhost_user_vring_state s = {.index = q, .num = num};

	assert_int_equal(vhost_peer_tell(p, request, &s, sizeof(s), NULL, 0), 0);
}

/* All but SET_VRING_ENABLE, which QEMU says when it has said this of all rings. */
static void say_ring(struct vhost_peer *p, unsigned q, uint32_t base)
{
	const struct virtq_setup *s = &fake_guest_ring(p->guest, q)->setup;
	const struct vhost_user_vring_addr addr = {
		.index = q,
		.desc = VHOST_PEER_USER + s->desc_gpa,
		.avail = VHOST_PEER_USER + s->driver_gpa,
		.used = VHOST_PEER_USER + s->device_gpa,
	};
	const uint64_t index = q;

	say_state(p, VHOST_USER_SET_VRING_NUM, q, s->size);
	say_state(p, VHOST_USER_SET_VRING_BASE, q, base);
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_KICK, &index, sizeof(index), &p->kick[q], 1), 0);
}

/* As QEMU stops a device: of all rings, one after the other. */
static void stop_rings(struct vhost_peer *p)
{
	for (unsigned q = 0; q < ECHO_QUEUES; q++)
		say_state(p, VHOST_USER_SET_VRING_ENABLE, q, 0);
	for (unsigned q = 0; q < ECHO_QUEUES; q++)
		virtio_device_stop_queue(&p->device, q);
}

/* A snapshot that is loaded: not every ring stands elsewhere. What was said before the first that does stays said. */
static void rings_that_stand_where_they_did_go_on_beside_others(void **state)
{
	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		struct vhost_peer *p = begin(&rings[r], false);
		uint32_t base[ECHO_QUEUES];
		unsigned resets;

		if (rings[r].packed) {
			vhost_peer_destroy(p);
			continue;
		}
		assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
		for (unsigned i = 0; i < 3; i++) {
			echoes(p, 0, i);
			echoes(p, 1, i);
		}
		stop_rings(p);
		memcpy(base, p->base, sizeof(base));
		resets = p->echo->resets;
		/* Where another driver has made one request more. */
		fake_guest_add(p->guest, 1, "x", 1, 1);
		say_ring(p, 0, base[0]);
		say_ring(p, 1, base[1] + 1);
		say_ring(p, 2, base[2]);
		for (unsigned q = 0; q < ECHO_QUEUES; q++)
			say_state(p, VHOST_USER_SET_VRING_ENABLE, q, 1);
		assert_true(p->echo->resets > resets);
		assert_int_equal(p->echo->starts, 2);
		echoes(p, 0, 7);
		echoes(p, 2, 8);
		vhost_peer_destroy(p);
	}
}

static void say_status(struct vhost_peer *p, uint64_t status)
{
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_STATUS, &status, sizeof(status), NULL, 0), 0);
}

/* QEMU 10 tells FEATURES_OK with the features, before the rings, and nothing of a status after. */
static void a_status_that_was_told_before_the_rings_holds_for_another_driver(void **state)
{
	struct vhost_peer *p = begin(NULL, false);

	(void)state;
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	echoes(p, 0, 1);
	echoes(p, 1, 1);
	stop_rings(p);
	say_status(p, 0);
	say_status(p, VIRTIO_CONFIG_S_FEATURES_OK);
	fake_guest_add(p->guest, 0, "x", 1, 1);
	say_ring(p, 0, p->base[0] + 1);
	for (unsigned q = 1; q < ECHO_QUEUES; q++)
		say_ring(p, q, p->base[q]);
	for (unsigned q = 0; q < ECHO_QUEUES; q++)
		say_state(p, VHOST_USER_SET_VRING_ENABLE, q, 1);
	assert_int_equal(p->echo->starts, 2);
	echoes(p, 1, 2);
	vhost_peer_destroy(p);
}

static void status_starts_and_resets_the_device(void **state)
{
	struct vhost_peer *p = vhost_peer_create(NULL, false, false);
	struct vhost_answer a;
	unsigned resets;

	(void)state;
	p->say_status = true;
	assert_true(vhost_peer_handshake(p));
	assert_true(p->protocol & VIRTIO_BIT(VHOST_USER_PROTOCOL_F_STATUS));
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	assert_true(vhost_peer_call(p, VHOST_USER_GET_STATUS, NULL, 0, &a));
	assert_true(a.payload.u64 & VIRTIO_CONFIG_S_DRIVER_OK);
	echoes(p, 0, 1);
	/* A reset while the rings run. */
	resets = p->echo->resets;
	a.payload.u64 = 0;
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_STATUS, &a.payload.u64, 8, NULL, 0), 0);
	assert_int_equal(p->echo->resets, resets + 1);
	assert_false(virtq_is_started(p->echo->device.queues[0]));
	a.payload.u64 = 256;
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_STATUS, &a.payload.u64, 8, NULL, 0), 0);
	vhost_peer_destroy(p);
}

/* As QEMU 10 does: FEATURES_OK and no more, and a feature of its own. */
static void a_status_without_the_driver_does_not_hold_up_rings(void **state)
{
	struct vhost_peer *p = vhost_peer_create(NULL, false, false);
	uint64_t word;

	(void)state;
	assert_true(vhost_peer_handshake(p));
	word = p->features | VIRTIO_BIT(VIRTIO_F_RING_RESET);
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_FEATURES, &word, 8, NULL, 0), 0);
	word = VIRTIO_CONFIG_S_FEATURES_OK;
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_STATUS, &word, 8, NULL, 0), 0);
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	echoes(p, 0, 1);
	vhost_peer_destroy(p);
}

static struct chain *held[8];
static unsigned held_count;

static void hold(struct echo *e, unsigned queue, struct chain *c)
{
	(void)e;
	(void)queue;
	held[held_count++] = c;
}

static void get_vring_base_waits_for_what_is_in_flight(void **state)
{
	struct vhost_peer *p = begin(NULL, false);
	const struct vhost_user_vring_state s = {.index = 0};
	struct fake_request *r;
	struct vhost_answer a;
	char byte;

	(void)state;
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	p->echo->handle = hold;
	held_count = 0;
	r = fake_guest_add(p->guest, 0, "abc", 3, 3);
	fake_guest_kick(p->guest, 0);
	vhost_peer_settle(p);
	assert_int_equal(held_count, 1);
	assert_true(vhost_peer_send(p, VHOST_USER_GET_VRING_BASE, 0, &s, sizeof(s), NULL, 0));
	vhost_peer_settle(p);
	assert_true(recv(p->fd, &byte, 1, MSG_DONTWAIT) < 0);
	/* Nothing more is taken meanwhile. */
	fake_guest_add(p->guest, 0, "def", 3, 3);
	fake_guest_kick(p->guest, 0);
	vhost_peer_settle(p);
	assert_int_equal(held_count, 1);
	echo_answer(held[0]);
	assert_true(vhost_peer_receive(p, &a));
	assert_int_equal(a.header.request, VHOST_USER_GET_VRING_BASE);
	assert_int_equal(a.payload.state.num, 1);
	fake_guest_poll(p->guest, 0);
	assert_true(r->done && !r->lost);
	/* Stopped here already: the fake guest must not ask again when it goes. */
	vhost_peer_disconnect(p);
	vhost_peer_destroy(p);
}

static void answer_held(struct echo *e, unsigned queue)
{
	assert_int_equal(queue, 1);
	assert_int_equal(virtq_in_flight(e->device.queues[1]), held_count);
	while (held_count)
		echo_answer(held[--held_count]);
}

static void get_vring_base_has_the_device_answer_what_does_not_end(void **state)
{
	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		struct vhost_peer *p = begin(&rings[r], false);
		const struct vhost_user_vring_state s = {.index = 1};
		struct fake_request *requests[3];
		struct vhost_answer a;
		unsigned resets;

		assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
		echoes(p, 1, 1);
		resets = p->echo->resets;
		p->echo->handle = hold;
		p->echo->quiesce = answer_held;
		held_count = 0;
		for (unsigned i = 0; i < 3; i++) {
			requests[i] = fake_guest_add(p->guest, 1, "abc", 3, 3);
			fake_guest_kick(p->guest, 1);
		}
		vhost_peer_settle(p);
		assert_int_equal(held_count, 3);
		assert_true(vhost_peer_call(p, VHOST_USER_GET_VRING_BASE, &s, sizeof(s), &a));
		assert_int_equal(held_count, 0);
		/* The driver has all of them, at a position behind them, and goes on there. */
		fake_guest_poll(p->guest, 1);
		for (unsigned i = 0; i < 3; i++) {
			assert_true(requests[i]->done && !requests[i]->lost);
			assert_memory_equal(requests[i]->out, "abc", 3);
			fake_guest_free_request(p->guest, requests[i]);
		}
		p->base[1] = a.payload.state.num;
		p->resume = true;
		assert_int_equal(virtio_device_start_queue(&p->device, 1, &fake_guest_ring(p->guest, 1)->setup), 0);
		p->echo->handle = NULL;
		for (unsigned i = 0; i < 100; i++)
			echoes(p, 1, i);
		assert_int_equal(p->echo->resets, resets);
		vhost_peer_destroy(p);
	}
}

static void get_vring_base_gives_up_on_a_request_that_never_ends(void **state)
{
	struct vhost_peer *p = begin(NULL, false);
	const struct vhost_user_vring_state s = {.index = 0};
	struct vhost_answer a;

	(void)state;
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	p->echo->handle = hold;
	held_count = 0;
	fake_guest_add(p->guest, 0, "abc", 3, 3);
	fake_guest_kick(p->guest, 0);
	vhost_peer_settle(p);
	assert_int_equal(held_count, 1);
	assert_true(vhost_peer_call(p, VHOST_USER_GET_VRING_BASE, &s, sizeof(s), &a));
	/* It is free to end later, and reaches nobody. */
	echo_answer(held[0]);
	assert_int_equal(fake_guest_poll(p->guest, 0), 0);
	vhost_peer_disconnect(p);
	vhost_peer_destroy(p);
}

static void a_frontend_that_dies_loses_its_requests_and_the_next_is_served(void **state)
{
	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		struct vhost_peer *p = begin(&rings[r], true);

		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
			echoes(p, 0, i);
			p->echo->handle = hold;
			held_count = 0;
			fake_guest_add(p->guest, 1, "abc", 3, 3);
			fake_guest_kick(p->guest, 1);
			vhost_peer_settle(p);
			assert_int_equal(held_count, 1);
			vhost_peer_disconnect(p);
			assert_int_equal(p->echo->device.status, 0);
			/* The memory of that request is still there. */
			echo_answer(held[0]);
			p->echo->handle = NULL;
			vhost_peer_connect(p);
			assert_true(vhost_peer_handshake(p));
		}
		vhost_peer_disconnect(p);
		vhost_peer_destroy(p);
	}
}

/* A region of its own, away from the fake guest's. */
static struct vhost_user_mem_reg extra_region(uint64_t at)
{
	return (struct vhost_user_mem_reg){
		.region = {.gpa = at, .size = 65536, .user = VHOST_PEER_USER + at, .mmap_offset = 0}};
}

static void memory_changes_while_rings_run(void **state)
{
	struct vhost_user_mem_reg one = extra_region(0x4000000000), two = extra_region(0x5000000000);
	struct vhost_peer *p = begin(NULL, false);
	int fd = memfd_create("extra", MFD_CLOEXEC);
	uint8_t *mine;

	(void)state;
	assert_int_equal(ftruncate(fd, 65536), 0);
	mine = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	for (unsigned i = 0; i < 20; i++) {
		uint8_t *theirs;

		assert_int_equal(vhost_peer_tell(p, VHOST_USER_ADD_MEM_REG, &one, sizeof(one), &fd, 1), 0);
		theirs = guest_mem_range(p->mem, one.region.gpa, 65536);
		assert_non_null(theirs);
		mine[100] = (uint8_t)(i + 1);
		assert_int_equal(theirs[100], i + 1);
		echoes(p, 0, i);
		assert_int_equal(vhost_peer_tell(p, VHOST_USER_ADD_MEM_REG, &two, sizeof(two), &fd, 1), 0);
		echoes(p, 1, i);
		assert_int_equal(vhost_peer_tell(p, VHOST_USER_REM_MEM_REG, &one, sizeof(one), NULL, 0), 0);
		assert_null(guest_mem_range(p->mem, one.region.gpa, 1));
		/* With a descriptor, as some frontends send it; and only once. */
		assert_int_equal(vhost_peer_tell(p, VHOST_USER_REM_MEM_REG, &two, sizeof(two), &fd, 1), 0);
		assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_REM_MEM_REG, &two, sizeof(two), NULL, 0), 0);
		/* The whole table again: what stays keeps its place. */
		theirs = guest_mem_range(p->mem, 0x1000, 4096);
		assert_int_equal(vhost_peer_set_memory(p), 0);
		assert_ptr_equal(guest_mem_range(p->mem, 0x1000, 4096), theirs);
		echoes(p, 2, i);
	}
	munmap(mine, 65536);
	close(fd);
	vhost_peer_destroy(p);
}

static void memory_that_makes_no_sense_changes_nothing(void **state)
{
	static const struct vhost_user_region bad[] = {
		{.gpa = 0x4000000000, .size = 0, .user = 0x9000000000},
		{.gpa = UINT64_MAX - 100, .size = 4096, .user = 0x9000000000},
		{.gpa = 0x4000000000, .size = 4096, .user = UINT64_MAX - 100},
		{.gpa = 0x4000000000, .size = 4096, .user = 0x9000000000, .mmap_offset = UINT64_MAX - 100},
		{.gpa = 0x4000000000, .size = 65537, .user = 0x9000000000},
		{.gpa = 0x4000000000, .size = 65536, .user = 0x9000000000, .mmap_offset = 1},
		{.gpa = 0x1000, .size = 4096, .user = 0x9000000000}, /* is there already */
	};
	struct vhost_peer *p = begin(NULL, false);
	struct vhost_user_mem_table t = {.count = 2};
	int fd = memfd_create("extra", MFD_CLOEXEC), pipes[2];
	int two[2] = {fd, fd};

	(void)state;
	assert_int_equal(ftruncate(fd, 65536), 0);
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct vhost_user_mem_reg r = {.region = bad[i]};

		assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_ADD_MEM_REG, &r, sizeof(r), &fd, 1), 0);
		t.regions[0] = (struct vhost_user_region){.gpa = 0x6000000000, .size = 4096, .user = 0x6000000000};
		t.regions[1] = bad[i];
		if (i + 1 < sizeof(bad) / sizeof(*bad))
			assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_MEM_TABLE, &t, sizeof(t), two, 2), 0);
		echoes(p, 0, (unsigned)i);
	}
	/* Two regions that overlap, more regions than descriptors or than fit, and what is no file. */
	t.regions[1] = t.regions[0];
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_MEM_TABLE, &t, sizeof(t), two, 2), 0);
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_MEM_TABLE, &t, sizeof(t), two, 1), 0);
	t.count = 9;
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_MEM_TABLE, &t, sizeof(t), two, 2), 0);
	t.count = UINT32_MAX;
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_MEM_TABLE, &t, sizeof(t), two, 2), 0);
	assert_int_equal(pipe(pipes), 0);
	t.count = 1;
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_MEM_TABLE, &t, sizeof(t), pipes, 1), 0);
	close(pipes[0]);
	close(pipes[1]);
	echoes(p, 1, 1);
	close(fd);
	vhost_peer_destroy(p);
}

static void a_thousand_regions_do_not_fit(void **state)
{
	struct vhost_peer *p = begin(NULL, false);
	int fd = memfd_create("extra", MFD_CLOEXEC);
	unsigned added = 0;

	(void)state;
	assert_int_equal(ftruncate(fd, 65536), 0);
	for (unsigned i = 0; i < 1000; i++) {
		struct vhost_user_mem_reg r = extra_region(0x4000000000 + (uint64_t)i * 65536);

		added += !vhost_peer_tell(p, VHOST_USER_ADD_MEM_REG, &r, sizeof(r), &fd, 1);
	}
	assert_int_equal(added, 509);
	close(fd);
	vhost_peer_destroy(p);
}

static void a_ring_without_its_memory_does_not_start(void **state)
{
	struct vhost_peer *p = begin(NULL, false);
	struct vhost_user_mem_table none = {0};
	uint64_t count;
	uint8_t out[4];

	(void)state;
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	echoes(p, 0, 1);
	/* The table goes while rings run: what the driver asks afterwards breaks the device, and nothing else. */
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_MEM_TABLE, &none, 8, NULL, 0), 0);
	fake_guest_add(p->guest, 0, "abc", 3, sizeof(out));
	fake_guest_kick(p->guest, 0);
	vhost_peer_settle(p);
	assert_true(p->echo->device.broken);
	assert_int_equal(read(p->error[0], &count, sizeof(count)), sizeof(count));
	/* A driver that begins again finds all well. */
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	echoes(p, 0, 2);
	vhost_peer_destroy(p);
}

static void a_broken_ring_is_told_by_its_descriptor(void **state)
{
	struct vhost_peer *p = begin(NULL, false);
	uint64_t count;

	(void)state;
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	echoes(p, 0, 1);
	fake_guest_put(p->guest, 0, 0, 0x1000, 16, VRING_DESC_F_NEXT, 9999);
	fake_guest_publish(p->guest, 0, 0);
	fake_guest_force_kick(p->guest, 0);
	vhost_peer_settle(p);
	assert_true(p->echo->device.broken);
	for (unsigned q = 0; q < ECHO_QUEUES; q++)
		assert_int_equal(read(p->error[q], &count, sizeof(count)), sizeof(count));
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	assert_false(p->echo->device.broken);
	echoes(p, 0, 2);
	vhost_peer_destroy(p);
}

static void what_a_running_ring_is_made_of_can_not_change(void **state)
{
	struct vhost_peer *p = begin(NULL, false);
	const struct vhost_user_vring_state num = {0, 128};
	struct vhost_user_vring_addr addr = {
		.desc = VHOST_PEER_USER + 0x8000, .avail = VHOST_PEER_USER + 0xa000, .used = VHOST_PEER_USER + 0xc000};
	uint64_t features = VIRTIO_BIT(VIRTIO_F_VERSION_1);

	(void)state;
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_NUM, &num, sizeof(num), NULL, 0), 0);
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_FEATURES, &features, 8, NULL, 0), 0);
	echoes(p, 0, 1);
	vhost_peer_destroy(p);
}

static void a_new_call_descriptor_is_signalled_at_once(void **state)
{
	struct vhost_peer *p = begin(NULL, false);
	uint64_t word = 0, count;
	int fd = eventfd(0, EFD_NONBLOCK);

	(void)state;
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	/* What was signalled on the old one may have been lost on the way to the guest. */
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_CALL, &word, 8, &fd, 1), 0);
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	close(fd);
	vhost_peer_destroy(p);
}

static void disabled_rings_take_nothing_until_enabled(void **state)
{
	struct vhost_peer *p = begin(NULL, false);
	const struct vhost_user_vring_state off = {0, 0}, on = {0, 1}, two = {0, 2};
	struct fake_request *r;

	(void)state;
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_ENABLE, &off, sizeof(off), NULL, 0), 0);
	r = fake_guest_add(p->guest, 0, "abc", 3, 3);
	fake_guest_kick(p->guest, 0);
	vhost_peer_settle(p);
	assert_int_equal(p->echo->requests, 0);
	echoes(p, 1, 1);
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_ENABLE, &two, sizeof(two), NULL, 0), 0);
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_ENABLE, &on, sizeof(on), NULL, 0), 0);
	assert_int_equal(fake_guest_wait(p->guest, r, 1000), 0);
	vhost_peer_destroy(p);
}

static void a_kick_descriptor_that_ends_is_let_go(void **state)
{
	struct vhost_peer *p = begin(NULL, false);
	uint64_t word = 1, none = 1 | VHOST_USER_VRING_NO_FD;
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	assert_int_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_KICK, &word, 8, &pipes[0], 1), 0);
	close(pipes[0]);
	close(pipes[1]);
	/* It would be ready for ever otherwise, and the loop never idle. */
	vhost_peer_settle(p);
	echoes(p, 0, 1);
	/* Polling a ring without descriptor was not offered. */
	assert_int_not_equal(vhost_peer_tell(p, VHOST_USER_SET_VRING_KICK, &none, 8, NULL, 0), 0);
	vhost_peer_destroy(p);
}

static void config_changes_reach_the_frontend(void **state)
{
	struct vhost_peer *p = begin(NULL, false);
	struct vhost_answer a;

	(void)state;
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	virtio_device_config_changed(&p->echo->device);
	assert_int_equal(recv(p->backend_fd, &a, sizeof(a.header), MSG_DONTWAIT), sizeof(a.header));
	assert_int_equal(a.header.request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(a.header.size, 0);
	/* One that reads nothing of it is told no more, and still served. */
	for (unsigned i = 0; i < 100000; i++)
		virtio_device_config_changed(&p->echo->device);
	echoes(p, 0, 1);
	vhost_peer_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_served_on_every_kind_of_ring),
		cmocka_unit_test(notifications_may_be_messages),
		cmocka_unit_test(a_stopped_ring_goes_on_where_it_was),
		cmocka_unit_test(a_new_driver_gets_a_fresh_device),
		cmocka_unit_test(another_position_is_another_driver_s),
		cmocka_unit_test(rings_that_stand_where_they_did_go_on_beside_others),
		cmocka_unit_test(a_status_that_was_told_before_the_rings_holds_for_another_driver),
		cmocka_unit_test(status_starts_and_resets_the_device),
		cmocka_unit_test(a_status_without_the_driver_does_not_hold_up_rings),
		cmocka_unit_test(get_vring_base_waits_for_what_is_in_flight),
		cmocka_unit_test(get_vring_base_has_the_device_answer_what_does_not_end),
		cmocka_unit_test(get_vring_base_gives_up_on_a_request_that_never_ends),
		cmocka_unit_test(a_frontend_that_dies_loses_its_requests_and_the_next_is_served),
		cmocka_unit_test(memory_changes_while_rings_run),
		cmocka_unit_test(memory_that_makes_no_sense_changes_nothing),
		cmocka_unit_test(a_thousand_regions_do_not_fit),
		cmocka_unit_test(a_ring_without_its_memory_does_not_start),
		cmocka_unit_test(a_broken_ring_is_told_by_its_descriptor),
		cmocka_unit_test(what_a_running_ring_is_made_of_can_not_change),
		cmocka_unit_test(a_new_call_descriptor_is_signalled_at_once),
		cmocka_unit_test(disabled_rings_take_nothing_until_enabled),
		cmocka_unit_test(a_kick_descriptor_that_ends_is_let_go),
		cmocka_unit_test(config_changes_reach_the_frontend),
	};

	log_set_levels("error");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
