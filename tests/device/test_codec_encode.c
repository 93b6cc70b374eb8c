// SPDX-License-Identifier: MIT
/*
 * What every encoder must do: what it encodes decodes to nearly the same pictures, key frames where they were asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/codec_tests.h"
#include "tests/lib/tap.h"

static void test_picture(uint8_t *p, unsigned n)
{
	for (unsigned y = 0; y < CLIP_HEIGHT; y++) {
		for (unsigned x = 0; x < CLIP_WIDTH; x++)
			p[y * CLIP_WIDTH + x] = (uint8_t)(60 + (x + 2 * n) / 2 + y / 4);
	}
	for (unsigned y = 0; y < CLIP_HEIGHT / 2; y++) {
		for (unsigned x = 0; x < CLIP_WIDTH; x++)
			p[CLIP_WIDTH * CLIP_HEIGHT + y * CLIP_WIDTH + x] = (uint8_t)(x % 2 ? 100 + y / 2 : 140 - x / 4);
	}
}

static double psnr(const uint8_t *a, const uint8_t *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (a[i] - b[i]) * (a[i] - b[i]);
	return sum == 0 ? 99 : 10 * log10(255.0 * 255.0 * (double)n / sum);
}

static void keep_packet(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp)
{
	struct clip *clip = c->arg;

	assert_true(clip->count < CLIP_MAX_PACKETS && resp->size > 0);
	/* The first, and the one that was asked for. */
	if (clip->count == 0 || clip->count == 10)
		assert_int_equal(resp->flags, VIRTIO_VIDEO_BUFFER_FLAG_IFRAME);
	assert_int_equal(resp->timestamp, 700 + clip->count);
	clip->data[clip->count] = malloc(resp->size);
	assert_non_null(clip->data[clip->count]);
	memcpy(clip->data[clip->count], data, resp->size);
	clip->bytes[clip->count++] = resp->size;
}

struct compare {
	unsigned count;
	double worst;
};

static void compare_picture(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp)
{
	uint8_t expected[CLIP_WIDTH * CLIP_HEIGHT * 3 / 2];
	struct compare *cmp = c->arg;
	double value;

	assert_int_equal(resp->timestamp, CLIENT_FIRST_STAMP + cmp->count);
	test_picture(expected, cmp->count++);
	value = psnr(data, expected, sizeof(expected));
	cmp->worst = value < cmp->worst ? value : cmp->worst;
}

static uint32_t set_bitrate(struct video_world *w, uint32_t bitrate)
{
	struct {
		struct virtio_video_set_control c;
		struct virtio_video_control_value v;
	} request = {.c.control = VIRTIO_VIDEO_CONTROL_BITRATE, .v.value = bitrate};

	return video_send(w, VIRTIO_VIDEO_CMD_SET_CONTROL, 1, &request, sizeof(request), NULL, 0);
}

static void check_round_trip(const struct video_coded_format *format)
{
	struct video_world *w = codec_world(true);
	struct clip clip = {0};
	struct compare cmp = {.worst = 99};
	struct client e = {.each = keep_packet, .arg = &clip, .picture_bytes = CLIP_WIDTH * CLIP_HEIGHT * 3 / 2};
	struct client d = {.decoder = true, .each = compare_picture, .arg = &cmp};
	struct virtio_video_set_control key = {.control = VIRTIO_VIDEO_CONTROL_FORCE_KEYFRAME};
	struct virtio_video_set_params p = {.params = {.queue_type = VIDEO_IN,
						       .format = VIRTIO_VIDEO_FORMAT_NV12,
						       .frame_width = CLIP_WIDTH,
						       .frame_height = CLIP_HEIGHT,
						       .frame_rate = 30}};
	uint8_t picture[CLIP_WIDTH * CLIP_HEIGHT * 3 / 2];
	struct video_stats stats;

	/* The size goes before the buffers. */
	assert_int_equal(video_create_stream(w, 2, format->number), VIDEO_OK);
	assert_int_equal(video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 2), VIDEO_OK);
	client_open(&e, w, 1, format, false);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_IN), VIDEO_OK);
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &p, sizeof(p), NULL, 0), VIDEO_OK);
	for (uint32_t i = 0; i < CLIENT_INPUTS; i++)
		assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, i, sizeof(picture), &e.in[i]), VIDEO_OK);
	assert_int_equal(set_bitrate(w, 500000), VIDEO_OK);
	for (unsigned i = 0; i < CLIP_FRAMES; i++) {
		if (i == 10)
			assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_CONTROL, 1, &key, sizeof(key), NULL, 0),
					 VIDEO_OK);
		test_picture(picture, i);
		client_send(&e, picture, sizeof(picture), 700 + i);
	}
	client_drain(&e);
	assert_int_equal(clip.count, CLIP_FRAMES);
	video_get_stats(w->device, &stats);
	video_world_destroy(w);

	w = codec_world(false);
	client_open(&d, w, 1, format, true);
	client_send_clip(&d, &clip);
	client_drain(&d);
	assert_int_equal(cmp.count, CLIP_FRAMES);
	printf("# %s: %s, worst PSNR %.1f dB\n", format->name, stats.codec.element, cmp.worst);
	assert_true(cmp.worst > 35);
	clip_free(&clip);
	video_world_destroy(w);
}

static void what_is_encoded_decodes_to_the_same(void **state)
{
	(void)state;
	codec_for_each_format(true, check_round_trip);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_encoded_decodes_to_the_same),
	};

	return codec_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
