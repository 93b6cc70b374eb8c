// SPDX-License-Identifier: MIT
/*
 * Sources: VESA E-EDID 1.4 (base block), VESA CVT 1.2 (timing formula, reduced blanking version 1), VESA DisplayID
 * 1.3 (extension with a type I detailed timing).
 */
#include "host/gpu/edid.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define REFRESH_HZ 60u
/* Size in millimetres is reckoned at 96 pixels an inch, the density that desktops expect when unscaled. */
#define DOTS_PER_INCH 96u

/* Limits of a detailed timing descriptor: 12-bit sizes, 16-bit clock in units of 10 kHz. */
#define DTD_MAX_SIZE 4095u
#define DTD_MAX_CLOCK_KHZ 655350u

/* A mode for guests that read only the base block of a bigger display. */
#define FALLBACK_WIDTH 1920u
#define FALLBACK_HEIGHT 1080u

/* CVT's way to tell the aspect ratio on the wire: the width of the vertical sync. */
static uint32_t cvt_v_sync(uint32_t width, uint32_t height)
{
	if (width == height * 4 / 3)
		return 4;
	if (width == height * 16 / 9)
		return 5;
	if (width == height * 16 / 10)
		return 6;
	if (width == height * 5 / 4 || width == height * 15 / 9)
		return 7;
	return 10;
}

/* What range limits can say: 510 kHz (255 plus the offset flag's 255) and 255 times 10 MHz. */
#define MAX_LINE_KHZ 510u
#define MAX_CLOCK_KHZ 2550000u
/* Below this a detailed timing is taken for garbage. */
#define MIN_CLOCK_KHZ 10000u

static uint64_t clock_khz(const struct edid_timing *t, uint32_t refresh_hz)
{
	return (uint64_t)refresh_hz * t->h_total * t->v_total / 1000;
}

static void reduced_at(uint32_t width, uint32_t height, uint32_t refresh_hz, struct edid_timing *out)
{
	const uint32_t v_sync = cvt_v_sync(width, height), v_front = 3, min_v_back = 6, min_blank_us = 460;
	/* Lines that fit in the minimum blanking: 460 us / (time of one line), rounded down, plus one. */
	uint64_t line_ns = (1000000000u / refresh_hz - min_blank_us * 1000) / height;
	uint32_t v_blank = (uint32_t)(min_blank_us * 1000ull / (line_ns ? line_ns : 1)) + 1;

	if (v_blank < v_front + v_sync + min_v_back)
		v_blank = v_front + v_sync + min_v_back;
	*out = (struct edid_timing){
		.h_active = width,
		.h_front = 48,
		.h_sync = 32,
		.h_total = width + 160,
		.v_active = height,
		.v_front = v_front,
		.v_sync = v_sync,
		.v_total = height + v_blank,
	};
}

void edid_timing_reduced(uint32_t width, uint32_t height, struct edid_timing *out)
{
	uint32_t refresh_hz = REFRESH_HZ;
	uint64_t khz;

	reduced_at(width, height, refresh_hz, out);
	/* A size that no link could carry at 60 Hz is refreshed less often; a tiny one is blanked longer. */
	while (refresh_hz > 1 && (clock_khz(out, refresh_hz) > MAX_CLOCK_KHZ || refresh_hz * out->v_total > MAX_LINE_KHZ * 1000)) {
		refresh_hz /= 2;
		reduced_at(width, height, refresh_hz, out);
	}
	while (clock_khz(out, refresh_hz) < MIN_CLOCK_KHZ + 250) {
		out->h_total += 32;
		out->v_total += 32;
	}
	khz = clock_khz(out, refresh_hz);
	out->clock_khz = (uint32_t)(khz - khz % 250); /* CVT's step */
}

static bool fits_dtd(const struct edid_timing *t)
{
	return t->h_active <= DTD_MAX_SIZE && t->v_active <= DTD_MAX_SIZE && t->clock_khz <= DTD_MAX_CLOCK_KHZ &&
	       t->v_total - t->v_active <= DTD_MAX_SIZE;
}

struct size {
	uint32_t width_mm, height_mm;
};

/* Both 0 (unknown) if either is under 100 mm: in the base block's whole centimetres the ratio would be too coarse. */
static struct size size_of(const struct edid_info *info)
{
	const struct size s = {info->width * 254 / (DOTS_PER_INCH * 10), info->height * 254 / (DOTS_PER_INCH * 10)};

	return s.width_mm >= 100 && s.height_mm >= 100 ? s : (struct size){0, 0};
}

static void seal(uint8_t *block)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < EDID_BLOCK_BYTES - 1; i++)
		sum += block[i];
	block[EDID_BLOCK_BYTES - 1] = (uint8_t)(0x100 - (sum & 0xff));
}

static void put_le(uint8_t *p, unsigned bytes, uint32_t value)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(value >> (8 * i));
}

/* Section 3.10.2: a detailed timing descriptor. */
static void put_dtd(uint8_t *d, const struct edid_timing *t, struct size size)
{
	const uint32_t h_blank = t->h_total - t->h_active, v_blank = t->v_total - t->v_active;

	put_le(d, 2, t->clock_khz / 10);
	d[2] = (uint8_t)t->h_active;
	d[3] = (uint8_t)h_blank;
	d[4] = (uint8_t)(t->h_active >> 8 << 4 | h_blank >> 8);
	d[5] = (uint8_t)t->v_active;
	d[6] = (uint8_t)v_blank;
	d[7] = (uint8_t)(t->v_active >> 8 << 4 | v_blank >> 8);
	d[8] = (uint8_t)t->h_front;
	d[9] = (uint8_t)t->h_sync;
	d[10] = (uint8_t)((t->v_front & 0xf) << 4 | (t->v_sync & 0xf));
	d[11] = (uint8_t)(t->h_front >> 8 << 6 | t->h_sync >> 8 << 4 | t->v_front >> 4 << 2 | t->v_sync >> 4);
	d[12] = (uint8_t)size.width_mm;
	d[13] = (uint8_t)size.height_mm;
	d[14] = (uint8_t)(size.width_mm >> 8 << 4 | size.height_mm >> 8);
	d[17] = 0x1a; /* digital separate sync: horizontal positive, vertical negative, as CVT-RB has it */
}

/* Section 3.10.3: a display descriptor with up to 13 characters. */
static void put_text(uint8_t *d, uint8_t tag, const char *text)
{
	unsigned n = 0;

	d[3] = tag;
	for (; n < 13 && text[n]; n++)
		d[5 + n] = (uint8_t)text[n];
	if (n < 13)
		d[5 + n++] = '\n';
	for (; n < 13; n++)
		d[5 + n] = ' ';
}

struct ranges {
	uint32_t min_h_khz, max_h_khz, min_v_hz, max_v_hz, max_clock_khz;
};

static void widen(struct ranges *r, uint32_t h_hz, uint32_t v_millihz, uint32_t clock_khz)
{
	const uint32_t h_low = h_hz / 1000, h_high = (h_hz + 999) / 1000;
	const uint32_t v_low = v_millihz / 1000, v_high = (v_millihz + 999) / 1000;

	r->min_h_khz = h_low < r->min_h_khz ? h_low : r->min_h_khz;
	r->max_h_khz = h_high > r->max_h_khz ? h_high : r->max_h_khz;
	r->min_v_hz = v_low < r->min_v_hz ? v_low : r->min_v_hz;
	r->max_v_hz = v_high > r->max_v_hz ? v_high : r->max_v_hz;
	r->max_clock_khz = clock_khz > r->max_clock_khz ? clock_khz : r->max_clock_khz;
}

static void widen_timing(struct ranges *r, const struct edid_timing *t)
{
	const uint64_t h_hz = t->clock_khz * 1000ull / t->h_total;

	widen(r, (uint32_t)h_hz, (uint32_t)(t->clock_khz * 1000000ull / t->h_total / t->v_total), t->clock_khz);
}

/* Rates above 255 take an offset flag each (section 3.10.3.3.1). */
static void put_ranges(uint8_t *d, const struct ranges *r)
{
	uint32_t min_h = r->min_h_khz > 0 ? r->min_h_khz : 1, max_h = r->max_h_khz;
	uint32_t clock = (r->max_clock_khz + 9999) / 10000;

	d[3] = 0xfd;
	if (max_h > 255) {
		d[4] |= 0x08;
		max_h -= 255;
		if (min_h > 255) {
			d[4] |= 0x04;
			min_h -= 255;
		}
	}
	d[5] = (uint8_t)r->min_v_hz;
	d[6] = (uint8_t)r->max_v_hz;
	d[7] = (uint8_t)min_h;
	d[8] = (uint8_t)max_h;
	d[9] = (uint8_t)(clock > 255 ? 255 : clock);
	d[10] = 0x01; /* range limits only, no secondary timing formula */
	d[11] = '\n';
	memset(d + 12, ' ', 6);
}

/* Modes worth naming when they fit the display. Rates in Hz and milliHz are those of VESA DMT. */
static const struct standard {
	uint32_t width, height;
	uint8_t aspect; /* section 3.9: 0 16:10, 1 4:3, 2 5:4, 3 16:9 */
	uint32_t h_hz, v_millihz, clock_khz;
} standards[] = {
	{1920, 1200, 0, 74556, 59885, 193250}, {1920, 1080, 3, 67500, 60000, 148500}, {1680, 1050, 0, 65290, 59954, 146250},
	{1600, 1200, 1, 75000, 60000, 162000}, {1440, 900, 0, 55935, 59887, 106500},  {1280, 1024, 2, 63981, 60020, 108000},
	{1280, 800, 0, 49702, 59810, 83500},   {1280, 720, 3, 45000, 60000, 74250},
};

/* Section 3.8: the established timings we name, in byte order of the block. */
static const struct established {
	uint32_t width, height;
	uint8_t byte, bit;
	uint32_t h_hz, v_millihz, clock_khz;
} established[] = {
	{640, 480, 35, 0x20, 31469, 59940, 25175},
	{800, 600, 35, 0x01, 37879, 60317, 40000},
	{1024, 768, 36, 0x08, 48363, 60004, 65000},
};

/* Start a DisplayID data block at @p; returns its payload. */
static uint8_t *put_block(uint8_t *p, uint8_t tag, uint8_t bytes)
{
	p[0] = tag;
	p[1] = 0; /* revision */
	p[2] = bytes;
	return p + 3;
}

/*
 * DisplayID 1.3 section inside an EDID extension block (tag 0x70): who made it, its size, its interface, and one
 * type I detailed timing, which has 16 bits for each size and 24 for the clock.
 */
static void put_displayid(uint8_t *block, const struct edid_info *info, const struct edid_timing *t)
{
	const uint32_t aspect = 100 * t->h_active / t->v_active;
	const struct size size = size_of(info);
	uint8_t *section = block + 1, *d = section + 4;
	unsigned sum = 0, bytes;

	block[0] = 0x70;
	section[0] = 0x13; /* version 1.3 */
	section[2] = 0x03; /* product type: a display by itself */

	d = put_block(d, 0x00, 12); /* product identification */
	d[0] = 'M';
	d[1] = 'L';
	d[2] = 'N';
	put_le(d + 3, 2, 1);
	put_le(d + 5, 4, info->number + 1);
	d[9] = 1;
	d[10] = 2026 - 2000;
	d += 12;

	d = put_block(d, 0x01, 12); /* display parameters */
	put_le(d, 2, size.width_mm * 10); /* in units of 0.1 mm */
	put_le(d + 2, 2, size.height_mm * 10);
	put_le(d + 4, 2, t->h_active);
	put_le(d + 6, 2, t->v_active);
	d[9] = 120; /* gamma 2.20 */
	d[10] = (uint8_t)(aspect > 355 ? 255 : aspect < 100 ? 0 : aspect - 100);
	d[11] = 0x77; /* 8 bits a colour, overall and native */
	d += 12;

	d = put_block(d, 0x0f, 10); /* interface */
	d[0] = 0xa1; /* DisplayPort, one link */
	d[1] = 0x12; /* version 1.2 */
	d[2] = 0x02; /* RGB at 8 bits a colour */
	d += 10;

	d = put_block(d, 0x03, 20); /* type I detailed timing */
	put_le(d, 3, t->clock_khz / 10 - 1);
	d[3] = 0x88; /* preferred, no stereo, aspect ratio not one of the list */
	put_le(d + 4, 2, t->h_active - 1);
	put_le(d + 6, 2, t->h_total - t->h_active - 1);
	put_le(d + 8, 2, (t->h_front - 1) | 0x8000u); /* bit 15: positive sync */
	put_le(d + 10, 2, t->h_sync - 1);
	put_le(d + 12, 2, t->v_active - 1);
	put_le(d + 14, 2, t->v_total - t->v_active - 1);
	put_le(d + 16, 2, t->v_front - 1);
	put_le(d + 18, 2, t->v_sync - 1);
	d += 20;

	bytes = (unsigned)(d - (section + 4));
	section[1] = (uint8_t)bytes;
	for (unsigned i = 0; i < 4 + bytes; i++)
		sum += section[i];
	section[4 + bytes] = (uint8_t)(0x100 - (sum & 0xff));
	seal(block);
}

size_t edid_generate(const struct edid_info *info, uint8_t out[EDID_MAX_BYTES])
{
	static const uint8_t magic[8] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
	/* Chromaticity of sRGB (section 3.7). */
	static const uint8_t srgb[10] = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
	struct size size = size_of(info);
	struct ranges ranges = {UINT32_MAX, 0, UINT32_MAX, 0, 0};
	struct edid_timing preferred, first;
	unsigned named = 0;
	bool big;
	char text[16];

	assert(info->width > 0 && info->height > 0 && info->width <= 16384 && info->height <= 16384);
	memset(out, 0, EDID_MAX_BYTES);
	edid_timing_reduced(info->width, info->height, &preferred);
	big = !fits_dtd(&preferred);
	first = preferred;
	if (big)
		edid_timing_reduced(FALLBACK_WIDTH, FALLBACK_HEIGHT, &first);
	widen_timing(&ranges, &first);
	if (big)
		widen_timing(&ranges, &preferred);

	memcpy(out, magic, sizeof(magic));
	/* Manufacturer "MLN" in 5-bit letters, product 1, serial, made in 2026. */
	out[8] = ('M' - '@') << 2 | ('L' - '@') >> 3;
	out[9] = (('L' - '@') & 7) << 5 | ('N' - '@');
	put_le(out + 10, 2, 1);
	put_le(out + 12, 4, info->number + 1);
	out[16] = 1;
	out[17] = 2026 - 1990;
	out[18] = 1;
	out[19] = 4;
	out[20] = 0xa5; /* digital, 8 bits a colour, DisplayPort */
	/*
	 * In centimetres. One that does not fit makes both unknown here, since one alone would be read as an aspect ratio; DisplayID
	 * has room for it.
	 */
	if (size.width_mm >= 2560 || size.height_mm >= 2560)
		size = (struct size){0, 0};
	out[21] = (uint8_t)(size.width_mm / 10);
	out[22] = (uint8_t)(size.height_mm / 10);
	out[23] = 120;  /* gamma 2.20 */
	out[24] = 0x06; /* sRGB, the first timing is preferred and native */
	if (big)
		out[24] = 0x04; /* preferred timing is not native: that one is in the extension */
	memcpy(out + 25, srgb, sizeof(srgb));

	for (unsigned i = 0; i < sizeof(established) / sizeof(established[0]); i++) {
		const struct established *e = &established[i];

		/* Every source may rely on 640x480. */
		if (i > 0 && (e->width > info->width || e->height > info->height))
			continue;
		out[e->byte] |= e->bit;
		widen(&ranges, e->h_hz, e->v_millihz, e->clock_khz);
	}
	for (unsigned i = 0; i < 8; i++)
		out[38 + 2 * i] = out[39 + 2 * i] = 0x01; /* unused */
	for (unsigned i = 0; i < sizeof(standards) / sizeof(standards[0]); i++) {
		const struct standard *s = &standards[i];

		if (s->width > info->width || s->height > info->height)
			continue;
		out[38 + 2 * named] = (uint8_t)(s->width / 8 - 31);
		out[39 + 2 * named] = (uint8_t)((unsigned)s->aspect << 6 | (REFRESH_HZ - 60));
		named++;
		widen(&ranges, s->h_hz, s->v_millihz, s->clock_khz);
	}

	put_dtd(out + 54, &first, size);
	put_ranges(out + 72, &ranges);
	snprintf(text, sizeof(text), "Mullion %u", info->number % 100);
	put_text(out + 90, 0xfc, text);
	snprintf(text, sizeof(text), "MLN%06u", info->number % 1000000);
	put_text(out + 108, 0xff, text);
	out[126] = big ? 1 : 0;
	seal(out);
	if (!big)
		return EDID_BLOCK_BYTES;
	put_displayid(out + EDID_BLOCK_BYTES, info, &preferred);
	return EDID_MAX_BYTES;
}
