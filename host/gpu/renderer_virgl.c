// SPDX-License-Identifier: MIT
/*
 * The 3D renderer: virglrenderer (0.10 and later) on contexts of our own EGL display (egl.h). Its parts are virgl_*.c: they
 * check streams, execute them, keep fences, read frames, take over pictures of other devices, tell library versions apart.
 *
 * virgl_renderer_reset() is not used: it stops the library's fence thread for good. Contexts are destroyed one by one.
 *
 * Thread: the gpu loop, but for write_fence() and make_current(), which the library's fence thread calls too.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <virglrenderer.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/gpu/egl.h"
#include "host/gpu/virgl_device.h"
#include "host/gpu/virgl_library.h"
#include "host/gpu/virgl_objects.h"
#include "host/gpu/virgl_queries.h"
#include "host/gpu/virgl_stream.h"
#include "host/gpu/warm_up.h"
#include "protocol/virgl.h"
#include "protocol/virtio.h"
#include "protocol/virtio_gpu.h"

/* No guest is to wait for buffers that are mapped by a pointer of ours: the region takes descriptors. */
#define FLAGS (VIRGL_RENDERER_THREAD_SYNC | VIRGL_RENDERER_ASYNC_FENCE_CB | VIRGL_RENDERER_USE_EXTERNAL_BLOB)
/* A driver may ask the kernel each time. */
#define LOOK_FOR_RESET_NS 50000000ull

/*
 * OpenGL contexts besides the one that each context begins with: 2.5 MB each with llvmpipe, which no limit of bytes counts. A
 * guest's program has one for each of its own.
 */
#define MAX_SUB_CONTEXTS 512u
/* Of all objects, as virgl_objects.h counts them: half a million small ones. */
#define MAX_OBJECT_BYTES (512ull << 20)

struct context {
	uint32_t id;
	struct virgl_stream stream;
	struct virgl_queries queries;
	struct virgl_objects objects;
	bool lost; /* also when the library refused a submission half way: what it did of it is not known */
	struct context *next;
};

/* The library's state is global: one renderer a process. */
static struct virgl the_virgl;
static bool in_use;

/* ---- callbacks of the library ---- */

static virgl_renderer_gl_context create_gl_context(void *cookie, int scanout, struct virgl_renderer_gl_ctx_param *param)
{
	struct virgl *v = cookie;

	/* The version asked for is ignored: all contexts share objects, so all are of the one that EGL gave. */
	(void)scanout;
	(void)param;
	return gpu_egl_context_create(v->egl);
}

static void destroy_gl_context(void *cookie, virgl_renderer_gl_context context)
{
	struct virgl *v = cookie;

	gpu_egl_context_destroy(v->egl, context);
}

static int make_current(void *cookie, int scanout, virgl_renderer_gl_context context)
{
	struct virgl *v = cookie;

	(void)scanout;
	return gpu_egl_make_current(v->egl, context);
}

static void write_fence(void *cookie, uint32_t id)
{
	struct virgl *v = cookie;

	virgl_fences_retired(&v->fences, id);
}

static struct virgl_renderer_callbacks callbacks = {
	.version = 2,
	.write_fence = write_fence,
	.create_gl_context = create_gl_context,
	.destroy_gl_context = destroy_gl_context,
	.make_current = make_current,
};

/* ---- start and end ---- */

void virgl_enter(struct virgl *v)
{
	if (!v->entered)
		virgl_renderer_force_ctx_0();
	v->entered = true;
}

static void enter(void *owner)
{
	virgl_enter(owner);
}

/*
 * A reset of the GPU, after it hung, takes all contexts with it, and what is drawn from then on is lost without a word. With
 * a journal this process ends, for another one to make all of it again; without, each context says that it is lost.
 */
bool virgl_look_for_reset(struct virgl *v)
{
	const uint64_t now = loop_now_ns();

	if (v->was_reset || now - v->looked_ns < LOOK_FOR_RESET_NS)
		return v->was_reset;
	v->looked_ns = now;
	v->was_reset = gpu_egl_was_reset(v->egl);
	if (!v->was_reset)
		return false;
	log_line(LOG_TOPIC_GPU, LOG_ERROR, "renderer: the GPU was reset (the kernel's log may say why); %s",
		 v->config.journal ? "this process ends, and another one goes on"
				   : "all contexts are lost, and 3D ends until the machine starts anew");
	if (v->config.journal)
		_exit(EXIT_FAILURE);
	return true;
}

static void context_destroy(struct renderer *r, uint32_t ctx_id)
{
	struct virgl *v = virgl_from(r);
	struct context **link = &v->contexts;
	struct context *c;

	while (*link && (*link)->id != ctx_id)
		link = &(*link)->next;
	c = *link;
	if (!c)
		return;
	*link = c->next;
	virgl_enter(v);
	virgl_renderer_context_destroy(ctx_id);
	virgl_fences_context_gone(&v->fences);
	virgl_queries_finish(&c->queries);
	v->sub_contexts -= c->stream.count;
	v->object_bytes -= c->objects.bytes;
	virgl_objects_finish(&c->objects);
	free(c);
}

static void destroy_contexts(struct virgl *v)
{
	while (v->contexts)
		context_destroy(&v->base, v->contexts->id);
}

static void destroy(struct renderer *r)
{
	struct virgl *v = virgl_from(r);
	bool drained = true;

	if (v->started) {
		virgl_enter(v);
		destroy_contexts(v);
		/* The fence thread must not be left waiting for a poll, or the library would wait for it for ever. */
		drained = virgl_fences_drain(&v->fences);
	}
	virgl_fences_stop(&v->fences);
	if (!drained) {
		log_line(LOG_TOPIC_GPU, LOG_ERROR,
			 "renderer: the GPU does not finish its work; virglrenderer stays as it is until this process "
			 "ends");
		return;
	}
	if (v->started)
		virgl_renderer_cleanup(v);
	virgl_fences_finish(&v->fences);
	virgl_pixels_finish(&v->pixels);
	virgl_state_destroy(v->state);
	gpu_egl_destroy(v->egl);
	*v = (struct virgl){0};
	in_use = false;
}

/*
 * A driver that draws by the CPU takes tens of megabytes of heap for a frame and frees them again: by default the C
 * library gives them back to the kernel each time, and with llvmpipe the page faults were a quarter of a frame.
 */
static void keep_heap(void)
{
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

/* virgl_renderer_init() and what needs it. @why as in renderer_ops.create. */
static int start_library(struct virgl *v, const char *egl_why, char *why, size_t why_size)
{
	int err = virgl_fences_init(&v->fences, &v->config, v->software, enter, v);

	if (err < 0) {
		snprintf(why, why_size, "virgl: no eventfd: %s", strerror(-err));
		return err;
	}
	virgl_library_quiet(true);
	err = virgl_renderer_init(v, FLAGS, &callbacks);
	virgl_library_quiet(false);
	if (err) {
		snprintf(why, why_size, "virgl: virglrenderer %s refuses this OpenGL (error %d): %s",
			 virgl_library_version(), err, egl_why);
		return -EIO;
	}
	v->started = true;
	err = virgl_pixels_init(&v->pixels, v->egl);
	if (err < 0) {
		snprintf(why, why_size, "virgl: EGL lost its context: %s", egl_why);
		return err;
	}
	err = virgl_fences_start(&v->fences);
	if (err < 0) {
		snprintf(why, why_size, "virgl: can't watch the renderer's descriptors: %s", strerror(-err));
		return err;
	}
	if (v->config.journal)
		err = virgl_state_create(v->config.journal, v->config.content, &v->state);
	if (err < 0)
		snprintf(why, why_size, "virgl: out of memory");
	return err;
}

static int create(const struct renderer_config *config, struct renderer **out, char *why, size_t why_size)
{
	struct virgl *v = &the_virgl;
	char egl_why[200], wrong[200];
	int err;

	if (in_use) {
		snprintf(why, why_size,
			 "virgl: this process has a 3D device already, and virglrenderer serves one a process");
		return -EBUSY;
	}
	*v = (struct virgl){.base.ops = &renderer_virgl_ops, .config = *config};
	err = gpu_egl_create(config->render_node, &v->egl, egl_why, sizeof(egl_why));
	if (err < 0) {
		snprintf(why, why_size, "virgl: %s", egl_why);
		return err;
	}
	in_use = true;
	v->software = gpu_egl_info(v->egl)->software;
	if (v->software)
		keep_heap();
	err = gpu_warm_up(v->egl, wrong, sizeof(wrong));
	if (err < 0)
		snprintf(why, why_size, "virgl: the GL driver does not work: %s", wrong);
	else
		err = start_library(v, egl_why, why, why_size);
	if (err < 0) {
		destroy(&v->base);
		return err;
	}
	snprintf(why, why_size, "virgl (virglrenderer %s) on %s", virgl_library_version(), egl_why);
	*out = &v->base;
	return 0;
}

static void reset(struct renderer *r)
{
	struct virgl *v = virgl_from(r);

	virgl_enter(v);
	destroy_contexts(v);
	virgl_fences_forget(&v->fences);
}

static void pause_all(struct renderer *r, bool paused)
{
	virgl_fences_pause(&virgl_from(r)->fences, paused);
}

static int create_fence(struct renderer *r, const struct renderer_timeline *timeline, uint64_t seq)
{
	struct virgl *v = virgl_from(r);

	virgl_enter(v);
	return virgl_fences_add(&v->fences, timeline, seq, v->has_read);
}

/* ---- capabilities ---- */

static uint64_t features(struct renderer *r)
{
	(void)r;
	return VIRTIO_BIT(VIRTIO_GPU_F_VIRGL) | VIRTIO_BIT(VIRTIO_GPU_F_CONTEXT_INIT) |
	       VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_UUID) | VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_BLOB);
}

/* Of the host's Vulkan (Venus) and DRM drivers there is nothing here: virglrenderer is started without them. */
static const uint32_t capset_ids[] = {VIRTIO_GPU_CAPSET_VIRGL, VIRTIO_GPU_CAPSET_VIRGL2};

static int capset_info(struct renderer *r, uint32_t index, struct renderer_capset *out)
{
	(void)r;
	if (index >= sizeof(capset_ids) / sizeof(capset_ids[0]))
		return -ENOENT;
	out->id = capset_ids[index];
	virgl_renderer_get_cap_set(out->id, &out->max_version, &out->max_size);
	return out->max_size ? 0 : -ENOENT;
}

static int capset(struct renderer *r, uint32_t id, uint32_t version, void *buffer, size_t size)
{
	struct virgl *v = virgl_from(r);
	struct renderer_capset info;

	for (uint32_t i = 0; capset_info(r, i, &info) == 0; i++) {
		if (info.id != id)
			continue;
		if (version > info.max_version || size < info.max_size)
			return -EINVAL;
		virgl_enter(v);
		virgl_library_quiet(true);
		virgl_renderer_fill_caps(id, version, buffer);
		virgl_library_quiet(false);
		return 0;
	}
	return -EINVAL;
}

/* ---- contexts ---- */

static struct context *find_context(struct virgl *v, uint32_t id)
{
	struct context *c = v->contexts;

	while (c && c->id != id)
		c = c->next;
	return c;
}

static int context_create(struct renderer *r, uint32_t ctx_id, uint32_t capset_id, const char *name)
{
	struct virgl *v = virgl_from(r);
	struct context *c;
	int err;

	if (capset_id == 0)
		capset_id = VIRTIO_GPU_CAPSET_VIRGL2;
	if (capset_id != VIRTIO_GPU_CAPSET_VIRGL && capset_id != VIRTIO_GPU_CAPSET_VIRGL2)
		return -EINVAL;
	if (find_context(v, ctx_id))
		return -EEXIST;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	virgl_enter(v);
	err = virgl_library_error(
		virgl_renderer_context_create_with_flags(ctx_id, capset_id, (uint32_t)strlen(name), name));
	if (err < 0) {
		free(c);
		return err;
	}
	c->id = ctx_id;
	c->next = v->contexts;
	v->contexts = c;
	return 0;
}

static int context_attach(struct renderer *r, uint32_t ctx_id, struct gpu_resource *res)
{
	virgl_enter(virgl_from(r));
	virgl_renderer_ctx_attach_resource((int)ctx_id, (int)res->id);
	return 0;
}

static void context_detach(struct renderer *r, uint32_t ctx_id, struct gpu_resource *res)
{
	virgl_enter(virgl_from(r));
	virgl_renderer_ctx_detach_resource((int)ctx_id, (int)res->id);
}

/* ---- commands ---- */

static int follow_objects(struct virgl *v, struct context *c, struct virgl_stream before, const uint32_t *words,
			  size_t count)
{
	int err;

	v->object_bytes -= c->objects.bytes;
	err = virgl_objects_follow(&c->objects, &before, words, count);
	v->object_bytes += c->objects.bytes;
	c->lost |= err < 0;
	return err;
}

/* @before: what @c's stream was; on failure @c's is that, or @c is lost. */
static int check(struct virgl *v, struct context *c, const uint32_t *words, size_t count, struct virgl_stream *before)
{
	unsigned sub_contexts;
	int err;

	*before = c->stream;
	err = virgl_stream_check(&c->stream, words, count);
	if (err < 0)
		return err;
	sub_contexts = v->sub_contexts - before->count + c->stream.count;
	if ((c->stream.count > before->count && sub_contexts > MAX_SUB_CONTEXTS) ||
	    (c->stream.handles && v->object_bytes + virgl_objects_wanted(words, count) > MAX_OBJECT_BYTES)) {
		c->stream = *before;
		return -ENOMEM;
	}
	v->sub_contexts = sub_contexts;
	return c->stream.handles ? follow_objects(v, c, *before, words, count) : 0;
}

static int execute(struct virgl *v, struct context *c, void *commands, size_t bytes, struct virgl_stream *before)
{
	int err;

	/* The library would draw nothing any more, and @stream may say what never happened. */
	if (c->lost || v->was_reset)
		return -ENOTRECOVERABLE;
	err = check(v, c, commands, bytes / 4, before);
	if (err < 0)
		return err;
	virgl_enter(v);
	v->base.object_uploads += virgl_shares_take_over_all(v->shares);
	err = virgl_submit(&c->stream, c->id, commands, bytes / 4, v->software ? &v->flushes : NULL);
	if (virgl_look_for_reset(v))
		err = -ENOTRECOVERABLE;
	c->lost = err < 0;
	v->has_read = c->stream.reads;
	return err;
}

static int submit(struct renderer *r, uint32_t ctx_id, void *commands, size_t bytes)
{
	struct virgl *v = virgl_from(r);
	struct context *c = find_context(v, ctx_id);
	struct virgl_stream before;
	int err;

	if (!c)
		return -ENOENT;
	err = execute(v, c, commands, bytes, &before);
	virgl_queries_follow(&c->queries, &v->config, ctx_id, &c->stream, err, commands, bytes / 4);
	if (err == 0 && v->state)
		virgl_state_record(v->state, ctx_id, &before, commands, bytes / 4);
	return err;
}

static int submit_without_draws(struct renderer *r, uint32_t ctx_id, void *commands, size_t bytes)
{
	const size_t left = 4 * virgl_state_without_draws(commands, bytes / 4);

	return left ? submit(r, ctx_id, commands, left) : 0;
}

static int object_take(struct renderer *r, uint32_t ctx_id, uint64_t blob_id, struct gpu_resource_shape *out)
{
	struct virgl *v = virgl_from(r);
	struct context *c = find_context(v, ctx_id);
	int err = c && !c->lost ? virgl_stream_take(&c->stream, blob_id, out) : -ENOENT;

	if (err == 0 && v->state)
		virgl_state_taken(v->state, ctx_id, (uint32_t)blob_id);
	return err;
}

static void context_lose(struct renderer *r, uint32_t ctx_id)
{
	struct virgl *v = virgl_from(r);
	struct context *c = find_context(v, ctx_id);

	if (c) {
		virgl_queries_lose(&c->queries, &v->config, ctx_id);
		c->lost = true;
	}
}

static int context_restore(struct renderer *r, uint32_t ctx_id)
{
	struct virgl *v = virgl_from(r);
	struct context *c = find_context(v, ctx_id);
	struct virgl_stream before;
	uint32_t *words = NULL;
	size_t count;
	int err;

	if (!c || !v->state)
		return -ENOENT;
	virgl_queries_restore(&c->queries, &v->config, ctx_id);
	err = virgl_state_build(v->config.journal, ctx_id, &words, &count);
	for (size_t at = 0, piece; err == 0 && at < count; at += piece) {
		piece = virgl_stream_piece(words + at, count - at, VIRGL_PIECE_WORDS);
		err = execute(v, c, words + at, piece * sizeof(*words), &before);
		v->config.progress(v->config.owner);
	}
	free(words);
	return err;
}

const struct renderer_ops renderer_virgl_ops = {
	.name = "virgl",
	.create = create,
	.destroy = destroy,
	.features = features,
	.capset_info = capset_info,
	.capset = capset,
	.resource_create = virgl_resource_create,
	.resource_destroy = virgl_resource_destroy,
	.object_take = object_take,
	.resource_share = virgl_resource_share,
	.resource_unshare = virgl_resource_unshare,
	.backing_attach = virgl_backing_attach,
	.backing_detach = virgl_backing_detach,
	.transfer_to_host = virgl_transfer_to_host,
	.transfer_from_host = virgl_transfer_from_host,
	.read_pixels = virgl_read_pixels,
	.export_picture = virgl_export_picture,
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
