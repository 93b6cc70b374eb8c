/* SPDX-License-Identifier: MIT */
/*
 * Decoded pictures in the packed formats, and in more or fewer bits: GStreamer's converter, which knows matrices and ranges
 * and how to round, writes them straight into the guest's buffer where that is one piece, else into memory of the host from
 * which they are copied.
 * Thread: the device's loop.
 */
#ifndef MULLION_HOST_VIDEO_GST_CONVERT_H
#define MULLION_HOST_VIDEO_GST_CONVERT_H

#include <gst/video/video.h>

#include "host/video/buffer.h"
#include "host/video/picture.h"

/* Of one codec; all zero is a new one. */
struct gst_convert {
	GstVideoConverter *converter; /* from info to layout.format; NULL: none yet */
	GstVideoInfo from;
	const struct video_picture_format *to;
	uint8_t *picture; /* the whole of it, when @buffer is in pieces */
	size_t picture_bytes;
};

/*
 * Write @frame, no larger than @layout, in whose format it is then, to @buffer, which it fits. Returns how many times the
 * picture was written, or -ENOMEM.
 */
int gst_convert_write(struct gst_convert *c, GstVideoFrame *frame, const struct video_layout *layout,
		      const struct video_buffer *buffer);

void gst_convert_finish(struct gst_convert *c);

#endif
