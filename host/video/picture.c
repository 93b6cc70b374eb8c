// SPDX-License-Identifier: MIT
#include "host/video/picture.h"

#include <assert.h>
#include <string.h>

#include "host/video/buffer.h"
#include "host/virtio/object.h"

static uint32_t half(uint32_t n)
{
	return (n + 1) / 2;
}

void video_layout_init(struct video_layout *layout, const struct video_picture_format *format, uint32_t width,
		       uint32_t height)
{
	assert(width >= 1 && width <= VIDEO_MAX_SIDE && height >= 1 && height <= VIDEO_MAX_SIDE);
	*layout = (struct video_layout){.format = format, .width = 2 * half(width), .height = 2 * half(height)};
	for (unsigned i = 0; i < format->planes; i++) {
		struct video_plane *p = &layout->planes[i];

		p->stride_bytes = i == 0 ? layout->width * format->pixel_bytes : layout->width / 2 * format->u.step;
		p->size_bytes = p->stride_bytes * (i == 0 ? layout->height : layout->height / 2);
		layout->total_bytes += p->size_bytes;
	}
}

size_t video_layout_offset(const struct video_layout *layout, const struct video_buffer *buffer, unsigned i)
{
	size_t offset = buffer->planes[0].offset;

	if (i < buffer->plane_count)
		return buffer->planes[i].offset;
	for (unsigned k = 0; k < i; k++)
		offset += layout->planes[k].size_bytes;
	return offset;
}

/* The picture that @buffer's object is, or NULL. */
static const struct virtio_object_shape *shape_of(const struct video_buffer *buffer)
{
	return buffer->object_count == 1 && buffer->objects[0]->shape.order[0] ? &buffer->objects[0]->shape : NULL;
}

/* "BGRX" takes BGRA: what means nothing there may be anything. */
static bool is_of_order(const struct video_picture_format *format, const char *order)
{
	if (!video_picture_is_packed(format) || format->pixel_bytes != 4)
		return false;
	for (unsigned i = 0; i < 4; i++) {
		if (order[i] != format->name[i] && !(order[i] == 'X' && format->name[i] == 'A'))
			return false;
	}
	return true;
}

struct video_plane video_layout_plane(const struct video_layout *layout, const struct video_buffer *buffer, unsigned i)
{
	const struct virtio_object_shape *shape = shape_of(buffer);

	if (!shape || !video_picture_is_packed(layout->format))
		return layout->planes[i];
	return (struct video_plane){
		.stride_bytes = shape->stride_bytes,
		.size_bytes = shape->stride_bytes * (layout->height - 1) + layout->width * layout->format->pixel_bytes,
	};
}

bool video_layout_fits(const struct video_layout *layout, const struct video_buffer *buffer)
{
	const struct virtio_object_shape *shape = shape_of(buffer);

	if (buffer->plane_count != 1 && buffer->plane_count != layout->format->planes)
		return false;
	if (shape && (!is_of_order(layout->format, shape->order) || layout->width > shape->width ||
		      layout->height > shape->height))
		return false;
	for (unsigned i = 0; i < layout->format->planes; i++) {
		size_t offset = video_layout_offset(layout, buffer, i),
		       size = video_layout_plane(layout, buffer, i).size_bytes;
		size_t end = i < buffer->plane_count ? buffer->planes[i].end : buffer->bytes;

		if (buffer->plane_count == 1)
			end = buffer->bytes;
		if (offset > end || size > end - offset)
			return false;
	}
	return true;
}

static void copy_rows(struct video_cursor *to, size_t to_stride, const uint8_t *from, size_t from_stride, size_t row_bytes,
		      uint32_t rows)
{
	/* No gaps on either side: one copy. */
	if (to_stride == row_bytes && from_stride == row_bytes) {
		video_cursor_write(to, from, row_bytes * rows);
		return;
	}
	for (uint32_t y = 0; y < rows; y++, from += from_stride) {
		video_cursor_write(to, from, row_bytes);
		if (y + 1 < rows)
			video_cursor_skip(to, to_stride - row_bytes);
	}
}

/* One row of samples of @c, out of @picture. */
static const uint8_t *component_row(const struct video_picture *picture, const struct video_component *c, uint32_t y)
{
	return picture->planes[c->plane] + y * picture->strides[c->plane] + c->offset;
}

/* Rows of one chroma plane, put together from wherever the picture has the samples. */
static void write_chroma(const struct video_picture *picture, const struct video_layout *layout, unsigned plane,
			 struct video_cursor *to)
{
	const struct video_picture_format *f = layout->format;
	const bool both = f->u.plane == f->v.plane;
	const struct video_component *first = both || f->u.plane == plane ? &picture->format->u : &picture->format->v;
	const uint32_t width = half(picture->width), rows = half(picture->height);
	const size_t row_bytes = (size_t)width * f->u.step;
	uint8_t row[VIDEO_MAX_SIDE];

	if (picture->format->u.step == f->u.step) {
		copy_rows(to, layout->planes[plane].stride_bytes, component_row(picture, first, 0),
			  picture->strides[first->plane], row_bytes, rows);
		return;
	}
	for (uint32_t y = 0; y < rows; y++) {
		const uint8_t *u = component_row(picture, first, y);
		const uint8_t *v = both ? component_row(picture, &picture->format->v, y) : NULL;

		for (uint32_t x = 0; both && x < width; x++) {
			row[2 * x] = u[x];
			row[2 * x + 1] = v[x];
		}
		for (uint32_t x = 0; !both && x < width; x++)
			row[x] = u[2 * x];
		video_cursor_write(to, row, row_bytes);
		if (y + 1 < rows)
			video_cursor_skip(to, layout->planes[plane].stride_bytes - row_bytes);
	}
}

/* @n samples, in words that are @to_step and @from_step bytes apart. Words are little-endian, as every host here is. */
static void write_words(uint8_t *to, size_t to_step, const uint8_t *from, size_t from_step, uint32_t n,
			unsigned from_shift, unsigned to_shift)
{
	for (uint32_t x = 0; x < n; x++) {
		uint16_t word;

		memcpy(&word, from + x * from_step, sizeof(word));
		word = (uint16_t)(word >> from_shift << to_shift);
		memcpy(to + x * to_step, &word, sizeof(word));
	}
}

/* Rows of one plane of wide samples, put together from wherever the picture has them. */
static void write_wide(const struct video_picture *picture, const struct video_layout *layout, unsigned plane,
		       struct video_cursor *to)
{
	static const struct video_component luma = {.plane = 0, .offset = 0, .step = 2};
	const struct video_picture_format *f = layout->format, *g = picture->format;
	const struct {
		const struct video_component *to, *from;
	} components[] = {{&luma, &luma}, {&f->u, &g->u}, {&f->v, &g->v}};
	const uint32_t width = plane == 0 ? picture->width : half(picture->width);
	const uint32_t rows = plane == 0 ? picture->height : half(picture->height);
	const size_t row_bytes = (size_t)width * (plane == 0 ? f->pixel_bytes : f->u.step);
	uint8_t row[2 * VIDEO_MAX_SIDE];

	for (uint32_t y = 0; y < rows; y++) {
		for (unsigned i = 0; i < 3; i++) {
			const struct video_component *c = components[i].to;

			if (c->plane == plane)
				write_words(row + c->offset, c->step, component_row(picture, components[i].from, y),
					    components[i].from->step, width, g->shift, f->shift);
		}
		video_cursor_write(to, row, row_bytes);
		if (y + 1 < rows)
			video_cursor_skip(to, layout->planes[plane].stride_bytes - row_bytes);
	}
}

bool video_picture_is_alike(const struct video_picture_format *a, const struct video_picture_format *b)
{
	return !video_picture_is_packed(a) && !video_picture_is_packed(b) && a->wide == b->wide;
}

void video_picture_write(const struct video_picture *picture, const struct video_layout *layout,
			 const struct video_buffer *buffer)
{
	const bool same = picture->format == layout->format;
	struct video_cursor to;

	assert(picture->width <= layout->width && picture->height <= layout->height);
	assert(same || video_picture_is_alike(picture->format, layout->format));
	for (unsigned i = 0; i < layout->format->planes; i++) {
		video_cursor_init(&to, buffer, video_layout_offset(layout, buffer, i));
		if (!same && layout->format->wide)
			write_wide(picture, layout, i, &to);
		else if (i > 0)
			write_chroma(picture, layout, i, &to);
		else
			copy_rows(&to, video_layout_plane(layout, buffer, 0).stride_bytes, picture->planes[0],
				  picture->strides[0], (size_t)picture->width * layout->format->pixel_bytes,
				  picture->height);
	}
}

void video_picture_read(const struct video_picture *picture, const struct video_layout *layout,
			const struct video_buffer *buffer)
{
	assert(picture->format == layout->format);
	assert(picture->width <= layout->width && picture->height <= layout->height);
	for (unsigned i = 0; i < layout->format->planes; i++) {
		const uint32_t rows = i == 0 ? picture->height : half(picture->height);
		const size_t row_bytes = i == 0 ? (size_t)picture->width * layout->format->pixel_bytes
						: (size_t)half(picture->width) * layout->format->u.step;
		uint8_t *to = picture->planes[i];
		struct video_cursor from;

		video_cursor_init(&from, buffer, video_layout_offset(layout, buffer, i));
		for (uint32_t y = 0; y < rows; y++, to += picture->strides[i]) {
			video_cursor_read(&from, to, row_bytes);
			if (y + 1 < rows)
				video_cursor_skip(&from,
						  video_layout_plane(layout, buffer, i).stride_bytes - row_bytes);
		}
	}
}
