// SPDX-License-Identifier: MIT
#include "tests/lib/child_of.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#define CHILDREN_MAX 64u

struct child {
	unsigned long long start; /* ticks */
	int pid;
};

static int by_start(const void *a, const void *b)
{
	const struct child *left = a, *right = b;

	if (left->start != right->start)
		return left->start < right->start ? -1 : 1;
	return left->pid < right->pid ? -1 : 1;
}

/* Not each kernel lists children (CONFIG_PROC_CHILDREN); all tell parents. */
pid_t child_of(pid_t parent, unsigned which)
{
	struct child children[CHILDREN_MAX];
	unsigned count = 0;
	glob_t found;

	if (glob("/proc/[0-9]*/stat", GLOB_NOSORT, NULL, &found))
		return 0;
	for (size_t i = 0; i < found.gl_pathc && count < CHILDREN_MAX; i++) {
		FILE *f = fopen(found.gl_pathv[i], "re");
		unsigned long long start;
		int pid, of;

		if (!f)
			continue;
		/* Fields 1, 4 and 22; a name may have spaces, and those of ours have no bracket. */
		if (fscanf(f,
			   "%d (%*[^)]) %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
			   "%llu",
			   &pid, &of, &start) == 3 &&
		    of == parent)
			children[count++] = (struct child){start, pid};
		fclose(f);
	}
	globfree(&found);
	qsort(children, count, sizeof(children[0]), by_start);
	return which < count ? children[which].pid : 0;
}
