// SPDX-License-Identifier: MIT
#include "tests/lib/stuck_decoder.h"

#include <unistd.h>

#include <gst/gst.h>
#include <gst/video/video.h>

struct stuck_decoder {
	GstVideoDecoder base;
};

struct stuck_decoder_class {
	GstVideoDecoderClass base;
};

static const atomic_bool *is_stuck;

static GstFlowReturn handle_frame(GstVideoDecoder *decoder, GstVideoCodecFrame *frame)
{
	gst_video_decoder_release_frame(decoder, frame);
	return GST_FLOW_OK;
}

static gboolean stop(GstVideoDecoder *decoder)
{
	(void)decoder;
	while (*is_stuck)
		usleep(10000);
	return TRUE;
}

static GstStaticPadTemplate sink_pad = GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS,
							       GST_STATIC_CAPS("video/x-h264"));
static GstStaticPadTemplate src_pad = GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS,
							      GST_STATIC_CAPS("video/x-raw"));

static void class_init(gpointer class, gpointer data)
{
	GstVideoDecoderClass *decoder = class;

	(void)data;
	gst_element_class_add_static_pad_template(GST_ELEMENT_CLASS(class), &sink_pad);
	gst_element_class_add_static_pad_template(GST_ELEMENT_CLASS(class), &src_pad);
	gst_element_class_set_static_metadata(GST_ELEMENT_CLASS(class), "stuck", "Decoder/Video", "does not stop",
					      "Mullion");
	decoder->handle_frame = handle_frame;
	decoder->stop = stop;
}

void stuck_decoder_register(const atomic_bool *stuck)
{
	const GTypeInfo info = {
		.class_size = sizeof(struct stuck_decoder_class),
		.class_init = class_init,
		.instance_size = sizeof(struct stuck_decoder),
	};

	is_stuck = stuck;
	gst_element_register(NULL, STUCK_DECODER, GST_RANK_NONE,
			     g_type_register_static(GST_TYPE_VIDEO_DECODER, "MullionStuckDecoder", &info, 0));
}
