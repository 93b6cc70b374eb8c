/* SPDX-License-Identifier: MIT */
/*
 * One codec of GStreamer, which three files share: codec_gst.c is its face to the loop, gst_pipeline.c the pipeline and
 * what runs on GStreamer's threads, gst_lend.c how a decoder comes by the guest's buffers. Nothing else includes this.
 */
#ifndef MULLION_HOST_VIDEO_GST_PIPELINE_H
#define MULLION_HOST_VIDEO_GST_PIPELINE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include "host/base/loop.h"
#include "host/video/codec.h"
#include "host/video/gst_convert.h"
#include "host/video/headers.h"
#include "host/video/picture.h"

/* Inputs between appsrc and the codec, whose timestamps are remembered. */
#define GST_PIPELINE_STAMPS 64u
/* The meta by which a timestamp travels: one field, "ns". */
#define GST_PIPELINE_META "MullionInput"

/* Buffers of a guest's that a decoder may write to: as many as a queue of V4L2 can have. */
#define GST_PIPELINE_LOANS 32u
/* Pictures that an encoder reads in place: those in appsrc, and what one that lets go at once may hold. */
#define GST_PIPELINE_ENCODER_LOANS 8u

struct loan {
	struct codec_gst *codec;
	struct video_pages *pages;	   /* while GStreamer has it */
	const struct video_buffer *buffer; /* the loop's to look at; under the lock. NULL: this one is free */
	uint64_t number;		   /* counts, so that buffers come back in their order */
	bool released;			   /* encoder; under the lock: it is read no more */
	bool held;			   /* under the lock: GStreamer has it */
};

/* Whether a decoder writes into the guest's buffers: anew for each size of its pictures. */
enum gst_lending {
	GST_LENDING_NOT,     /* GStreamer's buffers are copied */
	GST_LENDING_ASKED,   /* the guest is to hear of the size; GStreamer's thread waits */
	GST_LENDING_WANTED,  /* it has, and its buffers are looked at; GStreamer's thread waits */
	GST_LENDING_REFUSED, /* they are not what the driver could write to; GStreamer's thread is to hear of it */
	GST_LENDING_ON,	     /* all pictures come in lent buffers, in no others */
};

struct stamp {
	uint64_t count, timestamp;
};

struct codec_gst {
	struct codec base;
	GstElement *pipeline, *coder;
	GstAppSrc *src;
	GstAppSink *sink;
	GstClockTime step; /* of a PTS */
	sem_t stop;
	/* Of the list of those that are to stop, in that order. */
	uint64_t let_go_ns;
	struct codec_gst *previous, *next;

	/* The loop's. */
	struct codec_config config;
	struct video_layout layout; /* encoder */
	GstVideoInfo input_info;    /* encoder */
	bool may_borrow;	    /* encoder: reads pictures in place */
	GstAllocator *importer;	    /* its driver does, or writes them, and gets all as dma-bufs; NULL: not */
	bool may_lend;		    /* decoder: see codec_config; its driver may be able to write there */
	uint64_t lent_count;	    /* decoder */
	struct loop_task task;
	uint64_t count; /* of inputs */
	GstSample *head;
	GstCaps *head_caps; /* that head_info was made of */
	GstVideoInfo head_info;
	GstCaps *coder_caps;	     /* of the pictures at the coder */
	GstVideoFormat coder_format; /* that they say; UNKNOWN: none */
	struct gst_convert convert;
	struct video_headers headers; /* of an encoder's packets so far */
	bool headers_sent;
	uint32_t width, height;		  /* as last taken; 0: not yet */
	uint32_t said_width, said_height; /* as last shown to the stream */
	struct codec_stats stats;

	/* Under the lock, which nobody holds for long. */
	pthread_mutex_t lock;
	bool detached; /* the loop let go of it */
	bool posted, playing, failed, broken, ended, draining;
	char why[160];
	uint32_t parsed_width, parsed_height; /* what the parser says, before anything is decoded */
	struct stamp stamps[GST_PIPELINE_STAMPS];
	uint64_t last_stamp;
	/* That left appsrc since the coder last got something; a parser keeps what it finds no picture in. */
	unsigned unseen_inputs;
	size_t unseen_bytes;
	struct loan loans[GST_PIPELINE_LOANS];
	unsigned unreleased; /* of them */
	pthread_cond_t loans_changed; /* CLOCK_MONOTONIC */
	bool stopped;		      /* nobody can write to any of them; run() */
	bool is_waited_for;	      /* by destroy(), for that */
	/* Decoder, see gst_lend.h: */
	enum gst_lending lending;
	uint32_t asked_width, asked_height;
	bool starves; /* GStreamer's thread waits for a buffer to be lent */
	bool stops;   /* and shall not */
	struct video_layout lent_layout; /* of what was lent since WANTED */
	unsigned setups;		 /* sizes so far */
	struct codec_controls new_controls; /* set before the next picture is encoded, where that may block */
	bool has_new_controls;
};

/* Make the pipeline, not started, with @factory's element in it. Returns 0 or -ENOTSUP. Thread: loop. */
int gst_pipeline_build(struct codec_gst *g, GstElementFactory *factory);

/*
 * Start it on a thread of its own, which waits for g->stop, stops it and frees @g: whatever may block is done there.
 * Returns 0 or a negative errno. Thread: loop.
 */
int gst_pipeline_start(struct codec_gst *g);

/* Pipelines whose g->stop was posted and that have not stopped. gst_pipeline_stop() posts it. Thread: any. */
unsigned gst_pipeline_stopping(void);
/* When the first of those was let go (loop_now_ns()); 0: there is none. Thread: any. */
uint64_t gst_pipeline_stopping_since(void);
void gst_pipeline_stop(struct codec_gst *g);

/* On GStreamer's threads: let the loop have a look. With the lock held. */
void gst_pipeline_poke(struct codec_gst *g);

/* What leads from a GstMemory to its loan. */
GQuark gst_pipeline_loan_quark(void);
/* Where a picture was read or written in place: GstMemory's last use of loan @data. Thread: any. */
void gst_pipeline_release(gpointer data);
/* The packet that was made of input @number is out: a driver reads that no more, though GStreamer may hold it. Thread: any. */
void gst_pipeline_is_done_with(struct codec_gst *g, uint64_t number);

/* Free @g, whose pipeline is gone. Thread: any. */
void gst_pipeline_free(struct codec_gst *g);

/*
 * The guest's timestamp of the input that was stamped @pts. A parser may cut one input in pieces; those without a PTS
 * follow the last. Thread: any.
 */
uint64_t gst_pipeline_find_stamp(struct codec_gst *g, GstClockTime pts);

#endif
