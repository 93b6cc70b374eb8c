// SPDX-License-Identifier: MIT
#include "tests/lib/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <libgen.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ARGS 16

extern char **environ;

char command_path[PATH_MAX + 32];

bool command_find(const char *name)
{
	static const char *const ways[] = {"../..", "../../.."};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return false;
	self[n] = '\0';
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		char folder[PATH_MAX];

		strcpy(folder, self);
		snprintf(command_path, sizeof(command_path), "%s/%s/%s", dirname(folder), ways[i], name);
		if (!access(command_path, X_OK))
			return true;
	}
	return false;
}

static void slurp(int fd, char *to, size_t room)
{
	ssize_t n = pread(fd, to, room - 1, 0);

	to[n > 0 ? n : 0] = '\0';
	close(fd);
}

void command_run(const char *line, struct command_result *r)
{
	char words[PATH_MAX + 1024], *argv[MAX_ARGS + 1] = {command_path};
	int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC), argc = 1;
	posix_spawn_file_actions_t actions;
	pid_t pid;

	snprintf(words, sizeof(words), "%s", line);
	for (char *w = strtok(words, " "); w && argc < MAX_ARGS; w = strtok(NULL, " "))
		argv[argc++] = w;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, err, 2);
	assert_int_equal(posix_spawn(&pid, command_path, &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	assert_int_equal(waitpid(pid, &r->status, 0), pid);
	assert_true(WIFEXITED(r->status));
	r->status = WEXITSTATUS(r->status);
	slurp(out, r->out, sizeof(r->out));
	slurp(err, r->err, sizeof(r->err));
}

void command_says(const char *line, int status, const char *says)
{
	struct command_result r;

	command_run(line, &r);
	if (r.status != status || !strstr(r.err, says))
		fail_msg("%s %s: status %d, says: %s", basename(command_path), line, r.status, r.err);
	/* One line, and nothing on standard output. */
	if (strchr(r.err, '\n') != r.err + strlen(r.err) - 1)
		fail_msg("%s %s says more than a line: %s", basename(command_path), line, r.err);
	assert_string_equal(r.out, "");
}
