// SPDX-License-Identifier: MIT
#include "tests/lib/display_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct display_peer *display_peer_create(struct loop *loop)
{
	struct display_peer *p = calloc(1, sizeof(*p));
	int pair[2];

	assert_non_null(p);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	p->loop = loop;
	p->fd = pair[0];
	p->given = pair[1];
	p->features = 1u << VHOST_USER_GPU_PROTOCOL_F_EDID | 1u << VHOST_USER_GPU_PROTOCOL_F_DMABUF2;
	return p;
}

void display_peer_destroy(struct display_peer *p)
{
	close(p->fd);
	for (unsigned i = 0; i < 16; i++) {
		free(p->scanouts[i].pixels);
		if (p->scanouts[i].buffer_fd)
			close(p->scanouts[i].buffer_fd);
	}
	free(p);
}

void display_peer_send(struct display_peer *p, uint32_t request, uint32_t flags, const void *payload, size_t bytes,
		       size_t cut)
{
	const struct vhost_user_gpu_header header = {request, flags, (uint32_t)bytes};
	uint8_t all[2048];
	size_t total = sizeof(header) + bytes;

	assert_true(total <= sizeof(all));
	memcpy(all, &header, sizeof(header));
	if (bytes)
		memcpy(all + sizeof(header), payload, bytes);
	if (cut > 0 && cut < total) {
		assert_int_equal(send(p->fd, all, cut, MSG_NOSIGNAL), cut);
		for (int i = 0; i < 3; i++)
			loop_run_once(p->loop, 0);
	} else {
		cut = 0;
	}
	/* The other end may be gone: that is the test's business. */
	(void)!send(p->fd, all + cut, total - cut, MSG_NOSIGNAL);
}

void display_peer_say_info(struct display_peer *p, uint32_t width, uint32_t height, size_t cut)
{
	struct virtio_gpu_resp_display_info info = {.hdr.type = VIRTIO_GPU_RESP_OK_DISPLAY_INFO};

	info.pmodes[0].r.width = width;
	info.pmodes[0].r.height = height;
	info.pmodes[0].enabled = 1;
	display_peer_send(p, VHOST_USER_GPU_GET_DISPLAY_INFO, VHOST_USER_GPU_FLAG_REPLY, &info, sizeof(info), cut);
}

void display_peer_say_edid(struct display_peer *p, uint8_t first, uint32_t bytes, size_t cut)
{
	struct virtio_gpu_resp_edid edid = {.size = bytes};

	edid.edid[0] = first;
	display_peer_send(p, VHOST_USER_GPU_GET_EDID, VHOST_USER_GPU_FLAG_REPLY, &edid, sizeof(edid), cut);
}

void display_peer_say_shown(struct display_peer *p)
{
	display_peer_send(p, VHOST_USER_GPU_DMABUF_UPDATE, VHOST_USER_GPU_FLAG_REPLY, NULL, 0, 0);
}

static struct peer_scanout *scanout(struct display_peer *p, const uint8_t *payload)
{
	uint32_t id;

	memcpy(&id, payload, sizeof(id));
	assert_true(id < 16);
	return &p->scanouts[id];
}

static void take_update(struct peer_scanout *s, const uint8_t *payload, size_t bytes)
{
	struct vhost_user_gpu_update u;

	memcpy(&u, payload, sizeof(u));
	assert_non_null(s->pixels);
	assert_true(u.width > 0 && u.height > 0 && u.x + u.width <= s->width && u.y + u.height <= s->height);
	assert_int_equal(bytes, sizeof(u) + (size_t)u.width * u.height * 4);
	for (uint32_t y = 0; y < u.height; y++)
		memcpy(s->pixels + (size_t)(u.y + y) * s->width + u.x, payload + sizeof(u) + (size_t)y * u.width * 4,
		       (size_t)u.width * 4);
	s->updates++;
}

static void take_buffer(struct display_peer *p, const uint8_t *payload, size_t bytes)
{
	struct peer_scanout *s = scanout(p, payload);

	if (s->buffer_fd)
		close(s->buffer_fd);
	s->buffer = (struct vhost_user_gpu_dmabuf_scanout2){0};
	memcpy(&s->buffer, payload, bytes);
	s->buffer_fd = p->came;
	p->came = 0;
	if (s->buffer_fd)
		s->buffers++;
	else
		s->buffer_ends++;
	p->has_modifiers = bytes == sizeof(s->buffer);
}

static void take_buffer_update(struct display_peer *p, const uint8_t *payload)
{
	struct peer_scanout *s = scanout(p, payload);

	memcpy(&s->buffer_update, payload, sizeof(s->buffer_update));
	assert_true(s->buffer_fd > 0);
	assert_true(s->buffer_update.width > 0 && s->buffer_update.height > 0);
	assert_true(s->buffer_update.x + s->buffer_update.width <= s->buffer.dmabuf_scanout.width);
	assert_true(s->buffer_update.y + s->buffer_update.height <= s->buffer.dmabuf_scanout.height);
	s->buffer_updates++;
}

static void take(struct display_peer *p, uint32_t request, const uint8_t *payload, size_t bytes)
{
	struct vhost_user_gpu_scanout size;
	struct peer_scanout *s;

	switch (request) {
	case VHOST_USER_GPU_GET_PROTOCOL_FEATURES:
		assert_int_equal(bytes, 0);
		p->features_asked++;
		if (p->features != UINT64_MAX)
			display_peer_send(p, request, VHOST_USER_GPU_FLAG_REPLY, &p->features, sizeof(p->features), 0);
		break;
	case VHOST_USER_GPU_SET_PROTOCOL_FEATURES:
		assert_int_equal(bytes, 8);
		p->features_set++;
		break;
	case VHOST_USER_GPU_GET_DISPLAY_INFO:
		assert_int_equal(bytes, 0);
		p->infos_asked++;
		break;
	case VHOST_USER_GPU_GET_EDID:
		assert_int_equal(bytes, 4);
		memcpy(&p->edid_scanout, payload, 4);
		p->edids_asked++;
		break;
	case VHOST_USER_GPU_SCANOUT:
		assert_int_equal(bytes, sizeof(size));
		memcpy(&size, payload, sizeof(size));
		s = scanout(p, payload);
		free(s->pixels);
		s->pixels = size.width ? calloc(size.width, (size_t)size.height * 4) : NULL;
		s->width = size.width;
		s->height = size.height;
		s->sizes++;
		break;
	case VHOST_USER_GPU_UPDATE:
		take_update(scanout(p, payload), payload, bytes);
		break;
	case VHOST_USER_GPU_CURSOR_UPDATE:
		assert_int_equal(bytes, sizeof(struct vhost_user_gpu_cursor_update));
		s = scanout(p, payload);
		memcpy(&s->cursor, payload, bytes);
		s->images++;
		break;
	case VHOST_USER_GPU_CURSOR_POS:
	case VHOST_USER_GPU_CURSOR_POS_HIDE:
		assert_int_equal(bytes, sizeof(struct vhost_user_gpu_cursor_pos));
		s = scanout(p, payload);
		memcpy(&s->cursor.pos, payload, bytes);
		s->moves += request == VHOST_USER_GPU_CURSOR_POS;
		s->hides += request == VHOST_USER_GPU_CURSOR_POS_HIDE;
		break;
	case VHOST_USER_GPU_DMABUF_SCANOUT:
		assert_int_equal(bytes, sizeof(struct vhost_user_gpu_dmabuf_scanout));
		take_buffer(p, payload, bytes);
		break;
	case VHOST_USER_GPU_DMABUF_SCANOUT2:
		assert_int_equal(bytes, sizeof(struct vhost_user_gpu_dmabuf_scanout2));
		take_buffer(p, payload, bytes);
		break;
	case VHOST_USER_GPU_DMABUF_UPDATE:
		assert_int_equal(bytes, sizeof(struct vhost_user_gpu_update));
		take_buffer_update(p, payload);
		break;
	default:
		fail_msg("message %u", request);
	}
}

/* As recv(), up to @bytes of the message; a descriptor that came with them is kept. */
static ssize_t receive(struct display_peer *p, size_t bytes)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {p->message + p->have, bytes - p->have};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(p->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

	if (c) {
		assert_int_equal(c->cmsg_type, SCM_RIGHTS);
		assert_int_equal(p->came, 0);
		memcpy(&p->came, CMSG_DATA(c), sizeof(p->came));
	}
	return n;
}

/* True if something was read: the header first, and then no more than its message, or the next one's descriptor came too. */
static bool read_some(struct display_peer *p)
{
	const bool has_header = p->have >= sizeof(p->header);
	ssize_t n = receive(p, sizeof(p->header) + (has_header ? p->header.size : 0));

	if (n <= 0)
		return false;
	p->have += (size_t)n;
	if (!has_header && p->have == sizeof(p->header)) {
		memcpy(&p->header, p->message, sizeof(p->header));
		assert_int_equal(p->header.flags, 0);
		assert_true(p->header.size + sizeof(p->header) <= sizeof(p->message));
	}
	if (p->have < sizeof(p->header) || p->have < sizeof(p->header) + p->header.size)
		return true;
	p->have = 0;
	take(p, p->header.request, p->message + sizeof(p->header), p->header.size);
	/* Only one that tells of a buffer has one. */
	assert_int_equal(p->came, 0);
	return true;
}

bool display_peer_step(struct display_peer *p)
{
	loop_run_once(p->loop, 0);
	return read_some(p);
}

void display_peer_run(struct display_peer *p, int ms)
{
	const uint64_t end = loop_now_ns() + (uint64_t)ms * 1000000;
	unsigned quiet = 0;

	/* Both sides have said all they have to say, however slow the machine is. */
	while (quiet < 4 || loop_now_ns() < end) {
		loop_run_once(p->loop, ms && quiet ? 1 : 0);
		if (read_some(p))
			quiet = 0;
		else
			quiet++;
	}
}
