// SPDX-License-Identifier: MIT
#include "vmm/nearest.h"

#include <stddef.h>
#include <string.h>

/* Edits (insert, delete, replace, swap of neighbours) from @a to @b; words are short. */
static unsigned distance(const char *a, const char *b)
{
	enum { MAX = 24 };
	unsigned d[MAX + 1][MAX + 1];
	size_t n = strnlen(a, MAX + 1), m = strnlen(b, MAX + 1);

	if (n > MAX || m > MAX)
		return MAX;
	for (unsigned i = 0; i <= n; i++)
		d[i][0] = i;
	for (unsigned k = 0; k <= m; k++)
		d[0][k] = k;
	for (size_t i = 1; i <= n; i++) {
		for (size_t k = 1; k <= m; k++) {
			unsigned best = d[i - 1][k - 1] + (a[i - 1] != b[k - 1]);

			if (d[i - 1][k] + 1 < best)
				best = d[i - 1][k] + 1;
			if (d[i][k - 1] + 1 < best)
				best = d[i][k - 1] + 1;
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
			    d[i - 2][k - 2] + 1 < best)
				best = d[i - 2][k - 2] + 1;
			d[i][k] = best;
		}
	}
	return d[n][m];
}

const char *nearest_word(const char *word, const char *const *names)
{
	const char *nearest = NULL;
	unsigned best = 3; /* farther off is another word */

	for (; *names; names++) {
		unsigned d = distance(word, *names);

		if (d < best && d < strlen(*names)) {
			best = d;
			nearest = *names;
		}
	}
	return nearest;
}
