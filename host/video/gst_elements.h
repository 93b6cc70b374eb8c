/* SPDX-License-Identifier: MIT */
/*
 * Which GStreamer element decodes or encodes a format, and how an encoder is told what to aim at.
 * Thread: any, one at a time.
 */
#ifndef MULLION_HOST_VIDEO_GST_ELEMENTS_H
#define MULLION_HOST_VIDEO_GST_ELEMENTS_H

#include <stdbool.h>

#include <gst/gst.h>

#include "host/video/codec.h"

/* Pictures of 10 bits, as encoders get them. */
#define GST_ELEMENTS_WIDE_CAPS "video/x-raw,format={P010_10LE,I420_10LE}"

/* Initialise GStreamer, once. Returns false, after printing why, if that fails. */
bool gst_elements_init(void);

/*
 * The best element for @coded: hardware before software, then by rank; or the one called @name, if it does that at all.
 * NULL if there is none; the caller unrefs it.
 */
GstElementFactory *gst_elements_find(const struct video_coded_format *coded, bool encoder, const char *name);

/* What @factory's element, which does @coded, says that it can do of it. */
void gst_elements_ask(GstElementFactory *factory, const struct video_coded_format *coded, bool encoder,
		      struct codec_abilities *out);
/* Does it @coded with these fields of its caps, too? NULL: none. */
bool gst_elements_does(GstElementFactory *factory, const struct video_coded_format *coded, bool encoder,
		       const char *fields);

/* Find no hardware from now on, but by name: its driver may be what this process died of before. */
void gst_elements_leave_hardware(void);

bool gst_elements_is_hardware(GstElementFactory *factory);

/* Is it one of the elements that GStreamer makes for each codec driver of the kernel? */
bool gst_elements_is_v4l2(const char *element);

/* Set what all decoders need: that they give up on a bitstream which they can't decode for long. */
void gst_elements_set_up_decoder(GstElement *decoder);

/* Does this encoder copy each picture before it looks at it, and let go of it when the packet is made? */
bool gst_elements_copies_first(const char *element);

/* Set what all encoders need for answers without delay; @running: only what may change then. */
void gst_elements_set_up_encoder(GstElement *encoder, const struct codec_controls *controls, bool running);

/*
 * Encoders without a property for the level get it by the caps of their packets: true, with @fields for those caps, if this is
 * one and a level was chosen.
 */
#define GST_ELEMENTS_LEVEL_BYTES 24u
bool gst_elements_level(const char *element, const struct codec_controls *controls,
			char fields[GST_ELEMENTS_LEVEL_BYTES]);

/* As codec_ops.doctor. */
void gst_elements_doctor(void (*report)(void *owner, const char *verdict, const char *name, const char *text,
					const char *cure),
			 void *owner);

#endif
