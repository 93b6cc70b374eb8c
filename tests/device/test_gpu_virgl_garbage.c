// SPDX-License-Identifier: MIT
/*
 * Streams of garbage to the virgl renderer, from seeds. In children, because what virglrenderer or the driver below
 * it asserts ends a process; and none may end. With arguments "garbage|broken FIRST-SEED CHILDREN STREAMS" it hunts
 * for as long as you like.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/base/log.h"
#include "host/gpu/egl.h"
#include "protocol/virtio_gpu.h"
#include "tests/lib/gpu3d_test.h"
#include "tests/lib/tap.h"

#define SIZE 32u

static struct gpu3d *t;

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* A stream that looks like one: known commands, likely lengths, small numbers. */
static void put_garbage(uint32_t *seed)
{
	unsigned count = 1 + next_random(seed) % 12;

	while (count-- > 0) {
		uint32_t command = next_random(seed) % 64;
		uint32_t object = next_random(seed) % 13;
		uint32_t length = next_random(seed) % 24;
		uint32_t *w = t->words + t->stream.used;

		*w++ = VIRGL_HEADER(command, object, length);
		for (uint32_t i = 0; i < length; i++) {
			uint32_t any = next_random(seed);

			w[i] = any % 4 == 0 ? next_random(seed) : next_random(seed) % 16;
		}
		t->stream.used += 1 + length;
	}
}

/* One word of a good scene changed. */
static void put_broken_scene(uint32_t *seed)
{
	gpu3d_plain_state(t);
	virgl_create_surface(&t->stream, 4, 10, BGRA, 0, 0, 0);
	virgl_set_framebuffer(&t->stream, (const uint32_t[]){4}, 1, 0);
	virgl_set_viewport_whole(&t->stream, SIZE, SIZE, true);
	gpu3d_shaders(t, 5, gpu3d_vertex_shader, 6, gpu3d_color_shader);
	gpu3d_vertices(t, 7, &(const struct gpu3d_resource){.id = 11}, 2);
	virgl_clear(&t->stream, PIPE_CLEAR_COLOR0, (const uint32_t[4]){0}, 0, 0);
	virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 3);
	t->words[next_random(seed) % t->stream.used] =
		next_random(seed) % 3 == 0 ? next_random(seed) : next_random(seed) % 32;
}

static void garbage_child(uint32_t seed, unsigned streams, bool broken_scenes)
{
	struct gpu3d_resource buffer;
	const char *why;

	tap_begin_child();
	log_set_levels("error");
	if (gpu3d_create(&t, NULL, "virgl", &why) < 0)
		_exit(2);
	gpu3d_boot(t);
	for (unsigned i = 0; i < streams; i++) {
		/* A context is in error after the first bad command: a new one for each. */
		assert_int_equal(gpu3d_context(t, 2, 0), OK);
		t->ctx = 2;
		if (i == 0) {
			gpu3d_texture(t, 10, BGRA, TARGET, SIZE, SIZE, 0);
			buffer = gpu3d_buffer(t, 11, VIRGL_BIND_VERTEX_BUFFER, sizeof(gpu3d_whole));
			memcpy(buffer.pages, gpu3d_whole, sizeof(gpu3d_whole));
			gpu3d_upload(t, &buffer);
		}
		gpu3d_attach(t, 10);
		gpu3d_attach(t, 11);
		if (broken_scenes)
			put_broken_scene(&seed);
		else
			put_garbage(&seed);
		gpu3d_submit(t);
		assert_int_equal(gpu3d_context_destroy(t, 2), OK);
		t->ctx = 1;
	}
	if (!gpu3d_draws(t, 20))
		_exit(3);
	_exit(0);
}

static unsigned run_children(bool broken_scenes, uint32_t first, unsigned children, unsigned streams)
{
	unsigned died = 0;

	for (uint32_t seed = first; seed < first + children; seed++) {
		int status;
		pid_t child;

		fflush(NULL);
		child = fork();
		assert_true(child >= 0);
		if (child == 0)
			garbage_child(seed * 2654435761u, streams, broken_scenes);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			continue;
		print_message("seed %u: %s %d\n", seed, WIFSIGNALED(status) ? "signal" : "exit",
			      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		died++;
	}
	return died;
}

/* Asked in a child too: this process must not have threads when it forks. */
static void need_gpu(void)
{
	struct gpu_egl *egl;
	char why[256];
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (gpu_egl_create(NULL, &egl, why, sizeof(why)) == 0)
			_exit(0);
		print_message("no 3D here: %s\n", why);
		fflush(NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		skip();
}

static void garbage_leaves_the_device_alive(void **state)
{
	(void)state;
	need_gpu();
	/* Three processes of forty streams: seconds. */
	assert_int_equal(run_children(false, 1, 3, 40), 0);
}

static void broken_scenes_leave_the_device_alive(void **state)
{
	(void)state;
	need_gpu();
	assert_int_equal(run_children(true, 1, 3, 40), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(garbage_leaves_the_device_alive),
		cmocka_unit_test(broken_scenes_leave_the_device_alive),
	};

	if (argc == 5)
		return run_children(argv[1][0] == 'b', (uint32_t)atoi(argv[2]), (unsigned)atoi(argv[3]),
				    (unsigned)atoi(argv[4])) != 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
