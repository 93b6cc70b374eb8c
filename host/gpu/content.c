// SPDX-License-Identifier: MIT
#include "host/gpu/content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/gpu/record.h"
#include "host/virtio/journal.h"

#define PIPE_BUFFER 0u
#define MAX_PIXEL_BYTES 32u

struct gpu_content {
	struct journal *journal;
	struct gpu_resource_table *resources;
};

int gpu_content_create(struct journal *j, struct gpu_resource_table *resources, struct gpu_content **out)
{
	struct gpu_content *c = malloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	*c = (struct gpu_content){j, resources};
	*out = c;
	return 0;
}

void gpu_content_destroy(struct gpu_content *c)
{
	free(c);
}

/* The level of @res, or NULL: no such level, or no memory (then it is not there after a death). */
static struct gpu_level *find_level(struct gpu_resource *res, uint32_t level)
{
	/* Blobs are guest memory, and nothing else. */
	if (res->kind == GPU_RESOURCE_BLOB || level > res->shape.last_level)
		return NULL;
	if (!res->levels)
		res->levels = calloc(res->shape.last_level + 1, sizeof(*res->levels));
	return res->levels ? &res->levels[level] : NULL;
}

static void record(struct gpu_content *c, const struct gpu_resource *res, uint32_t level)
{
	const struct journal_key key = {GPU_RECORD_LEVEL, {res->id, level}};

	/* Without it the content is not fetched again; what was recorded before must not be either. */
	if (journal_put(c->journal, &key, &res->levels[level], sizeof(*res->levels)) < 0)
		journal_drop(c->journal, &key);
}

static uint32_t size_of(uint32_t size, uint32_t level)
{
	return size >> level ? size >> level : 1;
}

static struct renderer_box whole_level(const struct gpu_resource *res, uint32_t level)
{
	const struct gpu_resource_shape *s = &res->shape;
	uint32_t depth = size_of(s->depth, level);

	return (struct renderer_box){
		.width = size_of(s->width, level),
		.height = size_of(s->height, level),
		.depth = s->array_size > depth ? s->array_size : depth,
	};
}

/* Does @a hold all of @b? */
static bool holds(const struct renderer_box *a, const struct renderer_box *b)
{
	return a->x <= b->x && b->x + b->width <= a->x + a->width && a->y <= b->y &&
	       b->y + b->height <= a->y + a->height && a->z <= b->z && b->z + b->depth <= a->z + a->depth;
}

static bool is_in_level(const struct gpu_resource *res, uint32_t level, const struct renderer_box *b)
{
	const struct renderer_box whole = whole_level(res, level);

	return b->x <= whole.width && b->width <= whole.width - b->x && b->y <= whole.height &&
	       b->height <= whole.height - b->y && b->z <= whole.depth && b->depth <= whole.depth - b->z;
}

static void join(uint32_t *at, uint32_t *size, uint32_t other_at, uint32_t other_size)
{
	uint32_t end = *at + *size, other_end = other_at + other_size;

	*at = *at < other_at ? *at : other_at;
	*size = (end > other_end ? end : other_end) - *at;
}

/*
 * Let @l's box grow over @t's, if both are parts of one picture in the backing. How many bytes a pixel has is not asked
 * but seen from the distance of the two.
 */
static bool grow(struct gpu_level *l, const struct renderer_transfer *t, bool is_buffer)
{
	const int64_t dx = (int64_t)t->box.x - l->box.x, dy = (int64_t)t->box.y - l->box.y,
		      dz = (int64_t)t->box.z - l->box.z;
	int64_t rest, pixel = is_buffer ? 1 : 0;
	struct renderer_box box = l->box;

	if (l->box.depth == 0 || l->stride != t->stride || l->layer_stride != t->layer_stride)
		return false;
	/* Packed rows of boxes that differ in size are no picture. */
	if ((dy != 0 && t->stride == 0) || (dz != 0 && t->layer_stride == 0))
		return false;
	if (!is_buffer && t->stride == 0 && (dx != 0 || t->box.width != l->box.width))
		return false;
	/* May wrap for a guest that means it to; what comes of it is checked before it is used. */
	rest = (int64_t)(t->offset - l->offset - (uint64_t)dy * t->stride - (uint64_t)dz * t->layer_stride);
	if (dx != 0 && pixel == 0) {
		pixel = rest / dx;
		if (pixel < 1 || pixel > (int64_t)MAX_PIXEL_BYTES)
			return false;
	}
	if (rest != dx * pixel)
		return false;
	join(&box.x, &box.width, t->box.x, t->box.width);
	join(&box.y, &box.height, t->box.y, t->box.height);
	join(&box.z, &box.depth, t->box.z, t->box.depth);
	l->offset -= (uint64_t)(l->box.x - box.x) * (uint64_t)pixel + (uint64_t)(l->box.y - box.y) * t->stride +
		     (uint64_t)(l->box.z - box.z) * t->layer_stride;
	l->box = box;
	return true;
}

static void set(struct gpu_level *l, const struct renderer_transfer *t)
{
	l->stride = t->stride;
	l->layer_stride = t->layer_stride;
	l->box = t->box;
	l->offset = t->offset;
}

void gpu_content_uploaded(struct gpu_content *c, uint32_t resource_id, const struct renderer_transfer *t)
{
	struct gpu_resource *res = c ? gpu_resource_find(c->resources, resource_id) : NULL;
	struct gpu_level *l = res ? find_level(res, t->level) : NULL, before;
	struct renderer_box whole;

	if (!l || t->box.width == 0 || t->box.height == 0 || t->box.depth == 0 || !is_in_level(res, t->level, &t->box))
		return;
	before = *l;
	whole = whole_level(res, t->level);
	if (holds(&t->box, &whole)) {
		set(l, t);
		l->place = GPU_PLACE_BACKING;
	} else if (!grow(l, t, res->shape.target == PIPE_BUFFER)) {
		/* What lay outside the new box is on the GPU alone now. */
		if (l->box.depth != 0 && !holds(&t->box, &l->box) && l->place == GPU_PLACE_BACKING)
			l->place = GPU_PLACE_GPU;
		set(l, t);
	}
	if (l->place == GPU_PLACE_NOWHERE)
		l->place = GPU_PLACE_BACKING;
	if (memcmp(&before, l, sizeof(before)) != 0)
		record(c, res, t->level);
}

void gpu_content_downloaded(struct gpu_content *c, uint32_t resource_id, const struct renderer_transfer *t)
{
	struct gpu_resource *res = c ? gpu_resource_find(c->resources, resource_id) : NULL;
	struct gpu_level *l = res ? find_level(res, t->level) : NULL;
	struct renderer_box whole;

	if (!l || l->place == GPU_PLACE_NOWHERE || l->place == GPU_PLACE_BACKING)
		return;
	whole = whole_level(res, t->level);
	if (!holds(&t->box, &whole) || !is_in_level(res, t->level, &t->box))
		return;
	/* Now the backing has all of it, too. */
	set(l, t);
	l->place = GPU_PLACE_BACKING;
	record(c, res, t->level);
}

static void drawn(struct gpu_content *c, struct gpu_resource *res, uint32_t level)
{
	struct gpu_level *l = find_level(res, level);

	if (!l || l->place == GPU_PLACE_GPU)
		return;
	l->place = GPU_PLACE_GPU;
	record(c, res, level);
}

void gpu_content_drawn(struct gpu_content *c, uint32_t resource_id, uint32_t level)
{
	struct gpu_resource *res = c ? gpu_resource_find(c->resources, resource_id) : NULL;

	if (res)
		drawn(c, res, level);
}

void gpu_content_drawn_all(struct gpu_content *c, uint32_t resource_id)
{
	struct gpu_resource *res = c ? gpu_resource_find(c->resources, resource_id) : NULL;

	for (uint32_t level = 0; res && level <= res->shape.last_level; level++)
		drawn(c, res, level);
}

void gpu_content_detached(struct gpu_content *c, struct gpu_resource *res)
{
	for (uint32_t level = 0; c && res->levels && level <= res->shape.last_level; level++) {
		struct gpu_level *l = &res->levels[level];

		if (l->box.depth == 0)
			continue;
		*l = (struct gpu_level){.place = l->place == GPU_PLACE_BACKING ? GPU_PLACE_GPU : l->place};
		record(c, res, level);
	}
}

bool gpu_content_restore(struct gpu_content *c, struct gpu_resource *res, uint32_t level, const struct gpu_level *from,
			 struct renderer_transfer *t)
{
	struct gpu_level *l = find_level(res, level);

	if (!l || from->place > GPU_PLACE_LOST)
		return false;
	*l = *from;
	if (!is_in_level(res, level, &l->box) || !res->backing || l->offset >= res->backing_bytes)
		l->box = (struct renderer_box){0};
	if (l->place == GPU_PLACE_GPU || (l->place == GPU_PLACE_BACKING && l->box.depth == 0))
		l->place = GPU_PLACE_LOST;
	record(c, res, level);
	if (l->box.width == 0 || l->box.height == 0 || l->box.depth == 0)
		return false;
	*t = (struct renderer_transfer){
		.level = level,
		.stride = l->stride,
		.layer_stride = l->layer_stride,
		.offset = l->offset,
		.box = l->box,
	};
	return true;
}
