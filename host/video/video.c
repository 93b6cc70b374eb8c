// SPDX-License-Identifier: MIT
/*
 * The virtio-video devices: queues, config space, dispatch, events, and the one place that answers.
 */
#include "host/video/video.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/step.h"
#include "host/video/count.h"
#include "host/video/device.h"
#include "host/video/dialect.h"
#include "host/video/record.h"
#include "host/virtio/counters.h"
#include "host/virtio/journal.h"
#include "protocol/virtio.h"

/* No new streams for so long, after too many deaths: those that count are then over (host/vhost/keeper.h). */
#define DEGRADED_NS 60000000000ull

static const struct virtio_device_ops decoder_ops, encoder_ops;

static struct video *video_from_device(struct virtio_device *d)
{
	assert(d->ops == &decoder_ops || d->ops == &encoder_ops);
	return (struct video *)d;
}

uint32_t video_refuse(struct video *v, const struct video_command *cmd, uint32_t code, const char *format, ...)
{
	char why[200], name[24];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	log_guest(LOG_TOPIC_VIDEO, &v->log_limit, "%s: stream %u: %s", video_command_name(cmd, name, sizeof(name)),
		  cmd->stream_id, why);
	return code;
}

/* ---- the answer point ---- */

/* Write a header and @body behind it, and give the chain back. */
static void answer(struct video *v, struct chain *c, uint32_t code, const void *body, size_t body_bytes)
{
	/* The stream id of answers is 0, as drivers know it from crosvm. */
	const struct virtio_video_cmd_hdr header = {.type = code};
	struct writer *w = chain_writer(c);

	if (code >= VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION)
		v->stats.errors++;
	if (chain_stage(c) == CHAIN_TAKEN)
		chain_set_stage(c, CHAIN_EXECUTING);
	/* No room: the driver learns from the used length. It was logged when the command was refused for it. */
	if (write_obj(w, &header) == 0 && body_bytes > 0 && writer_copy(w, body, body_bytes) < 0)
		log_guest(LOG_TOPIC_VIDEO, &v->log_limit, "answer 0x%x: no room for %zu bytes", code, body_bytes);
	chain_keep_answer(c);
	video_record_commit(v, chain_tag(c));
	step_reached(STEP_RECORDED);
	chain_set_stage(c, CHAIN_APPLIED);
	chain_finish(c);
}

static void record_progress(struct video *v, const struct video_stream *s)
{
	struct video_stream_entry *e = v->journal && s ? video_find_stream(v, s->config.id) : NULL;

	if (e)
		video_record_progress(v, e);
}

static void on_buffer_done(void *owner, struct video_stream *s, enum video_queue q, struct video_buffer *b,
			   const struct stream_done *done)
{
	struct video *v = owner;
	uint8_t body[VIDEO_QUEUE_ANSWER_MAX];
	const size_t bytes = v->config.dialect->queue_answer(s, q, done, body);

	if (log_enabled(LOG_TOPIC_VIDEO, LOG_TRACE))
		log_line(LOG_TOPIC_VIDEO, LOG_TRACE, "stream %u: %s %u is back%s%s", s->config.id,
			 q == VIDEO_INPUT ? "input" : "output", b->id, done->error ? ", in error" : "",
			 done->end ? ", the end" : "");
	record_progress(v, s);
	answer(v, b->request, VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE, body, bytes);
}

static void on_drain_done(void *owner, struct video_stream *s, void *request, bool cancelled)
{
	record_progress(owner, s);
	answer(owner, request, cancelled ? VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION : VIRTIO_VIDEO_RESP_OK_NODATA, NULL, 0);
}

/* ---- events ---- */

static const uint32_t event_types[STREAM_EVENT_COUNT] = {
	[STREAM_EVENT_FORMAT] = VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED,
	[STREAM_EVENT_ERROR] = VIRTIO_VIDEO_EVENT_ERROR,
};

/* Send one event if there is a buffer for it. Returns false if not. */
static bool send_event(struct video *v, const struct virtio_video_event *event)
{
	struct chain *c;

	if (virtq_pop(v->device.queues[VIRTIO_VIDEO_QUEUE_EVENT], &c) != 1)
		return false;
	if (write_obj(chain_writer(c), event) < 0)
		log_guest(LOG_TOPIC_VIDEO, &v->log_limit, "event buffer of %zu bytes; an event has 8: it is lost",
			  writer_left(chain_writer(c)));
	chain_finish(c);
	v->stats.events++;
	return true;
}

/* Events wait in their stream until the driver has posted buffers; the same one twice is once. */
static void send_events(struct video *v)
{
	for (struct video_stream_entry *e = v->streams; e; e = e->next) {
		for (unsigned i = 0; i < STREAM_EVENT_COUNT; i++) {
			const struct virtio_video_event event = {.event_type = event_types[i], .stream_id = e->id};

			if (!e->events[i])
				continue;
			if (!send_event(v, &event))
				return;
			e->events[i] = false;
			e->failure_told |= i == STREAM_EVENT_ERROR;
			/* Afterwards: an event that comes twice is better than none. */
			video_record_progress(v, e);
			video_record_commit(v, 0);
		}
	}
}

static void on_event(void *owner, struct video_stream *s, enum stream_event event)
{
	struct video *v = owner;
	struct video_stream_entry *e = video_find_stream(v, s->config.id);

	/* None while the stream is being made. */
	if (!e)
		return;
	e->events[event] = true;
	video_record_progress(v, e);
	video_record_commit(v, 0);
	send_events(v);
}

/* ---- streams ---- */

static const struct stream_front_ops front_ops = {
	.buffer_done = on_buffer_done,
	.drain_done = on_drain_done,
	.event = on_event,
};

struct video_stream_entry *video_find_stream(struct video *v, uint32_t id)
{
	for (struct video_stream_entry *e = v->streams; e; e = e->next) {
		if (e->id == id)
			return e;
	}
	return NULL;
}

bool video_has_memory_type(const struct video *v, uint32_t type)
{
	return type == VIRTIO_VIDEO_MEM_TYPE_GUEST_PAGES ||
	       (type == VIRTIO_VIDEO_MEM_TYPE_VIRTIO_OBJECT &&
		virtio_device_has(&v->device, VIRTIO_VIDEO_F_RESOURCE_VIRTIO_OBJECT));
}

struct video_stream_entry *video_add_stream(struct video *v, uint32_t id, const struct video_coded_format *coded)
{
	const struct stream_config config = {
		.id = id,
		.encoder = v->config.encoder,
		.coded = coded,
		.codec = v->config.codec,
		.element = v->config.element,
		.timeout_ms = v->config.timeout_ms,
		.loop = v->device.loop,
		.front = &front_ops,
		.owner = v,
		.stats = &v->stats.codec,
	};
	struct video_stream_entry *e = calloc(1, sizeof(*e));

	if (!e || stream_create(&config, &e->stream) < 0) {
		free(e);
		return NULL;
	}
	e->id = id;
	e->next = v->streams;
	v->streams = e;
	v->stream_count++;
	return e;
}

uint32_t video_stream_create(struct video *v, struct video_command *cmd)
{
	const struct virtio_video_stream_create *w = &cmd->u.stream_create;
	const struct video_coded_format *coded = video_find_coded(v, w->coded_format);
	struct video_stream_entry *e;

	if (video_find_stream(v, cmd->stream_id))
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID, "exists; use another number");
	if (!coded)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
				    "coded format 0x%x is not offered; see QUERY_CAPABILITY", w->coded_format);
	if (v->stream_count >= v->config.limits.streams)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_OUT_OF_MEMORY, "%u streams are the most",
				    v->config.limits.streams);
	if (v->refuse_until_ns > loop_now_ns())
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION,
				    "the process that decodes and encodes died too often; try again in %llu s",
				    (unsigned long long)((v->refuse_until_ns - loop_now_ns()) / 1000000000u + 1));
	e = video_add_stream(v, cmd->stream_id, coded);
	if (!e)
		return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_OUT_OF_MEMORY, "the host has no memory");
	/*
	 * ChromeOS's driver asks for objects whether or not they are offered, and says by SET_PARAMS_EXT what a queue then has:
	 * it takes from GET_PARAMS_EXT that it is guest pages here.
	 */
	e->memory_types[VIDEO_INPUT] =
		video_has_memory_type(v, w->in_mem_type) ? w->in_mem_type : VIRTIO_VIDEO_MEM_TYPE_GUEST_PAGES;
	e->memory_types[VIDEO_OUTPUT] =
		video_has_memory_type(v, w->out_mem_type) ? w->out_mem_type : VIRTIO_VIDEO_MEM_TYPE_GUEST_PAGES;
	memcpy(e->tag, w->tag, sizeof(e->tag) - 1);
	return VIRTIO_VIDEO_RESP_OK_NODATA;
}

void video_drop_stream(struct video *v, struct video_stream_entry *e)
{
	struct video_stream_entry **at = &v->streams;

	while (*at != e)
		at = &(*at)->next;
	for (unsigned q = 0; q < VIDEO_QUEUE_COUNT; q++) {
		for (const struct video_buffer *b = e->stream->sides[q].buffers; b; b = b->next)
			v->buffer_bytes -= b->bytes;
	}
	stream_destroy(e->stream);
	*at = e->next;
	v->stream_count--;
	free(e);
}

bool video_may_be_lent(const struct video_offer *offers, unsigned count, bool encoder,
		       const struct video_coded_format *coded, bool input)
{
	/* Encoders say it of each picture. */
	if (encoder || input)
		return encoder && input;
	for (unsigned i = 0; i < count; i++) {
		if (offers[i].coded == coded)
			return offers[i].can.lends;
	}
	return false;
}

const struct video_offer *video_find_offer(const struct video *v, uint32_t number)
{
	for (unsigned i = 0; i < v->offer_count; i++) {
		if (v->offers[i].coded->number == number)
			return &v->offers[i];
	}
	return NULL;
}

const struct video_coded_format *video_find_coded(const struct video *v, uint32_t number)
{
	const struct video_offer *offer = video_find_offer(v, number);

	return offer ? offer->coded : NULL;
}

const struct video_picture_format *video_find_picture(const struct video *v, uint32_t number)
{
	const struct video_picture_format *format;

	for (unsigned i = 0; number != 0 && (format = video_picture_format_at(i)) != NULL; i++) {
		if (v->config.dialect->picture_number(format) == number)
			return format;
	}
	return NULL;
}

/* ---- dispatch ---- */

static uint32_t dispatch(struct video *v, struct video_command *cmd)
{
	struct video_stream_entry *e;

	if (cmd->row->has_stream) {
		e = video_find_stream(v, cmd->stream_id);
		if (!e)
			return video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID, "no such stream; create it first");
		cmd->stream = e->stream;
		cmd->entry = e;
	}
	return cmd->row->handler(v, cmd);
}

/* The process that was at it died: what it did is not known, so it is not done again. */
static void answer_unknown(struct video *v, struct video_command *cmd)
{
	static const struct stream_done lost = {.error = true};
	struct video_stream_entry *e = video_find_stream(v, cmd->stream_id);
	uint8_t body[VIDEO_QUEUE_ANSWER_MAX];

	if (!e || !cmd->row || cmd->row->handler != video_resource_queue) {
		answer(v, cmd->chain,
		       video_refuse(v, cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION, "the process that was at it died"),
		       NULL, 0);
		return;
	}
	/* A buffer comes back as from a stream that fails. */
	answer(v, cmd->chain, VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE, body,
	       v->config.dialect->queue_answer(e->stream, cmd->queue, &lost, body));
	/* With an input something of the stream is lost, even if it was its first. */
	if (cmd->queue == VIDEO_INPUT && e->stream->state == STREAM_IDLE) {
		stream_lose_codec(e->stream);
		on_event(v, e->stream, STREAM_EVENT_ERROR);
	}
}

/*
 * A request that a process before this one had begun. Returns true if it is over; else it is to be done, for the first time
 * or again.
 */
static bool end_begun(struct video *v, struct video_command *cmd, bool is_good)
{
	struct chain *c = cmd->chain;

	if (chain_stage(c) == CHAIN_EXECUTING && v->found_tag && v->found_tag == chain_tag(c))
		chain_was_applied(c);
	if (chain_stage(c) == CHAIN_TAKEN || (chain_stage(c) == CHAIN_EXECUTING && is_good && cmd->row->repeatable))
		return false;
	if (chain_stage(c) == CHAIN_APPLIED)
		chain_finish(c);
	else
		answer_unknown(v, cmd);
	return true;
}

static void handle(void *owner, struct chain *c)
{
	static const struct stream_done refused = {.error = true};
	struct video *v = owner;
	struct video_command cmd;
	uint32_t code = video_command_decode(&cmd, c, v->config.dialect->rows);
	char name[24];

	cmd.serial = ++v->serial;
	v->stats.commands++;
	if (log_enabled(LOG_TOPIC_VIDEO, LOG_TRACE))
		log_line(LOG_TOPIC_VIDEO, LOG_TRACE, "#%llu %s stream %u", (unsigned long long)cmd.serial,
			 video_command_name(&cmd, name, sizeof(name)), cmd.stream_id);
	if (end_begun(v, &cmd, code == 0))
		return;
	if (chain_stage(c) == CHAIN_TAKEN && (code != 0 || !cmd.row->repeatable))
		chain_set_stage(c, CHAIN_EXECUTING);
	if (code != 0)
		video_refuse(v, &cmd, code, "%s", cmd.why);
	else
		code = dispatch(v, &cmd);
	if (code == VIDEO_PENDING) {
		/* It may have a codec now, whose death the next process is to know of. */
		record_progress(v, cmd.stream);
		video_record_commit(v, 0);
		return;
	}
	if (code < VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION && cmd.row->record)
		cmd.row->record(v, &cmd);
	/* Linux drivers take a buffer from the answer's flags and never look at its code: without a flag it is a picture. */
	if (code >= VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION && cmd.stream && cmd.row->handler == video_resource_queue) {
		cmd.answer_bytes = v->config.dialect->queue_answer(cmd.stream, cmd.queue, &refused, v->answer);
		cmd.answer = v->answer;
	}
	if (cmd.answer_bytes > writer_left(chain_writer(c)) - sizeof(struct virtio_video_cmd_hdr)) {
		code = video_refuse(v, &cmd, VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
				    "the answer has %zu bytes more than its header; give room for %u", cmd.answer_bytes,
				    VIDEO_ANSWER_MAX);
		cmd.answer_bytes = 0;
	}
	if (log_enabled(LOG_TOPIC_VIDEO, LOG_TRACE))
		log_line(LOG_TOPIC_VIDEO, LOG_TRACE, "#%llu answer 0x%x", (unsigned long long)cmd.serial, code);
	answer(v, c, code, cmd.answer, cmd.answer_bytes);
}

/* ---- device ops ---- */

/* Whoever wrote there before has died. Without it the device goes on, and starts anew after a death. */
static struct journal *load(struct journal *j)
{
	int err = j ? journal_load(j) : 0;

	if (err)
		log_line(LOG_TOPIC_VIDEO, LOG_ERROR, "the journal can't be read: %s", strerror(-err));
	return err ? NULL : j;
}

/* The guest's memory is there now, and none of its requests was looked at. */
static int start(struct virtio_device *d)
{
	struct video *v = video_from_device(d);

	if (v->unrestored) {
		v->journal = load(v->unrestored);
		/* Before requests that are older, and were not done, are answered: then the last one is another. */
		v->found_tag = v->journal ? journal_last_tag(v->journal) : 0;
		if (v->journal)
			video_restore(v);
	}
	v->unrestored = NULL;
	return 0;
}

static void kick(struct virtio_device *d, unsigned q)
{
	struct video *v = video_from_device(d);

	if (q == VIRTIO_VIDEO_QUEUE_EVENT)
		send_events(v);
	else
		virtq_drain(d->queues[q], handle, v);
}

static void reset(struct virtio_device *d)
{
	struct video *v = video_from_device(d);
	struct journal *journal = v->unrestored ? load(v->unrestored) : v->journal;

	/* In one step: a death on the way leaves all of it or nothing. */
	if (journal)
		journal_clear(journal);
	v->journal = v->unrestored = NULL;
	v->found_tag = 0;
	while (v->streams)
		video_drop_stream(v, v->streams);
	v->journal = journal;
}

/* Buffers wait for one another, and for as long as a guest likes. */
static void quiesce(struct virtio_device *d, unsigned q)
{
	struct video *v = video_from_device(d);

	if (q != VIRTIO_VIDEO_QUEUE_COMMAND)
		return;
	for (struct video_stream_entry *e = v->streams; e; e = e->next) {
		stream_cancel(e->stream);
		record_progress(v, e->stream);
	}
	video_record_commit(v, 0);
}

static int config(struct virtio_device *d, uint32_t off, void *buf, size_t n, bool write)
{
	const struct video *v = video_from_device(d);
	struct virtio_video_config space = {
		.max_caps_length = VIDEO_ANSWER_MAX,
		.max_resp_length = VIDEO_ANSWER_MAX,
	};

	if (write || off > sizeof(space) || n > sizeof(space) - off)
		return -EINVAL;
	/* The name of the guest's V4L2 device. */
	snprintf((char *)space.device_name, sizeof(space.device_name), "mullion %s", v->config.encoder ? "encoder" : "decoder");
	memcpy(buf, (const char *)&space + off, n);
	return 0;
}

static void destroy(struct virtio_device *d)
{
	virtio_device_finish(d);
	free(video_from_device(d));
}

void video_get_stats(struct virtio_device *d, struct video_stats *out)
{
	const struct video *v;

	if (media_is(d)) {
		media_get_stats(d, out);
		return;
	}
	v = video_from_device(d);
	*out = v->stats;
	out->streams = v->stream_count;
	for (const struct video_stream_entry *e = v->streams; e; e = e->next)
		stream_add_running_stats(e->stream, &out->codec);
}

static void count(struct virtio_device *d, struct counters *out)
{
	const struct video *v = video_from_device(d);
	struct video_stats s;

	video_get_stats(d, &s);
	video_count_device(out, v->config.encoder, &s);
	counters_add(out, NULL, "buffer-bytes", v->buffer_bytes);
	for (const struct video_stream_entry *e = v->streams; e; e = e->next)
		video_count_stream(out, e->stream);
}

static const uint16_t queue_max[] = {1024, 256, 0};

/* All there are; which ones are offered is the dialect's. */
#define VIDEO_FEATURES                                                                                                 \
	(VIRTIO_BIT(VIRTIO_VIDEO_F_RESOURCE_GUEST_PAGES) | VIRTIO_BIT(VIRTIO_VIDEO_F_RESOURCE_NON_CONTIG) |            \
	 VIRTIO_BIT(VIRTIO_VIDEO_F_RESOURCE_VIRTIO_OBJECT))
#define DEVICE_OPS(device_name, device_id) \
	{ \
		.name = device_name, .id = device_id, .features = VIDEO_FEATURES, .queue_max = queue_max, \
		.config_bytes = sizeof(struct virtio_video_config), .start = start, .kick = kick, .reset = reset, \
		.quiesce = quiesce, .config = config, .destroy = destroy, .count = count, \
	}

static const struct virtio_device_ops decoder_ops = DEVICE_OPS("video-decoder", VIRTIO_ID_VIDEO_DECODER);
static const struct virtio_device_ops encoder_ops = DEVICE_OPS("video-encoder", VIRTIO_ID_VIDEO_ENCODER);

/* Of those that virtio-video has a number for. */
static bool has_number(const struct video_coded_format *format)
{
	return format->number != 0;
}

static void find_abilities(const struct video_config *config, struct video_offer *offer)
{
	const struct video_coded_format *coded = offer->coded;
	uint32_t profiles = 0, levels = 0;

	config->codec->abilities(coded, config->encoder, config->element, &offer->can);
	for (unsigned i = 0; i < VIDEO_MAX_PROFILES && coded->profiles[i].number != 0; i++) {
		const struct video_profile *p = &coded->profiles[i];

		/* Encoders of virtio-video get pictures of 8 bits. */
		if (!config->encoder || (!p->decode_only && (!p->wide || (config->media && offer->can.wide))))
			profiles |= 1u << i;
	}
	if (coded->last_level != 0)
		levels = (2u << (coded->last_level - coded->first_level)) - 1;
	offer->can.profiles &= profiles;
	offer->can.levels &= levels;
}

unsigned video_find_formats(const struct video_config *config, bool (*suits)(const struct video_coded_format *format),
			    struct video_offer out[VIDEO_MAX_CODED], char *names, size_t size)
{
	const struct video_coded_format *format;
	unsigned count = 0;
	size_t used = 0;

	names[0] = '\0';
	for (unsigned i = 0; (format = video_coded_format_at(i)) != NULL; i++) {
		if ((config->encoder && format->decode_only) || (suits && !suits(format)) ||
		    !config->codec->can(format, config->encoder, config->element))
			continue;
		assert(count < VIDEO_MAX_CODED);
		out[count].coded = format;
		find_abilities(config, &out[count++]);
		if (used < size)
			used += (size_t)snprintf(names + used, size - used, " %s", format->name);
	}
	return count;
}

int video_create(const struct video_config *config_in, struct loop *loop, const struct guest_mem *mem,
		 struct virtio_device **out)
{
	const struct virtio_device_ops *ops = config_in->encoder ? &encoder_ops : &decoder_ops;
	struct video *v;
	uint64_t features;
	char names[64];
	int err;

	if (config_in->media)
		return media_create(config_in, loop, mem, out);
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	features = config_in->dialect->features;
	if (!config_in->objects)
		features &= ~VIRTIO_BIT(VIRTIO_VIDEO_F_RESOURCE_VIRTIO_OBJECT);
	err = virtio_device_init(&v->device, ops, features, loop, mem);
	if (err < 0) {
		free(v);
		return err;
	}
	v->config = *config_in;
	v->unrestored = config_in->journal;
	if (config_in->degraded)
		v->refuse_until_ns = loop_now_ns() + DEGRADED_NS;
	if (config_in->element) {
		snprintf(v->element, sizeof(v->element), "%s", config_in->element);
		v->config.element = v->element;
	}
	v->offer_count = video_find_formats(&v->config, has_number, v->offers, names, sizeof(names));
	if (v->offer_count == 0) {
		log_line(LOG_TOPIC_VIDEO, LOG_ERROR, "%s: %s%s has nothing to offer; mullion doctor says what to install", ops->name,
			 v->config.element ? "codec=" : "this host", v->config.element ? v->config.element : "");
		destroy(&v->device);
		return -ENOTSUP;
	}
	log_line(LOG_TOPIC_VIDEO, LOG_INFO, "%s:%s by %s%s%s, dialect %s", ops->name, names, v->config.codec->name,
		 v->config.element ? " " : "", v->config.element ? v->config.element : "", v->config.dialect->name);
	*out = &v->device;
	return 0;
}
