// SPDX-License-Identifier: MIT
#include "tests/lib/round_trip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PICTURE_BYTES = CLIP_WIDTH * CLIP_HEIGHT * 3 / 2 };
#define FIRST_STAMP 700u

static void draw(uint8_t *p, unsigned n)
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
	if (clip->count == 0 || clip->count == ROUND_TRIP_KEY)
		assert_int_equal(resp->flags, VIRTIO_VIDEO_BUFFER_FLAG_IFRAME);
	assert_int_equal(resp->timestamp, FIRST_STAMP + clip->count);
	clip->data[clip->count] = malloc(resp->size);
	assert_non_null(clip->data[clip->count]);
	memcpy(clip->data[clip->count], data, resp->size);
	clip->bytes[clip->count++] = resp->size;
}

void round_trip_compare(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp)
{
	uint8_t expected[PICTURE_BYTES];
	struct round_trip_quality *cmp = c->arg;
	double value;

	assert_int_equal(resp->timestamp, CLIENT_FIRST_STAMP + cmp->count);
	draw(expected, cmp->count++);
	value = psnr(data, expected, sizeof(expected));
	cmp->worst = value < cmp->worst ? value : cmp->worst;
}

void round_trip_open(struct client *c, struct video_world *w, uint32_t id, const struct video_coded_format *format,
		     struct clip *packets)
{
	struct virtio_video_set_params p = {.params = {.queue_type = VIDEO_IN,
						       .format = VIRTIO_VIDEO_FORMAT_NV12,
						       .frame_width = CLIP_WIDTH,
						       .frame_height = CLIP_HEIGHT,
						       .frame_rate = 30}};
	struct {
		struct virtio_video_set_control c;
		struct virtio_video_control_value v;
	} bitrate = {.c.control = VIRTIO_VIDEO_CONTROL_BITRATE, .v.value = 500000};

	*c = (struct client){.each = keep_packet, .arg = packets, .picture_bytes = PICTURE_BYTES};
	client_open(c, w, id, format, false);
	/* The size goes before the buffers. */
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, id, VIDEO_IN), VIDEO_OK);
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, id, &p, sizeof(p), NULL, 0), VIDEO_OK);
	for (uint32_t i = 0; i < CLIENT_INPUTS; i++)
		assert_int_equal(video_create_buffer(w, id, VIDEO_IN, i, PICTURE_BYTES, &c->in[i]), VIDEO_OK);
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_CONTROL, id, &bitrate, sizeof(bitrate), NULL, 0), VIDEO_OK);
}

void round_trip_send(struct client *c, unsigned first, unsigned end)
{
	struct virtio_video_set_control key = {.control = VIRTIO_VIDEO_CONTROL_FORCE_KEYFRAME};
	uint8_t picture[PICTURE_BYTES];

	for (unsigned i = first; i < end && !c->failed; i++) {
		if (i == ROUND_TRIP_KEY)
			assert_int_equal(
				video_send(c->w, VIRTIO_VIDEO_CMD_SET_CONTROL, c->id, &key, sizeof(key), NULL, 0),
				VIDEO_OK);
		draw(picture, i);
		client_send(c, picture, sizeof(picture), FIRST_STAMP + i);
	}
}
