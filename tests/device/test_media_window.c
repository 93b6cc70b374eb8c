// SPDX-License-Identifier: MIT
/* MMAP and MUNMAP: the window in which the guest of virtio-media sees its buffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "tests/lib/media_player.h"

static void mappings_live_until_they_are_unmapped(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct v4l2_plane plane;
	struct v4l2_buffer b;
	uint64_t again, read_only;
	struct player p;

	(void)state;
	player_open(&p, w);
	assert_int_equal(w->home.maps, PLAYER_INPUTS);
	assert_int_equal(media_query(w, p.id, MEDIA_OUTPUT, 0, &b, &plane, 1), 0);
	assert_int_equal(media_map(w, p.id, plane.m.mem_offset, true, &again, NULL), 0);
	assert_int_equal(again, p.in_at[0]);
	assert_int_equal(w->home.maps, PLAYER_INPUTS);
	/* Without leave to write it is another. */
	assert_int_equal(media_map(w, p.id, plane.m.mem_offset, false, &read_only, NULL), 0);
	assert_int_not_equal(read_only, again);
	p.in[0][7] = 0x77;
	assert_int_equal(media_seen(w, read_only)[7], 0x77);
	media_close(w, p.id);
	assert_int_equal(p.in[0][7], 0x77);
	assert_int_equal(media_unmap(w, again), 0);
	assert_int_equal(w->home.unmaps, 0);
	assert_int_equal(media_unmap(w, again), 0);
	assert_int_equal(w->home.unmaps, 1);
	assert_int_equal(media_unmap(w, again), -EINVAL);
	assert_int_equal(media_unmap(w, read_only + 4096), -EINVAL);
	assert_int_equal(media_unmap(w, read_only), 0);
	/* The first place is free again. */
	player_open(&p, w);
	assert_int_equal(p.in_at[0], again);
	media_world_destroy(w);
}

static void offsets_name_planes_that_are_there(void **state)
{
	struct media_world *w = media_world_create(NULL);
	uint32_t count = 1;
	struct player p;
	uint64_t at;

	(void)state;
	player_open(&p, w);
	assert_int_equal(media_map(w, p.id + 1, 0, true, &at, NULL), -EINVAL);
	assert_int_equal(media_map(w, p.id, 1, true, &at, NULL), -EINVAL);
	assert_int_equal(media_map(w, p.id, 1 << 16, true, &at, NULL), -EINVAL);
	assert_int_equal(media_map(w, p.id, PLAYER_INPUTS * 8 << 16, true, &at, NULL), -EINVAL);
	assert_int_equal(media_map(w, p.id, 32 * 8 << 16, true, &at, NULL), -EINVAL);
	assert_int_equal(media_map(w, p.id, 0xffff0000, true, &at, NULL), -EINVAL);
	assert_int_equal(media_request(w, p.id, MEDIA_CAPTURE, V4L2_MEMORY_USERPTR, &count), 0);
	assert_int_equal(media_map(w, p.id, 32 * 8 << 16, true, &at, NULL), -EINVAL);
	media_close(w, p.id);
	assert_int_equal(media_open(w, &p.id), 0);
	player_set_format(&p, MEDIA_OUTPUT, V4L2_PIX_FMT_H264, PLAYER_WIDTH, PLAYER_HEIGHT);
	assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	w->home.fail = -EOPNOTSUPP;
	assert_int_equal(media_map(w, p.id, 0, true, &at, NULL), -EOPNOTSUPP);
	assert_int_equal(media_map(w, p.id, 0, true, &at, NULL), 0);
	media_world_destroy(w);
}

static void *add_map(struct media_world *w, uint32_t session)
{
	const struct virtio_media_cmd_mmap c = {{VIRTIO_MEDIA_CMD_MMAP, 0}, session, VIRTIO_MEDIA_MMAP_FLAG_RW, 0};
	struct fake_request *r = fake_guest_add(w->guest, 0, &c, sizeof(c), sizeof(struct virtio_media_resp_mmap));

	fake_guest_kick(w->guest, 0);
	media_settle(w);
	return r;
}

static void expect_status(struct media_world *w, struct fake_request *r, int err)
{
	struct virtio_media_resp_header h;

	assert_int_equal(fake_guest_wait(w->guest, r, 1000), 0);
	assert_true(r->used_len >= sizeof(h));
	memcpy(&h, r->out, sizeof(h));
	assert_int_equal(h.status, -err);
	fake_guest_free_request(w->guest, r);
}

static void answer_home(struct media_world *w)
{
	while (fake_shmem_answer(&w->home))
		;
}

static void a_home_may_answer_later(void **state)
{
	struct media_world *w = media_world_create(NULL);
	const struct virtio_media_cmd_munmap c = {{VIRTIO_MEDIA_CMD_MUNMAP, 0}, 0};
	struct fake_request *first, *second;
	uint32_t count = 1;
	struct player p = {.w = w};

	(void)state;
	assert_int_equal(media_open(w, &p.id), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	w->home.later = true;
	first = add_map(w, p.id);
	second = add_map(w, p.id);
	assert_false(first->done || second->done);
	assert_int_equal(w->home.count, 1);
	/* Nothing else waits for it, and a mapping that isn't there yet can't be undone. */
	assert_int_equal(media_unmap(w, 0), -EINVAL);
	media_close(w, p.id);
	answer_home(w);
	expect_status(w, first, 0);
	expect_status(w, second, 0);
	/* The first of two goes at once. */
	assert_int_equal(media_unmap(w, 0), 0);
	first = fake_guest_add(w->guest, 0, &c, sizeof(c), sizeof(struct virtio_media_resp_munmap));
	fake_guest_kick(w->guest, 0);
	media_settle(w);
	assert_false(first->done);
	assert_int_equal(media_unmap(w, 0), -EINVAL);
	answer_home(w);
	expect_status(w, first, 0);
	/* And one that fails. */
	assert_int_equal(media_open(w, &p.id), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	first = add_map(w, p.id);
	w->home.size = 0;
	answer_home(w);
	expect_status(w, first, -ERANGE);
	w->home.size = w->device->shmem.size_bytes;
	/* A reset takes back what was asked. */
	first = add_map(w, p.id);
	assert_int_equal(w->home.count, 1);
	media_world_restart(w);
	assert_int_equal(w->home.cancels, 1);
	fake_guest_free_request(w->guest, first);
	media_world_destroy(w);
}

static struct fake_request *add_unmap(struct media_world *w, uint64_t at)
{
	const struct virtio_media_cmd_munmap c = {{VIRTIO_MEDIA_CMD_MUNMAP, 0}, at};
	struct fake_request *r = fake_guest_add(w->guest, 0, &c, sizeof(c), sizeof(struct virtio_media_resp_munmap));

	fake_guest_kick(w->guest, 0);
	media_settle(w);
	return r;
}

/* Its frontend answers nothing until then. */
static void nobody_waits_for_the_home_when_the_ring_stops(void **state)
{
	struct media_world *w = media_world_create(NULL);
	struct fake_request *first, *second;
	uint32_t count = 1;
	struct player p = {.w = w};

	(void)state;
	assert_int_equal(media_open(w, &p.id), 0);
	assert_int_equal(media_request(w, p.id, MEDIA_OUTPUT, V4L2_MEMORY_MMAP, &count), 0);
	w->home.later = true;
	first = add_map(w, p.id);
	second = add_map(w, p.id);
	virtio_device_quiesce_queue(w->device, VIRTIO_MEDIA_QUEUE_EVENT);
	media_settle(w);
	assert_false(first->done || second->done);
	virtio_device_quiesce_queue(w->device, VIRTIO_MEDIA_QUEUE_COMMAND);
	expect_status(w, first, -EIO);
	expect_status(w, second, -EIO);
	/* It comes, and is of no use. */
	assert_true(fake_shmem_answer(&w->home));
	assert_int_equal(fake_shmem_count(&w->home), 1);
	assert_int_equal(media_unmap(w, 0), -EINVAL);
	assert_true(fake_shmem_answer(&w->home));
	assert_int_equal(fake_shmem_count(&w->home), 0);
	assert_false(fake_shmem_answer(&w->home));
	/* Unless somebody has asked again meanwhile. */
	first = add_map(w, p.id);
	virtio_device_quiesce_queue(w->device, VIRTIO_MEDIA_QUEUE_COMMAND);
	expect_status(w, first, -EIO);
	second = add_map(w, p.id);
	answer_home(w);
	expect_status(w, second, 0);
	assert_int_equal(fake_shmem_count(&w->home), 1);
	/* What was to be unmapped will be. */
	first = add_unmap(w, 0);
	assert_false(first->done);
	virtio_device_quiesce_queue(w->device, VIRTIO_MEDIA_QUEUE_COMMAND);
	expect_status(w, first, 0);
	second = add_map(w, p.id);
	answer_home(w);
	expect_status(w, second, 0);
	assert_int_equal(fake_shmem_count(&w->home), 1);
	media_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mappings_live_until_they_are_unmapped),
		cmocka_unit_test(offsets_name_planes_that_are_there),
		cmocka_unit_test(a_home_may_answer_later),
		cmocka_unit_test(nobody_waits_for_the_home_when_the_ring_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
