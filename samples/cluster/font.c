// SPDX-License-Identifier: MIT
#include <stddef.h>

#include "samples/cluster/font.h"

/*
 * A stroke is a mark and points: "~" rounds the corners, "-" keeps them; two digits a point, x then y, y down; "*"
 * closes it. Characters are 4 wide and 6 high, symbols 8 by 6.
 */
struct glyph {
	char character;
	const char *strokes;
};

static const struct glyph glyphs[] = {
	{'0', "~00404606*"},
	{'1', "-112026"},
	{'2', "~004043030646"},
	{'3', "~00404606 -1343"},
	{'4', "-300444 -3236"},
	{'5', "~400003434606"},
	{'6', "~400006464303"},
	{'7', "-004016"},
	{'8', "~00404606* -0343"},
	{'9', "~430300404606"},
	{'A', "~06004046 -0444"},
	{'C', "~40000646"},
	{'D', "-003041453606*"},
	{'E', "-40000646 -0333"},
	{'F', "-400006 -0333"},
	{'G', "~400006464323"},
	{'H', "-0006 -4046 -0343"},
	{'I', "-2026"},
	{'K', "-0006 -400346"},
	{'L', "-000646"},
	{'M', "-0600234046"},
	{'N', "-06004640"},
	{'O', "~00404606*"},
	{'P', "~0600404303"},
	{'R', "~0600404303 -1346"},
	{'S', "~400003434606"},
	{'T', "-0040 -2026"},
	{'U', "~00064640"},
	{'X', "-0046 -4006"},
	{'/', "-4006"},
	{':', "-2122 -2425"},
	{'-', "-0343"},
	{'.', "-2526"},
	{'\'', "~00202202*"}, /* degree */
};

static const char *const symbols[SYMBOL_COUNT] = {
	[SYMBOL_LEFT] = "-03303282843436*",
	[SYMBOL_RIGHT] = "-83505202045456*",
	[SYMBOL_BATTERY] = "-01818606* -1101 -2021 -6061 -1333 -5373 -6264",
	[SYMBOL_OIL] = "-1353637172655515* -1301 -3331 -2141 -8485",
	[SYMBOL_BRAKE] = "~20606626* -4143 -4545 -1115 -7175",
	[SYMBOL_BEAM] = "~40707646* -0030 -0232 -0434 -0636",
	[SYMBOL_ENGINE] = "-1222315162727383867675663614* -3050 -4041 -0105 -0313",
	[SYMBOL_FUEL] = "-10505616* -0666 -1353 -6171 -717475",
};

#define MAX_STROKE 16
#define MAX_PATH 80

/* Replace the corner at @b by a curve from towards @a to towards @c. */
static unsigned round_corner(int32_t (*out)[2], const int32_t a[2], const int32_t b[2], const int32_t c[2],
			     int32_t unit)
{
	int32_t from[2], to[2], steps = unit > PX(3) ? 4 : 3; /* small text needs no finer curve */

	for (int i = 0; i < 2; i++) {
		int32_t da = a[i] - b[i], dc = c[i] - b[i], most = unit * 3 / 2;

		/* Strokes run along the grid, so each leg is along one axis; a corner takes half of a leg at most. */
		from[i] = b[i] + (da > most ? most : da < -most ? -most : da / 2);
		to[i] = b[i] + (dc > most ? most : dc < -most ? -most : dc / 2);
	}
	for (int32_t t = 0; t <= steps; t++) {
		int32_t u = steps - t;

		for (int i = 0; i < 2; i++)
			out[t][i] = (from[i] * u * u + 2 * b[i] * t * u + to[i] * t * t) / (steps * steps);
	}
	return (unsigned)steps + 1;
}

static void stroke(struct mesh *m, int32_t x, int32_t y, int32_t unit, int32_t pen, uint32_t rgba, const char **strokes)
{
	const char *s = *strokes;
	bool rounded = *s++ == '~', closed = false;
	int32_t points[MAX_STROKE][2], path[MAX_PATH][2];
	unsigned n = 0, k = 0;

	for (; *s >= '0' && *s <= '8' && n < MAX_STROKE; s += 2, n++) {
		points[n][0] = x + (s[0] - '0') * unit;
		points[n][1] = y + (s[1] - '0') * unit;
	}
	if (*s == '*') {
		closed = true;
		s++;
	}
	while (*s == ' ')
		s++;
	*strokes = s;

	/* A dot: a line too short to have a direction. */
	if (n == 2 && points[0][0] == points[1][0] && points[0][1] == points[1][1])
		points[1][1] += unit / 4;
	for (unsigned i = 0; i < n && k + 5 <= MAX_PATH; i++) {
		bool corner = closed || (i > 0 && i + 1 < n);

		if (rounded && corner) {
			k += round_corner(path + k, points[(i + n - 1) % n], points[i], points[(i + 1) % n], unit);
		} else {
			path[k][0] = points[i][0];
			path[k++][1] = points[i][1];
		}
	}
	mesh_stroke(m, (const int32_t(*)[2])path, k, closed, pen, rgba);
}

int32_t font_advance(int32_t height)
{
	return height; /* 4 of 6 grid units, and 2 between */
}

void font_text(struct mesh *m, int32_t x, int32_t y, int32_t height, int32_t pen, uint32_t rgba, enum font_align align,
	       const char *text)
{
	int32_t unit = height / 6, width = 0;

	for (const char *c = text; *c; c++)
		width += font_advance(height);
	width -= font_advance(height) - 4 * unit;
	x -= align == FONT_CENTRE ? width / 2 : align == FONT_RIGHT ? width : 0;
	for (; *text; text++, x += font_advance(height)) {
		for (size_t i = 0; i < sizeof(glyphs) / sizeof(glyphs[0]); i++) {
			const char *s = glyphs[i].strokes;

			while (glyphs[i].character == *text && *s)
				stroke(m, x, y, unit, pen, rgba, &s);
		}
	}
}

void font_symbol(struct mesh *m, int32_t x, int32_t y, int32_t height, uint32_t rgba, enum symbol symbol)
{
	int32_t unit = height / 6;
	const char *s = symbols[symbol];

	while (*s)
		stroke(m, x - 4 * unit, y - 3 * unit, unit, PX(2), rgba, &s);
}
