// SPDX-License-Identifier: MIT
/* The virgl renderer draws in a worker whose sandbox is closed: drivers, compilers of shaders and their threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/vhost/sandbox.h"
#include "protocol/virtio_gpu.h"
#include "tests/lib/elsewhere.h"
#include "tests/lib/gpu3d_test.h"
#include "tests/lib/tap.h"

#define GOOD 0
#define NO_3D 77

static const char *no_gpu = "";

/* Shaders that this worker has in files, below @folder. */
static unsigned count_files(const char *folder)
{
	char path[512];
	unsigned count = 0;
	struct dirent *e;
	DIR *d = opendir(folder);

	while (d && (e = readdir(d))) {
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (e->d_name[0] == '.' || lstat(path, &st))
			continue;
		count += S_ISDIR(st.st_mode) ? count_files(path) : st.st_size > 0;
	}
	if (d)
		closedir(d);
	return count;
}

/* It begins empty: what another guest's worker, or the user, has of them is not there. */
static bool cache_is_empty(void)
{
	return count_files("/cache") == 0;
}

/* Shaders that the driver has not seen before the lock, each of another length. */
static bool draws_with_new_shader(struct gpu3d *t, unsigned moves)
{
	struct gpu3d_resource target = gpu3d_texture(t, 60, BGRA, TARGET, 32, 32, 0);
	struct gpu3d_resource buffer = gpu3d_buffer(t, 61, VIRGL_BIND_VERTEX_BUFFER, sizeof(gpu3d_whole));
	char text[4096];
	size_t n = (size_t)sprintf(text, "FRAG\nDCL IN[0], GENERIC[0], PERSPECTIVE\nDCL OUT[0], COLOR\nDCL TEMP[0..1]\n"
					 "  0: MOV TEMP[0], IN[0]\n");

	/* Each turns red to green, green to blue, ... */
	for (unsigned i = 1; i <= moves; i++)
		n += (size_t)sprintf(text + n, "%u: MOV TEMP[%u].xyzw, TEMP[%u].zxyw\n", i, i % 2, (i + 1) % 2);
	sprintf(text + n, "%u: MOV OUT[0], TEMP[%u]\n%u: END\n", moves + 1, moves % 2, moves + 2);
	memcpy(buffer.pages, gpu3d_whole, sizeof(gpu3d_whole));
	if (gpu3d_upload(t, &buffer) != OK)
		return false;
	gpu3d_plain_state(t);
	gpu3d_draw_to(t, 4, &target, BGRA);
	gpu3d_shaders(t, 5, gpu3d_vertex_shader, 6, text);
	gpu3d_vertices(t, 7, &buffer, 2);
	virgl_draw_arrays(&t->stream, PIPE_PRIM_TRIANGLES, 0, 3);
	gpu3d_finish(t);
	if (gpu3d_read_back(t, &target) != OK)
		return false;
	/* Blue, green, red; the colour is (0, 1, 1), so after @moves turns this channel has none. */
	for (size_t i = 0; i < target.bytes; i++)
		if (target.pages[i] != (i % 4 < 3 && i % 4 == 2 - moves % 3 ? 0 : 0xff))
			return false;
	return true;
}

static int worker(struct sandbox *s, void *arg)
{
	const struct fake_guest_options options = {.memory_bytes = 64u << 20};
	struct gpu3d *t;
	const uint64_t shader_cache_bytes = *(const uint64_t *)arg;
	int status = GOOD;
	bool has_cache;

	if (sandbox_prepare(s, NULL, 0))
		return 1;
	has_cache = shader_cache_bytes && !strstr(sandbox_missing(s), "file tree");
	if (has_cache && !cache_is_empty())
		return 20;
	if (gpu3d_create(&t, &options, "virgl", &no_gpu) < 0) {
		printf("# no 3D: %s\n", no_gpu);
		return NO_3D;
	}
	if (sandbox_lock(s))
		return 2;
	/* Twice, as a guest that starts again. */
	for (unsigned round = 0; status == GOOD && round < 2; round++) {
		gpu3d_boot(t);
		if (!gpu3d_draws(t, 40))
			status = 3;
	}
	for (unsigned moves = 1; status == GOOD && moves < 4; moves++) {
		gpu3d_boot(t);
		if (!draws_with_new_shader(t, moves))
			status = 3 + (int)moves;
	}
	gpu3d_destroy(t);
	/* A thread of Mesa's writes them. */
	for (unsigned i = 0; has_cache && cache_is_empty() && i < 500; i++)
		usleep(10000);
	if (status == GOOD && has_cache && cache_is_empty())
		return 21;
	return status;
}

static int draw(uint64_t shader_cache_bytes)
{
	const struct sandbox_config config = {.profile = &sandbox_gpu, .shader_cache_bytes = shader_cache_bytes};
	struct sandbox_child child;
	struct sandbox *s;
	int status;

	if (sandbox_create(&config, &s))
		return 10;
	if (sandbox_spawn(s, worker, &shader_cache_bytes, &child)) {
		sandbox_destroy(s);
		return 11;
	}
	close(child.pidfd);
	status = elsewhere_wait(child.pid);
	sandbox_destroy(s);
	return status;
}

static void check(int status, const char *impossible)
{
	if (status == NO_3D)
		tap_skip("no 3D on this machine");
	if (status >= 100)
		tap_skip(impossible);
	assert_int_equal(status, GOOD);
}

static int draw_here(void)
{
	return draw(0);
}

static void draws_behind_the_lock(void **state)
{
	(void)state;
	check(draw(0), "");
}

static void draws_with_a_shader_cache(void **state)
{
	(void)state;
	/* The second one finds nothing of the first's. */
	for (unsigned i = 0; i < 2; i++)
		check(draw(16 << 20), "");
}

static void draws_as_nobody(void **state)
{
	(void)state;
	check(elsewhere_as_nobody(draw_here), "needs root, to be another user");
}

static void draws_without_user_namespaces(void **state)
{
	(void)state;
	check(elsewhere_without_user_namespaces(draw_here), "no user namespace to turn them off in");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(draws_behind_the_lock),
		cmocka_unit_test(draws_with_a_shader_cache),
		cmocka_unit_test(draws_as_nobody),
		cmocka_unit_test(draws_without_user_namespaces),
	};

	return cmocka_run_group_tests_name("gpu in its sandbox", tests, NULL, NULL);
}
