// SPDX-License-Identifier: MIT
/*
 * Fences: held until the renderer is done, answered in ring order on each timeline, whatever ids the guest gives
 * them, and never held for ever. The renderer is the fake one: it is done when the test says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/gpu_world.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define FENCE VIRTIO_GPU_FLAG_FENCE
#define RING VIRTIO_GPU_FLAG_INFO_RING_IDX
#define BGRX VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM

static struct gpu_world *world_3d(void)
{
	struct gpu_world *w = gpu_world_create(&(struct gpu_world_options){.fake_3d = true});

	assert_int_equal(gpu_context(w, 1, 2, "one"), OK);
	assert_int_equal(gpu_context(w, 2, 2, "two"), OK);
	return w;
}

/* Put a SUBMIT_3D of 4 bytes on the ring. */
static struct fake_request *add(struct gpu_world *w, uint32_t flags, uint32_t ctx, unsigned ring, uint64_t fence_id)
{
	struct {
		struct virtio_gpu_cmd_submit c;
		uint32_t commands;
	} request = {
		.c.hdr = {.type = VIRTIO_GPU_CMD_SUBMIT_3D, .flags = flags, .fence_id = fence_id, .ctx_id = ctx, .ring_idx = (uint8_t)ring},
		.c.size = 4,
	};
	struct fake_request *r = fake_guest_add(w->guest, 0, &request, sizeof(request), sizeof(struct virtio_gpu_ctrl_hdr));

	assert_non_null(r);
	return r;
}

/* Let the device take what is on the ring and give back what it gives back. */
static void run(struct gpu_world *w)
{
	fake_guest_kick(w->guest, 0);
	fake_guest_run_until(w->guest, NULL, NULL, 1);
	fake_guest_poll(w->guest, 0);
}

static struct virtio_gpu_ctrl_hdr header(const struct fake_request *r)
{
	struct virtio_gpu_ctrl_hdr h;

	assert_true(r->done && !r->lost);
	assert_int_equal(r->used_len, sizeof(h));
	memcpy(&h, r->out, sizeof(h));
	return h;
}

static void finish_all(struct gpu_world *w, struct fake_request **r, unsigned count)
{
	fake_renderer_finish(w->renderer, FAKE_FENCES);
	fake_guest_poll(w->guest, 0);
	for (unsigned i = 0; i < count; i++) {
		assert_true(r[i]->done);
		fake_guest_free_request(w->guest, r[i]);
	}
}

static void an_answer_waits_for_its_fence_and_carries_it(void **state)
{
	struct gpu_world *w = world_3d();
	struct fake_request *fenced = add(w, FENCE, 1, 9, 0x123456789abcdef0), *ringed = add(w, FENCE | RING, 2, 63, 5);
	struct fake_request *plain = add(w, RING, 1, 3, 77);
	struct virtio_gpu_ctrl_hdr h;

	(void)state;
	run(w);
	/* All three were executed; only the one without a fence is answered. */
	assert_int_equal(w->renderer->submits, 3);
	assert_true(plain->done);
	assert_false(fenced->done || ringed->done);
	h = header(plain);
	assert_int_equal(h.type, OK);
	assert_int_equal(h.flags, 0);
	assert_int_equal(h.fence_id, 0);
	assert_int_equal(w->renderer->fence_count, 2);
	/* Without a ring the fence is on the global timeline, whatever the context. */
	assert_int_equal(w->renderer->fences[0].timeline.ctx_id, 0);
	assert_false(w->renderer->fences[0].timeline.has_ring);
	assert_int_equal(w->renderer->fences[1].timeline.ctx_id, 2);
	assert_int_equal(w->renderer->fences[1].timeline.ring_idx, 63);

	fake_renderer_finish_one(w->renderer, 1);
	fake_guest_poll(w->guest, 0);
	assert_true(ringed->done && !fenced->done);
	h = header(ringed);
	assert_int_equal(h.type, OK);
	assert_int_equal(h.flags, FENCE | RING);
	assert_int_equal(h.fence_id, 5);
	assert_int_equal(h.ctx_id, 2);
	assert_int_equal(h.ring_idx, 63);
	fake_renderer_finish_one(w->renderer, 0);
	fake_guest_poll(w->guest, 0);
	h = header(fenced);
	assert_int_equal(h.flags, FENCE);
	assert_true(h.fence_id == 0x123456789abcdef0);
	assert_int_equal(h.ctx_id, 1);
	assert_int_equal(h.ring_idx, 0);
	fake_guest_free_request(w->guest, fenced);
	fake_guest_free_request(w->guest, ringed);
	fake_guest_free_request(w->guest, plain);
	gpu_world_destroy(w);
}

/* Each list on one timeline: answered in ring order, with its id echoed, when the renderer is done in its own order. */
static void ids_order_nothing(void **state)
{
	static const uint64_t ids[][6] = {
		{7, 7, 7, 7, 7, 7},
		{6, 5, 4, 3, 2, 1},
		{0, UINT64_MAX, 0, UINT64_MAX, 1, 0},
		{1ull << 32, (1ull << 32) + 1, 1, 1ull << 63, 1ull << 33, 0xffffffff},
	};

	(void)state;
	for (unsigned list = 0; list < 4; list++) {
		for (unsigned ring = 0; ring < 2; ring++) {
			struct gpu_world *w = world_3d();
			struct fake_request *r[6];

			for (unsigned i = 0; i < 6; i++)
				r[i] = add(w, FENCE | (ring ? RING : 0), 1, 3, ids[list][i]);
			run(w);
			assert_int_equal(w->renderer->fence_count, 6);
			/* One by one. */
			for (unsigned i = 0; i < 3; i++) {
				assert_false(r[i]->done);
				fake_renderer_finish(w->renderer, 1);
				fake_guest_poll(w->guest, 0);
				assert_true(header(r[i]).fence_id == ids[list][i]);
				assert_false(r[i + 1]->done);
			}
			/* Several at once: the last stands for all before it. */
			fake_renderer_finish_one(w->renderer, 2);
			fake_guest_poll(w->guest, 0);
			for (unsigned i = 3; i < 6; i++) {
				assert_true(header(r[i]).fence_id == ids[list][i]);
				assert_true(r[i]->sequence == r[i - 1]->sequence + 1);
			}
			finish_all(w, r, 6);
			gpu_world_destroy(w);
		}
	}
}

static void timelines_do_not_wait_for_each_other(void **state)
{
	struct gpu_world *w = world_3d();
	struct fake_request *r[128];
	unsigned done = 0;

	(void)state;
	/* Every ring of two contexts, in one go (a ring of 256 entries holds 128 of two descriptors). */
	for (unsigned i = 0; i < 128; i++)
		r[i] = add(w, FENCE | RING, i / 64 + 1, i % 64, 1);
	run(w);
	assert_int_equal(w->renderer->fence_count, 128);
	/* Done in an order of its own: each time exactly that one is answered. */
	while (w->renderer->fence_count > 0) {
		unsigned at = done * 31 % w->renderer->fence_count;
		struct renderer_timeline t = w->renderer->fences[at].timeline;
		unsigned index = (t.ctx_id - 1) * 64 + t.ring_idx, finished = 0;

		fake_renderer_finish_one(w->renderer, at);
		fake_guest_poll(w->guest, 0);
		assert_true(r[index]->done);
		done++;
		for (unsigned i = 0; i < 128; i++)
			finished += r[i]->done;
		assert_int_equal(finished, done);
	}
	assert_int_equal(done, 128);
	finish_all(w, r, 128);
	gpu_world_destroy(w);
}

/* Drivers take a fence id as "everything before is done", so an error must not overtake. */
static void a_refusal_keeps_its_place(void **state)
{
	struct gpu_world *w = world_3d();
	struct fake_request *r[4];

	(void)state;
	r[0] = add(w, FENCE, 1, 0, 1);
	r[1] = add(w, FENCE, 9, 0, 2); /* no such context */
	r[2] = add(w, FENCE, 1, 0, 3);
	r[3] = add(w, 0, 9, 0, 4); /* refused without a fence: at once */
	run(w);
	assert_true(r[3]->done);
	assert_int_equal(header(r[3]).type, VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	assert_false(r[0]->done || r[1]->done || r[2]->done);
	/* The refused one needs no fence of the renderer. */
	assert_int_equal(w->renderer->fence_count, 2);
	fake_renderer_finish(w->renderer, 1);
	fake_guest_poll(w->guest, 0);
	assert_true(r[0]->done && r[1]->done && !r[2]->done);
	assert_int_equal(header(r[1]).type, VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	assert_int_equal(header(r[1]).flags, FENCE);
	assert_int_equal(header(r[1]).fence_id, 2);
	assert_true(r[0]->sequence < r[1]->sequence);
	finish_all(w, r, 4);
	/* With nothing before it there is nothing to wait for. */
	r[0] = add(w, FENCE, 9, 0, 5);
	run(w);
	assert_true(r[0]->done);
	finish_all(w, r, 1);
	gpu_world_destroy(w);
}

/* Nothing is to be waited for but what came before it on its timeline. */
static void a_fence_that_is_done_when_made_keeps_its_place(void **state)
{
	struct gpu_world *w = world_3d();
	struct fake_request *r[5];

	(void)state;
	w->renderer->is_idle = true;
	r[0] = add(w, FENCE, 1, 0, 6);
	run(w);
	assert_int_equal(header(r[0]).flags, FENCE);
	assert_true(header(r[0]).fence_id == 6);
	finish_all(w, r, 1);

	w->renderer->is_idle = false;
	r[0] = add(w, FENCE, 1, 0, 7);
	r[1] = add(w, FENCE | RING, 2, 3, 1);
	run(w);
	w->renderer->is_idle = true;
	r[2] = add(w, FENCE, 1, 0, 8);
	r[3] = add(w, FENCE | RING, 2, 4, 1); /* on a timeline of its own: at once */
	run(w);
	w->renderer->is_idle = false;
	r[4] = add(w, FENCE, 1, 0, 9);
	run(w);
	assert_int_equal(w->renderer->fence_count, 3);
	assert_true(r[3]->done);
	assert_false(r[0]->done || r[1]->done || r[2]->done || r[4]->done);
	fake_renderer_finish(w->renderer, 1);
	fake_guest_poll(w->guest, 0);
	assert_true(r[0]->done && r[2]->done && !r[1]->done && !r[4]->done);
	assert_true(r[0]->sequence < r[2]->sequence);
	finish_all(w, r, 5);
	gpu_world_destroy(w);
}

static void a_fence_the_renderer_cannot_make_is_answered(void **state)
{
	struct gpu_world *w = world_3d();
	struct virtio_gpu_ctx_resource c = {.hdr = {.type = VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, .flags = FENCE, .ctx_id = 1, .fence_id = 8},
					    .resource_id = 5};
	struct fake_request *r[2];

	(void)state;
	assert_int_equal(gpu_create_3d(w, 5, 8, 8), OK);
	/* Detach can't fail, so the errno meets create_fence. */
	w->renderer->fail_next = -EIO;
	r[0] = fake_guest_add(w->guest, 0, &c, sizeof(c), 24);
	run(w);
	assert_true(r[0]->done);
	assert_int_equal(header(r[0]).type, OK);
	fake_guest_free_request(w->guest, r[0]);

	r[0] = add(w, FENCE, 1, 0, 9);
	run(w);
	w->renderer->fail_next = -EIO;
	r[1] = fake_guest_add(w->guest, 0, &c, sizeof(c), 24);
	run(w);
	assert_false(r[0]->done || r[1]->done);
	fake_renderer_finish(w->renderer, 1);
	fake_guest_poll(w->guest, 0);
	assert_true(r[0]->done && r[1]->done);
	finish_all(w, r, 2);
	gpu_world_destroy(w);
}

static void a_context_that_goes_lets_its_fences_go(void **state)
{
	struct gpu_world *w = world_3d();
	struct fake_request *r[5];
	unsigned count;

	(void)state;
	r[0] = add(w, FENCE | RING, 1, 0, 1);
	r[1] = add(w, FENCE | RING, 1, 7, 2);
	r[2] = add(w, FENCE | RING, 2, 7, 3);
	r[3] = add(w, FENCE, 1, 0, 4);
	run(w);
	assert_int_equal(gpu_context_gone(w, 1), OK);
	fake_guest_poll(w->guest, 0);
	assert_true(r[0]->done && r[1]->done);
	assert_int_equal(header(r[0]).type, OK);
	/* Another context's, and the global timeline, go on waiting. */
	assert_false(r[2]->done || r[3]->done);

	/* A new context of that number: the old fences, reported late, say nothing about its own. */
	assert_int_equal(gpu_context(w, 1, 2, "again"), OK);
	r[4] = add(w, FENCE | RING, 1, 7, 1);
	run(w);
	count = w->renderer->fence_count;
	assert_int_equal(count, 5);
	fake_renderer_finish(w->renderer, 4);
	fake_guest_poll(w->guest, 0);
	assert_true(r[2]->done && r[3]->done && !r[4]->done);
	finish_all(w, r, 5);
	gpu_world_destroy(w);
}

/* The destroying command's own fence may be on a ring that goes with it. */
static void a_context_may_be_destroyed_by_a_fenced_command(void **state)
{
	struct gpu_world *w = world_3d();
	struct fake_request *before = add(w, FENCE | RING, 1, 4, 1), *r;
	struct virtio_gpu_ctx_destroy c = {
		.hdr = {.type = VIRTIO_GPU_CMD_CTX_DESTROY, .flags = FENCE | RING, .ctx_id = 1, .ring_idx = 4, .fence_id = 2},
	};

	(void)state;
	run(w);
	r = fake_guest_add(w->guest, 0, &c, sizeof(c), 24);
	run(w);
	assert_true(before->done && r->done && before->sequence < r->sequence);
	assert_int_equal(header(r).type, OK);
	assert_int_equal(header(r).ring_idx, 4);
	fake_guest_free_request(w->guest, before);
	fake_guest_free_request(w->guest, r);
	gpu_world_destroy(w);
}

static void a_ring_that_cannot_be_is_refused(void **state)
{
	struct gpu_world *w = world_3d();
	struct fake_request *r[3];

	(void)state;
	r[0] = add(w, FENCE | RING, 1, 64, 1);
	r[1] = add(w, FENCE | RING, 9, 0, 2);
	r[2] = add(w, FENCE | RING, 0, 0, 3);
	run(w);
	assert_int_equal(header(r[0]).type, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	assert_int_equal(header(r[1]).type, VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	assert_int_equal(header(r[2]).type, VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	assert_int_equal(header(r[1]).fence_id, 2);
	assert_int_equal(w->renderer->submits, 0);
	finish_all(w, r, 3);
	gpu_world_destroy(w);
}

static void without_context_init_there_are_no_rings(void **state)
{
	struct gpu_world *w = gpu_world_create(
		&(struct gpu_world_options){.fake_3d = true, .guest.refuse = 1u << VIRTIO_GPU_F_CONTEXT_INIT});
	struct fake_request *r;

	(void)state;
	/* Nor does the word say anything. */
	assert_int_equal(gpu_context(w, 1, 0xffffffff, "one"), OK);
	assert_int_equal(fake_renderer_context(w->renderer, 1)->capset_id, 0);
	r = add(w, FENCE | RING, 1, 200, 1);
	run(w);
	assert_int_equal(w->renderer->fence_count, 1);
	assert_false(w->renderer->fences[0].timeline.has_ring);
	fake_renderer_finish(w->renderer, 1);
	fake_guest_poll(w->guest, 0);
	assert_int_equal(header(r).flags, FENCE);
	fake_guest_free_request(w->guest, r);
	gpu_world_destroy(w);
}

static void a_reset_finishes_everything_and_late_news_is_dropped(void **state)
{
	struct gpu_world *w = world_3d();
	struct fake_request *r[40], *fresh;
	struct gpu_stats stats;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		struct fake_fence old[40];

		for (unsigned i = 0; i < 40; i++)
			r[i] = add(w, i % 3 ? FENCE | RING : FENCE, i % 2 + 1, i % 5, i);
		run(w);
		assert_int_equal(w->renderer->fence_count, 40);
		memcpy(old, w->renderer->fences, sizeof(old));
		w->renderer->fence_count = 0;
		fake_guest_reset(w->guest);
		assert_int_equal(w->renderer->context_count, 0);
		assert_int_equal(virtq_in_flight(w->device->queues[0]), 0);
		for (unsigned i = 0; i < 40; i++) {
			assert_true(r[i]->lost);
			fake_guest_free_request(w->guest, r[i]);
		}
		assert_int_equal(fake_guest_start(w->guest, w->device), 0);
		assert_int_equal(gpu_context(w, 1, 2, "one"), OK);
		assert_int_equal(gpu_context(w, 2, 2, "two"), OK);
		/* The same timelines again. What the renderer says of before is not about them. */
		fresh = add(w, FENCE | RING, 1, 0, 0);
		r[0] = add(w, FENCE, 1, 0, 0);
		run(w);
		for (unsigned i = 0; i < 40; i++)
			w->renderer->config.fence_done(w->renderer->config.owner, &old[i].timeline, old[i].seq);
		fake_guest_poll(w->guest, 0);
		assert_false(fresh->done || r[0]->done);
		fake_renderer_finish(w->renderer, 2);
		fake_guest_poll(w->guest, 0);
		assert_true(fresh->done && r[0]->done);
		fake_guest_free_request(w->guest, fresh);
		fake_guest_free_request(w->guest, r[0]);
	}
	gpu_get_stats(w->device, &stats);
	assert_int_equal(stats.fences, 3 * 42);
	gpu_world_destroy(w);
}

/* It goes on later: nothing is lost but the wait. */
static void a_queue_that_stops_gives_its_fences_back(void **state)
{
	struct gpu_world *w = world_3d();
	struct fake_request *r[12];

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		struct fake_fence old[12];
		struct virtio_gpu_ctrl_hdr h;

		for (unsigned i = 0; i < 12; i++)
			r[i] = add(w, FENCE | RING, i % 2 + 1, i / 2 % 2, 100 + i);
		run(w);
		assert_int_equal(w->renderer->fence_count, 12);
		memcpy(old, w->renderer->fences, sizeof(old));
		/* The cursor's has none. */
		virtio_device_quiesce_queue(w->device, VIRTIO_GPU_QUEUE_CURSOR);
		assert_int_equal(virtq_in_flight(w->device->queues[0]), 12);
		virtio_device_quiesce_queue(w->device, VIRTIO_GPU_QUEUE_CONTROL);
		assert_int_equal(virtq_in_flight(w->device->queues[0]), 0);
		fake_guest_poll(w->guest, 0);
		for (unsigned i = 0; i < 12; i++) {
			h = header(r[i]);
			assert_int_equal(h.type, OK);
			assert_int_equal(h.flags, FENCE | RING);
			assert_int_equal(h.fence_id, 100 + i);
			/* In the order of its timeline. */
			assert_true(i < 4 || r[i]->sequence > r[i - 4]->sequence);
		}
		for (unsigned i = 0; i < 12; i++)
			fake_guest_free_request(w->guest, r[i]);
		/* The renderer is still at it, and what it says of them is not about the next. */
		w->renderer->fence_count = 0;
		r[0] = add(w, FENCE | RING, 1, 0, 7);
		run(w);
		for (unsigned i = 0; i < 12; i++)
			w->renderer->config.fence_done(w->renderer->config.owner, &old[i].timeline, old[i].seq);
		fake_guest_poll(w->guest, 0);
		assert_false(r[0]->done);
		finish_all(w, r, 1);
	}
	gpu_world_destroy(w);
}

static void the_renderer_pauses_while_the_control_queue_is_stopped(void **state)
{
	struct gpu_world *w = world_3d();
	struct virtq_setup setup = fake_guest_ring(w->guest, VIRTIO_GPU_QUEUE_CONTROL)->setup;

	(void)state;
	setup.resume = true;
	for (unsigned round = 0; round < 2; round++) {
		setup.position = virtq_position(w->device->queues[VIRTIO_GPU_QUEUE_CONTROL]);
		virtio_device_stop_queue(w->device, VIRTIO_GPU_QUEUE_CONTROL);
		assert_true(w->renderer->paused);
		assert_int_equal(virtio_device_start_queue(w->device, VIRTIO_GPU_QUEUE_CONTROL, &setup), 0);
		assert_false(w->renderer->paused);
	}
	virtio_device_stop_queue(w->device, VIRTIO_GPU_QUEUE_CURSOR);
	assert_false(w->renderer->paused);
	/* Another driver knows nothing of it. */
	virtio_device_stop_queue(w->device, VIRTIO_GPU_QUEUE_CONTROL);
	fake_guest_reset(w->guest);
	assert_false(w->renderer->paused);
	gpu_world_destroy(w);
}

static void a_device_may_be_destroyed_with_fences_outstanding(void **state)
{
	struct gpu_world *w = world_3d();

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		add(w, FENCE | RING, 1, i % 2, i);
	run(w);
	assert_int_equal(w->renderer->fence_count, 10);
	virtio_device_destroy(w->device);
	assert_true(w->destroyed);
	assert_null(fake_renderer_current);
	fake_guest_destroy(w->guest);
	free(w);
}

static void too_many_waiting_are_refused(void **state)
{
	struct gpu_limits limits = gpu_limits_default;
	struct gpu_world *w;
	struct fake_request *r[12];

	(void)state;
	limits.pending = 8;
	w = gpu_world_create(&(struct gpu_world_options){.fake_3d = true, .limits = limits});
	assert_int_equal(gpu_context(w, 1, 0, "one"), OK);
	for (unsigned i = 0; i < 12; i++)
		r[i] = add(w, FENCE | RING, 1, i % 4, i);
	run(w);
	assert_int_equal(w->renderer->submits, 8);
	fake_renderer_finish(w->renderer, 8);
	fake_guest_poll(w->guest, 0);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(header(r[i]).type, i < 8 ? OK : VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	finish_all(w, r, 12);
	gpu_world_destroy(w);
}

/* 2D has nothing to wait for; the fence comes back all the same, also with a payload. */
static void fences_of_the_2d_renderer_are_done_at_once(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	struct virtio_gpu_ctrl_hdr request;
	struct virtio_gpu_resp_display_info info;

	(void)state;
	w->flags = FENCE;
	w->fence_id = UINT64_MAX;
	assert_int_equal(gpu_create_2d(w, 1, BGRX, 8, 8), OK);
	assert_int_equal(w->answer.flags, FENCE);
	assert_true(w->answer.fence_id == UINT64_MAX);
	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_DISPLAY_INFO, &request, sizeof(request), &info, sizeof(info)),
			 VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	assert_int_equal(info.hdr.flags, FENCE);
	assert_int_equal(info.pmodes[0].r.width, 1280);
	assert_int_equal(gpu_create_2d(w, 0, BGRX, 8, 8), VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	assert_int_equal(w->answer.flags, FENCE);
	gpu_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_waits_for_its_fence_and_carries_it),
		cmocka_unit_test(ids_order_nothing),
		cmocka_unit_test(timelines_do_not_wait_for_each_other),
		cmocka_unit_test(a_refusal_keeps_its_place),
		cmocka_unit_test(a_fence_that_is_done_when_made_keeps_its_place),
		cmocka_unit_test(a_fence_the_renderer_cannot_make_is_answered),
		cmocka_unit_test(a_context_that_goes_lets_its_fences_go),
		cmocka_unit_test(a_context_may_be_destroyed_by_a_fenced_command),
		cmocka_unit_test(a_ring_that_cannot_be_is_refused),
		cmocka_unit_test(without_context_init_there_are_no_rings),
		cmocka_unit_test(a_reset_finishes_everything_and_late_news_is_dropped),
		cmocka_unit_test(a_queue_that_stops_gives_its_fences_back),
		cmocka_unit_test(the_renderer_pauses_while_the_control_queue_is_stopped),
		cmocka_unit_test(a_device_may_be_destroyed_with_fences_outstanding),
		cmocka_unit_test(too_many_waiting_are_refused),
		cmocka_unit_test(fences_of_the_2d_renderer_are_done_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
