/* SPDX-License-Identifier: MIT */
/*
 * Where frames go. An output is an ops table and one file (png.c, none.c, ...); the array in display.c is the list.
 *
 * A frame is lent: present() must be done with the pixels when it returns, or keep a copy, so a device may reuse
 * them at once. It must not block: encoding and disk writes go to a pool.
 *
 * Thread: the loop given at creation, for every call.
 */
#ifndef MULLION_HOST_DISPLAY_DISPLAY_H
#define MULLION_HOST_DISPLAY_DISPLAY_H

#include <stdbool.h>
#include <stdint.h>

struct input_sink;
struct loop;

/* Most scanouts a device can have: VIRTIO_GPU_MAX_SCANOUTS. */
#define DISPLAY_MAX_SCANOUTS 16

struct display_rect {
	uint32_t x, y, width, height;
};

/* One whole picture of a scanout. Rows go from top to bottom. */
struct display_frame {
	const void *pixels;
	uint32_t width, height; /* in pixels */
	uint32_t stride_bytes;
	uint32_t fourcc;            /* DRM_FORMAT_*, see display_formats */
	struct display_rect damage; /* what changed since the last frame of this scanout; inside the picture */
};

/* Where a GPU has a picture of a scanout: a dma-buf of one plane, which begins at byte 0. */
struct display_buffer {
	uint64_t id; /* of the buffer, never used again by this process; not 0 */
	int fd;	     /* lent */
	uint32_t width, height, stride_bytes;
	uint32_t fourcc;	   /* DRM_FORMAT_*, as the driver has it */
	uint64_t modifier;	   /* DISPLAY_MODIFIER_UNKNOWN: it is known to the driver alone */
	bool flip;		   /* the picture's top row is the buffer's last */
	struct display_rect shown; /* the part that the scanout shows, counted from the picture's top */
};

#define DISPLAY_MODIFIER_LINEAR 0ull
#define DISPLAY_MODIFIER_UNKNOWN 0x00ffffffffffffffull

struct display_cursor {
	uint32_t x, y;         /* of the hot spot, on the scanout */
	uint32_t hot_x, hot_y; /* in the image */
	const uint32_t *pixels; /* 64 x 64 DRM_FORMAT_ARGB8888, premultiplied as the guest gave it; NULL: hidden */
	bool moved_only;       /* pixels are those of the last call */
};

/* What a display says of itself. */
struct display_answer {
	struct {
		struct display_rect rect; /* where it is on the user's desktop, and its preferred size */
		bool enabled;
	} modes[DISPLAY_MAX_SCANOUTS];
	uint8_t edid[1024];
	uint32_t edid_bytes;
};

/* A question to a display that is somebody else's, who may take some time. The asker keeps it until it is answered. */
struct display_question {
	bool edid;	  /* the EDID of @scanout; else the modes of all */
	unsigned scanout;
	/*
	 * Called once, later than ask() and not after withdraw(); @answer has what was asked for and is lent. NULL: the
	 * display is gone, too slow, or doesn't know.
	 */
	void (*answered)(struct display_question *q, const struct display_answer *answer);
	void *owner;
	uint64_t due_ns;	       /* private */
	bool sent;		       /* private */
	struct display_question *next; /* private */
};

/* Who wants to know when a change of a buffer was shown. The asker keeps it until it is told. */
struct display_shown {
	/* Called once, later than present_buffer() and not after forget(): it was shown, or never will be. */
	void (*shown)(struct display_shown *s);
	void *owner;
	struct display_shown *next; /* private */
};

struct display_output {
	const struct display_output_ops *ops;
};

struct display_output_ops {
	const char *name; /* as in --display name:ARGUMENT */
	const char *help; /* one line for --help */
	/* Nobody looks: present() is not called, and a device need not read its pixels. */
	bool blind;
	/*
	 * @argument: what follows the name, or "". @input takes what a user of this display types and points at, and
	 * outlives it; NULL: nobody does. Prints one line and returns a negative errno on failure.
	 */
	int (*create)(struct loop *loop, const char *argument, struct input_sink *input, struct display_output **out);
	/* The picture of @scanout changed. Returns 0 or a negative errno (logged by the caller, counted). */
	int (*present)(struct display_output *o, unsigned scanout, const struct display_frame *frame);
	/*
	 * The same without a copy: the picture is on the GPU, and the guest may draw into it again at any time. @damage is
	 * counted from the corner of @buffer->shown, and inside. @shown: told when it was, which may be never; NULL: nobody
	 * asks. Returns 0, or -ENOTSUP: this display can't take it so (now); present() it. Optional, with forget().
	 */
	int (*present_buffer)(struct display_output *o, unsigned scanout, const struct display_buffer *buffer,
			      const struct display_rect *damage, struct display_shown *shown);
	/* @shown is not told any more. */
	void (*forget)(struct display_output *o, struct display_shown *shown);
	/* @scanout shows nothing any more. */
	void (*blank)(struct display_output *o, unsigned scanout);
	void (*cursor)(struct display_output *o, unsigned scanout, const struct display_cursor *cursor);
	/*
	 * For displays that know their own sizes; NULL: it is the device that decides. Returns 0, or -EAGAIN when nobody can be
	 * asked now. Never waits.
	 */
	int (*ask)(struct display_output *o, struct display_question *q);
	void (*withdraw)(struct display_output *o, struct display_question *q);
	/* Finish what is queued, then free. Questions that wait are answered with NULL. */
	void (*destroy)(struct display_output *o);
};

/* All outputs, NULL-terminated: the array is the truth. */
extern const struct display_output_ops *const display_outputs[];
extern const struct display_output_ops display_none_ops;
extern const struct display_output_ops display_png_ops;
extern const struct display_output_ops display_vnc_ops;
extern const struct display_output_ops display_fd_ops; /* vhost_gpu.c */

/* @spec, as below, names an output that there is, with whatever argument. */
bool display_is_known(const char *spec);

/*
 * Make the output that @spec names: NAME, NAME:ARGUMENT, NAME=ARGUMENT or NAME,OPTIONS ("png:DIR,every=10",
 * "vnc,password=FILE"); NULL is "none". As ops->create.
 */
int display_create(struct loop *loop, const char *spec, struct input_sink *input, struct display_output **out);
void display_destroy(struct display_output *o); /* NULL is fine */

#endif
