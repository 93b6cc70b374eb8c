// SPDX-License-Identifier: MIT
/*
 * A film on a bare machine: the host's codec decodes an H.264 clip, which is the initial RAM disk, and virtio-gpu shows
 * the pictures. Where the two devices share buffers, a picture never comes here: the codec writes it into a resource of the
 * GPU, which it knows by its UUID. Else, or with "copy" on the command line, it is decoded into this machine's memory.
 *
 *	gst-launch-1.0 videotestsrc num-buffers=20 ! video/x-raw,width=160,height=120 ! x264enc aud=true ! \
 *		video/x-h264,stream-format=byte-stream ! filesink location=clip.h264
 *	mullion run --kernel build/bare/video-bare.elf --initrd clip.h264 --video decoder \
 *		--gpu size=160x120,isolate=no --display png:/tmp/frames
 *
 * Each access unit of the clip must begin with a delimiter (aud=true).
 */
#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/gpu.h"
#include "guest-drivers/bare/string.h"
#include "guest-drivers/bare/video.h"

enum { STREAM = 1, PICTURE = 1, INPUTS = 2, OUTPUTS = 3, INPUT_BYTES = 1 << 18 }; /* picture I is resource PICTURE + I */

static struct video v;
static struct gpu g;
static struct virtio_video_params params;
static struct video_request input[INPUTS], output[OUTPUTS], drain;
static uint8_t *in[INPUTS], *out[OUTPUTS];
static uint32_t *pixels;
static unsigned shown, next;
static bool shares, playing, drained;

/* Where the access unit at @at ends: before the next delimiter, NAL unit type 9. */
static size_t unit_end(const uint8_t *data, size_t bytes, size_t at)
{
	for (size_t i = at + 4; i + 4 < bytes; i++) {
		if (data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1 && (data[i + 3] & 0x1f) == 9)
			return i > at && data[i - 1] == 0 ? i - 1 : i;
	}
	return bytes;
}

static uint32_t clamp(int32_t v255)
{
	return v255 < 0 ? 0 : v255 > 255 ? 255 : (uint32_t)v255;
}

/* NV12 to BGRX, BT.601 in 8-bit fixed point. */
static void convert(const uint8_t *nv12)
{
	const uint32_t width = params.frame_width, stride = params.plane_formats[0].stride;

	for (uint32_t y = 0; y < params.frame_height; y++) {
		const uint8_t *luma = nv12 + y * stride, *uv = nv12 + params.plane_formats[0].plane_size + y / 2 * stride;

		for (uint32_t x = 0; x < width; x++) {
			int32_t c = 298 * (luma[x] - 16) + 128, u = uv[x & ~1u] - 128, w = uv[x | 1] - 128;

			pixels[y * width + x] = clamp((c + 409 * w) >> 8) << 16 | clamp((c - 100 * u - 208 * w) >> 8) << 8 |
						clamp((c + 516 * u) >> 8);
		}
	}
}

static struct gpu_rect all(void)
{
	return (struct gpu_rect){0, 0, params.frame_width, params.frame_height};
}

static int create_picture(uint32_t id)
{
	return gpu_create_2d(&g, id, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, params.frame_width, params.frame_height);
}

/* Output @i has a picture. */
static int show(uint32_t i)
{
	const uint32_t id = shares ? PICTURE + i : PICTURE;
	int rc;

	if (!shares)
		convert(out[i]);
	rc = shares ? gpu_set_scanout(&g, 0, id, all()) : gpu_transfer_to_host_2d(&g, id, all(), 0);
	shown++;
	return rc ? rc : gpu_flush(&g, id, all());
}

/* Pictures of the GPU, which the codec knows by their names. */
static int make_objects(void)
{
	uint8_t uuid[16];
	int rc;

	params.format = VIRTIO_VIDEO_FORMAT_BGRA8888;
	rc = video_set_params_ext(&v, STREAM, &params, VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT);
	for (uint32_t i = 0; !rc && i < OUTPUTS; i++) {
		rc = create_picture(PICTURE + i);
		rc = rc ? rc : gpu_assign_uuid(&g, PICTURE + i, uuid);
		rc = rc ? rc : video_resource_create_object(&v, STREAM, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, i, uuid);
	}
	return rc;
}

/* Memory of ours for the codec, and a picture of the GPU that is copied from there. */
static int make_buffers(void)
{
	const uint32_t pixel_bytes = params.frame_width * params.frame_height * 4;
	uint32_t bytes = 0;
	int rc = 0;

	for (uint32_t i = 0; i < params.num_planes; i++)
		bytes += params.plane_formats[i].plane_size;
	for (uint32_t i = 0; !rc && i < OUTPUTS; i++) {
		out[i] = alloc(bytes, PAGE_BYTES);
		rc = video_resource_create(&v, STREAM, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, i, out[i], bytes);
	}
	pixels = alloc_zeroed(pixel_bytes, PAGE_BYTES);
	if (rc || (rc = create_picture(PICTURE)) || (rc = gpu_attach_backing(&g, PICTURE, pixels, pixel_bytes)))
		return rc;
	return gpu_set_scanout(&g, 0, PICTURE, all());
}

static int want(uint32_t i)
{
	return video_queue(&v, &output[i], STREAM, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, i, 0, 0);
}

/* The size is known: make room for pictures. */
static int start_output(void)
{
	int rc = video_get_params(&v, STREAM, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, &params);

	rc = rc ? rc : shares ? make_objects() : make_buffers();
	for (uint32_t i = 0; !rc && i < OUTPUTS; i++)
		rc = want(i);
	playing = true;
	return rc;
}

/* Take events, and pictures in the order in which they were asked for. */
static int serve(void)
{
	struct virtio_video_event event;
	int rc = 0;

	while (!rc && video_take_event(&v, &event))
		rc = event.event_type == VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED && !playing ? start_output() : -1;
	while (!rc && playing && !drained && output[next].done) {
		if (output[next].answer.flags & VIRTIO_VIDEO_BUFFER_FLAG_EOS) {
			drained = true;
			break;
		}
		rc = show(next);
		rc = rc ? rc : want(next);
		next = (next + 1) % OUTPUTS;
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
		if (end - at > INPUT_BYTES)
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
	char none[8];

	if (rc || (rc = gpu_open(&g, VIRTIO_ANY, 0, VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_UUID))) || !boot.initrd_bytes) {
		printf("video: error %d; start it with --video decoder --gpu --initrd CLIP.h264\n", rc);
		return 1;
	}
	shares = virtio_has(&v.dev, VIRTIO_VIDEO_F_RESOURCE_VIRTIO_OBJECT) && virtio_has(&g.dev, VIRTIO_GPU_F_RESOURCE_UUID) &&
		 !boot_option("copy", 0, none, sizeof(none));
	rc = video_stream_create(&v, STREAM, VIRTIO_VIDEO_FORMAT_H264, "clip");
	for (uint32_t i = 0; !rc && i < INPUTS; i++) {
		in[i] = alloc(INPUT_BYTES, PAGE_BYTES);
		rc = video_resource_create(&v, STREAM, VIRTIO_VIDEO_QUEUE_TYPE_INPUT, i, in[i], INPUT_BYTES);
	}
	if (!rc)
		rc = play((const uint8_t *)(uintptr_t)boot.initrd_base, boot.initrd_bytes);
	if (rc) {
		printf("video: error %d after %u pictures; the device answered 0x%04x\n", rc, shown, v.answer);
		return 1;
	}
	printf("PASS video: %u pictures of %ux%u, %s\n", shown, params.frame_width, params.frame_height,
	       shares ? "shared with the GPU" : "copied here");
	return 0;
}
