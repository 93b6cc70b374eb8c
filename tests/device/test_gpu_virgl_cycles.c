// SPDX-License-Identifier: MIT
/* A guest that starts and resets its GPU a thousand times leaves no descriptor and no memory behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/gpu/format.h"
#include "protocol/virgl.h"
#include "protocol/virtio_gpu.h"
#include "tests/lib/gpu3d.h"
#include "tests/lib/tap.h"
#include "tests/lib/usage.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define WARM_UP 50u
#ifdef __SANITIZE_ADDRESS__
#define CYCLES 200u /* each is slow, and one that leaks is enough */
#else
#define CYCLES 1000u
#endif
/* What grows once in a while and for all (tables of drivers, the heap's own) is far below what one resource has. */
#define GROWTH (CYCLES * 64u)

static size_t heap_bytes(void)
{
	const struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* A session of a driver: a picture is drawn and shown; half of them tidy up before the next begins. */
static void session(struct gpu3d *t, unsigned i)
{
	struct gpu3d_resource r, small;

	gpu3d_boot(t);
	r = gpu3d_texture(t, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, VIRGL_BIND_RENDER_TARGET, 64, 64, 0);
	small = gpu3d_texture(t, 2, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, VIRGL_BIND_SAMPLER_VIEW, 16, 16, 0);
	memset(r.pages, (int)i, r.bytes);
	assert_int_equal(gpu3d_upload(t, &r), OK);
	assert_int_equal(gpu3d_set_scanout(t, 1, 64, 64), OK);
	assert_int_equal(gpu3d_flush(t, 1, 0, 0, 64, 64), OK);
	gpu3d_finish(t);
	if (i % 2) {
		assert_int_equal(gpu3d_unref(t, small.id), OK);
		assert_int_equal(gpu3d_unref(t, r.id), OK);
		assert_int_equal(gpu3d_context_destroy(t, t->ctx), OK);
	}
}

static void many_drivers_leave_nothing_behind(void **state)
{
	const char *why;
	struct gpu3d *t;
	size_t bytes;
	unsigned fds;

	(void)state;
	if (gpu3d_create(&t, NULL, "virgl", &why)) {
		printf("# %s\n", why);
		tap_skip("no 3D here");
	}
	for (unsigned i = 0; i < WARM_UP; i++)
		session(t, i);
	fds = usage_count(getpid(), "fd");
	bytes = heap_bytes();
	for (unsigned i = 0; i < CYCLES; i++)
		session(t, i);
	assert_int_equal(usage_count(getpid(), "fd"), fds);
	/* Under a sanitizer it counts nothing; that finds leaks itself. */
	if (heap_bytes() > bytes + GROWTH)
		fail_msg("%zu bytes more after %u sessions", heap_bytes() - bytes, CYCLES);
	gpu3d_destroy(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_drivers_leave_nothing_behind),
	};

	return cmocka_run_group_tests_name("gpu_virgl_cycles", tests, NULL, NULL);
}
