// SPDX-License-Identifier: MIT
#include "vmm/event.h"

#include <errno.h>
#include <stdint.h>
#include <sys/uio.h>
#include <unistd.h>

int event_ring(int eventfd)
{
	const uint64_t one = 1;

	return write(eventfd, &one, sizeof(one)) < 0 && errno != EAGAIN ? -errno : 0;
}

bool event_take(int eventfd)
{
	uint64_t count;
	struct iovec v = {.iov_base = &count, .iov_len = sizeof(count)};
	/* A read can be told not to wait, for a process that has no such sandbox; a write can't. */
	ssize_t n = preadv2(eventfd, &v, 1, -1, RWF_NOWAIT);

	/* Before Linux 5.8 eventfds could not be read so. */
	if (n < 0 && errno == EOPNOTSUPP)
		n = read(eventfd, &count, sizeof(count));
	return n == (ssize_t)sizeof(count);
}
