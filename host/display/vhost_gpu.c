// SPDX-License-Identifier: MIT
/*
 * What goes out is made from the state when the socket has room: sizes, cursors, the rest of a pass over what changed.
 * So a frontend that does not read costs nothing but the newest picture, and what is left of the one that it is getting.
 *
 * A picture on the GPU goes as a descriptor, and each change of it as a DMABUF_UPDATE, which is answered when it was shown.
 * Answers don't say to which scanout they belong, and a frontend may read nothing while it has one to give: so there is one
 * without an answer at a time, and what changes meanwhile is merged.
 *
 * A message is sent when poll() reports room. For a Unix socket that means that three quarters of its buffer are free,
 * more than a message has (208 KiB by default); so all of it goes by one call, and a process killed before or after leaves
 * no half of it.
 */
#include "host/display/vhost_gpu.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/display/remote_buffer.h"
#include "host/display/remote_pixels.h"
#include "protocol/vhost_user_gpu.h"
#include "protocol/virtio_gpu.h"

#define MAX_SIDE 16384u /* of a picture; one row of pixels is a message */
#define PIXEL_BYTES 4u
#define MAX_PIXEL_BYTES (MAX_SIDE * PIXEL_BYTES)
#define CURSOR_PIXELS (64 * 64)
#define MAX_ASKED 16u /* questions without an answer on one socket */
#define ANSWER_LIMIT_NS 2000000000ull
#define ANSWERS_AT_ONCE 64u /* before others on the loop get their turn */

struct remote_scanout {
	bool shown;
	bool size_due;
	struct remote_pixels pixels;
	struct display_rect next; /* changed since its pass began; of a buffer: not told yet */
	struct remote_buffer buffer; /* shown instead of the pixels */
	struct display_shown *waiting; /* for the next update of it */
	bool image_due, place_due;
	struct vhost_user_gpu_cursor_update cursor;
	bool cursor_shown;
};

struct remote_display {
	struct display_output base;
	struct loop *loop;
	int later; /* to be connected when there is something to show; -1: none */
	bool connected, broken;
	struct loop_fd watch;
	struct loop_task end_task, more_task;
	bool end_posted, more_posted;

	bool features_asked, features_known, features_set;
	uint64_t features;
	struct display_question *questions; /* in order, sent ones first */
	struct {
		uint32_t request;
		struct display_question *question; /* NULL: nobody waits for it any more */
	} asked[MAX_ASKED];			   /* in the order of sending */
	unsigned asked_count;
	struct loop_timer timer;
	bool updating; /* a DMABUF_UPDATE is not answered */
	struct display_shown *updated; /* who waits for that answer */
	struct loop_timer update_timer;
	bool buffers_told, update_late; /* that was said */

	struct remote_scanout scanouts[DISPLAY_MAX_SCANOUTS];
	unsigned turn; /* whose pass goes on next */

	uint8_t in[sizeof(struct vhost_user_gpu_header) + sizeof(struct virtio_gpu_resp_edid)];
	size_t out_at, out_bytes;
	int out_fd; /* goes with its first byte; -1: none */
	uint8_t out[sizeof(struct vhost_user_gpu_header) + sizeof(struct vhost_user_gpu_update) + MAX_PIXEL_BYTES];
};

static struct remote_display *from_base(struct display_output *o)
{
	return (struct remote_display *)o;
}

static bool has(const struct remote_display *d, unsigned feature)
{
	return d->features >> feature & 1;
}

/* ---- questions ---- */

static void unlink_question(struct remote_display *d, struct display_question *q)
{
	struct display_question **at = &d->questions;

	while (*at && *at != q)
		at = &(*at)->next;
	if (*at)
		*at = q->next;
	for (unsigned i = 0; i < d->asked_count; i++) {
		if (d->asked[i].question == q)
			d->asked[i].question = NULL;
	}
}

static void arm_timer(struct remote_display *d)
{
	if (d->questions)
		loop_arm_timer(d->loop, &d->timer, d->questions->due_ns);
	else
		loop_cancel_timer(d->loop, &d->timer);
}

static void end_question(struct remote_display *d, struct display_question *q, const struct display_answer *answer)
{
	unlink_question(d, q);
	arm_timer(d);
	q->answered(q, answer);
}

/* The answer to the question before, if it comes, is told by its place in the row. */
static void on_timer(struct loop_timer *t)
{
	struct remote_display *d = t->owner;

	while (d->questions && d->questions->due_ns <= loop_now_ns()) {
		log_line(LOG_TOPIC_DISPLAY, LOG_WARN,
			 "the frontend's display does not say its %s; the guest is told our own",
			 d->questions->edid ? "EDID" : "sizes");
		end_question(d, d->questions, NULL);
	}
	arm_timer(d);
}

static void end_edid_questions(struct remote_display *d)
{
	struct display_question *q, *next;

	for (q = d->questions; q; q = next) {
		next = q->next;
		if (q->edid)
			end_question(d, q, NULL);
	}
}

/* ---- the connection ---- */

static void close_out_fd(struct remote_display *d)
{
	if (d->out_fd >= 0)
		close(d->out_fd);
	d->out_fd = -1;
}

static void answer_update(struct remote_display *d)
{
	d->updating = false;
	loop_cancel_timer(d->loop, &d->update_timer);
	remote_buffer_tell_shown(&d->updated);
}

static void disconnect(struct remote_display *d)
{
	if (!d->connected)
		return;
	d->connected = false;
	loop_remove_fd(d->loop, &d->watch);
	close(d->watch.fd);
	if (d->end_posted)
		loop_unpost(d->loop, &d->end_task);
	if (d->more_posted)
		loop_unpost(d->loop, &d->more_task);
	d->end_posted = d->more_posted = d->broken = false;
	d->features_asked = d->features_known = d->features_set = false;
	d->features = 0;
	d->out_at = d->out_bytes = 0;
	close_out_fd(d);
	d->buffers_told = d->update_late = false;
	answer_update(d);
	d->asked_count = 0;
	for (unsigned i = 0; i < DISPLAY_MAX_SCANOUTS; i++) {
		remote_buffer_tell_shown(&d->scanouts[i].waiting);
		remote_buffer_finish(&d->scanouts[i].buffer);
		remote_pixels_finish(&d->scanouts[i].pixels);
		d->scanouts[i] = (struct remote_scanout){0};
	}
	while (d->questions)
		end_question(d, d->questions, NULL);
}

static void on_end_task(struct loop_task *t)
{
	struct remote_display *d = t->owner;

	d->end_posted = false;
	disconnect(d);
}

/* Not from within a call of the device: it is answered there. */
static void end_soon(struct remote_display *d, const char *why)
{
	if (d->broken)
		return;
	log_line(LOG_TOPIC_DISPLAY, LOG_INFO, "the frontend's display is gone: %s", why);
	d->broken = true;
	d->end_posted = true;
	loop_post(d->loop, &d->end_task);
}

/* ---- out: what is due, one message at a time ---- */

static bool put(struct remote_display *d, uint32_t request, const void *payload, size_t bytes, size_t more)
{
	const struct vhost_user_gpu_header header = {.request = request, .size = (uint32_t)(bytes + more)};

	memcpy(d->out, &header, sizeof(header));
	if (bytes)
		memcpy(d->out + sizeof(header), payload, bytes);
	d->out_at = 0;
	d->out_bytes = sizeof(header) + bytes + more;
	return true;
}

static bool put_question(struct remote_display *d)
{
	struct vhost_user_gpu_edid_request edid;
	struct display_question *q = d->questions;

	while (q && q->sent)
		q = q->next;
	if (!q || d->asked_count == MAX_ASKED)
		return false;
	q->sent = true;
	d->asked[d->asked_count].question = q;
	d->asked[d->asked_count++].request = q->edid ? VHOST_USER_GPU_GET_EDID : VHOST_USER_GPU_GET_DISPLAY_INFO;
	if (!q->edid)
		return put(d, VHOST_USER_GPU_GET_DISPLAY_INFO, NULL, 0, 0);
	edid.scanout_id = q->scanout;
	return put(d, VHOST_USER_GPU_GET_EDID, &edid, sizeof(edid), 0);
}

static bool put_buffer(struct remote_display *d, unsigned index)
{
	struct vhost_user_gpu_dmabuf_scanout2 message;

	remote_buffer_tell(&d->scanouts[index].buffer, index, &message, &d->out_fd);
	if (has(d, VHOST_USER_GPU_PROTOCOL_F_DMABUF2))
		return put(d, VHOST_USER_GPU_DMABUF_SCANOUT2, &message, sizeof(message), 0);
	return put(d, VHOST_USER_GPU_DMABUF_SCANOUT, &message.dmabuf_scanout, sizeof(message.dmabuf_scanout), 0);
}

/* A size goes before pixels: QEMU has nothing to copy them to without. */
static bool put_state(struct remote_display *d, unsigned index)
{
	struct remote_scanout *s = &d->scanouts[index];

	if (s->buffer.due)
		return put_buffer(d, index);
	if (s->size_due) {
		const struct vhost_user_gpu_scanout size = {
			.scanout_id = index,
			.width = s->shown ? s->pixels.newest.width : 0,
			.height = s->shown ? s->pixels.newest.height : 0,
		};

		s->size_due = false;
		return put(d, VHOST_USER_GPU_SCANOUT, &size, sizeof(size), 0);
	}
	if (s->image_due) {
		s->image_due = s->place_due = false;
		return put(d, VHOST_USER_GPU_CURSOR_UPDATE, &s->cursor, sizeof(s->cursor), 0);
	}
	if (s->place_due) {
		s->place_due = false;
		return put(d, s->cursor_shown ? VHOST_USER_GPU_CURSOR_POS : VHOST_USER_GPU_CURSOR_POS_HIDE,
			   &s->cursor.pos, sizeof(s->cursor.pos), 0);
	}
	return false;
}

/* As many rows as fit. What changes meanwhile waits for the next pass, so that this one ends. */
static bool put_pixels(struct remote_display *d, unsigned index)
{
	uint8_t *pixels = d->out + sizeof(struct vhost_user_gpu_header) + sizeof(struct vhost_user_gpu_update);
	struct remote_scanout *s = &d->scanouts[index];
	struct vhost_user_gpu_update update;
	struct display_rect r;
	size_t bytes = remote_pixels_put(&s->pixels, pixels, MAX_PIXEL_BYTES, &r);

	if (!bytes && s->next.height) {
		remote_pixels_begin(&s->pixels, &s->next);
		s->next = (struct display_rect){0};
		bytes = remote_pixels_put(&s->pixels, pixels, MAX_PIXEL_BYTES, &r);
	}
	if (!bytes)
		return false;
	update = (struct vhost_user_gpu_update){index, r.x, r.y, r.width, r.height};
	return put(d, VHOST_USER_GPU_UPDATE, &update, sizeof(update), bytes);
}

static bool put_buffer_update(struct remote_display *d, unsigned index)
{
	struct remote_scanout *s = &d->scanouts[index];
	const struct display_rect *r = &s->next;
	const struct vhost_user_gpu_update update = {index, r->x, r->y, r->width, r->height};

	if (r->height == 0 || d->updating)
		return false;
	s->next = (struct display_rect){0};
	d->updated = s->waiting;
	s->waiting = NULL;
	d->updating = true;
	loop_arm_timer(d->loop, &d->update_timer, loop_now_ns() + ANSWER_LIMIT_NS);
	return put(d, VHOST_USER_GPU_DMABUF_UPDATE, &update, sizeof(update), 0);
}

static bool put_next(struct remote_display *d)
{
	if (!d->features_asked) {
		d->features_asked = true;
		return put(d, VHOST_USER_GPU_GET_PROTOCOL_FEATURES, NULL, 0, 0);
	}
	if (d->features_known && !d->features_set) {
		const uint64_t features = d->features & (1ull << VHOST_USER_GPU_PROTOCOL_F_EDID |
							 1ull << VHOST_USER_GPU_PROTOCOL_F_DMABUF2);

		d->features_set = true;
		return put(d, VHOST_USER_GPU_SET_PROTOCOL_FEATURES, &features, sizeof(features), 0);
	}
	if (d->features_known && put_question(d))
		return true;
	for (unsigned i = 0; i < DISPLAY_MAX_SCANOUTS; i++) {
		if (put_state(d, i))
			return true;
	}
	for (unsigned i = 0; i < DISPLAY_MAX_SCANOUTS; i++) {
		d->turn = (d->turn + 1) % DISPLAY_MAX_SCANOUTS;
		if (remote_buffer_is_shown(&d->scanouts[d->turn].buffer) ? put_buffer_update(d, d->turn)
									 : put_pixels(d, d->turn))
			return true;
	}
	return false;
}

static bool has_room(const struct remote_display *d)
{
	struct pollfd p = {.fd = d->watch.fd, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && p.revents & POLLOUT;
}

static void send_due(struct remote_display *d)
{
	ssize_t n;

	while (d->connected && !d->broken) {
		if (d->out_at == d->out_bytes && (!has_room(d) || !put_next(d)))
			return;
		n = remote_buffer_send(d->watch.fd, d->out + d->out_at, d->out_bytes - d->out_at, d->out_fd);
		if (n > 0)
			close_out_fd(d);
		if (n >= 0)
			d->out_at += (size_t)n;
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			end_soon(d, strerror(errno));
	}
}

/* The next one goes all the same: a picture that stands still for ever helps nobody. */
static void on_update_timer(struct loop_timer *t)
{
	struct remote_display *d = t->owner;

	if (!d->update_late)
		log_line(LOG_TOPIC_DISPLAY, LOG_WARN,
			 "the frontend's display does not say that it showed a picture; it gets one each %llu s",
			 ANSWER_LIMIT_NS / 1000000000ull);
	d->update_late = true;
	answer_update(d);
	send_due(d);
}

/* ---- in: answers ---- */

static void read_modes(const struct virtio_gpu_resp_display_info *info, struct display_answer *out)
{
	for (unsigned i = 0; i < DISPLAY_MAX_SCANOUTS; i++) {
		const struct virtio_gpu_rect *r = &info->pmodes[i].r;

		out->modes[i].rect = (struct display_rect){r->x, r->y, r->width, r->height};
		out->modes[i].enabled = info->pmodes[i].enabled && r->width > 0 && r->height > 0 &&
					r->width <= MAX_SIDE && r->height <= MAX_SIDE;
	}
}

/* For the first question of its kind; those before it get no answer any more. */
static void take_answer(struct remote_display *d, uint32_t request, const struct display_answer *answer)
{
	struct display_question *q;
	unsigned i = 0;

	while (i < d->asked_count && d->asked[i].request != request)
		i++;
	if (i == d->asked_count)
		return; /* asked by the process before this one */
	q = d->asked[i].question;
	d->asked_count -= i + 1;
	memmove(d->asked, d->asked + i + 1, d->asked_count * sizeof(d->asked[0]));
	if (q)
		end_question(d, q, answer);
}

static void take(struct remote_display *d, uint32_t request, const void *payload)
{
	struct display_answer answer = {0};

	/* Maybe of the process before this one: then ours is taken for shown too early. */
	if (request == VHOST_USER_GPU_DMABUF_UPDATE) {
		d->update_late = false;
		answer_update(d);
		return;
	}
	if (request == VHOST_USER_GPU_GET_PROTOCOL_FEATURES) {
		if (d->features_known)
			return;
		memcpy(&d->features, payload, sizeof(d->features));
		d->features_known = true;
		if (!has(d, VHOST_USER_GPU_PROTOCOL_F_EDID))
			end_edid_questions(d);
	} else if (request == VHOST_USER_GPU_GET_DISPLAY_INFO) {
		struct virtio_gpu_resp_display_info info;

		memcpy(&info, payload, sizeof(info));
		read_modes(&info, &answer);
		take_answer(d, request, &answer);
	} else {
		struct virtio_gpu_resp_edid edid;

		memcpy(&edid, payload, sizeof(edid));
		memcpy(answer.edid, edid.edid, sizeof(answer.edid));
		answer.edid_bytes = edid.size;
		take_answer(d, request, edid.size <= sizeof(answer.edid) ? &answer : NULL);
	}
}

/* SIZE_MAX: nobody answers with that. */
static size_t payload_bytes(uint32_t request)
{
	switch (request) {
	case VHOST_USER_GPU_GET_PROTOCOL_FEATURES:
		return sizeof(uint64_t);
	case VHOST_USER_GPU_GET_DISPLAY_INFO:
		return sizeof(struct virtio_gpu_resp_display_info);
	case VHOST_USER_GPU_GET_EDID:
		return sizeof(struct virtio_gpu_resp_edid);
	case VHOST_USER_GPU_DMABUF_UPDATE:
		return 0;
	default:
		return SIZE_MAX;
	}
}

/* One message is taken off the socket when all of it is there. False: no more for now. */
static bool receive(struct remote_display *d)
{
	struct vhost_user_gpu_header header;
	ssize_t n = recv(d->watch.fd, d->in, sizeof(d->in), MSG_PEEK | MSG_DONTWAIT);
	size_t bytes;

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			end_soon(d, strerror(errno));
		return false;
	}
	if (n == 0) {
		end_soon(d, "it closed the socket");
		return false;
	}
	if ((size_t)n < sizeof(header))
		return false;
	memcpy(&header, d->in, sizeof(header));
	bytes = payload_bytes(header.request);
	if (!(header.flags & VHOST_USER_GPU_FLAG_REPLY) || header.size != bytes) {
		log_line(LOG_TOPIC_DISPLAY, LOG_WARN, "message %u with flags 0x%x and %u bytes is no answer",
			 header.request, header.flags, header.size);
		end_soon(d, "it speaks something else");
		return false;
	}
	bytes += sizeof(header);
	if ((size_t)n < bytes || recv(d->watch.fd, d->in, bytes, MSG_DONTWAIT) != (ssize_t)bytes)
		return false;
	take(d, header.request, d->in + sizeof(header));
	return true;
}

static void receive_some(struct remote_display *d)
{
	for (unsigned i = 0; i < ANSWERS_AT_ONCE; i++) {
		if (!d->connected || d->broken || !receive(d))
			return;
	}
	if (!d->more_posted)
		loop_post(d->loop, &d->more_task);
	d->more_posted = true;
}

static void on_more_task(struct loop_task *t)
{
	struct remote_display *d = t->owner;

	d->more_posted = false;
	receive_some(d);
	send_due(d);
}

/* Edge-triggered: half a message stays on the socket and must not call again and again. */
static void ready(struct loop_fd *f, uint32_t events)
{
	struct remote_display *d = f->owner;

	receive_some(d);
	if (events & EPOLLHUP)
		end_soon(d, "it closed the socket");
	send_due(d);
}

/* ---- ops ---- */

static void connect_now(struct remote_display *d)
{
	const int fd = d->later;

	d->later = -1;
	if (fd >= 0 && display_vhost_gpu_connect(&d->base, fd))
		log_line(LOG_TOPIC_DISPLAY, LOG_WARN, "the display's socket can't be watched: nothing is shown");
}

static int present(struct display_output *o, unsigned scanout, const struct display_frame *frame)
{
	struct remote_display *d = from_base(o);
	struct remote_scanout *s = &d->scanouts[scanout];
	const bool is_new = !s->shown || remote_buffer_is_shown(&s->buffer) || s->pixels.newest.width != frame->width ||
			    s->pixels.newest.height != frame->height;
	int err;

	connect_now(d);
	if (!d->connected)
		return 0;
	if (frame->width > MAX_SIDE)
		return -EINVAL;
	err = remote_pixels_take(&s->pixels, frame, &frame->damage);
	if (err)
		return err;
	remote_buffer_end(&s->buffer);
	if (is_new) {
		s->shown = s->size_due = true;
		s->next = (struct display_rect){0, 0, frame->width, frame->height};
	} else {
		display_rect_join(&s->next, &frame->damage);
	}
	send_due(d);
	return 0;
}

static bool can_take(const struct remote_display *d, const struct display_buffer *b)
{
	/* Before it has said what it can do, pixels are right for all. */
	if (!d->features_known || b->width > MAX_SIDE || b->height > MAX_SIDE)
		return false;
	return has(d, VHOST_USER_GPU_PROTOCOL_F_DMABUF2) || b->modifier == DISPLAY_MODIFIER_LINEAR ||
	       b->modifier == DISPLAY_MODIFIER_UNKNOWN;
}

static void forget(struct display_output *o, struct display_shown *shown)
{
	struct remote_display *d = from_base(o);

	remote_buffer_forget(&d->updated, shown);
	for (unsigned i = 0; i < DISPLAY_MAX_SCANOUTS; i++)
		remote_buffer_forget(&d->scanouts[i].waiting, shown);
}

/* Who waits is told in the end: by an answer, when there is no one to answer, or by the asker's own patience. */
static int present_buffer(struct display_output *o, unsigned scanout, const struct display_buffer *buffer,
			  const struct display_rect *damage, struct display_shown *shown)
{
	struct remote_display *d = from_base(o);
	struct remote_scanout *s = &d->scanouts[scanout];

	if (!d->connected || !can_take(d, buffer))
		return -ENOTSUP;
	if (remote_buffer_is(&s->buffer, buffer)) {
		display_rect_join(&s->next, damage);
	} else {
		if (remote_buffer_show(&s->buffer, buffer))
			return -ENOTSUP;
		if (!d->buffers_told)
			log_line(LOG_TOPIC_DISPLAY, LOG_INFO,
				 "the frontend's display is given dma-bufs: if it shows nothing, go without dmabuf=on");
		d->buffers_told = true;
		remote_pixels_finish(&s->pixels);
		s->shown = true;
		s->size_due = false;
		s->next = (struct display_rect){0, 0, buffer->shown.width, buffer->shown.height};
	}
	if (shown) {
		shown->next = s->waiting;
		s->waiting = shown;
	}
	send_due(d);
	return 0;
}

static void blank(struct display_output *o, unsigned scanout)
{
	struct remote_display *d = from_base(o);
	struct remote_scanout *s = &d->scanouts[scanout];

	if (!d->connected || !s->shown)
		return;
	s->shown = false;
	s->size_due = true;
	s->next = (struct display_rect){0};
	remote_buffer_end(&s->buffer);
	remote_pixels_finish(&s->pixels);
	send_due(d);
}

static void cursor(struct display_output *o, unsigned scanout, const struct display_cursor *c)
{
	struct remote_display *d = from_base(o);
	struct remote_scanout *s = &d->scanouts[scanout];

	connect_now(d);
	if (!d->connected)
		return;
	/* The protocol places the image's corner, as the guest did. */
	s->cursor.pos = (struct vhost_user_gpu_cursor_pos){scanout, c->x - c->hot_x, c->y - c->hot_y};
	s->cursor_shown = c->pixels != NULL;
	s->place_due = true;
	if (c->pixels && !c->moved_only) {
		s->cursor.hot_x = c->hot_x;
		s->cursor.hot_y = c->hot_y;
		memcpy(s->cursor.data, c->pixels, sizeof(s->cursor.data));
		s->image_due = true;
	} else if (!c->pixels) {
		s->image_due = false;
	}
	send_due(d);
}

static int ask(struct display_output *o, struct display_question *q)
{
	struct remote_display *d = from_base(o);
	struct display_question **end = &d->questions;

	if (!d->connected || d->broken || d->asked_count == MAX_ASKED ||
	    (q->edid && d->features_known && !has(d, VHOST_USER_GPU_PROTOCOL_F_EDID)))
		return -EAGAIN;
	q->due_ns = loop_now_ns() + ANSWER_LIMIT_NS;
	q->sent = false;
	q->next = NULL;
	while (*end)
		end = &(*end)->next;
	*end = q;
	arm_timer(d);
	send_due(d);
	return 0;
}

static void withdraw(struct display_output *o, struct display_question *q)
{
	unlink_question(from_base(o), q);
	arm_timer(from_base(o));
}

static void destroy(struct display_output *o)
{
	struct remote_display *d = from_base(o);

	disconnect(d);
	loop_cancel_timer(d->loop, &d->timer);
	if (d->later >= 0)
		close(d->later);
	free(d);
}

static const struct display_output_ops vhost_gpu_ops = {
	.name = "vhost-user-gpu",
	.present = present,
	.present_buffer = present_buffer,
	.forget = forget,
	.blank = blank,
	.cursor = cursor,
	.ask = ask,
	.withdraw = withdraw,
	.destroy = destroy,
};

int display_vhost_gpu_create(struct loop *loop, struct display_output **out)
{
	struct remote_display *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->base.ops = &vhost_gpu_ops;
	d->later = d->out_fd = -1;
	d->loop = loop;
	d->watch = (struct loop_fd){.fd = -1, .ready = ready, .owner = d};
	d->end_task = (struct loop_task){.run = on_end_task, .owner = d};
	d->more_task = (struct loop_task){.run = on_more_task, .owner = d};
	d->timer = (struct loop_timer){.expired = on_timer, .owner = d};
	d->update_timer = (struct loop_timer){.expired = on_update_timer, .owner = d};
	*out = &d->base;
	return 0;
}

int display_vhost_gpu_connect(struct display_output *o, int fd)
{
	struct remote_display *d = from_base(o);
	int err;

	disconnect(d);
	d->watch.fd = fd;
	err = loop_add_fd(d->loop, &d->watch, EPOLLIN | EPOLLOUT | EPOLLET);
	if (err) {
		close(fd);
		return err;
	}
	d->connected = true;
	send_due(d);
	return 0;
}

/* ---- fd:N ---- */

static int create_from_fd(struct loop *loop, const char *argument, struct input_sink *input, struct display_output **out)
{
	int fd, err;
	char end;

	(void)input; /* whoever shows it has the user */
	if (sscanf(argument, "%d%c", &fd, &end) != 1 || fcntl(fd, F_GETFD) < 0) {
		log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "fd: '%s' is no open socket", argument);
		return -EBADF;
	}
	err = display_vhost_gpu_create(loop, out);
	/* A spare worker has the socket as well, and must leave it to the one that shows something. */
	if (!err)
		from_base(*out)->later = fd;
	return err;
}

/* Only made here: afterwards it is as any other. */
const struct display_output_ops display_fd_ops = {
	.name = "fd",
	.help = "fd:NUMBER: by the display protocol of vhost-user-gpu, to whoever has the other end of this socket",
	.create = create_from_fd,
};

bool display_vhost_gpu_is_connected(const struct display_output *o)
{
	const struct remote_display *d = (const struct remote_display *)o;

	return d->connected && !d->broken;
}
