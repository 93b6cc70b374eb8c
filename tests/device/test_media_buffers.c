// SPDX-License-Identifier: MIT
/* V4L2 buffers of virtio-media: made, added, limited, and what is checked when one is queued. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "host/video/codec_fake.h"
#include "tests/lib/media_world.h"

static void buffers_are_made_and_given_up(void **state)
{
	uint32_t id, count = 100, none = 0;
	struct media_world *w = media_world_open(NULL, &id);
	struct v4l2_requestbuffers r = {.count = 1, .type = MEDIA_OUTPUT, .memory = V4L2_MEMORY_MMAP, .flags = 1};
	struct v4l2_plane planes[8];
	struct v4l2_buffer b;

	(void)state;
	assert_int_equal(media_call(w, id, VIDIOC_REQBUFS, &r), 0);
	assert_int_equal(r.capabilities, V4L2_BUF_CAP_SUPPORTS_MMAP | V4L2_BUF_CAP_SUPPORTS_USERPTR |
						 V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS);
	assert_int_equal(r.flags, 0);
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_USERPTR, &count), 0);
	assert_int_equal(count, 32);
	for (uint32_t memory = 0; memory < 6; memory++) {
		if (memory != V4L2_MEMORY_MMAP && memory != V4L2_MEMORY_USERPTR)
			assert_int_equal(media_request(w, id, MEDIA_OUTPUT, memory, &count), -EINVAL);
	}
	assert_int_equal(media_request(w, id, V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_MEMORY_MMAP, &count), -EINVAL);
	assert_int_equal(media_query(w, id, MEDIA_OUTPUT, 31, &b, planes, 8), 0);
	assert_int_equal(b.length, 1);
	assert_int_equal(b.memory, V4L2_MEMORY_USERPTR);
	assert_int_equal(media_query(w, id, MEDIA_OUTPUT, 32, &b, planes, 8), -EINVAL);
	assert_int_equal(media_query(w, id, V4L2_BUF_TYPE_VIDEO_OUTPUT, 0, &b, planes, 8), -EINVAL);
	assert_int_equal(media_query(w, id, MEDIA_OUTPUT, 0, &b, planes, 0), -EINVAL);
	assert_int_equal(media_stream(w, id, MEDIA_OUTPUT, true), 0);
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), -EBUSY);
	/* None is a STREAMOFF. */
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &none), 0);
	assert_int_equal(media_query(w, id, MEDIA_OUTPUT, 0, &b, planes, 1), -EINVAL);
	assert_int_equal(media_stream(w, id, MEDIA_OUTPUT, true), -EINVAL);
	assert_int_equal(media_stream(w, id, MEDIA_OUTPUT, false), 0);
	assert_int_equal(media_stream(w, id, V4L2_BUF_TYPE_VIDEO_OUTPUT, true), -EINVAL);
	assert_int_equal(media_stream(w, id, V4L2_BUF_TYPE_VIDEO_OUTPUT, false), -EINVAL);
	media_world_destroy(w);
}

static void limits_answer_no_memory(void **state)
{
	struct media_world *w =
		media_world_create(&(struct video_world_options){.buffer_bytes = 5 << 20, .buffers = 6});
	struct v4l2_create_buffers c = {.count = 3, .memory = V4L2_MEMORY_MMAP};
	uint32_t id, other, count = 4, more = 2;

	(void)state;
	assert_int_equal(media_open(w, &id), 0);
	assert_int_equal(media_open(w, &other), 0);
	/* 1 MiB each. */
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(count, 4);
	assert_int_equal(media_request(w, other, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &more), -ENOMEM);
	more = 1;
	assert_int_equal(media_request(w, other, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &more), 0);
	c.format.type = MEDIA_OUTPUT;
	assert_int_equal(media_call(w, id, VIDIOC_G_FMT, &c.format), 0);
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -ENOMEM);
	media_close(w, other);
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), 0);
	assert_int_equal(c.count, 1);
	assert_int_equal(c.index, 4);
	count = 100;
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_USERPTR, &count), 0);
	assert_int_equal(count, 6);
	media_world_destroy(w);
}

static void mapped_memory_counts_until_it_is_unmapped(void **state)
{
	struct media_world *w = media_world_create(&(struct video_world_options){.buffer_bytes = 3 << 20});
	uint32_t id, count = 2;
	uint64_t at;

	(void)state;
	assert_int_equal(media_open(w, &id), 0);
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(media_map(w, id, 0, true, &at, NULL), 0);
	media_close(w, id);
	assert_int_equal(media_open(w, &id), 0);
	count = 3;
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), -ENOMEM);
	assert_int_equal(media_unmap(w, at), 0);
	count = 3;
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	media_world_destroy(w);
}

static void created_buffers_are_added(void **state)
{
	uint32_t id;
	struct media_world *w = media_world_open(NULL, &id);
	struct v4l2_create_buffers c = {.memory = V4L2_MEMORY_MMAP}, good;
	struct v4l2_plane plane;
	struct v4l2_buffer b;

	(void)state;
	c.format.type = MEDIA_CAPTURE;
	assert_int_equal(media_call(w, id, VIDIOC_G_FMT, &c.format), 0);
	good = c;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), 0);
	assert_int_equal(c.index, 0);
	c = good;
	c.count = 3;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), 0);
	assert_true(c.index == 0 && c.count == 3);
	/* Larger ones are fine, of one plane and the same memory. */
	c = good;
	c.count = 2;
	c.format.fmt.pix_mp.plane_fmt[0].sizeimage += 1000;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), 0);
	assert_true(c.index == 3 && c.count == 2);
	assert_int_equal(media_query(w, id, MEDIA_CAPTURE, 4, &b, &plane, 1), 0);
	assert_int_equal(plane.length, 640 * 480 * 3 / 2 + 1000);
	c = good;
	c.count = 1;
	c.memory = V4L2_MEMORY_USERPTR;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -EINVAL);
	c = good;
	c.count = 1;
	c.format.fmt.pix_mp.plane_fmt[0].sizeimage--;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -EINVAL);
	c = good;
	c.count = 1;
	c.format.fmt.pix_mp.plane_fmt[0].sizeimage = 0xffffffff;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -EINVAL);
	c = good;
	c.count = 1;
	c.format.fmt.pix_mp.num_planes = 2;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -EINVAL);
	c = good;
	c.count = 1;
	c.memory = V4L2_MEMORY_DMABUF;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -EINVAL);
	c = good;
	c.count = 1;
	c.format.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -EINVAL);
	c = good;
	c.count = 0xffffffff;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), 0);
	assert_true(c.index == 5 && c.count == 27);
	c = good;
	c.count = 1;
	assert_int_equal(media_call(w, id, VIDIOC_CREATE_BUFS, &c), -ENOBUFS);
	media_world_destroy(w);
}

static int queue(struct media_world *w, uint32_t id, const struct v4l2_buffer *change, struct v4l2_plane plane)
{
	struct v4l2_buffer b = *change;
	struct v4l2_plane planes[8] = {plane};

	return media_call_long(w, id, VIDIOC_QBUF, &b, planes, (b.length > 8 ? 8 : b.length) * sizeof(plane), NULL, 0);
}

static void what_is_queued_is_checked(void **state)
{
	const struct v4l2_buffer good = {.type = MEDIA_OUTPUT, .memory = V4L2_MEMORY_MMAP, .length = 1};
	const struct v4l2_plane plane = {.bytesused = 100};
	uint32_t id, count = 2;
	struct media_world *w = media_world_open(NULL, &id);
	struct v4l2_plane seen;
	struct v4l2_buffer b;

	(void)state;
	assert_int_equal(queue(w, id, &good, plane), -EINVAL);
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	b = good;
	b.index = 2;
	assert_int_equal(queue(w, id, &b, plane), -EINVAL);
	b = good;
	b.memory = V4L2_MEMORY_USERPTR;
	assert_int_equal(queue(w, id, &b, plane), -EINVAL);
	b = good;
	b.length = 0;
	assert_int_equal(queue(w, id, &b, plane), -EINVAL);
	b.length = 9;
	assert_int_equal(queue(w, id, &b, plane), -EINVAL);
	b = good;
	b.flags = V4L2_BUF_FLAG_REQUEST_FD;
	assert_int_equal(queue(w, id, &b, plane), -EBADR);
	assert_int_equal(queue(w, id, &good, (struct v4l2_plane){.bytesused = (1 << 20) + 1}), -EINVAL);
	assert_int_equal(queue(w, id, &good, (struct v4l2_plane){.bytesused = 100, .data_offset = 100}), -EINVAL);
	assert_int_equal(queue(w, id, &good, (struct v4l2_plane){.bytesused = 0xffffffff, .data_offset = 0xfffffff0}),
			 -EINVAL);
	/* More planes than it has are fine. */
	b = good;
	b.length = 8;
	assert_int_equal(queue(w, id, &b, (struct v4l2_plane){.bytesused = 100, .data_offset = 99}), 0);
	assert_int_equal(queue(w, id, &good, plane), -EINVAL);
	assert_int_equal(media_query(w, id, MEDIA_OUTPUT, 0, &b, &seen, 1), 0);
	assert_int_equal(b.flags, V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_TIMESTAMP_COPY);
	assert_int_equal(seen.bytesused, 100);
	assert_int_equal(seen.data_offset, 99);
	media_world_destroy(w);
}

static void data_may_begin_behind_an_offset(void **state)
{
	const struct fake_header h = {FAKE_MAGIC, FAKE_PICTURE, 640, 480, 1};
	const struct v4l2_buffer b = {.type = MEDIA_OUTPUT, .memory = V4L2_MEMORY_MMAP, .length = 1};
	uint32_t id, count = 1;
	struct media_world *w = media_world_open(NULL, &id);
	uint64_t at;

	(void)state;
	assert_int_equal(media_subscribe_to(w, id, V4L2_EVENT_SOURCE_CHANGE, 0, 0), 0);
	assert_int_equal(media_request(w, id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(media_map(w, id, 0, true, &at, NULL), 0);
	memcpy(media_seen(w, at) + 77, &h, sizeof(h));
	assert_int_equal(media_stream(w, id, MEDIA_OUTPUT, true), 0);
	assert_int_equal(queue(w, id, &b, (struct v4l2_plane){.bytesused = 77 + sizeof(h), .data_offset = 77}), 0);
	assert_int_equal(media_dequeue_event(w, id).type, V4L2_EVENT_SOURCE_CHANGE);
	media_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffers_are_made_and_given_up),
		cmocka_unit_test(limits_answer_no_memory),
		cmocka_unit_test(mapped_memory_counts_until_it_is_unmapped),
		cmocka_unit_test(created_buffers_are_added),
		cmocka_unit_test(what_is_queued_is_checked),
		cmocka_unit_test(data_may_begin_behind_an_offset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
