// SPDX-License-Identifier: MIT
/*
 * What V4L2 calls formats: of bitstreams and of pictures, their sizes, the visible rectangle, and the frame rate.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/video/media.h"

#define MIN_SIDE 16u
#define MAX_FRAME_RATE 240u
#define MIN_CODED_BYTES (64u << 10)

/* In the order of format.c, by its names: not all have a number that virtio-video knows. */
static const struct media_coded_format coded_formats[] = {
	{V4L2_PIX_FMT_H264, "h264", "H.264", V4L2_COLORSPACE_REC709},
	{V4L2_PIX_FMT_HEVC, "hevc", "HEVC", V4L2_COLORSPACE_REC709},
	{V4L2_PIX_FMT_VP8, "vp8", "VP8", V4L2_COLORSPACE_REC709},
	{V4L2_PIX_FMT_VP9, "vp9", "VP9", V4L2_COLORSPACE_REC709},
	{V4L2_PIX_FMT_MPEG2, "mpeg2", "MPEG-2 ES", V4L2_COLORSPACE_REC709},
	{V4L2_PIX_FMT_MPEG4, "mpeg4", "MPEG-4 Part 2 ES", V4L2_COLORSPACE_REC709},
	{V4L2_PIX_FMT_AV1, "av1", "AV1 OBU Stream", V4L2_COLORSPACE_REC709},
	/* V4L2 has two names for it, and drivers of decoders and their users know one or the other. */
	{V4L2_PIX_FMT_JPEG, "jpeg", "JFIF JPEG", V4L2_COLORSPACE_JPEG},
	{V4L2_PIX_FMT_MJPEG, "jpeg", "Motion-JPEG", V4L2_COLORSPACE_JPEG},
	{V4L2_PIX_FMT_FWHT, "fwht", "FWHT", V4L2_COLORSPACE_REC709},
};

static const struct media_raw_format raw_formats[] = {
	{V4L2_PIX_FMT_NV12, "NV12", false, "Y/UV 4:2:0"},
	{V4L2_PIX_FMT_YUV420, "I420", false, "Planar YUV 4:2:0"},
	{V4L2_PIX_FMT_YVU420, "YV12", false, "Planar YVU 4:2:0"},
	{V4L2_PIX_FMT_NV12M, "NV12", true, "Y/UV 4:2:0 (N-C)"},
	{V4L2_PIX_FMT_YUV420M, "I420", true, "Planar YUV 4:2:0 (N-C)"},
	{V4L2_PIX_FMT_YVU420M, "YV12", true, "Planar YVU 4:2:0 (N-C)"},
	{V4L2_PIX_FMT_P010, "P010_10LE", false, "10-bit Y/UV 4:2:0"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

bool media_has_fourcc(const struct video_coded_format *format)
{
	for (unsigned i = 0; i < COUNT(coded_formats); i++) {
		if (strcmp(coded_formats[i].name, format->name) == 0)
			return true;
	}
	return false;
}

/* What the device runs for it, or NULL if this host can't. */
const struct video_coded_format *media_format_of(const struct media *m, const struct media_coded_format *coded)
{
	for (unsigned i = 0; i < m->offer_count; i++) {
		if (strcmp(m->offers[i].coded->name, coded->name) == 0)
			return m->offers[i].coded;
	}
	return NULL;
}

/* Number @index of those that this host can do, or NULL past the last. */
static const struct media_coded_format *coded_at(const struct media *m, unsigned index)
{
	for (unsigned i = 0; i < COUNT(coded_formats); i++) {
		if (media_format_of(m, &coded_formats[i]) && index-- == 0)
			return &coded_formats[i];
	}
	return NULL;
}

const struct media_coded_format *media_find_coded(const struct media *m, uint32_t fourcc)
{
	const struct media_coded_format *coded;

	for (unsigned i = 0; (coded = coded_at(m, i)) != NULL; i++) {
		if (coded->fourcc == fourcc)
			return coded;
	}
	return NULL;
}

const struct video_picture_format *media_picture_of(const struct media_raw_format *raw)
{
	return video_picture_format_named(raw->name);
}

/* Decoders round pictures that have more, and make more of those that have less. */
static bool has_wide(const struct media *m, const struct video_coded_format *coded)
{
	unsigned i = 0;

	while (m->offers[i].coded != coded)
		i++;
	return m->config.encoder ? m->offers[i].can.wide : coded->may_be_wide;
}

/* Number @index of those that pictures of @coded can have, or NULL past the last. */
static const struct media_raw_format *raw_at(const struct media *m, const struct video_coded_format *coded,
					     unsigned index)
{
	const bool wide = has_wide(m, coded);

	for (unsigned i = 0; i < COUNT(raw_formats); i++) {
		if ((wide || !media_picture_of(&raw_formats[i])->wide) && index-- == 0)
			return &raw_formats[i];
	}
	return NULL;
}

const struct media_raw_format *media_find_raw(const struct media *m, const struct video_coded_format *coded,
					      uint32_t fourcc)
{
	const struct media_raw_format *raw;

	for (unsigned i = 0; (raw = raw_at(m, coded, i)) != NULL; i++) {
		if (raw->fourcc == fourcc)
			return raw;
	}
	return NULL;
}

bool media_coded_bytes_are_good(uint32_t bytes)
{
	return bytes >= MIN_CODED_BYTES && bytes <= MEDIA_MAX_CODED_BYTES;
}

bool media_frame_rate_is_good(uint32_t rate)
{
	return rate >= 1 && rate <= MAX_FRAME_RATE;
}

void media_init_formats(struct media_session *s)
{
	s->coded = coded_at(s->media, 0);
	s->raw = &raw_formats[0];
	s->coded_bytes = s->stream->sides[stream_coded_queue(s->stream)].plane_bytes;
	s->color.space = s->coded->colorspace;
}

/* ---- sizes ---- */

static uint32_t clamp(uint64_t value, uint32_t min, uint32_t max)
{
	return value < min ? min : value > max ? max : (uint32_t)value;
}

static unsigned raw_plane_count(const struct media_raw_format *raw, const struct video_layout *layout)
{
	return raw->apart ? layout->format->planes : 1;
}

unsigned media_plane_sizes(const struct media_session *s, enum video_queue q, uint32_t sizes[MEDIA_MAX_PLANES])
{
	const struct video_layout *layout = &s->stream->layout;

	if (q == stream_coded_queue(s->stream)) {
		sizes[0] = s->coded_bytes;
		return 1;
	}
	if (!s->raw->apart) {
		sizes[0] = layout->total_bytes;
		return 1;
	}
	for (unsigned i = 0; i < layout->format->planes; i++)
		sizes[i] = layout->planes[i].size_bytes;
	return layout->format->planes;
}

/* ---- formats ---- */

static void fill_color(const struct media_session *s, struct v4l2_pix_format_mplane *p)
{
	p->field = V4L2_FIELD_NONE;
	p->colorspace = s->color.space;
	p->ycbcr_enc = s->color.encoding;
	p->quantization = s->color.quantization;
	p->xfer_func = s->color.transfer;
}

static void fill_raw(struct v4l2_pix_format_mplane *p, const struct media_raw_format *raw,
		     const struct video_layout *layout)
{
	p->width = layout->width;
	p->height = layout->height;
	p->pixelformat = raw->fourcc;
	p->num_planes = (uint8_t)raw_plane_count(raw, layout);
	for (unsigned i = 0; i < p->num_planes; i++) {
		p->plane_fmt[i].sizeimage = raw->apart ? layout->planes[i].size_bytes : layout->total_bytes;
		p->plane_fmt[i].bytesperline = layout->planes[i].stride_bytes;
	}
}

static void fill_coded(struct v4l2_pix_format_mplane *p, uint32_t fourcc, uint32_t width, uint32_t height,
		       uint32_t bytes)
{
	p->width = width;
	p->height = height;
	p->pixelformat = fourcc;
	p->num_planes = 1;
	p->plane_fmt[0].sizeimage = bytes;
}

int media_g_fmt(struct media_session *s, struct media_ioctl *i)
{
	struct v4l2_pix_format_mplane *p = &i->u.format.fmt.pix_mp;
	enum video_queue q;

	if (!media_find_queue(i->u.format.type, &q))
		return MEDIA_REFUSE(i, -EINVAL, "buffer type %u; 9 is CAPTURE, 10 is OUTPUT", i->u.format.type);
	memset(&i->u.format.fmt, 0, sizeof(i->u.format.fmt));
	fill_color(s, p);
	if (q == stream_coded_queue(s->stream))
		fill_coded(p, s->coded->fourcc, s->stream->layout.width, s->stream->layout.height, s->coded_bytes);
	else
		fill_raw(p, s->raw, &s->stream->layout);
	return 0;
}

/* A format as the guest wants it, brought to what there is. */
struct wanted {
	enum video_queue queue;
	const struct media_coded_format *coded; /* of the coded queue */
	const struct media_raw_format *raw;	/* of the other */
	uint32_t width, height, coded_bytes;
	struct video_layout layout; /* raw */
};

static uint32_t default_coded_bytes(uint32_t width, uint32_t height)
{
	/* Half of a picture is more than any encoder makes of one that is worth it. */
	return clamp(width * height * 3 / 4, 1u << 20, MEDIA_MAX_CODED_BYTES);
}

/* An encoder's pictures get this size. What the device chose for packets follows it, what a client chose at least has room. */
static void make_room_for_packets(struct media_session *s, uint32_t width, uint32_t height)
{
	const struct video_layout *old = &s->stream->layout;
	const uint32_t bytes = default_coded_bytes(width, height);

	if (s->coded_bytes < bytes || s->coded_bytes == default_coded_bytes(old->width, old->height))
		s->coded_bytes = bytes;
}

/* The CAPTURE queue of a decoder and of an encoder has the size that OUTPUT gives it. */
static void adjust(const struct media_session *s, struct v4l2_format *f, struct wanted *w)
{
	struct v4l2_pix_format_mplane *p = &f->fmt.pix_mp;
	const struct v4l2_pix_format_mplane in = *p;
	const bool output = w->queue == VIDEO_INPUT;

	memset(&f->fmt, 0, sizeof(f->fmt));
	fill_color(s, p);
	if (output) {
		p->colorspace = in.colorspace ? in.colorspace : p->colorspace;
		p->ycbcr_enc = in.ycbcr_enc;
		p->quantization = in.quantization;
		p->xfer_func = in.xfer_func;
	}
	/* Both even, as pictures are here. */
	w->width = output ? (clamp(in.width, MIN_SIDE, VIDEO_MAX_SIDE) + 1) & ~1u : s->stream->layout.width;
	w->height = output ? (clamp(in.height, MIN_SIDE, VIDEO_MAX_SIDE) + 1) & ~1u : s->stream->layout.height;
	if (w->queue == stream_coded_queue(s->stream)) {
		w->coded = media_find_coded(s->media, in.pixelformat);
		w->coded = w->coded ? w->coded : coded_at(s->media, 0);
		if (output && in.colorspace == 0)
			p->colorspace = w->coded->colorspace;
		w->coded_bytes = in.num_planes >= 1 ? in.plane_fmt[0].sizeimage : 0;
		w->coded_bytes = w->coded_bytes ? clamp(w->coded_bytes, MIN_CODED_BYTES, MEDIA_MAX_CODED_BYTES)
						: default_coded_bytes(w->width, w->height);
		fill_coded(p, w->coded->fourcc, w->width, w->height, w->coded_bytes);
	} else {
		w->raw = media_find_raw(s->media, s->stream->coded, in.pixelformat);
		w->raw = w->raw ? w->raw : &raw_formats[0];
		video_layout_init(&w->layout, media_picture_of(w->raw), w->width, w->height);
		fill_raw(p, w->raw, &w->layout);
	}
}

int media_try_fmt(struct media_session *s, struct media_ioctl *i)
{
	struct wanted w = {0};

	if (!media_find_queue(i->u.format.type, &w.queue))
		return MEDIA_REFUSE(i, -EINVAL, "buffer type %u; 9 is CAPTURE, 10 is OUTPUT", i->u.format.type);
	adjust(s, &i->u.format, &w);
	return 0;
}

int media_s_fmt(struct media_session *s, struct media_ioctl *i)
{
	const enum video_queue pictures = stream_coded_queue(s->stream) == VIDEO_INPUT ? VIDEO_OUTPUT : VIDEO_INPUT;
	const struct video_coded_format *coded;
	const struct media_raw_format *raw;
	struct wanted w = {0};

	if (!media_find_queue(i->u.format.type, &w.queue))
		return MEDIA_REFUSE(i, -EINVAL, "buffer type %u; 9 is CAPTURE, 10 is OUTPUT", i->u.format.type);
	if (s->queues[w.queue].count > 0)
		return MEDIA_REFUSE(i, -EBUSY, "the queue has buffers; REQBUFS with 0 first");
	adjust(s, &i->u.format, &w);
	coded = w.coded ? media_format_of(s->media, w.coded) : s->stream->coded;
	/*
	 * While the codec runs, its pictures may take another form and its packets another room; nothing else may
	 * change.
	 */
	if (s->stream->state != STREAM_IDLE && (w.queue == VIDEO_INPUT || coded != s->stream->coded))
		return MEDIA_REFUSE(i, -EBUSY, "the codec is at work; stop the OUTPUT queue first");
	/* Pictures of the other format may have been of more bits. */
	raw = w.raw ? w.raw : media_find_raw(s->media, coded, s->raw->fourcc);
	raw = raw ? raw : &raw_formats[0];
	if (!w.raw && raw != s->raw && s->queues[pictures].count > 0)
		return MEDIA_REFUSE(i, -EBUSY, "pictures of more bits have buffers; REQBUFS with 0 on %s first",
				    pictures == VIDEO_INPUT ? "OUTPUT" : "CAPTURE");
	if (w.queue == VIDEO_INPUT) {
		const struct v4l2_pix_format_mplane *p = &i->u.format.fmt.pix_mp;

		s->color.space = p->colorspace;
		s->color.encoding = p->ycbcr_enc;
		s->color.quantization = p->quantization;
		s->color.transfer = p->xfer_func;
	}
	s->raw = raw;
	if (w.raw && w.queue == VIDEO_INPUT && s->queues[VIDEO_OUTPUT].count == 0)
		make_room_for_packets(s, w.width, w.height);
	if (w.raw) {
		stream_set_picture(s->stream, w.layout.format,
				   w.queue == VIDEO_INPUT ? w.width : s->stream->visible_width,
				   w.queue == VIDEO_INPUT ? w.height : s->stream->visible_height);
		return 0;
	}
	s->coded = w.coded;
	s->coded_bytes = w.coded_bytes;
	if (coded != s->stream->coded) {
		stream_set_coded(s->stream, coded);
		media_apply_controls(s);
	}
	if (w.queue == VIDEO_INPUT)
		stream_set_picture(s->stream, media_picture_of(raw), w.width, w.height);
	else
		stream_set_picture(s->stream, media_picture_of(raw), s->stream->visible_width,
				   s->stream->visible_height);
	return 0;
}

int media_enum_fmt(struct media_session *s, struct media_ioctl *i)
{
	struct v4l2_fmtdesc *d = &i->u.fmtdesc;
	const uint32_t index = d->index, type = d->type;
	enum video_queue q;

	if (!media_find_queue(type, &q))
		return MEDIA_REFUSE(i, -EINVAL, "buffer type %u; 9 is CAPTURE, 10 is OUTPUT", type);
	*d = (struct v4l2_fmtdesc){.index = index, .type = type};
	if (q == stream_coded_queue(s->stream)) {
		const struct media_coded_format *coded = coded_at(s->media, index);

		if (!coded)
			return -EINVAL; /* the end of the list */
		d->pixelformat = coded->fourcc;
		d->flags = V4L2_FMT_FLAG_COMPRESSED | (s->media->config.encoder ? 0u : V4L2_FMT_FLAG_DYN_RESOLUTION);
		snprintf((char *)d->description, sizeof(d->description), "%s", coded->description);
	} else {
		const struct media_raw_format *raw = raw_at(s->media, s->stream->coded, index);

		if (!raw)
			return -EINVAL;
		d->pixelformat = raw->fourcc;
		snprintf((char *)d->description, sizeof(d->description), "%s", raw->description);
	}
	return 0;
}

static bool knows(const struct media_session *s, uint32_t fourcc)
{
	return media_find_coded(s->media, fourcc) || media_find_raw(s->media, s->stream->coded, fourcc);
}

int media_enum_framesizes(struct media_session *s, struct media_ioctl *i)
{
	struct v4l2_frmsizeenum *f = &i->u.frmsize;

	if (f->index > 0 || !knows(s, f->pixel_format))
		return -EINVAL; /* the end of the list */
	*f = (struct v4l2_frmsizeenum){
		.pixel_format = f->pixel_format,
		.type = V4L2_FRMSIZE_TYPE_STEPWISE,
		.stepwise = {MIN_SIDE, VIDEO_MAX_SIDE, 2, MIN_SIDE, VIDEO_MAX_SIDE, 2},
	};
	return 0;
}

int media_enum_frameintervals(struct media_session *s, struct media_ioctl *i)
{
	struct v4l2_frmivalenum *f = &i->u.frmival;

	if (f->index > 0 || !knows(s, f->pixel_format) || f->width < MIN_SIDE || f->width > VIDEO_MAX_SIDE ||
	    f->height < MIN_SIDE || f->height > VIDEO_MAX_SIDE)
		return -EINVAL;
	*f = (struct v4l2_frmivalenum){
		.pixel_format = f->pixel_format,
		.width = f->width,
		.height = f->height,
		.type = V4L2_FRMIVAL_TYPE_CONTINUOUS,
		.stepwise = {{1, MAX_FRAME_RATE}, {1, 1}, {1, 1}},
	};
	return 0;
}

/* ---- the visible rectangle ---- */

/*
 * The picture side: CAPTURE of a decoder, which composes, OUTPUT of an encoder, which crops. V4L2 names both types
 * here.
 */
static bool has_selection(const struct media_session *s, uint32_t type)
{
	if (s->media->config.encoder)
		return type == V4L2_BUF_TYPE_VIDEO_OUTPUT || type == V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
	return type == V4L2_BUF_TYPE_VIDEO_CAPTURE || type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
}

int media_g_selection(struct media_session *s, struct media_ioctl *i)
{
	const struct v4l2_rect coded = {0, 0, s->stream->layout.width, s->stream->layout.height};
	const struct v4l2_rect visible = {0, 0, s->stream->visible_width, s->stream->visible_height};
	const bool encoder = s->media->config.encoder;
	struct v4l2_selection *x = &i->u.selection;

	memset(x->reserved, 0, sizeof(x->reserved));
	if (!has_selection(s, x->type))
		return MEDIA_REFUSE(i, -EINVAL, "buffer type %u has no rectangles", x->type);
	switch (x->target) {
	case V4L2_SEL_TGT_CROP_BOUNDS:
		x->r = coded;
		return 0;
	case V4L2_SEL_TGT_CROP:
	case V4L2_SEL_TGT_CROP_DEFAULT:
		x->r = encoder ? coded : visible;
		return 0;
	case V4L2_SEL_TGT_COMPOSE_BOUNDS:
	case V4L2_SEL_TGT_COMPOSE_PADDED:
		if (encoder)
			break;
		x->r = coded;
		return 0;
	case V4L2_SEL_TGT_COMPOSE:
	case V4L2_SEL_TGT_COMPOSE_DEFAULT:
		if (encoder)
			break;
		x->r = visible;
		return 0;
	}
	return MEDIA_REFUSE(i, -EINVAL, "no such rectangle: 0x%x", x->target);
}

/* The rectangles are fixed; setting one adjusts what was asked to that, as V4L2 allows. */
int media_s_selection(struct media_session *s, struct media_ioctl *i)
{
	const uint32_t target = s->media->config.encoder ? V4L2_SEL_TGT_CROP : V4L2_SEL_TGT_COMPOSE;

	if (i->u.selection.target != target)
		return MEDIA_REFUSE(i, -EINVAL, "rectangle 0x%x can't be set", i->u.selection.target);
	return media_g_selection(s, i);
}

/* ---- the frame rate ---- */

int media_g_parm(struct media_session *s, struct media_ioctl *i)
{
	struct v4l2_streamparm *p = &i->u.parm;

	if (p->type != V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE)
		return MEDIA_REFUSE(i, -EINVAL, "buffer type %u; the frame rate is OUTPUT's", p->type);
	memset(&p->parm, 0, sizeof(p->parm));
	p->parm.output.capability = V4L2_CAP_TIMEPERFRAME;
	p->parm.output.timeperframe = (struct v4l2_fract){1, s->stream->controls.frame_rate};
	return 0;
}

int media_s_parm(struct media_session *s, struct media_ioctl *i)
{
	const struct v4l2_fract f = i->u.parm.parm.output.timeperframe;
	const int err = media_g_parm(s, i);

	if (err < 0)
		return err;
	/* Whole frames a second; zero is the nominal interval. */
	s->stream->controls.frame_rate = STREAM_FRAME_RATE;
	if (f.numerator > 0 && f.denominator > 0)
		s->stream->controls.frame_rate =
			clamp(((uint64_t)f.denominator + f.numerator / 2) / f.numerator, 1, MAX_FRAME_RATE);
	stream_apply_controls(s->stream);
	return media_g_parm(s, i);
}
