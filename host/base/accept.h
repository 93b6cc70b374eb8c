/* SPDX-License-Identifier: MIT */
/*
 * Taking who connects to a listening socket. Where there is no descriptor left for one, or no memory, who wants to connect
 * stays in the queue, and the socket would wake its loop again and again: it rests for a second then, however often.
 *
 * Thread: the loop.
 */
#ifndef MULLION_HOST_BASE_ACCEPT_H
#define MULLION_HOST_BASE_ACCEPT_H

#include "host/base/log.h"
#include "host/base/loop.h"

/* Of one listening socket; zeroed storage is ready. */
struct accept_backoff {
	struct loop *loop;
	struct loop_fd *listener;
	struct loop_timer over;
	bool said; /* that it rests, since the last that was taken */
};

/*
 * Accept one at @listener, which is watched for EPOLLIN; @flags as accept4(2) has them, close-on-exec is set. Returns a
 * descriptor, or a negative errno: there is nobody, or the listener rests now, after a line that begins with @name (once,
 * until one is accepted again). The caller may remove the listener from the loop and add it again at any time.
 */
int accept_or_back_off(struct accept_backoff *r, struct loop *loop, struct loop_fd *listener, int flags,
		       enum log_topic topic, const char *name);
/* Before the listener is closed. */
void accept_backoff_end(struct accept_backoff *r);

#endif
