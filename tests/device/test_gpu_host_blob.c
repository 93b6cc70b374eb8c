// SPDX-License-Identifier: MIT
/*
 * Blobs in host memory and the host-visible region (virtio 1.4, sections 5.7.6.8 and 5.7.6.10), over a home that maps at
 * once or later.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/gpu/record.h"
#include "host/virtio/journal.h"
#include "host/virtio/shared_heap.h"
#include "tests/lib/gpu_world.h"
#include "tests/lib/journal_open.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define MAPPED VIRTIO_GPU_RESP_OK_MAP_INFO
#define BAD_PARAMETER VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
#define BAD_RESOURCE VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
#define NO_MEMORY VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY
#define UNSPEC VIRTIO_GPU_RESP_ERR_UNSPEC
#define MAPPABLE VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE
#define REGION (1ull << 20)
#define PAGE ((uint64_t)sysconf(_SC_PAGESIZE))
#define BGRX VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define OPAQUE 0xff000000u

static struct gpu_world *small_world(void)
{
	return gpu_world_create(&(struct gpu_world_options){.host_visible_bytes = REGION});
}

static uint32_t create(struct gpu_world *w, uint32_t id, uint64_t size, uint32_t flags)
{
	struct virtio_gpu_resource_create_blob c = {
		.resource_id = id, .blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D, .blob_flags = flags, .size = size};

	return gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, &c, sizeof(c));
}

static uint32_t map(struct gpu_world *w, uint32_t id, uint64_t offset)
{
	struct virtio_gpu_resource_map_blob c = {.resource_id = id, .offset = offset};
	struct virtio_gpu_resp_map_info answer;
	uint32_t code = gpu_send(w, VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, &c, sizeof(c), &answer, sizeof(answer));

	if (code == MAPPED)
		assert_int_equal(answer.map_info, VIRTIO_GPU_MAP_CACHE_CACHED);
	return code;
}

static uint32_t unmap(struct gpu_world *w, uint32_t id)
{
	struct virtio_gpu_resource_unmap_blob c = {.resource_id = id};

	return gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, &c, sizeof(c));
}

static uint32_t scan(struct gpu_world *w, uint32_t id, uint32_t width, uint32_t height)
{
	struct virtio_gpu_set_scanout_blob c = {.r = {0, 0, width, height},
						.resource_id = id,
						.width = width,
						.height = height,
						.format = BGRX,
						.strides = {width * 4}};

	return gpu_command(w, VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, &c, sizeof(c));
}

static void what_the_guest_writes_in_the_region_is_shown(void **state)
{
	struct gpu_world *w = small_world();
	uint32_t *pixels;

	(void)state;
	assert_int_equal(create(w, 7, 64 * 32 * 4, MAPPABLE), OK);
	assert_int_equal(map(w, 7, 4 * PAGE), MAPPED);
	pixels = (uint32_t *)(void *)fake_shmem_at(&w->home, 4 * PAGE);
	assert_non_null(pixels);
	assert_null(fake_shmem_at(&w->home, 4 * PAGE - 1));
	for (uint32_t i = 0; i < 64 * 32; i++) {
		assert_int_equal(pixels[i], 0);
		pixels[i] = i * 7919 & 0xffffff;
	}
	assert_int_equal(scan(w, 7, 64, 32), OK);
	assert_int_equal(gpu_flush(w, 7, gpu_rect(0, 0, 64, 32)), OK);
	assert_int_equal(w->display->shown[0].frames, 1);
	for (uint32_t i = 0; i < 64 * 32; i++)
		assert_int_equal(w->display->shown[0].pixels[i], (i * 7919 & 0xffffff) | OPAQUE);
	/* Without a mapping the memory is still there. */
	assert_int_equal(unmap(w, 7), OK);
	assert_null(fake_shmem_at(&w->home, 4 * PAGE));
	assert_int_equal(map(w, 7, 0), MAPPED);
	assert_int_equal(((uint32_t *)(void *)fake_shmem_at(&w->home, 0))[1], 7919);
	gpu_world_destroy(w);
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct gpu_world *w = small_world();
	struct virtio_gpu_resource_create_blob c = {
		.resource_id = 9, .blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D, .blob_flags = MAPPABLE, .size = 4096};

	(void)state;
	assert_int_equal(create(w, 0, 4096, MAPPABLE), BAD_RESOURCE);
	assert_int_equal(create(w, 9, 0, MAPPABLE), BAD_PARAMETER);
	assert_int_equal(create(w, 9, 4096, 8), BAD_PARAMETER);
	assert_int_equal(create(w, 9, REGION + 1, MAPPABLE), NO_MEMORY);
	assert_int_equal(create(w, 9, UINT64_MAX, MAPPABLE), NO_MEMORY);
	c.blob_id = 5; /* of an object of a context, and there is none */
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, &c, sizeof(c)),
			 VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	c.blob_id = 0;
	c.nr_entries = 1;
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, &c, sizeof(c)), BAD_PARAMETER);

	assert_int_equal(create(w, 1, 2 * PAGE, MAPPABLE), OK);
	assert_int_equal(create(w, 1, 2 * PAGE, MAPPABLE), BAD_RESOURCE);
	assert_int_equal(create(w, 2, 2 * PAGE, 0), OK);
	assert_int_equal(create(w, 3, PAGE, MAPPABLE), OK);
	assert_int_equal(gpu_create_2d(w, 4, BGRX, 8, 8), OK);
	assert_int_equal(map(w, 5, 0), BAD_RESOURCE);
	assert_int_equal(map(w, 2, 0), BAD_PARAMETER); /* not to be mapped */
	assert_int_equal(map(w, 4, 0), BAD_PARAMETER); /* no blob */
	assert_int_equal(map(w, 1, 1), BAD_PARAMETER);
	assert_int_equal(map(w, 1, 512), BAD_PARAMETER);
	assert_int_equal(map(w, 1, REGION), BAD_PARAMETER);
	assert_int_equal(map(w, 1, REGION - PAGE), BAD_PARAMETER);
	assert_int_equal(map(w, 1, UINT64_MAX), BAD_PARAMETER);
	assert_int_equal(map(w, 1, -PAGE), BAD_PARAMETER);
	assert_int_equal(unmap(w, 1), UNSPEC);
	assert_int_equal(unmap(w, 4), UNSPEC);
	assert_int_equal(unmap(w, 99), BAD_RESOURCE);
	assert_int_equal(w->home.maps, 0);

	assert_int_equal(map(w, 1, PAGE), MAPPED);
	assert_int_equal(map(w, 1, PAGE), UNSPEC);
	assert_int_equal(map(w, 1, 8 * PAGE), UNSPEC);
	assert_int_equal(map(w, 3, PAGE), BAD_PARAMETER);
	assert_int_equal(map(w, 3, 2 * PAGE), BAD_PARAMETER);
	assert_int_equal(map(w, 3, 0), MAPPED);
	assert_int_equal(unmap(w, 1), OK);
	assert_int_equal(unmap(w, 1), UNSPEC);
	assert_int_equal(map(w, 1, REGION - 2 * PAGE), MAPPED);
	assert_int_equal(fake_shmem_count(&w->home), 2);
	/* A picture past the blob's end. */
	assert_int_equal(scan(w, 3, 64, 64), BAD_PARAMETER);
	gpu_world_destroy(w);
}

static void an_answer_with_no_room_is_refused_before_it_is_mapped(void **state)
{
	struct gpu_world *w = small_world();
	struct virtio_gpu_resource_map_blob c = {.resource_id = 1};

	(void)state;
	assert_int_equal(create(w, 1, PAGE, MAPPABLE), OK);
	assert_true(gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, &c, sizeof(c)) >= UNSPEC);
	assert_int_equal(w->home.maps, 0);
	gpu_world_destroy(w);
}

static void memory_comes_back_in_zeros(void **state)
{
	struct gpu_world *w = small_world();
	uint8_t *at;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(create(w, 1, REGION, MAPPABLE), OK);
		assert_int_equal(create(w, 2, 1, MAPPABLE), NO_MEMORY);
		assert_int_equal(map(w, 1, 0), MAPPED);
		at = fake_shmem_at(&w->home, 0);
		for (uint64_t i = 0; i < REGION; i += PAGE) {
			assert_int_equal(at[i], 0);
			at[i] = 0x5a;
		}
		/* With its mapping, which goes too. */
		assert_int_equal(gpu_unref(w, 1), OK);
		assert_null(fake_shmem_at(&w->home, 0));
		/* In pieces, and out of order. */
		for (uint32_t i = 0; i < 8; i++)
			assert_int_equal(create(w, 10 + i, REGION / 8, MAPPABLE), OK);
		assert_int_equal(create(w, 2, 1, MAPPABLE), NO_MEMORY);
		for (uint32_t i = 0; i < 8; i++)
			assert_int_equal(gpu_unref(w, 10 + (i * 3) % 8), OK);
	}
	gpu_world_destroy(w);
}

static void blobs_count_against_the_guests_memory(void **state)
{
	struct gpu_limits limits = gpu_limits_default;
	struct gpu_world *w;

	(void)state;
	limits.resource_bytes = 3 * PAGE;
	w = gpu_world_create(&(struct gpu_world_options){.limits = limits, .host_visible_bytes = REGION});
	assert_int_equal(create(w, 1, 4 * PAGE, MAPPABLE), NO_MEMORY);
	assert_int_equal(create(w, 1, PAGE + 1, MAPPABLE), OK);
	assert_int_equal(create(w, 2, 2 * PAGE, MAPPABLE), NO_MEMORY);
	assert_int_equal(gpu_unref(w, 1), OK);
	assert_int_equal(create(w, 2, 2 * PAGE, MAPPABLE), OK);
	gpu_world_destroy(w);
}

static void a_reset_takes_all_of_it(void **state)
{
	struct gpu_world *w = small_world();

	(void)state;
	assert_int_equal(create(w, 1, REGION, MAPPABLE), OK);
	assert_int_equal(map(w, 1, 0), MAPPED);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	assert_int_equal(fake_shmem_count(&w->home), 0);
	assert_int_equal(create(w, 1, REGION, MAPPABLE), OK);
	assert_int_equal(map(w, 1, 0), MAPPED);
	assert_int_equal(fake_shmem_at(&w->home, 0)[0], 0);
	gpu_world_destroy(w);
}

/* ---- a home in another process ---- */

static struct fake_request *add(struct gpu_world *w, uint32_t type, void *request, size_t bytes)
{
	struct fake_request *r;

	memcpy(request, &(struct virtio_gpu_ctrl_hdr){.type = type}, sizeof(struct virtio_gpu_ctrl_hdr));
	r = fake_guest_add(w->guest, 0, request, bytes, sizeof(struct virtio_gpu_resp_map_info));
	fake_guest_kick(w->guest, 0);
	return r;
}

static struct fake_request *add_map(struct gpu_world *w, uint32_t id, uint64_t offset)
{
	struct virtio_gpu_resource_map_blob c = {.resource_id = id, .offset = offset};

	return add(w, VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, &c, sizeof(c));
}

static struct fake_request *add_one(struct gpu_world *w, uint32_t type, uint32_t id)
{
	struct virtio_gpu_resource_unref c = {.resource_id = id};

	return add(w, type, &c, sizeof(c));
}

static uint32_t answer_of(struct gpu_world *w, struct fake_request *r)
{
	struct virtio_gpu_ctrl_hdr header;

	assert_int_equal(fake_guest_wait(w->guest, r, 5000), 0);
	memcpy(&header, r->out, sizeof(header));
	return header.type;
}

/* As Linux does: unmap, unref and map the next one there without waiting. */
static void orders_are_kept_while_the_home_takes_its_time(void **state)
{
	struct gpu_world *w = small_world();
	struct fake_request *r[6];

	(void)state;
	w->home.later = true;
	assert_int_equal(create(w, 1, PAGE, MAPPABLE), OK);
	assert_int_equal(create(w, 2, PAGE, MAPPABLE), OK);
	r[0] = add_map(w, 1, 0);
	r[1] = add_one(w, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 1);
	r[2] = add_one(w, VIRTIO_GPU_CMD_RESOURCE_UNREF, 1);
	r[3] = add_map(w, 2, 0);
	r[4] = add_one(w, VIRTIO_GPU_CMD_RESOURCE_UNREF, 2); /* while it is mapped */
	r[5] = add_map(w, 2, 0);
	for (unsigned i = 0; i < 4; i++) {
		fake_guest_run_until(w->guest, NULL, NULL, 20);
		assert_int_equal(w->home.count, 1);
		fake_guest_poll(w->guest, 0);
		assert_false(r[i < 2 ? i : i + 1]->done);
		fake_shmem_answer(&w->home);
	}
	assert_int_equal(answer_of(w, r[0]), MAPPED);
	assert_int_equal(answer_of(w, r[1]), OK);
	assert_int_equal(answer_of(w, r[2]), OK);
	assert_int_equal(answer_of(w, r[3]), MAPPED);
	assert_int_equal(answer_of(w, r[4]), OK);
	assert_int_equal(answer_of(w, r[5]), BAD_RESOURCE);
	assert_int_equal(fake_shmem_count(&w->home), 0);
	for (unsigned i = 0; i < 6; i++)
		fake_guest_free_request(w->guest, r[i]);
	w->home.later = false;
	gpu_world_destroy(w);
}

static void a_reset_while_the_home_takes_its_time(void **state)
{
	struct gpu_world *w = small_world();
	struct fake_request *r;

	(void)state;
	assert_int_equal(create(w, 1, PAGE, MAPPABLE), OK);
	w->home.later = true;
	r = add_map(w, 1, 0);
	fake_guest_run_until(w->guest, NULL, NULL, 20);
	assert_int_equal(w->home.count, 1);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	assert_true(r->done && r->lost);
	assert_int_equal(w->home.cancels, 1);
	/* It comes too late, and is undone. */
	assert_true(fake_shmem_answer(&w->home));
	assert_int_equal(fake_shmem_count(&w->home), 0);
	w->home.later = false;
	assert_int_equal(create(w, 1, PAGE, MAPPABLE), OK);
	assert_int_equal(map(w, 1, 0), MAPPED);
	fake_guest_free_request(w->guest, r);
	gpu_world_destroy(w);
}

/* Whoever stops the queue may be the one who should map. */
static void a_queue_that_stops_waits_for_no_home(void **state)
{
	struct gpu_world *w = small_world();
	struct fake_request *r, *next;

	(void)state;
	assert_int_equal(create(w, 1, PAGE, MAPPABLE), OK);
	assert_int_equal(create(w, 2, PAGE, MAPPABLE), OK);
	w->home.later = true;
	r = add_map(w, 1, 0);
	fake_guest_run_until(w->guest, NULL, NULL, 20);
	assert_int_equal(w->home.count, 1);
	virtio_device_quiesce_queue(w->device, VIRTIO_GPU_QUEUE_CONTROL);
	assert_int_equal(answer_of(w, r), UNSPEC);
	/* It comes all the same, and must not be in the way of the next there. */
	next = add_map(w, 2, 0);
	fake_guest_run_until(w->guest, NULL, NULL, 20);
	assert_true(fake_shmem_answer(&w->home));
	assert_int_equal(fake_shmem_count(&w->home), 1);
	assert_true(fake_shmem_answer(&w->home));
	assert_int_equal(fake_shmem_count(&w->home), 0);
	fake_guest_run_until(w->guest, NULL, NULL, 20);
	assert_true(fake_shmem_answer(&w->home));
	assert_int_equal(answer_of(w, next), MAPPED);
	fake_guest_free_request(w->guest, r);
	fake_guest_free_request(w->guest, next);

	/* What was asked to be unmapped will be. */
	for (uint32_t id = 2; id > 0; id--) {
		r = add_one(w, id == 2 ? VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB : VIRTIO_GPU_CMD_RESOURCE_UNREF, id);
		fake_guest_run_until(w->guest, NULL, NULL, 20);
		assert_int_equal(w->home.count, 1);
		virtio_device_quiesce_queue(w->device, VIRTIO_GPU_QUEUE_CONTROL);
		assert_int_equal(answer_of(w, r), OK);
		fake_guest_free_request(w->guest, r);
		next = add_map(w, 1, 0);
		fake_guest_run_until(w->guest, NULL, NULL, 20);
		assert_true(fake_shmem_answer(&w->home));
		assert_int_equal(fake_shmem_count(&w->home), 0);
		while (fake_shmem_answer(&w->home))
			;
		assert_int_equal(answer_of(w, next), id == 2 ? MAPPED : BAD_RESOURCE);
		fake_guest_free_request(w->guest, next);
	}
	w->home.later = false;
	gpu_world_destroy(w);
}

static void what_the_home_refuses_is_not_mapped(void **state)
{
	static const struct {
		int err;
		uint32_t code;
	} cases[] = {{-EIO, UNSPEC}, {-EOPNOTSUPP, UNSPEC}, {-ENOSPC, NO_MEMORY}, {-EEXIST, BAD_PARAMETER}};
	struct gpu_world *w = small_world();

	(void)state;
	assert_int_equal(create(w, 1, PAGE, MAPPABLE), OK);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		w->home.fail = cases[i].err;
		assert_int_equal(map(w, 1, 0), cases[i].code);
		assert_int_equal(unmap(w, 1), UNSPEC);
	}
	assert_int_equal(map(w, 1, 0), MAPPED);
	w->home.fail = -EIO;
	assert_int_equal(unmap(w, 1), UNSPEC);
	gpu_world_destroy(w);
}

/* ---- deaths ---- */

static int memory = -1, heap = -1;
static struct journal *journals[8];
static unsigned journal_count;

static struct journal *next_process(void)
{
	assert_true(journal_count < 8);
	assert_int_equal(journal_open(memory, &journals[journal_count]), 0);
	return journals[journal_count++];
}

static struct gpu_world *start(void)
{
	memory = journal_memfd(1u << 20);
	heap = shared_heap_memfd(REGION);
	assert_true(memory >= 0 && heap > 0);
	return gpu_world_create(&(struct gpu_world_options){
		.host_visible_bytes = REGION, .shared_fd = heap, .journal = next_process()});
}

static void end(struct gpu_world *w)
{
	gpu_world_destroy(w);
	while (journal_count > 0)
		journal_close(journals[--journal_count]);
	close(memory);
	close(heap);
}

static void contents_and_mappings_outlive_the_process(void **state)
{
	struct gpu_world *w = start();
	uint32_t *pixels;

	(void)state;
	assert_int_equal(create(w, 1, 32 * 32 * 4, MAPPABLE), OK);
	assert_int_equal(create(w, 2, PAGE, MAPPABLE), OK);
	assert_int_equal(map(w, 2, 0), MAPPED);
	strcpy((char *)fake_shmem_at(&w->home, 0), "kept");
	assert_int_equal(unmap(w, 2), OK);
	assert_int_equal(map(w, 1, 2 * PAGE), MAPPED);
	assert_int_equal(scan(w, 1, 32, 32), OK);
	pixels = (uint32_t *)(void *)fake_shmem_at(&w->home, 2 * PAGE);
	for (unsigned death = 0; death < 3; death++) {
		/* The guest goes on while nobody is there. */
		pixels[5] = 0x123456 + death;
		gpu_world_die(w, next_process());
		assert_int_equal(w->display->shown[0].frames, 1);
		assert_int_equal(w->display->shown[0].pixels[5], (0x123456 + death) | OPAQUE);
		pixels[6] = death;
		assert_int_equal(gpu_flush(w, 1, gpu_rect(0, 0, 32, 32)), OK);
		assert_int_equal(w->display->shown[0].pixels[6], death | OPAQUE);
		assert_int_equal(map(w, 1, 0), UNSPEC); /* it is mapped still */
		/* What is taken is known: a new blob is another piece. */
		assert_int_equal(create(w, 3, PAGE, MAPPABLE), OK);
		assert_int_equal(map(w, 3, 8 * PAGE), MAPPED);
		memset(fake_shmem_at(&w->home, 8 * PAGE), 0xee, PAGE);
		assert_int_equal(gpu_unref(w, 3), OK);
	}
	assert_int_equal(fake_shmem_count(&w->home), 1);
	assert_int_equal(unmap(w, 1), OK);
	assert_int_equal(map(w, 2, 4 * PAGE), MAPPED);
	assert_string_equal((char *)fake_shmem_at(&w->home, 4 * PAGE), "kept");
	end(w);
}

/* The home does what it was asked, whether the device that asked is there to hear of it or not. */
static void what_was_half_mapped_is_unmapped(void **state)
{
	struct gpu_world *w = start();
	struct fake_request *r;

	(void)state;
	assert_int_equal(create(w, 1, PAGE, MAPPABLE), OK);
	w->home.later = true;
	r = add_map(w, 1, 0);
	fake_guest_run_until(w->guest, NULL, NULL, 20);
	assert_int_equal(w->home.count, 1);
	w->home.waiting[0].request = NULL;
	w->home.later = false;
	{
		/* As a dead process's: it is done, and stays. */
		struct virtio_shmem_request done = w->home.waiting[0].copy;

		w->home.count = 0;
		assert_int_equal(virtio_shmem_map(w->device, &done), 0);
		close(done.fd);
	}
	assert_int_equal(fake_shmem_count(&w->home), 1);
	gpu_world_die(w, next_process());
	assert_int_equal(fake_shmem_count(&w->home), 0);
	/* The guest was told that it failed, or will be, and may try again. */
	assert_int_equal(map(w, 1, 0), MAPPED);
	fake_guest_free_request(w->guest, r);
	end(w);
}

static void requests_wait_until_that_is_done(void **state)
{
	struct gpu_world *w = start();
	struct fake_request *r, *next;

	(void)state;
	assert_int_equal(create(w, 1, PAGE, MAPPABLE), OK);
	w->home.later = true;
	r = add_map(w, 1, 0);
	fake_guest_run_until(w->guest, NULL, NULL, 20);
	w->home.waiting[0].request = NULL;
	close(w->home.waiting[0].copy.fd);
	w->home.count = 0;
	gpu_world_die(w, next_process());
	assert_int_equal(w->home.count, 1); /* an unmap */
	next = add_map(w, 1, 0);
	fake_guest_run_until(w->guest, NULL, NULL, 20);
	assert_int_equal(w->home.count, 1);
	w->home.later = false;
	fake_shmem_answer(&w->home);
	assert_int_equal(answer_of(w, next), MAPPED);
	fake_guest_free_request(w->guest, next);
	fake_guest_free_request(w->guest, r);
	end(w);
}

/* A process that was taken over wrote what it liked. */
static void a_forged_journal_takes_nothing_of_others(void **state)
{
	struct gpu_world *w = start();
	struct {
		struct gpu_resource_record record;
		struct gpu_range piece;
	} forged = {.record = {.kind = GPU_RESOURCE_BLOB,
			       .blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D,
			       .blob_flags = MAPPABLE,
			       .size_bytes = PAGE,
			       .map_state = 77,
			       .map_offset = UINT64_MAX},
		    .piece = {.bytes = PAGE}};
	static const uint64_t places[] = {0, 1, REGION, UINT64_MAX, UINT64_MAX - 4095, REGION - 1};
	struct journal *j;

	(void)state;
	assert_int_equal(create(w, 1, PAGE, MAPPABLE), OK);
	assert_int_equal(journal_open(memory, &j), 0);
	for (uint32_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		forged.piece.gpa = places[i];
		assert_int_equal(journal_put(j, &(struct journal_key){GPU_RECORD_RESOURCE, {10 + i, 0}}, &forged,
					     sizeof(forged)),
				 0);
	}
	forged.piece = (struct gpu_range){.gpa = 8 * PAGE, .bytes = 2 * PAGE}; /* not what its size says */
	assert_int_equal(
		journal_put(j, &(struct journal_key){GPU_RECORD_RESOURCE, {30, 0}}, &forged, sizeof(forged)), 0);
	journal_commit(j, 0);
	journal_close(j);
	gpu_world_die(w, next_process());
	assert_int_equal(map(w, 30, 0), BAD_RESOURCE);
	assert_int_equal(map(w, 15, 0), BAD_RESOURCE);
	assert_int_equal(map(w, 1, 0), MAPPED);
	assert_int_equal(create(w, 40, 16 * PAGE, MAPPABLE), OK);
	end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_guest_writes_in_the_region_is_shown),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(an_answer_with_no_room_is_refused_before_it_is_mapped),
		cmocka_unit_test(memory_comes_back_in_zeros),
		cmocka_unit_test(blobs_count_against_the_guests_memory),
		cmocka_unit_test(a_reset_takes_all_of_it),
		cmocka_unit_test(orders_are_kept_while_the_home_takes_its_time),
		cmocka_unit_test(a_reset_while_the_home_takes_its_time),
		cmocka_unit_test(a_queue_that_stops_waits_for_no_home),
		cmocka_unit_test(what_the_home_refuses_is_not_mapped),
		cmocka_unit_test(contents_and_mappings_outlive_the_process),
		cmocka_unit_test(what_was_half_mapped_is_unmapped),
		cmocka_unit_test(requests_wait_until_that_is_done),
		cmocka_unit_test(a_forged_journal_takes_nothing_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
