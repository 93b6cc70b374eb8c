// SPDX-License-Identifier: MIT
/*
 * A process dies while it serves the cursor queue, at each step that a request passes and over each kind of ring: the next one
 * shows what the guest asked for, and reads no image more often than once.
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

#include "host/base/step.h"
#include "host/gpu/record.h"
#include "host/virtio/inflight.h"
#include "host/virtio/journal.h"
#include "tests/device/rings.h"
#include "tests/lib/gpu_world.h"
#include "tests/lib/journal_open.h"
#include "tests/lib/tap.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define OLD 5u
#define NEW 6u
#define CURSOR_QUEUE VIRTIO_GPU_QUEUE_CURSOR

static int memory = -1;
static struct journal *journals[4];
static unsigned journal_count;
static struct inflight_ring *inflight; /* a ring's for each queue */
#define RINGS_BYTES (2 * sizeof(*inflight))

static struct journal *next_process(void)
{
	assert_true(journal_count < sizeof(journals) / sizeof(journals[0]));
	assert_int_equal(journal_open(memory, &journals[journal_count]), 0);
	return journals[journal_count++];
}

static struct virtio_gpu_update_cursor request(uint32_t type, uint32_t resource_id, uint32_t x)
{
	return (struct virtio_gpu_update_cursor){
		.hdr.type = type,
		.pos = {.scanout_id = 0, .x = x, .y = 50},
		.resource_id = resource_id,
		.hot_x = 3,
		.hot_y = 4,
	};
}

/* The old cursor is shown, and the next request's progress is written down. */
static struct gpu_world *start(unsigned kind)
{
	struct gpu_world_options options = {.fake_3d = true, .guest = rings[kind]};
	struct virtio_gpu_update_cursor c = request(VIRTIO_GPU_CMD_UPDATE_CURSOR, OLD, 100);
	struct gpu_world *w;

	memory = journal_memfd(1u << 20);
	assert_true(memory >= 0);
	inflight = mmap(NULL, RINGS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(inflight, MAP_FAILED);
	options.journal = next_process();
	w = gpu_world_create(&options);
	assert_int_equal(gpu_create_3d(w, OLD, 64, 64), OK);
	assert_int_equal(gpu_create_3d(w, NEW, 64, 64), OK);
	assert_int_equal(fake_guest_request(w->guest, CURSOR_QUEUE, &c, sizeof(c), NULL, 0, NULL), 0);
	gpu_world_track(w, inflight);
	return w;
}

static void end(struct gpu_world *w)
{
	gpu_world_destroy(w);
	while (journal_count > 0)
		journal_close(journals[--journal_count]);
	close(memory);
	munmap(inflight, RINGS_BYTES);
}

/* Both resources are there: what the renderer is asked for is the image. */
static void die_in_it(void *owner)
{
	(void)owner;
	if (fake_renderer_current->resource_count == 2)
		raise(SIGKILL);
}

/* A process that serves @c dies at @step (STEP_COUNT: where the renderer is asked), and the next one goes on. */
static void die_over(struct gpu_world *w, const struct virtio_gpu_update_cursor *c, unsigned step)
{
	struct fake_request *r = fake_guest_add(w->guest, CURSOR_QUEUE, c, sizeof(*c), 0);
	char at[16];
	int status;
	pid_t pid;

	assert_non_null(r);
	snprintf(at, sizeof(at), "%u:1", step);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		tap_begin_child();
		step_die_at(at);
		if (step == STEP_COUNT)
			w->renderer->during = die_in_it;
		fake_guest_force_kick(w->guest, CURSOR_QUEUE);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail_msg("step %u: the process did not die (0x%x)", step, status);
	gpu_world_go_on(w, next_process(), inflight);
	assert_int_equal(fake_guest_wait(w->guest, r, 20000), 0);
	fake_guest_free_request(w->guest, r);
}

static void expect(const struct gpu_world *w, unsigned step, uint32_t resource_id, uint32_t x)
{
	const struct shown *s = &w->display->shown[0];

	if (!s->cursor.pixels || s->cursor.x != x + 3 || s->cursor.y != 54 || s->cursor.hot_x != 3)
		fail_msg("step %u: the cursor is at %u,%u", step, s->cursor.x, s->cursor.y);
	if (s->cursor_pixels[64 * 7 + 9] != fake_renderer_pixel(resource_id, 9, 7))
		fail_msg("step %u: not the image of resource %u", step, resource_id);
}

static void need_steps(void)
{
#ifndef MULLION_STEPS
	print_message("SKIP: built without STEPS=1, so nothing dies at a step\n");
	skip();
#endif
}

/* Those that every request passes on its way. */
static const unsigned steps[] = {STEP_FETCHED, STEP_TAKEN,     STEP_EXECUTING, STEP_EXECUTED, STEP_RECORDED,
				 STEP_APPLIED, STEP_FINISHING, STEP_PUBLISHED, STEP_COUNTED};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

static void an_image_is_shown_after_a_death_at_any_step(void **state)
{
	const struct virtio_gpu_update_cursor c = request(VIRTIO_GPU_CMD_UPDATE_CURSOR, NEW, 200);

	(void)state;
	need_steps();
	for (unsigned i = 0; i < STEPS * RING_KINDS; i++) {
		struct gpu_world *w = start(i % RING_KINDS);

		die_over(w, &c, steps[i / RING_KINDS]);
		expect(w, steps[i / RING_KINDS], NEW, 200);
		end(w);
	}
}

static void an_image_is_shown_that_a_process_died_reading(void **state)
{
	const struct virtio_gpu_update_cursor c = request(VIRTIO_GPU_CMD_UPDATE_CURSOR, NEW, 200);
	struct gpu_world *w = start(0);

	(void)state;
	die_over(w, &c, STEP_COUNT);
	expect(w, STEP_COUNT, NEW, 200);
	assert_int_equal(w->display->shown[0].cursors, 1);
	/* And it is the next one's, too. */
	gpu_world_go_on(w, next_process(), inflight);
	expect(w, STEP_COUNT, NEW, 200);
	end(w);
}

/* What a process left that died reading, and then the next one, which had taken it out first: the old one is shown. */
static void an_image_that_processes_die_of_is_not_tried_for_ever(void **state)
{
	const struct virtio_gpu_update_cursor c = request(VIRTIO_GPU_CMD_UPDATE_CURSOR, NEW, 200);
	const struct journal_key key = {GPU_RECORD_CURSOR_ASKED, {0}};
	struct gpu_world *w = start(0);
	struct fake_request *r = fake_guest_add(w->guest, CURSOR_QUEUE, &c, sizeof(c), 0);
	struct journal *j;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		int status;
		pid_t pid;

		fflush(NULL);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			tap_begin_child();
			fake_renderer_during = w->renderer->during = die_in_it;
			if (i == 0)
				fake_guest_force_kick(w->guest, CURSOR_QUEUE);
			else
				gpu_world_go_on(w, next_process(), inflight);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_int_equal(journal_open(memory, &j), 0);
		assert_int_equal(journal_has(j, &key), i == 0);
		journal_close(j);
	}
	gpu_world_go_on(w, next_process(), inflight);
	assert_int_equal(fake_guest_wait(w->guest, r, 20000), 0);
	fake_guest_free_request(w->guest, r);
	expect(w, STEP_COUNT, OLD, 100);
	end(w);
}

static void a_move_is_made_after_a_death_at_any_step(void **state)
{
	const struct virtio_gpu_update_cursor c = request(VIRTIO_GPU_CMD_MOVE_CURSOR, 0, 300);

	(void)state;
	need_steps();
	for (unsigned i = 0; i < STEPS * RING_KINDS; i++) {
		struct gpu_world *w = start(i % RING_KINDS);

		die_over(w, &c, steps[i / RING_KINDS]);
		expect(w, steps[i / RING_KINDS], OLD, 300);
		end(w);
	}
}

static void a_cursor_is_hidden_after_a_death_at_any_step(void **state)
{
	const struct virtio_gpu_update_cursor c = request(VIRTIO_GPU_CMD_UPDATE_CURSOR, 0, 0);

	(void)state;
	need_steps();
	for (unsigned i = 0; i < STEPS * RING_KINDS; i++) {
		struct gpu_world *w = start(i % RING_KINDS);

		die_over(w, &c, steps[i / RING_KINDS]);
		if (w->display->shown[0].cursor.pixels)
			fail_msg("step %u: a cursor is shown", steps[i / RING_KINDS]);
		end(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_is_shown_after_a_death_at_any_step),
		cmocka_unit_test(an_image_is_shown_that_a_process_died_reading),
		cmocka_unit_test(an_image_that_processes_die_of_is_not_tried_for_ever),
		cmocka_unit_test(a_move_is_made_after_a_death_at_any_step),
		cmocka_unit_test(a_cursor_is_hidden_after_a_death_at_any_step),
	};

	return cmocka_run_group_tests_name("gpu_cursor_deaths", tests, NULL, NULL);
}
