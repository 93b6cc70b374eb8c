/* SPDX-License-Identifier: MIT */
/*
 * What the cmocka tests of the virgl renderer share: one device for all cases of a program, started again before each,
 * the shaders of a coloured triangle, and a scene that shows whether the device still draws.
 */
#ifndef MULLION_TESTS_LIB_GPU3D_TEST_H
#define MULLION_TESTS_LIB_GPU3D_TEST_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/gpu3d.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define BGRA VIRGL_FORMAT_B8G8R8A8_UNORM
#define TARGET (VIRGL_BIND_RENDER_TARGET | VIRGL_BIND_SAMPLER_VIEW)

/* Position and colour, as they come from the vertex buffer. */
extern const char gpu3d_vertex_shader[];
extern const char gpu3d_color_shader[];
/* A triangle for them that covers any target. */
extern const float gpu3d_whole[3][8];

/* The device; NULL where this machine has no 3D. */
extern struct gpu3d *gpu3d_shared;

/* Setup and teardown of the group, and the setup of each case. */
int gpu3d_start(void **state);
int gpu3d_stop(void **state);
int gpu3d_restart(void **state);
#define GPU3D_CASE(name) cmocka_unit_test_setup(name, gpu3d_restart)

/* Skip the case, with the reason, where there is no 3D; else the device. */
struct gpu3d *gpu3d_needed(void);

/*
 * Fill a small target with gpu3d_whole, from nothing, with resources @first_id and the one after it.
 * True if every request is answered OK and all pixels are right.
 */
bool gpu3d_draws(struct gpu3d *t, uint32_t first_id);

#endif
