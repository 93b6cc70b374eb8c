// SPDX-License-Identifier: MIT
#include "host/gpu/backing.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int gpu_backing_seek(struct gpu_backing_cursor *c, const struct gpu_resource *res, uint64_t offset, uint64_t bytes)
{
	*c = (struct gpu_backing_cursor){.res = res, .left = bytes};
	if (bytes > res->backing_bytes || offset > res->backing_bytes - bytes)
		return -EINVAL;
	while (c->piece < res->backing_count && offset >= res->backing[c->piece].iov_len)
		offset -= res->backing[c->piece++].iov_len;
	c->skip = (size_t)offset;
	return 0;
}

void gpu_backing_take(struct gpu_backing_cursor *c, void *dst, size_t n)
{
	char *to = dst;

	assert(n <= c->left);
	c->left -= n;
	while (n > 0) {
		const struct iovec *v = &c->res->backing[c->piece];
		size_t chunk = v->iov_len - c->skip < n ? v->iov_len - c->skip : n;

		memcpy(to, (const char *)v->iov_base + c->skip, chunk);
		to += chunk;
		n -= chunk;
		c->skip += chunk;
		if (c->skip == v->iov_len) {
			c->piece++;
			c->skip = 0;
		}
	}
}

void gpu_backing_skip(struct gpu_backing_cursor *c, uint64_t n)
{
	assert(n <= c->left);
	c->left -= n;
	n += c->skip;
	while (c->piece < c->res->backing_count && n >= c->res->backing[c->piece].iov_len)
		n -= c->res->backing[c->piece++].iov_len;
	c->skip = (size_t)n;
}

const void *gpu_backing_whole(const struct gpu_backing_cursor *c)
{
	const struct iovec *v = &c->res->backing[c->piece];

	if (c->piece == c->res->backing_count || v->iov_len - c->skip < c->left)
		return NULL;
	return (const char *)v->iov_base + c->skip;
}

int gpu_backing_read(const struct gpu_resource *res, uint64_t offset, void *dst, size_t n)
{
	struct gpu_backing_cursor c;
	int err = gpu_backing_seek(&c, res, offset, n);

	if (err == 0)
		gpu_backing_take(&c, dst, n);
	return err;
}

int gpu_backing_read_rows(const struct gpu_resource *res, uint64_t offset, uint64_t stride, size_t row_bytes, uint32_t rows,
			  void *dst, size_t dst_stride)
{
	struct gpu_backing_cursor c;
	char *to = dst;
	int err;

	if (rows == 0 || row_bytes == 0)
		return 0;
	assert(stride >= row_bytes);
	err = gpu_backing_seek(&c, res, offset, stride * (rows - 1) + row_bytes);
	if (err < 0)
		return err;
	/* Rows without gaps on both sides: one copy. */
	if (stride == row_bytes && dst_stride == row_bytes) {
		gpu_backing_take(&c, to, row_bytes * rows);
		return 0;
	}
	for (uint32_t y = 0; y < rows; y++, to += dst_stride) {
		if (y > 0)
			gpu_backing_skip(&c, stride - row_bytes);
		gpu_backing_take(&c, to, row_bytes);
	}
	return 0;
}
