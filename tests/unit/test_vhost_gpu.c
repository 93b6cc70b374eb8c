// SPDX-License-Identifier: MIT
/*
 * The display of a vhost-user frontend: what it is shown arrives, whatever the peer reads, answers or sends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/display/format.h"
#include "host/display/vhost_gpu.h"
#include "tests/lib/display_peer.h"

#define INFO_BYTES (sizeof(struct vhost_user_gpu_header) + sizeof(struct virtio_gpu_resp_display_info))
#define EDID_BYTES (sizeof(struct vhost_user_gpu_header) + sizeof(struct virtio_gpu_resp_edid))
#define BIG_WIDTH 1600u
#define BIG_HEIGHT 1200u

struct place {
	struct loop *loop;
	struct display_output *display;
	struct display_peer *peer;
	unsigned answers, refusals;
	struct display_answer last;
};

static void connect_peer(struct place *w)
{
	w->peer = display_peer_create(w->loop);
	assert_int_equal(display_vhost_gpu_connect(w->display, w->peer->given), 0);
	assert_true(display_vhost_gpu_is_connected(w->display));
}

static int set_up(void **state)
{
	struct place *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(loop_create("test", &w->loop), 0);
	assert_int_equal(display_vhost_gpu_create(w->loop, &w->display), 0);
	connect_peer(w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct place *w = *state;

	display_destroy(w->display);
	display_peer_destroy(w->peer);
	loop_destroy(w->loop);
	free(w);
	return 0;
}

static void answered(struct display_question *q, const struct display_answer *a)
{
	struct place *w = q->owner;

	if (a) {
		w->answers++;
		w->last = *a;
	} else {
		w->refusals++;
	}
}

static int ask(struct place *w, struct display_question *q, bool edid)
{
	*q = (struct display_question){.edid = edid, .answered = answered, .owner = w};
	return w->display->ops->ask(w->display, q);
}

static uint32_t pixel(uint32_t x, uint32_t y, uint32_t seed)
{
	return ((x * 7 + y * 131 + seed * 977) * 2654435761u >> 8) & 0xffffff;
}

static uint32_t *paint(uint32_t width, uint32_t height, uint32_t seed)
{
	uint32_t *pixels = malloc((size_t)width * height * 4);

	assert_non_null(pixels);
	for (uint32_t i = 0; i < width * height; i++)
		pixels[i] = pixel(i % width, i / width, seed);
	return pixels;
}

static void show(struct place *w, unsigned scanout, const uint32_t *pixels, uint32_t width, uint32_t height,
		 struct display_rect damage)
{
	const struct display_frame frame = {pixels, width, height, width * 4, DISPLAY_XRGB8888, damage};

	assert_int_equal(w->display->ops->present(w->display, scanout, &frame), 0);
}

static void expect(const struct peer_scanout *s, const uint32_t *pixels, uint32_t width, uint32_t height)
{
	assert_int_equal(s->width, width);
	assert_int_equal(s->height, height);
	for (uint32_t i = 0; i < width * height; i++) {
		if ((s->pixels[i] & 0xffffff) != pixels[i])
			fail_msg("pixel %u,%u", i % width, i / width);
	}
}

static void frames_arrive_in_pieces_that_fit(void **state)
{
	static const struct {
		uint32_t width, height;
	} sizes[] = {{1, 1}, {33, 7}, {BIG_WIDTH, BIG_HEIGHT}, {16384, 3}, {3, 16384}};
	struct place *w = *state;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint32_t width = sizes[i].width, height = sizes[i].height, *pixels = paint(width, height, i);

		show(w, i, pixels, width, height, (struct display_rect){0, 0, width, height});
		display_peer_run(w->peer, 20);
		expect(&w->peer->scanouts[i], pixels, width, height);
		assert_int_equal(w->peer->scanouts[i].sizes, 1);
		free(pixels);
	}
	assert_true(w->peer->scanouts[2].updates > 100);
	assert_int_equal(w->peer->features_set, 1);
}

static void only_what_changed_is_sent(void **state)
{
	struct place *w = *state;
	uint32_t *pixels = paint(64, 48, 1);
	const struct peer_scanout *s = &w->peer->scanouts[0];

	show(w, 0, pixels, 64, 48, (struct display_rect){0, 0, 64, 48});
	display_peer_run(w->peer, 10);
	pixels[5 * 64 + 7] = 0x123456;
	pixels[40 * 64 + 50] = 0xabcdef; /* outside of the damage */
	show(w, 0, pixels, 64, 48, (struct display_rect){7, 5, 1, 1});
	display_peer_run(w->peer, 10);
	assert_int_equal(s->updates, 2);
	assert_int_equal(s->sizes, 1);
	assert_int_equal(s->pixels[5 * 64 + 7] & 0xffffff, 0x123456);
	assert_int_not_equal(s->pixels[40 * 64 + 50] & 0xffffff, 0xabcdef);
	free(pixels);
}

static void a_peer_that_does_not_read_gets_the_newest_later(void **state)
{
	struct place *w = *state;
	uint32_t *pixels = NULL;

	for (uint32_t i = 0; i < 200; i++) {
		free(pixels);
		pixels = paint(BIG_WIDTH, BIG_HEIGHT, i);
		show(w, 0, pixels, BIG_WIDTH, BIG_HEIGHT, (struct display_rect){i, i, BIG_WIDTH - i, BIG_HEIGHT - i});
		loop_run_once(w->loop, 0);
		if (i == 2)
			i = 190;
	}
	show(w, 0, pixels, BIG_WIDTH, BIG_HEIGHT, (struct display_rect){0, 0, BIG_WIDTH, BIG_HEIGHT});
	display_peer_run(w->peer, 50);
	expect(&w->peer->scanouts[0], pixels, BIG_WIDTH, BIG_HEIGHT);
	/* Two passes at most, not one for each frame. */
	assert_true(w->peer->scanouts[0].updates <= 2 * (BIG_HEIGHT / (16384 / BIG_WIDTH) + 1));
	free(pixels);
}

/* A scene that moves faster than the peer reads: each picture that has come to its end is of one time, and a later one. */
static void a_picture_comes_whole_while_newer_ones_are_drawn(void **state)
{
	const unsigned messages = BIG_HEIGHT / (16384 / BIG_WIDTH);
	struct place *w = *state;
	const struct peer_scanout *s = &w->peer->scanouts[0];
	uint32_t *pixels = calloc((size_t)BIG_WIDTH * BIG_HEIGHT, 4);
	unsigned seen = 0, pictures = 0;
	uint32_t last = 0;

	assert_non_null(pixels);
	for (uint32_t time = 1; pictures < 4; time++) {
		/* The upper half each time, and all of it each other time. */
		const uint32_t height = time % 2 ? BIG_HEIGHT : BIG_HEIGHT / 2;

		for (uint32_t i = 0; i < BIG_WIDTH * height; i++)
			pixels[i] = time;
		show(w, 0, pixels, BIG_WIDTH, BIG_HEIGHT, (struct display_rect){0, 0, BIG_WIDTH, height});
		while (s->updates == seen)
			display_peer_step(w->peer);
		if (++seen % messages)
			continue;
		pictures++;
		for (uint32_t y = 0; y < BIG_HEIGHT; y++)
			assert_int_equal(s->pixels[y * BIG_WIDTH], s->pixels[y < BIG_HEIGHT / 2 ? 0 : BIG_WIDTH * BIG_HEIGHT / 2]);
		assert_true(s->pixels[0] > last || pictures == 1);
		assert_in_range(s->pixels[0] - s->pixels[BIG_WIDTH * BIG_HEIGHT / 2], 0, 1);
		last = s->pixels[0];
	}
	display_peer_run(w->peer, 20);
	expect(s, pixels, BIG_WIDTH, BIG_HEIGHT);
	free(pixels);
}

static void a_blanked_or_resized_scanout_gets_no_old_pixels(void **state)
{
	struct place *w = *state;
	uint32_t *big = paint(BIG_WIDTH, BIG_HEIGHT, 1), *small = paint(20, 10, 2);

	/* The peer fails on pixels that don't fit what it was told. */
	show(w, 0, big, BIG_WIDTH, BIG_HEIGHT, (struct display_rect){0, 0, BIG_WIDTH, BIG_HEIGHT});
	w->display->ops->blank(w->display, 0);
	display_peer_run(w->peer, 20);
	assert_int_equal(w->peer->scanouts[0].width, 0);
	show(w, 0, big, BIG_WIDTH, BIG_HEIGHT, (struct display_rect){0, 0, BIG_WIDTH, BIG_HEIGHT});
	show(w, 0, small, 20, 10, (struct display_rect){3, 3, 1, 1});
	display_peer_run(w->peer, 20);
	expect(&w->peer->scanouts[0], small, 20, 10);
	free(big);
	free(small);
}

static void cursors_are_placed_by_their_corner(void **state)
{
	static uint32_t image[64 * 64];
	struct display_cursor c = {.x = 10, .y = 20, .hot_x = 3, .hot_y = 30, .pixels = image};
	struct place *w = *state;
	struct peer_scanout *s = &w->peer->scanouts[2];

	image[100] = 0x80402010;
	w->display->ops->cursor(w->display, 2, &c);
	display_peer_run(w->peer, 5);
	assert_int_equal(s->images, 1);
	assert_int_equal(s->cursor.data[100], 0x80402010);
	assert_int_equal(s->cursor.pos.x, 7);
	assert_int_equal((int32_t)s->cursor.pos.y, -10);
	assert_int_equal(s->cursor.hot_x, 3);
	c.x = 50;
	c.moved_only = true;
	w->display->ops->cursor(w->display, 2, &c);
	display_peer_run(w->peer, 5);
	assert_int_equal(s->images, 1);
	assert_int_equal(s->moves, 1);
	assert_int_equal(s->cursor.pos.x, 47);
	c = (struct display_cursor){0};
	w->display->ops->cursor(w->display, 2, &c);
	display_peer_run(w->peer, 5);
	assert_int_equal(s->hides, 1);
}

static void answers_are_taken_however_they_are_cut(void **state)
{
	struct place *w = *state;
	struct display_question q;

	display_peer_run(w->peer, 5);
	for (size_t cut = 0; cut < INFO_BYTES; cut++) {
		assert_int_equal(ask(w, &q, false), 0);
		display_peer_run(w->peer, 0);
		display_peer_say_info(w->peer, 640, (uint32_t)(480 + cut), cut);
		display_peer_run(w->peer, 0);
		assert_int_equal(w->answers, cut + 1);
		assert_int_equal(w->last.modes[0].rect.height, 480 + cut);
		assert_true(w->last.modes[0].enabled);
		assert_false(w->last.modes[1].enabled);
	}
	w->answers = 0;
	for (size_t cut = 0; cut < EDID_BYTES; cut += cut < 64 ? 1 : 61) {
		const unsigned before = w->answers;

		assert_int_equal(ask(w, &q, true), 0);
		display_peer_run(w->peer, 0);
		display_peer_say_edid(w->peer, (uint8_t)cut, 256, cut);
		display_peer_run(w->peer, 0);
		assert_int_equal(w->answers, before + 1);
		assert_int_equal(w->last.edid_bytes, 256);
		assert_int_equal(w->last.edid[0], (uint8_t)cut);
	}
	assert_int_equal(w->refusals, 0);
}

static void a_late_answer_is_not_the_next_ones(void **state)
{
	struct place *w = *state;
	struct display_question first, second;

	display_peer_run(w->peer, 5);
	assert_int_equal(ask(w, &first, false), 0);
	display_peer_run(w->peer, 2100);
	assert_int_equal(w->refusals, 1);
	assert_int_equal(ask(w, &second, false), 0);
	display_peer_run(w->peer, 1);
	display_peer_say_info(w->peer, 111, 100, 0);
	display_peer_run(w->peer, 1);
	assert_int_equal(w->answers, 0);
	display_peer_say_info(w->peer, 222, 100, 0);
	display_peer_run(w->peer, 1);
	assert_int_equal(w->answers, 1);
	assert_int_equal(w->last.modes[0].rect.width, 222);
	/* Nobody asked: a process before this one did. */
	display_peer_say_info(w->peer, 333, 100, 0);
	display_peer_run(w->peer, 1);
	assert_true(display_vhost_gpu_is_connected(w->display));
}

static void questions_are_given_back_or_withdrawn(void **state)
{
	struct place *w = *state;
	struct display_question q[40];
	unsigned taken = 0;

	display_peer_run(w->peer, 5);
	/* Without answers there is an end. */
	while (taken < 40 && ask(w, &q[taken], false) == 0)
		taken++;
	assert_true(taken >= 8 && taken < 40);
	w->display->ops->withdraw(w->display, &q[0]);
	memset(&q[0], 0xff, sizeof(q[0]));
	display_peer_say_info(w->peer, 1, 1, 0);
	display_peer_run(w->peer, 1);
	assert_int_equal(w->answers, 0);
	close(w->peer->fd);
	w->peer->fd = -1;
	for (int i = 0; i < 5; i++)
		loop_run_once(w->loop, 1);
	assert_int_equal(w->refusals, taken - 1);
	assert_false(display_vhost_gpu_is_connected(w->display));
	assert_int_equal(ask(w, &q[1], false), -EAGAIN);
}

static void a_display_without_edid_is_not_asked_for_one(void **state)
{
	struct place *w = *state;
	struct display_question q;

	w->peer->features = 0;
	/* It is not known yet. */
	assert_int_equal(ask(w, &q, true), 0);
	display_peer_run(w->peer, 5);
	assert_int_equal(w->refusals, 1);
	assert_int_equal(ask(w, &q, true), -EAGAIN);
	assert_int_equal(w->peer->edids_asked, 0);
}

static void nonsense_ends_the_connection(void **state)
{
	static const struct {
		uint32_t request, flags, bytes;
	} rows[] = {
		{VHOST_USER_GPU_GET_DISPLAY_INFO, VHOST_USER_GPU_FLAG_REPLY, 8},
		{VHOST_USER_GPU_GET_DISPLAY_INFO, 0, sizeof(struct virtio_gpu_resp_display_info)},
		{VHOST_USER_GPU_GET_EDID, VHOST_USER_GPU_FLAG_REPLY, 0},
		{VHOST_USER_GPU_GET_PROTOCOL_FEATURES, VHOST_USER_GPU_FLAG_REPLY, 1500},
		{VHOST_USER_GPU_DMABUF_UPDATE, VHOST_USER_GPU_FLAG_REPLY, 4},
		{VHOST_USER_GPU_DMABUF_UPDATE, 0, 0},
		{0, VHOST_USER_GPU_FLAG_REPLY, 8},
		{0xffffffff, 0xffffffff, 4},
	};
	static const uint8_t zeros[1500];
	struct place *w = *state;
	uint32_t *pixels = paint(30, 20, 1);

	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct display_question q;

		display_peer_run(w->peer, 2);
		assert_int_equal(ask(w, &q, false), 0);
		display_peer_send(w->peer, rows[i].request, rows[i].flags, zeros, rows[i].bytes, 0);
		for (int n = 0; n < 5; n++)
			loop_run_once(w->loop, 0);
		assert_false(display_vhost_gpu_is_connected(w->display));
		assert_int_equal(w->refusals, i + 1);
		/* Dropped, and no error. */
		show(w, 0, pixels, 30, 20, (struct display_rect){0, 0, 30, 20});
		display_peer_destroy(w->peer);
		connect_peer(w);
	}
	show(w, 0, pixels, 30, 20, (struct display_rect){0, 0, 30, 20});
	display_peer_run(w->peer, 5);
	expect(&w->peer->scanouts[0], pixels, 30, 20);
	free(pixels);
}

static void sizes_beyond_reason_are_not_passed_on(void **state)
{
	struct place *w = *state;
	struct display_question q;

	display_peer_run(w->peer, 5);
	assert_int_equal(ask(w, &q, false), 0);
	display_peer_run(w->peer, 1);
	display_peer_say_info(w->peer, 16385, 100, 0);
	display_peer_run(w->peer, 1);
	assert_int_equal(w->answers, 1);
	assert_false(w->last.modes[0].enabled);
	assert_int_equal(ask(w, &q, true), 0);
	display_peer_run(w->peer, 1);
	display_peer_say_edid(w->peer, 0, 1025, 0);
	display_peer_run(w->peer, 1);
	assert_int_equal(w->refusals, 1);
}

/* ---- pictures on the GPU ---- */

static struct display_buffer make_buffer(uint64_t id, uint64_t modifier)
{
	return (struct display_buffer){
		.id = id,
		.fd = memfd_create("picture", MFD_CLOEXEC),
		.width = 100,
		.height = 80,
		.stride_bytes = 512,
		.fourcc = DISPLAY_XRGB8888,
		.modifier = modifier,
		.flip = true,
		.shown = {10, 20, 60, 40},
	};
}

static int show_buffer(struct place *w, unsigned scanout, const struct display_buffer *b, struct display_rect damage)
{
	return w->display->ops->present_buffer(w->display, scanout, b, &damage, NULL);
}

static bool same_file(int a, int b)
{
	struct stat first, second;

	return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_ino == second.st_ino;
}

static void a_buffer_goes_once_and_its_changes_after_each_answer(void **state)
{
	struct place *w = *state;
	const struct peer_scanout *s = &w->peer->scanouts[1];
	struct display_buffer a = make_buffer(1, 0x100000000000003ull), b = make_buffer(2, DISPLAY_MODIFIER_UNKNOWN);

	/* Nothing is known of the peer. */
	assert_int_equal(show_buffer(w, 1, &a, (struct display_rect){0, 0, 1, 1}), -ENOTSUP);
	display_peer_run(w->peer, 5);
	assert_int_equal(show_buffer(w, 1, &a, (struct display_rect){1, 1, 1, 1}), 0);
	display_peer_run(w->peer, 5);
	assert_int_equal(s->buffers, 1);
	assert_true(w->peer->has_modifiers);
	assert_true(same_file(s->buffer_fd, a.fd));
	assert_int_equal(s->buffer.modifier, a.modifier);
	assert_int_equal(s->buffer.dmabuf_scanout.fd_stride, 512);
	assert_int_equal(s->buffer.dmabuf_scanout.fd_width, 100);
	assert_int_equal(s->buffer.dmabuf_scanout.fd_flags, VHOST_USER_GPU_DMABUF_Y_0_TOP);
	assert_int_equal(s->buffer.dmabuf_scanout.x, 10);
	assert_int_equal(s->buffer.dmabuf_scanout.height, 40);
	/* All of a new one. */
	assert_int_equal(s->buffer_updates, 1);
	assert_int_equal(s->buffer_update.width, 60);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(show_buffer(w, 1, &a, (struct display_rect){i, 2 * i, 3, 4}), 0);
	display_peer_run(w->peer, 5);
	assert_int_equal(s->buffer_updates, 1);
	display_peer_say_shown(w->peer);
	display_peer_run(w->peer, 5);
	assert_int_equal(s->buffer_updates, 2);
	assert_int_equal(s->buffer_update.width, 12);
	assert_int_equal(s->buffer_update.height, 22);
	/* Another is told at once, and shown when there is an answer. */
	assert_int_equal(show_buffer(w, 1, &b, (struct display_rect){0, 0, 1, 1}), 0);
	display_peer_run(w->peer, 5);
	assert_int_equal(s->buffers, 2);
	assert_true(same_file(s->buffer_fd, b.fd));
	assert_int_equal(s->buffer_updates, 2);
	display_peer_say_shown(w->peer);
	display_peer_run(w->peer, 5);
	assert_int_equal(s->buffer_updates, 3);
	assert_int_equal(s->updates, 0);
	close(a.fd);
	close(b.fd);
}

static void buffers_and_pixels_follow_each_other(void **state)
{
	struct place *w = *state;
	const struct peer_scanout *s = &w->peer->scanouts[0];
	struct display_buffer b = make_buffer(1, DISPLAY_MODIFIER_LINEAR);
	uint32_t *pixels = paint(30, 20, 1);

	display_peer_run(w->peer, 5);
	show(w, 0, pixels, 30, 20, (struct display_rect){0, 0, 30, 20});
	assert_int_equal(show_buffer(w, 0, &b, (struct display_rect){0, 0, 60, 40}), 0);
	display_peer_run(w->peer, 5);
	assert_int_equal(s->buffers, 1);
	show(w, 0, pixels, 30, 20, (struct display_rect){3, 3, 1, 1});
	display_peer_run(w->peer, 5);
	assert_int_equal(s->buffer_ends, 1);
	expect(s, pixels, 30, 20);
	assert_int_equal(show_buffer(w, 0, &b, (struct display_rect){0, 0, 60, 40}), 0);
	display_peer_run(w->peer, 5);
	assert_int_equal(s->buffers, 2);
	w->display->ops->blank(w->display, 0);
	display_peer_run(w->peer, 5);
	assert_int_equal(s->buffer_ends, 2);
	assert_int_equal(s->width, 0);
	/* One that was never sent leaves nothing behind. */
	assert_int_equal(show_buffer(w, 0, &b, (struct display_rect){0, 0, 60, 40}), 0);
	close(w->peer->fd);
	w->peer->fd = -1;
	for (int i = 0; i < 5; i++)
		loop_run_once(w->loop, 1);
	assert_int_equal(show_buffer(w, 0, &b, (struct display_rect){0, 0, 60, 40}), -ENOTSUP);
	free(pixels);
	close(b.fd);
}

static void what_a_peer_could_not_read_is_refused(void **state)
{
	struct place *w = *state;
	const struct peer_scanout *s = &w->peer->scanouts[0];
	struct display_buffer tiled = make_buffer(1, 7), linear = make_buffer(2, DISPLAY_MODIFIER_LINEAR);

	w->peer->features = 0;
	display_peer_run(w->peer, 5);
	assert_int_equal(show_buffer(w, 0, &tiled, (struct display_rect){0, 0, 60, 40}), -ENOTSUP);
	assert_int_equal(show_buffer(w, 0, &linear, (struct display_rect){0, 0, 60, 40}), 0);
	display_peer_run(w->peer, 5);
	assert_int_equal(s->buffers, 1);
	assert_false(w->peer->has_modifiers);
	close(tiled.fd);
	close(linear.fd);
}

static void an_answer_that_never_comes_is_not_waited_for(void **state)
{
	struct place *w = *state;
	const struct peer_scanout *s = &w->peer->scanouts[0];
	struct display_buffer b = make_buffer(1, DISPLAY_MODIFIER_LINEAR);

	display_peer_run(w->peer, 5);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(show_buffer(w, 0, &b, (struct display_rect){0, 0, 60, 40}), 0);
		display_peer_run(w->peer, 1);
	}
	assert_int_equal(s->buffer_updates, 1);
	display_peer_run(w->peer, 2100);
	assert_int_equal(s->buffer_updates, 2);
	/* Answers that nobody asked for, as those to a process before this one. */
	for (int i = 0; i < 3; i++)
		display_peer_say_shown(w->peer);
	display_peer_run(w->peer, 5);
	assert_true(display_vhost_gpu_is_connected(w->display));
	assert_int_equal(s->buffer_updates, 2);
	close(b.fd);
}

static void note_shown(struct display_shown *s)
{
	++*(unsigned *)s->owner;
}

static void who_waits_is_told_once(void **state)
{
	const struct display_rect all = {0, 0, 60, 40};
	struct place *w = *state;
	struct display_buffer b = make_buffer(1, DISPLAY_MODIFIER_LINEAR);
	unsigned told[6] = {0};
	struct display_shown shown[6];

	display_peer_run(w->peer, 5);
	for (unsigned i = 0; i < 6; i++)
		shown[i] = (struct display_shown){.shown = note_shown, .owner = &told[i]};
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(w->display->ops->present_buffer(w->display, 0, &b, &all, &shown[i]), 0);
	display_peer_run(w->peer, 5);
	assert_int_equal(told[0], 0);
	/* The first of them went; what followed waits for the next. */
	w->display->ops->forget(w->display, &shown[2]);
	display_peer_say_shown(w->peer);
	display_peer_run(w->peer, 5);
	assert_int_equal(told[0], 1);
	assert_int_equal(told[1], 0);
	display_peer_say_shown(w->peer);
	display_peer_run(w->peer, 5);
	assert_int_equal(told[1], 1);
	assert_int_equal(told[2], 0);
	assert_int_equal(told[3], 1);
	/* One on its way, one that waits; and the peer is gone. */
	for (unsigned i = 4; i < 6; i++)
		assert_int_equal(w->display->ops->present_buffer(w->display, 0, &b, &all, &shown[i]), 0);
	display_peer_run(w->peer, 5);
	close(w->peer->fd);
	w->peer->fd = -1;
	for (int i = 0; i < 5; i++)
		loop_run_once(w->loop, 1);
	assert_int_equal(told[4], 1);
	assert_int_equal(told[5], 1);
	assert_int_equal(told[0] + told[1] + told[2] + told[3], 3);
	close(b.fd);
}

/* Who waits, with what it was told: as a flush of the device does. */
struct waiter {
	struct display_shown shown;
	bool waits;
};

static void note_waiter(struct display_shown *s)
{
	struct waiter *x = s->owner;

	assert_true(x->waits);
	x->waits = false;
}

static unsigned open_files(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void one_step(struct place *w, struct waiter *waiters, const struct display_buffer *buffers,
		     const uint32_t *pixels, uint32_t random, bool is_read)
{
	const unsigned scanout = random >> 4 & 1;
	struct waiter *x = &waiters[random >> 5 & 7];
	const struct display_rect damage = {random >> 8 & 31, random >> 13 & 15, 1 + (random >> 17 & 7),
					    1 + (random >> 20 & 7)};
	struct display_buffer b = buffers[random >> 23 & 3];

	b.shown = (struct display_rect){random >> 25 & 3, 0, 60, 40};
	switch (random & 15) {
	default:
		if (w->display->ops->present_buffer(w->display, scanout, &b, &damage, x->waits ? NULL : &x->shown) == 0)
			x->waits = true;
		break;
	case 0:
		show(w, scanout, pixels, 64 + (random >> 25 & 1), 32, damage);
		break;
	case 1:
		w->display->ops->blank(w->display, scanout);
		break;
	case 2:
		w->display->ops->forget(w->display, &x->shown);
		x->waits = false;
		break;
	case 3:
	case 4:
	case 5:
		if (w->peer->fd >= 0)
			display_peer_say_shown(w->peer);
		break;
	case 6:
	case 7:
	case 8:
		if (is_read && w->peer->fd >= 0)
			display_peer_run(w->peer, 0);
		break;
	case 9:
		loop_run_once(w->loop, 0);
		break;
	case 10:
		if (random >> 28)
			break;
		/* It goes; the next one comes before or after that is known. */
		close(w->peer->fd);
		w->peer->fd = -1;
		if (random >> 27 & 1)
			loop_run_once(w->loop, 0);
		else
			w->display->ops->present_buffer(w->display, scanout, &b, &damage, NULL);
		display_peer_destroy(w->peer);
		connect_peer(w);
		break;
	}
}

static void any_order_tells_each_once_and_leaves_nothing_open(void **state)
{
	struct place *w = *state;
	struct display_buffer buffers[4];
	struct waiter waiters[8];
	uint32_t *pixels = paint(65, 32, 1);
	uint64_t random = 1;
	unsigned before;

	for (unsigned i = 0; i < 8; i++)
		waiters[i] = (struct waiter){.shown = {.shown = note_waiter, .owner = &waiters[i]}};
	for (unsigned i = 0; i < 4; i++)
		buffers[i] = make_buffer(i + 1, i == 3 ? 7 : DISPLAY_MODIFIER_LINEAR);
	before = open_files();
	for (unsigned i = 0; i < 20000; i++) {
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		/* For some time nobody reads, and the socket is full. */
		one_step(w, waiters, buffers, pixels, (uint32_t)(random >> 32), i / 512 % 2);
	}
	display_destroy(w->display);
	for (unsigned i = 0; i < 8; i++)
		assert_false(waiters[i].waits);
	display_peer_destroy(w->peer);
	assert_int_equal(display_vhost_gpu_create(w->loop, &w->display), 0);
	connect_peer(w);
	assert_int_equal(open_files(), before);
	for (unsigned i = 0; i < 4; i++)
		close(buffers[i].fd);
	free(pixels);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(frames_arrive_in_pieces_that_fit),
		CASE(only_what_changed_is_sent),
		CASE(a_peer_that_does_not_read_gets_the_newest_later),
		CASE(a_picture_comes_whole_while_newer_ones_are_drawn),
		CASE(a_blanked_or_resized_scanout_gets_no_old_pixels),
		CASE(cursors_are_placed_by_their_corner),
		CASE(answers_are_taken_however_they_are_cut),
		CASE(a_late_answer_is_not_the_next_ones),
		CASE(questions_are_given_back_or_withdrawn),
		CASE(a_display_without_edid_is_not_asked_for_one),
		CASE(nonsense_ends_the_connection),
		CASE(sizes_beyond_reason_are_not_passed_on),
		CASE(a_buffer_goes_once_and_its_changes_after_each_answer),
		CASE(buffers_and_pixels_follow_each_other),
		CASE(what_a_peer_could_not_read_is_refused),
		CASE(an_answer_that_never_comes_is_not_waited_for),
		CASE(who_waits_is_told_once),
		CASE(any_order_tells_each_once_and_leaves_nothing_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
