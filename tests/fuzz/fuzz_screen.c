// SPDX-License-Identifier: MIT
/* A device process that sends anything to the screen that shows its frames; the output reads all that it is lent. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/display/screen.h"
#include "protocol/vhost_user_gpu.h"
#include "tests/fuzz/fuzz.h"

static volatile uint32_t sum;

static int present(struct display_output *o, unsigned scanout, const struct display_frame *f)
{
	const struct display_rect *d = &f->damage;

	(void)o;
	if (scanout >= DISPLAY_MAX_SCANOUTS || !d->width || d->x + d->width > f->width || d->y + d->height > f->height)
		abort();
	for (uint32_t y = d->y; y < d->y + d->height; y++) {
		const uint32_t *row = (const void *)((const char *)f->pixels + (size_t)y * f->stride_bytes);

		for (uint32_t x = d->x; x < d->x + d->width; x++)
			sum += row[x];
	}
	return 0;
}

static void blank(struct display_output *o, unsigned scanout)
{
	(void)o;
	if (scanout >= DISPLAY_MAX_SCANOUTS)
		abort();
}

static void cursor(struct display_output *o, unsigned scanout, const struct display_cursor *c)
{
	(void)o;
	if (scanout >= DISPLAY_MAX_SCANOUTS)
		abort();
	for (unsigned i = 0; c->pixels && i < 64 * 64; i++)
		sum += c->pixels[i];
}

static void destroy(struct display_output *o)
{
	(void)o;
}

size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	static const uint32_t seeds[][20] = {
		{VHOST_USER_GPU_GET_PROTOCOL_FEATURES, 0, 0, VHOST_USER_GPU_SET_PROTOCOL_FEATURES, 0, 8, 0, 0},
		{VHOST_USER_GPU_SCANOUT, 0, 12, 1, 9, 7, VHOST_USER_GPU_UPDATE, 0, 28, 1, 3, 2, 2, 1, 0x123456, 0xabcdef},
		{VHOST_USER_GPU_SCANOUT, 0, 12, 0, 8, 8, VHOST_USER_GPU_SCANOUT, 0, 12, 0, 0, 0, VHOST_USER_GPU_CURSOR_POS, 0, 12,
		 15, 4, 5},
		{VHOST_USER_GPU_CURSOR_POS_HIDE, 0, 12, 2, 1, 1, VHOST_USER_GPU_CURSOR_UPDATE, 0, 20 + 16384, 1, 2, 3, 4, 5},
	};
	const size_t used[] = {8, 16, 18, 14};
	size_t n;

	if (index >= sizeof(seeds) / sizeof(seeds[0]))
		return 0;
	n = used[index] * sizeof(uint32_t);
	if (index == 3 && n + 16384 <= cap)
		memset(buf + n, 0x55, 16384);
	memcpy(buf, seeds[index], n < cap ? n : cap);
	return index == 3 && n + 16384 <= cap ? n + 16384 : n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct display_output_ops ops = {
		.name = "fuzz", .present = present, .blank = blank, .cursor = cursor, .destroy = destroy};
	struct display_output output = {.ops = &ops};
	struct screen *screen;
	struct loop *loop;
	int pair[2];

	if (loop_create("fuzz", &loop) || screen_create(loop, &output, &screen) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ||
	    screen_connect(screen, pair[0]))
		abort();
	while (size) {
		ssize_t n = send(pair[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		/* No room: the screen reads; hung up: it has seen enough. */
		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
		if (loop_run_once(loop, 0))
			abort();
		if (n < 0 && send(pair[1], data, 0, MSG_NOSIGNAL) < 0)
			break;
	}
	for (unsigned i = 0; i < 4; i++)
		loop_run_once(loop, 0);
	screen_destroy(screen);
	close(pair[1]);
	loop_destroy(loop);
	return 0;
}
