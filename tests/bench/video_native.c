// SPDX-License-Identifier: MIT
/*
 * The codec as a program of the host would use it: a pipeline a stream, appsrc to appsink, the same elements with the
 * same settings as in the device. Nothing is copied here.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>

#include "host/video/gst_elements.h"
#include "protocol/virtio_video.h"
#include "tests/bench/bench.h"
#include "tests/bench/video_side.h"

#define STEP (GST_SECOND / 30)
#define MAX_PACED 256u

struct native_stream {
	struct video_side *side;
	GstElement *pipeline;
	GstAppSrc *src;
	unsigned in, held; /* by the codec, for good */
	unsigned out;	   /* under the lock */
};

struct video_side {
	struct video_task task;
	GstBuffer *pictures[VIDEO_PICTURES];
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct native_stream streams[VIDEO_MAX_STREAMS];
	/* pace: of the first stream, under the lock */
	unsigned first_paced;
	uint64_t pushed_ns[MAX_PACED], came_ns[MAX_PACED];
};

static GstFlowReturn on_sample(GstAppSink *sink, gpointer data)
{
	struct native_stream *s = data;
	GstSample *sample = gst_app_sink_pull_sample(sink);
	const uint64_t now = bench_now_ns();
	unsigned number;

	if (!sample)
		return GST_FLOW_OK;
	pthread_mutex_lock(&s->side->lock);
	/* They come in the order in which they went in: see video_material.c. */
	number = s->out++ - s->side->first_paced;
	if (number < MAX_PACED)
		s->side->came_ns[number] = now;
	pthread_cond_signal(&s->side->more);
	pthread_mutex_unlock(&s->side->lock);
	gst_sample_unref(sample);
	return GST_FLOW_OK;
}

static void push(struct native_stream *s)
{
	const struct video_task *t = &s->side->task;
	const struct video_material *m = t->material;
	const unsigned n = s->in++, packet = n % m->packet_count;
	GstBuffer *b;

	if (t->encoder)
		b = gst_buffer_copy(
			s->side->pictures[n % VIDEO_PICTURES]); /* of what describes it; the memory is shared */
	else
		b = gst_buffer_new_wrapped_full(GST_MEMORY_FLAG_READONLY, m->packets[packet], m->packet_bytes[packet],
						0, m->packet_bytes[packet], NULL, NULL);
	GST_BUFFER_PTS(b) = n * STEP;
	GST_BUFFER_DURATION(b) = STEP;
	if (gst_app_src_push_buffer(s->src, b) != GST_FLOW_OK) {
		fprintf(stderr, "bench_video: the pipeline takes nothing\n");
		exit(1);
	}
}

static void make_pipeline(struct video_side *v, struct native_stream *s)
{
	static GstAppSinkCallbacks callbacks = {.new_sample = on_sample};
	const struct video_coded_format *format = video_coded_format_find(VIRTIO_VIDEO_FORMAT_H264);
	/* The device's own defaults. */
	const struct codec_controls controls = {.bitrate = 4000000, .frame_rate = 30};
	GstElementFactory *factory = gst_elements_find(format, v->task.encoder, NULL);
	GstElement *sink, *coder;
	GError *error = NULL;
	char text[800];

	if (!factory) {
		fprintf(stderr, "bench_video: this host has no H.264 codec\n");
		exit(1);
	}
	if (v->task.encoder)
		snprintf(text, sizeof(text),
			 "appsrc name=in format=time max-bytes=0 "
			 "caps=\"video/x-raw,format=I420,width=%d,height=%d,framerate=30/1\" ! "
			 "%s name=coder ! %s,%s ! appsink name=out sync=false async=false qos=false "
			 "enable-last-sample=false",
			 VIDEO_WIDTH, VIDEO_HEIGHT, GST_OBJECT_NAME(factory), format->caps, format->profiles[0].caps);
	else
		snprintf(text, sizeof(text),
			 "appsrc name=in format=time max-bytes=0 caps=\"%s\" ! %s ! %s name=coder ! %s"
			 "appsink name=out sync=false async=false qos=false enable-last-sample=false",
			 format->caps, format->parser, GST_OBJECT_NAME(factory),
			 v->task.nv12 ? "videoconvert ! video/x-raw,format=NV12 ! " : "");
	gst_object_unref(factory);
	s->side = v;
	s->pipeline = gst_parse_launch(text, &error);
	if (error) {
		fprintf(stderr, "bench_video: %s: %s\n", text, error->message);
		exit(1);
	}
	coder = gst_bin_get_by_name(GST_BIN(s->pipeline), "coder");
	if (v->task.encoder)
		gst_elements_set_up_encoder(coder, &controls, false);
	gst_object_unref(coder);
	s->src = GST_APP_SRC(gst_bin_get_by_name(GST_BIN(s->pipeline), "in"));
	sink = gst_bin_get_by_name(GST_BIN(s->pipeline), "out");
	gst_app_sink_set_callbacks(GST_APP_SINK(sink), &callbacks, s, NULL);
	gst_object_unref(sink);
	gst_element_set_state(s->pipeline, GST_STATE_PLAYING);
}

static unsigned count_out(struct video_side *v)
{
	unsigned out = 0;

	for (unsigned i = 0; i < v->task.streams; i++)
		out += v->streams[i].out;
	return out;
}

/* Until all that the codecs don't hold back has come out. */
static void settle(struct video_side *v)
{
	unsigned before, now = 0;
	uint64_t cpu;

	do {
		before = now;
		cpu = bench_cpu_ns();
		nanosleep(&(struct timespec){.tv_nsec = VIDEO_QUIET_NS}, NULL);
		pthread_mutex_lock(&v->lock);
		now = count_out(v);
		pthread_mutex_unlock(&v->lock);
	} while (now == 0 || now != before || bench_cpu_ns() - cpu > VIDEO_QUIET_CPU_NS);
	for (unsigned i = 0; i < v->task.streams; i++)
		v->streams[i].held = v->streams[i].in - v->streams[i].out;
}

static struct video_side *create(const struct video_task *task)
{
	struct video_side *v = calloc(1, sizeof(*v));

	if (!v)
		exit(1);
	gst_elements_init();
	v->task = *task;
	v->first_paced = UINT32_MAX / 2;
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->more, NULL);
	for (unsigned i = 0; task->encoder && i < VIDEO_PICTURES; i++)
		v->pictures[i] = gst_buffer_new_wrapped_full(GST_MEMORY_FLAG_READONLY, task->material->pictures[i],
							     VIDEO_PICTURE_BYTES, 0, VIDEO_PICTURE_BYTES, NULL, NULL);
	for (unsigned i = 0; i < task->streams; i++)
		make_pipeline(v, &v->streams[i]);
	for (unsigned n = 0; n < 12; n++) {
		for (unsigned i = 0; i < task->streams; i++)
			push(&v->streams[i]);
	}
	settle(v);
	return v;
}

static void turn(struct video_side *v, unsigned frames)
{
	unsigned want = 0;

	for (unsigned n = 0; n < frames; n++) {
		for (unsigned i = 0; i < v->task.streams; i++)
			push(&v->streams[i]);
	}
	for (unsigned i = 0; i < v->task.streams; i++)
		want += v->streams[i].in - v->streams[i].held;
	pthread_mutex_lock(&v->lock);
	while (count_out(v) < want)
		pthread_cond_wait(&v->more, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

static void sleep_until(uint64_t ns)
{
	const struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
		;
}

static unsigned pace(struct video_side *v, unsigned frames, uint64_t interval_ns, double *late_ns)
{
	struct native_stream *s = &v->streams[0];
	const uint64_t begin = bench_now_ns();
	unsigned n = 0;

	pthread_mutex_lock(&v->lock);
	v->first_paced = s->in;
	pthread_mutex_unlock(&v->lock);
	for (unsigned i = 0; i < frames && i < MAX_PACED; i++) {
		sleep_until(begin + i * interval_ns);
		v->came_ns[i] = 0;
		v->pushed_ns[i] = bench_now_ns();
		push(s);
	}
	/* What the codec holds back never comes. */
	sleep_until(begin + frames * interval_ns + VIDEO_QUIET_NS / 2);
	pthread_mutex_lock(&v->lock);
	for (unsigned i = 0; i < frames && i < MAX_PACED; i++) {
		if (v->came_ns[i])
			late_ns[n++] = (double)(v->came_ns[i] - v->pushed_ns[i]);
	}
	v->first_paced = UINT32_MAX / 2;
	pthread_mutex_unlock(&v->lock);
	return n;
}

const struct video_side_ops video_native_ops = {.create = create, .turn = turn, .pace = pace};
