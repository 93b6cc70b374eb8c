// SPDX-License-Identifier: MIT
#include "tests/lib/elsewhere.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534u

int elsewhere_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 120;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_after(int (*enter)(void), int (*what)(void))
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		status = enter();
		_exit(status ? status : what());
	}
	return elsewhere_wait(pid);
}

static int become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		return 100;
	/* As a program that nobody started is. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return 0;
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = fd < 0 || write(fd, text, strlen(text)) < 0;

	if (fd >= 0)
		close(fd);
	return err;
}

/* In a user namespace that allows no other, without the rights that it gave. */
static int turn_namespaces_off(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
	char users[64], groups[64];

	if (geteuid() == 0 && become_nobody())
		return 100;
	snprintf(users, sizeof(users), "%u %u 1", geteuid(), geteuid());
	snprintf(groups, sizeof(groups), "%u %u 1", getegid(), getegid());
	if (unshare(CLONE_NEWUSER))
		return 101;
	if (put("/proc/self/setgroups", "deny") || put("/proc/self/gid_map", groups) ||
	    put("/proc/self/uid_map", users) || put("/proc/sys/user/max_user_namespaces", "0"))
		return 102;
	if (syscall(SYS_capset, &header, none))
		return 103;
	return unshare(CLONE_NEWUSER) ? 0 : 104;
}

int elsewhere_as_nobody(int (*what)(void))
{
	return run_after(become_nobody, what);
}

int elsewhere_without_user_namespaces(int (*what)(void))
{
	return run_after(turn_namespaces_off, what);
}
