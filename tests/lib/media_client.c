// SPDX-License-Identifier: MIT
#include "tests/lib/media_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static unsigned side(uint32_t type)
{
	return type == MEDIA_CAPTURE;
}

void media_client_set_format(struct media_client *c, uint32_t type, uint32_t fourcc, uint32_t width, uint32_t height)
{
	struct v4l2_format f = {.type = type};

	f.fmt.pix_mp.pixelformat = fourcc;
	f.fmt.pix_mp.width = width;
	f.fmt.pix_mp.height = height;
	f.fmt.pix_mp.num_planes = 1;
	f.fmt.pix_mp.plane_fmt[0].sizeimage = c->coded_bytes;
	assert_int_equal(media_call(c->w, c->id, VIDIOC_S_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.pixelformat, fourcc);
}

/* Two pieces each, which lie the wrong way round. */
enum { PIECES = 2 };

static void share_pages(struct media_client *c)
{
	struct v4l2_format f = {.type = MEDIA_OUTPUT};
	uint32_t count = MEDIA_CLIENT_BUFFERS;

	assert_int_equal(media_call(c->w, c->id, VIDIOC_G_FMT, &f), 0);
	c->page_bytes = (f.fmt.pix_mp.plane_fmt[0].sizeimage + 8191) & ~8191u;
	assert_int_equal(media_request(c->w, c->id, MEDIA_OUTPUT, V4L2_MEMORY_USERPTR, &count), 0);
	for (uint32_t i = 0; i < MEDIA_CLIENT_BUFFERS; i++)
		c->gpa[i] = fake_guest_alloc(c->w->guest, c->page_bytes, 4096);
	assert_int_equal(media_stream(c->w, c->id, MEDIA_OUTPUT, true), 0);
}

/* Byte @at of buffer @i, of half the buffer. */
static uint64_t half_of(const struct media_client *c, uint32_t i, uint32_t at)
{
	return c->gpa[i] + (at == 0 ? c->page_bytes / PIECES : 0);
}

static void queue_pages(struct media_client *c, uint32_t i, const uint8_t *data, uint32_t bytes, uint64_t time_us)
{
	const uint32_t half = c->page_bytes / PIECES, first = bytes < half ? bytes : half;
	struct v4l2_buffer b = {.index = i, .type = MEDIA_OUTPUT, .memory = V4L2_MEMORY_USERPTR, .length = 1};
	struct v4l2_plane plane = {.bytesused = bytes, .length = c->page_bytes, .m.userptr = 0x7f0012345000};
	const struct virtio_media_sg_entry e[PIECES] = {{.start = half_of(c, i, 0), .len = half},
							{.start = half_of(c, i, half), .len = half}};

	b.timestamp.tv_sec = (__typeof__(b.timestamp.tv_sec))(time_us / 1000000);
	b.timestamp.tv_usec = (__typeof__(b.timestamp.tv_usec))(time_us % 1000000);
	memcpy(fake_guest_ptr(c->w->guest, e[0].start, half), data, first);
	memcpy(fake_guest_ptr(c->w->guest, e[1].start, half), data + first, bytes - first);
	assert_int_equal(media_call_long(c->w, c->id, VIDIOC_QBUF, &b, &plane, sizeof(plane), e, sizeof(e)), 0);
}

static uint32_t count_of(const struct media_client *c, uint32_t type)
{
	return type == MEDIA_CAPTURE && c->capture_count ? c->capture_count : MEDIA_CLIENT_BUFFERS;
}

/* In one piece; those of the size before are left where they are. */
static void share_capture(struct media_client *c)
{
	struct v4l2_format f = {.type = MEDIA_CAPTURE};
	uint32_t count = count_of(c, MEDIA_CAPTURE);

	assert_int_equal(media_call(c->w, c->id, VIDIOC_G_FMT, &f), 0);
	c->capture_bytes = (f.fmt.pix_mp.plane_fmt[0].sizeimage + 4095) & ~4095u;
	assert_int_equal(media_request(c->w, c->id, MEDIA_CAPTURE, V4L2_MEMORY_USERPTR, &count), 0);
	for (uint32_t i = 0; i < count; i++) {
		c->capture_gpa[i] = fake_guest_alloc(c->w->guest, c->capture_bytes, 4096);
		c->at[1][i] = c->capture_gpa[i];
		assert_int_equal(media_client_queue_capture(c, i), 0);
	}
	assert_int_equal(media_stream(c->w, c->id, MEDIA_CAPTURE, true), 0);
}

int media_client_queue_capture(struct media_client *c, uint32_t index)
{
	struct v4l2_buffer b = {.index = index, .type = MEDIA_CAPTURE, .memory = V4L2_MEMORY_USERPTR, .length = 1};
	struct v4l2_plane plane = {.length = c->capture_bytes, .m.userptr = 0x7f0012345000};
	const struct virtio_media_sg_entry e = {.start = c->capture_gpa[index], .len = c->capture_bytes};

	if (!c->captures_in_pages)
		return media_queue_buffer(c->w, c->id, MEDIA_CAPTURE, index, 0, 0);
	return media_call_long(c->w, c->id, VIDIOC_QBUF, &b, &plane, sizeof(plane), &e, sizeof(e));
}

int media_client_try_buffers(struct media_client *c, uint32_t type)
{
	const uint32_t wanted = count_of(c, type);
	uint32_t count = wanted;
	int err;

	if (type == MEDIA_CAPTURE && c->captures_in_pages) {
		share_capture(c);
		return 0;
	}
	if (type == MEDIA_OUTPUT && c->shares_pages) {
		share_pages(c);
		return 0;
	}
	err = media_request(c->w, c->id, type, V4L2_MEMORY_MMAP, &count);
	if (err)
		return err;
	assert_int_equal(count, wanted);
	for (uint32_t i = 0; i < count; i++) {
		struct v4l2_plane plane;
		struct v4l2_buffer b;

		assert_int_equal(media_query(c->w, c->id, type, i, &b, &plane, 1), 0);
		err = media_map(c->w, c->id, plane.m.mem_offset, true, &c->at[side(type)][i], NULL);
		if (!err && type == MEDIA_CAPTURE)
			err = media_client_queue_capture(c, i);
		if (err)
			return err;
	}
	assert_int_equal(media_stream(c->w, c->id, type, true), 0);
	return 0;
}

void media_client_make_buffers(struct media_client *c, uint32_t type)
{
	assert_int_equal(media_client_try_buffers(c, type), 0);
}

void media_client_drop_buffers(struct media_client *c, uint32_t type)
{
	uint32_t none = 0;

	assert_int_equal(media_stream(c->w, c->id, type, false), 0);
	if (type == MEDIA_CAPTURE && c->captures_in_pages) {
		assert_int_equal(media_request(c->w, c->id, type, V4L2_MEMORY_USERPTR, &none), 0);
		return;
	}
	for (uint32_t i = 0; i < count_of(c, type); i++)
		assert_int_equal(media_unmap(c->w, c->at[side(type)][i]), 0);
	assert_int_equal(media_request(c->w, c->id, type, V4L2_MEMORY_MMAP, &none), 0);
}

uint8_t *media_client_memory(struct media_client *c, uint32_t type, uint32_t index)
{
	if (type == MEDIA_CAPTURE && c->captures_in_pages)
		return fake_guest_ptr(c->w->guest, c->capture_gpa[index], c->capture_bytes);
	return media_seen(c->w, c->at[side(type)][index]);
}

bool media_client_serve(struct media_client *c, media_client_fn *each, void *arg)
{
	const struct media_event e = media_next_event(c->w, c->id);
	const struct v4l2_buffer *b = &e.u.dqbuf.buffer;

	if (e.u.hdr.event == VIRTIO_MEDIA_EVT_EVENT) {
		/* The LAST flag follows. */
		if (e.u.event.event.type == V4L2_EVENT_EOS) {
			c->ended = true;
			return false;
		}
		assert_int_equal(e.u.event.event.type, V4L2_EVENT_SOURCE_CHANGE);
		/* At a change the LAST flag follows; the first size has no buffers yet. */
		if (c->at[1][count_of(c, MEDIA_CAPTURE) - 1] == 0)
			media_client_make_buffers(c, MEDIA_CAPTURE);
		return false;
	}
	assert_int_equal(e.u.hdr.event, VIRTIO_MEDIA_EVT_DQBUF);
	assert_int_equal(b->flags & V4L2_BUF_FLAG_ERROR, 0);
	if (b->type == MEDIA_OUTPUT) {
		c->free_inputs |= 1u << b->index;
		return false;
	}
	if (!(b->flags & V4L2_BUF_FLAG_LAST))
		each(arg, media_client_memory(c, MEDIA_CAPTURE, b->index), &e.u.dqbuf);
	if (b->flags & V4L2_BUF_FLAG_LAST) {
		if (c->ended)
			return true;
		/* Of a size that ended. */
		media_client_drop_buffers(c, MEDIA_CAPTURE);
		media_client_make_buffers(c, MEDIA_CAPTURE);
		return false;
	}
	assert_int_equal(media_client_queue_capture(c, b->index), 0);
	return false;
}

void media_client_send(struct media_client *c, const void *data, size_t bytes, uint64_t time_us, media_client_fn *each,
		       void *arg)
{
	uint32_t i = 0;

	while (!c->free_inputs)
		media_client_serve(c, each, arg);
	while (!(c->free_inputs >> i & 1))
		i++;
	c->free_inputs &= ~(1u << i);
	if (c->shares_pages) {
		queue_pages(c, i, data, (uint32_t)bytes, time_us);
		return;
	}
	memcpy(media_client_memory(c, MEDIA_OUTPUT, i), data, bytes);
	assert_int_equal(media_queue_buffer(c->w, c->id, MEDIA_OUTPUT, i, (uint32_t)bytes, time_us), 0);
}

void media_client_finish(struct media_client *c, bool encoder, media_client_fn *each, void *arg)
{
	assert_int_equal(media_command(c->w, c->id, encoder, V4L2_DEC_CMD_STOP), 0);
	while (!media_client_serve(c, each, arg))
		;
}

void media_client_open(struct media_client *c, struct media_world *w)
{
	*c = (struct media_client){.w = w, .coded_bytes = MEDIA_CLIENT_CODED_BYTES, .free_inputs = MEDIA_CLIENT_ALL};
	assert_int_equal(media_open(w, &c->id), 0);
	assert_int_equal(media_subscribe_to(w, c->id, V4L2_EVENT_EOS, 0, 0), 0);
}
