/* SPDX-License-Identifier: MIT */
/*
 * The display of a vhost-user frontend, such as QEMU's: pictures, cursors and questions go over the socket of
 * VHOST_USER_GPU_SET_SOCKET (protocol/vhost_user_gpu.h). The frontend may hand over another socket at any time, and may
 * read slowly or not at all; what it has not read is not queued but sent later as it is then.
 *
 * The socket may be one that a process before this one used, and was killed at: messages are written and taken whole,
 * each by one system call, so there is no half a message on it.
 *
 * Thread: the loop, for every call.
 */
#ifndef MULLION_HOST_DISPLAY_VHOST_GPU_H
#define MULLION_HOST_DISPLAY_VHOST_GPU_H

#include <stdbool.h>

#include "host/display/display.h"

/* Without a socket yet. Returns 0 or -ENOMEM. */
int display_vhost_gpu_create(struct loop *loop, struct display_output **out);

/*
 * Show on the display at @fd (taken, also on failure) from now on. It knows nothing yet: present each scanout and tell
 * each cursor again. Returns 0 or a negative errno, and there is no display then.
 */
int display_vhost_gpu_connect(struct display_output *o, int fd);

/* There is a display. Without, what is presented is dropped. */
bool display_vhost_gpu_is_connected(const struct display_output *o);

#endif
