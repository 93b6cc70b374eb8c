/* SPDX-License-Identifier: MIT */
/*
 * mullion-video without its main(): a keeper, and real workers with GStreamer's codecs in their sandbox, in processes of
 * their own, as tests disturb them. The frontend and the guest are the test. Calls assert that they succeed. Thread: the
 * test's only one.
 */
#ifndef MULLION_TESTS_LIB_VIDEO_KEEPER_H
#define MULLION_TESTS_LIB_VIDEO_KEEPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "host/vhost/sandbox.h"
#include "tests/lib/clip.h"
#include "tests/lib/vhost_peer.h"
#include "tests/lib/video_client.h"

/* A guest waits 5 s. Tests run on machines that are busy; and sanitizers make a start of GStreamer a matter of seconds. */
#ifdef __SANITIZE_ADDRESS__
#define VIDEO_KEEPER_PATIENCE_NS 30000000000ull
#else
#define VIDEO_KEEPER_PATIENCE_NS 10000000000ull
#endif

enum { VIDEO_KEEPER_FILM_BYTES = 1 << 18 };

/* An H.264 clip and its pictures; made in a process of its own, where GStreamer may leave its threads behind. */
extern struct video_keeper_film {
	bool made;
	bool has_libav;	  /* codec=avdec_h264 decodes it, too: a worker that has that alone starts in half the time */
	struct clip clip; /* data points into @bytes */
	struct sums sums;
	uint8_t bytes[VIDEO_KEEPER_FILM_BYTES];
} * video_keeper_film;

/* Seen by test, keeper and workers. */
struct video_keeper_shared {
	atomic_uint workers;   /* started so far, spare ones too */
	atomic_uint spares;    /* of them, those that have stood by */
	atomic_uint answers;   /* that a virtio-media guest has got */
	atomic_bool forbidden; /* do what is not allowed */
	atomic_bool stuck;     /* codecs don't stop */
	char die_at[32];       /* a step, from now on; "": none */
	char next_dies_at[32]; /* the same of the next worker, from its beginning on */
};

struct video_keeper {
	struct video_keeper_shared *shared;
	struct vhost_peer *peer;
	struct video_world video;
	struct fake_request *event; /* posted, for whichever stream is open */
	pid_t keeper;
	FILE *log;
};

struct video_keeper_options {
	const char *device;	     /* its options */
	unsigned max_deaths, hang_s; /* 0: 1000, 60 */
	enum sandbox_mode mode;
	int control; /* where the keeper is asked by a user; taken; 0: nowhere */
	bool spare;
};

/* For a group of tests: makes video_keeper_film. */
int video_keeper_set_up(void **state);
int video_keeper_tear_down(void **state);

/* Start a keeper, connect to it and start the device; skips the test where there is no H.264. */
void video_keeper_begin(struct video_keeper *w, const struct video_keeper_options *o);
/* The frontend leaves. Returns the exit status of the keeper. */
int video_keeper_end(struct video_keeper *w);
/* Whether keeper or workers said @what. */
bool video_keeper_log_has(struct video_keeper *w, const char *what);

/* The process of the worker that serves (0) or of the one that stands by (1), as seen from here; 0: there is none. */
pid_t video_keeper_worker(const struct video_keeper *w, unsigned which);
/* To the one that serves. */
void video_keeper_signal_worker(struct video_keeper *w, int signal);
void video_keeper_die(struct video_keeper *w);
/* It dies, and the next one has started. */
void video_keeper_settle_death(struct video_keeper *w);
/* The worker dies when it reaches @step (host/base/step.h) for the @number-th time from now on. */
void video_keeper_arm(struct video_keeper *w, unsigned step, unsigned number);
/* So does the one that takes over from it, counted from its beginning. */
void video_keeper_arm_next(struct video_keeper *w, unsigned step, unsigned number);
/* They have died, the last one perhaps with its last answer, and the next one has started; there had been @before. */
void video_keeper_expect_deaths(const struct video_keeper *w, unsigned before, unsigned deaths);
void video_keeper_expect_death(const struct video_keeper *w, unsigned before);

const struct video_coded_format *video_keeper_h264(void);
/* Open a decoder's stream whose pictures are summed in @sums. */
void video_keeper_open_stream(struct video_keeper *w, uint32_t id, struct client *c, struct sums *sums);
/* @c is the one that takes events now. */
void video_keeper_lend_event(struct video_keeper *w, struct client *c);
void video_keeper_close_stream(struct video_keeper *w, struct client *c);
/* All of the clip, on a stream that is open; false if the stream failed on the way. */
bool video_keeper_decode(struct client *c);
/* They are the clip's. */
void video_keeper_check_exact(const struct sums *sums);
/* On a stream of its own. */
void video_keeper_decode_exactly(struct video_keeper *w, uint32_t id);
/* No input is with the device. @arg: a struct client. */
bool video_keeper_all_taken(void *arg);
/* What was in flight when its worker died is answered in time, each once, and the stream is said to have failed. */
void video_keeper_expect_failure(struct client *c);

#endif
