// SPDX-License-Identifier: MIT
/*
 * Every command with every error answer it can give, and that the device goes on afterwards: the whole table runs
 * against one device, in order, with the answers that the virtio text names.
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
#define UNSPEC VIRTIO_GPU_RESP_ERR_UNSPEC
#define NO_MEMORY VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY
#define BAD_SCANOUT VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID
#define BAD_RESOURCE VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
#define BAD_CONTEXT VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID
#define BAD_PARAMETER VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
#define BGRX VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define MAX UINT32_MAX

/* In every world: 2d resource 1 (32x16, backed), 2 (8x8, no backing), blob 3 (4096 bytes), and in 3D ones resource 4
 * (32x16, two levels, backed) and context 7. */
static struct gpu_world *furnished(const struct gpu_world_options *options)
{
	struct gpu_world *w = gpu_world_create(options);
	struct virtio_gpu_mem_entry entry = {.addr = fake_guest_alloc(w->guest, 4096, 4096), .length = 4096};

	assert_int_equal(gpu_create_2d(w, 1, BGRX, 32, 16), OK);
	gpu_back(w, 1, 2048, NULL);
	assert_int_equal(gpu_create_2d(w, 2, BGRX, 8, 8), OK);
	assert_int_equal(gpu_create_blob(w, 3, 4096, &entry, 1), OK);
	if (w->renderer) {
		struct virtio_gpu_resource_create_3d c = {
			.resource_id = 4, .target = 2, .format = 1, .bind = 2, .width = 32, .height = 16, .depth = 1, .array_size = 1,
			.last_level = 1,
		};

		assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, &c, sizeof(c)), OK);
		gpu_back(w, 4, 4096, NULL);
		assert_int_equal(gpu_context(w, 7, 2, "test"), OK);
	}
	return w;
}

static void expect_alive(struct gpu_world *w)
{
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 32, 16)), OK);
}

static void create_2d(void **state)
{
	struct gpu_world *w = furnished(NULL);

	(void)state;
	assert_int_equal(gpu_create_2d(w, 0, BGRX, 8, 8), BAD_RESOURCE);
	assert_int_equal(gpu_create_2d(w, 1, BGRX, 8, 8), BAD_RESOURCE);
	assert_int_equal(gpu_create_2d(w, 3, BGRX, 8, 8), BAD_RESOURCE);
	assert_int_equal(gpu_create_2d(w, 9, 0, 8, 8), BAD_PARAMETER);
	assert_int_equal(gpu_create_2d(w, 9, 5, 8, 8), BAD_PARAMETER);
	assert_int_equal(gpu_create_2d(w, 9, MAX, 8, 8), BAD_PARAMETER);
	assert_int_equal(gpu_create_2d(w, 9, BGRX, 0, 8), BAD_PARAMETER);
	assert_int_equal(gpu_create_2d(w, 9, BGRX, 8, 0), BAD_PARAMETER);
	assert_int_equal(gpu_create_2d(w, 9, BGRX, 16385, 8), BAD_PARAMETER);
	assert_int_equal(gpu_create_2d(w, 9, BGRX, 8, MAX), BAD_PARAMETER);
	assert_int_equal(gpu_create_2d(w, 9, BGRX, 0x10000, 0x10000), BAD_PARAMETER);
	assert_int_equal(gpu_create_2d(w, MAX, BGRX, 8, 8), OK);
	expect_alive(w);
	gpu_world_destroy(w);
}

static void unref_detach_uuid(void **state)
{
	static const uint32_t types[] = {
		VIRTIO_GPU_CMD_RESOURCE_UNREF, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID,
	};
	struct gpu_world *w = furnished(NULL);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		for (uint32_t id = 0; id < 2; id++) {
			struct virtio_gpu_resource_unref c = {.resource_id = id * 99};
			struct virtio_gpu_resp_resource_uuid answer;

			assert_int_equal(gpu_send(w, types[i], &c, sizeof(c), &answer, sizeof(answer)), BAD_RESOURCE);
		}
	}
	assert_int_equal(gpu_detach(w, 2), UNSPEC);
	assert_int_equal(gpu_detach(w, 3), BAD_RESOURCE);
	assert_int_equal(gpu_unref(w, 2), OK);
	assert_int_equal(gpu_unref(w, 2), BAD_RESOURCE);
	expect_alive(w);
	gpu_world_destroy(w);
}

static void attach(void **state)
{
	struct gpu_world *w = furnished(&(struct gpu_world_options){.guest.memory_bytes = 16u << 20});
	const uint64_t good = fake_guest_alloc(w->guest, 4096, 4096);
	/* Memory is half from 0x1000, half from 4 GiB. */
	static const uint64_t low_end = 0x1000 + (8u << 20), high_end = (1ull << 32) + (8u << 20);
	const struct virtio_gpu_mem_entry bad[] = {
		{.addr = 0, .length = 4096},
		{.addr = low_end, .length = 1},
		{.addr = low_end - 4, .length = 5},
		{.addr = high_end - 4096, .length = 4097},
		{.addr = UINT64_MAX - 10, .length = 100},
		{.addr = good, .length = MAX},
		{.addr = good, .length = 0},
	};
	struct virtio_gpu_mem_entry two[2] = {{.addr = good, .length = 4096}};
	struct virtio_gpu_resource_attach_backing c = {.resource_id = 2, .nr_entries = 1};

	(void)state;
	assert_int_equal(gpu_attach(w, 0, two, 1), BAD_RESOURCE);
	assert_int_equal(gpu_attach(w, 50, two, 1), BAD_RESOURCE);
	assert_int_equal(gpu_attach(w, 3, two, 1), BAD_RESOURCE);
	assert_int_equal(gpu_attach(w, 1, two, 1), UNSPEC);
	assert_int_equal(gpu_attach(w, 2, two, 0), BAD_PARAMETER);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		two[1] = bad[i];
		assert_int_equal(gpu_attach(w, 2, two, 2), BAD_PARAMETER);
	}
	/* More entries announced than sent. */
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, &c, sizeof(c)), BAD_PARAMETER);
	c.nr_entries = MAX;
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, &c, sizeof(c)), BAD_PARAMETER);
	assert_int_equal(gpu_attach(w, 2, two, 1), OK);
	expect_alive(w);
	gpu_world_destroy(w);
}

static void transfer_2d(void **state)
{
	struct gpu_world *w = furnished(&(struct gpu_world_options){.fake_3d = true});

	(void)state;
	assert_int_equal(gpu_transfer(w, 0, gpu_rect(0, 0, 1, 1), 0), BAD_RESOURCE);
	assert_int_equal(gpu_transfer(w, 50, gpu_rect(0, 0, 1, 1), 0), BAD_RESOURCE);
	/* A blob needs no transfer, but Linux sends one. */
	assert_int_equal(gpu_transfer(w, 3, gpu_rect(0, 0, 1, 1), 0), OK);
	assert_int_equal(w->renderer->transfers, 0);
	assert_int_equal(gpu_transfer(w, 4, gpu_rect(0, 0, 1, 1), 0), BAD_RESOURCE);
	assert_int_equal(gpu_transfer(w, 2, gpu_rect(0, 0, 1, 1), 0), UNSPEC);
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, 33, 16), 0), BAD_PARAMETER);
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, 32, 17), 0), BAD_PARAMETER);
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(32, 0, 1, 1), 0), BAD_PARAMETER);
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(MAX, 0, 2, 1), 0), BAD_PARAMETER);
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, MAX, 1, MAX), 0), BAD_PARAMETER);
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, 32, 16), 4), BAD_PARAMETER);
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, 1, 1), 2045), BAD_PARAMETER);
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, 1, 1), UINT64_MAX), BAD_PARAMETER);
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, 1, 1), 2044), OK);
	w->renderer->fail_next = -EINVAL;
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, 1, 1), 0), BAD_PARAMETER);
	expect_alive(w);
	gpu_world_destroy(w);
}

static void set_scanout(void **state)
{
	struct gpu_world *w = furnished(&(struct gpu_world_options){.scanouts = 2});

	(void)state;
	assert_int_equal(gpu_scan(w, 2, 1, gpu_rect(0, 0, 8, 8)), BAD_SCANOUT);
	assert_int_equal(gpu_scan(w, MAX, 0, gpu_rect(0, 0, 0, 0)), BAD_SCANOUT);
	assert_int_equal(gpu_scan(w, 0, 50, gpu_rect(0, 0, 8, 8)), BAD_RESOURCE);
	assert_int_equal(gpu_scan(w, 0, 3, gpu_rect(0, 0, 8, 8)), BAD_RESOURCE);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, 0, 8)), BAD_PARAMETER);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, 8, 0)), BAD_PARAMETER);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(1, 0, 32, 16)), BAD_PARAMETER);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 1, 32, 16)), BAD_PARAMETER);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(MAX, MAX, 2, 2)), BAD_PARAMETER);
	assert_int_equal(gpu_scan(w, 1, 1, gpu_rect(31, 15, 1, 1)), OK);
	expect_alive(w);
	assert_int_equal(w->display->shown[0].frames, 0);
	assert_int_equal(w->display->shown[1].frames, 1);
	gpu_world_destroy(w);
}

static uint32_t scan_blob(struct gpu_world *w, struct virtio_gpu_set_scanout_blob c)
{
	return gpu_command(w, VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, &c, sizeof(c));
}

static void set_scanout_blob(void **state)
{
	const struct virtio_gpu_set_scanout_blob good = {
		.r = {.width = 16, .height = 16}, .resource_id = 3, .width = 16, .height = 16, .format = BGRX, .strides = {128}, .offsets = {64},
	};
	struct gpu_world *w = furnished(NULL);
	struct virtio_gpu_set_scanout_blob c;

	(void)state;
#define REFUSED(code, member, value) (c = good, c.member = (value), assert_int_equal(scan_blob(w, c), code))
	REFUSED(BAD_SCANOUT, scanout_id, 1);
	REFUSED(BAD_RESOURCE, resource_id, 50);
	REFUSED(BAD_RESOURCE, resource_id, 1);
	REFUSED(BAD_PARAMETER, format, 0);
	REFUSED(BAD_PARAMETER, format, 29);
	REFUSED(BAD_PARAMETER, width, 0);
	REFUSED(BAD_PARAMETER, width, 15);
	REFUSED(BAD_PARAMETER, width, 33); /* stride too short */
	REFUSED(BAD_PARAMETER, width, 0x40000001);
	REFUSED(BAD_PARAMETER, height, 0);
	REFUSED(BAD_PARAMETER, height, 15);
	REFUSED(BAD_PARAMETER, height, 33); /* past the end */
	REFUSED(BAD_PARAMETER, height, MAX);
	REFUSED(BAD_PARAMETER, r.width, 0);
	REFUSED(BAD_PARAMETER, r.height, 0);
	REFUSED(BAD_PARAMETER, r.x, 1);
	REFUSED(BAD_PARAMETER, r.y, MAX);
	REFUSED(BAD_PARAMETER, strides[0], 0);
	REFUSED(BAD_PARAMETER, strides[0], 63);
	REFUSED(BAD_PARAMETER, strides[0], 130);
	REFUSED(BAD_PARAMETER, strides[0], 1024);
	REFUSED(BAD_PARAMETER, strides[0], MAX - 3);
	REFUSED(BAD_PARAMETER, strides[2], 4);
	REFUSED(BAD_PARAMETER, offsets[0], 2);
	REFUSED(BAD_PARAMETER, offsets[0], 4096);
	REFUSED(BAD_PARAMETER, offsets[0], MAX - 3);
	REFUSED(BAD_PARAMETER, offsets[3], 4);
	/* To the last byte, and one pixel more. */
	REFUSED(OK, offsets[0], 4096 - 15 * 128 - 64);
	REFUSED(BAD_PARAMETER, offsets[0], 4096 - 15 * 128 - 60);
#undef REFUSED
	expect_alive(w);
	gpu_world_destroy(w);
}

static void flush(void **state)
{
	struct gpu_world *w = furnished(&(struct gpu_world_options){.fake_3d = true});

	(void)state;
	assert_int_equal(gpu_flush(w, 0, gpu_rect(0, 0, 1, 1)), BAD_RESOURCE);
	assert_int_equal(gpu_flush(w, 50, gpu_rect(0, 0, 1, 1)), BAD_RESOURCE);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 33, 1)), BAD_PARAMETER);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 1, 17)), BAD_PARAMETER);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(MAX, 0, MAX, 1)), BAD_PARAMETER);
	assert_int_equal(gpu_flush(w, 3, gpu_rect(1, 1, MAX, 1)), BAD_PARAMETER);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 0, 0)), OK);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, 32, 16)), OK);
	w->renderer->fail_next = -EIO;
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 8, 8)), UNSPEC);
	w->renderer->fail_next = -ENOMEM;
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 8, 8)), NO_MEMORY);
	assert_int_equal(w->display->shown[0].frames, 0);
	expect_alive(w);
	assert_int_equal(w->display->shown[0].frames, 1);
	gpu_world_destroy(w);
}

static uint32_t create_blob(struct gpu_world *w, struct virtio_gpu_resource_create_blob c)
{
	return gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, &c, sizeof(c));
}

static void guest_blobs(void **state)
{
	struct gpu_world *w = furnished(NULL);
	struct virtio_gpu_mem_entry entries[2] = {{.addr = fake_guest_alloc(w->guest, 4096, 4096), .length = 4096}};

	(void)state;
	assert_int_equal(gpu_create_blob(w, 0, 4096, entries, 1), BAD_RESOURCE);
	assert_int_equal(gpu_create_blob(w, 1, 4096, entries, 1), BAD_RESOURCE);
	assert_int_equal(gpu_create_blob(w, 9, 0, entries, 1), BAD_PARAMETER);
	assert_int_equal(gpu_create_blob(w, 9, 4097, entries, 1), BAD_PARAMETER);
	assert_int_equal(gpu_create_blob(w, 9, UINT64_MAX, entries, 1), BAD_PARAMETER);
	assert_int_equal(gpu_create_blob(w, 9, 4096, entries, 0), BAD_PARAMETER);
	assert_int_equal(gpu_create_blob(w, 9, 4096, entries, 2), BAD_PARAMETER); /* the second has no length */
	assert_int_equal(create_blob(w, (struct virtio_gpu_resource_create_blob){.resource_id = 9, .blob_mem = 1, .size = 1, .nr_entries = 1}),
			 BAD_PARAMETER);
	for (uint32_t mem = 0; mem < 6; mem++) {
		struct virtio_gpu_resource_create_blob c = {.resource_id = 9, .blob_mem = mem, .size = 4096};

		/* test_gpu_host_blob has the host's. */
		if (mem != VIRTIO_GPU_BLOB_MEM_GUEST && mem != VIRTIO_GPU_BLOB_MEM_HOST3D)
			assert_int_equal(create_blob(w, c), mem == 3 ? UNSPEC : BAD_PARAMETER);
	}
	assert_int_equal(create_blob(w, (struct virtio_gpu_resource_create_blob){.resource_id = 9, .blob_mem = 1, .blob_flags = 8, .size = 1}),
			 BAD_PARAMETER);
	assert_int_equal(gpu_create_blob(w, 9, 4096, entries, 1), OK);
	expect_alive(w);
	gpu_world_destroy(w);
}

static void edid(void **state)
{
	struct gpu_world *w = furnished(&(struct gpu_world_options){.scanouts = 2});
	struct virtio_gpu_cmd_get_edid c = {.scanout = 2};
	struct virtio_gpu_resp_edid answer;

	(void)state;
	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_EDID, &c, sizeof(c), &answer, sizeof(answer)), BAD_SCANOUT);
	c.scanout = MAX;
	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_EDID, &c, sizeof(c), &answer, sizeof(answer)), BAD_SCANOUT);
	c.scanout = 1;
	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_EDID, &c, sizeof(c), &answer, sizeof(answer)), VIRTIO_GPU_RESP_OK_EDID);
	gpu_world_destroy(w);
}

static void capsets(void **state)
{
	struct gpu_world *w = furnished(&(struct gpu_world_options){.fake_3d = true});
	struct virtio_gpu_get_capset_info info = {.capset_index = 2};
	struct virtio_gpu_get_capset capset = {.capset_id = 3};
	struct virtio_gpu_resp_capset_info answer;
	uint8_t bytes[24 + FAKE_CAPSET_BYTES + 4];

	(void)state;
	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_CAPSET_INFO, &info, sizeof(info), &answer, sizeof(answer)), BAD_PARAMETER);
	info.capset_index = MAX;
	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_CAPSET_INFO, &info, sizeof(info), &answer, sizeof(answer)), BAD_PARAMETER);
	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_CAPSET, &capset, sizeof(capset), bytes, sizeof(bytes)), BAD_PARAMETER);
	capset.capset_id = 2;
	capset.capset_version = 3;
	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_CAPSET, &capset, sizeof(capset), bytes, sizeof(bytes)), BAD_PARAMETER);
	capset.capset_version = 2;
	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_CAPSET, &capset, sizeof(capset), bytes, sizeof(bytes) - 1), BAD_PARAMETER);
	w->renderer->fail_next = -EIO;
	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_CAPSET, &capset, sizeof(capset), bytes, sizeof(bytes)), UNSPEC);
	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_CAPSET, &capset, sizeof(capset), bytes, sizeof(bytes)),
			 VIRTIO_GPU_RESP_OK_CAPSET);
	gpu_world_destroy(w);
}

static void contexts(void **state)
{
	struct gpu_world *w = furnished(&(struct gpu_world_options){.fake_3d = true});
	struct virtio_gpu_ctx_create long_name = {.nlen = 65};
	struct virtio_gpu_ctx_resource r = {.resource_id = 4};

	(void)state;
	assert_int_equal(gpu_context(w, 0, 2, "x"), BAD_CONTEXT);
	assert_int_equal(gpu_context(w, 7, 2, "x"), BAD_CONTEXT);
	assert_int_equal(gpu_context(w, 8, 3, "x"), BAD_PARAMETER);   /* a capset we don't have */
	assert_int_equal(gpu_context(w, 8, 256, "x"), BAD_PARAMETER); /* a bit outside the mask */
	assert_int_equal(gpu_context(w, 8, 0x80000002, "x"), BAD_PARAMETER);
	w->ctx_id = 8;
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_CTX_CREATE, &long_name, sizeof(long_name)), BAD_PARAMETER);
	w->ctx_id = 0;
	w->renderer->fail_next = -ENOMEM;
	assert_int_equal(gpu_context(w, 8, 2, "x"), NO_MEMORY);
	assert_int_equal(gpu_context_gone(w, 8), BAD_CONTEXT);
	assert_int_equal(gpu_context_gone(w, 0), BAD_CONTEXT);

	for (uint32_t type = VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE; type <= VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE; type++) {
		w->ctx_id = 8;
		assert_int_equal(gpu_command(w, type, &r, sizeof(r)), BAD_CONTEXT);
		w->ctx_id = 0;
		assert_int_equal(gpu_command(w, type, &r, sizeof(r)), BAD_CONTEXT);
		w->ctx_id = 7;
		r.resource_id = 50;
		assert_int_equal(gpu_command(w, type, &r, sizeof(r)), BAD_RESOURCE);
		r.resource_id = 4;
		assert_int_equal(gpu_command(w, type, &r, sizeof(r)), OK);
	}
	w->renderer->fail_next = -EINVAL;
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, &r, sizeof(r)), BAD_PARAMETER);
	w->ctx_id = 0;
	gpu_world_destroy(w);
}

static void create_3d(void **state)
{
	const struct virtio_gpu_resource_create_3d good = {
		.resource_id = 9, .target = 2, .format = 1, .width = 8, .height = 8, .depth = 1, .array_size = 1,
	};
	struct gpu_world *w = furnished(&(struct gpu_world_options){.fake_3d = true});
	struct virtio_gpu_resource_create_3d c;

	(void)state;
#define REFUSED(code, member, value) \
	(c = good, c.member = (value), assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, &c, sizeof(c)), code))
	REFUSED(BAD_RESOURCE, resource_id, 0);
	REFUSED(BAD_RESOURCE, resource_id, 4);
	REFUSED(BAD_PARAMETER, width, 0);
	REFUSED(BAD_PARAMETER, height, 0);
	REFUSED(BAD_PARAMETER, depth, 0);
	REFUSED(BAD_PARAMETER, last_level, 32);
	REFUSED(NO_MEMORY, width, MAX);
	REFUSED(NO_MEMORY, array_size, MAX);
	/* Factors whose product is 0 in 64 bits. */
	c = good;
	c.width = c.height = c.depth = c.array_size = 0x80000000;
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, &c, sizeof(c)), NO_MEMORY);
	w->renderer->fail_next = -EINVAL;
	REFUSED(BAD_PARAMETER, target, 99);
	REFUSED(OK, target, 99); /* the renderer's to judge */
#undef REFUSED
	gpu_world_destroy(w);
}

static void transfer_3d(void **state)
{
	const struct virtio_gpu_transfer_host_3d good = {.resource_id = 4, .box = {.w = 32, .h = 16, .d = 1}};
	struct gpu_world *w = furnished(&(struct gpu_world_options){.fake_3d = true});
	struct virtio_gpu_transfer_host_3d c;

	(void)state;
	for (uint32_t type = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D; type <= VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D; type++) {
#define REFUSED(code, member, value) \
	(c = good, c.member = (value), assert_int_equal(gpu_command(w, type, &c, sizeof(c)), code))
		w->ctx_id = 8;
		REFUSED(BAD_CONTEXT, level, 0);
		w->ctx_id = 7;
		REFUSED(BAD_RESOURCE, resource_id, 50);
		REFUSED(BAD_PARAMETER, level, 1); /* the box is too big for it */
		REFUSED(BAD_PARAMETER, level, 2);
		REFUSED(BAD_PARAMETER, level, MAX);
		REFUSED(BAD_PARAMETER, box.x, 1);
		REFUSED(BAD_PARAMETER, box.y, MAX);
		REFUSED(BAD_PARAMETER, box.z, 1);
		REFUSED(BAD_PARAMETER, box.d, 2);
		REFUSED(BAD_PARAMETER, box.d, MAX);
		REFUSED(BAD_PARAMETER, offset, 4096);
		REFUSED(BAD_PARAMETER, offset, UINT64_MAX);
		REFUSED(OK, offset, 0);
		w->renderer->fail_next = -ENOENT;
		REFUSED(BAD_CONTEXT, offset, 0);
#undef REFUSED
		w->ctx_id = 0;
	}
	c = good;
	assert_int_equal(gpu_detach(w, 4), OK);
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, &c, sizeof(c)), UNSPEC);
	gpu_world_destroy(w);
}

static void submit(void **state)
{
	struct gpu_limits limits = gpu_limits_default;
	struct gpu_world *w;
	struct virtio_gpu_cmd_submit c = {.size = 4};
	uint8_t commands[128] = {0};

	(void)state;
	limits.command_bytes = 64;
	w = furnished(&(struct gpu_world_options){.fake_3d = true, .limits = limits});
	assert_int_equal(gpu_submit(w, 0, commands, 16), BAD_CONTEXT);
	assert_int_equal(gpu_submit(w, 8, commands, 16), BAD_CONTEXT);
	assert_int_equal(gpu_submit(w, 7, commands, 15), BAD_PARAMETER);
	assert_int_equal(gpu_submit(w, 7, commands, 68), NO_MEMORY);
	w->ctx_id = 7;
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_SUBMIT_3D, &c, sizeof(c)), BAD_PARAMETER);
	c.size = MAX - 3;
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_SUBMIT_3D, &c, sizeof(c)), BAD_PARAMETER);
	w->ctx_id = 0;
	assert_int_equal(w->renderer->submits, 0);
	w->renderer->fail_next = -EINVAL;
	assert_int_equal(gpu_submit(w, 7, commands, 64), BAD_PARAMETER);
	assert_int_equal(gpu_submit(w, 7, commands, 0), OK);
	assert_int_equal(gpu_submit(w, 7, commands, 64), OK);
	gpu_world_destroy(w);
}

/* ---- limits ---- */

static void limits_turn_into_answers(void **state)
{
	struct gpu_limits limits = gpu_limits_default;
	struct gpu_world *w;
	struct virtio_gpu_mem_entry entries[5];
	uint64_t page;

	(void)state;
	limits.resources = 3;
	limits.resource_bytes = 10000;
	limits.contexts = 2;
	limits.backing_entries = 4;
	w = gpu_world_create(&(struct gpu_world_options){.fake_3d = true, .limits = limits});
	page = fake_guest_alloc(w->guest, 4096, 4096);
	for (unsigned i = 0; i < 5; i++)
		entries[i] = (struct virtio_gpu_mem_entry){.addr = page + i * 800, .length = 800};

	/* Bytes. */
	assert_int_equal(gpu_create_2d(w, 1, BGRX, 50, 51), NO_MEMORY);
	assert_int_equal(gpu_create_2d(w, 1, BGRX, 50, 30), OK);
	assert_int_equal(gpu_create_2d(w, 2, BGRX, 10, 101), NO_MEMORY);
	assert_int_equal(gpu_create_3d(w, 2, 10, 101), NO_MEMORY);
	/* A frame counts too: 6000 + 4400 is too much, 6000 + 4000 is not. */
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, 50, 22)), NO_MEMORY);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, 50, 20)), OK);
	assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 50, 20)), OK);
	assert_int_equal(gpu_create_2d(w, 2, BGRX, 1, 1), NO_MEMORY);
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, 10, 10)), OK);
	assert_int_equal(gpu_create_2d(w, 2, BGRX, 30, 30), OK);
	/* And what goes makes room. */
	assert_int_equal(gpu_unref(w, 1), OK);
	assert_int_equal(gpu_create_2d(w, 1, BGRX, 40, 39), OK);

	/* How many. */
	assert_int_equal(gpu_create_blob(w, 3, 800, entries, 1), OK);
	assert_int_equal(gpu_create_blob(w, 4, 800, entries, 1), NO_MEMORY);
	assert_int_equal(gpu_attach(w, 2, entries, 5), NO_MEMORY);
	assert_int_equal(gpu_attach(w, 2, entries, 4), OK);
	assert_int_equal(gpu_context(w, 1, 0, "a"), OK);
	assert_int_equal(gpu_context(w, 2, 0, "b"), OK);
	assert_int_equal(gpu_context(w, 3, 0, "c"), NO_MEMORY);
	assert_int_equal(gpu_context_gone(w, 1), OK);
	assert_int_equal(gpu_context(w, 3, 0, "c"), OK);
	gpu_world_destroy(w);
}

static uint32_t attach_to(struct gpu_world *w, uint32_t ctx_id, uint32_t resource_id, uint32_t type)
{
	struct virtio_gpu_ctx_resource c = {.resource_id = resource_id};
	uint32_t code;

	w->ctx_id = ctx_id;
	code = gpu_command(w, type, &c, sizeof(c));
	w->ctx_id = 0;
	return code;
}

/* Every resource may be attached to every context, and each time takes memory here and in the renderer. */
static void attachments_count(void **state)
{
	const uint32_t attach = VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, detach = VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE;
	struct gpu_limits limits = gpu_limits_default;
	struct gpu_world *w;

	(void)state;
	limits.resource_bytes = 2 * 128 + 64;
	w = gpu_world_create(&(struct gpu_world_options){.fake_3d = true, .limits = limits});
	for (uint32_t id = 1; id <= 3; id++) {
		assert_int_equal(gpu_create_3d(w, id, 1, 1), OK);
		assert_int_equal(gpu_context(w, id, 0, "c"), OK);
	}
	for (unsigned round = 0; round < 4; round++) {
		assert_int_equal(attach_to(w, 1, 1, attach), OK);
		assert_int_equal(attach_to(w, 2, 1, attach), OK);
		assert_int_equal(attach_to(w, 1, 1, attach), OK); /* it is */
		assert_int_equal(attach_to(w, 3, 1, attach), NO_MEMORY);
		assert_int_equal(attach_to(w, 2, 2, attach), NO_MEMORY);
		assert_int_equal(attach_to(w, 2, 2, detach), OK); /* it is not */
		assert_int_equal(attach_to(w, 2, 2, attach), NO_MEMORY);
		/* What goes makes room: the attachment, the context, the resource, or all of it. */
		switch (round) {
		case 0:
			assert_int_equal(attach_to(w, 2, 1, detach), OK);
			assert_int_equal(attach_to(w, 2, 2, attach), OK);
			assert_int_equal(attach_to(w, 2, 2, detach), OK);
			break;
		case 1:
			assert_int_equal(gpu_context_gone(w, 1), OK);
			assert_int_equal(attach_to(w, 2, 2, attach), OK);
			assert_int_equal(attach_to(w, 2, 2, detach), OK);
			assert_int_equal(gpu_context(w, 1, 0, "c"), OK);
			break;
		case 2:
			assert_int_equal(gpu_unref(w, 1), OK);
			assert_int_equal(attach_to(w, 1, 2, attach), OK);
			assert_int_equal(attach_to(w, 2, 2, attach), OK);
			assert_int_equal(gpu_unref(w, 2), OK);
			assert_int_equal(gpu_create_3d(w, 1, 1, 1), OK);
			assert_int_equal(gpu_create_3d(w, 2, 1, 1), OK);
			break;
		default:
			/* One that the renderer refuses takes none. */
			assert_int_equal(attach_to(w, 2, 1, detach), OK);
			w->renderer->fail_next = -EINVAL;
			assert_int_equal(attach_to(w, 2, 2, attach), VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
			assert_int_equal(attach_to(w, 2, 2, attach), OK);
			break;
		}
	}
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	gpu_world_destroy(w);
}

/* A guest names the same two pages again and again; the list itself takes host memory, for every resource anew. */
static void lists_of_pages_count(void **state)
{
	struct gpu_limits limits = gpu_limits_default;
	struct gpu_world *w;
	struct virtio_gpu_mem_entry entries[100];
	uint64_t pages;

	(void)state;
	limits.resource_bytes = 4000;
	w = gpu_world_create(&(struct gpu_world_options){.limits = limits});
	pages = fake_guest_alloc(w->guest, 3 * 4096, 4096);
	for (unsigned i = 0; i < 100; i++)
		entries[i] = (struct virtio_gpu_mem_entry){.addr = pages + i % 2 * 8192, .length = 4096};
	assert_int_equal(gpu_create_2d(w, 1, BGRX, 1, 1), OK);
	assert_int_equal(gpu_create_2d(w, 2, BGRX, 1, 1), OK);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(gpu_attach(w, 1, entries, 100), OK);
		assert_int_equal(gpu_attach(w, 2, entries, 99), OK);
		assert_int_equal(gpu_create_blob(w, 3, 4096, entries, 100), NO_MEMORY);
		assert_int_equal(gpu_detach(w, 1), OK);
		assert_int_equal(gpu_create_blob(w, 3, 4096, entries, 100), OK);
		assert_int_equal(gpu_attach(w, 1, entries, 100), NO_MEMORY);
		assert_int_equal(gpu_unref(w, 3), OK);
		assert_int_equal(gpu_detach(w, 2), OK);
	}
	gpu_world_destroy(w);
}

/* ---- form ---- */

static void unknown_numbers(void **state)
{
	static const uint32_t types[] = {0, 1, 0xff, 0x10e, 0x1ff, 0x20a, 0x2ff, 0x302, 0x1100, 0x1200, MAX,
					 VIRTIO_GPU_CMD_UPDATE_CURSOR, VIRTIO_GPU_CMD_MOVE_CURSOR};
	struct gpu_world *w = furnished(NULL);

	(void)state;
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		uint8_t request[128] = {0};

		assert_int_equal(gpu_command(w, types[i], request, sizeof(request)), UNSPEC);
	}
	expect_alive(w);
	gpu_world_destroy(w);
}

static void commands_of_features_that_were_not_negotiated(void **state)
{
	static const struct {
		uint32_t type;
		unsigned feature;
	} commands[] = {
		{VIRTIO_GPU_CMD_GET_EDID, VIRTIO_GPU_F_EDID},
		{VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, VIRTIO_GPU_F_RESOURCE_UUID},
		{VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, VIRTIO_GPU_F_RESOURCE_BLOB},
		{VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, VIRTIO_GPU_F_RESOURCE_BLOB},
		{VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, VIRTIO_GPU_F_RESOURCE_BLOB},
		{VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, VIRTIO_GPU_F_RESOURCE_BLOB},
		{VIRTIO_GPU_CMD_GET_CAPSET_INFO, VIRTIO_GPU_F_VIRGL},
		{VIRTIO_GPU_CMD_GET_CAPSET, VIRTIO_GPU_F_VIRGL},
		{VIRTIO_GPU_CMD_CTX_CREATE, VIRTIO_GPU_F_VIRGL},
		{VIRTIO_GPU_CMD_CTX_DESTROY, VIRTIO_GPU_F_VIRGL},
		{VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, VIRTIO_GPU_F_VIRGL},
		{VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, VIRTIO_GPU_F_VIRGL},
		{VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, VIRTIO_GPU_F_VIRGL},
		{VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, VIRTIO_GPU_F_VIRGL},
		{VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, VIRTIO_GPU_F_VIRGL},
		{VIRTIO_GPU_CMD_SUBMIT_3D, VIRTIO_GPU_F_VIRGL},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct gpu_world *w = gpu_world_create(
			&(struct gpu_world_options){.fake_3d = true, .guest.refuse = 1ull << commands[i].feature});
		uint8_t request[256] = {0}, answer[1100];

		assert_int_equal(gpu_send(w, commands[i].type, request, sizeof(request), answer, sizeof(answer)), UNSPEC);
		gpu_world_destroy(w);
	}
}

static void the_2d_renderer_offers_no_3d(void **state)
{
	struct gpu_world *w = gpu_world_create(NULL);
	uint8_t request[256] = {0};
	struct virtio_gpu_config config;

	(void)state;
	assert_int_equal(w->device->offered & 0x1f,
			 1u << VIRTIO_GPU_F_EDID | 1u << VIRTIO_GPU_F_RESOURCE_UUID | 1u << VIRTIO_GPU_F_RESOURCE_BLOB);
	for (uint32_t type = VIRTIO_GPU_CMD_CTX_CREATE; type <= VIRTIO_GPU_CMD_SUBMIT_3D; type++)
		assert_int_equal(gpu_command(w, type, request, sizeof(request)), UNSPEC);
	fake_guest_read_config(w->guest, 0, &config, sizeof(config));
	assert_int_equal(config.num_capsets, 0);
	gpu_world_destroy(w);
}

/* All commands, by their size; answers by theirs. */
static const struct {
	uint32_t type;
	uint16_t request, answer;
} sizes[] = {
	{VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 24, 408},
	{VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, 40, 24},
	{VIRTIO_GPU_CMD_RESOURCE_UNREF, 32, 24},
	{VIRTIO_GPU_CMD_SET_SCANOUT, 48, 24},
	{VIRTIO_GPU_CMD_RESOURCE_FLUSH, 48, 24},
	{VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, 56, 24},
	{VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, 32, 24},
	{VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 32, 24},
	{VIRTIO_GPU_CMD_GET_CAPSET_INFO, 32, 40},
	{VIRTIO_GPU_CMD_GET_CAPSET, 32, 24},
	{VIRTIO_GPU_CMD_GET_EDID, 32, 1056},
	{VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, 32, 40},
	{VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, 56, 24},
	{VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, 96, 24},
	{VIRTIO_GPU_CMD_CTX_CREATE, 96, 24},
	{VIRTIO_GPU_CMD_CTX_DESTROY, 24, 24},
	{VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, 32, 24},
	{VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, 32, 24},
	{VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, 72, 24},
	{VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, 72, 24},
	{VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, 72, 24},
	{VIRTIO_GPU_CMD_SUBMIT_3D, 32, 24},
	{VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, 40, 24},
	{VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 32, 24},
};

static void short_requests(void **state)
{
	struct gpu_world *w = furnished(&(struct gpu_world_options){.fake_3d = true});

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (uint16_t n = 0; n < sizes[i].request; n++) {
			uint8_t request[128] = {0}, answer[1100];
			uint32_t used, code;

			memcpy(request, &sizes[i].type, 4);
			assert_int_equal(fake_guest_request(w->guest, 0, request, n, answer, sizeof(answer), &used), 0);
			memcpy(&code, answer, 4);
			assert_int_equal(used, 24);
			assert_int_equal(code, BAD_PARAMETER);
		}
	}
	expect_alive(w);
	gpu_world_destroy(w);
}

static void short_answers(void **state)
{
	struct gpu_world *w = furnished(&(struct gpu_world_options){.fake_3d = true});

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		/* No room for a header: nothing is done, nothing is written. */
		for (uint16_t n = 0; n < sizes[i].answer; n++) {
			uint8_t request[128] = {0}, answer[1100];
			uint32_t used, code;

			/* An id that would be a new one, had there been room. */
			memcpy(request, &sizes[i].type, 4);
			request[24] = 60;
			assert_int_equal(fake_guest_request(w->guest, 0, request, sizes[i].request, answer, n, &used), 0);
			assert_int_equal(used, n < 24 ? 0 : 24);
			memcpy(&code, answer, 4);
			if (n >= 24)
				assert_int_equal(code, BAD_PARAMETER);
		}
	}
	assert_int_equal(w->renderer->resource_count, 4);
	assert_int_equal(w->renderer->context_count, 1);
	expect_alive(w);
	gpu_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_2d),
		cmocka_unit_test(unref_detach_uuid),
		cmocka_unit_test(attach),
		cmocka_unit_test(transfer_2d),
		cmocka_unit_test(set_scanout),
		cmocka_unit_test(set_scanout_blob),
		cmocka_unit_test(flush),
		cmocka_unit_test(guest_blobs),
		cmocka_unit_test(edid),
		cmocka_unit_test(capsets),
		cmocka_unit_test(contexts),
		cmocka_unit_test(create_3d),
		cmocka_unit_test(transfer_3d),
		cmocka_unit_test(submit),
		cmocka_unit_test(limits_turn_into_answers),
		cmocka_unit_test(attachments_count),
		cmocka_unit_test(lists_of_pages_count),
		cmocka_unit_test(unknown_numbers),
		cmocka_unit_test(commands_of_features_that_were_not_negotiated),
		cmocka_unit_test(the_2d_renderer_offers_no_3d),
		cmocka_unit_test(short_requests),
		cmocka_unit_test(short_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
