// SPDX-License-Identifier: MIT
#include "tests/bench/gpu_scene.h"

#include <math.h>
#include <string.h>

const struct gpu_scene gpu_scenes[3] = {
	{.kind = GPU_SCENE_DRAWS, .width = 800, .height = 600, .draws = 1000},
	{.kind = GPU_SCENE_FILL, .width = 800, .height = 600, .draws = 1, .iterations = 24},
	/* Nothing but cleared. */
	{.kind = GPU_SCENE_DRAWS, .width = 800, .height = 600, .draws = 0},
};

void gpu_scene_constants(unsigned i, float out[4])
{
	out[0] = -1.0f + 2.0f * ((float)(i % GPU_SCENE_COLUMNS) + 0.5f) / (float)GPU_SCENE_COLUMNS;
	out[1] = -1.0f + 2.0f * ((float)(i / GPU_SCENE_COLUMNS) + 0.5f) / 25.0f;
	out[2] = (float)(i % 256) / 255.0f;
	out[3] = (float)(i / 4 % 256) / 255.0f;
}

unsigned gpu_scene_vertices(const struct gpu_scene *s, float out[GPU_SCENE_VERTICES][4])
{
	static const float whole[6][4] = {{-1, -1, 0, 1}, {1, -1, 0, 1}, {-1, 1, 0, 1},
					  {1, -1, 0, 1},  {1, 1, 0, 1},	 {-1, 1, 0, 1}};

	if (s->kind == GPU_SCENE_FILL) {
		memcpy(out, whole, sizeof(whole));
		return 6;
	}
	for (unsigned i = 0; i < GPU_SCENE_SEGMENTS; i++) {
		for (unsigned corner = 0; corner < 3; corner++) {
			const float angle = 6.2831853f * (float)(i + (corner == 2)) / (float)GPU_SCENE_SEGMENTS;
			const float radius = corner ? 1.0f : 0.0f;
			float *v = out[3 * i + corner];

			v[0] = 0.020f * radius * cosf(angle);
			v[1] = 0.032f * radius * sinf(angle);
			v[2] = 0.0f;
			v[3] = 1.0f;
		}
	}
	return GPU_SCENE_VERTICES;
}
