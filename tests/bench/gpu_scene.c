// SPDX-License-Identifier: MIT
#include "tests/bench/gpu_scene.h"

#include <string.h>

const struct gpu_scene gpu_scenes[2] = {
	{.kind = GPU_SCENE_DRAWS, .width = 400, .height = 250, .draws = 1000},
	{.kind = GPU_SCENE_FILL, .width = 800, .height = 600, .draws = 1, .iterations = 24},
};

void gpu_scene_constants(unsigned i, float out[4])
{
	out[0] = -1.0f + 2.0f * ((float)(i % GPU_SCENE_COLUMNS) + 0.5f) / (float)GPU_SCENE_COLUMNS;
	out[1] = -1.0f + 2.0f * ((float)(i / GPU_SCENE_COLUMNS) + 0.5f) / 25.0f;
	out[2] = (float)(i % 256) / 255.0f;
	out[3] = (float)(i / 4 % 256) / 255.0f;
}

unsigned gpu_scene_vertices(const struct gpu_scene *s, float out[6][4])
{
	static const float small[3][4] = {{-0.02f, -0.03f, 0, 1}, {0.02f, -0.03f, 0, 1}, {0, 0.03f, 0, 1}};
	static const float whole[6][4] = {{-1, -1, 0, 1}, {1, -1, 0, 1}, {-1, 1, 0, 1}, {1, -1, 0, 1}, {1, 1, 0, 1}, {-1, 1, 0, 1}};

	if (s->kind == GPU_SCENE_DRAWS) {
		memcpy(out, small, sizeof(small));
		return 3;
	}
	memcpy(out, whole, sizeof(whole));
	return 6;
}
