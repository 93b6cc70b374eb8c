/* SPDX-License-Identifier: MIT */
/*
 * What a guest says to share pictures of its GPU with its codec, by UUIDs, and what the fake codec makes of them. For cmocka
 * tests; calls assert what they expect, but those that return an answer's code.
 */
#ifndef MULLION_TESTS_LIB_SHARED_PICTURES_H
#define MULLION_TESTS_LIB_SHARED_PICTURES_H

#include <stdint.h>

#include "tests/lib/gpu3d.h"
#include "tests/lib/video_world.h"

/* ---- the GPU's side ---- */

void shared_create_2d(struct gpu3d *t, uint32_t id, uint32_t format, uint32_t width, uint32_t height);
/* The answer's code. */
int shared_try_uuid(struct gpu3d *t, uint32_t id, uint8_t uuid[16]);
void shared_assign_uuid(struct gpu3d *t, uint32_t id, uint8_t uuid[16]);

/* ---- the codec's side: stream 1 ---- */

/* Buffers of @queue are @memory (VIRTIO_VIDEO_MEM_TYPE_*) from now on, with pictures of @format. */
uint32_t shared_set_params(struct video_world *w, uint32_t queue, uint32_t format, uint32_t memory);
/* A buffer of @count objects, of which plane i has entries[i]. */
uint32_t shared_create_buffer(struct video_world *w, uint32_t queue, uint32_t id, uint32_t layout, uint32_t planes,
			      const uint32_t *entries, const uint8_t (*uuids)[16], unsigned count);
/* An output buffer that is one object. */
uint32_t shared_create_output(struct video_world *w, uint32_t id, const uint8_t uuid[16]);

/* The fake codec's picture @value in BGRA, as a display's XRGB. */
uint32_t shared_pixel(uint32_t value, uint32_t x, uint32_t y);

#endif
