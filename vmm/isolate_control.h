/* SPDX-License-Identifier: MIT */
/*
 * An isolated device, for the control socket: the asking end of host/virtio/control_socket.h, on a thread of its own,
 * which may wait for the device's worker. A worker that dies with a request is followed by one that is asked again.
 */
#ifndef MULLION_VMM_ISOLATE_CONTROL_H
#define MULLION_VMM_ISOLATE_CONTROL_H

struct counter_source;
struct display_control;
struct isolate_control;

/* Returns 0 or a negative errno. Thread: any. */
int isolate_control_create(struct isolate_control **out);
/* The device's processes have ended: what waits for them is cancelled. NULL is fine. Thread: any but its own. */
void isolate_control_destroy(struct isolate_control *c);

/*
 * The device's program is about to be started, or started again: returns the socket that it is to have (the caller's), or a
 * negative errno. Thread: any but its own.
 */
int isolate_control_connect(struct isolate_control *c);

/* The displays of one that has some. Lives as long as @c. */
const struct display_control *isolate_control_display(const struct isolate_control *c);
/*
 * What it counted, how many of its workers died ("deaths") first of all, also where none answers. Lives as long as @c.
 */
const struct counter_source *isolate_control_counters(const struct isolate_control *c);

#endif
