// SPDX-License-Identifier: MIT
/*
 * Bitstreams that are cut and broken, for each format: the device goes on.
 *
 * VIDEO_MUTATIONS is the number of broken access units (default 1700 a format: 10,000 in all; 200 under sanitizers), VIDEO_SEED their random seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/codec_tests.h"
#include "tests/lib/tap.h"

#ifdef __SANITIZE_ADDRESS__
#define MUTATIONS 200
#else
#define MUTATIONS 1700
#endif

static uint32_t random_state;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % n;
}

/* Flip bits, cut, repeat, leave out. Returns how many access units were not what they should be, up to where the stream failed. */
static unsigned send_mutated(struct client *c, const struct clip *clip)
{
	static uint8_t copy[CLIENT_CODED_BYTES];
	unsigned mutated = 0;

	for (unsigned i = 0; i < clip->count && !c->failed; i++) {
		size_t n = clip->bytes[i];

		memcpy(copy, clip->data[i], n);
		mutated++;
		switch (random_below(6)) {
		case 0:
			continue;
		case 1:
			n = random_below((uint32_t)n);
			break;
		case 2:
			client_send(c, copy, n, i);
			break;
		case 3:
			for (uint32_t k = 1 + random_below(30); k > 0; k--)
				copy[random_below((uint32_t)n)] ^= (uint8_t)(1u << random_below(8));
			break;
		case 4:
			/* The headers. */
			for (uint32_t k = 1 + random_below(8); k > 0; k--)
				copy[random_below(n < 40 ? (uint32_t)n : 40)] ^= (uint8_t)(1 + random_below(255));
			break;
		default:
			mutated--;
			break;
		}
		client_send(c, copy, n, i);
	}
	return mutated;
}

static unsigned number_from_env(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void check_mutations(const struct video_coded_format *format)
{
	const unsigned wanted = number_from_env("VIDEO_MUTATIONS", MUTATIONS);
	struct sums ours = {0}, outside;
	struct video_world *w = codec_world(false);
	struct clip clip;
	unsigned count = 0;

	random_state = number_from_env("VIDEO_SEED", 1) * 2654435761u + format->number;
	clip_make(format, CLIP_WIDTH, CLIP_HEIGHT, &clip);
	clip_decode_outside(format, &clip, "NV12", &outside);
	while (count < wanted) {
		struct client c = {.decoder = true};

		client_open(&c, w, 1, format, true);
		count += send_mutated(&c, &clip);
		if (!c.failed && random_below(2))
			client_drain(&c);
		assert_int_equal(fake_guest_start(w->guest, w->device), 0);
		video_world_destroy(w);
		w = codec_world(false);
	}
	/* The device is well. */
	{
		struct client c = {.decoder = true, .each = client_sum_picture, .arg = &ours};

		client_open(&c, w, 1, format, true);
		client_send_clip(&c, &clip);
		client_drain(&c);
	}
	assert_int_equal(ours.count, outside.count);
	assert_int_equal(ours.sum[CLIP_FRAMES - 1], outside.sum[CLIP_FRAMES - 1]);
	printf("# %s: %u broken access units\n", format->name, count);
	clip_free(&clip);
	video_world_destroy(w);
}

static void broken_bitstreams_break_nothing_else(void **state)
{
	(void)state;
	codec_for_each_format(false, check_mutations);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_bitstreams_break_nothing_else),
	};

	return codec_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
