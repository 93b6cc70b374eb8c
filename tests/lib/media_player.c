// SPDX-License-Identifier: MIT
#include "tests/lib/media_player.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

_Static_assert(V4L2_DEC_CMD_STOP == PLAYER_STOP && V4L2_DEC_CMD_START == PLAYER_START, "one name for both kinds");
_Static_assert(V4L2_ENC_CMD_STOP == PLAYER_STOP && V4L2_ENC_CMD_START == PLAYER_START, "one name for both kinds");

void player_make_buffers(struct player *p, uint32_t type, uint32_t count, uint8_t **seen, uint64_t *at)
{
	uint32_t made = count;

	assert_int_equal(media_request(p->w, p->id, type, V4L2_MEMORY_MMAP, &made), 0);
	assert_int_equal(made, count);
	for (uint32_t i = 0; i < count; i++) {
		struct v4l2_plane plane;
		struct v4l2_buffer b;
		uint64_t bytes;

		assert_int_equal(media_query(p->w, p->id, type, i, &b, &plane, 1), 0);
		assert_int_equal(media_map(p->w, p->id, plane.m.mem_offset, true, &at[i], &bytes), 0);
		assert_int_equal(bytes, plane.length);
		seen[i] = media_seen(p->w, at[i]);
	}
}

void player_set_format(struct player *p, uint32_t type, uint32_t fourcc, uint32_t width, uint32_t height)
{
	struct v4l2_format f = {.type = type};

	f.fmt.pix_mp.pixelformat = fourcc;
	f.fmt.pix_mp.width = width;
	f.fmt.pix_mp.height = height;
	f.fmt.pix_mp.num_planes = 1;
	f.fmt.pix_mp.plane_fmt[0].sizeimage = 1 << 16;
	assert_int_equal(media_call(p->w, p->id, VIDIOC_S_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.pixelformat, fourcc);
}

/* A session whose OUTPUT is on. */
void player_open(struct player *p, struct media_world *w)
{
	*p = (struct player){.w = w};
	assert_int_equal(media_open(w, &p->id), 0);
	player_set_format(p, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, PLAYER_WIDTH, PLAYER_HEIGHT);
	assert_int_equal(media_subscribe_to(w, p->id, V4L2_EVENT_SOURCE_CHANGE, 0, 0), 0);
	assert_int_equal(media_subscribe_to(w, p->id, V4L2_EVENT_EOS, 0, 0), 0);
	player_make_buffers(p, MEDIA_OUTPUT, PLAYER_INPUTS, p->in, p->in_at);
	assert_int_equal(media_stream(w, p->id, MEDIA_OUTPUT, true), 0);
}

void player_queue_unit(struct player *p, uint32_t unit, uint32_t width, uint32_t height, uint32_t value)
{
	const struct fake_header h = {FAKE_MAGIC, unit, width, height, value};
	const uint32_t i = p->next_in++ % PLAYER_INPUTS;

	memcpy(p->in[i], &h, sizeof(h));
	assert_int_equal(media_queue_buffer(p->w, p->id, MEDIA_OUTPUT, i, sizeof(h), 1000000 + value), 0);
}

void player_queue(struct player *p, uint32_t value)
{
	player_queue_unit(p, FAKE_PICTURE, PLAYER_WIDTH, PLAYER_HEIGHT, value);
}

/* The OUTPUT buffer comes back as it was queued. */
void player_expect_input(struct player *p, uint32_t flags)
{
	const struct virtio_media_event_dqbuf e = media_dequeue(p->w, p->id, MEDIA_OUTPUT);

	assert_int_equal(e.buffer.flags, flags | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(e.planes[0].bytesused, sizeof(struct fake_header));
	assert_int_equal(e.buffer.length, 1);
}

void player_feed(struct player *p, uint32_t value)
{
	player_queue(p, value);
	player_expect_input(p, 0);
}

void player_want(struct player *p, uint32_t i)
{
	assert_int_equal(media_queue_buffer(p->w, p->id, MEDIA_CAPTURE, i, 0, 0), 0);
}

void player_expect_change(struct player *p)
{
	const struct v4l2_event e = media_dequeue_event(p->w, p->id);

	assert_int_equal(e.type, V4L2_EVENT_SOURCE_CHANGE);
	assert_int_equal(e.u.src_change.changes, V4L2_EVENT_SRC_CH_RESOLUTION);
}

void player_expect_size(struct player *p, uint32_t width, uint32_t height)
{
	struct v4l2_format f = {.type = MEDIA_CAPTURE};
	struct v4l2_selection r = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .target = V4L2_SEL_TGT_COMPOSE};

	assert_int_equal(media_call(p->w, p->id, VIDIOC_G_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.width, (width + 1) & ~1u);
	assert_int_equal(f.fmt.pix_mp.height, (height + 1) & ~1u);
	assert_int_equal(media_call(p->w, p->id, VIDIOC_G_SELECTION, &r), 0);
	assert_int_equal(r.r.width, width);
	assert_int_equal(r.r.height, height);
}

void player_start_capture(struct player *p)
{
	player_make_buffers(p, MEDIA_CAPTURE, PLAYER_OUTPUTS, p->out, p->out_at);
	for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
		player_want(p, i);
	assert_int_equal(media_stream(p->w, p->id, MEDIA_CAPTURE, true), 0);
}

void player_stop_capture(struct player *p)
{
	uint32_t none = 0;

	assert_int_equal(media_stream(p->w, p->id, MEDIA_CAPTURE, false), 0);
	for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
		assert_int_equal(media_unmap(p->w, p->out_at[i]), 0);
	assert_int_equal(media_request(p->w, p->id, MEDIA_CAPTURE, V4L2_MEMORY_MMAP, &none), 0);
}

/* A decoder that was told its size and has buffers for it; picture 0 is in the codec. */
void player_start(struct player *p, struct media_world *w)
{
	player_open(p, w);
	player_feed(p, 0);
	player_expect_change(p);
	player_expect_size(p, PLAYER_WIDTH, PLAYER_HEIGHT);
	player_start_capture(p);
}

void player_check_nv12(const uint8_t *at, uint32_t value, uint32_t width, uint32_t height)
{
	const uint8_t *uv = at + (size_t)width * height;

	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			assert_int_equal(at[y * width + x], fake_sample(value, 0, x, y));
			assert_int_equal(uv[y / 2 * width + x], fake_sample(value, 1 + x % 2, x / 2, y / 2));
		}
	}
}

/* Returns the buffer's index. */
uint32_t player_expect_picture_of(struct player *p, uint32_t value, uint32_t width, uint32_t height, uint32_t flags)
{
	const struct virtio_media_event_dqbuf e = media_dequeue(p->w, p->id, MEDIA_CAPTURE);

	assert_int_equal(e.buffer.flags, flags | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(e.buffer.timestamp.tv_sec, 1);
	assert_int_equal(e.buffer.timestamp.tv_usec, value);
	assert_int_equal(e.planes[0].bytesused, width * height * 3 / 2);
	assert_int_equal(e.planes[0].data_offset, 0);
	player_check_nv12(p->out[e.buffer.index], value, width, height);
	return e.buffer.index;
}

uint32_t player_expect_picture(struct player *p, uint32_t value)
{
	return player_expect_picture_of(p, value, PLAYER_WIDTH, PLAYER_HEIGHT, 0);
}

void player_expect_last(struct player *p)
{
	const struct virtio_media_event_dqbuf e = media_dequeue(p->w, p->id, MEDIA_CAPTURE);

	assert_int_equal(e.buffer.flags, V4L2_BUF_FLAG_LAST | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(e.planes[0].bytesused, 0);
}

void player_expect_new_size(struct player *p, uint32_t value)
{
	player_expect_picture(p, value);
	player_expect_last(p);
	player_expect_change(p);
}

void player_expect_end(struct player *p)
{
	/* The event comes first. */
	assert_int_equal(media_dequeue_event(p->w, p->id).type, V4L2_EVENT_EOS);
	player_expect_last(p);
}

void player_expect_nothing(struct player *p)
{
	assert_int_equal(media_events_left(p->w, p->id), 0);
}

/* ---- picture formats of 8 bits ---- */

const struct player_raw player_raws[PLAYER_RAWS] = {
	{V4L2_PIX_FMT_NV12, {"Y", "UV"}, false},       {V4L2_PIX_FMT_NV12M, {"Y", "UV"}, true},
	{V4L2_PIX_FMT_YUV420, {"Y", "U", "V"}, false}, {V4L2_PIX_FMT_YUV420M, {"Y", "U", "V"}, true},
	{V4L2_PIX_FMT_YVU420, {"Y", "V", "U"}, false}, {V4L2_PIX_FMT_YVU420M, {"Y", "V", "U"}, true},
};

void player_map_picture(struct player *p, uint32_t type, uint32_t index, const struct player_raw *raw,
			struct player_picture *out)
{
	const uint32_t luma = PLAYER_WIDTH * PLAYER_HEIGHT;
	uint32_t count = raw->planes[2] ? 3 : 2, bytes[3] = {luma, luma / 4, luma / 4};

	bytes[1] = raw->planes[2] ? luma / 4 : luma / 2;
	*out = (struct player_picture){.raw = raw};
	if (!raw->apart) {
		count = 1;
		bytes[0] = luma * 3 / 2;
	}
	assert_int_equal(media_query(p->w, p->id, type, index, &out->buffer, out->planes, count), 0);
	assert_int_equal(out->buffer.length, count);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t at;

		assert_int_equal(out->planes[i].length, bytes[i]);
		assert_int_equal(media_map(p->w, p->id, out->planes[i].m.mem_offset, true, &at, NULL), 0);
		out->seen[i] = media_seen(p->w, at);
		out->planes[i].bytesused = bytes[i];
	}
	if (!raw->apart) {
		out->seen[1] = out->seen[0] + luma;
		out->seen[2] = out->seen[1] + luma / 4;
	}
	out->buffer.memory = V4L2_MEMORY_MMAP;
}

uint8_t *player_sample(const struct player_picture *picture, unsigned component, uint32_t x, uint32_t y)
{
	const char letter = "YUV"[component];
	const uint32_t width = component ? PLAYER_WIDTH / 2 : PLAYER_WIDTH;
	unsigned plane = 0;

	while (!strchr(picture->raw->planes[plane], letter))
		plane++;
	return picture->seen[plane] + (y * width + x) * strlen(picture->raw->planes[plane]) +
	       (strchr(picture->raw->planes[plane], letter) - picture->raw->planes[plane]);
}
