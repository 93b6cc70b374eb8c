/* SPDX-License-Identifier: MIT */
#ifndef MULLION_HOST_VHOST_LISTENER_H
#define MULLION_HOST_VHOST_LISTENER_H

/*
 * Listen on a socket at @path, for this user alone: whoever may connect owns the device. A socket that nobody listens on
 * any more is replaced. *out is the descriptor; unlink @path with it. Returns 0, or a negative errno after a line that
 * says what is wrong. Thread: any, but umask() is the process's.
 */
int vhost_listen(const char *path, int *out);

/* For a socket that listens and was inherited: another process that has it too may take who connects before us. */
void vhost_listen_without_waiting(int fd);

#endif
