// SPDX-License-Identifier: MIT
/*
 * Encoder and decoder of virtio-video on one machine: pictures that this guest draws are encoded, and what comes of that is
 * decoded to nearly the same (more than 35 dB), in order and with its timestamps; a key frame is where it was asked for.
 */
#include <linux/errno.h>

#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/string.h"
#include "guest-drivers/bare/video.h"

enum {
	WIDTH = 128,
	HEIGHT = 64,
	PICTURE_BYTES = WIDTH * HEIGHT * 3 / 2,
	PICTURES = 8,
	KEY = 5, /* the picture that is asked to be one, as the first is by itself */
	BUFFERS = 3,
	PACKET_BYTES = 1 << 16,
	FIRST_STAMP = 1000,
	STREAM = 1,
};

/* A device with its one stream. */
struct side {
	struct video v;
	/* What comes out, and how it came. */
	int (*take)(const uint8_t *data, const struct virtio_video_resource_queue_resp *answer);
	struct video_request input[BUFFERS], output[BUFFERS], drain;
	uint8_t *in[BUFFERS], *out[BUFFERS];
	bool has_outputs, ended;
};

static struct side encoder, decoder;
static struct {
	uint8_t data[PACKET_BYTES];
	uint32_t bytes, flags;
} packets[PICTURES];
static unsigned packet_count, picture_count, odd_stamps;
static uint8_t expected[PICTURE_BYTES];
static uint64_t worst; /* squared errors of one picture */

/* Slopes that move, and are steeper on one side, as NV12. */
static void draw(uint8_t *p, unsigned n)
{
	for (unsigned y = 0; y < HEIGHT; y++) {
		for (unsigned x = 0; x < WIDTH; x++)
			*p++ = (uint8_t)(60 + (x + 16 * n) * (x + 16 * n) / 600 + y);
	}
	for (unsigned y = 0; y < HEIGHT / 2; y++) {
		for (unsigned x = 0; x < WIDTH; x++)
			*p++ = (uint8_t)(x % 2 ? 170 - y - 8 * n : 90 + x / 3);
	}
}

/* ---- what comes out ---- */

static int keep_packet(const uint8_t *data, const struct virtio_video_resource_queue_resp *answer)
{
	if (packet_count == PICTURES || answer->size == 0 || answer->size > PACKET_BYTES)
		return -EPROTO;
	odd_stamps += answer->timestamp != FIRST_STAMP + packet_count;
	memcpy(packets[packet_count].data, data, answer->size);
	packets[packet_count].bytes = answer->size;
	packets[packet_count++].flags = answer->flags;
	return 0;
}

static int compare_picture(const uint8_t *data, const struct virtio_video_resource_queue_resp *answer)
{
	uint64_t sum = 0;

	odd_stamps += answer->timestamp != FIRST_STAMP + picture_count;
	draw(expected, picture_count++);
	for (unsigned i = 0; i < PICTURE_BYTES; i++) {
		const int error = data[i] - expected[i];

		sum += (uint64_t)(error * error);
	}
	worst = sum > worst ? sum : worst;
	return 0;
}

/* ---- one side ---- */

static int make_outputs(struct side *s, uint32_t bytes)
{
	int rc = 0;

	for (uint32_t i = 0; !rc && i < BUFFERS; i++) {
		s->out[i] = alloc(bytes, PAGE_BYTES);
		rc = video_resource_create(&s->v, STREAM, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, i, s->out[i], bytes);
		rc = rc ? rc : video_queue(&s->v, &s->output[i], STREAM, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, i, 0, 0);
	}
	s->has_outputs = !rc;
	return rc;
}

/* The decoder knows its size now. */
static int take_event(struct side *s, const struct virtio_video_event *e)
{
	struct virtio_video_params p;
	int rc;

	if (e->event_type != VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED || s->has_outputs)
		return -EPROTO;
	rc = video_get_params(&s->v, STREAM, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, &p);
	if (!rc && (p.format != VIRTIO_VIDEO_FORMAT_NV12 || p.frame_width != WIDTH || p.frame_height != HEIGHT))
		rc = -EPROTO;
	return rc ? rc : make_outputs(s, PICTURE_BYTES);
}

static int serve(struct side *s)
{
	struct virtio_video_event e;
	int rc = 0;

	while (!rc && video_take_event(&s->v, &e))
		rc = take_event(s, &e);
	/* They are queued by turns, and come back so. */
	for (uint32_t i = 0; !rc && s->has_outputs && i < BUFFERS; i++) {
		const uint32_t next = (s == &encoder ? packet_count : picture_count) % BUFFERS;
		struct video_request *r = &s->output[next];

		if (!r->done || s->ended)
			break;
		if (r->answer.hdr.type != VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE ||
		    r->answer.flags & VIRTIO_VIDEO_BUFFER_FLAG_ERR)
			return -EIO;
		s->ended = r->answer.flags & VIRTIO_VIDEO_BUFFER_FLAG_EOS;
		if (!s->ended)
			rc = s->take(s->out[next], &r->answer);
		if (!rc && !s->ended)
			rc = video_queue(&s->v, r, STREAM, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, next, 0, 0);
	}
	return rc;
}

struct awaited {
	struct side *side;
	struct video_request *request;
};

static bool has_work(void *arg)
{
	const struct awaited *a = arg;
	bool any = a->request->done || a->side->v.event_count > 0;

	for (uint32_t i = 0; a->side->has_outputs && i < BUFFERS; i++)
		any |= a->side->output[i].done;
	return any;
}

static int serve_until(struct side *s, struct video_request *r)
{
	struct awaited a = {s, r};
	int rc = 0;

	while (!rc && !r->done) {
		rc = video_wait(&s->v, has_work, &a);
		rc = rc ? rc : serve(s);
	}
	return rc;
}

/* Input number @n, as soon as its buffer is free. */
static int send(struct side *s, unsigned n, const void *data, uint32_t bytes)
{
	struct video_request *r = &s->input[n % BUFFERS];
	int rc = n < BUFFERS ? 0 : serve_until(s, r);

	if (rc || (n >= BUFFERS && r->answer.hdr.type != VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE))
		return rc ? rc : -EIO;
	memcpy(s->in[n % BUFFERS], data, bytes);
	return video_queue(&s->v, r, STREAM, VIRTIO_VIDEO_QUEUE_TYPE_INPUT, n % BUFFERS, bytes, FIRST_STAMP + n);
}

static int finish(struct side *s)
{
	int rc = video_drain(&s->v, &s->drain, STREAM);

	rc = rc ? rc : serve_until(s, &s->drain);
	rc = rc ? rc : serve(s);
	if (!rc && (!s->ended || s->drain.answer.hdr.type != VIRTIO_VIDEO_RESP_OK_NODATA))
		rc = -EPROTO;
	return rc ? rc : video_stream_destroy(&s->v, STREAM);
}

static int begin(struct side *s, uint32_t id, uint32_t input_bytes)
{
	int rc = video_open(&s->v, id, VIRTIO_ANY, 0);

	rc = rc ? rc : video_stream_create(&s->v, STREAM, VIRTIO_VIDEO_FORMAT_H264, "round trip");
	if (!rc && id == VIRTIO_ID_VIDEO_ENCODER) {
		struct virtio_video_params p;

		rc = video_get_params(&s->v, STREAM, VIRTIO_VIDEO_QUEUE_TYPE_INPUT, &p);
		p.format = VIRTIO_VIDEO_FORMAT_NV12;
		p.frame_width = WIDTH;
		p.frame_height = HEIGHT;
		p.frame_rate = 30;
		rc = rc ? rc : video_set_params(&s->v, STREAM, &p);
		rc = rc ? rc : video_set_control(&s->v, STREAM, VIRTIO_VIDEO_CONTROL_BITRATE, 2000000);
	}
	for (uint32_t i = 0; !rc && i < BUFFERS; i++) {
		s->in[i] = alloc(input_bytes, PAGE_BYTES);
		rc = video_resource_create(&s->v, STREAM, VIRTIO_VIDEO_QUEUE_TYPE_INPUT, i, s->in[i], input_bytes);
	}
	return rc;
}

/* ---- */

static int encode(void)
{
	int rc = begin(&encoder, VIRTIO_ID_VIDEO_ENCODER, PICTURE_BYTES);

	encoder.take = keep_packet;
	rc = rc ? rc : make_outputs(&encoder, PACKET_BYTES);
	for (unsigned n = 0; !rc && n < PICTURES; n++) {
		if (n == KEY)
			rc = video_set_control(&encoder.v, STREAM, VIRTIO_VIDEO_CONTROL_FORCE_KEYFRAME, 0);
		draw(expected, n);
		rc = rc ? rc : send(&encoder, n, expected, PICTURE_BYTES);
	}
	return rc ? rc : finish(&encoder);
}

static int decode(void)
{
	int rc = begin(&decoder, VIRTIO_ID_VIDEO_DECODER, PACKET_BYTES);

	decoder.take = compare_picture;
	for (unsigned n = 0; !rc && n < packet_count; n++)
		rc = send(&decoder, n, packets[n].data, packets[n].bytes);
	return rc ? rc : finish(&decoder);
}

int main(void)
{
	uint32_t bytes = 0;
	int rc;

	report_start("video encode");
	rc = encode();
	if (!report_check(!rc && packet_count == PICTURES, "pictures_are_encoded: %u of %u, error %d", packet_count,
			  PICTURES, rc))
		return report_end();
	for (unsigned n = 0; n < PICTURES; n++)
		bytes += packets[n].bytes;
	report_check((packets[0].flags & VIRTIO_VIDEO_BUFFER_FLAG_IFRAME) &&
			     (packets[KEY].flags & VIRTIO_VIDEO_BUFFER_FLAG_IFRAME),
		     "key_frames_are_where_they_should_be");
	report_check(bytes < PICTURES * PICTURE_BYTES / 2, "they_are_smaller_than_they_were: %u bytes", bytes);
	rc = decode();
	report_check(!rc && picture_count == PICTURES, "and_decoded: %u of %u, error %d", picture_count, PICTURES, rc);
	report_check(odd_stamps == 0, "each_has_its_timestamp: %u have not", odd_stamps);
	/* 255 * 255 / 10^3.5 for each sample. */
	report_check(worst < 20ull * PICTURE_BYTES,
		     "pictures_are_nearly_the_same: %u thousandths of a squared error a sample",
		     (unsigned)(worst * 1000 / PICTURE_BYTES));
	printf("# %u bytes, %u thousandths\n", bytes, (unsigned)(worst * 1000 / PICTURE_BYTES));
	return report_end();
}
