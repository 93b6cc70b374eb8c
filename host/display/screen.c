// SPDX-License-Identifier: MIT
#include "host/display/screen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/display/format.h"
#include "host/display/picture.h"
#include "protocol/vhost_user_gpu.h"

#define MAX_SIDE 16384u
/* Of all pictures together: 256 MiB. */
#define MAX_PIXELS (64u << 20)
#define PIXEL_BYTES 4u
#define CURSOR_SIDE 64u
/* A row of the widest picture; devices send no more at a time. */
#define MAX_PIXEL_BYTES (MAX_SIDE * PIXEL_BYTES)
/* Before others on the loop get their turn, and the output what has changed. */
#define MESSAGES_AT_ONCE 256u

struct screen_scanout {
	uint32_t width, height;	    /* 0: nothing is shown */
	struct picture picture;	    /* of that size; without pixels: there was no room for it */
	struct display_rect damage; /* not presented yet; width 0: none */
	bool presented;		    /* the output shows something, maybe of another size */
	struct display_cursor cursor;
	uint32_t cursor_pixels[CURSOR_SIDE * CURSOR_SIDE];
};

struct screen {
	struct loop *loop;
	struct display_output *output;
	struct loop_fd watch; /* fd -1: not connected */
	struct log_limit log_limit;
	struct screen_scanout scanouts[DISPLAY_MAX_SCANOUTS];
	size_t have;
	struct vhost_user_gpu_header header;
	union {
		struct vhost_user_gpu_cursor_pos pos;
		struct vhost_user_gpu_cursor_update cursor;
		struct vhost_user_gpu_scanout scanout;
		struct {
			struct vhost_user_gpu_update update;
			uint32_t pixels[MAX_PIXEL_BYTES / PIXEL_BYTES];
		} update;
		uint64_t features;
	} payload;
};

static void disconnect(struct screen *s)
{
	if (s->watch.fd < 0)
		return;
	loop_remove_fd(s->loop, &s->watch);
	close(s->watch.fd);
	s->watch.fd = -1;
	s->have = 0;
}

/* ---- messages: 0, or -EPROTO for what makes no sense ---- */

/* It does not wait for the answer, and is never so far ahead that there is no room for this one. */
static int get_features(struct screen *s)
{
	const struct {
		struct vhost_user_gpu_header header;
		uint32_t none[2];
	} answer = {.header = {VHOST_USER_GPU_GET_PROTOCOL_FEATURES, VHOST_USER_GPU_FLAG_REPLY, sizeof(answer.none)}};

	return send(s->watch.fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(answer) ? 0 : -EPROTO;
}

static int set_features(struct screen *s)
{
	return s->payload.features ? -EPROTO : 0;
}

static void tell_cursor(struct screen *s, unsigned scanout)
{
	if (s->output->ops->cursor)
		s->output->ops->cursor(s->output, scanout, &s->scanouts[scanout].cursor);
}

/* The protocol places the image's corner, an output the hot spot. */
static void place_cursor(struct display_cursor *c, const struct vhost_user_gpu_cursor_pos *pos)
{
	c->x = pos->x + c->hot_x;
	c->y = pos->y + c->hot_y;
}

static int cursor_pos(struct screen *s)
{
	const struct vhost_user_gpu_cursor_pos *pos = &s->payload.pos;
	struct display_cursor *c;

	if (pos->scanout_id >= DISPLAY_MAX_SCANOUTS)
		return -EPROTO;
	c = &s->scanouts[pos->scanout_id].cursor;
	c->moved_only = c->pixels != NULL;
	c->pixels = s->scanouts[pos->scanout_id].cursor_pixels;
	place_cursor(c, pos);
	tell_cursor(s, pos->scanout_id);
	return 0;
}

static int cursor_hide(struct screen *s)
{
	const struct vhost_user_gpu_cursor_pos *pos = &s->payload.pos;

	if (pos->scanout_id >= DISPLAY_MAX_SCANOUTS)
		return -EPROTO;
	s->scanouts[pos->scanout_id].cursor.pixels = NULL;
	s->scanouts[pos->scanout_id].cursor.moved_only = false;
	tell_cursor(s, pos->scanout_id);
	return 0;
}

static int cursor_update(struct screen *s)
{
	const struct vhost_user_gpu_cursor_update *u = &s->payload.cursor;
	struct screen_scanout *o;

	if (u->pos.scanout_id >= DISPLAY_MAX_SCANOUTS || u->hot_x >= CURSOR_SIDE || u->hot_y >= CURSOR_SIDE)
		return -EPROTO;
	o = &s->scanouts[u->pos.scanout_id];
	memcpy(o->cursor_pixels, u->data, sizeof(o->cursor_pixels));
	o->cursor = (struct display_cursor){.hot_x = u->hot_x, .hot_y = u->hot_y, .pixels = o->cursor_pixels};
	place_cursor(&o->cursor, &u->pos);
	tell_cursor(s, u->pos.scanout_id);
	return 0;
}

static uint64_t all_pixels(const struct screen *s)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < DISPLAY_MAX_SCANOUTS; i++)
		sum += (uint64_t)s->scanouts[i].picture.width * s->scanouts[i].picture.height;
	return sum;
}

static void present_scanout(struct screen *s, unsigned scanout)
{
	struct screen_scanout *o = &s->scanouts[scanout];
	const struct display_frame frame = {
		.pixels = o->picture.pixels,
		.width = o->picture.width,
		.height = o->picture.height,
		.stride_bytes = o->picture.width * PIXEL_BYTES,
		.fourcc = DISPLAY_XRGB8888,
		.damage = o->damage,
	};

	if (!o->damage.width)
		return;
	o->damage = (struct display_rect){0};
	o->presented = true;
	/* The next one may do better. */
	if (s->output->ops->present(s->output, scanout, &frame))
		log_line(LOG_TOPIC_DISPLAY, LOG_DEBUG, "screen: display %s did not take a frame", s->output->ops->name);
}

static void blank(struct screen *s, unsigned scanout)
{
	if (s->scanouts[scanout].presented)
		s->output->ops->blank(s->output, scanout);
	s->scanouts[scanout].presented = false;
}

static int scanout(struct screen *s)
{
	const struct vhost_user_gpu_scanout *m = &s->payload.scanout;
	struct screen_scanout *o;

	if (m->scanout_id >= DISPLAY_MAX_SCANOUTS || m->width > MAX_SIDE || m->height > MAX_SIDE || !m->width != !m->height)
		return -EPROTO;
	o = &s->scanouts[m->scanout_id];
	/* The process that takes over shows what the one before did. There may be room now for what had none. */
	if (o->width == m->width && o->height == m->height && (o->picture.pixels || !m->width))
		return 0;
	/* Its last frame may be one to keep. */
	present_scanout(s, m->scanout_id);
	picture_finish(&o->picture);
	o->width = m->width;
	o->height = m->height;
	if (m->width && all_pixels(s) + (uint64_t)m->width * m->height <= MAX_PIXELS &&
	    !picture_resize(&o->picture, m->width, m->height)) {
		memset(o->picture.pixels, 0, picture_bytes(&o->picture));
		return 0;
	}
	/* The guest's user may have chosen it, and will choose another. */
	if (m->width)
		log_guest(LOG_TOPIC_DISPLAY, &s->log_limit, "screen: no room for a picture of %ux%u: it is not shown",
			  m->width, m->height);
	blank(s, m->scanout_id);
	return 0;
}

static int update(struct screen *s)
{
	const struct vhost_user_gpu_update *u = &s->payload.update.update;
	struct screen_scanout *o;

	if (u->scanout_id >= DISPLAY_MAX_SCANOUTS)
		return -EPROTO;
	o = &s->scanouts[u->scanout_id];
	/* Neither sum nor product overflows: what is inside a picture is as small as that. */
	if (u->x > o->width || u->width > o->width - u->x || u->y > o->height || u->height > o->height - u->y ||
	    !u->width || !u->height || s->header.size != sizeof(*u) + (uint64_t)u->width * u->height * PIXEL_BYTES)
		return -EPROTO;
	if (!o->picture.pixels)
		return 0;
	for (uint32_t y = 0; y < u->height; y++)
		memcpy(o->picture.pixels + (size_t)(u->y + y) * o->picture.width + u->x,
		       s->payload.update.pixels + (size_t)y * u->width, u->width * PIXEL_BYTES);
	display_rect_join(&o->damage, &(struct display_rect){u->x, u->y, u->width, u->height});
	return 0;
}

/*
 * What a device without our help for sizes sends. @bytes: of the payload, at least; exact unless @has_more. @ends_turn: it
 * may cost as much as all pixels of the biggest picture.
 */
static const struct {
	uint32_t request;
	uint32_t bytes;
	bool has_more, ends_turn;
	int (*take)(struct screen *s);
} rows[] = {
	{VHOST_USER_GPU_GET_PROTOCOL_FEATURES, 0, false, false, get_features},
	{VHOST_USER_GPU_SET_PROTOCOL_FEATURES, sizeof(uint64_t), false, false, set_features},
	{VHOST_USER_GPU_CURSOR_POS, sizeof(struct vhost_user_gpu_cursor_pos), false, false, cursor_pos},
	{VHOST_USER_GPU_CURSOR_POS_HIDE, sizeof(struct vhost_user_gpu_cursor_pos), false, false, cursor_hide},
	{VHOST_USER_GPU_CURSOR_UPDATE, sizeof(struct vhost_user_gpu_cursor_update), false, false, cursor_update},
	{VHOST_USER_GPU_SCANOUT, sizeof(struct vhost_user_gpu_scanout), false, true, scanout},
	{VHOST_USER_GPU_UPDATE, sizeof(struct vhost_user_gpu_update), true, false, update},
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

/* The row of the message whose header is there; ROW_COUNT: none that fits. */
static size_t find_row(const struct screen *s)
{
	const struct vhost_user_gpu_header *h = &s->header;
	size_t i = 0;

	while (i < ROW_COUNT && rows[i].request != h->request)
		i++;
	if (i == ROW_COUNT || h->flags & VHOST_USER_GPU_FLAG_REPLY || h->size < rows[i].bytes ||
	    (h->size > rows[i].bytes && !rows[i].has_more) || h->size > sizeof(s->payload.update))
		return ROW_COUNT;
	return i;
}

/* ---- the socket ---- */

/* Read what is missing of the message: 1 when it is whole, 0 to wait, or a negative errno. */
static int receive(struct screen *s)
{
	for (;;) {
		const bool in_header = s->have < sizeof(s->header);
		const size_t whole = sizeof(s->header) + (in_header ? 0 : s->header.size);
		char *to = in_header ? (char *)&s->header + s->have : (char *)&s->payload + (s->have - sizeof(s->header));
		ssize_t n;

		if (!in_header && find_row(s) == ROW_COUNT)
			return -EPROTO;
		if (s->have == whole)
			return 1;
		n = recv(s->watch.fd, to, whole - s->have, MSG_DONTWAIT);
		if (n == 0)
			return -EPIPE;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		s->have += (size_t)n;
	}
}

static void present(struct screen *s)
{
	for (unsigned i = 0; i < DISPLAY_MAX_SCANOUTS; i++)
		present_scanout(s, i);
}

static void ready(struct loop_fd *f, uint32_t events)
{
	struct screen *s = f->owner;
	int err = 0;

	(void)events;
	for (unsigned i = 0; i < MESSAGES_AT_ONCE && !err; i++) {
		int n = receive(s);
		size_t row;

		if (n <= 0) {
			err = n;
			break;
		}
		row = find_row(s);
		err = rows[row].take(s);
		s->have = 0;
		if (rows[row].ends_turn)
			break;
	}
	present(s);
	if (!err)
		return;
	if (err == -EPROTO)
		log_line(LOG_TOPIC_DISPLAY, LOG_WARN,
			 "screen: the device's process sends what makes no sense (request %u, %u bytes): its frames are not shown "
			 "any more",
			 s->header.request, s->header.size);
	disconnect(s);
}

/* ---- construction ---- */

int screen_create(struct loop *loop, struct display_output *output, struct screen **out)
{
	struct screen *s = calloc(1, sizeof(*s));

	if (!s) {
		display_destroy(output);
		return -ENOMEM;
	}
	s->loop = loop;
	s->output = output;
	s->watch = (struct loop_fd){.fd = -1, .ready = ready, .owner = s};
	*out = s;
	return 0;
}

int screen_connect(struct screen *s, int fd)
{
	int err;

	disconnect(s);
	s->watch.fd = fd;
	err = loop_add_fd(s->loop, &s->watch, EPOLLIN);
	if (!err)
		return 0;
	s->watch.fd = -1;
	close(fd);
	return err;
}

void screen_destroy(struct screen *s)
{
	if (!s)
		return;
	disconnect(s);
	display_destroy(s->output);
	for (unsigned i = 0; i < DISPLAY_MAX_SCANOUTS; i++)
		picture_finish(&s->scanouts[i].picture);
	free(s);
}
