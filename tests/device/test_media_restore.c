// SPDX-License-Identifier: MIT
/*
 * Virtio-media sessions that are made again from their journal, as they were left and as a process that the guest had taken
 * over may have left them. Over the fake codec.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "tests/lib/journal_copy.h"
#include "tests/lib/media_player.h"

static const struct video_world_options keeps = {.keeps = true}, encoder_keeps = {.keeps = true, .encoder = true};

static void expect_back(struct player *p, uint32_t type, unsigned count, uint32_t flags)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(media_dequeue(p->w, p->id, type).buffer.flags, flags | V4L2_BUF_FLAG_TIMESTAMP_COPY);
}

/* What it had queued comes back; mapped memory stays, and is what the new process decodes from and into. */
static void a_session_that_had_a_codec_goes_on_when_it_is_restarted(void **state)
{
	struct media_world *w = media_world_create(&keeps);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_feed(&p, 1);
	player_expect_picture(&p, 0);
	memcpy(p.in[3] + 100, "stays", 6);
	media_world_take_over(w);
	expect_back(&p, MEDIA_CAPTURE, PLAYER_OUTPUTS - 1, V4L2_BUF_FLAG_ERROR);
	assert_int_equal(media_queue_buffer(w, p.id, MEDIA_OUTPUT, 0, 20, 0), -EIO);
	assert_int_equal(media_queue_buffer(w, p.id, MEDIA_CAPTURE, 0, 0, 0), -EIO);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), -EIO);
	player_expect_size(&p, PLAYER_WIDTH, PLAYER_HEIGHT);
	assert_string_equal((char *)p.in[3] + 100, "stays");
	/* It is told once. */
	media_world_take_over(w);
	player_expect_nothing(&p);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), -EIO);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
		player_want(&p, i);
	player_feed(&p, 5);
	player_feed(&p, 6);
	/* The size is known. */
	player_expect_picture(&p, 5);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	player_expect_picture(&p, 6);
	player_expect_end(&p);
	for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
		assert_int_equal(media_unmap(w, p.out_at[i]), 0);
	assert_int_equal(media_unmap(w, p.out_at[0]), -EINVAL);
	media_world_destroy(w);
}

/* A guest may have started over before the process that takes over looks at its event buffers. */
static void a_failure_that_is_over_is_not_told(void **state)
{
	struct media_world *w = media_world_create(&keeps);
	struct player p;

	(void)state;
	player_open(&p, w);
	/* There is a codec, of no size yet. */
	player_queue_unit(&p, FAKE_PICTURE, 0, 0, 1);
	player_expect_input(&p, 0);
	media_world_take_over_late(w);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	player_expect_nothing(&p);
	player_feed(&p, 2);
	player_expect_change(&p);
	/* Of a size that is known the guest is told, whatever it did. */
	media_world_take_over_late(w);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
	player_expect_change(&p);
	media_world_destroy(w);
}

static void a_session_without_a_codec_goes_on(void **state)
{
	struct media_world *w = media_world_create(&keeps);
	uint32_t count = 2, id;
	struct v4l2_plane plane;
	struct v4l2_buffer b;
	struct player p;

	(void)state;
	player_open(&p, w);
	/* CAPTURE waits, in this order. */
	player_make_buffers(&p, MEDIA_CAPTURE, PLAYER_OUTPUTS, p.out, p.out_at);
	player_want(&p, 2);
	player_want(&p, 0);
	player_want(&p, 1);
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, true), 0);
	assert_int_equal(media_open(w, &id), 0);
	for (unsigned i = 0; i < 2; i++) {
		media_world_take_over(w);
		player_expect_nothing(&p);
	}
	/* The other has its number. */
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(media_open(w, &id), 0);
	assert_int_equal(id, p.id + 2);
	/* A first size for which there are buffers is no change. */
	player_feed(&p, 1);
	player_feed(&p, 2);
	assert_int_equal(player_expect_picture(&p, 1), 2);
	player_feed(&p, 3);
	assert_int_equal(player_expect_picture(&p, 2), 0);
	assert_int_equal(media_query(w, p.id, MEDIA_CAPTURE, 1, &b, &plane, 1), 0);
	assert_int_equal(b.flags, V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(b.length, 1);
	/* A reset forgets it all. */
	media_world_restart(w);
	assert_int_equal(media_query(w, p.id, MEDIA_CAPTURE, 1, &b, &plane, 1), -EINVAL);
	assert_int_equal(fake_shmem_count(&w->home), 0);
	assert_int_equal(media_open(w, &id), 0);
	media_world_take_over(w);
	assert_int_equal(media_query(w, id, MEDIA_CAPTURE, 0, &b, &plane, 1), -EINVAL);
	player_start(&p, w);
	media_world_destroy(w);
}

/* Buffers that wait for STREAMON are sent when it comes, as they are in memory. */
static void what_waits_for_its_queue_is_still_queued(void **state)
{
	struct media_world *w = media_world_create(&keeps);
	struct fake_header h = {FAKE_MAGIC, FAKE_PICTURE, PLAYER_WIDTH, PLAYER_HEIGHT, 7};
	struct player p = {.w = w};

	(void)state;
	assert_int_equal(media_open(w, &p.id), 0);
	player_set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, PLAYER_WIDTH, PLAYER_HEIGHT);
	player_make_buffers(&p, MEDIA_OUTPUT, PLAYER_INPUTS, p.in, p.in_at);
	memcpy(p.in[0], &h, sizeof(h));
	assert_int_equal(media_queue_buffer(w, p.id, MEDIA_OUTPUT, 0, sizeof(h), 1000007), 0);
	media_world_take_over(w);
	player_expect_nothing(&p);
	assert_int_equal(media_queue_buffer(w, p.id, MEDIA_OUTPUT, 0, sizeof(h), 1000007), -EINVAL);
	player_make_buffers(&p, MEDIA_CAPTURE, PLAYER_OUTPUTS, p.out, p.out_at);
	player_want(&p, 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_CAPTURE, true), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	player_expect_input(&p, 0);
	p.next_in = 1;
	player_feed(&p, 8);
	player_expect_picture(&p, 7);
	media_world_destroy(w);
}

/* Events that found no buffer come; what was told is not told again. */
static void what_was_not_told_is_told(void **state)
{
	enum { PLAYERS = 4 };
	struct media_world *w = media_world_create(&keeps);
	struct player p[PLAYERS];
	unsigned told = 0;

	(void)state;
	for (unsigned i = 0; i < PLAYERS; i++)
		player_start(&p[i], w);
	/* 4 of OUTPUT and 3 of CAPTURE each; nobody posts buffers meanwhile. */
	for (unsigned i = 0; i < PLAYERS; i++) {
		for (uint32_t k = 1; k <= PLAYER_INPUTS; k++)
			player_queue(&p[i], 10 * i + k);
	}
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(loop_run_once(fake_guest_loop(w->guest), 0), 0);
	fake_guest_poll(w->guest, VIRTIO_MEDIA_QUEUE_EVENT);
	for (unsigned i = 0; i < MEDIA_WORLD_EVENTS; i++)
		told += w->posted[i]->done;
	assert_int_equal(told, MEDIA_WORLD_EVENTS);
	media_world_collect(w);
	media_world_take_over(w);
	for (unsigned i = 0; i < PLAYERS; i++) {
		expect_back(&p[i], MEDIA_OUTPUT, PLAYER_INPUTS, 0);
		for (uint32_t k = 0; k < PLAYER_OUTPUTS; k++)
			player_expect_picture(&p[i], k ? 10 * i + k : 0);
		player_expect_nothing(&p[i]);
	}
	media_world_destroy(w);
}

/* A decoder that has taken all and knows no size yet has nothing that could come back in error. */
static void one_that_waits_for_its_size_is_told_to_look(void **state)
{
	struct media_world *w = media_world_create(&keeps);
	struct player p;

	(void)state;
	player_open(&p, w);
	player_queue_unit(&p, FAKE_HANG, PLAYER_WIDTH, PLAYER_HEIGHT, 0);
	player_expect_input(&p, 0);
	media_world_take_over(w);
	player_expect_change(&p);
	player_make_buffers(&p, MEDIA_CAPTURE, PLAYER_OUTPUTS, p.out, p.out_at);
	assert_int_equal(media_queue_buffer(w, p.id, MEDIA_CAPTURE, 0, 0, 0), -EIO);
	media_world_take_over(w);
	player_expect_nothing(&p);
	media_world_destroy(w);
}

/* They are looked up when they are queued, and not kept. */
static void guest_pages_that_were_queued_come_back_in_error(void **state)
{
	enum { BYTES = 1 << 16 };
	struct media_world *w = media_world_create(&keeps);
	struct v4l2_buffer b = {.type = MEDIA_OUTPUT, .memory = V4L2_MEMORY_USERPTR, .length = 1};
	struct v4l2_plane plane = {.bytesused = 100, .length = BYTES, .m.userptr = 0x7f0012345000};
	struct virtio_media_sg_entry entry = {.start = fake_guest_alloc(w->guest, BYTES, 4096), .len = BYTES};
	struct virtio_media_event_dqbuf e;
	struct player p = {.w = w};
	uint32_t count = 1;

	(void)state;
	assert_int_equal(media_open(w, &p.id), 0);
	player_set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, PLAYER_WIDTH, PLAYER_HEIGHT);
	assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_USERPTR, &count), 0);
	assert_int_equal(media_call_long(w, p.id, VIDIOC_QBUF, &b, &plane, sizeof(plane), &entry, sizeof(entry)), 0);
	media_world_take_over(w);
	e = media_dequeue(w, p.id, MEDIA_OUTPUT);
	assert_int_equal(e.buffer.flags, V4L2_BUF_FLAG_ERROR | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(e.planes[0].m.userptr, 0x7f0012345000);
	b.flags = 0;
	plane = (struct v4l2_plane){.bytesused = 100, .length = BYTES, .m.userptr = 0x7f0012345000};
	assert_int_equal(media_call_long(w, p.id, VIDIOC_QBUF, &b, &plane, sizeof(plane), &entry, sizeof(entry)), 0);
	media_world_destroy(w);
}

/* What the guest has there may be more than any picture needs: its pages may all be the same. */
static void guest_pages_may_be_any_number(void **state)
{
	enum { BYTES = 1 << 20, ENTRIES = 193 };
	struct media_world *w = media_world_create(&keeps);
	struct v4l2_buffer b = {.type = MEDIA_CAPTURE, .memory = V4L2_MEMORY_USERPTR, .length = 1};
	struct v4l2_plane plane = {.length = ENTRIES * BYTES, .m.userptr = 0x7f0012345000};
	struct virtio_media_sg_entry entries[ENTRIES];
	struct player p = {.w = w};
	uint32_t count = 2;

	(void)state;
	entries[0] = (struct virtio_media_sg_entry){.start = fake_guest_alloc(w->guest, BYTES, 4096), .len = BYTES};
	for (unsigned i = 1; i < ENTRIES; i++)
		entries[i] = entries[0];
	assert_int_equal(media_open(w, &p.id), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_USERPTR, &count), 0);
	assert_int_equal(media_call_long(w, p.id, VIDIOC_QBUF, &b, &plane, sizeof(plane), entries, sizeof(entries)), 0);
	media_world_take_over(w);
	assert_int_equal(media_dequeue(w, p.id, MEDIA_CAPTURE).planes[0].length, ENTRIES * BYTES);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(media_query(w, p.id, MEDIA_CAPTURE, i, &b, &plane, 1), 0);
	media_world_destroy(w);
}

/* A drain that is over still marks the next buffer. */
static void the_end_that_is_owed_comes(void **state)
{
	struct media_world *w = media_world_create(&keeps);
	struct player p;

	(void)state;
	player_open(&p, w);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	media_world_take_over(w);
	player_expect_nothing(&p);
	/* What is sent meanwhile waits for START. */
	player_queue(&p, 5);
	player_expect_nothing(&p);
	player_start_capture(&p);
	player_expect_end(&p);
	media_world_take_over(w);
	assert_int_equal(media_command(w, p.id, false, PLAYER_START), 0);
	player_expect_input(&p, 0);
	player_feed(&p, 6);
	player_expect_picture(&p, 5);
	media_world_destroy(w);
}

/* Its codec went with the process, a size had been told; what is sent behind a STOP comes after its end. */
static void a_stop_after_a_death_ends_behind_a_new_size(void **state)
{
	struct media_world *w = media_world_create(&keeps);
	struct player p;

	(void)state;
	player_start(&p, w);
	player_queue_unit(&p, FAKE_PICTURE, 32, 32, 1);
	player_queue_unit(&p, FAKE_PICTURE, 32, 32, 2);
	player_expect_new_size(&p, 0);
	expect_back(&p, MEDIA_OUTPUT, 2, 0);
	media_world_take_over(w);
	expect_back(&p, MEDIA_CAPTURE, PLAYER_OUTPUTS - 2, V4L2_BUF_FLAG_ERROR);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, false), 0);
	assert_int_equal(media_stream(w, p.id, MEDIA_OUTPUT, true), 0);
	assert_int_equal(media_command(w, p.id, false, PLAYER_STOP), 0);
	player_queue_unit(&p, FAKE_PICTURE, 32, 32, 3);
	player_stop_capture(&p);
	player_expect_nothing(&p);
	/* The next one knows that it waits. */
	media_world_take_over(w);
	player_expect_nothing(&p);
	player_start_capture(&p);
	player_expect_end(&p);
	player_expect_nothing(&p);
	assert_int_equal(media_command(w, p.id, false, PLAYER_START), 0);
	player_expect_input(&p, 0);
	player_queue_unit(&p, FAKE_PICTURE, 32, 32, 4);
	player_expect_input(&p, 0);
	player_expect_picture_of(&p, 3, 32, 32, 0);
	media_world_destroy(w);
}

/* The codec gave up behind a change to a larger size: what was queued comes back in error, and is there after a death. */
static void buffers_of_an_old_size_are_still_there(void **state)
{
	struct media_world *w = media_world_create(&keeps);
	struct v4l2_plane plane;
	struct v4l2_buffer b;
	struct player p;

	(void)state;
	player_start(&p, w);
	player_queue_unit(&p, FAKE_PICTURE, 256, 256, 1);
	player_queue_unit(&p, FAKE_ERROR, 256, 256, 2);
	player_expect_new_size(&p, 0);
	for (unsigned i = 0; i < PLAYER_OUTPUTS - 2; i++) {
		const struct virtio_media_event_dqbuf e = media_dequeue(w, p.id, MEDIA_CAPTURE);

		assert_true(e.buffer.flags & V4L2_BUF_FLAG_ERROR);
		assert_true(e.planes[0].bytesused <= e.planes[0].length);
	}
	media_world_take_over(w);
	for (uint32_t i = 0; i < PLAYER_OUTPUTS; i++)
		assert_int_equal(media_query(w, p.id, MEDIA_CAPTURE, i, &b, &plane, 1), 0);
	media_world_destroy(w);
}

/* The home has done it, and nobody told the guest: it is undone, and the place is free. */
static void a_mapping_that_nobody_was_told_of_is_undone(void **state)
{
	struct media_world *w = media_world_create(&keeps);
	struct virtio_media_cmd_mmap c = {{VIRTIO_MEDIA_CMD_MMAP, 0}, 0, VIRTIO_MEDIA_MMAP_FLAG_RW, 0};
	struct virtio_shmem_request copy;
	uint32_t count = 2;
	uint64_t at;
	struct player p = {.w = w};

	(void)state;
	assert_int_equal(media_open(w, &p.id), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	w->home.later = true;
	c.session_id = p.id;
	fake_guest_add(w->guest, 0, &c, sizeof(c), sizeof(struct virtio_media_resp_mmap));
	fake_guest_kick(w->guest, 0);
	media_settle(w);
	assert_int_equal(w->home.count, 1);
	w->home.later = false;
	copy = w->home.waiting[0].copy;
	w->home.count = 0;
	assert_int_equal(virtio_shmem_map(w->device, &copy), 0);
	close(copy.fd);
	assert_int_equal(fake_shmem_count(&w->home), 1);
	media_world_take_over(w);
	assert_int_equal(fake_shmem_count(&w->home), 0);
	assert_int_equal(media_map(w, p.id, 0, true, &at, NULL), 0);
	assert_int_equal(at, 0);
	/* One that was undone, but is not known to be, is as good as undone. */
	copy.offset = at;
	assert_int_equal(virtio_shmem_unmap(w->device, &copy), 0);
	media_world_take_over(w);
	assert_int_equal(media_unmap(w, at), 0);
	assert_int_equal(media_unmap(w, at), -EINVAL);
	media_world_destroy(w);
}

static void an_encoder_is_given_back(void **state)
{
	struct media_world *w = media_world_create(&encoder_keeps);
	struct v4l2_control rate = {.id = V4L2_CID_MPEG_VIDEO_BITRATE, .value = 1234567};
	struct v4l2_streamparm parm = {.type = MEDIA_OUTPUT};
	struct v4l2_format f = {.type = MEDIA_OUTPUT};
	struct player p = {.w = w};

	(void)state;
	assert_int_equal(media_open(w, &p.id), 0);
	player_set_format(&p, MEDIA_CAPTURE, V4L2_PIX_FMT_H264, PLAYER_WIDTH, PLAYER_HEIGHT);
	player_set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_YVU420M, 320, 240);
	assert_int_equal(media_call(w, p.id, VIDIOC_S_CTRL, &rate), 0);
	parm.parm.output.timeperframe = (struct v4l2_fract){1, 25};
	assert_int_equal(media_call(w, p.id, VIDIOC_S_PARM, &parm), 0);
	media_world_take_over(w);
	rate.value = 0;
	assert_int_equal(media_call(w, p.id, VIDIOC_G_CTRL, &rate), 0);
	assert_int_equal(rate.value, 1234567);
	assert_int_equal(media_call(w, p.id, VIDIOC_G_PARM, &parm), 0);
	assert_int_equal(parm.parm.output.timeperframe.denominator, 25);
	assert_int_equal(media_call(w, p.id, VIDIOC_G_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.pixelformat, V4L2_PIX_FMT_YVU420M);
	assert_int_equal(f.fmt.pix_mp.width, 320);
	assert_int_equal(f.fmt.pix_mp.num_planes, 3);
	media_world_destroy(w);
}

/* ---- whoever wrote it ---- */

enum { JOURNAL_BYTES = 1 << 20, ROUNDS = 60, JOURNALS = 6 };

static struct journal_copy copy;

/* Whatever there is of session @id is used. Returns whether there is any of it. */
static bool use(struct media_world *w, uint32_t id)
{
	struct v4l2_format f = {.type = MEDIA_CAPTURE};
	const bool is = media_call(w, id, VIDIOC_G_FMT, &f) == 0;

	for (uint32_t i = 0; i < 4; i++) {
		struct v4l2_plane planes[3];
		struct v4l2_buffer b;
		uint64_t at;

		/* It may say that something is mapped where nothing is. */
		if (media_query(w, id, MEDIA_OUTPUT, i, &b, planes, 3) == 0 &&
		    media_map(w, id, planes[0].m.mem_offset, true, &at, NULL) == 0 && fake_shmem_at(&w->home, at))
			*fake_shmem_at(&w->home, at) = 1;
		media_queue_buffer(w, id, MEDIA_CAPTURE, i, 0, 0);
		media_queue_buffer(w, id, MEDIA_OUTPUT, i, 64, 1);
	}
	for (uint32_t type = MEDIA_CAPTURE; type <= MEDIA_OUTPUT; type++) {
		media_stream(w, id, type, false);
		media_stream(w, id, type, true);
	}
	for (uint32_t i = 0; i < 4; i++) {
		media_queue_buffer(w, id, MEDIA_CAPTURE, i, 0, 0);
		media_queue_buffer(w, id, MEDIA_OUTPUT, i, 64, 1);
	}
	return is;
}

static void a_journal_of_a_stranger_does_no_harm(void **state)
{
	unsigned seed = 1, whole = 0, gone = 0;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct media_world *w = media_world_create(&keeps);
		struct player running, idle;
		uint32_t id;

		player_start(&running, w);
		player_open(&idle, w);
		player_make_buffers(&idle, MEDIA_CAPTURE, PLAYER_OUTPUTS, idle.out, idle.out_at);
		player_want(&idle, 1);
		journal_copy_keep(&copy, w->journal_fd);
		assert_true(copy.count > 20);
		/* Damage heaps up. */
		for (unsigned i = 0; i < JOURNALS; i++) {
			bool both;

			journal_copy_damage(&copy, &seed, 8);
			close(w->journal_fd);
			w->journal_fd = journal_copy_write(&copy, JOURNAL_BYTES);
			media_world_take_over(w);
			both = use(w, running.id);
			both &= use(w, idle.id);
			whole += both;
			gone += !both;
			/* And it is a device. */
			assert_int_equal(media_open(w, &id), 0);
			media_settle(w);
			w->event_count = 0;
		}
		media_world_destroy(w);
	}
	printf("# %u with both sessions, %u with less\n", whole, gone);
	/* It was no test else. */
	assert_true(whole > 20 && gone > 20);
}

/* What was written last is missing, from any place on; or a word of it is wrong. */
static void a_torn_journal_gives_what_was_whole(void **state)
{
	unsigned kept[3] = {0};

	(void)state;
	for (uint64_t cut = 0, end_at = 1; cut < end_at; cut += 8) {
		for (unsigned rubbish = 0; rubbish < 2; rubbish++) {
			struct media_world *w = media_world_create(&keeps);
			struct player running, idle;
			bool first, second;
			uint64_t whole;
			uint32_t id;

			player_start(&running, w);
			player_open(&idle, w);
			player_make_buffers(&idle, MEDIA_CAPTURE, PLAYER_OUTPUTS, idle.out, idle.out_at);
			player_want(&idle, 1);
			whole = journal_copy_tear(w->journal_fd, JOURNAL_BYTES, cut, rubbish);
			end_at = whole + 8;
			media_world_take_over(w);
			first = use(w, running.id);
			second = use(w, idle.id);
			/* None after one that is missing; a record of rubbish may be that of anything. */
			if (!rubbish) {
				assert_true(first || !second);
				kept[first + second]++;
			}
			if (cut >= whole)
				assert_true(first && second);
			/* And it is a device. */
			assert_int_equal(media_open(w, &id), 0);
			media_settle(w);
			w->event_count = 0;
			media_world_destroy(w);
		}
	}
	printf("# torn: %u with both sessions, %u with one, %u with none\n", kept[2], kept[1], kept[0]);
	for (unsigned i = 0; i < 3; i++)
		assert_true(kept[i] > 0);
}

static void a_journal_gives_no_more_than_may_be(void **state)
{
	struct media_world *w = media_world_create(&keeps);
	struct player p, other;
	unsigned running = 0;

	(void)state;
	player_open(&p, w);
	player_open(&other, w);
	w->config.limits.streams = 1;
	media_world_take_over(w);
	running += media_queue_buffer(w, p.id, MEDIA_OUTPUT, 0, 20, 0) == 0;
	running += media_queue_buffer(w, other.id, MEDIA_OUTPUT, 0, 20, 0) == 0;
	assert_int_equal(running, 1);
	media_world_destroy(w);
}

/* As in media_record.c. */
enum { RECORD_SESSION = 1, CAPTURE_PLANES_AT = 72 };

/* What is said of planes that the format does not have would be whatever lay in memory. */
static void buffers_have_the_planes_of_their_format(void **state)
{
	struct media_world *w = media_world_create(&keeps);
	struct v4l2_plane planes[3];
	struct v4l2_buffer b;
	uint32_t count = 2;
	struct player p;

	(void)state;
	player_open(&p, w);
	assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_USERPTR, &count), 0);
	for (uint32_t wrong = 0; wrong < 4; wrong += 2) {
		media_world_take_over(w);
		assert_int_equal(media_query(w, p.id, MEDIA_CAPTURE, 1, &b, planes, 3), 0);
		assert_int_equal(b.length, 1);
		journal_copy_keep(&copy, w->journal_fd);
		for (unsigned i = 0; i < copy.count; i++) {
			if (copy.records[i].key.type == RECORD_SESSION) {
				assert_int_equal(copy.records[i].payload[CAPTURE_PLANES_AT], 1);
				copy.records[i].payload[CAPTURE_PLANES_AT] = (uint8_t)wrong;
			}
		}
		close(w->journal_fd);
		w->journal_fd = journal_copy_write(&copy, JOURNAL_BYTES);
		media_world_take_over(w);
		assert_int_equal(media_query(w, p.id, MEDIA_CAPTURE, 0, &b, planes, 3), -EINVAL);
		assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_USERPTR, &count), 0);
	}
	media_world_destroy(w);
}

/* In 10 bits, of guest pages, which take none of the host's memory. */
static void buffers_of_the_largest_pictures_are_made_and_given_back(void **state)
{
	struct media_world *w = media_world_create(&keeps);
	struct v4l2_create_buffers more = {.count = 1, .memory = V4L2_MEMORY_USERPTR, .format.type = MEDIA_CAPTURE};
	const uint32_t bytes = VIDEO_MAX_SIDE * VIDEO_MAX_SIDE * 3;
	struct player p = {.w = w};
	struct v4l2_plane plane;
	struct v4l2_buffer b;
	uint32_t count = 1;

	(void)state;
	assert_int_equal(media_open(w, &p.id), 0);
	player_set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_HEVC, VIDEO_MAX_SIDE, VIDEO_MAX_SIDE);
	player_set_format(&p, MEDIA_CAPTURE, V4L2_PIX_FMT_P010, VIDEO_MAX_SIDE, VIDEO_MAX_SIDE);
	assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_USERPTR, &count), 0);
	assert_int_equal(media_call(w, p.id, VIDIOC_G_FMT, &more.format), 0);
	assert_int_equal(more.format.fmt.pix_mp.plane_fmt[0].sizeimage, bytes);
	assert_int_equal(media_call(w, p.id, VIDIOC_CREATE_BUFS, &more), 0);
	assert_int_equal(more.count, 1);
	media_world_take_over(w);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(media_query(w, p.id, MEDIA_CAPTURE, i, &b, &plane, 1), 0);
		assert_int_equal(plane.length, bytes);
	}
	media_world_destroy(w);
}

static bool has_fewer;

static void abilities(const struct video_coded_format *coded, bool encoder, const char *element,
		      struct codec_abilities *out)
{
	codec_fake_ops.abilities(coded, encoder, element, out);
	out->profiles = has_fewer ? 1 : out->profiles;
}

/* As after deaths by a driver, when the host's hardware is left alone. */
static void a_choice_that_is_there_no_more_takes_no_session_along(void **state)
{
	struct v4l2_control profile = {V4L2_CID_MPEG_VIDEO_H264_PROFILE, V4L2_MPEG_VIDEO_H264_PROFILE_HIGH};
	struct v4l2_control rate = {V4L2_CID_MPEG_VIDEO_BITRATE, 1234567};
	struct codec_ops ops = codec_fake_ops;
	struct media_world *w;
	uint32_t id;

	(void)state;
	ops.abilities = abilities;
	has_fewer = false;
	w = media_world_create(&(struct video_world_options){.keeps = true, .encoder = true, .codec = &ops});
	assert_int_equal(media_open(w, &id), 0);
	assert_int_equal(media_call(w, id, VIDIOC_S_CTRL, &profile), 0);
	assert_int_equal(media_call(w, id, VIDIOC_S_CTRL, &rate), 0);
	has_fewer = true;
	media_world_take_over(w);
	assert_int_equal(media_call(w, id, VIDIOC_G_CTRL, &rate), 0);
	assert_int_equal(rate.value, 1234567);
	assert_int_equal(media_call(w, id, VIDIOC_G_CTRL, &profile), 0);
	assert_int_equal(profile.value, V4L2_MPEG_VIDEO_H264_PROFILE_BASELINE);
	media_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_that_had_a_codec_goes_on_when_it_is_restarted),
		cmocka_unit_test(a_failure_that_is_over_is_not_told),
		cmocka_unit_test(a_session_without_a_codec_goes_on),
		cmocka_unit_test(what_waits_for_its_queue_is_still_queued),
		cmocka_unit_test(what_was_not_told_is_told),
		cmocka_unit_test(one_that_waits_for_its_size_is_told_to_look),
		cmocka_unit_test(guest_pages_that_were_queued_come_back_in_error),
		cmocka_unit_test(guest_pages_may_be_any_number),
		cmocka_unit_test(the_end_that_is_owed_comes),
		cmocka_unit_test(a_stop_after_a_death_ends_behind_a_new_size),
		cmocka_unit_test(buffers_of_an_old_size_are_still_there),
		cmocka_unit_test(a_mapping_that_nobody_was_told_of_is_undone),
		cmocka_unit_test(an_encoder_is_given_back),
		cmocka_unit_test(a_journal_of_a_stranger_does_no_harm),
		cmocka_unit_test(a_torn_journal_gives_what_was_whole),
		cmocka_unit_test(a_journal_gives_no_more_than_may_be),
		cmocka_unit_test(buffers_have_the_planes_of_their_format),
		cmocka_unit_test(a_choice_that_is_there_no_more_takes_no_session_along),
		cmocka_unit_test(buffers_of_the_largest_pictures_are_made_and_given_back),
	};

	return cmocka_run_group_tests_name("media restore", tests, NULL, NULL);
}
