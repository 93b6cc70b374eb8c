// SPDX-License-Identifier: MIT
/*
 * Capabilities, streams and their buffers. (STREAM_CREATE is in video.c, beside the list of streams.)
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/device.h"
#include "host/video/dialect.h"
#include "host/video/pages.h"
#include "host/virtio/mem.h"
#include "host/virtio/object.h"

#define MIN_SIDE 32u
#define MAX_FRAME_RATE 240u

/* ---- capabilities ---- */

struct answer_writer {
	struct video *v;
	size_t used;
};

/* All coded formats, or all of pictures, with their descriptions behind the count of them. */
_Static_assert(8 + VIDEO_MAX_CODED * (sizeof(struct virtio_video_format_desc) + sizeof(struct virtio_video_format_frame) +
				      sizeof(struct virtio_video_format_range)) <= VIDEO_ANSWER_MAX,
	       "QUERY_CAPABILITY has room");

static void add(struct answer_writer *w, const void *data, size_t n)
{
	assert(n <= sizeof(w->v->answer) - w->used);
	memcpy(w->v->answer + w->used, data, n);
	w->used += n;
}

static void add_format(struct answer_writer *w, uint32_t number, unsigned others)
{
	const struct virtio_video_format_desc desc = {
		/* Anything can become anything. */
		.mask = (1ull << others) - 1,
		.format = number,
		/* The other layout is taken too, but this is the one that drivers are tried with. */
		.planes_layout = VIRTIO_VIDEO_PLANES_LAYOUT_SINGLE_BUFFER,
		.plane_align = 1,
		.num_frames = 1,
	};
	/* What is decoded may have any size. Linux drivers call a range continuous, which V4L2 then wants in steps of 1. */
	const struct virtio_video_format_range side = {
		.min = MIN_SIDE, .max = VIDEO_MAX_SIDE, .step = w->v->config.encoder ? 2 : 1};
	/* A decoder has no rate: V4L2 wants none of one, and clients take what is named for a limit. */
	const bool has_rate = w->v->config.encoder;
	const struct virtio_video_format_frame frame = {.width = side, .height = side, .num_rates = has_rate};
	const struct virtio_video_format_range rate = {.min = 1, .max = MAX_FRAME_RATE, .step = 1};

	add(w, &desc, sizeof(desc));
	add(w, &frame, sizeof(frame));
	if (has_rate)
		add(w, &rate, sizeof(rate));
}

uint32_t video_query_capability(struct video *v, struct video_command *cmd)
{
	const bool coded = (cmd->queue == VIDEO_INPUT) != v->config.encoder;
	struct answer_writer w = {.v = v};
	struct virtio_video_query_capability_resp resp = {0};
	const struct video_picture_format *format;
	unsigned pictures = 0;

	for (unsigned i = 0; (format = video_picture_format_at(i)) != NULL; i++)
		pictures += v->config.dialect->picture_number(format) != 0;
	resp.num_descs = coded ? v->offer_count : pictures;
	add(&w, &resp.num_descs, sizeof(resp) - sizeof(resp.hdr));
	for (unsigned i = 0; coded && i < v->offer_count; i++)
		add_format(&w, v->offers[i].coded->number, pictures);
	for (unsigned i = 0; !coded && (format = video_picture_format_at(i)) != NULL; i++) {
		if (v->config.dialect->picture_number(format) != 0)
			add_format(&w, v->config.dialect->picture_number(format), v->offer_count);
	}
	cmd->answer = v->answer;
	cmd->answer_bytes = w.used;
	return VIRTIO_VIDEO_RESP_OK_QUERY_CAPABILITY;
}

/* ---- streams ---- */

uint32_t video_stream_destroy(struct video *v, struct video_command *cmd)
{
	video_drop_stream(v, video_find_stream(v, cmd->stream_id));
	return VIRTIO_VIDEO_RESP_OK_NODATA;
}

/* What stream.h's errors mean to the guest. */
static uint32_t refuse_state(struct video *v, const struct video_command *cmd, int err)
{
	switch (err) {
	case -EBUSY:
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION,
				    "the stream is being drained; wait for the answer to STREAM_DRAIN");
	case -EPIPE:
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION,
				    "the stream has failed; clear its input queue or destroy it");
	default:
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
				    "the buffer is too small for a picture, of another format, or has the wrong "
				    "planes; see GET_PARAMS");
	}
}

uint32_t video_stream_drain(struct video *v, struct video_command *cmd)
{
	int err = stream_drain(cmd->stream, cmd->chain);

	return err < 0 ? refuse_state(v, cmd, err) : VIDEO_PENDING;
}

uint32_t video_queue_clear(struct video *v, struct video_command *cmd)
{
	(void)v;
	stream_clear(cmd->stream, cmd->queue);
	return VIRTIO_VIDEO_RESP_OK_NODATA;
}

/* ---- buffers ---- */

/*
 * Add @count memory entries of the request to @b. All of them must be guest memory; what touches in host memory is joined,
 * so a buffer of contiguous pages ends up as one range. @bytes gets how many there are. b->pieces has room.
 */
static uint32_t read_entries(struct video *v, struct video_command *cmd, struct video_buffer *b, uint32_t count,
			     size_t *bytes)
{
	for (uint32_t i = 0; i < count; i++) {
		struct virtio_video_mem_entry entry;
		struct iovec *last = b->piece_count > 0 ? &b->pieces[b->piece_count - 1] : NULL;
		char *host;

		/* The caller saw that they are all there. */
		host = read_obj(cmd->rest, &entry) == 0 ? guest_mem_range(v->device.mem, entry.addr, entry.length) : NULL;
		if (!host)
			return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
					    "resource %u: memory entry %u (%u bytes at 0x%llx) is not guest memory", b->id, i,
					    entry.length, (unsigned long long)entry.addr);
		*bytes += entry.length;
		if (last && (char *)last->iov_base + last->iov_len == host)
			last->iov_len += entry.length;
		else
			b->pieces[b->piece_count++] = (struct iovec){host, entry.length};
	}
	b->bytes += *bytes;
	return 0;
}

/* Dialect agl: a list for each plane. One list is one buffer with all planes in it. */
static uint32_t read_lists(struct video *v, struct video_command *cmd, struct video_buffer *b, size_t *plane_bytes)
{
	struct virtio_video_resource_create *w = &cmd->u.resource_create;

	for (w->num_planes = 0; reader_left(cmd->rest) > 0; w->num_planes++) {
		struct virtio_video_agl_list list;
		uint32_t code;

		if (w->num_planes == VIRTIO_VIDEO_MAX_PLANES || read_obj(cmd->rest, &list) < 0 ||
		    list.num_entries == 0 ||
		    list.num_entries > reader_left(cmd->rest) / sizeof(struct virtio_video_mem_entry))
			return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
					    "resource %u: list %u is empty or longer than the request, or more than 8",
					    b->id, w->num_planes);
		code = read_entries(v, cmd, b, list.num_entries, &plane_bytes[w->num_planes]);
		if (code != 0)
			return code;
	}
	w->planes_layout =
		w->num_planes == 1 ? VIRTIO_VIDEO_PLANES_LAYOUT_SINGLE_BUFFER : VIRTIO_VIDEO_PLANES_LAYOUT_PER_PLANE;
	return 0;
}

/* Add the object that the next entry of the request names. */
static uint32_t read_object(struct video *v, struct video_command *cmd, struct video_buffer *b, size_t *bytes)
{
	struct virtio_video_object_entry entry = {0};
	struct virtio_object *o =
		read_obj(cmd->rest, &entry) == 0 ? virtio_objects_find(v->config.objects, entry.uuid) : NULL;
	struct iovec *pieces;

	if (!o)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
				    "resource %u: no object %02x%02x%02x%02x-...: does the GPU share that resource?",
				    b->id, entry.uuid[0], entry.uuid[1], entry.uuid[2], entry.uuid[3]);
	b->objects[b->object_count++] = o;
	if (o->is_write_only && cmd->queue == VIDEO_INPUT)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
				    "resource %u: the object is a texture, which can be written but not read", b->id);
	if (o->piece_count > v->config.limits.buffer_entries - b->piece_count)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_OUT_OF_MEMORY,
				    "resource %u: an object of %u pieces; the limit is %u for all", b->id,
				    o->piece_count, v->config.limits.buffer_entries);
	pieces = realloc(b->pieces, (b->piece_count + o->piece_count) * sizeof(*pieces));
	if (!pieces)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_OUT_OF_MEMORY, "the host has no memory");
	b->pieces = pieces;
	memcpy(b->pieces + b->piece_count, o->pieces, o->piece_count * sizeof(*pieces));
	b->piece_count += o->piece_count;
	*bytes += o->bytes;
	b->bytes += o->bytes;
	return 0;
}

/* One object for a single buffer, or one for each plane. */
static uint32_t read_objects(struct video *v, struct video_command *cmd, struct video_buffer *b, size_t *plane_bytes)
{
	const struct virtio_video_resource_create *w = &cmd->u.resource_create;
	const unsigned count = w->planes_layout == VIRTIO_VIDEO_PLANES_LAYOUT_SINGLE_BUFFER ? 1 : w->num_planes;
	uint32_t code = 0;

	for (unsigned i = 0; i < w->num_planes; i++) {
		if (w->num_entries[i] != (i < count ? 1 : 0))
			return video_refuse(
				v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
				"resource %u: plane %u has %u objects; one for a single buffer, or one for each plane",
				b->id, i, w->num_entries[i]);
	}
	for (unsigned i = 0; i < count && code == 0; i++)
		code = read_object(v, cmd, b, &plane_bytes[i]);
	return code;
}

/* Read the request's memory into @b, and how many bytes each plane has. */
static uint32_t read_planes(struct video *v, struct video_command *cmd, struct video_buffer *b, size_t *plane_bytes)
{
	const struct virtio_video_resource_create *w = &cmd->u.resource_create;
	uint32_t code = 0;

	if (cmd->has_lists)
		return read_lists(v, cmd, b, plane_bytes);
	for (unsigned i = 0; i < w->num_planes && code == 0; i++)
		code = read_entries(v, cmd, b, w->num_entries[i], &plane_bytes[i]);
	return code;
}

/* Where the planes are in the bytes of all entries, of which plane i has plane_bytes[i]. */
static uint32_t place_planes(struct video *v, struct video_command *cmd, struct video_buffer *b, const size_t *plane_bytes)
{
	const struct virtio_video_resource_create *w = &cmd->u.resource_create;
	const bool single = w->planes_layout == VIRTIO_VIDEO_PLANES_LAYOUT_SINGLE_BUFFER;
	uint32_t offsets = 0;
	size_t at = 0;

	for (unsigned i = 0; i < w->num_planes; i++) {
		if (single && w->plane_offsets[i] >= b->bytes)
			return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
					    "resource %u: plane %u begins at %u of %zu bytes", b->id, i, w->plane_offsets[i],
					    b->bytes);
		b->planes[i].offset = single ? w->plane_offsets[i] : at;
		at += plane_bytes[i];
		b->planes[i].end = single ? b->bytes : at;
		offsets |= w->plane_offsets[i];
	}
	/* A single buffer without offsets: the planes follow one another. */
	b->plane_count = single && offsets == 0 ? 1 : w->num_planes;
	return 0;
}

static uint32_t fill_buffer(struct video *v, struct video_command *cmd, struct video_buffer *b)
{
	const struct virtio_video_resource_create *w = &cmd->u.resource_create;
	size_t plane_bytes[VIRTIO_VIDEO_MAX_PLANES] = {0};
	uint32_t count = 0, code;

	for (unsigned i = 0; i < w->num_planes; i++)
		count += w->num_entries[i];
	/* Lists are counted while they are read: no more than that. */
	if (cmd->has_lists)
		count = (uint32_t)(reader_left(cmd->rest) / sizeof(struct virtio_video_mem_entry));
	if (count == 0)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER, "resource %u has no memory entries", b->id);
	if (count > v->config.limits.buffer_entries)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_OUT_OF_MEMORY, "resource %u: %u memory entries; the limit is %u",
				    b->id, count, v->config.limits.buffer_entries);
	if (cmd->entry->memory_types[cmd->queue] == VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT) {
		code = read_objects(v, cmd, b, plane_bytes);
	} else {
		b->pieces = calloc(count, sizeof(*b->pieces));
		code = b->pieces ? read_planes(v, cmd, b, plane_bytes)
				 : video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_OUT_OF_MEMORY, "the host has no memory");
	}
	if (code != 0)
		return code;
	if (b->bytes > v->config.limits.buffer_bytes - v->buffer_bytes)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_OUT_OF_MEMORY,
				    "resource %u: %zu bytes are over the limit (%llu of %llu in use)", b->id, b->bytes,
				    (unsigned long long)v->buffer_bytes, (unsigned long long)v->config.limits.buffer_bytes);
	return place_planes(v, cmd, b, plane_bytes);
}

uint32_t video_resource_create(struct video *v, struct video_command *cmd)
{
	const uint32_t id = cmd->u.resource_create.resource_id;
	/*
	 * Linux drivers make buffers anew with numbers that are in use: those of a queue that gets another count of them, and
	 * one whose object has changed.
	 */
	struct video_buffer *old = stream_find_buffer(cmd->stream, cmd->queue, id), *b;
	const size_t old_bytes = old ? old->bytes : 0;
	uint32_t code;

	if (old && old->queued)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_RESOURCE_ID,
				    "resource %u exists and is queued; wait for its answer, or use another number", id);
	if (!old && cmd->stream->sides[cmd->queue].buffer_count >= v->config.limits.buffers)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_OUT_OF_MEMORY, "%u resources are the most for a queue",
				    v->config.limits.buffers);
	b = calloc(1, sizeof(*b));
	if (!b)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_OUT_OF_MEMORY, "the host has no memory");
	b->id = id;
	v->buffer_bytes -= old_bytes;
	code = fill_buffer(v, cmd, b);
	if (code != 0) {
		v->buffer_bytes += old_bytes;
		video_buffer_destroy(b);
		return code;
	}
	if (old)
		stream_drop_buffer(cmd->stream, cmd->queue, old);
	/* Objects may have pages of another kind. */
	if (b->object_count == 0 && video_may_be_lent(v->offers, v->offer_count, v->config.encoder, cmd->stream->coded,
						      cmd->queue == VIDEO_INPUT))
		b->pages = video_pages_map(v->device.mem, b);
	v->buffer_bytes += b->bytes;
	stream_add_buffer(cmd->stream, cmd->queue, b);
	return VIRTIO_VIDEO_RESP_OK_NODATA;
}

uint32_t video_resource_destroy_all(struct video *v, struct video_command *cmd)
{
	for (const struct video_buffer *b = cmd->stream->sides[cmd->queue].buffers; b; b = b->next)
		v->buffer_bytes -= b->bytes;
	stream_drop_buffers(cmd->stream, cmd->queue);
	return VIRTIO_VIDEO_RESP_OK_NODATA;
}

/* How much of an input buffer is used. */
static uint32_t check_input(struct video *v, struct video_command *cmd, struct video_buffer *b)
{
	const struct virtio_video_resource_queue *w = &cmd->u.resource_queue;
	const size_t room = b->bytes - b->planes[0].offset;

	b->timestamp = w->timestamp;
	b->force_keyframe = cmd->force_keyframe && v->config.encoder;
	if (v->config.encoder) {
		/* Always a whole picture, whatever the driver says. */
		b->data_bytes = cmd->stream->layout.total_bytes;
		return 0;
	}
	if (w->num_data_sizes != 1 || w->data_sizes[0] > room)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
				    "resource %u: %u data sizes, the first %u bytes, in a buffer of %zu", b->id, w->num_data_sizes,
				    w->data_sizes[0], room);
	if (w->data_sizes[0] > VIDEO_MAX_CODED_BYTES)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_OUT_OF_MEMORY,
				    "resource %u: %u bytes of coded data; %u are the most at once", b->id, w->data_sizes[0],
				    VIDEO_MAX_CODED_BYTES);
	b->data_bytes = w->data_sizes[0];
	return 0;
}

uint32_t video_resource_queue(struct video *v, struct video_command *cmd)
{
	const uint32_t id = cmd->u.resource_queue.resource_id;
	struct video_buffer *b = stream_find_buffer(cmd->stream, cmd->queue, id);
	uint32_t code = 0;
	int err;

	if (!b)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_RESOURCE_ID, "no resource %u; create it first", id);
	if (b->queued)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
				    "resource %u is queued; wait for its answer", id);
	if (cmd->queue == VIDEO_INPUT)
		code = check_input(v, cmd, b);
	if (code != 0)
		return code;
	b->request = cmd->chain;
	err = cmd->queue == VIDEO_INPUT ? stream_queue_input(cmd->stream, b) : stream_queue_output(cmd->stream, b);
	return err < 0 ? refuse_state(v, cmd, err) : VIDEO_PENDING;
}
