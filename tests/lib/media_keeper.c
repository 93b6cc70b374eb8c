// SPDX-License-Identifier: MIT
#include "tests/lib/media_keeper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "protocol/vhost_user.h"

enum { CODED_BYTES = 1 << 17 };

/* ---- the frontend ---- */

/* The keeper wants something mapped, or unmapped: done, and answered. */
static void asked(struct loop_fd *f, uint32_t events)
{
	struct media_keeper *m = f->owner;
	struct __attribute__((packed)) {
		struct vhost_user_header header;
		struct vhost_user_shmem_map map;
	} question;
	struct __attribute__((packed)) {
		struct vhost_user_header header;
		uint64_t result;
	} answer = {.header = {.flags = VHOST_USER_VERSION | VHOST_USER_REPLY, .size = sizeof(uint64_t)}};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {&question, sizeof(question)};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(f->fd, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC);
	struct virtio_shmem_request r = {.fd = -1};

	(void)events;
	if (n == 0) {
		loop_remove_fd(fake_guest_loop(m->w.guest), f);
		return;
	}
	assert_int_equal(n, sizeof(question));
	r.offset = question.map.offset;
	r.length = question.map.length;
	r.fd_offset = question.map.fd_offset;
	r.writable = question.map.flags & VHOST_USER_SHMEM_WRITABLE;
	assert_int_equal(question.map.id, VIRTIO_MEDIA_SHM_MMAP);
	answer.header.request = question.header.request;
	if (question.header.request == VHOST_USER_BACKEND_SHMEM_MAP) {
		assert_non_null(CMSG_FIRSTHDR(&message));
		memcpy(&r.fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(r.fd));
		answer.result = (uint64_t)-virtio_shmem_map(m->w.device, &r);
		close(r.fd);
	} else {
		assert_int_equal(question.header.request, VHOST_USER_BACKEND_SHMEM_UNMAP);
		answer.result = (uint64_t)-virtio_shmem_unmap(m->w.device, &r);
	}
	assert_int_equal(send(f->fd, &answer, sizeof(answer), MSG_NOSIGNAL), sizeof(answer));
}

void media_keeper_begin(struct media_keeper *m, const struct video_keeper_options *o)
{
	memset(m, 0, sizeof(*m));
	video_keeper_begin(&m->k, o);
	m->w.guest = m->k.peer->guest;
	m->w.device = &m->k.peer->device;
	virtio_device_set_shmem(m->w.device, VIRTIO_MEDIA_SHM_MMAP, 512ull << 20);
	fake_shmem_settle(&m->w.home, m->w.device);
	m->watch = (struct loop_fd){.fd = m->k.peer->backend_fd, .ready = asked, .owner = m};
	assert_int_equal(loop_add_fd(fake_guest_loop(m->w.guest), &m->watch, EPOLLIN), 0);
	media_post_events(&m->w);
}

int media_keeper_end(struct media_keeper *m)
{
	printf("# the slowest answer took %u ms; a guest waits 5000\n", (unsigned)(m->slowest_ns / 1000000));
	loop_remove_fd(fake_guest_loop(m->w.guest), &m->watch);
	fake_shmem_finish(&m->w.home);
	virtio_device_set_shmem_home(m->w.device, NULL, NULL);
	return video_keeper_end(&m->k);
}

/* ---- the guest ---- */

/* An answer to what was asked at @since. */
static void check_time(struct media_keeper *m, uint64_t since)
{
	const uint64_t took_ns = loop_now_ns() - since;

	m->k.shared->answers++;
	m->slowest_ns = took_ns > m->slowest_ns ? took_ns : m->slowest_ns;
	if (took_ns > VIDEO_KEEPER_PATIENCE_NS)
		fail_msg("it took %u ms", (unsigned)(took_ns / 1000000));
}

bool media_client_can(struct media_client *c, int err)
{
	if (err != 0 && err != -EIO)
		fail_msg("session %u: error %d", c->id, err);
	c->failed |= err != 0;
	return err == 0;
}

static bool call(struct media_client *c, unsigned long ioctl, void *payload)
{
	const uint64_t since = loop_now_ns();
	const int err = media_call(&c->m->w, c->id, ioctl, payload);

	check_time(c->m, since);
	return media_client_can(c, err);
}

static bool queue(struct media_client *c, uint32_t type, uint32_t index, uint32_t bytes, uint64_t timestamp_us)
{
	const uint64_t since = loop_now_ns();
	const int err = media_queue_buffer(&c->m->w, c->id, type, index, bytes, timestamp_us);

	check_time(c->m, since);
	if (err == 0)
		c->queued[type == MEDIA_CAPTURE] |= 1u << index;
	return media_client_can(c, err);
}

static bool stream(struct media_client *c, uint32_t type, bool on)
{
	if (!call(c, on ? VIDIOC_STREAMON : VIDIOC_STREAMOFF, &type))
		return false;
	if (!on)
		c->queued[type == MEDIA_CAPTURE] = 0;
	if (type == MEDIA_CAPTURE)
		c->captures = on;
	return true;
}

static bool make_buffers(struct media_client *c, uint32_t type, uint32_t count, uint8_t **seen, uint64_t *at)
{
	struct v4l2_requestbuffers r = {.count = count, .type = type, .memory = V4L2_MEMORY_MMAP};

	if (!call(c, VIDIOC_REQBUFS, &r))
		return false;
	assert_int_equal(r.count, count);
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t since = loop_now_ns();
		struct v4l2_plane plane;
		struct v4l2_buffer b;
		uint64_t bytes;

		if (!media_client_can(c, media_query(&c->m->w, c->id, type, i, &b, &plane, 1)) ||
		    !media_client_can(c, media_map(&c->m->w, c->id, plane.m.mem_offset, true, &at[i], &bytes)))
			return false;
		check_time(c->m, since);
		assert_int_equal(bytes, plane.length);
		seen[i] = media_seen(&c->m->w, at[i]);
	}
	return true;
}

static void unmap_all(struct media_client *c, uint8_t **seen, const uint64_t *at, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (seen[i])
			assert_int_equal(media_unmap(&c->m->w, at[i]), 0);
		seen[i] = NULL;
	}
}

/* Does the device know the size of the clip? */
static bool size_is_known(struct media_client *c)
{
	struct v4l2_format f = {.type = MEDIA_CAPTURE};

	return call(c, VIDIOC_G_FMT, &f) && f.fmt.pix_mp.width == CLIP_WIDTH;
}

static bool start_capture(struct media_client *c)
{
	/* Of a try that ended half-way. */
	unmap_all(c, c->out, c->out_at, MEDIA_CLIENT_OUTPUTS);
	if (!make_buffers(c, MEDIA_CAPTURE, MEDIA_CLIENT_OUTPUTS, c->out, c->out_at))
		return false;
	c->has_outputs = true;
	for (uint32_t i = 0; i < MEDIA_CLIENT_OUTPUTS; i++) {
		if (!queue(c, MEDIA_CAPTURE, i, 0, 0))
			return false;
	}
	return stream(c, MEDIA_CAPTURE, true);
}

/* A buffer is back: each once. */
static void take_buffer(struct media_client *c, const struct virtio_media_event_dqbuf *e)
{
	const bool is_capture = e->buffer.type == MEDIA_CAPTURE;
	const uint32_t bit = 1u << e->buffer.index;

	assert_true(c->queued[is_capture] & bit);
	c->queued[is_capture] &= ~bit;
	if (e->buffer.flags & V4L2_BUF_FLAG_ERROR) {
		c->failed = true;
		return;
	}
	if (!is_capture)
		return;
	if (e->buffer.flags & V4L2_BUF_FLAG_LAST) {
		c->ended = true;
		return;
	}
	assert_true(c->sums.count < sizeof(c->sums.sum) / sizeof(c->sums.sum[0]));
	c->sums.sum[c->sums.count++] = sums_of(c->out[e->buffer.index], e->planes[0].bytesused);
	if (!c->failed)
		queue(c, MEDIA_CAPTURE, e->buffer.index, 0, 0);
}

void media_client_serve(struct media_client *c)
{
	const uint64_t since = loop_now_ns();
	const struct media_event e = media_next_event(&c->m->w, c->id);

	check_time(c->m, since);
	if (e.u.hdr.event == VIRTIO_MEDIA_EVT_DQBUF)
		take_buffer(c, &e.u.dqbuf);
	else if (e.u.event.event.type == V4L2_EVENT_SOURCE_CHANGE && !c->has_outputs && !c->failed) {
		if (size_is_known(c))
			start_capture(c);
		else
			/* It is told to look, and sees that the stream has failed. */
			assert_false(media_client_can(c, media_command(&c->m->w, c->id, false, V4L2_DEC_CMD_STOP)));
	}
}

static bool set_up(struct media_client *c)
{
	struct v4l2_event_subscription change = {.type = V4L2_EVENT_SOURCE_CHANGE};
	struct v4l2_format f = {.type = MEDIA_OUTPUT};

	f.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_H264;
	f.fmt.pix_mp.num_planes = 1;
	f.fmt.pix_mp.plane_fmt[0].sizeimage = CODED_BYTES;
	return call(c, VIDIOC_S_FMT, &f) && call(c, VIDIOC_SUBSCRIBE_EVENT, &change) &&
	       make_buffers(c, MEDIA_OUTPUT, MEDIA_CLIENT_INPUTS, c->in, c->in_at) && stream(c, MEDIA_OUTPUT, true);
}

void media_client_open(struct media_client *c, struct media_keeper *m)
{
	for (;;) {
		*c = (struct media_client){.m = m};
		if (!media_client_can(c, media_open(&m->w, &c->id)))
			continue;
		if (set_up(c))
			return;
		media_client_close(c);
	}
}

void media_client_send(struct media_client *c, unsigned n)
{
	unsigned i = 0;

	while (!c->failed && c->queued[0] == (1u << MEDIA_CLIENT_INPUTS) - 1)
		media_client_serve(c);
	/* What has come is taken. */
	while (!c->failed && media_events_left(&c->m->w, c->id) > 0)
		media_client_serve(c);
	if (c->failed)
		return;
	while (c->queued[0] >> i & 1)
		i++;
	assert_true(video_keeper_film->clip.bytes[n] <= CODED_BYTES);
	memcpy(c->in[i], video_keeper_film->clip.data[n], video_keeper_film->clip.bytes[n]);
	queue(c, MEDIA_OUTPUT, i, (uint32_t)video_keeper_film->clip.bytes[n], n);
}

bool media_client_play(struct media_client *c)
{
	struct v4l2_decoder_cmd stop = {.cmd = V4L2_DEC_CMD_STOP};

	for (unsigned i = 0; i < video_keeper_film->clip.count && !c->failed; i++)
		media_client_send(c, i);
	if (!c->failed)
		call(c, VIDIOC_DECODER_CMD, &stop);
	while (!c->failed && !c->ended)
		media_client_serve(c);
	return !c->failed;
}

void media_client_play_half(struct media_client *c, struct media_keeper *m)
{
	media_client_open(c, m);
	for (unsigned i = 0; i < CLIP_FRAMES / 2; i++)
		media_client_send(c, i);
	while (!c->has_outputs)
		media_client_serve(c);
	assert_false(c->failed);
}

void media_client_take_back(struct media_client *c)
{
	while (c->queued[0] || (c->captures && c->queued[1]))
		media_client_serve(c);
}

bool media_client_restart(struct media_client *c)
{
	c->failed = c->ended = false;
	memset(&c->sums, 0, sizeof(c->sums));
	if (!stream(c, MEDIA_OUTPUT, false) || !stream(c, MEDIA_CAPTURE, false))
		return false;
	/* Events of before mean nothing any more. */
	while (media_events_left(&c->m->w, c->id) > 0)
		media_next_event(&c->m->w, c->id);
	for (uint32_t i = 0; c->has_outputs && i < MEDIA_CLIENT_OUTPUTS; i++) {
		if (!queue(c, MEDIA_CAPTURE, i, 0, 0))
			return false;
	}
	if (c->has_outputs && !stream(c, MEDIA_CAPTURE, true))
		return false;
	/* What was told is not told again. */
	if (!c->has_outputs && size_is_known(c) && !start_capture(c))
		return false;
	return !c->failed && stream(c, MEDIA_OUTPUT, true);
}

void media_client_close(struct media_client *c)
{
	unmap_all(c, c->in, c->in_at, MEDIA_CLIENT_INPUTS);
	unmap_all(c, c->out, c->out_at, MEDIA_CLIENT_OUTPUTS);
	media_close(&c->m->w, c->id);
	while (media_events_left(&c->m->w, c->id) > 0)
		media_next_event(&c->m->w, c->id);
}

void media_keeper_decode_exactly(struct media_keeper *m)
{
	struct media_client c;

	media_client_open(&c, m);
	assert_true(media_client_play(&c));
	video_keeper_check_exact(&c.sums);
	media_client_close(&c);
}
