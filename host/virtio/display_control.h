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

struct loop;

#define DISPLAY_CONTROL_MAX 16u

struct display_status {
	uint32_t width, height;             /* offered to the guest, in pixels; 0: not plugged in */
	uint32_t shown_width, shown_height; /* what the guest shows; 0: nothing */
};

struct display_device_status {
	char renderer[16];
	unsigned display_count; /* the guest has this many connectors; fixed */
	struct display_status displays[DISPLAY_CONTROL_MAX];
	uint64_t commands, errors, fences, frames; /* since the start of the process that it is in */
	uint64_t pixel_copies, pixel_copy_bytes;
	bool is_isolated;	     /* it has processes of its own; then: */
	uint32_t worker_pid, deaths; /* the one that draws now, and how many before it died */
};

/* One picture on its way to a file. The owner keeps it, and the descriptor, until @done. */
struct display_screenshot {
	unsigned display;
	int fd;                 /* an empty file, or memfd, written from its beginning */
	uint32_t width, height; /* of the picture; set when @err is 0 */
	/* 0, -EINVAL (no such display), -ENODATA (it shows nothing), -ECANCELED (the device goes), or of the host */
	int err;
	/* Called once, on the loop of the ops; must not block. */
	void (*done)(struct display_screenshot *s);
	void *owner;
	struct display_screenshot *next; /* private */
};

/*
 * Thread: the loop that they are given with. What @owner is, whoever gave them knows. A device in another process is
 * waited for, a few seconds; where it does not answer get_status() and set_mode() return -ETIMEDOUT, or -EPIPE.
 */
struct display_control_ops {
	int (*get_status)(void *owner, struct display_device_status *out);
	/*
	 * Plug in @display, give it another size, or plug it out (0 x 0); the guest is told. Returns 0, or -EINVAL: no
	 * such display, or a size that isn't 1 to DISPLAY_CONTROL_SIZE_MAX each way.
	 */
	int (*set_mode)(void *owner, unsigned display, uint32_t width, uint32_t height);
	/*
	 * Write what s->display shows now as PNG, cursor and all, whether or not an output shows it too. One at a
	 * time is encoded, on another thread; the others wait their turn. What has not ended when the device is
	 * destroyed is ended then.
	 */
	void (*screenshot)(void *owner, struct display_screenshot *s);
};

#define DISPLAY_CONTROL_SIZE_MAX 16384u

/* The displays of one device, for whoever has the user. */
struct display_control {
	const struct display_control_ops *ops;
	void *owner;
	struct loop *loop; /* that the ops are called on */
};

#endif
