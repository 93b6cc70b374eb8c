/* SPDX-License-Identifier: MIT */
/*
 * Eventfds that another process has as well. Whether reads and writes of one wait is a flag that both share: a process
 * that was taken over makes them wait, fills the counter, or empties it, and a plain read() or write() of ours is stuck
 * for good. These are not, whatever it does.
 */
#ifndef MULLION_VMM_EVENT_H
#define MULLION_VMM_EVENT_H

#include <stdbool.h>

/* What it takes to ring them. Thread: any, one at a time. */
struct event_bell;

/* Returns 0 or a negative errno. */
int event_bell_create(struct event_bell **out);
void event_bell_destroy(struct event_bell *b); /* NULL is fine */

/* Add 1 to @eventfd, as the kernel does for a doorbell: a full counter stays full. Returns 0 or a negative errno. */
int event_bell_ring(struct event_bell *b, int eventfd);

/* Whether @eventfd was rung since the last time. Thread: any. */
bool event_take(int eventfd);

#endif
