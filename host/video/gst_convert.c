// SPDX-License-Identifier: MIT
#include "host/video/gst_convert.h"

#include <errno.h>
#include <stdlib.h>

/* Describe a picture of @layout, whose one plane is @plane, with the visible size of @from. */
static void describe(GstVideoInfo *info, const GstVideoInfo *from, const struct video_layout *layout,
		     const struct video_plane *plane)
{
	gst_video_info_set_format(info, gst_video_format_from_string(layout->format->name),
				  (guint)GST_VIDEO_INFO_WIDTH(from), (guint)GST_VIDEO_INFO_HEIGHT(from));
	GST_VIDEO_INFO_PLANE_STRIDE(info, 0) = (gint)plane->stride_bytes;
	info->size = plane->size_bytes;
	/* The converter wants the two to agree on what it doesn't change. */
	info->interlace_mode = from->interlace_mode;
	info->par_n = from->par_n;
	info->par_d = from->par_d;
	info->fps_n = from->fps_n;
	info->fps_d = from->fps_d;
	if (GST_VIDEO_INFO_IS_YUV(info))
		info->colorimetry = from->colorimetry;
}

static bool prepare(struct gst_convert *c, const GstVideoInfo *from, const struct video_layout *layout,
		    const GstVideoInfo *to)
{
	if (c->converter && c->to == layout->format && gst_video_info_is_equal(&c->from, from))
		return true;
	gst_convert_finish(c);
	c->converter = gst_video_converter_new(from, to, NULL);
	c->from = *from;
	c->to = layout->format;
	return c->converter != NULL;
}

/* @layout's picture as it lies in the host's memory @at. */
static bool convert_to(struct gst_convert *c, GstVideoFrame *frame, GstVideoInfo *to, uint8_t *at)
{
	GstBuffer *wrapper = gst_buffer_new_wrapped_full(0, at, to->size, 0, to->size, NULL, NULL);
	GstVideoFrame out;
	bool mapped = gst_video_frame_map(&out, to, wrapper, GST_MAP_WRITE);

	if (mapped) {
		gst_video_converter_frame(c->converter, frame, &out);
		gst_video_frame_unmap(&out);
	}
	gst_buffer_unref(wrapper);
	return mapped;
}

int gst_convert_write(struct gst_convert *c, GstVideoFrame *frame, const struct video_layout *layout,
		      const struct video_buffer *buffer)
{
	const size_t offset = video_layout_offset(layout, buffer, 0);
	const struct video_plane plane = video_layout_plane(layout, buffer, 0);
	uint8_t *at = video_buffer_range(buffer, offset, plane.size_bytes);
	struct video_cursor to;
	GstVideoInfo info;

	describe(&info, &frame->info, layout, &plane);
	if (!prepare(c, &frame->info, layout, &info))
		return -ENOMEM;
	if (at)
		return convert_to(c, frame, &info, at) ? 1 : -ENOMEM;
	if (c->rows_bytes < plane.size_bytes) {
		free(c->rows);
		c->rows = malloc(plane.size_bytes);
		c->rows_bytes = c->rows ? plane.size_bytes : 0;
	}
	if (!c->rows || !convert_to(c, frame, &info, c->rows))
		return -ENOMEM;
	video_cursor_init(&to, buffer, offset);
	for (uint32_t y = 0; y < (uint32_t)GST_VIDEO_INFO_HEIGHT(&info); y++) {
		const size_t stride = plane.stride_bytes;
		const size_t row = (size_t)GST_VIDEO_INFO_WIDTH(&info) * layout->format->pixel_bytes;

		video_cursor_write(&to, c->rows + y * stride, row);
		if (y + 1 < (uint32_t)GST_VIDEO_INFO_HEIGHT(&info))
			video_cursor_skip(&to, stride - row);
	}
	return 2;
}

void gst_convert_finish(struct gst_convert *c)
{
	g_clear_pointer(&c->converter, gst_video_converter_free);
	free(c->rows);
	c->rows = NULL;
	c->rows_bytes = 0;
}
