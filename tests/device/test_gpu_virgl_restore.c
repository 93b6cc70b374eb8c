// SPDX-License-Identifier: MIT
/*
 * The process that draws dies, and another one goes on from the journal with the same guest memory: programs of the guest draw
 * as if nothing had happened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "host/base/step.h"
#include "host/gpu/context.h"
#include "host/gpu/virgl_state.h"
#include "host/virtio/journal.h"
#include "protocol/virtio_gpu.h"
#include "tests/lib/died_request.h"
#include "tests/lib/gpu3d_deaths.h"
#include "tests/lib/gpu3d_test.h"
#include "tests/lib/journal_open.h"

#define SIZE 64u

static const char texture_shader[] = "FRAG\n"
				     "DCL IN[0], GENERIC[0], PERSPECTIVE\n"
				     "DCL OUT[0], COLOR\n"
				     "DCL SAMP[0]\n"
				     "DCL SVIEW[0], 2D, FLOAT\n"
				     "  0: TEX OUT[0], IN[0], SAMP[0], 2D\n"
				     "  1: END\n";

static const char constant_shader[] = "FRAG\n"
				      "DCL OUT[0], COLOR\n"
				      "DCL CONST[0][0]\n"
				      "  0: MOV OUT[0], CONST[0][0]\n"
				      "  1: END\n";

/* Two triangles over the whole target; the second attribute runs from 0,0 at the top left to 1,1. */
static const float whole[6][8] = {
	{-1, 1, 0, 1, 0, 0, 0, 1}, {1, 1, 0, 1, 1, 0, 0, 1},  {-1, -1, 0, 1, 0, 1, 0, 1},
	{1, 1, 0, 1, 1, 0, 0, 1},  {1, -1, 0, 1, 1, 1, 0, 1}, {-1, -1, 0, 1, 0, 1, 0, 1},
};

/* What the processes of a case share besides guest memory and journal. */
struct shared {
	struct gpu3d_resource target, texture, buffer;
	uint32_t pixels[SIZE * SIZE];
	uint32_t screen[SIZE * SIZE];
	unsigned frames;
};

static struct shared *shared;

/* ---- in a child ---- */

static struct gpu3d *t;

static void clear_to(float red, float green, float blue, float alpha)
{
	const uint32_t rgba[4] = {gpu3d_bits(red), gpu3d_bits(green), gpu3d_bits(blue), gpu3d_bits(alpha)};

	virgl_clear(&t->stream, PIPE_CLEAR_COLOR0, rgba, VIRGL_DOUBLE_1, 0);
}

static void make_resources(void)
{
	uint32_t pixel = 1;

	shared->target = gpu3d_texture(t, 10, BGRA, TARGET, SIZE, SIZE, 0);
	shared->texture = gpu3d_texture(t, 12, BGRA, VIRGL_BIND_SAMPLER_VIEW, SIZE, SIZE, 0);
	shared->buffer = gpu3d_buffer(t, 11, VIRGL_BIND_VERTEX_BUFFER, sizeof(whole));
	memcpy(shared->buffer.pages, whole, sizeof(whole));
	for (size_t i = 0; i < shared->texture.bytes; i += 4) {
		pixel = pixel * 1664525u + 1013904223u;
		memcpy(shared->texture.pages + i, &pixel, 4);
	}
}

/* Sub-context 1 draws the texture. */
static void set_up_first(void)
{
	const uint32_t surface = 4;
	uint32_t view = 20, sampler = 21;

	gpu3d_plain_state(t);
	gpu3d_draw_to(t, surface, &shared->target, BGRA);
	gpu3d_shaders(t, 5, gpu3d_vertex_shader, 6, texture_shader);
	gpu3d_vertices(t, 7, &shared->buffer, 2);
	virgl_create_texture_view(&t->stream, view, 12, BGRA);
	virgl_create_sampler_state(&t->stream, sampler, &virgl_sampler_nearest);
	virgl_set_sampler_views(&t->stream, PIPE_SHADER_FRAGMENT, 0, &view, 1);
	virgl_bind_sampler_states(&t->stream, PIPE_SHADER_FRAGMENT, 0, &sampler, 1);
	gpu3d_require(gpu3d_submit(t) == OK, "the first sub-context");
}

/* Sub-context 2 draws a colour over the right half. In the stream only. */
static void set_up_second(void)
{
	const uint32_t color[4] = {gpu3d_bits(0.5f), 0, gpu3d_bits(1.0f), gpu3d_bits(1.0f)};
	struct virgl_rasterizer scissored = virgl_rasterizer_default;
	const uint32_t surface = 4;

	virgl_create_sub_context(&t->stream, 2);
	virgl_set_sub_context(&t->stream, 2);
	gpu3d_plain_state(t);
	scissored.flags |= VIRGL_RS_SCISSOR;
	virgl_create_rasterizer(&t->stream, 30, &scissored);
	virgl_bind_object(&t->stream, VIRGL_OBJECT_RASTERIZER, 30);
	virgl_set_scissor(&t->stream, SIZE / 2, 0, SIZE, SIZE);
	gpu3d_draw_to(t, surface, &shared->target, BGRA);
	gpu3d_shaders(t, 5, gpu3d_vertex_shader, 6, constant_shader);
	virgl_set_constants(&t->stream, PIPE_SHADER_FRAGMENT, color, 4);
	gpu3d_vertices(t, 7, &shared->buffer, 2);
}

/* Both. Nothing is drawn yet. */
static void set_up(void)
{
	make_resources();
	gpu3d_require(gpu3d_upload(t, &shared->buffer) == OK && gpu3d_upload(t, &shared->texture) == OK, "upload");
	set_up_first();
	set_up_second();
	gpu3d_require(gpu3d_submit(t) == OK, "the second sub-context");
	gpu3d_require(gpu3d_set_scanout(t, 10, SIZE, SIZE) == OK, "the scanout");
}

/* A frame, by states that were set before. It starts in sub-context 2. */
static void draw_frame(void)
{
	virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 6);
	virgl_set_sub_context(&t->stream, 1);
	clear_to(0, 1, 0, 1);
	virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 6);
	virgl_set_sub_context(&t->stream, 2);
	virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 6);
	gpu3d_require(gpu3d_submit(t) == OK, "a frame");
	gpu3d_require(gpu3d_flush(t, 10, 0, 0, SIZE, SIZE) == OK, "showing it");
	gpu3d_require(gpu3d_read_back(t, &shared->target) == OK, "reading it back");
	memcpy(shared->pixels, shared->target.pages, sizeof(shared->pixels));
	if (t->screen->pixels)
		memcpy(shared->screen, t->screen->pixels, sizeof(shared->screen));
	shared->frames = t->screen->frames;
}

static void set_up_and_draw(void)
{
	set_up();
	draw_frame();
}

/* ---- processes ---- */

static void first(void (*work)(void))
{
	gpu3d_process(&t, true, true, work);
}

static void next(void (*work)(void))
{
	gpu3d_process(&t, false, true, work);
}

static int setup(void **state)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared == MAP_FAILED ? -1 : gpu3d_deaths_setup(state);
}

static int teardown(void **state)
{
	munmap(shared, sizeof(*shared));
	return gpu3d_deaths_teardown(state);
}

/* ---- cases ---- */

static uint32_t undisturbed[SIZE * SIZE];

/* The picture as a process that lives on draws it. */
static void draw_undisturbed(void)
{
	gpu3d_process(&t, true, false, set_up_and_draw);
	memcpy(undisturbed, shared->pixels, sizeof(undisturbed));
	assert_memory_equal(undisturbed, shared->texture.pages, 4);
	/* Half of it is the colour. */
	for (uint32_t y = 0; y < SIZE; y++)
		assert_int_equal(undisturbed[y * SIZE + SIZE - 1] & 0xff0000ff, 0xff0000ff);
	memset(shared->pixels, 0, sizeof(shared->pixels));
}

static void scene_goes_on_after_a_death(void **state)
{
	(void)state;
	draw_undisturbed();
	first(set_up);
	next(draw_frame);
	assert_memory_equal(shared->pixels, undisturbed, sizeof(undisturbed));
	assert_memory_equal(shared->screen, undisturbed, sizeof(undisturbed));
	/* One shows the scanout again, one is the frame. */
	assert_int_equal(shared->frames, 2);
	/* And after another death, or two, of which one does nothing at all. */
	next(draw_frame);
	memset(shared->pixels, 0, sizeof(shared->pixels));
	next(draw_frame);
	assert_memory_equal(shared->pixels, undisturbed, sizeof(undisturbed));
	if (strstr(gpu3d_deaths.last->log, "lost"))
		fail_msg("something was lost: %s", gpu3d_deaths.last->log);
}

static void draw_texture(void)
{
	const uint32_t surface = 40;

	virgl_set_sub_context(&t->stream, 1);
	virgl_create_surface(&t->stream, surface, 12, BGRA, 0, 0, 0);
	virgl_set_framebuffer(&t->stream, &surface, 1, 0);
	clear_to(1, 0, 0, 1);
	gpu3d_require(gpu3d_submit(t) == OK, "drawing to the texture");
}

static void set_up_and_draw_texture(void)
{
	set_up();
	draw_texture();
}

static void nothing(void)
{
}

static void content_that_was_on_the_gpu_alone_is_reported_lost(void **state)
{
	(void)state;
	first(set_up_and_draw_texture);
	next(nothing);
	if (!strstr(gpu3d_deaths.last->log, "1 pictures or buffers are lost"))
		fail_msg("not reported: %s", gpu3d_deaths.last->log);
	/* Once. */
	next(nothing);
	assert_null(strstr(gpu3d_deaths.last->log, "lost"));
}

/* ---- a process dies over a submission ---- */

/* The stream, as the first request: the process before this one died over it. */
static void skip_stream(void)
{
	static struct {
		struct virtio_gpu_cmd_submit submit;
		uint32_t words[GPU3D_STREAM_WORDS];
	} request;
	const size_t bytes = t->stream.used * 4;
	struct virtio_gpu_ctrl_hdr answer;
	struct fake_request *r;

	request.submit = (struct virtio_gpu_cmd_submit){
		.hdr = {.type = VIRTIO_GPU_CMD_SUBMIT_3D, .ctx_id = t->ctx},
		.size = (uint32_t)bytes,
	};
	memcpy(request.words, t->words, bytes);
	r = died_request(gpu3d_deaths.guest, t->device, &request, sizeof(request.submit) + bytes, sizeof(answer));
	gpu3d_require(fake_guest_wait(gpu3d_deaths.guest, r, 20000) == 0, "waiting for the answer");
	memcpy(&answer, r->out, sizeof(answer));
	gpu3d_require(answer.type == VIRTIO_GPU_RESP_ERR_UNSPEC, "it was executed again, it seems");
	fake_guest_free_request(gpu3d_deaths.guest, r);
	virgl_encoder_init(&t->stream, t->words, GPU3D_STREAM_WORDS);
}

static void set_up_half(void)
{
	make_resources();
	gpu3d_require(gpu3d_upload(t, &shared->texture) == OK, "upload");
	set_up_first();
	gpu3d_require(gpu3d_set_scanout(t, 10, SIZE, SIZE) == OK, "the scanout");
}

/* The other half, between draws that must not be there. */
static void skip_other_half(void)
{
	const struct virgl_region all = {.width = sizeof(whole), .height = 1, .depth = 1};

	virgl_set_sub_context(&t->stream, 1);
	clear_to(1, 0, 0, 1);
	virgl_transfer(&t->stream, VIRGL_TRANSFER_TO_HOST, 11, 0, &all, 0, 0, 0);
	set_up_second();
	virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 6);
	skip_stream();
	gpu3d_require(gpu3d_read_back(t, &shared->target) == OK, "reading back");
	for (size_t i = 0; i < shared->target.bytes; i++)
		gpu3d_require(shared->target.pages[i] == 0, "it was drawn again");
}

static void skip_other_half_and_draw(void)
{
	skip_other_half();
	draw_frame();
}

static void what_a_submission_set_is_there_without_its_draws(void **state)
{
	(void)state;
	draw_undisturbed();
	first(set_up_half);
	next(skip_other_half_and_draw);
	assert_memory_equal(shared->pixels, undisturbed, sizeof(undisturbed));
	assert_non_null(strstr(gpu3d_deaths.last->log, "left out"));
	if (strstr(gpu3d_deaths.last->log, "lost"))
		fail_msg("something was lost: %s", gpu3d_deaths.last->log);
	/* It was recorded as what is executed is. */
	memset(shared->pixels, 0, sizeof(shared->pixels));
	next(draw_frame);
	assert_memory_equal(shared->pixels, undisturbed, sizeof(undisturbed));
}

/* Of more changes than are recorded at a time. */
static void set_up_and_make_many(void)
{
	set_up();
	for (uint32_t i = 0; i < 400; i++)
		virgl_create_sampler_state(&t->stream, 1000 + i, &virgl_sampler_nearest);
	gpu3d_require(gpu3d_submit(t) == OK, "many objects");
}

static void large_submission_is_recorded_whole(void **state)
{
	(void)state;
	draw_undisturbed();
	first(set_up_and_make_many);
	next(draw_frame);
	assert_memory_equal(shared->pixels, undisturbed, sizeof(undisturbed));
	assert_null(strstr(gpu3d_deaths.last->log, "lost"));
}

static char long_shader[400000];

static void begin_long_shader(void)
{
	size_t at = (size_t)sprintf(long_shader, "FRAG\nDCL OUT[0], COLOR\nIMM[0] FLT32 { 0.0, 1.0, 0.0, 1.0 }\n");

	/* Longer than a submission. */
	for (unsigned i = 0; i < 12000; i++)
		at += (size_t)sprintf(long_shader + at, "                         \n");
	sprintf(long_shader + at, "  0: MOV OUT[0], IMM[0]\n  1: END\n");
}

static void send_a_part(void)
{
	set_up();
	begin_long_shader();
	virgl_set_sub_context(&t->stream, 1);
	shared->frames = (unsigned)virgl_create_shader_part(&t->stream, 50, PIPE_SHADER_FRAGMENT, long_shader, 0);
	gpu3d_require(shared->frames < virgl_shader_bytes(long_shader), "it is not long");
	gpu3d_require(gpu3d_submit(t) == OK, "the first part");
}

static void send_the_rest(void)
{
	size_t done = shared->frames;

	begin_long_shader();
	while (done < virgl_shader_bytes(long_shader)) {
		done = virgl_create_shader_part(&t->stream, 50, PIPE_SHADER_FRAGMENT, long_shader, done);
		gpu3d_require(gpu3d_submit(t) == OK, "the next part");
	}
	virgl_bind_shader(&t->stream, PIPE_SHADER_FRAGMENT, 50);
	virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 6);
	gpu3d_require(gpu3d_submit(t) == OK, "drawing with it");
	gpu3d_require(gpu3d_read_back(t, &shared->target) == OK, "reading back");
	memcpy(shared->pixels, shared->target.pages, sizeof(shared->pixels));
}

static void long_shader_is_completed_after_a_death(void **state)
{
	(void)state;
	first(send_a_part);
	next(send_the_rest);
	for (unsigned i = 0; i < SIZE * SIZE; i++)
		assert_int_equal(shared->pixels[i], 0xff00ff00);
}

static void use_two_contexts(void)
{
	gpu3d_require(gpu3d_context(t, 2, 0) == OK, "a second context");
	gpu3d_require(gpu3d_draws(t, 100), "drawing");
	t->ctx = 2;
	gpu3d_require(gpu3d_draws(t, 200), "drawing in the second");
}

static void find_one_lost(void)
{
	t->ctx = 1;
	virgl_set_sample_mask(&t->stream, ~0u);
	gpu3d_require(gpu3d_submit(t) == VIRTIO_GPU_RESP_ERR_UNSPEC, "the forged context still draws");
	t->ctx = 2;
	gpu3d_require(gpu3d_draws(t, 300), "drawing in the good context");
	gpu3d_require(gpu3d_context_destroy(t, 1) == OK, "destroying the lost one");
	gpu3d_require(gpu3d_context(t, 1, 0) == OK, "making it again");
	t->ctx = 1;
	gpu3d_require(gpu3d_draws(t, 400), "drawing in it");
}

static void context_that_cannot_be_made_again_is_lost(void **state)
{
	/* A blend object that virglrenderer refuses: too short. */
	const uint32_t command[3] = {VIRGL_HEADER(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_BLEND, 2), 77, 0};
	const struct journal_key key = {VIRGL_RECORD_OBJECT, {1, 1, 77}};
	struct journal *j;

	(void)state;
	first(use_two_contexts);
	assert_int_equal(journal_open(gpu3d_deaths.journal_fd, &j), 0);
	assert_int_equal(journal_put(j, &key, command, sizeof(command)), 0);
	journal_commit(j, 0);
	journal_close(j);
	next(find_one_lost);
}

static void context_of_which_a_submission_is_there_in_part_is_lost(void **state)
{
	const struct journal_key key = {VIRGL_RECORD_IN_PART, {1}};
	struct journal *j;

	(void)state;
	first(use_two_contexts);
	assert_int_equal(journal_open(gpu3d_deaths.journal_fd, &j), 0);
	assert_int_equal(journal_put(j, &key, NULL, 0), 0);
	journal_commit(j, 0);
	journal_close(j);
	next(find_one_lost);
}

/* Every process that begins to make the first context again dies. */
static void context_that_kills_who_makes_it_again_is_lost(void **state)
{
	(void)state;
#ifndef MULLION_STEPS
	print_message("SKIP: built without STEPS=1, so nothing dies at a step\n");
	skip();
#endif
	first(use_two_contexts);
	for (unsigned i = 0; i < GPU_CONTEXT_DEATHS; i++) {
		gpu3d_deaths.dies_at = STEP_REBUILDING;
		next(find_one_lost);
		assert_int_equal(gpu3d_deaths.last->ended, 0);
	}
	gpu3d_deaths.dies_at = STEP_COUNT;
	next(find_one_lost);
	assert_int_equal(gpu3d_deaths.last->ended, 1);
}

static const struct gpu_resource_shape object = {
	.target = PIPE_TEXTURE_2D,
	.format = BGRA,
	.bind = TARGET | VIRGL_BIND_SCANOUT,
	.width = SIZE,
	.height = SIZE,
	.depth = 1,
	.array_size = 1,
};

/* Resource @id of object @blob_id. */
static void take_object(uint32_t id, uint32_t blob_id, uint32_t mem)
{
	shared->target = (struct gpu3d_resource){.id = id, .width = SIZE, .height = SIZE, .stride = SIZE * 4};
	gpu3d_require(gpu3d_object_blob(t, &shared->target, blob_id, mem, VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE,
				  mem == VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST ? SIZE * SIZE * 4 : 0) == OK,
		"making a resource of an object");
	gpu3d_require(gpu3d_attach(t, id) == OK, "attaching it");
}

static void show_object(float red)
{
	gpu3d_draw_to(t, 60, &shared->target, BGRA);
	clear_to(red, 0, 0, 1);
	gpu3d_require(gpu3d_submit(t) == OK, "drawing to the object");
	gpu3d_require(gpu3d_flush(t, shared->target.id, 0, 0, SIZE, SIZE) == OK, "showing it");
	memcpy(shared->screen, t->screen->pixels, sizeof(shared->screen));
}

/* One is shown, one waits. */
static void use_an_object(void)
{
	gpu3d_name_object(t, 7, &object);
	gpu3d_name_object(t, 8, &object);
	gpu3d_require(gpu3d_submit(t) == OK, "naming objects");
	take_object(20, 7, VIRTIO_GPU_BLOB_MEM_HOST3D);
	gpu3d_require(gpu3d_set_scanout_blob(t, 20, BGRA, SIZE, SIZE) == OK, "the scanout");
	show_object(1.0f);
}

static void draw_to_it_again(void)
{
	show_object(1.0f);
}

static void take_the_one_that_waits(void)
{
	struct gpu3d_resource r = {.id = 30, .width = SIZE, .height = SIZE, .stride = SIZE * 4};

	gpu3d_require(gpu3d_object_blob(t, &r, 7, VIRTIO_GPU_BLOB_MEM_HOST3D, 0, 0) != OK, "an object is there twice");
	take_object(21, 8, VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST);
	for (uint32_t i = 0; i < SIZE * SIZE; i++)
		memcpy(shared->target.pages + (size_t)i * 4, &(uint32_t){0xff000000u | i}, 4);
	gpu3d_require(gpu3d_upload(t, &shared->target) == OK, "the upload");
	gpu3d_require(gpu3d_set_scanout_blob(t, 21, BGRA, SIZE, SIZE) == OK, "the scanout");
}

static void look_at_the_screen(void)
{
	memcpy(shared->screen, t->screen->pixels, sizeof(shared->screen));
}

static void objects_are_made_again(void **state)
{
	(void)state;
	first(use_an_object);
	for (unsigned i = 0; i < SIZE * SIZE; i++)
		assert_int_equal(shared->screen[i] & 0xffffff, 0xff0000);
	memset(shared->screen, 0, sizeof(shared->screen));
	next(draw_to_it_again);
	if (!strstr(gpu3d_deaths.last->log, "1 pictures or buffers are lost") || strstr(gpu3d_deaths.last->log, "scanouts show nothing"))
		fail_msg("not what there was: %s", gpu3d_deaths.last->log);
	for (unsigned i = 0; i < SIZE * SIZE; i++)
		assert_int_equal(shared->screen[i] & 0xffffff, 0xff0000);
	/* What waited goes on to wait; and what has pages of the guest's is fetched from there. */
	next(take_the_one_that_waits);
	next(look_at_the_screen);
	for (unsigned i = 0; i < SIZE * SIZE; i++)
		assert_int_equal(shared->screen[i] & 0xffffff, i);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(scene_goes_on_after_a_death),
		CASE(content_that_was_on_the_gpu_alone_is_reported_lost),
		CASE(long_shader_is_completed_after_a_death),
		CASE(context_that_cannot_be_made_again_is_lost),
		CASE(what_a_submission_set_is_there_without_its_draws),
		CASE(large_submission_is_recorded_whole),
		CASE(context_of_which_a_submission_is_there_in_part_is_lost),
		CASE(context_that_kills_who_makes_it_again_is_lost),
		CASE(objects_are_made_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
