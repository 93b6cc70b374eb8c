// SPDX-License-Identifier: MIT
/*
 * Formats: pictures of a decoder in each picture format of each dialect are those that the same elements give outside;
 * bitstreams of more than 8 bits are rounded as outside; encoders take all picture formats; and the coded formats that
 * virtio-video has no number for go through the codec alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/loop.h"
#include "host/video/picture.h"
#include "host/virtio/object.h"
#include "tests/lib/codec_tests.h"
#include "tests/lib/tap.h"

static const struct video_coded_format *h264_or_skip(bool encoder)
{
	const struct video_coded_format *h264 = video_coded_format_find(VIRTIO_VIDEO_FORMAT_H264);

	if (!codec_gst_ops.can(h264, encoder, NULL) || !clip_can_make(h264))
		tap_skip("no H.264: install gstreamer1.0-libav and gstreamer1.0-plugins-ugly");
	return h264;
}

static void check_same(const struct sums *a, const struct sums *b)
{
	assert_int_equal(a->count, b->count);
	for (unsigned i = 0; i < a->count; i++)
		assert_int_equal(a->sum[i], b->sum[i]);
}

static void decode_to(const struct video_dialect *dialect, const struct video_picture_format *picture,
		      const struct clip *clip, bool in_pieces)
{
	const struct video_coded_format *h264 = video_coded_format_find(VIRTIO_VIDEO_FORMAT_H264);
	struct video_world *w = codec_world_of(false, dialect);
	struct sums ours = {0}, outside;
	struct client c = {.decoder = true,
			   .each = client_sum_picture,
			   .arg = &ours,
			   .in_pieces = in_pieces,
			   .picture_format = dialect->picture_number(picture)};
	struct video_stats stats;
	unsigned copies;

	clip_decode_outside(h264, clip, picture->name, &outside);
	client_open(&c, w, 1, h264, true);
	client_send_clip(&c, clip);
	client_drain(&c);
	assert_true(c.ended);
	assert_int_equal(ours.count, CLIP_FRAMES);
	check_same(&ours, &outside);
	video_get_stats(w->device, &stats);
	/* A conversion into pieces is put together first. */
	copies = in_pieces && video_picture_is_packed(picture) ? 2 : 1;
	assert_int_equal(stats.codec.copies, copies * stats.codec.frames_out);
	printf("# %s: %s%s, %u copies a picture\n", dialect->name, picture->name, in_pieces ? " in pieces" : "",
	       copies);
	video_world_destroy(w);
}

static const struct video_dialect *const dialects[] = {&video_dialect_chromeos, &video_dialect_agl};

static void pictures_come_in_every_format_of_a_dialect(void **state)
{
	const struct video_picture_format *picture;
	struct clip clip;

	(void)state;
	clip_make(h264_or_skip(false), CLIP_WIDTH, CLIP_HEIGHT, &clip);
	for (unsigned d = 0; d < 2; d++) {
		for (unsigned i = 0; (picture = video_picture_format_at(i)) != NULL; i++) {
			if (dialects[d]->picture_number(picture) == 0)
				continue;
			decode_to(dialects[d], picture, &clip, false);
			decode_to(dialects[d], picture, &clip, true);
		}
	}
	clip_free(&clip);
}

static void ten_bits_are_rounded_to_eight(void **state)
{
	static const uint32_t formats[] = {VIRTIO_VIDEO_FORMAT_H264, VIRTIO_VIDEO_FORMAT_HEVC, VIRTIO_VIDEO_FORMAT_VP9};
	unsigned tried = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		const struct video_coded_format *format = video_coded_format_find(formats[i]);
		struct sums ours = {0}, outside;
		struct client c = {.decoder = true, .each = client_sum_picture, .arg = &ours};
		struct video_world *w;
		struct clip clip;

		if (!codec_gst_ops.can(format, false, NULL) || !clip_can_make_of(format, "I420_10LE")) {
			printf("# %s left out: no decoder, or an encoder of 8 bits only\n", format->name);
			continue;
		}
		w = codec_world(false);
		clip_make_of(format, CLIP_WIDTH, CLIP_HEIGHT, "I420_10LE", &clip);
		clip_decode_outside(format, &clip, "NV12", &outside);
		client_open(&c, w, 1, format, true);
		client_send_clip(&c, &clip);
		client_drain(&c);
		assert_int_equal(ours.count, CLIP_FRAMES);
		check_same(&ours, &outside);
		printf("# %s in 10 bits\n", format->name);
		clip_free(&clip);
		video_world_destroy(w);
		tried++;
	}
	if (tried == 0)
		tap_skip("no encoder here takes 10 bits");
}

/* ---- pictures of every format into an encoder ---- */

enum { BYTES = CLIP_WIDTH * CLIP_HEIGHT * 4 };

/* Slopes: chroma is halved, so sharp colours would not come back. No two components have the same. */
static uint8_t slope(char component, unsigned x, unsigned y, unsigned n)
{
	switch (component) {
	case 'R':
	case 'V':
		return (uint8_t)(200 - x / 2 - n);
	case 'G':
	case 'Y':
		return (uint8_t)(60 + (x + 2 * n) / 2 + y / 4);
	case 'B':
	case 'U':
		return (uint8_t)(90 + y / 2);
	default:
		return 0xff;
	}
}

/* One row of samples or pixels: @components by turns, each every @step pixels. Returns its end. */
static uint8_t *draw_row(uint8_t *p, const char *components, unsigned width, unsigned y, unsigned step, unsigned n)
{
	for (unsigned x = 0; x < width; x += step) {
		for (const char *c = components; *c; c++)
			*p++ = slope(*c, x, y, n);
	}
	return p;
}

/* Returns how many bytes it has. */
static size_t draw(const char *format, uint8_t *at, unsigned n)
{
	static const struct {
		const char *format;
		const char *planes[3];
	} planar[] = {
		{"NV12", {"Y", "UV"}},
		{"I420", {"Y", "U", "V"}},
		{"YV12", {"Y", "V", "U"}},
		{"YUY2", {"YUYV"}},
		{"ARGB", {"ARGB"}},
		{"BGRA", {"BGRA"}},
		{"RGBA", {"RGBA"}},
	};
	uint8_t *p = at;
	unsigned row = 0;

	while (strcmp(planar[row].format, format) != 0)
		assert_true(++row < sizeof(planar) / sizeof(planar[0]));
	for (unsigned i = 0; i < 3 && planar[row].planes[i]; i++) {
		const bool pairs = strcmp(planar[row].planes[i], "YUYV") == 0;

		for (unsigned y = 0; y < CLIP_HEIGHT; y += i ? 2 : 1)
			p = draw_row(p, planar[row].planes[i], CLIP_WIDTH, y, i || pairs ? 2 : 1, n);
	}
	return (size_t)(p - at);
}

static void keep_packet(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp)
{
	struct clip *clip = c->arg;

	assert_true(clip->count < CLIP_MAX_PACKETS);
	clip->data[clip->count] = malloc(resp->size);
	assert_non_null(clip->data[clip->count]);
	memcpy(clip->data[clip->count], data, resp->size);
	clip->bytes[clip->count++] = resp->size;
}

struct compare {
	const char *format;
	unsigned count;
	double worst;
};

static void compare_picture(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp)
{
	static uint8_t expected[BYTES];
	struct compare *cmp = c->arg;
	const size_t bytes = draw(cmp->format, expected, cmp->count++);
	double sum = 0, value;

	(void)resp;
	assert_int_equal(c->picture_bytes, bytes);
	for (size_t i = 0; i < bytes; i++)
		sum += (data[i] - expected[i]) * (data[i] - expected[i]);
	value = sum == 0 ? 99 : 10 * log10(255.0 * 255.0 * (double)bytes / sum);
	cmp->worst = value < cmp->worst ? value : cmp->worst;
}

/*
 * What is decoded is compared with the codec alone above, so what comes back here went in as it should. (GStreamer's way from I420
 * to RGB makes it darker by a fiftieth, which is most of what is lost there.)
 */
static void encode_from(const struct video_dialect *dialect, const struct video_picture_format *format)
{
	const struct video_coded_format *h264 = video_coded_format_find(VIRTIO_VIDEO_FORMAT_H264);
	const uint32_t number = dialect->picture_number(format);
	struct video_world *w = codec_world_of(true, dialect);
	static uint8_t picture[BYTES];
	const size_t bytes = draw(format->name, picture, 0);
	struct clip clip = {0};
	struct compare cmp = {.format = format->name, .worst = 99};
	struct client e = {.each = keep_packet, .arg = &clip, .picture_bytes = bytes};
	struct client d = {.decoder = true, .each = compare_picture, .arg = &cmp, .picture_format = number};
	struct virtio_video_set_params p = {.params = {.queue_type = VIDEO_IN,
						       .format = number,
						       .frame_width = CLIP_WIDTH,
						       .frame_height = CLIP_HEIGHT}};

	client_open(&e, w, 1, h264, false);
	assert_int_equal(video_queue_command(w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_IN), VIDEO_OK);
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &p, sizeof(p), NULL, 0), VIDEO_OK);
	for (uint32_t i = 0; i < CLIENT_INPUTS; i++)
		assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, i, bytes, &e.in[i]), VIDEO_OK);
	for (unsigned i = 0; i < CLIP_FRAMES; i++) {
		draw(format->name, picture, i);
		client_send(&e, picture, bytes, i);
	}
	client_drain(&e);
	assert_int_equal(clip.count, CLIP_FRAMES);
	video_world_destroy(w);

	w = codec_world_of(false, dialect);
	client_open(&d, w, 1, h264, true);
	client_send_clip(&d, &clip);
	client_drain(&d);
	assert_int_equal(cmp.count, CLIP_FRAMES);
	printf("# %s: %s, worst PSNR %.1f dB\n", dialect->name, format->name, cmp.worst);
	assert_true(cmp.worst > 35);
	clip_free(&clip);
	video_world_destroy(w);
}

static void pictures_of_every_format_of_a_dialect_are_encoded(void **state)
{
	const struct video_picture_format *format;

	(void)state;
	h264_or_skip(true);
	for (unsigned d = 0; d < 2; d++) {
		for (unsigned i = 0; (format = video_picture_format_at(i)) != NULL; i++) {
			if (dialects[d]->picture_number(format) != 0)
				encode_from(dialects[d], format);
		}
	}
}

/* ---- the codec alone ---- */

static void nothing(void *owner)
{
	(void)owner;
}

/* Where the pictures of a codec go that is run alone. */
struct target {
	struct video_buffer buffer;
	const struct video_picture_format *format;
	struct video_layout layout;
	struct sums sums;
};

/* The picture's rows without what lies between them. */
static uint64_t sum_rows(const struct target *t)
{
	static uint8_t tight[CLIP_WIDTH * CLIP_HEIGHT * 4];
	const struct video_plane plane = video_layout_plane(&t->layout, &t->buffer, 0);
	const uint8_t *from = t->buffer.pieces[0].iov_base;

	if (!video_picture_is_packed(t->format))
		return sums_of(from, t->layout.total_bytes);
	for (uint32_t y = 0; y < CLIP_HEIGHT; y++)
		memcpy(tight + (size_t)y * CLIP_WIDTH * 4, from + (size_t)y * plane.stride_bytes, (size_t)CLIP_WIDTH * 4);
	return sums_of(tight, sizeof(tight));
}

/* Take what is there. Returns false at the end. */
static bool take_all(struct codec *c, struct target *t)
{
	struct codec_output out;
	size_t bytes;

	for (;;) {
		c->ops->output(c, &out);
		switch (out.kind) {
		case CODEC_NOTHING:
			return true;
		case CODEC_FORMAT:
			video_layout_init(&t->layout, t->format, out.width, out.height);
			assert_true(video_layout_fits(&t->layout, &t->buffer));
			assert_int_equal(c->ops->take(c, NULL, NULL, NULL), 0);
			break;
		case CODEC_FRAME:
			/* Pictures may come in another order than they went in. */
			assert_in_range(out.timestamp, 100, 100 + CLIP_FRAMES - 1);
			assert_int_equal(c->ops->take(c, &t->buffer, &t->layout, &bytes), 0);
			t->sums.sum[t->sums.count++] = sum_rows(t);
			break;
		case CODEC_END:
			return false;
		default:
			fail_msg("the codec failed");
		}
	}
}

static void decode_alone(const struct video_coded_format *format, const struct clip *clip, struct target *t)
{
	struct codec_config config = {.coded = format, .changed = nothing};
	struct sums outside;
	struct codec *c;

	assert_int_equal(loop_create("test", &config.loop), 0);
	clip_decode_outside(format, clip, t->format->name, &outside);
	assert_int_equal(codec_gst_ops.create(&config, &c), 0);
	for (unsigned i = 0; i < clip->count; i++) {
		uint8_t *data = malloc(clip->bytes[i]);

		assert_non_null(data);
		memcpy(data, clip->data[i], clip->bytes[i]);
		while (!c->ops->has_room(c)) {
			assert_int_equal(loop_run_once(config.loop, 10), 0);
			take_all(c, t);
		}
		assert_int_equal(c->ops->decode(c, data, clip->bytes[i], 100 + i), 0);
	}
	c->ops->drain(c);
	while (take_all(c, t))
		assert_int_equal(loop_run_once(config.loop, 10), 0);
	assert_int_equal(t->sums.count, CLIP_FRAMES);
	check_same(&t->sums, &outside);
	c->ops->destroy(c);
	loop_destroy(config.loop);
}

static void check_alone(const struct video_coded_format *format)
{
	static uint8_t memory[CLIP_WIDTH * CLIP_HEIGHT * 2];
	struct iovec piece = {memory, sizeof(memory)};
	struct target t = {.buffer = {.pieces = &piece, .piece_count = 1, .bytes = sizeof(memory), .plane_count = 1},
			   .format = video_picture_format_at(0)};
	struct clip clip;

	clip_make(format, CLIP_WIDTH, CLIP_HEIGHT, &clip);
	decode_alone(format, &clip, &t);
	printf("# %s\n", format->name);
	clip_free(&clip);
}

/* Converted straight into a picture of another device, which is wider. */
static void rgb_goes_into_objects_with_their_stride(void **state)
{
	const struct virtio_object_shape shape = {
		.order = "BGRX", .width = CLIP_WIDTH + 25, .height = CLIP_HEIGHT + 3, .stride_bytes = (CLIP_WIDTH + 40) * 4};
	const size_t bytes = (size_t)shape.stride_bytes * shape.height;
	const struct video_coded_format *h264 = h264_or_skip(false);
	struct target t = {.format = video_picture_format_named("BGRA")};
	struct virtio_object *o;
	const uint8_t *end;
	struct clip clip;

	(void)state;
	assert_int_equal(virtio_object_create(&shape, bytes, &o), 0);
	memset(o->pieces[0].iov_base, 0x5a, bytes);
	t.buffer = (struct video_buffer){
		.pieces = o->pieces, .piece_count = 1, .bytes = bytes, .plane_count = 1, .objects = {o}, .object_count = 1};
	clip_make(h264, CLIP_WIDTH, CLIP_HEIGHT, &clip);
	decode_alone(h264, &clip, &t);
	/* What is beside and below the picture is not touched. */
	end = o->pieces[0].iov_base;
	for (uint32_t y = 0; y < shape.height; y++, end += shape.stride_bytes) {
		for (uint32_t x = y < CLIP_HEIGHT ? CLIP_WIDTH * 4 : 0; x < shape.stride_bytes; x++)
			assert_int_equal(end[x], 0x5a);
	}
	clip_free(&clip);
	virtio_object_put(o);
}

/* Pictures that grow brighter, through an encoder alone. */
static void encode_alone(const struct video_coded_format *format, struct clip *clip)
{
	static uint8_t picture[CLIP_WIDTH * CLIP_HEIGHT * 3 / 2], packet[CLIENT_CODED_BYTES];
	struct iovec in_piece = {picture, sizeof(picture)}, out_piece = {packet, sizeof(packet)};
	const struct video_buffer in = {
		.pieces = &in_piece, .piece_count = 1, .bytes = sizeof(picture), .plane_count = 1};
	const struct video_buffer out = {
		.pieces = &out_piece, .piece_count = 1, .bytes = sizeof(packet), .plane_count = 1};
	struct codec_config config = {.encoder = true,
				      .coded = format,
				      .changed = nothing,
				      .controls = {.bitrate = 1000000, .peak_bitrate = 2000000, .frame_rate = 30}};
	struct codec_output o;
	struct video_layout layout;
	unsigned sent = 0;
	struct codec *c;
	size_t bytes;

	video_layout_init(&layout, video_picture_format_at(0), CLIP_WIDTH, CLIP_HEIGHT);
	config.layout = &layout;
	assert_int_equal(loop_create("test", &config.loop), 0);
	assert_int_equal(codec_gst_ops.create(&config, &c), 0);
	for (o.kind = CODEC_NOTHING; o.kind != CODEC_END;) {
		if (sent < CLIP_FRAMES && c->ops->has_room(c)) {
			memset(picture, (int)(60 + 4 * sent), CLIP_WIDTH * CLIP_HEIGHT);
			memset(picture + CLIP_WIDTH * CLIP_HEIGHT, 128, CLIP_WIDTH * CLIP_HEIGHT / 2);
			assert_int_equal(c->ops->encode(c, &in, sent, false), 0);
			if (++sent == CLIP_FRAMES)
				c->ops->drain(c);
		}
		c->ops->output(c, &o);
		if (o.kind == CODEC_FRAME) {
			assert_int_equal(o.timestamp, clip->count);
			/* av1enc of GStreamer 1.22 takes no wishes for more. */
			if (clip->count == 0)
				assert_true(o.key_frame);
			assert_int_equal(c->ops->take(c, &out, NULL, &bytes), 0);
			clip->data[clip->count] = malloc(bytes);
			assert_non_null(clip->data[clip->count]);
			memcpy(clip->data[clip->count], packet, bytes);
			clip->bytes[clip->count++] = bytes;
		} else {
			assert_true(o.kind == CODEC_NOTHING || o.kind == CODEC_END);
			assert_int_equal(loop_run_once(config.loop, 10), 0);
		}
	}
	c->ops->destroy(c);
	loop_destroy(config.loop);
}

/* FWHT's driver takes no pictures as small as these: test_media_fwht. */
static bool is_for_these(const struct video_coded_format *format)
{
	return format->number == 0 && strcmp(format->name, "fwht") != 0;
}

static void formats_of_other_protocols_are_encoded(void **state)
{
	const struct video_coded_format *format;
	unsigned tried = 0;

	(void)state;
	for (unsigned i = 0; (format = video_coded_format_at(i)) != NULL; i++) {
		struct clip clip = {0};
		struct sums sums;

		if (!is_for_these(format) || format->decode_only)
			continue;
		if (!codec_gst_ops.can(format, false, NULL) || !codec_gst_ops.can(format, true, NULL)) {
			printf("# %s left out: no decoder or no encoder\n", format->name);
			continue;
		}
		encode_alone(format, &clip);
		assert_int_equal(clip.count, CLIP_FRAMES);
		clip_decode_outside(format, &clip, "NV12", &sums);
		assert_int_equal(sums.count, CLIP_FRAMES);
		/* Each is brighter than the one before: no two are the same. */
		for (unsigned k = 1; k < sums.count; k++)
			assert_int_not_equal(sums.sum[k], sums.sum[k - 1]);
		printf("# %s\n", format->name);
		clip_free(&clip);
		tried++;
	}
	if (tried == 0)
		tap_skip("no AV1 encoder: install gstreamer1.0-plugins-bad");
}

static void formats_of_other_protocols_decode(void **state)
{
	const struct video_coded_format *format;
	unsigned tried = 0;

	(void)state;
	for (unsigned i = 0; (format = video_coded_format_at(i)) != NULL; i++) {
		if (!is_for_these(format))
			continue;
		if (!codec_gst_ops.can(format, false, NULL) || !clip_can_make(format)) {
			printf("# %s left out: no decoder or no encoder\n", format->name);
			continue;
		}
		check_alone(format);
		tried++;
	}
	if (tried == 0)
		tap_skip("no AV1 and no JPEG: install gstreamer1.0-plugins-bad and gstreamer1.0-plugins-good");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_come_in_every_format_of_a_dialect),
		cmocka_unit_test(ten_bits_are_rounded_to_eight),
		cmocka_unit_test(pictures_of_every_format_of_a_dialect_are_encoded),
		cmocka_unit_test(rgb_goes_into_objects_with_their_stride),
		cmocka_unit_test(formats_of_other_protocols_decode),
		cmocka_unit_test(formats_of_other_protocols_are_encoded),
	};

	return codec_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
