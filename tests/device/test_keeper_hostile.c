// SPDX-License-Identifier: MIT
/* What a keeper believes of a worker that the guest has taken over, and keeps of one that died. No other process is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/keeper_inside.h"

static const uint64_t protocol = PROTOCOL_BIT(REPLY_ACK) | PROTOCOL_BIT(BACKEND_REQ) | PROTOCOL_BIT(CONFIG) |
				 PROTOCOL_BIT(STATUS) | PROTOCOL_BIT(SHARED_OBJECT) | PROTOCOL_BIT(SHMEM);

/* A message of the frontend's that is to be answered with @wanted by the keeper or its worker. */
static void ask(struct keeper_inside *i, uint32_t request, const void *payload, size_t bytes, int fd)
{
	struct vhost_user_header h;
	uint64_t result = 1;
	int none;

	keeper_inside_say(i->frontend, request, VHOST_USER_NEED_REPLY, payload, bytes, fd);
	keeper_inside_answer_all(i);
	assert_true(keeper_inside_hear(i->frontend, &h, &result, sizeof(result), &none));
	assert_int_equal(h.request, request);
	assert_int_equal(result, 0);
}

static void connect_frontend(struct keeper_inside *i)
{
	const uint64_t features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	int pair[2];

	keeper_inside_begin(i);
	keeper_inside_answer_all(i);
	ask(i, VHOST_USER_SET_PROTOCOL_FEATURES, &protocol, sizeof(protocol), -1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ask(i, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, pair[1]);
	close(pair[1]);
	i->frontend_backend = pair[0];
	ask(i, VHOST_USER_SET_FEATURES, &features, sizeof(features), -1);
}

static void start_ring(struct keeper_inside *i)
{
	const struct vhost_user_vring_state num = {0, 16}, on = {0, 1};
	const struct vhost_user_vring_addr addr = {.desc = 0x10000, .avail = 0x11000, .used = 0x12000};
	const uint64_t index = 0, ready = 15;
	const int kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	ask(i, VHOST_USER_SET_STATUS, &ready, sizeof(ready), -1);
	ask(i, VHOST_USER_SET_VRING_NUM, &num, sizeof(num), -1);
	ask(i, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	ask(i, VHOST_USER_SET_VRING_KICK, &index, sizeof(index), kick);
	ask(i, VHOST_USER_SET_VRING_ENABLE, &on, sizeof(on), -1);
	close(kick);
	assert_true(lease_ring_runs(&i->keeper.lease, 0));
}

static void stop_ring(struct keeper_inside *i)
{
	const struct vhost_user_vring_state ring = {0, 0};
	struct vhost_user_header h;
	uint64_t state;
	int none;

	keeper_inside_say(i->frontend, VHOST_USER_GET_VRING_BASE, 0, &ring, sizeof(ring), -1);
	keeper_inside_answer_all(i);
	assert_true(keeper_inside_hear(i->frontend, &h, &state, sizeof(state), &none));
	assert_false(lease_ring_runs(&i->keeper.lease, 0));
}

/* The worker announces an object, and the frontend has nothing against it. */
static void share(struct keeper_inside *i, uint8_t name)
{
	const struct vhost_user_object o = {.uuid = {name}};
	const int fd = memfd_create("object", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct vhost_user_header h;
	uint8_t payload[16];
	const uint64_t good = 0;
	int none;

	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	keeper_inside_say(i->worker_backend, VHOST_USER_BACKEND_SHARED_OBJECT_ADD, VHOST_USER_NEED_REPLY, &o, sizeof(o),
			  fd);
	close(fd);
	keeper_inside_turn(i);
	assert_true(keeper_inside_hear(i->frontend_backend, &h, payload, sizeof(payload), &none));
	keeper_inside_say(i->frontend_backend, h.request, VHOST_USER_REPLY, &good, sizeof(good), -1);
	keeper_inside_turn(i);
	assert_true(keeper_inside_hear(i->worker_backend, &h, payload, sizeof(payload), &none));
}

static void the_next_worker_s_device_begins_before_objects_are_nobody_s(void **state)
{
	struct keeper_inside i;
	struct vhost_user_header h;
	struct vhost_user_object o;
	int none;

	(void)state;
	connect_frontend(&i);
	start_ring(&i);
	share(&i, 7);
	/* A machine that pauses: what the device knew is in its journal, for when it runs again. */
	stop_ring(&i);
	keeper_inside_replace_worker(&i);
	keeper_inside_answer_all(&i);
	assert_int_equal(i.keeper.object_count, 1);
	assert_false(keeper_inside_hear(i.frontend_backend, &h, &o, sizeof(o), &none));
	/* It runs, and the worker has not looked for it. */
	start_ring(&i);
	assert_int_equal(i.keeper.object_count, 0);
	assert_true(keeper_inside_hear(i.frontend_backend, &h, &o, sizeof(o), &none));
	assert_int_equal(h.request, VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE);
	assert_int_equal(o.uuid[0], 7);
	/* While it runs, nothing waits. */
	share(&i, 8);
	keeper_inside_replace_worker(&i);
	keeper_inside_answer_all(&i);
	assert_int_equal(i.keeper.object_count, 0);
	keeper_inside_end(&i);
}

static uint64_t ask_to_map_at(struct keeper_inside *i, int fd, uint64_t fd_offset, uint64_t length)
{
	const struct vhost_user_shmem_map map = {.fd_offset = fd_offset, .length = length};
	const uint64_t good = 0;
	struct vhost_user_header h;
	struct vhost_user_shmem_map asked;
	uint64_t result = 1;
	int none;

	keeper_inside_say(i->worker_backend, VHOST_USER_BACKEND_SHMEM_MAP, VHOST_USER_NEED_REPLY, &map, sizeof(map), fd);
	keeper_inside_turn(i);
	if (keeper_inside_hear(i->frontend_backend, &h, &asked, sizeof(asked), &none)) {
		close(none);
		keeper_inside_say(i->frontend_backend, h.request, VHOST_USER_REPLY, &good, sizeof(good), -1);
		keeper_inside_turn(i);
	}
	assert_true(keeper_inside_hear(i->worker_backend, &h, &result, sizeof(result), &none));
	return result;
}

static uint64_t ask_to_map(struct keeper_inside *i, int fd)
{
	return ask_to_map_at(i, fd, 0, 4096);
}

/* QEMU maps what it is given; a worker that a guest has in hand would cut it off, and the guest or QEMU touch it there. */
static void only_memory_that_stays_is_mapped_for_the_guest(void **state)
{
	struct keeper_inside i;
	int memory = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING), event = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(memory, 4096), 0);
	connect_frontend(&i);
	start_ring(&i);
	assert_int_equal(ask_to_map(&i, event), EPERM);
	assert_int_equal(ask_to_map(&i, memory), EPERM);
	assert_int_equal(fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(ask_to_map(&i, memory), 0);
	assert_false(keeper_inside_gave_up(&i));
	keeper_inside_end(&i);
	close(memory);
	close(event);
}

/* The same where it has ended already, and huge pages, which need not be there when they are touched. */
static void what_is_mapped_for_the_guest_lies_inside_its_memory(void **state)
{
	struct keeper_inside i;
	int memory = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING),
	    huge = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

	(void)state;
	assert_int_equal(ftruncate(memory, 8192), 0);
	assert_int_equal(fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	connect_frontend(&i);
	start_ring(&i);
	assert_int_equal(ask_to_map_at(&i, memory, 4096, 8192), EPERM);
	assert_int_equal(ask_to_map_at(&i, memory, 12288, 4096), EPERM);
	assert_int_equal(ask_to_map_at(&i, memory, UINT64_MAX - 4095, 4096), EPERM);
	assert_int_equal(ask_to_map_at(&i, memory, 4096, UINT64_MAX - 4095), EPERM);
	assert_int_equal(ask_to_map_at(&i, memory, 4096, 4096), 0);
	/* Not every kernel has them. */
	if (huge >= 0 && ftruncate(huge, 2 << 20) == 0 && fcntl(huge, F_ADD_SEALS, F_SEAL_SHRINK) == 0)
		assert_int_equal(ask_to_map_at(&i, huge, 0, 2 << 20), EPERM);
	assert_false(keeper_inside_gave_up(&i));
	keeper_inside_end(&i);
	close(memory);
	if (huge >= 0)
		close(huge);
}

/* They would be noted as agreed on: a ring that has no kick descriptor as one that runs by messages. */
static void protocol_features_that_were_not_offered_are_refused(void **state)
{
	/* LOG_SHMFD, and one that there isn't. */
	const uint64_t wrong[] = {protocol | 1u << 1, protocol | 1ull << 63};
	struct keeper_inside i;
	struct vhost_user_header h;
	uint64_t result;
	int none;

	(void)state;
	connect_frontend(&i);
	for (unsigned n = 0; n < sizeof(wrong) / sizeof(wrong[0]); n++) {
		keeper_inside_say(i.frontend, VHOST_USER_SET_PROTOCOL_FEATURES, VHOST_USER_NEED_REPLY, &wrong[n], 8, -1);
		keeper_inside_answer_all(&i);
		assert_true(keeper_inside_hear(i.frontend, &h, &result, sizeof(result), &none));
		assert_int_equal(result, EINVAL);
		assert_int_equal(i.keeper.lease.protocol_features, protocol);
		assert_true(i.keeper.frontend.open);
	}
	keeper_inside_end(&i);
}

static void note(struct lease *l, uint32_t request, const void *payload, size_t bytes, int fd)
{
	struct message m = {.header = {.request = request, .size = (uint32_t)bytes}};

	memcpy(&m.payload, payload, bytes);
	if (fd >= 0)
		m.fds[m.fd_count++] = fd;
	assert_int_equal(lease_note(l, &m), 0);
}

static void note_ring(struct lease *l, uint32_t base, int kick)
{
	const struct vhost_user_vring_state num = {0, 16}, from = {0, base};
	const struct vhost_user_vring_addr addr = {.desc = 0x10000, .avail = 0x11000, .used = 0x12000};
	const uint64_t index = 0;

	note(l, VHOST_USER_SET_VRING_NUM, &num, sizeof(num), -1);
	note(l, VHOST_USER_SET_VRING_BASE, &from, sizeof(from), -1);
	note(l, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	note(l, VHOST_USER_SET_VRING_KICK, &index, sizeof(index), kick);
	assert_true(lease_ring_runs(l, 0));
}

/* A machine that pauses; its frontend enables rings once, or, without protocol features, never. */
static void a_device_has_state_whoever_enabled_its_rings(void **state)
{
	const struct vhost_user_vring_state on = {0, 1};
	const int kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)state;
	for (unsigned with = 2; with-- > 0;) {
		const uint64_t features = VIRTIO_BIT(VIRTIO_F_VERSION_1) |
					  (with ? VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES) : 0);
		struct lease l;

		lease_init(&l);
		note(&l, VHOST_USER_SET_FEATURES, &features, sizeof(features), -1);
		if (with)
			note(&l, VHOST_USER_SET_VRING_ENABLE, &on, sizeof(on), -1);
		note_ring(&l, 0, kick);
		lease_note_stop(&l, 0, 5);
		assert_true(lease_has_state(&l));
		/* Another driver. */
		note_ring(&l, 0, kick);
		lease_note_stop(&l, 0, 7);
		assert_true(lease_has_state(&l));
		lease_end(&l);
	}
	close(kick);
}

/* What the worker says instead of a word that the keeper could use. */
static const struct {
	const char *name;
	bool is_asked; /* GET_VRING_BASE waits */
	uint32_t request, flags;
	uint64_t payload;
	size_t bytes;
	bool with_fd;
} lies[] = {
	{"an answer that nobody waits for", false, VHOST_USER_GET_STATUS, VHOST_USER_REPLY, 0, 8, false},
	{"an answer to another question", true, VHOST_USER_GET_STATUS, VHOST_USER_REPLY, 0, 8, false},
	{"a short answer", true, VHOST_USER_GET_VRING_BASE, VHOST_USER_REPLY, 0, 4, false},
	{"an answer with a descriptor", true, VHOST_USER_GET_VRING_BASE, VHOST_USER_REPLY, 0, 8, true},
	{"another ring", true, VHOST_USER_GET_VRING_BASE, VHOST_USER_REPLY, 1, 8, false},
	{"a ring that there isn't", true, VHOST_USER_GET_VRING_BASE, VHOST_USER_REPLY, 0xffffffff, 8, false},
};

static void a_worker_that_lies_is_given_up_and_the_next_one_answers(void **state)
{
	const struct vhost_user_vring_state ring = {0, 0};

	(void)state;
	for (size_t n = 0; n < sizeof(lies) / sizeof(lies[0]); n++) {
		struct keeper_inside i;
		struct vhost_user_header h;
		uint8_t payload[MESSAGE_MAX_BYTES];
		uint64_t answer = 1;
		int fd;

		connect_frontend(&i);
		start_ring(&i);
		if (lies[n].is_asked) {
			keeper_inside_say(i.frontend, VHOST_USER_GET_VRING_BASE, 0, &ring, sizeof(ring), -1);
			keeper_inside_turn(&i);
			assert_true(keeper_inside_hear(i.link, &h, payload, sizeof(payload), &fd));
		}
		keeper_inside_say(i.link, lies[n].request, lies[n].flags, &lies[n].payload, lies[n].bytes,
				  lies[n].with_fd ? i.link : -1);
		keeper_inside_turn(&i);
		if (!keeper_inside_gave_up(&i) || !i.keeper.frontend.open)
			fail_msg("%s was believed", lies[n].name);
		i.keeper.memory->rings[0].active = 1;
		keeper_inside_replace_worker(&i);
		keeper_inside_answer_all(&i);
		assert_int_equal(keeper_inside_hear(i.frontend, &h, &answer, sizeof(answer), &fd), lies[n].is_asked);
		assert_int_equal(answer, lies[n].is_asked ? 0 : 1);
		keeper_inside_end(&i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_that_lies_is_given_up_and_the_next_one_answers),
		cmocka_unit_test(only_memory_that_stays_is_mapped_for_the_guest),
		cmocka_unit_test(what_is_mapped_for_the_guest_lies_inside_its_memory),
		cmocka_unit_test(protocol_features_that_were_not_offered_are_refused),
		cmocka_unit_test(a_device_has_state_whoever_enabled_its_rings),
		cmocka_unit_test(the_next_worker_s_device_begins_before_objects_are_nobody_s),
	};

	return cmocka_run_group_tests_name("keeper hostile", tests, NULL, NULL);
}
