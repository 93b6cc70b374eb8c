/* SPDX-License-Identifier: MIT */
/*
 * Where a program of this tree is: it is built beside the tests, in the folder of all.
 */
#ifndef MULLION_TESTS_LIB_PROGRAM_PATH_H
#define MULLION_TESTS_LIB_PROGRAM_PATH_H

#include <libgen.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* False: this process does not know its own path, or the other one is longer than @bytes. Whether it is there is not asked. */
static inline bool program_path(const char *name, char *path, size_t bytes)
{
	ssize_t n = readlink("/proc/self/exe", path, bytes);

	if (n <= 0 || (size_t)n + strlen(name) + 2 > bytes)
		return false;
	path[n] = '\0';
	for (unsigned i = 0; i < 3; i++)
		dirname(path);
	strcat(path, "/");
	strcat(path, name);
	return true;
}

#endif
