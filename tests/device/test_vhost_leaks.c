// SPDX-License-Identifier: MIT
/*
 * Frontends come and go, many times: neither the device server nor a keeper holds on to a descriptor or to memory of
 * those that left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/vhost/keeper.h"
#include "host/vhost/sandbox.h"
#include "host/vhost/server.h"
#include "host/vhost/worker.h"
#include "tests/device/rings.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"
#include "tests/lib/tap.h"
#include "tests/lib/usage.h"
#include "tests/lib/vhost_peer.h"

#define SESSIONS 1000u
#define FRONTENDS 50u

/* ---- the server ---- */

static void echoes(struct vhost_peer *p, unsigned queue)
{
	char out[5];

	assert_int_equal(fake_guest_request(p->guest, queue, "hello", 5, out, 5, NULL), 0);
	assert_memory_equal(out, "hello", 5);
}

static void session(unsigned i)
{
	struct fake_guest_options o = rings[i % RING_KINDS];
	struct vhost_peer *p;

	o.memory_bytes = 256 << 10;
	p = vhost_peer_create(&o, i & 1, false);
	if (i & 1)
		vhost_peer_connect(p);
	p->say_reset = i & 2;
	assert_true(vhost_peer_handshake(p));
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	echoes(p, i % ECHO_QUEUES);
	/* Some leave without a word. */
	if (i & 4)
		fake_guest_reset(p->guest);
	if (i & 8)
		vhost_peer_disconnect(p);
	vhost_peer_destroy(p);
}

static void a_thousand_sessions_leave_nothing_behind(void **state)
{
	unsigned fds;
	size_t bytes;

	(void)state;
	for (unsigned i = 0; i < 32; i++)
		session(i);
	fds = usage_count(getpid(), "fd");
	bytes = mallinfo2().uordblks;
	for (unsigned i = 0; i < SESSIONS; i++)
		session(i);
	assert_int_equal(usage_count(getpid(), "fd"), fds);
	/* Under a sanitizer it counts nothing; that finds leaks itself. */
	assert_true(mallinfo2().uordblks <= bytes + 4096);
}

/* ---- the keeper ---- */

static void ended(void *owner)
{
	loop_stop(owner);
}

static int work(void *owner, const struct worker_place *place)
{
	struct vhost_server_config config = {.fd = place->link, .inflight = place->memory->rings, .ended = ended};
	struct vhost_server *server;
	struct worker_pulse pulse;
	struct guest_mem *mem;
	struct loop *loop;
	struct echo *echo;

	(void)owner;
	if (loop_create("worker", &loop) || guest_mem_create(&mem) || echo_create(loop, mem, &echo))
		return 1;
	config.device = &echo->device;
	config.mem = mem;
	config.owner = loop;
	if (vhost_server_create(&config, &server))
		return 1;
	worker_pulse_start(&pulse, place->memory, loop);
	loop_run(loop);
	vhost_server_destroy(server);
	virtio_device_destroy(&echo->device);
	guest_mem_destroy(mem);
	loop_destroy(loop);
	return 0;
}

static pid_t start_keeper(const char *path)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		const struct sandbox_config off = {.mode = SANDBOX_OFF, .profile = &sandbox_gpu};
		struct keeper_config config = {
			.name = "echo",
			.socket_path = path,
			.fd = -1,
			.control = -1,
			.screen = -1,
			.config_bytes = 8,
			.journal_bytes = 64 << 10,
			.max_deaths = 5,
			.hang_ns = 10000000000ull,
			.work = work,
		};

		tap_begin_child();
		if (sandbox_create(&off, &config.sandbox))
			_exit(98);
		_exit(keeper_run(&config));
	}
	return pid;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, path, strlen(path) + 1);
	for (unsigned i = 0; i < 3000; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_true(fd >= 0);
		if (!connect(fd, (const struct sockaddr *)&address, sizeof(address)))
			return fd;
		close(fd);
		usleep(10000);
	}
	fail_msg("nobody listens on %s", path);
	return -1;
}

/* Frontend @i leaves at some point of its life: at once, after a byte, half way through the handshake, at work. */
static void visit(const char *path, unsigned i)
{
	struct fake_guest_options o = rings[i % RING_KINDS];
	struct vhost_peer *p;

	o.memory_bytes = 256 << 10;
	p = vhost_peer_create_remote(&o, connect_to(path));
	switch (i % 6) {
	case 0:
		break;
	case 1:
		assert_int_equal(send(p->fd, "x", 1, MSG_NOSIGNAL), 1);
		break;
	case 2:
		assert_true(vhost_peer_send(p, VHOST_USER_GET_STATUS, 0, NULL, 0, NULL, 0));
		break;
	case 3:
		assert_true(vhost_peer_handshake(p));
		break;
	default:
		assert_true(vhost_peer_handshake(p));
		assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
		echoes(p, i % ECHO_QUEUES);
		if (i & 1)
			fake_guest_add(p->guest, 0, "left", 4, 4);
		break;
	}
	vhost_peer_disconnect(p);
	vhost_peer_destroy(p);
}

/* What a frontend says, to be cut anywhere. */
static size_t make_talk(uint8_t *to)
{
	const struct vhost_user_vring_state num = {1, 64};
	const uint64_t features = VIRTIO_BIT(VIRTIO_F_VERSION_1), status = 1;
	const struct {
		uint32_t request;
		const void *payload;
		size_t bytes;
	} talk[] = {
		{VHOST_USER_SET_OWNER, NULL, 0},
		{VHOST_USER_SET_FEATURES, &features, sizeof(features)},
		{VHOST_USER_SET_VRING_NUM, &num, sizeof(num)},
		{VHOST_USER_SET_STATUS, &status, sizeof(status)},
		{VHOST_USER_GET_STATUS, NULL, 0},
		{VHOST_USER_GET_VRING_BASE, &num, sizeof(num)},
	};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(talk) / sizeof(talk[0]); i++) {
		const struct vhost_user_header h = {talk[i].request, VHOST_USER_VERSION, (uint32_t)talk[i].bytes};

		memcpy(to + n, &h, sizeof(h));
		if (talk[i].bytes)
			memcpy(to + n + sizeof(h), talk[i].payload, talk[i].bytes);
		n += sizeof(h) + talk[i].bytes;
	}
	return n;
}

/* Frontends that leave after any byte, talk nonsense, or give more descriptors than a message has. */
static void hostile_visits(const char *path)
{
	const struct fake_guest_options o = {.memory_bytes = 256 << 10};
	uint8_t talk[512], nonsense[600];
	const size_t length = make_talk(talk);
	struct vhost_peer *p;
	int fds[20], fd;

	for (size_t cut = 1; cut <= length; cut += 3) {
		fd = connect_to(path);
		assert_int_equal(send(fd, talk, cut, MSG_NOSIGNAL), cut);
		close(fd);
	}
	for (unsigned i = 0; i < 30; i++) {
		for (size_t k = 0; k < sizeof(nonsense); k++)
			nonsense[k] = (uint8_t)(i * 131 + k * (2 * i + 1) * 29 + (k >> 3));
		/* In every third the header is a good one. */
		if (i % 3 == 0)
			memcpy(nonsense, &(struct vhost_user_header){i, VHOST_USER_VERSION, 8 * (i % 7)}, 12);
		fd = connect_to(path);
		assert_int_equal(send(fd, nonsense, sizeof(nonsense), MSG_NOSIGNAL), sizeof(nonsense));
		close(fd);
	}
	for (unsigned i = 0; i < 20; i++)
		fds[i] = dup(0);
	for (unsigned i = 0; i < 4; i++) {
		p = vhost_peer_create_remote(&o, connect_to(path));
		assert_true(vhost_peer_send(p, i % 2 ? VHOST_USER_SET_MEM_TABLE : VHOST_USER_GET_STATUS, 0, talk,
					    i % 2 ? 8 : 0, fds, i < 2 ? 20 : 1));
		while (!vhost_peer_is_dropped(p))
			usleep(1000);
		vhost_peer_disconnect(p);
		vhost_peer_destroy(p);
	}
	for (unsigned i = 0; i < 20; i++)
		close(fds[i]);
}

/* Descriptors of the keeper while a frontend is at work: it has nothing else to do then. */
static unsigned fds_at_work(const char *path, pid_t keeper)
{
	const struct fake_guest_options o = {.memory_bytes = 256 << 10};
	struct vhost_peer *p = vhost_peer_create_remote(&o, connect_to(path));
	unsigned count;

	assert_true(vhost_peer_handshake(p));
	assert_int_equal(fake_guest_start(p->guest, &p->device), 0);
	echoes(p, 0);
	count = usage_count(keeper, "fd");
	vhost_peer_disconnect(p);
	vhost_peer_destroy(p);
	return count;
}

static void frontends_that_come_and_go_leave_a_keeper_as_it_was(void **state)
{
	char path[64];
	unsigned long pages;
	unsigned fds;
	pid_t keeper;
	int status;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/mullion-keeper-%d.sock", (int)getpid());
	keeper = start_keeper(path);
	for (unsigned i = 0; i < 6; i++)
		visit(path, i);
	fds = fds_at_work(path, keeper);
	pages = usage_pages(keeper).all;
	for (unsigned i = 0; i < FRONTENDS; i++)
		visit(path, i);
	hostile_visits(path);
	assert_int_equal(fds_at_work(path, keeper), fds);
	/* Less than one guest's memory of what is in flight: none of them is kept. */
	assert_true(usage_pages(keeper).all < pages + sizeof(struct worker_memory) / 4096);
	assert_int_equal(kill(keeper, SIGTERM), 0);
	assert_int_equal(waitpid(keeper, &status, 0), keeper);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_not_equal(access(path, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thousand_sessions_leave_nothing_behind),
		cmocka_unit_test(frontends_that_come_and_go_leave_a_keeper_as_it_was),
	};

	log_set_levels("error");
	return cmocka_run_group_tests_name("vhost_leaks", tests, NULL, NULL);
}
