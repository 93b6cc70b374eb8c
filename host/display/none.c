// SPDX-License-Identifier: MIT
/*
 * The display that shows nothing: frames are not even read.
 */
#include <errno.h>
#include <stdlib.h>

#include "host/base/log.h"
#include "host/display/display.h"

static int create(struct loop *loop, const char *argument, struct input_sink *input, struct display_output **out)
{
	struct display_output *o;

	(void)loop;
	(void)input;
	if (*argument != '\0') {
		log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "none:%s: this display takes no argument; write --display none", argument);
		return -EINVAL;
	}
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->ops = &display_none_ops;
	*out = o;
	return 0;
}

static void blank(struct display_output *o, unsigned scanout)
{
	(void)o;
	(void)scanout;
}

static void cursor(struct display_output *o, unsigned scanout, const struct display_cursor *c)
{
	(void)o;
	(void)scanout;
	(void)c;
}

static void destroy(struct display_output *o)
{
	free(o);
}

const struct display_output_ops display_none_ops = {
	.name = "none",
	.help = "none: frames are not even read",
	.blind = true,
	.create = create,
	.blank = blank,
	.cursor = cursor,
	.destroy = destroy,
};
