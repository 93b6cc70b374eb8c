// SPDX-License-Identifier: MIT
/*
 * A codec for tests: what goes in says what it does. It works on the device's loop, one input a turn, and like a real
 * one it keeps one picture back until the next input or the drain.
 */
#include "host/video/codec_fake.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/loop.h"
#include "host/video/buffer.h"
#include "host/video/codec.h"
#include "host/video/picture.h"

#define MAX_INPUTS 4u
#define MAX_OUTPUTS 4u
#define MAX_LENT 32u
/* More than a stream takes: there are decoders that do. */
#define MAX_SIDE (2 * VIDEO_MAX_SIDE)

bool codec_fake_lends, codec_fake_keeps;

struct unit {
	struct codec_output out;
	uint8_t *data; /* header and samples; NULL: a format */
	size_t bytes;
	const struct video_buffer *lent; /* encoder: the picture to be read in place */
	struct unit *next;
};

struct codec_fake {
	struct codec base;
	struct codec_config config;
	struct video_layout layout; /* encoder */
	struct unit *inputs, *outputs, *kept;
	unsigned input_count, output_count;
	uint32_t width, height; /* of the last picture */
	const struct video_buffer *released[MAX_INPUTS];
	unsigned released_count;
	/* Decoder: to be written to, the first first; of the size that was taken. */
	const struct video_buffer *lent[MAX_LENT];
	unsigned lent_count;
	struct video_layout lent_layout;
	uint32_t taken_width, taken_height;
	bool refuses; /* of that size there was one that can't be written to: all are copied */
	bool draining, ended, hung, failed, broken, posted;
	struct loop_task task;
	struct codec_stats stats;
};

uint8_t fake_sample(uint32_t value, unsigned plane, uint32_t x, uint32_t y)
{
	return (uint8_t)(value * 17 + plane * 85 + x * 3 + y * 7);
}

static struct codec_fake *from_codec(struct codec *c)
{
	assert(c->ops == &codec_fake_ops);
	return (struct codec_fake *)c;
}

static void append(struct unit **list, unsigned *count, struct unit *u)
{
	while (*list)
		list = &(*list)->next;
	u->next = NULL;
	*list = u;
	++*count;
}

static struct unit *take_first(struct unit **list, unsigned *count)
{
	struct unit *u = *list;

	if (u) {
		*list = u->next;
		--*count;
	}
	return u;
}

static void free_unit(struct unit *u)
{
	if (u)
		free(u->data);
	free(u);
}

static void post(struct codec_fake *f)
{
	if (f->posted || f->hung)
		return;
	f->posted = true;
	loop_post(f->config.loop, &f->task);
}

static const struct video_buffer *take_buffer(const struct video_buffer **list, unsigned *count)
{
	const struct video_buffer *first = list[0];

	if (*count == 0)
		return NULL;
	--*count;
	memmove(list, list + 1, *count * sizeof(list[0]));
	return first;
}

/* No picture of another size is known. */
static bool wants_buffers(const struct codec_fake *f)
{
	return f->config.may_lend && codec_fake_lends && !f->refuses && f->taken_width > 0 && f->taken_width == f->width &&
	       f->taken_height == f->height;
}

static void write_picture(const struct unit *u, const struct video_buffer *buffer, const struct video_layout *layout);

/* Write what is known, in lent buffers. */
static void fill(struct codec_fake *f)
{
	for (struct unit *u = f->outputs; u && f->lent_count > 0 && wants_buffers(f); u = u->next) {
		if (u->out.buffer)
			continue;
		u->out.buffer = take_buffer(f->lent, &f->lent_count);
		write_picture(u, u->out.buffer, &f->lent_layout);
	}
}

static void emit(struct codec_fake *f, struct unit *u)
{
	if (u)
		append(&f->outputs, &f->output_count, u);
	fill(f);
}

/* Where the samples of an I420 picture of that size are, from @data on. */
static void planes_of(struct video_picture *p, uint8_t *data, uint32_t width, uint32_t height)
{
	const size_t luma = (size_t)width * height, chroma_width = (width + 1) / 2;

	*p = (struct video_picture){
		.format = video_picture_format_named("I420"),
		.width = width,
		.height = height,
		.planes = {data, data + luma, data + luma + chroma_width * ((height + 1) / 2)},
		.strides = {width, chroma_width, chroma_width},
	};
}

static size_t picture_bytes(uint32_t width, uint32_t height)
{
	return (size_t)width * height + (size_t)((width + 1) / 2) * ((height + 1) / 2) * 2;
}

/* Into planes of I420, from whatever planes the guest has. (Of packed pictures no test looks at what becomes of them.) */
static void read_picture(struct codec_fake *f, struct unit *u, const struct video_buffer *from)
{
	const struct video_layout *layout = &f->layout;
	uint8_t *samples = u->data + sizeof(struct fake_header), *tight = NULL;
	struct iovec piece = {samples, picture_bytes(layout->width, layout->height)};
	const struct video_buffer to = {.pieces = &piece, .piece_count = 1, .bytes = piece.iov_len, .plane_count = 1};
	struct video_layout i420;
	struct video_picture p;

	video_layout_init(&i420, video_picture_format_named("I420"), layout->width, layout->height);
	if (video_picture_is_alike(layout->format, i420.format))
		tight = malloc(layout->total_bytes);
	if (!tight) {
		planes_of(&p, samples, layout->width, layout->height);
		video_picture_read(&p, &i420, from);
		return;
	}
	p = (struct video_picture){.format = layout->format, .width = layout->width, .height = layout->height};
	for (unsigned i = 0, at = 0; i < layout->format->planes; at += layout->planes[i++].size_bytes) {
		p.planes[i] = tight + at;
		p.strides[i] = layout->planes[i].stride_bytes;
	}
	video_picture_read(&p, layout, from);
	video_picture_write(&p, &i420, &to);
	free(tight);
}

static void process(struct codec_fake *f, struct unit *u)
{
	struct fake_header h = {0};

	if (u->bytes >= sizeof(h))
		memcpy(&h, u->data, sizeof(h));
	if (f->config.encoder) {
		if (u->lent) {
			read_picture(f, u, u->lent);
			assert(f->released_count < MAX_INPUTS);
			f->released[f->released_count++] = u->lent;
		}
		/* No picture is as small as that. */
		memcpy(&h, u->data + sizeof(h), sizeof(h));
		f->hung |= h.magic == FAKE_MAGIC && h.unit == FAKE_HANG;
		f->failed |= h.magic == FAKE_MAGIC && h.unit == FAKE_ERROR;
		if (f->hung || f->failed)
			free_unit(u);
		else
			emit(f, u);
		return;
	}
	f->hung |= h.magic == FAKE_MAGIC && h.unit == FAKE_HANG;
	f->failed |= h.magic == FAKE_MAGIC && h.unit == FAKE_ERROR;
	f->broken |= h.magic == FAKE_MAGIC && h.unit == FAKE_BROKEN;
	f->ended |= h.magic == FAKE_MAGIC && h.unit == FAKE_END;
	/* Garbage gives no picture, as in real decoders. */
	if (h.magic != FAKE_MAGIC || f->hung || f->failed || f->broken || f->ended || h.width == 0 || h.height == 0 ||
	    h.width > MAX_SIDE || h.height > MAX_SIDE) {
		free_unit(u);
		return;
	}
	if (h.width != f->width || h.height != f->height) {
		struct unit *format = calloc(1, sizeof(*format));

		f->width = h.width;
		f->height = h.height;
		emit(f, f->kept);
		f->kept = NULL;
		if (format) {
			format->out = (struct codec_output){.kind = CODEC_FORMAT, .width = h.width, .height = h.height};
			emit(f, format);
		}
	}
	emit(f, f->kept);
	u->out.damaged = h.unit == FAKE_DAMAGED;
	f->kept = u;
}

static void work(struct loop_task *t)
{
	struct codec_fake *f = t->owner;

	f->posted = false;
	if (f->hung || f->failed || f->broken)
		return;
	if (f->inputs && f->output_count < MAX_OUTPUTS) {
		process(f, take_first(&f->inputs, &f->input_count));
	} else if (f->draining && !f->inputs && !f->ended) {
		emit(f, f->kept);
		f->kept = NULL;
		f->ended = true;
	}
	if ((f->inputs && f->output_count < MAX_OUTPUTS) || (f->draining && !f->inputs && !f->ended))
		post(f);
	if (!f->hung)
		f->config.changed(f->config.owner);
}

static bool can(const struct video_coded_format *coded, bool encoder, const char *element)
{
	(void)coded;
	(void)encoder;
	return !element || strcmp(element, "fake") == 0;
}

static void abilities(const struct video_coded_format *coded, bool encoder, const char *element,
		      struct codec_abilities *out)
{
	(void)coded;
	(void)element;
	*out = (struct codec_abilities){
		.profiles = UINT32_MAX, .levels = UINT32_MAX, .wide = !encoder, .lends = !encoder && codec_fake_lends};
}

static int create(const struct codec_config *config, struct codec **out)
{
	struct codec_fake *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->base.ops = &codec_fake_ops;
	f->config = *config;
	if (config->encoder)
		f->layout = *config->layout;
	f->task = (struct loop_task){.run = work, .owner = f};
	snprintf(f->stats.element, sizeof(f->stats.element), "fake");
	*out = &f->base;
	return 0;
}

static void destroy(struct codec *c)
{
	struct codec_fake *f = from_codec(c);

	if (f->posted)
		loop_unpost(f->config.loop, &f->task);
	while (f->inputs)
		free_unit(take_first(&f->inputs, &f->input_count));
	while (f->outputs)
		free_unit(take_first(&f->outputs, &f->output_count));
	free_unit(f->kept);
	free(f);
}

static bool has_room(struct codec *c)
{
	struct codec_fake *f = from_codec(c);

	return !f->hung && f->input_count < MAX_INPUTS;
}

/* Takes @data; returns what was put in, or NULL. */
static struct unit *put_in(struct codec_fake *f, uint8_t *data, size_t bytes, uint64_t timestamp, bool key)
{
	struct unit *u = calloc(1, sizeof(*u));

	if (!u) {
		free(data);
		return NULL;
	}
	u->data = data;
	u->bytes = bytes;
	u->out = (struct codec_output){.kind = CODEC_FRAME, .timestamp = timestamp, .key_frame = key};
	append(&f->inputs, &f->input_count, u);
	f->stats.frames_in++;
	f->stats.bytes_in += bytes;
	post(f);
	return u;
}

static int decode(struct codec *c, uint8_t *data, size_t bytes, uint64_t timestamp)
{
	return put_in(from_codec(c), data, bytes, timestamp, false) ? 0 : -ENOMEM;
}

static int encode(struct codec *c, const struct video_buffer *buffer, uint64_t timestamp, bool force_keyframe)
{
	struct codec_fake *f = from_codec(c);
	struct fake_header h = {FAKE_MAGIC, force_keyframe ? FAKE_KEY_PICTURE : FAKE_PICTURE, f->layout.width, f->layout.height, 0};
	const size_t bytes = sizeof(h) + picture_bytes(h.width, h.height);
	uint8_t *data = malloc(bytes);
	struct unit *u;

	if (!data)
		return -ENOMEM;
	memcpy(data, &h, sizeof(h));
	u = put_in(f, data, bytes, timestamp, force_keyframe || f->stats.frames_in == 0);
	if (!u)
		return -ENOMEM;
	/* When its turn comes. */
	if (buffer->pages) {
		u->lent = buffer;
		return CODEC_LENT;
	}
	read_picture(f, u, buffer);
	f->stats.copies++;
	return 0;
}

static int lend(struct codec *c, const struct video_buffer *buffer, const struct video_layout *layout)
{
	struct codec_fake *f = from_codec(c);

	if (!wants_buffers(f) || f->lent_count == MAX_LENT)
		return 0;
	if (!buffer->pages) {
		f->refuses = true;
		post(f);
		return 0;
	}
	f->lent_layout = *layout;
	f->lent[f->lent_count++] = buffer;
	fill(f);
	return CODEC_LENT;
}

static const struct video_buffer *released(struct codec *c)
{
	struct codec_fake *f = from_codec(c);

	if (f->config.encoder)
		return take_buffer(f->released, &f->released_count);
	return wants_buffers(f) || codec_fake_keeps ? NULL : take_buffer(f->lent, &f->lent_count);
}

static void drain(struct codec *c)
{
	struct codec_fake *f = from_codec(c);

	f->draining = true;
	post(f);
}

static void output(struct codec *c, struct codec_output *out)
{
	const struct codec_fake *f = from_codec(c);

	*out = (struct codec_output){.kind = CODEC_NOTHING};
	if (f->outputs && f->outputs->out.kind == CODEC_FRAME && !f->outputs->out.buffer && wants_buffers(f))
		out->starves = true;
	else if (f->outputs)
		*out = f->outputs->out;
	else if (f->failed)
		out->kind = CODEC_FAILED;
	else if (f->broken)
		out->kind = CODEC_BROKEN;
	else if (f->ended)
		out->kind = CODEC_END;
}

/* What a decoder of 10 bits would make: the samples of 8, moved up. */
static void write_wide(const struct video_picture *p, const struct video_buffer *buffer,
		       const struct video_layout *layout)
{
	struct video_picture wide = *p;
	const size_t bytes = picture_bytes(p->width, p->height);
	uint8_t *samples = malloc(2 * bytes);

	if (!samples)
		return;
	for (size_t i = 0; i < bytes; i++) {
		samples[2 * i] = (uint8_t)(p->planes[0][i] << 2);
		samples[2 * i + 1] = p->planes[0][i] >> 6;
	}
	wide.format = video_picture_format_named("I420_10LE");
	for (unsigned i = 0; i < 3; i++) {
		wide.planes[i] = samples + 2 * (p->planes[i] - p->planes[0]);
		wide.strides[i] = 2 * p->strides[i];
	}
	video_picture_write(&wide, layout, buffer);
	free(samples);
}

/* Byte by byte, as if each byte of a pixel were a plane. */
static void write_packed(const struct fake_header *h, const struct video_buffer *buffer,
			 const struct video_layout *layout)
{
	struct video_cursor to;

	video_cursor_init(&to, buffer, video_layout_offset(layout, buffer, 0));
	for (uint32_t y = 0; y < h->height; y++) {
		for (uint32_t x = 0; x < h->width; x++) {
			uint8_t pixel[4];

			for (unsigned i = 0; i < layout->format->pixel_bytes; i++)
				pixel[i] = fake_sample(h->value, i, x, y);
			video_cursor_write(&to, pixel, layout->format->pixel_bytes);
		}
		if (y + 1 < h->height)
			video_cursor_skip(&to, video_layout_plane(layout, buffer, 0).stride_bytes -
						       (size_t)h->width * layout->format->pixel_bytes);
	}
}

static void write_picture(const struct unit *u, const struct video_buffer *buffer, const struct video_layout *layout)
{
	struct fake_header h;
	struct video_picture p;
	uint8_t *made = NULL, *samples = u->data + sizeof(h);

	memcpy(&h, u->data, sizeof(h));
	if (video_picture_is_packed(layout->format)) {
		write_packed(&h, buffer, layout);
		return;
	}
	if (u->bytes < sizeof(h) + picture_bytes(h.width, h.height)) {
		samples = made = calloc(1, picture_bytes(h.width, h.height));
		if (!made)
			return;
		planes_of(&p, made, h.width, h.height);
		for (unsigned i = 0; i < 3; i++) {
			const uint32_t w = i ? (h.width + 1) / 2 : h.width, rows = i ? (h.height + 1) / 2 : h.height;

			for (uint32_t y = 0; y < rows; y++) {
				for (uint32_t x = 0; x < w; x++)
					p.planes[i][y * p.strides[i] + x] = fake_sample(h.value, i, x, y);
			}
		}
	}
	planes_of(&p, samples, h.width, h.height);
	if (layout->format->wide)
		write_wide(&p, buffer, layout);
	else
		video_picture_write(&p, layout, buffer);
	free(made);
}

static int take(struct codec *c, const struct video_buffer *buffer, const struct video_layout *layout, size_t *bytes)
{
	struct codec_fake *f = from_codec(c);
	struct unit *u = take_first(&f->outputs, &f->output_count);
	int err = 0;

	assert(u);
	if (u->out.kind == CODEC_FRAME) {
		f->stats.frames_out++;
		if (layout) {
			assert(!u->out.buffer || u->out.buffer == buffer);
			if (!u->out.buffer)
				write_picture(u, buffer, layout);
			f->stats.copies += !u->out.buffer;
			f->stats.imported += u->out.buffer != NULL;
			*bytes = layout->total_bytes;
		} else if (u->bytes > buffer->bytes - buffer->planes[0].offset) {
			err = -ENOSPC;
		} else {
			struct video_cursor to;

			video_cursor_init(&to, buffer, buffer->planes[0].offset);
			video_cursor_write(&to, u->data, u->bytes);
			*bytes = u->bytes;
			f->stats.bytes_out += u->bytes;
		}
	}
	if (u->out.kind == CODEC_FORMAT) {
		f->taken_width = u->out.width;
		f->taken_height = u->out.height;
		f->refuses = false;
	}
	free_unit(u);
	if (f->inputs)
		post(f);
	return err;
}

static void control(struct codec *c, const struct codec_controls *controls)
{
	from_codec(c)->config.controls = *controls;
}

static void stats(const struct codec *c, struct codec_stats *out)
{
	*out = ((const struct codec_fake *)c)->stats;
}

const struct codec_ops codec_fake_ops = {
	.name = "fake",
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
};
