// SPDX-License-Identifier: MIT
/*
 * A device that took over after too many deaths: it draws in 2D alone. The guest's driver keeps the features that it has,
 * 3D commands get an error at once, fences too, and what is 2D goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "host/virtio/journal.h"
#include "host/virtio/shared_heap.h"
#include "tests/lib/gpu_world.h"
#include "tests/lib/journal_open.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define UNSPEC VIRTIO_GPU_RESP_ERR_UNSPEC
#define BGRX VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define WIDTH 64u
#define HEIGHT 32u
#define REGION (1ull << 20)

/* A process after the other, each with the memory opened anew. */
static int memory = -1, heap = -1;
static struct journal *journals[4];
static unsigned journal_count;

static struct journal *next_process(void)
{
	assert_true(journal_count < sizeof(journals) / sizeof(journals[0]));
	assert_int_equal(journal_open(memory, &journals[journal_count]), 0);
	return journals[journal_count++];
}

/* With 3D, a context, a resource of it, and a picture of the CPU's on the display. */
static struct gpu_world *start(uint32_t **pixels)
{
	struct gpu_world *w;

	memory = journal_memfd(1u << 20);
	heap = shared_heap_memfd(REGION);
	assert_true(memory >= 0 && heap >= 0);
	w = gpu_world_create(&(struct gpu_world_options){
		.fake_3d = true, .journal = next_process(), .host_visible_bytes = REGION, .shared_fd = heap});
	assert_int_equal(gpu_context(w, 1, 0, "program"), OK);
	assert_int_equal(gpu_create_3d(w, 3, 16, 16), OK);
	assert_int_equal(gpu_create_2d(w, 7, BGRX, WIDTH, HEIGHT), OK);
	*pixels = gpu_back(w, 7, WIDTH * HEIGHT * 4, NULL);
	memset(*pixels, 0x40, WIDTH * HEIGHT * 4);
	assert_int_equal(gpu_transfer(w, 7, gpu_rect(0, 0, WIDTH, HEIGHT), 0), OK);
	assert_int_equal(gpu_scan(w, 0, 7, gpu_rect(0, 0, WIDTH, HEIGHT)), OK);
	assert_int_equal(gpu_flush(w, 7, gpu_rect(0, 0, WIDTH, HEIGHT)), OK);
	return w;
}

static void die(struct gpu_world *w, bool degraded)
{
	w->options.degraded = degraded;
	gpu_world_die(w, next_process());
}

static void end(struct gpu_world *w)
{
	gpu_world_destroy(w);
	while (journal_count > 0)
		journal_close(journals[--journal_count]);
	close(memory);
	close(heap);
}

static void draw(struct gpu_world *w, uint32_t *pixels, int value)
{
	const unsigned frames = w->display->shown[0].frames;

	memset(pixels, value, WIDTH * HEIGHT * 4);
	assert_int_equal(gpu_transfer(w, 7, gpu_rect(0, 0, WIDTH, HEIGHT), 0), OK);
	assert_int_equal(gpu_flush(w, 7, gpu_rect(0, 0, WIDTH, HEIGHT)), OK);
	assert_int_equal(w->display->shown[0].frames, frames + 1);
	assert_memory_equal((uint8_t *)w->display->shown[0].pixels + WIDTH * 4, (uint8_t *)pixels + WIDTH * 4, 3);
}

static void features_and_the_picture_stay(void **state)
{
	uint32_t *pixels;
	struct gpu_world *w = start(&pixels);
	const uint64_t offered = w->device->offered;

	(void)state;
	die(w, true);
	assert_int_equal(w->device->offered, offered);
	assert_true(virtio_device_has(w->device, VIRTIO_GPU_F_VIRGL));
	assert_int_equal(w->display->shown[0].frames, 1);
	assert_memory_equal(w->display->shown[0].pixels, "\x40\x40\x40", 3);
	draw(w, pixels, 0x51);
	/* A guest waits for these without a limit of time. */
	{
		struct virtio_gpu_resource_assign_uuid uuid = {.resource_id = 7};
		struct virtio_gpu_resp_resource_uuid answer;
		struct virtio_gpu_resource_create_blob blob = {.resource_id = 9,
							       .blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D,
							       .blob_flags = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE,
							       .size = 4096};
		struct virtio_gpu_resource_map_blob map = {.resource_id = 9};
		struct virtio_gpu_resp_map_info info;

		assert_int_equal(
			gpu_send(w, VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, &uuid, sizeof(uuid), &answer, sizeof(answer)),
			VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
		assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, &blob, sizeof(blob)), OK);
		assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, &map, sizeof(map), &info, sizeof(info)),
				 VIRTIO_GPU_RESP_OK_MAP_INFO);
	}
	end(w);
}

/* With and without a fence, of the context that was there, and on a ring of its own. */
static void each_3d_command_gets_an_error_and_its_fence(void **state)
{
	static const uint32_t commands[] = {
		VIRTIO_GPU_CMD_GET_CAPSET,	     VIRTIO_GPU_CMD_CTX_CREATE,
		VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE,  VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE,
		VIRTIO_GPU_CMD_RESOURCE_CREATE_3D,   VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D,
		VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, VIRTIO_GPU_CMD_SUBMIT_3D,
		VIRTIO_GPU_CMD_CTX_DESTROY,
	};
	static const uint32_t flags[] = {0, VIRTIO_GPU_FLAG_FENCE,
					 VIRTIO_GPU_FLAG_FENCE | VIRTIO_GPU_FLAG_INFO_RING_IDX};
	uint32_t *pixels;
	struct gpu_world *w = start(&pixels);

	(void)state;
	die(w, true);
	w->ctx_id = 1;
	for (unsigned f = 0; f < sizeof(flags) / sizeof(flags[0]); f++) {
		for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
			uint8_t request[256] = {0}, answer[512];
			uint32_t code;

			w->flags = flags[f];
			w->fence_id = 100 * f + i;
			code = gpu_send(w, commands[i], request, sizeof(request), answer, sizeof(answer));
			if (code != UNSPEC)
				fail_msg("command 0x%x, flags %u: 0x%x", commands[i], flags[f], code);
			assert_int_equal(w->answer.flags, flags[f]);
			assert_int_equal(w->answer.fence_id, flags[f] ? w->fence_id : 0);
		}
	}
	w->flags = 0;
	w->ctx_id = 0;
	draw(w, pixels, 0x23);
	end(w);
}

static uint32_t ask_capset(struct gpu_world *w, uint32_t index, struct virtio_gpu_resp_capset_info *info)
{
	struct virtio_gpu_get_capset_info c = {.capset_index = index};

	memset(info, 0, sizeof(*info));
	return gpu_send(w, VIRTIO_GPU_CMD_GET_CAPSET_INFO, &c, sizeof(c), info, sizeof(*info));
}

static uint32_t capsets_of_config(struct gpu_world *w)
{
	uint32_t count;

	fake_guest_read_config(w->guest, offsetof(struct virtio_gpu_config, num_capsets), &count, sizeof(count));
	return count;
}

/*
 * Linux waits 5 seconds for each capset that it was told of, if it gets an error. One that starts afterwards is told of none,
 * and its programs draw themselves.
 */
static void a_driver_that_was_told_of_capsets_gets_what_they_are(void **state)
{
	struct virtio_gpu_resp_capset_info before[2], after;
	uint32_t *pixels;
	struct gpu_world *w = start(&pixels);

	(void)state;
	assert_int_equal(capsets_of_config(w), 2);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(ask_capset(w, i, &before[i]), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
	/* So does the next process after that. */
	for (unsigned deaths = 0; deaths < 2; deaths++) {
		die(w, true);
		for (uint32_t i = 0; i < 2; i++) {
			assert_int_equal(ask_capset(w, i, &after), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
			assert_memory_equal(&after, &before[i], sizeof(after));
		}
		assert_int_equal(ask_capset(w, 2, &after), VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
		assert_int_equal(ask_capset(w, UINT32_MAX, &after), VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
		assert_int_equal(capsets_of_config(w), 0);
	}
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	assert_int_equal(ask_capset(w, 0, &after), VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	assert_int_equal(capsets_of_config(w), 0);
	end(w);
}

/* The guest's program had it on the display: that is blank, and the resource's number is free. */
static void a_3d_resource_is_gone(void **state)
{
	uint32_t *pixels;
	struct gpu_world *w = start(&pixels);

	(void)state;
	assert_int_equal(gpu_scan(w, 0, 3, gpu_rect(0, 0, 16, 16)), OK);
	die(w, true);
	assert_int_equal(w->display->shown[0].frames, 0);
	assert_int_equal(gpu_flush(w, 3, gpu_rect(0, 0, 16, 16)), VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	/* The driver goes back to its console. */
	assert_int_equal(gpu_scan(w, 0, 7, gpu_rect(0, 0, WIDTH, HEIGHT)), OK);
	draw(w, pixels, 0x11);
	assert_int_equal(gpu_create_2d(w, 3, BGRX, 8, 8), OK);
	end(w);
}

static void a_driver_that_starts_over_is_served_in_2d(void **state)
{
	uint32_t *pixels;
	struct gpu_world *w = start(&pixels);

	(void)state;
	die(w, true);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	assert_int_equal(gpu_context(w, 1, 0, "program"), UNSPEC);
	assert_int_equal(gpu_create_2d(w, 7, BGRX, WIDTH, HEIGHT), OK);
	pixels = gpu_back(w, 7, WIDTH * HEIGHT * 4, NULL);
	assert_int_equal(gpu_scan(w, 0, 7, gpu_rect(0, 0, WIDTH, HEIGHT)), OK);
	draw(w, pixels, 0x61);
	end(w);
}

/* The minute is over, and that process died as well: the next one draws in 3D. */
static void another_process_may_draw_in_3d_again(void **state)
{
	uint32_t *pixels;
	struct gpu_world *w = start(&pixels);

	(void)state;
	die(w, true);
	assert_int_equal(gpu_submit(w, 1, "abcd", 4), UNSPEC);
	die(w, false);
	/* The context went with the renderer that had it. */
	assert_int_equal(gpu_submit(w, 1, "abcd", 4), VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	assert_int_equal(gpu_context(w, 1, 0, "program"), OK);
	assert_int_equal(gpu_submit(w, 1, "abcd", 4), OK);
	assert_int_equal(gpu_create_3d(w, 3, 16, 16), OK);
	end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(features_and_the_picture_stay),
		cmocka_unit_test(each_3d_command_gets_an_error_and_its_fence),
		cmocka_unit_test(a_driver_that_was_told_of_capsets_gets_what_they_are),
		cmocka_unit_test(a_3d_resource_is_gone),
		cmocka_unit_test(a_driver_that_starts_over_is_served_in_2d),
		cmocka_unit_test(another_process_may_draw_in_3d_again),
	};

	return cmocka_run_group_tests_name("gpu_degraded", tests, NULL, NULL);
}
