// SPDX-License-Identifier: MIT
/*
 * Pictures that an isolated GPU and an isolated decoder share by UUIDs: what the one process decodes is what the other shows,
 * also when either has died in between; and what is gone or too much is not found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/base/step.h"
#include "host/video/codec_fake.h"
#include "protocol/virtio_gpu.h"
#include "tests/lib/isolated_pair.h"
#include "tests/lib/shared_pictures.h"
#include "tests/lib/tap.h"
#include "tests/lib/usage.h"
#include "vmm/shared_objects.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define INVALID_PARAMETER VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER

enum { WIDTH = FILM_WIDTH, HEIGHT = FILM_HEIGHT };

static const char *const renderers[] = {"2d", "virgl"};

/* A decoder whose output is in objects: picture 0 is in the codec. */
static void start_film(struct isolated_pair *p)
{
	film_make(&p->film, &p->video, 1);
	film_feed_and_wait(&p->film, 0);
	film_expect_event(&p->video, VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED, 1);
	assert_int_equal(shared_set_params(&p->video, VIDEO_OUT, VIRTIO_VIDEO_FORMAT_BGRA8888,
					   VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT),
			 VIDEO_OK);
}

/* Resource 1 is on the screen, and output 7 of the decoder. */
static void share(struct isolated_pair *p, uint8_t uuid[16])
{
	shared_create_2d(&p->gpu, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, WIDTH, HEIGHT);
	shared_assign_uuid(&p->gpu, 1, uuid);
	assert_int_equal(gpu3d_set_scanout(&p->gpu, 1, WIDTH, HEIGHT), OK);
	start_film(p);
	assert_int_equal(shared_create_output(&p->video, 7, uuid), VIDEO_OK);
}

/* Decode what is in the codec into output 7. @next is put there behind it. */
static void decode(struct isolated_pair *p, uint32_t next)
{
	struct fake_request *r = film_want(&p->film, 7);

	film_feed_and_wait(&p->film, next);
	film_expect_flags(&p->video, r, 0);
}

static void check_screen(const struct isolated_pair *p, uint32_t value)
{
	const struct isolated_shared *s = p->shared;

	assert_int_equal(s->width, WIDTH);
	assert_int_equal(s->height, HEIGHT);
	for (uint32_t y = 0; y < HEIGHT; y++) {
		for (uint32_t x = 0; x < WIDTH; x++) {
			if ((s->pixels[y * WIDTH + x] & 0xffffff) != shared_pixel(value, x, y))
				fail_msg("pixel %u,%u is %06x, not %06x", x, y, s->pixels[y * WIDTH + x] & 0xffffff,
					 shared_pixel(value, x, y));
		}
	}
}

/* Decode, and show picture @value. */
static void play(struct isolated_pair *p, uint32_t value)
{
	decode(p, value + 1);
	assert_int_equal(gpu3d_flush(&p->gpu, 1, 0, 0, WIDTH, HEIGHT), OK);
	check_screen(p, value);
}

static void a_decoded_picture_is_shown(void **state)
{
	uint8_t uuid[16];
	struct isolated_pair p;

	isolated_pair_open(&p, *state);
	share(&p, uuid);
	for (uint32_t i = 0; i < 3; i++)
		play(&p, i);
	isolated_pair_close(&p);
}

static bool is_not_found(void *arg)
{
	struct shared_objects *t = ((void **)arg)[0];
	int fd = shared_objects_find(t, ((const uint8_t **)arg)[1]);

	if (fd >= 0)
		close(fd);
	return fd < 0;
}

/* The pages are the guest's, which both devices have. */
static void a_blob_is_its_pages(void **state)
{
	struct {
		struct virtio_gpu_resource_create_blob c;
		struct virtio_gpu_mem_entry e[2];
	} create = {.c = {.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB},
			  .resource_id = 3,
			  .blob_mem = VIRTIO_GPU_BLOB_MEM_GUEST,
			  .nr_entries = 2,
			  .size = WIDTH * HEIGHT * 4},
		    .e = {{.addr = ISOLATED_COMMON_GPA + 0x8000, .length = 4096},
			  {.addr = ISOLATED_COMMON_GPA, .length = WIDTH * HEIGHT * 4 - 4096}}};
	struct virtio_gpu_set_scanout_blob scan = {.hdr = {.type = VIRTIO_GPU_CMD_SET_SCANOUT_BLOB},
						   .r = {.width = WIDTH, .height = HEIGHT},
						   .resource_id = 3,
						   .width = WIDTH,
						   .height = HEIGHT,
						   .format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
						   .strides = {WIDTH * 4}};
	uint8_t uuid[16];
	struct isolated_pair p;

	isolated_pair_open(&p, *state);
	assert_int_equal(gpu3d_request(&p.gpu, &create, sizeof(create), NULL, 0), OK);
	shared_assign_uuid(&p.gpu, 3, uuid);
	start_film(&p);
	assert_int_equal(shared_create_output(&p.video, 7, uuid), VIDEO_OK);
	assert_int_equal(gpu3d_request(&p.gpu, &scan, sizeof(scan), NULL, 0), OK);
	for (uint32_t i = 0; i < 4; i++) {
		decode(&p, i + 1);
		assert_int_equal(gpu3d_flush(&p.gpu, 3, 0, 0, WIDTH, HEIGHT), OK);
		check_screen(&p, i);
		assert_int_equal(p.common[0x8000], fake_sample(i, 0, 0, 0));
		if (i == 1)
			isolated_pair_kill(&p, ISOLATED_GPU);
	}
	assert_int_equal(shared_create_output(&p.video, 8, uuid), VIDEO_OK);
	assert_int_equal(gpu3d_unref(&p.gpu, 3), OK);
	assert_true(fake_guest_run_until(p.gpu.guest, is_not_found, (void *[]){p.objects, uuid}, 60000));
	isolated_pair_close(&p);
}

/* ---- deaths ---- */

static void wait_for_frame(struct isolated_pair *p, unsigned before)
{
	for (unsigned i = 0; i < 60000 && p->shared->frames == before; i++)
		usleep(1000);
	assert_true(p->shared->frames > before);
}

/* The picture is the object's, which the next worker has too, and the decoder's mapping is of it still. */
static void the_gpus_worker_may_die(void **state)
{
	unsigned frames;
	uint8_t uuid[16];
	struct isolated_pair p;

	isolated_pair_open(&p, *state);
	share(&p, uuid);
	play(&p, 0);
	for (uint32_t i = 1; i < 4; i++) {
		memset(p.shared->pixels, 0, sizeof(p.shared->pixels));
		frames = p.shared->frames;
		isolated_pair_kill(&p, ISOLATED_GPU);
		/* Painted again from what was decoded. */
		wait_for_frame(&p, frames);
		check_screen(&p, i - 1);
		play(&p, i);
	}
	/* It still has its name, for another buffer too. */
	assert_int_equal(shared_create_output(&p.video, 8, uuid), VIDEO_OK);
	/* And goes with it. */
	assert_int_equal(gpu3d_unref(&p.gpu, 1), OK);
	assert_true(fake_guest_run_until(p.gpu.guest, is_not_found, (void *[]){p.objects, uuid}, 60000));
	assert_int_equal(shared_create_output(&p.video, 9, uuid), INVALID_PARAMETER);
	isolated_pair_close(&p);
}

/* What was decoded while nobody drew is there. */
static void a_picture_is_decoded_while_the_gpus_worker_is_dead(void **state)
{
	unsigned frames;
	uint8_t uuid[16];
	struct isolated_pair p;

	isolated_pair_open(&p, *state);
	share(&p, uuid);
	play(&p, 0);
	frames = p.shared->frames;
	isolated_pair_kill(&p, ISOLATED_GPU);
	decode(&p, 2);
	wait_for_frame(&p, frames);
	assert_int_equal(gpu3d_flush(&p.gpu, 1, 0, 0, WIDTH, HEIGHT), OK);
	check_screen(&p, 1);
	isolated_pair_close(&p);
}

/* Its stream has failed; cleared, it goes on with the buffers that it had. */
static void the_decoders_worker_may_die(void **state)
{
	uint8_t uuid[16];
	struct isolated_pair p;

	isolated_pair_open(&p, *state);
	share(&p, uuid);
	play(&p, 0);
	for (unsigned round = 0; round < 2; round++) {
		isolated_pair_kill(&p, ISOLATED_VIDEO);
		film_expect_event(&p.video, VIRTIO_VIDEO_EVENT_ERROR, 1);
		assert_int_equal(video_queue_command(&p.video, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_IN), VIDEO_OK);
		assert_int_equal(video_queue_command(&p.video, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
		p.film.next_in = 0;
		film_feed_and_wait(&p.film, 5);
		play(&p, 5);
	}
	/* Both at once. */
	isolated_pair_kill(&p, ISOLATED_VIDEO);
	isolated_pair_kill(&p, ISOLATED_GPU);
	film_expect_event(&p.video, VIRTIO_VIDEO_EVENT_ERROR, 1);
	assert_int_equal(video_queue_command(&p.video, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_IN), VIDEO_OK);
	assert_int_equal(video_queue_command(&p.video, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	p.film.next_in = 0;
	film_feed_and_wait(&p.film, 9);
	play(&p, 9);
	isolated_pair_close(&p);
}

/* ---- what is not there ---- */

static void what_is_gone_is_not_found(void **state)
{
	const uint8_t wrong[16] = {1, 2, 3};
	uint8_t uuid[16], other[16];
	struct isolated_pair p;

	isolated_pair_open(&p, *state);
	share(&p, uuid);
	assert_int_equal(shared_create_output(&p.video, 8, wrong), INVALID_PARAMETER);
	shared_create_2d(&p.gpu, 2, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, WIDTH, HEIGHT);
	shared_assign_uuid(&p.gpu, 2, other);
	assert_int_equal(shared_create_output(&p.video, 8, other), VIDEO_OK);
	/* Its driver starts over. */
	gpu3d_boot(&p.gpu);
	assert_int_equal(shared_create_output(&p.video, 9, uuid), INVALID_PARAMETER);
	/* What the decoder has is memory still. */
	decode(&p, 1);
	shared_create_2d(&p.gpu, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, WIDTH, HEIGHT);
	shared_assign_uuid(&p.gpu, 1, other);
	assert_memory_not_equal(uuid, other, sizeof(uuid));
	assert_int_equal(shared_create_output(&p.video, 9, other), VIDEO_OK);
	isolated_pair_leave(&p, ISOLATED_GPU);
	assert_int_equal(shared_create_output(&p.video, 10, other), INVALID_PARAMETER);
	isolated_pair_close(&p);
}

/* A guest without a driver for the codec may name what it likes: it costs nothing, and the pictures stay. */
static void nothing_is_shared_without_a_driver_to_share_with(void **state)
{
	struct gpu3d_resource r = {.id = 1, .width = WIDTH, .height = HEIGHT, .stride = WIDTH * 4};
	struct virtio_gpu_transfer_to_host_2d cmd = {.hdr = {.type = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D},
						     .r = {.width = WIDTH, .height = HEIGHT},
						     .resource_id = 1};
	uint8_t uuid[16];
	struct isolated_pair p;

	isolated_pair_open(&p, *state);
	fake_guest_reset(p.video.guest);
	shared_create_2d(&p.gpu, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, WIDTH, HEIGHT);
	assert_int_equal(gpu3d_attach_backing(&p.gpu, &r, WIDTH * HEIGHT * 4), OK);
	memset(r.pages, 0x42, r.bytes);
	assert_int_equal(gpu3d_request(&p.gpu, &cmd, sizeof(cmd), NULL, 0), OK);
	shared_assign_uuid(&p.gpu, 1, uuid);
	assert_true(is_not_found((void *[]){p.objects, uuid}));
	for (uint32_t i = 2; i < 2 * SHARED_OBJECTS_MAX; i++) {
		uint8_t other[16];

		shared_create_2d(&p.gpu, i, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 32, 32);
		shared_assign_uuid(&p.gpu, i, other);
	}
	assert_int_equal(gpu3d_set_scanout(&p.gpu, 1, WIDTH, HEIGHT), OK);
	assert_int_equal(gpu3d_flush(&p.gpu, 1, 0, 0, WIDTH, HEIGHT), OK);
	assert_int_equal(p.shared->pixels[WIDTH * HEIGHT - 1] & 0xffffff, 0x424242);
	memset(r.pages, 0x17, r.bytes);
	assert_int_equal(gpu3d_request(&p.gpu, &cmd, sizeof(cmd), NULL, 0), OK);
	assert_int_equal(gpu3d_flush(&p.gpu, 1, 0, 0, WIDTH, HEIGHT), OK);
	assert_int_equal(p.shared->pixels[0] & 0xffffff, 0x171717);
	/* Then there is one. */
	assert_int_equal(fake_guest_start(p.video.guest, p.video.device), 0);
	shared_create_2d(&p.gpu, 1000, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, WIDTH, HEIGHT);
	shared_assign_uuid(&p.gpu, 1000, uuid);
	start_film(&p);
	assert_int_equal(shared_create_output(&p.video, 7, uuid), VIDEO_OK);
	assert_int_equal(gpu3d_set_scanout(&p.gpu, 1000, WIDTH, HEIGHT), OK);
	decode(&p, 1);
	assert_int_equal(gpu3d_flush(&p.gpu, 1000, 0, 0, WIDTH, HEIGHT), OK);
	check_screen(&p, 0);
	isolated_pair_close(&p);
}

static void too_many_are_refused(void **state)
{
	uint8_t uuid[16];
	struct isolated_pair p;

	isolated_pair_open(&p, *state);
	for (uint32_t i = 1; i <= SHARED_OBJECTS_MAX; i++) {
		shared_create_2d(&p.gpu, i, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 32, 32);
		shared_assign_uuid(&p.gpu, i, uuid);
	}
	shared_create_2d(&p.gpu, 1000, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 32, 32);
	assert_int_equal(shared_try_uuid(&p.gpu, 1000, uuid), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	/* All of them come back; and there is room again for one that goes. */
	isolated_pair_kill(&p, ISOLATED_GPU);
	assert_int_equal(shared_try_uuid(&p.gpu, 1000, uuid), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	assert_int_equal(gpu3d_unref(&p.gpu, 7), OK);
	assert_int_equal(shared_try_uuid(&p.gpu, 1000, uuid), VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
	start_film(&p);
	assert_int_equal(shared_set_params(&p.video, VIDEO_OUT, VIRTIO_VIDEO_FORMAT_BGRA8888,
					   VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT),
			 VIDEO_OK);
	assert_int_equal(shared_create_output(&p.video, 0, uuid), VIDEO_OK);
	isolated_pair_close(&p);
}

/* ---- workers that were taken over ---- */

static void a_name_belongs_to_who_announced_it(void **state)
{
	const uint8_t own[16] = {9};
	uint8_t uuid[16];
	struct isolated_pair p;

	isolated_pair_open(&p, *state);
	share(&p, uuid);
	assert_int_equal(isolated_pair_do(&p, ISOLATED_VIDEO, ISOLATED_ANNOUNCES, uuid), -EEXIST);
	assert_int_equal(isolated_pair_do(&p, ISOLATED_GPU, ISOLATED_ANNOUNCES, uuid), -EEXIST);
	assert_int_equal(isolated_pair_do(&p, ISOLATED_GPU, ISOLATED_ANNOUNCES_A_PIPE, own), -EPERM);
	assert_int_equal(isolated_pair_do(&p, ISOLATED_VIDEO, ISOLATED_ANNOUNCES, own), 0);
	assert_int_equal(isolated_pair_do(&p, ISOLATED_GPU, ISOLATED_ANNOUNCES, own), -EEXIST);
	play(&p, 0);
	/* And when a worker goes that had no right to it. */
	isolated_pair_kill(&p, ISOLATED_VIDEO);
	assert_false(is_not_found((void *[]){p.objects, uuid}));
	isolated_pair_close(&p);
}

static bool is_found(void *arg)
{
	return !is_not_found(arg);
}

/* The device does not wait for ever; what it said stands. */
static void a_frontend_may_be_late(void **state)
{
	const uint8_t names[2][16] = {{9}, {8}};
	struct isolated_pair p;
	int err;

	isolated_pair_open(&p, *state);
	for (unsigned i = 0; i < 2; i++) {
		memcpy(p.shared->name, names[i], 16);
		p.shared->mischief[ISOLATED_GPU] = ISOLATED_ANNOUNCES;
		for (unsigned n = 0; n < 60000 && p.shared->mischief[ISOLATED_GPU] != ISOLATED_NONE; n++)
			usleep(1000);
		assert_int_equal(p.shared->mischief[ISOLATED_GPU], ISOLATED_NONE);
		/* One at a time. */
		assert_int_equal(p.shared->result, i ? -EBUSY : 0);
	}
	assert_true(
		fake_guest_run_until(p.gpu.guest, is_found, (void *[]){p.objects, (void *)(uintptr_t)names[0]}, 60000));
	/* The frontend knows it before its answer is with the worker. */
	for (unsigned n = 0; (err = isolated_pair_do(&p, ISOLATED_GPU, ISOLATED_ANNOUNCES, names[1])) == -EBUSY; n++)
		assert_true(n < 1000);
	assert_int_equal(err, 0);
	isolated_pair_close(&p);
}

/* It died before it had noted what for. */
static void what_the_next_worker_does_not_know_is_taken_back(void **state)
{
	const uint8_t stray[16] = {9};
	uint8_t uuid[16];
	struct isolated_pair p;

	isolated_pair_open(&p, *state);
	share(&p, uuid);
	assert_int_equal(isolated_pair_do(&p, ISOLATED_GPU, ISOLATED_ANNOUNCES, stray), 0);
	assert_false(is_not_found((void *[]){p.objects, (void *)(uintptr_t)stray}));
	isolated_pair_kill(&p, ISOLATED_GPU);
	assert_true(fake_guest_run_until(p.gpu.guest, is_not_found, (void *[]){p.objects, (void *)(uintptr_t)stray},
					 60000));
	assert_false(is_not_found((void *[]){p.objects, uuid}));
	play(&p, 0);
	/* The name is free again. */
	assert_int_equal(isolated_pair_do(&p, ISOLATED_VIDEO, ISOLATED_ANNOUNCES, stray), 0);
	isolated_pair_close(&p);
}

static void nothing_is_left_of_a_keeper_that_died(void **state)
{
	uint8_t uuid[16];
	struct isolated_pair p;

	isolated_pair_open(&p, *state);
	share(&p, uuid);
	isolated_pair_kill_keeper(&p, ISOLATED_GPU);
	assert_int_equal(shared_create_output(&p.video, 8, uuid), INVALID_PARAMETER);
	isolated_pair_close(&p);
}

/* ---- deaths at numbered steps ---- */

#ifdef MULLION_STEPS
static int flush_again(struct isolated_pair *p, uint32_t id)
{
	int code = gpu3d_flush(&p->gpu, id, 0, 0, WIDTH, HEIGHT);

	/* What was at work may not have been done. */
	return code == OK ? code : gpu3d_flush(&p->gpu, id, 0, 0, WIDTH, HEIGHT);
}

/* From the name to the end of resource @id, with a death on the way: at each step all of it is there or nothing. */
static void share_once(struct isolated_pair *p, uint32_t id, unsigned side, unsigned step, unsigned number)
{
	uint8_t uuid[16];
	uint32_t created;

	shared_create_2d(&p->gpu, id, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, WIDTH, HEIGHT);
	assert_int_equal(gpu3d_set_scanout(&p->gpu, id, WIDTH, HEIGHT), OK);
	isolated_pair_arm(p, side, step, number);
	if (shared_try_uuid(&p->gpu, id, uuid) != VIRTIO_GPU_RESP_OK_RESOURCE_UUID)
		shared_assign_uuid(&p->gpu, id, uuid);
	created = shared_create_output(&p->video, id, uuid);
	if (created != VIDEO_OK)
		assert_int_equal(shared_create_output(&p->video, id, uuid), VIDEO_OK);
	assert_int_equal(flush_again(p, id), OK);
	assert_false(is_not_found((void *[]){p->objects, uuid}));
	if (gpu3d_unref(&p->gpu, id) != OK)
		gpu3d_unref(&p->gpu, id);
	assert_true(fake_guest_run_until(p->gpu.guest, is_not_found, (void *[]){p->objects, uuid}, 60000));
	/* Not to be killed in what follows. */
	isolated_pair_arm(p, side, STEP_COUNT, 1);
	assert_int_equal(video_queue_command(&p->video, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_OUT), VIDEO_OK);
}
#endif

static void a_worker_that_dies_at_a_step_shares_all_or_nothing(void **state)
{
#ifdef MULLION_STEPS
	uint32_t id = 1;
	unsigned before;
	struct isolated_pair p;

	isolated_pair_open_unconfined(&p, *state);
	assert_int_equal(video_create_stream(&p.video, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	assert_int_equal(shared_set_params(&p.video, VIDEO_OUT, VIRTIO_VIDEO_FORMAT_BGRA8888,
					   VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT),
			 VIDEO_OK);
	before = usage_count(getpid(), "fd");
	for (unsigned side = 0; side < 2; side++) {
		for (unsigned step = 0; step < STEP_RECOVERING; step++) {
			for (unsigned number = 1; number < 4; number++)
				share_once(&p, id++, side, step, number);
		}
	}
	assert_true(p.shared->workers[ISOLATED_GPU] > 10 && p.shared->workers[ISOLATED_VIDEO] > 5);
	/* What nobody knows of is not kept either. */
	fake_guest_run_until(p.gpu.guest, NULL, NULL, 200);
	assert_int_equal(usage_count(getpid(), "fd"), before);
	printf("# workers: %u of the GPU, %u of the decoder\n", p.shared->workers[ISOLATED_GPU],
	       p.shared->workers[ISOLATED_VIDEO]);
	isolated_pair_close(&p);
#else
	(void)state;
	tap_skip("needs a build with STEPS=1");
#endif
}

#define FOR_EACH_RENDERER(test)                                                                                        \
	{#test " 2d", test, NULL, NULL, (void *)(uintptr_t)renderers[0]},                                              \
	{                                                                                                              \
#test " virgl", test, NULL, NULL, (void *)(uintptr_t)renderers[1]                                      \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_EACH_RENDERER(a_decoded_picture_is_shown),
		FOR_EACH_RENDERER(a_blob_is_its_pages),
		FOR_EACH_RENDERER(the_gpus_worker_may_die),
		FOR_EACH_RENDERER(a_picture_is_decoded_while_the_gpus_worker_is_dead),
		FOR_EACH_RENDERER(the_decoders_worker_may_die),
		FOR_EACH_RENDERER(what_is_gone_is_not_found),
		FOR_EACH_RENDERER(nothing_is_shared_without_a_driver_to_share_with),
		cmocka_unit_test_prestate(too_many_are_refused, (void *)(uintptr_t)renderers[0]),
		cmocka_unit_test_prestate(a_name_belongs_to_who_announced_it, (void *)(uintptr_t)renderers[0]),
		cmocka_unit_test_prestate(a_frontend_may_be_late, (void *)(uintptr_t)renderers[0]),
		cmocka_unit_test_prestate(what_the_next_worker_does_not_know_is_taken_back,
					  (void *)(uintptr_t)renderers[0]),
		cmocka_unit_test_prestate(nothing_is_left_of_a_keeper_that_died, (void *)(uintptr_t)renderers[0]),
		cmocka_unit_test_prestate(a_worker_that_dies_at_a_step_shares_all_or_nothing,
					  (void *)(uintptr_t)renderers[0]),
	};

	return cmocka_run_group_tests_name("video across processes", tests, NULL, NULL);
}
