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

/* The output that @spec names, or NULL; *@length is that of the name. */
static const struct display_output_ops *find(const char *spec, size_t *length)
{
	*length = strcspn(spec, ":=,");
	for (const struct display_output_ops *const *ops = display_outputs; *ops; ops++) {
		if (strlen((*ops)->name) == *length && strncmp((*ops)->name, spec, *length) == 0)
			return *ops;
	}
	return NULL;
}

bool display_is_known(const char *spec)
{
	size_t length;

	return find(spec, &length) != NULL;
}

int display_create(struct loop *loop, const char *spec, struct input_sink *input, struct display_output **out)
{
	const struct display_output_ops *ops;
	const char *argument;
	size_t length;

	if (!spec)
		spec = "none";
	ops = find(spec, &length);
	/* Options may follow the name at once; their comma says that nothing came before. */
	argument = spec + length + (spec[length] == ':' || spec[length] == '=');
	if (ops)
		return ops->create(loop, argument, input, out);
	log_line(LOG_TOPIC_DISPLAY, LOG_ERROR,
		 "no display '%.*s'; there are none, png:DIR[,every=N], vnc[:ADDR] and fd:N", (int)length, spec);
	return -EINVAL;
}

void display_destroy(struct display_output *o)
{
	if (o)
		o->ops->destroy(o);
}
