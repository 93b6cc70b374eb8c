// SPDX-License-Identifier: MIT
#include "host/display/picture.h"

#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/display/format.h"

#define CURSOR_SIZE 64

void display_rect_join(struct display_rect *into, const struct display_rect *r)
{
	const uint32_t right = into->x + into->width, bottom = into->y + into->height;
	const uint32_t r_right = r->x + r->width, r_bottom = r->y + r->height;

	if (into->width == 0 || into->height == 0) {
		*into = *r;
		return;
	}
	into->x = r->x < into->x ? r->x : into->x;
	into->y = r->y < into->y ? r->y : into->y;
	into->width = (r_right > right ? r_right : right) - into->x;
	into->height = (r_bottom > bottom ? r_bottom : bottom) - into->y;
}

size_t picture_bytes(const struct picture *p)
{
	return (size_t)p->width * p->height * sizeof(*p->pixels);
}

int picture_resize(struct picture *p, uint32_t width, uint32_t height)
{
	size_t bytes = (size_t)width * height * sizeof(*p->pixels);

	/* The guest may show a big picture once, on each scanout: what is much too big is not kept. */
	if (!p->pixels || bytes > p->capacity_bytes || bytes < p->capacity_bytes / 4) {
		uint32_t *pixels = malloc(bytes);

		if (!pixels)
			return -ENOMEM;
		free(p->pixels);
		p->pixels = pixels;
		p->capacity_bytes = bytes;
	}
	p->width = width;
	p->height = height;
	return 0;
}

int picture_update(struct picture *p, const struct display_frame *frame, const struct display_rect *rect)
{
	const struct display_format *format = display_format_find(frame->fourcc);
	int err;

	if (!format || frame->width == 0 || frame->height == 0)
		return -EINVAL;
	if (!p->pixels || p->width != frame->width || p->height != frame->height) {
		err = picture_resize(p, frame->width, frame->height);
		if (err < 0)
			return err;
	}
	for (uint32_t y = rect->y; y < rect->y + rect->height; y++) {
		const uint8_t *row = (const uint8_t *)frame->pixels + (size_t)y * frame->stride_bytes;

		display_format_to_xrgb(format, (const uint32_t *)(const void *)row + rect->x,
				       p->pixels + (size_t)y * p->width + rect->x, rect->width);
	}
	return 0;
}

int picture_copy(struct picture *p, const struct picture *from)
{
	int err = picture_resize(p, from->width, from->height);

	if (err == 0)
		memcpy(p->pixels, from->pixels, picture_bytes(from));
	return err;
}

void picture_copy_rect(struct picture *p, const struct picture *from, const struct display_rect *rect)
{
	const uint32_t right = rect->x + rect->width, bottom = rect->y + rect->height;
	const uint32_t width = p->width < from->width ? p->width : from->width;
	const uint32_t height = p->height < from->height ? p->height : from->height;

	for (uint32_t y = rect->y; y < bottom && y < height && rect->x < width; y++)
		memcpy(p->pixels + (size_t)y * p->width + rect->x, from->pixels + (size_t)y * from->width + rect->x,
		       ((right < width ? right : width) - rect->x) * sizeof(*p->pixels));
}

/*
 * The component at @shift: premultiplied source over opaque destination. A careless guest's colour above its alpha must
 * not wrap.
 */
static uint32_t over(uint32_t src, uint32_t alpha, uint32_t dst, unsigned shift)
{
	uint32_t v = (src >> shift & 0xff) + ((dst >> shift & 0xff) * (255 - alpha) + 127) / 255;

	return (v > 255 ? 255 : v) << shift;
}

void picture_draw_cursor(struct picture *p, const struct display_cursor *cursor)
{
	/* May be negative: the image can stick out to the left and above. */
	const int64_t left = (int32_t)(cursor->x - cursor->hot_x), top = (int32_t)(cursor->y - cursor->hot_y);

	if (!cursor->pixels)
		return;
	for (int y = 0; y < CURSOR_SIZE; y++) {
		if (top + y < 0 || top + y >= p->height)
			continue;
		for (int x = 0; x < CURSOR_SIZE; x++) {
			const uint32_t pixel = cursor->pixels[y * CURSOR_SIZE + x], alpha = pixel >> 24;
			uint32_t *dst;

			if (left + x < 0 || left + x >= p->width)
				continue;
			dst = p->pixels + (size_t)(top + y) * p->width + (size_t)(left + x);
			*dst = over(pixel, alpha, *dst, 16) | over(pixel, alpha, *dst, 8) | over(pixel, alpha, *dst, 0);
		}
	}
}

/* libpng would print by itself; what the file system said is in errno, and the caller reports that. */
static void on_error(png_structp png, png_const_charp message)
{
	(void)message;
	png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
	(void)png;
	(void)message;
}

/* libpng reports by longjmp: everything that must survive one lives in the caller's frame. */
static int encode(const struct picture *p, FILE *file, png_structp png, png_infop info)
{
	errno = 0;
	if (setjmp(png_jmpbuf(png)))
		return errno ? -errno : -EIO;
	png_init_io(png, file);
	png_set_IHDR(png, info, p->width, p->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
		     PNG_FILTER_TYPE_DEFAULT);
	/* Frames come fast: a third more bytes cost a fifth of the time. */
	png_set_compression_level(png, 1);
	png_set_filter(png, 0, PNG_FILTER_SUB);
	png_write_info(png, info);
	/* A row is blue, green, red and a byte that means nothing. */
	png_set_bgr(png);
	png_set_filler(png, 0, PNG_FILLER_AFTER);
	for (uint32_t y = 0; y < p->height; y++)
		png_write_row(png, (png_const_bytep)(p->pixels + (size_t)y * p->width));
	png_write_end(png, info);
	return 0;
}

/* Closes @file. */
static int write_file(const struct picture *p, FILE *file)
{
	png_infop info = NULL;
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning);
	int err;

	if (png)
		info = png_create_info_struct(png);
	err = info ? encode(p, file, png, info) : -ENOMEM;
	if (png)
		png_destroy_write_struct(&png, &info);
	if (fclose(file) != 0 && err == 0)
		err = -errno;
	return err;
}

int picture_write_png_fd(const struct picture *p, int fd)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	FILE *file = own < 0 ? NULL : fdopen(own, "wb");
	int err;

	if (file)
		return write_file(p, file);
	err = -errno;
	if (own >= 0)
		close(own);
	return err;
}

int picture_write_png(const struct picture *p, const char *path)
{
	char part[4096 + 8];
	FILE *file;
	int err;

	if ((size_t)snprintf(part, sizeof(part), "%s.part", path) >= sizeof(part))
		return -ENAMETOOLONG;
	file = fopen(part, "wbe");
	if (!file)
		return -errno;
	err = write_file(p, file);
	if (err == 0 && rename(part, path) < 0)
		err = -errno;
	if (err < 0)
		unlink(part);
	return err;
}

void picture_finish(struct picture *p)
{
	free(p->pixels);
	memset(p, 0, sizeof(*p));
}
