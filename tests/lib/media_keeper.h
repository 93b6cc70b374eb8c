/* SPDX-License-Identifier: MIT */
/*
 * mullion-video with virtio-media, without its main(), as video_keeper.h has it, and a guest's program that decodes the
 * clip there by MMAP buffers. The frontend maps them, so they stay when workers die. Calls assert what they expect, and that
 * every answer comes in time. Thread: the test's only one.
 */
#ifndef MULLION_TESTS_LIB_MEDIA_KEEPER_H
#define MULLION_TESTS_LIB_MEDIA_KEEPER_H

#include "tests/lib/media_world.h"
#include "tests/lib/video_keeper.h"

enum { MEDIA_CLIENT_INPUTS = 4, MEDIA_CLIENT_OUTPUTS = 6 };

struct media_keeper {
	struct video_keeper k;
	struct media_world w;
	struct loop_fd watch; /* of what is asked of the frontend */
	uint64_t slowest_ns;  /* answer to a command */
};

void media_keeper_begin(struct media_keeper *m, const struct video_keeper_options *o);
/* Returns the exit status of the keeper. */
int media_keeper_end(struct media_keeper *m);

struct media_client {
	struct media_keeper *m;
	uint32_t id;
	uint8_t *in[MEDIA_CLIENT_INPUTS], *out[MEDIA_CLIENT_OUTPUTS]; /* as the guest sees them */
	uint64_t in_at[MEDIA_CLIENT_INPUTS], out_at[MEDIA_CLIENT_OUTPUTS];
	uint32_t queued[2];		   /* buffers that are with the device, a bit each: OUTPUT, CAPTURE */
	bool has_outputs, captures, ended; /* CAPTURE has buffers, and is on */
	bool failed;			   /* a buffer came back in error, or a command was answered EIO */
	struct sums sums;
};

/* A command's result, which is 0, or -EIO if the stream or the process failed: noted. */
bool media_client_can(struct media_client *c, int err);
/* Open a session, with buffers for H.264 on OUTPUT, which is on; again as often as a death is in the way. */
void media_client_open(struct media_client *c, struct media_keeper *m);
/* Wait for an event, and do what it asks for. */
void media_client_serve(struct media_client *c);
/* Send packet @i of the clip as soon as there is a buffer for it. */
void media_client_send(struct media_client *c, unsigned i);
/* All of the clip, to its last picture. Returns false if the stream failed on the way. */
bool media_client_play(struct media_client *c);
/* Open a session, and play it to the midst of the clip: it has buffers on both queues. */
void media_client_play_half(struct media_client *c, struct media_keeper *m);
/* Take what comes until nothing is with the device any more, which is to be so in time. */
void media_client_take_back(struct media_client *c);
/* Of one that has failed: both queues are restarted. False if that failed too. */
bool media_client_restart(struct media_client *c);
/* Unmap all, and close. */
void media_client_close(struct media_client *c);
/* The whole clip on a session of its own, which shows what it should. */
void media_keeper_decode_exactly(struct media_keeper *m);

#endif
