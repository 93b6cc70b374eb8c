// SPDX-License-Identifier: MIT
/*
 * A process dies while it serves a frame on the control queue, at each step that each of its requests passes, over each kind
 * of ring, and so may the next one: each request is answered once and with its fence, what draws or copies is done once or
 * not at all, and what the guest made is there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/step.h"
#include "host/virtio/inflight.h"
#include "host/virtio/journal.h"
#include "tests/device/rings.h"
#include "tests/lib/gpu_world.h"
#include "tests/lib/journal_open.h"
#include "tests/lib/tap.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define DIED VIRTIO_GPU_RESP_ERR_UNSPEC
#define CONTEXT 1u
#define PICTURE 3u
#define FIRST_FENCE 700u
#define RING 5u /* of the context, on which the last draw waits */

/* A frame of a guest that begins, all on the ring at once. */
enum { CREATE, ATTACH_PAGES, ATTACH, DRAW, UPLOAD, SHOW, FLUSH, DRAW_MORE, REQUESTS };

static const struct {
	bool fenced, once; /* never again, after a death over it */
} about[REQUESTS] = {
	[CREATE] = {false, false}, [ATTACH_PAGES] = {false, false}, [ATTACH] = {true, false},
	[DRAW] = {true, true},	   [UPLOAD] = {true, true},	    [SHOW] = {false, false},
	[FLUSH] = {true, false},   [DRAW_MORE] = {true, true},
};

/* Seen by all processes of one run. */
struct shared {
	struct inflight_ring rings[2];
	unsigned done[REQUESTS]; /* how often, of what is to be done once */
};

static struct shared *shared;
static int memory = -1;
static struct journal *journals[4];
static unsigned journal_count;

static struct journal *next_process(void)
{
	assert_true(journal_count < sizeof(journals) / sizeof(journals[0]));
	assert_int_equal(journal_open(memory, &journals[journal_count]), 0);
	return journals[journal_count++];
}

/* ---- what the renderer does ---- */

/*
 * In each of its ops: was it one that must not be done again? A submission without its draws is none, nor is a transfer of what
 * comes back from the guest's pages, which is of no context. A renderer makes its context before it does anything else.
 */
static void note(void *owner)
{
	static unsigned submits, skips, transfers;
	const struct fake_renderer *f = fake_renderer_current;

	(void)owner;
	if (f->submits > submits && f->skips == skips)
		shared->done[f->commands[0]]++;
	if (f->transfers > transfers && f->transfer.ctx_id == CONTEXT)
		shared->done[UPLOAD]++;
	submits = f->submits;
	skips = f->skips;
	transfers = f->transfers;
}

/* ---- the guest ---- */

static struct fake_request *add(struct gpu_world *w, unsigned n, uint32_t type, const void *body, size_t bytes)
{
	struct virtio_gpu_ctrl_hdr header = {.type = type, .ctx_id = CONTEXT};
	uint8_t request[256];
	struct fake_request *r;

	if (about[n].fenced) {
		header.flags = VIRTIO_GPU_FLAG_FENCE | (n == DRAW_MORE ? VIRTIO_GPU_FLAG_INFO_RING_IDX : 0);
		header.fence_id = FIRST_FENCE + n;
		header.ring_idx = n == DRAW_MORE ? RING : 0;
	}
	assert_true(bytes <= sizeof(request));
	memcpy(request, body, bytes);
	memcpy(request, &header, sizeof(header));
	r = fake_guest_add(w->guest, VIRTIO_GPU_QUEUE_CONTROL, request, bytes, sizeof(header));
	assert_non_null(r);
	return r;
}

static void add_frame(struct gpu_world *w, struct fake_request **r)
{
	const struct virtio_gpu_resource_create_3d create = {.resource_id = PICTURE,
							     .target = 2,
							     .format = 1,
							     .bind = 2,
							     .width = 32,
							     .height = 16,
							     .depth = 1,
							     .array_size = 1};
	const struct {
		struct virtio_gpu_resource_attach_backing c;
		struct virtio_gpu_mem_entry pages;
	} pages = {.c = {.resource_id = PICTURE, .nr_entries = 1},
		   .pages = {.addr = fake_guest_alloc(w->guest, 4096, 4096), .length = 4096}};
	const struct virtio_gpu_ctx_resource attach = {.resource_id = PICTURE};
	const struct virtio_gpu_transfer_host_3d upload = {.resource_id = PICTURE, .box = {.w = 32, .h = 16, .d = 1}};
	const struct virtio_gpu_set_scanout show = {.r = {0, 0, 32, 16}, .resource_id = PICTURE};
	const struct virtio_gpu_resource_flush flush = {.r = {0, 0, 32, 16}, .resource_id = PICTURE};
	struct {
		struct virtio_gpu_cmd_submit c;
		uint8_t commands[8];
	} draw = {.c = {.size = sizeof(draw.commands)}};

	r[CREATE] = add(w, CREATE, VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, &create, sizeof(create));
	r[ATTACH_PAGES] = add(w, ATTACH_PAGES, VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, &pages, sizeof(pages));
	r[ATTACH] = add(w, ATTACH, VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, &attach, sizeof(attach));
	draw.commands[0] = DRAW;
	r[DRAW] = add(w, DRAW, VIRTIO_GPU_CMD_SUBMIT_3D, &draw, sizeof(draw));
	r[UPLOAD] = add(w, UPLOAD, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, &upload, sizeof(upload));
	r[SHOW] = add(w, SHOW, VIRTIO_GPU_CMD_SET_SCANOUT, &show, sizeof(show));
	r[FLUSH] = add(w, FLUSH, VIRTIO_GPU_CMD_RESOURCE_FLUSH, &flush, sizeof(flush));
	draw.commands[0] = DRAW_MORE;
	r[DRAW_MORE] = add(w, DRAW_MORE, VIRTIO_GPU_CMD_SUBMIT_3D, &draw, sizeof(draw));
}

static struct gpu_world *start(const struct fake_guest_options *ring)
{
	struct gpu_world_options options = {.fake_3d = true, .guest = *ring};
	struct gpu_world *w;

	memory = journal_memfd(1u << 20);
	assert_true(memory >= 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(shared, MAP_FAILED);
	options.guest.memory_bytes = 1u << 20;
	options.journal = next_process();
	fake_renderer_during = note;
	w = gpu_world_create(&options);
	assert_int_equal(gpu_context(w, CONTEXT, 0, "x"), OK);
	gpu_world_track(w, shared->rings);
	/* Chains have several descriptors, or a table. */
	fake_guest_set_split(w->guest, 40, 0);
	return w;
}

static void end(struct gpu_world *w)
{
	gpu_world_destroy(w);
	while (journal_count > 0)
		journal_close(journals[--journal_count]);
	close(memory);
	munmap(shared, sizeof(*shared));
	fake_renderer_during = NULL;
}

/* ---- the processes ---- */

/* What the device has got is done, and the GPU with it. */
static void serve(struct gpu_world *w)
{
	fake_guest_force_kick(w->guest, VIRTIO_GPU_QUEUE_CONTROL);
	fake_renderer_finish(w->renderer, w->renderer->fence_count);
}

/* In a process that dies at @step, the @nth time; @first: that of the device there is. True if it did. */
static bool serve_and_die(struct gpu_world *w, bool first, unsigned step, unsigned nth)
{
	char at[32];
	int status;
	pid_t pid;

	snprintf(at, sizeof(at), "%u:%u", step, nth);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		tap_begin_child();
		step_die_at(at);
		if (!first)
			gpu_world_go_on(w, next_process(), shared->rings);
		serve(w);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return true;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

static uint32_t answer_of(const struct fake_request *r, unsigned n)
{
	struct virtio_gpu_ctrl_hdr header;

	assert_true(r->done && !r->lost);
	assert_int_equal(r->used_len, sizeof(header));
	memcpy(&header, r->out, sizeof(header));
	assert_int_equal(header.flags & VIRTIO_GPU_FLAG_FENCE, about[n].fenced ? VIRTIO_GPU_FLAG_FENCE : 0);
	assert_int_equal(header.fence_id, about[n].fenced ? FIRST_FENCE + n : 0);
	return header.type;
}

/*
 * How many were lost. @refused: two processes died over one that makes something, which is not tried a third time: those behind
 * it have nothing to go on with.
 */
static unsigned check_answers(struct fake_request **requests, unsigned deaths, bool *refused)
{
	unsigned lost = 0;

	*refused = false;
	for (unsigned n = 0; n < REQUESTS; n++) {
		const uint32_t type = answer_of(requests[n], n);

		if (about[n].once) {
			assert_true(type == OK || type == DIED || *refused);
			assert_in_range(shared->done[n], type == OK, 1);
			lost += type == DIED;
		} else if (deaths == 2 && type == DIED && !*refused) {
			*refused = true;
			lost += 2;
		} else if (type != OK && !*refused) {
			fail_msg("request %u: 0x%x", n, type);
		}
	}
	return lost;
}

/* All that there should be, and it goes on. */
static void check_device(struct gpu_world *w)
{
	const struct shown *s = &w->display->shown[0];
	struct fake_context *c = fake_renderer_context(w->renderer, CONTEXT);

	assert_int_equal(w->renderer->resource_count, 1);
	assert_int_equal(w->renderer->context_count, 1);
	assert_int_equal(c->attached, PICTURE);
	assert_false(c->lost);
	assert_int_equal(w->renderer->backings, 1);
	assert_true(s->frames > 0);
	assert_int_equal(s->pixels[32 * 7 + 9] & 0xffffff, fake_renderer_pixel(PICTURE, 9, 7) & 0xffffff);
	assert_int_equal(gpu_submit(w, CONTEXT, "\3bcd", 4), OK);
	assert_int_equal(gpu_flush(w, PICTURE, gpu_rect(0, 0, 32, 16)), OK);
}

/*
 * The first process dies at @first, the @nth time; the next one at @second, if it gets there. STEP_COUNT: it does not. True if
 * a request was refused, as both died over it.
 */
static bool check(const struct fake_guest_options *ring, unsigned first, unsigned nth, unsigned second, unsigned mth)
{
	struct gpu_world *w = start(ring);
	struct fake_request *requests[REQUESTS];
	unsigned deaths = 1, lost;
	bool refused;

	add_frame(w, requests);
	assert_true(serve_and_die(w, true, first, nth));
	/* The driver takes what it was given before anybody goes on. */
	if (nth % 3 == 0)
		fake_guest_poll(w->guest, VIRTIO_GPU_QUEUE_CONTROL);
	if (second < STEP_COUNT)
		deaths += serve_and_die(w, false, second, mth);
	if (mth % 3 == 0)
		fake_guest_poll(w->guest, VIRTIO_GPU_QUEUE_CONTROL);
	gpu_world_go_on(w, next_process(), shared->rings);
	serve(w);
	fake_guest_poll(w->guest, VIRTIO_GPU_QUEUE_CONTROL);
	lost = check_answers(requests, deaths, &refused);
	if (!refused)
		check_device(w);
	assert_true(lost <= deaths || refused);
	for (unsigned n = 0; n < REQUESTS; n++)
		fake_guest_free_request(w->guest, requests[n]);
	end(w);
	return refused;
}

static void need_steps(void)
{
#ifndef MULLION_STEPS
	print_message("SKIP: built without STEPS=1, so nothing dies at a step\n");
	skip();
#endif
}

static void a_frame_comes_through_a_death_at_any_step(void **state)
{
	(void)state;
	need_steps();
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		for (unsigned step = 0; step < STEP_RECOVERING; step++) {
			for (unsigned nth = 1; nth <= REQUESTS; nth++)
				assert_false(check(&rings[kind], step, nth, STEP_COUNT, 1));
		}
	}
}

/* The second one at a step in its turn, while it looks at what there is, or while it makes the context again. */
static void and_through_two_in_a_row(void **state)
{
	unsigned refused = 0;

	(void)state;
	need_steps();
	for (unsigned kind = 0; kind < RING_KINDS; kind++) {
		for (unsigned first = 0; first < STEP_RECOVERING; first++) {
			for (unsigned second = 0; second < STEP_COUNT; second++)
				refused += check(&rings[kind], first, 1 + (first + second + kind) % REQUESTS, second,
						 1 + second % 3);
		}
	}
	printf("# in %u runs both died over the same request, which was then refused\n", refused);
	assert_in_range(refused, 1, RING_KINDS * STEP_RECOVERING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_comes_through_a_death_at_any_step),
		cmocka_unit_test(and_through_two_in_a_row),
	};

	log_set_levels("error");
	return cmocka_run_group_tests_name("gpu_deaths", tests, NULL, NULL);
}
