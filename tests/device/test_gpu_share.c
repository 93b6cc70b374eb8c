// SPDX-License-Identifier: MIT
/* A guest whose share of the renderer's time is spent waits, and no longer than it must. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "host/base/loop.h"
#include "tests/lib/gpu_world.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define MS 1000000ull

static struct gpu_world *world(unsigned share)
{
	struct gpu_world *w = gpu_world_create(&(struct gpu_world_options){.fake_3d = true, .share = share});

	assert_int_equal(gpu_context(w, 1, 0, "one"), OK);
	return w;
}

/* Drawing whose fence the renderer holds. */
static struct fake_request *draw(struct gpu_world *w)
{
	struct {
		struct virtio_gpu_cmd_submit head;
		uint32_t word;
	} c = {.head = {.hdr = {.type = VIRTIO_GPU_CMD_SUBMIT_3D, .flags = VIRTIO_GPU_FLAG_FENCE, .fence_id = 1, .ctx_id = 1},
			.size = 4}};
	struct fake_request *r = fake_guest_add(w->guest, VIRTIO_GPU_QUEUE_CONTROL, &c, sizeof(c), sizeof(c.head.hdr));

	fake_guest_kick(w->guest, VIRTIO_GPU_QUEUE_CONTROL);
	return r;
}

static void pass(struct gpu_world *w, unsigned ms)
{
	fake_guest_run_until(w->guest, NULL, NULL, (int)ms);
}

static void move_cursor(struct gpu_world *w)
{
	struct virtio_gpu_update_cursor c = {.hdr.type = VIRTIO_GPU_CMD_MOVE_CURSOR};
	struct virtio_gpu_ctrl_hdr h;

	assert_int_equal(fake_guest_request(w->guest, VIRTIO_GPU_QUEUE_CURSOR, &c, sizeof(c), &h, sizeof(h), NULL), 0);
}

static bool is_drawn(void *arg)
{
	return ((struct gpu_world *)arg)->renderer->submits >= 2;
}

static void work_that_goes_on_holds_up_the_next(void **state)
{
	struct gpu_world *w = world(50);
	struct fake_request *first = draw(w), *second;
	uint64_t ended;

	(void)state;
	pass(w, 1);
	assert_int_equal(w->renderer->submits, 1);
	/* Far more than the share that was saved up. */
	pass(w, 200);
	assert_int_equal(w->renderer->submits, 1);
	second = draw(w);
	pass(w, 100);
	assert_int_equal(w->renderer->submits, 1);
	/* What needs no renderer goes on. */
	move_cursor(w);
	fake_renderer_finish(w->renderer, 1);
	ended = loop_now_ns();
	fake_guest_poll(w->guest, VIRTIO_GPU_QUEUE_CONTROL);
	assert_true(first->done);
	/* About 300 ms of work in 300 ms, with half of it allowed: the rest is waited for. */
	assert_true(fake_guest_run_until(w->guest, is_drawn, w, 20000));
	assert_true(loop_now_ns() - ended >= 150 * MS);
	fake_renderer_finish(w->renderer, 1);
	fake_guest_poll(w->guest, VIRTIO_GPU_QUEUE_CONTROL);
	assert_true(second->done);
	fake_guest_free_request(w->guest, first);
	fake_guest_free_request(w->guest, second);
	gpu_world_destroy(w);
}

static void without_a_limit_nothing_waits(void **state)
{
	struct gpu_world *w = world(0);
	struct fake_request *r[8];

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		r[i] = draw(w);
		pass(w, 30);
		assert_int_equal(w->renderer->submits, i + 1);
	}
	fake_renderer_finish(w->renderer, 8);
	fake_guest_poll(w->guest, VIRTIO_GPU_QUEUE_CONTROL);
	for (unsigned i = 0; i < 8; i++)
		fake_guest_free_request(w->guest, r[i]);
	gpu_world_destroy(w);
}

static void a_guest_that_draws_now_and_then_never_waits(void **state)
{
	struct gpu_world *w = world(50);
	uint64_t took_ns = 0;

	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		struct fake_request *r;
		uint64_t began;

		/* Where the machine was busy, the work before took longer. */
		pass(w, 20 + (unsigned)(took_ns / MS));
		began = loop_now_ns();
		r = draw(w);
		pass(w, 1);
		assert_int_equal(w->renderer->submits, i + 1);
		fake_renderer_finish(w->renderer, 1);
		fake_guest_poll(w->guest, VIRTIO_GPU_QUEUE_CONTROL);
		took_ns = loop_now_ns() - began;
		assert_true(r->done);
		fake_guest_free_request(w->guest, r);
	}
	gpu_world_destroy(w);
}

/* A driver that starts over does not wait for what the one before drew; nor is there anything to wait for. */
static void a_reset_ends_the_work(void **state)
{
	struct gpu_world *w = world(50);
	struct fake_request *left = draw(w), *waits;

	(void)state;
	pass(w, 100);
	waits = draw(w);
	pass(w, 20);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	assert_true(left->lost && waits->lost);
	fake_guest_free_request(w->guest, left);
	fake_guest_free_request(w->guest, waits);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(gpu_context(w, 1, 0, "again"), OK);
		assert_int_equal(gpu_context_gone(w, 1), OK);
	}
	gpu_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(work_that_goes_on_holds_up_the_next),
		cmocka_unit_test(without_a_limit_nothing_waits),
		cmocka_unit_test(a_guest_that_draws_now_and_then_never_waits),
		cmocka_unit_test(a_reset_ends_the_work),
	};

	return cmocka_run_group_tests_name("gpu_share", tests, NULL, NULL);
}
