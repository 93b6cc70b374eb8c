// SPDX-License-Identifier: MIT
#include "tests/lib/round_trip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/soft_picture.h"

enum { PICTURE_BYTES = CLIP_WIDTH * CLIP_HEIGHT * 3 / 2 };
#define FIRST_STAMP 700u

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
	soft_picture_draw(expected, CLIP_WIDTH, CLIP_HEIGHT, cmp->count++);
	value = soft_picture_psnr(data, expected, sizeof(expected));
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
		soft_picture_draw(picture, CLIP_WIDTH, CLIP_HEIGHT, i);
		client_send(c, picture, sizeof(picture), FIRST_STAMP + i);
	}
}
