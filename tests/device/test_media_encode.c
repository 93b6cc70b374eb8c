// SPDX-License-Identifier: MIT
/* A virtio-media encoder at work, over the fake codec. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/lib/media_player.h"

static void open_encoder(struct player *p, struct media_world *w)
{
	*p = (struct player){.w = w};
	assert_int_equal(media_open(w, &p->id), 0);
	player_set_format(p, MEDIA_CAPTURE, V4L2_PIX_FMT_H264, PLAYER_WIDTH, PLAYER_HEIGHT);
	player_set_format(p, MEDIA_OUTPUT, V4L2_PIX_FMT_YUV420, PLAYER_WIDTH, PLAYER_HEIGHT);
	assert_int_equal(media_subscribe_to(w, p->id, V4L2_EVENT_EOS, 0, 0), 0);
	player_make_buffers(p, MEDIA_OUTPUT, PLAYER_INPUTS, p->in, p->in_at);
	assert_int_equal(media_stream(w, p->id, MEDIA_OUTPUT, true), 0);
	player_start_capture(p);
}

static void queue_raw(struct player *p, uint32_t value)
{
	const uint32_t i = p->next_in++ % PLAYER_INPUTS;

	memset(p->in[i], (int)value, PLAYER_WIDTH * PLAYER_HEIGHT * 3 / 2);
	assert_int_equal(
		media_queue_buffer(p->w, p->id, MEDIA_OUTPUT, i, PLAYER_WIDTH * PLAYER_HEIGHT * 3 / 2, 1000000 + value),
		0);
}

static void expect_packet(struct player *p, uint32_t value, uint32_t flags, bool forced)
{
	const struct virtio_media_event_dqbuf e = media_dequeue(p->w, p->id, MEDIA_CAPTURE);
	const uint8_t *packet = p->out[e.buffer.index];
	struct fake_header h;

	assert_int_equal(e.buffer.flags, flags | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(e.buffer.timestamp.tv_usec, value);
	assert_int_equal(e.planes[0].bytesused, sizeof(h) + PLAYER_WIDTH * PLAYER_HEIGHT * 3 / 2);
	memcpy(&h, packet, sizeof(h));
	assert_int_equal(h.magic, FAKE_MAGIC);
	assert_int_equal(h.unit == FAKE_KEY_PICTURE, forced);
	for (size_t i = sizeof(h); i < e.planes[0].bytesused; i++)
		assert_int_equal(packet[i], value);
}

static void packets_come_out_with_their_kind(void **state)
{
	struct media_world *w = media_world_create(&(struct video_world_options){.encoder = true});
	struct v4l2_ext_control c = {.id = V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME};
	struct v4l2_ext_controls list = {.count = 1};
	struct player p;

	(void)state;
	open_encoder(&p, w);
	queue_raw(&p, 0);
	expect_packet(&p, 0, V4L2_BUF_FLAG_KEYFRAME, false);
	queue_raw(&p, 1);
	expect_packet(&p, 1, V4L2_BUF_FLAG_PFRAME, false);
	assert_int_equal(media_call_long(w, p.id, VIDIOC_S_EXT_CTRLS, &list, &c, sizeof(c), NULL, 0), 0);
	queue_raw(&p, 2);
	expect_packet(&p, 2, V4L2_BUF_FLAG_KEYFRAME, true);
	queue_raw(&p, 3);
	expect_packet(&p, 3, V4L2_BUF_FLAG_PFRAME, false);
	media_world_destroy(w);
}

static void an_encoder_drains_and_starts_again(void **state)
{
	struct media_world *w = media_world_create(&(struct video_world_options){.encoder = true});
	struct player p;

	(void)state;
	open_encoder(&p, w);
	queue_raw(&p, 0);
	assert_int_equal(media_command(w, p.id, true, PLAYER_STOP), 0);
	expect_packet(&p, 0, V4L2_BUF_FLAG_KEYFRAME, false);
	player_expect_end(&p);
	assert_int_equal(media_dequeue(w, p.id, MEDIA_OUTPUT).planes[0].bytesused,
			 PLAYER_WIDTH * PLAYER_HEIGHT * 3 / 2);
	queue_raw(&p, 1);
	player_expect_nothing(&p);
	assert_int_equal(media_command(w, p.id, true, PLAYER_START), 0);
	expect_packet(&p, 1, V4L2_BUF_FLAG_KEYFRAME, false);
	media_world_destroy(w);
}

/* No two components are alike. */
static uint8_t sample(unsigned component, uint32_t x, uint32_t y)
{
	return (uint8_t)(85 * component + 3 * x + 7 * y);
}

static void pictures_come_in_every_format(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLAYER_RAWS; i++) {
		struct media_world *w = media_world_create(&(struct video_world_options){.encoder = true});
		struct player_picture picture;
		struct player p = {.w = w};
		const uint8_t *packet;
		uint32_t one = 1;

		assert_int_equal(media_open(w, &p.id), 0);
		player_set_format(&p, MEDIA_CAPTURE, V4L2_PIX_FMT_H264, PLAYER_WIDTH, PLAYER_HEIGHT);
		player_set_format(&p, MEDIA_OUTPUT, player_raws[i].fourcc, PLAYER_WIDTH, PLAYER_HEIGHT);
		assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &one), 0);
		player_map_picture(&p, MEDIA_OUTPUT, 0, &player_raws[i], &picture);
		for (unsigned k = 0; k < 3; k++) {
			for (uint32_t y = 0; y < PLAYER_HEIGHT / (k ? 2 : 1); y++) {
				for (uint32_t x = 0; x < PLAYER_WIDTH / (k ? 2 : 1); x++)
					*player_sample(&picture, k, x, y) = sample(k, x, y);
			}
		}
		assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
		player_start_capture(&p);
		assert_int_equal(media_call_long(w, p.id, VIDIOC_QBUF, &picture.buffer, picture.planes,
						 picture.buffer.length * sizeof(picture.planes[0]), NULL, 0),
				 0);
		packet = p.out[media_dequeue(w, p.id, MEDIA_CAPTURE).buffer.index] + sizeof(struct fake_header);
		/* As I420. */
		for (unsigned k = 0; k < 3; k++) {
			for (uint32_t y = 0; y < PLAYER_HEIGHT / (k ? 2 : 1); y++) {
				for (uint32_t x = 0; x < PLAYER_WIDTH / (k ? 2 : 1); x++)
					assert_int_equal(*packet++, sample(k, x, y));
			}
		}
		media_world_destroy(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_come_out_with_their_kind),
		cmocka_unit_test(an_encoder_drains_and_starts_again),
		cmocka_unit_test(pictures_come_in_every_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
