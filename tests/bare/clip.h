/* SPDX-License-Identifier: MIT */
/*
 * An H.264 clip that is played from the initial RAM disk: its access units, each of which begins with a delimiter, and its
 * pictures.
 */
#ifndef MULLION_TESTS_BARE_CLIP_H
#define MULLION_TESTS_BARE_CLIP_H

#include <stddef.h>
#include <stdint.h>

/* Where the access unit at @at ends. */
size_t clip_unit_end(const uint8_t *data, size_t bytes, size_t at);

enum { CLIP_MAX_PICTURES = 64 };

/* Of a clip that is played again and again; a play begins with @count as 0. */
struct clip_pictures {
	unsigned count, expected;
	unsigned odd; /* that were not what they were the first time */
	uint32_t sums[CLIP_MAX_PICTURES];
};

/* The next one is the @bytes at @p. The first time that a picture comes it is believed. */
void clip_check_picture(struct clip_pictures *c, const uint8_t *p, uint32_t bytes);

#endif
