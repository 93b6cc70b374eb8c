// SPDX-License-Identifier: MIT
#include "host/video/format.h"

#include <stddef.h>
#include <string.h>

#include "protocol/virtio_video.h"
#include "protocol/virtio_video_agl.h"

static const struct video_coded_format coded[] = {
	{
		.number = VIRTIO_VIDEO_FORMAT_H264,
		.name = "h264",
		.may_be_wide = true,
		.caps = "video/x-h264,stream-format=byte-stream,alignment=au",
		.parser = "h264parse",
		.headers = VIDEO_HEADERS_H264,
		.profiles = {{VIRTIO_VIDEO_PROFILE_H264_BASELINE,
			      "profile={(string)constrained-baseline,(string)baseline}", false, false},
			     {VIRTIO_VIDEO_PROFILE_H264_MAIN, "profile=main", false, false},
			     {VIRTIO_VIDEO_PROFILE_H264_HIGH, "profile=high", false, false},
			     {VIRTIO_VIDEO_PROFILE_H264_HIGH10, "profile=high-10", false, true}},
		.first_level = VIRTIO_VIDEO_LEVEL_H264_1_0,
		.last_level = VIRTIO_VIDEO_LEVEL_H264_5_1,
		.decoder_package = "gstreamer1.0-libav",
		.encoder_package = "gstreamer1.0-plugins-ugly",
	},
	{
		.number = VIRTIO_VIDEO_FORMAT_HEVC,
		.name = "hevc",
		.may_be_wide = true,
		.caps = "video/x-h265,stream-format=byte-stream,alignment=au",
		.parser = "h265parse",
		.headers = VIDEO_HEADERS_HEVC,
		.profiles = {{VIRTIO_VIDEO_PROFILE_HEVC_MAIN, "profile=main", false, false},
			     {VIRTIO_VIDEO_PROFILE_HEVC_MAIN10, "profile=main-10", false, true},
			     {VIRTIO_VIDEO_PROFILE_HEVC_MAIN_STILL_PICTURE, "profile=main-still-picture", true, false}},
		.decoder_package = "gstreamer1.0-libav",
		.encoder_package = "gstreamer1.0-plugins-bad",
	},
	{
		.number = VIRTIO_VIDEO_FORMAT_VP8,
		.name = "vp8",
		.halves_chroma = true,
		.caps = "video/x-vp8",
		.profiles = {{VIRTIO_VIDEO_PROFILE_VP8_PROFILE0, NULL, false, false}},
		.decoder_package = "gstreamer1.0-plugins-good",
		.encoder_package = "gstreamer1.0-plugins-good",
	},
	{
		.number = VIRTIO_VIDEO_FORMAT_VP9,
		.name = "vp9",
		.may_be_wide = true,
		.caps = "video/x-vp9",
		.parser = "vp9parse",
		.profiles = {{VIRTIO_VIDEO_PROFILE_VP9_PROFILE0, "profile=(string)0", false, false},
			     {VIRTIO_VIDEO_PROFILE_VP9_PROFILE2, "profile=(string)2", false, true}},
		.decoder_package = "gstreamer1.0-plugins-good",
		.encoder_package = "gstreamer1.0-plugins-good",
	},
	{
		.number = VIRTIO_VIDEO_FORMAT_MPEG2,
		.name = "mpeg2",
		.decode_only = true,
		.caps = "video/mpeg,mpegversion=2,systemstream=false",
		.parser = "mpegvideoparse",
		.decoder_package = "gstreamer1.0-libav",
	},
	{
		.number = VIRTIO_VIDEO_FORMAT_MPEG4,
		.name = "mpeg4",
		.decode_only = true,
		.caps = "video/mpeg,mpegversion=4,systemstream=false",
		.parser = "mpeg4videoparse",
		.decoder_package = "gstreamer1.0-libav",
	},
	{
		.name = "av1",
		.may_be_wide = true,
		.caps = "video/x-av1,stream-format=obu-stream,alignment=tu",
		.parser = "av1parse",
		.decoder_package = "gstreamer1.0-plugins-bad",
		.encoder_package = "gstreamer1.0-plugins-bad",
	},
	{
		.name = "jpeg",
		.decode_only = true,
		.caps = "image/jpeg",
		.parser = "jpegparse",
		.decoder_package = "gstreamer1.0-plugins-good",
	},
	{
		/* Of the kernel's vicodec: by its driver only, which must be asked for the chroma that the bitstream has. */
		.name = "fwht",
		.halves_chroma = true,
		.caps = "video/x-fwht",
	},
};

/* Names of RGB formats are the order of bytes in memory, as the drivers have them in V4L2. */
static const struct video_picture_format pictures[] = {
	{VIRTIO_VIDEO_FORMAT_NV12, VIRTIO_VIDEO_AGL_FORMAT_NV12, "NV12", 2, 1, {1, 0, 2}, {1, 1, 2}, false, 0},
	{VIRTIO_VIDEO_FORMAT_YUV420, VIRTIO_VIDEO_AGL_FORMAT_YUV420, "I420", 3, 1, {1, 0, 1}, {2, 0, 1}, false, 0},
	{VIRTIO_VIDEO_FORMAT_YVU420, VIRTIO_VIDEO_AGL_FORMAT_YVU420, "YV12", 3, 1, {2, 0, 1}, {1, 0, 1}, false, 0},
	{VIRTIO_VIDEO_FORMAT_ARGB8888, VIRTIO_VIDEO_AGL_FORMAT_ARGB8888, "ARGB", 1, 4, {0}, {0}, false, 0},
	{VIRTIO_VIDEO_FORMAT_BGRA8888, VIRTIO_VIDEO_AGL_FORMAT_BGRA8888, "BGRA", 1, 4, {0}, {0}, false, 0},
	{0, VIRTIO_VIDEO_AGL_FORMAT_RGBA8888, "RGBA", 1, 4, {0}, {0}, false, 0},
	{0, VIRTIO_VIDEO_AGL_FORMAT_YUV422, "YUY2", 1, 2, {0}, {0}, false, 0},
	/* No dialect has a number for these. Software decoders make the second of 10 bits, which no guest is offered. */
	{0, 0, "P010_10LE", 2, 2, {1, 0, 4}, {1, 2, 4}, true, 6},
	{0, 0, "I420_10LE", 3, 2, {1, 0, 2}, {2, 0, 2}, true, 0},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct video_coded_format *video_coded_format_at(unsigned i)
{
	return i < COUNT(coded) ? &coded[i] : NULL;
}

const struct video_picture_format *video_picture_format_at(unsigned i)
{
	return i < COUNT(pictures) ? &pictures[i] : NULL;
}

const struct video_coded_format *video_coded_format_find(uint32_t number)
{
	for (unsigned i = 0; number != 0 && i < COUNT(coded); i++) {
		if (coded[i].number == number)
			return &coded[i];
	}
	return NULL;
}

const struct video_picture_format *video_picture_format_find(uint32_t number)
{
	for (unsigned i = 0; number != 0 && i < COUNT(pictures); i++) {
		if (pictures[i].number == number)
			return &pictures[i];
	}
	return NULL;
}

const struct video_coded_format *video_coded_format_named(const char *name)
{
	for (unsigned i = 0; i < COUNT(coded); i++) {
		if (strcmp(coded[i].name, name) == 0)
			return &coded[i];
	}
	return NULL;
}

const struct video_picture_format *video_picture_format_named(const char *name)
{
	for (unsigned i = 0; i < COUNT(pictures); i++) {
		if (strcmp(pictures[i].name, name) == 0)
			return &pictures[i];
	}
	return NULL;
}

const struct video_profile *video_profile_find(const struct video_coded_format *format, uint32_t number)
{
	for (unsigned i = 0; i < VIDEO_MAX_PROFILES && format->profiles[i].number != 0; i++) {
		if (format->profiles[i].number == number)
			return &format->profiles[i];
	}
	return NULL;
}

const struct video_profile *video_profile_for(const struct video_coded_format *format, uint32_t number, bool wide)
{
	const struct video_profile *profile = video_profile_find(format, number);

	for (unsigned i = 0; wide && !(profile && profile->wide) && i < VIDEO_MAX_PROFILES; i++) {
		if (format->profiles[i].wide)
			profile = &format->profiles[i];
	}
	return profile;
}
