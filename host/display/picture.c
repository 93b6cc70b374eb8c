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

static int resize(struct picture *p, uint32_t width, uint32_t height)
{
	size_t bytes = (size_t)width * height * 3;

	if (!p->rgb || bytes > p->capacity_bytes) {
		uint8_t *rgb = malloc(bytes);

		if (!rgb)
			return -ENOMEM;
		free(p->rgb);
		p->rgb = rgb;
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
	if (!p->rgb || p->width != frame->width || p->height != frame->height) {
		err = resize(p, frame->width, frame->height);
		if (err < 0)
			return err;
	}
	for (uint32_t y = rect->y; y < rect->y + rect->height; y++) {
		const uint8_t *row = (const uint8_t *)frame->pixels + (size_t)y * frame->stride_bytes;
		const uint32_t *src = (const uint32_t *)(const void *)row + rect->x;
		uint8_t *dst = p->rgb + ((size_t)y * p->width + rect->x) * 3;

		for (uint32_t x = 0; x < rect->width; x++, dst += 3) {
			dst[0] = (uint8_t)(src[x] >> format->red_shift);
			dst[1] = (uint8_t)(src[x] >> format->green_shift);
			dst[2] = (uint8_t)(src[x] >> format->blue_shift);
		}
	}
	return 0;
}

int picture_copy(struct picture *p, const struct picture *from)
{
	int err = resize(p, from->width, from->height);

	if (err == 0)
		memcpy(p->rgb, from->rgb, (size_t)from->width * from->height * 3);
	return err;
}

/* Premultiplied source over opaque destination; a careless guest's colour above its alpha must not wrap. */
static uint8_t over(uint32_t src, uint32_t alpha, uint8_t dst)
{
	uint32_t v = src + (dst * (255 - alpha) + 127) / 255;

	return (uint8_t)(v > 255 ? 255 : v);
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
			uint8_t *dst;

			if (left + x < 0 || left + x >= p->width)
				continue;
			dst = p->rgb + ((size_t)(top + y) * p->width + (size_t)(left + x)) * 3;
			dst[0] = over(pixel >> 16 & 0xff, alpha, dst[0]);
			dst[1] = over(pixel >> 8 & 0xff, alpha, dst[1]);
			dst[2] = over(pixel & 0xff, alpha, dst[2]);
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
	for (uint32_t y = 0; y < p->height; y++)
		png_write_row(png, p->rgb + (size_t)y * p->width * 3);
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
	free(p->rgb);
	memset(p, 0, sizeof(*p));
}
