// SPDX-License-Identifier: MIT
#include "tests/lib/no_plugins.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int no_plugins_begin(char registry[NO_PLUGINS_PATH_BYTES])
{
	int fd;

	snprintf(registry, NO_PLUGINS_PATH_BYTES, "/tmp/mullion-registry-XXXXXX");
	fd = mkstemp(registry);
	if (fd < 0)
		return -errno;
	close(fd);
	setenv("GST_REGISTRY_1_0", registry, 1);
	setenv("GST_PLUGIN_SYSTEM_PATH_1_0", "", 1);
	setenv("GST_PLUGIN_PATH_1_0", "", 1);
	return 0;
}

void no_plugins_end(const char *registry)
{
	unlink(registry);
}
