// SPDX-License-Identifier: MIT
/*
 * virtio-media over a codec of the kernel: FWHT by the driver vicodec, which stands for all that have a V4L2 driver. What it
 * makes of pictures it makes pictures of that are nearly the same; they come in order, over changes of size and seeks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/vhost/sandbox.h"
#include "host/video/buffer.h"
#include "host/video/gst_elements.h"
#include "host/video/picture.h"
#include "tests/lib/codec_run.h"
#include "tests/lib/media_client.h"
#include "tests/lib/soft_picture.h"
#include "tests/lib/tap.h"

/*
 * The driver keeps multiples of 8 as they are. GStreamer 1.22 asks for packets' buffers before it says how large pictures
 * are, and takes none that are smaller than those of 1280x720, with which the driver begins.
 */
enum { FRAMES = 24, SIZES = 2, MAX_BYTES = 1360 * 768 * 3 / 2 };
/* A key frame each; it takes no more. */
enum { GOP = 16 };

static const struct {
	uint32_t width, height;
} sizes[SIZES] = {{1280, 720}, {1360, 768}};

static size_t picture_bytes(unsigned size)
{
	return sizes[size].width * sizes[size].height * 3 / 2;
}

/* One coded film. */
struct film {
	unsigned count, keys;
	uint8_t *data[FRAMES];
	size_t bytes[FRAMES];
};

static void free_film(struct film *f)
{
	for (unsigned n = 0; n < f->count; n++)
		free(f->data[n]);
}

static struct media_world *world(bool encoder)
{
	return media_world_create(&(struct video_world_options){
		.encoder = encoder, .codec = &codec_gst_ops, .timeout_ms = 60000, .memory_bytes = 64 << 20});
}

static void open_client(struct media_client *c, struct media_world *w)
{
	media_client_open(c, w);
	c->coded_bytes = 1 << 21;
}

/* ---- encode ---- */

/* As the header of a frame says it: the driver's encoder sets no flags. */
static bool is_key(const uint8_t *frame)
{
	const uint32_t flags =
		(uint32_t)frame[20] << 24 | (uint32_t)frame[21] << 16 | (uint32_t)frame[22] << 8 | frame[23];

	return flags & V4L2_FWHT_FL_I_FRAME;
}

static void keep_packet(void *arg, const uint8_t *data, const struct virtio_media_event_dqbuf *e)
{
	struct film *f = arg;
	const size_t bytes = e->planes[0].bytesused;

	assert_true(f->count < FRAMES && bytes > 24);
	assert_int_equal(e->buffer.timestamp.tv_usec, f->count);
	f->keys += is_key(data);
	f->data[f->count] = malloc(bytes);
	assert_non_null(f->data[f->count]);
	memcpy(f->data[f->count], data, bytes);
	f->bytes[f->count++] = bytes;
}

static void encode_from(bool pages, unsigned size, struct film *f, struct video_stats *stats)
{
	static uint8_t picture[MAX_BYTES];
	struct media_world *w = world(true);
	struct media_client c;

	memset(f, 0, sizeof(*f));
	open_client(&c, w);
	c.shares_pages = pages;
	media_client_set_format(&c, MEDIA_CAPTURE, V4L2_PIX_FMT_FWHT, sizes[size].width, sizes[size].height);
	media_client_set_format(&c, MEDIA_OUTPUT, V4L2_PIX_FMT_NV12, sizes[size].width, sizes[size].height);
	media_client_make_buffers(&c, MEDIA_OUTPUT);
	media_client_make_buffers(&c, MEDIA_CAPTURE);
	for (unsigned n = 0; n < FRAMES; n++) {
		soft_picture_draw(picture, sizes[size].width, sizes[size].height, n);
		media_client_send(&c, picture, picture_bytes(size), n, keep_packet, f);
	}
	media_client_finish(&c, true, keep_packet, f);
	assert_int_equal(f->count, FRAMES);
	media_get_stats(w->device, stats);
	media_world_destroy(w);
}

static void encode(unsigned size, struct film *f, struct video_stats *stats)
{
	encode_from(false, size, f, stats);
}

/* ---- decode ---- */

struct judge {
	unsigned count; /* pictures so far that counted */
	unsigned warm;	/* that did not */
	double worst;
	uint64_t sums[FRAMES]; /* of those of the last film */
};

/* Pictures of what warms up; no film has that many seconds. */
enum { WARM_S = 1000 };

static uint64_t sum(const uint8_t *data, size_t bytes)
{
	uint64_t sum = 14695981039346656037u;

	for (size_t i = 0; i < bytes; i++)
		sum = (sum ^ data[i]) * 1099511628211u;
	return sum;
}

/* Pictures come in order: FRAMES of one size, then of the other. */
static void compare(void *arg, const uint8_t *data, const struct virtio_media_event_dqbuf *e)
{
	static uint8_t picture[MAX_BYTES];
	struct judge *j = arg;
	const unsigned size = j->count / FRAMES % SIZES, n = j->count % FRAMES;
	double now;

	if (e->buffer.timestamp.tv_sec == WARM_S) {
		j->warm++;
		return;
	}
	assert_int_equal(e->buffer.timestamp.tv_sec, j->count / FRAMES);
	assert_int_equal(e->buffer.timestamp.tv_usec, n);
	assert_int_equal(e->planes[0].bytesused, picture_bytes(size));
	j->sums[n] = sum(data, picture_bytes(size));
	soft_picture_draw(picture, sizes[size].width, sizes[size].height, n);
	now = soft_picture_psnr(data, picture, picture_bytes(size));
	if (j->count++ == 0 || now < j->worst)
		j->worst = now;
}

static void send_film(struct media_client *c, const struct film *f, uint64_t second, unsigned end, struct judge *j)
{
	for (unsigned n = 0; n < end; n++)
		media_client_send(c, f->data[n], f->bytes[n], second * 1000000ull + n, compare, j);
}

/* Long enough for all that is on its way. */
static void rest(struct media_client *c, struct judge *j)
{
	for (unsigned i = 0; i < 100; i++) {
		media_settle(c->w);
		while (media_events_left(c->w, c->id))
			media_client_serve(c, compare, j);
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
}

/*
 * Vicodec does not wait when it says the first time how large its pictures are, and what it is given before its user has
 * made buffers for them is lost. So: a first packet, time to make them, and the film once for nothing.
 */
static void warm_up(struct media_client *c, const struct film *f, struct judge *j)
{
	media_client_send(c, f->data[0], f->bytes[0], WARM_S * 1000000ull, compare, j);
	rest(c, j);
	send_film(c, f, WARM_S, FRAMES, j);
}

static void open_decoder(struct media_client *c, struct media_world *w)
{
	open_client(c, w);
	assert_int_equal(media_subscribe_to(w, c->id, V4L2_EVENT_SOURCE_CHANGE, 0, 0), 0);
	media_client_set_format(c, MEDIA_OUTPUT, V4L2_PIX_FMT_FWHT, sizes[0].width, sizes[0].height);
	media_client_make_buffers(c, MEDIA_OUTPUT);
}

static void check_judge(const struct judge *j, unsigned films)
{
	printf("# %u pictures after %u to warm up, at least %.1f dB\n", j->count, j->warm, j->worst);
	assert_int_equal(j->count, films * FRAMES);
	assert_true(j->worst > 35);
}

/* ---- in the sandbox ---- */

enum { NO_CODEC = 77 };

static void nothing(void *owner)
{
	(void)owner;
}

/* Two pictures through an encoder. In a process without cmocka: returns 0 if packets came, or what went wrong. */
static int encode_two(struct loop *loop)
{
	static uint8_t picture[MAX_BYTES], packet[1 << 21];
	struct iovec in_piece = {picture, picture_bytes(0)}, out_piece = {packet, sizeof(packet)};
	const struct video_buffer in = {
		.pieces = &in_piece, .piece_count = 1, .bytes = in_piece.iov_len, .plane_count = 1};
	const struct video_buffer out = {
		.pieces = &out_piece, .piece_count = 1, .bytes = sizeof(packet), .plane_count = 1};
	struct video_layout layout;
	const struct codec_config config = {.encoder = true,
					    .coded = video_coded_format_named("fwht"),
					    .layout = &layout,
					    .controls = {.bitrate = 1000000, .frame_rate = 30},
					    .loop = loop,
					    .changed = nothing};
	struct codec_output o = {.kind = CODEC_NOTHING};
	unsigned sent = 0, got = 0;
	struct codec *c;
	size_t bytes;

	video_layout_init(&layout, video_picture_format_at(0), sizes[0].width, sizes[0].height);
	if (codec_gst_ops.create(&config, &c))
		return 1;
	for (unsigned i = 0; i < 1000 && o.kind != CODEC_END && o.kind != CODEC_FAILED; i++) {
		if (sent < 2 && c->ops->has_room(c)) {
			soft_picture_draw(picture, layout.width, layout.height, sent);
			if (c->ops->encode(c, &in, sent, false))
				return 2;
			if (++sent == 2)
				c->ops->drain(c);
		}
		c->ops->output(c, &o);
		if (o.kind == CODEC_FRAME) {
			got += c->ops->take(c, &out, NULL, &bytes) == 0;
			continue;
		}
		loop_run_once(loop, 10);
	}
	c->ops->destroy(c);
	for (unsigned i = 0; i < 500 && codec_gst_ops.stopping() > 0; i++)
		loop_run_once(loop, 10);
	return got == 2 ? 0 : 3;
}

static int in_the_sandbox(struct sandbox *s, void *arg)
{
	struct loop *loop;
	int err;

	(void)arg;
	if (sandbox_prepare(s, NULL, 0) || loop_create("test", &loop))
		return 10;
	if (!gst_elements_init() || !codec_gst_ops.can(video_coded_format_named("fwht"), true, NULL))
		return NO_CODEC;
	/* As a worker warms up: all is loaded then. */
	err = encode_two(loop);
	if (err)
		return 20 + err;
	if (sandbox_lock(s))
		return 11;
	err = encode_two(loop);
	return err ? 30 + err : 0;
}

/* Before this process has threads. Returns the worker's status, a signal as a negative number. */
static int run_in_the_sandbox(void)
{
	const struct sandbox_config config = {.profile = &sandbox_video};
	struct sandbox_child child;
	struct sandbox *s;
	int status;

	if (sandbox_create(&config, &s))
		return 1;
	if (sandbox_spawn(s, in_the_sandbox, NULL, &child)) {
		sandbox_destroy(s);
		return 2;
	}
	while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR)
		;
	close(child.pidfd);
	sandbox_destroy(s);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int sandbox_status;

static void the_sandbox_lets_the_kernels_codec_work(void **state)
{
	(void)state;
	assert_int_equal(sandbox_status, 0);
}

/* ---- tests ---- */

static void check_stats(const struct video_stats *stats, const char *element, unsigned copies)
{
	printf("# %s: hardware %d, %u pictures, %u copies\n", stats->codec.element, stats->codec.hardware,
	       (unsigned)stats->codec.frames_out, (unsigned)stats->codec.copies);
	assert_string_equal(stats->codec.element, element);
	assert_true(stats->codec.hardware);
	assert_int_equal(stats->codec.copies, copies);
}

/* Nothing is copied, and the driver reads the pictures where they are, if it can. */
static void check_encoder(const struct video_stats *stats)
{
	check_stats(stats, "v4l2fwhtenc", 0);
	assert_int_equal(stats->codec.frames_out, FRAMES);
	printf("# %u pictures were imported\n", (unsigned)stats->codec.imported);
	/* Who runs this knows the kernel: dma-bufs of Linux 6.1 can't be imported by drivers of devices that are none. */
	if (getenv("VIDEO_IMPORTS"))
		assert_int_equal(stats->codec.imported, atoi(getenv("VIDEO_IMPORTS")) ? FRAMES : 0);
}

/* Each picture is copied once, or the driver writes it where the guest wants it, if it can. */
static void check_decoder(const struct video_stats *stats)
{
	const unsigned frames = (unsigned)stats->codec.frames_out;

	printf("# %u pictures were imported\n", (unsigned)stats->codec.imported);
	check_stats(stats, "v4l2fwhtdec", frames - (unsigned)stats->codec.imported);
	if (getenv("VIDEO_IMPORTS"))
		assert_int_equal(stats->codec.imported, atoi(getenv("VIDEO_IMPORTS")) ? frames : 0);
}

static void a_film_is_encoded_and_decoded_by_the_kernel(void **state)
{
	struct video_stats stats;
	struct media_client c;
	struct judge j = {0};
	struct media_world *w;
	struct film film;

	(void)state;
	encode(0, &film, &stats);
	check_encoder(&stats);
	assert_int_equal(film.keys, (FRAMES + GOP - 1) / GOP);
	w = world(false);
	open_decoder(&c, w);
	warm_up(&c, &film, &j);
	send_film(&c, &film, 0, FRAMES, &j);
	media_client_finish(&c, false, compare, &j);
	check_judge(&j, 1);
	media_get_stats(w->device, &stats);
	check_decoder(&stats);
	media_world_destroy(w);
	free_film(&film);
}

static void guest_pages_are_encoded_like_mapped_buffers(void **state)
{
	struct film film[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct video_stats stats;

		encode_from(i == 1, 0, &film[i], &stats);
		check_encoder(&stats);
	}
	for (unsigned n = 0; n < FRAMES; n++) {
		assert_int_equal(film[0].bytes[n], film[1].bytes[n]);
		assert_memory_equal(film[0].data[n], film[1].data[n], film[0].bytes[n]);
	}
	free_film(&film[0]);
	free_film(&film[1]);
}

static void the_size_may_change_in_mid_stream(void **state)
{
	struct media_world *w = world(false);
	struct film film[SIZES];
	struct video_stats stats;
	struct judge j = {0};
	struct media_client c;

	(void)state;
	for (unsigned size = 0; size < SIZES; size++)
		encode(size, &film[size], &stats);
	open_decoder(&c, w);
	warm_up(&c, &film[0], &j);
	/* GStreamer 1.22 forgets pictures of the old size that it has not fetched when it hears of the new one. */
	for (unsigned k = 0; k < 2 * SIZES; k++) {
		rest(&c, &j);
		send_film(&c, &film[k % SIZES], k, FRAMES, &j);
	}
	media_client_finish(&c, false, compare, &j);
	check_judge(&j, 2 * SIZES);
	media_get_stats(w->device, &stats);
	check_decoder(&stats);
	for (unsigned size = 0; size < SIZES; size++)
		free_film(&film[size]);
	media_world_destroy(w);
}

static void a_seek_starts_anew(void **state)
{
	struct media_world *w = world(false);
	struct video_stats stats;
	struct judge j = {0};
	struct media_client c;
	struct film film;

	(void)state;
	encode(0, &film, &stats);
	open_decoder(&c, w);
	for (unsigned k = 1; k < 6; k++) {
		send_film(&c, &film, WARM_S, 3 * k, &j);
		assert_int_equal(media_stream(w, c.id, MEDIA_OUTPUT, false), 0);
		while (media_events_left(w, c.id))
			media_client_serve(&c, compare, &j);
		c.free_inputs = MEDIA_CLIENT_ALL;
		assert_int_equal(media_stream(w, c.id, MEDIA_OUTPUT, true), 0);
	}
	warm_up(&c, &film, &j);
	send_film(&c, &film, 0, FRAMES, &j);
	media_client_finish(&c, false, compare, &j);
	check_judge(&j, 1);
	free_film(&film);
	media_world_destroy(w);
}

static void sessions_run_beside_each_other(void **state)
{
	enum { SESSIONS = 3 };
	struct media_world *w = world(false);
	struct judge j[SESSIONS] = {0};
	struct media_client c[SESSIONS];
	struct video_stats stats;
	struct film film;

	(void)state;
	encode(0, &film, &stats);
	for (unsigned k = 0; k < SESSIONS; k++) {
		open_decoder(&c[k], w);
		warm_up(&c[k], &film, &j[k]);
	}
	for (unsigned n = 0; n < FRAMES; n++) {
		for (unsigned k = 0; k < SESSIONS; k++)
			media_client_send(&c[k], film.data[n], film.bytes[n], n, compare, &j[k]);
	}
	for (unsigned k = 0; k < SESSIONS; k++) {
		media_client_finish(&c[k], false, compare, &j[k]);
		check_judge(&j[k], 1);
	}
	free_film(&film);
	media_world_destroy(w);
}

/* ---- pictures that the driver writes where the guest wants them ---- */

/* Decode @film once to warm up and once to look at it. */
static void decode(struct media_client *c, struct media_world *w, const struct film *film, struct judge *j,
		   struct video_stats *stats)
{
	warm_up(c, film, j);
	send_film(c, film, 0, FRAMES, j);
	media_client_finish(c, false, compare, j);
	check_judge(j, 1);
	media_get_stats(w->device, stats);
	printf("# %u of %u pictures were imported\n", (unsigned)stats->codec.imported, (unsigned)stats->codec.frames_out);
}

static void lent_pictures_are_those_that_are_copied(void **state)
{
	enum { COPIED, MAPPED, IN_PAGES, RUNS };
	struct judge j[RUNS] = {0};
	struct video_stats stats;
	struct film film;

	(void)state;
	encode(0, &film, &stats);
	for (unsigned run = COPIED; run < RUNS; run++) {
		struct media_world *w = world(false);
		struct media_client c;

		codec_gst_allow_lending(run != COPIED);
		open_decoder(&c, w);
		c.captures_in_pages = run == IN_PAGES;
		decode(&c, w, &film, &j[run], &stats);
		if (run == COPIED)
			check_stats(&stats, "v4l2fwhtdec", (unsigned)stats.codec.frames_out);
		else
			check_decoder(&stats);
		assert_memory_equal(j[run].sums, j[COPIED].sums, sizeof(j[run].sums));
		media_world_destroy(w);
	}
	free_film(&film);
}

/* Then the driver would wait for what the guest looks at. */
static void who_has_few_buffers_gets_copies(void **state)
{
	struct media_world *w = world(false);
	struct video_stats stats;
	struct judge j = {0};
	struct media_client c;
	struct film film;

	(void)state;
	encode(0, &film, &stats);
	open_decoder(&c, w);
	c.capture_count = 1;
	decode(&c, w, &film, &j, &stats);
	assert_int_equal(stats.codec.imported, 0);
	check_stats(&stats, "v4l2fwhtdec", (unsigned)stats.codec.frames_out);
	media_world_destroy(w);
	free_film(&film);
}

enum { MARK = 0xa5, WAIT_MS = 400 };

static void mark(struct media_client *c)
{
	for (uint32_t i = 0; i < MEDIA_CLIENT_BUFFERS; i++)
		memset(media_client_memory(c, MEDIA_CAPTURE, i), MARK, picture_bytes(0));
}

static void check_marks(struct media_client *c)
{
	for (unsigned i = 0; i < WAIT_MS / 10; i++) {
		media_settle(c->w);
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	for (uint32_t i = 0; i < MEDIA_CLIENT_BUFFERS; i++) {
		const uint8_t *at = media_client_memory(c, MEDIA_CAPTURE, i);

		for (size_t n = 0; n < picture_bytes(0); n++)
			assert_int_equal(at[n], MARK);
	}
}

static void put_in(struct media_client *c, const struct film *f, unsigned count)
{
	for (unsigned n = 0; n < count && c->free_inputs; n++)
		media_client_send(c, f->data[n], f->bytes[n], WARM_S * 1000000ull, NULL, NULL);
}

/* STREAMOFF of CAPTURE: the driver has some of its buffers, and is given more to decode. */
static void what_was_cleared_is_written_no_more(void **state)
{
	struct media_world *w = world(false);
	struct video_stats stats;
	struct judge j = {0};
	struct media_client c;
	struct film film;

	(void)state;
	encode(0, &film, &stats);
	open_decoder(&c, w);
	warm_up(&c, &film, &j);
	for (unsigned k = 0; k < 4; k++) {
		rest(&c, &j);
		put_in(&c, &film, 1 + k);
		assert_int_equal(media_stream(w, c.id, MEDIA_CAPTURE, false), 0);
		mark(&c);
		put_in(&c, &film, MEDIA_CLIENT_BUFFERS);
		check_marks(&c);
		/* As a seek. */
		assert_int_equal(media_stream(w, c.id, MEDIA_OUTPUT, false), 0);
		while (media_events_left(w, c.id))
			media_next_event(w, c.id);
		c.free_inputs = MEDIA_CLIENT_ALL;
		assert_int_equal(media_stream(w, c.id, MEDIA_OUTPUT, true), 0);
		for (uint32_t i = 0; i < MEDIA_CLIENT_BUFFERS; i++)
			assert_int_equal(media_client_queue_capture(&c, i), 0);
		assert_int_equal(media_stream(w, c.id, MEDIA_CAPTURE, true), 0);
		warm_up(&c, &film, &j);
	}
	send_film(&c, &film, 0, FRAMES, &j);
	media_client_finish(&c, false, compare, &j);
	check_judge(&j, 1);
	media_get_stats(w->device, &stats);
	check_decoder(&stats);
	media_world_destroy(w);
	free_film(&film);
}

/* What is mapped outlives its session. */
static void who_closes_in_mid_stream_has_its_memory_back(void **state)
{
	struct media_world *w = world(false);
	struct video_stats stats;
	struct judge j = {0};
	struct film film;

	(void)state;
	encode(0, &film, &stats);
	for (unsigned k = 0; k < 4; k++) {
		struct media_client c;

		open_decoder(&c, w);
		warm_up(&c, &film, &j);
		put_in(&c, &film, 1 + k);
		media_close(w, c.id);
		mark(&c);
		check_marks(&c);
		for (unsigned i = 0; i < 2 * MEDIA_CLIENT_BUFFERS; i++)
			assert_int_equal(media_unmap(w, c.at[i / MEDIA_CLIENT_BUFFERS][i % MEDIA_CLIENT_BUFFERS]), 0);
	}
	media_world_destroy(w);
	free_film(&film);
}

/* For longer than a codec may do nothing. */
static void a_guest_may_keep_its_buffers(void **state)
{
	struct media_world *w = media_world_create(&(struct video_world_options){
		.codec = &codec_gst_ops, .timeout_ms = 2000, .memory_bytes = 64 << 20});
	unsigned sent = 0, kept = 0, idle = 0;
	struct video_stats stats;
	struct judge j = {0};
	struct media_client c;
	struct film film;

	(void)state;
	encode(0, &film, &stats);
	open_decoder(&c, w);
	warm_up(&c, &film, &j);
	rest(&c, &j);
	while (idle < 400) {
		if (media_events_left(w, c.id)) {
			const struct media_event e = media_next_event(w, c.id);

			assert_int_equal(e.u.hdr.event, VIRTIO_MEDIA_EVT_DQBUF);
			if (e.u.dqbuf.buffer.type == MEDIA_OUTPUT) {
				c.free_inputs |= 1u << e.u.dqbuf.buffer.index;
			} else {
				compare(&j, media_client_memory(&c, MEDIA_CAPTURE, e.u.dqbuf.buffer.index), &e.u.dqbuf);
				kept |= 1u << e.u.dqbuf.buffer.index;
			}
		} else if (c.free_inputs && sent < FRAMES) {
			media_client_send(&c, film.data[sent], film.bytes[sent], sent, compare, &j);
			sent++;
		} else {
			media_settle(w);
			nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
			idle++;
		}
	}
	printf("# it kept %u after %u inputs\n", (unsigned)__builtin_popcount(kept), sent);
	assert_true(kept != 0 && sent < FRAMES);
	for (uint32_t i = 0; i < MEDIA_CLIENT_BUFFERS; i++) {
		if (kept >> i & 1)
			assert_int_equal(media_client_queue_capture(&c, i), 0);
	}
	for (; sent < FRAMES; sent++)
		media_client_send(&c, film.data[sent], film.bytes[sent], sent, compare, &j);
	media_client_finish(&c, false, compare, &j);
	check_judge(&j, 1);
	media_get_stats(w->device, &stats);
	check_decoder(&stats);
	media_world_destroy(w);
	free_film(&film);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sandbox_lets_the_kernels_codec_work),
		cmocka_unit_test(a_film_is_encoded_and_decoded_by_the_kernel),
		cmocka_unit_test(guest_pages_are_encoded_like_mapped_buffers),
		cmocka_unit_test(the_size_may_change_in_mid_stream),
		cmocka_unit_test(a_seek_starts_anew),
		cmocka_unit_test(sessions_run_beside_each_other),
		cmocka_unit_test(lent_pictures_are_those_that_are_copied),
		cmocka_unit_test(who_has_few_buffers_gets_copies),
		cmocka_unit_test(what_was_cleared_is_written_no_more),
		cmocka_unit_test(who_closes_in_mid_stream_has_its_memory_back),
		cmocka_unit_test(a_guest_may_keep_its_buffers),
	};

	log_set_levels(getenv("MULLION_LOG"));
	codec_gst_allow_lending(true);
	if (access("/dev/video0", R_OK | W_OK))
		tap_skip_all("no codec of the kernel: modprobe vicodec");
	sandbox_status = run_in_the_sandbox();
	if (sandbox_status == NO_CODEC || !gst_elements_init())
		tap_skip_all("no codec of the kernel for FWHT: modprobe vicodec");
	return codec_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
