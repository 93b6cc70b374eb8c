/* SPDX-License-Identifier: MIT */
/*
 * Does a codec driver of the kernel read or write pictures where a guest has them, by a dma-buf? It has its own wishes where
 * rows and planes begin, and not all drivers, nor all kernels, can use every dma-buf: so it is asked, with a picture.
 */
#ifndef MULLION_HOST_VIDEO_V4L2_IMPORT_H
#define MULLION_HOST_VIDEO_V4L2_IMPORT_H

#include <stdbool.h>

struct video_buffer;
struct video_layout;
struct video_pages;

/*
 * True if the encoder behind @device, such as "/dev/video0", takes @picture, which has a dma-buf, as it is. It is opened for
 * that once more. Thread: any.
 */
bool v4l2_imports(const char *device, const struct video_layout *layout, const struct video_buffer *picture);

/*
 * The same for a decoder that writes a picture in @pages, which have a dma-buf. @fd is the device as who decodes has opened it,
 * who was told of the bitstream already, and by it how large its pictures are. Thread: any.
 */
bool v4l2_writes(const char *device, int fd, const struct video_layout *layout, struct video_pages *pages);
/* How many buffers that decoder wants to have at once, at least. */
unsigned v4l2_decoder_buffers(int fd);

/* Are the planes in @picture where V4L2 has those of a format in one piece: one behind the other, with the same rows? */
bool v4l2_has_planes_there(const struct video_layout *layout, const struct video_buffer *picture);

#endif
