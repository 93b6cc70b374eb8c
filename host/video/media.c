// SPDX-License-Identifier: MIT
/*
 * The virtio-media device: queues, config space, commands, events, and the one place that answers.
 */
#include "host/video/media.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/loop.h"
#include "host/base/step.h"
#include "host/video/count.h"
#include "host/virtio/counters.h"
#include "host/virtio/journal.h"
#include "host/virtio/shared_heap.h"
#include "protocol/virtio.h"

/* No streams are switched on for so long, after too many deaths: those that count are then over (host/vhost/keeper.h). */
#define DEGRADED_NS 60000000000ull

static const struct virtio_device_ops media_ops;

bool media_is(const struct virtio_device *d)
{
	return d->ops == &media_ops;
}

static struct media *media_from_device(struct virtio_device *d)
{
	assert(media_is(d));
	return (struct media *)d;
}

/* ---- the answer point ---- */

/* What is in @c is the answer or the event: it, and what changed with it, counts from now on. */
static void finish(struct media *m, struct chain *c)
{
	chain_keep_answer(c);
	media_record_commit(m, chain_tag(c));
	step_reached(STEP_RECORDED);
	chain_set_stage(c, CHAIN_APPLIED);
	chain_finish(c);
}

static void begin_answer(struct chain *c)
{
	if (chain_stage(c) == CHAIN_TAKEN)
		chain_set_stage(c, CHAIN_EXECUTING);
}

void media_answer(struct media *m, struct chain *c, int err, const void *payload, size_t bytes, const void *tail,
		  size_t tail_bytes)
{
	const struct virtio_media_resp_header header = {.status = (uint32_t)-err};
	struct writer *w = chain_writer(c);

	if (err < 0)
		m->stats.errors++;
	if (log_enabled(LOG_TOPIC_VIDEO, LOG_TRACE))
		log_line(LOG_TOPIC_VIDEO, LOG_TRACE, "answer %d", err);
	/*
	 * No room for a header: the driver learns from the used length. For what follows the handlers saw that there
	 * is.
	 */
	begin_answer(c);
	if (write_obj(w, &header) == 0 && bytes > 0 && writer_copy(w, payload, bytes) == 0 && tail_bytes > 0 &&
	    writer_copy(w, tail, tail_bytes) < 0)
		log_guest(LOG_TOPIC_VIDEO, &m->log_limit, "answer %d: no room for %zu bytes", err, tail_bytes);
	finish(m, c);
}

static void refuse(struct media *m, struct chain *c, const char *command, int err, const char *why)
{
	log_guest(LOG_TOPIC_VIDEO, &m->log_limit, "%s: %s", command, why);
	media_answer(m, c, err, NULL, 0, NULL, 0);
}

/* ---- events ---- */

static void write_note(const struct media_note *n, struct v4l2_event *e)
{
	switch (n->kind) {
	case MEDIA_NOTE_EOS:
		e->type = V4L2_EVENT_EOS;
		break;
	case MEDIA_NOTE_SOURCE_CHANGE:
		e->type = V4L2_EVENT_SOURCE_CHANGE;
		e->u.src_change.changes = V4L2_EVENT_SRC_CH_RESOLUTION;
		break;
	default:
		media_describe_control(n->session, n->index, e);
		break;
	}
	e->sequence = n->session->event_sequence++;
}

/* Write @n to the buffer @c. */
static void send_note(struct media *m, struct chain *c, struct media_note *n)
{
	struct media_session *s = n->session;
	struct writer *w = chain_writer(c);
	int err;

	begin_answer(c);
	if (n->kind == MEDIA_NOTE_BUFFER) {
		struct virtio_media_event_dqbuf e = {.hdr = {VIRTIO_MEDIA_EVT_DQBUF, s->id}};

		s->queues[n->queue].buffers[n->index]->state = MEDIA_FREE;
		media_describe_buffer(s, n->queue, n->index, &e.buffer, e.planes);
		if (log_enabled(LOG_TOPIC_VIDEO, LOG_TRACE))
			log_line(LOG_TOPIC_VIDEO, LOG_TRACE, "session %u: DQBUF of type %u, buffer %u, flags 0x%x",
				 s->id, e.buffer.type, n->index, e.buffer.flags);
		err = write_obj(w, &e);
		media_record_buffer(s, n->queue, s->queues[n->queue].buffers[n->index]);
	} else {
		struct virtio_media_event_event e = {.hdr = {VIRTIO_MEDIA_EVT_EVENT, s->id}};

		write_note(n, &e.event);
		if (log_enabled(LOG_TOPIC_VIDEO, LOG_TRACE))
			log_line(LOG_TOPIC_VIDEO, LOG_TRACE, "session %u: event %u", s->id, e.event.type);
		err = write_obj(w, &e);
		media_record_session(s);
	}
	if (err < 0)
		log_guest(LOG_TOPIC_VIDEO, &m->log_limit, "event buffer of %zu bytes; give each %zu: an event is lost",
			  writer_left(w), sizeof(struct virtio_media_event_dqbuf));
	/* A driver that had a buffer back twice would have it in two lists. */
	finish(m, c);
	m->stats.events++;
}

/*
 * The next buffer for an event, or NULL. One that a process before this one had taken is given back if it was filled, and is
 * a buffer like any other if not: what was to be in it is told anew.
 */
static struct chain *take_event_buffer(struct media *m)
{
	struct virtq *q = m->device.queues[VIRTIO_MEDIA_QUEUE_EVENT];
	struct chain *c = m->event_buffer;

	if (c) {
		m->event_buffer = NULL;
		return c;
	}
	while (virtq_pop(q, &c) == 1) {
		if (!media_was_done(m, c))
			return c;
		chain_finish(c);
		if (!m->first_note && !virtq_has_left(q))
			break;
	}
	return NULL;
}

void media_send_notes(struct media *m)
{
	struct virtq *q = m->device.queues[VIRTIO_MEDIA_QUEUE_EVENT];
	struct chain *c;

	while ((m->first_note || virtq_has_left(q)) && (c = take_event_buffer(m))) {
		struct media_note *n = m->first_note;

		if (!n) {
			m->event_buffer = c;
			return;
		}
		media_drop_note(m, n);
		send_note(m, c, n);
	}
}

void media_post_note(struct media *m, struct media_note *n)
{
	if (n->waiting)
		return;
	n->waiting = true;
	n->next = NULL;
	*m->last_note = n;
	m->last_note = &n->next;
	if (!m->hold_notes)
		media_send_notes(m);
}

void media_drop_note(struct media *m, struct media_note *n)
{
	struct media_note **at = &m->first_note;

	if (!n->waiting)
		return;
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	if (m->last_note == &n->next)
		m->last_note = at;
	n->waiting = false;
}

/* ---- commands ---- */

union media_command {
	struct virtio_media_cmd_header hdr;
	struct virtio_media_cmd_close close;
	struct virtio_media_cmd_ioctl ioctl;
	struct virtio_media_cmd_mmap mmap;
	struct virtio_media_cmd_munmap munmap;
};

static void do_open(struct media *m, struct chain *c, const union media_command *command)
{
	struct virtio_media_resp_open resp = {0};
	struct media_session *s;
	int err;

	(void)command;
	if (writer_left(chain_writer(c)) < sizeof(resp)) {
		refuse(m, c, "OPEN", -EINVAL, "no room for the answer, which has 16 bytes");
		return;
	}
	if (m->session_count >= m->config.limits.streams * MEDIA_SESSIONS_A_STREAM) {
		refuse(m, c, "OPEN", -ENOMEM, "no more sessions; see the option streams");
		return;
	}
	err = media_session_open(m, &s);
	if (err < 0) {
		refuse(m, c, "OPEN", err, "the host has no memory");
		return;
	}
	media_record_session(s);
	resp.session_id = s->id;
	media_answer(m, c, 0, &resp.session_id, sizeof(resp) - sizeof(resp.hdr), NULL, 0);
}

static void do_close(struct media *m, struct chain *c, const union media_command *command)
{
	struct media_session *s = media_find_session(m, command->close.session_id);

	if (s)
		media_session_close(s);
	else
		log_guest(LOG_TOPIC_VIDEO, &m->log_limit, "CLOSE: no such session, or a short request");
	/* It has no answer. */
	finish(m, c);
}

static void do_ioctl(struct media *m, struct chain *c, const union media_command *command)
{
	media_ioctl(m, c, &command->ioctl);
}

static void do_mmap(struct media *m, struct chain *c, const union media_command *command)
{
	const struct media_plane *p = NULL;
	struct media_memory *memory;
	struct media_session *s;

	if (writer_left(chain_writer(c)) < sizeof(struct virtio_media_resp_mmap)) {
		refuse(m, c, "MMAP", -EINVAL, "no room for the answer, which has 24 bytes");
		return;
	}
	s = media_find_session(m, command->mmap.session_id);
	if (s)
		p = media_find_plane(s, command->mmap.offset, &memory);
	if (!p) {
		refuse(m, c, "MMAP", -EINVAL, "no such session, or no MMAP plane at that offset; see QUERYBUF");
		return;
	}
	media_window_map(&m->window, c, memory, p->offset, p->length, command->mmap.flags & VIRTIO_MEDIA_MMAP_FLAG_RW);
}

static void on_mapped(struct virtio_device *d, struct chain *c, int err, uint64_t offset, uint64_t bytes)
{
	const uint64_t words[2] = {offset, bytes};
	struct media *m = media_from_device(d);

	if (err < 0)
		refuse(m, c, "MMAP", err, "the plane can't be mapped");
	else
		media_answer(m, c, 0, words, sizeof(words), NULL, 0);
}

static void do_munmap(struct media *m, struct chain *c, const union media_command *command)
{
	media_window_unmap(&m->window, c, command->munmap.driver_addr);
}

static void on_unmapped(struct virtio_device *d, struct chain *c, int err)
{
	struct media *m = media_from_device(d);

	if (!c)
		media_record_commit(m, 0);
	else if (err < 0)
		refuse(m, c, "MUNMAP", err, "nothing is mapped there, or it can't be unmapped");
	else
		media_answer(m, c, 0, NULL, 0, NULL, 0);
}

static void on_mapping_changed(struct virtio_device *d, uint64_t offset, const struct media_mapping_record *r)
{
	struct media *m = media_from_device(d);

	media_record_mapping(m, offset, r);
	/* The home is asked next: who takes over must know what it may have done. */
	if (r && r->users == 0)
		media_record_commit(m, 0);
}

static const struct command_row {
	const char *name;
	size_t bytes;
	void (*serve)(struct media *m, struct chain *c, const union media_command *command);
	bool repeatable; /* as that of ioctls */
} commands[] = {
	[VIRTIO_MEDIA_CMD_OPEN] = {"OPEN", sizeof(struct virtio_media_cmd_open), do_open, false},
	[VIRTIO_MEDIA_CMD_CLOSE] = {"CLOSE", sizeof(struct virtio_media_cmd_close), do_close, true},
	[VIRTIO_MEDIA_CMD_IOCTL] = {"IOCTL", sizeof(struct virtio_media_cmd_ioctl), do_ioctl, false},
	[VIRTIO_MEDIA_CMD_MMAP] = {"MMAP", sizeof(struct virtio_media_cmd_mmap), do_mmap, false},
	[VIRTIO_MEDIA_CMD_MUNMAP] = {"MUNMAP", sizeof(struct virtio_media_cmd_munmap), do_munmap, true},
};

/* Read the command of @c, and find its row; NULL: there is none. Returns 0 or the answer, and *why is what is wrong. */
static int read_command(struct chain *c, union media_command *command, const struct command_row **row, const char **why)
{
	struct reader *r = chain_reader(c);

	*row = NULL;
	*why = "a short request; a header has 8 bytes";
	if (read_obj(r, &command->hdr) < 0)
		return -EINVAL;
	*why = "no such command; there are 1 to 5";
	if (command->hdr.cmd >= sizeof(commands) / sizeof(commands[0]) || !commands[command->hdr.cmd].serve)
		return -ENOTTY;
	*row = &commands[command->hdr.cmd];
	*why = "a short request; IOCTL and MUNMAP have 16 bytes, MMAP has 20";
	return reader_copy(r, (char *)command + sizeof(command->hdr), (*row)->bytes - sizeof(command->hdr)) < 0
		       ? -EINVAL
		       : 0;
}

/* Is the buffer that QBUF names one of OUTPUT? */
static bool is_output(struct chain *c)
{
	struct v4l2_buffer b;

	return read_obj(chain_reader(c), &b) == 0 && b.type == V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
}

/* The process that was at it died: what it did is not known, so it is not done again. */
static void answer_unknown(struct media *m, struct chain *c, const struct command_row *row,
			   const union media_command *command)
{
	struct media_session *s = NULL;

	if (row == &commands[VIRTIO_MEDIA_CMD_IOCTL] && command->ioctl.code == _IOC_NR(VIDIOC_QBUF))
		s = media_find_session(m, command->ioctl.session_id);
	/* With an input something of the stream is lost, even if it was its first. */
	if (s && s->queues[VIDEO_INPUT].streaming && s->stream->state == STREAM_IDLE && is_output(c)) {
		media_session_lose(s);
		media_record_session(s);
	}
	refuse(m, c, row ? row->name : "command", -EIO, "the process that was at it died");
}

/*
 * A request that a process before this one had begun. Returns true if it is over; else it is to be done, for the first time
 * or again.
 */
static bool end_begun(struct media *m, struct chain *c, const struct command_row *row,
		      const union media_command *command, bool repeatable)
{
	const bool is_done = media_was_done(m, c);

	if (chain_stage(c) == CHAIN_TAKEN || (chain_stage(c) == CHAIN_EXECUTING && repeatable))
		return false;
	if (is_done)
		chain_finish(c);
	else
		answer_unknown(m, c, row, command);
	return true;
}

static void serve(struct media *m, struct chain *c)
{
	union media_command command = {0};
	const struct command_row *row;
	bool repeatable;
	const char *why;
	int err = read_command(c, &command, &row, &why);

	repeatable = row && (row->repeatable || (row == &commands[VIRTIO_MEDIA_CMD_IOCTL] &&
						 media_ioctl_is_repeatable(m, command.ioctl.code)));
	if (end_begun(m, c, row, &command, repeatable))
		return;
	m->again = chain_stage(c) == CHAIN_EXECUTING;
	begin_answer(c);
	/* A short CLOSE names no session. */
	if (err == 0 || (row && row->serve == do_close))
		row->serve(m, c, &command);
	else
		refuse(m, c, row ? row->name : "command", err, why);
}

static void handle(void *owner, struct chain *c)
{
	struct media *m = owner;

	m->stats.commands++;
	m->serial++;
	m->hold_notes = true;
	serve(m, c);
	m->hold_notes = false;
	media_send_notes(m);
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

/* None of the guest's requests was looked at. What is to be told waits for the event queue's kick. */
static int start(struct virtio_device *d)
{
	struct media *m = media_from_device(d);

	if (m->unrestored) {
		m->journal = load(m->unrestored);
		m->hold_notes = true;
		if (m->journal)
			media_restore(m);
		m->hold_notes = false;
	}
	m->unrestored = NULL;
	return 0;
}

static void pause_streams(struct media *m, bool paused)
{
	if (paused == m->paused)
		return;
	m->paused = paused;
	for (struct media_session *s = m->sessions; s; s = s->next)
		stream_pause(s->stream, paused);
}

static void kick(struct virtio_device *d, unsigned q)
{
	struct media *m = media_from_device(d);

	if (q == VIRTIO_MEDIA_QUEUE_COMMAND)
		pause_streams(m, false);
	if (q == VIRTIO_MEDIA_QUEUE_EVENT)
		media_send_notes(m);
	else
		virtq_drain(d->queues[q], handle, m);
}

/* Nothing is in it: the driver gets an event of no bytes, which it passes over. */
static void give_event_buffer_back(struct media *m)
{
	if (m->event_buffer)
		chain_finish(m->event_buffer);
	m->event_buffer = NULL;
}

static void reset(struct virtio_device *d)
{
	struct media *m = media_from_device(d);
	struct journal *journal = m->unrestored ? load(m->unrestored) : m->journal;

	/* In one step: a death on the way leaves all of it or nothing. */
	if (journal)
		journal_clear(journal);
	m->journal = m->unrestored = NULL;
	memset(m->done_tags, 0, sizeof(m->done_tags));
	while (m->sessions)
		media_session_close(m->sessions);
	media_window_reset(&m->window);
	give_event_buffer_back(m);
	m->paused = false;
	/* Of what a process before this one left there, too. */
	shared_heap_trim(m->store.heap);
	m->journal = journal;
}

/* A frontend that stops rings answers no questions of ours meanwhile. */
static void quiesce(struct virtio_device *d, unsigned q)
{
	struct media *m = media_from_device(d);

	if (q == VIRTIO_MEDIA_QUEUE_COMMAND)
		media_window_give_up(&m->window);
	else
		give_event_buffer_back(m);
}

/* Buffers are queued without a request that waits for them, and may be the guest's pages. */
static void stopped(struct virtio_device *d, unsigned q)
{
	if (q == VIRTIO_MEDIA_QUEUE_COMMAND)
		pause_streams(media_from_device(d), true);
}

static int config(struct virtio_device *d, uint32_t off, void *buf, size_t n, bool write)
{
	const struct media *m = media_from_device(d);
	struct virtio_media_config space = {
		.device_caps = V4L2_CAP_VIDEO_M2M_MPLANE | V4L2_CAP_STREAMING | V4L2_CAP_EXT_PIX_FORMAT,
	};

	if (write || off > sizeof(space) || n > sizeof(space) - off)
		return -EINVAL;
	snprintf((char *)space.card, sizeof(space.card), "mullion %s", m->config.encoder ? "encoder" : "decoder");
	memcpy(buf, (const char *)&space + off, n);
	return 0;
}

static void destroy(struct virtio_device *d)
{
	struct media *m = media_from_device(d);

	virtio_device_finish(d);
	media_store_close(&m->store);
	free(m);
}

static const uint16_t queue_max[] = {256, 256, 0};

static void count(struct virtio_device *d, struct counters *out)
{
	const struct media *m = media_from_device(d);
	struct video_stats s;

	media_get_stats(d, &s);
	video_count_device(out, m->config.encoder, &s);
	counters_add(out, NULL, "sessions", m->session_count);
	counters_add(out, NULL, "buffer-bytes", m->store.used_bytes);
	/* Those that only look at the device would leave no room for these. */
	for (const struct media_session *session = m->sessions; session; session = session->next) {
		if (session->queues[VIDEO_INPUT].streaming)
			video_count_stream(out, session->stream);
	}
}

static const struct virtio_device_ops media_ops = {
	.name = "media",
	.id = VIRTIO_ID_MEDIA,
	.queue_max = queue_max,
	.config_bytes = sizeof(struct virtio_media_config),
	.start = start,
	.kick = kick,
	.reset = reset,
	.quiesce = quiesce,
	.stopped = stopped,
	.config = config,
	.count = count,
	.destroy = destroy,
};

int media_create(const struct video_config *config_in, struct loop *loop, const struct guest_mem *mem,
		 struct virtio_device **out)
{
	struct media *m = calloc(1, sizeof(*m));
	char names[64];
	int err;

	if (!m)
		return -ENOMEM;
	err = virtio_device_init(&m->device, &media_ops, media_ops.features, loop, mem);
	if (err < 0) {
		free(m);
		return err;
	}
	m->config = *config_in;
	if (config_in->element) {
		snprintf(m->element, sizeof(m->element), "%s", config_in->element);
		m->config.element = m->element;
	}
	m->unrestored = config_in->journal;
	if (config_in->degraded)
		m->refuse_until_ns = loop_now_ns() + DEGRADED_NS;
	m->last_note = &m->first_note;
	m->window.mapped = on_mapped;
	m->window.unmapped = on_unmapped;
	m->window.changed = on_mapping_changed;
	media_window_init(&m->window, &m->device);
	err = media_store_open(&m->store, m->config.limits.buffer_bytes, config_in->shared);
	if (err < 0) {
		log_line(LOG_TOPIC_VIDEO, LOG_ERROR, "media: no memory for buffers: %s; see the option memory",
			 strerror(-err));
		destroy(&m->device);
		return err;
	}
	m->offer_count = video_find_formats(&m->config, media_has_fourcc, m->offers, names, sizeof(names));
	if (m->offer_count == 0) {
		log_line(LOG_TOPIC_VIDEO, LOG_ERROR,
			 "media: %s%s has nothing to offer; mullion doctor says what to install",
			 m->config.element ? "codec=" : "this host", m->config.element ? m->config.element : "");
		destroy(&m->device);
		return -ENOTSUP;
	}
	log_line(LOG_TOPIC_VIDEO, LOG_INFO, "media %s:%s by %s%s%s", m->config.encoder ? "encoder" : "decoder", names,
		 m->config.codec->name, m->config.element ? " " : "", m->config.element ? m->config.element : "");
	*out = &m->device;
	return 0;
}

void media_get_stats(struct virtio_device *d, struct video_stats *out)
{
	const struct media *m = media_from_device(d);

	*out = m->stats;
	out->streams = m->running;
	for (const struct media_session *session = m->sessions; session; session = session->next)
		stream_add_running_stats(session->stream, &out->codec);
}
