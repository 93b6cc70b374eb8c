// SPDX-License-Identifier: MIT
/*
 * Bitstreams that never end: data in which no picture begins or ends, one picture again and again, access units as
 * long as a buffer. Each input is answered in time, the device's memory doesn't grow with them, and another stream
 * goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/codec_tests.h"
#include "tests/lib/usage.h"

/*
 * Of CLIENT_CODED_BYTES each: 70 MiB. A parser may hold 8 MiB before it is given up, and have copied them. What has no start code
 * is put together to 2 MiB first, so that it takes half of it until a pipeline is full.
 */
enum { UNITS = 280, MOST_MIB = 16 };

static uint8_t unit[CLIENT_CODED_BYTES];

/* Kinds of endless data: fill @unit, from the clip's key frame, and return how much of it counts. */
static size_t zeros(const struct clip *clip, unsigned n)
{
	(void)clip;
	(void)n;
	memset(unit, 0, sizeof(unit));
	return sizeof(unit);
}

static size_t noise(const struct clip *clip, unsigned n)
{
	uint32_t x = n * 2654435761u + 1;

	(void)clip;
	for (size_t i = 0; i < sizeof(unit); i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		unit[i] = (uint8_t)(x | 4); /* no start code */
	}
	return sizeof(unit);
}

static size_t one_frame_again(const struct clip *clip, unsigned n)
{
	(void)n;
	memcpy(unit, clip->data[0], clip->bytes[0]);
	return clip->bytes[0];
}

/* A key frame whose data goes on, over all that follow. */
static size_t one_frame_without_end(const struct clip *clip, unsigned n)
{
	noise(clip, n);
	if (n == 0)
		memcpy(unit, clip->data[0], clip->bytes[0]);
	return sizeof(unit);
}

static size_t start_codes(const struct clip *clip, unsigned n)
{
	(void)clip;
	for (size_t i = 0; i + 4 <= 16384; i += 4)
		memcpy(unit + i, (const uint8_t[]){0, 0, 1, (uint8_t)(n + i / 4)}, 4);
	return 16384;
}

static size_t (*const kinds[])(const struct clip *clip, unsigned n) = {
	zeros, noise, one_frame_again, one_frame_without_end, start_codes,
};

/* What is in use: without parsers that were given up and have not ended yet, and what was freed. */
static unsigned long resident_mib(void)
{
	unsigned long kib = 0;
	char line[128];
	FILE *f;

	for (unsigned i = 0; i < 3000 && codec_gst_ops.stopping() > 0; i++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	malloc_trim(0);
	f = fopen("/proc/self/status", "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) && sscanf(line, "RssAnon: %lu", &kib) != 1)
		;
	fclose(f);
	return kib / 1024;
}

/* Returns by how much memory grew. */
static unsigned long send_endless(struct video_world *w, const struct video_coded_format *format,
				  const struct clip *clip, unsigned kind)
{
	struct client c = {.decoder = true};
	unsigned long before = 0, after;
	unsigned n;

	client_open(&c, w, 1, format, true);
	for (n = 0; n < UNITS && !c.failed; n++) {
		const time_t begin = time(NULL);
		const size_t bytes = kinds[kind](clip, n);

		client_send(&c, unit, bytes, n);
		assert_true(time(NULL) - begin <= 5);
		/* Once codec and buffers are there. */
		if (n == UNITS / 2)
			before = resident_mib();
	}
	after = resident_mib();
	/* A stream that failed said so; neither keeps the guest. */
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_IN), VIDEO_OK);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	return n == UNITS && after > before ? after - before : 0;
}

static void check_endless(const struct video_coded_format *format)
{
	struct sums ours = {0}, outside;
	struct client c = {.decoder = true, .each = client_sum_picture, .arg = &ours};
	struct video_world *w;
	unsigned long worst = 0;
	struct clip clip;

	clip_make(format, CLIP_WIDTH, CLIP_HEIGHT, &clip);
	clip_decode_outside(format, &clip, "NV12", &outside);
	for (unsigned kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
		unsigned long grew;

		w = codec_world(false);
		grew = send_endless(w, format, &clip, kind);
		worst = grew > worst ? grew : worst;
		if (USAGE_MEMORY_TELLS && grew > MOST_MIB)
			fail_msg("%s: kind %u: %lu MiB more after %u access units", format->name, kind, grew, UNITS);
		video_world_destroy(w);
	}
	w = codec_world(false);
	client_open(&c, w, 1, format, true);
	client_send_clip(&c, &clip);
	client_drain(&c);
	assert_int_equal(ours.count, outside.count);
	assert_int_equal(ours.sum[ours.count - 1], outside.sum[outside.count - 1]);
	printf("# %s: memory grew by %lu MiB at most%s\n", format->name, worst,
	       USAGE_MEMORY_TELLS ? "" : ", which says nothing under a sanitizer");
	clip_free(&clip);
	video_world_destroy(w);
}

static void endless_bitstreams_cost_no_memory_and_no_time(void **state)
{
	(void)state;
	codec_for_each_format(false, check_endless);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endless_bitstreams_cost_no_memory_and_no_time),
	};

	return codec_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
