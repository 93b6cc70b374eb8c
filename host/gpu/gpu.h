/* SPDX-License-Identifier: MIT */
/*
 * The virtio-gpu device (virtio 1.4, section 5.7). Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_GPU_H
#define MULLION_HOST_GPU_GPU_H

#include <stdbool.h>
#include <stdint.h>

#include "host/gpu/resource.h"
#include "host/virtio/device.h"

struct display_output;
struct journal;
struct renderer_ops;
struct virtio_objects;

struct gpu_mode {
	uint32_t width, height; /* pixels; 0: nothing is plugged in */
};

struct gpu_config {
	const char *renderer;    /* "auto", "virgl", "2d" */
	const char *render_node; /* NULL: by the ladder */
	unsigned scanouts;       /* 1..16 */
	struct gpu_mode modes[16]; /* preferred size of each scanout at the start */
	struct gpu_limits limits;
	unsigned share; /* percent of the renderer's time, GPU_SHARE_MIN to 100: no limit (share.h) */
	struct display_output *display; /* owned by the device once gpu_create() returned 0; NULL: none */
	const struct renderer_ops *const *renderers; /* to choose from; NULL: the built-in list (renderer.h) */
	/*
	 * Where the device keeps what the guest made and set (record.h), as limits.journal_bytes says; mapped, and loaded by
	 * the device when it needs to be; borrowed until the
	 * device is destroyed, which clears it as a reset does. NULL: a guest starts again when the process dies.
	 */
	struct journal *journal;
	/* Where resources with a UUID are published, borrowed until the device is destroyed. NULL: nobody would look. */
	struct virtio_objects *objects;
	/*
	 * Size of the host-visible region and of the memory for blobs in it, a power of two; 0: none. What is in them outlives
	 * the process in @shared_fd (a shared_heap_memfd(), borrowed for the call; below 1: the device makes its own).
	 */
	uint64_t host_visible_bytes;
	int shared_fd;
	/*
	 * Frames go to a vhost-user frontend's display as dma-bufs, where the driver exports them. No frontend says whether it
	 * can show them, so it is the user who does.
	 */
	bool dmabuf;
	/* Draw in 2D alone, whatever @renderer says, and refuse what is 3D; the features are offered all the same. */
	bool degraded;
};

/* Defaults: renderer auto, one scanout with 1280x800 plugged in, gpu_limits_default, no display, 256 MiB of host-visible memory. */
void gpu_config_init(struct gpu_config *config);

/*
 * Read @options ("renderer=virgl,scanouts=4,size=1280x800,size1=800x480,render-node=PATH,memory=512,share=50,host-visible=64,
 * dmabuf=on"; size is that of scanout 0, sizeN plugs in number N as well, memory is resource_bytes and host-visible host_visible_bytes, in
 * MiB) into @config. Returns 0, or -EINVAL after printing which word is wrong and what is allowed.
 * Strings in @config point into @options.
 */
int gpu_config_parse(struct gpu_config *config, char *options);

/*
 * Make the device. Prints one line that says which renderer was chosen and why. When the journal holds the state of an
 * earlier process, all of it is made again when the driver is ready, before its first request, and shown on the
 * display. Returns 0 or a negative errno after printing why.
 */
int gpu_create(const struct gpu_config *config, struct loop *loop, const struct guest_mem *mem,
	       struct virtio_device **out);

/* Plug in, resize or unplug (0x0) a display; the guest gets a display event and reads new EDID. */
int gpu_set_mode(struct virtio_device *d, unsigned scanout, const struct gpu_mode *mode);

/*
 * The vhost-user frontend shows what the device does on the display at socket @fd (taken, also on failure), from now on
 * and until it closes it; it is also asked for sizes and EDID. A display of the configuration goes on as well. Returns 0
 * or a negative errno.
 */
int gpu_set_display_socket(struct virtio_device *d, int fd);

struct gpu_stats {
	uint64_t commands, errors, fences, frames;
	uint64_t dmabuf_frames; /* of these, without a copy */
	uint64_t pixel_copies, pixel_copy_bytes;
	uint64_t object_uploads; /* of pictures that another device wrote, into a texture */
	uint64_t unrecorded; /* changes that did not fit in the journal */
};
void gpu_get_stats(struct virtio_device *d, struct gpu_stats *out);

#endif
