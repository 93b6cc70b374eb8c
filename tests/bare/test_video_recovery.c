// SPDX-License-Identifier: MIT
/*
 * A decoder whose process is killed again and again while this guest plays a clip, which is the initial RAM disk
 * (tests/bare/video does that): the stream that was at work fails and says so, a new one plays the clip, and the
 * pictures are the same each time. Options: rounds= (how often the whole clip is to be played)
 */
#include <linux/errno.h>

#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/string.h"
#include "guest-drivers/bare/video.h"
#include "tests/bare/clip.h"

enum { INPUTS = 2, OUTPUTS = 3, INPUT_BYTES = 1 << 16, OUTPUT_BYTES = 1 << 16 };

static struct video v;
static struct video_request input[INPUTS], output[OUTPUTS], drain;
static uint8_t *in[INPUTS], *out[OUTPUTS];
static uint32_t stream, picture_bytes;
static unsigned played, failed, refused;
static struct clip_pictures shown;
static bool has_outputs, ended, lost;

static int start_output(void)
{
	struct virtio_video_params params;
	int rc = video_get_params(&v, stream, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, &params);

	picture_bytes = 0;
	for (uint32_t i = 0; !rc && i < params.num_planes; i++)
		picture_bytes += params.plane_formats[i].plane_size;
	if (!rc && picture_bytes > OUTPUT_BYTES)
		rc = -ENOMEM;
	for (uint32_t i = 0; !rc && i < OUTPUTS; i++) {
		rc = video_resource_create(&v, stream, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, i, out[i], picture_bytes);
		rc = rc ? rc : video_queue(&v, &output[i], stream, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, i, 0, 0);
	}
	has_outputs = !rc;
	return rc;
}

/* Take events and pictures. */
static int serve(void)
{
	struct virtio_video_event event;
	int rc = 0;

	while (!rc && video_take_event(&v, &event)) {
		/* Of a stream that is gone already, perhaps. */
		if (event.stream_id != stream)
			continue;
		lost |= event.event_type == VIRTIO_VIDEO_EVENT_ERROR;
		if (!lost)
			rc = has_outputs ? -EPROTO : start_output();
	}
	for (uint32_t i = 0; !rc && !lost && has_outputs && i < OUTPUTS; i++) {
		if (!output[i].done)
			continue;
		if (output[i].answer.hdr.type != VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE ||
		    output[i].answer.flags & VIRTIO_VIDEO_BUFFER_FLAG_ERR)
			lost = true;
		else if (output[i].answer.flags & VIRTIO_VIDEO_BUFFER_FLAG_EOS)
			ended = true;
		else
			clip_check_picture(&shown, out[i], picture_bytes);
		if (!ended && !lost)
			rc = video_queue(&v, &output[i], stream, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, i, 0, 0);
	}
	return rc;
}

static bool has_work(void *arg)
{
	bool any = v.event_count > 0 || (arg && ((struct video_request *)arg)->done);

	for (uint32_t i = 0; has_outputs && i < OUTPUTS; i++)
		any |= output[i].done;
	return any;
}

static int serve_until(struct video_request *r)
{
	int rc = 0;

	while (!rc && !lost && !r->done) {
		rc = video_wait(&v, has_work, r);
		rc = rc ? rc : serve();
	}
	return rc;
}

static int send(const uint8_t *clip, size_t bytes)
{
	uint64_t n = 0;
	int rc = 0;

	for (size_t at = 0, end; at < bytes && !rc && !lost; at = end, n++) {
		struct video_request *r = &input[n % INPUTS];

		end = clip_unit_end(clip, bytes, at);
		if (end - at > INPUT_BYTES)
			return -ENOMEM;
		if (n >= INPUTS) {
			rc = serve_until(r);
			lost |= !rc && r->done &&
				(r->answer.hdr.type != VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE ||
				 r->answer.flags & VIRTIO_VIDEO_BUFFER_FLAG_ERR);
		}
		if (rc || lost)
			break;
		memcpy(in[n % INPUTS], clip + at, end - at);
		rc = video_queue(&v, r, stream, VIRTIO_VIDEO_QUEUE_TYPE_INPUT, n % INPUTS, (uint32_t)(end - at), n);
	}
	if (rc || lost)
		return rc;
	rc = video_drain(&v, &drain, stream);
	while (!rc && !lost && !ended) {
		rc = video_wait(&v, has_work, &drain);
		rc = rc ? rc : serve();
		lost |= drain.done && !ended && drain.answer.hdr.type != VIRTIO_VIDEO_RESP_OK_NODATA;
	}
	return rc;
}

/* Once through the clip with a stream of its own. Returns 0 whether it was lost or not. */
static int play(const uint8_t *clip, size_t bytes)
{
	int rc;

	stream++;
	shown.count = 0;
	has_outputs = ended = lost = drain.done = false;
	memset(input, 0, sizeof(input));
	memset(output, 0, sizeof(output));
	rc = video_stream_create(&v, stream, VIRTIO_VIDEO_FORMAT_H264, "clip");
	for (uint32_t i = 0; !rc && i < INPUTS; i++)
		rc = video_resource_create(&v, stream, VIRTIO_VIDEO_QUEUE_TYPE_INPUT, i, in[i], INPUT_BYTES);
	rc = rc ? rc : send(clip, bytes);
	/* A command that was at work when the process died fails. */
	if (rc == -EPERM || rc == -ESRCH) {
		refused++;
		lost = true;
		rc = 0;
	}
	if (!rc) {
		rc = video_stream_destroy(&v, stream);
		if (rc == -ESRCH && lost)
			rc = 0;
	}
	/* What it had queued is back now, and its buffers may be used again. */
	failed += lost;
	played += !rc && !lost;
	return rc;
}

int main(void)
{
	const unsigned rounds = (unsigned)boot_option_number("rounds", 10);
	unsigned clips = 0;
	int rc = video_open(&v, VIRTIO_ID_VIDEO_DECODER, VIRTIO_ANY, 0);

	for (unsigned i = 0; i < INPUTS; i++)
		in[i] = alloc(INPUT_BYTES, PAGE_BYTES);
	for (unsigned i = 0; i < OUTPUTS; i++)
		out[i] = alloc(OUTPUT_BYTES, PAGE_BYTES);
	printf("# playing\n");
	while (!rc && played < rounds && clips++ < 100 * rounds) {
		rc = play((const uint8_t *)(uintptr_t)boot.initrd_base, boot.initrd_bytes);
		/* All of them, or a later clip tells. */
		shown.odd += !rc && !lost && shown.count != shown.expected;
	}
	printf("# %u clips whole, %u lost, %u commands refused\n", played, failed, refused);
	report_start("video recovery");
	report_check(!rc, "every_command_is_answered: error %d", rc);
	report_check(played == rounds, "a_new_stream_plays_the_clip: %u of %u", played, rounds);
	report_check(shown.odd == 0 && shown.expected > 0, "pictures_are_the_same_each_time: %u of %u are not",
		     shown.odd, shown.expected);
	return report_end();
}
