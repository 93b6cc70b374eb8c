/* SPDX-License-Identifier: MIT */
/*
 * What a context's objects (shaders, states, views, queries) take of the host's memory, estimated: virglrenderer and the driver
 * keep each until it is destroyed, and make as many as the guest asks for.
 *
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_VIRGL_OBJECTS_H
#define MULLION_HOST_GPU_VIRGL_OBJECTS_H

#include <stddef.h>
#include <stdint.h>

#include "host/gpu/virgl_stream.h"

/* Of each, besides what the guest sent: what drivers keep of one. */
#define VIRGL_OBJECT_BYTES 1024u

/* Those of one sub-context, by handle. */
struct virgl_object_table {
	uint32_t sub; /* its id */
	uint32_t count, room;
	struct virgl_object_slot *slots;
	uint64_t bytes;
};

/* Those of a context; zeroed storage is none. */
struct virgl_objects {
	uint64_t bytes;
	unsigned count; /* of tables */
	struct virgl_object_table tables[VIRGL_STREAM_SUB_CONTEXTS + 1];
};

/* What a submission that was checked would add, if it destroys nothing. */
uint64_t virgl_objects_wanted(const uint32_t *words, size_t count);
/*
 * It is about to be executed. @stream: what it was before it was checked; it is brought up to date. Returns 0, or -ENOMEM: then
 * some of it is counted, and the context must not execute anything any more.
 */
int virgl_objects_follow(struct virgl_objects *o, struct virgl_stream *stream, const uint32_t *words, size_t count);
/* The context is gone. */
void virgl_objects_finish(struct virgl_objects *o);

#endif
