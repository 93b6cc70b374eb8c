// SPDX-License-Identifier: MIT
#include "host/gpu/virgl_pixels.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include <epoxy/gl.h>
#include <virglrenderer.h>

#include "host/gpu/resource.h"
#include "host/gpu/virgl_library.h"
#include "protocol/virgl.h"

/* Each kind of error is kept once. */
#define MAX_OLD_ERRORS 16u

int virgl_pixels_init(struct virgl_pixels *p, struct gpu_egl *egl)
{
	p->egl = egl;
	if (gpu_egl_make_current(egl, gpu_egl_own_context(egl)) < 0)
		return -EIO;
	glGenFramebuffers(1, &p->framebuffer);
	glBindFramebuffer(GL_READ_FRAMEBUFFER, p->framebuffer);
	p->reads_bgra = !gpu_egl_info(egl)->gles || epoxy_has_gl_extension("GL_EXT_read_format_bgra");
	return gpu_egl_make_current(egl, NULL);
}

void virgl_pixels_describe(struct virgl_picture *picture, const struct gpu_resource *res)
{
	union virgl_library_resource_info info;

	/* The library asserts what is checked here. */
	if (res->kind == GPU_RESOURCE_BLOB || res->shape.nr_samples > 1 ||
	    (res->kind == GPU_RESOURCE_3D && res->shape.target != PIPE_TEXTURE_2D))
		return;
	if (res->shape.format >= VIRGL_FORMAT_Z16_UNORM && res->shape.format <= VIRGL_FORMAT_S8_UINT)
		return;
	/* Binds the texture in the current context; in the library's own that harms no guest. */
	virgl_renderer_force_ctx_0();
	if (virgl_library_error(virgl_renderer_resource_get_info((int)res->id, &info.info)) < 0)
		return;
	picture->texture = info.info.tex_id;
	picture->flip = info.info.flags & VIRGL_RESOURCE_Y_0_TOP;
	picture->width = res->shape.width;
	picture->height = res->shape.height;
}

void virgl_pixels_finish(struct virgl_pixels *p)
{
	if (p->egl && gpu_egl_make_current(p->egl, gpu_egl_own_context(p->egl)) == 0) {
		glDeleteFramebuffers(1, &p->framebuffer);
		gpu_egl_make_current(p->egl, NULL);
	}
	*p = (struct virgl_pixels){0};
}

static uint32_t *row_at(void *rows, uint32_t stride, uint32_t y)
{
	return (uint32_t *)(void *)((uint8_t *)rows + (size_t)y * stride);
}

/* From what OpenGL ES can read to the order of the frame. */
static void swap_red_blue(uint32_t *row, uint32_t width)
{
	for (uint32_t x = 0; x < width; x++)
		row[x] = (row[x] & 0xff00ff00u) | (row[x] & 0xffu) << 16 | (row[x] >> 16 & 0xffu);
}

static void swap_rows(uint32_t *a, uint32_t *b, uint32_t width)
{
	for (uint32_t x = 0; x < width; x++) {
		uint32_t pixel = a[x];

		a[x] = b[x];
		b[x] = pixel;
	}
}

static void finish_rows(const struct virgl_pixels *p, const struct virgl_picture *picture, void *rows, uint32_t stride,
			uint32_t width, uint32_t height)
{
	for (uint32_t y = 0; y < height; y++) {
		uint32_t *row = row_at(rows, stride, y);

		if (!p->reads_bgra)
			swap_red_blue(row, width);
		for (uint32_t x = 0; picture->opaque && x < width; x++)
			row[x] |= 0xff000000u;
	}
	for (uint32_t y = 0; picture->flip && y < height / 2; y++)
		swap_rows(row_at(rows, stride, y), row_at(rows, stride, height - 1 - y), width);
}

/* In our own context; @y counts the texture's rows. */
static int read_texture(const struct virgl_pixels *p, unsigned texture, uint32_t x, uint32_t y, uint32_t width,
			uint32_t height, void *dst, uint32_t stride)
{
	int err = 0;

	/* Not for ever: of a context that was lost in a reset some drivers say so each time. */
	for (unsigned i = 0; i < MAX_OLD_ERRORS && glGetError() != GL_NO_ERROR; i++)
		;
	glFramebufferTexture2D(GL_READ_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, texture, 0);
	if (glCheckFramebufferStatus(GL_READ_FRAMEBUFFER) == GL_FRAMEBUFFER_COMPLETE) {
		glPixelStorei(GL_PACK_ROW_LENGTH, (GLint)(stride / 4));
		glReadPixels((GLint)x, (GLint)y, (GLsizei)width, (GLsizei)height, p->reads_bgra ? GL_BGRA : GL_RGBA,
			     GL_UNSIGNED_BYTE, dst);
	} else {
		err = -EINVAL;
	}
	/* Attached, it would live on after the guest destroyed it. */
	glFramebufferTexture2D(GL_READ_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, 0, 0);
	return glGetError() != GL_NO_ERROR ? -EINVAL : err;
}

/* Displays mix nothing: what has no alpha is not to be taken for a picture that has. */
static uint32_t without_alpha(uint32_t fourcc)
{
	return (fourcc & 0xff) == 'A' && (fourcc >> 16 & 0xffff) == ('2' | '4' << 8) ? (fourcc & ~0xffu) | 'X' : fourcc;
}

int virgl_pixels_export(struct virgl_pixels *p, const struct virgl_picture *picture, struct display_buffer *out)
{
	static uint64_t last_id;
	void *drawing = gpu_egl_current(p->egl);
	struct gpu_egl_buffer buffer = {.fd = -1};
	int err = gpu_egl_make_current(p->egl, gpu_egl_own_context(p->egl));

	if (err == 0)
		err = gpu_egl_export(p->egl, picture->texture, &buffer);
	if (gpu_egl_make_current(p->egl, drawing) < 0 && err == 0) {
		close(buffer.fd);
		err = -EIO;
	}
	if (err < 0)
		return err;
	*out = (struct display_buffer){
		.id = ++last_id,
		.fd = buffer.fd,
		.width = picture->width,
		.height = picture->height,
		.stride_bytes = buffer.stride_bytes,
		.fourcc = picture->opaque ? without_alpha(buffer.fourcc) : buffer.fourcc,
		.modifier = buffer.modifier,
		.flip = picture->flip,
	};
	return 0;
}

void virgl_pixels_finish_buffer(struct display_buffer *b)
{
	if (b->id)
		close(b->fd);
	*b = (struct display_buffer){0};
}

/*
 * Commands of other contexts were given to the driver when the library left those; the kernel orders them before what a
 * display does with the buffer then.
 */
void virgl_pixels_flush(void)
{
	glFlush();
}

int virgl_pixels_read(struct virgl_pixels *p, const struct virgl_picture *picture, uint32_t x, uint32_t y,
		      uint32_t width, uint32_t height, void *dst, uint32_t dst_stride)
{
	uint32_t first_row = picture->flip ? picture->height - y - height : y;
	void *drawing = gpu_egl_current(p->egl);
	/* Another context sees what this one drew only behind a fence. */
	GLsync drawn = glFenceSync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
	int err;

	if (gpu_egl_make_current(p->egl, gpu_egl_own_context(p->egl)) < 0) {
		glDeleteSync(drawn);
		return -EIO;
	}
	glWaitSync(drawn, 0, GL_TIMEOUT_IGNORED);
	glDeleteSync(drawn);
	err = read_texture(p, picture->texture, x, first_row, width, height, dst, dst_stride);
	if (gpu_egl_make_current(p->egl, drawing) < 0)
		return -EIO;
	if (err == 0)
		finish_rows(p, picture, dst, dst_stride, width, height);
	return err;
}
