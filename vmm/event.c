// SPDX-License-Identifier: MIT
#include "vmm/event.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* A write() to an eventfd may wait, and can't be told not to. The end of an asynchronous read signals one from inside the kernel. */
struct event_bell {
	aio_context_t context; /* 0: this kernel, or a limit of it, has none */
	int null;	       /* what is read, no bytes at a time */
};

int event_bell_create(struct event_bell **out)
{
	struct event_bell *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	b->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (b->null < 0) {
		err = -errno;
		free(b);
		return err;
	}
	if (syscall(SYS_io_setup, 1, &b->context) < 0)
		b->context = 0;
	*out = b;
	return 0;
}

void event_bell_destroy(struct event_bell *b)
{
	if (!b)
		return;
	if (b->context)
		syscall(SYS_io_destroy, b->context);
	close(b->null);
	free(b);
}

/* Where nothing better is there: it waits only if the other end is hostile, and very quick. */
static int ring_by_write(int eventfd)
{
	struct pollfd p = {.fd = eventfd, .events = POLLIN};
	const uint64_t one = 1;

	if (poll(&p, 1, 0) == 1 && p.revents & (POLLIN | POLLERR))
		return 0; /* it rings already */
	return write(eventfd, &one, sizeof(one)) < 0 && errno != EAGAIN ? -errno : 0;
}

int event_bell_ring(struct event_bell *b, int eventfd)
{
	struct iocb read_nothing = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)b->null,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)eventfd,
	};
	struct iocb *list[1] = {&read_nothing};
	struct io_event done;

	if (!b->context)
		return ring_by_write(eventfd);
	if (syscall(SYS_io_submit, b->context, 1, list) != 1)
		return -errno;
	/* A read of /dev/null has ended by now: this only makes room for the next one. */
	while (syscall(SYS_io_getevents, b->context, 1, 1, &done, NULL) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

bool event_take(int eventfd)
{
	uint64_t count;
	struct iovec v = {.iov_base = &count, .iov_len = sizeof(count)};
	struct pollfd p = {.fd = eventfd, .events = POLLIN};
	ssize_t n = preadv2(eventfd, &v, 1, -1, RWF_NOWAIT);

	/* Before Linux 5.8 eventfds could not be read so: see ring_by_write(). */
	if (n < 0 && errno == EOPNOTSUPP && poll(&p, 1, 0) == 1 && p.revents & POLLIN)
		n = read(eventfd, &count, sizeof(count));
	return n == (ssize_t)sizeof(count);
}
