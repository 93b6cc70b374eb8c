// SPDX-License-Identifier: MIT
#include "host/console/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opening the master of a pseudo terminal again would make another terminal. */
static bool is_pty_master(int fd)
{
	unsigned int number;

	return !ioctl(fd, TIOCGPTN, &number);
}

static int open_again(int fd, bool output)
{
	char path[32];
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	/* A file opened again would have a position of its own, and files don't block for long. */
	if (!S_ISFIFO(st.st_mode) && (!S_ISCHR(st.st_mode) || is_pty_master(fd)))
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, (output ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int stream_open(struct stream *s, struct loop *loop, int fd, bool output,
		void (*ready)(struct loop_fd *f, uint32_t events), void *owner)
{
	int own = open_again(fd, output);
	int flags, err;

	*s = (struct stream){.events = output ? EPOLLOUT : EPOLLIN, .shared_fd = -1};
	if (own < 0) {
		own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		flags = fcntl(fd, F_GETFL);
		if (own < 0 || flags < 0) {
			err = -errno;
			goto fail;
		}
		if (!(flags & O_NONBLOCK)) {
			if (fcntl(fd, F_SETFL, flags | O_NONBLOCK)) {
				err = -errno;
				goto fail;
			}
			s->shared_fd = fd;
			s->shared_flags = flags;
		}
	}
	s->watch = (struct loop_fd){.fd = own, .ready = ready, .owner = owner};
	/* Try once whether it can be watched at all. */
	err = loop_add_fd(loop, &s->watch, s->events);
	if (err && err != -EPERM)
		goto fail;
	s->pollable = !err;
	if (s->pollable)
		loop_remove_fd(loop, &s->watch);
	s->loop = loop;
	return 0;
fail:
	if (own >= 0)
		close(own);
	if (s->shared_fd >= 0)
		(void)fcntl(s->shared_fd, F_SETFL, s->shared_flags);
	return err;
}

void stream_close(struct stream *s, struct stream *other)
{
	if (!s->loop)
		return;
	stream_watch(s, false);
	if (s->shared_fd >= 0 && stream_is_open(other) && other->shared_fd < 0) {
		other->shared_fd = s->shared_fd;
		other->shared_flags = s->shared_flags;
	} else if (s->shared_fd >= 0) {
		(void)fcntl(s->shared_fd, F_SETFL, s->shared_flags);
	}
	close(s->watch.fd);
	s->loop = NULL;
}

bool stream_is_open(const struct stream *s)
{
	return s->loop;
}

void stream_watch(struct stream *s, bool on)
{
	if (!s->loop || !s->pollable || s->watched == on)
		return;
	if (!on)
		loop_remove_fd(s->loop, &s->watch);
	else if (loop_add_fd(s->loop, &s->watch, s->events))
		return; /* no memory in the kernel: the next call tries again */
	s->watched = on;
}

ssize_t stream_read(struct stream *s, void *buf, size_t n)
{
	ssize_t done;

	do {
		done = read(s->watch.fd, buf, n);
	} while (done < 0 && errno == EINTR);
	return done < 0 ? -errno : done;
}

ssize_t stream_write(struct stream *s, const void *buf, size_t n)
{
	ssize_t done;

	do {
		/* A socket whose peer has gone must not raise SIGPIPE. */
		done = send(s->watch.fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (done < 0 && errno == ENOTSOCK)
			done = write(s->watch.fd, buf, n);
	} while (done < 0 && errno == EINTR);
	if (done < 0)
		/* What can't be watched never says when it is ready again. */
		return errno == EAGAIN && !s->pollable ? -EIO : -errno;
	return done;
}
