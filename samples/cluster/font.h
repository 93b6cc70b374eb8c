/* SPDX-License-Identifier: MIT */
/* Text and warning symbols drawn with a pen: lines on a small grid, corners rounded. */
#ifndef MULLION_SAMPLES_CLUSTER_FONT_H
#define MULLION_SAMPLES_CLUSTER_FONT_H

#include "samples/cluster/mesh.h"

enum font_align { FONT_LEFT, FONT_CENTRE, FONT_RIGHT };

enum symbol {
	SYMBOL_LEFT,
	SYMBOL_RIGHT,
	SYMBOL_BATTERY,
	SYMBOL_OIL,
	SYMBOL_BRAKE,
	SYMBOL_BEAM,
	SYMBOL_ENGINE,
	SYMBOL_FUEL,
	SYMBOL_COUNT,
};

/* Digits, capitals and a few signs, @height tall, the pen @pen wide; (x, y) is the top at the @align point. */
void font_text(struct mesh *m, int32_t x, int32_t y, int32_t height, int32_t pen, uint32_t rgba, enum font_align align,
	       const char *text);

/* How far one character after another is. */
int32_t font_advance(int32_t height);

/* A symbol centred at (x, y), @height tall. */
void font_symbol(struct mesh *m, int32_t x, int32_t y, int32_t height, uint32_t rgba, enum symbol symbol);

#endif
