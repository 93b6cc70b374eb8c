/* SPDX-License-Identifier: MIT */
/*
 * What a worker, and the drivers in it, write to standard output and standard error. It goes through a pipe to the keeper,
 * which passes lines on to its own standard error: with what is no plain text made visible ("\x1b"), since a terminal would
 * obey it, and no more of them than a log has room for. What a worker
 * said last before it died is said whatever the limit, if standard error has room.
 *
 * Thread: the keeper's loop.
 */
#ifndef MULLION_HOST_VHOST_WORKER_OUTPUT_H
#define MULLION_HOST_VHOST_WORKER_OUTPUT_H

struct loop;
struct worker_output;

/* Begin with a pipe; *worker_end is the worker's end, the caller's. Returns 0 or a negative errno. */
int worker_output_create(struct loop *loop, struct worker_output **out, int *worker_end);
/* The worker is dead: pass on what is left. NULL is fine. */
void worker_output_destroy(struct worker_output *o);

/* In the worker: standard output and standard error go to @worker_end, which stays open. */
void worker_output_redirect(int worker_end);

/* For who waits outside the loop: readable when worker_output_read() has something to pass on; -1: it will not have any. */
int worker_output_fd(const struct worker_output *o);
/* Pass on what is there, without waiting. */
void worker_output_read(struct worker_output *o);

#endif
