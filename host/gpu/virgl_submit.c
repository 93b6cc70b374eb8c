// SPDX-License-Identifier: MIT
#include "host/gpu/virgl_submit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <epoxy/gl.h>
#include <virglrenderer.h>

#include "host/base/loop.h"
#include "host/gpu/virgl_library.h"

/* With frames of 1000 draws, 100 to 400 us were alike. */
#define FLUSH_NS 200000ull

static int submit(uint32_t ctx_id, uint32_t *words, size_t count)
{
	return virgl_library_error(virgl_renderer_submit_cmd(words, (int)ctx_id, (int)count));
}

/*
 * Threads that are not done with the last flush have enough to do: false.
 *
 * llvmpipe (Mesa 22.3; later sources are alike) looks without a lock whether all its threads have counted themselves off at a
 * fence, and then drops it when something newer is flushed; but the last of them holds the fence's lock yet, and is about to
 * let it go. One that is late by the time between two flushes, as on a busy machine, then writes to memory that is something
 * else's. So a fence is kept until a newer one is done: who has counted itself off there has left the one before. The threads,
 * and so the order of fences, are the same for all contexts.
 */
static bool flush(struct virgl_flushes *f)
{
	if (f->asked && glClientWaitSync(f->asked, 0, 0) == GL_TIMEOUT_EXPIRED)
		return false;
	glDeleteSync(f->asked);
	glDeleteSync(f->before);
	f->before = f->last;
	f->asked = glFenceSync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
	f->last = glFenceSync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
	glFlush();
	return true;
}

/*
 * A driver that draws by the CPU keeps what it is told until it is flushed, and only then its threads begin. They are to
 * draw what came first while the rest of a long submission is read, so it is flushed now and then. A GPU begins by itself.
 */
static int submit_in_pieces(uint32_t ctx_id, uint32_t *words, size_t count, struct virgl_flushes *flushes)
{
	uint64_t flushed_ns = loop_now_ns(), now;
	size_t at = 0, piece;
	int err;

	for (;;) {
		piece = virgl_stream_piece(words + at, count - at, VIRGL_PIECE_WORDS);
		err = submit(ctx_id, words + at, piece);
		at += piece;
		if (err < 0 || at == count)
			return err;
		now = loop_now_ns();
		if (now - flushed_ns >= FLUSH_NS && flush(flushes))
			flushed_ns = now;
	}
}

static int submit_all(uint32_t ctx_id, uint32_t *words, size_t count, struct virgl_flushes *flushes)
{
	return flushes && count > VIRGL_PIECE_WORDS ? submit_in_pieces(ctx_id, words, count, flushes)
						    : submit(ctx_id, words, count);
}

int virgl_submit(const struct virgl_stream *s, uint32_t ctx_id, uint32_t *words, size_t count,
		 struct virgl_flushes *flushes)
{
	uint32_t *copy;
	int err;

	if (!s->creates)
		return submit_all(ctx_id, words, count, flushes);
	/* Hidden in a copy: virgl_state_record() is to see it. */
	copy = malloc(count * sizeof(*words));
	if (!copy)
		return -ENOMEM;
	memcpy(copy, words, count * sizeof(*words));
	virgl_stream_hide(copy, count);
	err = submit_all(ctx_id, copy, count, flushes);
	free(copy);
	return err;
}
