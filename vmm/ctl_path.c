// SPDX-License-Identifier: MIT
#include "vmm/ctl_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* A guest's process takes its clients at once, unless it hangs. */
#define TAKEN_WITHIN_S 3

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool ctl_name_is_valid(const char *name)
{
	size_t n = strlen(name);

	if (n > CTL_NAME_MAX || !is_letter(*name))
		return false;
	for (size_t i = 1; i < n; i++) {
		if (!is_letter(name[i]) && !(name[i] >= '0' && name[i] <= '9') && !strchr(".-_", name[i]))
			return false;
	}
	return true;
}

int ctl_folder(char *path, size_t bytes, bool make)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	struct stat st;
	int n;

	if (runtime && *runtime == '/')
		n = snprintf(path, bytes, "%s/mullion", runtime);
	else
		n = snprintf(path, bytes, "/tmp/mullion-%u", (unsigned)getuid());
	if (n < 0 || (size_t)n >= bytes)
		return -ENAMETOOLONG;
	if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	/* In /tmp anybody may have made it: a link, or a folder where he could put a socket of his own. */
	if (lstat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) && st.st_uid == getuid() && !(st.st_mode & 022) ? 0 : -EPERM;
}

static int fill(struct sockaddr_un *a, const char *path)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(a->sun_path))
		return -ENAMETOOLONG;
	strcpy(a->sun_path, path);
	return 0;
}

/* -EAGAIN: somebody listens, but has not taken others yet. @flags: SOCK_NONBLOCK, to be told so at once. */
static int connect_to(const char *path, int flags)
{
	const struct timeval limit = {.tv_sec = TAKEN_WITHIN_S};
	struct sockaddr_un a;
	int err = fill(&a, path);
	int fd = err ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (err)
		return err;
	if (fd < 0)
		return -errno;
	if (!setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) &&
	    !connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int ctl_connect(const char *path)
{
	return connect_to(path, 0);
}

int ctl_listen(const char *path)
{
	char fresh[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct sockaddr_un a;
	struct stat st;
	int fd, err;

	/* Made under a name of its own, so that whoever finds it at @path finds somebody listening. */
	if ((size_t)snprintf(fresh, sizeof(fresh), "%s.%u", path, (unsigned)getpid()) >= sizeof(fresh))
		return -ENAMETOOLONG;
	err = fill(&a, fresh);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(fresh);
	/* The mode of the descriptor becomes that of the file, before anybody can see the file. */
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		err = -errno;
		goto fail;
	}
	err = chmod(fresh, 0600) < 0 || listen(fd, 8) < 0 ? -errno : 0;
	if (!err && link(fresh, path) < 0)
		err = -errno;
	if (err == -EEXIST && !lstat(path, &st) && S_ISSOCK(st.st_mode)) {
		int peer = connect_to(path, SOCK_NONBLOCK);

		if (peer >= 0)
			close(peer);
		else if (peer == -ECONNREFUSED)
			err = unlink(path) < 0 || link(fresh, path) < 0 ? -errno : 0;
	}
	if (err == -EEXIST)
		err = -EADDRINUSE;
	unlink(fresh);
	if (!err)
		return fd;
fail:
	close(fd);
	return err;
}
