// SPDX-License-Identifier: MIT
/*
 * Frames a second through the device, by a driver program over fake guest memory (so no guest CPU is in the way),
 * against the same scene drawn natively. A frame ends when its fence is answered, or with glFinish(). The two take
 * turns, in processes of their own.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/base/log.h"
#include "tests/bench/bench.h"
#include "tests/bench/gpu_scene.h"

#define ROUNDS 21u
#define WARM_UP_FRAMES 10u

static unsigned slice_ms = 250;

struct measured {
	double frames_per_second;
	double cpu_ms; /* of all threads, a frame */
	char renderer[96];
};

static void write_all(int fd, const void *data, size_t bytes)
{
	if (write(fd, data, bytes) != (ssize_t)bytes)
		exit(1);
}

static bool read_all(int fd, void *data, size_t bytes)
{
	uint8_t *at = data;

	while (bytes > 0) {
		ssize_t n = read(fd, at, bytes);

		if (n <= 0)
			return false;
		at += n;
		bytes -= (size_t)n;
	}
	return true;
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* @frame(@owner) again and again for a slice. */
static void measure(void (*frame)(void *owner), void *owner, struct measured *m)
{
	uint64_t begin = bench_now_ns(), end = begin;
	double cpu = cpu_seconds();
	unsigned frames = 0;

	while (end - begin < slice_ms * 1000000ull) {
		frame(owner);
		frames++;
		end = bench_now_ns();
	}
	m->frames_per_second = (double)frames * 1e9 / (double)(end - begin);
	m->cpu_ms = (cpu_seconds() - cpu) * 1e3 / (double)frames;
}

static void native_frame(void *owner)
{
	gpu_native_frame(owner);
}

static void through_frame(void *owner)
{
	gpu_through_frame(owner);
}

/* The native side: sends its picture once, then a figure for every 'g' it gets. */
static void native_process(const struct gpu_scene *s, int in, int out)
{
	struct measured m = {0};
	struct gpu_native *n;
	const char *renderer;
	size_t bytes = (size_t)s->width * s->height * 4;
	void *pixels = malloc(bytes);
	char go;

	if (!pixels || gpu_native_create(s, &n, &renderer) < 0)
		exit(1);
	snprintf(m.renderer, sizeof(m.renderer), "%s", renderer);
	for (unsigned i = 0; i < WARM_UP_FRAMES; i++)
		gpu_native_frame(n);
	gpu_native_read(n, pixels);
	write_all(out, pixels, bytes);
	while (read(in, &go, 1) == 1 && go == 'g') {
		measure(native_frame, n, &m);
		write_all(out, &m, sizeof(m));
	}
	gpu_native_destroy(n);
	free(pixels);
	exit(0);
}

/* How many pixels differ by more than a rounding step or two. */
static unsigned differences(const uint8_t *a, const uint8_t *b, size_t bytes)
{
	unsigned count = 0;

	for (size_t i = 0; i < bytes; i++) {
		int d = (int)a[i] - (int)b[i];

		count += d < -2 || d > 2;
	}
	return count;
}

struct peer {
	pid_t process;
	int to, from;
};

/* Before this process has anything to do with OpenGL: what comes out of a fork then is not usable. */
static struct peer start_peer(const struct gpu_scene *s)
{
	int to_child[2], from_child[2];
	struct peer p;

	if (pipe(to_child) < 0 || pipe(from_child) < 0)
		exit(1);
	fflush(NULL);
	p.process = fork();
	if (p.process < 0)
		exit(1);
	if (p.process == 0) {
		close(to_child[1]);
		close(from_child[0]);
		native_process(s, to_child[0], from_child[1]);
	}
	close(to_child[0]);
	close(from_child[1]);
	p.to = to_child[1];
	p.from = from_child[0];
	return p;
}

static void bench(const struct gpu_scene *s, const struct peer *peer, const char *id, double goal)
{
	size_t bytes = (size_t)s->width * s->height * 4;
	uint8_t *native_pixels = malloc(bytes), *through_pixels = malloc(bytes);
	double ratios[ROUNDS], natives[ROUNDS], throughs[ROUNDS], native_cpu[ROUNDS], through_cpu[ROUNDS];
	struct bench_row row = {.id = id, .unit = "ratio", .goal = goal, .higher_is_better = true};
	struct gpu_through *d;
	struct measured m = {0}, ours;
	char note[320];
	int status;

	if (!native_pixels || !through_pixels)
		exit(1);
	if (!read_all(peer->from, native_pixels, bytes) || gpu_through_create(s, 0, &d) < 0) {
		bench_print_missing(id, "ratio", goal, true, "no OpenGL on this host");
		goto out;
	}
	for (unsigned i = 0; i < WARM_UP_FRAMES; i++)
		gpu_through_frame(d);
	gpu_through_read(d, through_pixels);
	if (differences(native_pixels, through_pixels, bytes) > bytes / 1000) {
		bench_print_missing(id, "ratio", goal, true, "the two pictures differ");
		gpu_through_destroy(d);
		goto out;
	}
	for (unsigned i = 0; i < ROUNDS; i++) {
		write_all(peer->to, "g", 1);
		if (!read_all(peer->from, &m, sizeof(m)))
			exit(1);
		natives[i] = m.frames_per_second;
		native_cpu[i] = m.cpu_ms;
		measure(through_frame, d, &ours);
		throughs[i] = ours.frames_per_second;
		through_cpu[i] = ours.cpu_ms;
		ratios[i] = throughs[i] / natives[i];
	}
	gpu_through_destroy(d);
	row.value = bench_median(ratios, ROUNDS);
	row.runs = ROUNDS;
	row.min = ratios[0];
	row.max = ratios[ROUNDS - 1];
	row.peer = "native EGL, same scene, frames/s";
	row.peer_value = bench_median(natives, ROUNDS);
	snprintf(note, sizeof(note),
		 "%s, %ux%u, %u draw%s a frame, each fence awaited; medians through the device and natively: %.1f and "
		 "%.1f frames/s, "
		 "%.2f and %.2f ms of CPU a frame",
		 m.renderer, s->width, s->height, s->draws, s->draws == 1 ? "" : "s", bench_median(throughs, ROUNDS),
		 row.peer_value, bench_median(through_cpu, ROUNDS), bench_median(native_cpu, ROUNDS));
	row.note = note;
	bench_print(&row);
out:
	/* Its end of the pipe lives on in the other peer, so closing ours does not tell it. */
	write_all(peer->to, "q", 1);
	close(peer->to);
	close(peer->from);
	waitpid(peer->process, &status, 0);
	free(native_pixels);
	free(through_pixels);
}

/* An argument is the length of a slice in ms, for profiling. */
int main(int argc, char **argv)
{
	struct peer draws, fill, clear;

	if (argc > 1)
		slice_ms = (unsigned)atoi(argv[1]);
	log_set_levels("warn");
	/* As the renderer does where the CPU draws; else the native side is slower by what it gives back every frame. */
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	draws = start_peer(&gpu_scenes[0]);
	fill = start_peer(&gpu_scenes[1]);
	clear = start_peer(&gpu_scenes[2]);
	bench(&gpu_scenes[0], &draws, "gpu.device_draws_vs_native", 0.85);
	bench(&gpu_scenes[1], &fill, "gpu.device_fill_vs_native", 0.95);
	bench(&gpu_scenes[2], &clear, "gpu.device_clear_vs_native", 0.75);
	return 0;
}
