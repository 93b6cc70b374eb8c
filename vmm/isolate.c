// SPDX-License-Identifier: MIT
#include "vmm/isolate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/virtio/screen_module.h"
#include "vmm/isolate_control.h"
#include "vmm/module.h"

#define MAX_ARGUMENTS 24
/* Where the program finds its sockets: from here on, in this order. */
#define PROGRAM_FD 3
enum { LINK, CONTROL, SCREEN, SOCKETS };
/* And where they are never before it is started, so that none is moved onto another. */
#define SPARE_FD 16

struct isolate {
	char program[PATH_MAX];
	char option[16]; /* that takes the device's options: "--gpu" */
	const char *options, *display, *const *arguments;
	struct isolate_control *control;
	const struct screen_module *module; /* NULL: the device has the display */
	struct loop *screen_loop;
	struct screen *screen;
	pid_t pid; /* 0: none */
};

extern char **environ;

bool isolate_is_possible(const char *name)
{
	char program[PATH_MAX];

	return module_program(name, program, sizeof(program)) == 0;
}

/* ---- the display here ---- */

struct screen_call {
	struct isolate *isolate;
	struct input_sink *input;
	int fd, err;
};

static void make_screen(void *arg)
{
	struct screen_call *c = arg;
	struct isolate *i = c->isolate;

	c->err = i->module->create(i->screen_loop, i->display, c->input, &i->screen);
}

static void connect_screen(void *arg)
{
	struct screen_call *c = arg;

	c->err = c->isolate->module->connect(c->isolate->screen, c->fd);
}

static void destroy_screen(void *arg)
{
	struct isolate *i = arg;

	i->module->destroy(i->screen);
}

/* Whether @display listens: a device in its sandbox may not. */
static bool needs_screen(const char *display)
{
	return display && strncmp(display, "vnc", 3) == 0 && strcspn(display, ":=,") == 3;
}

static int open_screen(struct isolate *i, struct input_sink *input)
{
	struct screen_call call = {.isolate = i, .input = input};
	int err = module_load_screen(&i->module);

	if (err)
		return err;
	err = loop_create("display", &i->screen_loop);
	if (!err)
		err = loop_start(i->screen_loop);
	if (err) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "can't start the thread of the display: %s", strerror(-err));
		return err;
	}
	loop_call(i->screen_loop, make_screen, &call);
	return call.err;
}

/* ---- the program ---- */

int isolate_create(const char *name, const char *options, const char *display, const char *const *arguments,
		   struct input_sink *input, struct isolate **out)
{
	struct isolate *i = calloc(1, sizeof(*i));
	int err;

	if (!i)
		return -ENOMEM;
	i->options = options;
	i->display = display;
	snprintf(i->option, sizeof(i->option), "--%s", name);
	i->arguments = arguments;
	err = module_program(name, i->program, sizeof(i->program));
	if (err)
		log_line(LOG_TOPIC_VMM, LOG_ERROR,
			 "no program mullion-%s beside this one: build it (make), or use isolate=no", name);
	if (!err) {
		err = isolate_control_create(&i->control);
		if (err)
			log_line(LOG_TOPIC_VMM, LOG_ERROR, "can't control a device's process: %s", strerror(-err));
	}
	if (!err && needs_screen(display))
		err = open_screen(i, input);
	if (err) {
		isolate_destroy(i, 0);
		return err;
	}
	*out = i;
	return 0;
}

static void reap(struct isolate *i, int timeout_ms)
{
	struct pollfd p = {.events = POLLIN};
	int status = 0;

	if (!i->pid)
		return;
	p.fd = (int)syscall(SYS_pidfd_open, i->pid, 0);
	if (p.fd < 0 || poll(&p, 1, timeout_ms) != 1)
		kill(i->pid, SIGKILL);
	if (p.fd >= 0)
		close(p.fd);
	while (waitpid(i->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		log_line(LOG_TOPIC_VMM, LOG_WARN, "%s was killed (signal %d, %s)", i->program, WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	i->pid = 0;
}

void isolate_close_screen(struct isolate *i)
{
	if (!i)
		return;
	if (i->screen)
		loop_call(i->screen_loop, destroy_screen, i);
	loop_destroy(i->screen_loop);
	i->screen = NULL;
	i->screen_loop = NULL;
}

void isolate_destroy(struct isolate *i, uint64_t until_ns)
{
	const uint64_t now = loop_now_ns();

	if (!i)
		return;
	reap(i, now < until_ns ? (int)((until_ns - now) / 1000000) : 0);
	isolate_close_screen(i);
	isolate_control_destroy(i->control);
	free(i);
}

/* Returns 0 or a positive errno, as posix_spawn() does. */
static int spawn(struct isolate *i, const int fds[SOCKETS])
{
	const char *display = i->screen ? "fd:5" : i->display;
	const char *argv[MAX_ARGUMENTS] = {i->program, "--fd", "3", "--control-fd", "4", i->option, i->options};
	unsigned count = 7;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int err = posix_spawn_file_actions_init(&actions);

	if (err)
		return err;
	if (display) {
		argv[count++] = "--display";
		argv[count++] = display;
	}
	for (const char *const *a = i->arguments; *a && count < MAX_ARGUMENTS - 1; a++)
		argv[count++] = *a;
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
	for (int n = 0; n < SOCKETS && !err; n++) {
		if (fds[n] >= 0)
			err = posix_spawn_file_actions_adddup2(&actions, fds[n], PROGRAM_FD + n);
	}
	if (!err)
		err = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
	if (!err)
		err = posix_spawn(&i->pid, i->program, &actions, &attributes, (char *const *)(uintptr_t)argv, environ);
	posix_spawnattr_destroy(&attributes);
finish_actions:
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

/* A negative errno stays what it is. */
static int move_away(int fd)
{
	int moved;

	if (fd < 0)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, SPARE_FD);
	if (moved < 0)
		moved = -errno;
	close(fd);
	return moved;
}

/* Returns the end that the program is to have, -1 where it needs none, or a negative errno. */
static int open_screen_socket(struct isolate *i)
{
	struct screen_call call = {.isolate = i};
	int pair[2];

	if (!i->screen)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	call.fd = pair[0];
	loop_call(i->screen_loop, connect_screen, &call);
	if (!call.err)
		return move_away(pair[1]);
	close(pair[1]);
	return call.err;
}

int isolate_connect(void *isolate)
{
	struct isolate *i = isolate;
	int fds[SOCKETS];
	int pair[2], err;

	/* One that is there still had time to end since it lost us; a processor of the guest waits here now. */
	reap(i, 0);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	fds[LINK] = move_away(pair[1]);
	fds[CONTROL] = move_away(isolate_control_connect(i->control));
	fds[SCREEN] = open_screen_socket(i);
	err = fds[LINK] < 0 ? fds[LINK] : fds[CONTROL] < 0 ? fds[CONTROL] : i->screen && fds[SCREEN] < 0 ? fds[SCREEN] : 0;
	if (!err) {
		err = -spawn(i, fds);
		if (err)
			i->pid = 0;
	}
	for (int n = 0; n < SOCKETS; n++) {
		if (fds[n] >= 0)
			close(fds[n]);
	}
	if (!err)
		return pair[0];
	close(pair[0]);
	return err;
}

const struct display_control *isolate_display(const struct isolate *i)
{
	return isolate_control_display(i->control);
}

const struct counter_source *isolate_counters(const struct isolate *i)
{
	return isolate_control_counters(i->control);
}
