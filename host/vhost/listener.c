// SPDX-License-Identifier: MIT
#include "host/vhost/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/base/log.h"

static bool is_socket(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/*
 * Nobody listens on @address: it is what a server that died has left. Nobody listens on a file of another kind either, but
 * that is somebody's. One with more at its door than it takes lives: to connect would be to wait there.
 */
static bool is_stale(const struct sockaddr_un *address)
{
	int fd;
	bool stale;

	if (!is_socket(address->sun_path))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int bind_for_user(int fd, const struct sockaddr_un *address)
{
	mode_t mask = umask(0077);
	int err = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

	if (err == -EADDRINUSE && is_stale(address) && unlink(address->sun_path) == 0)
		err = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
	umask(mask);
	return err;
}

int vhost_listen(const char *path, int *out)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, err;

	if (strlen(path) >= sizeof(address.sun_path)) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR,
			 "%s: the path of a socket has %zu bytes at most; use a shorter one", path,
			 sizeof(address.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		err = -errno;
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "no socket: %s", strerror(-err));
		return err;
	}
	err = bind_for_user(fd, &address);
	if (err) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "can't listen on %s: %s; name another path%s", path, strerror(-err),
			 err != -EADDRINUSE ? ""
			 : is_socket(path)  ? ", or end the program that uses it"
					    : ": this one is a file that is no socket");
		goto fail;
	}
	if (listen(fd, 1) < 0) {
		err = -errno;
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "can't listen on %s: %s", path, strerror(-err));
		unlink(path);
		goto fail;
	}
	*out = fd;
	return 0;

fail:
	close(fd);
	return err;
}

void vhost_listen_without_waiting(int fd)
{
	const int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}
