/* SPDX-License-Identifier: MIT */
/*
 * A virtio-gpu device over a fake guest, with a display that keeps what it is shown, and a small driver: one call a
 * command, which returns the answer's type. For device tests with cmocka.
 */
#ifndef MULLION_TESTS_LIB_GPU_WORLD_H
#define MULLION_TESTS_LIB_GPU_WORLD_H

#include "host/display/display.h"
#include "host/gpu/gpu.h"
#include "protocol/virtio_gpu.h"
#include "tests/lib/fake_guest.h"
#include "tests/lib/fake_renderer.h"
#include "tests/lib/fake_shmem.h"

struct gpu_world_options {
	bool fake_3d; /* the fake renderer; else 2d */
	bool degraded; /* as gpu_config has it; may be changed before gpu_world_die() */
	bool dmabuf;  /* gpu_config.dmabuf */
	bool blind;    /* with a display that doesn't look, as none.c */
	unsigned scanouts; /* 0: 1 */
	uint32_t width, height; /* of each; 0: 1280x800 */
	struct gpu_limits limits; /* zeros: the defaults */
	unsigned share; /* 0: the default */
	struct fake_guest_options guest;
	struct journal *journal;
	uint64_t host_visible_bytes; /* 0: the default */
	int shared_fd;		     /* of the heap for host blobs; 0: the device's own */
	struct virtio_objects *objects; /* as gpu_config has it; of each process, as degraded */
};

/* What one scanout of the test's display was told. */
struct shown {
	uint32_t *pixels; /* the last frame, DRM_FORMAT_XRGB8888 */
	uint32_t width, height;
	struct display_rect damage;
	unsigned frames, blanks, cursors;
	struct display_cursor cursor;
	uint32_t cursor_pixels[64 * 64];
};

struct test_display {
	struct display_output base;
	struct shown shown[DISPLAY_MAX_SCANOUTS];
	int fail; /* what present() returns */
	bool *destroyed;
};

struct gpu_world {
	struct fake_guest *guest;
	struct virtio_device *device;
	struct fake_shmem home; /* of its shared memory */
	struct test_display *display;
	struct fake_renderer *renderer; /* NULL for 2d */
	uint32_t flags; /* of the headers that the calls below send */
	uint64_t fence_id;
	uint32_t ctx_id;
	uint8_t ring_idx;
	struct virtio_gpu_ctrl_hdr answer; /* the last one's header */
	uint32_t used;
	bool destroyed; /* the display is gone */
	struct gpu_world_options options;
	struct virtio_device *dead[4]; /* what they would be in a process of their own */
	unsigned dead_count;
};

struct gpu_world *gpu_world_create(const struct gpu_world_options *options); /* NULL: all zero */
/*
 * The device's process dies: another device with a display of its own takes over, from @journal, which was opened on
 * the memory of the first one's.
 */
void gpu_world_die(struct gpu_world *w, struct journal *journal);
struct inflight_ring;
/* From now on @rings, one a queue, in memory that starts as zeros, say how far each request is. None may be in flight. */
void gpu_world_track(struct gpu_world *w, struct inflight_ring *rings);
/* As gpu_world_die(), but the guest's rings go on, too, where @rings says. */
void gpu_world_go_on(struct gpu_world *w, struct journal *journal, struct inflight_ring *rings);
void gpu_world_destroy(struct gpu_world *w);

/* Send @request with @type and the world's flags, fence and context put into its header; returns the answer's type. */
uint32_t gpu_send(struct gpu_world *w, uint32_t type, void *request, size_t bytes, void *answer, size_t answer_bytes);
/* The same for a request without answer but its header. */
uint32_t gpu_command(struct gpu_world *w, uint32_t type, void *request, size_t bytes);

uint32_t gpu_create_2d(struct gpu_world *w, uint32_t id, uint32_t format, uint32_t width, uint32_t height);
uint32_t gpu_create_3d(struct gpu_world *w, uint32_t id, uint32_t width, uint32_t height);
uint32_t gpu_create_blob(struct gpu_world *w, uint32_t id, uint64_t size, const struct virtio_gpu_mem_entry *entries,
			 uint32_t count);
uint32_t gpu_unref(struct gpu_world *w, uint32_t id);
uint32_t gpu_attach(struct gpu_world *w, uint32_t id, const struct virtio_gpu_mem_entry *entries, uint32_t count);
uint32_t gpu_detach(struct gpu_world *w, uint32_t id);
uint32_t gpu_transfer(struct gpu_world *w, uint32_t id, struct virtio_gpu_rect r, uint64_t offset);
uint32_t gpu_scan(struct gpu_world *w, uint32_t scanout, uint32_t id, struct virtio_gpu_rect r);
uint32_t gpu_flush(struct gpu_world *w, uint32_t id, struct virtio_gpu_rect r);
uint32_t gpu_context(struct gpu_world *w, uint32_t ctx_id, uint32_t context_init, const char *name);
uint32_t gpu_context_gone(struct gpu_world *w, uint32_t ctx_id);
uint32_t gpu_submit(struct gpu_world *w, uint32_t ctx_id, const void *commands, uint32_t bytes);

/* A resource with @bytes of contiguous guest memory behind it; returns where it is. */
uint32_t *gpu_back(struct gpu_world *w, uint32_t id, size_t bytes, uint64_t *gpa);

static inline struct virtio_gpu_rect gpu_rect(uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
	return (struct virtio_gpu_rect){x, y, width, height};
}

#endif
