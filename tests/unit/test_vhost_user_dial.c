// SPDX-License-Identifier: MIT
/* How a vhost-user frontend comes to its backend: one that is not there yet, is busy, or has died. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "vmm/vhost_user_session.h"

static struct sockaddr_un address = {.sun_family = AF_UNIX};

static int set_up(void **state)
{
	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/mullion-test-%d.sock", (int)getpid());
	unlink(address.sun_path);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(address.sun_path);
	return 0;
}

/* With @pause_us before the socket is there, and before somebody listens on it. */
static int listen_there(useconds_t pause_us)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	usleep(pause_us);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)))
		return -1;
	usleep(pause_us);
	return listen(fd, 1) ? -1 : fd;
}

/* As mullion-gpu is while it serves one: the kernel has taken the connection, and nobody speaks. */
static void a_backend_that_is_busy_is_not_waited_for(void **state)
{
	const uint64_t begin = loop_now_ns();
	struct vhost_session s = VHOST_SESSION_CLOSED;
	int listener = listen_there(0);

	(void)state;
	assert_int_equal(vhost_session_open(&s, address.sun_path, 0), -ETIMEDOUT);
	assert_true(loop_now_ns() - begin < 2 * VHOST_SESSION_LIMIT_NS);
	assert_non_null(strstr(s.why, "does it serve another guest"));
	close(listener);
}

/* A backend that lets one in, and dies. */
static void *start_slowly(void *arg)
{
	int listener = listen_there(50000);

	close(accept(listener, NULL, NULL));
	close(listener);
	return arg;
}

static void a_backend_that_is_just_starting_is_waited_for(void **state)
{
	struct vhost_session s = VHOST_SESSION_CLOSED;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, start_slowly, NULL), 0);
	/* It was let in. */
	assert_int_equal(vhost_session_open(&s, address.sun_path, 20000000000ull), -EPIPE);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void patience_ends(void **state)
{
	const uint64_t begin = loop_now_ns(), patience_ns = 50000000;
	struct vhost_session s = VHOST_SESSION_CLOSED;

	(void)state;
	assert_int_equal(vhost_session_open(&s, address.sun_path, patience_ns), -ENOENT);
	assert_true(loop_now_ns() - begin >= patience_ns);
	assert_non_null(strstr(s.why, "start the device's program first"));
	assert_int_equal(s.fd, -1);
	/* What one that died has left. */
	close(listen_there(0));
	assert_int_equal(vhost_session_open(&s, address.sun_path, 0), -ECONNREFUSED);
	assert_int_equal(s.fd, -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_backend_that_is_busy_is_not_waited_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_backend_that_is_just_starting_is_waited_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(patience_ends, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("vhost-user dial", tests, NULL, NULL);
}
