// SPDX-License-Identifier: MIT
/*
 * Blobs that are objects of a context (PIPE_RESOURCE_CREATE, then RESOURCE_CREATE_BLOB of its blob_id): drawn to, shown, read by
 * transfers where they have pages of the guest's, counted, and refused where they make no sense.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/gpu/virgl_stream.h"
#include "protocol/virtio_gpu.h"
#include "tests/lib/gpu3d_test.h"

#define WIDTH 48u
#define HEIGHT 32u
#define BYTES (WIDTH * HEIGHT * 4)
#define BGRX VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define RGBA VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM
#define SHAREABLE (VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE | VIRTIO_GPU_BLOB_FLAG_USE_CROSS_DEVICE)
#define MAPPABLE VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE
#define BOTH VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST
#define HOST VIRTIO_GPU_BLOB_MEM_HOST3D
#define UNSPEC VIRTIO_GPU_RESP_ERR_UNSPEC
#define NO_MEMORY VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY
#define BAD_RESOURCE VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
#define BAD_CONTEXT VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID
#define BAD_PARAMETER VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER

static const struct gpu_resource_shape picture = {
	.target = PIPE_TEXTURE_2D,
	.format = BGRA,
	.bind = TARGET | VIRGL_BIND_SCANOUT,
	.width = WIDTH,
	.height = HEIGHT,
	.depth = 1,
	.array_size = 1,
};

static struct gpu3d_resource resource(uint32_t id)
{
	return (struct gpu3d_resource){.id = id, .width = WIDTH, .height = HEIGHT, .stride = WIDTH * 4};
}

/* The object @blob_id as resource @id, attached to the context. */
static struct gpu3d_resource make(struct gpu3d *t, uint32_t id, uint32_t blob_id, uint32_t mem)
{
	struct gpu3d_resource r = resource(id);

	gpu3d_name_object(t, blob_id, &picture);
	assert_int_equal(gpu3d_submit(t), OK);
	assert_int_equal(gpu3d_object_blob(t, &r, blob_id, mem, SHAREABLE, mem == BOTH ? BYTES : 0), OK);
	assert_int_equal(gpu3d_attach(t, id), OK);
	return r;
}

/* All of it one colour, by the GPU. */
static void fill(struct gpu3d *t, const struct gpu3d_resource *r, float red, float blue)
{
	const uint32_t rgba[4] = {gpu3d_bits(red), 0, gpu3d_bits(blue), gpu3d_bits(1.0f)};

	gpu3d_draw_to(t, 100 + r->id, r, BGRA);
	virgl_clear(&t->stream, PIPE_CLEAR_COLOR0, rgba, VIRGL_DOUBLE_1, 0);
	assert_int_equal(gpu3d_submit(t), OK);
}

static void expect(const uint32_t *pixels, uint32_t color)
{
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++)
		assert_int_equal(pixels[i] & 0xffffff, color);
}

static void an_object_is_drawn_to_and_shown(void **state)
{
	struct gpu3d *t = gpu3d_needed();
	struct gpu3d_resource r = make(t, 10, 7, HOST);

	(void)state;
	/* What it is shown as may say that alpha means nothing. */
	assert_int_equal(gpu3d_set_scanout_blob(t, r.id, BGRX, WIDTH, HEIGHT), OK);
	fill(t, &r, 1.0f, 0);
	assert_int_equal(gpu3d_flush(t, r.id, 0, 0, WIDTH, HEIGHT), OK);
	assert_int_equal(t->screen->width, WIDTH);
	expect(t->screen->pixels, 0xff0000);
	assert_int_equal(gpu3d_set_scanout_blob(t, r.id, BGRA, WIDTH, HEIGHT), OK);
	fill(t, &r, 0, 1.0f);
	assert_int_equal(gpu3d_flush(t, r.id, 0, 0, WIDTH, HEIGHT), OK);
	expect(t->screen->pixels, 0x0000ff);
	assert_int_equal(gpu3d_unref(t, r.id), OK);
	/* The number is free again, and so is the name. */
	make(t, 10, 7, HOST);
}

static void an_object_with_pages_of_the_guests_is_transferred(void **state)
{
	struct gpu3d *t = gpu3d_needed();
	struct gpu3d_resource r = make(t, 10, 7, BOTH);

	(void)state;
	for (uint32_t i = 0; i < BYTES; i++)
		r.pages[i] = (uint8_t)(i * 7 + i / 1000);
	assert_int_equal(gpu3d_upload(t, &r), OK);
	assert_int_equal(gpu3d_set_scanout_blob(t, r.id, BGRA, WIDTH, HEIGHT), OK);
	assert_int_equal(gpu3d_flush(t, r.id, 0, 0, WIDTH, HEIGHT), OK);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++)
		assert_int_equal((t->screen->pixels[i] ^ ((const uint32_t *)(void *)r.pages)[i]) & 0xffffff, 0);
	fill(t, &r, 1.0f, 1.0f);
	assert_int_equal(gpu3d_read_back(t, &r), OK);
	expect((const uint32_t *)(void *)r.pages, 0xff00ff);
}

static void several_wait_and_the_last_of_a_name_counts(void **state)
{
	struct gpu_resource_shape other = picture;
	struct gpu3d_resource r[4] = {resource(10), resource(11), resource(12), resource(13)};
	struct gpu3d *t = gpu3d_needed();

	(void)state;
	other.width = 16;
	other.height = 8;
	gpu3d_name_object(t, 1, &picture);
	gpu3d_name_object(t, 2, &picture);
	gpu3d_name_object(t, 3, &picture);
	gpu3d_name_object(t, 2, &other);
	assert_int_equal(gpu3d_submit(t), OK);
	assert_int_equal(gpu3d_object_blob(t, &r[2], 3, HOST, SHAREABLE, 0), OK);
	assert_int_equal(gpu3d_object_blob(t, &r[1], 2, HOST, SHAREABLE, 0), OK);
	assert_int_equal(gpu3d_object_blob(t, &r[0], 1, HOST, SHAREABLE, 0), OK);
	assert_int_equal(gpu3d_object_blob(t, &r[3], 2, HOST, SHAREABLE, 0), BAD_PARAMETER);
	assert_int_equal(gpu3d_set_scanout_blob(t, r[2].id, BGRA, WIDTH, HEIGHT), OK);
	assert_int_equal(gpu3d_set_scanout_blob(t, r[1].id, BGRA, WIDTH, HEIGHT), BAD_PARAMETER);
	assert_int_equal(gpu3d_set_scanout_blob(t, r[1].id, BGRA, 16, 8), OK);
}

static void what_makes_no_sense_is_refused(void **state)
{
	const struct virtio_gpu_resource_map_blob map = {.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB},
							 .resource_id = 10};
	const struct virtio_gpu_resource_detach_backing detach = {
		.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING}, .resource_id = 10};
	struct gpu3d_resource r = resource(10), empty = resource(10);
	struct gpu3d *t = gpu3d_needed();

	(void)state;
	empty.height = 0;
	gpu3d_name_object(t, 7, &picture);
	assert_int_equal(gpu3d_submit(t), OK);
	assert_int_equal(gpu3d_object_blob(t, &r, 7, HOST, 8, 0), BAD_PARAMETER);
	assert_int_equal(gpu3d_object_blob(t, &empty, 7, HOST, SHAREABLE, 0), BAD_PARAMETER);
	assert_int_equal(gpu3d_object_blob(t, &r, 7, HOST, SHAREABLE, BYTES), BAD_PARAMETER);
	assert_int_equal(gpu3d_object_blob(t, &r, 7, BOTH, SHAREABLE, 0), BAD_PARAMETER);
	assert_int_equal(gpu3d_object_blob(t, &r, 7, HOST, SHAREABLE | MAPPABLE, 0), UNSPEC);
	assert_int_equal(gpu3d_object_blob(t, &r, 8, HOST, SHAREABLE, 0), BAD_PARAMETER);
	t->ctx = 9;
	assert_int_equal(gpu3d_object_blob(t, &r, 7, HOST, SHAREABLE, 0), BAD_CONTEXT);
	t->ctx = 2;
	assert_int_equal(gpu3d_context(t, 2, 0), OK);
	assert_int_equal(gpu3d_object_blob(t, &r, 7, HOST, SHAREABLE, 0), BAD_PARAMETER);
	t->ctx = 1;
	assert_int_equal(gpu3d_object_blob(t, &r, 7, HOST, SHAREABLE, 0), OK);

	/* It is a blob, and one that lies where the driver put it. */
	assert_int_equal(gpu3d_set_scanout(t, 10, WIDTH, HEIGHT), BAD_RESOURCE);
	assert_int_equal(gpu3d_attach_backing(t, &r, BYTES), BAD_RESOURCE);
	assert_int_equal(gpu3d_request(t, &detach, sizeof(detach), NULL, 0), BAD_RESOURCE);
	assert_int_equal(gpu3d_request(t, &map, sizeof(map), NULL, 0), BAD_PARAMETER);
	assert_int_equal(gpu3d_upload(t, &r), UNSPEC);
	assert_int_equal(gpu3d_set_scanout_blob(t, 10, RGBA, WIDTH, HEIGHT), BAD_PARAMETER);
	assert_int_equal(gpu3d_set_scanout_blob(t, 10, BGRA, WIDTH + 1, HEIGHT), BAD_PARAMETER);
	assert_int_equal(gpu3d_set_scanout_blob(t, 10, BGRA, WIDTH, HEIGHT + 1), BAD_PARAMETER);
	assert_true(gpu3d_draws(t, 200));
}

static void pages_that_are_too_few_leave_nothing(void **state)
{
	struct gpu3d_resource r = resource(10);
	struct gpu3d *t = gpu3d_needed();
	struct {
		struct virtio_gpu_resource_create_blob cmd;
		struct virtio_gpu_mem_entry entry;
	} bad = {
		.cmd = {.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, .ctx_id = 1},
			.resource_id = 10,
			.blob_mem = BOTH,
			.nr_entries = 1,
			.blob_id = 7,
			.size = BYTES},
		.entry = {.addr = UINT64_C(1) << 50, .length = BYTES},
	};

	(void)state;
	gpu3d_name_object(t, 7, &picture);
	assert_int_equal(gpu3d_submit(t), OK);
	assert_int_equal(gpu3d_request(t, &bad, sizeof(bad), NULL, 0), BAD_PARAMETER);
	assert_int_equal(gpu3d_unref(t, 10), BAD_RESOURCE);
	gpu3d_name_object(t, 7, &picture);
	assert_int_equal(gpu3d_submit(t), OK);
	assert_int_equal(gpu3d_object_blob(t, &r, 7, HOST, SHAREABLE, 0), OK);
}

/* 31 GiB of pictures that nobody has asked for so far, and one that is over the limit by itself. */
static void what_waits_takes_no_memory(void **state)
{
	struct gpu_resource_shape large = picture;
	struct gpu3d_resource r = resource(10);
	struct gpu3d *t = gpu3d_needed();

	(void)state;
	large.width = large.height = 16384;
	for (uint32_t i = 1; i < VIRGL_STREAM_OBJECTS; i++)
		gpu3d_name_object(t, i, &large);
	assert_int_equal(gpu3d_submit(t), OK);
	large.target = PIPE_TEXTURE_3D;
	large.depth = 4096;
	gpu3d_name_object(t, 100, &large);
	assert_int_equal(gpu3d_submit(t), OK);
	assert_int_equal(gpu3d_object_blob(t, &r, 100, HOST, SHAREABLE, 0), NO_MEMORY);
	assert_int_equal(gpu3d_object_blob(t, &r, 100, HOST, SHAREABLE, 0), BAD_PARAMETER);
	assert_int_equal(gpu3d_unref(t, 10), BAD_RESOURCE);
	assert_true(gpu3d_draws(t, 200));
}

static void too_many_that_wait_are_the_end_of_their_context(void **state)
{
	struct gpu3d *t = gpu3d_needed();

	(void)state;
	for (uint32_t i = 1; i <= VIRGL_STREAM_OBJECTS; i++)
		gpu3d_name_object(t, i, &picture);
	assert_int_equal(gpu3d_submit(t), OK);
	gpu3d_name_object(t, 5, &picture);
	assert_int_equal(gpu3d_submit(t), OK);
	gpu3d_name_object(t, 1000, &picture);
	assert_int_equal(gpu3d_submit(t), NO_MEMORY);
	assert_int_equal(gpu3d_context_destroy(t, 1), OK);
	assert_int_equal(gpu3d_context(t, 1, 0), OK);
	make(t, 10, 1000, HOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GPU3D_CASE(an_object_is_drawn_to_and_shown),
		GPU3D_CASE(an_object_with_pages_of_the_guests_is_transferred),
		GPU3D_CASE(several_wait_and_the_last_of_a_name_counts),
		GPU3D_CASE(what_makes_no_sense_is_refused),
		GPU3D_CASE(pages_that_are_too_few_leave_nothing),
		GPU3D_CASE(what_waits_takes_no_memory),
		GPU3D_CASE(too_many_that_wait_are_the_end_of_their_context),
	};

	return cmocka_run_group_tests_name("gpu_virgl_blob", tests, gpu3d_start, gpu3d_stop);
}
