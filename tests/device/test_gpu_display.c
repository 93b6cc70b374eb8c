// SPDX-License-Identifier: MIT
/*
 * The program mullion-gpu and a display that listens at a path: frames get there from its sandbox, also those of a worker
 * that took over, and a display that leaves ends nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/child_of.h"
#include "tests/lib/display_peer.h"
#include "tests/lib/gpu_world.h"
#include "tests/lib/program_path.h"
#include "tests/lib/tap.h"
#include "tests/lib/vhost_peer.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define BGRX VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define WIDTH 64u
#define HEIGHT 32u

static char program[512], directory[] = "/tmp/mullion-display-XXXXXX";

static int start(void **state)
{
	(void)state;
	return program_path("mullion-gpu", program, sizeof(program)) && mkdtemp(directory) ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	return rmdir(directory);
}

/* Serve the frontend at the other end of @fd, with frames to @display. */
static pid_t run_program(int fd, const char *display)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!getenv("MULLION_LOG"))
		dup2(open("/dev/null", O_RDWR), STDERR_FILENO);
	if (dup2(fd, 3) == 3)
		execl(program, program, "--fd", "3", "--gpu", "renderer=2d", "--display", display, (char *)NULL);
	_exit(127);
}

struct viewed {
	char path[64];
	pid_t pid;
	struct vhost_peer *peer;
	struct display_peer *display;
	struct gpu_world w; /* only its driver */
	uint32_t *pixels;
};

static void begin(struct viewed *v)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), pair[2];

	if (access(program, X_OK))
		tap_skip("mullion-gpu is not built in this folder");
	snprintf(v->path, sizeof(v->path), "%s/display", directory);
	memcpy(address.sun_path, v->path, strlen(v->path) + 1);
	assert_true(listener >= 0);
	assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	v->pid = run_program(pair[1], v->path);
	close(pair[1]);
	v->peer = vhost_peer_create_gpu(&(struct fake_guest_options){0}, pair[0]);
	v->display = display_peer_create(fake_guest_loop(v->peer->guest));
	close(v->display->given);
	close(v->display->fd);
	v->display->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(v->display->fd >= 0);
	close(listener);
	unlink(v->path);
	v->w = (struct gpu_world){.guest = v->peer->guest, .device = &v->peer->device};
	assert_int_equal(fake_guest_start(v->peer->guest, &v->peer->device), 0);
	assert_int_equal(gpu_create_2d(&v->w, 1, BGRX, WIDTH, HEIGHT), OK);
	v->pixels = gpu_back(&v->w, 1, WIDTH * HEIGHT * 4, NULL);
	assert_int_equal(gpu_scan(&v->w, 0, 1, gpu_rect(0, 0, WIDTH, HEIGHT)), OK);
}

static void draw(struct viewed *v, int value)
{
	memset(v->pixels, value, WIDTH * HEIGHT * 4);
	assert_int_equal(gpu_transfer(&v->w, 1, gpu_rect(0, 0, WIDTH, HEIGHT), 0), OK);
	assert_int_equal(gpu_flush(&v->w, 1, gpu_rect(0, 0, WIDTH, HEIGHT)), OK);
}

/* The display shows @value, a moment later. */
static void expect(struct viewed *v, int value)
{
	const struct peer_scanout *s = &v->display->scanouts[0];
	uint32_t pixel;

	memset(&pixel, value, sizeof(pixel));
	for (unsigned i = 0; i < 500; i++) {
		display_peer_run(v->display, 20);
		if (s->pixels && (s->pixels[WIDTH + 1] & 0xffffff) == (pixel & 0xffffff))
			break;
	}
	assert_int_equal(s->width, WIDTH);
	assert_int_equal(s->height, HEIGHT);
	assert_non_null(s->pixels);
	for (unsigned i = 0; i < WIDTH * HEIGHT; i++)
		assert_int_equal(s->pixels[i] & 0xffffff, pixel & 0xffffff);
}

static void end(struct viewed *v)
{
	int status;

	vhost_peer_disconnect(v->peer);
	assert_int_equal(waitpid(v->pid, &status, 0), v->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	virtio_device_finish(&v->peer->device);
	display_peer_destroy(v->display);
	vhost_peer_destroy(v->peer);
}

static void frames_get_to_whoever_listens(void **state)
{
	struct viewed v;

	(void)state;
	begin(&v);
	draw(&v, 0x35);
	expect(&v, 0x35);
	draw(&v, 0x71);
	expect(&v, 0x71);
	end(&v);
}

static void so_do_those_of_another_worker(void **state)
{
	struct viewed v;
	pid_t worker;

	(void)state;
	begin(&v);
	draw(&v, 0x35);
	expect(&v, 0x35);
	worker = child_of(v.pid, 0);
	if (!worker) {
		end(&v);
		tap_skip("this kernel does not list the children of a process");
	}
	assert_int_equal(kill(worker, SIGKILL), 0);
	draw(&v, 0x22);
	expect(&v, 0x22);
	end(&v);
}

static void a_display_that_leaves_ends_nothing(void **state)
{
	struct viewed v;

	(void)state;
	begin(&v);
	draw(&v, 0x35);
	expect(&v, 0x35);
	assert_int_equal(shutdown(v.display->fd, SHUT_RDWR), 0);
	for (int i = 0; i < 10; i++)
		draw(&v, i);
	end(&v);
}

/* One that accepts nobody, and has as many before its door as may wait there: a listener and who waits. */
static void listen_in_vain(const char *path, int fds[2])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, path, strlen(path) + 1);
	for (unsigned i = 0; i < 2; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(fds[i] >= 0);
	}
	assert_int_equal(bind(fds[0], (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fds[0], 0), 0);
	assert_int_equal(connect(fds[1], (const struct sockaddr *)&address, sizeof(address)), 0);
}

static void without_one_it_does_not_start(void **state)
{
	char path[64], long_path[200], full[64];
	const char *const paths[] = {path, long_path, full};
	static const int statuses[] = {EXIT_FAILURE, 2, EXIT_FAILURE};
	int waiting[2];

	(void)state;
	if (access(program, X_OK))
		tap_skip("mullion-gpu is not built in this folder");
	snprintf(path, sizeof(path), "%s/nobody", directory);
	memset(long_path, '/', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	snprintf(full, sizeof(full), "%s/full", directory);
	listen_in_vain(full, waiting);
	for (unsigned i = 0; i < 3; i++) {
		int pair[2], status;
		pid_t pid;

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		pid = run_program(pair[1], paths[i]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), statuses[i]);
		close(pair[0]);
		close(pair[1]);
	}
	close(waiting[0]);
	close(waiting[1]);
	unlink(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_get_to_whoever_listens),
		cmocka_unit_test(so_do_those_of_another_worker),
		cmocka_unit_test(a_display_that_leaves_ends_nothing),
		cmocka_unit_test(without_one_it_does_not_start),
	};

	return cmocka_run_group_tests_name("gpu_display", tests, start, stop);
}
