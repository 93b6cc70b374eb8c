/* SPDX-License-Identifier: MIT */
/*
 * Pictures: how one lies in a guest's buffer, and the copy between there and the host's memory. The copy rearranges
 * the chroma on its way when the two sides differ, so it is the only one. Thread: the device's loop, for every call.
 */
#ifndef MULLION_HOST_VIDEO_PICTURE_H
#define MULLION_HOST_VIDEO_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/video/format.h"

struct video_buffer;

#define VIDEO_MAX_PICTURE_PLANES 3u
/* Biggest side; row buffers are that long. */
#define VIDEO_MAX_SIDE 8192u

struct video_plane {
	uint32_t size_bytes, stride_bytes;
};

/* In a guest's buffer: tight rows, both sides rounded up to even, planes one after the other unless placed elsewhere. */
struct video_layout {
	const struct video_picture_format *format;
	uint32_t width, height; /* as coded: even */
	struct video_plane planes[VIDEO_MAX_PICTURE_PLANES];
	uint32_t total_bytes;
};

/* @width and @height: 1..VIDEO_MAX_SIDE */
void video_layout_init(struct video_layout *layout, const struct video_picture_format *format, uint32_t width,
		       uint32_t height);

/* In the host's memory. */
struct video_picture {
	const struct video_picture_format *format;
	uint32_t width, height; /* visible */
	uint8_t *planes[VIDEO_MAX_PICTURE_PLANES];
	size_t strides[VIDEO_MAX_PICTURE_PLANES];
};

/* True if a picture of that layout fits into @buffer: into an object that is a picture, one of that format and no larger. */
bool video_layout_fits(const struct video_layout *layout, const struct video_buffer *buffer);

/* Where plane @i starts in it: where the guest placed it, or behind the planes before it. */
size_t video_layout_offset(const struct video_layout *layout, const struct video_buffer *buffer, unsigned i);
/* Its size and stride there: the layout's, but in an object that is a picture already, that picture's stride. */
struct video_plane video_layout_plane(const struct video_layout *layout, const struct video_buffer *buffer, unsigned i);

/* Can a picture of one be written as the other? None is packed, and samples have as many bits. */
bool video_picture_is_alike(const struct video_picture_format *a, const struct video_picture_format *b);

/*
 * Write @picture, no larger than @layout, to the guest. @layout fits @buffer. Both formats are the same, or alike: chroma is
 * rearranged, samples are neither converted nor rounded.
 */
void video_picture_write(const struct video_picture *picture, const struct video_layout *layout,
			 const struct video_buffer *buffer);

/* Read the guest's picture; @picture has the layout's format and is no larger. @layout fits @buffer. */
void video_picture_read(const struct video_picture *picture, const struct video_layout *layout,
			const struct video_buffer *buffer);

#endif
