// SPDX-License-Identifier: MIT
/*
 * Access units that come in parts: slice by slice, or cut anywhere. Pictures are, bit for bit, those of the whole ones; and
 * of guests that begin with whole ones, those that were torn are marked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/headers.h"
#include "tests/lib/codec_tests.h"
#include "tests/lib/tap.h"

struct outcome {
	struct sums sums;
	bool seen[2 * CLIP_MAX_PACKETS]; /* by timestamp: it came without the flag for errors */
};

static void take_picture(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp)
{
	struct outcome *o = c->arg;

	o->sums.sum[o->sums.count++] = sums_of(data, c->picture_bytes);
	o->seen[resp->timestamp - CLIENT_FIRST_STAMP] = true;
}

static void send_part(struct client *c, const struct clip *clip, unsigned i, size_t from, size_t to)
{
	if (to > from)
		client_send(c, clip->data[i] + from, to - from, CLIENT_FIRST_STAMP + i);
}

/* Where part @k of @parts of access unit @i begins, in bytes alike. */
static size_t cut(const struct clip *clip, unsigned i, unsigned k, unsigned parts)
{
	return clip->bytes[i] * k / parts;
}

static void send_cut(struct client *c, const struct clip *clip, unsigned i, unsigned parts)
{
	for (unsigned k = 0; k < parts; k++)
		send_part(c, clip, i, cut(clip, i, k, parts), cut(clip, i, k + 1, parts));
}

/* A buffer for each NAL unit. Returns how many slices there are. */
static unsigned send_nals(struct client *c, const struct clip *clip, unsigned i)
{
	size_t from = 0, at = video_headers_find(clip->data[i], clip->bytes[i], 0);
	unsigned count = 0;

	while (at < clip->bytes[i]) {
		at = video_headers_find(clip->data[i], clip->bytes[i], at + 3);
		send_part(c, clip, i, from, at);
		from = at;
		count++;
	}
	return count;
}

static void check_sums(const struct client *c, const struct outcome *o, const struct sums *outside)
{
	assert_int_equal(c->wrong, 0);
	assert_int_equal(o->sums.count, outside->count);
	for (unsigned i = 0; i < outside->count; i++)
		assert_int_equal(o->sums.sum[i], outside->sum[i]);
}

/* @parts: 0: NAL units. */
static void check_parts(const struct video_coded_format *format, const struct clip *clip, const struct sums *outside,
			unsigned parts)
{
	struct video_world *w = codec_world(false);
	struct outcome o = {0};
	struct client c = {.decoder = true, .each = take_picture, .arg = &o};
	unsigned nals = 0;

	client_open(&c, w, 1, format, true);
	for (unsigned i = 0; i < clip->count; i++) {
		if (parts > 0)
			send_cut(&c, clip, i, parts);
		else
			nals += send_nals(&c, clip, i);
	}
	client_drain(&c);
	assert_true(c.ended && !c.failed);
	check_sums(&c, &o, outside);
	if (parts == 0)
		assert_true(nals >= 3 * CLIP_FRAMES);
	/* And once more, from its middle, as after a seek. */
	for (unsigned i = 0; i < 4; i++)
		send_cut(&c, clip, i, 3);
	client_clear_input(&c);
	client_look(&c);
	memset(&o, 0, sizeof(o));
	c.wrong = 0;
	for (unsigned i = 0; i < clip->count; i++)
		send_cut(&c, clip, i, parts > 0 ? parts : 2);
	client_drain(&c);
	check_sums(&c, &o, outside);
	video_world_destroy(w);
}

static bool make_clip(const struct video_coded_format *format, struct clip *clip, struct sums *outside)
{
	if (format->headers == VIDEO_HEADERS_NONE)
		return false;
	clip_make_sliced(format, CLIP_WIDTH, CLIP_HEIGHT, clip);
	clip_decode_outside(format, clip, "NV12", outside);
	assert_int_equal(outside->count, CLIP_FRAMES);
	return true;
}

static void check_format(const struct video_coded_format *format)
{
	struct sums outside;
	struct clip clip;

	if (!make_clip(format, &clip, &outside))
		return;
	for (unsigned parts = 0; parts <= 5; parts++)
		check_parts(format, &clip, &outside, parts);
	clip_free(&clip);
	printf("# %s\n", format->name);
}

static void access_units_may_come_in_parts(void **state)
{
	(void)state;
	codec_for_each_format(false, check_format);
}

/* Picture @torn of whole ones comes in two parts, and from @later on all do. */
static void check_torn(const struct video_coded_format *format)
{
	const unsigned torn = 5, later = 12;
	struct video_world *w;
	struct outcome o = {0};
	struct client c = {.decoder = true, .each = take_picture, .arg = &o};
	struct sums outside;
	struct clip clip;
	unsigned same = 0;

	if (!make_clip(format, &clip, &outside))
		return;
	w = codec_world(false);
	client_open(&c, w, 1, format, true);
	for (unsigned i = 0; i < clip.count; i++)
		send_cut(&c, &clip, i, i == torn || i >= later ? 2 : 1);
	client_drain(&c);
	assert_true(c.ended && !c.failed);
	/* Both halves, as far as the decoder shows them; what it says of others, that refer to it, is its own. */
	assert_false(o.seen[torn]);
	assert_in_range(c.wrong, 1, CLIENT_OUTPUTS);
	for (unsigned i = 0; i < c.wrong; i++)
		assert_true(c.wrong_stamps[i] >= CLIENT_FIRST_STAMP + torn);
	for (unsigned i = 0; i < torn; i++)
		assert_true(o.seen[i]);
	/* From the key frame behind it on all are well, in parts or not: of so many pictures the last. */
	for (unsigned i = 1; i <= CLIP_FRAMES - 10; i++)
		same += o.sums.sum[o.sums.count - i] == outside.sum[outside.count - i];
	printf("# %s: %u pictures of %u, %u marked\n", format->name, o.sums.count, outside.count, c.wrong);
	assert_int_equal(same, CLIP_FRAMES - 10);
	/* The same once more: those are other pictures. */
	memset(&o, 0, sizeof(o));
	c.wrong = 0;
	for (unsigned i = 0; i < clip.count; i++)
		send_cut(&c, &clip, i, 1);
	client_drain(&c);
	check_sums(&c, &o, &outside);
	clip_free(&clip);
	video_world_destroy(w);
}

static void a_torn_picture_is_marked(void **state)
{
	(void)state;
	codec_for_each_format(false, check_torn);
}

/* It comes without more: nobody waits for the next one. */
static void check_one(const struct video_coded_format *format)
{
	struct video_world *w;
	struct outcome o = {0};
	struct client c = {.decoder = true, .each = take_picture, .arg = &o};
	struct sums outside;
	struct clip clip;

	if (!make_clip(format, &clip, &outside))
		return;
	w = codec_world(false);
	client_open(&c, w, 1, format, true);
	send_cut(&c, &clip, 0, 1);
	video_wait_event(w, c.event);
	video_world_destroy(w);
	clip_free(&clip);
}

static void the_size_is_known_after_one_input(void **state)
{
	(void)state;
	codec_for_each_format(false, check_one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(access_units_may_come_in_parts),
		cmocka_unit_test(a_torn_picture_is_marked),
		cmocka_unit_test(the_size_is_known_after_one_input),
	};

	return codec_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
