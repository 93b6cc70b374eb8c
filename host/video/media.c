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

#include "host/video/count.h"
#include "host/virtio/counters.h"
#include "protocol/virtio.h"

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
	if (write_obj(w, &header) == 0 && bytes > 0 && writer_copy(w, payload, bytes) == 0 && tail_bytes > 0 &&
	    writer_copy(w, tail, tail_bytes) < 0)
		log_guest(LOG_TOPIC_VIDEO, &m->log_limit, "answer %d: no room for %zu bytes", err, tail_bytes);
	chain_finish(c);
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

	if (n->kind == MEDIA_NOTE_BUFFER) {
		struct virtio_media_event_dqbuf e = {.hdr = {VIRTIO_MEDIA_EVT_DQBUF, s->id}};

		s->queues[n->queue].buffers[n->index]->state = MEDIA_FREE;
		media_describe_buffer(s, n->queue, n->index, &e.buffer, e.planes);
		err = write_obj(w, &e);
	} else {
		struct virtio_media_event_event e = {.hdr = {VIRTIO_MEDIA_EVT_EVENT, s->id}};

		write_note(n, &e.event);
		err = write_obj(w, &e);
	}
	if (err < 0)
		log_guest(LOG_TOPIC_VIDEO, &m->log_limit, "event buffer of %zu bytes; give each %zu: an event is lost",
			  writer_left(w), sizeof(struct virtio_media_event_dqbuf));
	chain_finish(c);
	m->stats.events++;
}

void media_send_notes(struct media *m)
{
	struct chain *c;

	while (m->first_note && virtq_pop(m->device.queues[VIRTIO_MEDIA_QUEUE_EVENT], &c) == 1) {
		struct media_note *n = m->first_note;

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

static void do_open(struct media *m, struct chain *c)
{
	struct virtio_media_resp_open resp = {0};
	struct media_session *s;
	int err;

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
	resp.session_id = s->id;
	media_answer(m, c, 0, &resp.session_id, sizeof(resp) - sizeof(resp.hdr), NULL, 0);
}

/* The rest of a command whose header was read. Returns false if it is short. */
static bool read_rest(struct chain *c, void *command, size_t bytes)
{
	const size_t header = sizeof(struct virtio_media_cmd_header);

	return reader_copy(chain_reader(c), (char *)command + header, bytes - header) == 0;
}

static void do_close(struct media *m, struct chain *c)
{
	struct virtio_media_cmd_close command = {0};
	struct media_session *s = NULL;

	if (read_rest(c, &command, sizeof(command)))
		s = media_find_session(m, command.session_id);
	if (s)
		media_session_close(s);
	else
		log_guest(LOG_TOPIC_VIDEO, &m->log_limit, "CLOSE: no such session, or a short request");
	/* It has no answer. */
	chain_finish(c);
}

static void do_ioctl(struct media *m, struct chain *c)
{
	struct virtio_media_cmd_ioctl command = {0};

	if (!read_rest(c, &command, sizeof(command)))
		refuse(m, c, "IOCTL", -EINVAL, "a short request; the command has 16 bytes");
	else
		media_ioctl(m, c, &command);
}

static void do_mmap(struct media *m, struct chain *c)
{
	struct virtio_media_cmd_mmap command = {0};
	const struct media_plane *p = NULL;
	struct media_memory *memory;
	struct media_session *s;

	if (!read_rest(c, &command, sizeof(command)) ||
	    writer_left(chain_writer(c)) < sizeof(struct virtio_media_resp_mmap)) {
		refuse(m, c, "MMAP", -EINVAL, "the command has 20 bytes, and its answer 24");
		return;
	}
	s = media_find_session(m, command.session_id);
	if (s)
		p = media_find_plane(s, command.offset, &memory);
	if (!p) {
		refuse(m, c, "MMAP", -EINVAL, "no such session, or no MMAP plane at that offset; see QUERYBUF");
		return;
	}
	media_window_map(&m->window, c, memory, p->offset, p->length, command.flags & VIRTIO_MEDIA_MMAP_FLAG_RW);
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

static void do_munmap(struct media *m, struct chain *c)
{
	struct virtio_media_cmd_munmap command = {0};

	if (!read_rest(c, &command, sizeof(command)))
		refuse(m, c, "MUNMAP", -EINVAL, "a short request; the command has 16 bytes");
	else
		media_window_unmap(&m->window, c, command.driver_addr);
}

static void on_unmapped(struct virtio_device *d, struct chain *c, int err)
{
	struct media *m = media_from_device(d);

	if (err < 0)
		refuse(m, c, "MUNMAP", err, "nothing is mapped there, or it can't be unmapped");
	else
		media_answer(m, c, 0, NULL, 0, NULL, 0);
}

static void handle(void *owner, struct chain *c)
{
	static void (*const commands[])(struct media * m, struct chain * c) = {
		[VIRTIO_MEDIA_CMD_OPEN] = do_open,     [VIRTIO_MEDIA_CMD_CLOSE] = do_close,
		[VIRTIO_MEDIA_CMD_IOCTL] = do_ioctl,   [VIRTIO_MEDIA_CMD_MMAP] = do_mmap,
		[VIRTIO_MEDIA_CMD_MUNMAP] = do_munmap,
	};
	struct virtio_media_cmd_header header;
	struct media *m = owner;

	m->stats.commands++;
	m->serial++;
	m->hold_notes = true;
	if (read_obj(chain_reader(c), &header) < 0)
		refuse(m, c, "command", -EINVAL, "a short request; a header has 8 bytes");
	else if (header.cmd >= sizeof(commands) / sizeof(commands[0]) || !commands[header.cmd])
		refuse(m, c, "command", -ENOTTY, "no such command; there are 1 to 5");
	else
		commands[header.cmd](m, c);
	m->hold_notes = false;
	media_send_notes(m);
}

/* ---- device ops ---- */

static int start(struct virtio_device *d)
{
	(void)d;
	return 0;
}

static void kick(struct virtio_device *d, unsigned q)
{
	struct media *m = media_from_device(d);

	if (q == VIRTIO_MEDIA_QUEUE_EVENT)
		media_send_notes(m);
	else
		virtq_drain(d->queues[q], handle, m);
}

static void reset(struct virtio_device *d)
{
	struct media *m = media_from_device(d);

	while (m->sessions)
		media_session_close(m->sessions);
	media_window_reset(&m->window);
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
	virtio_device_finish(d);
	free(media_from_device(d));
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
	m->last_note = &m->first_note;
	m->store.max_bytes = m->config.limits.buffer_bytes;
	m->window.mapped = on_mapped;
	m->window.unmapped = on_unmapped;
	media_window_init(&m->window, &m->device);
	m->coded_count = video_find_formats(&m->config, media_has_fourcc, m->coded, names, sizeof(names));
	if (m->coded_count == 0) {
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
