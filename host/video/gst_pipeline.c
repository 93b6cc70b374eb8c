// SPDX-License-Identifier: MIT
/*
 * The pipeline of one codec: how it is made, started and stopped, and what GStreamer's threads do in it. They touch no
 * device and no guest memory: they set flags under the lock and post one task to the loop, which then looks.
 */
#include "host/video/gst_pipeline.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <gst/allocators/gstdmabuf.h>

#include "host/base/thread.h"
#include "host/video/gst_elements.h"
#include "host/video/gst_lend.h"
#include "host/video/pages.h"
#include "host/video/v4l2_import.h"

/* What a pipeline may have made ahead of the guest. */
#define MAX_OUTPUTS 2u
/*
 * A parser that was given more than that, and found nothing in it for the codec, keeps all of it and finds nothing any
 * more. Of few inputs only what is more than the largest that it may hold until the next begins.
 */
#define MAX_UNSEEN_INPUTS 4u
#define MAX_UNSEEN_BYTES (8u << 20)
#define MAX_FEW_UNSEEN_BYTES (96u << 20)
/* Those of more bits as they are: whether they are rounded is the guest's choice, which may come later. */
#define PICTURE_CAPS "video/x-raw,format={NV12,I420,YV12,I420_10LE,P010_10LE}"

static atomic_uint stopping;
/* Those that are, oldest first. */
static pthread_mutex_t stopping_lock = PTHREAD_MUTEX_INITIALIZER;
static struct codec_gst *first_stopping, *last_stopping;

/* ---- on GStreamer's threads ---- */

void gst_pipeline_poke(struct codec_gst *g)
{
	if (g->detached || g->posted)
		return;
	g->posted = true;
	loop_post(g->config.loop, &g->task);
}

static void poke(struct codec_gst *g)
{
	pthread_mutex_lock(&g->lock);
	gst_pipeline_poke(g);
	pthread_mutex_unlock(&g->lock);
}

static GstFlowReturn on_sample(GstAppSink *sink, gpointer data)
{
	(void)sink;
	poke(data);
	return GST_FLOW_OK;
}

static void on_end(GstAppSink *sink, gpointer data)
{
	struct codec_gst *g = data;

	(void)sink;
	pthread_mutex_lock(&g->lock);
	g->ended = true;
	gst_pipeline_poke(g);
	pthread_mutex_unlock(&g->lock);
}

/* Parsers and decoders give up on bitstreams that are wrong enough; these errors are how they say it. */
static bool is_of_bitstream(const struct codec_gst *g, const GError *error)
{
	return !g->config.encoder && (error->domain == GST_STREAM_ERROR ||
				      g_error_matches(error, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_ENCODE));
}

static GstBusSyncReply on_message(GstBus *bus, GstMessage *message, gpointer data)
{
	struct codec_gst *g = data;

	(void)bus;
	if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
		GError *error = NULL;

		gst_message_parse_error(message, &error, NULL);
		pthread_mutex_lock(&g->lock);
		/* Elements that got nothing they could use say so when the end comes. That is no failure: the end follows. */
		if (!g->draining || error->domain != GST_STREAM_ERROR) {
			/* What is wrong with the guest's buffers is no fault of another codec, which has its own. */
			g->broken = is_of_bitstream(g, error) ||
				    (g->lending == GST_LENDING_ON && error->domain == GST_RESOURCE_ERROR);
			g->failed = true;
			snprintf(g->why, sizeof(g->why), "%s: %s", GST_OBJECT_NAME(GST_MESSAGE_SRC(message)), error->message);
		}
		gst_pipeline_poke(g);
		pthread_mutex_unlock(&g->lock);
		g_error_free(error);
	}
	gst_message_unref(message);
	return GST_BUS_DROP;
}

static void give_up_locked(struct codec_gst *g, const char *why)
{
	if (!g->failed)
		snprintf(g->why, sizeof(g->why), "%s", why);
	g->failed = g->broken = true;
}

/* An input left appsrc: there is room again. */
static GstPadProbeReturn on_taken(GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
	struct codec_gst *g = data;

	(void)pad;
	pthread_mutex_lock(&g->lock);
	g->unseen_inputs++;
	g->unseen_bytes += gst_buffer_get_size(GST_PAD_PROBE_INFO_BUFFER(info));
	if (!g->config.encoder &&
	    g->unseen_bytes > (g->unseen_inputs > MAX_UNSEEN_INPUTS ? MAX_UNSEEN_BYTES : MAX_FEW_UNSEEN_BYTES))
		give_up_locked(g, "no picture begins in megabytes of data");
	gst_pipeline_poke(g);
	pthread_mutex_unlock(&g->lock);
	return GST_PAD_PROBE_OK;
}

uint64_t gst_pipeline_find_stamp(struct codec_gst *g, GstClockTime pts)
{
	uint64_t timestamp;

	pthread_mutex_lock(&g->lock);
	if (GST_CLOCK_TIME_IS_VALID(pts)) {
		const struct stamp *s = &g->stamps[(pts + g->step / 2) / g->step % GST_PIPELINE_STAMPS];

		if (s->count == (pts + g->step / 2) / g->step)
			g->last_stamp = s->timestamp;
	}
	timestamp = g->last_stamp;
	pthread_mutex_unlock(&g->lock);
	return timestamp;
}

static void apply_controls(struct codec_gst *g)
{
	struct codec_controls controls;
	bool is_new;

	pthread_mutex_lock(&g->lock);
	is_new = g->has_new_controls;
	controls = g->new_controls;
	g->has_new_controls = false;
	pthread_mutex_unlock(&g->lock);
	if (is_new)
		gst_elements_set_up_encoder(g->coder, &controls, true);
}

static void read_parsed_size(struct codec_gst *g, GstCaps *caps)
{
	const GstStructure *s = gst_caps_get_structure(caps, 0);
	int width, height;

	if (!gst_structure_get_int(s, "width", &width) || !gst_structure_get_int(s, "height", &height))
		return;
	pthread_mutex_lock(&g->lock);
	g->parsed_width = (uint32_t)width;
	g->parsed_height = (uint32_t)height;
	gst_pipeline_poke(g);
	pthread_mutex_unlock(&g->lock);
}

/* Before the decoder or encoder: caps, and buffers on which the timestamp is put. */
static GstPadProbeReturn on_coder_input(GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
	struct codec_gst *g = data;
	GstCustomMeta *meta;
	GstBuffer *buffer;

	if (GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) {
		GstEvent *event = GST_PAD_PROBE_INFO_EVENT(info);
		GstCaps *caps;

		if (GST_EVENT_TYPE(event) == GST_EVENT_CAPS && !g->config.encoder) {
			gst_event_parse_caps(event, &caps);
			read_parsed_size(g, caps);
		}
		return GST_PAD_PROBE_OK;
	}
	pthread_mutex_lock(&g->lock);
	g->unseen_inputs = 0;
	g->unseen_bytes = 0;
	pthread_mutex_unlock(&g->lock);
	buffer = gst_buffer_make_writable(GST_PAD_PROBE_INFO_BUFFER(info));
	GST_PAD_PROBE_INFO_DATA(info) = buffer;
	meta = gst_buffer_add_custom_meta(buffer, GST_PIPELINE_META);
	if (meta)
		gst_structure_set(gst_custom_meta_get_structure(meta), "ns", G_TYPE_UINT64,
				  (guint64)gst_pipeline_find_stamp(g, GST_BUFFER_PTS(buffer)), NULL);
	if (g->config.encoder)
		apply_controls(g);
	/* Marked inputs want a key frame. */
	if (g->config.encoder && GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_MARKER)) {
		GstPad *out = gst_element_get_static_pad(GST_PAD_PARENT(pad), "src");

		gst_pad_send_event(out, gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, TRUE, 0));
		gst_object_unref(out);
	}
	return GST_PAD_PROBE_OK;
}

GQuark gst_pipeline_loan_quark(void)
{
	return g_quark_from_static_string("mullion-loan");
}

void gst_pipeline_release(gpointer data)
{
	struct loan *loan = data;
	struct codec_gst *g = loan->codec;

	video_pages_unref(loan->pages);
	pthread_mutex_lock(&g->lock);
	loan->released = true;
	loan->held = false;
	g->unreleased--;
	pthread_cond_broadcast(&g->loans_changed);
	gst_pipeline_poke(g);
	pthread_mutex_unlock(&g->lock);
}

void gst_pipeline_is_done_with(struct codec_gst *g, uint64_t number)
{
	pthread_mutex_lock(&g->lock);
	for (struct loan *l = g->loans; l < g->loans + GST_PIPELINE_LOANS; l++) {
		if (l->buffer && l->number == number && !l->released) {
			l->released = true;
			gst_pipeline_poke(g);
		}
	}
	pthread_mutex_unlock(&g->lock);
}

void gst_pipeline_free(struct codec_gst *g)
{
	g_clear_object(&g->importer);
	sem_destroy(&g->stop);
	pthread_cond_destroy(&g->loans_changed);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* ---- which are to stop ---- */

static void is_to_stop(struct codec_gst *g)
{
	pthread_mutex_lock(&stopping_lock);
	g->let_go_ns = loop_now_ns();
	g->previous = last_stopping;
	*(last_stopping ? &last_stopping->next : &first_stopping) = g;
	last_stopping = g;
	pthread_mutex_unlock(&stopping_lock);
}

static void has_stopped(struct codec_gst *g)
{
	pthread_mutex_lock(&stopping_lock);
	*(g->previous ? &g->previous->next : &first_stopping) = g->next;
	*(g->next ? &g->next->previous : &last_stopping) = g->previous;
	pthread_mutex_unlock(&stopping_lock);
}

uint64_t gst_pipeline_stopping_since(void)
{
	uint64_t since;

	pthread_mutex_lock(&stopping_lock);
	since = first_stopping ? first_stopping->let_go_ns : 0;
	pthread_mutex_unlock(&stopping_lock);
	return since;
}

/* ---- the codec's own thread: everything that may block, and the end of the object ---- */

static void *run(void *data)
{
	struct codec_gst *g = data;
	bool started;

	pthread_setname_np(pthread_self(), "video-codec");
	started = gst_element_set_state(g->pipeline, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE;
	pthread_mutex_lock(&g->lock);
	if (started) {
		g->playing = true;
	} else if (!g->failed) {
		g->failed = true;
		snprintf(g->why, sizeof(g->why), "the pipeline does not start");
	}
	gst_pipeline_poke(g);
	pthread_mutex_unlock(&g->lock);
	while (sem_wait(&g->stop) < 0)
		;
	/* Joins GStreamer's threads, so no callback runs after it. */
	gst_element_set_state(g->pipeline, GST_STATE_NULL);
	gst_object_unref(g->pipeline);
	/* A picture may live on in a plug-in's thread. */
	pthread_mutex_lock(&g->lock);
	while (g->unreleased > 0)
		pthread_cond_wait(&g->loans_changed, &g->lock);
	g->stopped = true;
	pthread_cond_broadcast(&g->loans_changed);
	while (g->is_waited_for)
		pthread_cond_wait(&g->loans_changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
	has_stopped(g);
	gst_pipeline_free(g);
	atomic_fetch_sub(&stopping, 1);
	return NULL;
}

/* ---- making one ---- */

static void register_meta(void)
{
	static const gchar *tags[] = {NULL};

	/* Without tags and without a transform function it is copied wherever buffers are. */
	gst_meta_register_custom(GST_PIPELINE_META, tags, NULL, NULL, NULL);
}

static void add_probe(GstElement *element, const char *pad_name, GstPadProbeType type, GstPadProbeCallback fn,
		      struct codec_gst *g)
{
	GstPad *pad = gst_element_get_static_pad(element, pad_name);

	gst_pad_add_probe(pad, type, fn, g, NULL);
	gst_object_unref(pad);
}

static void set_caps(GObject *element, GstCaps *caps)
{
	g_object_set(element, "caps", caps, NULL);
	gst_caps_unref(caps);
}

static GstCaps *input_caps(struct codec_gst *g)
{
	GstVideoFormat format;

	if (!g->config.encoder)
		return gst_caps_from_string(g->config.coded->caps);
	format = gst_video_format_from_string(g->layout.format->name);
	gst_video_info_set_format(&g->input_info, format, g->layout.width, g->layout.height);
	GST_VIDEO_INFO_FPS_N(&g->input_info) = (gint)g->config.controls.frame_rate;
	GST_VIDEO_INFO_FPS_D(&g->input_info) = 1;
	return gst_video_info_to_caps(&g->input_info);
}

/* What an encoder is to make. NULL: it has no word for that, and chooses. */
static const struct video_profile *find_profile(const struct codec_gst *g, GstElementFactory *factory)
{
	const struct video_coded_format *coded = g->config.coded;
	const struct video_profile *profile =
		video_profile_for(coded, g->config.controls.profile, g->layout.format->wide);

	return profile && gst_elements_does(factory, coded, true, profile->caps) ? profile : NULL;
}

static GstCaps *packet_caps(const struct codec_gst *g, const struct video_profile *profile)
{
	const char *fields = profile ? profile->caps : NULL;
	char text[160], level[GST_ELEMENTS_LEVEL_BYTES];
	const bool has_level = gst_elements_level(g->stats.element, &g->config.controls, level);

	snprintf(text, sizeof(text), "%s%s%s%s%s", g->config.coded->caps, fields ? "," : "", fields ? fields : "",
		 has_level ? "," : "", has_level ? level : "");
	return gst_caps_from_string(text);
}

/* The elements between appsrc and appsink, in order; any may be NULL. They belong to the pipeline afterwards. */
static bool link_all(struct codec_gst *g, GstElement *const *elements, unsigned count)
{
	GstElement *last = NULL;

	for (unsigned i = 0; i < count; i++) {
		if (elements[i])
			gst_bin_add(GST_BIN(g->pipeline), elements[i]);
	}
	for (unsigned i = 0; i < count; i++) {
		if (!elements[i])
			continue;
		if (last && !gst_element_link(last, elements[i]))
			return false;
		last = elements[i];
	}
	return true;
}

/* Let the encoder's driver read the guest's pictures where they are. */
static void import_if_possible(struct codec_gst *g)
{
	gchar *device = NULL;

	if (!g->config.first || !gst_elements_is_v4l2(g->stats.element) ||
	    !g_object_class_find_property(G_OBJECT_GET_CLASS(g->coder), "device"))
		return;
	g_object_get(g->coder, "device", &device, NULL);
	if (device && v4l2_imports(device, &g->layout, g->config.first)) {
		gst_util_set_object_arg(G_OBJECT(g->coder), "output-io-mode", "dmabuf-import");
		g->importer = gst_dmabuf_allocator_new();
	}
	g_free(device);
}

int gst_pipeline_build(struct codec_gst *g, GstElementFactory *factory)
{
	static GstAppSinkCallbacks callbacks = {.new_sample = on_sample, .eos = on_end};
	const bool encoder = g->config.encoder;
	const struct video_profile *profile = encoder ? find_profile(g, factory) : NULL;
	/* Pictures of 8 bits become such of 10 for a profile of 10. */
	const bool widens = profile && profile->wide && !g->layout.format->wide;
	const bool is_wide = encoder && (g->layout.format->wide || widens);
	bool is_filtered;
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	GstElement *parser, *convert, *keeper, *filter, *src, *sink;
	GstBus *bus;

	pthread_once(&once, register_meta);
	g->pipeline = gst_pipeline_new(NULL);
	src = gst_element_factory_make("appsrc", NULL);
	sink = gst_element_factory_make("appsink", NULL);
	convert = gst_element_factory_make("videoconvert", NULL);
	g->coder = gst_element_factory_create(factory, NULL);
	/* Decoders that offer more would make what GStreamer likes best, by a conversion. */
	is_filtered = encoder || g->config.coded->halves_chroma;
	filter = is_filtered ? gst_element_factory_make("capsfilter", NULL) : NULL;
	/* Encoders take what has fewer bits, too, and would get it. */
	keeper = is_wide ? gst_element_factory_make("capsfilter", NULL) : NULL;
	parser = !encoder && g->config.coded->parser ? gst_element_factory_make(g->config.coded->parser, NULL) : NULL;
	if (!src || !sink || !convert || !g->coder || (is_filtered && !filter) || (is_wide && !keeper)) {
		GstElement *made[] = {src, sink, convert, g->coder, keeper, filter, parser};

		for (unsigned i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
			if (made[i])
				gst_object_unref(gst_object_ref_sink(made[i]));
		}
		return -ENOTSUP;
	}
	g->src = GST_APP_SRC(src);
	g->sink = GST_APP_SINK(sink);
	g_object_set(src, "format", GST_FORMAT_TIME, "is-live", FALSE, "block", FALSE, "max-bytes", (guint64)0, NULL);
	set_caps(G_OBJECT(src), input_caps(g));
	g_object_set(sink, "sync", FALSE, "async", FALSE, "max-buffers", MAX_OUTPUTS, "drop", FALSE, "wait-on-eos", FALSE,
		     "enable-last-sample", FALSE, "qos", FALSE, NULL);
	gst_app_sink_set_callbacks(g->sink, &callbacks, g, NULL);
	if (encoder) {
		gst_elements_set_up_encoder(g->coder, &g->config.controls, false);
		if (!widens)
			import_if_possible(g);
		set_caps(G_OBJECT(filter), packet_caps(g, profile));
		if (keeper)
			set_caps(G_OBJECT(keeper), gst_caps_from_string(GST_ELEMENTS_WIDE_CAPS));
	} else {
		gst_elements_set_up_decoder(g->coder);
		gst_lend_set_up(g);
		set_caps(G_OBJECT(sink), gst_caps_from_string(PICTURE_CAPS));
		if (filter)
			set_caps(G_OBJECT(filter), gst_caps_from_string(PICTURE_CAPS));
	}
	/* Either order: decoder, then convert; convert, then encoder. The filter is behind the coder. */
	if (!link_all(g,
		      (GstElement *[]){src, parser, encoder ? convert : NULL, keeper, g->coder, filter,
				       encoder ? NULL : convert, sink},
		      8))
		return -ENOTSUP;
	add_probe(src, "src", GST_PAD_PROBE_TYPE_BUFFER, on_taken, g);
	add_probe(g->coder, "sink", GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_coder_input, g);
	bus = gst_pipeline_get_bus(GST_PIPELINE(g->pipeline));
	gst_bus_set_sync_handler(bus, on_message, g, NULL);
	gst_object_unref(bus);
	return 0;
}

int gst_pipeline_start(struct codec_gst *g)
{
	pthread_t thread;
	int err = thread_start(&thread, run, g);

	if (err == 0)
		pthread_detach(thread);
	return err;
}

void gst_pipeline_stop(struct codec_gst *g)
{
	atomic_fetch_add(&stopping, 1);
	is_to_stop(g);
	sem_post(&g->stop);
}

unsigned gst_pipeline_stopping(void)
{
	return atomic_load(&stopping);
}
