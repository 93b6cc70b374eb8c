/* SPDX-License-Identifier: MIT */
/*
 * A guest's program that plays by virtio-media: one session with MMAP buffers on both queues, over the fake codec,
 * whose input says what it does (host/video/codec_fake.h). For cmocka tests: each call asserts what it expects.
 */
#ifndef MULLION_TESTS_LIB_MEDIA_PLAYER_H
#define MULLION_TESTS_LIB_MEDIA_PLAYER_H

#include <stdint.h>

#include "host/video/codec_fake.h"
#include "tests/lib/media_world.h"

enum { PLAYER_INPUTS = 4, PLAYER_OUTPUTS = 4, PLAYER_WIDTH = 64, PLAYER_HEIGHT = 48 };

/* Of DECODER_CMD and ENCODER_CMD. */
#define PLAYER_STOP 1u
#define PLAYER_START 0u

struct player {
	struct media_world *w;
	uint32_t id;
	uint8_t *in[PLAYER_INPUTS], *out[PLAYER_OUTPUTS]; /* as the guest sees them */
	uint64_t in_at[PLAYER_INPUTS], out_at[PLAYER_OUTPUTS];
	uint32_t next_in;
};

/* A session whose OUTPUT is on, with SOURCE_CHANGE and EOS subscribed. */
void player_open(struct player *p, struct media_world *w);
/* A decoder that was told its size and has buffers for it; picture 0 is in the codec. */
void player_start(struct player *p, struct media_world *w);

/* S_FMT, which takes it as it is; REQBUFS and MMAP of @count buffers, of which @seen and @at get the places. */
void player_set_format(struct player *p, uint32_t type, uint32_t fourcc, uint32_t width, uint32_t height);
void player_make_buffers(struct player *p, uint32_t type, uint32_t count, uint8_t **seen, uint64_t *at);
/* CAPTURE: make, queue and switch on; off, unmap and give up. */
void player_start_capture(struct player *p);
void player_stop_capture(struct player *p);

/* Queue one input, a fake_header; its time is 1 s and @value us. _feed waits until it is back. */
void player_queue_unit(struct player *p, uint32_t unit, uint32_t width, uint32_t height, uint32_t value);
void player_queue(struct player *p, uint32_t value);
void player_feed(struct player *p, uint32_t value);
/* Queue CAPTURE buffer @i. */
void player_want(struct player *p, uint32_t i);

/* The next OUTPUT buffer is back as it was queued, with V4L2_BUF_FLAG_*. */
void player_expect_input(struct player *p, uint32_t flags);
/* A SOURCE_CHANGE event; and what G_FMT and G_SELECTION say then. */
void player_expect_change(struct player *p);
void player_expect_size(struct player *p, uint32_t width, uint32_t height);
/* The next CAPTURE buffer is the picture of @value; returns its index. */
uint32_t player_expect_picture(struct player *p, uint32_t value);
uint32_t player_expect_picture_of(struct player *p, uint32_t value, uint32_t width, uint32_t height, uint32_t flags);
void player_check_nv12(const uint8_t *at, uint32_t value, uint32_t width, uint32_t height);
/* The next CAPTURE buffer is empty, with the LAST flag; and before it comes an EOS event. */
void player_expect_last(struct player *p);
void player_expect_end(struct player *p);
/* The next CAPTURE buffer is the picture of @value, and the last of its size. */
void player_expect_new_size(struct player *p, uint32_t value);
/* No events are left. */
void player_expect_nothing(struct player *p);

/* ---- picture formats of 8 bits ---- */

enum { PLAYER_RAWS = 6 };

/* Which components the planes have, by turns; @apart: planes of V4L2's, each with memory of its own. */
struct player_raw {
	uint32_t fourcc;
	const char *planes[3];
	bool apart;
};
extern const struct player_raw player_raws[PLAYER_RAWS];

/* A buffer of that format, which was asked for: where it is seen. */
struct player_picture {
	const struct player_raw *raw;
	struct v4l2_buffer buffer; /* for QBUF, with the planes */
	struct v4l2_plane planes[3];
	uint8_t *seen[3];
};
void player_map_picture(struct player *p, uint32_t type, uint32_t index, const struct player_raw *raw,
			struct player_picture *out);
/* Sample @x, @y of component @component: Y, U, V. */
uint8_t *player_sample(const struct player_picture *picture, unsigned component, uint32_t x, uint32_t y);

#endif
