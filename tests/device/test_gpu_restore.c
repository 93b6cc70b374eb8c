// SPDX-License-Identifier: MIT
/*
 * A device whose process died is made again from its journal: the guest finds everything where it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/gpu/content.h"
#include "host/gpu/context.h"
#include "host/gpu/record.h"
#include "host/virtio/object.h"
#include "tests/lib/died_request.h"
#include "tests/lib/gpu_world.h"
#include "tests/lib/journal_copy.h"
#include "tests/lib/journal_open.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define BGRX VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define JOURNAL_BYTES (1u << 20)
#define OPAQUE 0xff000000u

/* A process after the other, each with the memory opened anew. */
static int memory = -1;
static struct journal *journals[8];
static unsigned journal_count;

static struct journal *next_process(void)
{
	assert_true(journal_count < 8);
	assert_int_equal(journal_open(memory, &journals[journal_count]), 0);
	return journals[journal_count++];
}

static struct gpu_world *start(bool fake_3d)
{
	memory = journal_memfd(JOURNAL_BYTES);
	assert_true(memory >= 0);
	return gpu_world_create(
		&(struct gpu_world_options){.fake_3d = fake_3d, .scanouts = 2, .journal = next_process()});
}

static void die(struct gpu_world *w)
{
	gpu_world_die(w, next_process());
}

static void end(struct gpu_world *w)
{
	gpu_world_destroy(w);
	while (journal_count > 0)
		journal_close(journals[--journal_count]);
	close(memory);
}

/* Change the memory of a device that died as somebody could who took it over. */
static void forge(uint16_t type, uint32_t first, uint32_t second, const void *payload, size_t bytes)
{
	const struct journal_key key = {type, {first, second}};
	struct journal *j;

	assert_int_equal(journal_open(memory, &j), 0);
	assert_int_equal(journal_put(j, &key, payload, bytes), 0);
	journal_commit(j, 0);
	journal_close(j);
}

static void draw(uint32_t *pixels, uint32_t seed, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		pixels[i] = (i * 7919 + seed) & 0xffffff;
}

static void expect(const struct shown *s, const uint32_t *pixels, uint32_t width, uint32_t height)
{
	assert_non_null(s->pixels);
	assert_int_equal(s->width, width);
	assert_int_equal(s->height, height);
	for (uint32_t i = 0; i < width * height; i++)
		assert_int_equal(s->pixels[i], pixels[i] | OPAQUE);
}

static void picture_is_shown_again(void **state)
{
	struct gpu_world *w = start(false);
	const struct gpu_world *const world = w;
	uint32_t *pixels;

	(void)state;
	assert_int_equal(gpu_create_2d(w, 7, BGRX, 64, 32), OK);
	pixels = gpu_back(w, 7, 64 * 32 * 4, NULL);
	draw(pixels, 1, 64 * 32);
	/* In parts, as a driver sends what was drawn. */
	assert_int_equal(gpu_transfer(w, 7, gpu_rect(0, 0, 64, 10), 0), OK);
	assert_int_equal(gpu_transfer(w, 7, gpu_rect(32, 10, 32, 22), (10 * 64 + 32) * 4), OK);
	assert_int_equal(gpu_transfer(w, 7, gpu_rect(0, 10, 32, 22), 10 * 64 * 4), OK);
	assert_int_equal(gpu_scan(w, 1, 7, gpu_rect(0, 0, 64, 32)), OK);
	assert_int_equal(gpu_flush(w, 7, gpu_rect(0, 0, 64, 32)), OK);
	for (unsigned death = 0; death < 3; death++) {
		die(w);
		assert_int_equal(world->display->shown[0].frames, 0);
		assert_int_equal(world->display->shown[1].frames, 1);
		expect(&world->display->shown[1], pixels, 64, 32);
		/* And goes on. */
		draw(pixels, death + 2, 64 * 32);
		assert_int_equal(gpu_transfer(w, 7, gpu_rect(0, 0, 64, 32), 0), OK);
		assert_int_equal(gpu_flush(w, 7, gpu_rect(0, 0, 64, 32)), OK);
		expect(&world->display->shown[1], pixels, 64, 32);
	}
	end(w);
}

static void blob_is_shown_again(void **state)
{
	struct virtio_gpu_set_scanout_blob c = {
		.r = {0, 0, 32, 16},
		.resource_id = 3,
		.width = 32,
		.height = 16,
		.format = BGRX,
		.strides = {128},
	};
	struct gpu_world *w = start(false);
	struct virtio_gpu_mem_entry entries[2];
	uint32_t pixels[32 * 16];

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		entries[i] =
			(struct virtio_gpu_mem_entry){.addr = fake_guest_alloc(w->guest, 4096, 4096), .length = 1024};
	draw(pixels, 9, 32 * 16);
	memcpy(fake_guest_ptr(w->guest, entries[0].addr, 1024), pixels, 1024);
	memcpy(fake_guest_ptr(w->guest, entries[1].addr, 1024), pixels + 256, 1024);
	assert_int_equal(gpu_create_blob(w, 3, 2048, entries, 2), OK);
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, &c, sizeof(c)), OK);
	die(w);
	expect(&w->display->shown[0], pixels, 32, 16);
	end(w);
}

static void cursor_is_there_again(void **state)
{
	struct virtio_gpu_update_cursor c = {
		.pos = {.scanout_id = 1, .x = 100, .y = 50}, .resource_id = 5, .hot_x = 3, .hot_y = 4};
	struct gpu_world *w = start(false);
	uint32_t *pixels;

	(void)state;
	assert_int_equal(gpu_create_2d(w, 5, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, 64, 64), OK);
	pixels = gpu_back(w, 5, 64 * 64 * 4, NULL);
	draw(pixels, 5, 64 * 64);
	assert_int_equal(gpu_transfer(w, 5, gpu_rect(0, 0, 64, 64), 0), OK);
	c.hdr.type = VIRTIO_GPU_CMD_UPDATE_CURSOR;
	assert_int_equal(fake_guest_request(w->guest, 1, &c, sizeof(c), NULL, 0, NULL), 0);
	c.hdr.type = VIRTIO_GPU_CMD_MOVE_CURSOR;
	c.pos.x = 200;
	assert_int_equal(fake_guest_request(w->guest, 1, &c, sizeof(c), NULL, 0, NULL), 0);
	/* The image is the device's since; the resource may be anything now. */
	assert_int_equal(gpu_unref(w, 5), OK);
	die(w);
	assert_int_equal(w->display->shown[1].cursors, 1);
	assert_int_equal(w->display->shown[1].cursor.x, 203);
	assert_int_equal(w->display->shown[1].cursor.y, 54);
	assert_int_equal(w->display->shown[1].cursor.hot_x, 3);
	assert_false(w->display->shown[1].cursor.moved_only);
	assert_memory_equal(w->display->shown[1].cursor_pixels, pixels, 64 * 64 * 4);
	/* Hidden it stays hidden. */
	c.hdr.type = VIRTIO_GPU_CMD_UPDATE_CURSOR;
	c.resource_id = 0;
	assert_int_equal(fake_guest_request(w->guest, 1, &c, sizeof(c), NULL, 0, NULL), 0);
	die(w);
	assert_int_equal(w->display->shown[1].cursors, 0);
	end(w);
}

static void what_was_undone_stays_undone(void **state)
{
	struct gpu_world *w = start(true);
	struct journal_stats stats;

	(void)state;
	assert_int_equal(gpu_create_2d(w, 1, BGRX, 16, 16), OK);
	assert_int_equal(gpu_create_3d(w, 2, 16, 16), OK);
	gpu_back(w, 1, 1024, NULL);
	gpu_back(w, 2, 1024, NULL);
	assert_int_equal(gpu_transfer(w, 1, gpu_rect(0, 0, 16, 16), 0), OK);
	assert_int_equal(gpu_context(w, 4, 1, "gone"), OK);
	w->ctx_id = 4;
	for (uint32_t id = 1; id <= 2; id++) {
		struct virtio_gpu_ctx_resource c = {.resource_id = id};

		assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, &c, sizeof(c)), OK);
	}
	assert_int_equal(gpu_scan(w, 0, 1, gpu_rect(0, 0, 16, 16)), OK);
	assert_int_equal(gpu_scan(w, 0, 0, gpu_rect(0, 0, 0, 0)), OK);
	assert_int_equal(gpu_detach(w, 2), OK);
	assert_int_equal(gpu_unref(w, 1), OK);
	assert_int_equal(gpu_context_gone(w, 4), OK);
	die(w);
	assert_int_equal(w->renderer->resource_count, 1);
	assert_int_equal(w->renderer->context_count, 0);
	assert_int_equal(w->renderer->backings, 0);
	assert_int_equal(w->display->shown[0].frames, 0);
	assert_int_equal(gpu_unref(w, 1), VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	assert_int_equal(gpu_unref(w, 2), OK);
	/* And nothing is left behind in the journal but what the fake renderer's two capsets are. */
	journal_get_stats(journals[journal_count - 1], &stats);
	assert_int_equal(stats.records, 2);
	end(w);
}

static void uuid_stays(void **state)
{
	struct virtio_gpu_resource_assign_uuid c = {.resource_id = 3};
	struct virtio_gpu_resp_resource_uuid before, after;
	struct gpu_world *w = start(false);

	(void)state;
	assert_int_equal(gpu_create_2d(w, 3, BGRX, 16, 16), OK);
	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, &c, sizeof(c), &before, sizeof(before)),
			 VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
	die(w);
	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, &c, sizeof(c), &after, sizeof(after)),
			 VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
	assert_memory_equal(before.uuid, after.uuid, 16);
	end(w);
}

static void contexts_and_what_is_attached_are_there_again(void **state)
{
	struct gpu_world *w = start(true);
	struct virtio_gpu_transfer_host_3d t = {
		.box = {0, 0, 0, 16, 8, 1}, .resource_id = 3, .offset = 0, .stride = 64};
	struct virtio_gpu_ctx_resource c = {.resource_id = 3};
	struct fake_context *ctx;

	(void)state;
	assert_int_equal(gpu_create_3d(w, 3, 16, 16), OK);
	gpu_back(w, 3, 1024, NULL);
	assert_int_equal(gpu_context(w, 1, 0, "first"), OK);
	assert_int_equal(gpu_context(w, 77, 2, "second"), OK);
	w->ctx_id = 77;
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, &c, sizeof(c)), OK);
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, &t, sizeof(t)), OK);
	/* The second half of the same picture. */
	t.box.y = 8;
	t.offset = 8 * 64;
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, &t, sizeof(t)), OK);
	die(w);
	assert_int_equal(w->renderer->context_count, 2);
	assert_int_equal(w->renderer->backings, 1);
	ctx = fake_renderer_context(w->renderer, 77);
	assert_non_null(ctx);
	assert_int_equal(ctx->capset_id, 2);
	assert_string_equal(ctx->name, "second");
	assert_int_equal(ctx->attached, 3);
	/* Both halves at once, from no context. */
	assert_int_equal(w->renderer->transfers, 1);
	assert_true(w->renderer->to_host);
	assert_int_equal(w->renderer->transfer.ctx_id, 0);
	assert_int_equal(w->renderer->transfer.offset, 0);
	assert_int_equal(w->renderer->transfer.stride, 64);
	assert_int_equal(w->renderer->transfer.box.y, 0);
	assert_int_equal(w->renderer->transfer.box.height, 16);
	assert_int_equal(gpu_submit(w, 77, "abcd", 4), OK);
	assert_int_equal(gpu_submit(w, 1, "abcd", 4), OK);
	end(w);
}

/* The GPU's own, and one with pages. */
static void blobs_of_a_context_are_there_again(void **state)
{
	struct gpu_world *w = start(true);
	struct {
		struct virtio_gpu_resource_create_blob c;
		struct virtio_gpu_mem_entry entry;
	} blob = {
		.c = {.resource_id = 3, .blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D, .blob_id = 7, .size = 2048},
		.entry = {.addr = fake_guest_alloc(w->guest, 4096, 4096), .length = 2048},
	};
	struct virtio_gpu_set_scanout_blob shown = {
		.r = {4, 0, 28, 16}, .resource_id = 3, .width = 32, .height = 16, .format = BGRX};
	struct virtio_gpu_transfer_host_3d t = {.box = {0, 0, 0, 32, 16, 1}, .resource_id = 4, .stride = 128};

	(void)state;
	assert_int_equal(gpu_context(w, 1, 0, "first"), OK);
	w->ctx_id = 1;
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, &blob, sizeof(blob.c)), OK);
	blob.c.resource_id = 4;
	blob.c.blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST;
	blob.c.nr_entries = 1;
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, &blob, sizeof(blob)), OK);
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, &t, sizeof(t)), OK);
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, &shown, sizeof(shown)), OK);
	for (unsigned death = 0; death < 2; death++) {
		const struct shown *s;

		die(w);
		assert_int_equal(w->renderer->resource_count, 2);
		assert_int_equal(w->renderer->backings, 1);
		assert_int_equal(w->renderer->transfers, 1);
		s = &w->display->shown[0];
		assert_int_equal(s->frames, 1);
		assert_int_equal(s->width, 28);
		assert_int_equal(s->pixels[0], fake_renderer_pixel(3, 4, 0));
		/* It is what it was: a blob. */
		assert_int_equal(gpu_scan(w, 1, 3, gpu_rect(0, 0, 32, 16)), VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	}
	end(w);
}

static void lost_context_draws_no_more(void **state)
{
	struct gpu_world *w = start(true);

	(void)state;
	assert_int_equal(gpu_context(w, 1, 0, "good"), OK);
	assert_int_equal(gpu_context(w, 2, 0, "lost"), OK);
	die(w);
	gpu_mark_lost((struct gpu *)w->device, 2);
	gpu_mark_lost((struct gpu *)w->device, 3);
	gpu_record_commit((struct gpu *)w->device, 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(gpu_submit(w, 1, "abcd", 4), OK);
		assert_int_equal(gpu_submit(w, 2, "abcd", 4), VIRTIO_GPU_RESP_ERR_UNSPEC);
		die(w);
	}
	/* Made again by the guest it is as good as new. */
	assert_int_equal(gpu_context_gone(w, 2), OK);
	assert_int_equal(gpu_context(w, 2, 0, "again"), OK);
	assert_int_equal(gpu_submit(w, 2, "abcd", 4), OK);
	end(w);
}

/* A process dies over a submission to @ctx_id, and the next one answers it. */
static uint32_t die_over(struct gpu_world *w, uint32_t ctx_id)
{
	const struct {
		struct virtio_gpu_cmd_submit submit;
		uint32_t words[2];
	} request = {
		.submit = {.hdr = {.type = VIRTIO_GPU_CMD_SUBMIT_3D,
				   .flags = VIRTIO_GPU_FLAG_FENCE,
				   .fence_id = 77,
				   .ctx_id = ctx_id},
			   .size = 8},
	};
	struct virtio_gpu_ctrl_hdr answer;
	struct fake_request *r;

	die(w);
	r = died_request(w->guest, w->device, &request, sizeof(request), sizeof(answer));
	assert_int_equal(fake_guest_wait(w->guest, r, 20000), 0);
	memcpy(&answer, r->out, sizeof(answer));
	fake_guest_free_request(w->guest, r);
	assert_int_equal(answer.flags, VIRTIO_GPU_FLAG_FENCE);
	assert_int_equal(answer.fence_id, 77);
	return answer.type;
}

static void context_that_processes_die_over_goes_on_until_there_are_too_many(void **state)
{
	struct gpu_world *w = start(true);

	(void)state;
	assert_int_equal(gpu_context(w, 1, 0, "good"), OK);
	assert_int_equal(gpu_context(w, 2, 0, "deadly"), OK);
	for (unsigned death = 1; death <= GPU_CONTEXT_DEATHS; death++) {
		const bool lost = death == GPU_CONTEXT_DEATHS;

		assert_int_equal(die_over(w, 2), VIRTIO_GPU_RESP_ERR_UNSPEC);
		assert_int_equal(w->renderer->restores, 2);
		assert_int_equal(w->renderer->skips, !lost);
		assert_int_equal(gpu_submit(w, 2, "abcd", 4), lost ? VIRTIO_GPU_RESP_ERR_UNSPEC : OK);
		assert_int_equal(gpu_submit(w, 1, "abcd", 4), OK);
	}
	die(w);
	assert_int_equal(w->renderer->restores, 1);
	assert_int_equal(gpu_submit(w, 2, "abcd", 4), VIRTIO_GPU_RESP_ERR_UNSPEC);
	assert_int_equal(gpu_submit(w, 1, "abcd", 4), OK);
	end(w);
}

static void context_that_got_on_has_all_its_deaths_before_it(void **state)
{
	struct gpu_world *w = start(true);

	(void)state;
	assert_int_equal(gpu_context(w, 2, 0, "x"), OK);
	for (unsigned death = 1; death <= 4; death++) {
		assert_int_equal(die_over(w, 2), VIRTIO_GPU_RESP_ERR_UNSPEC);
		/* Each other time. */
		for (unsigned i = 0; death % 2 == 0 && i < GPU_CONTEXT_GOT_ON; i++)
			assert_int_equal(gpu_submit(w, 2, "abcd", 4), OK);
		assert_int_equal(gpu_submit(w, 2, "abcd", 4), OK);
	}
	end(w);
}

static void context_that_cannot_be_rebuilt_is_not_tried_for_ever(void **state)
{
	struct gpu_context_record record = {.capset_id = 1, .deaths = GPU_CONTEXT_DEATHS - 1, .name = "x"};
	struct gpu_world *w = start(true);

	(void)state;
	assert_int_equal(gpu_context(w, 1, 1, "good"), OK);
	assert_int_equal(gpu_context(w, 2, 1, "x"), OK);
	forge(GPU_RECORD_CONTEXT, 2, 0, &record, sizeof(record));
	die(w);
	assert_int_equal(w->renderer->restores, 2);
	assert_int_equal(gpu_submit(w, 2, "abcd", 4), OK);
	/* Another process begins with it, and dies. */
	record.deaths++;
	forge(GPU_RECORD_CONTEXT, 2, 0, &record, sizeof(record));
	die(w);
	assert_int_equal(w->renderer->restores, 1);
	assert_int_equal(gpu_submit(w, 2, "abcd", 4), VIRTIO_GPU_RESP_ERR_UNSPEC);
	assert_int_equal(gpu_submit(w, 1, "abcd", 4), OK);
	end(w);
}

static void submission_of_no_context_is_passed_over(void **state)
{
	struct gpu_world *w = start(true);

	(void)state;
	assert_int_equal(gpu_context(w, 2, 0, "x"), OK);
	assert_int_equal(die_over(w, 3), VIRTIO_GPU_RESP_ERR_UNSPEC);
	assert_int_equal(w->renderer->skips, 0);
	assert_int_equal(gpu_submit(w, 2, "abcd", 4), OK);
	end(w);
}

static void reset_leaves_nothing(void **state)
{
	struct gpu_world *w = start(true);

	(void)state;
	assert_int_equal(gpu_create_2d(w, 3, BGRX, 16, 16), OK);
	assert_int_equal(gpu_context(w, 1, 0, "x"), OK);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	assert_int_equal(gpu_create_2d(w, 4, BGRX, 16, 16), OK);
	die(w);
	assert_int_equal(w->renderer->resource_count, 1);
	assert_int_equal(w->renderer->context_count, 0);
	assert_int_equal(gpu_unref(w, 4), OK);
	end(w);
}

static void refused_request_leaves_nothing(void **state)
{
	struct gpu_world *w = start(true);

	(void)state;
	w->renderer->fail_next = -ENOMEM;
	assert_int_equal(gpu_create_2d(w, 3, BGRX, 16, 16), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	w->renderer->fail_next = -EINVAL;
	assert_int_equal(gpu_context(w, 3, 0, "x"), VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	die(w);
	assert_int_equal(w->renderer->resource_count, 0);
	assert_int_equal(w->renderer->context_count, 0);
	end(w);
}

/* A journal that was full has no room for the context itself. */
static void nothing_is_left_of_a_context_that_is_not_there(void **state)
{
	const struct journal_key left = {GPU_RECORD_VIRGL, {2, 3}}, kept = {GPU_RECORD_VIRGL, {1, 3}},
				 alone = {GPU_RECORD_VIRGL + 1, {7}};
	struct gpu_world *w = start(true);
	uint32_t wrong = 0;

	(void)state;
	assert_int_equal(gpu_context(w, 1, 1, "good"), OK);
	assert_int_equal(gpu_context(w, 2, 1, "bad"), OK);
	forge(GPU_RECORD_CONTEXT, 2, 0, &wrong, sizeof(wrong));
	forge(left.type, left.id[0], left.id[1], &wrong, sizeof(wrong));
	forge(kept.type, kept.id[0], kept.id[1], &wrong, sizeof(wrong));
	forge(alone.type, alone.id[0], alone.id[1], &wrong, sizeof(wrong));
	die(w);
	assert_int_equal(w->renderer->context_count, 1);
	assert_true(journal_has(journals[journal_count - 1], &kept));
	assert_false(journal_has(journals[journal_count - 1], &left));
	assert_false(journal_has(journals[journal_count - 1], &alone));
	end(w);
}

static void backing_that_is_not_guest_memory_is_left_out(void **state)
{
	const struct gpu_range nowhere[2] = {{0x1000, 4096}, {0x123400000000, 4096}};
	struct gpu_world *w = start(false);
	struct virtio_gpu_mem_entry entry;

	(void)state;
	assert_int_equal(gpu_create_2d(w, 3, BGRX, 16, 16), OK);
	gpu_back(w, 3, 1024, NULL);
	assert_int_equal(gpu_transfer(w, 3, gpu_rect(0, 0, 16, 16), 0), OK);
	forge(GPU_RECORD_BACKING, 3, 0, nowhere, sizeof(nowhere));
	die(w);
	assert_int_equal(gpu_transfer(w, 3, gpu_rect(0, 0, 16, 16), 0), VIRTIO_GPU_RESP_ERR_UNSPEC);
	entry = (struct virtio_gpu_mem_entry){.addr = fake_guest_alloc(w->guest, 4096, 4096), .length = 4096};
	assert_int_equal(gpu_attach(w, 3, &entry, 1), OK);
	assert_int_equal(gpu_transfer(w, 3, gpu_rect(0, 0, 16, 16), 0), OK);
	end(w);
}

/* Records of each kind, as long as they should be and full of rubbish. */
static void forged_records_do_no_harm(void **state)
{
	static const size_t sizes[] = {
		0,
		sizeof(struct gpu_resource_record),
		sizeof(struct gpu_range),
		sizeof(struct gpu_level),
		sizeof(struct gpu_scanout_record),
		sizeof(struct gpu_cursor_record),
		sizeof(struct gpu_cursor_place_record),
		sizeof(struct gpu_cursor_asked_record),
		sizeof(struct renderer_capset),
		0,
		sizeof(struct gpu_context_record),
		0,
	};
	uint32_t rubbish[5000];
	uint64_t random = 7;

	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		struct gpu_world *w = start(round % 2);

		assert_int_equal(gpu_create_2d(w, 1, BGRX, 16, 16), OK);
		gpu_back(w, 1, 1024, NULL);
		for (unsigned i = 0; i < 40; i++) {
			uint16_t type = (uint16_t)(1 + i % 13);
			size_t bytes = type < 12 ? sizes[type] : i;

			for (size_t word = 0; word < sizeof(rubbish) / 4; word++) {
				random = random * 6364136223846793005ull + 1442695040888963407ull;
				rubbish[word] = (uint32_t)(random >> 40) >> (random >> 33 & 31);
			}
			forge(type, i % 3, i / 20, rubbish, i < 30 ? bytes : i);
		}
		die(w);
		assert_int_equal(gpu_create_2d(w, 1000, BGRX, 16, 16), OK);
		die(w);
		assert_int_equal(gpu_unref(w, 1000), OK);
		end(w);
	}
}

/* As the keeper has them: whatever is announced can be looked up by the next process. */
static uint8_t announced_name[VIRTIO_UUID_BYTES];
static int announced = -1;

static bool home_is_open(void *owner)
{
	(void)owner;
	return true;
}

static int home_add(void *owner, const struct virtio_object *o)
{
	(void)owner;
	if (announced < 0) {
		announced = dup(o->fd);
		memcpy(announced_name, o->uuid, sizeof(announced_name));
	}
	return 0;
}

static int home_look_up(void *owner, const uint8_t uuid[VIRTIO_UUID_BYTES])
{
	(void)owner;
	return memcmp(announced_name, uuid, VIRTIO_UUID_BYTES) == 0 ? dup(announced) : -ENOENT;
}

static void home_remove(void *owner, const struct virtio_object *o)
{
	(void)owner;
	(void)o;
}

static struct virtio_objects *objects_of_a_process(void)
{
	static const struct virtio_objects_home_ops ops = {home_is_open, home_add, home_look_up, home_remove};
	struct virtio_objects *t;

	assert_int_equal(virtio_objects_create(&t), 0);
	virtio_objects_set_home(t, &ops, NULL, NULL);
	return t;
}

static uint32_t assign_uuid(struct gpu_world *w, uint32_t id, uint8_t *uuid)
{
	struct virtio_gpu_resource_assign_uuid c = {.resource_id = id};
	struct virtio_gpu_resp_resource_uuid answer;
	const uint32_t code = gpu_send(w, VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, &c, sizeof(c), &answer, sizeof(answer));

	memcpy(uuid, answer.uuid, VIRTIO_UUID_BYTES);
	return code;
}

/* Two resources of one name: what they are shared as is the first one's. */
static void a_forged_uuid_shares_nothing_twice(void **state)
{
	struct virtio_objects *first = objects_of_a_process(), *second = objects_of_a_process();
	uint8_t uuid[VIRTIO_UUID_BYTES], other[VIRTIO_UUID_BYTES];
	struct gpu_resource_record record;
	struct virtio_object *found;
	struct gpu_world *w;
	struct journal *j;
	const void *there;
	size_t bytes;

	(void)state;
	memory = journal_memfd(JOURNAL_BYTES);
	w = gpu_world_create(&(struct gpu_world_options){.journal = next_process(), .objects = first});
	assert_int_equal(gpu_create_2d(w, 3, BGRX, 16, 16), OK);
	assert_int_equal(assign_uuid(w, 3, uuid), VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
	assert_true(announced >= 0);
	assert_int_equal(journal_open(memory, &j), 0);
	there = journal_get(j, &(struct journal_key){GPU_RECORD_RESOURCE, {3, 0}}, &bytes);
	assert_non_null(there);
	assert_int_equal(bytes, sizeof(record));
	memcpy(&record, there, sizeof(record));
	assert_true(record.has_uuid);
	journal_close(j);
	forge(GPU_RECORD_RESOURCE, 4, 0, &record, sizeof(record));

	w->options.objects = second;
	die(w);
	memset(other, 7, sizeof(other));
	assert_null(virtio_objects_find(second, other));
	found = virtio_objects_find(second, uuid);
	assert_non_null(found);
	virtio_object_put(found);
	assert_int_equal(gpu_unref(w, 4), OK);
	found = virtio_objects_find(second, uuid);
	assert_non_null(found);
	virtio_object_put(found);
	assert_int_equal(gpu_unref(w, 3), OK);
	assert_int_equal(gpu_create_2d(w, 5, BGRX, 16, 16), OK);
	assert_int_equal(assign_uuid(w, 5, other), VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
	assert_int_equal(gpu_unref(w, 5), OK);
	end(w);
	virtio_objects_destroy(first);
	virtio_objects_destroy(second);
	close(announced);
	announced = -1;
}

/*
 * The last requests of a device are not in its journal whole: torn at any place, it gives what was whole before that, and the
 * guest, which may have been told that the rest was done, gets errors for it and no more.
 */
static void torn_journal_gives_what_was_whole(void **state)
{
	const uint32_t count = 6;
	uint64_t whole, seen = 0;

	(void)state;
	for (uint64_t cut = 0, end_at = 1; cut < end_at; cut += 8) {
		struct gpu_world *w = start(false);
		/* Torn there, or a word of rubbish there in the midst of the rest. */
		const bool torn = cut % 16;
		uint32_t kept = 0;

		for (uint32_t id = 1; id <= count; id++) {
			assert_int_equal(gpu_create_2d(w, id, BGRX, 16, 16), OK);
			gpu_back(w, id, 1024, NULL);
		}
		whole = journal_copy_tear(memory, JOURNAL_BYTES, cut, !torn);
		assert_true(whole > count * 64);
		end_at = whole + 16;
		die(w);
		for (uint32_t id = 1; id <= count; id++) {
			struct virtio_gpu_resource_unref c = {.resource_id = id};
			const uint32_t answer = gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_UNREF, &c, sizeof(c));

			assert_true(answer == OK || answer == VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
			/* None after one that is missing; a record of rubbish may be that of anything. */
			assert_true(answer != OK || kept == id - 1 || !torn);
			kept += answer == OK;
		}
		if (torn)
			seen |= 1u << kept;
		if (cut >= whole)
			assert_int_equal(kept, count);
		assert_int_equal(gpu_create_2d(w, 1, BGRX, 16, 16), OK);
		die(w);
		assert_int_equal(gpu_unref(w, 1), OK);
		end(w);
	}
	/* Each number of them was left once. */
	assert_int_equal(seen, (1u << (count + 1)) - 1);
}

static void full_journal_stops_no_guest(void **state)
{
	struct gpu_stats stats;
	struct gpu_world *w = start(false);
	uint32_t n = 0, kept = 0;

	(void)state;
	do {
		assert_int_equal(gpu_create_2d(w, ++n, BGRX, 1, 1), OK);
		gpu_get_stats(w->device, &stats);
	} while (stats.unrecorded < 10);
	die(w);
	/* What makes all of them again says that it goes on. */
	assert_true(fake_guest_progress(w->guest) >= n - 10);
	for (uint32_t id = 1; id <= n; id++)
		kept += gpu_unref(w, id) == OK;
	assert_int_equal(kept, n - 10);
	assert_int_equal(gpu_create_2d(w, 1, BGRX, 1, 1), OK);
	die(w);
	assert_int_equal(gpu_unref(w, 1), OK);
	end(w);
}

static void content_grows_where_the_layout_is_one(void **state)
{
	struct gpu_world *w = start(true);
	struct virtio_gpu_transfer_host_3d t = {.resource_id = 3, .stride = 16 * 2};
	/* Pixels of two bytes: x, y, width, height; a picture that starts at byte 100. */
	static const uint32_t boxes[][4] = {{4, 4, 2, 2}, {8, 8, 2, 2}, {0, 6, 1, 1}};

	(void)state;
	assert_int_equal(gpu_create_3d(w, 3, 16, 16), OK);
	gpu_back(w, 3, 4096, NULL);
	for (unsigned i = 0; i < 3; i++) {
		t.box = (struct virtio_gpu_box){boxes[i][0], boxes[i][1], 0, boxes[i][2], boxes[i][3], 1};
		t.offset = 100 + boxes[i][1] * 32 + boxes[i][0] * 2;
		assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, &t, sizeof(t)), OK);
	}
	die(w);
	assert_int_equal(w->renderer->transfer.offset, 100 + 4 * 32);
	assert_int_equal(w->renderer->transfer.box.x, 0);
	assert_int_equal(w->renderer->transfer.box.y, 4);
	assert_int_equal(w->renderer->transfer.box.width, 10);
	assert_int_equal(w->renderer->transfer.box.height, 6);
	/* From elsewhere: only that. */
	t.offset += 1;
	t.box.y = 1;
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, &t, sizeof(t)), OK);
	die(w);
	assert_int_equal(w->renderer->transfer.box.y, 1);
	assert_int_equal(w->renderer->transfer.box.height, 1);
	/* Read back whole: from there. */
	t.box = (struct virtio_gpu_box){0, 0, 0, 16, 16, 1};
	t.offset = 256;
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, &t, sizeof(t)), OK);
	die(w);
	assert_int_equal(w->renderer->transfer.offset, 256);
	assert_int_equal(w->renderer->transfer.box.height, 16);
	end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(picture_is_shown_again),
		cmocka_unit_test(blob_is_shown_again),
		cmocka_unit_test(cursor_is_there_again),
		cmocka_unit_test(what_was_undone_stays_undone),
		cmocka_unit_test(uuid_stays),
		cmocka_unit_test(contexts_and_what_is_attached_are_there_again),
		cmocka_unit_test(blobs_of_a_context_are_there_again),
		cmocka_unit_test(lost_context_draws_no_more),
		cmocka_unit_test(context_that_processes_die_over_goes_on_until_there_are_too_many),
		cmocka_unit_test(context_that_got_on_has_all_its_deaths_before_it),
		cmocka_unit_test(context_that_cannot_be_rebuilt_is_not_tried_for_ever),
		cmocka_unit_test(submission_of_no_context_is_passed_over),
		cmocka_unit_test(reset_leaves_nothing),
		cmocka_unit_test(refused_request_leaves_nothing),
		cmocka_unit_test(nothing_is_left_of_a_context_that_is_not_there),
		cmocka_unit_test(backing_that_is_not_guest_memory_is_left_out),
		cmocka_unit_test(forged_records_do_no_harm),
		cmocka_unit_test(a_forged_uuid_shares_nothing_twice),
		cmocka_unit_test(torn_journal_gives_what_was_whole),
		cmocka_unit_test(full_journal_stops_no_guest),
		cmocka_unit_test(content_grows_where_the_layout_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
