/* SPDX-License-Identifier: MIT */
/*
 * A VMM's display (protocol/vhost_user_gpu.h) that draws by the GPU, as QEMU's does with gl=on: a process that imports the
 * dma-bufs it is shown by EGL on a render node, and reads them there.
 */
#ifndef MULLION_TESTS_LIB_DMABUF_VIEWER_H
#define MULLION_TESTS_LIB_DMABUF_VIEWER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DMABUF_VIEWER_PIXELS (256u * 256u)

/* Of scanout 0; what the viewer writes and the test reads. */
struct dmabuf_viewer_shared {
	atomic_bool ready, unable; /* one of them, soon; unable: @why */
	char why[256];
	atomic_bool mute;		       /* the test's: updates are not answered */
	atomic_uint negotiated;		       /* SET_PROTOCOL_FEATURES seen */
	atomic_uint buffers;		       /* dma-bufs shown */
	atomic_uint ends;		       /* or shown no more */
	atomic_uint updates;		       /* of such */
	atomic_uint pixel_updates;	       /* inline */
	atomic_uint broken;		       /* that could not be imported, or made no sense */
	atomic_uint width, height, fourcc;     /* of what is shown; fourcc 0: pixels */
	uint32_t pixels[DMABUF_VIEWER_PIXELS]; /* XRGB8888, top row first */
};

struct dmabuf_viewer {
	pid_t pid;
	int socket; /* for the device; the caller's */
	struct dmabuf_viewer_shared *shared;
};

/*
 * Start one that offers @features. The calling process may not have used GL yet. Returns NULL, or why there is none: no
 * render node, or a driver without dma-bufs.
 */
const char *dmabuf_viewer_start(struct dmabuf_viewer *v, uint64_t features);
void dmabuf_viewer_stop(struct dmabuf_viewer *v);

/* Within 20 s: the picture is of this size, and exactly @pixels. */
bool dmabuf_viewer_shows(const struct dmabuf_viewer *v, const uint32_t *pixels, uint32_t width, uint32_t height);
/* Within 20 s, @counter is at least @value. */
bool dmabuf_viewer_reaches(const atomic_uint *counter, unsigned value);

#endif
