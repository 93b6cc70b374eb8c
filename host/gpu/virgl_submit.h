/* SPDX-License-Identifier: MIT */
/*
 * A submission that was checked (virgl_stream.h), executed by virglrenderer.
 * Thread: the gpu loop.
 */
#ifndef MULLION_HOST_GPU_VIRGL_SUBMIT_H
#define MULLION_HOST_GPU_VIRGL_SUBMIT_H

#include <stddef.h>
#include <stdint.h>

#include "host/gpu/virgl_stream.h"

/* Where a long one is cut: a dozen draws. */
#define VIRGL_PIECE_WORDS 256u

/*
 * The fences of the last two flushes in the midst of submissions, of whatever context. Zeroed: none. What is left goes with the
 * OpenGL contexts, which share it.
 */
struct virgl_flushes {
	struct __GLsync *before, *last;
	struct __GLsync *asked; /* of the last one too: OpenGL drops the fence with the answer that it is done */
};

/*
 * @s: what the check said of it; the library does not see PIPE_RESOURCE_CREATE. @count: above 0. @flushes: the CPU draws, and
 * may begin before all was read; NULL: a GPU does. Returns 0, -ENOMEM, or a negative errno of the library's: what it did of it
 * is not known.
 */
int virgl_submit(const struct virgl_stream *s, uint32_t ctx_id, uint32_t *words, size_t count,
		 struct virgl_flushes *flushes);

#endif
