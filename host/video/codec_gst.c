// SPDX-License-Identifier: MIT
/*
 * GStreamer:
 *
 *   appsrc ! parser ! decoder ! videoconvert ! appsink
 *   appsrc ! videoconvert ! encoder ! capsfilter ! appsink
 *
 * videoconvert passes through what is 4:2:0 of 8 or 10 bits already; what a guest wants in RGB or in other bits is converted
 * on its way into its buffer (gst_convert.c). Each codec has a thread that starts its pipeline, waits, and
 * stops it (gst_pipeline.c): both may block, and a pipeline that hangs keeps that thread and nothing else.
 *
 * The guest's timestamps are cookies, in any order, which GStreamer's can't be. So buffers are stamped with a count, and
 * what goes into the decoder or encoder carries the guest's timestamp as a meta, which both hand on to what comes out.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gst/allocators/gstdmabuf.h>

#include "host/base/log.h"
#include "host/video/buffer.h"
#include "host/video/gst_elements.h"
#include "host/video/gst_lend.h"
#include "host/video/gst_pipeline.h"
#include "host/video/pages.h"
#include "host/video/v4l2_import.h"

/* Inputs waiting in a pipeline. More is the guest's to hold. */
#define MAX_INPUTS 4u
#define MAX_INPUT_BYTES (32u << 20)
/* Codecs that are being stopped. A guest that makes more of them than the host can stop is held up. */
#define MAX_STOPPING 32u

static struct codec_gst *from_codec(struct codec *c)
{
	assert(c->ops == &codec_gst_ops);
	return (struct codec_gst *)c;
}

/* ---- making one ---- */

static void look(struct loop_task *t)
{
	struct codec_gst *g = t->owner;

	pthread_mutex_lock(&g->lock);
	g->posted = false;
	pthread_mutex_unlock(&g->lock);
	g->config.changed(g->config.owner); /* may destroy g */
}

static void init_locks(struct codec_gst *g)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&g->loans_changed, &attributes);
	pthread_condattr_destroy(&attributes);
	sem_init(&g->stop, 0, 0);
}

static int create(const struct codec_config *config, struct codec **out)
{
	GstElementFactory *factory = gst_elements_find(config->coded, config->encoder, config->element);
	struct codec_gst *g;
	int err;

	if (!factory)
		return -ENOTSUP;
	if (gst_pipeline_stopping() >= MAX_STOPPING) {
		gst_object_unref(factory);
		return -EAGAIN;
	}
	g = calloc(1, sizeof(*g));
	if (!g) {
		gst_object_unref(factory);
		return -ENOMEM;
	}
	g->base.ops = &codec_gst_ops;
	g->config = *config;
	if (config->encoder)
		g->layout = *config->layout;
	g->step = (GstClockTime)GST_SECOND / (config->encoder ? config->controls.frame_rate : 30);
	g->task = (struct loop_task){.run = look, .owner = g};
	snprintf(g->stats.element, sizeof(g->stats.element), "%s", GST_OBJECT_NAME(factory));
	g->stats.hardware = gst_elements_is_hardware(factory);
	g->may_borrow = config->encoder && gst_elements_copies_first(g->stats.element);
	init_locks(g);
	err = gst_pipeline_build(g, factory);
	g->config.first = NULL; /* the caller's */
	gst_object_unref(factory);
	if (err == 0)
		err = gst_pipeline_start(g);
	if (err < 0) {
		gst_object_unref(g->pipeline);
		gst_pipeline_free(g);
		return err;
	}
	*out = &g->base;
	return 0;
}

static void destroy(struct codec *c)
{
	struct codec_gst *g = from_codec(c);
	const bool writes = gst_lend_end(g);

	pthread_mutex_lock(&g->lock);
	g->detached = true;
	pthread_mutex_unlock(&g->lock);
	/* Nobody posts it any more. */
	if (g->posted)
		loop_unpost(g->config.loop, &g->task);
	if (g->head)
		gst_sample_unref(g->head);
	gst_caps_replace(&g->head_caps, NULL);
	gst_caps_replace(&g->coder_caps, NULL);
	gst_convert_finish(&g->convert);
	gst_pipeline_stop(g); /* its thread frees it */
	if (writes)
		gst_lend_wait(g);
}

static bool can(const struct video_coded_format *coded, bool encoder, const char *element)
{
	GstElementFactory *factory = gst_elements_find(coded, encoder, element);

	if (factory)
		gst_object_unref(factory);
	return factory != NULL;
}

static void abilities(const struct video_coded_format *coded, bool encoder, const char *element,
		      struct codec_abilities *out)
{
	GstElementFactory *factory = gst_elements_find(coded, encoder, element);

	*out = (struct codec_abilities){0};
	if (!factory)
		return;
	gst_elements_ask(factory, coded, encoder, out);
	out->lends = !encoder && gst_elements_is_v4l2(GST_OBJECT_NAME(factory));
	gst_object_unref(factory);
}

/* ---- input ---- */

static bool has_room(struct codec *c)
{
	struct codec_gst *g = from_codec(c);
	bool playing;

	pthread_mutex_lock(&g->lock);
	playing = g->playing;
	pthread_mutex_unlock(&g->lock);
	return playing && gst_app_src_get_current_level_buffers(g->src) < MAX_INPUTS &&
	       gst_app_src_get_current_level_bytes(g->src) < MAX_INPUT_BYTES;
}

static int push(struct codec_gst *g, GstBuffer *buffer, uint64_t timestamp)
{
	const size_t bytes = gst_buffer_get_size(buffer);
	const uint64_t count = g->count++;
	GstFlowReturn flow;

	pthread_mutex_lock(&g->lock);
	g->stamps[count % GST_PIPELINE_STAMPS] = (struct stamp){count, timestamp};
	pthread_mutex_unlock(&g->lock);
	GST_BUFFER_PTS(buffer) = count * g->step;
	GST_BUFFER_DURATION(buffer) = g->step;
	g->stats.frames_in++;
	g->stats.bytes_in += bytes;
	flow = gst_app_src_push_buffer(g->src, buffer);
	/* A pipeline that fails says why on its bus. */
	return flow == GST_FLOW_OK || flow == GST_FLOW_FLUSHING ? 0 : -EIO;
}

static int decode(struct codec *c, uint8_t *data, size_t bytes, uint64_t timestamp)
{
	return push(from_codec(c), gst_buffer_new_wrapped_full(0, data, bytes, 0, bytes, data, free), timestamp);
}

/* @frame as a picture of the host. Returns false for a format that is none of ours. */
static bool picture_of(struct video_picture *p, GstVideoFrame *frame)
{
	*p = (struct video_picture){
		.format = video_picture_format_named(gst_video_format_to_string(GST_VIDEO_FRAME_FORMAT(frame))),
		.width = (uint32_t)GST_VIDEO_FRAME_WIDTH(frame),
		.height = (uint32_t)GST_VIDEO_FRAME_HEIGHT(frame),
	};
	for (unsigned i = 0; p->format && i < p->format->planes; i++) {
		p->planes[i] = GST_VIDEO_FRAME_PLANE_DATA(frame, i);
		p->strides[i] = (size_t)GST_VIDEO_FRAME_PLANE_STRIDE(frame, i);
	}
	return p->format != NULL;
}

/* @from's memory, which GStreamer tells by @done(@data) that it needs no more. */
static GstMemory *wrap(struct codec_gst *g, struct video_pages *pages, size_t bytes, gpointer data, GDestroyNotify done)
{
	gpointer at = (gpointer)(uintptr_t)video_pages_bytes(pages); /* to be read */
	GstMemory *memory;

	if (!g->importer)
		return gst_memory_new_wrapped(GST_MEMORY_FLAG_READONLY, at, bytes, 0, bytes, data, done);
	memory = gst_dmabuf_allocator_alloc_with_flags(g->importer, video_pages_dmabuf(pages),
						       video_pages_dmabuf_bytes(pages), GST_FD_MEMORY_FLAG_DONT_CLOSE);
	/* What is in it: drivers refuse more than a picture. */
	gst_memory_resize(memory, 0, g->layout.total_bytes);
	gst_mini_object_set_qdata(GST_MINI_OBJECT_CAST(memory), gst_pipeline_loan_quark(), data, done);
	return memory;
}

/* Say in @buffer where the planes of @from are. */
static void add_meta(struct codec_gst *g, GstBuffer *buffer, const struct video_buffer *from)
{
	gsize offsets[GST_VIDEO_MAX_PLANES] = {0};
	gint strides[GST_VIDEO_MAX_PLANES] = {0};

	for (unsigned i = 0; i < g->layout.format->planes; i++) {
		offsets[i] = video_layout_offset(&g->layout, from, i);
		strides[i] = (gint)video_layout_plane(&g->layout, from, i).stride_bytes;
	}
	gst_buffer_add_video_meta_full(buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_INFO_FORMAT(&g->input_info),
				       g->layout.width, g->layout.height, g->layout.format->planes, offsets, strides);
}

static bool is_free(struct codec_gst *g, const struct loan *loan)
{
	bool held;

	pthread_mutex_lock(&g->lock);
	held = loan->held;
	pthread_mutex_unlock(&g->lock);
	return !held && !loan->buffer;
}

/* A buffer that is the guest's picture itself, or NULL where that can't be now. */
static GstBuffer *borrow(struct codec_gst *g, const struct video_buffer *from, struct loan **out)
{
	struct loan *loan = g->loans;
	GstMemory *memory;
	GstBuffer *buffer;

	if (!g->may_borrow || !from->pages ||
	    (g->importer && (video_pages_dmabuf(from->pages) < 0 || !v4l2_has_planes_there(&g->layout, from))))
		return NULL;
	/* Only the loop takes them. */
	while (loan < g->loans + GST_PIPELINE_ENCODER_LOANS && !is_free(g, loan))
		loan++;
	if (loan == g->loans + GST_PIPELINE_ENCODER_LOANS)
		return NULL;
	pthread_mutex_lock(&g->lock);
	*loan = (struct loan){
		.codec = g, .pages = video_pages_ref(from->pages), .buffer = from, .number = g->count, .held = true};
	g->unreleased++;
	pthread_mutex_unlock(&g->lock);
	buffer = gst_buffer_new();
	memory = wrap(g, from->pages, from->bytes, loan, gst_pipeline_release);
	/* Those of dma-bufs are not made so. */
	GST_MINI_OBJECT_FLAG_SET(memory, GST_MEMORY_FLAG_READONLY);
	gst_buffer_append_memory(buffer, memory);
	add_meta(g, buffer, from);
	g->stats.imported += g->importer != NULL;
	*out = loan;
	return buffer;
}

static void drop_pages(gpointer data)
{
	video_pages_unref(data);
}

/* A buffer for a copy: for a driver that imports all pictures it has a dma-buf, and planes as the guest's would have. */
static GstBuffer *make_buffer(struct codec_gst *g)
{
	const struct video_buffer tight = {.bytes = g->layout.total_bytes};
	struct video_pages *pages;
	GstBuffer *buffer;

	if (!g->importer)
		return gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(&g->input_info), NULL);
	pages = video_pages_create(g->layout.total_bytes);
	if (!pages)
		return NULL;
	buffer = gst_buffer_new();
	gst_buffer_append_memory(buffer, wrap(g, pages, g->layout.total_bytes, pages, drop_pages));
	add_meta(g, buffer, &tight);
	return buffer;
}

/* A buffer with a copy of the guest's picture, or NULL without memory. */
static GstBuffer *copy(struct codec_gst *g, const struct video_buffer *from)
{
	GstBuffer *buffer = make_buffer(g);
	struct video_picture p;
	GstVideoFrame frame;

	if (!buffer || !gst_video_frame_map(&frame, &g->input_info, buffer, GST_MAP_WRITE)) {
		gst_clear_buffer(&buffer);
		return NULL;
	}
	if (picture_of(&p, &frame))
		video_picture_read(&p, &g->layout, from);
	gst_video_frame_unmap(&frame);
	g->stats.copies++;
	return buffer;
}

static int encode(struct codec *c, const struct video_buffer *from, uint64_t timestamp, bool force_keyframe)
{
	struct codec_gst *g = from_codec(c);
	struct loan *loan = NULL;
	GstBuffer *buffer = borrow(g, from, &loan);
	int err;

	if (!buffer)
		buffer = copy(g, from);
	if (!buffer)
		return -ENOMEM;
	if (force_keyframe)
		GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_MARKER);
	err = push(g, buffer, timestamp);
	/* The caller keeps what was refused. */
	if (err < 0 && loan)
		loan->buffer = NULL;
	return err == 0 && loan ? CODEC_LENT : err;
}

static const struct video_buffer *released(struct codec *c)
{
	struct codec_gst *g = from_codec(c);
	const struct video_buffer *b = NULL;
	struct loan *first = NULL;

	pthread_mutex_lock(&g->lock);
	for (struct loan *l = g->loans; l < g->loans + GST_PIPELINE_LOANS; l++) {
		const bool is_back = g->config.encoder ? l->released : gst_lend_is_unwanted(g, l);

		if (l->buffer && is_back && (!first || l->number < first->number))
			first = l;
	}
	if (first) {
		b = first->buffer;
		first->buffer = NULL;
	}
	pthread_mutex_unlock(&g->lock);
	return b;
}

static int lend(struct codec *c, const struct video_buffer *buffer, const struct video_layout *layout)
{
	return gst_lend_offer(from_codec(c), buffer, layout);
}

static void drain(struct codec *c)
{
	struct codec_gst *g = from_codec(c);

	pthread_mutex_lock(&g->lock);
	g->draining = true;
	pthread_mutex_unlock(&g->lock);
	gst_app_src_end_of_stream(g->src);
}

/* ---- output ---- */

/* The size of the head, from its caps. Returns false for caps that no picture has. */
static bool read_head_info(struct codec_gst *g)
{
	GstCaps *caps = gst_sample_get_caps(g->head);

	if (caps == g->head_caps)
		return true;
	if (!caps || !gst_video_info_from_caps(&g->head_info, caps))
		return false;
	gst_caps_replace(&g->head_caps, caps);
	return true;
}

static uint64_t timestamp_of(struct codec_gst *g, GstBuffer *buffer)
{
	GstCustomMeta *meta = gst_buffer_get_custom_meta(buffer, GST_PIPELINE_META);
	guint64 timestamp;

	if (meta && gst_structure_get_uint64(gst_custom_meta_get_structure(meta), "ns", &timestamp))
		return timestamp;
	return gst_pipeline_find_stamp(g, GST_BUFFER_PTS(buffer));
}

static void say_format(struct codec_gst *g, struct codec_output *out, uint32_t width, uint32_t height)
{
	g->said_width = width;
	g->said_height = height;
	*out = (struct codec_output){.kind = CODEC_FORMAT, .width = width, .height = height};
}

/* What there is to say of the head, a picture or a packet. */
static void describe_frame(struct codec_gst *g, struct codec_output *out)
{
	GstBuffer *buffer = gst_sample_get_buffer(g->head);
	const struct loan *loan = g->may_lend ? gst_lend_find(buffer) : NULL;

	if (g->importer && g->config.encoder)
		gst_pipeline_is_done_with(g, (GST_BUFFER_PTS(buffer) + g->step / 2) / g->step);
	out->timestamp = timestamp_of(g, buffer);
	out->key_frame = !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
	out->damaged = GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_CORRUPTED);
	out->buffer = loan ? loan->buffer : NULL;
}

static void output(struct codec *c, struct codec_output *out)
{
	struct codec_gst *g = from_codec(c);
	bool ended, failed, broken, starves;
	uint32_t parsed_width, parsed_height, asked_width, asked_height;

	*out = (struct codec_output){.kind = CODEC_NOTHING};
	/* Before the queue is looked at: what came before the end is then in it. */
	pthread_mutex_lock(&g->lock);
	ended = g->ended;
	failed = g->failed;
	broken = g->broken;
	parsed_width = g->parsed_width;
	parsed_height = g->parsed_height;
	starves = g->starves || g->lending == GST_LENDING_WANTED;
	pthread_mutex_unlock(&g->lock);
	if (!g->head)
		g->head = gst_app_sink_try_pull_sample(g->sink, 0);
	if (g->head && g->config.encoder) {
		out->kind = CODEC_FRAME;
	} else if (g->head && !read_head_info(g)) {
		out->kind = CODEC_FAILED;
	} else if (g->head) {
		const uint32_t width = (uint32_t)GST_VIDEO_INFO_WIDTH(&g->head_info);
		const uint32_t height = (uint32_t)GST_VIDEO_INFO_HEIGHT(&g->head_info);

		out->kind = CODEC_FRAME;
		if (width != g->width || height != g->height)
			say_format(g, out, width, height);
	} else if (failed) {
		log_line(LOG_TOPIC_VIDEO, broken ? LOG_DEBUG : LOG_WARN, "%s", g->why);
		out->kind = broken ? CODEC_BROKEN : CODEC_FAILED;
	} else if (ended) {
		out->kind = CODEC_END;
	} else if (g->width == 0 && parsed_width > 0 && parsed_height > 0) {
		/* The guest can make its buffers while the first picture is on its way. */
		say_format(g, out, parsed_width, parsed_height);
	} else if (gst_lend_proceed(g, &asked_width, &asked_height)) {
		say_format(g, out, asked_width, asked_height);
	} else {
		out->starves = starves;
	}
	if (out->kind == CODEC_FRAME)
		describe_frame(g, out);
}

/* The parameter sets of H.264 and HEVC, as the guest wants them: with every key frame if there is @room, or once. */
static void write_with_headers(struct codec_gst *g, struct video_cursor *to, size_t room, const GstMapInfo *map,
			       bool key_frame, size_t *bytes)
{
	const enum video_headers_kind kind = g->config.coded->headers;
	const bool has_own = video_headers_scan(&g->headers, kind, map->data, map->size);
	size_t at = 0, n;
	const uint8_t *part;

	if (has_own && !g->config.controls.repeat_headers && g->headers_sent) {
		while ((part = video_headers_skip(kind, map->data, map->size, &at, &n)) != NULL) {
			video_cursor_write(to, part, n);
			*bytes += n;
		}
		return;
	}
	g->headers_sent |= has_own;
	if (!has_own && g->config.controls.repeat_headers && key_frame && g->headers.bytes <= room - map->size) {
		at = video_headers_place(kind, map->data, map->size);
		video_cursor_write(to, map->data, at);
		video_cursor_write(to, g->headers.data, g->headers.bytes);
		*bytes += g->headers.bytes;
	}
	video_cursor_write(to, map->data + at, map->size - at);
	*bytes += map->size;
}

static int take_packet(struct codec_gst *g, const struct video_buffer *to, size_t *bytes)
{
	GstBuffer *buffer = gst_sample_get_buffer(g->head);
	const size_t room = to->bytes - to->planes[0].offset;
	struct video_cursor cursor;
	GstMapInfo map;
	int err = 0;

	if (!gst_buffer_map(buffer, &map, GST_MAP_READ))
		return -EIO;
	if (map.size > room) {
		err = -ENOSPC;
	} else {
		*bytes = 0;
		video_cursor_init(&cursor, to, to->planes[0].offset);
		write_with_headers(g, &cursor, room, &map, !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT),
				   bytes);
		g->stats.bytes_out += *bytes;
	}
	gst_buffer_unmap(buffer, &map);
	return err;
}

static int take_picture(struct codec_gst *g, const struct video_buffer *to, const struct video_layout *layout,
			size_t *bytes)
{
	struct video_picture p;
	GstVideoFrame frame;
	int copies;

	if (!gst_video_frame_map(&frame, &g->head_info, gst_sample_get_buffer(g->head), GST_MAP_READ))
		return -EIO;
	if (picture_of(&p, &frame) && video_picture_is_alike(p.format, layout->format)) {
		video_picture_write(&p, layout, to);
		copies = 1;
	} else {
		copies = gst_convert_write(&g->convert, &frame, layout, to);
	}
	gst_video_frame_unmap(&frame);
	if (copies < 0)
		return copies;
	*bytes = layout->total_bytes;
	g->stats.bytes_out += layout->total_bytes;
	g->stats.copies += (unsigned)copies;
	return 0;
}

/* Of the pictures at the coder itself, as its caps said last. */
static GstVideoFormat coder_format(struct codec_gst *g)
{
	GstPad *pad = gst_element_get_static_pad(g->coder, g->config.encoder ? "sink" : "src");
	GstCaps *caps = gst_pad_get_current_caps(pad);
	GstVideoFormat format = GST_VIDEO_FORMAT_UNKNOWN;
	GstVideoInfo info;

	if (caps) {
		/* Reading them takes allocations, and this is done for every picture. */
		if (caps != g->coder_caps) {
			g->coder_format = gst_video_info_from_caps(&info, caps) ? GST_VIDEO_INFO_FORMAT(&info) : format;
			gst_caps_replace(&g->coder_caps, caps);
		}
		format = g->coder_format;
		gst_caps_unref(caps);
	}
	gst_object_unref(pad);
	return format;
}

/* Did videoconvert have to work? Then it made another copy. */
static bool was_converted(struct codec_gst *g)
{
	const GstVideoInfo *ours = g->config.encoder ? &g->input_info : &g->head_info;
	const GstVideoFormat format = coder_format(g);

	return format != GST_VIDEO_FORMAT_UNKNOWN && format != GST_VIDEO_INFO_FORMAT(ours);
}

/* The picture is in the guest's buffer. */
static int take_lent(struct codec_gst *g, struct loan *loan, const struct video_layout *layout, size_t *bytes)
{
	gst_lend_show(loan);
	pthread_mutex_lock(&g->lock);
	loan->buffer = NULL;
	pthread_mutex_unlock(&g->lock);
	*bytes = layout->total_bytes;
	g->stats.bytes_out += layout->total_bytes;
	g->stats.imported++;
	return 0;
}

static int take(struct codec *c, const struct video_buffer *buffer, const struct video_layout *layout, size_t *bytes)
{
	struct codec_gst *g = from_codec(c);
	struct loan *loan;
	int err;

	if (!buffer) {
		/* A format. */
		g->width = g->said_width;
		g->height = g->said_height;
		return 0;
	}
	loan = g->may_lend ? gst_lend_find(gst_sample_get_buffer(g->head)) : NULL;
	/* One that came out before is the guest's already. */
	if (loan && loan->buffer)
		err = take_lent(g, loan, layout, bytes);
	else
		err = layout ? take_picture(g, buffer, layout, bytes) : take_packet(g, buffer, bytes);
	g->stats.frames_out++;
	g->stats.copies += was_converted(g);
	gst_sample_unref(g->head);
	g->head = NULL;
	return err;
}

static void control(struct codec *c, const struct codec_controls *controls)
{
	struct codec_gst *g = from_codec(c);

	g->config.controls = *controls;
	pthread_mutex_lock(&g->lock);
	g->new_controls = *controls;
	g->has_new_controls = true;
	pthread_mutex_unlock(&g->lock);
}

static void stats(const struct codec *c, struct codec_stats *out)
{
	*out = ((const struct codec_gst *)c)->stats;
}

const struct codec_ops codec_gst_ops = {
	.name = "gstreamer",
	.can = can,
	.abilities = abilities,
	.create = create,
	.destroy = destroy,
	.has_room = has_room,
	.decode = decode,
	.encode = encode,
	.lend = lend,
	.released = released,
	.drain = drain,
	.output = output,
	.take = take,
	.control = control,
	.stats = stats,
	.stopping = gst_pipeline_stopping,
	.stopping_since = gst_pipeline_stopping_since,
	.doctor = gst_elements_doctor,
};
