/* SPDX-License-Identifier: MIT */
/*
 * Programs of this tree as a user starts them: words in, an exit status and what was said out. For cmocka tests; calls assert
 * that the program runs.
 */
#ifndef MULLION_TESTS_LIB_COMMAND_H
#define MULLION_TESTS_LIB_COMMAND_H

#include <limits.h>
#include <stdbool.h>

/* Where the program is. */
extern char command_path[PATH_MAX + 32];

/*
 * Find the program @name beside the build folder's tests, or those of the sanitizers' folder inside it; the calls below are about
 * the last one found. False: it is not built.
 */
bool command_find(const char *name);

struct command_result {
	int status;
	char out[16384], err[4096];
};

/* Run it with the words of @line; standard input is empty. */
void command_run(const char *line, struct command_result *r);
/* It ends with @status, has @says in its one line of errors, and says nothing else. */
void command_says(const char *line, int status, const char *says);

#endif
