/* SPDX-License-Identifier: MIT */
/*
 * What decodes and encodes: `gst` (GStreamer) and `fake` (tests) behind one ops table.
 *
 * A codec is one run of coded data: it takes input, then a drain, and is destroyed. After a drain, a seek or an error a
 * stream makes a new one. All calls return at once; whatever blocks is the backend's to do on threads of its own, which
 * don't touch guest memory. There are two exceptions. An encoder may read pictures in place (encode()), from pages that
 * stay mapped for it (pages.h). One that hangs holds nothing that the guest couldn't have back at once: what the
 * guest writes there then is read by a codec whose output goes nowhere. And the driver of a decoder may write pictures in
 * place (lend()). The guest has such a buffer back when the picture is in it, or the driver was stopped: destroy() waits.
 *
 * Output is a queue that the stream looks at (output) and takes from (take). A backend calls config->changed when there
 * may be more of it, or more room for input: on the device's loop, and never from inside an op.
 *
 * Thread: the device's loop, for every call.
 */
#ifndef MULLION_HOST_VIDEO_CODEC_H
#define MULLION_HOST_VIDEO_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/video/format.h"

struct loop;
struct video_buffer;
struct video_layout;

/* Two seconds for most films: what a guest gets that doesn't say. */
#define CODEC_GOP_SIZE 60u

/* What an encoder aims at. */
struct codec_controls {
	uint32_t bitrate, peak_bitrate; /* bits/s */
	uint32_t bitrate_mode; /* VIRTIO_VIDEO_BITRATE_MODE_* */
	uint32_t profile; /* VIRTIO_VIDEO_PROFILE_* */
	uint32_t level;   /* VIRTIO_VIDEO_LEVEL_*; 0: the format has none */
	bool level_chosen; /* by the guest; else the encoder takes the one that fits */
	uint32_t frame_rate;
	uint32_t gop_size; /* most pictures from one key frame to the next; 0: none but the first, and those that are asked for */
	uint32_t repeat_headers; /* 1: parameter sets before every key frame; 0: before the first only */
};

struct codec_config {
	bool encoder;
	const struct video_coded_format *coded;
	const char *element; /* the one to use, by name; NULL: the best */
	/* Encoders: what goes in, and the picture that does first; NULL: nobody knows. */
	const struct video_layout *layout;
	const struct video_buffer *first;
	bool may_lend; /* decoders: buffers are lent if it wants them */
	struct codec_controls controls;
	struct loop *loop;
	void (*changed)(void *owner);
	void *owner;
};

enum codec_output_kind {
	CODEC_NOTHING, /* yet */
	CODEC_FORMAT,  /* pictures are of another size from here on; take() it to go on */
	CODEC_FRAME,   /* a picture, or a packet of an encoder */
	CODEC_END,     /* all that was put in before the drain has come out; nothing follows */
	CODEC_BROKEN,  /* the codec can't go on with this bitstream; another may at the next key frame */
	CODEC_FAILED,  /* nothing follows */
};

struct codec_output {
	enum codec_output_kind kind;
	/* CODEC_FORMAT: the visible size. */
	uint32_t width, height;
	/* CODEC_FRAME: */
	uint64_t timestamp; /* of the input that it was made from */
	bool key_frame;     /* of an encoder */
	bool damaged;       /* the codec says that the picture is wrong */
	const struct video_buffer *buffer; /* that was lent, and has the picture; NULL: take() writes it */
	/* CODEC_NOTHING: */
	bool starves; /* it waits for buffers to be lent */
};

struct codec_stats {
	char element[48]; /* what ran last */
	bool hardware;
	uint64_t frames_in, frames_out;
	uint64_t bytes_in, bytes_out;
	uint64_t imported; /* pictures that a driver read or wrote where the guest has them, by their dma-buf */
	uint64_t copies; /* of whole pictures, made by the device or the host's plug-ins outside the codec itself */
};

#define CODEC_LENT 1 /* of encode() and lend() */

/* What a codec can do of a format. */
struct codec_abilities {
	uint32_t profiles; /* a bit for each row of coded->profiles */
	uint32_t levels;   /* a bit for each, from coded->first_level on */
	bool wide;	   /* pictures of 10 bits */
	bool lends;	   /* decoder: buffers with pages may be lent */
};

struct codec {
	const struct codec_ops *ops;
};

struct codec_ops {
	const char *name;
	/* Can this host do that? @element as in codec_config. */
	bool (*can)(const struct video_coded_format *coded, bool encoder, const char *element);
	/* And what of it, where it can. */
	void (*abilities)(const struct video_coded_format *coded, bool encoder, const char *element,
			  struct codec_abilities *out);
	/* Returns 0, -ENOTSUP if there is no such codec, -ENOMEM, or -EAGAIN if too many hang already. */
	int (*create)(const struct codec_config *config, struct codec **out);
	/*
	 * Returns at once, unless a driver may be writing to buffers that were lent: then when it was stopped, which is a matter
	 * of milliseconds. If it is not within a second, the process ends. config->changed is not called any more.
	 */
	void (*destroy)(struct codec *c);
	/* May the next input be put in? If not, config->changed comes when it may. */
	bool (*has_room)(struct codec *c);
	/* Decoders: @data is from malloc() and the codec's from now on, also on failure. Returns 0 or a negative errno. */
	int (*decode)(struct codec *c, uint8_t *data, size_t bytes, uint64_t timestamp);
	/*
	 * Encoders: put in the picture in @buffer, where config->layout fits. Returns 0 when it was copied, CODEC_LENT when
	 * it is read in place, by way of buffer->pages, until released() says that it isn't any more, or a negative errno.
	 */
	int (*encode)(struct codec *c, const struct video_buffer *buffer, uint64_t timestamp, bool force_keyframe);
	/*
	 * Decoders, with config->may_lend: offer @buffer, where @layout fits, for a picture that is to come. Returns CODEC_LENT
	 * when it has it, until a picture is in it (output->buffer) or released() says that none will be; 0 when it wants none
	 * now; or a negative errno if it can go on only with others than that. NULL: never.
	 */
	int (*lend)(struct codec *c, const struct video_buffer *buffer, const struct video_layout *layout);
	/*
	 * A buffer that was lent and isn't read any more, or will not be written to, or NULL; config->changed comes when there
	 * is one. NULL: none ever.
	 */
	const struct video_buffer *(*released)(struct codec *c);
	/* No more input follows; CODEC_END comes after the last frame. */
	void (*drain)(struct codec *c);
	/* Look at the head of the output. */
	void (*output)(struct codec *c, struct codec_output *out);
	/*
	 * Take the head, which is a format or a frame. A frame is written to @buffer, which is output->buffer if there is one: a
	 * picture as @layout says, a packet from the start of plane 0 on (@layout NULL). *@bytes is how many. Returns 0, or
	 * -ENOSPC if the packet has no room and is dropped.
	 */
	int (*take)(struct codec *c, const struct video_buffer *buffer, const struct video_layout *layout, size_t *bytes);
	/* Encoders: new values, as far as this codec can change them while it runs. */
	void (*control)(struct codec *c, const struct codec_controls *controls);
	void (*stats)(const struct codec *c, struct codec_stats *out);
	/* How many were destroyed and have not stopped yet. NULL: none ever. Thread: any. */
	unsigned (*stopping)(void);
	/* When the first of those was destroyed (loop_now_ns()), 0: there is none. NULL: never any. Thread: any. */
	uint64_t (*stopping_since)(void);
	/* Print what there is for `mullion doctor`; @report as in host/virtio/module.h. NULL: nothing to say. */
	void (*doctor)(void (*report)(void *owner, const char *verdict, const char *name, const char *text,
				      const char *cure),
		       void *owner);
};

extern const struct codec_ops codec_gst_ops;
/*
 * From now on drivers may write to guests' buffers, or may not, as at first: the process ends when one of them can't be stopped,
 * and not every process is there for codecs alone. Thread: any.
 */
void codec_gst_allow_lending(bool may);
extern const struct codec_ops codec_fake_ops;

#endif
