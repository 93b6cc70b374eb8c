/* SPDX-License-Identifier: MIT */
/*
 * The session core: one stream of coded video through one codec at a time, whatever protocol the guest speaks. It owns
 * the guest's buffers, two queues of them, and the order in which things are answered; a front (video.c) turns that
 * into answers of its protocol.
 *
 *   input queue: buffers and at most one drain, in order -> codec -> output queue: empty buffers of the guest
 *
 * Bitstreams are copied out of guest memory before anything looks at them, and pictures are copied into it by this
 * loop; only an encoder may read pictures in place, and a decoder's driver write them (codec.h): such buffers are lent. A
 * buffer is back with the guest as soon as it was copied, or is read no more; clearing, destroying and resetting don't wait
 * for a codec: it is let go, its buffers are given back, and it stops by itself. Only for a driver that may be writing to lent
 * buffers is there a wait, until it was stopped.
 *
 * Thread: the device's loop, for every call.
 */
#ifndef MULLION_HOST_VIDEO_STREAM_H
#define MULLION_HOST_VIDEO_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/loop.h"
#include "host/video/buffer.h"
#include "host/video/codec.h"
#include "host/video/format.h"
#include "host/video/headers.h"
#include "host/video/picture.h"
#include "host/video/units.h"

struct video_stream;

/* Of an encoder, unless it is set: pictures a second. */
#define STREAM_FRAME_RATE 30u

enum video_queue { VIDEO_INPUT, VIDEO_OUTPUT, VIDEO_QUEUE_COUNT };

/*
 * IDLE      no codec: new, drained, or cleared. The next input makes one.
 * RUNNING   a codec is at work.
 * DRAINING  a drain is queued; no input is taken until it is answered.
 * FAILED    the codec gave up or was given up. Clearing or dropping the input buffers makes it IDLE.
 */
enum stream_state { STREAM_IDLE, STREAM_RUNNING, STREAM_DRAINING, STREAM_FAILED, STREAM_STATE_COUNT };

/* How a buffer comes back. */
struct stream_done {
	uint64_t timestamp;
	uint32_t bytes;   /* of a packet */
	bool error;       /* not processed, or wrong */
	bool end;         /* the last one of a drain, or of a size (marks_changes); nothing is in it */
	bool key_frame, delta_frame;
};

enum stream_event { STREAM_EVENT_FORMAT, STREAM_EVENT_ERROR, STREAM_EVENT_COUNT };

/* What a front is told. It may not call back into the stream from here. */
struct stream_front_ops {
	/* b->request is answered; the buffer is the guest's again. */
	void (*buffer_done)(void *owner, struct video_stream *s, enum video_queue q, struct video_buffer *b,
			    const struct stream_done *done);
	/* The drain @request is over, or was @cancelled. */
	void (*drain_done)(void *owner, struct video_stream *s, void *request, bool cancelled);
	/* FORMAT: output pictures have another size; the new one is in s->output. ERROR: the stream is FAILED. */
	void (*event)(void *owner, struct video_stream *s, enum stream_event event);
};

struct stream_config {
	uint32_t id;
	bool encoder;
	const struct video_coded_format *coded;
	const struct codec_ops *codec;
	const char *element; /* as in codec_config */
	unsigned timeout_ms; /* how long a codec may do nothing while something waits for it */
	/*
	 * As V4L2 has it: when the size changes, an output buffer comes back empty and marked as the end, before those
	 * of the new size, and a first size for which the queued buffers were made is no change.
	 */
	bool marks_changes;
	struct loop *loop;
	const struct stream_front_ops *front;
	void *owner;
	struct codec_stats *stats; /* of the device; what a codec did is added when the stream lets go of it */
};

/* One of the two queues. */
struct stream_side {
	struct video_buffer *buffers; /* all, newest first */
	unsigned buffer_count;
	struct video_buffer *first_queued, **last_queued;
	uint32_t plane_bytes; /* of a coded buffer: what it should hold */
};

struct video_stream {
	struct stream_config config;
	enum stream_state state;
	struct stream_side sides[VIDEO_QUEUE_COUNT];
	/* The picture side: a decoder's output, an encoder's input. */
	struct video_layout layout;
	uint32_t visible_width, visible_height;
	const struct video_coded_format *coded;
	struct codec_controls controls;

	/* The rest is stream.c's. */
	struct codec *codec;
	/* An encoder's inputs that it reads in place, a decoder's outputs that it writes: oldest first, queued as the guest sees it. */
	struct video_buffer *lent;
	bool lends_no_more; /* a decoder that had some gave up */
	struct codec_stats stats; /* of the codecs before it */
	struct video_headers headers;
	struct video_units units; /* of a decoder's input */
	uint8_t *lead;		  /* parameter sets for a codec that has had none, from malloc(); NULL: there are none */
	size_t lead_bytes;
	struct loop_timer units_timer;
	bool units_due; /* what they hold waits no longer; unless the codec had no room for what the guest has sent */
	void *drain_request; /* DRAINING: the front's word on it */
	bool drain_sent;     /* the codec was told */
	bool drain_was_empty; /* nothing had been put in */
	bool end_owed;       /* a drain was answered without an output buffer to mark: the next one is */
	bool format_known;   /* a decoder's first picture was announced */
	bool output_held;    /* a new size was announced; the output buffers are still those of the old one */
	bool mark_owed;      /* for that there was no buffer to mark: the next one is */
	bool force_keyframe;
	struct loop_timer watchdog;
	bool watching;
	bool paused;
	struct video_stream *next;
};

int stream_create(const struct stream_config *config, struct video_stream **out);
/* Everything that waits is cancelled first, without an event. NULL is fine. */
void stream_destroy(struct video_stream *s);

/*
 * The codec died with the process before this one: the stream, which is IDLE and new, is FAILED, as if the codec had given
 * up. The front is told nothing.
 */
void stream_lose_codec(struct video_stream *s);

const char *stream_state_name(enum stream_state state);

/* What all codecs of the stream did, and which ran last ("": none yet). */
void stream_get_stats(const struct video_stream *s, struct codec_stats *out);
/* Add what the codec that runs now did, which is not in config.stats yet. */
void stream_add_running_stats(const struct video_stream *s, struct codec_stats *sum);

/* ---- buffers ---- */

struct video_buffer *stream_find_buffer(const struct video_stream *s, enum video_queue q, uint32_t id);
/* The stream owns @b, whose id is not in use, from now on. */
void stream_add_buffer(struct video_stream *s, enum video_queue q, struct video_buffer *b);
/*
 * Forget @b, which is not queued: another one with its number comes. An output queue in which nothing is queued then has
 * buffers for the size that was announced.
 */
void stream_drop_buffer(struct video_stream *s, enum video_queue q, struct video_buffer *b);
/*
 * Clear the queue, unless it is an output queue with nothing in it, so that a drain goes on; then forget its buffers.
 */
void stream_drop_buffers(struct video_stream *s, enum video_queue q);

/*
 * Queue @b, which is not queued; buffer_done comes later. Input: @b holds what b->data_bytes, timestamp and
 * force_keyframe say. Returns 0, -EBUSY while draining (input), -EPIPE when the stream is FAILED, -EMSGSIZE if the
 * buffer is too small for a picture.
 */
int stream_queue_input(struct video_stream *s, struct video_buffer *b);
int stream_queue_output(struct video_stream *s, struct video_buffer *b);

/*
 * Process what is queued, mark an empty output buffer as the end, then call drain_done with @request, which is not
 * NULL. With nothing to process, or no output buffer in the stream, it doesn't wait for one to mark: the next one
 * queued is. Returns 0 (then drain_done comes, maybe before this returns), -EBUSY while another drain waits, -EPIPE
 * when FAILED.
 */
int stream_drain(struct video_stream *s, void *request);

/*
 * Give every queued buffer of @q back as an error, without processing. Input: also cancels a drain and lets go of all
 * that was not taken out of the codec. Output: also cancels a drain, unless the queue is cleared for a new size, in
 * which case the drain goes on. If a decoder writes into such buffers, it is let go too: the next goes on at a key frame.
 */
void stream_clear(struct video_stream *s, enum video_queue q);

/*
 * The same for both queues, of a guest that did not ask for it and will go on: every queued buffer comes back as an error, a
 * drain is cancelled, and no buffer is touched afterwards. The codec stays, and what it has comes out into the buffers that
 * are queued next, unless it was told to end or reads on in a buffer of the guest's: then it is let go.
 */
void stream_cancel(struct video_stream *s);

/*
 * While paused, no buffer is touched or given back but by clearing and destroying, and nobody waits for the codec; what is
 * queued meanwhile waits, too. A decoder that writes into buffers is let go.
 */
void stream_pause(struct video_stream *s, bool paused);

/*
 * After a change of size, go on with the output buffers that are there. Those that are queued and too small come back
 * as errors.
 */
void stream_keep_output(struct video_stream *s);
/* A drain was answered when there was no output buffer: the next one will be marked as the last. */
static inline bool stream_end_is_owed(const struct video_stream *s)
{
	return s->end_owed;
}

static inline bool stream_output_is_held(const struct video_stream *s)
{
	return s->output_held;
}

/* ---- parameters ---- */

/*
 * The picture side in another format, which has no buffers now, or in another size, while there is no codec: output
 * buffers that there are wait for what the next one says. Sizes: 1..VIDEO_MAX_SIDE
 */
void stream_set_picture(struct video_stream *s, const struct video_picture_format *format, uint32_t width,
			uint32_t height);
/* Another coded format; the stream is IDLE. */
void stream_set_coded(struct video_stream *s, const struct video_coded_format *coded);

/* Which queue has the coded data, and which the pictures. */
static inline enum video_queue stream_coded_queue(const struct video_stream *s)
{
	return s->config.encoder ? VIDEO_OUTPUT : VIDEO_INPUT;
}

/* s->controls changed: tell the codec that runs. */
void stream_apply_controls(struct video_stream *s);

#endif
