/* SPDX-License-Identifier: MIT */
/*
 * The pixel formats of 2D resources and guest blobs (virtio 1.4, section 5.7.6.8): all are 32 bits a pixel. The
 * table is the list; whatever needs a format looks here. Thread: any.
 */
#ifndef MULLION_HOST_GPU_FORMAT_H
#define MULLION_HOST_GPU_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GPU_PIXEL_BYTES 4u

struct gpu_format {
	uint32_t number;  /* VIRTIO_GPU_FORMAT_*; gallium's and virgl's number too */
	const char *name; /* components in the order of their bytes in memory */
	uint32_t pixman;  /* pixman_format_code_t: names the components from the highest bit down */
	bool has_alpha;
};

/* NULL when @number is not a 2D format. */
const struct gpu_format *gpu_format_find(uint32_t number);

/* The formats one after the other, for tests and tools; NULL past the last. */
const struct gpu_format *gpu_format_at(unsigned index);

/* The same colours at the same places, whatever the fourth component means. */
bool gpu_format_is_alike(const struct gpu_format *a, const struct gpu_format *b);

/*
 * Convert @width x @height pixels to DRM_FORMAT_ARGB8888 (opaque when the source has no alpha). Strides are
 * multiples of 4 and both pointers are aligned to 4. Returns 0, -EINVAL, -ENOMEM.
 */
int gpu_format_convert(const struct gpu_format *format, const void *src, uint32_t src_stride, void *dst,
		       uint32_t dst_stride, uint32_t width, uint32_t height);

/* Upper bound of the bytes a pixel takes in a 3D resource of virgl format @number, for the memory limit. */
unsigned gpu_format_3d_pixel_bytes(uint32_t number);

#endif
