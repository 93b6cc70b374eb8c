/* SPDX-License-Identifier: MIT */
/*
 * Reading the guest pages behind a resource. The guest may rewrite them meanwhile, so this is for pixels, not for
 * anything that is parsed. A cursor walks the pieces once, however many rows are read. Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_BACKING_H
#define MULLION_HOST_GPU_BACKING_H

#include <stddef.h>
#include <stdint.h>

#include "host/gpu/resource.h"

struct gpu_backing_cursor {
	const struct gpu_resource *res;
	unsigned piece; /* of res->backing */
	size_t skip;    /* bytes of it that lie before the cursor */
	uint64_t left;  /* bytes from the cursor to the end of what was asked for */
};

/* Point @c at [@offset, @offset + @bytes) of the backing. Returns 0, or -EINVAL if that is not all there. */
int gpu_backing_seek(struct gpu_backing_cursor *c, const struct gpu_resource *res, uint64_t offset, uint64_t bytes);

/* The next @n bytes, at most c->left, to @dst; or past them. */
void gpu_backing_take(struct gpu_backing_cursor *c, void *dst, size_t n);
void gpu_backing_skip(struct gpu_backing_cursor *c, uint64_t n);

/* All of c->left as it lies in memory, or NULL when it is in several pieces. */
const void *gpu_backing_whole(const struct gpu_backing_cursor *c);

/* The bytes [@offset, @offset + @n) to @dst. Returns as gpu_backing_seek(). */
int gpu_backing_read(const struct gpu_resource *res, uint64_t offset, void *dst, size_t n);

/*
 * @rows rows of @row_bytes, @stride bytes apart from @offset on, to @dst. @stride is at least @row_bytes. Returns as
 * gpu_backing_seek().
 */
int gpu_backing_read_rows(const struct gpu_resource *res, uint64_t offset, uint64_t stride, size_t row_bytes, uint32_t rows,
			  void *dst, size_t dst_stride);

#endif
