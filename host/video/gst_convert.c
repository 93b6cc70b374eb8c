// SPDX-License-Identifier: MIT
#include "host/video/gst_convert.h"

#include <errno.h>
#include <stdlib.h>

/* Describe a picture of @layout's format with the visible size of @from, as it lies in the host's memory. */
static void describe(GstVideoInfo *info, const GstVideoInfo *from, const struct video_layout *layout)
{
	gst_video_info_set_format(info, gst_video_format_from_string(layout->format->name),
				  (guint)GST_VIDEO_INFO_WIDTH(from), (guint)GST_VIDEO_INFO_HEIGHT(from));
	/* The converter wants the two to agree on what it doesn't change. */
	info->interlace_mode = from->interlace_mode;
	info->par_n = from->par_n;
	info->par_d = from->par_d;
	info->fps_n = from->fps_n;
	info->fps_d = from->fps_d;
	if (GST_VIDEO_INFO_IS_YUV(info))
		info->colorimetry = from->colorimetry;
	/* It would move chroma to where the default has it. */
	if (!video_picture_is_packed(layout->format))
		info->chroma_site = from->chroma_site;
}

/* As it lies in @buffer. Returns where that is, or NULL if it isn't one piece, plane after plane. */
static uint8_t *describe_in_place(GstVideoInfo *info, const struct video_layout *layout,
				  const struct video_buffer *buffer)
{
	const size_t first = video_layout_offset(layout, buffer, 0);
	size_t end = first;

	for (unsigned i = 0; i < layout->format->planes; i++) {
		const struct video_plane plane = video_layout_plane(layout, buffer, i);
		const size_t offset = video_layout_offset(layout, buffer, i);

		if (offset < end)
			return NULL;
		GST_VIDEO_INFO_PLANE_STRIDE(info, i) = (gint)plane.stride_bytes;
		GST_VIDEO_INFO_PLANE_OFFSET(info, i) = offset - first;
		end = offset + plane.size_bytes;
	}
	info->size = end - first;
	return video_buffer_range(buffer, first, info->size);
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

/* To the host's memory @at. */
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
	struct video_picture p = {.format = layout->format};
	GstVideoInfo info, in_place;
	uint8_t *at;

	describe(&info, &frame->info, layout);
	if (!prepare(c, &frame->info, layout, &info))
		return -ENOMEM;
	in_place = info;
	at = describe_in_place(&in_place, layout, buffer);
	if (at)
		return convert_to(c, frame, &in_place, at) ? 1 : -ENOMEM;
	if (c->picture_bytes < info.size) {
		free(c->picture);
		c->picture = malloc(info.size);
		c->picture_bytes = c->picture ? info.size : 0;
	}
	if (!c->picture || !convert_to(c, frame, &info, c->picture))
		return -ENOMEM;
	p.width = (uint32_t)GST_VIDEO_INFO_WIDTH(&info);
	p.height = (uint32_t)GST_VIDEO_INFO_HEIGHT(&info);
	for (unsigned i = 0; i < layout->format->planes; i++) {
		p.planes[i] = c->picture + GST_VIDEO_INFO_PLANE_OFFSET(&info, i);
		p.strides[i] = (size_t)GST_VIDEO_INFO_PLANE_STRIDE(&info, i);
	}
	video_picture_write(&p, layout, buffer);
	return 2;
}

void gst_convert_finish(struct gst_convert *c)
{
	g_clear_pointer(&c->converter, gst_video_converter_free);
	free(c->picture);
	c->picture = NULL;
	c->picture_bytes = 0;
}
