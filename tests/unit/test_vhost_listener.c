// SPDX-License-Identifier: MIT
/* What a device program does with the path that it is to listen on, whatever is there already. */
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/vhost/listener.h"

static char folder[32], path[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/mullion-listen-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static int reach(int flags)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	memcpy(a.sun_path, path, sizeof(path));
	if (!connect(fd, (const struct sockaddr *)&a, sizeof(a)))
		return fd;
	close(fd);
	return -1;
}

static void what_a_dead_server_left_is_replaced(void **state)
{
	int first, second, client;

	(void)state;
	assert_int_equal(vhost_listen(path, &first), 0);
	close(first);
	assert_int_equal(reach(0), -1);
	assert_int_equal(vhost_listen(path, &second), 0);
	client = reach(0);
	assert_true(client >= 0);
	close(client);
	close(second);
}

/* Nobody listens there either, but it is somebody's. */
static void a_file_stays(void **state)
{
	struct stat st;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(write(fd, "thesis", 6), 6);
	close(fd);
	assert_int_equal(vhost_listen(path, &fd), -EADDRINUSE);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_size, 6);
}

/* A server with so many guests at its door that another one would have to wait is alive. */
static void nobody_waits_for_a_server_that_is_busy(void **state)
{
	int server, other, clients[8];
	unsigned count = 0;

	(void)state;
	assert_int_equal(vhost_listen(path, &server), 0);
	while (count < 8 && (clients[count] = reach(SOCK_NONBLOCK)) >= 0)
		count++;
	assert_true(count < 8);
	alarm(10);
	assert_int_equal(vhost_listen(path, &other), -EADDRINUSE);
	alarm(0);
	while (count > 0)
		close(clients[--count]);
	close(server);
}

static void one_that_was_inherited_is_not_waited_on(void **state)
{
	int server;

	(void)state;
	assert_int_equal(vhost_listen(path, &server), 0);
	assert_int_equal(fcntl(server, F_SETFL, 0), 0);
	vhost_listen_without_waiting(server);
	alarm(10);
	assert_int_equal(accept(server, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	alarm(0);
	close(server);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_a_dead_server_left_is_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_waits_for_a_server_that_is_busy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_was_inherited_is_not_waited_on, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("vhost listener", tests, NULL, NULL);
}
