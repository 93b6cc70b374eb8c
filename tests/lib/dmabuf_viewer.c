// SPDX-License-Identifier: MIT
#include "tests/lib/dmabuf_viewer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <epoxy/egl.h>
#include <epoxy/gl.h>

#include "host/display/display.h"
#include "host/gpu/egl.h"
#include "protocol/vhost_user_gpu.h"

#define MAX_MESSAGE (128u << 10)
#define PATIENCE_TICKS 20000u /* of a millisecond */

/* ---- the process ---- */

struct viewer {
	struct dmabuf_viewer_shared *shared;
	int socket, fd; /* fd: came with the message; -1 */
	uint64_t features;
	EGLDisplay display;
	GLuint texture, framebuffer;
	struct vhost_user_gpu_dmabuf_scanout shown;
	uint8_t payload[MAX_MESSAGE];
	uint32_t rows[DMABUF_VIEWER_PIXELS];
};

static void answer(const struct viewer *v, uint32_t request, const void *payload, uint32_t bytes)
{
	const struct vhost_user_gpu_header header = {request, VHOST_USER_GPU_FLAG_REPLY, bytes};
	uint8_t message[64];

	memcpy(message, &header, sizeof(header));
	if (bytes)
		memcpy(message + sizeof(header), payload, bytes);
	if (send(v->socket, message, sizeof(header) + bytes, MSG_NOSIGNAL) < 0)
		_exit(0);
}

static bool import(struct viewer *v, uint64_t modifier, bool has_modifier)
{
	const struct vhost_user_gpu_dmabuf_scanout *m = &v->shown;
	const bool explicit_one = has_modifier && modifier != DISPLAY_MODIFIER_UNKNOWN;
	const EGLint attributes[] = {
		EGL_WIDTH,
		(EGLint)m->fd_width,
		EGL_HEIGHT,
		(EGLint)m->fd_height,
		EGL_LINUX_DRM_FOURCC_EXT,
		m->fd_drm_fourcc,
		EGL_DMA_BUF_PLANE0_FD_EXT,
		v->fd,
		EGL_DMA_BUF_PLANE0_OFFSET_EXT,
		0,
		EGL_DMA_BUF_PLANE0_PITCH_EXT,
		(EGLint)m->fd_stride,
		explicit_one ? EGL_DMA_BUF_PLANE0_MODIFIER_LO_EXT : EGL_NONE,
		(EGLint)(modifier & 0xffffffff),
		EGL_DMA_BUF_PLANE0_MODIFIER_HI_EXT,
		(EGLint)(modifier >> 32),
		EGL_NONE,
	};
	EGLImageKHR image = eglCreateImageKHR(v->display, EGL_NO_CONTEXT, EGL_LINUX_DMA_BUF_EXT, NULL, attributes);

	if (image == EGL_NO_IMAGE_KHR)
		return false;
	glBindTexture(GL_TEXTURE_2D, v->texture);
	glEGLImageTargetTexture2DOES(GL_TEXTURE_2D, image);
	eglDestroyImageKHR(v->display, image);
	glBindFramebuffer(GL_FRAMEBUFFER, v->framebuffer);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, v->texture, 0);
	return glCheckFramebufferStatus(GL_FRAMEBUFFER) == GL_FRAMEBUFFER_COMPLETE && glGetError() == GL_NO_ERROR;
}

static void show_buffer(struct viewer *v, bool has_modifier)
{
	struct vhost_user_gpu_dmabuf_scanout2 m = {0};

	memcpy(&m, v->payload, has_modifier ? sizeof(m) : sizeof(m.dmabuf_scanout));
	if (m.dmabuf_scanout.scanout_id != 0)
		return;
	v->shown = m.dmabuf_scanout;
	if (v->fd < 0) {
		v->shared->ends++;
		return;
	}
	v->shared->buffers++;
	if (!import(v, m.modifier, has_modifier))
		v->shared->broken++;
}

/* As a display would draw it: by the GPU, whose memory it is. */
static void read_buffer(struct viewer *v)
{
	const struct vhost_user_gpu_dmabuf_scanout *m = &v->shown;
	struct vhost_user_gpu_update u;

	memcpy(&u, v->payload, sizeof(u));
	if (u.scanout_id != 0)
		return;
	if (m->width == 0 || u.x + u.width > m->width || u.y + u.height > m->height ||
	    (uint64_t)m->fd_width * m->fd_height > DMABUF_VIEWER_PIXELS) {
		v->shared->broken++;
		return;
	}
	glReadPixels(0, 0, (GLsizei)m->fd_width, (GLsizei)m->fd_height, GL_BGRA, GL_UNSIGNED_BYTE, v->rows);
	if (glGetError() != GL_NO_ERROR)
		v->shared->broken++;
	for (uint32_t y = 0; y < m->height; y++) {
		const uint32_t row =
			m->fd_flags & VHOST_USER_GPU_DMABUF_Y_0_TOP ? m->fd_height - 1 - (m->y + y) : m->y + y;

		memcpy(v->shared->pixels + (size_t)y * m->width, v->rows + (size_t)row * m->fd_width + m->x,
		       m->width * sizeof(uint32_t));
	}
	v->shared->width = m->width;
	v->shared->height = m->height;
	v->shared->fourcc = (unsigned)m->fd_drm_fourcc;
	v->shared->updates++;
}

static void read_pixels(struct viewer *v, uint32_t bytes)
{
	struct vhost_user_gpu_update u;

	memcpy(&u, v->payload, sizeof(u));
	if (u.scanout_id != 0)
		return;
	if (u.x + u.width > v->shared->width || u.y + u.height > v->shared->height ||
	    bytes != sizeof(u) + (size_t)u.width * u.height * sizeof(uint32_t)) {
		v->shared->broken++;
		return;
	}
	for (uint32_t y = 0; y < u.height; y++)
		memcpy(v->shared->pixels + (size_t)(u.y + y) * v->shared->width + u.x,
		       v->payload + sizeof(u) + (size_t)y * u.width * sizeof(uint32_t), u.width * sizeof(uint32_t));
	v->shared->fourcc = 0;
	v->shared->pixel_updates++;
}

static void take(struct viewer *v, const struct vhost_user_gpu_header *h)
{
	struct vhost_user_gpu_scanout size;

	switch (h->request) {
	case VHOST_USER_GPU_GET_PROTOCOL_FEATURES:
		answer(v, h->request, &v->features, sizeof(v->features));
		break;
	case VHOST_USER_GPU_SET_PROTOCOL_FEATURES:
		v->shared->negotiated++;
		break;
	case VHOST_USER_GPU_SCANOUT:
		memcpy(&size, v->payload, sizeof(size));
		if (size.scanout_id == 0 && (uint64_t)size.width * size.height <= DMABUF_VIEWER_PIXELS) {
			v->shared->width = size.width;
			v->shared->height = size.height;
		}
		break;
	case VHOST_USER_GPU_UPDATE:
		read_pixels(v, h->size);
		break;
	case VHOST_USER_GPU_DMABUF_SCANOUT:
	case VHOST_USER_GPU_DMABUF_SCANOUT2:
		show_buffer(v, h->request == VHOST_USER_GPU_DMABUF_SCANOUT2);
		break;
	case VHOST_USER_GPU_DMABUF_UPDATE:
		read_buffer(v);
		if (!v->shared->mute)
			answer(v, h->request, NULL, 0);
		break;
	default:
		break;
	}
}

/* All of @bytes; a descriptor on the way is kept. */
static void receive(struct viewer *v, void *to, size_t bytes)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	size_t have = 0;

	while (have < bytes) {
		struct iovec iov = {(uint8_t *)to + have, bytes - have};
		struct msghdr m = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(v->socket, &m, MSG_CMSG_CLOEXEC);
		struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

		if (n <= 0)
			_exit(0);
		if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(&v->fd, CMSG_DATA(c), sizeof(v->fd));
		have += (size_t)n;
	}
}

static const char *open_gl(struct viewer *v, char *why, size_t why_size)
{
	struct gpu_egl *egl;

	if (gpu_egl_create(NULL, &egl, why, why_size))
		return why;
	if (strcmp(gpu_egl_info(egl)->rung, "render node") != 0)
		return "no render node here";
	if (!gpu_egl_info(egl)->dmabuf_export || !gpu_egl_info(egl)->dmabuf_import)
		return "the GL driver has no dma-bufs";
	if (gpu_egl_make_current(egl, gpu_egl_own_context(egl)))
		return "no context";
	v->display = eglGetCurrentDisplay();
	glGenTextures(1, &v->texture);
	glGenFramebuffers(1, &v->framebuffer);
	return NULL;
}

static _Noreturn void live(struct dmabuf_viewer_shared *shared, int socket, uint64_t features)
{
	static struct viewer v;
	const char *unable;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	v = (struct viewer){.shared = shared, .socket = socket, .fd = -1, .features = features};
	unable = open_gl(&v, shared->why, sizeof(shared->why));
	if (unable) {
		if (unable != shared->why)
			snprintf(shared->why, sizeof(shared->why), "%s", unable);
		shared->unable = true;
		_exit(0);
	}
	shared->ready = true;
	for (;;) {
		struct vhost_user_gpu_header header;

		receive(&v, &header, sizeof(header));
		if (header.size > sizeof(v.payload))
			_exit(1);
		receive(&v, v.payload, header.size);
		take(&v, &header);
		if (v.fd >= 0)
			close(v.fd);
		v.fd = -1;
	}
}

/* ---- the test's side ---- */

const char *dmabuf_viewer_start(struct dmabuf_viewer *v, uint64_t features)
{
	int pair[2];

	v->shared = mmap(NULL, sizeof(*v->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (v->shared == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	fflush(NULL);
	v->pid = fork();
	if (v->pid < 0)
		abort();
	if (v->pid == 0) {
		close(pair[1]);
		live(v->shared, pair[0], features);
	}
	close(pair[0]);
	v->socket = pair[1];
	for (unsigned i = 0; i < PATIENCE_TICKS && !v->shared->ready && !v->shared->unable; i++)
		usleep(1000);
	if (v->shared->ready)
		return NULL;
	return v->shared->unable ? v->shared->why : "the viewer does not come to its start";
}

void dmabuf_viewer_stop(struct dmabuf_viewer *v)
{
	kill(v->pid, SIGKILL);
	waitpid(v->pid, NULL, 0);
	close(v->socket);
	munmap(v->shared, sizeof(*v->shared));
}

static bool is(const struct dmabuf_viewer_shared *s, const uint32_t *pixels, uint32_t width, uint32_t height)
{
	if (s->width != width || s->height != height)
		return false;
	for (uint32_t i = 0; i < width * height; i++) {
		if ((s->pixels[i] ^ pixels[i]) & 0xffffff)
			return false;
	}
	return true;
}

bool dmabuf_viewer_shows(const struct dmabuf_viewer *v, const uint32_t *pixels, uint32_t width, uint32_t height)
{
	for (unsigned i = 0; i < PATIENCE_TICKS; i++) {
		if (is(v->shared, pixels, width, height))
			return true;
		usleep(1000);
	}
	return false;
}

bool dmabuf_viewer_reaches(const atomic_uint *counter, unsigned value)
{
	for (unsigned i = 0; i < PATIENCE_TICKS && *counter < value; i++)
		usleep(1000);
	return *counter >= value;
}
