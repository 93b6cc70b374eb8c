// SPDX-License-Identifier: MIT
/*
 * Pictures that an encoder reads where they are: the guest has its buffer back when they were read, and at once when it
 * wants it back; whatever the buffer is made of, the codec gets the same samples.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/video/buffer.h"
#include "host/video/codec_fake.h"
#include "host/video/pages.h"
#include "host/virtio/mem.h"
#include "tests/lib/video_world.h"

enum { WIDTH = 128, HEIGHT = 96, PICTURE = WIDTH * HEIGHT * 3 / 2, PACKET = 65536, PAGE = 4096 };

#define H264 VIRTIO_VIDEO_FORMAT_H264
#define ERR VIRTIO_VIDEO_BUFFER_FLAG_ERR

/* An encoder stream 1 for I420 of 128x96. */
static struct video_world *make_encoder(void)
{
	struct video_world *w = video_world_create(&(struct video_world_options){.encoder = true});
	struct virtio_video_set_params c = {0};

	assert_int_equal(video_create_stream(w, 1, H264), VIDEO_OK);
	video_read_params(w, 1, VIDEO_IN, &c.params);
	c.params.format = VIRTIO_VIDEO_FORMAT_YUV420;
	c.params.frame_width = WIDTH;
	c.params.frame_height = HEIGHT;
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &c, sizeof(c), NULL, 0), VIDEO_OK);
	return w;
}

static uint8_t sample(uint32_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

static uint64_t copies(struct video_world *w)
{
	struct video_stats stats;

	video_get_stats(w->device, &stats);
	return stats.codec.copies;
}

/* Encode what lies in @count pieces; returns how many copies that took. */
static uint64_t encode(const struct virtio_video_mem_entry *pieces, uint32_t count, struct video_world *w)
{
	struct fake_request *in, *out;
	struct virtio_video_resource_queue_resp resp;
	uint64_t packet;
	uint32_t at = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint8_t *p = fake_guest_ptr(w->guest, pieces[i].addr, pieces[i].length);

		for (uint32_t k = 0; k < pieces[i].length; k++)
			p[k] = sample(at++);
	}
	assert_int_equal(video_create_scattered(w, 1, VIDEO_IN, 1, pieces, count), VIDEO_OK);
	assert_int_equal(video_create_buffer(w, 1, VIDEO_OUT, 1, PACKET, &packet), VIDEO_OK);
	out = video_queue(w, 1, VIDEO_OUT, 1, 0, 0);
	in = video_queue(w, 1, VIDEO_IN, 1, PICTURE, 5);
	assert_int_equal(video_wait(w, in).flags, 0);
	resp = video_wait(w, out);
	assert_int_equal(resp.timestamp, 5);
	assert_int_equal(resp.size, sizeof(struct fake_header) + PICTURE);
	for (uint32_t i = 0; i < PICTURE; i++)
		assert_int_equal(
			((uint8_t *)fake_guest_ptr(w->guest, packet, resp.size))[sizeof(struct fake_header) + i],
			sample(i));
	return copies(w);
}

static void whole_pages_are_not_copied(void **state)
{
	struct virtio_video_mem_entry pieces[3];
	struct video_world *w = make_encoder();

	(void)state;
	/* Two in reverse order of their addresses, the third above 4 GiB and ending within a page. */
	pieces[1] = (struct virtio_video_mem_entry){.addr = fake_guest_alloc(w->guest, 3 * PAGE, PAGE), .length = PAGE};
	pieces[0] = (struct virtio_video_mem_entry){.addr = pieces[1].addr + 2 * PAGE, .length = PAGE};
	pieces[2] = (struct virtio_video_mem_entry){.addr = fake_guest_alloc_high(w->guest, 3 * PAGE, PAGE),
						    .length = PICTURE - 2 * PAGE};
	assert_int_equal(encode(pieces, 3, w), 0);
	video_world_destroy(w);
	/* One piece may begin anywhere. */
	w = make_encoder();
	pieces[0] = (struct virtio_video_mem_entry){.addr = fake_guest_alloc(w->guest, 6 * PAGE, PAGE) + 48,
						    .length = PICTURE};
	assert_int_equal(encode(pieces, 1, w), 0);
	video_world_destroy(w);
}

static void what_can_not_be_mapped_is_copied_once(void **state)
{
	struct virtio_video_mem_entry pieces[40];
	struct video_world *w = make_encoder();

	(void)state;
	for (uint32_t i = 0; i < 40; i++)
		pieces[i] = (struct virtio_video_mem_entry){.addr = fake_guest_alloc(w->guest, 1024, 8),
							    .length = PICTURE / 40 + 1};
	assert_int_equal(encode(pieces, 40, w), 1);
	video_world_destroy(w);
}

/* The codec is the fake one, which reads when the loop turns: until then it has the buffer. */
static void a_lent_buffer_is_queued_until_it_was_read(void **state)
{
	struct video_world *w = make_encoder();
	struct virtio_video_resource_queue_resp resp;
	struct fake_request *in;

	(void)state;
	assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, 1, PICTURE, NULL), VIDEO_OK);
	in = video_queue(w, 1, VIDEO_IN, 1, PICTURE, 7);
	fake_guest_poll(w->guest, 0);
	assert_false(in->done);
	assert_int_equal(video_wait(w, video_queue(w, 1, VIDEO_IN, 1, PICTURE, 8)).hdr.type,
			 VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER);
	resp = video_wait(w, in);
	assert_int_equal(resp.flags, 0);
	assert_int_equal(resp.timestamp, 7);
	/* And again. */
	assert_int_equal(video_wait(w, video_queue(w, 1, VIDEO_IN, 1, PICTURE, 9)).flags, 0);
	video_world_destroy(w);
}

/* Commands that want the buffer back, whose answer comes after the buffer's. */
static void nobody_waits_for_a_codec_that_reads(void **state)
{
	static const struct {
		uint32_t type, queue;
	} commands[] = {
		{VIRTIO_VIDEO_CMD_QUEUE_CLEAR, VIDEO_IN},
		{VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, VIDEO_IN},
		{VIRTIO_VIDEO_CMD_STREAM_DESTROY, 0},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(commands) / sizeof(commands[0]); n++) {
		struct video_world *w = make_encoder();
		struct fake_request *in[3];

		for (uint32_t i = 0; i < 3; i++) {
			assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, i, PICTURE, NULL), VIDEO_OK);
			in[i] = video_queue(w, 1, VIDEO_IN, i, PICTURE, i);
		}
		assert_int_equal(commands[n].queue ? video_queue_command(w, commands[n].type, 1, commands[n].queue)
						   : video_simple(w, commands[n].type, 1),
				 VIDEO_OK);
		for (uint32_t i = 0; i < 3; i++)
			assert_int_equal(video_wait(w, in[i]).flags, ERR);
		video_settle(w);
		/* A reset, and a device that goes, with pictures lent. */
		if (n == 0) {
			in[0] = video_queue(w, 1, VIDEO_IN, 0, PICTURE, 0);
			fake_guest_reset(w->guest);
			assert_true(in[0]->lost);
			assert_int_equal(fake_guest_start(w->guest, w->device), 0);
		}
		video_world_destroy(w);
	}
}

/* The same without a command: over vhost-user the queue itself may have to stop. */
static void a_queue_that_stops_has_lent_nothing(void **state)
{
	struct video_world *w = make_encoder();
	struct fake_request *in[3], *out;

	(void)state;
	assert_int_equal(video_create_buffer(w, 1, VIDEO_OUT, 0, PACKET, NULL), VIDEO_OK);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, i, PICTURE, NULL), VIDEO_OK);
		in[i] = video_queue(w, 1, VIDEO_IN, i, PICTURE, i);
	}
	out = video_queue(w, 1, VIDEO_OUT, 0, 0, 0);
	virtio_device_quiesce_queue(w->device, VIRTIO_VIDEO_QUEUE_COMMAND);
	assert_int_equal(virtq_in_flight(w->device->queues[VIRTIO_VIDEO_QUEUE_COMMAND]), 0);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(video_wait(w, in[i]).flags, ERR);
	assert_int_equal(video_wait(w, out).flags, ERR);
	/* The encoder that read them is not asked any more; another goes on. */
	out = video_queue(w, 1, VIDEO_OUT, 0, 0, 0);
	in[0] = video_queue(w, 1, VIDEO_IN, 0, PICTURE, 9);
	assert_int_equal(video_wait(w, in[0]).flags, 0);
	assert_int_equal(video_wait(w, out).timestamp, 9);
	video_world_destroy(w);
}

static void a_drain_waits_for_what_is_lent(void **state)
{
	struct video_world *w = make_encoder();
	struct fake_request *in[2], *out[3], *drain;

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(video_create_buffer(w, 1, VIDEO_OUT, i, PACKET, NULL), VIDEO_OK);
		out[i] = video_queue(w, 1, VIDEO_OUT, i, 0, 0);
	}
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, i, PICTURE, NULL), VIDEO_OK);
		in[i] = video_queue(w, 1, VIDEO_IN, i, PICTURE, i);
	}
	drain = video_drain(w, 1);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(video_wait(w, in[i]).flags, 0);
	assert_int_equal(video_wait(w, out[0]).timestamp, 0);
	assert_int_equal(video_wait(w, out[1]).timestamp, 1);
	assert_int_equal(video_wait(w, out[2]).flags, VIRTIO_VIDEO_BUFFER_FLAG_EOS);
	assert_int_equal(video_wait(w, drain).hdr.type, VIDEO_OK);
	video_world_destroy(w);
}

/* The memory map of the device goes, as over vhost-user: pages that are held stay readable. */
static void pages_outlive_the_memory_map(void **state)
{
	const int fd = memfd_create("guest", MFD_CLOEXEC);
	struct guest_mem_region region = {.gpa = 0x100000, .size_bytes = 8 * PAGE, .fd = fd, .fd_offset = 0};
	struct video_buffer b = {.piece_count = 2, .bytes = 2 * PAGE};
	struct video_pages *pages;
	struct iovec pieces[2];
	struct guest_mem *mem;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 8 * PAGE), 0);
	region.host = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(region.host != MAP_FAILED);
	assert_int_equal(guest_mem_create(&mem), 0);
	assert_int_equal(guest_mem_add(mem, &region), 0);
	pieces[0] = (struct iovec){region.host + 5 * PAGE, PAGE};
	pieces[1] = (struct iovec){region.host + PAGE, PAGE};
	b.pieces = pieces;
	memset(pieces[0].iov_base, 0x11, PAGE);
	memset(pieces[1].iov_base, 0x22, PAGE);
	pages = video_pages_map(mem, &b);
	assert_non_null(pages);
	assert_ptr_equal(video_pages_ref(pages), pages);
	video_pages_unref(pages);
	munmap(region.host, 8 * PAGE);
	guest_mem_destroy(mem);
	close(fd);
	assert_int_equal(video_pages_bytes(pages)[0], 0x11);
	assert_int_equal(video_pages_bytes(pages)[PAGE - 1], 0x11);
	assert_int_equal(video_pages_bytes(pages)[PAGE], 0x22);
	video_pages_unref(pages);
	video_pages_unref(NULL);
}

static void pieces_that_do_not_fit_together_are_refused(void **state)
{
	struct fake_guest *g = fake_guest_create(NULL);
	const struct guest_mem *mem = fake_guest_mem(g);
	uint8_t *at = guest_mem_range(mem, fake_guest_alloc(g, 600 * PAGE, PAGE), 600 * PAGE);
	const struct {
		struct iovec pieces[2];
		unsigned count;
	} cases[] = {
		{{{at, 100}, {at + PAGE, PAGE}}, 2},	  /* ends within a page */
		{{{at, PAGE}, {at + PAGE + 8, PAGE}}, 2}, /* begins within one */
		{{{at + 8, PAGE}, {at + 4 * PAGE, PAGE}}, 2},
		{{{(void *)(uintptr_t)&mem, 8}, {NULL, 0}}, 1}, /* not the guest's */
		{{{NULL, 0}, {NULL, 0}}, 0},
	};
	struct iovec many[300];
	struct video_buffer b = {.pieces = many, .piece_count = 300, .bytes = 300 * PAGE};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct iovec pieces[2] = {cases[i].pieces[0], cases[i].pieces[1]};
		const struct video_buffer one = {.pieces = pieces,
						 .piece_count = cases[i].count,
						 .bytes = pieces[0].iov_len + pieces[1].iov_len};

		assert_null(video_pages_map(mem, &one));
	}
	for (unsigned i = 0; i < 300; i++)
		many[i] = (struct iovec){at + 2 * i * PAGE, PAGE};
	assert_null(video_pages_map(mem, &b));
	b.piece_count = 200;
	b.bytes = 200 * PAGE;
	b.pieces = many;
	b.pages = video_pages_map(mem, &b);
	assert_non_null(b.pages);
	video_pages_unref(b.pages);
	fake_guest_destroy(g);
}

/* A process has so many mappings, and others need some: what the guest scatters over more is copied. */
static void mappings_of_all_buffers_are_limited(void **state)
{
	enum { PIECES = 256, MOST = 100 };
	struct fake_guest *g = fake_guest_create(NULL);
	uint8_t *at = guest_mem_range(fake_guest_mem(g), fake_guest_alloc(g, 2 * PIECES * PAGE, PAGE), 2 * PIECES * PAGE);
	struct iovec pieces[PIECES];
	const struct video_buffer b = {.pieces = pieces, .piece_count = PIECES, .bytes = PIECES * PAGE};
	struct video_pages *mapped[MOST];
	unsigned count = 0;

	(void)state;
	assert_non_null(at);
	for (unsigned i = 0; i < PIECES; i++)
		pieces[i] = (struct iovec){at + 2 * i * PAGE, PAGE};
	while (count < MOST && (mapped[count] = video_pages_map(fake_guest_mem(g), &b)))
		count++;
	assert_true(count >= 32 && count < MOST);
	video_pages_unref(mapped[--count]);
	mapped[count] = video_pages_map(fake_guest_mem(g), &b);
	assert_non_null(mapped[count++]);
	assert_null(video_pages_map(fake_guest_mem(g), &b));
	while (count > 0)
		video_pages_unref(mapped[--count]);
	fake_guest_destroy(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_pages_are_not_copied),
		cmocka_unit_test(what_can_not_be_mapped_is_copied_once),
		cmocka_unit_test(a_lent_buffer_is_queued_until_it_was_read),
		cmocka_unit_test(nobody_waits_for_a_codec_that_reads),
		cmocka_unit_test(a_queue_that_stops_has_lent_nothing),
		cmocka_unit_test(a_drain_waits_for_what_is_lent),
		cmocka_unit_test(pages_outlive_the_memory_map),
		cmocka_unit_test(pieces_that_do_not_fit_together_are_refused),
		cmocka_unit_test(mappings_of_all_buffers_are_limited),
	};

	return cmocka_run_group_tests_name("video_lending", tests, NULL, NULL);
}
