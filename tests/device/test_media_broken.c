// SPDX-License-Identifier: MIT
/*
 * virtio-media over the host's codecs, for each format that it has: bitstreams that are cut and broken break nothing else, and
 * eight sessions decode side by side; both picture for picture as the codec alone does. MEDIA_MUTATIONS is the number of
 * broken access units of each format.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/video/gst_elements.h"
#include "tests/lib/clip.h"
#include "tests/lib/codec_run.h"
#include "tests/lib/media_client.h"
#include "tests/lib/tap.h"

#ifdef __SANITIZE_ADDRESS__
#define MUTATIONS 200u
#else
#define MUTATIONS 1700u
#endif

static const struct {
	uint32_t fourcc;
	const char *name;
} formats[] = {
	{V4L2_PIX_FMT_H264, "h264"},   {V4L2_PIX_FMT_HEVC, "hevc"},  {V4L2_PIX_FMT_VP8, "vp8"},
	{V4L2_PIX_FMT_VP9, "vp9"},     {V4L2_PIX_FMT_AV1, "av1"},    {V4L2_PIX_FMT_MPEG2, "mpeg2"},
	{V4L2_PIX_FMT_MPEG4, "mpeg4"}, {V4L2_PIX_FMT_MJPEG, "jpeg"},
};

static struct media_world *world(void)
{
	return media_world_create(
		&(struct video_world_options){.codec = &codec_gst_ops, .timeout_ms = 60000, .memory_bytes = 64 << 20});
}

/* ---- clips that are whole ---- */

static void sum_picture(void *arg, const uint8_t *data, const struct virtio_media_event_dqbuf *e)
{
	struct sums *s = arg;

	assert_true(s->count < CLIP_FRAMES);
	assert_int_equal(e->planes[0].bytesused, CLIP_WIDTH * CLIP_HEIGHT * 3 / 2);
	s->sum[s->count++] = sums_of(data, e->planes[0].bytesused);
}

static void open_decoder(struct media_client *c, struct media_world *w, uint32_t fourcc)
{
	media_client_open(c, w);
	assert_int_equal(media_subscribe_to(w, c->id, V4L2_EVENT_SOURCE_CHANGE, 0, 0), 0);
	media_client_set_format(c, MEDIA_OUTPUT, fourcc, CLIP_WIDTH, CLIP_HEIGHT);
	media_client_make_buffers(c, MEDIA_OUTPUT);
}

static void decode_exactly(struct media_world *w, uint32_t fourcc, const struct clip *clip, const struct sums *outside,
			   unsigned sessions)
{
	struct media_client c[8];
	struct sums ours[8] = {0};

	for (unsigned k = 0; k < sessions; k++)
		open_decoder(&c[k], w, fourcc);
	for (unsigned n = 0; n < clip->count; n++) {
		for (unsigned k = 0; k < sessions; k++)
			media_client_send(&c[k], clip->data[n], clip->bytes[n], n, sum_picture, &ours[k]);
	}
	for (unsigned k = 0; k < sessions; k++) {
		media_client_finish(&c[k], false, sum_picture, &ours[k]);
		assert_int_equal(ours[k].count, outside->count);
		assert_memory_equal(ours[k].sum, outside->sum, outside->count * sizeof(outside->sum[0]));
	}
}

/* ---- broken ones ---- */

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % n;
}

/* Flip bits, cut, and put nonsense into the headers. Returns how many bytes are left. @count counts changes. */
static size_t mutate(uint8_t *data, size_t bytes, unsigned *count)
{
	++*count;
	switch (random_below(5)) {
	case 0:
		return 0;
	case 1:
		return random_below((uint32_t)bytes);
	case 2:
		for (uint32_t k = 1 + random_below(30); k > 0; k--)
			data[random_below((uint32_t)bytes)] ^= (uint8_t)(1u << random_below(8));
		return bytes;
	case 3:
		for (uint32_t k = 1 + random_below(8); k > 0; k--)
			data[random_below(bytes < 40 ? (uint32_t)bytes : 40)] ^= (uint8_t)(1 + random_below(255));
		return bytes;
	default:
		--*count;
		return bytes;
	}
}

/* Take what came, whatever it is. False: the session failed, or its pictures are too large. */
static bool take_anything(struct media_client *c)
{
	while (media_events_left(c->w, c->id)) {
		const struct media_event e = media_next_event(c->w, c->id);
		const struct v4l2_buffer *b = &e.u.dqbuf.buffer;

		if (e.u.hdr.event == VIRTIO_MEDIA_EVT_EVENT) {
			if (e.u.event.event.type == V4L2_EVENT_SOURCE_CHANGE &&
			    c->at[1][MEDIA_CLIENT_BUFFERS - 1] == 0 && media_client_try_buffers(c, MEDIA_CAPTURE))
				return false;
		} else if (b->type == MEDIA_OUTPUT) {
			c->free_inputs |= 1u << b->index;
			if (b->flags & V4L2_BUF_FLAG_ERROR)
				return false;
		} else if (b->flags & V4L2_BUF_FLAG_LAST) {
			media_client_drop_buffers(c, MEDIA_CAPTURE);
			if (media_client_try_buffers(c, MEDIA_CAPTURE))
				return false;
		} else {
			media_queue_buffer(c->w, c->id, MEDIA_CAPTURE, b->index, 0, 0);
		}
	}
	return true;
}

/* Returns how many access units of @clip were mutated, up to where the session failed. */
static unsigned play_broken(struct media_world *w, uint32_t fourcc, const struct clip *clip)
{
	static uint8_t copy[MEDIA_CLIENT_CODED_BYTES];
	struct media_client c;
	unsigned count = 0;

	open_decoder(&c, w, fourcc);
	for (unsigned n = 0; n < clip->count; n++) {
		size_t bytes = clip->bytes[n];
		uint32_t i = 0;

		assert_true(bytes <= sizeof(copy));
		memcpy(copy, clip->data[n], bytes);
		bytes = mutate(copy, bytes, &count);
		for (unsigned k = 0; k < 6000 && !c.free_inputs; k++) {
			if (!take_anything(&c))
				goto failed;
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		}
		/* A device that keeps them all is wedged. */
		assert_int_not_equal(c.free_inputs, 0);
		while (!(c.free_inputs >> i & 1))
			i++;
		c.free_inputs &= ~(1u << i);
		memcpy(media_client_memory(&c, MEDIA_OUTPUT, i), copy, bytes);
		if (media_queue_buffer(w, c.id, MEDIA_OUTPUT, i, (uint32_t)bytes, n) != 0)
			break;
	}
failed:
	media_close(w, c.id);
	return count;
}

static void check_broken(uint32_t fourcc, const struct clip *clip, const struct sums *outside)
{
	const char *text = getenv("MEDIA_MUTATIONS");
	const unsigned most = text ? (unsigned)strtoul(text, NULL, 10) : MUTATIONS;
	unsigned count = 0, rounds = 0;

	while (count < most) {
		struct media_world *w = world();

		count += play_broken(w, fourcc, clip);
		/* The device is well. */
		if (++rounds % 4 == 0 || count >= most)
			decode_exactly(w, fourcc, clip, outside, 1);
		media_world_destroy(w);
	}
	printf("# %u broken access units\n", count);
}

static void check_beside(uint32_t fourcc, const struct clip *clip, const struct sums *outside)
{
	struct media_world *w = world();

	decode_exactly(w, fourcc, clip, outside, 8);
	media_world_destroy(w);
}

static void for_each_format(void (*check)(uint32_t fourcc, const struct clip *clip, const struct sums *outside))
{
	unsigned count = 0;

	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		const struct video_coded_format *f = video_coded_format_named(formats[i].name);
		struct sums outside;
		struct clip clip;

		assert_non_null(f);
		if (!codec_gst_ops.can(f, false, NULL) || !clip_can_make(f)) {
			printf("# %s left out: no decoder or no encoder\n", f->name);
			continue;
		}
		printf("# %s\n", f->name);
		clip_make(f, CLIP_WIDTH, CLIP_HEIGHT, &clip);
		clip_decode_outside(f, &clip, "NV12", &outside);
		assert_int_equal(outside.count, CLIP_FRAMES);
		check(formats[i].fourcc, &clip, &outside);
		clip_free(&clip);
		count++;
	}
	if (count == 0)
		tap_skip("no format has a decoder and an encoder: install gstreamer1.0-libav and -plugins-good, -bad, "
			 "-ugly");
}

static void broken_bitstreams_break_nothing_else(void **state)
{
	(void)state;
	for_each_format(check_broken);
}

static void eight_sessions_decode_side_by_side(void **state)
{
	(void)state;
	for_each_format(check_beside);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_bitstreams_break_nothing_else),
		cmocka_unit_test(eight_sessions_decode_side_by_side),
	};

	return codec_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
