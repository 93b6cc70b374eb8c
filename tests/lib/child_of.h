/* SPDX-License-Identifier: MIT */
/* Which processes another one has started: for tests that look for a keeper's worker. */
#ifndef MULLION_TESTS_LIB_CHILD_OF_H
#define MULLION_TESTS_LIB_CHILD_OF_H

#include <sys/types.h>

/* Child number @which of @parent's, the oldest first; 0: there is none. */
pid_t child_of(pid_t parent, unsigned which);

#endif
