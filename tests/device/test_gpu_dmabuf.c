// SPDX-License-Identifier: MIT
/*
 * mullion-gpu, in its sandbox, shows what a guest draws to a VMM's display without a copy: as dma-bufs that the display
 * imports on the same GPU. It needs a render node whose driver exports them; tests/linux/uml-render-node has one anywhere.
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
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "protocol/vhost_user.h"
#include "protocol/vhost_user_gpu.h"
#include "protocol/virtio_gpu.h"
#include "tests/lib/child_of.h"
#include "tests/lib/dmabuf_viewer.h"
#include "tests/lib/gpu3d_test.h"
#include "tests/lib/program_path.h"
#include "tests/lib/tap.h"
#include "tests/lib/vhost_peer.h"

#define WIDTH 96u
#define HEIGHT 64u
#define SCANOUT_TARGET (TARGET | VIRGL_BIND_SCANOUT)
#define BOTH (1u << VHOST_USER_GPU_PROTOCOL_F_EDID | 1u << VHOST_USER_GPU_PROTOCOL_F_DMABUF2)

static char program[512];

struct place {
	struct dmabuf_viewer viewer;
	struct vhost_peer *peer;
	struct gpu3d t;
	pid_t keeper;
};

/* ---- start and end ---- */

static _Noreturn void run_program(int fd)
{
	int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!getenv("MULLION_LOG"))
		dup2(null, STDERR_FILENO);
	if (dup2(fd, 3) == 3)
		execl(program, program, "--fd", "3", "--gpu", "renderer=virgl,dmabuf=on", NULL);
	_exit(127);
}

static void show_to(struct place *w, struct dmabuf_viewer *v)
{
	assert_true(vhost_peer_send(w->peer, VHOST_USER_GPU_SET_SOCKET, 0, NULL, 0, &v->socket, 1));
	assert_true(dmabuf_viewer_reaches(&v->shared->negotiated, 1));
}

static void need_viewer(struct dmabuf_viewer *v, uint64_t features)
{
	const char *why = dmabuf_viewer_start(v, features);

	if (why)
		tap_skip(why);
}

/* A guest whose frames the viewer sees. */
static void open_place(struct place *w, uint64_t features)
{
	const struct fake_guest_options options = {.event_idx = true, .indirect = true, .memory_bytes = 64 << 20};
	int pair[2];

	memset(w, 0, sizeof(*w));
	if (access(program, X_OK))
		tap_skip("mullion-gpu is not built in this folder");
	need_viewer(&w->viewer, features);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w->keeper = fork();
	assert_true(w->keeper >= 0);
	if (!w->keeper)
		run_program(pair[1]);
	close(pair[1]);
	w->peer = vhost_peer_create_gpu(&options, pair[0]);
	w->t.screen = &(struct gpu3d_screen){0};
	w->t.guest = w->peer->guest;
	w->t.device = &w->peer->device;
	show_to(w, &w->viewer);
	gpu3d_boot(&w->t);
	w->t.screen = NULL;
}

static void close_place(struct place *w)
{
	assert_int_equal(w->viewer.shared->broken, 0);
	vhost_peer_destroy(w->peer);
	kill(w->keeper, SIGKILL);
	waitpid(w->keeper, NULL, 0);
	dmabuf_viewer_stop(&w->viewer);
}

/* ---- pictures ---- */

static void paint(uint32_t *pixels, uint32_t width, uint32_t height, uint32_t seed)
{
	for (uint32_t i = 0; i < width * height; i++)
		pixels[i] = ((i % width * 7 + i / width * 131 + seed * 977) * 2654435761u >> 8) | 0xff000000u;
}

static void upload(struct place *w, struct gpu3d_resource *r, uint32_t seed)
{
	paint((uint32_t *)(void *)r->pages, r->width, r->height, seed);
	assert_int_equal(gpu3d_upload(&w->t, r), OK);
}

static void flush(struct place *w, const struct gpu3d_resource *r)
{
	assert_int_equal(gpu3d_flush(&w->t, r->id, 0, 0, r->width, r->height), OK);
}

static void expect(struct place *w, const void *pixels, uint32_t width, uint32_t height)
{
	if (!dmabuf_viewer_shows(&w->viewer, pixels, width, height))
		fail_msg("the viewer has another picture: %ux%u, %u buffers, %u updates, %u by pixels, %u broken",
			 w->viewer.shared->width, w->viewer.shared->height, w->viewer.shared->buffers,
			 w->viewer.shared->updates, w->viewer.shared->pixel_updates, w->viewer.shared->broken);
}

static void draw(struct place *w, struct gpu3d_resource *target)
{
	struct gpu3d_resource vertices =
		gpu3d_buffer(&w->t, target->id + 100, VIRGL_BIND_VERTEX_BUFFER, sizeof(gpu3d_whole));

	memcpy(vertices.pages, gpu3d_whole, sizeof(gpu3d_whole));
	assert_int_equal(gpu3d_upload(&w->t, &vertices), OK);
	gpu3d_plain_state(&w->t);
	gpu3d_draw_to(&w->t, 4, target, BGRA);
	gpu3d_shaders(&w->t, 5, gpu3d_vertex_shader, 6, gpu3d_color_shader);
	gpu3d_vertices(&w->t, 7, &vertices, 2);
	virgl_draw_arrays(&w->t.stream, PIPE_PRIM_TRIANGLES, 0, 3);
	assert_int_equal(gpu3d_submit(&w->t), OK);
}

/* ---- cases ---- */

static void what_is_drawn_is_shown_without_a_copy(void **state)
{
	const uint64_t features[] = {BOTH, 0};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct gpu3d_resource target;
		struct place w;

		open_place(&w, features[i]);
		target = gpu3d_texture(&w.t, 10, BGRA, SCANOUT_TARGET, WIDTH, HEIGHT, 0);
		upload(&w, &target, 1);
		assert_int_equal(gpu3d_set_scanout(&w.t, 10, WIDTH, HEIGHT), OK);
		flush(&w, &target);
		expect(&w, target.pages, WIDTH, HEIGHT);
		/* By the GPU, and not waited for by the guest. */
		draw(&w, &target);
		flush(&w, &target);
		assert_int_equal(gpu3d_read_back(&w.t, &target), OK);
		expect(&w, target.pages, WIDTH, HEIGHT);
		for (uint32_t seed = 2; seed < 12; seed++) {
			upload(&w, &target, seed);
			flush(&w, &target);
		}
		expect(&w, target.pages, WIDTH, HEIGHT);
		assert_int_equal(w.viewer.shared->buffers, 1);
		assert_true(w.viewer.shared->updates >= 3);
		assert_int_not_equal(w.viewer.shared->fourcc, 0);
		assert_int_equal(w.viewer.shared->pixel_updates, 0);
		close_place(&w);
	}
}

/* RESOURCE_CREATE_BLOB of an object that the context's stream named. */
static void an_object_of_a_context_is_shown_without_a_copy(void **state)
{
	const struct gpu_resource_shape shape = {
		.target = PIPE_TEXTURE_2D,
		.format = BGRA,
		.bind = SCANOUT_TARGET,
		.width = WIDTH,
		.height = HEIGHT,
		.depth = 1,
		.array_size = 1,
	};
	struct gpu3d_resource r = {.id = 10, .width = WIDTH, .height = HEIGHT, .stride = WIDTH * 4};
	uint32_t picture[WIDTH * HEIGHT];
	struct place w;

	(void)state;
	open_place(&w, BOTH);
	gpu3d_name_object(&w.t, 7, &shape);
	assert_int_equal(gpu3d_submit(&w.t), OK);
	assert_int_equal(
		gpu3d_object_blob(&w.t, &r, 7, VIRTIO_GPU_BLOB_MEM_HOST3D, VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE, 0), OK);
	assert_int_equal(gpu3d_attach(&w.t, r.id), OK);
	assert_int_equal(gpu3d_set_scanout_blob(&w.t, r.id, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, WIDTH, HEIGHT), OK);
	for (unsigned round = 0; round < 3; round++) {
		const uint32_t color[4] = {round == 0 ? 0x3f800000u : 0, round == 1 ? 0x3f800000u : 0,
					   round == 2 ? 0x3f800000u : 0, 0x3f800000u};

		gpu3d_draw_to(&w.t, 4 + round, &r, BGRA);
		virgl_clear(&w.t.stream, PIPE_CLEAR_COLOR0, color, 0, 0);
		assert_int_equal(gpu3d_submit(&w.t), OK);
		flush(&w, &r);
		for (uint32_t i = 0; i < WIDTH * HEIGHT; i++)
			picture[i] = 0xffu << (16 - 8 * round);
		expect(&w, picture, WIDTH, HEIGHT);
	}
	assert_int_equal(w.viewer.shared->buffers, 1);
	assert_int_not_equal(w.viewer.shared->fourcc, 0);
	assert_int_equal(w.viewer.shared->pixel_updates, 0);
	close_place(&w);
}

static void two_buffers_in_turn_are_shown(void **state)
{
	struct gpu3d_resource targets[2];
	struct place w;

	(void)state;
	open_place(&w, BOTH);
	for (unsigned i = 0; i < 2; i++)
		targets[i] = gpu3d_texture(&w.t, 10 + i, BGRA, SCANOUT_TARGET, WIDTH, HEIGHT, 0);
	for (uint32_t seed = 0; seed < 6; seed++) {
		upload(&w, &targets[seed % 2], seed);
		assert_int_equal(gpu3d_set_scanout(&w.t, targets[seed % 2].id, WIDTH, HEIGHT), OK);
		flush(&w, &targets[seed % 2]);
		expect(&w, targets[seed % 2].pages, WIDTH, HEIGHT);
	}
	assert_int_equal(w.viewer.shared->buffers, 6);
	assert_int_equal(w.viewer.shared->pixel_updates, 0);
	/* One that is gone is not shown any more, and the other is as it was. */
	assert_int_equal(gpu3d_unref(&w.t, targets[1].id), OK);
	assert_true(dmabuf_viewer_reaches(&w.viewer.shared->ends, 1));
	assert_int_equal(gpu3d_set_scanout(&w.t, targets[0].id, WIDTH, HEIGHT), OK);
	flush(&w, &targets[0]);
	expect(&w, targets[0].pages, WIDTH, HEIGHT);
	close_place(&w);
}

static void a_part_of_a_picture_upside_down_is_the_right_one(void **state)
{
	const struct gpu_resource_shape shape = {
		.target = PIPE_TEXTURE_2D,
		.format = BGRA,
		.bind = SCANOUT_TARGET,
		.width = WIDTH,
		.height = HEIGHT,
		.depth = 1,
		.array_size = 1,
		.flags = 1, /* VIRGL_RESOURCE_Y_0_TOP */
	};
	struct virtio_gpu_set_scanout part = {
		.hdr = {.type = VIRTIO_GPU_CMD_SET_SCANOUT},
		.r = {.x = 16, .y = 8, .width = 64, .height = 32},
		.resource_id = 20,
	};
	struct gpu3d_resource r = {.id = 20, .width = WIDTH, .height = HEIGHT, .stride = WIDTH * 4};
	uint32_t expected[64 * 32];
	struct place w;

	(void)state;
	open_place(&w, BOTH);
	assert_int_equal(gpu3d_resource(&w.t, r.id, &shape), OK);
	assert_int_equal(gpu3d_attach_backing(&w.t, &r, (size_t)r.stride * HEIGHT), OK);
	assert_int_equal(gpu3d_attach(&w.t, r.id), OK);
	upload(&w, &r, 3);
	assert_int_equal(gpu3d_request(&w.t, &part, sizeof(part), NULL, 0), OK);
	flush(&w, &r);
	for (uint32_t y = 0; y < 32; y++)
		memcpy(expected + (size_t)y * 64, r.pages + (size_t)(8 + y) * r.stride + 16 * 4, 64 * 4);
	expect(&w, expected, 64, 32);
	assert_int_equal(w.viewer.shared->pixel_updates, 0);
	close_place(&w);
}

static void a_viewer_that_never_answers_holds_up_nobody(void **state)
{
	struct gpu3d_resource target;
	uint64_t began;
	struct place w;
	unsigned seconds;

	(void)state;
	open_place(&w, BOTH);
	w.viewer.shared->mute = true;
	target = gpu3d_texture(&w.t, 10, BGRA, SCANOUT_TARGET, WIDTH, HEIGHT, 0);
	assert_int_equal(gpu3d_set_scanout(&w.t, 10, WIDTH, HEIGHT), OK);
	began = loop_now_ns();
	for (uint32_t seed = 0; seed < 100; seed++) {
		upload(&w, &target, seed);
		flush(&w, &target);
	}
	seconds = (unsigned)((loop_now_ns() - began) / 1000000000u);
	printf("# 100 frames took %u s, %u updates went out\n", seconds, w.viewer.shared->updates);
	/* One, and another each two seconds in which there was no answer. */
	assert_true(w.viewer.shared->updates <= 1 + (seconds + 1) / 2);
	assert_true(seconds < 20);
	/* The newest comes all the same, and at once when there are answers. */
	expect(&w, target.pages, WIDTH, HEIGHT);
	w.viewer.shared->mute = false;
	upload(&w, &target, 1000);
	flush(&w, &target);
	expect(&w, target.pages, WIDTH, HEIGHT);
	close_place(&w);
}

static void every_new_display_is_shown_all(void **state)
{
	struct gpu3d_resource target;
	struct dmabuf_viewer first;
	struct place w;

	(void)state;
	open_place(&w, BOTH);
	target = gpu3d_texture(&w.t, 10, BGRA, SCANOUT_TARGET, WIDTH, HEIGHT, 0);
	upload(&w, &target, 1);
	assert_int_equal(gpu3d_set_scanout(&w.t, 10, WIDTH, HEIGHT), OK);
	flush(&w, &target);
	expect(&w, target.pages, WIDTH, HEIGHT);
	first = w.viewer;
	need_viewer(&w.viewer, BOTH);
	show_to(&w, &w.viewer);
	/* Before it is known what this one can do, by pixels. */
	expect(&w, target.pages, WIDTH, HEIGHT);
	upload(&w, &target, 2);
	flush(&w, &target);
	expect(&w, target.pages, WIDTH, HEIGHT);
	assert_true(dmabuf_viewer_reaches(&w.viewer.shared->updates, 1));
	dmabuf_viewer_stop(&first);
	close_place(&w);
}

static void another_worker_shows_it_again(void **state)
{
	struct gpu3d_resource target;
	struct place w;

	(void)state;
	open_place(&w, BOTH);
	target = gpu3d_texture(&w.t, 10, BGRA, SCANOUT_TARGET, WIDTH, HEIGHT, 0);
	assert_int_equal(gpu3d_set_scanout(&w.t, 10, WIDTH, HEIGHT), OK);
	for (unsigned round = 0; round < 3; round++) {
		const unsigned before = w.viewer.shared->negotiated;
		const pid_t worker = child_of(w.keeper, 0);

		upload(&w, &target, round);
		flush(&w, &target);
		expect(&w, target.pages, WIDTH, HEIGHT);
		assert_true(worker > 0);
		memset(w.viewer.shared->pixels, 0, sizeof(w.viewer.shared->pixels));
		assert_int_equal(kill(worker, SIGKILL), 0);
		assert_true(dmabuf_viewer_reaches(&w.viewer.shared->negotiated, before + 1));
		expect(&w, target.pages, WIDTH, HEIGHT);
	}
	upload(&w, &target, 50);
	flush(&w, &target);
	expect(&w, target.pages, WIDTH, HEIGHT);
	assert_true(w.viewer.shared->buffers >= 4);
	assert_int_not_equal(w.viewer.shared->fourcc, 0);
	close_place(&w);
}

static int find_program(void **state)
{
	(void)state;
	return program_path("mullion-gpu", program, sizeof(program)) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_drawn_is_shown_without_a_copy),
		cmocka_unit_test(an_object_of_a_context_is_shown_without_a_copy),
		cmocka_unit_test(two_buffers_in_turn_are_shown),
		cmocka_unit_test(a_part_of_a_picture_upside_down_is_the_right_one),
		cmocka_unit_test(a_viewer_that_never_answers_holds_up_nobody),
		cmocka_unit_test(every_new_display_is_shown_all),
		cmocka_unit_test(another_worker_shows_it_again),
	};

	return cmocka_run_group_tests_name("gpu_dmabuf", tests, find_program, NULL);
}
