// SPDX-License-Identifier: MIT
#include "host/gpu/format.h"

#include <errno.h>
#include <pixman.h>

#include "protocol/virtio_gpu.h"

/*
 * virtio names components by their byte in memory, pixman by their place in a 32-bit word, so on a little-endian
 * machine each pair of names reads backwards.
 */
static const struct gpu_format formats[] = {
	{VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, "B8G8R8A8", PIXMAN_a8r8g8b8, true},
	{VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, "B8G8R8X8", PIXMAN_x8r8g8b8, false},
	{VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, "A8R8G8B8", PIXMAN_b8g8r8a8, true},
	{VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM, "X8R8G8B8", PIXMAN_b8g8r8x8, false},
	{VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, "R8G8B8A8", PIXMAN_a8b8g8r8, true},
	{VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM, "X8B8G8R8", PIXMAN_r8g8b8x8, false},
	{VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, "A8B8G8R8", PIXMAN_r8g8b8a8, true},
	{VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM, "R8G8B8X8", PIXMAN_x8b8g8r8, false},
};

#define FORMAT_COUNT (sizeof(formats) / sizeof(formats[0]))

const struct gpu_format *gpu_format_find(uint32_t number)
{
	for (unsigned i = 0; i < FORMAT_COUNT; i++) {
		if (formats[i].number == number)
			return &formats[i];
	}
	return NULL;
}

const struct gpu_format *gpu_format_at(unsigned index)
{
	return index < FORMAT_COUNT ? &formats[index] : NULL;
}

bool gpu_format_is_alike(const struct gpu_format *a, const struct gpu_format *b)
{
	for (unsigned i = 0; a->name[i]; i++) {
		const bool may_differ = a->name[i] == 'A' || a->name[i] == 'X';

		if (may_differ ? b->name[i] != 'A' && b->name[i] != 'X' : a->name[i] != b->name[i])
			return false;
	}
	return true;
}

int gpu_format_convert(const struct gpu_format *format, const void *src, uint32_t src_stride, void *dst,
		       uint32_t dst_stride, uint32_t width, uint32_t height)
{
	pixman_image_t *from, *to;
	int err = 0;

	if (width == 0 || height == 0)
		return 0;
	if (width > INT16_MAX || height > INT16_MAX || src_stride > INT32_MAX || dst_stride > INT32_MAX ||
	    src_stride % sizeof(uint32_t) != 0 || dst_stride % sizeof(uint32_t) != 0)
		return -EINVAL;
	/* pixman takes its source by a plain pointer but writes only to the destination. */
	from = pixman_image_create_bits_no_clear((pixman_format_code_t)format->pixman, (int)width, (int)height,
						 (uint32_t *)(uintptr_t)src, (int)src_stride);
	to = pixman_image_create_bits_no_clear(PIXMAN_a8r8g8b8, (int)width, (int)height, dst, (int)dst_stride);
	if (from && to)
		pixman_image_composite32(PIXMAN_OP_SRC, from, NULL, to, 0, 0, 0, 0, 0, 0, (int32_t)width, (int32_t)height);
	else
		err = -ENOMEM;
	if (from)
		pixman_image_unref(from);
	if (to)
		pixman_image_unref(to);
	return err;
}

/*
 * Only formats wider than 32 bits a pixel are named: ranges of gallium's numbering, rounded up to the widest
 * member. Renderers check the format itself.
 */
static const struct {
	uint16_t first, last;
	uint8_t bytes;
} wide_formats[] = {
	{24, 27, 32},   /* R64 .. R64G64B64A64 float */
	{28, 47, 16},   /* R32 .. R32G32B32A32, float, normalized, scaled */
	{48, 63, 8},    /* R16 .. R16G16B16A16, normalized and scaled */
	{87, 90, 16},   /* R32 .. R32G32B32A32 fixed point */
	{91, 94, 8},    /* R16 .. R16G16B16A16 float */
	{128, 128, 8},  /* Z32_FLOAT_S8X24 */
	{185, 192, 8},  /* R16 .. R16G16B16A16 integer */
	{193, 200, 16}, /* R32 .. R32G32B32A32 integer */
};

unsigned gpu_format_3d_pixel_bytes(uint32_t number)
{
	for (unsigned i = 0; i < sizeof(wide_formats) / sizeof(wide_formats[0]); i++) {
		if (number >= wide_formats[i].first && number <= wide_formats[i].last)
			return wide_formats[i].bytes;
	}
	return 4;
}
