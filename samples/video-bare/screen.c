// SPDX-License-Identifier: MIT
#include "samples/video-bare/screen.h"

#include <linux/errno.h>

#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/boot.h"

enum { PICTURE = 1 }; /* resources of the GPU from here on */
#define MAX_SIZE 8192u
#define MAX_BYTES (1u << 28) /* of a plane */

static uint32_t clamp(int32_t v255)
{
	return v255 < 0 ? 0 : v255 > 255 ? 255 : (uint32_t)v255;
}

/* Whether pictures are NV12, of a size that can be shown, with their rows inside of their planes. */
static bool can_convert(const struct virtio_video_params *p)
{
	const uint64_t rows = p->frame_height, row = (p->frame_width + 1ull) & ~1ull;
	const struct virtio_video_plane_format *luma = &p->plane_formats[0], *chroma = &p->plane_formats[1];

	return p->format == VIRTIO_VIDEO_FORMAT_NV12 && p->num_planes == 2 && rows && p->frame_width &&
	       rows <= MAX_SIZE && row <= MAX_SIZE && luma->stride >= row && chroma->stride >= row &&
	       luma->plane_size <= MAX_BYTES && chroma->plane_size <= MAX_BYTES &&
	       luma->stride * rows <= luma->plane_size && chroma->stride * ((rows + 1) / 2) <= chroma->plane_size;
}

/* NV12 to BGRX, BT.601 in 8-bit fixed point. */
static void convert(struct screen *s, const uint8_t *nv12)
{
	const struct virtio_video_plane_format *p = s->params.plane_formats;
	const uint32_t width = s->params.frame_width;

	for (uint32_t y = 0; y < s->params.frame_height; y++) {
		const uint8_t *luma = nv12 + y * p[0].stride;
		const uint8_t *uv = nv12 + p[0].plane_size + y / 2 * p[1].stride;

		for (uint32_t x = 0; x < width; x++) {
			int32_t c = 298 * (luma[x] - 16) + 128, u = uv[x & ~1u] - 128, w = uv[x | 1] - 128;

			s->pixels[y * width + x] = clamp((c + 409 * w) >> 8) << 16 |
						   clamp((c - 100 * u - 208 * w) >> 8) << 8 |
						   clamp((c + 516 * u) >> 8);
		}
	}
}

static struct gpu_rect all(const struct screen *s)
{
	return (struct gpu_rect){0, 0, s->params.frame_width, s->params.frame_height};
}

static int create_picture(struct screen *s, uint32_t id)
{
	return gpu_create_2d(&s->gpu, id, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, s->params.frame_width,
			     s->params.frame_height);
}

/* Pictures of the GPU, which the codec knows by their names. */
static int make_objects(struct screen *s)
{
	uint8_t uuid[16];
	int rc;

	s->params.format = VIRTIO_VIDEO_FORMAT_BGRA8888;
	rc = video_set_params_ext(s->video, s->stream, &s->params, VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT);
	for (uint32_t i = 0; !rc && i < SCREEN_OUTPUTS; i++) {
		rc = create_picture(s, PICTURE + i);
		rc = rc ? rc : gpu_assign_uuid(&s->gpu, PICTURE + i, uuid);
		rc = rc ? rc
			: video_resource_create_object(s->video, s->stream, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, i, uuid);
	}
	return rc;
}

/* Memory of ours for the codec, and a picture of the GPU that is copied from there. */
static int make_buffers(struct screen *s)
{
	const uint32_t pixel_bytes = s->params.frame_width * s->params.frame_height * 4;
	const uint32_t bytes = s->params.plane_formats[0].plane_size + s->params.plane_formats[1].plane_size;
	int rc = can_convert(&s->params) ? 0 : -EPROTO;

	for (uint32_t i = 0; !rc && i < SCREEN_OUTPUTS; i++) {
		s->out[i] = alloc(bytes, PAGE_BYTES);
		rc = s->out[i] ? video_resource_create(s->video, s->stream, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, i,
						       s->out[i], bytes)
			       : -ENOMEM;
	}
	if (rc)
		return rc;
	s->pixels = alloc_zeroed(pixel_bytes, PAGE_BYTES);
	rc = s->pixels ? create_picture(s, PICTURE) : -ENOMEM;
	rc = rc ? rc : gpu_attach_backing(&s->gpu, PICTURE, s->pixels, pixel_bytes);
	return rc ? rc : gpu_set_scanout(&s->gpu, 0, PICTURE, all(s));
}

int screen_open(struct screen *s, struct video *v, uint32_t stream)
{
	char none[8];
	int rc = gpu_open(&s->gpu, VIRTIO_ANY, 0, VIRTIO_BIT(VIRTIO_GPU_F_RESOURCE_UUID));

	s->video = v;
	s->stream = stream;
	s->shares = !rc && virtio_has(&v->dev, VIRTIO_VIDEO_F_RESOURCE_VIRTIO_OBJECT) &&
		    virtio_has(&s->gpu.dev, VIRTIO_GPU_F_RESOURCE_UUID) && !boot_option("copy", 0, none, sizeof(none));
	return rc;
}

int screen_start(struct screen *s)
{
	int rc = video_get_params(s->video, s->stream, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, &s->params);

	return rc ? rc : s->shares ? make_objects(s) : make_buffers(s);
}

int screen_show(struct screen *s, uint32_t i)
{
	const uint32_t id = s->shares ? PICTURE + i : PICTURE;
	int rc;

	if (!s->shares)
		convert(s, s->out[i]);
	rc = s->shares ? gpu_set_scanout(&s->gpu, 0, id, all(s)) : gpu_transfer_to_host_2d(&s->gpu, id, all(s), 0);
	return rc ? rc : gpu_flush(&s->gpu, id, all(s));
}
