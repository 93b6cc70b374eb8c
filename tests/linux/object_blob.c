// SPDX-License-Identifier: MIT
/*
 * In a Linux guest: has the virtio-gpu driver make a blob of a texture that this program's context names, lets the GPU fill it
 * with a colour, exports it as a dma-buf, and shows what comes back of that on the card's first display. Usage: object_blob
 * CARD WIDTH HEIGHT; prints "object_blob ok", or what went wrong, and returns when it was shown for half a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <drm_fourcc.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include "guest-drivers/bare/virgl.h"
#include "tests/linux/virtgpu.h"

#define BLOB_ID 7u

static void fail(const char *what)
{
	printf("object_blob %s: %s\n", what, strerror(errno));
	exit(1);
}

static void need(int err, const char *what)
{
	if (err < 0)
		fail(what);
}

static struct virtgpu_create_blob make(int fd, uint32_t width, uint32_t height)
{
	const uint32_t words[1 + VIRGL_WORDS_PIPE_RESOURCE_CREATE] = {
		VIRGL_HEADER(VIRGL_CCMD_PIPE_RESOURCE_CREATE, 0, VIRGL_WORDS_PIPE_RESOURCE_CREATE),
		PIPE_TEXTURE_2D,
		VIRGL_FORMAT_B8G8R8X8_UNORM,
		VIRGL_BIND_RENDER_TARGET | VIRGL_BIND_SAMPLER_VIEW | VIRGL_BIND_SCANOUT,
		width,
		height,
		1,
		1,
		0,
		0,
		0,
		BLOB_ID,
	};
	struct virtgpu_create_blob c = {
		.blob_mem = VIRTGPU_MEM_HOST3D,
		.blob_flags = VIRTGPU_FLAG_USE_SHAREABLE | VIRTGPU_FLAG_USE_CROSS_DEVICE,
		.size = (uint64_t)width * height * 4,
		.cmd_size = sizeof(words),
		.cmd = (uintptr_t)words,
		.blob_id = BLOB_ID,
	};

	need(ioctl(fd, VIRTGPU_CREATE_BLOB, &c), "CREATE_BLOB");
	return c;
}

/* All of it red: the GPU does it. */
static void fill(int fd, const struct virtgpu_create_blob *blob)
{
	const uint32_t color[4] = {VIRGL_FLOAT_1, VIRGL_FLOAT_0, VIRGL_FLOAT_0, VIRGL_FLOAT_1}, surface = 1;
	struct virtgpu_execbuffer e = {.bo_handles = (uintptr_t)&blob->bo_handle, .num_bo_handles = 1};
	struct virgl_encoder stream;
	uint32_t words[256];

	virgl_encoder_init(&stream, words, sizeof(words) / sizeof(words[0]));
	virgl_create_sub_context(&stream, 1);
	virgl_set_sub_context(&stream, 1);
	virgl_create_surface(&stream, surface, blob->res_handle, VIRGL_FORMAT_B8G8R8X8_UNORM, 0, 0, 0);
	virgl_set_framebuffer(&stream, &surface, 1, 0);
	virgl_clear(&stream, PIPE_CLEAR_COLOR0, color, VIRGL_DOUBLE_1, 0);
	e.command = (uintptr_t)words;
	e.size = (uint32_t)(stream.used * sizeof(words[0]));
	need(ioctl(fd, VIRTGPU_EXECBUFFER, &e), "EXECBUFFER");
}

static void show(int fd, uint32_t handle, uint32_t width, uint32_t height)
{
	const uint32_t handles[4] = {handle}, pitches[4] = {width * 4}, offsets[4] = {0};
	drmModeRes *resources = drmModeGetResources(fd);
	drmModeConnector *connector;
	uint32_t fb;

	if (!resources || resources->count_connectors < 1 || resources->count_crtcs < 1)
		fail("no display");
	connector = drmModeGetConnector(fd, resources->connectors[0]);
	if (!connector || connector->count_modes < 1)
		fail("no mode");
	need(-!!drmModeAddFB2(fd, width, height, DRM_FORMAT_XRGB8888, handles, pitches, offsets, &fb, 0), "ADDFB2");
	need(-!!drmModeSetCrtc(fd, resources->crtcs[0], fb, 0, 0, &connector->connector_id, 1, &connector->modes[0]),
	     "SETCRTC");
	usleep(500000);
	drmModeFreeConnector(connector);
	drmModeFreeResources(resources);
}

int main(int argc, char **argv)
{
	struct virtgpu_context_set_param set = {.param = VIRTGPU_CONTEXT_PARAM_CAPSET_ID, .value = 2};
	struct virtgpu_context_init init = {.num_params = 1, .params = (uintptr_t)&set};
	const uint32_t width = argc == 4 ? (uint32_t)atoi(argv[2]) : 0,
		       height = argc == 4 ? (uint32_t)atoi(argv[3]) : 0;
	struct virtgpu_create_blob blob;
	int fd, dmabuf, again;
	uint32_t handle;

	if (!width || !height)
		return 2;
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	need(fd, argv[1]);
	need(ioctl(fd, VIRTGPU_CONTEXT_INIT, &init), "CONTEXT_INIT");
	blob = make(fd, width, height);
	fill(fd, &blob);
	/* The driver asks the device for a UUID. */
	need(drmPrimeHandleToFD(fd, blob.bo_handle, O_CLOEXEC, &dmabuf), "exporting it");
	/* As another program would have it. */
	again = open(argv[1], O_RDWR | O_CLOEXEC);
	need(again, argv[1]);
	drmDropMaster(fd);
	need(drmSetMaster(again), "SET_MASTER");
	need(drmPrimeFDToHandle(again, dmabuf, &handle), "importing it");
	show(again, handle, width, height);
	puts("object_blob ok");
	return 0;
}
