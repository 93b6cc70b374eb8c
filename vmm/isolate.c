// SPDX-License-Identifier: MIT
#include "vmm/isolate.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/log.h"
#include "vmm/module.h"

#define END_MS 15000
/* Where the program finds its socket. */
#define PROGRAM_FD 3

struct isolate {
	char program[PATH_MAX];
	const char *options, *display;
	pid_t pid; /* 0: none */
};

extern char **environ;

int isolate_create(const char *name, const char *options, const char *display, struct isolate **out)
{
	struct isolate *i = calloc(1, sizeof(*i));

	if (!i)
		return -ENOMEM;
	if (module_program(name, i->program, sizeof(i->program))) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR,
			 "no program mullion-%s beside this one: build it (make), or use isolate=no", name);
		free(i);
		return -ENOENT;
	}
	i->options = options;
	i->display = display;
	*out = i;
	return 0;
}

static void reap(struct isolate *i)
{
	struct pollfd p = {.events = POLLIN};

	if (!i->pid)
		return;
	p.fd = (int)syscall(SYS_pidfd_open, i->pid, 0);
	if (p.fd < 0 || poll(&p, 1, END_MS) != 1)
		kill(i->pid, SIGKILL);
	if (p.fd >= 0)
		close(p.fd);
	while (waitpid(i->pid, NULL, 0) < 0 && errno == EINTR)
		;
	i->pid = 0;
}

void isolate_destroy(struct isolate *i)
{
	if (!i)
		return;
	reap(i);
	free(i);
}

/* Returns 0 or a positive errno, as posix_spawn() does. */
static int spawn(struct isolate *i, int fd)
{
	const char *argv[] = {i->program, "--fd", "3", "--gpu", i->options, i->display ? "--display" : NULL, i->display, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int err = posix_spawn_file_actions_init(&actions);

	if (err)
		return err;
	err = posix_spawnattr_init(&attributes);
	if (err)
		goto finish_actions;
	/* A Ctrl-C of the terminal's is for this program, which then ends the other. */
	sigemptyset(&none);
	err = posix_spawnattr_setsigmask(&attributes, &none);
	if (!err)
		err = posix_spawnattr_setpgroup(&attributes, 0);
	if (!err)
		err = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	/* Also clears close-on-exec, if it is that number already. */
	if (!err)
		err = posix_spawn_file_actions_adddup2(&actions, fd, PROGRAM_FD);
	if (!err)
		err = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
	if (!err)
		err = posix_spawn(&i->pid, i->program, &actions, &attributes, (char *const *)(uintptr_t)argv, environ);
	posix_spawnattr_destroy(&attributes);
finish_actions:
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

int isolate_connect(void *isolate)
{
	struct isolate *i = isolate;
	int pair[2], err;

	/* One that is there still has lost us, and is about to end. */
	reap(i);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	err = spawn(i, pair[1]);
	close(pair[1]);
	if (!err)
		return pair[0];
	i->pid = 0;
	close(pair[0]);
	return -err;
}
