// SPDX-License-Identifier: MIT
#include "host/base/accept.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define REST_NS 1000000000ull

static void listen_again(struct loop_timer *t)
{
	struct accept_backoff *r = t->owner;

	/* Fails harmlessly (ENOENT) while its owner has taken it out of the loop. */
	(void)loop_change_fd(r->loop, r->listener, EPOLLIN);
}

int accept_or_back_off(struct accept_backoff *r, struct loop *loop, struct loop_fd *listener, int flags,
		       enum log_topic topic, const char *name)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | flags);
	const int err = fd < 0 ? errno : 0;

	if (!err)
		r->said = false;
	if (err != EMFILE && err != ENFILE && err != ENOMEM && err != ENOBUFS)
		return err ? -err : fd;
	if (!r->said)
		log_line(topic, LOG_WARN, "%s: somebody who connects has to wait: %s", name, strerror(err));
	r->said = true;
	r->loop = loop;
	r->listener = listener;
	r->over.expired = listen_again;
	r->over.owner = r;
	(void)loop_change_fd(loop, listener, 0);
	loop_arm_timer(loop, &r->over, loop_now_ns() + REST_NS);
	return -err;
}

void accept_backoff_end(struct accept_backoff *r)
{
	if (r->loop)
		loop_cancel_timer(r->loop, &r->over);
}
