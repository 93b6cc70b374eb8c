// SPDX-License-Identifier: MIT
#include "host/display/display.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/base/log.h"

const struct display_output_ops *const display_outputs[] = {
	&display_none_ops,
	&display_png_ops,
	NULL,
};

int display_create(struct loop *loop, const char *spec, struct display_output **out)
{
	const char *colon, *argument;
	size_t length;

	if (!spec)
		spec = "none";
	colon = strchr(spec, ':');
	length = colon ? (size_t)(colon - spec) : strlen(spec);
	argument = colon ? colon + 1 : "";
	for (const struct display_output_ops *const *ops = display_outputs; *ops; ops++) {
		if (strlen((*ops)->name) == length && strncmp((*ops)->name, spec, length) == 0)
			return (*ops)->create(loop, argument, out);
	}
	log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "no display '%.*s'; there are none and png:DIR[,every=N]", (int)length, spec);
	return -EINVAL;
}

void display_destroy(struct display_output *o)
{
	if (o)
		o->ops->destroy(o);
}
