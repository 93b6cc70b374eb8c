// SPDX-License-Identifier: MIT
/*
 * The 3D renderer: virglrenderer (0.10 and later) on contexts of our own EGL display (egl.h).
 *
 * Fences. virglrenderer retires fences in the order in which they were made, whatever context they belong to, from
 * a thread of its own that waits for the GPU. So one queue here holds what gpu.c waits for, on whichever timeline,
 * and a fence is a 32-bit number of that queue. The library's per-context fences are not used: it has ring 0 only,
 * and destroying a context while its fence is being retired lets the thread use freed memory (0.10.4).
 *
 * virgl_renderer_reset() is not used either: it stops the fence thread for good. Contexts are destroyed one by one.
 *
 * Thread: the gpu loop, but for write_fence(), make_current() and log callbacks, which the fence thread may call.
 */
#include "host/gpu/renderer.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <epoxy/gl.h>
#include <virglrenderer.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/gpu/egl.h"
#include "host/gpu/format.h"
#include "host/gpu/virgl_library.h"
#include "protocol/virgl.h"
#include "protocol/virtio.h"
#include "protocol/virtio_gpu.h"

/* Sub-contexts are GL contexts of the host; a guest program has one for each of its own. */
#define SUB_CONTEXTS_MAX 64u
/* How long destroy waits for the GPU before it gives up and leaks the library. */
#define DRAIN_NS 5000000000ull
/* Polling where the library has no fence thread. */
#define POLL_NS 1000000ull

struct fence {
	uint32_t id; /* the library's */
	struct renderer_timeline timeline;
	uint64_t seq;
};

struct context {
	uint32_t id;
	unsigned sub_count;
	uint32_t subs[SUB_CONTEXTS_MAX];
	struct context *next;
};

/* What resource->renderer points to. */
struct resource {
	bool described; /* texture and flip are known */
	bool flip;      /* row 0 of the picture is the texture's last */
	bool opaque;    /* alpha means nothing */
	GLuint texture; /* 0: can't be read as a picture */
};

struct virgl {
	struct renderer base;
	struct renderer_config config;
	struct gpu_egl *egl;
	bool started; /* virgl_renderer_init() was successful */
	bool entered; /* the library's context is current on the loop's thread */
	struct context *contexts;
	GLuint framebuffer; /* in our own context */
	bool reads_bgra;

	/* Fences that gpu.c waits for, oldest at head; a ring of @capacity, a power of 2. */
	struct fence *fences;
	uint32_t capacity, head, tail;
	uint32_t last_id;
	atomic_uint retired; /* the newest id that the library reported */
	atomic_bool woken;   /* wake was written and not read yet */
	struct loop_fd wake; /* an eventfd: unlike a posted task it can be taken back */
	struct loop_fd poll; /* the library wants virgl_renderer_poll() */
	struct loop_timer timer; /* instead, where it has no such descriptor */
	bool has_wake_fd, has_poll_fd;
};

/* The library's state is global: one renderer a process. */
static struct virgl the_virgl;
static bool in_use;

static struct virgl *virgl_from(struct renderer *r)
{
	return (struct virgl *)r;
}

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

/* On the fence thread: note the number, and have the loop look. */
static void write_fence(void *cookie, uint32_t id)
{
	struct virgl *v = cookie;

	/* Release: what the GPU finished before happens before the guest hears of it. */
	atomic_store_explicit(&v->retired, id, memory_order_release);
	if (!atomic_exchange(&v->woken, true))
		eventfd_write(v->wake.fd, 1);
}

static struct virgl_renderer_callbacks callbacks = {
	.version = 2,
	.write_fence = write_fence,
	.create_gl_context = create_gl_context,
	.destroy_gl_context = destroy_gl_context,
	.make_current = make_current,
};

/* ---- fences ---- */

static bool is_at_or_before(uint32_t id, uint32_t other)
{
	return (int32_t)(other - id) >= 0;
}

static void fences_retired(struct loop_fd *w, uint32_t events)
{
	struct virgl *v = w->owner;
	eventfd_t count;
	uint32_t retired;

	(void)events;
	eventfd_read(w->fd, &count);
	/* Cleared first: a fence that retires from here on wakes again. */
	atomic_store(&v->woken, false);
	retired = atomic_load_explicit(&v->retired, memory_order_acquire);
	while (v->head != v->tail) {
		const struct fence f = v->fences[v->head & (v->capacity - 1)];

		if (!is_at_or_before(f.id, retired))
			break;
		v->head++;
		v->config.fence_done(v->config.owner, &f.timeline, f.seq);
	}
}

static int fences_make_room(struct virgl *v)
{
	uint32_t count = v->tail - v->head;
	uint32_t capacity = v->capacity ? v->capacity * 2 : 64;
	struct fence *grown;

	if (count < v->capacity)
		return 0;
	grown = calloc(capacity, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		grown[i] = v->fences[(v->head + i) & (v->capacity - 1)];
	free(v->fences);
	v->fences = grown;
	v->capacity = capacity;
	v->head = 0;
	v->tail = count;
	return 0;
}

static void enter(struct virgl *v)
{
	if (!v->entered)
		virgl_renderer_force_ctx_0();
	v->entered = true;
}

static void poll_later(struct virgl *v)
{
	if (!v->has_poll_fd && v->head != v->tail)
		loop_arm_timer(v->config.loop, &v->timer, loop_now_ns() + POLL_NS);
}

static void poll_ready(struct loop_fd *f, uint32_t events)
{
	struct virgl *v = f->owner;

	(void)events;
	enter(v);
	/* Checks queries for the fence thread, which waits meanwhile; or retires fences where it doesn't itself. */
	virgl_renderer_poll();
}

static void poll_expired(struct loop_timer *t)
{
	struct virgl *v = t->owner;

	enter(v);
	virgl_renderer_poll();
	poll_later(v);
}

static int create_fence(struct renderer *r, const struct renderer_timeline *timeline, uint64_t seq)
{
	struct virgl *v = virgl_from(r);
	int err = fences_make_room(v);

	if (err < 0)
		return err;
	enter(v);
	err = virgl_library_error(virgl_renderer_create_fence((int)(v->last_id + 1), 0));
	if (err < 0)
		return err;
	v->last_id++;
	v->fences[v->tail++ & (v->capacity - 1)] = (struct fence){.id = v->last_id, .timeline = *timeline, .seq = seq};
	poll_later(v);
	return 0;
}

/*
 * Make sure that a fence behind all others will retire: the library forgets the one being waited for when a context
 * is destroyed (without ASYNC_FENCE_CB, 0.10.4), and a fence retires all before it.
 */
static void push_fences(struct virgl *v)
{
	if (v->head == v->tail)
		return;
	if (virgl_renderer_create_fence((int)(v->last_id + 1), 0) == 0)
		v->last_id++;
}

/* Everything that the library still waits for: retired, or DRAIN_NS passed. */
static bool drain(struct virgl *v)
{
	uint64_t until = loop_now_ns() + DRAIN_NS;
	const struct timespec pause = {.tv_nsec = 200000};

	while (atomic_load(&v->retired) != v->last_id) {
		if (loop_now_ns() > until)
			return false;
		virgl_renderer_poll();
		nanosleep(&pause, NULL);
	}
	return true;
}

/* ---- start and end ---- */

static void destroy_contexts(struct virgl *v)
{
	while (v->contexts) {
		struct context *c = v->contexts;

		v->contexts = c->next;
		virgl_renderer_context_destroy(c->id);
		free(c);
	}
}

static int add_fds(struct virgl *v)
{
	int err = loop_add_fd(v->config.loop, &v->wake, EPOLLIN);

	if (err < 0)
		return err;
	v->has_wake_fd = true;
	v->poll.fd = virgl_renderer_get_poll_fd();
	if (v->poll.fd < 0)
		return 0;
	err = loop_add_fd(v->config.loop, &v->poll, EPOLLIN);
	v->has_poll_fd = err == 0;
	return err;
}

static void remove_fds(struct virgl *v)
{
	if (v->has_wake_fd)
		loop_remove_fd(v->config.loop, &v->wake);
	if (v->has_poll_fd)
		loop_remove_fd(v->config.loop, &v->poll);
	v->has_wake_fd = v->has_poll_fd = false;
}

static void destroy(struct renderer *r)
{
	struct virgl *v = virgl_from(r);

	loop_cancel_timer(v->config.loop, &v->timer);
	if (v->started) {
		enter(v);
		destroy_contexts(v);
		/* The fence thread must not be left waiting for a poll, or the library would wait for it for ever. */
		if (!drain(v)) {
			log_line(LOG_TOPIC_GPU, LOG_ERROR,
				 "renderer: the GPU does not finish its work; the renderer stays loaded until this process ends");
			remove_fds(v);
			return;
		}
		remove_fds(v);
		virgl_renderer_cleanup(v);
	}
	if (v->wake.fd >= 0)
		close(v->wake.fd);
	if (v->framebuffer && gpu_egl_make_current(v->egl, gpu_egl_own_context(v->egl)) == 0)
		glDeleteFramebuffers(1, &v->framebuffer);
	gpu_egl_destroy(v->egl);
	free(v->fences);
	v->fences = NULL;
	v->capacity = v->head = v->tail = 0;
	v->egl = NULL;
	v->started = false;
	in_use = false;
}

/* Where pixels are read, in our own context so that no guest's state is touched. */
static int create_framebuffer(struct virgl *v)
{
	if (gpu_egl_make_current(v->egl, gpu_egl_own_context(v->egl)) < 0)
		return -EIO;
	glGenFramebuffers(1, &v->framebuffer);
	glBindFramebuffer(GL_READ_FRAMEBUFFER, v->framebuffer);
	v->reads_bgra = !gpu_egl_info(v->egl)->gles || epoxy_has_gl_extension("GL_EXT_read_format_bgra");
	return gpu_egl_make_current(v->egl, NULL);
}

static int create(const struct renderer_config *config, struct renderer **out, char *why, size_t why_size)
{
	struct virgl *v = &the_virgl;
	char egl_why[200];
	int err;

	if (in_use) {
		snprintf(why, why_size, "virgl: this process has a 3D device already, and virglrenderer serves one a process");
		return -EBUSY;
	}
	v->base.ops = &renderer_virgl_ops;
	v->config = *config;
	v->contexts = NULL;
	v->entered = v->started = v->has_wake_fd = v->has_poll_fd = false;
	v->framebuffer = 0;
	atomic_store(&v->woken, false);
	v->wake = (struct loop_fd){.fd = -1, .ready = fences_retired, .owner = v};
	v->poll = (struct loop_fd){.fd = -1, .ready = poll_ready, .owner = v};
	v->timer = (struct loop_timer){.expired = poll_expired, .owner = v};
	err = gpu_egl_create(config->render_node, &v->egl, egl_why, sizeof(egl_why));
	if (err < 0) {
		snprintf(why, why_size, "virgl: %s", egl_why);
		return err;
	}
	in_use = true;
	v->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->wake.fd < 0) {
		err = -errno;
		snprintf(why, why_size, "virgl: no eventfd: %s", strerror(errno));
		goto fail;
	}
	virgl_library_quiet(true);
	err = virgl_renderer_init(v, VIRGL_RENDERER_THREAD_SYNC | VIRGL_RENDERER_ASYNC_FENCE_CB, &callbacks);
	virgl_library_quiet(false);
	if (err) {
		snprintf(why, why_size, "virgl: virglrenderer %s refuses this OpenGL (error %d): %s", virgl_library_version(),
			 err, egl_why);
		err = -EIO;
		goto fail;
	}
	v->started = true;
	err = create_framebuffer(v);
	if (err < 0) {
		snprintf(why, why_size, "virgl: EGL lost its context: %s", egl_why);
		goto fail;
	}
	err = add_fds(v);
	if (err < 0) {
		snprintf(why, why_size, "virgl: can't watch the renderer's descriptors: %s", strerror(-err));
		goto fail;
	}
	snprintf(why, why_size, "virgl (virglrenderer %s) on %s", virgl_library_version(), egl_why);
	*out = &v->base;
	return 0;
fail:
	destroy(&v->base);
	return err;
}

static void reset(struct renderer *r)
{
	struct virgl *v = virgl_from(r);

	enter(v);
	destroy_contexts(v);
	/* Ids go on counting up, so a fence of before that retires now completes nothing. */
	v->head = v->tail;
	loop_cancel_timer(v->config.loop, &v->timer);
}

/* ---- capabilities ---- */

static uint64_t features(struct renderer *r)
{
	(void)r;
	return VIRTIO_BIT(VIRTIO_GPU_F_VIRGL) | VIRTIO_BIT(VIRTIO_GPU_F_CONTEXT_INIT) |
	       VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_UUID) | VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_BLOB);
}

/* Venus and DRM need a host-visible region and a render server; they come with those. */
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
		enter(v);
		virgl_renderer_fill_caps(id, version, buffer);
		return 0;
	}
	return -EINVAL;
}

/* ---- resources ---- */

static int create_blob(struct gpu_resource *res)
{
	const struct virgl_renderer_resource_create_blob_args args = {
		.res_handle = res->id,
		.blob_mem = VIRGL_RENDERER_BLOB_MEM_GUEST,
		.size = res->size_bytes,
		.iovecs = res->backing,
		.num_iovs = res->backing_count,
	};

	/* Blobs in host memory come with a host-visible region. */
	if (res->blob_mem != VIRTIO_GPU_BLOB_MEM_GUEST)
		return -EINVAL;
	return virgl_library_error(virgl_renderer_resource_create_blob(&args));
}

static int resource_create(struct renderer *r, struct gpu_resource *res)
{
	struct virgl *v = virgl_from(r);
	const struct gpu_resource_shape *s = &res->shape;
	struct virgl_renderer_resource_create_args args = {
		.handle = res->id,
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
	const struct gpu_format *format = gpu_format_find(s->format);
	struct resource *own = calloc(1, sizeof(*own));
	int err;

	if (!own)
		return -ENOMEM;
	enter(v);
	switch (res->kind) {
	case GPU_RESOURCE_BLOB:
		own->described = true; /* as nothing that could be read */
		err = create_blob(res);
		break;
	case GPU_RESOURCE_2D:
		args.target = PIPE_TEXTURE_2D;
		args.bind = VIRGL_BIND_RENDER_TARGET | VIRGL_BIND_SAMPLER_VIEW | VIRGL_BIND_SCANOUT;
		args.depth = args.array_size = 1;
		args.last_level = args.nr_samples = args.flags = 0;
		err = virgl_library_error(virgl_renderer_resource_create(&args, NULL, 0));
		break;
	case GPU_RESOURCE_3D:
	default:
		err = virgl_library_error(virgl_renderer_resource_create(&args, NULL, 0));
		break;
	}
	if (err < 0) {
		free(own);
		return err;
	}
	own->opaque = format && !format->has_alpha;
	res->renderer = own;
	return 0;
}

static void resource_destroy(struct renderer *r, struct gpu_resource *res)
{
	if (!res->renderer)
		return;
	enter(virgl_from(r));
	virgl_renderer_resource_unref(res->id);
	free(res->renderer);
	res->renderer = NULL;
}

/* The library keeps the array; the resource keeps it until backing_detach(). */
static int backing_attach(struct renderer *r, struct gpu_resource *res)
{
	enter(virgl_from(r));
	return virgl_library_error(virgl_renderer_resource_attach_iov((int)res->id, res->backing, (int)res->backing_count));
}

static void backing_detach(struct renderer *r, struct gpu_resource *res)
{
	enter(virgl_from(r));
	virgl_renderer_resource_detach_iov((int)res->id, NULL, NULL);
}

static struct virgl_box box_of(const struct renderer_box *b)
{
	return (struct virgl_box){.x = b->x, .y = b->y, .z = b->z, .w = b->width, .h = b->height, .d = b->depth};
}

static int transfer_to_host(struct renderer *r, struct gpu_resource *res, const struct renderer_transfer *t)
{
	struct virgl_box box = box_of(&t->box);

	/* The library asserts that there is a backing. */
	if (!res->backing)
		return -EINVAL;
	enter(virgl_from(r));
	return virgl_library_error(virgl_renderer_transfer_write_iov(res->id, t->ctx_id, (int)t->level, t->stride,
								     t->layer_stride, &box, t->offset, NULL, 0));
}

static int transfer_from_host(struct renderer *r, struct gpu_resource *res, const struct renderer_transfer *t)
{
	struct virgl_box box = box_of(&t->box);

	if (!res->backing)
		return -EINVAL;
	enter(virgl_from(r));
	return virgl_library_error(virgl_renderer_transfer_read_iov(res->id, t->ctx_id, t->level, t->stride, t->layer_stride,
								    &box, t->offset, NULL, 0));
}

/* ---- pixels ---- */

/* Ask once which texture a resource is. The library asserts what is checked here. */
static void describe(struct resource *own, const struct gpu_resource *res)
{
	union virgl_library_resource_info info;

	own->described = true;
	if (res->kind == GPU_RESOURCE_BLOB || res->shape.nr_samples > 1 ||
	    (res->kind == GPU_RESOURCE_3D && res->shape.target != PIPE_TEXTURE_2D))
		return;
	if (res->shape.format >= VIRGL_FORMAT_Z16_UNORM && res->shape.format <= VIRGL_FORMAT_S8_UINT)
		return;
	/* Binds the texture in the current context; in the library's own that harms no guest. */
	virgl_renderer_force_ctx_0();
	if (virgl_library_error(virgl_renderer_resource_get_info((int)res->id, &info.info)) < 0)
		return;
	own->texture = info.info.tex_id;
	own->flip = info.info.flags & VIRGL_RESOURCE_Y_0_TOP;
}

/* From what OpenGL ES can read to the order of the frame. */
static void swap_red_blue(uint32_t *row, uint32_t width)
{
	for (uint32_t x = 0; x < width; x++)
		row[x] = (row[x] & 0xff00ff00u) | (row[x] & 0xffu) << 16 | (row[x] >> 16 & 0xffu);
}

static void finish_rows(const struct virgl *v, const struct resource *own, uint8_t *rows, uint32_t stride, uint32_t width,
			uint32_t height)
{
	for (uint32_t y = 0; y < height; y++) {
		uint32_t *row = (uint32_t *)(void *)(rows + (size_t)y * stride);

		if (!v->reads_bgra)
			swap_red_blue(row, width);
		for (uint32_t x = 0; own->opaque && x < width; x++)
			row[x] |= 0xff000000u;
	}
	for (uint32_t y = 0; own->flip && y < height / 2; y++) {
		uint32_t *a = (uint32_t *)(void *)(rows + (size_t)y * stride);
		uint32_t *b = (uint32_t *)(void *)(rows + (size_t)(height - 1 - y) * stride);

		for (uint32_t x = 0; x < width; x++) {
			uint32_t pixel = a[x];

			a[x] = b[x];
			b[x] = pixel;
		}
	}
}

/* In our own context: @y counts the texture's rows. */
static int read_texture(struct virgl *v, GLuint texture, uint32_t x, uint32_t y, uint32_t width, uint32_t height, void *dst,
			uint32_t stride)
{
	int err = 0;

	while (glGetError() != GL_NO_ERROR)
		;
	glFramebufferTexture2D(GL_READ_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, texture, 0);
	if (glCheckFramebufferStatus(GL_READ_FRAMEBUFFER) == GL_FRAMEBUFFER_COMPLETE) {
		glPixelStorei(GL_PACK_ROW_LENGTH, (GLint)(stride / 4));
		glReadPixels((GLint)x, (GLint)y, (GLsizei)width, (GLsizei)height, v->reads_bgra ? GL_BGRA : GL_RGBA,
			     GL_UNSIGNED_BYTE, dst);
	} else {
		err = -EINVAL;
	}
	/* Attached, it would live on after the guest destroyed it. */
	glFramebufferTexture2D(GL_READ_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, 0, 0);
	return glGetError() != GL_NO_ERROR ? -EINVAL : err;
}

static int read_pixels(struct renderer *r, struct gpu_resource *res, const struct renderer_box *box, void *dst,
		       uint32_t dst_stride)
{
	struct virgl *v = virgl_from(r);
	struct resource *own = res->renderer;
	uint32_t y = box->y;
	void *guest;
	GLsync drawn;
	int err;

	if (!own || box->x > res->shape.width || box->width > res->shape.width - box->x || box->y > res->shape.height ||
	    box->height > res->shape.height - box->y)
		return -EINVAL;
	if (box->width == 0 || box->height == 0)
		return 0;
	enter(v);
	if (!own->described)
		describe(own, res);
	if (!own->texture)
		return -EINVAL;
	if (own->flip)
		y = res->shape.height - box->y - box->height;
	/* Another context sees what this one drew only behind a fence. */
	guest = gpu_egl_current(v->egl);
	drawn = glFenceSync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
	if (gpu_egl_make_current(v->egl, gpu_egl_own_context(v->egl)) < 0) {
		glDeleteSync(drawn);
		return -EIO;
	}
	glWaitSync(drawn, 0, GL_TIMEOUT_IGNORED);
	glDeleteSync(drawn);
	err = read_texture(v, own->texture, box->x, y, box->width, box->height, dst, dst_stride);
	/* Back to what the library believes is current. */
	if (gpu_egl_make_current(v->egl, guest) < 0)
		virgl_renderer_force_ctx_0();
	if (err == 0)
		finish_rows(v, own, dst, dst_stride, box->width, box->height);
	return err;
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
	enter(v);
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
	enter(v);
	virgl_renderer_context_destroy(ctx_id);
	push_fences(v);
	free(c);
}

static int context_attach(struct renderer *r, uint32_t ctx_id, struct gpu_resource *res)
{
	enter(virgl_from(r));
	virgl_renderer_ctx_attach_resource((int)ctx_id, (int)res->id);
	return 0;
}

static void context_detach(struct renderer *r, uint32_t ctx_id, struct gpu_resource *res)
{
	enter(virgl_from(r));
	virgl_renderer_ctx_detach_resource((int)ctx_id, (int)res->id);
}

/* ---- commands ---- */

static int note_sub_context(struct context *c, uint32_t id, bool create_it)
{
	unsigned i = 0;

	while (i < c->sub_count && c->subs[i] != id)
		i++;
	if (create_it && i == c->sub_count) {
		if (i == SUB_CONTEXTS_MAX)
			return -ENOMEM;
		c->subs[c->sub_count++] = id;
	} else if (!create_it && i < c->sub_count) {
		c->subs[i] = c->subs[--c->sub_count];
	}
	return 0;
}

/* What the library does not judge: that the last command is whole, and how many GL contexts the guest makes. */
static int check_stream(struct context *c, const uint32_t *words, size_t count)
{
	for (size_t at = 0; at < count;) {
		uint32_t command = words[at] & 0xff;
		size_t length = words[at] >> 16;
		int err = 0;

		if (length > count - at - 1)
			return -EINVAL;
		if (length > 0 && command == VIRGL_CCMD_CREATE_SUB_CTX)
			err = note_sub_context(c, words[at + 1], true);
		else if (length > 0 && command == VIRGL_CCMD_DESTROY_SUB_CTX)
			err = note_sub_context(c, words[at + 1], false);
		if (err < 0)
			return err;
		at += 1 + length;
	}
	return 0;
}

static int submit(struct renderer *r, uint32_t ctx_id, void *commands, size_t bytes)
{
	struct virgl *v = virgl_from(r);
	struct context *c = find_context(v, ctx_id);
	int err;

	if (!c)
		return -ENOENT;
	err = check_stream(c, commands, bytes / 4);
	if (err < 0)
		return err;
	enter(v);
	return virgl_library_error(virgl_renderer_submit_cmd(commands, (int)ctx_id, (int)(bytes / 4)));
}

const struct renderer_ops renderer_virgl_ops = {
	.name = "virgl",
	.create = create,
	.destroy = destroy,
	.features = features,
	.capset_info = capset_info,
	.capset = capset,
	.resource_create = resource_create,
	.resource_destroy = resource_destroy,
	.backing_attach = backing_attach,
	.backing_detach = backing_detach,
	.transfer_to_host = transfer_to_host,
	.transfer_from_host = transfer_from_host,
	.read_pixels = read_pixels,
	.context_create = context_create,
	.context_destroy = context_destroy,
	.context_attach = context_attach,
	.context_detach = context_detach,
	.submit = submit,
	.create_fence = create_fence,
	.reset = reset,
};
