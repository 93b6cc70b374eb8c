// SPDX-License-Identifier: MIT
/*
 * Where the CPU draws, a long submission is flushed while it is read (host/gpu/virgl_submit.c). A thread of llvmpipe's that
 * is late must not find that what it is about to unlock was destroyed: here they are late, and it is looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/virtio_gpu.h"
#include "tests/lib/gpu3d_test.h"
#include "tests/lib/tap.h"

/* Small, so that the threads come to the end of what they were given while more is read. */
enum { SIZE = 16, DRAWS = 2000, SUBMISSIONS = 8, ROUNDS = 4, LATE_US = 1000 };

static atomic_bool are_late;
static atomic_uint late, destroyed;

/* ---- what the driver calls instead of the C library ---- */

/* Where one that draws has counted itself off and holds the lock yet. */
int pthread_cond_broadcast(pthread_cond_t *c)
{
	static int (*real)(pthread_cond_t * c);
	char name[16] = "";

	/* Each thread finds the same. */
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_cond_broadcast");
	if (are_late && !pthread_getname_np(pthread_self(), name, sizeof(name)) && !strncmp(name, "llvmpipe", 8)) {
		late++;
		usleep(LATE_US);
	}
	return real(c);
}

int pthread_mutex_destroy(pthread_mutex_t *m)
{
	static int (*real)(pthread_mutex_t * m);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_destroy");
	/* Only then: what the driver does by itself afterwards is its own. */
	if (are_late) {
		if (pthread_mutex_trylock(m))
			destroyed++;
		else
			pthread_mutex_unlock(m);
	}
	return real(m);
}

/* ---- */

static const char constant_shader[] = "FRAG\n"
				      "DCL OUT[0], COLOR\n"
				      "DCL CONST[0][0]\n"
				      "  0: MOV OUT[0], CONST[0][0]\n"
				      "  1: END\n";

static void a_thread_that_is_late_finds_its_fence(void **state)
{
	const uint32_t rgba[4] = {VIRGL_FLOAT_1, VIRGL_FLOAT_0, VIRGL_FLOAT_1, VIRGL_FLOAT_1};
	struct gpu3d *t = gpu3d_needed();
	struct gpu3d_resource target = gpu3d_texture(t, 10, BGRA, TARGET, SIZE, SIZE, 0);
	struct gpu3d_resource buffer = gpu3d_buffer(t, 11, VIRGL_BIND_VERTEX_BUFFER, sizeof(gpu3d_whole));
	uint32_t pixel;

	(void)state;
	memcpy(buffer.pages, gpu3d_whole, sizeof(gpu3d_whole));
	assert_int_equal(gpu3d_upload(t, &buffer), OK);
	gpu3d_plain_state(t);
	gpu3d_draw_to(t, 4, &target, BGRA);
	gpu3d_shaders(t, 5, gpu3d_vertex_shader, 6, constant_shader);
	gpu3d_vertices(t, 7, &buffer, 2);
	assert_int_equal(gpu3d_submit(t), OK);
	for (unsigned round = 0; round < ROUNDS; round++) {
		/* Not where the driver flushes by itself, as when contexts are changed. */
		are_late = true;
		for (unsigned n = 0; n < SUBMISSIONS; n++) {
			for (unsigned i = 0; i < DRAWS; i++) {
				virgl_set_constants(&t->stream, PIPE_SHADER_FRAGMENT, rgba, 4);
				virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 3);
			}
			assert_int_equal(gpu3d_submit(t), OK);
		}
		are_late = false;
		usleep(2 * LATE_US);
		assert_int_equal(gpu3d_read_back(t, &target), OK);
		memcpy(&pixel, target.pages, sizeof(pixel));
		assert_int_equal(pixel, 0xffff00ff);
	}
	if (!late)
		tap_skip("no llvmpipe whose threads could be held up");
	assert_int_equal(destroyed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_thread_that_is_late_finds_its_fence, gpu3d_restart),
	};

	return cmocka_run_group_tests_name("virgl flush", tests, gpu3d_start, gpu3d_stop);
}
