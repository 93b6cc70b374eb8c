/* SPDX-License-Identifier: MIT */
/*
 * The frontend's side of the vhost-user-gpu display protocol (protocol/vhost_user_gpu.h): shows on an output what a device in
 * another process sends. That process may be in a guest's hands: every field is checked, and what makes no sense ends the
 * connection. Pictures are limited in size, each and together: one that has no room is not shown.
 *
 * The device decides sizes: it is not one to ask us for them. Another process of the same device may go on where one has
 * died; it begins by asking for our features. Thread: the loop given at creation, for every call.
 */
#ifndef MULLION_HOST_DISPLAY_SCREEN_H
#define MULLION_HOST_DISPLAY_SCREEN_H

#include "host/display/display.h"

struct screen;

/* @output is taken, also on failure. Returns 0 or -ENOMEM. */
int screen_create(struct loop *loop, struct display_output *output, struct screen **out);
/* Show what comes on the connected stream socket @fd, which is taken, instead of what came before. Returns 0 or a negative errno. */
int screen_connect(struct screen *s, int fd);
void screen_destroy(struct screen *s); /* NULL is fine */

#endif
