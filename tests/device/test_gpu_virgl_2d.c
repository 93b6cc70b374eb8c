// SPDX-License-Identifier: MIT
/* The virgl renderer shows 2D resources, blobs and capsets as the 2D renderer and the specification say. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/base/loop.h"
#include "host/gpu/format.h"
#include "host/gpu/renderer.h"
#include "protocol/virgl.h"
#include "protocol/virtio_gpu.h"
#include "tests/lib/gpu3d.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define WIDTH 37u
#define HEIGHT 19u

static struct gpu3d *devices[2]; /* virgl, 2d */
static const char *no_gpu;

static int start(void **state)
{
	static const char *const names[2] = {"virgl", "2d"};

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		if (gpu3d_create(&devices[i], NULL, names[i], &no_gpu) < 0)
			devices[i] = NULL;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	gpu3d_destroy(devices[0]);
	gpu3d_destroy(devices[1]);
	return 0;
}

static int boot(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		if (devices[i])
			gpu3d_boot(devices[i]);
	return 0;
}

static void need_gpu(void)
{
	if (devices[0])
		return;
	print_message("no 3D here: %s\n", no_gpu);
	skip();
}

static int create_2d(struct gpu3d *t, uint32_t id, uint32_t format)
{
	const struct virtio_gpu_resource_create_2d cmd = {
		.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_2D},
		.resource_id = id,
		.format = format,
		.width = WIDTH,
		.height = HEIGHT,
	};

	return gpu3d_request(t, &cmd, sizeof(cmd), NULL, 0);
}

static int upload_2d(struct gpu3d *t, uint32_t id, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
	const struct virtio_gpu_transfer_to_host_2d cmd = {
		.hdr = {.type = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D},
		.r = {.x = x, .y = y, .width = width, .height = height},
		.offset = ((uint64_t)y * WIDTH + x) * 4,
		.resource_id = id,
	};

	return gpu3d_request(t, &cmd, sizeof(cmd), NULL, 0);
}

/* Create, upload in two steps, show. */
static void show(struct gpu3d *t, uint32_t format)
{
	struct gpu3d_resource r = {.id = 1, .width = WIDTH, .height = HEIGHT, .stride = WIDTH * 4};
	uint32_t pixel = 1;

	assert_int_equal(create_2d(t, r.id, format), OK);
	assert_int_equal(gpu3d_attach_backing(t, &r, WIDTH * HEIGHT * 4), OK);
	for (size_t i = 0; i < r.bytes; i += 4) {
		pixel = pixel * 1664525u + 1013904223u;
		memcpy(r.pages + i, &pixel, 4);
	}
	assert_int_equal(upload_2d(t, r.id, 0, 0, WIDTH, HEIGHT), OK);
	memset(r.pages, 0x5a, r.bytes);
	assert_int_equal(upload_2d(t, r.id, 5, 3, 11, 7), OK);
	assert_int_equal(gpu3d_set_scanout(t, r.id, WIDTH, HEIGHT), OK);
	assert_int_equal(gpu3d_flush(t, r.id, 0, 0, WIDTH, HEIGHT), OK);
}

static void every_format_shows_as_with_pixman(void **state)
{
	const struct gpu_format *format;
	unsigned count = 0;

	(void)state;
	need_gpu();
	for (; (format = gpu_format_at(count)); count++) {
		boot(NULL);
		show(devices[0], format->number);
		show(devices[1], format->number);
		for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
			uint32_t by_gl = devices[0]->screen->pixels[i], by_cpu = devices[1]->screen->pixels[i];

			if (by_gl != by_cpu)
				fail_msg("%s: pixel %u,%u is %08x by GL and %08x by pixman", format->name, i % WIDTH,
					 i / WIDTH, by_gl, by_cpu);
		}
	}
	assert_int_equal(count, 8);
}

static void guest_blob_is_a_scanout(void **state)
{
	struct gpu3d *t = devices[0];
	struct {
		struct virtio_gpu_resource_create_blob cmd;
		struct virtio_gpu_mem_entry entry;
	} blob = {
		.cmd = {.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB},
			.resource_id = 9,
			.blob_mem = 1,
			.nr_entries = 1,
			.size = 8192},
		.entry = {.length = 8192},
	};
	const struct virtio_gpu_set_scanout_blob scanout = {
		.hdr = {.type = VIRTIO_GPU_CMD_SET_SCANOUT_BLOB},
		.r = {.width = 32, .height = 32},
		.resource_id = 9,
		.width = 32,
		.height = 32,
		.format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
		.strides = {160},
		.offsets = {64},
	};
	uint32_t *pages;

	(void)state;
	need_gpu();
	blob.entry.addr = fake_guest_alloc(t->guest, 8192, 4096);
	pages = fake_guest_ptr(t->guest, blob.entry.addr, 8192);
	for (uint32_t i = 0; i < 2048; i++)
		pages[i] = i;
	assert_int_equal(gpu3d_request(t, &blob, sizeof(blob), NULL, 0), OK);
	assert_int_equal(gpu3d_attach(t, 9), OK);
	assert_int_equal(gpu3d_request(t, &scanout, sizeof(scanout), NULL, 0), OK);
	assert_int_equal(gpu3d_flush(t, 9, 0, 0, 32, 32), OK);
	for (uint32_t i = 0; i < 32 * 32; i++)
		assert_int_equal(t->screen->pixels[i] & 0xffffff, 16 + i / 32 * 40 + i % 32);
	/* It has no texture: host memory blobs and 3D transfers of it are refused, and the device goes on. */
	blob.cmd.resource_id = 10;
	blob.cmd.blob_mem = 2;
	assert_true(gpu3d_request(t, &blob, sizeof(blob), NULL, 0) >= VIRTIO_GPU_RESP_ERR_UNSPEC);
	assert_int_equal(gpu3d_unref(t, 9), OK);
	fake_guest_free(t->guest, blob.entry.addr, 8192);
}

static void capsets_are_virgl_and_virgl2(void **state)
{
	static const uint32_t ids[2] = {VIRTIO_GPU_CAPSET_VIRGL, VIRTIO_GPU_CAPSET_VIRGL2};
	struct gpu3d *t = devices[0];
	struct virtio_gpu_config config;
	static uint8_t data[24 + 4096];

	(void)state;
	need_gpu();
	fake_guest_read_config(t->guest, 0, &config, sizeof(config));
	assert_int_equal(config.num_capsets, 2);
	for (uint32_t i = 0; i < 2; i++) {
		const struct virtio_gpu_get_capset_info ask = {
			.hdr = {.type = VIRTIO_GPU_CMD_GET_CAPSET_INFO},
			.capset_index = i,
		};
		struct virtio_gpu_get_capset get = {.hdr = {.type = VIRTIO_GPU_CMD_GET_CAPSET}, .capset_id = ids[i]};
		struct virtio_gpu_resp_capset_info info;
		uint32_t max_version;

		assert_int_equal(gpu3d_request(t, &ask, sizeof(ask), &info, sizeof(info)),
				 VIRTIO_GPU_RESP_OK_CAPSET_INFO);
		assert_int_equal(info.capset_id, ids[i]);
		assert_in_range(info.capset_max_size, i == 0 ? VIRGL_CAPSET1_BYTES : 1376,
				i == 0 ? VIRGL_CAPSET1_BYTES : 4096);
		get.capset_version = info.capset_max_version;
		assert_int_equal(gpu3d_request(t, &get, sizeof(get), data, 24 + info.capset_max_size),
				 VIRTIO_GPU_RESP_OK_CAPSET);
		/* The first word of either is the version it was filled for. */
		memcpy(&max_version, data + 24, 4);
		assert_in_range(max_version, 1, 2);
		/* Buffers that stay mapped would need pages of the driver's in the guest: nobody is to count on them. */
		if (i == 1) {
			uint32_t bits;

			memcpy(&bits, data + 24 + VIRGL_CAPABILITY_BITS, sizeof(bits));
			assert_true(bits & VIRGL_CAP_COPY_TRANSFER);
			assert_false(bits & VIRGL_CAP_ARB_BUFFER_STORAGE);
		}
		get.capset_version = info.capset_max_version + 1;
		assert_int_equal(gpu3d_request(t, &get, sizeof(get), NULL, 0), VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	}
}

static void second_device_of_a_process_is_refused_by_name(void **state)
{
	struct renderer_config config = {0};
	struct renderer *r;
	char why[256];

	(void)state;
	need_gpu();
	config.loop = fake_guest_loop(devices[0]->guest);
	assert_int_equal(renderer_virgl_ops.create(&config, &r, why, sizeof(why)), -EBUSY);
	assert_non_null(strstr(why, "one a process"));
}

#define CASE(name) cmocka_unit_test_setup(name, boot)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(every_format_shows_as_with_pixman),
		CASE(guest_blob_is_a_scanout),
		CASE(capsets_are_virgl_and_virgl2),
		CASE(second_device_of_a_process_is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
