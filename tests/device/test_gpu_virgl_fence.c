// SPDX-License-Identifier: MIT
/* Fences of the virgl renderer: asynchronous, in order on each timeline, whatever ids the guest gives them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <epoxy/gl.h>

#include "protocol/virtio_gpu.h"
#include "tests/lib/gpu3d_test.h"
#include "tests/lib/tap.h"

#define GLOBAL (-1)

static struct gpu3d *t;

static int finish(struct fake_request *r, uint64_t fence)
{
	struct virtio_gpu_ctrl_hdr hdr;

	assert_int_equal(fake_guest_wait(t->guest, r, 10000), 0);
	memcpy(&hdr, r->out, sizeof(hdr));
	assert_int_equal(hdr.fence_id, fence);
	assert_true(hdr.flags & VIRTIO_GPU_FLAG_FENCE);
	return (int)hdr.type;
}

/* Something that takes the GPU a while: clears of a large target. */
static void put_work(unsigned clears)
{
	static const uint32_t color[4] = {VIRGL_FLOAT_1, VIRGL_FLOAT_HALF, VIRGL_FLOAT_0, VIRGL_FLOAT_1};

	for (unsigned i = 0; i < clears; i++)
		virgl_clear(&t->stream, PIPE_CLEAR_COLOR0, color, VIRGL_DOUBLE_1, 0);
}

static void prepare_target(void)
{
	struct gpu3d_resource r =
		gpu3d_texture(t, 10, BGRA, VIRGL_BIND_RENDER_TARGET | VIRGL_BIND_SAMPLER_VIEW, 1024, 1024, 0);

	gpu3d_draw_to(t, 4, &r, BGRA);
	assert_int_equal(gpu3d_submit(t), OK);
}

static void any_ids_complete_in_the_order_of_sending(void **state)
{
	/* Equal, decreasing, beyond 32 bits, the largest. */
	static const uint64_t ids[] = {5, 5, 4, 1ull << 32, 1, UINT64_MAX, UINT64_MAX, 7, 0x100000005ull, 5};
	struct fake_request *requests[sizeof(ids) / sizeof(ids[0])];
	uint64_t last = 0;

	(void)state;
	t = gpu3d_needed();
	prepare_target();
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		put_work(4);
		requests[i] = gpu3d_submit_async(t, ids[i], GLOBAL);
	}
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		assert_int_equal(finish(requests[i], ids[i]), OK);
		assert_true(requests[i]->sequence > last);
		last = requests[i]->sequence;
		fake_guest_free_request(t->guest, requests[i]);
	}
}

static void unfenced_requests_overtake_a_fence(void **state)
{
	struct virtio_gpu_ctrl_hdr info = {.type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO};
	struct fake_request *slow, *quick;

	(void)state;
	t = gpu3d_needed();
	prepare_target();
	put_work(200);
	/* Both at once: a fence is waited for where it is made only if nothing else is to be done. */
	slow = gpu3d_add_submission(t, 1, GLOBAL);
	quick = fake_guest_add(t->guest, VIRTIO_GPU_QUEUE_CONTROL, &info, sizeof(info),
			       sizeof(struct virtio_gpu_resp_display_info));
	fake_guest_kick(t->guest, VIRTIO_GPU_QUEUE_CONTROL);
	assert_int_equal(fake_guest_wait(t->guest, quick, 10000), 0);
	assert_int_equal(finish(slow, 1), OK);
	/* The answer to the fenced one came from the renderer's callback, after the other's. */
	assert_true(quick->sequence < slow->sequence);
	fake_guest_free_request(t->guest, quick);
	fake_guest_free_request(t->guest, slow);
}

/* Where the CPU draws: without a turn of the loop, which an answer by way of the library's thread would take. */
static void small_work_is_awaited_where_its_fence_is_made(void **state)
{
	struct fake_request *r;
	unsigned at_once = 0;

	(void)state;
	t = gpu3d_needed();
	prepare_target();
	/* The renderer's context is current on this thread. */
	if (!strstr((const char *)glGetString(GL_RENDERER), "llvmpipe")) {
		print_message("SKIP: only where the CPU draws\n");
		skip();
	}
	/* Once is enough: on a busy machine it may often take too long. */
	for (unsigned i = 0; i < 500 && !at_once; i++) {
		virgl_set_sub_context(&t->stream, 1);
		r = gpu3d_add_submission(t, i + 1, GLOBAL);
		t->device->ops->kick(t->device, VIRTIO_GPU_QUEUE_CONTROL);
		at_once = virtq_in_flight(t->device->queues[VIRTIO_GPU_QUEUE_CONTROL]) == 0;
		assert_int_equal(finish(r, i + 1), OK);
		fake_guest_free_request(t->guest, r);
	}
	assert_true(at_once);
}

static void rings_of_contexts_are_timelines(void **state)
{
	struct fake_request *requests[24];
	uint64_t last[3] = {0, 0, 0};

	(void)state;
	t = gpu3d_needed();
	prepare_target();
	assert_int_equal(gpu3d_context(t, 2, VIRTIO_GPU_CAPSET_VIRGL2), OK);
	for (unsigned i = 0; i < 24; i++) {
		t->ctx = i % 3 == 1 ? 1 : 2;
		if (t->ctx == 1)
			put_work(2);
		else
			virgl_set_sub_context(&t->stream, 1);
		requests[i] = gpu3d_submit_async(t, 100 - i, (int)(i % 3) - 1);
	}
	t->ctx = 1;
	for (unsigned i = 0; i < 24; i++) {
		assert_int_equal(finish(requests[i], 100 - i), OK);
		assert_true(requests[i]->sequence > last[i % 3]);
		last[i % 3] = requests[i]->sequence;
		fake_guest_free_request(t->guest, requests[i]);
	}
	assert_int_equal(gpu3d_context_destroy(t, 2), OK);
}

static void fences_end_with_their_context(void **state)
{
	struct fake_request *on_ring[8], *global;

	(void)state;
	t = gpu3d_needed();
	prepare_target();
	for (unsigned round = 0; round < 20; round++) {
		assert_int_equal(gpu3d_context(t, 3, VIRTIO_GPU_CAPSET_VIRGL2), OK);
		put_work(20);
		global = gpu3d_submit_async(t, 1, GLOBAL);
		t->ctx = 3;
		for (unsigned i = 0; i < 8; i++) {
			virgl_set_sub_context(&t->stream, 1);
			on_ring[i] = gpu3d_submit_async(t, i + 1, (int)i);
		}
		t->ctx = 1;
		assert_int_equal(gpu3d_context_destroy(t, 3), OK);
		for (unsigned i = 0; i < 8; i++) {
			assert_int_equal(finish(on_ring[i], i + 1), OK);
			fake_guest_free_request(t->guest, on_ring[i]);
		}
		assert_int_equal(finish(global, 1), OK);
		fake_guest_free_request(t->guest, global);
	}
}

static void reset_with_fences_outstanding(void **state)
{
	struct fake_request *requests[16];

	(void)state;
	t = gpu3d_needed();
	for (unsigned round = 0; round < 5; round++) {
		prepare_target();
		for (unsigned i = 0; i < 16; i++) {
			put_work(10);
			requests[i] = gpu3d_submit_async(t, i + 1, GLOBAL);
		}
		fake_guest_reset(t->guest);
		for (unsigned i = 0; i < 16; i++) {
			assert_true(requests[i]->done);
			fake_guest_free_request(t->guest, requests[i]);
		}
		gpu3d_boot(t);
		/* A late callback of before must not end this one early, nor keep it. */
		gpu3d_finish(t);
	}
}

/* Raw words: the encoder has no queries. Types and states as gallium numbers them. */
static void put_command(uint32_t command, uint32_t object, const uint32_t *words, uint32_t count)
{
	t->words[t->stream.used] = VIRGL_HEADER(command, object, count);
	memcpy(t->words + t->stream.used + 1, words, count * 4);
	t->stream.used += 1 + count;
}

static void query_result_is_there_with_its_fence(void **state)
{
	enum { OCCLUSION_COUNTER = 0, NEW = 0, DONE = 1 };
	struct gpu3d_resource result;
	struct fake_request *r;
	uint32_t host_state;

	(void)state;
	t = gpu3d_needed();
	prepare_target();
	result = gpu3d_buffer(t, 11, VIRGL_BIND_CUSTOM, 64);
	put_command(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_QUERY,
		    (const uint32_t[]){20, OCCLUSION_COUNTER, 0, result.id}, 4);
	assert_int_equal(gpu3d_submit(t), OK);
	for (unsigned i = 0; i < 20; i++) {
		memset(result.pages, NEW, 64);
		put_command(VIRGL_CCMD_BEGIN_QUERY, 0, (const uint32_t[]){20}, 1);
		put_work(20);
		put_command(VIRGL_CCMD_END_QUERY, 0, (const uint32_t[]){20}, 1);
		put_command(VIRGL_CCMD_GET_QUERY_RESULT, 0, (const uint32_t[]){20, 0}, 2);
		r = gpu3d_submit_async(t, i + 1, GLOBAL);
		/* The library's fence thread waits until the loop has looked after the query. */
		assert_int_equal(finish(r, i + 1), OK);
		fake_guest_free_request(t->guest, r);
		assert_int_equal(gpu3d_read_back(t, &result), OK);
		memcpy(&host_state, result.pages, 4);
		assert_int_equal(host_state, DONE);
	}
}

/* A submission that reads is often done when its fence is made: the query before it and its own pixels are there then. */
static void what_was_read_is_there_with_its_fence(void **state)
{
	enum { OCCLUSION_COUNTER = 0, NEW = 0, DONE = 1 };
	const struct virgl_region box = {.width = 64, .height = 64, .depth = 1};
	struct gpu3d_resource target, result;
	struct fake_request *slow, *read;

	(void)state;
	t = gpu3d_needed();
	target = gpu3d_texture(t, 12, BGRA, VIRGL_BIND_RENDER_TARGET | VIRGL_BIND_SAMPLER_VIEW, 64, 64, 0);
	gpu3d_draw_to(t, 5, &target, BGRA);
	result = gpu3d_buffer(t, 11, VIRGL_BIND_CUSTOM, 64);
	put_command(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_QUERY,
		    (const uint32_t[]){20, OCCLUSION_COUNTER, 0, result.id}, 4);
	assert_int_equal(gpu3d_submit(t), OK);
	for (unsigned i = 0; i < 50; i++) {
		const uint32_t color[4] = {VIRGL_FLOAT_0, VIRGL_FLOAT_0, i % 2 ? VIRGL_FLOAT_1 : VIRGL_FLOAT_0,
					   VIRGL_FLOAT_1};
		uint32_t first, last, host_state;

		memset(result.pages, NEW, 64);
		memset(target.pages, 0x55, target.bytes);
		put_work(i);
		slow = gpu3d_submit_async(t, 2 * i + 1, GLOBAL);
		put_command(VIRGL_CCMD_BEGIN_QUERY, 0, (const uint32_t[]){20}, 1);
		virgl_clear(&t->stream, PIPE_CLEAR_COLOR0, color, VIRGL_DOUBLE_1, 0);
		put_command(VIRGL_CCMD_END_QUERY, 0, (const uint32_t[]){20}, 1);
		put_command(VIRGL_CCMD_GET_QUERY_RESULT, 0, (const uint32_t[]){20, 0}, 2);
		virgl_transfer(&t->stream, VIRGL_TRANSFER_FROM_HOST, target.id, 0, &box, target.stride, 0, 0);
		read = gpu3d_submit_async(t, 2 * i + 2, GLOBAL);
		assert_int_equal(finish(read, 2 * i + 2), OK);
		assert_true(slow->done && slow->sequence < read->sequence);
		memcpy(&first, target.pages, 4);
		memcpy(&last, target.pages + target.stride * 63 + 63 * 4, 4);
		assert_int_equal(first, i % 2 ? 0xff0000ff : 0xff000000);
		assert_int_equal(last, first);
		fake_guest_free_request(t->guest, slow);
		fake_guest_free_request(t->guest, read);
		assert_int_equal(gpu3d_read_back(t, &result), OK);
		memcpy(&host_state, result.pages, 4);
		assert_int_equal(host_state, DONE);
	}
}

/* A query's result comes when the GPU has it, whether or not a request waits for it. */
static void no_query_writes_while_the_ring_is_stopped(void **state)
{
	enum { OCCLUSION_COUNTER = 0, NEW = 0, DONE = 1 };
	struct virtq *q;
	struct gpu3d_resource result;
	unsigned pending = 0;

	(void)state;
	t = gpu3d_needed();
	q = t->device->queues[VIRTIO_GPU_QUEUE_CONTROL];
	prepare_target();
	result = gpu3d_buffer(t, 11, VIRGL_BIND_CUSTOM, 64);
	put_command(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_QUERY,
		    (const uint32_t[]){20, OCCLUSION_COUNTER, 0, result.id}, 4);
	assert_int_equal(gpu3d_submit(t), OK);
	for (unsigned i = 0; i < 10; i++) {
		struct virtq_setup setup = fake_guest_ring(t->guest, VIRTIO_GPU_QUEUE_CONTROL)->setup;
		struct fake_request *r;

		memset(result.pages, NEW, 64);
		put_command(VIRGL_CCMD_BEGIN_QUERY, 0, (const uint32_t[]){20}, 1);
		put_work(200);
		put_command(VIRGL_CCMD_END_QUERY, 0, (const uint32_t[]){20}, 1);
		put_command(VIRGL_CCMD_GET_QUERY_RESULT, 0, (const uint32_t[]){20, 0}, 2);
		r = gpu3d_submit_async(t, i + 1, GLOBAL);
		while (virtq_in_flight(q) == 0 && !r->done)
			fake_guest_run_until(t->guest, NULL, NULL, 0);
		virtq_pause(q, true);
		virtio_device_quiesce_queue(t->device, VIRTIO_GPU_QUEUE_CONTROL);
		assert_int_equal(virtq_in_flight(q), 0);
		setup.resume = true;
		setup.position = virtq_position(q);
		virtio_device_stop_queue(t->device, VIRTIO_GPU_QUEUE_CONTROL);
		if (result.pages[0] == NEW) {
			pending++;
			fake_guest_run_until(t->guest, NULL, NULL, 200);
			assert_int_equal(result.pages[0], NEW);
		}
		assert_int_equal(virtio_device_start_queue(t->device, VIRTIO_GPU_QUEUE_CONTROL, &setup), 0);
		fake_guest_poll(t->guest, VIRTIO_GPU_QUEUE_CONTROL);
		assert_true(r->done);
		fake_guest_free_request(t->guest, r);
		/* And then it does, also without another request. */
		for (unsigned n = 0; n < 5000 && result.pages[0] == NEW; n++)
			fake_guest_run_until(t->guest, NULL, NULL, 2);
		assert_int_equal(result.pages[0], DONE);
	}
	if (pending == 0)
		tap_skip("this GPU had every result before the ring stopped");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GPU3D_CASE(any_ids_complete_in_the_order_of_sending),
		GPU3D_CASE(unfenced_requests_overtake_a_fence),
		GPU3D_CASE(small_work_is_awaited_where_its_fence_is_made),
		GPU3D_CASE(rings_of_contexts_are_timelines),
		GPU3D_CASE(fences_end_with_their_context),
		GPU3D_CASE(reset_with_fences_outstanding),
		GPU3D_CASE(query_result_is_there_with_its_fence),
		GPU3D_CASE(no_query_writes_while_the_ring_is_stopped),
		GPU3D_CASE(what_was_read_is_there_with_its_fence),
	};

	return cmocka_run_group_tests(tests, gpu3d_start, gpu3d_stop);
}
