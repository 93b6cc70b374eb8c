/* SPDX-License-Identifier: MIT */
/*
 * What is checked in a virgl command stream before virglrenderer sees it: that its commands are whole, and what the
 * library does not judge or does not survive. Everything else is left to the library, which checks it.
 *
 * - Sub-contexts are OpenGL contexts of the host: at most VIRGL_STREAM_SUB_CONTEXTS; renderer_virgl.c counts those of all contexts.
 * - A long shader's text comes in parts and the library takes memory for the whole at once: at most
 *   VIRGL_STREAM_SHADER_BYTES.
 * - A shader that is not complete may not be bound or linked (0.10.4 uses a null pointer).
 * - PIPE_RESOURCE_CREATE says what a later RESOURCE_CREATE_BLOB is to make. The library would take memory for it at once, which
 *   no limit of the guest's counts; so it is kept here, at most VIRGL_STREAM_OBJECTS, and made when there is a resource.
 *
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_VIRGL_STREAM_H
#define MULLION_HOST_GPU_VIRGL_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/gpu/resource.h"

#define VIRGL_STREAM_SUB_CONTEXTS 64u
#define VIRGL_STREAM_SHADER_BYTES (16u << 20)
#define VIRGL_STREAM_SHADER_TYPES 6u
#define VIRGL_STREAM_OBJECTS 32u

/* A long shader whose text is not all there. */
struct virgl_stream_shader {
	uint32_t handle;      /* 0: none */
	uint32_t done, total; /* bytes, total in whole words */
};

struct virgl_stream_sub_context {
	uint32_t id;
	struct virgl_stream_shader partial[VIRGL_STREAM_SHADER_TYPES];
};

/* What waits for its RESOURCE_CREATE_BLOB. */
struct virgl_stream_object {
	uint32_t blob_id;
	struct gpu_resource_shape shape;
};

/* What is known of one context; zeroed storage is a new one. */
struct virgl_stream {
	unsigned count;	  /* of subs that the guest made */
	unsigned current; /* 0: the one every context starts with; n: subs[n] */
	bool queries;	  /* the submission that was checked last makes some */
	bool reads;	  /* the submission that was checked last reads pictures for the guest */
	bool creates;	  /* it has commands for virgl_stream_hide() */
	bool handles;	  /* it makes or destroys what has some, so virgl_objects_follow() is to see it */
	unsigned object_count;
	struct virgl_stream_object objects[VIRGL_STREAM_OBJECTS];
	struct virgl_stream_sub_context subs[VIRGL_STREAM_SUB_CONTEXTS + 1];
};

/*
 * Check a whole submission. Returns 0 and @s is brought up to date; or -EINVAL, -ENOMEM (a limit), and @s is as it
 * was: nothing of the submission may be executed.
 */
int virgl_stream_check(struct virgl_stream *s, const uint32_t *words, size_t count);

/* The same for one command that was checked: which sub-context is current after it. @w: the words after its header. */
void virgl_stream_follow(struct virgl_stream *s, uint32_t header, const uint32_t *w, size_t length);

/* Of a submission that was checked: the words of its first commands that are @least words together, or of all of them. */
size_t virgl_stream_piece(const uint32_t *words, size_t count, size_t least);

/* Take the object @blob_id out. Returns 0, or -ENOENT: there is none. */
int virgl_stream_take(struct virgl_stream *s, uint64_t blob_id, struct gpu_resource_shape *out);

/* Make what the library is not to see commands without an effect, in a submission that was checked. */
void virgl_stream_hide(uint32_t *words, size_t count);

#endif
