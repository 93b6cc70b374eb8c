/* SPDX-License-Identifier: MIT */
/*
 * What a user asks of a device with displays, seen from whoever has the user (a control socket): plug displays in and
 * out, take a picture of one, tell how it is. Nothing here names the device or its process: values are copied, and a
 * picture goes to a descriptor.
 */
#ifndef MULLION_HOST_VIRTIO_DISPLAY_CONTROL_H
#define MULLION_HOST_VIRTIO_DISPLAY_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "host/virtio/device.h"

#define DISPLAY_CONTROL_MAX 16u

struct display_status {
	uint32_t width, height;             /* offered to the guest, in pixels; 0: not plugged in */
	uint32_t shown_width, shown_height; /* what the guest shows; 0: nothing */
};

struct display_device_status {
	char renderer[16];
	unsigned display_count; /* the guest has this many connectors; fixed */
	struct display_status displays[DISPLAY_CONTROL_MAX];
	uint64_t commands, errors, fences, frames; /* since the start */
	uint64_t pixel_copies, pixel_copy_bytes;
};

/* One picture on its way to a file. The owner keeps it, and the descriptor, until @done. */
struct display_screenshot {
	unsigned display;
	int fd;                 /* an empty file, written from its beginning */
	uint32_t width, height; /* of the picture; set when @err is 0 */
	/* 0, -EINVAL (no such display), -ENODATA (it shows nothing), -ECANCELED (the device goes), or of the host */
	int err;
	/* Called once, on the device's loop; must not block. */
	void (*done)(struct display_screenshot *s);
	void *owner;
	struct display_screenshot *next; /* private */
};

/* Thread: the device's loop. */
struct display_control_ops {
	void (*get_status)(struct virtio_device *d, struct display_device_status *out);
	/*
	 * Plug in @display, give it another size, or plug it out (0 x 0); the guest is told. Returns 0, or -EINVAL: no
	 * such display, or a size that isn't 1 to DISPLAY_CONTROL_SIZE_MAX each way.
	 */
	int (*set_mode)(struct virtio_device *d, unsigned display, uint32_t width, uint32_t height);
	/*
	 * Write what s->display shows now as PNG, cursor and all, whether or not an output shows it too. One at a
	 * time is encoded, on another thread; the others wait their turn. What has not ended when the device is
	 * destroyed is ended then.
	 */
	void (*screenshot)(struct virtio_device *d, struct display_screenshot *s);
};

#define DISPLAY_CONTROL_SIZE_MAX 16384u

#endif
