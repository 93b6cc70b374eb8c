// SPDX-License-Identifier: MIT
/*
 * mullion-video with virtio-media, without its main(): a keeper, and real workers with GStreamer's codecs in their sandbox,
 * which die while a guest decodes by mapped buffers. The frontend and the guest are the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/media_keeper.h"
#include "tests/lib/media_player.h"
#include "tests/lib/tap.h"

static const struct video_keeper_options decoder = {
	.device = "kind=decoder,proto=virtio-media,timeout=60,codec=avdec_h264"};

static void a_guest_decodes_from_inside_the_sandbox(void **state)
{
	struct media_keeper m;

	(void)state;
	media_keeper_begin(&m, &decoder);
	media_keeper_decode_exactly(&m);
	media_keeper_decode_exactly(&m);
	assert_int_equal(fake_shmem_count(&m.w.home), 0);
	assert_int_equal(m.k.shared->workers, 1);
	assert_int_equal(media_keeper_end(&m), 0);
}

/* Parts of files that process @pid may execute. */
static unsigned libraries(pid_t pid)
{
	char path[32], line[512];
	unsigned count = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		count += strstr(line, " r-xp ") && strstr(line, ".so");
	fclose(maps);
	return count;
}

/* One black picture of 32x32. */
static const uint8_t av1[] = {0x12, 0x00, 0x0a, 0x0b, 0x00, 0x00, 0x00, 0x02, 0x27, 0xff, 0xc1,
			      0xff, 0xf9, 0x80, 0x40, 0x32, 0x0e, 0x10, 0x80, 0x80, 0x01, 0x00,
			      0x00, 0x00, 0x2f, 0x3a, 0xc5, 0x8a, 0x7a, 0x5f, 0xc0};

/* The sandbox is locked when a guest comes: what decodes it must have been loaded before. */
static void a_format_that_virtio_video_lacks_is_decoded_there_too(void **state)
{
	struct virtio_media_event_dqbuf e;
	struct media_keeper m;
	struct player p = {.w = &m.w};
	unsigned loaded;

	(void)state;
	media_keeper_begin(&m, &decoder);
	if (!video_keeper_log_has(&m.k, " av1 ")) {
		assert_int_equal(media_keeper_end(&m), 0);
		tap_skip("no decoder of AV1: gstreamer1.0-plugins-bad");
	}
	loaded = libraries(video_keeper_worker(&m.k, 0));
	assert_true(loaded > 0);
	assert_int_equal(media_open(&m.w, &p.id), 0);
	player_set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_AV1, 32, 32);
	assert_int_equal(media_subscribe_to(&m.w, p.id, V4L2_EVENT_SOURCE_CHANGE, 0, 0), 0);
	player_make_buffers(&p, MEDIA_OUTPUT, PLAYER_INPUTS, p.in, p.in_at);
	assert_int_equal(media_stream(&m.w, p.id, MEDIA_OUTPUT, true), 0);
	memcpy(p.in[0], av1, sizeof(av1));
	assert_int_equal(media_queue_buffer(&m.w, p.id, MEDIA_OUTPUT, 0, sizeof(av1), 1), 0);
	player_expect_change(&p);
	player_expect_size(&p, 32, 32);
	player_start_capture(&p);
	assert_int_equal(media_command(&m.w, p.id, false, V4L2_DEC_CMD_STOP), 0);
	e = media_dequeue(&m.w, p.id, MEDIA_CAPTURE);
	assert_false(e.buffer.flags & V4L2_BUF_FLAG_ERROR);
	assert_int_equal(e.planes[0].bytesused, 32 * 32 * 3 / 2);
	for (unsigned i = 0; i < 32 * 32 * 3 / 2; i++)
		assert_int_equal(p.out[e.buffer.index][i], i < 32 * 32 ? 16 : 128);
	assert_int_equal(libraries(video_keeper_worker(&m.k, 0)), loaded);
	assert_int_equal(m.k.shared->workers, 1);
	assert_int_equal(media_keeper_end(&m), 0);
}

/* The session is there, its mappings are, and it goes on when it is restarted; a new one decodes too. */
static void a_session_whose_worker_died_has_failed_until_it_is_restarted(void **state)
{
	struct media_keeper m;

	(void)state;
	media_keeper_begin(&m, &decoder);
	for (unsigned round = 0; round < 4; round++) {
		struct v4l2_format f = {.type = MEDIA_CAPTURE};
		struct media_client c;

		media_client_open(&c, &m);
		for (unsigned i = 0; i < 5 + 4 * round; i++)
			media_client_send(&c, i);
		assert_false(c.failed);
		while (!c.has_outputs)
			media_client_serve(&c);
		memcpy(c.in[0] + 100000, "stays", 6);
		video_keeper_die(&m.k);
		media_client_take_back(&c);
		assert_true(c.failed);
		assert_string_equal((char *)c.in[0] + 100000, "stays");
		assert_int_equal(media_queue_buffer(&m.w, c.id, MEDIA_OUTPUT, 0, 100, 0), -EIO);
		assert_int_equal(media_queue_buffer(&m.w, c.id, MEDIA_CAPTURE, 0, 0, 0), -EIO);
		assert_int_equal(media_command(&m.w, c.id, false, V4L2_DEC_CMD_STOP), -EIO);
		assert_int_equal(media_call(&m.w, c.id, VIDIOC_G_FMT, &f), 0);
		assert_int_equal(f.fmt.pix_mp.width, CLIP_WIDTH);
		/* Another one does not mind. */
		media_keeper_decode_exactly(&m);
		assert_true(media_client_restart(&c));
		assert_true(media_client_play(&c));
		video_keeper_check_exact(&c.sums);
		media_client_close(&c);
	}
	assert_int_equal(fake_shmem_count(&m.w.home), 0);
	assert_int_equal(m.k.shared->workers, 5);
	assert_int_equal(media_keeper_end(&m), 0);
}

static void a_session_without_a_codec_goes_on_unseen(void **state)
{
	struct media_keeper m;
	struct media_client c;

	(void)state;
	media_keeper_begin(&m, &decoder);
	media_client_open(&c, &m);
	video_keeper_settle_death(&m.k);
	assert_true(media_client_play(&c));
	video_keeper_check_exact(&c.sums);
	/* Drained: it has none again. Its buffers wait. */
	video_keeper_settle_death(&m.k);
	assert_int_equal(media_events_left(&m.w, c.id), 0);
	assert_false(c.failed);
	assert_true(media_client_restart(&c));
	assert_true(media_client_play(&c));
	video_keeper_check_exact(&c.sums);
	media_client_close(&c);
	assert_int_equal(media_keeper_end(&m), 0);
}

static void a_worker_that_hangs_is_replaced_in_time(void **state)
{
	struct media_keeper m;
	struct media_client c;

	(void)state;
	media_keeper_begin(&m, &(struct video_keeper_options){.device = decoder.device, .hang_s = 2});
	media_client_play_half(&c, &m);
	video_keeper_signal_worker(&m.k, SIGSTOP);
	media_client_take_back(&c);
	assert_true(c.failed);
	assert_int_equal(m.k.shared->workers, 2);
	assert_true(media_client_restart(&c));
	assert_true(media_client_play(&c));
	video_keeper_check_exact(&c.sums);
	media_client_close(&c);
	assert_int_equal(media_keeper_end(&m), 0);
}

/* It knows the shared memory too. */
static void the_spare_worker_takes_over(void **state)
{
	struct media_keeper m;

	(void)state;
	media_keeper_begin(&m, &(struct video_keeper_options){.device = decoder.device, .spare = true});
	for (unsigned round = 0; round < 2; round++) {
		struct media_client c;
		pid_t spare;

		media_client_play_half(&c, &m);
		for (unsigned i = 0; i < 6000 && m.k.shared->spares == round; i++)
			usleep(5000);
		assert_int_equal(m.k.shared->spares, round + 1);
		spare = video_keeper_worker(&m.k, 1);
		assert_true(spare > 0);
		video_keeper_die(&m.k);
		media_client_take_back(&c);
		assert_true(c.failed);
		assert_int_equal(video_keeper_worker(&m.k, 0), spare);
		assert_true(media_client_restart(&c));
		assert_true(media_client_play(&c));
		video_keeper_check_exact(&c.sums);
		media_client_close(&c);
	}
	assert_int_equal(media_keeper_end(&m), 0);
}

static void after_many_deaths_no_streams_are_switched_on_for_a_while(void **state)
{
	uint32_t id, count = 2, made[2];
	struct media_keeper m;

	(void)state;
	media_keeper_begin(&m, &(struct video_keeper_options){.device = decoder.device, .max_deaths = 2});
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(media_open(&m.w, &made[i]), 0);
		video_keeper_settle_death(&m.k);
	}
	assert_int_equal(media_request(&m.w, made[0], MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(media_stream(&m.w, made[0], MEDIA_OUTPUT, true), -EIO);
	/* Those that only look may. */
	assert_int_equal(media_open(&m.w, &id), 0);
	assert_int_equal(id, made[1] + 1);
	media_close(&m.w, made[1]);
	assert_int_equal(media_keeper_end(&m), 0);
}

/* ---- the encoder ---- */

struct encoding {
	struct player p;
	unsigned queued[2]; /* OUTPUT, CAPTURE: a bit each */
	unsigned packets;
	bool failed, ended;
};

static void take_event(struct encoding *e)
{
	const struct media_event event = media_next_event(e->p.w, e->p.id);
	const struct virtio_media_event_dqbuf *d = &event.u.dqbuf;
	const bool is_capture = d->buffer.type == MEDIA_CAPTURE;

	assert_int_equal(event.u.hdr.event, VIRTIO_MEDIA_EVT_DQBUF);
	assert_true(e->queued[is_capture] >> d->buffer.index & 1);
	e->queued[is_capture] &= ~(1u << d->buffer.index);
	e->failed |= (d->buffer.flags & V4L2_BUF_FLAG_ERROR) != 0;
	e->ended |= (d->buffer.flags & V4L2_BUF_FLAG_LAST) != 0;
	if (!is_capture || e->failed || e->ended)
		return;
	/* A start code. */
	assert_memory_equal(e->p.out[d->buffer.index], "\0\0\0\1", 4);
	e->packets++;
	/* It may have died since. */
	if (media_queue_buffer(e->p.w, e->p.id, MEDIA_CAPTURE, d->buffer.index, 0, 0) == 0)
		e->queued[1] |= 1u << d->buffer.index;
	else
		e->failed = true;
}

static void encode_pictures(struct encoding *e, unsigned count)
{
	const uint32_t bytes = CLIP_WIDTH * CLIP_HEIGHT * 3 / 2;

	for (unsigned n = 0; n < count; n++) {
		uint32_t i = 0;

		while (e->queued[0] == (1u << PLAYER_INPUTS) - 1)
			take_event(e);
		while (e->queued[0] >> i & 1)
			i++;
		memset(e->p.in[i], (int)(20 + 9 * n), bytes);
		assert_int_equal(media_queue_buffer(e->p.w, e->p.id, MEDIA_OUTPUT, i, bytes, n), 0);
		e->queued[0] |= 1u << i;
	}
}

static void start_queues(struct encoding *e)
{
	for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
		player_want(&e->p, i);
	e->queued[0] = 0;
	e->queued[1] = (1u << PLAYER_OUTPUTS) - 1;
	e->packets = 0;
	e->failed = e->ended = false;
	assert_int_equal(media_stream(e->p.w, e->p.id, MEDIA_CAPTURE, true), 0);
	assert_int_equal(media_stream(e->p.w, e->p.id, MEDIA_OUTPUT, true), 0);
}

static void an_encoder_goes_on_when_it_is_restarted(void **state)
{
	struct media_keeper m;
	struct encoding e = {.p = {.w = &m.w}};

	(void)state;
	media_keeper_begin(&m, &(struct video_keeper_options){.device = "kind=encoder,proto=virtio-media,timeout=60"});
	assert_int_equal(media_open(&m.w, &e.p.id), 0);
	player_set_format(&e.p, MEDIA_CAPTURE, V4L2_PIX_FMT_H264, CLIP_WIDTH, CLIP_HEIGHT);
	player_set_format(&e.p, MEDIA_OUTPUT, V4L2_PIX_FMT_YUV420, CLIP_WIDTH, CLIP_HEIGHT);
	player_make_buffers(&e.p, MEDIA_OUTPUT, PLAYER_INPUTS, e.p.in, e.p.in_at);
	player_make_buffers(&e.p, MEDIA_CAPTURE, PLAYER_OUTPUTS, e.p.out, e.p.out_at);
	for (unsigned round = 0; round < 3; round++) {
		start_queues(&e);
		encode_pictures(&e, 9);
		if (round == 1) {
			video_keeper_die(&m.k);
			while (e.queued[0] || e.queued[1])
				take_event(&e);
			assert_true(e.failed);
		} else {
			assert_int_equal(media_command(&m.w, e.p.id, true, V4L2_ENC_CMD_STOP), 0);
			while (!e.ended)
				take_event(&e);
			assert_false(e.failed);
			assert_int_equal(e.packets, 9);
		}
		assert_int_equal(media_stream(&m.w, e.p.id, MEDIA_OUTPUT, false), 0);
		assert_int_equal(media_stream(&m.w, e.p.id, MEDIA_CAPTURE, false), 0);
		while (media_events_left(&m.w, e.p.id) > 0)
			media_next_event(&m.w, e.p.id);
	}
	assert_int_equal(m.k.shared->workers, 2);
	assert_int_equal(media_keeper_end(&m), 0);
}

/* ---- pictures of 10 bits ---- */

enum { TEN_WIDTH = 176, TEN_HEIGHT = 144, TEN_BUFFERS = 7 };

static const struct ten {
	uint32_t fourcc;
	const char *name;
	struct v4l2_control profile;
} tens[] = {
	{V4L2_PIX_FMT_H264, "h264", {V4L2_CID_MPEG_VIDEO_H264_PROFILE, V4L2_MPEG_VIDEO_H264_PROFILE_HIGH_10}},
	{V4L2_PIX_FMT_HEVC, "hevc", {V4L2_CID_MPEG_VIDEO_HEVC_PROFILE, V4L2_MPEG_VIDEO_HEVC_PROFILE_MAIN_10}},
	{V4L2_PIX_FMT_VP9, "vp9", {V4L2_CID_MPEG_VIDEO_VP9_PROFILE, V4L2_MPEG_VIDEO_VP9_PROFILE_2}},
};

static void set_format(struct media_keeper *m, uint32_t id, uint32_t type, uint32_t fourcc)
{
	struct v4l2_format f = {.type = type};

	f.fmt.pix_mp.pixelformat = fourcc;
	f.fmt.pix_mp.width = TEN_WIDTH;
	f.fmt.pix_mp.height = TEN_HEIGHT;
	assert_int_equal(media_call(&m->w, id, VIDIOC_S_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.pixelformat, fourcc);
}

static void make_buffers(struct media_keeper *m, uint32_t id, uint32_t type, uint64_t *at)
{
	uint32_t count = TEN_BUFFERS;

	assert_int_equal(media_request(&m->w, id, type, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(count, TEN_BUFFERS);
	for (uint32_t i = 0; i < count; i++) {
		struct v4l2_plane plane;
		struct v4l2_buffer b;

		assert_int_equal(media_query(&m->w, id, type, i, &b, &plane, 1), 0);
		assert_int_equal(media_map(&m->w, id, plane.m.mem_offset, true, &at[i], NULL), 0);
	}
	assert_int_equal(media_stream(&m->w, id, type, true), 0);
}

/* False: this worker's encoder does not take them. */
static bool encode_ten(struct media_keeper *m, const struct ten *t, uint32_t raw)
{
	const uint32_t bytes = TEN_WIDTH * TEN_HEIGHT * (raw == V4L2_PIX_FMT_P010 ? 6u : 3u) / 2;
	struct v4l2_control profile = t->profile;
	uint64_t at[2][TEN_BUFFERS];
	uint32_t id;

	assert_int_equal(media_open(&m->w, &id), 0);
	set_format(m, id, MEDIA_CAPTURE, t->fourcc);
	if (media_call(&m->w, id, VIDIOC_S_CTRL, &profile)) {
		media_close(&m->w, id);
		return false;
	}
	set_format(m, id, MEDIA_OUTPUT, raw);
	make_buffers(m, id, MEDIA_OUTPUT, at[0]);
	make_buffers(m, id, MEDIA_CAPTURE, at[1]);
	for (uint32_t i = 0; i < TEN_BUFFERS; i++)
		assert_int_equal(media_queue_buffer(&m->w, id, MEDIA_CAPTURE, i, 0, 0), 0);
	for (uint32_t i = 0; i < TEN_BUFFERS - 1; i++) {
		memset(media_seen(&m->w, at[0][i]), (int)(64 + 8 * i), bytes);
		assert_int_equal(media_queue_buffer(&m->w, id, MEDIA_OUTPUT, i, bytes, i), 0);
	}
	assert_int_equal(media_command(&m->w, id, true, V4L2_ENC_CMD_STOP), 0);
	for (uint32_t i = 0; i < TEN_BUFFERS; i++) {
		const struct virtio_media_event_dqbuf e = media_dequeue(&m->w, id, MEDIA_CAPTURE);

		assert_false(e.buffer.flags & V4L2_BUF_FLAG_ERROR);
		assert_int_equal(!(e.buffer.flags & V4L2_BUF_FLAG_LAST), i < TEN_BUFFERS - 1);
		assert_int_equal(e.planes[0].bytesused > 0, i < TEN_BUFFERS - 1);
	}
	media_close(&m->w, id);
	for (uint32_t i = 0; i < 2 * TEN_BUFFERS; i++)
		assert_int_equal(media_unmap(&m->w, at[i % 2][i / 2]), 0);
	return true;
}

/* What converts them and what encodes them is there as well when the sandbox is locked. */
static void ten_bits_are_encoded_inside_the_sandbox(void **state)
{
	struct media_keeper m;
	unsigned tried = 0;

	(void)state;
	media_keeper_begin(&m, &(struct video_keeper_options){.device = "kind=encoder,proto=virtio-media,timeout=60"});
	for (unsigned i = 0; i < sizeof(tens) / sizeof(tens[0]); i++) {
		if (!encode_ten(&m, &tens[i], V4L2_PIX_FMT_NV12)) {
			printf("# %s left out: no encoder of 10 bits\n", tens[i].name);
			continue;
		}
		assert_true(encode_ten(&m, &tens[i], V4L2_PIX_FMT_P010));
		tried++;
	}
	assert_int_equal(m.k.shared->workers, 1);
	assert_int_equal(media_keeper_end(&m), 0);
	if (tried == 0)
		tap_skip("no encoder here takes 10 bits");
}

int main(void)
{
	/* One alone, to look into it. */
	const char *only = getenv("VIDEO_TEST");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_decodes_from_inside_the_sandbox),
		cmocka_unit_test(a_format_that_virtio_video_lacks_is_decoded_there_too),
		cmocka_unit_test(ten_bits_are_encoded_inside_the_sandbox),
		cmocka_unit_test(a_session_whose_worker_died_has_failed_until_it_is_restarted),
		cmocka_unit_test(a_session_without_a_codec_goes_on_unseen),
		cmocka_unit_test(a_worker_that_hangs_is_replaced_in_time),
		cmocka_unit_test(the_spare_worker_takes_over),
		cmocka_unit_test(after_many_deaths_no_streams_are_switched_on_for_a_while),
		cmocka_unit_test(an_encoder_goes_on_when_it_is_restarted),
	};

	cmocka_set_test_filter(only);
	return cmocka_run_group_tests_name("media keeper", tests, video_keeper_set_up, video_keeper_tear_down);
}
