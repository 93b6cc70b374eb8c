/* SPDX-License-Identifier: MIT */
/*
 * The formats: one row for each coded format and each picture format, with all that the rest of the device needs to
 * know about it. Rows are constant and live forever. Thread: any.
 */
#ifndef MULLION_HOST_VIDEO_FORMAT_H
#define MULLION_HOST_VIDEO_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#define VIDEO_MAX_PROFILES 4u

struct video_profile {
	uint32_t number; /* VIRTIO_VIDEO_PROFILE_* */
	const char *caps; /* what an encoder's output is then, for GStreamer; NULL: nothing to say */
	bool decode_only; /* no encoder here is asked for it */
	bool wide;	  /* of 10 bits a sample */
};

/* How the parameter sets of a bitstream are told from its pictures (headers.h). */
enum video_headers_kind { VIDEO_HEADERS_NONE, VIDEO_HEADERS_H264, VIDEO_HEADERS_HEVC };

struct video_coded_format {
	uint32_t number; /* VIRTIO_VIDEO_FORMAT_*; 0: virtio-video has none, other protocols may */
	const char *name;
	bool decode_only;
	bool may_be_wide;   /* its pictures may have more than 8 bits a sample */
	bool halves_chroma; /* both ways: decoders are asked for nothing else */
	const char *caps;   /* GStreamer's name for one access unit or frame per buffer */
	const char *parser; /* GStreamer element that goes before a decoder, if it is there; NULL: none */
	enum video_headers_kind headers;
	struct video_profile profiles[VIDEO_MAX_PROFILES]; /* ended by number 0; the first is the default */
	uint32_t first_level, last_level; /* VIRTIO_VIDEO_LEVEL_*; 0: the format has none */
	/* Debian's that have one, for who has none; NULL: none has, it takes hardware. */
	const char *decoder_package, *encoder_package;
};

/* Where the samples of U or V are: in which plane, from which byte on, how many bytes apart; 0: not apart. */
struct video_component {
	uint8_t plane, offset, step;
};

/*
 * 8 bits a sample, or 10 in a 16-bit little-endian word ("wide"). Either plane 0 is Y and the others have the chroma, halved both ways, or the one plane has everything
 * of a pixel together ("packed").
 */
struct video_picture_format {
	uint32_t number, agl_number; /* VIRTIO_VIDEO_FORMAT_*, VIRTIO_VIDEO_AGL_FORMAT_*; 0: the dialect has none */
	const char *name; /* GStreamer's too */
	uint8_t planes;
	uint8_t pixel_bytes; /* of plane 0 */
	struct video_component u, v;
	bool wide;
	uint8_t shift; /* of a wide sample in its word: the lowest bit's number */
};

static inline bool video_picture_is_packed(const struct video_picture_format *f)
{
	return f->u.step == 0;
}

/* Row @i, or NULL past the last. */
const struct video_coded_format *video_coded_format_at(unsigned i);
const struct video_picture_format *video_picture_format_at(unsigned i);

/* The row with that number (not 0), or NULL. */
const struct video_coded_format *video_coded_format_find(uint32_t number);
const struct video_picture_format *video_picture_format_find(uint32_t number);

/* The row with that name, or NULL. */
const struct video_coded_format *video_coded_format_named(const char *name);
/* The row with GStreamer's name for it, or NULL. */
const struct video_picture_format *video_picture_format_named(const char *name);

/* The format's profile with that number, or NULL. */
const struct video_profile *video_profile_find(const struct video_coded_format *format, uint32_t number);
/* What an encoder of @wide pictures makes that is to make @number: one that has room for their bits. NULL: nothing to say. */
const struct video_profile *video_profile_for(const struct video_coded_format *format, uint32_t number, bool wide);

#endif
