// SPDX-License-Identifier: MIT
#include "host/video/gst_elements.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "host/base/log.h"

static bool is_up;
static bool leaves_hardware;

static void init(void)
{
	GError *error = NULL;

	is_up = gst_init_check(NULL, NULL, &error);
	if (!is_up)
		log_line(LOG_TOPIC_VIDEO, LOG_ERROR, "GStreamer does not start: %s", error ? error->message : "unknown reason");
	g_clear_error(&error);
}

bool gst_elements_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init);
	return is_up;
}

void gst_elements_leave_hardware(void)
{
	leaves_hardware = true;
}

bool gst_elements_is_hardware(GstElementFactory *factory)
{
	const char *class = gst_element_factory_get_metadata(factory, GST_ELEMENT_METADATA_KLASS);

	return class && strstr(class, "Hardware");
}

/* Does @factory decode or encode @caps? */
static bool does(GstElementFactory *factory, GstCaps *caps, bool encoder)
{
	return encoder ? gst_element_factory_can_src_any_caps(factory, caps)
		       : gst_element_factory_can_sink_any_caps(factory, caps);
}

static bool is_better(GstElementFactory *a, GstElementFactory *b)
{
	const bool ha = gst_elements_is_hardware(a), hb = gst_elements_is_hardware(b);

	if (ha != hb)
		return ha;
	return gst_plugin_feature_get_rank(GST_PLUGIN_FEATURE(a)) > gst_plugin_feature_get_rank(GST_PLUGIN_FEATURE(b));
}

static GstElementFactory *find_best(GstCaps *caps, bool encoder)
{
	const GstElementFactoryListType type =
		GST_ELEMENT_FACTORY_TYPE_MEDIA_VIDEO |
		(encoder ? GST_ELEMENT_FACTORY_TYPE_ENCODER : GST_ELEMENT_FACTORY_TYPE_DECODER);
	GList *all = gst_element_factory_list_get_elements(type, GST_RANK_MARGINAL);
	GstElementFactory *best = NULL;

	for (GList *i = all; i; i = i->next) {
		GstElementFactory *factory = i->data;

		if (does(factory, caps, encoder) && !(leaves_hardware && gst_elements_is_hardware(factory)) && (!best || is_better(factory, best)))
			best = factory;
	}
	if (best)
		gst_object_ref(best);
	gst_plugin_feature_list_free(all);
	return best;
}

GstElementFactory *gst_elements_find(const struct video_coded_format *coded, bool encoder, const char *name)
{
	GstElementFactory *factory;
	GstCaps *caps;

	if (!gst_elements_init())
		return NULL;
	caps = gst_caps_from_string(coded->caps);
	/* Bins for streams with an alpha plane would win by rank, and can do nothing else. */
	if (!encoder)
		gst_caps_set_simple(caps, "codec-alpha", G_TYPE_BOOLEAN, FALSE, NULL);
	if (name) {
		factory = gst_element_factory_find(name);
		if (factory && !does(factory, caps, encoder))
			g_clear_pointer(&factory, gst_object_unref);
	} else {
		factory = find_best(caps, encoder);
	}
	gst_caps_unref(caps);
	return factory;
}

/* ---- encoders ---- */

/* What software encoders need, so that each picture comes out at once and in real time. Others get "bitrate" only. */
static const struct {
	const char *element;
	const char *bitrate;
	uint32_t unit; /* bits/s in one step of it */
	const char *properties; /* "name=value name=value" */
} encoders[] = {
	{"x264enc", "bitrate", 1000, "tune=zerolatency speed-preset=veryfast key-int-max=60"},
	{"x265enc", "bitrate", 1000, "tune=zerolatency speed-preset=ultrafast key-int-max=60"},
	{"openh264enc", "bitrate", 1, "complexity=low gop-size=60"},
	{"vp8enc", "target-bitrate", 1, "deadline=1 cpu-used=8 lag-in-frames=0 keyframe-max-dist=60 auto-alt-ref=false"},
	{"vp9enc", "target-bitrate", 1, "deadline=1 cpu-used=8 lag-in-frames=0 keyframe-max-dist=60 auto-alt-ref=false"},
	{NULL, "bitrate", 1000, ""},
};

static bool has_property(GstElement *element, const char *name)
{
	return g_object_class_find_property(G_OBJECT_GET_CLASS(element), name) != NULL;
}

static void set_properties(GstElement *element, const char *list)
{
	gchar **words = g_strsplit(list, " ", 0);

	for (unsigned i = 0; words[i]; i++) {
		char *value = strchr(words[i], '=');

		if (!value)
			continue;
		*value++ = '\0';
		/* Versions differ. */
		if (has_property(element, words[i]))
			gst_util_set_object_arg(G_OBJECT(element), words[i], value);
	}
	g_strfreev(words);
}

void gst_elements_set_up_encoder(GstElement *encoder, const struct codec_controls *controls, bool running)
{
	const char *name = GST_OBJECT_NAME(gst_element_get_factory(encoder));
	unsigned i = 0;
	char bitrate[16];

	while (encoders[i].element && strcmp(encoders[i].element, name) != 0)
		i++;
	if (!running)
		set_properties(encoder, encoders[i].properties);
	snprintf(bitrate, sizeof(bitrate), "%u", controls->bitrate / encoders[i].unit);
	if (has_property(encoder, encoders[i].bitrate))
		gst_util_set_object_arg(G_OBJECT(encoder), encoders[i].bitrate, bitrate);
}

/* ---- doctor ---- */

void gst_elements_doctor(void (*report)(void *owner, const char *verdict, const char *name, const char *text,
					const char *cure),
			 void *owner)
{
	const struct video_coded_format *format;

	for (unsigned i = 0; (format = video_coded_format_at(i)) != NULL; i++) {
		for (unsigned encoder = 0; encoder < 2; encoder++) {
			GstElementFactory *factory = gst_elements_find(format, encoder, NULL);
			char name[32], text[96], cure[96];

			snprintf(name, sizeof(name), "%s %s", encoder ? "encode" : "decode", format->name);
			if (factory) {
				snprintf(text, sizeof(text), "%s (%s)", GST_OBJECT_NAME(factory),
					 gst_elements_is_hardware(factory) ? "hardware" : "software");
				report(owner, "ok", name, text, "");
				gst_object_unref(factory);
			} else {
				snprintf(cure, sizeof(cure), "sudo apt-get install %s",
					 encoder ? format->encoder_package : format->decoder_package);
				report(owner, "warn", name, "no GStreamer element does it", cure);
			}
		}
	}
}
