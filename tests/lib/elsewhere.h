/* SPDX-License-Identifier: MIT */
/* Running a part of a test as another user, or where user namespaces are off. */
#ifndef MULLION_TESTS_LIB_ELSEWHERE_H
#define MULLION_TESTS_LIB_ELSEWHERE_H

#include <sys/types.h>

/* The exit status of @pid, or its signal as a negative number. */
int elsewhere_wait(pid_t pid);

/* Both give what elsewhere_wait() says of a process that runs @what, or 100 and more where that can't be had. */

/* As nobody; needs root. */
int elsewhere_as_nobody(int (*what)(void));
/* Unprivileged, and unable to make a user namespace. */
int elsewhere_without_user_namespaces(int (*what)(void));

#endif
