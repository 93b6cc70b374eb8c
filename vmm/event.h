/* SPDX-License-Identifier: MIT */
/*
 * Eventfds that another process has as well, which may fill the counter, or empty it. Whether reads and writes of one then
 * wait is a flag that both share: all are made with EFD_NONBLOCK, and the sandbox of a worker has no call that takes it
 * away (host/vhost/seccomp.c).
 */
#ifndef MULLION_VMM_EVENT_H
#define MULLION_VMM_EVENT_H

#include <stdbool.h>

/* Add 1 to @eventfd; a full counter stays full. Returns 0 or a negative errno. Thread: any. */
int event_ring(int eventfd);

/*
 * Whether @eventfd was rung since the last time. From Linux 5.8 on it waits for nobody, whatever the flag says; before, as the
 * flag says. Thread: any.
 */
bool event_take(int eventfd);

#endif
