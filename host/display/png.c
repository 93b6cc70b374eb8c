// SPDX-License-Identifier: MIT
/*
 * The display that writes PNG files: DIR/scanout0-000042.png, every n-th frame and the last one of each scanout.
 * Encoding and disk writes happen on a pool thread, from a copy; when that thread falls behind, frames are dropped
 * and counted, never waited for. Files that are there are left alone: numbers go on behind the last one.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/base/pool.h"
#include "host/display/display.h"
#include "host/display/picture.h"

/* Pictures waiting to be written, per output. */
#define QUEUE_LENGTH 8u
/* And their bytes, though one of any size always may: the guest chooses how big pictures are. */
#define QUEUE_BYTES (96u << 20)
/* A file with a larger number is none of ours. */
#define MAX_NUMBER 999999999999ull
#define CURSOR_PIXELS (64 * 64)

struct png_output;

/* One picture on its way to a file. */
struct png_slot {
	struct pool_job job;
	struct loop_task done;
	struct png_output *owner;
	struct picture picture;
	unsigned scanout;
	uint64_t number;
	int err;
	struct png_slot *next_free;
};

struct png_scanout {
	struct picture shown; /* the last frame, without cursor */
	uint64_t frames;      /* presented; also the number of the last one, counted from 1 after those before */
	uint64_t saved;       /* number of the last frame handed to the writer */
	struct display_cursor cursor;
	uint32_t cursor_pixels[CURSOR_PIXELS];
};

struct png_output {
	struct display_output base;
	struct loop *loop;
	struct pool *pool;
	char *directory;
	uint64_t every;
	struct png_scanout scanouts[DISPLAY_MAX_SCANOUTS];
	struct png_slot slots[QUEUE_LENGTH];
	struct png_slot *free_slots;
	/* Of the pool thread: the numbers of files that were there before the first of ours. */
	bool looked;
	uint64_t before[DISPLAY_MAX_SCANOUTS];
	size_t queued_bytes;
	uint64_t written, dropped;
	struct log_limit log_limit;
};

static struct png_output *from_base(struct display_output *o)
{
	return (struct png_output *)o;
}

/* Whether the newest frame is one that every= asks for. */
static bool is_due(const struct png_output *o, const struct png_scanout *s)
{
	return (s->frames - 1) % o->every == 0;
}

/*
 * The worker before this one wrote here, or a machine before this one. Not before the first picture: a spare worker is
 * there while the other still writes.
 */
static void look_for_files(struct png_output *o)
{
	DIR *d = opendir(o->directory);
	const struct dirent *e;

	o->looked = true;
	if (!d) {
		log_line(LOG_TOPIC_DISPLAY, LOG_WARN,
			 "png: can't read %s: %s; pictures are numbered from 1, over those that may be there",
			 o->directory, strerror(errno));
		return;
	}
	while ((e = readdir(d)) != NULL) {
		unsigned long long number;
		unsigned scanout;
		int end = 0;

		if (sscanf(e->d_name, "scanout%u-%llu.png%n", &scanout, &number, &end) == 2 && end && !e->d_name[end] &&
		    scanout < DISPLAY_MAX_SCANOUTS && number <= MAX_NUMBER && number > o->before[scanout])
			o->before[scanout] = number;
	}
	closedir(d);
}

static int write_picture(struct png_output *o, const struct picture *p, unsigned scanout, uint64_t number)
{
	char path[4096];
	int err;

	if (!o->looked)
		look_for_files(o);
	number += o->before[scanout];
	snprintf(path, sizeof(path), "%s/scanout%u-%06llu.png", o->directory, scanout, (unsigned long long)number);
	err = picture_write_png(p, path);
	if (err == 0)
		log_line(LOG_TOPIC_DISPLAY, LOG_DEBUG, "wrote %s, %ux%u", path, p->width, p->height);
	return err;
}

static void write_slot(struct pool_job *j)
{
	struct png_slot *slot = j->owner;

	slot->err = write_picture(slot->owner, &slot->picture, slot->scanout, slot->number);
	loop_post(slot->owner->loop, &slot->done);
}

static void slot_done(struct loop_task *t)
{
	struct png_slot *slot = t->owner;
	struct png_output *o = slot->owner;

	slot->next_free = o->free_slots;
	o->free_slots = slot;
	o->queued_bytes -= picture_bytes(&slot->picture);
	/* Kept for the next one only where that is cheap. */
	if (slot->picture.capacity_bytes > QUEUE_BYTES / QUEUE_LENGTH)
		picture_finish(&slot->picture);
	if (slot->err < 0)
		log_guest(LOG_TOPIC_DISPLAY, &o->log_limit, "png: can't write to %s: %s; free space or check the permissions",
			  o->directory, strerror(-slot->err));
	else
		o->written++;
}

/* Parse "DIR[,every=N]". */
static int parse(struct png_output *o, const char *argument)
{
	static const char every[] = "every=";
	char *comma, *end;

	o->every = 1;
	o->directory = strdup(argument);
	if (!o->directory)
		return -ENOMEM;
	comma = strrchr(o->directory, ',');
	if (comma && strncmp(comma + 1, every, strlen(every)) == 0) {
		const char *number = comma + 1 + strlen(every);

		errno = 0;
		o->every = strtoull(number, &end, 10);
		if (*number < '1' || *number > '9' || *end != '\0' || errno != 0) {
			log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "png:%s: every=%s: write a number, 1 or more", argument, number);
			return -EINVAL;
		}
		*comma = '\0';
	} else if (comma && !strchr(comma, '/') && strchr(comma, '=')) {
		/* A mistyped option would become part of the directory's name, and every frame a file. */
		log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "png:%s: no option '%s'; there is every=N", argument, comma + 1);
		return -EINVAL;
	}
	if (o->directory[0] == '\0') {
		log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "png: no directory; write --display png:DIR");
		return -EINVAL;
	}
	if (strlen(o->directory) > 4000) {
		log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "png: the directory's name is too long; use a shorter one");
		return -ENAMETOOLONG;
	}
	return 0;
}

static int make_directory(const char *path)
{
	struct stat st;

	if (mkdir(path, 0777) < 0 && errno != EEXIST) {
		int err = -errno;

		log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "png: can't create directory %s: %s", path, strerror(-err));
		return err;
	}
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "png: %s is not a directory; name another", path);
		return -ENOTDIR;
	}
	if (access(path, W_OK | X_OK) < 0) {
		log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "png: no permission to write into %s; name another directory", path);
		return -EACCES;
	}
	return 0;
}

static int create(struct loop *loop, const char *argument, struct input_sink *input, struct display_output **out)
{
	struct png_output *o = calloc(1, sizeof(*o));
	int err;

	(void)input; /* files have no user */
	if (!o)
		return -ENOMEM;
	o->base.ops = &display_png_ops;
	o->loop = loop;
	err = parse(o, argument);
	if (err == 0)
		err = make_directory(o->directory);
	if (err == 0) {
		err = pool_create("png", 1, &o->pool);
		if (err < 0)
			log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "png: no thread to write files with: %s", strerror(-err));
	}
	if (err < 0) {
		free(o->directory);
		free(o);
		return err;
	}
	for (unsigned i = 0; i < QUEUE_LENGTH; i++) {
		struct png_slot *slot = &o->slots[i];

		slot->owner = o;
		slot->job = (struct pool_job){.work = write_slot, .owner = slot};
		slot->done = (struct loop_task){.run = slot_done, .owner = slot};
		slot->next_free = o->free_slots;
		o->free_slots = slot;
	}
	*out = &o->base;
	return 0;
}

/* Hand the picture of @scanout to the writer: 0, -EAGAIN while too many wait, -ENOMEM. */
static int save(struct png_output *o, unsigned scanout)
{
	struct png_scanout *s = &o->scanouts[scanout];
	struct png_slot *slot = o->free_slots;
	int err;

	if (!slot || (o->queued_bytes > 0 && o->queued_bytes + picture_bytes(&s->shown) > QUEUE_BYTES))
		return -EAGAIN;
	err = picture_copy(&slot->picture, &s->shown);
	if (err < 0)
		return err;
	picture_draw_cursor(&slot->picture, &s->cursor);
	o->free_slots = slot->next_free;
	o->queued_bytes += picture_bytes(&slot->picture);
	slot->scanout = scanout;
	slot->number = s->frames;
	s->saved = s->frames;
	pool_submit(o->pool, &slot->job);
	return 0;
}

static int present(struct display_output *base, unsigned scanout, const struct display_frame *frame)
{
	struct png_output *o = from_base(base);
	struct png_scanout *s = &o->scanouts[scanout];
	const struct display_rect whole = {0, 0, frame->width, frame->height};
	bool same_size = s->shown.pixels && s->shown.width == frame->width && s->shown.height == frame->height;
	int err;

	err = picture_update(&s->shown, frame, same_size ? &frame->damage : &whole);
	if (err < 0)
		return err;
	s->frames++;
	if (!is_due(o, s))
		return 0;
	err = save(o, scanout);
	if (err != -EAGAIN)
		return err;
	/* Told once; how many it were is told at the end. */
	log_line(LOG_TOPIC_DISPLAY, o->dropped++ ? LOG_DEBUG : LOG_WARN,
		 "png: frame %llu of scanout %u dropped: files are written slower than frames come; raise every=",
		 (unsigned long long)s->frames, scanout);
	return 0;
}

/* The last frame of what was shown so far becomes a file, whatever every= says; if not now, then in destroy(). */
static void blank(struct display_output *base, unsigned scanout)
{
	struct png_output *o = from_base(base);
	struct png_scanout *s = &o->scanouts[scanout];

	if (s->saved != s->frames && save(o, scanout) == 0 && is_due(o, s))
		o->dropped--; /* counted when it came */
	/* The guest's scanouts, one after the other, may be as big as its whole memory limit. */
	if (s->saved == s->frames)
		picture_finish(&s->shown);
}

static void cursor(struct display_output *base, unsigned scanout, const struct display_cursor *c)
{
	struct png_scanout *s = &from_base(base)->scanouts[scanout];

	if (c->pixels && !c->moved_only)
		memcpy(s->cursor_pixels, c->pixels, sizeof(s->cursor_pixels));
	s->cursor = *c;
	s->cursor.pixels = c->pixels ? s->cursor_pixels : NULL;
}

static void destroy(struct display_output *base)
{
	struct png_output *o = from_base(base);

	/* Afterwards every queued picture was written, and its result is posted. */
	pool_destroy(o->pool);
	for (unsigned i = 0; i < QUEUE_LENGTH; i++) {
		if (loop_unpost(o->loop, &o->slots[i].done))
			slot_done(&o->slots[i].done);
	}
	for (unsigned i = 0; i < DISPLAY_MAX_SCANOUTS; i++) {
		struct png_scanout *s = &o->scanouts[i];

		if (s->saved != s->frames) {
			int err;

			if (is_due(o, s))
				o->dropped--;
			picture_draw_cursor(&s->shown, &s->cursor);
			err = write_picture(o, &s->shown, i, s->frames);
			if (err < 0)
				log_line(LOG_TOPIC_DISPLAY, LOG_WARN, "png: can't write to %s: %s", o->directory, strerror(-err));
			else
				o->written++;
		}
		picture_finish(&s->shown);
	}
	for (unsigned i = 0; i < QUEUE_LENGTH; i++)
		picture_finish(&o->slots[i].picture);
	if (o->written > 0)
		log_line(LOG_TOPIC_DISPLAY, LOG_INFO, "png: %llu pictures in %s, %llu dropped", (unsigned long long)o->written,
			 o->directory, (unsigned long long)o->dropped);
	free(o->directory);
	free(o);
}

const struct display_output_ops display_png_ops = {
	.name = "png",
	.help = "png:DIR[,every=N]: every n-th frame as a PNG file in DIR (created if missing), and the last one",
	.create = create,
	.present = present,
	.blank = blank,
	.cursor = cursor,
	.destroy = destroy,
};
