/* SPDX-License-Identifier: MIT */
/*
 * A guest that draws: the real virtio-gpu device on the virgl renderer, over fake guest memory, with calls for the
 * requests that a driver sends. For device tests and benches. Calls that must work abort with a message when they
 * don't; those that return an int give the answer's VIRTIO_GPU_RESP_* number.
 */
#ifndef MULLION_TESTS_LIB_GPU3D_H
#define MULLION_TESTS_LIB_GPU3D_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest-drivers/bare/virgl.h"
#include "host/gpu/gpu.h"
#include "tests/lib/fake_guest.h"

/* The last frame of scanout 0. */
struct gpu3d_screen {
	uint32_t *pixels; /* XRGB8888, rows without gaps; NULL before the first */
	uint32_t width, height;
	unsigned frames;
};

struct virtio_objects;

#define GPU3D_STREAM_WORDS 65536u
#define GPU3D_BACKINGS 64u

struct gpu3d {
	struct fake_guest *guest;
	struct virtio_device *device;
	struct gpu3d_screen *screen;
	uint32_t ctx; /* used by the calls below; 1 after gpu3d_boot() */
	uint64_t last_fence;
	struct virgl_encoder stream; /* what gpu3d_submit() sends next */
	uint32_t words[GPU3D_STREAM_WORDS];
	/* Backings, given back at the next boot. */
	struct {
		uint64_t gpa;
		size_t bytes;
	} backings[GPU3D_BACKINGS];
	unsigned backing_count;
};

/*
 * Start the device. @renderer: "virgl" or "2d". Returns 0, or a negative errno and *why says why (3D can't be had
 * here: skip the test).
 */
int gpu3d_create(struct gpu3d **out, const struct fake_guest_options *options, const char *renderer, const char **why);
/* The same on a guest of the caller's, which gpu3d_destroy() takes, with a journal (NULL: none) of the caller's. */
int gpu3d_create_on(struct gpu3d **out, struct fake_guest *guest, const char *renderer, struct journal *journal,
		    const char **why);
/* The same without a journal, and resources with a UUID are published in @objects of the caller's. */
int gpu3d_create_sharing(struct gpu3d **out, struct fake_guest *guest, const char *renderer,
			 struct virtio_objects *objects, const char **why);
void gpu3d_destroy(struct gpu3d *t);
/*
 * Go on in the place of a process that died: start without a reset. @used_bytes of guest memory below 4 GiB may be in use by
 * what that process made.
 */
void gpu3d_take_over(struct gpu3d *t, size_t used_bytes);
/* Reset the device and start again: driver, context 1, sub-context 1. */
void gpu3d_boot(struct gpu3d *t);

/* ---- requests ---- */

/* Send @cmd and wait; @answer may be NULL. Returns the answer's type. */
int gpu3d_request(struct gpu3d *t, const void *cmd, size_t bytes, void *answer, size_t answer_bytes);
int gpu3d_context(struct gpu3d *t, uint32_t ctx, uint32_t capset);
int gpu3d_context_destroy(struct gpu3d *t, uint32_t ctx);

struct gpu3d_resource {
	uint32_t id;
	uint32_t width, height;
	uint32_t stride; /* of the backing's rows */
	uint64_t gpa;	 /* of the backing, in one piece; 0: none */
	size_t bytes;
	uint8_t *pages; /* the same, as the guest sees it */
};

/* RESOURCE_CREATE_3D as it is. */
int gpu3d_resource(struct gpu3d *t, uint32_t id, const struct gpu_resource_shape *shape);
/* A 2D texture of 4 bytes a pixel, or a buffer of @bytes, with backing, attached to the context; must work. */
struct gpu3d_resource gpu3d_texture(struct gpu3d *t, uint32_t id, uint32_t format, uint32_t bind, uint32_t width,
				    uint32_t height, uint32_t samples);
struct gpu3d_resource gpu3d_buffer(struct gpu3d *t, uint32_t id, uint32_t bind, size_t bytes);
int gpu3d_attach_backing(struct gpu3d *t, struct gpu3d_resource *r, size_t bytes);
int gpu3d_attach(struct gpu3d *t, uint32_t id);
/* Into the stream: an object of the context that waits for its RESOURCE_CREATE_BLOB. */
void gpu3d_name_object(struct gpu3d *t, uint32_t blob_id, const struct gpu_resource_shape *shape);
/*
 * RESOURCE_CREATE_BLOB of it, VIRTIO_GPU_BLOB_MEM_* @mem, for which @r has id, size and stride; @shadow_bytes: of new pages,
 * which @r gets, 0: none.
 */
int gpu3d_object_blob(struct gpu3d *t, struct gpu3d_resource *r, uint32_t blob_id, uint32_t mem, uint32_t flags,
		      size_t shadow_bytes);
int gpu3d_unref(struct gpu3d *t, uint32_t id);
/* The whole of level 0, between backing and renderer. */
int gpu3d_upload(struct gpu3d *t, const struct gpu3d_resource *r);
int gpu3d_read_back(struct gpu3d *t, const struct gpu3d_resource *r);

/* Send the stream and start a new one. submit waits for the answer; submit_async gives the request. */
int gpu3d_submit(struct gpu3d *t);
/* @ring below 0: the global timeline. */
struct fake_request *gpu3d_submit_async(struct gpu3d *t, uint64_t fence, int ring);
/* The same, and the device is not told yet. */
struct fake_request *gpu3d_add_submission(struct gpu3d *t, uint64_t fence, int ring);
/* A fenced submission, waited for: all that was sent before is drawn. */
void gpu3d_finish(struct gpu3d *t);

int gpu3d_set_scanout(struct gpu3d *t, uint32_t id, uint32_t width, uint32_t height);
/* All of a picture of that size. */
int gpu3d_set_scanout_blob(struct gpu3d *t, uint32_t id, uint32_t format, uint32_t width, uint32_t height);
int gpu3d_flush(struct gpu3d *t, uint32_t id, uint32_t x, uint32_t y, uint32_t width, uint32_t height);

/* ---- drawing ---- */

/* Objects that every drawing here needs: blend, rasterizer, DSA (handles 1 to 3), bound. */
void gpu3d_plain_state(struct gpu3d *t);
/* Surface @handle on level 0 of @r, made the framebuffer, with the viewport on all of it. */
void gpu3d_draw_to(struct gpu3d *t, uint32_t handle, const struct gpu3d_resource *r, uint32_t format);
/* Shaders from text, bound. */
void gpu3d_shaders(struct gpu3d *t, uint32_t vertex_handle, const char *vertex, uint32_t fragment_handle,
		   const char *fragment);
/* Vertices of @count floats each, from buffer @r: elements of 4 floats (object @handle), bound. */
void gpu3d_vertices(struct gpu3d *t, uint32_t handle, const struct gpu3d_resource *r, unsigned elements);

/* IEEE bits of a float, for tests that may use them. */
uint32_t gpu3d_bits(float value);

#endif
