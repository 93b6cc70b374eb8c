// SPDX-License-Identifier: MIT
#include "tests/lib/gpu3d.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/loop.h"
#include "host/gpu/egl.h"
#include "protocol/virtio_gpu.h"
#include "tests/lib/frame_output.h"

#define CONTROL VIRTIO_GPU_QUEUE_CONTROL

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "gpu3d: %s failed\n", what);
	abort();
}

/* Of a display that keeps the last frame. */
static void keep_frame(void *owner, const struct display_frame *frame)
{
	struct gpu3d_screen *s = owner;
	size_t row = (size_t)frame->width * 4;

	free(s->pixels);
	s->pixels = malloc(row * frame->height);
	check(s->pixels, "a frame's memory");
	for (uint32_t y = 0; y < frame->height; y++)
		memcpy((uint8_t *)s->pixels + y * row, (const uint8_t *)frame->pixels + (size_t)y * frame->stride_bytes,
		       row);
	s->width = frame->width;
	s->height = frame->height;
	s->frames++;
}

/* ---- start and end ---- */

static int make(struct gpu3d **out, struct fake_guest *guest, const char *renderer, struct journal *journal,
		struct virtio_objects *objects, const char **why)
{
	static char text[256];
	struct gpu3d *t = calloc(1, sizeof(*t));
	struct gpu_config config;
	struct gpu_egl *egl;
	int err;

	check(t, "memory");
	if (strcmp(renderer, "virgl") == 0) {
		err = gpu_egl_create(NULL, &egl, text, sizeof(text));
		if (err < 0) {
			free(t);
			*why = text;
			return err;
		}
		gpu_egl_destroy(egl);
	}
	t->guest = guest;
	t->screen = calloc(1, sizeof(*t->screen));
	check(t->screen, "memory");
	gpu_config_init(&config);
	config.renderer = renderer;
	config.journal = journal;
	config.objects = objects;
	config.display = frame_output_create(keep_frame, t->screen);
	check(config.display, "memory");
	err = gpu_create(&config, fake_guest_loop(t->guest), fake_guest_mem(t->guest), &t->device);
	check(err == 0, "gpu_create");
	*out = t;
	return 0;
}

int gpu3d_create_on(struct gpu3d **out, struct fake_guest *guest, const char *renderer, struct journal *journal,
		    const char **why)
{
	return make(out, guest, renderer, journal, NULL, why);
}

int gpu3d_create_sharing(struct gpu3d **out, struct fake_guest *guest, const char *renderer,
			 struct virtio_objects *objects, const char **why)
{
	return make(out, guest, renderer, NULL, objects, why);
}

int gpu3d_create(struct gpu3d **out, const struct fake_guest_options *options, const char *renderer, const char **why)
{
	struct fake_guest *guest = fake_guest_create(options);
	int err = gpu3d_create_on(out, guest, renderer, NULL, why);

	if (err < 0)
		fake_guest_destroy(guest);
	return err;
}

void gpu3d_destroy(struct gpu3d *t)
{
	if (!t)
		return;
	virtio_device_destroy(t->device);
	fake_guest_destroy(t->guest);
	free(t->screen->pixels);
	free(t->screen);
	free(t);
}

void gpu3d_boot(struct gpu3d *t)
{
	check(fake_guest_start(t->guest, t->device) == 0, "starting the device");
	while (t->backing_count > 0) {
		t->backing_count--;
		fake_guest_free(t->guest, t->backings[t->backing_count].gpa, t->backings[t->backing_count].bytes);
	}
	virgl_encoder_init(&t->stream, t->words, GPU3D_STREAM_WORDS);
	t->ctx = 1;
	t->screen->frames = 0;
	if (virtio_device_has(t->device, VIRTIO_GPU_F_VIRGL))
		check(gpu3d_context(t, 1, 0) == VIRTIO_GPU_RESP_OK_NODATA, "creating context 1");
}

void gpu3d_take_over(struct gpu3d *t, size_t used_bytes)
{
	fake_guest_reserve(t->guest, used_bytes);
	check(fake_guest_take_over(t->guest, t->device) == 0, "taking over");
	virgl_encoder_init(&t->stream, t->words, GPU3D_STREAM_WORDS);
	t->ctx = 1;
}

/* ---- requests ---- */

static struct virtio_gpu_ctrl_hdr header(const struct gpu3d *t, uint32_t type)
{
	return (struct virtio_gpu_ctrl_hdr){.type = type, .ctx_id = t->ctx};
}

int gpu3d_request(struct gpu3d *t, const void *cmd, size_t bytes, void *answer, size_t answer_bytes)
{
	struct virtio_gpu_ctrl_hdr hdr;
	uint8_t *out = answer ? answer : &hdr;

	check(fake_guest_request(t->guest, CONTROL, cmd, bytes, out, answer ? answer_bytes : sizeof(hdr), NULL) == 0,
	      "a request");
	memcpy(&hdr, out, sizeof(hdr));
	return (int)hdr.type;
}

int gpu3d_context(struct gpu3d *t, uint32_t ctx, uint32_t capset)
{
	struct virtio_gpu_ctx_create cmd = {
		.hdr = {.type = VIRTIO_GPU_CMD_CTX_CREATE, .ctx_id = ctx},
		.nlen = 4,
		.context_init = capset,
		.debug_name = "test",
	};
	int answer = gpu3d_request(t, &cmd, sizeof(cmd), NULL, 0);
	uint32_t saved = t->ctx;

	if (answer != VIRTIO_GPU_RESP_OK_NODATA)
		return answer;
	/* A sub-context of its own, as Mesa makes one. */
	check(t->stream.used == 0, "creating a context with a stream half written");
	t->ctx = ctx;
	virgl_create_sub_context(&t->stream, 1);
	virgl_set_sub_context(&t->stream, 1);
	check(gpu3d_submit(t) == VIRTIO_GPU_RESP_OK_NODATA, "creating a sub-context");
	t->ctx = saved;
	return answer;
}

int gpu3d_context_destroy(struct gpu3d *t, uint32_t ctx)
{
	struct virtio_gpu_ctx_destroy cmd = {.hdr = {.type = VIRTIO_GPU_CMD_CTX_DESTROY, .ctx_id = ctx}};

	return gpu3d_request(t, &cmd, sizeof(cmd), NULL, 0);
}

int gpu3d_resource(struct gpu3d *t, uint32_t id, const struct gpu_resource_shape *s)
{
	struct virtio_gpu_resource_create_3d cmd = {
		.hdr = header(t, VIRTIO_GPU_CMD_RESOURCE_CREATE_3D),
		.resource_id = id,
		.target = s->target,
		.format = s->format,
		.bind = s->bind,
		.width = s->width,
		.height = s->height,
		.depth = s->depth,
		.array_size = s->array_size,
		.last_level = s->last_level,
		.nr_samples = s->nr_samples,
		.flags = s->flags,
	};

	return gpu3d_request(t, &cmd, sizeof(cmd), NULL, 0);
}

/* New pages for @r, given back at the next boot. */
static void add_pages(struct gpu3d *t, struct gpu3d_resource *r, size_t bytes)
{
	r->bytes = bytes;
	r->gpa = fake_guest_alloc(t->guest, bytes, 4096);
	r->pages = fake_guest_ptr(t->guest, r->gpa, bytes);
	check(t->backing_count < GPU3D_BACKINGS, "that many backings");
	t->backings[t->backing_count].gpa = r->gpa;
	t->backings[t->backing_count++].bytes = bytes;
}

int gpu3d_attach_backing(struct gpu3d *t, struct gpu3d_resource *r, size_t bytes)
{
	struct {
		struct virtio_gpu_resource_attach_backing cmd;
		struct virtio_gpu_mem_entry entry;
	} request = {
		.cmd = {.hdr = header(t, VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING),
			.resource_id = r->id,
			.nr_entries = 1},
	};

	add_pages(t, r, bytes);
	request.entry.addr = r->gpa;
	request.entry.length = (uint32_t)bytes;
	return gpu3d_request(t, &request, sizeof(request), NULL, 0);
}

void gpu3d_name_object(struct gpu3d *t, uint32_t blob_id, const struct gpu_resource_shape *shape)
{
	const uint32_t words[1 + VIRGL_WORDS_PIPE_RESOURCE_CREATE] = {
		VIRGL_HEADER(VIRGL_CCMD_PIPE_RESOURCE_CREATE, 0, VIRGL_WORDS_PIPE_RESOURCE_CREATE),
		shape->target,
		shape->format,
		shape->bind,
		shape->width,
		shape->height,
		shape->depth,
		shape->array_size,
		shape->last_level,
		shape->nr_samples,
		shape->flags,
		blob_id,
	};

	check(t->stream.used + sizeof(words) / sizeof(words[0]) <= GPU3D_STREAM_WORDS, "room in the stream");
	memcpy(t->words + t->stream.used, words, sizeof(words));
	t->stream.used += sizeof(words) / sizeof(words[0]);
}

int gpu3d_object_blob(struct gpu3d *t, struct gpu3d_resource *r, uint32_t blob_id, uint32_t mem, uint32_t flags,
		      size_t shadow_bytes)
{
	struct {
		struct virtio_gpu_resource_create_blob cmd;
		struct virtio_gpu_mem_entry entry;
	} request = {
		.cmd = {.hdr = header(t, VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB),
			.resource_id = r->id,
			.blob_mem = mem,
			.blob_flags = flags,
			.nr_entries = shadow_bytes ? 1 : 0,
			.blob_id = blob_id,
			.size = (uint64_t)r->stride * r->height},
	};

	if (shadow_bytes) {
		add_pages(t, r, shadow_bytes);
		request.entry.addr = r->gpa;
		request.entry.length = (uint32_t)shadow_bytes;
	}
	return gpu3d_request(t, &request, shadow_bytes ? sizeof(request) : sizeof(request.cmd), NULL, 0);
}

int gpu3d_attach(struct gpu3d *t, uint32_t id)
{
	struct virtio_gpu_ctx_resource cmd = {.hdr = header(t, VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE), .resource_id = id};

	return gpu3d_request(t, &cmd, sizeof(cmd), NULL, 0);
}

int gpu3d_unref(struct gpu3d *t, uint32_t id)
{
	struct virtio_gpu_resource_unref cmd = {.hdr = header(t, VIRTIO_GPU_CMD_RESOURCE_UNREF), .resource_id = id};

	return gpu3d_request(t, &cmd, sizeof(cmd), NULL, 0);
}

struct gpu3d_resource gpu3d_texture(struct gpu3d *t, uint32_t id, uint32_t format, uint32_t bind, uint32_t width,
				    uint32_t height, uint32_t samples)
{
	struct gpu3d_resource r = {.id = id, .width = width, .height = height, .stride = width * 4};
	const struct gpu_resource_shape shape = {
		.target = PIPE_TEXTURE_2D,
		.format = format,
		.bind = bind,
		.width = width,
		.height = height,
		.depth = 1,
		.array_size = 1,
		.nr_samples = samples,
	};

	check(gpu3d_resource(t, id, &shape) == VIRTIO_GPU_RESP_OK_NODATA, "creating a texture");
	if (samples <= 1)
		check(gpu3d_attach_backing(t, &r, (size_t)r.stride * height) == VIRTIO_GPU_RESP_OK_NODATA,
		      "attaching backing");
	check(gpu3d_attach(t, id) == VIRTIO_GPU_RESP_OK_NODATA, "attaching to the context");
	return r;
}

struct gpu3d_resource gpu3d_buffer(struct gpu3d *t, uint32_t id, uint32_t bind, size_t bytes)
{
	struct gpu3d_resource r = {.id = id, .width = (uint32_t)bytes, .height = 1};
	const struct gpu_resource_shape shape = {
		.target = PIPE_BUFFER,
		.format = VIRGL_FORMAT_R8_UNORM,
		.bind = bind,
		.width = (uint32_t)bytes,
		.height = 1,
		.depth = 1,
		.array_size = 1,
	};

	check(gpu3d_resource(t, id, &shape) == VIRTIO_GPU_RESP_OK_NODATA, "creating a buffer");
	check(gpu3d_attach_backing(t, &r, bytes) == VIRTIO_GPU_RESP_OK_NODATA, "attaching backing");
	check(gpu3d_attach(t, id) == VIRTIO_GPU_RESP_OK_NODATA, "attaching to the context");
	return r;
}

static int transfer(struct gpu3d *t, uint32_t type, const struct gpu3d_resource *r)
{
	struct virtio_gpu_transfer_host_3d cmd = {
		.hdr = header(t, type),
		.box = {.w = r->width, .h = r->height, .d = 1},
		.resource_id = r->id,
		.stride = r->stride,
	};

	return gpu3d_request(t, &cmd, sizeof(cmd), NULL, 0);
}

int gpu3d_upload(struct gpu3d *t, const struct gpu3d_resource *r)
{
	return transfer(t, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, r);
}

int gpu3d_read_back(struct gpu3d *t, const struct gpu3d_resource *r)
{
	return transfer(t, VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, r);
}

struct fake_request *gpu3d_add_submission(struct gpu3d *t, uint64_t fence, int ring)
{
	static struct {
		struct virtio_gpu_cmd_submit cmd;
		uint32_t words[GPU3D_STREAM_WORDS];
	} request;
	size_t bytes = t->stream.used * 4;
	struct fake_request *r;

	check(!t->stream.failed, "encoding: the stream is too long");
	request.cmd =
		(struct virtio_gpu_cmd_submit){.hdr = header(t, VIRTIO_GPU_CMD_SUBMIT_3D), .size = (uint32_t)bytes};
	if (fence) {
		request.cmd.hdr.flags = VIRTIO_GPU_FLAG_FENCE;
		request.cmd.hdr.fence_id = fence;
		if (ring >= 0) {
			request.cmd.hdr.flags |= VIRTIO_GPU_FLAG_INFO_RING_IDX;
			request.cmd.hdr.ring_idx = (uint8_t)ring;
		}
	}
	memcpy(request.words, t->words, bytes);
	r = fake_guest_add(t->guest, CONTROL, &request, sizeof(request.cmd) + bytes,
			   sizeof(struct virtio_gpu_ctrl_hdr));
	check(r, "adding a request");
	virgl_encoder_init(&t->stream, t->words, GPU3D_STREAM_WORDS);
	return r;
}

struct fake_request *gpu3d_submit_async(struct gpu3d *t, uint64_t fence, int ring)
{
	struct fake_request *r = gpu3d_add_submission(t, fence, ring);

	fake_guest_kick(t->guest, CONTROL);
	return r;
}

static int wait_and_free(struct gpu3d *t, struct fake_request *r)
{
	struct virtio_gpu_ctrl_hdr hdr;

	check(fake_guest_wait(t->guest, r, 20000) == 0, "waiting for an answer");
	memcpy(&hdr, r->out, sizeof(hdr));
	fake_guest_free_request(t->guest, r);
	return (int)hdr.type;
}

int gpu3d_submit(struct gpu3d *t)
{
	return wait_and_free(t, gpu3d_submit_async(t, 0, -1));
}

void gpu3d_finish(struct gpu3d *t)
{
	check(wait_and_free(t, gpu3d_submit_async(t, ++t->last_fence, -1)) == VIRTIO_GPU_RESP_OK_NODATA, "finishing");
}

int gpu3d_set_scanout(struct gpu3d *t, uint32_t id, uint32_t width, uint32_t height)
{
	struct virtio_gpu_set_scanout cmd = {
		.hdr = header(t, VIRTIO_GPU_CMD_SET_SCANOUT),
		.r = {.width = width, .height = height},
		.resource_id = id,
	};

	return gpu3d_request(t, &cmd, sizeof(cmd), NULL, 0);
}

int gpu3d_set_scanout_blob(struct gpu3d *t, uint32_t id, uint32_t format, uint32_t width, uint32_t height)
{
	struct virtio_gpu_set_scanout_blob cmd = {
		.hdr = header(t, VIRTIO_GPU_CMD_SET_SCANOUT_BLOB),
		.r = {.width = width, .height = height},
		.resource_id = id,
		.width = width,
		.height = height,
		.format = format,
		.strides = {width * 4},
	};

	return gpu3d_request(t, &cmd, sizeof(cmd), NULL, 0);
}

int gpu3d_flush(struct gpu3d *t, uint32_t id, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
	struct virtio_gpu_resource_flush cmd = {
		.hdr = header(t, VIRTIO_GPU_CMD_RESOURCE_FLUSH),
		.r = {.x = x, .y = y, .width = width, .height = height},
		.resource_id = id,
	};

	return gpu3d_request(t, &cmd, sizeof(cmd), NULL, 0);
}

/* ---- drawing ---- */

void gpu3d_plain_state(struct gpu3d *t)
{
	virgl_create_blend(&t->stream, 1, &virgl_blend_opaque);
	virgl_bind_object(&t->stream, VIRGL_OBJECT_BLEND, 1);
	virgl_create_rasterizer(&t->stream, 2, &virgl_rasterizer_default);
	virgl_bind_object(&t->stream, VIRGL_OBJECT_RASTERIZER, 2);
	virgl_create_dsa(&t->stream, 3, &virgl_dsa_off);
	virgl_bind_object(&t->stream, VIRGL_OBJECT_DSA, 3);
}

void gpu3d_draw_to(struct gpu3d *t, uint32_t handle, const struct gpu3d_resource *r, uint32_t format)
{
	virgl_create_surface(&t->stream, handle, r->id, format, 0, 0, 0);
	virgl_set_framebuffer(&t->stream, &handle, 1, 0);
	virgl_set_viewport_whole(&t->stream, r->width, r->height, true);
}

void gpu3d_shaders(struct gpu3d *t, uint32_t vertex_handle, const char *vertex, uint32_t fragment_handle,
		   const char *fragment)
{
	virgl_create_shader(&t->stream, vertex_handle, PIPE_SHADER_VERTEX, vertex);
	virgl_bind_shader(&t->stream, PIPE_SHADER_VERTEX, vertex_handle);
	virgl_create_shader(&t->stream, fragment_handle, PIPE_SHADER_FRAGMENT, fragment);
	virgl_bind_shader(&t->stream, PIPE_SHADER_FRAGMENT, fragment_handle);
}

void gpu3d_vertices(struct gpu3d *t, uint32_t handle, const struct gpu3d_resource *r, unsigned elements)
{
	const struct virgl_vertex_buffer buffer = {.stride = 16 * elements, .resource = r->id};
	struct virgl_vertex_element list[VIRGL_MAX_VERTEX_ELEMENTS] = {{0}};

	check(elements <= VIRGL_MAX_VERTEX_ELEMENTS, "that many elements");
	for (unsigned i = 0; i < elements; i++)
		list[i] = (struct virgl_vertex_element){.offset = 16 * i, .format = VIRGL_FORMAT_R32G32B32A32_FLOAT};
	virgl_create_vertex_elements(&t->stream, handle, list, elements);
	virgl_bind_object(&t->stream, VIRGL_OBJECT_VERTEX_ELEMENTS, handle);
	virgl_set_vertex_buffers(&t->stream, &buffer, 1);
}

uint32_t gpu3d_bits(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}
