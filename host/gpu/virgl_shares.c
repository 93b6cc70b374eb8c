// SPDX-License-Identifier: MIT
#include "host/gpu/virgl_shares.h"

#include <errno.h>
#include <stddef.h>

#include <virglrenderer.h>

#include "host/base/log.h"
#include "host/gpu/virgl_library.h"
#include "host/virtio/object.h"
#include "protocol/virgl.h"

int virgl_shares_add(struct virgl_share **all, struct virgl_share *s, struct gpu_resource *res)
{
	if (res->shape.target != PIPE_TEXTURE_2D || res->shape.nr_samples > 1 || res->shape.depth > 1 ||
	    res->shape.array_size > 1)
		return -ENOTSUP;
	res->object->is_write_only = true;
	s->resource = res;
	s->next = *all;
	*all = s;
	return 0;
}

void virgl_shares_remove(struct virgl_share **all, struct virgl_share *s)
{
	struct virgl_share **at = all;

	while (*at && *at != s)
		at = &(*at)->next;
	if (*at)
		*at = s->next;
	s->resource = NULL;
}

unsigned virgl_shares_take_over(struct virgl_share *s)
{
	const struct gpu_resource *res = s->resource;
	struct virgl_box box = {.d = 1};
	unsigned writes;

	if (!res)
		return 0;
	writes = virtio_object_writes(res->object);
	if (writes == s->taken_over)
		return 0;
	s->taken_over = writes;
	box.w = res->shape.width;
	box.h = res->shape.height;
	/* What can fail is memory for a copy: then the picture before stays. */
	if (virgl_renderer_transfer_write_iov(res->id, 0, 0, res->object->shape.stride_bytes, 0, &box, 0,
					      res->object->pieces, res->object->piece_count) != 0)
		log_line(LOG_TOPIC_GPU, LOG_WARN,
			 "resource %u: a picture of another device did not get into the texture", res->id);
	return 1;
}

unsigned virgl_shares_take_over_all(struct virgl_share *all)
{
	unsigned count = 0;

	for (struct virgl_share *s = all; s; s = s->next)
		count += virgl_shares_take_over(s);
	return count;
}
