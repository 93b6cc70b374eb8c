// SPDX-License-Identifier: MIT
/* All that listen on sockets, when there is no descriptor for who connects: they rest, and go on by themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/base/accept.h"
#include "host/base/loop.h"
#include "host/console/console.h"
#include "host/display/display.h"
#include "host/vhost/listener.h"
#include "host/vhost/server.h"
#include "host/virtio/device.h"
#include "host/virtio/mem.h"
#include "tests/lib/echo.h"
#include "tests/lib/keeper_inside.h"
#include "vmm/character.h"

#define MOST 256u
#define REST_NS 300000000ull
#define AGAIN_NS 10000000000ull

static char path[64];
static struct loop *loop;
static struct guest_mem *mem;

/* ---- who listens at the path ---- */

static struct accept_backoff backoff;
static struct loop_fd plain;
static int taken, tries;

static void take(struct loop_fd *f, uint32_t events)
{
	(void)events;
	tries++;
	taken = accept_or_back_off(&backoff, loop, f, 0, LOG_TOPIC_BASE, "test");
}

static void begin_plain(void)
{
	int fd;

	taken = -1;
	tries = 0;
	assert_int_equal(vhost_listen(path, &fd), 0);
	plain = (struct loop_fd){.fd = fd, .ready = take};
	assert_int_equal(loop_add_fd(loop, &plain, EPOLLIN), 0);
}

static void end_plain(void)
{
	assert_true(taken >= 0);
	/* The one that failed, and the one that did not. */
	assert_int_equal(tries, 2);
	close(taken);
	loop_remove_fd(loop, &plain);
	accept_backoff_end(&backoff);
	close(plain.fd);
	unlink(path);
}

static struct virtio_device *console;

static void begin_console(void)
{
	const struct console_config config = {.socket_path = path, .in_fd = -1, .out_fd = -1};

	assert_int_equal(console_create(&config, loop, mem, &console), 0);
}

static void end_console(void)
{
	assert_int_equal(console_counters(console)->clients, 1);
	virtio_device_destroy(console);
}

static struct character *character;

static size_t no_room(void *owner)
{
	(void)owner;
	return 0;
}

static void nothing(void *owner)
{
	(void)owner;
}

static const struct character_ops character_ops = {
	.room = no_room, .drained = nothing, .quit = nothing, .power_button = nothing};

static void begin_character(void)
{
	char spec[80];

	snprintf(spec, sizeof(spec), "socket:%s", path);
	assert_int_equal(character_create(spec, loop, &character_ops, NULL, &character), 0);
}

static void end_character(void)
{
	character_destroy(character);
}

static struct display_output *vnc;

static void begin_vnc(void)
{
	char spec[80];

	snprintf(spec, sizeof(spec), "vnc:unix:%s", path);
	assert_int_equal(display_create(loop, spec, NULL, &vnc), 0);
}

static void end_vnc(void)
{
	display_destroy(vnc);
}

static struct echo *echo;
static struct vhost_server *server;

static void begin_server(void)
{
	struct vhost_server_config config = {.mem = mem, .socket_path = path, .fd = -1};

	assert_int_equal(echo_create(loop, mem, &echo), 0);
	config.device = &echo->device;
	assert_int_equal(vhost_server_create(&config, &server), 0);
}

static void end_server(void)
{
	assert_true(vhost_server_is_connected(server));
	vhost_server_destroy(server);
	virtio_device_destroy(&echo->device);
}

static struct keeper_inside inside;
static struct loop *others_loop;

/* Its frontend has left, and another may come. */
static void begin_keeper(void)
{
	struct keeper *k = &inside.keeper;

	keeper_inside_begin(&inside);
	k->one_frontend = false;
	keeper_inside_answer_all(&inside);
	assert_int_equal(vhost_listen(path, &k->listener), 0);
	k->listen_watch = (struct loop_fd){.fd = k->listener, .ready = keeper_somebody_connects, .owner = k};
	close(inside.frontend);
	inside.frontend = -1;
	keeper_inside_turn(&inside);
	keeper_inside_replace_worker(&inside);
	keeper_inside_answer_all(&inside);
	assert_true(k->listening);
	others_loop = loop;
	loop = k->loop;
}

static void end_keeper(void)
{
	assert_true(inside.keeper.frontend.open);
	accept_backoff_end(&inside.keeper.listen_backoff);
	close(inside.keeper.listener);
	unlink(path);
	loop = others_loop;
	keeper_inside_end(&inside);
}

static const struct {
	const char *name;
	void (*begin)(void);
	void (*end)(void);
} listeners[] = {
	{"plain", begin_plain, end_plain},
	{"console", begin_console, end_console},
	{"character", begin_character, end_character},
	{"vnc", begin_vnc, end_vnc},
	{"server", begin_server, end_server},
	{"keeper", begin_keeper, end_keeper},
};

/* ---- the test ---- */

static unsigned count_open(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < (int)MOST; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* How often the loop comes round in @ns; it waits where it has nothing to do. */
static unsigned rounds_in(uint64_t ns)
{
	const uint64_t end = loop_now_ns() + ns;
	unsigned rounds = 0;

	for (; loop_now_ns() < end; rounds++)
		assert_int_equal(loop_run_once(loop, 20), 0);
	return rounds;
}

static void check(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), filled[MOST];
	unsigned count = 0, before, rounds;
	uint64_t end;

	strcpy(a.sun_path, path);
	before = count_open();
	while ((filled[count] = dup(client)) >= 0)
		count++;
	assert_int_equal(errno, EMFILE);
	assert_int_equal(connect(client, (const struct sockaddr *)&a, sizeof(a)), 0);
	rounds = rounds_in(REST_NS);
	while (count > 0)
		close(filled[--count]);
	if (rounds > 100)
		fail_msg("%s: the loop came round %u times for one who can't be taken", name, rounds);
	/* It is taken then, with nobody else coming or going. */
	for (end = loop_now_ns() + AGAIN_NS; count_open() <= before && loop_now_ns() < end;)
		assert_int_equal(loop_run_once(loop, 20), 0);
	if (count_open() <= before)
		fail_msg("%s: nobody was taken any more", name);
	close(client);
}

static void who_connects_without_a_descriptor_left_is_taken_later(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(listeners) / sizeof(listeners[0]); i++) {
		assert_int_equal(loop_create("accept", &loop), 0);
		assert_int_equal(guest_mem_create(&mem), 0);
		listeners[i].begin();
		check(listeners[i].name);
		listeners[i].end();
		guest_mem_destroy(mem);
		loop_destroy(loop);
	}
}

/* The timer must not come back for what is gone. */
static void one_that_rests_may_go(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	(void)state;
	strcpy(a.sun_path, path);
	for (size_t i = 1; i < 4; i++) {
		int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), filled[MOST];
		unsigned count = 0;

		assert_int_equal(loop_create("accept", &loop), 0);
		assert_int_equal(guest_mem_create(&mem), 0);
		listeners[i].begin();
		while ((filled[count] = dup(client)) >= 0)
			count++;
		assert_int_equal(connect(client, (const struct sockaddr *)&a, sizeof(a)), 0);
		rounds_in(REST_NS / 3);
		while (count > 0)
			close(filled[--count]);
		if (listeners[i].end == end_console)
			virtio_device_destroy(console);
		else
			listeners[i].end();
		rounds_in(5 * REST_NS);
		close(client);
		guest_mem_destroy(mem);
		loop_destroy(loop);
	}
}

static int set_up(void **state)
{
	struct rlimit limit;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/mullion-accept-%d", getpid());
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -1;
	limit.rlim_cur = MOST;
	return setrlimit(RLIMIT_NOFILE, &limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_connects_without_a_descriptor_left_is_taken_later),
		cmocka_unit_test(one_that_rests_may_go),
	};

	return cmocka_run_group_tests_name("accept", tests, set_up, NULL);
}
