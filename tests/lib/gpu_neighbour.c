// SPDX-License-Identifier: MIT
#include "tests/lib/gpu_neighbour.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "tests/lib/gpu3d.h"
#include "tests/lib/gpu3d_test.h"
#include "tests/lib/vhost_peer.h"

#define MAX_OPTIONS 16u
#define MAX_AHEAD 32u

struct gpu_neighbour_shared {
	atomic_uint frames, longest_us;
};

static void run_program(const char *program, const char *const *options, int fd)
{
	const char *argv[MAX_OPTIONS + 4] = {program, "--fd", "3"};
	int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0; options && options[i] && i < MAX_OPTIONS; i++)
		argv[3 + i] = options[i];
	if (!getenv("MULLION_LOG"))
		dup2(null, STDERR_FILENO);
	if (dup2(fd, 3) == 3)
		execv(program, (char *const *)(uintptr_t)argv);
	_exit(127);
}

static void prepare(struct gpu3d *t, const struct gpu_neighbour_load *load)
{
	struct gpu3d_resource target, vertices;

	gpu3d_boot(t);
	target = gpu3d_texture(t, 10, BGRA, TARGET, load->size, load->size, 0);
	vertices = gpu3d_buffer(t, 11, VIRGL_BIND_VERTEX_BUFFER, sizeof(gpu3d_whole));
	memcpy(vertices.pages, gpu3d_whole, sizeof(gpu3d_whole));
	gpu3d_upload(t, &vertices);
	gpu3d_plain_state(t);
	gpu3d_draw_to(t, 4, &target, BGRA);
	gpu3d_shaders(t, 5, gpu3d_vertex_shader, 6, gpu3d_color_shader);
	gpu3d_vertices(t, 7, &vertices, 2);
	/* Blending, or only the last of the draws would be made. */
	virgl_create_blend(&t->stream, 8, &virgl_blend_over);
	virgl_bind_object(&t->stream, VIRGL_OBJECT_BLEND, 8);
	gpu3d_finish(t);
}

static void sleep_until(uint64_t ns)
{
	const struct timespec at = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static _Noreturn void live(struct gpu_neighbour_shared *shared, const char *program, const char *const *options,
			   const struct gpu_neighbour_load *load)
{
	struct fake_request *frames[MAX_AHEAD] = {NULL};
	struct gpu3d t = {.screen = &(struct gpu3d_screen){0}};
	struct vhost_peer *peer;
	uint64_t next, began;
	int pair[2];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		_exit(1);
	if (!fork())
		run_program(program, options, pair[1]);
	close(pair[1]);
	peer = vhost_peer_create_gpu(
		&(struct fake_guest_options){.event_idx = true, .indirect = true, .memory_bytes = 64 << 20}, pair[0]);
	t.guest = peer->guest;
	t.device = &peer->device;
	prepare(&t, load);
	next = loop_now_ns();
	for (unsigned i = 0;; i = (i + 1) % load->ahead) {
		const unsigned oldest = (i + 1) % load->ahead;
		unsigned us;

		if (load->pace_us) {
			sleep_until(next);
			next += load->pace_us * 1000ull;
			/* One that is late does not make up for it. */
			if (next < loop_now_ns())
				next = loop_now_ns();
		}
		began = loop_now_ns();
		for (unsigned d = 0; d < load->draws; d++)
			virgl_draw_arrays(&t.stream, PIPE_PRIM_TRIANGLES, 0, 3);
		frames[i] = gpu3d_submit_async(&t, ++t.last_fence, -1);
		if (!frames[oldest])
			continue;
		if (fake_guest_wait(t.guest, frames[oldest], 60000))
			_exit(2);
		fake_guest_free_request(t.guest, frames[oldest]);
		frames[oldest] = NULL;
		us = (unsigned)((loop_now_ns() - began) / 1000);
		if (us > shared->longest_us)
			shared->longest_us = us;
		shared->frames++;
	}
}

int gpu_neighbour_start(struct gpu_neighbour *n, const char *program, const char *const *options,
			const struct gpu_neighbour_load *load)
{
	n->shared = mmap(NULL, sizeof(*n->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (n->shared == MAP_FAILED)
		return -1;
	fflush(stdout);
	n->pid = fork();
	if (!n->pid)
		live(n->shared, program, options, load);
	for (unsigned i = 0; n->pid > 0 && i < 6000; i++) {
		if (n->shared->frames)
			return 0;
		if (waitpid(n->pid, NULL, WNOHANG) == n->pid)
			break;
		usleep(10000);
	}
	gpu_neighbour_stop(n);
	return -1;
}

unsigned gpu_neighbour_frames(const struct gpu_neighbour *n)
{
	return n->shared->frames;
}

double gpu_neighbour_rate(const struct gpu_neighbour *n, unsigned ms)
{
	const uint64_t began = loop_now_ns();
	const unsigned before = n->shared->frames;

	usleep(ms * 1000);
	return (n->shared->frames - before) * 1e9 / (double)(loop_now_ns() - began);
}

unsigned gpu_neighbour_longest_us(struct gpu_neighbour *n)
{
	return atomic_exchange(&n->shared->longest_us, 0);
}

void gpu_neighbour_stop(struct gpu_neighbour *n)
{
	if (n->pid > 0) {
		kill(n->pid, SIGKILL);
		waitpid(n->pid, NULL, 0);
	}
	munmap(n->shared, sizeof(*n->shared));
	n->pid = 0;
}
