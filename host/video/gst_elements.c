// SPDX-License-Identifier: MIT
#include "host/video/gst_elements.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "host/base/log.h"
#include "protocol/virtio_video.h"

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

/*
 * avenc_h264_omx and its like are in every libav, rank above others, and work only where a board's OpenMAX IL library is: they
 * have to be named. (The elements of gst-omx, which are there for a board, begin with omx.)
 */
static bool is_only_named(GstElementFactory *factory)
{
	return g_str_has_suffix(GST_OBJECT_NAME(factory), "_omx");
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
	/* Decoders of JPEG are those of images. */
	const GstElementFactoryListType type =
		GST_ELEMENT_FACTORY_TYPE_MEDIA_VIDEO | GST_ELEMENT_FACTORY_TYPE_MEDIA_IMAGE |
		(encoder ? GST_ELEMENT_FACTORY_TYPE_ENCODER : GST_ELEMENT_FACTORY_TYPE_DECODER);
	GList *all = gst_element_factory_list_get_elements(type, GST_RANK_MARGINAL);
	GstElementFactory *best = NULL;

	for (GList *i = all; i; i = i->next) {
		GstElementFactory *factory = i->data;

		if (does(factory, caps, encoder) && !is_only_named(factory) &&
		    !(leaves_hardware && gst_elements_is_hardware(factory)) && (!best || is_better(factory, best)))
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

/* ---- what it can ---- */

/* Of H.264, from the first level on. */
static const uint8_t level_idc[] = {10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51};

static void write_level(unsigned idc, char text[GST_ELEMENTS_LEVEL_BYTES])
{
	snprintf(text, GST_ELEMENTS_LEVEL_BYTES, idc % 10 ? "level=(string)%u.%u" : "level=(string)%u", idc / 10,
		 idc % 10);
}

bool gst_elements_does(GstElementFactory *factory, const struct video_coded_format *coded, bool encoder,
		       const char *fields)
{
	char text[240];
	GstCaps *caps;
	bool can;

	snprintf(text, sizeof(text), "%s%s%s", coded->caps, fields ? "," : "", fields ? fields : "");
	caps = gst_caps_from_string(text);
	can = does(factory, caps, encoder);
	gst_caps_unref(caps);
	return can;
}

/* Pictures of 10 bits, on the other side. */
static bool does_wide(GstElementFactory *factory, bool encoder)
{
	GstCaps *caps = gst_caps_from_string(GST_ELEMENTS_WIDE_CAPS);
	const bool can = does(factory, caps, !encoder);

	gst_caps_unref(caps);
	return can;
}

void gst_elements_ask(GstElementFactory *factory, const struct video_coded_format *coded, bool encoder,
		      struct codec_abilities *out)
{
	bool has_wide = false, does_one = false;

	*out = (struct codec_abilities){.wide = coded->may_be_wide && does_wide(factory, encoder)};
	for (unsigned i = 0; i < VIDEO_MAX_PROFILES && coded->profiles[i].number != 0; i++) {
		const struct video_profile *p = &coded->profiles[i];
		const bool can = (!p->wide || out->wide) && gst_elements_does(factory, coded, encoder, p->caps);

		out->profiles |= (uint32_t)can << i;
		has_wide |= p->wide;
		does_one |= p->wide && can;
	}
	/* What it takes must go somewhere. */
	out->wide = out->wide && (!has_wide || does_one);
	for (uint32_t i = 0; coded->last_level != 0 && i <= coded->last_level - coded->first_level; i++) {
		char level[GST_ELEMENTS_LEVEL_BYTES];

		write_level(level_idc[i], level);
		out->levels |= (uint32_t)gst_elements_does(factory, coded, encoder, level) << i;
	}
}

/* ---- encoders ---- */

/* So far apart that no stream comes to it; to each encoder 0 is something else. */
#define NO_GOP 1000000000u

/* GStreamer sets what a driver has of them, by the names that V4L2 gives to its controls, and leaves the others out. */
#define V4L2_CONTROLS(mode) \
	"extra-controls=controls,video_gop_size={gop},video_bitrate={bitrate},video_peak_bitrate={peak},video_bitrate_mode=" mode

/*
 * What software encoders need, so that each picture comes out at once and in real time, and how they are told the rest:
 * lists "name=value name=value", where {bitrate} and {peak} are in steps of @unit, {level} is H.264's level_idc, {gop} is in
 * pictures. An encoder without a list for something goes on as it does. The last row is for all others; what they lack is left out.
 */
static const struct encoder {
	const char *element;
	bool copies_first; /* see gst_elements_copies_first() */
	const char *bitrate;
	uint32_t unit; /* bits/s */
	uint32_t most; /* bits/s; with more it makes nothing. 0: it takes any */
	const char *properties;
	const char *vbr, *cbr;
	const char *level; /* NULL: by the caps of its packets */
} encoders[] = {
	{"x264enc", true, "bitrate", 1000, 0, "tune=zerolatency speed-preset=veryfast key-int-max={gop}",
	 "vbv-buf-capacity=10000", "vbv-buf-capacity=600", "option-string=level={level}"},
	{"x265enc", true, "bitrate", 1000, 0, "tune=zerolatency speed-preset=ultrafast key-int-max={gop}",
	 "option-string=vbv-maxrate={peak}:vbv-bufsize={peak}",
	 "option-string=vbv-maxrate={bitrate}:vbv-bufsize={bitrate}", ""},
	{"openh264enc", false, "bitrate", 1, 288000000, "complexity=low gop-size={gop} rate-control=bitrate",
	 "max-bitrate={peak}", "max-bitrate={bitrate}", NULL},
	{"vp8enc", true, "target-bitrate", 1, 0,
	 "deadline=1 cpu-used=8 lag-in-frames=0 keyframe-max-dist={gop} auto-alt-ref=false", "end-usage=vbr",
	 "end-usage=cbr", ""},
	{"vp9enc", true, "target-bitrate", 1, 0,
	 "deadline=1 cpu-used=8 lag-in-frames=0 keyframe-max-dist={gop} auto-alt-ref=false", "end-usage=vbr",
	 "end-usage=cbr", ""},
	{"av1enc", false, "target-bitrate", 1000, 0,
	 "usage-profile=realtime cpu-used=8 lag-in-frames=0 keyframe-max-dist={gop}", "end-usage=vbr", "end-usage=cbr",
	 ""},
	/* Those of the kernel's drivers: "v4l2" and more. */
	{"v4l2", true, "bitrate", 1, 0, "", V4L2_CONTROLS("0"), V4L2_CONTROLS("1"), ""},
	{"svtav1enc", false, "target-bitrate", 1000, 0,
	 "preset=10 intra-period-length={gop} parameters-string=pred-struct=1", "", "", ""},
	{NULL, false, "bitrate", 1000, 0, "key-int-max={gop} gop-size={gop}", "rate-control=vbr", "rate-control=cbr",
	 ""},
};

static const struct encoder *find_encoder(const char *element)
{
	const struct encoder *e = encoders;

	if (gst_elements_is_v4l2(element))
		element = "v4l2";
	while (e->element && strcmp(e->element, element) != 0)
		e++;
	return e;
}

bool gst_elements_is_v4l2(const char *element)
{
	return strncmp(element, "v4l2", 4) == 0;
}

bool gst_elements_copies_first(const char *element)
{
	return find_encoder(element)->copies_first;
}

static bool has_property(GstElement *element, const char *name)
{
	return g_object_class_find_property(G_OBJECT_GET_CLASS(element), name) != NULL;
}

/* Elements differ in how far key frames may be apart; GLib sets nothing beyond, and complains each time. */
static void set_property(GstElement *element, const char *name, const char *value)
{
	const GParamSpec *spec = g_object_class_find_property(G_OBJECT_GET_CLASS(element), name);
	const guint64 number = g_ascii_strtoull(value, NULL, 10);
	guint64 most = G_MAXUINT64;
	char text[24];

	/* Versions differ. */
	if (!spec)
		return;
	if (G_IS_PARAM_SPEC_INT(spec))
		most = (guint64)((const GParamSpecInt *)spec)->maximum;
	else if (G_IS_PARAM_SPEC_UINT(spec))
		most = ((const GParamSpecUInt *)spec)->maximum;
	snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT, most);
	gst_util_set_object_arg(G_OBJECT(element), name, number > most ? text : value);
}

static void set_properties(GstElement *element, const char *list)
{
	gchar **words = g_strsplit(list, " ", 0);

	for (unsigned i = 0; words[i]; i++) {
		char *value = strchr(words[i], '=');

		if (!value)
			continue;
		*value++ = '\0';
		set_property(element, words[i], value);
	}
	g_strfreev(words);
}

static uint32_t in_units(const struct encoder *e, uint32_t bits)
{
	return (e->most && bits > e->most ? e->most : bits) / e->unit;
}

/* set_properties() with numbers put in. */
static void set_filled(GstElement *element, const char *list, const struct encoder *e, const struct codec_controls *c)
{
	const uint32_t level = c->level - VIRTIO_VIDEO_LEVEL_H264_1_0;
	const struct {
		const char *word;
		uint32_t value;
	} numbers[] = {
		{"{bitrate}", in_units(e, c->bitrate)},
		/* A peak under the mean is none. */
		{"{peak}", in_units(e, c->peak_bitrate > c->bitrate ? c->peak_bitrate : c->bitrate)},
		{"{level}", level < sizeof(level_idc) ? level_idc[level] : 40},
		{"{gop}", c->gop_size ? c->gop_size : NO_GOP},
	};
	GString *text = g_string_new(list);

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		char number[16];

		snprintf(number, sizeof(number), "%u", numbers[i].value);
		g_string_replace(text, numbers[i].word, number, 0);
	}
	set_properties(element, text->str);
	g_string_free(text, TRUE);
}

void gst_elements_set_up_encoder(GstElement *encoder, const struct codec_controls *controls, bool running)
{
	const char *name = GST_OBJECT_NAME(gst_element_get_factory(encoder));
	const struct encoder *e = find_encoder(name);
	char bitrate[16];

	if (!running)
		set_filled(encoder, e->properties, e, controls);
	snprintf(bitrate, sizeof(bitrate), "%u", in_units(e, controls->bitrate));
	set_property(encoder, e->bitrate, bitrate);
	/* A driver takes all of it at any time. */
	if (running && !gst_elements_is_v4l2(name))
		return;
	set_filled(encoder, controls->bitrate_mode == VIRTIO_VIDEO_BITRATE_MODE_CBR ? e->cbr : e->vbr, e, controls);
	if (e->level && controls->level_chosen && !running)
		set_filled(encoder, e->level, e, controls);
}

bool gst_elements_level(const char *element, const struct codec_controls *controls,
			char fields[GST_ELEMENTS_LEVEL_BYTES])
{
	const uint32_t level = controls->level - VIRTIO_VIDEO_LEVEL_H264_1_0;

	if (find_encoder(element)->level || !controls->level_chosen || level >= sizeof(level_idc))
		return false;
	write_level(level_idc[level], fields);
	return true;
}

/* ---- decoders ---- */

void gst_elements_set_up_decoder(GstElement *decoder)
{
	/* In a row. They never do by themselves, and vp8dec keeps every input that it could not decode. */
	if (has_property(decoder, "max-errors"))
		g_object_set(decoder, "max-errors", 16, NULL);
}

/* ---- doctor ---- */

void gst_elements_doctor(void (*report)(void *owner, const char *verdict, const char *name, const char *text,
					const char *cure),
			 void *owner)
{
	const struct video_coded_format *format;

	for (unsigned i = 0; (format = video_coded_format_at(i)) != NULL; i++) {
		for (unsigned encoder = 0; encoder < (format->decode_only ? 1 : 2); encoder++) {
			const char *package = encoder ? format->encoder_package : format->decoder_package;
			GstElementFactory *factory = gst_elements_find(format, encoder, NULL);
			char name[32], text[96], cure[96];

			snprintf(name, sizeof(name), "%s %s", encoder ? "encode" : "decode", format->name);
			if (factory) {
				snprintf(text, sizeof(text), "%s (%s)", GST_OBJECT_NAME(factory),
					 gst_elements_is_hardware(factory) ? "hardware" : "software");
				report(owner, "ok", name, text, "");
				gst_object_unref(factory);
			} else if (package) {
				snprintf(cure, sizeof(cure), "sudo apt-get install %s", package);
				report(owner, "warn", name, "no GStreamer element does it", cure);
			}
		}
	}
}
