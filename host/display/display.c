// SPDX-License-Identifier: MIT
#include "host/display/display.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/base/log.h"

const struct display_output_ops *const display_outputs[] = {
	&display_none_ops,
	&display_png_ops,
	&display_vnc_ops,
	&display_fd_ops,
	NULL,
};

int display_create(struct loop *loop, const char *spec, struct input_sink *input, struct display_output **out)
{
	const char *argument;
	size_t length;

	if (!spec)
		spec = "none";
	length = strcspn(spec, ":=,");
	/* Options may follow the name at once; their comma says that nothing came before. */
	argument = spec + length + (spec[length] == ':' || spec[length] == '=');
	for (const struct display_output_ops *const *ops = display_outputs; *ops; ops++) {
		if (strlen((*ops)->name) == length && strncmp((*ops)->name, spec, length) == 0)
			return (*ops)->create(loop, argument, input, out);
	}
	log_line(LOG_TOPIC_DISPLAY, LOG_ERROR,
		 "no display '%.*s'; there are none, png:DIR[,every=N], vnc[:ADDR], fd:N and, of mullion-gpu, a "
		 "socket's path (with / or . first)",
		 (int)length, spec);
	return -EINVAL;
}

void display_destroy(struct display_output *o)
{
	if (o)
		o->ops->destroy(o);
}
