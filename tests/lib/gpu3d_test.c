// SPDX-License-Identifier: MIT
#include "tests/lib/gpu3d_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/virtio_gpu.h"

const char gpu3d_vertex_shader[] = "VERT\n"
				   "DCL IN[0]\n"
				   "DCL IN[1]\n"
				   "DCL OUT[0], POSITION\n"
				   "DCL OUT[1], GENERIC[0]\n"
				   "  0: MOV OUT[0], IN[0]\n"
				   "  1: MOV OUT[1], IN[1]\n"
				   "  2: END\n";

const char gpu3d_color_shader[] = "FRAG\n"
				  "DCL IN[0], GENERIC[0], PERSPECTIVE\n"
				  "DCL OUT[0], COLOR\n"
				  "  0: MOV OUT[0], IN[0]\n"
				  "  1: END\n";

const float gpu3d_whole[3][8] = {{-1, 1, 0, 1, 0, 1, 1, 1}, {3, 1, 0, 1, 0, 1, 1, 1}, {-1, -3, 0, 1, 0, 1, 1, 1}};

struct gpu3d *gpu3d_shared;
static const char *no_gpu;

int gpu3d_start(void **state)
{
	const struct fake_guest_options options = {.memory_bytes = 64u << 20};

	(void)state;
	if (gpu3d_create(&gpu3d_shared, &options, "virgl", &no_gpu) < 0)
		gpu3d_shared = NULL;
	return 0;
}

int gpu3d_stop(void **state)
{
	(void)state;
	gpu3d_destroy(gpu3d_shared);
	return 0;
}

int gpu3d_restart(void **state)
{
	(void)state;
	if (gpu3d_shared)
		gpu3d_boot(gpu3d_shared);
	return 0;
}

struct gpu3d *gpu3d_needed(void)
{
	if (!gpu3d_shared) {
		print_message("no 3D here: %s\n", no_gpu);
		skip();
	}
	return gpu3d_shared;
}

bool gpu3d_draws(struct gpu3d *t, uint32_t first_id)
{
	struct gpu3d_resource target = gpu3d_texture(t, first_id, BGRA, TARGET, 32, 32, 0);
	struct gpu3d_resource buffer = gpu3d_buffer(t, first_id + 1, VIRGL_BIND_VERTEX_BUFFER, sizeof(gpu3d_whole));

	memcpy(buffer.pages, gpu3d_whole, sizeof(gpu3d_whole));
	if (gpu3d_upload(t, &buffer) != OK)
		return false;
	gpu3d_plain_state(t);
	gpu3d_draw_to(t, 4, &target, BGRA);
	gpu3d_shaders(t, 5, gpu3d_vertex_shader, 6, gpu3d_color_shader);
	gpu3d_vertices(t, 7, &buffer, 2);
	virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 3);
	if (gpu3d_submit(t) != OK || gpu3d_read_back(t, &target) != OK)
		return false;
	for (size_t i = 0; i < target.bytes; i += 4)
		if (memcmp(target.pages + i, "\xff\xff\x00\xff", 4) != 0)
			return false;
	return true;
}
