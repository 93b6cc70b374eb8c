// SPDX-License-Identifier: MIT
/*
 * A decoder that is made again from its journal, as it was left and as a process that the guest had taken over may have left
 * it. Over the fake codec.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/video/codec_fake.h"
#include "host/virtio/journal.h"
#include "tests/lib/film.h"
#include "tests/lib/journal_copy.h"
#include "tests/lib/journal_open.h"

enum { JOURNAL_BYTES = 256 << 10, SEEDS = 3000 };

static struct journal_copy copy;
static uint8_t written[JOURNAL_BYTES]; /* the journal itself, as it was when the process died */

static bool has_fewer;

static void abilities(const struct video_coded_format *coded, bool encoder, const char *element,
		      struct codec_abilities *out)
{
	codec_fake_ops.abilities(coded, encoder, element, out);
	out->profiles = has_fewer ? 1 : out->profiles;
}

static struct virtio_device *make_limited(struct fake_guest *g, struct journal *j, bool encoder, unsigned streams)
{
	static struct codec_ops ops;
	struct video_config config;
	struct virtio_device *d;

	ops = codec_fake_ops;
	ops.abilities = abilities;
	video_config_init(&config);
	config.limits.streams = streams;
	config.encoder = encoder;
	config.codec = &ops;
	config.journal = j;
	assert_int_equal(video_create(&config, fake_guest_loop(g), fake_guest_mem(g), &d), 0);
	return d;
}

static struct virtio_device *make(struct fake_guest *g, struct journal *j, bool encoder)
{
	return make_limited(g, j, encoder, 32);
}

/* Two streams, one of them with a codec at work. @memory: the addresses of the buffers are those of this guest. */
static void fill(struct fake_guest *g, int fd, bool encoder)
{
	struct video_world w = {.guest = g};
	struct virtio_video_set_params set = {0};
	struct journal *j;

	assert_int_equal(journal_open(fd, &j), 0);
	w.device = make(g, j, encoder);
	assert_int_equal(fake_guest_start(g, w.device), 0);
	for (uint32_t id = 1; id < 3; id++) {
		assert_int_equal(video_create_stream(&w, id, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
		video_read_params(&w, id, encoder ? VIDEO_IN : VIDEO_OUT, &set.params);
		set.params.frame_width = FILM_WIDTH;
		set.params.frame_height = FILM_HEIGHT;
		assert_int_equal(video_send(&w, VIRTIO_VIDEO_CMD_SET_PARAMS, id, &set, sizeof(set), NULL, 0), VIDEO_OK);
		for (uint32_t i = 0; i < 2; i++) {
			assert_int_equal(video_create_buffer(&w, id, VIDEO_IN, i, 1 << 16, NULL), VIDEO_OK);
			assert_int_equal(video_create_buffer(&w, id, VIDEO_OUT, i, 1 << 16, NULL), VIDEO_OK);
		}
	}
	/* Encoders make pictures of whatever is there; a decoder's garbage is fed to its codec all the same. */
	video_wait(&w, video_queue(&w, 2, VIDEO_IN, 0, 64, 1));
	/* It dies: the journal stays as it is. */
	assert_int_equal(pread(fd, written, JOURNAL_BYTES, 0), JOURNAL_BYTES);
	journal_copy_keep(&copy, fd);
	virtio_device_destroy(w.device);
	journal_close(j);
	fake_guest_device_is_gone(g);
}

/* Give what is in @fd back, and see what is there. */
static void take_over(struct fake_guest *g, int fd, bool encoder, uint32_t *first, uint32_t *second)
{
	struct video_world w = {.guest = g};
	struct journal *j;

	assert_int_equal(journal_open(fd, &j), 0);
	w.device = make(g, j, encoder);
	assert_int_equal(fake_guest_take_over(g, w.device), 0);
	*first = video_queue_command(&w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT);
	*second = video_queue_command(&w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 2, VIDEO_IN);
	/* Buffers are used, whatever they are. */
	for (uint32_t id = 1; id < 3; id++) {
		for (uint32_t i = 0; i < 2; i++) {
			video_queue(&w, id, VIDEO_OUT, i, 0, 0);
			video_queue(&w, id, VIDEO_IN, i, 64, 1);
		}
	}
	video_settle(&w);
	/* And it is a device. */
	assert_int_equal(video_create_stream(&w, 77, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	virtio_device_destroy(w.device);
	journal_close(j);
	fake_guest_device_is_gone(g);
}

static void streams_and_buffers_are_given_back(void **state)
{
	(void)state;
	for (unsigned encoder = 0; encoder < 2; encoder++) {
		struct fake_guest *g = fake_guest_create(NULL);
		struct video_world w = {.guest = g};
		struct virtio_video_params p;
		struct fake_request *event, *out;
		struct video_stats stats;
		struct journal *j;
		int fd = journal_memfd(JOURNAL_BYTES);

		assert_true(fd >= 0);
		fill(g, fd, encoder);
		assert_int_equal(copy.count, 2 * 5);
		close(fd);
		fd = journal_copy_write(&copy, JOURNAL_BYTES);
		assert_int_equal(journal_open(fd, &j), 0);
		w.device = make(g, j, encoder);
		assert_int_equal(fake_guest_take_over(g, w.device), 0);
		event = video_post_event(&w);
		assert_int_equal(video_wait_event(&w, event).event_type, VIRTIO_VIDEO_EVENT_ERROR);
		/* Of these ids there are some, and no others. */
		assert_int_equal(video_create_stream(&w, 1, VIRTIO_VIDEO_FORMAT_H264),
				 VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID);
		assert_int_equal(video_wait(&w, video_queue(&w, 1, VIDEO_OUT, 2, 0, 0)).hdr.type,
				 VIRTIO_VIDEO_RESP_ERR_INVALID_RESOURCE_ID);
		out = video_queue(&w, 1, VIDEO_OUT, 1, 0, 0);
		video_settle(&w);
		assert_false(out->done);
		assert_int_equal(video_queue_command(&w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
		assert_int_equal(video_wait(&w, out).hdr.type, VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE);
		video_read_params(&w, 1, encoder ? VIDEO_IN : VIDEO_OUT, &p);
		if (encoder)
			assert_int_equal(p.frame_width, FILM_WIDTH);
		/* The first has no codec and goes on; the second had one. */
		assert_int_equal(video_wait(&w, video_queue(&w, 1, VIDEO_IN, 0, 64, 1)).hdr.type,
				 VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE);
		assert_int_equal(video_wait(&w, video_queue(&w, 2, VIDEO_IN, 0, 64, 1)).hdr.type,
				 VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION);
		assert_int_equal(video_queue_command(&w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 2, VIDEO_IN), VIDEO_OK);
		assert_int_equal(video_wait(&w, video_queue(&w, 2, VIDEO_IN, 0, 64, 1)).hdr.type,
				 VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE);
		/* An encoder reads pictures where they are, as before. */
		video_settle(&w);
		video_get_stats(w.device, &stats);
		assert_int_equal(stats.codec.frames_in, 2);
		assert_int_equal(stats.codec.copies, 0);
		/* A reset forgets it all. */
		assert_int_equal(fake_guest_start(g, w.device), 0);
		assert_int_equal(video_create_stream(&w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
		virtio_device_destroy(w.device);
		journal_close(j);
		close(fd);
		fake_guest_destroy(g);
	}
}

/* Who wrote the journal may have been the guest. */
static void a_journal_gives_no_more_streams_than_may_be(void **state)
{
	struct fake_guest *g = fake_guest_create(NULL);
	struct video_world w = {.guest = g};
	int fd = journal_memfd(JOURNAL_BYTES);
	struct journal *j;
	uint32_t codes[2];

	(void)state;
	assert_true(fd >= 0);
	fill(g, fd, false);
	close(fd);
	fd = journal_copy_write(&copy, JOURNAL_BYTES);
	assert_int_equal(journal_open(fd, &j), 0);
	w.device = make_limited(g, j, false, 1);
	assert_int_equal(fake_guest_take_over(g, w.device), 0);
	for (uint32_t i = 0; i < 2; i++)
		codes[i] = video_queue_command(&w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1 + i, VIDEO_OUT);
	assert_int_equal((codes[0] == VIDEO_OK) + (codes[1] == VIDEO_OK), 1);
	assert_int_equal(video_create_stream(&w, 3, VIRTIO_VIDEO_FORMAT_H264), VIRTIO_VIDEO_RESP_ERR_OUT_OF_MEMORY);
	virtio_device_destroy(w.device);
	journal_close(j);
	close(fd);
	fake_guest_destroy(g);
}

/* How many bytes of parameter sets are kept for stream 1. */
static size_t kept_headers(const struct journal *j)
{
	const struct journal_key key = {.type = 2, .id = {1}};
	size_t bytes = 0;

	return journal_get(j, &key, &bytes) ? bytes : 0;
}

/* They would go before the first frame of another format. */
static void parameter_sets_of_another_format_are_forgotten(void **state)
{
	static const uint8_t sps[] = {0, 0, 0, 1, 0x67, 0x42, 0xd0, 0x0b, 0, 0, 1, 0x68, 0xce};
	struct fake_guest *g = fake_guest_create(NULL);
	struct video_world w = {.guest = g};
	struct virtio_video_set_params set = {0};
	int fd = journal_memfd(JOURNAL_BYTES);
	struct journal *j;
	uint64_t in;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(journal_open(fd, &j), 0);
	w.device = make(g, j, false);
	assert_int_equal(fake_guest_start(g, w.device), 0);
	assert_int_equal(video_create_stream(&w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	assert_int_equal(video_create_buffer(&w, 1, VIDEO_IN, 0, 4096, &in), VIDEO_OK);
	memcpy(fake_guest_ptr(g, in, sizeof(sps)), sps, sizeof(sps));
	video_wait(&w, video_queue(&w, 1, VIDEO_IN, 0, sizeof(sps), 1));
	assert_int_equal(kept_headers(j), sizeof(sps) - 1); /* from 00 00 01 on */
	assert_int_equal(video_queue_command(&w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_IN), VIDEO_OK);
	assert_int_equal(video_queue_command(&w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_IN), VIDEO_OK);
	/* A seek keeps them. */
	assert_int_equal(kept_headers(j), sizeof(sps) - 1);
	video_read_params(&w, 1, VIDEO_IN, &set.params);
	set.params.format = VIRTIO_VIDEO_FORMAT_VP8;
	assert_int_equal(video_send(&w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &set, sizeof(set), NULL, 0), VIDEO_OK);
	assert_int_equal(kept_headers(j), 0);
	virtio_device_destroy(w.device);
	journal_close(j);
	close(fd);
	fake_guest_destroy(g);
}

/* A device with a journal and stream 1, which has a buffer on both sides. */
static void begin(struct video_world *w, struct journal **j, int *fd)
{
	*w = (struct video_world){.guest = fake_guest_create(NULL)};
	*fd = journal_memfd(JOURNAL_BYTES);
	assert_true(*fd >= 0);
	assert_int_equal(journal_open(*fd, j), 0);
	w->device = make(w->guest, *j, false);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	assert_int_equal(video_create_stream(w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, 0, 4096, NULL), VIDEO_OK);
	assert_int_equal(video_create_buffer(w, 1, VIDEO_OUT, 0, 1 << 20, NULL), VIDEO_OK);
}

static void end(struct video_world *w, struct journal *j, int fd)
{
	virtio_device_destroy(w->device);
	journal_close(j);
	close(fd);
}

/* It dies, and the next one goes on with what is in the journal. */
static void die(struct video_world *w, struct journal **j, int *fd)
{
	journal_copy_keep(&copy, *fd);
	end(w, *j, *fd);
	fake_guest_device_is_gone(w->guest);
	*fd = journal_copy_write(&copy, JOURNAL_BYTES);
	assert_int_equal(journal_open(*fd, j), 0);
	w->device = make(w->guest, *j, false);
	assert_int_equal(fake_guest_take_over(w->guest, w->device), 0);
}

static void the_loss_of_a_codec_is_told_after_a_seek_too(void **state)
{
	struct virtio_video_event event;
	struct fake_request *r;
	struct video_world w;
	struct journal *j;
	int fd;

	(void)state;
	begin(&w, &j, &fd);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(video_wait(&w, video_queue(&w, 1, VIDEO_IN, 0, 64, 1)).flags, 0);
		if (i == 0)
			assert_int_equal(video_queue_command(&w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_IN), VIDEO_OK);
	}
	die(&w, &j, &fd);
	assert_int_equal(video_wait(&w, video_queue(&w, 1, VIDEO_IN, 0, 64, 1)).hdr.type,
			 VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION);
	r = video_post_event(&w);
	event = video_wait_event(&w, r);
	assert_int_equal(event.event_type, VIRTIO_VIDEO_EVENT_ERROR);
	assert_int_equal(event.stream_id, 1);
	end(&w, j, fd);
	fake_guest_destroy(w.guest);
}

/* A buffer that is queued to the next one comes to no end before it is cleared. */
static void expect_no_end_after_death(struct video_world *w, struct journal **j, int *fd)
{
	struct fake_request *out;

	die(w, j, fd);
	out = video_queue(w, 1, VIDEO_OUT, 0, 0, 0);
	video_settle(w);
	assert_false(out->done);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	video_wait(w, out);
}

/* A drain was answered without a buffer to mark. */
static void the_end_that_is_owed_comes(void **state)
{
	struct fake_request *out;
	struct video_world w;
	struct journal *j;
	int fd;

	(void)state;
	begin(&w, &j, &fd);
	assert_int_equal(video_wait(&w, video_drain(&w, 1)).hdr.type, VIDEO_OK);
	die(&w, &j, &fd);
	out = video_queue(&w, 1, VIDEO_OUT, 0, 0, 0);
	assert_int_equal(video_wait(&w, out).flags, VIRTIO_VIDEO_BUFFER_FLAG_EOS);
	/* Once. */
	expect_no_end_after_death(&w, &j, &fd);
	/* Nor for what was cleared, or goes on. */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(video_wait(&w, video_drain(&w, 1)).hdr.type, VIDEO_OK);
		if (i == 0)
			assert_int_equal(video_queue_command(&w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
		else
			video_wait(&w, video_queue(&w, 1, VIDEO_IN, 0, 0, 1));
		expect_no_end_after_death(&w, &j, &fd);
	}
	end(&w, j, fd);
	fake_guest_destroy(w.guest);
}

/* What no guest of the dialect could have set is in no stream. */
static void a_picture_format_without_a_number_is_not_given_back(void **state)
{
	enum { RECORD_STREAM = 1, PICTURE_AT = 4 };
	const struct video_picture_format *format;

	(void)state;
	for (unsigned row = 0; (format = video_picture_format_at(row)) != NULL; row++) {
		struct fake_guest *g = fake_guest_create(NULL);
		int fd = journal_memfd(JOURNAL_BYTES);
		uint32_t first, second;

		assert_true(fd >= 0);
		fill(g, fd, row % 2);
		close(fd);
		for (unsigned i = 0; i < copy.count; i++) {
			if (copy.records[i].key.type == RECORD_STREAM)
				memcpy(copy.records[i].payload + PICTURE_AT, &row, sizeof(row));
		}
		fd = journal_copy_write(&copy, JOURNAL_BYTES);
		take_over(g, fd, row % 2, &first, &second);
		assert_int_equal(first, format->number ? VIDEO_OK : VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID);
		assert_int_equal(second, first);
		close(fd);
		fake_guest_destroy(g);
	}
}

/* As after deaths by a driver, when the host's hardware is left alone. */
static void a_profile_that_is_there_no_more_takes_no_stream_along(void **state)
{
	struct {
		struct virtio_video_set_control set;
		struct virtio_video_control_value value;
	} request = {{.control = VIRTIO_VIDEO_CONTROL_PROFILE}, {.value = VIRTIO_VIDEO_PROFILE_H264_MAIN}};
	struct virtio_video_get_control get = {.control = VIRTIO_VIDEO_CONTROL_PROFILE};
	struct virtio_video_get_control_resp answer;
	struct fake_guest *g = fake_guest_create(NULL);
	struct video_world w = {.guest = g};
	int fd = journal_memfd(JOURNAL_BYTES);
	struct journal *j;

	(void)state;
	assert_true(fd >= 0);
	for (unsigned i = 0; i < 2; i++) {
		has_fewer = i == 1;
		assert_int_equal(journal_open(fd, &j), 0);
		w.device = make(g, j, true);
		if (i == 0) {
			assert_int_equal(fake_guest_start(g, w.device), 0);
			assert_int_equal(video_create_stream(&w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
			assert_int_equal(
				video_send(&w, VIRTIO_VIDEO_CMD_SET_CONTROL, 1, &request, sizeof(request), NULL, 0),
				VIDEO_OK);
			journal_copy_keep(&copy, fd);
		} else {
			assert_int_equal(fake_guest_take_over(g, w.device), 0);
		}
		assert_int_equal(
			video_send(&w, VIRTIO_VIDEO_CMD_GET_CONTROL, 1, &get, sizeof(get), &answer, sizeof(answer)),
			VIRTIO_VIDEO_RESP_OK_GET_CONTROL);
		assert_int_equal(answer.value.value,
				 i == 0 ? VIRTIO_VIDEO_PROFILE_H264_MAIN : VIRTIO_VIDEO_PROFILE_H264_BASELINE);
		virtio_device_destroy(w.device);
		journal_close(j);
		close(fd);
		fake_guest_device_is_gone(g);
		fd = journal_copy_write(&copy, JOURNAL_BYTES);
	}
	has_fewer = false;
	close(fd);
	fake_guest_destroy(g);
}

static void a_journal_of_a_stranger_does_no_harm(void **state)
{
	unsigned seed = 1, whole = 0, gone = 0;

	(void)state;
	for (unsigned encoder = 0; encoder < 2; encoder++) {
		for (unsigned round = 0; round < SEEDS / 100; round++) {
			struct fake_guest *g = fake_guest_create(NULL);
			int fd = journal_memfd(JOURNAL_BYTES);

			assert_true(fd >= 0);
			fill(g, fd, encoder);
			close(fd);
			/* Damage heaps up. */
			for (unsigned i = 0; i < 8; i++) {
				uint32_t first, second;

				journal_copy_damage(&copy, &seed, 4);
				fd = journal_copy_write(&copy, JOURNAL_BYTES);
				take_over(g, fd, encoder, &first, &second);
				assert_true(first == VIDEO_OK || first == VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID);
				whole += first == VIDEO_OK && second == VIDEO_OK;
				gone += first != VIDEO_OK || second != VIDEO_OK;
				close(fd);
			}
			fake_guest_destroy(g);
		}
	}
	printf("# %u with both streams, %u with less\n", whole, gone);
	/* It was no test else. */
	assert_true(whole > 20 && gone > 20);
}

/* What was written last is missing, from any place on; or a word of it is wrong. */
static void a_torn_journal_gives_what_was_whole(void **state)
{
	(void)state;
	for (unsigned encoder = 0; encoder < 2; encoder++) {
		struct fake_guest *g = fake_guest_create(NULL);
		int fd = journal_memfd(JOURNAL_BYTES);
		unsigned kept[3] = {0};

		assert_true(fd >= 0);
		fill(g, fd, encoder);
		fake_guest_destroy(g);
		for (uint64_t cut = 0, end_at = 1; cut < end_at; cut += 8) {
			for (unsigned rubbish = 0; rubbish < 2; rubbish++) {
				uint32_t first, second;
				uint64_t whole;

				assert_int_equal(pwrite(fd, written, JOURNAL_BYTES, 0), JOURNAL_BYTES);
				whole = journal_copy_tear(fd, JOURNAL_BYTES, cut, rubbish);
				end_at = whole + 8;
				g = fake_guest_create(NULL);
				take_over(g, fd, encoder, &first, &second);
				fake_guest_destroy(g);
				/* None after one that is missing; a record of rubbish may be that of anything. */
				if (!rubbish) {
					assert_true(first == VIDEO_OK || second != VIDEO_OK);
					kept[(first == VIDEO_OK) + (second == VIDEO_OK)]++;
				}
				if (cut >= whole)
					assert_true(first == VIDEO_OK && second == VIDEO_OK);
			}
		}
		printf("# torn: %u with both streams, %u with one, %u with none\n", kept[2], kept[1], kept[0]);
		for (unsigned i = 0; i < 3; i++)
			assert_true(kept[i] > 0);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_and_buffers_are_given_back),
		cmocka_unit_test(a_journal_gives_no_more_streams_than_may_be),
		cmocka_unit_test(parameter_sets_of_another_format_are_forgotten),
		cmocka_unit_test(the_loss_of_a_codec_is_told_after_a_seek_too),
		cmocka_unit_test(the_end_that_is_owed_comes),
		cmocka_unit_test(a_picture_format_without_a_number_is_not_given_back),
		cmocka_unit_test(a_profile_that_is_there_no_more_takes_no_stream_along),
		cmocka_unit_test(a_journal_of_a_stranger_does_no_harm),
		cmocka_unit_test(a_torn_journal_gives_what_was_whole),
	};

	return cmocka_run_group_tests_name("video restore", tests, NULL, NULL);
}
