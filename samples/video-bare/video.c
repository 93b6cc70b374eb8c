// SPDX-License-Identifier: MIT
/*
 * A film on a bare machine: the host's codec decodes an H.264 clip, which is the initial RAM disk, and virtio-gpu shows
 * the pictures. Where the two devices share buffers, a picture never comes here: the codec writes it into a resource of the
 * GPU, which it knows by its UUID. Else, or with "copy" on the command line, it is decoded into this machine's memory.
 *
 *	gst-launch-1.0 videotestsrc num-buffers=20 ! video/x-raw,width=160,height=120 ! x264enc aud=true ! \
 *		video/x-h264,stream-format=byte-stream ! filesink location=clip.h264
 *	mullion run --kernel build/bare/video-bare.elf --initrd clip.h264 --video decoder \
 *		--gpu size=160x120 --display png:/tmp/frames
 *
 * Each access unit of the clip must begin with a delimiter (aud=true).
 */
#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/string.h"
#include "samples/video-bare/screen.h"

enum { STREAM = 1, INPUTS = 2, INPUT_BYTES = 1 << 18 };

static struct video v;
static struct screen screen;
static struct video_request input[INPUTS], output[SCREEN_OUTPUTS], drain;
static uint8_t *in[INPUTS];
static unsigned shown, next;
static bool playing, drained;

/* Where the access unit at @at ends: before the next delimiter, NAL unit type 9. */
static size_t unit_end(const uint8_t *data, size_t bytes, size_t at)
{
	for (size_t i = at + 4; i + 4 < bytes; i++) {
		if (data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1 && (data[i + 3] & 0x1f) == 9)
			return i > at && data[i - 1] == 0 ? i - 1 : i;
	}
	return bytes;
}

static int want(uint32_t i)
{
	return video_queue(&v, &output[i], STREAM, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, i, 0, 0);
}

/* The size is known: make room for pictures. */
static int start_output(void)
{
	int rc = screen_start(&screen);

	for (uint32_t i = 0; !rc && i < SCREEN_OUTPUTS; i++)
		rc = want(i);
	playing = true;
	return rc;
}

static bool is_good(const struct video_request *r)
{
	return r->answer.hdr.type == VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE &&
	       !(r->answer.flags & VIRTIO_VIDEO_BUFFER_FLAG_ERR);
}

/* Take events, and pictures in the order in which they were asked for. */
static int serve(void)
{
	struct virtio_video_event event;
	int rc = 0;

	while (!rc && video_take_event(&v, &event))
		rc = event.event_type == VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED && !playing ? start_output()
												   : -1;
	while (!rc && playing && !drained && output[next].done) {
		if (!is_good(&output[next]))
			return -1;
		if (output[next].answer.flags & VIRTIO_VIDEO_BUFFER_FLAG_EOS) {
			drained = true;
			break;
		}
		rc = screen_show(&screen, next);
		rc = rc ? rc : want(next);
		shown++;
		next = (next + 1) % SCREEN_OUTPUTS;
	}
	return rc;
}

/* Something for serve() or play() to do. */
static bool has_work(void *arg)
{
	return v.event_count > 0 || (arg && ((struct video_request *)arg)->done) || (playing && output[next].done);
}

static int play(const uint8_t *clip, size_t bytes)
{
	uint64_t n = 0;
	int rc = 0;

	for (size_t at = 0, end; at < bytes && !rc; at = end, n++) {
		struct video_request *r = &input[n % INPUTS];

		end = unit_end(clip, bytes, at);
		while (!rc && n >= INPUTS && !r->done) {
			rc = video_wait(&v, has_work, r);
			rc = rc ? rc : serve();
		}
		if (end - at > INPUT_BYTES || (n >= INPUTS && !rc && !is_good(r)))
			return -1;
		memcpy(in[n % INPUTS], clip + at, end - at);
		rc = rc ? rc
			: video_queue(&v, r, STREAM, VIRTIO_VIDEO_QUEUE_TYPE_INPUT, n % INPUTS, (uint32_t)(end - at), n);
	}
	rc = rc ? rc : video_drain(&v, &drain, STREAM);
	while (!rc && !drained) {
		rc = video_wait(&v, has_work, NULL);
		rc = rc ? rc : serve();
	}
	return rc;
}

int main(void)
{
	int rc = video_open(&v, VIRTIO_ID_VIDEO_DECODER, VIRTIO_ANY, 0);

	if (rc || (rc = screen_open(&screen, &v, STREAM)) || !boot.initrd_bytes) {
		printf("video: error %d; start it with --video decoder --gpu --initrd CLIP.h264\n", rc);
		return 1;
	}
	rc = video_stream_create(&v, STREAM, VIRTIO_VIDEO_FORMAT_H264, "clip");
	for (uint32_t i = 0; !rc && i < INPUTS; i++) {
		in[i] = alloc(INPUT_BYTES, PAGE_BYTES);
		rc = in[i] ? video_resource_create(&v, STREAM, VIRTIO_VIDEO_QUEUE_TYPE_INPUT, i, in[i], INPUT_BYTES)
			   : -1;
	}
	if (!rc)
		rc = play((const uint8_t *)(uintptr_t)boot.initrd_base, boot.initrd_bytes);
	if (rc) {
		printf("video: error %d after %u pictures; the device answered 0x%04x\n", rc, shown, v.answer);
		return 1;
	}
	printf("PASS video: %u pictures of %ux%u, %s\n", shown, screen.params.frame_width,
	       screen.params.frame_height,
	       screen.shares ? "shared with the GPU" : "copied here");
	return 0;
}
