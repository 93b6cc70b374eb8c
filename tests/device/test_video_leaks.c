// SPDX-License-Identifier: MIT
/*
 * Video devices come and go with a stream open and a codec at work: they leave no descriptor, no thread, and no memory that
 * grows with their number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/video/gst_elements.h"
#include "tests/lib/codec_tests.h"
#include "tests/lib/round_trip.h"
#include "tests/lib/tap.h"
#include "tests/lib/usage.h"

/*
 * What is allocated differs from one look to the next, by what libraries keep for each of their threads: the least after
 * each of some devices is compared with the least after each of the next ones.
 */
enum { WARM_UP = 6, DEVICES = 20, TRIES = 4, MOST_BYTES_EACH = 1024, MOST_KIB_EACH = 128 };

static void wait_for_codecs(void)
{
	for (unsigned i = 0; i < 60000 && codec_gst_ops.stopping() > 0; i++)
		nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
	assert_int_equal(codec_gst_ops.stopping(), 0);
}

static const struct video_coded_format *h264(void)
{
	return video_coded_format_find(VIRTIO_VIDEO_FORMAT_H264);
}

/* A device that ends in the midst of a clip, with inputs and outputs in its codec. */
static void a_decoder(const struct clip *clip, unsigned n)
{
	struct video_world *w = codec_world(false);
	struct sums sums = {0};
	struct client c = {.decoder = true, .each = client_sum_picture, .arg = &sums};

	client_open(&c, w, 1, h264(), true);
	for (unsigned i = 0; i < 6 + n % 8; i++)
		client_send(&c, clip->data[i], clip->bytes[i], CLIENT_FIRST_STAMP + i);
	while (!c.formats)
		client_look(&c);
	video_world_destroy(w);
}

static void an_encoder(const struct clip *clip, unsigned n)
{
	struct video_world *w = codec_world(true);
	struct clip packets = {0};
	struct client c;

	(void)clip;
	round_trip_open(&c, w, 1, h264(), &packets);
	round_trip_send(&c, 0, 6 + n % 8);
	while (!packets.count)
		client_look(&c);
	video_world_destroy(w);
	clip_free(&packets);
}

struct use {
	unsigned fds, threads;
	size_t bytes, kib; /* allocated, resident */
};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The least that is in use after each of @count devices. */
static struct use make_devices(void (*device)(const struct clip *clip, unsigned n), const struct clip *clip,
			       unsigned count)
{
	struct use u = {~0u, ~0u, SIZE_MAX, SIZE_MAX};

	for (unsigned n = 0; n < count; n++) {
		device(clip, n);
		wait_for_codecs();
		u.fds = (unsigned)least(u.fds, usage_count(getpid(), "fd"));
		u.threads = (unsigned)least(u.threads, usage_count(getpid(), "task"));
		u.bytes = least(u.bytes, mallinfo2().uordblks);
		u.kib = least(u.kib, usage_pages(getpid()).resident * (size_t)sysconf(_SC_PAGESIZE) / 1024);
	}
	return u;
}

static bool has_grown(const struct use *before, const struct use *after)
{
	printf("# %d devices more: %+d descriptors, %+d threads, %+zd bytes allocated, %+zd KiB resident\n", DEVICES,
	       (int)(after->fds - before->fds), (int)(after->threads - before->threads),
	       (ssize_t)(after->bytes - before->bytes), (ssize_t)(after->kib - before->kib));
	/* Under a sanitizer no bytes are counted; that finds leaks itself. */
	return after->fds > before->fds || after->threads > before->threads ||
	       after->bytes > before->bytes + DEVICES * MOST_BYTES_EACH ||
	       (USAGE_MEMORY_TELLS && after->kib > before->kib + DEVICES * MOST_KIB_EACH);
}

static void check(void (*device)(const struct clip *clip, unsigned n))
{
	struct use before, after;
	bool more = true;
	struct clip clip;

	if (!clip_can_make(h264()) || !codec_gst_ops.can(h264(), false, NULL) || !codec_gst_ops.can(h264(), true, NULL))
		tap_skip("no H.264 encoder or decoder: install gstreamer1.0-plugins-ugly and gstreamer1.0-libav");
	clip_make(h264(), CLIP_WIDTH, CLIP_HEIGHT, &clip);
	make_devices(device, &clip, WARM_UP);
	after = make_devices(device, &clip, DEVICES);
	/* What leaks does so each time. */
	for (unsigned i = 0; i < TRIES && more; i++) {
		before = after;
		after = make_devices(device, &clip, DEVICES);
		more = has_grown(&before, &after);
	}
	assert_false(more);
	clip_free(&clip);
}

static void decoders_leave_nothing_behind(void **state)
{
	(void)state;
	check(a_decoder);
}

static void encoders_leave_nothing_behind(void **state)
{
	(void)state;
	check(an_encoder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decoders_leave_nothing_behind),
		cmocka_unit_test(encoders_leave_nothing_behind),
	};

	log_set_levels("error");
	return codec_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
