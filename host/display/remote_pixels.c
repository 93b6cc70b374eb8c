// SPDX-License-Identifier: MIT
#include "host/display/remote_pixels.h"

#include <string.h>

static bool meet(const struct display_rect *a, const struct display_rect *b)
{
	return a->x < b->x + b->width && b->x < a->x + a->width && a->y < b->y + b->height && b->y < a->y + a->height;
}

/* Before @damage changes the newest picture. */
static void keep_pass(struct remote_pixels *p, const struct display_rect *damage)
{
	if (p->pass.height == 0 || p->pass_is_kept || !meet(&p->pass, damage) ||
	    picture_resize(&p->kept, p->newest.width, p->newest.height))
		return;
	picture_copy_rect(&p->kept, &p->newest, &p->pass);
	p->pass_is_kept = true;
}

int remote_pixels_take(struct remote_pixels *p, const struct display_frame *frame, const struct display_rect *damage)
{
	if (p->newest.width != frame->width || p->newest.height != frame->height) {
		const struct display_rect whole = {0, 0, frame->width, frame->height};

		remote_pixels_end_pass(p);
		return picture_update(&p->newest, frame, &whole);
	}
	keep_pass(p, damage);
	return picture_update(&p->newest, frame, damage);
}

void remote_pixels_begin(struct remote_pixels *p, const struct display_rect *rect)
{
	p->pass = *rect;
	p->pass_is_kept = false;
}

size_t remote_pixels_put(struct remote_pixels *p, void *to, size_t capacity_bytes, struct display_rect *out)
{
	const struct picture *from = p->pass_is_kept ? &p->kept : &p->newest;
	const size_t row_bytes = p->pass.width * sizeof(*from->pixels);
	uint8_t *at = to;

	if (p->pass.height == 0)
		return 0;
	*out = p->pass;
	if (out->height > capacity_bytes / row_bytes)
		out->height = (uint32_t)(capacity_bytes / row_bytes);
	for (uint32_t y = out->y; y < out->y + out->height; y++) {
		memcpy(at, from->pixels + (size_t)y * from->width + out->x, row_bytes);
		at += row_bytes;
	}
	p->pass.y += out->height;
	p->pass.height -= out->height;
	return out->height * row_bytes;
}

void remote_pixels_end_pass(struct remote_pixels *p)
{
	p->pass = (struct display_rect){0};
	p->pass_is_kept = false;
}

void remote_pixels_finish(struct remote_pixels *p)
{
	picture_finish(&p->newest);
	picture_finish(&p->kept);
	remote_pixels_end_pass(p);
}
