// SPDX-License-Identifier: MIT
#include "tests/lib/film.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

void film_make_outputs(struct film *s)
{
	for (uint32_t i = 0; i < FILM_OUTPUTS; i++)
		assert_int_equal(video_create_buffer(s->w, s->id, VIDEO_OUT, i, FILM_OUTPUT_BYTES, &s->out[i]),
				 VIDEO_OK);
}

void film_make(struct film *s, struct video_world *w, uint32_t id)
{
	*s = (struct film){.w = w, .id = id};
	assert_int_equal(video_create_stream(w, id, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	for (uint32_t i = 0; i < FILM_INPUTS; i++)
		assert_int_equal(video_create_buffer(w, id, VIDEO_IN, i, 4096, &s->in[i]), VIDEO_OK);
}

struct fake_request *film_feed(struct film *s, uint32_t unit, uint32_t width, uint32_t height, uint32_t value)
{
	const struct fake_header h = {FAKE_MAGIC, unit, width, height, value};
	const uint32_t i = s->next_in++ % FILM_INPUTS;

	memcpy(fake_guest_ptr(s->w->guest, s->in[i], sizeof(h)), &h, sizeof(h));
	return video_queue(s->w, s->id, VIDEO_IN, i, sizeof(h), value * 1000ull);
}

struct fake_request *film_feed_picture(struct film *s, uint32_t value)
{
	return film_feed(s, FAKE_PICTURE, FILM_WIDTH, FILM_HEIGHT, value);
}

void film_feed_and_wait(struct film *s, uint32_t value)
{
	struct virtio_video_resource_queue_resp r = video_wait(s->w, film_feed_picture(s, value));

	assert_int_equal(r.hdr.type, VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE);
	assert_int_equal(r.flags, 0);
	assert_int_equal(r.timestamp, 0);
}

struct fake_request *film_want(struct film *s, uint32_t i)
{
	return video_queue(s->w, s->id, VIDEO_OUT, i, 0, 0);
}

void film_expect_flags(struct video_world *w, struct fake_request *r, uint32_t flags)
{
	struct virtio_video_resource_queue_resp resp = video_wait(w, r);

	assert_int_equal(resp.hdr.type, VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE);
	assert_int_equal(resp.flags, video_flags(w, flags));
	if (!w->agl)
		assert_int_equal(resp.size, 0);
}

void film_expect_event(struct video_world *w, uint32_t type, uint32_t stream)
{
	struct virtio_video_event e = video_wait_event(w, video_post_event(w));

	assert_int_equal(e.event_type, type);
	assert_int_equal(e.stream_id, stream);
}

/* A stream whose first format was announced and which has buffers for it: picture 0 is in the codec. */
void film_start(struct film *s, struct video_world *w, uint32_t id)
{
	film_make(s, w, id);
	film_feed_and_wait(s, 0);
	film_expect_event(w, VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED, id);
	film_make_outputs(s);
}

void film_check_nv12(struct film *s, uint32_t i, uint32_t value, uint32_t width, uint32_t height)
{
	const uint8_t *p = fake_guest_ptr(s->w->guest, s->out[i], FILM_OUTPUT_BYTES);
	const uint8_t *uv = p + (size_t)width * height;

	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			assert_int_equal(p[y * width + x], fake_sample(value, 0, x, y));
			assert_int_equal(uv[y / 2 * width + x], fake_sample(value, 1 + x % 2, x / 2, y / 2));
		}
	}
}

void film_expect_picture(struct film *s, struct fake_request *r, uint32_t i, uint32_t value, uint32_t width,
			 uint32_t height)
{
	struct virtio_video_resource_queue_resp resp = video_wait(s->w, r);

	assert_int_equal(resp.flags, 0);
	assert_int_equal(resp.timestamp, value * 1000ull);
	film_check_nv12(s, i, value, width, height);
}
