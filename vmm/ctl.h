/* SPDX-License-Identifier: MIT */
/*
 * The control socket of a running guest: JSON lines (docs/mullion-ctl.md). The server reads lines, checks requests
 * against the table in ctl_commands.c and writes the answers; several clients may be connected. It never waits: each
 * client's requests are answered in their order, one at a time, and what takes time is done elsewhere. A client that
 * doesn't read its answers is dropped. Thread: the VM's loop, and main before and after it runs.
 */
#ifndef MULLION_VMM_CTL_H
#define MULLION_VMM_CTL_H

struct ctl;
struct devices;
struct vm;

#define CTL_PROTOCOL 1
/* Bytes of a request's line, and of the answers that wait for a client. */
#define CTL_LINE_MAX 65536u
#define CTL_OUTPUT_MAX 262144u
#define CTL_CLIENTS_MAX 16u

struct ctl_config {
	const char *path; /* of the socket; NULL: the usual place */
	const char *name; /* of the guest; NULL: none */
	struct vm *vm;
	struct devices *devices;
};

/* Listen. Returns 0, or a negative errno after one line that says what to do. The strings outlive the server. */
int ctl_create(const struct ctl_config *config, struct ctl **out);

/* Serve the connected stream socket @fd too, and take it. */
void ctl_serve(struct ctl *c, int fd);

/* Hang up, and remove the socket; the devices are still there. The loop doesn't run any more. NULL is fine. */
void ctl_close(struct ctl *c);
/* After ctl_close(), when the devices have gone. NULL is fine. */
void ctl_destroy(struct ctl *c);

#endif
