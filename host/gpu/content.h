/* SPDX-License-Identifier: MIT */
/*
 * Where the content of each level of a resource lives, so that a new process can fetch it again: in the guest's backing
 * pages, as the transfers said, or only on the GPU. Transfers of the same layout (offset of the picture, strides) grow
 * into one box; otherwise the last one counts and the rest is only on the GPU.
 *
 * Kept with the resource and as GPU_RECORD_LEVEL records. Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_CONTENT_H
#define MULLION_HOST_GPU_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "host/gpu/renderer.h"
#include "host/gpu/resource.h"

struct journal;

enum gpu_place {
	GPU_PLACE_NOWHERE, /* never written */
	GPU_PLACE_BACKING,
	GPU_PLACE_GPU,
	GPU_PLACE_LOST, /* was on a GPU whose process died, and was not written since */
};

/* Of one level; also the record's payload. */
struct gpu_level {
	uint32_t place; /* enum gpu_place */
	uint32_t stride, layer_stride;
	struct renderer_box box; /* depth 0: nothing of it is in the backing */
	uint32_t zero;
	uint64_t offset; /* of the box, in the backing */
};

/* NULL is a content that keeps nothing. */
struct gpu_content;

int gpu_content_create(struct journal *j, struct gpu_resource_table *resources, struct gpu_content **out);
void gpu_content_destroy(struct gpu_content *c);

/* A transfer was made, from the backing or to it. By id: unknown resources are passed over. */
void gpu_content_uploaded(struct gpu_content *c, uint32_t resource_id, const struct renderer_transfer *t);
void gpu_content_downloaded(struct gpu_content *c, uint32_t resource_id, const struct renderer_transfer *t);
/* The GPU wrote to the level, or to all of them. */
void gpu_content_drawn(struct gpu_content *c, uint32_t resource_id, uint32_t level);
void gpu_content_drawn_all(struct gpu_content *c, uint32_t resource_id);
/* The backing is about to go. */
void gpu_content_detached(struct gpu_content *c, struct gpu_resource *res);

/*
 * Take over what a record says of @res. Returns the transfer that fetches the level again in *t and true, or false when
 * there is none that makes sense. What is only on the GPU is lost from now on.
 */
bool gpu_content_restore(struct gpu_content *c, struct gpu_resource *res, uint32_t level,
			 const struct gpu_level *record, struct renderer_transfer *t);

#endif
