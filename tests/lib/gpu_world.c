// SPDX-License-Identifier: MIT
#include "tests/lib/gpu_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/virtio/inflight.h"
#include "host/virtio/queue.h"

/* ---- the display ---- */

static int present(struct display_output *o, unsigned scanout, const struct display_frame *frame)
{
	struct test_display *d = (struct test_display *)o;
	struct shown *s = &d->shown[scanout];

	if (d->fail < 0)
		return d->fail;
	assert_int_equal(frame->fourcc, 0x34325258);
	assert_true(frame->damage.width > 0 && frame->damage.x + frame->damage.width <= frame->width);
	assert_true(frame->damage.height > 0 && frame->damage.y + frame->damage.height <= frame->height);
	free(s->pixels);
	s->pixels = malloc((size_t)frame->width * frame->height * 4);
	assert_non_null(s->pixels);
	for (uint32_t y = 0; y < frame->height; y++)
		memcpy(s->pixels + (size_t)y * frame->width, (const char *)frame->pixels + (size_t)y * frame->stride_bytes,
		       (size_t)frame->width * 4);
	s->width = frame->width;
	s->height = frame->height;
	s->damage = frame->damage;
	s->frames++;
	return 0;
}

static void blank(struct display_output *o, unsigned scanout)
{
	((struct test_display *)o)->shown[scanout].blanks++;
}

static void cursor(struct display_output *o, unsigned scanout, const struct display_cursor *c)
{
	struct shown *s = &((struct test_display *)o)->shown[scanout];

	s->cursor = *c;
	s->cursors++;
	if (c->pixels)
		memcpy(s->cursor_pixels, c->pixels, sizeof(s->cursor_pixels));
}

static void destroy(struct display_output *o)
{
	struct test_display *d = (struct test_display *)o;

	for (unsigned i = 0; i < DISPLAY_MAX_SCANOUTS; i++)
		free(d->shown[i].pixels);
	*d->destroyed = true;
	free(d);
}

static const struct display_output_ops test_display_ops = {
	.name = "test",
	.present = present,
	.blank = blank,
	.cursor = cursor,
	.destroy = destroy,
};

static const struct display_output_ops blind_display_ops = {
	.name = "blind",
	.blind = true,
	.blank = blank,
	.cursor = cursor,
	.destroy = destroy,
};

/* ---- the world ---- */

static void make_device(struct gpu_world *w, struct journal *journal)
{
	const struct gpu_world_options *options = &w->options;
	const bool fake_3d = options->fake_3d && !options->degraded;
	struct gpu_config config;

	gpu_config_init(&config);
	config.degraded = options->degraded;
	config.journal = journal;
	config.dmabuf = options->dmabuf;
	config.shared_fd = options->shared_fd;
	config.objects = options->objects;
	if (options->host_visible_bytes)
		config.host_visible_bytes = options->host_visible_bytes;
	config.renderer = fake_3d ? "fake" : "2d";
	config.renderers = fake_3d ? fake_renderers : NULL;
	if (options->scanouts)
		config.scanouts = options->scanouts;
	for (unsigned i = 0; i < 16; i++)
		config.modes[i] = options->width ? (struct gpu_mode){options->width, options->height} : config.modes[0];
	if (options->share)
		config.share = options->share;
	if (options->limits.resources)
		config.limits = options->limits;
	w->display = calloc(1, sizeof(*w->display));
	assert_non_null(w->display);
	w->display->base.ops = options->blind ? &blind_display_ops : &test_display_ops;
	w->display->destroyed = &w->destroyed;
	config.display = &w->display->base;
	assert_int_equal(gpu_create(&config, fake_guest_loop(w->guest), fake_guest_mem(w->guest), &w->device), 0);
	fake_shmem_settle(&w->home, w->device);
	w->renderer = fake_3d ? fake_renderer_current : NULL;
}

struct gpu_world *gpu_world_create(const struct gpu_world_options *options)
{
	struct gpu_world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	if (options)
		w->options = *options;
	w->guest = fake_guest_create(&w->options.guest);
	make_device(w, w->options.journal);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	return w;
}

static void bury(struct gpu_world *w)
{
	assert_true(w->dead_count < sizeof(w->dead) / sizeof(w->dead[0]));
	/* What it had mapped stays; it has no say any more. */
	virtio_device_set_shmem_home(w->device, NULL, NULL);
	w->dead[w->dead_count++] = w->device;
}

void gpu_world_die(struct gpu_world *w, struct journal *journal)
{
	bury(w);
	fake_guest_device_is_gone(w->guest);
	make_device(w, journal);
	assert_int_equal(fake_guest_take_over(w->guest, w->device), 0);
}

void gpu_world_track(struct gpu_world *w, struct inflight_ring *rings)
{
	for (unsigned i = 0; i < w->device->queue_count; i++) {
		struct virtq_setup setup = fake_guest_ring(w->guest, i)->setup;
		struct virtq *q = w->device->queues[i];

		setup.resume = true;
		setup.position = virtq_position(q);
		virtq_stop(q);
		assert_int_equal(virtq_track(q, &rings[i]), 0);
		assert_int_equal(virtq_start(q, &setup), 0);
	}
}

void gpu_world_go_on(struct gpu_world *w, struct journal *journal, struct inflight_ring *rings)
{
	bury(w);
	make_device(w, journal);
	for (unsigned i = 0; i < w->device->queue_count; i++)
		assert_int_equal(virtq_track(w->device->queues[i], &rings[i]), 0);
	assert_int_equal(fake_guest_go_on(w->guest, w->device), 0);
	for (unsigned i = 0; i < w->device->queue_count; i++)
		fake_guest_force_kick(w->guest, i);
}

void gpu_world_destroy(struct gpu_world *w)
{
	virtio_device_destroy(w->device);
	assert_true(w->destroyed);
	while (w->dead_count > 0)
		virtio_device_destroy(w->dead[--w->dead_count]);
	fake_shmem_finish(&w->home);
	fake_guest_destroy(w->guest);
	free(w);
}

/* ---- the driver ---- */

uint32_t gpu_send(struct gpu_world *w, uint32_t type, void *request, size_t bytes, void *answer, size_t answer_bytes)
{
	struct virtio_gpu_ctrl_hdr header = {
		.type = type,
		.flags = w->flags,
		.fence_id = w->fence_id,
		.ctx_id = w->ctx_id,
		.ring_idx = w->ring_idx,
	};

	memcpy(request, &header, sizeof(header));
	assert_int_equal(fake_guest_request(w->guest, 0, request, bytes, answer, answer_bytes, &w->used), 0);
	assert_true(w->used >= sizeof(w->answer));
	memcpy(&w->answer, answer, sizeof(w->answer));
	if (w->answer.type >= VIRTIO_GPU_RESP_ERR_UNSPEC)
		assert_int_equal(w->used, sizeof(w->answer));
	return w->answer.type;
}

uint32_t gpu_command(struct gpu_world *w, uint32_t type, void *request, size_t bytes)
{
	struct virtio_gpu_ctrl_hdr answer;

	gpu_send(w, type, request, bytes, &answer, sizeof(answer));
	assert_int_equal(w->used, sizeof(answer));
	return answer.type;
}

uint32_t gpu_create_2d(struct gpu_world *w, uint32_t id, uint32_t format, uint32_t width, uint32_t height)
{
	struct virtio_gpu_resource_create_2d c = {.resource_id = id, .format = format, .width = width, .height = height};

	return gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, &c, sizeof(c));
}

uint32_t gpu_create_3d(struct gpu_world *w, uint32_t id, uint32_t width, uint32_t height)
{
	struct virtio_gpu_resource_create_3d c = {
		.resource_id = id, .target = 2, .format = 1, .bind = 2, .width = width, .height = height, .depth = 1, .array_size = 1,
	};

	return gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, &c, sizeof(c));
}

static uint32_t with_tail(struct gpu_world *w, uint32_t type, const void *fixed, size_t fixed_bytes, const void *tail,
			  size_t tail_bytes)
{
	uint8_t *request = malloc(fixed_bytes + tail_bytes);
	uint32_t code;

	assert_non_null(request);
	memcpy(request, fixed, fixed_bytes);
	if (tail_bytes > 0)
		memcpy(request + fixed_bytes, tail, tail_bytes);
	code = gpu_command(w, type, request, fixed_bytes + tail_bytes);
	free(request);
	return code;
}

uint32_t gpu_create_blob(struct gpu_world *w, uint32_t id, uint64_t size, const struct virtio_gpu_mem_entry *entries,
			 uint32_t count)
{
	struct virtio_gpu_resource_create_blob c = {
		.resource_id = id, .blob_mem = VIRTIO_GPU_BLOB_MEM_GUEST, .nr_entries = count, .size = size,
	};

	return with_tail(w, VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, &c, sizeof(c), entries, count * sizeof(*entries));
}

uint32_t gpu_unref(struct gpu_world *w, uint32_t id)
{
	struct virtio_gpu_resource_unref c = {.resource_id = id};

	return gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_UNREF, &c, sizeof(c));
}

uint32_t gpu_attach(struct gpu_world *w, uint32_t id, const struct virtio_gpu_mem_entry *entries, uint32_t count)
{
	struct virtio_gpu_resource_attach_backing c = {.resource_id = id, .nr_entries = count};

	return with_tail(w, VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, &c, sizeof(c), entries, count * sizeof(*entries));
}

uint32_t gpu_detach(struct gpu_world *w, uint32_t id)
{
	struct virtio_gpu_resource_detach_backing c = {.resource_id = id};

	return gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, &c, sizeof(c));
}

uint32_t gpu_transfer(struct gpu_world *w, uint32_t id, struct virtio_gpu_rect r, uint64_t offset)
{
	struct virtio_gpu_transfer_to_host_2d c = {.resource_id = id, .r = r, .offset = offset};

	return gpu_command(w, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, &c, sizeof(c));
}

uint32_t gpu_scan(struct gpu_world *w, uint32_t scanout, uint32_t id, struct virtio_gpu_rect r)
{
	struct virtio_gpu_set_scanout c = {.scanout_id = scanout, .resource_id = id, .r = r};

	return gpu_command(w, VIRTIO_GPU_CMD_SET_SCANOUT, &c, sizeof(c));
}

uint32_t gpu_flush(struct gpu_world *w, uint32_t id, struct virtio_gpu_rect r)
{
	struct virtio_gpu_resource_flush c = {.resource_id = id, .r = r};

	return gpu_command(w, VIRTIO_GPU_CMD_RESOURCE_FLUSH, &c, sizeof(c));
}

uint32_t gpu_context(struct gpu_world *w, uint32_t ctx_id, uint32_t context_init, const char *name)
{
	struct virtio_gpu_ctx_create c = {.nlen = (uint32_t)strlen(name), .context_init = context_init};
	const uint32_t before = w->ctx_id;
	uint32_t code;

	memcpy(c.debug_name, name, strlen(name) < 64 ? strlen(name) : 64);
	w->ctx_id = ctx_id;
	code = gpu_command(w, VIRTIO_GPU_CMD_CTX_CREATE, &c, sizeof(c));
	w->ctx_id = before;
	return code;
}

uint32_t gpu_context_gone(struct gpu_world *w, uint32_t ctx_id)
{
	struct virtio_gpu_ctx_destroy c = {0};
	const uint32_t before = w->ctx_id;
	uint32_t code;

	w->ctx_id = ctx_id;
	code = gpu_command(w, VIRTIO_GPU_CMD_CTX_DESTROY, &c, sizeof(c));
	w->ctx_id = before;
	return code;
}

uint32_t gpu_submit(struct gpu_world *w, uint32_t ctx_id, const void *commands, uint32_t bytes)
{
	struct virtio_gpu_cmd_submit c = {.size = bytes};
	const uint32_t before = w->ctx_id;
	uint32_t code;

	w->ctx_id = ctx_id;
	code = with_tail(w, VIRTIO_GPU_CMD_SUBMIT_3D, &c, sizeof(c), commands, bytes);
	w->ctx_id = before;
	return code;
}

uint32_t *gpu_back(struct gpu_world *w, uint32_t id, size_t bytes, uint64_t *gpa)
{
	uint64_t at = fake_guest_alloc(w->guest, bytes, 4096);
	struct virtio_gpu_mem_entry entry = {.addr = at, .length = (uint32_t)bytes};

	assert_int_equal(gpu_attach(w, id, &entry, 1), VIRTIO_GPU_RESP_OK_NODATA);
	if (gpa)
		*gpa = at;
	return fake_guest_ptr(w->guest, at, bytes);
}
