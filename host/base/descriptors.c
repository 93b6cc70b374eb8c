// SPDX-License-Identifier: MIT
#include "host/base/descriptors.h"

#include <sys/resource.h>

void descriptors_allow_all(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	/* It may fail where the kernel's own limit (fs.nr_open) has become lower; then it stays as it was. */
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}
