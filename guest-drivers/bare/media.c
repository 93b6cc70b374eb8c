// SPDX-License-Identifier: MIT
#include <linux/errno.h>

#include "guest-drivers/bare/media.h"
#include "guest-drivers/bare/string.h"

#define QUEUE_SIZE 64
#define MAX_ERRNO 4095u /* as Linux has it */

/* ---- the device ---- */

static int post_event(struct media *m, union media_event *event)
{
	struct virtq *q = m->dev.queues[VIRTIO_MEDIA_QUEUE_EVENT];
	struct virtq_buffer b = {event, sizeof(*event)};
	int rc = virtq_add(q, &b, 0, 1, event);

	if (!rc)
		virtq_kick(q);
	return rc;
}

int media_open(struct media *m, enum virtio_kind kind, unsigned index)
{
	int rc;

	memset(m, 0, sizeof(*m));
	m->stopped = true;
	rc = virtio_find(VIRTIO_ID_MEDIA, index, kind, &m->dev);
	if (rc)
		return rc;
	rc = virtio_start(&m->dev, 0, 2, QUEUE_SIZE);
	if (rc)
		return rc;
	m->stopped = false;
	rc = virtio_config_read(&m->dev, 0, &m->config, 4, 2);
	rc = rc ? rc
		: virtio_config_read(&m->dev, offsetof(struct virtio_media_config, card), m->config.card, 1,
				     sizeof(m->config.card));
	if (virtio_shmem(&m->dev, VIRTIO_MEDIA_SHM_MMAP, &m->window, &m->window_bytes))
		m->window = NULL;
	for (unsigned i = 0; i < MEDIA_EVENTS && !rc; i++)
		rc = post_event(m, &m->posted[i]);
	if (rc)
		media_close(m);
	return rc;
}

void media_close(struct media *m)
{
	if (!m->stopped)
		virtio_stop(&m->dev);
	m->stopped = true;
}

/* ---- commands ---- */

/* One that waits for its answer. */
struct request {
	struct media *m;
	uint32_t written;
	bool done;
};

/* What an event needs at least; 0: there is no such kind. */
static uint32_t event_bytes(const union media_event *e)
{
	static const uint32_t bytes[] = {
		[VIRTIO_MEDIA_EVT_ERROR] = sizeof(struct virtio_media_event_error),
		[VIRTIO_MEDIA_EVT_DQBUF] = sizeof(struct virtio_media_event_dqbuf),
		[VIRTIO_MEDIA_EVT_EVENT] = sizeof(struct virtio_media_event_event),
	};

	return e->hdr.event < sizeof(bytes) / sizeof(bytes[0]) ? bytes[e->hdr.event] : 0;
}

void media_poll(struct media *m)
{
	union media_event *next;
	union media_event *event;
	struct request *r;
	uint32_t written;

	if (m->stopped)
		return;
	while ((r = virtq_get(m->dev.queues[VIRTIO_MEDIA_QUEUE_COMMAND], &written))) {
		r->written = written;
		r->done = true;
	}
	/* An event stays where it is until there is room. */
	while (m->event_count < MEDIA_EVENTS &&
	       (event = virtq_get(m->dev.queues[VIRTIO_MEDIA_QUEUE_EVENT], &written))) {
		/* Judged once it is here, where the device can't change it any more. */
		next = &m->events[m->event_count];
		*next = *event;
		m->event_count += event_bytes(next) && written >= event_bytes(next);
		post_event(m, event);
	}
}

static int wait(struct media *m, bool (*done)(void *arg), void *arg)
{
	int rc = virtio_wait(&m->dev, done, arg, MEDIA_TIMEOUT_US);

	if (!rc)
		return 0;
	/* Requests lie on the caller's stack: the device must not write to them later. */
	media_close(m);
	return rc == -ETIMEDOUT ? rc : -ENODEV;
}

static bool is_done(void *arg)
{
	struct request *r = arg;

	media_poll(r->m);
	return r->done;
}

/*
 * Send @out of the buffers, and receive an answer into the others, the first of which is a header that has @least bytes
 * with what must follow.
 */
static int ask(struct media *m, const struct virtq_buffer *b, unsigned out, unsigned in, uint32_t least)
{
	struct virtq *q = m->dev.queues[VIRTIO_MEDIA_QUEUE_COMMAND];
	const volatile struct virtio_media_resp_header *h = in ? b[out].at : NULL;
	struct request r = {.m = m};
	uint32_t status;
	int rc;

	if (m->stopped)
		return -ENODEV;
	rc = virtq_add(q, b, out, in, &r);
	if (rc)
		return rc;
	virtq_kick(q);
	rc = wait(m, is_done, &r);
	if (rc || !in)
		return rc;
	if (r.written < sizeof(*h))
		return -EPROTO;
	status = h->status;
	if (status)
		return status <= MAX_ERRNO ? -(int)status : -EPROTO;
	return r.written < least ? -EPROTO : 0;
}

int media_session_open(struct media *m, uint32_t *session)
{
	struct virtio_media_cmd_open c = {{VIRTIO_MEDIA_CMD_OPEN, 0}};
	struct virtio_media_resp_open r = {0};
	struct virtq_buffer b[2] = {{&c, sizeof(c)}, {&r, sizeof(r)}};
	int rc = ask(m, b, 1, 1, sizeof(r));

	if (!rc)
		*session = r.session_id;
	return rc;
}

int media_session_close(struct media *m, uint32_t session)
{
	struct virtio_media_cmd_close c = {{VIRTIO_MEDIA_CMD_CLOSE, 0}, session, 0};
	struct virtq_buffer b = {&c, sizeof(c)};

	return ask(m, &b, 1, 0, 0);
}

/* The payload is the same memory both ways, as V4L2 has it. */
static int call(struct media *m, uint32_t session, unsigned long ioctl, void *payload, struct virtq_buffer tail)
{
	struct virtio_media_cmd_ioctl c = {{VIRTIO_MEDIA_CMD_IOCTL, 0}, session, _IOC_NR(ioctl)};
	const struct virtq_buffer main = {payload, _IOC_SIZE(ioctl)};
	struct virtio_media_resp_ioctl r = {{0, 0}};
	struct virtq_buffer b[6] = {{&c, sizeof(c)}};
	uint32_t least = sizeof(r);
	unsigned out = 1, n;

	if (_IOC_DIR(ioctl) & _IOC_WRITE) {
		b[out++] = main;
		if (tail.bytes)
			b[out++] = tail;
	}
	n = out;
	b[n++] = (struct virtq_buffer){&r, sizeof(r)};
	if (_IOC_DIR(ioctl) & _IOC_READ) {
		b[n++] = main;
		if (tail.bytes)
			b[n++] = tail;
		least += main.bytes + tail.bytes;
	}
	return ask(m, b, out, n - out, least);
}

int media_ioctl(struct media *m, uint32_t session, unsigned long ioctl, void *payload)
{
	return call(m, session, ioctl, payload, (struct virtq_buffer){0});
}

int media_buffer_ioctl(struct media *m, uint32_t session, unsigned long ioctl, struct v4l2_buffer *b,
		       struct v4l2_plane *planes)
{
	const uint32_t room = b->length;
	int rc = call(m, session, ioctl, b, (struct virtq_buffer){planes, room * (uint32_t)sizeof(*planes)});

	return !rc && b->length > room ? -EPROTO : rc;
}

/* ---- the window ---- */

int media_map(struct media *m, uint32_t session, uint32_t offset, void **at, uint64_t *bytes)
{
	struct virtio_media_cmd_mmap c = {{VIRTIO_MEDIA_CMD_MMAP, 0}, session, VIRTIO_MEDIA_MMAP_FLAG_RW, offset};
	struct virtio_media_resp_mmap r = {{0, 0}, 0, 0};
	struct virtq_buffer b[2] = {{&c, sizeof(c)}, {&r, sizeof(r)}};
	int rc = m->window ? ask(m, b, 1, 1, sizeof(r)) : -ENXIO;

	if (rc)
		return rc;
	if (r.driver_addr > m->window_bytes || r.len > m->window_bytes - r.driver_addr)
		return -EPROTO;
	*at = (uint8_t *)m->window + r.driver_addr;
	*bytes = r.len;
	return 0;
}

int media_unmap(struct media *m, void *at)
{
	struct virtio_media_cmd_munmap c = {{VIRTIO_MEDIA_CMD_MUNMAP, 0},
					    (uint64_t)((uint8_t *)at - (uint8_t *)m->window)};
	struct virtio_media_resp_munmap r = {{0, 0}};
	struct virtq_buffer b[2] = {{&c, sizeof(c)}, {&r, sizeof(r)}};

	return ask(m, b, 1, 1, sizeof(r));
}

/* ---- events ---- */

bool media_take_event(struct media *m, union media_event *event)
{
	media_poll(m);
	if (m->event_count == 0)
		return false;
	*event = m->events[0];
	m->event_count--;
	for (unsigned i = 0; i < m->event_count; i++)
		m->events[i] = m->events[i + 1];
	return true;
}

static bool has_event(void *arg)
{
	struct media *m = arg;

	media_poll(m);
	return m->event_count > 0;
}

int media_wait_event(struct media *m, union media_event *event)
{
	int rc = m->stopped ? -ENODEV : wait(m, has_event, m);

	if (!rc)
		media_take_event(m, event);
	return rc;
}
