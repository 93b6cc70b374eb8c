// SPDX-License-Identifier: MIT
/*
 * Resources of a GPU as buffers of a codec, by their UUIDs: a decoded picture is written into the resource and shown or
 * sampled from there, in both renderers; blobs; an encoder reads what the GPU has; and what a guest can do wrong.
 * The codec is the fake one, whose pictures are known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "host/virtio/object.h"
#include "protocol/virtio_gpu.h"
#include "tests/lib/film.h"
#include "tests/lib/gpu3d.h"
#include "tests/lib/shared_pictures.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define INVALID_PARAMETER VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER

enum { WIDTH = FILM_WIDTH, HEIGHT = FILM_HEIGHT };

struct pair {
	struct virtio_objects *objects;
	struct gpu3d *gpu;
	struct video_world *w;
	struct film film;
};

static const char *no_gpu;

static void open_pair(struct pair *p, const char *renderer, bool encoder)
{
	struct fake_guest *guest = fake_guest_create(NULL);

	memset(p, 0, sizeof(*p));
	assert_int_equal(virtio_objects_create(&p->objects), 0);
	if (gpu3d_create_sharing(&p->gpu, guest, renderer, p->objects, &no_gpu) < 0) {
		fake_guest_destroy(guest);
		virtio_objects_destroy(p->objects);
		print_message("no 3D here: %s\n", no_gpu);
		skip();
	}
	gpu3d_boot(p->gpu);
	p->w = video_world_create(&(struct video_world_options){.encoder = encoder, .objects = p->objects});
}

static void close_pair(struct pair *p)
{
	/* In either order: what is in use lives on. */
	gpu3d_destroy(p->gpu);
	video_world_destroy(p->w);
	virtio_objects_destroy(p->objects);
}

/* A decoder whose output is @format in objects: picture 0 is in the codec. */
static void start_film(struct pair *p, uint32_t format)
{
	film_make(&p->film, p->w, 1);
	film_feed_and_wait(&p->film, 0);
	film_expect_event(p->w, VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED, 1);
	assert_int_equal(shared_set_params(p->w, VIDEO_OUT, format, VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT), VIDEO_OK);
}

/* Decode picture @value into object buffer @id. @next is put into the codec behind it. */
static void decode(struct pair *p, uint32_t id, uint32_t next)
{
	struct fake_request *r = film_want(&p->film, id);

	film_feed_and_wait(&p->film, next);
	film_expect_flags(p->w, r, 0);
}

static void check_screen(struct gpu3d *t, uint32_t width, uint32_t height, uint32_t value)
{
	assert_int_equal(t->screen->width, width);
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			if ((t->screen->pixels[y * width + x] & 0xffffff) != shared_pixel(value, x, y))
				fail_msg("pixel %u,%u is %06x, not %06x", x, y,
					 t->screen->pixels[y * width + x] & 0xffffff, shared_pixel(value, x, y));
		}
	}
}

/* ---- shown ---- */

static void a_decoded_picture_is_the_scanout(const char *renderer, bool texture)
{
	struct video_stats stats;
	struct gpu_stats gpu;
	uint8_t uuid[2][16];
	struct pair p;

	open_pair(&p, renderer, false);
	shared_create_2d(p.gpu, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, WIDTH, HEIGHT);
	shared_assign_uuid(p.gpu, 1, uuid[0]);
	/* It keeps its name. */
	shared_assign_uuid(p.gpu, 1, uuid[1]);
	assert_memory_equal(uuid[0], uuid[1], 16);
	assert_int_equal(gpu3d_set_scanout(p.gpu, 1, WIDTH, HEIGHT), OK);
	start_film(&p, VIRTIO_VIDEO_FORMAT_BGRA8888);
	assert_int_equal(shared_create_output(p.w, 7, uuid[0]), VIDEO_OK);
	for (uint32_t i = 0; i < 3; i++) {
		decode(&p, 7, i + 1);
		assert_int_equal(gpu3d_flush(p.gpu, 1, 0, 0, WIDTH, HEIGHT), OK);
		check_screen(p.gpu, WIDTH, HEIGHT, i);
		/* Nothing new: no upload. */
		assert_int_equal(gpu3d_flush(p.gpu, 1, 0, 0, WIDTH, HEIGHT), OK);
	}
	gpu_get_stats(p.gpu->device, &gpu);
	assert_int_equal(gpu.object_uploads, texture ? 3 : 0);
	assert_int_equal(video_simple(p.w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
	video_get_stats(p.w->device, &stats);
	assert_int_equal(stats.codec.frames_out, 3);
	assert_int_equal(stats.codec.copies, 3);
	close_pair(&p);
}

static void a_decoded_picture_is_the_image_of_the_2d_renderer(void **state)
{
	(void)state;
	a_decoded_picture_is_the_scanout("2d", false);
}

static void a_decoded_picture_is_the_texture_of_virgl(void **state)
{
	(void)state;
	a_decoded_picture_is_the_scanout("virgl", true);
}

static void the_picture_may_be_smaller_than_the_resource(void **state)
{
	uint8_t uuid[16];
	struct pair p;

	(void)state;
	open_pair(&p, "2d", false);
	shared_create_2d(p.gpu, 1, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, WIDTH + 13, HEIGHT + 5);
	shared_assign_uuid(p.gpu, 1, uuid);
	start_film(&p, VIRTIO_VIDEO_FORMAT_BGRA8888);
	assert_int_equal(shared_create_output(p.w, 0, uuid), VIDEO_OK);
	decode(&p, 0, 1);
	assert_int_equal(gpu3d_set_scanout(p.gpu, 1, WIDTH + 13, HEIGHT + 5), OK);
	assert_int_equal(gpu3d_flush(p.gpu, 1, 0, 0, WIDTH + 13, HEIGHT + 5), OK);
	for (uint32_t y = 0; y < HEIGHT + 5; y++) {
		for (uint32_t x = 0; x < WIDTH + 13; x++)
			assert_int_equal(p.gpu->screen->pixels[y * (WIDTH + 13) + x] & 0xffffff,
					 x < WIDTH && y < HEIGHT ? shared_pixel(0, x, y) : 0);
	}
	close_pair(&p);
}

static void what_was_shown_before_stays(void **state)
{
	struct gpu3d_resource r = {.id = 1, .width = WIDTH, .height = HEIGHT, .stride = WIDTH * 4};
	struct virtio_gpu_transfer_to_host_2d cmd = {.hdr = {.type = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D},
						     .r = {.width = WIDTH, .height = HEIGHT},
						     .resource_id = 1};
	uint8_t uuid[16];
	struct pair p;

	(void)state;
	open_pair(&p, "2d", false);
	shared_create_2d(p.gpu, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, WIDTH, HEIGHT);
	assert_int_equal(gpu3d_attach_backing(p.gpu, &r, WIDTH * HEIGHT * 4), OK);
	memset(r.pages, 0x42, r.bytes);
	assert_int_equal(gpu3d_request(p.gpu, &cmd, sizeof(cmd), NULL, 0), OK);
	shared_assign_uuid(p.gpu, 1, uuid);
	assert_int_equal(gpu3d_set_scanout(p.gpu, 1, WIDTH, HEIGHT), OK);
	assert_int_equal(gpu3d_flush(p.gpu, 1, 0, 0, WIDTH, HEIGHT), OK);
	assert_int_equal(p.gpu->screen->pixels[WIDTH * HEIGHT - 1] & 0xffffff, 0x424242);
	/* And the guest may go on drawing. */
	memset(r.pages, 0x17, r.bytes);
	assert_int_equal(gpu3d_request(p.gpu, &cmd, sizeof(cmd), NULL, 0), OK);
	assert_int_equal(gpu3d_flush(p.gpu, 1, 0, 0, WIDTH, HEIGHT), OK);
	assert_int_equal(p.gpu->screen->pixels[0] & 0xffffff, 0x171717);
	close_pair(&p);
}

/* ---- sampled ---- */

/* A texture that is a blob of an object of the context. */
static struct gpu3d_resource texture_of_object(struct gpu3d *t, uint32_t id, uint32_t bind)
{
	struct gpu3d_resource r = {.id = id, .width = WIDTH, .height = HEIGHT, .stride = WIDTH * 4};

	gpu3d_name_object(t, 77,
			  &(struct gpu_resource_shape){.target = PIPE_TEXTURE_2D,
						       .format = VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM,
						       .bind = bind,
						       .width = WIDTH,
						       .height = HEIGHT,
						       .depth = 1,
						       .array_size = 1});
	assert_int_equal(gpu3d_submit(t), OK);
	assert_int_equal(gpu3d_object_blob(t, &r, 77, VIRTIO_GPU_BLOB_MEM_HOST3D,
					   VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE | VIRTIO_GPU_BLOB_FLAG_USE_CROSS_DEVICE, 0),
			 OK);
	assert_int_equal(gpu3d_attach(t, id), OK);
	return r;
}

static void draw_from(bool is_blob)
{
	const struct virgl_region all = {.width = WIDTH, .height = HEIGHT, .depth = 1};
	struct gpu3d_resource from, to;
	struct gpu_stats stats;
	uint8_t uuid[16];
	struct pair p;

	open_pair(&p, "virgl", false);
	if (is_blob)
		from = texture_of_object(p.gpu, 1, VIRGL_BIND_SAMPLER_VIEW);
	else
		from = gpu3d_texture(p.gpu, 1, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, VIRGL_BIND_SAMPLER_VIEW, WIDTH, HEIGHT,
				     0);
	to = gpu3d_texture(p.gpu, 2, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, VIRGL_BIND_RENDER_TARGET, WIDTH, HEIGHT, 0);
	shared_assign_uuid(p.gpu, from.id, uuid);
	start_film(&p, VIRTIO_VIDEO_FORMAT_BGRA8888);
	assert_int_equal(shared_create_output(p.w, 0, uuid), VIDEO_OK);
	for (uint32_t i = 0; i < 2; i++) {
		decode(&p, 0, i + 1);
		virgl_copy_region(&p.gpu->stream, to.id, 0, 0, 0, 0, from.id, 0, &all);
		assert_int_equal(gpu3d_submit(p.gpu), OK);
		assert_int_equal(gpu3d_read_back(p.gpu, &to), OK);
		for (uint32_t y = 0; y < HEIGHT; y++) {
			for (uint32_t x = 0; x < WIDTH; x++) {
				const uint8_t *pixel = to.pages + (size_t)y * to.stride + (size_t)x * 4;

				for (unsigned k = 0; k < 4; k++)
					assert_int_equal(pixel[k], fake_sample(i, k, x, y));
			}
		}
	}
	gpu_get_stats(p.gpu->device, &stats);
	assert_int_equal(stats.object_uploads, 2);
	/* Gone while the codec still has it. */
	assert_int_equal(gpu3d_unref(p.gpu, from.id), OK);
	decode(&p, 0, 3);
	assert_int_equal(gpu3d_submit(p.gpu), OK);
	gpu_get_stats(p.gpu->device, &stats);
	assert_int_equal(stats.object_uploads, 2);
	close_pair(&p);
}

static void a_decoded_picture_is_drawn_from(void **state)
{
	(void)state;
	draw_from(false);
}

static void a_decoded_picture_is_drawn_from_a_blob_of_a_context(void **state)
{
	(void)state;
	draw_from(true);
}

static void the_guests_own_upload_comes_after_what_was_decoded_before(void **state)
{
	struct gpu3d_resource r;
	uint8_t uuid[16];
	struct pair p;

	(void)state;
	open_pair(&p, "virgl", false);
	r = gpu3d_texture(p.gpu, 1, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, VIRGL_BIND_SAMPLER_VIEW, WIDTH, HEIGHT, 0);
	shared_assign_uuid(p.gpu, r.id, uuid);
	start_film(&p, VIRTIO_VIDEO_FORMAT_BGRA8888);
	assert_int_equal(shared_create_output(p.w, 0, uuid), VIDEO_OK);
	decode(&p, 0, 1);
	memset(r.pages, 0x42, r.bytes);
	assert_int_equal(gpu3d_upload(p.gpu, &r), OK);
	memset(r.pages, 0, r.bytes);
	assert_int_equal(gpu3d_read_back(p.gpu, &r), OK);
	for (size_t i = 0; i < r.bytes; i++)
		assert_int_equal(r.pages[i], 0x42);
	close_pair(&p);
}

static void a_texture_is_no_input_of_an_encoder(void **state)
{
	static const uint32_t one = 1;
	uint8_t uuid[1][16];
	struct pair p;

	(void)state;
	open_pair(&p, "virgl", true);
	gpu3d_texture(p.gpu, 1, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, VIRGL_BIND_SAMPLER_VIEW, WIDTH, HEIGHT, 0);
	shared_assign_uuid(p.gpu, 1, uuid[0]);
	assert_int_equal(video_create_stream(p.w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	assert_int_equal(
		shared_set_params(p.w, VIDEO_IN, VIRTIO_VIDEO_FORMAT_BGRA8888, VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT),
		VIDEO_OK);
	assert_int_equal(shared_create_buffer(p.w, VIDEO_IN, 0, 1, 1, &one, (const uint8_t(*)[16])uuid, 1),
			 INVALID_PARAMETER);
	close_pair(&p);
}

/* ---- blobs ---- */

static void a_blob_is_its_pages(void **state)
{
	struct {
		struct virtio_gpu_resource_create_blob c;
		struct virtio_gpu_mem_entry e[2];
	} create = {.c = {.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB},
			  .resource_id = 3,
			  .blob_mem = VIRTIO_GPU_BLOB_MEM_GUEST,
			  .nr_entries = 2,
			  .size = WIDTH * HEIGHT * 4}};
	struct virtio_gpu_set_scanout_blob scan = {.hdr = {.type = VIRTIO_GPU_CMD_SET_SCANOUT_BLOB},
						   .r = {.width = WIDTH, .height = HEIGHT},
						   .resource_id = 3,
						   .width = WIDTH,
						   .height = HEIGHT,
						   .format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
						   .strides = {WIDTH * 4}};
	const uint32_t part = 4096;
	uint8_t uuid[16];
	struct pair p;

	(void)state;
	open_pair(&p, "2d", false);
	create.e[0] =
		(struct virtio_gpu_mem_entry){.addr = fake_guest_alloc_high(p.gpu->guest, part, 4096), .length = part};
	create.e[1].length = WIDTH * HEIGHT * 4 - part;
	create.e[1].addr = fake_guest_alloc(p.gpu->guest, create.e[1].length, 4096);
	assert_int_equal(gpu3d_request(p.gpu, &create, sizeof(create), NULL, 0), OK);
	shared_assign_uuid(p.gpu, 3, uuid);
	start_film(&p, VIRTIO_VIDEO_FORMAT_BGRA8888);
	assert_int_equal(shared_create_output(p.w, 0, uuid), VIDEO_OK);
	decode(&p, 0, 1);
	assert_int_equal(gpu3d_request(p.gpu, &scan, sizeof(scan), NULL, 0), OK);
	assert_int_equal(gpu3d_flush(p.gpu, 3, 0, 0, WIDTH, HEIGHT), OK);
	check_screen(p.gpu, WIDTH, HEIGHT, 0);
	close_pair(&p);
}

/* ---- encoders ---- */

static void an_encoder_reads_what_the_gpu_has(void **state)
{
	static const uint32_t one = 1;
	struct gpu3d_resource r = {.id = 1, .width = WIDTH, .height = HEIGHT, .stride = WIDTH * 4};
	struct virtio_gpu_transfer_to_host_2d cmd = {.hdr = {.type = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D},
						     .r = {.width = WIDTH, .height = HEIGHT},
						     .resource_id = 1};
	struct virtio_video_set_params set = {.params = {.queue_type = VIDEO_IN,
							 .format = VIRTIO_VIDEO_FORMAT_BGRA8888,
							 .frame_width = WIDTH,
							 .frame_height = HEIGHT}};
	const size_t picture = WIDTH * HEIGHT * 3 / 2;
	struct fake_request *in, *out;
	const uint8_t *packet;
	uint8_t uuid[1][16];
	uint64_t to;
	struct pair p;

	(void)state;
	open_pair(&p, "2d", true);
	shared_create_2d(p.gpu, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, WIDTH, HEIGHT);
	assert_int_equal(gpu3d_attach_backing(p.gpu, &r, WIDTH * HEIGHT * 4), OK);
	shared_assign_uuid(p.gpu, 1, uuid[0]);
	assert_int_equal(video_create_stream(p.w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	assert_int_equal(video_send(p.w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &set, sizeof(set), NULL, 0), VIDEO_OK);
	assert_int_equal(
		shared_set_params(p.w, VIDEO_IN, VIRTIO_VIDEO_FORMAT_BGRA8888, VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT),
		VIDEO_OK);
	assert_int_equal(shared_create_buffer(p.w, VIDEO_IN, 0, 1, 1, &one, (const uint8_t(*)[16])uuid, 1), VIDEO_OK);
	assert_int_equal(video_create_buffer(p.w, 1, VIDEO_OUT, 0, sizeof(struct fake_header) + picture, &to),
			 VIDEO_OK);
	for (int i = 1; i < 4; i++) {
		memset(r.pages, i, r.bytes);
		assert_int_equal(gpu3d_request(p.gpu, &cmd, sizeof(cmd), NULL, 0), OK);
		out = video_queue(p.w, 1, VIDEO_OUT, 0, 0, 0);
		in = video_queue(p.w, 1, VIDEO_IN, 0, 0, (uint64_t)i);
		assert_int_equal(video_wait(p.w, in).flags, 0);
		assert_int_equal(video_wait(p.w, out).timestamp, i);
		/* The fake encoder takes the bytes for I420. */
		packet = fake_guest_ptr(p.w->guest, to, sizeof(struct fake_header) + picture);
		for (size_t k = 0; k < picture; k++)
			assert_int_equal(packet[sizeof(struct fake_header) + k], i);
	}
	close_pair(&p);
}

/* ---- what is wrong ---- */

static void objects_are_checked(void **state)
{
	static const uint32_t none[3] = {0}, one[3] = {1}, two[3] = {1, 1}, many[3] = {2};
	uint8_t uuids[2][16], *uuid = uuids[0], wrong[16];
	const uint8_t(*list)[16] = (const uint8_t(*)[16])uuids;
	struct pair p;

	(void)state;
	open_pair(&p, "2d", false);
	shared_create_2d(p.gpu, 1, VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, WIDTH, HEIGHT);
	shared_create_2d(p.gpu, 2, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, WIDTH - 2, HEIGHT);
	shared_create_2d(p.gpu, 3, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, WIDTH, HEIGHT);
	start_film(&p, VIRTIO_VIDEO_FORMAT_BGRA8888);
	shared_assign_uuid(p.gpu, 3, uuid);
	memcpy(uuids[1], uuid, 16);
	/* Counts. */
	assert_int_equal(shared_create_buffer(p.w, VIDEO_OUT, 0, 1, 1, none, list, 1), INVALID_PARAMETER);
	assert_int_equal(shared_create_buffer(p.w, VIDEO_OUT, 0, 1, 1, many, list, 2), INVALID_PARAMETER);
	assert_int_equal(shared_create_buffer(p.w, VIDEO_OUT, 0, 1, 2, two, list, 2), INVALID_PARAMETER);
	assert_int_equal(shared_create_buffer(p.w, VIDEO_OUT, 0, 2, 2, one, list, 1), INVALID_PARAMETER);
	assert_int_equal(shared_create_buffer(p.w, VIDEO_OUT, 0, 1, 1, one, list, 0), INVALID_PARAMETER);
	/* Names. */
	memcpy(wrong, uuid, 16);
	wrong[15] ^= 1;
	assert_int_equal(shared_create_output(p.w, 0, wrong), INVALID_PARAMETER);
	memset(wrong, 0, 16);
	assert_int_equal(shared_create_output(p.w, 0, wrong), INVALID_PARAMETER);
	/* Planes of their own: two of them are no picture, but a buffer that RGB doesn't fit. */
	assert_int_equal(shared_create_buffer(p.w, VIDEO_OUT, 0, 2, 2, two, list, 2), VIDEO_OK);
	assert_int_equal(video_wait(p.w, film_want(&p.film, 0)).hdr.type, INVALID_PARAMETER);
	/* Another order of components; too small. */
	shared_assign_uuid(p.gpu, 1, wrong);
	assert_int_equal(shared_create_output(p.w, 1, wrong), VIDEO_OK);
	assert_int_equal(video_wait(p.w, film_want(&p.film, 1)).hdr.type, INVALID_PARAMETER);
	shared_assign_uuid(p.gpu, 2, wrong);
	assert_int_equal(shared_create_output(p.w, 2, wrong), VIDEO_OK);
	assert_int_equal(video_wait(p.w, film_want(&p.film, 2)).hdr.type, INVALID_PARAMETER);
	/* Good; and gone when the GPU has let go of it, but not for those who have it. */
	assert_int_equal(shared_create_output(p.w, 3, uuid), VIDEO_OK);
	assert_int_equal(gpu3d_unref(p.gpu, 3), OK);
	assert_int_equal(shared_create_output(p.w, 4, uuid), INVALID_PARAMETER);
	decode(&p, 3, 1);
	/* NV12 goes into no RGB object. */
	assert_int_equal(video_queue_command(p.w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_OUT), VIDEO_OK);
	assert_int_equal(
		shared_set_params(p.w, VIDEO_OUT, VIRTIO_VIDEO_FORMAT_NV12, VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT),
		VIDEO_OK);
	shared_assign_uuid(p.gpu, 2, wrong);
	assert_int_equal(shared_create_output(p.w, 0, wrong), VIDEO_OK);
	assert_int_equal(video_wait(p.w, film_want(&p.film, 0)).hdr.type, INVALID_PARAMETER);
	close_pair(&p);
}

/* Each piece takes memory of the host, for every buffer that has the object. */
static void an_objects_pieces_count(void **state)
{
	static const uint32_t one[2] = {1, 1};
	static uint8_t pages[64];
	const uint8_t names[3][16] = {{1}, {2}, {3}};
	const uint8_t few[2][16] = {{1}, {2}}, many[2][16] = {{2}, {2}};
	struct virtio_object *objects[3];
	struct iovec pieces[4];
	struct virtio_objects *t;
	struct video_world *w;

	(void)state;
	assert_int_equal(virtio_objects_create(&t), 0);
	w = video_world_create(&(struct video_world_options){.objects = t, .buffer_entries = 3});
	for (unsigned i = 0; i < 4; i++)
		pieces[i] = (struct iovec){pages + 16 * (size_t)i, 8};
	/* Of 1, 2 and 4 pieces. */
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(virtio_object_create_on(pieces, 1u << i, &objects[i]), 0);
		assert_int_equal(virtio_objects_publish(t, objects[i], names[i]), 0);
	}
	assert_int_equal(video_create_stream(w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	assert_int_equal(shared_set_params(w, VIDEO_OUT, VIRTIO_VIDEO_FORMAT_NV12, VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT),
			 VIDEO_OK);
	assert_int_equal(shared_create_output(w, 0, names[1]), VIDEO_OK);
	assert_int_equal(shared_create_output(w, 1, names[2]), VIRTIO_VIDEO_RESP_ERR_OUT_OF_MEMORY);
	assert_int_equal(shared_create_buffer(w, VIDEO_OUT, 1, 2, 2, one, many, 2),
			 VIRTIO_VIDEO_RESP_ERR_OUT_OF_MEMORY);
	assert_int_equal(shared_create_buffer(w, VIDEO_OUT, 1, 2, 2, one, few, 2), VIDEO_OK);
	for (unsigned i = 0; i < 3; i++) {
		virtio_objects_withdraw(t, objects[i]);
		virtio_object_put(objects[i]);
	}
	video_world_destroy(w);
	virtio_objects_destroy(t);
}

static void types_of_memory_are_set_per_queue(void **state)
{
	struct virtio_video_stream_create c = {.coded_format = VIRTIO_VIDEO_FORMAT_H264,
					       .out_mem_type = VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT};
	struct virtio_video_get_params get = {.queue_type = VIDEO_OUT};
	struct virtio_video_get_params_ext_resp resp;
	struct pair p;

	(void)state;
	open_pair(&p, "2d", false);
	assert_int_equal(video_send(p.w, VIRTIO_VIDEO_CMD_STREAM_CREATE, 1, &c, sizeof(c), NULL, 0), VIDEO_OK);
	assert_int_equal(video_send(p.w, VIRTIO_VIDEO_CMD_GET_PARAMS_EXT, 1, &get, sizeof(get), &resp, sizeof(resp)),
			 VIRTIO_VIDEO_RESP_OK_GET_PARAMS);
	assert_int_equal(resp.params.resource_type, VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT);
	assert_int_equal(video_create_buffer(p.w, 1, VIDEO_IN, 0, 4096, NULL), VIDEO_OK);
	/* A memory entry is no name. */
	assert_int_equal(video_create_buffer(p.w, 1, VIDEO_OUT, 0, 4096, NULL), INVALID_PARAMETER);
	assert_int_equal(shared_set_params(p.w, VIDEO_OUT, VIRTIO_VIDEO_FORMAT_NV12, VIRTIO_VIDEO_MEM_TYPE_GUEST_PAGES),
			 VIDEO_OK);
	assert_int_equal(video_create_buffer(p.w, 1, VIDEO_OUT, 0, 4096, NULL), VIDEO_OK);
	/* Not under buffers of the other type. */
	assert_int_equal(
		shared_set_params(p.w, VIDEO_OUT, VIRTIO_VIDEO_FORMAT_NV12, VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT),
		INVALID_PARAMETER);
	assert_int_equal(shared_set_params(p.w, VIDEO_OUT, VIRTIO_VIDEO_FORMAT_NV12, 2), INVALID_PARAMETER);
	close_pair(&p);
}

static void a_reset_of_either_device_harms_no_other(void **state)
{
	uint8_t uuid[16];
	struct pair p;

	(void)state;
	open_pair(&p, "2d", false);
	for (unsigned round = 0; round < 3; round++) {
		shared_create_2d(p.gpu, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, WIDTH, HEIGHT);
		shared_assign_uuid(p.gpu, 1, uuid);
		start_film(&p, VIRTIO_VIDEO_FORMAT_BGRA8888);
		assert_int_equal(shared_create_output(p.w, 0, uuid), VIDEO_OK);
		decode(&p, 0, 1);
		gpu3d_boot(p.gpu);
		decode(&p, 0, 2);
		assert_int_equal(shared_create_output(p.w, 1, uuid), INVALID_PARAMETER);
		if (round == 1)
			assert_int_equal(video_simple(p.w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
		else
			assert_int_equal(fake_guest_start(p.w->guest, p.w->device), 0);
	}
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_decoded_picture_is_the_image_of_the_2d_renderer),
		cmocka_unit_test(a_decoded_picture_is_the_texture_of_virgl),
		cmocka_unit_test(the_picture_may_be_smaller_than_the_resource),
		cmocka_unit_test(what_was_shown_before_stays),
		cmocka_unit_test(a_decoded_picture_is_drawn_from),
		cmocka_unit_test(a_decoded_picture_is_drawn_from_a_blob_of_a_context),
		cmocka_unit_test(the_guests_own_upload_comes_after_what_was_decoded_before),
		cmocka_unit_test(a_texture_is_no_input_of_an_encoder),
		cmocka_unit_test(a_blob_is_its_pages),
		cmocka_unit_test(an_encoder_reads_what_the_gpu_has),
		cmocka_unit_test(objects_are_checked),
		cmocka_unit_test(an_objects_pieces_count),
		cmocka_unit_test(types_of_memory_are_set_per_queue),
		cmocka_unit_test(a_reset_of_either_device_harms_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
