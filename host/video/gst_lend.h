/* SPDX-License-Identifier: MIT */
/*
 * How a V4L2 decoder of GStreamer's comes to write its pictures where the guest wants them. When it sets up the driver for
 * a size of pictures it asks downstream which formats are wanted (a query for caps), which a probe answers: it lets the loop
 * announce the size, waits until the guest queued buffers, asks the driver whether they will do, and sets the element's mode
 * of IO. Then the element asks for a pool of buffers to import (a query for an allocation), which is one of the guest's:
 * whoever acquires from it waits until one is lent.
 *
 * Inside the codec of GStreamer: gst_pipeline.c and codec_gst.c include this.
 */
#ifndef MULLION_HOST_VIDEO_GST_LEND_H
#define MULLION_HOST_VIDEO_GST_LEND_H

#include <stdbool.h>
#include <stdint.h>

#include <gst/gst.h>

#include "host/video/codec.h"

struct codec_gst;
struct loan;

/* Let @g's decoder, which is not linked yet, ask for buffers, if it may. Thread: loop. */
void gst_lend_set_up(struct codec_gst *g);

/* As codec_ops.lend. */
int gst_lend_offer(struct codec_gst *g, const struct video_buffer *buffer, const struct video_layout *layout);

/* Is @loan of a decoder one that it doesn't want? With the lock held. */
bool gst_lend_is_unwanted(const struct codec_gst *g, const struct loan *loan);

/*
 * The head of the output is empty, and GStreamer's thread makes no other while it waits: go on with what it asks for. Returns
 * true if the stream is to hear of another size first, *@width and *@height. Thread: loop.
 */
bool gst_lend_proceed(struct codec_gst *g, uint32_t *width, uint32_t *height);

/* The loan in which the picture in @buffer lies; NULL: in none. Thread: any. */
struct loan *gst_lend_find(GstBuffer *buffer);
/* The guest is to read it: with the caches of processors that need to be told. Thread: loop. */
void gst_lend_show(const struct loan *loan);

/*
 * GStreamer's thread waits no longer, and gets no buffer any more. Returns true if it has some: then gst_lend_wait() must
 * follow. Thread: loop.
 */
bool gst_lend_end(struct codec_gst *g);
/* Until nobody can write to them. The pipeline was told to stop; @g is gone afterwards. Thread: loop. */
void gst_lend_wait(struct codec_gst *g);

#endif
