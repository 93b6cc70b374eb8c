// SPDX-License-Identifier: MIT
/*
 * virtio-media over the host's codecs, for each format that it has both ways: what the encoder makes of pictures, the
 * decoder makes pictures of that are nearly the same, in the same order, over a change of size and a seek. And what it
 * only decodes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/gst_elements.h"
#include "tests/lib/clip.h"
#include "tests/lib/codec_run.h"
#include "tests/lib/media_client.h"
#include "tests/lib/soft_picture.h"
#include "tests/lib/tap.h"

enum { FRAMES = 12, KEY = 6 };

static const struct {
	uint32_t width, height;
} sizes[2] = {{176, 144}, {96, 80}};

/* Those that can be encoded. */
static const struct {
	uint32_t fourcc;
	const char *name;
} formats[] = {
	{V4L2_PIX_FMT_H264, "h264"}, {V4L2_PIX_FMT_HEVC, "hevc"}, {V4L2_PIX_FMT_VP8, "vp8"},
	{V4L2_PIX_FMT_VP9, "vp9"},   {V4L2_PIX_FMT_AV1, "av1"},
};
#define FORMAT_COUNT (sizeof(formats) / sizeof(formats[0]))

/* One coded film. */
struct film {
	unsigned count;
	bool has_key;	    /* its KEYth picture was to be one, and the encoder does that */
	unsigned keys;	    /* which packets said that they are, a bit each */
	uint8_t *data[FRAMES];
	size_t bytes[FRAMES];
};

static void set_format(struct media_client *c, uint32_t type, uint32_t fourcc, unsigned size)
{
	media_client_set_format(c, type, fourcc, sizes[size].width, sizes[size].height);
}

static size_t picture_bytes(unsigned size)
{
	return sizes[size].width * sizes[size].height * 3 / 2;
}

/* ---- encode ---- */

static void keep_packet(void *arg, const uint8_t *data, const struct virtio_media_event_dqbuf *e)
{
	struct film *f = arg;
	const size_t bytes = e->planes[0].bytesused;

	assert_true(f->count < FRAMES && bytes > 0);
	assert_int_equal(e->buffer.timestamp.tv_usec, f->count);
	f->keys |= (unsigned)!!(e->buffer.flags & V4L2_BUF_FLAG_KEYFRAME) << f->count;
	if (f->count == 0 || (f->count == KEY && f->has_key))
		assert_true(f->keys >> f->count & 1);
	f->data[f->count] = malloc(bytes);
	assert_non_null(f->data[f->count]);
	memcpy(f->data[f->count], data, bytes);
	f->bytes[f->count++] = bytes;
}

static struct media_world *world(bool encoder)
{
	return media_world_create(
		&(struct video_world_options){.encoder = encoder, .codec = &codec_gst_ops, .timeout_ms = 60000});
}

/* With @control set as well; NULL: none. */
static void encode_with(uint32_t fourcc, unsigned size, bool shares_pages, struct v4l2_control *control, struct film *f)
{
	struct v4l2_control rate = {V4L2_CID_MPEG_VIDEO_BITRATE, 2000000},
			    key = {V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, 1};
	struct media_world *w = world(true);
	uint8_t picture[176 * 144 * 3 / 2];
	struct video_stats stats;
	struct media_client c;

	memset(f, 0, sizeof(*f));
	/* av1enc of GStreamer 1.22 takes the event for it, and does nothing. */
	f->has_key = fourcc != V4L2_PIX_FMT_AV1;
	media_client_open(&c, w);
	c.shares_pages = shares_pages;
	set_format(&c, MEDIA_CAPTURE, fourcc, size);
	set_format(&c, MEDIA_OUTPUT, V4L2_PIX_FMT_NV12, size);
	assert_int_equal(media_call(w, c.id, VIDIOC_S_CTRL, &rate), 0);
	if (control)
		assert_int_equal(media_call(w, c.id, VIDIOC_S_CTRL, control), 0);
	media_client_make_buffers(&c, MEDIA_OUTPUT);
	media_client_make_buffers(&c, MEDIA_CAPTURE);
	for (unsigned n = 0; n < FRAMES; n++) {
		soft_picture_draw(picture, sizes[size].width, sizes[size].height, n);
		if (n == KEY)
			assert_int_equal(media_call(w, c.id, VIDIOC_S_CTRL, &key), 0);
		media_client_send(&c, picture, picture_bytes(size), n, keep_packet, f);
	}
	media_client_finish(&c, true, keep_packet, f);
	assert_int_equal(f->count, FRAMES);
	/* It takes NV12, and reads it where the guest has it. */
	media_get_stats(w->device, &stats);
	if (strcmp(stats.codec.element, "x264enc") == 0)
		assert_int_equal(stats.codec.copies, 0);
	media_world_destroy(w);
}

static void encode(uint32_t fourcc, unsigned size, struct film *f)
{
	encode_with(fourcc, size, size != 0, NULL, f);
}

static void free_film(struct film *f)
{
	for (unsigned n = 0; n < f->count; n++)
		free(f->data[n]);
}

/* ---- decode ---- */

struct judge {
	unsigned count; /* pictures so far */
	double worst;
};

/* Pictures come in order: FRAMES of one size, then of the other. */
static void compare(void *arg, const uint8_t *data, const struct virtio_media_event_dqbuf *e)
{
	struct judge *j = arg;
	const unsigned size = j->count / FRAMES, n = j->count % FRAMES;
	uint8_t picture[176 * 144 * 3 / 2];
	double now;

	assert_true(size < 2);
	assert_int_equal(e->buffer.timestamp.tv_sec, size);
	assert_int_equal(e->buffer.timestamp.tv_usec, n);
	assert_int_equal(e->planes[0].bytesused, picture_bytes(size));
	soft_picture_draw(picture, sizes[size].width, sizes[size].height, n);
	now = soft_picture_psnr(data, picture, picture_bytes(size));
	if (j->count++ == 0 || now < j->worst)
		j->worst = now;
}

static void ignore(void *arg, const uint8_t *data, const struct virtio_media_event_dqbuf *e)
{
	(void)arg;
	(void)data;
	(void)e;
}

static void check_format(uint32_t fourcc, const char *name)
{
	struct media_world *w = world(false);
	struct judge j = {0};
	struct media_client c;
	struct film film[2];

	media_client_open(&c, w);
	assert_int_equal(media_subscribe_to(w, c.id, V4L2_EVENT_SOURCE_CHANGE, 0, 0), 0);
	set_format(&c, MEDIA_OUTPUT, fourcc, 0);
	media_client_make_buffers(&c, MEDIA_OUTPUT);
	for (unsigned size = 0; size < 2; size++)
		encode(fourcc, size, &film[size]);
	/* Some of it, and away: a seek. */
	for (unsigned n = 0; n < 5; n++)
		media_client_send(&c, film[0].data[n], film[0].bytes[n], n, ignore, NULL);
	assert_int_equal(media_stream(w, c.id, MEDIA_OUTPUT, false), 0);
	while (media_events_left(w, c.id))
		media_client_serve(&c, ignore, NULL);
	c.free_inputs = MEDIA_CLIENT_ALL;
	assert_int_equal(media_stream(w, c.id, MEDIA_OUTPUT, true), 0);
	for (unsigned size = 0; size < 2; size++) {
		for (unsigned n = 0; n < FRAMES; n++)
			media_client_send(&c, film[size].data[n], film[size].bytes[n], size * 1000000ull + n, compare,
					  &j);
	}
	media_client_finish(&c, false, compare, &j);
	assert_int_equal(j.count, 2 * FRAMES);
	printf("# %s: at least %.1f dB\n", name, j.worst);
	assert_true(j.worst > 35);
	for (unsigned size = 0; size < 2; size++)
		free_film(&film[size]);
	media_world_destroy(w);
}

static void films_survive_the_way_through_both_devices(void **state)
{
	unsigned count = 0;

	(void)state;
	for (unsigned i = 0; i < FORMAT_COUNT; i++) {
		const struct video_coded_format *f = video_coded_format_named(formats[i].name);

		if (!codec_gst_ops.can(f, false, NULL) || !codec_gst_ops.can(f, true, NULL)) {
			printf("# %s left out: no decoder or no encoder\n", f->name);
			continue;
		}
		check_format(formats[i].fourcc, f->name);
		count++;
	}
	if (count == 0)
		tap_skip("no format has a decoder and an encoder: install gstreamer1.0-libav and -plugins-good, -bad, "
			 "-ugly");
}

/* ---- decode what others made ---- */

static void sum_picture(void *arg, const uint8_t *data, const struct virtio_media_event_dqbuf *e)
{
	struct sums *s = arg;

	assert_int_equal(e->buffer.timestamp.tv_usec, s->count % CLIP_FRAMES);
	s->sum[s->count++] = sums_of(data, e->planes[0].bytesused);
}

static void check_jpeg(uint32_t fourcc, const char *raw)
{
	const struct video_coded_format *jpeg = video_coded_format_named("jpeg");
	struct sums ours = {0}, outside[2];
	struct media_world *w = world(false);
	struct media_client c;
	struct clip clip[2];

	for (unsigned size = 0; size < 2; size++) {
		clip_make_of(jpeg, sizes[size].width, sizes[size].height, raw, &clip[size]);
		clip_decode_outside(jpeg, &clip[size], "NV12", &outside[size]);
		assert_int_equal(outside[size].count, CLIP_FRAMES);
	}
	media_client_open(&c, w);
	assert_int_equal(media_subscribe_to(w, c.id, V4L2_EVENT_SOURCE_CHANGE, 0, 0), 0);
	set_format(&c, MEDIA_OUTPUT, fourcc, 0);
	media_client_make_buffers(&c, MEDIA_OUTPUT);
	for (unsigned n = 0; n < 2 * CLIP_FRAMES; n++)
		media_client_send(&c, clip[n / CLIP_FRAMES].data[n % CLIP_FRAMES],
				  clip[n / CLIP_FRAMES].bytes[n % CLIP_FRAMES], n % CLIP_FRAMES, sum_picture, &ours);
	media_client_finish(&c, false, sum_picture, &ours);
	assert_int_equal(ours.count, 2 * CLIP_FRAMES);
	for (unsigned n = 0; n < 2 * CLIP_FRAMES; n++)
		assert_int_equal(ours.sum[n], outside[n / CLIP_FRAMES].sum[n % CLIP_FRAMES]);
	printf("# JPEGs of %s\n", raw);
	clip_free(&clip[0]);
	clip_free(&clip[1]);
	media_world_destroy(w);
}

static void jpegs_with_any_chroma_are_those_of_the_codec_alone(void **state)
{
	static const char *const raw[] = {"I420", "Y42B", "Y444", "GRAY8"};
	const struct video_coded_format *jpeg = video_coded_format_named("jpeg");

	(void)state;
	if (!codec_gst_ops.can(jpeg, false, NULL) || !clip_can_make(jpeg))
		tap_skip("no JPEG: install gstreamer1.0-plugins-good");
	for (unsigned i = 0; i < sizeof(raw) / sizeof(raw[0]); i++)
		check_jpeg(i % 2 ? V4L2_PIX_FMT_MJPEG : V4L2_PIX_FMT_JPEG, raw[i]);
}

/* As decoders of 10 bits have it. */
static void sum_as_planes(void *arg, const uint8_t *data, const struct virtio_media_event_dqbuf *e)
{
	static uint16_t planes[CLIP_WIDTH * CLIP_HEIGHT * 3 / 2];
	const unsigned luma = CLIP_WIDTH * CLIP_HEIGHT, chroma = luma / 4;
	struct sums *s = arg;

	assert_int_equal(e->planes[0].bytesused, sizeof(planes));
	for (unsigned i = 0; i < luma + 2 * chroma; i++) {
		const uint16_t word = (uint16_t)(data[2 * i] | data[2 * i + 1] << 8);
		const unsigned pair = i - luma;

		assert_int_equal(word & 0x3f, 0);
		planes[i < luma ? i : luma + pair / 2 + (pair % 2 ? chroma : 0)] = word >> 6;
	}
	s->sum[s->count++] = sums_of(planes, sizeof(planes));
}

static void sum_as_is(void *arg, const uint8_t *data, const struct virtio_media_event_dqbuf *e)
{
	struct sums *s = arg;

	s->sum[s->count++] = sums_of(data, e->planes[0].bytesused);
}

/* A film of @raw pictures comes out as P010; what it is then, @same says of GStreamer's @outside. */
static void check_p010(uint32_t fourcc, const struct video_coded_format *format, const char *raw, const char *same,
		       media_client_fn *sum)
{
	struct sums ours = {0}, outside;
	struct media_world *w = world(false);
	struct video_stats stats;
	struct media_client c;
	struct clip clip;

	clip_make_of(format, CLIP_WIDTH, CLIP_HEIGHT, raw, &clip);
	clip_decode_outside(format, &clip, same, &outside);
	media_client_open(&c, w);
	assert_int_equal(media_subscribe_to(w, c.id, V4L2_EVENT_SOURCE_CHANGE, 0, 0), 0);
	set_format(&c, MEDIA_OUTPUT, fourcc, 0);
	set_format(&c, MEDIA_CAPTURE, V4L2_PIX_FMT_P010, 0);
	media_client_make_buffers(&c, MEDIA_OUTPUT);
	for (unsigned n = 0; n < clip.count; n++)
		media_client_send(&c, clip.data[n], clip.bytes[n], n, sum, &ours);
	media_client_finish(&c, false, sum, &ours);
	assert_int_equal(ours.count, CLIP_FRAMES);
	assert_int_equal(outside.count, CLIP_FRAMES);
	for (unsigned n = 0; n < CLIP_FRAMES; n++)
		assert_int_equal(ours.sum[n], outside.sum[n]);
	media_get_stats(w->device, &stats);
	assert_int_equal(stats.codec.copies, CLIP_FRAMES);
	printf("# %s of %s by %s\n", format->name, raw, stats.codec.element);
	clip_free(&clip);
	media_world_destroy(w);
}

static void pictures_of_ten_bits_keep_them_all(void **state)
{
	static const struct {
		uint32_t fourcc;
		const char *name;
	} wide[] = {{V4L2_PIX_FMT_HEVC, "hevc"}, {V4L2_PIX_FMT_VP9, "vp9"}, {V4L2_PIX_FMT_H264, "h264"}};
	unsigned tried = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
		const struct video_coded_format *format = video_coded_format_named(wide[i].name);

		if (!codec_gst_ops.can(format, false, NULL) || !clip_can_make_of(format, "I420_10LE")) {
			printf("# %s left out: no decoder, or an encoder of 8 bits only\n", format->name);
			continue;
		}
		check_p010(wide[i].fourcc, format, "I420_10LE", "I420_10LE", sum_as_planes);
		/* Who wants 10 bits of 8 gets them, too. */
		check_p010(wide[i].fourcc, format, "I420", "P010_10LE", sum_as_is);
		tried++;
	}
	if (tried == 0)
		tap_skip("no encoder here takes 10 bits");
}

/* ---- how far key frames are apart ---- */

/* The longest way from a key frame to the one behind it, or to the end. */
static unsigned longest_gop(unsigned keys)
{
	unsigned last = 0, longest = 0;

	for (unsigned n = 1; n <= FRAMES; n++) {
		if (n < FRAMES && !(keys >> n & 1))
			continue;
		longest = n - last > longest ? n - last : longest;
		last = n;
	}
	return longest;
}

static void key_frames_come_at_least_as_often_as_the_guest_says(void **state)
{
	struct v4l2_control often = {V4L2_CID_MPEG_VIDEO_GOP_SIZE, 4}, each = {V4L2_CID_MPEG_VIDEO_GOP_SIZE, 1},
			    never = {V4L2_CID_MPEG_VIDEO_GOP_SIZE, 0};
	unsigned count = 0;

	(void)state;
	for (unsigned i = 0; i < FORMAT_COUNT; i++) {
		struct film film;

		if (!codec_gst_ops.can(video_coded_format_named(formats[i].name), true, NULL))
			continue;
		encode_with(formats[i].fourcc, 0, false, &often, &film);
		/* Some make more of them by themselves, where the scene changes. */
		assert_in_range(longest_gop(film.keys), 1, 4);
		free_film(&film);
		encode_with(formats[i].fourcc, 0, false, &each, &film);
		assert_int_equal(film.keys, (1u << FRAMES) - 1);
		free_film(&film);
		encode_with(formats[i].fourcc, 0, false, &never, &film);
		assert_in_range(longest_gop(film.keys), FRAMES - KEY, FRAMES);
		free_film(&film);
		count++;
	}
	if (count == 0)
		tap_skip("no encoder: install gstreamer1.0-plugins-good, -bad, -ugly");
}

/* ---- the level ---- */

/* level_idc, from H.264's sequence parameter set. */
static unsigned level_of(const struct film *f)
{
	for (size_t at = 0; at + 6 < f->bytes[0]; at++) {
		const uint8_t *p = f->data[0] + at;

		if (p[0] == 0 && p[1] == 0 && p[2] == 1 && (p[3] & 0x1f) == 7)
			return p[6];
	}
	fail_msg("no sequence parameter set");
	return 0;
}

static bool is_x264(void)
{
	GstElementFactory *f = gst_elements_find(video_coded_format_find(VIRTIO_VIDEO_FORMAT_H264), true, NULL);
	bool is = f && strcmp(GST_OBJECT_NAME(f), "x264enc") == 0;

	if (f)
		gst_object_unref(f);
	return is;
}

static void a_level_that_was_set_is_the_films_even_the_default(void **state)
{
	struct v4l2_control level = {V4L2_CID_MPEG_VIDEO_H264_LEVEL, V4L2_MPEG_VIDEO_H264_LEVEL_4_0};
	struct film film;

	(void)state;
	if (!is_x264())
		tap_skip("the best H.264 encoder here is not told any level: install gstreamer1.0-plugins-ugly");
	encode(V4L2_PIX_FMT_H264, 0, &film);
	assert_true(level_of(&film) < 40);
	free_film(&film);
	encode_with(V4L2_PIX_FMT_H264, 0, false, &level, &film);
	assert_int_equal(level_of(&film), 40);
	free_film(&film);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(films_survive_the_way_through_both_devices),
		cmocka_unit_test(jpegs_with_any_chroma_are_those_of_the_codec_alone),
		cmocka_unit_test(pictures_of_ten_bits_keep_them_all),
		cmocka_unit_test(key_frames_come_at_least_as_often_as_the_guest_says),
		cmocka_unit_test(a_level_that_was_set_is_the_films_even_the_default),
	};

	return codec_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
