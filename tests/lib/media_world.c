// SPDX-License-Identifier: MIT
#include "tests/lib/media_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/base/loop.h"
#include "host/video/codec_fake.h"
#include "host/virtio/shared_heap.h"

#define WAIT_MS 60000

/* ---- life ---- */

static void add_events(struct media_world *w)
{
	for (unsigned i = 0; i < MEDIA_WORLD_EVENTS; i++)
		w->posted[i] = fake_guest_add(w->guest, VIRTIO_MEDIA_QUEUE_EVENT, NULL, 0,
					      sizeof(struct virtio_media_event_dqbuf));
}

void media_post_events(struct media_world *w)
{
	add_events(w);
	fake_guest_kick(w->guest, VIRTIO_MEDIA_QUEUE_EVENT);
}

static void make_device(struct media_world *w)
{
	if (w->journal_fd >= 0) {
		assert_int_equal(journal_map(w->journal_fd, &w->journal), 0);
		w->config.journal = w->journal;
		w->config.shared = w->shared_fd;
	}
	assert_int_equal(video_create(&w->config, fake_guest_loop(w->guest), fake_guest_mem(w->guest), &w->device), 0);
	assert_int_equal(w->device->shmem.id, VIRTIO_MEDIA_SHM_MMAP);
	fake_shmem_settle(&w->home, w->device);
}

struct media_world *media_world_create(const struct video_world_options *options)
{
	static const struct video_world_options defaults;
	struct media_world *w = calloc(1, sizeof(*w));
	struct video_config *config;

	assert_non_null(w);
	options = options ? options : &defaults;
	config = &w->config;
	video_config_init(config);
	config->media = true;
	config->encoder = options->encoder;
	config->codec = options->codec ? options->codec : &codec_fake_ops;
	config->element = options->element;
	if (options->timeout_ms)
		config->timeout_ms = options->timeout_ms;
	if (options->streams)
		config->limits.streams = options->streams;
	if (options->buffers)
		config->limits.buffers = options->buffers;
	if (options->buffer_entries)
		config->limits.buffer_entries = options->buffer_entries;
	if (options->buffer_bytes)
		config->limits.buffer_bytes = options->buffer_bytes;
	w->journal_fd = w->shared_fd = -1;
	if (options->keeps) {
		w->journal_fd = journal_memfd(config->limits.journal_bytes);
		w->shared_fd = shared_heap_memfd(video_shared_bytes(config));
		assert_true(w->journal_fd >= 0 && w->shared_fd >= 0);
	}
	w->guest = fake_guest_create(
		&(struct fake_guest_options){.memory_bytes = options->memory_bytes, .indirect = true});
	make_device(w);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	media_post_events(w);
	return w;
}

void media_world_take_over_late(struct media_world *w)
{
	assert_true(w->journal_fd >= 0 && w->deaths < MEDIA_WORLD_DEATHS);
	w->dead[w->deaths].device = w->device;
	w->dead[w->deaths++].journal = w->journal;
	fake_guest_device_is_gone(w->guest);
	make_device(w);
	assert_int_equal(fake_guest_take_over(w->guest, w->device), 0);
	for (unsigned i = 0; i < MEDIA_WORLD_EVENTS; i++)
		fake_guest_free_request(w->guest, w->posted[i]);
	add_events(w);
}

void media_world_take_over(struct media_world *w)
{
	media_world_take_over_late(w);
	fake_guest_kick(w->guest, VIRTIO_MEDIA_QUEUE_EVENT);
}

struct media_world *media_world_open(const struct video_world_options *options, uint32_t *session)
{
	struct media_world *w = media_world_create(options);

	assert_int_equal(media_open(w, session), 0);
	return w;
}

void media_world_destroy(struct media_world *w)
{
	virtio_device_destroy(w->device);
	journal_close(w->journal);
	for (unsigned i = 0; i < w->deaths; i++) {
		virtio_device_destroy(w->dead[i].device);
		journal_close(w->dead[i].journal);
	}
	fake_shmem_finish(&w->home);
	fake_guest_destroy(w->guest);
	if (w->journal_fd >= 0) {
		close(w->journal_fd);
		close(w->shared_fd);
	}
	free(w);
}

void media_world_restart(struct media_world *w)
{
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	for (unsigned i = 0; i < MEDIA_WORLD_EVENTS; i++)
		fake_guest_free_request(w->guest, w->posted[i]);
	w->event_count = 0;
	media_post_events(w);
}

/* ---- commands ---- */

/* Returns the answer's status, negative, and its length behind the header in *@got. */
static int command(struct media_world *w, const void *in, size_t in_bytes, void *out, size_t out_bytes, size_t *got)
{
	struct virtio_media_resp_header header;
	uint8_t *answer = malloc(sizeof(header) + out_bytes);
	uint32_t used;

	assert_non_null(answer);
	assert_int_equal(fake_guest_request(w->guest, VIRTIO_MEDIA_QUEUE_COMMAND, in, in_bytes, answer,
					    sizeof(header) + out_bytes, &used),
			 0);
	assert_true(used >= sizeof(header));
	memcpy(&header, answer, sizeof(header));
	assert_int_equal(header.reserved, 0);
	*got = used - sizeof(header);
	memcpy(out, answer + sizeof(header), *got);
	free(answer);
	if (header.status == 0)
		assert_int_equal(*got, out_bytes);
	return -(int)header.status;
}

int media_open(struct media_world *w, uint32_t *session)
{
	const struct virtio_media_cmd_open c = {.hdr = {VIRTIO_MEDIA_CMD_OPEN, 0}};
	uint32_t words[2];
	size_t got;
	int err = command(w, &c, sizeof(c), words, sizeof(words), &got);

	if (!err)
		*session = words[0];
	return err;
}

void media_close(struct media_world *w, uint32_t session)
{
	const struct virtio_media_cmd_close c = {.hdr = {VIRTIO_MEDIA_CMD_CLOSE, 0}, .session_id = session};
	uint32_t used;

	assert_int_equal(fake_guest_request(w->guest, VIRTIO_MEDIA_QUEUE_COMMAND, &c, sizeof(c), NULL, 0, &used), 0);
	assert_int_equal(used, 0);
}

int media_call_long(struct media_world *w, uint32_t session, unsigned long ioctl, void *payload, void *tail,
		    size_t tail_bytes, const void *more, size_t more_bytes)
{
	const struct virtio_media_cmd_ioctl c = {{VIRTIO_MEDIA_CMD_IOCTL, 0}, session, _IOC_NR(ioctl)};
	const size_t bytes = _IOC_SIZE(ioctl);
	const size_t in = _IOC_DIR(ioctl) & _IOC_WRITE ? bytes + tail_bytes : 0;
	const size_t out = _IOC_DIR(ioctl) & _IOC_READ ? bytes + tail_bytes : 0;
	uint8_t *request = malloc(sizeof(c) + in + more_bytes + 1), *answer = malloc(out + 1);
	size_t got;
	int err;

	assert_non_null(request);
	assert_non_null(answer);
	memcpy(request, &c, sizeof(c));
	if (in) {
		memcpy(request + sizeof(c), payload, bytes);
		if (tail_bytes)
			memcpy(request + sizeof(c) + bytes, tail, tail_bytes);
	}
	if (more_bytes)
		memcpy(request + sizeof(c) + in, more, more_bytes);
	err = command(w, request, sizeof(c) + in + more_bytes, answer, out, &got);
	if (out && got == out) {
		memcpy(payload, answer, bytes);
		if (tail_bytes)
			memcpy(tail, answer + bytes, tail_bytes);
	}
	free(answer);
	free(request);
	return err;
}

int media_call(struct media_world *w, uint32_t session, unsigned long ioctl, void *payload)
{
	return media_call_long(w, session, ioctl, payload, NULL, 0, NULL, 0);
}

int media_map(struct media_world *w, uint32_t session, uint32_t offset, bool writable, uint64_t *at, uint64_t *bytes)
{
	const struct virtio_media_cmd_mmap c = {
		{VIRTIO_MEDIA_CMD_MMAP, 0}, session, writable ? VIRTIO_MEDIA_MMAP_FLAG_RW : 0, offset};
	uint64_t words[2];
	size_t got;
	int err = command(w, &c, sizeof(c), words, sizeof(words), &got);

	if (err)
		return err;
	*at = words[0];
	if (bytes)
		*bytes = words[1];
	return 0;
}

int media_unmap(struct media_world *w, uint64_t at)
{
	const struct virtio_media_cmd_munmap c = {{VIRTIO_MEDIA_CMD_MUNMAP, 0}, at};
	uint8_t none;
	size_t got;

	return command(w, &c, sizeof(c), &none, 0, &got);
}

uint8_t *media_seen(struct media_world *w, uint64_t at)
{
	uint8_t *p = fake_shmem_at(&w->home, at);

	assert_non_null(p);
	return p;
}

/* ---- V4L2 ---- */

int media_stream(struct media_world *w, uint32_t session, uint32_t type, bool on)
{
	return media_call(w, session, on ? VIDIOC_STREAMON : VIDIOC_STREAMOFF, &type);
}

int media_request(struct media_world *w, uint32_t session, uint32_t type, uint32_t memory, uint32_t *count)
{
	struct v4l2_requestbuffers r = {.count = *count, .type = type, .memory = memory};
	int err = media_call(w, session, VIDIOC_REQBUFS, &r);

	*count = r.count;
	return err;
}

int media_query(struct media_world *w, uint32_t session, uint32_t type, uint32_t index, struct v4l2_buffer *b,
		struct v4l2_plane *planes, unsigned plane_count)
{
	*b = (struct v4l2_buffer){.index = index, .type = type, .length = plane_count};
	memset(planes, 0, plane_count * sizeof(*planes));
	return media_call_long(w, session, VIDIOC_QUERYBUF, b, planes, plane_count * sizeof(*planes), NULL, 0);
}

int media_queue_buffer(struct media_world *w, uint32_t session, uint32_t type, uint32_t index, uint32_t bytes,
		       uint64_t timestamp_us)
{
	struct v4l2_buffer b = {
		.index = index,
		.type = type,
		.memory = V4L2_MEMORY_MMAP,
		.length = 1,
		.timestamp = {.tv_sec = (time_t)(timestamp_us / 1000000),
			      .tv_usec = (suseconds_t)(timestamp_us % 1000000)},
	};
	struct v4l2_plane plane = {.bytesused = bytes};

	return media_call_long(w, session, VIDIOC_QBUF, &b, &plane, sizeof(plane), NULL, 0);
}

int media_subscribe_to(struct media_world *w, uint32_t session, uint32_t type, uint32_t id, uint32_t flags)
{
	struct v4l2_event_subscription e = {.type = type, .id = id, .flags = flags};

	return media_call(w, session, VIDIOC_SUBSCRIBE_EVENT, &e);
}

int media_command(struct media_world *w, uint32_t session, bool encoder, uint32_t cmd)
{
	struct v4l2_decoder_cmd d = {.cmd = cmd};
	struct v4l2_encoder_cmd e = {.cmd = cmd};

	return encoder ? media_call(w, session, VIDIOC_ENCODER_CMD, &e)
		       : media_call(w, session, VIDIOC_DECODER_CMD, &d);
}

/* ---- events ---- */

/* Take what came, oldest first, and post its buffers again. */
static void take_events(struct media_world *w, bool kick)
{
	for (;;) {
		unsigned oldest = MEDIA_WORLD_EVENTS;
		struct media_event *e;
		struct fake_request *r;

		for (unsigned i = 0; i < MEDIA_WORLD_EVENTS; i++) {
			if (w->posted[i]->done &&
			    (oldest == MEDIA_WORLD_EVENTS || w->posted[i]->sequence < w->posted[oldest]->sequence))
				oldest = i;
		}
		if (oldest == MEDIA_WORLD_EVENTS)
			return;
		r = w->posted[oldest];
		assert_true(w->event_count < sizeof(w->events) / sizeof(w->events[0]));
		if (r->used_len == 0) {
			w->empty_events++;
		} else {
			e = &w->events[w->event_count++];
			memset(e, 0, sizeof(*e));
			e->bytes = r->used_len;
			assert_true(e->bytes >= sizeof(e->u.hdr) && e->bytes <= sizeof(e->u));
			memcpy(&e->u, r->out, e->bytes);
		}
		fake_guest_free_request(w->guest, r);
		w->posted[oldest] = fake_guest_add(w->guest, VIRTIO_MEDIA_QUEUE_EVENT, NULL, 0,
						   sizeof(struct virtio_media_event_dqbuf));
		if (kick)
			fake_guest_kick(w->guest, VIRTIO_MEDIA_QUEUE_EVENT);
	}
}

void media_world_collect(struct media_world *w)
{
	take_events(w, false);
}

void media_settle(struct media_world *w)
{
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(loop_run_once(fake_guest_loop(w->guest), 0), 0);
	fake_guest_run_until(w->guest, NULL, NULL, 0);
	fake_guest_poll(w->guest, VIRTIO_MEDIA_QUEUE_EVENT);
	take_events(w, true);
}

struct wanted {
	struct media_world *w;
	uint32_t session, event; /* UINT32_MAX: any */
	uint32_t type;
	unsigned at;
};

static bool is_there(void *arg)
{
	struct wanted *x = arg;

	take_events(x->w, true);
	for (x->at = 0; x->at < x->w->event_count; x->at++) {
		const struct media_event *e = &x->w->events[x->at];

		if (e->u.hdr.session_id != x->session || (x->event != UINT32_MAX && e->u.hdr.event != x->event))
			continue;
		if (x->event != VIRTIO_MEDIA_EVT_DQBUF || e->u.dqbuf.buffer.type == x->type)
			return true;
	}
	return false;
}

static struct media_event take(struct wanted x)
{
	struct media_event e;

	if (!fake_guest_run_until(x.w->guest, is_there, &x, WAIT_MS))
		fail_msg("session %u: event %u, type %u did not come", x.session, x.event, x.type);
	e = x.w->events[x.at];
	x.w->event_count--;
	memmove(&x.w->events[x.at], &x.w->events[x.at + 1], (x.w->event_count - x.at) * sizeof(e));
	return e;
}

struct media_event media_next_event(struct media_world *w, uint32_t session)
{
	return take((struct wanted){w, session, UINT32_MAX, 0, 0});
}

struct virtio_media_event_dqbuf media_dequeue(struct media_world *w, uint32_t session, uint32_t type)
{
	const struct media_event e = take((struct wanted){w, session, VIRTIO_MEDIA_EVT_DQBUF, type, 0});

	assert_int_equal(e.bytes, sizeof(e.u.dqbuf));
	return e.u.dqbuf;
}

struct v4l2_event media_dequeue_event(struct media_world *w, uint32_t session)
{
	const struct media_event e = take((struct wanted){w, session, VIRTIO_MEDIA_EVT_EVENT, 0, 0});

	assert_int_equal(e.bytes, sizeof(e.u.event));
	return e.u.event.event;
}

unsigned media_events_left(struct media_world *w, uint32_t session)
{
	unsigned n = 0;

	media_settle(w);
	for (unsigned i = 0; i < w->event_count; i++)
		n += w->events[i].u.hdr.session_id == session;
	return n;
}
