// SPDX-License-Identifier: MIT
/*
 * Fences where virglrenderer has no fence thread: the renderer polls by a timer. A program of its own, because the
 * library keeps the choice for the life of the process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/virtio_gpu.h"
#include "tests/lib/gpu3d.h"

static void fences_complete_by_polling(void **state)
{
	static const uint32_t color[4] = {VIRGL_FLOAT_1, VIRGL_FLOAT_HALF, VIRGL_FLOAT_0, VIRGL_FLOAT_1};
	struct fake_request *requests[10];
	struct gpu3d_resource r;
	const char *no_gpu;
	struct gpu3d *t;

	(void)state;
	/* What virglrenderer looks at. */
	setenv("VIRGL_DISABLE_MT", "1", 1);
	if (gpu3d_create(&t, NULL, "virgl", &no_gpu) < 0) {
		print_message("no 3D here: %s\n", no_gpu);
		skip();
	}
	/* Twice: fences outstanding at the reset must not keep those after it. */
	for (unsigned round = 0; round < 2; round++) {
		gpu3d_boot(t);
		r = gpu3d_texture(t, 10, VIRGL_FORMAT_B8G8R8A8_UNORM, VIRGL_BIND_RENDER_TARGET, 256, 256, 0);
		gpu3d_draw_to(t, 4, &r, VIRGL_FORMAT_B8G8R8A8_UNORM);
		for (unsigned i = 0; i < 10; i++) {
			virgl_clear(&t->stream, PIPE_CLEAR_COLOR0, color, VIRGL_DOUBLE_1, 0);
			gpu3d_finish(t);
		}
		for (unsigned i = 0; i < 10; i++)
			requests[i] = gpu3d_submit_async(t, i + 1, -1);
		fake_guest_reset(t->guest);
		for (unsigned i = 0; i < 10; i++)
			fake_guest_free_request(t->guest, requests[i]);
	}
	gpu3d_destroy(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(fences_complete_by_polling)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
