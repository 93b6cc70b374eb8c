// SPDX-License-Identifier: MIT
#include "host/video/gst_registry.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/video/gst_elements.h"

#define LIMIT_MS 120000

/* Make folder @path, whose parent is there or is made, too. Returns false if it can't be written to. */
static bool make_folder(const char *parent, const char *path)
{
	mkdir(parent, 0755);
	mkdir(path, 0755);
	return access(path, W_OK | X_OK) == 0;
}

/* A folder that stays; the worker of a program that root starts is not root, so root's home is no place. */
static bool find_cache(char *folder, size_t bytes)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char parent[256];
	int n;

	if (geteuid() == 0)
		n = snprintf(parent, sizeof(parent), "/var/cache");
	else if (cache && *cache == '/')
		n = snprintf(parent, sizeof(parent), "%s", cache);
	else if (home && *home == '/')
		n = snprintf(parent, sizeof(parent), "%s/.cache", home);
	else
		return false;
	if (n < 0 || (size_t)n >= sizeof(parent))
		return false;
	n = snprintf(folder, bytes, "%s/mullion", parent);
	return n > 0 && (size_t)n < bytes && make_folder(parent, folder);
}

static bool find_place(struct gst_registry *r)
{
	const char *own = getenv("GST_REGISTRY");
	char folder[300];
	struct utsname machine;

	/* Whoever sets it has a reason. */
	if (own && *own == '/' && strlen(own) < sizeof(r->path)) {
		strcpy(r->path, own);
		return true;
	}
	if (!find_cache(folder, sizeof(folder))) {
		strcpy(r->folder, "/tmp/mullion-video-XXXXXX");
		if (!mkdtemp(r->folder)) {
			r->folder[0] = '\0';
			return false;
		}
		chmod(r->folder, 0755);
		strcpy(folder, r->folder);
	}
	uname(&machine);
	snprintf(r->path, sizeof(r->path), "%s/gstreamer-%.32s.bin", folder, machine.machine);
	return true;
}

/* In a child: GStreamer brings the file up to date when it starts. */
static _Noreturn void update(const struct gst_registry *r)
{
	setenv("GST_REGISTRY", r->path, 1);
	unsetenv("GST_REGISTRY_UPDATE");
	unsetenv("GST_REGISTRY_FORK");
	if (!gst_elements_init() || access(r->path, R_OK))
		_exit(EXIT_FAILURE);
	/* A list of installed files; a worker may be another user. */
	chmod(r->path, 0644);
	_exit(EXIT_SUCCESS);
}

static bool wait_for(pid_t pid)
{
	struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	int status = 0;

	if (end.fd < 0 || poll(&end, 1, LIMIT_MS) != 1)
		kill(pid, SIGKILL);
	if (end.fd >= 0)
		close(end.fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

void gst_registry_prepare(struct gst_registry *r)
{
	pid_t pid = -1;

	memset(r, 0, sizeof(*r));
	/* Whatever comes of it: no processes are started in a sandbox. */
	setenv("GST_REGISTRY_FORK", "no", 1);
	if (find_place(r)) {
		fflush(NULL);
		pid = fork();
		if (pid == 0)
			update(r);
	}
	if (pid < 0 || !wait_for(pid)) {
		log_line(LOG_TOPIC_VIDEO, LOG_WARN,
			 "GStreamer's list of plug-ins can't be kept in %s; every start takes seconds longer: make the "
			 "folder writable, or name a file in GST_REGISTRY",
			 *r->path ? r->path : "/tmp");
		return;
	}
	setenv("GST_REGISTRY", r->path, 1);
	setenv("GST_REGISTRY_UPDATE", "no", 1);
}

void gst_registry_finish(struct gst_registry *r)
{
	if (!r->folder[0])
		return;
	unlink(r->path);
	rmdir(r->folder);
}
