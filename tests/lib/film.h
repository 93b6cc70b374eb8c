/* SPDX-License-Identifier: MIT */
/*
 * A film: one decoder stream of a video world with buffers on both sides, whose input is for the fake codec. For cmocka
 * tests; calls assert what they expect.
 */
#ifndef MULLION_TESTS_LIB_FILM_H
#define MULLION_TESTS_LIB_FILM_H

#include "host/video/codec_fake.h"
#include "tests/lib/video_world.h"

enum { FILM_INPUTS = 8, FILM_OUTPUTS = 8, FILM_WIDTH = 64, FILM_HEIGHT = 48, FILM_OUTPUT_BYTES = 128 * 128 * 2 };

struct film {
	struct video_world *w;
	uint32_t id;
	uint64_t in[FILM_INPUTS], out[FILM_OUTPUTS]; /* addresses of the buffers */
	uint32_t next_in;
};

/* A new stream @id with input buffers. */
void film_make(struct film *s, struct video_world *w, uint32_t id);
/* The output buffers, 0 to FILM_OUTPUTS - 1. */
void film_make_outputs(struct film *s);
/* Both, with the first size announced: picture 0 is in the codec. */
void film_start(struct film *s, struct video_world *w, uint32_t id);

/* Queue one input: a fake_header. Its timestamp is @value times 1000. */
struct fake_request *film_feed(struct film *s, uint32_t unit, uint32_t width, uint32_t height, uint32_t value);
struct fake_request *film_feed_picture(struct film *s, uint32_t value);
/* And wait until the codec has it. */
void film_feed_and_wait(struct film *s, uint32_t value);
/* Queue output buffer @i. */
struct fake_request *film_want(struct film *s, uint32_t i);

/* Wait for an answer to RESOURCE_QUEUE: flags, and no bytes of a packet. */
void film_expect_flags(struct video_world *w, struct fake_request *r, uint32_t flags);
void film_expect_event(struct video_world *w, uint32_t type, uint32_t stream);
/* The picture made from @value in output buffer @i. */
void film_check_nv12(struct film *s, uint32_t i, uint32_t value, uint32_t width, uint32_t height);
void film_expect_picture(struct film *s, struct fake_request *r, uint32_t i, uint32_t value, uint32_t width,
			 uint32_t height);

#endif
