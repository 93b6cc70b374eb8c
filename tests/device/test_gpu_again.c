// SPDX-License-Identifier: MIT
/*
 * What the next process makes of the command that one died over: questions are asked anew, what makes or frees something is
 * done again, once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "host/gpu/record.h"
#include "host/virtio/inflight.h"
#include "host/virtio/journal.h"
#include "host/virtio/queue.h"
#include "tests/lib/died_request.h"
#include "tests/lib/gpu_world.h"
#include "tests/lib/journal_open.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define UNSPEC VIRTIO_GPU_RESP_ERR_UNSPEC
#define FENCE 77u

/* A process after the other, each with the memory opened anew. */
static int memory = -1;
static struct journal *journals[8];
static unsigned journal_count;

static struct journal *next_process(void)
{
	assert_true(journal_count < sizeof(journals) / sizeof(journals[0]));
	assert_int_equal(journal_open(memory, &journals[journal_count]), 0);
	return journals[journal_count++];
}

static struct gpu_world *start(void)
{
	memory = journal_memfd(1u << 20);
	assert_true(memory >= 0);
	return gpu_world_create(&(struct gpu_world_options){.fake_3d = true, .journal = next_process()});
}

static void end(struct gpu_world *w)
{
	gpu_world_destroy(w);
	while (journal_count > 0)
		journal_close(journals[--journal_count]);
	close(memory);
}

/* A process dies over @request, to which @type, @ctx_id and a fence are added; the next one's answer to it. */
static uint32_t die_over(struct gpu_world *w, uint32_t type, uint32_t ctx_id, void *request, size_t bytes)
{
	struct virtio_gpu_ctrl_hdr header = {
		.type = type, .flags = VIRTIO_GPU_FLAG_FENCE, .fence_id = FENCE, .ctx_id = ctx_id};
	struct fake_request *r;

	memcpy(request, &header, sizeof(header));
	gpu_world_die(w, next_process());
	w->renderer->is_idle = true;
	r = died_request(w->guest, w->device, request, bytes, sizeof(header));
	assert_int_equal(fake_guest_wait(w->guest, r, 20000), 0);
	memcpy(&header, r->out, sizeof(header));
	fake_guest_free_request(w->guest, r);
	assert_int_equal(header.flags, VIRTIO_GPU_FLAG_FENCE);
	assert_int_equal(header.fence_id, FENCE);
	/* The next request that is died over has the same number, and must not be taken for this one. */
	assert_int_equal(gpu_unref(w, 99), VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	return header.type;
}

/* The record that a process leaves before it does request number @counter of the control queue again. */
static void forge_try(uint32_t counter)
{
	const struct journal_key key = {GPU_RECORD_TRIED, {0, counter}};
	struct journal *j;

	assert_int_equal(journal_open(memory, &j), 0);
	assert_int_equal(journal_put(j, &key, NULL, 0), 0);
	journal_commit(j, 0);
	journal_close(j);
}

/* What the memory of the ring says of the request that the renderer is at. */
struct stages {
	struct inflight_ring ring;
	unsigned calls, executing;
};

static void look_at_stages(void *owner)
{
	struct stages *s = owner;

	s->calls++;
	for (unsigned i = 0; i < INFLIGHT_MAX_SIZE; i++)
		s->executing += s->ring.slots[i].stage == INFLIGHT_EXECUTING;
}

/*
 * A request that was being executed when its process died is answered with an error. Linux takes even that for the capset,
 * and never asks again, so questions are asked anew: they are not being executed.
 */
static void a_death_leaves_questions_to_be_asked_again(void **state)
{
	static struct stages s;
	struct gpu_world *w = gpu_world_create(&(struct gpu_world_options){.fake_3d = true});
	struct virtio_gpu_get_capset get = {.capset_id = 2, .capset_version = 2};
	uint8_t answer[1024];

	(void)state;
	fake_guest_reset(w->guest);
	assert_int_equal(virtq_track(w->device->queues[VIRTIO_GPU_QUEUE_CONTROL], &s.ring), 0);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	w->renderer->during = look_at_stages;
	w->renderer->during_owner = &s;
	for (uint32_t i = 0; i < 2; i++) {
		struct virtio_gpu_get_capset_info c = {.capset_index = i};
		struct virtio_gpu_resp_capset_info info;

		assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_CAPSET_INFO, &c, sizeof(c), &info, sizeof(info)),
				 VIRTIO_GPU_RESP_OK_CAPSET_INFO);
	}
	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_CAPSET, &get, sizeof(get), answer, sizeof(answer)),
			 VIRTIO_GPU_RESP_OK_CAPSET);
	assert_true(s.calls >= 3);
	assert_int_equal(s.executing, 0);
	/* What changes something may be what killed it. */
	s.calls = 0;
	assert_int_equal(gpu_context(w, 1, 0, "plain"), OK);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.executing, 1);
	gpu_world_destroy(w);
}

/* A driver that is told of an error goes on as if there were none: with what is not there, or should be gone. */
static void what_makes_or_frees_something_is_done_again(void **state)
{
	struct virtio_gpu_ctx_create create = {0};
	struct virtio_gpu_ctx_destroy destroy;
	struct virtio_gpu_ctx_resource attach = {.resource_id = 3};
	struct virtio_gpu_resource_unref unref = {.resource_id = 3};
	struct virtio_gpu_resource_create_3d c = {.resource_id = 3,
						  .target = 2,
						  .format = 1,
						  .bind = 2,
						  .width = 16,
						  .height = 16,
						  .depth = 1,
						  .array_size = 1};
	struct gpu_world *w = start();

	(void)state;
	assert_int_equal(die_over(w, VIRTIO_GPU_CMD_CTX_CREATE, 1, &create, sizeof(create)), OK);
	assert_int_equal(die_over(w, VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, 1, &c, sizeof(c)), OK);
	assert_int_equal(die_over(w, VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, 1, &attach, sizeof(attach)), OK);
	assert_int_equal(w->renderer->context_count, 1);
	assert_int_equal(w->renderer->resource_count, 1);
	assert_int_equal(fake_renderer_context(w->renderer, 1)->attached, 3);
	assert_int_equal(gpu_submit(w, 1, "abcd", 4), OK);
	end(w);

	w = start();
	assert_int_equal(gpu_context(w, 1, 0, "x"), OK);
	assert_int_equal(gpu_create_3d(w, 3, 16, 16), OK);
	assert_int_equal(die_over(w, VIRTIO_GPU_CMD_RESOURCE_UNREF, 0, &unref, sizeof(unref)), OK);
	assert_int_equal(die_over(w, VIRTIO_GPU_CMD_CTX_DESTROY, 1, &destroy, sizeof(destroy)), OK);
	assert_int_equal(w->renderer->context_count, 0);
	assert_int_equal(w->renderer->resource_count, 0);
	/* Linux gives the number to the next program. */
	assert_int_equal(gpu_context(w, 1, 0, "next"), OK);
	end(w);
}

static void what_draws_or_copies_is_never_done_again(void **state)
{
	struct virtio_gpu_transfer_host_3d transfer = {.box = {.w = 16, .h = 16, .d = 1}, .resource_id = 3};
	struct gpu_world *w = start();

	(void)state;
	assert_int_equal(gpu_context(w, 1, 0, "x"), OK);
	assert_int_equal(gpu_create_3d(w, 3, 16, 16), OK);
	assert_int_equal(die_over(w, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, 1, &transfer, sizeof(transfer)), UNSPEC);
	assert_int_equal(die_over(w, VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, 1, &transfer, sizeof(transfer)), UNSPEC);
	end(w);
}

/* A fenced one counts as being executed until a display has shown its picture. */
static void flush_is_done_by_the_repaint(void **state)
{
	struct virtio_gpu_resource_flush flush = {.resource_id = 3, .r = {0, 0, 16, 16}};
	struct gpu_world *w = start();

	(void)state;
	assert_int_equal(gpu_create_3d(w, 3, 16, 16), OK);
	assert_int_equal(gpu_scan(w, 0, 3, gpu_rect(0, 0, 16, 16)), OK);
	assert_int_equal(die_over(w, VIRTIO_GPU_CMD_RESOURCE_FLUSH, 0, &flush, sizeof(flush)), OK);
	/* Not once more. */
	assert_int_equal(w->display->shown[0].frames, 1);
	end(w);
}

static void what_two_processes_died_over_is_refused(void **state)
{
	struct virtio_gpu_ctx_create create = {0};
	struct gpu_world *w = start();

	(void)state;
	/* Each of these requests is the first of its ring. */
	forge_try(1);
	assert_int_equal(die_over(w, VIRTIO_GPU_CMD_CTX_CREATE, 1, &create, sizeof(create)), UNSPEC);
	assert_int_equal(w->renderer->context_count, 0);
	/* That was it: the record is gone, as it is after a good end. */
	for (uint32_t ctx_id = 2; ctx_id < 4; ctx_id++)
		assert_int_equal(die_over(w, VIRTIO_GPU_CMD_CTX_CREATE, ctx_id, &create, sizeof(create)), OK);
	/* Another one's says nothing. */
	forge_try(2);
	assert_int_equal(die_over(w, VIRTIO_GPU_CMD_CTX_CREATE, 4, &create, sizeof(create)), OK);
	assert_int_equal(w->renderer->context_count, 3);
	end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_death_leaves_questions_to_be_asked_again),
		cmocka_unit_test(what_makes_or_frees_something_is_done_again),
		cmocka_unit_test(what_draws_or_copies_is_never_done_again),
		cmocka_unit_test(flush_is_done_by_the_repaint),
		cmocka_unit_test(what_two_processes_died_over_is_refused),
	};

	return cmocka_run_group_tests_name("gpu_again", tests, NULL, NULL);
}
