// SPDX-License-Identifier: MIT
#include "host/video/gst_lend.h"

#include <errno.h>
#include <linux/dma-buf.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>

#include <gst/allocators/gstdmabuf.h>

#include "host/base/log.h"
#include "host/video/buffer.h"
#include "host/video/gst_elements.h"
#include "host/video/gst_pipeline.h"
#include "host/video/pages.h"
#include "host/video/v4l2_import.h"

/*
 * Over what the driver holds: one that takes the place of a picture before GStreamer shows it, and one that the guest looks
 * at. A guest that has fewer buffers gets copies.
 */
#define SPARE_BUFFERS 2u
/* GStreamer gives a driver that has no wish so many. */
#define FEWEST_BUFFERS 2u
/* A guest that began to queue its buffers has queued all in that time. */
#define GATHER_MS 200u
/* A driver stops with the picture that it is at. */
#define STOP_MS 1000u

static atomic_bool is_allowed;

void codec_gst_allow_lending(bool may)
{
	atomic_store(&is_allowed, may);
}

/* ---- the pool, which makes a GstBuffer each time one is acquired, and keeps none ---- */

struct lend_pool {
	GstBufferPool parent;
	struct codec_gst *codec; /* outlives the pipeline that the pool is of */
};

/* The one that was lent first, of those that GStreamer doesn't have. With the lock held. */
static struct loan *find_offered(struct codec_gst *g)
{
	struct loan *first = NULL;

	for (struct loan *l = g->loans; l < g->loans + GST_PIPELINE_LOANS; l++) {
		if (l->buffer && !l->held && (!first || l->number < first->number))
			first = l;
	}
	return first;
}

/* Has GStreamer one in which there will be a picture? Appsink keeps the last one that came out of it. With the lock held. */
static bool has_empty(const struct codec_gst *g)
{
	for (const struct loan *l = g->loans; l < g->loans + GST_PIPELINE_LOANS; l++) {
		if (l->buffer && l->held)
			return true;
	}
	return false;
}

static void set_starves(struct codec_gst *g, bool starves)
{
	if (starves && !g->starves)
		gst_pipeline_poke(g);
	g->starves = starves;
}

/* The one that is to have the next picture. With the lock held. */
static GstFlowReturn find_loan(struct codec_gst *g, GstBufferPool *pool, bool waits, struct loan **out)
{
	GstFlowReturn flow = GST_FLOW_OK;

	while (flow == GST_FLOW_OK && !(*out = find_offered(g)) && waits) {
		set_starves(g, true);
		pthread_cond_wait(&g->loans_changed, &g->lock);
		if (g->stops || GST_BUFFER_POOL_IS_FLUSHING(pool))
			flow = GST_FLOW_FLUSHING;
	}
	set_starves(g, false);
	return flow != GST_FLOW_OK || *out ? flow : GST_FLOW_EOS;
}

static GstFlowReturn acquire(GstBufferPool *pool, GstBuffer **out, GstBufferPoolAcquireParams *params)
{
	const bool waits = !params || !(params->flags & GST_BUFFER_POOL_ACQUIRE_FLAG_DONTWAIT);
	struct codec_gst *g = ((struct lend_pool *)pool)->codec;
	GstFlowReturn flow = GST_FLOW_FLUSHING;
	struct loan *loan = NULL;
	GstMemory *memory;

	pthread_mutex_lock(&g->lock);
	if (!g->stops && g->lending == GST_LENDING_ON && !GST_BUFFER_POOL_IS_FLUSHING(pool))
		flow = find_loan(g, pool, waits, &loan);
	if (flow == GST_FLOW_OK) {
		loan->held = true;
		loan->pages = video_pages_ref(loan->buffer->pages);
		g->unreleased++;
	}
	pthread_mutex_unlock(&g->lock);
	if (flow != GST_FLOW_OK)
		return flow;
	memory = gst_dmabuf_allocator_alloc_with_flags(g->importer, video_pages_dmabuf(loan->pages),
						       video_pages_dmabuf_bytes(loan->pages),
						       GST_FD_MEMORY_FLAG_DONT_CLOSE);
	gst_mini_object_set_qdata(GST_MINI_OBJECT_CAST(memory), gst_pipeline_loan_quark(), loan, gst_pipeline_release);
	*out = gst_buffer_new();
	gst_buffer_append_memory(*out, memory);
	return GST_FLOW_OK;
}

static void let_go(GstBufferPool *pool, GstBuffer *buffer)
{
	(void)pool;
	gst_buffer_unref(buffer);
}

static gboolean start_or_stop(GstBufferPool *pool)
{
	(void)pool;
	return TRUE;
}

static void wake(GstBufferPool *pool)
{
	struct codec_gst *g = ((struct lend_pool *)pool)->codec;

	pthread_mutex_lock(&g->lock);
	pthread_cond_broadcast(&g->loans_changed);
	pthread_mutex_unlock(&g->lock);
}

static void init_class(gpointer class, gpointer data)
{
	GstBufferPoolClass *pool = class;

	(void)data;
	pool->start = start_or_stop;
	pool->stop = start_or_stop;
	pool->acquire_buffer = acquire;
	pool->release_buffer = let_go;
	pool->flush_start = wake;
}

static GType pool_type(void)
{
	static gsize type;

	if (g_once_init_enter(&type))
		g_once_init_leave(&type, g_type_register_static_simple(GST_TYPE_BUFFER_POOL, "MullionLendPool",
								       sizeof(GstBufferPoolClass), init_class,
								       sizeof(struct lend_pool), NULL, 0));
	return type;
}

/* ---- on GStreamer's thread, which sets up the driver for a size ---- */

static struct timespec in_ms(unsigned ms)
{
	const uint64_t at = loop_now_ns() + ms * 1000000ull;

	return (struct timespec){.tv_sec = (time_t)(at / 1000000000u), .tv_nsec = (long)(at % 1000000000u)};
}

static unsigned count_offered(const struct codec_gst *g)
{
	unsigned count = 0;

	for (const struct loan *l = g->loans; l < g->loans + GST_PIPELINE_LOANS; l++)
		count += l->buffer && !l->held;
	return count;
}

/* Wait for @count of the guest's buffers. Returns the pages of one, held, or NULL if it hasn't so many. With the lock held. */
static struct video_pages *gather(struct codec_gst *g, unsigned count)
{
	struct timespec end;
	bool counts_down = false;
	int err = 0;

	/* Those of the size before may still be there at first. */
	while (!g->stops && err == 0 && (g->lending == GST_LENDING_ASKED ||
					 (g->lending == GST_LENDING_WANTED && count_offered(g) < count))) {
		if (!counts_down && g->lending == GST_LENDING_WANTED && count_offered(g) > 0) {
			counts_down = true;
			end = in_ms(GATHER_MS);
		}
		err = counts_down ? pthread_cond_timedwait(&g->loans_changed, &g->lock, &end)
				  : pthread_cond_wait(&g->loans_changed, &g->lock);
	}
	if (g->stops || g->lending != GST_LENDING_WANTED || count_offered(g) < count)
		return NULL;
	return video_pages_ref(find_offered(g)->buffer->pages);
}

/*
 * GStreamer 1.22 asks a first time before the driver has seen the bitstream: what it is told then is what the parser says, or a
 * guess. 1.26 waits for V4L2_EVENT_SOURCE_CHANGE.
 */
static bool asks_late(void)
{
	guint major, minor, micro, nano;

	gst_version(&major, &minor, &micro, &nano);
	return major > 1 || minor >= 26;
}

/* Pictures are to be @width by @height. Will the guest's buffers do? If so, *@layout is how they lie there. */
static bool ask(struct codec_gst *g, uint32_t width, uint32_t height, struct video_layout *layout)
{
	struct video_pages *pages = NULL;
	gchar *device = NULL;
	unsigned needed = 0, offered;
	bool is_sure, does;
	int fd = -1;

	g_object_get(g->coder, "device", &device, "device-fd", &fd, NULL);
	pthread_mutex_lock(&g->lock);
	is_sure = g->setups++ > 0 || asks_late() || (g->parsed_width == width && g->parsed_height == height);
	/* Those of the size before come back to the guest. */
	g->lending = is_sure ? GST_LENDING_ASKED : GST_LENDING_NOT;
	g->asked_width = width;
	g->asked_height = height;
	gst_pipeline_poke(g);
	if (is_sure && device && fd >= 0) {
		const unsigned least = v4l2_decoder_buffers(fd) + 1;

		needed = (least > FEWEST_BUFFERS ? least : FEWEST_BUFFERS) + SPARE_BUFFERS;
		pages = gather(g, needed);
	}
	*layout = g->lent_layout;
	offered = count_offered(g);
	pthread_mutex_unlock(&g->lock);
	if (!pages)
		log_line(LOG_TOPIC_VIDEO, LOG_DEBUG, "%s writes no pictures of %ux%u in place: %u buffers fit, of %u", device,
			 width, height, offered, needed);
	does = pages && v4l2_writes(device, fd, layout, pages);
	video_pages_unref(pages);
	g_free(device);
	pthread_mutex_lock(&g->lock);
	g->lending = does && !g->stops ? GST_LENDING_ON : GST_LENDING_NOT;
	gst_pipeline_poke(g);
	pthread_mutex_unlock(&g->lock);
	return does;
}

/* The formats that the driver can decode to, one of which is to be chosen; not a question of another kind. */
static bool is_of_setup(GstQuery *query, GstCaps **filter, int *width, int *height)
{
	const GstStructure *s;

	gst_query_parse_caps(query, filter);
	if (!*filter || gst_caps_is_any(*filter) || gst_caps_is_empty(*filter))
		return false;
	s = gst_caps_get_structure(*filter, 0);
	return gst_structure_has_name(s, "video/x-raw") && gst_structure_has_field(s, "format") &&
	       gst_structure_get_int(s, "width", width) && gst_structure_get_int(s, "height", height) && *width > 0 &&
	       *height > 0;
}

static bool has_format(GstCaps *caps, const char *name)
{
	GstCaps *wanted = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, name, NULL);
	const bool has = gst_caps_can_intersect(caps, wanted);

	gst_caps_unref(wanted);
	return has;
}

/* Returns true if the query was answered. */
static bool answer_caps(struct codec_gst *g, GstQuery *query)
{
	struct video_layout layout;
	GstCaps *filter, *wanted, *result;
	int width, height;
	bool lends;

	if (!is_of_setup(query, &filter, &width, &height))
		return false;
	lends = ask(g, (uint32_t)width, (uint32_t)height, &layout);
	if (lends && !has_format(filter, layout.format->name)) {
		pthread_mutex_lock(&g->lock);
		g->lending = GST_LENDING_NOT;
		gst_pipeline_poke(g);
		pthread_mutex_unlock(&g->lock);
		lends = false;
	}
	gst_util_set_object_arg(G_OBJECT(g->coder), "capture-io-mode", lends ? "dmabuf-import" : "auto");
	if (!lends)
		return false;
	wanted = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, layout.format->name, NULL);
	result = gst_caps_intersect(filter, wanted);
	gst_query_set_caps_result(query, result);
	gst_caps_unref(result);
	gst_caps_unref(wanted);
	return true;
}

static bool answer_allocation(struct codec_gst *g, GstQuery *query)
{
	struct lend_pool *pool;
	bool lends;

	pthread_mutex_lock(&g->lock);
	lends = g->lending == GST_LENDING_ON;
	pthread_mutex_unlock(&g->lock);
	if (!lends)
		return false;
	pool = g_object_new(pool_type(), NULL);
	gst_object_ref_sink(pool);
	pool->codec = g;
	gst_query_add_allocation_pool(query, &pool->parent, g->lent_layout.total_bytes, 0, 0);
	gst_object_unref(pool);
	return true;
}

static GstPadProbeReturn on_query(GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
	GstQuery *query = GST_PAD_PROBE_INFO_QUERY(info);
	bool answered = false;

	(void)pad;
	if (GST_QUERY_TYPE(query) == GST_QUERY_CAPS)
		answered = answer_caps(data, query);
	else if (GST_QUERY_TYPE(query) == GST_QUERY_ALLOCATION)
		answered = answer_allocation(data, query);
	return answered ? GST_PAD_PROBE_HANDLED : GST_PAD_PROBE_OK;
}

/* ---- on the loop ---- */

void gst_lend_set_up(struct codec_gst *g)
{
	GObjectClass *class = G_OBJECT_GET_CLASS(g->coder);
	GstPad *pad;

	g->may_lend = g->config.may_lend && atomic_load(&is_allowed) && gst_elements_is_v4l2(g->stats.element) &&
		      g_object_class_find_property(class, "device") && g_object_class_find_property(class, "device-fd") &&
		      g_object_class_find_property(class, "capture-io-mode");
	if (!g->may_lend)
		return;
	g->importer = gst_dmabuf_allocator_new();
	pad = gst_element_get_static_pad(g->coder, "src");
	gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM | GST_PAD_PROBE_TYPE_PUSH, on_query, g, NULL);
	gst_object_unref(pad);
}

static bool is_alike(const struct video_layout *a, const struct video_layout *b)
{
	return a->format == b->format && a->width == b->width && a->height == b->height;
}

/* Is it of the size that was asked for, and as those before? With the lock held. */
static bool fits(const struct codec_gst *g, const struct video_layout *layout)
{
	if (g->lending == GST_LENDING_ON || count_offered(g) > 0)
		return is_alike(layout, &g->lent_layout);
	return layout->width == g->asked_width && layout->height == g->asked_height;
}

static bool wants(const struct codec_gst *g)
{
	return g->lending == GST_LENDING_WANTED || g->lending == GST_LENDING_ON;
}

static struct loan *find_free(struct codec_gst *g)
{
	for (struct loan *l = g->loans; l < g->loans + GST_PIPELINE_LOANS; l++) {
		if (!l->buffer && !l->held)
			return l;
	}
	return NULL;
}

int gst_lend_offer(struct codec_gst *g, const struct video_buffer *buffer, const struct video_layout *layout)
{
	bool asks, can;
	struct loan *loan;
	int ret = 0;

	pthread_mutex_lock(&g->lock);
	asks = g->may_lend && wants(g);
	pthread_mutex_unlock(&g->lock);
	if (!asks)
		return 0;
	/* This may take a while. */
	can = video_pages_dmabuf(buffer->pages) >= 0 && v4l2_has_planes_there(layout, buffer) &&
	      layout->total_bytes <= video_pages_dmabuf_bytes(buffer->pages);
	pthread_mutex_lock(&g->lock);
	loan = find_free(g);
	if (!wants(g) || !loan) {
		ret = 0;
	} else if (can && fits(g, layout)) {
		if (g->lending == GST_LENDING_WANTED)
			g->lent_layout = *layout;
		*loan = (struct loan){.codec = g, .buffer = buffer, .number = g->lent_count++};
		ret = CODEC_LENT;
	} else if (g->lending == GST_LENDING_WANTED) {
		g->lending = GST_LENDING_REFUSED;
	} else {
		ret = -EINVAL;
	}
	pthread_cond_broadcast(&g->loans_changed);
	pthread_mutex_unlock(&g->lock);
	return ret;
}

bool gst_lend_is_unwanted(const struct codec_gst *g, const struct loan *loan)
{
	return !loan->held && !wants(g);
}

bool gst_lend_proceed(struct codec_gst *g, uint32_t *width, uint32_t *height)
{
	bool says = false;

	pthread_mutex_lock(&g->lock);
	if (g->lending == GST_LENDING_ASKED && !has_empty(g)) {
		says = g->asked_width != g->width || g->asked_height != g->height;
		*width = g->asked_width;
		*height = g->asked_height;
		if (!says)
			g->lending = GST_LENDING_WANTED;
	}
	pthread_mutex_unlock(&g->lock);
	return says;
}

struct loan *gst_lend_find(GstBuffer *buffer)
{
	GstMemory *memory = gst_buffer_n_memory(buffer) == 1 ? gst_buffer_peek_memory(buffer, 0) : NULL;

	/* A part of it leads to all of it. */
	while (memory && memory->parent)
		memory = memory->parent;
	return memory ? gst_mini_object_get_qdata(GST_MINI_OBJECT_CAST(memory), gst_pipeline_loan_quark()) : NULL;
}

void gst_lend_show(const struct loan *loan)
{
	const uint64_t steps[] = {DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ};

	for (unsigned i = 0; i < 2; i++) {
		struct dma_buf_sync sync = {.flags = steps[i]};

		while (ioctl(video_pages_dmabuf(loan->pages), DMA_BUF_IOCTL_SYNC, &sync) < 0 && errno == EINTR)
			;
	}
}

bool gst_lend_end(struct codec_gst *g)
{
	bool has_some;

	pthread_mutex_lock(&g->lock);
	g->stops = true;
	has_some = g->may_lend && has_empty(g);
	g->is_waited_for = has_some;
	pthread_cond_broadcast(&g->loans_changed);
	pthread_mutex_unlock(&g->lock);
	return has_some;
}

void gst_lend_wait(struct codec_gst *g)
{
	const struct timespec end = in_ms(STOP_MS);
	int err = 0;

	pthread_mutex_lock(&g->lock);
	while (!g->stopped && err == 0)
		err = pthread_cond_timedwait(&g->loans_changed, &g->lock, &end);
	if (!g->stopped) {
		log_line(LOG_TOPIC_VIDEO, LOG_ERROR,
			 "a decoder has not stopped within %u ms and could still write to a guest's buffers; this process "
			 "ends, so that it can't",
			 STOP_MS);
		_Exit(EXIT_FAILURE);
	}
	g->is_waited_for = false;
	pthread_cond_broadcast(&g->loans_changed);
	pthread_mutex_unlock(&g->lock);
}
