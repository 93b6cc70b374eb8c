// SPDX-License-Identifier: MIT
#include "tests/lib/fake_renderer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/display/display.h"
#include "host/display/format.h"
#include "protocol/virgl.h"
#include "protocol/virtio.h"
#include "protocol/virtio_gpu.h"

struct fake_renderer *fake_renderer_current;
void (*fake_renderer_during)(void *owner);

static struct fake_renderer *from_base(struct renderer *r)
{
	return (struct fake_renderer *)r;
}

static void require(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fake renderer: the device should have refused this: %s\n", what);
	abort();
}

static int outcome(struct fake_renderer *f)
{
	int err = f->fail_next;

	if (f->during)
		f->during(f->during_owner);
	f->fail_next = 0;
	return err;
}

static int create(const struct renderer_config *config, struct renderer **out, char *why, size_t why_size)
{
	struct fake_renderer *f = calloc(1, sizeof(*f));

	require(f != NULL, "no memory");
	f->base.ops = &fake_renderer_ops;
	f->config = *config;
	f->during = fake_renderer_during;
	f->buffer = memfd_create("picture", MFD_CLOEXEC);
	require(f->buffer >= 0, "no memfd");
	snprintf(why, why_size, "fake");
	fake_renderer_current = f;
	*out = &f->base;
	return 0;
}

static void destroy(struct renderer *r)
{
	struct fake_renderer *f = from_base(r);

	require(f->context_count == 0 && f->resource_count == 0, "destroyed before the guest's objects");
	if (fake_renderer_current == f)
		fake_renderer_current = NULL;
	close(f->buffer);
	free(f->commands);
	free(f);
}

static uint64_t features(struct renderer *r)
{
	(void)r;
	return VIRTIO_BIT(VIRTIO_GPU_F_VIRGL) | VIRTIO_BIT(VIRTIO_GPU_F_CONTEXT_INIT) |
	       VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_UUID) | VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_BLOB);
}

static int capset_info(struct renderer *r, uint32_t index, struct renderer_capset *out)
{
	struct fake_renderer *f = from_base(r);

	if (f->during)
		f->during(f->during_owner);
	if (index >= 2)
		return -ENOENT;
	*out = (struct renderer_capset){index + 1, index + 1, FAKE_CAPSET_BYTES + index * 4};
	return 0;
}

static int capset(struct renderer *r, uint32_t id, uint32_t version, void *buffer, size_t size)
{
	require(id == 1 || id == 2, "unknown capset");
	require(version <= id && size == FAKE_CAPSET_BYTES + (id - 1) * 4, "capset version or size");
	for (size_t i = 0; i < size; i++)
		((uint8_t *)buffer)[i] = (uint8_t)(i * 3 + id);
	return outcome(from_base(r));
}

static int resource_create(struct renderer *r, struct gpu_resource *res)
{
	struct fake_renderer *f = from_base(r);
	int err = outcome(f);

	if (err < 0)
		return err;
	require(res->kind != GPU_RESOURCE_BLOB || res->backing_bytes >= res->size_bytes, "blob without its pages");
	res->renderer = f;
	f->resource_count++;
	return 0;
}

static void resource_destroy(struct renderer *r, struct gpu_resource *res)
{
	struct fake_renderer *f = from_base(r);

	require(res->renderer == f, "resource destroyed twice");
	res->renderer = NULL;
	f->resource_count--;
}

static int object_take(struct renderer *r, uint32_t ctx_id, uint64_t blob_id, struct gpu_resource_shape *out)
{
	require(fake_renderer_context(from_base(r), ctx_id) != NULL, "an object of no context");
	if (blob_id >= FAKE_OBJECTS)
		return -ENOENT;
	*out = (struct gpu_resource_shape){.target = PIPE_TEXTURE_2D,
					   .format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
					   .width = 32,
					   .height = 16,
					   .depth = 1,
					   .array_size = 1};
	return 0;
}

static int backing_attach(struct renderer *r, struct gpu_resource *res)
{
	struct fake_renderer *f = from_base(r);
	int err = outcome(f);

	require(res->backing_count > 0 && res->kind != GPU_RESOURCE_BLOB, "empty backing");
	if (err == 0)
		f->backings++;
	return err;
}

static void backing_detach(struct renderer *r, struct gpu_resource *res)
{
	require(res->backing_count > 0, "detach without backing");
	if (res->kind != GPU_RESOURCE_BLOB)
		from_base(r)->backings--;
}

static int transfer(struct renderer *r, struct gpu_resource *res, const struct renderer_transfer *t, bool to_host)
{
	struct fake_renderer *f = from_base(r);

	require(res->backing_count > 0 && t->offset < res->backing_bytes, "transfer without backing");
	require(t->ctx_id == 0 || fake_renderer_context(f, t->ctx_id), "transfer in a context that doesn't exist");
	f->transfer = *t;
	f->to_host = to_host;
	f->transfers++;
	return outcome(f);
}

static int transfer_to_host(struct renderer *r, struct gpu_resource *res, const struct renderer_transfer *t)
{
	return transfer(r, res, t, true);
}

static int transfer_from_host(struct renderer *r, struct gpu_resource *res, const struct renderer_transfer *t)
{
	return transfer(r, res, t, false);
}

uint32_t fake_renderer_pixel(uint32_t resource_id, uint32_t x, uint32_t y)
{
	return 0x80000000u | resource_id << 16 | (y & 0xff) << 8 | (x & 0xff);
}

static int read_pixels(struct renderer *r, struct gpu_resource *res, const struct renderer_box *box, void *dst,
		       uint32_t dst_stride)
{
	int err = outcome(from_base(r));

	require(res->kind != GPU_RESOURCE_BLOB, "pixels of a guest blob");
	require(box->x + box->width <= res->shape.width && box->y + box->height <= res->shape.height, "pixels outside");
	if (err < 0)
		return err;
	for (uint32_t y = 0; y < box->height; y++) {
		for (uint32_t x = 0; x < box->width; x++) {
			uint32_t pixel = fake_renderer_pixel(res->id, box->x + x, box->y + y);

			memcpy((uint8_t *)dst + (size_t)y * dst_stride + x * 4, &pixel, 4);
		}
	}
	return 0;
}

static int export_picture(struct renderer *r, struct gpu_resource *res, struct display_buffer *out)
{
	if (res->id >= FAKE_NO_BUFFER)
		return -ENOTSUP;
	*out = (struct display_buffer){
		.id = res->id,
		.fd = from_base(r)->buffer,
		.width = res->shape.width,
		.height = res->shape.height,
		.stride_bytes = res->shape.width * 4,
		.fourcc = DISPLAY_ARGB8888,
	};
	return 0;
}

struct fake_context *fake_renderer_context(struct fake_renderer *f, uint32_t id)
{
	struct fake_context *c = f->contexts;

	while (c && c->id != id)
		c = c->next;
	return c;
}

static int context_create(struct renderer *r, uint32_t ctx_id, uint32_t capset_id, const char *name)
{
	struct fake_renderer *f = from_base(r);
	int err = outcome(f);
	struct fake_context *c;

	require(ctx_id != 0 && !fake_renderer_context(f, ctx_id), "context id taken or 0");
	require(strlen(name) < 64, "context name too long");
	require(capset_id <= 2, "context of an unknown capset");
	if (err < 0)
		return err;
	c = calloc(1, sizeof(*c));
	require(c != NULL, "no memory");
	c->id = ctx_id;
	c->capset_id = capset_id;
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->next = f->contexts;
	f->contexts = c;
	f->context_count++;
	return 0;
}

static void context_destroy(struct renderer *r, uint32_t ctx_id)
{
	struct fake_renderer *f = from_base(r);
	struct fake_context **link = &f->contexts, *c;

	while (*link && (*link)->id != ctx_id)
		link = &(*link)->next;
	c = *link;
	require(c != NULL, "no such context to destroy");
	*link = c->next;
	free(c);
	f->context_count--;
}

static int context_attach(struct renderer *r, uint32_t ctx_id, struct gpu_resource *res)
{
	struct fake_renderer *f = from_base(r);
	struct fake_context *c = fake_renderer_context(f, ctx_id);

	require(c && res->renderer, "attach to no context");
	c->attached = res->id;
	f->attaches++;
	return outcome(f);
}

static void context_detach(struct renderer *r, uint32_t ctx_id, struct gpu_resource *res)
{
	struct fake_renderer *f = from_base(r);

	require(fake_renderer_context(f, ctx_id) && res->renderer, "detach from no context");
	f->detaches++;
}

static int submit(struct renderer *r, uint32_t ctx_id, void *commands, size_t bytes)
{
	struct fake_renderer *f = from_base(r);

	require(fake_renderer_context(f, ctx_id) != NULL, "submit to no context");
	require(bytes > 0 && bytes % 4 == 0 && bytes <= f->config.limits->command_bytes, "odd command stream");
	if (fake_renderer_context(f, ctx_id)->lost)
		return -ENOTRECOVERABLE;
	free(f->commands);
	f->commands = malloc(bytes);
	require(f->commands != NULL, "no memory");
	memcpy(f->commands, commands, bytes);
	f->command_bytes = bytes;
	f->submit_ctx = ctx_id;
	f->submits++;
	return outcome(f);
}

static void context_lose(struct renderer *r, uint32_t ctx_id)
{
	struct fake_context *c = fake_renderer_context(from_base(r), ctx_id);

	require(c != NULL, "no context to lose");
	c->lost = true;
}

static int submit_without_draws(struct renderer *r, uint32_t ctx_id, void *commands, size_t bytes)
{
	from_base(r)->skips++;
	return submit(r, ctx_id, commands, bytes);
}

static int context_restore(struct renderer *r, uint32_t ctx_id)
{
	require(fake_renderer_context(from_base(r), ctx_id) != NULL, "no context to restore");
	from_base(r)->restores++;
	return 0;
}

static int create_fence(struct renderer *r, const struct renderer_timeline *timeline, uint64_t seq)
{
	struct fake_renderer *f = from_base(r);
	int err = outcome(f);

	require(seq > f->last_seq, "fence number that does not grow");
	f->last_seq = seq;
	require(timeline->has_ring ? fake_renderer_context(f, timeline->ctx_id) != NULL && timeline->ring_idx < 64 :
				     timeline->ctx_id == 0 && timeline->ring_idx == 0,
		"fence on no timeline");
	if (err < 0)
		return err;
	if (f->is_idle)
		return 1;
	require(f->fence_count < FAKE_FENCES, "more fences than a ring has requests");
	f->fences[f->fence_count++] = (struct fake_fence){*timeline, seq};
	return 0;
}

void fake_renderer_finish_one(struct fake_renderer *f, unsigned index)
{
	const struct fake_fence fence = f->fences[index];

	f->fence_count--;
	memmove(&f->fences[index], &f->fences[index + 1], (f->fence_count - index) * sizeof(fence));
	f->config.fence_done(f->config.owner, &fence.timeline, fence.seq);
}

void fake_renderer_finish(struct fake_renderer *f, unsigned count)
{
	while (count-- > 0 && f->fence_count > 0)
		fake_renderer_finish_one(f, 0);
}

/* The list of fences stays: a test reports them late, to see that nothing comes of it. */
static void reset(struct renderer *r)
{
	struct fake_renderer *f = from_base(r);

	require(f->context_count == 0 && f->resource_count == 0, "reset before the guest's objects are gone");
	f->resets++;
}

static void pause_all(struct renderer *r, bool paused)
{
	struct fake_renderer *f = from_base(r);

	if (f->paused == paused)
		abort();
	f->paused = paused;
}

const struct renderer_ops fake_renderer_ops = {
	.name = "fake",
	.create = create,
	.destroy = destroy,
	.features = features,
	.capset_info = capset_info,
	.capset = capset,
	.resource_create = resource_create,
	.resource_destroy = resource_destroy,
	.object_take = object_take,
	.backing_attach = backing_attach,
	.backing_detach = backing_detach,
	.transfer_to_host = transfer_to_host,
	.transfer_from_host = transfer_from_host,
	.read_pixels = read_pixels,
	.export_picture = export_picture,
	.context_create = context_create,
	.context_destroy = context_destroy,
	.context_attach = context_attach,
	.context_detach = context_detach,
	.submit = submit,
	.submit_without_draws = submit_without_draws,
	.context_lose = context_lose,
	.context_restore = context_restore,
	.create_fence = create_fence,
	.pause = pause_all,
	.reset = reset,
};

const struct renderer_ops *const fake_renderers[] = {&fake_renderer_ops, NULL};
