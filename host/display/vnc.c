// SPDX-License-Identifier: MIT
/*
 * The display that VNC viewers look at and type into: a listening socket for each scanout, made when the scanout first
 * shows something, and a fixed number of places for viewers (vnc_viewer.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "host/base/accept.h"
#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/display/display.h"
#include "host/display/vnc_listen.h"
#include "host/display/vnc_viewer.h"

#define MAX_VIEWERS 8u
/* The guest chooses how big a picture is, and each viewer has its own: 8192 x 4096 are 128 MiB. */
#define MAX_PIXELS (8192u * 4096u)
#define MAX_SIDE 16384u
/* Until a guest shows something. */
#define FIRST_WIDTH 640u
#define FIRST_HEIGHT 480u
/* Of a scanout that shows nothing, this much is kept, one of 4K: the guest's limit is one of what it shows at a time. */
#define BLANK_PIXELS (3840u * 2160u)
/* RFB's own way to prove a password sees no more of it. */
#define PASSWORD_BYTES 8u

struct vnc_door {
	struct loop_fd watch;
	struct vnc_listener listener;
	struct accept_backoff backoff;
	struct vnc_output *owner;
	bool opened; /* or tried to be */
};

struct vnc_output {
	struct display_output base;
	struct loop *loop;
	struct vnc_address address;
	struct vnc_shared shared;
	struct vnc_door doors[DISPLAY_MAX_SCANOUTS];
	struct vnc_viewer *viewers[MAX_VIEWERS];
	struct log_limit log_limit;
};

static struct vnc_output *from_base(struct display_output *o)
{
	return (struct vnc_output *)o;
}

/* ---- options ---- */

static int read_password(struct vnc_output *o, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[256] = "";
	int err = file ? 0 : -errno;

	if (file && !fgets(line, sizeof(line), file) && ferror(file))
		err = -errno;
	if (file)
		fclose(file);
	if (err < 0) {
		log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "vnc: password=%s: can't read it: %s", path, strerror(-err));
		return err;
	}
	line[strcspn(line, "\r\n")] = '\0';
	if (!*line) {
		log_line(LOG_TOPIC_DISPLAY, LOG_ERROR,
			 "vnc: password=%s: its first line is empty; write the password there", path);
		return -EINVAL;
	}
	if (strlen(line) > PASSWORD_BYTES)
		log_line(LOG_TOPIC_DISPLAY, LOG_WARN,
			 "vnc: password=%s: of VNC passwords only the first %u bytes count", path, PASSWORD_BYTES);
	line[PASSWORD_BYTES] = '\0';
	o->shared.password = strdup(line);
	explicit_bzero(line, sizeof(line));
	return o->shared.password ? 0 : -ENOMEM;
}

/* "[ADDR][,password=FILE]" */
static int parse(struct vnc_output *o, const char *argument)
{
	static const char password[] = "password=";
	char *words = strdup(argument), *rest = words, *word;
	int err;

	if (!words)
		return -ENOMEM;
	err = vnc_address_parse(&o->address, strsep(&rest, ","));
	while (err == 0 && (word = strsep(&rest, ",")) != NULL) {
		if (strncmp(word, password, strlen(password)) == 0 && !o->shared.password) {
			err = read_password(o, word + strlen(password));
		} else {
			log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "vnc: no option '%s'; there is password=FILE, once",
				 word);
			err = -EINVAL;
		}
	}
	free(words);
	return err;
}

/* ---- viewers ---- */

static void arrived(struct loop_fd *f, uint32_t events)
{
	struct vnc_door *door = f->owner;
	struct vnc_output *o = door->owner;
	int fd = accept_or_back_off(&door->backoff, o->loop, f, 0, LOG_TOPIC_DISPLAY, "vnc");

	(void)events;
	if (fd < 0)
		return; /* gone again, or to come again */
	for (unsigned i = 0; i < MAX_VIEWERS; i++) {
		if (!vnc_viewer_is_free(o->viewers[i]))
			continue;
		vnc_viewer_start(o->viewers[i], fd, (unsigned)(door - o->doors));
		return;
	}
	log_guest(LOG_TOPIC_DISPLAY, &o->log_limit, "vnc: %u viewers are there already; another was turned away",
		  MAX_VIEWERS);
	close(fd);
}

static int open_door(struct vnc_output *o, unsigned scanout)
{
	struct vnc_door *door = &o->doors[scanout];
	int err;

	door->opened = true;
	err = vnc_listen(&o->address, scanout, &door->listener);
	if (err < 0)
		return err;
	door->watch = (struct loop_fd){.fd = door->listener.fd, .ready = arrived, .owner = door};
	err = loop_add_fd(o->loop, &door->watch, EPOLLIN);
	if (err < 0) {
		vnc_listener_close(&door->listener);
		return err;
	}
	log_line(LOG_TOPIC_DISPLAY, LOG_INFO, "vnc: display %u is at %s; look at it with: vncviewer %s", scanout,
		 door->listener.name, door->listener.name);
	return 0;
}

static void tell(struct vnc_output *o, unsigned scanout, const struct display_rect *damage, bool cursor_image)
{
	for (unsigned i = 0; i < MAX_VIEWERS; i++)
		vnc_viewer_tell(o->viewers[i], scanout, damage, cursor_image);
}

static void wake(struct vnc_output *o, unsigned scanout)
{
	for (unsigned i = 0; i < MAX_VIEWERS; i++)
		vnc_viewer_wake(o->viewers[i], scanout);
}

/* ---- the output ---- */

/* Write "the guest shows nothing" in the middle of black, in letters of 5 x 7 points. */
static void draw_nothing(struct picture *p)
{
	static const char text[] = "the guest shows nothing";
	static const struct {
		char letter;
		uint8_t rows[7]; /* bit 4 is at the left */
	} font[] = {
		{'e', {0x00, 0x00, 0x0e, 0x11, 0x1f, 0x10, 0x0e}}, {'g', {0x00, 0x0f, 0x11, 0x11, 0x0f, 0x01, 0x0e}},
		{'h', {0x10, 0x10, 0x16, 0x19, 0x11, 0x11, 0x11}}, {'i', {0x04, 0x00, 0x0c, 0x04, 0x04, 0x04, 0x0e}},
		{'n', {0x00, 0x00, 0x16, 0x19, 0x11, 0x11, 0x11}}, {'o', {0x00, 0x00, 0x0e, 0x11, 0x11, 0x11, 0x0e}},
		{'s', {0x00, 0x00, 0x0f, 0x10, 0x0e, 0x01, 0x1e}}, {'t', {0x08, 0x08, 0x1c, 0x08, 0x08, 0x09, 0x06}},
		{'u', {0x00, 0x00, 0x11, 0x11, 0x11, 0x13, 0x0d}}, {'w', {0x00, 0x00, 0x11, 0x11, 0x15, 0x15, 0x0a}},
	};
	enum { SCALE = 2, STEP = 6 * SCALE, WIDTH = (sizeof(text) - 1) * STEP, HEIGHT = 7 * SCALE };
	uint32_t left, top;

	memset(p->pixels, 0, picture_bytes(p));
	if (p->width < WIDTH || p->height < HEIGHT)
		return;
	left = (p->width - WIDTH) / 2;
	top = (p->height - HEIGHT) / 2;
	for (unsigned i = 0; text[i]; i++) {
		unsigned g = 0;

		while (g < sizeof(font) / sizeof(font[0]) && font[g].letter != text[i])
			g++;
		for (unsigned n = 0; g < sizeof(font) / sizeof(font[0]) && n < STEP * HEIGHT; n++) {
			const uint32_t x = n % STEP, y = n / STEP;

			if (x < 5 * SCALE && font[g].rows[y / SCALE] >> (4 - x / SCALE) & 1)
				p->pixels[(size_t)(top + y) * p->width + left + i * STEP + x] = 0x808080;
		}
	}
}

static void destroy(struct display_output *base)
{
	struct vnc_output *o = from_base(base);

	for (unsigned i = 0; i < DISPLAY_MAX_SCANOUTS; i++) {
		if (o->doors[i].listener.fd >= 0)
			loop_remove_fd(o->loop, &o->doors[i].watch);
		accept_backoff_end(&o->doors[i].backoff);
		vnc_listener_close(&o->doors[i].listener);
	}
	for (unsigned i = 0; i < MAX_VIEWERS; i++)
		vnc_viewer_destroy(o->viewers[i]);
	for (unsigned i = 0; i < DISPLAY_MAX_SCANOUTS; i++)
		picture_finish(&o->shared.scanouts[i].shown);
	pthread_mutex_destroy(&o->shared.lock);
	if (o->shared.password)
		explicit_bzero(o->shared.password, strlen(o->shared.password));
	free(o->shared.password);
	free(o);
}

static int create(struct loop *loop, const char *argument, struct input_sink *input, struct display_output **out)
{
	struct vnc_output *o = calloc(1, sizeof(*o));
	struct picture *first;
	int err;

	if (!o)
		return -ENOMEM;
	o->base.ops = &display_vnc_ops;
	o->loop = loop;
	o->shared.input = input;
	pthread_mutex_init(&o->shared.lock, NULL);
	for (unsigned i = 0; i < DISPLAY_MAX_SCANOUTS; i++) {
		o->doors[i].owner = o;
		o->doors[i].listener.fd = -1;
	}
	err = parse(o, argument);
	first = &o->shared.scanouts[0].shown;
	if (err == 0)
		err = picture_resize(first, FIRST_WIDTH, FIRST_HEIGHT);
	if (err == 0)
		draw_nothing(first);
	for (unsigned i = 0; i < MAX_VIEWERS && err == 0; i++)
		err = vnc_viewer_create(&o->shared, loop, &o->viewers[i]);
	if (err == 0)
		err = open_door(o, 0);
	if (err < 0) {
		if (err == -ENOMEM)
			log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "vnc: no memory");
		destroy(&o->base);
		return err;
	}
	if (!vnc_address_is_local(&o->address) && !o->shared.password)
		log_line(LOG_TOPIC_DISPLAY, LOG_WARN,
			 "vnc: whoever reaches %s sees and uses this guest; add password=FILE, or leave the address "
			 "out and come "
			 "by ssh -L",
			 o->doors[0].listener.name);
	*out = &o->base;
	return 0;
}

static int present(struct display_output *base, unsigned scanout, const struct display_frame *frame)
{
	struct vnc_output *o = from_base(base);
	struct vnc_scanout *s = &o->shared.scanouts[scanout];
	const struct display_rect whole = {0, 0, frame->width, frame->height};
	const struct display_rect *damage;
	int err;

	if (frame->width > MAX_SIDE || frame->height > MAX_SIDE || (uint64_t)frame->width * frame->height > MAX_PIXELS)
		return -E2BIG;
	pthread_mutex_lock(&o->shared.lock);
	damage = s->is_used && s->shown.width == frame->width && s->shown.height == frame->height ? &frame->damage
												  : &whole;
	err = picture_update(&s->shown, frame, damage);
	if (err == 0) {
		s->is_used = true;
		tell(o, scanout, damage, false);
	}
	pthread_mutex_unlock(&o->shared.lock);
	if (err < 0)
		return err;
	if (!o->doors[scanout].opened)
		open_door(o, scanout); /* a viewer of this one is lost, not the guest */
	wake(o, scanout);
	return 0;
}

static void blank(struct display_output *base, unsigned scanout)
{
	struct vnc_output *o = from_base(base);
	struct vnc_scanout *s = &o->shared.scanouts[scanout];
	struct display_rect whole;

	if (!s->shown.pixels)
		return;
	pthread_mutex_lock(&o->shared.lock);
	/* Without memory for a small one it stays as it is. */
	if ((uint64_t)s->shown.width * s->shown.height > BLANK_PIXELS)
		(void)picture_resize(&s->shown, FIRST_WIDTH, FIRST_HEIGHT);
	draw_nothing(&s->shown);
	s->is_used = false;
	whole = (struct display_rect){0, 0, s->shown.width, s->shown.height};
	tell(o, scanout, &whole, false);
	pthread_mutex_unlock(&o->shared.lock);
	wake(o, scanout);
}

static void cursor(struct display_output *base, unsigned scanout, const struct display_cursor *c)
{
	struct vnc_output *o = from_base(base);
	struct vnc_scanout *s = &o->shared.scanouts[scanout];

	pthread_mutex_lock(&o->shared.lock);
	if (c->pixels && !c->moved_only)
		memcpy(s->cursor_pixels, c->pixels, sizeof(s->cursor_pixels));
	s->cursor = *c;
	s->cursor.pixels = c->pixels ? s->cursor_pixels : NULL;
	tell(o, scanout, NULL, !c->moved_only);
	pthread_mutex_unlock(&o->shared.lock);
	wake(o, scanout);
}

const struct display_output_ops display_vnc_ops = {
	.name = "vnc",
	.help = "vnc[:ADDR][,password=FILE]: for VNC viewers, who can use keys and pointer (default 127.0.0.1, port "
		"5900 up)",
	.create = create,
	.present = present,
	.blank = blank,
	.cursor = cursor,
	.destroy = destroy,
};
