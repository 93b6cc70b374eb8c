// SPDX-License-Identifier: MIT
/*
 * A GPU whose process is killed again and again while this guest draws (tests/bare/recovery does that): every request
 * is answered once. One that was being executed fails; then this guest does what a program does that may have lost its
 * context: it makes another one. The runner looks at the last picture. Options: rounds=
 */
#include <linux/errno.h>

#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/string.h"
#include "tests/bare/canvas.h"

enum { SIZE = 64, COUNT = 8, SCREEN = 9 };
#define ORANGE 0xffff8000u /* B8G8R8A8: blue in the lowest byte */
#define ORANGE_FLOATS {VIRGL_FLOAT_1, VIRGL_FLOAT_HALF, VIRGL_FLOAT_0, VIRGL_FLOAT_1}

static struct gpu g;
static struct canvas c;
static struct gpu_submission submissions[COUNT];
static uint32_t screen[SIZE * SIZE];
static unsigned refused, renewed, unanswered;

/* What a guest may see of a process that dies: the request that it was at fails. */
static void expect(int rc)
{
	if (rc == -ETIMEDOUT || rc == -ENODEV)
		unanswered++;
	else if (rc)
		refused++;
}

/* Make the context and its resources, again if need be, until it works. */
static bool renew(void)
{
	for (unsigned i = 0; i < 100; i++) {
		int rc = canvas_create(&c, &g, SIZE, SIZE, 0);

		if (!rc)
			return true;
		expect(rc);
		renewed++;
		/* What is there of it goes; what is not says so. */
		gpu_context_destroy(&g, CANVAS_CONTEXT);
		gpu_unref(&g, CANVAS_PICTURE);
		gpu_unref(&g, CANVAS_VERTICES);
		canvas_finish(&c);
		if (unanswered)
			return false;
	}
	return false;
}

static void make_screen(void)
{
	for (unsigned i = 0; i < 100 && !unanswered; i++) {
		int rc = gpu_create_2d(&g, SCREEN, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, SIZE, SIZE);

		if (!rc)
			rc = gpu_attach_backing(&g, SCREEN, screen, sizeof(screen));
		if (!rc)
			rc = gpu_set_scanout(&g, 0, SCREEN, (struct gpu_rect){0, 0, SIZE, SIZE});
		if (!rc)
			return;
		expect(rc);
		gpu_unref(&g, SCREEN);
	}
}

static void show(uint32_t color)
{
	const struct gpu_rect all = {0, 0, SIZE, SIZE};

	for (unsigned i = 0; i < SIZE * SIZE; i++)
		screen[i] = color;
	expect(gpu_transfer_to_host_2d(&g, SCREEN, all, 0));
	expect(gpu_flush(&g, SCREEN, all));
}

static void clear(uint32_t r, uint32_t green, uint32_t b)
{
	const uint32_t color[4] = {r, green, b, VIRGL_FLOAT_1};

	canvas_begin(&c);
	virgl_clear(&c.e, PIPE_CLEAR_COLOR0, color, VIRGL_DOUBLE_1, 0);
}

/* Fenced submissions in flight all at once, with 2D work between. False: one was refused. */
static bool draw(unsigned round)
{
	bool good = true;

	clear(round & 1 ? VIRGL_FLOAT_1 : VIRGL_FLOAT_0, round & 2 ? VIRGL_FLOAT_1 : VIRGL_FLOAT_0, VIRGL_FLOAT_HALF);
	for (unsigned i = 0; i < COUNT; i++) {
		if (gpu_post_submit(&g, &submissions[i], CANVAS_CONTEXT, c.words, (uint32_t)(c.e.used * 4),
				    COUNT * (uint64_t)round + i, -1))
			unanswered++;
	}
	show(0xff000000u | round);
	for (unsigned i = 0; i < COUNT && !unanswered; i++) {
		if (gpu_wait(&g, &submissions[i].request)) {
			unanswered++;
		} else if (submissions[i].answer.type != VIRTIO_GPU_RESP_OK_NODATA) {
			refused++;
			good = false;
		}
	}
	return good;
}

/* The last picture, drawn until it comes through. */
static bool last_picture(void)
{
	static const uint32_t orange[4] = ORANGE_FLOATS;

	for (unsigned i = 0; i < 100 && !unanswered; i++) {
		unsigned wrong = 0;
		int rc;

		canvas_begin(&c);
		virgl_clear(&c.e, PIPE_CLEAR_COLOR0, orange, VIRGL_DOUBLE_1, 0);
		rc = canvas_submit(&c);
		if (!rc)
			rc = canvas_read(&c);
		for (unsigned p = 0; p < SIZE * SIZE; p++)
			wrong += (c.pixels[p] & 0xfffefffe) != (ORANGE & 0xfffefffe);
		if (!rc && !wrong)
			return true;
		expect(rc);
		gpu_context_destroy(&g, CANVAS_CONTEXT);
		gpu_unref(&g, CANVAS_PICTURE);
		gpu_unref(&g, CANVAS_VERTICES);
		canvas_finish(&c);
		renewed++;
		if (!renew())
			return false;
	}
	return false;
}

int main(void)
{
	unsigned rounds = (unsigned)boot_option_number("rounds", 100);
	int rc;

	report_start("recovery");
	rc = gpu_open(&g, VIRTIO_ANY, 0, VIRTIO_BIT(VIRTIO_GPU_F_VIRGL));
	if (!report_check(!rc, "gpu_opens: error %d", rc))
		return report_end();
	if (!virtio_has(&g.dev, VIRTIO_GPU_F_VIRGL))
		return report_skip_all("the GPU has no 3D: the host has no OpenGL that works");
	make_screen();
	if (!report_check(renew(), "context_is_made")) /* the runner begins to kill now */
		return report_end();
	for (unsigned i = 0; i < rounds && !unanswered; i++) {
		if (draw(i))
			continue;
		gpu_context_destroy(&g, CANVAS_CONTEXT);
		gpu_unref(&g, CANVAS_PICTURE);
		gpu_unref(&g, CANVAS_VERTICES);
		canvas_finish(&c);
		renewed++;
		if (!renew())
			break;
	}
	report_check(!unanswered, "all_requests_are_answered: %u are not", unanswered);
	report_check(last_picture(), "the_last_picture_is_right");
	make_screen();
	for (unsigned i = 0; i < 3; i++)
		show(ORANGE);
	printf("# %u answers, %u refused, context made anew %u times\n", g.answers, refused, renewed);
	return report_end();
}
