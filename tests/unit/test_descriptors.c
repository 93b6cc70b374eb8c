// SPDX-License-Identifier: MIT
/* A process that a guest has taken over leaves descriptors on their way: others of the user send theirs all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/descriptors.h"
#include "tests/lib/tap.h"

/* A user's whom nothing else on the machine runs as, most likely. */
#define SOMEBODY 59999
/* As host/vhost/sandbox.c has it, and what programs start with. */
#define WORKER_MOST 4096u
#define USUAL 1024u
#define AT_ONCE 250

/* Returns 0 or an errno. */
static int send_some(int socket, unsigned count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(AT_ONCE * sizeof(int))];
	} data = {.align = {CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	char x = 0;
	struct iovec byte = {&x, 1};
	struct msghdr m = {
		.msg_iov = &byte, .msg_iovlen = 1, .msg_control = &data, .msg_controllen = CMSG_SPACE(count * sizeof(int))};

	for (unsigned i = 0; i < count; i++)
		memcpy(CMSG_DATA(&data.align) + i * sizeof(int), &socket, sizeof(socket));
	return sendmsg(socket, &m, MSG_DONTWAIT) < 0 ? errno : 0;
}

static void allow(rlim_t most)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		_exit(90);
	limit.rlim_cur = most;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		_exit(91);
}

static int pair_of(int pair[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
}

/* What a hostile worker does: as many as it may. */
static void fill_and_wait(int told)
{
	int pair[2];

	allow(WORKER_MOST);
	for (unsigned n = 0; n < 100; n++) {
		if (pair_of(pair))
			break;
		while (send_some(pair[0], AT_ONCE) == 0)
			;
	}
	if (write(told, "x", 1) == 1)
		pause();
	_exit(92);
}

/* The exit status of the process that goes on beside it: 0: well. */
static int go_on_beside(void)
{
	int pair[2], told[2], err;
	pid_t hostile;
	char byte;

	if (setgroups(0, NULL) || setgid(SOMEBODY) || setuid(SOMEBODY))
		return 1;
	if (pipe(told) || pair_of(pair))
		return 2;
	hostile = fork();
	if (hostile == 0)
		fill_and_wait(told[1]);
	if (hostile < 0 || read(told[0], &byte, 1) != 1)
		return 3;
	allow(USUAL);
	/* Or the kernel does not count, and there is nothing to see. */
	err = send_some(pair[0], 1) == ETOOMANYREFS ? 0 : 77;
	descriptors_allow_all();
	if (!err && send_some(pair[0], 1))
		err = 4;
	kill(hostile, SIGKILL);
	waitpid(hostile, NULL, 0);
	return err;
}

static void one_with_a_low_limit_is_kept_from_sending_and_raises_it(void **state)
{
	struct rlimit limit;
	int status;
	pid_t child;

	(void)state;
	/* Others of this user's, the tests beside this one, would be kept from sending theirs. */
	if (getuid() != 0)
		tap_skip("only root can do this to a user that nobody else is");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max <= 2 * WORKER_MOST)
		tap_skip("this user's processes may have too few descriptors (ulimit -Hn) to tell");
	child = fork();
	if (!child)
		_exit(go_on_beside());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		tap_skip("the kernel does not count descriptors on their way");
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_with_a_low_limit_is_kept_from_sending_and_raises_it),
	};

	return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
