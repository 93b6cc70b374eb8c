/* SPDX-License-Identifier: MIT */
/*
 * Where control sockets are: NAME.sock in $XDG_RUNTIME_DIR/mullion, or in /tmp/mullion-UID where that isn't set. NAME
 * is what --name says, or the number of the process. Thread: any.
 */
#ifndef MULLION_VMM_CTL_PATH_H
#define MULLION_VMM_CTL_PATH_H

#include <stdbool.h>
#include <stddef.h>

#define CTL_NAME_MAX 64u

/* A letter, then letters, digits, '.', '-' and '_': no path, and no process number. */
bool ctl_name_is_valid(const char *name);

/*
 * The folder, for this user alone. @make: create it where it is missing. Returns 0, or a negative errno: -ENOENT (isn't
 * there), -EPERM (belongs to somebody else, or is open to others), -ENAMETOOLONG, or of the file system.
 */
int ctl_folder(char *path, size_t bytes, bool make);

/*
 * Connect to the socket at @path. Returns a descriptor or a negative errno; -ECONNREFUSED: nobody listens any more; -EAGAIN:
 * who listens there has taken no clients for seconds. What is sent to it waits no longer than that, either.
 */
int ctl_connect(const char *path);

/*
 * Listen at @path, for this user alone; a socket there that nobody listens at is replaced. Returns a non-blocking
 * descriptor, or a negative errno: -EADDRINUSE when somebody does, or something else is there.
 */
int ctl_listen(const char *path);

#endif
