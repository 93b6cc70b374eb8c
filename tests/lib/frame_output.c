// SPDX-License-Identifier: MIT
#include "tests/lib/frame_output.h"

#include <stdlib.h>

struct frame_output {
	struct display_output base;
	void (*show)(void *owner, const struct display_frame *frame);
	void *owner;
};

static int present(struct display_output *o, unsigned scanout, const struct display_frame *frame)
{
	struct frame_output *f = (struct frame_output *)o;

	if (scanout == 0)
		f->show(f->owner, frame);
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

static const struct display_output_ops frame_output_ops = {
	.name = "frames",
	.present = present,
	.blank = blank,
	.cursor = cursor,
	.destroy = destroy,
};

struct display_output *frame_output_create(void (*show)(void *owner, const struct display_frame *frame), void *owner)
{
	struct frame_output *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	*f = (struct frame_output){.base.ops = &frame_output_ops, .show = show, .owner = owner};
	return &f->base;
}
